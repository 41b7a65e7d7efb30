//! A meeting as *Create a meeting* and *Get a meeting* show it.

use serde::Serialize;
use serde_json::Value;

use crate::clock::zulu;
use crate::meeting::Meeting;
use crate::recurrence::Recurrence;
use crate::settings::{self, Settings};
use crate::shown;

/// A meeting in full. Which members there are depends on the meeting; their order does not.
#[derive(Serialize)]
pub(super) struct Shown {
    uuid: String,
    id: i64,
    host_id: &'static str,
    host_email: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    assistant_id: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) registration_url: Option<String>,
    topic: String,
    #[serde(rename = "type")]
    kind: i64,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) start_time: Option<String>,
    pub(super) duration: i64,
    timezone: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) agenda: Option<String>,
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
    pub(super) occurrences: Vec<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recurrence: Option<Recurrence>,
    pub(super) settings: Settings,
    pre_schedule: bool,
    creation_source: &'static str,
}

impl Shown {
    /// `zak` is the token in `start_url`, another one each time.
    pub(super) fn new(meeting: &Meeting, zak: &str) -> Self {
        let passcode = meeting.passcode.as_ref();
        let chat = meeting.settings.get("continuous_meeting_chat");
        let has_chat = chat.is_some_and(|chat| chat["enable"] == true);
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
            join_url: shown::join_url(meeting),
            chat_join_url: has_chat.then(|| format!("https://zoom.example.com/launch/jc/{}", meeting.id)),
            password: passcode.map(|passcode| passcode.text.clone()),
            h323_password: passcode.map(|passcode| passcode.digits.clone()),
            pstn_password: passcode.map(|passcode| passcode.digits.clone()),
            encrypted_password: passcode.map(|passcode| passcode.encrypted.clone()),
            dynamic_host_key: meeting.host_key.clone(),
            pmi: shown::pmi(meeting),
            tracking_fields: shown::tracking_fields(meeting),
            occurrences: Vec::new(),
            recurrence: meeting.recurrence.clone(),
            settings: settings::as_read(&meeting.settings),
            pre_schedule: meeting.pre_schedule,
            creation_source: "open_api",
        }
    }
}
