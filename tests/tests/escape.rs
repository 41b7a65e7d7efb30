//! What a connector tries to get at from its worker, and that the kernel refuses it: as code that is called, and as a
//! constructor that runs while the library is loaded.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the message")]

use std::{
    collections::BTreeMap,
    fs,
    net::TcpListener,
    os::unix::{
        fs::{PermissionsExt, chown},
        process::CommandExt,
    },
    path::Path,
    process::Command,
};

use jackfield_tests::{Home, Outcome, artifact, finish, process};
use serde_json::{Value, json};

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_default()
}

/// What came of each attempt.
fn read(said: &str) -> BTreeMap<String, String> {
    let pairs = said.lines().filter_map(|line| line.split_once(": "));
    pairs.map(|(name, outcome)| (name.to_owned(), outcome.to_owned())).collect()
}

/// Those that were not refused.
fn not_refused(attempts: &BTreeMap<String, String>) -> Vec<String> {
    attempts
        .iter()
        .filter(|(_, outcome)| !outcome.starts_with("refused"))
        .map(|(name, outcome)| format!("{name}: {outcome}"))
        .collect()
}

/// The library that runs when it is opened, with this path as what it aims at.
fn constructor(path: &Path) -> Vec<u8> {
    let mark = b"jackfield-constructor-canary:";
    let mut bytes = fs::read(artifact("libconstructor.so")).unwrap();
    let at = bytes.windows(mark.len()).position(|window| window == mark).unwrap() + mark.len();
    let path = path.to_str().unwrap().as_bytes();
    bytes[at..at + path.len()].copy_from_slice(path);
    bytes
}

#[test]
fn every_attempt_of_a_call_to_get_out_is_refused() {
    let home = Home::with(&["faulty"]);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = home.serve();
    let config = home.path().join("jackfield.toml");
    let before = fs::read(&config).unwrap();
    let canary = home.plugins().join("libcanary.so");
    for path in [&config, &canary, Path::new("/etc/passwd"), &home.path().join("data/deaths.json")] {
        let head = json!({"path": path, "port": port, "parent": server.pid()});
        let said = home.faulty("do", "escape", &head, &[]).json();
        let attempts = read(text(&said, "said"));
        assert!(attempts.len() > 60, "{attempts:#?}");
        assert_eq!(not_refused(&attempts), [""; 0], "{}", path.display());
    }
    assert_eq!(fs::read(&config).unwrap(), before);
    assert!(!canary.exists());
    assert!(listener.accept().is_err(), "nobody has connected");
    assert!(process::is_there(server.pid()));
    // What it has: three streams, its socket and what waits for it, the library.
    let said = home.faulty("do", "descriptors", &json!({}), &[]).json();
    let open: Vec<i32> = serde_json::from_str(text(&said, "said")).unwrap();
    assert!(open.len() <= 9, "{open:?}");
    assert_eq!(text(&home.faulty("do", "environment", &json!({}), &[]).json(), "said"), "0");
}

#[test]
fn every_attempt_of_a_constructor_to_get_out_is_refused() {
    let home = Home::with(&[]);
    let aim = home.path().join("jackfield.toml");
    let before = fs::read(&aim).unwrap();
    fs::write(home.plugins().join("libconstructor.so"), constructor(&aim)).unwrap();
    let said = home.invoke("constructor.tell", &["why=attempts"]).json();
    assert_eq!(said["ran"], true);
    let mut attempts = read(text(&said, "attempts"));
    assert!(attempts.len() > 60, "{attempts:#?}");
    assert_eq!(attempts.remove("environment").unwrap(), "0");
    let open: Vec<i32> = serde_json::from_str(&attempts.remove("descriptors").unwrap()).unwrap();
    assert!(open.len() <= 10, "{open:?}");
    // While a library is loaded, code is mapped, a filter is added, and files may be looked for. None can be read.
    for allowed in ["stat", "readlink", "executable-memory", "make-memory-executable", "another-filter"] {
        attempts.remove(allowed).unwrap();
    }
    assert_eq!(not_refused(&attempts), [""; 0]);
    assert_eq!(fs::read(&aim).unwrap(), before);
}

