//! Zoom: meetings, their registrants, and what happens to them.
//!
//! Provider facts are from Zoom's API reference (<https://developers.zoom.us/docs/api/>), its OAuth and webhook guides, and
//! from answers that were observed where those are silent; the comments say which.

mod actions;
mod errors;
mod identity;
mod model;
mod scopes;
mod setup;
mod triggers;

use connector_api::{
    answers::{AnswerClass, AnswerRule, ErrorMembers, Fact, FactAt, FactIs, ProblemMembers, Until},
    auth::{Auth, Client, Endpoint, Oauth2, ScopeParameter},
    prelude::*,
    webhook::{
        Encoding, EventName, Handshake, HandshakeAnswer, HandshakeValue, HashAlgorithm, MessagePart,
        Revocation, Secret, Select, Signature, Test, Timestamp, TimestampUnit, Verify, Webhook,
    },
};

/// The Zoom connector.
fn connector() -> Connector {
    Connector::new("zoom", "Zoom", env!("CARGO_PKG_VERSION"))
        .description("Zoom meetings and their registrants, recordings and participants")
        .docs("https://developers.zoom.us/docs/api/meetings/")
        .color("#0b5cff")
        .host("zoom.us")
        .host("*.zoom.us")
        // The token answer names the user's data region; the global address always works too.
        .base("api", ["{token.api_url}/v2", "https://api.zoom.us/v2"])
        .base("oauth", ["https://zoom.us/oauth"])
        .auth(user())
        .auth_with::<identity::Account>(server_to_server())
        .scope_family(scopes::GRANULAR, "Granular scopes, for the user's own account")
        .scope_family(scopes::GRANULAR_ADMIN, "Granular scopes, for all users of an account")
        .scope_family(scopes::CLASSIC, "Classic scopes, for the user's own account")
        .scope_family(scopes::CLASSIC_ADMIN, "Classic scopes, for all users of an account")
        .identify(identity::SCOPES, identity::identify)
        .rate("light", "Reads of one thing, and small changes", limits([(4, 6_000), (30, 0), (80, 0)]))
        .rate("medium", "Lists, and creating", limits([(2, 2_000), (20, 0), (60, 0)]))
        .error_members(ErrorMembers {
            code: Some("/code".to_owned()),
            message: Some("/message".to_owned()),
            problems: Some(ProblemMembers {
                at: "/errors".to_owned(),
                field: "field".to_owned(),
                message: "message".to_owned(),
            }),
        })
        .answer_rule(code(AnswerClass::MissingScope, &[4711]))
        .answer_rule(code(AnswerClass::Expired, &[124, 4700, 4735, 4737, 4738, 4741]))
        .answer_rule(code(AnswerClass::NotFound, &[1001, 1010, 3001]))
        .answer_rule(code(AnswerClass::Invalid, &[300]))
        .answer_rule(daily_limit(Fact {
            at: FactAt::Header("X-RateLimit-Type".to_owned()),
            is: FactIs::In(vec![json!("Daily-limit")]),
        }))
        .answer_rule(limit_of_a_host_or_registrant())
        .explain(errors::explain)
        .webhook(webhook())
        .setup(setup::setup())
        .action::<actions::CreateMeeting>()
        .action::<actions::UpdateMeeting>()
        .action::<actions::GetMeetings>()
        .action::<actions::GetMeeting>()
        .action::<actions::DeleteMeeting>()
        .action::<actions::AddMeetingRegistrant>()
        .action::<actions::GetMeetingRegistrants>()
        .action::<actions::DeleteMeetingRegistrant>()
        .trigger::<triggers::NewMeeting>()
        .trigger::<triggers::MeetingUpdated>()
        .trigger::<triggers::MeetingEnded>()
        .trigger::<triggers::NewMeetingRegistrant>()
        .trigger::<triggers::MeetingParticipantJoined>()
        .trigger::<triggers::MeetingParticipantLeft>()
        .trigger::<triggers::NewRecording>()
        .trigger::<triggers::CompleteRecording>()
        .trigger::<triggers::RecordingTranscriptCompleted>()
}

/// A General app: the user consents. Zoom takes the scopes from the app's settings, answers with the names separated by
/// spaces, gives a new refresh token at every refresh, and says in `reason` why it refuses.
fn user() -> Auth {
    let oauth = Oauth2 {
        scope: ScopeParameter { send: false, separator: " ".to_owned() },
        token_members: vec!["api_url".to_owned()],
        rotates_refresh_token: true,
        error_message: Some("reason".to_owned()),
        ..Oauth2::authorization_code(Endpoint::new("oauth", "/authorize"), Endpoint::new("oauth", "/token"))
    };
    Auth::oauth2("user", "Zoom user", oauth.revoke(Endpoint::new("oauth", "/revoke")))
        .description("A person connects their own Zoom account (a General app)")
}

