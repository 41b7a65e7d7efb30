//! Events as Zoom writes them: which change is which event, and what it looks like. Where Zoom's documentation and what
//! has been observed differ (a meeting's number is text in some events, some bodies begin with the payload), this is
//! what has been observed.

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::change::Change;
use crate::clock::zulu;
use crate::directory::{ACCOUNT_ID, User};
use crate::instance::{Instance, Participant, Segment};
use crate::meeting::{Kind, Meeting, Occurrence};
use crate::random::Random;
use crate::registrant::Registrant;
use crate::settings;
use crate::shown;

/// The events that a subscription can ask for.
pub(crate) const EVENTS: [&str; 9] = [
    "meeting.created",
    "meeting.updated",
    "meeting.ended",
    "meeting.registration_created",
    "meeting.participant_joined",
    "meeting.participant_left",
    "recording.started",
    "recording.completed",
    "recording.transcript_completed",
];

/// The event that nobody has to ask for.
pub(crate) const DEAUTHORIZED: &str = "app_deauthorized";

/// The event that asks whether an address belongs to the app.
pub(crate) const VALIDATION: &str = "endpoint.url_validation";

/// What a registrant wrote into the form, in the order of events. What they left out is empty text.
const ANSWERS: [&str; 15] = [
    "first_name",
    "last_name",
    "email",
    "address",
    "city",
    "country",
    "zip",
    "state",
    "phone",
    "industry",
    "org",
    "job_title",
    "purchasing_time_frame",
    "role_in_purchase_process",
    "no_of_employees",
];

/// The settings of a meeting that its creation tells.
const SETTINGS: [&str; 5] =
    ["use_pmi", "alternative_hosts", "meeting_invitees", "join_before_host", "jbh_time"];

/// Kind, ending, recording type and size of the files of one part of a recording.
const FILES: [(&str, &str, &str, u64); 3] = [
    ("MP4", "MP4", "shared_screen_with_speaker_view", 36_094_321),
    ("M4A", "M4A", "audio_only", 6_893_542),
    ("TIMELINE", "JSON", "timeline", 93),
];

const TRANSCRIPT: (&str, &str, &str, u64) = ("TRANSCRIPT", "VTT", "audio_transcript", 14_221);

/// The name and the body of the event that a change is. Nothing if it is none, or none that is simulated.
pub(super) fn of(
    change: &Change,
    at: Timestamp,
    client_id: &str,
    random: &mut Random,
) -> Option<(&'static str, Value)> {
    let event = match change {
        Change::MeetingCreated { meeting, operator } => {
            ("meeting.created", created(meeting, operator, at.as_millisecond()))
        }
        Change::MeetingUpdated { before, after, operator } => {
            ("meeting.updated", updated(before, after, operator, at.as_millisecond())?)
        }
        Change::MeetingEnded { meeting, instance } => {
            ("meeting.ended", ended(meeting, instance.as_deref(), at))
        }
        Change::RegistrantAdded { meeting, registrant } => {
            ("meeting.registration_created", registered(meeting, registrant, at.as_millisecond()))
        }
        Change::ParticipantJoined { meeting, instance, participant } => {
            let times = json!({"join_time": zulu(participant.joined)});
            let name = "meeting.participant_joined";
            (name, participated(name, (meeting, instance), participant, &times, at.as_millisecond()))
        }
        Change::ParticipantLeft { meeting, instance, participant, reason } => {
            let times = json!({"leave_time": zulu(at), "leave_reason": reason});
            let name = "meeting.participant_left";
            (name, participated(name, (meeting, instance), participant, &times, at.as_millisecond()))
        }
        Change::RecordingStarted { meeting, instance, segment } => {
            ("recording.started", recording_started(meeting, instance, segment, at.as_millisecond()))
        }
        Change::RecordingCompleted { meeting, instance } => {
            let name = "recording.completed";
            (name, recording_ready(name, meeting, instance, at.as_millisecond(), random))
        }
        Change::TranscriptCompleted { meeting, instance } => {
            let name = "recording.transcript_completed";
            (name, recording_ready(name, meeting, instance, at.as_millisecond(), random))
        }
        Change::AppRemoved { user } => (DEAUTHORIZED, deauthorized(user, client_id, at, random)),
        Change::MeetingDeleted { .. }
        | Change::MeetingStarted { .. }
        | Change::RegistrantDecided { .. }
        | Change::RegistrantRemoved { .. } => return None,
    };
    Some(event)
}

