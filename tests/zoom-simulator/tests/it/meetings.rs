//! Creating, reading, updating and deleting meetings: defaults, and what Zoom does without saying so.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::client::{COLLEAGUE, HOST, MINUTES_PER_DAY, Sim, UNLICENSED, minutes_from_now, path_of};

#[tokio::test]
async fn a_scheduled_meeting_from_beginning_to_end() {
    let sim = Sim::start().await;
    let created = sim
        .create(json!({
            "topic": "Wöchentlich ☕ 定例", "agenda": "a\nb", "start_time": "2099-07-01T10:00:00",
            "timezone": "America/New_York", "duration": 45, "password": "q7!K",
            "tracking_fields": [{"field": "Department", "value": "Sales"}],
            "settings": {"mute_upon_entry": true, "meeting_invitees": [{"email": "a@example.com"}]},
        }))
        .await;
    assert_eq!(created["type"], 2);
    assert_eq!(created["status"], "waiting");
    assert_eq!(created["host_id"], HOST);
    assert_eq!(created["host_email"], "host@example.com");
    assert_eq!(created["start_time"], "2099-07-01T14:00:00Z");
    assert_eq!(created["timezone"], "America/New_York");
    assert_eq!(created["duration"], 45);
    assert_eq!(created["password"], "q7!K");
    assert_eq!(
        created["tracking_fields"],
        json!([{"field": "Department", "value": "Sales", "visible": true}])
    );
    assert_eq!(created["settings"]["mute_upon_entry"], true);
    assert_eq!(created["creation_source"], "open_api");
    let digits = created["id"].to_string().len();
    assert!((10..=11).contains(&digits), "{created}");
    assert!(created["start_url"].as_str().is_some_and(|url| url.contains("?zak=")), "{created}");
    assert!(created["join_url"].as_str().is_some_and(|url| url.contains("?pwd=")), "{created}");

    let path = path_of(&created);
    let read = sim.get(&path).await.expect(200).json();
    for name in ["uuid", "id", "topic", "agenda", "start_time", "join_url", "password", "created_at"] {
        assert_eq!(read[name], created[name], "{name}");
    }
    // The host's token in it is another each time.
    assert_ne!(read["start_url"], created["start_url"]);

    sim.patch(&path, json!({"topic": "Moved", "start_time": "2099-07-02T00:00:00Z"})).await.expect_done();
    let read = sim.get(&path).await.expect(200).json();
    assert_eq!((&read["topic"], &read["start_time"]), (&json!("Moved"), &json!("2099-07-02T00:00:00Z")));
    assert_eq!(read["agenda"], "a\nb");

    sim.delete(&path).await.expect_done();
    let gone = sim.get(&path).await.expect_error(404, 3001);
    assert_eq!(gone.message(), format!("Meeting does not exist: {}.", created["id"]));
    sim.delete(&path).await.expect_error(404, 3001);
    sim.patch(&path, json!({})).await.expect_error(404, 3001);
}

#[tokio::test]
async fn defaults() {
    let sim = Sim::start().await;
    let meeting = sim.create(json!({"start_time": "2099-01-31T09:00:00Z"})).await;
    assert_eq!(meeting["topic"], "Zoom Meeting");
    assert_eq!(meeting["duration"], 60);
    assert_eq!(meeting["timezone"], "Europe/Berlin");
    assert_eq!(meeting["pre_schedule"], false);
    for absent in
        ["agenda", "assistant_id", "occurrences", "pmi", "recurrence", "registration_url", "tracking_fields"]
    {
        assert_eq!(meeting.get(absent), None, "{absent}");
    }
    for (name, expected) in [
        ("approval_type", json!(2)),
        ("registration_type", json!(1)),
        ("join_before_host", json!(false)),
        ("mute_upon_entry", json!(false)),
        ("use_pmi", json!(false)),
        ("audio", json!("both")),
        ("auto_recording", json!("none")),
        ("push_change_to_calendar", json!(false)),
        ("alternative_hosts_email_notification", json!(true)),
    ] {
        assert_eq!(meeting["settings"][name], expected, "{name}");
    }
    // Which was for the creation only.
    let read = sim.get(&path_of(&meeting)).await.expect(200).json();
    assert_eq!(read["settings"].get("push_change_to_calendar"), None);
}

