//! What becomes of the requests of one call: how many there were, whether their fate is known, and what was said. It holds
//! secrets, and masks them when it is asked to show what it holds.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use connector_protocol::{Error, message::HttpAnswer};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::Prepared;
use crate::redact::{self, Redactor};

/// How much of a body is kept, in bytes.
const KEPT: usize = 16 * 1024;

/// How many exchanges of one call are kept.
const MOST: usize = 50;

/// Headers of an answer that help to understand it; the others say nothing, or too much.
const TELLING: &[&str] = &["content-type", "retry-after", "date", "location", "x-request-id"];

/// Hears that a request waits before it is sent again, and what the provider did.
pub type Waits = Arc<dyn Fn(Duration, &str) + Send + Sync>;

/// What is known of the requests of one call while they are on their way.
pub struct Flight {
    unanswered: AtomicUsize,
    done: AtomicUsize,
    attempts: AtomicUsize,
    exchanges: Mutex<Vec<Exchange>>,
    waits: Waits,
}

/// A request that was sent, and what came of it. It holds secrets until it is shown.
pub struct Exchange {
    at: Timestamp,
    ms: u64,
    request: Arc<Prepared>,
    answer: Result<Heard, String>,
}

/// What a provider answered.
struct Heard {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// How long the body really is.
    len: usize,
}

impl Flight {
    /// The requests of a call at which somebody looks on.
    #[must_use]
    pub fn watched(waits: Waits) -> Self {
        Self {
            unanswered: AtomicUsize::new(0),
            done: AtomicUsize::new(0),
            attempts: AtomicUsize::new(0),
            exchanges: Mutex::default(),
            waits,
        }
    }

    /// Notes what came of a request.
    pub(super) fn note(
        &self,
        request: &Arc<Prepared>,
        ms: u64,
        answer: Result<(&HttpAnswer, &[u8]), &Error>,
    ) {
        let mut exchanges = self.exchanges.lock().unwrap_or_else(PoisonError::into_inner);
        if exchanges.len() >= MOST {
            return;
        }
        let now = Timestamp::now();
        let at = now.checked_sub(Duration::from_millis(ms)).unwrap_or(now);
        let answer = match answer {
            Ok((head, body)) => {
                let telling = |(name, _): &&(String, String)| TELLING.contains(&name.as_str());
                let headers = head.headers.iter().filter(telling).cloned().collect();
                Ok(Heard {
                    status: head.status,
                    headers,
                    body: body[..body.len().min(KEPT)].to_vec(),
                    len: body.len(),
                })
            }
            Err(error) => Err(error.message.clone()),
        };
        exchanges.push(Exchange { at, ms, request: request.clone(), answer });
    }

    /// Waits, and says so.
    pub(super) async fn wait(&self, time: Duration, because: &str) {
        (self.waits)(time, because);
        tokio::time::sleep(time).await;
    }

    /// What was sent and what came back so far.
    #[must_use]
    pub fn exchanges(&self) -> Vec<Exchange> {
        std::mem::take(&mut *self.exchanges.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether something may have been done at the provider of which nobody would know if the call broke off now: a
    /// request that changes something is on its way, or was answered with success.
    #[must_use]
    pub fn is_ambiguous(&self) -> bool {
        self.unanswered.load(Ordering::Relaxed) + self.done.load(Ordering::Relaxed) > 0
    }

    /// How many requests were sent, repetitions included.
    #[must_use]
    pub fn attempts(&self) -> usize {
        self.attempts.load(Ordering::Relaxed)
    }
}

/// A request that cannot be repeated is on its way. It stays so if the future is dropped before an answer is here.
pub(super) struct OnItsWay<'a>(Option<&'a Flight>);

impl<'a> OnItsWay<'a> {
    pub(super) fn new(flight: &'a Flight, request: &Prepared) -> Self {
        flight.attempts.fetch_add(1, Ordering::Relaxed);
        if request.repeatable {
            return Self(None);
        }
        flight.unanswered.fetch_add(1, Ordering::Relaxed);
        Self(Some(flight))
    }

    /// Its fate is known: it was done, or it was not.
    pub(super) fn settle(self, done: bool) {
        if let Some(flight) = self.0 {
            flight.unanswered.fetch_sub(1, Ordering::Relaxed);
            flight.done.fetch_add(usize::from(done), Ordering::Relaxed);
        }
    }
}

impl Default for Flight {
    fn default() -> Self {
        Self::watched(Arc::new(|_, _| {}))
    }
}

impl Exchange {
    /// As it may be kept and read by people: secrets masked, long bodies cut. `names` are members that are secrets in an
    /// answer. Without `bodies`, there are none.
    #[must_use]
    pub fn show(&self, redactor: &Redactor, names: &BTreeSet<String>, bodies: bool) -> Value {
        let mut shown = json!({"at": self.at, "ms": self.ms});
        let mut request = self.request.show(redactor);
        if let Some(url) = request.get_mut("url") {
            *url = Value::String(redact::mask_address(url.as_str().unwrap_or_default()));
        }
        if let Some(body) = request.get_mut("body") {
            redact::mask_named(body, names);
            if !bodies || body.to_string().len() > KEPT {
                *body = Value::String(format!("({} bytes)", self.request.body.len()));
            }
        }
        shown["request"] = request;
        match &self.answer {
            Err(why) => shown["lost"] = Value::String(redactor.text(why)),
            Ok(heard) => {
                let headers: serde_json::Map<String, Value> = heard
                    .headers
                    .iter()
                    .map(|(name, value)| {
                        (name.clone(), Value::String(redactor.text(&redact::mask_address(value))))
                    })
                    .collect();
                shown["answer"] = json!({"status": heard.status, "headers": headers, "bytes": heard.len});
                if bodies && heard.len > 0 {
                    shown["answer"]["body"] = heard.shown(redactor, names);
                }
            }
        }
        shown
    }
}

impl Heard {
    fn shown(&self, redactor: &Redactor, names: &BTreeSet<String>) -> Value {
        if let Ok(mut body) = connector_protocol::json::read::<Value>(&self.body) {
            redact::mask_named(&mut body, names);
            return redactor.json(&body);
        }
        if self.len > self.body.len() {
            // A part of JSON shows its secrets to nobody who could find their names.
            return Value::String(format!("({} bytes)", self.len));
        }
        let text: String = String::from_utf8_lossy(&self.body).chars().take(2000).collect();
        Value::String(redactor.text(&text))
    }
}
