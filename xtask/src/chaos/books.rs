//! What the store says, beside whoever serves it or after that has been killed, and whether it is what both ends say.

use std::{
    collections::{HashMap, HashSet},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use rusqlite::{Connection, config::DbConfig};

use super::{app::Came, senders::Told};
use crate::{Result, hooks::TRIGGER};

/// How long what is still to be done may take when nothing more comes.
const PATIENCE: Duration = Duration::from_secs(300);

/// The store of a home.
pub(crate) struct Books(PathBuf);

impl Books {
    pub(crate) fn of(home: &Path) -> Self {
        Self(home.join("data/jackfield.db"))
    }

    /// Opens it, and leaves everything as it was when it is closed: what lies beside the file is for the next server to find.
    pub(super) fn open(&self) -> Result<Connection> {
        let opened = || {
            let connection = Connection::open(&self.0)?;
            connection.busy_timeout(Duration::from_secs(20))?;
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
            Ok(connection)
        };
        opened().map_err(|error: rusqlite::Error| format!("{}: {error}", self.0.display()))
    }

    fn ask<T: rusqlite::types::FromSql>(&self, query: &str) -> Result<Vec<T>> {
        let connection = self.open()?;
        let found = || {
            let mut select = connection.prepare(query)?;
            select.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<T>>>()
        };
        found().map_err(|error: rusqlite::Error| format!("{query}: {error}"))
    }

    /// The events whose success is recorded.
    pub(super) fn done(&self) -> Result<Vec<String>> {
        self.ask("SELECT event FROM dispatches WHERE state = 'done'")
    }

    /// What is still to be done.
    pub(super) fn open_ends(&self) -> Result<i64> {
        let found = self.ask(
            "SELECT (SELECT count(*) FROM deliveries WHERE state = 'waiting')
                + (SELECT count(*) FROM dispatches WHERE state IN ('waiting', 'sending'))",
        )?;
        Ok(found.first().copied().unwrap_or_default())
    }

    /// Waits until nothing is left to be done.
    pub(crate) fn settle(&self) -> Result {
        let begun = Instant::now();
        loop {
            let left = self.open_ends()?;
            if left == 0 {
                return Ok(());
            }
            if begun.elapsed() > PATIENCE {
                return Err(format!("{left} deliveries and events are still to be dealt with"));
            }
            thread::sleep(Duration::from_millis(100));
        }
    }

    /// What SQLite says of the file.
    pub(super) fn is_whole(&self) -> Result<bool> {
        Ok(self.ask::<String>("PRAGMA integrity_check")? == ["ok"])
    }
}

/// What both ends and the store say.
pub(super) struct Compared {
    pub(super) acknowledged: usize,
    /// Acknowledged deliveries that are not there.
    pub(super) lost: usize,
    /// Acknowledged deliveries without their event, or that were made into several.
    pub(super) not_once: usize,
    /// Acknowledged deliveries whose event the app has never taken.
    pub(super) never_taken: usize,
    /// Events that were sent again after their success had been recorded.
    pub(super) sent_after_done: usize,
    /// Meetings that came under more than one id.
    pub(super) two_ids: usize,
    /// Events that the app had taken, and that came again under the same id.
    pub(super) came_again: usize,
}

impl Compared {
    /// Compares them. `done` says how often the server had been killed when an event was known to be done for the first time.
    pub(super) fn new(
        books: &Books,
        told: &Told,
        came: &[Came],
        done: &HashMap<String, usize>,
    ) -> Result<Self> {
        let acknowledged = told.acknowledged();
        let kept: Vec<i64> =
            books.ask("SELECT json_extract(CAST(body AS TEXT), '$.payload.object.id') FROM deliveries")?;
        let kept: HashSet<u64> = kept.into_iter().map(i64::unsigned_abs).collect();
        let mut events: HashMap<u64, usize> = HashMap::new();
        let made: Vec<String> = books.ask(&format!(
            "SELECT json_extract(head, '$.data.meeting.id') FROM events WHERE kind = '{TRIGGER}'"
        ))?;
        for meeting in made {
            *events.entry(meeting.parse().unwrap_or_default()).or_default() += 1;
        }
        let mut taken: HashMap<u64, usize> = HashMap::new();
        let mut ids: HashMap<u64, HashSet<&str>> = HashMap::new();
        let mut again: HashSet<&str> = HashSet::new();
        for one in came {
            if taken.contains_key(&one.meeting) {
                again.insert(&one.event);
            }
            if one.taken {
                *taken.entry(one.meeting).or_default() += 1;
            }
            ids.entry(one.meeting).or_default().insert(&one.event);
        }
        let of = |is: &dyn Fn(&u64) -> bool| acknowledged.iter().filter(|number| is(number)).count();
        Ok(Self {
            acknowledged: acknowledged.len(),
            lost: of(&|number| !kept.contains(number)),
            not_once: of(&|number| events.get(number) != Some(&1)),
            never_taken: of(&|number| !taken.contains_key(number)),
            sent_after_done: came
                .iter()
                .filter(|one| done.get(&one.event).is_some_and(|kills| one.kills > *kills))
                .count(),
            two_ids: ids.values().filter(|ids| ids.len() > 1).count(),
            came_again: again.len(),
        })
    }

    /// Prints it, and fails if anything is not as it has to be.
    pub(super) fn tell(&self) -> Result {
        println!("        {} deliveries acknowledged", self.acknowledged);
        let mut wrong = 0;
        for (what, count) in [
            ("acknowledged deliveries lost", self.lost),
            ("acknowledged deliveries without their event, or with two", self.not_once),
            ("events that the app has never taken", self.never_taken),
            ("events sent again after their success was recorded", self.sent_after_done),
            ("events that came under two ids", self.two_ids),
        ] {
            println!("{:<8}{what}: {count}", if count == 0 { "ok" } else { "WRONG" });
            wrong += count;
        }
        println!(
            "        {} events came again under the same id: the server ended, or was kept from its store, between the app's success and \
             its record",
            self.came_again
        );
        if self.acknowledged == 0 {
            return Err("nothing was acknowledged, so nothing is proven".to_owned());
        }
        if wrong == 0 { Ok(()) } else { Err("what was acknowledged is not what arrived".to_owned()) }
    }
}
