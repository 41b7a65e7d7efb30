//! The Jackfield that stays: one for a home, reached through a Unix socket in it that is its owner's alone, and over the
//! network by whoever has a token.
//!
//! It keeps what a command would have to make anew each time - workers, connections to providers, what was read - and
//! carries the [`api`](crate::api): its addresses stand in the `table`, who asks is found out in `guard`, what answers lies
//! under `routes`, and the few pages that end users see in `pages`. A command that finds nobody to ask answers itself, by
//! the same table ([`Local`]).

mod answer;
mod checks;
mod door;
mod guard;
mod listen;
mod metrics;
mod openapi;
mod pages;
mod paragon;
mod routes;
mod table;

use std::{
    collections::HashMap,
    io::ErrorKind as IoErrorKind,
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use aws_lc_rs::hmac;
use axum::extract::ConnectInfo;
use connector_protocol::{Error, ErrorKind, Result};
use tokio::{
    net::{TcpListener, UnixListener},
    sync::Notify,
};
use tower::ServiceExt;

pub use self::{
    door::{Lock, connect, holder},
    guard::PROJECT,
    openapi::document,
    routes::{
        integrations::{Check, Checks},
        proxy::PASSED_ON,
        users::Erased,
    },
};
use crate::{api::Health, connections::refresh, events, home::Home, host::Host, reload, system, worker};

/// How the commands of this program call themselves, which the record of an invocation tells apart from others.
pub const COMMANDS: &str = concat!("jackfield-command/", env!("CARGO_PKG_VERSION"));

/// How long what is under way may go on once it is to end.
const GRACE: Duration = Duration::from_secs(30);

/// How long what may not be cut off may take: a token endpoint, and keeping what it gave.
const SETTLE: Duration = Duration::from_secs(120);

/// How often it is looked what is too old to be kept.
const TIDY: Duration = Duration::from_secs(60 * 60);

/// After what time without anything under way it is quiet.
const QUIET: Duration = Duration::from_secs(1);

/// A Jackfield that serves a home.
pub struct Server {
    state: Arc<State>,
    listener: UnixListener,
    network: TcpListener,
    // Given up when it ends, so that another one can take its place.
    _lock: Lock,
}

/// What all requests share.
pub(crate) struct State {
    pub(crate) host: Arc<Host>,
    pub(crate) counts: metrics::Counts,
    /// Makes of a nonce what nobody else can.
    nonces: hmac::Key,
    /// Makes of what an app calls the connecting of an account what leads there, and marks the popups of apps.
    popups: hmac::Key,
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
    /// Whose it is.
    pub(crate) project: String,
    pub(crate) user: Option<String>,
    pub(crate) stop: Arc<Notify>,
}

impl State {
    fn of(host: Host) -> Result<Self> {
        Ok(Self {
            host: Arc::new(host),
            counts: metrics::Counts::default(),
            nonces: checks::nonces()?,
            popups: checks::nonces()?,
            begun: Instant::now(),
            draining: AtomicBool::new(false),
            end: Notify::new(),
            over: Notify::new(),
            running: Mutex::default(),
        })
    }

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
    pub async fn open(home: &Home) -> Result<Self> {
        home.must_exist()?;
        let lock = Lock::take(home)?;
        let host = Host::open(home)?;
        // Whoever cannot open what is kept serves nothing.
        host.connections.must_open().await?;
        host.connections.stay();
        host.store.stay();
        let address = host.settings()?.config.server.listen;
        let network = TcpListener::bind(address).await.map_err(|error| {
            let text = format!("cannot listen at {address}: {}", system::words(&error));
            Error::new(ErrorKind::Config, text)
                .hint("end what listens there, or set `listen` under [server] in jackfield.toml")
        })?;
        let listener = door::listen(home)?;
        Ok(Self { state: Arc::new(State::of(host)?), listener, network, _lock: lock })
    }

    /// Where it listens on the network.
    ///
    /// # Errors
    ///
    /// If the system does not say.
    pub fn address(&self) -> Result<SocketAddr> {
        self.network.local_addr().map_err(|error| {
            Error::new(
                ErrorKind::Internal,
                format!("the address of the server is unknown: {}", system::words(&error)),
            )
        })
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
    /// If not everything that was to be kept could be written.
    pub async fn serve(self, end: impl Future<Output = ()>) -> Result<()> {
        let (state, home) = (self.state.clone(), self.state.host.home.clone());
        let quiet = tokio::spawn(give_back_when_quiet(state.clone()));
        let watched = state.clone();
        let plugins = tokio::spawn(async move { reload::watch(&watched.host).await });
        let tidied = state.clone();
        let tidy = tokio::spawn(async move { forget_what_is_old(&tidied.host).await });
        let kept = state.clone();
        let alive = tokio::spawn(async move { refresh::keep_alive(&kept.host).await });
        if let Err(error) = state.host.read_hooks().await {
            tracing::warn!("what webhooks' addresses stand for is read when somebody asks: {error}");
        }
        state.host.recall_refused();
        let sending = tokio::spawn(events::work(state.host.clone()));
        let (stopping, stopped) = tokio::sync::watch::channel(false);
        let router = table::router(&state);
        let until = |mut stopped: tokio::sync::watch::Receiver<bool>| async move {
            let _ = stopped.wait_for(|stopped| *stopped).await;
        };
        let socket = listen::serve(self.listener, router.clone(), until(stopped.clone()));
        let network = listen::serve(self.network, router, until(stopped));
        let served = tokio::spawn(async move { tokio::join!(socket, network) });
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
        let _ = stopping.send(true);
        for task in [quiet, plugins, alive, tidy, sending] {
            task.abort();
            let _ = task.await;
        }
        let _ = served.await;
        state.host.keep_refused();
        // A token that has come and is not kept would be lost with its whole grant.
        state.host.connections.settle(SETTLE).await;
        state.host.store.settle().await
    }
}

/// The API in this process, for a command that finds nobody who serves the home.
pub struct Local {
    state: Arc<State>,
    router: axum::Router,
}

impl Local {
    /// The API of a host.
    ///
    /// # Errors
    ///
    /// If what is kept cannot be opened.
    pub async fn of(host: Host) -> Result<Self> {
        host.connections.must_open().await?;
        let state = Arc::new(State::of(host)?);
        let router = table::router(&state);
        Ok(Self { state, router })
    }

    /// Asks it something, as the home's owner.
    ///
    /// # Errors
    ///
    /// Never: what goes wrong is an answer too.
    pub async fn ask(&self, mut request: axum::extract::Request) -> axum::response::Response {
        request.extensions_mut().insert(ConnectInfo(guard::Came::Here));
        match self.router.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }

    /// Listens on the network until `end` is done, for browsers that come back from providers.
    ///
    /// # Errors
    ///
    /// If somebody else listens there.
    pub async fn listen(&self, end: impl Future<Output = ()> + Send + 'static) -> Result<()> {
        let address = self.state.host.settings()?.config.server.listen;
        let listener = TcpListener::bind(address).await.map_err(|error| {
            let text = format!("cannot listen at {address} for the browser to come back: {}", system::words(&error));
            Error::new(ErrorKind::Config, text)
                .hint("end what listens there, or set `listen` under [server] in jackfield.toml, and `public_url` with it")
        })?;
        listen::serve(listener, self.router.clone(), end).await;
        Ok(())
    }

    /// Waits until nothing is under way that may not be cut off.
    pub async fn settle(&self) {
        self.state.host.connections.settle(SETTLE).await;
        if let Err(error) = self.state.host.store.settle().await {
            tracing::warn!("not everything was written: {error}");
        }
    }
}

/// Forgets what is older than it is kept, for as long as somebody stays.
async fn forget_what_is_old(host: &Host) {
    loop {
        tokio::time::sleep(TIDY).await;
        let Ok(settings) = host.settings() else { continue };
        let before = |days: u32| {
            let keep = jiff::SignedDuration::from_hours(24 * i64::from(days));
            jiff::Timestamp::now().saturating_sub(keep).unwrap_or(jiff::Timestamp::MIN)
        };
        let config = &settings.config;
        let (invocations, events) = (before(config.limits.keep_days), before(config.events.keep_days));
        let forgotten = match host.store.forget(invocations).await {
            Ok(_) => forget_events(host, events).await,
            Err(error) => Err(error),
        };
        if let Err(error) = forgotten {
            tracing::warn!("what is old is not forgotten: {error}");
        }
    }
}

/// Forgets events piece by piece: whoever brings deliveries meanwhile gets their turn.
async fn forget_events(host: &Host, before: jiff::Timestamp) -> Result<()> {
    while host.store.forget_events(before).await? {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// Gives memory back to the system when nothing has been under way for a moment, at the beginning too.
async fn give_back_when_quiet(state: Arc<State>) {
    let mut is_started = false;
    loop {
        tokio::time::sleep(QUIET).await;
        if state.running().is_empty() {
            worker::give_back();
            if !std::mem::replace(&mut is_started, true) {
                worker::give_back_code(&worker::Code::find());
            }
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
