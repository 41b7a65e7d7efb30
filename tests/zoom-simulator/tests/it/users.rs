//! Tokens, scopes and whom they reach.

use serde_json::json;
use zoom_simulator::{AppKind, Config, Plan, ScopeStyle};

use crate::client::{BASIC, COLLEAGUE, HOST, Sim, UNLICENSED};

#[tokio::test]
async fn the_api_is_below_v2_and_at_the_root() {
    let sim = Sim::start().await;
    for path in ["/v2/users/me", "/users/me"] {
        let me = sim.get(path).await.expect(200);
        assert_eq!(me.json()["id"], HOST);
        assert_eq!(me.json()["account_id"], "SampleAccount000000001");
        assert!(me.header("x-zm-trackingid").is_some_and(|id| id.starts_with("v=2.0;")));
        assert_eq!(me.header("content-type"), Some("application/json;charset=UTF-8"));
    }
}

#[tokio::test]
async fn unknown_routes() {
    let sim = Sim::start().await;
    for (method, path) in [
        ("GET", "/"),
        ("GET", "/v2"),
        ("GET", "/v2/"),
        ("GET", "/v2/users"),
        ("GET", "/v2/users/"),
        ("GET", "/v2/users/me/"),
        ("PUT", "/v2/users/me"),
        ("GET", "/v2//users/me"),
        ("GET", "/v2/v2/users/me"),
        ("GET", "/v1/users/me"),
        ("GET", "/v2/meetings"),
        ("GET", "/v2/meetings/1/registrants/2"),
        ("GET", "/oauth"),
        ("GET", "/oauth/elsewhere"),
    ] {
        // A token is not even looked at.
        let reply = sim.bare(method, path).await.expect_error(404, 2300);
        assert_eq!(reply.message(), "This API endpoint is not recognized.", "{method} {path}");
    }
}

#[tokio::test]
async fn tokens_that_are_none() {
    let sim = Sim::start().await;
    let reply = sim.bare("GET", "/v2/users/me").await.expect_error(401, 124);
    assert_eq!(reply.message(), "Invalid access token.");
    sim.call_as("made-up", "GET", "/v2/users/me", None).await.expect_error(401, 124);
    // A token for something else.
    let issued = sim.control("POST", "/tokens", json!({})).await;
    let refresh_token = issued["refresh_token"].as_str().expect("a token");
    sim.call_as(refresh_token, "GET", "/v2/users/me", None).await.expect_error(401, 124);
}

#[tokio::test]
async fn a_user_managed_app_says_me() {
    let sim = Sim::start().await;
    for name in [HOST, "host@example.com", COLLEAGUE, "nobody@example.com"] {
        let reply = sim.get(&format!("/v2/users/{name}")).await.expect_error(400, 4711);
        assert_eq!(reply.message(), "Invalid access token, does not contain scopes:[user:read:user:admin].");
    }
    let reply = sim.post(&format!("/v2/users/{HOST}/meetings"), json!({})).await.expect_error(400, 4711);
    assert!(reply.message().contains("[meeting:write:meeting:admin]"));
}

#[tokio::test]
async fn an_admin_managed_app_names_users() {
    let sim = Sim::with(Config { app: AppKind::AdminManaged, ..Config::default() }).await;
    for (name, id, licence) in [
        ("me", HOST, 2),
        (HOST, HOST, 2),
        ("HOST@example.com", HOST, 2),
        ("colleague%40example.com", COLLEAGUE, 2),
        (BASIC, BASIC, 1),
        (UNLICENSED, UNLICENSED, 4),
    ] {
        let user = sim.get(&format!("/v2/users/{name}")).await.expect(200).json();
        assert_eq!((&user["id"], &user["type"]), (&json!(id), &json!(licence)), "{name}");
    }
    let reply = sim.get("/v2/users/nobody@example.com").await.expect_error(404, 1001);
    assert_eq!(reply.message(), "User does not exist: nobody@example.com.");
    let created = sim.post(&format!("/v2/users/{COLLEAGUE}/meetings"), json!({})).await.expect(201).json();
    assert_eq!(created["host_id"], COLLEAGUE);
    sim.get(&format!("/v2/meetings/{}", created["id"])).await.expect(200);
}

