//! The few pages that end users see: what will be connected and why, and how it ended. They work without script, and say
//! nothing that anybody could have put there as anything but text. Only what an app has opened as a popup has one, which
//! tells the app's page what it has to know and closes the popup.

use std::sync::{Arc, OnceLock};

use aws_lc_rs::digest;
use axum::{
    body::Bytes,
    extract::{Path, RawQuery, State as Shared},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use connector_protocol::{Error, ErrorKind, Problem, Result};
use minijinja::{AutoEscape, Environment, context};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};
use url::Url;

use super::{State, answer::status};
use crate::{
    connections::links::{self, Back, Next, Shown},
    forms::{self, page},
    store::{Link, Progress},
};

/// The cookie that a browser shows to come back as the one that went.
const SESSION: &str = "jackfield_session";

const STYLE: &str = include_str!("pages/connect.css");

/// What a popup does: nothing of it is made of what anybody has sent.
const SCRIPT: &str = include_str!("pages/popup.js");

/// What a browser may make of a page: show it. Forms lead here, and from here to wherever the provider is.
const POLICY: &str = "default-src 'none'; img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'";

fn templates() -> &'static Environment<'static> {
    static TEMPLATES: OnceLock<Environment<'static>> = OnceLock::new();
    TEMPLATES.get_or_init(|| {
        let mut environment = Environment::new();
        environment.set_auto_escape_callback(|_| AutoEscape::Html);
        for (name, text) in [
            ("ask", include_str!("pages/ask.html")),
            ("end", include_str!("pages/end.html")),
            ("frame", include_str!("pages/frame.html")),
        ] {
            // They are part of the program, and its tests draw each.
            let _ = environment.add_template(name, text);
        }
        environment
    })
}

/// What stands on a page, without what is no letter: control characters, and those that turn the direction of writing, by
/// which a provider's or an app's words could look like other words.
fn only_letters(values: &mut Value) {
    let directs =
        |c: char| matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    match values {
        Value::String(text) if text.contains(|c: char| c.is_control() || directs(c)) => {
            *text = text.replace(|c: char| c.is_control() || directs(c), " ");
        }
        Value::Array(items) => items.iter_mut().for_each(only_letters),
        Value::Object(members) => members.values_mut().for_each(only_letters),
        _ => {}
    }
}

