//! The tables of accounts: projects, integrations, users, connections, and what belongs to them.

use std::{collections::BTreeMap, fs, os::unix::fs::OpenOptionsExt, path::PathBuf};

use connector_protocol::{Error, ErrorKind, Result, message::Identity};
use jiff::Timestamp;
use rusqlite::{OptionalExtension, Row, Transaction, params, types::Type};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use super::{Sqlite, events, explain, is_alive, known::Question, open};
use crate::{
    id::Id,
    store::{
        Accounts, ApiToken, Audit, Connection, ConnectionState, Event, Grant, Held, Integration, Lease, Link,
        Once, Page, Pending, Progress, Project, Renewed, Scope, Sealed, SealedPlace, SigningKey, User, Which,
        Written,
    },
    vault::Envelope,
};

/// The tables of version 2.
pub(super) const TABLES: &str = "
CREATE TABLE projects (
    id TEXT PRIMARY KEY NOT NULL,
    head TEXT NOT NULL
) STRICT;
CREATE TABLE signing_keys (
    id TEXT PRIMARY KEY NOT NULL,
    project TEXT NOT NULL,
    head TEXT NOT NULL
) STRICT;
CREATE TABLE integrations (
    id TEXT PRIMARY KEY NOT NULL,
    project TEXT NOT NULL,
    connector TEXT NOT NULL,
    version INTEGER NOT NULL,
    head TEXT NOT NULL,
    -- The master key that its secrets are sealed with.
    key TEXT,
    sealed TEXT,
    UNIQUE (project, connector)
) STRICT;
CREATE TABLE users (
    project TEXT NOT NULL,
    id TEXT NOT NULL,
    created TEXT NOT NULL,
    meta TEXT NOT NULL,
    PRIMARY KEY (project, id)
) STRICT;
CREATE TABLE connections (
    id TEXT PRIMARY KEY NOT NULL,
    project TEXT NOT NULL,
    user TEXT NOT NULL,
    connector TEXT NOT NULL,
    integration TEXT NOT NULL,
    state TEXT NOT NULL,
    -- Who is behind it, at the provider: the organisation and the person.
    account TEXT,
    person TEXT,
    -- The connection whose grant it uses: its own id, unless it shares one.
    holder TEXT NOT NULL,
    head TEXT NOT NULL,
    -- The grant. Times are milliseconds since 1970.
    version INTEGER NOT NULL,
    key TEXT,
    sealed TEXT,
    expires INTEGER,
    refreshed INTEGER,
    sent INTEGER NOT NULL DEFAULT 0,
    retry_at INTEGER,
    -- Who refreshes it, until when, and how many have.
    fence INTEGER NOT NULL DEFAULT 0,
    lease_owner TEXT,
    lease_until INTEGER
) STRICT;
CREATE INDEX connections_by_user ON connections (project, user, connector, id);
CREATE INDEX connections_by_account ON connections (integration, person, account);
CREATE INDEX connections_by_holder ON connections (holder);
CREATE INDEX connections_by_age ON connections (refreshed) WHERE sealed IS NOT NULL;
CREATE TABLE links (
    id TEXT PRIMARY KEY NOT NULL,
    project TEXT NOT NULL,
    user TEXT NOT NULL,
    token BLOB NOT NULL UNIQUE,
    state BLOB UNIQUE,
    progress TEXT NOT NULL,
    expires INTEGER NOT NULL,
    head TEXT NOT NULL,
    key TEXT,
    sealed TEXT
) STRICT;
CREATE TABLE tokens (
    id TEXT PRIMARY KEY NOT NULL,
    digest BLOB NOT NULL UNIQUE,
    project TEXT,
    user TEXT,
    head TEXT NOT NULL
) STRICT;
CREATE TABLE audit (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    project TEXT NOT NULL,
    head TEXT NOT NULL
) STRICT;
CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is only added to'); END;
CREATE TRIGGER audit_is_not_cut BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is only added to'); END;
CREATE TABLE events (
    -- In the order in which they were written, whatever any clock says.
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    project TEXT NOT NULL,
    user TEXT,
    head TEXT NOT NULL
) STRICT;
CREATE INDEX events_by_project ON events (project, seq);
CREATE TABLE answers (
    scope TEXT NOT NULL,
    key TEXT NOT NULL,
    request BLOB NOT NULL,
    at INTEGER NOT NULL,
    owner TEXT NOT NULL,
    status INTEGER,
    body TEXT,
    PRIMARY KEY (scope, key)
) STRICT;
CREATE INDEX answers_by_time ON answers (at);
-- The master key that secrets are to be sealed with.
CREATE TABLE vault (one INTEGER PRIMARY KEY CHECK (one = 1), current TEXT NOT NULL) STRICT;
";

/// How long what was answered to a key is remembered.
const REMEMBERED: i64 = 24 * 60 * 60 * 1000;

/// No refresh is put off for longer, in milliseconds: a time that lies further ahead was set by another clock.
const LONGEST_REST: i64 = 15 * 60 * 1000;

/// How long the lease of a process that lives is respected after its end, in milliseconds: as long as what it has sent may take,
/// and keeping what it brings.
const STANDSTILL: i64 = 120_000;

/// How long a link that is over can still be asked about, in milliseconds.
const LINGERS: i64 = 24 * 60 * 60 * 1000;

pub(super) type Sql<T> = rusqlite::Result<T>;

pub(super) fn now() -> i64 {
    Timestamp::now().as_millisecond()
}

pub(super) fn ms(time: Option<Timestamp>) -> Option<i64> {
    time.map(Timestamp::as_millisecond)
}

