//! A request with everything on it, ready to be sent or to be shown.

use connector_protocol::{Error, ErrorKind, Result, message::HttpRequest};
use reqwest::{
    Method,
    header::{ACCEPT, HeaderMap, HeaderName, HeaderValue},
};
use serde_json::{Value, json};
use url::Url;

use super::Target;
use crate::redact::Redactor;

/// Headers that a connector does not set: they carry credentials, or they belong to the transport.
const NOT_THE_CONNECTORS: &[&str] = &[
    "authorization",
    "connection",
    "content-length",
    "cookie",
    "expect",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// How large the address of a request may be, in bytes.
const MAX_URL: usize = 16 * 1024;

/// A request that is ready to be sent.
#[derive(Debug, Clone)]
pub struct Prepared {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
    pub(super) by_operator: bool,
    /// That sending it twice does no more than sending it once.
    pub(super) repeatable: bool,
    /// The path as the connector wrote it: what logs show, since it holds no value of anybody's.
    pub(super) template: String,
}

impl Target {
    /// Makes a connector's request ready.
    ///
    /// # Errors
    ///
    /// If it may not go where it leads, or if a part of it cannot stand in a request.
    pub fn prepare(&self, request: HttpRequest, body: Vec<u8>) -> Result<Prepared> {
        let place = self.place(&request)?;
        let method = Method::from_bytes(request.method.as_bytes())
            .ok()
            .filter(|method| *method != Method::CONNECT && *method != Method::TRACE)
            .ok_or_else(|| {
                Error::new(ErrorKind::Blocked, "the connector's method is not one that is sent")
            })?;
        let mut url = place.url;
        if !request.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&request.query);
        }
        let auth = self.manifest.auth(&self.credential.auth);
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json, */*;q=0.5"));
        for (name, value) in &request.headers {
            self.header(&mut headers, name, value)?;
        }
        if let Some(auth) = auth.filter(|_| place.credential) {
            self.credential.place(auth, &mut url, &mut headers)?;
        }
        if url.as_str().len() > MAX_URL {
            return Err(Error::new(
                ErrorKind::Blocked,
                format!("the address of the request is longer than {MAX_URL} bytes"),
            ));
        }
        let repeatable = request.idempotent || method.is_safe();
        let template = if request.path.starts_with('/') { request.path } else { "(an address)".to_owned() };
        Ok(Prepared { method, url, headers, body, by_operator: place.by_operator, repeatable, template })
    }

    fn header(&self, headers: &mut HeaderMap, name: &str, value: &str) -> Result<()> {
        let unfit = || {
            let name: String = name.escape_debug().take(60).collect();
            Error::new(
                ErrorKind::InvalidInput,
                format!("the header `{name}` cannot be sent: it holds a character that a header may not"),
            )
        };
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| unfit())?;
        let value = HeaderValue::from_str(value).map_err(|_| unfit())?;
        let placed = self.manifest.auth.iter().flat_map(|auth| &auth.placement).any(|placement| {
            matches!(placement, connector_protocol::manifest::Placement::Header { name: placed, .. } if name.as_str().eq_ignore_ascii_case(placed))
        });
        if placed || NOT_THE_CONNECTORS.contains(&name.as_str()) {
            return Err(Error::new(
                ErrorKind::Blocked,
                format!("the header `{name}` is not the connector's to set"),
            ));
        }
        headers.insert(name, value);
        Ok(())
    }
}

impl Prepared {
    /// The request as people may see it, secrets masked: `method`, `url`, `headers`, and `body` as JSON or as text.
    #[must_use]
    pub fn show(&self, redactor: &Redactor) -> Value {
        let headers: serde_json::Map<String, Value> = self
            .headers
            .iter()
            .map(|(name, value)| {
                let text = if value.is_sensitive() {
                    // The scheme helps; what stands behind it is the secret.
                    let scheme =
                        value.to_str().ok().and_then(|text| text.split_once(' ')).map(|(scheme, _)| scheme);
                    scheme.map_or(crate::redact::MASK.to_owned(), |scheme| {
                        format!("{scheme} {}", crate::redact::MASK)
                    })
                } else {
                    redactor.text(&String::from_utf8_lossy(value.as_bytes()))
                };
                (name.to_string(), Value::String(text))
            })
            .collect();
        let mut shown = json!({
            "method": self.method.as_str(),
            "url": redactor.text(self.url.as_str()),
            "headers": headers,
        });
        if !self.body.is_empty() {
            shown["body"] = match serde_json::from_slice::<Value>(&self.body) {
                Ok(body) => redactor.json(&body),
                Err(_) => Value::String(redactor.text(&String::from_utf8_lossy(&self.body))),
            };
        }
        shown
    }
}
