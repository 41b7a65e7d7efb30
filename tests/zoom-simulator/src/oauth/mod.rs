//! Zoom's OAuth endpoints over [`Authority`](authority::Authority): parameters in, redirects and JSON out.
//!
//! Errors of the token endpoint are `{"reason", "error"}`, which is not what RFC 6749 says and is what Zoom does.

pub(crate) mod authority;
mod consent;
pub(crate) mod scopes;

use axum::http::header::{CACHE_CONTROL, LOCATION};
use axum::http::{HeaderValue, Method, StatusCode};
use serde::Serialize;
use serde_json::json;
use url::form_urlencoded;

use crate::config::AppKind;
use crate::directory::{ACCOUNT_ID, Role, User};
use crate::errors::ZoomError;
use crate::exchange::{Answer, Parameters, Request};
use crate::world::World;
use authority::{Challenge, Issued, NewGrant, RefreshRefusal};

/// Answers a request below `/oauth`. `route` is the rest of the path.
pub(crate) fn answer(world: &mut World, route: &str, request: &Request) -> Answer {
    match (&request.method, route) {
        (&Method::GET, "/authorize") => ask(world, &request.query()),
        (&Method::POST, "/authorize") => decide(world, &request.form()),
        (&Method::POST, "/token") => token(world, request).unwrap_or_else(Answer::from),
        (&Method::POST, "/revoke") => revoke(world, request).unwrap_or_else(Answer::from),
        _ => ZoomError::unknown_route().into(),
    }
}

/// What a client asks for when it sends a user here.
pub(crate) struct Authorization {
    redirect_uri: String,
    state: Option<String>,
    scopes: Vec<String>,
    challenge: Option<Challenge>,
}

/// Why a user is not asked.
enum Refusal {
    /// The client or its address cannot be trusted, so the user is told and not the client.
    Page(String),
    Redirect {
        redirect_uri: String,
        state: Option<String>,
        error: &'static str,
    },
}

impl Refusal {
    fn answer(self) -> Answer {
        match self {
            Self::Page(message) => consent::refusal_page(&message),
            Self::Redirect {
                redirect_uri,
                state,
                error,
            } => send_back(
                &redirect_uri,
                &[("error", Some(error)), ("state", state.as_deref())],
            ),
        }
    }
}

impl Authorization {
    fn read(world: &World, parameters: &Parameters) -> Result<Self, Refusal> {
        let config = &world.config;
        if !scopes::has_users(config.app) {
            return Err(Refusal::Page(
                "A server-to-server app is not authorized by users. (4,700)".to_owned(),
            ));
        }
        let client_id = parameters.get("client_id").unwrap_or_default();
        if client_id != config.client_id {
            return Err(Refusal::Page(format!("Invalid client_id: {client_id} (4,702)")));
        }
        let redirect_uri = parameters.get("redirect_uri").unwrap_or_default().to_owned();
        if !config.redirect_uris.contains(&redirect_uri) {
            return Err(Refusal::Page(format!("Invalid redirect: {redirect_uri} (4,700)")));
        }
        let state = parameters.get("state").map(str::to_owned);
        let refuse = |error| Refusal::Redirect {
            redirect_uri: redirect_uri.clone(),
            state: state.clone(),
            error,
        };
        if parameters.get("response_type") != Some("code") {
            return Err(refuse("unsupported_response_type"));
        }
        let challenge = match (
            parameters.get("code_challenge"),
            parameters.get("code_challenge_method"),
        ) {
            (None, _) => None,
            (Some(challenge), None | Some("plain")) => Some(Challenge::Plain(challenge.to_owned())),
            (Some(challenge), Some("S256")) => Some(Challenge::S256(challenge.to_owned())),
            (Some(_), Some(_)) => return Err(refuse("invalid_request")),
        };
        let all = scopes::of_app(config.app, config.scopes);
        let scopes = match parameters.get("scope") {
            // Only apps with granular scopes can ask for fewer than they were built with.
            Some(asked) if config.scopes == crate::ScopeStyle::Granular => {
                let asked: Vec<String> = asked.split_ascii_whitespace().map(str::to_owned).collect();
                if !asked.iter().all(|scope| all.contains(scope)) {
                    return Err(refuse("invalid_scope"));
                }
                asked
            }
            _ => all,
        };
        Ok(Self {
            redirect_uri,
            state,
            scopes,
            challenge,
        })
    }
}

/// An app that is managed by administrators can only be connected by one.
fn may_consent(app: AppKind, user: &User) -> bool {
    app != AppKind::AdminManaged || user.role == Role::Owner
}

fn ask(world: &World, parameters: &Parameters) -> Answer {
    match Authorization::read(world, parameters) {
        Ok(asked) => {
            let users = world
                .directory
                .users()
                .iter()
                .filter(|user| may_consent(world.config.app, user));
            consent::page(&asked.scopes, users, parameters)
        }
        Err(refusal) => refusal.answer(),
    }
}

