//! The bodies of *Create a meeting* and *Update a meeting*: their members, and what these may hold. What comes of a
//! body is not decided here.

use jiff::{Timestamp, tz::TimeZone};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Kind, TrackingField};
use crate::errors::{Invalid, ZoomError, ZoomResult};
use crate::recurrence::{Recurrence, parse_local, parse_utc};
use crate::settings::{self, Call, Settings};
use crate::shape::{self, Field, Shape, TEXT, list, may, must};

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
    may("tracking_fields", list(&Shape::Object(&[must("field", TEXT), may("value", TEXT)]))),
    // Templates are not simulated: any id is accepted and changes nothing.
    may("template_id", TEXT),
];

const CREATE_FIELDS: &[Field] =
    &[may("password", Shape::Special(password)), may("default_password", Shape::Flag)];

const UPDATE_FIELDS: &[Field] = &[may("password", Shape::Special(password_of_update))];

fn start_time(text: &str) -> Result<(), String> {
    let fine = parse_utc(text).is_some() || parse_local(text).is_some();
    fine.then_some(())
        .ok_or_else(|| format!("{text:?} is neither like 2030-01-31T12:00:00Z nor like 2030-01-31T12:00:00"))
}

/// The name of a zone in the time zone database, spelled as there.
pub(crate) fn timezone(name: &str) -> Result<(), String> {
    let found = TimeZone::get(name).ok().is_some_and(|zone| zone.iana_name() == Some(name));
    found.then_some(()).ok_or_else(|| format!("{name:?} is not a known time zone"))
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
    fine.then_some(()).ok_or_else(|| "has a character that is no letter, digit or ASCII sign".to_owned())
}

/// An update is stricter than a creation.
fn password_of_update(text: &str) -> Result<(), String> {
    passcode_length(text)?;
    let fine = text.chars().all(|c| c.is_ascii_alphanumeric() || "@-_*".contains(c));
    fine.then_some(()).ok_or_else(|| "has a character other than letters, digits and @ - _ *".to_owned())
}

/// A body of *Create a meeting* or *Update a meeting*, checked.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Said {
    pub(super) topic: Option<String>,
    #[serde(rename = "type")]
    kind: Option<i64>,
    pub(super) pre_schedule: Option<bool>,
    start_time: Option<String>,
    pub(super) duration: Option<i64>,
    pub(crate) schedule_for: Option<String>,
    pub(super) timezone: Option<String>,
    pub(super) agenda: Option<String>,
    pub(super) tracking_fields: Option<Vec<TrackingField>>,
    pub(crate) password: Option<String>,
    default_password: Option<bool>,
    #[serde(skip)]
    pub(super) settings: Settings,
    #[serde(skip)]
    pub(super) recurrence: Option<Recurrence>,
}

impl Said {
    /// Checks a body, all problems at once.
    pub(crate) fn read(call: Call, body: &Map<String, Value>) -> ZoomResult<Self> {
        let mut problems = Vec::new();
        let more = if call == Call::Create { CREATE_FIELDS } else { UPDATE_FIELDS };
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

    pub(super) fn says_start(&self) -> bool {
        self.start_time.is_some()
    }

    /// The start, whose local form is in `zone`.
    pub(super) fn start(&self, zone: &TimeZone) -> Option<Timestamp> {
        let text = self.start_time.as_deref()?;
        match parse_local(text) {
            Some(local) => zone.to_zoned(local).ok().map(|zoned| zoned.timestamp()),
            None => parse_utc(text),
        }
    }
}
