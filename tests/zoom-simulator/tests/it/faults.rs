//! Faults on demand. Each is queued and then met by a client that looks closely.

use std::io::{ErrorKind, Read};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::client::{Sim, path_of};

const ME: &str = "/v2/users/me";

#[tokio::test]
async fn other_answers() {
    let sim = Sim::start().await;
    let cases = [
        (json!({"kind": "html"}), 502, "<center><h1>502 Bad Gateway</h1></center>"),
        (json!({"kind": "html", "status": 503}), 503, "503 Service Unavailable"),
        (
            json!({"kind": "error", "status": 500, "code": 500, "message": "Internal error."}),
            500,
            "\"code\":500",
        ),
        (json!({"kind": "expired-token"}), 401, r#"{"code":124,"message":"Access token is expired."}"#),
        (json!({"kind": "invalid-token"}), 401, r#"{"code":124,"message":"Invalid access token."}"#),
        (
            json!({"kind": "missing-scopes", "scopes": ["a:b", "c:d"]}),
            400,
            r#"{"code":4711,"message":"Invalid access token, does not contain scopes:[a:b,c:d]."}"#,
        ),
        (json!({"kind": "fixed", "status": 418, "body": "short and stout"}), 418, "short and stout"),
        (json!({"kind": "fixed", "status": 200, "body": {"a": [1]}}), 200, r#"{"a":[1]}"#),
        (json!({"kind": "fixed", "status": 200, "body_base64": "aGk="}), 200, "hi"),
        (json!({"kind": "fixed", "status": 200}), 200, ""),
    ];
    for (answer, status, text) in cases {
        sim.fault(json!({"path": "/users/me", "answer": answer})).await;
        let reply = sim.get(ME).await;
        assert_eq!(reply.status, status, "{answer}");
        assert!(reply.text.contains(text), "{answer}: {reply:?}");
        // Once was enough.
        sim.get(ME).await.expect(200);
    }
    sim.fault(json!({"answer": {
        "kind": "fixed", "status": 200, "body": "{}",
        "headers": [["Content-Type", "text/html"], ["X-Two", "1"], ["X-Two", "2"]],
    }}))
    .await;
    let reply = sim.get(ME).await.expect(200);
    assert_eq!(reply.header("content-type"), Some("text/html"));
    assert_eq!(reply.headers.get_all("x-two").iter().count(), 2);
}

#[tokio::test]
async fn a_request_that_is_answered_otherwise_is_not_carried_out() {
    let sim = Sim::start().await;
    let meeting = sim.create(json!({"type": 3})).await;
    sim.fault(json!({"answer": {"kind": "html"}, "times": 2})).await;
    sim.post("/v2/users/me/meetings", json!({"type": 3})).await.expect(502);
    sim.delete(&path_of(&meeting)).await.expect(502);
    assert_eq!(sim.get("/v2/users/me/meetings").await.json()["total_records"], 1);
}

#[tokio::test]
async fn a_success_without_a_body() {
    let sim = Sim::start().await;
    // Not carried out, and carried out.
    for (perform, meetings) in [(false, 0), (true, 1)] {
        let answer = json!({"kind": "empty"});
        sim.fault(
            json!({"method": "POST", "path": "/users/*/meetings", "answer": answer, "perform": perform}),
        )
        .await;
        let reply = sim.post("/v2/users/me/meetings", json!({"type": 3})).await.expect(201);
        assert_eq!((reply.text.as_str(), reply.header("content-type")), ("", None));
        assert_eq!(sim.get("/v2/users/me/meetings").await.json()["total_records"], meetings);
    }
}

#[tokio::test]
async fn every_kind_of_429() {
    let sim = Sim::start().await;
    // The kind, its label, its type, and whether it says when to come back.
    let cases = [
        ("per-second", Some("Medium"), Some("QPS"), false),
        ("daily", Some("Medium"), Some("Daily-limit"), true),
        ("per-host", Some("Light"), None, false),
        ("per-registrant", Some("Light"), None, false),
        ("bare", None, None, false),
    ];
    for (kind, category, limit_type, says_when) in cases {
        sim.fault(json!({"answer": {"kind": "rate-limit", "limit": kind}})).await;
        let reply = sim.get(ME).await.expect_error(429, 429);
        assert_eq!(reply.header("x-ratelimit-category"), category, "{kind}");
        assert_eq!(reply.header("x-ratelimit-type"), limit_type, "{kind}");
        assert_eq!(reply.header("retry-after").is_some(), says_when, "{kind}");
        for text in ["2026-11-24T00:00:00Z", "Wed, 21 Oct 2026 07:28:00 GMT", "-5", "soon", "1e400"] {
            sim.fault(json!({"answer": {"kind": "rate-limit", "limit": kind, "retry_after": text}})).await;
            assert_eq!(sim.get(ME).await.expect(429).header("retry-after"), Some(text), "{kind}");
        }
    }
}

#[tokio::test]
async fn messages_in_other_languages() {
    let sim = Sim::start().await;
    for (language, expected) in [("es", "La reunión no existe."), ("ja", "ミーティングが存在しません。")]
    {
        sim.fault(json!({"path": "/meetings/*", "language": language, "times": null})).await;
        let reply = sim.get("/v2/meetings/12345678901").await.expect_error(404, 3001);
        assert_eq!(reply.message(), expected);
        sim.control("DELETE", "/faults", Value::Null).await;
        // The list of scopes stays readable; and what is no error is left alone.
        let answer = json!({"kind": "missing-scopes", "scopes": ["a:b"]});
        sim.fault(json!({"language": language, "answer": answer})).await;
        assert!(sim.get(ME).await.expect_error(400, 4711).message().contains("[a:b]"));
        sim.fault(json!({"language": language})).await;
        assert_eq!(sim.get(ME).await.expect(200).json()["email"], "host@example.com");
    }
}

#[tokio::test]
async fn redirects() {
    let sim = Sim::start().await;
    for status in [301, 302, 307, 308] {
        let location = "http://127.0.0.2:1/elsewhere";
        sim.fault(json!({"answer": {"kind": "redirect", "status": status, "location": location}})).await;
        let reply = sim.get(ME).await.expect(status);
        assert_eq!(reply.header("location"), Some(location));
    }
}

#[tokio::test]
async fn a_gzip_bomb() {
    let sim = Sim::start().await;
    let bytes = 8 << 20;
    sim.fault(json!({"answer": {"kind": "gzip-bomb", "bytes": bytes}})).await;
    let request = format!("GET {ME} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let (answer, _) = sim.raw(request).await;
    let head = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("a head") + 4;
    assert!(String::from_utf8_lossy(&answer[..head]).contains("content-encoding: gzip"));
    assert!(answer.len() < bytes / 100, "{}", answer.len());
    let mut decoded = Vec::new();
    flate2::read::GzDecoder::new(&answer[head..]).read_to_end(&mut decoded).expect("gzip");
    assert_eq!(decoded.len(), bytes);
    serde_json::from_slice::<Value>(&decoded).expect("JSON");
}

#[tokio::test]
async fn a_delay_holds_the_answer_back_and_not_the_work() {
    let sim = Sim::start().await;
    sim.fault(json!({"method": "POST", "delay_ms": 150})).await;
    let before = Instant::now();
    let created = sim.create(json!({"type": 3})).await;
    assert!(before.elapsed() >= Duration::from_millis(150));
    sim.get(&path_of(&created)).await.expect(200);
}

#[tokio::test]
async fn a_reset_before_the_request_is_carried_out() {
    let sim = Sim::start().await;
    let fault = json!({"method": "POST", "perform": false, "delivery": {"kind": "reset"}});
    sim.fault(fault).await;
    sim.try_call("POST", "/v2/users/me/meetings", Some(json!({"type": 3}))).await.expect_err("no answer");
    assert_eq!(sim.get("/v2/users/me/meetings").await.json()["total_records"], 0);
}

#[tokio::test]
async fn a_reset_after_the_request_has_been_carried_out() {
    let sim = Sim::start().await;
    sim.fault(json!({"method": "POST", "delivery": {"kind": "reset"}})).await;
    sim.try_call("POST", "/v2/users/me/meetings", Some(json!({"type": 3}))).await.expect_err("no answer");
    assert_eq!(sim.get("/v2/users/me/meetings").await.json()["total_records"], 1);
}

/// The part of an answer after its head, and the `Content-Length` that the head promises.
fn body_and_promise(answer: &str) -> (&str, usize) {
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let promise = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
    (body, promise.parse().expect("a number"))
}

#[tokio::test]
async fn resets_and_closures_on_the_wire() {
    let sim = Sim::start().await;
    let whole = sim.get(ME).await.expect(200).text;

    sim.fault(json!({"delivery": {"kind": "reset"}})).await;
    let (answer, end) = sim.raw_get(ME).await;
    assert_eq!((answer.as_str(), end.expect_err("a reset").kind()), ("", ErrorKind::ConnectionReset));

    sim.fault(json!({"delivery": {"kind": "close"}})).await;
    let (answer, end) = sim.raw_get(ME).await;
    end.expect("a closure");
    assert_eq!(answer, "");

    for (kind, resets) in [("reset", true), ("close", false)] {
        for bytes in [0, 1, 20] {
            sim.fault(json!({"delivery": {"kind": kind, "after_body_bytes": bytes}})).await;
            let (answer, end) = sim.raw_get(ME).await;
            let (body, promise) = body_and_promise(&answer);
            assert_eq!((body, promise), (&whole[..bytes], whole.len()), "{kind} {bytes}");
            assert_eq!(end.is_err(), resets, "{kind} {bytes}: {end:?}");
        }
    }
}

#[tokio::test]
async fn truncated_json_with_an_honest_length() {
    let sim = Sim::start().await;
    let whole = sim.get(ME).await.expect(200).text;
    sim.fault(json!({"delivery": {"kind": "truncate", "body_bytes": 20}})).await;
    let (answer, end) = sim.raw_get(ME).await;
    end.expect("an orderly end");
    assert_eq!(body_and_promise(&answer), (&whole[..20], 20));
}

#[tokio::test]
async fn an_answer_that_drips() {
    let sim = Sim::start().await;
    let whole = sim.get(ME).await.expect(200).text;
    sim.fault(json!({"delivery": {"kind": "drip", "bytes": 50, "every_ms": 5}})).await;
    let before = Instant::now();
    let reply = sim.get(ME).await.expect(200);
    assert_eq!(reply.text, whole);
    // More than 500 bytes of body alone.
    assert!(before.elapsed() >= Duration::from_millis(9 * 5), "{:?}", before.elapsed());
}

#[tokio::test]
async fn bytes_that_are_no_http() {
    let sim = Sim::start().await;
    let text = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab";
    sim.fault(json!({"delivery": {"kind": "raw", "text": text}})).await;
    let (answer, end) = sim.raw_get(ME).await;
    end.expect("a closure");
    assert_eq!(answer, text);
    sim.fault(json!({"delivery": {"kind": "raw", "base64": "/w=="}})).await;
    assert_eq!(sim.raw("GET /v2/users/me HTTP/1.1\r\nHost: localhost\r\n\r\n").await.0, [0xff]);
}

#[tokio::test]
async fn faults_wait_for_their_requests() {
    let sim = Sim::start().await;
    let unavailable = json!({"kind": "html", "status": 503});
    sim.fault(json!({"method": "get", "path": "/users/*", "skip": 1, "times": 2, "answer": unavailable}))
        .await;
    let meeting = sim.create(json!({})).await;
    let mut statuses = Vec::new();
    for path in [ME, &path_of(&meeting), "/users/me", ME, "/v2/users/me/meetings", ME] {
        statuses.push(sim.get(path).await.status.as_u16());
    }
    assert_eq!(statuses, [200, 200, 503, 503, 200, 200]);

    // Two at once happen in the order in which they were queued.
    for status in [500, 501] {
        sim.fault(json!({"answer": {"kind": "html", "status": status}})).await;
    }
    assert_eq!((sim.get(ME).await.status.as_u16(), sim.get(ME).await.status.as_u16()), (500, 501));

    // OAuth has faults too.
    sim.fault(json!({"path": "/oauth/token", "answer": unavailable, "times": null})).await;
    for _ in 0..3 {
        sim.form("/oauth/token", &[("grant_type", "refresh_token")]).await.expect(503);
    }
}

#[tokio::test]
async fn faults_are_listed_and_taken_away() {
    let sim = Sim::start().await;
    let first = sim.fault(json!({"path": "/users/**", "answer": {"kind": "html"}, "times": 2})).await;
    let second = sim.fault(json!({"delivery": {"kind": "reset"}})).await;
    sim.get(ME).await.expect(502);
    let list = sim.control("GET", "/faults", Value::Null).await;
    assert_eq!(
        list["faults"][0],
        json!({
            "id": first, "happened": 1, "method": "*", "path": "/users/**", "skip": 0, "times": 1,
            "answer": {"kind": "html", "status": 502},
        })
    );
    sim.control("DELETE", &format!("/faults/{first}"), Value::Null).await;
    sim.control("DELETE", &format!("/faults/{second}"), Value::Null).await;
    sim.get(ME).await.expect(200);
    assert_eq!(sim.bare("DELETE", &format!("/_simulator/faults/{first}")).await.status, 404);
}

#[tokio::test]
async fn faults_that_cannot_be() {
    let sim = Sim::start().await;
    let cases = [
        json!({"answer": {"kind": "weather"}}),
        json!({"answer": {"kind": "html", "status": 99}}),
        json!({"answer": {"kind": "html", "status": 101}}),
        json!({"answer": {"kind": "html", "colour": "red"}}),
        json!({"answer": {"kind": "fixed", "status": 200, "headers": [["a b", "c"]]}}),
        json!({"answer": {"kind": "fixed", "status": 200, "headers": [["a", "b\r\nc"]]}}),
        json!({"answer": {"kind": "fixed", "status": 200, "body": "a", "body_base64": "YQ=="}}),
        json!({"answer": {"kind": "fixed", "status": 200, "body_base64": "?"}}),
        json!({"answer": {"kind": "rate-limit", "limit": "daily", "retry_after": "\n"}}),
        json!({"answer": {"kind": "gzip-bomb", "bytes": 1_u64 << 40}}),
        json!({"delivery": {"kind": "drip", "bytes": 0, "every_ms": 1}}),
        json!({"delivery": {"kind": "raw"}}),
        json!({"delivery": {"kind": "reset", "after": 1}}),
        json!({"language": "de"}),
        json!({"times": 0}),
        json!({"nonsense": true}),
    ];
    for fault in cases {
        let request = reqwest::Client::new()
            .post(format!("{}/_simulator/faults", sim.origin))
            .header("content-type", "application/json")
            .body(fault.to_string());
        let reply = Sim::send(request).await.expect("an answer");
        assert!(reply.status.is_client_error(), "{fault}: {reply:?}");
        assert!(reply.json()["error"].is_string(), "{fault}: {reply:?}");
    }
    assert_eq!(sim.control("GET", "/faults", Value::Null).await, json!({"faults": []}));
}

#[tokio::test]
async fn the_examples_of_the_manual_can_be_queued() {
    let sim = Sim::start().await;
    let manual = include_str!("../../README.md");
    let (_, examples) = manual.split_once("Some that are often wanted:").expect("the section");
    let (examples, _) = examples.split_once("\n## ").expect("another section");
    let examples = examples.lines().filter(|line| line.ends_with("}` |"));
    let mut count = 0;
    for line in examples {
        let (_, example) = line.trim_end_matches("` |").rsplit_once("| `").expect("an example");
        sim.fault(serde_json::from_str(example).unwrap_or_else(|error| panic!("{error}: {line}"))).await;
        count += 1;
    }
    assert!(count > 8, "{count}");
}
