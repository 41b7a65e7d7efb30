//! The heads of the messages that cross the ABI, by family and verb. What stands here as a struct is a JSON object;
//! members that a reader does not know are ignored.
//!
//! | family | verb | head | answer |
//! | --- | --- | --- | --- |
//! | auth | `identify` | [`AuthCall`] | [`Identity`] |
//! | action | `run` | [`RunCall`] | [`RunAnswer`] |
//! | trigger | `on_delivery` | [`DeliveryCall`], the delivery's body as body | [`Emitted`] |
//! | trigger | `enrich` | [`EnrichCall`] | [`Emit`] |
//! | trigger | `register` | [`RegisterCall`] | [`Registration`] |
//! | trigger | `renew`, `unregister` | [`RegistrationCall`] | [`Registration`], nothing |
//! | trigger | `poll` | [`PollCall`] | [`Polled`] |
//! | trigger | `verify` | [`VerifyCall`], the request's body as body | [`Verified`] |
//! | host | `http` | [`HttpRequest`], the request's body as body | [`HttpAnswer`], the answer's body as body |
//! | host | `progress` | [`Progress`] | nothing |
//! | host | `sleep` | [`Sleep`] | nothing |
//!
//! Every other verb that the ABI names is reserved: it is answered with an [`Error`](crate::Error) of kind `unsupported`,
//! which is also what a verb nobody has heard of is answered with. An error message has an [`Error`](crate::Error) as its
//! head.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, value::RawValue};

use crate::answers::AnswerClass;

/// What holds for one call, whatever its verb.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Context {
    /// The id of the invocation, or of whatever else the call is made for.
    #[serde(default)]
    pub id: String,
    /// How long the call may still take, in milliseconds.
    #[serde(default)]
    pub deadline_ms: u64,
    /// The language of the person it is for, as a BCP 47 tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    /// The name of the connection's auth variant.
    #[serde(default)]
    pub auth: String,
    /// The connection's parameters, without its secrets.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub parameters: Map<String, Value>,
    /// What the host offers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
    /// Where a list goes on: what the last [`RunAnswer::next`] said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// Runs an action: `action.run`.
#[derive(Debug, Serialize, Deserialize)]
pub struct RunCall {
    /// The action's name.
    pub name: String,
    /// Its input, valid by its schema.
    pub input: Box<RawValue>,
    /// What holds for this call.
    pub context: Context,
}

/// What an action gave.
#[derive(Debug, Serialize, Deserialize)]
pub struct RunAnswer {
    /// Its output.
    pub output: Box<RawValue>,
    /// Where the list goes on, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// Asks something about a connection: `auth.identify`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AuthCall {
    /// What holds for this call.
    pub context: Context,
}

/// The account behind a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The provider's id of the account (the organisation).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The provider's id of the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// What people know it by: an e-mail address, a name.
    pub label: String,
}

/// One webhook request, as it was received and verified. Its body is the body of the message.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DeliveryHead {
    /// The method.
    pub method: String,
    /// The headers, by lower-case name, in their order. Credentials and signatures are left out, except where the
    /// connector is to verify them (`trigger.verify`). Which header holds a signature that only the connector can check, the host
    /// does not know; that one is not left out afterwards either.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    /// The parameters of the query string, decoded, in their order.
    #[serde(default)]
    pub query: Vec<(String, String)>,
    /// The name of the event, where the manifest says where it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// When it was received.
    pub received_at: Timestamp,
}

/// Makes events out of a delivery: `trigger.on_delivery`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeliveryCall {
    /// The trigger's name.
    pub name: String,
    /// The delivery, without its body.
    pub delivery: DeliveryHead,
    /// What holds for this call. There is no connection yet: the events say which one they are for.
    pub context: Context,
}

/// Asks whether a request comes from the provider, where the manifest says that only the connector can tell: `trigger.verify`.
/// Nothing of it is proven yet, and nothing is sent meanwhile.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct VerifyCall {
    /// The webhook's name: one may serve several triggers, and which one it is cannot be believed yet.
    pub name: String,
    /// The request, without its body, with all of its headers and without the name of an event.
    pub delivery: DeliveryHead,
    /// The full address in the characters that the provider was told, with the query string that came.
    #[serde(default)]
    pub url: String,
    /// The secrets of the webhook that are valid now, the newest first, as they were pasted, made or told; none where the
    /// manifest declares none.
    #[serde(default)]
    pub secrets: Vec<String>,
    /// What holds for this call. There is no connection, and so no credential.
    pub context: Context,
}

