//! The API: which endpoints there are, and what stands before each of them: the token, the rate limit, the scope.
//! What an endpoint does is in its module.

mod meetings;
mod registrants;
mod users;

use std::sync::Arc;

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde_json::{Map, Value};

use crate::directory::{Licence, User, WEBINAR};
use crate::errors::{ZoomError, ZoomResult};
use crate::exchange::{Answer, Request, decode_segment};
use crate::limits::Label;
use crate::meeting::Meeting;
use crate::oauth::authority::Worth;
use crate::oauth::scopes::{self, Reach, Scope};
use crate::world::World;

/// What an endpoint does with a call that has passed everything before it.
type Handler = fn(&mut Call<'_>) -> ZoomResult<Answer>;

/// One endpoint, as Zoom's API reference describes it.
struct Endpoint {
    method: Method,
    /// `{}` stands for one segment.
    path: &'static str,
    label: Label,
    scope: Scope,
    handler: Handler,
}

const fn endpoint(
    method: Method,
    path: &'static str,
    label: Label,
    scope: Scope,
    handler: Handler,
) -> Endpoint {
    Endpoint { method, path, label, scope, handler }
}

static ENDPOINTS: [Endpoint; 9] = [
    endpoint(Method::GET, "/users/{}", Label::Light, scopes::READ_USER, users::get),
    endpoint(Method::GET, "/users/{}/meetings", Label::Medium, scopes::LIST_MEETINGS, meetings::list),
    endpoint(Method::POST, "/users/{}/meetings", Label::Medium, scopes::CREATE_MEETING, meetings::create),
    endpoint(Method::GET, "/meetings/{}", Label::Light, scopes::READ_MEETING, meetings::get),
    endpoint(Method::PATCH, "/meetings/{}", Label::Light, scopes::UPDATE_MEETING, meetings::update),
    endpoint(Method::DELETE, "/meetings/{}", Label::Light, scopes::DELETE_MEETING, meetings::delete),
    endpoint(
        Method::POST,
        "/meetings/{}/registrants",
        Label::Light,
        scopes::ADD_REGISTRANT,
        registrants::add,
    ),
    endpoint(
        Method::GET,
        "/meetings/{}/registrants",
        Label::Medium,
        scopes::LIST_REGISTRANTS,
        registrants::list,
    ),
    endpoint(
        Method::DELETE,
        "/meetings/{}/registrants/{}",
        Label::Light,
        scopes::DELETE_REGISTRANT,
        registrants::delete,
    ),
];

impl Endpoint {
    /// The raw segments in the places of `{}`, if the path has this form.
    fn capture<'a>(&self, path: &'a str) -> Option<Vec<&'a str>> {
        let mut captured = Vec::new();
        let (mut wanted, mut found) = (self.path.split('/'), path.split('/'));
        loop {
            match (wanted.next(), found.next()) {
                (None, None) => return Some(captured),
                (Some("{}"), Some(segment)) if !segment.is_empty() => captured.push(segment),
                (Some(name), Some(segment)) if name == segment => {}
                _ => return None,
            }
        }
    }
}

/// A call on an endpoint by somebody who may make it.
pub(crate) struct Call<'a> {
    world: &'a mut World,
    request: &'a Request,
    /// The raw segments that the endpoint leaves open.
    segments: Vec<&'a str>,
    scope: Scope,
    /// The user behind the token.
    user: Arc<User>,
    reach: Reach,
}

const TRACKING_ID: HeaderName = HeaderName::from_static("x-zm-trackingid");

/// Answers a request to the API. `path` is the raw path without `/v2`.
pub(crate) fn answer(world: &mut World, path: &str, request: &Request) -> Answer {
    world.sweep();
    let tracking_id = world.random.tracking_id();
    let mut headers = HeaderMap::new();
    let mut answer = handle(world, path, request, &mut headers).unwrap_or_else(Answer::from);
    // A refusal with 429 has headers of its own, and what is not among them is not to be there.
    if answer.status != StatusCode::TOO_MANY_REQUESTS {
        answer.headers.extend(headers);
    }
    match HeaderValue::from_str(&tracking_id) {
        Ok(value) => answer.with_header(TRACKING_ID, value),
        Err(_) => answer,
    }
}

