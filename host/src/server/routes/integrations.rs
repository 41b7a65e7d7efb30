//! Connectors, set up for a project.

use std::{collections::BTreeMap, sync::Arc};

use axum::{Json, extract::State as Shared};
use connector_protocol::{Error, ErrorKind};
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::{
    super::{
        State,
        answer::{Asked, Body, Named, Problem},
        guard::Tenant,
    },
    Gives,
    system::Fine,
};
use crate::{
    api::{
        accounts::{self, IntegrationSet, IntegrationShown, List},
        guide::{self, Guide},
    },
    connections::{
        integrations::{Change, none},
        scopes::Gap,
    },
    store::{Audit, Integration},
};

/// Whether an integration is as it should be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Checks {
    /// The integration.
    pub integration: IntegrationShown,
    /// Each thing that was looked at.
    pub checks: Vec<Check>,
    /// What cannot be done with the scopes that are configured, by what is missing.
    pub gaps: Vec<Gap>,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Check {
    /// What.
    pub what: String,
    /// Whether it is well; absent if that cannot be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fine: Option<bool>,
    /// What was found.
    pub found: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// What it is made of, each part under its name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub details: BTreeMap<String, String>,
}

/// How something is changed.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(in crate::server) struct How {
    /// Whether it is only said what would be changed.
    dry_run: bool,
}

fn change(set: IntegrationSet, how: &How) -> Change {
    let secret =
        |secret: Option<zeroize::Zeroizing<String>>| secret.map(|secret| SecretString::from(secret.as_str()));
    Change {
        auth: set.auth,
        client_id: set.client_id,
        client_secret: secret(set.client_secret),
        webhook_secret: secret(set.webhook_secret),
        handshake_secret: secret(set.handshake_secret),
        scopes: set.scopes,
        dry_run: how.dry_run,
    }
}

pub(in crate::server) async fn list(
    Shared(state): Shared<Arc<State>>,
    tenant: Tenant,
) -> Gives<List<IntegrationShown>> {
    let found = state.host.store.integrations(tenant.project).await?;
    let shown = found.into_iter().map(|one| accounts::integration(&state.host, one, Vec::new()));
    Ok(Json(List::whole(shown.collect::<Result<_, _>>()?)))
}

pub(in crate::server) async fn add(
    Shared(state): Shared<Arc<State>>,
    tenant: Tenant,
    Asked(how): Asked<How>,
    Body(set): Body<IntegrationSet>,
) -> Gives<IntegrationShown> {
    let connector = set
        .connector
        .clone()
        .ok_or_else(|| Error::new(ErrorKind::InvalidInput, "the connector is not named").at("/connector"))?;
    write(&state, &tenant, &connector, change(set, &how), true).await
}

pub(in crate::server) async fn set(
    Shared(state): Shared<Arc<State>>,
    tenant: Tenant,
    Named(connector): Named<String>,
    Asked(how): Asked<How>,
    Body(set): Body<IntegrationSet>,
) -> Gives<IntegrationShown> {
    if set.connector.as_ref().is_some_and(|named| *named != connector) {
        let text = "an integration stays with its connector";
        return Err(Problem(Error::new(ErrorKind::InvalidInput, text).at("/connector")));
    }
    let found = find(&state, &tenant, connector).await?;
    write(&state, &tenant, &found.connector, change(set, &how), false).await
}

async fn write(
    state: &State,
    tenant: &Tenant,
    connector: &str,
    change: Change,
    add: bool,
) -> Gives<IntegrationShown> {
    state.host.reload_unless_busy().await?;
    let manifest = state.host.setting(connector)?.manifest;
    let action = if add { "integration.add" } else { "integration.set" };
    let audit = |integration: &Integration| {
        Audit::new(&tenant.project, &tenant.who.actor, action, &integration.id).detail(connector)
    };
    let done = state.host.connections.set_up(&manifest, &tenant.project, change, add, audit).await?;
    state.host.learn_hook(&done.integration.id).await;
    let mut shown = accounts::integration(&state.host, done.integration, done.notes)?;
    shown.changes = done.changed.into_iter().map(str::to_owned).collect();
    Ok(Json(shown))
}

async fn find(state: &State, tenant: &Tenant, connector: String) -> Result<Integration, Problem> {
    let found = state.host.store.integration(tenant.project.clone(), connector.clone()).await?;
    found.ok_or_else(|| Problem(none(&connector)))
}

pub(in crate::server) async fn show(
    Shared(state): Shared<Arc<State>>,
    tenant: Tenant,
    Named(connector): Named<String>,
) -> Gives<IntegrationShown> {
    let found = find(&state, &tenant, connector).await?;
    Ok(Json(accounts::integration(&state.host, found, Vec::new())?))
}

pub(in crate::server) async fn remove(
    Shared(state): Shared<Arc<State>>,
    tenant: Tenant,
    Named(connector): Named<String>,
) -> Gives<Fine> {
    let found = find(&state, &tenant, connector).await?;
    let connector = found.connector.clone();
    let audit =
        Audit::new(&tenant.project, &tenant.who.actor, "integration.remove", &found.id).detail(&connector);
    let id = found.id.clone();
    if state.host.store.remove_integration(found, audit).await? {
        state.host.events.hooks.forget(&id);
        return Ok(Json(Fine::yes()));
    }
    let text = format!("there are still connections to `{connector}`");
    Err(Problem(Error::new(ErrorKind::Conflict, text).hint(format!(
        "take them away first: jackfield connection list --connector {connector}, then jackfield connection remove ID"
    ))))
}

pub(in crate::server) async fn checks(
    Shared(state): Shared<Arc<State>>,
    tenant: Tenant,
    Named(connector): Named<String>,
) -> Gives<Checks> {
    let found = find(&state, &tenant, connector).await?;
    Ok(Json(state.check_integration(found).await?))
}

pub(in crate::server) async fn setup(
    Shared(state): Shared<Arc<State>>,
    tenant: Tenant,
    Named(connector): Named<String>,
) -> Gives<Guide> {
    state.host.reload_unless_busy().await?;
    let manifest = state.host.setting(&connector)?.manifest;
    let found = state.host.store.integration(tenant.project.clone(), connector).await?;
    Ok(Json(guide::guide(&state.host, &manifest, found)?))
}
