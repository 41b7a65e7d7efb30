//! What Zoom's webhooks are really like, by the numbers of the catalogue of its nasty cases. Cases 1 to 14 are vectors of the
//! webhook grammar, which hold the provider's signatures (`host/tests/webhook_grammar`).

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the message")]

use jackfield_tests::{
    eventually,
    hooks::{App, Hooks, SECRET, now},
};
use serde_json::{Value, json};

#[track_caller]
fn send(hooks: &Hooks, event: &Value) {
    assert_eq!(hooks.send(event.to_string().as_bytes()).status, 200, "{event}");
}

/// An event about a meeting, with what its object has more.
fn event(hooks: &Hooks, name: &str, id: u64, host: &str, more: &Value) -> Value {
    let mut event = hooks.created(id, host, more);
    event["event"] = json!(name);
    event
}

fn visit(hooks: &Hooks, name: &str, host: &str, participant: &Value) -> Value {
    event(hooks, &format!("meeting.participant_{name}"), 1, host, &json!({"participant": participant}))
}

fn recording(hooks: &Hooks, host: &str, file: &Value, token: &str) -> Value {
    let more = json!({
        "duration": 20, "total_size": 1, "recording_count": 1, "share_url": "https://example.com/rec/share/abc",
        "recording_files": [file],
    });
    let mut event = event(hooks, "recording.completed", 1, host, &more);
    event["download_token"] = json!(token);
    event
}

fn file(url: &str, end: &Value) -> Value {
    json!({
        "id": "76820abf", "meeting_id": "uuid1==", "recording_start": "2030-01-31T09:02:10Z", "recording_end": end,
        "file_type": "MP4", "file_size": 360_943_211, "status": "completed", "download_url": url,
        "recording_type": "shared_screen_with_speaker_view",
    })
}

#[test]
fn case_15_an_answer_does_not_wait_for_what_comes_of_a_delivery() {
    let hooks = Hooks::zoom();
    let host = hooks.person(&hooks.accounts.connect("u_1", "host@example.com"));
    // Whoever would make events of it is not there at all.
    let library = hooks.accounts.home.path().join("plugins/libzoom.so");
    let aside = hooks.accounts.home.path().join("libzoom.so");
    std::fs::rename(&library, &aside).unwrap();
    send(&hooks, &hooks.created(1, &host, &json!({})));
    assert_eq!(hooks.deliveries("&state=waiting").len(), 1);
    assert_eq!(hooks.events("&type=zoom.new_meeting").len(), 0);
    std::fs::rename(&aside, &library).unwrap();
    assert_eq!(hooks.accounts.home.run(&["connector", "list"]).code, 0);
    eventually("its event is there", || hooks.events("&type=zoom.new_meeting").len() == 1);
}

#[test]
fn case_16_what_cannot_be_kept_is_not_acknowledged() {
    let hooks = Hooks::zoom();
    let kept = rusqlite::Connection::open(hooks.accounts.home.path().join("data/jackfield.db")).unwrap();
    kept.execute_batch("BEGIN IMMEDIATE").unwrap();
    let body = hooks.created(1, "somebody", &json!({})).to_string();
    let answer = hooks.send(body.as_bytes());
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert!(answer.header("retry-after").is_some());
    kept.execute_batch("ROLLBACK").unwrap();
    eventually("it is taken", || hooks.send(body.as_bytes()).status == 200);
    assert_eq!(hooks.deliveries("").len(), 1, "and is there once");
}

#[test]
fn case_17_the_same_body_with_another_signature_is_the_same_delivery() {
    let hooks = Hooks::zoom();
    let body = hooks.created(1, "somebody", &json!({})).to_string();
    for ago in [290, 0] {
        let answer = hooks.send_signed(body.as_bytes(), SECRET, &(now() - ago).to_string(), &[]);
        assert_eq!(answer.status, 200);
    }
    hooks.settle();
    let deliveries = hooks.deliveries("");
    assert_eq!((deliveries.len(), &deliveries[0]["repeats"]), (1, &json!(1)), "{deliveries:?}");
}

