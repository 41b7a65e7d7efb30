//! How a message is laid out: the length of the head as four little-endian bytes, the head (JSON, UTF-8), then the body
//! (any bytes, may be empty).
//!
//! This module knows where the head ends and nothing of what it says.

use std::fmt;

/// The largest message either side has to accept, head and body together, in bytes. Larger data stays in the host and
/// is named in the head.
pub const MAX_LEN: usize = 16 * 1024 * 1024;

const PREFIX: usize = 4;

/// Puts a head and a body into one message.
///
/// ```
/// use connector_abi::message;
/// let bytes = message::encode(br#"{"name":"ping"}"#, b"raw");
/// assert_eq!(message::decode(&bytes), Ok((br#"{"name":"ping"}"#.as_slice(), b"raw".as_slice())));
/// ```
///
/// # Panics
///
/// If the head is 4 GiB or longer.
#[must_use]
pub fn encode(head: &[u8], body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(head.len()).expect("a head is far shorter than 4 GiB");
    let mut bytes = Vec::with_capacity(PREFIX + head.len() + body.len());
    bytes.extend_from_slice(&len.to_le_bytes());
    bytes.extend_from_slice(head);
    bytes.extend_from_slice(body);
    bytes
}

/// Takes a message apart into head and body.
///
/// # Errors
///
/// If the bytes are over [`MAX_LEN`] or shorter than they say.
pub fn decode(bytes: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    if bytes.len() > MAX_LEN {
        return Err(Malformed::TooLong { len: bytes.len() });
    }
    let Some((prefix, rest)) = bytes.split_first_chunk::<PREFIX>() else {
        return Err(Malformed::CutShort);
    };
    let head = u32::from_le_bytes(*prefix) as usize;
    if head > rest.len() {
        return Err(Malformed::CutShort);
    }
    Ok(rest.split_at(head))
}

/// What is wrong with the bytes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    /// Fewer bytes than the length in front says.
    CutShort,
    /// More than [`MAX_LEN`] bytes.
    TooLong {
        /// How many there are.
        len: usize,
    },
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CutShort => f.write_str("the message is shorter than it says"),
            Self::TooLong { len } => write!(f, "the message has {len} bytes; the limit is {MAX_LEN}"),
        }
    }
}

impl std::error::Error for Malformed {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded() {
        for (head, body) in
            [(&b""[..], &b""[..]), (b"{}", b""), (b"", b"body"), (b"{\"a\":1}", &[0, 255, 10])]
        {
            assert_eq!(decode(&encode(head, body)), Ok((head, body)));
        }
    }

    #[test]
    fn a_message_that_lies_about_its_length_is_refused() {
        for bytes in [&b""[..], b"\x01\x00\x00", b"\x01\x00\x00\x00", b"\xff\xff\xff\xff{}"] {
            assert_eq!(decode(bytes), Err(Malformed::CutShort), "{bytes:?}");
        }
        assert_eq!(decode(&vec![0; MAX_LEN + 1]), Err(Malformed::TooLong { len: MAX_LEN + 1 }));
    }
}