#[tokio::test]
async fn one_user_does_not_reach_the_meetings_of_another() {
    let sim = Sim::start().await;
    let meeting = sim.create(json!({"settings": {"alternative_hosts": "basic@example.com"}})).await;
    let path = format!("/v2/meetings/{}", meeting["id"]);
    let colleague = sim.token_for(COLLEAGUE, None).await;
    for (method, scope) in [
        ("GET", "meeting:read:meeting:admin"),
        ("PATCH", "meeting:update:meeting:admin"),
        ("DELETE", "meeting:delete:meeting:admin"),
    ] {
        let body = (method == "PATCH").then(|| json!({"topic": "Mine"}));
        let reply = sim.call_as(&colleague, method, &path, body).await.expect_error(400, 4711);
        assert!(reply.message().contains(&format!("[{scope}]")), "{reply:?}");
    }
    // An alternative host does.
    let alternative = sim.token_for(BASIC, None).await;
    sim.call_as(&alternative, "GET", &path, None).await.expect(200);
}

#[tokio::test]
async fn each_endpoint_asks_for_its_scope_under_either_name() {
    let sim = Sim::start().await;
    let meeting = sim.create(json!({"type": 3})).await;
    let one = format!("/v2/meetings/{}", meeting["id"]);
    let registrants = format!("{one}/registrants");
    let registrant = format!("{registrants}/x");
    let cases = [
        ("GET", "/v2/users/me", "user:read:user", "user:read"),
        ("GET", "/v2/users/me/meetings", "meeting:read:list_meetings", "meeting:read"),
        ("POST", "/v2/users/me/meetings", "meeting:write:meeting", "meeting:write"),
        ("GET", &one, "meeting:read:meeting", "meeting:read"),
        ("PATCH", &one, "meeting:update:meeting", "meeting:write"),
        ("POST", &registrants, "meeting:write:registrant", "meeting:write"),
        ("GET", &registrants, "meeting:read:list_registrants", "meeting:read"),
        ("DELETE", &registrant, "meeting:delete:registrant", "meeting:write"),
        ("DELETE", &one, "meeting:delete:meeting", "meeting:write"),
    ];
    let none = sim.token_for(HOST, Some(&["recording:read"])).await;
    for (method, path, granular, _) in cases {
        let reply = sim.call_as(&none, method, path, None).await.expect_error(400, 4711);
        assert_eq!(
            reply.message(),
            format!("Invalid access token, does not contain scopes:[{granular},{granular}:admin].")
        );
    }
    for (method, path, granular, classic) in cases {
        let admin = format!("{granular}:admin");
        for scope in [granular, classic, &admin] {
            let token = sim.token_for(HOST, Some(&[scope])).await;
            let body = matches!(method, "POST" | "PATCH").then(|| json!({}));
            let reply = sim.call_as(&token, method, path, body).await;
            assert!(!reply.text.contains("4711"), "{method} {path} {scope}: {reply:?}");
        }
    }
}

#[tokio::test]
async fn refusals_use_the_names_that_the_app_knows() {
    let sim = Sim::with(Config { scopes: ScopeStyle::Classic, ..Config::default() }).await;
    let token = sim.token_for(HOST, Some(&[])).await;
    let reply = sim.call_as(&token, "GET", "/v2/users/me", None).await.expect_error(400, 4711);
    assert_eq!(reply.message(), "Invalid access token, does not contain scopes:[user:read,user:read:admin].");
}

#[tokio::test]
async fn nobody_has_a_licence_on_the_free_plan() {
    let sim = Sim::with(Config { plan: Plan::Free, ..Config::default() }).await;
    assert_eq!(sim.get("/v2/users/me").await.expect(200).json()["type"], 1);
}
