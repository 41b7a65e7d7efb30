//! Triggers, who subscribes to them, what arrived, what happened, and what is sent on.

use std::sync::Arc;

use axum::{Json, extract::State as Shared};
use connector_protocol::{Error, ErrorKind, Manifest};
use serde::Deserialize;

use super::{
    super::{
        State,
        answer::{Asked, Body, Named, Problem},
        guard::Tenant,
    },
    Gives, Part,
    system::Fine,
};
use crate::{
    api::{
        accounts::List,
        events::{
            Again, DeliveriesAgain, DeliveryShown, EventsAgain, Fire, Fired, RouteTo, SubscriptionChange,
            SubscriptionMade, SubscriptionSet, SubscriptionShown, TriggerLine, TriggerShown,
        },
    },
    events::{
        hooks::Refused,
        subscriptions::{Change, STATE_CHANGED, Wish, none},
    },
    id::Id,
    store::{
        Audit, Connection, ConnectionState, Delivery, DeliveryState, Dispatch, DispatchState, Event, Page,
        Scope, Which, WhichDeliveries, WhichDispatches, WhichEvents,
    },
};

/// Which triggers somebody wants.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(in crate::server) struct Triggers {
    connector: Option<String>,
}

pub(in crate::server) async fn triggers(
    Shared(state): Shared<Arc<State>>,
    Asked(wanted): Asked<Triggers>,
) -> Gives<List<TriggerLine>> {
    state.host.reload_unless_busy().await?;
    let registry = state.host.registry();
    let manifests: Vec<Arc<Manifest>> = match &wanted.connector {
        Some(connector) => vec![registry.find(connector)?.manifest()?.clone()],
        // One that cannot be read has been told of elsewhere.
        None => registry.libraries().filter_map(|library| library.manifest().ok().cloned()).collect(),
    };
    let lines = manifests
        .iter()
        .flat_map(|manifest| manifest.triggers.iter().map(|trigger| TriggerLine::of(manifest, trigger)));
    let own = wanted.connector.is_none().then(TriggerLine::own);
    Ok(Json(List::whole(lines.chain(own).collect())))
}

pub(in crate::server) async fn trigger(
    Shared(state): Shared<Arc<State>>,
    Named(name): Named<String>,
) -> Gives<TriggerShown> {
    state.host.reload_unless_busy().await?;
    if name == STATE_CHANGED {
        return Ok(Json(TriggerShown::own()));
    }
    let (manifest, index) = state.host.find_trigger(&name)?;
    Ok(Json(TriggerShown::of(&manifest, &manifest.triggers[index])))
}

pub(in crate::server) async fn fire(
    Shared(state): Shared<Arc<State>>,
    tenant: Tenant,
    Named(name): Named<String>,
    Body(fire): Body<Fire>,
) -> Gives<Fired> {
    state.host.reload_unless_busy().await?;
    let (manifest, _) = state.host.find_trigger(&name)?;
    let connection =
        match &fire.connection {
            Some(id) => {
                let connection = state.host.connections.held(&tenant.scope(), id)?.connection;
                if connection.connector != manifest.id {
                    let text = format!("`{name}` is no trigger of `{}`", connection.connector);
                    return Err(Problem(Error::new(ErrorKind::InvalidInput, text).at("/connection")));
                }
                Some(connection)
            }
            None => {
                let which = Which { connector: Some(manifest.id.clone()), state: None };
                let page = Page { after: None, most: 1000 };
                let mut found = state.host.store.connections(tenant.scope(), which, page).await?;
                let usable = |one: &Connection| one.state != ConnectionState::Revoked;
                if found.iter().any(usable) {
                    found.retain(usable);
                }
                if found.len() > 1 {
                    let text = format!("there are several connections to `{}`", manifest.id);
                    return Err(Problem(Error::new(ErrorKind::ConnectionNeeded, text).hint(
                        "name the one it is for: -c ID; see which there are: jackfield connection list",
                    )));
                }
                found.pop()
            }
        };
    if let Some(revoked) = connection.as_ref().filter(|one| one.state == ConnectionState::Revoked) {
        let text = format!(
            "the connection `{}` is revoked: nothing is its any more, and nothing is sent",
            revoked.id
        );
        return Err(Problem(
            Error::new(ErrorKind::Conflict, text)
                .at("/connection")
                .hint(format!("connect it again: jackfield connect {} --user {}", manifest.id, revoked.user)),
        ));
    }
    let delivery = state.host.fire(&tenant.scope(), &name, connection.as_ref(), &fire.set).await?;
    Ok(Json(Fired { delivery, connection: connection.map(|connection| connection.id) }))
}

