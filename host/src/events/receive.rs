//! A request to a webhook's address: proven, kept, answered. When the answer says yes, the delivery survives the machine.
//!
//! A webhook of the whole app has the address `/webhooks/{connector}/{integration}`, with the webhook's name behind it unless that
//! is `default`. One that is registered for a single subscription has `/webhooks/{connector}/{integration}/{hook}/{subscription}`,
//! where the name always stands.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use bytes::Bytes;
use connector_protocol::{
    Error, ErrorKind, Result,
    manifest::{Select, Verify, Webhook},
    message::DeliveryHead,
};
use http::{HeaderMap, HeaderValue, header};
use jiff::Timestamp;
use secrecy::ExposeSecret;
use url::form_urlencoded;

use super::hooks::{Counts, Hook, Refused, Subscribed, refused, short};
use crate::{
    host::{Host, Settings},
    id::Id,
    ingress::{self, Accepted, Answer, Delivery, Refusal, Unreadable},
    store::{Arrival, Taken},
};

/// The webhook whose name does not stand in addresses.
const DEFAULT: &str = "default";

/// How long it may take to prove and to keep a delivery. Providers give up on an answer after three seconds, and then know less than
/// by an honest one.
const PATIENCE: Duration = Duration::from_secs(2);

/// When a provider is asked to come again if deliveries cannot be kept, in seconds.
pub const COME_AGAIN: u32 = 30;

/// A request to a webhook's address.
pub struct Received<'a> {
    /// The connector, as the address says.
    pub connector: &'a str,
    /// The integration, as the address says.
    pub integration: &'a str,
    /// The webhook, as the address says; the one without a name if it does not.
    pub hook: Option<&'a str>,
    /// The subscription, if the address is one's own.
    pub subscription: Option<&'a str>,
    /// The method.
    pub method: &'a str,
    /// The path and the query, as they came.
    pub path: &'a str,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The body.
    pub body: Bytes,
    /// Where it came from, if that is known.
    pub from: Option<String>,
    /// What the operator has decided, looked up once for a request.
    pub settings: &'a Settings,
}

/// What a request to a webhook's address is answered with.
#[derive(Debug)]
pub enum Answered {
    /// It was a handshake.
    Handshake(Answer),
    /// It is kept.
    Kept {
        /// The delivery's id, if it is a new one.
        id: Option<String>,
    },
    /// It is refused.
    Refused(Refusal),
    /// The address stands for nothing.
    Nothing,
    /// It cannot be kept now, and is to be sent again.
    Later(Box<Error>),
}

/// What is known of a delivery that is to be kept.
struct Proven {
    event: Option<String>,
    distinct: Vec<String>,
    /// Why nobody can read it.
    unreadable: Option<String>,
}

impl Proven {
    fn read(delivery: Delivery) -> Self {
        Self { event: delivery.event, distinct: delivery.distinct, unreadable: None }
    }

    fn unreadable(found: Unreadable) -> Self {
        Self { event: None, distinct: found.distinct, unreadable: Some(found.why.to_string()) }
    }
}

impl Host {
    /// Takes a request to a webhook's address.
    pub async fn webhook(&self, request: Received<'_>) -> Answered {
        let answered = self.take_in(&request).await;
        let counts = &self.events.hooks.counts;
        match &answered {
            Answered::Handshake(_) => Counts::one(&counts.handshakes),
            Answered::Kept { id: Some(_) } => Counts::one(&counts.kept),
            Answered::Kept { id: None } => Counts::one(&counts.again),
            Answered::Later(error) => {
                Counts::one(&counts.turned_away);
                tracing::warn!(connector = short(request.connector), "a delivery could not be kept: {error}");
            }
            Answered::Refused(_) | Answered::Nothing => {}
        }
        answered
    }

    /// Whether an address is one of an integration's, as far as its first two names say.
    ///
    /// # Errors
    ///
    /// If that is not known yet and cannot be looked up.
    pub async fn is_hook(&self, connector: &str, integration: &str) -> Result<bool> {
        let hook = self.hook(integration).await?;
        Ok(hook.is_some_and(|hook| hook.integration.connector == connector))
    }

    /// Notes a request to an address that stands for nothing.
    pub fn note_unknown(&self, connector: &str, integration: &str, from: Option<String>) {
        self.note_nothing(connector, integration, None, from);
    }

