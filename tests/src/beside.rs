//! A good connector that is called all the time beside whatever a test does to the home.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::{Home, Line, Provider, Running, artifact, eventually, process};

/// How many calls make a server have what it keeps.
const WARM: usize = 50;

/// How long the good connector may take for one call.
const PATIENCE: Duration = Duration::from_secs(10);

/// A pause between two calls, for what else there is on the machine.
const PAUSE: Duration = Duration::from_millis(2);

/// How much more memory the server may have in the end, in bytes.
const FLAT: u64 = 24 * 1024 * 1024;

/// A served home and a good connector in it, which answers all the time: from when this is made until [`Self::ends`].
pub struct Beside {
    server: Running,
    memory: u64,
    over: Arc<AtomicBool>,
    calls: Arc<AtomicUsize>,
    caller: Option<JoinHandle<()>>,
    /// What the good connector asks, if it is not the test's.
    provider: Option<Provider>,
}

impl Beside {
    /// Serves a home and calls the Zoom connector in it, which is put there.
    #[must_use]
    pub fn of(home: &Home) -> Self {
        let provider = Provider::always(200, &[], r#"{"meetings": []}"#);
        home.add(&artifact("libzoom.so"));
        home.endpoint("zoom", "api", &provider.url());
        let mut beside = Self::calling(home, "zoom.get_meetings", &json!({}), json!({"meetings": []}));
        beside.provider = Some(provider);
        beside
    }

    /// Serves a home and calls this action of a good connector in it, which has to answer this.
    ///
    /// # Panics
    ///
    /// If it does not.
    #[must_use]
    pub fn calling(home: &Home, action: &str, input: &Value, right: Value) -> Self {
        let server = home.serve();
        let request = json!({"action": action, "input": input, "token": "canary-token-7f3a"});
        let mut line = Line::to(home);
        line.waits(PATIENCE);
        let mut call = move || {
            let (status, answer) = line.ask("POST", "/v1/invocations", &request);
            assert_eq!((status, &answer["output"]), (200, &right), "the good connector: {answer:#}");
        };
        (0..WARM).for_each(|_| call());
        let memory = process::memory(server.pid());
        let (over, calls) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let (is_over, answered) = (over.clone(), calls.clone());
        let caller = thread::spawn(move || {
            while !is_over.load(Ordering::SeqCst) {
                call();
                answered.fetch_add(1, Ordering::SeqCst);
                thread::sleep(PAUSE);
            }
        });
        Self { server, memory, over, calls, caller: Some(caller), provider: None }
    }

    /// The process of the server.
    #[must_use]
    pub fn server(&self) -> u32 {
        self.server.pid()
    }

    /// Ends it, and the server with it: each call was answered as it should be, meanwhile too, and the server has as much
    /// memory as before.
    ///
    /// # Panics
    ///
    /// If it is not so.
    #[track_caller]
    pub fn ends(mut self) {
        // Whatever the test did is still there, and may have been done in no time.
        let caller = self.caller.take().expect("it ends once");
        eventually("ten calls of the good connector", || {
            caller.is_finished() || self.calls.load(Ordering::SeqCst) >= 10
        });
        self.over.store(true, Ordering::SeqCst);
        assert!(caller.join().is_ok(), "the good connector has not answered as it should");
        let (before, server) = (self.memory, self.server.pid());
        eventually(&format!("no more memory than {before} bytes and a little"), || {
            process::memory(server) <= before + FLAT
        });
        self.server.signal(Signal::TERM);
        eventually("the end of the server", || self.server.has_ended());
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        // Nobody is to call what is no longer served, in a test that has failed.
        self.over.store(true, Ordering::SeqCst);
        let _ = self.caller.take().map(JoinHandle::join);
    }
}
