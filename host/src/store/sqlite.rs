//! The store as a file of SQLite.
//!
//! One thread has the connection. What somebody waits for is done at once, as much of it as has come in the meantime in one
//! commit, and nobody waits for a timer. What nobody waits for - how invocations ended - lies for a moment, so that many
//! share a commit and the thread is not woken for each. Another process may have the file open too.

mod accounts;
mod checkpoints;
mod events;
mod feeds;
mod known;

use std::{
    fs,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use connector_protocol::{Error, ErrorKind, Result};
use jiff::Timestamp;
use rusqlite::{
    Connection, Row, Transaction, TransactionBehavior, config::DbConfig, ffi, params, types::Value as Sql,
};
use serde_json::Value;
use tokio::sync::oneshot;

use self::{
    checkpoints::{Checkpoints, Commits},
    known::{Question, Reader},
};
use super::{Invocation, Later, Pending, Scope, State, Store, Tally, Wanted};
use crate::system;

/// The version of the tables. A file of a later version is left alone.
const VERSION: i64 = 4;

/// How long to wait for another process that has the file.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long to wait for it where it has just been waited for in vain: whoever stands behind is told soon.
const HURRY: Duration = Duration::from_millis(100);

/// How often it is looked whether that process is done.
const LOOK: Duration = Duration::from_secs(1);

/// When whoever was told that should come back.
const COME_BACK: jiff::SignedDuration = jiff::SignedDuration::from_secs(5);

/// How many things that nobody waits for may lie and wait to be written.
const PILE: usize = 4096;

/// How many of them are written at once, before their time.
const GROUP: usize = 256;

/// How long something lies that nobody waits for.
const LIES: Duration = Duration::from_millis(25);

/// How many statements are kept ready: more than there are on the way of a delivery until its event is sent.
const STATEMENTS: usize = 64;

/// How many invocations a list has if nobody says.
const LISTED: u32 = 50;

const TABLES: &str = "
CREATE TABLE invocations (
    id TEXT PRIMARY KEY NOT NULL,
    project TEXT NOT NULL,
    connector TEXT NOT NULL,
    action TEXT NOT NULL,
    state TEXT NOT NULL,
    begun TEXT NOT NULL,
    -- The process that runs it, so that one that is gone is known to be.
    owner TEXT NOT NULL,
    ms INTEGER,
    attempts INTEGER NOT NULL,
    -- What a list shows, as JSON.
    head TEXT NOT NULL,
    -- Input, output, error and exchange, as JSON.
    body TEXT NOT NULL
) STRICT;
CREATE INDEX invocations_by_time ON invocations (begun);
CREATE INDEX invocations_by_action ON invocations (project, connector, action, id);
";

/// The store as a file of SQLite.
pub struct Sqlite {
    desk: Arc<Desk>,
    path: PathBuf,
    /// This process, as the records say it.
    owner: String,
    reader: Mutex<Option<Reader>>,
    /// How often this process has written.
    written: Arc<AtomicU64>,
    checkpoints: Arc<Checkpoints>,
    /// Whether another process has kept the file for itself for too long, and still does.
    held_up: Arc<AtomicBool>,
}

/// What lies before the thread that writes.
#[derive(Default)]
struct Desk {
    papers: Mutex<Papers>,
    come: Condvar,
}

#[derive(Default)]
struct Papers {
    /// What somebody waits for.
    jobs: Vec<Job>,
    /// What nobody waits for.
    ended: Vec<Later>,
    /// How many of those were lost because there were too many.
    lost: u64,
    /// Nothing more comes.
    closed: bool,
    /// Nobody takes anything any more.
    left: bool,
}

impl Desk {
    fn papers(&self) -> MutexGuard<'_, Papers> {
        self.papers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for something to do, or only for a moment. `None` if nothing will come any more.
    fn take(&self, only_a_moment: bool) -> Option<Papers> {
        let mut papers = self.papers();
        while papers.jobs.is_empty() && papers.ended.is_empty() {
            if papers.closed {
                return None;
            }
            if only_a_moment {
                papers = self.come.wait_timeout(papers, LOOK).unwrap_or_else(PoisonError::into_inner).0;
                break;
            }
            papers = self.come.wait(papers).unwrap_or_else(PoisonError::into_inner);
        }
        let lies =
            |papers: &mut Papers| papers.jobs.is_empty() && !papers.closed && papers.ended.len() < GROUP;
        if lies(&mut papers) {
            let waited = self.come.wait_timeout_while(papers, LIES, lies);
            papers = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let taken = Papers {
            jobs: std::mem::take(&mut papers.jobs),
            ended: std::mem::take(&mut papers.ended),
            lost: std::mem::take(&mut papers.lost),
            ..Papers::default()
        };
        Some(taken)
    }
}

/// Whoever still waits when the thread ends, however it does, is told.
struct Leaves<'a>(&'a Desk);

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        let mut papers = self.0.papers();
        papers.left = true;
        papers.jobs.clear();
        papers.ended.clear();
    }
}

