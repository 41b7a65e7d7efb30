//! How the server is, what has happened, and what is done to all of it.

use std::{net::IpAddr, path::PathBuf, sync::Arc, time::Instant};

use axum::{
    Extension, Json,
    extract::{ConnectInfo, MatchedPath, Request, State as Shared},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use connector_protocol::{Error, ErrorKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    super::{
        State,
        answer::{Asked, Body, Named, Problem},
        guard::{Came, PROJECT, Tenant, Who},
        openapi as document,
    },
    Gives, Part,
};
use crate::{
    api::{Health, accounts::List},
    connections::rotate::Rotated,
    host::Settings,
    invoke::Source,
    store::{Audit, DEFAULT_PROJECT},
    worker,
};

/// That something is done, or well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(in crate::server) struct Fine {
    /// Whether it is.
    pub(in crate::server) fine: bool,
}

impl Fine {
    pub(in crate::server) fn yes() -> Self {
        Self { fine: true }
    }
}

/// Where a copy of the store goes.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::server) struct Backup {
    /// The file, on the server's machine, which must not be there yet.
    file: PathBuf,
}

/// What comes back if an address leads here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(in crate::server) struct Nonce {
    /// What was asked for, and what this server has made of it.
    pub(in crate::server) nonce: String,
}

/// Says on every answer who we are, and lets no browser make more of it than it is.
pub(in crate::server) async fn headers(
    Shared(state): Shared<Arc<State>>,
    request: Request,
    next: Next,
) -> Response {
    let counted = state.counts.request(request.method(), request.uri().path());
    let (method, begun) = (request.method().clone(), Instant::now());
    // The address as the table has it: what stands in its place may be a secret.
    let path = request.extensions().get::<MatchedPath>().cloned();
    let peer = request.extensions().get::<ConnectInfo<Came>>().map(|ConnectInfo(came)| came.clone());
    let forwarded: Vec<HeaderValue> = request.headers().get_all("x-forwarded-for").iter().cloned().collect();
    let mut response = next.run(request).await;
    let status = response.status();
    counted.answered(status);
    // What was changed may be something that an app wants to be told of.
    if status.is_success() && !method.is_safe() {
        state.host.events.wake();
    }
    let ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    let path = path.as_ref().map_or("(none of ours)", MatchedPath::as_str);
    // Worked out only if it is written down.
    let from = || forwarded_from(&state, peer.as_ref(), &forwarded);
    tracing::debug!(method = method.as_str(), path, status = status.as_u16(), ms, from = from(), "answered");
    let headers = response.headers_mut();
    let ours = concat!("jackfield/", env!("CARGO_PKG_VERSION"));
    // What a provider answered is passed on as it came.
    if !headers.contains_key(super::proxy::PASSED_ON) {
        headers.insert(header::SERVER, HeaderValue::from_static(ours));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    }
    response
}

/// Whom a request comes from: who has connected, or for whom a reverse proxy asks that is believed.
pub(super) fn came_from(settings: &Settings, peer: Option<&Came>, headers: &HeaderMap) -> Option<String> {
    by_proxies(settings, peer, &headers.get_all("x-forwarded-for").iter().cloned().collect::<Vec<_>>())
}

fn forwarded_from(state: &State, peer: Option<&Came>, forwarded: &[HeaderValue]) -> Option<String> {
    by_proxies(&state.host.settings().ok()?, peer, forwarded)
}

fn by_proxies(settings: &Settings, peer: Option<&Came>, forwarded: &[HeaderValue]) -> Option<String> {
    let Some(Came::Network(peer)) = peer else { return None };
    let trusted = |address: &IpAddr| settings.config.server.trusted_proxies.contains(address);
    let mut from = peer.ip();
    if trusted(&from) {
        let forwarded = forwarded.iter().filter_map(|value| value.to_str().ok());
        let addresses: Vec<&str> = forwarded.flat_map(|value| value.split(',')).map(str::trim).collect();
        // From the nearest on: the first that is not one of ours is the one.
        for address in addresses.iter().rev() {
            let Ok(address) = address.parse() else { break };
            from = address;
            if !trusted(&address) {
                break;
            }
        }
    }
    Some(from.to_string())
}

