//! Paragon's addresses, so that an app which was written against that vendor's SDK or ActionKit runs against this server,
//! unchanged.
//!
//! It translates and knows nothing else: their names for things are read, what the [native routes](super::routes) call is
//! called, and what comes back is said in their words. Their project, user token and credential are a project, a user's
//! token and a connection here. What they have and we do not have says so. It refuses to know what any of it does.
//!
//! Browsers call it from the pages of apps, wherever those lie: any origin may, since nothing here is done for a cookie.
//! How an account is connected in a popup is told in `popup`.

mod kit;
mod popup;
mod shapes;

use std::sync::Arc;

use axum::{
    Json,
    body::Body as Sent,
    extract::{Request, State as Shared},
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use connector_protocol::{Error, ErrorKind, Manifest, Result};
use serde::Deserialize;
use serde_json::Value;

pub(super) use self::popup::told;
use self::shapes::{Credential, Entry, Installed, Me, SdkProject};
use super::{
    State,
    answer::{Asked, Body, Named, Problem},
    guard::{Access, Tenant},
    routes::{
        Gives, proxy,
        system::Fine,
        users::{self, Meta},
    },
    table::{MAX_BODY, Route, route},
};
use crate::{
    connections::integrations,
    store::{Connection, ConnectionState, Integration, Page, Scope, Which},
};

/// Which connection is meant.
const CREDENTIAL: HeaderName = HeaderName::from_static("x-paragon-credential");

/// Where a request goes, where its address does not say so.
const PROXY_URL: HeaderName = HeaderName::from_static("x-paragon-proxy-url");

/// What all of their headers begin with.
const THEIRS: &str = "x-paragon-";

/// The type of a body whose sender leaves it to us to find out.
const FIND_OUT: &[u8] = b"auto";

/// How many connections are read at a time.
const READ: u32 = 200;

/// How long a browser may remember what it is allowed to send, in seconds.
const REMEMBERED: &str = "600";

/// Their addresses.
pub(super) fn table() -> Vec<Route> {
    use Access::{Public, UserOfProject as User};

    let mut table = vec![
        route(User, Method::GET, "/projects/{project}/sdk/me", "Who the user is, and their accounts", me)
            .gives::<Me>(),
        route(User, Method::PATCH, "/projects/{project}/sdk/me", "Change what is kept of the user", set_me)
            .takes::<Meta>()
            .gives::<Me>(),
        route(User, Method::GET, "/projects/{project}/sdk/integrations", "What can be connected", entries)
            .gives::<Vec<Entry>>(),
        route(
            User,
            Method::DELETE,
            "/projects/{project}/sdk/integrations/{id}",
            "Give up the user's accounts there, or the one that is named",
            uninstall,
        )
        .gives::<Fine>(),
        route(
            User,
            Method::GET,
            "/projects/{project}/sdk/credentials",
            "The user's account at an integration",
            account,
        )
        .asks::<Option<String>>("integration", "The integration, by its type")
        .gives::<Credential>(),
        route(
            User,
            Method::POST,
            "/projects/{project}/sdk/credentials",
            "Not taken: a code that was asked for elsewhere",
            popup::complete,
        )
        .takes::<Value>(),
        route(
            User,
            Method::GET,
            "/projects/{project}/sdk/credentials/{id}",
            "An account of the user",
            credential,
        )
        .gives::<Credential>(),
        route(
            Public,
            Method::GET,
            "/projects/{project}/sdk/actions/oauth-nonce",
            "The popup in which an account is connected",
            popup::nonce,
        )
        .needs::<String>("integrationId", "The integration")
        .needs::<String>(
            "originForPostMessage",
            "The origin of the app's page, which is told that the popup is there",
        )
        .needs::<String>("userToken", "The user's token: a popup has no other place for it")
        .media("text/html"),
        route(
            Public,
            Method::GET,
            "/projects/{project}/sdk/actions/oauth-popup/{token}",
            "Where the popup goes on",
            popup::go,
        )
        .media("text/html"),
        route(
            User,
            Method::GET,
            "/v2/projects/{project}/sdk/actions/build-oauth",
            "Begin to connect an account",
            popup::build,
        )
        .needs::<String>("integrationId", "The integration")
        .needs::<String>("originForPostMessage", "The origin of the app's page")
        .asks::<Option<String>>("oauthMetaKeyId", "By what the app will ask how it went")
        .asks::<Option<String>>("installOptions", "JSON; of it, the account that is connected again counts")
        .asks::<Option<String>>(
            "redirectUrl",
            "Where the provider sends the user back to: always the same address, so this one or none",
        )
        .gives::<popup::Begun>(),
        route(
            User,
            Method::GET,
            "/projects/{project}/sdk/actions/session-id/{key}",
            "What came of connecting an account",
            popup::session,
        )
        .gives::<popup::Came>(),
        route(
            User,
            Method::DELETE,
            "/projects/{project}/sdk/actions/session-id/{key}",
            "Nobody will ask for that again",
            popup::forget,
        )
        .gives::<Fine>(),
        route(
            User,
            Method::GET,
            "/projects/{project}/actions",
            "What can be done, as tools for a model",
            kit::list,
        )
        .asks::<Option<String>>("format", "`json_schema`")
        .asks::<Option<String>>("integrations", "Of these integrations, separated by commas")
        .asks::<Option<bool>>("limit_to_available", "Only where the user has an account")
        .gives::<kit::Tools>(),
        route(User, Method::POST, "/projects/{project}/actions", "Do one of them", kit::run)
            .takes::<kit::Call>()
            .gives::<Value>(),
        route(
            User,
            Method::POST,
            "/v2/projects/{project}/sdk/events/trigger",
            "Not here yet: tell workflows that something has happened",
            workflows,
        ),
        route(
            User,
            Method::GET,
            "/projects/{project}/sdk/triggers/{id}",
            "Not here yet: run a workflow",
            workflows,
        ),
        route(
            User,
            Method::POST,
            "/projects/{project}/sdk/triggers/{id}",
            "Not here yet: run a workflow",
            workflows,
        ),
        route(
            User,
            Method::POST,
            "/projects/{project}/sdk/workflows/{id}",
            "Not here yet: turn a workflow on",
            workflows,
        ),
        route(
            User,
            Method::DELETE,
            "/projects/{project}/sdk/workflows/{id}",
            "Not here yet: turn a workflow off",
            workflows,
        ),
        route(
            User,
            Method::GET,
            "/projects/{project}/triggers",
            "Not here yet: what can be listened for",
            triggers,
        ),
        route(
            User,
            Method::POST,
            "/projects/{project}/trigger-subscriptions",
            "Not here yet: listen for something",
            triggers,
        ),
        route(Public, Method::GET, "/integrations/{file}", "The picture of an integration: `TYPE.svg`", icon)
            .media("image/svg+xml"),
    ];
    for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::HEAD] {
        let about = "Send a request to the provider as the user's account; without a path, where `X-Paragon-Proxy-Url` says";
        for path in ["/projects/{project}/sdk/proxy/{type}/{*path}", "/projects/{project}/sdk/proxy/{type}"] {
            table.push(route(User, method.clone(), path, about, forward).media("*/*"));
        }
    }
    table
}