type Answer<T> = oneshot::Sender<Result<T>>;

enum Job {
    Begin(Box<Invocation>, Answer<()>),
    Change(Change),
    Settle(Answer<()>),
    Find(Option<Scope>, String, Answer<Option<Invocation>>),
    List(Wanted, Answer<Vec<Invocation>>),
    Tally(String, Answer<Tally>),
    Forget(Timestamp, Answer<u64>),
    Check(Answer<()>),
    /// Whatever else there is to do.
    Task(Task),
}

type Task = Box<dyn FnOnce(&mut Writer) + Send>;

/// A change, to be made in a transaction, or to be told why none could begin. Says whether it was made, and how to tell whoever
/// waits what became of the commit.
type Change = Box<
    dyn for<'a> FnOnce(Result<(&'a Transaction<'a>, &'a Path), &'a Error>) -> Option<(bool, Tell)> + Send,
>;

type Tell = Box<dyn FnOnce(Result<()>) + Send>;

impl Sqlite {
    /// The store in this file, which is made if there is none. It is opened behind: what is wrong with it is said by the
    /// first that wants something of it. Invocations older than `keep` are forgotten.
    #[must_use]
    pub fn open(path: PathBuf, keep: Duration) -> Self {
        let desk = Arc::new(Desk::default());
        let owner = owner(std::process::id());
        let (held_up, written): (Arc<AtomicBool>, Arc<AtomicU64>) = Default::default();
        let checkpoints: Arc<Checkpoints> = Arc::default();
        let writer = Writer {
            path: path.clone(),
            keep,
            connection: None,
            commits: Commits::default(),
            checkpoints: checkpoints.clone(),
            owner: owner.clone(),
            held_up: held_up.clone(),
            written: written.clone(),
            unwritten: Vec::new(),
        };
        let its = desk.clone();
        let started = thread::Builder::new().name("store".to_owned()).spawn(move || writer.work(&its));
        if started.is_err() {
            drop(Leaves(&desk));
        }
        Self { desk, path, owner, reader: Mutex::default(), written, checkpoints, held_up }
    }

    /// Reads something in the thread that has the connection.
    fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Pending<T> {
        self.task(move |writer| {
            let path = writer.path.clone();
            let connection = writer.connection()?;
            connection
                .transaction_with_behavior(TransactionBehavior::Deferred)
                .and_then(|transaction| read(&transaction))
                .map_err(|error| explain(&path, &error))
        })
    }

    /// Changes something, whole or not at all. When this is done, it survives the machine. What comes together shares one commit.
    fn change<T: Send + 'static>(
        &self,
        change: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Pending<T> {
        self.ask(|answer| {
            Job::Change(Box::new(move |begun| match begun {
                Ok((transaction, path)) => {
                    let changed = change(transaction).map_err(|error| explain(path, &error));
                    let is_fine = changed.is_ok();
                    let tell = move |committed: Result<()>| {
                        let _ = answer.send(changed.and_then(|changed| committed.map(|()| changed)));
                    };
                    Some((is_fine, Box::new(tell)))
                }
                Err(error) => {
                    let _ = answer.send(Err(error.clone()));
                    None
                }
            }))
        })
    }

