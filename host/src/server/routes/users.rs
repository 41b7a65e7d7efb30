//! Users, and the tokens by which the API is asked.

use std::sync::Arc;

use axum::{Extension, Json, extract::State as Shared};
use connector_protocol::{Error, ErrorKind};
use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    super::{
        State,
        answer::{Asked, Body, Named, Problem},
        guard::{Tenant, Who, is_user_id},
    },
    Gives, Part,
    system::Fine,
};
use crate::{
    access,
    api::accounts::{List, TokenMade, TokenSet},
    connections::account::{GivenUp, no_user},
    id::Id,
    invoke::Source,
    store::{ApiToken, Audit, DEFAULT_PROJECT, User},
};

/// For how many days a user's token is good at most.
const MOST_DAYS: u32 = 30;

/// How large what is kept of a user may be, in bytes.
const MAX_META: usize = 16 * 1024;

/// What is kept of a user.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::server) struct Meta {
    /// Whatever the app wants to keep of them, in the place of what it kept before.
    pub(in crate::server) meta: Map<String, Value>,
}

/// What came of erasing a user.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Erased {
    /// What came of giving up each of their connections.
    pub connections: Vec<GivenUp>,
}

pub(in crate::server) async fn list(
    Shared(state): Shared<Arc<State>>,
    tenant: Tenant,
    Asked(part): Asked<Part>,
) -> Gives<List<User>> {
    let (page, limit) = part.page(|after| is_user_id(after).is_ok())?;
    let users = state.host.store.users(tenant.project, page).await?;
    Ok(Json(List::of(users, limit, |user| user.id.clone())))
}

/// The user that is named. Whoever has a user's token is one, also if nobody has seen them yet.
pub(in crate::server) async fn find(state: &State, tenant: &Tenant, id: &str) -> Result<User, Problem> {
    let id = tenant.user_of(Some(id.to_owned()))?.unwrap_or_default();
    let found = state.host.store.user(tenant.project.clone(), id.clone()).await?;
    match found {
        Some(user) => Ok(user),
        None if tenant.user.is_some() => {
            Ok(User { id, meta: Map::new(), created: Timestamp::now(), connections: 0 })
        }
        None => Err(Problem(no_user(&id))),
    }
}

pub(in crate::server) async fn show(
    Shared(state): Shared<Arc<State>>,
    tenant: Tenant,
    Named(id): Named<String>,
) -> Gives<User> {
    Ok(Json(find(&state, &tenant, &id).await?))
}

pub(in crate::server) async fn set(
    Shared(state): Shared<Arc<State>>,
    tenant: Tenant,
    Named(id): Named<String>,
    Body(Meta { meta }): Body<Meta>,
) -> Gives<User> {
    let user = find(&state, &tenant, &id).await?;
    if serde_json::to_string(&meta).map_or(usize::MAX, |text| text.len()) > MAX_META {
        let text = format!("what is kept of a user has at most {MAX_META} bytes");
        return Err(Problem(Error::new(ErrorKind::InvalidInput, text).at("/meta")));
    }
    state.host.store.put_user(tenant.project.clone(), user.id.clone(), Some(meta)).await?;
    Ok(Json(find(&state, &tenant, &user.id).await?))
}

pub(in crate::server) async fn erase(
    Shared(state): Shared<Arc<State>>,
    tenant: Tenant,
    Named(id): Named<String>,
) -> Gives<Erased> {
    let connections = state.host.erase_user(&tenant.project, &id, &tenant.who.actor).await?;
    Ok(Json(Erased { connections }))
}

pub(in crate::server) async fn tokens(
    Shared(state): Shared<Arc<State>>,
    Extension(who): Extension<Who>,
) -> Gives<List<ApiToken>> {
    Ok(Json(List::whole(state.host.store.tokens(who.project().map(str::to_owned)).await?)))
}

pub(in crate::server) async fn add_token(
    Shared(state): Shared<Arc<State>>,
    tenant: Result<Tenant, Problem>,
    Extension(who): Extension<Who>,
    Body(set): Body<TokenSet>,
) -> Gives<TokenMade> {
    let tenant = match tenant {
        // What is for all projects needs none to be named.
        Err(_) if set.all_projects && who.project().is_none() => {
            Tenant::of(&state, who, Some(DEFAULT_PROJECT), Source::Api)?
        }
        other => other?,
    };
    let refuse = |path: &str, text: String| Problem(Error::new(ErrorKind::InvalidInput, text).at(path));
    if let Some(user) = &set.user {
        is_user_id(user)?;
    }
    if set.name.as_ref().is_some_and(|name| name.len() > 200 || name.chars().any(char::is_control)) {
        return Err(refuse("/name", "a name has at most 200 characters, on one line".to_owned()));
    }
    let days = match (&set.user, set.days) {
        (Some(_), days) => Some(days.unwrap_or(1)),
        (None, days) => days,
    };
    let most = if set.user.is_some() { MOST_DAYS } else { 3650 };
    if days.is_some_and(|days| days == 0 || days > most) {
        return Err(refuse("/days", format!("a token is good for 1 to {most} days")));
    }
    if set.all_projects && (set.user.is_some() || tenant.who.project().is_some()) {
        return Err(refuse(
            "/all_projects",
            "only an operator of all projects makes a token for all".to_owned(),
        ));
    }
    let (token, _, digest) = access::new_token(if set.user.is_some() { "jf_user_" } else { "jf_op_" })?;
    let now = Timestamp::now();
    let kept = ApiToken {
        id: Id::token().to_string(),
        name: set.name,
        project: (!set.all_projects).then(|| tenant.project.clone()),
        user: set.user,
        created: now,
        expires: days.map(|days| {
            now.saturating_add(SignedDuration::from_hours(24 * i64::from(days))).unwrap_or(Timestamp::MAX)
        }),
    };
    let whose = kept.user.as_ref().map_or("an operator".to_owned(), |user| format!("user {user}"));
    let audit = Audit::new(&tenant.project, &tenant.who.actor, "token.create", &kept.id).detail(whose);
    state.host.store.add_token(kept.clone(), digest.to_vec(), audit).await?;
    Ok(Json(TokenMade { token: token.expose_secret().to_owned(), kept }))
}

pub(in crate::server) async fn remove_token(
    Shared(state): Shared<Arc<State>>,
    Extension(who): Extension<Who>,
    Named(id): Named<String>,
) -> Gives<Fine> {
    let known = state.host.store.tokens(who.project().map(str::to_owned)).await?;
    let found = known.into_iter().find(|token| token.id == id);
    let unknown = || {
        let short: String = id.escape_debug().take(60).collect();
        Problem(
            Error::new(ErrorKind::Unknown, format!("there is no token `{short}`"))
                .hint("see which there are: jackfield token list"),
        )
    };
    let found = found.ok_or_else(unknown)?;
    let project = found.project.clone().unwrap_or_else(|| DEFAULT_PROJECT.to_owned());
    let audit = Audit::new(project, &who.actor, "token.remove", &found.id);
    if state.host.store.remove_token(found.id, audit).await? { Ok(Json(Fine::yes())) } else { Err(unknown()) }
}
