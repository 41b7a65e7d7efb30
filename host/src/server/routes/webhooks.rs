//! Where providers send what has happened. It is the connector's declaration that says what is taken, and nothing here.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use axum::{
    body::Body,
    extract::{ConnectInfo, Path, Request, State as Shared},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use connector_protocol::{Error, ErrorKind};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::sync::Semaphore;

use super::super::{
    State,
    answer::{self, Problem},
    guard::Came,
};
use crate::{
    events::receive::{Answered, COME_AGAIN, Received},
    ingress::Refusal,
};

/// How many bodies may come at once.
static BODIES: Semaphore = Semaphore::const_new(1024);

/// How long a body may take to arrive.
const BODY: Duration = Duration::from_secs(10);

pub(in crate::server) async fn take(
    Shared(state): Shared<Arc<State>>,
    ConnectInfo(came): ConnectInfo<Came>,
    Path((connector, integration)): Path<(String, String)>,
    request: Request,
) -> Response {
    respond(&state, &came, At { connector, integration, hook: None, subscription: None }, request).await
}

pub(in crate::server) async fn take_named(
    Shared(state): Shared<Arc<State>>,
    ConnectInfo(came): ConnectInfo<Came>,
    Path((connector, integration, hook)): Path<(String, String, String)>,
    request: Request,
) -> Response {
    respond(&state, &came, At { connector, integration, hook: Some(hook), subscription: None }, request).await
}

pub(in crate::server) async fn take_for_one(
    Shared(state): Shared<Arc<State>>,
    ConnectInfo(came): ConnectInfo<Came>,
    Path((connector, integration, hook, subscription)): Path<(String, String, String, String)>,
    request: Request,
) -> Response {
    let at = At { connector, integration, hook: Some(hook), subscription: Some(subscription) };
    respond(&state, &came, at, request).await
}

/// What an address names.
struct At {
    connector: String,
    integration: String,
    hook: Option<String>,
    subscription: Option<String>,
}

async fn respond(state: &State, came: &Came, at: At, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let settings = match state.host.settings() {
        Ok(settings) => settings,
        Err(error) => return later(&error),
    };
    let limit = settings.config.events.body_bytes;
    let said =
        parts.headers.get(header::CONTENT_LENGTH).and_then(|len| len.to_str().ok()?.parse::<u64>().ok());
    if said.is_some_and(|said| said > limit as u64) {
        return short(StatusCode::PAYLOAD_TOO_LARGE);
    }
    // Bodies lie in memory while they come: only so many at once, and none for an address that stands for nothing.
    match state.host.is_hook(&at.connector, &at.integration).await {
        Ok(true) => {}
        Ok(false) => {
            let from = super::system::came_from(&settings, Some(came), &parts.headers);
            state.host.note_unknown(&at.connector, &at.integration, from);
            return short(StatusCode::NOT_FOUND);
        }
        Err(error) => return later(&error),
    }
    let Ok(_place) = BODIES.try_acquire() else {
        return later(&Error::new(ErrorKind::Unavailable, "too many bodies come at once"));
    };
    let body = match read(body, limit).await {
        Ok(body) => body,
        Err(status) => return short(status),
    };
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let received = Received {
        connector: &at.connector,
        integration: &at.integration,
        hook: at.hook.as_deref(),
        subscription: at.subscription.as_deref(),
        method: parts.method.as_str(),
        path,
        headers: &parts.headers,
        body,
        from: super::system::came_from(&settings, Some(came), &parts.headers),
        settings: &settings,
    };
    match state.host.webhook(received).await {
        Answered::Handshake(answer) => {
            ([(header::CONTENT_TYPE, answer.content_type)], answer.body).into_response()
        }
        Answered::Kept { .. } => ([(header::CONTENT_TYPE, "text/plain")], "").into_response(),
        Answered::Nothing => short(StatusCode::NOT_FOUND),
        Answered::Refused(refusal) => refused(&refusal),
        Answered::Later(error) => later(&error),
    }
}

async fn read(body: Body, limit: usize) -> Result<Bytes, StatusCode> {
    let read = tokio::time::timeout(BODY, Limited::new(body, limit).collect()).await;
    match read {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.downcast_ref::<LengthLimitError>().is_some() => {
            Err(StatusCode::PAYLOAD_TOO_LARGE)
        }
        Ok(Err(_)) => Err(StatusCode::BAD_REQUEST),
        Err(_) => Err(StatusCode::REQUEST_TIMEOUT),
    }
}

/// What whoever sends is told: the status, and no more. The reason is for the operator.
fn short(status: StatusCode) -> Response {
    let said = SAID.iter().find(|(said, _)| *said == status);
    let mut response = match said {
        Some((_, body)) => (status, body.clone()).into_response(),
        None => answer::answer(status, &Error::new(ErrorKind::Usage, "the request cannot be taken")),
    };
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    response
}

/// The answers to what is not taken. Each is written once, since whoever floods an address gets nothing else. None says how to
/// authenticate: no token would help.
static SAID: LazyLock<Vec<(StatusCode, Bytes)>> = LazyLock::new(|| {
    let said = [
        (StatusCode::BAD_REQUEST, ErrorKind::Usage, "the request cannot be taken"),
        (StatusCode::UNAUTHORIZED, ErrorKind::Unauthenticated, "the request proves nothing"),
        (StatusCode::NOT_FOUND, ErrorKind::Unknown, "there is no such address"),
        (StatusCode::METHOD_NOT_ALLOWED, ErrorKind::Usage, "this address does not take that method"),
        (StatusCode::REQUEST_TIMEOUT, ErrorKind::Usage, "the request cannot be taken"),
        (StatusCode::PAYLOAD_TOO_LARGE, ErrorKind::Usage, "the request is too large"),
        (
            StatusCode::SERVICE_UNAVAILABLE,
            ErrorKind::Unavailable,
            "nothing can be taken here yet; send it again",
        ),
    ];
    said.into_iter()
        .map(|(status, kind, text)| (status, answer::text(status, &Error::new(kind, text)).into()))
        .collect()
});

fn refused(refusal: &Refusal) -> Response {
    let status = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::BAD_REQUEST);
    let mut response = short(status);
    match refusal {
        Refusal::WrongMethod { allowed } => {
            if let Ok(allowed) = HeaderValue::from_str(&allowed.join(", ")) {
                response.headers_mut().insert(header::ALLOW, allowed);
            }
        }
        _ if status == StatusCode::SERVICE_UNAVAILABLE => come_again(&mut response),
        _ => {}
    }
    response
}

fn come_again(response: &mut Response) {
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(COME_AGAIN));
}

/// It was not kept: the provider is asked to send it again.
fn later(error: &Error) -> Response {
    let text = "this cannot be kept now; send it again";
    let mut response = Problem(Error::new(ErrorKind::Unavailable, text)).into_response();
    tracing::debug!("asked to come again: {error}");
    come_again(&mut response);
    response
}
