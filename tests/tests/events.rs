//! What providers send, from the request to the app that is told: kept before it is answered, made into events once, given to
//! whoever it happened to, and sent on until it has arrived.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the message")]

use std::{
    sync::{Arc, RwLock},
    time::Duration,
};

use aws_lc_rs::hmac;
use base64::{Engine, engine::general_purpose::STANDARD};
use jackfield_tests::{
    Act, Request, eventually,
    hooks::{App, Hooks, SECRET, now},
    http, reply,
};
use serde_json::{Value, json};

/// A webhook of ours as whoever is sent it verifies it, by Standard Webhooks.
fn is_signed(request: &Request, secret: &str) -> bool {
    let key = STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
    let (id, at) = (request.header("webhook-id").unwrap(), request.header("webhook-timestamp").unwrap());
    let message = [id.as_bytes(), b".", at.as_bytes(), b".", &request.body].concat();
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), &message);
    let age = now() - at.parse::<i64>().unwrap();
    request.header("webhook-signature").unwrap() == format!("v1,{}", STANDARD.encode(tag)) && age.abs() < 60
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[test]
fn each_of_the_nine_triggers_fires_when_the_thing_is_done() {
    let hooks = Hooks::zoom();
    let connection = hooks.accounts.connect("u_1", "host@example.com");
    hooks.subscribe_at_zoom();
    let app = App::start();
    let triggers = [
        "new_meeting",
        "meeting_updated",
        "new_meeting_registrant",
        "meeting_participant_joined",
        "new_recording",
        "meeting_participant_left",
        "meeting_ended",
        "complete_recording",
        "recording_transcript_completed",
    ];
    let mut secrets = Vec::new();
    for trigger in triggers {
        let made = hooks.subscribe(&app, &format!("zoom.{trigger}"), &json!({"connection": connection}));
        secrets.push((format!("zoom.{trigger}"), text(&made["signing_secret"]).to_owned()));
    }
    let act = |name: &str, input: &Value| {
        let path = format!("/v1/connections/{connection}/actions/{name}");
        let (status, answer) = hooks.accounts.ask("POST", &path, input);
        assert_eq!(status, 200, "{answer}");
        answer["output"].clone()
    };
    let start = "2030-01-31T09:00:00Z";
    let settings = json!({"approval_type": 0});
    let made = act("create_meeting", &json!({"topic": "Demo", "start_time": start, "settings": settings}));
    let meeting = made["id"].to_string().replace('"', "");
    act("update_meeting", &json!({"meeting_id": meeting, "topic": "Better demo"}));
    act(
        "add_meeting_registrant",
        &json!({"meeting_id": meeting, "email": "guest@example.com", "first_name": "Guest"}),
    );
    let zoom = hooks.simulator();
    zoom.join(&meeting, "Guest");
    zoom.record(&meeting);
    zoom.leave(&meeting, "Guest");
    zoom.end(&meeting);
    let mut expected: Vec<&str> = secrets.iter().map(|(name, _)| name.as_str()).collect();
    expected.sort_unstable();
    eventually("nine kinds of events", || {
        let mut types = app.types();
        types.sort();
        types.dedup();
        types == expected
    });
    for request in app.provider.requests() {
        let event = request.json();
        let (_, secret) = secrets.iter().find(|(name, _)| *name == text(&event["type"])).unwrap();
        assert!(is_signed(&request, secret), "{event}");
        assert_eq!(request.header("webhook-id"), event["id"].as_str());
        assert_eq!((&event["connection"], &event["user"]), (&json!(connection), &json!("u_1")), "{event}");
        assert!(text(&event["id"]).starts_with("evt_") && event["at"].is_string(), "{event}");
        assert!(event["occurred_at"].is_string() && event["version"].is_string(), "{event}");
    }
    let created = app.events().into_iter().find(|event| event["type"] == "zoom.new_meeting").unwrap();
    assert_eq!(created["data"]["meeting"]["topic"], "Demo", "{created}");
    assert_eq!(text(&created["data"]["meeting"]["id"]), meeting, "an id is a text: {created}");
    // What was answered with a success is not sent again.
    eventually("everything is done", || {
        let (_, sent) = hooks.accounts.ask("GET", "/v1/dispatches?limit=200", &Value::Null);
        sent["items"].as_array().unwrap().iter().all(|one| one["state"] == "done")
    });
    let seen = app.events().len();
    let mut ids: Vec<String> = app.events().iter().map(|event| text(&event["id"]).to_owned()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), seen, "each once");
}

