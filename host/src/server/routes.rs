//! What answers at the addresses of the [`table`](super::table), a file for each kind of thing.

pub(super) mod connections;
pub(super) mod connectors;
pub(super) mod events;
pub(super) mod integrations;
pub(super) mod invocations;
pub(super) mod links;
pub(super) mod projects;
pub(super) mod proxy;
pub(super) mod system;
pub(super) mod users;
pub(super) mod webhooks;

use axum::Json;
use connector_protocol::{Error, ErrorKind, Result};
use serde::Deserialize;

use super::answer::Problem;
use crate::store::Page;

/// What an address gives.
pub(super) type Gives<T> = Result<Json<T>, Problem>;

/// How many of a list are given if nobody says, and at most.
const LISTED: u32 = 50;
pub(super) const MOST_LISTED: u32 = 200;

/// Which part of a list somebody wants.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Part {
    pub(super) after: Option<String>,
    pub(super) limit: Option<u32>,
}

impl Part {
    pub(super) fn limit(&self) -> Result<u32> {
        match self.limit {
            None => Ok(LISTED),
            Some(limit @ 1..=MOST_LISTED) => Ok(limit),
            Some(limit) => {
                let text = format!("`limit` must be from 1 to {MOST_LISTED}, and is {limit}");
                Err(Error::new(ErrorKind::Usage, text).at("/limit"))
            }
        }
    }

    /// The part, and one more, which tells whether the list goes on. A list goes on after something of its own alone: what never
    /// stood in it would be an end or a beginning that nobody has asked for.
    pub(super) fn page(&self, is_own: impl Fn(&str) -> bool) -> Result<(Page, u32)> {
        let limit = self.limit()?;
        if self.after.as_ref().is_some_and(|after| !is_own(after)) {
            return Err(not_a_next());
        }
        Ok((Page { after: self.after.clone(), most: limit + 1 }, limit))
    }
}

/// That a list cannot go on after what is named.
pub(super) fn not_a_next() -> Error {
    Error::new(ErrorKind::Usage, "`after` is not the `next` of a part of this list").at("/after")
}
