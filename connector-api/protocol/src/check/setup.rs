//! What is wrong with a guide for operators: texts that are none, and things to show that the connector does not have.

use std::collections::BTreeSet;

use super::Checker;
use crate::manifest::{AuthKind, Client, SecretOwner, Show, Source, Step};

/// How long the parts of a guide may be, in characters: it is read on one screen.
const MAX_TITLE: usize = 100;
const MAX_TEXT: usize = 1000;

/// How many steps people take.
const MAX_STEPS: usize = 40;

impl Checker<'_> {
    pub(super) fn setup(&mut self) {
        let Some(setup) = &self.manifest.setup else { return };
        if setup.url.as_ref().is_some_and(|url| !url.starts_with("https://")) {
            self.problem("/setup/url", "must begin with `https://`");
        }
        if setup.steps.is_empty() {
            self.problem("/setup/steps", "must hold at least one step");
        }
        if setup.steps.len() > MAX_STEPS {
            let text = format!("holds {} steps; the limit is {MAX_STEPS}", setup.steps.len());
            return self.problem("/setup/steps", text);
        }
        for (index, family) in setup.families.iter().enumerate() {
            if !self.manifest.scope_families.iter().any(|known| known.name == *family) {
                let text = format!("`{}` is not among `scope_families`", family.escape_debug());
                self.problem(format!("/setup/families/{index}"), text);
            }
        }
        let mut shown = BTreeSet::new();
        for (index, step) in setup.steps.iter().enumerate() {
            let path = format!("/setup/steps/{index}");
            self.sentence(&format!("{path}/title"), &step.title, MAX_TITLE);
            self.sentence(&format!("{path}/text"), &step.text, MAX_TEXT);
            self.shows(&path, step, &mut shown);
        }
        self.events();
    }

    fn shows(&mut self, path: &str, step: &Step, shown: &mut BTreeSet<String>) {
        for (at, &show) in step.show.iter().enumerate() {
            let path = format!("{path}/show/{at}");
            if let Some(lack) = self.lacks(show) {
                self.problem(path, lack);
            } else if !shown.insert(format!("{show:?}")) {
                self.problem(path, "is shown twice");
            }
        }
    }

    /// Why something cannot be shown.
    fn lacks(&self, show: Show) -> Option<&'static str> {
        let manifest = self.manifest;
        let oauth = || {
            manifest.auth.iter().filter_map(|auth| match &auth.kind {
                AuthKind::Oauth2(oauth) => Some(oauth),
                _ => None,
            })
        };
        let lists = manifest.actions.iter().map(|action| &action.scopes);
        let lists = lists.chain(manifest.triggers.iter().map(|trigger| &trigger.scopes));
        let mut lists = lists.chain([&manifest.identify_scopes]);
        let mut secrets = manifest.webhooks.iter().filter_map(|webhook| webhook.secret.as_ref());
        let (is_there, lack) = match show {
            Show::RedirectUri | Show::RedirectOrigin => (
                oauth().any(|oauth| oauth.authorize.is_some()),
                "is not there: no way to authorise sends users to the provider",
            ),
            Show::Scopes => (lists.any(|scopes| !scopes.is_empty()), "are not there: nothing needs a scope"),
            Show::Client => (
                oauth().any(|oauth| oauth.client == Client::Integration),
                "is not there: no way to authorise uses a client of the integration",
            ),
            Show::WebhookSecret => (
                secrets.any(|secret| secret.owner == SecretOwner::Integration),
                "is not there: no webhook has a secret of the integration",
            ),
            Show::HandshakeSecret => (
                manifest.webhooks.iter().any(|webhook| webhook.handshake_secret.is_some()),
                "is not there: no webhook has a secret of its own for handshakes",
            ),
            Show::WebhookUrl | Show::Events => (
                manifest.triggers.iter().any(|trigger| matches!(trigger.source, Source::AppWebhook { .. })),
                "is not there: no trigger comes by a webhook of the app",
            ),
            Show::Connect => (true, ""),
        };
        (!is_there).then_some(lack)
    }

    /// Once one event is called what the screen calls it, all are, and nothing else is.
    fn events(&mut self) {
        let Some(setup) = &self.manifest.setup else { return };
        if setup.events.is_empty() {
            return;
        }
        let mut used: BTreeSet<&str> = BTreeSet::new();
        for trigger in &self.manifest.triggers {
            if let Source::AppWebhook { events, .. } = &trigger.source {
                used.extend(events.iter().map(String::as_str));
            }
        }
        for event in used.iter().filter(|event| !setup.events.contains_key(**event)) {
            self.problem("/setup/events", format!("does not say what `{}` is called", event.escape_debug()));
        }
        for (event, label) in &setup.events {
            let path = format!("/setup/events/{}", crate::schema::escape(event));
            if used.contains(event.as_str()) {
                self.sentence(&path, label, MAX_TITLE);
            } else {
                self.problem(path, "is an event of no trigger");
            }
        }
    }

    fn sentence(&mut self, path: &str, text: &str, most: usize) {
        let len = text.chars().count();
        if text.trim().is_empty() {
            self.problem(path, "must not be empty");
        } else if len > most {
            self.problem(path, format!("has {len} characters; the limit is {most}"));
        } else if text.chars().any(char::is_control) {
            self.problem(path, "must be plain sentences, without line breaks");
        }
    }
}