fn draw(status: StatusCode, name: &str, mut values: Value) -> Response {
    only_letters(&mut values);
    let drawn = templates().get_template(name).and_then(|template| {
        template
            .render(context! { style => STYLE, script => SCRIPT, page => minijinja::value::Serde(&values) })
    });
    let html = match drawn {
        Ok(html) => html,
        Err(error) => {
            tracing::error!("a page cannot be drawn: {error}");
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
    };
    static HASHES: OnceLock<[String; 2]> = OnceLock::new();
    let hash = |text: &str| STANDARD.encode(digest::digest(&digest::SHA256, text.as_bytes()));
    let [style, script] = HASHES.get_or_init(|| [hash(STYLE), hash(SCRIPT)]);
    let mut policy = format!("{POLICY}; style-src 'sha256-{style}'");
    if values.get("origin").is_some_and(Value::is_string) {
        policy += &format!("; script-src 'sha256-{script}'");
    }
    page_of(status, html, &policy)
}

fn page_of(status: StatusCode, html: String, policy: &str) -> Response {
    let mut response = (status, html).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    if let Ok(policy) = HeaderValue::from_str(policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// How something ended that has no page to go back to.
pub(super) fn failed(error: &Error) -> Response {
    let text = &error.message;
    let status = if error.kind == ErrorKind::NotFound { StatusCode::GONE } else { status(&error.kind) };
    draw(
        status,
        "end",
        serde_json::json!({
            "title": "Not connected",
            "heading": "This did not work",
            "text": sentence(text),
            "next": error.hint.as_deref().map(sentence),
        }),
    )
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|first| first.to_uppercase().collect::<String>()).unwrap_or_default();
    format!("{first}{}.", letters.as_str().trim_end_matches('.'))
}

/// The session that a browser shows.
pub(super) fn session(headers: &HeaderMap) -> Option<String> {
    // What we have given has this form.
    cookie(headers, SESSION).filter(|value| {
        value.len() == 43 && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    })
}

/// The cookie of this name that a browser shows.
pub(super) fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs =
        cookies.flat_map(|cookies| cookies.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(known, _)| *known == name).map(|(_, value)| value.to_owned())
}

pub(super) fn set_session(state: &State, response: &mut Response, session: &str) -> Result<()> {
    let secure = if state.host.settings()?.config.public_url.is_secure() { "; Secure" } else { "" };
    // It comes back with a browser that a provider sends here, and with nothing that another page begins.
    let cookie = format!("{SESSION}={session}; Path=/; HttpOnly; SameSite=Lax; Max-Age=3600{secure}");
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    Ok(())
}

pub(super) async fn link(
    Shared(state): Shared<Arc<State>>,
    headers: HeaderMap,
    Path(token): Path<String>,
) -> Response {
    let asked = match state.host.show_link(&token).await {
        Ok(shown) if shown.link.progress.is_over() => return end(&state, &shown.link),
        Ok(shown) => ask(&shown, &token, None, &[]),
        Err(error) => Err(error),
    };
    // Whoever says yes has to have been asked: the answer comes with what goes out here.
    let begun = asked.and_then(|mut response| {
        if session(&headers).is_none() {
            set_session(&state, &mut response, links::secret()?.expose_secret())?;
        }
        Ok(response)
    });
    begun.unwrap_or_else(|error| failed(&error))
}

/// The session of a browser that has been asked, on this page and on no other: what another page makes it send is not what
/// its user wants.
fn asked_here(headers: &HeaderMap) -> Result<String> {
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    let from_here = site.is_none_or(|site| site == b"same-origin" || site == b"none");
    session(headers).filter(|_| from_here).ok_or_else(|| {
        Error::new(ErrorKind::Usage, "nobody was asked in this browser")
            .hint("open the link itself, with cookies allowed, and say yes there")
    })
}

/// The page that asks.
fn ask(shown: &Shown, token: &str, value: Option<&Value>, problems: &[Problem]) -> Result<Response> {
    let auth = shown.auth()?;
    let title = &shown.manifest.title;
    let app = shown.project.title.as_deref().unwrap_or("This app");
    if let Some(form) = form_of(shown)? {
        let page = page::Page { value, problems, action: Some(token), file: "connect.json", command: "" };
        let html = page::html(&form, &page)
            .map_err(|error| Error::new(ErrorKind::Internal, format!("the form cannot be drawn: {error}")))?;
        let status = if problems.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
        return Ok(page_of(status, html, &format!("{POLICY}; style-src 'unsafe-inline'")));
    }
    let values = serde_json::json!({
        "title": format!("Connect {title}"),
        "connector": title,
        "app": app,
        "token": token,
        "again": shown.link.connection.is_some(),
        "about": auth.description,
        "scopes": shown.scopes.iter().map(|(scope, why)| serde_json::json!({"name": scope, "why": why})).collect::<Vec<_>>(),
    });
    Ok(draw(StatusCode::OK, "ask", values))
}

/// What has to be typed, if anything has to be.
fn form_of(shown: &Shown) -> Result<Option<forms::Form>> {
    let auth = shown.auth()?;
    if auth.parameters.is_empty() {
        return Ok(None);
    }
    let app = shown.project.title.as_deref().unwrap_or("This app");
    let title = format!("Connect {}", shown.manifest.title);
    let about = format!(
        "{app} wants to use your account at {}. {}",
        shown.manifest.title,
        auth.description.as_deref().map(sentence).unwrap_or_default()
    );
    Ok(Some(forms::build(&title, about.trim(), &shown.manifest.standalone(&auth.parameters))))
}

pub(super) async fn follow(
    Shared(state): Shared<Arc<State>>,
    Path(token): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    go(&state, &token, &headers, &body).await.unwrap_or_else(|error| failed(&error))
}

async fn go(state: &State, token: &str, headers: &HeaderMap, body: &[u8]) -> Result<Response> {
    let shown = state.host.show_link(token).await?;
    if shown.link.progress.is_over() {
        return Ok(end(state, &shown.link));
    }
    let session = asked_here(headers)?;
    let form = form_of(&shown)?;
    let typed = match &form {
        Some(form) => {
            let text = std::str::from_utf8(body)
                .map_err(|_| Error::new(ErrorKind::Usage, "the form cannot be read"))?;
            match forms::submitted::value(form, &forms::submitted::pairs(text), None) {
                Value::Object(typed) => typed,
                _ => Map::new(),
            }
        }
        None => Map::new(),
    };
    Ok(match state.host.follow_link(token, &session, typed.clone()).await {
        Ok(Next::Away(url)) => away(&url),
        Ok(Next::Over(link)) => end(state, &link),
        // What was typed may be mended.
        Err(error) if form.is_some() && !matches!(error.kind, ErrorKind::NotFound | ErrorKind::Conflict) => {
            let problems = match error.problems.is_empty() {
                true => vec![Problem::new("", error.message.clone())],
                false => error.problems.clone(),
            };
            ask(&shown, token, Some(&Value::Object(typed)), &problems)?
        }
        Err(error) => return Err(error),
    })
}

/// Sends a browser away.
pub(super) fn away(to: &Url) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    let headers = response.headers_mut();
    if let Ok(to) = HeaderValue::from_str(to.as_str()) {
        headers.insert(header::LOCATION, to);
    }
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

pub(super) async fn callback(
    Shared(state): Shared<Arc<State>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let back = match read_back(query.as_deref().unwrap_or_default()) {
        Ok(back) => back,
        Err(error) => return failed(&error),
    };
    // In a task of its own: a browser that goes away does not take back what the provider has granted.
    let session = session(&headers);
    let task = {
        let state = state.clone();
        tokio::spawn(async move { state.host.come_back(back, session.as_deref()).await })
    };
    match task.await {
        Ok(Ok(link)) => end(&state, &link),
        Ok(Err(error)) => failed(&error),
        Err(_) => failed(&Error::new(ErrorKind::Internal, "connecting broke off")),
    }
}

/// Reads what a browser was sent back with. What stands there twice has no meaning.
fn read_back(query: &str) -> Result<Back> {
    let mut back = Back::default();
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        let twice = match &*name {
            "state" => back.state.replace(value.into_owned()).is_some(),
            "code" => back.code.replace(SecretString::from(value.into_owned())).is_some(),
            "error" => back.error.replace(value.into_owned()).is_some(),
            "error_description" => back.error_description.replace(value.into_owned()).is_some(),
            "iss" => back.iss.replace(value.into_owned()).is_some(),
            _ => false,
        };
        if twice {
            return Err(Error::new(ErrorKind::Usage, "the provider's answer says something twice"));
        }
    }
    Ok(back)
}

