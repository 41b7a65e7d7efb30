//! What every event of Zoom is wrapped in, and whom it is for.
//!
//! One address receives the events of every user of the app. The host's user id says whose an event is; an update may lack
//! it, so the meeting is named too, and Jackfield remembers whose that was.

use connector_api::prelude::*;
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::model::{MeetingCore, blank};

/// What stands around the object of an event.
pub(super) struct Envelope {
    /// When the event was made, in milliseconds since 1970.
    pub(super) event_ts: Option<i64>,
    /// The token that downloads a recording's files. It stands beside the payload; older events had it inside.
    pub(super) download_token: Option<String>,
    /// What stands beside the object in the payload.
    pub(super) payload: Payload,
    client: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Payload {
    #[serde(default, deserialize_with = "blank")]
    pub(super) account_id: Option<String>,
    #[serde(default, deserialize_with = "blank")]
    pub(super) operator: Option<String>,
    #[serde(default, deserialize_with = "blank")]
    pub(super) operator_id: Option<String>,
    pub(super) operation: Option<String>,
    pub(super) scope: Option<String>,
    pub(super) time_stamp: Option<i64>,
    pub(super) old_object: Option<Map<String, Value>>,
    #[serde(default, deserialize_with = "blank")]
    download_token: Option<String>,
}

/// An event that could not be told from the next one: taking the two for one would lose the second.
pub(super) fn nothing_tells_it_apart() -> Error {
    Error::new(ErrorKind::UnexpectedAnswer, "the event has neither a time of its own nor `event_ts`")
}

/// Takes a delivery apart into envelope and object.
pub(super) fn read<T: DeserializeOwned>(delivery: &Delivery) -> Result<(Envelope, T)> {
    #[derive(Deserialize)]
    struct Body<T> {
        event_ts: Option<i64>,
        #[serde(default, deserialize_with = "blank")]
        download_token: Option<String>,
        payload: Whole<T>,
    }
    #[derive(Deserialize)]
    struct Whole<T> {
        object: T,
        #[serde(flatten)]
        payload: Payload,
    }
    let body: Body<T> = delivery.json()?;
    let Whole { object, mut payload } = body.payload;
    let envelope = Envelope {
        event_ts: body.event_ts,
        download_token: body.download_token.or(payload.download_token.take()),
        client: delivery.header("clientid").map(str::to_owned),
        payload,
    };
    Ok((envelope, object))
}

/// A delivery as it may look: an event about this object, with more beside it in the payload.
pub(super) fn sample(event: &str, object: Value, more: Value) -> Option<Value> {
    let mut payload = json!({
        "account_id": "{{account}}", "operator": "anna@example.com", "operator_id": "{{user}}", "object": object,
    });
    if let (Some(payload), Value::Object(more)) = (payload.as_object_mut(), more) {
        payload.extend(more);
    }
    Some(json!({"event": event, "event_ts": "{{now_ms}}", "payload": payload}))
}

impl Envelope {
    /// Which meeting the event is about, and so whom it is for.
    pub(super) fn about(&self, meeting: &MeetingCore) -> Result<About> {
        let number = meeting.id.as_ref().map(Id::to_string);
        let instance = meeting.uuid.clone().or_else(|| number.clone()).ok_or_else(|| {
            Error::new(ErrorKind::UnexpectedAnswer, "the event names no meeting").at("/payload/object")
        })?;
        Ok(About {
            instance,
            number,
            host: meeting.host_id.clone(),
            operator: self.payload.operator_id.clone(),
            account: self.payload.account_id.clone(),
            client: self.client.clone(),
            at: self.event_ts.and_then(|ms| Timestamp::from_millisecond(ms).ok()),
        })
    }
}

/// Which meeting an event is about.
pub(super) struct About {
    /// The UUID of the instance, or the meeting's number where Zoom sends none.
    pub(super) instance: String,
    number: Option<String>,
    host: Option<String>,
    operator: Option<String>,
    account: Option<String>,
    client: Option<String>,
    at: Option<Timestamp>,
}

impl About {
    /// The one event of a delivery.
    pub(super) fn emit<E>(self, key: String, event: E) -> Vec<Emit<E>> {
        let mut emit = Emit::new(key, event);
        if let Some(client) = self.client {
            emit = emit.client(client);
        }
        if let Some(host) = self.host {
            emit = emit.owner(host);
        }
        if let Some(number) = self.number {
            emit = emit.resource(format!("meeting:{number}"));
        }
        if let Some(operator) = self.operator {
            emit = emit.actor(operator);
        }
        if let Some(account) = self.account {
            emit = emit.account(account);
        }
        if let Some(at) = self.at {
            emit = emit.occurred_at(at);
        }
        vec![emit]
    }
}

/// A meeting as events show it
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct EventMeeting {
    #[serde(flatten)]
    pub(super) core: MeetingCore,
    #[serde(flatten)]
    more: Map<String, Value>,
}
