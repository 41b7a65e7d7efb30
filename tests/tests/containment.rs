//! A broken or hostile connector costs only itself: while each fault goes on, another connector of the same server answers,
//! and afterwards the server is as large as it was.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the message")]

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use jackfield_tests::{Home, Line, Provider, Running, artifact, eventually, library, process};
use rustix::process::Signal;
use serde_json::{Map, Value, json};

const MIB: u64 = 1024 * 1024;

/// How much larger a server may be after a fault: what its allocator keeps, and nothing that grows with the fault.
const FLAT: u64 = 24 * MIB;

fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value[member].as_str().unwrap_or_default()
}

/// A served home with the connector that does what none should, and a good one.
struct Scene {
    home: Home,
    server: Running,
    /// The good one's provider.
    provider: Provider,
    /// The good one's worker.
    good: u32,
    /// How much memory the server has when it has warmed up.
    memory: u64,
}

impl Scene {
    fn new(configuration: &str) -> Self {
        Self::with(Provider::always(200, &[], r#"{"meetings": []}"#), configuration, &["serve"])
    }

    fn with(provider: Provider, configuration: &str, serve: &[&str]) -> Self {
        let home = Home::with(&["faulty", "zoom"]);
        home.endpoint("zoom", "api", &provider.url());
        home.configure(configuration);
        let server = home.start(serve, "");
        server.says("; Ctrl-C ends it");
        let mut scene = Self { home, server, provider, good: 0, memory: 0 };
        let mut line = Line::to(&scene.home);
        (0..20).for_each(|_| good(&mut line));
        scene.good = process::children(scene.server.pid())[0];
        scene.faulty("say", &json!({})).unwrap();
        scene.memory = process::memory(scene.server.pid());
        scene
    }

    /// Calls the faulty connector's action that only reads.
    fn faulty(&self, what: &str, head: &Value) -> Result<String, Value> {
        self.call("do", &json!({"what": what, "head": head}), 60)
    }

    fn call(&self, action: &str, input: &Value, seconds: u64) -> Result<String, Value> {
        let request = json!({
            "action": format!("faulty.{action}"), "input": input, "token": "a-token", "timeout_seconds": seconds,
        });
        let (status, answer) = self.home.ask("POST", "/v1/invocations", &request);
        match status {
            200 => Ok(text(&answer["output"], "said").to_owned()),
            _ => Err(answer),
        }
    }

    /// The faulty connector's worker.
    #[track_caller]
    fn worker(&self) -> u32 {
        let workers: Vec<u32> =
            process::children(self.server.pid()).into_iter().filter(|worker| *worker != self.good).collect();
        assert_eq!(workers.len(), 1, "{workers:?}");
        workers[0]
    }

    /// Lets something happen, and sees that the other connector has right answers all the while, that its worker stays, and
    /// that the server does not grow.
    #[track_caller]
    fn during<T>(&self, fault: impl FnOnce() -> T) -> T {
        let (over, answers) = (AtomicBool::new(false), AtomicUsize::new(0));
        let answered = std::thread::scope(|scope| {
            let (over, answers) = (&over, &answers);
            let other = scope.spawn(move || {
                let mut line = Line::to(&self.home);
                loop {
                    good(&mut line);
                    answers.fetch_add(1, Ordering::SeqCst);
                    // What begins after the fault is over was not answered during it.
                    if over.load(Ordering::SeqCst) {
                        return;
                    }
                    std::thread::sleep(Duration::from_millis(2));
                }
            });
            let first = answers.load(Ordering::SeqCst);
            eventually("the first answer", || answers.load(Ordering::SeqCst) > first || other.is_finished());
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(fault));
            over.store(true, Ordering::SeqCst);
            other.join().unwrap();
            done
        });
        let done = answered.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        assert!(process::children(self.server.pid()).contains(&self.good), "the other worker is another one");
        self.is_flat();
        done
    }

    #[track_caller]
    fn is_flat(&self) {
        let memory = || process::memory(self.server.pid());
        let most = self.memory + FLAT;
        eventually(&format!("{} bytes of memory, of which {most} are right", memory()), || memory() <= most);
        assert!(memory() > 0, "the server is there");
    }

    /// The connector answers again.
    #[track_caller]
    fn is_well(&self) {
        assert_eq!(self.faulty("say", &json!({})).as_deref(), Ok("hello"));
    }
}

/// One answer of the good connector, which is right.
#[track_caller]
fn good(line: &mut Line) {
    let request = json!({"action": "zoom.get_meetings", "input": {}, "token": "a-token"});
    let (status, answer) = line.ask("POST", "/v1/invocations", &request);
    assert_eq!((status, &answer["output"]), (200, &json!({"meetings": []})), "{answer:#}");
}

#[track_caller]
fn failed(answer: Result<String, Value>, kind: &str, part: &str) -> Value {
    let error = answer.expect_err(kind);
    assert_eq!(text(&error, "kind"), kind, "{error:#}");
    assert!(text(&error, "message").contains(part), "{error:#}");
    error
}

#[test]
fn fault_69_a_panic_costs_its_own_call_and_neither_host_nor_worker() {
    let scene = Scene::new("");
    let worker = scene.worker();
    scene.during(|| {
        for _ in 0..10 {
            failed(scene.faulty("panic", &json!({})), "connector_panicked", "panicked");
        }
    });
    assert_eq!(scene.worker(), worker);
    scene.is_well();
}

#[test]
fn fault_70_a_worker_that_dies_is_replaced_and_says_of_what() {
    let scene = Scene::new("");
    for (what, how) in [
        ("abort", "by signal 6 (abort)"),
        ("segfault", "by signal 11"),
        ("overflow", "by signal 11"),
        ("exit", "with exit code 0"),
    ] {
        let worker = scene.worker();
        let error = scene.during(|| failed(scene.faulty(what, &json!({})), "connector_crashed", how));
        assert!(text(&error, "hint").contains("a fault of the connector"), "{error:#}");
        scene.is_well();
        assert!(scene.worker() != worker && !process::is_there(worker), "{what}");
    }
}

#[test]
fn fault_70_what_else_is_in_flight_in_it_fails_too_and_elsewhere_nothing_does() {
    let (held, let_go) = Provider::held(200, &[], r#"{"meetings": []}"#);
    let (others, let_others_go) = Provider::held(200, &[], r#"{"meetings": []}"#);
    // The first few answers are wanted at once.
    (0..20).for_each(|_| let_others_go.send(()).unwrap());
    let scene = Scene::with(
        others,
        &format!("[integrations.faulty.endpoints]\napi = \"{}\"", held.url()),
        &["serve"],
    );
    let ask = |method: &str| json!({"what": "ask", "head": {"method": method, "path": "/x"}});
    std::thread::scope(|scope| {
        let before = scene.provider.requests().len();
        let elsewhere = scope.spawn(|| good(&mut Line::to(&scene.home)));
        let reads = scope.spawn(|| scene.call("do", &ask("GET"), 120));
        let creates = scope.spawn(|| scene.call("create", &ask("POST"), 120));
        held.is_asked(2);
        scene.provider.is_asked(before + 1);
        failed(scene.faulty("abort", &json!({})), "connector_crashed", "died of this call (by signal 6");
        failed(reads.join().unwrap(), "connector_crashed", "the connector's worker died (by signal 6");
        failed(creates.join().unwrap(), "ambiguous", "nobody knows whether Faulty did it");
        // The other connector's call goes on where it was.
        assert!(!elsewhere.is_finished());
        drop(let_others_go);
        elsewhere.join().unwrap();
    });
    drop(let_go);
    scene.is_well();
    scene.is_flat();
}

#[test]
fn fault_70_neither_a_thread_nor_a_child_can_be_had_in_the_jail() {
    let scene = Scene::new("");
    let worker = scene.worker();
    scene.during(|| {
        for what in ["thread-that-crashes", "fork"] {
            assert_eq!(
                scene.faulty(what, &json!({})).as_deref(),
                Ok("refused: Operation not permitted (os error 1)")
            );
        }
    });
    scene.is_well();
    assert_eq!((scene.worker(), process::group(worker)), (worker, vec![worker]));
}

#[test]
fn fault_70_a_thread_that_crashes_after_the_answer_ends_what_is_in_flight_at_once() {
    let scene = Scene::new("[workers]\nisolation = \"off\"");
    let worker = scene.worker();
    let waited = Instant::now();
    scene.during(|| {
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| scene.call("do", &json!({"what": "wait"}), 120));
            assert_eq!(scene.faulty("thread-that-crashes", &json!({})).as_deref(), Ok("started"));
            failed(waits.join().unwrap(), "connector_crashed", "by signal 6");
        });
    });
    assert!(waited.elapsed() < Duration::from_secs(60), "long before its deadline");
    scene.is_well();
    assert_ne!(scene.worker(), worker);
}

