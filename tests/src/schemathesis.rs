//! schemathesis: sends whatever an OpenAPI document allows and what it forbids, and judges the answers by it.

use std::{
    fs,
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::{built, skip_for_tool};

/// What it found.
#[derive(Debug)]
pub struct Audit {
    /// Whether everything was as the document says.
    pub passed: bool,
    /// What it wrote.
    pub report: String,
}

/// Tries a server at an address of this machine by its document, with more arguments of `schemathesis run`: headers, checks, how
/// many examples. The same each time. `None`, and said so, where it is not installed.
///
/// # Panics
///
/// If it does not run, or if tools may not be missing.
#[must_use]
pub fn schemathesis(test: &str, document: &Value, url: &str, more: &[&str]) -> Option<Audit> {
    assert!(
        ["http://127.0.0.1:", "http://localhost:"].iter().any(|start| url.starts_with(start)),
        "{url} is no address of this machine"
    );
    let target = built().parent().expect("it has a parent").to_owned();
    let program = target.join("python/bin/schemathesis");
    if !program.exists() {
        let python = target.join("python");
        let python = python.display();
        let install =
            format!("python3 -m venv {python} && {python}/bin/pip install -r tests/python/requirements.txt");
        skip_for_tool(test, &format!("schemathesis is not installed: {install}"));
        return None;
    }
    // It keeps what it finds where it runs.
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("openapi.json");
    fs::write(&file, document.to_string()).expect("it can be written");
    let output = Command::new(program)
        .arg("run")
        .arg(&file)
        .args(["--url", url, "--no-color", "--generation-deterministic"])
        .args(more)
        .current_dir(dir.path())
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", dir.path())
        .env("PYTHONUTF8", "1")
        .stdin(Stdio::null())
        .output()
        .expect("it runs");
    let report =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    // Nothing else means that it has found something: with 2 it did not understand what it was given.
    assert!(matches!(output.status.code(), Some(0 | 1)), "{}: {report}", output.status);
    Some(Audit { passed: output.status.success(), report })
}
