//! The settings of a meeting. Creating and updating share nearly all of them.

use connector_api::{
    form::group,
    prelude::*,
    schemars::{Schema, SchemaGenerator, json_schema},
    serde::{Deserializer, de::Error as _},
};

choices! {
    /// How participants hear and speak
    pub(crate) enum Audio: &str {
        Both = "both" => "Telephone and computer",
        Telephone = "telephony" => "Telephone only",
        Computer = "voip" => "Computer only",
        ThirdParty = "thirdParty" => "Another provider's conference",
    }
}

choices! {
    /// How long before the start participants may join
    pub(crate) enum JoinBeforeHost: i64 {
        Any = 0 => "At any time",
        Five = 5 => "5 minutes",
        Ten = 10 => "10 minutes",
        Fifteen = 15 => "15 minutes",
    }
}

choices! {
    /// Whether people register, and who approves them
    pub(crate) enum ApprovalType: i64 {
        Automatic = 0 => "Registration, approved at once",
        Manual = 1 => "Registration, approved by the host",
        None = 2 => "No registration",
    }
}

choices! {
    /// What a registration is for
    pub(crate) enum RegistrationType: i64 {
        OnceForAll = 1 => "Once, for all occurrences",
        EachTime = 2 => "For each occurrence",
        OnceForSome = 3 => "Once, for chosen occurrences",
    }
}

choices! {
    /// What is recorded as soon as the meeting starts
    pub(crate) enum AutoRecording: &str {
        Local = "local" => "On the host's computer",
        Cloud = "cloud" => "In the cloud",
        None = "none" => "Nothing",
    }
}

choices! {
    /// Who gets the summary
    pub(crate) enum SummaryReceivers: i64 {
        Host = 1 => "The host",
        Hosts = 2 => "The host, co-hosts and alternative hosts",
        Organisation = 3 => "The host and invitees of the organisation",
        Everybody = 4 => "All invitees",
    }
}

choices! {
    /// Who may ask the AI Companion
    pub(crate) enum Questioners: i64 {
        Everybody = 1 => "All participants and invitees",
        EverybodySinceJoining = 2 => "All participants, about what was said since they joined",
        Host = 3 => "The host",
        Organisation = 4 => "Participants and invitees of the organisation",
        OrganisationSinceJoining = 5 => "Participants of the organisation, about what was said since they joined",
    }
}

choices! {
    /// How the meeting is encrypted
    pub(crate) enum EncryptionType: &str {
        Enhanced = "enhanced_encryption" => "Enhanced: the key is kept in the cloud",
        /// Cloud recording, dial-in and some other features are off then
        EndToEnd = "e2ee" => "End to end: only the participants have the key",
    }
}

choices! {
    /// The calendar from which the meeting was scheduled
    pub(crate) enum CalendarType: i64 {
        Outlook = 1 => "Outlook",
        Google = 2 => "Google Calendar",
    }
}

choices! {
    /// What a list of countries is for
    pub(crate) enum CountryMethod: &str {
        Approve = "approve" => "Only these may join",
        Deny = "deny" => "These may not join",
    }
}

choices! {
    /// Whose questions participants see
    pub(crate) enum QuestionVisibility: &str {
        Answered = "answered" => "Answered ones",
        All = "all" => "All",
    }
}

choices! {
    /// What people with the link may do to a whiteboard
    pub(crate) enum ResourcePermission: &str {
        Editor = "editor" => "Edit",
        Commenter = "commenter" => "Comment",
        Viewer = "viewer" => "View",
    }
}

choices! {
    /// The kind of a resource
    pub(crate) enum ResourceType: &str {
        Whiteboard = "whiteboard" => "Whiteboard",
    }
}

choices! {
    /// Who is added to the chat
    pub(crate) enum ChatMembers: &str {
        Everybody = "all_users" => "All invitees and participants",
        Organisation = "org_invitees_and_participants" => "Invitees and participants of the organisation",
        Invitees = "org_invitees" => "Invitees of the organisation",
    }
}

