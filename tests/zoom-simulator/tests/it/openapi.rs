//! Success answers against the published description of the API.
//!
//! It is not part of the repository: `JACKFIELD_SHARED` names a directory that has `zoom/openapi-meetings.json`.
//! Without it these tests say so and pass.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;

use jsonschema::Draft;
use serde_json::{Map, Value, json};

use crate::client::{Sim, path_of};

/// The description, if there is one; otherwise says that it was not compared with.
fn description() -> Option<Value> {
    let shared = std::env::var_os("JACKFIELD_SHARED").unwrap_or_default();
    let file = Path::new(&shared).join("zoom/openapi-meetings.json");
    if let Ok(text) = std::fs::read_to_string(&file) {
        return Some(serde_json::from_str(&text).expect("JSON"));
    }
    skip("zoom/openapi-meetings.json");
    None
}

/// Says loudly, and where somebody collects that, what was not compared with.
#[expect(clippy::print_stderr, reason = "whoever runs the tests has to see that some of them did nothing")]
pub(crate) fn skip(what: &str) {
    let test = std::thread::current().name().unwrap_or_default().to_owned();
    let line = format!("{test}: JACKFIELD_SHARED names no directory with {what}");
    eprintln!("SKIPPED: {line}");
    if let Some(path) = std::env::var_os("JACKFIELD_SKIPS") {
        let mut list = std::fs::OpenOptions::new().create(true).append(true).open(path).expect("a list");
        list.write_all(format!("{line}\n").as_bytes()).expect("it can be written");
    }
}

/// The schema of the answer to a call, resolvable on its own.
fn schema_of(description: &Value, method: &str, path: &str, status: &str) -> Value {
    let answer = &description["paths"][path][method]["responses"][status];
    let schema = &answer["content"]["application/json"]["schema"];
    json!({"allOf": [schema], "components": description["components"]})
}

/// Every member that a schema knows, at any depth, as dotted paths.
fn members(description: &Value, schema: &Value, path: &str, known: &mut BTreeSet<String>) {
    if let Some(reference) = schema["$ref"].as_str() {
        let target =
            description.pointer(reference.trim_start_matches('#')).expect("a reference that leads somewhere");
        return members(description, target, path, known);
    }
    for part in schema["allOf"].as_array().into_iter().flatten() {
        members(description, part, path, known);
    }
    if schema["items"].is_object() {
        members(description, &schema["items"], path, known);
    }
    for (name, member) in schema["properties"].as_object().into_iter().flatten() {
        let path = format!("{path}.{name}");
        members(description, member, &path, known);
        known.insert(path);
    }
}

