//! A meeting, its occurrences and its registrants: the model, and the rules by which a body becomes one. It knows
//! neither who is calling nor how the result is shown.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::clock::whole_seconds;
use crate::directory::User;
use crate::errors::{Invalid, ZoomError, ZoomResult};
use crate::recurrence::{Recurrence, parse_local, parse_utc};
use crate::settings::{self, Call, Settings};
use crate::shape::{self, Field, Shape, TEXT, list, may, must};

/// What a meeting is called when nobody says.
const DEFAULT_TOPIC: &str = "Zoom Meeting";

/// How many minutes a meeting takes when nobody says.
const DEFAULT_DURATION: i64 = 60;

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
        [
            Self::Instant,
            Self::Scheduled,
            Self::Unfixed,
            Self::Recurring,
            Self::ScreenShare,
        ]
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
    pub(crate) fn end(&self) -> Timestamp {
        end(self.start, self.duration)
    }
}

fn end(start: Timestamp, minutes: i64) -> Timestamp {
    start
        .saturating_add(SignedDuration::from_mins(minutes))
        .unwrap_or(Timestamp::MAX)
}

impl Meeting {
    pub(crate) fn zone(&self) -> TimeZone {
        TimeZone::get(&self.timezone).unwrap_or(TimeZone::UTC)
    }

    /// The occurrence with this id, unless it has been deleted.
    pub(crate) fn occurrence(&self, id: &str) -> Option<&Occurrence> {
        self.occurrences
            .iter()
            .find(|occurrence| occurrence.id == id && !occurrence.deleted)
    }

    pub(crate) fn occurrence_mut(&mut self, id: &str) -> Option<&mut Occurrence> {
        self.occurrences
            .iter_mut()
            .find(|occurrence| occurrence.id == id && !occurrence.deleted)
    }

    /// Whether people can register at all. A recurring meeting without a fixed time has no registration.
    pub(crate) fn takes_registrations(&self) -> bool {
        self.kind.is_fixed() && settings::number_of(&self.settings, "approval_type") != 2
    }

    /// Whether `user` may manage this meeting without an account-level scope.
    pub(crate) fn is_managed_by(&self, user: &User) -> bool {
        let alternative_hosts = settings::text_of(&self.settings, "alternative_hosts");
        self.host.id == user.id
            || self
                .assistant
                .as_ref()
                .is_some_and(|assistant| assistant.id == user.id)
            || alternative_hosts.split(';').any(|name| user.is_called(name))
    }

    /// When the last of it is over. `None`: it has no time.
    pub(crate) fn last_end(&self) -> Option<Timestamp> {
        match self.kind {
            Kind::Recurring => self
                .occurrences
                .iter()
                .filter(|occurrence| !occurrence.deleted)
                .map(Occurrence::end)
                .max(),
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

    /// Makes the occurrences afresh from `start` and `recurrence`. What was said about single ones is gone.
    fn lay_out(&mut self) {
        let (Some(recurrence), Some(start)) = (&self.recurrence, self.start) else {
            self.occurrences.clear();
            return;
        };
        let starts = recurrence.starts(start, &self.zone());
        self.occurrences = starts
            .into_iter()
            .map(|start| Occurrence {
                id: start.as_millisecond().to_string(),
                start,
                duration: self.duration,
                agenda: None,
                settings: Settings::new(),
                deleted: false,
            })
            .collect();
        // The series begins with its first occurrence, which may be after the day that was given.
        self.start = self
            .occurrences
            .first()
            .map_or(Some(start), |first| Some(first.start));
    }
}

/// Members that both calls take.
const FIELDS: &[Field] = &[
    may("topic", Shape::Text(200)),
    may("type", Shape::OneOfWhole(&[1, 2, 3, 8, 10])),
    may("pre_schedule", Shape::Flag),
    may("start_time", Shape::Special(start_time)),
    may("duration", Shape::Whole(0, i32::MAX as i64)),
    may("schedule_for", TEXT),
    may("timezone", Shape::Special(timezone)),
    may("agenda", Shape::Text(2_000)),
    may(
        "tracking_fields",
        list(&Shape::Object(&[must("field", TEXT), may("value", TEXT)])),
    ),
    // Templates are not simulated: any id is accepted and changes nothing.
    may("template_id", TEXT),
];

const CREATE_FIELDS: &[Field] = &[
    may("password", Shape::Special(password)),
    may("default_password", Shape::Flag),
];

const UPDATE_FIELDS: &[Field] = &[may("password", Shape::Special(password_of_update))];

fn start_time(text: &str) -> Result<(), String> {
    let fine = parse_utc(text).is_some() || parse_local(text).is_some();
    fine.then_some(())
        .ok_or_else(|| format!("{text:?} is neither like 2030-01-31T12:00:00Z nor like 2030-01-31T12:00:00"))
}

/// The name of a zone in the time zone database, spelled as there.
pub(crate) fn timezone(name: &str) -> Result<(), String> {
    let found = TimeZone::get(name)
        .ok()
        .is_some_and(|zone| zone.iana_name() == Some(name));
    found
        .then_some(())
        .ok_or_else(|| format!("{name:?} is not a known time zone"))
}

fn passcode_length(text: &str) -> Result<(), String> {
    match text.chars().count() {
        length if length > 10 => Err(format!("has {length} characters, at most 10 are allowed")),
        _ => Ok(()),
    }
}

/// "Alphanumeric characters as well as special characters".
fn password(text: &str) -> Result<(), String> {
    passcode_length(text)?;
    let fine = text.chars().all(|c| c.is_ascii_graphic());
    fine.then_some(())
        .ok_or_else(|| "has a character that is no letter, digit or ASCII sign".to_owned())
}

/// An update is stricter than a creation.
fn password_of_update(text: &str) -> Result<(), String> {
    passcode_length(text)?;
    let fine = text
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "@-_*".contains(c));
    fine.then_some(())
        .ok_or_else(|| "has a character other than letters, digits and @ - _ *".to_owned())
}

const PAST_START: &str = "start_time: ignored, it is in the past";

/// A body of *Create a meeting* or *Update a meeting*, checked.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Said {
    topic: Option<String>,
    #[serde(rename = "type")]
    kind: Option<i64>,
    pre_schedule: Option<bool>,
    start_time: Option<String>,
    duration: Option<i64>,
    pub(crate) schedule_for: Option<String>,
    timezone: Option<String>,
    agenda: Option<String>,
    tracking_fields: Option<Vec<TrackingField>>,
    pub(crate) password: Option<String>,
    default_password: Option<bool>,
    #[serde(skip)]
    settings: Settings,
    #[serde(skip)]
    recurrence: Option<Recurrence>,
    #[serde(skip)]
    says_recurrence: bool,
}

