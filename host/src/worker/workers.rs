//! The workers of a host: one process a connector, started on first use or a little ahead of it, started again when it has
//! died or its file is another one.

use std::{
    collections::HashMap,
    path::PathBuf,
    pin::Pin,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use connector_protocol::{Error, ErrorKind, Result};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::{
    runtime::Handle,
    sync::{Mutex, OwnedMutexGuard, oneshot::error::RecvError},
    time::{sleep, sleep_until, timeout, timeout_at},
};

use super::{
    image::{Image, Images},
    jail::{Isolation, Walls},
    process::{Answer, Process},
    spawn::{Job, Starting, start},
    supervisor::{Doing, Supervisor},
};
use crate::plugins::{Identity, Library};

/// How long a worker has to stop a call before it is killed. A slow provider is not a hung connector: a connector that
/// waits gives way at once.
pub(super) const GIVE_WAY: Duration = Duration::from_millis(250);

/// One of the three families of verbs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// Verbs about a connection.
    Auth = 0,
    /// Verbs about actions.
    Action = 1,
    /// Verbs about triggers.
    Trigger = 2,
}

/// What the host offers to one call. It ends with the call: what is running then is dropped.
pub trait Services: Send + Sync + 'static {
    /// Does something for the connector.
    fn call(&self, op: &str, message: Vec<u8>) -> Pin<Box<dyn Future<Output = Result<Vec<u8>>> + Send + '_>>;

    /// Takes a line of the connector's log. `level` is 1 (error) to 5 (trace).
    fn log(&self, level: u8, line: &str);

    /// What the call is about, should the connector die of it; nothing, if that cannot be told.
    fn doing(&self) -> Option<Doing> {
        None
    }
}

/// On what terms workers run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// What is to happen where the kernel cannot lock a worker in.
    pub isolation: Isolation,
    /// How much memory a worker may take beside its program.
    pub memory_bytes: u64,
    /// How much processor time a call may take, in seconds.
    pub cpu_seconds: u64,
    /// Where a library is copied to, if the system gives no memory for it.
    pub copies: PathBuf,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            isolation: Isolation::default(),
            memory_bytes: 512 * 1024 * 1024,
            cpu_seconds: 10,
            copies: std::env::temp_dir(),
        }
    }
}

/// A worker that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Running {
    /// The connector's id.
    pub connector: String,
    /// Its version.
    pub version: String,
    /// The SHA-256 of the library that it has loaded, in hex.
    pub sha256: String,
    /// Its process.
    pub pid: u32,
    /// How many calls it has been given.
    pub calls: u64,
    /// How many of them go on.
    pub running: usize,
    /// What it has of memory for itself, in bytes; without the code of its library, which all workers of that share.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// What keeps it in.
    pub walls: Walls,
    /// Whether its library lies on a disk, because the system gives no memory for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub on_disk: bool,
}

/// One call into a connector.
pub struct Call {
    /// The family of the verb.
    pub family: Family,
    /// The verb.
    pub op: &'static str,
    /// The message.
    pub message: Vec<u8>,
    /// What the host offers to it.
    pub services: Arc<dyn Services>,
    /// When it must have ended.
    pub deadline: Instant,
}

/// How a call failed.
#[derive(Debug)]
pub enum Failed {
    /// The connector answered with an error.
    Said(Error),
    /// It was stopped at its deadline, and gave way.
    Stopped,
    /// Its process could not be started, died, or had to be killed.
    Broke(Error),
}

fn read(answer: Result<Answer, RecvError>) -> Result<Vec<u8>, Failed> {
    match answer {
        Ok(Answer::Message(bytes)) => Ok(bytes),
        Ok(Answer::Error(error)) => Err(Failed::Said(error)),
        Ok(Answer::Ended) => Err(Failed::Stopped),
        Ok(Answer::Died(error)) => Err(Failed::Broke(error)),
        Err(_) => Err(Failed::Broke(Error::new(ErrorKind::Internal, "the worker's answer was lost"))),
    }
}

/// What belongs into one process together: calls of one connector in one version, of one isolation group.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    connector: String,
    version: String,
    /// The file it was loaded from: one that takes its place gets a worker of its own.
    file: Identity,
    /// The same for all as yet; by project, later.
    group: String,
}

/// Where a worker is, once it has been started.
type Slot = Arc<Mutex<Place>>;

#[derive(Default)]
struct Place {
    running: Option<Arc<Process>>,
    /// The bytes of the library, once a worker has loaded them: they are there when the file no longer is.
    image: Option<Arc<Image>>,
    /// One that was started ahead of its first call.
    starting: Option<Starting>,
}

