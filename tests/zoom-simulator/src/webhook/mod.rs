//! Webhooks: who wants to be told, what there is to tell, and what has been told. Everything here is state and waits
//! for nobody; `courier` does the sending.

pub(crate) mod courier;
pub(crate) mod event;
pub(crate) mod fault;
pub(crate) mod journal;
mod sign;
pub(crate) mod subscription;
pub(crate) mod target;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::random::Random;
use crate::world::News;
use fault::Faults;
use journal::{Attempt, Journal, Outcome};
use sign::{Signed, Twist};
use subscription::{Credentials, Subscription, Wanted};

/// How many events are remembered.
const KEPT: usize = 10_000;

/// How many subscriptions an app can have.
pub(crate) const MOST_SUBSCRIPTIONS: usize = 20;

/// How long after an attempt the next one is made. After these nothing more is sent.
const RETRY_AFTER_MINUTES: [i64; 3] = [5, 20, 60];

const JSON: &str = "application/json; charset=utf-8";

/// How webhooks are sent.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Settings {
    /// Events are kept back until they are released.
    pub(crate) hold: bool,
    /// By what the time until a retry is multiplied.
    pub(crate) retry_scale: f64,
    /// How long an answer may take.
    pub(crate) timeout_ms: u64,
    /// Whether what is answered with 3xx or 4xx is sent again. Sources disagree on what Zoom does.
    pub(crate) retry_client_errors: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { hold: false, retry_scale: 1.0, timeout_ms: 3_000, retry_client_errors: true }
    }
}

/// The settings that are to change.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Change {
    hold: Option<bool>,
    retry_scale: Option<f64>,
    timeout_ms: Option<u64>,
    retry_client_errors: Option<bool>,
}

/// An event as it goes out. It is the same for all who get it, however often.
#[derive(Debug)]
struct Message {
    number: Option<u64>,
    event: String,
    meeting: Option<i64>,
    body: Bytes,
    content_type: HeaderValue,
    twist: Twist,
}

/// A message on its way to one subscription.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    number: u64,
    subscription: Option<u64>,
    message: Arc<Message>,
    copy: u32,
    request_id: String,
    tracking_id: String,
    trace_parent: String,
}

/// An event that has happened, whether somebody is told of it or not.
#[derive(Debug, Serialize)]
struct Raised {
    number: u64,
    at: String,
    event: String,
    meeting: Option<i64>,
    /// Whose event it is.
    user: Option<&'static str>,
    body_sha256: String,
    /// How many deliveries there are of it.
    deliveries: usize,
    /// Why there are none.
    why_not: Option<String>,
    #[serde(skip)]
    message: Arc<Message>,
}

/// A body that is sent as it is.
pub(crate) struct Raw {
    pub(crate) event: String,
    pub(crate) body: Bytes,
    pub(crate) content_type: Option<HeaderValue>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Sending,
    /// For the time of its next attempt.
    Waiting,
}

/// What an attempt takes with it.
struct Outgoing {
    entry: u64,
    credentials: Credentials,
    headers: HeaderMap,
    body: Bytes,
    patience: Duration,
}

/// Subscriptions, events and deliveries.
#[derive(Debug)]
pub(crate) struct Webhooks {
    /// Apart from the world's, so that nobody's ids depend on who is told of them.
    random: Random,
    app: App,
    subscriptions: Vec<Subscription>,
    /// Those that there were at the start.
    first: Vec<Subscription>,
    pub(crate) settings: Settings,
    pub(crate) faults: Faults,
    pub(crate) journal: Journal,
    events: VecDeque<Raised>,
    held: Vec<Delivery>,
    under_way: BTreeMap<u64, Phase>,
    last_subscription: u64,
    last_event: u64,
    last_delivery: u64,
}

/// What the app is known by.
#[derive(Debug)]
struct App {
    client_id: String,
    secret: String,
}

impl Webhooks {
    pub(crate) fn new(client_id: String, secret: String, seed: Option<u64>) -> Self {
        Self {
            random: Random::new(seed.map(|seed| !seed)),
            app: App { client_id, secret },
            subscriptions: Vec::new(),
            first: Vec::new(),
            settings: Settings::default(),
            faults: Faults::default(),
            journal: Journal::default(),
            events: VecDeque::new(),
            held: Vec::new(),
            under_way: BTreeMap::new(),
            last_subscription: 0,
            last_event: 0,
            last_delivery: 0,
        }
    }

