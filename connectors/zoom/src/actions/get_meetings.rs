//! `GET /users/{userId}/meetings` - <https://developers.zoom.us/docs/api/meetings/#tag/meetings/GET/users/{userId}/meetings>

use connector_api::{form::advanced, prelude::*, schemars::Schema};
use jiff::civil::Date;

use crate::{
    model::{MeetingSummary, UserId},
    scopes::scopes,
};

pub(crate) struct GetMeetings;

/// List a user's meetings, one page or all
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct Input {
    /// The host: `me`, a user id or an e-mail address. Anybody but `me` needs an app for the whole account
    #[serde(default)]
    #[schemars(title = "Host")]
    user_id: UserId,
    #[serde(flatten)]
    query: Query,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(transform = rules)]
struct Query {
    /// Which meetings
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = "scheduled"))]
    kind: Option<MeetingFilter>,
    /// The first day, in the host's time zone
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<Date>,
    /// The last day, in the host's time zone
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<Date>,
    /// The time zone of the first and the last day, like America/Los_Angeles
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1), extend("x-ui" = {"widget": "time-zone"}))]
    timezone: Option<String>,
    /// How many meetings a page holds
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
    /// Which meetings a list holds
    pub(crate) enum MeetingFilter: &str {
        Scheduled = "scheduled" => "All that are not over, and recurring ones",
        Live = "live" => "Those that are running",
        Upcoming = "upcoming" => "Those to come, and those that are running",
        UpcomingMeetings = "upcoming_meetings" => "Those to come",
        Previous = "previous_meetings" => "Those that are over",
    }
}

/// A page of meetings
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Output {
    /// The meetings
    #[serde(default)]
    meetings: Vec<MeetingSummary>,
    /// Where the list goes on; absent at its end
    #[serde(default, deserialize_with = "crate::model::blank", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    next_page_token: Option<String>,
    /// How many meetings a page holds
    #[serde(skip_serializing_if = "Option::is_none")]
    page_size: Option<i64>,
    /// How many meetings there are
    #[serde(skip_serializing_if = "Option::is_none")]
    total_records: Option<i64>,
}

impl Action for GetMeetings {
    const NAME: &'static str = "get_meetings";
    const TITLE: &'static str = "Get Meetings";
    const EFFECT: Effect = Effect::Reads;
    const SCOPES: &'static [ScopeSet] =
        scopes!(granular: "meeting:read:list_meetings", classic: "meeting:read");
    const RATE: Option<&'static str> = Some("medium");

    type Input = Input;
    type Output = Output;

    fn paging() -> Option<Paging> {
        Some(Paging::token("/meetings", "next_page_token", "/next_page_token"))
    }

    async fn run(ctx: &Ctx, input: Input) -> Result<Output> {
        let user = input.user_id.in_path(ctx)?;
        ctx.get("/users/{user_id}/meetings").path("user_id", user).queries(&input.query).paged().send().await
    }
}
