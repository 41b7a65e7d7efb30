//! The authorization server that tests of connecting use does what they rely on: it is nobody's here, and strict.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the message")]

use jackfield_tests::{Answer, OidcProvider, Visitor, When, http};
use serde_json::{Value, json};

/// The pair of RFC 7636, appendix B.
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
const REDIRECT: &str = "http%3A%2F%2Flocalhost%3A8080%2Foauth%2Fcallback";
/// The client that it has unless told otherwise.
const BASIC: &str = "Basic amFja2ZpZWxkOm9pZGMtY2xpZW50LXNlY3JldC03ZjNhOWM=";

fn authorize(server: &OidcProvider, more: &str) -> String {
    format!(
        "{}?response_type=code&client_id={}&redirect_uri={REDIRECT}&state=state-1&code_challenge={CHALLENGE}\
         &code_challenge_method=S256{more}",
        server.authorize, server.client_id
    )
}

/// A parameter of the address that the client is called at.
fn parameter<'a>(url: &'a str, name: &str) -> Option<&'a str> {
    let (_, query) = url.split_once('?')?;
    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

fn token(server: &OidcProvider, form: &str) -> Answer {
    let headers = [("authorization", BASIC), ("content-type", "application/x-www-form-urlencoded")];
    http("POST", &server.token, &headers, form)
}

fn exchange(server: &OidcProvider, code: &str, verifier: &str) -> Answer {
    token(
        server,
        &format!(
            "grant_type=authorization_code&code={code}&redirect_uri={REDIRECT}&code_verifier={verifier}"
        ),
    )
}

fn refresh(server: &OidcProvider, token_text: &str) -> Answer {
    token(server, &format!("grant_type=refresh_token&refresh_token={token_text}"))
}

fn connect(server: &OidcProvider, more: &str) -> Value {
    let called = server.consent(&authorize(server, more)).unwrap();
    let answer = exchange(server, parameter(&called, "code").unwrap(), VERIFIER);
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

fn me(server: &OidcProvider, tokens: &Value) -> Answer {
    let bearer = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
    http("GET", &format!("{}/me", server.api), &[("authorization", &bearer)], "")
}

fn text<'a>(tokens: &'a Value, name: &str) -> &'a str {
    tokens[name].as_str().unwrap()
}

#[test]
fn a_user_consents_and_the_api_knows_them() {
    let Some(server) = OidcProvider::start("oidc", &json!({"access_token_seconds": 120})) else { return };
    let called =
        server.consent(&authorize(&server, "&scope=profile:read%20notes:write&login_hint=bert")).unwrap();
    assert!(called.starts_with("http://localhost:8080/oauth/callback?"), "{called}");
    assert_eq!(parameter(&called, "state"), Some("state-1"));
    assert_eq!(parameter(&called, "iss").unwrap().replace("%3A", ":").replace("%2F", "/"), server.issuer);
    let code = parameter(&called, "code").unwrap();

    let answer = exchange(&server, code, VERIFIER);
    let tokens = answer.json();
    assert_eq!((answer.status, &tokens["expires_in"]), (200, &json!(120)), "{tokens}");
    assert_eq!(tokens["scope"], "profile:read notes:write");
    let me = me(&server, &tokens).json();
    assert_eq!(me, json!({"id": "bert", "account_id": "account-1", "email": "bert@example.com"}));

    // A code is good once: whoever has stolen it takes the grant down with it.
    assert_eq!(exchange(&server, code, VERIFIER).json()["error"], "invalid_grant");
    assert_eq!((server.token_requests("authorization_code"), server.granted("authorization_code")), (2, 1));
    assert_eq!(server.seen()["authorizations"][0]["code_challenge_method"], "S256");
}

#[test]
fn what_is_not_bound_to_a_verifier_is_refused() {
    let Some(server) = OidcProvider::start("oidc", &json!({})) else { return };
    let bare = format!("{}?response_type=code&client_id=jackfield&redirect_uri={REDIRECT}", server.authorize);
    let called = server.consent(&bare).unwrap();
    assert_eq!(parameter(&called, "error"), Some("invalid_request"), "{called}");
    let called = server.consent(&authorize(&server, "&scope=profile:read")).unwrap();
    let wrong = VERIFIER.replace('d', "e");
    assert_eq!(
        exchange(&server, parameter(&called, "code").unwrap(), &wrong).json()["error"],
        "invalid_grant"
    );
    // A redirect that is not the registered one is never followed.
    let other = authorize(&server, "").replace("callback", "elsewhere");
    assert_eq!(server.consent(&other).unwrap_err().status, 400);
}

