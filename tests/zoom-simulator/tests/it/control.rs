//! The control API: journal, clock, reset, tokens, changes and counters.

use serde_json::{Value, json};

use crate::client::{COLLEAGUE, HOST, Sim, path_of};

async fn journal(sim: &Sim, query: &str) -> Vec<Value> {
    let journal = sim.control("GET", &format!("/journal{query}"), Value::Null).await;
    journal["requests"].as_array().expect("requests").clone()
}

#[tokio::test]
async fn the_journal_has_requests_as_they_were_received() {
    let sim = Sim::start().await;
    let request = format!(
        "PATCH /v2//meetings/%2F%252e/..?b=%20&a&a=+ HTTP/1.1\r\nHost: localhost\r\nX-Twice: 1\r\nx-twice: 2\r\n\
         Authorization: Bearer {}\r\nContent-Type: text/plain\r\nContent-Length: 6\r\nConnection: close\r\n\r\nä ☕",
        sim.token
    );
    sim.raw(request).await.1.expect("an orderly end");
    let entry = sim.last_request().await;
    assert_eq!(entry["method"], "PATCH");
    assert_eq!(
        (&entry["path"], &entry["query"]),
        (&json!("/v2//meetings/%2F%252e/.."), &json!("b=%20&a&a=+"))
    );
    assert_eq!(entry["authorization"], json!({"scheme": "Bearer", "worth": "valid"}));
    assert_eq!(entry["body"], "ä ☕");
    assert_eq!((&entry["status"], &entry["fault"]), (&json!(404), &Value::Null));
    let headers = entry["headers"].as_array().expect("headers");
    let twice: Vec<&Value> = headers.iter().filter(|header| header[0] == "x-twice").collect();
    assert_eq!(twice, [&json!(["x-twice", "1"]), &json!(["x-twice", "2"])]);
    assert!(!entry.to_string().contains(&sim.token));
}

#[tokio::test]
async fn the_journal_says_what_credentials_were_worth() {
    let sim = Sim::start().await;
    let short = sim.control("POST", "/tokens", json!({"life_seconds": 1})).await;
    let short = short["access_token"].as_str().expect("a token");
    let revoked = sim.token_for(COLLEAGUE, None).await;
    sim.form("/oauth/revoke", &[("token", &revoked)]).await.expect(200);
    assert_eq!(sim.last_request().await["authorization"], json!({"scheme": "Basic", "worth": "valid"}));
    sim.advance(1).await;
    for (token, worth) in
        [(sim.token.as_str(), "valid"), (short, "expired"), (&revoked, "revoked"), ("x", "unknown")]
    {
        sim.call_as(token, "GET", "/v2/users/me", None).await;
        assert_eq!(sim.last_request().await["authorization"], json!({"scheme": "Bearer", "worth": worth}));
    }
    sim.bare("GET", "/v2/users/me").await.expect(401);
    assert_eq!(sim.last_request().await["authorization"], Value::Null);
}

#[tokio::test]
async fn the_journal_is_searched_and_cleared() {
    let sim = Sim::start().await;
    let meeting = sim.create(json!({})).await;
    sim.get(&path_of(&meeting)).await.expect(200);
    let fault = sim.fault(json!({"answer": {"kind": "html"}})).await;
    sim.get("/v2/users/me").await.expect(502);
    assert_eq!(journal(&sim, "").await.len(), 3);
    assert_eq!(journal(&sim, "?method=get").await.len(), 2);
    assert_eq!(journal(&sim, "?path=/v2/users/**").await.len(), 2);
    assert_eq!(journal(&sim, "?method=GET&path=/v2/meetings/*").await.len(), 1);
    let after = journal(&sim, "?after=2").await;
    assert_eq!((after.len(), &after[0]["number"]), (1, &json!(3)));
    assert_eq!((&after[0]["fault"], &after[0]["status"]), (&json!(fault), &json!(502)));
    sim.control("DELETE", "/journal", Value::Null).await;
    assert!(journal(&sim, "").await.is_empty());
    sim.get("/v2/users/me").await.expect(200);
    assert_eq!(sim.last_request().await["number"], 4);
}

