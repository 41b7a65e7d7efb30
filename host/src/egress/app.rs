//! What is sent to an app, at an address that somebody has typed: to public machines by TLS, to others only where the operator
//! has named them. Nothing is followed, and of the answer only what it says about itself is taken.

use std::{
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use bytes::Bytes;
use connector_protocol::{Error, ErrorKind, Result};
use http::{HeaderMap, Method, Request, header};
use http_body_util::{BodyExt, Full, Limited};
use url::{Host, Url};

use super::{Egress, address::forbidden, breaker::Line, lost::host_of};

/// How much of an answer is read, so that its connection can be used again, in bytes.
const READ: usize = 64 * 1024;

/// How long that may take.
const REST: Duration = Duration::from_secs(2);

/// What an app has answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Posted {
    /// The status.
    pub status: u16,
    /// When to come back, as it was written.
    pub retry_after: Option<String>,
}

/// That an app has not answered.
#[derive(Debug)]
pub struct Unposted {
    /// Why.
    pub error: Error,
    /// Whether another try could go better.
    pub passing: bool,
}

/// Fails unless an address is one that something may be sent to, as far as the address itself says.
///
/// # Errors
///
/// What is wrong with it.
pub fn check(url: &Url, by_operator: bool) -> Result<()> {
    let unfit = |text: String| Error::new(ErrorKind::Blocked, text);
    let named = "the operator can allow it: private_urls under [events] in jackfield.toml";
    if !matches!(url.scheme(), "https" | "http") || url.host().is_none() {
        return Err(unfit("it is no address of a web server".to_owned()));
    }
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        return Err(unfit("it holds more than an address: a name, a password, or a fragment".to_owned()));
    }
    if by_operator {
        return Ok(());
    }
    if url.scheme() != "https" {
        return Err(
            unfit("it is not https, and anybody on the way could read what is sent".to_owned()).hint(named)
        );
    }
    let address = match url.host() {
        Some(Host::Ipv4(address)) => Some(address.into()),
        Some(Host::Ipv6(address)) => Some(address.into()),
        // Whatever a resolver says: it is this machine (RFC 6761).
        Some(Host::Domain(name)) if is_localhost(name) => Some(Ipv4Addr::LOCALHOST.into()),
        _ => None,
    };
    match address.and_then(forbidden) {
        Some(what) => Err(unfit(format!("it leads to {what}")).hint(named)),
        None => Ok(()),
    }
}

fn is_localhost(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

impl Egress {
    /// Sends something to an app. `key` says for whom, so that one machine that fails is left alone for that one.
    ///
    /// # Errors
    ///
    /// If it may not be sent, or if no answer came.
    pub async fn post(
        &self,
        url: &Url,
        by_operator: bool,
        headers: HeaderMap,
        body: Bytes,
        key: &str,
        deadline: Instant,
    ) -> Result<Posted, Unposted> {
        let never = |error| Unposted { error, passing: false };
        check(url, by_operator).map_err(never)?;
        let mut request = Request::new(Full::new(body).map_err(|never| match never {}).boxed_unsync());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = url.as_str().parse().map_err(|_| {
            never(Error::new(ErrorKind::Blocked, "it holds a character that an address may not"))
        })?;
        *request.headers_mut() = headers;
        let line = Line { connection: key.to_owned(), host: host_of(url) };
        let pass = self.breaker.ask(line, "the app").map_err(|error| Unposted { error, passing: true })?;
        match self.transport.send(request, by_operator, deadline).await {
            Ok(response) => {
                let status = response.status();
                pass.tell(!status.is_server_error() && status.as_u16() != 429);
                let retry_after = response
                    .headers()
                    .get(header::RETRY_AFTER)
                    .and_then(|value| value.to_str().ok())
                    .map(str::to_owned);
                let rest = Limited::new(response.into_body(), READ).collect();
                let _ = tokio::time::timeout(REST, rest).await;
                Ok(Posted { status: status.as_u16(), retry_after })
            }
            Err(lost) => {
                if lost.is_the_providers() {
                    pass.tell(false);
                }
                // A failed look-up or certificate may be mended at the other end.
                let passing = lost.error.kind != ErrorKind::Blocked;
                Err(Unposted { error: lost.error, passing })
            }
        }
    }
}
