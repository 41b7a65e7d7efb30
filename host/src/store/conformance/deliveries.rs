//! What any store has to do with deliveries, events and subscriptions.

use std::collections::HashMap;

use connector_protocol::message::{DeliveryHead, Identity, Route};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::accounts::{audit, connection, integration, renewed};
use crate::{
    events::filter::Filter,
    id::Id,
    store::{
        Arrival, Connection, ConnectionState, DeliveryState, Destination, DispatchState, Event, Integration,
        NewEvent, Page, Room, Scope, Sent, Sorted, Store, Subscription, Taken, WhichDeliveries,
        WhichDispatches, WhichEvents, Whole, Written,
    },
};

/// The tenant of this part of the suite: nobody else has anything there.
const PROJECT: &str = "deliveries";

fn waits() -> Sent {
    Sent { state: DispatchState::Waiting, ..done() }
}

/// Room for so much, but for nothing of these subscriptions.
pub(super) fn room(most: u32, busy: Vec<String>) -> Room {
    let subscriptions = busy.into_iter().map(|id| (id, 100)).collect();
    Room { most, of_subscription: 100, of_origin: 100, subscriptions, ..Room::default() }
}

fn arrival(of: &Integration, digest: &str) -> Arrival {
    Arrival {
        id: Id::delivery().to_string(),
        project: of.project.clone(),
        integration: of.id.clone(),
        connector: of.connector.clone(),
        hook: "default".to_owned(),
        subscription: None,
        digest: digest.as_bytes().to_vec(),
        unreadable: None,
        head: DeliveryHead {
            event: Some("made".to_owned()),
            received_at: Timestamp::now(),
            ..DeliveryHead::default()
        },
        body: digest.as_bytes().to_vec(),
    }
}

fn event(delivery: &str, to: Option<&Connection>, key: &str, lane: &str, data: Value) -> NewEvent {
    NewEvent {
        event: Event {
            id: Id::event().to_string(),
            kind: "acme.made".to_owned(),
            version: None,
            occurred_at: None,
            at: Timestamp::now(),
            connection: to.map(|to| to.id.clone()),
            user: to.map(|to| to.user.clone()),
            delivery: Some(delivery.to_owned()),
            unrouted: to.is_none().then(|| "nobody is known".to_owned()),
            incomplete: None,
            data,
        },
        key: key.to_owned(),
        lane: lane.to_owned(),
        route: Route::default(),
        subscription: None,
    }
}

fn sorted(of: &Integration, delivery: &str, events: Vec<NewEvent>) -> Sorted {
    Sorted {
        delivery: delivery.to_owned(),
        project: of.project.clone(),
        integration: of.id.clone(),
        state: DeliveryState::Done,
        reason: None,
        events,
        owners: vec![("meeting:1".to_owned(), "anna".to_owned())],
    }
}

fn subscription(filter: Option<&str>, paused: bool) -> Subscription {
    Subscription {
        id: Id::subscription().to_string(),
        project: PROJECT.to_owned(),
        user: None,
        connection: None,
        trigger: "acme.made".to_owned(),
        parameters: serde_json::Map::new(),
        filter: filter.map(|text| Filter::read(text).unwrap()),
        destination: Destination::Url { url: "https://app.example.com".to_owned() },
        paused,
        created: Timestamp::now(),
        version: 0,
        sealed: None,
        feed: None,
    }
}

fn done() -> Sent {
    Sent { state: DispatchState::Done, due: None, status: Some(204), reason: None, tried: true, hold: None }
}

/// An integration, and two people who have an account there.
async fn begin(store: &dyn Store) -> (Integration, Connection, Connection) {
    let of = integration(PROJECT);
    assert_eq!(store.put_integration(of.clone(), audit("integration.add")).await, Ok(Written::Yes));
    let (anna, bert) = (connection(&of, "u_1", "anna"), connection(&of, "u_2", "bert"));
    for one in [&anna, &bert] {
        assert_eq!(
            store.connect(one.clone(), Some(renewed("secret")), audit("connection.connect")).await,
            Ok(Written::Yes)
        );
    }
    (of, anna, bert)
}