fn handle(world: &mut World, path: &str, request: &Request, headers: &mut HeaderMap) -> ZoomResult<Answer> {
    let found = ENDPOINTS
        .iter()
        .filter(|endpoint| endpoint.method == request.method)
        .find_map(|endpoint| Some((endpoint, endpoint.capture(path)?)));
    let (endpoint, segments) = found.ok_or_else(ZoomError::unknown_route)?;

    let now = world.now();
    let token = request.bearer().ok_or_else(|| {
        ZoomError::invalid_token().because("no token in an Authorization header with the scheme Bearer")
    })?;
    let permit = match world.authority.look_up(token, now) {
        (_, Some(permit)) => permit,
        (Worth::Expired, None) => return Err(ZoomError::expired_token()),
        (Worth::Superseded, None) => {
            return Err(ZoomError::invalid_token().because("the user has authorized the app again since"));
        }
        (Worth::Revoked, None) => {
            return Err(ZoomError::invalid_token().because("the grant has been revoked"));
        }
        (Worth::Valid | Worth::Unknown, None) => {
            return Err(ZoomError::invalid_token().because("no such token was ever issued"));
        }
    };

    *headers = world.limits.call(endpoint.label, now)?;

    let style = world.config.scopes;
    let scope = endpoint.scope;
    let reach = scope
        .reach(&permit.scopes)
        .ok_or_else(|| ZoomError::missing_scopes(&scope.names(style, Reach::Own)))?;
    (endpoint.handler)(&mut Call { world, request, segments, scope, user: permit.user, reach })
}

impl Call<'_> {
    /// An open segment of the path, decoded once.
    fn segment(&self, index: usize) -> String {
        self.segments.get(index).map(|segment| decode_segment(segment)).unwrap_or_default()
    }

    fn needs_account_scope(&self) -> ZoomError {
        ZoomError::missing_scopes(&self.scope.names(self.world.config.scopes, Reach::Account))
    }

    /// The user that the path names. Without an account-wide scope only `me` will do, not even one's own id.
    fn named_user(&self) -> ZoomResult<Arc<User>> {
        let name = self.segment(0);
        if name == "me" {
            return Ok(self.user.clone());
        }
        if self.reach == Reach::Own {
            return Err(self.needs_account_scope().because("without an :admin scope only `me` is accepted"));
        }
        self.world.directory.find(&name).cloned().ok_or_else(|| ZoomError::no_user(&name))
    }

    /// The meeting that the path names by its number.
    fn named_meeting(&self, missing: fn(&str) -> ZoomError) -> ZoomResult<&Meeting> {
        let name = self.segment(0);
        let Ok(id) = name.parse::<i64>() else {
            return Err(ZoomError::bad_value("Invalid meeting id.").because(format!("{name:?} is no number")));
        };
        if id == WEBINAR {
            return Err(ZoomError::is_webinar());
        }
        let meeting = self.world.meeting(id).ok_or_else(|| missing(&name))?;
        self.check_access(meeting)?;
        Ok(meeting)
    }

    fn check_access(&self, meeting: &Meeting) -> ZoomResult<()> {
        if self.reach == Reach::Own && !meeting.is_managed_by(&self.user) {
            return Err(self.needs_account_scope().because("the meeting belongs to another user"));
        }
        may_host(&meeting.host)
    }

    /// The body, which has to be a JSON object.
    fn body(&self) -> ZoomResult<Map<String, Value>> {
        match self.request.media_type().as_deref() {
            Some("application/json") => {}
            _ => return Err(ZoomError::unsupported_media_type()),
        }
        match serde_json::from_slice(&self.request.body) {
            Ok(Value::Object(body)) => Ok(body),
            Ok(_) => Err(ZoomError::not_json("the body is JSON, but not an object")),
            Err(error) => Err(ZoomError::not_json(error.to_string())),
        }
    }
}

fn may_host(user: &User) -> ZoomResult<()> {
    match user.licence {
        Licence::Unassigned => Err(ZoomError::may_not_host()),
        Licence::Basic | Licence::Licensed => Ok(()),
    }
}

/// 204: no body, no content type.
fn done() -> Answer {
    Answer::empty(StatusCode::NO_CONTENT)
}