    fn task<T: Send + 'static>(
        &self,
        task: impl FnOnce(&mut Writer) -> Result<T> + Send + 'static,
    ) -> Pending<T> {
        self.ask(|answer| {
            Job::Task(Box::new(move |writer| {
                let _ = answer.send(task(writer));
            }))
        })
    }

    /// Looks something up at once, on the thread that asks.
    fn look<T>(&self, look: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        self.with_reader(|reader| look(&reader.connection))
    }

    /// The same, for what is asked again and again.
    fn look_up<T: Clone + Send + 'static>(
        &self,
        question: Question,
        look: impl FnOnce(&Connection) -> rusqlite::Result<T>,
        may_be_kept: impl FnOnce(&T) -> bool,
    ) -> Result<T> {
        // Before the reader is had: what is written while it is waited for is asked for the next time.
        let written = self.written.load(Ordering::Acquire);
        self.with_reader(|reader| reader.answer(written, question, look, may_be_kept))
    }

    fn with_reader<T>(&self, look: impl FnOnce(&mut Reader) -> rusqlite::Result<T>) -> Result<T> {
        let mut place = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let reader = match &mut *place {
            Some(reader) => reader,
            None => place.insert(Reader::new(open(&self.path)?)),
        };
        look(reader).map_err(|error| explain(&self.path, &error))
    }

    fn ask<T: Send + 'static>(&self, job: impl FnOnce(Answer<T>) -> Job) -> Pending<T> {
        let (answer, pending) = oneshot::channel();
        {
            let mut papers = self.desk.papers();
            // Otherwise the answer is dropped with the job, and with it whoever waits is told.
            if !papers.left {
                papers.jobs.push(job(answer));
            }
        }
        self.desk.come.notify_one();
        Box::pin(async move {
            pending.await.map_err(|_| Error::new(ErrorKind::Internal, "the store has stopped working"))?
        })
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        self.desk.papers().closed = true;
        self.desk.come.notify_one();
    }
}

impl Store for Sqlite {
    fn begin(&self, invocation: Invocation) -> Pending<()> {
        self.ask(|answer| Job::Begin(Box::new(invocation), answer))
    }

    fn end(&self, invocation: Later) {
        let mut papers = self.desk.papers();
        if papers.left || papers.ended.len() >= PILE {
            papers.lost += 1;
            if papers.lost == 1 {
                drop(papers);
                tracing::warn!("more invocations end than can be recorded; some will not be found later");
            }
            return;
        }
        papers.ended.push(invocation);
        let wakes = matches!(papers.ended.len(), 1 | GROUP);
        drop(papers);
        if wakes {
            self.desk.come.notify_one();
        }
    }

    fn settle(&self) -> Pending<()> {
        self.ask(Job::Settle)
    }

    fn invocation(&self, scope: Option<Scope>, id: &str) -> Pending<Option<Invocation>> {
        self.ask(|answer| Job::Find(scope, id.to_owned(), answer))
    }

    fn invocations(&self, wanted: Wanted) -> Pending<Vec<Invocation>> {
        self.ask(|answer| Job::List(wanted, answer))
    }

    fn tally(&self, connector: &str) -> Pending<Tally> {
        let connector = connector.to_owned();
        self.ask(|answer| Job::Tally(connector, answer))
    }

    fn forget(&self, before: Timestamp) -> Pending<u64> {
        self.ask(|answer| Job::Forget(before, answer))
    }

    fn check(&self) -> Pending<()> {
        self.ask(Job::Check)
    }

    fn is_held_up(&self) -> bool {
        self.held_up.load(Ordering::Relaxed)
    }

    fn stay(&self) {
        self.checkpoints.begin(self.path.clone());
    }
}

struct Writer {
    path: PathBuf,
    keep: Duration,
    connection: Option<Connection>,
    commits: Commits,
    checkpoints: Arc<Checkpoints>,
    /// This process, as the records say it.
    owner: String,
    held_up: Arc<AtomicBool>,
    written: Arc<AtomicU64>,
    /// How invocations ended, while it could not be written.
    unwritten: Vec<Invocation>,
}

impl Writer {
    fn work(mut self, desk: &Desk) {
        let _leaves = Leaves(desk);
        // Whoever asks first finds it open.
        if let Err(error) = self.connection() {
            tracing::debug!("{error}");
        }
        let mut tidied = false;
        while let Some(Papers { jobs, ended, lost, .. }) = desk.take(self.is_held_up()) {
            if jobs.is_empty() && ended.is_empty() && self.unwritten.is_empty() {
                self.look_again();
            }
            self.group(jobs, ended);
            if !std::mem::replace(&mut tidied, true) {
                let since = Timestamp::now()
                    .checked_sub(jiff::SignedDuration::try_from(self.keep).unwrap_or_default());
                if let Err(error) = since
                    .map_err(|error| error.to_string())
                    .and_then(|since| self.forget(since).map(drop).map_err(|error| error.to_string()))
                {
                    tracing::debug!("old invocations are not forgotten: {error}");
                }
            }
            if lost > 0 {
                tracing::warn!("{lost} invocations were not recorded: more ended than could be written");
            }
        }
    }

    fn connection(&mut self) -> Result<&mut Connection> {
        if self.connection.is_none() {
            self.connection = Some(open(&self.path)?);
        }
        self.connection.as_mut().ok_or_else(|| Error::new(ErrorKind::Internal, "the store is not open"))
    }