pub(super) fn at(ms: Option<i64>) -> Option<Timestamp> {
    ms.and_then(|ms| Timestamp::from_millisecond(ms).ok())
}

pub(super) fn text(value: &impl Serialize) -> Sql<String> {
    serde_json::to_string(value).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

pub(super) fn parsed<T: DeserializeOwned>(text: &str) -> Sql<T> {
    serde_json::from_str(text)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(0, Type::Text, Box::new(error)))
}

pub(super) fn column<T: DeserializeOwned>(row: &Row<'_>, at: usize) -> Sql<T> {
    parsed(row.get_ref(at)?.as_str()?)
}

/// What is sealed in a column. What cannot be read as such is something that nothing opens: it costs its owner, and neither a
/// list that it is in nor a rotation.
pub(super) fn sealed(row: &Row<'_>, at: usize) -> Sql<Option<Envelope>> {
    let nothing = || Envelope { key: String::new(), wrapped: String::new(), fields: BTreeMap::new() };
    let found = row.get_ref(at)?.as_bytes_or_null()?;
    Ok(found.map(|text| serde_json::from_slice(text).unwrap_or_else(|_| nothing())))
}

/// Whether something sealed is sealed by the key that is in force. The first one there is comes into force.
pub(super) fn fits_key(transaction: &Transaction<'_>, envelope: Option<&Envelope>) -> Sql<bool> {
    let Some(envelope) = envelope else { return Ok(true) };
    transaction
        .execute("INSERT INTO vault (one, current) VALUES (1, ?1) ON CONFLICT DO NOTHING", [&envelope.key])?;
    let current: String = transaction.query_row("SELECT current FROM vault", [], |row| row.get(0))?;
    Ok(current == envelope.key)
}

pub(super) fn note(transaction: &Transaction<'_>, audit: &Audit) -> Sql<()> {
    transaction
        .execute("INSERT INTO audit (project, head) VALUES (?1, ?2)", params![audit.project, text(audit)?])
        .map(drop)
}

/// Tells how a connection is, if it was otherwise.
fn tell(transaction: &Transaction<'_>, connection: &Connection, before: Option<ConnectionState>) -> Sql<()> {
    if before == Some(connection.state) {
        return Ok(());
    }
    let event = Event {
        id: Id::event().to_string(),
        kind: "connection.state_changed".to_owned(),
        version: None,
        occurred_at: None,
        at: Timestamp::now(),
        delivery: None,
        incomplete: None,
        unrouted: None,
        connection: Some(connection.id.clone()),
        user: Some(connection.user.clone()),
        data: json!({
            "connector": connection.connector,
            "before": before,
            "state": connection.state,
            "reason": connection.reason,
        }),
    };
    events::add_own(transaction, connection, &event)
}

fn read_connection(row: &Row<'_>) -> Sql<Connection> {
    column(row, 0)
}

/// Changes all connections that use a grant.
fn change(
    transaction: &Transaction<'_>,
    holder: &str,
    change: impl Fn(&mut Connection),
) -> Sql<Vec<Connection>> {
    let mut select = transaction.prepare_cached("SELECT head FROM connections WHERE holder = ?1")?;
    let found: Vec<Connection> = select.query_map([holder], read_connection)?.collect::<Sql<_>>()?;
    for connection in &found {
        let before = connection.state;
        let mut connection = connection.clone();
        change(&mut connection);
        if connection.state != before {
            connection.since = Timestamp::now();
        }
        write_head(transaction, &connection)?;
        tell(transaction, &connection, Some(before))?;
    }
    Ok(found)
}

fn write_head(transaction: &Transaction<'_>, connection: &Connection) -> Sql<()> {
    let identity = connection.identity.as_ref();
    transaction
        .prepare_cached(
            "UPDATE connections SET state = ?2, account = ?3, person = ?4, holder = ?5, head = ?6 WHERE id = ?1",
        )?
        .execute(params![
            connection.id,
            connection.state.as_str(),
            identity.and_then(|identity| identity.account.as_deref()),
            identity.and_then(|identity| identity.user.as_deref()),
            connection.holder,
            text(connection)?,
        ])
        .map(drop)
}

fn read_grant(row: &Row<'_>, from: usize) -> Sql<Grant> {
    Ok(Grant {
        version: row.get(from)?,
        sealed: sealed(row, from + 1)?,
        expires: at(row.get(from + 2)?),
        refreshed: at(row.get(from + 3)?),
        sent: row.get(from + 4)?,
        retry_at: at(row.get::<_, Option<i64>>(from + 5)?.filter(|at| *at <= now() + LONGEST_REST)),
        given: at(row.get(from + 6)?),
    })
}

pub(super) fn read_integration(row: &Row<'_>) -> Sql<Integration> {
    let mut integration: Integration = column(row, 0)?;
    integration.version = row.get(1)?;
    integration.sealed = sealed(row, 2)?;
    Ok(integration)
}

fn read_link(row: &Row<'_>) -> Sql<Link> {
    let mut link: Link = column(row, 0)?;
    link.sealed = sealed(row, 1)?;
    Ok(link)
}

fn read_user(row: &Row<'_>) -> Sql<User> {
    let created: String = row.get(1)?;
    let connections: i64 = row.get(3)?;
    Ok(User {
        id: row.get(0)?,
        created: created.parse().unwrap_or_default(),
        meta: column(row, 2)?,
        connections: connections.unsigned_abs(),
    })
}

const USER: &str = "SELECT id, created, meta, (SELECT count(*) FROM connections c WHERE c.project = u.project AND c.user = u.id) FROM users u";

fn scope_text(scope: &Scope) -> String {
    json!([scope.project, scope.user]).to_string()
}

