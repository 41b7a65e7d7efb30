//! Sends webhooks: every delivery is a task that makes its attempts, and one more task asks addresses again whether they
//! belong to the app. They wait by the simulator's clock, so that advancing it brings on what is due.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::journal::Outcome;
use super::subscription::{self, Credentials, Wanted};
use super::{Delivery, MOST_SUBSCRIPTIONS};
use crate::server::Shared;

/// However far something is away, the clock is looked at so often.
const LONGEST_SLEEP: Duration = Duration::from_secs(3600);

/// Tells everybody who wants to know what has changed since this was called last.
pub(crate) fn publish(shared: &Arc<Shared>) {
    let deliveries = {
        // Whoever comes second waits, so that events have the order of what happened.
        let mut world = shared.world();
        let news = world.take_news();
        if news.is_empty() {
            return;
        }
        shared.webhooks().raise(news)
    };
    send(shared, deliveries);
}

/// Begins to send, everything at once.
pub(crate) fn send(shared: &Arc<Shared>, deliveries: Vec<Delivery>) {
    for delivery in deliveries {
        shared.spawn(attempt_first(shared.clone(), delivery));
    }
}

/// Sends one group after another: each has been answered, or not, before the next one goes.
pub(crate) async fn send_in_order(shared: &Arc<Shared>, groups: Vec<Vec<Delivery>>) {
    for group in groups {
        let mut attempts = JoinSet::new();
        for delivery in group {
            attempts.spawn(attempt_first(shared.clone(), delivery));
        }
        while attempts.join_next().await.is_some() {}
    }
}

/// Makes the first attempt. The others are made by a task of their own.
async fn attempt_first(shared: Arc<Shared>, delivery: Delivery) {
    if let Some(next) = attempt(&shared, &delivery, 1).await {
        shared.spawn(retry(shared.clone(), delivery, next));
    }
}

async fn retry(shared: Arc<Shared>, delivery: Delivery, mut next: Timestamp) {
    for number in 2.. {
        until(&shared, next).await;
        match attempt(&shared, &delivery, number).await {
            Some(later) => next = later,
            None => return,
        }
    }
}

/// One attempt. Answers when the next one is due.
async fn attempt(shared: &Shared, delivery: &Delivery, number: u32) -> Option<Timestamp> {
    let now = shared.now();
    let outgoing = shared.webhooks().next_attempt(delivery, number, now)?;
    let begun = Instant::now();
    let target = outgoing.credentials.target;
    let result = target.post(outgoing.headers, outgoing.body, outgoing.patience, false).await;
    let result = result.map(|(status, _)| status);
    let event = &delivery.message.event;
    tracing::info!(event, attempt = number, url = target.as_str(), ?result, "sent a webhook");
    let (elapsed, now) = (begun.elapsed(), shared.now());
    shared.webhooks().attempted(delivery, number, outgoing.entry, result, elapsed, now)
}

/// Asks an address whether it belongs to the app. Says what is wrong with its answer.
async fn validate(
    shared: &Shared,
    subscription: Option<u64>,
    credentials: Credentials,
) -> Result<(), String> {
    let now = shared.now();
    let (outgoing, plain_token, dropped) = {
        let mut webhooks = shared.webhooks();
        let (delivery, plain_token, dropped) = webhooks.challenge(subscription, now);
        (webhooks.outgoing(&delivery, credentials, 1, now), plain_token, dropped)
    };
    let begun = Instant::now();
    let Credentials { target, secret, .. } = outgoing.credentials;
    let answer = match dropped {
        true => Err("a fault has dropped it".to_owned()),
        false => target.post(outgoing.headers, outgoing.body, outgoing.patience, true).await,
    };
    let (status, verdict) = match answer {
        Ok((status, body)) => (Ok(status), subscription::check_answer(status, &body, &plain_token, &secret)),
        Err(error) => (Err(error.clone()), Err(error)),
    };
    tracing::info!(url = target.as_str(), ?verdict, "validated an address");
    let outcome = if verdict.is_ok() { Outcome::Delivered } else { Outcome::Lost };
    let mut webhooks = shared.webhooks();
    webhooks.journal.close(outgoing.entry, outcome, status, begun.elapsed(), None);
    if let Err(error) = &verdict {
        webhooks.journal.explain(outgoing.entry, error);
    }
    verdict
}

/// Makes a subscription, if its address passes. Answers its number.
pub(crate) async fn subscribe(shared: &Shared, wanted: Wanted) -> Result<u64, String> {
    let credentials = shared.webhooks().credentials(&wanted)?;
    let events = subscription::check_events(wanted.events)?;
    let full = format!("an app has {MOST_SUBSCRIPTIONS} subscriptions at most");
    if shared.webhooks().is_full() {
        return Err(full);
    }
    let refused = |error| format!("{} did not pass the validation: {error}", credentials.target.as_str());
    validate(shared, None, credentials.clone()).await.map_err(refused)?;
    let now = shared.now();
    let id = {
        let mut webhooks = shared.webhooks();
        // Others may have been faster while the address was thinking.
        if webhooks.is_full() {
            return Err(full);
        }
        webhooks.subscribe(credentials, events, now)
    };
    shared.wake();
    Ok(id)
}

/// Asks the address of a subscription again. Nothing, if there is no such subscription.
pub(crate) async fn revalidate(shared: &Shared, id: u64) -> Option<()> {
    let credentials = shared.webhooks().subscription(id)?.credentials.clone();
    let result = validate(shared, Some(id), credentials).await;
    let now = shared.now();
    shared.webhooks().subscription(id)?.validated(result, now);
    shared.wake();
    Some(())
}

/// Asks every address again when its time has come, for ever.
pub(crate) async fn revalidate_when_due(shared: Arc<Shared>) {
    let mut wakes = shared.wakes();
    loop {
        let next = shared.webhooks().next_validation();
        let left = next.map(|(due, _)| left(due, shared.now()));
        match (next, left) {
            (Some((_, id)), Some(None)) => drop(revalidate(&shared, id).await),
            // Neither the end of the time nor a wake says anything but that it is worth looking again.
            (_, left) => drop(timeout(left.flatten().unwrap_or(LONGEST_SLEEP), wakes.changed()).await),
        }
    }
}

/// Waits until this time has come by the simulator's clock.
async fn until(shared: &Shared, due: Timestamp) {
    let mut wakes = shared.wakes();
    while let Some(left) = left(due, shared.now()) {
        drop(timeout(left, wakes.changed()).await);
    }
}

/// For how long to sleep before looking again whether a time has come. Nothing, if it has.
fn left(due: Timestamp, now: Timestamp) -> Option<Duration> {
    let left = Duration::try_from(due.duration_since(now)).ok()?;
    (!left.is_zero()).then_some(left.min(LONGEST_SLEEP))
}
