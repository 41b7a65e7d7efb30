//! Making a connection of what a provider has granted, or of what a user has typed: who is behind it, whether it is one that
//! is there already, and how it ends.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use connector_protocol::{
    Error, ErrorKind, Manifest, Problem, Result,
    manifest::{Auth, AuthKind, CAPABILITIES},
    message::{AuthCall, Context, Identity},
    schema::escape,
    validate::Validator,
};
use jiff::Timestamp;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    ACCESS_TOKEN, Connections, REFRESH_TOKEN, Setting, TYPED, integrations,
    oauth::{self, Grant as Asked, Tokens},
    refresh, scopes,
};
use crate::{
    egress::{Credential, Flight},
    host::Host,
    id::Id,
    invoke::Asking,
    store::{Audit, Connection, ConnectionState, Held, Integration, Renewed, Scope, Written},
    vault::Owner,
    worker::Family,
};

/// How long identifying an account may take, and asking for its first tokens.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How often it is looked whether a refresh is over that has to be waited for.
const LOOK: Duration = Duration::from_millis(100);

/// How long to wait at most before a provider that failed is asked again whose account it is.
const MOST_PAUSE: Duration = Duration::from_secs(4);

/// How often a change that meets another one is made again.
const TRIES: u32 = 5;

/// An account that is to be connected.
pub struct New<'a> {
    /// The integration.
    pub integration: &'a Integration,
    /// Whose it will be.
    pub user: &'a str,
    /// The auth variant.
    pub auth: &'a Auth,
    /// The connection that is connected again.
    pub again: Option<&'a str>,
    /// Its parameters that are no secrets.
    pub parameters: Map<String, Value>,
    /// The secrets that the user has typed, by the names of parameters.
    pub typed: BTreeMap<String, SecretString>,
    /// What the provider has granted.
    pub tokens: Option<Tokens>,
    /// Who did it, for the audit log.
    pub actor: &'a str,
}

/// What came of connecting.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Connected {
    /// The connection.
    pub connection: Connection,
    /// What the user should know, such as that another connection shares the grant.
    pub notes: Vec<String>,
}

/// What came of giving a connection up.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct GivenUp {
    /// Whether the provider was told, and has taken the grant back.
    pub told: bool,
    /// Why it was not told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why_not: Option<String>,
}

impl Host {
    /// What a connector's connections need from around them, as it is now.
    ///
    /// # Errors
    ///
    /// If there is no such connector, or if the configuration is wrong.
    pub fn setting(&self, connector: &str) -> Result<Setting> {
        let settings = self.settings()?;
        let manifest = self.registry().find(connector)?.manifest()?.clone();
        Ok(Setting {
            manifest,
            egress: settings.egress.clone(),
            endpoints: settings.config.integration(connector),
        })
    }

    /// Asks the connector whose account a credential opens.
    pub(super) async fn identify(
        &self,
        setting: &Setting,
        credential: Credential,
        deadline: Instant,
    ) -> Result<Identity> {
        let id = Id::connection().to_string();
        let left = deadline.saturating_duration_since(Instant::now());
        let call = AuthCall {
            context: Context {
                id: id.clone(),
                deadline_ms: u64::try_from(left.as_millis()).unwrap_or(u64::MAX),
                locale: None,
                auth: credential.auth.clone(),
                parameters: credential.parameters.clone(),
                capabilities: CAPABILITIES.iter().map(|name| (*name).to_owned()).collect(),
                cursor: None,
            },
        };
        let asking = Asking {
            family: Family::Auth,
            held: None,
            target: setting.target(credential, &id),
            egress: setting.egress.clone(),
            deadline,
            flight: Arc::new(Flight::default()),
        };
        let answer = self.ask_about(&setting.manifest.id, "identify", &call, asking).await?;
        serde_json::from_slice(&answer).map_err(|_| {
            let text = format!("the connector `{}` did not say whose account it is", setting.manifest.id);
            Error::new(ErrorKind::ConnectorFault, text)
        })
    }

