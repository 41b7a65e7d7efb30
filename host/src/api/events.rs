//! Triggers, subscriptions, deliveries and events as they are shown to whoever may see them.

use base64::{Engine, engine::general_purpose::STANDARD};
use connector_protocol::{
    Manifest,
    manifest::{Scopes, Source, Trigger},
};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use crate::{
    events::{
        filter::Filter,
        subscriptions::{self, STATE_CHANGED},
    },
    store::{Delivery, Destination, Feed, Subscription, Whole},
};

/// A trigger in a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TriggerLine {
    /// Its name: `zoom.new_meeting`.
    pub name: String,
    /// The name people see.
    pub title: String,
    /// When it fires.
    pub description: String,
    /// Where its events come from; absent for those of Jackfield's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
}

impl TriggerLine {
    /// A trigger of a connector.
    #[must_use]
    pub fn of(manifest: &Manifest, trigger: &Trigger) -> Self {
        Self {
            name: format!("{}.{}", manifest.id, trigger.name),
            title: trigger.title.clone(),
            description: trigger.description.clone(),
            source: Some(trigger.source.clone()),
        }
    }

    /// The event that says how a connection is, which is of no connector.
    #[must_use]
    pub fn own() -> Self {
        Self {
            name: STATE_CHANGED.to_owned(),
            title: "Connection State Changed".to_owned(),
            description: "A connection was made, or can be used no longer, or again".to_owned(),
            source: None,
        }
    }
}

/// A trigger and what its events hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TriggerShown {
    /// What a list shows of it.
    #[serde(flatten)]
    pub line: TriggerLine,
    /// The provider's page about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docs: Option<String>,
    /// The sets of scopes of which any one will do; empty if it needs none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<Scopes>,
    /// What a subscription may choose, as a JSON Schema.
    pub parameters: Value,
    /// What the `data` of an event holds, as a JSON Schema.
    pub event: Value,
    /// The `data` of an event as it may look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample: Option<Value>,
    /// The body of a delivery as it may look. What stands in double braces is filled in when it is fired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample_delivery: Option<Value>,
}

impl TriggerShown {
    /// The event that says how a connection is.
    #[must_use]
    pub fn own() -> Self {
        Self {
            line: TriggerLine::own(),
            docs: None,
            scopes: Vec::new(),
            parameters: json!({"type": "object"}),
            event: subscriptions::state_changed(),
            sample: Some(json!({
                "connector": "acme", "before": "valid", "state": "needs_reauth",
                "reason": "the provider does not accept what it was connected with",
            })),
            sample_delivery: None,
        }
    }

    /// A trigger of a connector.
    #[must_use]
    pub fn of(manifest: &Manifest, trigger: &Trigger) -> Self {
        Self {
            line: TriggerLine::of(manifest, trigger),
            docs: trigger.docs.clone(),
            scopes: trigger.scopes.clone(),
            parameters: manifest.standalone(&trigger.parameters),
            event: manifest.standalone(&trigger.event),
            sample: trigger.sample.clone(),
            sample_delivery: trigger.sample_delivery.clone(),
        }
    }
}

/// What is to be subscribed to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SubscriptionSet {
    /// The trigger, as `connector.trigger`; or `connection.state_changed`.
    pub trigger: String,
    /// The connection whose events are wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<String>,
    /// The user whose connections' events are wanted. Without either, those of the whole project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// What the trigger lets a subscription choose.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub parameters: Map<String, Value>,
    /// Which of the events; all without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<Filter>,
    /// The address that they are sent to.
    pub url: String,
}

/// What is to be changed of a subscription. What is left out stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SubscriptionChange {
    /// Which of the events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filter: Option<Filter>,
    /// Whether all of them are wanted from now on.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub no_filter: bool,
    /// The address that they are sent to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Whether nothing is sent for now. Events are kept meanwhile, and sent when it goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<bool>,
}

/// A subscription.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SubscriptionShown {
    /// Its id: `sub_…`.
    pub id: String,
    /// The tenant.
    pub project: String,
    /// The trigger, as `connector.trigger`; or `connection.state_changed`.
    pub trigger: String,
    /// The user whose connections it is for; everybody's without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The connection it is for; all without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<String>,
    /// What the trigger lets a subscription choose.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub parameters: Map<String, Value>,
    /// Which of the events; all without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<Filter>,
    /// Where they go.
    pub destination: Destination,
    /// Whether nothing is sent for now.
    pub paused: bool,
    /// What brings its events, where they come to no other: a webhook that is registered for it, or a poll.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feed: Option<Feed>,
    /// When it was made.
    #[schemars(with = "String")]
    pub created: Timestamp,
}

impl From<Subscription> for SubscriptionShown {
    fn from(subscription: Subscription) -> Self {
        Self {
            id: subscription.id,
            project: subscription.project,
            trigger: subscription.trigger,
            user: subscription.user,
            connection: subscription.connection,
            parameters: subscription.parameters,
            filter: subscription.filter,
            destination: subscription.destination,
            paused: subscription.paused,
            feed: subscription.feed,
            created: subscription.created,
        }
    }
}

/// A subscription that was just made, and the key to verify with what it sends. It is not told again.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct SubscriptionMade {
    /// The subscription.
    #[serde(flatten)]
    pub subscription: SubscriptionShown,
    /// The key, by Standard Webhooks: `whsec_…`.
    #[schemars(with = "String")]
    pub signing_secret: Zeroizing<String>,
}

/// A delivery and all that was in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeliveryShown {
    /// What a list shows of it.
    #[serde(flatten)]
    pub delivery: Delivery,
    /// The method.
    pub method: String,
    /// The headers, by lower-case name, in their order. Credentials and signatures are left out.
    pub headers: Vec<(String, String)>,
    /// The parameters of the query string, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub query: Vec<(String, String)>,
    /// The body, if it is text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// The body in base64, if it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_base64: Option<String>,
}

impl From<Whole> for DeliveryShown {
    fn from(Whole { delivery, head, body }: Whole) -> Self {
        let (body, body_base64) = match String::from_utf8(body) {
            Ok(text) => (Some(text), None),
            Err(error) => (None, Some(STANDARD.encode(error.as_bytes()))),
        };
        Self { delivery, method: head.method, headers: head.headers, query: head.query, body, body_base64 }
    }
}

/// How a sample is sent to a trigger.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Fire {
    /// The connection that it is for; the only one to the connector without one, and nobody's if there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection: Option<String>,
    /// Members of the delivery's body that are to be others, by their names, joined by dots: `payload.object.topic`.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub set: Map<String, Value>,
}

/// A sample that was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Fired {
    /// The delivery's id.
    pub delivery: String,
    /// The connection that it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<String>,
}

/// What is to be done again, and how much that was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Again {
    /// How many.
    pub again: u64,
}

/// Which deliveries' events are made again. One of the two is given.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DeliveriesAgain {
    /// This delivery.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// All in this state: `unrouted` or `failed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<crate::store::DeliveryState>,
}

/// Which events are sent again. What is left out does not matter; all of it may not be left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EventsAgain {
    /// This event.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// Events of this type.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// For this subscription alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscription: Option<String>,
    /// Those on the dead-letter shelf (`dead`), or those that have arrived (`done`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<crate::store::DispatchState>,
}

/// The connection that an event is given to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RouteTo {
    /// The connection.
    pub connection: String,
}