/// The body of a validation.
pub(super) fn validation(plain_token: &str, at: Timestamp) -> Value {
    json!({"event": VALIDATION, "event_ts": at.as_millisecond(), "payload": {"plainToken": plain_token}})
}

/// Which part of a meeting it is about: a series, or the one that there is.
fn extent(meeting: &Meeting) -> &'static str {
    if meeting.kind == Kind::Recurring { "all" } else { "single" }
}

fn created(meeting: &Meeting, operator: &User, sent: i64) -> Value {
    let mut object = json!({
        "uuid": meeting.uuid,
        "id": meeting.id,
        "host_id": meeting.host.id,
        "topic": meeting.topic,
        "type": meeting.kind.number(),
    });
    if let Some(start) = meeting.start {
        object["start_time"] = json!(zulu(start));
    }
    object["duration"] = json!(meeting.duration);
    object["timezone"] = json!(meeting.timezone);
    object["join_url"] = json!(shown::join_url(meeting));
    if let Some(passcode) = &meeting.passcode {
        object["password"] = json!(passcode.text);
    }
    if let Some(pmi) = shown::pmi(meeting) {
        object["pmi"] = json!(pmi);
    }
    if !meeting.occurrences.is_empty() {
        object["occurrences"] = json!(shown::occurrences(meeting.occurrences.iter()));
    }
    if let Some(recurrence) = &meeting.recurrence {
        object["recurrence"] = json!(recurrence);
    }
    let told =
        SETTINGS.iter().filter_map(|name| Some(((*name).to_owned(), meeting.settings.get(*name)?.clone())));
    object["settings"] = Value::Object(told.collect());
    if !meeting.tracking_fields.is_empty() {
        object["tracking_fields"] = json!(shown::tracking_fields(meeting));
    }
    json!({
        "event": "meeting.created",
        "event_ts": sent,
        "payload": {
            "account_id": ACCOUNT_ID,
            "operator": operator.email,
            "operator_id": operator.id,
            "operation": extent(meeting),
            "object": object,
        },
    })
}

/// Everything of a meeting that an update can change, except occurrences and settings.
fn changeable(meeting: &Meeting) -> Map<String, Value> {
    let mut all = Map::new();
    let mut tell = |name: &str, value: Value| all.insert(name.to_owned(), value);
    tell("topic", json!(meeting.topic));
    tell("type", json!(meeting.kind.number()));
    tell("start_time", json!(meeting.start.map(zulu).unwrap_or_default()));
    tell("duration", json!(meeting.duration));
    tell("timezone", json!(meeting.timezone));
    tell("join_url", json!(shown::join_url(meeting)));
    tell("password", json!(meeting.passcode.as_ref().map_or("", |passcode| &passcode.text)));
    tell("agenda", json!(meeting.agenda.as_deref().unwrap_or_default()));
    tell("recurrence", json!(meeting.recurrence));
    tell("tracking_fields", json!(shown::tracking_fields(meeting)));
    all
}

/// The members of both that differ. One that only one of them has is `null` in the other.
fn difference(
    before: &Map<String, Value>,
    after: &Map<String, Value>,
) -> (Map<String, Value>, Map<String, Value>) {
    let (mut old, mut new) = (Map::new(), Map::new());
    let gone = before.keys().filter(|name| !after.contains_key(*name));
    for name in after.keys().chain(gone) {
        let (was, is) = (before.get(name), after.get(name));
        if was != is {
            old.insert(name.clone(), was.cloned().unwrap_or_default());
            new.insert(name.clone(), is.cloned().unwrap_or_default());
        }
    }
    (old, new)
}

fn same(one: &Occurrence, other: &Occurrence) -> bool {
    (&one.id, one.start, one.duration, &one.agenda, &one.settings)
        == (&other.id, other.start, other.duration, &other.agenda, &other.settings)
}

/// The occurrences of `of` that `other` does not have like that.
fn changed_occurrences(of: &Meeting, other: &Meeting) -> Vec<Value> {
    let known = |occurrence: &&Occurrence| !other.occurrences.iter().any(|twin| same(twin, occurrence));
    shown::occurrences(of.occurrences.iter().filter(known))
}

