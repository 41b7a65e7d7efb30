//! Webhooks: what raises which event, and how events are delivered.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use zoom_simulator::Config;

use crate::client::{ACCOUNT, COLLEAGUE, HOST, Sim, path_of};
use crate::receiver::{Behaviour, PATIENCE, Receiver, SECRET, Validation};

const DAY: u32 = 24 * 3600;

/// A simulator whose events a receiver gets.
async fn subscribed() -> (Sim, Receiver) {
    // Advancing the clock is not to make the ready-made token useless.
    let token_life = Duration::from_secs(u64::from(DAY) * 365);
    let sim = Sim::with(Config { token_life, ..Config::default() }).await;
    let receiver = Receiver::start().await;
    let subscription =
        sim.control("POST", "/webhooks/subscriptions", json!({"url": receiver.url, "secret": SECRET})).await;
    assert_eq!((&subscription["id"], &subscription["enabled"]), (&json!(1), &json!(true)));
    (sim, receiver)
}

async fn post(sim: &Sim, path: &str, body: Value) {
    sim.control("POST", path, body).await;
}

async fn settings(sim: &Sim, settings: Value) {
    sim.control("PUT", "/webhooks", settings).await;
}

/// Waits until so many deliveries are being made and so many wait for their next attempt.
async fn until_there_are(sim: &Sim, sending: u64, waiting: u64) {
    let begun = Instant::now();
    loop {
        let state = sim.control("GET", "/webhooks", Value::Null).await;
        if (&state["sending"], &state["waiting"]) == (&json!(sending), &json!(waiting)) {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{sending} and {waiting} were waited for in vain: {state}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until nothing is on its way any more, and answers every attempt.
async fn settled(sim: &Sim) -> Vec<Value> {
    until_there_are(sim, 0, 0).await;
    deliveries(sim).await
}

async fn deliveries(sim: &Sim) -> Vec<Value> {
    let journal = sim.control("GET", "/webhooks/deliveries?event=*.*ed", Value::Null).await;
    journal["deliveries"].as_array().expect("deliveries").clone()
}

async fn raised(sim: &Sim) -> Vec<Value> {
    let events = sim.control("GET", "/webhooks/events", Value::Null).await;
    events["events"].as_array().expect("events").clone()
}

fn column<'a>(rows: &'a [Value], name: &str) -> Vec<&'a Value> {
    rows.iter().map(|row| &row[name]).collect()
}

/// Creates a meeting and answers its number.
async fn meeting(sim: &Sim, topic: &str) -> Value {
    let body =
        json!({"topic": topic, "start_time": "2099-01-01T10:00:00Z", "settings": {"approval_type": 0}});
    sim.create(body).await["id"].clone()
}

/// Raises every event there is, by doing the thing. Answers the meeting.
async fn do_everything(sim: &Sim) -> Value {
    let meeting = sim
        .create(json!({
            "topic": "Wöchentlich ☕ 週次", "type": 8, "start_time": "2099-01-01T10:00:00Z", "duration": 45,
            "recurrence": {"type": 2, "weekly_days": "5", "end_times": 2},
            "settings": {"approval_type": 0, "registration_type": 1, "meeting_invitees": [{"email": "i@example.com"}]},
            "tracking_fields": [{"field": "Department", "value": "Sales"}],
        }))
        .await;
    let path = path_of(&meeting);
    sim.patch(&path, json!({"topic": "Moved", "settings": {"waiting_room": true}})).await.expect_done();
    let person = json!({"email": "zoe@example.com", "first_name": "Zoë",
        "custom_questions": [{"title": "Why?", "value": "So"}]});
    let added = sim.post(&format!("{path}/registrants"), person).await.expect(201).json();
    let control = format!("/meetings/{}", meeting["id"]);
    let registrant = &added["registrant_id"];
    post(sim, &format!("{control}/join"), json!({"user": COLLEAGUE, "registrant": registrant})).await;
    post(sim, &format!("{control}/join"), json!({"name": "Guest <script>"})).await;
    post(sim, &format!("{control}/leave"), json!({"who": "Guest <script>"})).await;
    post(sim, &format!("{control}/recording/start"), Value::Null).await;
    post(sim, &format!("{control}/end"), Value::Null).await;
    post(sim, &format!("{control}/recording/complete"), Value::Null).await;
    post(sim, &format!("{control}/recording/transcript"), Value::Null).await;
    post(sim, &format!("/users/{HOST}/deauthorize"), Value::Null).await;
    meeting
}

#[tokio::test]
async fn doing_the_thing_raises_the_event() {
    let (sim, receiver) = subscribed().await;
    let meeting = do_everything(&sim).await;
    let happened: Vec<String> = column(&raised(&sim).await, "event")
        .iter()
        .map(|name| name.as_str().expect("a name").to_owned())
        .collect();
    let expected = [
        "meeting.created",
        "meeting.updated",
        "meeting.registration_created",
        "meeting.participant_joined",
        "meeting.participant_joined",
        "meeting.participant_left",
        "recording.started",
        // Who is still there when the meeting ends leaves first.
        "meeting.participant_left",
        "meeting.ended",
        "recording.completed",
        "recording.transcript_completed",
        "app_deauthorized",
    ];
    assert_eq!(happened, expected);

    let received = receiver.wait_for(expected.len()).await;
    let (mut came, mut wanted) = (receiver.names(), expected.map(str::to_owned).to_vec());
    came.sort();
    wanted.sort();
    assert_eq!(came, wanted);
    for one in &received {
        assert!(one.is_signed_with(SECRET), "{one:?}");
        let body = one.json();
        assert_eq!(one.body, body.to_string(), "it is written as JSON.stringify writes it");
        assert!(body["event_ts"].as_i64().is_some_and(|ms| ms > 1_700_000_000_000), "{body}");
        assert_eq!(body["payload"]["account_id"], ACCOUNT);
        assert_eq!(one.header("content-type"), "application/json; charset=utf-8");
        assert_eq!(one.header("user-agent"), "Zoom Marketplace/1.0a");
        assert_eq!(one.header("clientid"), zoom_simulator::DEFAULT_CLIENT_ID);
        assert_eq!(one.header("x-zm-request-timestamp").len(), 10);
        assert_eq!(one.header("x-zm-request-id").len(), 36);
        assert!(one.headers.contains_key("x-zm-trackingid") && one.headers.contains_key("traceparent"));
        assert_eq!(one.header("host"), receiver.url.split('/').nth(2).expect("a host"));
    }
    let find = |event: &str| {
        let found = received.iter().rev().find(|one| one.event() == event);
        found.unwrap_or_else(|| panic!("{event}")).json()["payload"]["object"].clone()
    };
    let (id, uuid) = (&meeting["id"], &meeting["uuid"]);
    for event in
        ["meeting.created", "recording.started", "recording.completed", "meeting.registration_created"]
    {
        assert_eq!((&find(event)["id"], &find(event)["uuid"]), (id, uuid), "{event}");
    }
    for event in ["meeting.ended", "meeting.participant_joined", "meeting.participant_left"] {
        let text = json!(id.to_string());
        assert_eq!((&find(event)["id"], &find(event)["uuid"]), (&text, uuid), "{event}");
    }
    assert_eq!(find("meeting.registration_created")["registrant"]["status"], "approved");
    assert_eq!(find("meeting.ended")["duration"], 45);
    assert_eq!(find("recording.completed")["recording_count"], 3);
    // The meeting has another UUID for its next instance, and the recording keeps that of its own.
    let path = path_of(&meeting);
    let token = sim.token_for(HOST, None).await;
    let again = sim.call_as(&token, "GET", &path, None).await.expect(200).json();
    assert_ne!(again["uuid"], *uuid);
}

/// Every member at any depth, with the kind of its value.
fn shape(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "flag",
        Value::Number(_) => "number",
        Value::String(_) => "text",
        Value::Array(_) => "list",
        Value::Object(_) => "object",
    };
    found.insert(format!("{path}: {kind}"));
    for (name, member) in value.as_object().into_iter().flatten() {
        shape(member, &format!("{path}.{name}"), found);
    }
    for member in value.as_array().into_iter().flatten() {
        shape(member, &format!("{path}[]"), found);
    }
}

