//! Sees to what brings single subscriptions their events: polls what is to be polled, and has webhooks registered, renewed and
//! removed.
//!
//! Each feed is taken by one at a time, under a number that comes back with what is written of it. What fails is tried again, later
//! each time; what waits for a connection costs nothing meanwhile.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use connector_protocol::{Error, ErrorKind, Manifest, Result, manifest::CAPABILITIES, message::Context};
use jiff::{SignedDuration, Timestamp};
use serde::{Serialize, de::DeserializeOwned};
use tokio::task::JoinSet;

use super::{LOOKS, STORE_FAILED, poll, random, register};
use crate::{
    connections::Setting,
    egress::Flight,
    host::Host,
    invoke::{Asking, Held},
    plugins::Library,
    store::{Connection, DueFeed, FeedKind, Scope, Subscription},
    worker::Family,
};

/// How many are seen to at once.
const AT_ONCE: usize = 16;

/// How long a connector may take over one call.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// For how long a feed that is seen to is nobody else's: for longer than all calls and what is written of them may take.
const LEASE: Duration = Duration::from_secs(5 * 60);

/// After what time one is tried again for the first time, and at most unless the provider asks for more. Each time it is twice as
/// long.
const FIRST_WAIT: Duration = Duration::from_secs(5);
const LONGEST_WAIT: Duration = Duration::from_secs(60 * 60);

/// For how long a provider may ask to be left alone.
const LONGEST_ASKED: Duration = Duration::from_secs(24 * 60 * 60);

/// When it is looked again whether a connector is there.
const MISSING: Duration = Duration::from_secs(10);

/// By how much a clock has to be set back to be noticed.
const SET_BACK: SignedDuration = SignedDuration::from_secs(1);

/// Sees to feeds, for as long as somebody serves.
pub(super) async fn work(host: &Arc<Host>) {
    let memory = &host.events;
    let busy: Arc<Mutex<HashSet<String>>> = Arc::default();
    let mut seeing = JoinSet::new();
    let mut looked = (Instant::now(), Timestamp::now());
    loop {
        while seeing.try_join_next().is_some() {}
        let room = AT_ONCE.saturating_sub(seeing.len());
        if room == 0 {
            let _ = seeing.join_next().await;
            continue;
        }
        let now = (Instant::now(), Timestamp::now());
        let taken = async {
            if is_set_back(looked, now) {
                tracing::warn!("the clock was set back; what is polled is looked at anew");
                host.store.take_up_feeds(false, None).await?;
            }
            let busy = busy.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect();
            let room = u32::try_from(room).unwrap_or(1);
            host.store.due_feeds(room, busy, ms(LEASE)).await
        };
        let (due, next) = match taken.await {
            Ok(taken) => taken,
            Err(error) => {
                tracing::warn!("what is to be polled and registered cannot be read: {error}");
                tokio::time::sleep(STORE_FAILED).await;
                continue;
            }
        };
        looked = now;
        if due.is_empty() {
            let wait = next.map_or(LOOKS, |next| {
                Duration::try_from(next.duration_since(Timestamp::now())).unwrap_or_default().min(LOOKS)
            });
            let _ = tokio::time::timeout(wait, memory.to_feed.notified()).await;
            continue;
        }
        for due in due {
            let (host, busy) = (host.clone(), busy.clone());
            let id = due.subscription.id.clone();
            busy.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone());
            seeing.spawn(async move {
                see_to(&host, due).await;
                busy.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
                host.events.to_feed.notify_one();
                host.events.to_send.notify_one();
            });
        }
    }
}

/// Whether the clock shows less than it would if nobody had touched it.
fn is_set_back(before: (Instant, Timestamp), now: (Instant, Timestamp)) -> bool {
    let passed = SignedDuration::try_from(now.0.saturating_duration_since(before.0)).unwrap_or_default();
    passed - now.1.duration_since(before.1) > SET_BACK
}

/// Takes up what the last one who served has left.
pub(super) async fn begin(host: &Host) -> Result<()> {
    let base = host.settings()?.config.public_url.base().to_owned();
    host.store.take_up_feeds(true, Some(register::below(&base))).await
}

async fn see_to(host: &Host, due: DueFeed) {
    let done = match due.kind {
        FeedKind::Poll => poll::ask(host, &due).await,
        FeedKind::Webhook => register::see_to(host, &due).await,
    };
    let Err(error) = done else { return };
    let (subscription, trigger) = (&due.subscription.id, &due.subscription.trigger);
    let (wait, tried) = wait(due.failures, &error, Timestamp::now(), random());
    let reason = error.to_string();
    let seconds = wait.as_secs();
    tracing::warn!(subscription, trigger, "put off for {seconds} s: {reason}");
    // If it cannot be written, it is taken up again when its time is over.
    let failed = host.store.feed_failed(subscription.clone(), due.fence, ms(wait), reason, tried);
    if let Err(error) = failed.await {
        tracing::warn!(subscription, "why it was put off cannot be kept: {error}");
    }
}

/// How long to leave a feed alone that has failed so many times before, and whether this counts as another time.
fn wait(failures: u32, error: &Error, now: Timestamp, random: f64) -> (Duration, bool) {
    if is_barred(error) {
        return (MISSING, false);
    }
    let doubled = FIRST_WAIT.saturating_mul(1 << failures.min(20)).min(LONGEST_WAIT);
    // So that those who failed together do not come back together.
    let spread = doubled.mul_f64(0.8 + 0.2 * random.clamp(0.0, 1.0));
    let asked = error.retry_at.and_then(|at| Duration::try_from(at.duration_since(now)).ok());
    (asked.map_or(spread, |asked| asked.min(LONGEST_ASKED).max(spread)), true)
}