impl Said {
    /// Checks a body, all problems at once.
    pub(crate) fn read(call: Call, body: &Map<String, Value>) -> ZoomResult<Self> {
        let mut problems = Vec::new();
        let more = if call == Call::Create {
            CREATE_FIELDS
        } else {
            UPDATE_FIELDS
        };
        let known = shape::read(FIELDS.iter().chain(more), body, "", &mut problems);
        let mut said: Self = serde_json::from_value(Value::Object(known)).unwrap_or_default();
        match body.get("settings") {
            None | Some(Value::Null) => {}
            Some(Value::Object(settings)) => said.settings = settings::read(call, settings, &mut problems),
            Some(_) => problems.push(Invalid::new("settings", "is not an object")),
        }
        match body.get("recurrence") {
            None | Some(Value::Null) => {}
            Some(Value::Object(recurrence)) if said.uses_recurrence(call) => {
                said.says_recurrence = true;
                said.recurrence = Recurrence::read(recurrence, &mut problems);
            }
            // "Use this object only for a meeting with type 8": for the others it is not looked at.
            Some(Value::Object(_)) => {}
            Some(_) => problems.push(Invalid::new("recurrence", "is not an object")),
        }
        if !problems.is_empty() {
            return Err(ZoomError::validation(problems));
        }
        settings::refuse(&said.settings)?;
        Ok(said)
    }

    /// An update may leave the type out and mean the stored one.
    fn uses_recurrence(&self, call: Call) -> bool {
        self.kind == Some(Kind::Recurring.number()) || (call == Call::Update && self.kind.is_none())
    }

    /// The type it asks for.
    pub(crate) fn kind(&self) -> Option<Kind> {
        self.kind.and_then(Kind::from_number)
    }

    /// Whether Zoom is to make a passcode up.
    pub(crate) fn wants_passcode(&self) -> bool {
        self.default_password.unwrap_or(true)
    }

    fn start(&self, zone: &TimeZone) -> Option<Timestamp> {
        let text = self.start_time.as_deref()?;
        match parse_local(text) {
            Some(local) => zone.to_zoned(local).ok().map(|zoned| zoned.timestamp()),
            None => parse_utc(text),
        }
    }
}

/// What a new meeting gets that no body can say.
pub(crate) struct Issued {
    pub(crate) id: i64,
    pub(crate) uuid: String,
    pub(crate) host: Arc<User>,
    pub(crate) assistant: Option<Arc<User>>,
    pub(crate) passcode: Option<Passcode>,
    pub(crate) host_key: String,
    pub(crate) now: Timestamp,
}

