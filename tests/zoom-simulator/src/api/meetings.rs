//! The five meeting endpoints: create, list, get, update, delete.

use std::sync::Arc;

use axum::http::StatusCode;
use jiff::civil::Date;
use jiff::{Timestamp, ToSpan, tz::TimeZone};
use serde::Serialize;
use serde_json::{Value, json};

use super::{Call, done, may_host};
use crate::clock::zulu;
use crate::directory::User;
use crate::errors::{Invalid, ZoomError, ZoomResult};
use crate::exchange::{Answer, Parameters, decode_segment};
use crate::meeting::{self, Kind, Meeting, Occurrence, Said, TrackingField};
use crate::paging::{PageInfo, Wanted};
use crate::recurrence::Recurrence;
use crate::settings::{self, Call as SettingsCall, Settings};

/// How much of an agenda a list shows, in characters.
const AGENDA_IN_LISTS: usize = 250;

/// How many months of meetings the lists of upcoming and of previous ones go.
const MONTHS_IN_LISTS: i64 = 6;

pub(super) fn create(call: &mut Call<'_>) -> ZoomResult<Answer> {
    let user = call.named_user()?;
    let now = call.world.now();
    call.world.limits.write(user.id, now)?;
    may_host(&user).map_err(|error| {
        error.saying("Your user account is not allowed meeting hosting and scheduling capabilities.")
    })?;
    let said = Said::read(SettingsCall::Create, &call.body()?)?;

    let (host, assistant) = match &said.schedule_for {
        Some(name) if !name.is_empty() && !user.is_called(name) => {
            let kind = said.kind().unwrap_or(Kind::Scheduled);
            (scheduled_for(call, &user, name, kind)?, Some(user))
        }
        _ => (user, None),
    };
    let passcode = match &said.password {
        Some(text) if !text.is_empty() => Some(text.clone()),
        _ if said.wants_passcode() => Some(call.world.random.passcode()),
        _ => None,
    };
    let passcode = passcode.map(|text| call.world.passcode(text));
    let issued = call.world.issue(host, assistant, passcode);
    let meeting = Meeting::create(said, issued)?;
    call.world.add_meeting(meeting.clone(), call.user.clone());

    let zak = call.world.random.secret("sim.");
    let mut shown = Shown::new(&meeting, &zak);
    // The answer to a creation is the only one that repeats every setting and tells where to register.
    shown.settings = meeting.settings.clone();
    if meeting.takes_registrations() {
        let path = meeting.uuid.replace(['/', '+', '='], "");
        shown.registration_url = Some(format!("https://zoom.example.com/meeting/register/{path}"));
    }
    shown.occurrences = show_occurrences(meeting.occurrences.iter());
    Ok(Answer::json(StatusCode::CREATED, &shown))
}

/// The user for whom `user` schedules a meeting.
fn scheduled_for(call: &Call<'_>, user: &User, name: &str, kind: Kind) -> ZoomResult<Arc<User>> {
    if kind == Kind::Instant {
        return Err(ZoomError::no_access(
            "Instant meetings do not support the schedule_for parameter, and you can't schedule an instant meeting \
             for another user.",
        ));
    }
    let Some(host) = call.world.directory.find(name) else {
        return Err(ZoomError::bad_value(
            "The value that you entered in the schedule_for field is invalid. Enter a valid value and try again.",
        ));
    };
    if !user.schedules_for.contains(&host.id) || may_host(host).is_err() {
        return Err(
            ZoomError::no_access(format!("You cannot schedule a meeting for {name}"))
                .because("the other user has not given the scheduling privilege"),
        );
    }
    Ok(host.clone())
}

