//! Who is behind a connection.

use connector_api::{auth::Identity, prelude::*};

use crate::scopes::scopes;

/// What the vendor's own page calls `users:read`, which Zoom does not know: `user:read:user`, or `user:read` in the classic
/// family.
pub(crate) const SCOPES: &[ScopeSet] = scopes!(granular: "user:read:user", classic: "user:read");

/// A Zoom account, as a Server-to-Server OAuth app shows it under App Credentials
#[derive(Serialize, Deserialize, JsonSchema)]
pub(crate) struct Account {
    /// The account ID of the app
    #[schemars(title = "Account ID", length(min = 1))]
    account_id: String,
    /// The client ID of the app
    #[schemars(title = "Client ID", length(min = 1))]
    client_id: String,
    /// The client secret of the app
    #[schemars(title = "Client secret", length(min = 1), extend("x-secret" = true))]
    client_secret: String,
}

#[derive(Deserialize)]
struct User {
    id: Id,
    account_id: Option<Id>,
    email: Option<String>,
}

/// `GET /users/me`, except for a server-to-server connection, behind which there is an account and nobody in particular.
pub(crate) async fn identify(ctx: Ctx) -> Result<Identity> {
    if ctx.auth() == "server_to_server" {
        let account = ctx.parameters().get("account_id").and_then(|id| id.as_str()).map(str::to_owned);
        let label = account.clone().map_or("a Zoom account".to_owned(), |id| format!("Zoom account {id}"));
        return Ok(Identity { account, user: None, label });
    }
    let user: User = ctx.get("/users/me").rate("light").send().await?;
    let label = user.email.unwrap_or_else(|| user.id.to_string());
    Ok(Identity { account: user.account_id.map(|id| id.to_string()), user: Some(user.id.to_string()), label })
}
