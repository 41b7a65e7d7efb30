//! What leaves the machine: where to, with what, and how often. The numbers are those of the catalogue of faults.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the message")]

use std::{
    io::Write,
    time::{Duration, Instant},
};

use jackfield_tests::{Act, Home, Outcome, Provider, Request, finish, reply};
use serde_json::{Value, json};

const ISSUE: &str = r#"{"id": 7, "number": 1, "title": "Bug", "state": "open"}"#;
const CREATE: &[&str] = &["owner=anna", "repo=app", "title=Bug"];
const LIST: &[&str] = &["owner=anna", "repo=app"];
const TOKEN: &str = "Bearer canary-token-7f3a";

/// A home whose forge is this provider.
fn forge(provider: &Provider) -> Home {
    let home = Home::with(&["forge"]);
    home.endpoint("forge", "api", &provider.url());
    home
}

/// A home whose faulty connector talks to this provider.
fn faulty(provider: &Provider) -> Home {
    let home = Home::with(&["faulty"]);
    home.endpoint("faulty", "api", &provider.url());
    home
}

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_default()
}

#[track_caller]
fn says(outcome: &Outcome, code: i32, kind: &str, part: &str) {
    let error = outcome.error(code);
    assert!(text(&error, "kind") == kind && text(&error, "message").contains(part), "{error:#}");
}

#[test]
fn a_request_carries_the_credential_and_nothing_of_the_environment() {
    let provider = Provider::always(201, &[("content-type", "application/json")], ISSUE);
    let created = forge(&provider).invoke("forge.create_issue", CREATE).json();
    assert_eq!(created["id"], "7");
    let [request] = &provider.requests()[..] else { panic!("one request") };
    assert_eq!((request.method.as_str(), request.target.as_str()), ("POST", "/repos/anna/app/issues"));
    assert_eq!(request.header("authorization"), Some(TOKEN));
    assert!(request.header("user-agent").unwrap().starts_with("jackfield/"));
    assert_eq!(request.json(), json!({"title": "Bug"}));
    let names: Vec<&str> = request.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(
        names,
        [
            "accept",
            "content-type",
            "authorization",
            "user-agent",
            "accept-encoding",
            "host",
            "content-length"
        ]
    );
}

#[test]
fn an_operators_address_replaces_the_whole_base_path_and_all() {
    let provider = Provider::always(201, &[], ISSUE);
    let home = Home::with(&["forge"]);
    home.endpoint("forge", "api", &format!("{}/deep/er/", provider.url()));
    home.invoke("forge.create_issue", CREATE).json();
    assert_eq!(provider.requests()[0].target, "/deep/er/repos/anna/app/issues");
}

#[test]
fn fault_54_a_parameter_cannot_leave_its_place_in_the_path() {
    let provider = Provider::always(201, &[], ISSUE);
    let home = forge(&provider);
    for owner in ["..", ".", "\u{1}", "a\r\nX-Evil: 1"] {
        let outcome =
            home.invoke("forge.create_issue", &[&format!("owner={owner}"), "repo=app", "title=Bug"]);
        let error = outcome.error(2);
        assert_eq!(
            (text(&error, "kind"), text(&error, "path")),
            ("invalid_input", "/owner"),
            "{owner:?}: {error:#}"
        );
    }
    assert!(provider.requests().is_empty());
    for (owner, target) in [
        ("a/b", "/repos/a%2Fb/app/issues"),
        ("a?b#c\\d", "/repos/a%3Fb%23c%5Cd/app/issues"),
        ("%2e%2e", "/repos/%252e%252e/app/issues"),
        ("..%2f..", "/repos/..%252f../app/issues"),
    ] {
        home.invoke("forge.create_issue", &[&format!("owner={owner}"), "repo=app", "title=Bug"]).json();
        assert_eq!(provider.requests().last().unwrap().target, target);
    }
}

#[test]
fn fault_54_a_connector_cannot_climb_out_of_its_base_either() {
    let provider = Provider::always(200, &[], "{}");
    let home = faulty(&provider);
    for path in ["/../admin", "/a/../../admin", "/%2e%2e/admin", "admin", "/a\\..\\b", "/x?y=1", "/x#y"] {
        let outcome = home.faulty("do", "ask", &json!({"method": "GET", "path": path}), &[]);
        says(&outcome, 1, "blocked", "path");
    }
    assert!(provider.requests().is_empty());
    // Two slashes are a path like any other: they name no host.
    home.faulty("do", "ask", &json!({"method": "GET", "path": "//evil.example.com/"}), &[]).json();
    assert_eq!(provider.requests()[0].target, "//evil.example.com/");
}

