//! Zoom's OAuth endpoints over [`Authority`](authority::Authority): parameters in, pages, redirects and JSON out.

pub(crate) mod authority;
mod authorize;
mod consent;
pub(crate) mod scopes;
mod token;

use axum::http::Method;

pub(crate) use token::TokenReply;

use crate::errors::ZoomError;
use crate::exchange::{Answer, Request};
use crate::world::World;

/// Answers a request below `/oauth`. `route` is the rest of the path.
pub(crate) fn answer(world: &mut World, route: &str, request: &Request) -> Answer {
    match (&request.method, route) {
        (&Method::GET, "/authorize") => authorize::ask(world, &request.query()),
        (&Method::POST, "/authorize") => authorize::decide(world, &request.form()),
        (&Method::POST, "/token") => token::token(world, request),
        (&Method::POST, "/revoke") => token::revoke(world, request),
        _ => ZoomError::unknown_route().into(),
    }
}

/// Whether the request names the app and its secret in HTTP Basic.
pub(crate) fn is_client(world: &World, request: &Request) -> bool {
    let expected = (world.config.client_id.clone(), world.config.client_secret.clone());
    request.basic() == Some(expected)
}
