//! Moving what was committed out of SQLite's log into the file itself, beside whoever commits. A process that stays has a thread
//! for it: done by the thread that writes, everybody who waits for a commit would wait for that too.
//!
//! While there is no end of commits, such a thread never quite catches up, and the log can only begin anew once it has. So the one
//! that writes does the little that is left when the log has become [`LONG`].

use std::{
    path::PathBuf,
    sync::{
        OnceLock,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

use rusqlite::Connection;

use super::open;

/// After how many commits there is something to move.
const COMMITS: u32 = 32;

/// How many pages the log may have until the thread that writes takes part.
const LONG: u32 = 4096;

/// Whoever moves it, if somebody does.
#[derive(Default)]
pub(super) struct Checkpoints {
    wanted: OnceLock<SyncSender<()>>,
}

impl Checkpoints {
    /// Has a thread do it from now on.
    pub(super) fn begin(&self, path: PathBuf) {
        // One that waits to be seen is enough.
        let (wanted, come) = sync_channel(1);
        let started = thread::Builder::new().name("checkpoints".to_owned()).spawn(move || work(path, &come));
        match started {
            Ok(_) => drop(self.wanted.set(wanted)),
            Err(error) => tracing::debug!("whoever writes also moves what was written: {error}"),
        }
    }
}

fn work(path: PathBuf, come: &Receiver<()>) {
    let mut connection: Option<Connection> = None;
    while come.recv().is_ok() {
        let opened = match connection.take() {
            Some(connection) => Ok(connection),
            None => open(&path).map_err(|error| error.to_string()),
        };
        let moved = opened.and_then(|opened| {
            // As far as that is possible without anybody having to wait.
            let moved = opened.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| row.get::<_, i64>(0));
            connection = Some(opened);
            moved.map_err(|error| error.to_string())
        });
        if let Err(error) = moved {
            tracing::debug!("what was written is not moved yet: {error}");
        }
    }
}

/// What the thread that writes knows of it.
#[derive(Default)]
pub(super) struct Commits {
    count: u32,
    leaves: bool,
}

impl Commits {
    /// Counts a commit of this connection.
    pub(super) fn one(&mut self, of: &Connection, checkpoints: &Checkpoints) {
        let Some(wanted) = checkpoints.wanted.get() else { return };
        if !self.leaves {
            let left = of.pragma_update(None, "wal_autocheckpoint", LONG);
            self.leaves = left.is_ok();
        }
        self.count += 1;
        if self.count >= COMMITS {
            self.count = 0;
            // A full channel means that it has been told already.
            let _ = wanted.try_send(());
        }
    }
}
