//! Connecting an account in a popup that an app's page opens.
//!
//! Their client does two things at once: it opens the popup on a page of ours, `oauth-nonce`, with the user's token in the
//! address, and asks us by `build-oauth` where to send the popup next. The first is the user's browser and comes without
//! anything else; the second carries the token as it should and knows nothing of the browser. What goes to the provider has
//! to be bound to the browser, so neither of the two begins it:
//!
//! 1. `oauth-nonce` gives the browser its session, and tells the app's page, and nobody else's, that it is there.
//! 2. `build-oauth` makes a connect link and answers with an address of ours, `oauth-popup`.
//! 3. There the popup comes with its session, which the link is bound to from then on, and goes on to the provider.
//!
//! Anybody who is some user of an app could have somebody else open such a popup, and connect their account to his own
//! name. So it goes straight on only where step 1 has seen that the popup was opened by a page of the app: one whose origin
//! is that of a return address of the project, which the browser itself says. Everybody else sees first who wants what, as
//! with any connect link.
//!
//! The app then asks by a key of its own making how it went. Together with the user that key makes the link's token, by a
//! secret of this process, so nothing has to be remembered and nobody else can make it.

use std::sync::Arc;

use aws_lc_rs::hmac;
use axum::{
    Json,
    extract::State as Shared,
    http::{HeaderMap, HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use connector_protocol::{Error, ErrorKind, Result, manifest::AuthKind};
use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use url::Url;

use super::{
    super::{
        State,
        answer::{Asked, Body, Named, Problem},
        guard::{self, Tenant},
        pages,
        routes::{Gives, system::Fine},
    },
    find, plain_id, user,
};
use crate::{
    connections::links::{self, NewLink, Next, Shown},
    invoke::Source,
    store::{Link, Progress},
};

/// The cookie that marks a popup which a page of the app has opened.
const MARK: &str = "jackfield_popup";

/// How long such a mark is good: from opening a popup to sending it on.
const MARKED: SignedDuration = SignedDuration::from_mins(5);

/// How long an app's own key may be.
const MAX_KEY: usize = 200;

const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// What a popup is opened with.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::server) struct Nonce {
    integration_id: String,
    origin_for_post_message: String,
    user_token: SecretString,
}

/// What an account is to be connected with. The token that their client puts here as well is not looked at.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::server) struct Build {
    integration_id: String,
    origin_for_post_message: String,
    oauth_meta_key_id: Option<String>,
    install_options: Option<String>,
    redirect_url: Option<String>,
}

/// Where a popup goes next.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::server) struct Begun {
    redirect_url: String,
}

/// What came of connecting an account.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(in crate::server) struct Came {
    /// The account; absent as long as there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    connect_credential_id: Option<String>,
    /// Why it came to nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Error>,
}

/// The origin of a page, if it is one as browsers write it.
fn origin(text: &str) -> Result<String> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    // Written back it has to be the same, so there is nothing more in it.
    url.filter(|url| url.origin().ascii_serialization() == text).map(|_| text.to_owned()).ok_or_else(|| {
        Error::new(ErrorKind::InvalidInput, "`originForPostMessage` is no origin of a page")
            .hint("send `window.location.origin`: https://host, and the port if it is another than usual")
    })
}

/// What only this process makes of something.
fn sign(state: &State, what: &Value) -> String {
    URL_SAFE_NO_PAD.encode(hmac::sign(&state.popups, what.to_string().as_bytes()))
}

/// The token of the link that an app knows by a key of its own.
fn token_of(state: &State, tenant: &Tenant, key: &str) -> Result<SecretString> {
    if key.is_empty() || key.len() > MAX_KEY {
        let text = format!("`oauthMetaKeyId` has 1 to {MAX_KEY} characters");
        return Err(Error::new(ErrorKind::InvalidInput, text));
    }
    Ok(SecretString::from(sign(state, &json!(["link", tenant.project, user(tenant)?, key]))))
}

/// The mark of a popup: whose it is, what for, and until when.
fn mark(state: &State, session: &str, link: [&str; 4], until: i64) -> String {
    let [project, user, connector, origin] = link;
    format!("{until}.{}", sign(state, &json!(["popup", session, project, user, connector, origin, until])))
}