#[tokio::test]
async fn passcodes() {
    let sim = Sim::start().await;
    let made_up = sim.create(json!({})).await;
    assert_eq!(made_up["password"].as_str().map(str::len), Some(8));
    let none = sim.create(json!({"default_password": false})).await;
    for name in ["password", "h323_password", "pstn_password", "encrypted_password"] {
        assert!(made_up.get(name).is_some() && none.get(name).is_none(), "{name}");
    }
    assert!(!none["join_url"].as_str().expect("an address").contains("pwd"));
    let own = sim.create(json!({"default_password": false, "password": "12345"})).await;
    assert_eq!((&own["password"], &own["pstn_password"]), (&json!("12345"), &json!("12345")));
    // An update can change it, and take it away.
    let path = path_of(&own);
    sim.patch(&path, json!({"password": "a@-_*Z9"})).await.expect_done();
    assert_eq!(sim.get(&path).await.json()["password"], "a@-_*Z9");
    sim.patch(&path, json!({"password": ""})).await.expect_done();
    assert_eq!(sim.get(&path).await.json().get("password"), None);
}

#[tokio::test]
async fn types_without_a_start() {
    let sim = Sim::start().await;
    // A scheduled meeting without a start becomes an instant one; so does one whose start is null.
    for body in [json!({"type": 2}), json!({}), json!({"type": 2, "start_time": null}), json!({"type": 1})] {
        let meeting = sim.create(body).await;
        assert_eq!(meeting["type"], 1);
        assert_eq!(meeting.get("start_time"), None);
    }
    // A start is not looked at where it has no meaning.
    for kind in [1, 3, 10] {
        let meeting = sim.create(json!({"type": kind, "start_time": "2099-01-01T00:00:00Z"})).await;
        assert_eq!(meeting["type"], kind);
        assert_eq!(meeting.get("start_time"), None);
    }
    // Nor is a recurrence.
    let meeting = sim.create(json!({"type": 3, "recurrence": {"type": 99}})).await;
    assert_eq!(meeting.get("recurrence"), None);
}

#[tokio::test]
async fn a_start_may_be_in_the_past_when_a_meeting_is_created_and_not_later() {
    let sim = Sim::start().await;
    let yesterday = minutes_from_now(-MINUTES_PER_DAY);
    let meeting = sim.create(json!({"start_time": yesterday})).await;
    assert_eq!(meeting["start_time"], yesterday);
    let path = path_of(&meeting);
    let (past, future) = (minutes_from_now(-60), minutes_from_now(60));
    sim.patch(&path, json!({"start_time": past, "topic": "Changed"})).await.expect_done();
    assert_eq!(sim.explanation().await, "start_time: ignored, it is in the past");
    let read = sim.get(&path).await.expect(200).json();
    assert_eq!((&read["start_time"], &read["topic"]), (&json!(yesterday), &json!("Changed")));
    sim.patch(&path, json!({"start_time": future})).await.expect_done();
    assert_eq!(sim.get(&path).await.json()["start_time"], future);
}

