//! Running a connector's code, in a process of its own.
//!
//! The parent side ([`Workers`]) starts one process a library, carries calls to it, and answers what the connector asks of
//! the host. The child side ([`child`]) loads the library and serves the calls. Between them lies one socket with
//! frames on it. There is one path: no connector ever runs in the host's own process.
//!
//! Neither side knows what a call is about: the messages are bytes to them.

/// How many lines of log one call may write. What is written beyond goes no further than its worker.
pub(crate) const MAX_LINES: usize = 200;

pub mod child;
#[doc(hidden)]
pub mod decoding;
mod frame;
mod image;
mod jail;
mod link;
mod mark;
mod process;
mod send_fd;
mod spawn;
mod supervisor;
mod workers;

pub use self::{
    child::{Code, give_back, give_back_code},
    jail::{Isolation, Walls},
    supervisor::{Death, Doing, Quarantine, Supervisor},
    workers::{Call, Failed, Family, Reserved, Running, Services, Terms, Workers},
};