#[test]
fn fault_55_a_redirect_leads_nowhere_the_manifest_does_not_name() {
    let elsewhere = Provider::always(200, &[], "[]");
    let targets = [
        elsewhere.url(),
        "http://169.254.169.254/latest/meta-data".to_owned(),
        "https://127.0.0.1/".to_owned(),
        "https://evil.example.com/".to_owned(),
        "http://api.forge.example.com/".to_owned(),
        "https://user:pass@api.forge.example.com/".to_owned(),
        "file:///etc/passwd".to_owned(),
    ];
    for target in targets {
        for status in [301, 302, 303, 307, 308] {
            let provider = Provider::always(status, &[("location", &target)], "");
            let outcome = forge(&provider).invoke("forge.list_issues", LIST);
            says(&outcome, 1, "blocked", "Forge sent the request on");
            assert_eq!(provider.requests().len(), 1, "{target}");
        }
    }
    assert!(elsewhere.requests().is_empty());
}

#[test]
fn fault_55_what_changes_something_is_never_sent_on() {
    let elsewhere = Provider::always(201, &[], ISSUE);
    let target = elsewhere.url();
    let provider = Provider::always(307, &[("location", &target)], "");
    says(&forge(&provider).invoke("forge.create_issue", CREATE), 5, "refused", "status 307");
    assert!(elsewhere.requests().is_empty());
}

#[test]
fn fault_55_a_read_is_sent_on_within_what_is_allowed_and_the_credential_stays_at_its_origin() {
    // Within one origin: everything goes along.
    let provider = Provider::start(|request, _| match request.target.as_str() {
        "/moved" => reply(200, &[], format!("[{ISSUE}]")),
        _ => reply(302, &[("location", "/moved")], ""),
    });
    forge(&provider).invoke("forge.list_issues", LIST).json();
    let headers: Vec<Option<String>> = provider
        .requests()
        .iter()
        .map(|request| request.header("authorization").map(str::to_owned))
        .collect();
    assert_eq!(headers, [Some(TOKEN.to_owned()), Some(TOKEN.to_owned())]);

    // To another one that the operator has named: without the credential.
    let other = Provider::always(200, &[], "{}");
    let target = format!("{}/x", other.url());
    let provider = Provider::always(302, &[("location", &target)], "");
    let home = faulty(&provider);
    home.configure(&format!("second = \"{}\"", other.url()));
    home.faulty("do", "ask", &json!({"method": "GET", "path": "/x"}), &[]).json();
    assert_eq!(provider.requests()[0].header("x-token"), Some("canary-token-7f3a"));
    assert_eq!(other.requests()[0].header("x-token"), None);
    assert_eq!(other.requests()[0].header("referer"), None);
}

#[test]
fn fault_55_a_redirect_without_end_ends() {
    let provider = Provider::always(302, &[("location", "/again")], "");
    says(
        &forge(&provider).invoke("forge.list_issues", LIST),
        5,
        "unexpected_answer",
        "sent on more than 5 times",
    );
    assert_eq!(provider.requests().len(), 6);
}

#[test]
fn fault_57_no_spelling_of_an_inner_address_is_reached() {
    let home = Home::with(&["forge"]);
    for host in [
        "127.0.0.1",
        "2130706433",
        "0x7f.1",
        "0177.0.0.1",
        "127.1",
        "127.0.0.1.",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "169.254.169.254",
        "10.0.0.1",
        "[64:ff9b::7f00:1]",
        "[2002:7f00:1::]",
        "①②⑦.⓪.⓪.①",
        "localhost",
    ] {
        let parameter = format!("host={host}");
        let outcome = home.invoke_with("forge.list_issues", LIST, &["--parameter", &parameter]);
        says(&outcome, 1, "blocked", "leads to");
    }
}

