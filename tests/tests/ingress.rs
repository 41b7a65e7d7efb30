//! What a webhook's address takes from whoever knows it: broken requests, slow ones, forged ones, and many.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the message")]

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use jackfield_tests::{
    Act, eventually,
    hooks::{App, Hooks, SECRET, now, sign},
    reply,
};
use serde_json::{Value, json};

/// Where a home listens.
fn address(hooks: &Hooks) -> String {
    hooks.accounts.url().trim_start_matches("http://").to_owned()
}

/// Sends bytes as they are, and gives what comes back until the other side closes, or nothing more comes.
fn raw(hooks: &Hooks, bytes: &[u8]) -> String {
    let mut socket = TcpStream::connect(address(hooks)).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let _ = socket.write_all(bytes);
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// A delivery, signed, as bytes on the wire, with other headers.
fn wire(hooks: &Hooks, body: &str, headers: &str) -> Vec<u8> {
    let (at, path) = (now().to_string(), format!("/webhooks/zoom/{}", hooks.integration));
    let signature = sign(SECRET, &at, body.as_bytes());
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nx-zm-request-timestamp: {at}\r\n\
         x-zm-signature: {signature}\r\n{headers}\r\n{body}"
    )
    .into_bytes()
}

fn send(hooks: &Hooks, event: &Value) {
    let answer = hooks.send(event.to_string().as_bytes());
    assert_eq!(answer.status, 200, "{}", answer.body);
}

#[test]
fn fault_04_only_the_bytes_that_were_signed_count() {
    let hooks = Hooks::zoom();
    let event = hooks.created(1, "somebody", &json!({}));
    let (compact, pretty) = (event.to_string(), serde_json::to_string_pretty(&event).unwrap());
    let at = now().to_string();
    let signature = sign(SECRET, &at, compact.as_bytes());
    let signed = [("x-zm-signature", signature.as_str())];
    assert_eq!(hooks.send_signed(pretty.as_bytes(), SECRET, &at, &signed).status, 401);
    assert_eq!(hooks.send_signed(compact.as_bytes(), SECRET, &at, &signed).status, 200);
    assert_eq!(hooks.deliveries("").len(), 1);
}

#[test]
fn fault_06_the_window_is_kept_to_and_no_number_is_too_large() {
    let hooks = Hooks::zoom();
    let send = |id: u64, at: &str| {
        hooks
            .send_signed(hooks.created(id, "somebody", &json!({})).to_string().as_bytes(), SECRET, at, &[])
            .status
    };
    for (id, at, status) in [
        (1, (now() - 290).to_string(), 200),
        (2, (now() + 290).to_string(), 200),
        (3, (now() - 310).to_string(), 401),
        (4, (now() + 310).to_string(), 401),
        (5, format!("{}000", now()), 200),
        (6, "9".repeat(19), 401),
        (7, "9".repeat(40), 401),
        (8, "-1".to_owned(), 401),
        (9, "1e9".to_owned(), 401),
    ] {
        assert_eq!(send(id, &at), status, "{at}");
    }
}

#[test]
fn fault_10_nothing_compressed_is_unpacked() {
    let hooks = Hooks::zoom();
    let body = hooks.created(1, "somebody", &json!({})).to_string();
    for coding in ["gzip", "br", "deflate", "identity, gzip"] {
        let headers =
            format!("content-encoding: {coding}\r\ncontent-length: {}\r\nconnection: close\r\n", body.len());
        let answer = raw(&hooks, &wire(&hooks, &body, &headers));
        assert!(answer.starts_with("HTTP/1.1 415"), "{coding}: {answer}");
    }
    assert!(hooks.deliveries("").is_empty());
}

#[test]
fn fault_14_no_other_reader_is_tried_for_another_type() {
    let hooks = Hooks::zoom();
    let _ = hooks.accounts.connect("u_1", "host@example.com");
    let event = hooks.created(1, "somebody", &json!({})).to_string();
    for kind in ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "text/plain", ""] {
        let body = format!("{event}{}", " ".repeat(kind.len()));
        let answer =
            hooks.send_signed(body.as_bytes(), SECRET, &now().to_string(), &[("content-type", kind)]);
        assert_eq!(answer.status, 200, "{kind}");
        let forged =
            hooks.send_signed(body.as_bytes(), "another", &now().to_string(), &[("content-type", kind)]);
        assert_eq!(forged.status, 401, "{kind}");
    }
    hooks.settle();
    assert_eq!(hooks.deliveries("&state=unrouted").len(), 4);
    assert!(hooks.events("&unrouted=true").is_empty(), "nothing was read out of them");
}