#[test]
fn case_18_a_recording_with_another_address_and_token_is_the_same() {
    let hooks = Hooks::zoom();
    let host = hooks.person(&hooks.accounts.connect("u_1", "host@example.com"));
    let app = App::start();
    hooks.subscribe(&app, "zoom.complete_recording", &json!({}));
    let end = json!("2030-01-31T09:20:31Z");
    for name in ["one", "two"] {
        let file = file(&format!("https://example.com/rec/{name}"), &end);
        send(&hooks, &recording(&hooks, &host, &file, name));
    }
    hooks.settle();
    assert_eq!(hooks.deliveries("").len(), 2);
    app.provider.is_asked(1);
    assert_eq!(hooks.events("&type=zoom.complete_recording").len(), 1);
}

#[test]
fn case_19_who_leaves_and_joins_is_told_in_any_order_with_the_times_of_zoom() {
    let hooks = Hooks::zoom();
    let host = hooks.person(&hooks.accounts.connect("u_1", "host@example.com"));
    let joined = |at: &str, user: &str| {
        visit(&hooks, "joined", &host, &json!({"user_id": user, "user_name": "Jill", "join_time": at}))
    };
    let left = visit(
        &hooks,
        "left",
        &host,
        &json!({"user_id": "1", "user_name": "Jill", "leave_time": "2030-01-31T09:10:00Z"}),
    );
    // Back again, before anybody has said that she had gone.
    send(&hooks, &joined("2030-01-31T09:11:00Z", "2"));
    send(&hooks, &left);
    send(&hooks, &joined("2030-01-31T09:00:00Z", "1"));
    hooks.settle();
    let times = |kind: &str, name: &str| -> Vec<String> {
        let time = |event: &Value| event["data"]["participant"][name].as_str().unwrap().to_owned();
        let mut times: Vec<String> = hooks.events(&format!("&type=zoom.{kind}")).iter().map(time).collect();
        times.sort();
        times
    };
    let both = ["2030-01-31T09:00:00Z", "2030-01-31T09:11:00Z"];
    assert_eq!(times("meeting_participant_joined", "join_time"), both);
    assert_eq!(times("meeting_participant_left", "leave_time"), ["2030-01-31T09:10:00Z"]);
}

#[test]
fn case_20_a_name_that_nobody_knows_is_answered_and_kept() {
    let hooks = Hooks::zoom();
    send(&hooks, &event(&hooks, "meeting.invented_tomorrow", 1, "somebody", &json!({})));
    hooks.settle();
    let deliveries = hooks.deliveries("");
    assert_eq!((deliveries.len(), &deliveries[0]["state"]), (1, &json!("unrouted")), "{deliveries:?}");
    assert_eq!(hooks.events("").len(), 0);
}

#[test]
fn case_21_fields_that_nobody_knows_are_kept() {
    let hooks = Hooks::zoom();
    let host = hooks.person(&hooks.accounts.connect("u_1", "host@example.com"));
    send(
        &hooks,
        &visit(
            &hooks,
            "joined",
            &host,
            &json!({
                "user_id": "1", "user_name": "Jill", "join_time": "2030-01-31T09:00:00Z", "public_ip": "203.0.113.9",
                "some_later": {"field": [1]},
            }),
        ),
    );
    hooks.settle();
    let data = hooks.events("&type=zoom.meeting_participant_joined")[0]["data"]["participant"].clone();
    assert_eq!(data["public_ip"], "203.0.113.9", "{data:#}");
    assert_eq!(data["some_later"], json!({"field": [1]}), "{data:#}");
}

#[test]
fn case_22_a_number_and_a_text_are_one_id() {
    let hooks = Hooks::zoom();
    let host = hooks.person(&hooks.accounts.connect("u_1", "host@example.com"));
    for (uuid, id) in [("a==", json!(92_674_392_836_u64)), ("b==", json!("92674392836"))] {
        send(&hooks, &event(&hooks, "meeting.ended", 1, &host, &json!({"id": id, "uuid": uuid})));
    }
    hooks.settle();
    let ids: Vec<Value> = hooks
        .events("&type=zoom.meeting_ended")
        .iter()
        .map(|event| event["data"]["meeting"]["id"].clone())
        .collect();
    assert_eq!(ids, ["92674392836", "92674392836"]);
}

