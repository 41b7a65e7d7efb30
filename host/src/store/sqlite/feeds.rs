//! The tables of feeds, and of what they have brought.

use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, Transaction, params};

use super::{
    accounts::{Sql, at, column, fits_key, now, sealed, text},
    events::{dispatch, insert},
};
use crate::store::{
    ConnectionState, DueFeed, Feed, FeedKind, Found, NewEvent, Registered, Subscription, Written,
};

/// What version 3 adds as well.
pub(super) const TABLES: &str = "
CREATE TABLE feeds (
    subscription TEXT PRIMARY KEY NOT NULL,
    kind TEXT NOT NULL,
    connection TEXT NOT NULL,
    begun INTEGER NOT NULL DEFAULT 0,
    -- What the connector has left for the next time.
    state TEXT,
    address TEXT,
    expires INTEGER,
    last INTEGER,
    -- Not before then, and how long before then that was decided.
    due INTEGER,
    wait INTEGER NOT NULL DEFAULT 0,
    failures INTEGER NOT NULL DEFAULT 0,
    reason TEXT,
    fence INTEGER NOT NULL DEFAULT 0,
    lease_until INTEGER
) STRICT;
CREATE INDEX feeds_due ON feeds (due) WHERE due IS NOT NULL;
-- The events that a subscription's own feed has brought, by what tells them apart.
CREATE TABLE seen (
    subscription TEXT NOT NULL,
    key TEXT NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (subscription, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX seen_by_age ON seen (at);
";

/// How long a feed that was taken can be somebody's at most, whatever any clock says: longer than seeing to one takes.
const LONGEST_LEASE: i64 = 10 * 60 * 1000;

/// How old what is remembered as seen may become before that is written again, in milliseconds.
const SEEN_ANEW: i64 = 60 * 60 * 1000;

/// What is shown of a subscription. Its table has to be called `s`.
pub(super) const SHOWN: &str = "s.head, s.version, s.sealed, f.kind, f.begun, f.last, f.due, f.expires,
    f.failures, f.reason, f.connection, c.state";
pub(super) const JOINED: &str =
    "LEFT JOIN feeds f ON f.subscription = s.id LEFT JOIN connections c ON c.id = f.connection";

/// A subscription with how its feed is, as [`SHOWN`].
pub(super) fn read_shown(row: &Row<'_>) -> Sql<Subscription> {
    let mut subscription: Subscription = column(row, 0)?;
    subscription.version = row.get(1)?;
    subscription.sealed = sealed(row, 2)?;
    let Some(kind) = row.get::<_, Option<String>>(3)? else { return Ok(subscription) };
    let connection: String = row.get(10)?;
    let state: Option<String> = row.get(11)?;
    let usable = [ConnectionState::Valid, ConnectionState::Refreshing].map(ConnectionState::as_str);
    let waits = match state.as_deref() {
        None => Some(format!("the connection {connection} is gone")),
        Some(state) if usable.contains(&state) => None,
        Some(state) => Some(format!("it waits for the connection {connection}, which is {state}")),
    };
    subscription.feed = Some(Feed {
        kind: FeedKind::from_name(&kind),
        begun: row.get(4)?,
        last: at(row.get(5)?),
        due: at(row.get(6)?),
        expires: at(row.get(7)?),
        failures: count(row.get(8)?),
        reason: match waits {
            Some(waits) => Some(waits),
            None => row.get(9)?,
        },
    });
    Ok(subscription)
}

fn count(count: i64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Adds the feed of a subscription that has just been made. It is to be seen to at once.
pub(super) fn add(transaction: &Transaction<'_>, subscription: &Subscription) -> Sql<()> {
    let (Some(feed), Some(connection)) = (&subscription.feed, &subscription.connection) else {
        return Ok(());
    };
    transaction
        .execute(
            "INSERT INTO feeds (subscription, kind, connection, due) VALUES (?1, ?2, ?3, ?4)",
            params![subscription.id, feed.kind.as_str(), connection, now()],
        )
        .map(drop)
}

/// Takes a subscription away. Of one that is registered at the provider it stays known until it is not any more.
pub(super) fn remove(transaction: &Transaction<'_>, project: &str, id: &str) -> Sql<bool> {
    let is_there: bool = transaction.query_row(
        "SELECT EXISTS (SELECT 1 FROM subscriptions WHERE project = ?1 AND id = ?2 AND removed = 0)",
        params![project, id],
        |row| row.get(0),
    )?;
    if !is_there {
        return Ok(false);
    }
    let is_registered = transaction.execute(
        "UPDATE feeds SET due = ?2, wait = 0, failures = 0, reason = NULL
         WHERE subscription = ?1 AND kind = 'webhook' AND (state IS NOT NULL OR lease_until IS NOT NULL)",
        params![id, now()],
    )? > 0;
    if is_registered {
        transaction.execute("UPDATE subscriptions SET removed = 1 WHERE id = ?1", [id])?;
    } else {
        forget(transaction, id)?;
    }
    transaction.execute("DELETE FROM dispatches WHERE subscription = ?1", [id])?;
    Ok(true)
}

fn forget(transaction: &Transaction<'_>, id: &str) -> Sql<()> {
    for query in [
        "DELETE FROM subscriptions WHERE id = ?1",
        "DELETE FROM feeds WHERE subscription = ?1",
        "DELETE FROM seen WHERE subscription = ?1",
    ] {
        transaction.execute(query, [id])?;
    }
    Ok(())
}

/// A feed for whoever takes it.
const TAKEN: &str =
    "SELECT s.head, s.version, s.sealed, f.fence, f.kind, f.begun, f.state, f.address, f.failures, s.removed,
        f.expires
    FROM feeds f JOIN subscriptions s ON s.id = f.subscription";

/// The same, as [`TAKEN`].
fn read_due(row: &Row<'_>) -> Sql<DueFeed> {
    let mut subscription: Subscription = column(row, 0)?;
    subscription.version = row.get(1)?;
    subscription.sealed = sealed(row, 2)?;
    let state: Option<String> = row.get(6)?;
    Ok(DueFeed {
        fence: row.get::<_, i64>(3)? + 1,
        kind: FeedKind::from_name(&row.get::<_, String>(4)?),
        begun: row.get(5)?,
        state: state.map(|state| super::accounts::parsed(&state)).transpose()?,
        address: row.get(7)?,
        failures: count(row.get(8)?),
        removed: row.get(9)?,
        expires: at(row.get(10)?),
        subscription,
    })
}

fn lease(transaction: &Transaction<'_>, taken: &[DueFeed], until: i64) -> Sql<()> {
    for due in taken {
        transaction
            .prepare_cached("UPDATE feeds SET fence = ?2, lease_until = ?3 WHERE subscription = ?1")?
            .execute(params![due.subscription.id, due.fence, until])?;
    }
    Ok(())
}

/// Takes the webhooks that are registered as a connection.
pub(super) fn of(transaction: &Transaction<'_>, connection: &str, ms: i64) -> Sql<Vec<DueFeed>> {
    let now = now();
    let query = format!(
        "{TAKEN} WHERE f.connection = ?1 AND f.kind = 'webhook' AND f.state IS NOT NULL
            AND (f.lease_until IS NULL OR f.lease_until <= ?2) ORDER BY s.id"
    );
    let mut select = transaction.prepare_cached(&query)?;
    let found: Vec<DueFeed> = select.query_map(params![connection, now], read_due)?.collect::<Sql<_>>()?;
    lease(transaction, &found, now + ms)?;
    Ok(found)
}

/// Takes the feeds that are due.
pub(super) fn due(
    transaction: &Transaction<'_>,
    most: u32,
    busy: &[String],
    ms: i64,
) -> Sql<(Vec<DueFeed>, Option<Timestamp>)> {
    let (now, busy) = (now(), text(&busy)?);
    // One whose connection cannot be used waits for it; and of one that is paused nothing is asked.
    const WANTED: &str = "(s.removed = 1 OR (f.kind = 'webhook' OR s.paused = 0) AND EXISTS
            (SELECT 1 FROM connections c WHERE c.id = f.connection AND c.state IN ('valid', 'refreshing')))
        AND (f.lease_until IS NULL OR f.lease_until <= ?1) AND f.subscription NOT IN (SELECT value FROM json_each(?2))";
    let query = format!("{TAKEN} WHERE f.due <= ?1 AND {WANTED} ORDER BY f.due LIMIT ?3");
    let mut select = transaction.prepare_cached(&query)?;
    let due: Vec<DueFeed> = select.query_map(params![now, busy, most], read_due)?.collect::<Sql<_>>()?;
    lease(transaction, &due, now + ms)?;
    if !due.is_empty() {
        return Ok((due, None));
    }
    let query = format!(
        "SELECT min(f.due) FROM feeds f JOIN subscriptions s ON s.id = f.subscription WHERE f.due > ?1 AND {WANTED}"
    );
    let next = transaction.prepare_cached(&query)?.query_row(params![now, busy], |row| row.get(0))?;
    Ok((due, at(next)))
}

/// Mends what a clock has done that was set back, and with `all` what whoever is gone has left; with `base`, webhooks that are
/// registered at another address than those below it are to be seen to.
pub(super) fn take_up(transaction: &Transaction<'_>, all: bool, base: Option<&str>) -> Sql<()> {
    let now = now();
    transaction.execute("UPDATE feeds SET due = ?1, wait = 0 WHERE due - wait > ?1", [now])?;
    transaction.execute(
        "UPDATE feeds SET lease_until = NULL WHERE lease_until IS NOT NULL AND (?2 OR lease_until - ?3 > ?1)",
        params![now, all, LONGEST_LEASE],
    )?;
    if let Some(base) = base {
        transaction.execute(
            "UPDATE feeds SET due = ?1, wait = 0
             WHERE kind = 'webhook' AND address IS NOT NULL AND substr(address, 1, length(?2)) <> ?2",
            params![now, base],
        )?;
    }
    Ok(())
}

/// Keeps what a poll has found, if whoever comes with it is still the one who took it.
pub(super) fn found(transaction: &Transaction<'_>, found: &Found) -> Sql<Option<Vec<String>>> {
    let now = now();
    let written = transaction
        .prepare_cached(
            "UPDATE feeds SET state = ?3, begun = max(begun, ?4), last = ?5, due = ?5 + ?6, wait = ?6, failures = 0,
                reason = NULL, lease_until = NULL
             WHERE subscription = ?1 AND fence = ?2 AND lease_until IS NOT NULL",
        )?
        .execute(params![
            found.subscription,
            found.fence,
            text(&found.state)?,
            found.begun,
            now,
            found.wait
        ])?;
    let subscription = if written > 0 { subscription(transaction, &found.subscription)? } else { None };
    let Some(subscription) = subscription else { return Ok(None) };
    let mut added = Vec::new();
    for new in &found.events {
        if see(transaction, &subscription.id, &new.key)? && !found.seeds {
            keep(transaction, &found.integration, &subscription, new)?;
            added.push(new.event.id.clone());
        }
    }
    Ok(Some(added))
}

/// A subscription that was not taken away.
pub(super) fn subscription(transaction: &rusqlite::Connection, id: &str) -> Sql<Option<Subscription>> {
    let query = format!("SELECT {SHOWN} FROM subscriptions s {JOINED} WHERE s.id = ?1 AND s.removed = 0");
    transaction.prepare_cached(&query)?.query_row([id], read_shown).optional()
}

/// Adds an event that came for one subscription. False if it has come before, or nobody wants it any more.
pub(super) fn bring(transaction: &Transaction<'_>, integration: &str, to: &str, new: &NewEvent) -> Sql<bool> {
    let Some(subscription) = subscription(transaction, to)? else { return Ok(false) };
    if !see(transaction, to, &new.key)? {
        return Ok(false);
    }
    keep(transaction, integration, &subscription, new)?;
    Ok(true)
}

/// Remembers that an event has come. False if it had before.
fn see(transaction: &Transaction<'_>, subscription: &str, key: &str) -> Sql<bool> {
    let now = now();
    let is_new = transaction
        .prepare_cached(
            "INSERT INTO seen (subscription, key, at) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
        )?
        .execute(params![subscription, key, now])?
        > 0;
    if !is_new {
        // What the provider still tells of is not forgotten.
        transaction
            .prepare_cached("UPDATE seen SET at = ?3 WHERE subscription = ?1 AND key = ?2 AND at < ?3 - ?4")?
            .execute(params![subscription, key, now, SEEN_ANEW])?;
    }
    Ok(is_new)
}

fn keep(
    transaction: &Transaction<'_>,
    integration: &str,
    subscription: &Subscription,
    new: &NewEvent,
) -> Sql<()> {
    insert(transaction, &subscription.project, integration, new, None)?;
    if subscription.filter.as_ref().is_none_or(|filter| filter.holds(&new.event.data)) {
        dispatch(transaction, &new.event, &subscription.id, &subscription.project, &new.lane)?;
    }
    Ok(())
}

/// Keeps that a webhook is registered.
pub(super) fn registered(transaction: &Transaction<'_>, registered: &Registered) -> Sql<Written> {
    let Registered { subscription, fence, .. } = registered;
    if let Some((version, envelope)) = &registered.sealed {
        if !fits_key(transaction, Some(envelope))? {
            return Ok(Written::OldKey);
        }
        let written = transaction.execute(
            "UPDATE subscriptions SET version = version + 1, key = ?3, sealed = ?4
             WHERE id = ?1 AND version = ?2
                AND EXISTS (SELECT 1 FROM feeds WHERE subscription = ?1 AND fence = ?5 AND lease_until IS NOT NULL)",
            params![subscription, version, envelope.key, text(envelope)?, fence],
        )?;
        if written == 0 {
            return Ok(Written::Stale);
        }
    }
    let written = transaction.execute(
        "UPDATE feeds SET state = ?3, address = ?4, expires = ?5, begun = 1, last = ?6, due = ?6 + ?7,
            wait = coalesce(?7, 0), failures = 0, reason = NULL, lease_until = NULL
         WHERE subscription = ?1 AND fence = ?2 AND lease_until IS NOT NULL",
        params![
            subscription,
            fence,
            text(&registered.state)?,
            registered.address,
            super::accounts::ms(registered.expires),
            now(),
            registered.wait,
        ],
    )?;
    // Whoever has taken it away meanwhile wants it to end.
    transaction.execute(
        "UPDATE feeds SET due = ?2, wait = 0 WHERE subscription = ?1
            AND EXISTS (SELECT 1 FROM subscriptions s WHERE s.id = ?1 AND s.removed = 1)",
        params![subscription, now()],
    )?;
    Ok(if written > 0 { Written::Yes } else { Written::Stale })
}

/// Keeps that a webhook is registered no more: its subscription goes with it, or it is registered anew.
pub(super) fn unregistered(transaction: &Transaction<'_>, id: &str, fence: i64, wait: i64) -> Sql<bool> {
    let written = transaction.execute(
        "UPDATE feeds SET state = NULL, address = NULL, expires = NULL, begun = 0, due = ?3 + ?4, wait = ?4,
            failures = 0, reason = NULL, lease_until = NULL
         WHERE subscription = ?1 AND fence = ?2 AND lease_until IS NOT NULL",
        params![id, fence, now(), wait],
    )?;
    let removed: Option<bool> = transaction
        .query_row("SELECT removed FROM subscriptions WHERE id = ?1", [id], |row| row.get(0))
        .optional()?;
    if written > 0 && removed == Some(true) {
        forget(transaction, id)?;
    }
    Ok(written > 0)
}

/// Keeps why a feed could not be seen to, and leaves it alone for so many milliseconds.
pub(super) fn failed(
    transaction: &Transaction<'_>,
    id: &str,
    fence: i64,
    wait: i64,
    reason: &str,
    tried: bool,
) -> Sql<bool> {
    let written = transaction.execute(
        "UPDATE feeds SET due = ?3 + ?4, wait = ?4, reason = ?5, failures = failures + ?6, lease_until = NULL
         WHERE subscription = ?1 AND fence = ?2 AND lease_until IS NOT NULL",
        params![id, fence, now(), wait, reason, i64::from(tried)],
    )?;
    Ok(written > 0)
}
