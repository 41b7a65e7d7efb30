//! The members of a meeting's `settings`: which there are, what they may hold, where they can be written and what
//! they are when nobody says. From the schemas and descriptions of *Create a meeting* and *Update a meeting*.

use serde_json::{Map, Value, json};

use crate::directory::BLOCKED_DOMAIN;
use crate::errors::{Invalid, ZoomError, ZoomResult};
use crate::shape::{self, EMAIL, Field, Shape, TEXT, list, may};

/// A meeting's settings, as stored: checked, defaults filled in.
pub(crate) type Settings = Map<String, Value>;

/// Which call may write a setting.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Call {
    Create,
    Update,
    /// *Update a meeting* with an `occurrence_id`.
    UpdateOccurrence,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Writable {
    Always,
    OnCreate,
    OnUpdate,
    /// Always, and also for a single occurrence.
    PerOccurrence,
}

#[derive(Clone, Copy)]
enum Preset {
    Unset,
    Flag(bool),
    Number(i64),
    Text(&'static str),
}

struct Setting {
    field: Field,
    writable: Writable,
    preset: Preset,
}

impl Setting {
    fn is_writable(&self, call: Call) -> bool {
        match self.writable {
            Writable::Always => call != Call::UpdateOccurrence,
            Writable::OnCreate => call == Call::Create,
            Writable::OnUpdate => call == Call::Update,
            Writable::PerOccurrence => true,
        }
    }