pub(super) fn get(call: &mut Call<'_>) -> ZoomResult<Answer> {
    let zak = call.world.random.secret("sim.");
    let meeting = meeting_by_number_or_uuid(call)?;
    let query = call.request.query();
    let mut problems = Vec::new();
    let show_previous = flag(&query, "show_previous_occurrences", &mut problems);
    if !problems.is_empty() {
        return Err(ZoomError::validation(problems));
    }
    let mut shown = Shown::new(meeting, &zak);
    if let Some(id) = query.get("occurrence_id") {
        let occurrence = meeting
            .occurrence(id)
            .ok_or_else(|| ZoomError::bad_occurrence("occurrence_id"))?;
        shown.start_time = Some(zulu(occurrence.start));
        shown.duration = occurrence.duration;
        shown.agenda = occurrence.agenda.clone().or(shown.agenda);
        settings::merge(&mut shown.settings, &occurrence.settings);
    } else {
        let now = call.world.now();
        let wanted = |occurrence: &&Occurrence| show_previous || occurrence.end() > now;
        shown.occurrences = show_occurrences(meeting.occurrences.iter().filter(wanted));
    }
    Ok(Answer::json(StatusCode::OK, &shown))
}

/// A meeting can also be read by its UUID, encoded once. One that begins with `/` or contains `//` has to be encoded
/// twice (Zoom's documentation, "Meeting ID and UUID").
fn meeting_by_number_or_uuid<'a>(call: &'a Call<'_>) -> ZoomResult<&'a Meeting> {
    let name = call.segment(0);
    if name.bytes().all(|byte| byte.is_ascii_digit()) {
        return call.named_meeting(ZoomError::no_meeting);
    }
    let encoded_twice = name.contains('%');
    let uuid = if encoded_twice {
        decode_segment(&name)
    } else {
        name
    };
    let Some(meeting) = call.world.meeting_by_uuid(&uuid) else {
        // Nothing with this shape can be a number, but it may once have been a UUID.
        return Err(if uuid.len() == 24 {
            ZoomError::no_meeting(&uuid)
        } else {
            bad_id(&uuid)
        });
    };
    if !encoded_twice && (uuid.starts_with('/') || uuid.contains("//")) {
        return Err(ZoomError::no_meeting(&uuid)
            .because("a UUID that begins with / or contains // has to be percent-encoded twice"));
    }
    call.check_access(meeting)?;
    Ok(meeting)
}

fn bad_id(name: &str) -> ZoomError {
    ZoomError::bad_value("Invalid meeting id.").because(format!("{name:?} is neither a number nor a UUID"))
}

pub(super) fn update(call: &mut Call<'_>) -> ZoomResult<Answer> {
    let (id, stored_kind, host) = {
        let meeting = call.named_meeting(ZoomError::no_meeting)?;
        (meeting.id, meeting.kind, meeting.host.clone())
    };
    let now = call.world.now();
    call.world.limits.write(host.id, now)?;
    let query = call.request.query();
    let occurrence = query.get("occurrence_id");
    let what = if occurrence.is_some() {
        SettingsCall::UpdateOccurrence
    } else {
        SettingsCall::Update
    };
    let said = Said::read(what, &call.body()?)?;
    let operator = call.user.clone();

    let ignored = if let Some(occurrence) = occurrence {
        call.world.edit_meeting(id, operator, |meeting| {
            meeting.update_occurrence(occurrence, said, now)
        })?
    } else {
        let new_host = match &said.schedule_for {
            Some(name) if !name.is_empty() && !host.is_called(name) => Some(scheduled_for(
                call,
                &host,
                name,
                said.kind().unwrap_or(stored_kind),
            )?),
            _ => None,
        };
        let passcode = said.password.clone().filter(|text| !text.is_empty());
        let passcode = passcode.map(|text| call.world.passcode(text));
        call.world.edit_meeting(id, operator, |meeting| {
            let ignored = meeting.update(said, passcode, now)?;
            if let Some(new_host) = new_host {
                meeting.assistant = Some(std::mem::replace(&mut meeting.host, new_host));
            }
            Ok(ignored)
        })?
    };
    let ignored = ignored.ok_or_else(|| ZoomError::no_meeting(&id.to_string()))?;
    let mut answer = done();
    answer.explanation = (!ignored.is_empty()).then(|| ignored.join("; "));
    Ok(answer)
}

