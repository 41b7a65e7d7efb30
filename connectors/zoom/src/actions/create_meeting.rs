//! `POST /users/{userId}/meetings` - <https://developers.zoom.us/docs/api/meetings/#tag/meetings/POST/users/{userId}/meetings>

use connector_api::{form::advanced, prelude::*, schemars::Schema};

use crate::{
    model::{Meeting, MeetingType, NewSettings, Recurrence, StartTime, TrackingField, UserId},
    scopes::scopes,
};

pub(crate) struct CreateMeeting;

/// Schedule a meeting, or start one now
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct Input {
    /// The host: `me`, a user id or an e-mail address. Anybody but `me` needs an app for the whole account
    #[serde(default)]
    #[schemars(title = "Host", transform = advanced)]
    user_id: UserId,
    #[serde(flatten)]
    meeting: NewMeeting,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(transform = rules)]
struct NewMeeting {
    /// What it is about
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 200), example = "Product demo")]
    topic: Option<String>,
    /// What kind of meeting it is
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = 2))]
    kind: Option<MeetingType>,
    /// When it starts. Without it, Zoom makes a scheduled meeting an instant one, which starts now and is gone after 30 days
    #[serde(skip_serializing_if = "Option::is_none")]
    start_time: Option<StartTime>,
    /// Its length in minutes
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1440), example = 30, extend("x-ui" = {"unit": "minutes"}))]
    duration: Option<u32>,
    /// The time zone of the start, like Europe/Berlin. Without it, the host's own counts
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(title = "Time zone", length(min = 1), example = "Europe/Berlin", extend("x-ui" = {"widget": "time-zone"}))]
    timezone: Option<String>,
    /// What it is for
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2000), extend("x-ui" = {"widget": "textarea"}))]
    agenda: Option<String>,
    /// How it repeats, for a recurring meeting with a fixed time
    #[serde(skip_serializing_if = "Option::is_none")]
    recurrence: Option<Recurrence>,
    /// The passcode, at most 10 letters, digits and special characters. The account may ask for more
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(title = "Passcode", length(max = 10), extend("x-secret" = true))]
    password: Option<String>,
    /// Whether Zoom makes a passcode where none is given and the host's settings want one
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(title = "Generate a passcode", extend("default" = true), transform = advanced)]
    default_password: Option<bool>,
    /// The user id or e-mail address of somebody else for whom it is scheduled. Not for an instant meeting
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1), transform = advanced)]
    schedule_for: Option<String>,
    /// The meeting template of the account's administrator to begin with
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(title = "Template", length(min = 1), transform = advanced)]
    template_id: Option<String>,
    /// Whether it is scheduled ahead from Google Calendar. Only for scheduled meetings, and recurring ones with no fixed time
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = false), transform = advanced)]
    pre_schedule: Option<bool>,
    /// The fields by which the account sorts its meetings
    #[serde(skip_serializing_if = "Option::is_none")]
    tracking_fields: Option<Vec<TrackingField>>,
    /// How the meeting is to run
    #[serde(skip_serializing_if = "Option::is_none")]
    settings: Option<NewSettings>,
}

fn rules(schema: &mut Schema) {
    schema.rule(when("type").is(8).require(["start_time", "recurrence"]).otherwise_forbid(["recurrence"]));
    schema.rule(when("type").is(1).forbid(["schedule_for"]));
    schema.rule(when("pre_schedule").is(true).constrain("type", json!({"enum": [2, 3]})));
}

impl Action for CreateMeeting {
    const NAME: &'static str = "create_meeting";
    const TITLE: &'static str = "Create Meeting";
    const EFFECT: Effect = Effect::Creates;
    const SCOPES: &'static [ScopeSet] = scopes!(granular: "meeting:write:meeting", classic: "meeting:write");
    const RATE: Option<&'static str> = Some("medium");

    type Input = Input;
    type Output = Meeting;

    async fn run(ctx: &Ctx, input: Input) -> Result<Meeting> {
        let user = input.user_id.in_path(ctx)?;
        ctx.post("/users/{user_id}/meetings").path("user_id", user).json(&input.meeting).send().await
    }
}
