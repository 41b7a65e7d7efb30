//! What an author writes for one trigger.

use std::future::Future;

use connector_protocol::{Error, ErrorKind, Result, manifest, message, sample::Filling};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use crate::{Ctx, ScopeSet, decode};

/// A named source of events.
///
/// Which of the functions it needs follows from its [source](Self::SOURCE): a webhook needs `on_delivery`, one that is
/// registered for each subscription also `register` and `unregister`, a poll needs `poll`. One that is needed and missing
/// fails its fixture.
///
/// ```
/// use connector_api::prelude::*;
///
/// pub struct NewTask;
///
/// /// A task was added to a list
/// #[derive(Serialize, Deserialize, JsonSchema)]
/// pub struct TaskAdded {
///     id: Id,
///     title: String,
///     owner: Id,
/// }
///
/// impl Trigger for NewTask {
///     const NAME: &'static str = "new_task";
///     const TITLE: &'static str = "New Task";
///     const SOURCE: Source = Source::app_webhook(&["task.added"]);
///
///     type Params = NoParams;
///     type Event = TaskAdded;
///
///     fn on_delivery(delivery: &Delivery) -> Result<Vec<Emit<TaskAdded>>> {
///         let task: TaskAdded = delivery.json()?;
///         let (key, owner) = (format!("task.added/{}", task.id), task.owner.to_string());
///         Ok(vec![Emit::new(key, task).owner(owner)])
///     }
/// }
/// # assert_eq!(NewTask::NAME, "new_task");
/// ```
///
/// A poll says what is new and what the next one is to know. The host commits both together, and does not dispatch what
/// the first one finds.
///
/// ```
/// use connector_api::prelude::*;
/// # #[derive(Serialize, Deserialize, JsonSchema)]
/// # pub struct Reading { id: u64, celsius: f64 }
/// pub struct NewReading;
///
/// #[derive(Default, Serialize, Deserialize)]
/// struct State {
///     last: u64,
/// }
///
/// impl Trigger for NewReading {
///     const NAME: &'static str = "new_reading";
///     const TITLE: &'static str = "New Reading";
///     const SOURCE: Source = Source::poll(60);
///
///     type Params = NoParams;
///     type Event = Reading;
///
///     async fn poll(ctx: &Ctx, poll: Poll<NoParams>) -> Result<Polled<Reading>> {
///         let mut state: State = poll.state()?.unwrap_or_default();
///         let readings: Vec<Reading> = ctx.get("/readings").query("after", state.last).send().await?;
///         state.last = readings.iter().map(|reading| reading.id).max().unwrap_or(state.last);
///         let events = readings.into_iter().map(|reading| Emit::new(reading.id.to_string(), reading)).collect();
///         Polled::new(events, &state)
///     }
/// }
/// # assert_eq!(NewReading::NAME, "new_reading");
/// ```
pub trait Trigger: 'static {
    /// The name, as in `zoom.new_meeting`.
    const NAME: &'static str;
    /// The name people see.
    const TITLE: &'static str;
    /// Where its events come from.
    const SOURCE: Source;
    /// The sets of scopes of which any one will do; empty if it needs none.
    const SCOPES: &'static [ScopeSet] = &[];
    /// The provider's page about it.
    const DOCS: Option<&'static str> = None;

    /// What a subscription may choose: a struct; [`NoParams`] for nothing.
    type Params: DeserializeOwned + JsonSchema + Send;
    /// What an event holds. Its doc comment says when the trigger fires.
    type Event: Serialize + DeserializeOwned + JsonSchema + Send;

    /// An event as it may look, for people who have not received one yet. It must read as an [`Event`](Self::Event). Where there is
    /// a [`sample_delivery`](Self::sample_delivery), it is what `on_delivery` makes of that.
    #[must_use]
    fn sample() -> Option<Value> {
        let sample = Filling::example().fill(&Self::sample_delivery()?);
        let (Kind::AppWebhook | Kind::RegisteredWebhook) = Self::SOURCE.kind else { return None };
        let head = message::DeliveryHead {
            method: "POST".to_owned(),
            event: Self::SOURCE.events.first().map(|event| (*event).to_owned()),
            ..message::DeliveryHead::default()
        };
        let emitted = Self::on_delivery(&Delivery::new(head, sample.to_string().into_bytes())).ok()?;
        emitted.into_iter().next().and_then(|emit| serde_json::to_value(emit.event).ok())
    }

    /// The body of a delivery as it may look, if it is JSON, for people who want to see what comes of one without waiting for the
    /// provider. `{{user}}`, `{{account}}`, `{{client}}`, `{{now}}`, `{{now_ms}}`, `{{number}}` and `{{text}}` are
    /// [filled in](connector_protocol::sample) when it is sent.
    #[must_use]
    fn sample_delivery() -> Option<Value> {
        None
    }

    /// Makes events out of a delivery: none, one or many. The host has verified it.
    ///
    /// # Errors
    ///
    /// If the delivery is not what the provider promises. It is kept, and can be tried again with a newer connector.
    fn on_delivery(delivery: &Delivery) -> Result<Vec<Emit<Self::Event>>> {
        let _ = delivery;
        unsupported("on_delivery")
    }

    /// Completes an event that asked for it with [`Emit::enrich`], by calls to the provider.
    fn enrich(ctx: &Ctx, emit: Emit<Self::Event>) -> impl Future<Output = Result<Emit<Self::Event>>> + Send {
        let _ = (ctx, emit);
        async { unsupported("enrich") }
    }

    /// Registers a webhook at the provider for one subscription.
    fn register(ctx: &Ctx, hook: NewHook<Self::Params>) -> impl Future<Output = Result<Registration>> + Send {
        let _ = (ctx, hook);
        async { unsupported("register") }
    }

    /// Keeps a registered webhook alive, for providers that forget it after a while.
    fn renew(ctx: &Ctx, hook: Hook<Self::Params>) -> impl Future<Output = Result<Registration>> + Send {
        let _ = (ctx, hook);
        async { unsupported("renew") }
    }

    /// Removes a registered webhook from the provider. One that is already gone is no error.
    fn unregister(ctx: &Ctx, hook: Hook<Self::Params>) -> impl Future<Output = Result<()>> + Send {
        let _ = (ctx, hook);
        async { unsupported("unregister") }
    }

    /// Asks the provider for what is new.
    fn poll(ctx: &Ctx, poll: Poll<Self::Params>) -> impl Future<Output = Result<Polled<Self::Event>>> + Send {
        let _ = (ctx, poll);
        async { unsupported("poll") }
    }
}

