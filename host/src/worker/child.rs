//! The worker's side: a process with one thread that loads one library and serves calls of it.
//!
//! It knows no provider, no credential, no project: what the connector asks of the host is passed on as bytes.
//!
//! What keeps it apart: an environment without anything in it, no open file but its socket and the library, death with its
//! parent, and what the jail takes from it before the library is opened.

use std::{
    collections::HashMap,
    future::Future,
    io,
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::net::UnixStream as StdStream,
    },
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    process::ExitCode,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use connector_abi::{
    CallFuture, ConnectorBox, HostServices, HostServices_TO, RootRef,
    abi_stable::{
        library::{AbiHeaderRef, LibHeader},
        sabi_trait::prelude::TD_Opaque,
        std_types::{RResult, RString, RVec},
    },
    async_ffi::FutureExt,
    message,
};
use connector_protocol::{Error, ErrorKind};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use tokio::{net::UnixStream, sync::oneshot};

use super::{
    MAX_LINES,
    frame::Kind,
    jail::{self, Isolation},
    link::{self, Incoming, Sender},
    mark::Mark,
    send_fd,
};
use crate::{plugins::SYSTEM_LIBRARIES, system};

/// The name of the command that starts this side.
pub const COMMAND: &str = "worker";

/// How long a line of a connector's log may be, in bytes.
const MAX_LINE: usize = 8 * 1024;

/// Runs the worker until its host closes the socket. The host starts it; nobody else has a use for it.
#[must_use]
pub fn main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        // The host reads this line and puts it into its log.
        Err(error) => {
            let _ = io::Write::write_all(&mut io::stderr(), format!("{error}\n").as_bytes());
            ExitCode::FAILURE
        }
    }
}

/// What the host says to a worker before anything else.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Orders {
    /// Whether it has to prove that its code declares what its manifest says.
    pub(super) prove: bool,
    pub(super) isolation: Isolation,
    /// How much memory it may take beside its program.
    pub(super) memory_bytes: u64,
    /// How much processor time until its first call.
    pub(super) cpu_seconds: u64,
    /// Which libraries of the system the connector needs.
    pub(super) needed: Vec<String>,
    /// Whether the library is a file on a disk, and not in memory.
    pub(super) on_disk: bool,
}

fn serve() -> io::Result<()> {
    jail::close_inherited()?;
    // Whatever happens to the host, no worker outlives it.
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    let socket = take_socket()?;
    // It may be gone already; then our parent is not who made the socket.
    let host = rustix::net::sockopt::socket_peercred(&socket).ok().map(|credentials| credentials.pid);
    if host.is_none() || rustix::process::getppid() != host {
        return Err(io::Error::other("this command is started by jackfield itself"));
    }
    let (files, orders) = send_fd::receive(&socket)?;
    let orders: Orders = serde_json::from_slice(&orders)?;
    let mut files = files.into_iter();
    let library = files.next().ok_or_else(|| io::Error::other("no library came"))?;
    let mark = files.next().map(|file| Mark::of(file, true)).transpose()?;

    let code = Code::find();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        socket.set_nonblocking(true)?;
        let (sender, receiver, transmit) = link::link(UnixStream::from_std(socket)?);
        let transmit = tokio::spawn(transmit);
        match locked_in(library, &orders, &sender) {
            Ok(connector) => {
                // What the code declares is derived from its types, which takes a while: once for a file is enough.
                let manifest = if orders.prove { connector.manifest().into_vec() } else { Vec::new() };
                sender.send(Kind::Ready, 0, manifest);
                give_back();
                give_back_code(&code);
                serve_calls(Arc::new(connector), &sender, receiver, mark.map(Arc::new)).await;
            }
            Err(error) => {
                sender.send(Kind::Refused, 0, serde_json::to_vec(&error)?);
                // What is on its way has to get there before the socket is closed.
                drop((sender, receiver));
                let _ = transmit.await;
            }
        }
        Ok(())
    })
}

/// Locks the process in and loads the library, in this order.
fn locked_in(library: OwnedFd, orders: &Orders, sender: &Sender) -> Result<ConnectorBox, Error> {
    let failed = |error: io::Error| {
        Error::new(ErrorKind::Internal, format!("a worker cannot be limited: {}", system::words(&error)))
    };
    for name in &orders.needed {
        preload(name)?;
    }
    jail::limit(orders.memory_bytes, orders.cpu_seconds).map_err(failed)?;
    let walls = jail::enter(orders.isolation, orders.on_disk.then(|| library.as_fd()))?;
    // This is in the socket before any code of the connector runs.
    sender.send(Kind::Locked, 0, serde_json::to_vec(&walls).unwrap_or_default());
    let connector = load(&library)?;
    jail::narrow(&walls)?;
    Ok(connector)
}

