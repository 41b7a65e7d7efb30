//! What `jackfield doctor` says of homes that are not as they should be: what is wrong, and what to type next.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the message")]

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use jackfield_tests::{Home, artifact, process};
use rustix::process::Signal;

/// Compares what is not well, and the hints.
#[track_caller]
fn finds(home: &Home, code: i32, expected: &str) {
    let outcome = home.run(&["doctor"]);
    let unwell: String = format!("{}{}", outcome.stdout, outcome.stderr)
        .replace(&home.path().display().to_string(), "HOME")
        .lines()
        // What a connector is and may do stands below it, and is another test's.
        .filter(|line| !line.starts_with("ok ") && (!line.starts_with("      ") || line.contains("hint: ")))
        .map(|line| format!("{line}\n"))
        .collect();
    assert_eq!((outcome.code, unwell.as_str()), (code, expected.trim_start()), "\n{unwell}");
    let told = unwell.lines().filter(|line| line.starts_with("bad ") || line.starts_with("warn")).count();
    let hints = unwell.lines().filter(|line| line.trim_start().starts_with("hint: ")).count();
    assert_eq!(hints, told, "each says what to do: {unwell}");
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn no_home() {
    let home = Home::with(&[]);
    fs::remove_dir_all(home.path()).unwrap();
    finds(
        &home,
        1,
        "
bad   home           there is no home at HOME
                     hint: make one: jackfield init
error[config]: one thing is not as it should be
",
    );
}

#[test]
fn no_connector_and_a_directory_is_missing() {
    let home = Home::with(&[]);
    fs::remove_dir(home.path().join("keys")).unwrap();
    finds(
        &home,
        0,
        "
warn  home           HOME/keys is missing
                     hint: make it: jackfield init
warn  connector      there is none
                     hint: add one: jackfield connector add FILE
",
    );
}

#[test]
fn others_can_look_in() {
    let home = Home::with(&["zoom"]);
    mode(&home.path(), 0o755);
    let token = home.path().join("token");
    fs::write(&token, "a-token\n").unwrap();
    mode(&token, 0o644);
    home.configure(&format!("[integrations.zoom]\ntoken_file = \"{}\"", token.display()));
    finds(
        &home,
        0,
        "
warn  home           HOME is open to others (mode 755)
                     hint: close it: chmod 700 HOME
warn  token          zoom: others can read HOME/token (mode 644)
                     hint: close it: chmod 600 HOME/token
",
    );
}

#[test]
fn libraries_that_are_none() {
    let home = Home::with(&["zoom"]);
    fs::write(home.plugins().join("bad.so"), "bad").unwrap();
    // What it declares is changed, what its code declares is not.
    let mut bytes = fs::read(artifact("libfaulty.so")).unwrap();
    let title = b"\"title\": \"Faulty\"";
    let at = bytes.windows(title.len()).position(|window| window == title).unwrap();
    bytes[at + 10] = b'P';
    fs::write(home.plugins().join("libfaulty.so"), bytes).unwrap();
    finds(
        &home,
        1,
        "
bad   connector      HOME/plugins/bad.so: is not a library, or is cut short
                     hint: put a good one in its place: jackfield connector add FILE
bad   connector      HOME/plugins/libfaulty.so: its manifest is not what its code declares
                     hint: in the connector's crate: JACKFIELD_UPDATE=1 cargo test, then build it again
error[config]: 2 things are not as they should be
",
    );
}

#[test]
fn a_configuration_with_mistakes() {
    let home = Home::with(&["zoom"]);
    home.configure("[limits]\ndeadline_second = 5");
    finds(
        &home,
        1,
        "
bad   configuration  HOME/jackfield.toml: `limits.deadline_second` is not a key
                     hint: did you mean `deadline_seconds`?
error[config]: one thing is not as it should be
",
    );
    let home = Home::with(&["zoom"]);
    home.endpoint("zom", "api", "http://127.0.0.1:1/v2");
    finds(
        &home,
        1,
        "
bad   configuration  HOME/jackfield.toml: `integrations.zom` is for nothing that is there
                     hint: did you mean `zoom`?
error[config]: one thing is not as it should be
",
    );
}

#[test]
fn what_is_configured_is_not_there() {
    let home = Home::with(&["zoom"]);
    home.configure("[integrations.zoom]\ntoken_file = \"/nowhere/token\"");
    home.endpoint("zoom", "api", "http://127.0.0.1:1/v2");
    finds(
        &home,
        1,
        "
bad   token          cannot read the token from /nowhere/token: no such file or directory
                     hint: put one there, or change `integrations.zoom.token_file` in jackfield.toml
warn  endpoint       zoom: api at http://127.0.0.1:1/v2 cannot be reached: connection refused
                     hint: start what listens there, or take [integrations.zoom.endpoints] out of jackfield.toml
error[config]: one thing is not as it should be
",
    );
}

#[test]
fn fault_95_the_store_is_damaged() {
    let home = Home::with(&["zoom"]);
    fs::write(
        home.path().join("data/jackfield.db"),
        "this is no database, however you look at it".repeat(200),
    )
    .unwrap();
    finds(
        &home,
        1,
        "
bad   store          HOME/data/jackfield.db is damaged
                     hint: put a copy of it back; without one, move it away together with the files beside it of the same name
error[config]: one thing is not as it should be
",
    );
}

#[test]
fn a_server_that_is_gone_hinders_nobody_and_one_that_hangs_is_named() {
    let home = Home::with(&["zoom"]);
    let server = home.serve();
    finds(&home, 0, "");
    process::halt(server.pid());
    finds(
        &home,
        1,
        &format!(
            "
bad   server         process {0} serves this home and does not answer
                     hint: end it: kill -9 {0}; then start another one: jackfield serve
error[config]: one thing is not as it should be
",
            server.pid()
        ),
    );
    server.signal(Signal::KILL);
    assert_eq!(server.ends().code, -1);
    assert!(home.socket().exists());
    finds(&home, 0, "");
}

#[test]
fn what_each_connector_is_what_it_may_do_and_of_what_it_died() {
    let home = Home::with(&["faulty"]);
    let said = |name: &str| {
        let findings = home.run(&["doctor", "-o", "json"]).json();
        let all = findings.as_array().unwrap();
        let finding = all.iter().find(|finding| finding["check"] == "connector").unwrap();
        (finding["state"].clone(), finding["details"][name].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(said("crashes").1, "none");
    assert_eq!(said("calls").1, "0 invocations, 0 failed");
    assert_eq!(
        said("may reach").1,
        "api.faulty.example.com, files.faulty.example.com (without the credential)"
    );
    assert!(said("locked in").1.starts_with("by Landlock "), "{}", said("locked in").1);
    assert!(said("trusted").1.ends_with("and nothing is pinned in this home"), "{}", said("trusted").1);
    assert!(said("memory").1.ends_with(" MiB for itself, at most 512.0 MiB"), "{}", said("memory").1);

    let died = home.invoke("faulty.do", &["what=abort"]).error(1);
    assert_eq!(died["kind"], "connector_crashed");
    let (state, crashes) = said("crashes");
    assert_eq!(state, "warn");
    assert!(
        crashes.starts_with("1, the last one at ") && crashes.ends_with(" in do: by signal 6 (abort)"),
        "{crashes}"
    );
    assert_eq!(said("calls").1, "1 invocation, 1 failed");

    // In quarantine, with the way out.
    for round in 0..4 {
        let head = format!("head={{\"round\": {round}}}");
        let _ = home.invoke("faulty.do", &["what=abort", &head]).error(1);
    }
    let outcome = home.run(&["doctor"]);
    assert_eq!(outcome.code, 1);
    assert!(outcome.stdout.contains("the connector `faulty` is in quarantine since "), "{}", outcome.stdout);
    assert!(outcome.stdout.contains("jackfield connector lift faulty"), "{}", outcome.stdout);
    let listed = home.run(&["connector", "list", "-o", "json"]).json();
    assert_eq!(listed[0]["state"], "quarantined");
    let refused = home.invoke("faulty.do", &["what=say"]).error(7);
    assert_eq!(refused["kind"], "connector_quarantined");
    let lifted = home.run(&["connector", "lift", "faulty"]);
    assert!(lifted.stderr.contains("faulty is out of quarantine, where it was since "), "{}", lifted.stderr);
    assert_eq!(home.invoke("faulty.do", &["what=say"]).json()["said"], "hello");
    assert_eq!(home.run(&["connector", "lift", "faulty"]).stderr, "nothing is held against faulty\n");
}
