//! The flow of deliveries through the connectors: a bounded number of them is under way, of one connector fewer, and what has ended
//! makes room at once. A connector that is slow, or waits for its provider, keeps nobody else's deliveries waiting.
//!
//! Those of one integration are written in the order in which they were taken, since what is sent about a thing is sent in the order
//! in which it was written. What is put off leaves the line.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use connector_protocol::Result;
use jiff::Timestamp;
use tokio::task::{JoinError, JoinSet};

use super::{
    LOOKS, STORE_FAILED,
    sort::{MISSING, Outcome, from_now, look},
};
use crate::{
    host::Host,
    store::{NewEvent, Sorted, Whole},
};

/// How many deliveries are under way at once: of all connectors, and of one.
const AT_ONCE: usize = 64;
const AT_ONCE_OF_ONE: usize = 16;

/// How many of one integration, so that others of the same connector find a place.
const AT_ONCE_OF_INTEGRATION: usize = 12;

/// How long one waits that has made us fall.
const FALLEN: Duration = Duration::from_secs(60);

/// A delivery that is under way.
struct Item {
    whole: Arc<Whole>,
    /// How many groups of its line were written when it was begun to be looked at: it has not seen what later ones have told.
    seen: u64,
    /// How often an account had been connected by then.
    connects: u64,
    /// What came of it.
    sorted: Option<Box<Sorted>>,
}

/// The deliveries of one integration, in the order in which they were taken.
#[derive(Default)]
struct Line {
    items: VecDeque<Item>,
    /// Whether a group of them is being written.
    writes: bool,
    /// How many groups were written.
    written: u64,
    /// Whose owner was told by which group, as far as somebody is under way who has not seen it.
    told: HashMap<String, u64>,
}

/// What has ended.
enum Ended {
    /// A delivery was looked at.
    Looked { integration: String, delivery: String, outcome: Outcome },
    /// A group of a line was written, or could not be.
    Written { integration: String, deliveries: Vec<String> },
    /// A delivery was put off.
    PutOff { delivery: String },
    /// All of a connector that cannot be asked were.
    AllPutOff { connector: String },
}

struct Flow<'a> {
    host: &'a Arc<Host>,
    tasks: JoinSet<Ended>,
    lines: HashMap<String, Line>,
    /// What nobody else may take, with its connector and its integration.
    under_way: HashMap<String, (String, String)>,
    /// Those whose connectors cannot be asked, by connector, while that is written.
    absent: HashMap<String, Vec<String>>,
}

/// Makes events of what arrives, for as long as somebody serves.
pub(super) async fn work(host: &Arc<Host>) {
    let mut flow = Flow {
        host,
        tasks: JoinSet::new(),
        lines: HashMap::new(),
        under_way: HashMap::new(),
        absent: HashMap::new(),
    };
    loop {
        while let Some(ended) = flow.tasks.try_join_next() {
            flow.ended(ended);
        }
        let room = AT_ONCE.saturating_sub(flow.under_way.len());
        if room == 0 {
            flow.next().await;
            continue;
        }
        let most = u32::try_from(room.min(AT_ONCE_OF_ONE)).unwrap_or(1);
        let taken = flow.under_way.keys().cloned().collect();
        let (due, next) = match host.store.due_deliveries(most, flow.busy(), taken).await {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!("deliveries cannot be read: {error}");
                tokio::time::sleep(STORE_FAILED).await;
                continue;
            }
        };
        if due.is_empty() {
            let wait = next.map_or(LOOKS, |next| {
                Duration::try_from(next.duration_since(Timestamp::now())).unwrap_or_default().min(LOOKS)
            });
            let arrived = tokio::time::timeout(wait, host.events.arrived.notified());
            tokio::select! {
                _ = arrived => {}
                () = flow.next(), if !flow.tasks.is_empty() => {}
            }
            continue;
        }
        for whole in due {
            flow.take(whole);
        }
    }
}

