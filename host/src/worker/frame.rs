//! What crosses the socket between host and worker: chunks of messages, and small frames about them.
//!
//! A frame is 16 bytes of header and at most [`MAX_PAYLOAD`] bytes. A message is one frame or several with the same kind
//! and id, of which the last one says so; or says that the rest will not come, and then there was no message.

/// How many bytes one frame carries at most, so that no message keeps the socket to itself.
pub(crate) const MAX_PAYLOAD: usize = 64 * 1024;

/// How many bytes there are before them.
pub(crate) const HEADER: usize = 16;

/// What a frame belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(crate) enum Kind {
    /// Host to worker: a call. The id is the call's.
    Call = 1,
    /// Worker to host: the message that answers a call.
    Answer = 2,
    /// Worker to host: the error message that answers a call.
    Failure = 3,
    /// Host to worker: stop this call. Answered with [`Kind::Ended`], or with an answer that was already on its way.
    Cancel = 4,
    /// Worker to host: the call is over, as was asked.
    Ended = 5,
    /// Worker to host: something is asked of the host. The id is the request's own.
    Ask = 6,
    /// Host to worker: the message that answers a request.
    Reply = 7,
    /// Host to worker: the error message that answers a request.
    ReplyFailure = 8,
    /// Worker to host: nobody waits for the answer to this request any more.
    Withdraw = 9,
    /// Worker to host: a line for the log.
    Log = 10,
    /// Worker to host: the library is loaded; the bytes are its manifest.
    Ready = 11,
    /// Worker to host: the library was not accepted; the bytes say why.
    Refused = 12,
    /// Worker to host: it has locked itself in, and opens the library now; the bytes say how. Whatever comes after this may be
    /// the connector's own.
    Locked = 14,
    /// Either way: so many bytes of a message have been taken, so many more may come.
    Credit = 13,
}

impl Kind {
    fn from_byte(byte: u8) -> Option<Self> {
        use Kind::{
            Answer, Ask, Call, Cancel, Credit, Ended, Failure, Locked, Log, Ready, Refused, Reply,
            ReplyFailure, Withdraw,
        };
        [
            Call,
            Answer,
            Failure,
            Cancel,
            Ended,
            Ask,
            Reply,
            ReplyFailure,
            Withdraw,
            Log,
            Ready,
            Refused,
            Credit,
            Locked,
        ]
        .into_iter()
        .find(|kind| *kind as u8 == byte)
    }
}

/// What comes behind a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Then {
    /// More of the message.
    More = 0,
    /// Nothing: the message is whole.
    Whole = 1,
    /// Nothing: the message was given up, and what has come of it is to be forgotten.
    GivenUp = 2,
}

/// A frame, its payload still in the buffer it was read into.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) kind: Kind,
    pub(crate) then: Then,
    pub(crate) id: u64,
    pub(crate) payload: &'a [u8],
}

/// The other side does not speak this protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BadFrame;

/// Appends a frame to a buffer.
pub(crate) fn write(out: &mut Vec<u8>, kind: Kind, then: Then, id: u64, payload: &[u8]) {
    debug_assert!(payload.len() <= MAX_PAYLOAD, "a longer message is cut into chunks before");
    let len = u32::try_from(payload.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&[kind as u8, then as u8, 0, 0]);
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(&id.to_le_bytes());
    out.extend_from_slice(payload);
}

/// Reads the frame at the start of a buffer, and says how long it is; `None` if it has not arrived whole.
pub(crate) fn read(buffer: &[u8]) -> Result<Option<(Frame<'_>, usize)>, BadFrame> {
    let Some((header, rest)) = buffer.split_first_chunk::<HEADER>() else {
        return Ok(None);
    };
    let kind = Kind::from_byte(header[0]).ok_or(BadFrame)?;
    let then = match header[1] {
        0 => Then::More,
        1 => Then::Whole,
        2 => Then::GivenUp,
        _ => return Err(BadFrame),
    };
    if header[2] != 0 || header[3] != 0 {
        return Err(BadFrame);
    }
    let len = u32::from_le_bytes([header[4], header[5], header[6], header[7]]) as usize;
    if len > MAX_PAYLOAD {
        return Err(BadFrame);
    }
    let mut id = [0; 8];
    id.copy_from_slice(&header[8..]);
    let Some(payload) = rest.get(..len) else {
        return Ok(None);
    };
    Ok(Some((Frame { kind, then, id: u64::from_le_bytes(id), payload }, HEADER + len)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_out_as_they_went_in_however_the_bytes_arrive() {
        let mut bytes = Vec::new();
        write(&mut bytes, Kind::Call, Then::More, 7, b"abc");
        write(&mut bytes, Kind::Credit, Then::Whole, u64::MAX, b"");
        for cut in 0..bytes.len() {
            let whole = read(&bytes[..cut]).unwrap();
            assert_eq!(whole.is_some(), cut >= 19, "{cut}");
        }
        let (first, len) = read(&bytes).unwrap().unwrap();
        assert_eq!(first, Frame { kind: Kind::Call, then: Then::More, id: 7, payload: b"abc" });
        let (second, rest) = read(&bytes[len..]).unwrap().unwrap();
        assert_eq!((second.kind, second.id, len + rest), (Kind::Credit, u64::MAX, bytes.len()));
    }

    #[test]
    fn bytes_that_are_no_frame_are_refused_before_anything_is_kept_for_them() {
        let frame = |kind: u8, last: u8, len: u32| {
            let mut bytes = vec![kind, last, 0, 0];
            bytes.extend_from_slice(&len.to_le_bytes());
            bytes.extend_from_slice(&[0; 8]);
            bytes
        };
        for bytes in [
            frame(0, 0, 0),
            frame(15, 0, 0),
            frame(255, 0, 0),
            frame(1, 3, 0),
            frame(1, 0, 65 * 1024),
            frame(1, 0, u32::MAX),
        ] {
            assert_eq!(read(&bytes), Err(BadFrame), "{bytes:?}");
        }
    }
}