    /// Everything is as it was at the start, and nothing that is under way is tried again. Numbers go on.
    pub(crate) fn reset(&mut self) {
        self.subscriptions = self.first.clone();
        self.settings = Settings::default();
        self.faults.clear();
        self.journal.clear();
        self.events.clear();
        self.held.clear();
        self.under_way.clear();
    }

    /// The subscriptions that there are now are those of the start.
    pub(crate) fn remember_first(&mut self) {
        self.first = self.subscriptions.clone();
    }

    pub(crate) fn change_settings(&mut self, change: &Change) -> Result<(), String> {
        let settings = &mut self.settings;
        if change.retry_scale.is_some_and(|scale| !(0.0..=1_000.0).contains(&scale)) {
            return Err("retry_scale has to be between 0 and 1000".to_owned());
        }
        if change.timeout_ms.is_some_and(|timeout| !(1..=60_000).contains(&timeout)) {
            return Err("timeout_ms has to be between 1 and 60000".to_owned());
        }
        settings.hold = change.hold.unwrap_or(settings.hold);
        settings.retry_scale = change.retry_scale.unwrap_or(settings.retry_scale);
        settings.timeout_ms = change.timeout_ms.unwrap_or(settings.timeout_ms);
        settings.retry_client_errors = change.retry_client_errors.unwrap_or(settings.retry_client_errors);
        Ok(())
    }