#[test]
fn fault_70_a_child_that_holds_the_socket_hides_no_death_and_goes_with_its_parent() {
    let scene = Scene::new("[workers]\nisolation = \"off\"");
    let worker = scene.worker();
    let waited = Instant::now();
    scene.during(|| {
        failed(scene.call("do", &json!({"what": "fork"}), 120), "connector_crashed", "by signal 6");
    });
    assert!(waited.elapsed() < Duration::from_secs(60), "long before its deadline");
    eventually("the end of the child", || process::group(worker).is_empty());
    scene.is_well();
}

#[test]
fn fault_71_what_does_not_give_way_is_ended_and_what_waits_is_not() {
    let (held, _let_go) = Provider::held(200, &[], "{}");
    let endpoint = format!("[integrations.faulty.endpoints]\napi = \"{}\"", held.url());
    let scene = Scene::with(Provider::always(200, &[], r#"{"meetings": []}"#), &endpoint, &["serve"]);
    for what in ["loop", "block"] {
        let worker = scene.worker();
        let call = || scene.call("do", &json!({"what": what}), 1);
        failed(scene.during(call), "connector_timeout", "did not give way at its deadline");
        eventually("the end of the worker", || !process::is_there(worker));
        scene.is_well();
        assert_ne!(scene.worker(), worker, "{what}");
    }
    // A slow provider is not a hung connector, nor is one that waits for nothing.
    let worker = scene.worker();
    scene.during(|| {
        let slow = json!({"what": "ask", "head": {"method": "GET", "path": "/x"}});
        for input in [slow, json!({"what": "wait"})] {
            let error = scene.call("do", &input, 1).unwrap_err();
            let kind = text(&error, "kind");
            // The provider's own is noticed a little before the call's, and then the connector says so.
            assert!(kind == "timeout", "{error:#}");
        }
    });
    scene.is_well();
    assert_eq!(scene.worker(), worker);
}

#[test]
fn fault_71_processor_time_is_bounded_for_a_call_and_not_for_a_life() {
    let scene = Scene::new("[workers]\ncpu_seconds = 1");
    let worker = scene.worker();
    scene.during(|| {
        for _ in 0..25 {
            let honest = scene.faulty("spin-then-answer", &json!({"ms": 200}));
            assert_eq!(honest.as_deref(), Ok("hello"));
        }
    });
    assert_eq!(scene.worker(), worker, "together they have taken more than one may");
    let begun = Instant::now();
    let call = || scene.call("do", &json!({"what": "loop"}), 600);
    let error = failed(scene.during(call), "connector_timeout", "more than 1 s of the processor's time");
    assert!(begun.elapsed() < Duration::from_secs(300), "long before its deadline");
    assert!(text(&error, "hint").contains("refused until"), "{error:#}");
    scene.is_well();
}

#[test]
fn fault_72_memory_that_is_kept_or_taken_at_once_is_the_workers_own() {
    let scene = Scene::new("[workers]\nmemory_mib = 128");
    let worker = scene.worker();
    scene.during(|| {
        let mut kept = 0;
        let error = loop {
            match scene.faulty("leak", &json!({})) {
                Ok(_) => kept += 1,
                Err(error) => break error,
            }
            assert!(kept < 100, "there is no limit");
        };
        assert!(kept >= 4, "{kept}");
        failed(Err(error), "connector_crashed", "8388608 bytes more of memory, and may have 128 MiB");
    });
    scene.is_well();
    assert_ne!(scene.worker(), worker);
    let bomb = || scene.faulty("bomb", &json!({}));
    failed(scene.during(bomb), "connector_crashed", "8388608 bytes more of memory, and may have 128 MiB");
    scene.is_well();
}

#[test]
fn fault_73_five_inputs_that_it_dies_of_within_a_minute_are_the_connectors_fault() {
    let mut scene = Scene::new("");
    scene.during(|| {
        for nth in 1..=5 {
            let input = json!({"what": "abort", "op": nth.to_string()});
            failed(scene.call("do", &input, 60), "connector_crashed", "by signal 6");
        }
        let error = failed(
            scene.faulty("say", &json!({})),
            "connector_quarantined",
            "5 of its workers died within a minute",
        );
        assert!(text(&error, "message").contains("by signal 6 (abort)"), "{error:#}");
        assert!(text(&error, "hint").contains("jackfield connector lift faulty"), "{error:#}");
    });
    // Others are not told so, and a server that comes next remembers, as does a command without one.
    scene.server.signal(Signal::TERM);
    eventually("the end of the server", || scene.server.has_ended());
    let alone = scene.home.faulty("do", "say", &json!({}), &[]).error(7);
    assert_eq!(text(&alone, "kind"), "connector_quarantined", "{alone:#}");
    scene.server = scene.home.serve();
    failed(scene.faulty("say", &json!({})), "connector_quarantined", "by signal 6 (abort)");
    good(&mut Line::to(&scene.home));
    // Another file under the same id begins anew.
    let mut bytes = fs::read(artifact("libfaulty.so")).unwrap();
    bytes.push(0);
    put_as(&scene.home.plugins().join("libfaulty.so"), &bytes);
    eventually("the other file", || scene.faulty("say", &json!({})).as_deref() == Ok("hello"));
}

#[test]
fn fault_73_one_input_that_it_dies_of_is_refused_and_nothing_else_is() {
    let scene = Scene::new("");
    scene.during(|| {
        let input = json!({"what": "abort", "op": "1"});
        failed(scene.call("do", &input, 60), "connector_crashed", "died of this call");
        scene.is_well();
        let worker = scene.worker();
        for _ in 0..5 {
            let error = failed(scene.call("do", &input, 60), "input_quarantined", "died of this very input");
            assert!(text(&error, "message").contains("by signal 6"), "{error:#}");
            assert!(text(&error, "retry_at").ends_with('Z'), "{error:#}");
            scene.is_well();
        }
        assert_eq!(scene.worker(), worker, "it has not been tried again");
    });
    let alone = scene.home.invoke("faulty.do", &["what=abort", "op=1"]);
    assert_eq!(text(&alone.error(1), "kind"), "input_quarantined");
}

/// Puts a library in the place of another one, as a whole.
fn put_as(path: &Path, bytes: &[u8]) {
    let fresh = path.with_file_name(".fresh");
    fs::write(&fresh, bytes).unwrap();
    fs::set_permissions(&fresh, fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(&fresh, path).unwrap();
}

#[test]
fn fault_77_what_was_looked_at_is_what_is_loaded_or_nothing_is() {
    let scene = Scene::new("");
    let plugin = scene.home.plugins().join("libfaulty.so");
    let one = fs::read(artifact("libfaulty.so")).unwrap();
    // Another version, which says something else; and one that is no library.
    let other = library::replaced(&one, b"\"version\": \"0.1.0\"", b"\"version\": \"0.2.0\"");
    let other = library::replaced(&other, b"hello", b"jello");
    let broken = &one[..one.len() / 2];
    let over = AtomicBool::new(false);
    let said: Vec<(String, String)> = scene.during(|| {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for (nth, bytes) in [other.as_slice(), broken, &one].into_iter().cycle().enumerate() {
                    if over.load(Ordering::SeqCst) {
                        return;
                    }
                    put_as(&plugin, bytes);
                    std::thread::sleep(Duration::from_millis(nth as u64 % 20));
                }
            });
            let begun = Instant::now();
            let mut said = Vec::new();
            while begun.elapsed() < Duration::from_secs(5) {
                let request = json!({"action": "faulty.do", "input": {"what": "say"}, "token": "t"});
                let (status, answer) = scene.home.ask("POST", "/v1/invocations", &request);
                if status == 200 {
                    said.push((text(&answer, "id").to_owned(), text(&answer["output"], "said").to_owned()));
                } else {
                    assert!(["plugin_refused", "unknown"].contains(&text(&answer, "kind")), "{answer:#}");
                }
            }
            over.store(true, Ordering::SeqCst);
            said
        })
    });
    assert!(!said.is_empty());
    // Of each, the version that was looked at is the one that has answered.
    for (id, said) in said.iter().rev().take(500) {
        let version = || {
            text(&scene.home.ask("GET", &format!("/v1/invocations/{id}"), &Value::Null).1, "version")
                .to_owned()
        };
        eventually("the record", || !version().is_empty());
        assert!(
            [("0.1.0", "hello"), ("0.2.0", "jello")].contains(&(&*version(), said.as_str())),
            "{}: {said}",
            version()
        );
    }
    put_as(&plugin, &one);
    eventually("the good one", || scene.faulty("say", &json!({})).as_deref() == Ok("hello"));
}

