//! Accounts as they are shown to whoever may see them: without secrets, and without what is only the host's.

use connector_protocol::{Manifest, Result, message::Identity};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::{
    connections::{
        CLIENT_SECRET,
        integrations::{HANDSHAKE_SECRET, WEBHOOK_SECRET, WEBHOOK_SECRET_BEFORE, handshake_secret},
        scopes::{self, Gap},
    },
    host::Host,
    store::{Connection, ConnectionState, Integration, Link, Progress},
};

/// A part of a list, and where it goes on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct List<T> {
    /// What there is.
    pub items: Vec<T>,
    /// What gets the next part, as `after`; absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl<T> List<T> {
    /// A list of so many at most, made of one more than that.
    pub(crate) fn of(mut items: Vec<T>, most: u32, cursor: impl Fn(&T) -> String) -> Self {
        let most = most as usize;
        let more = items.len() > most;
        items.truncate(most);
        let next = if more { items.last().map(cursor) } else { None };
        Self { items, next }
    }

    /// A list that is whole.
    pub(crate) fn whole(items: Vec<T>) -> Self {
        Self { items, next: None }
    }
}

/// A connection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ConnectionShown {
    /// Its id: `conn_…`.
    pub id: String,
    /// The tenant.
    pub project: String,
    /// Whose it is, by the app's own id.
    pub user: String,
    /// The connector.
    pub connector: String,
    /// The auth variant.
    pub auth: String,
    /// How it is.
    pub state: ConnectionState,
    /// Why it is so, where that is not plain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Since when it is so.
    #[schemars(with = "String")]
    pub since: Timestamp,
    /// What people know the account by.
    pub label: String,
    /// The provider's id of the account (the organisation).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The provider's id of the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account_user: Option<String>,
    /// The scopes that were granted, if the provider says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
    /// What cannot be done with them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<Gap>,
    /// Its parameters that are no secrets.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub parameters: Map<String, Value>,
    /// When it was made.
    #[schemars(with = "String")]
    pub created: Timestamp,
    /// The connection whose grant it shares, since both lead to one account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shares: Option<String>,
}

impl ConnectionShown {
    /// A connection as it is shown. Without a manifest, nobody knows what it lacks.
    #[must_use]
    pub fn of(connection: Connection, manifest: Option<&Manifest>) -> Self {
        let label = connection.label().to_owned();
        let (account, account_user) = match connection.identity {
            Some(Identity { account, user, .. }) => (account, user),
            None => (None, None),
        };
        let gaps = match (manifest, &connection.scopes) {
            (Some(manifest), Some(scopes)) => scopes::gaps(manifest, scopes),
            _ => Vec::new(),
        };
        let shares = (connection.holder != connection.id).then_some(connection.holder);
        Self {
            id: connection.id,
            project: connection.project,
            user: connection.user,
            connector: connection.connector,
            auth: connection.auth,
            state: connection.state,
            reason: connection.reason,
            since: connection.since,
            label,
            account,
            account_user,
            scopes: connection.scopes,
            gaps,
            parameters: connection.parameters,
            created: connection.created,
            shares,
        }
    }
}

/// An integration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct IntegrationShown {
    /// Its id: `int_…`.
    pub id: String,
    /// The tenant.
    pub project: String,
    /// The connector.
    pub connector: String,
    /// How accounts are connected.
    pub auth: String,
    /// The client id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Whether there is a client secret.
    pub has_client_secret: bool,
    /// Whether there is a webhook secret.
    pub has_webhook_secret: bool,
    /// Whether the webhook secret before is still accepted beside it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub rotates_webhook_secret: bool,
    /// Whether there is the secret that handshakes repeat; absent where the connector has none of its own for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub has_handshake_secret: Option<bool>,
    /// The scopes that the app was given.
    pub scopes: Vec<String>,
    /// Why nothing can be connected or refreshed, if the provider does not accept the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// Where the provider sends users back to.
    pub redirect_uri: String,
    /// Where the provider sends webhooks to.
    pub webhook_url: String,
    /// When it was made.
    #[schemars(with = "String")]
    pub created: Timestamp,
    /// When it was last changed.
    #[schemars(with = "String")]
    pub changed: Timestamp,
    /// What was noticed while it was changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// What was changed just now, or would be, by the names of what can be set.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<String>,
}

