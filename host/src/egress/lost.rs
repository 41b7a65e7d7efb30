//! Why no answer came, in words for people: what did not go well, and whether the provider may have got the request.
//!
//! The outer words of a client's error repeat the address, which may hold a secret. Only what lies innermost is said.

use std::{error::Error as StdError, io};

use connector_protocol::{Error, ErrorKind, Manifest};
use rustls::{AlertDescription, CertificateError, PeerIncompatible};
use url::Url;

use super::address::Forbidden;

/// What did not come back.
pub(super) struct Lost {
    pub(super) error: Error,
    /// Whether the provider may have got the request.
    pub(super) sent: bool,
    /// Whether another try could go better.
    pub(super) passing: bool,
}

/// The request that was not answered, as far as an error speaks of it.
pub(super) struct Asked<'a> {
    pub(super) manifest: &'a Manifest,
    pub(super) host: String,
    pub(super) by_operator: bool,
    pub(super) repeatable: bool,
}

impl Lost {
    /// It never left this machine, and will not.
    pub(super) fn before(error: Error) -> Self {
        Self { error, sent: false, passing: false }
    }

    /// What an error of a client means, if it broke off before there was a connection.
    pub(super) fn connecting(error: &(dyn StdError + 'static), timeout: bool) -> Self {
        if let Some(lost) = Self::forbidden(error) {
            return lost;
        }
        if timeout {
            let error = Error::new(ErrorKind::Timeout, "no answer in time");
            return Self { error, sent: false, passing: true };
        }
        // A certificate does not get better by waiting.
        let passing = tls(error).is_none();
        Self { error: Error::new(ErrorKind::Network, reason(error)), sent: false, passing }
    }

    /// The address may not be reached, if that is why.
    pub(super) fn forbidden(error: &(dyn StdError + 'static)) -> Option<Self> {
        let forbidden = causes(error).find_map(|error| error.downcast_ref::<Forbidden>())?;
        Some(Self::before(Error::new(ErrorKind::Blocked, forbidden.to_string())))
    }

    /// Whether the machine that was asked is to blame.
    pub(super) fn is_the_providers(&self) -> bool {
        match self.error.kind {
            ErrorKind::Network => true,
            // Without either there was no time left to ask it.
            ErrorKind::Timeout => self.sent || self.passing,
            _ => false,
        }
    }

    /// The error in the words of whoever asked.
    pub(super) fn explain(self, asked: &Asked<'_>) -> Error {
        let (who, host) = (&asked.manifest.title, &asked.host);
        let Self { error, sent, .. } = self;
        if error.kind == ErrorKind::Blocked {
            return error;
        }
        if sent && !asked.repeatable {
            let text = format!("nobody knows whether {who} did it: {}", error.message);
            return Error::new(ErrorKind::Ambiguous, text)
                .hint("look at the provider before you run it again");
        }
        let text = match error.kind {
            ErrorKind::UnexpectedAnswer => format!("{who} {}", error.message),
            ErrorKind::Timeout => format!("{who} ({host}) did not answer in time"),
            _ if sent => format!("{who} ({host}) broke off: {}", error.message),
            _ => format!("{who} ({host}) cannot be reached: {}", error.message),
        };
        let hint = error.hint.unwrap_or_else(|| {
            if asked.by_operator {
                let id = &asked.manifest.id;
                format!("[integrations.{id}.endpoints] in jackfield.toml leads there; see whether anything listens: jackfield doctor")
            } else {
                format!("see whether this machine reaches {host}, and what {who} says about its state; then run it again")
            }
        });
        Error::new(error.kind, text).hint(hint)
    }
}

/// Host and, where it is not the usual one, port.
pub(super) fn host_of(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// An error and what it was caused by, outermost first.
pub(super) fn causes<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error| cause(*error))
}

fn cause<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    // An error of input and output passes over what it holds, and names the cause of that as its own.
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(held) => Some(held),
        None => error.source(),
    }
}

/// The innermost words of an error.
pub(super) fn reason(error: &(dyn StdError + 'static)) -> String {
    if let Some(tls) = tls(error) {
        return words(tls);
    }
    let innermost = causes(error).skip(1).last();
    let words = innermost.map_or_else(|| "the request failed".to_owned(), ToString::to_string);
    // The number of the system's error says nothing to people that its words do not.
    words.split(" (os error").next().unwrap_or_default().to_owned()
}

fn tls<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a rustls::Error> {
    causes(error).find_map(|error| error.downcast_ref::<rustls::Error>())
}

/// Why TLS was refused, by either side.
fn words(error: &rustls::Error) -> String {
    use CertificateError as C;
    match error {
        rustls::Error::InvalidCertificate(why) => match why {
            C::Expired | C::ExpiredContext { .. } => "its certificate has expired".to_owned(),
            C::NotValidYet | C::NotValidYetContext { .. } => {
                "its certificate is not valid yet, or this machine's clock is slow".to_owned()
            }
            C::NotValidForName | C::NotValidForNameContext { .. } => {
                "its certificate is for another host".to_owned()
            }
            C::UnknownIssuer => "its certificate is signed by nobody whom this machine trusts".to_owned(),
            C::Revoked => "its certificate has been revoked".to_owned(),
            // Its own text names the rule that is broken: an authority's certificate shown as a server's, mostly.
            other => match causes(error).last().map(ToString::to_string) {
                Some(text) if text.contains("CaUsedAsEndEntity") => {
                    "its certificate is self-signed".to_owned()
                }
                _ => format!("its certificate is not accepted ({other})"),
            },
        },
        rustls::Error::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
        )
        | rustls::Error::AlertReceived(AlertDescription::ProtocolVersion) => {
            "it speaks neither TLS 1.2 nor TLS 1.3".to_owned()
        }
        other => format!("TLS was not agreed on ({other})"),
    }
}