#[test]
fn fault_77_a_file_that_is_written_over_disturbs_nothing_that_runs() {
    let (held, let_go) = Provider::held(200, &[], "{}");
    let endpoint = format!("[integrations.faulty.endpoints]\napi = \"{}\"", held.url());
    let scene = Scene::with(Provider::always(200, &[], r#"{"meetings": []}"#), &endpoint, &["serve"]);
    let worker = scene.worker();
    scene.during(|| {
        let asks = json!({"method": "GET", "path": "/x"});
        std::thread::scope(|scope| {
            let call = scope.spawn(|| scene.faulty("ask", &asks));
            held.is_asked(1);
            let plugin = scene.home.plugins().join("libfaulty.so");
            let len = fs::metadata(&plugin).unwrap().len();
            fs::write(&plugin, vec![0xcc; usize::try_from(len).unwrap()]).unwrap();
            fs::write(&plugin, "").unwrap();
            drop(let_go);
            assert!(call.join().unwrap().unwrap().contains("200"));
        });
    });
    assert!(process::is_there(worker));
}

/// A manifest of the faulty connector's with another input for its action.
fn with_input(schema: &Value) -> Value {
    let manifest = fs::read(jackfield_tests::root().join("tests/faulty/manifest.json")).unwrap();
    let mut manifest: Value = serde_json::from_slice(&manifest).unwrap();
    manifest["id"] = json!("hostile");
    let evil = &mut manifest["actions"][0]["input"]["properties"]["evil"];
    *evil = schema.clone();
    if evil.is_object() {
        evil["description"] = json!("Something evil");
    }
    manifest
}

#[test]
fn fault_83_a_hostile_schema_is_refused_when_it_is_read_and_fetches_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("http://{}/schema.json", listener.local_addr().unwrap());
    let scene = Scene::new("");
    let library = fs::read(artifact("libfaulty.so")).unwrap();
    let wide: Map<String, Value> =
        (0..10_000).map(|nth| (format!("p{nth}"), json!({"description": "One of many"}))).collect();
    let deep = format!("{}{{}}{}", r#"{"not":"#.repeat(1000), "}".repeat(1000));
    let deep = with_input(&json!("DEEP")).to_string().replace("\"DEEP\"", &deep);
    let mut itself = with_input(&json!({"$ref": "#/$defs/A"}));
    itself["$defs"] = json!({"A": {"$ref": "#/$defs/B"}, "B": {"$ref": "#/$defs/A"}});
    let outside = "does not lead into `$defs`";
    let hostile = [
        ("url", with_input(&json!({"$ref": url})).to_string(), outside),
        ("file", with_input(&json!({"$ref": "file:///etc/passwd"})).to_string(), outside),
        ("long", with_input(&json!({"$ref": "x".repeat(1 << 20)})).to_string(), "$ref"),
        ("id", with_input(&json!({"$id": url})).to_string(), "$id is not used in manifests"),
        (
            "wide",
            with_input(&json!({"type": "object", "properties": wide})).to_string(),
            "more than 4000 schemas",
        ),
        ("deep", deep, "recursion limit exceeded"),
        // It leads back to itself with the same value: checking would have no end.
        ("itself", itself.to_string(), "refers to itself without end"),
    ];
    let put = |name: &str, manifest: &str| {
        let path = scene.home.plugins().join(format!("lib{name}.so"));
        put_as(&path, &library::with_manifest(&library, manifest.as_bytes()));
    };
    // That it is the manifest that is refused, and not how it came there.
    put("harmless", &with_input(&json!({"type": "string", "description": "x"})).to_string());
    let listed = |name: &str| {
        let listed = scene.home.run(&["connector", "list", "-o", "json"]).json();
        let file = format!("/lib{name}.so");
        listed.as_array().unwrap().iter().find(|line| text(line, "path").ends_with(&file)).cloned()
    };
    let is = |name: &str, state: &str| listed(name).is_some_and(|line| text(&line, "state") == state);
    eventually("the harmless one", || is("harmless", "ready"));
    fs::remove_file(scene.home.plugins().join("libharmless.so")).unwrap();
    scene.during(|| {
        for (name, manifest, why) in &hostile {
            put(name, manifest);
            eventually("the refusal", || listed(name).is_some());
            let line = listed(name).unwrap();
            assert!(
                text(&line, "state") == "refused" && text(&line, "reason").contains(why),
                "{name}: {line:#}"
            );
            assert!(text(&line, "reason").len() < 4096, "{name}: {line:#}");
        }
    });
    assert!(listener.accept().is_err(), "something was fetched");
    scene.is_well();
}

#[test]
fn fault_84_whatever_is_answered_costs_the_call_alone() {
    // Enough for what is larger than any answer may be.
    let scene = Scene::new("[workers]\nmemory_mib = 4096");
    let worker = scene.worker();
    scene.during(|| {
        for (what, part) in [
            ("bad-utf8", "no answer to an action"),
            ("not-json", "no answer to an action"),
            ("no-message", "no message"),
            ("wrong-type", "an output that it does not declare (/said must be text)"),
            ("huge", "1073741824 bytes; the limit is 16777216"),
            ("huge-error", "1073741824 bytes; the limit is 16777216"),
            ("strange-error", "in a way that cannot be read"),
        ] {
            failed(scene.faulty(what, &json!({})), "connector_fault", part);
        }
    });
    scene.is_well();
    assert_eq!(scene.worker(), worker);
}

const SECRET: &str = "cnryPass9";

/// What was logged of the connector's lines: each is one record, and says whose it is.
#[track_caller]
fn lines_of_log(logs: &str) -> Vec<Value> {
    let records = logs
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}")));
    let lines: Vec<Value> = records.filter(|record| text(record, "message").contains("[31mred")).collect();
    for line in &lines {
        assert!(!text(line, "message").contains(['\n', '\r', '\u{1b}']), "{line:#}");
        assert!(text(line, "message").contains(r"one\r\ntwo \u{1b}[31mred ***"), "{line:#}");
        assert!(text(&line["span"], "id").starts_with("inv_"), "{line:#}");
        assert_eq!(text(&line["span"], "action"), "faulty.do", "{line:#}");
    }
    lines
}

#[test]
fn fault_85_a_flood_of_log_is_cut_short_escaped_cleaned_and_attributed() {
    let scene = Scene::with(Provider::always(200, &[], r#"{"meetings": []}"#), "", &["-vvv", "serve"]);
    let worker = scene.worker();
    for what in ["log-flood", "stderr-flood"] {
        let before = scene.home.logs().len();
        let input = json!({"what": what, "secret": SECRET});
        scene.during(|| assert_eq!(scene.call("do", &input, 60).as_deref(), Ok("flooded")));
        let logs = scene.home.logs()[before..].to_owned();
        assert!(!logs.contains(SECRET), "{what}");
        let lines = lines_of_log(&logs);
        assert_eq!(lines.len(), if what == "log-flood" { 200 } else { 0 }, "{what}");
        assert_eq!(logs.matches("writes more than 200 lines").count(), usize::from(what == "log-flood"));
        assert!(logs.matches("\"connector\":\"faulty\"").count() < 100, "{what}");
    }
    scene.is_well();
    assert_eq!(scene.worker(), worker, "it costs nobody a worker");
}

#[test]
fn fault_85_lines_of_log_past_our_own_code_end_the_worker() {
    let scene = Scene::new("");
    // The second call that this worker has.
    let flood = || scene.faulty("frame-flood", &json!({"call": 2}));
    failed(scene.during(flood), "connector_crashed", "more lines of log than a call may have");
    assert!(scene.home.logs().matches("\"line\"").count() <= 200);
    scene.is_well();
}
