//! The five meeting endpoints: create, list, get, update, delete.

mod list;
mod show;

use std::sync::Arc;

use axum::http::StatusCode;

pub(super) use list::list;
use show::Shown;

use super::{Call, done, may_host};
use crate::clock::zulu;
use crate::directory::User;
use crate::errors::{Invalid, ZoomError, ZoomResult};
use crate::exchange::{Answer, Parameters, decode_segment};
use crate::meeting::{Kind, Meeting, Occurrence, Said};
use crate::settings::{self, Call as SettingsCall};
use crate::shown;

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
    shown.occurrences = shown::occurrences(meeting.occurrences.iter());
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
        return Err(ZoomError::no_access(format!("You cannot schedule a meeting for {name}"))
            .because("the other user has not given the scheduling privilege"));
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
        let occurrence = meeting.occurrence(id).ok_or_else(|| ZoomError::bad_occurrence("occurrence_id"))?;
        shown.start_time = Some(zulu(occurrence.start));
        shown.duration = occurrence.duration;
        shown.agenda = occurrence.agenda.clone().or(shown.agenda);
        settings::merge(&mut shown.settings, &occurrence.settings);
    } else {
        let now = call.world.now();
        let wanted = |occurrence: &&Occurrence| show_previous || occurrence.end() > now;
        shown.occurrences = shown::occurrences(meeting.occurrences.iter().filter(wanted));
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
    let uuid = if encoded_twice { decode_segment(&name) } else { name };
    let Some(meeting) = call.world.meeting_by_uuid(&uuid) else {
        // Nothing with this shape can be a number, but it may once have been a UUID.
        return Err(if uuid.len() == 24 { ZoomError::no_meeting(&uuid) } else { bad_id(&uuid) });
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
    let what = if occurrence.is_some() { SettingsCall::UpdateOccurrence } else { SettingsCall::Update };
    let said = Said::read(what, &call.body()?)?;
    let operator = call.user.clone();

    let ignored = if let Some(occurrence) = occurrence {
        call.world.edit_meeting(id, operator, |meeting| meeting.update_occurrence(occurrence, said, now))?
    } else {
        let new_host = match &said.schedule_for {
            Some(name) if !name.is_empty() && !host.is_called(name) => {
                Some(scheduled_for(call, &host, name, said.kind().unwrap_or(stored_kind))?)
            }
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
