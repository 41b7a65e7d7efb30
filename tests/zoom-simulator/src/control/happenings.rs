//! The part of the control API in which people do what the API has no call for: they join, leave and record, and remove
//! the app. Each raises its event.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::json;

use super::{Body, Control, Refusal, Result, Segments};
use crate::clock::zulu;
use crate::directory::User;
use crate::server::Shared;
use crate::world::{Fitting, Newcomer, World};

pub(super) fn router() -> Router<Arc<Shared>> {
    Router::new()
        .route("/meetings/{id}/start", post(start))
        .route("/meetings/{id}/end", post(end))
        .route("/meetings/{id}/join", post(join))
        .route("/meetings/{id}/leave", post(leave))
        .route("/meetings/{id}/recording/{step}", post(record))
        .route("/users/{user}/deauthorize", post(deauthorize))
}

fn conflict(message: String) -> Refusal {
    Refusal { status: StatusCode::CONFLICT, message }
}

/// Does something in a meeting that there is.
fn within<T>(shared: &Shared, id: i64, act: impl FnOnce(&mut World) -> Fitting<T>) -> Result<T> {
    let mut world = shared.world();
    if world.meeting(id).is_none() {
        return Err(Refusal::missing(format!("there is no meeting {id}")));
    }
    act(&mut world).map_err(conflict)
}

fn user(world: &World, name: &str) -> Result<Arc<User>> {
    let found = world.directory.find(name).cloned();
    found.ok_or_else(|| Refusal::missing(format!("there is no user {name:?}")))
}

async fn start(State(shared): Control, segments: Segments<i64>) -> Result<StatusCode> {
    set_in_progress(&shared, segments?.0, true)
}

async fn end(State(shared): Control, segments: Segments<i64>) -> Result<StatusCode> {
    set_in_progress(&shared, segments?.0, false)
}

fn set_in_progress(shared: &Shared, id: i64, in_progress: bool) -> Result<StatusCode> {
    let state = if in_progress { "has already started" } else { "has not started" };
    within(shared, id, |world| match world.set_in_progress(id, in_progress) {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(format!("meeting {id} {state}")),
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Join {
    /// What the others see. A user's own name, if it is a user who joins.
    name: Option<String>,
    /// Id or e-mail address of a user of the account. Without it a guest joins.
    user: Option<String>,
    email: Option<String>,
    /// The id of a registration.
    registrant: Option<String>,
}

async fn join(State(shared): Control, segments: Segments<i64>, body: Body<Join>) -> Result<Response> {
    let Path(id) = segments?;
    let Json(Join { name, user: account, email, registrant }) = body?;
    let user = account.map(|name| user(&shared.world(), &name)).transpose()?;
    let own = || user.as_ref().map(|user| user.display_name());
    let name = name.or_else(own).ok_or_else(|| Refusal::bad("name or user is needed"))?;
    let newcomer = Newcomer { name, user, email, registrant };
    let participant = within(&shared, id, |world| world.join(id, newcomer))?;
    let body = json!({
        "participant_uuid": participant.uuid,
        "user_id": participant.visit.to_string(),
        "user_name": participant.name,
        "join_time": zulu(participant.joined),
    });
    Ok((StatusCode::CREATED, Json(body)).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Leave {
    /// Name, `user_id` or `participant_uuid`.
    who: String,
    /// What Zoom says of why. HTML stands around it.
    reason: Option<String>,
}

async fn leave(State(shared): Control, segments: Segments<i64>, body: Body<Leave>) -> Result<StatusCode> {
    let Path(id) = segments?;
    let Json(Leave { who, reason }) = body?;
    within(&shared, id, |world| world.leave(id, &who, reason.as_deref()))?;
    Ok(StatusCode::NO_CONTENT)
}

async fn record(State(shared): Control, segments: Segments<(i64, String)>) -> Result<StatusCode> {
    let Path((id, step)) = segments?;
    let act: fn(&mut World, i64) -> Fitting<()> = match step.as_str() {
        "start" => World::start_recording,
        "stop" => World::stop_recording,
        "complete" => World::complete_recording,
        "transcript" => World::complete_transcript,
        _ => {
            return Err(Refusal::missing(format!(
                "{step:?} is none of start, stop, complete and transcript"
            )));
        }
    };
    within(&shared, id, |world| act(world, id))?;
    Ok(StatusCode::NO_CONTENT)
}

/// What a user does on the page of their apps.
async fn deauthorize(State(shared): Control, segments: Segments<String>) -> Result<StatusCode> {
    let Path(name) = segments?;
    let mut world = shared.world();
    let user = user(&world, &name)?;
    match world.remove_app(user) {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(conflict(format!("{name} has not connected the app"))),
    }
}
