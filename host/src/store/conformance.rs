//! What any store has to do, whatever is behind it.

mod accounts;
mod deliveries;
mod events;

use std::time::Duration;

use connector_protocol::{Error, ErrorKind, manifest::Effect};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::{Accounts, Audit, Invocation, Project, Scope, Sqlite, State, Store, Tally, Wanted};
use crate::id::Id;

/// For how long invocations are kept.
const DAY: Duration = Duration::from_secs(86_400);

fn invocation(action: &str, state: State) -> Invocation {
    Invocation {
        id: Id::invocation().to_string(),
        action: action.to_owned(),
        state,
        begun: Timestamp::now(),
        ms: None,
        attempts: 0,
        effect: Effect::Creates,
        version: "0.1.0".to_owned(),
        manifest: "ab".repeat(32),
        project: "default".to_owned(),
        actor: "operator".to_owned(),
        source: "cli".to_owned(),
        user: None,
        parent: None,
        idempotency_key: None,
        input: Some(json!({"topic": "Demo", "password": "***"})),
        output: None,
        error: None,
        exchange: Vec::new(),
    }
}

/// The suite: `open` opens the same store again each time.
async fn suite(open: impl Fn() -> Box<dyn Store>) {
    let store = open();
    assert_eq!(store.invocations(Wanted::default()).await, Ok(vec![]), "a new store holds nothing");
    assert_eq!(store.invocation(None, "inv_nothing").await, Ok(None));

    // One that begins is there for anybody, at once.
    let begun = invocation("acme.make", State::Running);
    store.begin(begun.clone()).await.unwrap();
    let other = open();
    assert_eq!(other.invocation(None, &begun.id).await, Ok(Some(begun.clone())));

    // One that ends takes its place, and is found by the beginning of its id.
    let mut ended = begun.clone();
    ended.state = State::Failed;
    ended.ms = Some(12);
    ended.attempts = 2;
    ended.error = Some(Error::new(ErrorKind::Refused, "no").hint("ask again"));
    ended.exchange = vec![json!({"method": "POST", "status": 400})];
    let later = ended.clone();
    store.end(Box::new(move || later));
    store.settle().await.unwrap();
    assert_eq!(other.invocation(None, &begun.id[..begun.id.len() - 1]).await, Ok(Some(ended.clone())));

    // One whose beginning nobody recorded is there when it has ended.
    let mut done = invocation("acme.list", State::Done);
    done.output = Some(json!({"items": []}));
    let later = done.clone();
    store.end(Box::new(move || later));
    store.settle().await.unwrap();

    // A list has the newest first, and neither input nor output nor exchange.
    let bare = |of: &Invocation| Invocation { input: None, output: None, exchange: Vec::new(), ..of.clone() };
    let list = async |wanted| open().invocations(wanted).await.unwrap();
    assert_eq!(list(Wanted::default()).await, [bare(&done), bare(&ended)]);
    assert_eq!(list(Wanted { most: Some(1), ..Wanted::default() }).await, [bare(&done)]);
    assert_eq!(list(Wanted { state: Some(State::Failed), ..Wanted::default() }).await, [bare(&ended)]);
    assert_eq!(list(Wanted { action: Some("list".into()), ..Wanted::default() }).await, [bare(&done)]);
    assert_eq!(list(Wanted { project: Some("other".into()), ..Wanted::default() }).await, []);
    assert_eq!(list(Wanted { connector: Some("acme".into()), ..Wanted::default() }).await.len(), 2);

    // An id that several begin with is none.
    assert_eq!(store.invocation(None, "inv_").await.unwrap_err().kind, ErrorKind::Unknown);
    // Of what somebody may not see, they do not even learn how many there are.
    let scope = |project: &str, user: Option<&str>| {
        Some(Scope { project: project.into(), user: user.map(str::to_owned) })
    };
    for (scope, found) in [
        (scope("default", None), Some(&done)),
        (scope("default", Some("u_1")), None),
        (scope("other", None), None),
    ] {
        assert_eq!(store.invocation(scope.clone(), &done.id).await, Ok(found.cloned()), "{scope:?}");
        let begins_like = store.invocation(scope.clone(), "inv_").await;
        assert_eq!(begins_like.is_err(), found.is_some(), "{scope:?}: {begins_like:?}");
    }

    // Many at once are all there, and share their commits.
    let many: Vec<Invocation> = (0..200).map(|_| invocation("acme.make", State::Running)).collect();
    let begins: Vec<_> = many.iter().map(|one| store.begin(one.clone())).collect();
    for begin in begins {
        begin.await.unwrap();
    }
    assert_eq!(list(Wanted { most: Some(1000), ..Wanted::default() }).await.len(), 202);

    let tally = store.tally("acme").await.unwrap();
    let failed = list(Wanted { state: Some(State::Failed), most: Some(1000), ..Wanted::default() }).await;
    assert_eq!((tally.all, tally.failed), (202, failed.len() as u64));
    assert_eq!(store.tally("acm").await, Ok(Tally::default()));

    // What is old is forgotten.
    let mut old = invocation("acme.make", State::Done);
    old.begun = Timestamp::now() - SignedDuration::from_hours(48);
    let id = old.id.clone();
    store.end(Box::new(move || old));
    let yesterday = Timestamp::now() - SignedDuration::from_hours(24);
    assert_eq!(store.forget(yesterday).await, Ok(1));
    assert_eq!(store.invocation(None, &id).await, Ok(None));
    store.check().await.unwrap();
    accounts::suite(&open).await;
}

#[tokio::test]
async fn sqlite_does_what_any_store_does() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("jackfield.db");
    suite(|| Box::new(Sqlite::open(path.clone(), Duration::from_secs(86_400)))).await;
}