    const fn when(mut self, writable: Writable) -> Self {
        self.writable = writable;
        self
    }
}

const fn setting(name: &'static str, shape: Shape, preset: Preset) -> Setting {
    Setting { field: may(name, shape), writable: Writable::Always, preset }
}

const fn flag(name: &'static str, preset: bool) -> Setting {
    setting(name, Shape::Flag, Preset::Flag(preset))
}

const fn number(name: &'static str, allowed: &'static [i64], preset: Preset) -> Setting {
    setting(name, Shape::OneOfWhole(allowed), preset)
}

const fn choice(name: &'static str, allowed: &'static [&'static str], preset: &'static str) -> Setting {
    setting(name, Shape::OneOf(allowed), Preset::Text(preset))
}

const fn text(name: &'static str) -> Setting {
    setting(name, TEXT, Preset::Unset)
}

const fn object(name: &'static str, fields: &'static [Field]) -> Setting {
    setting(name, Shape::Object(fields), Preset::Unset)
}

const fn objects(name: &'static str, entry: &'static Shape) -> Setting {
    setting(name, list(entry), Preset::Unset)
}

const BREAKOUT_ROOM: &[Field] = &[
    may("enable", Shape::Flag),
    may("rooms", list(&Shape::Object(&[may("name", TEXT), may("participants", list(&TEXT))]))),
];

const COUNTRIES: &[Field] = &[
    may("enable", Shape::Flag),
    may("method", Shape::OneOf(&["approve", "deny"])),
    may("approved_list", list(&TEXT)),
    may("denied_list", list(&TEXT)),
];

const CONTINUOUS_CHAT: &[Field] = &[
    may("enable", Shape::Flag),
    may("auto_add_invited_external_users", Shape::Flag),
    may("auto_add_meeting_participants", Shape::Flag),
    may("who_is_added", Shape::OneOf(&["all_users", "org_invitees_and_participants", "org_invitees"])),
];

const QUESTIONS: &[Field] = &[
    may("enable", Shape::Flag),
    may("allow_submit_questions", Shape::Flag),
    may("allow_anonymous_questions", Shape::Flag),
    may("question_visibility", Shape::OneOf(&["answered", "all"])),
    may("attendees_can_comment", Shape::Flag),
    may("attendees_can_upvote", Shape::Flag),
];

const SIGN_LANGUAGE: &[Field] = &[
    may("enable", Shape::Flag),
    may("interpreters", Shape::List(&Shape::Object(&[may("email", EMAIL), may("sign_language", TEXT)]), 20)),
];

const LANGUAGES: &[Field] = &[
    may("enable", Shape::Flag),
    may(
        "interpreters",
        list(&Shape::Object(&[
            may("email", EMAIL),
            may("languages", TEXT),
            may("interpreter_languages", TEXT),
        ])),
    ),
];

const AUTHENTICATION_EXCEPTION: Shape =
    Shape::Object(&[may("name", TEXT), may("email", EMAIL), may("join_url", TEXT)]);

const INVITEE: Shape = Shape::Object(&[may("email", EMAIL)]);

const RESOURCE: Shape = Shape::Object(&[
    may("resource_type", Shape::OneOf(&["whiteboard"])),
    may("resource_id", TEXT),
    may("permission_level", Shape::OneOf(&["editor", "commenter", "viewer"])),
]);

const CUSTOM_KEY: Shape = Shape::Object(&[may("key", Shape::Text(64)), may("value", Shape::Text(256))]);

const DIAL_IN_NUMBER: Shape = Shape::Object(&[
    may("country", TEXT),
    may("country_name", TEXT),
    may("city", TEXT),
    may("number", TEXT),
    may("type", Shape::OneOf(&["toll", "tollfree"])),
]);

/// Every setting, in the order in which answers show them.
const SETTINGS: &[Setting] = &[
    flag("host_video", false).when(Writable::PerOccurrence),
    flag("participant_video", false).when(Writable::PerOccurrence),
    flag("cn_meeting", false),
    flag("in_meeting", false),
    flag("join_before_host", false).when(Writable::PerOccurrence),
    number("jbh_time", &[0, 5, 10, 15], Preset::Number(0)),
    flag("mute_upon_entry", false).when(Writable::PerOccurrence),
    flag("watermark", false).when(Writable::PerOccurrence),
    flag("use_pmi", false),
    number("approval_type", &[0, 1, 2], Preset::Number(2)),
    number("registration_type", &[1, 2, 3], Preset::Number(1)),
    choice("audio", &["both", "telephony", "voip", "thirdParty"], "both"),
    setting("audio_conference_info", Shape::Text(2_048), Preset::Unset),
    choice("auto_recording", AUTO_RECORDING, "none").when(Writable::PerOccurrence),
    flag("enforce_login", false).when(Writable::OnUpdate),
    text("enforce_login_domains").when(Writable::OnUpdate),
    setting("alternative_hosts", Shape::Special(alternative_hosts), Preset::Text("")),
    flag("alternative_host_update_polls", false),
    flag("alternative_hosts_email_notification", true),
    flag("close_registration", false),
    flag("show_share_button", false),
    flag("allow_multiple_devices", false),
    flag("registrants_confirmation_email", true),
    flag("registrants_email_notification", true),
    flag("waiting_room", false).when(Writable::PerOccurrence),
    objects("global_dial_in_countries", &TEXT),
    objects("global_dial_in_numbers", &DIAL_IN_NUMBER).when(Writable::OnUpdate),
    text("contact_name"),
    text("contact_email"),
    flag("meeting_authentication", false),
    text("authentication_option"),
    text("authentication_name").when(Writable::OnUpdate),
    text("authentication_domains"),
    objects("authentication_exception", &AUTHENTICATION_EXCEPTION),
    choice("encryption_type", &["enhanced_encryption", "e2ee"], "enhanced_encryption"),
    number("calendar_type", &[1, 2], Preset::Unset),
    objects("meeting_invitees", &INVITEE),
    object("breakout_room", BREAKOUT_ROOM),
    object("approved_or_denied_countries_or_regions", COUNTRIES),
    object("language_interpretation", LANGUAGES),
    object("sign_language_interpretation", SIGN_LANGUAGE),
    object("question_and_answer", QUESTIONS),
    object("continuous_meeting_chat", CONTINUOUS_CHAT),
    setting("custom_keys", Shape::List(&CUSTOM_KEY, 10), Preset::Unset).when(Writable::OnUpdate),
    objects("resources", &RESOURCE),
    objects("additional_data_center_regions", &TEXT).when(Writable::OnCreate),
    flag("push_change_to_calendar", false).when(Writable::OnCreate),
    flag("allow_host_control_participant_mute_state", false),
    flag("internal_meeting", false),
    flag("participant_focused_meeting", false),
    flag("private_meeting", false),
    flag("disable_participant_video", false),
    flag("device_testing", false),
    flag("focus_mode", false),
    flag("host_save_video_order", false),
    flag("email_in_attendee_report", false),
    flag("email_notification", true),
    flag("auto_start_meeting_summary", false),
    number("who_will_receive_summary", &[1, 2, 3, 4], Preset::Unset),
    text("summary_template_id"),
    flag("auto_start_ai_companion_questions", false),
    number("who_can_ask_questions", &[1, 2, 3, 4, 5], Preset::Unset),
];

const AUTO_RECORDING: &[&str] = &["local", "cloud", "none"];

/// E-mail addresses or user ids, separated by semicolons.
fn alternative_hosts(text: &str) -> Result<(), String> {
    if text.contains(',') {
        return Err("separates hosts with a comma; Zoom takes semicolons".to_owned());
    }
    text.split(';').filter(|host| !host.is_empty()).try_for_each(|host| match host.contains('@') {
        true => shape::email(host),
        false if host.contains(char::is_whitespace) => {
            Err(format!("{host:?} is neither an address nor an id"))
        }
        false => Ok(()),
    })
}

/// The settings of a meeting for which nothing has been said.
pub(crate) fn presets() -> Settings {
    let preset = |setting: &Setting| {
        let value = match setting.preset {
            Preset::Unset => return None,
            Preset::Flag(flag) => json!(flag),
            Preset::Number(number) => json!(number),
            Preset::Text(text) => json!(text),
        };
        Some((setting.field.name.to_owned(), value))
    };
    SETTINGS.iter().filter_map(preset).collect()
}

/// Checks what a call says about settings. Settings that this call cannot write are ignored.
pub(crate) fn read(call: Call, settings: &Settings, problems: &mut Vec<Invalid>) -> Settings {
    let mut settings = settings.clone();
    if call != Call::Create {
        coerce_auto_recording(&mut settings);
    }
    let fields = SETTINGS.iter().filter(|setting| setting.is_writable(call)).map(|setting| &setting.field);
    shape::read(fields, &settings, "settings", problems)
}

/// An update with an unknown value is not refused: it is stored as `none` (observed).
fn coerce_auto_recording(settings: &mut Settings) {
    if let Some(Value::String(value)) = settings.get_mut("auto_recording")
        && !AUTO_RECORDING.contains(&value.as_str())
    {
        *value = "none".to_owned();
    }
}

/// Refusals with a message of their own.
pub(crate) fn refuse(settings: &Settings) -> ZoomResult<()> {
    if text_of(settings, "enforce_login_domains").contains(',') {
        return Err(ZoomError::bad_value(
            "Invalid enforce_login_domains. Separate multiple domains with semicolons.",
        ));
    }
    let invitees = settings.get("meeting_invitees").and_then(Value::as_array);
    let blocked = invitees.into_iter().flatten().any(|invitee| {
        let domain = invitee["email"].as_str().and_then(|email| email.rsplit_once('@'));
        domain.is_some_and(|(_, domain)| domain.eq_ignore_ascii_case(BLOCKED_DOMAIN))
    });
    if blocked {
        return Err(ZoomError::no_access(format!(
            "Users in '{BLOCKED_DOMAIN}' have been blocked from joining meetings and webinars. To unblock them, go to \
             the Settings page in the Zoom web portal and update Block users in specific domains from joining \
             meetings and webinars."
        )));
    }
    Ok(())
}

/// Merges what a call says into what is stored. A member that is not named stays as it was.
pub(crate) fn merge(stored: &mut Settings, said: &Settings) {
    for (name, value) in said {
        stored.insert(name.clone(), value.clone());
    }
    if flag_of(stored, "waiting_room") {
        stored.insert("join_before_host".to_owned(), Value::Bool(false));
    }
}

/// Settings that no read shows again: they were instructions to the call that created the meeting.
pub(crate) fn as_read(settings: &Settings) -> Settings {
    let mut settings = settings.clone();
    settings.shift_remove("push_change_to_calendar");
    settings.shift_remove("additional_data_center_regions");
    settings
}

pub(crate) fn flag_of(settings: &Settings, name: &str) -> bool {
    settings.get(name).and_then(Value::as_bool).unwrap_or_default()
}

pub(crate) fn number_of(settings: &Settings, name: &str) -> i64 {
    settings.get(name).and_then(Value::as_i64).unwrap_or_default()
}

pub(crate) fn text_of<'a>(settings: &'a Settings, name: &str) -> &'a str {
    settings.get(name).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(call: Call) -> usize {
        SETTINGS.iter().filter(|setting| setting.is_writable(call)).count()
    }

    #[test]
    fn there_are_as_many_settings_as_zoom_documents() {
        assert_eq!(names(Call::Create), 57);
        assert_eq!(names(Call::Update), 60);
        assert_eq!(names(Call::UpdateOccurrence), 7);
    }

    #[test]
    fn a_waiting_room_switches_join_before_host_off() {
        let mut stored = presets();
        let said = json!({"join_before_host": true, "waiting_room": true});
        merge(&mut stored, said.as_object().expect("an object"));
        assert!(!flag_of(&stored, "join_before_host"));
    }
}