    /// The same, as often as it fails for a reason that may pass: what was just granted is lost with it, and the code is used.
    async fn identify_patiently(&self, setting: &Setting, credential: Credential) -> Result<Identity> {
        let until = Instant::now() + PATIENCE;
        let mut pause = LOOK;
        loop {
            let found = self.identify(setting, credential.clone(), until).await;
            let Err(error) = &found else { return found };
            let passes = matches!(
                error.kind,
                ErrorKind::Unavailable | ErrorKind::Network | ErrorKind::Timeout | ErrorKind::RateLimited
            );
            pause = (pause * 2).min(MOST_PAUSE);
            let told = error.retry_at.map(|at| at.duration_since(Timestamp::now()));
            let wait =
                told.and_then(|told| Duration::try_from(told).ok()).map_or(pause, |told| told.max(pause));
            if !passes || Instant::now() + wait >= until {
                return found;
            }
            tracing::debug!(
                connector = setting.manifest.id,
                "nobody has said yet whose account it is: {error}"
            );
            tokio::time::sleep(wait).await;
        }
    }

    /// Connects an account with what a user has typed, without asking them at the provider.
    ///
    /// # Errors
    ///
    /// Each problem at its parameter; or what the provider says.
    pub async fn connect_typed(
        &self,
        integration: &Integration,
        user: &str,
        auth: &str,
        again: Option<&str>,
        given: Map<String, Value>,
        actor: &str,
    ) -> Result<Connected> {
        let setting = self.setting(&integration.connector)?;
        let auth = setting.auth(auth)?;
        let (parameters, typed) = take(&setting, auth, given)?;
        let tokens = match &auth.kind {
            AuthKind::Oauth2(oauth) if oauth.grant == "authorization_code" => {
                let text = format!("`{}` asks the user at {}", auth.name, setting.manifest.title);
                return Err(Error::new(ErrorKind::Usage, text)
                    .hint(format!("send them there: jackfield connect {}", integration.connector)));
            }
            AuthKind::Oauth2(oauth) => {
                let client = if oauth.client == connector_protocol::manifest::Client::Integration {
                    self.connections.client_of(integration)?
                } else {
                    let id = parameters.get("client_id").and_then(Value::as_str).unwrap_or_default();
                    oauth::ClientCredentials {
                        id: id.to_owned(),
                        secret: typed.get(super::CLIENT_SECRET).cloned(),
                    }
                };
                let credential = credential(auth, &parameters, &typed, None);
                let target = setting.target(credential, &integration.id);
                let until = Instant::now() + PATIENCE;
                let asked = oauth::token(&setting.egress, &target, oauth, &client, Asked::Other, until).await;
                Some(asked.map_err(|refused| refused.error)?)
            }
            _ => None,
        };
        let new = New { integration, user, auth, again, parameters, typed, tokens, actor };
        self.connect_account(&setting, new).await
    }

