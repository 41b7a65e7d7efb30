//! A club's roster: who somebody is, and notes.
//!
//! It exists to prove that connecting fits a provider that keeps to the standards, unlike Zoom: scopes are asked for by the
//! authorization request, `iss` comes back, and a refresh token that is used twice takes the whole grant with it.

use connector_api::{
    auth::{Auth, Endpoint, Identity, Oauth2},
    prelude::*,
};

const PROFILE: &[ScopeSet] = &[ScopeSet::new(&["profile:read"])];

/// A member
#[derive(Serialize, Deserialize, JsonSchema)]
struct Member {
    id: Id,
    /// The club that the member belongs to
    account_id: Id,
    email: String,
}

async fn identify(ctx: Ctx) -> Result<Identity> {
    let me: Member = ctx.get("/me").send().await?;
    Ok(Identity { account: Some(me.account_id.to_string()), user: Some(me.id.to_string()), label: me.email })
}

struct GetMe;

/// Get the member who is connected
#[derive(Serialize, Deserialize, JsonSchema)]
struct Nothing {}

impl Action for GetMe {
    const NAME: &'static str = "get_me";
    const TITLE: &'static str = "Get Me";
    const EFFECT: Effect = Effect::Reads;
    const SCOPES: &'static [ScopeSet] = PROFILE;

    type Input = Nothing;
    type Output = Member;

    async fn run(ctx: &Ctx, _: Nothing) -> Result<Member> {
        ctx.get("/me").send().await
    }
}

struct AddNote;

/// Add a note
#[derive(Serialize, Deserialize, JsonSchema)]
struct NewNote {
    /// What it says
    #[schemars(length(min = 1, max = 1000))]
    text: String,
}

/// A note
#[derive(Serialize, Deserialize, JsonSchema)]
struct Note {
    id: Id,
    text: String,
    /// The id of the member who wrote it
    by: Id,
}

impl Action for AddNote {
    const NAME: &'static str = "add_note";
    const TITLE: &'static str = "Add Note";
    const EFFECT: Effect = Effect::Creates;
    const SCOPES: &'static [ScopeSet] = &[ScopeSet::new(&["notes:write"])];

    type Input = NewNote;
    type Output = Note;

    async fn run(ctx: &Ctx, note: NewNote) -> Result<Note> {
        ctx.post("/notes").json(&note).send().await
    }
}

fn connector() -> Connector {
    let oauth = Oauth2 {
        rotates_refresh_token: true,
        ..Oauth2::authorization_code(Endpoint::new("oauth", "/authorize"), Endpoint::new("oauth", "/token"))
    };
    Connector::new("roster", "Roster", env!("CARGO_PKG_VERSION"))
        .description("Members of a club, and notes")
        .host("api.roster.example.com")
        .host("id.roster.example.com")
        .base("api", ["https://api.roster.example.com"])
        .base("oauth", ["https://id.roster.example.com"])
        .auth(
            Auth::oauth2("user", "Roster member", oauth.revoke(Endpoint::new("oauth", "/revoke")))
                .description("A member connects their own account"),
        )
        .identify(PROFILE, identify)
        .action::<GetMe>()
        .action::<AddNote>()
}

connector_api::export_connector!(connector);
