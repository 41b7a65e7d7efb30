//! Faults on demand: what goes wrong with which request. A fault is described in JSON, waits in a queue, and says three
//! things independently: what the answer is, whether the request is carried out all the same, and how the answer is
//! delivered. It does not know what a request would do; the server asks it what to do with the answer.

pub(crate) mod glob;
mod instead;
mod languages;

use std::time::Duration;

use axum::body::Bytes;
use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::config::Plan;
use crate::exchange::{Answer, Request};
use crate::wire::{End, Spoil};
use instead::{Instead, Prepared};
use languages::Language;

/// A fault as it is asked for.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Fault {
    /// `GET`, `POST`, … or `*`.
    #[serde(default = "any")]
    method: String,
    /// A pattern for the raw path, with or without `/v2`.
    #[serde(default = "anywhere")]
    path: String,
    /// How many matching requests go through before it begins.
    #[serde(default)]
    skip: u32,
    /// How often it happens. `null`: until it is taken away.
    #[serde(default = "once")]
    times: Option<u32>,
    /// How long the answer is held back, after the request has been carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    delay_ms: Option<u64>,
    /// What is answered instead of what the simulator would answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    answer: Option<Instead>,
    /// Whether the request is carried out. As a rule it is unless `answer` is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    perform: Option<bool>,
    /// The language of an error message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    language: Option<Language>,
    /// How the answer gets to the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    delivery: Option<Delivery>,
}

fn any() -> String {
    "*".to_owned()
}

fn anywhere() -> String {
    "**".to_owned()
}

#[expect(clippy::unnecessary_wraps, reason = "it is the default of an optional member")]
fn once() -> Option<u32> {
    Some(1)
}

/// How an answer is delivered, other than as a whole.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
enum Delivery {
    /// The connection is reset: before the answer, or after so many bytes of its body.
    Reset {
        #[serde(default)]
        after_body_bytes: Option<usize>,
    },
    /// The connection is closed: before the answer, or after so many bytes of its body, of which `Content-Length` had
    /// promised more.
    Close {
        #[serde(default)]
        after_body_bytes: Option<usize>,
    },
    /// The body is cut off, and `Content-Length` is that of what is left.
    Truncate { body_bytes: usize },
    /// The answer comes a few bytes at a time, head and all.
    Drip {
        #[serde(default = "one_byte")]
        bytes: usize,
        every_ms: u64,
    },
    /// These bytes come instead of an HTTP answer.
    Raw {
        #[serde(default)]
        text: Option<String>,
        #[serde(default)]
        base64: Option<String>,
    },
}

fn one_byte() -> usize {
    1
}

fn base64(text: &str) -> Result<Bytes, String> {
    STANDARD.decode(text).map(Bytes::from).map_err(|error| format!("the base64 text is invalid: {error}"))
}

/// A fault that can happen.
#[derive(Debug)]
pub(crate) struct Checked {
    fault: Fault,
    due: Due,
}

impl Fault {
    /// Prepares what the fault needs, or says what is wrong with it. A large bomb takes a moment.
    pub(crate) fn check(self) -> Result<Checked, String> {
        if self.times == Some(0) {
            return Err("times has to be at least 1".to_owned());
        }
        let due = Due::new(&self)?;
        Ok(Checked { fault: self, due })
    }
}

/// A fault that is about to happen to a request.
#[derive(Debug, Clone)]
pub(crate) struct Due {
    /// Given when it is queued.
    pub(crate) id: u64,
    pub(crate) delay: Option<Duration>,
    /// Whether the request is to be carried out.
    pub(crate) perform: bool,
    instead: Option<Prepared>,
    language: Option<Language>,
    truncate: Option<usize>,
    /// What is done to the connection.
    pub(crate) spoil: Option<Spoil>,
}

