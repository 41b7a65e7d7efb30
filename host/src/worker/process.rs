//! One worker process, from its start to its end.

use std::{
    collections::{HashMap, HashSet},
    io,
    os::{fd::OwnedFd, unix::process::ExitStatusExt},
    process::{Child, ExitStatus},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use connector_abi::message;
use connector_protocol::{Error, ErrorKind, Result};
use tokio::{
    io::AsyncReadExt,
    net::{UnixStream, unix::pipe},
    runtime::Handle,
    sync::oneshot,
    task::JoinSet,
    time::{sleep, timeout},
};

use super::{
    frame::Kind,
    link::{self, Gone, Incoming, Sender},
    spawn::{Started, Starting},
    workers::{GIVE_WAY, Services},
};
use crate::{plugins::Library, system};

/// How long a worker may take to load its library.
const START: Duration = Duration::from_secs(10);

/// How many requests one call may have at the host at once.
const MAX_ASKS: usize = 64;

/// How much of what a worker writes to its standard error is kept, in bytes.
const MAX_STDERR: usize = 64 * 1024;

/// A running worker.
pub(super) struct Process {
    sender: Sender,
    state: Arc<Mutex<State>>,
    /// Whether it has been given anything that might be secret.
    called: Arc<AtomicBool>,
    next: AtomicU64,
}

struct State {
    connector: String,
    child: Child,
    calls: HashMap<u64, InFlight>,
    /// Which call a request belongs to.
    asks: HashMap<u64, u64>,
    /// Calls that nobody waits for any more, and that have not given way yet.
    stopping: HashSet<u64>,
    /// Why it is no longer running.
    dead: Option<Error>,
    /// Why we killed it, if we did.
    killed_for: Option<&'static str>,
}

/// A call that has not been answered.
struct InFlight {
    answer: oneshot::Sender<Answer>,
    services: Arc<dyn Services>,
    /// To the worker.
    sender: Sender,
    /// What it has asked of the host. Ends with the call.
    asks: HashMap<u64, tokio::task::AbortHandle>,
    tasks: JoinSet<()>,
}

/// What became of a call.
pub(super) enum Answer {
    /// The connector's message.
    Message(Vec<u8>),
    /// The connector's error.
    Error(Error),
    /// It has ended because it was told to.
    Ended,
    /// The worker is gone, and the call with it.
    Died(Error),
}

impl Process {
    /// Takes over a worker that is being started, and waits until it has loaded the library. What its code declares is
    /// compared with what the file does, unless that was done before.
    pub(super) async fn start(starting: Starting, library: &Library) -> Result<Arc<Self>> {
        let connector = library.id().to_owned();
        let failed = |error: io::Error| {
            Error::new(ErrorKind::Internal, format!("cannot start a worker: {}", system::words(&error)))
        };
        let started =
            starting.await.map_err(|_| failed(io::Error::other("the thread that starts them is gone")))?;
        let Started { mut child, socket } = started?;
        let called = Arc::new(AtomicBool::new(false));
        if let Some(stderr) = child.get().and_then(|child| child.stderr.take()) {
            tokio::spawn(log_stderr(OwnedFd::from(stderr), connector.clone(), called.clone()));
        }
        let (sender, mut receiver, transmit) = link::link(UnixStream::from_std(socket).map_err(failed)?);
        tokio::spawn(transmit);

        let refused =
            |text: &str| Error::new(ErrorKind::PluginRefused, format!("{}: {text}", library.path.display()));
        match timeout(START, receiver.next()).await {
            Err(_) => return Err(refused(&format!("did not load within {} s", START.as_secs()))),
            Ok(Ok(Incoming { kind: Kind::Ready, bytes, .. })) => {
                let proved =
                    bytes.is_empty() && library.is_verified() || bytes == library.manifest_bytes()?;
                if !proved {
                    return Err(refused("its manifest is not what its code declares").hint(
                        "in the connector's crate: JACKFIELD_UPDATE=1 cargo test, then build it again",
                    ));
                }
                library.set_verified();
            }
            Ok(Ok(Incoming { kind: Kind::Refused, bytes, .. })) => {
                let mut error: Error = serde_json::from_slice(&bytes)
                    .unwrap_or_else(|_| refused("was refused without a reason"));
                error.message = format!("{}: {}", library.path.display(), error.message);
                return Err(error);
            }
            Ok(Ok(_)) => return Err(refused("its worker does not speak our protocol")),
            Ok(Err(_)) => {
                let how = child.how_it_ended().map_or_else(|| "in an unknown way".to_owned(), how_ended);
                return Err(refused(&format!("its worker died while it was loaded ({how})")));
            }
        }
        let state = Arc::new(Mutex::new(State {
            connector,
            child: child.keep()?,
            calls: HashMap::new(),
            asks: HashMap::new(),
            stopping: HashSet::new(),
            dead: None,
            killed_for: None,
        }));
        tokio::spawn(read(receiver, sender.clone(), state.clone()));
        Ok(Arc::new(Self { sender, state, called, next: AtomicU64::new(1) }))
    }

    pub(super) fn is_dead(&self) -> bool {
        lock(&self.state).dead.is_some()
    }

    /// Begins a call. The guard ends it when it is dropped.
    pub(super) fn begin(
        self: &Arc<Self>,
        bytes: Vec<u8>,
        services: Arc<dyn Services>,
    ) -> Result<(Guard, oneshot::Receiver<Answer>)> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (answer, receiver) = oneshot::channel();
        {
            let mut state = lock(&self.state);
            if let Some(error) = &state.dead {
                return Err(error.clone());
            }
            let in_flight = InFlight {
                answer,
                services,
                sender: self.sender.clone(),
                asks: HashMap::new(),
                tasks: JoinSet::new(),
            };
            state.calls.insert(id, in_flight);
        }
        self.called.store(true, Ordering::Relaxed);
        self.sender.send(Kind::Call, id, bytes);
        Ok((Guard { process: self.clone(), id }, receiver))
    }

    /// Kills the worker. Whatever is in flight in it fails.
    pub(super) fn kill(&self, why: &'static str) {
        let mut state = lock(&self.state);
        state.killed_for = Some(why);
        // From now on nobody is given to it; those it has are told when it is gone.
        state.dead = Some(died(&format!("it was killed: {why}")));
        let _ = state.child.kill();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let mut state = lock(&self.state);
        state.killed_for.get_or_insert(NOT_NEEDED);
        let _ = state.child.kill();
        let _ = state.child.wait();
    }
}

