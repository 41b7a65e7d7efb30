//! Projects, and the keys that vouch for their users.

use std::sync::Arc;

use axum::{Extension, Json, extract::State as Shared};
use connector_protocol::{Error, ErrorKind, Problem as Wrong};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use super::{
    super::{
        State,
        answer::{Body, Named, Problem},
        guard::Who,
    },
    Gives,
    system::Fine,
};
use crate::{
    access,
    api::accounts::{List, ProjectSet},
    store::{Audit, Project, SigningKey},
};

/// The public half of a key.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::server) struct Pem {
    /// The key, as PEM.
    pem: String,
}

pub(in crate::server) async fn list(
    Shared(state): Shared<Arc<State>>,
    Extension(who): Extension<Who>,
) -> Gives<List<Project>> {
    let mut projects = state.host.store.projects()?;
    projects.retain(|project| who.may_see(&project.id).is_ok());
    Ok(Json(List::whole(projects)))
}

pub(in crate::server) async fn show(
    Shared(state): Shared<Arc<State>>,
    Extension(who): Extension<Who>,
    Named(id): Named<String>,
) -> Gives<Project> {
    who.may_see(&id)?;
    Ok(Json(state.host.project(&id)?))
}

pub(in crate::server) async fn put(
    Shared(state): Shared<Arc<State>>,
    Extension(who): Extension<Who>,
    Body(set): Body<ProjectSet>,
) -> Gives<Project> {
    let ProjectSet { id, title, return_urls, remove_return_urls } = set;
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    let mut problems = Vec::new();
    if id.is_empty() || id.len() > 63 || !id.chars().all(fits) {
        problems.push(Wrong::new("/id", "has 1 to 63 lower-case letters, digits, dashes and underscores"));
    }
    if title
        .as_ref()
        .is_some_and(|title| title.is_empty() || title.len() > 200 || title.chars().any(char::is_control))
    {
        problems.push(Wrong::new("/title", "has 1 to 200 characters on one line"));
    }
    for (index, url) in return_urls.iter().enumerate() {
        let fits = Url::parse(url).is_ok_and(|url| {
            let local = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
            (url.scheme() == "https" || (url.scheme() == "http" && local))
                && url.username().is_empty()
                && url.password().is_none()
                && url.query().is_none()
                && url.fragment().is_none()
        });
        if !fits {
            let path = format!("/return_urls/{index}");
            problems.push(Wrong::new(
                path,
                "is https://host/path, or http:// on this machine, without `?` and `#`",
            ));
        }
    }
    if !problems.is_empty() {
        return Err(Problem(
            Error::new(ErrorKind::InvalidInput, "the project does not fit").problems(problems),
        ));
    }
    who.may_see(&id)?;
    let found = state.host.store.projects()?.into_iter().find(|project| project.id == id);
    let action = if found.is_some() { "project.set" } else { "project.add" };
    let mut project = found.unwrap_or_else(|| Project {
        id: id.clone(),
        title: None,
        return_urls: Vec::new(),
        created: Timestamp::now(),
    });
    if title.is_some() {
        project.title = title;
    }
    project.return_urls.retain(|url| !remove_return_urls.contains(url));
    for url in return_urls {
        if !project.return_urls.contains(&url) {
            project.return_urls.push(url);
        }
    }
    state.host.store.put_project(project.clone(), Audit::new(&id, &who.actor, action, &id)).await?;
    Ok(Json(project))
}

pub(in crate::server) async fn keys(
    Shared(state): Shared<Arc<State>>,
    Extension(who): Extension<Who>,
    Named(id): Named<String>,
) -> Gives<List<SigningKey>> {
    who.may_see(&id)?;
    state.host.project(&id)?;
    Ok(Json(List::whole(state.host.store.signing_keys(Some(&id))?)))
}

pub(in crate::server) async fn add_key(
    Shared(state): Shared<Arc<State>>,
    Extension(who): Extension<Who>,
    Named(id): Named<String>,
    Body(Pem { pem }): Body<Pem>,
) -> Gives<SigningKey> {
    who.may_see(&id)?;
    state.host.project(&id)?;
    let key = access::Key::read(&pem)?;
    let kept = SigningKey {
        id: key.id,
        project: id.clone(),
        algorithm: key.algorithm.as_str().to_owned(),
        pem: key.pem,
        created: Timestamp::now(),
    };
    let audit = Audit::new(&id, &who.actor, "project.add_key", &kept.id);
    if state.host.store.add_signing_key(kept.clone(), audit).await? {
        return Ok(Json(kept));
    }
    let text = format!("the key `{}` is some project's already", kept.id);
    Err(Problem(
        Error::new(ErrorKind::Conflict, text)
            .hint("make a key for each project: it says whose users they are"),
    ))
}

pub(in crate::server) async fn remove_key(
    Shared(state): Shared<Arc<State>>,
    Extension(who): Extension<Who>,
    Named((id, key)): Named<(String, String)>,
) -> Gives<Fine> {
    who.may_see(&id)?;
    state.host.project(&id)?;
    let audit = Audit::new(&id, &who.actor, "project.remove_key", &key);
    if state.host.store.remove_signing_key(id.clone(), key.clone(), audit).await? {
        return Ok(Json(Fine::yes()));
    }
    let text = format!("the project `{id}` has no such key");
    Err(Problem(
        Error::new(ErrorKind::Unknown, text).hint(format!("see which it has: jackfield project show {id}")),
    ))
}
