//! `DELETE /meetings/{meetingId}/registrants/{registrantId}` -
//! <https://developers.zoom.us/docs/api/meetings/#tag/meetings/DELETE/meetings/{meetingId}/registrants/{registrantId}>

use connector_api::prelude::*;

use super::delete_meeting::Deleted;
use crate::{model::MeetingId, scopes::scopes};

pub(crate) struct DeleteMeetingRegistrant;

/// Remove a registrant from a meeting
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct Input {
    /// The meeting's number
    #[schemars(title = "Meeting ID")]
    meeting_id: MeetingId,
    /// The registrant's id
    #[schemars(title = "Registrant ID")]
    registrant_id: Id,
    /// Whether a registrant who is not there, or no longer, counts as removed
    #[serde(default)]
    ignore_missing: bool,
    #[serde(flatten)]
    query: Query,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Query {
    /// The occurrence to remove the registrant from. Needed if people register for single occurrences
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(title = "Occurrence ID", length(min = 1))]
    occurrence_id: Option<String>,
}

impl Action for DeleteMeetingRegistrant {
    const NAME: &'static str = "delete_meeting_registrant";
    const TITLE: &'static str = "Delete Meeting Registrant";
    const EFFECT: Effect = Effect::Deletes;
    const SCOPES: &'static [ScopeSet] =
        scopes!(granular: "meeting:delete:registrant", classic: "meeting:write");
    const RATE: Option<&'static str> = Some("light");

    type Input = Input;
    type Output = Deleted;

    async fn run(ctx: &Ctx, input: Input) -> Result<Deleted> {
        let request = ctx
            .delete("/meetings/{meeting_id}/registrants/{registrant_id}")
            .path("meeting_id", &input.meeting_id)
            .path("registrant_id", &input.registrant_id)
            .queries(&input.query);
        Deleted::of(request.send_empty().await, input.ignore_missing)
    }
}
