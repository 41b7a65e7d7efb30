//! What is known of workers that died, and what follows from it: how long to wait before another one is started, which input
//! is not tried again for a while, and which library is in quarantine.
//!
//! It is kept in a file, since a command lives shorter than what it has to remember, and several processes may have to. A
//! death counts against the very bytes that were loaded: another file under the same id begins anew. It knows nothing of
//! calls but the digest of an input.

use std::{
    fs, io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use connector_protocol::{Error, ErrorKind, Result};
use jiff::{SignedDuration, Timestamp};
use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};
use serde::{Deserialize, Serialize};

use crate::{
    plugins::{Identity, Library},
    system,
};

/// How many deaths within [`MINUTE`] put a library into quarantine.
const TOO_MANY: usize = 5;
const MINUTE: SignedDuration = SignedDuration::from_secs(60);

/// How long to wait after a death before another worker is started; twice as long after each further one within a minute.
const BACKOFF: Duration = Duration::from_millis(50);
const MAX_BACKOFF: Duration = Duration::from_secs(2);

/// How long an input is refused at which a worker died; twice as long each further time within a day.
const REFUSED: SignedDuration = SignedDuration::from_secs(30);
const MAX_REFUSED: SignedDuration = SignedDuration::from_hours(1);
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// How long and how many deaths are remembered, of one library.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(30 * 24);
const MOST: usize = 100;

/// What a call is about, as far as it is to blame.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Doing {
    /// The action.
    pub action: String,
    /// A digest of its input.
    pub input: String,
}

/// A worker that died.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Death {
    /// The connector's id.
    pub connector: String,
    /// Its version.
    pub version: String,
    /// The SHA-256 of the library, in hex.
    pub sha256: String,
    /// When.
    pub at: Timestamp,
    /// Of what.
    pub reason: String,
    /// The call that it was at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doing: Option<Doing>,
}

/// A library of which no worker is started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantine {
    /// The connector's id.
    pub connector: String,
    /// The SHA-256 of the library, in hex.
    pub sha256: String,
    /// Since when.
    pub since: Timestamp,
    /// Why.
    pub reason: String,
}

/// What is remembered.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Memory {
    deaths: Vec<Death>,
    quarantines: Vec<Quarantine>,
    /// The file that this was read from.
    #[serde(skip)]
    file: Option<Identity>,
}

/// Who remembers.
#[derive(Debug, Default)]
pub struct Supervisor {
    /// Where it is kept; without that, for as long as this process lives.
    path: Option<PathBuf>,
    memory: Mutex<Memory>,
}

