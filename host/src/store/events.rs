//! What providers send and what becomes of it, as it is kept: deliveries, the events that are made of them, who subscribes to
//! those, and what is sent on.
//!
//! A delivery is kept before it is answered. What is made of it - its events, whom each is for and to whom it is to be sent - is
//! written in one commit with the word that it is done, so that nothing is made twice and nothing falls between the two.

use std::collections::HashMap;

use connector_protocol::{
    Result,
    message::{DeliveryHead, Route},
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use url::Url;

use super::{
    Audit, Connection, DueFeed, Event, Feed, Found, Integration, Page, Pending, Registered, Scope, Written,
};
use crate::{events::filter::Filter, vault::Envelope};

/// A webhook request that was verified and is to be kept.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// Its id: `dlv_…`.
    pub id: String,
    /// The tenant.
    pub project: String,
    /// The integration that its address names.
    pub integration: String,
    /// The connector.
    pub connector: String,
    /// Which of the connector's webhooks.
    pub hook: String,
    /// The subscription that its address is of, if it is one's.
    pub subscription: Option<String>,
    /// What tells it apart from every other one of this webhook.
    pub digest: Vec<u8>,
    /// Why nobody can read it, if that is so: then it waits for nobody.
    pub unreadable: Option<String>,
    /// The request without its body, and the name of the event.
    pub head: DeliveryHead,
    /// Its body, byte for byte.
    pub body: Vec<u8>,
}

/// What became of keeping a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It is kept.
    New,
    /// It was kept already.
    Again,
}

/// How far a delivery is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// Its events are still to be made.
    Waiting,
    /// Its events were made.
    Done,
    /// Nothing here knows what to make of it.
    Unrouted,
    /// The connector could make nothing of it.
    Failed,
}

impl DeliveryState {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Waiting, Self::Done, Self::Unrouted, Self::Failed];

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Done => "done",
            Self::Unrouted => "unrouted",
            Self::Failed => "failed",
        }
    }
}

/// One webhook request, as it was received and verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Delivery {
    /// Its id: `dlv_…`.
    pub id: String,
    /// The tenant.
    pub project: String,
    /// The integration that its address names.
    pub integration: String,
    /// The connector.
    pub connector: String,
    /// Which of the connector's webhooks.
    pub hook: String,
    /// The subscription that its address is of, if it is one's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscription: Option<String>,
    /// The provider's name of the event, where one stands in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// When it was received.
    #[schemars(with = "String")]
    pub received: Timestamp,
    /// How far it is.
    pub state: DeliveryState,
    /// Why it is no further.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How often the connector was asked in vain.
    pub attempts: u32,
    /// How often it was received again.
    pub repeats: u64,
    /// How long its body is.
    pub bytes: u64,
}

/// A delivery with all that was in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Whole {
    /// What is known of it.
    pub delivery: Delivery,
    /// The request without its body.
    pub head: DeliveryHead,
    /// Its body.
    pub body: Vec<u8>,
}

/// Which deliveries are wanted. What is left out does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WhichDeliveries {
    /// Of this connector.
    pub connector: Option<String>,
    /// In this state.
    pub state: Option<DeliveryState>,
}

/// An event that is to be kept, for one connection or for nobody yet.
#[derive(Debug, Clone, PartialEq)]
pub struct NewEvent {
    /// The event. Its type is `connector.trigger`.
    pub event: Event,
    /// What tells it apart, by the connector: the same key twice for the same connection is the same event.
    pub key: String,
    /// What it is about: events about the same thing are sent on one after the other.
    pub lane: String,
    /// Whom it is for, as far as it says: for an event that nobody is known for yet.
    pub route: Route,
    /// The one subscription that it is for, if it came for no other.
    pub subscription: Option<String>,
}

/// What came of a delivery.
#[derive(Debug, Clone, PartialEq)]
pub struct Sorted {
    /// The delivery.
    pub delivery: String,
    /// The tenant.
    pub project: String,
    /// The integration.
    pub integration: String,
    /// How far it is now.
    pub state: DeliveryState,
    /// Why it is no further.
    pub reason: Option<String>,
    /// Its events.
    pub events: Vec<NewEvent>,
    /// Whose things are, as learned from it: the thing, as `kind:id`, and its owner.
    pub owners: Vec<(String, String)>,
}

