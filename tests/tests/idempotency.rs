//! `Idempotency-Key`: what is asked for again under the same key is done once, and answered as before.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the message")]

use std::{io::Write, net::TcpStream};

use jackfield_tests::{Answer, eventually, tenants::Tenants};
use serde_json::{Value, json};

/// Creates a meeting as a user, under a key.
fn create(tenants: &Tenants, user: &str, connection: &str, key: &str, topic: &str) -> Answer {
    let path = format!("/v1/connections/{connection}/actions/create_meeting");
    let body = json!({"topic": topic}).to_string();
    tenants.ask(&tenants.rsa.user(user), "POST", &path, &[("idempotency-key", key)], &body)
}

/// How many meetings the provider was asked to create.
fn created(tenants: &Tenants) -> usize {
    let journal = tenants.simulator.journal();
    let creates = |path: &str| path.ends_with("/users/me/meetings");
    let asked = journal.iter().filter(|request| request["method"] == "POST");
    asked.filter(|request| request["path"].as_str().is_some_and(creates)).count()
}

#[track_caller]
fn is_again(answer: &Answer, first: &Answer) {
    assert_eq!(answer.header("idempotent-replayed"), Some("true"), "{}", answer.body);
    let (mut told, again) = (first.json(), answer.json());
    let masked = mask(&mut told, &again);
    assert_eq!((answer.status, &again), (first.status, &told));
    // What the schema marks as secret is told once, and kept nowhere.
    let secret =
        |name: &String| ["password", "start_url", "dynamic_host_key"].iter().any(|one| name.ends_with(one));
    assert!(masked.iter().all(secret), "{masked:?}");
    assert!(masked.contains(&"start_url".to_owned()), "{masked:?}");
}

/// Masks what is masked in another value, and says what that is called.
fn mask(value: &mut Value, other: &Value) -> Vec<String> {
    let (Some(members), Some(others)) = (value.as_object_mut(), other.as_object()) else { return Vec::new() };
    let mut masked = Vec::new();
    for (name, value) in members {
        match others.get(name) {
            Some(other) if *other == "***" => {
                *value = other.clone();
                masked.push(name.clone());
            }
            Some(other) => masked.extend(mask(value, other)),
            None => {}
        }
    }
    masked
}

#[track_caller]
fn is_conflict(answer: &Answer, text: &str) {
    let problem = answer.json();
    assert_eq!((answer.status, &problem["kind"]), (409, &json!("conflict")), "{}", answer.body);
    assert_eq!(problem["message"], text);
}

