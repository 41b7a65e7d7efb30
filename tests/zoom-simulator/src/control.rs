//! The control API below `/_simulator`: what a user or a test can do to the simulator that nobody can do to Zoom. It
//! is documented in the README. Requests to it are not entered in the journal and no fault happens to them.
//!
//! It has no authentication, so it answers only to a loopback `Host` and takes only JSON: a web page in a browser on
//! the same machine can then neither read it nor post a form to it.

mod happenings;
mod webhooks;

use std::sync::Arc;

use axum::Json;
use axum::Router;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{Path, Query, Request, State};
use axum::http::StatusCode;
use axum::http::header::HOST;
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use jiff::SignedDuration;
use serde::Deserialize;
use serde_json::{Value, json};
use url::Host;

use crate::config::Plan;
use crate::faults::{Fault, glob};
use crate::journal::Entry;
use crate::oauth::authority::NewGrant;
use crate::oauth::{TokenReply, scopes};
use crate::registrant::Standing;
use crate::server::Shared;
use crate::webhook::courier;

type Control = State<Arc<Shared>>;

pub(crate) fn router(shared: Arc<Shared>) -> Router<Arc<Shared>> {
    Router::new()
        .route("/", get(state))
        .route("/state", get(state))
        .route("/reset", post(reset))
        .route("/clock", get(clock).post(advance))
        .route("/limits", get(limits).put(set_limits))
        .route("/tokens", post(issue_token))
        .route("/faults", get(list_faults).post(add_fault).delete(clear_faults))
        .route("/faults/{id}", delete(remove_fault))
        .route("/journal", get(journal).delete(clear_journal))
        .route("/changes", get(changes))
        .route("/meetings/{id}/registrants/{registrant}", post(decide_registrant))
        .merge(happenings::router())
        .nest("/webhooks", webhooks::router())
        .fallback(nothing_here)
        .method_not_allowed_fallback(other_method)
        .layer(from_fn_with_state(shared.clone(), tell))
        .layer(from_fn(loopback_only))
        .with_state(shared)
}

/// A refusal of the control API.
struct Refusal {
    status: StatusCode,
    message: String,
}

impl Refusal {
    fn bad(message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, message: message.into() }
    }

    fn unprocessable(message: impl Into<String>) -> Self {
        Self { status: StatusCode::UNPROCESSABLE_ENTITY, message: message.into() }
    }

    fn missing(message: impl Into<String>) -> Self {
        Self { status: StatusCode::NOT_FOUND, message: message.into() }
    }
}

impl From<JsonRejection> for Refusal {
    fn from(rejection: JsonRejection) -> Self {
        Self { status: rejection.status(), message: rejection.body_text() }
    }
}

impl From<PathRejection> for Refusal {
    fn from(rejection: PathRejection) -> Self {
        Self { status: rejection.status(), message: rejection.body_text() }
    }
}

impl From<QueryRejection> for Refusal {
    fn from(rejection: QueryRejection) -> Self {
        Self { status: rejection.status(), message: rejection.body_text() }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.status, Json(json!({"error": self.message}))).into_response()
    }
}

type Result<T> = std::result::Result<T, Refusal>;

/// A body, or why it is none.
type Body<T> = std::result::Result<Json<T>, JsonRejection>;

/// The open segments of a path, or why they are none.
type Segments<T> = std::result::Result<Path<T>, PathRejection>;

async fn nothing_here() -> Refusal {
    Refusal::missing("the control API has no such address")
}

async fn other_method() -> Refusal {
    let message = "the control API has another method for this address".to_owned();
    Refusal { status: StatusCode::METHOD_NOT_ALLOWED, message }
}

