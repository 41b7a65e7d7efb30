//! How requests are taken and answers given: JSON, and errors as `application/problem+json` (RFC 9457) with the members of
//! [`Error`] beside the usual ones.

use std::{
    fmt::{self, Formatter},
    marker::PhantomData,
};

use axum::{
    Json,
    extract::{
        FromRequest, FromRequestParts, Path, Query, Request,
        rejection::{JsonRejection, PathRejection, QueryRejection},
    },
    http::{HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use connector_protocol::{Error, ErrorKind};
use jiff::Timestamp;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, MapAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::json;

use super::table::MAX_BODY;

/// An error as it is answered.
pub(crate) struct Problem(pub(crate) Error);

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

/// The rejections of axum repeat what was sent, which may be a secret: only what is wrong with it is said.
fn unreadable(what: &str, text: &str) -> Problem {
    let text = text.split(" at line ").next().unwrap_or_default();
    // Values stand in quotes of one kind, names in those of the other.
    let text: String = text.split('"').step_by(2).collect::<Vec<_>>().join("…");
    Problem(Error::new(ErrorKind::Usage, format!("the {what} cannot be read: {text}")))
}

/// What nobody has read, with the status that HTTP has for why: no kind of error stands for one of these alone.
pub(crate) struct Unread(StatusCode, Error);

impl Unread {
    /// That an address does not take a method.
    pub(crate) fn method(error: Error) -> Self {
        Self(StatusCode::METHOD_NOT_ALLOWED, error)
    }
}

impl From<JsonRejection> for Unread {
    fn from(rejection: JsonRejection) -> Self {
        let status = rejection.status();
        match status {
            StatusCode::PAYLOAD_TOO_LARGE => {
                let text = format!("the request is too large: it has at most {MAX_BODY} bytes");
                Self(status, Error::new(ErrorKind::Usage, text))
            }
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Self(
                status,
                Error::new(ErrorKind::Usage, "the request is not said to be JSON")
                    .hint("send it with: Content-Type: application/json"),
            ),
            _ => Self(StatusCode::BAD_REQUEST, unreadable("request", &rejection.body_text()).0),
        }
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        unreadable("query", &rejection.body_text())
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        unreadable("address", &rejection.body_text())
    }
}

impl Problem {
    /// The body of the answer.
    pub(crate) fn body(&self) -> serde_json::Value {
        body(status(&self.0.kind), &self.0)
    }
}

fn body(status: StatusCode, error: &Error) -> serde_json::Value {
    let mut body = json!(error);
    body["type"] = json!(format!("urn:jackfield:error:{}", error.kind));
    body["title"] = json!(error.message);
    body["status"] = json!(status.as_u16());
    body
}

/// What an error is answered with, under this status.
pub(super) fn text(status: StatusCode, error: &Error) -> String {
    body(status, error).to_string()
}

/// An error, answered with this status.
pub(super) fn answer(status: StatusCode, error: &Error) -> Response {
    let mut response = (status, text(status, error)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if let Some(seconds) = wait(status, error) {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if is_for_operators(error) {
        response.extensions_mut().insert(ForOperators(error.clone()));
    }
    response
}

fn is_for_operators(error: &Error) -> bool {
    error.hint.as_ref().is_some_and(|hint| hint.contains("jackfield "))
}

/// An error as an app's user is told it, where it is kept to be told again.
pub(super) fn without_commands(error: &Error) -> Error {
    let hint = error.hint.clone().filter(|_| !is_for_operators(error));
    Error { hint, ..error.clone() }
}

/// The error of an answer whose hint is a command that only an operator can type.
#[derive(Clone)]
struct ForOperators(Error);

/// An answer as an app's user gets it: without the hints that are for whoever operates this.
pub(super) fn for_end_user(mut response: Response) -> Response {
    let Some(ForOperators(error)) = response.extensions_mut().remove() else { return response };
    let mut answered = answer(response.status(), &Error { hint: None, ..error });
    // What else was said stays: which methods there are, for one.
    for (name, value) in response.headers() {
        if *name != header::CONTENT_LENGTH && !answered.headers().contains_key(name) {
            answered.headers_mut().append(name, value.clone());
        }
    }
    answered
}

/// After how many seconds whoever was turned away for now may ask again, where that is known.
fn wait(status: StatusCode, error: &Error) -> Option<u64> {
    let for_now = matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    let at = error.retry_at.filter(|_| for_now)?;
    let left = at.duration_since(Timestamp::now());
    // A moment too early would be turned away again.
    Some(u64::try_from(left.as_secs()).unwrap_or_default() + 1)
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        answer(status(&self.0.kind), &self.0)
    }
}

impl IntoResponse for Unread {
    fn into_response(self) -> Response {
        answer(self.0, &self.1)
    }
}

/// The status that an error is answered with. What the provider said is in the error, not in the status: only whoever has
/// not said who they are gets a 401.
pub(crate) fn status(kind: &ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::Usage => StatusCode::BAD_REQUEST,
        ErrorKind::InvalidInput => StatusCode::UNPROCESSABLE_ENTITY,
        ErrorKind::Unknown | ErrorKind::NotFound | ErrorKind::ConnectorMissing => StatusCode::NOT_FOUND,
        ErrorKind::Unauthenticated => StatusCode::UNAUTHORIZED,
        ErrorKind::Forbidden | ErrorKind::MissingScope | ErrorKind::Blocked => StatusCode::FORBIDDEN,
        ErrorKind::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        ErrorKind::Cancelled
        | ErrorKind::Conflict
        | ErrorKind::ConnectionNeeded
        | ErrorKind::Unauthorized => StatusCode::CONFLICT,
        ErrorKind::Unavailable | ErrorKind::ConnectorQuarantined | ErrorKind::InputQuarantined => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        ErrorKind::Unsupported => StatusCode::NOT_IMPLEMENTED,
        ErrorKind::Timeout => StatusCode::GATEWAY_TIMEOUT,
        ErrorKind::Refused | ErrorKind::Network | ErrorKind::Ambiguous | ErrorKind::UnexpectedAnswer => {
            StatusCode::BAD_GATEWAY
        }
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// A body that is a JSON object.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Unread;

    async fn from_request(request: Request, state: &S) -> Result<Self, Unread> {
        let Json(Object(body)) = Json::<Object<T>>::from_request(request, state).await?;
        Ok(Self(body))
    }
}

/// What is read of an object and of nothing else: by themselves, our types would take a list of their members too.
struct Object<T>(T);

impl<'de, T: DeserializeOwned> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<T>(PhantomData<T>);

        impl<'de, T: DeserializeOwned> Visitor<'de> for Members<T> {
            type Value = T;

            fn expecting(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<T, A::Error> {
                T::deserialize(MapAccessDeserializer::new(members))
            }
        }

        deserializer.deserialize_map(Members(PhantomData)).map(Self)
    }
}

/// What an address names.
pub(crate) struct Named<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Named<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(named) = Path::<T>::from_request_parts(parts, state).await?;
        Ok(Self(named))
    }
}

/// What a query asks for.
pub(crate) struct Asked<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Query(asked) = Query::<T>::from_request_parts(parts, state).await?;
        Ok(Self(asked))
    }
}
