//! Registering for meetings, and reading and ending registrations.

use serde_json::{Value, json};
use zoom_simulator::{Config, Plan};

use crate::client::{BASIC, COLLEAGUE, Reply, Sim, path_of};

async fn meeting(sim: &Sim, settings: Value) -> Value {
    sim.create(json!({"topic": "Open", "start_time": "2099-01-01T00:00:00Z", "settings": settings})).await
}

async fn add(sim: &Sim, meeting: &Value, email: &str) -> Reply {
    let body = json!({"email": email, "first_name": "Zoë"});
    sim.post(&format!("{}/registrants", path_of(meeting)), body).await
}

/// The e-mail addresses of a list.
async fn listed(sim: &Sim, meeting: &Value, query: &str) -> Vec<String> {
    let list = sim.get(&format!("{}/registrants?{query}", path_of(meeting))).await.expect(200).json();
    let registrants = list["registrants"].as_array().expect("registrants");
    registrants.iter().map(|each| each["email"].as_str().expect("an address").to_owned()).collect()
}

#[tokio::test]
async fn registration_with_automatic_approval() {
    let sim = Sim::start().await;
    let meeting = meeting(&sim, json!({"approval_type": 0})).await;
    assert!(meeting["registration_url"].is_string());
    let reply = add(&sim, &meeting, "zoe@example.com").await.expect(201).json();
    assert_eq!(reply["id"], meeting["id"]);
    assert_eq!((&reply["topic"], &reply["start_time"]), (&json!("Open"), &json!("2099-01-01T00:00:00Z")));
    assert!(reply["join_url"].as_str().is_some_and(|url| url.contains("?tk=")), "{reply}");
    assert!(reply["participant_pin_code"].is_i64() && reply["registrant_id"].is_string(), "{reply}");
    assert_eq!(reply.get("occurrences"), None);

    let list = sim.get(&format!("{}/registrants", path_of(&meeting))).await.expect(200).json();
    assert_eq!(list["total_records"], 1);
    let registrant = &list["registrants"][0];
    assert_eq!(registrant["id"], reply["registrant_id"]);
    assert_eq!((&registrant["first_name"], &registrant["status"]), (&json!("Zoë"), &json!("approved")));
    assert_eq!(registrant["join_url"], reply["join_url"]);
    // What was not answered is empty.
    assert_eq!((&registrant["city"], &registrant["custom_questions"]), (&json!(""), &json!([])));

    let id = reply["registrant_id"].as_str().expect("an id");
    let one = format!("{}/registrants/{id}", path_of(&meeting));
    sim.delete(&one).await.expect_done();
    assert!(listed(&sim, &meeting, "").await.is_empty());
    let refused = sim.delete(&one).await.expect_error(400, 300);
    assert!(
        refused.message().starts_with("The value that you entered for the Registrant ID field is invalid.")
    );
}

#[tokio::test]
async fn registration_with_manual_approval() {
    let sim = Sim::start().await;
    let meeting = meeting(&sim, json!({"approval_type": 1})).await;
    let mut ids = Vec::new();
    for email in ["a@example.com", "b@example.com", "c@example.com"] {
        let reply = add(&sim, &meeting, email).await.expect(201).json();
        assert_eq!(reply.get("join_url"), None);
        ids.push(reply["registrant_id"].as_str().expect("an id").to_owned());
    }
    // Who is pending is not in the list unless asked for.
    assert!(listed(&sim, &meeting, "").await.is_empty());
    assert_eq!(listed(&sim, &meeting, "status=pending").await.len(), 3);

    for (id, status) in [(&ids[0], "approved"), (&ids[1], "denied")] {
        let path = format!("/meetings/{}/registrants/{id}", meeting["id"]);
        sim.control("POST", &path, json!({"status": status})).await;
    }
    assert_eq!(listed(&sim, &meeting, "").await, ["a@example.com"]);
    assert_eq!(listed(&sim, &meeting, "status=approved").await, ["a@example.com"]);
    assert_eq!(listed(&sim, &meeting, "status=denied").await, ["b@example.com"]);
    assert_eq!(listed(&sim, &meeting, "status=pending").await, ["c@example.com"]);

    let body = json!({"email": "d@example.com", "first_name": "D", "auto_approve": true});
    let reply = sim.post(&format!("{}/registrants", path_of(&meeting)), body).await.expect(201).json();
    assert!(reply["join_url"].is_string());
    assert_eq!(listed(&sim, &meeting, "").await, ["a@example.com", "d@example.com"]);
}

