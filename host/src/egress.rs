//! The only place that opens outbound sockets.
//!
//! A connector describes a request; here it gets its address, its credential and its limits. The journey of one request:
//! [`place`](Target) says where it goes and whether it may go there, [`credential`](Credential) what is put on it,
//! [`address`] which machines a name may stand for, and `send` how often it is tried and what comes back.
//!
//! This module knows HTTP and the manifest's words about it. It does not know what an action is, nor where credentials are
//! kept.

pub mod address;
mod credential;
mod place;
mod prepare;
mod send;

use std::sync::Arc;

use connector_protocol::Manifest;

pub use self::{
    credential::Credential,
    prepare::Prepared,
    send::{Egress, Flight},
};
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
}
