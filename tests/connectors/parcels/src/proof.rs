//! Whether a request comes from the provider: a signature in the body, over the address and over a choice of the body's members.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use aws_lc_rs::hmac;
use connector_api::prelude::*;

/// How old a request may be.
const WINDOW: jiff::SignedDuration = jiff::SignedDuration::from_mins(5);

#[derive(Deserialize)]
struct Sent {
    event: Event,
    proof: Proof,
}

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    parcel: Id,
    state: Option<String>,
}

#[derive(Deserialize)]
struct Proof {
    at: jiff::Timestamp,
    token: String,
    signature: String,
}

pub(crate) async fn verify(ctx: Ctx, request: Unproven) -> Result<bool> {
    if let Some(mood) = request.delivery.header("x-parcels-mood") {
        return ill(&ctx, mood).await;
    }
    // What is no such thing is not the provider's.
    let Ok(Sent { event, proof }) = request.delivery.json::<Sent>() else { return Ok(false) };
    if request.delivery.received_at().duration_since(proof.at).abs() > WINDOW {
        return Ok(false);
    }
    let Some(signature) = bytes(&proof.signature) else { return Ok(false) };
    let (url, parcel, state) = (&request.url, &event.parcel, event.state.unwrap_or_default());
    let message = format!("{url}\n{}\n{}\n{}\n{parcel}\n{state}", proof.at, proof.token, event.kind);
    let fits = |secret: &String| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        hmac::verify(&key, message.as_bytes(), &signature).is_ok()
    };
    Ok(request.secrets.iter().any(fits))
}

/// Bytes that are written as hexadecimal digits.
fn bytes(digits: &str) -> Option<Vec<u8>> {
    let pairs = digits.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

/// How many requests are being proven.
static AT_ONCE: AtomicUsize = AtomicUsize::new(0);

/// What is to be seen of a connector that is not well, or that has much to do: it is told so by the request, which a test sends.
async fn ill(ctx: &Ctx, mood: &str) -> Result<bool> {
    match mood.split_once(' ').unwrap_or((mood, "")) {
        ("panic", _) => panic!("as was asked"),
        ("exit", _) => std::process::exit(1),
        ("loop", _) => loop {
            std::hint::spin_loop();
        },
        ("wait", _) => std::future::pending().await,
        ("call", _) => ctx.get("/me").send_empty().await.map(|()| true),
        ("fail", _) => Err(Error::new(ErrorKind::UnexpectedAnswer, "as was asked")),
        // Whether so many are proven at once, at most.
        ("crowd", most) => {
            let now = AT_ONCE.fetch_add(1, Ordering::SeqCst) + 1;
            let slept = ctx.sleep(Duration::from_millis(100)).await;
            AT_ONCE.fetch_sub(1, Ordering::SeqCst);
            slept.map(|()| most.parse().is_ok_and(|most: usize| now <= most))
        }
        _ => Ok(false),
    }
}
