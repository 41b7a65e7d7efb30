//! Recurring meetings over the API. How series are laid out is tested where that is done.

use jiff::{Timestamp, ToSpan, tz::TimeZone};
use serde_json::{Value, json};

use crate::client::{MINUTES_PER_DAY, Sim, minutes_from_now, path_of};

/// A weekly series of three at ten o'clock in Berlin, from the Wednesday before the end of daylight saving in 2098.
fn series() -> Value {
    json!({
        "topic": "Series", "type": 8, "start_time": "2098-10-22T10:00:00", "timezone": "Europe/Berlin",
        "duration": 30, "agenda": "All", "recurrence": {"type": 2, "weekly_days": "4", "end_times": 3},
        "settings": {"host_video": true, "approval_type": 0},
    })
}

fn starts(meeting: &Value) -> Vec<&str> {
    let occurrences = meeting["occurrences"].as_array().expect("occurrences");
    occurrences.iter().map(|occurrence| occurrence["start_time"].as_str().expect("a start")).collect()
}

fn id(meeting: &Value, index: usize) -> String {
    meeting["occurrences"][index]["occurrence_id"].as_str().expect("an id").to_owned()
}

#[tokio::test]
async fn a_series_keeps_its_hour_when_clocks_change() {
    let sim = Sim::start().await;
    let meeting = sim.create(series()).await;
    assert_eq!(starts(&meeting), ["2098-10-22T08:00:00Z", "2098-10-29T09:00:00Z", "2098-11-05T09:00:00Z"]);
    assert_eq!(meeting["start_time"], "2098-10-22T08:00:00Z");
    let milliseconds = "2098-10-22T08:00:00Z".parse::<Timestamp>().expect("a time").as_millisecond();
    assert_eq!(id(&meeting, 0), milliseconds.to_string());
    assert_eq!(meeting["occurrences"][0]["status"], "available");
    assert_eq!(meeting["occurrences"][0]["duration"], 30);
    assert_eq!(
        meeting["recurrence"],
        json!({"type": 2, "repeat_interval": 1, "weekly_days": "4", "end_times": 3})
    );
    assert_eq!(starts(&sim.get(&path_of(&meeting)).await.json()), starts(&meeting));
}

#[tokio::test]
async fn one_occurrence_is_read_and_changed() {
    let sim = Sim::start().await;
    let meeting = sim.create(series()).await;
    let (path, second) = (path_of(&meeting), id(&meeting, 1));
    let one = format!("{path}?occurrence_id={second}");
    let change = json!({
        "start_time": "2098-10-29T15:00:00", "duration": 90, "agenda": "One", "topic": "Ignored", "type": 1,
        "settings": {"host_video": false, "waiting_room": true, "approval_type": 2, "auto_recording": "tape"},
    });
    sim.patch(&one, change).await.expect_done();

    let read = sim.get(&one).await.expect(200).json();
    assert_eq!(read["start_time"], "2098-10-29T14:00:00Z");
    assert_eq!((&read["duration"], &read["agenda"]), (&json!(90), &json!("One")));
    assert_eq!((&read["topic"], &read["type"]), (&json!("Series"), &json!(8)));
    let settings = &read["settings"];
    assert_eq!((&settings["host_video"], &settings["waiting_room"]), (&json!(false), &json!(true)));
    assert_eq!((&settings["approval_type"], &settings["auto_recording"]), (&json!(0), &json!("none")));

    // The others, and the series, are as they were; the id stays although the start has moved.
    let read = sim.get(&path).await.expect(200).json();
    assert_eq!((&read["agenda"], &read["settings"]["host_video"]), (&json!("All"), &json!(true)));
    assert_eq!(starts(&read), ["2098-10-22T08:00:00Z", "2098-10-29T14:00:00Z", "2098-11-05T09:00:00Z"]);
    assert_eq!((id(&read, 1), &read["occurrences"][1]["duration"]), (second.clone(), &json!(90)));

    // Nor does a change of the series that is not about its time touch it.
    sim.patch(&path, json!({"topic": "Renamed", "settings": {"mute_upon_entry": true}})).await.expect_done();
    let read = sim.get(&one).await.json();
    assert_eq!(
        (&read["topic"], &read["duration"], &read["agenda"]),
        (&json!("Renamed"), &json!(90), &json!("One"))
    );
    assert_eq!(read["settings"]["mute_upon_entry"], true);

    // A start in the past is ignored here too.
    sim.patch(&one, json!({"start_time": "2020-01-01T00:00:00Z"})).await.expect_done();
    assert_eq!(sim.get(&one).await.json()["start_time"], "2098-10-29T14:00:00Z");
}