/// Whether a request comes from the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verified {
    /// Whether it does.
    pub proven: bool,
}

/// Whom an event is for, as far as the delivery tells. The host tries the members in this order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// The client id of the app it was sent for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// The provider's user who owns what the event is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// What the event is about, as `kind:id`. Where `owner` is known too, the host remembers whose it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<String>,
    /// The provider's user who did it; not always the owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// The provider's account (the organisation).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
}

/// One event that a trigger made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Emit {
    /// What tells it apart: the same key twice is the same event.
    pub key: String,
    /// The event, by the trigger's event schema.
    pub event: Value,
    /// Whom it is for.
    #[serde(default)]
    pub route: Route,
    /// When it happened, by the provider's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub occurred_at: Option<Timestamp>,
    /// Whether it is to be completed by a call (`trigger.enrich`) before it is dispatched.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub enrich: bool,
}

/// The events made out of a delivery: none, one or many.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Emitted {
    /// The events, in their order.
    pub events: Vec<Emit>,
}

/// Completes an event: `trigger.enrich`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EnrichCall {
    /// The trigger's name.
    pub name: String,
    /// The event as the trigger made it.
    pub emit: Emit,
    /// What holds for this call.
    pub context: Context,
}

/// Registers a webhook for a subscription: `trigger.register`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RegisterCall {
    /// The trigger's name.
    pub name: String,
    /// What the subscription chose, valid by the trigger's schema.
    pub parameters: Map<String, Value>,
    /// The address to register.
    pub url: String,
    /// The secret to register: made by the host for this subscription. Where the provider makes it, of no use.
    pub secret: String,
    /// What holds for this call.
    pub context: Context,
}

/// A webhook that is registered at the provider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Registration {
    /// What the connector needs to renew or remove it: the provider's id of the hook, usually.
    pub state: Value,
    /// When the provider forgets it unless it is renewed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// The secret that the provider has made for it, where the manifest says that it makes one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
}

/// Renews or removes a registered webhook: `trigger.renew`, `trigger.unregister`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RegistrationCall {
    /// The trigger's name.
    pub name: String,
    /// What the subscription chose.
    pub parameters: Map<String, Value>,
    /// The state that [`Registration`] held.
    pub state: Value,
    /// The address that is registered.
    #[serde(default)]
    pub url: String,
    /// The secret that deliveries are signed with.
    #[serde(default)]
    pub secret: String,
    /// What holds for this call.
    pub context: Context,
}

/// Asks for what is new: `trigger.poll`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PollCall {
    /// The trigger's name.
    pub name: String,
    /// What the subscription chose.
    pub parameters: Map<String, Value>,
    /// What the last poll left behind; absent the first time, when events are seeds and not dispatched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<Value>,
    /// What holds for this call.
    pub context: Context,
}

/// What a poll found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Polled {
    /// The events, in their order.
    pub events: Vec<Emit>,
    /// What the next poll is to know. It is committed together with the events.
    pub state: Value,
    /// Whether there is more right now.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
}

/// Asks the host to send a request: `http`. The bytes of its body are the body of the message.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct HttpRequest {
    /// The method, upper case.
    pub method: String,
    /// The name of the base; absent for the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// The path below the base, a template over `params`: `/meetings/{meeting_id}`. Or, beginning with `https://`, a
    /// whole address, which must lie on a host that the manifest allows.
    pub path: String,
    /// The path parameters, not encoded. Each becomes one segment.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, String>,
    /// The parameters of the query string, not encoded, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub query: Vec<(String, String)>,
    /// Headers. Those that carry credentials, and those of the connection itself, are refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// The rate class it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<String>,
    /// That sending it twice does no more than sending it once, whatever its method says.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub idempotent: bool,
}

/// A provider's answer. The bytes of its body are the body of the message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HttpAnswer {
    /// The HTTP status.
    pub status: u16,
    /// What it means by the manifest's rules.
    pub class: AnswerClass,
    /// The headers, by lower-case name, in the order they came.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// When the same request may succeed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<Timestamp>,
}

impl HttpAnswer {
    /// The value of the first header of this name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// Says how far a call has come: `progress`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// What is being done.
    pub message: String,
    /// How much is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done: Option<u64>,
    /// How much there is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
}

/// Waits: `sleep`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sleep {
    /// How long, in milliseconds. The call's deadline goes on.
    pub ms: u64,
}
