//! What has changed, as facts: one place from which anything that wants to tell the world (a webhook sender, a
//! display) can learn it. Every change of a meeting or a registrant goes through [`World`](crate::world::World),
//! which records it here; changes that a call asks for and that come to nothing are not recorded.

use std::collections::VecDeque;
use std::sync::Arc;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use crate::clock::zulu;
use crate::directory::User;
use crate::instance::{Instance, Participant, Segment};
use crate::meeting::Meeting;
use crate::registrant::Registrant;

/// How many changes are remembered.
const KEPT: usize = 1_000;

/// One change, with the state around it.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    MeetingCreated {
        meeting: Box<Meeting>,
        operator: Arc<User>,
    },
    MeetingUpdated {
        before: Box<Meeting>,
        after: Box<Meeting>,
        operator: Arc<User>,
    },
    /// With an occurrence, only that one is gone.
    MeetingDeleted {
        meeting: Box<Meeting>,
        occurrence: Option<String>,
        operator: Arc<User>,
    },
    MeetingStarted {
        meeting: Box<Meeting>,
    },
    MeetingEnded {
        meeting: Box<Meeting>,
        instance: Option<Box<Instance>>,
    },
    ParticipantJoined {
        meeting: Box<Meeting>,
        instance: Box<Instance>,
        participant: Box<Participant>,
    },
    ParticipantLeft {
        meeting: Box<Meeting>,
        instance: Box<Instance>,
        participant: Box<Participant>,
        reason: String,
    },
    RecordingStarted {
        meeting: Box<Meeting>,
        instance: Box<Instance>,
        segment: Box<Segment>,
    },
    RecordingCompleted {
        meeting: Box<Meeting>,
        instance: Box<Instance>,
    },
    TranscriptCompleted {
        meeting: Box<Meeting>,
        instance: Box<Instance>,
    },
    RegistrantAdded {
        meeting: Box<Meeting>,
        registrant: Box<Registrant>,
    },
    RegistrantDecided {
        meeting: Box<Meeting>,
        registrant: Box<Registrant>,
    },
    /// With an occurrence, they no longer attend that one.
    RegistrantRemoved {
        meeting: Box<Meeting>,
        registrant: Box<Registrant>,
        occurrence: Option<String>,
    },
    /// A user has removed the app.
    AppRemoved {
        user: Arc<User>,
    },
}

impl Change {
    /// The meeting that it is about.
    pub(crate) fn meeting(&self) -> Option<&Meeting> {
        match self {
            Self::MeetingUpdated { after: meeting, .. }
            | Self::MeetingCreated { meeting, .. }
            | Self::MeetingDeleted { meeting, .. }
            | Self::MeetingStarted { meeting }
            | Self::MeetingEnded { meeting, .. }
            | Self::ParticipantJoined { meeting, .. }
            | Self::ParticipantLeft { meeting, .. }
            | Self::RecordingStarted { meeting, .. }
            | Self::RecordingCompleted { meeting, .. }
            | Self::TranscriptCompleted { meeting, .. }
            | Self::RegistrantAdded { meeting, .. }
            | Self::RegistrantDecided { meeting, .. }
            | Self::RegistrantRemoved { meeting, .. } => Some(meeting),
            Self::AppRemoved { .. } => None,
        }
    }

    /// The host of the meeting. Nobody, if the app is told whatever is connected.
    pub(crate) fn is_about(&self) -> Option<&User> {
        self.meeting().map(|meeting| &*meeting.host)
    }

    /// Names and ids, for reading.
    fn summary(&self) -> Value {
        match self {
            Self::MeetingCreated { meeting, operator } => {
                json!({"kind": "meeting-created", "meeting": meeting.id, "operator": operator.id})
            }
            Self::MeetingUpdated { before, after, operator } => json!({
                "kind": "meeting-updated", "meeting": after.id, "operator": operator.id,
                "topic": {"before": before.topic, "after": after.topic},
            }),
            Self::MeetingDeleted { meeting, occurrence, operator } => json!({
                "kind": "meeting-deleted", "meeting": meeting.id, "occurrence": occurrence, "operator": operator.id,
            }),
            Self::MeetingStarted { meeting } => json!({"kind": "meeting-started", "meeting": meeting.id}),
            Self::MeetingEnded { meeting, .. } => json!({"kind": "meeting-ended", "meeting": meeting.id}),
            Self::ParticipantJoined { meeting, participant, .. } => json!({
                "kind": "participant-joined", "meeting": meeting.id, "participant": participant.uuid,
            }),
            Self::ParticipantLeft { meeting, participant, .. } => json!({
                "kind": "participant-left", "meeting": meeting.id, "participant": participant.uuid,
            }),
            Self::RecordingStarted { meeting, .. } => {
                json!({"kind": "recording-started", "meeting": meeting.id})
            }
            Self::RecordingCompleted { meeting, .. } => {
                json!({"kind": "recording-completed", "meeting": meeting.id})
            }
            Self::TranscriptCompleted { meeting, .. } => {
                json!({"kind": "transcript-completed", "meeting": meeting.id})
            }
            Self::RegistrantAdded { meeting, registrant } => json!({
                "kind": "registrant-added", "meeting": meeting.id, "registrant": registrant.id,
                "status": registrant.standing,
            }),
            Self::RegistrantDecided { meeting, registrant } => json!({
                "kind": "registrant-decided", "meeting": meeting.id, "registrant": registrant.id,
                "status": registrant.standing,
            }),
            Self::RegistrantRemoved { meeting, registrant, occurrence } => json!({
                "kind": "registrant-removed", "meeting": meeting.id, "registrant": registrant.id,
                "occurrence": occurrence,
            }),
            Self::AppRemoved { user } => json!({"kind": "app-removed", "user": user.id}),
        }
    }
}

#[derive(Debug)]
struct Recorded {
    number: u64,
    at: Timestamp,
    change: Change,
}

/// A recorded change as the control API shows it.
#[derive(Debug, Serialize)]
pub(crate) struct Entry {
    number: u64,
    at: String,
    #[serde(flatten)]
    change: Value,
}

/// The changes so far, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    recorded: VecDeque<Recorded>,
    count: u64,
}

impl Changes {
    pub(crate) fn record(&mut self, change: Change, at: Timestamp) {
        self.count += 1;
        self.recorded.push_back(Recorded { number: self.count, at, change });
        if self.recorded.len() > KEPT {
            self.recorded.pop_front();
        }
    }

    /// How many there have been since the start.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    pub(crate) fn entries(&self) -> Vec<Entry> {
        let entry = |recorded: &Recorded| Entry {
            number: recorded.number,
            at: zulu(recorded.at),
            change: recorded.change.summary(),
        };
        self.recorded.iter().map(entry).collect()
    }
}
