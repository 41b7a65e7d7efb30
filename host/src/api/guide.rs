//! A connector's guide for operators, filled in: the provider's steps are the connector's, the addresses, scopes and commands
//! below them are ours. It makes data; how that looks is for whoever prints it.

use connector_protocol::{
    Error, ErrorKind, Manifest, Result,
    manifest::{Scopes, Setup, Show, Source},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use super::accounts::{self, IntegrationShown};
use crate::{connections::integrations, host::Host, store::Integration};

/// How a connector is set up at its provider, step by step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Guide {
    /// The connector.
    pub connector: String,
    /// The name people know the provider by.
    pub title: String,
    /// The provider's page where apps are made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Whether it is set up here already.
    pub is_set_up: bool,
    /// What is to be done, in the order in which it works.
    pub steps: Vec<GuideStep>,
}

/// One thing to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GuideStep {
    /// What it is, in a few words.
    pub title: String,
    /// How it is done at the provider.
    pub text: String,
    /// What is pasted, ticked or typed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shown: Vec<Shown>,
}

/// What belongs to a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "show", rename_all = "snake_case")]
pub enum Shown {
    /// The address that the provider sends users back to.
    RedirectUri {
        /// The address.
        value: String,
    },
    /// The beginning of that address.
    RedirectOrigin {
        /// The address.
        value: String,
    },
    /// The scopes to tick; an app has those of one family.
    Scopes {
        /// The families.
        families: Vec<FamilyShown>,
    },
    /// Client id and client secret.
    Client {
        /// Whether both are here.
        is_set: bool,
        /// What gives them to this host.
        command: String,
    },
    /// The secret that webhooks are signed with.
    WebhookSecret {
        /// What the provider calls it.
        title: String,
        /// Whether it is here.
        is_set: bool,
        /// What gives it to this host.
        command: String,
    },
    /// The secret that handshakes repeat.
    HandshakeSecret {
        /// What the provider calls it.
        title: String,
        /// Whether it is here.
        is_set: bool,
        /// What gives it to this host.
        command: String,
    },
    /// The address that webhooks are sent to.
    WebhookUrl {
        /// The address; absent before the connector is set up here.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        value: Option<String>,
        /// Why it would not work as it is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
    },
    /// The events to subscribe to.
    Events {
        /// Each of them, in the order of the triggers.
        events: Vec<EventShown>,
    },
    /// How the first account is connected, and everything looked at.
    Connect {
        /// What to type, one after the other.
        commands: Vec<String>,
    },
}

/// Scopes of one family.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FamilyShown {
    /// The family; absent where the provider has only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<String>,
    /// What people call it.
    pub title: String,
    /// Its scopes, what identifies an account first.
    pub scopes: Vec<ScopeShown>,
}

/// A scope to tick.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ScopeShown {
    /// Its name.
    pub scope: String,
    /// Whether no account can be identified without it, and so none be connected.
    pub identifies: bool,
    /// The actions and triggers that need it.
    pub used_by: Vec<String>,
}

/// An event to subscribe to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct EventShown {
    /// What the provider's screen calls it.
    pub label: String,
    /// The name that it is sent under.
    pub event: String,
    /// The trigger that needs it.
    pub trigger: String,
    /// What people call that trigger.
    pub title: String,
}

/// The guide to a connector, as far as what it needs is here.
///
/// # Errors
///
/// If the connector has no guide, or if the configuration is wrong.
pub fn guide(host: &Host, manifest: &Manifest, integration: Option<Integration>) -> Result<Guide> {
    let setup = manifest.setup.as_ref().ok_or_else(|| none(manifest))?;
    let redirect_uri = host.redirect_uri()?;
    let is_secure = host.settings()?.config.public_url.is_secure();
    let integration = integration.map(|one| accounts::integration(host, one, Vec::new())).transpose()?;
    let here = Here { redirect_uri, is_secure, integration };
    let steps = setup.steps.iter().map(|step| GuideStep {
        title: step.title.clone(),
        text: step.text.clone(),
        shown: step.show.iter().map(|&show| here.fill(manifest, setup, show)).collect(),
    });
    Ok(Guide {
        connector: manifest.id.clone(),
        title: manifest.title.clone(),
        url: setup.url.clone(),
        is_set_up: here.integration.is_some(),
        steps: steps.collect(),
    })
}

/// That nobody has written a guide.
fn none(manifest: &Manifest) -> Error {
    let docs = manifest.docs.as_ref().map_or_else(String::new, |docs| format!("look at {docs}; then "));
    Error::new(ErrorKind::Unsupported, format!("`{}` has no guide for setting it up", manifest.id))
        .hint(format!("{docs}jackfield integration add {}", manifest.id))
}

