//! What one end of the socket makes of whatever the other end sends: the real reader, for tests that have bytes and no worker.
//! It knows the limits of the reader, and nothing of what a message says. The host itself does not use it.

use std::{
    future::Future,
    io,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};

use tokio::io::{AsyncRead, ReadBuf};

use super::{
    frame::{HEADER, MAX_PAYLOAD},
    link::{Gone, MAX_KEPT, MAX_MESSAGE, MAX_PARTIAL, Receiver},
};

/// What came of a stream of bytes.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Decoded {
    /// The messages that arrived whole: kind, id and bytes.
    pub messages: Vec<(u8, u64, Vec<u8>)>,
    /// Why no more was read, if the bytes broke the protocol.
    pub violation: Option<&'static str>,
}

/// Reads a stream that arrives in pieces of these lengths, over and over. It counts the messages and does not keep more of
/// them than one.
///
/// # Panics
///
/// If the reader holds more than it may, or waits for what is there.
pub fn decode(bytes: &[u8], cuts: &[u8]) -> Decoded {
    let mut receiver = Receiver::alone(Pieces { rest: bytes, cuts: cuts.iter().cycle() });
    let mut decoded = Decoded::default();
    loop {
        let next = pin!(receiver.next()).poll(&mut Context::from_waker(Waker::noop()));
        let (messages, kept, room) = receiver.held();
        // A message that breaks a limit is refused after its frame was taken.
        assert!(messages <= MAX_PARTIAL + 1, "{messages} messages are kept");
        assert!(kept <= MAX_KEPT + MAX_PAYLOAD, "{kept} bytes of messages are kept");
        assert!(room <= 4 * (HEADER + MAX_PAYLOAD), "{room} bytes of room for frames are kept");
        match next {
            Poll::Ready(Ok(message)) => {
                assert!(message.bytes.len() <= MAX_MESSAGE, "a message has {} bytes", message.bytes.len());
                decoded.messages.push((message.kind as u8, message.id, message.bytes));
            }
            Poll::Ready(Err(gone)) => {
                if let Gone::Violation(why) = gone {
                    decoded.violation = Some(why);
                }
                return decoded;
            }
            Poll::Pending => panic!("the reader waits for what is there"),
        }
    }
}

/// Bytes that arrive in pieces.
struct Pieces<'a> {
    rest: &'a [u8],
    cuts: std::iter::Cycle<std::slice::Iter<'a, u8>>,
}

impl AsyncRead for Pieces<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // Without any cut, as much as there is room for.
        let cut = self.cuts.next().map_or(usize::MAX, |cut| usize::from(*cut).max(1));
        let (piece, rest) = self.rest.split_at(cut.min(buffer.remaining()).min(self.rest.len()));
        buffer.put_slice(piece);
        self.rest = rest;
        Poll::Ready(Ok(()))
    }
}
