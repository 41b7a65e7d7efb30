//! One worker process, from its start to its end.

use std::{
    collections::HashMap,
    io,
    os::{fd::OwnedFd, unix::process::ExitStatusExt},
    process::{Child, ExitStatus},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use connector_abi::message;
use connector_protocol::{Error, ErrorKind, Result};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, prlimit};
use tokio::{
    io::{AsyncReadExt, Interest, unix::AsyncFd},
    net::{UnixStream, unix::pipe},
    runtime::Handle,
    sync::oneshot,
    task::{JoinHandle, JoinSet},
    time::{sleep, timeout, timeout_at},
};

use super::{
    MAX_LINES,
    frame::Kind,
    image::Image,
    jail::Walls,
    link::{self, Gone, Incoming, Sender},
    mark::Mark,
    spawn::{Started, Starting, has_ended, kill},
    supervisor::Supervisor,
    workers::{GIVE_WAY, Running, Services, Terms},
};
use crate::{plugins::Library, system};

/// How long a reason of a library's may be, in characters.
const MAX_REASON: usize = 500;

/// How long a worker may take to load its library.
const START: Duration = Duration::from_secs(10);

/// How many requests one call may have at the host at once.
const MAX_ASKS: usize = 64;

/// How much of what a worker writes to its standard error is kept, in bytes.
const MAX_STDERR: usize = 64 * 1024;

/// How long what a dead worker has sent before is still taken.
const LAST_WORDS: Duration = Duration::from_millis(50);

/// How many bytes of requests of a worker are held at once.
const MAX_ASKED: usize = 64 * 1024 * 1024;

/// How much of its end is looked at for a reason.
const LAST: usize = 256;

/// A running worker.
pub(super) struct Process {
    sender: Sender,
    state: Arc<Mutex<State>>,
    library: Arc<Library>,
    walls: Walls,
    image: Arc<Image>,
    terms: Arc<Terms>,
    /// Whether it has been given anything that might be secret.
    called: Arc<AtomicBool>,
    next: AtomicU64,
}