impl Supervisor {
    /// One that remembers in this file.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path: Some(path), memory: Mutex::default() }
    }

    /// Whether another worker of this library may be started, and after what time.
    ///
    /// # Errors
    ///
    /// If it is in quarantine, or if that cannot be told.
    pub(super) fn may_start(&self, library: &Library, now: Timestamp) -> Result<Duration> {
        let memory = self.memory()?;
        let digest = &library.head.sha256;
        if let Some(quarantine) = memory.quarantines.iter().find(|known| known.sha256 == *digest) {
            return Err(quarantine.error());
        }
        let recent: Vec<&Death> = memory.recent(digest, now).collect();
        let Some(last) = recent.iter().map(|death| death.at).max() else { return Ok(Duration::ZERO) };
        let doublings = u32::try_from(recent.len() - 1).unwrap_or(u32::MAX);
        let wait = BACKOFF.saturating_mul(2_u32.saturating_pow(doublings)).min(MAX_BACKOFF);
        let passed = Duration::try_from(now.duration_since(last)).unwrap_or_default();
        Ok(wait.saturating_sub(passed))
    }

    /// Whether this may be done, or is what a worker died of a moment ago.
    ///
    /// # Errors
    ///
    /// If it is, or if that cannot be told.
    pub(crate) fn may_run(&self, library: &Library, doing: impl FnOnce() -> Doing) -> Result<()> {
        let memory = self.memory()?;
        let digest = &library.head.sha256;
        if let Some(quarantine) = memory.quarantines.iter().find(|known| known.sha256 == *digest) {
            return Err(quarantine.error());
        }
        if !memory.deaths.iter().any(|death| death.sha256 == *digest && death.doing.is_some()) {
            return Ok(());
        }
        let (doing, now) = (doing(), Timestamp::now());
        let Some((last, until)) = memory.refused(digest, &doing, now) else { return Ok(()) };
        let text = format!(
            "the connector `{}` died of this very input: {}; it is refused until {until:.0}",
            library.id(),
            last.reason
        );
        Err(Error::new(ErrorKind::InputQuarantined, text).retry_at(until).hint(format!(
            "change the input, or wait; to try it now all the same: jackfield connector lift {}",
            library.id()
        )))
    }

    /// Notes that a worker died. Says until when its input is refused, if one is to blame.
    pub(super) fn died(&self, library: &Library, reason: &str, doing: Option<Doing>) -> Option<Timestamp> {
        let death = Death {
            connector: library.id().to_owned(),
            version: library.head.version.clone(),
            sha256: library.head.sha256.clone(),
            at: Timestamp::now(),
            reason: reason.to_owned(),
            doing,
        };
        let (until, noted) = self.change(|memory| {
            if let Some(quarantine) = memory.add(death.clone()) {
                tracing::error!(connector = quarantine.connector, "in quarantine: {}", quarantine.reason);
            }
            let doing = death.doing.as_ref()?;
            memory.refused(&death.sha256, doing, death.at).map(|(_, until)| until)
        });
        if let Err(error) = noted {
            tracing::error!(
                connector = library.id(),
                "a death is not remembered beyond this process: {error}"
            );
        }
        until
    }

    /// Forgets what is held against a connector: its quarantine, and the inputs it died of. Says what that was.
    ///
    /// # Errors
    ///
    /// If it cannot be written down.
    pub fn lift(&self, connector: &str) -> Result<(Vec<Quarantine>, usize)> {
        let (lifted, noted) = self.change(|memory| {
            let (lifted, kept): (Vec<_>, Vec<_>) =
                memory.quarantines.drain(..).partition(|quarantine| quarantine.connector == connector);
            memory.quarantines = kept;
            let deaths = memory.deaths.len();
            memory.deaths.retain(|death| death.connector != connector);
            (lifted, deaths - memory.deaths.len())
        });
        noted.map(|()| lifted)
    }

    /// The deaths of a connector that are remembered, the oldest first.
    ///
    /// # Errors
    ///
    /// If that cannot be told.
    pub fn deaths(&self, connector: &str) -> Result<Vec<Death>> {
        let memory = self.memory()?;
        Ok(memory.deaths.iter().filter(|death| death.connector == connector).cloned().collect())
    }

    /// The quarantine of a library.
    ///
    /// # Errors
    ///
    /// If that cannot be told.
    pub fn quarantine(&self, library: &Library) -> Result<Option<Quarantine>> {
        let memory = self.memory()?;
        Ok(memory.quarantines.iter().find(|known| known.sha256 == library.head.sha256).cloned())
    }

    /// What is remembered, as the file says it now.
    fn memory(&self) -> Result<MutexGuard<'_, Memory>> {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(path) = &self.path {
            let file = fs::metadata(path).ok().map(|metadata| Identity::of(&metadata));
            if file != memory.file {
                *memory = read(path)?;
            }
        }
        Ok(memory)
    }

    /// Changes what is remembered, while nobody else does. In this process it counts also where it cannot be written down.
    fn change<T>(&self, change: impl FnOnce(&mut Memory) -> T) -> (T, Result<()>) {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(path) = &self.path else { return (change(&mut memory), Ok(())) };
        let failed = system::cannot("write", path);
        let lock = fs::File::open(path.parent().unwrap_or(Path::new("/")))
            .and_then(|directory| locked(&directory).map(|()| directory))
            .map_err(failed);
        let before = lock.and_then(|lock| Ok((lock, read(path)?)));
        let (_lock, before) = match before {
            Ok((lock, before)) => (lock, before),
            Err(error) => return (change(&mut memory), Err(error)),
        };
        *memory = before;
        let changed = change(&mut memory);
        let written = write(path, &memory).map_err(failed);
        if written.is_ok() {
            memory.file = fs::metadata(path).ok().map(|metadata| Identity::of(&metadata));
        }
        (changed, written)
    }
}