/// The project that one of their addresses is of.
pub(super) fn project_of(path: &str) -> Option<&str> {
    let path = path.strip_prefix("/v2").unwrap_or(path);
    path.strip_prefix("/projects/")?.split('/').next().filter(|project| !project.is_empty())
}

/// Lets the pages of apps call their addresses, and has errors come under the name by which their clients know JSON.
pub(super) async fn translate(request: Request, next: Next) -> Response {
    if project_of(request.uri().path()).is_none() {
        return next.run(request).await;
    }
    let asks_first = request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = if asks_first { allowed(request.headers()) } else { next.run(request).await };
    let headers = response.headers_mut();
    let is_ours = !headers.contains_key(proxy::PASSED_ON);
    let kind = headers.get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    if is_ours && kind == b"application/problem+json" {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    } else if is_ours && kind.starts_with(b"text/html") {
        // Pages are opened and not fetched.
        return response;
    }
    // Whom a provider lets read its answers is said of its own address, not of ours.
    headers.remove(header::ACCESS_CONTROL_ALLOW_CREDENTIALS);
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("*"));
    response
}

/// What a browser is told that asks whether it may send something.
fn allowed(asked: &HeaderMap) -> Response {
    let asked =
        asked.get_all(header::ACCESS_CONTROL_REQUEST_HEADERS).iter().filter_map(|value| value.to_str().ok());
    let names = asked.flat_map(|names| names.split(',')).map(|name| name.trim().to_ascii_lowercase());
    let allowed: Vec<String> = names.filter(|name| may_be_sent(name)).collect();
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    let methods = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE");
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, methods);
    if let Ok(allowed) = HeaderValue::from_str(&allowed.join(", ")) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, allowed);
    }
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(REMEMBERED));
    headers.insert(header::VARY, HeaderValue::from_static("access-control-request-headers"));
    response
}