    /// What a subscription that is asked for would be sent with.
    pub(crate) fn credentials(&self, wanted: &Wanted) -> Result<Credentials, String> {
        let credentials = Credentials {
            target: target::Target::parse(&wanted.url)?,
            secret: wanted.secret.clone().unwrap_or_else(|| self.app.secret.clone()),
            client_id: wanted.client_id.clone().unwrap_or_else(|| self.app.client_id.clone()),
            authorization: wanted.authorization.clone(),
        };
        for text in [&credentials.client_id].into_iter().chain(&credentials.authorization) {
            HeaderValue::from_str(text).map_err(|_| format!("{text:?} cannot be sent in a header"))?;
        }
        match credentials.secret.is_empty() {
            true => Err("the secret token is empty".to_owned()),
            false => Ok(credentials),
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.subscriptions.len() >= MOST_SUBSCRIPTIONS
    }

    /// Saves a subscription whose address has passed. Answers its number.
    pub(crate) fn subscribe(&mut self, credentials: Credentials, events: Vec<String>, now: Timestamp) -> u64 {
        self.last_subscription += 1;
        let id = self.last_subscription;
        self.subscriptions.push(Subscription::new(id, credentials, events, now));
        id
    }

    pub(crate) fn unsubscribe(&mut self, id: u64) -> bool {
        let before = self.subscriptions.len();
        self.subscriptions.retain(|subscription| subscription.id != id);
        self.subscriptions.len() < before
    }

    pub(crate) fn subscriptions(&self) -> &[Subscription] {
        &self.subscriptions
    }

    pub(crate) fn subscription(&mut self, id: u64) -> Option<&mut Subscription> {
        self.subscriptions.iter_mut().find(|subscription| subscription.id == id)
    }

    /// When the next address has to pass again, and whose it is.
    fn next_validation(&self) -> Option<(Timestamp, u64)> {
        let enabled = self.subscriptions.iter().filter(|subscription| subscription.enabled);
        enabled.map(|subscription| (subscription.next_validation, subscription.id)).min()
    }

    /// Makes events of what has changed. Answers what is to be sent at once.
    pub(crate) fn raise(&mut self, news: Vec<News>) -> Vec<Delivery> {
        let mut all = Vec::new();
        for News { change, at, heard } in news {
            let Some((event, body)) = event::of(&change, at, &self.app.client_id, &mut self.random) else {
                continue;
            };
            let user = change.is_about().map(|user| user.id);
            let meeting = change.meeting().map(|meeting| meeting.id);
            all.extend(self.raise_one(event, body, at, (meeting, user), heard));
        }
        all
    }

    fn raise_one(
        &mut self,
        event: &str,
        body: Value,
        at: Timestamp,
        (meeting, user): (Option<i64>, Option<&'static str>),
        heard: bool,
    ) -> Vec<Delivery> {
        let connected = heard && !self.subscriptions.is_empty();
        // What nobody would be told of uses no fault up.
        let fault = if connected { self.faults.take(event) } else { None };
        let (name, bytes) = match &fault {
            Some(fault) => fault.spoil(event, body),
            None => (event.to_owned(), body.to_string().into()),
        };
        let why_not = match &fault {
            _ if !heard => Some("the user has not connected the app".to_owned()),
            Some(fault) if fault.drop => Some("a fault has dropped it".to_owned()),
            _ => None,
        };
        let twist = fault.as_ref().map(fault::Fault::twist).unwrap_or_default();
        let copies = fault.as_ref().map_or(0, |fault| fault.copies);
        let message = self.enter(name, meeting, bytes, HeaderValue::from_static(JSON), twist);
        let deliveries = match &why_not {
            Some(_) => Vec::new(),
            None => self.address(&message, Some(event), copies),
        };
        self.keep(message, at, user, deliveries.len(), why_not);
        self.send_or_hold(deliveries)
    }

    /// An event with a number of its own.
    fn enter(
        &mut self,
        event: String,
        meeting: Option<i64>,
        body: Bytes,
        content_type: HeaderValue,
        twist: Twist,
    ) -> Arc<Message> {
        self.last_event += 1;
        Arc::new(Message { number: Some(self.last_event), event, meeting, body, content_type, twist })
    }

    fn keep(
        &mut self,
        message: Arc<Message>,
        at: Timestamp,
        user: Option<&'static str>,
        deliveries: usize,
        why_not: Option<String>,
    ) {
        let nobody = || "no subscription that is enabled asks for it".to_owned();
        self.events.push_back(Raised {
            number: message.number.unwrap_or_default(),
            at: at.to_string(),
            event: message.event.clone(),
            meeting: message.meeting,
            user,
            body_sha256: sign::sha256(&message.body),
            deliveries,
            why_not: why_not.or_else(|| (deliveries == 0).then(nobody)),
            message,
        });
        if self.events.len() > KEPT {
            self.events.pop_front();
        }
    }

    /// A delivery for everybody who wants it; without an event, for everybody.
    fn address(&mut self, message: &Arc<Message>, event: Option<&str>, copies: u32) -> Vec<Delivery> {
        let wants = |subscription: &&Subscription| match event {
            Some(event) => subscription.wants(event),
            None => subscription.enabled,
        };
        let ids: Vec<u64> = self.subscriptions.iter().filter(wants).map(|one| one.id).collect();
        let mut all = Vec::new();
        for id in ids {
            let first = self.delivery(Some(id), message.clone());
            for copy in 0..=copies {
                let number = if copy == 0 { first.number } else { self.next_delivery() };
                all.push(Delivery { number, copy, ..first.clone() });
            }
        }
        all
    }

    fn next_delivery(&mut self) -> u64 {
        self.last_delivery += 1;
        self.last_delivery
    }

    fn delivery(&mut self, subscription: Option<u64>, message: Arc<Message>) -> Delivery {
        let random = &mut self.random;
        let request_id = random.guid();
        let tracking_id = random.tracking_id();
        let trace_parent = format!("00-{}-{}-01", random.hex::<16>(), random.hex::<8>());
        let number = self.next_delivery();
        Delivery { number, subscription, message, copy: 0, request_id, tracking_id, trace_parent }
    }

    fn send_or_hold(&mut self, deliveries: Vec<Delivery>) -> Vec<Delivery> {
        if self.settings.hold {
            self.held.extend(deliveries);
            return Vec::new();
        }
        self.start(&deliveries);
        deliveries
    }

    fn start(&mut self, deliveries: &[Delivery]) {
        self.under_way.extend(deliveries.iter().map(|delivery| (delivery.number, Phase::Sending)));
    }

    /// Sends a body as it is, signed, to every subscription that is enabled.
    pub(crate) fn send_raw(&mut self, raw: Raw, at: Timestamp) -> (u64, Vec<Delivery>) {
        let twist = self.faults.take(&raw.event).map(|fault| fault.twist()).unwrap_or_default();
        let content_type = raw.content_type.unwrap_or(HeaderValue::from_static(JSON));
        let message = self.enter(raw.event, None, raw.body, content_type, twist);
        let deliveries = self.address(&message, None, 0);
        self.keep(message, at, None, deliveries.len(), None);
        (self.last_event, self.send_or_hold(deliveries))
    }

    /// Sends an event again, as Zoom does when it has not understood that it was received.
    pub(crate) fn resend(&mut self, number: u64) -> Option<Vec<Delivery>> {
        let message = self.events.iter().find(|raised| raised.number == number)?.message.clone();
        let deliveries = self.address(&message, None, 0);
        Some(self.send_or_hold(deliveries))
    }

    /// What has been held, in the order in which it is to be sent now: that of the numbers, or that in which it
    /// happened. Each group is one event.
    pub(crate) fn release(&mut self, order: Option<&[u64]>) -> Result<Vec<Vec<Delivery>>, String> {
        let happened: Vec<u64> = self.held_events();
        if let Some(number) = order.unwrap_or_default().iter().find(|number| !happened.contains(number)) {
            return Err(format!("no event {number} is held"));
        }
        if order.is_none() {
            self.settings.hold = false;
        }
        let mut groups = Vec::new();
        for number in order.unwrap_or(&happened) {
            let is_it = |delivery: &mut Delivery| delivery.message.number == Some(*number);
            let group: Vec<Delivery> = self.held.extract_if(.., is_it).collect();
            self.start(&group);
            groups.push(group);
        }
        Ok(groups)
    }

    /// The numbers of the events that are held.
    fn held_events(&self) -> Vec<u64> {
        let mut numbers: Vec<u64> = self.held.iter().filter_map(|delivery| delivery.message.number).collect();
        numbers.dedup();
        numbers
    }

    pub(crate) fn show(&self) -> Value {
        let count = |phase| self.under_way.values().filter(|other| **other == phase).count();
        let held = self.held_events().into_iter().map(|number| {
            let delivery = self.held.iter().find(|delivery| delivery.message.number == Some(number));
            json!({"number": number, "event": delivery.map(|delivery| &delivery.message.event)})
        });
        json!({
            "settings": self.settings,
            "subscriptions": self.subscriptions.len(),
            "events": self.last_event,
            "held": held.collect::<Vec<_>>(),
            "sending": count(Phase::Sending),
            "waiting": count(Phase::Waiting),
            "faults": self.faults.list().len(),
        })
    }

    /// The events after this number.
    pub(crate) fn events(&self, after: u64) -> Vec<Value> {
        self.events.iter().filter(|raised| raised.number > after).map(|raised| json!(raised)).collect()
    }

    /// A validation that is about to be sent, and the token in it.
    fn challenge(&mut self, subscription: Option<u64>, at: Timestamp) -> (Delivery, String, bool) {
        let plain_token = self.random.id();
        let body = event::validation(&plain_token, at);
        let fault = self.faults.take(event::VALIDATION);
        let (event, body) = match &fault {
            Some(fault) => fault.spoil(event::VALIDATION, body),
            None => (event::VALIDATION.to_owned(), body.to_string().into()),
        };
        let message = Message {
            number: None,
            event,
            meeting: None,
            body,
            content_type: HeaderValue::from_static(JSON),
            twist: fault.as_ref().map(fault::Fault::twist).unwrap_or_default(),
        };
        let delivery = self.delivery(subscription, Arc::new(message));
        (delivery, plain_token, fault.is_some_and(|fault| fault.drop))
    }

    /// What the next attempt of a delivery is sent with. Nothing, if it is not to be sent any more.
    fn next_attempt(&mut self, delivery: &Delivery, attempt: u32, now: Timestamp) -> Option<Outgoing> {
        let phase = self.under_way.get_mut(&delivery.number)?;
        *phase = Phase::Sending;
        let id = delivery.subscription?;
        // One that has been disabled or is gone gets nothing more, retries included.
        let subscription = self.subscription(id).filter(|subscription| subscription.enabled);
        let Some(credentials) = subscription.map(|subscription| subscription.credentials.clone()) else {
            self.under_way.remove(&delivery.number);
            return None;
        };
        Some(self.outgoing(delivery, credentials, attempt, now))
    }

    fn outgoing(
        &mut self,
        delivery: &Delivery,
        credentials: Credentials,
        attempt: u32,
        now: Timestamp,
    ) -> Outgoing {
        let message = &delivery.message;
        let signed = sign::sign(&credentials.secret, &message.body, message.twist, attempt, Timestamp::now());
        let headers = headers(delivery, &credentials, &signed);
        let (body, body_base64) = Attempt::keep(&message.body);
        let entry = self.journal.open(Attempt {
            number: 0,
            at: now.to_string(),
            event_number: message.number,
            event: message.event.clone(),
            meeting: message.meeting,
            subscription: delivery.subscription,
            url: credentials.target.as_str().to_owned(),
            delivery: delivery.number,
            copy: delivery.copy,
            attempt,
            request_id: delivery.request_id.clone(),
            timestamp: signed.timestamp,
            signature: signed.signature,
            body_sha256: sign::sha256(&message.body),
            body,
            body_base64,
            outcome: Outcome::Sending,
            status: None,
            error: None,
            elapsed_ms: None,
            next_at: None,
        });
        let patience = Duration::from_millis(self.settings.timeout_ms);
        Outgoing { entry, credentials, headers, body: message.body.clone(), patience }
    }

    /// Enters what became of an attempt. Answers when the next one is due.
    fn attempted(
        &mut self,
        delivery: &Delivery,
        attempt: u32,
        entry: u64,
        result: Result<StatusCode, String>,
        elapsed: Duration,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let settings = self.settings;
        let good = result.as_ref().is_ok_and(StatusCode::is_success);
        let again = match &result {
            Ok(status) => !good && (settings.retry_client_errors || status.is_server_error()),
            Err(_) => true,
        };
        let pause = RETRY_AFTER_MINUTES.get(attempt as usize - 1).filter(|_| again).map(|minutes| {
            let seconds = SignedDuration::from_mins(*minutes).as_secs_f64() * settings.retry_scale;
            SignedDuration::try_from_secs_f64(seconds).unwrap_or(SignedDuration::MAX)
        });
        let next = pause.map(|pause| now.saturating_add(pause).unwrap_or(Timestamp::MAX));
        let outcome = match (good, next) {
            (true, _) => Outcome::Delivered,
            (false, Some(_)) => Outcome::WillRetry,
            (false, None) => Outcome::Lost,
        };
        self.journal.close(entry, outcome, result, elapsed, next);
        match (self.under_way.get_mut(&delivery.number), next) {
            (Some(phase), Some(_)) => *phase = Phase::Waiting,
            _ => drop(self.under_way.remove(&delivery.number)),
        }
        next
    }
}

/// The headers of an attempt, as they have been observed.
fn headers(delivery: &Delivery, credentials: &Credentials, signed: &Signed) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, delivery.message.content_type.clone());
    headers.insert(USER_AGENT, HeaderValue::from_static("Zoom Marketplace/1.0a"));
    let texts = [
        (HeaderName::from_static("clientid"), Some(&credentials.client_id)),
        (AUTHORIZATION, credentials.authorization.as_ref()),
        (HeaderName::from_static("x-zm-request-timestamp"), signed.timestamp.as_ref()),
        (HeaderName::from_static("x-zm-signature"), signed.signature.as_ref()),
        (HeaderName::from_static("x-zm-request-id"), Some(&delivery.request_id)),
        (HeaderName::from_static("x-zm-trackingid"), Some(&delivery.tracking_id)),
        (HeaderName::from_static("traceparent"), Some(&delivery.trace_parent)),
    ];
    for (name, text) in texts {
        if let Some(value) = text.and_then(|text| HeaderValue::from_str(text).ok()) {
            headers.insert(name, value);
        }
    }
    headers
}
