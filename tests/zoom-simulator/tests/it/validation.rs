//! What bodies and queries may say. Each case is a body and the fields that are named in the refusal; none means that
//! it is accepted.

use serde_json::{Value, json};

use crate::client::{HOST, Sim, path_of};

/// A string of so many characters, each of two bytes.
fn long(characters: usize) -> String {
    "ä".repeat(characters)
}

fn create_cases() -> Vec<(Value, Vec<&'static str>)> {
    let start = "2099-01-31T10:00:00Z";
    let series = |recurrence: Value| json!({"type": 8, "start_time": start, "recurrence": recurrence});
    vec![
        (json!({"topic": long(200)}), vec![]),
        (json!({"topic": long(201)}), vec!["topic"]),
        (json!({"topic": 5}), vec!["topic"]),
        (json!({"agenda": long(2000)}), vec![]),
        (json!({"agenda": long(2001)}), vec!["agenda"]),
        (json!({"type": 4}), vec!["type"]),
        (json!({"type": "2"}), vec!["type"]),
        (json!({"type": 2.5}), vec!["type"]),
        (json!({"duration": "60"}), vec!["duration"]),
        (json!({"duration": -1}), vec!["duration"]),
        (json!({"password": "0123456789"}), vec![]),
        (json!({"password": "01234567890"}), vec!["password"]),
        (json!({"password": "with space"}), vec!["password"]),
        (json!({"password": "ä"}), vec!["password"]),
        (json!({"pre_schedule": "true"}), vec!["pre_schedule"]),
        (json!({"default_password": 1}), vec!["default_password"]),
        // Both forms of a start; offsets, fractions and half dates are none.
        (json!({"start_time": start}), vec![]),
        (json!({"start_time": "2099-01-31T10:00:00"}), vec![]),
        (json!({"start_time": "2099-01-31T10:00:00+02:00"}), vec!["start_time"]),
        (json!({"start_time": "2099-01-31T10:00:00.000Z"}), vec!["start_time"]),
        (json!({"start_time": "2099-01-31T10:00"}), vec!["start_time"]),
        (json!({"start_time": "2099-02-30T10:00:00Z"}), vec!["start_time"]),
        (json!({"start_time": "2099-01-31 10:00:00"}), vec!["start_time"]),
        (json!({"start_time": ""}), vec!["start_time"]),
        (json!({"timezone": "Asia/Kolkata"}), vec![]),
        (json!({"timezone": "UTC"}), vec![]),
        (json!({"timezone": "Mars/Olympus"}), vec!["timezone"]),
        (json!({"timezone": "europe/berlin"}), vec!["timezone"]),
        (json!({"timezone": "+02:00"}), vec!["timezone"]),
        (json!({"tracking_fields": [{"value": "x"}]}), vec!["tracking_fields[0].field"]),
        (json!({"tracking_fields": {"field": "x"}}), vec!["tracking_fields"]),
        (json!({"settings": []}), vec!["settings"]),
        (json!({"settings": {"approval_type": 3}}), vec!["settings.approval_type"]),
        (json!({"settings": {"registration_type": 0}}), vec!["settings.registration_type"]),
        (json!({"settings": {"audio": "phone"}}), vec!["settings.audio"]),
        (json!({"settings": {"auto_recording": "everything"}}), vec!["settings.auto_recording"]),
        (json!({"settings": {"jbh_time": 7}}), vec!["settings.jbh_time"]),
        (json!({"settings": {"host_video": "yes"}}), vec!["settings.host_video"]),
        (json!({"settings": {"encryption_type": "none"}}), vec!["settings.encryption_type"]),
        (json!({"settings": {"calendar_type": 3}}), vec!["settings.calendar_type"]),
        (json!({"settings": {"audio_conference_info": long(2048)}}), vec![]),
        (json!({"settings": {"audio_conference_info": long(2049)}}), vec!["settings.audio_conference_info"]),
        (
            json!({"settings": {"meeting_invitees": [{"email": "a"}]}}),
            vec!["settings.meeting_invitees[0].email"],
        ),
        (json!({"settings": {"alternative_hosts": "a@example.com;b@example.com"}}), vec![]),
        (json!({"settings": {"alternative_hosts": HOST}}), vec![]),
        (
            json!({"settings": {"alternative_hosts": "a@example.com,b@example.com"}}),
            vec!["settings.alternative_hosts"],
        ),
        (json!({"settings": {"alternative_hosts": ["a@example.com"]}}), vec!["settings.alternative_hosts"]),
        (
            json!({"settings": {"question_and_answer": {"question_visibility": "some"}}}),
            vec!["settings.question_and_answer.question_visibility"],
        ),
        (
            json!({"settings": {"breakout_room": {"rooms": [{"participants": ["a", 5]}]}}}),
            vec!["settings.breakout_room.rooms[0].participants[1]"],
        ),
        (series(json!({"type": 1})), vec![]),
        (json!({"type": 8}), vec!["start_time", "recurrence"]),
        (json!({"type": 8, "start_time": start}), vec!["recurrence"]),
        (json!({"type": 8, "recurrence": {"type": 1}}), vec!["start_time"]),
        (series(json!([])), vec!["recurrence"]),
        (series(json!({"type": 2, "weekly_days": "1,3"})), vec![]),
        (series(json!({"type": 2, "weekly_days": 1})), vec!["recurrence.weekly_days"]),
        (series(json!({"type": 2, "weekly_days": "1,,3"})), vec!["recurrence.weekly_days"]),
        (series(json!({"type": 1, "end_times": 60})), vec![]),
        (series(json!({"type": 1, "end_times": 61})), vec!["recurrence.end_times"]),
        (
            series(json!({"type": 1, "end_times": 2, "end_date_time": "2099-03-01T00:00:00Z"})),
            vec!["recurrence.end_date_time"],
        ),
        (
            series(json!({"type": 1, "end_date_time": "2099-01-01T00:00:00Z"})),
            vec!["recurrence.end_date_time"],
        ),
        // Everything at once, in the order of the documentation.
        (
            json!({"topic": long(201), "duration": "x", "settings": {"audio": 1, "jbh_time": "x"}}),
            vec!["topic", "duration", "settings.jbh_time", "settings.audio"],
        ),
    ]
}

