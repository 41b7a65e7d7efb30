//! The host: finds connectors, runs their actions in worker processes, sends their requests, and keeps what was run.
//!
//! The journey of one action through the modules: [`api`] takes what was asked for, [`invoke`] resolves, validates and
//! records, [`worker`] carries the call to the connector's process, [`egress`] sends what the connector asks for, [`invoke`]
//! answers, and [`store`] keeps it. What the connector is comes from [`plugins`], where everything lies from [`home`] and
//! [`config`]; [`host`] has all of them together. [`forms`] makes of a schema what people fill in.
//!
//! The binary is a face of this library: its `cli` is the only module that knows a terminal, and [`server`] the only one
//! here that knows how the API travels. [`ingress`] is ready for webhooks, and nothing calls it yet.

pub mod access;
pub mod api;
pub mod config;
pub mod connections;
pub mod egress;
pub mod events;
pub mod forms;
#[doc(hidden)]
pub mod fuzzing;
pub mod home;
pub mod host;
pub mod id;
pub mod ingress;
pub mod invoke;
mod moment;
pub mod plugins;
pub mod redact;
mod reload;
pub mod secret_file;
pub mod server;
pub mod store;
pub mod system;
pub mod timings;
pub mod vault;
pub mod worker;

pub use connector_protocol::{Error, ErrorKind, Manifest, Problem, Result};