pub(super) fn delete(call: &mut Call<'_>) -> ZoomResult<Answer> {
    let (id, kind) = {
        let meeting = call.named_meeting(ZoomError::no_meeting)?;
        (meeting.id, meeting.kind)
    };
    let query = call.request.query();
    let mut problems = Vec::new();
    // Both are about e-mails, which the simulator does not send.
    flag(&query, "schedule_for_reminder", &mut problems);
    flag(&query, "cancel_meeting_reminder", &mut problems);
    if !problems.is_empty() {
        return Err(ZoomError::validation(problems));
    }
    if kind == Kind::Personal {
        return Err(ZoomError::personal_meeting());
    }
    let operator = call.user.clone();
    match query.get("occurrence_id") {
        Some(occurrence) if !call.world.remove_occurrence(id, occurrence, operator.clone()) => {
            return Err(ZoomError::bad_occurrence("occurrence_id"));
        }
        Some(_) => {}
        None => call.world.remove_meeting(id, operator),
    }
    Ok(done())
}

/// `type` of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    Scheduled,
    Live,
    Upcoming,
    Previous,
}

impl Which {
    fn read(text: Option<&str>, problems: &mut Vec<Invalid>) -> Self {
        match text {
            None | Some("scheduled") => Self::Scheduled,
            Some("live") => Self::Live,
            Some("upcoming" | "upcoming_meetings") => Self::Upcoming,
            Some("previous_meetings") => Self::Previous,
            Some(other) => {
                problems.push(Invalid::new(
                    "type",
                    format!("{other:?} is none of the types of a list"),
                ));
                Self::Scheduled
            }
        }
    }

    /// The start that a list of this type shows for a meeting. `None`: the meeting is not in it.
    fn start(self, meeting: &Meeting, now: Timestamp) -> Option<Option<Timestamp>> {
        let mut running = meeting
            .occurrences
            .iter()
            .filter(|occurrence| !occurrence.deleted);
        let start = match (self, meeting.kind) {
            (Self::Live, _) => return meeting.in_progress.then_some(meeting.start),
            (_, Kind::Instant | Kind::ScreenShare | Kind::Personal) => return None,
            (Self::Scheduled, _) => return Some(meeting.start),
            (Self::Upcoming, _) if meeting.in_progress => return Some(meeting.start),
            (Self::Upcoming, Kind::Unfixed) => return Some(None),
            (Self::Previous, Kind::Unfixed) => return None,
            (Self::Upcoming, Kind::Recurring) => running.find(|occurrence| occurrence.end() > now)?.start,
            (Self::Previous, Kind::Recurring) => running.rfind(|occurrence| occurrence.end() <= now)?.start,
            (Self::Upcoming, _) if meeting.last_end()? > now => meeting.start?,
            (Self::Previous, _) if meeting.last_end()? <= now => meeting.start?,
            (Self::Upcoming | Self::Previous, _) => return None,
        };
        within_reach(start, now).then_some(Some(start))
    }
}

/// Lists of upcoming and of previous meetings go six months.
fn within_reach(start: Timestamp, now: Timestamp) -> bool {
    let now = now.to_zoned(TimeZone::UTC);
    let (earliest, latest) = (
        now.saturating_sub(MONTHS_IN_LISTS.months()).timestamp(),
        now.saturating_add(MONTHS_IN_LISTS.months()).timestamp(),
    );
    (earliest..=latest).contains(&start)
}

/// `from` and `to`: whole days in a time zone, both included.
struct Days {
    from: Option<Date>,
    to: Option<Date>,
    zone: TimeZone,
}

