//! Drives the simulator over HTTP, as a client does, and its binary as a user does. One crate, so that it links once.

mod cli;
mod client;
mod control;
mod faults;
mod limits;
mod lists;
mod meetings;
mod oauth;
mod occurrences;
mod openapi;
mod receiver;
mod registrants;
mod users;
mod validation;
mod webhooks;
