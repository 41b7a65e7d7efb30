//! The three registrant endpoints: add, list, delete.

use axum::http::StatusCode;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::{Call, done};
use crate::clock::{whole_seconds, zulu};
use crate::directory::Licence;
use crate::errors::{Invalid, ZoomError, ZoomResult};
use crate::exchange::Answer;
use crate::meeting::{Kind, Meeting};
use crate::paging::{PageInfo, Wanted};
use crate::registrant::{Registrant, Standing};
use crate::settings;
use crate::shape::{self, Field, Shape, TEXT, list as list_of, may, must};
use crate::shown::ticket_url;

/// The body of *Add a meeting registrant*.
const FIELDS: &[Field] = &[
    must("email", Shape::Special(email)),
    must("first_name", Shape::Text(64)),
    may("last_name", Shape::Text(64)),
    may("address", TEXT),
    may("city", TEXT),
    may("state", TEXT),
    may("zip", TEXT),
    may("country", Shape::Special(country)),
    may("phone", TEXT),
    may("industry", TEXT),
    may("org", TEXT),
    may("job_title", TEXT),
    may("comments", TEXT),
    may("custom_questions", list_of(&Shape::Object(&[may("title", TEXT), may("value", Shape::Text(128))]))),
    may(
        "purchasing_time_frame",
        Shape::OneOf(&[
            "",
            "Within a month",
            "1-3 months",
            "4-6 months",
            "More than 6 months",
            "No timeframe",
        ]),
    ),
    may(
        "role_in_purchase_process",
        Shape::OneOf(&["", "Decision Maker", "Evaluator/Recommender", "Influencer", "Not involved"]),
    ),
    may(
        "no_of_employees",
        Shape::OneOf(&[
            "",
            "1-20",
            "21-50",
            "51-100",
            "101-500",
            "500-1,000",
            "1,001-5,000",
            "5,001-10,000",
            "More than 10,000",
        ]),
    ),
    may(
        "language",
        Shape::OneOf(&[
            "en-US", "de-DE", "es-ES", "fr-FR", "jp-JP", "pt-PT", "ru-RU", "zh-CN", "zh-TW", "ko-KO",
            "it-IT", "vi-VN", "pl-PL", "Tr-TR",
        ]),
    ),
    may("auto_approve", Shape::Flag),
];

/// Reads know other size classes than writes: what is written as the key is read as the value.
const EMPLOYEES_AS_READ: [(&str, &str); 2] = [("101-500", "101-250"), ("500-1,000", "501-1,000")];

fn email(text: &str) -> Result<(), String> {
    match text.chars().count() {
        length if length > 128 => Err(format!("has {length} characters, at most 128 are allowed")),
        _ => shape::email(text),
    }
}

/// Two capital letters, or nothing.
fn country(text: &str) -> Result<(), String> {
    let fine = text.is_empty() || (text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_uppercase()));
    fine.then_some(()).ok_or_else(|| format!("{text:?} is not a two-letter country code"))
}

/// Registration needs a paying host, and has to be switched on.
fn check_registration(meeting: &Meeting) -> ZoomResult<()> {
    if meeting.host.licence != Licence::Licensed {
        return Err(ZoomError::paid_only(meeting.host.id));
    }
    if !meeting.takes_registrations() {
        return Err(ZoomError::registration_off(meeting.id));
    }
    Ok(())
}

fn must_name_occurrences(meeting: &Meeting) -> bool {
    meeting.kind == Kind::Recurring && settings::number_of(&meeting.settings, "registration_type") != 1
}