#[test]
fn fault_03_the_same_event_three_times_is_one() {
    let hooks = Hooks::zoom();
    let connection = hooks.accounts.connect("u_1", "host@example.com");
    let app = App::start();
    hooks.subscribe(&app, "zoom.new_meeting", &json!({}));
    let body = hooks.created(1, &hooks.person(&connection), &json!({})).to_string();
    for second in [0, 1, 2] {
        let answer = hooks.send_signed(body.as_bytes(), SECRET, &(now() - second).to_string(), &[]);
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    // Another body with the same event in it is another delivery, and no other event.
    let mut again: Value = serde_json::from_str(&body).unwrap();
    again["payload"]["object"]["some_later_field"] = json!(true);
    assert_eq!(hooks.send(again.to_string().as_bytes()).status, 200);
    app.provider.is_asked(1);
    hooks.settle();
    let deliveries = hooks.deliveries("");
    assert_eq!(deliveries.len(), 2, "{deliveries:?}");
    assert_eq!(deliveries[1]["repeats"], 2, "{deliveries:?}");
    assert_eq!(hooks.events("&type=zoom.new_meeting").len(), 1);
    assert_eq!(app.events().len(), 1);
}

#[test]
fn fault_05_what_proves_nothing_is_not_kept_and_is_told_to_the_operator() {
    let hooks = Hooks::zoom();
    let body = hooks.created(1, "somebody", &json!({})).to_string();
    let (bytes, at) = (body.as_bytes(), now().to_string());
    let stale = (now() - 400).to_string();
    type Sent<'a> = (&'a [u8], &'a str, &'a str, &'a [(&'a str, &'a str)]);
    let cases: [(u16, &str, Sent<'_>); 7] = [
        (401, "wrong_signature", (bytes, "another secret", &at, &[])),
        (401, "missing_signature", (bytes, SECRET, &at, &[("x-zm-signature", "")])),
        (401, "malformed_signature", (bytes, SECRET, &at, &[("x-zm-signature", "v0=12")])),
        (401, "malformed_timestamp", (bytes, SECRET, "soon", &[])),
        (415, "compressed", (bytes, SECRET, &at, &[("content-encoding", "gzip")])),
        (400, "malformed_body", (&bytes[..40], SECRET, &at, &[("x-zm-signature", "")])),
        (401, "stale", (bytes, SECRET, &stale, &[])),
    ];
    for (status, reason, (bytes, secret, at, more)) in cases {
        let answer = hooks.send_signed(bytes, secret, at, more);
        assert_eq!(answer.status, status, "{reason}: {}", answer.body);
        assert!(
            !answer.body.contains("signature") && !answer.body.contains("second"),
            "no oracle: {}",
            answer.body
        );
        let (_, refused) = hooks.accounts.ask("GET", "/v1/deliveries/refused", &Value::Null);
        let newest = &refused["items"][0];
        assert_eq!(newest["reason"], reason, "{newest}");
        assert_eq!(
            (&newest["connector"], &newest["integration"]),
            (&json!("zoom"), &json!(hooks.integration))
        );
    }
    assert!(hooks.deliveries("").is_empty());
    let list = hooks.accounts.home.run(&["delivery", "list", "--refused"]);
    assert!(list.stdout.contains("seconds old; it may be 300"), "{}", list.stdout);
    assert!(list.stdout.contains("127.0.0.1"), "{}", list.stdout);
    let doctor = hooks.accounts.home.run(&["doctor"]);
    assert!(doctor.stdout.contains("7 requests to the webhook were refused"), "{}", doctor.stdout);
    assert!(doctor.stdout.contains("the signature does not fit"), "{}", doctor.stdout);
    let elsewhere = hooks.url().replace("int_", "int_0");
    assert_eq!(
        http("POST", &elsewhere, &[], "{}").status,
        404,
        "fault 13: an address that stands for nothing"
    );
    assert_eq!(http("DELETE", &hooks.url(), &[], "{}").status, 405);
}

#[test]
fn fault_07_without_a_secret_everything_is_refused() {
    let hooks = Hooks::zoom();
    let (status, answer) = hooks.accounts.ask("DELETE", "/v1/integrations/zoom", &Value::Null);
    assert_eq!(status, 200, "{answer}");
    let (status, shown) = hooks.accounts.ask("POST", "/v1/integrations", &json!({"connector": "zoom"}));
    assert_eq!(status, 200, "{shown}");
    let url = format!("{}/webhooks/zoom/{}", hooks.accounts.url(), text(&shown["id"]));
    let answer = http("POST", &url, &[("content-type", "application/json")], "{}");
    assert_eq!(answer.status, 503, "it is the operator's fault, and is to be sent again");
    assert!(answer.header("retry-after").is_some());
    let (_, refused) = hooks.accounts.ask("GET", "/v1/deliveries/refused", &Value::Null);
    assert_eq!(refused["items"][0]["message"], "no Secret Token is configured");
}

#[test]
fn fault_08_while_the_secret_changes_both_are_good() {
    let hooks = Hooks::zoom();
    let body = |id| hooks.created(id, "somebody", &json!({})).to_string();
    let at = now().to_string();
    let (status, answer) =
        hooks.accounts.ask("PATCH", "/v1/integrations/zoom", &json!({"webhook_secret": "the-next"}));
    assert_eq!(status, 200, "{answer}");
    assert_eq!(hooks.send_signed(body(1).as_bytes(), "the-next", &at, &[]).status, 200);
    assert_eq!(hooks.send_signed(body(2).as_bytes(), SECRET, &at, &[]).status, 200);
    let (status, answer) =
        hooks.accounts.ask("PATCH", "/v1/integrations/zoom", &json!({"webhook_secret": "the-one-after"}));
    assert_eq!(status, 200, "{answer}");
    assert_eq!(hooks.send_signed(body(3).as_bytes(), SECRET, &at, &[]).status, 401);
}

#[test]
fn fault_09_30_a_body_that_just_fits_is_kept_byte_for_byte_and_a_larger_one_refused_before_it_is_there() {
    let hooks = Hooks::zoom();
    hooks.accounts.home.configure("[events]\nbody_bytes = 2000");
    let fits = hooks.created(1, "somebody", &json!({"topic": ""})).to_string();
    let fill = |len: usize| {
        hooks.created(1, "somebody", &json!({"topic": "x".repeat(len - fits.len())})).to_string()
    };
    assert_eq!(fill(2000).len(), 2000);
    assert_eq!(hooks.send(fill(2001).as_bytes()).status, 413);
    for body in [String::new(), fill(1999), fill(2000)] {
        assert_eq!(hooks.send(body.as_bytes()).status, 200, "{} bytes", body.len());
        hooks.settle();
        let id = text(&hooks.deliveries("")[0]["id"]).to_owned();
        let (_, shown) = hooks.accounts.ask("GET", &format!("/v1/deliveries/{id}"), &Value::Null);
        assert_eq!(text(&shown["body"]), body, "byte for byte");
    }
    // Whoever lies about the length, or gives none, gets no further.
    let answer = http("POST", &hooks.url(), &[("content-length", "999999999")], "");
    assert!(matches!(answer.status, 400 | 413), "{}", answer.status);
}

#[test]
fn fault_12_what_is_signed_and_cannot_be_read_is_kept() {
    let hooks = Hooks::zoom();
    let twice = br#"{"event":"meeting.created","event":"meeting.ended"}"#.to_vec();
    let unreadable = [
        (twice.clone(), "application/json", "the body has a name twice"),
        (b"{\"event\":\"\xff\"}".to_vec(), "application/json", "UTF-8"),
        (["[".repeat(10_000), "]".repeat(10_000)].concat().into_bytes(), "application/json", "deep"),
        (b"a=b".to_vec(), "application/x-www-form-urlencoded", "content type"),
    ];
    for (body, kind, _) in &unreadable {
        let answer = hooks.send_signed(body, SECRET, &now().to_string(), &[("content-type", kind)]);
        assert_eq!(answer.status, 200, "{kind}: {}", answer.body);
    }
    assert_eq!(hooks.send(&twice).status, 200, "once more");
    let kept = hooks.deliveries("&state=unrouted");
    assert_eq!(kept.len(), unreadable.len(), "{kept:?}");
    for (delivery, (body, _, _)) in kept.iter().zip(unreadable.iter().rev()) {
        let path = format!("/v1/deliveries/{}", text(&delivery["id"]));
        let (_, shown) = hooks.accounts.ask("GET", &path, &Value::Null);
        let found = match (&shown["body"], &shown["body_base64"]) {
            (Value::String(body), Value::Null) => body.clone().into_bytes(),
            (Value::Null, Value::String(encoded)) => STANDARD.decode(encoded).unwrap(),
            other => panic!("{other:?}"),
        };
        assert_eq!(&found, body);
        assert!(!text(&delivery["reason"]).is_empty(), "{delivery}");
    }
}

#[test]
fn fault_13_an_event_that_nothing_knows_is_kept_and_answered() {
    let hooks = Hooks::zoom();
    let body =
        json!({"event": "meeting.exploded", "event_ts": 1, "payload": {"account_id": "a", "object": {}}});
    assert_eq!(hooks.send(body.to_string().as_bytes()).status, 200);
    eventually("it lies on the shelf", || hooks.deliveries("&state=unrouted").len() == 1);
    let reason = hooks.deliveries("&state=unrouted")[0]["reason"].clone();
    assert_eq!(reason, "no trigger of `zoom` is for the event `meeting.exploded`");
}

#[test]
fn fault_15_a_full_queue_says_so_and_is_well_again_by_itself() {
    let hooks = Hooks::zoom();
    let library = hooks.accounts.home.plugins().join("libzoom.so");
    let aside = hooks.accounts.home.path().join("aside.so");
    hooks.accounts.home.configure("[events]\nwaiting = 3");
    // A connector that is not there delays its events and loses none.
    std::fs::rename(&library, &aside).unwrap();
    let body = |id| hooks.created(id, "somebody", &json!({})).to_string();
    eventually("it is gone", || {
        let (_, list) = hooks.accounts.ask("GET", "/v1/connectors", &Value::Null);
        list["items"][0]["state"] == "missing"
    });
    let answers: Vec<_> = (1..=5).map(|id| hooks.send(body(id).as_bytes())).collect();
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [200, 200, 200, 503, 503]);
    assert!(answers[4].header("retry-after").is_some());
    assert_eq!(hooks.deliveries("&state=waiting").len(), 3);
    std::fs::rename(&aside, &library).unwrap();
    let all = || -> usize { hooks.deliveries("&state=done").len() };
    eventually("it makes events of what has waited", || all() == 3);
    assert_eq!(hooks.send(body(4).as_bytes()).status, 200);
    eventually("it takes more", || all() == 4);
}

#[test]
fn case_24_25_an_event_is_given_to_whoever_it_happened_to_and_to_nobody_else() {
    let hooks = Hooks::zoom();
    let mine = hooks.accounts.connect("u_1", "host@example.com");
    let theirs = hooks.accounts.connect("u_2", "colleague@example.com");
    let (me, them) = (hooks.person(&mine), hooks.person(&theirs));
    let updated = |id: u64, host: &Value, operator: &str| {
        let mut event = hooks.created(id, "", &json!({"host_id": host}));
        event["event"] = json!("meeting.updated");
        event["payload"]["operator_id"] = json!(operator);
        event["payload"]["time_stamp"] = json!(1_900_000_000_000_u64 + id);
        event
    };
    let send = |event: &Value| assert_eq!(hooks.send(event.to_string().as_bytes()).status, 200);
    send(&hooks.created(1, &me, &json!({})));
    send(&hooks.created(2, &them, &json!({})));
    send(&hooks.created(3, "a-stranger", &json!({})));
    hooks.settle();
    let of = |query: &str| -> Vec<String> {
        let id = |event: &Value| text(&event["data"]["meeting"]["id"]).to_owned();
        hooks.events(query).iter().map(id).collect()
    };
    assert_eq!(of(&format!("&connection={mine}&type=zoom.new_meeting")), ["1"]);
    assert_eq!(of(&format!("&connection={theirs}&type=zoom.new_meeting")), ["2"]);
    assert_eq!(of("&unrouted=true"), ["3"], "case 25: it is nobody's who is here, and is kept");
    // Zoom may leave out whose a meeting is that was changed: then what was learned counts, and then who has done it.
    send(&updated(1, &Value::Null, &them));
    send(&updated(4, &Value::Null, &them));
    send(&updated(5, &Value::Null, "a-stranger"));
    hooks.settle();
    assert_eq!(
        of(&format!("&connection={mine}&type=zoom.meeting_updated")),
        ["1"],
        "case 24: whose it is is known"
    );
    assert_eq!(
        of(&format!("&connection={theirs}&type=zoom.meeting_updated")),
        ["4"],
        "case 24: who has done it"
    );
    assert_eq!(of("&unrouted=true"), ["3", "5"], "case 24: nobody");
    // It can be given to somebody later, and is sent then.
    let app = App::start();
    hooks.subscribe(&app, "zoom.new_meeting", &json!({"user": "u_1"}));
    let stray = text(&hooks.events("&unrouted=true")[0]["id"]).to_owned();
    let routed = hooks.accounts.home.run(&["event", "route", &stray, "-c", &mine]);
    assert_eq!(routed.code, 0, "{}", routed.stderr);
    app.provider.is_asked(1);
    assert_eq!(app.events()[0]["id"], stray.as_str());
    let again = hooks.accounts.home.run(&["event", "route", &stray, "-c", &theirs]);
    assert_eq!(again.code, 1, "{}", again.stderr);
    // What is not theirs is not there for users.
    let token = hooks.accounts.home.run(&["token", "create", "--user", "u_2"]).stdout.trim().to_owned();
    let bearer = format!("Bearer {token}");
    let ask = |path: &str| {
        http("GET", &format!("{}{path}", hooks.accounts.url()), &[("authorization", &bearer)], "")
    };
    let seen = ask("/v1/events?limit=200").json();
    assert!(seen["items"].as_array().unwrap().iter().all(|event| event["user"] == "u_2"), "{seen}");
    assert_eq!(ask(&format!("/v1/events/{stray}")).status, 404);
    assert_eq!(ask("/v1/events?unrouted=true").status, 403);
}

#[test]
fn what_has_waited_is_made_in_order_and_with_what_was_told_before_it() {
    let hooks = Hooks::zoom();
    let mine = hooks.accounts.connect("u_1", "host@example.com");
    let app = App::start();
    for trigger in ["zoom.new_meeting", "zoom.meeting_updated"] {
        hooks.subscribe(&app, trigger, &json!({"connection": mine}));
    }
    let library = hooks.accounts.home.plugins().join("libzoom.so");
    let aside = hooks.accounts.home.path().join("aside.so");
    std::fs::rename(&library, &aside).unwrap();
    eventually("it is gone", || {
        let (_, list) = hooks.accounts.ask("GET", "/v1/connectors", &Value::Null);
        list["items"][0]["state"] == "missing"
    });
    let body = hooks.created(1, &hooks.person(&mine), &json!({})).to_string();
    assert_eq!(hooks.send(body.as_bytes()).status, 200);
    // Only the first one says whose the meeting is.
    for change in 1..=40 {
        let mut event = hooks.created(1, "", &json!({"host_id": null, "topic": format!("Demo {change}")}));
        event["event"] = json!("meeting.updated");
        (event["payload"]["operator_id"], event["payload"]["time_stamp"]) =
            (json!("a-stranger"), json!(change));
        assert_eq!(hooks.send(event.to_string().as_bytes()).status, 200);
    }
    assert_eq!(hooks.deliveries("&state=waiting").len(), 41);
    std::fs::rename(&aside, &library).unwrap();
    app.provider.is_asked(41);
    let topics: Vec<String> = app
        .events()
        .iter()
        .filter(|event| event["type"] == "zoom.meeting_updated")
        .map(|event| text(&event["data"]["meeting"]["topic"]).to_owned())
        .collect();
    let expected: Vec<String> = (1..=40).map(|change| format!("Demo {change}")).collect();
    assert_eq!(topics, expected);
}

#[test]
fn two_connections_of_one_person_both_get_it() {
    let hooks = Hooks::zoom();
    let one = hooks.accounts.connect("u_1", "host@example.com");
    let other = hooks.accounts.connect("u_2", "host@example.com");
    let person = hooks.person(&one);
    assert_eq!(hooks.send(hooks.created(1, &person, &json!({})).to_string().as_bytes()).status, 200);
    hooks.settle();
    let mut got: Vec<String> = hooks
        .events("&type=zoom.new_meeting")
        .iter()
        .map(|event| text(&event["connection"]).to_owned())
        .collect();
    got.sort();
    let mut both = [one, other];
    both.sort();
    assert_eq!(got, both);
}

#[test]
fn whoever_removes_the_app_is_given_up() {
    let hooks = Hooks::zoom();
    let connection = hooks.accounts.connect("u_1", "host@example.com");
    let theirs = hooks.accounts.connect("u_2", "colleague@example.com");
    hooks.subscribe_at_zoom();
    let app = App::start();
    hooks.subscribe(&app, "connection.state_changed", &json!({"user": "u_1"}));
    hooks.simulator().deauthorize("host@example.com");
    eventually("it is given up", || hooks.accounts.state(&connection).0 == "revoked");
    assert!(hooks.accounts.state(&connection).1.contains("removed the app at Zoom"));
    assert_eq!(hooks.accounts.state(&theirs).0, "valid");
    let sealed: i64 = hooks
        .accounts
        .database()
        .query_row(
            "SELECT count(*) FROM connections WHERE id = ?1 AND sealed IS NOT NULL",
            [&connection],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(sealed, 0, "its tokens are wiped");
    app.provider.is_asked(1);
    let event = &app.events()[0];
    assert_eq!(
        (&event["type"], &event["data"]["state"]),
        (&json!("connection.state_changed"), &json!("revoked"))
    );
}

#[test]
fn case_55_an_old_farewell_takes_nothing_that_was_given_since() {
    let hooks = Hooks::zoom();
    let before = hooks.accounts.connect("u_1", "host@example.com");
    hooks.subscribe_at_zoom();
    hooks.simulator().deauthorize("host@example.com");
    eventually("it is given up", || hooks.accounts.state(&before).0 == "revoked");
    let after = hooks.accounts.connect("u_1", "host@example.com");
    assert_eq!(hooks.accounts.state(&after).0, "valid");
    let (status, again) = hooks.accounts.ask("POST", "/v1/deliveries/replay", &json!({"state": "done"}));
    assert_eq!((status, &again["again"]), (200, &json!(1)));
    hooks.settle();
    assert_eq!(hooks.accounts.state(&after).0, "valid");
}

#[test]
fn a_farewell_counts_by_when_it_was_said_however_late_it_comes() {
    let hooks = Hooks::zoom();
    let connection = hooks.accounts.connect("u_1", "host@example.com");
    hooks.subscribe_at_zoom();
    // One that is held up on its way until the user is back.
    hooks.simulator().hold();
    hooks.simulator().deauthorize("host@example.com");
    assert_eq!(hooks.accounts.connect("u_1", "host@example.com"), connection);
    hooks.simulator().release_all();
    eventually("it has come", || hooks.deliveries("&state=done").len() == 1);
    assert_eq!(hooks.accounts.state(&connection).0, "valid");
    assert_eq!(hooks.accounts.read(&connection).0, 200, "and it works");
    // One that is looked at late, when the tokens were renewed meanwhile, as far as is known here.
    let library = hooks.accounts.home.plugins().join("libzoom.so");
    let aside = hooks.accounts.home.path().join("aside.so");
    std::fs::rename(&library, &aside).unwrap();
    eventually("its connector is gone", || {
        let (_, list) = hooks.accounts.ask("GET", "/v1/connectors", &Value::Null);
        list["items"][0]["state"] == "missing"
    });
    hooks.simulator().deauthorize("host@example.com");
    eventually("it is put off", || {
        hooks.deliveries("&state=waiting").iter().any(|one| one["reason"].is_string())
    });
    let renewed = "UPDATE connections SET refreshed = refreshed + 3600000";
    assert_eq!(hooks.accounts.database().execute(renewed, []), Ok(1));
    std::fs::rename(&aside, &library).unwrap();
    eventually("it is given up", || hooks.accounts.state(&connection).0 == "revoked");
}

#[test]
fn what_lies_on_the_shelf_is_given_to_whoever_connects() {
    let hooks = Hooks::zoom();
    let first = hooks.accounts.connect("u_1", "host@example.com");
    let person = hooks.person(&first);
    let (status, _) = hooks.accounts.ask("DELETE", &format!("/v1/connections/{first}"), &Value::Null);
    assert_eq!(status, 200);
    for (id, host) in [(1, &*person), (2, &person), (3, &person), (4, "a-stranger")] {
        assert_eq!(hooks.send(hooks.created(id, host, &json!({})).to_string().as_bytes()).status, 200);
    }
    hooks.settle();
    let stray = |query: &str| -> Vec<String> {
        let id = |event: &Value| text(&event["data"]["meeting"]["id"]).to_owned();
        hooks.events(&format!("&type=zoom.new_meeting{query}")).iter().map(id).collect()
    };
    assert_eq!(stray("&unrouted=true"), ["1", "2", "3", "4"]);
    // One was received an hour ago, and one before anything that is still kept.
    for (id, hours) in [(1, 1), (2, 24 * 31)] {
        let sql = "UPDATE events SET head = json_set(head, '$.at', strftime('%Y-%m-%dT%H:%M:%SZ', 'now', ?2))
            WHERE head ->> '$.data.meeting.id' = ?1";
        let parameters = [id.to_string(), format!("-{hours} hours")];
        assert_eq!(hooks.accounts.database().execute(sql, parameters), Ok(1));
    }
    let app = App::start();
    hooks.subscribe(&app, "zoom.new_meeting", &json!({"user": "u_1"}));
    let connection = hooks.accounts.connect("u_1", "host@example.com");
    assert_eq!(stray(&format!("&connection={connection}")), ["1", "3"]);
    assert_eq!(stray("&unrouted=true"), ["2", "4"]);
    // Only what came with the connection is sent of itself; the rest can be.
    app.provider.is_asked(1);
    let old = hooks.events(&format!("&type=zoom.new_meeting&connection={connection}"))[0]["id"].clone();
    let run = |args: &[&str]| hooks.accounts.home.run(args);
    let replayed = run(&["event", "replay", text(&old)]);
    assert!(replayed.stderr.contains("1 event is sent again"), "{}", replayed.stderr);
    app.provider.is_asked(2);
    let meetings: Vec<String> =
        app.events().iter().map(|event| text(&event["data"]["meeting"]["id"]).to_owned()).collect();
    assert_eq!(meetings, ["3", "1"]);
}

#[test]
fn what_names_a_user_who_is_erased_is_erased_from_the_shelf_too() {
    let hooks = Hooks::zoom();
    let mine = hooks.accounts.connect("u_1", "host@example.com");
    let theirs = hooks.accounts.connect("u_2", "colleague@example.com");
    let (me, them) = (hooks.person(&mine), hooks.person(&theirs));
    let unknown = |operator: &str| json!({"event": "meeting.exploded", "event_ts": 1, "payload": {"operator_id": operator, "object": {}}});
    let sent = [
        // Mine: nothing knows what it is, it is about somebody else's meeting, or it only has my address.
        unknown(&me),
        hooks.created(1, "a-stranger", &json!({"agenda": me})),
        hooks.created(2, "a-stranger", &json!({"agenda": "host@example.com"})),
        hooks.created(3, &me, &json!({})),
        // Not mine: nobody's, one that only begins like mine, and one that somebody else has.
        unknown("a-stranger"),
        unknown(&format!("{me}x")),
        hooks.created(4, &them, &json!({"agenda": me})),
    ];
    for event in &sent {
        assert_eq!(hooks.send(event.to_string().as_bytes()).status, 200);
    }
    hooks.settle();
    let kept: Vec<Value> = hooks.deliveries("").iter().rev().map(|one| one["id"].clone()).collect();
    assert_eq!(kept.len(), sent.len());
    let (status, erased) = hooks.accounts.ask("DELETE", "/v1/users/u_1", &Value::Null);
    assert_eq!(status, 200, "{erased}");
    let left: Vec<Value> = hooks.deliveries("").iter().rev().map(|one| one["id"].clone()).collect();
    assert_eq!(left, kept[4..]);
    assert!(hooks.events("&unrouted=true").is_empty());
    assert_eq!(hooks.events("&type=zoom.new_meeting").len(), 1);
    let named: i64 = hooks
        .accounts
        .database()
        .query_row("SELECT count(*) FROM owners WHERE person = ?1", [&me], |row| row.get(0))
        .unwrap();
    assert_eq!(named, 0);
}

#[test]
fn a_filter_and_a_pause_are_kept_to() {
    let hooks = Hooks::zoom();
    let connection = hooks.accounts.connect("u_1", "host@example.com");
    let person = hooks.person(&connection);
    let app = App::start();
    let filter = json!({"all": [
        {"field": "meeting.topic", "operator": "contains", "value": "demo"},
        {"any": [{"field": "meeting.duration", "operator": "at_least", "value": 30}]},
    ]});
    let made = hooks.subscribe(&app, "zoom.new_meeting", &json!({"filter": filter}));
    let send = |id: u64, more: &Value| {
        assert_eq!(hooks.send(hooks.created(id, &person, more).to_string().as_bytes()).status, 200);
    };
    send(1, &json!({"topic": "Lunch"}));
    send(2, &json!({"topic": "A demo", "duration": 10}));
    send(3, &json!({"topic": "A Demo"}));
    app.provider.is_asked(1);
    hooks.settle();
    let id = text(&made["id"]);
    let run = |args: &[&str]| {
        let outcome = hooks.accounts.home.run(args);
        assert_eq!(outcome.code, 0, "{}", outcome.stderr);
        outcome
    };
    run(&["subscription", "pause", id]);
    send(4, &json!({"topic": "A demo later"}));
    hooks.settle();
    run(&["subscription", "resume", id]);
    app.provider.is_asked(2);
    let meetings: Vec<String> =
        app.events().iter().map(|event| text(&event["data"]["meeting"]["id"]).to_owned()).collect();
    assert_eq!(meetings, ["3", "4"], "what came during a pause is sent after it");
    run(&["subscription", "remove", id, "--yes"]);
    send(5, &json!({"topic": "A demo too late"}));
    hooks.settle();
    assert_eq!(hooks.events("&type=zoom.new_meeting").len(), 5, "events are kept whoever subscribes");
    assert_eq!(app.events().len(), 2);
    // What cannot be right is said when it is saved.
    let wish = json!({
        "trigger": "zoom.new_meeting", "url": "http://10.0.0.1/hook",
        "filter": {"field": "meeting.topik", "operator": "equals", "value": "x"},
    });
    let (status, refused) = hooks.accounts.ask("POST", "/v1/subscriptions", &wish);
    assert_eq!(status, 422, "{refused}");
    let problems = refused["problems"].to_string();
    assert!(problems.contains("did you mean `meeting.topic`?") && problems.contains("/url"), "{problems}");
}

#[test]
fn fault_19_what_fails_is_tried_again_and_keeps_nobody_else_waiting() {
    let hooks = Hooks::zoom();
    let connection = hooks.accounts.connect("u_1", "host@example.com");
    let person = hooks.person(&connection);
    let (fails, well) = (App::start(), App::start());
    // In turn: an answer that is to be tried again, a connection that breaks off, one that is told when, and then it is well.
    fails.answers(reply(500, &[], ""));
    fails.answers(vec![Act::Reset]);
    fails.answers(reply(429, &[("retry-after", "2")], ""));
    let made = hooks.subscribe(&fails, "zoom.new_meeting", &json!({}));
    hooks.subscribe(&well, "zoom.new_meeting", &json!({}));
    assert_eq!(hooks.send(hooks.created(1, &person, &json!({})).to_string().as_bytes()).status, 200);
    well.provider.is_asked(1);
    fails.provider.is_asked(4);
    let ids: Vec<Value> = fails.events().iter().map(|event| event["id"].clone()).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "the same event under the same id: {ids:?}");
    eventually("it is done", || {
        let path = format!("/v1/dispatches?subscription={}", text(&made["id"]));
        let (_, sent) = hooks.accounts.ask("GET", &path, &Value::Null);
        sent["items"][0]["state"] == "done" && sent["items"][0]["attempts"] == 4
    });
}

#[test]
fn fault_28_apps_that_do_not_answer_leave_room_for_those_that_do() {
    let hooks = Hooks::zoom();
    let connection = hooks.accounts.connect("u_1", "host@example.com");
    let person = hooks.person(&connection);
    let gate = Arc::new(RwLock::new(()));
    let kept = gate.write().unwrap();
    let hangs = || {
        let gate = gate.clone();
        App::with(move |_| {
            drop(gate.read());
            reply(204, &[], "")
        })
    };
    // One that many subscriptions lead to, many with one each, and then one that is well.
    let (many, well) = (hangs(), App::start());
    let others: Vec<App> = (0..16).map(|_| hangs()).collect();
    for app in [&many, &many, &many].into_iter().chain(&others).chain([&well]) {
        hooks.subscribe(app, "zoom.new_meeting", &json!({}));
    }
    for id in 1..=8 {
        assert_eq!(hooks.send(hooks.created(id, &person, &json!({})).to_string().as_bytes()).status, 200);
    }
    eventually("all that is for it has come to the one that is well", || well.events().len() == 8);
    let (_, sent) = hooks.accounts.ask("GET", "/v1/dispatches?limit=200", &Value::Null);
    let sent = sent["items"].as_array().unwrap().clone();
    assert_eq!(sent.len(), 8 * 20);
    let gone = |one: &Value| one["attempts"] != 0 && one["state"] != "done";
    assert!(!sent.iter().any(gone), "nothing had to be given up for that");
    assert!(many.events().len() <= 16, "one endpoint has its places: {}", many.events().len());
    drop(kept);
    eventually("everything is done", || {
        let (_, sent) = hooks.accounts.ask("GET", "/v1/dispatches?limit=200&state=done", &Value::Null);
        sent["items"].as_array().unwrap().len() == 8 * 20
    });
}

#[test]
fn fault_27_a_clock_that_was_set_back_holds_neither_deliveries_nor_dispatches_up() {
    let mut hooks = Hooks::zoom();
    let connection = hooks.accounts.connect("u_1", "host@example.com");
    let person = hooks.person(&connection);
    let app = App::start();
    app.answers(reply(429, &[("retry-after", "600")], ""));
    hooks.subscribe(&app, "zoom.new_meeting", &json!({}));
    assert_eq!(hooks.send(hooks.created(1, &person, &json!({})).to_string().as_bytes()).status, 200);
    eventually("it is to be sent again later", || {
        let (_, sent) = hooks.accounts.ask("GET", "/v1/dispatches?state=waiting", &Value::Null);
        sent["items"][0]["attempts"] == 1
    });
    let library = hooks.accounts.home.plugins().join("libzoom.so");
    let aside = hooks.accounts.home.path().join("aside.so");
    std::fs::rename(&library, &aside).unwrap();
    eventually("its connector is gone", || {
        let (_, list) = hooks.accounts.ask("GET", "/v1/connectors", &Value::Null);
        list["items"][0]["state"] == "missing"
    });
    assert_eq!(hooks.send(hooks.created(2, &person, &json!({})).to_string().as_bytes()).status, 200);
    eventually("it was put off", || hooks.deliveries("&state=waiting")[0]["reason"].is_string());
    hooks.accounts.end();
    std::fs::rename(&aside, &library).unwrap();
    // To whoever is asked when they are due, this is a day's way back.
    for table in ["dispatches", "deliveries"] {
        let back = format!("UPDATE {table} SET due = due + 86400000 WHERE state = 'waiting'");
        assert_eq!(hooks.accounts.database().execute(&back, []), Ok(1), "{table}");
    }
    hooks.accounts.serve();
    app.provider.is_asked(3);
    let mut meetings: Vec<String> =
        app.events().iter().map(|event| text(&event["data"]["meeting"]["id"]).to_owned()).collect();
    meetings.sort();
    assert_eq!(meetings, ["1", "1", "2"]);
}

#[test]
fn fault_29_a_redirect_is_a_failure_and_what_was_refused_can_be_sent_again() {
    let hooks = Hooks::zoom();
    let connection = hooks.accounts.connect("u_1", "host@example.com");
    let person = hooks.person(&connection);
    let (app, elsewhere) = (App::start(), App::start());
    app.answers(reply(302, &[("location", &elsewhere.provider.url())], ""));
    app.answers(reply(400, &[], ""));
    hooks.subscribe(&app, "zoom.new_meeting", &json!({}));
    for id in [1, 2] {
        assert_eq!(hooks.send(hooks.created(id, &person, &json!({})).to_string().as_bytes()).status, 200);
        app.provider.is_asked(usize::try_from(id).unwrap());
    }
    let dead = || {
        let (_, sent) = hooks.accounts.ask("GET", "/v1/dispatches?state=dead", &Value::Null);
        sent["items"].as_array().unwrap().clone()
    };
    eventually("both lie on the shelf", || dead().len() == 2);
    assert!(elsewhere.events().is_empty(), "nobody was told elsewhere");
    assert!(text(&dead()[0]["reason"]).contains("status 400"), "{:?}", dead());
    // Fault 23: the same ids.
    let before: Vec<Value> = app.events().iter().map(|event| event["id"].clone()).collect();
    let replayed = hooks.accounts.home.run(&["event", "replay", "--state", "dead"]);
    assert!(replayed.stderr.contains("2 events are sent again"), "{}", replayed.stderr);
    app.provider.is_asked(4);
    let mut after: Vec<Value> = app.events()[2..].iter().map(|event| event["id"].clone()).collect();
    after.sort_by_key(ToString::to_string);
    let mut before = before;
    before.sort_by_key(ToString::to_string);
    assert_eq!(after, before);
    eventually("the shelf is empty", || dead().is_empty());
}

#[test]
fn fault_02_what_was_acknowledged_survives_a_kill_and_is_made_once() {
    let mut hooks = Hooks::zoom();
    let connection = hooks.accounts.connect("u_1", "host@example.com");
    let person = hooks.person(&connection);
    let app = App::start();
    hooks.subscribe(&app, "zoom.new_meeting", &json!({}));
    let bodies: Vec<String> = (1..=20).map(|id| hooks.created(id, &person, &json!({})).to_string()).collect();
    for body in &bodies {
        assert_eq!(hooks.send(body.as_bytes()).status, 200);
    }
    hooks.accounts.kill();
    hooks.accounts.serve();
    // Zoom has not seen every answer, and sends them again.
    for body in &bodies {
        assert_eq!(hooks.send(body.as_bytes()).status, 200);
    }
    hooks.settle();
    assert_eq!(hooks.deliveries("").len(), 20);
    assert_eq!(hooks.events("&type=zoom.new_meeting").len(), 20);
    eventually("the app has all of them", || {
        let mut ids: Vec<String> = app.events().iter().map(|event| event["id"].to_string()).collect();
        ids.sort();
        ids.dedup();
        ids.len() == 20
    });
}

#[test]
fn fault_94_a_store_that_somebody_keeps_has_deliveries_sent_again_and_handshakes_answered() {
    let hooks = Hooks::zoom();
    let database = hooks.accounts.database();
    database.execute_batch("BEGIN IMMEDIATE").unwrap();
    let begun = std::time::Instant::now();
    let handshake =
        json!({"event": "endpoint.url_validation", "event_ts": 1, "payload": {"plainToken": "plain"}});
    let answer = hooks.send(handshake.to_string().as_bytes());
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["plainToken"], "plain");
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    let body = hooks.created(1, "somebody", &json!({})).to_string();
    let answer = hooks.send(body.as_bytes());
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert!(answer.header("retry-after").is_some());
    database.execute_batch("ROLLBACK").unwrap();
    assert_eq!(hooks.send(body.as_bytes()).status, 200);
    assert_eq!(hooks.deliveries("").len(), 1);
}

