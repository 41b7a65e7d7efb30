//! What shows that a request comes from its provider: a signature, or a secret that it repeats.

use aws_lc_rs::{constant_time::verify_slices_are_equal, hmac, signature};
use connector_protocol::manifest::{
    self, HashAlgorithm, MessagePart, Secret, Select, Signature, TimestampUnit, Verify, Webhook,
};
use secrecy::{ExposeSecret, SecretString, zeroize::Zeroizing};

use super::{
    Refusal, Secrets,
    body::{Found, Scalar},
    encoding,
    reader::Reader,
};

/// How many signatures a request may hold: a provider sends one for each of its keys, and each costs a computation.
const MAX_SIGNATURES: usize = 8;

/// How many digits a timestamp may have: nanoseconds have 19.
const MAX_DIGITS: usize = 19;

/// From how many digits on a timestamp of either unit is one in milliseconds.
const MILLISECOND_DIGITS: usize = 12;

const ED25519_KEY_LEN: usize = 32;

/// The secrets that are valid now, made ready for use. There is at least one, unless the connector needs none.
pub(super) struct Ring {
    keys: Vec<Zeroizing<Vec<u8>>>,
    handshake: Vec<SecretString>,
    handshake_title: String,
}

/// That a request is proven, and by which key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Proven {
    key: usize,
}

impl Proven {
    /// The connector has vouched for the request. It does not say by which key, so that the newest stands for it.
    pub(super) fn by_connector() -> Self {
        Self { key: 0 }
    }
}

impl Ring {
    /// Decodes the secrets. One that cannot be used is passed over as long as there is another.
    pub(super) fn new(webhook: &Webhook, secrets: &Secrets) -> Result<Self, Refusal> {
        let keys: Vec<_> = match &webhook.secret {
            // The connector proves deliveries by other means: the manifest says so, and the check of it saw to that.
            None if matches!(webhook.verify, Verify::Custom {}) => Vec::new(),
            None => return Err(Refusal::NoSecret { title: String::new() }),
            Some(declared) => {
                let title = || declared.title.clone();
                if secrets.signing.is_empty() {
                    return Err(Refusal::NoSecret { title: title() });
                }
                let keys: Vec<_> =
                    secrets.signing.iter().filter_map(|secret| key(webhook, declared, secret)).collect();
                if keys.is_empty() {
                    return Err(Refusal::UnusableSecret { title: title() });
                }
                keys
            }
        };
        let (handshake, declared) = match &webhook.handshake_secret {
            Some(declared) => (&secrets.handshake, Some(declared)),
            None => (&secrets.signing, webhook.secret.as_ref()),
        };
        let usable = |secret: &&SecretString| !secret.expose_secret().is_empty();
        Ok(Self {
            keys,
            handshake: handshake.iter().filter(usable).cloned().collect(),
            handshake_title: declared.map(|secret| secret.title.clone()).unwrap_or_default(),
        })
    }

    /// Whether a handshake repeats its secret.
    pub(super) fn is_handshake_secret(&self, value: Option<&str>) -> Result<bool, Refusal> {
        if self.handshake.is_empty() {
            return Err(Refusal::NoSecret { title: self.handshake_title.clone() });
        }
        let secrets = self.handshake.iter().map(|secret| secret.expose_secret().as_bytes());
        Ok(value.is_some_and(|value| equals_one_of(value.as_bytes(), secrets)))
    }

    /// The HMAC of a text that a handshake asks for. If it was signed, by the same key, so that a provider that still has the
    /// old one gets the answer it expects.
    pub(super) fn answer(
        &self,
        hash: HashAlgorithm,
        text: &str,
        proven: Option<Proven>,
    ) -> Option<hmac::Tag> {
        // Without a key there is no handshake that asks for this: the check of the manifest saw to that.
        let key = self.keys.get(proven.map_or(0, |proven| proven.key))?;
        Some(hmac_of(hash, key, &[text.as_bytes()]))
    }
}

