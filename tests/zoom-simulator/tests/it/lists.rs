//! Lists: which meetings are in them, what they show, and how they are paged through.

use serde_json::{Value, json};

use crate::client::{COLLEAGUE, MINUTES_PER_DAY, Sim, minutes_from_now, path_of};

const LIST: &str = "/v2/users/me/meetings";

async fn topics(sim: &Sim, query: &str) -> Vec<String> {
    let list = sim.get(&format!("{LIST}?{query}")).await.expect(200).json();
    topics_of(&list)
}

fn topics_of(list: &Value) -> Vec<String> {
    let meetings = list["meetings"].as_array().expect("meetings");
    meetings.iter().map(|each| each["topic"].as_str().expect("a topic").to_owned()).collect()
}

#[tokio::test]
async fn the_types_of_lists() {
    let sim = Sim::start().await;
    let day = MINUTES_PER_DAY;
    let create = |topic: &'static str, body: Value| {
        let sim = &sim;
        async move {
            let mut body = body;
            body["topic"] = json!(topic);
            sim.create(body).await
        }
    };
    create("instant", json!({"type": 1})).await;
    create("unfixed", json!({"type": 3})).await;
    create("yesterday", json!({"start_time": minutes_from_now(-day)})).await;
    create("now", json!({"start_time": minutes_from_now(-5)})).await;
    let live = create("tomorrow", json!({"start_time": minutes_from_now(day)})).await;
    create("next year", json!({"start_time": minutes_from_now(400 * day)})).await;
    let daily = json!({
        "type": 8, "timezone": "UTC", "start_time": minutes_from_now(-2 * day + 30),
        "recurrence": {"type": 1, "end_times": 10},
    });
    let series = create("series", daily).await;
    sim.control("POST", &format!("/meetings/{}/start", live["id"]), Value::Null).await;

    let scheduled = ["series", "yesterday", "now", "tomorrow", "next year", "unfixed"];
    assert_eq!(topics(&sim, "").await, scheduled);
    assert_eq!(topics(&sim, "type=scheduled").await, scheduled);
    assert_eq!(topics(&sim, "type=live").await, ["tomorrow"]);
    for upcoming in ["type=upcoming", "type=upcoming_meetings"] {
        assert_eq!(topics(&sim, upcoming).await, ["now", "series", "tomorrow", "unfixed"]);
    }
    assert_eq!(topics(&sim, "type=previous_meetings").await, ["yesterday", "series"]);

    // A series is shown with the occurrence that put it there.
    let starts = |list: &Value| -> Value {
        let meetings = list["meetings"].as_array().expect("meetings");
        meetings.iter().find(|each| each["topic"] == "series").expect("the series")["start_time"].clone()
    };
    let list = sim.get(&format!("{LIST}?type=upcoming")).await.json();
    assert_eq!(starts(&list), series["occurrences"][2]["start_time"]);
    let list = sim.get(&format!("{LIST}?type=previous_meetings")).await.json();
    assert_eq!(starts(&list), series["occurrences"][1]["start_time"]);
    let list = sim.get(LIST).await.json();
    assert_eq!(starts(&list), series["start_time"]);
}

#[tokio::test]
async fn from_and_to_are_days_in_a_time_zone() {
    let sim = Sim::start().await;
    for start in ["2099-01-01T22:30:00Z", "2099-01-01T23:30:00Z", "2099-01-02T12:00:00Z"] {
        sim.create(json!({"topic": start, "start_time": start})).await;
    }
    sim.create(json!({"topic": "unfixed", "type": 3})).await;
    let day = |zone: &str| format!("from=2099-01-02&to=2099-01-02&timezone={zone}");
    assert_eq!(topics(&sim, &day("UTC")).await, ["2099-01-02T12:00:00Z"]);
    // In Berlin the second one is already on the next day; that is also the host's zone.
    let berlin = ["2099-01-01T23:30:00Z", "2099-01-02T12:00:00Z"];
    assert_eq!(topics(&sim, &day("Europe/Berlin")).await, berlin);
    assert_eq!(topics(&sim, "from=2099-01-02&to=2099-01-02").await, berlin);
    assert_eq!(topics(&sim, "from=2099-01-02&timezone=UTC").await, ["2099-01-02T12:00:00Z"]);
    assert_eq!(topics(&sim, "to=2099-01-01&timezone=UTC").await.len(), 2);
}

