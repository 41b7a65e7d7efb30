//! How a connection to a provider is authorised, as data: what is asked of the user, which grant is used, and where each
//! secret is placed on a request. Nothing here is secret.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Schema;

/// One way to authorise a connection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Auth {
    /// The variant's name.
    pub name: String,
    /// The name people see.
    pub title: String,
    /// When to choose it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The grant.
    #[serde(flatten)]
    pub kind: AuthKind,
    /// What the connection itself has to know: an object, its secrets marked `x-secret`.
    #[serde(default, skip_serializing_if = "Schema::is_empty")]
    pub parameters: Schema,
    /// Where the secrets go on a request.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub placement: Vec<Placement>,
}

impl Auth {
    /// A way to authorise a connection; see also [`oauth2`](Self::oauth2), [`api_key`](Self::api_key) and the others.
    pub fn new(name: impl Into<String>, title: impl Into<String>, kind: AuthKind) -> Self {
        Self {
            name: name.into(),
            title: title.into(),
            description: None,
            kind,
            parameters: Schema::new(),
            placement: Vec::new(),
        }
    }

    /// By OAuth 2. The access token is sent as a bearer token.
    pub fn oauth2(name: impl Into<String>, title: impl Into<String>, oauth: Oauth2) -> Self {
        Self::new(name, title, AuthKind::Oauth2(Box::new(oauth)))
            .header("Authorization", "Bearer {access_token}")
    }

    /// By a key that the user pastes. Say where it goes with [`header`](Self::header) or [`query`](Self::query).
    pub fn api_key(name: impl Into<String>, title: impl Into<String>) -> Self {
        Self::new(name, title, AuthKind::ApiKey {})
    }

    /// By a name and a password, both templates over the connection's parameters.
    pub fn basic(
        name: impl Into<String>,
        title: impl Into<String>,
        username: impl Into<String>,
        password: impl Into<String>,
    ) -> Self {
        let mut auth = Self::new(name, title, AuthKind::Basic {});
        auth.placement.push(Placement::Basic { username: username.into(), password: password.into() });
        auth
    }

    /// By nothing.
    #[must_use]
    pub fn none() -> Self {
        Self::new("none", "No sign-in", AuthKind::None {})
    }

    /// Says when to choose it.
    #[must_use]
    pub fn description(mut self, text: impl Into<String>) -> Self {
        self.description = Some(text.into());
        self
    }

    /// Places a secret in a header.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.placement.push(Placement::Header { name: name.into(), value: value.into() });
        self
    }

    /// Places a secret in the query string.
    #[must_use]
    pub fn query(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.placement.push(Placement::Query { name: name.into(), value: value.into() });
        self
    }

    /// The names of the connection's parameters, secret or not.
    pub fn parameter_names(&self) -> impl Iterator<Item = &str> {
        self.fields().map(|(name, _)| name.as_str())
    }

    /// The names of those parameters that are secret.
    pub fn secret_names(&self) -> impl Iterator<Item = &str> {
        self.fields()
            .filter(|(_, field)| field.get("x-secret") == Some(&Value::Bool(true)))
            .map(|(name, _)| name.as_str())
    }

    fn fields(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.parameters.get("properties").and_then(Value::as_object).into_iter().flatten()
    }
}

/// The kinds of grant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum AuthKind {
    /// An access token from an OAuth 2 token endpoint. It is placed as `{access_token}`.
    Oauth2(Box<Oauth2>),
    /// A key that the user pastes.
    ApiKey {},
    /// A name and a password.
    Basic {},
    /// Nothing is needed.
    None {},
}

