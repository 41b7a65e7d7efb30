//! The token and the revocation endpoint.
//!
//! Errors are `{"reason", "error"}`, which is not what RFC 6749 says and is what Zoom does.

use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderValue, StatusCode};
use serde::Serialize;
use serde_json::json;

use super::authority::{CodeRefusal, Issued, NewGrant, RefreshRefusal};
use super::{is_client, scopes};
use crate::directory::ACCOUNT_ID;
use crate::exchange::{Answer, Parameters, Request};
use crate::world::World;

/// A refusal of the token or the revocation endpoint.
struct OAuthError {
    error: &'static str,
    reason: String,
    explanation: Option<String>,
}

impl OAuthError {
    fn new(error: &'static str, reason: impl Into<String>) -> Self {
        Self { error, reason: reason.into(), explanation: None }
    }

    fn because(mut self, explanation: impl Into<String>) -> Self {
        self.explanation = Some(explanation.into());
        self
    }
}

impl From<OAuthError> for Answer {
    fn from(error: OAuthError) -> Self {
        let body = json!({"reason": error.reason, "error": error.error});
        let mut answer = Self::json(StatusCode::BAD_REQUEST, &body);
        answer.explanation = error.explanation;
        answer
    }
}

/// The members of a token reply.
#[derive(Debug, Serialize)]
pub(crate) struct TokenReply {
    access_token: String,
    token_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<String>,
    expires_in: u64,
    scope: String,
    /// The origin of the region that holds the user's data: here always the simulator's own.
    api_url: String,
}

impl TokenReply {
    pub(crate) fn new(issued: Issued, origin: &str) -> Self {
        Self {
            access_token: issued.access_token,
            token_type: "bearer",
            refresh_token: issued.refresh_token,
            expires_in: issued.life.as_secs(),
            scope: issued.scopes.join(" "),
            api_url: origin.to_owned(),
        }
    }
}

fn authenticate(world: &World, request: &Request) -> Result<(), OAuthError> {
    if is_client(world, request) {
        return Ok(());
    }
    let explanation = match request.basic() {
        None => "no client id and secret in an Authorization header with the scheme Basic",
        Some(_) => "the client id or the secret is another",
    };
    Err(OAuthError::new("invalid_client", "Invalid client_id or client_secret").because(explanation))
}

/// Issues tokens.
pub(super) fn token(world: &mut World, request: &Request) -> Answer {
    issue(world, request).unwrap_or_else(Answer::from)
}

/// Ends a grant.
pub(super) fn revoke(world: &mut World, request: &Request) -> Answer {
    end_grant(world, request).unwrap_or_else(Answer::from)
}

fn issue(world: &mut World, request: &Request) -> Result<Answer, OAuthError> {
    if !request.query().is_empty() {
        return Err(OAuthError::new(
            "invalid_request",
            "Invalid request : parameters belong in the request body",
        ));
    }
    authenticate(world, request)?;
    let is_form = request.media_type().as_deref() == Some("application/x-www-form-urlencoded");
    let form = if is_form { request.form() } else { Parameters::default() };
    let has_users = scopes::has_users(world.config.app);
    let issued = match form.get("grant_type") {
        Some("authorization_code") if has_users => exchange_code(world, &form)?,
        Some("refresh_token") if has_users => refresh(world, &form)?,
        Some("account_credentials") if !has_users => account_token(world, &form)?,
        other => {
            let explanation = match other {
                Some(grant) => format!("{grant} does not go with an app of this kind"),
                None if is_form => "grant_type is missing".to_owned(),
                None => "the body is not application/x-www-form-urlencoded".to_owned(),
            };
            return Err(
                OAuthError::new("unsupported_grant_type", "unsupported grant type").because(explanation)
            );
        }
    };
    let answer = Answer::json(StatusCode::OK, &TokenReply::new(issued, &world.origin));
    Ok(answer.with_header(CACHE_CONTROL, HeaderValue::from_static("no-store")))
}

fn required<'a>(form: &'a Parameters, name: &str) -> Result<&'a str, OAuthError> {
    form.get(name)
        .ok_or_else(|| OAuthError::new("invalid_request", format!("Missing required parameter: {name}")))
}

fn exchange_code(world: &mut World, form: &Parameters) -> Result<Issued, OAuthError> {
    let code = required(form, "code")?;
    let now = world.now();
    let redeemed =
        world.authority.redeem_code(code, form.get("redirect_uri"), form.get("code_verifier"), now);
    let (user, scopes) = redeemed.map_err(|refusal| match refusal {
        CodeRefusal::Redirect => {
            OAuthError::new("invalid_request", "Invalid request : Redirect URI mismatch.")
        }
        CodeRefusal::Verifier => OAuthError::new("invalid_grant", "Invalid code verifier"),
        // The code is echoed, whatever it was.
        CodeRefusal::Unknown => {
            OAuthError::new("invalid_grant", format!("Invalid authorization code {code}"))
                .because("the code is unknown or has been used")
        }
        CodeRefusal::Expired => {
            OAuthError::new("invalid_grant", format!("Invalid authorization code {code}"))
                .because("the code is older than 5 minutes")
        }
    })?;
    let life = world.config.token_life;
    let new = NewGrant { user, scopes, with_refresh: true, exclusive: true, life };
    Ok(world.authority.grant(new, &mut world.random, now))
}

fn refresh(world: &mut World, form: &Parameters) -> Result<Issued, OAuthError> {
    let token = required(form, "refresh_token")?;
    let (life, now) = (world.config.token_life, world.now());
    world.authority.refresh(token, life, &mut world.random, now).map_err(|refusal| {
        let explanation = match refusal {
            RefreshRefusal::Superseded => {
                return OAuthError::new("invalid_grant", "The token has been revoked. (4741)")
                    .because("the user has authorized the app again: only the newest tokens are valid");
            }
            RefreshRefusal::Unknown => "the token is unknown",
            RefreshRefusal::Expired => "the token has not been used for 90 days",
            RefreshRefusal::Revoked => "the grant has been revoked",
            RefreshRefusal::Reused => "the token had been used before: the grant has been revoked with this",
        };
        OAuthError::new("invalid_grant", "Invalid Token!").because(explanation)
    })
}

/// A token for the whole account. It takes the place of the one before.
fn account_token(world: &mut World, form: &Parameters) -> Result<Issued, OAuthError> {
    if required(form, "account_id")? != ACCOUNT_ID {
        return Err(OAuthError::new("invalid_request", "Account does not exist"));
    }
    let new = NewGrant {
        user: world.directory.host().clone(),
        scopes: scopes::of_app(world.config.app, world.config.scopes),
        with_refresh: false,
        exclusive: true,
        life: world.config.token_life,
    };
    let now = world.now();
    Ok(world.authority.grant(new, &mut world.random, now))
}

/// The token may stand in the query, as in Zoom's documentation, or in the body. An unknown one is no error (RFC 7009).
fn end_grant(world: &mut World, request: &Request) -> Result<Answer, OAuthError> {
    authenticate(world, request)?;
    let (query, form) = (request.query(), request.form());
    let token = query.get("token").or_else(|| form.get("token"));
    let token =
        token.ok_or_else(|| OAuthError::new("invalid_request", "Missing required parameter: token"))?;
    let known = world.authority.revoke(token);
    let mut answer = Answer::json(StatusCode::OK, &json!({"status": "success"}));
    answer.explanation = (!known).then(|| "no such token was ever issued".to_owned());
    Ok(answer)
}