impl Flow<'_> {
    /// The connectors and integrations of which no more may be taken.
    fn busy(&self) -> Vec<String> {
        let mut counts: HashMap<&String, (usize, usize)> = HashMap::new();
        for (connector, integration) in self.under_way.values() {
            counts.entry(connector).or_insert((0, AT_ONCE_OF_ONE)).0 += 1;
            counts.entry(integration).or_insert((0, AT_ONCE_OF_INTEGRATION)).0 += 1;
        }
        let full = counts.into_iter().filter(|(_, (count, most))| count >= most);
        full.map(|(name, _)| name.clone()).collect()
    }

    /// Begins with a delivery, if there is room for one of its connector.
    fn take(&mut self, whole: Whole) {
        let (connector, integration) = (&whole.delivery.connector, &whole.delivery.integration);
        let busy = self.busy();
        if busy.contains(connector) || busy.contains(integration) {
            return;
        }
        self.under_way.insert(whole.delivery.id.clone(), (connector.clone(), integration.clone()));
        let line = self.lines.entry(integration.clone()).or_default();
        let whole = Arc::new(whole);
        let connects = self.host.events.connects();
        line.items.push_back(Item { whole: whole.clone(), seen: line.written, connects, sorted: None });
        self.look(whole);
    }

    fn look(&mut self, whole: Arc<Whole>) {
        let host = self.host.clone();
        self.tasks.spawn(async move {
            // One that makes us fall is put off like any other that fails: the rest goes on.
            let (looks, of) = (host.clone(), whole.clone());
            let outcome =
                tokio::spawn(async move { look(&looks, &of).await }).await.unwrap_or_else(|fallen| {
                    tracing::error!(
                        delivery = whole.delivery.id,
                        "looking at a delivery has failed: {fallen}"
                    );
                    Outcome::PutOff {
                        wait: FALLEN,
                        reason: "looking at it has failed".to_owned(),
                        tried: true,
                    }
                });
            let (integration, delivery) = (whole.delivery.integration.clone(), whole.delivery.id.clone());
            Ended::Looked { integration, delivery, outcome }
        });
    }

    /// Waits until something ends.
    async fn next(&mut self) {
        if let Some(ended) = self.tasks.join_next().await {
            self.ended(ended);
        }
    }

    fn ended(&mut self, ended: Result<Ended, JoinError>) {
        let ended = match ended {
            Ok(ended) => ended,
            Err(fallen) => match fallen.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => return,
            },
        };
        match ended {
            Ended::Looked { integration, delivery, outcome } => self.looked(&integration, &delivery, outcome),
            Ended::Written { integration, deliveries } => {
                for delivery in deliveries {
                    self.under_way.remove(&delivery);
                }
                if let Some(line) = self.lines.get_mut(&integration) {
                    line.writes = false;
                    line.written += 1;
                }
                self.release(&integration);
            }
            Ended::PutOff { delivery } => drop(self.under_way.remove(&delivery)),
            Ended::AllPutOff { connector } => {
                for delivery in self.absent.remove(&connector).unwrap_or_default() {
                    self.under_way.remove(&delivery);
                }
            }
        }
    }

    fn looked(&mut self, integration: &str, delivery: &str, outcome: Outcome) {
        let Some(line) = self.lines.get_mut(integration) else { return };
        let Some(at) = line.items.iter().position(|item| item.whole.delivery.id == delivery) else { return };
        let (wait, reason, tried) = match outcome {
            Outcome::Sorted(sorted) => {
                line.items[at].sorted = Some(sorted);
                return self.release(integration);
            }
            Outcome::PutOff { wait, reason, tried } => (Some(wait), reason, tried),
            Outcome::Nobody { reason } => (None, reason, false),
        };
        let Some(item) = line.items.remove(at) else { return };
        let (host, connector) = (self.host.clone(), item.whole.delivery.connector.clone());
        if let Some(wait) = wait {
            let delivery = delivery.to_owned();
            tracing::info!(delivery, connector, "put off: {reason}");
            self.tasks.spawn(async move {
                let until = from_now(wait);
                if let Err(error) = host.store.put_off(delivery.clone(), until, reason, tried).await {
                    tracing::warn!("a delivery could not be put off: {error}");
                    tokio::time::sleep(STORE_FAILED).await;
                }
                Ended::PutOff { delivery }
            });
        } else {
            let absent = self.absent.entry(connector.clone()).or_default();
            absent.push(delivery.to_owned());
            // Whoever was there before has all of them put off.
            if absent.len() == 1 {
                tracing::info!(connector, "its deliveries wait: {reason}");
                self.tasks.spawn(async move {
                    let until = from_now(MISSING);
                    if let Err(error) = host.store.put_off_all(connector.clone(), until, reason).await {
                        tracing::warn!("deliveries could not be put off: {error}");
                        tokio::time::sleep(STORE_FAILED).await;
                    }
                    Ended::AllPutOff { connector }
                });
            }
        }
        self.release(integration);
    }

    /// Has those written that are first in their line and were looked at; all of them are asked for before any of them is waited
    /// for, so that they share a commit.
    fn release(&mut self, integration: &str) {
        let Some(line) = self.lines.get_mut(integration) else { return };
        if line.writes {
            return;
        }
        let first = line.items.iter().map(|item| item.seen).min().unwrap_or(u64::MAX);
        line.told.retain(|_, by| *by >= first);
        let (mut group, mut again) = (Vec::new(), None);
        while let Some(item) = line.items.pop_front() {
            let Some(sorted) = &item.sorted else {
                line.items.push_front(item);
                break;
            };
            // Whose it is was said by one that came before it and was not written yet, or somebody has connected since: it is looked
            // at again, in its place.
            let connects = self.host.events.connects();
            let is_nobodys = sorted.events.iter().any(|new| new.event.connection.is_none());
            if says_later(sorted, &line.told, item.seen) || (is_nobodys && item.connects != connects) {
                again = Some(item.whole.clone()).filter(|_| group.is_empty());
                line.items.push_front(match again {
                    Some(_) => Item { seen: line.written, connects, sorted: None, ..item },
                    None => item,
                });
                break;
            }
            let of = sorted.owners.iter().map(|(thing, _)| (thing.clone(), line.written));
            line.told.extend(of);
            group.extend(item.sorted.map(|sorted| *sorted));
        }
        line.writes = !group.is_empty();
        if line.items.is_empty() && !line.writes {
            self.lines.remove(integration);
        }
        if !group.is_empty() {
            let (host, integration) = (self.host.clone(), integration.to_owned());
            self.tasks.spawn(async move {
                let deliveries = group.iter().map(|sorted| sorted.delivery.clone()).collect();
                write(&host, group).await;
                Ended::Written { integration, deliveries }
            });
        }
        if let Some(whole) = again {
            self.look(whole);
        }
    }
}

async fn write(host: &Host, group: Vec<Sorted>) {
    let asked: Vec<_> =
        group.into_iter().map(|sorted| (sorted.delivery.clone(), host.store.sorted(sorted))).collect();
    let mut failed = false;
    for (delivery, kept) in asked {
        match kept.await {
            Ok(events) => {
                host.events.count_out(1);
                tracing::debug!(delivery, events = events.len(), "sorted");
            }
            // It still waits, and is looked at again.
            Err(error) => {
                tracing::warn!(delivery, "its events could not be kept: {error}");
                failed = true;
            }
        }
    }
    host.events.to_send.notify_one();
    if failed {
        tokio::time::sleep(STORE_FAILED).await;
    }
}

/// Whether an event does not say whose it is, and is about something whose owner was told since it was looked at.
fn says_later(sorted: &Sorted, told: &HashMap<String, u64>, seen: u64) -> bool {
    let thing = |new: &NewEvent| new.route.resource.clone().filter(|_| new.route.owner.is_none());
    let mut things = sorted.events.iter().filter_map(thing);
    things.any(|thing| told.get(&thing).is_some_and(|by| *by >= seen))
}
