//! How a provider's webhooks are accepted, as data, so that the host can do it without the connector: how a request is
//! signed, what tells two deliveries apart, where the event's name stands, how an address is validated.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One kind of webhook that a provider sends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Webhook {
    /// The name by which triggers refer to it. The name `default` does not stand in addresses.
    pub name: String,
    /// The methods of deliveries.
    #[serde(default = "post", skip_serializing_if = "is_post")]
    pub methods: Vec<String>,
    /// The media types of deliveries.
    #[serde(default = "json", skip_serializing_if = "is_json")]
    pub content_types: Vec<String>,
    /// The secret that deliveries are signed with. Only where the connector itself proves them, by a certificate for
    /// instance, there may be none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<Secret>,
    /// The secret that handshakes repeat, for providers that have another one for them. It stands in addresses, so it is
    /// none that anything is signed with. The operator pastes it, one for the integration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handshake_secret: Option<Secret>,
    /// How a delivery proves where it comes from. There is no way to accept one that does not.
    pub verify: Verify,
    /// What tells two deliveries apart: the same values of all of these twice are the same delivery. Where one of them is
    /// missing, the body's hash takes the place of all. Best is what the signature covers.
    pub distinct: Vec<Select>,
    /// Where the name of the event stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<EventName>,
    /// The requests by which the provider validates an address, tried in order: those that are not signed before anything
    /// else, the signed ones once the request is verified, before it is taken for a delivery.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub handshakes: Vec<Handshake>,
    /// The event by which the provider says that a user has removed the app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revocation: Option<Revocation>,
}

impl Webhook {
    /// The webhook named `default`: JSON by POST, told apart by the body's hash.
    #[must_use]
    pub fn new(secret: Secret, verify: Verify) -> Self {
        Self::with(Some(secret), verify)
    }

    fn with(secret: Option<Secret>, verify: Verify) -> Self {
        Self {
            name: "default".to_owned(),
            methods: post(),
            content_types: json(),
            secret,
            handshake_secret: None,
            verify,
            distinct: vec![Select::BodyHash],
            event: None,
            handshakes: Vec::new(),
            revocation: None,
        }
    }

    /// The webhook named `default`, of a provider that signs as nothing here can say: a function of the connector proves its
    /// requests, before they are answered and while the connector works. Where they are signed with a secret all the same, give it
    /// one: `Webhook { secret: Some(…), ..Webhook::custom() }`.
    #[must_use]
    pub fn custom() -> Self {
        Self::with(None, Verify::Custom {})
    }

    /// Says where the name of the event stands.
    #[must_use]
    pub fn event(mut self, event: EventName) -> Self {
        self.event = Some(event);
        self
    }

    /// Says what tells two deliveries apart.
    #[must_use]
    pub fn distinct(mut self, distinct: impl IntoIterator<Item = Select>) -> Self {
        self.distinct = distinct.into_iter().collect();
        self
    }

    /// Names the secret that handshakes repeat, where it is not the one that deliveries are signed with.
    #[must_use]
    pub fn handshake_secret(mut self, secret: Secret) -> Self {
        self.handshake_secret = Some(secret);
        self
    }

    /// Adds a request by which the provider validates an address.
    #[must_use]
    pub fn handshake(mut self, handshake: Handshake) -> Self {
        self.handshakes.push(handshake);
        self
    }

    /// Names the event by which the provider says that a user has removed the app.
    #[must_use]
    pub fn revocation(mut self, revocation: Revocation) -> Self {
        self.revocation = Some(revocation);
        self
    }
}

fn post() -> Vec<String> {
    vec!["POST".to_owned()]
}

fn is_post(methods: &[String]) -> bool {
    methods == ["POST"]
}

fn json() -> Vec<String> {
    vec!["application/json".to_owned()]
}

fn is_json(types: &[String]) -> bool {
    types == ["application/json"]
}

/// The secret behind a webhook's signatures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Secret {
    /// Whose it is.
    pub owner: SecretOwner,
    /// What the provider's screen calls it.
    pub title: String,
    /// What stands before the key proper and is dropped (`whsec_`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// How the key's bytes are written.
    #[serde(default)]
    pub encoding: Encoding,
}

impl Secret {
    /// A secret that the operator pastes, used as it is; `title` is what the provider's screen calls it.
    pub fn of_integration(title: impl Into<String>) -> Self {
        Self { owner: SecretOwner::Integration, title: title.into(), prefix: None, encoding: Encoding::Utf8 }
    }

    /// A secret that the host makes for each subscription, used as it is.
    pub fn of_subscription(title: impl Into<String>) -> Self {
        Self { owner: SecretOwner::Subscription, ..Self::of_integration(title) }
    }

    /// A secret that the provider makes for each subscription, used as it is: `register` answers with it.
    pub fn of_registration(title: impl Into<String>) -> Self {
        Self { owner: SecretOwner::Registration, ..Self::of_integration(title) }
    }
}

/// Whose a webhook secret is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SecretOwner {
    /// The operator pastes one for the integration.
    Integration,
    /// The host makes one for each subscription that it registers.
    Subscription,
    /// The provider makes one for each subscription, and says it when the webhook is registered.
    Registration,
}

