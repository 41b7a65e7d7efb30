//! What any store has to do with events that come for single subscriptions.

use connector_protocol::message::{DeliveryHead, Route};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::{
    accounts::{audit, connection, integration, of_user, renewed, sealed},
    deliveries::room,
};
use crate::{
    events::filter::Filter,
    id::Id,
    store::{
        Arrival, Connection, ConnectionState, DeliveryState, Destination, DueFeed, Event, Feed, FeedKind,
        Found, Integration, NewEvent, Page, Registered, Scope, Sorted, Store, Subscription, Taken,
        WhichEvents, Written,
    },
};

const MINUTE: i64 = 60_000;

fn subscription(of: &Connection, kind: FeedKind) -> Subscription {
    Subscription {
        id: Id::subscription().to_string(),
        project: of.project.clone(),
        user: Some(of.user.clone()),
        connection: Some(of.id.clone()),
        trigger: format!("acme.{}", kind.as_str()),
        parameters: Map::new(),
        filter: None,
        destination: Destination::Url { url: "https://app.example.com/hook".to_owned() },
        paused: false,
        created: Timestamp::now(),
        version: 0,
        sealed: Some(sealed("key_1", "signing")),
        feed: Some(Feed::new(kind)),
    }
}

fn event(of: &Subscription, key: &str) -> NewEvent {
    NewEvent {
        event: Event {
            id: Id::event().to_string(),
            kind: of.trigger.clone(),
            version: None,
            occurred_at: None,
            at: Timestamp::now(),
            connection: of.connection.clone(),
            user: of.user.clone(),
            delivery: None,
            incomplete: None,
            unrouted: None,
            data: json!({"key": key}),
        },
        key: key.to_owned(),
        lane: String::new(),
        route: Route::default(),
        subscription: Some(of.id.clone()),
    }
}

fn found(of: &DueFeed, keys: &[&str], seeds: bool) -> Found {
    Found {
        subscription: of.subscription.id.clone(),
        fence: of.fence,
        integration: "int_a".to_owned(),
        state: json!({"last": keys.last()}),
        events: keys.iter().map(|key| event(&of.subscription, key)).collect(),
        seeds,
        begun: true,
        wait: 0,
    }
}

fn registered(of: &DueFeed, sealed: Option<(i64, crate::vault::Envelope)>) -> Registered {
    Registered {
        subscription: of.subscription.id.clone(),
        fence: of.fence,
        state: json!({"hook": 1}),
        address: "https://one.example.com/webhooks/x".to_owned(),
        expires: None,
        wait: None,
        sealed,
    }
}

async fn put(store: &dyn Store, subscription: &Subscription) -> Subscription {
    assert_eq!(store.put_subscription(subscription.clone(), audit("add")).await, Ok(Written::Yes));
    Subscription { version: 1, ..subscription.clone() }
}

async fn take(store: &dyn Store) -> Vec<DueFeed> {
    store.due_feeds(10, Vec::new(), MINUTE).await.unwrap().0
}

async fn only(store: &dyn Store) -> DueFeed {
    let mut taken = take(store).await;
    assert_eq!(taken.len(), 1, "{taken:?}");
    taken.remove(0)
}

async fn kept(store: &dyn Store, kind: &str) -> Vec<String> {
    let which = WhichEvents { kind: Some(kind.to_owned()), ..WhichEvents::default() };
    let page = Page { after: None, most: 100 };
    let events = store.happened(Scope::project("default"), which, page).await.unwrap();
    events.iter().map(|event| event.data["key"].as_str().unwrap_or_default().to_owned()).collect()
}

/// To whom what is still to be sent goes.
async fn to_send(store: &dyn Store) -> Vec<(String, Value)> {
    let (due, _) = store.due_dispatches(room(100, Vec::new()), 0).await.unwrap();
    store.take_up(true).await.unwrap();
    due.into_iter().map(|due| (due.subscription.id, due.event.data["key"].clone())).collect()
}

/// The suite: `open` opens the same store again each time, which holds nothing at first.
pub(super) async fn suite(open: &impl Fn() -> Box<dyn Store>) {
    let store = open();
    let of = integration("default");
    assert_eq!(store.put_integration(of.clone(), audit("add")).await, Ok(Written::Yes));
    let mine = connection(&of, "u_1", "ann");
    assert_eq!(store.connect(mine.clone(), Some(renewed("one")), audit("connect")).await, Ok(Written::Yes));
    polls(&*store, &mine).await;
    gates(&*store, &mine).await;
    webhooks(&*store, &*open(), &mine).await;
    addresses(&*store, &of, &mine).await;
    forgetting(&*store, &mine).await;
}