#[test]
fn fault_58_only_the_operator_can_point_to_plain_http_or_to_this_machine() {
    let provider = Provider::always(200, &[], "{}");
    let home = Home::with(&["forge", "faulty"]);
    // What is set for one connector is not for another one.
    home.endpoint("faulty", "api", &provider.url());
    // A parameter that would be more than a host name fits no host that the manifest names.
    for host in [
        "evil.example.com/",
        "evil.example.com#",
        "evil.example.com?x=",
        "user@evil.example.com",
        "a:b@evil.example.com",
    ] {
        let parameter = format!("host={host}");
        let outcome = home.invoke_with("forge.list_issues", LIST, &["--parameter", &parameter]);
        assert_eq!(text(&outcome.error(1), "kind"), "blocked", "{host}");
    }
    for address in [
        "http://api.faulty.example.com/x",
        "https://evil.example.com/x",
        "https://api.faulty.example.com.evil.com/",
        "https://127.0.0.1/x",
        "ftp://api.faulty.example.com/x",
        "https://user@api.faulty.example.com/",
    ] {
        let outcome = home.faulty("do", "ask", &json!({"method": "GET", "path": address}), &[]);
        assert_eq!(text(&outcome.error(1), "kind"), "blocked", "{address}");
    }
    // The same machine, by the address that the operator has set.
    home.faulty("do", "ask", &json!({"method": "GET", "path": format!("{}/x", provider.url())}), &[]).json();
    assert_eq!(provider.requests().len(), 1);
    assert_eq!(provider.requests()[0].header("x-token"), Some("canary-token-7f3a"));
}

#[test]
fn the_credential_goes_only_to_hosts_that_are_marked_for_it() {
    let home = Home::with(&["faulty"]);
    let shown = |path: &str| {
        let head = json!({"method": "GET", "path": path});
        home.faulty("do", "ask", &head, &["--dry-run"]).json()["headers"].clone()
    };
    assert_eq!(shown("https://api.faulty.example.com/x")["x-token"], "***");
    assert_eq!(shown("https://files.faulty.example.com/x").get("x-token"), None);
    // Where the operator has put something else in their place, the mark still counts.
    let (api, files) = (Provider::always(200, &[], "{}"), Provider::always(200, &[], "{}"));
    let home = faulty(&api);
    home.configure(&format!("files = \"{}\"", files.url()));
    for request in [
        json!({"method": "GET", "base": "files", "path": "/x"}),
        json!({"method": "GET", "path": format!("{}/x", files.url())}),
        json!({"method": "GET", "base": "api", "path": "/x"}),
        json!({"method": "GET", "path": format!("{}/x", api.url())}),
    ] {
        home.faulty("do", "ask", &request, &[]).json();
    }
    assert!(files.requests().iter().all(|request| request.header("x-token").is_none()));
    assert!(api.requests().iter().all(|request| request.header("x-token") == Some("canary-token-7f3a")));
    assert_eq!((files.requests().len(), api.requests().len()), (2, 2));
}

#[test]
fn an_address_for_a_base_that_is_not_there_is_an_error_and_nothing_goes_to_the_provider_instead() {
    for (section, hint) in [
        ("[integrations.forge.endpoints]\napii = \"http://127.0.0.1:1\"", "did you mean `api`?"),
        ("[integrations.forge.endpoints]\nother = \"http://127.0.0.1:1\"", "there are api"),
        ("[integrations.forg.endpoints]\napi = \"http://127.0.0.1:1\"", "did you mean `forge`?"),
    ] {
        let home = Home::with(&["forge"]);
        home.configure(section);
        let outcome = home.invoke("forge.list_issues", LIST);
        says(&outcome, 1, "config", "jackfield.toml: `integrations.forg");
        assert_eq!(text(&outcome.error(1), "hint"), hint);
    }
    // What is set for a connector that is not here yet may wait for it.
    let home = Home::with(&["forge"]);
    home.configure("[integrations.zoom.endpoints]\napi = \"http://127.0.0.1:1\"");
    home.invoke_with("forge.list_issues", LIST, &["--dry-run"]).json();
}

#[test]
fn fault_58_the_environment_cannot_say_where_requests_go() {
    let home = Home::with(&["forge"]);
    let action = ["action", "invoke", "forge.list_issues", "--set", "owner=anna", "--set", "repo=app"];
    let mut command = home.command(&[&action[..], &["--dry-run", "-o", "json"]].concat());
    command.env("JACKFIELD_INTEGRATIONS__FORGE__ENDPOINTS__API", "http://127.0.0.1:1");
    let error = finish(command, None).error(1);
    assert_eq!(
        text(&error, "message"),
        "the environment: `JACKFIELD_INTEGRATIONS__FORGE__ENDPOINTS__API` is not read: addresses are set in the file alone"
    );
    assert!(text(&error, "hint").contains("[integrations.forge.endpoints]"));
}

