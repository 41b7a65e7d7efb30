//! The part of the control API that is about webhooks: who gets them, how they go astray, and what has been sent.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Body, Control, Refusal, Result, Segments};
use crate::faults::glob;
use crate::server::Shared;
use crate::webhook::fault::Fault;
use crate::webhook::journal::Attempt;
use crate::webhook::subscription::{Wanted, check_events};
use crate::webhook::{Change, Raw, courier};

pub(super) fn router() -> Router<Arc<Shared>> {
    Router::new()
        .route("/", get(state).put(set))
        .route("/subscriptions", get(subscriptions).post(subscribe))
        .route("/subscriptions/{id}", put(change).delete(unsubscribe))
        .route("/subscriptions/{id}/validate", post(validate))
        .route("/events", get(events).post(send))
        .route("/events/{number}/resend", post(resend))
        .route("/deliveries", get(deliveries).delete(clear_deliveries))
        .route("/release", post(release))
        .route("/faults", get(faults).post(add_fault).delete(clear_faults))
}

async fn state(State(shared): Control) -> Json<Value> {
    Json(shared.webhooks().show())
}

async fn set(State(shared): Control, body: Body<Change>) -> Result<Json<Value>> {
    let Json(change) = body?;
    shared.webhooks().change_settings(&change).map_err(Refusal::bad)?;
    Ok(state(State(shared)).await)
}

async fn subscriptions(State(shared): Control) -> Json<Value> {
    let webhooks = shared.webhooks();
    let all = webhooks.subscriptions().iter().map(|subscription| json!(subscription.show()));
    Json(json!({"subscriptions": all.collect::<Vec<_>>()}))
}

fn show(shared: &Shared, id: u64) -> Result<Json<Value>> {
    let mut webhooks = shared.webhooks();
    let subscription = webhooks.subscription(id).ok_or_else(|| no_subscription(id))?;
    Ok(Json(json!(subscription.show())))
}

fn no_subscription(id: u64) -> Refusal {
    Refusal::missing(format!("there is no subscription {id}"))
}

