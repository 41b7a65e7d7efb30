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
pub(super) struct Came {
    pub(super) event: String,
    /// The meeting that it is about.
    pub(super) meeting: u64,
    /// How often the server had been killed by then.
    pub(super) kills: usize,
    /// It was answered with a success.
    pub(super) taken: bool,
}

#[derive(Default)]
struct Seen {
    came: Mutex<Vec<Came>>,
    kills: AtomicUsize,
    connections: AtomicUsize,
}

/// An app that listens until this process ends.
pub(super) struct App {
    pub(super) address: SocketAddr,
    seen: Arc<Seen>,
}

impl App {
    pub(super) fn start() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|error| error.to_string())?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        let seen = Arc::new(Seen::default());
        let its = seen.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let seen = its.clone();
                seen.connections.fetch_add(1, Ordering::SeqCst);
                thread::spawn(move || {
                    serve(stream, &seen);
                    seen.connections.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Ok(Self { address, seen })
    }

    pub(super) fn came(&self) -> Vec<Came> {
        self.seen.came.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The server was killed: what it still has sent is read to its end, and whatever comes from now on, the next one sends.
    pub(super) fn killed(&self) -> Result {
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

fn serve(mut stream: TcpStream, seen: &Seen) {
    let _ = stream.set_nodelay(true);
    let mut buffer = Vec::new();
    while let Some((head, body)) = message(&mut stream, &mut buffer) {
        let text = String::from_utf8_lossy(&buffer[..head]);
        let id = text.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("webhook-id").then(|| value.trim().to_owned())
        });
        let event: Value = serde_json::from_slice(&buffer[head..head + body]).unwrap_or_default();
        let meeting = event["data"]["meeting"]["id"].as_str().and_then(|id| id.parse().ok());
        buffer.drain(..head + body);
        let (Some(id), Some(meeting)) = (id, meeting) else { return };
        let before = {
            let mut came = seen.came.lock().unwrap_or_else(PoisonError::into_inner);
            let before = came.len();
            let kills = seen.kills.load(Ordering::SeqCst);
            came.push(Came { event: id, meeting, kills, taken: before % FAILS != 0 });
            before
        };
        // Not all take equally long, and each is known to have come before it is answered.
        thread::sleep(Duration::from_millis(u64::try_from(before * 7 % THINKS).unwrap_or(0)));
        if stream.write_all(if before % FAILS == 0 { FAILED } else { DONE }).is_err() {
            return;
        }
    }
}
