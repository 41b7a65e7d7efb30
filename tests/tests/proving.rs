//! Webhooks that only their connector can prove: it is asked before the answer, what it vouches for is a delivery like any other, and
//! nothing is kept while it cannot be asked.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the message")]

use std::{fs, thread};

use aws_lc_rs::hmac;
use jackfield_tests::{Answer, Provider, eventually, feeds::Fed, hooks::timestamp, http_bytes, reply};
use rusqlite::Connection;
use serde_json::{Value, json};

const TRIGGER: &str = "parcels.parcel_moved";
const KEY: &str = "signing-key-canary";

/// A home that takes what the parcel service sends, with an account that is number 7 there.
fn fed() -> Fed {
    let provider = Provider::start(|request, _| match request.target.as_str() {
        "/me" => {
            reply(200, &[("content-type", "application/json")], json!({"id": 7, "name": "Anna"}).to_string())
        }
        _ => reply(404, &[], ""),
    });
    let fed = Fed::start("parcels", "key", &json!({"key": "key-canary"}), provider);
    fed.asked("PATCH", "/v1/integrations/parcels", &json!({"webhook_secret": KEY}));
    fed
}

fn address(fed: &Fed) -> String {
    format!("{}/webhooks/parcels/{}", fed.url(), fed.integration)
}

/// What the parcel service sends to this address, signed with this key.
fn signed(url: &str, key: &str, token: &str, kind: &str, parcel: &str) -> String {
    let at = timestamp(0);
    let message = format!("{url}\n{at}\n{token}\n{kind}\n{parcel}\nhub");
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()), message.as_bytes());
    let signature: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    json!({
        "event": {"type": kind, "parcel": parcel, "state": "hub", "owner": 7},
        "proof": {"at": at, "token": token, "signature": signature},
    })
    .to_string()
}

fn send(url: &str, body: &str, more: &[(&str, &str)]) -> Answer {
    let mut headers = vec![("content-type", "application/json")];
    headers.retain(|(name, _)| !more.iter().any(|(other, _)| other == name));
    headers.extend(more);
    http_bytes("POST", url, &headers, body.as_bytes())
}

/// Sends what the connector is to do, instead of proving it. Each is another one by its parcel.
fn moody(url: &str, mood: &str, parcel: &str) -> Answer {
    send(url, &json!({"event": {"parcel": parcel}}).to_string(), &[("x-parcels-mood", mood)])
}

fn deliveries(fed: &Fed) -> Vec<Value> {
    let list = fed.asked("GET", "/v1/deliveries?limit=200", &Value::Null);
    list["items"].as_array().unwrap().clone()
}

/// Why the last request was refused.
fn reason(fed: &Fed) -> Value {
    fed.asked("GET", "/v1/deliveries/refused", &Value::Null)["items"][0]["reason"].clone()
}

#[track_caller]
fn is_to_come_again(fed: &Fed, answer: &Answer) {
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("30")), "{}", answer.body);
    assert_eq!(reason(fed), "needs_connector");
    assert_eq!(deliveries(fed), [] as [Value; 0]);
}

#[test]
fn what_the_connector_vouches_for_becomes_an_event_and_nothing_else_is_kept() {
    let fed = fed();
    fed.subscribe(TRIGGER, &json!({}));
    let url = address(&fed);
    // Signed with another key, for another address, by nobody, changed, and as what it is not.
    let honest = signed(&url, KEY, "t-1", "moved", "p-1");
    for (body, what) in [
        (signed(&url, "another", "t-1", "moved", "p-1"), "another key"),
        (signed(&format!("{url}?a=1"), KEY, "t-1", "moved", "p-1"), "another address"),
        (json!({"event": {"type": "moved", "parcel": "p-1", "owner": 7}}).to_string(), "no proof"),
        (honest.replace("p-1", "p-2"), "another parcel"),
        ("hello".to_owned(), "no JSON"),
    ] {
        let answer = send(&url, &body, &[]);
        assert_eq!((answer.status, answer.header("retry-after")), (401, None), "{what}: {}", answer.body);
        assert_eq!(reason(&fed), "not_proven", "{what}");
    }
    assert_eq!(send(&url, &honest, &[("content-encoding", "gzip")]).status, 415);
    assert_eq!(http_bytes("PUT", &url, &[], b"").status, 405);
    assert_eq!(deliveries(&fed), [] as [Value; 0]);
    // It sees every header, the query, and the address in the words that the provider was told.
    let asked = format!("{url}?a=1");
    assert_eq!(send(&asked, &signed(&asked, KEY, "t-0", "moved", "p-0"), &[]).status, 200);
    let repeated = format!("it is {KEY}");
    let answer =
        send(&url, &honest, &[("authorization", "Basic x"), ("x-repeated", &repeated), ("x-other", "kept")]);
    assert_eq!(answer.status, 200, "{}", answer.body);
    fed.app.provider.is_asked(2);
    let event = &fed.app.events()[1];
    assert_eq!((&event["type"], &event["connection"]), (&json!(TRIGGER), &json!(fed.connection)), "{event}");
    assert_eq!(event["data"], json!({"parcel": "p-1", "state": "hub"}));
    // The same token is the same delivery.
    assert_eq!(send(&url, &honest, &[]).status, 200);
    let kept = deliveries(&fed);
    assert_eq!((kept.len(), &kept[0]["repeats"]), (2, &json!(1)), "{kept:?}");
    // What is proven and cannot be read is kept as it came.
    let odd = signed(&url, KEY, "t-2", "moved", "p-2");
    assert_eq!(send(&url, &odd, &[("content-type", "text/plain")]).status, 200);
    assert_eq!(send(&url, &odd.replace("p-2", "p-3"), &[("content-type", "text/plain")]).status, 401);
    let kept = deliveries(&fed);
    assert_eq!(
        (kept.len(), &kept[0]["state"], &kept[0]["event"]),
        (3, &json!("unrouted"), &json!(null)),
        "{kept:?}"
    );
    assert!(!fed.home.logs().contains(KEY), "a secret stands in the log");
    // Nor where deliveries are kept, whichever header it was repeated in.
    let heads: String = Connection::open(fed.home.path().join("data/jackfield.db"))
        .unwrap()
        .query_row("SELECT group_concat(head) FROM deliveries", [], |row| row.get(0))
        .unwrap();
    assert!(heads.contains("x-other") && !heads.contains(KEY), "{heads}");
}

