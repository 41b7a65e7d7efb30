//! *List meetings*: which meetings are in a list, and what it shows of them.

use axum::http::StatusCode;
use jiff::civil::Date;
use jiff::{Timestamp, ToSpan, tz::TimeZone};
use serde::Serialize;

use crate::api::{Call, may_host};
use crate::clock::zulu;
use crate::directory::User;
use crate::errors::{Invalid, ZoomError, ZoomResult};
use crate::exchange::{Answer, Parameters};
use crate::meeting::{self, Kind, Meeting};
use crate::paging::{PageInfo, Wanted};
use crate::shown::{join_url, pmi};

/// How much of an agenda a list shows, in characters.
const AGENDA_IN_LISTS: usize = 250;

/// How many months the lists of upcoming and of previous meetings go.
const MONTHS_IN_LISTS: i64 = 6;

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
                problems.push(Invalid::new("type", format!("{other:?} is none of the types of a list")));
                Self::Scheduled
            }
        }
    }

    /// The start that a list of this type shows for a meeting. `None`: the meeting is not in it.
    fn start(self, meeting: &Meeting, now: Timestamp) -> Option<Option<Timestamp>> {
        let mut running = meeting.occurrences.iter().filter(|occurrence| !occurrence.deleted);
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
            let date = text.parse::<Date>().ok().filter(|_| text.len() == "2030-01-31".len());
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
        Self { from, to, zone: TimeZone::get(name).unwrap_or(TimeZone::UTC) }
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

pub(in crate::api) fn list(call: &mut Call<'_>) -> ZoomResult<Answer> {
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
    let records: Vec<Listed> = all.into_iter().map(|(start, meeting)| Listed::new(meeting, start)).collect();
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