fn put_user(transaction: &Transaction<'_>, project: &str, id: &str) -> Sql<()> {
    transaction
        .execute(
            "INSERT INTO users (project, id, created, meta) VALUES (?1, ?2, ?3, '{}') ON CONFLICT DO NOTHING",
            params![project, id, Timestamp::now().to_string()],
        )
        .map(drop)
}

impl Accounts for Sqlite {
    fn projects(&self) -> Result<Vec<Project>> {
        let read = |reader: &rusqlite::Connection| {
            let mut select = reader.prepare_cached("SELECT head FROM projects ORDER BY id")?;
            select.query_map([], |row| column(row, 0))?.collect()
        };
        self.look_up(Question::Projects, read, |_| true)
    }

    fn put_project(&self, project: Project, audit: Audit) -> Pending<()> {
        self.change(move |transaction| {
            transaction.execute(
                "INSERT INTO projects (id, head) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET head = ?2",
                params![project.id, text(&project)?],
            )?;
            note(transaction, &audit)
        })
    }

    fn signing_keys(&self, project: Option<&str>) -> Result<Vec<SigningKey>> {
        let read = |reader: &rusqlite::Connection| {
            let mut select = reader.prepare_cached(
                "SELECT head FROM signing_keys WHERE ?1 IS NULL OR project = ?1 ORDER BY project, id",
            )?;
            select.query_map([project], |row| column(row, 0))?.collect()
        };
        self.look_up(Question::SigningKeys(project.map(str::to_owned)), read, |_| true)
    }

    fn add_signing_key(&self, key: SigningKey, audit: Audit) -> Pending<bool> {
        self.change(move |transaction| {
            let added = transaction.execute(
                "INSERT INTO signing_keys (id, project, head) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING",
                params![key.id, key.project, text(&key)?],
            )?;
            note(transaction, &audit)?;
            Ok(added > 0)
        })
    }

    fn remove_signing_key(&self, project: String, id: String, audit: Audit) -> Pending<bool> {
        self.change(move |transaction| {
            let removed = transaction
                .execute("DELETE FROM signing_keys WHERE project = ?1 AND id = ?2", params![project, id])?;
            note(transaction, &audit)?;
            Ok(removed > 0)
        })
    }

    fn integrations(&self, project: String) -> Pending<Vec<Integration>> {
        self.read(move |transaction| {
            let mut select = transaction.prepare_cached(
                "SELECT head, version, sealed FROM integrations WHERE project = ?1 ORDER BY connector",
            )?;
            select.query_map([project], read_integration)?.collect()
        })
    }

    fn integration(&self, project: String, connector: String) -> Pending<Option<Integration>> {
        self.read(move |transaction| {
            transaction
                .prepare_cached(
                    "SELECT head, version, sealed FROM integrations WHERE project = ?1 AND (connector = ?2 OR id = ?2)",
                )?
                .query_row(params![project, connector], read_integration)
                .optional()
        })
    }

    fn put_integration(&self, integration: Integration, audit: Audit) -> Pending<Written> {
        self.change(move |transaction| {
            if !fits_key(transaction, integration.sealed.as_ref())? {
                return Ok(Written::OldKey);
            }
            let key = integration.sealed.as_ref().map(|envelope| envelope.key.clone());
            let secrets = integration.sealed.as_ref().map(text).transpose()?;
            let written = if integration.version == 0 {
                transaction.execute(
                    "INSERT INTO integrations (id, project, connector, version, head, key, sealed)
                     VALUES (?1, ?2, ?3, 1, ?4, ?5, ?6) ON CONFLICT DO NOTHING",
                    params![
                        integration.id,
                        integration.project,
                        integration.connector,
                        text(&integration)?,
                        key,
                        secrets
                    ],
                )?
            } else {
                transaction.execute(
                    "UPDATE integrations SET version = version + 1, head = ?3, key = ?4, sealed = ?5
                     WHERE id = ?1 AND version = ?2",
                    params![integration.id, integration.version, text(&integration)?, key, secrets],
                )?
            };
            if written == 0 {
                return Ok(Written::Stale);
            }
            // What failed because of how it was set up is tried at once when that has changed.
            transaction.execute(
                "UPDATE connections SET retry_at = NULL WHERE integration = ?1 AND retry_at IS NOT NULL",
                [&integration.id],
            )?;
            note(transaction, &audit)?;
            Ok(Written::Yes)
        })
    }

    fn set_integration_fault(&self, id: String, fault: Option<String>) -> Pending<()> {
        self.change(move |transaction| {
            let found = transaction
                .query_row(
                    "SELECT head, version, sealed FROM integrations WHERE id = ?1",
                    [&id],
                    read_integration,
                )
                .optional()?;
            let Some(mut integration) = found.filter(|found| found.fault != fault) else { return Ok(()) };
            integration.fault = fault;
            integration.changed = Timestamp::now();
            transaction
                .execute(
                    "UPDATE integrations SET version = version + 1, head = ?2 WHERE id = ?1",
                    params![id, text(&integration)?],
                )
                .map(drop)
        })
    }

    fn remove_integration(&self, integration: Integration, audit: Audit) -> Pending<bool> {
        self.change(move |transaction| {
            let used: i64 = transaction.query_row(
                "SELECT count(*) FROM connections WHERE integration = ?1",
                [&integration.id],
                |row| row.get(0),
            )?;
            if used > 0 {
                return Ok(false);
            }
            transaction.execute("DELETE FROM integrations WHERE id = ?1", [&integration.id])?;
            transaction.execute("DELETE FROM owners WHERE integration = ?1", [&integration.id])?;
            note(transaction, &audit)?;
            Ok(true)
        })
    }