/// What has changed and nothing else. An update that changes nothing is no event.
fn updated(before: &Meeting, after: &Meeting, operator: &User, sent: i64) -> Option<Value> {
    let (mut old, mut new) = difference(&changeable(before), &changeable(after));
    let series_changed = !new.is_empty();
    let occurrences = (changed_occurrences(before, after), changed_occurrences(after, before));
    if occurrences != (Vec::new(), Vec::new()) {
        old.insert("occurrences".to_owned(), json!(occurrences.0));
        new.insert("occurrences".to_owned(), json!(occurrences.1));
    }
    let (old_settings, new_settings) =
        difference(&settings::as_read(&before.settings), &settings::as_read(&after.settings));
    if !new_settings.is_empty() {
        old.insert("settings".to_owned(), Value::Object(old_settings));
        new.insert("settings".to_owned(), Value::Object(new_settings));
    }
    if new.is_empty() && before.host.id == after.host.id {
        return None;
    }
    let mut object = json!({"uuid": after.uuid, "id": after.id, "host_id": after.host.id});
    let mut old_object = json!({"id": before.id});
    if before.host.id != after.host.id {
        old_object["host_id"] = json!(before.host.id);
    }
    for (object, changed) in [(&mut object, new), (&mut old_object, old)] {
        if let Value::Object(object) = object {
            object.extend(changed);
        }
    }
    let scope = if series_changed { extent(after) } else { "single" };
    Some(json!({
        "event": "meeting.updated",
        "event_ts": sent,
        "payload": {
            "account_id": ACCOUNT_ID,
            "operator": operator.email,
            "operator_id": operator.id,
            "scope": scope,
            "object": object,
            "old_object": old_object,
            "time_stamp": sent,
        },
    }))
}

fn ended(meeting: &Meeting, instance: Option<&Instance>, at: Timestamp) -> Value {
    let started = instance.map_or(at, |instance| instance.started);
    json!({
        "event": "meeting.ended",
        "payload": {
            "account_id": ACCOUNT_ID,
            "object": {
                // What was scheduled, not how long it took.
                "duration": meeting.duration,
                "start_time": zulu(started),
                "timezone": meeting.timezone,
                "end_time": zulu(at),
                "topic": meeting.topic,
                "id": meeting.id.to_string(),
                "type": meeting.kind.number(),
                "uuid": instance.map_or(&meeting.uuid, |instance| &instance.uuid),
                "host_id": meeting.host.id,
                "host_email": meeting.host.email,
            },
        },
        "event_ts": at.as_millisecond(),
    })
}

fn registered(meeting: &Meeting, registrant: &Registrant, sent: i64) -> Value {
    let mut object = json!({
        "uuid": meeting.uuid,
        "id": meeting.id,
        "host_id": meeting.host.id,
        "topic": meeting.topic,
        "type": meeting.kind.number(),
        "start_time": meeting.start.map(zulu),
        "duration": meeting.duration,
        "timezone": meeting.timezone,
    });
    if meeting.kind == Kind::Recurring {
        let attended = meeting.occurrences.iter().filter(|occurrence| !occurrence.deleted);
        let attended = attended
            .filter(|occurrence| registrant.attends(&occurrence.id))
            .map(|occurrence| json!({"occurrence_id": occurrence.id, "start_time": zulu(occurrence.start)}));
        object["occurrences"] = attended.collect();
    }
    let mut who = json!({"id": registrant.id});
    let answer = |name: &str| registrant.answers.get(name).cloned();
    for name in ANSWERS.into_iter().chain(["comments"]) {
        who[name] = answer(name).unwrap_or(json!(""));
    }
    if let Some(questions) = answer("custom_questions") {
        who["custom_questions"] = questions;
    }
    who["status"] = json!(registrant.standing);
    who["join_url"] = json!(shown::ticket_url(meeting, registrant));
    who["participant_pin_code"] = json!(registrant.pin);
    object["registrant"] = who;
    json!({
        "event": "meeting.registration_created",
        "event_ts": sent,
        "payload": {"account_id": ACCOUNT_ID, "object": object},
    })
}

