//! `PATCH /meetings/{meetingId}` - <https://developers.zoom.us/docs/api/meetings/#tag/meetings/PATCH/meetings/{meetingId}>

use connector_api::{form::advanced, prelude::*, schemars::Schema};
use serde_json::Value;

use crate::{
    model::{Meeting, MeetingId, MeetingType, Recurrence, SettingsChange, StartTime, TrackingField},
    scopes::scopes,
};

pub(crate) struct UpdateMeeting;

/// Change a meeting. What is left out stays as it is
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(transform = occurrence_rules)]
pub(crate) struct Input {
    /// The meeting's number
    #[schemars(title = "Meeting ID")]
    meeting_id: MeetingId,
    /// One occurrence of a recurring meeting. Of an occurrence, only the agenda, the start time, the duration and seven of
    /// the settings can be changed
    #[serde(default)]
    #[schemars(title = "Occurrence ID", length(min = 1))]
    occurrence_id: Option<String>,
    /// Whether to read the meeting back and report what Zoom did not take: it answers yes to changes that it ignores, such
    /// as a start time in the past
    #[serde(default)]
    verify: bool,
    #[serde(flatten)]
    changes: MeetingChanges,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(transform = rules)]
struct MeetingChanges {
    /// What it is about
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 200))]
    topic: Option<String>,
    /// What kind of meeting it is
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<MeetingType>,
    /// When it starts. Zoom ignores a time in the past
    #[serde(skip_serializing_if = "Option::is_none")]
    start_time: Option<StartTime>,
    /// Its length in minutes
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1440), extend("x-ui" = {"unit": "minutes"}))]
    duration: Option<u32>,
    /// The time zone of the start, like Europe/Berlin
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(title = "Time zone", length(min = 1), extend("x-ui" = {"widget": "time-zone"}))]
    timezone: Option<String>,
    /// What it is for. Empty text or `null` clears it
    #[serde(default, skip_serializing_if = "Patch::is_keep", serialize_with = "Patch::clear_as_empty")]
    #[schemars(extend("x-ui" = {"widget": "textarea"}))]
    agenda: Patch<Agenda>,
    /// How it repeats. Needed to change a whole series
    #[serde(skip_serializing_if = "Option::is_none")]
    recurrence: Option<Recurrence>,
    /// The passcode: at most 10 letters, digits and `@ * _ -`. Empty text or `null` removes it
    #[serde(default, skip_serializing_if = "Patch::is_keep", serialize_with = "Patch::clear_as_empty")]
    #[schemars(title = "Passcode", extend("x-secret" = true))]
    password: Patch<Passcode>,
    /// The user id or e-mail address of somebody else for whom it is scheduled
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1), transform = advanced)]
    schedule_for: Option<String>,
    /// The meeting template of the account's administrator
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(title = "Template", length(min = 1), transform = advanced)]
    template_id: Option<String>,
    /// Whether it is scheduled ahead from Google Calendar
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = advanced)]
    pre_schedule: Option<bool>,
    /// The fields by which the account sorts its meetings. An empty list clears them
    #[serde(skip_serializing_if = "Option::is_none")]
    tracking_fields: Option<Vec<TrackingField>>,
    /// What is to change in how the meeting runs
    #[serde(skip_serializing_if = "Option::is_none")]
    settings: Option<SettingsChange>,
}

/// What the meeting is for
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
struct Agenda(#[schemars(length(max = 2000))] String);

/// A passcode: Zoom takes fewer characters in a change than in a new meeting
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
struct Passcode(
    #[schemars(
        length(max = 10),
        regex(pattern = "^[A-Za-z0-9@*_-]*$"),
        extend("x-ui" = {"errors": {"pattern": "must be letters, digits and @ * _ - only"}})
    )]
    String,
);

/// Zoom ignores a recurrence unless the meeting is of the kind that has one.
fn rules(schema: &mut Schema) {
    schema.rule(when("type").is_one_of([1, 2, 3, 10]).forbid(["recurrence"]));
}

/// The settings that can be changed for one occurrence.
const OF_AN_OCCURRENCE: [&str; 7] = [
    "host_video",
    "participant_video",
    "join_before_host",
    "mute_upon_entry",
    "waiting_room",
    "watermark",
    "auto_recording",
];

fn occurrence_rules(schema: &mut Schema) {
    let message = format!("may only hold {}", OF_AN_OCCURRENCE.join(", "));
    let settings =
        json!({"propertyNames": {"enum": OF_AN_OCCURRENCE}, "x-ui": {"errors": {"propertyNames": message}}});
    let fixed = [
        "topic",
        "type",
        "recurrence",
        "password",
        "schedule_for",
        "template_id",
        "pre_schedule",
        "tracking_fields",
    ];
    schema.rule(when("occurrence_id").is_given().forbid(fixed).constrain("settings", settings));
}

