//! One time that a meeting takes place: who is there, and what is recorded of it. Each has a UUID of its own, and it
//! stays after the meeting has ended, because recordings are ready only then.

use std::sync::Arc;

use jiff::Timestamp;

use crate::directory::User;
use crate::random::Random;

/// How many files Zoom makes of one part of a recording here: video, sound and the times of both.
const FILES: usize = 3;

#[derive(Debug, Clone)]
pub(crate) struct Instance {
    pub(crate) uuid: String,
    pub(crate) started: Timestamp,
    /// Who is there now.
    pub(crate) present: Vec<Participant>,
    pub(crate) recording: Vec<Segment>,
}

/// Somebody in a meeting.
#[derive(Debug, Clone)]
pub(crate) struct Participant {
    /// Another one after leaving and joining again.
    pub(crate) visit: u64,
    pub(crate) uuid: String,
    pub(crate) name: String,
    /// Nobody, if they are a guest.
    pub(crate) user: Option<Arc<User>>,
    pub(crate) email: String,
    pub(crate) registrant: Option<String>,
    pub(crate) joined: Timestamp,
}

impl Participant {
    /// Whether `name` is one of the names by which the control API can mean them.
    pub(crate) fn is_called(&self, name: &str) -> bool {
        self.uuid == name || self.name == name || self.visit.to_string() == name
    }
}

/// A part of a recording: from a start to a stop.
#[derive(Debug, Clone)]
pub(crate) struct Segment {
    pub(crate) start: Timestamp,
    /// None while it goes on.
    pub(crate) end: Option<Timestamp>,
    /// The ids that its files will have. They stay when Zoom says twice that the files are ready.
    pub(crate) files: [String; FILES],
    pub(crate) transcript: String,
}

impl Segment {
    pub(crate) fn new(start: Timestamp, random: &mut Random) -> Self {
        Self { start, end: None, files: std::array::from_fn(|_| random.guid()), transcript: random.guid() }
    }
}

impl Instance {
    pub(crate) fn new(uuid: String, started: Timestamp) -> Self {
        Self { uuid, started, present: Vec::new(), recording: Vec::new() }
    }

    /// The part that is being recorded.
    pub(crate) fn running(&mut self) -> Option<&mut Segment> {
        self.recording.last_mut().filter(|segment| segment.end.is_none())
    }
}
