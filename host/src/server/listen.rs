//! Listening: connections as they come, each with the way it came by, and none for longer than it takes to say what it wants.
//!
//! Whoever begins a request has to finish its head within [`HEAD`], and whoever keeps a connection has to use it within the same
//! time: sockets that say nothing cost memory. How long a body may take is for whoever reads it.

use std::{convert::Infallible, io, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, Request},
    response::Response,
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener},
};
use tower::ServiceExt;

use super::{door::Peer, guard::Came};

/// How long the head of a request may take, from when the one before was answered.
const HEAD: Duration = Duration::from_secs(30);

/// How long connections that are there may take to end, once no more are taken. A browser may have opened one in advance, on which
/// nothing ever comes.
const GRACE: Duration = Duration::from_secs(2);

/// How long to wait when no connection can be taken: whoever spins is of no use to those who have one.
const FULL: Duration = Duration::from_secs(1);

/// Where connections come from.
pub(super) trait Door: Send {
    /// What is read and written.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The next connection, and the way it came by.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Stream, Came)>> + Send;
}

impl Door for TcpListener {
    type Stream = <Self as axum::serve::Listener>::Io;

    async fn accept(&self) -> io::Result<(Self::Stream, Came)> {
        let (stream, address) = self.accept().await?;
        // Answers are whole when they are written.
        let _ = stream.set_nodelay(true);
        Ok((stream, Came::Network(address)))
    }
}

impl Door for UnixListener {
    type Stream = <Self as axum::serve::Listener>::Io;

    async fn accept(&self) -> io::Result<(Self::Stream, Came)> {
        let (stream, _) = self.accept().await?;
        let came = Came::Socket(Peer::of(&stream));
        Ok((stream, came))
    }
}

/// Takes connections until `end` is done, then no more, and waits a moment for what is under way on those that are there.
pub(super) async fn serve(door: impl Door, router: Router, end: impl Future<Output = ()>) {
    let mut http = http1::Builder::new();
    // Without a timer the time is not kept, and nobody says so.
    http.timer(TokioTimer::new()).header_read_timeout(HEAD);
    let connections = GracefulShutdown::new();
    let mut end = std::pin::pin!(end);
    loop {
        let accepted = tokio::select! {
            accepted = door.accept() => accepted,
            () = &mut end => break,
        };
        let (stream, came) = match accepted {
            Ok(accepted) => accepted,
            // One that is gone already is nobody's fault.
            Err(error) if is_its_own(&error) => continue,
            Err(error) => {
                tracing::warn!("no connection can be taken: {error}");
                tokio::select! {
                    () = tokio::time::sleep(FULL) => continue,
                    () = &mut end => break,
                }
            }
        };
        let router = router.clone();
        let service = service_fn(move |request| answer(router.clone(), came.clone(), request));
        let connection = connections.watch(http.serve_connection(TokioIo::new(stream), service));
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!("a connection ended: {error}");
            }
        });
    }
    drop(door);
    let _ = tokio::time::timeout(GRACE, connections.shutdown()).await;
}

async fn answer(router: Router, came: Came, request: Request<Incoming>) -> Result<Response, Infallible> {
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(ConnectInfo(came));
    router.oneshot(request).await
}

/// Whether an error is the connection's that was to be taken, and not ours.
fn is_its_own(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
    )
}
