//! Makes events of deliveries, off the request that brought them: asks the connector what has happened, finds out whose that is, and
//! has it written with the word that the delivery is done.
//!
//! What a connector cannot do now - it is missing, quarantined, or falls - is done later: a delivery waits. What it says it cannot
//! make anything of is kept, to be tried again by hand with a newer one.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use connector_protocol::{
    Error, ErrorKind, Problem, Result,
    manifest::{CAPABILITIES, Revocation, Source, Trigger},
    message::{Context, DeliveryCall, Emit, Emitted},
};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{
    enrich::{Completed, complete},
    feeds::{As, is_barred},
    route::{Whose, lane, whose},
};
use crate::{
    host::Host,
    id::Id,
    invoke::Reading,
    plugins::Library,
    store::{
        Audit, Connection, ConnectionState, DeliveryState, Event, Integration, NewEvent, Scope, Sorted,
        Subscription, Whole, Written,
    },
};

/// How long a connector may take over one.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often a connector may fall over one before it is left alone.
const TRIES: u32 = 12;

/// After what time one is tried again for the first time, and at most.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(10 * 60);

/// For how long a provider may ask to be left alone.
const LONGEST_ASKED: Duration = Duration::from_secs(60 * 60);

/// When it is looked again whether a connector is there.
pub(super) const MISSING: Duration = Duration::from_secs(10);

/// What is to become of a delivery.
pub(super) enum Outcome {
    Sorted(Box<Sorted>),
    PutOff {
        wait: Duration,
        reason: String,
        tried: bool,
    },
    /// The connector cannot be asked at all, about whatever it is.
    Nobody {
        reason: String,
    },
}

pub(super) fn from_now(wait: Duration) -> Timestamp {
    let wait = SignedDuration::try_from(wait).unwrap_or_default();
    Timestamp::now().saturating_add(wait).unwrap_or(Timestamp::MAX)
}

/// Looks what is in a delivery.
pub(super) async fn look(host: &Host, whole: &Whole) -> Outcome {
    match look_into(host, whole).await {
        Ok(outcome) => outcome,
        // Something that has nothing to do with it.
        Err(error) => Outcome::PutOff { wait: MISSING, reason: error.to_string(), tried: false },
    }
}