async fn polls(store: &dyn Store, of: &Connection) {
    let one = put(store, &subscription(of, FeedKind::Poll)).await;
    let mut narrow = subscription(of, FeedKind::Poll);
    narrow.filter = Some(Filter::read("key = c").unwrap());
    let first = only(store).await;
    assert_eq!((&first.subscription.id, first.begun, &first.state), (&one.id, false, &None));
    assert_eq!(take(store).await, [], "it is one's at a time");
    // What was there at first is remembered, and neither kept nor sent.
    assert_eq!(store.found(found(&first, &["a", "b"], true)).await, Ok(Some(vec![])));
    assert_eq!(store.found(found(&first, &["x"], false)).await, Ok(None), "it was given back");
    assert_eq!(kept(store, "acme.poll").await, [""; 0]);
    let second = only(store).await;
    assert_eq!((second.begun, &second.state), (true, &Some(json!({"last": "b"}))));
    let new = store.found(found(&second, &["b", "c", "c"], false)).await.unwrap().unwrap();
    assert_eq!(new.len(), 1);
    assert_eq!(to_send(store).await, [(one.id.clone(), json!("c"))]);
    // Whoever was too slow writes nothing: somebody else has it by now.
    let (slow, _) = store.due_feeds(10, Vec::new(), 0).await.unwrap();
    let quick = only(store).await;
    assert_eq!((slow[0].fence + 1, &slow[0].subscription.id), (quick.fence, &one.id));
    assert_eq!(store.found(found(&slow[0], &["d"], false)).await, Ok(None));
    assert_eq!(store.feed_failed(one.id.clone(), slow[0].fence, 0, "no".into(), true).await, Ok(false));
    assert_eq!(kept(store, "acme.poll").await, ["c"]);
    assert_eq!(store.found(found(&quick, &["d"], false)).await.unwrap().unwrap().len(), 1);
    // Another one sees for itself, and is sent what it wants.
    let narrow = put(store, &narrow).await;
    let (taken, _) = store.due_feeds(10, vec![one.id.clone()], MINUTE).await.unwrap();
    assert_eq!((taken.len(), &taken[0].subscription.id), (1, &narrow.id), "nothing of whoever is busy");
    assert_eq!(store.found(found(&taken[0], &["c", "d"], false)).await.unwrap().unwrap().len(), 2);
    assert_eq!(kept(store, "acme.poll").await, ["c", "d", "c", "d"]);
    let mut sent = to_send(store).await;
    assert_eq!(sent.pop(), Some((narrow.id.clone(), json!("c"))), "{sent:?}");
    for gone in [one, narrow] {
        assert_eq!(store.remove_subscription("default".into(), gone.id, audit("remove")).await, Ok(true));
    }
    assert_eq!((take(store).await, to_send(store).await), (vec![], vec![]));
}

async fn gates(store: &dyn Store, of: &Connection) {
    let mut one = put(store, &subscription(of, FeedKind::Poll)).await;
    // Whoever fails is left alone, and it is said why.
    let due = only(store).await;
    assert_eq!(store.feed_failed(one.id.clone(), due.fence, MINUTE, "no".into(), true).await, Ok(true));
    let (taken, next) = store.due_feeds(10, Vec::new(), MINUTE).await.unwrap();
    assert!(taken.is_empty() && next.is_some_and(|next| next > Timestamp::now()), "{next:?}");
    let shown = store.subscribed(&one.id).unwrap().unwrap().feed.unwrap();
    assert_eq!((shown.failures, shown.reason.as_deref(), shown.due), (1, Some("no"), next));
    assert_eq!(store.remove_subscription("default".into(), one.id.clone(), audit("remove")).await, Ok(true));
    one = put(store, &subscription(of, FeedKind::Poll)).await;
    // One that is paused is nobody's, and one whose connection cannot be used.
    one.paused = true;
    assert_eq!(store.put_subscription(one.clone(), audit("pause")).await, Ok(Written::Yes));
    assert_eq!(take(store).await, []);
    (one.paused, one.version) = (false, 2);
    assert_eq!(store.put_subscription(one.clone(), audit("resume")).await, Ok(Written::Yes));
    let state = async |state| store.set_state(of.id.clone(), None, state, None, None).await.unwrap();
    assert_eq!(state(ConnectionState::NeedsReauth).await, Written::Yes);
    assert_eq!(take(store).await, []);
    let page = Page { after: None, most: 10 };
    let list = store.subscriptions(of_user("u_1"), page).await.unwrap();
    let reason = list[0].feed.as_ref().and_then(|feed| feed.reason.clone()).unwrap_or_default();
    assert!(list.len() == 1 && reason.contains("needs_reauth"), "{list:?}");
    assert_eq!(state(ConnectionState::Valid).await, Written::Yes);
    // What whoever is gone has taken is to be seen to by whoever comes.
    assert_eq!(only(store).await.subscription.id, one.id);
    store.take_up_feeds(false, None).await.unwrap();
    assert_eq!(take(store).await, []);
    store.take_up_feeds(true, None).await.unwrap();
    assert_eq!(only(store).await.subscription.id, one.id);
    assert_eq!(store.remove_subscription("default".into(), one.id, audit("remove")).await, Ok(true));
}

