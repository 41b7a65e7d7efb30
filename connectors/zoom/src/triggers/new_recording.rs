//! Webhook event `recording.started`: of Zoom's recording events, the one that means that there is a new recording.

use connector_api::prelude::*;

use super::envelope::{self, EventMeeting};
use crate::{
    model::{blank, date_time},
    scopes::scopes,
};

pub(crate) struct NewRecording;

/// A recording was started. It has no files yet: use Complete Recording for those
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct RecordingStarted {
    /// The meeting that is recorded, and since when
    recording: StartedRecording,
}

/// A meeting that is being recorded
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct StartedRecording {
    /// The part that was begun. Stopping and starting again makes another one
    recording_file: RecordingSpan,
    #[serde(flatten)]
    meeting: EventMeeting,
}

/// From when to when a part of a recording goes
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct RecordingSpan {
    /// When it began
    #[serde(default, deserialize_with = "blank", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "date_time")]
    recording_start: Option<String>,
    /// When it ended; absent while it goes on
    #[serde(default, deserialize_with = "blank", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "date_time")]
    recording_end: Option<String>,
}

impl Trigger for NewRecording {
    const NAME: &'static str = "new_recording";
    const TITLE: &'static str = "New Recording";
    const SOURCE: Source = Source::app_webhook(&["recording.started"]);
    const SCOPES: &'static [ScopeSet] =
        scopes!(granular: "cloud_recording:read:recording", classic: "recording:read");

    type Params = NoParams;
    type Event = RecordingStarted;

    fn sample_delivery() -> Option<serde_json::Value> {
        envelope::sample(
            "recording.started",
            json!({
                "id": "{{number}}", "uuid": "{{text}}", "host_id": "{{user}}", "topic": "Product demo", "type": 2,
                "start_time": "2026-12-01T09:00:41Z", "duration": 45,
                "recording_file": {"recording_start": "2026-12-01T09:02:10Z"},
            }),
            json!({}),
        )
    }

    fn on_delivery(delivery: &Delivery) -> Result<Vec<Emit<RecordingStarted>>> {
        let (envelope, recording) = envelope::read::<StartedRecording>(delivery)?;
        let about = envelope.about(&recording.meeting.core)?;
        let start = recording.recording_file.recording_start.as_deref().unwrap_or_default();
        let key = format!("recording.started/{}/{start}", about.instance);
        Ok(about.emit(key, RecordingStarted { recording }))
    }
}
