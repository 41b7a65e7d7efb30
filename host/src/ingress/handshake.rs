//! The requests by which a provider validates an address, and what it expects to read.

use connector_protocol::manifest::{Handshake, HandshakeAnswer, HandshakeValue, Select, Test};
use serde_json::{Map, Value};

use super::{
    Answer, HandshakeFault, Refusal,
    body::Scalar,
    encoding,
    proof::{Proven, Ring},
    reader::Reader,
};

/// How long a text may be that is sent back: nobody is to use an address as an echo.
const MAX_ECHO: usize = 4096;

/// Which handshakes a request can be.
#[derive(Debug, Clone, Copy)]
pub(super) enum Asked {
    /// Those that are not signed: nothing is known of the request yet.
    Unsigned,
    /// The signed ones: the request is verified.
    Signed(Proven),
}

/// The answer to the first handshake that the request is, if it is one.
pub(super) fn answer(reader: &Reader<'_>, ring: &Ring, asked: Asked) -> Result<Option<Answer>, Refusal> {
    let (signed, proven) = match asked {
        Asked::Unsigned => (false, None),
        Asked::Signed(proven) => (true, Some(proven)),
    };
    for handshake in &reader.webhook.handshakes {
        if handshake.signed == signed && is(reader, handshake) {
            check_secrets(reader, ring, handshake)?;
            return make(reader, ring, &handshake.answer, proven).map(Some);
        }
    }
    Ok(None)
}

/// Whether the request is this handshake, whatever secret it repeats. A body that cannot be read is none.
fn is(reader: &Reader<'_>, handshake: &Handshake) -> bool {
    let holds = |test: &Test| match &test.equals {
        Some(expected) => match reader.one(&test.at) {
            Ok(Some(value)) => value.say() == Some(expected),
            _ => false,
        },
        None => reader.values(&test.at).is_ok_and(|found| !found.values.is_empty()),
    };
    handshake.method == reader.request.method && handshake.when.iter().filter(|test| !test.secret).all(holds)
}

fn check_secrets(reader: &Reader<'_>, ring: &Ring, handshake: &Handshake) -> Result<(), Refusal> {
    for test in handshake.when.iter().filter(|test| test.secret) {
        let value = reader.one(&test.at)?;
        let text = match &value {
            Some(Scalar::Text(text)) => Some(text.as_str()),
            _ => None,
        };
        if !ring.is_handshake_secret(text)? {
            return Err(Refusal::WrongHandshakeSecret);
        }
    }
    Ok(())
}

fn make(
    reader: &Reader<'_>,
    ring: &Ring,
    answer: &HandshakeAnswer,
    proven: Option<Proven>,
) -> Result<Answer, Refusal> {
    match answer {
        HandshakeAnswer::Text(select) => {
            Ok(Answer { content_type: "text/plain; charset=utf-8", body: text(reader, select)?.into_bytes() })
        }
        HandshakeAnswer::Json(members) => {
            let mut object = Map::new();
            for (name, value) in members {
                let value = match value {
                    HandshakeValue::Fixed(value) => value.clone(),
                    HandshakeValue::Echo(select) => Value::String(text(reader, select)?),
                    HandshakeValue::Hmac { hash, of, encoding } => {
                        let tag = ring
                            .answer(*hash, &text(reader, of)?, proven)
                            .ok_or(Refusal::NoSecret { title: String::new() })?;
                        Value::String(encoding::encode(tag.as_ref(), *encoding))
                    }
                };
                object.insert(name.clone(), value);
            }
            Ok(Answer {
                content_type: "application/json",
                body: Value::Object(object).to_string().into_bytes(),
            })
        }
    }
}

/// The one string that is to be sent back, or hashed.
fn text(reader: &Reader<'_>, select: &Select) -> Result<String, Refusal> {
    match reader.one(select)? {
        Some(Scalar::Text(text)) if text.len() > MAX_ECHO => {
            Err(Refusal::MalformedHandshake(HandshakeFault::TooLong))
        }
        Some(Scalar::Text(text)) if !text.is_empty() => Ok(text),
        _ => Err(Refusal::MalformedHandshake(HandshakeFault::NoText)),
    }
}
