//! The command line, as its users see it: sessions, word by word.
//!
//! `TRYCMD=overwrite cargo xtask test --test cli` writes down what it says now.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the message")]

use std::{env, fs, path::Path};

use jackfield_tests::{Simulator, artifact, root};

/// Where the simulator listens if nobody says otherwise.
const USUAL_ORIGIN: &str = "http://127.0.0.1:4510";

#[test]
fn sessions_look_as_written_down() {
    run(&simulator(), &root().join("tests/sessions/*.md"));
}

#[test]
fn the_readme_says_what_happens() {
    let simulator = simulator();
    let directory = tempfile::tempdir().unwrap();
    // trycmd takes the files of a session from beside it, and the top level has no place for them.
    let beside = directory.path().join("README.in");
    fs::create_dir(&beside).unwrap();
    fs::copy(root().join("tests/sessions/cli.in/token"), beside.join("token")).unwrap();
    // The reader's simulator listens where it does by default, and an id is another one each time.
    let text = fs::read_to_string(root().join("README.md")).unwrap();
    let here = simulator.ready["origin"].as_str().unwrap();
    let text = text.replace(USUAL_ORIGIN, here);
    let lines: Vec<&str> = text
        .lines()
        .map(|line| if line.starts_with("  id: inv_") { "  id: inv_[..]" } else { line })
        .collect();
    let copy = directory.path().join("README.md");
    fs::write(&copy, lines.join("\n") + "\n").unwrap();
    run(&simulator, &copy);
    if env::var_os("TRYCMD").is_some_and(|what| what == "overwrite") {
        let text = fs::read_to_string(&copy).unwrap().replace(here, USUAL_ORIGIN);
        fs::write(root().join("README.md"), text).unwrap();
    }
}

/// The same number makes the same ids and the same token in every run; the token lies beside the sessions.
fn simulator() -> Simulator {
    Simulator::start(&["--seed", "1"])
}

fn run(simulator: &Simulator, sessions: &Path) {
    let home = simulator.home();
    trycmd::TestCases::new()
        .register_bin("jackfield", artifact("jackfield"))
        .env("JACKFIELD_HOME", home.path().to_string_lossy())
        .env("NO_COLOR", "1")
        .insert_var("[HOME]", home.path().display().to_string())
        .expect("a variable")
        .case(sessions)
        .run();
}
