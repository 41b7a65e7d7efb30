//! The provider's part: deliveries that are sent until they are acknowledged, whatever becomes of whoever takes them.

use std::{
    fs::File,
    io::Write,
    net::TcpStream,
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use crate::{
    Result,
    bench::load::message,
    hooks::{Hooks, created},
};

/// How many send at once.
const AT_ONCE: u64 = 8;

/// How long a sender rests after what was acknowledged, and before it sends something again.
const PACE: Duration = Duration::from_millis(20);
const AGAIN: Duration = Duration::from_millis(10);

/// How long an answer may take: longer than a store waits for somebody who has it.
const PATIENCE: Duration = Duration::from_secs(30);

/// Of so many that were acknowledged, one is sent once more, as Zoom does now and then.
const REPEATED: u64 = 10;

/// What was sent and what came of it.
#[derive(Default)]
pub(super) struct Told {
    stopped: AtomicBool,
    next: AtomicU64,
    /// The numbers of what was acknowledged, in memory and in a file that outlives whatever happens here.
    acknowledged: Mutex<(Vec<u64>, Option<File>)>,
    /// How often the answer was to come again.
    pub(super) turned_away: AtomicU64,
    /// How often there was no answer.
    pub(super) unanswered: AtomicU64,
    /// How often something was sent that had been acknowledged already.
    pub(super) repeated: AtomicU64,
}

impl Told {
    pub(super) fn acknowledged(&self) -> Vec<u64> {
        self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    pub(super) fn count(&self) -> usize {
        self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner).0.len()
    }

    fn keep(&self, number: u64) -> Result {
        let mut kept = self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
        kept.0.push(number);
        kept.1.as_mut().map_or(Ok(()), |file| writeln!(file, "{number}")).map_err(|error| error.to_string())
    }
}

/// Those who send, until they are stopped.
pub(super) struct Senders {
    pub(super) told: Arc<Told>,
    threads: Vec<JoinHandle<Result>>,
}

impl Senders {
    /// Begins to send. What is acknowledged is written down in this file.
    pub(super) fn start(hooks: &Arc<Hooks>, file: &Path) -> Result<Self> {
        let file = File::create(file).map_err(|error| format!("{}: {error}", file.display()))?;
        let told = Arc::new(Told { acknowledged: Mutex::new((Vec::new(), Some(file))), ..Told::default() });
        let one = |_| {
            let (hooks, told) = (hooks.clone(), told.clone());
            thread::spawn(move || send(&hooks, &told))
        };
        let threads = (0..AT_ONCE).map(one).collect();
        Ok(Self { told, threads })
    }

    /// Ends when everything that was begun is acknowledged.
    pub(super) fn stop(self) -> Result<Arc<Told>> {
        self.told.stopped.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().map_err(|_| "a sender fell".to_owned())??;
        }
        Ok(self.told)
    }
}

fn send(hooks: &Hooks, told: &Told) -> Result {
    let mut line = Line::default();
    while !told.stopped.load(Ordering::Relaxed) {
        let number = 1 + told.next.fetch_add(1, Ordering::Relaxed);
        let body = created(number);
        // What is not acknowledged is sent again, with another signature, and so it may be there already.
        while !once(hooks, told, &mut line, &body)? {
            thread::sleep(AGAIN);
        }
        told.keep(number)?;
        if number.is_multiple_of(REPEATED) && once(hooks, told, &mut line, &body)? {
            told.repeated.fetch_add(1, Ordering::Relaxed);
        }
        thread::sleep(PACE);
    }
    Ok(())
}

/// Whether it was acknowledged.
fn once(hooks: &Hooks, told: &Told, line: &mut Line, body: &str) -> Result<bool> {
    match line.ask(hooks, &hooks.request(body)) {
        Some(200..=299) => Ok(true),
        Some(503) => {
            told.turned_away.fetch_add(1, Ordering::Relaxed);
            Ok(false)
        }
        Some(status) => Err(format!("a delivery was answered with {status}")),
        None => {
            told.unanswered.fetch_add(1, Ordering::Relaxed);
            Ok(false)
        }
    }
}

/// A connection, if there is one.
#[derive(Default)]
pub(super) struct Line(Option<TcpStream>);

impl Line {
    /// Sends a request, and gives the status of the answer; `None` if there was none.
    pub(super) fn ask(&mut self, hooks: &Hooks, request: &[u8]) -> Option<u16> {
        let mut stream = match self.0.take() {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect(hooks.address).ok()?;
                stream.set_nodelay(true).ok()?;
                stream.set_read_timeout(Some(PATIENCE)).ok()?;
                stream
            }
        };
        stream.write_all(request).ok()?;
        let mut buffer = Vec::new();
        message(&mut stream, &mut buffer)?;
        self.0 = Some(stream);
        std::str::from_utf8(buffer.get(9..12)?).ok()?.parse().ok()
    }
}
