//! One request and one answer, whole and in memory. Everything that decides what Zoom would say works on these two;
//! sockets and streaming are `wire.rs`'s business.

use axum::body::{Body, Bytes};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use serde::Serialize;
use url::form_urlencoded;

/// A request as it was received.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    /// The raw path: nothing decoded, nothing normalised.
    pub(crate) path: String,
    /// The raw query, without the `?`.
    pub(crate) query: Option<String>,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Request {
    /// The value of a header, if it is there and is text.
    pub(crate) fn header(&self, name: HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The media type of the body, without parameters, in lower case.
    pub(crate) fn media_type(&self) -> Option<String> {
        let value = self.header(CONTENT_TYPE)?;
        Some(value.split(';').next().unwrap_or(value).trim().to_ascii_lowercase())
    }

    /// The credentials of an `Authorization` header whose scheme is `scheme`.
    fn credentials(&self, scheme: &str) -> Option<&str> {
        let (found, credentials) = self.header(AUTHORIZATION)?.split_once(' ')?;
        found.eq_ignore_ascii_case(scheme).then_some(credentials.trim())
    }

    pub(crate) fn bearer(&self) -> Option<&str> {
        self.credentials("Bearer")
    }

    /// User name and password of Basic authentication.
    pub(crate) fn basic(&self) -> Option<(String, String)> {
        let decoded = STANDARD.decode(self.credentials("Basic")?).ok()?;
        let text = String::from_utf8(decoded).ok()?;
        let (name, password) = text.split_once(':')?;
        Some((name.to_owned(), password.to_owned()))
    }

    pub(crate) fn query(&self) -> Parameters {
        Parameters::parse(self.query.as_deref().unwrap_or_default().as_bytes())
    }

    /// The body as a form.
    pub(crate) fn form(&self) -> Parameters {
        Parameters::parse(&self.body)
    }
}

/// Name and value pairs, from a query or a form.
#[derive(Debug, Default, Clone)]
pub(crate) struct Parameters(Vec<(String, String)>);

impl Parameters {
    fn parse(encoded: &[u8]) -> Self {
        Self(form_urlencoded::parse(encoded).into_owned().collect())
    }

    /// The first value of a name. An empty value counts as none.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(found, _)| found == name)?;
        (!value.is_empty()).then_some(value)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn pairs(&self) -> &[(String, String)] {
        &self.0
    }
}

/// Decodes one path segment once. Bytes that are not UTF-8 become replacement characters and so match nothing.
pub(crate) fn decode_segment(segment: &str) -> String {
    percent_decode_str(segment).decode_utf8_lossy().into_owned()
}

/// A complete answer.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// What Zoom would not say: which rule was broken. For the journal and the log.
    pub(crate) explanation: Option<String>,
}

impl Answer {
    /// No body, and so no content type.
    pub(crate) fn empty(status: StatusCode) -> Self {
        Self { status, headers: HeaderMap::new(), body: Bytes::new(), explanation: None }
    }

    pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Self {
        // Serialising maps with string keys, numbers and strings cannot fail; an empty body would be noticed.
        let body = serde_json::to_vec(body).unwrap_or_default();
        Self::with_type(status, "application/json;charset=UTF-8", body)
    }

    pub(crate) fn html(status: StatusCode, page: String) -> Self {
        Self::with_type(status, "text/html;charset=UTF-8", page)
    }

    fn with_type(status: StatusCode, media_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), ..Self::empty(status) }
            .with_header(CONTENT_TYPE, HeaderValue::from_static(media_type))
    }

    pub(crate) fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
    }
}
