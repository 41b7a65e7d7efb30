//! Who may do what as whom: projects, integrations, users, connections and their grants, as they are kept.
//!
//! What is secret comes here sealed ([`Envelope`]) and leaves sealed. Every look-up takes the tenant ([`Scope`]): what
//! belongs to another one is not there.

use std::collections::BTreeMap;

use connector_protocol::{Result, message::Identity};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Pending;
use crate::vault::Envelope;

/// The project that every home has.
pub const DEFAULT_PROJECT: &str = "default";

/// Whose things somebody may see.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Scope {
    /// The tenant.
    pub project: String,
    /// The end user; everybody's things without one.
    pub user: Option<String>,
}

impl Scope {
    /// Everything in a project.
    pub fn project(project: impl Into<String>) -> Self {
        Self { project: project.into(), user: None }
    }
}

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Project {
    /// Its name, by which it is addressed.
    pub id: String,
    /// What people call it; they see it when they are asked to connect an account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Where people may be sent back to after connecting, as beginnings of addresses.
    #[serde(default)]
    pub return_urls: Vec<String>,
    /// When it was made.
    #[schemars(with = "String")]
    pub created: Timestamp,
}

/// The public half of a key that an app signs its users' tokens with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct SigningKey {
    /// Its id: `key_` and the beginning of its fingerprint.
    pub id: String,
    /// The project whose users it vouches for.
    pub project: String,
    /// The one algorithm that it is used with: `RS256` or `EdDSA`.
    pub algorithm: String,
    /// The key, as PEM.
    pub pem: String,
    /// When it was added.
    #[schemars(with = "String")]
    pub created: Timestamp,
}

/// A connector, set up for a project.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Integration {
    /// Its id: `int_…`.
    pub id: String,
    /// The tenant.
    pub project: String,
    /// The connector.
    pub connector: String,
    /// How accounts are connected, unless somebody says otherwise: the name of an auth variant.
    pub auth: String,
    /// The client id of the operator's app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// The scopes that the operator's app was given.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Why nothing can be connected or refreshed, if the provider does not accept the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// When it was made.
    pub created: Timestamp,
    /// When it was last changed.
    pub changed: Timestamp,
    /// Counts its changes.
    #[serde(default)]
    pub version: i64,
    /// Its secrets: `client_secret`, `webhook_secret`, `webhook_secret_before`, `handshake_secret`.
    #[serde(skip)]
    pub sealed: Option<Envelope>,
}

/// An end user of an app.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct User {
    /// The app's own id of them.
    pub id: String,
    /// What the app keeps of them.
    #[serde(default)]
    pub meta: Map<String, Value>,
    /// When they were first seen.
    #[schemars(with = "String")]
    pub created: Timestamp,
    /// How many connections they have.
    pub connections: u64,
}

/// How a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConnectionState {
    /// It can be used.
    Valid,
    /// Its token is being renewed.
    Refreshing,
    /// It lacks a scope that it cannot do without.
    NeedsScope,
    /// Its user has to connect again.
    NeedsReauth,
    /// It was given up, here or at the provider.
    Revoked,
}

impl ConnectionState {
    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Refreshing => "refreshing",
            Self::NeedsScope => "needs_scope",
            Self::NeedsReauth => "needs_reauth",
            Self::Revoked => "revoked",
        }
    }
}

/// One user's authorised link to one provider account.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Connection {
    /// Its id: `conn_…`.
    pub id: String,
    /// The tenant.
    pub project: String,
    /// Whose it is, by the app's own id.
    pub user: String,
    /// The connector.
    pub connector: String,
    /// The integration whose client it was made with.
    pub integration: String,
    /// The auth variant.
    pub auth: String,
    /// How it is.
    pub state: ConnectionState,
    /// Why it is so, where that is not plain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Since when it is so.
    pub since: Timestamp,
    /// The account behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<Identity>,
    /// The scopes that were granted, if the provider says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
    /// Its parameters that are no secrets.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub parameters: Map<String, Value>,
    /// What was kept of the token answer.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub members: BTreeMap<String, String>,
    /// When it was made.
    pub created: Timestamp,
    /// The connection that holds the secrets: itself, or another one of the same account, whose grant it shares.
    pub holder: String,
}

impl Connection {
    /// What people know its account by.
    #[must_use]
    pub fn label(&self) -> &str {
        self.identity.as_ref().map_or("an unnamed account", |identity| &identity.label)
    }
}

