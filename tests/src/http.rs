//! Plain HTTP to a server on this machine, as little of it as tests need.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use serde_json::Value;

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Names in small letters, and values, in their order.
    pub headers: Vec<(String, String)>,
    /// The body, as text.
    pub body: String,
}

impl Answer {
    /// The first header of this name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body as JSON; null if it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }
}

/// Sends one request, and follows nothing.
///
/// # Panics
///
/// If the address is not of this machine, or if nobody answers there.
#[must_use]
#[track_caller]
pub fn http(method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    http_bytes(method, url, headers, body.as_bytes())
}

/// The same, with a body that need not be text.
///
/// # Panics
///
/// As [`http`].
#[must_use]
#[track_caller]
pub fn http_bytes(method: &str, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    ask(method, url, headers, body).unwrap_or_else(|error| panic!("{method} {url}: {error}"))
}

/// The same, of whoever may not be there, or may end before the answer does.
///
/// # Errors
///
/// If there is no answer.
pub(crate) fn ask(method: &str, url: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<Answer, String> {
    let (host, path) = split(url);
    let mut socket = TcpStream::connect(host).map_err(|error| error.to_string())?;
    // Of version 1.0, to which nobody answers in chunks.
    let mut request =
        format!("{method} {path} HTTP/1.0\r\nhost: {host}\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        request += &format!("{name}: {value}\r\n");
    }
    let request = [request.as_bytes(), b"\r\n", body].concat();
    // Whoever is not let finish may have been answered all the same.
    let _ = socket.write_all(&request);
    let mut answer = Vec::new();
    // Whoever is cut off has what came before.
    let _ = socket.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| format!("{answer:?}"))?;
    let mut lines = head.lines();
    let status =
        lines.next().and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or_default();
    let header = |line: &str| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_ascii_lowercase(), value.trim().to_owned()))
    };
    Ok(Answer { status, headers: lines.filter_map(header).collect(), body: body.to_owned() })
}

/// Host and path of an address of this machine.
#[track_caller]
fn split(url: &str) -> (&str, &str) {
    let rest = url.strip_prefix("http://").unwrap_or_else(|| panic!("{url} is no address of this machine"));
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let host = &rest[..end];
    let name = host.split(':').next().unwrap_or_default();
    assert!(["127.0.0.1", "localhost"].contains(&name), "{url} is no address of this machine");
    (host, if rest[end..].starts_with('/') { &rest[end..] } else { "/" })
}

/// A browser as far as it remembers: redirects, and cookies of each host.
#[derive(Debug, Clone, Default)]
pub struct Visitor {
    cookies: Vec<(String, String, String)>,
}

impl Visitor {
    /// Goes to an address, and on to wherever it is sent, as long as that begins with `within`. Gives the first address that
    /// does not, or the answer that sends nowhere.
    ///
    /// # Panics
    ///
    /// If it is sent around for ever, or if nobody answers.
    #[track_caller]
    pub fn follow(&mut self, url: &str, within: &str) -> Result<String, Answer> {
        let mut url = url.to_owned();
        for _ in 0..20 {
            if !url.starts_with(within) {
                return Ok(url);
            }
            let answer = self.get(&url);
            let Some(to) = answer.header("location").filter(|_| (300..400).contains(&answer.status)) else {
                return Err(answer);
            };
            url = if to.starts_with('/') { format!("http://{}{to}", split(&url).0) } else { to.to_owned() };
        }
        panic!("it is sent around for ever, at last to {url}");
    }

    /// Asks for one page, with the cookies that it has.
    ///
    /// # Panics
    ///
    /// If nobody answers.
    #[must_use]
    #[track_caller]
    pub fn get(&mut self, url: &str) -> Answer {
        self.send("GET", url, "")
    }

    /// Sends a form, as the page that holds it would.
    ///
    /// # Panics
    ///
    /// If nobody answers.
    #[must_use]
    #[track_caller]
    pub fn post(&mut self, url: &str, form: &str) -> Answer {
        self.send("POST", url, form)
    }

    /// The value of a cookie that it has of a host.
    #[must_use]
    pub fn cookie(&self, host: &str, name: &str) -> Option<&str> {
        let found = self.cookies.iter().find(|(of, known, _)| of == host && known == name);
        found.map(|(_, _, value)| value.as_str())
    }

    #[track_caller]
    fn send(&mut self, method: &str, url: &str, form: &str) -> Answer {
        let (host, _) = split(url);
        let host = host.to_owned();
        let of_host = self.cookies.iter().filter(|(of, _, _)| *of == host);
        let cookies: Vec<String> = of_host.map(|(_, name, value)| format!("{name}={value}")).collect();
        let cookies = cookies.join("; ");
        let mut headers: Vec<(&str, &str)> = Vec::new();
        if !cookies.is_empty() {
            headers.push(("cookie", &cookies));
        }
        if method == "POST" {
            headers.push(("content-type", "application/x-www-form-urlencoded"));
        }
        let answer = http(method, url, &headers, form);
        for (_, cookie) in answer.headers.iter().filter(|(name, _)| name == "set-cookie") {
            let pair = cookie.split(';').next().unwrap_or_default();
            let Some((name, value)) = pair.split_once('=') else { continue };
            self.cookies.retain(|(of, known, _)| (of, known.as_str()) != (&host, name));
            if !value.is_empty() {
                self.cookies.push((host.clone(), name.to_owned(), value.to_owned()));
            }
        }
        answer
    }
}
