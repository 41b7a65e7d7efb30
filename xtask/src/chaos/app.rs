//! The app's part: it is sent events, remembers each, and answers with a success more often than not.

use std::{
    io::Write,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{Result, bench::load::message};

/// Of so many requests, one is answered with a failure.
const FAILS: usize = 40;

/// How long an answer takes at most, in milliseconds: long enough to be killed meanwhile.
const THINKS: usize = 12;

/// How long whoever was killed may take to be gone.
const PATIENCE: Duration = Duration::from_secs(10);

const DONE: &[u8] = b"HTTP/1.1 204 No Content\r\n\r\n";
const FAILED: &[u8] = b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n";

/// That an event came.
#[derive(Clone)]
pub(crate) struct Came {
    pub(crate) event: String,
    pub(crate) at: Instant,
    /// The meeting that it is about.
    pub(crate) meeting: u64,
    /// How often the server had been killed by then.
    pub(crate) kills: usize,
    /// It was answered with a success.
    pub(crate) taken: bool,
}

#[derive(Default)]
struct Seen {
    came: Mutex<Vec<Came>>,
    kills: AtomicUsize,
    connections: AtomicUsize,
}

/// An app that listens until this process ends.
pub(crate) struct App {
    pub(crate) address: SocketAddr,
    seen: Arc<Seen>,
}

impl App {
    /// Starts it. With moods, it fails now and then, and takes its time.
    pub(crate) fn start(moods: bool) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|error| error.to_string())?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        let seen = Arc::new(Seen::default());
        let its = seen.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let seen = its.clone();
                seen.connections.fetch_add(1, Ordering::SeqCst);
                thread::spawn(move || {
                    serve(stream, &seen, moods);
                    seen.connections.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Ok(Self { address, seen })
    }

    pub(crate) fn came(&self) -> Vec<Came> {
        self.seen.came.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The server was killed: what it still has sent is read to its end, and whatever comes from now on, the next one sends.
    pub(crate) fn killed(&self) -> Result {
        let begun = Instant::now();
        while self.seen.connections.load(Ordering::SeqCst) > 0 {
            if begun.elapsed() > PATIENCE {
                return Err("somebody still sends who was killed".to_owned());
            }
            thread::sleep(Duration::from_millis(1));
        }
        self.seen.kills.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

fn serve(mut stream: TcpStream, seen: &Seen, moods: bool) {
    let _ = stream.set_nodelay(true);
    let mut buffer = Vec::new();
    while let Some((head, body)) = message(&mut stream, &mut buffer) {
        let at = Instant::now();
        let text = String::from_utf8_lossy(&buffer[..head]);
        let id = text.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("webhook-id").then(|| value.trim().to_owned())
        });
        let event: Value = serde_json::from_slice(&buffer[head..head + body]).unwrap_or_default();
        let meeting = event["data"]["meeting"]["id"].as_str().and_then(|id| id.parse().ok());
        buffer.drain(..head + body);
        let (Some(id), Some(meeting)) = (id, meeting) else { return };
        let (before, taken) = {
            let mut came = seen.came.lock().unwrap_or_else(PoisonError::into_inner);
            let before = came.len();
            let taken = !moods || !before.is_multiple_of(FAILS);
            let kills = seen.kills.load(Ordering::SeqCst);
            came.push(Came { event: id, at, meeting, kills, taken });
            (before, taken)
        };
        if moods {
            // Not all take equally long, and each is known to have come before it is answered.
            thread::sleep(Duration::from_millis(u64::try_from(before * 7 % THINKS).unwrap_or(0)));
        }
        if stream.write_all(if taken { DONE } else { FAILED }).is_err() {
            return;
        }
    }
}
