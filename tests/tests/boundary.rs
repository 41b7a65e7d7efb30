//! What a broken connector can do to its host: nothing but fail. And what of a call's inputs and secrets shows where.

use std::{fs, time::Duration};

use jackfield_tests::{Act, Home, Provider, Simulator, reply};
use serde_json::{Value, json};

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_default()
}

fn faulty() -> Home {
    Home::with(&["faulty"])
}

#[test]
fn fault_84_whatever_a_connector_answers_becomes_one_typed_error() {
    let home = faulty();
    // Enough for what is larger than any answer may be.
    home.configure("[workers]\nmemory_mib = 4096");
    for (what, kind, part) in [
        ("bad-utf8", "connector_fault", "no answer to an action"),
        ("not-json", "connector_fault", "no answer to an action"),
        ("no-message", "connector_fault", "no message"),
        ("wrong-type", "connector_fault", "an output that it does not declare (/said must be text)"),
        ("huge", "connector_fault", "1073741824 bytes; the limit is 16777216"),
        ("huge-error", "connector_fault", "1073741824 bytes; the limit is 16777216"),
        ("strange-error", "connector_fault", "in a way that cannot be read"),
        ("panic", "connector_panicked", "the connector panicked"),
        ("abort", "connector_crashed", "by signal 6"),
        ("segfault", "connector_crashed", "by signal 11"),
        ("overflow", "connector_crashed", "by signal 11"),
        ("exit", "connector_crashed", "with exit code 0"),
    ] {
        let outcome = home.faulty("do", what, &json!({}), &[]);
        let error = outcome.error(1);
        assert_eq!(text(&error, "kind"), kind, "{what}: {error:#}");
        assert!(text(&error, "message").contains(part), "{what}: {error:#}");
        assert!(text(&error, "id").starts_with("inv_"), "{what}");
    }
    assert_eq!(home.faulty("do", "say", &json!({}), &[]).json(), json!({"said": "hello"}));
}

#[test]
fn a_connector_that_never_gives_way_is_ended_soon_after_its_deadline() {
    for what in ["loop", "block"] {
        let outcome = faulty().faulty("do", what, &json!({}), &["--timeout", "1"]);
        let error = outcome.error(1);
        assert_eq!(text(&error, "kind"), "connector_timeout", "{error:#}");
        assert!((1000..3000).contains(&outcome.took.as_millis()), "{:?}", outcome.took);
    }
    // One that only waits gives way.
    let outcome = faulty().faulty("do", "wait", &json!({}), &["--timeout", "1"]);
    let error = outcome.error(5);
    assert_eq!(
        (text(&error, "kind"), text(&error, "message")),
        ("timeout", "faulty.do took longer than 1 s")
    );
}

#[test]
fn what_was_on_its_way_when_a_connector_died_is_ambiguous() {
    // Half of the answer comes, which makes the connector look again, and die.
    let provider = Provider::start(|_, _| {
        let mut acts = vec![Act::Pause(Duration::from_millis(100))];
        acts.extend(reply(201, &[], "{}"));
        acts
    });
    let home = faulty();
    home.endpoint("faulty", "api", &provider.url());
    let error =
        home.faulty("create", "ask-and-crash", &json!({"method": "POST", "path": "/x"}), &[]).error(5);
    assert_eq!(text(&error, "kind"), "ambiguous", "{error:#}");
    assert!(
        text(&error, "message").contains("nobody knows whether Faulty did it: the connector's worker died")
    );
    assert_eq!(provider.requests().len(), 1);
    // The same with a read is only a crash.
    let error = home.faulty("do", "ask-and-crash", &json!({"method": "GET", "path": "/x"}), &[]).error(1);
    assert_eq!(text(&error, "kind"), "connector_crashed", "{error:#}");
}

#[test]
fn an_output_that_cannot_be_used_after_a_creation_is_ambiguous() {
    let error = faulty().faulty("create", "wrong-type", &json!({}), &[]).error(5);
    assert_eq!(text(&error, "kind"), "ambiguous", "{error:#}");
}