struct State {
    library: Arc<Library>,
    supervisor: Arc<Supervisor>,
    child: Child,
    mark: Option<Mark>,
    clock: Processor,
    /// How many bytes the requests have that go on.
    asked: Arc<AtomicUsize>,
    calls: HashMap<u64, InFlight>,
    /// Which call a request belongs to.
    asks: HashMap<u64, u64>,
    /// Calls that nobody waits for any more, and that have not given way yet.
    stopping: HashMap<u64, Arc<dyn Services>>,
    /// Why it is no longer running.
    dead: Option<Error>,
    /// Whether it has been waited for: its number may be another's.
    reaped: bool,
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
    /// How many lines of log it has written.
    lines: usize,
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
    pub(super) async fn start(
        starting: Starting,
        library: &Arc<Library>,
        supervisor: Arc<Supervisor>,
    ) -> Result<Arc<Self>> {
        let connector = library.id().to_owned();
        let failed = |error: io::Error| {
            Error::new(ErrorKind::Internal, format!("cannot start a worker: {}", system::words(&error)))
        };
        let started =
            starting.await.map_err(|_| failed(io::Error::other("the thread that starts them is gone")))?;
        let Started { mut child, pidfd, socket, mark, image, terms } = started?;
        let called = Arc::new(AtomicBool::new(false));
        let stderr = child.get().and_then(|child| child.stderr.take()).map(OwnedFd::from);
        let stderr = tokio::spawn(log_stderr(stderr, connector.clone(), called.clone()));
        let pidfd = pidfd.and_then(watched);
        let (sender, mut receiver, transmit) = link::link(UnixStream::from_std(socket).map_err(failed)?);
        tokio::spawn(transmit);

        let refused =
            |text: &str| Error::new(ErrorKind::PluginRefused, format!("{}: {text}", library.path.display()));
        // Ending while it loads is a death like any other.
        let broke = |how: &str| {
            supervisor.died(library, how, None);
            refused(how)
        };
        let until = Instant::now() + START;
        let mut walls = None;
        let first = loop {
            match timeout_at(until.into(), heard(&mut receiver, pidfd.as_ref())).await {
                // What comes before the library is opened is our own side's; what comes after it may be the library's.
                Ok(Ok(Incoming { kind: Kind::Locked, bytes, .. })) if walls.is_none() => {
                    walls = Some(serde_json::from_slice::<Walls>(&bytes).unwrap_or_default());
                }
                other => break other,
            }
        };
        match first {
            Err(_) => return Err(broke(&format!("did not load within {} s", START.as_secs()))),
            Ok(Ok(Incoming { kind: Kind::Ready, bytes: manifest, .. })) if walls.is_some() => {
                let proved =
                    manifest.is_empty() && library.is_verified() || manifest == library.manifest_bytes()?;
                if !proved {
                    return Err(refused("its manifest is not what its code declares").hint(
                        "in the connector's crate: JACKFIELD_UPDATE=1 cargo test, then build it again",
                    ));
                }
                library.set_verified();
            }
            Ok(Ok(Incoming { kind: Kind::Refused, bytes, .. })) => {
                let said: Error = serde_json::from_slice(&bytes)
                    .unwrap_or_else(|_| refused("was refused without a reason"));
                if walls.is_none() {
                    let message = format!("{}: {}", library.path.display(), said.message);
                    return Err(Error { message, ..said });
                }
                // A library has no say in what kind of error it is, nor in what to do next.
                let hint = "put a good one in its place: jackfield connector add FILE";
                return Err(refused(&said.message.chars().take(MAX_REASON).collect::<String>()).hint(hint));
            }
            Ok(Ok(_)) => return Err(refused("its worker does not speak our protocol")),
            Ok(Err(_)) => {
                let how = child.how_it_ended().map_or_else(|| "in an unknown way".to_owned(), how_ended);
                return Err(broke(&format!("its worker died while it was loaded ({how})")));
            }
        }
        let child = child.keep()?;
        let state = Arc::new(Mutex::new(State {
            library: library.clone(),
            supervisor,
            clock: Processor::new(child.id(), terms.cpu_seconds),
            child,
            mark,
            asked: Arc::default(),
            calls: HashMap::new(),
            asks: HashMap::new(),
            stopping: HashMap::new(),
            dead: None,
            reaped: false,
            killed_for: None,
        }));
        tokio::spawn(read(receiver, pidfd, stderr, sender.clone(), state.clone(), terms.clone()));
        let next = AtomicU64::new(1);
        let walls = walls.unwrap_or_default();
        Ok(Arc::new(Self { sender, state, library: library.clone(), walls, image, terms, called, next }))
    }

    pub(super) fn is_dead(&self) -> bool {
        let state = lock(&self.state);
        state.reaped || state.dead.is_some()
    }

    /// Whether it was started on these terms.
    pub(super) fn is_on(&self, terms: &Arc<Terms>) -> bool {
        Arc::ptr_eq(&self.terms, terms)
    }

    /// What it has loaded.
    pub(super) fn image(&self) -> Arc<Image> {
        self.image.clone()
    }

