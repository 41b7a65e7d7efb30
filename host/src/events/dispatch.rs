//! Sends events to whoever subscribes: signed, one after the other where they are about the same thing, again and again for as long
//! as the operator says, and then onto the dead-letter shelf.
//!
//! What was answered with a success is never sent again. What ends in between - the answer is lost, or this process - is sent again
//! under the same id, by which the app knows it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use connector_protocol::{Error, ErrorKind, Result};
use http::{HeaderMap, HeaderValue, header};
use jiff::{SignedDuration, Timestamp, fmt::rfc2822};
use tokio::task::JoinSet;
use url::Url;

use super::{LOOKS, STORE_FAILED, random, signing};
use crate::{
    egress::app::{Posted, Unposted},
    host::Host,
    store::{Destination, DispatchState, Due, Room, Sent},
    vault::Owner,
};

/// How many are sent at once: of all subscriptions, of one, and to one origin.
const AT_ONCE: usize = 128;
const AT_ONCE_FOR_ONE: usize = 8;
const AT_ONCE_TO_ONE: usize = 16;

/// How long an app may take to answer.
const PATIENCE: Duration = Duration::from_secs(15);

/// For how long something that is being sent is nobody else's: for longer than sending it may take.
const LEASE: Duration = Duration::from_secs(60);

/// After what time something is sent again for the first time, and at most. Each time it is twice as long.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60 * 60);

/// How long nobody looks again who was not woken: what happens here, such as a grant that has ended, wakes nobody.
const LOOK: Duration = Duration::from_secs(3);

/// What is being sent: the subscription and the origin of each.
type InFlight = Arc<Mutex<HashMap<i64, (String, String)>>>;

/// How much more may be sent. The fewer places are free the fewer are for one origin: those that do not answer share what there is,
/// and whoever has none under way finds one.
fn room(in_flight: &HashMap<i64, (String, String)>) -> Room {
    let free = AT_ONCE.saturating_sub(in_flight.len());
    let of_origin = match free {
        free if free > AT_ONCE / 2 => AT_ONCE_TO_ONE,
        free if free > AT_ONCE / 4 => AT_ONCE_TO_ONE / 4,
        _ => 1,
    };
    let mut room = Room {
        most: u32::try_from(free.min(AT_ONCE_FOR_ONE)).unwrap_or(1),
        of_subscription: AT_ONCE_FOR_ONE,
        of_origin,
        ..Room::default()
    };
    for (subscription, origin) in in_flight.values() {
        *room.subscriptions.entry(subscription.clone()).or_default() += 1;
        *room.origins.entry(origin.clone()).or_default() += 1;
    }
    room
}

/// The place of what is being sent, which is free again however that ends.
struct Place {
    seq: i64,
    in_flight: InFlight,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.in_flight.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.seq);
    }
}

/// Sends what is to be sent, for as long as somebody serves.
pub(super) async fn work(host: &Arc<Host>) {
    let memory = &host.events;
    let in_flight = InFlight::default();
    let mut sending = JoinSet::new();
    let mut taken_up = Instant::now();
    loop {
        while sending.try_join_next().is_some() {}
        if taken_up.elapsed() > LOOKS {
            taken_up = Instant::now();
            match host.store.take_up(false).await {
                Ok(()) => memory.arrived.notify_one(),
                Err(error) => tracing::warn!("what was being sent cannot be taken up: {error}"),
            }
        }
        let room = room(&in_flight.lock().unwrap_or_else(PoisonError::into_inner));
        if room.most == 0 {
            let _ = sending.join_next().await;
            continue;
        }
        let lease = i64::try_from(LEASE.as_millis()).unwrap_or(i64::MAX);
        let (due, next) = match host.store.due_dispatches(room, lease).await {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!("what is to be sent cannot be read: {error}");
                tokio::time::sleep(STORE_FAILED).await;
                continue;
            }
        };
        if due.is_empty() {
            let wait = next.map_or(LOOK, |next| {
                Duration::try_from(next.duration_since(Timestamp::now())).unwrap_or_default().min(LOOK)
            });
            let _ = tokio::time::timeout(wait, memory.to_send.notified()).await;
            continue;
        }
        for due in due {
            let (host, in_flight) = (host.clone(), in_flight.clone());
            let of = (due.subscription.id.clone(), due.subscription.destination.origin());
            in_flight.lock().unwrap_or_else(PoisonError::into_inner).insert(due.seq, of);
            let place = Place { seq: due.seq, in_flight };
            sending.spawn(async move {
                one(&host, due).await;
                drop(place);
                host.events.to_send.notify_one();
            });
        }
    }
}