#[tokio::test]
async fn bodies_of_creations() {
    let sim = Sim::start().await;
    sim.control("PUT", "/limits", json!({"enabled": false})).await;
    for (body, fields) in create_cases() {
        let reply = sim.post("/v2/users/me/meetings", body.clone()).await;
        if fields.is_empty() {
            assert_eq!(reply.status, 201, "{body}: {reply:?}");
            continue;
        }
        assert_eq!((reply.status.as_u16(), reply.code()), (400, 300), "{body}: {reply:?}");
        assert_eq!(reply.message(), "Validation Failed.");
        assert_eq!(reply.fields(), fields, "{body}");
        assert_eq!(reply.json()["errors"][0]["message"], "Invalid field.");
        // The journal is more helpful.
        assert!(sim.explanation().await.starts_with(fields[0]), "{body}");
    }
}

#[tokio::test]
async fn bodies_of_updates() {
    let sim = Sim::start().await;
    let meeting = sim.create(json!({"start_time": "2099-01-31T10:00:00Z"})).await;
    let cases = [
        (json!({"topic": long(200)}), vec![]),
        (json!({"topic": long(201)}), vec!["topic"]),
        // Stricter than a creation.
        (json!({"password": "q7!K"}), vec!["password"]),
        (json!({"password": "q7@K"}), vec![]),
        (json!({"settings": {"approval_type": 3}}), vec!["settings.approval_type"]),
        // Not a text at all, so not coerced.
        (json!({"settings": {"auto_recording": 1}}), vec!["settings.auto_recording"]),
        (json!({"settings": {"custom_keys": [{"key": long(65)}]}}), vec!["settings.custom_keys[0].key"]),
        (
            json!({"settings": {"custom_keys": vec![json!({"key": "k", "value": "v"}); 11]}}),
            vec!["settings.custom_keys"],
        ),
        (json!({"timezone": "Nowhere"}), vec!["timezone"]),
        (json!({"start_time": "tomorrow"}), vec!["start_time"]),
    ];
    for (body, fields) in cases {
        let reply = sim.patch(&path_of(&meeting), body.clone()).await;
        if fields.is_empty() {
            reply.expect_done();
        } else {
            assert_eq!(reply.expect_error(400, 300).fields(), fields, "{body}");
        }
    }
}