#[test]
fn fault_59_a_header_that_cannot_be_one_is_refused_and_so_is_one_that_is_not_the_connectors() {
    let provider = Provider::always(200, &[], "{}");
    let home = faulty(&provider);
    let ask = |name: &str, value: &str| {
        home.faulty("do", "ask", &json!({"method": "GET", "path": "/x", "headers": [[name, value]]}), &[])
    };
    for (name, value) in
        [("x-a", "1\r\nx-evil: 1"), ("x-a", "1\0"), ("x-a\r\nx-evil", "1"), ("x a", "1"), ("", "1")]
    {
        says(&ask(name, value), 2, "invalid_input", "cannot be sent");
    }
    for name in
        ["Authorization", "X-Token", "Cookie", "Host", "Content-Length", "Transfer-Encoding", "Connection"]
    {
        says(&ask(name, "1"), 1, "blocked", "not the connector's to set");
    }
    assert!(provider.requests().is_empty());
    ask("X-Fine", "é and more").json();
    assert_eq!(provider.requests().len(), 1);
}

fn gzip(bytes: usize) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let zeros = vec![b' '; 1 << 20];
    for _ in 0..bytes >> 20 {
        packed.write_all(&zeros).unwrap();
    }
    packed.finish().unwrap()
}

#[test]
fn fault_60_a_packed_bomb_stops_at_the_limit() {
    let bomb = gzip(1 << 30);
    assert!(bomb.len() < 2 << 20);
    let provider = Provider::always(200, &[("content-encoding", "gzip")], &bomb);
    let home = forge(&provider);
    home.configure("[limits]\nanswer_bytes = 1048576");
    let outcome = home.invoke("forge.list_issues", LIST);
    says(&outcome, 5, "unexpected_answer", "sent an answer of more than 1048576 bytes");
    assert!(outcome.took < Duration::from_secs(10), "{:?}", outcome.took);
    // A small one is unpacked.
    let provider = Provider::always(200, &[("content-encoding", "gzip")], gzip_of(b"[]"));
    assert_eq!(forge(&provider).invoke("forge.list_issues", LIST).json(), json!([]));
    // One that was not asked for is not guessed at.
    let provider = Provider::always(200, &[("content-encoding", "zstd")], "?");
    says(
        &forge(&provider).invoke("forge.list_issues", LIST),
        5,
        "unexpected_answer",
        "`zstd`, which was not asked for",
    );
}