/// A Server-to-Server OAuth app: one account, no user, and no refresh token.
fn server_to_server() -> Auth {
    let oauth = Oauth2 {
        scope: ScopeParameter { send: false, separator: " ".to_owned() },
        token_parameters: [("account_id".to_owned(), "{account_id}".to_owned())].into(),
        token_members: vec!["api_url".to_owned()],
        error_message: Some("reason".to_owned()),
        ..Oauth2::grant("account_credentials", Client::Connection, Endpoint::new("oauth", "/token"))
    };
    Auth::oauth2("server_to_server", "Zoom account (server-to-server)", oauth)
        .description("Acts for a whole Zoom account without a person; `me` means nobody there")
}

/// Zoom's limits by plan, as requests a second and a day (0: none a day).
fn limits(plans: [(u32, u32); 3]) -> [(&'static str, Option<u32>, Option<u32>); 3] {
    let limit = |plan, (second, day): (u32, u32)| (plan, Some(second), Some(day).filter(|day| *day > 0));
    [limit("free", plans[0]), limit("pro", plans[1]), limit("business", plans[2])]
}

/// Zoom's own error codes say more than its statuses: a missing scope has status 400.
fn code(class: AnswerClass, codes: &[i64]) -> AnswerRule {
    let is = FactIs::In(codes.iter().map(|code| json!(code)).collect());
    AnswerRule {
        status: vec![400, 401, 403, 404],
        methods: Vec::new(),
        facts: vec![Fact { at: FactAt::Pointer("/code".to_owned()), is }],
        class,
        until: None,
    }
}

fn daily_limit(fact: Fact) -> AnswerRule {
    AnswerRule {
        status: vec![429],
        methods: Vec::new(),
        facts: vec![fact],
        class: AnswerClass::RateLimited,
        until: Some(Until::NextUtcDay),
    }
}

/// The limits of 100 creations and updates a host and day, and of three additions a registrant and day, look like this:
/// no type, no time to come back, and plenty left of the limit that the headers do name (observed). They end at midnight,
/// UTC.
fn limit_of_a_host_or_registrant() -> AnswerRule {
    let mut rule =
        daily_limit(Fact { at: FactAt::Header("X-RateLimit-Type".to_owned()), is: FactIs::Absent });
    rule.methods = vec!["POST".to_owned(), "PATCH".to_owned()];
    rule.facts.push(Fact { at: FactAt::Header("X-RateLimit-Remaining".to_owned()), is: FactIs::Above(0) });
    rule
}

/// <https://developers.zoom.us/docs/api/webhooks/>. A retry has the same body, another timestamp and another signature, so
/// the body tells deliveries apart.
fn webhook() -> Webhook {
    let verify = Verify::Hmac {
        hash: HashAlgorithm::Sha256,
        message: vec![
            MessagePart::Text("v0:".to_owned()),
            MessagePart::Timestamp,
            MessagePart::Text(":".to_owned()),
            MessagePart::Body,
        ],
        signature: Signature {
            header: "x-zm-signature".to_owned(),
            separator: None,
            prefix: Some("v0=".to_owned()),
            encoding: Encoding::Hex,
        },
        timestamp: Some(Timestamp {
            header: "x-zm-request-timestamp".to_owned(),
            separator: None,
            prefix: None,
            unit: TimestampUnit::Either,
            window_seconds: 300,
        }),
    };
    let plain_token = || Select::Pointer("/payload/plainToken".to_owned());
    Webhook::new(Secret::of_integration("Secret Token"), verify)
        .event(EventName::Pointer("/event".to_owned()))
        .handshake(Handshake {
            method: "POST".to_owned(),
            when: vec![Test {
                at: Select::Pointer("/event".to_owned()),
                equals: Some("endpoint.url_validation".to_owned()),
                secret: false,
            }],
            signed: true,
            answer: HandshakeAnswer::Json(
                [
                    ("plainToken".to_owned(), HandshakeValue::Echo(plain_token())),
                    (
                        "encryptedToken".to_owned(),
                        HandshakeValue::Hmac {
                            hash: HashAlgorithm::Sha256,
                            of: plain_token(),
                            encoding: Encoding::Hex,
                        },
                    ),
                ]
                .into(),
            ),
        })
        .revocation(Revocation {
            event: "app_deauthorized".to_owned(),
            account: Some("/payload/account_id".to_owned()),
            user: Some("/payload/user_id".to_owned()),
            at: Some("/payload/deauthorization_time".to_owned()),
        })
}

connector_api::export_connector!(connector, manifest = "../../manifests/zoom.json");