/// The place of a library's worker. While somebody has it, what the library was loaded from stays, also when the library is
/// retired meanwhile.
#[derive(Clone)]
pub struct Reserved(Slot);

impl Reserved {
    /// Whether a worker has loaded the library, so that it is there whatever has become of its file. One that is being started
    /// is waited for.
    pub(crate) async fn has_image(&self) -> bool {
        self.0.lock().await.image.is_some()
    }
}

/// The workers of a host.
pub struct Workers {
    program: PathBuf,
    terms: RwLock<Arc<Terms>>,
    supervisor: Arc<Supervisor>,
    images: Arc<Images>,
    slots: std::sync::Mutex<HashMap<Key, Slot>>,
}

impl Default for Workers {
    /// Workers on the usual terms, of which nothing is remembered.
    fn default() -> Self {
        Self::new(Terms::default(), Arc::default())
    }
}

impl Workers {
    /// Workers that are the program that is running, from its very file: an upgrade of the binary on disk while it runs
    /// does not start workers that speak another protocol.
    #[must_use]
    pub fn new(terms: Terms, supervisor: Arc<Supervisor>) -> Self {
        Self::of("/proc/self/exe", terms, supervisor)
    }

    /// Workers that are this program: a `jackfield` binary.
    pub fn of(program: impl Into<PathBuf>, terms: Terms, supervisor: Arc<Supervisor>) -> Self {
        Self {
            program: program.into(),
            terms: RwLock::new(Arc::new(terms)),
            supervisor,
            images: Arc::default(),
            slots: std::sync::Mutex::default(),
        }
    }

    /// From now on workers are started on these terms. Those that run finish what they have, and get nothing more.
    pub fn set_terms(&self, terms: Terms) {
        let mut known = self.terms.write().unwrap_or_else(PoisonError::into_inner);
        if **known != terms {
            *known = Arc::new(terms);
        }
    }

    fn terms(&self) -> Arc<Terms> {
        self.terms.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Who remembers which of them died.
    #[must_use]
    pub fn supervisor(&self) -> &Supervisor {
        &self.supervisor
    }

    /// Whether a worker has loaded this very library, so that it is there whatever has become of its file.
    pub(crate) fn has_loaded(&self, library: &Library) -> bool {
        let slot = self.slots.lock().unwrap_or_else(PoisonError::into_inner).get(&key(library)).cloned();
        // Where somebody has it, it is being started.
        slot.is_some_and(|slot| slot.try_lock().map_or(true, |place| place.image.is_some()))
    }

    /// Gives no more calls to workers of libraries that are not there any more. What goes on in them ends there.
    pub(crate) fn retire(&self, is_there: impl Fn(&Identity) -> bool) {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner).retain(|key, _| is_there(&key.file));
    }

    /// Those that run.
    #[must_use]
    pub fn running(&self) -> Vec<Running> {
        let slots: Vec<Slot> =
            self.slots.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect();
        let mut running: Vec<Running> = slots
            .iter()
            .filter_map(|slot| slot.try_lock().ok()?.running.clone())
            .filter(|process| !process.is_dead())
            .map(|process| process.describe())
            .collect();
        running.sort_by(|a, b| a.connector.cmp(&b.connector));
        running
    }

    /// Calls a connector.
    ///
    /// # Errors
    ///
    /// How it failed: the connector said so, it was stopped, or it broke.
    pub async fn call(&self, library: &Arc<Library>, call: Call) -> Result<Vec<u8>, Failed> {
        self.call_at(&self.reserve(library), library, call).await
    }

    /// The place of a library's worker, for somebody who will call it.
    pub(crate) fn reserve(&self, library: &Library) -> Reserved {
        Reserved(self.slot(library))
    }

