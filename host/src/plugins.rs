//! Connector libraries as files: finding them, reading what they declare, and saying what is wrong with those that cannot
//! be used.
//!
//! Nothing here loads a library. Loading one runs code of it before anything can be checked, and a truncated file kills
//! the process that loads it; the manifest and the probe are link sections, read as bytes. What was read of a file is kept
//! in the `index`, so that a file that has not changed is not read again. Whose a file is, and who else could change it
//! (`trust`), is asked at every look, and so is whether it is what was pinned (`pins`).

pub mod dev;
mod elf;
mod index;
mod library;
pub mod pins;
mod registry;
mod trust;

pub(crate) use self::trust::must_be_ours;
pub use self::{
    elf::SYSTEM_LIBRARIES,
    library::{Head, Identity, Library, Refusal, Trust, Unfit, inspect},
    registry::Registry,
    trust::close,
};
