//! Accounts at providers: how they are connected, kept alive, used and given up.
//!
//! The journey of one credential: a [`links`] page sends a user to the provider and takes the code that comes back,
//! [`oauth`] makes tokens of it, `account` asks the connector who is behind them and keeps them, sealed by the
//! [`vault`](crate::vault); [`refresh`] renews them, one at a time whoever asks; and what runs gets a
//! [`Credential`] that ends with the call. [`scopes`] says what a connection lacks and what that disables.
//!
//! It knows no provider: what is particular about one is data of its manifest. It knows no SQL, no HTTP server and no
//! terminal.

pub mod account;
pub mod integrations;
pub mod links;
pub mod oauth;
pub mod raw;
pub mod refresh;
pub mod rotate;
pub mod scopes;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use connector_protocol::{
    Error, ErrorKind, Manifest, Result,
    manifest::{Auth, AuthKind, Client, Oauth2},
};
use secrecy::SecretString;
use tokio::sync::Notify;

use self::{oauth::ClientCredentials, refresh::Gate};
use crate::{
    config,
    egress::{Credential, Egress, Target},
    store::{Connection, ConnectionState, Held, Integration, Page, Scope, Shared, Which},
    vault::{Owner, Vault},
};

/// What a secret that a user has typed is called among a connection's secrets.
pub(crate) const TYPED: &str = "parameter.";

/// How long no token is renewed for a raw request after one did not help: who asks for what answers anybody with 401 renews
/// nothing with each request.
const IN_VAIN: Duration = Duration::from_secs(60);

/// What an access token is called there, and in the templates of manifests.
pub(crate) const ACCESS_TOKEN: &str = "access_token";

/// What a refresh token is called there.
pub(crate) const REFRESH_TOKEN: &str = "refresh_token";

/// What an integration's client secret is called.
pub(crate) const CLIENT_SECRET: &str = "client_secret";

/// What a connector's connections need from around them.
#[derive(Clone)]
pub struct Setting {
    /// What the connector declares.
    pub manifest: Arc<Manifest>,
    /// What sends requests.
    pub egress: Arc<Egress>,
    /// What the operator has set in the file.
    pub endpoints: config::Integration,
}

impl Setting {
    /// Where requests may go, as whom.
    #[must_use]
    pub fn target(&self, credential: Credential, key: &str) -> Target {
        Target {
            manifest: self.manifest.clone(),
            integration: self.endpoints.clone(),
            credential,
            key: key.to_owned(),
        }
    }

    /// The auth variant of a connection.
    ///
    /// # Errors
    ///
    /// If this version of the connector has it no more.
    pub fn auth(&self, name: &str) -> Result<&Auth> {
        self.manifest.auth(name).ok_or_else(|| {
            let text = format!("the connector `{}` no longer knows the way `{name}`", self.manifest.id);
            Error::new(ErrorKind::Config, text)
                .hint(format!("connect the account again: jackfield connect {}", self.manifest.id))
        })
    }
}

/// A credential, and the connection that it is of.
pub struct Used {
    /// What goes onto requests.
    pub credential: Credential,
    /// The connection.
    pub connection: Connection,
    /// Which of its grant's versions that is.
    pub version: i64,
}

/// The connections of a home.
pub struct Connections {
    pub(crate) store: Shared,
    /// What seals secrets.
    pub vault: Vault,
    /// Who we are, among all that refresh: a process and when it was started.
    owner: String,
    gates: Mutex<HashMap<String, Arc<Gate>>>,
    /// How many refreshes are under way, of which none may be cut off.
    under_way: Mutex<usize>,
    over: Notify,
    renewed: AtomicU64,
    failed: AtomicU64,
    /// Whether this process stays, and can renew tokens that nobody waits for.
    stays: AtomicBool,
    /// The holders whose grants are being renewed ahead of their time.
    ahead: Mutex<HashSet<String>>,
    /// The holders whose tokens were renewed for a raw request, and it did not help; and when.
    in_vain: Mutex<HashMap<String, Instant>>,
}