/// The bytes of a secret, `None` if it cannot be one. An empty one is none: with it, anybody could sign.
fn key(webhook: &Webhook, declared: &Secret, secret: &SecretString) -> Option<Zeroizing<Vec<u8>>> {
    let text = secret.expose_secret();
    let text = match &declared.prefix {
        Some(prefix) => text.strip_prefix(prefix.as_str()).unwrap_or(text),
        None => text,
    };
    let key = Zeroizing::new(encoding::key(text, declared.encoding)?);
    let usable = match webhook.verify {
        Verify::Ed25519 { .. } => key.len() == ED25519_KEY_LEN,
        _ => !key.is_empty(),
    };
    usable.then_some(key)
}

/// Whether the proof stands in the body, which is read for it.
pub(super) fn reads_body(webhook: &Webhook) -> bool {
    matches!(&webhook.verify, Verify::SharedSecret { at: Select::Pointer(_) })
}

/// Checks what shows where a request comes from.
pub(super) fn check(reader: &Reader<'_>, ring: &Ring) -> Result<Proven, Refusal> {
    reader.check_signed_method()?;
    let key = match &reader.webhook.verify {
        Verify::Hmac { hash, message, signature, timestamp } => {
            let signed = Signed::new(reader, message, signature, timestamp.as_ref())?;
            // One computation for each key, however many signatures there are.
            ring.keys.iter().position(|key| {
                let tag = hmac_of(*hash, key, &signed.message);
                equals_one_of(tag.as_ref(), signed.signatures.iter().map(Vec::as_slice))
            })
        }
        Verify::Ed25519 { message, signature, timestamp } => {
            let signed = Signed::new(reader, message, signature, timestamp.as_ref())?;
            let message = signed.message.concat();
            ring.keys.iter().position(|key| {
                let key = signature::UnparsedPublicKey::new(&signature::ED25519, key.as_slice());
                let fits = |signature: &Vec<u8>| key.verify(&message, signature).is_ok();
                signed.signatures.iter().any(fits)
            })
        }
        Verify::SharedSecret { at } => return repeated(reader, ring, at),
        Verify::Custom {} => return Err(Refusal::NeedsConnector),
    };
    key.map(|key| Proven { key }).ok_or(Refusal::WrongSignature)
}

/// Whether a request repeats the secret, in every place where it should.
fn repeated(reader: &Reader<'_>, ring: &Ring, at: &Select) -> Result<Proven, Refusal> {
    let Found { values, gap } = reader.values(at)?;
    if values.is_empty() {
        return Err(Refusal::MissingSharedSecret);
    }
    let fits = |key: &Zeroizing<Vec<u8>>, value: &Scalar| matches!(value, Scalar::Text(text) if verify_slices_are_equal(text.as_bytes(), key).is_ok());
    // While one secret takes the other's place, a batch may hold both.
    let key = values
        .iter()
        .map(|value| ring.keys.iter().position(|key| fits(key, value)))
        .try_fold(usize::MAX, |newest, key| Some(newest.min(key?)));
    match key {
        Some(key) if !gap => Ok(Proven { key }),
        _ => Err(Refusal::WrongSharedSecret),
    }
}

/// Whether a value equals one of several, all of which are looked at.
fn equals_one_of<'k>(value: &[u8], candidates: impl Iterator<Item = &'k [u8]>) -> bool {
    candidates.fold(false, |equal, candidate| equal | verify_slices_are_equal(value, candidate).is_ok())
}

fn hmac_of(hash: HashAlgorithm, key: &[u8], parts: &[&[u8]]) -> hmac::Tag {
    let algorithm = match hash {
        HashAlgorithm::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        HashAlgorithm::Sha256 => hmac::HMAC_SHA256,
        HashAlgorithm::Sha512 => hmac::HMAC_SHA512,
    };
    let mut context = hmac::Context::with_key(&hmac::Key::new(algorithm, key));
    for part in parts {
        context.update(part);
    }
    context.sign()
}

/// A signed message and its signatures, before it is known whether they fit.
struct Signed<'a> {
    message: Vec<&'a [u8]>,
    signatures: Vec<Vec<u8>>,
}