    /// Keeps an account that was granted: as a new connection, as the one that it was before, or with the grant of another.
    ///
    /// # Errors
    ///
    /// If the connector cannot tell whose it is, for another reason than a missing scope; or if it cannot be kept.
    pub async fn connect_account(&self, setting: &Setting, new: New<'_>) -> Result<Connected> {
        let New { integration, user, auth, again, parameters, typed, tokens, actor } = new;
        let manifest = &setting.manifest;
        let credential = credential(auth, &parameters, &typed, tokens.as_ref());
        let found = self.identify_patiently(setting, credential).await;
        let granted = tokens.as_ref().and_then(|tokens| tokens.scopes.clone());
        let (identity, state, reason) = match found {
            Ok(identity) => (Some(identity), ConnectionState::Valid, None),
            // Not every provider says so in words that its manifest knows; what it has granted says it too.
            Err(error)
                if error.kind == ErrorKind::MissingScope
                    || (error.kind == ErrorKind::Refused && lacks(manifest, granted.as_deref())) =>
            {
                let family = scopes::family(manifest, granted.as_deref().unwrap_or_default());
                let needed = scopes::of_family(&manifest.identify_scopes, family);
                let names = needed.map(|set| set.all.join(", ")).unwrap_or_default();
                let reason = format!("without {names} nobody can tell whose account it is");
                (None, ConnectionState::NeedsScope, Some(reason))
            }
            // Its connector cannot tell: what was given is believed, and whether it works is seen when it is used.
            Err(error) if error.kind == ErrorKind::Unsupported => (None, ConnectionState::Valid, None),
            Err(error) => return Err(error),
        };
        let scope = Scope { project: integration.project.clone(), user: Some(user.to_owned()) };
        let mut notes = Vec::new();
        for _ in 0..TRIES {
            let again = match again {
                Some(id) => Some(self.connections.held(&scope, id)?),
                None => None,
            };
            if let Some(held) = &again {
                same_way(&held.connection, integration, auth)?;
            }
            let twins = match &identity {
                Some(identity) if identity.user.is_some() || identity.account.is_some() => {
                    self.store.twins(integration.id.clone(), identity.clone()).await?
                }
                _ => Vec::new(),
            };
            if let Some(held) = &again
                && let Err(error) = same_account(&held.connection, identity.as_ref(), &manifest.title)
            {
                // What was granted belongs to the account that it is of: its older grant may have died of it.
                if let (Some(tokens), Some(twin)) =
                    (&tokens, twins.iter().find(|twin| twin.auth == auth.name))
                {
                    self.hand_over(twin, tokens, actor).await?;
                }
                return Err(error);
            }
            // The same account of the same user is the same connection.
            let own = again.map(|held| held.connection).or_else(|| {
                let own = |twin: &&Connection| twin.user == user && twin.auth == auth.name;
                twins.iter().find(own).cloned()
            });
            let id = own.as_ref().map_or_else(|| Id::connection().to_string(), |own| own.id.clone());
            // The provider lets only the last grant of an account live: whoever has it shares it.
            // Whoever brings a client or a key of their own has a grant of their own.
            let is_shared = |twin: &&Connection| {
                matches!(auth.kind, AuthKind::Oauth2(_)) && twin.parameters == parameters
            };
            let other = twins.iter().filter(is_shared).find(|twin| {
                twin.id != id && twin.auth == auth.name && twin.state != ConnectionState::Revoked
            });
            let holder = other.map_or_else(|| id.clone(), |other| other.holder.clone());
            if holder != id {
                notes = vec![format!(
                    "another connection leads to the same account; both use one grant, since {} keeps only the last",
                    manifest.title
                )];
            }
            let connection = Connection {
                id: id.clone(),
                project: integration.project.clone(),
                user: user.to_owned(),
                connector: integration.connector.clone(),
                integration: integration.id.clone(),
                auth: auth.name.clone(),
                state,
                reason: reason.clone(),
                since: Timestamp::now(),
                // Who it is stays known where nobody can be asked.
                identity: identity.clone().or_else(|| own.as_ref().and_then(|own| own.identity.clone())),
                scopes: granted.clone(),
                parameters: parameters.clone(),
                members: tokens.as_ref().map(|tokens| tokens.members.clone()).unwrap_or_default(),
                created: own.as_ref().map_or_else(Timestamp::now, |own| own.created),
                holder: holder.clone(),
            };
            let mut secrets: BTreeMap<String, SecretString> =
                typed.iter().map(|(name, secret)| (format!("{TYPED}{name}"), secret.clone())).collect();
            if let Some(tokens) = &tokens {
                refresh::put(&mut secrets, tokens);
            }
            let owner = Owner { project: &integration.project, id: &holder };
            let renewed = Renewed {
                sealed: self.connections.vault.seal(owner, &secrets)?,
                expires: tokens.as_ref().and_then(refresh::expiry),
                scopes: granted.clone(),
                members: connection.members.clone(),
                given: Some(tokens.as_ref().map_or_else(Timestamp::now, |tokens| tokens.given)),
            };
            let action = if own.is_some() { "connection.reconnect" } else { "connection.connect" };
            let audit = Audit::new(&integration.project, actor, action, &id);
            match self.store.connect(connection.clone(), Some(renewed), audit).await? {
                Written::Yes => {
                    tracing::info!(connection = id, state = state.as_str(), "connected");
                    self.give_strays(&connection).await;
                    // What has waited for it goes on.
                    self.events.wake();
                    return Ok(Connected { connection, notes });
                }
                Written::OldKey => self.connections.catch_up().await?,
                Written::Stale => {}
            }
        }
        Err(Error::new(ErrorKind::Conflict, "somebody else is changing this connection")
            .hint("connect it again"))
    }