impl Connections {
    /// The connections in this store, sealed by this vault.
    #[must_use]
    pub fn new(store: Shared, vault: Vault, owner: String) -> Self {
        Self {
            store,
            vault,
            owner,
            gates: Mutex::default(),
            under_way: Mutex::new(0),
            over: Notify::new(),
            renewed: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            stays: AtomicBool::new(false),
            ahead: Mutex::default(),
            in_vain: Mutex::default(),
        }
    }

    /// Fails unless every secret that is kept can be opened with the keys that are there. Where nothing is kept and no key is
    /// there, one is made.
    ///
    /// # Errors
    ///
    /// Names the key.
    pub async fn must_open(&self) -> Result<()> {
        let (used, current) = self.store.keys_in_use().await?;
        let mut needed = used;
        // A key that is to seal with is needed as well, whatever is sealed with it yet.
        needed.extend(current.filter(|current| !needed.contains(current)));
        self.vault.must_fit(&needed)
    }

    /// A connection, as it is now.
    ///
    /// # Errors
    ///
    /// If there is none of this id for whoever asks.
    pub fn held(&self, scope: &Scope, id: &str) -> Result<Held> {
        self.store.held(scope, id)?.ok_or_else(|| no_connection(id))
    }

    /// A credential that can be used now: renewed first, if it has ended or is about to.
    ///
    /// # Errors
    ///
    /// If there is no such connection, if its state does not allow it to be used, or if it could not be renewed in time.
    pub async fn credential(
        self: &Arc<Self>,
        setting: &Setting,
        scope: &Scope,
        id: &str,
        deadline: Instant,
    ) -> Result<Used> {
        let held = self.held(scope, id)?;
        self.credential_of(setting, scope, held, deadline).await
    }

    /// The same, for whoever has just looked the connection up.
    pub(crate) async fn credential_of(
        self: &Arc<Self>,
        setting: &Setting,
        scope: &Scope,
        held: Held,
        deadline: Instant,
    ) -> Result<Used> {
        usable(&held.connection)?;
        let id = held.connection.id.clone();
        if refresh::is_fresh(&held.grant) {
            if self.stays.load(Ordering::Relaxed) && refresh::is_ending(&held.grant, &held.connection.holder)
            {
                self.renew_behind(setting, held.clone());
            }
            return self.open(setting, held);
        }
        if !refresh::is_good(&held.grant) {
            return self.renewed(setting, scope, held, deadline).await;
        }
        // It is renewed ahead of its end: as long as it is good, nobody has to fail because that cannot be done now.
        match self.renewed(setting, scope, held, deadline.min(Instant::now() + refresh::MANNERS)).await {
            Ok(used) => Ok(used),
            Err(error) => {
                let held = self.held(scope, &id)?;
                usable(&held.connection)?;
                if refresh::is_good(&held.grant) { self.open(setting, held) } else { Err(error) }
            }
        }
    }

    /// A credential of a later version than this one, which the provider does not accept any more.
    ///
    /// # Errors
    ///
    /// If there is none to be had.
    pub async fn later(
        self: &Arc<Self>,
        setting: &Setting,
        scope: &Scope,
        id: &str,
        version: i64,
        deadline: Instant,
    ) -> Result<Used> {
        let held = self.held(scope, id)?;
        usable(&held.connection)?;
        if held.grant.version != version {
            return self.open(setting, held);
        }
        self.renewed(setting, scope, held, deadline).await
    }

    async fn renewed(
        self: &Arc<Self>,
        setting: &Setting,
        scope: &Scope,
        held: Held,
        deadline: Instant,
    ) -> Result<Used> {
        let id = held.connection.id.clone();
        self.refresh(setting, held, deadline).await?;
        let held = self.held(scope, &id)?;
        usable(&held.connection)?;
        self.open(setting, held)
    }

