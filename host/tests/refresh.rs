//! Many callers of several processes, all on one store, none of which serves it: one of them refreshes. At the Zoom simulator
//! and at an authorization server that takes the whole grant back when a refresh token is used twice.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the message")]

use std::{
    collections::BTreeSet,
    env,
    io::{BufRead, BufReader, Write},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use jackfield::{connections::links::digest_of, home::Home, host::Host, store::Scope};
use jackfield_tests::{Accounts, Fault, eventually};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

const PROCESSES: usize = 4;
const CALLERS: usize = 16;

/// By what a test that was started again knows that it is one of the callers: home, connector, connection.
const CALLS: &str = "JACKFIELD_TEST_CALLS";

/// If this process is one of those that a test has started, makes its calls and prints what each got.
fn is_caller() -> bool {
    let Ok(calls) = env::var(CALLS) else { return false };
    let mut words = calls.split('\n').map(str::to_owned);
    let (home, connector, id) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let host = Host::open(&Home::locate(Some(PathBuf::from(home))).unwrap()).unwrap();
        host.connections.must_open().await.unwrap();
        let setting = Arc::new(host.setting(&connector).unwrap());
        let scope = Scope::project("default");
        // Everything is open and read. They begin together.
        host.connections.held(&scope, &id).unwrap();
        say("ready");
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).unwrap();
        let deadline = Instant::now() + Duration::from_secs(50);
        let callers: Vec<_> = (0..CALLERS)
            .map(|_| {
                let (connections, setting) = (host.connections.clone(), setting.clone());
                let (scope, id) = (scope.clone(), id.clone());
                tokio::spawn(async move { connections.credential(&setting, &scope, &id, deadline).await })
            })
            .collect();
        for caller in callers {
            let got = match caller.await.unwrap() {
                // Which token it is, and not the token.
                Ok(used) => {
                    let token = digest_of(used.credential.secrets["access_token"].expose_secret());
                    json!({"version": used.version, "token": token})
                }
                Err(error) => json!({"kind": error.kind.to_string()}),
            };
            say(&got.to_string());
        }
        host.connections.settle(Duration::from_secs(10)).await;
    });
    true
}

/// A line that is told from what a harness prints.
fn say(text: &str) {
    let mut stdout = std::io::stdout();
    writeln!(stdout, "\n> {text}").unwrap();
}