#[test]
fn case_26_what_zoom_sends_empty_is_not_there() {
    let hooks = Hooks::zoom();
    let host = hooks.person(&hooks.accounts.connect("u_1", "host@example.com"));
    for (token, end) in [("one", json!("")), ("two", Value::Null)] {
        let mut event = recording(&hooks, &host, &file("https://example.com/rec/x", &end), token);
        // Another meeting each time, or it would be the same recording.
        event["payload"]["object"]["uuid"] = json!(format!("{token}=="));
        event["payload"]["object"]["timezone"] = json!("");
        event["payload"]["object"].as_object_mut().unwrap().remove("start_time");
        send(&hooks, &event);
    }
    let guest = json!({
        "user_id": "1", "user_name": "Jill", "id": "", "email": "", "registrant_id": "", "participant_user_id": "",
        "join_time": "2030-01-31T09:00:00Z",
    });
    send(&hooks, &visit(&hooks, "joined", &host, &guest));
    hooks.settle();
    let recordings = hooks.events("&type=zoom.complete_recording");
    assert_eq!(recordings.len(), 2, "{:?}", hooks.deliveries(""));
    for one in recordings {
        assert!(!one["data"].to_string().contains("\"\""), "{:#}", one["data"]);
        assert_eq!(one["incomplete"], Value::Null);
    }
    let participant = &hooks.events("&type=zoom.meeting_participant_joined")[0]["data"]["participant"];
    for name in ["id", "email", "registrant_id", "participant_user_id"] {
        assert_eq!(participant.get(name), None, "{participant:#}");
    }
}

#[test]
fn case_27_what_somebody_calls_themselves_is_text_and_nothing_else() {
    const NAME: &str = "<script>alert(1)</script> {{user}} {{ now }}\u{1b}[31m";
    let hooks = Hooks::zoom();
    let host = hooks.person(&hooks.accounts.connect("u_1", "host@example.com"));
    let app = App::start();
    hooks.subscribe(&app, "zoom.meeting_participant_left", &json!({}));
    let reason = "left the meeting.<br>Reason: {{account}}";
    let gone = json!({
        "user_id": "1", "user_name": NAME, "leave_time": "2030-01-31T09:00:00Z", "leave_reason": reason,
    });
    send(&hooks, &visit(&hooks, "left", &host, &gone));
    app.provider.is_asked(1);
    let participant = app.events()[0]["data"]["participant"].clone();
    assert_eq!((&participant["user_name"], &participant["leave_reason"]), (&json!(NAME), &json!(reason)));
    // Nor does it do anything to the terminal of whoever looks at it.
    let id = hooks.events("&type=zoom.meeting_participant_left")[0]["id"].as_str().unwrap().to_owned();
    let shown = hooks.accounts.home.run(&["event", "show", &id]);
    assert_eq!(shown.code, 0, "{}", shown.stderr);
    assert!(!shown.stdout.contains('\u{1b}'), "{:?}", shown.stdout);
}

#[test]
fn case_54_a_farewell_of_a_stranger_or_twice_or_with_its_time_as_text_is_taken() {
    let hooks = Hooks::zoom();
    let connection = hooks.accounts.connect("u_1", "host@example.com");
    let asked = |path: &str| hooks.accounts.ask("GET", path, &Value::Null).1;
    let account = asked(&format!("/v1/connections/{connection}"))["account"].clone();
    let client = asked("/v1/integrations/zoom")["client_id"].clone();
    let farewell = |user: &str, at: &Value| {
        json!({
            "event": "app_deauthorized", "event_ts": at,
            "payload": {
                "account_id": account, "user_id": user, "signature": "827edc3452044f0bc86bdd5684afb7d1e6becfa1",
                "deauthorization_time": "2030-01-31T09:00:00Z", "client_id": client,
            },
        })
    };
    send(&hooks, &farewell("a-stranger", &json!(1_900_000_000_000_u64)));
    hooks.settle();
    assert_eq!(hooks.accounts.state(&connection).0, "valid");
    let person = hooks.person(&connection);
    for at in [json!("1900000000001"), json!(1_900_000_000_002_u64)] {
        send(&hooks, &farewell(&person, &at));
        hooks.settle();
        assert_eq!(hooks.accounts.state(&connection).0, "revoked");
    }
    assert!(hooks.deliveries("&state=failed").is_empty());
    // Nobody asks for another token.
    let asked = hooks.accounts.home.run(&["connection", "refresh", &connection]);
    assert_ne!(asked.code, 0, "{}", asked.stdout);
}