#[test]
fn fault_16_who_says_nothing_is_let_go_and_keeps_nobody_waiting() {
    let hooks = Hooks::zoom();
    let begun = Instant::now();
    // Some say nothing, some begin and stop, some promise a body.
    let mut idle: Vec<TcpStream> = (0..300).map(|_| TcpStream::connect(address(&hooks)).unwrap()).collect();
    for (at, socket) in idle.iter_mut().enumerate() {
        let path = format!("/webhooks/zoom/{}", hooks.integration);
        match at % 3 {
            0 => {}
            1 => socket.write_all(format!("POST {path} HTTP/1.1\r\nhost: loc").as_bytes()).unwrap(),
            _ => socket
                .write_all(
                    format!("POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n{{")
                        .as_bytes(),
                )
                .unwrap(),
        }
    }
    let slowest = (1..=20)
        .map(|id| {
            let asked = Instant::now();
            send(&hooks, &hooks.created(id, "somebody", &json!({})));
            asked.elapsed()
        })
        .max()
        .unwrap();
    assert!(slowest < Duration::from_secs(3), "Zoom waits for no longer: {slowest:?}");
    // Bodies that do not come are given up first, then heads.
    for (at, socket) in idle.iter_mut().enumerate() {
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let mut answer = Vec::new();
        socket.read_to_end(&mut answer).unwrap_or_else(|error| panic!("{at} is still there: {error}"));
        if at % 3 == 2 {
            assert!(answer.starts_with(b"HTTP/1.1 408"), "{}", String::from_utf8_lossy(&answer));
        }
    }
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
}

#[test]
fn fault_17_a_request_that_can_be_read_in_two_ways_is_read_in_none() {
    let hooks = Hooks::zoom();
    let body = hooks.created(1, "somebody", &json!({})).to_string();
    let len = body.len();
    let close = "connection: close\r\n";
    for (what, headers) in [
        ("two lengths", format!("content-length: {len}\r\ncontent-length: {}\r\n{close}", len - 1)),
        ("a length that is none", format!("content-length: {len}x\r\n{close}")),
        ("a folded header", format!("x-a: b\r\n c\r\ncontent-length: {len}\r\n{close}")),
        ("a bare carriage return", format!("x-a: b\rc\r\ncontent-length: {len}\r\n{close}")),
        ("a space before the colon", format!("content-length : {len}\r\n{close}")),
    ] {
        let answer = raw(&hooks, &wire(&hooks, &body, &headers));
        assert!(answer.starts_with("HTTP/1.1 400") || answer.is_empty(), "{what}: {answer}");
    }
    // Chunks count where both are given, and what follows is no request.
    let both = format!("content-length: 4\r\ntransfer-encoding: chunked\r\n{close}");
    let chunked = format!("{len:x}\r\n{body}\r\n0\r\n\r\n");
    let mut bytes = wire(&hooks, &body, &both);
    bytes.truncate(bytes.len() - len);
    bytes.extend_from_slice(chunked.as_bytes());
    let answer = raw(&hooks, &bytes);
    assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
    assert!(hooks.deliveries("").len() <= 1);
}

