//! The manifest: what a connector declares of itself, as JSON.
//!
//! It is derived from the author's types, committed beside them, embedded in the library, and at run time it is the whole
//! contract: the host lists, validates, draws forms, verifies webhooks and documents from the manifest alone, without
//! running native code.
//!
//! It says *what is*, never how something is to be done: the protocols it names (OAuth, webhook signatures, pagination)
//! are the host's to speak.

mod auth;
mod operation;
mod setup;
mod webhook;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use self::{
    auth::{Auth, AuthKind, Client, ClientAuth, Endpoint, Oauth2, Pkce, Placement, ScopeParameter},
    operation::{
        Action, Base, Effect, HostRule, Lookup, Paging, PagingStyle, RateClass, RateLimit, ScopeFamily,
        Scopes, Source, Trigger,
    },
    setup::{Setup, Show, Step},
    webhook::{
        Encoding, EventName, Handshake, HandshakeAnswer, HandshakeValue, HashAlgorithm, MessagePart,
        Revocation, Secret, SecretOwner, Select, Signature, Test, Timestamp, TimestampUnit, Verify, Webhook,
    },
};
use crate::{Problem, answers::Answers, schema};

/// The only version of the manifest's form so far.
pub const MANIFEST_VERSION: u32 = 1;

/// How large a manifest may be, in bytes.
pub const MAX_LEN: usize = 4 * 1024 * 1024;

/// How many of a manifest's problems are told where it is refused, and how much of each: it may have any number.
const TOLD: usize = 8;
const TOLD_CHARS: usize = 300;

/// A JSON Schema (draft 2020-12), whose local references point into the `$defs` of the manifest it stands in.
pub type Schema = Map<String, Value>;

/// The capabilities of a host that a manifest may require, in the words of the verbs they open.
pub const CAPABILITIES: &[&str] = &["http", "progress", "sleep"];

/// Why a manifest cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// The connector's id, where that much can be read.
    pub id: Option<String>,
    /// What is wrong, to stand behind the file's name.
    pub message: String,
    /// Whether it is made for a later version of Jackfield.
    pub newer: bool,
}

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Unreadable {}

/// What a connector declares.
///
/// It grows by members, which a host ignores that does not know them. A new variant of anything comes with a capability
/// of the host, which a manifest that uses it has to [require](Self::requires): then a host that is too old says so.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "Jackfield connector manifest")]
pub struct Manifest {
    /// The version of the manifest's form: 1.
    pub manifest_version: u32,
    /// The connector's id: lower-case letters, digits and hyphens. It stands in commands, addresses and file names.
    pub id: String,
    /// The name people know the provider by.
    pub title: String,
    /// The connector's own version, by semantic versioning: a change that breaks saved uses needs a new major version,
    /// or a new minor one before 1.0.
    pub version: String,
    /// One sentence about what it connects.
    pub description: String,
    /// The provider's documentation, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docs: Option<String>,
    /// The provider's colour, as `#rrggbb`, for a page that lists connectors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub color: Option<String>,
    /// Capabilities of the host without which the connector cannot work. A host that lacks one refuses the connector.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<String>,
    /// The hosts that requests may go to.
    pub hosts: Vec<HostRule>,
    /// The base addresses that requests are made against. The first one is the default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bases: Vec<Base>,
    /// The ways to authorise a connection. The first one is the default.
    pub auth: Vec<Auth>,
    /// The families of scopes that the provider knows, of which a connection has one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scope_families: Vec<ScopeFamily>,
    /// The scopes of which a connection needs one set so that the account behind it can be named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub identify_scopes: Vec<Scopes>,
    /// How the provider groups its rate limits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rates: Vec<RateClass>,
    /// How answers are told apart.
    #[serde(default, skip_serializing_if = "Answers::is_default")]
    pub answers: Answers,
    /// The webhooks the provider sends.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub webhooks: Vec<Webhook>,
    /// The actions, in reading order.
    pub actions: Vec<Action>,
    /// The triggers, in reading order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub triggers: Vec<Trigger>,
    /// The lists that fill pickers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lookups: Vec<Lookup>,
    /// How it is set up at the provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub setup: Option<Setup>,
    /// The schemas that several of the schemas above refer to.
    #[serde(rename = "$defs", default, skip_serializing_if = "Map::is_empty")]
    pub defs: Map<String, Value>,
}