async fn look_into(host: &Host, whole: &Whole) -> Result<Outcome> {
    let delivery = &whole.delivery;
    let (id, connector) = (&delivery.id, delivery.connector.as_str());
    let sorted = |state, reason: Option<String>| Sorted {
        delivery: id.clone(),
        project: delivery.project.clone(),
        integration: delivery.integration.clone(),
        state,
        reason,
        events: Vec::new(),
        owners: Vec::new(),
    };
    let Some((integration, _)) = host.store.hook(&delivery.integration)? else {
        let reason = "its integration is gone".to_owned();
        return Ok(Outcome::Sorted(Box::new(sorted(DeliveryState::Unrouted, Some(reason)))));
    };
    let found = host.registry().find(connector).cloned().and_then(|library| {
        let manifest = library.manifest()?.clone();
        Ok((library, manifest))
    });
    let (library, manifest) = match found {
        Ok(found) => found,
        Err(error) => return Ok(Outcome::Nobody { reason: error.to_string() }),
    };
    let revocation = manifest
        .webhooks
        .iter()
        .find(|webhook| webhook.name == delivery.hook)
        .and_then(|webhook| webhook.revocation.as_ref())
        .filter(|revocation| delivery.event.as_deref() == Some(&revocation.event));
    if let Some(revocation) = revocation {
        return revoke(host, whole, &integration, &manifest.title, revocation, sorted).await;
    }
    let to = match &delivery.subscription {
        Some(id) => match host.store.subscribed(id)? {
            Some(subscription) if is_held(host, &subscription)? => Some(subscription),
            found => {
                let gone = if found.is_some() { "its subscription's connection" } else { "its subscription" };
                let reason = format!("{gone} is gone");
                return Ok(Outcome::Sorted(Box::new(sorted(DeliveryState::Unrouted, Some(reason)))));
            }
        },
        None => None,
    };
    let triggers: Vec<&Trigger> = manifest
        .triggers
        .iter()
        .filter(|trigger| is_of(trigger, &delivery.hook, delivery.event.as_deref(), connector, to.as_ref()))
        .collect();
    if triggers.is_empty() {
        let reason = match &delivery.event {
            Some(event) => format!("no trigger of `{connector}` is for the event `{}`", event.escape_debug()),
            None => "it does not say which event it is".to_owned(),
        };
        return Ok(Outcome::Sorted(Box::new(sorted(DeliveryState::Unrouted, Some(reason)))));
    }
    let mut done = sorted(DeliveryState::Done, None);
    for trigger in triggers {
        let emitted = match ask(host, &library, trigger, whole).await {
            Ok(emitted) => emitted,
            Err(error) => return Ok(failed(whole, &error, sorted)),
        };
        for emit in emitted.events {
            if let Err(error) = fits(host, &library, trigger, &emit) {
                return Ok(failed(whole, &error, sorted));
            }
            if let (Some(owner), Some(resource)) = (&emit.route.owner, &emit.route.resource) {
                done.owners.push((resource.clone(), owner.clone()));
            }
            let of = Of { library: &library, integration: &integration, whole, trigger, to: to.as_ref() };
            if let Err(error) = of.add(host, emit, &mut done.events).await {
                return Ok(not_complete(whole, &error));
            }
        }
    }
    if !done.events.is_empty() && done.events.iter().all(|new| new.event.connection.is_none()) {
        done.reason = done.events.first().and_then(|new| new.event.unrouted.clone());
    }
    Ok(Outcome::Sorted(Box::new(done)))
}

/// Whether the connection of a subscription is still there.
fn is_held(host: &Host, subscription: &Subscription) -> Result<bool> {
    let Some(connection) = &subscription.connection else { return Ok(false) };
    Ok(host.store.held(&Scope::project(&subscription.project), connection)?.is_some())
}

/// Whether a trigger is for a delivery: to the address of the whole app, or to a subscription's own.
fn is_of(
    trigger: &Trigger,
    hook: &str,
    event: Option<&str>,
    connector: &str,
    to: Option<&Subscription>,
) -> bool {
    let is_its = |its: &str, events: &[String]| {
        its == hook && event.is_some_and(|event| events.iter().any(|known| known == event))
    };
    match (&trigger.source, to) {
        (Source::AppWebhook { hook, events }, None) => is_its(hook, events),
        (Source::RegisteredWebhook { hook, events }, Some(to)) => {
            is_its(hook, events) && to.trigger == format!("{connector}.{}", trigger.name)
        }
        _ => false,
    }
}

/// When an event is completed that cannot be now. Trying is not given up: what is refused for good is kept as it is.
fn not_complete(whole: &Whole, error: &Error) -> Outcome {
    let doubled = FIRST_WAIT.saturating_mul(1 << whole.delivery.attempts.min(16)).min(LONGEST_WAIT);
    let asked = error.retry_at.and_then(|at| Duration::try_from(at.duration_since(Timestamp::now())).ok());
    let wait = asked.map_or(doubled, |asked| asked.clamp(doubled, LONGEST_ASKED));
    let tried = !is_barred(error);
    Outcome::PutOff { wait, reason: format!("its event cannot be completed yet: {error}"), tried }
}