fn may_be_sent(name: &str) -> bool {
    let named = ["authorization", "content-type", "accept", "accept-language", "idempotency-key"];
    let is_name = HeaderName::from_bytes(name.as_bytes()).is_ok();
    is_name && (named.contains(&name) || name.starts_with(THEIRS))
}

/// A connector that is set up, and what it declares.
struct SetUp {
    integration: Integration,
    manifest: Arc<Manifest>,
}

/// What can be used in a project: what is set up and has its library.
async fn set_up(state: &State, project: &str) -> Result<Vec<SetUp>> {
    let integrations = state.host.store.integrations(project.to_owned()).await?;
    let registry = state.host.registry();
    let known = integrations.into_iter().filter_map(|integration| {
        let manifest = registry.find(&integration.connector).ok()?.manifest().ok()?.clone();
        Some(SetUp { integration, manifest })
    });
    Ok(known.collect())
}

/// An integration by its id, or by its connector.
async fn find(state: &State, project: &str, named: &str) -> Result<Integration> {
    let found = state.host.store.integration(project.to_owned(), named.to_owned()).await?;
    found.ok_or_else(|| integrations::none(named))
}

/// The user who asks. The guard has let in nobody else.
fn user(tenant: &Tenant) -> Result<&str> {
    tenant.user.as_deref().ok_or_else(|| Error::new(ErrorKind::Unauthenticated, "only a user may do this"))
}

/// All accounts of a user that were not given up, the oldest first.
async fn accounts(state: &State, scope: &Scope, connector: Option<&str>) -> Result<Vec<Connection>> {
    let which = Which { connector: connector.map(str::to_owned), state: None };
    let mut all: Vec<Connection> = Vec::new();
    loop {
        let after = all.last().map(|last| last.id.clone());
        let page = Page { after, most: READ };
        let found = state.host.store.connections(scope.clone(), which.clone(), page).await?;
        let is_last = found.len() < READ as usize;
        all.extend(found);
        if is_last {
            all.retain(|connection| connection.state != ConnectionState::Revoked);
            return Ok(all);
        }
    }
}

/// The connection that a request names.
fn named_credential(headers: &HeaderMap) -> Result<Option<String>> {
    let mut sent = headers.get_all(CREDENTIAL).iter();
    let (first, second) = (sent.next(), sent.next());
    let Some(value) = first else { return Ok(None) };
    let unclear = || Error::new(ErrorKind::Usage, "`X-Paragon-Credential` names one account, once");
    let text = value.to_str().ok().filter(|_| second.is_none()).map(plain_id).ok_or_else(unclear)?;
    if text.is_empty() { Err(unclear()) } else { Ok(Some(text.to_owned())) }
}

/// An id without what their clients may write before it.
fn plain_id(text: &str) -> &str {
    let text = text.trim();
    text.strip_prefix("ext:").unwrap_or(text)
}

/// An error whose hint speaks of their header instead of a command's option.
fn in_their_words(mut error: Error) -> Error {
    if error.kind == ErrorKind::ConnectionNeeded {
        error.hint =
            Some(match error.hint.as_deref().and_then(|hint| hint.strip_prefix("name one with -c: ")) {
                Some(list) => format!("name one in the header X-Paragon-Credential: {list}"),
                None => "have the user connect one: `paragon.installIntegration`".to_owned(),
            });
    }
    error
}