/// `times` says when it was, and in the one case why.
fn participated(
    name: &str,
    (meeting, instance): (&Meeting, &Instance),
    participant: &Participant,
    times: &Value,
    sent: i64,
) -> Value {
    // A guest has no id, and says so with empty text.
    let user = participant.user.as_ref().map_or("", |user| user.id);
    let mut who = json!({
        "public_ip": "203.0.113.7",
        "user_id": participant.visit.to_string(),
        "user_name": participant.name,
        "participant_user_id": user,
        "id": user,
        "email": participant.email,
        "registrant_id": participant.registrant.as_deref().unwrap_or_default(),
        "participant_uuid": participant.uuid,
    });
    if let (Value::Object(who), Value::Object(times)) = (&mut who, times) {
        who.extend(times.clone());
    }
    json!({
        "payload": {
            "account_id": ACCOUNT_ID,
            "object": {
                "uuid": instance.uuid,
                "participant": who,
                "id": meeting.id.to_string(),
                "type": meeting.kind.number(),
                "topic": meeting.topic,
                "host_id": meeting.host.id,
                "duration": meeting.duration,
                "start_time": zulu(instance.started),
                "timezone": meeting.timezone,
            },
        },
        "event_ts": sent,
        "event": name,
    })
}

fn recording_started(meeting: &Meeting, instance: &Instance, segment: &Segment, sent: i64) -> Value {
    json!({
        "event": "recording.started",
        "payload": {
            "account_id": ACCOUNT_ID,
            "object": {
                "uuid": instance.uuid,
                "id": meeting.id,
                "host_id": meeting.host.id,
                "topic": meeting.topic,
                "type": meeting.kind.number(),
                "start_time": zulu(instance.started),
                "timezone": meeting.timezone,
                "duration": 0,
                "recording_file": {"recording_start": zulu(segment.start), "recording_end": ""},
            },
        },
        "event_ts": sent,
    })
}

fn recording_ready(
    event: &str,
    meeting: &Meeting,
    instance: &Instance,
    sent: i64,
    random: &mut Random,
) -> Value {
    let mut files = Vec::new();
    for segment in &instance.recording {
        let kinds = FILES.iter().zip(&segment.files);
        if event == "recording.completed" {
            files.extend(kinds.map(|(kind, id)| file(instance, segment, id, *kind, random)));
        } else {
            files.push(file(instance, segment, &segment.transcript, TRANSCRIPT, random));
        }
    }
    let size: u64 = files.iter().filter_map(|file| file["file_size"].as_u64()).sum();
    json!({
        "payload": {
            "account_id": ACCOUNT_ID,
            "object": {
                "uuid": instance.uuid,
                "id": meeting.id,
                "account_id": ACCOUNT_ID,
                "host_id": meeting.host.id,
                "topic": meeting.topic,
                "type": meeting.kind.number(),
                "start_time": zulu(instance.started),
                "timezone": meeting.timezone,
                "host_email": meeting.host.email,
                "duration": meeting.duration,
                "total_size": size,
                "recording_count": files.len(),
                "share_url": format!("https://zoom.example.com/rec/share/{}", random.secret("")),
                "recording_files": files,
                "password": meeting.passcode.as_ref().map_or("", |passcode| &passcode.digits),
                "recording_play_passcode": random.secret(""),
                "on_prem": false,
            },
        },
        "event_ts": sent,
        "event": event,
        "download_token": random.secret("zsdt_"),
    })
}

fn file(
    instance: &Instance,
    segment: &Segment,
    id: &str,
    (kind, ending, what, size): (&str, &str, &str, u64),
    random: &mut Random,
) -> Value {
    let ticket = random.secret("");
    let mut file = json!({
        "id": id,
        "meeting_id": instance.uuid,
        "recording_start": zulu(segment.start),
        "recording_end": segment.end.map(zulu).unwrap_or_default(),
        "file_type": kind,
        "file_extension": ending,
        "file_size": size,
    });
    if kind != "TIMELINE" {
        file["play_url"] = json!(format!("https://zoom.example.com/rec/play/{ticket}"));
    }
    file["download_url"] = json!(format!("https://zoom.example.com/rec/webhook_download/{ticket}"));
    file["status"] = json!("completed");
    file["recording_type"] = json!(what);
    file
}

fn deauthorized(user: &User, client_id: &str, at: Timestamp, random: &mut Random) -> Value {
    json!({
        "event": DEAUTHORIZED,
        "event_ts": at.as_millisecond(),
        "payload": {
            "account_id": ACCOUNT_ID,
            "user_id": user.id,
            "signature": random.hex::<32>(),
            "deauthorization_time": at.strftime("%Y-%m-%dT%H:%M:%S.%3fZ").to_string(),
            "client_id": client_id,
            "user_data_retention": "false",
        },
    })
}