    fn users(&self, project: String, page: Page) -> Pending<Vec<User>> {
        self.read(move |transaction| {
            let query = format!("{USER} WHERE project = ?1 AND id > ?2 ORDER BY id LIMIT ?3");
            let mut select = transaction.prepare_cached(&query)?;
            let after = page.after.unwrap_or_default();
            select.query_map(params![project, after, page.most], read_user)?.collect()
        })
    }

    fn user(&self, project: String, id: String) -> Pending<Option<User>> {
        self.read(move |transaction| {
            let query = format!("{USER} WHERE project = ?1 AND id = ?2");
            transaction.prepare_cached(&query)?.query_row(params![project, id], read_user).optional()
        })
    }

    fn put_user(&self, project: String, id: String, meta: Option<Map<String, Value>>) -> Pending<()> {
        self.change(move |transaction| {
            put_user(transaction, &project, &id)?;
            if let Some(meta) = meta {
                transaction.execute(
                    "UPDATE users SET meta = ?3 WHERE project = ?1 AND id = ?2",
                    params![project, id, text(&meta)?],
                )?;
            }
            Ok(())
        })
    }

    fn erase_user(
        &self,
        project: String,
        id: String,
        people: Vec<(String, Identity)>,
        audit: Audit,
    ) -> Pending<bool> {
        self.change(move |transaction| {
            let left: i64 = transaction.query_row(
                "SELECT count(*) FROM connections WHERE project = ?1 AND user = ?2",
                params![project, id],
                |row| row.get(0),
            )?;
            if left > 0 {
                return Ok(false);
            }
            let erased = transaction
                .execute("DELETE FROM users WHERE project = ?1 AND id = ?2", params![project, id])?;
            events::erase(transaction, &project, &id, &people)?;
            for table in ["links", "tokens"] {
                transaction.execute(
                    &format!("DELETE FROM {table} WHERE project = ?1 AND user = ?2"),
                    params![project, id],
                )?;
            }
            transaction.execute(
                "DELETE FROM invocations WHERE project = ?1 AND json_extract(head, '$.user') = ?2",
                params![project, id],
            )?;
            let scope = Scope { project: project.clone(), user: Some(id.clone()) };
            transaction.execute("DELETE FROM answers WHERE scope = ?1", [scope_text(&scope)])?;
            note(transaction, &audit)?;
            Ok(erased > 0)
        })
    }

    fn connections(&self, scope: Scope, which: Which, page: Page) -> Pending<Vec<Connection>> {
        self.read(move |transaction| {
            let mut select = transaction.prepare_cached(
                "SELECT c.head, g.lease_until FROM connections c JOIN connections g ON g.id = c.holder
                 WHERE c.project = ?1 AND (?2 IS NULL OR c.user = ?2) AND (?3 IS NULL OR c.connector = ?3)
                   AND c.id > ?4 ORDER BY c.id",
            )?;
            let values = params![scope.project, scope.user, which.connector, page.after.unwrap_or_default()];
            let read = |row: &Row<'_>| Ok(refreshing(read_connection(row)?, row.get(1)?));
            let rows = select.query_map(values, read)?;
            let meant = |row: &Sql<Connection>| {
                row.as_ref().map_or(true, |found| which.state.is_none_or(|state| state == found.state))
            };
            rows.filter(meant).take(page.most as usize).collect()
        })
    }

    fn held(&self, scope: &Scope, id: &str) -> Result<Option<Held>> {
        // While it is refreshed or rests, how it is changes with time and not only by what is written.
        let stays = |held: &Option<Held>| {
            held.as_ref().is_some_and(|held| {
                held.connection.state != ConnectionState::Refreshing && held.grant.retry_at.is_none()
            })
        };
        let read = |reader: &rusqlite::Connection| {
            reader
                .prepare_cached(
                    "SELECT c.head, g.lease_until, g.version, g.sealed, g.expires, g.refreshed, g.sent, g.retry_at, g.given
                     FROM connections c JOIN connections g ON g.id = c.holder
                     WHERE c.id = ?1 AND c.project = ?2 AND (?3 IS NULL OR c.user = ?3)",
                )?
                .query_row(params![id, scope.project, scope.user], |row| {
                    let connection = refreshing(read_connection(row)?, row.get(1)?);
                    Ok(Held { connection, grant: read_grant(row, 2)? })
                })
                .optional()
        };
        self.look_up(Question::Held(scope.clone(), id.to_owned()), read, stays)
    }

    fn twins(&self, integration: String, identity: Identity) -> Pending<Vec<Connection>> {
        self.read(move |transaction| {
            let mut select = transaction.prepare_cached(
                "SELECT head FROM connections WHERE integration = ?1 AND person IS ?2 AND account IS ?3 ORDER BY id",
            )?;
            select
                .query_map(params![integration, identity.user, identity.account], read_connection)?
                .collect()
        })
    }

    fn sharers(&self, holder: String) -> Pending<Vec<Connection>> {
        self.read(move |transaction| {
            let mut select = transaction
                .prepare_cached("SELECT head FROM connections WHERE holder = ?1 AND id <> ?1 ORDER BY id")?;
            select.query_map([holder], read_connection)?.collect()
        })
    }