#[tokio::test]
async fn one_occurrence_is_deleted() {
    let sim = Sim::start().await;
    let meeting = sim.create(series()).await;
    let (path, second) = (path_of(&meeting), id(&meeting, 1));
    let one = format!("{path}?occurrence_id={second}");
    sim.delete(&one).await.expect_done();
    let read = sim.get(&path).await.expect(200).json();
    let statuses: Vec<&Value> =
        read["occurrences"].as_array().expect("occurrences").iter().map(|each| &each["status"]).collect();
    assert_eq!(statuses, ["available", "deleted", "available"]);
    for method in ["GET", "PATCH", "DELETE"] {
        let body = (method == "PATCH").then(|| json!({}));
        let refused = sim.call_as(&sim.token, method, &one, body).await.expect_error(400, 300);
        assert_eq!(refused.message(), "Invalid parameter: occurrence_id.");
    }
    // Without an id the whole series goes.
    sim.delete(&path).await.expect_done();
    sim.get(&path).await.expect_error(404, 3001);
}

#[tokio::test]
async fn occurrences_that_are_none() {
    let sim = Sim::start().await;
    let (single, recurring) = (sim.create(json!({})).await, sim.create(series()).await);
    for (meeting, occurrence) in
        [(&single, "1648194360000"), (&recurring, "1648194360000"), (&recurring, "x")]
    {
        let one = format!("{}?occurrence_id={occurrence}", path_of(meeting));
        sim.get(&one).await.expect_error(400, 300);
        sim.delete(&one).await.expect_error(400, 300);
        sim.patch(&one, json!({})).await.expect_error(400, 300);
    }
}

#[tokio::test]
async fn past_occurrences_are_shown_on_request() {
    let sim = Sim::start().await;
    let start = minutes_from_now(-3 * MINUTES_PER_DAY);
    let body =
        json!({"type": 8, "start_time": start, "timezone": "UTC", "recurrence": {"type": 1, "end_times": 5}});
    let meeting = sim.create(body).await;
    let path = path_of(&meeting);
    // Four have begun, the fourth of them right now.
    assert_eq!(starts(&meeting).len(), 5);
    assert_eq!(starts(&sim.get(&path).await.json()).len(), 2);
    let all = sim.get(&format!("{path}?show_previous_occurrences=true")).await.json();
    assert_eq!(starts(&all), starts(&meeting));
    // By its id, one that has passed can be read.
    let first = id(&meeting, 0);
    sim.get(&format!("{path}?occurrence_id={first}")).await.expect(200);
}

#[tokio::test]
async fn a_series_is_updated() {
    let sim = Sim::start().await;
    let meeting = sim.create(series()).await;
    let path = path_of(&meeting);
    let before = sim.get(&path).await.json();

    // A recurrence without a start in the future beside it changes nothing.
    let daily = json!({"type": 1, "end_times": 2});
    for body in
        [json!({"recurrence": daily}), json!({"recurrence": daily, "start_time": "2020-01-01T00:00:00Z"})]
    {
        sim.patch(&path, body).await.expect_done();
        assert!(sim.explanation().await.contains("recurrence: ignored"));
        let read = sim.get(&path).await.json();
        assert_eq!((&read["recurrence"], starts(&read)), (&before["recurrence"], starts(&before)));
    }
    // It is checked all the same.
    let refused = sim.patch(&path, json!({"recurrence": {"type": 1, "end_times": 99}})).await;
    assert_eq!(refused.expect_error(400, 300).fields(), ["recurrence.end_times"]);

    sim.patch(&path, json!({"recurrence": daily, "start_time": "2098-12-01T09:00:00", "duration": 20}))
        .await
        .expect_done();
    let read = sim.get(&path).await.json();
    assert_eq!(starts(&read), ["2098-12-01T08:00:00Z", "2098-12-02T08:00:00Z"]);
    assert_eq!(read["occurrences"][1]["duration"], 20);

    // A new start alone moves the series.
    sim.patch(&path, json!({"start_time": "2098-12-05T10:00:00Z"})).await.expect_done();
    assert_eq!(starts(&sim.get(&path).await.json()), ["2098-12-05T10:00:00Z", "2098-12-06T10:00:00Z"]);
    // A new duration alone goes for all that is to come.
    sim.patch(&path, json!({"duration": 15})).await.expect_done();
    let read = sim.get(&path).await.json();
    assert!(read["occurrences"].as_array().expect("occurrences").iter().all(|each| each["duration"] == 15));
}

#[tokio::test]
async fn a_series_begins_with_its_first_occurrence() {
    let sim = Sim::start().await;
    // From a Wednesday on, every Friday.
    let body = json!({
        "type": 8, "start_time": "2098-10-22T10:00:00Z", "timezone": "UTC",
        "recurrence": {"type": 2, "weekly_days": "6"},
    });
    let meeting = sim.create(body).await;
    let friday =
        "2098-10-22".parse::<jiff::civil::Date>().expect("a date").to_zoned(TimeZone::UTC).expect("a time")
            + 2.days();
    assert_eq!(friday.weekday(), jiff::civil::Weekday::Friday);
    assert_eq!(meeting["start_time"], friday.strftime("%Y-%m-%dT10:00:00Z").to_string());
}
