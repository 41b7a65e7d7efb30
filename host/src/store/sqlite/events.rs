//! The tables of events: deliveries, what was made of them, who subscribes, and what is sent on.

use std::collections::HashMap;

use connector_protocol::{
    Result,
    message::{DeliveryHead, Identity, Route},
};
use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, Transaction, params, params_from_iter, types::Value};

use super::{
    Sqlite,
    accounts::{Sql, at, column, fits_key, ms, note, now, read_integration, sealed, text},
    feeds,
};
use crate::store::{
    Arrival, Audit, Backlog, Connection, Delivery, DeliveryState, Dispatch, DispatchState, Due, DueFeed,
    Event, Events, Found, Integration, NewEvent, Page, Pending, Registered, Room, Scope, Sent, Sorted,
    Subscription, Taken, WhichDeliveries, WhichDispatches, WhichEvents, Whole, Written,
};

/// What version 3 adds. Times are milliseconds since 1970.
pub(super) const TABLES: &str = "
-- What the connector declares about its webhooks, as it was last accepted.
ALTER TABLE integrations ADD COLUMN declared TEXT;
CREATE TABLE deliveries (
    -- In the order in which they were written, whatever any clock says.
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    project TEXT NOT NULL,
    integration TEXT NOT NULL,
    connector TEXT NOT NULL,
    hook TEXT NOT NULL,
    -- The one that the address is of, if it is one's.
    subscription TEXT NOT NULL DEFAULT '',
    digest BLOB NOT NULL,
    event TEXT,
    received INTEGER NOT NULL,
    state TEXT NOT NULL,
    reason TEXT,
    attempts INTEGER NOT NULL DEFAULT 0,
    repeats INTEGER NOT NULL DEFAULT 0,
    -- Not before then.
    due INTEGER,
    head TEXT NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX deliveries_apart ON deliveries (integration, hook, subscription, digest);
CREATE INDEX deliveries_due ON deliveries (due) WHERE state = 'waiting';
CREATE INDEX deliveries_shelf ON deliveries (received) WHERE state IN ('unrouted', 'failed');
CREATE INDEX deliveries_over ON deliveries (received) WHERE state = 'done';
ALTER TABLE events ADD COLUMN kind TEXT;
ALTER TABLE events ADD COLUMN integration TEXT;
ALTER TABLE events ADD COLUMN connection TEXT;
-- What tells it apart, for one connection.
ALTER TABLE events ADD COLUMN key TEXT;
ALTER TABLE events ADD COLUMN lane TEXT;
ALTER TABLE events ADD COLUMN delivery TEXT;
-- Whom it is for, while nobody is known.
ALTER TABLE events ADD COLUMN route TEXT;
CREATE UNIQUE INDEX events_apart ON events (integration, kind, key, connection) WHERE key IS NOT NULL;
CREATE INDEX events_unrouted ON events (seq) WHERE route IS NOT NULL;
CREATE INDEX events_by_delivery ON events (delivery) WHERE delivery IS NOT NULL;
CREATE TABLE owners (
    integration TEXT NOT NULL,
    resource TEXT NOT NULL,
    person TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (integration, resource)
) STRICT, WITHOUT ROWID;
CREATE TABLE subscriptions (
    id TEXT PRIMARY KEY NOT NULL,
    project TEXT NOT NULL,
    user TEXT,
    kind TEXT NOT NULL,
    paused INTEGER NOT NULL,
    version INTEGER NOT NULL,
    -- Only what is registered for it at the provider is left.
    removed INTEGER NOT NULL DEFAULT 0,
    head TEXT NOT NULL,
    key TEXT,
    sealed TEXT
) STRICT;
CREATE INDEX subscriptions_by_trigger ON subscriptions (project, kind, user);
CREATE TABLE dispatches (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    project TEXT NOT NULL,
    user TEXT,
    event TEXT NOT NULL,
    kind TEXT NOT NULL,
    subscription TEXT NOT NULL,
    -- Those of one lane are sent one after the other.
    lane TEXT NOT NULL,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    since INTEGER NOT NULL,
    due INTEGER,
    fence INTEGER NOT NULL DEFAULT 0,
    lease_until INTEGER,
    status INTEGER,
    reason TEXT,
    ended INTEGER,
    UNIQUE (event, subscription)
) STRICT;
CREATE INDEX dispatches_open ON dispatches (subscription, lane, seq) WHERE state IN ('waiting', 'sending');
CREATE INDEX dispatches_due ON dispatches (due) WHERE state = 'waiting';
CREATE INDEX dispatches_sending ON dispatches (lease_until) WHERE state = 'sending';
CREATE INDEX dispatches_dead ON dispatches (seq) WHERE state = 'dead';
CREATE INDEX dispatches_done ON dispatches (ended) WHERE state = 'done';
";

/// What version 4 has more.
pub(super) const MORE: &str = "
-- When the user has let the app in.
ALTER TABLE connections ADD COLUMN given INTEGER;
-- How long before it is due that was decided.
ALTER TABLE deliveries ADD COLUMN wait INTEGER NOT NULL DEFAULT 0;
ALTER TABLE dispatches ADD COLUMN wait INTEGER NOT NULL DEFAULT 0;
UPDATE deliveries SET wait = max(due - CAST(strftime('%s', 'now') AS INTEGER) * 1000, 0)
    WHERE state = 'waiting' AND due IS NOT NULL;
UPDATE dispatches SET wait = max(due - CAST(strftime('%s', 'now') AS INTEGER) * 1000, 0)
    WHERE state = 'waiting' AND due IS NOT NULL;
DROP INDEX deliveries_due;
CREATE INDEX deliveries_due ON deliveries (due, seq, connector) WHERE state = 'waiting';
-- The machine and the port that it leads to.
ALTER TABLE subscriptions ADD COLUMN origin TEXT;
";

/// Writes down where the subscriptions of version 3 lead.
pub(super) fn fill_origins(transaction: &Transaction<'_>) -> Sql<()> {
    let mut select = transaction.prepare("SELECT id, head FROM subscriptions")?;
    let all = select.query_map([], |row| Ok((row.get(0)?, column::<Subscription>(row, 1)?)))?;
    for one in all {
        let (id, subscription): (String, Subscription) = one?;
        let origin = subscription.destination.origin();
        transaction.execute("UPDATE subscriptions SET origin = ?2 WHERE id = ?1", params![id, origin])?;
    }
    Ok(())
}

/// How long what was taken to be sent can be somebody's at most, whatever any clock says: longer than sending takes.
const LONGEST_LEASE: i64 = 10 * 60 * 1000;

/// How many are forgotten at once, so that others get their turn.
const PIECE: u32 = 500;

const DELIVERY: &str =
    "SELECT id, project, integration, connector, hook, event, received, state, reason, attempts, repeats,
    length(body), head, subscription";

fn read_delivery(row: &Row<'_>) -> Sql<Delivery> {
    let state: String = row.get(7)?;
    let count = |at: usize| row.get::<_, i64>(at).map(i64::unsigned_abs);
    Ok(Delivery {
        id: row.get(0)?,
        project: row.get(1)?,
        integration: row.get(2)?,
        connector: row.get(3)?,
        hook: row.get(4)?,
        subscription: Some(row.get::<_, String>(13)?).filter(|id| !id.is_empty()),
        event: row.get(5)?,
        received: at(row.get(6)?).unwrap_or_default(),
        state: DeliveryState::ALL
            .into_iter()
            .find(|known| known.as_str() == state)
            .unwrap_or(DeliveryState::Failed),
        reason: row.get(8)?,
        attempts: u32::try_from(count(9)?).unwrap_or(u32::MAX),
        repeats: count(10)?,
        bytes: count(11)?,
    })
}

fn read_whole(row: &Row<'_>) -> Sql<Whole> {
    let delivery = read_delivery(row)?;
    let head: DeliveryHead = column(row, 12)?;
    Ok(Whole { delivery, head, body: row.get(14)? })
}

fn read_dispatch(row: &Row<'_>) -> Sql<Dispatch> {
    let state: String = row.get(4)?;
    Ok(Dispatch {
        seq: row.get(0)?,
        event: row.get(1)?,
        kind: row.get(2)?,
        subscription: row.get(3)?,
        state: DispatchState::ALL
            .into_iter()
            .find(|known| known.as_str() == state)
            .unwrap_or(DispatchState::Waiting),
        attempts: row.get::<_, i64>(5).map(|count| u32::try_from(count).unwrap_or(u32::MAX))?,
        due: at(row.get(6)?),
        status: row.get(7)?,
        reason: row.get(8)?,
    })
}

/// Has an event sent to whoever wants it, or to this subscription if it does. What a paused subscription wants is kept for it. Gives
/// how often it is sent that was not to be yet.
fn subscribe(
    transaction: &Transaction<'_>,
    event: &Event,
    connection: Option<&Connection>,
    project: &str,
    lane: &str,
    only: Option<&str>,
) -> Sql<usize> {
    let mut count = 0;
    let mut select = transaction.prepare_cached(
        "SELECT head FROM subscriptions WHERE project = ?1 AND kind = ?2 AND (user IS NULL OR user = ?3) AND removed = 0 ORDER BY id",
    )?;
    let found: Vec<Subscription> = select
        .query_map(params![project, event.kind, event.user], |row| column(row, 0))?
        .collect::<Sql<_>>()?;
    for subscription in found {
        let is_for = connection.is_some_and(|connection| subscription.is_for(connection));
        if !is_for || !subscription.filter.as_ref().is_none_or(|filter| filter.holds(&event.data)) {
            continue;
        }
        if only.is_none_or(|only| only == subscription.id) {
            count += dispatch(transaction, event, &subscription.id, project, lane)?;
        }
    }
    Ok(count)
}

/// Has an event sent for a subscription. Gives how often: once, unless it was to be already.
pub(super) fn dispatch(
    transaction: &Transaction<'_>,
    event: &Event,
    subscription: &str,
    project: &str,
    lane: &str,
) -> Sql<usize> {
    transaction
        .prepare_cached(
            "INSERT INTO dispatches (project, user, event, kind, subscription, lane, state, since, due)
             SELECT ?1, ?2, ?3, ?4, ?5, ?6, 'waiting', ?7, CASE WHEN s.paused THEN NULL ELSE ?7 END
                FROM subscriptions s WHERE s.id = ?5 ON CONFLICT DO NOTHING",
        )?
        .execute(params![project, event.user, event.id, event.kind, subscription, lane, now()])
}

/// Those of which no more may be under way.
fn full(of: &HashMap<String, usize>, most: usize) -> Vec<&String> {
    of.iter().filter(|(_, of)| **of >= most).map(|(name, _)| name).collect()
}

/// Adds an event of Jackfield's own.
pub(super) fn add_own(transaction: &Transaction<'_>, connection: &Connection, event: &Event) -> Sql<()> {
    transaction
        .prepare_cached(
            "INSERT INTO events (id, project, user, head, kind, connection) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            event.id,
            connection.project,
            event.user,
            text(event)?,
            event.kind,
            event.connection
        ])?;
    subscribe(transaction, event, Some(connection), &connection.project, &connection.id, None).map(drop)
}

