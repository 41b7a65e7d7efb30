//! The ten errors that everybody meets in the first hour: one sentence, and one command to type next.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the message")]

use std::fs;

use jackfield_tests::{Home, Outcome, Simulator};

/// What a command says, without what is another one each time.
fn said(home: &Home, outcome: &Outcome) -> String {
    assert_eq!(outcome.stdout, "", "an error prints nothing on standard output");
    let text = outcome.stderr.replace(&home.path().display().to_string(), "HOME");
    let lines = text.lines().map(|line| match line.split_once("inv_") {
        Some((before, _)) => format!("{before}inv_…"),
        None => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[track_caller]
fn expect(home: &Home, outcome: &Outcome, code: i32, expected: &str) {
    let said = said(home, outcome);
    assert_eq!((outcome.code, said.as_str()), (code, expected.trim()), "\n{said}\n");
    let hints: Vec<&str> = said.lines().filter(|line| line.starts_with("  hint: ")).collect();
    assert_eq!(hints.len(), 1, "one hint: {said}");
    assert_eq!(hints[0].matches("jackfield ").count(), 1, "with one command: {said}");
    assert_eq!(said.lines().filter(|line| line.starts_with("error[")).count(), 1, "one sentence: {said}");
}

const MEETING: [&str; 5] = ["action", "invoke", "zoom.get_meeting", "--set", "meeting_id=85746065432"];

#[test]
fn no_home() {
    let home = Home::with(&[]);
    fs::remove_dir_all(home.path()).unwrap();
    expect(
        &home,
        &home.run(&["action", "list"]),
        1,
        "
error[config]: there is no home at HOME
  hint: make one: jackfield init",
    );
}

#[test]
fn no_connector() {
    let home = Home::with(&[]);
    expect(
        &home,
        &home.run(&MEETING),
        2,
        "
error[unknown]: there is no connector `zoom`
  hint: add it: jackfield connector add zoom",
    );
}

#[test]
fn refused_file() {
    let home = Home::with(&["zoom"]);
    let library = home.plugins().join("libzoom.so");
    let bytes = fs::read(&library).unwrap();
    fs::write(&library, &bytes[..bytes.len() / 2]).unwrap();
    expect(
        &home,
        &home.run(&MEETING),
        7,
        "
error[plugin_refused]: HOME/plugins/libzoom.so: is not a library, or is cut short
  hint: put a good one in its place: jackfield connector add FILE",
    );
}

#[test]
fn no_token() {
    let home = Home::with(&["zoom"]);
    expect(
        &home,
        &home.run(&MEETING),
        4,
        "
error[unauthorized]: Zoom needs a credential, and none was given
  hint: connect an account: jackfield connect zoom; or give a token: --token-file FILE",
    );
}

#[test]
fn unknown_action() {
    let home = Home::with(&["zoom"]);
    expect(
        &home,
        &home.run(&["action", "invoke", "zoom.creat_meeting", "--set", "topic=Demo"]),
        2,
        "
error[unknown]: the connector `zoom` has no action `creat_meeting`
  hint: did you mean `create_meeting`? see what it takes: jackfield action show zoom.create_meeting",
    );
}

#[test]
fn wrong_field() {
    let home = Home::with(&["zoom"]);
    expect(
        &home,
        &home.run(&["action", "invoke", "zoom.create_meeting", "--set", "topci=Demo"]),
        2,
        "
error[invalid_input]: the input of zoom.create_meeting does not fit
  topci  is not a field here; did you mean `topic`?
  hint: see what it takes: jackfield action show zoom.create_meeting",
    );
}

#[test]
fn missing_field() {
    let home = Home::with(&["zoom"]);
    expect(
        &home,
        &home.run(&["action", "invoke", "zoom.get_meeting"]),
        2,
        "
error[invalid_input]: the input of zoom.get_meeting does not fit
  meeting_id  is required
  hint: see what it takes: jackfield action show zoom.get_meeting",
    );
}

/// Runs an action with a token that is in a file, as somebody does who has read the README.
fn with_token(home: &Home, token: &str, args: &[&str]) -> Outcome {
    let file = home.path().join("token");
    fs::write(&file, token).unwrap();
    let mut all = args.to_vec();
    all.extend(["--token-file", file.to_str().unwrap()]);
    home.run(&all)
}

#[test]
fn expired_token() {
    let simulator = Simulator::start(&["--token-life", "60"]);
    let home = simulator.home();
    let token = simulator.token();
    simulator.control("POST", "clock", Some(&serde_json::json!({"advance_seconds": 61})));
    expect(
        &home,
        &with_token(&home, &token, &MEETING),
        4,
        "
error[unauthorized]: Zoom does not accept the access token: it has expired, was revoked, or a newer one took its place
  provider: status 401, code 124: Access token is expired.
  hint: get a new token and run it again: jackfield action invoke zoom.get_meeting … --token-file FILE
  id: inv_…",
    );
}

#[test]
fn missing_scope() {
    let simulator = Simulator::start(&[]);
    let home = simulator.home();
    let token = simulator.token_with(&["meeting:read:meeting"]);
    expect(
        &home,
        &with_token(&home, &token, &["action", "invoke", "zoom.create_meeting", "--set", "topic=Demo"]),
        4,
        "
error[missing_scope]: Zoom refused: the connection lacks the scope meeting:write:meeting (or meeting:write:meeting:admin)
  provider: status 400, code 4711: Invalid access token, does not contain scopes:[meeting:write:meeting,meeting:write:meeting:admin].
  hint: add meeting:write:meeting to your Zoom app, then connect again, and run it with the new token: jackfield action invoke zoom.create_meeting … --token-file FILE
  id: inv_…",
    );
}

#[test]
fn provider_down() {
    let home = Home::with(&["zoom"]);
    home.endpoint("zoom", "api", "http://127.0.0.1:1/v2");
    expect(
        &home,
        &with_token(&home, "a-token", &MEETING),
        5,
        "
error[network]: Zoom (127.0.0.1:1) cannot be reached: Connection refused
  hint: [integrations.zoom.endpoints] in jackfield.toml leads there; see whether anything listens: jackfield doctor
  id: inv_…",
    );
}
