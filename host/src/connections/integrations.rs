//! Connectors, set up for a project by its operator: whose client it is, what that may do, and what its webhooks are signed
//! with.

use std::collections::BTreeMap;

use aws_lc_rs::constant_time;
use connector_protocol::{
    Error, ErrorKind, Manifest, Problem, Result, did_you_mean,
    manifest::{AuthKind, Client, SecretOwner},
};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};

use super::{CLIENT_SECRET, Connections, scopes};
use crate::{
    id::Id,
    store::{Audit, Integration, Written},
    vault::Owner,
};

/// What the secret of an integration's webhooks is called.
pub const WEBHOOK_SECRET: &str = "webhook_secret";

/// The webhook secret that another one is taking the place of.
pub const WEBHOOK_SECRET_BEFORE: &str = "webhook_secret_before";

/// What the secret is called that handshakes repeat. Only one counts: a provider repeats it in the moment in which it is pasted there.
pub const HANDSHAKE_SECRET: &str = "handshake_secret";

/// How often a change that meets another one is made again.
const TRIES: u32 = 5;

/// How long a secret may be, in bytes.
const MOST: usize = 4096;

/// What is to be set. What is left out stays as it is.
#[derive(Default)]
pub struct Change {
    /// How accounts are connected.
    pub auth: Option<String>,
    /// The client id.
    pub client_id: Option<String>,
    /// The client secret.
    pub client_secret: Option<SecretString>,
    /// The webhook secret; the one before is valid for as long as the rotation lasts.
    pub webhook_secret: Option<SecretString>,
    /// The secret that handshakes repeat, where it is another one.
    pub handshake_secret: Option<SecretString>,
    /// The scopes that the app was given.
    pub scopes: Option<Vec<String>>,
    /// Whether it is only to be said what would be changed.
    pub dry_run: bool,
}

/// What came of a change.
pub struct SetUp {
    /// The integration, as it is now, or as it would be.
    pub integration: Integration,
    /// What was noticed.
    pub notes: Vec<String>,
    /// What is another one than before, by the names of [`Change`].
    pub changed: Vec<&'static str>,
}

/// That a connector is not set up.
#[must_use]
pub fn none(connector: &str) -> Error {
    let short: String = connector.escape_debug().take(60).collect();
    Error::new(ErrorKind::Unknown, format!("`{short}` is not set up"))
        .hint(format!("set it up: jackfield integration add {short}"))
}

impl Connections {
    /// Sets a connector up, or changes how it is. What is as it was already is not written again.
    ///
    /// # Errors
    ///
    /// With each thing that is wrong with what was given; nothing is changed then.
    pub async fn set_up(
        &self,
        manifest: &Manifest,
        project: &str,
        change: Change,
        add: bool,
        audit: impl Fn(&Integration) -> Audit,
    ) -> Result<SetUp> {
        let (change, notes) = check(manifest, change)?;
        for _ in 0..TRIES {
            let found = self.store.integration(project.to_owned(), manifest.id.clone()).await?;
            let mut integration = match (found, add) {
                (Some(_), true) => {
                    let text = format!("`{}` is set up already", manifest.id);
                    return Err(Error::new(ErrorKind::Conflict, text)
                        .hint(format!("change it: jackfield integration set {}", manifest.id)));
                }
                (None, false) => return Err(none(&manifest.id)),
                (Some(found), false) => found,
                (None, true) => Integration {
                    id: Id::integration().to_string(),
                    project: project.to_owned(),
                    connector: manifest.id.clone(),
                    auth: first_auth(manifest)?,
                    client_id: None,
                    scopes: Vec::new(),
                    fault: None,
                    created: Timestamp::now(),
                    changed: Timestamp::now(),
                    version: 0,
                    sealed: None,
                },
            };
            let changed = self.apply(&mut integration, &change)?;
            if change.dry_run || (changed.is_empty() && !add) {
                return Ok(SetUp { integration, notes, changed });
            }
            let audit = audit(&integration);
            match self.store.put_integration(integration.clone(), audit).await? {
                Written::Yes => {
                    integration.version += 1;
                    return Ok(SetUp { integration, notes, changed });
                }
                Written::OldKey => self.catch_up().await?,
                Written::Stale => {}
            }
        }
        Err(Error::new(ErrorKind::Conflict, format!("somebody else is changing `{}`", manifest.id))
            .hint("look at it and try again: jackfield integration show"))
    }