pub(in crate::server) async fn healthz() -> Json<Fine> {
    Json(Fine::yes())
}

pub(in crate::server) async fn readyz(Shared(state): Shared<Arc<State>>) -> Response {
    // What it cannot work without: something to look things up in, and to write them down.
    let store = &state.host.store;
    let ready = !state.is_draining() && store.projects().is_ok() && !store.is_held_up();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(Fine { fine: ready })).into_response()
}

pub(in crate::server) async fn openapi() -> Json<Value> {
    Json(document::document())
}

pub(in crate::server) async fn health(Shared(state): Shared<Arc<State>>) -> Json<Health> {
    Json(state.health())
}

pub(in crate::server) async fn drain(
    Shared(state): Shared<Arc<State>>,
    Extension(who): Extension<Who>,
) -> Gives<Health> {
    of_all(&who)?;
    let audit = Audit::new(DEFAULT_PROJECT, &who.actor, "server.drain", "server");
    state.host.store.audit(audit).await?;
    state.end.notify_one();
    Ok(Json(state.health()))
}

pub(in crate::server) async fn workers(Shared(state): Shared<Arc<State>>) -> Json<Vec<worker::Running>> {
    Json(state.host.workers.running())
}

/// Which part of the audit log somebody wants.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(in crate::server) struct Log {
    newest: bool,
    after: Option<String>,
    limit: Option<u32>,
}

/// Of the project that is named, else of all that may be seen.
pub(in crate::server) async fn audit(
    Shared(state): Shared<Arc<State>>,
    Extension(who): Extension<Who>,
    headers: HeaderMap,
    Asked(wanted): Asked<Log>,
) -> Gives<List<Audit>> {
    let number = |after: &str| after.parse::<i64>().ok().filter(|number| *number >= 0);
    let part = Part { after: wanted.after, limit: wanted.limit };
    let (page, limit) = part.page(|after| number(after).is_some())?;
    let after = page.after.as_deref().and_then(number);
    let project = match headers.get(PROJECT).and_then(|name| name.to_str().ok()) {
        Some(named) => Some(Tenant::of(&state, who, Some(named), Source::Api)?.project),
        None => who.project().map(str::to_owned),
    };
    let entries = state.host.store.audit_log(project, after, wanted.newest, page.most).await?;
    Ok(Json(List::of(entries, limit, |entry| entry.seq.to_string())))
}

/// Fails unless somebody is the operator of everything.
fn of_all(who: &Who) -> Result<(), Problem> {
    if who.project().is_none() {
        return Ok(());
    }
    Err(Problem(Error::new(ErrorKind::Forbidden, "only an operator of all projects may do this")))
}

pub(in crate::server) async fn rotate_key(
    Shared(state): Shared<Arc<State>>,
    Extension(who): Extension<Who>,
) -> Gives<Rotated> {
    of_all(&who)?;
    Ok(Json(state.host.connections.rotate_key(&who.actor).await?))
}

pub(in crate::server) async fn backup(
    Shared(state): Shared<Arc<State>>,
    Extension(who): Extension<Who>,
    Body(Backup { file }): Body<Backup>,
) -> Gives<Fine> {
    of_all(&who)?;
    if !file.is_absolute() {
        return Err(Problem(
            Error::new(ErrorKind::InvalidInput, "the file is named by its whole path").at("/file"),
        ));
    }
    let apart = state.host.home.plugins();
    if file.starts_with(&apart) {
        return Err(Problem(
            Error::new(ErrorKind::InvalidInput, "nothing is written beside the plugins").at("/file"),
        ));
    }
    let audit = Audit::new(DEFAULT_PROJECT, &who.actor, "store.backup", file.display().to_string());
    state.host.store.audit(audit).await?;
    state.host.store.backup(file).await?;
    Ok(Json(Fine::yes()))
}

pub(in crate::server) async fn nonce(
    Shared(state): Shared<Arc<State>>,
    Named(nonce): Named<String>,
) -> Gives<Nonce> {
    Ok(Json(Nonce { nonce: state.answer_nonce(&nonce) }))
}