    /// Calls a connector at the place that was reserved for it.
    pub(crate) async fn call_at(
        &self,
        place: &Reserved,
        library: &Arc<Library>,
        call: Call,
    ) -> Result<Vec<u8>, Failed> {
        let bytes = join_call(call.family, call.op, &call.message);
        let mut again = true;
        let (guard, mut answer) = loop {
            // Loading is part of what the call may take.
            let process = match timeout_at(call.deadline.into(), self.process(place, library)).await {
                Ok(process) => process.map_err(Failed::Broke)?,
                Err(_) => return Err(Failed::Stopped),
            };
            crate::timings::stage("worker");
            match process.begin(bytes.clone(), call.services.clone()) {
                Ok(begun) => break begun,
                // It has ended in this very moment, and was given nothing.
                Err(_) if again => again = false,
                Err(error) => return Err(Failed::Broke(error)),
            }
        };
        tokio::select! {
            biased;
            answer = &mut answer => return read(answer),
            () = sleep_until(call.deadline.into()) => {}
        }
        guard.cancel();
        match timeout(GIVE_WAY, &mut answer).await {
            Ok(answer) => read(answer),
            Err(_) => {
                guard.kill("it did not give way at its deadline");
                let error = Error::new(
                    ErrorKind::ConnectorTimeout,
                    "the connector did not give way at its deadline",
                )
                .hint("this is a fault of the connector; its worker was ended, and others are not affected");
                Err(Failed::Broke(error))
            }
        }
    }

    /// Has a worker load a library, and prove that its code declares what its manifest says.
    ///
    /// # Errors
    ///
    /// Why it cannot be loaded.
    pub async fn prove(&self, library: &Arc<Library>) -> Result<()> {
        self.process(&self.reserve(library), library).await.map(drop)
    }

    /// Starts a connector's worker, if there is none, while whoever will call it does something else.
    pub fn expect(&self, library: &Arc<Library>) {
        let slot = self.slot(library);
        // Where somebody has it, it is being started.
        if let Ok(mut place) = slot.try_lock_owned()
            && place.starting.is_none()
            && place.usable(&self.terms()).is_none()
            && self.supervisor.may_start(library, Timestamp::now()).is_ok_and(|wait| wait.is_zero())
        {
            let job = self.job(library);
            let starting = start(job.clone());
            match Handle::try_current() {
                // Whoever comes waits for it, and if nobody does, it is seen whether it gets there all the same.
                Ok(runtime) => {
                    place.starting = Some(starting);
                    drop(runtime.spawn(begin(place, job, self.supervisor.clone())));
                }
                Err(_) => place.starting = Some(starting),
            }
        }
    }

    fn job(&self, library: &Arc<Library>) -> Job {
        Job {
            program: self.program.clone(),
            library: library.clone(),
            images: self.images.clone(),
            terms: self.terms(),
        }
    }

    fn slot(&self, library: &Library) -> Slot {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        slots.entry(key(library)).or_default().clone()
    }

    async fn process(&self, place: &Reserved, library: &Arc<Library>) -> Result<Arc<Process>> {
        // Held while one is started: whoever wants the same one waits for it, and nobody else.
        let place = place.0.clone().lock_owned().await;
        if let Some(process) = place.usable(&self.terms()) {
            return Ok(process);
        }
        // It goes on when nobody waits for it any more, so that one that does not get there is known to be such.
        let begun = tokio::spawn(begin(place, self.job(library), self.supervisor.clone()));
        begun.await.map_err(|_| Error::new(ErrorKind::Internal, "a worker's start was broken off"))?
    }
}

impl Place {
    /// The worker that is here, if it lives and was started on these terms.
    fn usable(&self, terms: &Arc<Terms>) -> Option<Arc<Process>> {
        self.running.clone().filter(|process| !process.is_dead() && process.is_on(terms))
    }
}

/// Starts a worker in its place, after whatever time it has to wait for that.
async fn begin(
    mut place: OwnedMutexGuard<Place>,
    job: Job,
    supervisor: Arc<Supervisor>,
) -> Result<Arc<Process>> {
    let library = job.library.clone();
    let wait = supervisor.may_start(&library, Timestamp::now())?;
    if !wait.is_zero() {
        sleep(wait).await;
    }
    let starting = place.starting.take().unwrap_or_else(|| start(job.clone()));
    let had_to_prove = !library.is_verified();
    let mut process = Process::start(starting, &library, supervisor.clone()).await?;
    if had_to_prove {
        // Saying all that its code declares has taken memory which it would keep for as long as it lives.
        process = Process::start(start(job), &library, supervisor).await?;
    }
    place.image = Some(process.image());
    Ok(place.running.insert(process).clone())
}

fn key(library: &Library) -> Key {
    Key {
        connector: library.id().to_owned(),
        version: library.head.version.clone(),
        file: library.identity.clone(),
        group: String::new(),
    }
}

/// A call as its worker takes it apart again: family, verb, message.
pub(super) fn join_call(family: Family, op: &'static str, message: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(2 + op.len() + message.len());
    bytes.push(family as u8);
    bytes.push(u8::try_from(op.len()).unwrap_or_default());
    bytes.extend_from_slice(op.as_bytes());
    bytes.extend_from_slice(message);
    bytes
}