/// What a connector's failure means for a delivery.
fn failed(whole: &Whole, error: &Error, sorted: impl Fn(DeliveryState, Option<String>) -> Sorted) -> Outcome {
    let passing = matches!(
        error.kind,
        ErrorKind::ConnectorPanicked
            | ErrorKind::ConnectorFault
            | ErrorKind::Timeout
            | ErrorKind::Internal
            | ErrorKind::Unavailable
            | ErrorKind::Config
    );
    let reason = error.to_string();
    let attempts = whole.delivery.attempts;
    match error.kind {
        ErrorKind::ConnectorQuarantined | ErrorKind::ConnectorMissing | ErrorKind::PluginRefused => {
            return Outcome::Nobody { reason };
        }
        // That is this one's alone.
        ErrorKind::InputQuarantined => return Outcome::PutOff { wait: LONGEST_WAIT, reason, tried: false },
        _ => {}
    }
    if passing && attempts < TRIES {
        let wait = FIRST_WAIT.saturating_mul(1 << attempts.min(16)).min(LONGEST_WAIT);
        return Outcome::PutOff { wait, reason, tried: true };
    }
    Outcome::Sorted(Box::new(sorted(DeliveryState::Failed, Some(reason))))
}

/// Asks the connector what has happened.
async fn ask(host: &Host, library: &Arc<Library>, trigger: &Trigger, whole: &Whole) -> Result<Emitted> {
    let call = DeliveryCall {
        name: trigger.name.clone(),
        delivery: whole.head.clone(),
        context: Context {
            id: whole.delivery.id.clone(),
            deadline_ms: u64::try_from(PATIENCE.as_millis()).unwrap_or(u64::MAX),
            capabilities: CAPABILITIES.iter().map(|name| (*name).to_owned()).collect(),
            ..Context::default()
        },
    };
    let reading = Reading {
        what: &trigger.name,
        op: "on_delivery",
        input: &whole.body,
        secrets: &[],
        refusal: Error::new(ErrorKind::Unsupported, "nothing is sent while a delivery is read")
            .hint("ask for the event to be completed: Emit::enrich"),
        deadline: Instant::now() + PATIENCE,
    };
    let answer = host.read_by_connector(library, &reading, &call, &whole.body).await?;
    serde_json::from_slice(&answer).map_err(|_| {
        let text = format!("`{}` answered a delivery with nothing that can be read", library.id());
        Error::new(ErrorKind::ConnectorFault, text)
    })
}

/// Whether an event is one that the trigger declares.
pub(super) fn fits(host: &Host, library: &Library, trigger: &Trigger, emit: &Emit) -> Result<()> {
    let problems = host.events.validator(library, &trigger.name)?.check(&emit.event);
    if problems.is_empty() {
        return Ok(());
    }
    let list: Vec<String> =
        problems.iter().take(3).map(|Problem { path, message, .. }| format!("{path} {message}")).collect();
    let text = format!("`{}` made an event that it does not declare ({})", library.id(), list.join("; "));
    Err(Error::new(ErrorKind::UnexpectedAnswer, text))
}

/// What an event is made of.
struct Of<'a> {
    library: &'a Arc<Library>,
    integration: &'a Integration,
    whole: &'a Whole,
    trigger: &'a Trigger,
    /// The subscription whose own address it came to.
    to: Option<&'a Subscription>,
}

