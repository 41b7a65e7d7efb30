//! The eight actions.

mod add_meeting_registrant;
mod create_meeting;
mod delete_meeting;
mod delete_meeting_registrant;
mod get_meeting;
mod get_meeting_registrants;
mod get_meetings;
mod update_meeting;

pub(crate) use self::{
    add_meeting_registrant::AddMeetingRegistrant, create_meeting::CreateMeeting,
    delete_meeting::DeleteMeeting, delete_meeting_registrant::DeleteMeetingRegistrant,
    get_meeting::GetMeeting, get_meeting_registrants::GetMeetingRegistrants, get_meetings::GetMeetings,
    update_meeting::UpdateMeeting,
};
