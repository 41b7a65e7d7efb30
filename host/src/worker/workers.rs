//! The workers of a host: one process a connector, started on first use, started again when it has died.

use std::{
    collections::HashMap,
    path::PathBuf,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use connector_protocol::{Error, ErrorKind, Result};
use tokio::{
    sync::Mutex,
    time::{sleep_until, timeout},
};

use super::process::Process;
use crate::plugins::Library;

/// How long a worker has to stop a call before it is killed. A slow provider is not a hung connector: a connector that
/// waits gives way at once.
const GIVE_WAY: Duration = Duration::from_millis(250);

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

/// What belongs into one process together: calls of one connector in one version, of one isolation group.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    connector: String,
    version: String,
    /// The same for all as yet; by project, later.
    group: String,
}

/// The workers of a host.
pub struct Workers {
    program: PathBuf,
    running: Mutex<HashMap<Key, Arc<Process>>>,
}

impl Default for Workers {
    /// Workers that are the program that is running, from its very file: an upgrade of the binary on disk while it runs
    /// does not start workers that speak another protocol.
    fn default() -> Self {
        Self { program: PathBuf::from("/proc/self/exe"), running: Mutex::default() }
    }
}

impl Workers {
    /// Calls a connector.
    ///
    /// # Errors
    ///
    /// What the connector answers; `timeout` at the deadline, or `connector_timeout` if it did not give way then;
    /// `connector_crashed` if its process died; `plugin_refused` if the library could not be loaded.
    pub async fn call(&self, library: &Library, call: Call) -> Result<Vec<u8>> {
        let process = self.process(library).await?;
        let bytes = join_call(call.family, call.op, &call.message);
        let (guard, mut answer) = process.begin(bytes, call.services)?;
        let lost = || Error::new(ErrorKind::Internal, "the worker's answer was lost");
        tokio::select! {
            biased;
            answer = &mut answer => return answer.map_err(|_| lost())?,
            () = sleep_until(call.deadline.into()) => {}
        }
        guard.cancel();
        match timeout(GIVE_WAY, &mut answer).await {
            // It has just made it.
            Ok(Ok(Ok(bytes))) => Ok(bytes),
            Ok(Ok(Err(error))) if error.kind != ErrorKind::CallEnded => Err(error),
            Ok(_) => Err(Error::new(ErrorKind::Timeout, "it took longer than it may")),
            Err(_) => {
                guard.kill("it did not give way at its deadline");
                Err(Error::new(ErrorKind::ConnectorTimeout, "the connector did not give way at its deadline")
                    .hint(
                        "this is a fault of the connector; its worker was ended, and others are not affected",
                    ))
            }
        }
    }

    async fn process(&self, library: &Library) -> Result<Arc<Process>> {
        let key = Key {
            connector: library.id().to_owned(),
            version: library.manifest.version.clone(),
            group: String::new(),
        };
        // Held while one is started: whoever comes meanwhile wants the same one.
        let mut running = self.running.lock().await;
        if let Some(process) = running.get(&key)
            && !process.is_dead()
        {
            return Ok(process.clone());
        }
        let process = Process::start(&self.program, library).await?;
        running.insert(key, process.clone());
        Ok(process)
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