/// The suite: `open` opens the same store again each time.
pub(super) async fn suite(open: &impl Fn() -> Box<dyn Store>) {
    let (store, other) = (open(), open());
    let (of, anna, bert) = begin(&*store).await;
    assert_eq!(store.bearers(&of.id, Some("anna"), None).unwrap(), std::slice::from_ref(&anna));
    assert_eq!(store.bearers(&of.id, None, Some("org")).unwrap(), [], "an account's is nobody's in it");
    taking_in(&*store, &*other, &of).await;
    making_events(&*store, &*other, &of, [&anna, &bert]).await;
}

/// Whoever took something to send and comes back late is refused.
pub(super) async fn sends(open: &impl Fn() -> Box<dyn Store>) {
    let (store, other) = (open(), open());
    let (of, anna, _) = begin(&*store).await;
    sending(&*store, &*other, &of, &anna).await;
}

/// What is erased with a user is what names them, and nothing that only looks like it.
pub(super) async fn erases(open: &impl Fn() -> Box<dyn Store>) {
    let store = open();
    let (of, anna, _) = begin(&*store).await;
    let keep = async |body: &str, route: Route| {
        let arrival = Arrival { body: body.as_bytes().to_vec(), ..arrival(&of, body) };
        let id = arrival.id.clone();
        assert_eq!(store.accept(arrival).await, Ok(Taken::New));
        let event = NewEvent { route, ..event(&id, None, body, "lane", json!({})) };
        let sorted = Sorted { state: DeliveryState::Unrouted, ..sorted(&of, &id, vec![event]) };
        assert_eq!(store.sorted(sorted).await.unwrap().len(), 1);
        id
    };
    let owner = |owner: &str| Route { owner: Some(owner.to_owned()), ..Route::default() };
    let theirs = keep(r#"{"user":{"id":"7"}}"#, owner("7")).await;
    let chance = keep(r#"{"count":7,"good":true}"#, owner("bert")).await;
    let late = arrival(&of, "late");
    assert_eq!(store.accept(late.clone()).await, Ok(Taken::New));
    store.set_state(anna.id.clone(), None, ConnectionState::Revoked, None, None).await.unwrap();
    assert_eq!(store.remove_connection(anna.id.clone(), audit("remove")).await, Ok(true));
    let named = |id: &str| Identity { account: None, user: Some(id.into()), label: id.into() };
    let people = ["7", "1"].map(|id| (of.id.clone(), named(id))).to_vec();
    assert_eq!(store.erase_user(PROJECT.into(), "u_1".into(), people, audit("erase")).await, Ok(true));
    let is_there = async |id: &str| store.delivery(PROJECT.into(), id.to_owned()).await.unwrap().is_some();
    assert!(!is_there(&theirs).await);
    assert!(is_there(&chance).await, "a number is nobody's name");
    // An event that was on its way to them when they were erased does not come back.
    let event = event(&late.id, Some(&anna), "late", "lane", json!({}));
    assert_eq!(store.sorted(sorted(&of, &late.id, vec![event])).await, Ok(vec![]));
    let whose = Scope { project: PROJECT.to_owned(), user: Some("u_1".to_owned()) };
    assert_eq!(store.happened(whose, WhichEvents::default(), Page::default()).await.unwrap(), []);
}

/// What is undelivered is not forgotten.
pub(super) async fn forgets(open: &impl Fn() -> Box<dyn Store>) {
    let store = open();
    let (of, anna, _) = begin(&*store).await;
    forgetting(&*store, &of, &anna).await;
}

async fn taking_in(store: &dyn Store, other: &dyn Store, of: &Integration) {
    // Many at once: each is told of its own, and what was kept is there for everybody.
    let arrivals: Vec<Arrival> = ["a", "b", "a", "c"].iter().map(|digest| arrival(of, digest)).collect();
    let pending: Vec<_> = arrivals.iter().cloned().map(|arrival| store.accept(arrival)).collect();
    let mut taken = Vec::new();
    for one in pending {
        taken.push(one.await.unwrap());
    }
    assert_eq!(taken, [Taken::New, Taken::New, Taken::Again, Taken::New]);
    let unreadable = Arrival { unreadable: Some("it is not JSON".to_owned()), ..arrival(of, "d") };
    assert_eq!(store.accept(unreadable).await, Ok(Taken::New));
    let (due, next) = other.due_deliveries(10, vec![], vec![]).await.unwrap();
    assert_eq!(due.iter().map(|whole| whole.body.as_slice()).collect::<Vec<_>>(), [b"a", b"b", b"c"]);
    assert_eq!((due[0].delivery.repeats, due[0].head.event.as_deref(), next), (1, Some("made"), None));
    // What somebody has taken is nobody else's, nor what is of a connector that is busy.
    let ids = |due: &[Whole]| due.iter().map(|whole| whole.delivery.id.clone()).collect::<Vec<_>>();
    let (rest, _) =
        other.due_deliveries(1, vec!["other".to_owned()], vec![ids(&due)[0].clone()]).await.unwrap();
    assert_eq!(ids(&rest), ids(&due)[1..2]);
    assert_eq!(other.due_deliveries(10, vec![], ids(&due)).await, Ok((vec![], None)));
    assert_eq!(other.due_deliveries(10, vec![of.connector.clone()], vec![]).await, Ok((vec![], None)));
    let shelf = WhichDeliveries { state: Some(DeliveryState::Unrouted), ..WhichDeliveries::default() };
    let found = other.deliveries(PROJECT.to_owned(), shelf, Page::default()).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].reason.as_deref(), Some("it is not JSON"));
    assert_eq!(
        other.delivery("default".to_owned(), found[0].id.clone()).await,
        Ok(None),
        "it is the tenant's"
    );
    // What is put off is not due, and is not lost.
    let later = Timestamp::now() + SignedDuration::from_hours(1);
    store.put_off(due[0].delivery.id.clone(), later, "it fell".to_owned(), true).await.unwrap();
    store.put_off_all(of.connector.clone(), later, "it is gone".to_owned()).await.unwrap();
    let (due, next) = other.due_deliveries(10, vec![], vec![]).await.unwrap();
    assert!(due.is_empty() && next.is_some_and(|next| next > Timestamp::now()), "{due:?} {next:?}");
    let first =
        &other.deliveries(PROJECT.to_owned(), WhichDeliveries::default(), Page::default()).await.unwrap()[3];
    assert_eq!((first.attempts, first.reason.as_deref()), (1, Some("it fell")));
    let (backlog, again) =
        (store.backlog().await.unwrap(), store.sort_again(PROJECT.to_owned(), None, None, audit("replay")));
    assert_eq!((backlog.deliveries, backlog.unrouted), (3, 1));
    assert_eq!(again.await, Ok(1), "what waits is not made to wait twice");
}

