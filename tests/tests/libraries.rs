//! Libraries: those that are out in the world, those that were built elsewhere, and those that are none.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the message")]

use std::{fs, os::unix::net::UnixListener, path::Path, process::Command};

use jackfield_tests::{
    Beside, Home, Provider, Terminal, artifact, built, elsewhere, eventually, frozen, newer, patched,
    process, replaced, reply,
};
use serde_json::{Value, json};

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_default()
}

/// The connectors of a served home.
fn listed(home: &Home) -> Vec<Value> {
    let (_, lines) = home.ask("GET", "/v1/connectors", &Value::Null);
    let lines = lines["items"].clone();
    lines.as_array().cloned().unwrap_or_default()
}

fn is_ready(home: &Home, name: &str) -> bool {
    listed(home).iter().any(|line| text(line, "name") == name && text(line, "state") == "ready")
}

/// Why files of a served home are not used.
fn refused(home: &Home) -> Vec<String> {
    let lines = listed(home);
    let refused = lines.iter().filter(|line| text(line, "state") == "refused");
    refused.map(|line| text(line, "reason").to_owned()).collect()
}

#[test]
fn a_library_of_the_frozen_abi_is_listed_loaded_and_run() {
    let provider = Provider::always(200, &[], "the answer");
    let home = Home::with(&["zoom"]);
    home.add(&frozen());
    home.endpoint("frozen", "api", &provider.url());
    let listed = home.run(&["connector", "list", "-o", "json"]).json();
    assert_eq!(
        (text(&listed[0], "name"), text(&listed[0], "state"), text(&listed[0], "abi")),
        ("frozen", "ready", "1.0.0")
    );
    assert_eq!(home.invoke("frozen.ask", &[]).json(), json!({"status": 200, "body": "the answer"}));
    assert_eq!(provider.requests()[0].header("authorization"), Some("Bearer canary-token-7f3a"));
}

/// What cargo is called in this test, and what it must not be told.
fn cargo(directory: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(directory).env("CARGO_TARGET_DIR", elsewhere::target()).envs(elsewhere::SETTINGS);
    for name in ["CARGO_MANIFEST_DIR", "CARGO_PKG_NAME", "CARGO_PKG_VERSION", "RUSTFLAGS", "JACKFIELD_UPDATE"]
    {
        command.env_remove(name);
    }
    command
}

fn run(command: &mut Command) -> (bool, String) {
    let output = command.output().expect("cargo runs");
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.success(), text)
}

#[track_caller]
fn well(command: &mut Command) {
    let (success, output) = run(command);
    assert!(success, "{output}");
}

