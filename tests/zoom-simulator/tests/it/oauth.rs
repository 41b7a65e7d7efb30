//! Authorization, tokens and revocation.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use url::Url;
use zoom_simulator::{AppKind, Config, DEFAULT_CLIENT_ID, ScopeStyle};

use crate::client::{ACCOUNT, COLLEAGUE, HOST, REDIRECT, Reply, Sim, UNLICENSED};

/// A verifier, and its S256 challenge (RFC 7636, appendix B).
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// The parameters of an authorization request, with changes: a name without a value is left out.
fn parameters<'a>(changes: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let usual = [
        ("response_type", "code"),
        ("client_id", DEFAULT_CLIENT_ID),
        ("redirect_uri", REDIRECT),
        ("state", "st&ate"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    let mut all: Vec<_> =
        usual.into_iter().filter(|(name, _)| !changes.iter().any(|(changed, _)| changed == name)).collect();
    all.extend(changes.iter().filter(|(_, value)| !value.is_empty()));
    all
}

fn query(parameters: &[(&str, &str)]) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish()
}

/// Where a redirect leads: the address without its query, and a parameter of it.
fn location(reply: &Reply) -> Url {
    reply.header("location").expect("a location").parse().expect("an address")
}

fn parameter(address: &Url, name: &str) -> Option<String> {
    address.query_pairs().find(|(found, _)| found == name).map(|(_, value)| value.into_owned())
}

/// Says yes as a user. Answers the code.
async fn consent(sim: &Sim, user: &str, changes: &[(&str, &str)]) -> String {
    let mut form = parameters(changes);
    form.extend([("decision", "allow"), ("user", user)]);
    let reply = sim.bare_form("/oauth/authorize", &form).await.expect(302);
    parameter(&location(&reply), "code").expect("a code")
}

/// Exchanges a code.
async fn exchange(sim: &Sim, code: &str) -> Reply {
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", REDIRECT),
        ("code_verifier", VERIFIER),
    ];
    sim.form("/oauth/token", &form).await
}

async fn connect(sim: &Sim, user: &str) -> Value {
    let code = consent(sim, user, &[]).await;
    exchange(sim, &code).await.expect(200).json()
}

async fn refresh(sim: &Sim, token: &str) -> Reply {
    sim.form("/oauth/token", &[("grant_type", "refresh_token"), ("refresh_token", token)]).await
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_else(|| panic!("no {name}: {value}"))
}

#[track_caller]
fn assert_refused(reply: &Reply, error: &str, reason: &str) {
    assert_eq!(reply.status, 400, "{reply:?}");
    assert_eq!(reply.json(), json!({"reason": reason, "error": error}));
}

#[tokio::test]
async fn a_user_connects_the_app() {
    let sim = Sim::start().await;
    let page = sim.bare("GET", &format!("/oauth/authorize?{}", query(&parameters(&[])))).await.expect(200);
    assert!(page.header("content-type").is_some_and(|kind| kind.starts_with("text/html")));
    for expected in
        ["<form method=\"post\"", "host@example.com", "value=\"allow\"", "value=\"deny\"", "st&amp;ate"]
    {
        assert!(page.text.contains(expected), "{expected}\n{}", page.text);
    }

    let mut form = parameters(&[]);
    form.extend([("decision", "allow"), ("user", HOST)]);
    let back = location(&sim.bare_form("/oauth/authorize", &form).await.expect(302));
    assert!(back.as_str().starts_with(&format!("{REDIRECT}?")));
    assert_eq!(parameter(&back, "state").as_deref(), Some("st&ate"));

    let code = parameter(&back, "code").expect("a code");
    let reply = exchange(&sim, &code).await.expect(200);
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    let tokens = reply.json();
    assert_eq!(tokens["token_type"], "bearer");
    assert_eq!(tokens["expires_in"], 3600);
    assert_eq!(tokens["api_url"], sim.origin);
    assert!(text(&tokens, "scope").split(' ').any(|scope| scope == "meeting:write:meeting"));
    text(&tokens, "refresh_token");
    let me = sim.call_as(text(&tokens, "access_token"), "GET", "/v2/users/me", None).await.expect(200);
    assert_eq!(me.json()["email"], "host@example.com");
}