/// Whether a connector could not be asked at all.
pub(super) fn is_barred(error: &Error) -> bool {
    matches!(
        error.kind,
        ErrorKind::ConnectorQuarantined
            | ErrorKind::InputQuarantined
            | ErrorKind::ConnectorMissing
            | ErrorKind::PluginRefused
            | ErrorKind::Config
            | ErrorKind::Unknown
    )
}

pub(super) fn ms(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// The trigger that a subscription is to, as it is now.
pub(super) fn trigger(
    host: &Host,
    subscription: &Subscription,
) -> Result<(Arc<Library>, Arc<Manifest>, usize)> {
    let (connector, _) = subscription.trigger.split_once('.').unwrap_or_default();
    let library = host.registry().find(connector)?.clone();
    let (manifest, index) = host.find_trigger(&subscription.trigger)?;
    Ok((library, manifest, index))
}

/// Calls to a connector that are made as a connection.
pub(super) struct As {
    setting: Setting,
    scope: Scope,
    /// The connection.
    pub(super) connection: Connection,
}

impl As {
    /// As this connection.
    ///
    /// # Errors
    ///
    /// If there is none, or if its connector is not there.
    pub(super) fn of(host: &Host, project: &str, connection: &str) -> Result<Self> {
        let scope = Scope::project(project);
        let connection = host.connections.held(&scope, connection)?.connection;
        Ok(Self { setting: host.setting(&connection.connector)?, scope, connection })
    }

    /// As the connection of a subscription.
    ///
    /// # Errors
    ///
    /// As [`of`](Self::of).
    pub(super) fn of_subscription(host: &Host, subscription: &Subscription) -> Result<Self> {
        let none = || Error::new(ErrorKind::ConnectionNeeded, "the subscription has no connection");
        Self::of(host, &subscription.project, subscription.connection.as_deref().ok_or_else(none)?)
    }

    /// Calls a trigger's verb for something of this id, and reads what it answers.
    ///
    /// # Errors
    ///
    /// What the connector or the provider says; or if the connection cannot be used.
    pub(super) async fn call<C: Serialize, A: DeserializeOwned>(
        &self,
        host: &Host,
        id: &str,
        op: &'static str,
        patience: Duration,
        call: impl FnOnce(Context) -> C + Send,
    ) -> Result<A> {
        let answer = self.send(host, id, op, patience, call).await?;
        serde_json::from_slice(&answer).map_err(|_| {
            let text =
                format!("`{}` answered `{op}` with nothing that can be read", self.connection.connector);
            Error::new(ErrorKind::ConnectorFault, text)
        })
    }

    /// The same, for a verb whose answer says nothing.
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call).
    pub(super) async fn send<C: Serialize>(
        &self,
        host: &Host,
        id: &str,
        op: &'static str,
        patience: Duration,
        call: impl FnOnce(Context) -> C + Send,
    ) -> Result<Vec<u8>> {
        let deadline = Instant::now() + patience;
        let Self { setting, scope, connection } = self;
        let used = host.connections.credential(setting, scope, &connection.id, deadline).await?;
        let call = call(Context {
            id: id.to_owned(),
            deadline_ms: u64::try_from(patience.as_millis()).unwrap_or(u64::MAX),
            auth: used.credential.auth.clone(),
            parameters: used.credential.parameters.clone(),
            capabilities: CAPABILITIES.iter().map(|name| (*name).to_owned()).collect(),
            ..Context::default()
        });
        let asking = Asking {
            family: Family::Trigger,
            held: Some(Held {
                connections: host.connections.clone(),
                setting: setting.clone(),
                scope: scope.clone(),
                id: connection.id.clone(),
                version: used.version,
            }),
            target: setting.target(used.credential, &connection.id),
            egress: setting.egress.clone(),
            deadline,
            flight: Arc::new(Flight::default()),
        };
        host.ask_about(&connection.connector, op, &call, asking).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(failures: u32, error: &Error) -> u64 {
        let now = "2030-01-31T09:00:00Z".parse().unwrap();
        let (wait, _) = wait(failures, error, now, 1.0);
        wait.as_secs()
    }

    #[test]
    fn who_fails_waits_longer_each_time_and_as_long_as_the_provider_asks() {
        let failed = Error::new(ErrorKind::Unavailable, "no");
        let waits: Vec<u64> =
            [0, 1, 2, 9, 10, 40].into_iter().map(|failures| seconds(failures, &failed)).collect();
        assert_eq!(waits, [5, 10, 20, 2560, 3600, 3600]);
        for (asked, expected) in [
            ("2030-01-31T08:00:00Z", 5),
            ("2030-01-31T09:00:01Z", 5),
            ("2030-01-31T11:00:00Z", 7200),
            ("2031-01-31T09:00:00Z", 86_400),
        ] {
            let asked = failed.clone().retry_at(asked.parse().unwrap());
            assert_eq!(seconds(0, &asked), expected, "{asked:?}");
        }
        let missing = Error::new(ErrorKind::ConnectorMissing, "gone");
        assert_eq!(wait(30, &missing, Timestamp::now(), 1.0), (MISSING, false));
    }

    #[test]
    fn fault_27_a_clock_that_is_set_back_is_noticed_and_one_that_is_put_on_is_none() {
        let (then, at) = (Instant::now(), "2030-01-31T09:00:00Z".parse::<Timestamp>().unwrap());
        let passed = then + Duration::from_secs(30);
        let shows = |seconds: i64| (passed, at + SignedDuration::from_secs(seconds));
        for (shown, set_back) in [(30, false), (29, false), (28, true), (-3600, true), (86_400, false)] {
            assert_eq!(is_set_back((then, at), shows(shown)), set_back, "{shown}");
        }
    }
}
