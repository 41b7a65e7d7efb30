//! The workers of a host: one process a connector, started on first use or a little ahead of it, started again when it has
//! died or its file is another one.

use std::{
    collections::HashMap,
    path::PathBuf,
    pin::Pin,
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use connector_protocol::{Error, ErrorKind, Result};
use tokio::{
    sync::{Mutex, oneshot::error::RecvError},
    time::{sleep_until, timeout, timeout_at},
};

use super::{
    process::{Answer, Process},
    spawn::{Starting, start},
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
    /// One that was started ahead of its first call.
    starting: Option<Starting>,
}

/// The workers of a host.
pub struct Workers {
    program: PathBuf,
    slots: std::sync::Mutex<HashMap<Key, Slot>>,
}

impl Default for Workers {
    /// Workers that are the program that is running, from its very file: an upgrade of the binary on disk while it runs
    /// does not start workers that speak another protocol.
    fn default() -> Self {
        Self::of("/proc/self/exe")
    }
}

impl Workers {
    /// Workers that are this program: a `jackfield` binary.
    pub fn of(program: impl Into<PathBuf>) -> Self {
        Self { program: program.into(), slots: std::sync::Mutex::default() }
    }

    /// Calls a connector.
    ///
    /// # Errors
    ///
    /// How it failed: the connector said so, it was stopped, or it broke.
    pub async fn call(&self, library: &Arc<Library>, call: Call) -> Result<Vec<u8>, Failed> {
        // Loading is part of what the call may take.
        let process = match timeout_at(call.deadline.into(), self.process(library)).await {
            Ok(process) => process.map_err(Failed::Broke)?,
            Err(_) => return Err(Failed::Stopped),
        };
        crate::timings::stage("worker");
        let bytes = join_call(call.family, call.op, &call.message);
        let (guard, mut answer) = process.begin(bytes, call.services).map_err(Failed::Broke)?;
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
        self.process(library).await.map(drop)
    }

    /// Starts a connector's worker, if there is none, while whoever will call it does something else.
    pub fn expect(&self, library: &Arc<Library>) {
        let slot = self.slot(library);
        // Where somebody has it, it is being started.
        if let Ok(mut place) = slot.try_lock()
            && place.starting.is_none()
            && place.running.as_ref().is_none_or(|process| process.is_dead())
        {
            place.starting = Some(start(self.program.clone(), library.clone()));
        }
    }

    fn slot(&self, library: &Library) -> Slot {
        let key = Key {
            connector: library.id().to_owned(),
            version: library.head.version.clone(),
            file: library.identity.clone(),
            group: String::new(),
        };
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.get(&key) {
            return slot.clone();
        }
        // What this file has taken the place of gets no more calls; those that are in it end there.
        slots.retain(|other, _| other.connector != key.connector || other.group != key.group);
        slots.entry(key).or_default().clone()
    }

    async fn process(&self, library: &Arc<Library>) -> Result<Arc<Process>> {
        let slot = self.slot(library);
        // Held while one is started: whoever wants the same one waits for it, and nobody else.
        let mut place = slot.lock().await;
        if let Some(process) = place.running.as_ref().filter(|process| !process.is_dead()) {
            return Ok(process.clone());
        }
        let starting = place.starting.take().unwrap_or_else(|| start(self.program.clone(), library.clone()));
        let process = Process::start(starting, library).await?;
        Ok(place.running.insert(process).clone())
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