/// The secrets of a connection, and what is known of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Grant {
    /// Counts its changes: whoever changes it says which it has seen.
    pub version: i64,
    /// The secrets: `access_token`, `refresh_token`, or those that the connection's user typed.
    pub sealed: Option<Envelope>,
    /// When the access token ends, if the provider says.
    pub expires: Option<Timestamp>,
    /// When the tokens came.
    pub refreshed: Option<Timestamp>,
    /// When the user has let the app in, by the provider's clock as far as it tells: a refresh changes nothing of that.
    pub given: Option<Timestamp>,
    /// How often a refresh with this refresh token was begun and never ended, because its process did; and one for answers
    /// that were lost.
    pub sent: i64,
    /// Before when no other refresh is tried, after one that failed.
    pub retry_at: Option<Timestamp>,
}

/// A connection with its grant, the one that it shares or its own.
#[derive(Debug, Clone, PartialEq)]
pub struct Held {
    /// The connection.
    pub connection: Connection,
    /// Its grant.
    pub grant: Grant,
}

/// That a refresh may be made by whoever has this, and by nobody else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Counts the leases of a grant: what comes with an older number is refused.
    pub fence: i64,
    /// The grant, read after the lease was won.
    pub grant: Grant,
}

/// What a refresh has brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renewed {
    /// The secrets, all of them.
    pub sealed: Envelope,
    /// When the access token ends.
    pub expires: Option<Timestamp>,
    /// The scopes, if the provider has said.
    pub scopes: Option<Vec<String>>,
    /// What was kept of the token answer.
    pub members: BTreeMap<String, String>,
    /// When the user has let the app in, if it is that what has brought it.
    pub given: Option<Timestamp>,
}

/// What became of writing something that somebody else may have changed meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// It is written.
    Yes,
    /// Somebody else was first: read it again.
    Stale,
    /// It was sealed by a key that another one has taken the place of: seal it again.
    OldKey,
}

/// A one-time address at which a user connects an account.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Link {
    /// Its id: `lnk_…`.
    pub id: String,
    /// The tenant.
    pub project: String,
    /// For whom.
    pub user: String,
    /// The connector.
    pub connector: String,
    /// The auth variant.
    pub auth: String,
    /// The connection that is connected again, if it is one that was there before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<String>,
    /// Where the user is sent back to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub return_url: Option<String>,
    /// The origin of the page that has opened it and is told how it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// Until when it is good.
    pub expires: Timestamp,
    /// How far it is.
    pub progress: Progress,
    /// The connection that came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connected: Option<String>,
    /// Why it came to nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<connector_protocol::Error>,
    /// The SHA-256 of the browser session that opened it, in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<String>,
    /// What the user has typed that is no secret.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub parameters: Map<String, Value>,
    /// The verifier of the code, and secrets that the user has typed.
    #[serde(skip)]
    pub sealed: Option<Envelope>,
}

/// How far a connect link is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    /// Nobody has followed it to its end.
    Open,
    /// The user is at the provider.
    Away,
    /// The user is back, and the code is being exchanged.
    Back,
    /// It is connected.
    Connected,
    /// The user has said no.
    Denied,
    /// It went wrong.
    Failed,
}

impl Progress {
    /// Whether nothing more comes of it.
    #[must_use]
    pub fn is_over(self) -> bool {
        matches!(self, Self::Connected | Self::Denied | Self::Failed)
    }
}

/// A token for the API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct ApiToken {
    /// Its id: `tok_…`.
    pub id: String,
    /// What the operator calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The tenant it is for; an operator's without one is for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// The user it acts as; without one it is an operator's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// When it was made.
    #[schemars(with = "String")]
    pub created: Timestamp,
    /// Until when it is good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub expires: Option<Timestamp>,
}

/// An entry of the audit log: who did what to what. It is written in the same commit as what it tells of, or that is not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Audit {
    /// Counts the entries.
    #[serde(default)]
    pub seq: i64,
    /// When.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// The tenant.
    pub project: String,
    /// Who: `operator`, `token tok_…`, `user u_42`, `jackfield` itself.
    pub actor: String,
    /// What was done: `connection.revoke`.
    pub action: String,
    /// To what, by its id.
    pub target: String,
    /// More of it, in a few words. No secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl Audit {
    /// That somebody has done something just now.
    pub fn new(
        project: impl Into<String>,
        actor: impl Into<String>,
        action: &str,
        target: impl Into<String>,
    ) -> Self {
        Self {
            seq: 0,
            at: Timestamp::now(),
            project: project.into(),
            actor: actor.into(),
            action: action.to_owned(),
            target: target.into(),
            detail: None,
        }
    }

    /// Says more.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }
}