#[tokio::test]
async fn registration_that_is_not_enabled() {
    let sim = Sim::start().await;
    // By the setting; because there is no time; because it is an instant meeting.
    let off = meeting(&sim, json!({"approval_type": 2})).await;
    let unfixed = sim.create(json!({"type": 3, "settings": {"approval_type": 0}})).await;
    let instant = sim.create(json!({"type": 1, "settings": {"approval_type": 0}})).await;
    for meeting in [&off, &unfixed, &instant] {
        assert_eq!(meeting.get("registration_url"), None);
        let expected = format!("Registration has not been enabled for this meeting: {}.", meeting["id"]);
        let registrants = format!("{}/registrants", path_of(meeting));
        let replies = [
            add(&sim, meeting, "a@example.com").await,
            sim.get(&registrants).await,
            sim.delete(&format!("{registrants}/x")).await,
        ];
        for reply in replies {
            assert_eq!(reply.expect_error(400, 300).message(), expected);
        }
    }
}

#[tokio::test]
async fn registration_needs_a_paying_host() {
    let sim = Sim::start().await;
    let token = sim.token_for(BASIC, None).await;
    let body = json!({"start_time": "2099-01-01T00:00:00Z", "settings": {"approval_type": 0}});
    let meeting =
        sim.call_as(&token, "POST", "/v2/users/me/meetings", Some(body.clone())).await.expect(201).json();
    let path = format!("{}/registrants", path_of(&meeting));
    let person = json!({"email": "a@example.com", "first_name": "A"});
    let refused = sim.call_as(&token, "POST", &path, Some(person.clone())).await.expect_error(400, 200);
    assert_eq!(refused.message(), format!("Only available for paid users: {BASIC}."));

    let sim = Sim::with(Config { plan: Plan::Free, ..Config::default() }).await;
    let meeting = sim.create(body).await;
    sim.post(&format!("{}/registrants", path_of(&meeting)), person).await.expect_error(400, 200);
}

#[tokio::test]
async fn a_meeting_that_is_not_there_answers_another_code_to_a_registration() {
    let sim = Sim::start().await;
    let path = "/v2/meetings/12345678901/registrants";
    let reply =
        sim.post(path, json!({"email": "a@example.com", "first_name": "A"})).await.expect_error(404, 1001);
    assert_eq!(reply.message(), "Meeting does not exist: 12345678901.");
    sim.get(path).await.expect_error(404, 3001);
    sim.delete(&format!("{path}/x")).await.expect_error(404, 3001);
}

#[tokio::test]
async fn bodies() {
    let sim = Sim::start().await;
    sim.control("PUT", "/limits", json!({"enabled": false})).await;
    let meeting = meeting(&sim, json!({"approval_type": 0})).await;
    let path = format!("{}/registrants", path_of(&meeting));
    let address = |length: usize| format!("{}@example.com", "a".repeat(length - "@example.com".len()));
    let with = |name: &str, value: Value| {
        let mut body = json!({"email": "a@example.com", "first_name": "A"});
        body[name] = value;
        body
    };
    let cases = [
        (json!({}), vec!["email", "first_name"]),
        (with("email", json!("nobody")), vec!["email"]),
        (with("email", json!(address(128))), vec![]),
        (with("email", json!(address(129))), vec!["email"]),
        (with("first_name", json!("ä".repeat(64))), vec![]),
        (with("first_name", json!("ä".repeat(65))), vec!["first_name"]),
        (with("last_name", json!("ä".repeat(65))), vec!["last_name"]),
        (with("country", json!("PL")), vec![]),
        (with("country", json!("Poland")), vec!["country"]),
        (with("custom_questions", json!([{"title": "t", "value": "v".repeat(128)}])), vec![]),
        (
            with("custom_questions", json!([{"title": "t", "value": "v".repeat(129)}])),
            vec!["custom_questions[0].value"],
        ),
        (with("purchasing_time_frame", json!("")), vec![]),
        (with("purchasing_time_frame", json!("1-3 months")), vec![]),
        (with("purchasing_time_frame", json!("soon")), vec!["purchasing_time_frame"]),
        // One choice, not two.
        (with("role_in_purchase_process", json!("Evaluator/Recommender")), vec![]),
        (with("role_in_purchase_process", json!("Evaluator")), vec!["role_in_purchase_process"]),
        // Reads know classes that writes do not.
        (with("no_of_employees", json!("101-500")), vec![]),
        (with("no_of_employees", json!("101-250")), vec!["no_of_employees"]),
        (with("language", json!("jp-JP")), vec![]),
        (with("language", json!("Tr-TR")), vec![]),
        (with("language", json!("ja-JP")), vec!["language"]),
        (with("auto_approve", json!("yes")), vec!["auto_approve"]),
    ];
    for (body, fields) in cases {
        let reply = sim.post(&path, body.clone()).await;
        if fields.is_empty() {
            assert_eq!(reply.status, 201, "{body}: {reply:?}");
        } else {
            assert_eq!(reply.expect_error(400, 300).fields(), fields, "{body}");
        }
    }
}

