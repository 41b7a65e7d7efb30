//! The Zoom connector against the simulator: the real binary, the real library, and a stand-in that behaves as Zoom does.
//! The numbers are those of the catalogue of Zoom's nasty cases.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the message")]

use std::{
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use jackfield_tests::{Home, Outcome, Simulator};
use serde_json::{Value, json};

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_default()
}

fn zoom() -> (Simulator, Home) {
    let simulator = Simulator::start(&[]);
    let home = simulator.home();
    (simulator, home)
}

/// A meeting with registration, and its number.
fn meeting(simulator: &Simulator, home: &Home, approval: u8) -> String {
    let approval = format!("settings.approval_type={approval}");
    let sets = ["topic=Demo", "start_time=2027-03-01T10:00", "timezone=Europe/Berlin", &approval];
    text(&simulator.invoke(home, "create_meeting", &sets, &[]).json(), "id").to_owned()
}

fn ask(simulator: &Simulator, home: &Home, action: &str, meeting: &str, more: &[&str]) -> Outcome {
    let meeting = format!("meeting_id={meeting}");
    let mut sets = vec![meeting.as_str()];
    sets.extend(more);
    simulator.invoke(home, action, &sets, &[])
}

#[test]
fn all_eight_actions_do_what_they_say() {
    let (simulator, home) = zoom();
    let id = meeting(&simulator, &home, 0);
    let got = ask(&simulator, &home, "get_meeting", &id, &[]).json();
    assert_eq!(
        (text(&got, "id"), text(&got, "topic"), text(&got, "start_time")),
        (&*id, "Demo", "2027-03-01T09:00:00Z")
    );

    let changes =
        ["topic=Demo (moved)", "duration=45", "agenda=One\ntwo", "settings.waiting_room=true", "verify=true"];
    let updated = ask(&simulator, &home, "update_meeting", &id, &changes).json();
    assert_eq!(
        (&updated["verified"], text(&updated["meeting"], "topic")),
        (&json!(true), "Demo (moved)"),
        "{updated:#}"
    );

    let listed = simulator.invoke(&home, "get_meetings", &[], &[]).json();
    assert_eq!(listed["meetings"].as_array().unwrap().len(), 1);
    assert_eq!(text(&listed["meetings"][0], "id"), id);

    let added = ask(
        &simulator,
        &home,
        "add_meeting_registrant",
        &id,
        &["email=zoe@example.com", "first_name=Zoë", "country=PL"],
    )
    .json();
    let registrant = text(&added, "registrant_id");
    assert!(!registrant.is_empty() && text(&added, "join_url").starts_with("https://"), "{added:#}");

    let registrants = ask(&simulator, &home, "get_meeting_registrants", &id, &[]).json();
    assert_eq!(text(&registrants["registrants"][0], "first_name"), "Zoë");

    let removal = format!("registrant_id={registrant}");
    let removed = ask(&simulator, &home, "delete_meeting_registrant", &id, &[&removal]).json();
    assert_eq!(removed, json!({"deleted": true}));
    assert_eq!(ask(&simulator, &home, "delete_meeting", &id, &[]).json(), json!({"deleted": true}));

    let asked: Vec<String> = simulator
        .journal()
        .iter()
        .map(|entry| {
            format!(
                "{} {} {}",
                text(entry, "method"),
                text(entry, "path").replace(&id, "ID").replace(registrant, "REG"),
                entry["status"]
            )
        })
        .collect();
    assert_eq!(
        asked,
        [
            "POST /v2/users/me/meetings 201",
            "GET /v2/meetings/ID 200",
            "PATCH /v2/meetings/ID 204",
            "GET /v2/meetings/ID 200",
            "GET /v2/users/me/meetings 200",
            "POST /v2/meetings/ID/registrants 201",
            "GET /v2/meetings/ID/registrants 200",
            "DELETE /v2/meetings/ID/registrants/REG 204",
            "DELETE /v2/meetings/ID 204",
        ]
    );
}

#[test]
fn a_topic_alone_is_enough_and_prints_the_output_and_nothing_else() {
    let (simulator, home) = zoom();
    let args =
        ["action", "invoke", "zoom.create_meeting", "--set", "topic=Demo", "--token-stdin", "-o", "json"];
    let outcome = home.run_with_input(&args, &format!("{}\n", simulator.token()));
    let created = outcome.json();
    assert_eq!(
        (text(&created, "topic"), &created["type"]),
        ("Demo", &json!(1)),
        "Zoom makes it an instant meeting"
    );
    assert_eq!(outcome.stderr, "");
}