#[tokio::test]
async fn a_body_that_is_no_text_is_kept_too() {
    let sim = Sim::start().await;
    let mut request =
        b"POST /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nConnection: close\r\n\r\n".to_vec();
    request.extend([0xff, 0x00]);
    sim.raw(request).await.1.expect("an orderly end");
    let entry = sim.last_request().await;
    assert_eq!((&entry["body_base64"], entry.get("body")), (&json!("/wA="), None));
}

#[tokio::test]
async fn a_reset_brings_the_beginning_back() {
    let sim = Sim::start().await;
    let meeting = sim.create(json!({})).await;
    sim.fault(json!({"path": "/nowhere"})).await;
    sim.advance(7200).await;
    sim.form("/oauth/revoke", &[("token", &sim.token)]).await.expect(200);
    sim.get("/v2/users/me").await.expect(401);
    sim.control("POST", "/reset", Value::Null).await;
    // The ready-made token is good again, and for its whole life.
    sim.get("/v2/users/me").await.expect(200);
    sim.get(&path_of(&meeting)).await.expect_error(404, 3001);
    let state = sim.control("GET", "/state", Value::Null).await;
    assert_eq!(
        (&state["faults"], &state["ahead_seconds"], &state["changes"]),
        (&json!(0), &json!(0), &json!(0))
    );
}