choices! {
    /// What a call to a number costs
    pub(crate) enum DialInType: &str {
        Toll = "toll" => "Toll",
        TollFree = "tollfree" => "Toll-free",
    }
}

/// E-mail addresses or user ids. Zoom takes them as one text with semicolons.
#[derive(Debug)]
pub(crate) struct AlternativeHosts(Vec<String>);

impl Serialize for AlternativeHosts {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.join(";"))
    }
}

impl<'de> Deserialize<'de> for AlternativeHosts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Text(String),
            List(Vec<String>),
        }
        let hosts = match Written::deserialize(deserializer)? {
            Written::Text(text) if text.is_empty() => Vec::new(),
            Written::Text(text) => text.split(';').map(|host| host.trim().to_owned()).collect(),
            Written::List(list) => list,
        };
        if hosts.iter().any(|host| host.is_empty() || host.contains([',', ';'])) {
            return Err(D::Error::custom("expected hosts separated by semicolons"));
        }
        Ok(Self(hosts))
    }
}

impl JsonSchema for AlternativeHosts {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "AlternativeHosts".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["array", "string"],
            "items": {"type": "string", "pattern": "^[^,; ]+$"},
            "pattern": "^([^,; ]+( *; *[^,; ]+)*)?$",
            "examples": ["anna@example.com;jill@example.com"],
        })
    }
}

/// Somebody who is invited
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Invitee {
    /// The e-mail address
    #[schemars(email)]
    email: String,
}

/// Somebody who may join without signing in
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct AuthenticationException {
    /// The name
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// The e-mail address
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(email)]
    email: Option<String>,
    /// Where that person joins
    #[serde(skip_serializing_if = "Option::is_none")]
    join_url: Option<String>,
}

/// From which countries people may join
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct CountryRule {
    /// Whether the rule is on
    #[serde(skip_serializing_if = "Option::is_none")]
    enable: Option<bool>,
    /// What the lists are for
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<CountryMethod>,
    /// The countries from which people may join, by their two letters
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(inner(regex(pattern = "^[A-Z]{2}$")))]
    approved_list: Option<Vec<String>>,
    /// The countries from which people may not join, by their two letters
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(inner(regex(pattern = "^[A-Z]{2}$")))]
    denied_list: Option<Vec<String>>,
}

/// Breakout rooms that are prepared before the meeting
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct BreakoutRooms {
    /// Whether rooms are prepared
    #[serde(skip_serializing_if = "Option::is_none")]
    enable: Option<bool>,
    /// The rooms
    #[serde(skip_serializing_if = "Option::is_none")]
    rooms: Option<Vec<BreakoutRoom>>,
}

/// A breakout room
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct BreakoutRoom {
    /// The room's name
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// The e-mail addresses of those who are in it
    #[serde(skip_serializing_if = "Option::is_none")]
    participants: Option<Vec<String>>,
}

/// Questions and answers during the meeting
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct QuestionAndAnswer {
    /// Whether there are questions and answers
    #[serde(skip_serializing_if = "Option::is_none")]
    enable: Option<bool>,
    /// Whether participants may ask
    #[serde(skip_serializing_if = "Option::is_none")]
    allow_submit_questions: Option<bool>,
    /// Whether they may ask without a name
    #[serde(skip_serializing_if = "Option::is_none")]
    allow_anonymous_questions: Option<bool>,
    /// Whose questions they see
    #[serde(skip_serializing_if = "Option::is_none")]
    question_visibility: Option<QuestionVisibility>,
    /// Whether they may answer and comment
    #[serde(skip_serializing_if = "Option::is_none")]
    attendees_can_comment: Option<bool>,
    /// Whether they may vote for questions
    #[serde(skip_serializing_if = "Option::is_none")]
    attendees_can_upvote: Option<bool>,
}