    /// Makes the change, and says what of it is another one than before. Secrets are compared here, so that whoever gives the
    /// same one again changes nothing and learns nothing else.
    fn apply(&self, integration: &mut Integration, change: &Change) -> Result<Vec<&'static str>> {
        let owner_id = integration.id.clone();
        let owner = Owner { project: &integration.project, id: &owner_id };
        let mut secrets = match &integration.sealed {
            Some(envelope) => self.vault.open(owner, envelope)?,
            None => BTreeMap::new(),
        };
        let mut changed = Vec::new();
        if let Some(auth) = change.auth.as_ref().filter(|auth| **auth != integration.auth) {
            integration.auth.clone_from(auth);
            changed.push("auth");
        }
        if let Some(id) = change.client_id.as_ref().filter(|id| Some(*id) != integration.client_id.as_ref()) {
            integration.client_id = Some(id.clone());
            changed.push("client_id");
        }
        if let Some(secret) = &change.client_secret
            && !is_same(secrets.get(CLIENT_SECRET), secret)
        {
            secrets.insert(CLIENT_SECRET.to_owned(), secret.clone());
            changed.push("client_secret");
        }
        if let Some(secret) = &change.webhook_secret
            && !is_same(secrets.get(WEBHOOK_SECRET), secret)
        {
            if let Some(before) = secrets.insert(WEBHOOK_SECRET.to_owned(), secret.clone()) {
                secrets.insert(WEBHOOK_SECRET_BEFORE.to_owned(), before);
            }
            changed.push("webhook_secret");
        }
        if let Some(secret) = &change.handshake_secret
            && !is_same(secrets.get(HANDSHAKE_SECRET), secret)
        {
            secrets.insert(HANDSHAKE_SECRET.to_owned(), secret.clone());
            changed.push("handshake_secret");
        }
        if let Some(scopes) = change.scopes.as_ref().filter(|scopes| **scopes != integration.scopes) {
            integration.scopes.clone_from(scopes);
            changed.push("scopes");
        }
        if integration.fault.is_some() && (change.client_id.is_some() || change.client_secret.is_some()) {
            // It may be right now; the next that asks will see.
            integration.fault = None;
            changed.push("fault");
        }
        if changed.is_empty() {
            return Ok(changed);
        }
        // Sealed again each time, so that whoever changes anything also leaves an old key behind.
        if !secrets.is_empty() || integration.sealed.is_some() {
            integration.sealed = Some(self.vault.seal(owner, &secrets)?);
        }
        integration.changed = Timestamp::now();
        Ok(changed)
    }

    /// What secrets an integration has, by name.
    ///
    /// # Errors
    ///
    /// If they cannot be opened.
    pub fn secrets_of(&self, integration: &Integration) -> Result<BTreeMap<String, SecretString>> {
        let owner = Owner { project: &integration.project, id: &integration.id };
        integration.sealed.as_ref().map_or(Ok(BTreeMap::new()), |envelope| self.vault.open(owner, envelope))
    }
}

fn is_same(before: Option<&SecretString>, now: &SecretString) -> bool {
    let now = now.expose_secret().as_bytes();
    before.is_some_and(|before| {
        constant_time::verify_slices_are_equal(before.expose_secret().as_bytes(), now).is_ok()
    })
}

fn first_auth(manifest: &Manifest) -> Result<String> {
    let first = manifest.auth.first().map(|auth| auth.name.clone());
    first.ok_or_else(|| {
        Error::new(ErrorKind::PluginRefused, "the connector declares no way to authorise a connection")
    })
}