/// An integration as it is shown.
///
/// # Errors
///
/// If the configuration is wrong.
pub fn integration(host: &Host, integration: Integration, notes: Vec<String>) -> Result<IntegrationShown> {
    let has =
        |name: &str| integration.sealed.as_ref().is_some_and(|envelope| envelope.fields.contains_key(name));
    let base = host.settings()?.config.public_url.base().to_owned();
    let library = host.registry().find(&integration.connector).ok().cloned();
    let manifest = library.and_then(|library| library.manifest().ok().cloned());
    let is_declared = manifest.is_some_and(|manifest| handshake_secret(&manifest).is_some());
    let has_handshake_secret = has(HANDSHAKE_SECRET);
    Ok(IntegrationShown {
        has_client_secret: has(CLIENT_SECRET),
        has_webhook_secret: has(WEBHOOK_SECRET),
        rotates_webhook_secret: has(WEBHOOK_SECRET_BEFORE),
        has_handshake_secret: (is_declared || has_handshake_secret).then_some(has_handshake_secret),
        redirect_uri: host.redirect_uri()?,
        webhook_url: format!("{base}/webhooks/{}/{}", integration.connector, integration.id),
        id: integration.id,
        project: integration.project,
        connector: integration.connector,
        auth: integration.auth,
        client_id: integration.client_id,
        scopes: integration.scopes,
        fault: integration.fault,
        created: integration.created,
        changed: integration.changed,
        notes,
        changes: Vec::new(),
    })
}

/// What is to be set of an integration. What is left out stays as it is.
#[derive(Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct IntegrationSet {
    /// The connector; needed to set it up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connector: Option<String>,
    /// How accounts are connected: the name of an auth variant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auth: Option<String>,
    /// The client id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// The client secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("writeOnly" = true))]
    pub client_secret: Option<Zeroizing<String>>,
    /// The webhook secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("writeOnly" = true))]
    pub webhook_secret: Option<Zeroizing<String>>,
    /// The secret that handshakes repeat, where it is another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("writeOnly" = true))]
    pub handshake_secret: Option<Zeroizing<String>>,
    /// The scopes that the app was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
}

/// A connect link as it is shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LinkShown {
    /// Its id: `lnk_…`.
    pub id: String,
    /// The address to send the user to; only whoever makes a link learns it, and only then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The connector.
    pub connector: String,
    /// For whom.
    pub user: String,
    /// How far it is.
    pub progress: Progress,
    /// Until when it is good.
    #[schemars(with = "String")]
    pub expires: Timestamp,
    /// The connection that came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<String>,
    /// Why it came to nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<connector_protocol::Error>,
}

impl LinkShown {
    /// A link as it is shown.
    #[must_use]
    pub fn of(link: Link, url: Option<String>) -> Self {
        Self {
            id: link.id,
            url,
            connector: link.connector,
            user: link.user,
            progress: link.progress,
            expires: link.expires,
            connection: link.connected,
            error: link.error,
        }
    }
}

/// A project that is to be added or changed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProjectSet {
    /// Its name: lower-case letters, digits, dashes and underscores.
    #[schemars(regex(pattern = "^[a-z0-9_-]{1,63}$"))]
    pub id: String,
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Where people may be sent back to after connecting; in addition to those there are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub return_urls: Vec<String>,
    /// Those of them where nobody is sent back to any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove_return_urls: Vec<String>,
}

/// A token that is to be made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TokenSet {
    /// What the operator calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The user it acts as, for development; without one it is an operator's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// For how many days it is good; a user's at most 30, and 1 if nobody says.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 3650))]
    pub days: Option<u32>,
    /// Whether it is for all projects: an operator's only.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub all_projects: bool,
}

/// A token that was made.
#[derive(Serialize, Deserialize, JsonSchema)]
pub struct TokenMade {
    /// The token. It is shown once.
    pub token: String,
    /// What is kept of it.
    #[serde(flatten)]
    pub kept: crate::store::ApiToken,
}

/// Accounts that are connected with what is typed.
#[derive(Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConnectTyped {
    /// The connector.
    pub connector: String,
    /// Whose it will be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The auth variant, if not the integration's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<String>,
    /// The connection that is connected again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<String>,
    /// Its parameters, secret ones too, by the schema of the auth variant.
    pub parameters: Map<String, Value>,
}

/// What came of connecting an account.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ConnectedShown {
    /// The connection.
    pub connection: ConnectionShown,
    /// What its user should know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}
