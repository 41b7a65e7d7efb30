//! The server: listens, hands each request to whoever knows the answer, and lets faults happen in between.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::to_bytes;
use axum::extract::{ConnectInfo, State};
use axum::http::header::{AUTHORIZATION, CONNECTION};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::api;
use crate::config::Config;
use crate::control;
use crate::errors::ZoomError;
use crate::exchange::{Answer, Request};
use crate::faults::{Due, Faults};
use crate::journal::{Authorization, Journal};
use crate::oauth;
use crate::oauth::authority::Worth;
use crate::ready::Ready;
use crate::webhook::subscription::Wanted;
use crate::webhook::{Webhooks, courier};
use crate::wire::{WireHandle, WireListener};
use crate::world::World;

/// The largest body that is read.
const LARGEST_BODY: usize = 4 << 20;

/// How long answers that are under way may take when the simulator is to stop.
const GRACE: Duration = Duration::from_secs(1);

/// Why a simulator cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address can be reached from other machines.
    #[error(
        "{0} is not a loopback address: the simulator has no real security and only listens on this machine"
    )]
    NotLoopback(SocketAddr),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// Where it was to listen.
        address: SocketAddr,
        /// What the operating system says.
        error: io::Error,
    },
    /// The description of a redirect address cannot be used.
    #[error("{0:?} is not an address that a browser can be sent to")]
    RedirectUri(String),
    /// A webhook address cannot be used, or does not know the secret token.
    #[error("{0}")]
    Webhook(String),
}

/// What the handlers of requests share.
#[derive(Debug)]
pub(crate) struct Shared {
    config: Arc<Config>,
    origin: String,
    world: Mutex<World>,
    faults: Mutex<Faults>,
    journal: Mutex<Journal>,
    /// Whoever needs the world's lock too takes that one first.
    webhooks: Mutex<Webhooks>,
    /// Tells those who wait by the simulator's clock that it is worth looking at it.
    wake: watch::Sender<()>,
    /// What goes on beside the answering. Nothing more, once the simulator has stopped.
    tasks: Mutex<Option<JoinSet<()>>>,
}

/// A handler that panicked may have left a request half done; the next one is still worth an answer.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        lock(&self.world)
    }

    pub(crate) fn faults(&self) -> MutexGuard<'_, Faults> {
        lock(&self.faults)
    }

    pub(crate) fn journal(&self) -> MutexGuard<'_, Journal> {
        lock(&self.journal)
    }

    pub(crate) fn webhooks(&self) -> MutexGuard<'_, Webhooks> {
        lock(&self.webhooks)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.world().now()
    }

    /// Does something beside the answering, for as long as the simulator serves.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(tasks) = &mut *lock(&self.tasks) {
            while tasks.try_join_next().is_some() {}
            tasks.spawn(task);
        }
    }

    /// Has everybody who waits look again.
    pub(crate) fn wake(&self) {
        self.wake.send_replace(());
    }

    /// Hears of every wake from now on.
    pub(crate) fn wakes(&self) -> watch::Receiver<()> {
        self.wake.subscribe()
    }

    /// Everything is as it was at the start, the tokens of that time included.
    pub(crate) fn reset(&self) {
        {
            let mut world = self.world();
            let fresh =
                World::new(self.config.clone(), self.origin.clone(), Some(world.first_grant().clone()));
            *world = fresh;
        }
        self.faults().clear();
        self.journal().clear();
        self.webhooks().reset();
        self.wake();
    }
}

/// A simulator that has its address and is ready to serve.
#[derive(Debug)]
pub struct Simulator {
    listener: WireListener,
    shared: Arc<Shared>,
    ready: Ready,
}

impl Simulator {
    /// Takes an address. Connections wait from here on; they are answered by [`serve`](Self::serve).
    pub async fn bind(config: Config) -> Result<Self, StartError> {
        if !config.listen.ip().is_loopback() {
            return Err(StartError::NotLoopback(config.listen));
        }
        for address in &config.redirect_uris {
            if url::Url::parse(address).is_err() || HeaderValue::from_str(address).is_err() {
                return Err(StartError::RedirectUri(address.clone()));
            }
        }
        let listen = |error| StartError::Listen { address: config.listen, error };
        let listener = TcpListener::bind(config.listen).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let origin = format!("http://{address}");
        let config = Arc::new(config);
        let world = World::new(config.clone(), origin.clone(), None);
        let ready = Ready::new(&world);
        let webhooks = Webhooks::new(config.client_id.clone(), config.webhook_secret.clone(), config.seed);
        let shared = Shared {
            config: config.clone(),
            origin,
            world: Mutex::new(world),
            faults: Mutex::default(),
            journal: Mutex::default(),
            webhooks: Mutex::new(webhooks),
            wake: watch::Sender::new(()),
            tasks: Mutex::new(Some(JoinSet::new())),
        };
        for url in &config.webhook_urls {
            let wanted =
                Wanted { url: url.clone(), secret: None, events: None, client_id: None, authorization: None };
            courier::subscribe(&shared, wanted).await.map_err(StartError::Webhook)?;
        }
        shared.webhooks().remember_first();
        Ok(Self { listener: WireListener(listener), shared: Arc::new(shared), ready })
    }