/// The socket is standard input, so that no other descriptor has to survive the start.
fn take_socket() -> io::Result<StdStream> {
    let socket = io::stdin().as_fd().try_clone_to_owned()?;
    let null = std::fs::File::open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    Ok(socket.into())
}

/// Gives memory back to the system that was needed and is needed no more, such as for loading.
#[allow(unsafe_code, reason = "the allocator is not Rust's")]
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: glibc declares it as `int malloc_trim(size_t)`.
        unsafe extern "C" {
            fn malloc_trim(pad: usize) -> std::ffi::c_int;
        }
        // SAFETY: it takes any number, and touches free memory alone.
        let _ = unsafe { malloc_trim(0) };
    }
}

/// Lets go of the program's own code, which comes back page by page as it runs: what only the start has needed does not.
///
/// It is the file's, and nobody has changed it; the system would take it back as well, but only when memory is short.
#[allow(unsafe_code, reason = "a mapping is reached by its address")]
pub fn give_back_code(code: &Code) {
    #[cfg(target_os = "linux")]
    for &(start, len) in &code.0 {
        use rustix::mm::{Advice, madvise};

        // SAFETY: the pages are mapped from a file, may not be written, and so are read again as they were.
        let given =
            unsafe { madvise(std::ptr::with_exposed_provenance_mut(start), len, Advice::LinuxDontNeed) };
        if let Err(error) = given {
            tracing::debug!("the code that is not needed stays: {error}");
        }
    }
}

/// Where the program's own code lies: addresses and lengths.
pub struct Code(Vec<(usize, usize)>);

impl Code {
    /// Looks for it, which a process that is locked in cannot do any more.
    #[must_use]
    pub fn find() -> Self {
        let Ok(program) = std::env::current_exe() else { return Self(Vec::new()) };
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
        let part = |line: &str| {
            let (range, rest) = line.split_once(' ')?;
            // Mapped for this process alone, may be run, and may not be written: nothing in it is its own.
            let is_code = rest.starts_with("r-xp ") && rest.split_whitespace().nth(4) == program.to_str();
            let (start, end) = range.split_once('-').filter(|_| is_code)?;
            let address = |text| usize::from_str_radix(text, 16).ok();
            Some((address(start)?, address(end)?.checked_sub(address(start)?)?))
        };
        Self(maps.lines().filter_map(part).collect())
    }
}

/// Opens a library of the system, which cannot be found any more once the process is locked in.
#[allow(unsafe_code, reason = "opening a library cannot be done otherwise")]
fn preload(name: &str) -> Result<(), Error> {
    use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};

    if !SYSTEM_LIBRARIES.contains(&name) {
        let text = format!("needs `{}`, which is no library of the system's", name.escape_debug());
        return Err(Error::new(ErrorKind::PluginRefused, text));
    }
    // SAFETY: it is a part of the C library, or of the compiler's, and what that does when it is loaded is no harm.
    let opened = unsafe { Library::open(Some(name), RTLD_NOW | RTLD_LOCAL) };
    match opened {
        Ok(library) => {
            std::mem::forget(library);
            Ok(())
        }
        Err(error) => Err(Error::new(
            ErrorKind::PluginRefused,
            format!("needs `{name}`, which cannot be loaded: {error}"),
        )),
    }
}

/// Opens the library and makes its connector. From here on, code of the connector runs.
#[allow(unsafe_code, reason = "opening a library and reading a symbol of it cannot be done otherwise")]
fn load(library: &OwnedFd) -> Result<ConnectorBox, Error> {
    use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};

    let refuse = |text: String| Error::new(ErrorKind::PluginRefused, text);
    let path = format!("/proc/self/fd/{}", library.as_raw_fd());
    // SAFETY: opening a library runs its constructors, which may do anything that this process may; that is what this
    // process is for. The file is sealed, so it cannot be cut short while it is mapped.
    let opened = unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) };
    let opened = opened.map_err(|error| refuse(format!("cannot be loaded: {error}")))?;
    // SAFETY: the symbol is a static of the type that its name stands for (`LibHeader`, which begins with an `AbiHeader`);
    // that it really is one is what `upgrade` checks, by the magic bytes at its start.
    let header = unsafe { opened.get::<AbiHeaderRef>(connector_abi::ROOT_SYMBOL.as_bytes()) };
    let header = *header.map_err(|_| refuse(format!("has no symbol `{}`", connector_abi::ROOT_SYMBOL)))?;
    // Its code and its statics are used until the process ends.
    std::mem::forget(opened);
    let header: &'static LibHeader = header.upgrade().map_err(|error| {
        refuse(format!("was built with another abi_stable: {}", first_line(&error.to_string())))
    })?;
    let root: RootRef = connector_abi::load(header).map_err(|error| {
        // Kilobytes of layout: for whoever looks for it.
        let _ = io::Write::write_all(&mut io::stderr(), error.detail.as_bytes());
        refuse(error.to_string())
    })?;
    match root.open()() {
        RResult::ROk(connector) => Ok(connector),
        RResult::RErr(message) => Err(read_error(&message)),
    }
}