#[test]
fn a_recurring_meeting_has_its_occurrences_which_can_be_changed_and_deleted_alone() {
    let (simulator, home) = zoom();
    let sets = [
        "topic=Weekly",
        "type=8",
        "start_time=2027-03-02T10:00",
        "timezone=Europe/Berlin",
        "duration=30",
        "recurrence.type=2",
        "recurrence.weekly_days=3",
        "recurrence.end_times=6",
    ];
    let created = simulator.invoke(&home, "create_meeting", &sets, &[]).json();
    let occurrences = created["occurrences"].as_array().unwrap();
    let starts: Vec<&str> = occurrences.iter().map(|occurrence| text(occurrence, "start_time")).collect();
    // Summer time begins on 28 March.
    assert_eq!(starts[3..], ["2027-03-23T09:00:00Z", "2027-03-30T08:00:00Z", "2027-04-06T08:00:00Z"]);
    let (id, second) = (text(&created, "id"), text(&occurrences[1], "occurrence_id"));
    let occurrence = format!("occurrence_id={second}");
    let updated =
        ask(&simulator, &home, "update_meeting", id, &[&occurrence, "duration=60", "verify=true"]).json();
    assert_eq!(updated["verified"], json!(true), "{updated:#}");
    ask(&simulator, &home, "delete_meeting", id, &[&occurrence]).json();
    let got = ask(&simulator, &home, "get_meeting", id, &[]).json();
    let available = got["occurrences"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|one| text(one, "status") == "available")
        .count();
    assert_eq!(available, 5);
}

#[test]
fn lists_come_page_by_page_or_whole() {
    let (simulator, home) = zoom();
    for number in 0..5 {
        let topic = format!("topic=Meeting {number}");
        let start = format!("start_time=2027-03-0{}T10:00:00Z", number + 1);
        simulator.invoke(&home, "create_meeting", &[&topic, &start], &[]).json();
    }
    let page = simulator.invoke(&home, "get_meetings", &["page_size=2"], &[]).json();
    assert_eq!((page["meetings"].as_array().unwrap().len(), &page["total_records"]), (2, &json!(5)));
    let token = format!("next_page_token={}", text(&page, "next_page_token"));
    let next = simulator.invoke(&home, "get_meetings", &["page_size=2", &token], &[]).json();
    assert_eq!(next["meetings"].as_array().unwrap().len(), 2);
    assert_ne!(next["meetings"][0]["id"], page["meetings"][0]["id"]);

    let all = simulator.invoke(&home, "get_meetings", &["page_size=2"], &["--all"]).json();
    assert_eq!(all["meetings"].as_array().unwrap().len(), 5);
    assert_eq!(all.get("next_page_token"), None);
    let some = simulator.invoke(&home, "get_meetings", &["page_size=2"], &["--all", "--max-items", "3"]);
    assert_eq!(some.json()["meetings"].as_array().unwrap().len(), 3);
    assert!(some.stderr.contains("stopped at 3 items"));
}

#[test]
fn case_23_a_number_may_be_written_as_people_write_it() {
    let (simulator, home) = zoom();
    let id = meeting(&simulator, &home, 2);
    let (a, b) = id.split_at(3);
    let (b, c) = b.split_at(4);
    for written in [format!("{a} {b} {c}"), format!("{a}-{b}-{c}"), format!(" {a}{b}{c}")] {
        assert_eq!(text(&ask(&simulator, &home, "get_meeting", &written, &[]).json(), "id"), id);
    }
    let asked = simulator.journal().len();
    let error = ask(&simulator, &home, "get_meeting", "my meeting", &[]).error(2);
    assert_eq!(text(&error["problems"][0], "path"), "/meeting_id");
    assert_eq!(simulator.journal().len(), asked, "nothing was sent");
}

