//! Why a request is refused: for the operator the reason, for the sender no more than a status.

use std::fmt;

use super::BodyFault;

/// Why a request is refused. It never holds a secret, a signature, or anything else out of the request but what the manifest
/// names.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// The webhook has no such method.
    WrongMethod {
        /// The methods it has.
        allowed: Vec<String>,
    },
    /// The body is compressed.
    Compressed,
    /// The body is of a type that the webhook does not have, or of none.
    WrongContentType,
    /// No secret is configured, so nothing can be verified.
    NoSecret {
        /// What the provider's screen calls it.
        title: String,
    },
    /// A secret is configured, and it cannot be one: it is not written in the way that the provider writes it.
    UnusableSecret {
        /// What the provider's screen calls it.
        title: String,
    },
    /// There is no signature, or an empty one.
    MissingSignature,
    /// What stands in the place of the signature is none.
    MalformedSignature,
    /// The signature is not one of this request with this secret.
    WrongSignature,
    /// There is no timestamp.
    MissingTimestamp,
    /// What stands in the place of the timestamp is none.
    MalformedTimestamp,
    /// The timestamp is too far from now.
    Stale {
        /// How old it is, in seconds begun; negative if it is ahead.
        age_seconds: i64,
        /// How far it may be, either way.
        window_seconds: u32,
    },
    /// A header that is signed is not there.
    MissingHeader {
        /// Its name.
        name: String,
    },
    /// A header is there twice, and nothing says which one counts.
    DoubledHeader {
        /// Its name.
        name: String,
    },
    /// The request does not repeat the secret.
    MissingSharedSecret,
    /// The request repeats another secret.
    WrongSharedSecret,
    /// The body cannot be read, or could be read in two ways.
    MalformedBody(BodyFault),
    /// The request is a handshake that cannot be answered.
    MalformedHandshake(HandshakeFault),
    /// The handshake does not repeat the secret.
    WrongHandshakeSecret,
    /// Only the connector can check where the request comes from. If it vouches for it, [`admit`](super::admit) goes on; while it
    /// cannot be asked, this is why the request is refused.
    NeedsConnector,
    /// The connector, which alone could vouch for the request, does not.
    NotProven,
}

/// What is wrong with a handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum HandshakeFault {
    /// What is to be sent back is not there, there twice, empty, or not a string.
    NoText,
    /// What is to be sent back is longer than any provider's.
    TooLong,
}

impl Refusal {
    /// The HTTP status that the sender gets: 401 for what proves nothing, another 4xx for what cannot be right, 503 for
    /// what is our fault, so that it is sent again.
    #[must_use]
    pub fn status(&self) -> u16 {
        match self {
            Self::WrongMethod { .. } => 405,
            Self::Compressed | Self::WrongContentType => 415,
            Self::NoSecret { .. } | Self::UnusableSecret { .. } | Self::NeedsConnector => 503,
            Self::MalformedBody(_) | Self::MalformedHandshake(_) => 400,
            Self::MissingSignature
            | Self::MalformedSignature
            | Self::WrongSignature
            | Self::MissingTimestamp
            | Self::MalformedTimestamp
            | Self::Stale { .. }
            | Self::MissingHeader { .. }
            | Self::DoubledHeader { .. }
            | Self::MissingSharedSecret
            | Self::WrongSharedSecret
            | Self::WrongHandshakeSecret
            | Self::NotProven => 401,
        }
    }

    /// The reason's name, to count by.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::WrongMethod { .. } => "wrong_method",
            Self::Compressed => "compressed",
            Self::WrongContentType => "wrong_content_type",
            Self::NoSecret { .. } => "no_secret",
            Self::UnusableSecret { .. } => "unusable_secret",
            Self::MissingSignature => "missing_signature",
            Self::MalformedSignature => "malformed_signature",
            Self::WrongSignature => "wrong_signature",
            Self::MissingTimestamp => "missing_timestamp",
            Self::MalformedTimestamp => "malformed_timestamp",
            Self::Stale { .. } => "stale",
            Self::MissingHeader { .. } => "missing_header",
            Self::DoubledHeader { .. } => "doubled_header",
            Self::MissingSharedSecret => "missing_shared_secret",
            Self::WrongSharedSecret => "wrong_shared_secret",
            Self::MalformedBody(_) => "malformed_body",
            Self::MalformedHandshake(_) => "malformed_handshake",
            Self::WrongHandshakeSecret => "wrong_handshake_secret",
            Self::NeedsConnector => "needs_connector",
            Self::NotProven => "not_proven",
        }
    }
}

impl From<BodyFault> for Refusal {
    fn from(fault: BodyFault) -> Self {
        Self::MalformedBody(fault)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongMethod { allowed } => write!(f, "the method is not {}", allowed.join(" or ")),
            Self::Compressed => f.write_str("the body is compressed"),
            Self::WrongContentType => f.write_str("the content type is not one that this webhook has"),
            Self::NoSecret { title } => write!(f, "no {title} is configured"),
            Self::UnusableSecret { title } => write!(f, "what is configured as {title} cannot be one"),
            Self::MissingSignature => f.write_str("there is no signature"),
            Self::MalformedSignature => f.write_str("what stands in the place of the signature is none"),
            Self::WrongSignature => f.write_str("the signature does not fit the request and the secret"),
            Self::MissingTimestamp => f.write_str("there is no timestamp"),
            Self::MalformedTimestamp => f.write_str("what stands in the place of the timestamp is none"),
            Self::Stale { age_seconds, window_seconds } => {
                let (far, way) = match age_seconds {
                    0.. => (age_seconds.unsigned_abs(), "old"),
                    _ => (age_seconds.unsigned_abs(), "ahead"),
                };
                write!(f, "the timestamp is {far} seconds {way}; it may be {window_seconds}")
            }
            Self::MissingHeader { name } => write!(f, "the header {name} is signed, and it is not there"),
            Self::DoubledHeader { name } => write!(f, "the header {name} is there twice"),
            Self::MissingSharedSecret => f.write_str("the secret is not repeated"),
            Self::WrongSharedSecret => f.write_str("another secret is repeated"),
            Self::MalformedBody(fault) => write!(f, "the body {fault}"),
            Self::MalformedHandshake(HandshakeFault::NoText) => {
                f.write_str("the handshake does not hold the one text that is to be sent back")
            }
            Self::MalformedHandshake(HandshakeFault::TooLong) => {
                f.write_str("what the handshake wants sent back is too long")
            }
            Self::WrongHandshakeSecret => f.write_str("the handshake does not repeat the secret"),
            Self::NeedsConnector => f.write_str(
                "only the connector can check where the request comes from, and it cannot be asked",
            ),
            Self::NotProven => f.write_str("the connector does not find the request proven"),
        }
    }
}

impl std::error::Error for Refusal {}