/// Which part of the subscriptions somebody wants.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(in crate::server) struct Subscriptions {
    user: Option<String>,
    after: Option<String>,
    limit: Option<u32>,
}

pub(in crate::server) async fn subscriptions(
    Shared(state): Shared<Arc<State>>,
    tenant: Tenant,
    Asked(wanted): Asked<Subscriptions>,
) -> Gives<List<SubscriptionShown>> {
    let part = Part { after: wanted.after, limit: wanted.limit };
    let (page, limit) = part.page(|after| Id::is("sub", after))?;
    let found = state.host.store.subscriptions(tenant.scope_of(wanted.user)?, page).await?;
    let found = List::of(found, limit, |one| one.id.clone());
    Ok(Json(List { items: found.items.into_iter().map(Into::into).collect(), next: found.next }))
}

pub(in crate::server) async fn subscribe(
    Shared(state): Shared<Arc<State>>,
    tenant: Tenant,
    Body(set): Body<SubscriptionSet>,
) -> Gives<SubscriptionMade> {
    state.host.reload_unless_busy().await?;
    let user = tenant.user_of(set.user)?;
    let wish = Wish {
        trigger: set.trigger,
        connection: set.connection,
        user,
        parameters: set.parameters,
        filter: set.filter,
        url: set.url,
    };
    let scope = Scope::project(tenant.project);
    let (subscription, signing_secret) = state.host.subscribe(&scope, wish, &tenant.who.actor).await?;
    Ok(Json(SubscriptionMade { subscription: subscription.into(), signing_secret }))
}

pub(in crate::server) async fn subscription(
    Shared(state): Shared<Arc<State>>,
    tenant: Tenant,
    Named(id): Named<String>,
) -> Gives<SubscriptionShown> {
    let found = state.host.store.subscription(tenant.scope(), id.clone()).await?;
    Ok(Json(found.ok_or_else(|| none(&id))?.into()))
}

pub(in crate::server) async fn change_subscription(
    Shared(state): Shared<Arc<State>>,
    tenant: Tenant,
    Named(id): Named<String>,
    Body(set): Body<SubscriptionChange>,
) -> Gives<SubscriptionShown> {
    let action = match set.paused {
        Some(true) => "subscription.pause",
        Some(false) => "subscription.resume",
        None => "subscription.set",
    };
    let filter = if set.no_filter { Some(None) } else { set.filter.map(Some) };
    let change = Change { filter, url: set.url, paused: set.paused };
    let changed =
        state.host.change_subscription(&tenant.scope(), &id, change, action, &tenant.who.actor).await?;
    Ok(Json(changed.into()))
}

pub(in crate::server) async fn unsubscribe(
    Shared(state): Shared<Arc<State>>,
    tenant: Tenant,
    Named(id): Named<String>,
) -> Gives<Fine> {
    let audit = Audit::new(&tenant.project, &tenant.who.actor, "subscription.remove", &id);
    match state.host.unsubscribe(&tenant.project, &id, audit).await? {
        true => Ok(Json(Fine::yes())),
        false => Err(Problem(none(&id))),
    }
}

/// Which events somebody wants.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(in crate::server) struct Events {
    #[serde(rename = "type")]
    kind: Option<String>,
    connection: Option<String>,
    user: Option<String>,
    unrouted: bool,
    newest: bool,
    after: Option<String>,
    limit: Option<u32>,
}