impl Manifest {
    /// Reads a manifest and [checks](Self::check) it. Whether it is for this version is looked at before anything else:
    /// what a later one adds to it need not be understood to say so.
    ///
    /// # Errors
    ///
    /// What is wrong with it, and whose it is as far as that can be read.
    pub fn read(bytes: &[u8]) -> Result<Self, Unreadable> {
        #[derive(Default, Deserialize)]
        #[serde(default)]
        struct Head {
            manifest_version: u32,
            id: Option<String>,
            requires: Vec<String>,
        }
        let unreadable = |id: Option<String>, message| Unreadable { id, message, newer: false };
        if bytes.len() > MAX_LEN {
            let text = format!("the manifest has {} bytes; the limit is {MAX_LEN}", bytes.len());
            return Err(unreadable(None, text));
        }
        let head: Head = serde_json::from_slice(bytes).unwrap_or_default();
        let id = head.id.filter(|id| crate::name::is_connector_id(id));
        let newer = |message| Err(Unreadable { id: id.clone(), message, newer: true });
        if head.manifest_version > MANIFEST_VERSION {
            return newer(format!(
                "its manifest is of version {}, and this host knows {MANIFEST_VERSION}",
                head.manifest_version
            ));
        }
        if let Some(missing) = head.requires.iter().find(|name| !CAPABILITIES.contains(&name.as_str())) {
            return newer(format!("needs `{}`, which this host does not offer", missing.escape_debug()));
        }
        let manifest: Self = serde_json::from_slice(bytes)
            .map_err(|error| unreadable(id.clone(), format!("the manifest is not readable: {error}")))?;
        let problems = manifest.check();
        if problems.is_empty() {
            return Ok(manifest);
        }
        let told = |p: &Problem| format!("{} {}", p.path, p.message).chars().take(TOLD_CHARS).collect();
        let mut list: Vec<String> = problems.iter().take(TOLD).map(told).collect();
        if problems.len() > TOLD {
            list.push(format!("and {} more", problems.len() - TOLD));
        }
        Err(unreadable(id, format!("the manifest contradicts itself: {}", list.join("; "))))
    }

    /// What a host has to be able to trust before it uses the manifest: names are names and unique, what is referred to
    /// exists, no schema points outside, every field of an input is described. Empty if all is well.
    #[must_use]
    pub fn check(&self) -> Vec<Problem> {
        crate::check::check(self)
    }

    /// [`check`](Self::check), and what an author would want to know besides: keywords that look like ours and are none.
    /// A host passes over those, as they may be of a later version.
    #[must_use]
    pub fn lint(&self) -> Vec<Problem> {
        crate::check::lint(self)
    }

    /// The bytes to commit and to embed: indented, ending in a line feed, the same for the same declarations.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    /// The action of this name.
    #[must_use]
    pub fn action(&self, name: &str) -> Option<&Action> {
        self.actions.iter().find(|action| action.name == name)
    }

    /// The trigger of this name.
    #[must_use]
    pub fn trigger(&self, name: &str) -> Option<&Trigger> {
        self.triggers.iter().find(|trigger| trigger.name == name)
    }

    /// The auth variant of this name.
    #[must_use]
    pub fn auth(&self, name: &str) -> Option<&Auth> {
        self.auth.iter().find(|auth| auth.name == name)
    }

    /// The base of this name.
    #[must_use]
    pub fn base(&self, name: &str) -> Option<&Base> {
        self.bases.iter().find(|base| base.name == name)
    }

    /// A schema of this manifest made to stand alone: with the definitions it refers to, directly or not, and no others.
    #[must_use]
    pub fn standalone(&self, schema: &Schema) -> Value {
        schema::with_defs(schema, &self.defs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_for_a_later_host_says_so_whatever_else_it_says() {
        let read = |text: &str| Manifest::read(text.as_bytes()).unwrap_err();
        let later = |message: &str| Unreadable {
            id: Some("acme".to_owned()),
            message: message.to_owned(),
            newer: true,
        };
        assert_eq!(
            read(
                r#"{"manifest_version": 1, "id": "acme", "requires": ["http", "warp"], "auth": [{"kind": "warped"}]}"#
            ),
            later("needs `warp`, which this host does not offer")
        );
        assert_eq!(
            read(r#"{"manifest_version": 2, "id": "acme", "actions": {}}"#),
            later("its manifest is of version 2, and this host knows 1")
        );
        let broken = read(r#"{"manifest_version": 1, "id": "acme", "actions": 5}"#);
        assert!(!broken.newer && broken.id.as_deref() == Some("acme"), "{broken:?}");
        assert_eq!(read("{").id, None);
    }
}
