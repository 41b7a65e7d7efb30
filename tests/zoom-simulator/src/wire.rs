//! The connection under the HTTP server. Usually it passes bytes on; on request it spoils the answer that is being
//! written: cuts it off, resets, drips, or writes something else. The HTTP server above stays an honest one, and
//! knows nothing of this.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Sleep, sleep};

/// How a connection comes to its end when an answer is cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// A FIN: the answer just stops.
    Close,
    /// A RST: the client sees "connection reset".
    Reset,
}

/// What happens to the next answer on a connection.
///
/// The answer must be the last one on it (`Connection: close`): nothing here knows where the next one would begin.
#[derive(Debug, Clone)]
pub(crate) enum Spoil {
    /// Let the head and this many bytes of the body through. `None` lets nothing through, not even the head.
    Cut { body_bytes: Option<usize>, end: End },
    /// Write a few bytes at a time.
    Drip { chunk: usize, pause: Duration },
    /// Write these bytes instead of the answer.
    Replace(Bytes),
}

#[derive(Debug)]
enum Mode {
    Faithful,
    Cut { left: usize, head: Head, end: End },
    Drip { chunk: usize, pause: Duration, resting: Option<Pin<Box<Sleep>>> },
    Replace { left: Bytes },
    Over(End),
}

/// Finds the end of the answer's head in what is written.
#[derive(Debug, Default)]
struct Head {
    /// How much of the blank line has gone by.
    matched: usize,
}

impl Head {
    const END: &[u8] = b"\r\n\r\n";

    fn has_ended(&self) -> bool {
        self.matched == Self::END.len()
    }

    /// How many of these bytes still belong to the head.
    fn take(&self, bytes: &[u8]) -> (usize, Self) {
        let mut matched = self.matched;
        for (index, byte) in bytes.iter().enumerate() {
            if matched == Self::END.len() {
                return (index, Self { matched });
            }
            matched = match *byte {
                byte if byte == Self::END[matched] => matched + 1,
                b'\r' => 1,
                _ => 0,
            };
        }
        (bytes.len(), Self { matched })
    }
}

/// Reaches the connection that a request came in on.
#[derive(Debug, Clone)]
pub(crate) struct WireHandle(Arc<Mutex<Mode>>);

impl WireHandle {
    pub(crate) fn spoil(&self, how: Spoil) {
        *self.mode() = match how {
            Spoil::Cut { body_bytes: None, end } => Mode::Over(end),
            Spoil::Cut { body_bytes: Some(left), end } => Mode::Cut { left, head: Head::default(), end },
            Spoil::Drip { chunk, pause } => Mode::Drip { chunk, pause, resting: None },
            Spoil::Replace(left) => Mode::Replace { left },
        };
    }

    fn mode(&self) -> MutexGuard<'_, Mode> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connected<IncomingStream<'_, WireListener>> for WireHandle {
    fn connect_info(stream: IncomingStream<'_, WireListener>) -> Self {
        stream.io().handle.clone()
    }
}

/// A TCP connection with a [`WireHandle`].
#[derive(Debug)]
pub(crate) struct Wire {
    stream: TcpStream,
    handle: WireHandle,
}

impl Wire {
    fn new(stream: TcpStream) -> Self {
        Self { stream, handle: WireHandle(Arc::new(Mutex::new(Mode::Faithful))) }
    }
}

/// Prepares the socket so that dropping it ends the connection as wished, and makes the HTTP server drop it.
fn hang_up(stream: &TcpStream, end: End) -> io::Error {
    match end {
        End::Close => io::ErrorKind::BrokenPipe.into(),
        End::Reset => match stream.set_zero_linger() {
            Ok(()) => io::ErrorKind::ConnectionReset.into(),
            Err(error) => error,
        },
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Self { stream, handle } = &mut *self;
        let mut mode = handle.mode();
        match &mut *mode {
            Mode::Faithful => Pin::new(stream).poll_write(context, bytes),
            Mode::Cut { left, head, end } => {
                let (of_head, _) = head.take(bytes);
                let allowed = bytes.len().min(of_head.saturating_add(*left));
                if allowed == 0 {
                    return Poll::Ready(Err(hang_up(stream, *end)));
                }
                let written = ready!(Pin::new(stream).poll_write(context, &bytes[..allowed]))?;
                *left -= written.saturating_sub(of_head);
                let (_, now) = head.take(&bytes[..written]);
                *head = now;
                if head.has_ended() && *left == 0 {
                    *mode = Mode::Over(*end);
                }
                Poll::Ready(Ok(written))
            }
            Mode::Drip { chunk, pause, resting } => {
                if let Some(rest) = resting {
                    ready!(rest.as_mut().poll(context));
                }
                let few = &bytes[..bytes.len().min(*chunk)];
                let written = ready!(Pin::new(stream).poll_write(context, few))?;
                *resting = Some(Box::pin(sleep(*pause)));
                Poll::Ready(Ok(written))
            }
            Mode::Replace { left } => {
                while !left.is_empty() {
                    let written = ready!(Pin::new(&mut *stream).poll_write(context, left))?;
                    *left = left.slice(written..);
                }
                *mode = Mode::Over(End::Close);
                Poll::Ready(Err(hang_up(stream, End::Close)))
            }
            Mode::Over(end) => Poll::Ready(Err(hang_up(stream, *end))),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let over = match &*self.handle.mode() {
            Mode::Over(end) => Some(*end),
            _ => None,
        };
        match over {
            Some(end) => Poll::Ready(Err(hang_up(&self.stream, end))),
            None => Pin::new(&mut self.stream).poll_flush(context),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let end = match &*self.handle.mode() {
            // The body was shorter than what was to be let through.
            Mode::Cut { end, .. } | Mode::Over(end) => Some(*end),
            _ => None,
        };
        match end {
            Some(end @ End::Reset) => Poll::Ready(Err(hang_up(&self.stream, end))),
            _ => Pin::new(&mut self.stream).poll_shutdown(context),
        }
    }
}

/// Accepts connections as [`Wire`]s.
#[derive(Debug)]
pub(crate) struct WireListener(pub(crate) TcpListener);

impl Listener for WireListener {
    type Io = Wire;
    type Addr = std::net::SocketAddr;

    async fn accept(&mut self) -> (Wire, Self::Addr) {
        let (stream, address) = Listener::accept(&mut self.0).await;
        // Answers are small and written at once; waiting to fill a packet only slows tests down.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY was refused");
        }
        (Wire::new(stream), address)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.0.local_addr()
    }
}

#[cfg(test)]
mod tests {
    use super::Head;

    #[test]
    fn the_end_of_the_head_is_found_across_writes() {
        let whole = b"HTTP/1.1 200 OK\r\na: b\r\n\r\nbody";
        for split in 0..whole.len() {
            let (first, rest) = whole.split_at(split);
            let (taken, head) = Head::default().take(first);
            let (more, head) = head.take(rest);
            assert_eq!(taken + more, whole.len() - "body".len(), "split at {split}");
            assert!(head.has_ended());
        }
    }

    #[test]
    fn a_stray_carriage_return_starts_over() {
        let (taken, head) = Head::default().take(b"a\r\n\r\r\n\r\nx");
        assert_eq!(taken, "a\r\n\r\r\n\r\n".len());
        assert!(head.has_ended());
    }
}
