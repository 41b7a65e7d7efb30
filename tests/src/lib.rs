//! What end-to-end tests are made of: the binary and the libraries as a user has them, a home in a fresh directory, a
//! provider that answers whatever it is told to, the Zoom simulator, an authorization server that nobody here wrote,
//! accounts that are connected at either, and a real browser.
//!
//! It links nothing of the host: what a test sees is what a user sees.

mod accounts;
mod beside;
mod browser;
mod bytes;
pub mod elsewhere;
pub mod feeds;
mod home;
pub mod hooks;
mod http;
pub mod library;
mod oidc;
mod picture;
pub mod process;
mod provider;
mod schemathesis;
mod simulator;
pub mod tenants;
mod terminal;

use std::{
    env, fs,
    io::Write,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

pub use self::{
    accounts::{Accounts, At, Fault},
    beside::Beside,
    browser::{Browser, Going, Page},
    bytes::{patched, replaced},
    home::{Home, Line, Outcome, Running, finish},
    http::{Answer, Visitor, http, http_bytes},
    oidc::{OidcProvider, When},
    provider::{Act, Provider, Request, reply},
    schemathesis::{Audit, schemathesis},
    simulator::Simulator,
    terminal::Terminal,
};

/// Where the workspace's debug builds lie.
///
/// # Panics
///
/// If the tests were not built by cargo.
#[must_use]
pub fn built() -> PathBuf {
    let test = env::current_exe().expect("a test is a program");
    test.ancestors().nth(2).expect("it lies in target/debug/deps").to_owned()
}

/// Something that was built.
///
/// # Panics
///
/// If it was not, with what to type.
#[must_use]
pub fn artifact(name: &str) -> PathBuf {
    let path = built().join(name);
    assert!(path.exists(), "{} is not built: run the tests with `cargo xtask test`", path.display());
    path
}

/// The library that is kept beside the frozen ABI, built with its own lock file. Its action `frozen.ask` sends one request and
/// gives what came back.
///
/// # Panics
///
/// If it was not built, with what to type.
#[must_use]
pub fn frozen() -> PathBuf {
    newer("frozen")
}

/// The same connector as a later Jackfield could have it; see `xtask/src/newer.rs`.
///
/// # Panics
///
/// If it was not built, with what to type.
#[must_use]
pub fn newer(name: &str) -> PathBuf {
    let directory = built().parent().expect("it has a parent").join("abi-v1/debug");
    let path = directory.join(format!("lib{name}.so"));
    assert!(path.exists(), "{} is not built: run the tests with `cargo xtask test`", path.display());
    path
}

/// The root of the project.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// How long to wait for something before a test gives up on it.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until something is so.
///
/// # Panics
///
/// If it does not become so.
#[track_caller]
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "this has been waited for in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Says that a test does not run, and why: on standard error, and in the list that `cargo xtask test` prints.
pub fn skip(test: &str, why: &str) {
    let line = format!("{test}: {why}");
    let _ = writeln!(std::io::stderr(), "SKIPPED {line}");
    if let Some(path) = env::var_os("JACKFIELD_SKIPS")
        && let Ok(mut file) = fs::OpenOptions::new().append(true).create(true).open(path)
    {
        let _ = file.write_all(format!("{line}\n").as_bytes());
    }
}

/// Skips for a missing tool, where tools may be missing.
///
/// # Panics
///
/// If `JACKFIELD_REQUIRE_TOOLS` says that they may not.
pub fn skip_for_tool(test: &str, why: &str) {
    assert!(env::var_os("JACKFIELD_REQUIRE_TOOLS").is_none(), "{test}: {why}");
    skip(test, why);
}

/// A file of the material that not everybody has.
#[must_use]
pub fn shared(file: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env::var_os("JACKFIELD_SHARED")?).join(file);
    path.exists().then_some(path)
}
