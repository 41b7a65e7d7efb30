//! Running actions, and looking up what was run. Whoever accepts `application/x-ndjson` hears what happens meanwhile, a line
//! each.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use aws_lc_rs::digest;
use axum::{
    Json,
    body::{Body as Sent, Bytes},
    extract::State as Shared,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use connector_protocol::{Error, ErrorKind};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::{Notify, mpsc};

use super::{
    super::{
        GRACE, Running, State,
        answer::{Asked, Body, Named, Problem, status, without_commands},
        guard::Tenant,
    },
    Gives, Part,
    system::Fine,
};
use crate::{
    api::{self, Invoke, Line, accounts::List},
    id::Id,
    invoke::{Caller, Happening},
    redact::mask_marked,
    store::{Invocation, Once, Wanted},
};

/// What somebody asks for who wants to hear what happens meanwhile.
const NDJSON: &str = "application/x-ndjson";

/// What makes a repetition of a request recognisable.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// How long such a key may be.
pub(in crate::server) const MAX_KEY: usize = 255;

/// Which invocations somebody wants.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(in crate::server) struct Which {
    connector: Option<String>,
    action: Option<String>,
    state: Option<crate::store::State>,
    after: Option<String>,
    limit: Option<u32>,
}

pub(in crate::server) async fn list(
    Shared(state): Shared<Arc<State>>,
    tenant: Tenant,
    Asked(which): Asked<Which>,
) -> Gives<List<Invocation>> {
    let (page, limit) = Part { after: which.after, limit: which.limit }.page(|after| Id::is("inv", after))?;
    let wanted = Wanted {
        project: Some(tenant.project),
        user: tenant.user,
        connector: which.connector,
        action: which.action,
        state: which.state,
        after: page.after,
        most: Some(page.most),
    };
    let found = state.host.store.invocations(wanted).await?;
    Ok(Json(List::of(found, limit, |one| one.id.clone())))
}

pub(in crate::server) async fn show(
    Shared(state): Shared<Arc<State>>,
    tenant: Tenant,
    Named(id): Named<String>,
) -> Gives<Invocation> {
    Ok(Json(api::invocation(&state.host, Some(tenant.scope()), &id).await?))
}

pub(in crate::server) async fn cancel(
    Shared(state): Shared<Arc<State>>,
    tenant: Tenant,
    Named(id): Named<String>,
) -> Gives<Fine> {
    let running = state.running();
    let of_caller = |running: &&Running| {
        running.project == tenant.project && (tenant.user.is_none() || running.user == tenant.user)
    };
    let found = running.values().filter(of_caller).find(|running| running.id.as_ref() == Some(&id));
    found.ok_or_else(|| api::no_invocation(&id))?.stop.notify_one();
    Ok(Json(Fine::yes()))
}

/// Something that is under way, for as long as somebody waits for it.
struct UnderWay {
    state: Arc<State>,
    number: u64,
    stop: Arc<Notify>,
}

