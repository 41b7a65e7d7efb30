//! A meeting and its occurrences: the model, and what can be told from it. It knows neither who is calling nor how the
//! result is shown.

mod body;
mod lifecycle;

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};

pub(crate) use body::{Said, timezone};
pub(crate) use lifecycle::Issued;

use crate::directory::User;
use crate::recurrence::Recurrence;
use crate::settings::{self, Settings};

/// `type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Instant,
    Scheduled,
    /// Recurring, with no fixed time.
    Unfixed,
    /// A user's Personal Meeting Room. It cannot be created or deleted.
    Personal,
    /// Recurring, with a fixed time.
    Recurring,
    ScreenShare,
}

impl Kind {
    pub(crate) fn number(self) -> i64 {
        match self {
            Self::Instant => 1,
            Self::Scheduled => 2,
            Self::Unfixed => 3,
            Self::Personal => 4,
            Self::Recurring => 8,
            Self::ScreenShare => 10,
        }
    }

    fn from_number(number: i64) -> Option<Self> {
        [Self::Instant, Self::Scheduled, Self::Unfixed, Self::Recurring, Self::ScreenShare]
            .into_iter()
            .find(|kind| kind.number() == number)
    }

    /// Whether meetings of this kind have a start time.
    pub(crate) fn is_fixed(self) -> bool {
        matches!(self, Self::Scheduled | Self::Recurring)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TrackingField {
    pub(crate) field: String,
    #[serde(default)]
    pub(crate) value: String,
}

/// The passcode of a meeting, in the forms in which different devices need it.
#[derive(Debug, Clone)]
pub(crate) struct Passcode {
    pub(crate) text: String,
    /// For H.323 and telephone, which have digits only.
    pub(crate) digits: String,
    /// What `join_url` carries as `pwd`.
    pub(crate) encrypted: String,
}

#[derive(Debug, Clone)]
pub(crate) struct Meeting {
    pub(crate) id: i64,
    /// A meeting that has ended gets a new one for its next instance.
    pub(crate) uuid: String,
    pub(crate) kind: Kind,
    pub(crate) host: Arc<User>,
    /// Who scheduled it on the host's behalf.
    pub(crate) assistant: Option<Arc<User>>,
    pub(crate) topic: String,
    pub(crate) agenda: Option<String>,
    pub(crate) start: Option<Timestamp>,
    /// Minutes.
    pub(crate) duration: i64,
    pub(crate) timezone: String,
    pub(crate) created_at: Timestamp,
    pub(crate) passcode: Option<Passcode>,
    pub(crate) host_key: String,
    pub(crate) settings: Settings,
    pub(crate) recurrence: Option<Recurrence>,
    pub(crate) occurrences: Vec<Occurrence>,
    pub(crate) tracking_fields: Vec<TrackingField>,
    pub(crate) pre_schedule: bool,
    pub(crate) in_progress: bool,
}

/// One occurrence of a recurring meeting with a fixed time.
#[derive(Debug, Clone)]
pub(crate) struct Occurrence {
    /// Milliseconds since 1970 of the start the series gave it. It stays when the occurrence is moved.
    pub(crate) id: String,
    pub(crate) start: Timestamp,
    pub(crate) duration: i64,
    pub(crate) agenda: Option<String>,
    /// What differs from the settings of the series.
    pub(crate) settings: Settings,
    pub(crate) deleted: bool,
}

impl Occurrence {
    fn new(start: Timestamp, duration: i64) -> Self {
        Self {
            id: start.as_millisecond().to_string(),
            start,
            duration,
            agenda: None,
            settings: Settings::new(),
            deleted: false,
        }
    }

    pub(crate) fn end(&self) -> Timestamp {
        end(self.start, self.duration)
    }
}

fn end(start: Timestamp, minutes: i64) -> Timestamp {
    start.saturating_add(SignedDuration::from_mins(minutes)).unwrap_or(Timestamp::MAX)
}

impl Meeting {
    pub(crate) fn zone(&self) -> TimeZone {
        TimeZone::get(&self.timezone).unwrap_or(TimeZone::UTC)
    }

    /// The occurrence with this id, unless it has been deleted.
    pub(crate) fn occurrence(&self, id: &str) -> Option<&Occurrence> {
        self.occurrences.iter().find(|occurrence| occurrence.id == id && !occurrence.deleted)
    }

    pub(crate) fn occurrence_mut(&mut self, id: &str) -> Option<&mut Occurrence> {
        self.occurrences.iter_mut().find(|occurrence| occurrence.id == id && !occurrence.deleted)
    }

    /// Whether people can register at all. A recurring meeting without a fixed time has no registration.
    pub(crate) fn takes_registrations(&self) -> bool {
        self.kind.is_fixed() && settings::number_of(&self.settings, "approval_type") != 2
    }

    /// Whether `user` may manage this meeting without an account-level scope.
    pub(crate) fn is_managed_by(&self, user: &User) -> bool {
        let alternative_hosts = settings::text_of(&self.settings, "alternative_hosts");
        self.host.id == user.id
            || self.assistant.as_ref().is_some_and(|assistant| assistant.id == user.id)
            || alternative_hosts.split(';').any(|name| user.is_called(name))
    }

    /// When the last of it is over. `None`: it has no time.
    pub(crate) fn last_end(&self) -> Option<Timestamp> {
        match self.kind {
            Kind::Recurring => {
                self.occurrences.iter().filter(|occurrence| !occurrence.deleted).map(Occurrence::end).max()
            }
            _ => self.start.map(|start| end(start, self.duration)),
        }
    }

    /// When its number stops being valid: 30 days after the scheduled date, 365 days after the last occurrence (Zoom's
    /// support pages), 30 days after creation for an instant meeting. A Personal Meeting Room never does.
    pub(crate) fn expires(&self) -> Option<Timestamp> {
        let (from, days) = match self.kind {
            Kind::Personal => return None,
            Kind::Instant | Kind::ScreenShare => (self.created_at, 30),
            Kind::Scheduled => (self.last_end()?, 30),
            Kind::Unfixed => (self.created_at, 365),
            Kind::Recurring => (self.last_end().unwrap_or(self.created_at), 365),
        };
        from.checked_add(SignedDuration::from_hours(days * 24)).ok()
    }
}