impl Due {
    fn new(fault: &Fault) -> Result<Self, String> {
        let (mut truncate, mut spoil) = (None, None);
        match &fault.delivery {
            None => {}
            Some(Delivery::Reset { after_body_bytes }) => {
                spoil = Some(Spoil::Cut { body_bytes: *after_body_bytes, end: End::Reset });
            }
            Some(Delivery::Close { after_body_bytes }) => {
                spoil = Some(Spoil::Cut { body_bytes: *after_body_bytes, end: End::Close });
            }
            Some(Delivery::Truncate { body_bytes }) => truncate = Some(*body_bytes),
            Some(Delivery::Drip { bytes: 0, .. }) => return Err("a drip needs at least one byte".to_owned()),
            Some(Delivery::Drip { bytes, every_ms }) => {
                spoil = Some(Spoil::Drip { chunk: *bytes, pause: Duration::from_millis(*every_ms) });
            }
            Some(Delivery::Raw { text, base64: encoded }) => {
                let bytes = match (text, encoded) {
                    (Some(text), None) => Bytes::from(text.clone()),
                    (None, Some(encoded)) => base64(encoded)?,
                    _ => return Err("raw needs either text or base64".to_owned()),
                };
                spoil = Some(Spoil::Replace(bytes));
            }
        }
        let instead = fault.answer.as_ref().map(Instead::prepare).transpose()?;
        Ok(Self {
            id: 0,
            delay: fault.delay_ms.map(Duration::from_millis),
            perform: fault.perform.unwrap_or(instead.is_none()),
            instead,
            language: fault.language,
            truncate,
            spoil,
        })
    }

    /// What is answered, given what the simulator would have answered if it was asked to.
    pub(crate) fn answer(&self, own: Option<Answer>, plan: Plan, now: Timestamp) -> Answer {
        let instead = self.instead.as_ref().map(|prepared| prepared.answer(plan, now));
        let explanation = own.as_ref().and_then(|own| own.explanation.clone());
        let mut answer = instead.or(own).unwrap_or_else(|| Answer::empty(StatusCode::NO_CONTENT));
        answer.explanation = explanation;
        if let Some(language) = self.language {
            answer = languages::translate(answer, language);
        }
        if let Some(bytes) = self.truncate {
            answer.body.truncate(bytes);
        }
        answer
    }
}

#[derive(Debug)]
struct Queued {
    fault: Fault,
    due: Due,
    /// How often it has happened.
    happened: u32,
}

/// A queued fault as the control API shows it.
#[derive(Debug, Serialize)]
pub(crate) struct Listed {
    id: u64,
    happened: u32,
    #[serde(flatten)]
    fault: Fault,
}

/// The faults that wait for their requests, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    queue: Vec<Queued>,
    last_id: u64,
}

impl Faults {
    /// Queues a fault. Answers its id.
    pub(crate) fn add(&mut self, Checked { fault, mut due }: Checked) -> u64 {
        self.last_id += 1;
        due.id = self.last_id;
        self.queue.push(Queued { fault, due, happened: 0 });
        self.last_id
    }

    /// Takes the first fault that is meant for this request, if there is one.
    pub(crate) fn take(&mut self, request: &Request) -> Option<Due> {
        let path = request.path.as_str();
        let short = path.strip_prefix("/v2").filter(|rest| rest.starts_with('/')).unwrap_or(path);
        let index = self.queue.iter_mut().position(|Queued { fault, .. }| {
            let is_meant = (fault.method == "*"
                || fault.method.eq_ignore_ascii_case(request.method.as_str()))
                && (glob::matches(&fault.path, path) || glob::matches(&fault.path, short));
            let begins_later = is_meant && fault.skip > 0;
            if begins_later {
                fault.skip -= 1;
            }
            is_meant && !begins_later
        })?;
        let queued = &mut self.queue[index];
        queued.happened += 1;
        let due = queued.due.clone();
        if let Some(times) = &mut queued.fault.times {
            *times -= 1;
            if *times == 0 {
                self.queue.remove(index);
            }
        }
        Some(due)
    }

    pub(crate) fn list(&self) -> Vec<Listed> {
        let listed = |queued: &Queued| Listed {
            id: queued.due.id,
            happened: queued.happened,
            fault: queued.fault.clone(),
        };
        self.queue.iter().map(listed).collect()
    }

    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Takes a fault away. Answers whether it was there.
    pub(crate) fn remove(&mut self, id: u64) -> bool {
        let before = self.queue.len();
        self.queue.retain(|queued| queued.due.id != id);
        self.queue.len() < before
    }

    pub(crate) fn clear(&mut self) {
        self.queue.clear();
    }
}
