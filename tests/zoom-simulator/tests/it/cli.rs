//! The binary, as a user or a script starts it.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

const BINARY: &str = env!("CARGO_BIN_EXE_zoom-simulator");

fn run(arguments: &[&str]) -> Output {
    Command::new(BINARY).args(arguments).output().expect("the binary starts")
}

/// A running simulator, and the first line of its output.
struct Running {
    child: Child,
    stdout: BufReader<std::process::ChildStdout>,
    first_line: String,
}

impl Running {
    fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(BINARY)
            .args(["--listen", "127.0.0.1:0"])
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut first_line = String::new();
        stdout.read_line(&mut first_line).expect("it says something");
        Self { child, stdout, first_line }
    }

    fn ready(&self) -> Value {
        serde_json::from_str(&self.first_line).expect("one line of JSON")
    }

    /// Sends a signal and waits. Answers what was left on stdout and stderr.
    fn stop(mut self, signal: &str) -> (Option<i32>, String, String) {
        let id = self.child.id().to_string();
        let sent = Command::new("kill").args([signal, &id]).status().expect("kill starts");
        assert!(sent.success());
        let (mut stdout, mut stderr) = (String::new(), String::new());
        self.stdout.read_to_string(&mut stdout).expect("stdout is text");
        let mut pipe = self.child.stderr.take().expect("a pipe");
        pipe.read_to_string(&mut stderr).expect("stderr is text");
        (self.child.wait().expect("it ends").code(), stdout, stderr)
    }
}

#[test]
fn help_names_every_option() {
    let output = run(&["--help"]);
    assert!(output.status.success());
    let help = String::from_utf8(output.stdout).expect("text");
    for option in [
        "--listen",
        "--plan",
        "--app",
        "--scopes",
        "--token-life",
        "--token-file",
        "--ready-json",
        "--redirect-uri",
        "--client-id",
        "--client-secret",
        "--webhook-url",
        "--webhook-secret",
        "--no-rate-limits",
        "--registrant-limit",
        "--seed",
        "--verbose",
    ] {
        assert!(help.contains(option), "{option}\n{help}");
    }
}

#[test]
fn the_manual_names_every_option() {
    let help = String::from_utf8(run(&["-h"]).stdout).expect("text");
    let manual = include_str!("../../README.md");
    let options =
        help.split_whitespace().filter(|word| word.starts_with("--")).map(|word| word.trim_matches(','));
    for option in options.filter(|option| !matches!(*option, "--help" | "--version" | "--verbose...")) {
        assert!(manual.contains(&format!("`{option}")), "{option}");
    }
}

#[test]
fn only_loopback_addresses_are_listened_on() {
    for address in ["0.0.0.0:0", "192.0.2.1:4510", "[::]:0", "example.com:80", "127.0.0.1"] {
        let output = run(&["--listen", address]);
        assert_eq!(output.status.code(), Some(2), "{address}");
        let stderr = String::from_utf8(output.stderr).expect("text");
        assert!(stderr.contains("loopback") || stderr.contains("address and a port"), "{address}: {stderr}");
    }
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let output = run(&["--listen", &address]);
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).expect("text");
    assert!(stderr.contains(&address), "{stderr}");
}

#[test]
fn the_ready_text_says_what_a_user_needs() {
    let running = Running::start(&[]);
    let origin = running.first_line.trim().rsplit(' ').next().expect("an address").to_owned();
    let (code, stdout, stderr) = running.stop("-TERM");
    assert_eq!(code, Some(0));
    assert_eq!(stderr, "");
    for expected in [
        &format!("jackfield connector add zoom --endpoint api={origin}/v2 --endpoint oauth={origin}/oauth\n"),
        "SimulatedClientId00001",
        "SimulatedClientSecret00000000001",
        "SimulatedSecretToken01",
        "SampleAccount000000001",
        "host@example.com",
        "unlicensed@example.com",
        "zsat_",
        "/_simulator",
    ] {
        assert!(stdout.contains(expected), "{expected}\n{stdout}");
    }
}

#[test]
fn the_ready_line_says_the_same_to_a_script() {
    let running =
        Running::start(&["--ready-json", "--plan", "pro", "--app", "admin-managed", "--scopes", "classic"]);
    let ready = running.ready();
    let (code, stdout, _) = running.stop("-INT");
    assert_eq!((code, stdout.as_str()), (Some(0), ""));
    let origin = ready["origin"].as_str().expect("an origin");
    assert!(origin.starts_with("http://127.0.0.1:"), "{ready}");
    assert_eq!(ready["api"], format!("{origin}/v2"));
    assert_eq!(ready["oauth"], format!("{origin}/oauth"));
    assert_eq!(ready["control"], format!("{origin}/_simulator"));
    assert_eq!(ready["plan"], "pro");
    assert_eq!(ready["app"], "admin-managed");
    assert_eq!(ready["scopes"][0], "user:read:admin");
    assert_eq!(ready["users"][0]["email"], "host@example.com");
    assert_eq!(ready["users"].as_array().map(Vec::len), Some(4));
    assert!(ready["token"]["access_token"].as_str().is_some_and(|token| token.starts_with("zsat_")));
}

