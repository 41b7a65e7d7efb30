//! Asking a Jackfield elsewhere, and addresses that the operator has named: what commands send over the network.

use std::time::Duration;

use connector_protocol::{Error, ErrorKind, Result};
use http::{HeaderMap, Request, StatusCode};
use jiff::{Timestamp, fmt::rfc2822};
use reqwest::{
    Client, Response,
    header::{AUTHORIZATION, DATE, HeaderValue},
    redirect,
};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::{Egress, Target, lost::reason};

/// How much of an answer to a check is read, in bytes.
const MOST: usize = 64 * 1024;

/// A Jackfield elsewhere.
pub struct Remote {
    base: Url,
    token: SecretString,
    client: Client,
}

/// An answer of it that is coming.
pub struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    response: Response,
}

fn client() -> Result<Client> {
    let builder = Client::builder()
        .no_proxy()
        .referer(false)
        .redirect(redirect::Policy::none())
        .connect_timeout(Duration::from_secs(10))
        .user_agent(concat!("jackfield/", env!("CARGO_PKG_VERSION")));
    builder.build().map_err(|error| {
        Error::new(ErrorKind::Internal, format!("no HTTP client can be made: {}", reason(&error)))
    })
}

impl Remote {
    /// The Jackfield at this address. The token goes there over TLS, or not beyond this machine.
    ///
    /// # Errors
    ///
    /// If the address is none, or if the token would go over the network for all to read.
    pub fn at(url: &str, token: SecretString) -> Result<Self> {
        let short: String = url.escape_debug().take(120).collect();
        let unfit = |text: String| {
            Error::new(ErrorKind::Usage, text)
                .hint("it looks like https://jackfield.example.com: --server URL")
        };
        let base = Url::parse(url).map_err(|_| unfit(format!("`{short}` is no address of a server")))?;
        let local = matches!(base.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        if base.scheme() != "https" && !(base.scheme() == "http" && local) {
            return Err(unfit(format!("`{short}` would carry the token where anybody can read it")));
        }
        if !base.username().is_empty() || base.password().is_some() || base.query().is_some() {
            return Err(unfit(format!("`{short}` holds more than an address")));
        }
        Ok(Self { base, token, client: client()? })
    }

    /// Sends a request; its address is a path.
    ///
    /// # Errors
    ///
    /// If no answer comes.
    pub async fn send(&self, request: Request<Vec<u8>>) -> Result<Answer> {
        let (parts, body) = request.into_parts();
        let address = format!("{}{}", self.base.as_str().trim_end_matches('/'), parts.uri);
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", self.token.expose_secret()))
            .map_err(|_| Error::new(ErrorKind::Unauthenticated, "the server's token cannot be sent"))?;
        bearer.set_sensitive(true);
        let mut headers = parts.headers;
        headers.remove(http::header::HOST);
        headers.insert(AUTHORIZATION, bearer);
        let sent = self.client.request(parts.method, address).headers(headers).body(body).send().await;
        let response = sent.map_err(|error| {
            Error::new(ErrorKind::Network, format!("{} cannot be reached: {}", self.base, reason(&error)))
                .hint("see whether it is the right address, and whether it serves: --server URL")
        })?;
        Ok(Answer { status: response.status(), headers: response.headers().clone(), response })
    }
}

impl Answer {
    /// Its status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Its headers.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// What has come of its body; `None` at its end.
    ///
    /// # Errors
    ///
    /// If it breaks off.
    pub async fn chunk(&mut self) -> Result<Option<hyper::body::Bytes>> {
        self.response.chunk().await.map_err(|error| {
            Error::new(ErrorKind::Network, format!("the server broke off: {}", reason(&error)))
        })
    }
}

impl Egress {
    /// What an address of the operator's answers, up to 64 KiB.
    ///
    /// # Errors
    ///
    /// If it cannot be reached, or answers with anything but success.
    pub async fn fetch(&self, url: &Url, patience: Duration) -> Result<Vec<u8>> {
        let network = |error: reqwest::Error| Error::new(ErrorKind::Network, reason(&error));
        let mut response = client()?.get(url.clone()).timeout(patience).send().await.map_err(network)?;
        if !response.status().is_success() {
            let text = format!("it answers with status {}", response.status().as_u16());
            return Err(Error::new(ErrorKind::UnexpectedAnswer, text));
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(network)? {
            if body.len() + chunk.len() > MOST {
                return Err(Error::new(
                    ErrorKind::UnexpectedAnswer,
                    "it answers with more than was asked for",
                ));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// What time it is at the provider, as it says when it is asked for nothing in particular and without a credential.
    ///
    /// # Errors
    ///
    /// If it cannot be asked.
    pub async fn date(&self, target: &Target, patience: Duration) -> Result<Option<Timestamp>> {
        let request = connector_protocol::message::HttpRequest {
            method: "GET".to_owned(),
            path: "/".to_owned(),
            ..Default::default()
        };
        let response = self.bare(target, &request, patience).await?;
        let date = response.headers().get(DATE).and_then(|date| date.to_str().ok());
        Ok(date.and_then(|date| rfc2822::parse(date).ok()).map(|date| date.timestamp()))
    }
}
