//! `GET /meetings/{meetingId}/registrants` -
//! <https://developers.zoom.us/docs/api/meetings/#tag/meetings/GET/meetings/{meetingId}/registrants>

use connector_api::{form::advanced, prelude::*, schemars::Schema};

use crate::{
    model::{MeetingId, Registrant},
    scopes::scopes,
};

pub(crate) struct GetMeetingRegistrants;

/// List the people who are registered for a meeting, one page or all
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct Input {
    /// The meeting's number
    #[schemars(title = "Meeting ID")]
    meeting_id: MeetingId,
    #[serde(flatten)]
    query: Query,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(transform = rules)]
struct Query {
    /// Which registrants. Those who wait for approval are not in the list unless it is asked for them
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = "approved"))]
    status: Option<RegistrantStatus>,
    /// One occurrence of a recurring meeting
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(title = "Occurrence ID", length(min = 1))]
    occurrence_id: Option<String>,
    /// How many registrants a page holds
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 300), extend("default" = 30))]
    page_size: Option<u32>,
    /// Where to go on: the token of the page before. It is good for 15 minutes, with everything else unchanged
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(transform = advanced)]
    next_page_token: Option<String>,
    /// The number of the page. Zoom wants the token to be used instead
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1), extend("deprecated" = true))]
    page_number: Option<u32>,
}

fn rules(schema: &mut Schema) {
    schema.at_most_one_of(
        ["next_page_token", "page_number"],
        "must have `next_page_token` or `page_number`, not both",
    );
}

choices! {
    /// How far a registration has come
    pub(crate) enum RegistrantStatus: &str {
        Approved = "approved" => "Approved",
        Pending = "pending" => "Waiting for approval",
        Denied = "denied" => "Denied",
    }
}

/// A page of registrants
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Output {
    /// The registrants
    #[serde(default)]
    registrants: Vec<Registrant>,
    /// Where the list goes on; absent at its end
    #[serde(default, deserialize_with = "crate::model::blank", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    next_page_token: Option<String>,
    /// How many registrants a page holds
    #[serde(skip_serializing_if = "Option::is_none")]
    page_size: Option<i64>,
    /// How many registrants there are
    #[serde(skip_serializing_if = "Option::is_none")]
    total_records: Option<i64>,
}

impl Action for GetMeetingRegistrants {
    const NAME: &'static str = "get_meeting_registrants";
    const TITLE: &'static str = "Get Meeting Registrants";
    const EFFECT: Effect = Effect::Reads;
    const SCOPES: &'static [ScopeSet] =
        scopes!(granular: "meeting:read:list_registrants", classic: "meeting:read");
    const RATE: Option<&'static str> = Some("medium");

    type Input = Input;
    type Output = Output;

    fn paging() -> Option<Paging> {
        Some(Paging::token("/registrants", "next_page_token", "/next_page_token"))
    }

    async fn run(ctx: &Ctx, input: Input) -> Result<Output> {
        ctx.get("/meetings/{meeting_id}/registrants")
            .path("meeting_id", &input.meeting_id)
            .queries(&input.query)
            .paged()
            .send()
            .await
    }
}