async fn making_events(
    store: &dyn Store,
    other: &dyn Store,
    of: &Integration,
    [anna, bert]: [&Connection; 2],
) {
    let (all, some, paused) =
        (subscription(None, false), subscription(Some("n > 1"), false), subscription(None, true));
    for one in [&all, &some, &paused] {
        assert_eq!(store.put_subscription(one.clone(), audit("subscription.add")).await, Ok(Written::Yes));
    }
    let stale = Subscription { version: 7, ..all.clone() };
    assert_eq!(store.put_subscription(stale, audit("subscription.set")).await, Ok(Written::Stale));
    let deliveries =
        other.deliveries(PROJECT.to_owned(), WhichDeliveries::default(), Page::default()).await.unwrap();
    let ids: Vec<&str> = deliveries.iter().map(|delivery| delivery.id.as_str()).collect();
    // The same key is the same event for one connection, and another one for another.
    let made = store
        .sorted(sorted(
            of,
            ids[0],
            vec![
                event(ids[0], Some(anna), "k1", "m1", json!({"n": 1})),
                event(ids[0], Some(anna), "k1", "m1", json!({"n": 1})),
                event(ids[0], Some(bert), "k1", "m1", json!({"n": 2})),
                event(ids[0], None, "k2", "m2", json!({"n": 3})),
            ],
        ))
        .await
        .unwrap();
    assert_eq!(made.len(), 3);
    let again =
        store.sorted(sorted(of, ids[0], vec![event(ids[0], Some(anna), "k9", "m1", json!({}))])).await;
    assert_eq!(again, Ok(vec![]), "what is done is not done again");
    let known =
        store.sorted(sorted(of, ids[1], vec![event(ids[1], Some(anna), "k1", "m1", json!({"n": 1}))])).await;
    assert_eq!(known, Ok(vec![]), "nor is an event of another delivery another one");
    assert_eq!(other.owner(&of.id, "meeting:1"), Ok(Some("anna".to_owned())));
    assert_eq!(other.owner("int_other", "meeting:1"), Ok(None));

    let scope = |user: Option<&str>| Scope { project: PROJECT.to_owned(), user: user.map(str::to_owned) };
    let list = async |which, user| {
        let found = other.happened(scope(user), which, Page { after: None, most: 100 }).await.unwrap();
        found.into_iter().filter(|event| event.kind == "acme.made").map(|event| event.id).collect::<Vec<_>>()
    };
    let routed = || WhichEvents { unrouted: Some(false), ..WhichEvents::default() };
    let strays = || WhichEvents { unrouted: Some(true), ..WhichEvents::default() };
    assert_eq!(list(routed(), None).await, made[..2]);
    assert_eq!(list(routed(), Some("u_2")).await, made[1..2]);
    assert_eq!(list(strays(), None).await, made[2..]);
    // A stray that somebody is found for is sent to whoever wants it.
    let stray = made[2].clone();
    let route = |to: &Connection| {
        store.route_event(PROJECT.to_owned(), stray.clone(), to.clone(), true, audit("route"))
    };
    assert_eq!(route(anna).await, Ok(true));
    assert_eq!(route(bert).await, Ok(false));
    assert_eq!(list(strays(), None).await, Vec::<String>::new());

    let (due, _) = other.due_dispatches(room(10, vec![]), 60_000).await.unwrap();
    let wanted: Vec<(&str, &Value)> =
        due.iter().map(|due| (due.subscription.id.as_str(), &due.event.data["n"])).collect();
    // Of those about the same thing, only the first; nothing for whoever is paused.
    assert_eq!(
        wanted,
        [(&*all.id, &json!(1)), (&*some.id, &json!(2)), (&*all.id, &json!(3)), (&*some.id, &json!(3))]
    );
    for due in &due {
        assert_eq!(store.sent(due.seq, due.fence, done()).await, Ok(true));
        assert_eq!(store.sent(due.seq, due.fence, done()).await, Ok(false), "once");
    }
    let (rest, _) = other.due_dispatches(room(10, vec![]), 60_000).await.unwrap();
    assert_eq!(rest.len(), 1, "the next of the lane: {rest:?}");
    assert_eq!(store.sent(rest[0].seq, rest[0].fence, done()).await, Ok(true));
    let which = WhichDispatches { subscription: Some(paused.id.clone()), ..WhichDispatches::default() };
    let kept = other.dispatches(scope(None), which, Page::default()).await.unwrap();
    assert_eq!(kept.len(), 3, "what comes during a pause is kept");
    for one in [all, some, paused] {
        assert_eq!(
            store.remove_subscription(PROJECT.to_owned(), one.id, audit("subscription.remove")).await,
            Ok(true)
        );
    }
    assert_eq!(other.dispatches(scope(None), WhichDispatches::default(), Page::default()).await, Ok(vec![]));
}