#[test]
fn a_terminal_listens_and_passes_on() {
    let hooks = Hooks::zoom();
    let connection = hooks.accounts.connect("u_1", "host@example.com");
    let person = hooks.person(&connection);
    let app = App::start();
    let url = format!("{}/hook", app.provider.url());
    let args = [
        "trigger",
        "listen",
        "zoom.new_meeting",
        "--forward-to",
        &url,
        "--count",
        "2",
        "--where",
        "meeting.topic != Lunch",
    ];
    let listening = hooks.accounts.home.start(&args, "");
    listening.says("listening for zoom.new_meeting");
    for (id, topic) in [(1, "Demo"), (2, "Lunch"), (3, "Demo")] {
        let body = hooks.created(id, &person, &json!({"topic": topic})).to_string();
        assert_eq!(hooks.send(body.as_bytes()).status, 200);
    }
    let outcome = listening.ends();
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    let printed: Vec<Value> =
        outcome.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let meetings: Vec<&str> = printed.iter().map(|event| text(&event["data"]["meeting"]["id"])).collect();
    assert_eq!(meetings, ["1", "3"]);
    assert_eq!(app.events().len(), 2);
    let secret = outcome.stderr.split("signed with ").nth(1).unwrap().split_whitespace().next().unwrap();
    assert!(app.provider.requests().iter().all(|request| is_signed(request, secret)));
    assert!(outcome.stderr.contains("providers cannot reach http://localhost"), "{}", outcome.stderr);
}