/// What became of a change
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Output {
    /// The meeting's number
    meeting_id: Id,
    /// Whether Zoom has what was sent, as far as it shows it; absent if it was not read back
    #[serde(skip_serializing_if = "Option::is_none")]
    verified: Option<bool>,
    /// What Zoom has instead of what was sent
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    differences: Vec<Difference>,
    /// Why it could not be read back, although it was changed
    #[serde(skip_serializing_if = "Option::is_none")]
    not_verified: Option<String>,
    /// The fields that Zoom does not show, so that nobody can tell
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    not_shown: Vec<String>,
    /// The meeting as it is now, if it was read back
    #[serde(skip_serializing_if = "Option::is_none")]
    meeting: Option<Meeting>,
}

/// A field that Zoom has otherwise than it was sent
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Difference {
    /// The field, as a JSON pointer
    path: String,
    /// What was sent
    sent: Value,
    /// What Zoom has
    stored: Value,
}

impl Action for UpdateMeeting {
    const NAME: &'static str = "update_meeting";
    const TITLE: &'static str = "Update Meeting";
    const EFFECT: Effect = Effect::Updates;
    const SCOPES: &'static [ScopeSet] = scopes!(granular: "meeting:update:meeting", classic: "meeting:write");
    const RATE: Option<&'static str> = Some("light");

    type Input = Input;
    type Output = Output;

    async fn run(ctx: &Ctx, input: Input) -> Result<Output> {
        let occurrence =
            [("occurrence_id", input.occurrence_id.as_deref())].into_iter().collect::<Query<'_>>();
        let id = &input.meeting_id;
        ctx.patch("/meetings/{meeting_id}")
            .path("meeting_id", id)
            .queries(&occurrence)
            .json(&input.changes)
            .send_empty()
            .await?;
        let mut output = Output {
            meeting_id: id.to_string().into(),
            verified: None,
            differences: Vec::new(),
            not_verified: None,
            not_shown: Vec::new(),
            meeting: None,
        };
        if input.verify {
            let read =
                ctx.get("/meetings/{meeting_id}").path("meeting_id", id).queries(&occurrence).answer().await;
            // It was changed, whatever keeps it from being read: an error would say otherwise.
            match read.and_then(|answer| Ok((answer.json()?, answer.json()?))) {
                Ok((stored, meeting)) => {
                    let stored: Value = stored;
                    compare("", &json!(input.changes), &stored, stored["timezone"].as_str(), &mut output);
                    output.verified = Some(output.differences.is_empty());
                    output.meeting = Some(meeting);
                }
                Err(error) => output.not_verified = Some(error.message),
            }
        }
        Ok(output)
    }
}

type Query<'a> = std::collections::BTreeMap<&'static str, Option<&'a str>>;

/// Compares each value that was sent with what Zoom shows in its place.
fn compare(path: &str, sent: &Value, stored: &Value, timezone: Option<&str>, output: &mut Output) {
    if let (Value::Object(sent), Value::Object(stored)) = (sent, stored) {
        for (name, value) in sent {
            let path = format!("{path}/{name}");
            match stored.get(name) {
                Some(stored) => compare(&path, value, stored, timezone, output),
                // A text that was cleared is left out.
                None if *value == json!("") || *value == json!([]) => {}
                None => output.not_shown.push(path),
            }
        }
    } else if let (Value::Array(sent), Value::Array(stored)) = (sent, stored)
        && sent.len() == stored.len()
        && sent.iter().all(Value::is_object)
    {
        // Zoom shows more of each than can be sent.
        for (index, (sent, stored)) in sent.iter().zip(stored).enumerate() {
            compare(&format!("{path}/{index}"), sent, stored, timezone, output);
        }
    } else if !same(sent, stored, timezone) {
        // A passcode is not repeated: that it is another one is enough.
        let shown = |value: &Value| if path.ends_with("password") { json!("***") } else { value.clone() };
        output.differences.push(Difference {
            path: path.to_owned(),
            sent: shown(sent),
            stored: shown(stored),
        });
    }
}

/// Equal, or two ways to write one point in time.
fn same(sent: &Value, stored: &Value, timezone: Option<&str>) -> bool {
    let instant = |value: &Value| serde_json::from_value::<StartTime>(value.clone()).ok()?.instant(timezone);
    sent == stored || instant(sent).is_some_and(|sent| instant(stored) == Some(sent))
}