/// Adds an event that a connector has made. False if it is there already.
fn add(transaction: &Transaction<'_>, sorted: &Sorted, new: &NewEvent) -> Sql<bool> {
    let event = &new.event;
    if let Some(to) = &new.subscription {
        return feeds::bring(transaction, &sorted.integration, to, new);
    }
    let person = event.connection.as_deref().unwrap_or_default();
    if is_erased(transaction, &sorted.project, event)? {
        return Ok(false);
    }
    if !person.is_empty() {
        // Somebody is known for it now.
        transaction
            .prepare_cached(
                "DELETE FROM events WHERE integration = ?1 AND kind = ?2 AND key = ?3 AND route IS NOT NULL",
            )?
            .execute(params![sorted.integration, event.kind, new.key])?;
    }
    let is_known: bool = transaction
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM events WHERE integration = ?1 AND kind = ?2 AND key = ?3 AND (connection = ?4 OR ?4 = ''))",
        )?
        .query_row(params![sorted.integration, event.kind, new.key, person], |row| row.get(0))?;
    if is_known {
        return Ok(false);
    }
    insert(transaction, &sorted.project, &sorted.integration, new, Some(&new.key))?;
    if let Some(id) = &event.connection {
        let connection: Option<Connection> = transaction
            .prepare_cached("SELECT head FROM connections WHERE id = ?1")?
            .query_row([id], |row| column(row, 0))
            .optional()?;
        subscribe(transaction, event, connection.as_ref(), &sorted.project, &new.lane, None)?;
    }
    Ok(true)
}

