//! What has been sent: one entry for each attempt, in the order in which they began. Bodies are kept with whatever
//! secrets they carry.

use std::collections::VecDeque;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::Serialize;

/// How many attempts are remembered.
const KEPT: usize = 10_000;

/// What became of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Outcome {
    /// It is under way.
    Sending,
    Delivered,
    /// There will be another.
    WillRetry,
    /// It was the last one, and the event is lost.
    Lost,
}

/// One attempt to deliver an event.
#[derive(Debug, Serialize)]
pub(crate) struct Attempt {
    pub(crate) number: u64,
    pub(super) at: String,
    /// The event's number. None for a validation.
    pub(super) event_number: Option<u64>,
    pub(crate) event: String,
    pub(super) meeting: Option<i64>,
    /// None while the subscription is being made.
    pub(super) subscription: Option<u64>,
    pub(super) url: String,
    /// The same for every attempt to deliver one copy of an event to one subscription.
    pub(super) delivery: u64,
    /// Zero, and higher for what is sent twice on demand.
    pub(super) copy: u32,
    pub(super) attempt: u32,
    pub(super) request_id: String,
    pub(super) timestamp: Option<String>,
    pub(super) signature: Option<String>,
    pub(super) body_sha256: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) body: Option<String>,
    /// A body that is not UTF-8.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) body_base64: Option<String>,
    pub(super) outcome: Outcome,
    pub(super) status: Option<u16>,
    /// Why there is no status, or why a validation failed.
    pub(super) error: Option<String>,
    pub(super) elapsed_ms: Option<u64>,
    /// When the next one is due, by the simulator's clock.
    pub(super) next_at: Option<String>,
}

impl Attempt {
    /// The body in the form in which an entry has it.
    pub(super) fn keep(body: &Bytes) -> (Option<String>, Option<String>) {
        match std::str::from_utf8(body) {
            Ok(text) => (Some(text.to_owned()), None),
            Err(_) => (None, Some(STANDARD.encode(body))),
        }
    }
}

/// The attempts so far, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    entries: VecDeque<Attempt>,
    last: u64,
}

impl Journal {
    /// Enters an attempt that begins. Answers its number.
    pub(super) fn open(&mut self, entry: Attempt) -> u64 {
        self.last += 1;
        self.entries.push_back(Attempt { number: self.last, ..entry });
        if self.entries.len() > KEPT {
            self.entries.pop_front();
        }
        self.last
    }

    /// Adds what became of it. Nothing happens if the journal has been cleared since.
    pub(super) fn close(
        &mut self,
        number: u64,
        outcome: Outcome,
        result: Result<StatusCode, String>,
        elapsed: Duration,
        next: Option<Timestamp>,
    ) {
        if let Some(entry) = self.entries.iter_mut().rev().find(|entry| entry.number == number) {
            entry.outcome = outcome;
            entry.elapsed_ms = Some(u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX));
            entry.next_at = next.map(|next| next.to_string());
            match result {
                Ok(status) => entry.status = Some(status.as_u16()),
                Err(error) => entry.error = Some(error),
            }
        }
    }

    /// Says why an answer that came is not good enough.
    pub(super) fn explain(&mut self, number: u64, error: &str) {
        if let Some(entry) = self.entries.iter_mut().rev().find(|entry| entry.number == number) {
            entry.error = Some(error.to_owned());
        }
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = &Attempt> {
        self.entries.iter()
    }

    /// Numbers go on from where they were.
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
    }
}
