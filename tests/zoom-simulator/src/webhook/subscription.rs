//! Event subscriptions of the app: which address gets which events, and whether it has shown that it knows the secret.

use axum::body::Bytes;
use axum::http::StatusCode;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::event::{DEAUTHORIZED, EVENTS};
use super::sign::mac;
use super::target::Target;

/// How often Zoom asks an address again whether it belongs to the app.
const VALID_FOR: SignedDuration = SignedDuration::from_hours(72);

/// After so many failures one after another nothing is sent any more.
const MOST_FAILURES: u32 = 6;

/// A subscription as it is asked for.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wanted {
    pub(crate) url: String,
    /// The app's, unless it has one of its own.
    pub(crate) secret: Option<String>,
    /// All nine, unless some are named.
    pub(crate) events: Option<Vec<String>>,
    /// What the `clientid` header says; the app's own, unless another is named.
    pub(crate) client_id: Option<String>,
    /// What the `authorization` header says: once Zoom's verification token, now whatever the app asks for.
    pub(crate) authorization: Option<String>,
}

/// What has to be known to send something.
#[derive(Debug, Clone)]
pub(crate) struct Credentials {
    pub(crate) target: Target,
    pub(crate) secret: String,
    pub(crate) client_id: String,
    pub(crate) authorization: Option<String>,
}

#[derive(Debug, Clone)]
pub(crate) struct Subscription {
    pub(crate) id: u64,
    pub(crate) credentials: Credentials,
    pub(crate) events: Vec<String>,
    pub(crate) enabled: bool,
    /// When the address last passed.
    validated_at: Timestamp,
    pub(super) next_validation: Timestamp,
    /// How often it has failed since.
    failures: u32,
    error: Option<String>,
}

/// A subscription as the control API shows it. The secret stays away.
#[derive(Debug, Serialize)]
pub(crate) struct Shown {
    id: u64,
    url: String,
    events: Vec<String>,
    client_id: String,
    enabled: bool,
    validated_at: String,
    next_validation_at: String,
    failures: u32,
    error: Option<String>,
}

/// The events that are asked for, or which of them there is not.
pub(crate) fn check_events(events: Option<Vec<String>>) -> Result<Vec<String>, String> {
    let Some(events) = events else {
        return Ok(EVENTS.map(str::to_owned).into());
    };
    match events.iter().find(|event| !EVENTS.contains(&event.as_str())) {
        Some(event) => Err(format!("{event:?} is none of the events: {}", EVENTS.join(", "))),
        None => Ok(events),
    }
}

fn later(now: Timestamp) -> Timestamp {
    now.saturating_add(VALID_FOR).unwrap_or(Timestamp::MAX)
}

impl Subscription {
    /// A subscription whose address has just passed.
    pub(crate) fn new(id: u64, credentials: Credentials, events: Vec<String>, now: Timestamp) -> Self {
        Self {
            id,
            credentials,
            events,
            enabled: true,
            validated_at: now,
            next_validation: later(now),
            failures: 0,
            error: None,
        }
    }

    /// Enters how a validation went. Passing also enables what had been disabled.
    pub(crate) fn validated(&mut self, result: Result<(), String>, now: Timestamp) {
        self.next_validation = later(now);
        match result {
            Ok(()) => {
                self.validated_at = now;
                self.failures = 0;
                self.error = None;
                self.enabled = true;
            }
            Err(error) => {
                self.failures += 1;
                self.error = Some(error);
                self.enabled &= self.failures < MOST_FAILURES;
            }
        }
    }

    /// Nobody asks for the event that a user has removed the app: it is always told.
    pub(super) fn wants(&self, event: &str) -> bool {
        self.enabled && (event == DEAUTHORIZED || self.events.iter().any(|wanted| wanted == event))
    }

    pub(crate) fn show(&self) -> Shown {
        Shown {
            id: self.id,
            url: self.credentials.target.as_str().to_owned(),
            events: self.events.clone(),
            client_id: self.credentials.client_id.clone(),
            enabled: self.enabled,
            validated_at: self.validated_at.to_string(),
            next_validation_at: self.next_validation.to_string(),
            failures: self.failures,
            error: self.error.clone(),
        }
    }
}

/// What is wrong with the answer to a validation.
pub(super) fn check_answer(
    status: StatusCode,
    body: &Bytes,
    plain_token: &str,
    secret: &str,
) -> Result<(), String> {
    if status != StatusCode::OK {
        return Err(format!("it answered {} where 200 is wanted", status.as_u16()));
    }
    let answer: Value =
        serde_json::from_slice(body).map_err(|error| format!("its answer is not JSON: {error}"))?;
    if answer["plainToken"] != plain_token {
        return Err("plainToken in its answer is not the one that was sent".to_owned());
    }
    if answer["encryptedToken"] != mac(secret, plain_token.as_bytes()).as_str() {
        return Err(
            "encryptedToken in its answer is not the HMAC-SHA256 of plainToken with the secret token, in \
                    hexadecimal"
                .to_owned(),
        );
    }
    Ok(())
}