#[tokio::test]
async fn updates_that_say_nothing_or_little() {
    let sim = Sim::start().await;
    let meeting = sim
        .create(json!({
            "topic": "Same", "start_time": "2099-01-01T00:00:00Z",
            "settings": {"auto_recording": "cloud", "mute_upon_entry": true},
        }))
        .await;
    let path = path_of(&meeting);
    let before = sim.get(&path).await.json();
    let without_url = |mut meeting: Value| {
        meeting["start_url"].take();
        meeting
    };
    let unchanged = without_url(before);
    for body in [
        json!({}),
        json!({"settings": {}}),
        json!({"topic": null}),
        json!({"unknown": 1, "settings": {"x": 1}}),
    ] {
        sim.patch(&path, body).await.expect_done();
        assert_eq!(without_url(sim.get(&path).await.json()), unchanged);
    }
    // What is not named stays.
    sim.patch(&path, json!({"settings": {"host_video": true}})).await.expect_done();
    let settings = sim.get(&path).await.json()["settings"].clone();
    assert_eq!(settings["host_video"], true);
    assert_eq!((&settings["auto_recording"], &settings["mute_upon_entry"]), (&json!("cloud"), &json!(true)));
    // An unknown way of recording is stored as none.
    sim.patch(&path, json!({"settings": {"auto_recording": "everything"}})).await.expect_done();
    assert_eq!(sim.get(&path).await.json()["settings"]["auto_recording"], "none");
    // A waiting room and joining early exclude each other.
    let both = json!({"settings": {"join_before_host": true, "jbh_time": 5, "waiting_room": true}});
    sim.patch(&path, both).await.expect_done();
    let settings = sim.get(&path).await.json()["settings"].clone();
    assert_eq!((&settings["waiting_room"], &settings["join_before_host"]), (&json!(true), &json!(false)));
}

#[tokio::test]
async fn settings_that_only_one_call_knows() {
    let sim = Sim::start().await;
    let meeting = sim.create(json!({"settings": {"custom_keys": [{"key": "a", "value": "b"}]}})).await;
    assert_eq!(meeting["settings"].get("custom_keys"), None);
    let path = path_of(&meeting);
    sim.patch(&path, json!({"settings": {"custom_keys": [{"key": "a", "value": "b"}]}})).await.expect_done();
    assert_eq!(sim.get(&path).await.json()["settings"]["custom_keys"], json!([{"key": "a", "value": "b"}]));
}

#[tokio::test]
async fn a_type_can_change() {
    let sim = Sim::start().await;
    let meeting = sim.create(json!({"start_time": "2099-01-01T00:00:00Z"})).await;
    let path = path_of(&meeting);
    let refused = sim.patch(&path, json!({"type": 8})).await.expect_error(400, 300);
    assert_eq!(refused.fields(), ["recurrence"]);
    sim.patch(&path, json!({"type": 8, "recurrence": {"type": 1, "end_times": 2}})).await.expect_done();
    let read = sim.get(&path).await.json();
    assert_eq!((&read["type"], read["occurrences"].as_array().map(Vec::len)), (&json!(8), Some(2)));
    sim.patch(&path, json!({"type": 2})).await.expect_done();
    let read = sim.get(&path).await.json();
    assert_eq!((&read["type"], read.get("recurrence"), read.get("occurrences")), (&json!(2), None, None));
    assert_eq!(read["start_time"], "2099-01-01T00:00:00Z");
    sim.patch(&path, json!({"type": 3})).await.expect_done();
    assert_eq!(sim.get(&path).await.json().get("start_time"), None);
    let refused = sim.patch(&path, json!({"type": 2})).await.expect_error(400, 300);
    assert_eq!(refused.fields(), ["start_time"]);
}

#[tokio::test]
async fn the_personal_meeting_room() {
    let sim = Sim::start().await;
    let pmi = sim.get("/v2/users/me").await.json()["pmi"].clone();
    let path = format!("/v2/meetings/{pmi}");
    let room = sim.get(&path).await.expect(200).json();
    assert_eq!((&room["type"], &room["id"]), (&json!(4), &pmi));
    sim.delete(&path).await.expect_error(400, 3018);
    // It can be changed, but not into something else.
    sim.patch(&path, json!({"topic": "My room", "type": 2})).await.expect_done();
    let room = sim.get(&path).await.json();
    assert_eq!((&room["type"], &room["topic"]), (&json!(4), &json!("My room")));
    // A meeting may take place in it, under a number of its own.
    let there = json!({"start_time": "2099-01-01T00:00:00Z", "settings": {"use_pmi": true}});
    let meeting = sim.create(there).await;
    assert_eq!(meeting["pmi"], pmi.to_string());
    assert_ne!(meeting["id"], pmi);
    assert!(meeting["join_url"].as_str().is_some_and(|url| url.contains(&pmi.to_string())));
    sim.delete(&path_of(&meeting)).await.expect_done();
    // But no series.
    let series = json!({
        "type": 8, "start_time": "2099-01-01T00:00:00Z", "recurrence": {"type": 1}, "settings": {"use_pmi": true},
    });
    let meeting = sim.create(series).await;
    assert_eq!((meeting.get("pmi"), &meeting["settings"]["use_pmi"]), (None, &json!(false)));
}

