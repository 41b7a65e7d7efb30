//! The host: finds connectors, runs their actions in worker processes, and sends their requests.
//!
//! The journey of one action through the modules: [`invoke`] resolves and validates, [`worker`] carries the call to the
//! connector's process, [`egress`] sends what the connector asks for, [`invoke`] answers. What the connector is comes from
//! [`plugins`], where everything lies from [`home`] and [`config`].
//!
//! The binary is a face of this library: `cli` is the only module that knows a terminal.

pub mod api;
pub mod config;
pub mod egress;
pub mod forms;
pub mod home;
pub mod host;
pub mod id;
pub mod ingress;
pub mod invoke;
pub mod plugins;
pub mod redact;
pub mod secret_file;
pub mod server;
pub mod store;
pub mod system;
pub mod timings;
pub mod worker;

pub use connector_protocol::{Error, ErrorKind, Manifest, Problem, Result};