impl Memory {
    fn recent(&self, digest: &str, now: Timestamp) -> impl Iterator<Item = &Death> {
        self.deaths.iter().filter(move |death| death.sha256 == digest && within(death.at, now, MINUTE))
    }

    /// Until when an input is refused, and the last death of it.
    fn refused(&self, digest: &str, doing: &Doing, now: Timestamp) -> Option<(&Death, Timestamp)> {
        let of_it = |death: &&Death| {
            death.sha256 == digest && death.doing.as_ref() == Some(doing) && within(death.at, now, DAY)
        };
        let last = self.deaths.iter().filter(of_it).max_by_key(|death| death.at)?;
        let doublings = u32::try_from(self.deaths.iter().filter(of_it).count() - 1).unwrap_or(u32::MAX);
        let time = REFUSED.saturating_mul(2_i32.saturating_pow(doublings)).min(MAX_REFUSED);
        let until = last.at.checked_add(time).ok()?;
        (now < until).then_some((last, until))
    }

    /// Adds a death; the quarantine, if this one was too many.
    fn add(&mut self, death: Death) -> Option<Quarantine> {
        let now = death.at;
        let digest = death.sha256.clone();
        self.deaths.push(death);
        self.deaths.retain(|death| within(death.at, now, REMEMBERED));
        while self.deaths.iter().filter(|death| death.sha256 == digest).count() > MOST {
            let oldest = self.deaths.iter().position(|death| death.sha256 == digest)?;
            self.deaths.remove(oldest);
        }
        // One input counts once: it is refused by itself.
        let mut counted: Vec<&Death> = Vec::new();
        for death in self.recent(&digest, now) {
            if death.doing.is_none() || !counted.iter().any(|known| known.doing == death.doing) {
                counted.push(death);
            }
        }
        if counted.len() < TOO_MANY || self.quarantines.iter().any(|known| known.sha256 == digest) {
            return None;
        }
        let last = counted.last()?;
        let quarantine = Quarantine {
            connector: last.connector.clone(),
            sha256: digest.clone(),
            since: now,
            reason: format!(
                "{} of its workers died within a minute, the last one {}",
                counted.len(),
                last.reason
            ),
        };
        self.quarantines.push(quarantine.clone());
        Some(quarantine)
    }
}

/// Whether something was not longer ago than this; what seems to lie ahead, since a clock was set back, is no longer ago.
fn within(at: Timestamp, now: Timestamp, time: SignedDuration) -> bool {
    now.duration_since(at).abs() <= time
}

impl Quarantine {
    /// Why nothing of it is run.
    #[must_use]
    pub fn error(&self) -> Error {
        let Self { connector, since, reason, .. } = self;
        let text = format!("the connector `{connector}` is in quarantine since {since:.0}: {reason}");
        Error::new(ErrorKind::ConnectorQuarantined, text).hint(format!(
            "put another version of it in its place, or try it again: jackfield connector lift {connector}"
        ))
    }
}

fn read(path: &Path) -> Result<Memory> {
    let unreadable = |what: String| {
        Error::new(ErrorKind::Config, format!("{}: cannot be read: {what}", path.display()))
            .hint(format!("it says which connectors died; to begin anew: rm {}", path.display()))
    };
    let words = |error: io::Error| unreadable(system::words(&error));
    let file = match fs::File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Memory::default()),
        file => file.map_err(words)?,
    };
    let identity = Identity::of(&file.metadata().map_err(words)?);
    let mut memory: Memory = serde_json::from_reader(io::BufReader::new(file))
        .map_err(|_| unreadable("it is not what was written there".to_owned()))?;
    memory.file = Some(identity);
    Ok(memory)
}