/// A call that is running. Dropping it stops the call.
pub(super) struct Guard {
    process: Arc<Process>,
    id: u64,
}

impl Guard {
    /// Asks the worker to stop the call; the answer is `call_ended`, or one that was already on its way.
    pub(super) fn cancel(&self) {
        self.process.sender.stop(Kind::Call, self.id);
        self.process.sender.send(Kind::Cancel, self.id, Vec::new());
    }

    pub(super) fn kill(&self, why: &'static str) {
        self.process.kill(why);
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        {
            let mut state = lock(&self.process.state);
            if state.end(self.id).is_none() || state.dead.is_some() {
                return;
            }
            state.stopping.insert(self.id);
        }
        self.cancel();
        // Nobody waits for it any more, its deadline neither: one that goes on for ever would.
        if let Ok(runtime) = Handle::try_current() {
            let (process, id) = (Arc::downgrade(&self.process), self.id);
            runtime.spawn(async move {
                sleep(GIVE_WAY).await;
                if let Some(process) = process.upgrade()
                    && lock(&process.state).stopping.contains(&id)
                {
                    process.kill("it did not give way when it was stopped");
                }
            });
        }
    }
}

impl State {
    /// Forgets a call, and stops what it has asked of the host.
    fn end(&mut self, id: u64) -> Option<InFlight> {
        let call = self.calls.remove(&id)?;
        for (ask, task) in &call.asks {
            self.asks.remove(ask);
            if !task.is_finished() {
                reply(&call.sender, *ask, Err(call_ended()));
            }
        }
        Some(call)
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Why a worker is killed of which nobody wants anything any more. That is how it should be, and nothing to warn of.
const NOT_NEEDED: &str = "nobody needs it any more";

/// Takes what the worker says until it is gone.
async fn read(mut receiver: link::Receiver, sender: Sender, state: Arc<Mutex<State>>) {
    let gone = loop {
        match receiver.next().await {
            Ok(incoming) => {
                if let Err(what) = take(incoming, &sender, &state) {
                    break Gone::Violation(what);
                }
            }
            Err(gone) => break gone,
        }
    };
    let (connector, killed_for) = {
        let mut state = lock(&state);
        if let Gone::Violation(what) = gone {
            state.killed_for = Some(what);
            let _ = state.child.kill();
        }
        (state.connector.clone(), state.killed_for)
    };
    let status = wait_for_end(&state).await;
    let how = match killed_for {
        Some(why) => format!("it was killed: {why}"),
        None => status.map_or_else(|| "its fate is unknown".to_owned(), how_ended),
    };
    if killed_for == Some(NOT_NEEDED) {
        tracing::debug!(connector, "a worker ended: {how}");
    } else {
        tracing::warn!(connector, "a worker ended: {how}");
    }
    let error = died(&how);
    let calls = {
        let mut state = lock(&state);
        state.dead = Some(error.clone());
        state.asks.clear();
        std::mem::take(&mut state.calls)
    };
    for call in calls.into_values() {
        let _ = call.answer.send(Answer::Died(error.clone()));
    }
}

fn died(how: &str) -> Error {
    Error::new(ErrorKind::ConnectorCrashed, format!("the connector's worker died ({how})"))
        .hint("run it again: a new worker will be started")
}

/// Takes one message of the worker; an error if it makes no sense.
fn take(incoming: Incoming, sender: &Sender, state: &Arc<Mutex<State>>) -> Result<(), &'static str> {
    let Incoming { kind, id, bytes } = incoming;
    match kind {
        Kind::Answer | Kind::Failure | Kind::Ended => {
            let mut guard = lock(state);
            guard.stopping.remove(&id);
            let ended = guard.end(id);
            drop(guard);
            if let Some(call) = ended {
                let answer = match kind {
                    Kind::Answer => Answer::Message(bytes),
                    Kind::Failure => Answer::Error(read_failure(&bytes)),
                    _ => Answer::Ended,
                };
                let _ = call.answer.send(answer);
            }
        }
        Kind::Ask => {
            let (call, op, message) = split_ask(&bytes).ok_or("a request that makes no sense")?;
            let mut guard = lock(state);
            let State { calls, asks, .. } = &mut *guard;
            if asks.contains_key(&id) {
                return Err("two requests under one id");
            }
            let Some(in_flight) = calls.get_mut(&call) else {
                reply(sender, id, Err(call_ended()));
                return Ok(());
            };
            while in_flight.tasks.try_join_next().is_some() {}
            in_flight.asks.retain(|ask, task| {
                let running = !task.is_finished();
                if !running {
                    asks.remove(ask);
                }
                running
            });
            if in_flight.tasks.len() >= MAX_ASKS {
                let text = format!("more than {MAX_ASKS} requests at once");
                reply(sender, id, Err(Error::new(ErrorKind::Blocked, text)));
                return Ok(());
            }
            let (services, op, message) = (in_flight.services.clone(), op.to_owned(), message.to_vec());
            let sender = sender.clone();
            let task = in_flight.tasks.spawn(async move {
                let answer = services.call(&op, message).await;
                reply(&sender, id, answer);
            });
            in_flight.asks.insert(id, task);
            asks.insert(id, call);
        }
        Kind::Withdraw => {
            let mut guard = lock(state);
            if let Some(call) = guard.asks.remove(&id)
                && let Some(task) = guard.calls.get_mut(&call).and_then(|call| call.asks.remove(&id))
            {
                task.abort();
                sender.stop(Kind::Reply, id);
            }
        }
        Kind::Log => {
            let services = lock(state).calls.get(&id).map(|call| call.services.clone());
            if let (Some(services), Some((level, line))) = (services, bytes.split_first()) {
                services.log(*level, &String::from_utf8_lossy(line));
            }
        }
        _ => return Err("a message that is not for the host"),
    }
    Ok(())
}

/// What a connector hears that has kept the handle of a call, or waits for an answer of it elsewhere.
fn call_ended() -> Error {
    Error::new(ErrorKind::CallEnded, "the call that this belonged to has ended")
}

fn reply(sender: &Sender, id: u64, answer: Result<Vec<u8>>) {
    match answer {
        Ok(bytes) => sender.send(Kind::Reply, id, bytes),
        Err(error) => {
            let head = serde_json::to_vec(&error).unwrap_or_default();
            sender.send(Kind::ReplyFailure, id, message::encode(&head, &[]));
        }
    }
}

/// The other side's `join_ask`.
fn split_ask(bytes: &[u8]) -> Option<(u64, &str, &[u8])> {
    let (call, rest) = bytes.split_first_chunk::<8>()?;
    let (&len, rest) = rest.split_first()?;
    let (op, message) = rest.split_at_checked(usize::from(len))?;
    Some((u64::from_le_bytes(*call), std::str::from_utf8(op).ok()?, message))
}

fn read_failure(bytes: &[u8]) -> Error {
    let error = message::decode(bytes).ok().and_then(|(head, _)| serde_json::from_slice(head).ok());
    error.unwrap_or_else(|| {
        Error::new(ErrorKind::ConnectorFault, "the connector failed in a way that cannot be read")
    })
}

/// Waits for a process whose socket has closed. It should be gone; if it is not, it is killed.
async fn wait_for_end(state: &Mutex<State>) -> Option<ExitStatus> {
    for _ in 0..100 {
        if let Ok(Some(status)) = lock(state).child.try_wait() {
            return Some(status);
        }
        sleep(Duration::from_millis(2)).await;
    }
    let mut state = lock(state);
    let _ = state.child.kill();
    state.child.wait().ok()
}

fn how_ended(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (_, Some(signal)) => format!("by signal {signal}"),
        (Some(code), _) => format!("with exit code {code}"),
        _ => "in an unknown way".to_owned(),
    }
}

/// Puts what a worker writes to its standard error into the log, up to a limit; the rest is read and dropped, so that it
/// never blocks. Once it has been called there is no knowing what it writes, so only how much is said.
async fn log_stderr(stderr: OwnedFd, connector: String, called: Arc<AtomicBool>) {
    let Ok(mut pipe) = pipe::Receiver::from_owned_fd(stderr) else {
        return;
    };
    let mut buffer = vec![0; 4096];
    let mut left = MAX_STDERR;
    while let Ok(len) = pipe.read(&mut buffer).await {
        if len == 0 {
            return;
        }
        if called.load(Ordering::Relaxed) {
            tracing::debug!(
                connector,
                bytes = len,
                "the worker wrote to its standard error; `ctx.log` is what is kept"
            );
            continue;
        }
        let shown = len.min(left);
        left -= shown;
        for line in String::from_utf8_lossy(&buffer[..shown]).lines() {
            tracing::debug!(connector, "worker: {}", line.escape_debug());
        }
    }
}