/// Whether a mark is the one of this session and this link.
fn is_marked(state: &State, headers: &HeaderMap, session: &str, link: &Link) -> bool {
    let (Some(shown), Some(origin)) = (pages::cookie(headers, MARK), &link.origin) else { return false };
    let Some(until) = shown.split('.').next().and_then(|until| until.parse::<i64>().ok()) else {
        return false;
    };
    let ours = mark(state, session, [&link.project, &link.user, &link.connector, origin], until);
    let same = aws_lc_rs::constant_time::verify_slices_are_equal(shown.as_bytes(), ours.as_bytes()).is_ok();
    same && until > Timestamp::now().as_second()
}

/// Whether a popup was opened by a page of this origin, and whether that is a page of the app.
fn is_apps(allowed: &[String], origin: &str, headers: &HeaderMap) -> bool {
    let of = |url: &str| Url::parse(url).ok().map(|url| url.origin().ascii_serialization());
    let opened_by = headers.get(header::REFERER).and_then(|page| of(page.to_str().ok()?));
    // What a script fetches is no popup.
    let is_opened = headers.get(SEC_FETCH_MODE).is_none_or(|mode| mode == "navigate");
    is_opened
        && opened_by.as_deref() == Some(origin)
        && allowed.iter().any(|allowed| of(allowed).as_deref() == Some(origin))
}

pub(in crate::server) async fn nonce(
    Shared(state): Shared<Arc<State>>,
    Named(project): Named<String>,
    headers: HeaderMap,
    asked: Result<Asked<Nonce>, Problem>,
) -> Response {
    let opened = async {
        let Asked(asked) = asked.map_err(|Problem(error)| error)?;
        open(&state, &project, &headers, asked).await
    };
    opened.await.unwrap_or_else(|error| pages::failed(&error))
}