    /// Gives a connection the tokens that were granted for its account on another occasion.
    async fn hand_over(&self, twin: &Connection, tokens: &Tokens, actor: &str) -> Result<()> {
        let mut secrets = BTreeMap::new();
        refresh::put(&mut secrets, tokens);
        let owner = Owner { project: &twin.project, id: &twin.holder };
        let connection = Connection {
            state: ConnectionState::Valid,
            reason: None,
            scopes: tokens.scopes.clone(),
            members: tokens.members.clone(),
            ..twin.clone()
        };
        for _ in 0..TRIES {
            let renewed = Renewed {
                sealed: self.connections.vault.seal(owner, &secrets)?,
                expires: refresh::expiry(tokens),
                scopes: tokens.scopes.clone(),
                members: tokens.members.clone(),
                given: Some(tokens.given),
            };
            let audit = Audit::new(&twin.project, actor, "connection.reconnect", &twin.id);
            match self.store.connect(connection.clone(), Some(renewed), audit).await? {
                Written::OldKey => self.connections.catch_up().await?,
                Written::Yes => {
                    self.give_strays(&connection).await;
                    self.events.wake();
                    break;
                }
                // Whoever is gone needs no tokens.
                Written::Stale => break,
            }
        }
        Ok(())
    }

    /// Asks the provider who is behind a connection, and says what it lacks: whether it works.
    ///
    /// # Errors
    ///
    /// Why it does not.
    pub async fn test_connection(&self, scope: &Scope, id: &str) -> Result<Connection> {
        let held = self.connections.held(scope, id)?;
        let setting = self.setting(&held.connection.connector)?;
        let deadline = Instant::now() + PATIENCE;
        let used = self.connections.credential(&setting, scope, id, deadline).await?;
        let version = used.version;
        let found = match self.identify(&setting, used.credential, deadline).await {
            Err(error) if error.kind == ErrorKind::Unauthorized => {
                // As for any request: renewed once, then believed.
                let used = self.connections.later(&setting, scope, id, version, deadline).await?;
                let (connection, version) = (used.connection.clone(), used.version);
                let found = self.identify(&setting, used.credential, deadline).await;
                if found.as_ref().is_err_and(|error| error.kind == ErrorKind::Unauthorized) {
                    let reason = "the provider does not accept a token that it has just given";
                    self.connections.condemn(&connection, version, reason).await;
                }
                found
            }
            other => other,
        };
        let identity = found?;
        let held = self.connections.held(scope, id)?;
        same_account(&held.connection, Some(&identity), &setting.manifest.title)?;
        Ok(held.connection)
    }

    /// Renews a connection's token now.
    ///
    /// # Errors
    ///
    /// Why it cannot be renewed.
    pub async fn refresh_connection(&self, scope: &Scope, id: &str) -> Result<Connection> {
        let held = self.connections.held(scope, id)?;
        let setting = self.setting(&held.connection.connector)?;
        if !matches!(setting.auth(&held.connection.auth)?.kind, AuthKind::Oauth2(_)) {
            let text = format!("the connection `{id}` has no token that ends");
            return Err(
                Error::new(ErrorKind::Usage, text).hint("see whether it works: jackfield connection test")
            );
        }
        super::usable(&held.connection)?;
        self.connections.refresh(&setting, held, Instant::now() + PATIENCE).await?;
        Ok(self.connections.held(scope, id)?.connection)
    }

