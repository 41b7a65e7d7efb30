//! The shapes that several actions and triggers share.
//!
//! What is read is lenient: Zoom leaves members out, adds new ones, and writes an id as a number here and as text there.
//! What is written is strict, so that a mistake is found before it is sent.

mod ids;
mod meeting;
mod recurrence;
mod registrant;
mod settings;
mod time;

pub(crate) use self::{
    ids::{MeetingId, MeetingRef, OccurrenceIds, UserId},
    meeting::{Meeting, MeetingCore, MeetingSummary, MeetingType, Occurrence, TrackingField},
    recurrence::Recurrence,
    registrant::{Registrant, RegistrantFields, Registration},
    settings::{NewSettings, SettingsChange},
    time::{StartTime, blank, date_time},
};