fn unsupported<T>(verb: &str) -> Result<T> {
    Err(Error::new(ErrorKind::Unsupported, format!("this trigger has no `{verb}`")))
}

/// The parameters of a trigger that has none.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
pub struct NoParams {}

/// Where the events of a trigger come from. The hook's name is `default` unless [`hook`](Self::hook) says otherwise.
#[derive(Debug, Clone, Copy)]
pub struct Source {
    kind: Kind,
    hook: &'static str,
    events: &'static [&'static str],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    AppWebhook,
    RegisteredWebhook,
    Poll { every_seconds: u32 },
}

impl Source {
    /// One address for the whole app, at which events of these names (the provider's) arrive.
    #[must_use]
    pub const fn app_webhook(events: &'static [&'static str]) -> Self {
        Self { kind: Kind::AppWebhook, hook: "default", events }
    }

    /// An address for each subscription, at which events of these names (the provider's) arrive.
    #[must_use]
    pub const fn registered_webhook(events: &'static [&'static str]) -> Self {
        Self { kind: Kind::RegisteredWebhook, hook: "default", events }
    }

    /// A question that is asked every so many seconds, where nobody says otherwise.
    #[must_use]
    pub const fn poll(every_seconds: u32) -> Self {
        Self { kind: Kind::Poll { every_seconds }, hook: "default", events: &[] }
    }

    /// Names the connector's webhook that it arrives by, where there are several.
    #[must_use]
    pub const fn hook(mut self, name: &'static str) -> Self {
        self.hook = name;
        self
    }

    /// The source as the manifest has it.
    pub(crate) fn declare(&self) -> manifest::Source {
        let hook = self.hook.to_owned();
        let events = self.events.iter().map(|event| (*event).to_owned()).collect();
        match self.kind {
            Kind::AppWebhook => manifest::Source::AppWebhook { hook, events },
            Kind::RegisteredWebhook => manifest::Source::RegisteredWebhook { hook, events },
            Kind::Poll { every_seconds } => manifest::Source::Poll { every_seconds },
        }
    }
}

/// One webhook request: proven, unless it is part of an [`Unproven`].
#[derive(Debug, Clone)]
pub struct Delivery {
    head: message::DeliveryHead,
    body: Vec<u8>,
}

impl Delivery {
    /// A delivery as it came over the ABI.
    pub(crate) fn new(head: message::DeliveryHead, body: Vec<u8>) -> Self {
        Self { head, body }
    }

