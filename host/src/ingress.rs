//! Whether a webhook request is what it claims to be, by what the connector's manifest says of the provider.
//!
//! The journey of one request: its outer form is checked, a handshake that is not signed is answered, `proof` checks what
//! shows where it comes from, and only then is its body read: a signed handshake is answered, anything else is a delivery, of
//! which the event's name and what tells it apart are taken out. One that is proven and cannot be read is a delivery all the
//! same: whoever sent it would send it no other way, and would give up. `body` and `reader` find single values in a request,
//! `encoding` turns text into bytes.
//!
//! This module is functions of their arguments: it opens no socket, stores nothing and has no clock. It does not know which
//! integration an address belongs to, nor what an event means; how large a body may be is its caller's business, and so are
//! the headers of an answer.

mod body;
mod encoding;
mod handshake;
mod proof;
mod reader;
mod refusal;

use std::fmt;

use connector_protocol::manifest::Webhook;
use http::HeaderMap;
use jiff::Timestamp;
use secrecy::SecretString;

pub use self::{
    body::BodyFault,
    refusal::{HandshakeFault, Refusal},
};
use self::{
    handshake::Asked,
    proof::{Proven, Ring},
    reader::Reader,
};

/// A request as it was received.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The method.
    pub method: &'a str,
    /// The full address in the characters that the provider was told, with the query string that came.
    pub url: &'a str,
    /// The headers, those that came twice twice.
    pub headers: &'a HeaderMap,
    /// The body, byte for byte.
    pub body: &'a [u8],
    /// When it was received.
    pub received_at: Timestamp,
}

/// Says nothing that could be secret: headers and query strings hold signatures and tokens.
impl fmt::Debug for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.url.split(['?', '#']).next().unwrap_or_default();
        let bytes = self.body.len();
        write!(f, "Request({} {path}, {bytes} bytes)", self.method)
    }
}

/// The secrets that are valid now, the newest first: one, or two while one takes the other's place. With none, every
/// request is refused.
#[derive(Debug, Clone, Default)]
pub struct Secrets {
    /// What deliveries are signed with.
    pub signing: Vec<SecretString>,
    /// What handshakes repeat, where the manifest declares a secret of its own for them.
    pub handshake: Vec<SecretString>,
}

/// What a request turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Accepted {
    /// The provider validates the address: answer this.
    Handshake(Answer),
    /// A delivery that comes from the provider: keep it, then answer.
    Delivery(Delivery),
    /// A delivery that comes from the provider, and that nobody can read, or in more than one way: keep its bytes, then answer.
    Unreadable(Unreadable),
}

/// A delivery that is what it claims to be and cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Why not: its type, or something in its body.
    pub why: Refusal,
    /// What tells it apart: its body's hash.
    pub distinct: Vec<String>,
}

/// What a handshake is answered with. The status is 200.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The media type.
    pub content_type: &'static str,
    /// The body.
    pub body: Vec<u8>,
}

/// What is known of a delivery before the connector has seen it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The name of the event, where the manifest says where it stands and it stands there.
    pub event: Option<String>,
    /// What tells it apart, in the manifest's order: a delivery to the same webhook with the same values is the same one.
    pub distinct: Vec<String>,
}

/// Finds out what a request is.
///
/// Its body is read only once it is verified, but for two cases in which the manifest leaves no choice: a handshake without a
/// signature that is recognised by its body, and a secret that is repeated in the body.
///
/// # Errors
///
/// Why it is refused. Of these, [`Refusal::NeedsConnector`] is not the last word: see [`admit`].
pub fn receive(webhook: &Webhook, secrets: &Secrets, request: &Request<'_>) -> Result<Accepted, Refusal> {
    let reader = Reader::new(webhook, request);
    reader.check_method()?;
    reader.check_content_encoding()?;
    let ring = Ring::new(webhook, secrets)?;
    if let Some(answer) = handshake::answer(&reader, &ring, Asked::Unsigned)? {
        return Ok(Accepted::Handshake(answer));
    }
    if proof::reads_body(webhook) {
        // Nothing reads a body that says it is something else.
        reader.check_content_type()?;
    }
    let proven = proof::check(&reader, &ring).map_err(|refusal| match refusal {
        // Whoever proves nothing and sends nonsense is told about the nonsense: it is no signature that is missing.
        Refusal::MissingSignature if reader.is_json() => reader.body().err().map_or(refusal, Refusal::from),
        other => other,
    })?;
    take(&reader, &ring, proven)
}

/// Finds out what a request is whose proof only the connector could check, and which it has vouched for: what is left to do
/// after [`receive`] said [`Refusal::NeedsConnector`].
///
/// # Errors
///
/// Why it is refused all the same.
pub fn admit(webhook: &Webhook, secrets: &Secrets, request: &Request<'_>) -> Result<Accepted, Refusal> {
    let ring = Ring::new(webhook, secrets)?;
    take(&Reader::new(webhook, request), &ring, Proven::by_connector())
}

/// Takes out of a verified request what it holds.
fn take(reader: &Reader<'_>, ring: &Ring, proven: Proven) -> Result<Accepted, Refusal> {
    // Whatever stands in a body is read here as well as later by the connector, so it must have one meaning.
    let readable = reader.check_content_type().and_then(|()| match reader.is_json() {
        true => reader.body().map(drop).map_err(Refusal::from),
        false => Ok(()),
    });
    if readable.is_ok()
        && let Some(answer) = handshake::answer(reader, ring, Asked::Signed(proven))?
    {
        return Ok(Accepted::Handshake(answer));
    }
    reader.check_delivery_method()?;
    let read = readable
        .and_then(|()| Ok(Delivery { event: reader.event()?, distinct: reader.distinct()? }))
        .map_or_else(
            |why| Accepted::Unreadable(Unreadable { why, distinct: vec![reader.body_hash()] }),
            Accepted::Delivery,
        );
    Ok(read)
}