    /// Opens the secrets of a connection, for requests.
    fn open(&self, setting: &Setting, held: Held) -> Result<Used> {
        let Held { connection, grant } = held;
        let auth = setting.auth(&connection.auth)?;
        let owner = Owner { project: &connection.project, id: &connection.holder };
        let mut secrets = BTreeMap::new();
        if let Some(envelope) = &grant.sealed {
            if matches!(auth.kind, AuthKind::Oauth2(_)) {
                // Nothing else of it is ever put on a request to the API.
                let token = self.vault.open_one(owner, envelope, ACCESS_TOKEN)?;
                secrets.extend(token.map(|token| (ACCESS_TOKEN.to_owned(), token)));
            } else {
                let opened = self.vault.open(owner, envelope)?;
                let typed = |(name, secret): (String, SecretString)| {
                    Some((name.strip_prefix(TYPED)?.to_owned(), secret))
                };
                secrets.extend(opened.into_iter().filter_map(typed));
            }
        }
        let credential = Credential {
            auth: connection.auth.clone(),
            parameters: connection.parameters.clone(),
            secrets,
            token_members: connection.members.clone(),
        };
        Ok(Used { credential, version: grant.version, connection })
    }

    /// Says that the provider refuses what a refresh has just brought, or what cannot be refreshed.
    pub async fn condemn(&self, connection: &Connection, version: i64, reason: &str) {
        let state = ConnectionState::NeedsReauth;
        let (holder, reason) = (connection.holder.clone(), Some(reason.to_owned()));
        if let Err(error) = self.store.set_state(holder, Some(version), state, reason, None).await {
            tracing::warn!(connection = connection.id, "its state could not be written: {error}");
        }
    }

    /// The client that a connection's tokens are asked for with.
    pub(crate) async fn client(
        &self,
        connection: &Connection,
        oauth: &Oauth2,
        secrets: &BTreeMap<String, SecretString>,
    ) -> Result<(ClientCredentials, Option<Integration>)> {
        if oauth.client == Client::Connection {
            let id = connection.parameters.get("client_id").and_then(serde_json::Value::as_str);
            let id = id.ok_or_else(|| Error::new(ErrorKind::Config, "the connection has no client id"))?;
            let secret = secrets.get(&format!("{TYPED}{CLIENT_SECRET}")).cloned();
            return Ok((ClientCredentials { id: id.to_owned(), secret }, None));
        }
        let found =
            self.store.integration(connection.project.clone(), connection.integration.clone()).await?;
        let integration = found.ok_or_else(|| integrations::none(&connection.connector))?;
        let client = self.client_of(&integration)?;
        Ok((client, Some(integration)))
    }

    /// The client of an integration.
    ///
    /// # Errors
    ///
    /// If it has no client id, or if its secret cannot be opened.
    pub(crate) fn client_of(&self, integration: &Integration) -> Result<ClientCredentials> {
        let connector = &integration.connector;
        let id = integration.client_id.clone().ok_or_else(|| {
            Error::new(ErrorKind::Conflict, format!("the integration of `{connector}` has no client id"))
                .hint(format!("give it: jackfield integration set {connector} --client-id ID"))
        })?;
        let owner = Owner { project: &integration.project, id: &integration.id };
        let secret = match &integration.sealed {
            Some(envelope) => self.vault.open_one(owner, envelope, CLIENT_SECRET)?,
            None => None,
        };
        Ok(ClientCredentials { id, secret })
    }

    /// The connection that is meant: the one of this id, or the only one that there is.
    ///
    /// # Errors
    ///
    /// `connection_needed` with those that could be meant, or the command that makes one.
    pub async fn choose(&self, scope: &Scope, connector: &str, id: Option<&str>) -> Result<Connection> {
        if let Some(id) = id {
            let held = self.held(scope, id)?;
            if held.connection.connector != connector {
                let text = format!(
                    "the connection `{id}` leads to `{}` and not to `{connector}`",
                    held.connection.connector
                );
                return Err(Error::new(ErrorKind::Usage, text).hint(format!(
                    "see which lead there: jackfield connection list --connector {connector}"
                )));
            }
            return Ok(held.connection);
        }
        self.only(scope, connector).await?.ok_or_else(|| {
            let whose = scope.user.as_ref().map_or(String::new(), |user| format!(" of user `{user}`"));
            let user = scope.user.as_ref().map_or(String::new(), |user| format!(" --user {user}"));
            let text = format!("there is no connection{whose} to `{connector}`");
            Error::new(ErrorKind::ConnectionNeeded, text)
                .hint(format!("make one: jackfield connect {connector}{user}"))
        })
    }