async fn loopback_only(request: Request, next: Next) -> Response {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let is_loopback = match url::Url::parse(&format!("http://{host}")).ok().as_ref().and_then(url::Url::host)
    {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    if is_loopback {
        return next.run(request).await;
    }
    let message = "the control API answers only to a loopback Host".to_owned();
    Refusal { status: StatusCode::FORBIDDEN, message }.into_response()
}

/// Whatever a call has changed is told before it is answered.
async fn tell(State(shared): Control, request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    courier::publish(&shared);
    response
}

async fn state(State(shared): Control) -> Json<Value> {
    let (faults, journal) = (shared.faults().len(), shared.journal().len());
    let world = shared.world();
    let (active, grants) = world.authority.count_grants();
    Json(json!({
        "version": env!("CARGO_PKG_VERSION"),
        "now": world.now().to_string(),
        "ahead_seconds": world.clock.ahead().as_secs(),
        "plan": world.limits.plan,
        "rate_limits": world.limits.enabled,
        "users": world.directory.users().len(),
        "meetings": world.meetings().count(),
        "registrants": world.count_registrants(),
        "grants": {"active": active, "all": grants},
        "changes": world.changes().count(),
        "journal": journal,
        "faults": faults,
    }))
}

async fn reset(State(shared): Control) -> StatusCode {
    shared.reset();
    StatusCode::NO_CONTENT
}

async fn clock(State(shared): Control) -> Json<Value> {
    let world = shared.world();
    Json(json!({"now": world.now().to_string(), "ahead_seconds": world.clock.ahead().as_secs()}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    advance_seconds: u32,
}

async fn advance(State(shared): Control, body: Body<Advance>) -> Result<Json<Value>> {
    let Json(Advance { advance_seconds }) = body?;
    shared.world().clock.advance(SignedDuration::from_secs(i64::from(advance_seconds)));
    shared.wake();
    Ok(clock(State(shared)).await)
}

async fn limits(State(shared): Control) -> Json<Value> {
    let world = shared.world();
    Json(json!({"enabled": world.limits.enabled, "plan": world.limits.plan}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetLimits {
    enabled: Option<bool>,
    plan: Option<Plan>,
}

async fn set_limits(State(shared): Control, body: Body<SetLimits>) -> Result<Json<Value>> {
    let Json(wanted) = body?;
    {
        let limits = &mut shared.world().limits;
        limits.enabled = wanted.enabled.unwrap_or(limits.enabled);
        limits.plan = wanted.plan.unwrap_or(limits.plan);
    }
    Ok(limits(State(shared)).await)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IssueToken {
    /// Id or e-mail address; the sample host if nobody is named.
    user: Option<String>,
    scopes: Option<Vec<String>>,
    life_seconds: Option<u32>,
}

/// Tokens that neither end an earlier grant nor are ended by a later one.
async fn issue_token(State(shared): Control, body: Body<IssueToken>) -> Result<Response> {
    let Json(wanted) = body?;
    let mut world = shared.world();
    let world = &mut *world;
    let user = match &wanted.user {
        None => world.directory.host(),
        Some(name) => {
            let found = world.directory.find(name);
            found.ok_or_else(|| Refusal::missing(format!("there is no user {name:?}")))?
        }
    };
    let config = &world.config;
    let new = NewGrant {
        user: user.clone(),
        scopes: wanted.scopes.unwrap_or_else(|| scopes::of_app(config.app, config.scopes)),
        with_refresh: scopes::has_users(config.app),
        exclusive: false,
        life: wanted
            .life_seconds
            .map_or(config.token_life, |seconds| std::time::Duration::from_secs(u64::from(seconds))),
    };
    let now = world.clock.now();
    let issued = world.authority.grant(new, &mut world.random, now);
    Ok((StatusCode::CREATED, Json(TokenReply::new(issued, &world.origin))).into_response())
}

async fn list_faults(State(shared): Control) -> Json<Value> {
    Json(json!({"faults": shared.faults().list()}))
}

async fn add_fault(State(shared): Control, body: Body<Fault>) -> Result<Response> {
    let Json(fault) = body?;
    let checked = fault.check().map_err(Refusal::bad)?;
    let id = shared.faults().add(checked);
    Ok((StatusCode::CREATED, Json(json!({"id": id}))).into_response())
}

async fn clear_faults(State(shared): Control) -> StatusCode {
    shared.faults().clear();
    StatusCode::NO_CONTENT
}

async fn remove_fault(State(shared): Control, segments: Segments<u64>) -> Result<StatusCode> {
    let Path(id) = segments?;
    match shared.faults().remove(id) {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Refusal::missing(format!("there is no fault {id}"))),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Selection {
    /// Only requests with a higher number.
    after: Option<u64>,
    method: Option<String>,
    /// A pattern for the raw path.
    path: Option<String>,
}

impl Selection {
    fn contains(&self, entry: &Entry) -> bool {
        self.after.is_none_or(|after| entry.number > after)
            && self.method.as_ref().is_none_or(|method| method.eq_ignore_ascii_case(&entry.method))
            && self.path.as_ref().is_none_or(|pattern| glob::matches(pattern, &entry.path))
    }
}

async fn journal(
    State(shared): Control,
    query: std::result::Result<Query<Selection>, QueryRejection>,
) -> Result<Json<Value>> {
    let Query(selection) = query?;
    let journal = shared.journal();
    let entries: Vec<&Entry> = journal.entries().filter(|entry| selection.contains(entry)).collect();
    Ok(Json(json!({"requests": entries})))
}

async fn clear_journal(State(shared): Control) -> StatusCode {
    shared.journal().clear();
    StatusCode::NO_CONTENT
}

async fn changes(State(shared): Control) -> Json<Value> {
    Json(json!({"changes": shared.world().changes().entries()}))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Decision {
    status: Standing,
}

/// What the host would do in Zoom's web portal.
async fn decide_registrant(
    State(shared): Control,
    segments: Segments<(i64, String)>,
    body: Body<Decision>,
) -> Result<StatusCode> {
    let Path((id, registrant)) = segments?;
    let Json(Decision { status }) = body?;
    match shared.world().decide_registrant(id, &registrant, status) {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(Refusal::missing(format!("meeting {id} has no registrant {registrant:?}"))),
    }
}
