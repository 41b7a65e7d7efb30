//! A stateful stand-in for Zoom on loopback, for developing and testing against without a Zoom account: OAuth, users,
//! the eight meeting endpoints, webhooks, rate limits, and faults on demand. The README next to this crate is its manual.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let config = zoom_simulator::Config::default();
//! let simulator = zoom_simulator::Simulator::bind(config).await?;
//! println!("{}", simulator.ready());
//! simulator.serve(std::future::pending()).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # How it is built
//!
//! A request passes, in this order: `wire` (the connection, which can be told to spoil an answer), `server` (reads it
//! whole, enters it in the `journal`, asks `faults`), and then either `oauth` or `api`, which are plain functions from
//! the `world` and a request to an answer: no task, no socket, no clock of their own. `control` is the way in for
//! whoever runs the simulator. Whatever changes the `world` is a `change`; `webhook` makes the events of them and sends
//! those. Facts about Zoom come from its documentation unless a comment says that they have been
//! observed.

mod api;
mod change;
mod clock;
mod config;
mod control;
mod directory;
mod errors;
mod exchange;
mod faults;
mod instance;
mod journal;
mod limits;
mod meeting;
mod oauth;
mod paging;
mod random;
mod ready;
mod recurrence;
mod registrant;
mod server;
mod settings;
mod shape;
mod shown;
mod webhook;
mod wire;
mod world;

pub use config::{
    AppKind, Config, DEFAULT_CLIENT_ID, DEFAULT_CLIENT_SECRET, DEFAULT_REDIRECT_URI,
    DEFAULT_REGISTRANT_LIMIT, DEFAULT_WEBHOOK_SECRET, Plan, ScopeStyle,
};
pub use ready::Ready;
pub use server::{Simulator, StartError};
