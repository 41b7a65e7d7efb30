//! That nothing but what was signed verifies, and that nothing at all makes the grammar panic.

use std::{collections::BTreeSet, ops::RangeInclusive};

use connector_protocol::manifest::{MessagePart, Verify, Webhook};
use http::{HeaderName, HeaderValue};
use jackfield::ingress::{self, Accepted, Request};
use jiff::Timestamp;

use super::vectors::{Expect, Ready, cases};

/// A small generator (SplitMix64), so that a failure can be run again.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is not 0.
    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    fn length(&mut self, range: &RangeInclusive<usize>) -> usize {
        range.start() + self.below(range.end() - range.start() + 1)
    }

    fn bytes(&mut self, length: RangeInclusive<usize>) -> Vec<u8> {
        (0..self.length(&length)).map(|_| self.next().to_le_bytes()[0]).collect()
    }

    fn text(&mut self, alphabet: &str, length: RangeInclusive<usize>) -> String {
        let characters: Vec<char> = alphabet.chars().collect();
        (0..self.length(&length)).map(|_| *self.pick(&characters)).collect()
    }

    fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len())]
    }

    /// Bytes that differ from these.
    fn mutated(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut mutated = bytes.to_vec();
        while mutated == bytes {
            let at = self.below(mutated.len() + 1);
            match self.below(5) {
                0 if at < mutated.len() => mutated[at] ^= 1 << self.below(8),
                1 if at < mutated.len() => drop(mutated.remove(at)),
                2 => mutated.insert(at, self.next().to_le_bytes()[0]),
                3 => mutated.truncate(at),
                _ => mutated.extend_from_within(at..),
            }
        }
        mutated
    }
}

/// What a declaration says of its signatures: the header, what stands before one, and the headers that are signed too.
fn signature(webhook: &Webhook) -> Option<(HeaderName, String, Vec<HeaderName>)> {
    let (Verify::Hmac { message, signature, timestamp, .. }
    | Verify::Ed25519 { message, signature, timestamp }) = &webhook.verify
    else {
        return None;
    };
    let header = |name: &String| -> HeaderName { name.parse().unwrap() };
    let covered = message.iter().filter_map(|part| match part {
        MessagePart::Header(name) => Some(header(name)),
        _ => None,
    });
    let own = header(&signature.header);
    let others = covered
        .chain(timestamp.iter().map(|timestamp| header(&timestamp.header)))
        .filter(|name| *name != own)
        .collect();
    Some((own, signature.prefix.clone().unwrap_or_default(), others))
}

fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap()
}

#[track_caller]
fn refused(case: &Ready, what: &str) {
    let outcome = case.receive();
    assert!(outcome.is_err(), "{}: {what}: {outcome:?}\n{:?}", case.title, case.headers);
}

#[test]
fn no_mutation_of_what_is_signed_verifies() {
    let mut random = Random(1);
    let mut count = 0;
    for mut case in cases() {
        // Cases that are accepted, and because of a signature.
        let by_signature = match &case.expect {
            Expect::Delivery { .. } | Expect::Unreadable { .. } => true,
            Expect::Handshake { .. } => case.webhook.handshakes.iter().all(|handshake| handshake.signed),
            Expect::Refusal { .. } => false,
        };
        let Some((header, prefix, others)) = signature(&case.webhook) else {
            continue;
        };
        if !by_signature || case.body.len() > 100_000 {
            continue;
        }
        count += 1;

        let body = case.body.clone();
        for _ in 0..24 {
            case.body = random.mutated(&body);
            refused(&case, "another body");
        }
        case.body = body;

        let sent = case.headers[&header].clone();
        let old = sent.to_str().unwrap().to_owned();
        // When something else is cut off, the signature may be left.
        let (_, last) = old.rsplit_once(&prefix).unwrap();
        let only_one = prefix.is_empty() || (old.matches(&prefix).count() == 1 && !last.contains([',', ' ']));
        for _ in 0..8 {
            // Stripe's timestamp stands in the same header.
            let time = old.split("v1=").next().filter(|time| time.starts_with("t="));
            let len = *random.pick(&[40, 44, 64, 88, 128]);
            let digits = random.text("0123456789abcdef", len..=len);
            let formed = format!("{}{prefix}{digits}", time.unwrap_or_default());
            case.headers.insert(&header, value(&formed));
            refused(&case, "another signature");
            let formless = random.text("0123456789abcdefv1=,+/ -_t", 1..=100);
            case.headers.insert(&header, value(&formless));
            refused(&case, "something like a signature");
            let cut = random.below(old.trim_end_matches('=').len());
            case.headers.insert(&header, value(&old[..cut]));
            if only_one {
                refused(&case, "a signature cut short");
            }
        }
        case.headers.remove(&header);
        refused(&case, "no signature");
        case.headers.append(&header, sent.clone());
        case.headers.append(&header, sent.clone());
        refused(&case, "two signatures");
        case.headers.insert(&header, sent);

        for name in others {
            let sent = case.headers[&name].clone();
            for _ in 0..12 {
                let text = random.text("0123456789", 1..=12);
                case.headers.insert(&name, value(&text));
                if sent != text.as_str() {
                    refused(&case, name.as_str());
                }
            }
            case.headers.insert(&name, sent);
        }
        assert!(case.receive().is_ok(), "{}: all is as it was", case.title);

        for _ in 0..8 {
            case.signing = vec![random.text("0123456789abcdefABCDEF", 24..=64)];
            refused(&case, "another secret");
        }
        case.signing.clear();
        refused(&case, "no secret");
    }
    assert!(count > 100, "{count}");
}