    fn connect(&self, connection: Connection, renewed: Option<Renewed>, audit: Audit) -> Pending<Written> {
        self.change(move |transaction| {
            if !fits_key(transaction, renewed.as_ref().map(|renewed| &renewed.sealed))? {
                return Ok(Written::OldKey);
            }
            let set_up: i64 = transaction.query_row(
                "SELECT count(*) FROM integrations WHERE id = ?1",
                [&connection.integration],
                |row| row.get(0),
            )?;
            let holds = connection.holder == connection.id;
            let held: i64 = transaction.query_row(
                "SELECT count(*) FROM connections WHERE id = ?1 AND holder = id AND state <> 'revoked'",
                [&connection.holder],
                |row| row.get(0),
            )?;
            let before: Option<Connection> = transaction
                .query_row("SELECT head FROM connections WHERE id = ?1", [&connection.id], read_connection)
                .optional()?;
            // Whoever comes with nothing lets go of what another one holds, and of nothing else.
            let shared = before.as_ref().is_some_and(|before| before.holder != before.id);
            if set_up == 0 || !(holds || held > 0) || (renewed.is_none() && !shared) {
                return Ok(Written::Stale);
            }
            put_user(transaction, &connection.project, &connection.user)?;
            transaction.execute(
                "INSERT INTO connections (id, project, user, connector, integration, state, holder, head, version)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 0)
                 ON CONFLICT (id) DO UPDATE SET integration = ?5",
                params![
                    connection.id,
                    connection.project,
                    connection.user,
                    connection.connector,
                    connection.integration,
                    connection.state.as_str(),
                    connection.holder,
                    text(&connection)?
                ],
            )?;
            write_head(transaction, &connection)?;
            tell(transaction, &connection, before.map(|before| before.state))?;
            if !holds {
                transaction.execute(
                    "UPDATE connections SET version = version + 1, fence = fence + 1, key = NULL, sealed = NULL,
                        lease_owner = NULL, lease_until = NULL WHERE id = ?1",
                    [&connection.id],
                )?;
            }
            if let Some(renewed) = &renewed {
                put_grant(transaction, &connection.holder, renewed)?;
                // Those that share the grant live again with it.
                change(transaction, &connection.holder, |other| {
                    other.state = connection.state;
                    other.reason.clone_from(&connection.reason);
                    other.scopes.clone_from(&connection.scopes);
                    other.members.clone_from(&connection.members);
                })?;
            }
            note(transaction, &audit)?;
            Ok(Written::Yes)
        })
    }

    fn move_grant(&self, from: String, version: i64, to: String, sealed: Envelope) -> Pending<Written> {
        self.change(move |transaction| {
            if !fits_key(transaction, Some(&sealed))? {
                return Ok(Written::OldKey);
            }
            let moved = transaction.execute(
                "UPDATE connections AS new SET version = new.version + 1, fence = new.fence + 1, key = ?4, sealed = ?5,
                    expires = old.expires, refreshed = old.refreshed, sent = old.sent, retry_at = old.retry_at, given = old.given,
                    lease_owner = NULL, lease_until = NULL
                 FROM connections AS old
                 WHERE new.id = ?3 AND old.id = ?1 AND old.version = ?2 AND new.holder = ?1
                    AND (old.lease_until IS NULL OR old.lease_until < ?6)",
                params![from, version, to, sealed.key, text(&sealed)?, now()],
            )?;
            if moved == 0 {
                return Ok(Written::Stale);
            }
            transaction.execute(
                "UPDATE connections SET version = version + 1, fence = fence + 1, key = NULL, sealed = NULL WHERE id = ?1",
                [&from],
            )?;
            let mut select =
                transaction.prepare_cached("SELECT head FROM connections WHERE holder = ?1 AND id <> ?1")?;
            let others: Vec<Connection> = select.query_map([&from], read_connection)?.collect::<Sql<_>>()?;
            for mut other in others {
                other.holder.clone_from(&to);
                write_head(transaction, &other)?;
            }
            Ok(Written::Yes)
        })
    }

    fn set_state(
        &self,
        holder: String,
        version: Option<i64>,
        state: ConnectionState,
        reason: Option<String>,
        wipe: Option<Audit>,
    ) -> Pending<Written> {
        self.change(move |transaction| {
            let touched = if wipe.is_some() {
                transaction.execute(
                    "UPDATE connections SET version = version + 1, fence = fence + 1, key = NULL, sealed = NULL,
                        expires = NULL, lease_owner = NULL, lease_until = NULL
                     WHERE id = ?1 AND (?2 IS NULL OR version = ?2 AND (lease_until IS NULL OR lease_until < ?3))",
                    params![holder, version, now()],
                )?
            } else {
                transaction.execute(
                    "UPDATE connections SET lease_owner = NULL, lease_until = NULL
                     WHERE id = ?1 AND (?2 IS NULL OR version = ?2)",
                    params![holder, version],
                )?
            };
            if touched == 0 {
                return Ok(Written::Stale);
            }
            change(transaction, &holder, |connection| {
                connection.state = state;
                connection.reason.clone_from(&reason);
            })?;
            if let Some(audit) = &wipe {
                note(transaction, audit)?;
            }
            Ok(Written::Yes)
        })
    }

    fn remove_connection(&self, id: String, audit: Audit) -> Pending<bool> {
        self.change(move |transaction| {
            let removed = transaction.execute(
                "DELETE FROM connections WHERE id = ?1 AND state = 'revoked'
                    AND NOT EXISTS (SELECT 1 FROM connections other WHERE other.holder = ?1 AND other.id <> ?1)",
                [&id],
            )?;
            if removed > 0 {
                note(transaction, &audit)?;
            }
            Ok(removed > 0)
        })
    }

