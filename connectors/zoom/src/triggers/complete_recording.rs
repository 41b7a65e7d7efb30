//! Webhook event `recording.completed`.

use connector_api::prelude::*;
use serde_json::{Map, Value};

use super::envelope::{self, EventMeeting};
use crate::{
    model::{blank, date_time},
    scopes::scopes,
};

pub(crate) struct CompleteRecording;

/// The files of a recording are ready
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct RecordingCompleted {
    /// The meeting that was recorded, and the files
    recording: Recording,
    /// What downloads the files, as a bearer token, for about a day. It belongs in the header, never in an address
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-secret" = true))]
    download_token: Option<String>,
}

/// A meeting that was recorded, and the files
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Recording {
    /// Where people with the link watch it
    #[serde(skip_serializing_if = "Option::is_none")]
    share_url: Option<String>,
    /// The passcode for watching it
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-secret" = true))]
    recording_play_passcode: Option<String>,
    /// How many bytes the files have
    #[serde(skip_serializing_if = "Option::is_none")]
    total_size: Option<i64>,
    /// How many files there are
    #[serde(skip_serializing_if = "Option::is_none")]
    recording_count: Option<i64>,
    /// The files
    #[serde(default)]
    recording_files: Vec<RecordingFile>,
    /// The files that hold the sound of single participants
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    participant_audio_files: Vec<RecordingFile>,
    #[serde(flatten)]
    meeting: EventMeeting,
}

/// A file of a recording
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct RecordingFile {
    /// Its id; some kinds have none
    #[serde(default, deserialize_with = "blank", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    id: Option<String>,
    /// Its kind: `MP4`, `M4A`, `TIMELINE`, `TRANSCRIPT`, `CHAT`, `CC` and others
    #[serde(skip_serializing_if = "Option::is_none")]
    file_type: Option<String>,
    /// The ending of its name
    #[serde(skip_serializing_if = "Option::is_none")]
    file_extension: Option<String>,
    /// How many bytes it has
    #[serde(skip_serializing_if = "Option::is_none")]
    file_size: Option<i64>,
    /// What it shows
    #[serde(skip_serializing_if = "Option::is_none")]
    recording_type: Option<String>,
    /// When it began
    #[serde(default, deserialize_with = "blank", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "date_time")]
    recording_start: Option<String>,
    /// When it ended
    #[serde(default, deserialize_with = "blank", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "date_time")]
    recording_end: Option<String>,
    /// Where it is watched
    #[serde(skip_serializing_if = "Option::is_none")]
    play_url: Option<String>,
    /// Where it is downloaded, with the download token or the user's own
    #[serde(skip_serializing_if = "Option::is_none")]
    download_url: Option<String>,
    /// `completed` or `processing`
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<String>,
    #[serde(flatten)]
    more: Map<String, Value>,
}

/// What tells the events of a recording apart: Zoom has sent the same files twice with other addresses and another token.
pub(super) fn on_delivery(event: &str, delivery: &Delivery) -> Result<Vec<Emit<RecordingCompleted>>> {
    let (envelope, recording) = envelope::read::<Recording>(delivery)?;
    let about = envelope.about(&recording.meeting.core)?;
    let name = |file: &RecordingFile| {
        let made = || {
            [&file.file_type, &file.recording_start].map(|part| part.clone().unwrap_or_default()).join("@")
        };
        file.id.clone().unwrap_or_else(made)
    };
    let mut files: Vec<String> = recording.recording_files.iter().map(name).collect();
    files.sort();
    let key = format!("{event}/{}/{}", about.instance, files.join(","));
    Ok(about.emit(key, RecordingCompleted { recording, download_token: envelope.download_token }))
}

pub(super) fn sample(event: &str, file: Value) -> Option<Value> {
    let mut sample = envelope::sample(
        event,
        json!({
            "id": "{{number}}", "uuid": "{{text}}", "host_id": "{{user}}", "topic": "Product demo", "type": 2,
            "start_time": "2026-12-01T09:00:41Z", "duration": 45, "share_url": "https://example.com/rec/share/abc",
            "total_size": 360_943_211, "recording_count": 1, "recording_files": [file],
        }),
        json!({}),
    )?;
    sample["download_token"] = json!("synthetic.download.token");
    Some(sample)
}

impl Trigger for CompleteRecording {
    const NAME: &'static str = "complete_recording";
    const TITLE: &'static str = "Complete Recording";
    const SOURCE: Source = Source::app_webhook(&["recording.completed"]);
    const SCOPES: &'static [ScopeSet] =
        scopes!(granular: "cloud_recording:read:recording", classic: "recording:read");

    type Params = NoParams;
    type Event = RecordingCompleted;

    fn sample_delivery() -> Option<Value> {
        sample(
            "recording.completed",
            json!({
                "id": "76820abf-618b-4aa0-8311-70a657638b90", "file_type": "MP4", "file_extension": "MP4",
                "file_size": 360_943_211, "recording_type": "shared_screen_with_speaker_view", "status": "completed",
                "recording_start": "2026-12-01T09:02:10Z", "recording_end": "2026-12-01T09:20:31Z",
                "download_url": "https://example.com/rec/download/76820abf",
            }),
        )
    }

    fn on_delivery(delivery: &Delivery) -> Result<Vec<Emit<RecordingCompleted>>> {
        on_delivery("recording.completed", delivery)
    }
}