/// An OAuth 2 client of this provider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Oauth2 {
    /// The `grant_type` that gets the first token: `authorization_code` asks the user, anything else asks nobody.
    pub grant: String,
    /// Whose client id and secret it uses.
    pub client: Client,
    /// Where the user consents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorize: Option<Endpoint>,
    /// Where tokens come from.
    pub token: Endpoint,
    /// Where tokens are given up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoke: Option<Endpoint>,
    /// How the client proves itself at the token endpoint.
    pub client_auth: ClientAuth,
    /// Whether the code is bound to a verifier.
    #[serde(default)]
    pub pkce: Pkce,
    /// Whether and how scopes are asked for.
    #[serde(default)]
    pub scope: ScopeParameter,
    /// More parameters of the authorisation request.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub authorize_parameters: BTreeMap<String, String>,
    /// More parameters of the token request, as templates over the connection's parameters.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub token_parameters: BTreeMap<String, String>,
    /// Members of the token answer that are kept, for templates (`{token.api_url}`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub token_members: Vec<String>,
    /// Whether a refresh answers with a new refresh token and the old one dies.
    #[serde(default)]
    pub rotates_refresh_token: bool,
    /// Where the token endpoint's errors say why, if not in `error_description`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
    /// The identifier by which an answer to an authorisation request names its issuer (`iss`, RFC 9207). Where it is
    /// given, an answer that names none is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
}

impl Oauth2 {
    /// The grant that asks the user, with the operator's client, PKCE S256 and HTTP Basic at the token endpoint.
    #[must_use]
    pub fn authorization_code(authorize: Endpoint, token: Endpoint) -> Self {
        Self { authorize: Some(authorize), ..Self::grant("authorization_code", Client::Integration, token) }
    }

    /// A grant that asks nobody.
    pub fn grant(grant: impl Into<String>, client: Client, token: Endpoint) -> Self {
        Self {
            grant: grant.into(),
            client,
            authorize: None,
            token,
            revoke: None,
            client_auth: ClientAuth::Basic,
            pkce: Pkce::default(),
            scope: ScopeParameter::default(),
            authorize_parameters: BTreeMap::new(),
            token_parameters: BTreeMap::new(),
            token_members: Vec::new(),
            rotates_refresh_token: false,
            error_message: None,
            issuer: None,
        }
    }

    /// Says where tokens are given up.
    #[must_use]
    pub fn revoke(mut self, revoke: Endpoint) -> Self {
        self.revoke = Some(revoke);
        self
    }
}

/// An address, by base and path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Endpoint {
    /// The name of the base.
    pub base: String,
    /// The path below it.
    pub path: String,
}

impl Endpoint {
    /// The path below the base.
    pub fn new(base: impl Into<String>, path: impl Into<String>) -> Self {
        Self { base: base.into(), path: path.into() }
    }
}

/// Whose client id and secret are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Client {
    /// The operator's, set once for the integration.
    Integration,
    /// The connection's own: its parameters `client_id` and `client_secret`.
    Connection,
}

/// How a client proves itself at the token endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuth {
    /// HTTP Basic.
    Basic,
    /// Form parameters.
    Body,
}

/// Whether the authorisation code is bound to a verifier (RFC 7636).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Pkce {
    /// By a SHA-256 challenge.
    #[default]
    S256,
    /// The provider does not take one.
    #[serde(rename = "none")]
    None,
}

/// How scopes are asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ScopeParameter {
    /// Whether the authorisation request names them at all; some providers take them from the app's settings.
    pub send: bool,
    /// What stands between them, in requests and in answers.
    pub separator: String,
}

impl Default for ScopeParameter {
    fn default() -> Self {
        Self { send: true, separator: " ".to_owned() }
    }
}

/// Where a secret goes on a request. Values are templates over the connection's parameters and, for OAuth,
/// `{access_token}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "in", rename_all = "snake_case")]
pub enum Placement {
    /// In a header.
    Header {
        /// The header's name.
        name: String,
        /// Its value, as a template: `Bearer {access_token}`.
        value: String,
    },
    /// In the query string.
    Query {
        /// The parameter's name.
        name: String,
        /// Its value, as a template.
        value: String,
    },
    /// As HTTP Basic credentials.
    Basic {
        /// The name, as a template.
        username: String,
        /// The password, as a template.
        password: String,
    },
}
