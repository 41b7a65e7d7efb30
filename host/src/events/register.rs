//! Webhooks that are registered at the provider for single subscriptions: each has an address of its own and, unless the operator
//! has pasted one for all, a secret of its own.
//!
//! One is registered when its subscription is made, renewed before the provider forgets it, registered anew where it lies at
//! another address than the home has now, and removed when the subscription is taken away. What cannot be removed yet is tried
//! again, while nobody but us knows of it any more.

use std::time::{Duration, Instant};

use connector_protocol::{
    Error, ErrorKind, Result,
    manifest::{SecretOwner, Source, Trigger, Webhook},
    message::{RegisterCall, Registration, RegistrationCall},
};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};

use super::{
    feeds::{self, As, is_barred},
    signing,
};
use crate::{
    host::Host,
    store::{ConnectionState, DueFeed, Registered, Subscription, Written},
    vault::Owner,
};

/// How often removing a webhook is tried whose subscription is gone: for some days.
const TRIES: u32 = 100;

/// How often something is written that meets a change of somebody else's.
const WRITES: u32 = 5;

/// How long removing webhooks may hold up whoever gives a connection up.
const FAREWELL: Duration = Duration::from_secs(20);

/// How long before a webhook's end nothing is done, at least.
const SHORTEST: Duration = Duration::from_secs(60);

/// What all addresses of webhooks begin with.
pub(super) fn below(base: &str) -> String {
    format!("{base}/webhooks/")
}

/// Does what is to be done about a webhook.
pub(super) async fn see_to(host: &Host, due: &DueFeed) -> Result<()> {
    if due.removed {
        return remove(host, due).await;
    }
    let subscription = &due.subscription;
    let (_, manifest, index) = feeds::trigger(host, subscription)?;
    let trigger = &manifest.triggers[index];
    let Source::RegisteredWebhook { hook, .. } = &trigger.source else {
        let text = format!("`{}` is not registered any more", subscription.trigger);
        return Err(Error::new(ErrorKind::Unsupported, text).hint("subscribe to it again"));
    };
    let unknown = || Error::new(ErrorKind::PluginRefused, format!("there is no webhook `{hook}`"));
    let webhook = manifest.webhooks.iter().find(|webhook| webhook.name == *hook).ok_or_else(unknown)?;
    let asked = As::of_subscription(host, subscription)?;
    let base = host.settings()?.config.public_url.base().to_owned();
    let (connector, integration) = (&asked.connection.connector, &asked.connection.integration);
    let address = format!("{}{connector}/{integration}/{hook}/{}", below(&base), subscription.id);
    if let (Some(state), Some(before)) = (&due.state, &due.address) {
        if *before != address {
            // It is where nobody is any more.
            unregister(host, &asked, subscription, trigger, state, before, feeds::PATIENCE).await?;
            host.store.unregistered(subscription.id.clone(), due.fence, 0).await?;
            return Ok(());
        }
        let renewed: Result<Registration> = asked
            .call(
                host,
                &subscription.id,
                "renew",
                feeds::PATIENCE,
                call_about(host, subscription, trigger, state, before)?,
            )
            .await;
        match renewed {
            Ok(renewed) => return keep(host, due, webhook, renewed, address).await,
            Err(error) if is_gone(&error, due) => {
                tracing::info!(subscription = subscription.id, "registered anew: {error}");
            }
            Err(error) => return Err(error),
        }
    }
    let secret = secret_of(host, subscription)?;
    let registered: Registration = asked
        .call(host, &subscription.id, "register", feeds::PATIENCE, |context| RegisterCall {
            name: trigger.name.clone(),
            parameters: subscription.parameters.clone(),
            url: address.clone(),
            secret: secret.expose_secret().to_owned(),
            context,
        })
        .await?;
    tracing::info!(subscription = subscription.id, trigger = subscription.trigger, "registered");
    keep(host, due, webhook, registered, address).await
}

/// Whether what could not be renewed is not there any more. Not every provider calls it not found that something has run out.
fn is_gone(error: &Error, due: &DueFeed) -> bool {
    match error.kind {
        ErrorKind::NotFound | ErrorKind::Unsupported => true,
        ErrorKind::Refused | ErrorKind::InvalidInput => {
            due.expires.is_some_and(|end| end <= Timestamp::now())
        }
        _ => false,
    }
}

impl Host {
    /// Removes what is registered as a connection that is about to be given up, as long as the provider still listens to it. What
    /// cannot be removed is left there.
    pub(crate) async fn end_webhooks(&self, connection: &str) {
        let until = Instant::now() + FAREWELL;
        let taken = match self.store.take_webhooks(connection.to_owned(), feeds::ms(FAREWELL * 2)).await {
            Ok(taken) => taken,
            Err(error) => {
                tracing::warn!(connection, "what is registered as it cannot be read: {error}");
                return;
            }
        };
        for due in taken {
            let left = until.saturating_duration_since(Instant::now());
            let (subscription, fence) = (due.subscription.id.clone(), due.fence);
            let ended = match (&due.state, &due.address) {
                (Some(state), Some(address)) => end(self, &due.subscription, state, address, left).await,
                _ => Ok(()),
            };
            let written = match ended {
                Ok(()) => {
                    self.store.unregistered(subscription.clone(), fence, feeds::ms(FAREWELL)).await.map(drop)
                }
                Err(error) => {
                    tracing::warn!(subscription, "its webhook is left at the provider: {error}");
                    let wait = feeds::ms(FAREWELL);
                    self.store
                        .feed_failed(subscription.clone(), fence, wait, error.to_string(), true)
                        .await
                        .map(drop)
                }
            };
            if let Err(error) = written {
                tracing::warn!(subscription, "what became of its webhook cannot be kept: {error}");
            }
        }
    }
}

