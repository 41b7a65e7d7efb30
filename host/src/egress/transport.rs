//! What carries a user's request: hyper itself, which takes and gives bodies as they come and changes nothing.
//!
//! A connector's requests go by a client that unpacks, follows and buffers. Here nobody wants that, and it costs. What is sent
//! is ready to be sent; whether it may be was asked before.

use std::{
    pin::Pin,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use bytes::Bytes;
use connector_protocol::{Error, ErrorKind, Result};
use http::{Request, Response, uri::Scheme};
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{
        Client,
        connect::{Connect, HttpConnector, capture_connection},
    },
    rt::{TokioExecutor, TokioTimer},
};

use super::{
    address::Guarded,
    lost::{Lost, causes, reason},
    tls::Trust,
};

/// A body that comes piece by piece.
pub type BoxBody = UnsyncBoxBody<Bytes, Error>;

/// How long a connection is kept that nobody uses.
const IDLE: Duration = Duration::from_secs(60);

/// How many such connections are kept for each machine.
const MOST_IDLE: usize = 64;

/// What becomes of a request on its way.
pub(super) type Sending<'a> = Pin<Box<dyn Future<Output = Result<Response<BoxBody>, Lost>> + Send + 'a>>;

/// Carries one request that is ready to be sent, and gives what comes back.
pub(super) trait Transport: Send + Sync {
    /// Sends it, and waits for the head of the answer until the deadline.
    fn send(&self, request: Request<BoxBody>, by_operator: bool, deadline: Instant) -> Sending<'_>;
}

/// How machines are found, and whom to trust when one is: the same for everything that is sent.
pub(super) struct Net {
    pub(super) public: Guarded,
    pub(super) operators: Guarded,
    pub(super) trust: Trust,
    /// How long making a connection may take, name and TLS included.
    pub(super) connect: Duration,
}

impl Net {
    pub(super) fn system(connect: Duration) -> Self {
        Self { public: Guarded::system(), operators: Guarded::operators(), trust: Trust::default(), connect }
    }
}

type Plain = HttpConnector<Guarded>;

/// HTTP/1.1 by hyper. Connections are kept and used again.
pub(super) struct Hyper {
    net: Arc<Net>,
    public: OnceLock<Client<HttpsConnector<Plain>, BoxBody>>,
    operators: OnceLock<Client<HttpsConnector<Plain>, BoxBody>>,
    plain: OnceLock<Client<Plain, BoxBody>>,
}

impl Hyper {
    pub(super) fn new(net: Arc<Net>) -> Self {
        Self { net, public: OnceLock::new(), operators: OnceLock::new(), plain: OnceLock::new() }
    }

    fn secured(&self, by_operator: bool) -> Result<&Client<HttpsConnector<Plain>, BoxBody>> {
        let (place, names) = if by_operator {
            (&self.operators, &self.net.operators)
        } else {
            (&self.public, &self.net.public)
        };
        if let Some(client) = place.get() {
            return Ok(client);
        }
        let mut tcp = tcp(names.clone());
        tcp.enforce_http(false);
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(self.net.trust.config(&[])?)
            .https_only()
            .enable_http1()
            .wrap_connector(tcp);
        Ok(place.get_or_init(|| client(connector)))
    }
}

fn tcp(names: Guarded) -> Plain {
    let mut tcp = HttpConnector::new_with_resolver(names);
    tcp.set_nodelay(true);
    tcp
}

fn client<C: Connect + Clone>(connector: C) -> Client<C, BoxBody> {
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(MOST_IDLE)
        .build(connector)
}

impl Transport for Hyper {
    fn send(&self, request: Request<BoxBody>, by_operator: bool, deadline: Instant) -> Sending<'_> {
        let connect = self.net.connect;
        Box::pin(async move {
            match request.uri().scheme() {
                Some(scheme) if *scheme == Scheme::HTTPS => {
                    let client = self.secured(by_operator).map_err(Lost::before)?;
                    send(client, request, connect, deadline).await
                }
                Some(scheme) if *scheme == Scheme::HTTP && by_operator => {
                    let client = self.plain.get_or_init(|| client(tcp(self.net.operators.clone())));
                    send(client, request, connect, deadline).await
                }
                _ => Err(Lost::before(Error::new(
                    ErrorKind::Blocked,
                    "only a machine that the operator has named is spoken to without TLS",
                ))),
            }
        })
    }
}

async fn send<C: Connect + Clone + Send + Sync + 'static>(
    client: &Client<C, BoxBody>,
    mut request: Request<BoxBody>,
    connect: Duration,
    deadline: Instant,
) -> Result<Response<BoxBody>, Lost> {
    let mut connection = capture_connection(&mut request);
    let mut answer = std::pin::pin!(client.request(request));
    let late = |sent| Lost {
        error: Error::new(ErrorKind::Timeout, "no answer in time"),
        sent,
        // Another machine behind the same name may be quicker to connect to.
        passing: !sent,
    };
    let connected_by = deadline.min(Instant::now() + connect);
    let early = tokio::select! {
        biased;
        answer = &mut answer => Some(answer),
        _ = connection.wait_for_connection_metadata() => None,
        () = tokio::time::sleep_until(connected_by.into()) => return Err(late(false)),
    };
    let answer = match early {
        Some(answer) => answer,
        None => tokio::time::timeout_at(deadline.into(), answer).await.map_err(|_| late(true))?,
    };
    match answer {
        Ok(answer) => Ok(answer
            .map(|body| body.map_err(|error| Error::new(ErrorKind::Network, reason(&error))).boxed_unsync())),
        Err(error) if error.is_connect() => Err(Lost::connecting(&error, false)),
        Err(error) => {
            // The body was not the provider's to send.
            if let Some(own) = causes(&error).find_map(|error| error.downcast_ref::<Error>()) {
                let error = Error { kind: ErrorKind::Cancelled, ..own.clone() };
                return Err(Lost { error, sent: true, passing: false });
            }
            // A kept connection that was closed before anything of the request was written.
            let unsent = causes(&error)
                .filter_map(|error| error.downcast_ref::<hyper::Error>())
                .any(hyper::Error::is_canceled);
            let text = reason(&error);
            Err(Lost { error: Error::new(ErrorKind::Network, text), sent: !unsent, passing: true })
        }
    }
}
