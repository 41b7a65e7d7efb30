//! How an operator sets a connector up at the provider, as data: what to click there, in the order in which it works, and what
//! of the host's own belongs to each step. It knows neither addresses nor commands of the host; those are filled in by it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the provider's side is set up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Setup {
    /// The provider's page where apps are made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The families of scopes that such an app may have; all of the provider's if none is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub families: Vec<String>,
    /// What is to be done there, in the order in which it works.
    pub steps: Vec<Step>,
    /// What the provider's screen calls each event, by the name that it is sent under.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub events: BTreeMap<String, String>,
}

impl Setup {
    /// A guide that begins at this page of the provider, where apps are made.
    pub fn at(url: impl Into<String>) -> Self {
        Self { url: Some(url.into()), ..Self::default() }
    }

    /// Names the families of scopes that such an app may have, where the provider has more.
    #[must_use]
    pub fn families<const N: usize>(mut self, names: [&str; N]) -> Self {
        self.families = names.map(str::to_owned).into();
        self
    }

    /// Adds a step.
    #[must_use]
    pub fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// Says what the provider's screen calls an event.
    #[must_use]
    pub fn event(mut self, name: impl Into<String>, label: impl Into<String>) -> Self {
        self.events.insert(name.into(), label.into());
        self
    }
}

/// One thing to be done at the provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Step {
    /// What it is, in a few words.
    pub title: String,
    /// How it is done: plain sentences, in the words of the provider's screen.
    pub text: String,
    /// What the host shows below it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub show: Vec<Show>,
}

impl Step {
    /// A step, in a few words and in plain sentences.
    pub fn new(title: impl Into<String>, text: impl Into<String>) -> Self {
        Self { title: title.into(), text: text.into(), show: Vec::new() }
    }

    /// Says what the host shows below it, in this order.
    #[must_use]
    pub fn showing(mut self, show: impl IntoIterator<Item = Show>) -> Self {
        self.show.extend(show);
        self
    }
}

/// What a host fills in below a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Show {
    /// The address that the provider sends users back to, to be pasted there.
    RedirectUri,
    /// The beginning of that address, for a provider that keeps a list of what is allowed.
    RedirectOrigin,
    /// The scopes to tick, by family, with a mark at those that identify an account.
    Scopes,
    /// How client id and client secret are given to the host.
    Client,
    /// How the secret of webhooks is given to the host.
    WebhookSecret,
    /// How the secret that handshakes repeat is given to the host, where it is another one.
    HandshakeSecret,
    /// The address that webhooks are sent to, to be pasted there.
    WebhookUrl,
    /// The events to subscribe to, as the provider's screen calls them, beside the triggers that need them.
    Events,
    /// How the first account is connected.
    Connect,
}