impl Days {
    fn read(query: &Parameters, host: &User, problems: &mut Vec<Invalid>) -> Self {
        let mut date = |name: &str| {
            let text = query.get(name)?;
            let date = text
                .parse::<Date>()
                .ok()
                .filter(|_| text.len() == "2030-01-31".len());
            if date.is_none() {
                problems.push(Invalid::new(name, format!("{text:?} is not like 2030-01-31")));
            }
            date
        };
        let (from, to) = (date("from"), date("to"));
        if let (Some(from), Some(to)) = (from, to)
            && from > to
        {
            problems.push(Invalid::new("to", "is before from"));
        }
        let name = query.get("timezone").unwrap_or(host.timezone);
        if let Err(reason) = meeting::timezone(name) {
            problems.push(Invalid::new("timezone", reason));
        }
        Self {
            from,
            to,
            zone: TimeZone::get(name).unwrap_or(TimeZone::UTC),
        }
    }

    /// With a bound, a meeting without a time is outside.
    fn contain(&self, start: Option<Timestamp>) -> bool {
        let Some(start) = start else {
            return self.from.is_none() && self.to.is_none();
        };
        let date = self.zone.to_datetime(start).date();
        self.from.is_none_or(|from| from <= date) && self.to.is_none_or(|to| date <= to)
    }
}

pub(super) fn list(call: &mut Call<'_>) -> ZoomResult<Answer> {
    let host = call.named_user()?;
    may_host(&host)?;
    let query = call.request.query();
    let mut problems = Vec::new();
    let which = Which::read(query.get("type"), &mut problems);
    let days = Days::read(&query, &host, &mut problems);
    let wanted = Wanted::read(host.id, &call.request.path, &query, &mut problems);
    if !problems.is_empty() {
        return Err(ZoomError::validation(problems));
    }

    let now = call.world.now();
    let mut all: Vec<(Option<Timestamp>, &Meeting)> = call
        .world
        .meetings()
        .filter(|meeting| meeting.host.id == host.id)
        .filter_map(|meeting| Some((which.start(meeting, now)?, meeting)))
        .filter(|(start, _)| days.contain(*start))
        .collect();
    // Meetings without a time come last.
    all.sort_by_key(|(start, meeting)| (start.is_none(), *start, meeting.created_at, meeting.id));
    let records: Vec<Listed> = all
        .into_iter()
        .map(|(start, meeting)| Listed::new(meeting, start))
        .collect();
    let world = &mut *call.world;
    let (info, meetings) = world.pages.cut(wanted, records, &mut world.random, now)?;
    Ok(Answer::json(StatusCode::OK, &MeetingList { info, meetings }))
}

#[derive(Serialize)]
struct MeetingList {
    #[serde(flatten)]
    info: PageInfo,
    meetings: Vec<Listed>,
}

/// A meeting in a list.
#[derive(Serialize)]
struct Listed {
    uuid: String,
    id: i64,
    host_id: &'static str,
    topic: String,
    #[serde(rename = "type")]
    kind: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_time: Option<String>,
    duration: i64,
    timezone: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    agenda: Option<String>,
    created_at: String,
    join_url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pmi: Option<String>,
}

impl Listed {
    fn new(meeting: &Meeting, start: Option<Timestamp>) -> Self {
        let agenda = meeting.agenda.as_ref();
        Self {
            uuid: meeting.uuid.clone(),
            id: meeting.id,
            host_id: meeting.host.id,
            topic: meeting.topic.clone(),
            kind: meeting.kind.number(),
            start_time: start.map(zulu),
            duration: meeting.duration,
            timezone: meeting.timezone.clone(),
            agenda: agenda.map(|agenda| agenda.chars().take(AGENDA_IN_LISTS).collect()),
            created_at: zulu(meeting.created_at),
            join_url: join_url(meeting),
            pmi: pmi(meeting),
        }
    }
}

/// The number of the host's Personal Meeting Room, if the meeting takes place there.
fn pmi(meeting: &Meeting) -> Option<String> {
    let in_room = settings::flag_of(&meeting.settings, "use_pmi") || meeting.kind == Kind::Personal;
    meeting.host.pmi.filter(|_| in_room).map(|pmi| pmi.to_string())
}

