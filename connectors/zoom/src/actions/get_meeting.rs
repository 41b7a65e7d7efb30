//! `GET /meetings/{meetingId}` - <https://developers.zoom.us/docs/api/meetings/#tag/meetings/GET/meetings/{meetingId}>

use connector_api::prelude::*;

use crate::{
    model::{Meeting, MeetingRef},
    scopes::scopes,
};

pub(crate) struct GetMeeting;

/// Get one meeting with its settings
#[derive(Deserialize, JsonSchema)]
pub(crate) struct Input {
    /// The meeting's number, or the UUID of an instance. Zoom documents the number only
    #[schemars(title = "Meeting ID")]
    meeting_id: MeetingRef,
    #[serde(flatten)]
    query: Query,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Query {
    /// One occurrence of a recurring meeting
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(title = "Occurrence ID", length(min = 1))]
    occurrence_id: Option<String>,
    /// Whether occurrences that are over are listed too
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = false))]
    show_previous_occurrences: Option<bool>,
}

impl Action for GetMeeting {
    const NAME: &'static str = "get_meeting";
    const TITLE: &'static str = "Get Meeting by Meeting ID";
    const EFFECT: Effect = Effect::Reads;
    const SCOPES: &'static [ScopeSet] = scopes!(granular: "meeting:read:meeting", classic: "meeting:read");
    const RATE: Option<&'static str> = Some("light");

    type Input = Input;
    type Output = Meeting;

    async fn run(ctx: &Ctx, input: Input) -> Result<Meeting> {
        let meeting = input.meeting_id.in_path();
        ctx.get("/meetings/{meeting_id}").path("meeting_id", meeting).queries(&input.query).send().await
    }
}