/// Which events are wanted. What is left out does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WhichEvents {
    /// Of this type.
    pub kind: Option<String>,
    /// Of this connection.
    pub connection: Option<String>,
    /// Those that nobody is known for, or those that somebody is.
    pub unrouted: Option<bool>,
    /// The newest first.
    pub newest: bool,
}

/// Where the events of a subscription go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Destination {
    /// To an address of the app's, signed.
    Url {
        /// The address.
        url: String,
    },
}

impl Destination {
    /// What people know it by.
    #[must_use]
    pub fn shown(&self) -> &str {
        match self {
            Self::Url { url } => url,
        }
    }

    /// The machine that it leads to, and the port there.
    #[must_use]
    pub fn origin(&self) -> String {
        let Self::Url { url } = self;
        Url::parse(url).map_or_else(|_| url.clone(), |url| url.origin().ascii_serialization())
    }
}

/// Somebody's wish for the events of a trigger.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Subscription {
    /// Its id: `sub_…`.
    pub id: String,
    /// The tenant.
    pub project: String,
    /// The user whose connections it is for; everybody's of the project without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The connection it is for; all of the user's without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<String>,
    /// The trigger, as `connector.trigger`, or the type of an event of Jackfield's own.
    pub trigger: String,
    /// What the trigger lets a subscription choose.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub parameters: Map<String, Value>,
    /// Which of its events are wanted; all without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<Filter>,
    /// Where they go.
    pub destination: Destination,
    /// Whether nothing is sent for now. Events are kept meanwhile, and sent when it goes on.
    #[serde(default)]
    pub paused: bool,
    /// When it was made.
    pub created: Timestamp,
    /// Counts its changes.
    #[serde(default)]
    pub version: i64,
    /// The key that what is sent is signed with.
    #[serde(skip)]
    pub sealed: Option<Envelope>,
    /// What brings its events, where they come to nobody else.
    #[serde(skip)]
    pub feed: Option<Feed>,
}

impl Subscription {
    /// Whether it is for the events of a connection.
    #[must_use]
    pub fn is_for(&self, connection: &Connection) -> bool {
        self.project == connection.project
            && self.connection.as_ref().is_none_or(|id| *id == connection.id)
            && self.user.as_ref().is_none_or(|user| *user == connection.user)
    }
}

/// How far the sending of an event is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DispatchState {
    /// It is still to be sent, or to be sent again.
    Waiting,
    /// It is being sent.
    Sending,
    /// It has arrived.
    Done,
    /// It was tried for as long as anything is: it lies on the dead-letter shelf.
    Dead,
}

impl DispatchState {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Waiting, Self::Sending, Self::Done, Self::Dead];

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Sending => "sending",
            Self::Done => "done",
            Self::Dead => "dead",
        }
    }
}

/// The sending of one event for one subscription.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Dispatch {
    /// Counts all of them.
    pub seq: i64,
    /// The event.
    pub event: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// The subscription.
    pub subscription: String,
    /// How far it is.
    pub state: DispatchState,
    /// How often it was tried.
    pub attempts: u32,
    /// When it is tried next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub due: Option<Timestamp>,
    /// The status of the last answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Why the last try was in vain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Which dispatches are wanted. What is left out does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WhichDispatches {
    /// Of this subscription.
    pub subscription: Option<String>,
    /// Of this event.
    pub event: Option<String>,
    /// Of events of this type.
    pub kind: Option<String>,
    /// In this state.
    pub state: Option<DispatchState>,
}

/// How much may be taken to be sent, beside what is being sent already.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Room {
    /// In all.
    pub most: u32,
    /// How much of one subscription may be under way, and how much to one origin.
    pub of_subscription: usize,
    /// The same of one origin.
    pub of_origin: usize,
    /// How much of each subscription is.
    pub subscriptions: HashMap<String, usize>,
    /// How much to each origin is.
    pub origins: HashMap<String, usize>,
}

impl Room {
    /// Takes a place for the events of a subscription. False if there is none.
    pub(super) fn take(&mut self, subscription: &Subscription) -> bool {
        let of = self.subscriptions.entry(subscription.id.clone()).or_default();
        let to = self.origins.entry(subscription.destination.origin()).or_default();
        let may = *of < self.of_subscription && *to < self.of_origin;
        if may {
            (*of, *to) = (*of + 1, *to + 1);
        }
        may
    }
}

