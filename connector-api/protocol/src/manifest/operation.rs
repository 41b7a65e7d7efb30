//! What can be done with a provider, and where: actions, triggers, lookups, scopes, addresses, rates.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Schema;

/// A host that requests may go to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HostRule {
    /// A host name; with `*.` in front, every name below it; a template such as `{host}` is filled from the parameters
    /// of the connection.
    pub host: String,
    /// Whether the connection's credential may be sent there.
    pub credential: bool,
}

impl HostRule {
    /// Whether the rule is about this host name. Templates must have been filled.
    ///
    /// ```
    /// # use connector_protocol::manifest::HostRule;
    /// let rule = HostRule { host: "*.zoom.us".into(), credential: true };
    /// assert!(rule.fits("api.zoom.us") && rule.fits("eu.API.zoom.us."));
    /// assert!(!rule.fits("zoom.us") && !rule.fits("evilzoom.us") && !rule.fits("zoom.us.example.com"));
    /// ```
    #[must_use]
    pub fn fits(&self, host: &str) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        let rule = self.host.to_ascii_lowercase();
        match rule.strip_prefix("*.") {
            Some(parent) => {
                host.strip_suffix(parent).is_some_and(|below| below.len() > 1 && below.ends_with('.'))
            }
            None => host == rule,
        }
    }
}

/// A base address that requests are made against.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Base {
    /// The name by which requests, and the operator's `endpoints`, choose it.
    pub name: String,
    /// Templates of the address, filled from the parameters of the connection (`{subdomain}`) and from members of the
    /// token answer (`{token.api_url}`). The first one of which everything is known counts.
    pub urls: Vec<String>,
}

/// A family of scopes: a provider may know several naming schemes, of which an app has one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ScopeFamily {
    /// The family's name.
    pub name: String,
    /// What people call it.
    pub title: String,
}

/// One sufficient set of scopes. Where a list of these stands, any one of them will do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Scopes {
    /// The family it belongs to; absent where the provider has only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<String>,
    /// The scopes, all of which are needed.
    pub all: Vec<String>,
}

/// A group of requests that share the provider's limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RateClass {
    /// The name by which actions and requests choose it.
    pub name: String,
    /// What belongs to it.
    pub description: String,
    /// The limits, by the provider's plans.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<RateLimit>,
}

/// The limits of one rate class on one plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RateLimit {
    /// The provider's plan.
    pub plan: String,
    /// Requests a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_second: Option<u32>,
    /// Requests a day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_day: Option<u32>,
}

/// What an action does to the provider's data. Retrying, confirming and an agent's caution follow from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// It changes nothing.
    Reads,
    /// It makes something new: done twice, there are two.
    Creates,
    /// It changes something that is there.
    Updates,
    /// It removes something.
    Deletes,
}

/// A named operation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Action {
    /// The name, as in `zoom.create_meeting`.
    pub name: String,
    /// The name people see.
    pub title: String,
    /// What it does.
    pub description: String,
    /// The provider's page about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docs: Option<String>,
    /// What it does to the provider's data.
    pub effect: Effect,
    /// The sets of scopes of which any one will do; empty if it needs none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<Scopes>,
    /// The rate class of its requests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<String>,
    /// How its list goes on, if it answers a part of a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paging: Option<Paging>,
    /// What it takes: an object.
    pub input: Schema,
    /// What it gives.
    pub output: Schema,
}

/// How a list goes on. The host asks for page after page; the connector sends what is declared here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Paging {
    /// The list in the action's output, as a JSON pointer; empty if the output is the list.
    pub items: String,
    /// How the provider names the next page.
    #[serde(flatten)]
    pub style: PagingStyle,
}

impl Paging {
    /// The answer holds a token for the next page: it stands at `at` in the answer, is sent back as `parameter`, and the
    /// list is at `items` in the output. Both are JSON pointers.
    pub fn token(items: impl Into<String>, parameter: impl Into<String>, at: impl Into<String>) -> Self {
        Self { items: items.into(), style: PagingStyle::Token { parameter: parameter.into(), at: at.into() } }
    }

