//! A code forge, hosted by its vendor or by the user: issues and commits.
//!
//! It exists to prove that the contract fits a provider unlike Zoom: a pasted token, an address of the connection's own,
//! webhooks that are registered for each subscription, lists that go on by a `Link` header, a delivery that yields many
//! events, and events that have to be completed.

mod actions;
mod triggers;

use connector_api::{
    answers::{AnswerRule, ErrorMembers, Fact, FactAt, FactIs, WaitHeader, WaitUnit},
    auth::{Auth, Identity},
    prelude::*,
    webhook::{Encoding, EventName, HashAlgorithm, MessagePart, Secret, Select, Signature, Verify, Webhook},
};

/// How to reach the forge
#[derive(Serialize, Deserialize, JsonSchema)]
struct Account {
    /// A personal access token, from your settings
    #[schemars(length(min = 1), extend("x-secret" = true))]
    token: String,
    /// The host name of your own forge. Leave it empty for the hosted one
    #[schemars(example = &"git.example.org")]
    host: Option<String>,
}

#[derive(Deserialize)]
struct Me {
    id: Id,
    login: String,
}

async fn identify(ctx: Ctx) -> Result<Identity> {
    let me: Me = ctx.get("/user").send().await?;
    Ok(Identity { account: None, user: Some(me.id.to_string()), label: me.login })
}

const PROFILE: &[ScopeSet] = &[ScopeSet::new(&["read:user"])];

fn connector() -> Connector {
    Connector::new("forge", "Forge", env!("CARGO_PKG_VERSION"))
        .description("Issues and commits of a code forge")
        .host("api.forge.example.com")
        .host("{host}")
        .host_without_credential("uploads.forge.example.com")
        .base("api", ["https://{host}/api/v3", "https://api.forge.example.com"])
        .auth_with::<Account>(
            Auth::api_key("token", "Personal access token").header("Authorization", "Bearer {token}"),
        )
        .identify(PROFILE, identify)
        .rate("core", "Everything but searching", [("all", None, None)])
        .rate("search", "Searching", [("all", Some(1), None)])
        .error_members(ErrorMembers { code: None, message: Some("/message".to_owned()), problems: None })
        // A limit that is reached answers 403, and a header says that nothing is left.
        .answer_rule(AnswerRule {
            status: vec![403],
            methods: Vec::new(),
            facts: vec![Fact {
                at: FactAt::Header("X-RateLimit-Remaining".to_owned()),
                is: FactIs::In(vec![json!(0)]),
            }],
            class: AnswerClass::RateLimited,
            until: None,
        })
        .wait_header(WaitHeader { header: "X-RateLimit-Reset".to_owned(), unit: WaitUnit::UnixSeconds })
        .webhook(
            Webhook::new(
                Secret::of_subscription("Webhook secret"),
                Verify::Hmac {
                    hash: HashAlgorithm::Sha256,
                    message: vec![MessagePart::Body],
                    signature: Signature {
                        header: "X-Forge-Signature-256".to_owned(),
                        separator: None,
                        prefix: Some("sha256=".to_owned()),
                        encoding: Encoding::Hex,
                    },
                    timestamp: None,
                },
            )
            .event(EventName::Header("X-Forge-Event".to_owned()))
            .distinct([Select::Header("X-Forge-Delivery".to_owned())]),
        )
        .action::<actions::CreateIssue>()
        .action::<actions::ListIssues>()
        .action::<actions::SearchIssues>()
        .trigger::<triggers::NewCommit>()
}

connector_api::export_connector!(connector);
