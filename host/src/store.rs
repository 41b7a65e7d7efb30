//! What is kept while Jackfield runs and when it does not. The only place that knows SQL.
//!
//! Its verbs are those of the domain: an invocation begins, ends, is looked up, is forgotten. What is behind them - a file
//! of SQLite as yet, which several processes may have open at once - shows in none of them; whatever takes its place has to
//! pass the same suite, `conformance`.
//!
//! What is handed over to be kept holds no secret: whoever records something has masked it before.

mod accounts;
#[cfg(test)]
mod conformance;
mod events;
mod feeds;
mod sqlite;

use std::{future::Future, pin::Pin, sync::Arc};

use connector_protocol::{Error, Result, manifest::Effect};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::{
    accounts::{
        Accounts, ApiToken, Audit, Connection, ConnectionState, DEFAULT_PROJECT, Event, Grant, Held,
        Integration, Lease, Link, Once, Page, Progress, Project, Renewed, Scope, Sealed, SealedPlace,
        SigningKey, User, Which, Written,
    },
    events::{
        Arrival, Backlog, Delivery, DeliveryState, Destination, Dispatch, DispatchState, Due, Events,
        NewEvent, Room, Sent, Sorted, Subscription, Taken, WhichDeliveries, WhichDispatches, WhichEvents,
        Whole,
    },
    feeds::{DueFeed, Feed, FeedKind, Found, Registered},
    sqlite::{Restored, Sqlite, restore},
};

/// What a store will answer.
pub type Pending<T> = Pin<Box<dyn Future<Output = Result<T>> + Send>>;

/// A run of an action, as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Invocation {
    /// Its id: `inv_…`.
    pub id: String,
    /// The action, as `connector.action`.
    pub action: String,
    /// Whether it is over, and how.
    pub state: State,
    /// When it began.
    #[schemars(with = "String")]
    pub begun: Timestamp,
    /// How long it took, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ms: Option<u64>,
    /// How many requests were sent to the provider, repetitions included.
    pub attempts: u64,
    /// What the action does to the provider's data.
    pub effect: Effect,
    /// The connector's version.
    pub version: String,
    /// The SHA-256 of the connector's manifest, in hex.
    pub manifest: String,
    /// The tenant.
    pub project: String,
    /// Who did it.
    pub actor: String,
    /// By which way it came in.
    pub source: String,
    /// The end user it was done for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// What it was a part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// What makes a repetition of it recognisable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// Its input, secrets masked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Value>,
    /// What it gave, secrets masked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Value>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Error>,
    /// What was sent to the provider and what came back, secrets masked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exchange: Vec<Value>,
}

/// Whether an invocation is over, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is under way.
    Running,
    /// It has given its output.
    Done,
    /// It has failed.
    Failed,
    /// The process that ran it ended before it did: what became of it, only the provider knows.
    Lost,
}

impl State {
    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Lost => "lost",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::Running, Self::Done, Self::Failed, Self::Lost].into_iter().find(|state| state.as_str() == name)
    }
}

/// Which invocations are wanted. What is left out does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Of this tenant.
    pub project: Option<String>,
    /// Of this connector.
    pub connector: Option<String>,
    /// Of this action of the connector.
    pub action: Option<String>,
    /// In this state.
    pub state: Option<State>,
    /// For this user.
    pub user: Option<String>,
    /// Older than this one.
    pub after: Option<String>,
    /// How many at most, the newest first.
    pub most: Option<u32>,
}

/// Something that is to be kept, made ready off the way of whoever wants it kept.
pub type Later = Box<dyn FnOnce() -> Invocation + Send>;

/// Where things are kept.
pub trait Store: Accounts + Events {
    /// Records that an invocation has begun. When this is done, it survives the end of the process and of the machine.
    fn begin(&self, invocation: Invocation) -> Pending<()>;

    /// Records how an invocation has ended, whether or not its beginning was recorded. It is written behind: soon, in groups
    /// with others, and not at all if there are more of them than can be written.
    fn end(&self, invocation: Later);

    /// Is done when everything is written that was to be kept so far.
    fn settle(&self) -> Pending<()>;

    /// The invocation of this id, or of the only id that begins like this, of those that may be seen; all may without a scope.
    fn invocation(&self, scope: Option<Scope>, id: &str) -> Pending<Option<Invocation>>;

    /// Invocations without input, output and exchange, the newest first.
    fn invocations(&self, wanted: Wanted) -> Pending<Vec<Invocation>>;

    /// How many invocations of a connector there are.
    fn tally(&self, connector: &str) -> Pending<Tally>;

    /// Forgets invocations that began before this, and gives how many there were.
    fn forget(&self, before: Timestamp) -> Pending<u64>;

    /// Looks for damage; what it finds is the error.
    fn check(&self) -> Pending<()>;

    /// Whether nothing can be written, because another process has kept it for itself for too long and still does.
    fn is_held_up(&self) -> bool;

    /// Says that this process stays: what can be done beside those who wait is done beside them from now on.
    fn stay(&self);
}

/// How many invocations there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// All of them.
    pub all: u64,
    /// Those that failed.
    pub failed: u64,
}

/// This process, told apart from any that may have its number later.
#[must_use]
pub fn this_process() -> String {
    sqlite::owner(std::process::id())
}

/// A store that somebody shares with others.
pub type Shared = Arc<dyn Store>;
