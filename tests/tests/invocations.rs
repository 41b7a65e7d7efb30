//! Looking up what was run: after success and failure, after a process that was killed, and without a secret in any file.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the message")]

use std::{
    fs,
    sync::{Arc, Mutex},
    time::Duration,
};

use jackfield_tests::{Act, Home, Outcome, Provider, Running, eventually, process, reply};
use rustix::process::Signal;
use serde_json::{Value, json};

const CANARY: &str = "canary-token-7f3a";
const PASSCODE: &str = "cnryPass9";
/// What lets somebody into a meeting, as the provider makes it.
const ZAK: &str = "cnry-zak-5d21";

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_default()
}

fn zoom(provider: &Provider) -> Home {
    let home = Home::with(&["zoom"]);
    home.endpoint("zoom", "api", &provider.url());
    home
}

fn meeting() -> String {
    json!({
        "id": 91_977_507_079_u64, "topic": "Demo", "password": PASSCODE, "h323_password": "cnry-h323",
        "start_url": format!("https://zoom.example.com/s/1?zak={ZAK}"),
        "join_url": format!("https://zoom.example.com/j/1?pwd={ZAK}&lang=de"),
    })
    .to_string()
}

fn create(home: &Home) -> Outcome {
    home.invoke("zoom.create_meeting", &["topic=Demo", &format!("password={PASSCODE}")])
}

/// The facts of a record that are the same for all that a connector does.
fn facts(home: &Home, record: &Value) {
    let verified = home.run(&["connector", "verify", "zoom", "-o", "json"]).json();
    assert_eq!(
        (&record["version"], &record["manifest"], &record["actor"], &record["project"], &record["source"]),
        (&verified["version"], &verified["manifest"], &json!("operator"), &json!("default"), &json!("cli"))
    );
    assert!(record["ms"].is_u64() && text(record, "begun").ends_with('Z'), "{record:#}");
}