impl<'a> Signed<'a> {
    /// Takes both out of a request, and refuses one that is too old to be looked at any further.
    fn new(
        reader: &Reader<'a>,
        parts: &'a [MessagePart],
        signature: &Signature,
        timestamp: Option<&manifest::Timestamp>,
    ) -> Result<Self, Refusal> {
        let header = reader.header(&signature.header)?.ok_or(Refusal::MissingSignature)?;
        let sent = match timestamp {
            Some(declared) => timely(reader, declared)?,
            None => "",
        };
        let mut message: Vec<&[u8]> = Vec::with_capacity(parts.len());
        for part in parts {
            message.push(match part {
                MessagePart::Text(text) => text.as_bytes(),
                MessagePart::Body => reader.request.body,
                MessagePart::Timestamp => sent.as_bytes(),
                MessagePart::Header(name) => {
                    let missing = || Refusal::MissingHeader { name: name.clone() };
                    reader.header(name)?.ok_or_else(missing)?
                }
                MessagePart::Method => reader.request.method.as_bytes(),
                MessagePart::Url => reader.request.url.as_bytes(),
            });
        }
        let signatures = signatures(header, signature, &reader.webhook.verify)?;
        Ok(Self { message, signatures })
    }
}

/// The signatures in a header. Items that are none are passed over as long as there is one that is.
fn signatures(header: &[u8], declared: &Signature, verify: &Verify) -> Result<Vec<Vec<u8>>, Refusal> {
    let header = std::str::from_utf8(header).map_err(|_| Refusal::MalformedSignature)?;
    let len = match verify {
        Verify::Hmac { hash, .. } => match hash {
            HashAlgorithm::Sha1 => 20,
            HashAlgorithm::Sha256 => 32,
            HashAlgorithm::Sha512 => 64,
        },
        _ => 64,
    };
    let signatures: Vec<Vec<u8>> = items(header, declared.separator.as_deref(), declared.prefix.as_deref())
        .filter_map(|item| encoding::signature(item, declared.encoding))
        .filter(|bytes| bytes.len() == len)
        .take(MAX_SIGNATURES + 1)
        .collect();
    if signatures.is_empty() || signatures.len() > MAX_SIGNATURES {
        return Err(Refusal::MalformedSignature);
    }
    Ok(signatures)
}

/// The items of a header, each without its prefix; those without it are passed over.
fn items<'h, 'd>(
    header: &'h str,
    separator: Option<&'d str>,
    prefix: Option<&'d str>,
) -> impl Iterator<Item = &'h str> {
    let (whole, list) = match separator {
        Some(separator) if !separator.is_empty() => (None, Some(header.split(separator))),
        _ => (Some(header), None),
    };
    let blank = [' ', '\t'];
    whole
        .into_iter()
        .chain(list.into_iter().flatten().map(move |item| item.trim_matches(blank)))
        .filter_map(move |item| item.strip_prefix(prefix.unwrap_or_default()))
}

/// The timestamp of a request in the characters that were sent, if it is near enough to now.
fn timely<'a>(reader: &Reader<'a>, declared: &manifest::Timestamp) -> Result<&'a str, Refusal> {
    let header = reader.header(&declared.header)?.ok_or(Refusal::MissingTimestamp)?;
    let header = std::str::from_utf8(header).map_err(|_| Refusal::MalformedTimestamp)?;
    let mut items = items(header, declared.separator.as_deref(), declared.prefix.as_deref());
    let text = match (items.next(), items.next()) {
        (Some(text), None) => text,
        (None, _) => return Err(Refusal::MissingTimestamp),
        _ => return Err(Refusal::MalformedTimestamp),
    };
    let sent = milliseconds(text, declared.unit).ok_or(Refusal::MalformedTimestamp)?;
    let age = i128::from(reader.request.received_at.as_millisecond()) - sent;
    if age.abs() <= i128::from(declared.window_seconds) * 1000 {
        return Ok(text);
    }
    Err(Refusal::Stale { age_seconds: seconds_begun(age), window_seconds: declared.window_seconds })
}