#[test]
fn a_meeting_is_found_by_its_uuid_however_many_slashes_are_in_it() {
    let (simulator, home) = zoom();
    // Of every four, one has no slash, one begins with one, one has two in a row.
    for _ in 0..4 {
        let created = simulator
            .invoke(&home, "create_meeting", &["topic=Demo", "start_time=2027-03-01T10:00:00Z"], &[])
            .json();
        let uuid = text(&created, "uuid");
        assert_eq!(text(&ask(&simulator, &home, "get_meeting", uuid, &[]).json(), "uuid"), uuid);
    }
}

#[test]
fn case_30_a_time_zone_that_zoom_does_not_know_is_named_at_its_field() {
    let (simulator, home) = zoom();
    let sets = ["topic=Demo", "start_time=2027-03-01T10:00", "timezone=Europe/Atlantis"];
    let error = simulator.invoke(&home, "create_meeting", &sets, &[]).error(2);
    assert_eq!(
        (text(&error, "kind"), text(&error["problems"][0], "path")),
        ("invalid_input", "/timezone"),
        "{error:#}"
    );
}

/// Queues a fault and creates a meeting.
fn create_with(fault: &Value) -> (Outcome, usize) {
    let (simulator, home) = zoom();
    simulator.fault(fault);
    let outcome = simulator.invoke(&home, "create_meeting", &["topic=Demo"], &[]);
    let asked = simulator.journal().len();
    (outcome, asked)
}

#[test]
fn case_36_a_creation_that_is_answered_with_nothing_is_ambiguous() {
    let (outcome, asked) = create_with(&json!({"answer": {"kind": "empty", "status": 201}}));
    let error = outcome.error(5);
    assert_eq!((text(&error, "kind"), asked), ("ambiguous", 1), "{error:#}");
}

#[test]
fn case_37_html_from_the_edge_is_told_shortly_and_repeated_for_reads() {
    let (simulator, home) = zoom();
    simulator.fault(&json!({"times": 2, "answer": {"kind": "html", "status": 502}}));
    simulator.invoke(&home, "get_meetings", &[], &[]).json();
    assert_eq!(simulator.journal().len(), 3);
    let (outcome, asked) = create_with(&json!({"times": null, "answer": {"kind": "html", "status": 503}}));
    let error = outcome.error(5);
    assert_eq!((text(&error, "kind"), asked), ("ambiguous", 1));
    assert!(!outcome.stderr.contains('<'), "{}", outcome.stderr);
}

#[test]
fn case_38_an_answer_that_is_cut_short_is_repeated_for_reads_and_ambiguous_for_creations() {
    for delivery in [
        json!({"kind": "close", "after_body_bytes": 5}),
        json!({"kind": "reset", "after_body_bytes": 5}),
        json!({"kind": "reset"}),
        // JSON that ends in the middle, at the length that was announced.
        json!({"kind": "truncate", "body_bytes": 20}),
    ] {
        let (simulator, home) = zoom();
        simulator.fault(&json!({"delivery": delivery}));
        simulator.invoke(&home, "get_meetings", &[], &[]).json();
        assert_eq!(simulator.journal().len(), 2);
        let (outcome, asked) = create_with(&json!({"delivery": delivery}));
        let error = outcome.error(5);
        assert_eq!((text(&error, "kind"), asked), ("ambiguous", 1), "{delivery}: {error:#}");
    }
    // One that stays so is told.
    let (simulator, home) = zoom();
    simulator.fault(&json!({"times": null, "delivery": {"kind": "truncate", "body_bytes": 20}}));
    let error = simulator.invoke(&home, "get_meetings", &[], &[]).error(5);
    assert_eq!(text(&error, "kind"), "unexpected_answer");
}

#[test]
fn what_was_done_although_its_answer_was_lost_is_there() {
    let (simulator, home) = zoom();
    simulator.fault(&json!({"method": "POST", "delivery": {"kind": "reset"}}));
    let error = simulator
        .invoke(&home, "create_meeting", &["topic=Demo", "start_time=2027-03-01T10:00:00Z"], &[])
        .error(5);
    assert_eq!(text(&error, "hint"), "look at the provider before you run it again");
    assert_eq!(
        simulator.invoke(&home, "get_meetings", &[], &[]).json()["total_records"],
        json!(1),
        "and once"
    );
}