/// Whether the user whose event it would be was erased since it was seen whose it is.
fn is_erased(transaction: &Transaction<'_>, project: &str, event: &Event) -> Sql<bool> {
    let (Some(connection), Some(user)) = (&event.connection, &event.user) else { return Ok(false) };
    transaction
        .prepare_cached(
            "SELECT NOT EXISTS (SELECT 1 FROM connections WHERE id = ?1)
                AND NOT EXISTS (SELECT 1 FROM users WHERE project = ?2 AND id = ?3)",
        )?
        .query_row(params![connection, project, user], |row| row.get(0))
}

/// Writes an event down, with what tells it apart from others of its connection, if nothing else does.
pub(super) fn insert(
    transaction: &Transaction<'_>,
    project: &str,
    integration: &str,
    new: &NewEvent,
    key: Option<&str>,
) -> Sql<()> {
    let event = &new.event;
    let route = if event.connection.is_none() { Some(text(&new.route)?) } else { None };
    transaction
        .prepare_cached(
            "INSERT INTO events (id, project, user, head, kind, integration, connection, key, lane, delivery, route)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?
        .execute(params![
            event.id,
            project,
            event.user,
            text(event)?,
            event.kind,
            integration,
            event.connection.as_deref().unwrap_or_default(),
            key,
            new.lane,
            event.delivery,
            route,
        ])
        .map(drop)
}

/// Conditions of a list, of what is wanted of it.
struct Conditions {
    text: Vec<String>,
    values: Vec<Value>,
}

impl Conditions {
    fn of(scope: &Scope) -> Self {
        let mut conditions = Self { text: Vec::new(), values: Vec::new() };
        conditions.equals("project", Some(scope.project.clone()));
        conditions.equals("user", scope.user.clone());
        conditions
    }

    fn equals(&mut self, column: &str, value: Option<String>) {
        self.add(&format!("{column} ="), value);
    }

    fn add(&mut self, before: &str, value: Option<String>) {
        if let Some(value) = value {
            self.values.push(Value::Text(value));
            self.text.push(format!("{before} ?{}", self.values.len()));
        }
    }

    /// After the row of this id, in the order of a list.
    fn after(&mut self, table: &str, id: Option<String>, newest: bool) {
        let Some(id) = id else { return };
        self.values.push(Value::Text(id));
        let at = self.values.len();
        self.text.push(match newest {
            true => format!(
                "seq < coalesce((SELECT seq FROM {table} WHERE id = ?{at}), (SELECT min(seq) FROM {table} WHERE id > ?{at}), 0)"
            ),
            // Where the last one that was seen is not there any more, since its user was erased, it goes on all the same: ids sort by
            // time as well.
            false => format!(
                "seq > coalesce((SELECT seq FROM {table} WHERE id = ?{at}), (SELECT max(seq) FROM {table} WHERE id < ?{at}), 0)"
            ),
        });
    }

    fn all(&self) -> String {
        self.text.join(" AND ")
    }
}

impl Events for Sqlite {
    fn accept(&self, arrival: Arrival) -> Pending<Taken> {
        self.change(move |transaction| {
            let waits = arrival.unreadable.is_none();
            let state = if waits { DeliveryState::Waiting } else { DeliveryState::Unrouted };
            let received = arrival.head.received_at.as_millisecond();
            let repeats: i64 = transaction
                .prepare_cached(
                    "INSERT INTO deliveries (id, project, integration, connector, hook, digest, event, received, state, reason, due, head, body, subscription)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, coalesce(?14, ''))
                     ON CONFLICT (integration, hook, subscription, digest) DO UPDATE SET repeats = repeats + 1 RETURNING repeats",
                )?
                .query_row(
                    params![
                        arrival.id,
                        arrival.project,
                        arrival.integration,
                        arrival.connector,
                        arrival.hook,
                        arrival.digest,
                        arrival.head.event,
                        received,
                        state.as_str(),
                        arrival.unreadable,
                        waits.then_some(received),
                        text(&arrival.head)?,
                        arrival.body,
                        arrival.subscription,
                    ],
                    |row| row.get(0),
                )?;
            Ok(if repeats == 0 { Taken::New } else { Taken::Again })
        })
    }

    fn due_deliveries(
        &self,
        most: u32,
        busy: Vec<String>,
        taken: Vec<String>,
    ) -> Pending<(Vec<Whole>, Option<Timestamp>)> {
        self.read(move |transaction| {
            let now = now();
            let query = format!(
                "{DELIVERY}, body FROM deliveries WHERE state = 'waiting' AND due <= ?1
                    AND connector NOT IN (SELECT value FROM json_each(?3))
                    AND integration NOT IN (SELECT value FROM json_each(?3))
                    AND id NOT IN (SELECT value FROM json_each(?4)) ORDER BY due, seq LIMIT ?2"
            );
            let mut select = transaction.prepare_cached(&query)?;
            let (busy, taken) = (text(&busy)?, text(&taken)?);
            let due: Vec<Whole> =
                select.query_map(params![now, most, busy, taken], read_whole)?.collect::<Sql<_>>()?;
            if !due.is_empty() {
                return Ok((due, None));
            }
            let next = transaction.query_row(
                "SELECT min(due) FROM deliveries WHERE state = 'waiting' AND due > ?1",
                [now],
                |row| row.get(0),
            )?;
            Ok((due, at(next)))
        })
    }

    fn sorted(&self, sorted: Sorted) -> Pending<Vec<String>> {
        self.change(move |transaction| {
            let written = transaction
                .prepare_cached(
                    "UPDATE deliveries SET state = ?2, reason = ?3, due = NULL WHERE id = ?1 AND state = 'waiting'",
                )?
                .execute(params![sorted.delivery, sorted.state.as_str(), sorted.reason])?;
            if written == 0 {
                return Ok(Vec::new());
            }
            for (resource, person) in &sorted.owners {
                transaction
                    .prepare_cached(
                        "INSERT INTO owners (integration, resource, person, at) VALUES (?1, ?2, ?3, ?4)
                         ON CONFLICT (integration, resource) DO UPDATE SET person = ?3, at = ?4",
                    )?
                    .execute(params![sorted.integration, resource, person, now()])?;
            }
            let mut added = Vec::new();
            for new in &sorted.events {
                if add(transaction, &sorted, new)? {
                    added.push(new.event.id.clone());
                }
            }
            Ok(added)
        })
    }

    fn put_off(&self, delivery: String, until: Timestamp, reason: String, tried: bool) -> Pending<()> {
        self.change(move |transaction| {
            transaction
                .execute(
                    "UPDATE deliveries SET due = ?2, wait = max(?2 - ?5, 0), reason = ?3, attempts = attempts + ?4
                     WHERE id = ?1 AND state = 'waiting'",
                    params![delivery, until.as_millisecond(), reason, i64::from(tried), now()],
                )
                .map(drop)
        })
    }

    fn put_off_all(&self, connector: String, until: Timestamp, reason: String) -> Pending<()> {
        self.change(move |transaction| {
            transaction
                .execute(
                    "UPDATE deliveries SET due = ?2, wait = max(?2 - ?4, 0), reason = ?3
                     WHERE state = 'waiting' AND due <= ?4 AND connector = ?1",
                    params![connector, until.as_millisecond(), reason, now()],
                )
                .map(drop)
        })
    }

    fn deliveries(&self, project: String, which: WhichDeliveries, page: Page) -> Pending<Vec<Delivery>> {
        self.read(move |transaction| {
            let mut conditions = Conditions::of(&Scope::project(project));
            conditions.equals("connector", which.connector);
            conditions.equals("state", which.state.map(|state| state.as_str().to_owned()));
            conditions.after("deliveries", page.after, true);
            let query = format!(
                "{DELIVERY} FROM deliveries WHERE {} ORDER BY seq DESC LIMIT {}",
                conditions.all(),
                page.most
            );
            let mut select = transaction.prepare_cached(&query)?;
            select.query_map(params_from_iter(conditions.values), read_delivery)?.collect()
        })
    }

    fn delivery(&self, project: String, id: String) -> Pending<Option<Whole>> {
        self.read(move |transaction| {
            let query = format!("{DELIVERY}, body FROM deliveries WHERE project = ?1 AND id = ?2");
            transaction.prepare_cached(&query)?.query_row(params![project, id], read_whole).optional()
        })
    }

    fn sort_again(
        &self,
        project: String,
        id: Option<String>,
        state: Option<DeliveryState>,
        audit: Audit,
    ) -> Pending<u64> {
        self.change(move |transaction| {
            let again = transaction.execute(
                "UPDATE deliveries SET state = 'waiting', due = ?4, wait = 0, attempts = 0
                 WHERE project = ?1 AND (?2 IS NULL OR id = ?2) AND (?3 IS NULL OR state = ?3) AND state <> 'waiting'",
                params![project, id, state.map(DeliveryState::as_str), now()],
            )?;
            note(transaction, &audit)?;
            Ok(again as u64)
        })
    }

    fn bearers(
        &self,
        integration: &str,
        person: Option<&str>,
        account: Option<&str>,
    ) -> Result<Vec<Connection>> {
        self.look(|connection| {
            let mut select = connection.prepare_cached(
                "SELECT head FROM connections WHERE integration = ?1 AND state <> 'revoked'
                    AND ((?2 IS NOT NULL AND person = ?2) OR (?2 IS NULL AND person IS NULL AND account = ?3)) ORDER BY id",
            )?;
            select.query_map(params![integration, person, account], |row| column(row, 0))?.collect()
        })
    }

    fn owner(&self, integration: &str, resource: &str) -> Result<Option<String>> {
        self.look(|connection| {
            connection
                .prepare_cached("SELECT person FROM owners WHERE integration = ?1 AND resource = ?2")?
                .query_row([integration, resource], |row| row.get(0))
                .optional()
        })
    }

    fn happened(&self, scope: Scope, which: WhichEvents, page: Page) -> Pending<Vec<Event>> {
        self.read(move |transaction| {
            let mut conditions = Conditions::of(&scope);
            conditions.equals("kind", which.kind);
            conditions.equals("connection", which.connection);
            match which.unrouted {
                Some(true) => conditions.text.push("route IS NOT NULL".to_owned()),
                // Nobody is told of what may be somebody else's.
                Some(false) => conditions.text.push("route IS NULL".to_owned()),
                None => {}
            }
            conditions.after("events", page.after, which.newest);
            let order = if which.newest { "DESC" } else { "ASC" };
            let query = format!(
                "SELECT head FROM events WHERE {} ORDER BY seq {order} LIMIT {}",
                conditions.all(),
                page.most
            );
            let mut select = transaction.prepare_cached(&query)?;
            select.query_map(params_from_iter(conditions.values), |row| column(row, 0))?.collect()
        })
    }

    fn event(&self, scope: Scope, id: String) -> Pending<Option<Event>> {
        self.read(move |transaction| {
            let mut conditions = Conditions::of(&scope);
            conditions.equals("id", Some(id));
            let query = format!("SELECT head FROM events WHERE {}", conditions.all());
            transaction
                .prepare_cached(&query)?
                .query_row(params_from_iter(conditions.values), |row| column(row, 0))
                .optional()
        })
    }

    fn route_event(
        &self,
        project: String,
        id: String,
        to: Connection,
        tell: bool,
        audit: Audit,
    ) -> Pending<bool> {
        self.change(move |transaction| {
            let found: Option<(Event, String)> = transaction
                .query_row(
                    "SELECT head, lane FROM events WHERE project = ?1 AND id = ?2 AND route IS NOT NULL",
                    params![project, id],
                    |row| Ok((column(row, 0)?, row.get(1)?)),
                )
                .optional()?;
            let Some((mut event, lane)) = found else { return Ok(false) };
            event.connection = Some(to.id.clone());
            event.user = Some(to.user.clone());
            event.unrouted = None;
            transaction.execute(
                // At the end of what has happened: whoever reads on has passed its old place.
                "UPDATE events SET connection = ?2, user = ?3, head = ?4, route = NULL, seq = (SELECT max(seq) + 1 FROM events)
                 WHERE id = ?1",
                params![id, to.id, to.user, text(&event)?],
            )?;
            // Why nobody was known for its delivery is over with the last of its events that was so.
            transaction.execute(
                "UPDATE deliveries SET reason = NULL WHERE id = ?1 AND state = 'done'
                    AND NOT EXISTS (SELECT 1 FROM events WHERE delivery = ?1 AND route IS NOT NULL)",
                [&event.delivery],
            )?;
            if tell {
                subscribe(transaction, &event, Some(&to), &project, &lane, None)?;
            }
            note(transaction, &audit)?;
            Ok(true)
        })
    }

    fn strays(&self, of: Connection, since: Timestamp, most: u32) -> Pending<Vec<(Event, Route)>> {
        self.read(move |transaction| {
            let Some(identity) = of.identity else { return Ok(Vec::new()) };
            let mut select = transaction.prepare_cached(
                "SELECT head, route FROM events WHERE route IS NOT NULL AND project = ?1 AND integration = ?2
                    AND (?3 IN (route ->> 'owner', route ->> 'actor') OR ?4 = route ->> 'account'
                        OR EXISTS (SELECT 1 FROM owners o WHERE o.integration = ?2 AND o.resource = route ->> 'resource'
                            AND o.person = ?3))
                 ORDER BY seq DESC",
            )?;
            let found = select.query_map(
                params![of.project, of.integration, identity.user, identity.account],
                |row| Ok((column::<Event>(row, 0)?, column(row, 1)?)),
            )?;
            let is_kept = |found: &Sql<(Event, Route)>| found.as_ref().map_or(true, |(event, _)| event.at >= since);
            let mut strays: Vec<_> = found.filter(is_kept).take(most as usize).collect::<Sql<_>>()?;
            strays.reverse();
            Ok(strays)
        })
    }

    fn put_subscription(&self, subscription: Subscription, audit: Audit) -> Pending<Written> {
        self.change(move |transaction| {
            if !fits_key(transaction, subscription.sealed.as_ref())? {
                return Ok(Written::OldKey);
            }
            let key = subscription.sealed.as_ref().map(|envelope| envelope.key.clone());
            let secrets = subscription.sealed.as_ref().map(text).transpose()?;
            let row = params![
                subscription.id,
                subscription.version,
                subscription.project,
                subscription.user,
                subscription.trigger,
                subscription.paused,
                text(&subscription)?,
                key,
                secrets,
                subscription.destination.origin()
            ];
            let written = if subscription.version == 0 {
                transaction.execute(
                    "INSERT INTO subscriptions (id, version, project, user, kind, paused, head, key, sealed, origin)
                     VALUES (?1, ?2 + 1, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT DO NOTHING",
                    row,
                )?
            } else {
                transaction.execute(
                    "UPDATE subscriptions SET version = version + 1, user = ?4, paused = ?6, head = ?7, key = ?8, sealed = ?9,
                        origin = ?10
                     WHERE id = ?1 AND version = ?2 AND project = ?3 AND kind = ?5 AND removed = 0",
                    row,
                )?
            };
            if written == 0 {
                return Ok(Written::Stale);
            }
            if subscription.version == 0 {
                feeds::add(transaction, &subscription)?;
            }
            // What is kept during a pause is nothing that anybody has to look through for what is due.
            let park = if subscription.paused {
                "UPDATE dispatches INDEXED BY dispatches_open SET due = NULL
                 WHERE state IN ('waiting', 'sending') AND state = 'waiting' AND subscription = ?1 AND ?2 > 0"
            } else {
                "UPDATE dispatches INDEXED BY dispatches_open SET due = ?2, wait = 0
                 WHERE state IN ('waiting', 'sending') AND state = 'waiting' AND subscription = ?1 AND due IS NULL"
            };
            transaction.prepare_cached(park)?.execute(params![subscription.id, now()])?;
            note(transaction, &audit)?;
            Ok(Written::Yes)
        })
    }

    fn remove_subscription(&self, project: String, id: String, audit: Audit) -> Pending<bool> {
        self.change(move |transaction| {
            let removed = feeds::remove(transaction, &project, &id)?;
            if removed {
                note(transaction, &audit)?;
            }
            Ok(removed)
        })
    }

    fn subscriptions(&self, scope: Scope, page: Page) -> Pending<Vec<Subscription>> {
        self.read(move |transaction| {
            let mut conditions = Conditions::of(&scope);
            conditions.add("id >", page.after);
            let query = format!(
                "SELECT {} FROM (SELECT * FROM subscriptions WHERE removed = 0 AND {} ORDER BY id LIMIT {}) s {} ORDER BY s.id",
                feeds::SHOWN,
                conditions.all(),
                page.most,
                feeds::JOINED
            );
            let mut select = transaction.prepare_cached(&query)?;
            select.query_map(params_from_iter(conditions.values), feeds::read_shown)?.collect()
        })
    }

    fn subscription(&self, scope: Scope, id: String) -> Pending<Option<Subscription>> {
        self.read(move |transaction| {
            let mut conditions = Conditions::of(&scope);
            conditions.equals("id", Some(id));
            let query = format!(
                "SELECT {} FROM (SELECT * FROM subscriptions WHERE removed = 0 AND {}) s {}",
                feeds::SHOWN,
                conditions.all(),
                feeds::JOINED
            );
            transaction
                .prepare_cached(&query)?
                .query_row(params_from_iter(conditions.values), feeds::read_shown)
                .optional()
        })
    }

    fn due_dispatches(&self, mut room: Room, ms: i64) -> Pending<(Vec<Due>, Option<Timestamp>)> {
        self.change(move |transaction| {
            let now = now();
            let busy = text(&full(&room.subscriptions, room.of_subscription))?;
            let crowded = text(&full(&room.origins, room.of_origin))?;
            // Of each lane the first that is not over, and nothing of a subscription that is paused or for which there is no room.
            let mut select = transaction.prepare_cached(
                "SELECT d.seq, d.fence, d.attempts, d.since, e.head, s.head, s.version, s.sealed
                 FROM dispatches d JOIN subscriptions s ON s.id = d.subscription JOIN events e ON e.id = d.event
                 WHERE d.state = 'waiting' AND d.due <= ?1 AND s.paused = 0
                    AND d.subscription NOT IN (SELECT value FROM json_each(?2))
                    AND s.origin NOT IN (SELECT value FROM json_each(?4))
                    AND NOT EXISTS (SELECT 1 FROM dispatches before WHERE before.subscription = d.subscription
                        AND before.lane = d.lane AND before.seq < d.seq AND before.state IN ('waiting', 'sending'))
                 ORDER BY d.due, d.seq LIMIT ?3",
            )?;
            let due = select.query_map(params![now, busy, room.most, crowded], |row| {
                let mut subscription: Subscription = column(row, 5)?;
                subscription.version = row.get(6)?;
                subscription.sealed = sealed(row, 7)?;
                Ok(Due {
                    seq: row.get(0)?,
                    fence: row.get::<_, i64>(1)? + 1,
                    attempts: row.get::<_, i64>(2).map(|count| u32::try_from(count).unwrap_or(u32::MAX))?,
                    // How long it is tried counts from the first try, whatever it has waited for before.
                    since: at(if row.get::<_, i64>(2)? == 0 { Some(now) } else { row.get(3)? }).unwrap_or_default(),
                    event: column(row, 4)?,
                    subscription,
                })
            })?;
            // What there is no room for is left to those who come when there is.
            let may = |due: &Sql<Due>| due.as_ref().map_or(true, |due| room.take(&due.subscription));
            let due: Vec<Due> = due.filter(may).collect::<Sql<_>>()?;
            for due in &due {
                transaction
                    .prepare_cached(
                        "UPDATE dispatches SET state = 'sending', fence = ?2, lease_until = ?3, since = ?4 WHERE seq = ?1",
                    )?
                    .execute(params![due.seq, due.fence, now + ms, due.since.as_millisecond()])?;
            }
            let next = if due.is_empty() {
                transaction
                    .query_row(
                        "SELECT min(d.due) FROM dispatches d JOIN subscriptions s ON s.id = d.subscription
                         WHERE d.state = 'waiting' AND s.paused = 0 AND d.due > ?1",
                        [now],
                        |row| row.get(0),
                    )
                    .map(at)?
            } else {
                None
            };
            Ok((due, next))
        })
    }

    fn sent(&self, seq: i64, fence: i64, sent: Sent) -> Pending<bool> {
        self.change(move |transaction| {
            let now = now();
            let over = matches!(sent.state, DispatchState::Done | DispatchState::Dead);
            let written = transaction
                .prepare_cached(
                    "UPDATE dispatches SET state = ?3, due = ?4, wait = max(coalesce(?4, 0) - ?9, 0), status = ?5, reason = ?6,
                        attempts = attempts + ?7, ended = ?8, lease_until = NULL WHERE seq = ?1 AND fence = ?2 AND state = 'sending'",
                )?
                .execute(params![
                    seq,
                    fence,
                    sent.state.as_str(),
                    ms(sent.due),
                    sent.status,
                    sent.reason,
                    i64::from(sent.tried),
                    over.then_some(now),
                    now,
                ])?;
            if let Some(due) = sent.due.filter(|_| written > 0) {
                // What comes after it in its lane waits as long.
                transaction
                    .prepare_cached(
                        "UPDATE dispatches INDEXED BY dispatches_open SET due = ?2, wait = max(?2 - ?3, 0)
                         WHERE state IN ('waiting', 'sending') AND state = 'waiting' AND due < ?2
                            AND subscription = (SELECT subscription FROM dispatches WHERE seq = ?1)
                            AND lane = (SELECT lane FROM dispatches WHERE seq = ?1)",
                    )?
                    .execute(params![seq, due.as_millisecond(), now])?;
            }
            if let Some(hold) = sent.hold {
                transaction
                    .prepare_cached(
                        "UPDATE dispatches INDEXED BY dispatches_open SET due = ?2, wait = max(?2 - ?3, 0)
                         WHERE state IN ('waiting', 'sending') AND state = 'waiting' AND due < ?2 AND subscription = (SELECT subscription FROM dispatches WHERE seq = ?1)",
                    )?
                    .execute(params![seq, hold.as_millisecond(), now])?;
            }
            Ok(written > 0)
        })
    }

    fn dispatches(&self, scope: Scope, which: WhichDispatches, page: Page) -> Pending<Vec<Dispatch>> {
        self.read(move |transaction| {
            let mut conditions = wanted(&scope, which);
            if let Some(after) = page.after.and_then(|after| after.parse::<i64>().ok()) {
                conditions.values.push(Value::Integer(after));
                conditions.text.push(format!("seq < ?{}", conditions.values.len()));
            }
            let query = format!(
                "SELECT seq, event, kind, subscription, state, attempts, due, status, reason FROM dispatches WHERE {}
                 ORDER BY seq DESC LIMIT {}",
                conditions.all(),
                page.most
            );
            let mut select = transaction.prepare_cached(&query)?;
            select.query_map(params_from_iter(conditions.values), read_dispatch)?.collect()
        })
    }

    fn send_again(&self, scope: Scope, which: WhichDispatches, audit: Audit) -> Pending<u64> {
        self.change(move |transaction| {
            let also = match (&which.event, which.state) {
                (Some(event), None) => catch_up(transaction, &scope, event, which.subscription.as_deref())?,
                _ => 0,
            };
            let mut conditions = wanted(&scope, which);
            conditions.values.push(Value::Integer(now()));
            let query = format!(
                "UPDATE dispatches SET state = 'waiting', due = ?{at}, wait = 0, since = ?{at}, attempts = 0, ended = NULL
                 WHERE state IN ('done', 'dead') AND {}",
                conditions.all(),
                at = conditions.values.len(),
            );
            let again = transaction.execute(&query, params_from_iter(conditions.values))?;
            note(transaction, &audit)?;
            Ok((again + also) as u64)
        })
    }

    fn subscribed(&self, id: &str) -> Result<Option<Subscription>> {
        self.look(|connection| feeds::subscription(connection, id))
    }

    fn due_feeds(&self, most: u32, busy: Vec<String>, ms: i64) -> Pending<(Vec<DueFeed>, Option<Timestamp>)> {
        self.change(move |transaction| feeds::due(transaction, most, &busy, ms))
    }

    fn found(&self, found: Found) -> Pending<Option<Vec<String>>> {
        self.change(move |transaction| feeds::found(transaction, &found))
    }

    fn registered(&self, registered: Registered) -> Pending<Written> {
        self.change(move |transaction| feeds::registered(transaction, &registered))
    }

    fn unregistered(&self, subscription: String, fence: i64, wait: i64) -> Pending<bool> {
        self.change(move |transaction| feeds::unregistered(transaction, &subscription, fence, wait))
    }

    fn take_webhooks(&self, connection: String, ms: i64) -> Pending<Vec<DueFeed>> {
        self.change(move |transaction| feeds::of(transaction, &connection, ms))
    }

    fn feed_failed(
        &self,
        subscription: String,
        fence: i64,
        wait: i64,
        reason: String,
        tried: bool,
    ) -> Pending<bool> {
        self.change(move |transaction| feeds::failed(transaction, &subscription, fence, wait, &reason, tried))
    }

    fn take_up_feeds(&self, all: bool, base: Option<String>) -> Pending<()> {
        self.change(move |transaction| feeds::take_up(transaction, all, base.as_deref()))
    }

    fn backlog(&self) -> Pending<Backlog> {
        self.read(|transaction| {
            let count = |query: &str| {
                transaction.query_row(query, [], |row| row.get::<_, i64>(0)).map(i64::unsigned_abs)
            };
            Ok(Backlog {
                deliveries: count("SELECT count(*) FROM deliveries WHERE state = 'waiting'")?,
                dispatches: count("SELECT count(*) FROM dispatches WHERE state IN ('waiting', 'sending')")?,
                dead: count("SELECT count(*) FROM dispatches WHERE state = 'dead'")?,
                unrouted: count(
                    "SELECT (SELECT count(*) FROM deliveries WHERE state = 'unrouted')
                        + (SELECT count(*) FROM events WHERE route IS NOT NULL)",
                )?,
            })
        })
    }

    fn take_up(&self, all: bool) -> Pending<()> {
        self.change(move |transaction| {
            let now = now();
            transaction.execute(
                "UPDATE dispatches SET state = 'waiting', due = ?1, wait = 0, lease_until = NULL
                 WHERE state = 'sending' AND (?2 OR lease_until < ?1 OR lease_until - ?3 > ?1)",
                params![now, all, LONGEST_LEASE],
            )?;
            for table in ["dispatches", "deliveries"] {
                let set_back =
                    format!("UPDATE {table} SET due = ?1, wait = 0 WHERE state = 'waiting' AND due > ?1 AND due - wait > ?1");
                transaction.execute(&set_back, [now])?;
            }
            Ok(())
        })
    }

    fn hook(&self, integration: &str) -> Result<Option<(Integration, Option<String>)>> {
        self.look(|connection| {
            connection
                .prepare_cached("SELECT head, version, sealed, declared FROM integrations WHERE id = ?1")?
                .query_row([integration], |row| Ok((read_integration(row)?, row.get(3)?)))
                .optional()
        })
    }

    fn hooks(&self) -> Result<Vec<String>> {
        self.look(|connection| {
            let mut select = connection.prepare_cached("SELECT id FROM integrations ORDER BY id")?;
            select.query_map([], |row| row.get(0))?.collect()
        })
    }

    fn declare(&self, integration: String, declared: String) -> Pending<()> {
        self.change(move |transaction| {
            transaction
                .execute(
                    "UPDATE integrations SET declared = ?2 WHERE id = ?1 AND declared IS NOT ?2",
                    params![integration, declared],
                )
                .map(drop)
        })
    }

    fn forget_events(&self, before: Timestamp) -> Pending<bool> {
        self.change(move |transaction| forget(transaction, before))
    }
}

/// Has an event sent to those who subscribe to it and were never sent it. What came by a subscription's own feed is for no other.
fn catch_up(transaction: &Transaction<'_>, scope: &Scope, id: &str, only: Option<&str>) -> Sql<usize> {
    let found: Option<(Event, Option<String>, Option<Connection>)> = transaction
        .prepare_cached(
            "SELECT e.head, e.lane, c.head FROM events e JOIN connections c ON c.id = e.connection
             WHERE e.id = ?1 AND e.project = ?2 AND (?3 IS NULL OR e.user = ?3) AND e.route IS NULL
                AND (e.key IS NOT NULL OR e.integration IS NULL)",
        )?
        .query_row(params![id, scope.project, scope.user], |row| {
            Ok((column(row, 0)?, row.get(1)?, Some(column(row, 2)?)))
        })
        .optional()?;
    let Some((event, lane, connection)) = found else { return Ok(0) };
    let lane = lane.or_else(|| event.connection.clone()).unwrap_or_default();
    subscribe(transaction, &event, connection.as_ref(), &scope.project, &lane, only)
}

fn wanted(scope: &Scope, which: WhichDispatches) -> Conditions {
    let mut conditions = Conditions::of(scope);
    conditions.equals("subscription", which.subscription);
    conditions.equals("event", which.event);
    conditions.equals("kind", which.kind);
    conditions.equals("state", which.state.map(|state| state.as_str().to_owned()));
    conditions
}

/// For how long what lies on a shelf, whose things are, and what a poll has seen is kept beyond what is over, in milliseconds: a year.
const SHELF: i64 = 365 * 24 * 60 * 60 * 1000;

/// Forgets a piece of what is over and older than that. False if nothing is left. What is still to be made or sent stays, however
/// old it is, dead letters as well; and what a dispatch is of stays as long as it.
fn forget(transaction: &Transaction<'_>, before: Timestamp) -> Sql<bool> {
    let at = before.as_millisecond();
    // Ids sort by time: a UUID of version 7 begins with it.
    let first = format!("evt_{:012x}", at.max(0));
    for (query, value) in [
        (
            "DELETE FROM dispatches WHERE seq IN (SELECT seq FROM dispatches INDEXED BY dispatches_done
                WHERE state = 'done' AND ended < ?1 LIMIT ?2)",
            Value::Integer(at),
        ),
        (
            "DELETE FROM events WHERE seq IN (SELECT seq FROM events e WHERE id < ?1 AND route IS NULL
                AND NOT EXISTS (SELECT 1 FROM dispatches d WHERE d.event = e.id) LIMIT ?2)",
            Value::Text(first),
        ),
        (
            "DELETE FROM deliveries WHERE seq IN (SELECT seq FROM deliveries d INDEXED BY deliveries_over
                WHERE state = 'done' AND received < ?1
                AND NOT EXISTS (SELECT 1 FROM events e WHERE e.delivery = d.id) LIMIT ?2)",
            Value::Integer(at),
        ),
        (
            "DELETE FROM events WHERE seq IN (SELECT seq FROM events WHERE route IS NOT NULL AND id < ?1 LIMIT ?2)",
            Value::Text(format!("evt_{:012x}", (at - SHELF).max(0))),
        ),
        (
            "DELETE FROM deliveries WHERE seq IN (SELECT seq FROM deliveries INDEXED BY deliveries_shelf
                WHERE state IN ('unrouted', 'failed') AND received < ?1 LIMIT ?2)",
            Value::Integer(at - SHELF),
        ),
        (
            "DELETE FROM seen WHERE (subscription, key) IN (SELECT subscription, key FROM seen WHERE at < ?1 LIMIT ?2)",
            Value::Integer(at - SHELF),
        ),
        (
            "DELETE FROM owners WHERE (integration, resource) IN
                (SELECT integration, resource FROM owners WHERE at < ?1 LIMIT ?2)",
            Value::Integer(at - SHELF),
        ),
    ] {
        let gone = transaction.prepare_cached(query)?.execute(params![value, PIECE])?;
        if gone >= PIECE as usize {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A text that is shorter may stand in a body by chance, as a number of things does: what names somebody by it is known only where the
/// connector has said so.
const TELLING: i64 = 8;

/// Erases what happened to a user, and what lies on the shelf and names one of theirs at a provider: these people of these
/// integrations.
pub(super) fn erase(
    transaction: &Transaction<'_>,
    project: &str,
    user: &str,
    people: &[(String, Identity)],
) -> Sql<()> {
    for query in [
        "DELETE FROM deliveries WHERE id IN (SELECT delivery FROM events WHERE project = ?1 AND user = ?2)
            AND state <> 'waiting' AND NOT EXISTS
            (SELECT 1 FROM events e WHERE e.delivery = deliveries.id AND e.user IS NOT ?2)",
        "DELETE FROM dispatches WHERE project = ?1 AND user = ?2",
        "DELETE FROM dispatches WHERE subscription IN (SELECT id FROM subscriptions WHERE project = ?1 AND user = ?2)",
        "DELETE FROM feeds WHERE subscription IN (SELECT id FROM subscriptions WHERE project = ?1 AND user = ?2)",
        "DELETE FROM seen WHERE subscription IN (SELECT id FROM subscriptions WHERE project = ?1 AND user = ?2)",
        "DELETE FROM subscriptions WHERE project = ?1 AND user = ?2",
        "DELETE FROM events WHERE project = ?1 AND user = ?2",
    ] {
        transaction.execute(query, params![project, user])?;
    }
    for (integration, identity) in people {
        erase_person(transaction, integration, identity)?;
    }
    Ok(())
}

fn erase_person(transaction: &Transaction<'_>, integration: &str, identity: &Identity) -> Sql<()> {
    // Of an account, nothing is theirs alone if they are a person in it.
    let id = identity.user.as_ref().or(identity.account.as_ref());
    let is_elses: bool = transaction.query_row(
        "SELECT EXISTS (SELECT 1 FROM connections WHERE integration = ?1 AND person IS ?2 AND account IS ?3)",
        params![integration, identity.user, identity.account],
        |row| row.get(0),
    )?;
    if is_elses {
        return Ok(());
    }
    let label = Some(&identity.label).filter(|label| label.contains('@'));
    for name in id.into_iter().chain(label) {
        // A body that names them, as one of its values, and of which nobody else has an event.
        let found: Vec<String> = transaction
            .prepare_cached(
                "SELECT d.id FROM deliveries d WHERE d.integration = ?1 AND d.state <> 'waiting'
                    AND (NOT ?3 OR instr(d.body, CAST(?2 AS BLOB)) > 0)
                    AND NOT EXISTS (SELECT 1 FROM events e WHERE e.delivery = d.id AND e.route IS NULL)
                    AND CASE WHEN length(?2) < ?4
                        THEN EXISTS (SELECT 1 FROM events e WHERE e.delivery = d.id
                            AND ?2 IN (e.route ->> '$.owner', e.route ->> '$.actor', e.route ->> '$.account'))
                        WHEN json_valid(CAST(d.body AS TEXT))
                        THEN EXISTS (SELECT 1 FROM json_tree(CAST(d.body AS TEXT))
                            WHERE type IN ('text', 'integer') AND CAST(atom AS TEXT) = ?2)
                        ELSE instr(d.body, CAST(?2 AS BLOB)) > 0 END",
            )?
            .query_map(params![integration, name, is_plain(name), TELLING], |row| row.get(0))?
            .collect::<Sql<_>>()?;
        for delivery in found {
            transaction
                .execute("DELETE FROM events WHERE delivery = ?1 AND route IS NOT NULL", [&delivery])?;
            transaction.execute("DELETE FROM deliveries WHERE id = ?1", [&delivery])?;
        }
        transaction.execute(
            "DELETE FROM owners WHERE integration = ?1 AND person = ?2",
            params![integration, name],
        )?;
    }
    Ok(())
}

/// Whether a text stands in JSON byte for byte, however it was written.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.@=:".contains(&byte))
}
