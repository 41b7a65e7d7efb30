//! Webhook event `recording.transcript_completed`. It looks like a completed recording whose one file is the transcript.

use connector_api::{
    prelude::*,
    schemars::{Schema, SchemaGenerator},
};

use super::complete_recording::{self, RecordingCompleted};
use crate::scopes::scopes;

pub(crate) struct RecordingTranscriptCompleted;

/// The transcript of a recording is ready
#[derive(Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct TranscriptCompleted(RecordingCompleted);

impl JsonSchema for TranscriptCompleted {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "TranscriptCompleted".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = RecordingCompleted::json_schema(generator);
        schema.insert("description".to_owned(), json!("The transcript of a recording is ready"));
        schema
    }
}

impl Trigger for RecordingTranscriptCompleted {
    const NAME: &'static str = "recording_transcript_completed";
    const TITLE: &'static str = "Recording Transcript Completed";
    const SOURCE: Source = Source::app_webhook(&["recording.transcript_completed"]);
    const SCOPES: &'static [ScopeSet] =
        scopes!(granular: "cloud_recording:read:recording", classic: "recording:read");

    type Params = NoParams;
    type Event = TranscriptCompleted;

    fn sample_delivery() -> Option<serde_json::Value> {
        complete_recording::sample(
            "recording.transcript_completed",
            json!({
                "id": "bd5b3ea6-7dd6-484d-9125-b297e0a2f80a", "file_type": "TRANSCRIPT", "file_extension": "VTT",
                "file_size": 14_221, "recording_type": "audio_transcript", "status": "completed",
                "recording_start": "2026-12-01T09:02:10Z", "recording_end": "2026-12-01T09:20:31Z",
                "download_url": "https://example.com/rec/download/bd5b3ea6",
            }),
        )
    }

    fn on_delivery(delivery: &Delivery) -> Result<Vec<Emit<TranscriptCompleted>>> {
        let events = complete_recording::on_delivery("recording.transcript_completed", delivery)?;
        Ok(events.into_iter().map(|emit| emit.map(TranscriptCompleted)).collect())
    }
}
