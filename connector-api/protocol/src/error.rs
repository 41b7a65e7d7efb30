//! The one shape of an error, from a connector's code to a terminal, an API answer and a log.

use std::fmt;

use jiff::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// The result of anything a connector or the host does for one.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, for whom it matters, and what to do next.
///
/// ```
/// use connector_protocol::{Error, ErrorKind};
/// let error = Error::new(ErrorKind::InvalidInput, "`me` means nothing to a server-to-server connection")
///     .at("/user_id")
///     .hint("give the user's id or e-mail address");
/// assert_eq!(error.to_string(), "`me` means nothing to a server-to-server connection");
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Error {
    /// What kind of failure this is. Branch on it, never on the message.
    pub kind: ErrorKind,
    /// One sentence without a closing period.
    pub message: String,
    /// The field of the input that is to blame, as a JSON pointer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// What to do next; where a command helps, the command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// What the provider itself said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<ProviderError>,
    /// Each thing that is wrong with the input, where there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<Problem>,
    /// Scopes of which any one would have sufficed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// When the same call may succeed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<Timestamp>,
    /// Where to look it up: the id of the invocation. The host sets it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

/// What a provider said when it refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ProviderError {
    /// The HTTP status.
    pub status: u16,
    /// The provider's own error code, as text whatever its JSON type is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The provider's own message; may be in the user's language.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// One thing that is wrong with one field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// The field, as a JSON pointer; empty for the whole.
    pub path: String,
    /// What is wrong, to stand behind the field's name: `is required`, `must be at most 200 characters long`.
    pub message: String,
    /// The keyword of the schema that was not met.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keyword: Option<String>,
}

impl Problem {
    /// A problem that no keyword of a schema stands for.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into(), keyword: None }
    }
}

impl Error {
    /// An error of this kind with this sentence.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            path: None,
            hint: None,
            provider: None,
            problems: Vec::new(),
            scopes: Vec::new(),
            retry_at: None,
            id: None,
        }
    }

    /// The input is wrong at this JSON pointer.
    pub fn invalid_input(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidInput, message).at(path)
    }

    /// Blames a field of the input.
    #[must_use]
    pub fn at(mut self, path: impl Into<String>) -> Self {
        self.path = Some(path.into());
        self
    }

    /// Says what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds what the provider said.
    #[must_use]
    pub fn provider(mut self, provider: ProviderError) -> Self {
        self.provider = Some(provider);
        self
    }

    /// Adds problems with fields of the input.
    #[must_use]
    pub fn problems(mut self, problems: impl IntoIterator<Item = Problem>) -> Self {
        self.problems.extend(problems);
        self
    }

    /// Says when the same call may succeed.
    #[must_use]
    pub fn retry_at(mut self, at: Timestamp) -> Self {
        self.retry_at = Some(at);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

/// Writes the enum, its names on the wire, and the schema from one list.
macro_rules! error_kinds {
    ($($(#[doc = $doc:literal])+ $variant:ident = $name:literal,)+) => {
        /// What kind of failure an [`Error`] is.
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorKind {
            $($(#[doc = $doc])+ $variant,)+
            /// A kind that this version does not know.
            Other(String),
        }

        impl ErrorKind {
            /// Every kind this version knows.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The kind's name, as it stands in JSON and in `error[…]`.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $name,)+
                    Self::Other(name) => name,
                }
            }
        }

        impl From<&str> for ErrorKind {
            fn from(name: &str) -> Self {
                match name {
                    $($name => Self::$variant,)+
                    other => Self::Other(other.to_owned()),
                }
            }
        }

        impl JsonSchema for ErrorKind {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                "ErrorKind".into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({
                    "description": "What kind of failure it is. A reader must bear a kind it does not know.",
                    "type": "string",
                    "examples": [$($name,)+],
                })
            }
        }
    };
}

error_kinds! {
    /// The command itself makes no sense.
    Usage = "usage",
    /// The input does not fit its schema, or the provider says that a value is wrong.
    InvalidInput = "invalid_input",
    /// There is no connector, action, trigger or object of that name.
    Unknown = "unknown",
    /// No credential was given, or the provider does not accept it.
    Unauthorized = "unauthorized",
    /// The credential lacks a scope.
    MissingScope = "missing_scope",
    /// The provider does not have the thing that was asked for.
    NotFound = "not_found",
    /// The provider understood and said no.
    Refused = "refused",
    /// Too many calls; `retry_at` says when to come back.
    RateLimited = "rate_limited",
    /// The provider failed: 5xx, or an answer from something before it.
    Unavailable = "unavailable",
    /// The provider could not be reached: name, connection or TLS. Nothing was done there.
    Network = "network",
    /// No answer in time. Nothing was changed there.
    Timeout = "timeout",
    /// The request was sent and nobody knows whether it took effect. Look before you repeat it.
    Ambiguous = "ambiguous",
    /// The provider's answer is not what it has promised.
    UnexpectedAnswer = "unexpected_answer",
    /// The host does not let this request out: address, host, scheme, header or size.
    Blocked = "blocked",
    /// Somebody stopped it.
    Cancelled = "cancelled",
    /// No connection fits what was asked for, or several do.
    ConnectionNeeded = "connection_needed",
    /// What was asked for meets something that somebody else does or has done.
    Conflict = "conflict",
    /// Whoever asks has not said who they are, or is not believed.
    Unauthenticated = "unauthenticated",
    /// Whoever asks is known, and may not do this.
    Forbidden = "forbidden",
    /// It was done, and what it gave could not be shown as it was asked for. Do not do it again.
    NotShown = "not_shown",
    /// A library was not accepted; nothing of it has run.
    PluginRefused = "plugin_refused",
    /// The connector is set up, and its library is not there.
    ConnectorMissing = "connector_missing",
    /// The connector panicked; its worker lives on.
    ConnectorPanicked = "connector_panicked",
    /// The connector's worker died.
    ConnectorCrashed = "connector_crashed",
    /// The connector did not give way at its deadline, or took more of the processor than it may.
    ConnectorTimeout = "connector_timeout",
    /// The connector's workers died too often. None is started until that is lifted, or until another file comes.
    ConnectorQuarantined = "connector_quarantined",
    /// The connector died of this very input; it is refused for a while.
    InputQuarantined = "input_quarantined",
    /// The connector answered something that is not an answer.
    ConnectorFault = "connector_fault",
    /// The verb, or something it needs, is not offered by the other side.
    Unsupported = "unsupported",
    /// The call this belonged to has ended.
    CallEnded = "call_ended",
    /// The configuration, the home directory or a file in it is wrong.
    Config = "config",
    /// A fault of the host itself.
    Internal = "internal",
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for ErrorKind {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ErrorKind {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::from(std::borrow::Cow::<str>::deserialize(deserializer)?.as_ref()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_of_a_newer_version_survives() {
        let error: Error =
            serde_json::from_str(r#"{"kind":"from_the_future","message":"x","new":1}"#).unwrap();
        assert_eq!(error.kind, ErrorKind::Other("from_the_future".into()));
        assert_eq!(serde_json::to_string(&error).unwrap(), r#"{"kind":"from_the_future","message":"x"}"#);
    }

    #[test]
    fn every_kind_reads_back_as_itself() {
        for kind in ErrorKind::ALL {
            assert_eq!(ErrorKind::from(kind.as_str()), *kind);
        }
    }
}
