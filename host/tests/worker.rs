//! Many calls in one worker, and what is left of them when it dies.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the message")]

use std::{
    path::PathBuf,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use connector_abi::message;
use jackfield::{
    ErrorKind, Result,
    plugins::Library,
    worker::{Call, Failed, Family, Services, Terms, Workers},
};
use serde_json::{Value, json};

fn library(name: &str) -> Arc<Library> {
    let test = std::env::current_exe().unwrap();
    let path = test.ancestors().nth(2).unwrap().join(name);
    assert!(path.exists(), "{} is not built: run the tests with `cargo xtask test`", path.display());
    Arc::new(Library::read(&path).unwrap())
}

fn workers() -> Workers {
    Workers::of(PathBuf::from(env!("CARGO_BIN_EXE_jackfield")), Terms::default(), Arc::default())
}

/// A host that answers every request after a while, and counts.
#[derive(Default)]
struct Slow {
    asked: AtomicUsize,
    answered: AtomicUsize,
    wait: Duration,
    body: usize,
}

impl Services for Slow {
    fn call(&self, _: &str, _: Vec<u8>) -> Pin<Box<dyn Future<Output = Result<Vec<u8>>> + Send + '_>> {
        Box::pin(async {
            self.asked.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(self.wait).await;
            self.answered.fetch_add(1, Ordering::SeqCst);
            Ok(message::encode(br#"{"status":200,"class":"ok"}"#, &vec![7; self.body]))
        })
    }

    fn log(&self, _: u8, _: &str) {}
}

fn slow(ms: u64) -> Arc<Slow> {
    Arc::new(Slow { wait: Duration::from_millis(ms), ..Slow::default() })
}

fn call(what: &str, services: Arc<Slow>, time: Duration) -> Call {
    let head =
        json!({"name": "do", "input": {"what": what, "head": {"method": "GET", "path": "/"}}, "context": {}});
    let message = message::encode(head.to_string().as_bytes(), &[]);
    Call { family: Family::Action, op: "run", message, services, deadline: Instant::now() + time }
}

const LONG: Duration = Duration::from_secs(20);

fn said(answer: std::result::Result<Vec<u8>, Failed>) -> String {
    let answer = answer.unwrap_or_else(|failed| panic!("{failed:?}"));
    let (head, _) = message::decode(&answer).unwrap();
    let head: Value = serde_json::from_slice(head).unwrap();
    head["output"]["said"].as_str().unwrap().to_owned()
}

fn broke(answer: std::result::Result<Vec<u8>, Failed>) -> ErrorKind {
    match answer {
        Err(Failed::Broke(error)) => error.kind,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_worker_that_died_is_replaced_by_the_next_call() {
    let (workers, faulty) = (workers(), library("libfaulty.so"));
    for what in ["abort", "segfault", "exit"] {
        assert_eq!(
            broke(workers.call(&faulty, call(what, slow(0), LONG)).await),
            ErrorKind::ConnectorCrashed
        );
        assert_eq!(said(workers.call(&faulty, call("say", slow(0), LONG)).await), "hello");
    }
}

#[tokio::test]
async fn a_panic_costs_its_own_call_and_nothing_else() {
    let (workers, faulty) = (workers(), library("libfaulty.so"));
    let (waiting, panicked) = tokio::join!(
        workers.call(&faulty, call("ask", slow(300), LONG)),
        workers.call(&faulty, call("panic", slow(0), LONG))
    );
    assert!(matches!(panicked, Err(Failed::Said(error)) if error.kind == ErrorKind::ConnectorPanicked));
    assert!(said(waiting).contains("200"));
}

#[tokio::test]
async fn when_a_worker_dies_its_calls_fail_and_those_of_others_go_on() {
    let (workers, faulty, frozen) = (workers(), library("libfaulty.so"), library("libsensors.so"));
    let head = json!({"name": "list_sensors", "input": {}, "context": {}});
    let other =
        Call { message: message::encode(head.to_string().as_bytes(), &[]), ..call("", slow(500), LONG) };
    let (victim, other, ()) = tokio::join!(
        workers.call(&faulty, call("ask", slow(10_000), LONG)),
        workers.call(&frozen, other),
        async {
            tokio::time::sleep(Duration::from_millis(200)).await;
            assert_eq!(
                broke(workers.call(&faulty, call("abort", slow(0), LONG)).await),
                ErrorKind::ConnectorCrashed
            );
        }
    );
    assert_eq!(broke(victim), ErrorKind::ConnectorCrashed);
    // The answer has no body, which this connector minds; what counts is that it got one.
    assert!(matches!(other, Err(Failed::Said(error)) if error.kind == ErrorKind::UnexpectedAnswer));
}

#[tokio::test]
async fn calls_share_a_worker_and_wait_side_by_side() {
    let (workers, faulty) = (Arc::new(workers()), library("libfaulty.so"));
    said(workers.call(&faulty, call("say", slow(0), LONG)).await);
    let begun = Instant::now();
    let calls: Vec<_> = (0..500)
        .map(|_| {
            let (workers, faulty) = (workers.clone(), faulty.clone());
            tokio::spawn(async move { said(workers.call(&faulty, call("ask", slow(300), LONG)).await) })
        })
        .collect();
    for call in calls {
        assert!(call.await.unwrap().contains("200"));
    }
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn dropping_a_call_stops_it_in_the_worker_and_at_the_host() {
    let (workers, faulty) = (workers(), library("libfaulty.so"));
    said(workers.call(&faulty, call("say", slow(0), LONG)).await);
    let services = slow(500);
    let dropped = tokio::time::timeout(
        Duration::from_millis(100),
        workers.call(&faulty, call("ask", services.clone(), LONG)),
    );
    assert!(dropped.await.is_err());
    tokio::time::sleep(Duration::from_millis(700)).await;
    let counts = (services.asked.load(Ordering::SeqCst), services.answered.load(Ordering::SeqCst));
    assert_eq!(counts, (1, 0), "what it had asked for was stopped with it");
    assert_eq!(
        said(workers.call(&faulty, call("say", slow(0), LONG)).await),
        "hello",
        "and the worker lives on"
    );
}

#[tokio::test]
async fn dropping_a_call_that_does_not_give_way_ends_its_worker() {
    let (workers, faulty) = (workers(), library("libfaulty.so"));
    said(workers.call(&faulty, call("say", slow(0), LONG)).await);
    let dropped =
        tokio::time::timeout(Duration::from_millis(100), workers.call(&faulty, call("loop", slow(0), LONG)));
    assert!(dropped.await.is_err());
    // It is ended soon, long before its deadline, and the next call has a worker that answers.
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(said(workers.call(&faulty, call("say", slow(0), Duration::from_secs(5))).await), "hello");
}

#[tokio::test]
async fn a_deadline_stops_one_that_waits_and_ends_one_that_does_not_give_way() {
    let (workers, faulty) = (workers(), library("libfaulty.so"));
    said(workers.call(&faulty, call("say", slow(0), LONG)).await);
    let short = Duration::from_millis(200);
    let begun = Instant::now();
    assert!(matches!(workers.call(&faulty, call("wait", slow(0), short)).await, Err(Failed::Stopped)));
    assert!(matches!(workers.call(&faulty, call("ask", slow(5000), short)).await, Err(Failed::Stopped)));
    assert_eq!(broke(workers.call(&faulty, call("loop", slow(0), short)).await), ErrorKind::ConnectorTimeout);
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    assert_eq!(said(workers.call(&faulty, call("say", slow(0), LONG)).await), "hello");
}

#[tokio::test]
async fn a_large_answer_arrives_and_holds_up_nobody() {
    let (workers, faulty) = (workers(), library("libfaulty.so"));
    let large = Arc::new(Slow { body: 15 * 1024 * 1024, ..Slow::default() });
    let (large, small) = tokio::join!(
        workers.call(&faulty, call("ask", large, LONG)),
        workers.call(&faulty, call("ask", slow(0), LONG))
    );
    assert!(said(large).contains("200") && said(small).contains("200"));
}

#[tokio::test]
async fn a_handle_that_was_kept_beyond_its_call_says_that_the_call_has_ended() {
    let (workers, faulty) = (workers(), library("libfaulty.so"));
    assert_eq!(said(workers.call(&faulty, call("keep", slow(0), LONG)).await), "kept");
    let services = slow(0);
    let begun = Instant::now();
    let answer = workers.call(&faulty, call("ask-with-what-was-kept", services.clone(), LONG)).await;
    assert!(matches!(answer, Err(Failed::Said(error)) if error.kind == ErrorKind::CallEnded));
    assert_eq!(services.asked.load(Ordering::SeqCst), 0, "it is not answered for another call");
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_worker_outlives_the_thread_that_first_called_it() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .thread_keep_alive(Duration::from_millis(10))
        .build()
        .unwrap();
    let (workers, faulty) = (Arc::new(workers()), library("libfaulty.so"));
    let begin = |what: &'static str| {
        let (workers, faulty, handle) = (workers.clone(), faulty.clone(), runtime.handle().clone());
        runtime.spawn_blocking(move || handle.block_on(workers.call(&faulty, call(what, slow(0), LONG))))
    };
    assert_eq!(said(runtime.block_on(begin("keep")).unwrap()), "kept");
    // Long enough for the thread of the pool to be given up.
    std::thread::sleep(Duration::from_millis(500));
    let answer = runtime.block_on(begin("ask-with-what-was-kept")).unwrap();
    assert!(
        matches!(answer, Err(Failed::Said(error)) if error.kind == ErrorKind::CallEnded),
        "it is the worker that was there before"
    );
}

#[tokio::test]
async fn a_call_that_is_stopped_before_it_has_arrived_costs_the_worker_nothing() {
    let (workers, faulty) = (workers(), library("libfaulty.so"));
    assert_eq!(said(workers.call(&faulty, call("keep", slow(0), LONG)).await), "kept");
    let large = message::encode(b"{}", &vec![0; 15 * 1024 * 1024]);
    let late = Call { message: large, ..call("", slow(0), Duration::from_millis(1)) };
    assert!(matches!(workers.call(&faulty, late).await, Err(Failed::Stopped)));
    let answer = workers.call(&faulty, call("ask-with-what-was-kept", slow(0), LONG)).await;
    assert!(
        matches!(answer, Err(Failed::Said(error)) if error.kind == ErrorKind::CallEnded),
        "it is the worker that was there before"
    );
}
