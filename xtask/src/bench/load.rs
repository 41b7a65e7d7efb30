//! What requests are sent to and from where proxies are compared: a provider that answers at once, and callers who keep their
//! connections. Both are threads of this process, whose time nobody counts.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Barrier},
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::Result;

/// The user that the provider knows, and their account.
pub(crate) const PERSON: &str = "x1yCzABCDEfg23HiJKl4mN";
pub(crate) const ACCOUNT: &str = "benchmark";

/// How large the answer of a user is, in bytes, or a little more.
const ANSWER: usize = 1024;

/// How long nobody waits for longer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Listens on this machine and answers whatever is asked: tokens, a user, a meeting. It ends with this process.
pub(super) fn provider() -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|error| error.to_string())?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    let answers: Arc<[(&str, Vec<u8>)]> =
        Arc::new([("/token", token()), ("/users/me", user()), ("", meeting())]);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answers = answers.clone();
            thread::spawn(move || answer_all(stream, &answers));
        }
    });
    Ok(address)
}

fn answer(body: &str) -> Vec<u8> {
    let len = body.len();
    format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len}\r\n\r\n{body}")
        .into_bytes()
}

fn token() -> Vec<u8> {
    let token = json!({
        "access_token": "benchmark".repeat(60), "token_type": "bearer", "expires_in": 3599,
        "scope": "user:read:user:admin meeting:read:meeting:admin", "api_url": "https://api.zoom.us",
    });
    answer(&token.to_string())
}

fn user() -> Vec<u8> {
    let mut user = json!({
        "id": PERSON, "account_id": ACCOUNT, "email": "anna@example.com",
        "first_name": "Anna", "last_name": "Benchmark", "type": 2, "timezone": "Europe/Berlin", "about": "",
    });
    let missing = ANSWER.saturating_sub(user.to_string().len());
    user["about"] = "a".repeat(missing).into();
    answer(&user.to_string())
}

fn meeting() -> Vec<u8> {
    let meeting = json!({
        "id": 85_746_065_432_u64, "uuid": "aDYlohsHRtCd4ii1uC2+hA==", "host_id": PERSON,
        "topic": "Benchmark", "type": 2, "status": "waiting", "start_time": "2030-01-31T09:00:00Z", "duration": 60,
        "timezone": "Europe/Berlin", "created_at": "2026-11-24T09:00:00Z", "join_url": "https://example.com/j/85746065432",
    });
    answer(&meeting.to_string())
}

fn answer_all(mut stream: TcpStream, answers: &[(&str, Vec<u8>)]) {
    let _ = stream.set_nodelay(true);
    let mut buffer = Vec::new();
    while let Some((head, body)) = message(&mut stream, &mut buffer) {
        let path =
            std::str::from_utf8(&buffer[..head]).unwrap_or_default().split(' ').nth(1).unwrap_or_default();
        let found = answers.iter().find(|(end, _)| path.ends_with(end));
        let Some((_, answer)) = found else { return };
        if stream.write_all(answer).is_err() {
            return;
        }
        buffer.drain(..head + body);
    }
}

/// Reads until one message is there, and says how long its head and its body are. Bodies have a length or are none.
pub(crate) fn message(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<(usize, usize)> {
    let mut piece = [0; 16 * 1024];
    loop {
        if let Some(end) = buffer.windows(4).position(|end| end == b"\r\n\r\n") {
            let head = end + 4;
            let text = std::str::from_utf8(&buffer[..head]).ok()?;
            let length = text.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                if name.eq_ignore_ascii_case("content-length") {
                    value.trim().parse::<usize>().ok()
                } else {
                    None
                }
            });
            let body = length.unwrap_or(0);
            if buffer.len() >= head + body {
                return Some((head, body));
            }
        }
        match stream.read(&mut piece) {
            Ok(len @ 1..) => buffer.extend_from_slice(&piece[..len]),
            _ => return None,
        }
    }
}

/// Where callers ask, for what, and as whom.
pub(super) struct Way {
    pub(super) address: SocketAddr,
    request: Vec<u8>,
}

impl Way {
    pub(super) fn new(address: SocketAddr, path: &str, token: Option<&str>) -> Self {
        let token = token.map_or(String::new(), |token| format!("authorization: Bearer {token}\r\n"));
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: {address}\r\naccept: application/json\r\n{token}\r\n");
        Self { address, request: request.into_bytes() }
    }

    /// Asks so many times by each of so many connections, one after the other, and says how long each took, in
    /// milliseconds. Whatever is not an answer of the provider's is a failure.
    pub(super) fn ask(&self, connections: usize, times: usize) -> Result<Vec<f64>> {
        let ready = Barrier::new(connections);
        thread::scope(|scope| {
            let callers: Vec<_> =
                (0..connections).map(|_| scope.spawn(|| self.caller(&ready, times))).collect();
            let mut took = Vec::with_capacity(connections * times);
            for caller in callers {
                took.extend(caller.join().map_err(|_| "a caller fell".to_owned())??);
            }
            Ok(took)
        })
    }

    fn caller(&self, ready: &Barrier, times: usize) -> Result<Vec<f64>> {
        let connected = self.connect();
        // Whoever cannot connect lets the others begin all the same.
        ready.wait();
        let mut stream = connected?;
        let mut buffer = Vec::new();
        (0..times).map(|_| self.once(&mut stream, &mut buffer)).collect()
    }

    fn connect(&self) -> Result<TcpStream> {
        let failed = |error: std::io::Error| format!("{}: {error}", self.address);
        let stream = TcpStream::connect(self.address).map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
        Ok(stream)
    }

    fn once(&self, stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Result<f64> {
        let begun = Instant::now();
        stream.write_all(&self.request).map_err(|error| format!("{}: {error}", self.address))?;
        let answered = message(stream, buffer);
        let took = begun.elapsed();
        let (head, body) = answered.ok_or_else(|| format!("{} has not answered", self.address))?;
        if !buffer.starts_with(b"HTTP/1.1 200 ") || body < ANSWER {
            return Err(format!("{} has answered: {}", self.address, String::from_utf8_lossy(buffer)));
        }
        buffer.drain(..head + body);
        Ok(took.as_secs_f64() * 1000.0)
    }

    /// Whether one request is answered as it should be; who is not there yet is not.
    pub(super) fn is_answered(&self) -> bool {
        let asked = || {
            let mut stream = self.connect().ok()?;
            stream.write_all(&self.request).ok()?;
            let mut buffer = Vec::new();
            message(&mut stream, &mut buffer)?;
            buffer.starts_with(b"HTTP/1.1 200 ").then_some(())
        };
        asked().is_some()
    }
}