/// A process of callers.
struct Calling {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Calling {
    fn start(test: &str, accounts: &Accounts, id: &str) -> Self {
        let home = accounts.home.path();
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture", "--test-threads", "1"])
            .env(CALLS, format!("{}\n{}\n{id}", home.display(), accounts.connector()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        let mut calling = Self { child, lines };
        assert_eq!(calling.hears(), "ready");
        calling
    }

    fn begin(&mut self) {
        self.child.stdin.take().unwrap().write_all(b"go\n").unwrap();
    }

    fn hears(&mut self) -> String {
        loop {
            let mut line = String::new();
            assert_ne!(
                self.lines.read_line(&mut line).unwrap(),
                0,
                "a process of callers has ended too soon"
            );
            if let Some(said) = line.strip_prefix("> ") {
                return said.trim_end().to_owned();
            }
        }
    }

    fn got(&mut self) -> Vec<Value> {
        (0..CALLERS).map(|_| serde_json::from_str(&self.hears()).unwrap()).collect()
    }
}

impl Drop for Calling {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Has all callers of all processes ask for the credential of an account at the same time, after its token has ended and this
/// was done, and checks what they got.
fn all_call(
    test: &str,
    before: impl Fn(&Accounts, &str) + Sync,
    check: impl Fn(&Accounts, &str, Vec<Value>) + Sync,
) {
    thread::scope(|scope| {
        for mut accounts in Accounts::everywhere("refresh") {
            let (before, check) = (&before, &check);
            scope.spawn(move || {
                let id = accounts.connect("u_42", accounts.people()[0]);
                accounts.end_tokens();
                accounts.ends_in(&id, -1);
                accounts.end();
                before(&accounts, &id);
                let mut callings: Vec<_> =
                    (0..PROCESSES).map(|_| Calling::start(test, &accounts, &id)).collect();
                callings.iter_mut().for_each(Calling::begin);
                let got = callings.iter_mut().flat_map(Calling::got).collect();
                drop(callings);
                accounts.serve();
                check(&accounts, &id, got);
            });
        }
    });
}

/// That each of them has the one new token, which was asked for once and is good.
fn one_refresh(accounts: &Accounts, id: &str, got: &[Value]) {
    assert_eq!((accounts.asked("refresh_token"), accounts.granted("refresh_token")), (1, 1));
    assert_eq!(got.len(), PROCESSES * CALLERS);
    let different: BTreeSet<String> = got.iter().map(Value::to_string).collect();
    assert_eq!(different.len(), 1, "{different:?}");
    assert_eq!(got[0]["version"], 2, "{}", got[0]);
    assert_eq!((accounts.read(id).0, accounts.asked("refresh_token")), (200, 1));
    assert_eq!((accounts.state(id).0.as_str(), accounts.came_to(id)), ("valid", vec!["valid".to_owned()]));
    // And the refresh token that came with it is good for the next one.
    accounts.end_tokens();
    assert_eq!((accounts.read(id).0, accounts.granted("refresh_token")), (200, 2));
}

/// Keeps everybody from writing in the moment in which the first one is answered: whoever waits for the lease and whoever has
/// to say what became of it come together then, in whatever order.
fn throng(accounts: &Accounts, id: &str) {
    let (database, id) = (accounts.database(), id.to_owned());
    thread::spawn(move || {
        let is_leased = "SELECT lease_owner IS NOT NULL FROM connections WHERE id = ?1";
        eventually("a lease", || database.query_row(is_leased, [&id], |row| row.get(0)) == Ok(true));
        database.execute_batch("BEGIN IMMEDIATE").unwrap();
        // Longer than it takes until the answer is there, and no longer than what failed is left alone.
        thread::sleep(Duration::from_millis(1800));
        database.execute_batch("ROLLBACK").unwrap();
    });
}

#[test]
fn fault_38_64_callers_in_4_processes_cause_one_refresh() {
    if is_caller() {
        return;
    }
    let test = "fault_38_64_callers_in_4_processes_cause_one_refresh";
    all_call(test, |_, _| {}, |accounts, id, got| one_refresh(accounts, id, &got));
}

#[test]
fn fault_39_a_provider_that_is_slower_than_a_lease_is_asked_once() {
    if is_caller() {
        return;
    }
    let test = "fault_39_a_provider_that_is_slower_than_a_lease_is_asked_once";
    // A lease lasts for 10 s, unless it is kept.
    let slow = |accounts: &Accounts, _: &str| accounts.fault(&Fault::After(Duration::from_secs(13)));
    all_call(test, slow, |accounts, id, got| one_refresh(accounts, id, &got));
}

#[test]
fn fault_44_a_grant_that_is_over_is_tried_once_by_64_callers_in_4_processes() {
    if is_caller() {
        return;
    }
    let test = "fault_44_a_grant_that_is_over_is_tried_once_by_64_callers_in_4_processes";
    let gone = json!({"error": "invalid_grant", "reason": "Invalid Token!"}).to_string();
    let over = |accounts: &Accounts, id: &str| {
        throng(accounts, id);
        accounts.fault(&Fault::AnswersAfter(Duration::from_secs(1), 400, "application/json", gone.clone()));
    };
    all_call(test, over, |accounts, id, got| {
        assert_eq!(accounts.token_requests(), 2, "one for the code, and one that was refused");
        assert!(got.iter().all(|got| got["kind"] == "unauthorized"), "{got:?}");
        assert_eq!(accounts.state(id).0, "needs_reauth");
        assert_eq!(accounts.came_to(id), ["valid", "needs_reauth"]);
    });
}

#[test]
fn fault_45_a_token_endpoint_that_fails_is_asked_once_by_64_callers_in_4_processes() {
    if is_caller() {
        return;
    }
    let test = "fault_45_a_token_endpoint_that_fails_is_asked_once_by_64_callers_in_4_processes";
    let fails = |accounts: &Accounts, id: &str| {
        throng(accounts, id);
        accounts.fault(&Fault::AnswersAfter(
            Duration::from_secs(1),
            503,
            "text/html",
            "<h1>Sorry</h1>".to_owned(),
        ));
    };
    all_call(test, fails, |accounts, id, got| {
        assert_eq!(accounts.token_requests(), 2, "one for the code, and one that failed");
        assert!(got.iter().all(|got| got["kind"] == "unavailable"), "{got:?}");
        assert_eq!(accounts.state(id).0, "valid");
        accounts.hurry(id);
        assert_eq!((accounts.read(id).0, accounts.granted("refresh_token")), (200, 1));
    });
}