fn refuse_pre_schedule(kind: Kind, pre_schedule: bool) -> ZoomResult<()> {
    if pre_schedule && !matches!(kind, Kind::Scheduled | Kind::Unfixed) {
        return Err(ZoomError::no_access(
            "Prescheduling is only available for scheduled meetings (type 2) and recurring meetings with no fixed \
             time (type 3).",
        ));
    }
    Ok(())
}

impl Meeting {
    /// The meeting that a body of *Create a meeting* asks for.
    pub(crate) fn create(said: Said, issued: Issued) -> ZoomResult<Self> {
        let asked = said.kind().unwrap_or(Kind::Scheduled);
        refuse_pre_schedule(asked, said.pre_schedule.unwrap_or_default())?;
        let timezone = said
            .timezone
            .clone()
            .unwrap_or_else(|| issued.host.timezone.to_owned());
        let zone = TimeZone::get(&timezone).unwrap_or(TimeZone::UTC);
        let start = said.start(&zone).filter(|_| asked.is_fixed());
        // A scheduled meeting without a start becomes an instant one.
        let kind = if asked == Kind::Scheduled && start.is_none() {
            Kind::Instant
        } else {
            asked
        };
        if kind == Kind::Recurring {
            let mut missing = Vec::new();
            if start.is_none() {
                missing.push(Invalid::new("start_time", "is required for type 8"));
            }
            if said.recurrence.is_none() {
                missing.push(Invalid::new("recurrence", "is required for type 8"));
            }
            if !missing.is_empty() {
                return Err(ZoomError::validation(missing));
            }
        }
        let mut stored = settings::presets();
        settings::merge(&mut stored, &said.settings);
        let mut meeting = Self {
            id: issued.id,
            uuid: issued.uuid,
            kind,
            host: issued.host,
            assistant: issued.assistant,
            topic: said
                .topic
                .filter(|topic| !topic.is_empty())
                .unwrap_or_else(|| DEFAULT_TOPIC.to_owned()),
            agenda: said.agenda,
            start,
            duration: said.duration.unwrap_or(DEFAULT_DURATION),
            timezone,
            created_at: whole_seconds(issued.now),
            passcode: issued.passcode,
            host_key: issued.host_key,
            settings: stored,
            recurrence: said.recurrence,
            occurrences: Vec::new(),
            tracking_fields: said.tracking_fields.unwrap_or_default(),
            pre_schedule: said.pre_schedule.unwrap_or_default(),
            in_progress: false,
        };
        meeting.settle_room();
        meeting.lay_out();
        meeting.refuse_empty_series()?;
        Ok(meeting)
    }

    /// The Personal Meeting Room of a user.
    pub(crate) fn personal_room(pmi: i64, issued: Issued) -> Self {
        Self {
            id: pmi,
            uuid: issued.uuid,
            kind: Kind::Personal,
            topic: format!("{}'s Personal Meeting Room", issued.host.display_name()),
            agenda: None,
            start: None,
            duration: DEFAULT_DURATION,
            timezone: issued.host.timezone.to_owned(),
            created_at: whole_seconds(issued.now),
            passcode: issued.passcode,
            host_key: issued.host_key,
            settings: settings::presets(),
            recurrence: None,
            occurrences: Vec::new(),
            tracking_fields: Vec::new(),
            pre_schedule: false,
            in_progress: false,
            host: issued.host,
            assistant: issued.assistant,
        }
    }

    /// Applies a body of *Update a meeting* to the whole meeting.
    ///
    /// A start in the past is ignored without a word, and so is the recurrence of a series that comes with such a start
    /// or with none ("does not update any recurring meetings"). Answers what has been ignored.
    pub(crate) fn update(
        &mut self,
        said: Said,
        passcode: Option<Passcode>,
        now: Timestamp,
    ) -> ZoomResult<Vec<&'static str>> {
        let mut ignored = Vec::new();
        let asked = match self.kind {
            // Whatever is said, a Personal Meeting Room stays one.
            Kind::Personal => Kind::Personal,
            kind => said.kind().unwrap_or(kind),
        };
        if said.pre_schedule == Some(true) {
            refuse_pre_schedule(asked, true)?;
        }
        if let Some(timezone) = &said.timezone {
            self.timezone.clone_from(timezone);
        }
        let start = said.start(&self.zone()).filter(|start| *start > now);
        if said.start_time.is_some() && start.is_none() {
            ignored.push(PAST_START);
        }
        let becomes_series = asked == Kind::Recurring && self.kind != Kind::Recurring;
        if becomes_series && said.recurrence.is_none() {
            return Err(ZoomError::invalid(
                "recurrence",
                "is required when the type becomes 8",
            ));
        }
        if becomes_series && start.or(self.start).is_none() {
            return Err(ZoomError::invalid(
                "start_time",
                "is required when the type becomes 8",
            ));
        }
        if asked == Kind::Scheduled && start.or(self.start).is_none() {
            return Err(ZoomError::invalid(
                "start_time",
                "is required when the type becomes 2",
            ));
        }

