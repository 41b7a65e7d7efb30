//! What brings a subscription its events where they come to nobody else: a webhook that is registered for it, or a poll.
//!
//! Whoever sees to one has taken it for a while, and its number comes back with what is written: what somebody writes who was too
//! slow counts for nothing. What a poll has found is written in one commit with where the next one goes on.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{NewEvent, Subscription};
use crate::vault::Envelope;

/// What kind of feed it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FeedKind {
    /// The provider is asked again and again.
    Poll,
    /// A webhook is registered at the provider.
    Webhook,
}

impl FeedKind {
    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Poll => "poll",
            Self::Webhook => "webhook",
        }
    }

    pub(super) fn from_name(name: &str) -> Self {
        if name == "poll" { Self::Poll } else { Self::Webhook }
    }
}

/// How the feed of a subscription is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Feed {
    /// What kind it is.
    pub kind: FeedKind,
    /// Whether it brings events: the webhook is registered, or what was there before has been seen.
    pub begun: bool,
    /// When it last went well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub last: Option<Timestamp>,
    /// When it is seen to next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub due: Option<Timestamp>,
    /// When the provider forgets the webhook, unless it is renewed before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub expires: Option<Timestamp>,
    /// How often it has failed since it last went well.
    pub failures: u32,
    /// Why it does not go well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Feed {
    /// One that nobody has seen to yet.
    #[must_use]
    pub fn new(kind: FeedKind) -> Self {
        Self { kind, begun: false, last: None, due: None, expires: None, failures: 0, reason: None }
    }
}

/// A feed that is to be seen to now, by whoever took it.
#[derive(Debug, Clone, PartialEq)]
pub struct DueFeed {
    /// Counts those who took it: who comes with an older number is refused.
    pub fence: i64,
    /// What kind it is.
    pub kind: FeedKind,
    /// Whether it brings events already.
    pub begun: bool,
    /// What the connector has left for the next time.
    pub state: Option<Value>,
    /// The address that is registered.
    pub address: Option<String>,
    /// When the provider forgets what is registered.
    pub expires: Option<Timestamp>,
    /// How often it has failed since it last went well.
    pub failures: u32,
    /// Whether the subscription was taken away, and only this is left to be ended.
    pub removed: bool,
    /// The subscription.
    pub subscription: Subscription,
}

/// What a poll has found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The subscription.
    pub subscription: String,
    /// As which it was taken.
    pub fence: i64,
    /// The integration of the connection that was asked with.
    pub integration: String,
    /// What the next one is to know.
    pub state: Value,
    /// The events.
    pub events: Vec<NewEvent>,
    /// Whether the events are what was there before: they are remembered, and not sent.
    pub seeds: bool,
    /// Whether all that was there before has been seen.
    pub begun: bool,
    /// After how many milliseconds it is asked again.
    pub wait: i64,
}

/// A webhook that was registered or renewed.
#[derive(Debug, Clone, PartialEq)]
pub struct Registered {
    /// The subscription.
    pub subscription: String,
    /// As which its feed was taken.
    pub fence: i64,
    /// What the connector needs to renew or remove it.
    pub state: Value,
    /// The address.
    pub address: String,
    /// When the provider forgets it.
    pub expires: Option<Timestamp>,
    /// After how many milliseconds it is renewed.
    pub wait: Option<i64>,
    /// The subscription's secrets, if the provider has made one, and the version of the subscription that they are of.
    pub sealed: Option<(i64, Envelope)>,
}
