//! Connect links.

use std::sync::Arc;

use axum::{Json, extract::State as Shared};
use connector_protocol::{Error, ErrorKind, Result};
use secrecy::ExposeSecret;

use super::{
    super::{
        State,
        answer::{Body, Named, Problem},
        guard::Tenant,
    },
    Gives,
};
use crate::{api::accounts::LinkShown, connections::links::NewLink};

/// The user that an account is connected for.
pub(super) fn whose(tenant: &Tenant, named: Option<String>) -> Result<String> {
    tenant.user_of(named)?.ok_or_else(|| {
        Error::new(ErrorKind::InvalidInput, "the user is not named")
            .at("/user")
            .hint("say for whom: --user ID")
    })
}

pub(in crate::server) async fn add(
    Shared(state): Shared<Arc<State>>,
    tenant: Tenant,
    Body(mut new): Body<NewLink>,
) -> Gives<LinkShown> {
    let user = whose(&tenant, new.user.take())?;
    let project = state.host.project(&tenant.project)?;
    let (link, token) = state.host.add_link(&project, new, &user, None, &tenant.who.actor).await?;
    let base = state.host.settings()?.config.public_url.base().to_owned();
    let url = format!("{base}/connect/{}", token.expose_secret());
    Ok(Json(LinkShown::of(link, Some(url))))
}

pub(in crate::server) async fn show(
    Shared(state): Shared<Arc<State>>,
    tenant: Tenant,
    Named(id): Named<String>,
) -> Gives<LinkShown> {
    let found = state.host.store.link(tenant.scope(), id).await?;
    let found =
        found.ok_or_else(|| Problem(Error::new(ErrorKind::Unknown, "there is no such connect link")))?;
    Ok(Json(LinkShown::of(found, None)))
}