    fn is_held_up(&self) -> bool {
        self.held_up.load(Ordering::Relaxed)
    }

    /// Whether another process has the file is known by whoever has written, or has waited in vain.
    fn wrote<T>(&mut self, done: Result<T>) -> Result<T> {
        // Before anybody is told.
        self.written.fetch_add(1, Ordering::Release);
        if let Some(connection) = &self.connection {
            self.commits.one(connection, &self.checkpoints);
        }
        let held_up = done.as_ref().is_err_and(|error| error.kind == ErrorKind::Unavailable);
        if self.held_up.swap(held_up, Ordering::Relaxed) != held_up {
            match &done {
                Err(error) if held_up => tracing::warn!("nothing can be written: {error}"),
                _ => tracing::info!("the store can be written again"),
            }
            let patience = if held_up { HURRY } else { PATIENCE };
            if let Some(connection) = &self.connection
                && let Err(error) = connection.busy_timeout(patience)
            {
                tracing::debug!("the store waits as long as before: {error}");
            }
        }
        done
    }

    /// Looks whether it can be written, with nothing to write.
    fn look_again(&mut self) {
        let path = self.path.clone();
        let looked = self.connection().and_then(|connection| {
            let begun = connection.transaction_with_behavior(TransactionBehavior::Immediate);
            begun.and_then(Transaction::rollback).map_err(|error| explain(&path, &error))
        });
        if let Err(error) = self.wrote(looked) {
            tracing::debug!("{error}");
        }
    }

    /// Does what has come together: what is to be written in one commit, then what is to be read.
    fn group(&mut self, jobs: Vec<Job>, ended: Vec<Later>) {
        let mut writes: Vec<Invocation> = Vec::new();
        let mut waiting = Vec::new();
        let mut changes = Vec::new();
        let mut reads = Vec::new();
        for job in jobs {
            match job {
                Job::Begin(invocation, answer) => {
                    writes.push(*invocation);
                    waiting.push(answer);
                }
                Job::Change(change) => changes.push(change),
                other => reads.push(other),
            }
        }
        let begun = writes.len();
        // An end may have come while its beginning still lay here: it is the later word.
        writes.append(&mut self.unwritten);
        writes.extend(ended.into_iter().map(|later| later()));
        if !changes.is_empty() {
            self.commit(changes);
        }
        if !writes.is_empty() {
            let written = self.write(&writes, !waiting.is_empty());
            let written = self.wrote(written);
            if self.is_held_up() {
                // Whoever begins is told. What has ended cannot be told to anybody: it is written later.
                self.unwritten = writes.split_off(begun);
                self.unwritten.truncate(PILE);
            } else if let Err(error) = &written {
                tracing::warn!("{} invocation(s) could not be recorded: {error}", writes.len());
            }
            for answer in waiting {
                let _ = answer.send(written.clone());
            }
        }
        for job in reads {
            match job {
                Job::Settle(answer) => drop(answer.send(Ok(()))),
                Job::Find(scope, id, answer) => drop(answer.send(self.find(scope, &id))),
                Job::List(wanted, answer) => drop(answer.send(self.list(&wanted))),
                Job::Tally(connector, answer) => drop(answer.send(self.tally(&connector))),
                Job::Forget(before, answer) => drop(answer.send(self.forget(before))),
                Job::Check(answer) => drop(answer.send(self.check())),
                Job::Task(task) => task(self),
                Job::Begin(..) | Job::Change(..) => {}
            }
        }
    }

    /// Makes changes in one commit, each whole or not at all, and tells whoever waits for one what became of it.
    fn commit(&mut self, changes: Vec<Change>) {
        let path = self.path.clone();
        let mut changes = changes.into_iter();
        let mut made = Vec::new();
        let committed = self.connection().and_then(|connection| {
            let alone = changes.len() == 1;
            let mut work = || {
                synchronous(connection, true)?;
                let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
                for change in changes.by_ref() {
                    if !alone {
                        transaction.prepare_cached("SAVEPOINT one")?.execute([])?;
                    }
                    let Some((is_fine, tell)) = change(Ok((&transaction, &path))) else { continue };
                    made.push(tell);
                    // Some failures undo everything that was done before.
                    if transaction.is_autocommit() || (alone && !is_fine) {
                        return Ok(false);
                    }
                    if !alone {
                        if !is_fine {
                            transaction.prepare_cached("ROLLBACK TO one")?.execute([])?;
                        }
                        transaction.prepare_cached("RELEASE one")?.execute([])?;
                    }
                }
                transaction.commit().map(|()| true)
            };
            work().map_err(|error| explain(&path, &error))
        });
        let committed = self.wrote(match committed {
            Ok(true) => Ok(()),
            Ok(false) => Err(undone(&path)),
            Err(error) => Err(error),
        });
        for tell in made {
            tell(committed.clone());
        }
        let error = committed.err().unwrap_or_else(|| undone(&path));
        for change in changes {
            change(Err(&error));
        }
    }