    /// The body, byte for byte.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The body as JSON, every digit of an integer kept.
    ///
    /// # Errors
    ///
    /// Names the field that does not fit.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        decode::read(&self.body).map_err(|misfit| {
            let message = format!("the delivery is not what this trigger expects: {misfit}");
            Error::new(ErrorKind::UnexpectedAnswer, message).at(misfit.path)
        })
    }

    /// The method.
    #[must_use]
    pub fn method(&self) -> &str {
        &self.head.method
    }

    /// The name of the event, where the manifest says where it stands.
    #[must_use]
    pub fn event(&self) -> Option<&str> {
        self.head.event.as_deref()
    }

    /// A header, by lower-case name. Credentials and signatures are left out, unless they are what is to be checked.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        first(&self.head.headers, name)
    }

    /// All headers, by lower-case name, in their order.
    #[must_use]
    pub fn headers(&self) -> &[(String, String)] {
        &self.head.headers
    }

    /// A parameter of the query string, decoded; the first one of this name.
    #[must_use]
    pub fn query(&self, name: &str) -> Option<&str> {
        first(&self.head.query, name)
    }

    /// All parameters of the query string, decoded, in their order.
    #[must_use]
    pub fn queries(&self) -> &[(String, String)] {
        &self.head.query
    }

    /// When it was received.
    #[must_use]
    pub fn received_at(&self) -> Timestamp {
        self.head.received_at
    }
}

/// A request whose proof only the connector can check. It may come from anybody.
#[derive(Clone)]
pub struct Unproven {
    /// The request, with all of its headers. It does not know its event: which one it is cannot be believed yet.
    pub delivery: Delivery,
    /// The full address in the characters that the provider was told, with the query string that came.
    pub url: String,
    /// The secrets of the webhook, as they were pasted: one, or two while one takes the other's place. None where it declares none.
    pub secrets: Vec<String>,
}

/// Says nothing that could be secret.
impl std::fmt::Debug for Unproven {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unproven").field("bytes", &self.delivery.body.len()).finish_non_exhaustive()
    }
}

fn first<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

/// One event that a trigger made.
#[derive(Debug, Clone)]
pub struct Emit<T> {
    /// The event.
    pub event: T,
    key: String,
    route: message::Route,
    occurred_at: Option<Timestamp>,
    enrich: bool,
}

impl<T> Emit<T> {
    /// An event with the key that tells it apart: the same key twice is the same event, whatever else differs.
    pub fn new(key: impl Into<String>, event: T) -> Self {
        Self { event, key: key.into(), route: message::Route::default(), occurred_at: None, enrich: false }
    }

    /// The same, with another event in it.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Emit<U> {
        let Self { event, key, route, occurred_at, enrich } = self;
        Emit { event: change(event), key, route, occurred_at, enrich }
    }

    /// The client id of the app it was sent for.
    #[must_use]
    pub fn client(mut self, id: impl Into<String>) -> Self {
        self.route.client = Some(id.into());
        self
    }

    /// The provider's user who owns what the event is about.
    #[must_use]
    pub fn owner(mut self, user: impl Into<String>) -> Self {
        self.route.owner = Some(user.into());
        self
    }

    /// What the event is about, as `kind:id`. The host remembers whose it is from an event that names the owner too, and
    /// so finds the owner of one that does not.
    #[must_use]
    pub fn resource(mut self, resource: impl Into<String>) -> Self {
        self.route.resource = Some(resource.into());
        self
    }

    /// The provider's user who did it; not always the owner.
    #[must_use]
    pub fn actor(mut self, user: impl Into<String>) -> Self {
        self.route.actor = Some(user.into());
        self
    }

    /// The provider's account (the organisation).
    #[must_use]
    pub fn account(mut self, account: impl Into<String>) -> Self {
        self.route.account = Some(account.into());
        self
    }

    /// When it happened, by the provider's clock.
    #[must_use]
    pub fn occurred_at(mut self, at: Timestamp) -> Self {
        self.occurred_at = Some(at);
        self
    }

    /// Asks for the event to be completed by [`Trigger::enrich`] before it is dispatched.
    #[must_use]
    pub fn enrich(mut self) -> Self {
        self.enrich = true;
        self
    }
}

impl<T: Serialize> Emit<T> {
    pub(crate) fn declare(self) -> Result<message::Emit> {
        let event = serde_json::to_value(self.event).map_err(|error| {
            Error::new(ErrorKind::ConnectorFault, format!("the event cannot be written: {error}"))
        })?;
        Ok(message::Emit {
            key: self.key,
            event,
            route: self.route,
            occurred_at: self.occurred_at,
            enrich: self.enrich,
        })
    }
}