/// Every member of a value, likewise.
fn used(value: &Value, path: &str, all: &mut BTreeSet<String>) {
    match value {
        Value::Object(object) => {
            for (name, member) in object {
                let path = format!("{path}.{name}");
                used(member, &path, all);
                all.insert(path);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| used(value, path, all)),
        _ => {}
    }
}

/// Members that answers have and the description of them lacks, because Zoom's have them too.
const MORE: [(&str, &[&str]); 1] = [(
    "post /users/{userId}/meetings",
    &[".host_id", ".status", ".uuid", ".settings.additional_data_center_regions"],
)];

#[track_caller]
fn check(description: &Value, method: &str, path: &str, status: &str, answer: &Value) {
    let schema = schema_of(description, method, path, status);
    let validator = jsonschema::options()
        .with_draft(Draft::Draft4)
        .should_validate_formats(true)
        .build(&schema)
        .expect("the description is a schema");
    let problems: Vec<String> =
        validator.iter_errors(answer).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(problems.is_empty(), "{method} {path}: {problems:#?}\n{answer:#}");

    let (mut known, mut all) = (BTreeSet::new(), BTreeSet::new());
    members(description, &schema["allOf"][0], "", &mut known);
    used(answer, "", &mut all);
    let call = format!("{method} {path}");
    let more = MORE.iter().find(|(other, _)| *other == call).map_or(&[][..], |(_, more)| more);
    let unknown: Vec<&String> =
        all.difference(&known).filter(|name| !more.contains(&name.as_str())).collect();
    assert!(unknown.is_empty(), "{call} has members that nobody describes: {unknown:?}");
}

/// A value for every setting that a call can write, made from its schema.
fn every_setting(description: &Value, schema: &Value) -> Value {
    if let Some(reference) = schema["$ref"].as_str() {
        let target =
            description.pointer(reference.trim_start_matches('#')).expect("a reference that leads somewhere");
        return every_setting(description, target);
    }
    if let Some(part) = schema["allOf"].get(0) {
        return every_setting(description, part);
    }
    if let Some(first) = schema["enum"].get(0) {
        return first.clone();
    }
    match schema["type"].as_str() {
        Some("object") => {
            let properties = schema["properties"].as_object().cloned().unwrap_or_default();
            let filled: Map<String, Value> = properties
                .iter()
                .map(|(name, schema)| (name.clone(), every_setting(description, schema)))
                .collect();
            Value::Object(filled)
        }
        Some("array") => json!([every_setting(description, &schema["items"])]),
        Some("boolean") => json!(true),
        Some("integer") => json!(1),
        _ if schema["format"] == "email" => json!("a@example.com"),
        _ => json!("text"),
    }
}

#[tokio::test]
async fn answers_are_as_described() {
    let Some(description) = description() else { return };
    let sim = Sim::start().await;
    let user = sim.get("/v2/users/me").await.expect(200).json();
    check(&description, "get", "/users/{userId}", "200", &user);

    let mut everything =
        every_setting(&description, &json!({"$ref": "#/components/schemas/UsersuserIdmeetingsSettings"}));
    everything["alternative_hosts"] = json!("a@example.com");
    everything["use_pmi"] = json!(true);
    let bodies = [
        json!({"type": 1}),
        json!({"type": 10}),
        json!({"type": 3, "settings": {"use_pmi": true}}),
        json!({"start_time": "2099-01-01T00:00:00", "agenda": "x", "tracking_fields": [{"field": "a", "value": "b"}]}),
        json!({"start_time": "2099-01-01T00:00:00Z", "schedule_for": "colleague@example.com"}),
        json!({
            "type": 8, "start_time": "2099-01-01T00:00:00Z",
            "recurrence": {"type": 2, "weekly_days": "1,3", "end_date_time": "2099-03-01T00:00:00Z"},
            "settings": {"approval_type": 0, "continuous_meeting_chat": {"enable": true}},
        }),
        json!({
            "type": 8, "start_time": "2099-01-01T00:00:00Z",
            "recurrence": {"type": 3, "monthly_week": -1, "monthly_week_day": 6, "end_times": 2},
        }),
        json!({"start_time": "2099-01-01T00:00:00Z", "settings": everything}),
    ];
    for body in bodies {
        let created = sim.create(body).await;
        check(&description, "post", "/users/{userId}/meetings", "201", &created);
        let read = sim.get(&path_of(&created)).await.expect(200).json();
        check(&description, "get", "/meetings/{meetingId}", "200", &read);
        if let Some(occurrence) = created["occurrences"][0]["occurrence_id"].as_str() {
            let one = format!("{}?occurrence_id={occurrence}", path_of(&created));
            check(
                &description,
                "get",
                "/meetings/{meetingId}",
                "200",
                &sim.get(&one).await.expect(200).json(),
            );
        }
    }
    let room = sim.get(&format!("/v2/meetings/{}", user["pmi"])).await.expect(200).json();
    check(&description, "get", "/meetings/{meetingId}", "200", &room);
    let list = sim.get("/v2/users/me/meetings?page_size=2").await.expect(200).json();
    check(&description, "get", "/users/{userId}/meetings", "200", &list);
}

#[tokio::test]
async fn every_setting_that_is_described_can_be_written_and_read() {
    let Some(description) = description() else { return };
    let sim = Sim::start().await;
    let meeting = sim.create(json!({"start_time": "2099-01-01T00:00:00Z"})).await;
    let mut everything =
        every_setting(&description, &json!({"$ref": "#/components/schemas/MeetingsmeetingIdSettings"}));
    everything["alternative_hosts"] = json!("a@example.com");
    everything["waiting_room"] = json!(false);
    sim.patch(&path_of(&meeting), json!({"settings": everything})).await.expect_done();
    let read = sim.get(&path_of(&meeting)).await.expect(200).json();
    check(&description, "get", "/meetings/{meetingId}", "200", &read);
    for (name, value) in everything.as_object().expect("settings") {
        assert_eq!(&read["settings"][name], value, "{name}");
    }
}

#[tokio::test]
async fn registrants_are_as_described() {
    let Some(description) = description() else { return };
    let sim = Sim::start().await;
    for (approval_type, body) in
        [(0, json!({"type": 2})), (1, json!({"type": 8, "recurrence": {"type": 1, "end_times": 2}}))]
    {
        let mut body = body;
        body["start_time"] = json!("2099-01-01T00:00:00Z");
        body["settings"] = json!({"approval_type": approval_type});
        let path = format!("{}/registrants", path_of(&sim.create(body).await));
        let person = json!({
            "email": "a@example.com", "first_name": "A", "no_of_employees": "101-500", "country": "PL",
            "custom_questions": [{"title": "t", "value": "v"}], "language": "Tr-TR",
        });
        let added = sim.post(&path, person).await.expect(201).json();
        check(&description, "post", "/meetings/{meetingId}/registrants", "201", &added);
        let list = sim.get(&format!("{path}?status=pending")).await.expect(200).json();
        check(&description, "get", "/meetings/{meetingId}/registrants", "200", &list);
        let list = sim.get(&path).await.expect(200).json();
        check(&description, "get", "/meetings/{meetingId}/registrants", "200", &list);
    }
}

#[tokio::test]
async fn refusals_are_as_described() {
    let Some(description) = description() else { return };
    let sim = Sim::start().await;
    for (reply, method, path, status) in [
        (
            sim.post("/v2/users/me/meetings", json!({"type": 9})).await,
            "post",
            "/users/{userId}/meetings",
            "400",
        ),
        (sim.get("/v2/meetings/1").await, "get", "/meetings/{meetingId}", "404"),
        (sim.get("/v2/users/x").await, "get", "/users/{userId}/meetings", "400"),
        (sim.bare("GET", "/v2/users/me").await, "get", "/users/{userId}", "401"),
    ] {
        assert_eq!(reply.status.as_str(), status);
        check(&description, method, path, status, &reply.json());
    }
}
