//! The nine triggers. All of them arrive at the one address of the app.

mod complete_recording;
mod envelope;
mod meeting_ended;
mod meeting_updated;
mod new_meeting;
mod new_meeting_registrant;
mod new_recording;
mod participant;
mod recording_transcript_completed;

pub(crate) use self::{
    complete_recording::CompleteRecording,
    meeting_ended::MeetingEnded,
    meeting_updated::MeetingUpdated,
    new_meeting::NewMeeting,
    new_meeting_registrant::NewMeetingRegistrant,
    new_recording::NewRecording,
    participant::{MeetingParticipantJoined, MeetingParticipantLeft},
    recording_transcript_completed::RecordingTranscriptCompleted,
};