#[tokio::test]
async fn sqlite_does_with_events_what_any_store_does() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("jackfield.db");
    events::suite(&|| Box::new(Sqlite::open(path.clone(), Duration::from_secs(86_400)))).await;
}

#[tokio::test]
async fn sqlite_does_with_deliveries_what_any_store_does() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("jackfield.db");
    deliveries::suite(&|| -> Box<dyn Store> { Box::new(Sqlite::open(path.clone(), DAY)) }).await;
}

#[tokio::test]
async fn fault_24_whoever_took_something_to_send_and_comes_back_late_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("jackfield.db");
    deliveries::sends(&|| -> Box<dyn Store> { Box::new(Sqlite::open(path.clone(), DAY)) }).await;
}

#[tokio::test]
async fn what_is_erased_with_a_user_names_them() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("jackfield.db");
    deliveries::erases(&|| -> Box<dyn Store> { Box::new(Sqlite::open(path.clone(), DAY)) }).await;
}

#[tokio::test]
async fn fault_26_what_is_undelivered_is_not_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("jackfield.db");
    deliveries::forgets(&|| -> Box<dyn Store> { Box::new(Sqlite::open(path.clone(), DAY)) }).await;
}

#[cfg(test)]
mod sqlite {
    use std::{fs, os::unix::fs::PermissionsExt, path::Path};

    use super::*;

    fn open(path: &Path) -> Sqlite {
        Sqlite::open(path.to_owned(), Duration::from_secs(86_400))
    }

    #[tokio::test]
    async fn the_file_is_the_owners_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("jackfield.db");
        open(&path).begin(invocation("acme.make", State::Running)).await.unwrap();
        for entry in fs::read_dir(dir.path()).unwrap().flatten() {
            let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{}", entry.path().display());
        }
    }

    #[tokio::test]
    async fn fault_95_a_damaged_file_is_told_and_never_made_anew() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("jackfield.db");
        fs::write(&path, "this is no database, and somebody may still want it\n".repeat(100)).unwrap();
        let before = fs::read(&path).unwrap();
        let error = open(&path).begin(invocation("acme.make", State::Running)).await.unwrap_err();
        assert!(error.message.ends_with("jackfield.db is damaged"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), before);
    }

    #[tokio::test]
    async fn fault_98_a_file_of_a_later_version_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("jackfield.db");
        rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
        let error = open(&path).invocation(None, "inv_x").await.unwrap_err();
        assert!(error.message.ends_with("was written by a later Jackfield"), "{error}");
    }

    #[tokio::test]
    async fn one_whose_process_is_gone_is_lost() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("jackfield.db");
        let store = open(&path);
        let running = invocation("acme.make", State::Running);
        store.begin(running.clone()).await.unwrap();
        assert_eq!(store.invocation(None, &running.id).await.unwrap().unwrap().state, State::Running);
        // A process of this number there is, but it was started at another time.
        let connection = rusqlite::Connection::open(&path).unwrap();
        connection
            .execute("UPDATE invocations SET owner = ?1", [format!("{}:1", std::process::id())])
            .unwrap();
        assert_eq!(store.invocation(None, &running.id).await.unwrap().unwrap().state, State::Lost);
        let lost = Wanted { state: Some(State::Lost), ..Wanted::default() };
        assert_eq!(store.invocations(lost).await.unwrap().len(), 1);
        let running = Wanted { state: Some(State::Running), ..Wanted::default() };
        assert_eq!(store.invocations(running).await.unwrap().len(), 0);
    }

    #[tokio::test]
    async fn fault_94_one_that_another_process_has_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("jackfield.db");
        let store = open(&path);
        store.settle().await.unwrap();
        let other = rusqlite::Connection::open(&path).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        let begun = store.begin(invocation("acme.make", State::Running));
        let waiting = tokio::spawn(begun);
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert!(!waiting.is_finished());
        other.execute_batch("COMMIT").unwrap();
        waiting.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn what_shares_a_commit_fails_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("jackfield.db");
        let store = open(&path);
        let project = |id: &str| {
            let project =
                Project { id: id.to_owned(), title: None, return_urls: vec![], created: Timestamp::now() };
            store.put_project(project, Audit::new(id, "operator", "project.add", id))
        };
        // So that all of them come together.
        let other = rusqlite::Connection::open(&path).unwrap();
        store.settle().await.unwrap();
        other
            .execute_batch("CREATE TRIGGER no BEFORE INSERT ON projects WHEN NEW.id = 'b' BEGIN SELECT RAISE(ABORT, 'no'); END; BEGIN IMMEDIATE")
            .unwrap();
        let first = project("first");
        let waiting = tokio::spawn(first);
        tokio::time::sleep(Duration::from_millis(200)).await;
        let together = [project("a"), project("b"), project("c")];
        other.execute_batch("COMMIT").unwrap();
        waiting.await.unwrap().unwrap();
        let [a, b, c] = together;
        assert_eq!((a.await.is_ok(), b.await.is_ok(), c.await.is_ok()), (true, false, true));
        let names: Vec<String> = store.projects().unwrap().into_iter().map(|project| project.id).collect();
        assert_eq!(names, ["a", "c", "default", "first"]);
        assert_eq!(
            store.audit_log(Some("b".to_owned()), None, false, 10).await,
            Ok(vec![]),
            "nothing of it is left"
        );
    }

    #[tokio::test]
    async fn fault_101_a_place_that_cannot_be_written_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let error =
            open(&dir.path().join("nowhere/jackfield.db")).invocation(None, "inv_x").await.unwrap_err();
        assert!(error.message.contains("cannot be written: no such file or directory"), "{error}");
    }
}