pub(super) fn add(call: &mut Call<'_>) -> ZoomResult<Answer> {
    let meeting = call.named_meeting(ZoomError::no_meeting_to_register_for)?.clone();
    check_registration(&meeting)?;
    let mut problems = Vec::new();
    let answers = shape::read(FIELDS, &call.body()?, "", &mut problems);
    if !problems.is_empty() {
        return Err(ZoomError::validation(problems));
    }
    let occurrences = wanted_occurrences(call, &meeting)?;
    let email = answers.get("email").and_then(Value::as_str).unwrap_or_default().to_owned();
    let now = call.world.now();
    call.world.limits.register(&email, now)?;

    let registered = call.world.registrants(meeting.id);
    let before = registered.iter().find(|other| other.email.eq_ignore_ascii_case(&email)).cloned();
    if before.is_none() && registered.len() >= call.world.config.registrant_limit {
        return Err(ZoomError::meeting_full());
    }
    let auto_approve = answers.get("auto_approve") == Some(&Value::Bool(true));
    let registrant = match before {
        // Whoever registers again is still the same person, and adds to the occurrences they had.
        Some(before) => Registrant {
            answers: as_read(answers),
            standing: if auto_approve { Standing::Approved } else { before.standing },
            occurrences: union(before.occurrences, occurrences),
            ..before
        },
        None => {
            let manual = settings::number_of(&meeting.settings, "approval_type") == 1;
            let random = &mut call.world.random;
            Registrant {
                id: random.id(),
                email,
                answers: as_read(answers),
                standing: if manual && !auto_approve { Standing::Pending } else { Standing::Approved },
                created_at: whole_seconds(now),
                pin: random.digits().parse().unwrap_or_default(),
                ticket: random.secret(""),
                occurrences,
            }
        }
    };
    call.world.put_registrant(meeting.id, registrant.clone());
    Ok(Answer::json(StatusCode::CREATED, &confirmation(&meeting, &registrant)))
}

/// The occurrences that `occurrence_ids` names. `None`: all of them.
fn wanted_occurrences(call: &Call<'_>, meeting: &Meeting) -> ZoomResult<Option<Vec<String>>> {
    let query = call.request.query();
    let Some(ids) = query.get("occurrence_ids") else {
        return Ok(None);
    };
    let ids: Vec<String> = ids.split(',').map(|id| id.trim().to_owned()).collect();
    if !ids.iter().all(|id| meeting.occurrence(id).is_some()) {
        return Err(ZoomError::bad_occurrence("occurrence_ids"));
    }
    // With registration type 1 people register once and attend what they like.
    Ok(must_name_occurrences(meeting).then_some(ids))
}

/// Both lists together, where none means all.
fn union(earlier: Option<Vec<String>>, more: Option<Vec<String>>) -> Option<Vec<String>> {
    let (mut all, more) = (earlier?, more?);
    for id in more {
        if !all.contains(&id) {
            all.push(id);
        }
    }
    Some(all)
}

/// What a read shows of the form: not what was only for this call, and sizes in the classes of reads.
fn as_read(mut answers: Map<String, Value>) -> Map<String, Value> {
    answers.shift_remove("auto_approve");
    answers.shift_remove("language");
    if let Some(Value::String(employees)) = answers.get_mut("no_of_employees")
        && let Some((_, read)) = EMPLOYEES_AS_READ.iter().find(|(written, _)| written == employees)
    {
        *employees = (*read).to_owned();
    }
    answers
}

/// The answer to a registration.
fn confirmation(meeting: &Meeting, registrant: &Registrant) -> Value {
    let mut body = json!({
        "registrant_id": registrant.id,
        "id": meeting.id,
        "topic": meeting.topic,
        "participant_pin_code": registrant.pin,
    });
    if let Some(start) = meeting.start {
        body["start_time"] = json!(zulu(start));
    }
    if registrant.standing == Standing::Approved {
        body["join_url"] = json!(ticket_url(meeting, registrant));
    }
    if meeting.kind == Kind::Recurring {
        let attended = meeting.occurrences.iter().filter(|occurrence| !occurrence.deleted);
        let attended = attended.filter(|occurrence| registrant.attends(&occurrence.id)).map(|occurrence| {
            json!({
                "occurrence_id": occurrence.id,
                "start_time": zulu(occurrence.start),
                "duration": occurrence.duration,
                "status": "available",
            })
        });
        body["occurrences"] = attended.collect();
    }
    body
}

