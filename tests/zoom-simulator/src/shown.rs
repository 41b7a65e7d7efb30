//! Parts of meetings and registrants that answers and events show alike.

use serde_json::{Value, json};

use crate::clock::zulu;
use crate::meeting::{Kind, Meeting, Occurrence, TrackingField};
use crate::registrant::Registrant;
use crate::settings;

/// The number of the host's Personal Meeting Room, if the meeting takes place there.
pub(crate) fn pmi(meeting: &Meeting) -> Option<String> {
    let in_room = settings::flag_of(&meeting.settings, "use_pmi") || meeting.kind == Kind::Personal;
    meeting.host.pmi.filter(|_| in_room).map(|pmi| pmi.to_string())
}

pub(crate) fn join_url(meeting: &Meeting) -> String {
    let room = pmi(meeting).unwrap_or_else(|| meeting.id.to_string());
    match &meeting.passcode {
        Some(passcode) => format!("https://zoom.example.com/j/{room}?pwd={}", passcode.encrypted),
        None => format!("https://zoom.example.com/j/{room}"),
    }
}

/// The address by which one registrant joins.
pub(crate) fn ticket_url(meeting: &Meeting, registrant: &Registrant) -> String {
    format!("https://zoom.example.com/w/{}?tk={}", meeting.id, registrant.ticket)
}

pub(crate) fn tracking_fields(meeting: &Meeting) -> Vec<Value> {
    let tracking = |TrackingField { field, value }: &TrackingField| json!({"field": field, "value": value, "visible": true});
    meeting.tracking_fields.iter().map(tracking).collect()
}

pub(crate) fn occurrences<'a>(occurrences: impl Iterator<Item = &'a Occurrence>) -> Vec<Value> {
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