/// Members of the samples that depend on what happened: a meeting is in a room or not, a file is of one kind or another.
const MAY_BE_ABSENT: [&str; 8] = [
    ".payload.object.start_time: text",
    ".payload.old_object.start_time: text",
    ".payload.object.occurrences",
    ".payload.old_object.occurrences",
    ".payload.object.settings.j",
    ".payload.old_object.settings.j",
    ".payload.object.participant_audio_files",
    ".payload.object.auto_delete",
];

#[tokio::test]
async fn events_look_like_the_samples() {
    let shared = std::env::var_os("JACKFIELD_SHARED").unwrap_or_default();
    let samples = std::path::Path::new(&shared).join("zoom/events");
    if !samples.is_dir() {
        return crate::openapi::skip("zoom/events");
    }
    let (sim, receiver) = subscribed().await;
    do_everything(&sim).await;
    let received = receiver.wait_for(12).await;
    let mut compared = 0;
    for file in std::fs::read_dir(samples).expect("a directory") {
        let text = std::fs::read_to_string(file.expect("a file").path()).expect("text");
        let sample: Value = serde_json::from_str(&text).expect("JSON");
        let name = sample["event"].as_str().expect("a name");
        if name == "endpoint.url_validation" {
            continue;
        }
        let (mut wanted, mut found) = (BTreeSet::new(), BTreeSet::new());
        shape(&sample, "", &mut wanted);
        for one in received.iter().filter(|one| one.event() == name) {
            shape(&one.json(), "", &mut found);
        }
        // What a guest or an invitation has beside this is none of the simulator's.
        let missing: Vec<&String> = wanted
            .difference(&found)
            .filter(|path| !MAY_BE_ABSENT.iter().any(|absent| path.starts_with(absent)))
            .filter(|path| !path.ends_with("private_ip: text") && !path.ends_with("customer_key: text"))
            .collect();
        assert!(missing.is_empty(), "{name}: {missing:?}");
        compared += 1;
    }
    assert_eq!(compared, 10);
}