#[tokio::test]
async fn a_user_says_no() {
    let sim = Sim::start().await;
    let mut form = parameters(&[]);
    form.extend([("decision", "deny"), ("user", HOST)]);
    let back = location(&sim.bare_form("/oauth/authorize", &form).await.expect(302));
    assert_eq!(parameter(&back, "error").as_deref(), Some("access_denied"));
    assert_eq!(parameter(&back, "state").as_deref(), Some("st&ate"));
    assert_eq!(parameter(&back, "code"), None);
}

#[tokio::test]
async fn authorization_requests_that_are_wrong() {
    let sim = Sim::start().await;
    // Neither the client nor its address can be trusted: the user is told.
    let trailing_slash = format!("{REDIRECT}/");
    let scripted = "http://localhost/<script>";
    for (changes, expected) in [
        (("client_id", "another"), "Invalid client_id: another"),
        (("redirect_uri", trailing_slash.as_str()), "Invalid redirect"),
        (("redirect_uri", scripted), "&lt;script&gt;"),
        (("redirect_uri", ""), "Invalid redirect"),
    ] {
        let page = sim.bare("GET", &format!("/oauth/authorize?{}", query(&parameters(&[changes])))).await;
        assert_eq!(page.status, 400, "{changes:?}");
        assert!(page.text.contains(expected), "{changes:?}\n{}", page.text);
        assert!(!page.text.contains("<script>"));
    }
    // The rest goes back to the client.
    for (change, error) in [
        (("response_type", "token"), "unsupported_response_type"),
        (("code_challenge_method", "S512"), "invalid_request"),
        (("scope", "meeting:write:meeting wished:for"), "invalid_scope"),
    ] {
        let reply = sim.bare("GET", &format!("/oauth/authorize?{}", query(&parameters(&[change])))).await;
        let back = location(&reply.expect(302));
        assert_eq!(parameter(&back, "error").as_deref(), Some(error), "{change:?}");
    }
}

#[tokio::test]
async fn fewer_scopes_can_be_asked_for() {
    let sim = Sim::start().await;
    let code = consent(&sim, HOST, &[("scope", "meeting:read:meeting user:read:user")]).await;
    let tokens = exchange(&sim, &code).await.expect(200).json();
    assert_eq!(tokens["scope"], "meeting:read:meeting user:read:user");
    let refused = sim
        .call_as(text(&tokens, "access_token"), "POST", "/v2/users/me/meetings", Some(json!({})))
        .await
        .expect_error(400, 4711);
    assert_eq!(
        refused.message(),
        "Invalid access token, does not contain scopes:[meeting:write:meeting,meeting:write:meeting:admin]."
    );
}

#[tokio::test]
async fn classic_apps_do_not_choose_scopes() {
    let sim = Sim::with(Config { scopes: ScopeStyle::Classic, ..Config::default() }).await;
    let code = consent(&sim, HOST, &[("scope", "user:read")]).await;
    let tokens = exchange(&sim, &code).await.expect(200).json();
    assert_eq!(tokens["scope"], "user:read meeting:write meeting:read recording:read");
}

#[tokio::test]
async fn a_code_can_be_used_once() {
    let sim = Sim::start().await;
    let code = consent(&sim, HOST, &[]).await;
    let tokens = exchange(&sim, &code).await.expect(200).json();
    assert_refused(
        &exchange(&sim, &code).await,
        "invalid_grant",
        &format!("Invalid authorization code {code}"),
    );
    // The first exchange stands.
    sim.call_as(text(&tokens, "access_token"), "GET", "/v2/users/me", None).await.expect(200);
}

