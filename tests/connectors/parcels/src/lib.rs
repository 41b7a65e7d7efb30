//! Parcels, and where they are.
//!
//! It exists to prove that the contract fits a provider unlike Zoom: webhooks whose signature lies in the body, over a choice of
//! what stands there, which no manifest can say; handshakes that repeat a secret of their own; webhooks that are registered for a
//! while, with a secret that the provider makes.

mod proof;
mod triggers;

use connector_api::{
    auth::{Auth, Identity},
    prelude::*,
    setup::{Setup, Show, Step},
    webhook::{
        Encoding, EventName, Handshake, HandshakeAnswer, HashAlgorithm, MessagePart, Secret, Select,
        Signature, Test, Verify, Webhook,
    },
};

/// How to reach the parcel service
#[derive(Serialize, Deserialize, JsonSchema)]
struct Account {
    /// The key, from your profile
    #[schemars(title = "API key", length(min = 1), extend("x-secret" = true))]
    key: String,
}

#[derive(Deserialize)]
struct Me {
    id: Id,
    name: String,
}

async fn identify(ctx: Ctx) -> Result<Identity> {
    let me: Me = ctx.get("/me").send().await?;
    Ok(Identity { account: None, user: Some(me.id.to_string()), label: me.name })
}

/// Sent to the address of the whole app.
fn moves() -> Webhook {
    Webhook { secret: Some(Secret::of_integration("Signing key")), ..Webhook::custom() }
        .event(EventName::Pointer("/event/type".to_owned()))
        .distinct([Select::Pointer("/proof/token".to_owned())])
        .handshake_secret(Secret::of_integration("Verify token"))
        .handshake(Handshake {
            method: "GET".to_owned(),
            when: vec![
                Test {
                    at: Select::Query("mode".to_owned()),
                    equals: Some("subscribe".to_owned()),
                    secret: false,
                },
                Test { at: Select::Query("token".to_owned()), equals: None, secret: true },
            ],
            signed: false,
            answer: HandshakeAnswer::Text(Select::Query("challenge".to_owned())),
        })
        .handshake(Handshake {
            method: "POST".to_owned(),
            when: vec![Test {
                at: Select::Pointer("/event/type".to_owned()),
                equals: Some("hello".to_owned()),
                secret: false,
            }],
            signed: true,
            answer: HandshakeAnswer::Text(Select::Pointer("/event/parcel".to_owned())),
        })
}

/// Registered for each subscription.
fn deliveries() -> Webhook {
    let signature = Signature {
        header: "X-Parcels-Signature".to_owned(),
        separator: None,
        prefix: None,
        encoding: Encoding::Hex,
    };
    let verify = Verify::Hmac {
        hash: HashAlgorithm::Sha256,
        message: vec![MessagePart::Body],
        signature,
        timestamp: None,
    };
    Webhook {
        name: "deliveries".to_owned(),
        ..Webhook::new(Secret::of_registration("Hook secret"), verify)
            .event(EventName::Pointer("/type".to_owned()))
    }
}

fn setup() -> Setup {
    Setup::at("https://parcels.example.com/keys")
        .step(
            Step::new("Take the signing key", "It stands below Webhooks. Give it to Jackfield.")
                .showing([Show::WebhookSecret]),
        )
        .step(
            Step::new(
                "Enter the address",
                "Choose a verify token, give it to Jackfield, then paste both and press Verify.",
            )
            .showing([Show::HandshakeSecret, Show::WebhookUrl]),
        )
}

fn connector() -> Connector {
    Connector::new("parcels", "Parcels", env!("CARGO_PKG_VERSION"))
        .description("Parcels on their way")
        .host("api.parcels.example.com")
        .base("api", ["https://api.parcels.example.com"])
        .auth_with::<Account>(Auth::api_key("key", "API key").header("X-Api-Key", "{key}"))
        .identify(&[], identify)
        .webhook_proved_by(moves(), proof::verify)
        .webhook(deliveries())
        .setup(setup())
        .trigger::<triggers::ParcelMoved>()
        .trigger::<triggers::ParcelDelivered>()
}

connector_api::export_connector!(connector);
