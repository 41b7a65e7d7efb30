//! Zoom's rate limits: what is counted, when a call is refused, and what the headers say.
//!
//! Limits per second and per day belong to the account and depend on its plan and the endpoint's label (Zoom's
//! documentation, "Rate limits"). Two more are counted per UTC day whatever the plan: 100 calls that create or update
//! a meeting per host, and 3 registrations per registrant. Answers to those two carry the label `Light`, no type and
//! no `Retry-After`, as observed.

use std::collections::{HashMap, VecDeque};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use jiff::civil::Date;
use jiff::{SignedDuration, Timestamp, ToSpan, tz::TimeZone};

use crate::clock::zulu;
use crate::config::Plan;
use crate::errors::{ZoomError, ZoomResult};

const CATEGORY: HeaderName = HeaderName::from_static("x-ratelimit-category");
const TYPE: HeaderName = HeaderName::from_static("x-ratelimit-type");
const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RETRY_AFTER: HeaderName = HeaderName::from_static("retry-after");

/// Calls that create or update a meeting, per host and UTC day.
pub(crate) const WRITES_PER_HOST: u32 = 100;

/// Registrations of one e-mail address per UTC day, whatever the meeting.
pub(crate) const ADDS_PER_REGISTRANT: u32 = 3;

/// The label of an endpoint. None of the simulated ones is "Heavy".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Label {
    Light,
    Medium,
}

impl Label {
    fn name(self) -> &'static str {
        match self {
            Self::Light => "Light",
            Self::Medium => "Medium",
        }
    }

    fn per_second(self, plan: Plan) -> u32 {
        match (self, plan) {
            (Self::Light, Plan::Free) => 4,
            (Self::Light, Plan::Pro) => 30,
            (Self::Light, Plan::Business) => 80,
            (Self::Medium, Plan::Free) => 2,
            (Self::Medium, Plan::Pro) => 20,
            (Self::Medium, Plan::Business) => 60,
        }
    }

    fn per_day(self, plan: Plan) -> Option<u32> {
        match (self, plan) {
            (Self::Light, Plan::Free) => Some(6_000),
            (Self::Medium, Plan::Free) => Some(2_000),
            (_, Plan::Pro | Plan::Business) => None,
        }
    }
}

/// The ways in which Zoom says 429.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limit {
    PerSecond,
    Daily,
    /// 100 creates and updates of one host.
    PerHost,
    /// 3 registrations of one person.
    PerRegistrant,
}

impl Limit {
    pub(crate) fn message(self) -> &'static str {
        match self {
            Self::PerSecond => {
                "You have reached the maximum per-second rate limit for this API. Try again later."
            }
            Self::Daily => {
                "You have reached the maximum daily rate limit for this API. Refer to the response header for \
                 details on when you can make another request."
            }
            Self::PerHost => {
                "You have exceeded the daily rate limit (100) of Meeting Create/Update API requests permitted for \
                 this particular user. You may resume these requests at GMT 00:00:00."
            }
            Self::PerRegistrant => {
                "You have exceeded the daily rate limit (3) of Add Meeting Registrant API requests permitted for \
                 this particular registrant. You may resume these requests at GMT 00:00:00."
            }
        }
    }

    /// The headers of a refusal.
    pub(crate) fn headers(self, label: Label, plan: Plan, now: Timestamp) -> HeaderMap {
        match self {
            Self::PerSecond => headers(label, Some("QPS"), label.per_second(plan), 0),
            Self::Daily => {
                let limit = label.per_day(plan).unwrap_or_default();
                let mut headers = headers(label, Some("Daily-limit"), limit, 0);
                insert(&mut headers, RETRY_AFTER, &zulu(next_midnight(now)));
                headers
            }
            // Observed with a limit that was far from used up, on an endpoint labelled Medium.
            Self::PerHost | Self::PerRegistrant => {
                let limit = Label::Light.per_day(plan).unwrap_or_else(|| Label::Light.per_second(plan));
                headers(Label::Light, None, limit, limit - 1)
            }
        }
    }
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