    /// Where it is and what is in it.
    #[must_use]
    pub fn ready(&self) -> &Ready {
        &self.ready
    }

    /// Answers requests until `stop` is done. Answers that are under way then get a moment to finish.
    pub async fn serve(self, stop: impl Future<Output = ()> + Send + 'static) -> io::Result<()> {
        let shared = self.shared.clone();
        shared.spawn(courier::revalidate_when_due(shared.clone()));
        let router = Router::new()
            .nest("/_simulator", control::router(self.shared.clone()))
            .fallback(provide)
            .with_state(self.shared);
        let service = router.into_make_service_with_connect_info::<WireHandle>();
        let (stopping, stopped) = oneshot::channel();
        let server = axum::serve(self.listener, service).with_graceful_shutdown(async move {
            stop.await;
            // Nobody listens any more if the server has failed meanwhile.
            let _ = stopping.send(());
        });
        let mut server = std::pin::pin!(server.into_future());
        let result = tokio::select! {
            result = &mut server => result,
            _ = stopped => {
                // A slow answer, or a fault that takes its time, is not worth waiting for.
                timeout(GRACE, server).await.unwrap_or(Ok(()))
            }
        };
        drop(lock(&shared.tasks).take());
        result
    }
}

/// Answers as the provider: everything that is not the control API.
async fn provide(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(wire): ConnectInfo<WireHandle>,
    request: axum::extract::Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let body = match to_bytes(body, LARGEST_BODY).await {
        Ok(body) => body,
        Err(error) => {
            tracing::info!(method = %parts.method, path = parts.uri.path(), %error, "the body was not read");
            let error = ZoomError::new(StatusCode::PAYLOAD_TOO_LARGE, 300, "Request body is too large.");
            return Answer::from(error).into_response();
        }
    };
    let request = Request {
        method: parts.method,
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().map(str::to_owned),
        headers: parts.headers,
        body,
    };

    let due = shared.faults().take(&request);
    let number = {
        let world = shared.world();
        let authorization = authorization(&world, &request);
        shared.journal().open(&request, authorization, due.as_ref().map(|due| due.id), world.now())
    };
    let answer = decide(&shared, &request, due.as_ref());
    courier::publish(&shared);
    tracing::info!(
        method = %request.method,
        path = request.path,
        status = answer.status.as_u16(),
        fault = due.as_ref().map(|due| due.id),
        explanation = answer.explanation,
        "answered"
    );
    shared.journal().close(number, answer.status, answer.explanation.clone());

    let Some(due) = due else {
        return answer.into_response();
    };
    if let Some(delay) = due.delay {
        sleep(delay).await;
    }
    let mut response = answer.into_response();
    if let Some(spoil) = due.spoil {
        // Nothing can follow on a connection whose answer is spoiled.
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        wire.spoil(spoil);
    }
    response
}

/// The answer, as the provider gives it or as a fault wants it.
fn decide(shared: &Shared, request: &Request, due: Option<&Due>) -> Answer {
    let mut world = shared.world();
    let own = due.is_none_or(|due| due.perform).then(|| perform(&mut world, request));
    match (due, own) {
        (None, Some(own)) => own,
        (Some(due), own) => due.answer(own, world.limits.plan, world.now()),
        (None, None) => ZoomError::unknown_route().into(),
    }
}

fn perform(world: &mut World, request: &Request) -> Answer {
    if let Some(route) = request.path.strip_prefix("/oauth").filter(|rest| rest.starts_with('/')) {
        return oauth::answer(world, route, request);
    }
    let path = request.path.strip_prefix("/v2").filter(|rest| rest.starts_with('/'));
    api::answer(world, path.unwrap_or(&request.path), request)
}

/// What the credentials of a request are worth.
fn authorization(world: &World, request: &Request) -> Option<Authorization> {
    let header = request.header(AUTHORIZATION)?;
    let scheme = header.split(' ').next().unwrap_or_default().to_owned();
    let worth = match request.bearer() {
        Some(token) => world.authority.look_up(token, world.now()).0,
        None if oauth::is_client(world, request) => Worth::Valid,
        None => Worth::Unknown,
    };
    Some(Authorization { scheme, worth })
}