impl UnderWay {
    fn begin(state: &Arc<State>, caller: &Caller) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let stop = Arc::new(Notify::new());
        let running = Running {
            id: None,
            project: caller.project.clone(),
            user: caller.user.clone(),
            stop: stop.clone(),
        };
        state.running().insert(number, running);
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

pub(in crate::server) async fn invoke(
    Shared(state): Shared<Arc<State>>,
    tenant: Tenant,
    headers: HeaderMap,
    Body(mut request): Body<Invoke>,
) -> Result<Response, Problem> {
    request.user = tenant.user_of(request.user)?;
    once(state, tenant, headers, request).await
}

pub(in crate::server) async fn invoke_as(
    Shared(state): Shared<Arc<State>>,
    tenant: Tenant,
    headers: HeaderMap,
    Named((connection, name)): Named<(String, String)>,
    Body(input): Body<Value>,
) -> Result<Response, Problem> {
    let held = state.host.connections.held(&tenant.scope(), &connection)?;
    // An action may be named with its connector or without.
    let action = if name.contains('.') { name } else { format!("{}.{name}", held.connection.connector) };
    let request = Invoke { action, input, connection: Some(connection), ..Invoke::default() };
    once(state, tenant, headers, request).await
}

/// Runs an action; or, where that has been asked for under the same key, gives what was answered then.
async fn once(
    state: Arc<State>,
    tenant: Tenant,
    headers: HeaderMap,
    request: Invoke,
) -> Result<Response, Problem> {
    let Some(key) = headers.get(IDEMPOTENCY_KEY) else {
        return run(state, tenant.caller(), &headers, request).await;
    };
    let fits = |key: &&str| !key.is_empty() && key.len() <= MAX_KEY;
    let key = key.to_str().ok().filter(fits).map(str::to_owned).ok_or_else(|| {
        Error::new(ErrorKind::Usage, format!("`Idempotency-Key` has 1 to {MAX_KEY} visible characters"))
    })?;
    // In a task of its own, from the first word that is written of it: what has begun ends, and how it ended is remembered, also
    // if nobody waits for the answer any more.
    let done = tokio::spawn(once_under(state, tenant, key, request));
    done.await.map_err(|_| Error::new(ErrorKind::Internal, "the invocation broke off"))?
}

async fn once_under(
    state: Arc<State>,
    tenant: Tenant,
    key: String,
    request: Invoke,
) -> Result<Response, Problem> {
    let unreadable = |_| Error::new(ErrorKind::Internal, "the request cannot be written down");
    let bytes = serde_json::to_vec(&request).map_err(unreadable)?;
    let what = digest::digest(&digest::SHA256, &bytes).as_ref().to_vec();
    let conflict = |text: &str, hint: &str| Problem(Error::new(ErrorKind::Conflict, text).hint(hint));
    let scope = tenant.scope();
    match state.host.store.once(scope.clone(), key.clone(), what).await? {
        Once::New => {}
        Once::Another => {
            return Err(conflict("something else was asked for under this key", "use a key for one request"));
        }
        Once::UnderWay => {
            return Err(conflict("this is under way already", "ask again when it may be over"));
        }
        Once::Lost => {
            return Err(Problem(
                Error::new(
                    ErrorKind::Ambiguous,
                    "what was asked for under this key was cut off, and nobody knows how far it came",
                )
                .hint("look at the provider, and use another key"),
            ));
        }
        Once::Answered { status, body } => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let kind = if status.is_success() { "application/json" } else { "application/problem+json" };
            let replayed = (HeaderName::from_static("idempotent-replayed"), HeaderValue::from_static("true"));
            let kind = (header::CONTENT_TYPE, HeaderValue::from_static(kind));
            return Ok((status, [kind, replayed], body).into_response());
        }
    }
    let caller = Caller { idempotency_key: Some(key.clone()), ..tenant.caller() };
    let action = request.action.clone();
    let done = run_whole(&state, caller, request).await;
    let kept = match &done {
        Ok(output) => without_secrets(&state, &action, output).map(|body| (200, body)),
        // What has certainly done nothing may be asked for again.
        Err(error) if error.id.is_none() || error.kind == ErrorKind::RateLimited => None,
        Err(error) => {
            let is_end_user = tenant.who.is_end_user();
            let problem = Problem(if is_end_user { without_commands(error) } else { error.clone() });
            Some((status(&error.kind).as_u16(), problem.body().to_string()))
        }
    };
    if let Err(error) = state.host.store.answered(scope, key, kept).await {
        tracing::warn!("what was answered could not be remembered: {error}");
    }
    Ok(Json(done?).into_response())
}

/// An answer as it is kept: what the action's schema marks as secret was given once, and is nothing to lie in a store.
fn without_secrets(state: &State, action: &str, answer: &api::Output) -> Option<String> {
    let mut answer = serde_json::to_value(answer).ok()?;
    let known = api::split(action).and_then(|(connector, action)| state.host.action(connector, action));
    match known.as_ref().map_err(Clone::clone).and_then(|known| known.output()) {
        Ok(side) => {
            mask_marked(&side.schema, &mut answer["output"]);
        }
        // The connector has gone since: nobody knows what is secret in it.
        Err(_) => answer["output"] = Value::Null,
    }
    Some(answer.to_string())
}

/// Whoever drains sets the flag and then looks what is under way. The other way round, one of the two sees the other.
fn begin(state: &Arc<State>, caller: &Caller) -> Result<Arc<UnderWay>, Error> {
    let under_way = Arc::new(UnderWay::begin(state, caller));
    if state.is_draining() {
        // By then it has ended, and whoever takes its place answers.
        let at = Timestamp::now().saturating_add(GRACE).unwrap_or(Timestamp::MAX);
        return Err(Error::new(ErrorKind::Unavailable, "this Jackfield is about to end")
            .retry_at(at)
            .hint("run it again"));
    }
    Ok(under_way)
}

/// Runs an action to its end.
pub(in crate::server) async fn run_whole(
    state: &Arc<State>,
    caller: Caller,
    request: Invoke,
) -> Result<api::Output, Error> {
    let under_way = begin(state, &caller)?;
    let (seen, stop) = (under_way.clone(), under_way.stop.clone());
    let watch = Arc::new(move |happening: Happening| seen.happens(&happening));
    api::invoke(&state.host, request, caller, watch, stop.notified()).await
}

async fn run(
    state: Arc<State>,
    caller: Caller,
    headers: &HeaderMap,
    request: Invoke,
) -> Result<Response, Problem> {
    let under_way = begin(&state, &caller)?;
    let stop = under_way.stop.clone();
    let guard = StopOnDrop(stop.clone());
    let streams = headers.get(header::ACCEPT).is_some_and(|accept| accept.as_bytes() == NDJSON.as_bytes());
    if !streams {
        let seen = under_way.clone();
        // In a task of its own: when somebody goes away, it is stopped and recorded, not dropped.
        let done = tokio::spawn(async move {
            let watch = Arc::new(move |happening: Happening| seen.happens(&happening));
            let output = api::invoke(&state.host, request, caller, watch, stop.notified()).await;
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
        let output = api::invoke(&state.host, request, caller, watch, stop.notified()).await;
        drop(under_way);
        let _ = lines.send(match output {
            Ok(done) => line(&Line::Done(done)),
            Err(failed) => line(&Line::Failed(failed)),
        });
    });
    let body = Sent::from_stream(Lines { receiver, _guard: guard });
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