    fn write(&mut self, invocations: &[Invocation], durably: bool) -> Result<()> {
        let path = self.path.clone();
        let failed = |error: rusqlite::Error| explain(&path, &error);
        let owner = self.owner.clone();
        let connection = self.connection()?;
        // What somebody waits for is on the disk before it goes on; the rest may wait for the system to write it.
        synchronous(connection, durably).map_err(failed)?;
        let transaction =
            connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        {
            let mut insert = transaction
                .prepare_cached(
                    "INSERT INTO invocations (id, project, connector, action, state, begun, owner, ms, attempts, head, body)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
                     ON CONFLICT (id) DO UPDATE SET state = ?5, ms = ?8, attempts = ?9, head = ?10, body = ?11",
                )
                .map_err(failed)?;
            for invocation in invocations {
                let (connector, action) =
                    invocation.action.split_once('.').unwrap_or((&invocation.action, ""));
                let (head, body) = split(invocation)?;
                insert
                    .execute(params![
                        invocation.id,
                        invocation.project,
                        connector,
                        action,
                        invocation.state.as_str(),
                        invocation.begun.to_string(),
                        owner,
                        invocation.ms.map(|ms| i64::try_from(ms).unwrap_or(i64::MAX)),
                        i64::try_from(invocation.attempts).unwrap_or(i64::MAX),
                        head,
                        body
                    ])
                    .map_err(failed)?;
            }
        }
        transaction.commit().map_err(failed)
    }

    fn find(&mut self, scope: Option<Scope>, id: &str) -> Result<Option<Invocation>> {
        let path = self.path.clone();
        let failed = |error: rusqlite::Error| explain(&path, &error);
        let connection = self.connection()?;
        let mut select = connection
            .prepare_cached(
                "SELECT state, owner, head, body FROM invocations WHERE id >= ?1 AND id < ?2
                    AND (?3 IS NULL OR project = ?3) AND (?4 IS NULL OR json_extract(head, '$.user') = ?4) LIMIT 2",
            )
            .map_err(failed)?;
        // Everything that begins like this.
        let after = format!("{id}\u{10FFFF}");
        // How many of others' there are would be a word too much.
        let (project, user) = scope.map_or((None, None), |scope| (Some(scope.project), scope.user));
        let rows =
            select.query_map(params![id, after, project, user], |row| read(row, true)).map_err(failed)?;
        let mut found = rows.collect::<rusqlite::Result<Vec<Invocation>>>().map_err(failed)?;
        if let Some(exact) = found.iter().position(|invocation| invocation.id == id) {
            return Ok(Some(found.swap_remove(exact)));
        }
        if found.len() > 1 {
            let text = format!("several invocations begin with `{}`", id.escape_debug());
            return Err(Error::new(ErrorKind::Unknown, text)
                .hint("give more of the id, which is in: jackfield invocation list"));
        }
        Ok(found.pop())
    }

    fn list(&mut self, wanted: &Wanted) -> Result<Vec<Invocation>> {
        let path = self.path.clone();
        let failed = |error: rusqlite::Error| explain(&path, &error);
        let mut conditions = vec!["1".to_owned()];
        let mut values: Vec<Sql> = Vec::new();
        // Whether somebody is still at work on it is not for the table to say.
        let state = wanted.state.map(|state| if state == State::Lost { State::Running } else { state });
        for (column, value) in [
            ("project", wanted.project.clone()),
            ("connector", wanted.connector.clone()),
            ("action", wanted.action.clone()),
            ("state", state.map(|state| state.as_str().to_owned())),
        ] {
            if let Some(value) = value {
                values.push(Sql::Text(value));
                conditions.push(format!("{column} = ?{}", values.len()));
            }
        }
        if let Some(user) = &wanted.user {
            values.push(Sql::Text(user.clone()));
            conditions.push(format!("json_extract(head, '$.user') = ?{}", values.len()));
        }
        if let Some(after) = &wanted.after {
            values.push(Sql::Text(after.clone()));
            conditions.push(format!("id < ?{}", values.len()));
        }
        let most = wanted.most.unwrap_or(LISTED);
        let query = format!(
            "SELECT state, owner, head, body FROM invocations WHERE {} ORDER BY id DESC",
            conditions.join(" AND "),
        );
        let connection = self.connection()?;
        let mut select = connection.prepare_cached(&query).map_err(failed)?;
        let rows =
            select.query_map(rusqlite::params_from_iter(values), |row| read(row, false)).map_err(failed)?;
        // As many as are wanted of those that are meant: of the ones that are under way by the table, some are lost.
        let meant = |row: &rusqlite::Result<Invocation>| {
            row.as_ref().map_or(true, |invocation| wanted.state.is_none_or(|state| state == invocation.state))
        };
        let found = rows.filter(meant).take(usize::try_from(most).unwrap_or(usize::MAX));
        found.collect::<rusqlite::Result<Vec<Invocation>>>().map_err(failed)
    }