    /// How it is.
    pub(super) fn describe(&self) -> Running {
        let (pid, running) = {
            let state = lock(&self.state);
            (state.child.id(), state.calls.len())
        };
        Running {
            connector: self.library.id().to_owned(),
            version: self.library.head.version.clone(),
            sha256: self.library.head.sha256.clone(),
            pid,
            calls: self.next.load(Ordering::Relaxed) - 1,
            running,
            memory_bytes: private_memory(pid),
            walls: self.walls.clone(),
            on_disk: self.image.is_on_disk(),
        }
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
            if state.reaped {
                return Err(crashed("it has just ended"));
            }
            let in_flight = InFlight {
                answer,
                services,
                sender: self.sender.clone(),
                asks: HashMap::new(),
                tasks: JoinSet::new(),
                lines: 0,
            };
            let idle = state.calls.is_empty();
            state.clock.allow(idle);
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
        state.dead = Some(crashed(&format!("it was killed: {why}")));
        kill(&mut state.child);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let mut state = lock(&self.state);
        state.killed_for.get_or_insert(NOT_NEEDED);
        kill(&mut state.child);
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
            let Some(call) = state.end(self.id) else { return };
            state.stopping.insert(self.id, call.services);
            if state.dead.is_some() {
                return;
            }
        }
        self.cancel();
        // Nobody waits for it any more, its deadline neither: one that goes on for ever would.
        if let Ok(runtime) = Handle::try_current() {
            let (process, id) = (Arc::downgrade(&self.process), self.id);
            runtime.spawn(async move {
                sleep(GIVE_WAY).await;
                if let Some(process) = process.upgrade()
                    && lock(&process.state).stopping.contains_key(&id)
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

/// A process that tells when it ends.
#[allow(unsafe_code, reason = "the runtime cannot know that a descriptor stays what it is")]
fn watched(pidfd: OwnedFd) -> Option<AsyncFd<OwnedFd>> {
    // SAFETY: the descriptor is owned by what is made of it, and always the same.
    unsafe { AsyncFd::register_with_interest(pidfd, Interest::READABLE) }.ok()
}

/// The next message, unless the process has ended and there is none.
async fn heard(receiver: &mut link::Receiver, pidfd: Option<&AsyncFd<OwnedFd>>) -> Result<Incoming, Gone> {
    let ended = async {
        match pidfd {
            Some(pidfd) => drop(pidfd.readable().await),
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        incoming = receiver.next() => return incoming,
        () = ended => {}
    }
    // What it has said before is there. Whatever it has started may hold the socket open, and is not listened to.
    timeout(LAST_WORDS, receiver.next()).await.unwrap_or(Err(Gone::Closed))
}

/// Takes what the worker says until it is gone.
async fn read(
    mut receiver: link::Receiver,
    pidfd: Option<AsyncFd<OwnedFd>>,
    stderr: JoinHandle<Option<u64>>,
    sender: Sender,
    state: Arc<Mutex<State>>,
    terms: Arc<Terms>,
) {
    let gone = loop {
        match heard(&mut receiver, pidfd.as_ref()).await {
            Ok(incoming) => {
                if let Err(what) = take(incoming, &sender, &state) {
                    break Gone::Violation(what);
                }
            }
            Err(gone) => break gone,
        }
    };
    let killed_for = {
        let mut state = lock(&state);
        if let Gone::Violation(what) = gone {
            state.killed_for = Some(what);
            kill(&mut state.child);
        }
        state.killed_for
    };
    let status = wait_for_end(&state).await;
    let too_large = timeout(LAST_WORDS, stderr).await.ok().and_then(Result::ok).flatten();
    let mut state = lock(&state);
    let end = End { killed_for, status, too_large, terms: &terms };
    state.ended(&end);
}

/// How a worker ended.
struct End<'a> {
    killed_for: Option<&'static str>,
    status: Option<ExitStatus>,
    /// How much memory it wanted and did not get.
    too_large: Option<u64>,
    terms: &'a Terms,
}

impl End<'_> {
    fn took_too_long(&self) -> bool {
        self.killed_for.is_none()
            && self.status.and_then(|status| status.signal()) == Some(Signal::XCPU.as_raw())
    }

    fn how(&self) -> String {
        if let Some(why) = self.killed_for {
            return format!("it was killed: {why}");
        }
        if self.took_too_long() {
            return format!("it took more than {} s of the processor's time", self.terms.cpu_seconds);
        }
        if let Some(wanted) = self.too_large {
            let most = self.terms.memory_bytes / (1024 * 1024);
            return format!("it asked for {wanted} bytes more of memory, and may have {most} MiB");
        }
        self.status.map_or_else(|| "its fate is unknown".to_owned(), how_ended)
    }
}

impl State {
    /// The worker is gone: whatever goes on in it fails, and the call that it was at is to blame.
    fn ended(&mut self, end: &End<'_>) {
        let how = end.how();
        let connector = self.library.id();
        let mut until = None;
        let mut at = None;
        if end.killed_for == Some(NOT_NEEDED) {
            tracing::debug!(connector, "a worker ended: {how}");
        } else {
            at = self.mark.as_ref().and_then(Mark::get);
            let doing = at.and_then(|at| self.calls.get(&at)).and_then(|call| call.services.doing());
            // A call that nobody waits for any more is to blame as well.
            let doing = doing.or_else(|| self.stopping.get(&at?)?.doing());
            let action = doing.as_ref().map(|doing| doing.action.clone());
            tracing::warn!(connector, action, "a worker died: {how}");
            until = self.supervisor.died(&self.library, &how, doing);
        }
        self.dead = Some(crashed(&how));
        self.asks.clear();
        self.stopping.clear();
        for (id, call) in std::mem::take(&mut self.calls) {
            let error = match until.filter(|_| at == Some(id)) {
                // Of this one we know.
                Some(until) => {
                    let kind = if end.took_too_long() {
                        ErrorKind::ConnectorTimeout
                    } else {
                        ErrorKind::ConnectorCrashed
                    };
                    let text = format!("the connector's worker died of this call ({how})");
                    Error::new(kind, text).hint(format!(
                        "this is a fault of the connector; the same input is refused until {until:.0}"
                    ))
                }
                None => crashed(&how),
            };
            let _ = call.answer.send(Answer::Died(error));
        }
    }
}

fn crashed(how: &str) -> Error {
    Error::new(ErrorKind::ConnectorCrashed, format!("the connector's worker died ({how})"))
        .hint("run it again: a new worker will be started")
}

/// How much of the processor a worker may take. The kernel ends one that has taken it; as long as calls get through, the
/// limit is moved ahead.
struct Processor {
    pid: u32,
    seconds: u64,
    moved: Option<Instant>,
    /// Whether a call has been answered since.
    answered: bool,
}

impl Processor {
    fn new(pid: u32, seconds: u64) -> Self {
        Self { pid, seconds, moved: None, answered: false }
    }

    /// A call begins or ends. `idle` says that nothing else goes on.
    fn allow(&mut self, idle: bool) {
        // No more can have been taken in this time than there is to spare.
        let recently = self.moved.is_some_and(|moved| moved.elapsed() < Duration::from_secs(1));
        if recently || !(idle || self.answered) {
            return;
        }
        (self.moved, self.answered) = (Some(Instant::now()), false);
        if let Err(error) = self.set() {
            tracing::debug!("a worker's processor time cannot be limited: {}", system::words(&error));
        }
    }

    fn set(&self) -> io::Result<()> {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| io::Error::other("there is no such process"))?;
        // A second because the kernel counts whole ones, and one in which it is not moved.
        let most = taken(pid)?.as_secs() + self.seconds + 2;
        // It has inherited what we may have at most.
        let maximum = getrlimit(Resource::Cpu).maximum;
        let current = Some(maximum.map_or(most, |maximum| most.min(maximum)));
        prlimit(Some(pid), Resource::Cpu, Rlimit { current, maximum })?;
        Ok(())
    }
}

/// How much processor time a process has taken.
#[allow(unsafe_code, reason = "the clock of another process is read through libc")]
fn taken(pid: Pid) -> io::Result<Duration> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let mut clock = 0;
    // SAFETY: both are given a place to write to, which is there.
    let failed = unsafe { libc::clock_getcpuclockid(pid.as_raw_nonzero().get(), &raw mut clock) };
    if failed != 0 {
        return Err(io::Error::from_raw_os_error(failed));
    }
    // SAFETY: as above.
    if unsafe { libc::clock_gettime(clock, &raw mut time) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or_default();
    Ok(Duration::new(u64::try_from(time.tv_sec).unwrap_or_default(), nanoseconds))
}

/// How much memory a process has for itself. The pages of a library that nobody has written to are those of its image, which
/// all workers of it share, however many there are.
fn private_memory(pid: u32) -> Option<u64> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/smaps")).ok()?;
    let (mut kilobytes, mut is_image) = (0, false);
    for line in maps.lines() {
        let mut words = line.split_whitespace();
        let (Some(name), Some(size)) = (words.next(), words.next()) else { continue };
        let counts = match name {
            "Private_Clean:" | "Private_Dirty:" => !is_image,
            "Anonymous:" => is_image,
            // The head of a mapping: a range of addresses, and what is mapped.
            _ if !name.ends_with(':') => {
                is_image = line.contains("/memfd:connector");
                false
            }
            _ => false,
        };
        if counts {
            kilobytes += size.parse::<u64>().unwrap_or_default();
        }
    }
    Some(kilobytes * 1024)
}

/// Takes one message of the worker; an error if it makes no sense.
fn take(incoming: Incoming, sender: &Sender, state: &Arc<Mutex<State>>) -> Result<(), &'static str> {
    let Incoming { kind, id, bytes } = incoming;
    match kind {
        Kind::Answer | Kind::Failure | Kind::Ended => {
            let mut guard = lock(state);
            guard.stopping.remove(&id);
            let ended = guard.end(id);
            if ended.is_some() && !guard.reaped {
                guard.clock.answered = true;
                guard.clock.allow(false);
            }
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
            let State { calls, asks, asked, .. } = &mut *guard;
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
            let held = Held { asked: asked.clone(), len: message.len() };
            if asked.fetch_add(held.len, Ordering::Relaxed) + held.len > MAX_ASKED {
                let text = format!("requests of more than {MAX_ASKED} bytes at once");
                reply(sender, id, Err(Error::new(ErrorKind::Blocked, text)));
                return Ok(());
            }
            let (services, op, message) = (in_flight.services.clone(), op.to_owned(), message.to_vec());
            let sender = sender.clone();
            let task = in_flight.tasks.spawn(async move {
                let answer = services.call(&op, message).await;
                drop(held);
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
            let services = match lock(state).calls.get_mut(&id) {
                // Our own side of the worker does not send so many.
                Some(call) if call.lines > MAX_LINES => {
                    return Err("more lines of log than a call may have");
                }
                Some(call) => {
                    call.lines += 1;
                    Some(call.services.clone())
                }
                None => None,
            };
            if let (Some(services), Some((level, line))) = (services, bytes.split_first()) {
                services.log(*level, &String::from_utf8_lossy(line));
            }
        }
        _ => return Err("a message that is not for the host"),
    }
    Ok(())
}

/// Bytes of a request that goes on, which count until it has ended.
struct Held {
    asked: Arc<AtomicUsize>,
    len: usize,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.asked.fetch_sub(self.len, Ordering::Relaxed);
    }
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
        if has_ended(&lock(state).child) != Some(false) {
            break;
        }
        sleep(Duration::from_millis(2)).await;
    }
    // Whatever it has started goes with it.
    let mut state = lock(state);
    kill(&mut state.child);
    state.reaped = true;
    state.child.wait().ok()
}

