//! Webhook event `meeting.created`.

use connector_api::prelude::*;

use super::envelope::{self, EventMeeting};
use crate::scopes::scopes;

pub(crate) struct NewMeeting;

/// A meeting was created
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct MeetingCreated {
    /// The meeting
    meeting: EventMeeting,
    /// Who created it: an e-mail address
    #[serde(skip_serializing_if = "Option::is_none")]
    operator: Option<String>,
    /// Who created it: a user id
    #[serde(skip_serializing_if = "Option::is_none")]
    operator_id: Option<String>,
    /// What of a recurring meeting was created: `single` or `all`
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<String>,
}

impl Trigger for NewMeeting {
    const NAME: &'static str = "new_meeting";
    const TITLE: &'static str = "New Meeting";
    const SOURCE: Source = Source::app_webhook(&["meeting.created"]);
    const SCOPES: &'static [ScopeSet] = scopes!(granular: "meeting:read:meeting", classic: "meeting:read");

    type Params = NoParams;
    type Event = MeetingCreated;

    fn sample_delivery() -> Option<serde_json::Value> {
        envelope::sample(
            "meeting.created",
            json!({
                "id": "{{number}}", "uuid": "{{text}}", "host_id": "{{user}}", "topic": "Product demo", "type": 2,
                "start_time": "2026-12-01T09:00:00Z", "duration": 45, "timezone": "Europe/Berlin",
                "join_url": "https://example.com/j/92674392836",
            }),
            json!({"operation": "single"}),
        )
    }

    fn on_delivery(delivery: &Delivery) -> Result<Vec<Emit<MeetingCreated>>> {
        let (envelope, meeting) = envelope::read::<EventMeeting>(delivery)?;
        let about = envelope.about(&meeting.core)?;
        let key = format!("meeting.created/{}", about.instance);
        let payload = envelope.payload;
        let event = MeetingCreated {
            meeting,
            operator: payload.operator,
            operator_id: payload.operator_id,
            operation: payload.operation,
        };
        Ok(about.emit(key, event))
    }
}
