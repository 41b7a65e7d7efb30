//! Deliveries as they may look, with places that are filled when one is sent: whose it is, when, and what makes it another one than
//! the last.
//!
//! | in the place of a text | stands |
//! | --- | --- |
//! | `{{user}}` | the provider's id of the user behind a connection |
//! | `{{account}}` | the provider's id of the account behind it |
//! | `{{client}}` | the client id of the integration |
//! | `{{now}}` | the time, as RFC 3339 |
//! | `{{now_ms}}` | the time in milliseconds since 1970, as a number |
//! | `{{number}}` | a number that is another one each time |
//! | `{{text}}` | a text that is another one each time |
//!
//! Within one delivery, each stands for the same thing wherever it is.

use serde_json::{Map, Value};

/// What is filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filling {
    /// The provider's id of the user.
    pub user: String,
    /// The provider's id of the account.
    pub account: String,
    /// The client id.
    pub client: String,
    /// The time, as RFC 3339.
    pub now: String,
    /// The time, in milliseconds since 1970.
    pub now_ms: i64,
    /// A number.
    pub number: u64,
    /// A text.
    pub text: String,
}

impl Filling {
    /// What is shown to people who have not received one yet.
    #[must_use]
    pub fn example() -> Self {
        Self {
            user: "x1yCzABCDEfg23HiJKl4mN".to_owned(),
            account: "mF3kQ0WvTq2Zr8sYpLxN1A".to_owned(),
            client: "iFMk2nQzTUCQbFQxZk1Yog".to_owned(),
            now: "2026-12-01T09:00:00Z".to_owned(),
            now_ms: 1_796_115_600_000,
            number: 92_674_392_836,
            text: "aDYlohsHRtCd4ii1uC2+hA==".to_owned(),
        }
    }

    /// A delivery with everything filled in.
    #[must_use]
    pub fn fill(&self, sample: &Value) -> Value {
        match sample {
            Value::String(text) => match text.as_str() {
                "{{user}}" => Value::from(self.user.as_str()),
                "{{account}}" => Value::from(self.account.as_str()),
                "{{client}}" => Value::from(self.client.as_str()),
                "{{now}}" => Value::from(self.now.as_str()),
                "{{now_ms}}" => Value::from(self.now_ms),
                "{{number}}" => Value::from(self.number),
                "{{text}}" => Value::from(self.text.as_str()),
                _ => sample.clone(),
            },
            Value::Array(items) => items.iter().map(|item| self.fill(item)).collect(),
            Value::Object(members) => {
                let filled: Map<String, Value> =
                    members.iter().map(|(name, value)| (name.clone(), self.fill(value))).collect();
                Value::Object(filled)
            }
            other => other.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_whole_texts_are_places() {
        let sample = json!({"a": ["{{user}}", "{{now_ms}}", "{{number}}"], "b": {"c": "{{nothing}}", "d": "to {{user}}"}});
        let filled = Filling::example().fill(&sample);
        assert_eq!(
            filled,
            json!({
                "a": ["x1yCzABCDEfg23HiJKl4mN", 1_796_115_600_000_u64, 92_674_392_836_u64],
                "b": {"c": "{{nothing}}", "d": "to {{user}}"},
            })
        );
    }
}
