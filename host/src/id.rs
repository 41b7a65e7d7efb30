//! Ids: a kind and a UUIDv7, so that they say what they name and sort by when they were made.

use std::fmt;

use uuid::Uuid;

/// The id of something that the host keeps or does.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id(String);

impl Id {
    /// A new id of an invocation: `inv_…`.
    #[must_use]
    pub fn invocation() -> Self {
        Self::new("inv")
    }

    /// A new id of a connection: `conn_…`.
    #[must_use]
    pub fn connection() -> Self {
        Self::new("conn")
    }

    /// A new id of an integration: `int_…`.
    #[must_use]
    pub fn integration() -> Self {
        Self::new("int")
    }

    /// A new id of a connect link: `lnk_…`.
    #[must_use]
    pub fn link() -> Self {
        Self::new("lnk")
    }

    /// A new id of an API token: `tok_…`.
    #[must_use]
    pub fn token() -> Self {
        Self::new("tok")
    }

    /// A new id of an event: `evt_…`.
    #[must_use]
    pub fn event() -> Self {
        Self::new("evt")
    }

    /// A new id of a delivery: `dlv_…`.
    #[must_use]
    pub fn delivery() -> Self {
        Self::new("dlv")
    }

    /// A new id of a subscription: `sub_…`.
    #[must_use]
    pub fn subscription() -> Self {
        Self::new("sub")
    }

    fn new(kind: &str) -> Self {
        Self(format!("{kind}_{}", Uuid::now_v7().simple()))
    }

    /// Whether something is an id of this kind, such as `inv`, as far as can be seen.
    #[must_use]
    pub fn is(kind: &str, text: &str) -> bool {
        let rest = text.strip_prefix(kind).and_then(|rest| rest.strip_prefix('_'));
        rest.is_some_and(|rest| {
            rest.len() == 32 && rest.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f'))
        })
    }

    /// The id's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_say_their_kind_and_sort_by_time() {
        let ids: Vec<Id> = (0..100).map(|_| Id::invocation()).collect();
        assert!(ids.is_sorted() && ids[0].as_str().starts_with("inv_") && ids[0].as_str().len() == 36);
    }
}