#[test]
fn a_handshake_is_proven_like_a_delivery_if_it_is_signed() {
    let fed = fed();
    let url = address(&fed);
    let hello = send(&url, &signed(&url, KEY, "t-1", "hello", "p-1"), &[]);
    assert_eq!((hello.status, hello.body.as_str()), (200, "p-1"));
    assert_eq!(send(&url, &signed(&url, "another", "t-1", "hello", "p-1"), &[]).status, 401);
    assert_eq!(deliveries(&fed), [] as [Value; 0]);
}

#[test]
fn without_its_secret_the_connector_is_not_asked() {
    let provider =
        Provider::always(200, &[("content-type", "application/json")], r#"{"id": 7, "name": "A"}"#);
    let fed = Fed::start("parcels", "key", &json!({"key": "key-canary"}), provider);
    let url = address(&fed);
    let answer = send(&url, &signed(&url, "", "t-1", "moved", "p-1"), &[]);
    assert_eq!((answer.status, reason(&fed)), (503, json!("no_secret")), "{}", answer.body);
    assert_eq!(moody(&url, "panic", "p-1").status, 503);
    assert_eq!(reason(&fed), "no_secret");
}

#[test]
fn a_connector_that_falls_over_a_request_keeps_nothing_and_is_asked_about_the_next() {
    let fed = fed();
    fed.subscribe(TRIGGER, &json!({}));
    let url = address(&fed);
    for mood in ["panic", "fail", "call", "exit", "loop", "wait"] {
        is_to_come_again(&fed, &moody(&url, mood, mood));
    }
    assert!(fed.home.logs().contains("nothing is sent while a request is proven"));
    let asked = fed.provider.requests().len();
    assert_eq!(asked, 1, "it has asked as nobody");
    // Another worker is started, after a moment that the provider may have to wait for.
    let body = signed(&url, KEY, "t-1", "moved", "p-1");
    eventually("it is kept", || send(&url, &body, &[]).status == 200);
    fed.app.provider.is_asked(1);
    assert_eq!(fed.sent(), [json!({"parcel": "p-1", "state": "hub"})]);
}

#[test]
fn a_connector_in_quarantine_and_one_that_is_missing_lose_nothing() {
    let fed = fed();
    fed.subscribe(TRIGGER, &json!({}));
    let url = address(&fed);
    let body = signed(&url, KEY, "t-1", "moved", "p-1");
    let mut parcel = 0;
    eventually("it is in quarantine", || {
        parcel += 1;
        is_to_come_again(&fed, &moody(&url, "exit", &parcel.to_string()));
        let listed = fed.home.run(&["connector", "list", "-o", "json"]).json();
        listed[0]["state"] == "quarantined"
    });
    is_to_come_again(&fed, &send(&url, &body, &[]));
    let lifted = fed.home.run(&["connector", "lift", "parcels"]);
    assert_eq!(lifted.code, 0, "{}", lifted.stderr);
    let (library, away) = (fed.home.plugins().join("libparcels.so"), fed.home.path().join("away.so"));
    fs::rename(&library, &away).unwrap();
    eventually("it is missing", || {
        fed.home.run(&["connector", "list", "-o", "json"]).json()[0]["state"] == "missing"
    });
    // What its address stands for is known all the same.
    is_to_come_again(&fed, &send(&url, &body, &[]));
    assert_eq!(send(&url, &body, &[("content-encoding", "gzip")]).status, 415);
    fs::rename(&away, &library).unwrap();
    eventually("it is kept", || send(&url, &body, &[]).status == 200);
    fed.app.provider.is_asked(1);
    assert_eq!(fed.sent(), [json!({"parcel": "p-1", "state": "hub"})]);
}

#[test]
fn only_so_many_requests_are_proven_at_once() {
    let fed = fed();
    let url = address(&fed);
    let statuses: Vec<u16> = thread::scope(|scope| {
        let sent: Vec<_> = (0..64)
            .map(|number: u32| {
                let url = &url;
                scope.spawn(move || moody(url, "crowd 16", &number.to_string()).status)
            })
            .collect();
        sent.into_iter().map(|one| one.join().unwrap()).collect()
    });
    // The connector finds proven what is one of few; who finds too many before it is to come again.
    assert!(!statuses.contains(&401), "{statuses:?}");
    assert!(statuses.contains(&200), "{statuses:?}");
    assert!(statuses.iter().all(|status| [200, 503].contains(status)), "{statuses:?}");
}