/// An event that is to be sent now, by whoever took it.
#[derive(Debug, Clone, PartialEq)]
pub struct Due {
    /// Which dispatch it is.
    pub seq: i64,
    /// Counts those who took it: who comes with an older number is refused.
    pub fence: i64,
    /// How often it was tried before.
    pub attempts: u32,
    /// When it was first to be sent.
    pub since: Timestamp,
    /// The event.
    pub event: Event,
    /// What it is sent for.
    pub subscription: Subscription,
}

/// What became of sending an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// How far it is now.
    pub state: DispatchState,
    /// When it is tried next.
    pub due: Option<Timestamp>,
    /// The status of the answer.
    pub status: Option<u16>,
    /// Why it was in vain.
    pub reason: Option<String>,
    /// Whether it counts as a try.
    pub tried: bool,
    /// Until when nothing else is to be sent for the subscription either.
    pub hold: Option<Timestamp>,
}

/// How much there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Deliveries whose events are still to be made.
    pub deliveries: u64,
    /// Events that are still to be sent.
    pub dispatches: u64,
    /// Events on the dead-letter shelf.
    pub dead: u64,
    /// Deliveries and events that nobody is known for.
    pub unrouted: u64,
}

/// Where deliveries, events and subscriptions are kept. When a method that changes something is done, the change survives the
/// machine.
pub trait Events: Send + Sync {
    /// Keeps a delivery, unless it is kept already. Many that come at once share one commit.
    fn accept(&self, arrival: Arrival) -> Pending<Taken>;

    /// Deliveries whose events can be made now, the oldest first, but none of these connectors and integrations, and none of those that are taken.
    /// Beside them stands when the next one is due, if none is.
    fn due_deliveries(
        &self,
        most: u32,
        busy: Vec<String>,
        taken: Vec<String>,
    ) -> Pending<(Vec<Whole>, Option<Timestamp>)>;

    /// Keeps what came of a delivery, if it still waits for that, and has its events sent to all who subscribe to them. Gives the ids
    /// of those that are new.
    fn sorted(&self, sorted: Sorted) -> Pending<Vec<String>>;

    /// Leaves a delivery alone until then. `tried`: the connector was asked in vain.
    fn put_off(&self, delivery: String, until: Timestamp, reason: String, tried: bool) -> Pending<()>;

    /// Leaves everything alone until then that waits for a connector which cannot be asked.
    fn put_off_all(&self, connector: String, until: Timestamp, reason: String) -> Pending<()>;

    /// Deliveries, the newest first.
    fn deliveries(&self, project: String, which: WhichDeliveries, page: Page) -> Pending<Vec<Delivery>>;

    /// A delivery.
    fn delivery(&self, project: String, id: String) -> Pending<Option<Whole>>;

    /// Has the events of deliveries made again: of this one, or of all in this state. Gives how many there are.
    fn sort_again(
        &self,
        project: String,
        id: Option<String>,
        state: Option<DeliveryState>,
        audit: Audit,
    ) -> Pending<u64>;

    /// The connections of an integration that lead to this person, or to this account by no person; read where it is asked for.
    fn bearers(
        &self,
        integration: &str,
        person: Option<&str>,
        account: Option<&str>,
    ) -> Result<Vec<Connection>>;

    /// Whose a thing is, as far as an event has told. Read where it is asked for.
    fn owner(&self, integration: &str, resource: &str) -> Result<Option<String>>;

    /// What happened, in the order in which it was written.
    fn happened(&self, scope: Scope, which: WhichEvents, page: Page) -> Pending<Vec<Event>>;

    /// An event.
    fn event(&self, scope: Scope, id: String) -> Pending<Option<Event>>;

    /// Says that an event that nobody was known for is this connection's, and with `tell` has it sent to whoever subscribes. False if
    /// somebody is known for it by now.
    fn route_event(
        &self,
        project: String,
        id: String,
        to: Connection,
        tell: bool,
        audit: Audit,
    ) -> Pending<bool>;

    /// Events that nobody is known for, received since then, that may be this connection's: at most so many, the newest, in the
    /// order in which they were written.
    fn strays(&self, of: Connection, since: Timestamp, most: u32) -> Pending<Vec<(Event, Route)>>;

    /// Adds a subscription whose version is 0, or changes the one whose version it has.
    fn put_subscription(&self, subscription: Subscription, audit: Audit) -> Pending<Written>;

