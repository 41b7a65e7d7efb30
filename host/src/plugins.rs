//! Connector libraries as files: finding them, reading what they declare, and saying what is wrong with those that cannot
//! be used.
//!
//! Nothing here loads a library. Loading one runs code of it before anything can be checked, and a truncated file kills
//! the process that loads it; the manifest and the probe are link sections, read as bytes. What was read of a file is kept
//! in the `index`, so that a file that has not changed is not read again.

mod index;
mod library;
mod registry;

pub use self::{
    library::{Identity, Library, Refusal},
    registry::Registry,
};

/// A stand-in.
pub const SYSTEM_LIBRARIES: &[&str] = &["libc.so.6"];