pub(super) fn list(call: &mut Call<'_>) -> ZoomResult<Answer> {
    let meeting = call.named_meeting(ZoomError::no_meeting)?.clone();
    check_registration(&meeting)?;
    let query = call.request.query();
    let mut problems = Vec::new();
    let standing = match query.get("status") {
        None | Some("approved") => Standing::Approved,
        Some("pending") => Standing::Pending,
        Some("denied") => Standing::Denied,
        Some(other) => {
            problems.push(Invalid::new("status", format!("{other:?} is not a status of registrants")));
            Standing::Approved
        }
    };
    let wanted = Wanted::read(meeting.host.id, &call.request.path, &query, &mut problems);
    if !problems.is_empty() {
        return Err(ZoomError::validation(problems));
    }
    let occurrence = query.get("occurrence_id");
    if occurrence.is_some_and(|id| meeting.occurrence(id).is_none()) {
        return Err(ZoomError::bad_occurrence("occurrence_id"));
    }

    let records: Vec<Map<String, Value>> = call
        .world
        .registrants(meeting.id)
        .iter()
        .filter(|registrant| registrant.standing == standing)
        .filter(|registrant| occurrence.is_none_or(|id| registrant.attends(id)))
        .map(|registrant| show(&meeting, registrant))
        .collect();
    let now = call.world.now();
    let world = &mut *call.world;
    let (info, registrants) = world.pages.cut(wanted, records, &mut world.random, now)?;
    Ok(Answer::json(StatusCode::OK, &RegistrantList { info, registrants }))
}

#[derive(Serialize)]
struct RegistrantList {
    #[serde(flatten)]
    info: PageInfo,
    registrants: Vec<Map<String, Value>>,
}

/// A registrant in a list: what they answered, nothing as empty text, and what Zoom adds.
fn show(meeting: &Meeting, registrant: &Registrant) -> Map<String, Value> {
    let mut shown = Map::new();
    shown.insert("id".to_owned(), json!(registrant.id));
    for field in FIELDS {
        if matches!(field.name, "language" | "auto_approve") {
            continue;
        }
        let nothing = if field.name == "custom_questions" { json!([]) } else { json!("") };
        let value = registrant.answers.get(field.name).cloned().unwrap_or(nothing);
        shown.insert(field.name.to_owned(), value);
    }
    shown.insert("status".to_owned(), json!(registrant.standing));
    shown.insert("create_time".to_owned(), json!(zulu(registrant.created_at)));
    if registrant.standing == Standing::Approved {
        shown.insert("join_url".to_owned(), json!(ticket_url(meeting, registrant)));
    }
    shown.insert("participant_pin_code".to_owned(), json!(registrant.pin));
    shown
}

pub(super) fn delete(call: &mut Call<'_>) -> ZoomResult<Answer> {
    let meeting = call.named_meeting(ZoomError::no_meeting)?.clone();
    check_registration(&meeting)?;
    let registrant = call.segment(1);
    let query = call.request.query();
    let occurrence = match query.get("occurrence_id") {
        // With registration type 1 the parameter is not needed, and not looked at.
        _ if !must_name_occurrences(&meeting) => None,
        Some(id) if meeting.occurrence(id).is_some() => Some(id),
        given => {
            let explanation = match given {
                Some(_) => "there is no such occurrence",
                None => "registration_type 2 and 3 need an occurrence_id",
            };
            return Err(ZoomError::bad_occurrence("occurrence_id").because(explanation));
        }
    };
    if !call.world.remove_registrant(meeting.id, &registrant, occurrence) {
        return Err(ZoomError::bad_registrant_id());
    }
    Ok(done())
}
