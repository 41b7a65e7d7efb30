//! Somebody who has registered for a meeting. When that is possible, and how it is shown, is the API's business.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// `status` of a registrant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Standing {
    Approved,
    Pending,
    Denied,
}

/// Somebody who has registered.
#[derive(Debug, Clone)]
pub(crate) struct Registrant {
    pub(crate) id: String,
    pub(crate) email: String,
    /// What they wrote into the form, as reads show it.
    pub(crate) answers: Map<String, Value>,
    pub(crate) standing: Standing,
    pub(crate) created_at: Timestamp,
    pub(crate) pin: i64,
    /// What their `join_url` carries as `tk`.
    pub(crate) ticket: String,
    /// The occurrences they registered for. `None`: all of them.
    pub(crate) occurrences: Option<Vec<String>>,
}

impl Registrant {
    pub(crate) fn attends(&self, occurrence: &str) -> bool {
        self.occurrences.as_ref().is_none_or(|ids| ids.iter().any(|id| id == occurrence))
    }
}