#[tokio::test]
async fn a_code_lives_five_minutes() {
    let sim = Sim::start().await;
    let (first, second) = (consent(&sim, HOST, &[]).await, consent(&sim, HOST, &[]).await);
    sim.advance(240).await;
    exchange(&sim, &first).await.expect(200);
    sim.advance(60).await;
    let reason = format!("Invalid authorization code {second}");
    assert_refused(&exchange(&sim, &second).await, "invalid_grant", &reason);
    assert_eq!(sim.explanation().await, "the code is older than 5 minutes");
}

#[tokio::test]
async fn proof_keys() {
    let sim = Sim::start().await;
    let token = |code: String, verifier: Option<&'static str>, redirect: &'static str| {
        let sim = &sim;
        async move {
            let mut form = vec![
                ("grant_type", "authorization_code"),
                ("code", code.as_str()),
                ("redirect_uri", redirect),
            ];
            form.extend(verifier.map(|verifier| ("code_verifier", verifier)));
            sim.form("/oauth/token", &form).await
        }
    };
    // S256, and a wrong or missing verifier.
    let code = consent(&sim, HOST, &[]).await;
    for verifier in [None, Some("wrong"), Some(CHALLENGE)] {
        let reply = token(code.clone(), verifier, REDIRECT).await;
        assert_refused(&reply, "invalid_grant", "Invalid code verifier");
    }
    // Another redirect address.
    let reply = token(code.clone(), Some(VERIFIER), "http://localhost:8080/other").await;
    assert_refused(&reply, "invalid_request", "Invalid request : Redirect URI mismatch.");
    // None of that has used the code up.
    token(code, Some(VERIFIER), REDIRECT).await.expect(200);
    // Without a method, the challenge is plain.
    for method in ["", "plain"] {
        let code =
            consent(&sim, HOST, &[("code_challenge", "plainly"), ("code_challenge_method", method)]).await;
        assert_eq!(token(code.clone(), Some(VERIFIER), REDIRECT).await.status, 400);
        token(code, Some("plainly"), REDIRECT).await.expect(200);
    }
    // Without a challenge, no verifier is needed.
    let code = consent(&sim, HOST, &[("code_challenge", ""), ("code_challenge_method", "")]).await;
    token(code, None, REDIRECT).await.expect(200);
}

#[tokio::test]
async fn refresh_tokens_rotate() {
    let sim = Sim::start().await;
    let first = connect(&sim, HOST).await;
    let second = refresh(&sim, text(&first, "refresh_token")).await.expect(200).json();
    assert_ne!(first["refresh_token"], second["refresh_token"]);
    assert_ne!(first["access_token"], second["access_token"]);
    for tokens in [&first, &second] {
        sim.call_as(text(tokens, "access_token"), "GET", "/v2/users/me", None).await.expect(200);
    }
    let third = refresh(&sim, text(&second, "refresh_token")).await.expect(200).json();
    assert_eq!(third["scope"], first["scope"]);
}

#[tokio::test]
async fn using_a_refresh_token_twice_ends_the_grant() {
    let sim = Sim::start().await;
    let first = connect(&sim, HOST).await;
    let second = refresh(&sim, text(&first, "refresh_token")).await.expect(200).json();
    assert_refused(&refresh(&sim, text(&first, "refresh_token")).await, "invalid_grant", "Invalid Token!");
    assert!(sim.explanation().await.contains("used before"));
    // The innocent newest tokens are gone as well.
    assert_refused(&refresh(&sim, text(&second, "refresh_token")).await, "invalid_grant", "Invalid Token!");
    sim.call_as(text(&second, "access_token"), "GET", "/v2/users/me", None).await.expect_error(401, 124);
}

#[tokio::test]
async fn an_unused_refresh_token_dies_after_ninety_days() {
    let sim = Sim::start().await;
    let tokens = connect(&sim, HOST).await;
    sim.advance(89 * 24 * 3600).await;
    let tokens = refresh(&sim, text(&tokens, "refresh_token")).await.expect(200).json();
    sim.advance(90 * 24 * 3600).await;
    assert_refused(&refresh(&sim, text(&tokens, "refresh_token")).await, "invalid_grant", "Invalid Token!");
}