async fn webhooks(store: &dyn Store, other: &dyn Store, of: &Connection) {
    let one = put(store, &subscription(of, FeedKind::Webhook)).await;
    let due = only(store).await;
    let again = sealed("key_1", "provider's");
    for (version, envelope, written) in [
        (1, sealed("key_0", "x"), Written::OldKey),
        (7, again.clone(), Written::Stale),
        (1, again.clone(), Written::Yes),
        (2, again.clone(), Written::Stale),
    ] {
        let registered = registered(&due, Some((version, envelope)));
        assert_eq!(store.registered(registered).await, Ok(written), "version {version}");
    }
    let shown = other.subscribed(&one.id).unwrap().unwrap();
    assert_eq!((shown.version, shown.sealed), (2, Some(again)));
    assert_eq!(take(store).await, [], "there is nothing to do");
    // It lies where it should, or it is to be seen to.
    store.take_up_feeds(false, Some("https://one.example.com/webhooks/".into())).await.unwrap();
    assert_eq!(take(store).await, []);
    store.take_up_feeds(false, Some("https://two.example.com/webhooks/".into())).await.unwrap();
    let moved = only(store).await;
    assert_eq!((moved.begun, moved.address.as_deref()), (true, Some("https://one.example.com/webhooks/x")));
    assert_eq!(store.unregistered(one.id.clone(), due.fence, 0).await, Ok(false), "of whoever was before");
    assert_eq!(store.unregistered(one.id.clone(), moved.fence, 0).await, Ok(true));
    let anew = only(store).await;
    assert_eq!((anew.begun, &anew.state), (false, &None));
    assert_eq!(store.registered(registered(&anew, None)).await, Ok(Written::Yes));
    // Whoever gives the connection up takes it, whatever else holds.
    let taken = store.take_webhooks(of.id.clone(), MINUTE).await.unwrap();
    assert_eq!((taken.len(), store.take_webhooks(of.id.clone(), MINUTE).await), (1, Ok(vec![])));
    assert_eq!(store.registered(registered(&taken[0], None)).await, Ok(Written::Yes));
    // When it is taken away it is there no more, but for whoever has to end it.
    assert_eq!(store.remove_subscription("other".into(), one.id.clone(), audit("remove")).await, Ok(false));
    assert_eq!(store.remove_subscription("default".into(), one.id.clone(), audit("remove")).await, Ok(true));
    assert_eq!(store.remove_subscription("default".into(), one.id.clone(), audit("remove")).await, Ok(false));
    assert_eq!(store.subscribed(&one.id), Ok(None));
    assert_eq!(store.subscription(Scope::project("default"), one.id.clone()).await, Ok(None));
    let mut changed = one.clone();
    changed.version = 2;
    assert_eq!(store.put_subscription(changed, audit("set")).await, Ok(Written::Stale));
    assert_eq!(
        store.set_state(of.id.clone(), None, ConnectionState::NeedsReauth, None, None).await,
        Ok(Written::Yes)
    );
    let left = only(store).await;
    assert_eq!((left.removed, &left.state), (true, &Some(json!({"hook": 1}))));
    assert_eq!(
        left.subscription.sealed.map(|sealed| sealed.key),
        Some("key_1".to_owned()),
        "it can be proven"
    );
    assert_eq!(store.unregistered(one.id.clone(), left.fence, 0).await, Ok(true));
    assert_eq!(
        store.set_state(of.id.clone(), None, ConnectionState::Valid, None, None).await,
        Ok(Written::Yes)
    );
    assert_eq!(take(store).await, [], "it is forgotten");
    // One that is taken away while it is being registered is ended when that is done.
    let one = put(store, &subscription(of, FeedKind::Webhook)).await;
    let due = only(store).await;
    assert_eq!(store.remove_subscription("default".into(), one.id.clone(), audit("remove")).await, Ok(true));
    assert_eq!(store.registered(registered(&due, None)).await, Ok(Written::Yes));
    let left = only(store).await;
    assert!(left.removed && left.state.is_some(), "{left:?}");
    assert_eq!(store.unregistered(one.id, left.fence, 0).await, Ok(true));
}

