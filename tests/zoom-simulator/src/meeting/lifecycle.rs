//! How a meeting comes into being and how it changes: the rules that involve more than one member of a body, and what
//! Zoom does without saying so.

use std::sync::Arc;

use jiff::{Timestamp, tz::TimeZone};
use serde_json::Value;

use super::{Kind, Meeting, Occurrence, Passcode, Said};
use crate::clock::whole_seconds;
use crate::directory::User;
use crate::errors::{Invalid, ZoomError, ZoomResult};
use crate::settings;

/// What a meeting is called when nobody says.
const DEFAULT_TOPIC: &str = "Zoom Meeting";

/// How many minutes a meeting takes when nobody says.
const DEFAULT_DURATION: i64 = 60;

const PAST_START: &str = "start_time: ignored, it is in the past";

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
        let timezone = said.timezone.clone().unwrap_or_else(|| issued.host.timezone.to_owned());
        let zone = TimeZone::get(&timezone).unwrap_or(TimeZone::UTC);
        let start = said.start(&zone).filter(|_| asked.is_fixed());
        // A scheduled meeting without a start becomes an instant one.
        let kind = if asked == Kind::Scheduled && start.is_none() { Kind::Instant } else { asked };
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
            topic: said.topic.filter(|topic| !topic.is_empty()).unwrap_or_else(|| DEFAULT_TOPIC.to_owned()),
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
        meeting.lay_out()?;
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

    /// Applies a body of *Update a meeting* to the whole meeting. Answers what has been ignored.
    pub(crate) fn update(
        &mut self,
        said: Said,
        passcode: Option<Passcode>,
        now: Timestamp,
    ) -> ZoomResult<Vec<&'static str>> {
        let kind = match self.kind {
            // Whatever is said, a Personal Meeting Room stays one.
            Kind::Personal => Kind::Personal,
            kind => said.kind().unwrap_or(kind),
        };
        refuse_pre_schedule(kind, said.pre_schedule.unwrap_or_default())?;
        if let Some(timezone) = &said.timezone {
            self.timezone.clone_from(timezone);
        }
        let ignored = self.reschedule(kind, &said, now)?;
        if let Some(topic) = said.topic.filter(|topic| !topic.is_empty()) {
            self.topic = topic;
        }
        if said.agenda.is_some() {
            self.agenda = said.agenda;
        }
        if let Some(tracking_fields) = said.tracking_fields {
            self.tracking_fields = tracking_fields;
        }
        if said.password.is_some() {
            self.passcode = passcode;
        }
        self.pre_schedule = said.pre_schedule.unwrap_or(self.pre_schedule);
        settings::merge(&mut self.settings, &said.settings);
        self.settle_room();
        Ok(ignored)
    }

    /// Type, start, duration and recurrence.
    ///
    /// A start in the past is ignored without a word, and so is the recurrence of a series that comes with such a start
    /// or with none: "If the value is omitted or a date is in the past, the API ignores this value and does not update
    /// any recurring meetings".
    fn reschedule(&mut self, kind: Kind, said: &Said, now: Timestamp) -> ZoomResult<Vec<&'static str>> {
        let mut ignored = Vec::new();
        let start = said.start(&self.zone()).filter(|start| *start > now);
        if said.says_start() && start.is_none() {
            ignored.push(PAST_START);
        }
        let becomes_series = kind == Kind::Recurring && self.kind != kind;
        if becomes_series && said.recurrence.is_none() {
            return Err(ZoomError::invalid("recurrence", "is required when the type becomes 8"));
        }
        self.start = if kind.is_fixed() { start.or(self.start) } else { None };
        if kind.is_fixed() && self.start.is_none() {
            return Err(ZoomError::invalid("start_time", "is required when the type becomes 2 or 8"));
        }
        self.kind = kind;
        self.duration = said.duration.unwrap_or(self.duration);
        if kind != Kind::Recurring {
            self.recurrence = None;
            self.occurrences.clear();
        } else if becomes_series || start.is_some() {
            self.recurrence = said.recurrence.clone().or(self.recurrence.take());
            self.lay_out()?;
        } else {
            if said.recurrence.is_some() {
                ignored.push("recurrence: ignored, it needs a start_time in the future beside it");
            }
            if let Some(duration) = said.duration {
                let to_come = self.occurrences.iter_mut().filter(|occurrence| occurrence.start > now);
                to_come.for_each(|occurrence| occurrence.duration = duration);
            }
        }
        Ok(ignored)
    }

    /// Applies a body of *Update a meeting* to one occurrence: agenda, start, duration and seven settings. What else
    /// the body says is not looked at. Answers what has been ignored.
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
        let occurrence = self.occurrence_mut(id).ok_or_else(|| ZoomError::bad_occurrence("occurrence_id"))?;
        let mut ignored = Vec::new();
        match said.start(&zone).filter(|start| *start > now) {
            Some(start) => occurrence.start = start,
            None if said.says_start() => ignored.push(PAST_START),
            None => {}
        }
        occurrence.duration = said.duration.unwrap_or(occurrence.duration);
        occurrence.agenda = said.agenda.or(occurrence.agenda.take());
        occurrence.settings.extend(said.settings);
        Ok(ignored)
    }

    /// Makes the occurrences afresh from `start` and `recurrence`. What was said about single ones is gone.
    fn lay_out(&mut self) -> ZoomResult<()> {
        self.occurrences.clear();
        let (Some(recurrence), Some(start)) = (&self.recurrence, self.start) else {
            return Ok(());
        };
        let starts = recurrence.starts(start, &self.zone());
        self.occurrences = starts.into_iter().map(|start| Occurrence::new(start, self.duration)).collect();
        let first = self.occurrences.first().ok_or_else(|| {
            ZoomError::invalid("recurrence.end_date_time", "is before the first occurrence")
        })?;
        // The series begins with its first occurrence, which may be after the day that was given.
        self.start = Some(first.start);
        Ok(())
    }

    /// The Personal Meeting Room is for hosts who have one, and not for a series with a fixed time.
    fn settle_room(&mut self) {
        let possible =
            matches!(self.kind, Kind::Instant | Kind::Scheduled | Kind::Unfixed) && self.host.pmi.is_some();
        let wanted = settings::flag_of(&self.settings, "use_pmi");
        self.settings.insert("use_pmi".to_owned(), Value::Bool(possible && wanted));
    }
}