#[tokio::test]
async fn a_webinar_is_no_meeting() {
    let sim = Sim::start().await;
    let registrants = "/v2/meetings/95000000001/registrants";
    for (method, path) in [
        ("GET", "/v2/meetings/95000000001"),
        ("PATCH", "/v2/meetings/95000000001"),
        ("DELETE", "/v2/meetings/95000000001"),
        ("GET", registrants),
        ("POST", registrants),
    ] {
        let body = matches!(method, "PATCH" | "POST").then(|| json!({}));
        sim.call_as(&sim.token, method, path, body).await.expect_error(400, 3000);
    }
}

#[tokio::test]
async fn a_user_without_a_licence_does_not_host() {
    let sim = Sim::start().await;
    let token = sim.token_for(UNLICENSED, None).await;
    let reply = sim.call_as(&token, "POST", "/v2/users/me/meetings", Some(json!({}))).await;
    assert_eq!(
        reply.expect_error(400, 3161).message(),
        "Your user account is not allowed meeting hosting and scheduling capabilities."
    );
    let reply = sim.call_as(&token, "GET", "/v2/users/me/meetings", None).await;
    assert_eq!(
        reply.expect_error(400, 3161).message(),
        "Meeting hosting and scheduling capabilities are not allowed for your user account."
    );
}

#[tokio::test]
async fn scheduling_for_somebody_else() {
    let sim = Sim::start().await;
    let start = "2099-01-01T00:00:00Z";
    for name in ["colleague@example.com", COLLEAGUE] {
        let meeting = sim.create(json!({"start_time": start, "schedule_for": name})).await;
        assert_eq!((&meeting["host_id"], &meeting["assistant_id"]), (&json!(COLLEAGUE), &json!(HOST)));
        // Whoever scheduled it still reaches it.
        sim.get(&path_of(&meeting)).await.expect(200);
    }
    // For oneself is nothing special.
    let meeting = sim.create(json!({"start_time": start, "schedule_for": "host@example.com"})).await;
    assert_eq!((&meeting["host_id"], meeting.get("assistant_id")), (&json!(HOST), None));

    let path = "/v2/users/me/meetings";
    sim.post(path, json!({"type": 1, "schedule_for": COLLEAGUE})).await.expect_error(400, 3000);
    let unknown = sim.post(path, json!({"start_time": start, "schedule_for": "nobody@example.com"})).await;
    assert!(unknown.expect_error(400, 300).message().contains("schedule_for"));
    let refused = sim.post(path, json!({"start_time": start, "schedule_for": "basic@example.com"})).await;
    assert_eq!(
        refused.expect_error(400, 3000).message(),
        "You cannot schedule a meeting for basic@example.com"
    );
    // An update hands a meeting over.
    sim.patch(&path_of(&meeting), json!({"schedule_for": COLLEAGUE})).await.expect_done();
    let read = sim.get(&path_of(&meeting)).await.json();
    assert_eq!((&read["host_id"], &read["assistant_id"]), (&json!(COLLEAGUE), &json!(HOST)));
}