async fn whole_me(state: &State, tenant: &Tenant) -> Result<Me, Problem> {
    let known = users::find(state, tenant, user(tenant)?).await?;
    let connections = accounts(state, &tenant.scope(), None).await?;
    let set_up = set_up(state, &tenant.project).await?;
    let installed = set_up.iter().map(|one| {
        let connector = one.integration.connector.as_str();
        let own = connections.iter().filter(|connection| connection.connector == connector);
        (connector.to_owned(), Installed::of(own))
    });
    Ok(Me {
        authenticated: true,
        user_id: known.id,
        meta: known.meta,
        resources: Vec::new(),
        project: SdkProject::of(&tenant.project),
        integrations: installed.collect(),
    })
}

async fn me(Shared(state): Shared<Arc<State>>, tenant: Tenant) -> Gives<Me> {
    Ok(Json(whole_me(&state, &tenant).await?))
}

/// What is sent is put beside what is kept: their clients send what changes.
async fn set_me(
    Shared(state): Shared<Arc<State>>,
    tenant: Tenant,
    Body(Meta { meta: changed }): Body<Meta>,
) -> Gives<Me> {
    let id = user(&tenant)?.to_owned();
    let mut meta = users::find(&state, &tenant, &id).await?.meta;
    meta.extend(changed);
    let _ = users::set(Shared(state.clone()), tenant.clone(), Named(id), Body(Meta { meta })).await?;
    Ok(Json(whole_me(&state, &tenant).await?))
}

async fn entries(Shared(state): Shared<Arc<State>>, tenant: Tenant) -> Gives<Vec<Entry>> {
    let connections = accounts(&state, &tenant.scope(), None).await?;
    let set_up = set_up(&state, &tenant.project).await?;
    let entry = |SetUp { integration, manifest }: SetUp| {
        let has_credential =
            connections.iter().any(|connection| connection.connector == integration.connector);
        Entry::of(&integration, &manifest, has_credential)
    };
    Ok(Json(set_up.into_iter().map(entry).collect()))
}

async fn uninstall(
    Shared(state): Shared<Arc<State>>,
    tenant: Tenant,
    Named((_, id)): Named<(String, String)>,
    headers: HeaderMap,
) -> Gives<Fine> {
    let integration = find(&state, &tenant.project, &id).await?;
    let scope = tenant.scope();
    let given_up = match named_credential(&headers)? {
        Some(one) => vec![state.host.connections.choose(&scope, &integration.connector, Some(&one)).await?],
        None => accounts(&state, &scope, Some(&integration.connector)).await?,
    };
    for connection in given_up {
        state.host.remove_connection(&scope, &connection.id, &tenant.who.actor).await?;
    }
    Ok(Json(Fine::yes()))
}

async fn credential(
    Shared(state): Shared<Arc<State>>,
    tenant: Tenant,
    Named((_, id)): Named<(String, String)>,
) -> Gives<Credential> {
    let held = state.host.connections.held(&tenant.scope(), plain_id(&id))?;
    Ok(Json(Credential::of(&held.connection)))
}

/// Of which integration the account is wanted.
#[derive(Deserialize)]
struct OfIntegration {
    integration: String,
}

/// What their clients know as the account's auth, the token itself, does not leave the host.
async fn account(
    Shared(state): Shared<Arc<State>>,
    tenant: Tenant,
    Asked(OfIntegration { integration }): Asked<OfIntegration>,
    headers: HeaderMap,
) -> Gives<Credential> {
    let connection = chosen(&state, &tenant, &integration, &headers).await?;
    Ok(Json(Credential::of(&connection)))
}

/// The connection to use: the one that is named, or the user's only one.
async fn chosen(state: &State, tenant: &Tenant, connector: &str, headers: &HeaderMap) -> Result<Connection> {
    let integration = find(state, &tenant.project, connector).await?;
    let named = named_credential(headers)?;
    let chosen =
        state.host.connections.choose(&tenant.scope(), &integration.connector, named.as_deref()).await;
    chosen.map_err(in_their_words)
}

