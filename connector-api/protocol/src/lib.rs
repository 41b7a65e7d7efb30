//! What a host and a connector say to each other, as JSON: the [`manifest`](mod@manifest) a connector declares, the
//! [heads of the messages](mod@message) that cross the ABI, the one shape of an [`Error`], and the pure functions on which
//! both sides must agree: how an [answer is classified](mod@answers), how an [input is checked](mod@validate), which
//! [change of a manifest breaks](mod@compat) its users.
//!
//! It does no input or output, has no runtime, and knows neither how bytes cross (`connector-abi`) nor what either side
//! does with them. Authors see it through `connector-api`.
//!
//! Readers are lenient: an unknown member of a manifest or a head is ignored, so that either side may be newer. What a
//! manifest cannot do without is named in its `requires`, and that is never ignored.

pub mod answers;
mod check;
pub mod compat;
mod effort;
mod error;
pub mod json;
pub mod keywords;
pub mod manifest;
pub mod message;
mod name;
pub mod path;
pub mod sample;
pub mod schema;
pub mod template;
#[cfg(feature = "validate")]
pub mod validate;

pub use error::{Error, ErrorKind, Problem, ProviderError, Result};
pub use manifest::Manifest;
pub use name::did_you_mean;
