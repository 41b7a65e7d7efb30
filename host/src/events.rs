//! What providers send, from the request to whoever wants to know.
//!
//! The journey of one delivery: [`hooks`] knows what its address stands for and what proves it, from memory; [`receive`] has it
//! proven, keeps it and answers, and nothing of a connector has run by then, unless only that can prove it (`verify`). Off the request, `sort` asks the connector what has
//! happened, `route` finds the connections that it happened to, and the events are written in one commit with what is to be sent of
//! them. `dispatch` sends them, signed, for as long as it takes. [`filter`] says which events a subscription wants.
//!
//! Some subscriptions have a feed of their own: `feeds` sees to it that a `poll` is made for them again and again, or that a webhook
//! is registered (`register`), and what it brings goes to that subscription alone. What is to be completed is, before it is kept
//! (`enrich`).
//!
//! It knows no provider: how one signs, and what tells its deliveries apart, is data of its manifest. It knows no SQL and no HTTP
//! server.

mod dispatch;
mod enrich;
mod feeds;
pub mod filter;
mod fire;
mod flow;
pub mod hooks;
mod poll;
mod recall;
pub mod receive;
mod register;
mod route;
pub mod signing;
mod sort;
mod strays;
pub mod subscriptions;
mod verify;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use connector_protocol::{Error, ErrorKind, Result, validate::Validator};
use tokio::sync::Notify;

use self::hooks::Hooks;
use crate::{
    host::Host,
    plugins::Library,
    store::{Audit, DeliveryState},
};

/// How long nobody looks again who was not woken.
const LOOKS: Duration = Duration::from_secs(30);

/// How long to leave a store alone that has failed.
const STORE_FAILED: Duration = Duration::from_secs(1);

/// What is remembered while events are taken in and sent on.
#[derive(Default)]
pub struct Memory {
    /// What addresses stand for.
    pub hooks: Hooks,
    /// Deliveries whose events are still to be made.
    waiting: AtomicU64,
    /// There is a delivery.
    arrived: Notify,
    /// There is something to be sent, or somebody can take something again.
    to_send: Notify,
    /// Something is to be polled, registered or removed, or can be now.
    to_feed: Notify,
    /// How often an account was connected: whoever has just been looked for in vain may be there now.
    connects: AtomicU64,
    /// What checks events, by manifest and trigger.
    validators: Mutex<HashMap<(String, String), Arc<Validator>>>,
}

impl Memory {
    /// Has whatever waits be looked at.
    pub fn wake(&self) {
        self.arrived.notify_one();
        self.to_send.notify_one();
        self.to_feed.notify_one();
    }

    /// Says that an account was connected.
    fn connected(&self) {
        self.connects.fetch_add(1, Ordering::SeqCst);
    }

    fn connects(&self) -> u64 {
        self.connects.load(Ordering::SeqCst)
    }

    fn validator(&self, library: &Library, trigger: &str) -> Result<Arc<Validator>> {
        let key = (library.head.digest.clone(), trigger.to_owned());
        let known = self.validators.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let manifest = library.manifest()?;
        let schema = manifest.trigger(trigger).map(|trigger| manifest.standalone(&trigger.event));
        let unusable = |error: String| {
            Error::new(
                ErrorKind::PluginRefused,
                format!("{}.{trigger}: its schema is unusable: {error}", manifest.id),
            )
        };
        let schema = schema.ok_or_else(|| unusable("there is none".to_owned()))?;
        let made = Arc::new(Validator::new(schema).map_err(|error| unusable(error.to_string()))?);
        let mut validators = self.validators.lock().unwrap_or_else(PoisonError::into_inner);
        // Those of versions that are gone are not worth a list of their own.
        if validators.len() > 1000 {
            validators.clear();
        }
        Ok(validators.entry(key).or_insert(made).clone())
    }
}

impl Host {
    /// Has the events of deliveries made again. Gives how many there are.
    ///
    /// # Errors
    ///
    /// If it cannot be written.
    pub async fn sort_again(
        &self,
        project: String,
        id: Option<String>,
        state: Option<DeliveryState>,
        audit: Audit,
    ) -> Result<u64> {
        let again = self.store.sort_again(project, id, state, audit).await?;
        self.events.waiting.fetch_add(again, Ordering::SeqCst);
        self.events.wake();
        Ok(again)
    }
}

/// Makes events of deliveries and sends them on, for as long as somebody serves.
pub async fn work(host: Arc<Host>) {
    loop {
        match begin(&host).await {
            Ok(()) => break,
            Err(error) => {
                tracing::warn!("events are not taken up yet: {error}");
                tokio::time::sleep(STORE_FAILED).await;
            }
        }
    }
    tokio::join!(flow::work(&host), dispatch::work(&host), feeds::work(&host));
}

/// Something from 0 to 1.
fn random() -> f64 {
    let mut byte = [0];
    // Without randomness those who failed together come back together, which is no reason not to come back.
    let _ = aws_lc_rs::rand::fill(&mut byte);
    f64::from(byte[0]) / 255.0
}

/// Takes up what the last one who served has left.
async fn begin(host: &Host) -> Result<()> {
    host.store.take_up(true).await?;
    feeds::begin(host).await?;
    let backlog = host.store.backlog().await?;
    host.events.waiting.store(backlog.deliveries, Ordering::SeqCst);
    Ok(())
}
