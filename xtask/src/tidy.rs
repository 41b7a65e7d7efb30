//! `cargo xtask tidy`: the rules of the house that no compiler knows.
//!
//! Each rule is one of ARCHITECTURE.md's invariants, or keeps one thing that is written twice the same in both places.

use std::{
    fs,
    path::{Path, PathBuf},
};

use aws_lc_rs::digest;

use crate::{Result, messages, run::root};

/// A source file of ours.
pub(crate) struct Source {
    /// Relative to the root.
    pub(crate) path: String,
    pub(crate) text: String,
}

pub(crate) fn tidy() -> Result {
    let sources = sources()?;
    let mut complaints = Vec::new();
    for rule in [
        contract_is_pure,
        host_names_no_connector,
        only_egress_dials,
        only_store_knows_sql,
        unsafe_is_fenced,
        nothing_is_unfinished,
    ] {
        rule(&sources, &mut complaints);
    }
    frozen_abi(&mut complaints);
    licences(&mut complaints);
    messages::are_current(&mut complaints);
    if complaints.is_empty() {
        println!("tidy: {} files, nothing to complain about", sources.len());
        return Ok(());
    }
    Err(format!("{} complaint(s):\n  {}", complaints.len(), complaints.join("\n  ")))
}

pub(crate) fn sources() -> Result<Vec<Source>> {
    let mut found = Vec::new();
    for directory in ["connector-api", "connectors", "host", "tests", "xtask"] {
        walk(&root().join(directory), &mut found)?;
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

fn walk(directory: &Path, found: &mut Vec<Source>) -> Result {
    let entries = fs::read_dir(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    for path in entries.flatten().map(|entry| entry.path()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            if !["target", "node_modules", ".git"].contains(&name.as_str()) {
                walk(&path, found)?;
            }
        } else if name.ends_with(".rs") || name.ends_with(".rs.txt") {
            let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            let path = path.strip_prefix(root()).unwrap_or(&path).to_string_lossy().into_owned();
            found.push(Source { path, text });
        }
    }
    Ok(())
}

/// The lines of a file that are code: without comments, and without the tests at its end.
fn code(source: &Source) -> impl Iterator<Item = (usize, &str)> {
    let tests = source.text.lines().position(|line| line.trim() == "#[cfg(test)]" && !line.starts_with(' '));
    source
        .text
        .lines()
        .take(tests.unwrap_or(usize::MAX))
        .enumerate()
        .map(|(number, line)| (number + 1, line))
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
}

fn forbid(
    sources: &[Source],
    complaints: &mut Vec<String>,
    where_: impl Fn(&str) -> bool,
    words: &[&str],
    why: &str,
) {
    for source in sources.iter().filter(|source| where_(&source.path)) {
        for (number, line) in code(source) {
            if let Some(word) = words.iter().find(|word| line.contains(**word)) {
                complaints.push(format!("{}:{number}: `{word}`: {why}", source.path));
            }
        }
    }
}

/// connector-api does no input or output and has no runtime. Only its feature for a connector's own tests reads files.
fn contract_is_pure(sources: &[Source], complaints: &mut Vec<String>) {
    let place = |path: &str| path.starts_with("connector-api/") && !path.ends_with("src/testing.rs");
    let words = [
        "std::fs",
        "std::net",
        "std::process",
        "std::thread",
        "std::io",
        "tokio",
        "reqwest",
        "println!",
        "SystemTime::now",
        "Instant::now",
    ];
    forbid(sources, complaints, place, &words, "connector-api does no input or output and has no runtime");
}

/// The host names no connector: what it does for one, it does for all.
fn host_names_no_connector(sources: &[Source], complaints: &mut Vec<String>) {
    let names = fs::read_dir(root().join("connectors")).into_iter().flatten().flatten();
    for name in names.map(|entry| entry.file_name().to_string_lossy().into_owned()) {
        // The configuration of a new home shows how the simulator is used.
        let place = |path: &str| path.starts_with("host/src/") && path != "host/src/home.rs";
        forbid(sources, complaints, place, &[&name], "the host names no connector");
    }
}

/// Only egress opens outbound sockets.
fn only_egress_dials(sources: &[Source], complaints: &mut Vec<String>) {
    let place = |path: &str| path.starts_with("host/src/") && !path.starts_with("host/src/egress");
    let words = ["reqwest", "TcpStream", "UdpSocket", "lookup_host", "ToSocketAddrs"];
    forbid(sources, complaints, place, &words, "only egress opens outbound sockets");
}

/// Only the store knows SQL.
fn only_store_knows_sql(sources: &[Source], complaints: &mut Vec<String>) {
    let place = |path: &str| path.starts_with("host/src/") && !path.starts_with("host/src/store");
    let words = ["SELECT ", "INSERT INTO", "CREATE TABLE", "sqlx", "rusqlite"];
    forbid(sources, complaints, place, &words, "only the store knows SQL");
}

/// `unsafe` only in the ABI, the export macro and the worker, each with a sentence that says why it is sound.
fn unsafe_is_fenced(sources: &[Source], complaints: &mut Vec<String>) {
    let allowed = |path: &str| {
        path.starts_with("connector-api/abi/")
            || path == "connector-api/src/export.rs"
            || path.starts_with("host/src/worker/")
            || path.starts_with("tests/abi-v1/")
            || path.starts_with("tests/faulty/")
            || path.starts_with("tests/faulty-constructor/")
            || path.starts_with("tests/faulty-early/")
    };
    for source in sources.iter().filter(|source| source.path != "xtask/src/tidy.rs") {
        let lines: Vec<&str> = source.text.lines().collect();
        for (number, line) in code(source) {
            if !line.contains("unsafe ") && !line.contains("unsafe{") && !line.contains("unsafe(") {
                continue;
            }
            if !allowed(&source.path) {
                complaints.push(format!(
                    "{}:{number}: `unsafe` outside the ABI, the export macro and the worker",
                    source.path
                ));
            }
            // An attribute that is called unsafe does nothing by itself.
            let attribute = line.contains("#[unsafe(");
            let before = lines[..number - 1].iter().rev().take_while(|line| {
                let line = line.trim_start();
                line.starts_with("//") || line.starts_with("let ")
            });
            if !attribute && !before.into_iter().any(|line| line.contains("SAFETY:")) {
                complaints
                    .push(format!("{}:{number}: `unsafe` without a SAFETY sentence before it", source.path));
            }
        }
    }
}

/// Nothing is called done that is not.
fn nothing_is_unfinished(sources: &[Source], complaints: &mut Vec<String>) {
    let words = ["todo!(", "unimplemented!(", "#[ignore", "FIXME", "XXX"];
    for source in sources.iter().filter(|source| source.path != "xtask/src/tidy.rs") {
        for (number, line) in source.text.lines().enumerate() {
            if let Some(word) = words.iter().find(|word| line.contains(**word)) {
                complaints.push(format!(
                    "{}:{}: `{word}`: finish it or leave it out",
                    source.path,
                    number + 1
                ));
            }
        }
    }
}

/// The ABI crate is what it was when it was frozen, and so is the copy that is kept of it.
fn frozen_abi(complaints: &mut Vec<String>) {
    let kept = root().join("tests/abi-v1");
    let sums = fs::read_to_string(kept.join("SHA256SUMS")).unwrap_or_default();
    if sums.lines().count() < 8 {
        complaints.push("tests/abi-v1/SHA256SUMS: is not there, or cut short".to_owned());
    }
    let pinned = |path: &Path| dependencies(&path.join("Cargo.toml"));
    if pinned(&root().join("connector-api/abi")) != pinned(&kept.join("abi")) {
        complaints
            .push("connector-api/abi/Cargo.toml: the layout check compares these very versions".to_owned());
    }
    for line in sums.lines() {
        let (sum, name) = line.split_once("  ").unwrap_or_default();
        if sum_of(&kept.join(name)).as_deref() != Some(sum) {
            complaints.push(format!("tests/abi-v1/{name}: is not what it was when ABI version 1 was frozen"));
        }
        // What it is published with may change; what it is may not.
        if let Some(name) = name.strip_prefix("abi/").filter(|name| name.starts_with("src/"))
            && sum_of(&root().join("connector-api/abi").join(name)).as_deref() != Some(sum)
        {
            complaints.push(format!(
                "connector-api/abi/{name}: ABI version 1 is frozen, and this file has changed"
            ));
        }
    }
}

/// What a crate is built from, as its manifest says.
fn dependencies(manifest: &Path) -> Option<String> {
    let text = fs::read_to_string(manifest).ok()?;
    let after = text.split_once("[dependencies]")?.1;
    Some(after.split("\n[").next().unwrap_or_default().trim().to_owned())
}

fn sum_of(path: &PathBuf) -> Option<String> {
    let bytes = fs::read(path).ok()?;
    Some(digest::digest(&digest::SHA256, &bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect())
}

fn manifests(directory: &Path, found: &mut Vec<PathBuf>) {
    for path in fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.path()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name == "Cargo.toml" && fs::read_to_string(&path).is_ok_and(|text| text.contains("[package]")) {
            found.push(path);
        } else if path.is_dir() && !["target", "node_modules"].contains(&name.as_str()) {
            manifests(&path, found);
        }
    }
}

/// Both licences are there, and every crate names them.
fn licences(complaints: &mut Vec<String>) {
    let mut crates = Vec::new();
    for directory in ["connector-api", "connectors", "host", "tests", "xtask"] {
        manifests(&root().join(directory), &mut crates);
    }
    // What was frozen stays as it was.
    crates.retain(|path| !path.starts_with(root().join("tests/abi-v1")));
    for path in crates {
        let text = fs::read_to_string(&path).unwrap_or_default();
        let path = path.strip_prefix(root()).unwrap_or(&path);
        if !text.contains("license.workspace = true") && !text.contains("license = \"MIT OR Apache-2.0\"") {
            complaints.push(format!("{}: names no licence", path.display()));
        }
    }
    for name in ["LICENSE-APACHE", "LICENSE-MIT"] {
        if !root().join(name).exists() {
            complaints.push(format!("{name}: is not there"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaints(rule: fn(&[Source], &mut Vec<String>), path: &str, text: &str) -> usize {
        let mut complaints = Vec::new();
        rule(&[Source { path: path.to_owned(), text: text.to_owned() }], &mut complaints);
        complaints.len()
    }

    #[test]
    fn each_rule_finds_what_it_is_about_and_nothing_else() {
        assert_eq!(complaints(contract_is_pure, "connector-api/src/x.rs", "use std::fs;\n// std::fs\n"), 1);
        assert_eq!(complaints(contract_is_pure, "connector-api/src/testing.rs", "use std::fs;\n"), 0);
        assert_eq!(complaints(host_names_no_connector, "host/src/x.rs", "let id = \"zoom\";\n"), 1);
        assert_eq!(
            complaints(host_names_no_connector, "host/src/x.rs", "#[cfg(test)]\nmod t { \"zoom\" }\n"),
            0
        );
        assert_eq!(complaints(only_egress_dials, "host/src/x.rs", "TcpStream::connect()\n"), 1);
        assert_eq!(complaints(only_egress_dials, "host/src/egress/x.rs", "TcpStream::connect()\n"), 0);
        assert_eq!(complaints(only_store_knows_sql, "host/src/x.rs", "\"SELECT 1\"\n"), 1);
        assert_eq!(complaints(unsafe_is_fenced, "host/src/x.rs", "// SAFETY: no\nunsafe { x() }\n"), 1);
        assert_eq!(complaints(unsafe_is_fenced, "host/src/worker/x.rs", "unsafe { x() }\n"), 1);
        assert_eq!(
            complaints(unsafe_is_fenced, "host/src/worker/x.rs", "// SAFETY: yes\nx();\nunsafe { x() }\n"),
            1
        );
        assert_eq!(
            complaints(unsafe_is_fenced, "host/src/worker/x.rs", "// SAFETY: yes\nlet x =\nunsafe { x() }\n"),
            0
        );
        assert_eq!(
            complaints(unsafe_is_fenced, "host/src/worker/x.rs", "// SAFETY: yes\nunsafe { x() }\n"),
            0
        );
        assert_eq!(complaints(nothing_is_unfinished, "host/src/x.rs", "todo!()\n"), 1);
    }
}