/// Something that belongs to the meeting
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct MeetingResource {
    /// Its kind
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_type: Option<ResourceType>,
    /// Its id
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_id: Option<String>,
    /// What people with the link may do
    #[serde(skip_serializing_if = "Option::is_none")]
    permission_level: Option<ResourcePermission>,
}

/// Interpreters between spoken languages
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct LanguageInterpretation {
    /// Whether there is interpretation
    #[serde(skip_serializing_if = "Option::is_none")]
    enable: Option<bool>,
    /// The interpreters
    #[serde(skip_serializing_if = "Option::is_none")]
    interpreters: Option<Vec<LanguageInterpreter>>,
}

/// An interpreter between two spoken languages
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct LanguageInterpreter {
    /// The e-mail address
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(email)]
    email: Option<String>,
    /// The two languages by name, separated by a comma
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[^,]+,[^,]+$"), example = "English,French")]
    interpreter_languages: Option<String>,
    /// The two languages by the letters of a country, separated by a comma
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[^,]+,[^,]+$"), example = "US,FR", extend("deprecated" = true))]
    languages: Option<String>,
}

/// Interpreters into sign languages
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct SignLanguageInterpretation {
    /// Whether there is interpretation
    #[serde(skip_serializing_if = "Option::is_none")]
    enable: Option<bool>,
    /// The interpreters
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 20))]
    interpreters: Option<Vec<SignLanguageInterpreter>>,
}

/// An interpreter into a sign language
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct SignLanguageInterpreter {
    /// The e-mail address
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(email)]
    email: Option<String>,
    /// The sign language, as the user's settings name it
    #[serde(skip_serializing_if = "Option::is_none")]
    sign_language: Option<String>,
}

/// A chat that goes on before and after the meeting
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct ContinuousChat {
    /// Whether there is one
    #[serde(skip_serializing_if = "Option::is_none")]
    enable: Option<bool>,
    /// Who is added to it
    #[serde(skip_serializing_if = "Option::is_none")]
    who_is_added: Option<ChatMembers>,
    /// Whether external users who are invited are added
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("deprecated" = true))]
    auto_add_invited_external_users: Option<bool>,
    /// Whether participants are added
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("deprecated" = true))]
    auto_add_meeting_participants: Option<bool>,
}

/// A note on the meeting under a key of one's own
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct CustomKey {
    /// The key
    #[schemars(length(max = 64))]
    key: String,
    /// The value
    #[schemars(length(max = 256))]
    value: String,
}

/// A number that people may call
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct DialInNumber {
    /// The number, like +1 2332357613
    #[serde(skip_serializing_if = "Option::is_none")]
    number: Option<String>,
    /// The country, by its two letters
    #[serde(skip_serializing_if = "Option::is_none")]
    country: Option<String>,
    /// The country, by its name
    #[serde(skip_serializing_if = "Option::is_none")]
    country_name: Option<String>,
    /// The city
    #[serde(skip_serializing_if = "Option::is_none")]
    city: Option<String>,
    /// What a call costs
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<DialInType>,
}

/// The settings of a new meeting. What is left out is as the host's own settings have it
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = new_rules)]
pub(crate) struct NewSettings {
    #[serde(flatten)]
    common: CommonSettings,
    /// Data centres to add to those that the host has chosen, by the letters of their countries
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(inner(length(min = 1)), extend("x-ui" = {"group": "Dial-in and regions"}))]
    additional_data_center_regions: Option<Vec<String>>,
    /// Whether changes are written to the host's calendar
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-ui" = {"group": "Calendar and chat"}))]
    push_change_to_calendar: Option<bool>,
}

/// A new meeting takes registrants only if somebody approves them, at once or by hand.
fn new_rules(schema: &mut Schema) {
    let approved = || json!({"enum": [0, 1], "x-ui": {"errors": {"enum": "must be 0 or 1, so that there is a registration"}}});
    let needing = [
        when("registration_type").is_given(),
        when("close_registration").is(true),
        when("registrants_confirmation_email").is(true),
    ];
    for rule in needing {
        schema.rule(rule.require(["approval_type"]).constrain("approval_type", approved()));
    }
}