#[tokio::test]
async fn only_the_newest_authorization_of_a_user_is_valid() {
    let sim = Sim::start().await;
    let (first, colleague) = (connect(&sim, HOST).await, connect(&sim, COLLEAGUE).await);
    let second = connect(&sim, HOST).await;
    // The ready-made token and the first connection are gone, each in its way; the other user is not concerned.
    sim.get("/v2/users/me").await.expect_error(401, 124);
    let refused = sim.call_as(text(&first, "access_token"), "GET", "/v2/users/me", None).await;
    assert_eq!(refused.expect_error(401, 124).message(), "Invalid access token.");
    assert_refused(
        &refresh(&sim, text(&first, "refresh_token")).await,
        "invalid_grant",
        "The token has been revoked. (4741)",
    );
    for tokens in [&second, &colleague] {
        sim.call_as(text(tokens, "access_token"), "GET", "/v2/users/me", None).await.expect(200);
        refresh(&sim, text(tokens, "refresh_token")).await.expect(200);
    }
}

#[tokio::test]
async fn access_tokens_expire() {
    let sim = Sim::with(Config { token_life: std::time::Duration::from_secs(60), ..Config::default() }).await;
    let tokens = connect(&sim, HOST).await;
    assert_eq!(tokens["expires_in"], 60);
    sim.advance(60).await;
    let reply = sim.call_as(text(&tokens, "access_token"), "GET", "/v2/users/me", None).await;
    assert_eq!(reply.expect_error(401, 124).message(), "Access token is expired.");
    refresh(&sim, text(&tokens, "refresh_token")).await.expect(200);
}

#[tokio::test]
async fn revocation_ends_access_and_refresh() {
    let sim = Sim::start().await;
    for which in ["access_token", "refresh_token"] {
        for in_query in [true, false] {
            let tokens = connect(&sim, HOST).await;
            let token = text(&tokens, which);
            let reply = if in_query {
                sim.form(&format!("/oauth/revoke?token={token}"), &[]).await
            } else {
                sim.form("/oauth/revoke", &[("token", token)]).await
            };
            assert_eq!(reply.expect(200).json(), json!({"status": "success"}));
            sim.call_as(text(&tokens, "access_token"), "GET", "/v2/users/me", None)
                .await
                .expect_error(401, 124);
            let refused = refresh(&sim, text(&tokens, "refresh_token")).await;
            assert_refused(&refused, "invalid_grant", "Invalid Token!");
        }
    }
    sim.form("/oauth/revoke", &[("token", "unheard of")]).await.expect(200);
    assert_eq!(sim.form("/oauth/revoke", &[]).await.expect(400).json()["error"], "invalid_request");
    let reply = sim.bare_form("/oauth/revoke", &[("token", "unheard of")]).await;
    assert_refused(&reply, "invalid_client", "Invalid client_id or client_secret");
}