async fn open(state: &State, project: &str, headers: &HeaderMap, asked: Nonce) -> Result<Response> {
    let who = guard::user_of_project(state, asked.user_token.expose_secret(), project)?;
    let tenant = Tenant::of(state, who, Some(project), Source::Api)?;
    let origin = origin(&asked.origin_for_post_message)?;
    let integration = find(state, project, &asked.integration_id).await?;
    let session = match pages::session(headers) {
        Some(session) => session,
        None => links::secret()?.expose_secret().to_owned(),
    };
    let mut response = pages::tells(&origin, &json!({"type": "oauth-nonce-loaded"}));
    pages::set_session(state, &mut response, &session)?;
    if is_apps(&state.host.project(project)?.return_urls, &origin, headers) {
        let until = Timestamp::now().saturating_add(MARKED).unwrap_or(Timestamp::MAX).as_second();
        let link = [project, user(&tenant)?, &integration.connector, &origin];
        let value = mark(state, &session, link, until);
        let secure = if state.host.settings()?.config.public_url.is_secure() { "; Secure" } else { "" };
        let seconds = MARKED.as_secs();
        let cookie = format!("{MARK}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}");
        if let Ok(cookie) = HeaderValue::from_str(&cookie) {
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
    }
    Ok(response)
}

pub(in crate::server) async fn build(
    Shared(state): Shared<Arc<State>>,
    tenant: Tenant,
    Asked(asked): Asked<Build>,
) -> Gives<Begun> {
    let origin = origin(&asked.origin_for_post_message)?;
    let integration = find(&state, &tenant.project, &asked.integration_id).await?;
    let registered = state.host.redirect_uri()?;
    if asked.redirect_url.is_some_and(|url| url != registered) {
        let text = "providers send users back to one address, and `redirectUrl` is another";
        return Err(Problem(
            Error::new(ErrorKind::InvalidInput, text).hint(format!("leave it out, or give {registered}")),
        ));
    }
    let token = match asked.oauth_meta_key_id.as_deref() {
        Some(key) => token_of(&state, &tenant, key)?,
        None => links::secret()?,
    };
    if state.host.store.link_by(links::digest_of(token.expose_secret())).await?.is_some() {
        let text = "an account was connected under this `oauthMetaKeyId` already";
        return Err(Problem(Error::new(ErrorKind::Conflict, text).hint("make a key for each time")));
    }
    let new = NewLink {
        connector: integration.connector,
        connection: again(asked.install_options.as_deref())?,
        ..NewLink::default()
    };
    let project = state.host.project(&tenant.project)?;
    let actor = &tenant.who.actor;
    state.host.add_link_as(&project, new, user(&tenant)?, Some(origin), actor, &token).await?;
    let base = state.host.settings()?.config.public_url.base().to_owned();
    let redirect_url =
        format!("{base}/projects/{}/sdk/actions/oauth-popup/{}", project.id, token.expose_secret());
    Ok(Json(Begun { redirect_url }))
}

/// The account that is connected again, if it is one that was there before.
fn again(options: Option<&str>) -> Result<Option<String>> {
    let unreadable = |_| Error::new(ErrorKind::InvalidInput, "`installOptions` is no JSON object");
    let options: Map<String, Value> =
        options.map_or(Ok(Map::new()), serde_json::from_str).map_err(unreadable)?;
    Ok(options.get("selectedCredentialId").and_then(Value::as_str).map(|id| plain_id(id).to_owned()))
}

pub(in crate::server) async fn go(
    Shared(state): Shared<Arc<State>>,
    Named((project, token)): Named<(String, String)>,
    headers: HeaderMap,
) -> Response {
    on(&state, &project, &token, &headers).await.unwrap_or_else(|error| pages::failed(&error))
}

async fn on(state: &State, project: &str, token: &str, headers: &HeaderMap) -> Result<Response> {
    let shown = state.host.show_link(token).await?;
    let link = &shown.link;
    if link.project != project || link.origin.is_none() {
        return Err(Error::new(ErrorKind::NotFound, "this link is not good any more")
            .hint("ask the app for a new one"));
    }
    let session = pages::session(headers).filter(|session| is_marked(state, headers, session, link));
    if let Some(session) = session
        && link.progress == Progress::Open
        && asks_nothing(&shown)?
        && let Next::Away(url) = state.host.follow_link(token, &session, Map::new()).await?
    {
        return Ok(pages::away(&url));
    }
    let page = format!("{}/connect/{token}", state.host.settings()?.config.public_url.base());
    let page = Url::parse(&page)
        .map_err(|_| Error::new(ErrorKind::Internal, "the address of the page cannot be made"))?;
    Ok(pages::away(&page))
}

/// Whether all that is asked for is asked for by the provider.
fn asks_nothing(shown: &Shown) -> Result<bool> {
    let auth = shown.auth()?;
    let by_provider = matches!(&auth.kind, AuthKind::Oauth2(oauth) if oauth.grant == "authorization_code");
    Ok(by_provider && auth.parameters.is_empty())
}

pub(in crate::server) async fn session(
    Shared(state): Shared<Arc<State>>,
    tenant: Tenant,
    Named((_, key)): Named<(String, String)>,
) -> Gives<Came> {
    let token = token_of(&state, &tenant, &key)?;
    let found = state.host.store.link_by(links::digest_of(token.expose_secret())).await?;
    let own = found.filter(|link| link.project == tenant.project && Some(&link.user) == tenant.user.as_ref());
    // Their client asks before the link can be there, too.
    let (connect_credential_id, error) = own.map_or((None, None), |link| (link.connected, link.error));
    Ok(Json(Came { connect_credential_id, error }))
}

/// Nothing was remembered beside the link, which ends by itself; a user who is still at the provider may go on.
pub(in crate::server) async fn forget(
    Shared(state): Shared<Arc<State>>,
    tenant: Tenant,
    Named((_, key)): Named<(String, String)>,
) -> Gives<Fine> {
    token_of(&state, &tenant, &key)?;
    Ok(Json(Fine::yes()))
}

/// What the page that has opened a popup is told of how it ended. That it went well it asks itself.
pub(in crate::server) fn told(link: &Link) -> Option<Value> {
    if link.progress == Progress::Connected {
        return None;
    }
    let message = link.error.as_ref().map_or("the account was not connected", |error| &error.message);
    let error = json!({"message": message});
    Some(json!({"type": "oauth_error_callback", "error": error, "errorResponse": error}))
}

/// A code that an app has fetched by itself. Nobody can tell whose browser it was given to, and whoever brings somebody
/// else's would have that account connected to his own name.
pub(in crate::server) async fn complete(
    Shared(_): Shared<Arc<State>>,
    _: Tenant,
    Body(_): Body<Value>,
) -> Response {
    Problem(
        Error::new(ErrorKind::Usage, "a code is not taken that was asked for elsewhere: it is bound to no browser and to no verifier (PKCE), so it may be somebody else's")
            .hint("connect the account in a popup, by `paragon.installIntegration`, or by a connect link: POST /v1/connect-links"),
    )
    .into_response()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "in a test, a panic is the message")]

    use super::*;

    #[test]
    fn only_an_origin_as_browsers_write_it_is_told_anything() {
        for fits in [
            "https://app.example.com",
            "http://localhost:3000",
            "https://xn--bcher-kva.example",
            "http://[::1]:8080",
        ] {
            assert_eq!(origin(fits).unwrap(), fits);
        }
        for wrong in [
            "*",
            "/",
            "",
            "null",
            "app.example.com",
            "https://app.example.com/",
            "https://app.example.com/x",
            "https://app.example.com?x",
            "https://app.example.com#x",
            "https://anna@app.example.com",
            "https://app.example.com:443",
            "HTTPS://app.example.com",
            "javascript:alert(1)",
            "data:text/html,x",
            "file:///etc/passwd",
            "ftp://app.example.com",
            "https://a.example.com https://b.example.com",
            "https://app.example.com\n",
            "blob:https://app.example.com",
        ] {
            assert_eq!(origin(wrong).unwrap_err().kind, ErrorKind::InvalidInput, "{wrong:?}");
        }
    }

    #[test]
    fn a_popup_is_the_apps_if_the_browser_says_so_and_the_project_knows_the_app() {
        let allowed = ["https://app.example.com/settings".to_owned(), "http://localhost:3000".to_owned()];
        let app = "https://app.example.com";
        for (origin, referer, mode, is) in [
            (app, Some("https://app.example.com/accounts?x=1"), Some("navigate"), true),
            (app, Some("https://app.example.com/"), None, true),
            ("http://localhost:3000", Some("http://localhost:3000/"), Some("navigate"), true),
            // Nobody says who has opened it.
            (app, None, Some("navigate"), false),
            (app, Some("no address"), Some("navigate"), false),
            // Somebody else has, or says that they are somebody else.
            (app, Some("https://evil.example.com/"), Some("navigate"), false),
            (app, Some("https://app.example.com.evil.example/"), Some("navigate"), false),
            (app, Some("http://app.example.com/"), Some("navigate"), false),
            ("https://evil.example.com", Some("https://evil.example.com/"), Some("navigate"), false),
            ("http://localhost:3001", Some("http://localhost:3001/"), Some("navigate"), false),
            // A script of the app's page asks, and nothing is opened.
            (app, Some("https://app.example.com/"), Some("cors"), false),
            (app, Some("https://app.example.com/"), Some("no-cors"), false),
        ] {
            let mut headers = HeaderMap::new();
            headers.extend(referer.map(|referer| (header::REFERER, HeaderValue::from_static(referer))));
            headers.extend(mode.map(|mode| (SEC_FETCH_MODE, HeaderValue::from_static(mode))));
            assert_eq!(is_apps(&allowed, origin, &headers), is, "{origin} {referer:?} {mode:?}");
            assert!(!is_apps(&[], origin, &headers));
        }
    }

    #[test]
    fn the_account_that_is_connected_again_stands_in_the_options() {
        for (options, expected) in [
            (None, Ok(None)),
            (Some("{}"), Ok(None)),
            (Some(r#"{"selectedCredentialId": null, "allowMultipleCredentials": true}"#), Ok(None)),
            (Some(r#"{"selectedCredentialId": "conn_1"}"#), Ok(Some("conn_1"))),
            (Some(r#"{"selectedCredentialId": "ext:conn_1"}"#), Ok(Some("conn_1"))),
            (Some("[]"), Err(ErrorKind::InvalidInput)),
            (Some("{"), Err(ErrorKind::InvalidInput)),
        ] {
            let found = again(options).map_err(|error| error.kind);
            assert_eq!(found.as_ref().map(Option::as_deref), expected.as_ref().map(|id| *id), "{options:?}");
        }
    }
}