fn headers(label: Label, kind: Option<&str>, limit: u32, remaining: u32) -> HeaderMap {
    let mut headers = HeaderMap::new();
    insert(&mut headers, CATEGORY, label.name());
    if let Some(kind) = kind {
        insert(&mut headers, TYPE, kind);
    }
    insert(&mut headers, LIMIT, &limit.to_string());
    insert(&mut headers, REMAINING, &remaining.to_string());
    headers
}

fn utc_day(now: Timestamp) -> Date {
    now.to_zoned(TimeZone::UTC).date()
}

/// When a new UTC day begins.
pub(crate) fn next_midnight(now: Timestamp) -> Timestamp {
    let tomorrow = utc_day(now).saturating_add(1.day());
    tomorrow.to_zoned(TimeZone::UTC).map_or(Timestamp::MAX, |midnight| midnight.timestamp())
}

/// Counts something per UTC day.
#[derive(Debug)]
struct Daily<K> {
    counts: HashMap<K, (Date, u32)>,
}

impl<K> Default for Daily<K> {
    fn default() -> Self {
        Self { counts: HashMap::new() }
    }
}

impl<K: Eq + std::hash::Hash> Daily<K> {
    /// Counts one more, unless `most` have been counted today. Answers how many are left.
    fn count(&mut self, key: K, most: u32, now: Timestamp) -> Option<u32> {
        let today = utc_day(now);
        let (day, count) = self.counts.entry(key).or_insert((today, 0));
        if *day != today {
            (*day, *count) = (today, 0);
        }
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(most - *count)
    }
}

/// What has been counted so far.
#[derive(Debug)]
pub(crate) struct Limits {
    pub(crate) enabled: bool,
    pub(crate) plan: Plan,
    last_second: HashMap<Label, VecDeque<Timestamp>>,
    calls: Daily<Label>,
    writes: Daily<String>,
    adds: Daily<String>,
}

impl Limits {
    pub(crate) fn new(enabled: bool, plan: Plan) -> Self {
        Self {
            enabled,
            plan,
            last_second: HashMap::new(),
            calls: Daily::default(),
            writes: Daily::default(),
            adds: Daily::default(),
        }
    }

    fn refuse(&self, limit: Limit, label: Label, now: Timestamp) -> ZoomError {
        ZoomError::too_many(limit.message(), limit.headers(label, self.plan, now))
    }

    /// Counts a call of an endpoint with this label. Answers the headers that go with its answer.
    pub(crate) fn call(&mut self, label: Label, now: Timestamp) -> ZoomResult<HeaderMap> {
        if !self.enabled {
            return Ok(HeaderMap::new());
        }
        let per_second = label.per_second(self.plan);
        let calls = self.last_second.entry(label).or_default();
        while calls.front().is_some_and(|call| now.duration_since(*call) >= SignedDuration::from_secs(1)) {
            calls.pop_front();
        }
        let used = u32::try_from(calls.len()).unwrap_or(u32::MAX);
        if used >= per_second {
            return Err(self.refuse(Limit::PerSecond, label, now));
        }
        let Some(per_day) = label.per_day(self.plan) else {
            calls.push_back(now);
            return Ok(headers(label, Some("QPS"), per_second, per_second - used - 1));
        };
        let Some(remaining) = self.calls.count(label, per_day, now) else {
            return Err(self.refuse(Limit::Daily, label, now));
        };
        calls.push_back(now);
        Ok(headers(label, Some("Daily-limit"), per_day, remaining))
    }

    /// Counts a call that creates or updates a meeting of `host`.
    pub(crate) fn write(&mut self, host: &str, now: Timestamp) -> ZoomResult<()> {
        if !self.enabled || self.writes.count(host.to_owned(), WRITES_PER_HOST, now).is_some() {
            return Ok(());
        }
        Err(self.refuse(Limit::PerHost, Label::Light, now))
    }

    /// Counts a registration of `email`.
    pub(crate) fn register(&mut self, email: &str, now: Timestamp) -> ZoomResult<()> {
        let email = email.to_lowercase();
        if !self.enabled || self.adds.count(email, ADDS_PER_REGISTRANT, now).is_some() {
            return Ok(());
        }
        Err(self.refuse(Limit::PerRegistrant, Label::Light, now))
    }
}
