//! Webhook event `meeting.ended`.

use connector_api::prelude::*;

use super::envelope::{self, EventMeeting};
use crate::{
    model::{blank, date_time},
    scopes::scopes,
};

pub(crate) struct MeetingEnded;

/// A meeting ended
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct MeetingOver {
    /// The meeting. Its duration is what was scheduled, not how long it took
    meeting: EventMeeting,
    /// When it ended
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "date_time")]
    end_time: Option<String>,
}

#[derive(Deserialize)]
struct Object {
    #[serde(flatten)]
    meeting: EventMeeting,
    #[serde(default, deserialize_with = "blank")]
    end_time: Option<String>,
}

impl Trigger for MeetingEnded {
    const NAME: &'static str = "meeting_ended";
    const TITLE: &'static str = "Meeting Ended";
    const SOURCE: Source = Source::app_webhook(&["meeting.ended"]);
    const SCOPES: &'static [ScopeSet] = scopes!(granular: "meeting:read:meeting", classic: "meeting:read");

    type Params = NoParams;
    type Event = MeetingOver;

    fn sample_delivery() -> Option<serde_json::Value> {
        envelope::sample(
            "meeting.ended",
            json!({
                "id": "{{number}}", "uuid": "{{text}}", "host_id": "{{user}}", "topic": "Product demo", "type": 2,
                "start_time": "2026-12-01T09:00:41Z", "duration": 45, "timezone": "Europe/Berlin",
                "end_time": "2026-12-01T09:52:07Z",
            }),
            json!({}),
        )
    }

    fn on_delivery(delivery: &Delivery) -> Result<Vec<Emit<MeetingOver>>> {
        let (envelope, object) = envelope::read::<Object>(delivery)?;
        let about = envelope.about(&object.meeting.core)?;
        let key = format!("meeting.ended/{}", about.instance);
        Ok(about.emit(key, MeetingOver { meeting: object.meeting, end_time: object.end_time }))
    }
}