    fn lease(&self, holder: String, owner: String, ms: i64) -> Pending<Option<Lease>> {
        self.change(move |transaction| {
            let now = now();
            // One whose process has ended is not waited for.
            let gone = transaction
                .query_row("SELECT lease_owner FROM connections WHERE id = ?1", [&holder], |row| {
                    row.get::<_, Option<String>>(0)
                })
                .optional()?
                .flatten()
                .filter(|owner| !is_alive(owner));
            let taken = transaction.execute(
                "UPDATE connections SET fence = fence + 1, lease_owner = ?2, lease_until = ?3, sent = sent + 1
                 WHERE id = ?1 AND sealed IS NOT NULL AND (lease_until IS NULL OR lease_until < ?6 OR lease_owner = ?5
                    OR lease_owner = ?2 AND lease_until < ?4)",
                // One that lives may only have stood still, with what it has sent on its way.
                params![holder, owner, now.saturating_add(ms), now, gone, now.saturating_sub(STANDSTILL)],
            )?;
            if taken == 0 {
                return Ok(None);
            }
            transaction
                .query_row(
                    "SELECT fence, version, sealed, expires, refreshed, sent, retry_at, given FROM connections WHERE id = ?1",
                    [&holder],
                    |row| Ok(Lease { fence: row.get(0)?, grant: read_grant(row, 1)? }),
                )
                .map(Some)
        })
    }

    fn has_lease(&self, holder: &str, fence: i64) -> Result<bool> {
        self.look(|connection| {
            connection
                .prepare_cached(
                    "SELECT count(*) FROM connections WHERE id = ?1 AND fence = ?2 AND lease_owner IS NOT NULL",
                )?
                .query_row(params![holder, fence], |row| row.get::<_, i64>(0))
                .map(|found| found > 0)
        })
    }

    fn keep_lease(&self, holder: String, fence: i64, ms: i64) -> Pending<bool> {
        self.change(move |transaction| {
            let kept = transaction.execute(
                "UPDATE connections SET lease_until = ?3 WHERE id = ?1 AND fence = ?2 AND lease_owner IS NOT NULL",
                params![holder, fence, now().saturating_add(ms)],
            )?;
            Ok(kept > 0)
        })
    }

    fn release(&self, holder: String, fence: i64, unsent: bool, retry_at: Option<Timestamp>) -> Pending<()> {
        self.change(move |transaction| {
            transaction
                .execute(
                    "UPDATE connections SET lease_owner = NULL, lease_until = NULL, retry_at = ?4,
                        sent = CASE WHEN ?3 THEN max(sent - 1, 0) ELSE min(sent, 1) END
                     WHERE id = ?1 AND fence = ?2",
                    params![holder, fence, unsent, ms(retry_at)],
                )
                .map(drop)
        })
    }

    fn renew(&self, holder: String, fence: i64, version: i64, renewed: Renewed) -> Pending<Written> {
        self.change(move |transaction| {
            if !fits_key(transaction, Some(&renewed.sealed))? {
                return Ok(Written::OldKey);
            }
            let fits: i64 = transaction.query_row(
                "SELECT count(*) FROM connections WHERE id = ?1 AND fence = ?2 AND version = ?3",
                params![holder, fence, version],
                |row| row.get(0),
            )?;
            if fits == 0 {
                return Ok(Written::Stale);
            }
            put_grant(transaction, &holder, &renewed)?;
            change(transaction, &holder, |connection| {
                if connection.state != ConnectionState::NeedsScope {
                    connection.state = ConnectionState::Valid;
                    connection.reason = None;
                }
                if let Some(scopes) = &renewed.scopes {
                    connection.scopes = Some(scopes.clone());
                }
                connection.members.extend(renewed.members.clone());
            })?;
            Ok(Written::Yes)
        })
    }

    fn idle_since(&self, before: Timestamp, most: u32) -> Pending<Vec<Connection>> {
        self.read(move |transaction| {
            let mut select = transaction.prepare_cached(
                "SELECT head FROM connections WHERE sealed IS NOT NULL AND refreshed < ?1 AND expires IS NOT NULL
                    AND state = 'valid' AND (retry_at IS NULL OR retry_at < ?3 OR retry_at > ?3 + ?4) ORDER BY refreshed LIMIT ?2",
            )?;
            select.query_map(params![before.as_millisecond(), most, now(), LONGEST_REST], read_connection)?.collect()
        })
    }