    /// Gives a connection up: tells the provider, and wipes its secrets. The connection stays, revoked. One that shares its
    /// grant only lets go of it.
    ///
    /// # Errors
    ///
    /// If it cannot be written here. That the provider could not be told is none: it is said.
    pub async fn revoke_connection(&self, scope: &Scope, id: &str, actor: &str) -> Result<GivenUp> {
        if self.connections.held(scope, id).is_ok_and(|held| super::usable(&held.connection).is_ok()) {
            self.end_webhooks(id).await;
        }
        for _ in 0..TRIES {
            let held = self.at_rest(scope, id).await?;
            let audit = Audit::new(&scope.project, actor, "connection.revoke", id);
            let connection = held.connection.clone();
            if connection.holder != connection.id {
                let mut alone = connection;
                alone.holder.clone_from(&alone.id);
                (alone.state, alone.reason) =
                    (ConnectionState::Revoked, Some("it was given up here".to_owned()));
                alone.since = Timestamp::now();
                if self.store.connect(alone, None, audit).await? == Written::Yes {
                    return Ok(GivenUp {
                        told: false,
                        why_not: Some("another connection uses the same grant".to_owned()),
                    });
                }
                // The grant may have been handed on to it: then it is this one's to give up.
                continue;
            }
            // Whoever was to have the grant may have given it up meanwhile.
            let Some(shared) = self.hand_on(&held).await? else { continue };
            let held = self.connections.held(scope, id)?;
            if !shared {
                // What the provider is told cannot be taken back: that somebody wants it is on record before.
                let wish = Audit::new(&scope.project, actor, "connection.revoke_at_provider", id);
                self.store.audit(wish).await?;
            }
            let given_up = if shared {
                let why = "another connection uses the same grant".to_owned();
                GivenUp { told: false, why_not: Some(why) }
            } else {
                match self.tell_provider(&held).await {
                    Ok(told) => GivenUp { told, why_not: None },
                    Err(error) => {
                        tracing::warn!(connection = id, "the provider could not be told: {error}");
                        GivenUp { told: false, why_not: Some(error.message) }
                    }
                }
            };
            let reason = Some("it was given up here".to_owned());
            let version = Some(held.grant.version);
            let (state, id) = (ConnectionState::Revoked, id.to_owned());
            if self.store.set_state(id, version, state, reason, Some(audit)).await? == Written::Yes {
                return Ok(given_up);
            }
        }
        Err(Error::new(ErrorKind::Conflict, "somebody else is changing this connection").hint("try again"))
    }

    /// Gives a connection up and takes it away.
    ///
    /// # Errors
    ///
    /// As [`revoke_connection`](Self::revoke_connection).
    pub async fn remove_connection(&self, scope: &Scope, id: &str, actor: &str) -> Result<GivenUp> {
        for _ in 0..TRIES {
            let given_up = self.revoke_connection(scope, id, actor).await?;
            let audit = Audit::new(&scope.project, actor, "connection.remove", id);
            // Somebody may have connected the same account in between, and shares it now.
            if self.store.remove_connection(id.to_owned(), audit).await? {
                return Ok(given_up);
            }
        }
        Err(Error::new(ErrorKind::Conflict, "somebody else is changing this connection").hint("try again"))
    }