/// How it ended: back at the app, or on a page that says so and what next.
fn end(state: &State, link: &Link) -> Response {
    let allowed = state.host.project(&link.project).map(|project| project.return_urls).unwrap_or_default();
    // What was allowed when the link was made may not be any more.
    let back = link.return_url.as_deref().filter(|url| links::may_return(&allowed, url));
    if let Some(mut url) = back.and_then(|url| Url::parse(url).ok()) {
        let progress = match link.progress {
            Progress::Connected => "connected",
            Progress::Denied => "denied",
            _ => "failed",
        };
        url.query_pairs_mut().append_pair("status", progress).append_pair("link", &link.id);
        if let Some(connection) = &link.connected {
            url.query_pairs_mut().append_pair("connection", connection);
        }
        return away(&url);
    }
    let title = state
        .host
        .registry()
        .find(&link.connector)
        .map_or(link.connector.clone(), |library| library.head.title.clone());
    let (heading, text, next) = match (link.progress, &link.error) {
        (Progress::Connected, _) => {
            let state = link.connected.as_deref().and_then(|id| {
                let scope = crate::store::Scope::project(&link.project);
                state.host.connections.held(&scope, id).ok()
            });
            match state.map(|held| held.connection) {
                Some(connection) if connection.state == crate::store::ConnectionState::NeedsScope => (
                    "Almost connected",
                    format!("Your {title} account is known, but {}.", connection.reason.unwrap_or_default()),
                    Some("Whoever runs the app has to add what is missing; then connect again.".to_owned()),
                ),
                Some(connection) => (
                    "Connected",
                    format!("Your {title} account {} is connected.", connection.label()),
                    Some("You can close this window.".to_owned()),
                ),
                None => ("Connected", format!("Your {title} account is connected."), None),
            }
        }
        (Progress::Denied, _) => (
            "Not connected",
            format!("You have not allowed it, so your {title} account is not connected."),
            Some("Nothing has changed. Go back to the app to begin again.".to_owned()),
        ),
        (_, Some(error)) => {
            let next = error.hint.as_deref().filter(|hint| !hint.contains("jackfield")).map(sentence);
            (
                "Not connected",
                sentence(&error.message),
                next.or(Some("Go back to the app and begin again.".to_owned())),
            )
        }
        _ => ("Not connected", "This is not over yet.".to_owned(), None),
    };
    let mut values = serde_json::json!({"title": format!("{title}: {heading}"), "heading": heading, "text": text, "next": next});
    if let Some(origin) = &link.origin {
        // What went well needs no reading; anything else stays for as long as somebody reads it.
        values["origin"] = origin.as_str().into();
        values["close"] = (heading == "Connected").into();
        values["message"] =
            super::paragon::told(link).map_or(Value::Null, |message| message.to_string().into());
    }
    draw(StatusCode::OK, "end", values)
}

/// A page in a popup that tells the page which has opened it something, if that is of this origin.
pub(super) fn tells(origin: &str, message: &Value) -> Response {
    let values = serde_json::json!({
        "title": "Connect an account",
        "heading": "One moment",
        "text": "You are being sent on.",
        "next": "If nothing happens, close this window and begin again.",
        "origin": origin,
        "message": message.to_string(),
    });
    draw(StatusCode::OK, "end", values)
}