/// A timestamp as milliseconds since 1970; `None` unless it is digits and nothing else.
fn milliseconds(text: &str, unit: TimestampUnit) -> Option<i128> {
    if !(1..=MAX_DIGITS).contains(&text.len()) || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count: i128 = text.parse().ok()?;
    let in_seconds = match unit {
        TimestampUnit::Seconds => true,
        TimestampUnit::Milliseconds => false,
        TimestampUnit::Either => text.len() < MILLISECOND_DIGITS,
    };
    Some(if in_seconds { count * 1000 } else { count })
}

/// Milliseconds as seconds, each that was begun counted.
fn seconds_begun(milliseconds: i128) -> i64 {
    let seconds = milliseconds.unsigned_abs().div_ceil(1000);
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    if milliseconds < 0 { -seconds } else { seconds }
}

#[cfg(test)]
mod tests {
    use connector_protocol::manifest::Encoding;

    use super::*;

    #[test]
    fn case_06_only_digits_are_a_timestamp() {
        use TimestampUnit::{Either, Milliseconds, Seconds};
        for (text, unit, expected) in [
            ("1531420618", Seconds, Some(1_531_420_618_000)),
            ("1531420618", Either, Some(1_531_420_618_000)),
            ("1531420618", Milliseconds, Some(1_531_420_618)),
            ("1531420618000", Milliseconds, Some(1_531_420_618_000)),
            ("1531420618000", Either, Some(1_531_420_618_000)),
            ("99999999999", Either, Some(99_999_999_999_000)),
            ("100000000000", Either, Some(100_000_000_000)),
            ("0", Either, Some(0)),
            ("9999999999999999999", Seconds, Some(9_999_999_999_999_999_999_000)),
            ("10000000000000000000", Seconds, None),
            ("", Seconds, None),
            ("-1531420618", Seconds, None),
            ("+1531420618", Seconds, None),
            (" 1531420618", Seconds, None),
            ("1531420618.5", Seconds, None),
            ("1e9", Seconds, None),
            ("0x5b47a1ca", Seconds, None),
            ("١٥٣", Seconds, None),
            ("abc", Either, None),
        ] {
            assert_eq!(milliseconds(text, unit), expected, "{text}");
        }
    }

    #[test]
    fn an_age_is_told_in_seconds_begun() {
        for (milliseconds, expected) in [
            (0, 0),
            (1, 1),
            (300_001, 301),
            (301_000, 301),
            (-300_001, -301),
            (i128::MAX, i64::MAX),
            (i128::MIN, -i64::MAX),
        ] {
            assert_eq!(seconds_begun(milliseconds), expected);
        }
    }

    #[test]
    fn items_are_taken_apart_as_declared() {
        for (header, separator, prefix, expected) in [
            ("v0=ab", None, Some("v0="), vec!["ab"]),
            ("ab", None, Some("v0="), vec![]),
            ("ab", None, None, vec!["ab"]),
            ("t=1,v1=a, v1=b,v0=c,,", Some(","), Some("v1="), vec!["a", "b"]),
            ("v1,a v1a,b v1,c", Some(" "), Some("v1,"), vec!["a", "c"]),
            ("v1,a v1a,b v1,c", Some(" "), Some("v1a,"), vec!["b"]),
            ("a,b", Some(""), None, vec!["a,b"]),
        ] {
            let found: Vec<&str> = items(header, separator, prefix).collect();
            assert_eq!(found, expected, "{header}");
        }
    }

    #[test]
    fn more_signatures_than_any_provider_sends_are_refused() {
        let declared = Signature {
            header: "x-signature".to_owned(),
            separator: Some(",".to_owned()),
            prefix: None,
            encoding: Encoding::Hex,
        };
        let verify = Verify::Hmac {
            hash: HashAlgorithm::Sha1,
            message: vec![MessagePart::Body],
            signature: declared.clone(),
            timestamp: None,
        };
        let header = |count: usize| vec!["00".repeat(20); count].join(",");
        let count = |count| signatures(header(count).as_bytes(), &declared, &verify).map(|all| all.len());
        assert_eq!(count(MAX_SIGNATURES), Ok(MAX_SIGNATURES));
        assert_eq!(count(MAX_SIGNATURES + 1), Err(Refusal::MalformedSignature));
    }
}
