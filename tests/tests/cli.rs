//! The command line, as its users see it: sessions, word by word.
//!
//! `TRYCMD=overwrite cargo xtask test --test cli` writes down what it says now.

use jackfield_tests::{Simulator, artifact, root};

#[test]
fn sessions_look_as_written_down() {
    // The same number makes the same ids and the same token in every run; the token lies beside the sessions.
    let simulator = Simulator::start(&["--seed", "1"]);
    let home = simulator.home();
    trycmd::TestCases::new()
        .register_bin("jackfield", artifact("jackfield"))
        .env("JACKFIELD_HOME", home.path().to_string_lossy())
        .env("NO_COLOR", "1")
        .insert_var("[HOME]", home.path().display().to_string())
        .expect("a variable")
        .case(root().join("tests/sessions/*.md"))
        .run();
}