#[tokio::test]
async fn an_address_has_to_show_that_it_knows_the_secret() {
    let (sim, receiver) = (Sim::start().await, Receiver::start().await);
    settings(&sim, json!({"timeout_ms": 200})).await;
    let wanted = json!({"url": receiver.url, "secret": SECRET});
    let says = |status, text: &str| Validation::Says(status, text.to_owned());
    for (validation, reason) in [
        (Validation::Knows("another secret"), "encryptedToken"),
        (says(404, ""), "it answered 404 where 200 is wanted"),
        (says(204, ""), "it answered 204 where 200 is wanted"),
        (says(200, "ok"), "its answer is not JSON"),
        (says(200, r#"{"plainToken":"x","encryptedToken":"y"}"#), "plainToken"),
        (says(200, r#"{"plainToken":"{token}"}"#), "encryptedToken"),
        (Validation::Silence, "no answer within 200 ms"),
    ] {
        receiver.validate(validation.clone());
        let refused = refusal(&sim, "POST", "/webhooks/subscriptions", wanted.clone(), 422).await;
        assert!(refused.contains(reason) && refused.contains(&receiver.url), "{validation:?}: {refused}");
    }
    for (url, reason) in [
        ("http://192.0.2.1/hook", "is not a loopback address"),
        ("http://example.com/hook", "is not a loopback address"),
        ("https://127.0.0.1/hook", "speaks no TLS"),
        ("no address", "is not an address"),
        ("http://127.0.0.1:1/hook", "no connection"),
    ] {
        let refused = refusal(&sim, "POST", "/webhooks/subscriptions", json!({"url": url}), 422).await;
        assert!(refused.contains(reason), "{url}: {refused}");
    }
    let unknown = json!({"url": receiver.url, "events": ["meeting.created", "meeting.summoned"]});
    let refused = refusal(&sim, "POST", "/webhooks/subscriptions", unknown, 422).await;
    assert!(refused.contains("meeting.summoned"), "{refused}");
    let none = sim.control("GET", "/webhooks/subscriptions", Value::Null).await;
    assert_eq!(none, json!({"subscriptions": []}));

    receiver.validate(Validation::Knows(SECRET));
    let saved = sim.control("POST", "/webhooks/subscriptions", wanted).await;
    assert_eq!((&saved["url"], &saved["failures"]), (&json!(receiver.url), &json!(0)));
    assert_eq!(saved.get("secret"), None);
    let validations = receiver.validations();
    assert_eq!(validations.len(), 8);
    assert!(validations.iter().all(|one| one.is_signed_with(SECRET)), "{validations:?}");
    let token = |index: usize| validations[index].json()["payload"]["plainToken"].clone();
    assert_ne!(token(6), token(7));
}

/// What the control API says when it refuses.
async fn refusal(sim: &Sim, method: &str, path: &str, body: Value, status: u16) -> String {
    let request = reqwest::Client::new()
        .request(
            reqwest::Method::from_bytes(method.as_bytes()).expect("a method"),
            format!("{}/_simulator{path}", sim.origin),
        )
        .header("content-type", "application/json")
        .body(body.to_string());
    let reply = Sim::send(request).await.expect("an answer").expect(status);
    reply.json()["error"].as_str().expect("an error").to_owned()
}

#[tokio::test]
async fn what_fails_is_sent_again_with_a_signature_of_its_own() {
    let (sim, receiver) = subscribed().await;
    // The first retry is due after 1.2 seconds, so that its timestamp has to be another one.
    settings(&sim, json!({"retry_scale": 0.004})).await;
    receiver.answer(&[Behaviour::Status(500)]);
    meeting(&sim, "Once more").await;
    let received = receiver.wait_for(2).await;
    let attempts = settled(&sim).await;
    assert_eq!(received[0].body, received[1].body);
    assert_eq!(received[0].header("x-zm-request-id"), received[1].header("x-zm-request-id"));
    assert!(received.iter().all(|one| one.is_signed_with(SECRET)), "{received:?}");
    for header in ["x-zm-request-timestamp", "x-zm-signature"] {
        assert_ne!(received[0].header(header), received[1].header(header), "{header}");
    }
    assert_eq!(column(&attempts, "status"), [500, 204]);
    assert_eq!(column(&attempts, "attempt"), [1, 2]);
    assert_eq!(column(&attempts, "outcome"), ["will-retry", "delivered"]);
    assert_eq!(attempts[0]["body_sha256"], attempts[1]["body_sha256"]);
    assert_eq!(attempts[1]["signature"], received[1].header("x-zm-signature"));
}

#[tokio::test]
async fn the_fourth_attempt_is_the_last_and_the_clock_brings_them_on() {
    let (sim, receiver) = subscribed().await;
    receiver.answer(&[
        Behaviour::Status(503),
        Behaviour::Status(404),
        Behaviour::Status(302),
        Behaviour::Silence,
    ]);
    meeting(&sim, "Nobody wants it").await;
    for (count, minutes) in [(1, 5), (2, 20), (3, 60)] {
        receiver.wait_for(count).await;
        until_there_are(&sim, 0, 1).await;
        let attempts = deliveries(&sim).await;
        let (at, next) = (&attempts[count - 1]["at"], &attempts[count - 1]["next_at"]);
        let time =
            |value: &Value| value.as_str().expect("a time").parse::<jiff::Timestamp>().expect("a time");
        // The time begins when the attempt has failed.
        assert_eq!(time(next).duration_since(time(at)).as_mins(), minutes);
        if count == 3 {
            settings(&sim, json!({"timeout_ms": 100})).await;
        }
        // A moment before it is due nothing comes.
        sim.advance(u32::try_from(minutes).expect("minutes") * 60 - 30).await;
        assert_eq!(receiver.events().len(), count);
        sim.advance(30).await;
    }
    receiver.wait_for(4).await;
    let attempts = settled(&sim).await;
    let statuses = [json!(503), json!(404), json!(302), Value::Null];
    assert_eq!(column(&attempts, "status"), statuses.iter().collect::<Vec<_>>());
    assert_eq!(column(&attempts, "outcome"), ["will-retry", "will-retry", "will-retry", "lost"]);
    assert_eq!(attempts[3]["error"], "no answer within 100 ms");
    // Whoever receives it has only the machine's clock, so the signature has its time.
    let last = attempts[3]["timestamp"].as_str().and_then(|text| text.parse::<i64>().ok()).expect("seconds");
    assert!((last - jiff::Timestamp::now().as_second()).abs() < 300);
    assert_eq!(receiver.events().len(), 4);
}

#[tokio::test]
async fn what_is_answered_with_4xx_is_only_sent_again_if_that_is_wanted() {
    let (sim, receiver) = subscribed().await;
    settings(&sim, json!({"retry_scale": 0, "retry_client_errors": false})).await;
    receiver.answer(&[Behaviour::Status(401)]);
    meeting(&sim, "Refused").await;
    assert_eq!(column(&settled(&sim).await, "outcome"), ["lost"]);
    settings(&sim, json!({"retry_client_errors": true})).await;
    receiver.answer(&[Behaviour::Status(401)]);
    meeting(&sim, "Refused").await;
    assert_eq!(column(&settled(&sim).await, "outcome"), ["lost", "will-retry", "delivered"]);
}

#[tokio::test]
async fn an_event_comes_as_often_as_is_asked_for() {
    let (sim, receiver) = subscribed().await;
    post(&sim, "/webhooks/faults", json!({"event": "meeting.created", "copies": 2})).await;
    meeting(&sim, "Three times").await;
    meeting(&sim, "Once").await;
    let received = receiver.wait_for(4).await;
    let attempts = settled(&sim).await;
    let thrice: Vec<_> =
        received.iter().filter(|one| one.json()["payload"]["object"]["topic"] == "Three times").collect();
    assert_eq!(thrice.len(), 3);
    assert!(thrice.iter().all(|one| one.body == thrice[0].body && one.is_signed_with(SECRET)));
    let mut copies: Vec<u64> = attempts.iter().filter_map(|attempt| attempt["copy"].as_u64()).collect();
    copies.sort_unstable();
    assert_eq!(copies, [0, 0, 1, 2]);

    post(&sim, "/webhooks/events/2/resend", Value::Null).await;
    let received = receiver.wait_for(5).await;
    assert_eq!(received[4].json()["payload"]["object"]["topic"], "Once");
    assert_eq!(settled(&sim).await.len(), 5);
}

#[tokio::test]
async fn events_are_held_and_released_in_any_order() {
    let (sim, receiver) = subscribed().await;
    settings(&sim, json!({"hold": true})).await;
    for topic in ["one", "two", "three", "four"] {
        meeting(&sim, topic).await;
    }
    let state = sim.control("GET", "/webhooks", Value::Null).await;
    assert_eq!(column(state["held"].as_array().expect("held"), "number"), [1, 2, 3, 4]);
    assert_eq!(receiver.events().len(), 0);
    let refused = refusal(&sim, "POST", "/webhooks/release", json!({"order": [3, 9]}), 400).await;
    assert_eq!(refused, "no event 9 is held");
    // A failure holds nobody up, and is sent again on its own.
    settings(&sim, json!({"retry_scale": 0.004})).await;
    receiver.answer(&[Behaviour::Status(500)]);
    post(&sim, "/webhooks/release", json!({"order": [3, 1]})).await;
    let topics = || -> Vec<String> {
        let topic = |one: &crate::receiver::Received| one.json()["payload"]["object"]["topic"].to_string();
        receiver.events().iter().map(topic).collect()
    };
    assert_eq!(topics(), [r#""three""#, r#""one""#]);
    receiver.wait_for(3).await;
    meeting(&sim, "five").await;
    post(&sim, "/webhooks/release", json!({})).await;
    assert_eq!(topics(), [r#""three""#, r#""one""#, r#""three""#, r#""two""#, r#""four""#, r#""five""#]);
    meeting(&sim, "six").await;
    assert_eq!(receiver.wait_for(7).await.len(), 7);
}

#[tokio::test]
async fn deliveries_go_wrong_on_demand() {
    let (sim, receiver) = subscribed().await;
    let mut count = 0;
    for (fault, signed) in [
        (json!({"signature": "wrong"}), false),
        (json!({"signature": "none"}), false),
        (json!({"seconds_ago": 301}), true),
        (json!({"seconds_ago": -301}), true),
        (json!({"milliseconds": true}), true),
        (json!({"rename": "meeting.summoned"}), true),
        (json!({"duplicate_keys": true}), true),
        (json!({"without": ["/payload/object/host_id", "/payload/object/uuid"]}), true),
        (json!({"set": {"/payload/object/topic": "{{evil}}"}}), true),
    ] {
        post(&sim, "/webhooks/faults", fault.clone()).await;
        meeting(&sim, "Fine").await;
        count += 1;
        let received = receiver.wait_for(count).await.pop().expect("an event");
        assert_eq!(received.is_signed_with(SECRET), signed, "{fault}: {received:?}");
        let seconds: i64 = received.header("x-zm-request-timestamp").parse().unwrap_or_default();
        let age = jiff::Timestamp::now().as_second() - seconds;
        let text = String::from_utf8(received.body.to_vec()).expect("text");
        let name = fault.as_object().and_then(|fault| fault.keys().next()).expect("a member").as_str();
        match name {
            "signature" if fault["signature"] == "none" => {
                assert!(!received.headers.contains_key("x-zm-signature"));
                assert!(!received.headers.contains_key("x-zm-request-timestamp"));
            }
            "signature" => assert!(received.header("x-zm-signature").starts_with("v0=")),
            "seconds_ago" => {
                let wanted = fault["seconds_ago"].as_i64().expect("seconds");
                assert!((wanted..wanted + 60).contains(&age), "{age}");
            }
            "milliseconds" => assert_eq!(seconds.to_string().len(), 13),
            "rename" => assert_eq!(received.event(), "meeting.summoned"),
            "duplicate_keys" => assert_eq!(text.matches(r#""event":"#).count(), 2, "{text}"),
            "without" => {
                let object = &received.json()["payload"]["object"];
                assert_eq!((object.get("host_id"), object.get("uuid")), (None, None));
                assert_eq!(object["topic"], "Fine");
            }
            _ => assert_eq!(received.json()["payload"]["object"]["topic"], "{{evil}}"),
        }
    }
    post(&sim, "/webhooks/faults", json!({"event": "meeting.created", "drop": true})).await;
    meeting(&sim, "Lost").await;
    meeting(&sim, "Kept").await;
    count += 1;
    let received = receiver.wait_for(count).await;
    assert_eq!(received[count - 1].json()["payload"]["object"]["topic"], "Kept");
    let raised = raised(&sim).await;
    assert_eq!(raised[count - 1]["why_not"], "a fault has dropped it");
    for (bad, reason) in [
        (json!({"times": 0}), "at least 1"),
        (json!({"without": ["payload"]}), "no JSON pointer"),
        (json!({"x": 1}), "unknown"),
    ] {
        let status = if reason == "unknown" { 422 } else { 400 };
        let refused = refusal(&sim, "POST", "/webhooks/faults", bad, status).await;
        assert!(refused.contains(reason), "{refused}");
    }
}

#[tokio::test]
async fn only_the_first_attempts_go_wrong_if_that_is_wanted() {
    let (sim, receiver) = subscribed().await;
    settings(&sim, json!({"retry_scale": 0})).await;
    receiver.answer(&[Behaviour::Status(401)]);
    post(&sim, "/webhooks/faults", json!({"signature": "wrong", "attempts": 1})).await;
    meeting(&sim, "Right the second time").await;
    let received = receiver.wait_for(2).await;
    assert_eq!([0, 1].map(|index: usize| received[index].is_signed_with(SECRET)), [false, true]);
}

#[tokio::test]
async fn any_bytes_can_be_sent_signed() {
    let (sim, receiver) = subscribed().await;
    post(&sim, "/webhooks/events", json!({"body_base64": "//4=", "content_type": "text/plain"})).await;
    let received = receiver.wait_for(1).await;
    assert_eq!((&received[0].body[..], received[0].header("content-type")), (&b"\xff\xfe"[..], "text/plain"));
    assert!(received[0].is_signed_with(SECRET));
    post(&sim, "/webhooks/events", json!({"body": "{\"a\" : 1}", "event": "spaces"})).await;
    assert_eq!(receiver.wait_for(2).await[1].body, "{\"a\" : 1}");
    settled(&sim).await;
    let journal = sim.control("GET", "/webhooks/deliveries?event=raw", Value::Null).await;
    assert_eq!(
        (&journal["deliveries"][0]["body_base64"], &journal["deliveries"][0]["status"]),
        (&json!("//4="), &json!(204))
    );
    refusal(&sim, "POST", "/webhooks/events", json!({}), 400).await;
}

#[tokio::test]
async fn addresses_are_validated_every_72_hours_and_disabled_after_six_failures() {
    let (sim, receiver) = subscribed().await;
    let subscription = async || {
        let all = sim.control("GET", "/webhooks/subscriptions", Value::Null).await;
        all["subscriptions"][0].clone()
    };
    sim.advance(3 * DAY - 60).await;
    assert_eq!(receiver.validations().len(), 1);
    sim.advance(60).await;
    let begun = Instant::now();
    while receiver.validations().len() < 2 {
        assert!(begun.elapsed() < PATIENCE, "it has not been asked again");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    receiver.answer(&[Behaviour::Status(500)]);
    meeting(&sim, "Once").await;
    until_there_are(&sim, 0, 1).await;
    receiver.validate(Validation::Knows("another secret"));
    for failures in 1..=6 {
        let shown = sim.control("POST", "/webhooks/subscriptions/1/validate", Value::Null).await;
        assert_eq!((&shown["failures"], &shown["enabled"]), (&json!(failures), &json!(failures < 6)));
        assert!(shown["error"].as_str().is_some_and(|error| error.contains("encryptedToken")), "{shown}");
    }
    meeting(&sim, "Nobody hears of it").await;
    let raised = raised(&sim).await;
    assert_eq!(raised[1]["why_not"], "no subscription that is enabled asks for it");
    // It is not asked any more by itself, and passing once is enough.
    let validations = receiver.validations().len();
    sim.advance(30 * DAY).await;
    // Nor is what had failed before sent again.
    until_there_are(&sim, 0, 0).await;
    assert_eq!(receiver.events().len(), 1);
    receiver.validate(Validation::Knows(SECRET));
    let shown = sim.control("POST", "/webhooks/subscriptions/1/validate", Value::Null).await;
    assert_eq!((&shown["failures"], &shown["enabled"]), (&json!(0), &json!(true)));
    assert_eq!(receiver.validations().len(), validations + 1);
    assert_eq!(subscription().await["enabled"], true);
    meeting(&sim, "Heard").await;
    receiver.wait_for(2).await;
}

#[tokio::test]
async fn a_user_who_removes_the_app_is_told_of_and_nothing_more() {
    let (sim, receiver) = subscribed().await;
    let id = meeting(&sim, "Before").await;
    receiver.wait_for(1).await;
    post(&sim, &format!("/users/{HOST}/deauthorize"), Value::Null).await;
    let received = receiver.wait_for(2).await;
    let body = received[1].json();
    assert_eq!(body["event"], "app_deauthorized");
    let payload = &body["payload"];
    assert_eq!((&payload["user_id"], &payload["user_data_retention"]), (&json!(HOST), &json!("false")));
    assert_eq!(payload["client_id"], zoom_simulator::DEFAULT_CLIENT_ID);
    sim.get("/v2/users/me").await.expect_error(401, 124);
    // What happens to somebody who has not connected the app is none of its business.
    post(&sim, &format!("/meetings/{id}/join"), json!({"name": "Anybody"})).await;
    assert_eq!(raised(&sim).await[2]["why_not"], "the user has not connected the app");
    let refused = refusal(&sim, "POST", &format!("/users/{HOST}/deauthorize"), json!({}), 409).await;
    assert_eq!(refused, format!("{HOST} has not connected the app"));
    // Neither was the colleague's, before they connected it.
    let token = sim.token_for(COLLEAGUE, None).await;
    let body = json!({"start_time": "2099-01-01T10:00:00Z"});
    sim.call_as(&token, "POST", "/v2/users/me/meetings", Some(body)).await.expect(201);
    let received = receiver.wait_for(3).await;
    assert_eq!(received[2].json()["payload"]["object"]["host_id"], COLLEAGUE);
    settled(&sim).await;
    assert_eq!(receiver.names().len(), 3);
}

#[tokio::test]
async fn an_update_tells_what_has_changed_and_nothing_else() {
    let (sim, receiver) = subscribed().await;
    let meeting = sim
        .create(json!({"topic": "Old", "type": 8, "start_time": "2099-01-01T10:00:00Z", "duration": 30,
            "recurrence": {"type": 1, "end_times": 3}}))
        .await;
    let path = path_of(&meeting);
    // Nothing of this is new.
    sim.patch(&path, json!({"topic": "Old", "settings": {"waiting_room": false}})).await.expect_done();
    sim.patch(&path, json!({"topic": "New", "settings": {"waiting_room": true}})).await.expect_done();
    let occurrence = meeting["occurrences"][1]["occurrence_id"].as_str().expect("an id");
    sim.patch(&format!("{path}?occurrence_id={occurrence}"), json!({"duration": 50})).await.expect_done();
    receiver.wait_for(3).await;
    settled(&sim).await;
    let mut updates: Vec<Value> = receiver.events().iter().map(|one| one.json()).collect();
    updates.retain(|body| body["event"] == "meeting.updated");
    updates.sort_by_key(|body| body["payload"]["time_stamp"].as_i64());
    assert_eq!(updates.len(), 2, "{updates:?}");
    let (id, uuid) = (&meeting["id"], &meeting["uuid"]);
    let payload = &updates[0]["payload"];
    assert_eq!((&payload["operator_id"], &payload["scope"]), (&json!(HOST), &json!("all")));
    assert_eq!(
        payload["object"],
        json!({"uuid": uuid, "id": id, "host_id": HOST, "topic": "New", "settings": {"waiting_room": true}})
    );
    assert_eq!(payload["old_object"], json!({"id": id, "topic": "Old", "settings": {"waiting_room": false}}));
    let payload = &updates[1]["payload"];
    assert_eq!(payload["scope"], "single");
    let occurrences = |side: &str| {
        let all = payload[side]["occurrences"].as_array().expect("occurrences");
        all.iter().map(|one| (one["occurrence_id"].clone(), one["duration"].clone())).collect::<Vec<_>>()
    };
    assert_eq!(occurrences("old_object"), [(json!(occurrence), json!(30))]);
    assert_eq!(occurrences("object"), [(json!(occurrence), json!(50))]);
}

#[tokio::test]
async fn a_recording_has_parts_and_can_be_told_twice() {
    let (sim, receiver) = subscribed().await;
    let id = meeting(&sim, "Recorded").await;
    let step = |step: &str| format!("/meetings/{id}/recording/{step}");
    for wrong in ["stop", "complete", "transcript"] {
        refusal(&sim, "POST", &step(wrong), Value::Null, 409).await;
    }
    refusal(&sim, "POST", &step("erase"), Value::Null, 404).await;
    post(&sim, &step("start"), Value::Null).await;
    refusal(&sim, "POST", &step("start"), Value::Null, 409).await;
    for next in ["stop", "start", "stop", "complete", "complete", "transcript"] {
        post(&sim, &step(next), Value::Null).await;
    }
    receiver.wait_for(6).await;
    let bodies = |event: &str| -> Vec<Value> {
        let all = receiver.events();
        all.iter().map(|one| one.json()).filter(|body| body["event"] == event).collect()
    };
    let started = bodies("recording.started");
    assert_eq!(started.len(), 2);
    // However soon it is started again, the start is what tells the two apart.
    let file = |body: &Value| body["payload"]["object"]["recording_file"].clone();
    assert_ne!(file(&started[0]), file(&started[1]));
    let completed = bodies("recording.completed");
    let files = |body: &Value, name: &str| -> Vec<Value> {
        let files = body["payload"]["object"]["recording_files"].as_array().expect("files");
        files.iter().map(|file| file[name].clone()).collect()
    };
    assert_eq!(files(&completed[0], "file_type"), ["MP4", "M4A", "TIMELINE", "MP4", "M4A", "TIMELINE"]);
    assert_eq!(files(&completed[0], "id"), files(&completed[1], "id"));
    assert_ne!(files(&completed[0], "download_url"), files(&completed[1], "download_url"));
    assert!(completed[0]["download_token"].is_string());
    assert_ne!(completed[0]["download_token"], completed[1]["download_token"]);
    assert_eq!(files(&bodies("recording.transcript_completed")[0], "file_extension"), ["VTT", "VTT"]);
}

#[tokio::test]
async fn subscriptions_differ_in_events_secrets_and_clients() {
    let (sim, receiver) = subscribed().await;
    let other = Receiver::start().await;
    other.validate(Validation::Knows("another secret"));
    let wanted = json!({"url": other.url, "secret": "another secret", "events": ["meeting.ended"],
        "client_id": "AnotherClient", "authorization": "legacy-token"});
    post(&sim, "/webhooks/subscriptions", wanted).await;
    let id = meeting(&sim, "Two").await;
    post(&sim, &format!("/meetings/{id}/start"), Value::Null).await;
    post(&sim, &format!("/meetings/{id}/end"), Value::Null).await;
    receiver.wait_for(2).await;
    let received = other.wait_for(1).await;
    settled(&sim).await;
    assert_eq!(
        (other.names(), received[0].header("clientid")),
        (vec!["meeting.ended".to_owned()], "AnotherClient")
    );
    assert_eq!(received[0].header("authorization"), "legacy-token");
    assert!(received[0].is_signed_with("another secret"));

    let changed = sim
        .control(
            "PUT",
            "/webhooks/subscriptions/2",
            json!({"secret": "a new one", "events": ["meeting.created"]}),
        )
        .await;
    assert_eq!(changed["events"], json!(["meeting.created"]));
    meeting(&sim, "Rotated").await;
    let received = other.wait_for(2).await;
    assert!(received[1].is_signed_with("a new one"));
    sim.control("DELETE", "/webhooks/subscriptions/2", Value::Null).await;
    meeting(&sim, "One").await;
    receiver.wait_for(4).await;
    settled(&sim).await;
    assert_eq!(other.events().len(), 2);
}

#[tokio::test]
async fn a_reset_ends_what_is_under_way() {
    let (sim, receiver) = subscribed().await;
    receiver.answer(&[Behaviour::Status(500)]);
    meeting(&sim, "Never again").await;
    receiver.wait_for(1).await;
    until_there_are(&sim, 0, 1).await;
    post(&sim, "/reset", Value::Null).await;
    let state = sim.control("GET", "/webhooks", Value::Null).await;
    assert_eq!((&state["subscriptions"], &state["waiting"]), (&json!(0), &json!(0)));
    let again = json!({"url": receiver.url, "secret": SECRET});
    post(&sim, "/webhooks/subscriptions", again).await;
    sim.advance(3600).await;
    meeting(&sim, "New").await;
    let received = receiver.wait_for(2).await;
    assert_eq!(received[1].json()["payload"]["object"]["topic"], "New");
    assert_eq!(settled(&sim).await.len(), 1);
}

#[tokio::test]
async fn addresses_can_be_there_from_the_start() {
    let receiver = Receiver::start().await;
    receiver.validate(Validation::Knows(zoom_simulator::DEFAULT_WEBHOOK_SECRET));
    let config = Config { webhook_urls: vec![receiver.url.clone()], ..Config::default() };
    let sim = Sim::with(config.clone()).await;
    // They are there after a reset too, and need not pass again.
    post(&sim, "/reset", Value::Null).await;
    meeting(&sim, "Heard").await;
    let received = receiver.wait_for(1).await;
    assert!(received[0].is_signed_with(zoom_simulator::DEFAULT_WEBHOOK_SECRET));
    assert_eq!(receiver.validations().len(), 1);

    let listen = "127.0.0.1:0".parse().expect("an address");
    let other_secret = Config { listen, webhook_secret: "another secret".to_owned(), ..config };
    let refused = zoom_simulator::Simulator::bind(other_secret).await.expect_err("it does not pass");
    assert!(refused.to_string().contains("did not pass the validation: encryptedToken"), "{refused}");
}

#[tokio::test]
async fn an_app_has_twenty_subscriptions_at_most() {
    let (sim, receiver) = subscribed().await;
    let wanted = json!({"url": receiver.url, "secret": SECRET});
    for _ in 1..20 {
        post(&sim, "/webhooks/subscriptions", wanted.clone()).await;
    }
    let refused = refusal(&sim, "POST", "/webhooks/subscriptions", wanted, 422).await;
    assert_eq!(refused, "an app has 20 subscriptions at most");
}

#[tokio::test]
async fn an_administrator_s_app_hears_of_everybody() {
    let sim = Sim::with(Config { app: zoom_simulator::AppKind::AdminManaged, ..Config::default() }).await;
    let receiver = Receiver::start().await;
    post(&sim, "/webhooks/subscriptions", json!({"url": receiver.url, "secret": SECRET})).await;
    let body = json!({"start_time": "2099-01-01T10:00:00Z"});
    sim.post(&format!("/v2/users/{COLLEAGUE}/meetings"), body).await.expect(201);
    let received = receiver.wait_for(1).await;
    let payload = &received[0].json()["payload"];
    assert_eq!((&payload["object"]["host_id"], &payload["operator_id"]), (&json!(COLLEAGUE), &json!(HOST)));
}

#[tokio::test]
async fn a_lost_answer_is_still_an_event() {
    let (sim, receiver) = subscribed().await;
    sim.fault(json!({"method": "POST", "delivery": {"kind": "reset"}})).await;
    let body = json!({"topic": "Made", "start_time": "2099-01-01T10:00:00Z"});
    sim.try_call("POST", "/v2/users/me/meetings", Some(body)).await.expect_err("the answer is lost");
    assert_eq!(receiver.wait_for(1).await[0].json()["payload"]["object"]["topic"], "Made");
}
