//! Where webhooks go: an address on this machine, and a client that posts to it. Every attempt has a connection of its
//! own, so that what becomes of one says nothing about another.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::http::header::HOST;
use axum::http::{HeaderMap, HeaderValue, Request, StatusCode};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;
use url::{Host, Url};

/// How much of an answer is read.
const LARGEST_ANSWER: usize = 64 << 10;

/// An address that webhooks can be sent to.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    url: Url,
    addresses: Vec<SocketAddr>,
    authority: HeaderValue,
}

impl Target {
    /// Takes an `http` address on loopback and no other.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut url = Url::parse(text).map_err(|error| format!("{text:?} is not an address: {error}"))?;
        if url.scheme() != "http" {
            return Err(format!("{text} does not begin with http://, and the simulator speaks no TLS"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("a user name or password in the address of a webhook is not sent".to_owned());
        }
        let hosts: Vec<IpAddr> = match url.host() {
            Some(Host::Ipv4(address)) if address.is_loopback() => vec![address.into()],
            Some(Host::Ipv6(address)) if address.is_loopback() => vec![address.into()],
            Some(Host::Domain("localhost")) => vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()],
            _ => {
                return Err(format!(
                    "{text} is not a loopback address, and the simulator sends only to this machine"
                ));
            }
        };
        url.set_fragment(None);
        let port = url.port().unwrap_or(80);
        let authority = match url.port() {
            Some(port) => format!("{}:{port}", url.host_str().unwrap_or_default()),
            None => url.host_str().unwrap_or_default().to_owned(),
        };
        let authority = HeaderValue::from_str(&authority).map_err(|error| error.to_string())?;
        let addresses = hosts.into_iter().map(|host| SocketAddr::new(host, port)).collect();
        Ok(Self { url, addresses, authority })
    }

    pub(crate) fn as_str(&self) -> &str {
        self.url.as_str()
    }

    /// Posts and answers the status, with the body if it is wanted. Redirects are not followed.
    pub(super) async fn post(
        &self,
        headers: HeaderMap,
        body: Bytes,
        patience: Duration,
        read_body: bool,
    ) -> Result<(StatusCode, Bytes), String> {
        match timeout(patience, self.exchange(headers, body, read_body)).await {
            Ok(result) => result,
            Err(_) => Err(format!("no answer within {} ms", patience.as_millis())),
        }
    }

    async fn exchange(
        &self,
        headers: HeaderMap,
        body: Bytes,
        read_body: bool,
    ) -> Result<(StatusCode, Bytes), String> {
        let stream = TcpStream::connect(&self.addresses[..]).await;
        let stream = stream.map_err(|error| format!("no connection: {error}"))?;
        let lost = |error: hyper::Error| format!("the connection was lost: {error}");
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await.map_err(lost)?;
        let target = match self.url.query() {
            Some(query) => format!("{}?{query}", self.url.path()),
            None => self.url.path().to_owned(),
        };
        let mut request = Request::post(target).body(Body::from(body)).map_err(|error| error.to_string())?;
        *request.headers_mut() = headers;
        request.headers_mut().insert(HOST, self.authority.clone());
        let exchange = async move {
            let answer = sender.send_request(request).await.map_err(lost)?;
            let status = answer.status();
            if !read_body {
                return Ok((status, Bytes::new()));
            }
            let body = to_bytes(Body::new(answer.into_body()), LARGEST_ANSWER).await;
            body.map(|body| (status, body)).map_err(|error| format!("the answer was not read: {error}"))
        };
        let (mut exchange, mut connection) = (std::pin::pin!(exchange), std::pin::pin!(connection));
        let mut open = true;
        loop {
            // What the connection ends with, the exchange learns too.
            tokio::select! {
                biased;
                result = &mut exchange => return result,
                _ = &mut connection, if open => open = false,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Target;

    #[test]
    fn only_this_machine_is_sent_to() {
        for good in ["http://127.0.0.1:1/a?b", "http://127.8.9.1", "http://[::1]:80/", "http://localhost/x#y"]
        {
            assert!(Target::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "https://127.0.0.1/",
            "http://192.0.2.1/",
            "http://example.com/",
            "http://localhost.example.com/",
            "http://0.0.0.0/",
            "http://a@127.0.0.1/",
            "127.0.0.1:1",
            "",
        ] {
            assert!(Target::parse(bad).is_err(), "{bad}");
        }
    }
}
