//! The Zoom library, unchanged, against a server that nobody here wrote: Zoom's published OpenAPI document, mocked by Prism,
//! which refuses every request that breaks the contract.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the message")]

use std::{
    fs,
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use jackfield_tests::{Home, root, shared, skip, skip_for_tool};
use serde_json::{Value, json};

const TEST: &str = "prism";

struct Prism {
    process: Child,
    port: u16,
}

impl Prism {
    fn start(program: &Path, document: &Path) -> Self {
        // Prism cannot choose a port itself.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let process = Command::new(program)
            .args(["mock", "--host", "127.0.0.1", "--port", &port.to_string()])
            .arg(document)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let prism = Self { process, port };
        let begun = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(60), "Prism does not start");
            std::thread::sleep(Duration::from_millis(50));
        }
        prism
    }

    /// The status of the answer to a request that is sent as it is.
    fn status(&self, method: &str, path: &str, body: &Value) -> u16 {
        let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).unwrap();
        let body = body.to_string();
        write!(
            socket,
            "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer x\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        answer.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Prism {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The inputs of the connector's own fixtures that go well: every field of every action is among them.
fn inputs() -> Vec<(String, String, Value)> {
    let mut inputs = Vec::new();
    let directory = root().join("connectors/zoom/tests/fixtures");
    for entry in fs::read_dir(directory).unwrap().flatten() {
        let fixture: Value = serde_json::from_slice(&fs::read(entry.path()).unwrap()).unwrap();
        let usual = fixture.get("context").is_none();
        if let (Some(action), Some(_), true) = (fixture["action"].as_str(), fixture.get("output"), usual) {
            let name = entry.file_name().to_string_lossy().into_owned();
            // What the document does not know: a meeting by its UUID, and an id that means to climb.
            if !name.contains("uuid") && !name.contains("slash") && !name.contains("already_gone") {
                inputs.push((name, action.to_owned(), fixture["input"].clone()));
            }
        }
    }
    inputs.sort_by(|a, b| a.0.cmp(&b.0));
    inputs
}

#[test]
fn every_request_of_every_action_is_one_that_zooms_own_document_allows() {
    let Some(document) = shared("zoom/openapi-meetings.json") else {
        return skip(TEST, "Zoom's OpenAPI document is not here (JACKFIELD_SHARED)");
    };
    let program = root().join("tests/node/node_modules/.bin/prism");
    if !program.exists() {
        return skip_for_tool(TEST, "Prism is not installed: npm ci --prefix tests/node");
    }
    let prism = Prism::start(&program, &document);

    // It does refuse: otherwise this test would prove nothing.
    for (method, path, body) in [
        ("POST", "/users/me/meetings", json!({"topic": "x".repeat(201)})),
        ("POST", "/users/me/meetings", json!({"type": "2"})),
        ("PATCH", "/meetings/1", json!({"settings": {"audio": "loud"}})),
        ("POST", "/meetings/1/registrants", json!({"first_name": "no address"})),
        ("GET", "/meetings/letters", json!({})),
    ] {
        let status = prism.status(method, path, &body);
        assert!((400..500).contains(&status), "{method} {path} {body}: {status}");
    }

    let home = Home::with(&["zoom"]);
    home.endpoint("zoom", "api", &format!("http://127.0.0.1:{}", prism.port));
    let mut actions = std::collections::BTreeSet::new();
    for (name, action, input) in inputs() {
        let file = home.path().join("input.json");
        fs::write(&file, input.to_string()).unwrap();
        let outcome = home.invoke_with(&format!("zoom.{action}"), &[], &["-f", file.to_str().unwrap()]);
        assert_eq!(outcome.code, 0, "{name}: {}", outcome.stderr);
        actions.insert(action);
    }
    assert_eq!(actions.len(), 8, "{actions:?}");
}