/// Something that has happened and that an app may want to know: at a provider, or here. An app gets it like this.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Event {
    /// Its id: `evt_…`. However often it is sent, it is the same event.
    pub id: String,
    /// What has happened: `zoom.new_meeting`, `connection.state_changed`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The version of the connector that has made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// When it happened, by the provider's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub occurred_at: Option<Timestamp>,
    /// When it was received, or happened here.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// The connection it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<String>,
    /// Whose that is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The delivery that it was made of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery: Option<String>,
    /// Why it is not complete, if it was to be completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incomplete: Option<String>,
    /// Why nobody is known for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unrouted: Option<String>,
    /// What is known of it.
    pub data: Value,
}

/// Which part of a list is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// What comes after this one.
    pub after: Option<String>,
    /// How many at most.
    pub most: u32,
}

impl Default for Page {
    fn default() -> Self {
        Self { after: None, most: 50 }
    }
}

/// Which connections are wanted. What is left out does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Which {
    /// Of this connector.
    pub connector: Option<String>,
    /// In this state.
    pub state: Option<ConnectionState>,
}

/// What became of a request that may be repeated and is done once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Once {
    /// Nobody has asked for it yet: it is to be done now, and [`answered`](Accounts::answered).
    New,
    /// It is being done.
    UnderWay,
    /// The process that did it ended before it was over: nobody knows what became of it.
    Lost,
    /// It was answered like this.
    Answered {
        /// The status.
        status: u16,
        /// The body.
        body: String,
    },
    /// Something else was asked for under this key.
    Another,
}

/// Where accounts are kept. When a method that changes something is done, the change survives the machine.
pub trait Accounts: Send + Sync {
    /// All projects. Read where it is asked for.
    fn projects(&self) -> Result<Vec<Project>>;

    /// Adds a project, or changes the one that is there.
    fn put_project(&self, project: Project, audit: Audit) -> Pending<()>;

    /// The keys of a project, or of all. Read where it is asked for, on the way of every request.
    fn signing_keys(&self, project: Option<&str>) -> Result<Vec<SigningKey>>;

    /// Adds a key. False if there is one of this id, in whatever project.
    fn add_signing_key(&self, key: SigningKey, audit: Audit) -> Pending<bool>;

    /// Takes a key out. False if there is none.
    fn remove_signing_key(&self, project: String, id: String, audit: Audit) -> Pending<bool>;

    /// The integrations of a project.
    fn integrations(&self, project: String) -> Pending<Vec<Integration>>;

    /// The integration of a connector, or of this id.
    fn integration(&self, project: String, connector: String) -> Pending<Option<Integration>>;

    /// Adds an integration whose version is 0, or changes the one whose version it has.
    fn put_integration(&self, integration: Integration, audit: Audit) -> Pending<Written>;

    /// Says that the provider does not accept an integration's client, or that it does again.
    fn set_integration_fault(&self, id: String, fault: Option<String>) -> Pending<()>;

    /// Takes an integration away that has no connections. False if it has some.
    fn remove_integration(&self, integration: Integration, audit: Audit) -> Pending<bool>;

    /// The users of a project.
    fn users(&self, project: String, page: Page) -> Pending<Vec<User>>;

    /// A user.
    fn user(&self, project: String, id: String) -> Pending<Option<User>>;

    /// Makes sure that there is such a user, and changes what the app keeps of them if that is given.
    fn put_user(&self, project: String, id: String, meta: Option<Map<String, Value>>) -> Pending<()>;

    /// Erases a user who has no connections any more, what was run for them, and what nobody is known for and names one of these
    /// people of theirs at these integrations. False if there is none, or if they have.
    fn erase_user(
        &self,
        project: String,
        id: String,
        people: Vec<(String, Identity)>,
        audit: Audit,
    ) -> Pending<bool>;

    /// Connections, the oldest first.
    fn connections(&self, scope: Scope, which: Which, page: Page) -> Pending<Vec<Connection>>;

    /// A connection and its grant. It is read where it is asked for, on the way of every request.
    fn held(&self, scope: &Scope, id: &str) -> Result<Option<Held>>;

    /// The connections of an integration that lead to this account.
    fn twins(&self, integration: String, identity: Identity) -> Pending<Vec<Connection>>;

    /// Those that share the grant of this connection, without itself.
    fn sharers(&self, holder: String) -> Pending<Vec<Connection>>;

    /// Adds a connection or connects it again, with these secrets in its holder's grant. What was under way for that is
    /// fenced off.
    fn connect(&self, connection: Connection, renewed: Option<Renewed>, audit: Audit) -> Pending<Written>;

    /// Moves a grant to another connection that shares it, together with all that share it; not while somebody renews it.
    fn move_grant(&self, from: String, version: i64, to: String, sealed: Envelope) -> Pending<Written>;

    /// Changes how connections of a grant are, if the grant is the one that was seen. `wipe` takes its secrets away, and not
    /// while somebody renews them.
    fn set_state(
        &self,
        holder: String,
        version: Option<i64>,
        state: ConnectionState,
        reason: Option<String>,
        wipe: Option<Audit>,
    ) -> Pending<Written>;