pub(in crate::server) async fn events(
    Shared(state): Shared<Arc<State>>,
    tenant: Tenant,
    Asked(wanted): Asked<Events>,
) -> Gives<List<Event>> {
    if wanted.unrouted && tenant.who.is_end_user() {
        // Nobody knows whose they are, so they are no user's.
        return Err(Problem(Error::new(
            ErrorKind::Forbidden,
            "only an operator may see events that nobody is known for",
        )));
    }
    let part = Part { after: wanted.after, limit: wanted.limit };
    let (page, limit) = part.page(|after| Id::is("evt", after))?;
    let which = WhichEvents {
        kind: wanted.kind,
        connection: wanted.connection,
        unrouted: Some(wanted.unrouted),
        newest: wanted.newest,
    };
    let scope = tenant.scope_of(wanted.user)?;
    let named = (which.kind.clone(), which.connection.clone());
    let found = state.host.store.happened(scope, which, page).await?;
    if found.is_empty() && part.after.is_none() {
        // Where there is nothing, it is either that nothing has happened or that the name is wrong.
        if let Some(kind) = &named.0 {
            state.host.must_be_a_type(kind).await?;
        }
        if let Some(connection) = &named.1 {
            state.host.connections.held(&tenant.scope(), connection)?;
        }
    }
    let mut events = List::of(found, limit, |event| event.id.clone());
    // More may come at any time: what was seen last is where to go on.
    if events.next.is_none() && !wanted.newest {
        events.next = events.items.last().map(|event| event.id.clone()).or(part.after);
    }
    Ok(Json(events))
}

fn no_event(id: &str) -> Problem {
    let short: String = id.escape_debug().take(60).collect();
    Problem(
        Error::new(ErrorKind::Unknown, format!("there is no event `{short}`"))
            .hint("see which there are: jackfield event list"),
    )
}

pub(in crate::server) async fn event(
    Shared(state): Shared<Arc<State>>,
    tenant: Tenant,
    Named(id): Named<String>,
) -> Gives<Event> {
    let found = state.host.store.event(tenant.scope(), id.clone()).await?;
    let found = found.filter(|event| event.unrouted.is_none() || !tenant.who.is_end_user());
    Ok(Json(found.ok_or_else(|| no_event(&id))?))
}

pub(in crate::server) async fn route(
    Shared(state): Shared<Arc<State>>,
    tenant: Tenant,
    Named(id): Named<String>,
    Body(to): Body<RouteTo>,
) -> Gives<Event> {
    let held = state.host.connections.held(&tenant.scope(), &to.connection)?;
    let audit =
        Audit::new(&tenant.project, &tenant.who.actor, "event.route", &id).detail(to.connection.clone());
    let store = &state.host.store;
    let found = store.event(tenant.scope(), id.clone()).await?.ok_or_else(|| no_event(&id))?;
    let connector = found.kind.split('.').next().unwrap_or_default();
    if held.connection.connector != connector {
        let text = format!(
            "the event is one of `{connector}`, and the connection one to `{}`",
            held.connection.connector
        );
        return Err(Problem(Error::new(ErrorKind::InvalidInput, text).at("/connection")));
    }
    if !store.route_event(tenant.project.clone(), id.clone(), held.connection, true, audit).await? {
        return Err(Problem(Error::new(ErrorKind::Conflict, "the event is somebody's already")));
    }
    state.host.events.wake();
    Ok(Json(store.event(tenant.scope(), id.clone()).await?.ok_or_else(|| no_event(&id))?))
}

pub(in crate::server) async fn send_again(
    Shared(state): Shared<Arc<State>>,
    tenant: Tenant,
    Body(wanted): Body<EventsAgain>,
) -> Gives<Again> {
    if wanted == EventsAgain::default() {
        let text =
            "say which events are to be sent again: one, those of a type, of a subscription, or in a state";
        return Err(Problem(Error::new(ErrorKind::InvalidInput, text)));
    }
    let detail = serde_json::to_string(&wanted).unwrap_or_default();
    let audit = Audit::new(&tenant.project, &tenant.who.actor, "event.replay", "events").detail(detail);
    let which = WhichDispatches {
        subscription: wanted.subscription,
        event: wanted.event,
        kind: wanted.kind,
        state: wanted.state,
    };
    let named = which.clone();
    let again = state.host.store.send_again(tenant.scope(), which, audit).await?;
    if again == 0 {
        must_be_there(&state, &tenant, &named).await?;
    }
    state.host.events.wake();
    Ok(Json(Again { again }))
}

