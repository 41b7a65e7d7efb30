//! What happens in meetings: people come and go, and somebody records.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::World;
use crate::change::Change;
use crate::clock::whole_seconds;
use crate::directory::User;
use crate::instance::{Instance, Participant, Segment};
use crate::meeting::Meeting;

/// How many instances of a meeting are remembered.
const KEPT: usize = 20;

/// What Zoom says of everybody who is there when the host ends the meeting.
const HOST_ENDED: &str = "left the meeting.<br>Reason: Host ended the meeting.";

/// Somebody who wants to be let in.
#[derive(Debug, Default)]
pub(crate) struct Newcomer {
    pub(crate) name: String,
    pub(crate) user: Option<Arc<User>>,
    pub(crate) email: Option<String>,
    pub(crate) registrant: Option<String>,
}

/// What was wanted does not fit the state of the meeting: why.
pub(crate) type Fitting<T> = Result<T, String>;

impl World {
    /// The meeting, and the instance of it that is going on.
    fn going_on(&mut self, id: i64) -> Fitting<(Meeting, &mut Instance)> {
        let not_started = || format!("meeting {id} has not started");
        let meeting = self.meetings.get(&id).filter(|meeting| meeting.in_progress).cloned();
        let meeting = meeting.ok_or_else(not_started)?;
        let instance = self.instances.get_mut(&id).and_then(|all| all.last_mut());
        Ok((meeting, instance.ok_or_else(not_started)?))
    }

    /// Begins an instance of a meeting that has just started.
    pub(super) fn open_instance(&mut self, id: i64, uuid: String) {
        let started = whole_seconds(self.now());
        let all = self.instances.entry(id).or_default();
        all.push(Instance::new(uuid, started));
        if all.len() > KEPT {
            all.remove(0);
        }
    }

    /// Everybody leaves, and the recording stops. Answers the instance that is over.
    pub(super) fn close_instance(&mut self, id: i64) -> Option<Box<Instance>> {
        let now = whole_seconds(self.now());
        let (meeting, instance) = self.going_on(id).ok()?;
        if let Some(segment) = instance.running() {
            segment.end = Some(now.max(segment.start));
        }
        let leaving = std::mem::take(&mut instance.present);
        let over = Box::new(instance.clone());
        for participant in leaving {
            self.record(Change::ParticipantLeft {
                meeting: Box::new(meeting.clone()),
                instance: over.clone(),
                participant: Box::new(participant),
                reason: HOST_ENDED.to_owned(),
            });
        }
        Some(over)
    }

    /// Somebody joins. A meeting that has not started starts with them.
    pub(crate) fn join(&mut self, id: i64, newcomer: Newcomer) -> Fitting<Participant> {
        self.set_in_progress(id, true);
        let (visit, uuid) = (self.random.visit(), self.random.guid().to_uppercase());
        let joined = whole_seconds(self.now());
        let (meeting, instance) = self.going_on(id)?;
        let email = match (newcomer.email, &newcomer.user) {
            (Some(email), _) => email,
            (None, Some(user)) => user.email.to_owned(),
            (None, None) => String::new(),
        };
        let Newcomer { name, user, registrant, .. } = newcomer;
        let participant = Participant { visit, uuid, name, user, email, registrant, joined };
        instance.present.push(participant.clone());
        let instance = Box::new(instance.clone());
        let meeting = Box::new(meeting);
        self.record(Change::ParticipantJoined {
            meeting,
            instance,
            participant: Box::new(participant.clone()),
        });
        Ok(participant)
    }

    /// Somebody leaves, who is called by name, visit or participant UUID.
    pub(crate) fn leave(&mut self, id: i64, who: &str, reason: Option<&str>) -> Fitting<()> {
        let (meeting, instance) = self.going_on(id)?;
        // Of two who are called alike the last to come goes first.
        let found = instance.present.iter().rposition(|participant| participant.is_called(who));
        let index = found.ok_or_else(|| format!("nobody called {who:?} is in meeting {id}"))?;
        let participant = Box::new(instance.present.remove(index));
        let reason = format!("left the meeting.<br>Reason: {}.", reason.unwrap_or("left the meeting"));
        let instance = Box::new(instance.clone());
        self.record(Change::ParticipantLeft { meeting: Box::new(meeting), instance, participant, reason });
        Ok(())
    }

    /// Somebody presses the button. A meeting that has not started starts before.
    pub(crate) fn start_recording(&mut self, id: i64) -> Fitting<()> {
        self.set_in_progress(id, true);
        let mut segment = Segment::new(whole_seconds(self.now()), &mut self.random);
        let (meeting, instance) = self.going_on(id)?;
        if instance.running().is_some() {
            return Err(format!("meeting {id} is being recorded already"));
        }
        // Nobody is so quick that two parts begin within a second, and their starts are what tells them apart.
        if let Some(last) = instance.recording.last() {
            let next = last.start.saturating_add(SignedDuration::from_secs(1)).unwrap_or(Timestamp::MAX);
            segment.start = segment.start.max(next);
        }
        instance.recording.push(segment.clone());
        let (meeting, instance) = (Box::new(meeting), Box::new(instance.clone()));
        self.record(Change::RecordingStarted { meeting, instance, segment: Box::new(segment) });
        Ok(())
    }

    /// The recording pauses: starting it again makes another part. Of the events that are simulated none tells this.
    pub(crate) fn stop_recording(&mut self, id: i64) -> Fitting<()> {
        let now = whole_seconds(self.now());
        let (_, instance) = self.going_on(id)?;
        let segment = instance.running().ok_or_else(|| format!("meeting {id} is not being recorded"))?;
        segment.end = Some(now.max(segment.start));
        Ok(())
    }

    /// The last instance of which something was recorded.
    fn recorded(&mut self, id: i64) -> Fitting<(Box<Meeting>, Box<Instance>)> {
        let now = whole_seconds(self.now());
        let recorded = self.instances.get_mut(&id).into_iter().flatten().rev();
        let instance = recorded.into_iter().find(|instance| !instance.recording.is_empty());
        let (Some(meeting), Some(instance)) = (self.meetings.get(&id), instance) else {
            return Err(format!("nothing of meeting {id} has been recorded"));
        };
        if let Some(segment) = instance.running() {
            segment.end = Some(now.max(segment.start));
        }
        Ok((Box::new(meeting.clone()), Box::new(instance.clone())))
    }

    /// The files are ready. Saying so twice names the same files, at other addresses and with another token.
    pub(crate) fn complete_recording(&mut self, id: i64) -> Fitting<()> {
        let (meeting, instance) = self.recorded(id)?;
        self.record(Change::RecordingCompleted { meeting, instance });
        Ok(())
    }

    /// The transcript is ready.
    pub(crate) fn complete_transcript(&mut self, id: i64) -> Fitting<()> {
        let (meeting, instance) = self.recorded(id)?;
        self.record(Change::TranscriptCompleted { meeting, instance });
        Ok(())
    }

    /// A user removes the app: their tokens die. Answers whether they had it.
    pub(crate) fn remove_app(&mut self, user: Arc<User>) -> bool {
        let had = self.authority.revoke_user(user.id);
        if had {
            self.record(Change::AppRemoved { user });
        }
        had
    }
}