#[test]
fn a_verb_that_the_host_does_not_offer_is_answered_and_not_obeyed() {
    let home = faulty();
    for op in ["blob_put", "state_get", "state_put", "exec", "http\u{7f}", ""] {
        let outcome = home.invoke("faulty.do", &["what=ask", &format!("op={op}")]);
        assert_eq!(text(&outcome.error(1), "kind"), "unsupported", "{op:?}");
    }
    let outcome = home.invoke("faulty.do", &["what=ask", "op=http", "head={}"]);
    assert_eq!(text(&outcome.error(1), "kind"), "connector_fault");
}

#[test]
fn a_call_has_a_bounded_number_of_requests_at_once() {
    let provider = Provider::start(|_, _| {
        let mut acts = vec![Act::Pause(Duration::from_millis(200))];
        acts.extend(reply(200, &[], "{}"));
        acts
    });
    let home = faulty();
    home.endpoint("faulty", "api", &provider.url());
    let outcome = home.faulty("do", "ask-a-thousand-times", &json!({"method": "GET", "path": "/x"}), &[]);
    assert_eq!(outcome.json(), json!({"said": "refused 936"}));
    assert_eq!(provider.requests().len(), 64);
}

#[test]
fn fault_89_an_input_that_does_not_fit_is_told_field_by_field_before_anything_is_sent() {
    let provider = Provider::always(201, &[], "{}");
    let home = Home::with(&["zoom"]);
    home.endpoint("zoom", "api", &provider.url());
    let input = json!({
        "topic": 5, "type": 8, "duration": 0, "agenda": "x".repeat(2001), "topci": "?", "timezone": "",
        "settings": {"audio": "loud", "meeting_invitees": [{"email": "nobody"}], "jbh_time": 7},
    });
    let outcome = home.run_with_input(
        &["action", "invoke", "zoom.create_meeting", "-f", "-", "-o", "json"],
        &input.to_string(),
    );
    let error = outcome.error(2);
    let mut problems: Vec<String> = error["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|problem| format!("{} {}", text(problem, "path"), text(problem, "message")))
        .collect();
    problems.sort();
    assert_eq!(
        problems,
        [
            "/agenda must be at most 2000 characters long; it has 2001",
            "/duration must be at least 1",
            "/recurrence is required when `type` is 8 (Recurring meeting with fixed time)",
            "/settings/audio must be one of both (Telephone and computer), telephony (Telephone only), voip (Computer only), thirdParty (Another provider's conference)",
            "/settings/jbh_time must be one of 0 (At any time), 5 (5 minutes), 10 (10 minutes), 15 (15 minutes)",
            "/settings/meeting_invitees/0/email must be an e-mail address",
            "/start_time is required when `type` is 8 (Recurring meeting with fixed time)",
            "/timezone must not be empty",
            "/topci is not a field here; did you mean `topic`?",
            "/topic must be text",
        ]
    );
    assert!(provider.requests().is_empty());
    // As text, each stands at its field, and the next command at the end.
    let outcome = home.run(&["action", "invoke", "zoom.create_meeting", "--set", "topci=x"]);
    assert_eq!(
        outcome.stderr,
        "error[invalid_input]: the input of zoom.create_meeting does not fit\n  topci  is not a field here; did you mean `topic`?\n  hint: see what it takes: jackfield action show zoom.create_meeting\n"
    );
}

#[test]
fn fault_90_no_digit_of_an_id_is_lost_in_either_direction() {
    let long = "123456789012345678901234567890";
    let provider = Provider::start(move |request, _| {
        let id = request.target.rsplit('/').next().unwrap_or_default().to_owned();
        reply(
            200,
            &[("content-type", "application/json")],
            format!(r#"{{"id": {id}, "pmi": 9007199254740993, "settings": {{"n": {long}}}}}"#),
        )
    });
    let home = Home::with(&["zoom"]);
    home.endpoint("zoom", "api", &provider.url());
    // As a number in a file, as text in a file, and on the command line: above 2^53, above 2^64.
    for id in ["9007199254740993", "18446744073709551615", "18446744073709551616", long] {
        for input in [format!(r#"{{"meeting_id": {id}}}"#), format!(r#"{{"meeting_id": "{id}"}}"#)] {
            let file = home.path().join("input.json");
            fs::write(&file, input).unwrap();
            let got = home.invoke_with("zoom.get_meeting", &[], &["-f", file.to_str().unwrap()]).json();
            assert_eq!(text(&got, "id"), id);
            assert_eq!(text(&got, "pmi"), "9007199254740993");
            assert_eq!(text(&got["settings"], "n"), long);
        }
        let got = home.invoke("zoom.get_meeting", &[&format!("meeting_id={id}")]).json();
        assert_eq!(text(&got, "id"), id);
    }
    for request in provider.requests() {
        assert!(
            !request.target.contains(['e', '.'].as_slice()) || request.target.starts_with("/meetings/"),
            "{}",
            request.target
        );
        let id = request.target.rsplit('/').next().unwrap();
        assert!(id.bytes().all(|byte| byte.is_ascii_digit()), "{id}");
    }
}

#[test]
fn fault_92_text_of_every_kind_arrives_as_it_was_and_too_much_of_it_is_refused() {
    let provider = Provider::start(|request, _| {
        let topic = request.json()["topic"].clone();
        reply(201, &[], json!({"id": 1, "topic": topic}).to_string())
    });
    let home = Home::with(&["zoom"]);
    home.endpoint("zoom", "api", &provider.url());
    for topic in [
        "\u{202e}gnp.exe\u{202c}",
        "zero\u{200b}width\u{feff}",
        "e\u{301} is not \u{e9}",
        "👩‍👩‍👧‍👦 週次定例 العربية",
        "{{ steps.x }} {% raw %} ${x} $(x) `x`",
        "<script>alert(1)</script>",
        "quote \" backslash \\ slash / null \u{0} tab \t",
        &"週".repeat(200),
    ] {
        let file = home.path().join("input.json");
        fs::write(&file, json!({"topic": topic}).to_string()).unwrap();
        let got = home.invoke_with("zoom.create_meeting", &[], &["-f", file.to_str().unwrap()]).json();
        assert_eq!(text(&got, "topic"), topic);
        assert_eq!(text(&provider.requests().last().unwrap().json(), "topic"), topic);
    }
    let asked = provider.requests().len();
    let file = home.path().join("input.json");
    fs::write(&file, json!({"topic": "x".repeat(1 << 20)}).to_string()).unwrap();
    let error = home.invoke_with("zoom.create_meeting", &[], &["-f", file.to_str().unwrap()]).error(2);
    assert_eq!(text(&error["problems"][0], "message"), "must be at most 200 characters long; it has 1048576");
    assert_eq!(provider.requests().len(), asked);
}

#[test]
fn fault_101_a_home_that_cannot_be_used_says_what_and_where() {
    let home = Home::with(&["zoom"]);
    let path = home.path();
    home.configure("[limits]\ndeadline_second = 5");
    let outcome = home.run(&["action", "list"]);
    assert_eq!(outcome.code, 1);
    assert_eq!(
        outcome.stderr,
        format!(
            "error[config]: {}/jackfield.toml: `limits.deadline_second` is not a key\n  hint: did you mean `deadline_seconds`?\n",
            path.display()
        )
    );

    let home = Home::with(&["zoom"]);
    let mut command = home.command(&["action", "list"]);
    let output = command.env("JACKFIELD_LIMITS__RETRIES", "lots").output().unwrap();
    assert_eq!(
        String::from_utf8_lossy(&output.stderr),
        "error[config]: the environment: `JACKFIELD_LIMITS__RETRIES` must be a whole number\n  hint: change it in the environment\n"
    );

    let home = Home::with(&[]);
    let nowhere = home.path().join("nowhere");
    let outcome = home.run(&["--home", nowhere.to_str().unwrap(), "connector", "list"]);
    assert_eq!(outcome.code, 1);
    assert_eq!(
        outcome.stderr,
        format!(
            "error[config]: there is no home at {0}\n  hint: make one: jackfield --home {0} init\n",
            nowhere.display()
        )
    );

    // A place where nothing can be written: below a file.
    let file = home.path().join("file");
    fs::write(&file, "").unwrap();
    let below = file.join("home");
    let outcome = home.run(&["init", below.to_str().unwrap()]);
    assert_eq!(outcome.code, 1);
    assert!(
        outcome.stderr.starts_with(&format!("error[config]: cannot make {}", below.display())),
        "{}",
        outcome.stderr
    );
}

const CANARY: &str = "canary-token-7f3a";
/// Nobody else may write it on a command line: all processes are looked at.
const PASSCODE: &str = "cnryPeek3";
/// One that is written there.
const OTHER: &str = "cnryPass9";

#[test]
fn fault_102_no_secret_shows_in_logs_errors_or_processes() {
    // The provider looks at our processes while the request is on its way.
    let provider = Provider::start(|_, before| {
        let _ = before;
        let mut seen = String::new();
        for process in fs::read_dir("/proc").unwrap().flatten() {
            let name = process.file_name().to_string_lossy().into_owned();
            let read = |file: &str| fs::read(process.path().join(file)).unwrap_or_default();
            let command = String::from_utf8_lossy(&read("cmdline")).into_owned();
            if name.bytes().all(|byte| byte.is_ascii_digit())
                && (command.contains("jackfield\0action") || command.contains("exe\0worker"))
            {
                seen.push_str(&command);
                seen.push_str(&String::from_utf8_lossy(&read("environ")));
            }
        }
        let found = [CANARY, PASSCODE].iter().any(|secret| seen.contains(secret));
        let worker = seen.contains("worker");
        reply(
            400,
            &[("content-type", "application/json")],
            // It also repeats what it was sent, as some providers do.
            format!(
                r#"{{"code": 300, "message": "found {found} worker {worker}: {CANARY} {PASSCODE}",
                    "errors": [{{"field": "password", "message": "{PASSCODE} is weak"}}]}}"#
            ),
        )
    });
    let home = Home::with(&["zoom"]);
    home.endpoint("zoom", "api", &provider.url());
    let file = home.path().join("input.json");
    fs::write(&file, json!({"topic": "Demo", "password": PASSCODE}).to_string()).unwrap();
    for format in ["json", "table"] {
        let args = [
            "-vvv",
            "action",
            "invoke",
            "zoom.create_meeting",
            "--token-stdin",
            "-f",
            file.to_str().unwrap(),
            "-o",
            format,
        ];
        let outcome = home.run_with_input(&args, CANARY);
        assert_eq!(outcome.code, 2, "{}", outcome.stderr);
        assert!(outcome.stderr.contains("found false worker true"), "{}", outcome.stderr);
        let everything = format!("{}{}{}", outcome.stdout, outcome.stderr, home.logs());
        for secret in [CANARY, PASSCODE] {
            assert!(!everything.contains(secret), "{everything}");
        }
    }
    assert_eq!(
        provider.requests()[0].header("authorization"),
        Some("Bearer canary-token-7f3a"),
        "it was really sent"
    );
    assert!(String::from_utf8_lossy(&provider.requests()[0].body).contains(PASSCODE), "and so was this");
}

#[test]
fn fault_102_a_rehearsal_masks_every_secret() {
    let home = Home::with(&["zoom"]);
    for format in ["json", "table"] {
        let args = [
            "action",
            "invoke",
            "zoom.create_meeting",
            "--set",
            "topic=Demo",
            "--set",
            "password=cnryPass9",
            "--token-stdin",
            "--dry-run",
            "-o",
            format,
        ];
        let outcome = home.run_with_input(&args, CANARY);
        assert_eq!(outcome.code, 0, "{}", outcome.stderr);
        let everything = format!("{}{}", outcome.stdout, outcome.stderr);
        assert!(!everything.contains(CANARY) && !everything.contains(OTHER), "{everything}");
        assert!(
            everything.contains("Bearer ***") && everything.contains(r#""password": "***""#),
            "{everything}"
        );
    }
}

#[test]
fn fault_102_what_a_connector_logs_is_cleaned_of_secrets() {
    let home = faulty();
    let outcome = home.invoke_with("faulty.do", &["what=log", "secret=cnryPass9"], &["-vvv"]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    let everything = format!("{}{}", outcome.stderr, home.logs());
    assert!(!everything.contains(OTHER));
    assert!(outcome.stderr.contains("red ***"), "{}", outcome.stderr);
}

#[test]
fn fault_103_a_line_of_a_connector_is_one_record_and_there_are_not_too_many() {
    let home = faulty();
    let outcome = home.invoke_with("faulty.do", &["what=log"], &["-vvv"]);
    assert!(!outcome.stderr.contains('\u{1b}') && !outcome.stderr.contains('\r'), "{:?}", outcome.stderr);
    assert!(outcome.stderr.contains(r"line 0\r\n\u{1b}[31mred"), "{}", outcome.stderr);
    let logs = home.logs();
    for line in logs.lines() {
        let record: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(!text(&record, "message").contains('\n'));
    }
    assert_eq!(logs.lines().filter(|line| line.contains("[31mred")).count(), 200);
    assert!(logs.contains("writes more than 200 lines"));
}

#[test]
fn fault_103_what_people_and_providers_write_cannot_forge_a_line() {
    let evil = "x\r\n{\"level\":\"INFO\",\"message\":\"forged\"}\u{1b}[2J";
    let provider = Provider::always(400, &[], json!({"code": 300, "message": evil}).to_string());
    let home = Home::with(&["zoom"]);
    home.endpoint("zoom", "api", &provider.url());
    let outcome = home.run_with_input(
        &[
            "-vvv",
            "action",
            "invoke",
            "zoom.create_meeting",
            "--token-stdin",
            "--set",
            &format!("topic={evil}"),
        ],
        "t",
    );
    assert_eq!(outcome.code, 2);
    assert!(!outcome.stderr.contains(['\u{1b}', '\r'].as_slice()), "{:?}", outcome.stderr);
    assert!(!outcome.stderr.lines().any(|line| line.starts_with('{')), "{}", outcome.stderr);
    assert!(home.logs().lines().all(|line| serde_json::from_str::<Value>(line).is_ok_and(|record| record["message"] != "forged")));
    // A name that is not there is repeated, escaped.
    let outcome = home.run(&["action", "invoke", &format!("zoom.{evil}")]);
    assert!(outcome.code == 2 && !outcome.stderr.contains('\u{1b}'), "{:?}", outcome.stderr);
}

#[test]
fn an_error_and_the_log_carry_the_id_of_the_invocation() {
    let simulator = Simulator::start(&[]);
    let home = simulator.home();
    let error = simulator.invoke(&home, "get_meeting", &["meeting_id=1"], &[]).error(5);
    let id = text(&error, "id");
    let line = home.logs().lines().rfind(|line| line.contains(id)).map(str::to_owned).unwrap_or_default();
    let record: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((text(&record["span"], "action"), text(&record, "kind")), ("zoom.get_meeting", "not_found"));
}

#[test]
fn one_that_is_told_to_end_says_which_invocation_it_was() {
    let provider = Provider::start(|_, _| vec![Act::Pause(Duration::from_secs(30))]);
    let home = Home::with(&["zoom"]);
    home.endpoint("zoom", "api", &provider.url());
    for signal in ["-INT", "-TERM"] {
        let before = provider.requests().len();
        let mut command =
            home.command(&["action", "invoke", "zoom.get_meetings", "--token-stdin", "-o", "json"]);
        let mut child = command.stdin(std::process::Stdio::piped()).spawn().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"token\n").unwrap();
        while provider.requests().len() == before {
            std::thread::sleep(Duration::from_millis(5));
        }
        std::process::Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
        let output = child.wait_with_output().unwrap();
        let error: Value = serde_json::from_slice(&output.stderr).unwrap();
        assert_eq!((output.status.code(), text(&error, "kind")), (Some(3), "cancelled"));
        let id = text(&error, "id");
        assert!(id.starts_with("inv_") && home.logs().contains(id), "{error:#}");
    }
}