/// Changes to the settings of a meeting. What is left out stays as it is
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = change_rules)]
pub(crate) struct SettingsChange {
    #[serde(flatten)]
    common: CommonSettings,
    /// Notes on the meeting under keys of one's own
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 10), extend("x-ui" = {"group": "Calendar and chat"}))]
    custom_keys: Option<Vec<CustomKey>>,
    /// The numbers that people may call
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-ui" = {"group": "Dial-in and regions"}))]
    global_dial_in_numbers: Option<Vec<DialInNumber>>,
    /// The name of the way of signing in
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-ui" = {"group": "Authentication"}))]
    authentication_name: Option<String>,
    /// Whether only people who have signed in may join
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("deprecated" = true, "x-ui" = {"group": "Authentication"}))]
    enforce_login: Option<bool>,
    /// The e-mail domains whose people may join when they have signed in
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("deprecated" = true, "x-ui" = {"group": "Authentication"}))]
    enforce_login_domains: Option<String>,
}

/// The meeting may have its registration already, so only what contradicts itself is refused.
fn change_rules(schema: &mut Schema) {
    let approved = json!({"enum": [0, 1], "x-ui": {"errors": {"enum": "must be 0 or 1, so that there is a registration"}}});
    schema.rule(when("registration_type").is_given().constrain("approval_type", approved));
}

/// The settings that creating and updating share
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
struct CommonSettings {
    #[serde(flatten)]
    video_and_audio: VideoAndAudio,
    #[serde(flatten)]
    joining: Joining,
    #[serde(flatten)]
    registration: RegistrationSettings,
    #[serde(flatten)]
    hosts_and_invitees: HostsAndInvitees,
    #[serde(flatten)]
    recording_and_ai: RecordingAndAi,
    #[serde(flatten)]
    authentication: Authentication,
    #[serde(flatten)]
    breakout_rooms_and_polls: BreakoutRoomsAndPolls,
    #[serde(flatten)]
    languages: Languages,
    #[serde(flatten)]
    dial_in_and_regions: DialInAndRegions,
    #[serde(flatten)]
    calendar_and_chat: CalendarAndChat,
}

/// Video and audio
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = group("Video and audio"))]
struct VideoAndAudio {
    /// Whether the host's video is on when the meeting starts
    #[serde(skip_serializing_if = "Option::is_none")]
    host_video: Option<bool>,
    /// Whether participants' video is on when they join
    #[serde(skip_serializing_if = "Option::is_none")]
    participant_video: Option<bool>,
    /// How participants hear and speak
    #[serde(skip_serializing_if = "Option::is_none")]
    audio: Option<Audio>,
    /// What participants need to know for an audio conference of another provider
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    audio_conference_info: Option<String>,
    /// Whether participants are muted when they join
    #[serde(skip_serializing_if = "Option::is_none")]
    mute_upon_entry: Option<bool>,
    /// Whether participants cannot turn on their video. Zoom has to enable this for the account
    #[serde(skip_serializing_if = "Option::is_none")]
    disable_participant_video: Option<bool>,
    /// Whether the host may save the order of the videos
    #[serde(skip_serializing_if = "Option::is_none")]
    host_save_video_order: Option<bool>,
    /// Whether hosts and co-hosts decide alone who is muted
    #[serde(skip_serializing_if = "Option::is_none")]
    allow_host_control_participant_mute_state: Option<bool>,
    /// Whether a shared screen carries a watermark
    #[serde(skip_serializing_if = "Option::is_none")]
    watermark: Option<bool>,
    /// Whether the meeting starts in focus mode, in which participants see only the host
    #[serde(skip_serializing_if = "Option::is_none")]
    focus_mode: Option<bool>,
    /// Whether participants may test their devices before they join
    #[serde(skip_serializing_if = "Option::is_none")]
    device_testing: Option<bool>,
}

