//! How requests are taken and answers given: JSON, and errors as `application/problem+json` (RFC 9457) with the members of
//! [`Error`] beside the usual ones.

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
use serde::de::DeserializeOwned;
use serde_json::json;

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

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            return Self(Error::new(ErrorKind::Usage, "the request is too large"));
        }
        unreadable("request", &rejection.body_text())
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
        let mut body = json!(self.0);
        body["type"] = json!(format!("urn:jackfield:error:{}", self.0.kind));
        body["title"] = json!(self.0.message);
        body["status"] = json!(status(&self.0.kind).as_u16());
        body
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = status(&self.0.kind);
        let mut response = (status, self.body().to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(at) = self.0.retry_at {
            // Rounded up: whoever comes in time must not come too early.
            let seconds = at.duration_since(Timestamp::now()).as_secs().max(0) + 1;
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
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

/// A body as JSON.
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let Json(body) = Json::<T>::from_request(request, state).await?;
        Ok(Self(body))
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
