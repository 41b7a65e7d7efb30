//! Who asks, and whether they may: by the socket that only the home's owner can open, or by a token.
//!
//! Three kinds may ask: the operator, for all projects or for one; an end user, for what is theirs; and anybody, for the
//! little that is said to all. What belongs to somebody else is not there for whoever asks.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    extract::{ConnectInfo, FromRequestParts, Request, State as Shared},
    http::{HeaderMap, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};
use connector_protocol::{Error, ErrorKind, Result};
use jiff::Timestamp;

use super::{
    State,
    answer::{Problem, for_end_user},
    door::Peer,
    paragon,
};
use crate::{
    access,
    invoke::{Caller, Source},
    store::{DEFAULT_PROJECT, Scope},
};

/// The header that names a project, where there are several.
pub const PROJECT: &str = "jackfield-project";

/// By which way a request came.
#[derive(Debug, Clone)]
pub(crate) enum Came {
    /// Through the socket of the home.
    Socket(Peer),
    /// Over the network.
    Network(SocketAddr),
    /// It never left this process.
    Here,
}

/// Who may ask for something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Anybody.
    Public,
    /// End users, for what is theirs, and the operator.
    User,
    /// The operator.
    Operator,
    /// End users of the project that stands in the address, by a token of theirs.
    UserOfProject,
}

/// Who asks.
#[derive(Debug, Clone)]
pub(crate) struct Who {
    /// The one project that they may see.
    project: Option<String>,
    /// The one user whose things they may see.
    user: Option<String>,
    /// As the audit log names them.
    pub(crate) actor: String,
}

impl Who {
    fn operator() -> Self {
        Self { project: None, user: None, actor: "operator".to_owned() }
    }

    pub(crate) fn is_end_user(&self) -> bool {
        self.user.is_some()
    }

    /// The one project that they may see; all of them without one.
    pub(crate) fn project(&self) -> Option<&str> {
        self.project.as_deref()
    }

    /// Fails unless they may see a project: one that they may not is not there.
    pub(crate) fn may_see(&self, project: &str) -> Result<()> {
        match &self.project {
            Some(own) if own != project => Err(no_project(project)),
            _ => Ok(()),
        }
    }
}

/// Finds out who asks, and turns away who may not.
pub(super) async fn guard(
    Shared((state, access)): Shared<(Arc<State>, Access)>,
    ConnectInfo(came): ConnectInfo<Came>,
    mut request: Request,
    next: Next,
) -> Response {
    let found = match access {
        Access::Public => Ok(None),
        Access::UserOfProject => {
            let project = paragon::project_of(request.uri().path()).unwrap_or_default();
            bearer(request.headers()).and_then(|token| user_of_project(&state, token, project)).map(Some)
        }
        _ => who(&state, &came, request.headers()).map(Some),
    };
    match found {
        Ok(Some(who)) if access == Access::Operator && who.is_end_user() => {
            let error = Error::new(ErrorKind::Forbidden, "only an operator may do this")
                .hint("use an operator's token: jackfield token create");
            for_end_user(Problem(error).into_response())
        }
        Ok(who) => {
            let is_end_user = who.as_ref().is_some_and(Who::is_end_user);
            if let Some(who) = who {
                request.extensions_mut().insert(who);
            }
            let response = next.run(request).await;
            if is_end_user { for_end_user(response) } else { response }
        }
        Err(error) => Problem(error).into_response(),
    }
}

fn unauthenticated(text: &str) -> Error {
    Error::new(ErrorKind::Unauthenticated, text)
        .hint("send a token: `Authorization: Bearer …`; an operator makes one with: jackfield token create")
}

fn who(state: &State, came: &Came, headers: &HeaderMap) -> Result<Who> {
    match came {
        Came::Here => return Ok(Who::operator()),
        Came::Socket(peer) if peer.is_welcome() => return Ok(Who::operator()),
        Came::Socket(_) => return Err(Error::new(ErrorKind::Forbidden, "this socket is its owner's alone")),
        Came::Network(_) => {}
    }
    by_token(state, bearer(headers)?, None)
}

