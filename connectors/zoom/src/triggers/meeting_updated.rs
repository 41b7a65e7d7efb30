//! Webhook event `meeting.updated`. Zoom sends only what has changed, and of the rest nothing for certain but the number.

use connector_api::prelude::*;
use serde_json::{Map, Value};

use super::envelope::{self, EventMeeting};
use crate::scopes::scopes;

pub(crate) struct MeetingUpdated;

/// A meeting was changed
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct MeetingChanged {
    /// What has changed, as it is now, and the meeting's number
    meeting: EventMeeting,
    /// The same fields as they were before
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<Map<String, Value>>,
    /// Who changed it: an e-mail address
    #[serde(skip_serializing_if = "Option::is_none")]
    operator: Option<String>,
    /// Who changed it: a user id
    #[serde(skip_serializing_if = "Option::is_none")]
    operator_id: Option<String>,
    /// What of a recurring meeting was changed: `single` or `all`
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    /// When it was changed, in milliseconds since 1970
    #[serde(skip_serializing_if = "Option::is_none")]
    time_stamp: Option<i64>,
}

impl Trigger for MeetingUpdated {
    const NAME: &'static str = "meeting_updated";
    const TITLE: &'static str = "Meeting Updated";
    const SOURCE: Source = Source::app_webhook(&["meeting.updated"]);
    const SCOPES: &'static [ScopeSet] = scopes!(granular: "meeting:read:meeting", classic: "meeting:read");

    type Params = NoParams;
    type Event = MeetingChanged;

    fn sample_delivery() -> Option<Value> {
        envelope::sample(
            "meeting.updated",
            json!({
                "id": "{{number}}", "host_id": "{{user}}", "topic": "Product demo (moved)",
                "start_time": "2026-12-01T10:00:00Z",
            }),
            json!({
                "old_object": {"id": "{{number}}", "topic": "Product demo", "start_time": "2026-12-01T09:00:00Z"},
                "scope": "single", "time_stamp": "{{now_ms}}",
            }),
        )
    }

    fn on_delivery(delivery: &Delivery) -> Result<Vec<Emit<MeetingChanged>>> {
        let (envelope, meeting) = envelope::read::<EventMeeting>(delivery)?;
        let about = envelope.about(&meeting.core)?;
        let changed =
            envelope.payload.time_stamp.or(envelope.event_ts).ok_or_else(envelope::nothing_tells_it_apart)?;
        let key = format!("meeting.updated/{}/{changed}", about.instance);
        let payload = envelope.payload;
        let event = MeetingChanged {
            meeting,
            before: payload.old_object,
            operator: payload.operator,
            operator_id: payload.operator_id,
            scope: payload.scope,
            time_stamp: payload.time_stamp,
        };
        Ok(about.emit(key, event))
    }
}