impl Of<'_> {
    /// Adds an event, for each connection that it is for, completed if it asks for that. The error keeps it from being completed
    /// now.
    async fn add(&self, host: &Host, emit: Emit, events: &mut Vec<NewEvent>) -> Result<()> {
        if let Some(to) = self.to {
            let asked = As::of_subscription(host, to)?;
            events.push(self.complete(host, &asked, emit).await?);
            return Ok(());
        }
        match whose(&*host.store, self.integration, &emit.route)? {
            Whose::These(connections) => {
                for connection in connections {
                    let emit = emit.clone();
                    events.push(if emit.enrich {
                        let asked = As::of(host, &connection.project, &connection.id)?;
                        self.complete(host, &asked, emit).await?
                    } else {
                        self.event(Some(&connection), None, emit.into())
                    });
                }
            }
            Whose::Nobody(why) => {
                let incomplete = emit.enrich.then(|| "nobody was known who could complete it".to_owned());
                events.push(self.event(None, Some(why), Completed { emit, incomplete }));
            }
        }
        Ok(())
    }

    async fn complete(&self, host: &Host, asked: &As, emit: Emit) -> Result<NewEvent> {
        let completed = complete(host, self.library, self.trigger, asked, emit).await?;
        Ok(self.event(Some(&asked.connection), None, completed))
    }

    fn event(
        &self,
        connection: Option<&Connection>,
        unrouted: Option<String>,
        completed: Completed,
    ) -> NewEvent {
        let Completed { emit, incomplete } = completed;
        NewEvent {
            event: Event {
                id: Id::event().to_string(),
                kind: format!("{}.{}", self.library.id(), self.trigger.name),
                version: Some(self.library.head.version.clone()),
                occurred_at: emit.occurred_at,
                at: self.whole.delivery.received,
                connection: connection.map(|connection| connection.id.clone()),
                user: connection.map(|connection| connection.user.clone()),
                delivery: Some(self.whole.delivery.id.clone()),
                incomplete,
                unrouted,
                data: emit.event,
            },
            key: emit.key,
            lane: lane(&emit.route),
            route: emit.route,
            subscription: self.to.map(|to| to.id.clone()),
        }
    }
}

/// A time as providers write it.
fn time(value: &Value) -> Option<Timestamp> {
    match value {
        Value::String(text) => text.parse().ok(),
        value => Timestamp::from_millisecond(value.as_i64()?).ok(),
    }
}

/// A user has removed the app at the provider: what is kept of their accounts is of no use any more, and is wiped.
async fn revoke(
    host: &Host,
    whole: &Whole,
    integration: &Integration,
    provider: &str,
    revocation: &Revocation,
    sorted: impl Fn(DeliveryState, Option<String>) -> Sorted,
) -> Result<Outcome> {
    let body: Value = match connector_protocol::json::read(&whole.body) {
        Ok(body) => body,
        Err(error) => {
            let reason = format!("it cannot be read: {error}");
            return Ok(Outcome::Sorted(Box::new(sorted(DeliveryState::Failed, Some(reason)))));
        }
    };
    let at = |pointer: &Option<String>| {
        body.pointer(pointer.as_deref()?)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
    };
    let (person, account) = (at(&revocation.user), at(&revocation.account));
    let happened = revocation.at.as_deref().and_then(|pointer| time(body.pointer(pointer)?));
    let connections = host.store.bearers(&integration.id, person.as_deref(), account.as_deref())?;
    let reason = format!("the user has removed the app at {provider}");
    for connection in &connections {
        // Whoever has let the app in again since has taken it back. By the provider's clock, both: how long the farewell was on its
        // way, and whether the tokens were renewed meanwhile, says nothing.
        let scope = Scope::project(&connection.project);
        let Some(held) = host.store.held(&scope, &connection.holder)? else { continue };
        let given = held.grant.given.or(held.grant.refreshed);
        if given.is_some_and(|given| given > happened.unwrap_or(whole.delivery.received)) {
            continue;
        }
        let audit = Audit::new(&connection.project, "jackfield", "connection.deauthorized", &connection.id)
            .detail(&whole.delivery.id);
        let (holder, reason) = (connection.holder.clone(), Some(reason.clone()));
        let (seen, state) = (Some(held.grant.version), ConnectionState::Revoked);
        match host.store.set_state(holder, seen, state, reason, Some(audit)).await? {
            Written::Yes => tracing::info!(connection = connection.id, "deauthorized at {provider}"),
            // Somebody renews it in this moment, or has let the app in again.
            _ => {
                let reason = "a connection that it takes away is being changed".to_owned();
                return Ok(Outcome::PutOff { wait: FIRST_WAIT, reason, tried: false });
            }
        }
    }
    let why =
        connections.is_empty().then(|| "no connection is one of whoever has removed the app".to_owned());
    Ok(Outcome::Sorted(Box::new(sorted(DeliveryState::Done, why))))
}