#[tokio::test]
async fn sizes_are_read_in_the_classes_of_reads() {
    let sim = Sim::start().await;
    let meeting = meeting(&sim, json!({"approval_type": 0})).await;
    let path = format!("{}/registrants", path_of(&meeting));
    for (index, (written, read)) in
        [("101-500", "101-250"), ("500-1,000", "501-1,000"), ("1-20", "1-20")].into_iter().enumerate()
    {
        let body =
            json!({"email": format!("{index}@example.com"), "first_name": "A", "no_of_employees": written});
        sim.post(&path, body).await.expect(201);
        assert_eq!(sim.get(&path).await.json()["registrants"][index]["no_of_employees"], read);
    }
}

#[tokio::test]
async fn whoever_registers_again_is_the_same_person() {
    let sim = Sim::start().await;
    let meeting = meeting(&sim, json!({"approval_type": 1})).await;
    let first = add(&sim, &meeting, "a@example.com").await.expect(201).json();
    let id = first["registrant_id"].as_str().expect("an id");
    let path = format!("/meetings/{}/registrants/{id}", meeting["id"]);
    sim.control("POST", &path, json!({"status": "approved"})).await;
    let body = json!({"email": "A@example.com", "first_name": "Other"});
    let again = sim.post(&format!("{}/registrants", path_of(&meeting)), body).await.expect(201).json();
    assert_eq!(again["registrant_id"], id);
    let list = sim.get(&format!("{}/registrants", path_of(&meeting))).await.expect(200).json();
    assert_eq!((&list["total_records"], &list["registrants"][0]["first_name"]), (&json!(1), &json!("Other")));
}

#[tokio::test]
async fn registering_again_adds_occurrences() {
    let sim = Sim::start().await;
    let (meeting, ids) = series(&sim, 2).await;
    let path = format!("{}/registrants", path_of(&meeting));
    let person = json!({"email": "a@example.com", "first_name": "A"});
    for (query, expected) in [
        (format!("?occurrence_ids={}", ids[0]), vec![&ids[0]]),
        (format!("?occurrence_ids={},{}", ids[0], ids[2]), vec![&ids[0], &ids[2]]),
        // None named is all of them.
        (String::new(), ids.iter().collect()),
    ] {
        let reply = sim.post(&format!("{path}{query}"), person.clone()).await.expect(201).json();
        assert_eq!(occurrence_ids(&reply), expected);
    }
}

#[tokio::test]
async fn a_meeting_is_full() {
    let sim = Sim::with(Config { registrant_limit: 2, ..Config::default() }).await;
    let meeting = meeting(&sim, json!({"approval_type": 0})).await;
    add(&sim, &meeting, "a@example.com").await.expect(201);
    let second = add(&sim, &meeting, "b@example.com").await.expect(201).json();
    add(&sim, &meeting, "c@example.com").await.expect_error(400, 3043);
    // Not for those who are in.
    add(&sim, &meeting, "b@example.com").await.expect(201);
    let id = second["registrant_id"].as_str().expect("an id");
    sim.delete(&format!("{}/registrants/{id}", path_of(&meeting))).await.expect_done();
    add(&sim, &meeting, "c@example.com").await.expect(201);
    assert_eq!(Config::default().registrant_limit, 4_999);
}