        self.kind = asked;
        if !asked.is_fixed() {
            self.start = None;
        } else if start.is_some() {
            self.start = start;
        }
        if asked != Kind::Recurring {
            self.recurrence = None;
            self.occurrences.clear();
        } else if start.is_some() || becomes_series {
            if said.says_recurrence {
                self.recurrence = said.recurrence;
            }
            self.duration = said.duration.unwrap_or(self.duration);
            self.lay_out();
            self.refuse_empty_series()?;
        } else {
            if said.says_recurrence {
                ignored.push("recurrence: ignored, it needs a start_time in the future beside it");
            }
            let duration = said.duration.unwrap_or(self.duration);
            for occurrence in self
                .occurrences
                .iter_mut()
                .filter(|occurrence| occurrence.start > now)
            {
                occurrence.duration = duration;
            }
        }

        self.topic = said
            .topic
            .filter(|topic| !topic.is_empty())
            .unwrap_or_else(|| self.topic.clone());
        self.agenda = said.agenda.or(self.agenda.take());
        self.duration = said.duration.unwrap_or(self.duration);
        self.tracking_fields = said
            .tracking_fields
            .unwrap_or_else(|| self.tracking_fields.clone());
        self.pre_schedule = said.pre_schedule.unwrap_or(self.pre_schedule);
        if said.password.is_some() {
            self.passcode = passcode;
        }
        settings::merge(&mut self.settings, &said.settings);
        self.settle_room();
        Ok(ignored)
    }

    /// Applies a body of *Update a meeting* to one occurrence: agenda, start, duration and seven settings. What else
    /// the body says is ignored.
    pub(crate) fn update_occurrence(
        &mut self,
        id: &str,
        said: Said,
        now: Timestamp,
    ) -> ZoomResult<Vec<&'static str>> {
        let zone = match &said.timezone {
            Some(name) => TimeZone::get(name).unwrap_or_else(|_| self.zone()),
            None => self.zone(),
        };
        let series = self.settings.clone();
        let occurrence = self
            .occurrence_mut(id)
            .ok_or_else(|| ZoomError::bad_occurrence("occurrence_id"))?;
        let mut ignored = Vec::new();
        match said.start(&zone).filter(|start| *start > now) {
            Some(start) => occurrence.start = start,
            None if said.start_time.is_some() => ignored.push(PAST_START),
            None => {}
        }
        occurrence.duration = said.duration.unwrap_or(occurrence.duration);
        occurrence.agenda = said.agenda.or(occurrence.agenda.take());
        for (name, value) in &said.settings {
            occurrence.settings.insert(name.clone(), value.clone());
        }
        let mut effective = series;
        settings::merge(&mut effective, &occurrence.settings);
        if settings::flag_of(&effective, "waiting_room") {
            occurrence
                .settings
                .insert("join_before_host".to_owned(), Value::Bool(false));
        }
        Ok(ignored)
    }

    /// The Personal Meeting Room is for hosts who have one, and not for a series with a fixed time.
    fn settle_room(&mut self) {
        let possible =
            matches!(self.kind, Kind::Instant | Kind::Scheduled | Kind::Unfixed) && self.host.pmi.is_some();
        let wanted = settings::flag_of(&self.settings, "use_pmi");
        self.settings
            .insert("use_pmi".to_owned(), Value::Bool(possible && wanted));
    }

    fn refuse_empty_series(&self) -> ZoomResult<()> {
        if self.kind == Kind::Recurring && self.occurrences.is_empty() {
            return Err(ZoomError::invalid(
                "recurrence.end_date_time",
                "is before the first occurrence",
            ));
        }
        Ok(())
    }
}

/// `status` of a registrant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Standing {
    Approved,
    Pending,
    Denied,
}

/// Somebody who has registered.
#[derive(Debug, Clone)]
pub(crate) struct Registrant {
    pub(crate) id: String,
    pub(crate) email: String,
    /// What they wrote into the form, as reads show it.
    pub(crate) answers: Map<String, Value>,
    pub(crate) standing: Standing,
    pub(crate) created_at: Timestamp,
    pub(crate) pin: i64,
    /// What their `join_url` carries as `tk`.
    pub(crate) ticket: String,
    /// The occurrences they registered for. `None`: all of them.
    pub(crate) occurrences: Option<Vec<String>>,
}

impl Registrant {
    pub(crate) fn attends(&self, occurrence: &str) -> bool {
        self.occurrences
            .as_ref()
            .is_none_or(|ids| ids.iter().any(|id| id == occurrence))
    }
}