/// Takes the lock, if nobody holds it for long: who waits here keeps others waiting.
fn locked(directory: &fs::File) -> io::Result<()> {
    for _ in 0..20 {
        match flock(directory, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::AGAIN) => std::thread::sleep(Duration::from_millis(5)),
            done => return done.map_err(Into::into),
        }
    }
    Err(io::Error::other("somebody else holds it"))
}

fn write(path: &Path, memory: &Memory) -> io::Result<()> {
    let fresh = path.with_extension(format!("json.{}", std::process::id()));
    let written = (|| {
        let mut file =
            fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        io::Write::write_all(&mut file, &serde_json::to_vec_pretty(memory)?)?;
        file.sync_all()?;
        fs::rename(&fresh, path)
    })();
    if written.is_err() {
        let _ = fs::remove_file(&fresh);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn death(seconds: i64, input: Option<&str>) -> Death {
        Death {
            connector: "acme".to_owned(),
            version: "1.0.0".to_owned(),
            sha256: "00".to_owned(),
            at: at(seconds),
            reason: "by signal 6".to_owned(),
            doing: input.map(|input| Doing { action: "run".to_owned(), input: input.to_owned() }),
        }
    }

    #[test]
    fn five_deaths_within_a_minute_are_too_many_and_four_are_not() {
        let mut memory = Memory::default();
        for second in [0, 1, 2, 62, 63, 64, 65] {
            assert_eq!(
                memory.add(death(second, None)),
                None,
                "{second}: the first three are longer ago by then"
            );
        }
        let quarantine = memory.add(death(66, None)).unwrap();
        assert!(quarantine.reason.starts_with("5 of its workers died within a minute"), "{quarantine:?}");
        assert_eq!(memory.add(death(67, None)), None, "it is in quarantine already");
    }

    #[test]
    fn one_input_alone_puts_nothing_into_quarantine_and_is_refused_longer_each_time() {
        let mut memory = Memory::default();
        let doing = death(0, Some("a")).doing.unwrap();
        for (second, refused) in
            [(0, 30), (1, 60), (2, 120), (3, 240), (4, 480), (5, 960), (6, 1920), (7, 3600)]
        {
            assert_eq!(memory.add(death(second, Some("a"))), None);
            let (_, until) = memory.refused("00", &doing, at(second)).unwrap();
            assert_eq!(until, at(second + refused));
        }
        assert!(memory.refused("00", &doing, at(7 + 3600)).is_none());
        assert!(memory.refused("01", &doing, at(8)).is_none(), "of another file nothing is known");
        for (second, input) in [(8, "b"), (9, "c"), (10, "d")] {
            assert_eq!(memory.add(death(second, Some(input))), None);
        }
        assert!(memory.add(death(11, Some("e"))).is_some(), "five inputs are the connector's fault");
    }

    #[test]
    fn what_one_process_notes_another_knows() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("deaths.json");
        let (one, other) = (Supervisor::new(path.clone()), Supervisor::new(path.clone()));
        assert_eq!(other.deaths("acme").unwrap(), []);
        one.change(|memory| memory.add(death(0, None))).1.unwrap();
        assert_eq!(other.deaths("acme").unwrap().len(), 1);
        other.change(|memory| memory.add(death(1, None))).1.unwrap();
        assert_eq!(one.deaths("acme").unwrap().len(), 2);
        assert_eq!(one.lift("acme").unwrap().1, 2);
        assert_eq!(other.deaths("acme").unwrap(), []);
        // What cannot be read is no permission.
        fs::write(&path, "{").unwrap();
        let error = other.deaths("acme").unwrap_err();
        assert!(error.hint.unwrap().ends_with(&format!("rm {}", path.display())));
        assert!(other.lift("acme").is_err());
        // Where nothing can be written, it counts in this process.
        let nowhere = Supervisor::new(directory.path().join("nowhere/deaths.json"));
        for second in 0..5 {
            assert!(nowhere.change(|memory| memory.add(death(second, None))).1.is_err());
        }
        assert_eq!(nowhere.memory().unwrap().quarantines.len(), 1);
    }
}