#[test]
fn no_mutation_of_a_repeated_secret_is_taken_for_it() {
    let mut random = Random(2);
    let mut count = 0;
    for mut case in cases() {
        let repeated = matches!(case.webhook.verify, Verify::SharedSecret { .. });
        let accepted = matches!(case.expect, Expect::Delivery { .. });
        let [secret] = case.signing.as_slice() else {
            continue;
        };
        if !repeated || !accepted {
            continue;
        }
        count += 1;
        let secret = secret.clone();
        for _ in 0..50 {
            let other = random.mutated(secret.as_bytes());
            case.signing = vec![String::from_utf8_lossy(&other).into_owned()];
            refused(&case, &case.signing[0]);
        }
    }
    assert!(count > 5, "{count}");
}

#[test]
fn random_requests_do_no_harm() {
    let mut random = Random(3);
    let mut cases = cases();
    cases.retain(|case| case.body.len() < 10_000);
    // Requests that are accepted as they are, so that there is much to spoil, and anything to spoil them with.
    let accepted = |case: &&Ready| !matches!(case.expect, Expect::Refusal { .. });
    let accepted: Vec<&Ready> = cases.iter().filter(accepted).collect();
    let names = ["content-type", "content-encoding", "x-id", "webhook-id", "webhook-timestamp"];
    let names = names.map(HeaderName::from_static);
    let mut reasons = BTreeSet::new();
    for _ in 0..30_000 {
        let case = *random.pick(&accepted);
        let other = random.pick(&cases);
        let mut headers = case.headers.clone();
        for _ in 0..random.below(4) {
            let mut names = names.to_vec();
            names.extend(signature(&case.webhook).map(|(header, ..)| header));
            let name = random.pick(&names).clone();
            let value = match random.below(3) {
                0 => random.bytes(0..=80),
                1 => random.text("0123456789abcdef=,v ", 70..=70).into_bytes(),
                _ => b"application/json".to_vec(),
            };
            match HeaderValue::from_bytes(&value) {
                Ok(value) if random.below(2) == 0 => drop(headers.append(name, value)),
                Ok(value) => drop(headers.insert(name, value)),
                Err(_) => {}
            }
        }
        let mut body = match random.below(4) {
            0 => random.bytes(0..=200),
            1 => random.text("{}[]\":,\\u0d9 \tae1-.", 0..=120).into_bytes(),
            2 => other.body.clone(),
            _ => random.mutated(&case.body),
        };
        if body == case.body {
            body = random.mutated(&body);
        }
        let noise = random.bytes(0..=30);
        let noise = String::from_utf8_lossy(&noise);
        let url = match random.below(3) {
            0 => noise.into_owned(),
            1 => format!("{}?{noise}", case.url),
            _ => other.url.clone(),
        };
        let times = [case.received_at, other.received_at, Timestamp::MIN, Timestamp::MAX];
        let request = Request {
            method: &random.pick(&[case, other]).method,
            url: &url,
            headers: &headers,
            body: &body,
            received_at: *random.pick(&times),
        };
        let outcome = ingress::receive(&case.webhook, &case.secrets(), &request);
        // Whatever a connector vouches for must be bearable too.
        drop(ingress::admit(&case.webhook, &case.secrets(), &request));
        match outcome {
            // What repeats the secret is the provider's, whatever else is in it. What is signed was signed otherwise.
            Ok(accepted @ (Accepted::Delivery(_) | Accepted::Unreadable(_))) => {
                let signed = signature(&case.webhook).is_some();
                assert!(!signed, "{} with {}: {accepted:?}", case.title, other.title);
            }
            Ok(Accepted::Handshake(_)) => {
                let unsigned = case.webhook.handshakes.iter().any(|handshake| !handshake.signed);
                assert!(unsigned, "{} with {}", case.title, other.title);
            }
            Err(refusal) => drop(reasons.insert(refusal.code())),
        }
    }
    assert!(reasons.len() > 12, "random enough for many reasons: {reasons:?}");
}
