//! Somebody with a browser, as far as the demo needs one: pages, forms, cookies, and being sent on. It knows plain HTTP on this
//! machine and nothing else.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::TcpStream,
    time::Duration,
};

use crate::Result;

/// How often a visitor is sent on at most.
const MOST: usize = 10;

/// A visitor, with the cookies of each machine.
#[derive(Default)]
pub(crate) struct Visitor {
    cookies: BTreeMap<String, BTreeMap<String, String>>,
}

/// Where a visitor has arrived.
pub(crate) struct Page {
    pub(crate) address: String,
    pub(crate) text: String,
}

impl Page {
    /// The heading.
    pub(crate) fn heading(&self) -> &str {
        between(&self.text, "<h1>", "</h1>").unwrap_or_default().trim()
    }

    /// The form on the page: where it goes, and what it carries along.
    fn form(&self) -> Result<(String, Vec<(String, String)>)> {
        let form = between(&self.text, "<form ", "</form>").ok_or("the page has no form")?;
        let action = between(form, "action=\"", "\"").ok_or("the form goes nowhere")?;
        let hidden = form.split("<input ").skip(1).filter(|input| input.contains("type=\"hidden\""));
        let fields = hidden.filter_map(|input| {
            let value = between(input, "value=\"", "\"")?;
            Some((between(input, "name=\"", "\"")?.to_owned(), unescape(value)))
        });
        Ok((join(&self.address, &unescape(action)), fields.collect()))
    }
}

impl Visitor {
    /// Goes to an address.
    pub(crate) fn go(&mut self, address: &str) -> Result<Page> {
        self.ask("GET", address.to_owned(), String::new())
    }

    /// Sends the form on a page, with more fields.
    pub(crate) fn submit(&mut self, page: &Page, more: &[(&str, &str)]) -> Result<Page> {
        let (address, mut fields) = page.form()?;
        fields.extend(more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let body: Vec<String> =
            fields.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
        self.ask("POST", address, body.join("&"))
    }

    fn ask(&mut self, method: &str, mut address: String, mut body: String) -> Result<Page> {
        let mut method = method.to_owned();
        for _ in 0..MOST {
            let (head, text) = self.once(&method, &address, &body)?;
            let Some(location) = header(&head, "location") else { return Ok(Page { address, text }) };
            address = join(&address, location);
            (method, body) = ("GET".to_owned(), String::new());
        }
        Err("sent on and on".to_owned())
    }

    fn once(&mut self, method: &str, address: &str, body: &str) -> Result<(String, String)> {
        let failed = |error: std::io::Error| format!("{address}: {error}");
        let rest = address.strip_prefix("http://").ok_or("only plain http")?;
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let cookies = self.cookies.entry(host.to_owned()).or_default();
        let sent: Vec<String> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut stream = TcpStream::connect(host).map_err(failed)?;
        stream.set_read_timeout(Some(Duration::from_secs(30))).map_err(failed)?;
        write!(
            stream,
            "{method} /{path} HTTP/1.1\r\nhost: {host}\r\ncookie: {}\r\ncontent-type: application/x-www-form-urlencoded\r\n\
             content-length: {}\r\nconnection: close\r\n\r\n{body}",
            sent.join("; "),
            body.len()
        )
        .map_err(failed)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).map_err(failed)?;
        let (head, text) = answer.split_once("\r\n\r\n").ok_or("no answer")?;
        for line in head.lines() {
            if let Some((name, value)) = line.split_once(": ")
                && name.eq_ignore_ascii_case("set-cookie")
                && let Some((name, value)) = value.split(';').next().unwrap_or_default().split_once('=')
            {
                cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        Ok((head.to_owned(), text.to_owned()))
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (found, value) = line.split_once(": ")?;
        found.eq_ignore_ascii_case(name).then_some(value)
    })
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    text.split_once(before)?.1.split(after).next()
}

/// An address that stands on a page.
fn join(base: &str, to: &str) -> String {
    if to.starts_with("http://") {
        return to.to_owned();
    }
    let host_end = base["http://".len()..].find('/').map_or(base.len(), |at| at + "http://".len());
    if to.starts_with('/') {
        return format!("{}{to}", &base[..host_end]);
    }
    let path = base.split('?').next().unwrap_or(base);
    format!("{}/{to}", &path[..path.rfind('/').unwrap_or(path.len())])
}

fn unescape(text: &str) -> String {
    [
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&#x27;", "'"),
        ("&#x2f;", "/"),
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&amp;", "&"),
    ]
    .iter()
    .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

fn encode(text: &str) -> String {
    text.bytes()
        .map(|byte| {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}
