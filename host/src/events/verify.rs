//! Asks a connector whether a request comes from its provider, where the manifest has no words for how that is told.
//!
//! It is all that runs of a connector before a request is answered, and what it is given comes from strangers. So it is asked about
//! a few requests at once and each for a short time, nothing is sent meanwhile, and whatever goes wrong means that nothing is kept:
//! the provider is asked to come again.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use connector_protocol::{
    Error, ErrorKind, Result,
    manifest::{CAPABILITIES, Webhook},
    message::{Context, DeliveryHead, Verified, VerifyCall},
};
use secrecy::ExposeSecret;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::{
    host::Host,
    id::Id,
    ingress::{Refusal, Secrets},
    invoke::Reading,
};

/// About how many requests a connector is asked at once: its worker has other things to do too.
const AT_ONCE: usize = 16;

/// How long a request waits for its turn.
const TURN: Duration = Duration::from_millis(250);

/// How long a connector may take, its turn and its start included. What is left of a request's time belongs to the store.
const PATIENCE: Duration = Duration::from_millis(1250);

/// The turns of connectors, by their names.
#[derive(Default)]
pub(super) struct Asked(Mutex<HashMap<String, Arc<Semaphore>>>);

impl Asked {
    /// A turn of a connector's; `None` if too many are before this one.
    async fn turn(&self, connector: &str) -> Option<OwnedSemaphorePermit> {
        let turns = {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            // Only of connectors that are set up, so there are never many.
            all.entry(connector.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(AT_ONCE))).clone()
        };
        timeout(TURN, turns.acquire_owned()).await.ok()?.ok()
    }
}

impl Host {
    /// Has a connector vouch for a request.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotProven`] if it does not; [`Refusal::NeedsConnector`] if it cannot be asked.
    pub(super) async fn vouches(
        &self,
        connector: &str,
        webhook: &Webhook,
        secrets: &Secrets,
        url: &str,
        head: DeliveryHead,
        body: &[u8],
    ) -> Result<(), Refusal> {
        match self.ask_whether_proven(connector, webhook, secrets, url, head, body).await {
            Ok(true) => Ok(()),
            Ok(false) => Err(Refusal::NotProven),
            Err(error) => {
                let hook = &webhook.name;
                tracing::warn!(connector, hook, "a webhook request could not be proven: {error}");
                Err(Refusal::NeedsConnector)
            }
        }
    }

    async fn ask_whether_proven(
        &self,
        connector: &str,
        webhook: &Webhook,
        secrets: &Secrets,
        url: &str,
        head: DeliveryHead,
        body: &[u8],
    ) -> Result<bool> {
        let deadline = Instant::now() + PATIENCE;
        let busy = || {
            let text = format!("`{connector}` is asked to prove too many requests at once");
            Error::new(ErrorKind::Unavailable, text)
        };
        let _turn = self.events.hooks.asked.turn(connector).await.ok_or_else(busy)?;
        let library = self.registry().find(connector)?.clone();
        // Not when it came, which is another time each time.
        let mut input = url.as_bytes().to_vec();
        head.headers.iter().for_each(|(name, value)| input.extend(format!("\n{name}: {value}").bytes()));
        input.extend_from_slice(body);
        let call = VerifyCall {
            name: webhook.name.clone(),
            delivery: head,
            url: url.to_owned(),
            secrets: secrets.signing.iter().map(|secret| secret.expose_secret().to_owned()).collect(),
            context: Context {
                id: Id::delivery().to_string(),
                deadline_ms: u64::try_from(PATIENCE.as_millis()).unwrap_or(u64::MAX),
                capabilities: CAPABILITIES.iter().map(|name| (*name).to_owned()).collect(),
                ..Context::default()
            },
        };
        let reading = Reading {
            what: &webhook.name,
            op: "verify",
            input: &input,
            secrets: &secrets.signing,
            refusal: Error::new(ErrorKind::Unsupported, "nothing is sent while a request is proven")
                .hint("nobody is known yet whose credential it could be sent with"),
            deadline,
        };
        let answer = self.read_by_connector(&library, &reading, &call, body).await?;
        let verified: Verified = serde_json::from_slice(&answer).map_err(|_| {
            let text = format!("`{connector}` answered `verify` with nothing that can be read");
            Error::new(ErrorKind::ConnectorFault, text)
        })?;
        Ok(verified.proven)
    }
}
