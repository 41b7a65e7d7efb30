//! The requests that were refused last: remembered while nothing of them is written, and kept when whoever serves ends as it should.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the message")]

use std::{fs, os::unix::fs::PermissionsExt};

use jackfield_tests::{Outcome, Provider, feeds::Fed, http};
use serde_json::{Value, json};

fn fed() -> Fed {
    let me = json!({"id": 7, "name": "Anna"}).to_string();
    let provider = Provider::always(200, &[("content-type", "application/json")], &me);
    Fed::start("parcels", "key", &json!({"key": "key-canary"}), provider)
}

/// Asks for an address that stands for nothing; its name is remembered.
fn nowhere(fed: &Fed, name: &str) {
    assert_eq!(http("POST", &format!("{}/webhooks/parcels/{name}", fed.url()), &[], "{}").status, 404);
}

/// A handshake without its secret, of the integration that there is.
fn no_secret(fed: &Fed) {
    let url = format!("{}/webhooks/parcels/{}?mode=subscribe&token=x", fed.url(), fed.integration);
    assert_eq!(http("GET", &url, &[], "").status, 503);
}

/// The addresses that are listed, the newest first.
#[track_caller]
fn listed(outcome: &Outcome) -> Vec<String> {
    let list = outcome.json();
    list.as_array().unwrap().iter().map(|one| one["integration"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_was_refused_is_known_after_a_restart_and_written_only_at_the_end() {
    let mut fed = fed();
    let file = fed.home.path().join("data/refused.json");
    let args = ["delivery", "list", "--refused", "-o", "json"];
    nowhere(&fed, "one");
    no_secret(&fed);
    let all = [fed.integration.clone(), "one".to_owned()];
    assert_eq!(listed(&fed.home.run(&args)), all);
    assert!(!file.exists(), "a stranger has the disk written to");
    fed.end();
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    // Nobody serves, and it is known.
    assert_eq!(listed(&fed.home.run(&args)), all);
    let doctor = fed.home.run(&["doctor"]).stdout;
    assert!(doctor.contains("1 request to the webhook was refused within the last day"), "{doctor}");
    fed.serve();
    nowhere(&fed, "two");
    let three = ["two".to_owned(), fed.integration.clone(), "one".to_owned()];
    assert_eq!(listed(&fed.home.run(&args)), three);
    // Whoever is killed takes with it what it had not written.
    fed.kill();
    fed.serve();
    assert_eq!(listed(&fed.home.run(&args)), all);
}

#[test]
fn they_stay_those_of_their_project_and_no_more_than_were_remembered() {
    let mut fed = fed();
    no_secret(&fed);
    for number in 0..150 {
        nowhere(&fed, &format!("a{number}"));
    }
    fed.end();
    fed.serve();
    for number in 0..99 {
        nowhere(&fed, &format!("b{number}"));
    }
    fed.end();
    fed.serve();
    fed.asked("POST", "/v1/projects", &json!({"id": "other"}));
    let of = |fed: &Fed, project: &str| {
        let args = ["--project", project, "delivery", "list", "--refused", "-o", "json", "--limit", "1000"];
        listed(&fed.home.run(&args))
    };
    let all = of(&fed, "default");
    assert_eq!((all.len(), all[0].as_str(), all[199].as_str()), (200, "b98", "a49"));
    no_secret(&fed);
    fed.end();
    fed.serve();
    assert_eq!(of(&fed, "default")[0], fed.integration);
    assert_eq!(of(&fed, "other")[0], "b98", "what came for one project is no other's");
    // What lies there for longer than anything is kept is forgotten; what cannot be read is none.
    fed.end();
    let file = fed.home.path().join("data/refused.json");
    let mut kept: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    for one in kept.as_array_mut().unwrap().iter_mut().skip(190) {
        one["at"] = json!("2020-01-31T09:00:00Z");
    }
    fs::write(&file, kept.to_string()).unwrap();
    assert_eq!(of(&fed, "default")[0], "b89");
    fs::write(&file, "[{").unwrap();
    assert_eq!(of(&fed, "default"), [] as [String; 0]);
    fed.serve();
    nowhere(&fed, "c");
    assert_eq!(of(&fed, "default"), ["c"]);
}