/// Sends a request on, by the native proxy.
async fn forward(
    Shared(state): Shared<Arc<State>>,
    tenant: Tenant,
    request: Request,
) -> Result<Response, Problem> {
    // `/projects/{project}/sdk/proxy/{type}/{rest}`, of which the rest stays as it was sent.
    let whole = request.uri().path().to_owned();
    let mut parts = whole.splitn(7, '/').skip(5);
    let (connector, rest) = (parts.next().unwrap_or_default(), parts.next());
    let connection = chosen(&state, &tenant, connector, request.headers()).await?;
    let url = match rest {
        Some(_) => None,
        None => Some(elsewhere(request.headers())?),
    };
    let request = as_native(request).await?;
    let path = rest.unwrap_or_default().to_owned();
    proxy::send(&state, &tenant, &connection.id, path, url, request).await
}

/// The address that a request without a path names.
fn elsewhere(headers: &HeaderMap) -> Result<String> {
    let mut sent = headers.get_all(PROXY_URL).iter();
    let (first, second) = (sent.next(), sent.next());
    let url = first.filter(|_| second.is_none()).and_then(|value| value.to_str().ok()).map(str::to_owned);
    url.ok_or_else(|| {
        Error::new(ErrorKind::Usage, "the request does not say where it goes")
            .hint("put the path behind the integration's type, or the whole address into X-Paragon-Proxy-Url")
    })
}

/// A request as the native proxy takes it: without what is meant for us, and with the type that its body has.
async fn as_native(mut request: Request) -> Result<Request> {
    let headers = request.headers_mut();
    let theirs: Vec<HeaderName> =
        headers.keys().filter(|name| name.as_str().starts_with(THEIRS)).cloned().collect();
    for name in theirs.iter().chain([&header::AUTHORIZATION, &header::COOKIE]) {
        headers.remove(name);
    }
    if headers.get(header::CONTENT_TYPE).is_none_or(|kind| kind.as_bytes() != FIND_OUT) {
        return Ok(request);
    }
    let (mut parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, MAX_BODY)
        .await
        .map_err(|_| Error::new(ErrorKind::Usage, "the request is too large, or broke off"))?;
    let is_json = serde_json::from_slice::<serde::de::IgnoredAny>(&body).is_ok();
    if body.is_empty() {
        parts.headers.remove(header::CONTENT_TYPE);
    } else {
        let kind = if is_json { "application/json" } else { "application/octet-stream" };
        parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    }
    Ok(Request::from_parts(parts, Sent::from(body)))
}

/// What they have and we do not have yet.
fn not_here(what: &str) -> Problem {
    Problem(
        Error::new(ErrorKind::Unsupported, format!("{what} are not part of this Jackfield yet"))
            .hint("see what there is: /openapi.json"),
    )
}

async fn workflows() -> Problem {
    not_here("workflows")
}

async fn triggers() -> Problem {
    not_here("triggers")
}

