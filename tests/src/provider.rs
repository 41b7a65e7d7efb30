//! A provider that answers whatever a test tells it to, down to the bytes, and remembers what it was asked.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc::Sender,
    },
    time::Duration,
};

use serde_json::Value;

use crate::eventually;

/// A request that was received.
#[derive(Debug, Clone)]
pub struct Request {
    /// The method.
    pub method: String,
    /// The path and the query, as they came.
    pub target: String,
    /// The headers, by lower-case name.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Request {
    /// A header, by lower-case name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON.
    ///
    /// # Panics
    ///
    /// If it is not.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the body is JSON")
    }
}

/// One thing that a provider does on a connection, after the request is there.
#[derive(Debug, Clone)]
pub enum Act {
    /// Sends these bytes.
    Send(Vec<u8>),
    /// Sends these bytes again and again, with a pause in between, until the other side has had enough.
    Drip(Vec<u8>, Duration),
    /// Waits.
    Pause(Duration),
    /// Breaks the connection off.
    Reset,
}

/// An HTTP answer.
#[must_use]
pub fn reply(status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Vec<Act> {
    let body = body.as_ref();
    let mut head = format!("HTTP/1.1 {status} X\r\n");
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if status != 204 {
        head.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    head.push_str("connection: close\r\n\r\n");
    vec![Act::Send([head.as_bytes(), body].concat())]
}

/// A provider on loopback.
pub struct Provider {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
    stopped: Arc<AtomicBool>,
}

impl Provider {
    /// A provider that answers each request as `answer` says; it is given the request and how many came before.
    ///
    /// # Panics
    ///
    /// If there is no free port.
    pub fn start(answer: impl Fn(&Request, usize) -> Vec<Act> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("there is a free port");
        let address = listener.local_addr().expect("it has an address");
        let provider = Self { address, requests: Arc::default(), stopped: Arc::default() };
        let (requests, stopped) = (provider.requests.clone(), provider.stopped.clone());
        let answer = Arc::new(answer);
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let (requests, answer, stopped) = (requests.clone(), answer.clone(), stopped.clone());
                std::thread::spawn(move || {
                    let Some(request) = receive(&socket) else { return };
                    let before = {
                        let mut requests = requests.lock().expect("no test panics in it");
                        requests.push(request.clone());
                        requests.len() - 1
                    };
                    play(socket, answer(&request, before), &stopped);
                });
            }
        });
        provider
    }

    /// A provider that answers every request with this.
    pub fn always(status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Self {
        let acts = reply(status, headers, body);
        Self::start(move |_, _| acts.clone())
    }

    /// A provider that holds every answer back until something is sent, or nobody is left who could.
    #[must_use]
    pub fn held(status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> (Self, Sender<()>) {
        let acts = reply(status, headers, body);
        let (let_go, held) = std::sync::mpsc::channel();
        let held = Mutex::new(held);
        let provider = Self::start(move |_, _| {
            let _ = held.lock().map(|held| held.recv());
            acts.clone()
        });
        (provider, let_go)
    }

    /// Waits until it has been asked so many times.
    ///
    /// # Panics
    ///
    /// If it is not.
    #[track_caller]
    pub fn is_asked(&self, times: usize) {
        eventually(&format!("{times} requests"), || self.requests().len() >= times);
    }

    /// Its address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it was asked so far.
    ///
    /// # Panics
    ///
    /// Never, unless a test has panicked in its answer.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().expect("no test panics in it").clone()
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        // Wakes the listener up, so that it sees that it is over.
        let _ = TcpStream::connect(self.address);
    }
}

fn receive(socket: &TcpStream) -> Option<Request> {
    socket.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    let mut reader = BufReader::new(socket);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length =
        headers.iter().find(|(name, _)| name == "content-length").and_then(|(_, value)| value.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body).ok()?;
    Some(Request { method, target, headers, body })
}

fn play(mut socket: TcpStream, acts: Vec<Act>, stopped: &AtomicBool) {
    for act in acts {
        match act {
            Act::Send(bytes) => {
                if socket.write_all(&bytes).is_err() {
                    return;
                }
            }
            Act::Drip(bytes, pause) => {
                while !stopped.load(Ordering::Relaxed) && socket.write_all(&bytes).is_ok() {
                    std::thread::sleep(pause);
                }
                return;
            }
            Act::Pause(time) => std::thread::sleep(time),
            Act::Reset => {
                let _ = rustix::net::sockopt::set_socket_linger(&socket, Some(Duration::ZERO));
                return;
            }
        }
    }
    let _ = socket.shutdown(Shutdown::Write);
    // Until the other side has closed too, or what was sent might be lost to it.
    let _ = socket.set_read_timeout(Some(Duration::from_secs(1)));
    let _ = socket.read(&mut [0; 1024]);
}