fn gzip_of(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

#[test]
fn fault_61_an_answer_without_end_ends_at_the_deadline() {
    let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    let provider = Provider::start(move |_, _| {
        vec![Act::Send(head.clone()), Act::Drip(b"1\r\n \r\n".to_vec(), Duration::from_millis(100))]
    });
    let outcome = forge(&provider).invoke_with("forge.list_issues", LIST, &["--timeout", "2"]);
    says(&outcome, 5, "timeout", "did not answer in time");
    assert!((1500..5000).contains(&outcome.took.as_millis()), "{:?}", outcome.took);
}

#[test]
fn fault_61_headers_without_end_end_too() {
    let provider = Provider::start(|_, _| {
        let mut bytes = b"HTTP/1.1 200 OK\r\n".to_vec();
        for number in 0..100_000 {
            bytes.extend_from_slice(format!("x-{number}: {number}\r\n").as_bytes());
        }
        vec![Act::Send(bytes)]
    });
    let outcome = forge(&provider).invoke_with("forge.list_issues", LIST, &["--timeout", "5"]);
    // More of them than anybody sends are refused long before the deadline.
    says(&outcome, 5, "network", "broke off");
    assert!(outcome.took < Duration::from_secs(6));
}

/// Answers the first time with this, and well ever after.
fn first(acts: Vec<Act>) -> impl Fn(&Request, usize) -> Vec<Act> + Send + Sync {
    move |_, before| if before == 0 { acts.clone() } else { reply(200, &[], "[]") }
}

fn broken() -> Vec<(&'static str, Vec<Act>)> {
    let start = b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n[".to_vec();
    vec![
        ("reset before the answer", vec![Act::Reset]),
        ("closed before the answer", vec![]),
        (
            "reset within the body",
            vec![Act::Send(start.clone()), Act::Pause(Duration::from_millis(50)), Act::Reset],
        ),
        ("a body that is shorter than it says", vec![Act::Send(start)]),
        ("half a head", vec![Act::Send(b"HTTP/1.1 200 OK\r\ncontent-".to_vec())]),
    ]
}

#[test]
fn fault_62_a_read_that_is_broken_off_is_repeated() {
    for (what, acts) in broken() {
        let provider = Provider::start(first(acts));
        let outcome = forge(&provider).invoke("forge.list_issues", LIST);
        assert_eq!(outcome.code, 0, "{what}: {}", outcome.stderr);
        assert_eq!(provider.requests().len(), 2, "{what}");
    }
}

#[test]
fn fault_62_a_creation_that_is_broken_off_is_ambiguous_and_never_repeated() {
    for (what, acts) in broken() {
        let provider = Provider::start(move |_, _| acts.clone());
        let outcome = forge(&provider).invoke("forge.create_issue", CREATE);
        says(&outcome, 5, "ambiguous", "nobody knows whether Forge did it");
        assert_eq!(provider.requests().len(), 1, "{what}");
    }
    // A search that says of itself that it may be repeated, is.
    let provider =
        Provider::start(
            |_, before| {
                if before == 0 { vec![Act::Reset] } else { reply(200, &[], r#"{"items": []}"#) }
            },
        );
    forge(&provider).invoke("forge.search_issues", &["words=bug"]).json();
    assert_eq!(provider.requests().len(), 2);
}

#[test]
fn fault_62_a_creation_that_is_not_answered_in_time_is_ambiguous() {
    let provider = Provider::start(|_, _| vec![Act::Pause(Duration::from_secs(30))]);
    let outcome = forge(&provider).invoke_with("forge.create_issue", CREATE, &["--timeout", "1"]);
    says(&outcome, 5, "ambiguous", "nobody knows whether Forge did it");
    assert!(outcome.took < Duration::from_secs(3), "{:?}", outcome.took);
}

#[test]
fn what_never_left_this_machine_is_not_ambiguous() {
    let home = Home::with(&["forge"]);
    // Nobody listens there.
    home.endpoint("forge", "api", "http://127.0.0.1:1");
    let outcome = home.invoke("forge.create_issue", CREATE);
    says(&outcome, 5, "network", "Forge (127.0.0.1:1) cannot be reached: Connection refused");
    assert_eq!(
        text(&outcome.error(5), "hint"),
        "[integrations.forge.endpoints] in jackfield.toml leads there; see whether anything listens: jackfield doctor"
    );
}

#[test]
fn fault_63_a_limit_that_lasts_is_waited_for_a_little_and_then_told() {
    for (retry_after, requests) in [
        // Now, or in the past: repeated as often as anything.
        (Some("0"), 3),
        (Some("Sun, 06 Nov 1994 08:49:37 GMT"), 3),
        (Some("1994-11-06T08:49:37Z"), 3),
        // Nothing, or nothing that can be read: a pause of our own.
        (None, 3),
        (Some("soon"), 3),
        (Some("-1"), 3),
        // Longer than anybody waits: told at once.
        (Some("3600"), 1),
        (Some("99999999999999999999"), 1),
        (Some("Fri, 31 Dec 2100 23:59:59 GMT"), 1),
        (Some("2100-12-31T23:59:59+02:00"), 1),
    ] {
        let headers: Vec<(&str, &str)> = retry_after.iter().map(|value| ("retry-after", *value)).collect();
        let provider = Provider::always(429, &headers, "{}");
        let outcome = forge(&provider).invoke("forge.create_issue", CREATE);
        says(&outcome, 6, "rate_limited", "too many calls");
        assert_eq!(provider.requests().len(), requests, "{retry_after:?}");
        assert!(outcome.took < Duration::from_secs(6), "{retry_after:?}: {:?}", outcome.took);
    }
}

#[test]
fn fault_63_a_limit_that_passes_is_waited_out() {
    let provider = Provider::start(|_, before| {
        if before == 0 { reply(429, &[("retry-after", "1")], "") } else { reply(201, &[], ISSUE) }
    });
    let outcome = forge(&provider).invoke("forge.create_issue", CREATE);
    outcome.json();
    assert!((900..4000).contains(&outcome.took.as_millis()), "{:?}", outcome.took);
}

#[test]
fn a_provider_that_fails_is_asked_again_for_reads_only() {
    for status in [500, 502, 503] {
        let provider = Provider::always(status, &[("content-type", "text/html")], "<html>busy</html>");
        says(
            &forge(&provider).invoke("forge.list_issues", LIST),
            5,
            "unavailable",
            &format!("status {status}"),
        );
        assert_eq!(provider.requests().len(), 3);
        let provider = Provider::always(status, &[], "");
        says(
            &forge(&provider).invoke("forge.create_issue", CREATE),
            5,
            "ambiguous",
            &format!("nobody knows whether Forge did it: it failed with status {status}"),
        );
        assert_eq!(provider.requests().len(), 1, "what creates is not repeated");
    }
}

#[test]
fn fault_67_a_proxy_of_the_environment_is_not_used() {
    let provider = Provider::always(200, &[], "[]");
    let proxy = Provider::always(200, &[], "[]");
    let home = forge(&provider);
    let mut command = home.command(&[
        "action",
        "invoke",
        "forge.list_issues",
        "--set",
        "owner=a",
        "--set",
        "repo=b",
        "--token-file",
    ]);
    let token = home.path().join("token");
    std::fs::write(&token, "t").unwrap();
    command.arg(token);
    for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"] {
        command.env(name, proxy.url());
    }
    let begun = Instant::now();
    let output = command.output().unwrap();
    assert!(output.status.success() && begun.elapsed() < Duration::from_secs(10));
    assert_eq!((provider.requests().len(), proxy.requests().len()), (1, 0));
}

#[test]
fn fault_68_an_answer_that_is_not_what_was_promised_is_named_without_its_values() {
    type Case<'a> = (&'a [(&'a str, &'a str)], &'a [u8], &'a str);
    let cases: &[Case] = &[
        (
            &[("content-type", "text/html; charset=utf-8")],
            b"<html><title>Log in</title>",
            "something that is not JSON (text/html; charset=utf-8)",
        ),
        (
            &[("content-type", "application/json; charset=iso-8859-1")],
            b"[{\"title\": \"\xe9\"}]",
            "something that is not JSON",
        ),
        (&[], b"[{\"id\": 7, \"num", "something that is not JSON"),
        (&[], b"", "an empty answer"),
        (&[], b"[{\"id\": 7, \"title\": \"x\", \"state\": \"open\"}]", "`/0`: missing field `number`"),
        (
            &[],
            b"[{\"id\": 7, \"number\": \"hunter2\", \"title\": \"x\", \"state\": \"y\"}]",
            "`/0/number`: expected i64",
        ),
        (&[], b"{\"message\": \"hunter2\"}", "expected a sequence"),
    ];
    for (headers, body, part) in cases {
        let provider = Provider::always(200, headers, body);
        let outcome = forge(&provider).invoke("forge.list_issues", LIST);
        says(&outcome, 5, "unexpected_answer", part);
        assert!(!outcome.stderr.contains("hunter2"), "{}", outcome.stderr);
    }
    // A member that nobody knew is no reason to fail.
    let provider =
        Provider::always(200, &[], format!("[{}]", ISSUE.replace("\"id\"", "\"brand_new\": {}, \"id\"")));
    forge(&provider).invoke("forge.list_issues", LIST).json();
}

#[test]
fn pages_by_link_header_are_followed_until_the_list_ends_or_enough_is_there() {
    let provider = Provider::start(|request, before| {
        let issue = ISSUE.replace("\"number\": 1", &format!("\"number\": {}", before + 1));
        let next =
            format!("<http://{}/p?page={}>; rel=\"next\"", request.header("host").unwrap(), before + 2);
        let headers: &[(&str, &str)] = if before < 4 { &[("link", &next)] } else { &[] };
        reply(200, headers, format!("[{issue}]"))
    });
    let home = forge(&provider);
    let all =
        home.invoke_with("forge.list_issues", &["owner=anna", "repo=app", "per_page=1"], &["--all"]).json();
    let numbers: Vec<i64> =
        all.as_array().unwrap().iter().map(|issue| issue["number"].as_i64().unwrap()).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5]);
    let targets: Vec<String> = provider.requests().into_iter().map(|request| request.target).collect();
    assert_eq!(
        targets,
        ["/repos/anna/app/issues?per_page=1", "/p?page=2", "/p?page=3", "/p?page=4", "/p?page=5"]
    );
}