#[test]
fn what_is_asked_for_twice_under_a_key_is_done_once() {
    let tenants = Tenants::start(&[]);
    let connection = tenants.connect("u_1", "");
    let first = create(&tenants, "u_1", &connection, "k_1", "Demo");
    assert_eq!((first.status, first.header("idempotent-replayed")), (200, None), "{}", first.body);
    is_again(&create(&tenants, "u_1", &connection, "k_1", "Demo"), &first);
    assert_eq!(created(&tenants), 1);

    let other = create(&tenants, "u_1", &connection, "k_1", "Another");
    is_conflict(&other, "something else was asked for under this key");
    // The same input to another action is something else as well.
    let path = format!("/v1/connections/{connection}/actions/get_meetings");
    let key = [("idempotency-key", "k_1")];
    let other = tenants.ask(&tenants.rsa.user("u_1"), "POST", &path, &key, r#"{"topic": "Demo"}"#);
    is_conflict(&other, "something else was asked for under this key");
    assert_eq!(created(&tenants), 1);

    // Without a key, or under another one, it is done again.
    assert_eq!(create(&tenants, "u_1", &connection, "k_2", "Demo").status, 200);
    assert_eq!(created(&tenants), 2);
    let long = "k".repeat(256);
    for key in ["", &long, "\u{e9}"] {
        let answer = create(&tenants, "u_1", &connection, key, "Demo");
        assert_eq!(
            (answer.status, &answer.json()["kind"]),
            (400, &json!("usage")),
            "{key:?}: {}",
            answer.body
        );
        assert!(answer.body.contains("`Idempotency-Key`"), "{}", answer.body);
    }
    assert_eq!(created(&tenants), 2);
}

#[test]
fn a_key_is_its_users_own() {
    let tenants = Tenants::start(&[]);
    let [one, two] = ["u_1", "u_2"].map(|user| tenants.connect(user, ""));
    let first = create(&tenants, "u_1", &one, "k_1", "Demo");
    let second = create(&tenants, "u_2", &two, "k_1", "Theirs");
    assert_eq!((second.status, second.header("idempotent-replayed")), (200, None), "{}", second.body);
    assert_ne!(first.body, second.body);
    // The operator is somebody else again.
    let path = format!("/v1/connections/{one}/actions/create_meeting");
    let headers = [("idempotency-key", "k_1"), ("jackfield-project", "default")];
    let third = tenants.ask(&tenants.operator, "POST", &path, &headers, r#"{"topic": "Operator's"}"#);
    assert_eq!((third.status, third.header("idempotent-replayed")), (200, None), "{}", third.body);
    assert_eq!(created(&tenants), 3);
    is_again(&create(&tenants, "u_1", &one, "k_1", "Demo"), &first);
    is_again(&create(&tenants, "u_2", &two, "k_1", "Theirs"), &second);
    assert_eq!(created(&tenants), 3);
}

#[test]
fn what_is_still_under_way_is_not_begun_again() {
    let tenants = Tenants::start(&[]);
    let connection = tenants.connect("u_1", "");
    tenants.simulator.fault(&json!({"method": "POST", "delay_ms": 2000}));
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let callers: Vec<_> =
            (0..8).map(|_| scope.spawn(|| create(&tenants, "u_1", &connection, "k_1", "Demo"))).collect();
        callers.into_iter().map(|caller| caller.join().unwrap()).collect()
    });
    let (done, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
    assert!(!done.is_empty() && !refused.is_empty(), "{answers:?}");
    refused.iter().for_each(|answer| is_conflict(answer, "this is under way already"));
    assert_eq!(created(&tenants), 1);
    is_again(&create(&tenants, "u_1", &connection, "k_1", "Demo"), done[0]);
    assert_eq!(created(&tenants), 1);
}

#[test]
fn whoever_lost_the_answer_gets_it_by_asking_again() {
    let tenants = Tenants::start(&[]);
    let connection = tenants.connect("u_1", "");
    tenants.simulator.fault(&json!({"method": "POST", "delay_ms": 1000}));
    let host = tenants.url.strip_prefix("http://").unwrap();
    let mut socket = TcpStream::connect(host).unwrap();
    let body = json!({"topic": "Demo"}).to_string();
    let request = format!(
        "POST /v1/connections/{connection}/actions/create_meeting HTTP/1.1\r\nhost: {host}\r\n\
         authorization: Bearer {}\r\nidempotency-key: k_1\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n{body}",
        tenants.rsa.user("u_1"),
        body.len()
    );
    socket.write_all(request.as_bytes()).unwrap();
    eventually("the request", || tenants.get("/v1/health")["running"] == 1);
    drop(socket);
    let mut again = None;
    eventually("the answer", || {
        let answer = create(&tenants, "u_1", &connection, "k_1", "Demo");
        assert!([200, 409].contains(&answer.status), "{}", answer.body);
        again = (answer.status == 200).then_some(answer);
        again.is_some()
    });
    assert_eq!(again.unwrap().header("idempotent-replayed"), Some("true"));
    assert_eq!(created(&tenants), 1);
}

#[test]
fn what_has_certainly_done_nothing_may_be_asked_for_again_under_its_key() {
    let tenants = Tenants::start(&[]);
    let connection = tenants.connect("u_1", "");
    // Input that does not fit is mended and sent again.
    let path = format!("/v1/connections/{connection}/actions/create_meeting");
    let key = [("idempotency-key", "k_1")];
    let unfit = tenants.ask(&tenants.rsa.user("u_1"), "POST", &path, &key, r#"{"topic": 1}"#);
    assert_eq!(unfit.status, 422, "{}", unfit.body);
    let mended = create(&tenants, "u_1", &connection, "k_1", "Demo");
    assert_eq!((mended.status, mended.header("idempotent-replayed")), (200, None), "{}", mended.body);

    // Whoever was told to wait asks for the same when the time has come.
    tenants.simulator.fault(&json!({"method": "POST", "perform": false, "answer": {
        "kind": "fixed", "status": 429, "headers": [["content-type", "application/json"], ["retry-after", "120"]],
        "body": r#"{"code": 429, "message": "slow down"}"#,
    }}));
    let limited = create(&tenants, "u_1", &connection, "k_2", "Later");
    assert_eq!(limited.status, 429, "{}", limited.body);
    let later = create(&tenants, "u_1", &connection, "k_2", "Later");
    assert_eq!((later.status, later.header("idempotent-replayed")), (200, None), "{}", later.body);
    is_again(&create(&tenants, "u_1", &connection, "k_2", "Later"), &later);
}
