//! A meeting as Zoom describes it.

use connector_api::{form::important, prelude::*};
use serde_json::{Map, Value};

use super::{blank, date_time};

choices! {
    /// What kind of meeting it is
    pub(crate) enum MeetingType: i64 {
        /// Starts now
        Instant = 1 => "Instant meeting",
        /// Has one start time
        Scheduled = 2 => "Scheduled meeting",
        /// Can be opened again and again
        RecurringNoFixedTime = 3 => "Recurring meeting with no fixed time",
        /// Has a start time and a recurrence
        RecurringFixedTime = 8 => "Recurring meeting with fixed time",
        /// For sharing a screen, without video
        ScreenShareOnly = 10 => "Screen share only meeting",
    }
}

/// A field by which an account sorts its meetings
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct TrackingField {
    /// The field's label, as the account defines it
    #[schemars(length(min = 1))]
    field: String,
    /// Its value for this meeting
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<String>,
}

/// One meeting of a recurring one
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Occurrence {
    /// Its id: the start in milliseconds since 1970
    #[serde(skip_serializing_if = "Option::is_none")]
    occurrence_id: Option<Id>,
    /// When it starts
    #[serde(default, deserialize_with = "blank", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "date_time")]
    start_time: Option<String>,
    /// Its length in minutes
    #[serde(skip_serializing_if = "Option::is_none")]
    duration: Option<i64>,
    /// `available` or `deleted`
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<String>,
    #[serde(flatten)]
    more: Map<String, Value>,
}

/// What Zoom says of a meeting everywhere: alone, in a list, in an event. It leaves out what does not apply
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct MeetingCore {
    /// The meeting's number
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = important)]
    pub(crate) id: Option<Id>,
    /// The id of this instance; a new one after every meeting
    #[serde(default, deserialize_with = "blank", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub(crate) uuid: Option<String>,
    /// The host's user id
    #[serde(default, deserialize_with = "blank", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub(crate) host_id: Option<String>,
    /// The host's e-mail address
    #[serde(default, deserialize_with = "blank", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    host_email: Option<String>,
    /// What it is about
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = important)]
    topic: Option<String>,
    /// Its kind: 1 instant, 2 scheduled, 3 recurring with no fixed time, 4 personal, 8 recurring with fixed time, 10 screen
    /// share only
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<i64>,
    /// When it starts; absent for one without a fixed time
    #[serde(default, deserialize_with = "blank", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "date_time", transform = important)]
    start_time: Option<String>,
    /// Its length in minutes, as it was scheduled
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = important)]
    duration: Option<i64>,
    /// Its time zone
    #[serde(default, deserialize_with = "blank", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", transform = important)]
    timezone: Option<String>,
    /// What it is for; lists cut it to 250 characters
    #[serde(skip_serializing_if = "Option::is_none")]
    agenda: Option<String>,
    /// When it was created
    #[serde(default, deserialize_with = "blank", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "date_time")]
    created_at: Option<String>,
    /// Where participants join
    #[serde(default, deserialize_with = "blank", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", transform = important)]
    join_url: Option<String>,
    /// The passcode
    #[serde(default, deserialize_with = "blank", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>", extend("x-secret" = true))]
    password: Option<String>,
    /// The host's personal meeting number, if it uses that
    #[serde(default, deserialize_with = "blank", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pmi: Option<String>,
    /// The single meetings of a recurring one
    #[serde(skip_serializing_if = "Option::is_none")]
    occurrences: Option<Vec<Occurrence>>,
    /// How it repeats
    #[serde(skip_serializing_if = "Option::is_none")]
    recurrence: Option<Map<String, Value>>,
    /// Its settings
    #[serde(skip_serializing_if = "Option::is_none")]
    settings: Option<Map<String, Value>>,
    /// The fields by which the account sorts its meetings
    #[serde(skip_serializing_if = "Option::is_none")]
    tracking_fields: Option<Vec<Map<String, Value>>>,
}

/// A meeting in a list
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct MeetingSummary {
    #[serde(flatten)]
    core: MeetingCore,
    #[serde(flatten)]
    more: Map<String, Value>,
}

/// A meeting, with everything Zoom says of it
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Meeting {
    #[serde(flatten)]
    core: MeetingCore,
    /// `waiting` or `started`
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = important)]
    status: Option<String>,
    /// The user id of whoever scheduled it for the host
    #[serde(default, deserialize_with = "blank", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    assistant_id: Option<String>,
    /// Where the host starts it. Whoever has this address is the host, for two hours
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-secret" = true))]
    start_url: Option<String>,
    /// Where people register
    #[serde(skip_serializing_if = "Option::is_none")]
    registration_url: Option<String>,
    /// The passcode for room systems
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-secret" = true))]
    h323_password: Option<Id>,
    /// The passcode for callers
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-secret" = true))]
    pstn_password: Option<Id>,
    /// The passcode as it stands in addresses
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-secret" = true))]
    encrypted_password: Option<String>,
    /// The key by which somebody becomes the host
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-secret" = true))]
    dynamic_host_key: Option<Id>,
    /// Where its chat goes on
    #[serde(skip_serializing_if = "Option::is_none")]
    chat_join_url: Option<String>,
    /// Where it was created: `open_api`, `web_portal` or `other`
    #[serde(skip_serializing_if = "Option::is_none")]
    creation_source: Option<String>,
    /// Whether it was scheduled ahead from Google Calendar
    #[serde(skip_serializing_if = "Option::is_none")]
    pre_schedule: Option<bool>,
    #[serde(flatten)]
    more: Map<String, Value>,
}