#[test]
fn pages_by_number_and_by_cursor_are_followed_too() {
    let provider = Provider::start(|request, before| {
        let items = if before < 2 { ISSUE } else { "" };
        let sensors = if before < 2 { r#"{"id": 1, "room": "hall"}"# } else { "" };
        match request.target.as_str() {
            target if target.starts_with("/sensors") => {
                reply(200, &[], format!(r#"{{"ok": true, "sensors": [{sensors}]}}"#))
            }
            _ => reply(200, &[], format!(r#"{{"items": [{items}]}}"#)),
        }
    });
    let home = Home::with(&["sensors"]);
    home.endpoint("sensors", "api", &provider.url());
    let all = home.invoke_with("sensors.list_sensors", &[], &["--all", "--parameter", "region=eu"]).json();
    assert_eq!(all["sensors"].as_array().unwrap().len(), 2);
    let targets: Vec<String> = provider.requests().into_iter().map(|request| request.target).collect();
    assert_eq!(
        targets,
        [
            "/sensors?page=1&key=canary-token-7f3a",
            "/sensors?page=2&key=canary-token-7f3a",
            "/sensors?page=3&key=canary-token-7f3a"
        ]
    );

    let provider = Provider::start(|_, before| {
        let item = ISSUE.replace("\"id\": 7", &format!("\"id\": {}", before + 1));
        reply(200, &[], format!(r#"{{"items": [{}]}}"#, if before < 2 { item } else { String::new() }))
    });
    let outcome = forge(&provider).invoke_with("forge.search_issues", &["words=bug"], &["--all"]);
    assert_eq!(outcome.json()["items"].as_array().unwrap().len(), 2);
    let targets: Vec<String> = provider.requests().into_iter().map(|request| request.target).collect();
    assert_eq!(targets, ["/search/issues", "/search/issues?after=1", "/search/issues?after=2"]);
}

#[test]
fn a_list_that_goes_round_in_circles_is_left() {
    let provider = Provider::start(|request, _| {
        let next = format!("<http://{}/same>; rel=next", request.header("host").unwrap());
        reply(200, &[("link", &next)], format!("[{ISSUE}]"))
    });
    let outcome = forge(&provider).invoke_with("forge.list_issues", LIST, &["--all"]);
    says(&outcome, 5, "unexpected_answer", "goes round in circles");
}

#[test]
fn a_list_is_cut_at_the_limit_and_says_so() {
    let provider = Provider::start(|request, before| {
        let next = format!("<http://{}/p{before}>; rel=next", request.header("host").unwrap());
        reply(200, &[("link", &next)], format!("[{ISSUE},{ISSUE}]"))
    });
    let outcome = forge(&provider).invoke_with("forge.list_issues", LIST, &["--all", "--max-items", "3"]);
    assert_eq!(outcome.json().as_array().unwrap().len(), 3);
    assert!(outcome.stderr.contains("stopped at 3 items; there are more: --max-items"), "{}", outcome.stderr);
    // A list of nothing is no list that anybody wants.
    let asked = provider.requests().len();
    let outcome = forge(&provider).invoke_with("forge.list_issues", LIST, &["--all", "--max-items", "0"]);
    assert_eq!((outcome.code, provider.requests().len()), (2, asked), "{}", outcome.stderr);
    assert_eq!(provider.requests().len(), 2);
}

#[test]
fn a_secret_is_placed_where_the_manifest_says() {
    let provider = Provider::always(200, &[], r#"{"ok": true, "sensors": []}"#);
    let home = Home::with(&["sensors"]);
    home.endpoint("sensors", "api", &provider.url());
    home.invoke_with("sensors.list_sensors", &[], &["--parameter", "region=eu"]).json();
    home.invoke_with(
        "sensors.list_sensors",
        &[],
        &["--auth", "service", "--parameter", "region=eu", "--parameter", "name=anna"],
    )
    .json();
    let requests = provider.requests();
    assert_eq!(requests[0].target, "/sensors?page=1&key=canary-token-7f3a");
    assert_eq!(requests[0].header("authorization"), None);
    assert_eq!(requests[1].target, "/sensors?page=1");
    // anna:canary-token-7f3a
    assert_eq!(requests[1].header("authorization"), Some("Basic YW5uYTpjYW5hcnktdG9rZW4tN2YzYQ=="));
}

#[test]
fn an_address_needs_the_parameters_that_it_is_made_of() {
    let home = Home::with(&["sensors"]);
    let error = home.invoke("sensors.list_sensors", &[]).error(4);
    assert_eq!(text(&error, "message"), "the address of `api` needs the connection's `region`");
    assert_eq!(text(&error, "hint"), "give it: --parameter region=…");
    let shown =
        home.invoke_with("sensors.list_sensors", &[], &["--parameter", "region=eu", "--dry-run"]).json();
    assert_eq!(text(&shown, "url"), "https://eu.sensors.example.com/v1/sensors?page=1&key=***");
}

#[test]
fn parameters_of_a_connection_are_checked_before_anything_is_sent() {
    let home = Home::with(&["sensors"]);
    for (parameter, problem) in
        [("region=mars", "must be one of"), ("regoin=eu", "is not a field here; did you mean `region`?")]
    {
        let outcome = home.invoke_with("sensors.list_sensors", &[], &["--parameter", parameter]);
        let error = outcome.error(2);
        assert!(error["problems"][0]["message"].as_str().unwrap().starts_with(problem), "{error:#}");
    }
}

#[test]
fn fault_102_a_secret_in_an_address_is_masked_however_it_is_spelt() {
    let home = Home::with(&["sensors"]);
    let args = ["action", "invoke", "sensors.list_sensors", "--token-stdin", "--parameter", "region=eu"];
    let outcome = home.run_with_input(&[&args[..], &["--dry-run"]].concat(), "p@ss word/+&=ü");
    assert!(outcome.stdout.contains("?page=1&key=***\n"), "{}", outcome.stdout);
}

#[test]
fn a_deadline_is_for_all_pages_of_a_list_together() {
    let provider = Provider::start(|request, before| {
        let next = format!("<http://{}/p{before}>; rel=next", request.header("host").unwrap());
        let mut acts = vec![Act::Pause(Duration::from_millis(400))];
        acts.extend(reply(200, &[("link", &next)], format!("[{ISSUE}]")));
        acts
    });
    let outcome = forge(&provider).invoke_with("forge.list_issues", LIST, &["--all", "--timeout", "1"]);
    says(&outcome, 5, "timeout", "");
    assert!(outcome.took < Duration::from_secs(3), "{:?}", outcome.took);
}

#[test]
fn a_list_that_goes_round_in_circles_is_noticed() {
    let provider = Provider::start(|request, before| {
        let next = format!("<http://{}/p{}>; rel=next", request.header("host").unwrap(), before % 2);
        reply(200, &[("link", &next)], format!("[{ISSUE}]"))
    });
    let outcome = forge(&provider).invoke_with("forge.list_issues", LIST, &["--all"]);
    says(&outcome, 5, "unexpected_answer", "the list goes round in circles");
    assert!(provider.requests().len() <= 4);
}

#[test]
fn fault_58_what_the_operator_has_named_is_a_place_and_not_the_machine() {
    let provider = Provider::always(200, &[], "{}");
    let home = Home::with(&["faulty"]);
    home.endpoint("faulty", "api", &format!("{}/v2/here", provider.url()));
    for path in ["/", "/v2", "/v2/heretic", "/v2/here/../there"] {
        let address = format!("{}{path}", provider.url());
        let outcome = home.faulty("do", "ask", &json!({"method": "GET", "path": address}), &[]);
        assert_eq!(text(&outcome.error(1), "kind"), "blocked", "{address}");
    }
    for path in ["/v2/here", "/v2/here/x"] {
        let address = format!("{}{path}", provider.url());
        home.faulty("do", "ask", &json!({"method": "GET", "path": address}), &[]).json();
    }
    assert_eq!(provider.requests().len(), 2);
}

#[test]
fn output_that_is_lost_is_no_success() {
    let provider = Provider::always(201, &[], ISSUE);
    let home = forge(&provider);
    let args = ["action", "invoke", "forge.list_issues", "--token-stdin", "-o", "json", "--dry-run"];
    let mut command = home.command(&[&args[..], &["--set", "owner=a", "--set", "repo=b"]].concat());
    command.stdout(std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
    let outcome = finish(command, Some("token"));
    assert_eq!(outcome.code, 1, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("the output could not be written"), "{}", outcome.stderr);
}

#[test]
fn a_no_with_status_200_is_a_no() {
    for (body, code, kind) in [
        (r#"{"ok": false, "error": "room_closed", "text": "The room is closed."}"#, 5, "refused"),
        (r#"{"ok": false, "error": "key_expired"}"#, 4, "unauthorized"),
    ] {
        let provider = Provider::always(200, &[], body);
        let home = Home::with(&["sensors"]);
        home.endpoint("sensors", "api", &provider.url());
        let error = home.invoke("sensors.list_sensors", &[]).error(code);
        assert_eq!(text(&error, "kind"), kind, "{error:#}");
    }
}