    fn add_link(&self, link: Link, token: Vec<u8>, audit: Audit) -> Pending<()> {
        self.change(move |transaction| {
            transaction.execute("DELETE FROM links WHERE expires < ?1", [now() - LINGERS])?;
            transaction.execute(
                "INSERT INTO links (id, project, user, token, progress, expires, head) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                params![
                    link.id,
                    link.project,
                    link.user,
                    token,
                    text(&link.progress)?,
                    link.expires.as_millisecond(),
                    text(&link)?
                ],
            )?;
            note(transaction, &audit)
        })
    }

    fn link_by(&self, digest: Vec<u8>) -> Pending<Option<Link>> {
        self.read(move |transaction| {
            transaction
                .prepare_cached("SELECT head, sealed FROM links WHERE token = ?1 OR state = ?1")?
                .query_row([digest], read_link)
                .optional()
        })
    }

    fn link(&self, scope: Scope, id: String) -> Pending<Option<Link>> {
        self.read(move |transaction| {
            transaction
                .prepare_cached(
                    "SELECT head, sealed FROM links WHERE id = ?1 AND project = ?2 AND (?3 IS NULL OR user = ?3)",
                )?
                .query_row(params![id, scope.project, scope.user], read_link)
                .optional()
        })
    }

    fn step_link(&self, link: Link, seen: Progress, state: Option<Vec<u8>>) -> Pending<Written> {
        self.change(move |transaction| {
            if !fits_key(transaction, link.sealed.as_ref())? {
                return Ok(Written::OldKey);
            }
            let stepped = transaction.execute(
                "UPDATE links SET progress = ?3, head = ?4, key = ?5, sealed = ?6, state = ?7
                 WHERE id = ?1 AND progress = ?2",
                params![
                    link.id,
                    text(&seen)?,
                    text(&link.progress)?,
                    text(&link)?,
                    link.sealed.as_ref().map(|envelope| envelope.key.clone()),
                    link.sealed.as_ref().map(text).transpose()?,
                    state,
                ],
            )?;
            Ok(if stepped == 0 { Written::Stale } else { Written::Yes })
        })
    }

    fn add_token(&self, token: ApiToken, digest: Vec<u8>, audit: Audit) -> Pending<()> {
        self.change(move |transaction| {
            if let (Some(project), Some(user)) = (&token.project, &token.user) {
                put_user(transaction, project, user)?;
            }
            transaction.execute(
                "INSERT INTO tokens (id, digest, project, user, head) VALUES (?1, ?2, ?3, ?4, ?5)",
                params![token.id, digest, token.project, token.user, text(&token)?],
            )?;
            note(transaction, &audit)
        })
    }

    fn token(&self, digest: &[u8]) -> Result<Option<ApiToken>> {
        let read = |reader: &rusqlite::Connection| {
            reader
                .prepare_cached("SELECT head FROM tokens WHERE digest = ?1")?
                .query_row([digest], |row| column(row, 0))
                .optional()
        };
        // What somebody makes up is not remembered.
        self.look_up(Question::Token(digest.to_vec()), read, Option::is_some)
    }

    fn tokens(&self, project: Option<String>) -> Pending<Vec<ApiToken>> {
        self.read(move |transaction| {
            let mut select = transaction
                .prepare_cached("SELECT head FROM tokens WHERE ?1 IS NULL OR project = ?1 ORDER BY id")?;
            select.query_map([&project], |row| column(row, 0))?.collect()
        })
    }

    fn remove_token(&self, id: String, audit: Audit) -> Pending<bool> {
        self.change(move |transaction| {
            let removed = transaction.execute("DELETE FROM tokens WHERE id = ?1", [&id])?;
            if removed > 0 {
                note(transaction, &audit)?;
            }
            Ok(removed > 0)
        })
    }

    fn audit(&self, audit: Audit) -> Pending<()> {
        self.change(move |transaction| note(transaction, &audit))
    }

    fn audit_log(
        &self,
        project: Option<String>,
        after: Option<i64>,
        newest: bool,
        most: u32,
    ) -> Pending<Vec<Audit>> {
        self.read(move |transaction| {
            let (after, wanted, order) = match newest {
                true => (after.unwrap_or(i64::MAX), "seq < ?1", "DESC"),
                false => (after.unwrap_or_default(), "seq > ?1", "ASC"),
            };
            let mut select = transaction.prepare_cached(&format!(
                "SELECT head, seq FROM audit WHERE {wanted} AND (?2 IS NULL OR project = ?2) ORDER BY seq {order} LIMIT ?3",
            ))?;
            let read = |row: &Row<'_>| Ok(Audit { seq: row.get(1)?, ..column(row, 0)? });
            select.query_map(params![after, project, most], read)?.collect()
        })
    }

    fn once(&self, scope: Scope, key: String, request: Vec<u8>) -> Pending<Once> {
        let owner = self.owner.clone();
        self.change(move |transaction| {
            transaction.execute("DELETE FROM answers WHERE at < ?1", [now() - REMEMBERED])?;
            let scope = scope_text(&scope);
            let found = transaction
                .query_row(
                    "SELECT request, owner, status, body FROM answers WHERE scope = ?1 AND key = ?2",
                    params![scope, key],
                    |row| {
                        Ok((
                            row.get::<_, Vec<u8>>(0)?,
                            row.get::<_, String>(1)?,
                            row.get::<_, Option<u16>>(2)?,
                            row.get::<_, Option<String>>(3)?,
                        ))
                    },
                )
                .optional()?;
            Ok(match found {
                Some((before, ..)) if before != request => Once::Another,
                Some((_, _, Some(status), body)) => Once::Answered { status, body: body.unwrap_or_default() },
                Some((_, before, ..)) if is_alive(&before) => Once::UnderWay,
                Some(_) => Once::Lost,
                None => {
                    transaction.execute(
                        "INSERT INTO answers (scope, key, request, at, owner) VALUES (?1, ?2, ?3, ?4, ?5)",
                        params![scope, key, request, now(), owner],
                    )?;
                    Once::New
                }
            })
        })
    }

    fn answered(&self, scope: Scope, key: String, answer: Option<(u16, String)>) -> Pending<()> {
        self.change(move |transaction| {
            let scope = scope_text(&scope);
            match answer {
                Some((status, body)) => transaction.execute(
                    "UPDATE answers SET status = ?3, body = ?4 WHERE scope = ?1 AND key = ?2",
                    params![scope, key, status, body],
                ),
                None => transaction
                    .execute("DELETE FROM answers WHERE scope = ?1 AND key = ?2", params![scope, key]),
            }
            .map(drop)
        })
    }

    fn keys_in_use(&self) -> Pending<(Vec<String>, Option<String>)> {
        self.read(|transaction| keys_in_use(transaction, super::VERSION))
    }

    fn set_key(&self, id: String, audit: Audit) -> Pending<()> {
        self.change(move |transaction| {
            transaction.execute(
                "INSERT INTO vault (one, current) VALUES (1, ?1) ON CONFLICT (one) DO UPDATE SET current = ?1",
                [&id],
            )?;
            note(transaction, &audit)
        })
    }

    fn sealed_otherwise(&self, key: String, most: u32) -> Pending<Vec<Sealed>> {
        self.read(move |transaction| {
            let mut found = Vec::new();
            for place in SealedPlace::ALL {
                let query = format!(
                    "SELECT project, id, sealed FROM {} WHERE key IS NOT NULL AND key <> ?1 LIMIT ?2",
                    place.table()
                );
                let mut select = transaction.prepare_cached(&query)?;
                let rows = select.query_map(params![key, most], |row| {
                    let (project, id, envelope) = (row.get(0)?, row.get(1)?, sealed(row, 2)?);
                    Ok(envelope.map(|envelope| Sealed { place, project, id, envelope }))
                })?;
                for row in rows {
                    found.extend(row?);
                }
            }
            found.truncate(most as usize);
            Ok(found)
        })
    }

    fn reseal(&self, seen: Sealed, now: Envelope) -> Pending<Written> {
        self.change(move |transaction| {
            if !fits_key(transaction, Some(&now))? {
                return Ok(Written::OldKey);
            }
            // The secrets are the same ones, so whoever is about to change them has not seen anything old.
            let query = format!(
                "UPDATE {} SET key = ?3, sealed = ?4 WHERE id = ?1 AND sealed = ?2",
                seen.place.table()
            );
            let written =
                transaction.execute(&query, params![seen.id, text(&seen.envelope)?, now.key, text(&now)?])?;
            Ok(if written == 0 { Written::Stale } else { Written::Yes })
        })
    }

    fn backup(&self, file: PathBuf) -> Pending<()> {
        let path = self.path.clone();
        let (answer, pending) = tokio::sync::oneshot::channel();
        let started = std::thread::Builder::new().name("backup".to_owned()).spawn(move || {
            let _ = answer.send(copy(&path, &file));
        });
        Box::pin(async move {
            started.map_err(|error| Error::new(ErrorKind::Internal, format!("no thread: {error}")))?;
            pending
                .await
                .map_err(|_| Error::new(ErrorKind::Internal, "the copy broke off before it was whole"))?
        })
    }
}