    /// The only connection that there is, if there is one.
    ///
    /// # Errors
    ///
    /// `connection_needed` with those that could be meant, if there are several.
    pub async fn only(&self, scope: &Scope, connector: &str) -> Result<Option<Connection>> {
        let which = Which { connector: Some(connector.to_owned()), state: None };
        let page = Page { after: None, most: 21 };
        let mut found = self.store.connections(scope.clone(), which, page).await?;
        // One that was given up is not meant by anybody who does not name it.
        found.retain(|connection| connection.state != ConnectionState::Revoked);
        if found.len() < 2 {
            return Ok(found.pop());
        }
        let whose = scope.user.as_ref().map_or(String::new(), |user| format!(" of user `{user}`"));
        let more = if found.len() > 20 { ", …" } else { "" };
        let list: Vec<String> =
            found.iter().take(20).map(|one| format!("{} ({})", one.id, one.label())).collect();
        let text = format!("there are several connections{whose} to `{connector}`");
        Err(Error::new(ErrorKind::ConnectionNeeded, text)
            .hint(format!("name one with -c: {}{more}", list.join(", "))))
    }

    /// Whether another token did not help a raw request of this grant a moment ago.
    fn was_in_vain(&self, holder: &str) -> bool {
        let in_vain = self.in_vain.lock().unwrap_or_else(PoisonError::into_inner);
        in_vain.get(holder).is_some_and(|at| at.elapsed() < IN_VAIN)
    }

    /// Remembers that it did not.
    fn note_in_vain(&self, holder: String) {
        let mut in_vain = self.in_vain.lock().unwrap_or_else(PoisonError::into_inner);
        in_vain.retain(|_, at| at.elapsed() < IN_VAIN);
        in_vain.insert(holder, Instant::now());
    }

    /// From now on, tokens are renewed ahead of their end while they are used: this process stays.
    pub fn stay(&self) {
        self.stays.store(true, Ordering::Relaxed);
    }

    /// How many refreshes were made, and how many failed.
    #[must_use]
    pub fn refreshes(&self) -> (u64, u64) {
        (self.renewed.load(Ordering::Relaxed), self.failed.load(Ordering::Relaxed))
    }

    /// Waits until nothing is under way that may not be cut off, or until this time is over.
    pub async fn settle(&self, most: Duration) {
        let quiet = async {
            loop {
                let over = self.over.notified();
                if *self.under_way.lock().unwrap_or_else(PoisonError::into_inner) == 0 {
                    return;
                }
                // One may have ended between the two.
                let _ = tokio::time::timeout(Duration::from_millis(200), over).await;
            }
        };
        let _ = tokio::time::timeout(most, quiet).await;
    }
}

/// Whether a connection's state lets it be used.
fn usable(connection: &Connection) -> Result<()> {
    let Connection { id, connector, user, reason, .. } = connection;
    let because = reason.as_ref().map_or(String::new(), |reason| format!(": {reason}"));
    let again = format!("jackfield connect {connector} --user {user} --connection {id}");
    let (kind, text, hint) = match connection.state {
        ConnectionState::Valid | ConnectionState::Refreshing => return Ok(()),
        ConnectionState::NeedsScope => (
            ErrorKind::MissingScope,
            format!("the connection `{id}` lacks a scope{because}"),
            format!("add the scope at the provider and connect again: {again}"),
        ),
        ConnectionState::NeedsReauth => (
            ErrorKind::Unauthorized,
            format!("the connection `{id}` has to be connected again{because}"),
            format!("connect it again: {again}"),
        ),
        ConnectionState::Revoked => (
            ErrorKind::Unauthorized,
            format!("the connection `{id}` was revoked{because}"),
            format!("connect it again: {again}"),
        ),
    };
    Err(Error::new(kind, text).hint(hint))
}

/// That there is no such connection, or none of whoever asks.
#[must_use]
pub fn no_connection(id: &str) -> Error {
    let short: String = id.escape_debug().take(60).collect();
    Error::new(ErrorKind::Unknown, format!("there is no connection `{short}`"))
        .hint("see which there are: jackfield connection list")
}