fn how_ended(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (_, Some(signal)) => {
            let word = match Signal::from_named_raw(signal) {
                Some(Signal::ABORT) => " (abort)",
                Some(Signal::SEGV) => " (a bad pointer, or a stack that ran over)",
                Some(Signal::BUS) => " (memory that is not there)",
                Some(Signal::ILL) => " (an instruction that is none)",
                Some(Signal::FPE) => " (arithmetic)",
                Some(Signal::KILL) => " (killed)",
                _ => "",
            };
            format!("by signal {signal}{word}")
        }
        (Some(code), _) => format!("with exit code {code}"),
        _ => "in an unknown way".to_owned(),
    }
}

/// Puts what a worker writes to its standard error into the log, up to a limit; the rest is read and dropped, so that it
/// never blocks. Once it has been called there is no knowing what it writes, so only that it does is said, and at the end how
/// much. Ends with the stream, and says how many bytes of memory could not be had, if those were its last words.
async fn log_stderr(stderr: Option<OwnedFd>, connector: String, called: Arc<AtomicBool>) -> Option<u64> {
    let mut pipe = pipe::Receiver::from_owned_fd(stderr?).ok()?;
    let mut buffer = vec![0; 4096];
    let mut left = MAX_STDERR;
    let mut unsaid = 0;
    let mut end = String::new();
    while let Ok(len) = pipe.read(&mut buffer).await {
        if len == 0 {
            break;
        }
        let text = String::from_utf8_lossy(&buffer[..len]);
        // It may come in pieces.
        end.push_str(&text);
        end.drain(..end.ceil_char_boundary(end.len().saturating_sub(LAST)));
        if called.load(Ordering::Relaxed) {
            if unsaid == 0 {
                tracing::debug!(
                    connector,
                    "the worker writes to its standard error; `ctx.log` is what is kept"
                );
            }
            unsaid += len;
            continue;
        }
        let shown = text.floor_char_boundary(text.len().min(left));
        left -= shown;
        for line in text[..shown].lines() {
            tracing::debug!(connector, "worker: {}", line.escape_debug());
        }
    }
    if unsaid > 0 {
        tracing::debug!(connector, bytes = unsaid, "the worker wrote to its standard error");
    }
    // What Rust says before it gives up; a number and nothing else is taken from it.
    end.rsplit_once("memory allocation of ")?.1.split_once(" bytes failed")?.0.parse().ok()
}