/// A home that another user has, and a binary and libraries that they can read.
fn of_another_user(libraries: &[&str]) -> (Home, Box<dyn Fn(&[&str], &str) -> Outcome>) {
    const NOBODY: u32 = 65534;
    let home = Home::with(libraries);
    let place = home.path().parent().unwrap().to_owned();
    let binary = place.join("jackfield");
    fs::copy(artifact("jackfield"), &binary).unwrap();
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).unwrap();
    let mut all = vec![place.clone()];
    while let Some(path) = all.pop() {
        if path.is_dir() {
            all.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        chown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let at = home.path().to_owned();
    let run = move |args: &[&str], input: &str| {
        let mut command = Command::new(&binary);
        command.args(args).env_clear().env("JACKFIELD_HOME", &at).current_dir("/");
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        command.uid(NOBODY).gid(NOBODY);
        finish(command, Some(input))
    };
    (home, Box::new(run))
}

#[test]
fn it_works_for_an_ordinary_user() {
    // Who is not root is one, and every other test says so.
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let (home, run) = of_another_user(&["faulty", "zoom"]);
    let dry = ["action", "invoke", "zoom.create_meeting", "--set", "topic=x", "--dry-run"];
    let outcome = run(&dry, "");
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    let head =
        format!("head={}", json!({"path": home.path().join("jackfield.toml"), "port": 9, "parent": 1}));
    let args = [
        "action",
        "invoke",
        "faulty.do",
        "--token-stdin",
        "-o",
        "json",
        "--set",
        "what=escape",
        "--set",
        &head,
    ];
    let said = run(&args, "t").json();
    let attempts = read(text(&said, "said"));
    assert!(attempts.len() > 60, "{attempts:#?}");
    assert_eq!(not_refused(&attempts), [""; 0]);
    let doctor = run(&["doctor"], "");
    assert!(doctor.stdout.contains("locked in: by Landlock "), "{}{}", doctor.stdout, doctor.stderr);
}

#[test]
fn who_turns_isolation_off_is_told_and_gets_what_they_asked_for() {
    let home = Home::with(&["faulty"]);
    let open = |home: &Home| {
        let head = json!({"path": "/etc/passwd"});
        let said = home.faulty("do", "escape", &head, &["--set", "op=open-to-read"]).json();
        text(&said, "said").to_owned()
    };
    assert_eq!(open(&home), "open-to-read: refused");
    home.configure("[workers]\nisolation = \"off\"");
    assert_eq!(open(&home), "open-to-read: succeeded");
    let doctor = home.run(&["doctor"]);
    assert!(
        doctor.stdout.contains("faulty is not locked in: workers.isolation is \"off\"")
            && doctor
                .stdout
                .contains("hint: set `isolation = \"require\"` under [workers] in jackfield.toml"),
        "{}",
        doctor.stdout
    );
}

#[test]
fn isolation_is_set_in_the_file_alone_and_has_three_values() {
    let home = Home::with(&["faulty"]);
    let mut command = home.command(&["action", "list"]);
    command.env("JACKFIELD_WORKERS__ISOLATION", "off");
    let outcome = finish(command, None);
    assert_eq!(outcome.code, 1);
    assert!(
        outcome
            .stderr
            .contains("`JACKFIELD_WORKERS__ISOLATION` is not read: isolation is set in the file alone"),
        "{}",
        outcome.stderr
    );
    home.configure("[workers]\nisolation = \"some\"");
    let error = home.invoke("faulty.do", &["what=say"]).error(1);
    assert_eq!(text(&error, "kind"), "config");
    assert!(
        text(&error, "message").ends_with("`workers.isolation` must be one of require, prefer, off"),
        "{error:#}"
    );
}