/// The keys that anything is sealed with, and the one that it is to be sealed with.
pub(super) fn keys_in_use(
    connection: &rusqlite::Connection,
    version: i64,
) -> Sql<(Vec<String>, Option<String>)> {
    let places = SealedPlace::ALL.iter().filter(|place| version >= place.since());
    let selects: Vec<String> =
        places.map(|place| format!("SELECT key FROM {} WHERE key IS NOT NULL", place.table())).collect();
    let mut select = connection.prepare_cached(&selects.join(" UNION "))?;
    let used = select.query_map([], |row| row.get(0))?.collect::<Sql<_>>()?;
    let current = connection.query_row("SELECT current FROM vault", [], |row| row.get(0)).optional()?;
    Ok((used, current))
}

/// Copies the whole store into a file that is not there yet. Whoever writes meanwhile does not wait.
pub(super) fn copy(path: &std::path::Path, file: &std::path::Path) -> Result<()> {
    let cannot = crate::system::cannot("write", file);
    // The owner's alone from its first byte on.
    let made =
        fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(file).map_err(|error| {
            let is_there = error.kind() == std::io::ErrorKind::AlreadyExists;
            let error = cannot(error);
            // Nothing is written over: the last good copy may be what lies there.
            if is_there { error.hint("name a file that is not there yet") } else { error }
        })?;
    let copied = open(path)
        .and_then(|connection| {
            let to = file.display().to_string();
            connection.execute("VACUUM INTO ?1", [to]).map_err(|error| explain(path, &error))
        })
        .and_then(|_| made.sync_all().map_err(cannot));
    if copied.is_err() {
        let _ = fs::remove_file(file);
    }
    copied
}

impl SealedPlace {
    const ALL: [Self; 4] = [Self::Integration, Self::Connection, Self::Link, Self::Subscription];

    fn table(self) -> &'static str {
        match self {
            Self::Integration => "integrations",
            Self::Connection => "connections",
            Self::Link => "links",
            Self::Subscription => "subscriptions",
        }
    }

    /// The version of the tables that has it first.
    fn since(self) -> i64 {
        if self == Self::Subscription { 3 } else { 2 }
    }
}

/// Puts new secrets in a grant, and ends whatever was under way for it.
fn put_grant(transaction: &Transaction<'_>, holder: &str, renewed: &Renewed) -> Sql<()> {
    transaction
        .prepare_cached(
            "UPDATE connections SET version = version + 1, fence = fence + 1, key = ?2, sealed = ?3, expires = ?4,
                refreshed = ?5, given = coalesce(?6, given), sent = 0, retry_at = NULL, lease_owner = NULL, lease_until = NULL
             WHERE id = ?1",
        )?
        .execute(params![holder, renewed.sealed.key, text(&renewed.sealed)?, ms(renewed.expires), now(), ms(renewed.given)])
        .map(drop)
}

/// A valid connection whose grant somebody refreshes.
fn refreshing(mut connection: Connection, lease_until: Option<i64>) -> Connection {
    if connection.state == ConnectionState::Valid && lease_until.is_some_and(|until| until >= now()) {
        connection.state = ConnectionState::Refreshing;
    }
    connection
}

/// The project that every home has.
pub(super) fn first_project(transaction: &Transaction<'_>) -> Sql<()> {
    let project = Project {
        id: crate::store::DEFAULT_PROJECT.to_owned(),
        title: None,
        return_urls: Vec::new(),
        created: Timestamp::now(),
    };
    transaction
        .execute("INSERT INTO projects (id, head) VALUES (?1, ?2)", params![project.id, text(&project)?])
        .map(drop)
}