async fn one_delivery(store: &dyn Store, of: &Integration, digest: &str, to: &Connection) -> String {
    let arrival = arrival(of, digest);
    let id = arrival.id.clone();
    assert_eq!(store.accept(arrival).await, Ok(Taken::New));
    let made =
        store.sorted(sorted(of, &id, vec![event(&id, Some(to), digest, "m1", json!({}))])).await.unwrap();
    assert_eq!(made.len(), 1);
    id
}

async fn sending(store: &dyn Store, other: &dyn Store, of: &Integration, anna: &Connection) {
    let (one, two) = (subscription(None, false), subscription(None, false));
    for one in [&one, &two] {
        assert_eq!(store.put_subscription(one.clone(), audit("subscription.add")).await, Ok(Written::Yes));
    }
    one_delivery(store, of, "s1", anna).await;
    // Who has it is the last who took it, and a late word of somebody else's counts for nothing.
    let (first, _) = store.due_dispatches(room(1, vec![two.id.clone()]), -1).await.unwrap();
    assert_eq!(first[0].subscription.id, one.id, "what is busy is left alone");
    assert_eq!(store.due_dispatches(room(10, vec![two.id.clone()]), 60_000).await.unwrap().0, []);
    store.take_up(false).await.unwrap();
    let (second, _) = other.due_dispatches(room(10, vec![two.id.clone()]), 60_000).await.unwrap();
    assert_eq!(second[0].seq, first[0].seq, "its time was over");
    assert_eq!(store.sent(first[0].seq, first[0].fence, done()).await, Ok(false));
    let later = Timestamp::now() + SignedDuration::from_hours(1);
    let again = Sent { state: DispatchState::Waiting, due: Some(later), status: Some(500), ..done() };
    assert_eq!(other.sent(second[0].seq, second[0].fence, again).await, Ok(true));
    let (due, _) = other.due_dispatches(room(10, vec![]), 60_000).await.unwrap();
    assert_eq!(
        due.iter().map(|due| due.subscription.id.clone()).collect::<Vec<_>>(),
        std::slice::from_ref(&two.id)
    );
    // What was taken by somebody who is gone is taken up.
    store.take_up(true).await.unwrap();
    // There is so much room for one subscription, and for one origin.
    let origin = two.destination.origin();
    for (few, origins) in [(0, 0), (1, 1)] {
        let origins = HashMap::from([(origin.clone(), origins)]);
        let full = Room { of_subscription: few, of_origin: 1, origins, ..room(10, vec![]) };
        assert_eq!(other.due_dispatches(full, 60_000).await.unwrap().0, []);
    }
    let (due, _) = other.due_dispatches(room(10, vec![]), 60_000).await.unwrap();
    assert_eq!(due.len(), 1);
    // A clock that was set back since holds nothing up: neither whoever has it, nor what is to wait for a moment.
    assert_eq!(
        store.sent(due[0].seq, due[0].fence, Sent { due: Some(Timestamp::now()), ..waits() }).await,
        Ok(true)
    );
    let (taken, _) = other.due_dispatches(room(10, vec![]), 24 * 3_600_000).await.unwrap();
    store.take_up(false).await.unwrap();
    let (due, _) = other.due_dispatches(room(10, vec![]), 60_000).await.unwrap();
    assert_eq!((due.len(), due[0].seq, due[0].fence), (1, taken[0].seq, taken[0].fence + 1));
    let dead = Sent { state: DispatchState::Dead, hold: Some(later), ..done() };
    assert_eq!(other.sent(due[0].seq, due[0].fence, dead).await, Ok(true));
    one_delivery(store, of, "s2", anna).await;
    assert_eq!(store.backlog().await.unwrap().dead, 1);
    let which = WhichDispatches { state: Some(DispatchState::Dead), ..WhichDispatches::default() };
    assert_eq!(store.send_again(Scope::project("default"), which.clone(), audit("replay")).await, Ok(0));
    assert_eq!(store.send_again(Scope::project(PROJECT), which, audit("replay")).await, Ok(1));
    let (due, _) = other.due_dispatches(room(10, vec![one.id.clone()]), 60_000).await.unwrap();
    assert_eq!((due.len(), due[0].attempts), (1, 0), "it begins anew, and what came after it waits");
    for one in [one, two] {
        assert_eq!(
            store.remove_subscription(PROJECT.to_owned(), one.id, audit("subscription.remove")).await,
            Ok(true)
        );
    }
}