/// Joining
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = group("Joining"))]
struct Joining {
    /// Whether participants may join before the host. A waiting room turns this off
    #[serde(skip_serializing_if = "Option::is_none")]
    join_before_host: Option<bool>,
    /// How long before the start participants may join, if they may join before the host
    #[serde(skip_serializing_if = "Option::is_none")]
    jbh_time: Option<JoinBeforeHost>,
    /// Whether participants wait until the host lets them in. This turns off joining before the host
    #[serde(skip_serializing_if = "Option::is_none")]
    waiting_room: Option<bool>,
    /// Whether the meeting uses the host's personal meeting number. Not for a recurring meeting with a fixed time
    #[serde(skip_serializing_if = "Option::is_none")]
    use_pmi: Option<bool>,
    /// Whether somebody may join from several devices. Only for meetings with registration
    #[serde(skip_serializing_if = "Option::is_none")]
    allow_multiple_devices: Option<bool>,
    /// Whether the meeting is private
    #[serde(skip_serializing_if = "Option::is_none")]
    private_meeting: Option<bool>,
    /// Whether the meeting is internal
    #[serde(skip_serializing_if = "Option::is_none")]
    internal_meeting: Option<bool>,
    /// Whether the meeting is focused on its participants
    #[serde(skip_serializing_if = "Option::is_none")]
    participant_focused_meeting: Option<bool>,
}

/// Registration
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = group("Registration"))]
struct RegistrationSettings {
    /// Whether people register, and who approves them. Registration needs a licensed host
    #[serde(skip_serializing_if = "Option::is_none")]
    approval_type: Option<ApprovalType>,
    /// What a registration is for, in a recurring meeting with a fixed time
    #[serde(skip_serializing_if = "Option::is_none")]
    registration_type: Option<RegistrationType>,
    /// Whether registration closes when the meeting is over
    #[serde(skip_serializing_if = "Option::is_none")]
    close_registration: Option<bool>,
    /// Whether registrants get a confirmation by e-mail
    #[serde(skip_serializing_if = "Option::is_none")]
    registrants_confirmation_email: Option<bool>,
    /// Whether registrants get an e-mail when they are approved, denied or cancelled; needed for the confirmation too
    #[serde(skip_serializing_if = "Option::is_none")]
    registrants_email_notification: Option<bool>,
    /// Whether the registration page has buttons for sharing it
    #[serde(skip_serializing_if = "Option::is_none")]
    show_share_button: Option<bool>,
    /// Whom to ask about the registration
    #[serde(skip_serializing_if = "Option::is_none")]
    contact_name: Option<String>,
    /// Where to ask about the registration. Empty text clears it
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^$|.+@.+"))]
    contact_email: Option<String>,
    /// Whether the attendee report holds the e-mail addresses of signed-in guests
    #[serde(skip_serializing_if = "Option::is_none")]
    email_in_attendee_report: Option<bool>,
}

/// Hosts and invitees
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = group("Hosts and invitees"))]
struct HostsAndInvitees {
    /// Who else may start the meeting: e-mail addresses or user ids, as a list or separated by semicolons. Empty text clears them
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("x-ui" = {"errors": {"pattern": "must be separated by semicolons, not commas"}}))]
    alternative_hosts: Option<AlternativeHosts>,
    /// Whether alternative hosts are told by e-mail
    #[serde(skip_serializing_if = "Option::is_none")]
    alternative_hosts_email_notification: Option<bool>,
    /// Whether alternative hosts may add and edit polls
    #[serde(skip_serializing_if = "Option::is_none")]
    alternative_host_update_polls: Option<bool>,
    /// Whether alternative hosts and those who schedule for others are told by e-mail
    #[serde(skip_serializing_if = "Option::is_none")]
    email_notification: Option<bool>,
    /// Who is invited
    #[serde(skip_serializing_if = "Option::is_none")]
    meeting_invitees: Option<Vec<Invitee>>,
}

