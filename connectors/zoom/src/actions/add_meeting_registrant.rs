//! `POST /meetings/{meetingId}/registrants` -
//! <https://developers.zoom.us/docs/api/meetings/#tag/meetings/POST/meetings/{meetingId}/registrants>

use connector_api::prelude::*;

use crate::{
    model::{MeetingId, OccurrenceIds, RegistrantFields, Registration},
    scopes::scopes,
};

pub(crate) struct AddMeetingRegistrant;

/// Register a person for a meeting. The meeting must take registrations, and its host must have a licence
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct Input {
    /// The meeting's number
    #[schemars(title = "Meeting ID")]
    meeting_id: MeetingId,
    #[serde(flatten)]
    query: Query,
    #[serde(flatten)]
    registrant: RegistrantFields,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Query {
    /// The occurrences of a recurring meeting to register for; all without it
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(title = "Occurrence IDs")]
    occurrence_ids: Option<OccurrenceIds>,
}

impl Action for AddMeetingRegistrant {
    const NAME: &'static str = "add_meeting_registrant";
    const TITLE: &'static str = "Add Meeting Registrant";
    const EFFECT: Effect = Effect::Creates;
    const SCOPES: &'static [ScopeSet] =
        scopes!(granular: "meeting:write:registrant", classic: "meeting:write");
    const RATE: Option<&'static str> = Some("light");

    type Input = Input;
    type Output = Registration;

    async fn run(ctx: &Ctx, input: Input) -> Result<Registration> {
        ctx.post("/meetings/{meeting_id}/registrants")
            .path("meeting_id", &input.meeting_id)
            .queries(&input.query)
            .json(&input.registrant)
            .send()
            .await
    }
}