async fn forgetting(store: &dyn Store, of: &Integration, anna: &Connection) {
    let wanted = subscription(None, false);
    assert_eq!(store.put_subscription(wanted.clone(), audit("subscription.add")).await, Ok(Written::Yes));
    let undelivered = one_delivery(store, of, "f1", anna).await;
    let waiting = arrival(of, "f2");
    assert_eq!(store.accept(waiting.clone()).await, Ok(Taken::New));
    // Whatever is still to be made or sent stays, however old it is; and so does what it is made of.
    store.forget_events(Timestamp::now() + SignedDuration::from_hours(1)).await.unwrap();
    let left =
        store.deliveries(PROJECT.to_owned(), WhichDeliveries::default(), Page::default()).await.unwrap();
    assert_eq!(left.iter().take(2).map(|one| one.id.clone()).collect::<Vec<_>>(), [waiting.id, undelivered]);
    assert!(left.iter().skip(2).all(|one| one.state == DeliveryState::Waiting), "{left:?}");
    let (due, _) = store.due_dispatches(room(10, vec![]), 60_000).await.unwrap();
    assert_eq!(due.len(), 1);
    assert_eq!(store.sent(due[0].seq, due[0].fence, done()).await, Ok(true));
    store.forget_events(Timestamp::now() + SignedDuration::from_hours(1)).await.unwrap();
    let left =
        store.deliveries(PROJECT.to_owned(), WhichDeliveries::default(), Page::default()).await.unwrap();
    assert!(
        left.iter().all(|one| one.state == DeliveryState::Waiting),
        "what is over is forgotten: {left:?}"
    );
    let events =
        store.happened(Scope::project(PROJECT), WhichEvents::default(), Page::default()).await.unwrap();
    assert_eq!(events, []);
}
