//! Whose an event is.
//!
//! One address receives what happens to all users of an app. An event is a connection's if it says so: its owner is the person
//! behind it. Where nobody says who the owner is, what was learned of the thing before counts, then who did it, then the account,
//! for connections that are an account's and nobody's in it. It is given to nobody for being near: an owner who has no connection
//! here does not make it somebody else's.

use connector_protocol::{Result, message::Route};

use crate::store::{Connection, Events, Integration};

/// Whose an event is.
pub(super) enum Whose {
    /// These connections'. Each gets it.
    These(Vec<Connection>),
    /// Nobody's who is known, and why.
    Nobody(String),
}

/// Finds out whose an event is.
pub(super) fn whose(
    store: &(impl Events + ?Sized),
    integration: &Integration,
    route: &Route,
) -> Result<Whose> {
    if let (Some(client), Some(own)) = (&route.client, &integration.client_id)
        && client != own
    {
        return Ok(Whose::Nobody("it was sent for another client id than the integration's".to_owned()));
    }
    let people = |person: &str| store.bearers(&integration.id, Some(person), None);
    let found = |connections: Vec<Connection>, of: &str| match connections.is_empty() {
        true => Whose::Nobody(format!("no connection is one of {of}")),
        false => Whose::These(connections),
    };
    let account = || match &route.account {
        Some(account) => store.bearers(&integration.id, None, Some(account)),
        None => Ok(Vec::new()),
    };
    let known = match (&route.owner, &route.resource) {
        (Some(owner), _) => Some(owner.clone()),
        (None, Some(resource)) => store.owner(&integration.id, resource)?,
        (None, None) => None,
    };
    if let Some(owner) = known {
        let mut connections = people(&owner)?;
        connections.extend(account()?);
        return Ok(found(connections, "its owner's"));
    }
    if let Some(actor) = &route.actor {
        let connections = people(actor)?;
        if !connections.is_empty() {
            return Ok(Whose::These(connections));
        }
    }
    let connections = account()?;
    let says_nothing = route.actor.is_none() && route.account.is_none();
    Ok(match says_nothing {
        true => Whose::Nobody("it does not say whose it is".to_owned()),
        false => found(connections, "whoever did it, nor its account's"),
    })
}

/// What an event is about, for those that are sent one after the other.
pub(super) fn lane(route: &Route) -> String {
    route.resource.clone().or_else(|| route.owner.clone()).unwrap_or_default()
}