    fn note_nothing(
        &self,
        connector: &str,
        integration: &str,
        project: Option<String>,
        from: Option<String>,
    ) {
        let note = Refused {
            at: Timestamp::now(),
            from,
            connector: short(connector),
            integration: short(integration),
            reason: "unknown_integration".to_owned(),
            message: "the address stands for no webhook of an integration".to_owned(),
            project,
        };
        self.events.hooks.note(note, "unknown_integration");
    }

    async fn take_in(&self, request: &Received<'_>) -> Answered {
        let hooks = &self.events.hooks;
        let hook = match self.hook(request.integration).await {
            Ok(hook) => hook.filter(|hook| hook.integration.connector == request.connector),
            Err(error) => return Answered::Later(Box::new(error)),
        };
        let name = request.hook.unwrap_or(DEFAULT);
        let found = hook.as_ref().and_then(|hook| Some((hook, hook.webhook(name)?)));
        let found = match (found, request.subscription) {
            (Some((hook, webhook)), Some(id)) => match self.subscribed(id) {
                Ok(subscribed) => subscribed
                    .filter(|one| is_at(one, hook, request.connector))
                    .map(|one| (hook, webhook, Some(one))),
                Err(error) => return Answered::Later(Box::new(error)),
            },
            (Some((hook, webhook)), None) if request.hook != Some(DEFAULT) => Some((hook, webhook, None)),
            _ => None,
        };
        let Some((hook, webhook, subscribed)) = found else {
            let project = hook.map(|hook| hook.integration.project.clone());
            self.note_nothing(request.connector, request.integration, project, request.from.clone());
            return Answered::Nothing;
        };
        let until = Instant::now() + PATIENCE;
        match self.prove(request, hook, webhook, subscribed.as_deref()).await {
            Ok(Accepted::Handshake(answer)) => Answered::Handshake(answer),
            Ok(Accepted::Delivery(delivery)) => {
                self.keep(request, hook, webhook, Proven::read(delivery), until).await
            }
            Ok(Accepted::Unreadable(found)) => {
                Counts::one(&hooks.counts.unreadable);
                self.keep(request, hook, webhook, Proven::unreadable(found), until).await
            }
            Err(refusal) => {
                let (connector, integration) = (request.connector, request.integration);
                let note = refused(connector, integration, Some(hook), &refusal, request.from.clone());
                tracing::debug!(
                    connector,
                    integration,
                    reason = refusal.code(),
                    "a webhook request was refused"
                );
                hooks.note(note, refusal.code());
                Answered::Refused(refusal)
            }
        }
    }

    /// Finds out what a request is, and whether it is what it says.
    async fn prove(
        &self,
        request: &Received<'_>,
        hook: &Hook,
        webhook: &Webhook,
        subscribed: Option<&Subscribed>,
    ) -> Result<Accepted, Refusal> {
        let url = format!("{}{}", request.settings.config.public_url.base(), request.path);
        let asked = ingress::Request {
            method: request.method,
            url: &url,
            headers: request.headers,
            body: &request.body,
            received_at: Timestamp::now(),
        };
        let secrets = hook.secrets(webhook, subscribed);
        match ingress::receive(webhook, &secrets, &asked) {
            Err(Refusal::NeedsConnector) => {
                let head = DeliveryHead {
                    method: request.method.to_owned(),
                    headers: every(request.headers),
                    query: pairs(request.path),
                    event: None,
                    received_at: asked.received_at,
                };
                let connector = &hook.integration.connector;
                self.vouches(connector, webhook, &secrets, &url, head, &request.body).await?;
                ingress::admit(webhook, &secrets, &asked)
            }
            found => found,
        }
    }

