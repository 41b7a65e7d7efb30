//! The pictures that README shows: real terminals, drawn by what happens in them.
//!
//! `cargo xtask pictures` draws them again.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the message")]

use std::{env, fs, process::Command};

use jackfield_tests::{Home, Simulator, Terminal, artifact, root};

const COLUMNS: u16 = 100;

/// A home as it is after README's five commands.
fn home(simulator: &Simulator) -> Home {
    let home = simulator.home();
    let token = home.path().join("token");
    fs::write(&token, simulator.token()).unwrap();
    home.configure(&format!("[integrations.zoom]\ntoken_file = \"{}\"\n", token.display()));
    home
}

/// A terminal in which commands are typed, each behind a prompt.
fn terminal(home: &Home, commands: &[&str], rows: u16) -> Terminal {
    let jackfield = artifact("jackfield");
    let mut script = format!("jackfield() {{ {} \"$@\"; }}\n", jackfield.display());
    for (index, command) in commands.iter().enumerate() {
        let before = if index == 0 { "" } else { "\\n" };
        script.push_str(&format!("printf '{before}\\033[32m$\\033[0m %s\\n' '{command}'\n{command}\n"));
    }
    let mut shell = Command::new("bash");
    shell
        .args(["--noprofile", "--norc", "-c", &script])
        .env_clear()
        .env("HOME", home.path().parent().unwrap())
        .env("JACKFIELD_HOME", home.path())
        .current_dir(home.path().parent().unwrap());
    Terminal::start(shell, COLUMNS, rows)
}

/// Compares a picture with the one that is there, or puts it in its place.
#[track_caller]
fn is(name: &str, picture: &str) {
    let path = root().join(format!("docs/pictures/{name}.svg"));
    if env::var_os("JACKFIELD_UPDATE").is_some_and(|value| value == "1") {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        return fs::write(&path, picture).unwrap();
    }
    let there = fs::read_to_string(&path).unwrap_or_default();
    let line = there.lines().zip(picture.lines()).find(|(there, drawn)| there != drawn);
    assert_eq!(
        there.len(),
        picture.len(),
        "docs/pictures/{name}.svg is another picture: {line:?}\nto draw it again: cargo xtask pictures"
    );
    assert_eq!(
        line, None,
        "docs/pictures/{name}.svg is another picture\nto draw it again: cargo xtask pictures"
    );
}

#[test]
fn what_is_there_and_the_first_meeting() {
    let simulator = Simulator::start(&["--seed", "1"]);
    let home = home(&simulator);
    let terminal = terminal(
        &home,
        &[
            "jackfield connector list",
            "jackfield action list zoom",
            "jackfield action invoke zoom.create_meeting --set topic=Demo --set start_time=2030-01-31T10:00",
        ],
        60,
    );
    terminal.sees("secrets as they are");
    is(
        "first",
        &terminal.picture("Three commands: the connectors, the actions of Zoom, and a meeting that is made"),
    );
}

#[test]
fn a_form_in_the_terminal() {
    let simulator = Simulator::start(&["--seed", "1"]);
    let home = home(&simulator);
    let mut terminal = terminal(&home, &["jackfield action form zoom.create_meeting"], 34);
    terminal.answers("Topic", "Product demo");
    terminal.sees("Recurring meeting with fixed time");
    is(
        "form",
        &terminal.picture("A form in the terminal: the fields of Create Meeting, asked one after the other"),
    );
    // The shell would go alone, and leave the question behind.
    terminal.types("\u{3}");
    assert_eq!(terminal.waits(), 3);
}

#[test]
fn what_goes_wrong() {
    let simulator = Simulator::start(&["--seed", "1"]);
    let home = home(&simulator);
    let terminal = terminal(
        &home,
        &[
            "jackfield action invoke zoom.create_meetng --set topic=Demo",
            "jackfield action invoke zoom.create_meeting --set topc=Demo --set duration=long",
        ],
        30,
    );
    let picture = terminal.drawn("Two errors, each with what is wrong, where, and what to type next");
    is("wrong", &picture);
}