#[tokio::test]
async fn the_clock_goes_forward() {
    let sim = Sim::start().await;
    sim.advance(3500).await;
    sim.get("/v2/users/me").await.expect(200);
    sim.advance(100).await;
    assert_eq!(sim.get("/v2/users/me").await.expect_error(401, 124).message(), "Access token is expired.");
    assert_eq!(sim.control("GET", "/clock", Value::Null).await["ahead_seconds"], 3600);
    let back = reqwest::Client::new()
        .post(format!("{}/_simulator/clock", sim.origin))
        .header("content-type", "application/json")
        .body(r#"{"advance_seconds":-1}"#);
    assert!(Sim::send(back).await.expect("an answer").status.is_client_error());
}

#[tokio::test]
async fn tokens_on_demand_leave_other_grants_alone() {
    let sim = Sim::start().await;
    let issued = sim.control("POST", "/tokens", json!({"user": HOST, "scopes": ["user:read:user"]})).await;
    assert_eq!((&issued["scope"], &issued["api_url"]), (&json!("user:read:user"), &json!(sim.origin)));
    let refresh_token = issued["refresh_token"].as_str().expect("a token");
    let refreshed =
        sim.form("/oauth/token", &[("grant_type", "refresh_token"), ("refresh_token", refresh_token)]).await;
    assert_eq!(refreshed.expect(200).json()["scope"], "user:read:user");
    sim.get("/v2/users/me").await.expect(200);
    let unknown = sim.control("GET", "/state", Value::Null).await;
    assert_eq!(unknown["grants"], json!({"active": 2, "all": 2}));
}

#[tokio::test]
async fn changes_are_recorded() {
    let sim = Sim::start().await;
    let meeting = sim
        .create(json!({"topic": "Old", "start_time": "2099-01-01T00:00:00Z", "type": 8,
        "recurrence": {"type": 1, "end_times": 2}, "settings": {"approval_type": 1}}))
        .await;
    let path = path_of(&meeting);
    sim.patch(&path, json!({"topic": "New"})).await.expect_done();
    sim.patch(&path, json!({"topic": "x".repeat(201)})).await.expect(400);
    let registrants = format!("{path}/registrants");
    let person = json!({"email": "a@example.com", "first_name": "A"});
    let added = sim.post(&registrants, person).await.expect(201).json();
    let registrant = added["registrant_id"].as_str().expect("an id");
    let id = meeting["id"].clone();
    sim.control("POST", &format!("/meetings/{id}/registrants/{registrant}"), json!({"status": "denied"}))
        .await;
    sim.control("POST", &format!("/meetings/{id}/start"), Value::Null).await;
    sim.control("POST", &format!("/meetings/{id}/end"), Value::Null).await;
    sim.delete(&format!("{registrants}/{registrant}")).await.expect_done();
    let occurrence = meeting["occurrences"][0]["occurrence_id"].as_str().expect("an id");
    sim.delete(&format!("{path}?occurrence_id={occurrence}")).await.expect_done();
    sim.delete(&path).await.expect_done();

    let changes = sim.control("GET", "/changes", Value::Null).await;
    let changes = changes["changes"].as_array().expect("changes");
    let kinds: Vec<&str> = changes.iter().map(|change| change["kind"].as_str().expect("a kind")).collect();
    let expected = [
        "meeting-created",
        "meeting-updated",
        "registrant-added",
        "registrant-decided",
        "meeting-started",
        "meeting-ended",
        "registrant-removed",
        "meeting-deleted",
        "meeting-deleted",
    ];
    assert_eq!(kinds, expected);
    assert!(changes.iter().all(|change| change["meeting"] == id));
    assert_eq!(changes[1]["topic"], json!({"before": "Old", "after": "New"}));
    assert_eq!((&changes[2]["status"], &changes[3]["status"]), (&json!("pending"), &json!("denied")));
    assert_eq!((&changes[7]["occurrence"], &changes[8]["occurrence"]), (&json!(occurrence), &Value::Null));
}

#[tokio::test]
async fn counters() {
    let sim = Sim::start().await;
    let meeting =
        sim.create(json!({"start_time": "2099-01-01T00:00:00Z", "settings": {"approval_type": 0}})).await;
    let person = json!({"email": "a@example.com", "first_name": "A"});
    sim.post(&format!("{}/registrants", path_of(&meeting)), person).await.expect(201);
    let mut state = sim.control("GET", "", Value::Null).await;
    assert!(state["now"].take().is_string() && state["version"].take().is_string());
    assert_eq!(
        state,
        json!({
            "version": null, "now": null, "ahead_seconds": 0, "plan": "business", "rate_limits": true, "users": 4,
            // Three Personal Meeting Rooms are among them.
            "meetings": 4, "registrants": 1, "grants": {"active": 1, "all": 1}, "changes": 2, "journal": 2,
            "faults": 0,
        })
    );
}

#[tokio::test]
async fn what_the_control_api_refuses() {
    let sim = Sim::start().await;
    for (method, path, status) in [
        ("GET", "/_simulator/nothing", 404),
        ("DELETE", "/_simulator/faults/9", 404),
        ("POST", "/_simulator/meetings/9/start", 404),
        ("POST", "/_simulator/meetings/4000000001/end", 409),
        // A form, or nothing, is no JSON.
        ("POST", "/_simulator/tokens", 415),
        ("POST", "/_simulator/faults", 415),
        ("PUT", "/_simulator/faults", 405),
        ("DELETE", "/_simulator/faults/x", 400),
        ("GET", "/_simulator/journal?colour=red", 400),
    ] {
        let reply = sim.bare(method, path).await;
        assert_eq!(reply.status, status, "{method} {path}: {reply:?}");
        assert!(reply.json()["error"].is_string(), "{method} {path}: {reply:?}");
    }
    // A name that leads here is not enough: it may be a web page's.
    for (host, status) in
        [("localhost:1", 200), ("127.0.0.1", 200), ("[::1]:80", 200), ("rebound.example", 403)]
    {
        let (answer, _) = sim
            .raw(format!("GET /_simulator/state HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"))
            .await;
        let answer = String::from_utf8(answer).expect("text");
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{host}: {answer}");
    }
}

#[tokio::test]
async fn a_connection_serves_many_requests() {
    let sim = Sim::start().await;
    let one = format!(
        "GET /v2/users/me HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\r\n",
        sim.token
    );
    let last = one.replacen("\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1);
    let (answer, end) = sim.raw(format!("{one}{one}{last}")).await;
    end.expect("an orderly end");
    assert_eq!(String::from_utf8(answer).expect("text").matches("HTTP/1.1 200 OK").count(), 3);
}