/// How bytes are written as text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// As the UTF-8 of the text itself.
    #[default]
    Utf8,
    /// As hexadecimal digits of either case.
    Hex,
    /// As base64 of the standard or the URL alphabet, padded or not.
    Base64,
}

/// A hash function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HashAlgorithm {
    /// SHA-1: only where a provider has nothing better.
    Sha1,
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

/// How a delivery proves where it comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Verify {
    /// By an HMAC over the message, keyed by the secret.
    Hmac {
        /// The hash.
        hash: HashAlgorithm,
        /// What is signed: the parts, one after the other.
        message: Vec<MessagePart>,
        /// Where the signature stands.
        signature: Signature,
        /// The time of sending, if it is part of the request. A request too far from now is refused.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timestamp: Option<Timestamp>,
    },
    /// By an Ed25519 signature over the message; the secret is the provider's public key.
    Ed25519 {
        /// What is signed: the parts, one after the other.
        message: Vec<MessagePart>,
        /// Where the signature stands.
        signature: Signature,
        /// The time of sending, if it is part of the request. A request too far from now is refused.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        timestamp: Option<Timestamp>,
    },
    /// By repeating the secret. There must be a value, and every value must equal it; where the pointer has a `*`, every
    /// item of the list must have one.
    SharedSecret {
        /// Where it stands.
        at: Select,
    },
    /// In a way that only the connector can check: its trigger verb `verify` is asked before the answer. While it cannot be asked,
    /// nothing is taken, and the provider is asked to come again.
    Custom {},
}

/// One part of a signed message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MessagePart {
    /// This text.
    Text(String),
    /// The body, byte for byte.
    Body,
    /// The timestamp, in the characters that were sent.
    Timestamp,
    /// The value of this header.
    Header(String),
    /// The method.
    Method,
    /// The full address that the provider was given.
    Url,
}

/// Where signatures stand in a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Signature {
    /// The header.
    pub header: String,
    /// What separates several items in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub separator: Option<String>,
    /// What stands before a signature and is dropped (`v0=`, `sha256=`, `v1,`). Items without it are passed over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// How the signature's bytes are written.
    pub encoding: Encoding,
}

/// Where the time of sending stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Timestamp {
    /// The header.
    pub header: String,
    /// What separates several items in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub separator: Option<String>,
    /// What stands before the timestamp and is dropped (`t=`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// What it counts.
    #[serde(default)]
    pub unit: TimestampUnit,
    /// How far from now it may be, either way, in seconds.
    pub window_seconds: u32,
}

/// What a timestamp counts since 1970.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TimestampUnit {
    /// Seconds.
    #[default]
    Seconds,
    /// Milliseconds.
    Milliseconds,
    /// Milliseconds from 12 digits on, seconds below.
    Either,
}

/// A value in a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Select {
    /// The value of this header.
    Header(String),
    /// The value at this JSON pointer into the body. Where a shared secret is repeated, `*` stands for every item of a list;
    /// elsewhere one value is meant.
    Pointer(String),
    /// The value of this parameter of the query string, decoded.
    Query(String),
    /// The SHA-256 of the body, in lower-case hexadecimal digits.
    BodyHash,
}

/// Where the name of an event stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventName {
    /// The value of this header.
    Header(String),
    /// The value at this JSON pointer into the body.
    Pointer(String),
}

/// A request by which a provider validates an address.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Handshake {
    /// Its method.
    #[serde(default = "post_method")]
    pub method: String,
    /// How it is recognised; all must hold.
    pub when: Vec<Test>,
    /// Whether it is signed like a delivery. Then it is verified like one before it is answered.
    pub signed: bool,
    /// What the provider expects to read.
    pub answer: HandshakeAnswer,
}

fn post_method() -> String {
    "POST".to_owned()
}

/// Something that a request must fulfil.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Test {
    /// The value.
    pub at: Select,
    /// What it must equal. Without this or `secret`, it must be there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub equals: Option<String>,
    /// Whether it must equal the secret that handshakes repeat: the webhook's handshake secret, or its secret if it has no
    /// other. Compared in constant time. It does not take part in recognising the request: a mismatch refuses it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub secret: bool,
}

/// What a handshake is answered with, status 200.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HandshakeAnswer {
    /// A value of the request, as `text/plain`. It must be a string.
    Text(Select),
    /// A JSON object. Each member is a fixed value, a value of the request, or an HMAC of one.
    Json(BTreeMap<String, HandshakeValue>),
}

/// A member of a JSON answer to a handshake.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HandshakeValue {
    /// This value.
    Fixed(Value),
    /// A value of the request. It must be a string.
    Echo(Select),
    /// An HMAC, keyed by the webhook's secret, of a value of the request, which must be a string.
    Hmac {
        /// The hash.
        hash: HashAlgorithm,
        /// What is signed.
        of: Select,
        /// How the result is written.
        encoding: Encoding,
    },
}

/// The event by which a provider says that a user has removed the app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Revocation {
    /// The event's name.
    pub event: String,
    /// The provider account, as a JSON pointer into the body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The user, as a JSON pointer into the body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// When it happened, as a JSON pointer into the body: a time by RFC 3339, or milliseconds since 1970. Without one it happened
    /// when it was received.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
}