#[test]
fn a_token_that_is_not_accepted_says_what_to_type_next() {
    let (simulator, home) = zoom();
    let outcome = simulator.invoke_as(&home, "nonsense", "get_meetings", &[], &[]);
    let error = outcome.error(4);
    assert_eq!((text(&error, "kind"), text(&error["provider"], "code")), ("unauthorized", "124"));
    assert_eq!(
        text(&error, "hint"),
        "get a new token and run it again: jackfield action invoke zoom.get_meetings … --token-file FILE"
    );
    let outcome = home.run(&["action", "invoke", "zoom.get_meetings"]);
    assert_eq!(outcome.code, 4);
    assert_eq!(
        outcome.stderr,
        "error[unauthorized]: Zoom needs a credential, and none was given\n  hint: connect an account: jackfield connect zoom; or give a token: --token-file FILE\n"
    );
    assert_eq!(simulator.journal().len(), 1);
}

#[test]
fn case_45_a_missing_scope_is_named_with_the_command_that_follows_and_not_tried_again() {
    for (style, scopes, missing) in [
        ("granular", ["meeting:read:meeting", "user:read:user"], "meeting:write:meeting"),
        ("classic", ["meeting:read", "user:read"], "meeting:write"),
    ] {
        let simulator = Simulator::start(&["--scopes", style]);
        let home = simulator.home();
        let token = simulator.token_with(&scopes);
        let error = simulator.invoke_as(&home, &token, "create_meeting", &["topic=Demo"], &[]).error(4);
        assert_eq!(
            (text(&error, "kind"), &error["scopes"][0]),
            ("missing_scope", &json!(missing)),
            "{error:#}"
        );
        assert_eq!(
            text(&error, "hint"),
            format!(
                "add {missing} to your Zoom app, then connect again, and run it with the new token: jackfield action invoke zoom.create_meeting … --token-file FILE"
            )
        );
        assert_eq!(simulator.journal().len(), 1);
    }
}

#[test]
fn either_family_of_scopes_will_do() {
    for style in ["granular", "classic"] {
        let simulator = Simulator::start(&["--scopes", style]);
        let home = simulator.home();
        let id = meeting(&simulator, &home, 0);
        ask(&simulator, &home, "add_meeting_registrant", &id, &["email=a@example.com", "first_name=A"])
            .json();
        ask(&simulator, &home, "get_meeting_registrants", &id, &[]).json();
        ask(&simulator, &home, "delete_meeting", &id, &[]).json();
    }
}

#[test]
fn case_46_a_limit_a_second_is_waited_out_and_one_a_day_is_told() {
    let (simulator, home) = zoom();
    simulator.fault(&json!({"answer": {"kind": "rate-limit", "limit": "per-second"}}));
    simulator.invoke(&home, "create_meeting", &["topic=Demo"], &[]).json();
    assert_eq!(simulator.journal().len(), 2);
    // The daily one has a Retry-After as a date and time; so far off that nobody waits.
    let (outcome, asked) = create_with(&json!({"answer": {"kind": "rate-limit", "limit": "daily"}}));
    let error = outcome.error(6);
    assert_eq!(asked, 1);
    assert!(text(&error, "retry_at").ends_with("T00:00:00Z"), "{error:#}");
    for retry_after in ["garbage", "1994-11-06T08:49:37Z", "0"] {
        let fault =
            json!({"answer": {"kind": "rate-limit", "limit": "per-second", "retry_after": retry_after}});
        let (outcome, asked) = create_with(&fault);
        outcome.json();
        assert_eq!(asked, 2, "{retry_after}");
    }
}

#[test]
fn case_47_the_limit_of_a_host_and_day_is_not_tried_again_and_says_until_when() {
    let simulator = Simulator::start(&["--plan", "pro"]);
    let home = simulator.home();
    simulator.fault(
        &json!({"method": "POST", "times": null, "answer": {"kind": "rate-limit", "limit": "per-host"}}),
    );
    let outcome = simulator.invoke(&home, "create_meeting", &["topic=Demo"], &[]);
    let error = outcome.error(6);
    assert!(
        text(&error, "message")
            .starts_with("Zoom lets a host create and update 100 meetings a day; this one has to wait until")
    );
    assert!(text(&error, "retry_at").ends_with("T00:00:00Z"));
    assert_eq!(simulator.journal().len(), 1);
}

