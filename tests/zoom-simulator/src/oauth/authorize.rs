//! The authorization endpoint: asks a sample user, and sends the answer back to the client.

use axum::http::header::LOCATION;
use axum::http::{HeaderValue, StatusCode};
use url::form_urlencoded;

use super::authority::Challenge;
use super::{consent, scopes};
use crate::config::{AppKind, ScopeStyle};
use crate::directory::{Role, User};
use crate::exchange::{Answer, Parameters};
use crate::world::World;

/// What a client asks for when it sends a user here.
struct Authorization {
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
            Self::Redirect { redirect_uri, state, error } => {
                send_back(&redirect_uri, &[("error", Some(error)), ("state", state.as_deref())])
            }
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
        let refuse =
            |error| Refusal::Redirect { redirect_uri: redirect_uri.clone(), state: state.clone(), error };
        if parameters.get("response_type") != Some("code") {
            return Err(refuse("unsupported_response_type"));
        }
        let challenge = match (parameters.get("code_challenge"), parameters.get("code_challenge_method")) {
            (None, _) => None,
            (Some(challenge), None | Some("plain")) => Some(Challenge::Plain(challenge.to_owned())),
            (Some(challenge), Some("S256")) => Some(Challenge::S256(challenge.to_owned())),
            (Some(_), Some(_)) => return Err(refuse("invalid_request")),
        };
        let all = scopes::of_app(config.app, config.scopes);
        let scopes = match parameters.get("scope") {
            // Only apps with granular scopes can ask for fewer than they were built with.
            Some(asked) if config.scopes == ScopeStyle::Granular => {
                let asked: Vec<String> = asked.split_ascii_whitespace().map(str::to_owned).collect();
                if !asked.iter().all(|scope| all.contains(scope)) {
                    return Err(refuse("invalid_scope"));
                }
                asked
            }
            _ => all,
        };
        Ok(Self { redirect_uri, state, scopes, challenge })
    }
}

/// An app that is managed by administrators can only be connected by one.
fn may_consent(app: AppKind, user: &User) -> bool {
    app != AppKind::AdminManaged || user.role == Role::Owner
}

/// Shows the page that asks.
pub(super) fn ask(world: &World, parameters: &Parameters) -> Answer {
    match Authorization::read(world, parameters) {
        Ok(asked) => {
            let users = world.directory.users().iter().filter(|user| may_consent(world.config.app, user));
            consent::page(&asked.scopes, users, parameters)
        }
        Err(refusal) => refusal.answer(),
    }
}

/// What the user has decided on that page.
pub(super) fn decide(world: &mut World, form: &Parameters) -> Answer {
    let asked = match Authorization::read(world, form) {
        Ok(asked) => asked,
        Err(refusal) => return refusal.answer(),
    };
    let state = asked.state.as_deref();
    if form.get("decision") != Some("allow") {
        return send_back(&asked.redirect_uri, &[("error", Some("access_denied")), ("state", state)]);
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
        .extend_pairs(parameters.iter().filter_map(|(name, value)| Some((name, (*value)?))))
        .finish();
    let separator = if redirect_uri.contains('?') { '&' } else { '?' };
    match HeaderValue::from_str(&format!("{redirect_uri}{separator}{query}")) {
        Ok(location) => Answer::empty(StatusCode::FOUND).with_header(LOCATION, location),
        Err(_) => consent::refusal_page("The redirect address cannot be written into a header."),
    }
}
