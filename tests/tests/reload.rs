//! Libraries that come, change and go while Jackfield serves.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the message")]

use std::{
    fs,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use jackfield_tests::{Home, Line, Provider, artifact, eventually, patched, process, replaced, reply};
use serde_json::{Value, json};

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_default()
}

/// The faulty connector in this version, of as many characters as its own has.
fn version(version: &str) -> Vec<u8> {
    let with = format!(r#""version": "{version}""#);
    replaced(&artifact("libfaulty.so"), br#""version": "0.1.0""#, with.as_bytes())
}

/// One that looks well and says something else when it is loaded than its manifest does.
fn bad() -> Vec<u8> {
    patched(&artifact("libfaulty.so"), br#""title": "Faulty""#, 10, b'X')
}

/// Puts a library into the place of the one that is there, as a whole.
fn put(home: &Home, bytes: &[u8]) {
    let fresh = home.plugins().join(".fresh");
    fs::write(&fresh, bytes).unwrap();
    fs::rename(&fresh, home.plugins().join("libfaulty.so")).unwrap();
}

/// How a connector is listed by the server, each file of it on a line: version, state and reason.
fn listed(home: &Home, name: &str) -> Vec<(String, String, String)> {
    let (_, lines) = home.ask("GET", "/v1/connectors", &Value::Null);
    let lines = lines["items"].clone();
    let lines = lines.as_array().cloned().unwrap_or_default();
    let of = lines.iter().filter(|line| text(line, "name") == name);
    of.map(|line| (text(line, "version").into(), text(line, "state").into(), text(line, "reason").into()))
        .collect()
}

fn becomes(home: &Home, version: &str) {
    eventually(&format!("version {version}"), || {
        listed(home, "faulty").first().is_some_and(|(listed, ..)| listed == version)
    });
}

/// What the worker of a connector is: its process and version.
fn worker(home: &Home) -> Option<(u64, String)> {
    let (_, workers) = home.ask("GET", "/v1/workers", &Value::Null);
    let worker = workers.as_array()?.iter().find(|worker| text(worker, "connector") == "faulty")?.clone();
    Some((worker["pid"].as_u64()?, text(&worker, "version").to_owned()))
}

fn say(home: &Home) -> Value {
    home.faulty("do", "say", &json!({}), &[]).json()
}

#[test]
fn fault_80_calls_in_flight_finish_on_the_old_version_and_new_ones_go_to_the_new() {
    let provider = Provider::start(|_, _| {
        thread::sleep(Duration::from_millis(1500));
        reply(200, &[], "{}")
    });
    let home = Home::with(&["faulty"]);
    home.endpoint("faulty", "api", &provider.url());
    let _server = home.serve();
    let head = json!({"method": "GET", "path": "/x"});
    let slow = home.start_action("faulty.do", &["what=ask", &format!("head={head}")]);
    eventually("the request is on its way", || provider.requests().len() == 1);
    let (old, was) = worker(&home).unwrap();
    assert_eq!(was, "0.1.0");

    put(&home, &version("0.2.0"));
    becomes(&home, "0.2.0");
    assert_eq!(say(&home), json!({"said": "hello"}));
    let (new, is) = worker(&home).unwrap();
    assert_eq!(is, "0.2.0");
    assert_ne!(old, new);
    assert!(process::is_there(u32::try_from(old).unwrap()), "it still has a call");
    let slow = slow.ends();
    assert_eq!(slow.code, 0, "{}", slow.stderr);
    eventually("nobody needs the old one", || !process::is_there(u32::try_from(old).unwrap()));
}

#[test]
fn fault_80_no_call_is_lost_while_versions_come_and_go_under_load() {
    let home = Home::with(&["faulty", "zoom"]);
    let provider = Provider::always(200, &[], r#"{"meetings": []}"#);
    home.endpoint("zoom", "api", &provider.url());
    let _server = home.serve();
    // Both serve: what has never been called has nothing in memory to go on with.
    assert_eq!(say(&home), json!({"said": "hello"}));
    assert_eq!(home.invoke("zoom.get_meetings", &[]).code, 0);
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let callers: Vec<_> = ["faulty.do", "zoom.get_meetings"]
            .into_iter()
            .map(|action| {
                let (home, over) = (&home, &over);
                scope.spawn(move || {
                    let input = if action == "faulty.do" { json!({"what": "say"}) } else { json!({}) };
                    let request = json!({"action": action, "input": input, "token": "t"});
                    let (mut line, mut calls) = (Line::to(home), 0);
                    while !over.load(Ordering::SeqCst) {
                        let (status, answer) = line.ask("POST", "/v1/invocations", &request);
                        assert_eq!(status, 200, "{action}: {answer:#}");
                        calls += 1;
                    }
                    calls
                })
            })
            .collect();
        for round in 1..=6 {
            let next = format!("0.{round}.9");
            put(&home, &version(&next));
            becomes(&home, &next);
        }
        over.store(true, Ordering::SeqCst);
        for caller in callers {
            assert!(caller.join().unwrap() > 20);
        }
    });
}

#[test]
fn fault_80_a_bad_new_version_leaves_the_old_one_serving() {
    let home = Home::with(&["faulty"]);
    let _server = home.serve();
    assert_eq!(say(&home), json!({"said": "hello"}));
    let (pid, _) = worker(&home).unwrap();
    let whole = fs::read(artifact("libfaulty.so")).unwrap();
    let bad_ones = [
        (bad(), "its manifest is not what its code declares"),
        (whole[..whole.len() / 2].to_vec(), "is not a library, or is cut short"),
        (b"text".to_vec(), "is not a library, or is cut short"),
    ];
    for (bytes, why) in &bad_ones {
        put(&home, bytes);
        let told = format!("{why}; 0.1.0, which was there before, goes on");
        eventually(&told, || {
            let (_, lines) = home.ask("GET", "/v1/connectors", &Value::Null);
            let lines = lines["items"].clone();
            let refused = |line: &Value| text(line, "state") == "refused" && text(line, "reason") == told;
            lines.as_array().unwrap().iter().any(refused)
        });
        assert_eq!(listed(&home, "faulty")[0].1, "ready");
        assert_eq!(say(&home), json!({"said": "hello"}));
        assert_eq!(worker(&home).unwrap().0, pid, "it is the worker that was there");
    }
    // Also where that one dies: its library is kept.
    assert_eq!(text(&home.faulty("do", "abort", &json!({}), &[]).error(1), "kind"), "connector_crashed");
    assert_eq!(say(&home), json!({"said": "hello"}));
    assert_ne!(worker(&home).unwrap().0, pid);
    // A good one ends it.
    put(&home, &version("0.1.1"));
    becomes(&home, "0.1.1");
    assert_eq!(listed(&home, "faulty").len(), 1);
    assert_eq!(say(&home), json!({"said": "hello"}));
}

#[test]
fn fault_80_a_file_is_not_looked_at_before_it_is_written_whole() {
    let home = Home::with(&["zoom"]);
    let server = home.serve();
    let bytes = fs::read(artifact("libfaulty.so")).unwrap();
    let path = home.plugins().join("libfaulty.so");
    // In pieces, as over a slow line.
    let mut file = fs::File::create(&path).unwrap();
    for piece in bytes.chunks(bytes.len() / 12) {
        std::io::Write::write_all(&mut file, piece).unwrap();
        thread::sleep(Duration::from_millis(80));
    }
    drop(file);
    becomes(&home, "0.1.0");
    assert_eq!(say(&home), json!({"said": "hello"}));
    server.signal(rustix::process::Signal::TERM);
    let outcome = server.ends();
    assert!(!outcome.stderr.contains("cut short"), "{}", outcome.stderr);
}

#[test]
fn a_library_that_is_taken_out_leaves_what_belongs_to_it() {
    let provider = Provider::always(200, &[], "{}");
    let home = Home::with(&["faulty"]);
    home.endpoint("faulty", "api", &provider.url());
    let _server = home.serve();
    let head = json!({"method": "GET", "path": "/x"});
    assert_eq!(home.faulty("do", "ask", &head, &[]).code, 0);
    fs::remove_file(home.plugins().join("libfaulty.so")).unwrap();
    eventually("missing", || listed(&home, "faulty").first().is_some_and(|(_, state, _)| state == "missing"));
    let error = home.faulty("do", "say", &json!({}), &[]).error(7);
    assert_eq!(text(&error, "kind"), "connector_missing", "{error:#}");
    assert!(worker(&home).is_none());
    // Everything is as before once it is back.
    put(&home, &version("0.2.0"));
    becomes(&home, "0.2.0");
    assert_eq!(home.faulty("do", "ask", &head, &[]).code, 0);
    assert_eq!(provider.requests().len(), 2);
}

#[test]
fn a_build_output_is_picked_up_when_it_is_built_again() {
    let home = Home::with(&[]);
    let output = home.path().join("build");
    fs::create_dir(&output).unwrap();
    let output = output.join("libfaulty.so");
    fs::write(&output, version("0.1.0")).unwrap();
    let dev = home.run(&["connector", "dev", output.to_str().unwrap()]);
    assert_eq!(dev.code, 0, "{}", dev.stderr);
    let _server = home.serve();
    assert_eq!(say(&home), json!({"said": "hello"}));
    for next in ["0.1.1", "0.1.2"] {
        // As a linker does: another file in its place.
        fs::remove_file(&output).unwrap();
        fs::write(&output, version(next)).unwrap();
        becomes(&home, next);
        assert_eq!(say(&home), json!({"said": "hello"}));
        assert_eq!(worker(&home).unwrap().1, next);
    }
}

#[test]
fn no_memory_grows_over_two_hundred_reloads() {
    let home = Home::with(&["faulty"]);
    let server = home.serve();
    let mut line = Line::to(&home);
    let request = json!({"action": "faulty.do", "input": {"what": "say"}, "token": "t"});
    let mut reload = |round: u32| {
        let next = format!("0.{}.{}", round % 2, round % 10);
        put(&home, &version(&next));
        becomes(&home, &next);
        let (status, answer) = line.ask("POST", "/v1/invocations", &request);
        assert_eq!(status, 200, "{answer:#}");
    };
    (1..=20).for_each(&mut reload);
    let before = process::memory(server.pid());
    let (files, _) = (fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap().count(), ());
    (21..=220).for_each(&mut reload);
    let after = process::memory(server.pid());
    let files_after = fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap().count();
    // One library is six megabytes, and one that is kept would show two hundred times.
    assert!(after < before + 12 * 1024 * 1024, "{before} bytes before, {after} bytes after");
    assert!(files_after <= files + 4, "{files} descriptors before, {files_after} after");
    let workers = process::children(server.pid());
    assert!(workers.len() <= 2, "{workers:?}");
}