#[tokio::test]
async fn refusals_with_sentences_of_their_own() {
    let sim = Sim::start().await;
    let path = "/v2/users/me/meetings";
    let blocked = json!({"settings": {"meeting_invitees": [{"email": "a@blocked.example"}]}});
    assert!(sim.post(path, blocked).await.expect_error(400, 3000).message().contains("blocked"));
    let early = json!({"type": 1, "pre_schedule": true});
    assert!(sim.post(path, early).await.expect_error(400, 3000).message().contains("Prescheduling"));
    sim.create(json!({"type": 3, "pre_schedule": true})).await;

    let meeting = sim.create(json!({})).await;
    let domains = json!({"settings": {"enforce_login_domains": "a.example,b.example"}});
    let refused = sim.patch(&path_of(&meeting), domains).await.expect_error(400, 300);
    assert_eq!(
        refused.message(),
        "Invalid enforce_login_domains. Separate multiple domains with semicolons."
    );
}

#[tokio::test]
async fn a_meeting_can_be_read_by_its_uuid() {
    let sim = Sim::start().await;
    let (mut slash_first, mut double_slash) = (0, 0);
    for _ in 0..8 {
        let meeting = sim.create(json!({})).await;
        let uuid = meeting["uuid"].as_str().expect("a UUID");
        let once = utf8_percent_encode(uuid, NON_ALPHANUMERIC).to_string();
        let twice = utf8_percent_encode(&once, NON_ALPHANUMERIC).to_string();
        let read = sim.get(&format!("/v2/meetings/{twice}")).await.expect(200).json();
        assert_eq!(read["id"], meeting["id"]);
        let reply = sim.get(&format!("/v2/meetings/{once}")).await;
        slash_first += usize::from(uuid.starts_with('/'));
        double_slash += usize::from(uuid.contains("//"));
        if uuid.starts_with('/') || uuid.contains("//") {
            reply.expect_error(404, 3001);
            assert!(sim.explanation().await.contains("encoded twice"));
        } else {
            reply.expect(200);
        }
        // Other calls want the number.
        sim.delete(&format!("/v2/meetings/{twice}")).await.expect_error(400, 300);
    }
    assert!(slash_first > 0 && double_slash > 0);
}

#[tokio::test]
async fn numbers_that_are_none() {
    let sim = Sim::start().await;
    for name in ["abc", "12a", "926%207439%202836", "-", "99999999999999999999999"] {
        sim.get(&format!("/v2/meetings/{name}")).await.expect_error(400, 300);
    }
    sim.get("/v2/meetings/12345678901").await.expect_error(404, 3001);
}

#[tokio::test]
async fn numbers_expire() {
    let sim = Sim::start().await;
    let day = 24 * 3600;
    let instant = sim.create(json!({"type": 1})).await;
    let tomorrow = sim.create(json!({"start_time": minutes_from_now(MINUTES_PER_DAY)})).await;
    let weekly = sim
        .create(json!({
            "type": 8, "start_time": minutes_from_now(60), "recurrence": {"type": 1, "end_times": 2},
        }))
        .await;
    let statuses = || async {
        let token = sim.token_for(HOST, None).await;
        let mut statuses = Vec::new();
        for meeting in [&instant, &tomorrow, &weekly] {
            statuses.push(sim.call_as(&token, "GET", &path_of(meeting), None).await.status.as_u16());
        }
        statuses
    };
    sim.advance(30 * day - 60).await;
    assert_eq!(statuses().await, [200, 200, 200]);
    sim.advance(60).await;
    assert_eq!(statuses().await, [404, 200, 200]);
    sim.advance(2 * day).await;
    assert_eq!(statuses().await, [404, 404, 200]);
    sim.advance(340 * day).await;
    assert_eq!(statuses().await, [404, 404, 404]);
}

#[tokio::test]
async fn a_meeting_in_progress() {
    let sim = Sim::start().await;
    let meeting = sim.create(json!({})).await;
    let path = path_of(&meeting);
    sim.control("POST", &format!("/meetings/{}/start", meeting["id"]), Value::Null).await;
    assert_eq!(sim.get(&path).await.json()["status"], "started");
    sim.control("POST", &format!("/meetings/{}/end", meeting["id"]), Value::Null).await;
    let ended = sim.get(&path).await.json();
    assert_eq!(ended["status"], "waiting");
    // The next instance is another.
    assert_ne!(ended["uuid"], meeting["uuid"]);
}