/// The token that was sent.
fn bearer(headers: &HeaderMap) -> Result<&str> {
    let mut sent = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(token), None) = (sent.next(), sent.next()) else {
        return Err(unauthenticated("whoever asks has to say who they are, once"));
    };
    let token = token.to_str().ok().and_then(|text| {
        let (scheme, token) = text.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    token.ok_or_else(|| unauthenticated("the authorization is no bearer token"))
}

/// The user of a project who has this token. Neither an operator is one, nor another project's user.
pub(super) fn user_of_project(state: &State, token: &str, project: &str) -> Result<Who> {
    let who = by_token(state, token, Some(project))?;
    if !who.is_end_user() {
        return Err(Error::new(ErrorKind::Forbidden, "only a user may do this, and this token is an operator's")
            .hint("send a JWT that the app has signed for a user, or for development: jackfield token create --user ID"));
    }
    if who.project() != Some(project) {
        return Err(unauthenticated("the token is not known, or not any more"));
    }
    Ok(who)
}

/// Who has this token. With a project, only its users and operators are known.
pub(crate) fn by_token(state: &State, token: &str, project: Option<&str>) -> Result<Who> {
    let store = &state.host.store;
    if token.starts_with("jf_") {
        let found = store.token(&access::digest(token))?;
        let found = found.filter(|found| found.expires.is_none_or(|expires| expires > Timestamp::now()));
        let found = found.ok_or_else(|| unauthenticated("the token is not known, or not any more"))?;
        let who = Who {
            actor: match &found.user {
                Some(user) => format!("user {user}"),
                None => format!("token {}", found.id),
            },
            project: found.project,
            user: found.user,
        };
        return match (project, &who.project) {
            (Some(project), Some(its)) if its != project => {
                Err(unauthenticated("the token is not known, or not any more"))
            }
            _ => Ok(who),
        };
    }
    let keys = store.signing_keys(project)?;
    let known = keys.iter().map(|key| access::Key::read(&key.pem)).collect::<Result<Vec<_>>>()?;
    // Whose token is not good has not said who they are.
    let verified = access::verify(token, &known, Timestamp::now());
    let (index, claims) = verified.map_err(|error| Error { kind: ErrorKind::Unauthenticated, ..error })?;
    Ok(Who {
        project: keys.get(index).map(|key| key.project.clone()),
        actor: format!("user {}", claims.user),
        user: Some(claims.user),
    })
}

fn no_project(project: &str) -> Error {
    let short: String = project.escape_debug().take(60).collect();
    Error::new(ErrorKind::Unknown, format!("there is no project `{short}`"))
        .hint("see which there are: jackfield project list")
}

/// Whose things are asked for: a project's, or one user's in it.
#[derive(Debug, Clone)]
pub(crate) struct Tenant {
    pub(crate) project: String,
    pub(crate) user: Option<String>,
    pub(crate) who: Who,
    source: Source,
}

impl Tenant {
    /// The tenant of somebody in a project, or in the only one that they can mean.
    pub(crate) fn of(state: &State, who: Who, asked: Option<&str>, source: Source) -> Result<Self> {
        let project = match (&who.project, asked) {
            (Some(its), Some(asked)) if its != asked => return Err(no_project(asked)),
            (Some(its), _) => its.clone(),
            (None, Some(asked)) => {
                let known = state.host.store.projects()?;
                known.into_iter().find(|known| known.id == asked).ok_or_else(|| no_project(asked))?.id
            }
            (None, None) => match &state.host.store.projects()?[..] {
                [only] => only.id.clone(),
                [] => DEFAULT_PROJECT.to_owned(),
                several => {
                    let names: Vec<&str> = several.iter().map(|project| project.id.as_str()).collect();
                    let text = format!("there are several projects: {}", names.join(", "));
                    return Err(Error::new(ErrorKind::Usage, text)
                        .hint("name one: --project NAME, or the header Jackfield-Project"));
                }
            },
        };
        Ok(Self { project, user: who.user.clone(), who, source })
    }

    /// What may be seen.
    pub(crate) fn scope(&self) -> Scope {
        Scope { project: self.project.clone(), user: self.user.clone() }
    }

    /// What may be seen when a user is named: the operator sees anybody's, a user their own.
    pub(crate) fn scope_of(&self, user: Option<String>) -> Result<Scope> {
        Ok(Scope { project: self.project.clone(), user: self.user_of(user)? })
    }

    /// The user who is meant.
    pub(crate) fn user_of(&self, named: Option<String>) -> Result<Option<String>> {
        match (&self.user, named) {
            (Some(own), Some(named)) if *own != named => Err(crate::connections::account::no_user(&named)),
            (Some(own), _) => Ok(Some(own.clone())),
            (None, named) => {
                if let Some(named) = &named {
                    is_user_id(named)?;
                }
                Ok(named)
            }
        }
    }

    /// Who asks, as a caller of actions.
    pub(crate) fn caller(&self) -> Caller {
        Caller {
            project: self.project.clone(),
            user: self.user.clone(),
            actor: self.who.actor.clone(),
            end_user: self.who.is_end_user(),
            ..Caller::operator(self.source)
        }
    }
}

/// Whether something can be the id of an app's user.
pub(crate) fn is_user_id(id: &str) -> Result<()> {
    if id.is_empty() || id.len() > 255 || id.chars().any(char::is_control) {
        return Err(Error::new(
            ErrorKind::InvalidInput,
            "the user's id has 1 to 255 characters, none of them a control character",
        )
        .at("/user"));
    }
    Ok(())
}

impl FromRequestParts<Arc<State>> for Tenant {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<State>) -> Result<Self, Problem> {
        let who = parts.extensions.get::<Who>().cloned();
        // Without the guard nobody is anybody.
        let who = who.ok_or_else(|| Problem(unauthenticated("whoever asks has to say who they are")))?;
        let asked =
            parts.headers.get(PROJECT).map(|name| String::from_utf8_lossy(name.as_bytes()).into_owned());
        let is_command = parts.headers.get(header::USER_AGENT).is_some_and(|agent| agent == super::COMMANDS);
        let source = if is_command { Source::Cli } else { Source::Api };
        Self::of(state, who, asked.as_deref(), source).map_err(Problem)
    }
}
