//! Completes events that ask for it, by calls to the provider as the connection that they are for.

use std::{sync::Arc, time::Duration};

use connector_protocol::{
    Error, ErrorKind, Result,
    manifest::Trigger,
    message::{Emit, EnrichCall},
};

use super::{
    feeds::{As, is_barred},
    sort,
};
use crate::{host::Host, plugins::Library};

/// How long completing one may take: others wait for it.
const PATIENCE: Duration = Duration::from_secs(10);

/// An event as it is kept, and why it is not complete if it was to be.
pub(super) struct Completed {
    pub(super) emit: Emit,
    pub(super) incomplete: Option<String>,
}

impl From<Emit> for Completed {
    fn from(emit: Emit) -> Self {
        Self { emit, incomplete: None }
    }
}

/// Completes an event, if it asks for that. One that will never be complete is given as it is, with the reason.
///
/// # Errors
///
/// What keeps it from being completed now.
pub(super) async fn complete(
    host: &Host,
    library: &Arc<Library>,
    trigger: &Trigger,
    asked: &As,
    emit: Emit,
) -> Result<Completed> {
    if !emit.enrich {
        return Ok(emit.into());
    }
    let answered: Result<Emit> = asked
        .call(host, &emit.key, "enrich", PATIENCE, |context| EnrichCall {
            name: trigger.name.clone(),
            emit: emit.clone(),
            context,
        })
        .await;
    // What tells it apart and whose it is are settled by now.
    let fits = answered.and_then(|answered| {
        let completed = Emit { event: answered.event, ..emit.clone() };
        sort::fits(host, library, trigger, &completed).map(|()| completed)
    });
    match fits {
        Ok(completed) => Ok(completed.into()),
        Err(error) if is_passing(&error) => Err(error),
        Err(error) => Ok(Completed { emit, incomplete: Some(error.to_string()) }),
    }
}

/// Whether the same call may succeed later.
pub(super) fn is_passing(error: &Error) -> bool {
    let said_no = matches!(
        error.kind,
        ErrorKind::InvalidInput
            | ErrorKind::Unauthorized
            | ErrorKind::MissingScope
            | ErrorKind::NotFound
            | ErrorKind::Refused
            | ErrorKind::UnexpectedAnswer
            | ErrorKind::Blocked
            | ErrorKind::Unsupported
    );
    is_barred(error) || !said_no
}
