//! The command line, as its users see it: sessions, word by word.
//!
//! `TRYCMD=overwrite cargo xtask test --test cli` writes down what it says now.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the message")]

use std::{collections::HashMap, env, fs, path::Path, sync::LazyLock};

use jackfield_tests::{Home, Simulator, artifact, root};
use regex::Regex;

/// Where the simulator listens if nobody says otherwise.
const USUAL_ORIGIN: &str = "http://127.0.0.1:4510";

#[test]
fn looking_around() {
    let simulator = simulator();
    run("looking", &simulator, &simulator.home());
}

#[test]
fn forms() {
    let simulator = simulator();
    run("forms", &simulator, &simulator.home());
}

#[test]
fn running_actions() {
    let simulator = simulator();
    run("running", &simulator, &simulator.home());
}

#[test]
fn what_goes_wrong() {
    let simulator = simulator();
    run("wrong", &simulator, &simulator.home());
}

#[test]
fn connectors() {
    run("connectors", &simulator(), &Home::with(&[]));
}

#[test]
fn invocations() {
    let simulator = simulator();
    run("invocations", &simulator, &simulator.home());
}

#[test]
fn setting_a_connector_up() {
    let simulator = simulator();
    run("setup", &simulator, &simulator.home());
}

#[test]
fn doctor() {
    let simulator = simulator();
    run("doctor", &simulator, &simulator.home());
}

#[test]
fn the_readme_says_what_happens() {
    let simulator = simulator();
    let home = simulator.home();
    home.configure("[integrations.zoom]\ntoken_file = \"token\"");
    fs::write(home.path().join("token"), simulator.token()).unwrap();
    session(&root().join("README.md"), &simulator, &home);
}

/// The same number makes the same ids and the same token in every run; the token lies beside the sessions.
fn simulator() -> Simulator {
    Simulator::start(&["--seed", "1"])
}

fn run(name: &str, simulator: &Simulator, home: &Home) {
    session(&root().join(format!("tests/sessions/{name}.md")), simulator, home);
}

/// Runs the session of a file in a directory of its own, with the files that sessions use.
fn session(file: &Path, simulator: &Simulator, home: &Home) {
    let directory = tempfile::tempdir().unwrap();
    let stem = file.file_stem().unwrap().to_string_lossy().into_owned();
    let beside = directory.path().join(format!("{stem}.in"));
    fs::create_dir(&beside).unwrap();
    for entry in fs::read_dir(root().join("tests/sessions/files")).unwrap().flatten() {
        fs::copy(entry.path(), beside.join(entry.file_name())).unwrap();
    }
    // The reader's simulator listens where it does by default; ids and times are others each time.
    let here = simulator.ready["origin"].as_str().unwrap();
    let before = fs::read_to_string(file).unwrap();
    let lines: Vec<String> = before.lines().map(changing).collect();
    let copy = directory.path().join(format!("{stem}.md"));
    fs::write(&copy, lines.join("\n").replace(USUAL_ORIGIN, here) + "\n").unwrap();
    let cases = trycmd::TestCases::new();
    cases
        .register_bin("jackfield", artifact("jackfield"))
        .env("JACKFIELD_HOME", home.path().to_string_lossy())
        .env("NO_COLOR", "1")
        .insert_var("[HOME]", home.path().display().to_string())
        .expect("a variable")
        .insert_var("[HERE]", beside.display().to_string())
        .expect("a variable")
        .case(&copy);
    let overwrite = env::var_os("TRYCMD").is_some_and(|what| what == "overwrite");
    // It says what differs when it is dropped, by panicking.
    if overwrite {
        drop(std::panic::catch_unwind(std::panic::AssertUnwindSafe(move || drop(cases))));
        write_down(file, &copy, here);
    } else {
        drop(cases);
    }
}

/// Takes over what a session says now. README goes on showing ids and times as they look.
fn write_down(file: &Path, copy: &Path, here: &str) {
    let before = fs::read_to_string(file).unwrap();
    let shown: HashMap<String, &str> = before.lines().map(|line| (changing(line), line)).collect();
    let is_readme = file.ends_with("README.md");
    let now = fs::read_to_string(copy).unwrap().replace(here, USUAL_ORIGIN);
    let lines = now.lines().map(|line| {
        let line = changing(line);
        if is_readme && let Some(line) = shown.get(&line) { (*line).to_owned() } else { line }
    });
    let text: String = lines.map(|line| line + "\n").collect();
    fs::write(file, text).unwrap();
}

/// A line with a wildcard where it is another one each time.
fn changing(line: &str) -> String {
    static PATTERNS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
        let when = "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}";
        let patterns = [
            ("inv_[0-9a-f]{20,32}", "inv_[..]"),
            ("int_[0-9a-f]{20,32}", "int_[..]"),
            ("key_[0-9a-f]{16}", "key_[..]"),
            ("[0-9a-f]{64}", "[..]"),
            ("sha256 [0-9a-f]{12}", "sha256 [..]"),
            // Who runs the tests, and how files are made there.
            ("it belongs to .+, has mode [0-7]+", "it belongs to [..], has mode [..]"),
            ("TOOK +ABOUT", "TOOK[..]ABOUT"),
            ("[0-9]+ ms +", "[..] ms[..]"),
            ("[0-9]+ ms", "[..] ms"),
            ("[0-9]+ MiB free", "[..] MiB free"),
            // When something was made; times that were given are whole hours.
            (&format!("{when}(\\.[0-9]+)?Z"), "[..]"),
        ];
        patterns.map(|(pattern, with)| (Regex::new(pattern).unwrap(), with)).into()
    });
    let given = |text: &str| text.ends_with(":00:00Z");
    PATTERNS.iter().fold(line.to_owned(), |line, (pattern, with)| {
        pattern
            .replace_all(
                &line,
                |found: &regex::Captures<'_>| {
                    if given(&found[0]) { found[0].to_owned() } else { (*with).to_owned() }
                },
            )
            .into_owned()
    })
}