    fn tally(&mut self, connector: &str) -> Result<Tally> {
        let path = self.path.clone();
        let connection = self.connection()?;
        connection
            .query_row(
                "SELECT count(*), count(*) FILTER (WHERE state = ?2) FROM invocations WHERE connector = ?1",
                params![connector, State::Failed.as_str()],
                |row| {
                    let number = |at: usize| row.get::<_, i64>(at).map(i64::unsigned_abs);
                    Ok(Tally { all: number(0)?, failed: number(1)? })
                },
            )
            .map_err(|error| explain(&path, &error))
    }

    fn forget(&mut self, before: Timestamp) -> Result<u64> {
        let path = self.path.clone();
        let failed = |error: rusqlite::Error| explain(&path, &error);
        let connection = self.connection()?;
        let mut gone = 0;
        // In pieces, so that others get their turn.
        loop {
            let deleted = connection
                .prepare_cached(
                    "DELETE FROM invocations WHERE id IN (SELECT id FROM invocations WHERE begun < ?1 ORDER BY begun LIMIT 500)",
                )
                .and_then(|mut delete| delete.execute(params![before.to_string()]))
                .map_err(failed)?;
            gone += deleted as u64;
            if deleted < 500 {
                break;
            }
        }
        Ok(gone)
    }

    fn check(&mut self) -> Result<()> {
        let path = self.path.clone();
        let failed = |error: rusqlite::Error| explain(&path, &error);
        let connection = self.connection()?;
        let found: String =
            connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(failed)?;
        if found == "ok" { Ok(()) } else { Err(damaged(&path)) }
    }
}

/// Sets whether what is committed is on the disk by then. SQLite does so when it reads the statement, not when it runs it: kept
/// ready, it would do nothing.
fn synchronous(connection: &Connection, durably: bool) -> rusqlite::Result<()> {
    connection.pragma_update(None, "synchronous", if durably { "FULL" } else { "NORMAL" })
}

fn open(path: &Path) -> Result<Connection> {
    let failed = |error: rusqlite::Error| explain(path, &error);
    // The owner's alone, as what SQLite puts beside it will be.
    let made = fs::OpenOptions::new().create(true).append(true).mode(0o600).open(path);
    if let Err(error) = made {
        let text = format!("{} cannot be written: {}", path.display(), system::words(&error));
        return Err(Error::new(ErrorKind::Config, text).hint("see whether the directory is there, and yours"));
    }
    let mut connection = Connection::open(path).map_err(failed)?;
    connection.busy_timeout(PATIENCE).map_err(failed)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // The last one to close it would otherwise write everything back, and a command would wait for that.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true).map_err(failed)?;
    // Otherwise whatever uses a partial index is planned anew for each value that it is given.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map_err(failed)?;
    connection.pragma_update(None, "journal_mode", "WAL").map_err(failed)?;
    let version =
        |connection: &Connection| connection.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0));
    let found = version(&connection).map_err(failed)?;
    if found > VERSION {
        let text = format!("{} was written by a later Jackfield", path.display());
        return Err(Error::new(ErrorKind::Config, text).hint("use that one, or a newer one"));
    }
    if found < VERSION {
        if found > 0 {
            keep_before_migration(&connection, path, found)?;
        }
        let transaction =
            connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
        // Somebody else may have been first.
        let found = version(&transaction).map_err(failed)?;
        migrate(&transaction, found).map_err(failed)?;
        transaction.commit().map_err(failed)?;
    }
    Ok(connection)
}