#[test]
fn fault_18_http_2_is_not_spoken() {
    let hooks = Hooks::zoom();
    let answer = raw(&hooks, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00");
    assert!(!answer.contains("200"), "{answer:?}");
    send(&hooks, &hooks.created(1, "somebody", &json!({})));
}

#[test]
fn fault_21_what_has_waited_for_an_app_comes_in_order_and_not_all_at_once() {
    let hooks = Hooks::zoom();
    let connection = hooks.accounts.connect("u_1", "host@example.com");
    let person = hooks.person(&connection);
    let app = App::start();
    let made = hooks.subscribe(&app, "zoom.meeting_updated", &json!({}));
    let id = made["id"].as_str().unwrap().to_owned();
    assert_eq!(hooks.accounts.home.run(&["subscription", "pause", &id]).code, 0);
    // Thirty changes of one meeting, and thirty other meetings.
    let changed = |meeting: u64, at: u64| {
        let mut event = hooks.created(meeting, &person, &json!({}));
        event["event"] = json!("meeting.updated");
        event["payload"]["time_stamp"] = json!(1_900_000_000_000_u64 + at);
        event
    };
    for at in 0..30 {
        send(&hooks, &changed(1, at));
        hooks.settle();
    }
    for at in 0..30 {
        send(&hooks, &changed(100 + at, at));
    }
    hooks.settle();
    assert_eq!(hooks.accounts.home.run(&["subscription", "resume", &id]).code, 0);
    app.provider.is_asked(60);
    let order: Vec<u64> = app
        .events()
        .iter()
        .filter(|event| event["data"]["meeting"]["id"] == "1")
        .map(|event| event["data"]["time_stamp"].as_u64().unwrap())
        .collect();
    assert_eq!(order.len(), 30);
    assert!(order.is_sorted(), "{order:?}");
}

#[test]
fn fault_23_a_shelf_of_many_is_sent_again_under_the_same_ids() {
    let hooks = Hooks::zoom();
    let connection = hooks.accounts.connect("u_1", "host@example.com");
    let person = hooks.person(&connection);
    let app = App::start();
    hooks.subscribe(&app, "zoom.new_meeting", &json!({}));
    (0..100).for_each(|_| app.answers(reply(400, &[], "")));
    (1..=100).for_each(|id| send(&hooks, &hooks.created(id, &person, &json!({}))));
    let count = |state: &str| {
        let path = format!("/v1/dispatches?limit=200&state={state}");
        let (_, sent) = hooks.accounts.ask("GET", &path, &Value::Null);
        sent["items"].as_array().unwrap().len()
    };
    eventually("all lie on the shelf", || count("dead") == 100);
    let ids = |from: usize| {
        let mut ids: Vec<String> = app.events()[from..].iter().map(|event| event["id"].to_string()).collect();
        ids.sort();
        ids
    };
    let before = ids(0);
    let (status, again) = hooks.accounts.ask("POST", "/v1/events/replay", &json!({"state": "dead"}));
    assert_eq!((status, &again["again"]), (200, &json!(100)));
    eventually("all have arrived", || count("done") == 100);
    assert_eq!(ids(100), before);
}

#[test]
fn fault_25_an_app_that_hangs_is_given_up_and_tried_again() {
    let hooks = Hooks::zoom();
    let connection = hooks.accounts.connect("u_1", "host@example.com");
    let person = hooks.person(&connection);
    let (hangs, well) = (App::start(), App::start());
    hangs.answers(vec![Act::Pause(Duration::from_secs(25))]);
    hooks.subscribe(&hangs, "zoom.new_meeting", &json!({}));
    hooks.subscribe(&well, "zoom.new_meeting", &json!({}));
    send(&hooks, &hooks.created(1, &person, &json!({})));
    well.provider.is_asked(1);
    hangs.provider.is_asked(2);
    let ids: Vec<Value> = hangs.events().iter().map(|event| event["id"].clone()).collect();
    assert_eq!(ids[0], ids[1]);
}

#[test]
fn fault_28_one_slow_app_of_ten_keeps_nobody_else_waiting() {
    let hooks = Hooks::zoom();
    let connection = hooks.accounts.connect("u_1", "host@example.com");
    let person = hooks.person(&connection);
    let slow = App::start();
    let others: Vec<App> = (0..9).map(|_| App::start()).collect();
    (0..40)
        .for_each(|_| slow.answers([vec![Act::Pause(Duration::from_secs(8))], reply(204, &[], "")].concat()));
    hooks.subscribe(&slow, "zoom.new_meeting", &json!({}));
    others.iter().for_each(|app| drop(hooks.subscribe(app, "zoom.new_meeting", &json!({}))));
    let begun = Instant::now();
    (1..=40).for_each(|id| send(&hooks, &hooks.created(id, &person, &json!({}))));
    others.iter().for_each(|app| app.provider.is_asked(40));
    // By then the slow one has not seen the most of them: eight at a time, each for eight seconds.
    let seen = slow.events().len();
    assert!(seen < 40 || begun.elapsed() > Duration::from_secs(30), "{seen} after {:?}", begun.elapsed());
}