    /// Takes a connection away that is revoked and whose grant nobody shares. False if it is not.
    fn remove_connection(&self, id: String, audit: Audit) -> Pending<bool>;

    /// Takes the lease on a grant for this many milliseconds, unless somebody has it, and counts one more refresh that was
    /// begun.
    fn lease(&self, holder: String, owner: String, ms: i64) -> Pending<Option<Lease>>;

    /// Whether nobody has taken the lease since. Read where it is asked for.
    fn has_lease(&self, holder: &str, fence: i64) -> Result<bool>;

    /// Keeps the lease for this many milliseconds more. False if it is lost.
    fn keep_lease(&self, holder: String, fence: i64, ms: i64) -> Pending<bool>;

    /// Gives the lease up. `unsent`: nothing was sent, or it is known that nothing came of it; otherwise an answer was lost, and
    /// that counts once, however often. With a time, no refresh is tried before it.
    fn release(&self, holder: String, fence: i64, unsent: bool, retry_at: Option<Timestamp>) -> Pending<()>;

    /// Keeps what a refresh has brought, for whoever has the lease, and gives it up.
    fn renew(&self, holder: String, fence: i64, version: i64, renewed: Renewed) -> Pending<Written>;

    /// Grants that can be refreshed, are valid, and whose tokens are older than this, the oldest first.
    fn idle_since(&self, before: Timestamp, most: u32) -> Pending<Vec<Connection>>;

    /// Adds a link, to be found by the digest of its token.
    fn add_link(&self, link: Link, token: Vec<u8>, audit: Audit) -> Pending<()>;

    /// A link, by the digest of its token or of its state.
    fn link_by(&self, digest: Vec<u8>) -> Pending<Option<Link>>;

    /// A link, by its id.
    fn link(&self, scope: Scope, id: String) -> Pending<Option<Link>>;

    /// Takes a link one step further, if it is where it was seen; with a digest of a state, it is found by that from now on,
    /// and not by the one before.
    fn step_link(&self, link: Link, seen: Progress, state: Option<Vec<u8>>) -> Pending<Written>;

    /// Adds a token.
    fn add_token(&self, token: ApiToken, digest: Vec<u8>, audit: Audit) -> Pending<()>;

    /// The token of this digest. Read where it is asked for, on the way of every request.
    fn token(&self, digest: &[u8]) -> Result<Option<ApiToken>>;

    /// The tokens for a project, and those for all.
    fn tokens(&self, project: Option<String>) -> Pending<Vec<ApiToken>>;

    /// Takes a token back. False if there is none.
    fn remove_token(&self, id: String, audit: Audit) -> Pending<bool>;

    /// Writes an entry of the audit log by itself, for what is not done in the store.
    fn audit(&self, audit: Audit) -> Pending<()>;

    /// The audit log after this entry, in the order in which it was written, or the other way round with `newest`; of a project, or
    /// of all.
    fn audit_log(
        &self,
        project: Option<String>,
        after: Option<i64>,
        newest: bool,
        most: u32,
    ) -> Pending<Vec<Audit>>;

    /// Says that something of this key is about to be done. `request` tells what, by its digest.
    fn once(&self, scope: Scope, key: String, request: Vec<u8>) -> Pending<Once>;

    /// Says how it was answered; without an answer, it was not done and may be asked for again.
    fn answered(&self, scope: Scope, key: String, answer: Option<(u16, String)>) -> Pending<()>;

    /// The ids of the keys that secrets are sealed with, and of the one that they are to be sealed with.
    fn keys_in_use(&self) -> Pending<(Vec<String>, Option<String>)>;

    /// From now on, what is sealed by another key is not taken.
    fn set_key(&self, id: String, audit: Audit) -> Pending<()>;

    /// Some of what is sealed by another key than this one.
    fn sealed_otherwise(&self, key: String, most: u32) -> Pending<Vec<Sealed>>;

    /// Puts something sealed in the place of what was seen.
    fn reseal(&self, seen: Sealed, now: Envelope) -> Pending<Written>;

    /// Copies everything into a file that is not there yet, while others go on.
    fn backup(&self, file: std::path::PathBuf) -> Pending<()>;
}

/// Something sealed, wherever it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// The table.
    pub place: SealedPlace,
    /// The tenant.
    pub project: String,
    /// Whose secrets they are.
    pub id: String,
    /// The envelope.
    pub envelope: Envelope,
}

/// Where something sealed lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealedPlace {
    /// With an integration.
    Integration,
    /// With a connection.
    Connection,
    /// With a connect link.
    Link,
    /// With a subscription.
    Subscription,
}