fn first_line(text: &str) -> &str {
    text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default()
}

fn read_error(message: &[u8]) -> Error {
    message::decode(message)
        .ok()
        .and_then(|(head, _)| serde_json::from_slice(head).ok())
        .unwrap_or_else(|| Error::new(ErrorKind::ConnectorFault, "the connector failed without saying how"))
}

fn write_error(error: &Error) -> Vec<u8> {
    message::encode(&serde_json::to_vec(error).unwrap_or_default(), &[])
}

/// Answers that calls wait for, by the id of what was asked.
type Waiting = Arc<Mutex<HashMap<u64, oneshot::Sender<Result<Vec<u8>, Vec<u8>>>>>>;

async fn serve_calls(
    connector: Arc<ConnectorBox>,
    sender: &Sender,
    mut receiver: link::Receiver,
    mark: Option<Arc<Mark>>,
) {
    let waiting: Waiting = Waiting::default();
    let next_ask = Arc::new(AtomicU64::new(1));
    let mut calls: HashMap<u64, oneshot::Sender<()>> = HashMap::new();
    while let Ok(Incoming { kind, id, bytes }) = receiver.next().await {
        match kind {
            Kind::Call => {
                calls.retain(|_, cancel| !cancel.is_closed());
                let host = CallHost {
                    call: id,
                    sender: sender.clone(),
                    waiting: waiting.clone(),
                    next: next_ask.clone(),
                    lines: AtomicUsize::new(0),
                };
                let (cancel, cancelled) = oneshot::channel();
                calls.insert(id, cancel);
                let call = run(connector.clone(), sender.clone(), id, bytes, host, cancelled);
                tokio::spawn(Marked { id, mark: mark.clone(), call: Box::pin(call) });
            }
            Kind::Cancel => match calls.remove(&id) {
                Some(cancel) => drop(cancel),
                // It never arrived, or it has answered, and then nobody minds this.
                None => sender.send(Kind::Ended, id, Vec::new()),
            },
            Kind::Reply | Kind::ReplyFailure => {
                let waiter = waiting.lock().ok().and_then(|mut waiting| waiting.remove(&id));
                if let Some(waiter) = waiter {
                    let _ = waiter.send(if kind == Kind::Reply { Ok(bytes) } else { Err(bytes) });
                }
            }
            _ => break,
        }
    }
}

/// Runs one call to its end, or until the host drops it.
async fn run(
    connector: Arc<ConnectorBox>,
    sender: Sender,
    id: u64,
    bytes: Vec<u8>,
    host: CallHost,
    cancelled: oneshot::Receiver<()>,
) {
    let answer = async {
        let (family, op, message) =
            split_call(&bytes).ok_or_else(|| Error::new(ErrorKind::Internal, "the call is malformed"))?;
        let host = HostServices_TO::from_value(host, TD_Opaque);
        let (op, message) = (RString::from(op), RVec::from(message));
        let future = match family {
            0 => connector.auth(op, message, host),
            1 => connector.action(op, message, host),
            2 => connector.trigger(op, message, host),
            _ => return Err(Error::new(ErrorKind::Internal, "the call is of no family")),
        };
        Caught(future).await
    };
    tokio::select! {
        biased;
        answer = answer => match answer {
            Ok(RResult::ROk(message)) if message.len() <= message::MAX_LEN => {
                sender.send(Kind::Answer, id, message.into_vec());
            }
            Ok(RResult::RErr(message)) if message.len() <= message::MAX_LEN => {
                sender.send(Kind::Failure, id, message.into_vec());
            }
            Ok(RResult::ROk(message) | RResult::RErr(message)) => {
                let text = format!("the connector answered {} bytes; the limit is {}", message.len(), message::MAX_LEN);
                sender.send(Kind::Failure, id, write_error(&Error::new(ErrorKind::ConnectorFault, text)));
            }
            Err(error) => sender.send(Kind::Failure, id, write_error(&error)),
        },
        // The future has been dropped when this is sent.
        _ = cancelled => sender.send(Kind::Ended, id, Vec::new()),
    }
}

