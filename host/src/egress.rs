//! The only place that opens outbound sockets.
//!
//! A connector describes a request; here it gets its address, its credential and its limits. The journey of one request:
//! [`place`](Target) says where it goes and whether it may go there, [`credential`](Credential) what is put on it,
//! [`address`] which machines a name may stand for, and `send` how often it is tried and what comes back. [`Flight`] notes what
//! became of all requests of a call. `form` is for requests of the host itself: those that get a credential in the first place.
//!
//! This module knows HTTP and the manifest's words about it. It does not know what an action is, nor where credentials are
//! kept.

pub mod address;
pub mod app;
mod breaker;
mod credential;
mod flight;
mod form;
mod lost;
mod place;
mod prepare;
mod proxy;
mod remote;
mod send;
mod tls;
mod transport;

use std::{io, sync::Arc, time::Duration};

use connector_protocol::Manifest;

pub use self::{
    credential::Credential,
    flight::{Exchange, Flight, Waits},
    form::{Answered, Unanswered},
    prepare::Prepared,
    proxy::{Proxied, Raw, RawBody},
    remote::{Answer, Remote},
    send::Egress,
    transport::BoxBody,
};
use url::Url;

use crate::config::Integration;

/// What the requests of one call may reach, and as whom.
#[derive(Debug, Clone)]
pub struct Target {
    /// What the connector declares.
    pub manifest: Arc<Manifest>,
    /// What the operator has set for the integration.
    pub integration: Integration,
    /// What the connection has.
    pub credential: Credential,
    /// Whose requests they are, so that a machine that fails for one connection is left alone for that one: the connection's
    /// id, or nothing.
    pub key: String,
}

/// How long somebody who only wants to know waits for a machine.
const LOOK: Duration = Duration::from_secs(2);

/// Whether anything listens at an address that the operator has named.
///
/// # Errors
///
/// What keeps a connection from being made.
pub async fn reach(url: &Url) -> io::Result<()> {
    let none = || io::Error::other("it has no host");
    let (host, port) = (url.host_str().ok_or_else(none)?, url.port_or_known_default().ok_or_else(none)?);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    match tokio::time::timeout(LOOK, tokio::net::TcpStream::connect((host, port))).await {
        Ok(connected) => connected.map(drop),
        Err(_) => Err(io::Error::other("no answer in time")),
    }
}