fn mode(file: &Path) -> u32 {
    file.metadata().expect("the file is there").permissions().mode() & 0o777
}

#[test]
fn the_token_file_is_new_and_for_its_owner_only() {
    let directory = tempfile::tempdir().expect("a directory");
    let (file, elsewhere) = (directory.path().join("token"), directory.path().join("elsewhere"));
    std::fs::write(&elsewhere, "untouched").expect("a file");
    symlink(&elsewhere, &file).expect("a link");
    let running = Running::start(&["--ready-json", "--token-file", file.to_str().expect("text")]);
    let ready = running.ready();
    running.stop("-TERM");
    assert_eq!(std::fs::read_to_string(&elsewhere).expect("text"), "untouched");
    assert!(file.symlink_metadata().expect("it is there").is_file());
    assert_eq!(mode(&file), 0o600);
    assert!(std::fs::read_to_string(&file).expect("text").starts_with("zsat_"));
    assert_eq!(ready["token"]["file"], file.to_str().expect("text"));
    assert_eq!(ready["token"].get("access_token"), None);
}

#[test]
fn a_token_file_that_cannot_be_written_is_named() {
    let output = run(&["--listen", "127.0.0.1:0", "--token-file", "/nonexistent/token"]);
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).expect("text");
    assert!(stderr.contains("/nonexistent/token"), "{stderr}");
    assert_eq!(output.stdout, b"");
}

#[test]
fn a_seed_makes_tokens_the_same() {
    let tokens: Vec<Value> = ["7", "7", "8"]
        .map(|seed| {
            let running = Running::start(&["--ready-json", "--seed", seed]);
            let ready = running.ready();
            running.stop("-TERM");
            ready["token"]["access_token"].clone()
        })
        .into();
    assert_eq!(tokens[0], tokens[1]);
    assert_ne!(tokens[0], tokens[2]);
}

#[test]
fn requests_are_logged_when_asked_for_and_without_secrets() {
    for (arguments, logs) in [(&["--ready-json"][..], false), (&["--ready-json", "-v"], true)] {
        let running = Running::start(arguments);
        let ready = running.ready();
        let address = ready["origin"].as_str().expect("an origin").replace("http://", "");
        let token = ready["token"]["access_token"].as_str().expect("a token").to_owned();
        let mut stream = std::net::TcpStream::connect(address).expect("a connection");
        let request = format!(
            "POST /oauth/revoke?token={token} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        );
        std::io::Write::write_all(&mut stream, request.as_bytes()).expect("it is written");
        stream.read_to_end(&mut Vec::new()).expect("an answer");
        let (_, _, stderr) = running.stop("-TERM");
        assert_eq!(stderr.contains("/oauth/revoke"), logs, "{stderr}");
        assert!(!stderr.contains(&token), "{stderr}");
    }
}

#[test]
fn a_redirect_address_that_is_none_is_refused() {
    let output = run(&["--listen", "127.0.0.1:0", "--redirect-uri", "no address"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no address"));
}

#[test]
fn an_address_for_webhooks_that_cannot_be_used_is_refused() {
    for (url, reason) in [
        ("http://192.0.2.1/hook", "sends only to this machine"),
        ("http://127.0.0.1:1/hook", "did not pass the validation"),
    ] {
        let output = run(&["--listen", "127.0.0.1:0", "--webhook-url", url]);
        assert_eq!(output.status.code(), Some(1), "{url}");
        let stderr = String::from_utf8(output.stderr).expect("text");
        assert!(stderr.contains(url) && stderr.contains(reason), "{stderr}");
        assert_eq!(output.stdout, b"");
    }
}

#[test]
fn a_slow_answer_does_not_hold_the_end_up() {
    let running = Running::start(&["--ready-json"]);
    let ready = running.ready();
    let address = ready["origin"].as_str().expect("an origin").replace("http://", "");
    let send = |request: &str| {
        let mut stream = std::net::TcpStream::connect(&address).expect("a connection");
        std::io::Write::write_all(&mut stream, request.as_bytes()).expect("it is written");
        stream
    };
    let fault = r#"{"path":"/slow","delay_ms":60000}"#;
    let mut queued = send(&format!(
        "POST /_simulator/faults HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{fault}",
        fault.len()
    ));
    queued.read_to_end(&mut Vec::new()).expect("an answer");
    let slow = send("GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let before = std::time::Instant::now();
    assert_eq!(running.stop("-TERM").0, Some(0));
    assert!(before.elapsed() < std::time::Duration::from_secs(20), "{:?}", before.elapsed());
    drop(slow);
}