    /// Gives up and erases everything of a user.
    ///
    /// # Errors
    ///
    /// If there is no such user, or if something of theirs cannot be erased.
    pub async fn erase_user(&self, project: &str, user: &str, actor: &str) -> Result<Vec<GivenUp>> {
        let scope = Scope { project: project.to_owned(), user: Some(user.to_owned()) };
        let (mut given_up, mut people) = (Vec::new(), Vec::new());
        for _ in 0..TRIES {
            let page = crate::store::Page { after: None, most: 1000 };
            for connection in self.store.connections(scope.clone(), Default::default(), page).await? {
                // Who they are at the provider is not known any more afterwards.
                people.extend(connection.identity.clone().map(|who| (connection.integration.clone(), who)));
                given_up.push(self.remove_connection(&scope, &connection.id, actor).await?);
            }
            let known = self.store.user(project.to_owned(), user.to_owned()).await?;
            if known.is_none() {
                return Err(no_user(user));
            }
            let audit = Audit::new(project, actor, "user.erase", user);
            if self.store.erase_user(project.to_owned(), user.to_owned(), people.clone(), audit).await? {
                return Ok(given_up);
            }
        }
        Err(Error::new(ErrorKind::Conflict, "this user connects accounts faster than they can be given up")
            .hint("try again"))
    }