#[test]
fn who_asks_for_no_scope_gets_the_default_or_nothing() {
    for (default, expected) in [(None, "error"), (Some("profile:read"), "code")] {
        let Some(server) = OidcProvider::start("oidc", &json!({"default_scope": default})) else { return };
        let called = server.consent(&authorize(&server, "")).unwrap();
        assert!(parameter(&called, expected).is_some(), "{called}");
        assert_eq!(server.seen()["authorizations"][0].get("scope"), None);
    }
}

#[test]
fn a_refresh_token_that_is_used_twice_takes_the_grant_with_it() {
    let Some(server) = OidcProvider::start("oidc", &json!({})) else { return };
    let first = connect(&server, "&scope=profile:read");
    let second = refresh(&server, text(&first, "refresh_token")).json();
    assert_ne!(first["refresh_token"], second["refresh_token"]);
    assert_eq!(me(&server, &second).status, 200);

    assert_eq!(refresh(&server, text(&first, "refresh_token")).json()["error"], "invalid_grant");
    assert_eq!(refresh(&server, text(&second, "refresh_token")).json()["error"], "invalid_grant");
    assert_eq!(me(&server, &second).status, 401);
    assert_eq!((server.token_requests("refresh_token"), server.granted("refresh_token")), (3, 1));
}

#[test]
fn things_go_wrong_when_they_are_told_to() {
    let Some(server) = OidcProvider::start("oidc", &json!({})) else { return };
    let tokens = connect(&server, "&scope=profile:read");

    server.expire();
    assert_eq!(me(&server, &tokens).status, 401);

    // Before: the refresh token is still good. After: it is used up, and nobody has the new one.
    server.fail_tokens(1, When::Before, 503, "text/html", "<h1>Sorry</h1>");
    let answer = refresh(&server, text(&tokens, "refresh_token"));
    assert_eq!(
        (answer.status, answer.header("content-type"), &*answer.body),
        (503, Some("text/html"), "<h1>Sorry</h1>")
    );
    let tokens = refresh(&server, text(&tokens, "refresh_token")).json();
    assert_eq!(me(&server, &tokens).status, 200);
    server.fail_tokens(1, When::After, 502, "text/plain", "");
    assert_eq!(refresh(&server, text(&tokens, "refresh_token")).status, 502);
    assert_eq!(refresh(&server, text(&tokens, "refresh_token")).json()["error"], "invalid_grant");

    let tokens = connect(&server, "&scope=profile:read");
    server.delay_tokens(1, 300);
    let begun = std::time::Instant::now();
    let tokens = refresh(&server, text(&tokens, "refresh_token")).json();
    assert!(begun.elapsed().as_millis() >= 300);
    server.revoke_grants();
    assert_eq!(me(&server, &tokens).status, 401);
    assert_eq!(refresh(&server, text(&tokens, "refresh_token")).json()["error"], "invalid_grant");

    server.deny("access_denied", "no thanks");
    let called = server.consent(&authorize(&server, "")).unwrap();
    assert_eq!(
        (parameter(&called, "error"), parameter(&called, "code")),
        (Some("access_denied"), None),
        "{called}"
    );
    assert!(parameter(&called, "iss").is_some() && parameter(&called, "state") == Some("state-1"));

    server.forget();
    assert_eq!(server.seen()["tokens"], json!([]));
}

#[test]
fn a_person_can_be_asked() {
    let Some(server) = OidcProvider::start("oidc", &json!({"interactive": true})) else { return };
    for (answer, expected) in [("deny", "error"), ("allow", "code")] {
        let mut visitor = Visitor::default();
        let page = visitor.follow(&authorize(&server, "&scope=profile:read"), &server.issuer).unwrap_err();
        let (_, link) = page.body.split_once(&format!("id=\"{answer}\" href=\"")).unwrap();
        let url = format!("{}{}", server.issuer, link.split('"').next().unwrap());
        let called = visitor.follow(&url, &server.issuer).unwrap();
        assert!(parameter(&called, expected).is_some(), "{called}");
    }
}

#[test]
fn a_connector_runs_as_whoever_has_consented() {
    let Some(server) = OidcProvider::start("oidc", &json!({})) else { return };
    let home = server.home();
    let tokens = connect(&server, "&scope=profile:read");
    let invoke = |action: &str, more: &[&str]| {
        let args = [&["action", "invoke", action, "--token-stdin", "-o", "json"], more].concat();
        home.run_with_input(&args, text(&tokens, "access_token"))
    };
    let outcome = invoke("roster.get_me", &[]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert_eq!(serde_json::from_str::<Value>(&outcome.stdout).unwrap()["email"], "anna@example.com");
    assert_ne!(invoke("roster.add_note", &["--set", "text=cake"]).code, 0, "it lacks the scope");
    assert_eq!(server.seen()["api"][1]["status"], 403);
}
