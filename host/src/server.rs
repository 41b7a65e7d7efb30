//! The Jackfield that stays: one for a home, reached through a Unix socket in it that is its owner's alone.
//!
//! It keeps what a command would have to make anew each time - workers, connections to providers, what was read - and
//! carries the [`api`](crate::api). Of what it is asked it knows the shapes, not the meaning.

mod door;
mod routes;

use std::{
    collections::HashMap,
    io::ErrorKind as IoErrorKind,
    os::unix::fs::PermissionsExt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use connector_protocol::{Error, ErrorKind, Result};
use tokio::{net::UnixListener, sync::Notify};

pub use self::door::{Lock, connect, holder};
use crate::{api::Health, home::Home, host::Host, reload, worker};

/// How the commands of this program call themselves, which the record of an invocation tells apart from others.
pub const COMMANDS: &str = concat!("jackfield-command/", env!("CARGO_PKG_VERSION"));

/// How long what is under way may go on once it is to end.
const GRACE: Duration = Duration::from_secs(30);

/// After what time without anything under way it is quiet.
const QUIET: Duration = Duration::from_secs(1);

/// A Jackfield that serves a home.
pub struct Server {
    state: Arc<State>,
    listener: UnixListener,
    // Given up when it ends, so that another one can take its place.
    _lock: Lock,
}

/// What all requests share.
pub(crate) struct State {
    pub(crate) host: Host,
    begun: Instant,
    draining: AtomicBool,
    /// Somebody wants it to end.
    pub(crate) end: Notify,
    /// Something that was under way is over.
    pub(crate) over: Notify,
    /// What is under way, by its id or by a number until it has one.
    running: Mutex<HashMap<u64, Running>>,
}

pub(crate) struct Running {
    pub(crate) id: Option<String>,
    pub(crate) stop: Arc<Notify>,
}

impl State {
    /// How it is.
    pub(crate) fn health(&self) -> Health {
        let connectors = self.host.registry().libraries().count();
        Health {
            state: if self.is_draining() { "draining" } else { "serving" }.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            up_seconds: self.begun.elapsed().as_secs(),
            connectors,
            running: self.running().len(),
        }
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }

    pub(crate) fn running(&self) -> std::sync::MutexGuard<'_, HashMap<u64, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Server {
    /// Takes a home to serve.
    ///
    /// # Errors
    ///
    /// If somebody serves it already, or if its socket cannot be made.
    pub fn open(home: &Home) -> Result<Self> {
        home.must_exist()?;
        let lock = Lock::take(home)?;
        let host = Host::open(home)?;
        let listener = door::listen(home)?;
        let state = State {
            host,
            begun: Instant::now(),
            draining: AtomicBool::new(false),
            end: Notify::new(),
            over: Notify::new(),
            running: Mutex::default(),
        };
        Ok(Self { state: Arc::new(state), listener, _lock: lock })
    }

    /// How many connectors it has.
    #[must_use]
    pub fn health(&self) -> Health {
        self.state.health()
    }

    /// Serves until `end` is done, or somebody asks it to drain. What is under way then is finished, as long as it does not
    /// take too long.
    ///
    /// # Errors
    ///
    /// If the socket fails.
    pub async fn serve(self, end: impl Future<Output = ()>) -> Result<()> {
        let (state, home) = (self.state.clone(), self.state.host.home.clone());
        let quiet = tokio::spawn(give_back_when_quiet(state.clone()));
        let watched = state.clone();
        let plugins = tokio::spawn(async move { reload::watch(&watched.host).await });
        let stopping = Arc::new(Notify::new());
        let stopped = stopping.clone();
        let router = routes::router(state.clone());
        let served = axum::serve(self.listener, router.into_make_service_with_connect_info::<door::Peer>())
            .with_graceful_shutdown(async move { stopped.notified().await });
        let served = tokio::spawn(served.into_future());
        tokio::select! {
            () = end => {}
            () = state.end.notified() => {}
        }
        state.draining.store(true, Ordering::SeqCst);
        tracing::info!(running = state.running().len(), "draining");
        // Whoever comes now does it without us.
        let _ = std::fs::remove_file(home.socket());
        let until = Instant::now() + GRACE;
        while !state.running().is_empty() && Instant::now() < until {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        for running in state.running().values() {
            running.stop.notify_one();
        }
        stopping.notify_one();
        for task in [quiet, plugins] {
            task.abort();
            let _ = task.await;
        }
        let finished = tokio::time::timeout(Duration::from_secs(2), served).await;
        state.host.store.settle().await?;
        match finished {
            Ok(Ok(Err(error))) => Err(Error::new(ErrorKind::Internal, format!("the socket failed: {error}"))),
            _ => Ok(()),
        }
    }
}

/// Gives memory back to the system when nothing has been under way for a moment, at the beginning too.
async fn give_back_when_quiet(state: Arc<State>) {
    loop {
        tokio::time::sleep(QUIET).await;
        if state.running().is_empty() {
            worker::give_back();
        }
        state.over.notified().await;
    }
}

/// Makes a file its owner's alone.
fn owners_alone(path: &std::path::Path) -> std::io::Result<()> {
    match std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)) {
        Err(error) if error.kind() == IoErrorKind::NotFound => Ok(()),
        other => other,
    }
}