fn join_url(meeting: &Meeting) -> String {
    let room = pmi(meeting).unwrap_or_else(|| meeting.id.to_string());
    match &meeting.passcode {
        Some(passcode) => format!("https://zoom.example.com/j/{room}?pwd={}", passcode.encrypted),
        None => format!("https://zoom.example.com/j/{room}"),
    }
}

/// A meeting in full. Which members there are depends on the meeting; their order does not.
#[derive(Serialize)]
struct Shown {
    uuid: String,
    id: i64,
    host_id: &'static str,
    host_email: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    assistant_id: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    registration_url: Option<String>,
    topic: String,
    #[serde(rename = "type")]
    kind: i64,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_time: Option<String>,
    duration: i64,
    timezone: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    agenda: Option<String>,
    created_at: String,
    /// Whoever has it is the host: it carries a token.
    start_url: String,
    join_url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    chat_join_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    password: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    h323_password: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pstn_password: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encrypted_password: Option<String>,
    dynamic_host_key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pmi: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tracking_fields: Vec<Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    occurrences: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recurrence: Option<Recurrence>,
    settings: Settings,
    pre_schedule: bool,
    creation_source: &'static str,
}

impl Shown {
    fn new(meeting: &Meeting, zak: &str) -> Self {
        let passcode = meeting.passcode.as_ref();
        let chat = meeting.settings.get("continuous_meeting_chat");
        let has_chat = chat.is_some_and(|chat| chat["enable"] == true);
        let tracking = |TrackingField { field, value }: &TrackingField| json!({"field": field, "value": value, "visible": true});
        Self {
            uuid: meeting.uuid.clone(),
            id: meeting.id,
            host_id: meeting.host.id,
            host_email: meeting.host.email,
            assistant_id: meeting.assistant.as_ref().map(|assistant| assistant.id),
            registration_url: None,
            topic: meeting.topic.clone(),
            kind: meeting.kind.number(),
            status: if meeting.in_progress { "started" } else { "waiting" },
            start_time: meeting.start.map(zulu),
            duration: meeting.duration,
            timezone: meeting.timezone.clone(),
            agenda: meeting.agenda.clone(),
            created_at: zulu(meeting.created_at),
            start_url: format!("https://zoom.example.com/s/{}?zak={zak}", meeting.id),
            join_url: join_url(meeting),
            chat_join_url: has_chat.then(|| format!("https://zoom.example.com/launch/jc/{}", meeting.id)),
            password: passcode.map(|passcode| passcode.text.clone()),
            h323_password: passcode.map(|passcode| passcode.digits.clone()),
            pstn_password: passcode.map(|passcode| passcode.digits.clone()),
            encrypted_password: passcode.map(|passcode| passcode.encrypted.clone()),
            dynamic_host_key: meeting.host_key.clone(),
            pmi: pmi(meeting),
            tracking_fields: meeting.tracking_fields.iter().map(tracking).collect(),
            occurrences: Vec::new(),
            recurrence: meeting.recurrence.clone(),
            settings: settings::as_read(&meeting.settings),
            pre_schedule: meeting.pre_schedule,
            creation_source: "open_api",
        }
    }
}

fn show_occurrences<'a>(occurrences: impl Iterator<Item = &'a Occurrence>) -> Vec<Value> {
    let show = |occurrence: &Occurrence| {
        json!({
            "occurrence_id": occurrence.id,
            "start_time": zulu(occurrence.start),
            "duration": occurrence.duration,
            "status": if occurrence.deleted { "deleted" } else { "available" },
        })
    };
    occurrences.map(show).collect()
}

/// A query parameter that is `true` or `false`.
fn flag(query: &Parameters, name: &str, problems: &mut Vec<Invalid>) -> bool {
    match query.get(name) {
        Some("true") => true,
        None | Some("false") => false,
        Some(other) => {
            problems.push(Invalid::new(name, format!("{other:?} is neither true nor false")));
            false
        }
    }
}
