//! `--server`: commands that a Jackfield elsewhere carries out, from a machine that has no home. And several projects, of which one
//! is meant.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the message")]

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use jackfield_tests::{Outcome, artifact, finish, tenants::Tenants};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A machine without a home, that knows a server.
struct Away<'a> {
    tenants: &'a Tenants,
    dir: TempDir,
    // Apart from what has to stay empty.
    _keys: TempDir,
    token: String,
}

impl<'a> Away<'a> {
    fn with(tenants: &'a Tenants, token: &str) -> Self {
        let keys = tempfile::tempdir().unwrap();
        let file = keys.path().join("token");
        fs::write(&file, token).unwrap();
        let token = file.display().to_string();
        Self { tenants, dir: tempfile::tempdir().unwrap(), _keys: keys, token }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(artifact("jackfield"));
        command
            .args(args)
            .env_clear()
            .env("HOME", self.dir.path())
            .env("PATH", "/usr/bin:/bin")
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn run(&self, args: &[&str]) -> Outcome {
        let server = ["--server", &self.tenants.url, "--server-token-file", &self.token];
        finish(self.command(&[args, &server].concat()), None)
    }

    fn left(&self) -> Vec<String> {
        names(self.dir.path())
    }
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

#[test]
fn a_server_elsewhere_is_asked_from_where_there_is_no_home() {
    let tenants = Tenants::start(&[]);
    let connection = tenants.connect("u_1", "");
    let away = Away::with(&tenants, &tenants.operator);
    let ran =
        ["action", "invoke", "zoom.get_meetings", "-c", &connection, "--project", "default", "-o", "json"];
    let ran = away.run(&ran);
    assert_eq!((ran.code, ran.json()["meetings"].is_array()), (0, true), "{}", ran.stderr);
    let commands: &[&[&str]] = &[
        &["connector", "list"],
        &["connector", "show", "zoom"],
        &["action", "list"],
        &["action", "list", "zoom"],
        &["action", "show", "zoom.create_meeting"],
        &["invocation", "list"],
        &["connection", "list"],
        &["connection", "show", &connection],
        &["integration", "list"],
        &["integration", "show", "zoom"],
        &["integration", "show", "zoom", "--setup"],
        &["project", "list"],
        &["project", "show", "default"],
        &["user", "list"],
        &["user", "show", "u_1"],
        &["token", "list"],
    ];
    for command in commands {
        for output in [&[][..], &["-o", "json"]] {
            let args = [command, output, &["--project", "default"]].concat();
            let (here, there) = (tenants.home.run(&args), away.run(&args));
            assert_eq!(there.code, 0, "{args:?}: {}", there.stderr);
            assert!(!there.stdout.is_empty(), "{args:?}");
            assert_eq!(there.stdout, here.stdout, "{args:?}");
            assert_eq!(away.left(), [""; 0], "{args:?}");
        }
    }
}

#[test]
fn doctor_asks_a_server_elsewhere_how_it_is() {
    let tenants = Tenants::start(&[]);
    let _ = tenants.connect("u_1", "");
    let away = Away::with(&tenants, &tenants.operator);
    let doctor = away.run(&["doctor", "-o", "json"]);
    let findings: Value = serde_json::from_str(&doctor.stdout).unwrap();
    let found = |check: &str| {
        let findings = findings.as_array().unwrap().iter();
        let texts = findings.filter(|finding| finding["check"] == check);
        texts.map(|finding| finding["text"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(doctor.code, 0, "{findings:#} {}", doctor.stderr);
    assert!(found("server")[0].contains("serving"), "{findings:#}");
    assert!(found("connector")[0].starts_with("zoom "), "{findings:#}");
    assert!(found("client")[0].starts_with("default/zoom: "), "{findings:#}");
    assert!(found("connection").contains(&"default: none waits for anybody".to_owned()), "{findings:#}");
    // Nothing is said of this machine.
    assert_eq!((found("home"), found("store"), found("vault")), (vec![], vec![], vec![]), "{findings:#}");
    assert_eq!(away.left(), [""; 0]);

    let user = Away::with(&tenants, &tenants.rsa.user("u_1"));
    let doctor = user.run(&["doctor"]);
    assert_eq!(doctor.code, 1, "{}", doctor.stdout);
    assert!(doctor.stdout.contains("only an operator may do this"), "{}", doctor.stdout);
}

#[test]
fn what_is_done_on_the_machine_of_the_home_is_not_done_on_another_one() {
    let tenants = Tenants::start(&[]);
    let away = Away::with(&tenants, &tenants.operator);
    let library = artifact("libzoom.so").display().to_string();
    for args in [
        &["connector", "add", &library][..],
        &["connector", "remove", "zoom", "--yes"],
        &["connector", "lock"],
        &["connector", "lift", "zoom"],
        &["connector", "dev", &library],
        &["restore", "copy.db", "--yes"],
        &["serve"],
    ] {
        let refused = away.run(args);
        assert_eq!(refused.code, 2, "{args:?}: {}", refused.stderr);
        assert!(refused.stderr.contains("on the machine of the home"), "{args:?}: {}", refused.stderr);
        assert!(refused.stderr.contains("leave --server out"), "{args:?}: {}", refused.stderr);
        assert_eq!(away.left(), [""; 0], "{args:?}");
    }
    assert_eq!(tenants.get("/v1/health")["state"], "serving");
}

#[test]
fn a_server_elsewhere_that_is_not_there_or_not_for_us_says_so() {
    let tenants = Tenants::start(&[]);
    let away = Away::with(&tenants, "jf_op_nonsense");
    let list = ["connector", "list", "-o", "json"];
    let unknown = away.run(&list);
    assert!(unknown.code != 0 && unknown.stderr.contains("unauthenticated"), "{}", unknown.stderr);
    let nameless = finish(away.command(&[&list[..], &["--server", &tenants.url]].concat()), None);
    assert!(
        nameless.code != 0 && nameless.stderr.contains("--server-token-file FILE"),
        "{}",
        nameless.stderr
    );
    let nobody = ["--server", "http://127.0.0.1:1", "--server-token-file", &away.token];
    let nobody = finish(away.command(&[&list[..], &nobody].concat()), None);
    assert!(nobody.code != 0 && nobody.stderr.contains("127.0.0.1:1"), "{}", nobody.stderr);
    assert_eq!(away.left(), [""; 0]);
}

#[test]
fn where_there_are_several_projects_one_is_meant_and_sees_its_own_alone() {
    let tenants = Tenants::start(&[]);
    let connection = tenants.connect("u_1", "");
    let run = tenants.set(&format!("/v1/connections/{connection}/actions/get_meetings"), &json!({}));
    let run = run["id"].as_str().unwrap();
    let away = Away::with(&tenants, &tenants.operator);
    let of_a_project: &[&[&str]] = &[
        &["connection", "list"],
        &["connection", "show", &connection],
        &["integration", "list"],
        &["integration", "show", "zoom"],
        &["user", "list"],
        &["user", "show", "u_1"],
        &["invocation", "show", run],
    ];
    for command in of_a_project {
        let nameless = away.run(command);
        let expected = "there are several projects: default, other\n  hint: name one: --project NAME";
        assert_eq!(nameless.code, 2, "{command:?}: {}", nameless.stderr);
        assert!(nameless.stderr.contains(expected), "{command:?}: {}", nameless.stderr);
        let named = away.run(&[command, &["--project", "default"][..]].concat());
        assert_eq!(named.code, 0, "{command:?}: {}", named.stderr);
        let other = away.run(&[command, &["--project", "other", "-o", "json"][..]].concat());
        if command[1] == "list" {
            assert_eq!((other.code, other.json()), (0, json!([])), "{command:?}: {}", other.stderr);
        } else {
            assert_ne!(other.code, 0, "{command:?}: {}", other.stdout);
            assert!(other.stderr.contains("\"unknown\""), "{command:?}: {}", other.stderr);
        }
        let none = away.run(&[command, &["--project", "none"][..]].concat());
        assert!(none.stderr.contains("there is no project `none`"), "{command:?}: {}", none.stderr);
    }
    // Connectors are every project's.
    for command in [&["connector", "list"][..], &["connector", "show", "zoom"], &["action", "list"]] {
        let listed = away.run(command);
        assert_eq!(listed.code, 0, "{command:?}: {}", listed.stderr);
    }
    // Whoever has a project's own token need not name it, and has no other.
    let bound = tenants.set_in("other", "/v1/tokens", &json!({}));
    let bound = Away::with(&tenants, bound["token"].as_str().unwrap());
    assert_eq!(bound.run(&["connection", "list", "-o", "json"]).json(), json!([]));
    let foreign = bound.run(&["connection", "list", "--project", "default"]);
    assert!(foreign.stderr.contains("there is no project `default`"), "{}", foreign.stderr);
}
