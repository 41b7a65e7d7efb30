//! What requests look up again and again - who a token is of, which projects there are, a connection and its grant - as it was
//! read, for as long as nobody has written anything since: neither this process nor another one.
//!
//! SQLite tells that for much less than it takes to read a row and its JSON. What is sealed stays sealed here.

use std::{any::Any, collections::HashMap, time::Instant};

use rusqlite::Connection;

use super::Scope;
use crate::moment::MOMENT;

/// How many answers are kept. There are more connections than that in a large home; those in use are fewer.
const MOST: usize = 1024;

/// What is looked up.
#[derive(PartialEq, Eq, Hash)]
pub(super) enum Question {
    /// All projects.
    Projects,
    /// The signing keys of a project, or all of them.
    SigningKeys(Option<String>),
    /// The token of this digest.
    Token(Vec<u8>),
    /// A connection and its grant.
    Held(Scope, String),
}

/// For what is looked up on the way of a request, where it is asked for: readers wait for no writer.
pub(super) struct Reader {
    pub(super) connection: Connection,
    /// SQLite's count of what others have written, as of when the answers were read.
    version: i64,
    /// How often this process had written when that count was read, and when that was.
    seen: Option<(u64, Instant)>,
    answers: HashMap<Question, Box<dyn Any + Send>>,
}

impl Reader {
    pub(super) fn new(connection: Connection) -> Self {
        Self { connection, version: 0, seen: None, answers: HashMap::new() }
    }

    /// The answer to a question: the one that is known, or the one that is read now and can be kept. `written` says how often
    /// this process has written: that is seen at once. Of another process it is asked again after a [`MOMENT`].
    pub(super) fn answer<T: Clone + Send + 'static>(
        &mut self,
        written: u64,
        question: Question,
        read: impl FnOnce(&Connection) -> rusqlite::Result<T>,
        may_be_kept: impl FnOnce(&T) -> bool,
    ) -> rusqlite::Result<T> {
        if self.seen.is_none_or(|(seen, at)| seen != written || at.elapsed() >= MOMENT) {
            // Before anything is read: what is written between the two makes the answer newer than it is said to be, never older.
            let now = Instant::now();
            let version =
                self.connection.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))?;
            if self.version != version {
                self.answers.clear();
                self.version = version;
            }
            self.seen = Some((written, now));
        }
        if self.answers.len() >= MOST {
            self.answers.clear();
        }
        if let Some(answer) = self.answers.get(&question).and_then(|answer| answer.downcast_ref::<T>()) {
            return Ok(answer.clone());
        }
        let answer = read(&self.connection)?;
        if may_be_kept(&answer) {
            self.answers.insert(question, Box::new(answer.clone()));
        }
        Ok(answer)
    }
}