#[tokio::test]
async fn bodies_that_are_no_objects() {
    let sim = Sim::start().await;
    let address = sim.origin.replace("http://", "");
    let cases: [(&str, &str, u16, &str); 8] = [
        ("application/json", "", 400, "Request Body should be a valid JSON object."),
        ("application/json", "{", 400, "Request Body should be a valid JSON object."),
        ("application/json", "[]", 400, "Request Body should be a valid JSON object."),
        ("application/json", "\"x\"", 400, "Request Body should be a valid JSON object."),
        ("application/json", "{\"a\":1e400}", 400, "Request Body should be a valid JSON object."),
        ("application/json; charset=utf-8", "{}", 201, ""),
        ("text/plain", "{}", 415, "Unsupported Content Type"),
        ("application/x-www-form-urlencoded", "topic=x", 415, "Unsupported Content Type"),
    ];
    for (media_type, body, status, message) in cases {
        let request = format!(
            "POST /v2/users/me/meetings HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\n\
             Content-Type: {media_type}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            sim.token,
            body.len()
        );
        let (answer, _) = sim.raw(request).await;
        let answer = String::from_utf8(answer).expect("text");
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{media_type} {body}: {answer}");
        assert!(answer.contains(message), "{media_type} {body}: {answer}");
    }
    // A nesting that is deep enough to be an attack, and a body that is too large.
    let deep = "[".repeat(100_000);
    for (body, status) in [(deep, 400), ("x".repeat(5 << 20), 413)] {
        let request = reqwest::Client::new()
            .post(format!("{}/v2/users/me/meetings", sim.origin))
            .bearer_auth(&sim.token)
            .header("content-type", "application/json")
            .body(body);
        assert_eq!(Sim::send(request).await.expect("an answer").status, status);
    }
}

#[tokio::test]
async fn queries() {
    let sim = Sim::start().await;
    let meeting =
        sim.create(json!({"start_time": "2099-01-31T10:00:00Z", "settings": {"approval_type": 0}})).await;
    let (list, one) = ("/v2/users/me/meetings", path_of(&meeting));
    let registrants = format!("{one}/registrants");
    let cases = [
        (list, "type=all", vec!["type"]),
        (list, "page_size=301", vec!["page_size"]),
        (list, "page_size=0", vec!["page_size"]),
        (list, "page_size=many", vec!["page_size"]),
        (list, "page_number=0", vec!["page_number"]),
        (list, "from=2099-13-01", vec!["from"]),
        (list, "from=2099-01-02T00:00:00Z", vec!["from"]),
        (list, "from=2099-01-02&to=2099-01-01", vec!["to"]),
        (list, "timezone=Nowhere", vec!["timezone"]),
        (list, "type=all&page_size=0&from=x", vec!["type", "from", "page_size"]),
        (list, "page_size=300&type=live&unknown=1", vec![]),
        (&one, "show_previous_occurrences=maybe", vec!["show_previous_occurrences"]),
        (&one, "show_previous_occurrences=true", vec![]),
        (&registrants, "status=all", vec!["status"]),
        (&registrants, "page_size=301", vec!["page_size"]),
        (&registrants, "status=denied&page_size=300", vec![]),
    ];
    for (path, query, fields) in cases {
        let reply = sim.get(&format!("{path}?{query}")).await;
        if fields.is_empty() {
            assert_eq!(reply.status, 200, "{query}: {reply:?}");
        } else {
            assert_eq!(reply.expect_error(400, 300).fields(), fields, "{query}");
        }
    }
    let reply = sim.delete(&format!("{one}?cancel_meeting_reminder=perhaps&schedule_for_reminder=1")).await;
    assert_eq!(reply.expect_error(400, 300).fields(), ["schedule_for_reminder", "cancel_meeting_reminder"]);
}
