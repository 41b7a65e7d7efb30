//! The API over HTTP. Errors are `application/problem+json` (RFC 9457), with the members of [`Error`] beside the usual ones.
//! Whoever accepts `application/x-ndjson` hears what happens meanwhile, a line each.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{
        ConnectInfo, DefaultBodyLimit, Path, Query, Request, State as Shared,
        rejection::{JsonRejection, PathRejection, QueryRejection},
    },
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use connector_protocol::{Error, ErrorKind};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::{Notify, mpsc};

use super::{Running, State, door::Peer};
use crate::{
    api::{self, ConnectorLine, ConnectorShown, Health, Invoke, Line},
    invoke::{Happening, Source},
    store::{Invocation, Wanted},
    worker,
};

/// How large a request may be, in bytes: an input, as a command would take it from a file.
const MAX_BODY: usize = 17 * 1024 * 1024;

/// What somebody asks for who wants to hear what happens meanwhile.
const NDJSON: &str = "application/x-ndjson";

type At = Shared<Arc<State>>;
/// What an address names, if it can be read.
type Named = Result<Path<String>, PathRejection>;

pub(super) fn router(state: Arc<State>) -> Router {
    Router::new()
        .route("/v1/health", get(health))
        .route("/v1/drain", post(drain))
        .route("/v1/workers", get(workers))
        .route("/v1/connectors", get(connectors))
        .route("/v1/connectors/{id}", get(connector))
        .route("/v1/invocations", get(invocations).post(invoke))
        .route("/v1/invocations/{id}", get(invocation))
        .route("/v1/invocations/{id}/cancel", post(cancel))
        .fallback(async || Problem(unknown("there is no such address")))
        .method_not_allowed_fallback(async || Problem(unknown("this address does not take that method")))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(middleware::from_fn(let_in))
        .with_state(state)
}

/// Turns away whoever is not the home's owner, and says on every answer who we are.
async fn let_in(ConnectInfo(peer): ConnectInfo<Peer>, request: Request, next: Next) -> Response {
    let mut response = if peer.is_welcome() {
        next.run(request).await
    } else {
        Problem(Error::new(ErrorKind::Blocked, "this socket is its owner's alone")).into_response()
    };
    response
        .headers_mut()
        .insert(header::SERVER, HeaderValue::from_static(concat!("jackfield/", env!("CARGO_PKG_VERSION"))));
    response
}

fn unknown(text: &str) -> Error {
    Error::new(ErrorKind::Unknown, text)
}

/// An error as it is answered.
struct Problem(Error);

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        Self(Error::new(ErrorKind::Usage, format!("the request cannot be read: {}", rejection.body_text())))
    }
}

impl From<QueryRejection> for Problem {
    fn from(rejection: QueryRejection) -> Self {
        Self(Error::new(ErrorKind::Usage, format!("the query cannot be read: {}", rejection.body_text())))
    }
}

impl From<PathRejection> for Problem {
    fn from(rejection: PathRejection) -> Self {
        Self(Error::new(ErrorKind::Usage, format!("the address cannot be read: {}", rejection.body_text())))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = status(&self.0.kind);
        let mut body = json!(self.0);
        body["type"] = json!(format!("urn:jackfield:error:{}", self.0.kind));
        body["title"] = json!(self.0.message);
        body["status"] = json!(status.as_u16());
        let mut response = (status, body.to_string()).into_response();
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response
    }
}