#[tokio::test]
async fn token_requests_that_are_wrong() {
    let sim = Sim::start().await;
    let refresh = [("grant_type", "refresh_token"), ("refresh_token", "x")];
    // Client id and secret only count in the header.
    let in_body = [
        ("client_id", DEFAULT_CLIENT_ID),
        ("client_secret", zoom_simulator::DEFAULT_CLIENT_SECRET),
        ("grant_type", "refresh_token"),
        ("refresh_token", "x"),
    ];
    for form in [&refresh[..], &in_body] {
        let reply = sim.bare_form("/oauth/token", form).await;
        assert_refused(&reply, "invalid_client", "Invalid client_id or client_secret");
    }
    // Parameters in the query.
    let reply = sim.form("/oauth/token?grant_type=refresh_token&refresh_token=x", &[]).await.expect(400);
    assert_eq!(reply.json()["error"], "invalid_request");
    for (form, error) in [
        (&[][..], "unsupported_grant_type"),
        (&[("grant_type", "password")], "unsupported_grant_type"),
        (&[("grant_type", "client_credentials")], "unsupported_grant_type"),
        (&[("grant_type", "account_credentials"), ("account_id", ACCOUNT)], "unsupported_grant_type"),
        (&[("grant_type", "authorization_code")], "invalid_request"),
        (&[("grant_type", "authorization_code"), ("code", "x")], "invalid_grant"),
        (&[("grant_type", "refresh_token")], "invalid_request"),
        (&refresh, "invalid_grant"),
    ] {
        let reply = sim.form("/oauth/token", form).await.expect(400);
        assert_eq!(reply.json()["error"], error, "{form:?}");
        assert!(reply.json()["reason"].is_string());
    }
    assert_refused(&sim.form("/oauth/token", &[]).await, "unsupported_grant_type", "unsupported grant type");
    sim.bare("GET", "/oauth/token").await.expect_error(404, 2300);
}

#[tokio::test]
async fn only_administrators_connect_an_app_that_they_manage() {
    let sim = Sim::with(Config { app: AppKind::AdminManaged, ..Config::default() }).await;
    let page = sim.bare("GET", &format!("/oauth/authorize?{}", query(&parameters(&[])))).await.expect(200);
    assert!(page.text.contains("host@example.com") && !page.text.contains("colleague@example.com"));
    let mut form = parameters(&[]);
    form.extend([("decision", "allow"), ("user", COLLEAGUE)]);
    sim.bare_form("/oauth/authorize", &form).await.expect(400);
    let tokens = connect(&sim, HOST).await;
    assert!(text(&tokens, "scope").split(' ').all(|scope| scope.ends_with(":admin")));
}

#[tokio::test]
async fn a_server_to_server_app_has_one_token_for_the_account() {
    let sim = Sim::with(Config { app: AppKind::ServerToServer, ..Config::default() }).await;
    let form = [("grant_type", "account_credentials"), ("account_id", ACCOUNT)];
    let first = sim.form("/oauth/token", &form).await.expect(200).json();
    assert_eq!(first.get("refresh_token"), None);
    assert_eq!(first["expires_in"], 3600);
    sim.call_as(text(&first, "access_token"), "GET", &format!("/v2/users/{COLLEAGUE}"), None)
        .await
        .expect(200);

    let second = sim.form("/oauth/token", &form).await.expect(200).json();
    sim.call_as(text(&first, "access_token"), "GET", "/v2/users/me", None).await.expect_error(401, 124);
    sim.call_as(text(&second, "access_token"), "GET", "/v2/users/me", None).await.expect(200);

    let wrong = sim.form("/oauth/token", &[("grant_type", "account_credentials"), ("account_id", "x")]).await;
    assert_refused(&wrong, "invalid_request", "Account does not exist");
    let reply = sim.form("/oauth/token", &[("grant_type", "authorization_code"), ("code", "x")]).await;
    assert_refused(&reply, "unsupported_grant_type", "unsupported grant type");
    sim.bare("GET", &format!("/oauth/authorize?{}", query(&parameters(&[])))).await.expect(400);
}

#[tokio::test]
async fn a_refused_user_is_not_connected() {
    let sim = Sim::start().await;
    let mut form = parameters(&[]);
    form.extend([("decision", "allow"), ("user", "nobody")]);
    sim.bare_form("/oauth/authorize", &form).await.expect(400);
    // Somebody who may not host can connect all the same.
    let tokens = connect(&sim, UNLICENSED).await;
    sim.call_as(text(&tokens, "access_token"), "GET", "/v2/users/me", None).await.expect(200);
}

#[test]
fn the_challenge_of_these_tests_is_that_of_the_verifier() {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, VERIFIER.as_bytes());
    assert_eq!(URL_SAFE_NO_PAD.encode(digest), CHALLENGE);
}
