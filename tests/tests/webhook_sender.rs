//! What end-to-end tests do with Zoom's webhooks: a simulator as a process, and somebody who only listens.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the message")]

use aws_lc_rs::hmac;
use jackfield_tests::{Provider, Request, Simulator, http, reply};
use serde_json::{Value, json};

const SECRET: &str = "a secret that only this test knows";
const HOST: &str = "SampleHost000000000001";

fn mac(message: &[u8]) -> String {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes()), message);
    tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Answers validations rightly, the first event with 500 and all others with 204.
fn listener() -> Provider {
    let failed = std::sync::atomic::AtomicBool::new(false);
    Provider::start(move |request, _| {
        let body = request.json();
        if let Some(token) = body["payload"]["plainToken"].as_str() {
            let answer = json!({"plainToken": token, "encryptedToken": mac(token.as_bytes())});
            return reply(200, &[], answer.to_string());
        }
        let again = failed.swap(true, std::sync::atomic::Ordering::Relaxed);
        reply(if again { 204 } else { 500 }, &[], "")
    })
}

fn is_signed(request: &Request) -> bool {
    let timestamp = request.header("x-zm-request-timestamp").unwrap_or_default();
    let message = [format!("v0:{timestamp}:").as_bytes(), &request.body].concat();
    request.header("x-zm-signature") == Some(&format!("v0={}", mac(&message)))
}

fn create(simulator: &Simulator) -> i64 {
    let url = format!("{}/users/me/meetings", simulator.ready["api"].as_str().unwrap());
    let token = format!("Bearer {}", simulator.token());
    let headers = [("authorization", token.as_str()), ("content-type", "application/json")];
    let made = http("POST", &url, &headers, r#"{"topic":"Demo","start_time":"2099-01-01T10:00:00Z"}"#);
    made.json()["id"].as_i64().unwrap_or_else(|| panic!("{made:?}"))
}

fn names(rows: &[Value]) -> Vec<&str> {
    rows.iter().map(|row| row["event"].as_str().unwrap()).collect()
}

#[test]
fn what_happens_at_zoom_is_told_and_told_again() {
    let (simulator, listener) = (Simulator::start(&[]), listener());
    let subscription = simulator.subscribe(&listener.url(), SECRET);
    assert_eq!(simulator.revalidate(subscription)["failures"], 0);
    simulator.send_webhooks(&json!({"retry_scale": 0}));

    let meeting = create(&simulator);
    let attempts = simulator.settled_deliveries();
    assert_eq!(
        names(&attempts),
        ["endpoint.url_validation", "endpoint.url_validation", "meeting.created", "meeting.created"]
    );
    assert_eq!((&attempts[2]["status"], &attempts[3]["status"]), (&json!(500), &json!(204)));
    assert_eq!(attempts[2]["body_sha256"], attempts[3]["body_sha256"]);

    simulator.duplicates(2);
    simulator.join(meeting, "Jill");
    simulator.leave(meeting, "Jill");
    simulator.record(meeting);
    simulator.end(meeting);
    simulator.deauthorize(HOST);
    assert_eq!(
        names(&simulator.events())[1..],
        [
            "meeting.participant_joined",
            "meeting.participant_left",
            "recording.started",
            "recording.completed",
            "recording.transcript_completed",
            "meeting.ended",
            "app_deauthorized",
        ]
    );
    let attempts = simulator.settled_deliveries();
    let joined = names(&attempts).iter().filter(|name| **name == "meeting.participant_joined").count();
    assert_eq!((joined, attempts.len()), (3, 13));
    assert_eq!(listener.requests().len(), 13);
    assert!(listener.requests().iter().all(is_signed));
}

#[test]
fn what_is_held_comes_in_the_order_that_is_wanted() {
    let (simulator, listener) = (Simulator::start(&[]), listener());
    simulator.subscribe(&listener.url(), SECRET);
    simulator.send_webhooks(&json!({"retry_scale": 0}));
    create(&simulator);
    let before = simulator.settled_deliveries().len();

    simulator.hold();
    let meetings = [create(&simulator), create(&simulator), create(&simulator)];
    assert_eq!(simulator.deliveries().len(), before);
    simulator.release(&[4, 2]);
    simulator.release_all();
    let requests = listener.requests();
    let came: Vec<i64> = requests[before..]
        .iter()
        .map(|request| request.json()["payload"]["object"]["id"].as_i64().unwrap())
        .collect();
    assert_eq!(came, [meetings[2], meetings[0], meetings[1]]);

    simulator.spoil_webhook(&json!({"signature": "wrong"}));
    create(&simulator);
    assert_eq!(simulator.settled_deliveries().len(), before + 4);
    assert!(!is_signed(listener.requests().last().unwrap()));
}