    /// A connection whose grant nobody renews in this moment, or for so long that it is not waited for any more: what a refresh
    /// brings belongs to whoever goes on with the grant, and is the only thing that the provider still knows.
    async fn at_rest(&self, scope: &Scope, id: &str) -> Result<Held> {
        let until = Instant::now() + PATIENCE;
        loop {
            let held = self.connections.held(scope, id)?;
            let waits = held.connection.holder == held.connection.id
                && held.connection.state == ConnectionState::Refreshing
                && Instant::now() < until;
            if !waits {
                return Ok(held);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Hands the grant of a connection on to another that shares it. False if none does; `None` if it is another one by now, or is
    /// shared by others.
    async fn hand_on(&self, held: &Held) -> Result<Option<bool>> {
        let Held { connection, grant } = held;
        let mut sharers = self.store.sharers(connection.id.clone()).await?;
        let Some(envelope) = &grant.sealed else { return Ok(Some(false)) };
        if sharers.is_empty() {
            return Ok(Some(false));
        }
        let next = sharers.remove(0);
        let vault = &self.connections.vault;
        let owner = Owner { project: &connection.project, id: &connection.id };
        let secrets = vault.open(owner, envelope)?;
        for _ in 0..TRIES {
            let sealed = vault.seal(Owner { project: &next.project, id: &next.id }, &secrets)?;
            let moved = self.store.move_grant(connection.id.clone(), grant.version, next.id.clone(), sealed);
            match moved.await? {
                Written::Yes => return Ok(Some(true)),
                Written::OldKey => self.connections.catch_up().await?,
                Written::Stale => break,
            }
        }
        Ok(None)
    }

    /// Tells the provider that a grant is given up. False if there is nothing to tell it.
    async fn tell_provider(&self, held: &Held) -> Result<bool> {
        let Held { connection, grant } = held;
        let setting = self.setting(&connection.connector)?;
        let auth = setting.auth(&connection.auth)?;
        let AuthKind::Oauth2(oauth) = &auth.kind else { return Ok(false) };
        let (Some(envelope), Some(_)) = (&grant.sealed, &oauth.revoke) else { return Ok(false) };
        let owner = Owner { project: &connection.project, id: &connection.holder };
        let secrets = self.connections.vault.open(owner, envelope)?;
        let (client, _) = self.connections.client(connection, oauth, &secrets).await?;
        let token = secrets.get(REFRESH_TOKEN).or_else(|| secrets.get(ACCESS_TOKEN));
        let Some(token) = token else { return Ok(false) };
        let target = setting.target(Credential::default(), &connection.id);
        oauth::revoke(&setting.egress, &target, oauth, &client, token, Instant::now() + PATIENCE).await?;
        Ok(true)
    }
}

/// A credential of an account that is not kept yet.
fn credential(
    auth: &Auth,
    parameters: &Map<String, Value>,
    typed: &BTreeMap<String, SecretString>,
    tokens: Option<&Tokens>,
) -> Credential {
    let mut secrets = typed.clone();
    if let Some(tokens) = tokens {
        secrets.insert(ACCESS_TOKEN.to_owned(), tokens.access_token.clone());
    }
    Credential {
        auth: auth.name.clone(),
        parameters: parameters.clone(),
        secrets,
        token_members: tokens.map(|tokens| tokens.members.clone()).unwrap_or_default(),
    }
}

/// Whether it is known that what was granted does not suffice to tell whose account it is.
fn lacks(manifest: &Manifest, granted: Option<&[String]>) -> bool {
    granted.is_some_and(|granted| !scopes::suffices(&manifest.identify_scopes, granted))
}

/// Whether a connection is connected again by the way that it was made.
fn same_way(connection: &Connection, integration: &Integration, auth: &Auth) -> Result<()> {
    if connection.integration == integration.id && connection.auth == auth.name {
        return Ok(());
    }
    let text = format!(
        "the connection `{}` was made with `{}`, by the way `{}`",
        connection.id, connection.connector, connection.auth
    );
    Err(Error::new(ErrorKind::Conflict, text)
        .hint("connect it that way, or connect this one as a new connection"))
}

/// Whether an account is the one that a connection has led to so far.
fn same_account(connection: &Connection, now: Option<&Identity>, provider: &str) -> Result<()> {
    let (Some(before), Some(now)) = (&connection.identity, now) else { return Ok(()) };
    if (&before.account, &before.user) == (&now.account, &now.user) {
        return Ok(());
    }
    let text = format!(
        "the connection `{}` leads to {} at {provider}, and this is {}",
        connection.id, before.label, now.label
    );
    Err(Error::new(ErrorKind::Conflict, text)
        .hint(format!("sign in as {} there, or connect this one as a new connection", before.label)))
}

/// Splits what was typed into what is secret and what is not, after it was checked.
fn take(
    setting: &Setting,
    auth: &Auth,
    given: Map<String, Value>,
) -> Result<(Map<String, Value>, BTreeMap<String, SecretString>)> {
    let manifest = &setting.manifest;
    let problems = if auth.parameters.is_empty() {
        given.keys().map(|name| Problem::new(format!("/{}", escape(name)), "is not asked for")).collect()
    } else {
        let unusable =
            |error| Error::new(ErrorKind::PluginRefused, format!("its parameters are unusable: {error}"));
        let validator = Validator::new(manifest.standalone(&auth.parameters)).map_err(unusable)?;
        validator.check(&Value::Object(given.clone()))
    };
    if !problems.is_empty() {
        let text = format!("what is needed for `{}` does not fit", auth.title);
        return Err(Error::new(ErrorKind::InvalidInput, text)
            .problems(problems)
            .hint(format!("see what it takes: jackfield connector show {} -o json", manifest.id)));
    }
    let secret: Vec<&str> = auth.secret_names().collect();
    let (mut parameters, mut typed) = (Map::new(), BTreeMap::new());
    for (name, value) in given {
        match value {
            Value::String(text) if secret.contains(&name.as_str()) => {
                typed.insert(name, SecretString::from(text));
            }
            value if secret.contains(&name.as_str()) => {
                typed.insert(name, SecretString::from(value.to_string()));
            }
            value => {
                parameters.insert(name, value);
            }
        }
    }
    Ok((parameters, typed))
}

/// That there is no such user.
#[must_use]
pub fn no_user(id: &str) -> Error {
    let short: String = id.escape_debug().take(60).collect();
    Error::new(ErrorKind::Unknown, format!("there is no user `{short}`"))
        .hint("see which there are: jackfield user list")
}

impl Connections {
    /// The integration of a connector, which has to be set up.
    ///
    /// # Errors
    ///
    /// If it is not.
    pub async fn integration(&self, project: &str, connector: &str) -> Result<Integration> {
        let found = self.store.integration(project.to_owned(), connector.to_owned()).await?;
        found.ok_or_else(|| integrations::none(connector))
    }
}
