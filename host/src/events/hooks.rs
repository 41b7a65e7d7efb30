//! What the address of a webhook stands for, kept in memory: a handshake is answered and a forgery refused while the store cannot be
//! read, and neither costs a look into it.
//!
//! What a connector declares about its webhooks is kept with the integration too, as it was last accepted: deliveries are taken
//! whether or not its library is there.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, OnceLock, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use connector_protocol::{
    Result,
    manifest::{SecretOwner, Webhook},
};
use jiff::Timestamp;
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

use super::{signing, verify::Asked};
use crate::{
    connections::integrations::{HANDSHAKE_SECRET, WEBHOOK_SECRET, WEBHOOK_SECRET_BEFORE},
    host::Host,
    ingress::{Refusal, Secrets},
    store::{FeedKind, Integration},
    vault::Owner,
};

/// After what time it is looked whether an integration has changed, should nobody have said so.
const FRESH: Duration = Duration::from_secs(10);

/// How many refused requests are remembered.
pub(super) const REMEMBERED: usize = 200;

/// What an integration's addresses stand for.
pub struct Hook {
    /// The integration. Its secrets are left out.
    pub integration: Integration,
    /// The webhooks that its connector declares.
    pub webhooks: Vec<Webhook>,
    /// What they are signed with.
    pub secrets: Secrets,
    read: Instant,
}

/// What the address of a single subscription stands for.
pub(super) struct Subscribed {
    /// The tenant.
    pub(super) project: String,
    /// The trigger.
    pub(super) trigger: String,
    /// What its webhook is signed with.
    secrets: Vec<SecretString>,
    read: Instant,
}

/// What a connector declares about its webhooks, as it is kept.
#[derive(Serialize, Deserialize)]
struct Declared {
    version: String,
    webhooks: Vec<Webhook>,
}

/// A request that was refused, without what was in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Refused {
    /// When.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// The address that it came from, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The connector, as the address says.
    pub connector: String,
    /// The integration, as the address says.
    pub integration: String,
    /// The reason's name: `wrong_signature`, `stale`, `no_secret`, `unknown_integration` and others.
    pub reason: String,
    /// The reason, in a sentence.
    pub message: String,
    /// Whose that integration is, if it is somebody's.
    #[serde(skip)]
    pub project: Option<String>,
}

/// How often something has happened.
#[derive(Default)]
pub struct Counts {
    /// Deliveries that were kept.
    pub kept: AtomicU64,
    /// Deliveries that were kept already.
    pub again: AtomicU64,
    /// Deliveries that nobody can read; they are kept.
    pub unreadable: AtomicU64,
    /// Handshakes that were answered.
    pub handshakes: AtomicU64,
    /// Requests that had to be sent again: the queue was full, or the store could not be written.
    pub turned_away: AtomicU64,
    refused: Mutex<HashMap<&'static str, u64>>,
}

impl Counts {
    pub(super) fn one(count: &AtomicU64) {
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// How often requests were refused, by reason.
    pub fn refusals(&self) -> Vec<(&'static str, u64)> {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.iter().map(|(reason, count)| (*reason, *count)).collect()
    }
}

/// What addresses stand for, and what became of requests to them.
#[derive(Default)]
pub struct Hooks {
    known: RwLock<HashMap<String, Arc<Hook>>>,
    /// Subscriptions that have addresses of their own.
    subscribed: RwLock<HashMap<String, Arc<Subscribed>>>,
    pub(super) refused: Mutex<VecDeque<Refused>>,
    /// Whether those are here that were refused before this process.
    pub(super) recalled: OnceLock<()>,
    /// Requests that each connector is asked to prove.
    pub(super) asked: Asked,
    /// How often what has happened.
    pub counts: Counts,
}

impl Hooks {
    /// Has an integration looked up anew by the next who asks.
    pub fn forget(&self, integration: &str) {
        self.known.write().unwrap_or_else(PoisonError::into_inner).remove(integration);
    }

    /// Has a subscription looked up anew by the next who asks.
    pub(super) fn forget_subscription(&self, id: &str) {
        self.subscribed.write().unwrap_or_else(PoisonError::into_inner).remove(id);
    }

    pub(super) fn note(&self, refused: Refused, reason: &'static str) {
        *self.counts.refused.lock().unwrap_or_else(PoisonError::into_inner).entry(reason).or_default() += 1;
        let mut list = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if list.len() == REMEMBERED {
            list.pop_front();
        }
        list.push_back(refused);
    }

    fn get(&self, integration: &str) -> Option<Arc<Hook>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).get(integration).cloned()
    }
}

impl Host {
    /// What the addresses of an integration stand for; `None` if there is no such integration.
    ///
    /// # Errors
    ///
    /// If it is not known yet and cannot be looked up.
    pub(super) async fn hook(&self, integration: &str) -> Result<Option<Arc<Hook>>> {
        let hooks = &self.events.hooks;
        let known = hooks.get(integration);
        if let Some(known) = known.as_ref().filter(|hook| hook.read.elapsed() < FRESH) {
            return Ok(Some(known.clone()));
        }
        match self.read_hook(integration).await {
            Ok(found) => {
                let mut all = hooks.known.write().unwrap_or_else(PoisonError::into_inner);
                match &found {
                    Some(hook) => drop(all.insert(integration.to_owned(), hook.clone())),
                    None => drop(all.remove(integration)),
                }
                Ok(found)
            }
            // As it was is better than not at all: what is forged stays forged.
            Err(error) => known.map(Some).ok_or(error),
        }
    }