async fn addresses(store: &dyn Store, of: &Integration, connection: &Connection) {
    let one = put(store, &subscription(connection, FeedKind::Webhook)).await;
    let other = put(store, &subscription(connection, FeedKind::Webhook)).await;
    let arrival = |subscription: Option<&Subscription>| Arrival {
        id: Id::delivery().to_string(),
        project: "default".to_owned(),
        integration: of.id.clone(),
        connector: "acme".to_owned(),
        hook: "default".to_owned(),
        subscription: subscription.map(|one| one.id.clone()),
        digest: vec![1],
        unreadable: None,
        head: DeliveryHead { received_at: Timestamp::now(), ..DeliveryHead::default() },
        body: b"{}".to_vec(),
    };
    for (to, taken) in [
        (None, Taken::New),
        (Some(&one), Taken::New),
        (Some(&other), Taken::New),
        (Some(&one), Taken::Again),
        (None, Taken::Again),
    ] {
        assert_eq!(store.accept(arrival(to)).await, Ok(taken), "each address by itself");
    }
    let (waiting, _) = store.due_deliveries(10, vec![], vec![]).await.unwrap();
    let to: Vec<Option<String>> = waiting.iter().map(|whole| whole.delivery.subscription.clone()).collect();
    assert_eq!(to, [None, Some(one.id.clone()), Some(other.id.clone())]);
    for (whole, to) in waiting.iter().skip(1).zip([&one, &other]) {
        let sorted = Sorted {
            delivery: whole.delivery.id.clone(),
            project: "default".to_owned(),
            integration: of.id.clone(),
            state: DeliveryState::Done,
            reason: None,
            events: vec![event(to, "a"), event(to, "a")],
            owners: Vec::new(),
        };
        assert_eq!(store.sorted(sorted).await.unwrap().len(), 1);
    }
    assert_eq!(to_send(store).await, [(one.id.clone(), json!("a")), (other.id.clone(), json!("a"))]);
    for gone in [one, other] {
        assert_eq!(store.remove_subscription("default".into(), gone.id, audit("remove")).await, Ok(true));
    }
}

async fn forgetting(store: &dyn Store, of: &Connection) {
    let one = put(store, &subscription(of, FeedKind::Poll)).await;
    let due = only(store).await;
    assert_eq!(store.found(found(&due, &["a"], true)).await, Ok(Some(vec![])));
    let again = async || {
        let due = only(store).await;
        store.found(found(&due, &["a"], false)).await.unwrap().unwrap().len()
    };
    store.forget_events(Timestamp::now()).await.unwrap();
    assert_eq!(again().await, 0);
    let year = SignedDuration::from_hours(24 * 365 + 1);
    store.forget_events(Timestamp::now() + year).await.unwrap();
    assert_eq!(again().await, 1, "what nobody has told of for so long is new");
    // With a user goes everything that was theirs.
    let revoked = ConnectionState::Revoked;
    assert_eq!(store.set_state(of.id.clone(), None, revoked, None, None).await, Ok(Written::Yes));
    assert_eq!(store.remove_connection(of.id.clone(), audit("remove")).await, Ok(true));
    let waits = store.subscribed(&one.id).unwrap().unwrap().feed.unwrap().reason.unwrap_or_default();
    assert!(waits.ends_with("is gone"), "{waits}");
    assert_eq!(store.erase_user("default".into(), "u_1".into(), vec![], audit("erase")).await, Ok(true));
    assert_eq!(store.subscribed(&one.id), Ok(None));
    assert_eq!((take(store).await, kept(store, "acme.poll").await), (vec![], vec![]));
}