#[test]
fn case_48_who_waits_for_approval_is_listed_when_asked_for() {
    let (simulator, home) = zoom();
    let id = meeting(&simulator, &home, 1);
    let added =
        ask(&simulator, &home, "add_meeting_registrant", &id, &["email=zoe@example.com", "first_name=Zoe"])
            .json();
    // Case 49: no address for joining until then.
    assert_eq!(added.get("join_url"), None, "{added:#}");
    let approved = ask(&simulator, &home, "get_meeting_registrants", &id, &[]).json();
    assert_eq!(approved["registrants"], json!([]));
    let pending = ask(&simulator, &home, "get_meeting_registrants", &id, &["status=pending"]).json();
    assert_eq!(text(&pending["registrants"][0], "status"), "pending");
}

#[test]
fn case_49_a_meeting_without_registration_says_how_to_have_one() {
    let (simulator, home) = zoom();
    let id = meeting(&simulator, &home, 2);
    let error =
        ask(&simulator, &home, "add_meeting_registrant", &id, &["email=zoe@example.com", "first_name=Zoe"])
            .error(2);
    assert!(text(&error, "hint").contains("settings.approval_type"), "{error:#}");
}

#[test]
fn case_50_a_registrant_three_times_a_day_is_told_until_when() {
    let (simulator, home) = zoom();
    let mut last = None;
    for _ in 0..4 {
        let id = meeting(&simulator, &home, 0);
        last = Some(ask(
            &simulator,
            &home,
            "add_meeting_registrant",
            &id,
            &["email=zoe@example.com", "first_name=Zoe"],
        ));
        if last.as_ref().is_some_and(|outcome| outcome.code != 0) {
            break;
        }
    }
    let error = last.unwrap().error(6);
    assert!(text(&error, "message").contains("three times a day"), "{error:#}");
}

#[test]
fn case_51_a_second_deletion_says_that_it_is_gone_or_counts_as_done() {
    let (simulator, home) = zoom();
    let id = meeting(&simulator, &home, 2);
    ask(&simulator, &home, "delete_meeting", &id, &[]).json();
    let error = ask(&simulator, &home, "delete_meeting", &id, &[]).error(5);
    assert_eq!((text(&error, "kind"), text(&error["provider"], "code")), ("not_found", "3001"));
    assert!(text(&error, "hint").contains("ignore_missing"));
    let again = ask(&simulator, &home, "delete_meeting", &id, &["ignore_missing=true"]).json();
    assert_eq!(again, json!({"deleted": false}));
}

#[test]
fn case_52_what_zoom_silently_ignores_is_reported() {
    let (simulator, home) = zoom();
    let id = meeting(&simulator, &home, 2);
    let updated = ask(
        &simulator,
        &home,
        "update_meeting",
        &id,
        &["start_time=2020-01-01T10:00:00Z", "topic=New", "verify=true"],
    )
    .json();
    assert_eq!((&updated["verified"], text(&updated["meeting"], "topic")), (&json!(false), "New"));
    assert_eq!(updated["differences"].as_array().unwrap().len(), 1, "{updated:#}");
    assert_eq!(text(&updated["differences"][0], "path"), "/start_time");
}

#[test]
fn false_and_empty_survive_an_update() {
    let (simulator, home) = zoom();
    let sets = [
        "topic=Demo",
        "start_time=2027-03-01T10:00:00Z",
        "agenda=Old",
        "settings.waiting_room=true",
        "settings.alternative_hosts=colleague@example.com",
        "password=abc123",
    ];
    let id = text(&simulator.invoke(&home, "create_meeting", &sets, &[]).json(), "id").to_owned();
    let changes = ["agenda=", "settings.waiting_room=false", "settings.alternative_hosts="];
    let updated = ask(&simulator, &home, "update_meeting", &id, &changes).json();
    assert_eq!(text(&updated, "meeting_id"), id);
    let got = ask(&simulator, &home, "get_meeting", &id, &[]).json();
    assert_eq!(got["agenda"].as_str().unwrap_or_default(), "");
    assert_eq!(
        (&got["settings"]["waiting_room"], text(&got["settings"], "alternative_hosts")),
        (&json!(false), "")
    );
    assert_eq!(text(&got, "password"), "abc123", "what was left out stays");
}