/// A series of three with this registration type.
async fn series(sim: &Sim, registration_type: u8) -> (Value, Vec<String>) {
    let meeting = sim
        .create(json!({
            "type": 8, "start_time": "2099-01-01T10:00:00Z", "recurrence": {"type": 1, "end_times": 3},
            "settings": {"approval_type": 0, "registration_type": registration_type},
        }))
        .await;
    let occurrences = meeting["occurrences"].as_array().expect("occurrences");
    let ids =
        occurrences.iter().map(|each| each["occurrence_id"].as_str().expect("an id").to_owned()).collect();
    (meeting, ids)
}

fn occurrence_ids(reply: &Value) -> Vec<&str> {
    let occurrences = reply["occurrences"].as_array().expect("occurrences");
    occurrences.iter().map(|each| each["occurrence_id"].as_str().expect("an id")).collect()
}

#[tokio::test]
async fn registering_for_occurrences() {
    let sim = Sim::start().await;
    let (meeting, ids) = series(&sim, 3).await;
    let path = format!("{}/registrants", path_of(&meeting));
    let person = json!({"email": "a@example.com", "first_name": "A"});
    let some = format!("{path}?occurrence_ids={},{}", ids[0], ids[2]);
    let reply = sim.post(&some, person.clone()).await.expect(201).json();
    assert_eq!(occurrence_ids(&reply), [&ids[0], &ids[2]]);
    assert_eq!(listed(&sim, &meeting, &format!("occurrence_id={}", ids[0])).await.len(), 1);
    assert_eq!(listed(&sim, &meeting, &format!("occurrence_id={}", ids[1])).await.len(), 0);
    let refused =
        sim.post(&format!("{path}?occurrence_ids={},1", ids[0]), person).await.expect_error(400, 300);
    assert_eq!(refused.message(), "Invalid parameter: occurrence_ids.");
    sim.get(&format!("{path}?occurrence_id=1")).await.expect_error(400, 300);

    // Leaving needs to say which one; with the last one the person is gone.
    let one = format!("{path}/{}", reply["registrant_id"].as_str().expect("an id"));
    let refused = sim.delete(&one).await.expect_error(400, 300);
    assert_eq!(refused.message(), "Invalid parameter: occurrence_id.");
    sim.delete(&format!("{one}?occurrence_id={}", ids[1])).await.expect_error(400, 300);
    sim.delete(&format!("{one}?occurrence_id={}", ids[0])).await.expect_done();
    assert_eq!(listed(&sim, &meeting, "").await.len(), 1);
    sim.delete(&format!("{one}?occurrence_id={}", ids[2])).await.expect_done();
    assert_eq!(listed(&sim, &meeting, "").await.len(), 0);
}

#[tokio::test]
async fn registering_once_for_all_occurrences() {
    let sim = Sim::start().await;
    let (meeting, ids) = series(&sim, 1).await;
    let path = format!("{}/registrants", path_of(&meeting));
    let person = json!({"email": "a@example.com", "first_name": "A"});
    let reply = sim.post(&format!("{path}?occurrence_ids={}", ids[0]), person).await.expect(201).json();
    assert_eq!(occurrence_ids(&reply), ids);
    // And leaving all of them, whatever is named.
    let one = format!("{path}/{}", reply["registrant_id"].as_str().expect("an id"));
    sim.delete(&format!("{one}?occurrence_id={}", ids[0])).await.expect_done();
    assert_eq!(listed(&sim, &meeting, "").await.len(), 0);
}

#[tokio::test]
async fn the_host_of_another_meeting_sees_nothing() {
    let sim = Sim::start().await;
    let meeting = meeting(&sim, json!({"approval_type": 0})).await;
    let token = sim.token_for(COLLEAGUE, None).await;
    let path = format!("{}/registrants", path_of(&meeting));
    sim.call_as(&token, "GET", &path, None).await.expect_error(400, 4711);
}