/// What is known here.
struct Here {
    redirect_uri: String,
    is_secure: bool,
    integration: Option<IntegrationShown>,
}

impl Here {
    fn fill(&self, manifest: &Manifest, setup: &Setup, show: Show) -> Shown {
        let id = &manifest.id;
        let integration = self.integration.as_ref();
        let command = match integration {
            None => format!("jackfield integration add {id}"),
            Some(_) => format!("jackfield integration set {id}"),
        };
        match show {
            Show::RedirectUri => Shown::RedirectUri { value: self.redirect_uri.clone() },
            Show::RedirectOrigin => {
                let origin = Url::parse(&self.redirect_uri).map(|url| url.origin().ascii_serialization());
                Shown::RedirectOrigin { value: origin.unwrap_or_else(|_| self.redirect_uri.clone()) }
            }
            Show::Scopes => Shown::Scopes { families: families(manifest, setup) },
            Show::Client => Shown::Client {
                is_set: integration.is_some_and(|one| one.client_id.is_some() && one.has_client_secret),
                command,
            },
            Show::WebhookSecret => Shown::WebhookSecret {
                title: integrations::webhook_secret(manifest).unwrap_or_default().to_owned(),
                is_set: integration.is_some_and(|one| one.has_webhook_secret),
                command,
            },
            Show::HandshakeSecret => Shown::HandshakeSecret {
                title: integrations::handshake_secret(manifest).unwrap_or_default().to_owned(),
                is_set: integration.is_some_and(|one| one.has_handshake_secret == Some(true)),
                command,
            },
            Show::WebhookUrl => Shown::WebhookUrl {
                value: integration.map(|one| one.webhook_url.clone()),
                note: match integration {
                    None => Some(format!("it is known once the connector is set up here: {command}")),
                    Some(_) if !self.is_secure => Some(
                        "webhooks are sent to https addresses alone: set `public_url` in jackfield.toml to that of your \
                         reverse proxy"
                            .to_owned(),
                    ),
                    Some(_) => None,
                },
            },
            Show::Events => Shown::Events { events: events(manifest, setup) },
            Show::Connect => Shown::Connect {
                commands: vec![format!("jackfield connect {id}"), "jackfield doctor".to_owned()],
            },
        }
    }
}

fn families(manifest: &Manifest, setup: &Setup) -> Vec<FamilyShown> {
    if manifest.scope_families.is_empty() {
        let scopes = scopes(manifest, |sets| sets.first());
        return vec![FamilyShown { family: None, title: "Scopes".to_owned(), scopes }];
    }
    let wanted = |name: &String| setup.families.is_empty() || setup.families.contains(name);
    let families = manifest.scope_families.iter().filter(|family| wanted(&family.name));
    let shown = families.map(|family| FamilyShown {
        family: Some(family.name.clone()),
        title: family.title.clone(),
        scopes: scopes(manifest, |sets| sets.iter().find(|set| set.family.as_ref() == Some(&family.name))),
    });
    shown.collect()
}

/// The scopes of the sets that `choose` takes, each once, with all that need it.
fn scopes<'m>(
    manifest: &'m Manifest,
    choose: impl Fn(&'m [Scopes]) -> Option<&'m Scopes>,
) -> Vec<ScopeShown> {
    let mut shown: Vec<ScopeShown> = Vec::new();
    let mut add = |sets: &'m [Scopes], user: Option<&str>| {
        for scope in choose(sets).into_iter().flat_map(|set| &set.all) {
            let index = shown.iter().position(|known| known.scope == *scope).unwrap_or_else(|| {
                shown.push(ScopeShown { scope: scope.clone(), identifies: false, used_by: Vec::new() });
                shown.len() - 1
            });
            match user {
                Some(user) => shown[index].used_by.push(user.to_owned()),
                None => shown[index].identifies = true,
            }
        }
    };
    add(&manifest.identify_scopes, None);
    manifest.actions.iter().for_each(|action| add(&action.scopes, Some(&action.name)));
    manifest.triggers.iter().for_each(|trigger| add(&trigger.scopes, Some(&trigger.name)));
    shown
}

fn events(manifest: &Manifest, setup: &Setup) -> Vec<EventShown> {
    let mut shown = Vec::new();
    for trigger in &manifest.triggers {
        let Source::AppWebhook { events, .. } = &trigger.source else { continue };
        shown.extend(events.iter().map(|event| EventShown {
            label: setup.events.get(event).unwrap_or(event).clone(),
            event: event.clone(),
            trigger: trigger.name.clone(),
            title: trigger.title.clone(),
        }));
    }
    shown
}