/// Whether an auth variant uses the operator's client.
#[must_use]
pub fn uses_client(manifest: &Manifest, auth: &str) -> bool {
    matches!(manifest.auth(auth).map(|auth| &auth.kind), Some(AuthKind::Oauth2(oauth)) if oauth.client == Client::Integration)
}

/// What the provider calls the secret of webhooks, if there is one of the integration's.
#[must_use]
pub fn webhook_secret(manifest: &Manifest) -> Option<&str> {
    let secrets = manifest.webhooks.iter().filter_map(|webhook| webhook.secret.as_ref());
    secrets
        .filter(|secret| secret.owner == SecretOwner::Integration)
        .map(|secret| secret.title.as_str())
        .next()
}

/// What the provider calls the secret that handshakes repeat, if there is one of the integration's beside that of webhooks.
#[must_use]
pub fn handshake_secret(manifest: &Manifest) -> Option<&str> {
    let secrets = manifest.webhooks.iter().filter_map(|webhook| webhook.handshake_secret.as_ref());
    secrets
        .filter(|secret| secret.owner == SecretOwner::Integration)
        .map(|secret| secret.title.as_str())
        .next()
}

/// Looks at what is to be set: all problems at once.
fn check(manifest: &Manifest, mut change: Change) -> Result<(Change, Vec<String>)> {
    let mut problems = Vec::new();
    let mut notes = Vec::new();
    if let Some(auth) = &change.auth
        && manifest.auth(auth).is_none()
    {
        let names: Vec<&str> = manifest.auth.iter().map(|auth| auth.name.as_str()).collect();
        let meant = did_you_mean(auth, names.iter().copied());
        let meant =
            meant.map_or(format!("is one of {}", names.join(", ")), |meant| format!("is probably `{meant}`"));
        problems.push(Problem::new("/auth", meant));
    }
    if let Some(id) = &change.client_id {
        problems.extend(plain(id).map(|wrong| Problem::new("/client_id", wrong)));
    }
    for (path, secret) in [
        ("/client_secret", &change.client_secret),
        ("/webhook_secret", &change.webhook_secret),
        ("/handshake_secret", &change.handshake_secret),
    ] {
        let wrong = secret.as_ref().and_then(|secret| plain(secret.expose_secret()));
        problems.extend(wrong.map(|wrong| Problem::new(path, wrong)));
    }
    for (path, is_given, declared) in [
        ("/webhook_secret", change.webhook_secret.is_some(), webhook_secret(manifest)),
        ("/handshake_secret", change.handshake_secret.is_some(), handshake_secret(manifest)),
    ] {
        if is_given && declared.is_none() {
            problems.push(Problem::new(path, format!("is nothing that {} has", manifest.title)));
        }
    }
    if let Some(scopes) = &change.scopes {
        for (index, scope) in scopes.iter().enumerate() {
            problems.extend(plain(scope).map(|wrong| Problem::new(format!("/scopes/{index}"), wrong)));
        }
        let (read, mut called, unknown) = scopes::read(manifest, scopes);
        notes.append(&mut called);
        for scope in unknown {
            let meant = did_you_mean(&scope, scopes::known(manifest));
            let meant = meant.map_or_else(String::new, |meant| format!("; did you mean `{meant}`?"));
            notes.push(format!("nothing of {} needs `{scope}`{meant}", manifest.title));
        }
        change.scopes = Some(read);
    }
    if problems.is_empty() {
        return Ok((change, notes));
    }
    let text = format!("the integration of `{}` does not fit", manifest.id);
    Err(Error::new(ErrorKind::InvalidInput, text).problems(problems).hint("mend it and try again"))
}

/// What is wrong with something that is pasted.
fn plain(text: &str) -> Option<&'static str> {
    if text.is_empty() {
        return Some("must not be empty");
    }
    if text.len() > MOST {
        return Some("is too long");
    }
    let odd = text.chars().any(|c| c.is_control() || c.is_whitespace());
    odd.then_some("holds a space or a line break, which was probably pasted with it")
}
