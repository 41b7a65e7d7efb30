//! `DELETE /meetings/{meetingId}` - <https://developers.zoom.us/docs/api/meetings/#tag/meetings/DELETE/meetings/{meetingId}>

use connector_api::prelude::*;

use crate::{model::MeetingId, scopes::scopes};

pub(crate) struct DeleteMeeting;

/// Delete a meeting, or one occurrence of it
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct Input {
    /// The meeting's number
    #[schemars(title = "Meeting ID")]
    meeting_id: MeetingId,
    /// Whether a meeting that is not there, or no longer, counts as deleted
    #[serde(default)]
    ignore_missing: bool,
    #[serde(flatten)]
    query: Query,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Query {
    /// One occurrence of a recurring meeting. Without it, the whole series is deleted
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(title = "Occurrence ID", length(min = 1))]
    occurrence_id: Option<String>,
    /// Whether the host, and whoever scheduled the meeting, are told by e-mail
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(title = "Notify the host")]
    schedule_for_reminder: Option<bool>,
    /// Whether registrants are told by e-mail
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(title = "Notify registrants", extend("default" = false))]
    cancel_meeting_reminder: Option<bool>,
}

/// What became of a deletion
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Deleted {
    /// Whether it was deleted now; otherwise it was not there
    pub(super) deleted: bool,
}

impl Deleted {
    /// Success, or what was missing taken for it.
    pub(super) fn of(result: Result<()>, ignore_missing: bool) -> Result<Self> {
        match result {
            Ok(()) => Ok(Self { deleted: true }),
            Err(error) if ignore_missing && is_gone(&error) => Ok(Self { deleted: false }),
            Err(mut error) => {
                if is_gone(&error) {
                    error.hint = Some(
                        "it may be gone already: set `ignore_missing` to take that for success".to_owned(),
                    );
                }
                Err(error)
            }
        }
    }
}

/// Whether Zoom said that the meeting (3001) or the registrant (300) is not there. Another 404 may come from an address
/// that is wrong.
fn is_gone(error: &Error) -> bool {
    let code = error.provider.as_ref().and_then(|provider| provider.code.as_deref());
    error.kind == ErrorKind::NotFound && matches!(code, Some("3001" | "300"))
}

impl Action for DeleteMeeting {
    const NAME: &'static str = "delete_meeting";
    const TITLE: &'static str = "Delete Meeting";
    const EFFECT: Effect = Effect::Deletes;
    const SCOPES: &'static [ScopeSet] = scopes!(granular: "meeting:delete:meeting", classic: "meeting:write");
    const RATE: Option<&'static str> = Some("light");

    type Input = Input;
    type Output = Deleted;

    async fn run(ctx: &Ctx, input: Input) -> Result<Deleted> {
        let request =
            ctx.delete("/meetings/{meeting_id}").path("meeting_id", &input.meeting_id).queries(&input.query);
        Deleted::of(request.send_empty().await, input.ignore_missing)
    }
}