    /// The `Link` header names the next page; the list is at `items` in the output.
    pub fn link(items: impl Into<String>) -> Self {
        Self { items: items.into(), style: PagingStyle::Link {} }
    }

    /// Pages have numbers, the first being `first`; the list is at `items`, in the answer and in the output.
    pub fn page(items: impl Into<String>, parameter: impl Into<String>, first: u64) -> Self {
        let items = items.into();
        Self {
            items: items.clone(),
            style: PagingStyle::Page { parameter: parameter.into(), first, list: items, pages: None },
        }
    }

    /// The next page begins after the last item of this one: the item's member `at` is sent as `parameter`. The list is
    /// at `items`, in the answer and in the output.
    pub fn cursor(items: impl Into<String>, parameter: impl Into<String>, at: impl Into<String>) -> Self {
        let items = items.into();
        let style = PagingStyle::Cursor {
            parameter: parameter.into(),
            list: items.clone(),
            at: at.into(),
            more: None,
        };
        Self { items, style }
    }
}

/// How a provider names the next page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "style", rename_all = "snake_case")]
pub enum PagingStyle {
    /// The answer holds a token for the next page; none, or an empty one, ends the list.
    Token {
        /// The query parameter that takes the token.
        parameter: String,
        /// The token in the answer, as a JSON pointer.
        at: String,
    },
    /// The next page begins after the last item of this one.
    Cursor {
        /// The query parameter that takes the cursor.
        parameter: String,
        /// The list in the answer, as a JSON pointer; empty if the answer is the list.
        list: String,
        /// The cursor within an item, as a JSON pointer.
        at: String,
        /// A boolean in the answer that says whether there is more. Without it, an empty list ends.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        more: Option<String>,
    },
    /// Pages have numbers.
    Page {
        /// The query parameter that takes the number.
        parameter: String,
        /// The number of the first page.
        first: u64,
        /// The list in the answer, as a JSON pointer; empty if the answer is the list. An empty one ends.
        list: String,
        /// The number of pages in the answer, as a JSON pointer, where the provider tells it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        pages: Option<String>,
    },
    /// The `Link` header holds the address of the next page, with `rel="next"`.
    Link {},
}

/// A named source of events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Trigger {
    /// The name, as in `zoom.new_meeting`.
    pub name: String,
    /// The name people see.
    pub title: String,
    /// When it fires.
    pub description: String,
    /// The provider's page about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub docs: Option<String>,
    /// Where its events come from.
    pub source: Source,
    /// The sets of scopes of which any one will do; empty if it needs none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<Scopes>,
    /// What a subscription may choose: an object.
    pub parameters: Schema,
    /// What an event holds.
    pub event: Schema,
    /// An event as it may look.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample: Option<Value>,
    /// The body of a delivery as it may look, with [places](crate::sample) to fill. It is sent to try what comes of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample_delivery: Option<Value>,
}

/// Where the events of a trigger come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Source {
    /// One address for the whole app, configured by the operator at the provider.
    AppWebhook {
        /// The [`Webhook`](super::Webhook) it arrives by.
        hook: String,
        /// The provider's names of the events that this trigger is made of.
        events: Vec<String>,
    },
    /// An address that the connector registers for each subscription.
    RegisteredWebhook {
        /// The [`Webhook`](super::Webhook) it arrives by.
        hook: String,
        /// The provider's names of the events that this trigger is made of; empty if the hook has no names.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        events: Vec<String>,
    },
    /// The connector asks, again and again.
    Poll {
        /// How often, in seconds, where nobody says otherwise.
        every_seconds: u32,
    },
}

/// A named list that fills a picker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Lookup {
    /// The name by which fields refer to it.
    pub name: String,
    /// The name people see.
    pub title: String,
    /// The sets of scopes of which any one will do; empty if it needs none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<Scopes>,
    /// What narrows the list: an object.
    pub parameters: Schema,
}