impl<T: DeserializeOwned> Emit<T> {
    pub(crate) fn from_declared(emit: message::Emit) -> Result<Self> {
        let event = serde_json::from_value(emit.event)
            .map_err(|_| Error::new(ErrorKind::InvalidInput, "the event is not one of this trigger"))?;
        Ok(Self { event, key: emit.key, route: emit.route, occurred_at: emit.occurred_at, enrich: false })
    }
}

/// A webhook that is to be registered.
#[derive(Debug, Clone)]
pub struct NewHook<P> {
    /// What the subscription chose.
    pub params: P,
    /// The address to register.
    pub url: String,
    /// The secret to register: the host verifies deliveries with it.
    pub secret: String,
}

/// A webhook that was registered.
#[derive(Debug, Clone)]
pub struct Hook<P> {
    /// What the subscription chose.
    pub params: P,
    /// The address that is registered.
    pub url: String,
    /// The secret that deliveries are signed with, for a provider where renewing is registering again.
    pub secret: String,
    pub(crate) state: Value,
}

impl<P> Hook<P> {
    /// What [`Registration::new`] was given.
    ///
    /// # Errors
    ///
    /// If an older version of the connector wrote something else.
    pub fn state<T: DeserializeOwned>(&self) -> Result<T> {
        read_state(&self.state)
    }
}

/// A webhook that is registered at the provider.
#[derive(Debug, Clone)]
pub struct Registration(pub(crate) message::Registration);

impl Registration {
    /// What is needed to renew or remove it: the provider's id of the hook, usually.
    ///
    /// # Errors
    ///
    /// If `state` cannot be written as JSON.
    pub fn new<T: Serialize>(state: &T) -> Result<Self> {
        Ok(Self(message::Registration { state: write_state(state)?, expires_at: None, secret: None }))
    }

    /// When the provider forgets it unless it is renewed.
    #[must_use]
    pub fn expires_at(mut self, at: Timestamp) -> Self {
        self.0.expires_at = Some(at);
        self
    }

    /// The secret that the provider has made for it, where the manifest says that it makes one
    /// (`Secret::of_registration`).
    #[must_use]
    pub fn secret(mut self, secret: impl Into<String>) -> Self {
        self.0.secret = Some(secret.into());
        self
    }
}

/// A question for what is new.
#[derive(Debug, Clone)]
pub struct Poll<P> {
    /// What the subscription chose.
    pub params: P,
    pub(crate) state: Option<Value>,
}

impl<P> Poll<P> {
    /// What the last poll left behind; `None` the first time.
    ///
    /// # Errors
    ///
    /// If an older version of the connector left something else.
    pub fn state<T: DeserializeOwned>(&self) -> Result<Option<T>> {
        self.state.as_ref().map(read_state).transpose()
    }
}

/// What a poll found.
#[derive(Debug, Clone)]
pub struct Polled<T> {
    pub(crate) events: Vec<Emit<T>>,
    pub(crate) state: Value,
    pub(crate) more: bool,
}

impl<T> Polled<T> {
    /// The events in their order, and what the next poll is to know.
    ///
    /// # Errors
    ///
    /// If `state` cannot be written as JSON.
    pub fn new<S: Serialize>(events: Vec<Emit<T>>, state: &S) -> Result<Self> {
        Ok(Self { events, state: write_state(state)?, more: false })
    }

    /// Says that there is more right now, so that the next poll need not wait.
    #[must_use]
    pub fn more(mut self) -> Self {
        self.more = true;
        self
    }
}

fn read_state<T: DeserializeOwned>(state: &Value) -> Result<T> {
    T::deserialize(state)
        .map_err(|_| Error::new(ErrorKind::InvalidInput, "the stored state is not one this version reads"))
}

fn write_state<T: Serialize>(state: &T) -> Result<Value> {
    serde_json::to_value(state).map_err(|error| {
        Error::new(ErrorKind::ConnectorFault, format!("the state cannot be written: {error}"))
    })
}

/// Parameters as they come over the ABI, read into an author's type.
pub(crate) fn read_params<P: DeserializeOwned>(parameters: Map<String, Value>) -> Result<P> {
    serde_json::from_value(Value::Object(parameters))
        .map_err(|_| Error::invalid_input("", "the parameters do not fit this trigger"))
}