/// Keeps a registration, with the secret that came with it.
async fn keep(
    host: &Host,
    due: &DueFeed,
    webhook: &Webhook,
    registration: Registration,
    address: String,
) -> Result<()> {
    let id = &due.subscription.id;
    let mut subscription = Some(due.subscription.clone());
    let by_provider = webhook.secret.as_ref().is_some_and(|secret| secret.owner == SecretOwner::Registration);
    let secret = registration.secret.filter(|_| by_provider).map(SecretString::from);
    let now = Timestamp::now();
    let wait = registration.expires_at.map(|end| {
        let left = Duration::try_from(end.duration_since(now)).unwrap_or_default();
        feeds::ms((left / 4 * 3).max(SHORTEST))
    });
    for _ in 0..WRITES {
        let sealed = match (&secret, &subscription) {
            (Some(secret), Some(subscription)) => Some(sealed(host, subscription, secret)?),
            _ => None,
        };
        let registered = Registered {
            subscription: id.clone(),
            fence: due.fence,
            state: registration.state.clone(),
            address: address.clone(),
            expires: registration.expires_at,
            wait,
            sealed,
        };
        let written = host.store.registered(registered).await?;
        host.events.hooks.forget_subscription(id);
        match written {
            Written::Yes => return Ok(()),
            Written::OldKey => host.connections.catch_up().await?,
            Written::Stale if secret.is_none() => break,
            // Somebody has changed the subscription, or taken it away: then its secret is of no use.
            Written::Stale => subscription = host.store.subscribed(id)?,
        }
    }
    Err(Error::new(ErrorKind::Conflict, "somebody else sees to this webhook"))
}

/// The secrets of a subscription with the one that its provider signs with now, and the version that they are of.
fn sealed(
    host: &Host,
    subscription: &Subscription,
    secret: &SecretString,
) -> Result<(i64, crate::vault::Envelope)> {
    let owner = Owner { project: &subscription.project, id: &subscription.id };
    let vault = &host.connections.vault;
    let mut secrets = match &subscription.sealed {
        Some(envelope) => vault.open(owner, envelope)?,
        None => Default::default(),
    };
    let before = secrets.insert(signing::WEBHOOK.to_owned(), secret.clone());
    if let Some(before) = before.filter(|before| before.expose_secret() != secret.expose_secret()) {
        secrets.insert(signing::WEBHOOK_BEFORE.to_owned(), before);
    }
    Ok((subscription.version, vault.seal(owner, &secrets)?))
}

/// Removes the webhook of a subscription that was taken away. One whose connection is gone as well can only be left.
async fn remove(host: &Host, due: &DueFeed) -> Result<()> {
    let subscription = &due.subscription;
    let left = match (&due.state, &due.address) {
        (Some(state), Some(address)) => end(host, subscription, state, address, feeds::PATIENCE).await,
        _ => Ok(()),
    };
    if let Err(error) = left {
        let given_up = match (&subscription.connection, is_barred(&error)) {
            (Some(id), _) => {
                let scope = crate::store::Scope::project(&subscription.project);
                let held = host.store.held(&scope, id)?;
                held.is_none_or(|held| held.connection.state == ConnectionState::Revoked)
            }
            (None, _) => true,
        };
        if !given_up && due.failures < TRIES {
            return Err(error);
        }
        tracing::warn!(subscription = subscription.id, "its webhook is left at the provider: {error}");
    } else {
        tracing::info!(subscription = subscription.id, trigger = subscription.trigger, "unregistered");
    }
    host.store.unregistered(subscription.id.clone(), due.fence, 0).await.map(drop)
}

async fn end(
    host: &Host,
    subscription: &Subscription,
    state: &serde_json::Value,
    address: &str,
    patience: Duration,
) -> Result<()> {
    let (_, manifest, index) = feeds::trigger(host, subscription)?;
    let asked = As::of_subscription(host, subscription)?;
    unregister(host, &asked, subscription, &manifest.triggers[index], state, address, patience).await
}

async fn unregister(
    host: &Host,
    asked: &As,
    subscription: &Subscription,
    trigger: &Trigger,
    state: &serde_json::Value,
    address: &str,
    patience: Duration,
) -> Result<()> {
    let call = call_about(host, subscription, trigger, state, address)?;
    match asked.send(host, &subscription.id, "unregister", patience, call).await {
        Err(error) if error.kind != ErrorKind::NotFound => Err(error),
        // One that is gone already is what is wanted.
        _ => Ok(()),
    }
}

/// A call about a webhook that is registered.
fn call_about(
    host: &Host,
    subscription: &Subscription,
    trigger: &Trigger,
    state: &serde_json::Value,
    address: &str,
) -> Result<impl FnOnce(connector_protocol::message::Context) -> RegistrationCall + Send> {
    let secret = secret_of(host, subscription)?;
    let (name, parameters) = (trigger.name.clone(), subscription.parameters.clone());
    let (state, url) = (state.clone(), address.to_owned());
    Ok(move |context| RegistrationCall {
        name,
        parameters,
        state,
        url,
        secret: secret.expose_secret().to_owned(),
        context,
    })
}

/// The secret that a subscription's webhook is signed with; nothing where there is none yet, or where it is not the
/// subscription's.
fn secret_of(host: &Host, subscription: &Subscription) -> Result<SecretString> {
    let owner = Owner { project: &subscription.project, id: &subscription.id };
    let found = match &subscription.sealed {
        Some(envelope) => host.connections.vault.open_one(owner, envelope, signing::WEBHOOK)?,
        None => None,
    };
    Ok(found.unwrap_or_else(|| SecretString::from("")))
}