/// A connector's first letter on its colour: connectors bring no pictures, and their clients ask for one.
async fn icon(Shared(state): Shared<Arc<State>>, Named(file): Named<String>) -> Result<Response, Problem> {
    let none = || Problem(Error::new(ErrorKind::Unknown, "there is no such picture"));
    let connector = file.strip_suffix(".svg").ok_or_else(none)?;
    let manifest =
        state.host.registry().find(connector).ok().and_then(|library| library.manifest().ok().cloned());
    let manifest = manifest.ok_or_else(none)?;
    let color = shapes::color(&manifest);
    let letter = manifest.title.chars().find(|letter| letter.is_alphanumeric()).unwrap_or('?');
    let picture = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 32 32\" role=\"img\">\
         <rect width=\"32\" height=\"32\" rx=\"7\" fill=\"{color}\"/>\
         <text x=\"16\" y=\"22\" text-anchor=\"middle\" font-family=\"sans-serif\" font-size=\"18\" fill=\"#fff\">\
         {letter}</text></svg>"
    );
    let headers = [
        (header::CONTENT_TYPE, "image/svg+xml"),
        (header::CACHE_CONTROL, "max-age=3600"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'"),
    ];
    Ok((headers, picture).into_response())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "in a test, a panic is the message")]

    use super::*;

    #[test]
    fn their_addresses_are_told_from_ours_by_where_the_project_stands() {
        for (path, project) in [
            ("/projects/default/sdk/me", Some("default")),
            ("/v2/projects/a-b/sdk/events/trigger", Some("a-b")),
            ("/projects/%64efault/sdk/me", Some("%64efault")),
            ("/projects//sdk/me", None),
            ("/v1/projects/default/keys", None),
            ("/v2/v2/projects/default", None),
            ("/projects", None),
            ("/x/projects/default", None),
        ] {
            assert_eq!(project_of(path), project, "{path}");
        }
    }

    #[test]
    fn a_browser_may_send_what_the_sdk_sends_and_no_more() {
        let asked = "authorization, Content-Type,x-paragon-sdk-version,  X-Paragon-Credential, cookie, x-forwarded-for, host, x-paragon- é";
        let headers = HeaderMap::from_iter([(
            header::ACCESS_CONTROL_REQUEST_HEADERS,
            HeaderValue::from_bytes(asked.replace('é', "e").as_bytes()).unwrap(),
        )]);
        let response = allowed(&headers);
        assert_eq!(
            response.headers()[header::ACCESS_CONTROL_ALLOW_HEADERS],
            "authorization, content-type, x-paragon-sdk-version, x-paragon-credential"
        );
        assert!(!response.headers().contains_key(header::ACCESS_CONTROL_ALLOW_CREDENTIALS));
    }

    #[tokio::test]
    async fn a_body_gets_the_type_that_it_has_if_its_sender_does_not_say() {
        for (kind, body, expected) in [
            (Some("auto"), "{\"topic\": \"Demo\"}", Some("application/json")),
            (Some("auto"), "[1]", Some("application/json")),
            (Some("auto"), "topic=Demo", Some("application/octet-stream")),
            (Some("auto"), "{\"topic\": ", Some("application/octet-stream")),
            (Some("auto"), "", None),
            (Some("text/csv"), "{}", Some("text/csv")),
            (None, "{}", None),
        ] {
            let mut request = Request::new(Sent::from(body));
            let headers = request.headers_mut();
            if let Some(kind) = kind {
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
            }
            for name in
                ["x-paragon-credential", "x-paragon-use-raw-response", "authorization", "cookie", "x-other"]
            {
                headers.insert(name, HeaderValue::from_static("v"));
            }
            let native = as_native(request).await.unwrap();
            let found = native.headers().get(header::CONTENT_TYPE).map(|kind| kind.to_str().unwrap());
            assert_eq!(found, expected, "{kind:?} {body}");
            let others: Vec<&str> = native
                .headers()
                .keys()
                .map(HeaderName::as_str)
                .filter(|name| *name != "content-type")
                .collect();
            assert_eq!(others, ["x-other"]);
            assert_eq!(axum::body::to_bytes(native.into_body(), 100).await.unwrap(), body);
        }
    }

    #[test]
    fn an_account_is_named_once_or_not_at_all() {
        let named = |values: &[&'static str]| {
            let all = values.iter().map(|value| (CREDENTIAL, HeaderValue::from_static(value)));
            let mut headers = HeaderMap::new();
            all.for_each(|(name, value)| {
                headers.append(name, value);
            });
            named_credential(&headers).map_err(|error| error.kind)
        };
        assert_eq!(named(&[]), Ok(None));
        assert_eq!(named(&["conn_1"]), Ok(Some("conn_1".to_owned())));
        assert_eq!(named(&["ext:conn_1 "]), Ok(Some("conn_1".to_owned())));
        for values in [&["conn_1", "conn_2"][..], &[""], &["ext:"]] {
            assert_eq!(named(values), Err(ErrorKind::Usage), "{values:?}");
        }
    }
}
