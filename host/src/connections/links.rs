//! Connect links: one-time addresses at which a user connects an account, and the way to the provider and back.
//!
//! What goes out is bound to what comes back: the state is used once, belongs to the browser session that began, and the
//! code is bound to a verifier that never leaves the host. It knows no HTTP: what a browser shows and sends is the
//! [`server`](crate::server)'s business.

use std::{collections::BTreeMap, time::Instant};

use aws_lc_rs::{constant_time, digest, rand};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use connector_protocol::{
    Error, ErrorKind, Result,
    manifest::{Auth, AuthKind, Pkce as PkceRule},
};
use jiff::{SignedDuration, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use url::Url;

use super::{
    account::{Connected, New, PATIENCE},
    oauth::{self, Grant as Asked, Pkce, Why},
    scopes,
};
use crate::{
    egress::Credential,
    host::Host,
    id::Id,
    redact::Redactor,
    store::{Audit, Integration, Link, Progress, Project, Scope, Written},
    vault::Owner,
};

/// How long a link is good.
pub const LIFE: SignedDuration = SignedDuration::from_mins(15);

/// How long a user may take at the provider.
const AWAY: SignedDuration = SignedDuration::from_mins(15);

/// What the verifier is called among a link's secrets.
const VERIFIER: &str = "verifier";

/// What the state is called there: it is compared again when it comes back.
const STATE: &str = "state";

/// How often a change that meets another one is made again.
const TRIES: u32 = 5;

/// A link that is to be made.
#[derive(Debug, Clone, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewLink {
    /// The connector.
    pub connector: String,
    /// For whom: the app's own id of the user. A user's token makes links for that user alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The auth variant, if not the integration's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<String>,
    /// The connection that is to be connected again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<String>,
    /// Where the user is sent back to; it has to begin with one of the project's return addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub return_url: Option<String>,
}

/// Something that a page shows of a link.
pub struct Shown {
    /// The link.
    pub link: Link,
    /// Its project.
    pub project: Project,
    /// What the connector declares.
    pub manifest: std::sync::Arc<connector_protocol::Manifest>,
    /// The scopes that will be asked for or are the app's, each with what needs it.
    pub scopes: Vec<(String, Vec<String>)>,
}

impl Shown {
    /// The auth variant.
    ///
    /// # Errors
    ///
    /// If the connector has it no more.
    pub fn auth(&self) -> Result<&Auth> {
        self.manifest.auth(&self.link.auth).ok_or_else(gone)
    }
}

/// What happens when a user goes on.
pub enum Next {
    /// They go to the provider.
    Away(Url),
    /// It is over.
    Over(Box<Link>),
}

/// What came back from a provider.
#[derive(Default, Deserialize)]
pub struct Back {
    /// What was sent there with the user.
    #[serde(default)]
    pub state: Option<String>,
    /// The code.
    #[serde(default)]
    pub code: Option<SecretString>,
    /// Why there is none.
    #[serde(default)]
    pub error: Option<String>,
    /// The same in words.
    #[serde(default)]
    pub error_description: Option<String>,
    /// Who says that (RFC 9207).
    #[serde(default)]
    pub iss: Option<String>,
}

/// A secret of 32 random bytes that can stand in an address.
///
/// # Errors
///
/// If the system gives no random bytes.
pub fn secret() -> Result<SecretString> {
    let mut bytes = zeroize::Zeroizing::new([0; 32]);
    rand::fill(&mut *bytes)
        .map_err(|_| Error::new(ErrorKind::Internal, "the system gives no random bytes"))?;
    Ok(SecretString::from(URL_SAFE_NO_PAD.encode(*bytes)))
}