    /// Takes a subscription away, with what was still to be sent for it. False if there is none. Where a webhook is registered for
    /// it, that is to be ended by whoever sees to feeds.
    fn remove_subscription(&self, project: String, id: String, audit: Audit) -> Pending<bool>;

    /// Subscriptions, the oldest first.
    fn subscriptions(&self, scope: Scope, page: Page) -> Pending<Vec<Subscription>>;

    /// A subscription.
    fn subscription(&self, scope: Scope, id: String) -> Pending<Option<Subscription>>;

    /// Takes what is to be sent now for this many milliseconds: as much as there is room for, and for one subscription only the
    /// first of those about the same thing. Beside it stands when the next one is due, if none is.
    fn due_dispatches(&self, room: Room, ms: i64) -> Pending<(Vec<Due>, Option<Timestamp>)>;

    /// Says what became of sending, for whoever took it last. False if somebody else has it by now.
    fn sent(&self, seq: i64, fence: i64, sent: Sent) -> Pending<bool>;

    /// What is sent and was, the newest first.
    fn dispatches(&self, scope: Scope, which: WhichDispatches, page: Page) -> Pending<Vec<Dispatch>>;

    /// Sends again what is over: the same events under the same ids; a single event also to whoever subscribes by now and was not
    /// sent it. Gives how many there are.
    fn send_again(&self, scope: Scope, which: WhichDispatches, audit: Audit) -> Pending<u64>;

    /// A subscription. Read where it is asked for.
    fn subscribed(&self, id: &str) -> Result<Option<Subscription>>;

    /// Takes the feeds that are to be seen to now for this many milliseconds, but none of these subscriptions. Beside them stands
    /// when the next one is due, if none is.
    fn due_feeds(&self, most: u32, busy: Vec<String>, ms: i64) -> Pending<(Vec<DueFeed>, Option<Timestamp>)>;

    /// Keeps what a poll has found, sends it on, and remembers where the next one goes on. Gives the ids of the events that are
    /// new; nothing if somebody else has the feed by now.
    fn found(&self, found: Found) -> Pending<Option<Vec<String>>>;

    /// Keeps that a webhook is registered. `Stale` if somebody else has the feed by now, or if the subscription is another version.
    fn registered(&self, registered: Registered) -> Pending<Written>;

    /// Keeps that a webhook is registered no more. A subscription that was taken away is forgotten with it; another one is to be
    /// registered anew after so many milliseconds. False if somebody else has the feed by now.
    fn unregistered(&self, subscription: String, fence: i64, wait: i64) -> Pending<bool>;

    /// Takes the webhooks that are registered as a connection for this many milliseconds, due or not, and whatever their connection
    /// is like.
    fn take_webhooks(&self, connection: String, ms: i64) -> Pending<Vec<DueFeed>>;

    /// Leaves a feed alone for this many milliseconds. `tried`: the provider or the connector was asked in vain.
    fn feed_failed(
        &self,
        subscription: String,
        fence: i64,
        wait: i64,
        reason: String,
        tried: bool,
    ) -> Pending<bool>;

    /// What is due by a clock that was set back meanwhile is due; with `all`, nobody has taken any feed; with `base`, webhooks that
    /// are registered at another address than one that begins like this are to be seen to.
    fn take_up_feeds(&self, all: bool, base: Option<String>) -> Pending<()>;

    /// How much there is, of everything.
    fn backlog(&self) -> Pending<Backlog>;

    /// What was taken to be sent and has not been told of in time is to be sent again; with `all`, whatever was taken: whoever did
    /// is gone. What is due by a clock that was set back meanwhile is due, here and among deliveries.
    fn take_up(&self, all: bool) -> Pending<()>;

    /// The integration of this id, whoever's it is, and what its connector declares about webhooks as it was last accepted. Read
    /// where it is asked for.
    fn hook(&self, integration: &str) -> Result<Option<(Integration, Option<String>)>>;

    /// The ids of all integrations.
    fn hooks(&self) -> Result<Vec<String>>;

    /// Keeps what a connector declares about its webhooks.
    fn declare(&self, integration: String, declared: String) -> Pending<()>;

    /// Forgets a piece of what is over and older than this; true if there may be more. What is still to be looked into or sent
    /// stays, however old it is, dead letters as well; what lies on a shelf stays for a year more.
    fn forget_events(&self, before: Timestamp) -> Pending<bool>;
}