async fn one(host: &Host, due: Due) {
    let sent = send(host, &due).await;
    let (event, subscription) = (&due.event.id, &due.subscription.id);
    match sent.state {
        DispatchState::Done => tracing::debug!(event, subscription, status = sent.status, "sent"),
        DispatchState::Dead => {
            let reason = sent.reason.as_deref();
            tracing::warn!(
                event,
                subscription,
                status = sent.status,
                reason,
                "not sent, and not tried again"
            );
        }
        _ => {
            let reason = sent.reason.as_deref();
            tracing::info!(event, subscription, status = sent.status, reason, "not sent, and tried again");
        }
    }
    // Until it is written, nobody else has it; if it cannot be, it is sent again when its time is over.
    for wait in [0, 1, 5] {
        tokio::time::sleep(Duration::from_secs(wait)).await;
        match host.store.sent(due.seq, due.fence, sent.clone()).await {
            Ok(_) => return,
            Err(error) => tracing::warn!(event, subscription, "what became of it cannot be kept: {error}"),
        }
    }
}

async fn send(host: &Host, due: &Due) -> Sent {
    let mut sent =
        Sent { state: DispatchState::Dead, due: None, status: None, reason: None, tried: true, hold: None };
    let answered = match post(host, due).await {
        Ok(answered) => answered,
        // Nothing that the app has to do with: it is tried again, and costs no try.
        Err(error) => {
            sent.reason = Some(error.to_string());
            sent.tried = false;
            return later(host, due, sent, None);
        }
    };
    match answered {
        Ok(Posted { status, retry_after }) => {
            sent.status = Some(status);
            if (200..=299).contains(&status) {
                sent.state = DispatchState::Done;
                return sent;
            }
            sent.reason = Some(format!("the app answered with status {status}"));
            match status {
                408 | 429 | 500..=599 => later(host, due, sent, retry_after.as_deref()),
                // It has said what it thinks of it, or sends us elsewhere, where nobody wanted it sent.
                _ => sent,
            }
        }
        Err(Unposted { error, passing }) => {
            sent.reason = Some(error.to_string());
            // It has failed so often that it is left alone for a while, with everything that would go there.
            sent.hold = error.retry_at.filter(|_| error.kind == ErrorKind::Unavailable);
            sent.tried = sent.hold.is_none();
            if !passing {
                return sent;
            }
            let mut sent = later(host, due, sent, None);
            sent.due = sent.due.max(sent.hold.filter(|_| sent.due.is_some()));
            sent
        }
    }
}

/// The same, to be tried again, unless it was tried for long enough.
fn later(host: &Host, due: &Due, mut sent: Sent, retry_after: Option<&str>) -> Sent {
    let hours = host.settings().map_or(24, |settings| settings.config.events.retry_hours);
    let now = Timestamp::now();
    let tries = due.attempts + u32::from(sent.tried);
    let wait = SignedDuration::try_from(wait(tries, retry_after, now, random())).unwrap_or_default();
    let at = now.saturating_add(wait).unwrap_or(Timestamp::MAX);
    // Only what an app has failed to take is given up.
    if sent.tried && at.duration_since(due.since) > SignedDuration::from_hours(i64::from(hours)) {
        return sent;
    }
    sent.state = DispatchState::Waiting;
    sent.due = Some(at);
    sent
}