/// By what a secret is found again.
#[must_use]
pub fn digest_of(secret: &str) -> Vec<u8> {
    digest::digest(&digest::SHA256, secret.as_bytes()).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn gone() -> Error {
    Error::new(ErrorKind::NotFound, "this link is not good any more").hint("ask the app for a new one")
}

/// Whether a user may be sent there: by one of the addresses that the project allows, compared by origin and by whole
/// segments of the path.
#[must_use]
pub fn may_return(allowed: &[String], to: &str) -> bool {
    if to.chars().any(|c| c.is_control() || c == '\\' || c.is_whitespace()) {
        return false;
    }
    let Ok(url) = Url::parse(to) else { return false };
    if !matches!(url.scheme(), "http" | "https") || !url.username().is_empty() || url.password().is_some() {
        return false;
    }
    allowed.iter().filter_map(|allowed| Url::parse(allowed).ok()).any(|allowed| {
        let root = allowed.path().trim_end_matches('/');
        let below = url.path().strip_prefix(root);
        allowed.origin() == url.origin() && below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

impl Host {
    /// Makes a link, and gives what makes it an address.
    ///
    /// # Errors
    ///
    /// If the connector is not set up, or if what was asked for is not allowed.
    pub async fn add_link(
        &self,
        project: &Project,
        new: NewLink,
        user: &str,
        origin: Option<String>,
        actor: &str,
    ) -> Result<(Link, SecretString)> {
        let token = secret()?;
        let link = self.add_link_as(project, new, user, origin, actor, &token).await?;
        Ok((link, token))
    }

    /// Makes a link of which it is known what makes it an address.
    ///
    /// # Errors
    ///
    /// As [`add_link`](Self::add_link).
    pub async fn add_link_as(
        &self,
        project: &Project,
        new: NewLink,
        user: &str,
        origin: Option<String>,
        actor: &str,
        token: &SecretString,
    ) -> Result<Link> {
        let integration = self.connections.integration(&project.id, &new.connector).await?;
        let setting = self.setting(&new.connector)?;
        let name = new.auth.clone().unwrap_or_else(|| integration.auth.clone());
        let auth = self.auth(&setting.manifest, Some(&name))?;
        if matches!(&auth.kind, AuthKind::Oauth2(oauth) if oauth.client == connector_protocol::manifest::Client::Integration)
        {
            // What would fail at the provider is told to whoever can mend it.
            self.connections.client_of(&integration)?;
        }
        if let Some(url) = new.return_url.as_deref().filter(|url| !may_return(&project.return_urls, url)) {
            let short: String = url.escape_debug().take(120).collect();
            return Err(Error::new(
                ErrorKind::InvalidInput,
                "nobody is sent back to an address that is not allowed",
            )
            .problems([connector_protocol::Problem::new(
                "/return_url",
                format!("`{short}` is not among the project's return addresses"),
            )])
            .hint(format!("allow it: jackfield project add {} --return-url URL", project.id)));
        }
        let mut connection = None;
        if let Some(id) = &new.connection {
            let scope = Scope { project: project.id.clone(), user: Some(user.to_owned()) };
            let held = self.connections.held(&scope, id)?;
            if held.connection.connector != new.connector {
                let text = format!("the connection `{id}` does not lead to `{}`", new.connector);
                return Err(
                    Error::new(ErrorKind::Usage, text).hint("name one that does: jackfield connection list")
                );
            }
            connection = Some(id.clone());
        }
        let now = Timestamp::now();
        let link = Link {
            id: Id::link().to_string(),
            project: project.id.clone(),
            user: user.to_owned(),
            connector: new.connector,
            auth: auth.name.clone(),
            connection,
            return_url: new.return_url,
            origin,
            expires: now.saturating_add(LIFE).unwrap_or(Timestamp::MAX),
            progress: Progress::Open,
            connected: None,
            error: None,
            session: None,
            parameters: Map::new(),
            sealed: None,
        };
        let audit = Audit::new(&project.id, actor, "connect_link.create", &link.id)
            .detail(format!("{} for {user}", link.connector));
        self.store.add_link(link.clone(), digest_of(token.expose_secret()), audit).await?;
        Ok(link)
    }

    async fn link_of(&self, token: &str) -> Result<Link> {
        let found = self.store.link_by(digest_of(token)).await?.ok_or_else(gone)?;
        if found.expires < Timestamp::now() && !found.progress.is_over() {
            return Err(gone());
        }
        Ok(found)
    }

    /// What a link is about, for the page that shows it.
    ///
    /// # Errors
    ///
    /// If it is not good, or not any more.
    pub async fn show_link(&self, token: &str) -> Result<Shown> {
        let link = self.link_of(token).await?;
        let project = self.project(&link.project)?;
        let integration = self.connections.integration(&link.project, &link.connector).await?;
        let manifest = self.setting(&link.connector)?.manifest;
        let scopes = whys(&manifest, &integration);
        Ok(Shown { link, project, manifest, scopes })
    }

    /// Goes on with a link: to the provider, or to the end with what the user has typed. `session` is the browser's.
    ///
    /// # Errors
    ///
    /// If the link is not good; or each problem with what was typed, and then it stays as it was.
    pub async fn follow_link(&self, token: &str, session: &str, typed: Map<String, Value>) -> Result<Next> {
        let seen = self.link_of(token).await?;
        if seen.progress.is_over() || seen.progress == Progress::Back {
            return Err(gone());
        }
        let integration = self.connections.integration(&seen.project, &seen.connector).await?;
        let setting = self.setting(&seen.connector)?;
        let auth = setting.auth(&seen.auth)?;
        let mut link = seen.clone();
        link.session = Some(hex(&digest_of(session)));
        let oauth = match &auth.kind {
            AuthKind::Oauth2(oauth) if oauth.grant == "authorization_code" => oauth,
            _ => {
                let actor = format!("user {}", link.user);
                let again = link.connection.clone();
                let connected = self
                    .connect_typed(&integration, &link.user, &auth.name, again.as_deref(), typed, &actor)
                    .await?;
                return self
                    .close_link(link, seen.progress, Ok(connected))
                    .await
                    .map(|over| Next::Over(Box::new(over)));
            }
        };
        let pkce = if oauth.pkce == PkceRule::S256 { Some(Pkce::new()?) } else { None };
        let state = secret()?;
        let mut secrets = BTreeMap::from([(STATE.to_owned(), state.clone())]);
        secrets.extend(pkce.as_ref().map(|pkce| (VERIFIER.to_owned(), pkce.verifier.clone())));
        link.progress = Progress::Away;
        link.expires = Timestamp::now().saturating_add(AWAY).unwrap_or(Timestamp::MAX);
        let client = self.connections.client_of(&integration)?;
        let target = setting.target(Credential::default(), &link.id);
        let asked = asked_scopes(&setting.manifest, &integration);
        let url = oauth::authorize_url(
            &target,
            oauth,
            &client.id,
            &self.redirect_uri()?,
            state.expose_secret(),
            pkce.as_ref().map(|pkce| pkce.challenge.as_str()),
            &asked,
        )?;
        for _ in 0..TRIES {
            let owner = Owner { project: &link.project, id: &link.id };
            link.sealed = Some(self.connections.vault.seal(owner, &secrets)?);
            let digest = Some(digest_of(state.expose_secret()));
            match self.store.step_link(link.clone(), seen.progress, digest).await? {
                Written::Yes => return Ok(Next::Away(url)),
                Written::OldKey => self.connections.catch_up().await?,
                Written::Stale => break,
            }
        }
        Err(gone())
    }

    /// Takes what a provider has sent a browser back with. The link that it ends; an error only if it belongs to none, or to
    /// another browser, and then nothing is done.
    ///
    /// # Errors
    ///
    /// If nobody began this, or not here, or if it has been used.
    pub async fn come_back(&self, back: Back, session: Option<&str>) -> Result<Link> {
        let unknown = || {
            Error::new(ErrorKind::Usage, "nobody has begun this here, or it is over")
                .hint("begin again at the app, or with: jackfield connect")
        };
        let state = back.state.as_deref().filter(|state| !state.is_empty()).ok_or_else(unknown)?;
        let digest = digest_of(state);
        let seen = self.store.link_by(digest.clone()).await?.ok_or_else(unknown)?;
        if seen.progress != Progress::Away || seen.expires < Timestamp::now() {
            return Err(unknown());
        }
        // Also what the database was made to say has to fit what was sealed.
        let owner = Owner { project: &seen.project, id: &seen.id };
        let sealed = seen.sealed.as_ref().ok_or_else(unknown)?;
        let secrets = self.connections.vault.open(owner, sealed)?;
        let same = |a: &[u8], b: &[u8]| constant_time::verify_slices_are_equal(a, b).is_ok();
        let sent = secrets.get(STATE).ok_or_else(unknown)?;
        let ours = session.map(|session| hex(&digest_of(session)));
        let theirs = seen.session.clone().unwrap_or_default();
        if !same(&digest_of(sent.expose_secret()), &digest)
            || !ours.is_some_and(|ours| same(ours.as_bytes(), theirs.as_bytes()))
        {
            return Err(Error::new(ErrorKind::Usage, "this was begun in another browser, and ends there")
                .hint("begin again in this one"));
        }
        let mut link = seen.clone();
        link.progress = Progress::Back;
        link.sealed = None;
        // From here on the state is used, whatever comes of it.
        if self.store.step_link(link.clone(), Progress::Away, None).await? != Written::Yes {
            return Err(unknown());
        }
        let done = self.exchange(&link, back, &secrets).await;
        self.close_link(link, Progress::Back, done).await
    }

    async fn exchange(
        &self,
        link: &Link,
        back: Back,
        secrets: &BTreeMap<String, SecretString>,
    ) -> Result<Connected> {
        let integration = self.connections.integration(&link.project, &link.connector).await?;
        let setting = self.setting(&link.connector)?;
        let auth = setting.auth(&link.auth)?;
        let AuthKind::Oauth2(oauth) = &auth.kind else { return Err(gone()) };
        let title = &setting.manifest.title;
        let redirect_uri = self.redirect_uri()?;
        let client = self.connections.client_of(&integration)?;
        let target = setting.target(Credential::default(), &link.id);
        let authorize = target.address(oauth.authorize.as_ref().ok_or_else(gone)?)?;
        oauth::check_issuer(back.iss.as_deref(), oauth.issuer.as_deref(), &authorize)?;
        if let Some(error) = &back.error {
            return Err(refused(title, error, back.error_description.as_deref()));
        }
        let code = back.code.filter(|code| !code.expose_secret().is_empty()).ok_or_else(|| {
            Error::new(ErrorKind::UnexpectedAnswer, format!("{title} sent neither a code nor a reason"))
        })?;
        let grant = Asked::Code { code: &code, redirect_uri: &redirect_uri, verifier: secrets.get(VERIFIER) };
        let asked =
            oauth::token(&setting.egress, &target, oauth, &client, grant, Instant::now() + PATIENCE).await;
        let tokens = match asked {
            Ok(tokens) => tokens,
            Err(refused) => {
                if refused.why == Why::Client {
                    let fault = Some(refused.error.message.clone());
                    let _ = self.store.set_integration_fault(integration.id.clone(), fault).await;
                }
                return Err(refused.error);
            }
        };
        let again = link.connection.clone();
        let new = New {
            integration: &integration,
            user: &link.user,
            auth,
            again: again.as_deref(),
            parameters: link.parameters.clone(),
            typed: BTreeMap::new(),
            tokens: Some(tokens),
            actor: &format!("user {}", link.user),
        };
        self.connect_account(&setting, new).await
    }

    /// Writes down how a link has ended.
    async fn close_link(&self, mut link: Link, seen: Progress, done: Result<Connected>) -> Result<Link> {
        match done {
            Ok(connected) => {
                link.progress = Progress::Connected;
                link.connected = Some(connected.connection.id);
            }
            Err(error) => {
                link.progress =
                    if error.kind == ErrorKind::Cancelled { Progress::Denied } else { Progress::Failed };
                tracing::info!(link = link.id, kind = %error.kind, "not connected: {error}");
                link.error = Some(error);
            }
        }
        link.sealed = None;
        self.store.step_link(link.clone(), seen, None).await?;
        Ok(link)
    }

    /// Where providers send users back to: one address for all, as it is registered with them.
    ///
    /// # Errors
    ///
    /// If the configuration is wrong.
    pub fn redirect_uri(&self) -> Result<String> {
        Ok(format!("{}/oauth/callback", self.settings()?.config.public_url.base()))
    }

    /// A project.
    ///
    /// # Errors
    ///
    /// If there is none of this name.
    pub fn project(&self, id: &str) -> Result<Project> {
        let found = self.store.projects()?.into_iter().find(|project| project.id == id);
        found.ok_or_else(|| {
            let short: String = id.escape_debug().take(60).collect();
            Error::new(ErrorKind::Unknown, format!("there is no project `{short}`"))
                .hint("see which there are: jackfield project list")
        })
    }
}

/// The scopes that a user is asked for: the ones the operator has said, or all that anything needs.
fn asked_scopes(manifest: &connector_protocol::Manifest, integration: &Integration) -> Vec<String> {
    if integration.scopes.is_empty() {
        return scopes::needed(manifest, scopes::family(manifest, &[]));
    }
    integration.scopes.clone()
}

/// Scopes, each with the titles of what needs it.
fn whys(manifest: &connector_protocol::Manifest, integration: &Integration) -> Vec<(String, Vec<String>)> {
    let asked = asked_scopes(manifest, integration);
    let family = scopes::family(manifest, &asked).map(str::to_owned);
    let why = |scope: &String| {
        let needs =
            |needed| scopes::of_family(needed, family.as_deref()).is_some_and(|set| set.all.contains(scope));
        let mut why = Vec::new();
        if needs(&manifest.identify_scopes) {
            why.push("To know which account this is".to_owned());
        }
        why.extend(
            manifest.actions.iter().filter(|action| needs(&action.scopes)).map(|action| action.title.clone()),
        );
        let triggers = manifest.triggers.iter().filter(|trigger| needs(&trigger.scopes));
        why.extend(triggers.map(|trigger| format!("When: {}", trigger.title)));
        why
    };
    asked.iter().map(|scope| (scope.clone(), why(scope))).collect()
}

/// What it means that a provider sends a user back without a code.
fn refused(title: &str, error: &str, description: Option<&str>) -> Error {
    // What anybody can put into an address is shown short, and never as anything but text.
    let clean = |text: &str| -> String {
        Redactor::default().text(text).chars().filter(|c| !c.is_control()).take(200).collect()
    };
    let said = description.map_or(String::new(), |text| format!(": {}", clean(text)));
    if error == "access_denied" {
        return Error::new(ErrorKind::Cancelled, format!("the user has not allowed it{said}"))
            .hint("nothing was connected; begin again to change your mind");
    }
    Error::new(ErrorKind::Refused, format!("{title} refused: {}{said}", clean(error)))
        .hint("see what the app is set up with: jackfield doctor")
}