fn decide(world: &mut World, form: &Parameters) -> Answer {
    let asked = match Authorization::read(world, form) {
        Ok(asked) => asked,
        Err(refusal) => return refusal.answer(),
    };
    let state = asked.state.as_deref();
    if form.get("decision") != Some("allow") {
        return send_back(
            &asked.redirect_uri,
            &[("error", Some("access_denied")), ("state", state)],
        );
    }
    let user = form.get("user").and_then(|name| world.directory.find(name));
    let Some(user) = user.filter(|user| may_consent(world.config.app, user)).cloned() else {
        return consent::refusal_page("Choose one of the users.");
    };
    let now = world.now();
    let code = world.authority.issue_code(
        user,
        asked.scopes,
        asked.redirect_uri.clone(),
        asked.challenge,
        &mut world.random,
        now,
    );
    send_back(&asked.redirect_uri, &[("code", Some(&code)), ("state", state)])
}

/// Redirects to an address of the client with more parameters.
fn send_back(redirect_uri: &str, parameters: &[(&str, Option<&str>)]) -> Answer {
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(
            parameters
                .iter()
                .filter_map(|(name, value)| Some((name, (*value)?))),
        )
        .finish();
    let separator = if redirect_uri.contains('?') { '&' } else { '?' };
    match HeaderValue::from_str(&format!("{redirect_uri}{separator}{query}")) {
        Ok(location) => Answer::empty(StatusCode::FOUND).with_header(LOCATION, location),
        Err(_) => consent::refusal_page("The redirect address cannot be written into a header."),
    }
}

/// A refusal of the token or the revocation endpoint.
struct OAuthError {
    error: &'static str,
    reason: String,
    explanation: Option<String>,
}

impl OAuthError {
    fn new(error: &'static str, reason: impl Into<String>) -> Self {
        Self {
            error,
            reason: reason.into(),
            explanation: None,
        }
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

/// Whether the request names the app and its secret in HTTP Basic.
pub(crate) fn is_client(world: &World, request: &Request) -> bool {
    let expected = (world.config.client_id.clone(), world.config.client_secret.clone());
    request.basic() == Some(expected)
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

fn token(world: &mut World, request: &Request) -> Result<Answer, OAuthError> {
    if !request.query().is_empty() {
        return Err(OAuthError::new(
            "invalid_request",
            "Invalid request : parameters belong in the request body",
        ));
    }
    authenticate(world, request)?;
    let is_form = request.media_type().as_deref() == Some("application/x-www-form-urlencoded");
    let form = if is_form {
        request.form()
    } else {
        Parameters::default()
    };
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
                OAuthError::new("unsupported_grant_type", "unsupported grant type").because(explanation),
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
        world
            .authority
            .redeem_code(code, form.get("redirect_uri"), form.get("code_verifier"), now);
    let (user, scopes) = redeemed.map_err(|refusal| match refusal {
        authority::CodeRefusal::Redirect => {
            OAuthError::new("invalid_request", "Invalid request : Redirect URI mismatch.")
        }
        authority::CodeRefusal::Verifier => OAuthError::new("invalid_grant", "Invalid code verifier"),
        // The code is echoed, whatever it was.
        authority::CodeRefusal::Unknown => {
            OAuthError::new("invalid_grant", format!("Invalid authorization code {code}"))
                .because("the code is unknown or has been used")
        }
        authority::CodeRefusal::Expired => {
            OAuthError::new("invalid_grant", format!("Invalid authorization code {code}"))
                .because("the code is older than 5 minutes")
        }
    })?;
    let life = world.config.token_life;
    let new = NewGrant {
        user,
        scopes,
        with_refresh: true,
        exclusive: true,
        life,
    };
    Ok(world.authority.grant(new, &mut world.random, now))
}

fn refresh(world: &mut World, form: &Parameters) -> Result<Issued, OAuthError> {
    let token = required(form, "refresh_token")?;
    let (life, now) = (world.config.token_life, world.now());
    world
        .authority
        .refresh(token, life, &mut world.random, now)
        .map_err(|refusal| {
            let explanation = match refusal {
                RefreshRefusal::Superseded => {
                    return OAuthError::new("invalid_grant", "The token has been revoked. (4741)")
                        .because("the user has authorized the app again: only the newest tokens are valid");
                }
                RefreshRefusal::Unknown => "the token is unknown",
                RefreshRefusal::Expired => "the token has not been used for 90 days",
                RefreshRefusal::Revoked => "the grant has been revoked",
                RefreshRefusal::Reused => {
                    "the token had been used before: the grant has been revoked with this"
                }
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
fn revoke(world: &mut World, request: &Request) -> Result<Answer, OAuthError> {
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