/// How long to wait after so many tries. What the app asks for counts between the first wait and the longest one.
fn wait(tries: u32, retry_after: Option<&str>, now: Timestamp, random: f64) -> Duration {
    let doubled = FIRST_WAIT.saturating_mul(1 << tries.saturating_sub(1).min(20)).min(LONGEST_WAIT);
    // So that those who failed together do not come back together.
    let spread = doubled.mul_f64(0.8 + 0.4 * random.clamp(0.0, 1.0));
    let asked = retry_after.and_then(|text| asked_for(text, now));
    asked.map_or(spread, |asked| asked.max(spread)).clamp(FIRST_WAIT.mul_f64(0.8), LONGEST_WAIT)
}

/// How long an app asks to be left alone: in seconds, or until a date.
fn asked_for(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let at = rfc2822::parse(text).ok()?.timestamp();
    Duration::try_from(at.duration_since(now)).ok()
}

/// Sends an event once. The outer error is none of the app's.
async fn post(host: &Host, due: &Due) -> Result<Result<Posted, Unposted>> {
    let Due { event, subscription, .. } = due;
    let settings = host.settings()?;
    let Destination::Url { url } = &subscription.destination;
    let url = Url::parse(url).map_err(|_| Error::new(ErrorKind::Internal, "the address is none any more"))?;
    let owner = Owner { project: &subscription.project, id: &subscription.id };
    let secrets = match &subscription.sealed {
        Some(envelope) => host.connections.vault.open(owner, envelope)?,
        None => return Err(Error::new(ErrorKind::Internal, "the subscription has no key to sign with")),
    };
    let body = serde_json::to_vec(event)
        .map_err(|error| Error::new(ErrorKind::Internal, format!("the event cannot be written: {error}")))?;
    let mut headers = HeaderMap::new();
    for (name, value) in signing::headers(&secrets, &event.id, &body)? {
        let value = HeaderValue::from_str(&value)
            .map_err(|_| Error::new(ErrorKind::Internal, format!("the header {name} cannot be written")))?;
        headers.insert(header::HeaderName::from_static(name), value);
    }
    let named = settings.config.events.is_named(&url);
    let deadline = Instant::now() + PATIENCE;
    Ok(settings.egress.post(&url, named, headers, Bytes::from(body), &subscription.id, deadline).await)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(tries: u32, asked: Option<&str>) -> f64 {
        wait(tries, asked, "2030-01-31T09:00:00Z".parse().unwrap(), 0.5).as_secs_f64()
    }

    #[test]
    fn fault_20_what_an_app_asks_for_counts_within_bounds() {
        for (asked, least, most) in [
            ("5", 5.0, 5.0),
            ("0", 0.8, 1.2),
            ("Thu, 31 Jan 2030 09:00:30 GMT", 30.0, 30.0),
            ("Thu, 31 Jan 2030 08:00:00 GMT", 0.8, 1.2),
            ("soon", 0.8, 1.2),
            ("-5", 0.8, 1.2),
            ("315360000", 3600.0, 3600.0),
            ("99999999999999999999999", 0.8, 1.2),
            ("", 0.8, 1.2),
        ] {
            let waited = seconds(1, Some(asked));
            assert!((least..=most).contains(&waited), "{asked}: {waited}");
        }
    }

    #[test]
    fn fault_19_each_wait_is_twice_as_long_up_to_an_hour() {
        let waits: Vec<f64> = (1..=40).map(|tries| seconds(tries, None)).collect();
        assert!((waits[0] - 1.0).abs() < 0.01 && (waits[3] - 8.0).abs() < 0.01, "{waits:?}");
        assert!(waits.is_sorted() && (waits[39] - 3600.0).abs() < 0.01, "{waits:?}");
        let spread = |random| wait(5, None, Timestamp::UNIX_EPOCH, random).as_secs_f64();
        assert!(spread(0.0) < 13.0 && spread(1.0) > 19.0, "those who failed together come back apart");
    }
}
