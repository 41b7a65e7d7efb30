//! Webhook events `meeting.participant_joined` and `meeting.participant_left`. They come in any order: somebody who lost the
//! connection may leave, for Zoom, after having joined again. Their own times say what happened when.

use connector_api::prelude::*;
use serde_json::{Map, Value};

use super::envelope::{self, EventMeeting};
use crate::{
    model::{blank, date_time},
    scopes::scopes,
};

/// Somebody joined a meeting
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ParticipantJoined {
    /// Who
    participant: Participant,
    /// The meeting
    meeting: EventMeeting,
}

/// Somebody left a meeting
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ParticipantLeft {
    /// Who
    participant: Participant,
    /// The meeting
    meeting: EventMeeting,
}

/// A participant of a meeting. A guest has no ids and often no e-mail address
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Participant {
    /// A number for this visit; another one after leaving and joining again
    #[serde(default, deserialize_with = "blank", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    user_id: Option<String>,
    /// The name that others see. Whoever joins has chosen it
    #[serde(skip_serializing_if = "Option::is_none")]
    user_name: Option<String>,
    /// The user id
    #[serde(default, deserialize_with = "blank", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    id: Option<String>,
    /// The user id, where Zoom knows it otherwise than by signing in
    #[serde(default, deserialize_with = "blank", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    participant_user_id: Option<String>,
    /// The id of this visit
    #[serde(default, deserialize_with = "blank", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    participant_uuid: Option<String>,
    /// The e-mail address
    #[serde(default, deserialize_with = "blank", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    email: Option<String>,
    /// The id of the registration
    #[serde(default, deserialize_with = "blank", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    registrant_id: Option<String>,
    /// When the participant joined
    #[serde(default, deserialize_with = "blank", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "date_time")]
    join_time: Option<String>,
    /// When the participant left
    #[serde(default, deserialize_with = "blank", skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "date_time")]
    leave_time: Option<String>,
    /// Why the participant left, as Zoom puts it: with HTML in it
    #[serde(default, deserialize_with = "blank", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    leave_reason: Option<String>,
    #[serde(flatten)]
    more: Map<String, Value>,
}

#[derive(Deserialize)]
struct Object {
    participant: Participant,
    #[serde(flatten)]
    meeting: EventMeeting,
}

fn on_delivery<E>(
    event: &str,
    delivery: &Delivery,
    make: impl FnOnce(Participant, EventMeeting) -> E,
) -> Result<Vec<Emit<E>>> {
    let (envelope, Object { participant, meeting }) = envelope::read(delivery)?;
    let about = envelope.about(&meeting.core)?;
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    // Both: one person may be there with two devices, and not everybody has both.
    let visit = [&participant.participant_uuid, &participant.user_id].map(text).join("+");
    let time = if event.ends_with("joined") { &participant.join_time } else { &participant.leave_time };
    let time = match (time, envelope.event_ts) {
        (Some(time), _) => time.clone(),
        (None, Some(sent)) => sent.to_string(),
        (None, None) => return Err(envelope::nothing_tells_it_apart()),
    };
    let key = format!("{event}/{}/{visit}/{time}", about.instance);
    Ok(about.emit(key, make(participant, meeting)))
}

fn sample(event: &str, participant: Value) -> Option<Value> {
    envelope::sample(
        event,
        json!({
            "id": "{{number}}", "uuid": "{{text}}", "host_id": "{{user}}", "topic": "Product demo", "type": 2,
            "start_time": "2026-12-01T09:00:41Z", "duration": 45, "participant": participant,
        }),
        json!({}),
    )
}

pub(crate) struct MeetingParticipantJoined;

impl Trigger for MeetingParticipantJoined {
    const NAME: &'static str = "meeting_participant_joined";
    const TITLE: &'static str = "Meeting Participant Joined";
    const SOURCE: Source = Source::app_webhook(&["meeting.participant_joined"]);
    const SCOPES: &'static [ScopeSet] =
        scopes!(granular: "meeting:read:participant", classic: "meeting:read");

    type Params = NoParams;
    type Event = ParticipantJoined;

    fn sample_delivery() -> Option<Value> {
        sample(
            "meeting.participant_joined",
            json!({"user_id": "62143101", "user_name": "Jill", "email": "jill@example.com", "join_time": "2026-12-01T09:01:03Z"}),
        )
    }

    fn on_delivery(delivery: &Delivery) -> Result<Vec<Emit<ParticipantJoined>>> {
        let make = |participant, meeting| ParticipantJoined { participant, meeting };
        on_delivery("meeting.participant_joined", delivery, make)
    }
}

pub(crate) struct MeetingParticipantLeft;

impl Trigger for MeetingParticipantLeft {
    const NAME: &'static str = "meeting_participant_left";
    const TITLE: &'static str = "Meeting Participant Left";
    const SOURCE: Source = Source::app_webhook(&["meeting.participant_left"]);
    const SCOPES: &'static [ScopeSet] =
        scopes!(granular: "meeting:read:participant", classic: "meeting:read");

    type Params = NoParams;
    type Event = ParticipantLeft;

    fn sample_delivery() -> Option<Value> {
        sample(
            "meeting.participant_left",
            json!({"user_id": "62143101", "user_name": "Jill", "email": "jill@example.com", "leave_time": "2026-12-01T09:40:25Z"}),
        )
    }

    fn on_delivery(delivery: &Delivery) -> Result<Vec<Emit<ParticipantLeft>>> {
        let make = |participant, meeting| ParticipantLeft { participant, meeting };
        on_delivery("meeting.participant_left", delivery, make)
    }
}