#[tokio::test]
async fn what_a_list_shows_of_a_meeting() {
    let sim = Sim::start().await;
    let agenda = "ä".repeat(300);
    let meeting = sim.create(json!({"start_time": "2099-01-01T00:00:00Z", "agenda": agenda})).await;
    sim.call_as(&sim.token_for(COLLEAGUE, None).await, "POST", LIST, Some(json!({"type": 3})))
        .await
        .expect(201);
    let list = sim.get(LIST).await.expect(200).json();
    assert_eq!(list["total_records"], 1);
    let listed = &list["meetings"][0];
    for name in ["uuid", "id", "host_id", "topic", "type", "start_time", "timezone", "created_at", "join_url"]
    {
        assert_eq!(listed[name], meeting[name], "{name}");
    }
    assert_eq!(listed["agenda"].as_str().map(|text| text.chars().count()), Some(250));
    assert_eq!(sim.get(&path_of(&meeting)).await.json()["agenda"], agenda);
    for absent in ["settings", "start_url", "password"] {
        assert_eq!(listed.get(absent), None);
    }
}

/// Seven meetings, named by their number.
async fn seven(sim: &Sim) {
    for number in 1..=7 {
        let start = format!("2099-01-0{number}T00:00:00Z");
        sim.create(json!({"topic": number.to_string(), "start_time": start})).await;
    }
}

#[tokio::test]
async fn pages_are_followed_by_token() {
    let sim = Sim::start().await;
    seven(&sim).await;
    let mut pages = Vec::new();
    let mut token = String::new();
    loop {
        let list = sim.get(&format!("{LIST}?page_size=3&next_page_token={token}")).await.expect(200).json();
        assert_eq!((&list["page_count"], &list["page_size"]), (&json!(3), &json!(3)));
        assert_eq!((&list["total_records"], &list["page_number"]), (&json!(7), &json!(pages.len() + 1)));
        pages.push(topics_of(&list).join(""));
        token = list["next_page_token"].as_str().expect("a token").to_owned();
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(pages, ["123", "456", "7"]);
    let list = sim.get(LIST).await.json();
    assert_eq!(
        (&list["page_size"], &list["page_count"], &list["next_page_token"]),
        (&json!(30), &json!(1), &json!(""))
    );
}

#[tokio::test]
async fn page_numbers_still_work() {
    let sim = Sim::start().await;
    seven(&sim).await;
    assert_eq!(topics(&sim, "page_size=3&page_number=3").await, ["7"]);
    assert!(topics(&sim, "page_size=3&page_number=4").await.is_empty());
}

#[tokio::test]
async fn a_page_token_continues_its_own_request() {
    let sim = Sim::start().await;
    seven(&sim).await;
    let list = sim
        .get(&format!("{LIST}?page_size=3&type=upcoming_meetings&from=2099-01-01"))
        .await
        .expect(200)
        .json();
    assert_eq!(list["next_page_token"], "", "{list}");
    let list = sim.get(&format!("{LIST}?page_size=3&from=2099-01-01")).await.expect(200).json();
    let token = list["next_page_token"].as_str().expect("a token");
    // The order of parameters does not matter, their values do.
    let same = format!("from=2099-01-01&page_size=3&next_page_token={token}");
    assert_eq!(topics(&sim, &same).await, ["4", "5", "6"]);
    assert_eq!(topics(&sim, &same).await, ["4", "5", "6"]);
    for other in ["page_size=2&from=2099-01-01", "page_size=3", "page_size=3&from=2099-01-02"] {
        let reply = sim.get(&format!("{LIST}?{other}&next_page_token={token}")).await.expect_error(400, 300);
        assert_eq!(reply.message(), "The next page token is invalid or expired.");
    }
    let reply = sim.get(&format!("{LIST}?next_page_token=made-up")).await.expect_error(400, 300);
    assert_eq!(reply.message(), "The next page token is invalid or expired.");

    sim.advance(14 * 60).await;
    assert_eq!(topics(&sim, &same).await, ["4", "5", "6"]);
    sim.advance(60).await;
    sim.get(&format!("{LIST}?{same}")).await.expect_error(400, 300);
}

#[tokio::test]
async fn registrants_are_paged_too() {
    let sim = Sim::start().await;
    let meeting =
        sim.create(json!({"start_time": "2099-01-01T00:00:00Z", "settings": {"approval_type": 0}})).await;
    let path = format!("{}/registrants", path_of(&meeting));
    for number in 0..5 {
        sim.post(&path, json!({"email": format!("{number}@example.com"), "first_name": "A"}))
            .await
            .expect(201);
    }
    let first = sim.get(&format!("{path}?page_size=4")).await.expect(200).json();
    assert_eq!(first["registrants"].as_array().map(Vec::len), Some(4));
    let token = first["next_page_token"].as_str().expect("a token");
    let second = sim.get(&format!("{path}?page_size=4&next_page_token={token}")).await.expect(200).json();
    assert_eq!(second["registrants"][0]["email"], "4@example.com");
    assert_eq!(second["next_page_token"], "");
    // A token of one list is none of another.
    sim.get(&format!("{LIST}?page_size=4&next_page_token={token}")).await.expect_error(400, 300);
}
