//! What a shell is told while somebody types.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the message")]

use std::{
    fs,
    process::{Command, Stdio},
};

use jackfield_tests::{Home, Outcome, Terminal, artifact, built, finish};

/// What is offered for the last word, as fish asks for it: a candidate a line, its help behind a tab.
fn asked(home: &Home, words: &str) -> Outcome {
    let mut command = home.command(&["--"]);
    command.args(words.split(' ')).env("JACKFIELD_COMPLETE", "fish");
    finish(command, None)
}

/// Without the options of the command, which are offered as well.
fn offered(home: &Home, words: &str) -> Vec<String> {
    let outcome = asked(home, words);
    assert_eq!((outcome.code, outcome.stderr.as_str()), (0, ""), "{words}");
    let candidates = outcome.stdout.lines().map(|line| line.split('\t').next().unwrap_or_default());
    candidates.filter(|candidate| !candidate.starts_with('-')).map(str::to_owned).collect()
}

#[test]
fn connectors_actions_fields_and_choices_are_offered() {
    let home = Home::with(&["zoom", "forge"]);
    for (words, expected) in [
        ("jackfield connector sh", &["show"][..]),
        ("jackfield connector show ", &["forge", "zoom"]),
        ("jackfield connector remove z", &["zoom"]),
        ("jackfield connector verify f", &["forge"]),
        ("jackfield connector lock zoom f", &["forge"]),
        ("jackfield action list z", &["zoom"]),
        ("jackfield action show zoom.cr", &["zoom.create_meeting"]),
        ("jackfield action form zoom.get_meeting_", &["zoom.get_meeting_registrants"]),
        ("jackfield action invoke zoom.delete", &["zoom.delete_meeting", "zoom.delete_meeting_registrant"]),
        ("jackfield invocation list --action zoom.up", &["zoom.update_meeting"]),
        ("jackfield invocation list --state ", &["running", "done", "failed", "lost"]),
        ("jackfield action list --output n", &["ndjson", "name"]),
        ("jackfield action invoke zoom.create_meeting --set top", &["topic="]),
        ("jackfield action invoke --set top", &[]),
        ("jackfield action form zoom.create_meeting --set sett", &["settings."]),
        ("jackfield action invoke zoom.create_meeting --set settings.waiting", &["settings.waiting_room="]),
        (
            "jackfield action invoke zoom.create_meeting --set settings.waiting_room=",
            &["settings.waiting_room=true", "settings.waiting_room=false"],
        ),
        (
            "jackfield action invoke zoom.create_meeting --set type=",
            &["type=1", "type=2", "type=3", "type=8", "type=10"],
        ),
        ("jackfield action invoke zoom.create_meeting --set type=1", &["type=1", "type=10"]),
        (
            "jackfield action invoke zoom.create_meeting --set topic=x --set recurrence.type=",
            &["recurrence.type=1", "recurrence.type=2", "recurrence.type=3"],
        ),
        (
            "jackfield action invoke zoom.create_meeting --set settings.meeting_invitees[0].e",
            &["settings.meeting_invitees[0].email="],
        ),
        ("jackfield action invoke zoom.create_meeting --set nonsense.", &[]),
        ("jackfield action invoke zoom.create_meeting --set topic=", &[]),
        ("jackfield action invoke zoom.nonsense --set top", &[]),
    ] {
        assert_eq!(offered(&home, words), expected, "{words}");
    }
    let with_help = asked(&home, "jackfield action invoke zoom.create_meeting --set type=8");
    assert_eq!(with_help.stdout, "type=8\tRecurring meeting with fixed time\n");
}

#[test]
fn the_home_that_is_named_is_the_one_that_is_looked_at() {
    let (home, other) = (Home::with(&["zoom"]), Home::with(&["forge"]));
    let other = other.path().display().to_string();
    for words in [
        format!("jackfield --home {other} connector show "),
        format!("jackfield --home={other} connector show "),
    ] {
        assert_eq!(offered(&home, &words), ["forge"], "{words}");
    }
}

#[test]
fn without_a_home_nothing_is_said_or_made_and_a_bad_file_is_passed_over() {
    let home = Home::with(&["zoom"]);
    fs::write(home.plugins().join("bad.so"), "bad").unwrap();
    home.configure("nonsense = 1");
    assert_eq!(offered(&home, "jackfield connector show "), ["zoom"]);
    fs::remove_dir_all(home.path()).unwrap();
    for words in [
        "jackfield connector show ",
        "jackfield action invoke zo",
        "jackfield action invoke zoom.create_meeting --set ",
    ] {
        assert_eq!(offered(&home, words), [] as [&str; 0], "{words}");
    }
    assert_eq!(
        offered(&home, "jackfield conn"),
        ["connector", "connect", "connection"],
        "what needs no home is there"
    );
    assert!(!home.path().exists());
}

#[test]
fn every_shell_has_a_script() {
    let home = Home::with(&[]);
    fs::remove_dir_all(home.path()).unwrap();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = home.run(&["completion", shell]);
        assert_eq!((script.code, script.stderr.as_str()), (0, ""), "{shell}");
        for part in ["jackfield", "JACKFIELD_COMPLETE"] {
            assert!(script.stdout.contains(part), "{shell}: {}", script.stdout);
        }
        // A shell that is there says whether it is one.
        if ["bash", "fish", "zsh"].contains(&shell)
            && let Ok(mut checked) = Command::new(shell).arg("-n").stdin(Stdio::piped()).spawn()
        {
            std::io::Write::write_all(&mut checked.stdin.take().unwrap(), script.stdout.as_bytes()).unwrap();
            assert!(checked.wait().unwrap().success(), "{shell}");
        }
    }
}

#[test]
fn somebody_at_a_bash_is_helped() {
    let home = Home::with(&["zoom"]);
    let mut command = Command::new("bash");
    command.args(["--norc", "--noprofile", "-i"]).env_clear();
    command
        .env("PATH", format!("{}:/usr/bin:/bin", built().display()))
        .env("HOME", home.path())
        .env("JACKFIELD_HOME", home.path())
        .env("INPUTRC", "/dev/null")
        .env("PS1", "> ");
    assert!(artifact("jackfield").exists());
    let mut terminal = Terminal::start(command, 120, 40);
    terminal.sees(">");
    terminal.types("source <(jackfield completion bash); echo sour''ced\r");
    terminal.sees("sourced");
    for (typed, completed) in [
        ("jackfield connecto\t", "jackfield connector"),
        ("show zo\t", "show zoom"),
        ("\u{15}jackfield action invoke zoom.cr\t", "invoke zoom.create_meeting"),
        ("--set top\t", "--set topic="),
        ("Demo --set settings.waiting_r\t", "--set settings.waiting_room="),
        ("t\t", "--set settings.waiting_room=true"),
        ("-", "--set settings.waiting_room=true -"),
        ("-set type=8\t--", "--set type=8 --"),
        ("set=recurrence.\t\t", "recurrence.monthly_week_day="),
    ] {
        terminal.types(typed);
        terminal.sees(completed);
    }
}