/// Fails if what is named is not there: then it is no wonder that nothing was found.
async fn must_be_there(state: &State, tenant: &Tenant, named: &WhichDispatches) -> Result<(), Problem> {
    let store = &state.host.store;
    if let Some(id) = &named.event
        && store.event(tenant.scope(), id.clone()).await?.is_none()
    {
        return Err(no_event(id));
    }
    if let Some(id) = &named.subscription
        && store.subscription(tenant.scope(), id.clone()).await?.is_none()
    {
        return Err(Problem(none(id)));
    }
    if let Some(kind) = &named.kind {
        state.host.must_be_a_type(kind).await?;
    }
    Ok(())
}

/// Which dispatches somebody wants.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(in crate::server) struct Dispatches {
    event: Option<String>,
    subscription: Option<String>,
    state: Option<DispatchState>,
    after: Option<String>,
    limit: Option<u32>,
}

pub(in crate::server) async fn dispatches(
    Shared(state): Shared<Arc<State>>,
    tenant: Tenant,
    Asked(wanted): Asked<Dispatches>,
) -> Gives<List<Dispatch>> {
    let part = Part { after: wanted.after, limit: wanted.limit };
    let (page, limit) = part.page(|after| after.parse::<i64>().is_ok())?;
    let which = WhichDispatches {
        subscription: wanted.subscription,
        event: wanted.event,
        kind: None,
        state: wanted.state,
    };
    let named = which.clone();
    let found = state.host.store.dispatches(tenant.scope(), which, page).await?;
    if found.is_empty() && part.after.is_none() {
        must_be_there(&state, &tenant, &named).await?;
    }
    Ok(Json(List::of(found, limit, |one| one.seq.to_string())))
}

/// Which deliveries somebody wants.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(in crate::server) struct Deliveries {
    connector: Option<String>,
    state: Option<DeliveryState>,
    after: Option<String>,
    limit: Option<u32>,
}

pub(in crate::server) async fn deliveries(
    Shared(state): Shared<Arc<State>>,
    tenant: Tenant,
    Asked(wanted): Asked<Deliveries>,
) -> Gives<List<Delivery>> {
    let part = Part { after: wanted.after, limit: wanted.limit };
    let (page, limit) = part.page(|after| Id::is("dlv", after))?;
    let which = WhichDeliveries { connector: wanted.connector, state: wanted.state };
    let found = state.host.store.deliveries(tenant.project, which, page).await?;
    Ok(Json(List::of(found, limit, |one| one.id.clone())))
}

pub(in crate::server) async fn refused(
    Shared(state): Shared<Arc<State>>,
    tenant: Tenant,
) -> Json<List<Refused>> {
    Json(List::whole(state.host.refused(&tenant.project)))
}

pub(in crate::server) async fn delivery(
    Shared(state): Shared<Arc<State>>,
    tenant: Tenant,
    Named(id): Named<String>,
) -> Gives<DeliveryShown> {
    let found = state.host.store.delivery(tenant.project, id.clone()).await?;
    Ok(Json(found.ok_or_else(|| no_delivery(&id))?.into()))
}

fn no_delivery(id: &str) -> Problem {
    let short: String = id.escape_debug().take(60).collect();
    Problem(
        Error::new(ErrorKind::Unknown, format!("there is no delivery `{short}`"))
            .hint("see which there are: jackfield delivery list"),
    )
}

pub(in crate::server) async fn sort_again(
    Shared(state): Shared<Arc<State>>,
    tenant: Tenant,
    Body(wanted): Body<DeliveriesAgain>,
) -> Gives<Again> {
    let sound = match (&wanted.id, wanted.state) {
        (Some(_), None) => true,
        (None, Some(state)) => state != DeliveryState::Waiting,
        _ => false,
    };
    if !sound {
        let text = "say which deliveries are to be looked at again: one by its `id`, or those of a `state`";
        return Err(Problem(Error::new(ErrorKind::InvalidInput, text)));
    }
    let target = wanted.id.clone().unwrap_or_else(|| "deliveries".to_owned());
    let audit = Audit::new(&tenant.project, &tenant.who.actor, "delivery.replay", target);
    let again = state.host.sort_again(tenant.project, wanted.id.clone(), wanted.state, audit).await?;
    match (again, wanted.id) {
        (0, Some(id)) => Err(no_delivery(&id)),
        _ => Ok(Json(Again { again })),
    }
}
