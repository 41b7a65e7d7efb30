//! Lists in parts: every thing once, whatever is added meanwhile, and an end that is one. What no part gave leads nowhere.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the message")]

use std::collections::BTreeSet;

use jackfield_tests::tenants::Tenants;
use serde_json::{Value, json};

const USERS: usize = 5;

/// Users with an account each, which has run something.
fn tenants() -> (Tenants, Vec<String>) {
    let tenants = Tenants::start(&[]);
    let connections: Vec<String> =
        (1..=USERS).map(|user| tenants.connect(&format!("u_{user}"), "")).collect();
    connections.iter().for_each(|connection| run(&tenants, connection));
    (tenants, connections)
}

fn run(tenants: &Tenants, connection: &str) {
    let _ = tenants.set(&format!("/v1/connections/{connection}/actions/get_meetings"), &json!({}));
}

fn id(item: &Value) -> String {
    item["id"].as_str().unwrap_or_else(|| panic!("{item}")).to_owned()
}

/// A part of a list: what is in it, and what gets the next.
fn part(tenants: &Tenants, path: &str, limit: usize, after: Option<&str>) -> (Vec<String>, Option<String>) {
    let after = after.map_or_else(String::new, |after| format!("&after={after}"));
    let part = tenants.get(&format!("{path}?limit={limit}{after}"));
    let items: Vec<String> = part["items"].as_array().unwrap().iter().map(id).collect();
    assert!(items.len() <= limit, "{part}");
    (items, part.get("next").map(|next| next.as_str().unwrap().to_owned()))
}

/// All of a list, in parts; after the first, something is added.
fn walked(tenants: &Tenants, path: &str, limit: usize, add: &dyn Fn()) -> Vec<String> {
    let (mut all, mut next) = part(tenants, path, limit, None);
    add();
    while let Some(after) = next {
        let (items, then) = part(tenants, path, limit, Some(&after));
        assert!(!items.is_empty(), "{path}: a part that was promised is empty");
        all.extend(items);
        next = then;
    }
    all
}

#[test]
fn every_thing_is_in_one_part_while_more_are_added() {
    let (tenants, connections) = tenants();
    for (path, limit) in [
        ("/v1/connections", 1),
        ("/v1/connections", 2),
        ("/v1/connections", USERS),
        ("/v1/users", 2),
        ("/v1/invocations", 2),
    ] {
        let before: Vec<String> = part(&tenants, path, 200, None).0;
        assert!(before.len() >= USERS, "{path}: {before:?}");
        let add = || {
            let user = format!("u_{}", 100 + before.len() + limit);
            run(&tenants, &tenants.connect(&user, ""));
        };
        let walked = walked(&tenants, path, limit, &add);
        let once: BTreeSet<&String> = walked.iter().collect();
        assert_eq!(once.len(), walked.len(), "{path}: something is there twice: {walked:?}");
        let missing: Vec<&String> = before.iter().filter(|item| !once.contains(item)).collect();
        assert!(missing.is_empty(), "{path}: not in any part: {missing:?}");
        let in_order: Vec<&String> = walked.iter().filter(|item| before.contains(item)).collect();
        assert_eq!(in_order, before.iter().collect::<Vec<_>>(), "{path}");
    }
    // A list that fits has no next, also where it fits exactly.
    let count = part(&tenants, "/v1/connections", 200, None).0.len();
    assert!(count > connections.len());
    assert_eq!(part(&tenants, "/v1/connections", count, None).1, None);
    assert!(part(&tenants, "/v1/connections", count - 1, None).1.is_some());
}

#[test]
fn what_has_happened_is_followed_from_where_somebody_was() {
    let (tenants, _) = tenants();
    let before = part(&tenants, "/v1/events", 200, None).0;
    assert!(before.len() >= USERS, "{before:?}");
    let (mut seen, mut after) = (Vec::new(), None);
    // More may come at any time: there is always a next, and at the end nothing comes after it.
    loop {
        let (items, next) = part(&tenants, "/v1/events", 2, after.as_deref());
        let ends = items.is_empty();
        seen.extend(items);
        if ends {
            assert_eq!(next, after);
            break;
        }
        after = next;
    }
    assert_eq!(seen, before);
    let _ = tenants.connect("u_9", "");
    let (more, _) = part(&tenants, "/v1/events", 200, after.as_deref());
    assert!(!more.is_empty() && more.iter().all(|event| !before.contains(event)), "{more:?}");
    assert_eq!([before, more].concat(), part(&tenants, "/v1/events", 200, None).0);
}

/// Otherwise all that ever happened would be told once more.
#[test]
fn an_event_that_was_erased_with_its_user_is_still_a_place_to_go_on_from() {
    let (tenants, connections) = tenants();
    let events = tenants.get("/v1/events?limit=200");
    let events = events["items"].as_array().unwrap();
    let of = |connection: &str| events.iter().position(|event| event["connection"] == connection).unwrap();
    let last_seen = of(&connections[2]);
    let erased =
        tenants.ask(&tenants.operator, "DELETE", "/v1/users/u_3", &[("jackfield-project", "default")], "");
    assert_eq!(erased.status, 200, "{}", erased.body);
    let (rest, _) = part(&tenants, "/v1/events", 200, Some(&id(&events[last_seen])));
    let seen: Vec<String> = events[..=last_seen].iter().map(id).collect();
    assert!(rest.iter().all(|event| !seen.contains(event)), "{rest:?} was seen before");
    assert!(rest.contains(&id(&events[of(&connections[4])])), "{rest:?}");
}

#[test]
fn what_no_part_gave_and_what_is_no_number_is_refused_by_its_name() {
    let (tenants, _) = tenants();
    let refused = |path: &str, query: &str, field: &str| {
        let path = format!("{path}?{query}");
        let answer = tenants.ask(&tenants.operator, "GET", &path, &[("jackfield-project", "default")], "");
        let problem = answer.json();
        assert_eq!((answer.status, &problem["kind"]), (400, &json!("usage")), "{path}: {}", answer.body);
        assert!(
            problem["message"].as_str().is_some_and(|text| text.contains(field)),
            "{path}: {}",
            answer.body
        );
    };
    for path in ["/v1/connections", "/v1/users", "/v1/invocations", "/v1/events", "/v1/audit"] {
        for limit in ["0", "201", "-1", "1.5", "x", "", "99999999999999999999"] {
            refused(path, &format!("limit={limit}"), "limit");
        }
        refused(path, "after=", "`after`");
        refused(path, "after=%00", "`after`");
        refused(path, "page=2", "page");
        // Any user's id is one that users may stand behind.
        if path != "/v1/users" {
            for after in
                ["nonsense", "int_01a22637d2917441beced52ed294c5ed", "conn_", "-1", "inv_01A", "%F0%9F%98%80"]
            {
                refused(path, &format!("after={after}"), "`after`");
            }
        }
    }
}