/// An author's whole afternoon, with this binary and cargo alone, outside this repository's tree.
#[test]
fn an_author_elsewhere_writes_tests_builds_and_runs_a_connector() {
    let home = Home::with(&[]);
    let elsewhere = tempfile::tempdir().unwrap();
    let acme = elsewhere.path().join("acme-crm");
    let outcome = home.run(&["connector", "new", "acme-crm", "--dir", acme.to_str().unwrap()]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    // The versions that this repository is tested with, so that the test does not depend on what was released today.
    fs::copy(jackfield_tests::root().join("Cargo.lock"), acme.join("Cargo.lock")).unwrap();

    // Green from the first test.
    well(cargo(&acme).arg("test"));

    // A change of a type makes the manifest stale, which is told with the command that helps.
    let file = acme.join("src/get_item.rs");
    let source = fs::read_to_string(&file).unwrap();
    fs::write(&file, source.replace("/// The item's id\n", "/// The id of the item\n")).unwrap();
    let (success, output) = run(cargo(&acme).arg("test"));
    assert!(!success && output.contains("to rewrite it: JACKFIELD_UPDATE=1 cargo test"), "{output}");
    well(cargo(&acme).arg("test").env("JACKFIELD_UPDATE", "1"));
    well(cargo(&acme).arg("test"));

    // A field without a description is refused.
    fs::write(&file, source.replace("    /// The item's id\n", "")).unwrap();
    let (success, output) = run(cargo(&acme).arg("test").env("JACKFIELD_UPDATE", "1"));
    assert!(
        !success && output.contains("/actions/0/input/properties/item_id: has no description"),
        "{output}"
    );
    fs::write(&file, &source).unwrap();
    well(cargo(&acme).arg("test").env("JACKFIELD_UPDATE", "1"));

    // A change that breaks what was released is refused until the version says so.
    fs::create_dir(acme.join("released")).unwrap();
    fs::copy(acme.join("manifest.json"), acme.join("released/manifest.json")).unwrap();
    fs::write(&file, source.replace("item_id: Id,", "item_id: Id,\n    /// Why\n    reason: String,"))
        .unwrap();
    let (success, output) = run(cargo(&acme).arg("test").env("JACKFIELD_UPDATE", "1"));
    assert!(!success && output.contains("/actions/get_item/input/reason: is required now"), "{output}");
    fs::write(&file, &source).unwrap();
    well(cargo(&acme).arg("test").env("JACKFIELD_UPDATE", "1"));

    // Built, dropped in, run.
    well(cargo(&acme).arg("build"));
    let library = built().parent().unwrap().join("author/debug/libacme_crm.so");
    let provider = Provider::start(|request, _| {
        assert_eq!(request.header("authorization"), Some("Bearer canary-token-7f3a"));
        reply(200, &[], r#"{"id": 7, "name": "Kettle"}"#)
    });
    home.add(&library);
    home.endpoint("acme-crm", "api", &provider.url());
    assert_eq!(home.invoke("acme-crm.get_item", &["item_id=7"]).json(), json!({"id": "7", "name": "Kettle"}));
    assert_eq!(provider.requests()[0].target, "/items/7");

    // The same against connector-api of another major version: the ABI below it is what counts.
    for name in ["Cargo.toml", "protocol/Cargo.toml"] {
        let path = acme.join("vendor/connector-api").join(name);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, text.replace("version = \"0.1.0\"", "version = \"9.0.0\"")).unwrap();
    }
    well(cargo(&acme).arg("build"));
    home.add(&library);
    let shown = home.run(&["connector", "show", "acme-crm"]);
    assert!(shown.stdout.contains("connector-abi 1.0.0, connector-api 9.0.0"), "{}", shown.stdout);
    assert_eq!(home.invoke("acme-crm.get_item", &["item_id=7"]).json(), json!({"id": "7", "name": "Kettle"}));
}

#[test]
fn fault_74_a_file_that_is_no_connector_of_ours_is_one_line_and_hinders_nobody() {
    let home = Home::with(&[]);
    let beside = Beside::of(&home);
    let put = |name: &str, bytes: &[u8]| fs::write(home.plugins().join(name), bytes).unwrap();
    let good = frozen();
    let whole = fs::read(&good).unwrap();
    put("a-text.so", b"#!/bin/sh\necho hello\n");
    put("b-empty.so", b"");
    put("c-half.so", &whole[..whole.len() / 2]);
    put("d-page.so", &whole[..4096]);
    put(
        "e-random.so",
        &(0..100_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect::<Vec<_>>(),
    );
    put("f-arch.so", &patched(&good, b"\x7fELF", 18, 183));
    put("g-abi.so", &patched(&good, b"JACKFLD\0", 8, 2));
    put("h-abort.so", &patched(&good, b"JACKFLD\0", 12, 1));
    put("i-manifest.so", &replaced(&good, br#""manifest_version": 1"#, br#""manifest_version": 7"#));
    fs::copy(artifact("jackfield"), home.plugins().join("j-program.so")).unwrap();
    fs::create_dir(home.plugins().join("k-directory.so")).unwrap();
    let fifo = home.plugins().join("l-fifo.so");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let huge = fs::File::create(home.plugins().join("m-huge.so")).unwrap();
    huge.set_len(2 << 30).unwrap();
    let _socket = UnixListener::bind(home.plugins().join("n-socket.so")).unwrap();
    // These are nobody's business.
    put("notes.txt", b"x");
    put(".zoom.so", b"half written");

    eventually("all of them are refused", || refused(&home).len() == 14);
    let outcome = home.run(&["connector", "list"]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    let reasons: Vec<String> = outcome
        .stderr
        .lines()
        .filter_map(|line| line.strip_prefix("warning: "))
        .map(|line| line.replace(&format!("{}/", home.plugins().display()), ""))
        .collect();
    assert_eq!(
        reasons,
        [
            "a-text.so: is not a library, or is cut short",
            "b-empty.so: is not a library, or is cut short",
            "c-half.so: is not a library, or is cut short",
            "d-page.so: is not a library, or is cut short",
            "e-random.so: is not a library, or is cut short",
            "f-arch.so: is built for aarch64, this machine is x86_64",
            "g-abi.so: is built for ABI 2, this host speaks ABI 1",
            "h-abort.so: is built with `panic = \"abort\"`: one panic would end its worker",
            "i-manifest.so: its manifest is of version 7, and this host knows 1",
            "j-program.so: is not a connector: it has no connector sections",
            "k-directory.so: is not a regular file",
            "l-fifo.so: is not a regular file",
            "m-huge.so: has 2147483648 bytes; the limit is 536870912",
            "n-socket.so: is not a regular file",
        ]
    );
    let names: Vec<&str> = outcome.stdout.lines().filter(|line| line.ends_with("ready")).collect();
    assert_eq!(names.len(), 1, "{}", outcome.stdout);
    assert!(names[0].starts_with("zoom"));
    assert_eq!(home.run(&["action", "list", "-o", "name"]).stdout.lines().count(), 8);
    let provider = Provider::always(200, &[], "the answer");
    home.add(&good);
    home.endpoint("frozen", "api", &provider.url());
    eventually("the good one is listed", || is_ready(&home, "frozen"));
    assert_eq!(home.invoke("frozen.ask", &[]).json(), json!({"status": 200, "body": "the answer"}));
    beside.ends();
}

#[test]
fn fault_75_a_library_of_another_abi_names_its_and_ours() {
    let provider = Provider::always(200, &[], "the answer");
    let home = Home::with(&["zoom"]);
    home.endpoint("frozen", "api", &provider.url());
    let path = home.plugins().join("libfrozen.so");
    let is_refused = || {
        fs::write(&path, patched(&frozen(), b"JACKFLD\0", 8, 2)).unwrap();
        if home.socket().exists() {
            eventually("it is refused", || refused(&home).len() == 1);
        }
        let error = home.invoke("frozen.ask", &[]).error(7);
        let message = text(&error, "message");
        assert!(message.ends_with("is built for ABI 2, this host speaks ABI 1"), "{error:#}");
        assert!(text(&error, "hint").starts_with("rebuild it against connector-api"), "{error:#}");
        assert_eq!(home.run(&["action", "list", "zoom", "-o", "name"]).stdout.lines().count(), 8);
    };
    is_refused();
    // A good one in its place is taken at once.
    fs::copy(frozen(), &path).unwrap();
    assert_eq!(home.invoke("frozen.ask", &[]).json(), json!({"status": 200, "body": "the answer"}));
    // The same where the home is served.
    let beside = Beside::of(&home);
    is_refused();
    fs::copy(frozen(), &path).unwrap();
    eventually("the good one is listed", || is_ready(&home, "frozen"));
    assert_eq!(home.invoke("frozen.ask", &[]).json(), json!({"status": 200, "body": "the answer"}));
    beside.ends();
}

#[test]
fn fault_81_a_library_of_a_later_jackfield_works_or_is_refused_with_both_versions() {
    let answer = json!({"status": 200, "body": "the answer"});
    let provider = Provider::always(200, &[], "the answer");
    let home = Home::with(&[]);
    for name in ["frozen", "grown", "wider", "major", "second"] {
        home.endpoint(name, "api", &provider.url());
    }
    let beside = Beside::of(&home);
    home.add(&frozen());
    for name in ["grown", "wider", "major", "second"] {
        home.add(&newer(name));
    }
    // All that can be known by reading is that one of them is of another ABI.
    eventually("all of them are listed", || {
        listed(&home).len() == 6 && refused(&home) == ["is built for ABI 2, this host speaks ABI 1"]
    });
    let lines = listed(&home);
    let ready: Vec<_> = lines
        .iter()
        .filter(|line| text(line, "state") == "ready" && text(line, "name") != "zoom")
        .map(|line| (text(line, "name"), text(line, "abi")))
        .collect();
    assert_eq!(ready, [("frozen", "1.0.0"), ("grown", "1.1.0"), ("major", "2.0.0"), ("wider", "1.2.0")]);

    let path = |name: &str| home.plugins().join(format!("lib{name}.so")).display().to_string();
    let of = |theirs: &str| {
        format!(
            "the library's interface (connector-abi {theirs}) does not fit this host's (connector-abi 1.0.0)"
        )
    };
    // Again and again: whatever one of them left behind would add up.
    for _ in 0..5 {
        for name in ["frozen", "grown"] {
            assert_eq!(home.invoke(&format!("{name}.ask"), &[]).json(), answer);
        }
        for (name, why) in [
            ("wider", of("1.2.0")),
            ("major", of("2.0.0")),
            ("second", "is built for ABI 2, this host speaks ABI 1".to_owned()),
        ] {
            // The file that says nothing of itself but its ABI is known by its name.
            let error = home.invoke(&format!("{name}.ask"), &[]).error(7);
            assert_eq!(
                (text(&error, "kind"), text(&error, "message")),
                ("plugin_refused", format!("{}: {why}", path(name)).as_str())
            );
            assert!(!why.contains('\n'));
        }
    }
    // A worker that had to refuse its library is not kept.
    assert_eq!(process::children(beside.server()).len(), 3, "zoom, frozen and grown");
    assert_eq!(provider.requests().len(), 10);
    beside.ends();
}

#[test]
fn fault_82_of_two_libraries_with_one_id_neither_is_used() {
    let provider = Provider::always(200, &[], "the answer");
    let home = Home::with(&["zoom"]);
    home.add(&frozen());
    home.endpoint("frozen", "api", &provider.url());
    let right = json!({"status": 200, "body": "the answer"});
    let beside = Beside::calling(&home, "frozen.ask", &json!({}), right);
    fs::copy(artifact("libzoom.so"), home.plugins().join("other.so")).unwrap();
    eventually("both are refused", || refused(&home).len() == 2);
    let outcome = home.run(&["action", "invoke", "zoom.get_meetings"]);
    assert_eq!(outcome.code, 7);
    assert!(
        outcome.stderr.contains("is the connector `zoom`, and so is")
            && outcome.stderr.contains("hint: remove one of the two"),
        "{}",
        outcome.stderr
    );
    assert_eq!(home.invoke("frozen.ask", &[]).json(), json!({"status": 200, "body": "the answer"}));
    beside.ends();
}

#[test]
fn a_file_that_cannot_be_used_does_not_stand_in_the_way_of_one_that_can() {
    for name in ["a.so", "z.so"] {
        let home = Home::with(&["faulty"]);
        let later =
            replaced(&artifact("libfaulty.so"), b"\"requires\": [\"http\"]", b"\"requires\": [\"warp\"]");
        fs::write(home.plugins().join(name), later).unwrap();
        let listed = home.run(&["connector", "list"]);
        assert!(listed.stdout.contains("ready"), "{}{}", listed.stdout, listed.stderr);
        assert!(
            listed.stderr.contains("needs `warp`, which this host does not offer"),
            "{}{}",
            listed.stdout,
            listed.stderr
        );
    }
}

#[test]
fn fault_82_a_library_whose_code_says_something_else_than_its_manifest_is_refused_when_it_is_loaded() {
    let home = Home::with(&["faulty"]);
    let beside = Beside::of(&home);
    // One of the two copies, that of the section or that of the code: they differ then.
    let bytes = patched(&frozen(), b"\"title\": \"Frozen\"", 10, b'P');
    fs::write(home.plugins().join("frozen.so"), bytes).unwrap();
    eventually("it is listed", || is_ready(&home, "frozen"));
    let error = home.invoke("frozen.ask", &[]).error(7);
    assert_eq!(text(&error, "kind"), "plugin_refused");
    assert!(text(&error, "message").ends_with("its manifest is not what its code declares"), "{error:#}");
    assert_eq!(home.faulty("do", "say", &json!({}), &[]).json()["said"], "hello");
    beside.ends();
}

#[test]
fn a_library_that_needs_what_this_host_does_not_offer_names_it() {
    let home = Home::with(&[]);
    let bytes = replaced(&frozen(), br#""requires": ["http"]"#, br#""requires": ["warp"]"#);
    fs::write(home.plugins().join("frozen.so"), bytes).unwrap();
    let error = home.invoke("frozen.ask", &[]).error(7);
    assert!(text(&error, "message").ends_with("needs `warp`, which this host does not offer"), "{error:#}");
    assert_eq!(text(&error, "hint"), "use a newer Jackfield");
}

#[test]
fn a_misspelt_keyword_of_a_form_is_refused_when_a_library_is_verified_or_added() {
    let home = Home::with(&[]);
    let library = home.path().join("libzoom.so");
    for (keyword, typo, place) in [
        ("x-timezone-field", "x-timezone-feild", "actions[0].input.properties.start_time "),
        ("x-ui", "x-iu", "actions[0].input.properties.user_id "),
    ] {
        let quoted = |word: &str| format!("\"{word}\":").into_bytes();
        fs::write(&library, replaced(&artifact("libzoom.so"), &quoted(keyword), &quoted(typo))).unwrap();
        for command in [&["connector", "verify"][..], &["connector", "add"]] {
            let mut args = command.to_vec();
            args.push(library.to_str().unwrap());
            let outcome = home.run(&args);
            assert_eq!((outcome.code, outcome.stdout.as_str()), (7, ""), "{}", outcome.stderr);
            assert!(
                outcome.stderr.contains(&format!("`{typo}` is not a keyword; did you mean `{keyword}`?")),
                "{}",
                outcome.stderr
            );
            assert!(outcome.stderr.contains(place), "{}", outcome.stderr);
        }
        assert_eq!(fs::read_dir(home.plugins()).unwrap().count(), 0);
    }
}

#[test]
fn what_an_interrupted_copy_has_left_is_taken_away_by_the_next_one() {
    let home = Home::with(&[]);
    let [left, made, own] = [".libforge.so.17", ".libforge.so.18", ".libforge.so.bak"];
    for name in [left, made, own] {
        fs::write(home.plugins().join(name), "half a library").unwrap();
    }
    // One of them is still being made.
    let making = fs::File::open(home.plugins().join(made)).unwrap();
    rustix::fs::flock(&making, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let added = home.run(&["connector", "add", artifact("libzoom.so").to_str().unwrap()]);
    assert_eq!(added.code, 0, "{}", added.stderr);
    let mut names: Vec<_> =
        fs::read_dir(home.plugins()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, [made, own, "libzoom.so"]);
}

#[test]
fn fault_103_what_a_connector_calls_its_fields_does_nothing_to_a_terminal() {
    let home = Home::with(&[]);
    let library = home.plugins().join("libzoom.so");
    let help = (br#""What it is about""#, br#""\u001b[2JWhat it""#);
    fs::write(&library, replaced(&artifact("libzoom.so"), help.0, help.1)).unwrap();
    for args in [
        &["action", "show", "zoom.create_meeting"][..],
        &["action", "show", "zoom.create_meeting", "topic"],
        &["action", "form", "zoom.create_meeting", "-o", "table"],
    ] {
        let outcome = home.run(args);
        assert_eq!(outcome.code, 0, "{}", outcome.stderr);
        assert!(outcome.stdout.contains(r"\u{1b}[2JWhat it"), "{}", outcome.stdout);
        assert!(!outcome.stdout.contains('\u{1b}'), "{}", outcome.stdout);
    }
    let args = ["action", "form", "zoom.create_meeting"];
    let terminal = Terminal::start(home.command(&args), 100, 30);
    terminal.sees("Topic");
    terminal.sees(r"\u{1b}[2JWhat it");
    assert!(!terminal.written().contains("\u{1b}[2JWhat"), "{}", terminal.screen());
}

#[test]
fn fault_79_overwriting_a_library_disturbs_nothing_that_runs() {
    let provider = Provider::start(|_, _| {
        std::thread::sleep(std::time::Duration::from_millis(600));
        reply(200, &[], "fine")
    });
    let home = Home::with(&["faulty"]);
    home.add(&frozen());
    home.endpoint("frozen", "api", &provider.url());
    let path = home.plugins().join("libfrozen.so");
    let overwritten = std::thread::scope(|scope| {
        scope.spawn(|| {
            provider.is_asked(1);
            // In place: the same file, other bytes.
            fs::write(&path, vec![0; 1000]).unwrap();
        });
        home.invoke("frozen.ask", &[])
    });
    assert_eq!(overwritten.json(), json!({"status": 200, "body": "fine"}));
    assert_eq!(text(&home.invoke("frozen.ask", &[]).error(7), "kind"), "plugin_refused");
    assert_eq!(home.faulty("do", "say", &json!({}), &[]).json()["said"], "hello");
    // A server goes on with what it has, also for calls that come later.
    fs::copy(frozen(), &path).unwrap();
    let beside = Beside::of(&home);
    let running = home.start_action("frozen.ask", &[]);
    provider.is_asked(2);
    fs::write(&path, vec![0; 1000]).unwrap();
    assert_eq!(running.ends().json(), json!({"status": 200, "body": "fine"}));
    let goes_on = "is not a library, or is cut short; 1.0.0, which was there before, goes on";
    eventually(goes_on, || refused(&home) == [goes_on]);
    assert_eq!(home.invoke("frozen.ask", &[]).json(), json!({"status": 200, "body": "fine"}));
    beside.ends();
}
