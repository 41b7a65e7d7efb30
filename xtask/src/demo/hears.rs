//! The part of the demo in which an app hears what happens: it subscribes, a meeting is created, and the event arrives.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    process::{Child, Stdio},
    sync::mpsc::{Receiver, Sender, channel},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{HOME, Simulator, command, invoke, jackfield, say};
use crate::{Result, run::root};

/// What the simulator signs with, as it would be copied from Zoom's page.
const TOKEN: &str = "target/demo/secret-token";

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Shows it, at the home that listens at this address.
pub(super) fn hears(simulator: &Simulator, public: &str) -> Result {
    say("An app that wants to know: Jackfield stays, Zoom is told its address, and the app subscribes");
    let app = App::start()?;
    allow(app.address)?;
    let token = "demo-secret-token";
    fs::write(root().join(TOKEN), token).map_err(|error| error.to_string())?;
    jackfield(&["integration", "set", "zoom", "--webhook-secret-file", TOKEN])?;
    let _served = Served::start(public)?;
    let shown = command(&["integration", "show", "zoom", "-o", "json", "--query", ".webhook_url"])
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("cannot run jackfield: {error}"))?;
    let url = String::from_utf8_lossy(&shown.stdout).trim().trim_matches('"').to_owned();
    println!("{url}");
    simulator.control("webhooks/subscriptions", &json!({"url": url, "secret": token}))?;
    println!("  [Zoom] has validated the address and sends events there");
    let address = format!("http://{}/hook", app.address);
    jackfield(&["subscription", "add", "zoom.new_meeting", "--url", &address])?;

    say("Somebody creates a meeting, and the app hears of it");
    invoke(
        "create_meeting",
        &["topic=Product demo", "start_time=2027-03-01T10:00", "timezone=Europe/Berlin"],
    )?;
    let event = app.hears.recv_timeout(PATIENCE).map_err(|_| "the app has heard nothing".to_owned())?;
    let text = serde_json::to_string_pretty(&event).map_err(|error| error.to_string())?;
    println!("  [app] is sent:\n{text}");
    jackfield(&["event", "sent"])
}

/// Says that events may go to an address on this machine.
fn allow(app: SocketAddr) -> Result {
    let path = root().join(HOME).join("jackfield.toml");
    let text = fs::read_to_string(&path).map_err(|error| error.to_string())?;
    let more = format!("\n[events]\nprivate_urls = [\"http://{app}\"]\n");
    print!("\n$ cat >> {HOME}/jackfield.toml{more}");
    fs::write(&path, format!("{text}{more}")).map_err(|error| error.to_string())
}

/// An app that is content with whatever it is sent.
struct App {
    address: SocketAddr,
    hears: Receiver<Value>,
}

impl App {
    fn start() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|error| error.to_string())?;
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        let (tell, hears) = channel();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let _ = take(stream, &tell);
            }
        });
        Ok(Self { address, hears })
    }
}

fn take(mut stream: TcpStream, tell: &Sender<Value>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let (mut line, mut len) = (String::new(), 0);
    while reader.read_line(&mut line)? > 2 {
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            len = value.trim().parse().unwrap_or(0);
        }
        line.clear();
    }
    let mut body = vec![0; len];
    reader.read_exact(&mut body)?;
    let _ = tell.send(serde_json::from_slice(&body).unwrap_or_default());
    stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n")
}

/// A Jackfield that stays until the demo is over.
struct Served(Child);

impl Served {
    fn start(public: &str) -> Result<Self> {
        let mut serving = command(&["serve"]);
        serving.stdout(Stdio::null()).stderr(Stdio::null());
        let served = Self(serving.spawn().map_err(|error| format!("cannot run jackfield: {error}"))?);
        let address = public.trim_start_matches("http://").to_owned();
        let begun = Instant::now();
        while TcpStream::connect(&address).is_err() {
            if begun.elapsed() > PATIENCE {
                return Err(format!("nobody serves at {address}"));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(served)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Simulator {
    /// Has the simulator do something, by the address by which tests and demos do.
    fn control(&self, path: &str, body: &Value) -> Result {
        let failed = |error: std::io::Error| format!("the simulator: {error}");
        let (host, root) = self
            .control
            .trim_start_matches("http://")
            .split_once('/')
            .ok_or("the simulator has no control address")?;
        let body = body.to_string();
        let mut stream = TcpStream::connect(host).map_err(failed)?;
        let request = format!(
            "POST /{}/{path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            root.trim_end_matches('/'),
            body.len()
        );
        stream.write_all(request.as_bytes()).map_err(failed)?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).map_err(failed)?;
        if answer.starts_with("HTTP/1.1 2") {
            Ok(())
        } else {
            Err(format!("the simulator refuses: {answer}"))
        }
    }
}
