//! The author's first hour: `docs/first-connector.md`, done word by word in a directory outside this repository.
//!
//! It is read as its readers read it. In a `console` block, what follows `$ ` is typed into one shell that lasts for the
//! whole page; `? N` is the exit code, `...` stands for any lines and `[..]` for anything in a line. A block with `file=` is
//! written to that file, a `diff` is made to it, and one with `is=` says what the file holds already.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the message")]

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    os::unix::{fs::symlink, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use jackfield_tests::{artifact, elsewhere, root, skip_for_tool};
use regex::Regex;

/// Where the page's provider listens.
const PORT: &str = "4600";
/// What the shell prints after each command, with its exit code.
const DONE: &str = "=== that was it:";

#[test]
fn the_first_hour_of_an_author() {
    if Command::new("python3").arg("--version").output().is_err() {
        return skip_for_tool("the_first_hour_of_an_author", "there is no python3");
    }
    let place = tempfile::tempdir().unwrap();
    let page = fs::read_to_string(root().join("docs/first-connector.md")).unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let page = page.replace(PORT, &port.to_string());
    let acme = place.path().join("acme");
    let mut shell = Shell::start(place.path());
    let mut typed = 0;
    for block in blocks(&page) {
        match (block.language, block.says) {
            ("console", "") => {
                for step in steps(block.text) {
                    shell.step(&step);
                    typed += 1;
                    ready(&acme);
                }
            }
            (_, says) if says.starts_with("is=") => {
                assert_eq!(fs::read_to_string(acme.join(&says[3..])).unwrap(), block.text, "{says}");
            }
            ("diff", says) => change(&acme.join(says.strip_prefix("file=").unwrap()), block.text),
            (_, says) => fs::write(acme.join(says.strip_prefix("file=").unwrap()), block.text).unwrap(),
        }
    }
    assert!(typed > 15, "the page has been read");
}

/// What a test saves itself, and a reader does not: downloading again, and building again what other tests have built.
fn ready(acme: &Path) {
    if acme.exists() && !acme.join("Cargo.lock").exists() {
        fs::copy(root().join("Cargo.lock"), acme.join("Cargo.lock")).unwrap();
        symlink(elsewhere::target(), acme.join("target")).unwrap();
    }
}

struct Block<'a> {
    language: &'a str,
    says: &'a str,
    text: &'a str,
}

fn blocks(page: &str) -> Vec<Block<'_>> {
    let mut blocks = Vec::new();
    let mut rest = page;
    while let Some((_, fenced)) = rest.split_once("\n```") {
        let (info, after) = fenced.split_once('\n').unwrap();
        let (text, after) = after.split_once("\n```\n").unwrap_or_else(|| panic!("`{info}` is not closed"));
        let (language, says) = info.split_once(' ').unwrap_or((info, ""));
        // With the line's end that belongs to the text.
        let text = &fenced[info.len() + 1..info.len() + 1 + text.len() + 1];
        blocks.push(Block { language, says, text });
        rest = &fenced[fenced.len() - after.len() - 1..];
    }
    blocks
}

/// A command, and what it is to say.
struct Step<'a> {
    command: &'a str,
    code: i32,
    says: Vec<&'a str>,
}

fn steps(text: &str) -> Vec<Step<'_>> {
    let mut steps: Vec<Step<'_>> = Vec::new();
    for line in text.lines() {
        match (line.strip_prefix("$ "), steps.last_mut()) {
            (Some(command), _) => steps.push(Step { command, code: 0, says: Vec::new() }),
            (None, Some(step)) => match line.strip_prefix("? ") {
                Some(code) if step.says.is_empty() => step.code = code.parse().unwrap(),
                _ => step.says.push(line),
            },
            (None, None) => panic!("`{line}` comes before any command"),
        }
    }
    for step in &mut steps {
        if step.says.last().is_some_and(|line| line.is_empty()) {
            step.says.pop();
        }
    }
    steps
}

/// The shell in which everything is typed.
struct Shell {
    process: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Shell {
    fn start(place: &Path) -> Self {
        let bin = place.join("bin");
        fs::create_dir(&bin).unwrap();
        symlink(artifact("jackfield"), bin.join("jackfield")).unwrap();
        let path = std::env::var("PATH").unwrap();
        let kept = ["CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN", "LANG"]
            .map(|name| Some((name, std::env::var_os(name)?)));
        // Where they are by default goes with HOME, which is another one here.
        let usual = std::env::home_dir().unwrap();
        let mut process = Command::new("bash");
        process
            .args(["--noprofile", "--norc"])
            .env_clear()
            .env("CARGO_HOME", usual.join(".cargo"))
            .env("RUSTUP_HOME", usual.join(".rustup"))
            .envs(kept.into_iter().flatten())
            .env("HOME", place)
            .env("PATH", format!("{}:{path}", bin.display()))
            .envs(elsewhere::SETTINGS)
            .current_dir(place)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit());
        let mut process = process.spawn().unwrap();
        let (stdin, stdout) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        let mut shell = Self { process, stdin, stdout: BufReader::new(stdout) };
        writeln!(shell.stdin, "exec 2>&1").unwrap();
        shell
    }

    #[track_caller]
    fn step(&mut self, step: &Step<'_>) {
        writeln!(self.stdin, "{} </dev/null\nprintf '\\n{DONE} %s\\n' $?", step.command).unwrap();
        let mut said = String::new();
        let code = loop {
            let mut line = String::new();
            let read = self.stdout.read_line(&mut line).unwrap();
            assert!(read > 0, "the shell has gone, at `{}`:\n{said}", step.command);
            match line.strip_prefix(DONE) {
                Some(code) => break code.trim().parse::<i32>().unwrap(),
                None => said.push_str(&line),
            }
        };
        let said = said.trim_end_matches('\n');
        let expected = step.says.join("\n");
        assert!(
            code == step.code && matches(&expected, said),
            "$ {}\n? {code}, and not {}\n--- it says\n{said}\n--- and not\n{expected}\n",
            step.command,
            step.code
        );
    }
}

/// Whatever the page has started ends with it.
impl Drop for Shell {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["--", &format!("-{}", self.process.id())]).status();
        let _ = self.process.wait();
    }
}

fn matches(expected: &str, said: &str) -> bool {
    let lines = expected.lines().map(|line| match line {
        "..." => "(?:.*\n)*?".to_owned(),
        line => {
            let parts: Vec<String> = line.split("[..]").map(regex::escape).collect();
            format!("{}\n", parts.join(".*"))
        }
    });
    let pattern = format!("^{}$", lines.collect::<String>());
    let said = if said.is_empty() { String::new() } else { format!("{said}\n") };
    Regex::new(&pattern).unwrap().is_match(&said)
}

/// Makes a change to a file: the lines that stay and go are found in it, once.
fn change(path: &PathBuf, diff: &str) {
    let side = |without: char| -> String {
        diff.lines()
            .filter(|line| !line.starts_with(without))
            .map(|line| format!("{}\n", line.get(1..).unwrap_or_default()))
            .collect()
    };
    let (before, after) = (side('+'), side('-'));
    let text = fs::read_to_string(path).unwrap();
    assert_eq!(text.matches(&before).count(), 1, "{} has once:\n{before}", path.display());
    fs::write(path, text.replace(&before, &after)).unwrap();
}
