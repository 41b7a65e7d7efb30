//! Webhook event `meeting.registration_created`.

use connector_api::prelude::*;

use super::envelope::{self, EventMeeting};
use crate::{model::Registrant, scopes::scopes};

pub(crate) struct NewMeetingRegistrant;

/// Somebody registered for a meeting
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct RegistrationCreated {
    /// Who registered
    registrant: Registrant,
    /// The meeting
    meeting: EventMeeting,
}

#[derive(Deserialize)]
struct Object {
    registrant: Registrant,
    #[serde(flatten)]
    meeting: EventMeeting,
}

impl Trigger for NewMeetingRegistrant {
    const NAME: &'static str = "new_meeting_registrant";
    const TITLE: &'static str = "New Meeting Registrant";
    const SOURCE: Source = Source::app_webhook(&["meeting.registration_created"]);
    const SCOPES: &'static [ScopeSet] = scopes!(granular: "meeting:read:registrant", classic: "meeting:read");

    type Params = NoParams;
    type Event = RegistrationCreated;

    fn sample_delivery() -> Option<serde_json::Value> {
        envelope::sample(
            "meeting.registration_created",
            json!({
                "id": "{{number}}", "uuid": "{{text}}", "host_id": "{{user}}", "topic": "Product demo", "type": 2,
                "start_time": "2026-12-01T09:00:00Z", "duration": 45,
                "registrant": {
                    "id": "9tboDiHUQAeOnbmudzWa5g", "email": "jill@example.com", "first_name": "Jill", "status": "approved",
                },
            }),
            json!({}),
        )
    }

    fn on_delivery(delivery: &Delivery) -> Result<Vec<Emit<RegistrationCreated>>> {
        let (envelope, Object { registrant, meeting }) = envelope::read(delivery)?;
        let about = envelope.about(&meeting.core)?;
        // Somebody who cancels and registers again may keep the id, so the time belongs to what tells events apart.
        let who = registrant.id.as_ref().map_or("", Id::as_str);
        let sent = envelope.event_ts.ok_or_else(envelope::nothing_tells_it_apart)?;
        let key = format!("meeting.registration_created/{}/{who}/{sent}", about.instance);
        Ok(about.emit(key, RegistrationCreated { registrant, meeting }))
    }
}