#[test]
fn what_failed_is_found_by_the_id_that_its_error_has() {
    let provider = Provider::always(
        400,
        &[("content-type", "application/json"), ("x-request-id", "7"), ("set-cookie", "session=cnry-cookie")],
        format!(r#"{{"code": 300, "message": "{PASSCODE} is weak, {CANARY}"}}"#),
    );
    let home = zoom(&provider);
    let error = create(&home).error(2);
    let record = home.invocation(text(&error, "id"));
    facts(&home, &record);
    assert_eq!(
        (text(&record, "id"), text(&record, "action"), text(&record, "state"), text(&record, "effect")),
        (text(&error, "id"), "zoom.create_meeting", "failed", "creates")
    );
    assert_eq!((&record["attempts"], &record["error"]), (&json!(1), &error));
    assert_eq!(record["input"], json!({"topic": "Demo", "password": "***"}));
    let exchange = &record["exchange"][0];
    assert_eq!(exchange["request"]["method"], "POST");
    assert_eq!(exchange["request"]["url"], format!("{}/users/me/meetings", provider.url()));
    assert_eq!(exchange["request"]["headers"]["authorization"], "Bearer ***");
    assert_eq!(exchange["request"]["body"], json!({"topic": "Demo", "password": "***"}));
    assert_eq!(exchange["answer"]["status"], 400);
    assert_eq!(
        exchange["answer"]["headers"],
        json!({"content-type": "application/json", "x-request-id": "7"})
    );
    assert_eq!(exchange["answer"]["body"], json!({"code": 300, "message": "*** is weak, ***"}));
    // People see the same.
    let shown = home.run(&["invocation", "show", text(&error, "id")]);
    for part in ["state      failed", "-> 400 after", "*** is weak, ***", "error[invalid_input]: "] {
        assert!(shown.stdout.contains(part), "{part}: {}", shown.stdout);
    }
}

#[test]
fn what_went_well_is_found_too_and_what_lets_somebody_in_is_masked() {
    let provider = Provider::start(|request, before| match (request.method.as_str(), before) {
        ("POST", _) => reply(201, &[], meeting()),
        // The first time, it has a bad moment.
        (_, 1) => reply(502, &[], ""),
        _ => reply(200, &[], meeting()),
    });
    let home = zoom(&provider);
    create(&home).json();
    home.invoke("zoom.get_meeting", &["meeting_id=91977507079"]).json();
    let list = home.invocations(&[]);
    let names: Vec<_> = list.iter().map(|one| (text(one, "action"), text(one, "state"))).collect();
    assert_eq!(names, [("zoom.get_meeting", "done"), ("zoom.create_meeting", "done")], "the newest first");
    let [read, created] = [0, 1].map(|index| home.invocation(text(&list[index], "id")));
    for record in [&read, &created] {
        facts(&home, record);
        assert_eq!(text(&record["output"], "id"), "91977507079");
        let output = &record["output"];
        for name in ["password", "start_url", "h323_password"] {
            assert_eq!(output[name], "***", "{name}: {record:#}");
        }
    }
    assert_eq!((text(&read, "effect"), &read["attempts"]), ("reads", &json!(2)));
    let statuses: Vec<_> =
        read["exchange"].as_array().unwrap().iter().map(|one| &one["answer"]["status"]).collect();
    assert_eq!(statuses, [502, 200]);
    // What a read was answered is in its output.
    assert!(read["exchange"][1]["answer"]["body"].is_null(), "{read:#}");
    assert_eq!((text(&created, "effect"), &created["attempts"]), ("creates", &json!(1)));
    let answer = &created["exchange"][0]["answer"]["body"];
    assert_eq!((&answer["topic"], &answer["start_url"]), (&json!("Demo"), &json!("***")));
}

#[test]
fn the_beginning_of_an_id_is_enough_as_long_as_there_is_one() {
    let provider = Provider::always(204, &[], "");
    let home = zoom(&provider);
    for _ in 0..2 {
        home.invoke("zoom.delete_meeting", &["meeting_id=1"]).json();
    }
    let ids: Vec<String> = home.invocations(&[]).iter().map(|one| text(one, "id").to_owned()).collect();
    let same = ids[0].bytes().zip(ids[1].bytes()).take_while(|(a, b)| a == b).count();
    for id in &ids {
        assert_eq!(text(&home.invocation(&id[..=same]), "id"), id);
    }
    let show = |id: &str| home.run(&["invocation", "show", id, "-o", "json"]).error(2);
    let several = show(&ids[0][..same]);
    assert_eq!(text(&several, "message"), format!("several invocations begin with `{}`", &ids[0][..same]));
    for unknown in ["inv_1", &format!("{}0", ids[0]), "", "%", "zoom"] {
        let error = show(unknown);
        if !unknown.is_empty() {
            assert_eq!(text(&error, "message"), format!("there is no invocation `{unknown}`"));
            assert_eq!(text(&error, "hint"), "see which there are: jackfield invocation list");
        }
    }
}

/// Starts an action that is not answered, and waits until it was sent.
fn sent(home: &Home, provider: &Provider, action: &str, sets: &[&str]) -> Running {
    let before = provider.requests().len();
    let command = home.start_action(action, sets);
    provider.is_asked(before + 1);
    command
}

#[test]
fn fault_22_what_a_process_was_at_when_it_was_killed_is_known_to_be_lost() {
    let (provider, _let_go) = Provider::held(200, &[], "{}");
    let home = zoom(&provider);
    let creates = sent(&home, &provider, "zoom.create_meeting", &["topic=Demo", "password=cnryPass9"]);
    let running = home.invocations(&["--state", "running"]);
    assert_eq!(running.len(), 1);
    creates.signal(Signal::KILL);
    assert_eq!(creates.ends().code, -1);
    // A read that is lost is no loss.
    let reads = sent(&home, &provider, "zoom.get_meetings", &[]);
    reads.signal(Signal::KILL);
    assert_eq!(reads.ends().code, -1);

    assert_eq!(home.invocations(&["--state", "running"]), [] as [Value; 0]);
    let lost = home.invocations(&["--state", "lost"]);
    assert_eq!((lost.len(), &lost[0]["id"]), (1, &running[0]["id"]));
    let record = home.invocation(text(&lost[0], "id"));
    assert_eq!(record["input"], json!({"topic": "Demo", "password": "***"}));
    let shown = home.run(&["invocation", "show", text(&record, "id")]);
    assert!(
        shown
            .stdout
            .contains("lost: its process ended before it did; look at the provider for what became of it"),
        "{}",
        shown.stdout
    );
    assert_eq!(home.invocations(&[]).len(), 1);
}

#[test]
fn one_whose_process_has_ended_and_that_nobody_has_waited_for_is_lost() {
    let (provider, _let_go) = Provider::held(200, &[], "{}");
    let home = zoom(&provider);
    let command = sent(&home, &provider, "zoom.create_meeting", &["topic=Demo"]);
    assert_eq!(home.invocations(&["--state", "running"]).len(), 1);
    command.signal(Signal::KILL);
    eventually("the end", || !process::is_there(command.pid()));
    // Its parent, which is this test, has not asked yet what became of it.
    assert_eq!(text(&home.invocations(&[])[0], "state"), "lost");
    assert_eq!(command.ends().code, -1);
}

/// What is in a home after anything was done: nothing else is left behind.
fn usual(files: &[String]) -> bool {
    files.iter().all(|file| {
        let known = [
            "jackfield.toml",
            "data/jackfield.db",
            "data/jackfield.db-shm",
            "data/jackfield.db-wal",
            "data/plugins.json",
            "plugins/libzoom.so",
            "plugins/libfaulty.so",
        ];
        known.contains(&file.as_str()) || file.starts_with("logs/jackfield-")
    })
}

#[test]
fn one_that_is_stopped_says_so_leaves_nothing_behind_and_is_recorded() {
    let (provider, _let_go) = Provider::held(200, &[], "{}");
    let home = zoom(&provider);
    home.add(&jackfield_tests::artifact("libfaulty.so"));
    home.endpoint("faulty", "api", &provider.url());
    // What was read of the libraries is kept once they have been left alone for a while; it is written by way of another
    // file.
    eventually("the index", || {
        home.run(&["connector", "list"]).code == 0 && home.files().contains(&"data/plugins.json".to_owned())
    });
    let ask = r#"head={"method": "POST", "path": "/", "base": "api"}"#;
    for (action, sets, may_have_been_done) in [
        ("zoom.get_meetings", &[][..], true),
        ("zoom.create_meeting", &["topic=Demo"][..], true),
        ("faulty.create", &["what=ask", ask][..], true),
        // These wait for nothing that is ours, and would not give way.
        ("faulty.create", &["what=block"][..], false),
        ("faulty.do", &["what=loop"][..], false),
    ] {
        let what = format!("{action} {sets:?}");
        let before = provider.requests().len();
        let command = home.start_action(action, sets);
        if may_have_been_done {
            provider.is_asked(before + 1);
        } else {
            eventually("the beginning", || {
                home.logs().lines().last().is_some_and(|line| line.contains("begun"))
            });
        }
        eventually("the worker", || !process::children(command.pid()).is_empty());
        let workers = process::children(command.pid());
        command.signal(Signal::INT);
        let error = command.ends().error(3);
        assert_eq!(text(&error, "kind"), "cancelled", "{what}");
        assert_eq!(
            text(&error, "message"),
            if may_have_been_done {
                "cancelled; what was on its way to the provider by then may have been done"
            } else {
                "cancelled before anything was sent"
            },
            "{what}"
        );
        eventually("the end of the worker", || !workers.iter().any(|worker| process::is_there(*worker)));
        assert!(usual(&home.files()), "{what}: {:?}", home.files());
        let record = home.invocation(text(&error, "id"));
        assert_eq!((text(&record, "state"), &record["error"]), ("failed", &error), "{what}");
        assert_eq!(record["attempts"], u64::from(may_have_been_done), "{what}");
    }
}

#[test]
fn a_second_ctrl_c_does_not_wait_for_a_server_that_hangs() {
    let (provider, _let_go) = Provider::held(200, &[], "{}");
    let home = zoom(&provider);
    let server = home.serve();
    let mut command = sent(&home, &provider, "zoom.create_meeting", &["topic=Demo"]);
    process::halt(server.pid());
    eventually("the end", || {
        let ended = command.has_ended();
        if !ended {
            command.signal(Signal::INT);
        }
        ended
    });
    let ended = command.ends();
    assert_eq!((ended.code, ended.stdout.as_str()), (130, ""), "{}", ended.stderr);
    server.signal(Signal::CONT);
}

#[test]
fn one_ctrl_c_is_enough_even_if_the_server_hangs() {
    let (provider, _let_go) = Provider::held(200, &[], "{}");
    let home = zoom(&provider);
    let server = home.serve();
    let command = sent(&home, &provider, "zoom.create_meeting", &["topic=Demo"]);
    let id = home.invocations(&[])[0]["id"].clone();
    process::halt(server.pid());
    command.signal(Signal::INT);
    let error = command.ends().error(3);
    assert_eq!((text(&error, "kind"), &error["id"]), ("cancelled", &id));
    assert!(text(&error, "message").contains("may have been done"), "{error:#}");
    server.signal(Signal::CONT);
}

/// Keeps what is recorded from everybody else, as another process may, until this is dropped.
fn lock(home: &Home) -> fs::File {
    let file = fs::OpenOptions::new().read(true).write(true).open(home.path().join("data/jackfield.db"));
    let file = file.unwrap();
    rustix::fs::fcntl_lock(&file, rustix::fs::FlockOperation::LockExclusive).unwrap();
    file
}

/// Sends signals until it has ended, because two that come together are one.
fn insist(command: &mut Running, signal: Signal) {
    eventually("the end", || {
        let ended = command.has_ended();
        if !ended {
            command.signal(signal);
        }
        ended
    });
}

/// A call that waits for its beginning to be recorded.
fn waiting(home: &Home) -> Running {
    let before = home.logs().matches("begun").count();
    let command = home.start_action("zoom.create_meeting", &["topic=Demo"]);
    eventually("the beginning", || home.logs().matches("begun").count() > before);
    command
}

#[test]
fn one_that_waits_to_be_recorded_can_be_stopped() {
    let provider = Provider::always(201, &[], meeting());
    let home = zoom(&provider);
    create(&home).json();

    let locked = lock(&home);
    let command = waiting(&home);
    command.signal(Signal::INT);
    eventually("the failure", || home.logs().contains(r#""kind":"cancelled""#));
    drop(locked);
    let error = command.ends().error(3);
    assert_eq!(text(&error, "message"), "cancelled before anything was sent");
    let record = home.invocation(text(&error, "id"));
    assert_eq!((text(&record, "state"), &record["error"]), ("failed", &error));

    // Whoever does not want to wait for the record either has it at once.
    let locked = lock(&home);
    let mut command = waiting(&home);
    insist(&mut command, Signal::INT);
    drop(locked);
    let ended = command.ends();
    assert_eq!((ended.code, ended.stdout.as_str()), (130, ""), "{}", ended.stderr);
    assert_eq!(provider.requests().len(), 1, "only the first one was sent");
}

#[test]
fn one_that_only_shows_its_request_can_be_stopped() {
    for served in [false, true] {
        let home = Home::with(&["zoom"]);
        home.add(&jackfield_tests::artifact("libfaulty.so"));
        let server = served.then(|| home.serve());
        let args =
            ["action", "invoke", "faulty.do", "--set", "what=loop", "--dry-run", "--token-stdin", "-o"];
        let command = home.start(&[&args[..], &["json"]].concat(), "canary-token-7f3a\n");
        let host = server.as_ref().map_or(command.pid(), Running::pid);
        eventually("the loop", || process::children(host).iter().any(|worker| process::is_busy(*worker)));
        command.signal(Signal::INT);
        let error = command.ends().error(3);
        assert_eq!(
            (text(&error, "kind"), text(&error, "message")),
            ("cancelled", "cancelled before anything was sent"),
            "served: {served}"
        );
        assert_eq!(home.invocations(&[]), [] as [Value; 0]);
    }
}

#[test]
fn one_that_goes_round_in_circles_over_what_came_ends_at_the_first_signal() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let provider = Provider::always(200, &[], r#"{"meetings": []}"#);
        let home = zoom(&provider);
        let args = ["action", "invoke", "zoom.get_meetings", "--token-stdin", "--query", "def f: f; f"];
        let mut command = home.start(&args, "canary-token-7f3a\n");
        eventually("what came", || home.logs().contains(r#""message":"done""#));
        // From there to the query it is no way at all, but nothing says when it is there.
        std::thread::sleep(Duration::from_millis(500));
        command.signal(signal);
        eventually("the end", || command.has_ended());
        assert_eq!(command.ends().code, code);
    }
}

const SECRETS: [&str; 5] = [CANARY, PASSCODE, ZAK, "cnry-h323", "cnry-cookie"];

#[track_caller]
fn no_secret(what: &str, home: &Home, said: &str) {
    for file in home.files().iter().filter(|file| !file.starts_with("plugins/")) {
        // A socket has nothing to read.
        let bytes = fs::read(home.path().join(file)).unwrap_or_default();
        let found = SECRETS
            .iter()
            .find(|secret| bytes.windows(secret.len()).any(|window| window == secret.as_bytes()));
        assert_eq!(found, None, "{what}: in {file}");
    }
    let found = SECRETS.iter().find(|secret| said.contains(**secret));
    assert_eq!(found, None, "{what}: {said}");
}

/// What a provider may do that makes secrets itself, and repeats those that it was sent wherever it can.
fn indiscreet(sent: &str) -> Vec<(&'static str, Vec<Act>)> {
    let echo = |code: u32| {
        format!(
            r#"{{"code": {code}, "message": "{sent} {CANARY}", "password": "{ZAK}",
            "errors": [{{"field": "{sent}", "message": "{CANARY}"}}]}}"#
        )
    };
    let html = format!("<html>{CANARY} {sent}</html>");
    let set_cookie = ("set-cookie", "session=cnry-cookie");
    let away = format!("http://127.0.0.1:1/?access_token={CANARY}&pwd={ZAK}");
    let cut = format!(
        "HTTP/1.1 201 X\r\ncontent-length: 1000\r\n\r\n{{\"password\": \"{PASSCODE}\", \"zak\": \"{ZAK}\""
    );
    let long =
        json!({"id": 1, "topic": "x".repeat(20_000), "password": PASSCODE, "start_url": ZAK}).to_string();
    vec![
        ("done", reply(201, &[set_cookie], meeting())),
        ("done at length", reply(201, &[set_cookie], long)),
        ("refused", reply(400, &[set_cookie, ("content-type", "application/json")], echo(300))),
        ("not accepted", reply(401, &[("www-authenticate", &format!("Bearer realm={CANARY}"))], echo(124))),
        ("not there", reply(404, &[], echo(3001))),
        ("too many", reply(429, &[("retry-after", "100000")], echo(429))),
        ("failed", reply(500, &[("content-type", "text/html")], &html)),
        ("moved", reply(302, &[("location", &away)], "")),
        ("no JSON", reply(201, &[], &html)),
        (
            "another shape",
            reply(201, &[], json!({"id": {"password": PASSCODE}, "start_url": [ZAK]}).to_string()),
        ),
        ("cut short", vec![Act::Send(cut.into_bytes())]),
        ("broken off", vec![Act::Reset]),
        ("late", vec![Act::Pause(Duration::from_secs(20))]),
    ]
}

#[test]
fn fault_102_no_file_of_a_home_holds_a_secret_whatever_becomes_of_a_call() {
    for served in [false, true] {
        let now: Arc<Mutex<&str>> = Arc::default();
        let what = now.clone();
        let provider = Provider::start(move |request, _| {
            let sent = if request.body.is_empty() { "nothing" } else { PASSCODE };
            let what = *what.lock().unwrap();
            indiscreet(sent).into_iter().find(|(name, _)| *name == what).unwrap().1
        });
        let home = zoom(&provider);
        home.add(&jackfield_tests::artifact("libfaulty.so"));
        home.configure("[limits]\nretries = 1");
        let server = served.then(|| {
            let server = home.start(&["serve", "-vvv"], "");
            server.says("; Ctrl-C ends it");
            server
        });
        let passcode = format!("password={PASSCODE}");
        let secret = format!("secret={PASSCODE}");
        let mut codes = Vec::new();
        let mut check = |what: &str, outcome: &Outcome| {
            no_secret(&format!("{what}, served: {served}"), &home, &outcome.stderr);
            codes.push(outcome.code);
        };
        for (what, _) in indiscreet("") {
            *now.lock().unwrap() = what;
            let more: &[&str] = if what == "late" { &["-vvv", "--timeout", "1"] } else { &["-vvv"] };
            for (action, sets) in [
                ("zoom.create_meeting", &["topic=Demo", passcode.as_str()][..]),
                ("zoom.get_meeting", &["meeting_id=1"]),
            ] {
                check(&format!("{what}: {action}"), &home.invoke_with(action, sets, more));
            }
        }
        for what in ["say", "log", "panic", "abort", "not-json", "strange-error", "wrong-type"] {
            check(what, &home.invoke_with("faulty.do", &[&format!("what={what}"), &secret], &["-vvv"]));
        }
        // One that is stopped, and one that is killed.
        *now.lock().unwrap() = "late";
        for signal in [Signal::INT, Signal::KILL] {
            let command = sent(&home, &provider, "zoom.create_meeting", &["topic=Demo", &passcode]);
            command.signal(signal);
            check("stopped", &command.ends());
        }
        for expected in [0, 1, 2, 3, 4, 5, 6, -1] {
            assert!(codes.contains(&expected), "nothing ended with {expected}: {codes:?}");
        }
        if let Some(server) = server {
            server.signal(Signal::TERM);
            no_secret("the server", &home, &server.ends().stderr);
        }
        // They were really there.
        let sent = provider.requests();
        assert!(sent.iter().any(|request| String::from_utf8_lossy(&request.body).contains(PASSCODE)));
        assert!(
            sent.iter().all(|request| request.header("authorization") == Some(&format!("Bearer {CANARY}")))
        );
        assert!(home.invocations(&["--limit", "100"]).len() > 30);
    }
}