/// A call that says when the connector's code runs for it.
struct Marked<F> {
    id: u64,
    mark: Option<Arc<Mark>>,
    call: Pin<Box<F>>,
}

impl<F: Future<Output = ()>> Future for Marked<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if let Some(mark) = &self.mark {
            mark.set(self.id);
        }
        let polled = self.call.as_mut().poll(context);
        if let Some(mark) = &self.mark {
            mark.clear();
        }
        polled
    }
}

/// The other side's [`super::workers::join_call`].
fn split_call(bytes: &[u8]) -> Option<(u8, &str, &[u8])> {
    let (&[family, len], rest) = bytes.split_first_chunk::<2>()?;
    let (op, message) = rest.split_at_checked(usize::from(len))?;
    Some((family, std::str::from_utf8(op).ok()?, message))
}

/// A connector's future whose panics are errors. Its own glue catches them; one that was built without is caught here.
struct Caught(CallFuture);

impl Future for Caught {
    type Output = Result<connector_abi::CallResult, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let inner = AssertUnwindSafe(&mut self.0);
        let polled = catch_unwind(AssertUnwindSafe(|| Pin::new(inner.0).poll(context)));
        match polled {
            Ok(polled) => polled.map(Ok),
            Err(payload) => {
                std::mem::forget(payload);
                Poll::Ready(Err(Error::new(ErrorKind::ConnectorPanicked, "the connector panicked")))
            }
        }
    }
}

/// The host, as one call sees it: everything goes over the socket.
struct CallHost {
    call: u64,
    sender: Sender,
    waiting: Waiting,
    next: Arc<AtomicU64>,
    /// How many lines it has written.
    lines: AtomicUsize,
}

impl HostServices for CallHost {
    fn call(&self, op: RString, message: RVec<u8>) -> CallFuture {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (waiter, answer) = oneshot::channel();
        if let Ok(mut waiting) = self.waiting.lock() {
            waiting.insert(id, waiter);
        }
        let op: String = op.chars().take(60).collect();
        self.sender.send(Kind::Ask, id, join_ask(self.call, &op, &message));
        let asked = Asked { id, sender: self.sender.clone(), waiting: self.waiting.clone() };
        async move {
            let answer = answer.await;
            drop(asked);
            match answer {
                Ok(Ok(message)) => RResult::ROk(message.into()),
                Ok(Err(message)) => RResult::RErr(message.into()),
                Err(_) => {
                    let error = Error::new(ErrorKind::CallEnded, "the call this belonged to has ended");
                    RResult::RErr(write_error(&error).into())
                }
            }
        }
        .into_ffi()
    }

    fn log(&self, level: u8, line: RString) {
        // With one more than it may have, the host knows that there were more.
        if self.lines.fetch_add(1, Ordering::Relaxed) > MAX_LINES {
            return;
        }
        let mut bytes = vec![level];
        let end = line.floor_char_boundary(MAX_LINE.min(line.len()));
        bytes.extend_from_slice(&line.as_bytes()[..end]);
        self.sender.send(Kind::Log, self.call, bytes);
    }
}

/// Tells the host that nobody waits any more, if the answer has not come.
struct Asked {
    id: u64,
    sender: Sender,
    waiting: Waiting,
}

impl Drop for Asked {
    fn drop(&mut self) {
        if self.waiting.lock().is_ok_and(|mut waiting| waiting.remove(&self.id).is_some()) {
            self.sender.stop(Kind::Ask, self.id);
            self.sender.send(Kind::Withdraw, self.id, Vec::new());
        }
    }
}

/// A request to the host: the call it belongs to, the verb, the message.
fn join_ask(call: u64, op: &str, message: &[u8]) -> Vec<u8> {
    let op = &op.as_bytes()[..op.len().min(255)];
    let mut bytes = Vec::with_capacity(9 + op.len() + message.len());
    bytes.extend_from_slice(&call.to_le_bytes());
    bytes.push(u8::try_from(op.len()).unwrap_or_default());
    bytes.extend_from_slice(op);
    bytes.extend_from_slice(message);
    bytes
}