async fn subscribe(State(shared): Control, body: Body<Wanted>) -> Result<Response> {
    let Json(wanted) = body?;
    let id = courier::subscribe(&shared, wanted).await.map_err(Refusal::unprocessable)?;
    Ok((StatusCode::CREATED, show(&shared, id)?).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Changed {
    secret: Option<String>,
    events: Option<Vec<String>>,
}

/// Another secret, as after Zoom has been asked to make a new one, or other events. Neither asks the address.
async fn change(State(shared): Control, segments: Segments<u64>, body: Body<Changed>) -> Result<Json<Value>> {
    let Path(id) = segments?;
    let Json(Changed { secret, events }) = body?;
    let events = events.map(|events| check_events(Some(events))).transpose().map_err(Refusal::bad)?;
    {
        let mut webhooks = shared.webhooks();
        let subscription = webhooks.subscription(id).ok_or_else(|| no_subscription(id))?;
        if let Some(secret) = secret {
            subscription.credentials.secret = secret;
        }
        if let Some(events) = events {
            subscription.events = events;
        }
    }
    show(&shared, id)
}

async fn unsubscribe(State(shared): Control, segments: Segments<u64>) -> Result<StatusCode> {
    let Path(id) = segments?;
    match shared.webhooks().unsubscribe(id) {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(no_subscription(id)),
    }
}

/// What Zoom does every 72 hours. It is no failure of the call if the address fails.
async fn validate(State(shared): Control, segments: Segments<u64>) -> Result<Json<Value>> {
    let Path(id) = segments?;
    courier::revalidate(&shared, id).await.ok_or_else(|| no_subscription(id))?;
    show(&shared, id)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Selection {
    /// Only what has a higher number.
    #[serde(default)]
    after: u64,
    /// A pattern for the name of the event.
    event: Option<String>,
}

type Selected = std::result::Result<Query<Selection>, QueryRejection>;

async fn events(State(shared): Control, query: Selected) -> Result<Json<Value>> {
    let Query(Selection { after, event }) = query?;
    let mut events = shared.webhooks().events(after);
    if let Some(pattern) = event {
        events.retain(|raised| glob::matches(&pattern, raised["event"].as_str().unwrap_or_default()));
    }
    Ok(Json(json!({"events": events})))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Send {
    /// What it is called in the journal.
    #[serde(default = "unnamed")]
    event: String,
    /// Text as it is, anything else as JSON.
    body: Option<Value>,
    body_base64: Option<String>,
    content_type: Option<String>,
}

fn unnamed() -> String {
    "raw".to_owned()
}

async fn send(State(shared): Control, body: Body<Send>) -> Result<Response> {
    let Json(Send { event, body, body_base64, content_type }) = body?;
    let body = match (body, body_base64) {
        (Some(Value::String(text)), None) => Bytes::from(text),
        (Some(json), None) => json.to_string().into(),
        (None, Some(base64)) => match STANDARD.decode(base64) {
            Ok(bytes) => bytes.into(),
            Err(error) => return Err(Refusal::bad(format!("the base64 text is invalid: {error}"))),
        },
        _ => return Err(Refusal::bad("one of body and body_base64 is needed")),
    };
    let content_type = content_type.map(|text| HeaderValue::from_str(&text)).transpose();
    let content_type = content_type.map_err(|_| Refusal::bad("content_type cannot be sent in a header"))?;
    let now = shared.now();
    let (number, deliveries) = shared.webhooks().send_raw(Raw { event, body, content_type }, now);
    courier::send(&shared, deliveries);
    Ok((StatusCode::CREATED, Json(json!({"number": number}))).into_response())
}

async fn resend(State(shared): Control, segments: Segments<u64>) -> Result<StatusCode> {
    let Path(number) = segments?;
    let deliveries = shared.webhooks().resend(number);
    let deliveries = deliveries.ok_or_else(|| Refusal::missing(format!("there is no event {number}")))?;
    courier::send(&shared, deliveries);
    Ok(StatusCode::NO_CONTENT)
}

async fn deliveries(State(shared): Control, query: Selected) -> Result<Json<Value>> {
    let Query(Selection { after, event }) = query?;
    let webhooks = shared.webhooks();
    let wanted = |attempt: &&Attempt| {
        attempt.number > after && event.as_ref().is_none_or(|event| glob::matches(event, &attempt.event))
    };
    let entries: Vec<&Attempt> = webhooks.journal.entries().filter(wanted).collect();
    Ok(Json(json!({"deliveries": entries})))
}

async fn clear_deliveries(State(shared): Control) -> StatusCode {
    shared.webhooks().journal.clear();
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Release {
    /// Numbers of events. Without them everything goes, in the order in which it happened, and nothing more is held.
    order: Option<Vec<u64>>,
}

/// Answers when each of them has been answered, or not, once.
async fn release(State(shared): Control, body: Body<Release>) -> Result<StatusCode> {
    let Json(Release { order }) = body?;
    let groups = shared.webhooks().release(order.as_deref()).map_err(Refusal::bad)?;
    courier::send_in_order(&shared, groups).await;
    Ok(StatusCode::NO_CONTENT)
}

async fn faults(State(shared): Control) -> Json<Value> {
    Json(json!({"faults": shared.webhooks().faults.list()}))
}

async fn add_fault(State(shared): Control, body: Body<Fault>) -> Result<Response> {
    let Json(fault) = body?;
    fault.check().map_err(Refusal::bad)?;
    let id = shared.webhooks().faults.add(fault);
    Ok((StatusCode::CREATED, Json(json!({"id": id}))).into_response())
}

async fn clear_faults(State(shared): Control) -> StatusCode {
    shared.webhooks().faults.clear();
    StatusCode::NO_CONTENT
}
