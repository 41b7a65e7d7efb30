//! Connections.

use std::sync::Arc;

use axum::{Json, extract::State as Shared};
use connector_protocol::Manifest;
use serde::Deserialize;

use super::{
    super::{
        State,
        answer::{Asked, Body, Named, Problem},
        guard::Tenant,
    },
    Gives,
};
use crate::{
    api::accounts::{ConnectTyped, ConnectedShown, ConnectionShown, List},
    connections::account::GivenUp,
    id::Id,
    store::{Connection, ConnectionState, Scope, Which},
};

/// Which connections somebody wants.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(in crate::server) struct Wanted {
    connector: Option<String>,
    user: Option<String>,
    state: Option<ConnectionState>,
    after: Option<String>,
    limit: Option<u32>,
}

/// What the connector declares, as long as it is there.
fn manifest(state: &State, connector: &str) -> Option<Arc<Manifest>> {
    state.host.registry().find(connector).ok()?.manifest().ok().cloned()
}

fn shown(state: &State, connection: Connection) -> ConnectionShown {
    let manifest = manifest(state, &connection.connector);
    ConnectionShown::of(connection, manifest.as_deref())
}

pub(in crate::server) async fn list(
    Shared(state): Shared<Arc<State>>,
    tenant: Tenant,
    Asked(wanted): Asked<Wanted>,
) -> Gives<List<ConnectionShown>> {
    let part = super::Part { after: wanted.after, limit: wanted.limit };
    let (page, limit) = part.page(|after| Id::is("conn", after))?;
    let scope = tenant.scope_of(wanted.user)?;
    let which = Which { connector: wanted.connector, state: wanted.state };
    let found = state.host.store.connections(scope, which, page).await?;
    let found = List::of(found, limit, |one| one.id.clone());
    let items = found.items.into_iter().map(|one| shown(&state, one)).collect();
    Ok(Json(List { items, next: found.next }))
}

pub(in crate::server) async fn show(
    Shared(state): Shared<Arc<State>>,
    tenant: Tenant,
    Named(id): Named<String>,
) -> Gives<ConnectionShown> {
    let held = state.host.connections.held(&tenant.scope(), &id)?;
    Ok(Json(shown(&state, held.connection)))
}

pub(in crate::server) async fn connect(
    Shared(state): Shared<Arc<State>>,
    tenant: Tenant,
    Body(typed): Body<ConnectTyped>,
) -> Gives<ConnectedShown> {
    let user = super::links::whose(&tenant, typed.user)?;
    let integration = state.host.connections.integration(&tenant.project, &typed.connector).await?;
    let auth = typed.auth.unwrap_or_else(|| integration.auth.clone());
    let again = typed.connection.as_deref();
    if let Some(again) = again {
        // Before the provider is asked anything.
        let scope = Scope { project: tenant.project.clone(), user: Some(user.clone()) };
        state.host.connections.held(&scope, again)?;
    }
    let connected = state
        .host
        .connect_typed(&integration, &user, &auth, again, typed.parameters, &tenant.who.actor)
        .await?;
    let connection = shown(&state, connected.connection);
    Ok(Json(ConnectedShown { connection, notes: connected.notes }))
}

pub(in crate::server) async fn test(
    Shared(state): Shared<Arc<State>>,
    tenant: Tenant,
    Named(id): Named<String>,
) -> Gives<ConnectionShown> {
    let connection = state.host.test_connection(&tenant.scope(), &id).await?;
    Ok(Json(shown(&state, connection)))
}

pub(in crate::server) async fn refresh(
    Shared(state): Shared<Arc<State>>,
    tenant: Tenant,
    Named(id): Named<String>,
) -> Gives<ConnectionShown> {
    let connection = state.host.refresh_connection(&tenant.scope(), &id).await?;
    Ok(Json(shown(&state, connection)))
}

pub(in crate::server) async fn revoke(
    Shared(state): Shared<Arc<State>>,
    tenant: Tenant,
    Named(id): Named<String>,
) -> Result<Json<GivenUp>, Problem> {
    Ok(Json(state.host.revoke_connection(&tenant.scope(), &id, &tenant.who.actor).await?))
}

pub(in crate::server) async fn remove(
    Shared(state): Shared<Arc<State>>,
    tenant: Tenant,
    Named(id): Named<String>,
) -> Result<Json<GivenUp>, Problem> {
    Ok(Json(state.host.remove_connection(&tenant.scope(), &id, &tenant.who.actor).await?))
}