/// Recording and AI
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = group("Recording and AI"))]
struct RecordingAndAi {
    /// What is recorded as soon as the meeting starts
    #[serde(skip_serializing_if = "Option::is_none")]
    auto_recording: Option<AutoRecording>,
    /// Whether a summary is begun as soon as the meeting starts
    #[serde(skip_serializing_if = "Option::is_none")]
    auto_start_meeting_summary: Option<bool>,
    /// Who gets the summary, if it is begun by itself
    #[serde(skip_serializing_if = "Option::is_none")]
    who_will_receive_summary: Option<SummaryReceivers>,
    /// The template of the summary. Zoom has to enable this for the account
    #[serde(skip_serializing_if = "Option::is_none")]
    summary_template_id: Option<String>,
    /// Whether questions to the AI Companion are on as soon as the meeting starts
    #[serde(skip_serializing_if = "Option::is_none")]
    auto_start_ai_companion_questions: Option<bool>,
    /// Who may ask the AI Companion about the meeting, if that is on
    #[serde(skip_serializing_if = "Option::is_none")]
    who_can_ask_questions: Option<Questioners>,
}

/// Authentication
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = group("Authentication"))]
struct Authentication {
    /// Whether only people who have signed in may join
    #[serde(skip_serializing_if = "Option::is_none")]
    meeting_authentication: Option<bool>,
    /// Which way of signing in is needed: an id from the user's settings
    #[serde(skip_serializing_if = "Option::is_none")]
    authentication_option: Option<String>,
    /// The e-mail domains that may join, separated by commas; `*` stands for a part of a name
    #[serde(skip_serializing_if = "Option::is_none")]
    authentication_domains: Option<String>,
    /// Who may join without signing in; each gets an address of their own
    #[serde(skip_serializing_if = "Option::is_none")]
    authentication_exception: Option<Vec<AuthenticationException>>,
    /// How the meeting is encrypted
    #[serde(skip_serializing_if = "Option::is_none")]
    encryption_type: Option<EncryptionType>,
    /// From which countries people may join
    #[serde(skip_serializing_if = "Option::is_none")]
    approved_or_denied_countries_or_regions: Option<CountryRule>,
}

/// Breakout rooms and polls
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = group("Breakout rooms and polls"))]
struct BreakoutRoomsAndPolls {
    /// Breakout rooms that are prepared before the meeting
    #[serde(skip_serializing_if = "Option::is_none")]
    breakout_room: Option<BreakoutRooms>,
    /// Questions and answers during the meeting
    #[serde(skip_serializing_if = "Option::is_none")]
    question_and_answer: Option<QuestionAndAnswer>,
    /// Whiteboards of the meeting
    #[serde(skip_serializing_if = "Option::is_none")]
    resources: Option<Vec<MeetingResource>>,
}

/// Languages
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = group("Languages"))]
struct Languages {
    /// Interpreters between spoken languages
    #[serde(skip_serializing_if = "Option::is_none")]
    language_interpretation: Option<LanguageInterpretation>,
    /// Interpreters into sign languages
    #[serde(skip_serializing_if = "Option::is_none")]
    sign_language_interpretation: Option<SignLanguageInterpretation>,
}

/// Dial-in and regions
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = group("Dial-in and regions"))]
struct DialInAndRegions {
    /// The countries whose numbers people may call
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(inner(length(min = 1)))]
    global_dial_in_countries: Option<Vec<String>>,
    /// Whether the meeting is hosted in China
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("deprecated" = true))]
    cn_meeting: Option<bool>,
    /// Whether the meeting is hosted in India
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("deprecated" = true))]
    in_meeting: Option<bool>,
}

/// Calendar and chat
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(transform = group("Calendar and chat"))]
struct CalendarAndChat {
    /// The calendar from which the meeting was scheduled
    #[serde(skip_serializing_if = "Option::is_none")]
    calendar_type: Option<CalendarType>,
    /// A chat that goes on before and after the meeting
    #[serde(skip_serializing_if = "Option::is_none")]
    continuous_meeting_chat: Option<ContinuousChat>,
}
