//! Raw requests to a provider, with a connection's credential and without an action.

use std::{sync::Arc, time::Instant};

use axum::{
    body::Body,
    extract::{Path, Request, State as Shared},
    http::{HeaderName, HeaderValue},
    response::{IntoResponse, Response},
};

use super::super::{State, answer::Problem, guard::Tenant};
use crate::connections::raw::Raw;

/// Says that an answer is a provider's, and came through here.
pub const PASSED_ON: HeaderName = HeaderName::from_static("jackfield-passed-on");

/// The path below a connection's proxy, as it was sent: what is encoded stays so.
fn rest(path: &str) -> &str {
    // `/v1/connections/{id}/proxy/{rest}`
    path.splitn(6, '/').nth(5).unwrap_or_default()
}

pub(in crate::server) async fn forward(
    Shared(state): Shared<Arc<State>>,
    tenant: Tenant,
    Path((id, _)): Path<(String, String)>,
    request: Request,
) -> Response {
    let path = rest(request.uri().path()).to_owned();
    send(&state, &tenant, &id, path, None, request).await.unwrap_or_else(IntoResponse::into_response)
}

/// Sends a request on, and the answer back.
pub(in crate::server) async fn send(
    state: &State,
    tenant: &Tenant,
    connection: &str,
    path: String,
    url: Option<String>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let deadline = Instant::now() + state.host.settings()?.config.limits.deadline();
    let raw = Raw {
        method: parts.method,
        path,
        query: parts.uri.query().map(str::to_owned),
        url,
        headers: parts.headers,
        body: Body::new(body),
    };
    let answered = state.host.raw(&tenant.scope(), connection, raw, deadline).await?;
    let mut response = answered.map(Body::new);
    response.headers_mut().insert(PASSED_ON, HeaderValue::from_static("1"));
    Ok(response)
}