    /// What the address of a subscription stands for; `None` if there is none.
    ///
    /// # Errors
    ///
    /// If it is not known yet and cannot be looked up.
    pub(super) fn subscribed(&self, id: &str) -> Result<Option<Arc<Subscribed>>> {
        let all = &self.events.hooks.subscribed;
        let known = all.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned();
        if let Some(known) = known.as_ref().filter(|known| known.read.elapsed() < FRESH) {
            return Ok(Some(known.clone()));
        }
        match self.read_subscribed(id) {
            Ok(found) => {
                let mut all = all.write().unwrap_or_else(PoisonError::into_inner);
                match &found {
                    Some(found) => drop(all.insert(id.to_owned(), found.clone())),
                    None => drop(all.remove(id)),
                }
                Ok(found)
            }
            Err(error) => known.map(Some).ok_or(error),
        }
    }

    fn read_subscribed(&self, id: &str) -> Result<Option<Arc<Subscribed>>> {
        let Some(subscription) = self.store.subscribed(id)? else { return Ok(None) };
        if subscription.feed.as_ref().is_none_or(|feed| feed.kind != FeedKind::Webhook) {
            return Ok(None);
        }
        let owner = Owner { project: &subscription.project, id };
        let mut secrets = match &subscription.sealed {
            Some(envelope) => self.connections.vault.open(owner, envelope)?,
            None => Default::default(),
        };
        let signing = [signing::WEBHOOK, signing::WEBHOOK_BEFORE].map(|name| secrets.remove(name));
        Ok(Some(Arc::new(Subscribed {
            project: subscription.project,
            trigger: subscription.trigger,
            secrets: signing.into_iter().flatten().collect(),
            read: Instant::now(),
        })))
    }

    async fn read_hook(&self, integration: &str) -> Result<Option<Arc<Hook>>> {
        let Some((mut integration, kept)) = self.store.hook(integration)? else { return Ok(None) };
        let kept: Option<Declared> = kept.and_then(|kept| serde_json::from_str(&kept).ok());
        let library = self.registry().find(&integration.connector).ok().cloned();
        let manifest = library.and_then(|library| library.manifest().ok().cloned());
        let webhooks = match (manifest, kept) {
            (Some(manifest), kept) => {
                let is_kept = kept.is_some_and(|kept| kept.webhooks == manifest.webhooks);
                let declared =
                    Declared { version: manifest.version.clone(), webhooks: manifest.webhooks.clone() };
                if !is_kept && let Ok(text) = serde_json::to_string(&declared) {
                    // Nobody waits for that: a handshake is answered whatever the store is at.
                    let kept = self.store.declare(integration.id.clone(), text);
                    let integration = integration.id.clone();
                    tokio::spawn(async move {
                        if let Err(error) = kept.await {
                            tracing::warn!(integration, "its webhooks are not kept: {error}");
                        }
                    });
                }
                declared.webhooks
            }
            (None, Some(kept)) => kept.webhooks,
            (None, None) => Vec::new(),
        };
        let mut secrets = self.connections.secrets_of(&integration)?;
        let signing = [WEBHOOK_SECRET, WEBHOOK_SECRET_BEFORE].iter().filter_map(|name| secrets.remove(*name));
        let signing = signing.collect();
        let handshake = secrets.remove(HANDSHAKE_SECRET).into_iter().collect();
        let secrets = Secrets { signing, handshake };
        integration.sealed = None;
        Ok(Some(Arc::new(Hook { integration, webhooks, secrets, read: Instant::now() })))
    }

    /// Learns anew what the addresses of an integration stand for, which has just been changed.
    pub async fn learn_hook(&self, integration: &str) {
        self.events.hooks.forget(integration);
        if let Err(error) = self.hook(integration).await {
            tracing::warn!(integration, "nothing can be received for it yet: {error}");
        }
    }

    /// Reads what all addresses stand for, before anybody asks.
    ///
    /// # Errors
    ///
    /// If the store cannot be read.
    pub async fn read_hooks(&self) -> Result<()> {
        for integration in self.store.hooks()? {
            if let Err(error) = self.hook(&integration).await {
                tracing::warn!(integration, "nothing can be received for it: {error}");
            }
        }
        Ok(())
    }
}

impl Hook {
    /// The webhook of this name.
    pub(super) fn webhook(&self, name: &str) -> Option<&Webhook> {
        self.webhooks.iter().find(|webhook| webhook.name == name)
    }

    /// The secrets that a webhook's requests are proven with.
    pub(super) fn secrets(&self, webhook: &Webhook, of: Option<&Subscribed>) -> Secrets {
        let signing = match (&webhook.secret, of) {
            (Some(secret), _) if secret.owner == SecretOwner::Integration => self.secrets.signing.clone(),
            // Whose secret counts is said by the address of a single subscription, and by no other.
            (_, Some(subscribed)) => subscribed.secrets.clone(),
            (_, None) => Vec::new(),
        };
        // It is the integration's, whoever's the other one is.
        let handshake =
            webhook.handshake_secret.iter().flat_map(|_| self.secrets.handshake.clone()).collect();
        Secrets { signing, handshake }
    }
}

/// A request that was refused.
pub(super) fn refused(
    connector: &str,
    integration: &str,
    hook: Option<&Hook>,
    refusal: &Refusal,
    from: Option<String>,
) -> Refused {
    Refused {
        at: Timestamp::now(),
        from,
        connector: short(connector),
        integration: short(integration),
        reason: refusal.code().to_owned(),
        message: refusal.to_string(),
        project: hook.map(|hook| hook.integration.project.clone()),
    }
}

/// A name out of an address, which may be anything.
pub(super) fn short(name: &str) -> String {
    name.escape_debug().take(60).collect()
}