#[test]
fn a_sample_goes_the_whole_way_without_the_provider() {
    let hooks = Hooks::zoom();
    let connection = hooks.accounts.connect("u_1", "host@example.com");
    let app = App::start();
    let (status, list) = hooks.accounts.ask("GET", "/v1/triggers?connector=zoom", &Value::Null);
    assert_eq!(status, 200, "{list}");
    let names: Vec<String> =
        list["items"].as_array().unwrap().iter().map(|one| text(&one["name"]).to_owned()).collect();
    assert_eq!(names.len(), 9);
    for name in &names {
        hooks.subscribe(&app, name, &json!({}));
        // Twice: each is another event.
        for _ in 0..2 {
            let fired = hooks.accounts.home.run(&["trigger", "fire", name, "-o", "json"]);
            assert_eq!(fired.code, 0, "{name}: {}", fired.stderr);
            let fired = fired.json();
            assert_eq!(fired["delivery"]["state"], "done", "{fired}");
            assert_eq!(fired["events"][0]["connection"], connection.as_str(), "{fired}");
        }
    }
    app.provider.is_asked(18);
    let mut types = app.types();
    types.sort();
    types.dedup();
    assert_eq!(types.len(), 9);
    let set = ["trigger", "fire", "zoom.new_recording", "--set", "payload.object.topic=Lunch", "-o", "json"];
    let fired = hooks.accounts.home.run(&set).json();
    assert_eq!(fired["events"][0]["data"]["recording"]["topic"], "Lunch", "{fired}");
    let nowhere = hooks.accounts.home.run(&[
        "trigger",
        "fire",
        "zoom.new_recording",
        "--set",
        "payload.objekt.topic=x",
    ]);
    assert_eq!(nowhere.code, 2, "{}", nowhere.stderr);
    let nothing = hooks.accounts.home.run(&["trigger", "fire", "zoom.new_recordin"]);
    assert!(nothing.stderr.contains("did you mean `zoom.new_recording`?"), "{}", nothing.stderr);
}
