//! `jackfield serve`: who may come in, what it does for commands, and how it ends.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the message")]

use std::{
    fs,
    io::ErrorKind,
    io::Read,
    os::unix::{
        fs::{FileTypeExt, PermissionsExt},
        net::{UnixListener, UnixStream},
    },
};

use jackfield_tests::{Home, Line, Outcome, Provider, Running, Terminal, eventually, process, reply, skip};
use regex::Regex;
use rustix::process::Signal;
use serde_json::{Value, json};

const NOTHING: Value = Value::Null;

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_default()
}

/// A home whose Zoom is this provider.
fn zoom(provider: &Provider) -> Home {
    let home = Home::with(&["zoom"]);
    home.endpoint("zoom", "api", &provider.url());
    home
}

/// A provider that has no meetings, and says so when it is let go.
fn held() -> (Provider, std::sync::mpsc::Sender<()>) {
    Provider::held(200, &[], r#"{"meetings": []}"#)
}

fn create(home: &Home) -> Running {
    home.start_action("zoom.create_meeting", &["topic=Demo"])
}

fn list(home: &Home) -> Running {
    home.start_action("zoom.get_meetings", &[])
}

fn running(home: &Home) -> Value {
    home.ask("GET", "/v1/health", &NOTHING).1["running"].clone()
}

#[test]
fn the_socket_is_its_owners_alone_and_there_is_one_server_a_home() {
    let home = Home::with(&["zoom"]);
    let server = home.serve();
    let socket = fs::metadata(home.socket()).unwrap();
    assert!(socket.file_type().is_socket());
    assert_eq!(socket.permissions().mode() & 0o777, 0o600);

    let second = home.run(&["serve"]);
    assert_eq!(
        (second.code, second.stderr),
        (
            1,
            format!(
                "error[config]: {} is served already, by process {}\n  hint: use that one, as all commands do, or end it: jackfield serve --drain\n",
                home.path().display(),
                server.pid()
            )
        )
    );
    let (status, health) = home.ask("GET", "/v1/health", &NOTHING);
    assert!(health["up_seconds"].is_u64(), "{health:#}");
    assert_eq!(
        (status, health),
        (
            200,
            json!({
                "state": "serving", "version": env!("CARGO_PKG_VERSION"), "pid": server.pid(),
                "up_seconds": home.ask("GET", "/v1/health", &NOTHING).1["up_seconds"], "connectors": 1, "running": 0,
            })
        )
    );
}

#[test]
fn what_is_asked_wrongly_is_answered_with_a_problem() {
    let home = Home::with(&["zoom"]);
    let _server = home.serve();
    let action = |action: &str, input: Value| json!({"action": action, "input": input});
    let list = |limit: &str, most: u64| json!({"action": "zoom.get_meetings", limit: most});
    for (method, path, body, status, kind) in [
        ("GET", "/v1/nonsense", NOTHING, 404, "unknown"),
        ("DELETE", "/v1/health", NOTHING, 405, "usage"),
        ("GET", "/v1/connectors/zom", NOTHING, 404, "unknown"),
        ("GET", "/v1/invocations/inv_1", NOTHING, 404, "unknown"),
        ("GET", "/v1/invocations?nonsense=1", NOTHING, 400, "usage"),
        ("POST", "/v1/invocations/inv_1/cancel", NOTHING, 404, "unknown"),
        ("GET", "/v1/connectors/%ff", NOTHING, 400, "usage"),
        ("GET", "/v1/invocations/%ff", NOTHING, 400, "usage"),
        ("GET", "/v1/invocations?state=%ff", NOTHING, 400, "usage"),
        ("POST", "/v1/invocations/%ff/cancel", NOTHING, 400, "usage"),
        ("POST", "/v1/invocations", json!({"nonsense": 1}), 400, "usage"),
        ("POST", "/v1/invocations", list("timeout_seconds", u64::MAX), 400, "usage"),
        ("POST", "/v1/invocations", list("timeout_seconds", 3601), 400, "usage"),
        ("POST", "/v1/invocations", list("timeout_seconds", 0), 400, "usage"),
        ("POST", "/v1/invocations", list("all", 0), 400, "usage"),
        // What is within limits comes as far as the token that is missing.
        ("POST", "/v1/invocations", list("timeout_seconds", 3600), 409, "unauthorized"),
        ("POST", "/v1/invocations", list("all", 1), 409, "unauthorized"),
        ("POST", "/v1/invocations", action("zoom.nonsense", json!({})), 404, "unknown"),
        ("POST", "/v1/invocations", action("zoom.get_meeting", json!({})), 422, "invalid_input"),
        ("POST", "/v1/invocations", action("zoom.get_meetings", json!({})), 409, "unauthorized"),
    ] {
        let (answered, problem) = home.ask(method, path, &body);
        assert_eq!((answered, text(&problem, "kind")), (status, kind), "{method} {path}: {problem:#}");
        assert_eq!(problem["status"], status, "{method} {path}: {problem:#}");
        assert_eq!(text(&problem, "type"), format!("urn:jackfield:error:{kind}"));
    }
}

#[test]
fn while_there_is_a_server_it_does_what_commands_are_for() {
    let (provider, let_go) = held();
    let home = zoom(&provider);
    let server = home.serve();
    let workers: Vec<Vec<u32>> = (1..=2)
        .map(|times| {
            let command = list(&home);
            provider.is_asked(times);
            assert_eq!(running(&home), 1);
            assert!(process::children(command.pid()).is_empty(), "the command has no worker of its own");
            let workers = process::children(server.pid());
            let_go.send(()).unwrap();
            assert_eq!(command.ends().json(), json!({"meetings": []}));
            workers
        })
        .collect();
    assert_eq!((workers[0].len(), &workers[0]), (1, &workers[1]), "one worker, and it stays");
    assert_eq!(running(&home), 0);
}

/// What a command did, without what is another one each time.
fn told(outcome: &Outcome) -> (i32, String) {
    let text = format!("{}{}", outcome.stdout, outcome.stderr);
    let changing =
        ["inv_[0-9a-f]{20,32}", r"[0-9]{4}-[0-9-]{5}T[0-9:.]+Z", "[0-9]+ ms *", r#""ms": [0-9]+"#, "TOOK *"];
    let same = changing
        .iter()
        .fold(text, |text, pattern| Regex::new(pattern).unwrap().replace_all(&text, "…").into_owned());
    (outcome.code, same)
}

#[test]
fn a_command_says_the_same_whoever_carries_it_out() {
    let provider = Provider::start(|request, _| match request.method.as_str() {
        "GET" if request.target.contains("page_size=1") => {
            reply(200, &[], r#"{"meetings": [], "next_page_token": "t"}"#)
        }
        "GET" => reply(404, &[], r#"{"code": 3001, "message": "Meeting does not exist"}"#),
        _ => reply(204, &[], ""),
    });
    let commands: &[&[&str]] = &[
        &["connector", "list"],
        &["connector", "list", "-o", "json"],
        &["connector", "show", "zoom"],
        &["connector", "show", "zom"],
        &["action", "list", "zoom", "-o", "name"],
        &["action", "invoke", "zoom.get_meeting", "--set", "meeting_id=1", "--token-file", "token"],
        &[
            "action",
            "invoke",
            "zoom.get_meeting",
            "--set",
            "meeting_id=1",
            "--token-file",
            "token",
            "-o",
            "json",
        ],
        &["action", "invoke", "zoom.get_meetings", "--set", "page_size=1", "--token-file", "token"],
        &["action", "invoke", "zoom.get_meetings", "--set", "page_size=1", "--token-file", "token", "--all"],
        &[
            "action",
            "invoke",
            "zoom.delete_meeting",
            "--set",
            "meeting_id=1",
            "--token-file",
            "token",
            "-o",
            "json",
        ],
        &[
            "action",
            "invoke",
            "zoom.delete_meeting",
            "--set",
            "meeting_id=1",
            "--token-file",
            "token",
            "--dry-run",
        ],
        &["action", "invoke", "zoom.delete_meeting", "--set", "meeting_id=1", "--dry-run", "-o", "json"],
        &["action", "invoke", "zoom.delete_meeting", "--set", "meeting_id=1"],
        &["action", "invoke", "zoom.delete_meeting", "--set", "meeting_id=", "--token-file", "token"],
        &[
            "action",
            "invoke",
            "zoom.delete_meeting",
            "--set",
            "meeting_id=1",
            "--token-file",
            "token",
            "--all",
        ],
        &[
            "action",
            "invoke",
            "zoom.delete_meeting",
            "--set",
            "meeting_id=1",
            "--token-file",
            "token",
            "--auth",
            "x",
        ],
        &["action", "invoke", "zoom.delete", "--token-file", "token"],
        &["action", "invoke", "zom.delete_meeting", "--token-file", "token"],
        &["invocation", "list"],
        &["invocation", "list", "--action", "zoom.delete_meeting", "-o", "json"],
        &["invocation", "list", "--action", "zoom", "--state", "failed", "--limit", "1"],
        &["invocation", "show", "inv_1"],
        &["invocation", "show", "inv_"],
        &["invocation", "show", "a/b?c"],
    ];
    let all = |served: bool| {
        let home = zoom(&provider);
        fs::write(home.path().join("../token"), "a-token\n").unwrap();
        let server = served.then(|| home.serve());
        let told: Vec<_> = commands.iter().map(|command| told(&home.run(command))).collect();
        drop(server);
        let here = home.path().display().to_string();
        told.into_iter().map(|(code, text)| (code, text.replace(&here, "HOME"))).collect::<Vec<_>>()
    };
    for ((alone, served), command) in all(false).iter().zip(all(true)).zip(commands) {
        assert_eq!((alone.0, alone.1.as_str()), (served.0, served.1.as_str()), "{command:?}");
    }
}

#[test]
fn a_library_that_is_dropped_in_is_there_without_starting_again() {
    let home = Home::with(&[]);
    let _server = home.serve();
    assert_eq!(home.run(&["connector", "list", "-o", "name"]).stdout, "");
    home.add(&jackfield_tests::artifact("libzoom.so"));
    eventually("the connector", || home.run(&["connector", "list", "-o", "name"]).stdout == "zoom\n");
}

/// A request would go to the provider itself where the operator has meant to send it elsewhere.
#[test]
fn what_is_configured_while_it_serves_counts_from_then_on() {
    let first = Provider::always(200, &[], r#"{"meetings": []}"#);
    let second = Provider::always(200, &[], r#"{"meetings": []}"#);
    let home = Home::with(&[]);
    let _server = home.serve();
    let add = |provider: &Provider| {
        let endpoint = format!("api={}", provider.url());
        let library = jackfield_tests::artifact("libzoom.so");
        let added = home.run(&["connector", "add", library.to_str().unwrap(), "--endpoint", &endpoint]);
        assert_eq!(added.code, 0, "{}", added.stderr);
    };
    for provider in [&first, &second] {
        add(provider);
        let listed = home.invoke("zoom.get_meetings", &[]);
        assert_eq!((listed.code, provider.requests().len()), (0, 1), "{}", listed.stderr);
    }
    assert_eq!(first.requests().len(), 1);

    home.configure("[limitz]\nretries = 1");
    let refused = home.invoke("zoom.get_meetings", &[]).error(1);
    assert_eq!(text(&refused, "kind"), "config");
    assert_eq!(second.requests().len(), 1, "nothing is sent while nobody knows where to");
}

#[test]
fn fault_97_one_that_is_told_to_end_finishes_what_it_does_and_takes_nothing_more() {
    for way in ["SIGTERM", "SIGINT", "--drain"] {
        let (provider, let_go) = held();
        let home = zoom(&provider);
        let server = home.serve();
        let mut line = Line::to(&home);
        let command = list(&home);
        provider.is_asked(1);
        let workers = process::children(server.pid());
        match way {
            "SIGTERM" => server.signal(Signal::TERM),
            "SIGINT" => server.signal(Signal::INT),
            _ => {
                let said = home.run(&["serve", "--drain"]);
                let expected = format!("process {} ends when it has finished 1 invocation\n", server.pid());
                assert_eq!((said.code, said.stderr), (0, expected));
            }
        }
        // Whoever comes now does it without the server.
        eventually("the end of the socket", || !home.socket().exists());
        let health = line.ask("GET", "/v1/health", &NOTHING).1;
        assert_eq!((text(&health, "state"), &health["running"]), ("draining", &json!(1)), "{way}");
        let refused = line.ask("POST", "/v1/invocations", &json!({"action": "zoom.get_meetings"}));
        assert_eq!((refused.0, text(&refused.1, "kind")), (503, "unavailable"), "{way}");
        let late = list(&home);
        provider.is_asked(2);
        assert_eq!(process::children(late.pid()).len(), 1, "{way}: it has a worker of its own");
        // A new one does not take the home from one that still works.
        assert_eq!(home.run(&["serve"]).code, 1, "{way}");

        drop(let_go);
        for command in [command, late] {
            assert_eq!(command.ends().json(), json!({"meetings": []}), "{way}");
        }
        let ended = server.ends();
        assert_eq!((ended.code, ended.stdout.as_str()), (0, ""), "{way}: {}", ended.stderr);
        assert!(ended.stderr.ends_with("ended\n"), "{way}: {}", ended.stderr);
        assert!(!home.socket().exists(), "{way}");
        eventually("the end of its workers", || !workers.iter().any(|worker| process::is_there(*worker)));
        let states: Vec<Value> = home.invocations(&[]).iter().map(|one| one["state"].clone()).collect();
        assert_eq!(states, ["done", "done"], "{way}");
    }
}

#[test]
fn fault_97_a_second_signal_ends_it_at_once_and_callers_are_told_what_is_known() {
    for (start, kind, code) in [(list as fn(&Home) -> Running, "internal", 1), (create, "ambiguous", 5)] {
        let (provider, _let_go) = held();
        let home = zoom(&provider);
        let server = home.serve();
        let command = start(&home);
        provider.is_asked(1);
        server.signal(Signal::TERM);
        server.says("finishing what is under way");
        server.signal(Signal::TERM);
        assert_eq!(server.ends().code, 130);
        let error = command.ends().error(code);
        assert_eq!(text(&error, "kind"), kind, "{error:#}");
        let id = text(&error, "id");
        assert!(id.starts_with("inv_"), "{error:#}");
        // What changes something was recorded before it was sent; of a read, nothing is left to tell.
        if kind == "ambiguous" {
            assert_eq!(text(&home.invocation(id), "state"), "lost");
            assert!(text(&error, "hint").contains(&format!("jackfield invocation show {id}")), "{error:#}");
        }
    }
}

#[test]
fn what_a_server_that_was_killed_has_left_hinders_nobody() {
    let (provider, let_go) = held();
    drop(let_go);
    let home = zoom(&provider);
    let server = home.serve();
    assert_eq!(list(&home).ends().code, 0);
    let workers = process::children(server.pid());
    assert_eq!(workers.len(), 1);
    server.signal(Signal::KILL);
    assert_eq!(server.ends().code, -1);
    eventually("the end of its workers", || !workers.iter().any(|worker| process::is_there(*worker)));
    assert!(home.socket().exists(), "it could not take it away");
    assert_eq!(list(&home).ends().json(), json!({"meetings": []}));
    assert_eq!(home.run(&["connector", "list", "-o", "name"]).stdout, "zoom\n");
    assert_eq!(home.run(&["serve", "--drain"]).stderr, format!("nobody serves {}\n", home.path().display()));
    // The next one takes its place.
    let next = home.serve();
    assert_eq!(home.ask("GET", "/v1/health", &NOTHING).1["pid"], next.pid());
    assert_eq!(fs::metadata(home.socket()).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_command_that_has_outlasted_the_server_does_it_by_itself() {
    let provider = Provider::always(204, &[], "");
    let home = zoom(&provider);
    home.configure("");
    let token = home.path().join("token");
    fs::write(&token, "a-token\n").unwrap();
    let server = home.serve();
    let args = ["action", "invoke", "zoom.delete_meeting", "-i", "--token-file", token.to_str().unwrap()];
    let mut terminal = Terminal::start(home.command(&args), 100, 30);
    // While somebody fills the form, the server is ended.
    terminal.sees("Meeting ID *");
    server.signal(Signal::TERM);
    assert_eq!(server.ends().code, 0);
    terminal.answers("Meeting ID *", "92674392836");
    for question in ["Ignore missing", "Occurrence ID", "Notify the host", "Notify registrants"] {
        terminal.answers(question, "");
    }
    let (code, screen) = terminal.ends();
    assert_eq!(code, 0, "{screen}");
    assert_eq!(provider.requests().len(), 1);
}

#[test]
fn a_command_that_goes_away_takes_its_call_with_it() {
    for signal in [Signal::INT, Signal::TERM, Signal::KILL] {
        let (provider, let_go) = held();
        let home = zoom(&provider);
        let _server = home.serve();
        let command = create(&home);
        provider.is_asked(1);
        let id = home.invocations(&["--state", "running"])[0]["id"].clone();
        let id = id.as_str().unwrap();
        command.signal(signal);
        let ended = command.ends();
        if signal != Signal::KILL {
            let error = ended.error(3);
            assert_eq!((text(&error, "kind"), text(&error, "id")), ("cancelled", id));
            assert!(text(&error, "message").contains("may have been done"), "{error:#}");
        }
        eventually("the end of the call", || running(&home) == 0);
        let record = home.invocation(id);
        assert_eq!((text(&record, "state"), text(&record["error"], "kind")), ("failed", "cancelled"));
        // The server is as good as before.
        drop(let_go);
        assert_eq!(list(&home).ends().code, 0);
    }
}

#[test]
fn what_the_api_runs_can_be_cancelled_by_its_id() {
    let (provider, _let_go) = held();
    let home = zoom(&provider);
    let _server = home.serve();
    let body = json!({"action": "zoom.create_meeting", "input": {"topic": "Demo"}, "token": "a-token"});
    std::thread::scope(|scope| {
        let answer = scope.spawn(|| home.ask("POST", "/v1/invocations", &body));
        provider.is_asked(1);
        let running = home.ask("GET", "/v1/invocations?state=running", &NOTHING).1;
        let id = text(&running["items"][0], "id").to_owned();
        assert_eq!(home.ask("POST", &format!("/v1/invocations/{id}/cancel"), &NOTHING).0, 200);
        let (status, problem) = answer.join().unwrap();
        assert_eq!((status, text(&problem, "kind"), text(&problem, "id")), (409, "cancelled", id.as_str()));
        let record = home.ask("GET", &format!("/v1/invocations/{id}"), &NOTHING).1;
        assert_eq!((text(&record, "source"), text(&record["error"], "kind")), ("api", "cancelled"));
    });
}

#[test]
fn the_servers_of_two_homes_have_nothing_to_do_with_each_other() {
    let (provider, let_go) = held();
    let homes = [zoom(&provider), Home::with(&["zoom", "forge"])];
    let mut servers: Vec<Running> = homes.iter().map(Home::serve).collect();
    let command = create(&homes[0]);
    provider.is_asked(1);
    assert_eq!((running(&homes[0]), running(&homes[1])), (json!(1), json!(0)));
    assert_eq!(homes[1].run(&["connector", "list", "-o", "name"]).stdout, "forge\nzoom\n");
    assert_eq!(homes[1].invocations(&[]), [] as [Value; 0]);
    servers[1].signal(Signal::TERM);
    assert_eq!(servers.pop().unwrap().ends().code, 0);
    assert!(!homes[1].socket().exists() && homes[0].socket().exists());
    drop(let_go);
    assert_eq!(command.ends().code, 0);
}

#[test]
fn a_home_may_lie_deep() {
    let home = Home::with(&[]);
    let deep = home.path().join("a-directory-with-a-long-name-".repeat(5));
    let deep = deep.to_str().unwrap();
    assert_eq!(home.run(&["--home", deep, "init"]).code, 0);
    let server = home.start(&["--home", deep, "serve"], "");
    server.says("; Ctrl-C ends it");
    let second = home.run(&["--home", deep, "serve"]);
    assert!(second.stderr.contains(&format!("by process {}", server.pid())), "{}", second.stderr);
    let drained = home.run(&["--home", deep, "serve", "--drain"]);
    assert!(drained.stderr.contains(&format!("process {} ends", server.pid())), "{}", drained.stderr);
    assert_eq!(server.ends().code, 0);
}

fn open(path: &std::path::Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Does something as somebody else. The kernel knows the user of each thread.
fn as_nobody<T: Send>(what: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let other = scope.spawn(|| {
            let nobody = rustix::process::Uid::from_raw(65534);
            rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
            what()
        });
        other.join().unwrap()
    })
}

#[test]
fn another_user_is_kept_out_by_the_file_and_by_the_server() {
    if !rustix::process::geteuid().is_root() {
        return skip("another user at the socket", "only root can be somebody else");
    }
    let home = Home::with(&[]);
    let _server = home.serve();
    for directory in [home.path().parent().unwrap(), &home.path(), &home.path().join("data")] {
        open(directory, 0o755);
    }
    let connect = || UnixStream::connect(home.socket()).map(|_| 0).map_err(|error| error.kind());
    assert_eq!(as_nobody(connect), Err(ErrorKind::PermissionDenied), "by the file");
    open(&home.socket(), 0o666);
    let ask = || home.ask("GET", "/v1/health", &NOTHING).0;
    assert_eq!(as_nobody(ask), 403, "by the server");
    assert_eq!(ask(), 200);
}

#[test]
fn nobody_else_is_taken_for_the_server() {
    if !rustix::process::geteuid().is_root() {
        return skip("a socket of another user", "only root can be somebody else");
    }
    let home = Home::with(&["zoom"]);
    for directory in [home.path().parent().unwrap(), &home.path()] {
        open(directory, 0o755);
    }
    open(&home.path().join("data"), 0o777);
    let planted = as_nobody(|| UnixListener::bind(home.socket()).unwrap());
    let error = create(&home).ends().error(1);
    assert_eq!(
        (text(&error, "kind"), text(&error, "message")),
        (
            "blocked",
            format!("{} is served by another user, who is told nothing", home.socket().display()).as_str()
        )
    );
    assert!(text(&error, "hint").contains("take that socket away"), "{error:#}");
    let mut told = String::new();
    planted.accept().unwrap().0.read_to_string(&mut told).unwrap();
    assert_eq!(told, "");
}