/// Takes the tables from a version to ours, in one transaction: whoever is killed meanwhile has changed nothing.
fn migrate(transaction: &Transaction<'_>, found: i64) -> rusqlite::Result<()> {
    if found < 1 {
        transaction.execute_batch(TABLES)?;
    }
    if found < 2 {
        transaction.execute_batch(accounts::TABLES)?;
        accounts::first_project(transaction)?;
    }
    if found < 3 {
        transaction.execute_batch(events::TABLES)?;
        transaction.execute_batch(feeds::TABLES)?;
    }
    if found < 4 {
        transaction.execute_batch(events::MORE)?;
        events::fill_origins(transaction)?;
    }
    transaction.pragma_update(None, "user_version", VERSION)
}

/// Copies what is there into `backups` beside it, so that there is a way back.
fn keep_before_migration(connection: &Connection, path: &Path, version: i64) -> Result<()> {
    let directory = path.with_file_name("backups");
    let name = format!("{}-version-{version}.db", Timestamp::now().strftime("%Y%m%dT%H%M%SZ"));
    let (copy, cannot) = (directory.join(name), system::cannot("write", &directory));
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory);
    made.map_err(cannot)?;
    match fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&copy) {
        Ok(_) => {}
        // Another process does the same in this very second.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => return Ok(()),
        Err(error) => return Err(cannot(error)),
    }
    connection
        .execute("VACUUM INTO ?1", [copy.display().to_string()])
        .map(drop)
        .map_err(|error| explain(path, &error))
}

/// What came of putting a copy back.
pub struct Restored {
    /// Where what was there before lies now.
    pub before: Option<PathBuf>,
}

/// Puts a copy in the place of the store. Whoever calls this has made sure that nobody serves from it. `may` is asked whether
/// what was sealed with these keys can be opened.
///
/// # Errors
///
/// If the copy is none of ours, is damaged, or holds what cannot be opened; then everything is as it was.
pub fn restore(path: &Path, copy: &Path, may: impl Fn(&[String]) -> Result<()>) -> Result<Restored> {
    let odd = |text: String| {
        Error::new(ErrorKind::Usage, text).hint("name a file that was made with: jackfield backup FILE")
    };
    let shown = copy.display().to_string();
    let cannot = system::cannot("read", copy);
    let bytes = fs::metadata(copy).map_err(cannot)?;
    if !bytes.is_file() || bytes.len() == 0 {
        return Err(odd(format!("{shown} is no copy of a store")));
    }
    // Into the place where it will be: a copy that cannot be made whole takes nothing away.
    let fresh = path.with_extension("restoring");
    for left in [fresh.clone(), beside(&fresh, "-wal"), beside(&fresh, "-shm")] {
        let _ = fs::remove_file(left);
    }
    let result = (|| {
        let mut from = fs::File::open(copy).map_err(cannot)?;
        let to = system::cannot("write", &fresh);
        let mut file =
            fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&fresh).map_err(to)?;
        std::io::copy(&mut from, &mut file).and_then(|_| file.sync_all()).map_err(to)?;
        let failed = |error: rusqlite::Error| match explain(copy, &error) {
            error if error.message.ends_with("is damaged") => {
                odd(format!("{shown} is damaged, or no copy of a store"))
            }
            error => error,
        };
        let connection = Connection::open(&fresh).map_err(failed)?;
        let version: i64 =
            connection.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(failed)?;
        if !(1..=VERSION).contains(&version) {
            return Err(odd(format!("{shown} was not written by this Jackfield, or by a later one")));
        }
        let found: String =
            connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0)).map_err(failed)?;
        if found != "ok" {
            return Err(odd(format!("{shown} is damaged")));
        }
        if version >= 2 {
            let mut used = accounts::keys_in_use(&connection, version).map_err(failed)?;
            used.0.extend(used.1.filter(|current| !used.0.contains(current)));
            may(&used.0)?;
        }
        Ok(())
    })();
    if let Err(error) = result {
        let _ = fs::remove_file(&fresh);
        return Err(error);
    }
    let failed = system::cannot("write", path);
    let before = if path.exists() {
        let directory = path.with_file_name("backups");
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory).map_err(failed)?;
        let name = format!("{}-before-restore.db", Timestamp::now().strftime("%Y%m%dT%H%M%SZ"));
        let kept = directory.join(name);
        // Whole, with what still lies beside it.
        accounts::copy(path, &kept)?;
        Some(kept)
    } else {
        None
    };
    if path.exists() {
        // What still lies beside it goes into it first: whoever is killed before the end has lost nothing.
        let connection = open(path)?;
        let busy: i64 = connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
            .map_err(|error| explain(path, &error))?;
        if busy != 0 {
            return Err(Error::new(ErrorKind::Conflict, format!("another process uses {}", path.display()))
                .hint("wait for it to end, then run it again"));
        }
    }
    for left in [beside(path, "-wal"), beside(path, "-shm")] {
        match fs::remove_file(&left) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
    }
    fs::rename(&fresh, path).map_err(failed)?;
    for left in [beside(&fresh, "-wal"), beside(&fresh, "-shm")] {
        let _ = fs::remove_file(left);
    }
    if let Some(directory) = path.parent() {
        fs::File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed)?;
    }
    Ok(Restored { before })
}