    async fn keep(
        &self,
        request: &Received<'_>,
        hook: &Hook,
        webhook: &Webhook,
        proven: Proven,
        until: Instant,
    ) -> Answered {
        let Proven { event, distinct, unreadable } = proven;
        let memory = &self.events;
        let limit = request.settings.config.events.waiting;
        if unreadable.is_none() && memory.waiting.load(Ordering::SeqCst) >= limit {
            let text = format!("{limit} deliveries wait already");
            return Answered::Later(Box::new(Error::new(ErrorKind::Unavailable, text)));
        }
        let head = DeliveryHead {
            method: request.method.to_owned(),
            headers: headers(request.headers, webhook),
            query: query(request.path, webhook),
            event,
            received_at: Timestamp::now(),
        };
        let mut head = head;
        if matches!(webhook.verify, Verify::Custom {}) {
            // Where the proof stands is known to the connector alone; a secret that is repeated is not kept in any place.
            let of = request.subscription.and_then(|id| self.subscribed(id).ok().flatten());
            let secrets = hook.secrets(webhook, of.as_deref()).signing;
            let is_told = |(_, value): &(String, String)| {
                secrets.iter().any(|secret| value.contains(secret.expose_secret()))
            };
            head.headers.retain(|pair| !is_told(pair));
            head.query.retain(|pair| !is_told(pair));
        }
        let waits = unreadable.is_none();
        let arrival = Arrival {
            id: Id::delivery().to_string(),
            project: hook.integration.project.clone(),
            integration: hook.integration.id.clone(),
            connector: hook.integration.connector.clone(),
            hook: webhook.name.clone(),
            subscription: request.subscription.map(str::to_owned),
            digest: digest(&distinct),
            unreadable,
            head,
            body: request.body.to_vec(),
        };
        let id = arrival.id.clone();
        // Counted before it is there: whoever makes events of it counts it out.
        if waits {
            memory.waiting.fetch_add(1, Ordering::SeqCst);
        }
        let accepted = self.store.accept(arrival);
        let counts = memory.clone();
        // Whoever sends may be gone before it is written; it is counted, and looked into, all the same.
        let kept = tokio::spawn(async move {
            let taken = accepted.await;
            match taken {
                Ok(Taken::New) => counts.arrived.notify_one(),
                _ if waits => counts.count_out(1),
                _ => {}
            }
            taken
        });
        let unavailable = |text: &str| Answered::Later(Box::new(Error::new(ErrorKind::Unavailable, text)));
        match tokio::time::timeout_at(until.into(), kept).await {
            Ok(Ok(Ok(Taken::New))) => Answered::Kept { id: Some(id) },
            Ok(Ok(Ok(Taken::Again))) => Answered::Kept { id: None },
            Ok(Ok(Err(error))) => Answered::Later(Box::new(error)),
            Ok(Err(_)) => unavailable("the task that keeps it has fallen"),
            // It may be kept yet. Then the next time it is there already.
            Err(_) => unavailable("the store takes too long"),
        }
    }
}

/// Whether the address of a subscription names the integration whose trigger it is for.
fn is_at(subscribed: &Subscribed, hook: &Hook, connector: &str) -> bool {
    let of = subscribed.trigger.split_once('.').map(|(of, _)| of);
    of == Some(connector) && subscribed.project == hook.integration.project
}

impl super::Memory {
    /// So many deliveries wait no longer.
    pub(super) fn count_out(&self, count: u64) {
        let less = |waiting: u64| Some(waiting.saturating_sub(count));
        let _ = self.waiting.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less);
    }
}

/// What tells a delivery apart, in a fixed length: its parts, each with its length before it.
fn digest(distinct: &[String]) -> Vec<u8> {
    let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    for part in distinct {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part.as_bytes());
    }
    context.finish().as_ref().to_vec()
}

/// The headers that a connector gets to see: neither credentials nor signatures, and nothing of the connection that they came by.
fn headers(headers: &HeaderMap, webhook: &Webhook) -> Vec<(String, String)> {
    let (signature, secret) = match &webhook.verify {
        Verify::Hmac { signature, .. } | Verify::Ed25519 { signature, .. } => (Some(&signature.header), None),
        Verify::SharedSecret { at: Select::Header(name) } => (None, Some(name)),
        _ => (None, None),
    };
    let own = [
        header::AUTHORIZATION,
        header::PROXY_AUTHORIZATION,
        header::COOKIE,
        header::CONNECTION,
        header::HOST,
    ];
    let hidden = |name: &str| {
        own.iter().any(|own| own == name)
            || signature.into_iter().chain(secret).any(|hidden| hidden.eq_ignore_ascii_case(name))
    };
    let mut shown = every(headers);
    shown.retain(|(name, _)| !hidden(name));
    shown
}

/// All headers, as a connector is given them.
fn every(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect()
}

/// The parameters of the query, without a secret that is repeated there.
fn query(path: &str, webhook: &Webhook) -> Vec<(String, String)> {
    let hidden = match &webhook.verify {
        Verify::SharedSecret { at: Select::Query(name) } => Some(name.as_str()),
        _ => None,
    };
    let mut query = pairs(path);
    query.retain(|(name, _)| Some(name.as_str()) != hidden);
    query
}

/// All parameters of the query.
fn pairs(path: &str) -> Vec<(String, String)> {
    let query = path.split_once('?').map_or("", |(_, query)| query);
    form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}
