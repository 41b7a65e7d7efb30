//! Signatures, as Zoom makes them: over the text of the timestamp and the very bytes of the body.

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign as authenticate};
use jiff::{SignedDuration, Timestamp};

use super::fault::Signature;
use crate::random::hex;

/// How the signing of a delivery differs from the usual.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Twist {
    /// How many of its attempts are affected.
    pub(super) attempts: u32,
    pub(super) signature: Signature,
    pub(super) seconds_ago: i64,
    pub(super) milliseconds: bool,
}

/// The two headers of an attempt. Neither, if it is not to be signed.
#[derive(Debug)]
pub(super) struct Signed {
    pub(super) timestamp: Option<String>,
    pub(super) signature: Option<String>,
}

/// Signs an attempt. `now` is the machine's time, not the simulator's: whoever receives it has no other.
pub(super) fn sign(secret: &str, body: &[u8], twist: Twist, attempt: u32, now: Timestamp) -> Signed {
    let twist = if attempt <= twist.attempts { twist } else { Twist::default() };
    if twist.signature == Signature::None {
        return Signed { timestamp: None, signature: None };
    }
    let at = now.saturating_sub(SignedDuration::from_secs(twist.seconds_ago)).unwrap_or(Timestamp::MIN);
    let timestamp = if twist.milliseconds { at.as_millisecond() } else { at.as_second() }.to_string();
    let mut message = format!("v0:{timestamp}:").into_bytes();
    message.extend_from_slice(body);
    let signature = match twist.signature {
        Signature::Wrong => mac(&format!("{secret}, but another"), &message),
        Signature::Right | Signature::None => mac(secret, &message),
    };
    Signed { timestamp: Some(timestamp), signature: Some(format!("v0={signature}")) }
}

/// HMAC-SHA256 in hexadecimal.
pub(super) fn mac(secret: &str, message: &[u8]) -> String {
    hex(authenticate(&Key::new(HMAC_SHA256, secret.as_bytes()), message).as_ref())
}

/// SHA-256 in hexadecimal.
pub(super) fn sha256(bytes: &[u8]) -> String {
    hex(digest(&SHA256, bytes).as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_what_another_program_makes() {
        let now = Timestamp::from_second(1_700_000_000).expect("a time");
        let body = r#"{"event":"meeting.created","topic":"☕"}"#.as_bytes();
        let signed = sign("not a secret", body, Twist::default(), 1, now);
        assert_eq!(signed.timestamp.as_deref(), Some("1700000000"));
        let expected = "v0=85e77c07dba0d588589fc9adfb33de159a12fdbf9a6d357ee0ea8c26fa42d195";
        assert_eq!(signed.signature.as_deref(), Some(expected));
    }
}