#[test]
fn case_53_an_error_is_the_same_in_every_language() {
    for language in ["es", "ja"] {
        let (simulator, home) = zoom();
        simulator.fault(&json!({"language": language}));
        let error = ask(&simulator, &home, "get_meeting", "99999999999", &[]).error(5);
        assert_eq!(
            (text(&error, "kind"), text(&error["provider"], "code")),
            ("not_found", "3001"),
            "{error:#}"
        );
        assert!(text(&error, "message").starts_with("Zoom has no such meeting"), "{error:#}");
    }
}

#[test]
fn other_users_of_the_account_need_an_app_for_the_account() {
    let simulator = Simulator::start(&["--app", "admin-managed"]);
    let home = simulator.home();
    let created = simulator
        .invoke(
            &home,
            "create_meeting",
            &["topic=Demo", "user_id=colleague@example.com", "start_time=2027-03-01T10:00:00Z"],
            &[],
        )
        .json();
    assert_eq!(text(&created, "host_email"), "colleague@example.com");
    let (simulator, home) = zoom();
    let error = simulator
        .invoke(&home, "create_meeting", &["topic=Demo", "user_id=colleague@example.com"], &[])
        .error(4);
    assert_eq!(text(&error, "kind"), "missing_scope", "{error:#}");
}

#[test]
fn what_a_licence_is_needed_for_is_said() {
    let simulator = Simulator::start(&["--app", "admin-managed"]);
    let home = simulator.home();
    let error = simulator
        .invoke(&home, "create_meeting", &["topic=x", "user_id=unlicensed@example.com"], &[])
        .error(5);
    assert_eq!(text(&error, "message"), "this user may not host or schedule meetings");
    let sets = [
        "topic=x",
        "user_id=basic@example.com",
        "start_time=2027-03-01T10:00:00Z",
        "settings.approval_type=0",
    ];
    let created = simulator.invoke(&home, "create_meeting", &sets, &[]).json();
    let error = ask(&simulator, &home, "get_meeting_registrants", text(&created, "id"), &[]).error(5);
    assert_eq!(text(&error, "message"), "Zoom does this for paid users only", "{error:#}");
}

/// A token by the grant of a Server-to-Server OAuth app.
fn server_to_server(simulator: &Simulator) -> String {
    let origin = text(&simulator.ready, "origin").trim_start_matches("http://").to_owned();
    let form = format!("grant_type=account_credentials&account_id={}", text(&simulator.ready, "account_id"));
    // The simulator's own client, as it says when it is ready.
    let client = "U2ltdWxhdGVkQ2xpZW50SWQwMDAwMTpTaW11bGF0ZWRDbGllbnRTZWNyZXQwMDAwMDAwMDAwMQ==";
    let mut socket = TcpStream::connect(&origin).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    write!(
        socket,
        "POST /oauth/token HTTP/1.1\r\nhost: {origin}\r\nauthorization: Basic {client}\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{form}",
        form.len()
    )
    .unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    let body: Value =
        serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap_or_else(|_| panic!("{answer}"));
    text(&body, "access_token").to_owned()
}

#[test]
fn a_server_to_server_connection_acts_for_named_users_and_never_for_me() {
    let simulator = Simulator::start(&["--app", "server-to-server"]);
    let home = simulator.home();
    let token = server_to_server(&simulator);
    let account = format!("account_id={}", text(&simulator.ready, "account_id"));
    let as_account = ["--auth", "server_to_server", "--parameter", &account, "--parameter", "client_id=x"];
    let sets = ["topic=Demo", "user_id=colleague@example.com", "start_time=2027-03-01T10:00:00Z"];
    let created = simulator.invoke_as(&home, &token, "create_meeting", &sets, &as_account).json();
    assert_eq!(text(&created, "host_email"), "colleague@example.com");
    let asked = simulator.journal().len();
    let error = simulator.invoke_as(&home, &token, "create_meeting", &["topic=Demo"], &as_account).error(2);
    assert_eq!((text(&error, "kind"), text(&error, "path")), ("invalid_input", "/user_id"));
    assert_eq!(simulator.journal().len(), asked, "nothing was sent");
    // A secret of the connection does not belong on a command line.
    let outcome = simulator.invoke_as(
        &home,
        &token,
        "create_meeting",
        &sets,
        &["--auth", "server_to_server", "--parameter", "client_secret=x"],
    );
    assert_eq!(text(&outcome.error(2), "kind"), "usage");
}