/// The status that an error is answered with. What the provider said is in the error, not in the status.
fn status(kind: &ErrorKind) -> StatusCode {
    match kind {
        ErrorKind::Usage => StatusCode::BAD_REQUEST,
        ErrorKind::InvalidInput => StatusCode::UNPROCESSABLE_ENTITY,
        ErrorKind::Unknown | ErrorKind::NotFound | ErrorKind::ConnectorMissing => StatusCode::NOT_FOUND,
        ErrorKind::Unauthorized => StatusCode::UNAUTHORIZED,
        ErrorKind::MissingScope | ErrorKind::Blocked => StatusCode::FORBIDDEN,
        ErrorKind::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        ErrorKind::Cancelled => StatusCode::CONFLICT,
        ErrorKind::Unavailable | ErrorKind::ConnectorQuarantined | ErrorKind::InputQuarantined => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        ErrorKind::Timeout => StatusCode::GATEWAY_TIMEOUT,
        ErrorKind::Refused | ErrorKind::Network | ErrorKind::Ambiguous | ErrorKind::UnexpectedAnswer => {
            StatusCode::BAD_GATEWAY
        }
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

async fn health(Shared(state): At) -> Json<Health> {
    Json(state.health())
}

async fn drain(Shared(state): At) -> Json<Health> {
    state.end.notify_one();
    Json(state.health())
}

async fn workers(Shared(state): At) -> Json<Vec<worker::Running>> {
    Json(state.host.workers.running())
}

async fn connectors(Shared(state): At) -> Result<Json<Vec<ConnectorLine>>, Problem> {
    // Whoever asks may have put one there a moment ago.
    state.host.reload_unless_busy().await?;
    Ok(Json(api::connectors(&state.host.registry(), state.host.workers.supervisor())?))
}

async fn connector(Shared(state): At, named: Named) -> Result<Json<ConnectorShown>, Problem> {
    let Path(id) = named?;
    if state.host.registry().find(&id).is_err() {
        state.host.reload().await?;
    }
    Ok(Json(api::connector(state.host.registry().find(&id)?)?))
}

async fn invocations(
    Shared(state): At,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Json<Vec<Invocation>>, Problem> {
    let Query(wanted) = wanted?;
    Ok(Json(state.host.store.invocations(wanted).await?))
}

async fn invocation(Shared(state): At, named: Named) -> Result<Json<Invocation>, Problem> {
    let Path(id) = named?;
    Ok(Json(api::invocation(&state.host, &id).await?))
}

async fn cancel(Shared(state): At, named: Named) -> Result<Json<Value>, Problem> {
    let Path(id) = named?;
    let running = state.running();
    let found = running.values().find(|running| running.id.as_ref() == Some(&id));
    found.ok_or_else(|| api::no_invocation(&id))?.stop.notify_one();
    Ok(Json(json!({})))
}

/// Something that is under way, for as long as somebody waits for it.
struct UnderWay {
    state: Arc<State>,
    number: u64,
    stop: Arc<Notify>,
}

impl UnderWay {
    fn begin(state: &Arc<State>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let stop = Arc::new(Notify::new());
        state.running().insert(number, Running { id: None, stop: stop.clone() });
        Self { state: state.clone(), number, stop }
    }

    fn happens(&self, happening: &Happening) {
        if let Happening::Begun { id } = happening
            && let Some(running) = self.state.running().get_mut(&self.number)
        {
            running.id = Some(id.clone());
        }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.state.running().remove(&self.number);
        self.state.over.notify_one();
    }
}

/// Stops what somebody has waited for and waits for no longer.
struct StopOnDrop(Arc<Notify>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

async fn invoke(
    Shared(state): At,
    headers: HeaderMap,
    request: Result<Json<Invoke>, JsonRejection>,
) -> Result<Response, Problem> {
    let Json(request) = request?;
    // Whoever drains sets the flag and then looks what is under way. The other way round, one of the two sees the other.
    let under_way = Arc::new(UnderWay::begin(&state));
    if state.is_draining() {
        return Err(Problem(
            Error::new(ErrorKind::Unavailable, "this Jackfield is about to end").hint("run it again"),
        ));
    }
    let is_command = headers.get(header::USER_AGENT).is_some_and(|agent| agent == super::COMMANDS);
    let source = if is_command { Source::Cli } else { Source::Api };
    let stop = under_way.stop.clone();
    let guard = StopOnDrop(stop.clone());
    let streams = headers.get(header::ACCEPT).is_some_and(|accept| accept.as_bytes() == NDJSON.as_bytes());
    if !streams {
        let seen = under_way.clone();
        // In a task of its own: when somebody goes away, it is stopped and recorded, not dropped.
        let done = tokio::spawn(async move {
            let watch = Arc::new(move |happening: Happening| seen.happens(&happening));
            let output = api::invoke(&state.host, request, source, watch, stop.notified()).await;
            drop(under_way);
            output
        });
        let output = done.await.map_err(|_| Error::new(ErrorKind::Internal, "the invocation broke off"))?;
        drop(guard);
        return Ok(Json(output?).into_response());
    }
    let (lines, receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        let (seen, told) = (under_way.clone(), lines.clone());
        let watch = Arc::new(move |happening: Happening| {
            seen.happens(&happening);
            let _ = told.send(line(&Line::Happens(happening)));
        });
        let output = api::invoke(&state.host, request, source, watch, stop.notified()).await;
        drop(under_way);
        let _ = lines.send(match output {
            Ok(done) => line(&Line::Done(done)),
            Err(failed) => line(&Line::Failed(failed)),
        });
    });
    let body = Body::from_stream(Lines { receiver, _guard: guard });
    Ok(([(header::CONTENT_TYPE, NDJSON)], body).into_response())
}

fn line(line: &impl Serialize) -> Bytes {
    let mut bytes = serde_json::to_vec(line).unwrap_or_default();
    bytes.push(b'\n');
    bytes.into()
}

/// Lines as they come. When nobody reads them any more, what they are about is stopped.
struct Lines {
    receiver: mpsc::UnboundedReceiver<Bytes>,
    _guard: StopOnDrop,
}

impl futures_core::Stream for Lines {
    type Item = Result<Bytes, std::convert::Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.receiver.poll_recv(context).map(|line| line.map(Ok))
    }
}
