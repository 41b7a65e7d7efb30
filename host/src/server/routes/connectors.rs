//! Connectors. They are every project's, so none has to be named.

use std::sync::Arc;

use axum::{Extension, Json, extract::State as Shared};

use super::{
    super::{State, answer::Named, guard::Who},
    Gives,
};
use crate::api::{self, ConnectorLine, ConnectorShown, accounts::List};

pub(in crate::server) async fn list(
    Shared(state): Shared<Arc<State>>,
    Extension(who): Extension<Who>,
) -> Gives<List<ConnectorLine>> {
    // Whoever asks may have put one there a moment ago.
    state.host.reload_unless_busy().await?;
    let mut lines = api::connectors(&state.host.registry(), state.host.workers.supervisor())?;
    if who.is_end_user() {
        // Where files lie is the operator's business, and so is what is wrong with them.
        lines.retain(|line| line.state == "ready");
        lines.iter_mut().for_each(|line| line.path.clear());
    }
    Ok(Json(List::whole(lines)))
}

pub(in crate::server) async fn show(
    Shared(state): Shared<Arc<State>>,
    Extension(who): Extension<Who>,
    Named(id): Named<String>,
) -> Gives<ConnectorShown> {
    if state.host.registry().find(&id).is_err() {
        state.host.reload().await?;
    }
    let mut shown = api::connector(state.host.registry().find(&id)?)?;
    if who.is_end_user() {
        shown.path.clear();
        shown.trusted.clear();
    }
    Ok(Json(shown))
}