/// A file of SQLite's beside the store.
fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    name.into()
}

/// What a list shows, and the rest.
fn split(invocation: &Invocation) -> Result<(String, String)> {
    let internal =
        |error| Error::new(ErrorKind::Internal, format!("an invocation cannot be written: {error}"));
    let mut head = serde_json::to_value(invocation).map_err(internal)?;
    let mut body = serde_json::Map::new();
    for name in ["input", "output", "exchange"] {
        if let Some(value) = head.as_object_mut().and_then(|head| head.shift_remove(name)) {
            body.insert(name.to_owned(), value);
        }
    }
    Ok((head.to_string(), Value::Object(body).to_string()))
}

fn read(row: &Row<'_>, whole: bool) -> rusqlite::Result<Invocation> {
    let (state, owned): (String, String) = (row.get(0)?, row.get(1)?);
    let (head, body): (String, String) = (row.get(2)?, row.get(3)?);
    let unreadable = |column: usize, error: serde_json::Error| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
    };
    let mut value: Value = serde_json::from_str(&head).map_err(|error| unreadable(2, error))?;
    if whole && let (Value::Object(head), Ok(Value::Object(body))) = (&mut value, serde_json::from_str(&body))
    {
        head.extend(body);
    }
    let mut invocation: Invocation = serde_json::from_value(value).map_err(|error| unreadable(2, error))?;
    invocation.state = State::from_name(&state).unwrap_or(invocation.state);
    if invocation.state == State::Running && !is_alive(&owned) {
        invocation.state = State::Lost;
    }
    Ok(invocation)
}

/// A process, told apart from any that may have its number later.
pub(super) fn owner(process: u32) -> String {
    format!("{process}:{}", started(process).unwrap_or_default())
}

fn is_alive(owned: &str) -> bool {
    let process = owned.split(':').next().and_then(|process| process.parse().ok());
    process.is_some_and(|process| owner(process) == owned && started(process).is_some())
}

/// When a process was started that is there, in the kernel's own count.
fn started(process: u32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name before it may hold anything but ends with the last parenthesis.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    // One that has ended keeps its place until somebody waits for it, and does nothing any more.
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.nth(18).map(str::to_owned)
}

fn damaged(path: &Path) -> Error {
    Error::new(ErrorKind::Config, format!("{} is damaged", path.display())).hint(
        "put a copy of it back; without one, move it away together with the files beside it of the same name",
    )
}

/// That something was undone together with what was done beside it.
fn undone(path: &Path) -> Error {
    Error::new(ErrorKind::Config, format!("{} could not be written", path.display()))
        .hint("see whether its disk is well and has room; then run it again")
}

/// What went wrong, in words that help.
fn explain(path: &Path, error: &rusqlite::Error) -> Error {
    let at = path.display();
    let code = error.sqlite_error().map(|error| error.extended_code & 0xff);
    let (kind, text, hint) = match code {
        Some(ffi::SQLITE_NOTADB | ffi::SQLITE_CORRUPT) => return damaged(path),
        Some(ffi::SQLITE_BUSY | ffi::SQLITE_LOCKED) => {
            let text =
                format!("another process has kept {at} for itself for more than {} s", PATIENCE.as_secs());
            return Error::new(ErrorKind::Unavailable, text)
                .hint("see which one: fuser on that file; then run it again")
                .retry_at(Timestamp::now().saturating_add(COME_BACK).unwrap_or(Timestamp::MAX));
        }
        Some(ffi::SQLITE_FULL) => {
            (ErrorKind::Config, format!("there is no room to write {at}"), "make room on that disk")
        }
        Some(ffi::SQLITE_READONLY | ffi::SQLITE_CANTOPEN | ffi::SQLITE_PERM | ffi::SQLITE_IOERR) => (
            ErrorKind::Config,
            format!("{at} cannot be read or written"),
            "see whether it is yours, and whether its disk is well",
        ),
        _ => (
            ErrorKind::Internal,
            format!("{at}: {error}"),
            "run it again; if it stays, this is a fault of Jackfield",
        ),
    };
    Error::new(kind, text).hint(hint)
}
