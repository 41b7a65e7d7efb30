//! The Zoom simulator, as its users start it.

use std::{
    fmt::Display,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
};

use serde_json::{Value, json};

use crate::{Home, Outcome, artifact, eventually};

/// A running simulator.
pub struct Simulator {
    process: Child,
    /// What it said when it was ready.
    pub ready: Value,
}

impl Simulator {
    /// Starts one.
    ///
    /// # Panics
    ///
    /// If it does not start.
    #[must_use]
    pub fn start(args: &[&str]) -> Self {
        let mut process = Command::new(artifact("zoom-simulator"))
            .args(["--listen", "127.0.0.1:0", "--ready-json"])
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the simulator starts");
        let mut line = String::new();
        BufReader::new(process.stdout.take().expect("it is piped"))
            .read_line(&mut line)
            .expect("it says that it is ready");
        let ready = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        Self { process, ready }
    }

    /// A home whose Zoom is this simulator.
    #[must_use]
    pub fn home(&self) -> Home {
        let home = Home::with(&["zoom"]);
        let text = |name: &str| self.ready[name].as_str().unwrap_or_default();
        home.configure(&format!(
            "[integrations.zoom.endpoints]\napi = \"{}\"\noauth = \"{}\"\n",
            text("api"),
            text("oauth")
        ));
        home
    }

    /// The access token that the simulator has made for its sample host.
    #[must_use]
    pub fn token(&self) -> String {
        self.ready["token"]["access_token"].as_str().unwrap_or_default().to_owned()
    }

    /// Runs an action with a token of the sample host.
    #[must_use]
    pub fn invoke(&self, home: &Home, action: &str, sets: &[&str], more: &[&str]) -> Outcome {
        self.invoke_as(home, &self.token(), action, sets, more)
    }

    /// Runs an action with this token.
    #[must_use]
    pub fn invoke_as(&self, home: &Home, token: &str, action: &str, sets: &[&str], more: &[&str]) -> Outcome {
        let action = format!("zoom.{action}");
        let mut args = vec!["action", "invoke", &action, "--token-stdin", "-o", "json"];
        for set in sets {
            args.extend(["--set", set]);
        }
        args.extend(more);
        home.run_with_input(&args, token)
    }

    /// Queues a fault.
    pub fn fault(&self, fault: &Value) {
        self.control("POST", "faults", Some(fault));
    }

    /// The requests that it got.
    ///
    /// # Panics
    ///
    /// If it does not answer.
    #[must_use]
    pub fn journal(&self) -> Vec<Value> {
        self.control("GET", "journal", None)["requests"].as_array().cloned().unwrap_or_default()
    }

    /// A token of a sample user with these scopes.
    #[must_use]
    pub fn token_with(&self, scopes: &[&str]) -> String {
        let reply = self.control("POST", "tokens", Some(&json!({"scopes": scopes})));
        reply["access_token"].as_str().unwrap_or_default().to_owned()
    }

    /// Subscribes an address to all events, signed with this secret. Answers the subscription's number.
    ///
    /// # Panics
    ///
    /// If the address does not pass the validation.
    pub fn subscribe(&self, url: &str, secret: &str) -> u64 {
        let subscription =
            self.control("POST", "webhooks/subscriptions", Some(&json!({"url": url, "secret": secret})));
        subscription["id"].as_u64().expect("a number")
    }

    /// Asks the address of a subscription again, as Zoom does every 72 hours. Answers the subscription.
    pub fn revalidate(&self, subscription: u64) -> Value {
        self.control("POST", &format!("webhooks/subscriptions/{subscription}/validate"), None)
    }

    /// A guest joins a meeting, which starts with them if it has not yet.
    pub fn join(&self, meeting: impl Display, name: &str) {
        self.control("POST", &format!("meetings/{meeting}/join"), Some(&json!({"name": name})));
    }

    /// A participant leaves.
    pub fn leave(&self, meeting: impl Display, name: &str) {
        self.control("POST", &format!("meetings/{meeting}/leave"), Some(&json!({"who": name})));
    }

    /// A meeting ends, and everybody leaves.
    pub fn end(&self, meeting: impl Display) {
        self.control("POST", &format!("meetings/{meeting}/end"), None);
    }

    /// A meeting is recorded, and the files and then the transcript are ready: three events.
    pub fn record(&self, meeting: impl Display) {
        for step in ["start", "stop", "complete", "transcript"] {
            self.control("POST", &format!("meetings/{meeting}/recording/{step}"), None);
        }
    }

    /// A user removes the app.
    pub fn deauthorize(&self, user: &str) {
        self.control("POST", &format!("users/{user}/deauthorize"), None);
    }

    /// Sets how webhooks are sent: `hold`, `retry_scale`, `timeout_ms`, `retry_client_errors`.
    pub fn send_webhooks(&self, settings: &Value) {
        self.control("PUT", "webhooks", Some(settings));
    }

    /// Keeps events back from now on.
    pub fn hold(&self) {
        self.send_webhooks(&json!({"hold": true}));
    }

    /// Sends the events with these numbers, one after the other. When it comes back, each has been tried once.
    pub fn release(&self, order: &[u64]) {
        self.control("POST", "webhooks/release", Some(&json!({"order": order})));
    }

    /// Sends everything that is kept back, and keeps nothing back any more.
    pub fn release_all(&self) {
        self.control("POST", "webhooks/release", Some(&json!({})));
    }

    /// The next event is sent so many times more.
    pub fn duplicates(&self, copies: u32) {
        self.spoil_webhook(&json!({"copies": copies}));
    }

    /// Queues a fault of a webhook.
    pub fn spoil_webhook(&self, fault: &Value) {
        self.control("POST", "webhooks/faults", Some(fault));
    }

    /// The events that have happened, whether somebody was told or not.
    ///
    /// # Panics
    ///
    /// If it does not answer.
    #[must_use]
    pub fn events(&self) -> Vec<Value> {
        self.control("GET", "webhooks/events", None)["events"].as_array().cloned().unwrap_or_default()
    }

    /// Every attempt to deliver an event or a validation, oldest first.
    ///
    /// # Panics
    ///
    /// If it does not answer.
    #[must_use]
    pub fn deliveries(&self) -> Vec<Value> {
        let journal = self.control("GET", "webhooks/deliveries", None);
        journal["deliveries"].as_array().cloned().unwrap_or_default()
    }

    /// The attempts, when nothing is on its way any more: every event has been received, or is lost.
    ///
    /// # Panics
    ///
    /// If that takes too long.
    #[must_use]
    pub fn settled_deliveries(&self) -> Vec<Value> {
        eventually("no webhook is on its way", || {
            let state = self.control("GET", "webhooks", None);
            state["sending"] == 0 && state["waiting"] == 0
        });
        self.deliveries()
    }

    /// Asks the control API.
    ///
    /// # Panics
    ///
    /// If it refuses.
    pub fn control(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let control = self.ready["control"].as_str().unwrap_or_default();
        let (host, root) = control.trim_start_matches("http://").split_once('/').expect("it has a path");
        let body = body.map_or(String::new(), Value::to_string);
        let mut socket = TcpStream::connect(host).expect("it listens");
        write!(
            socket,
            "{method} /{}/{path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            root.trim_end_matches('/'),
            body.len()
        )
        .expect("it takes requests");
        let mut answer = String::new();
        socket.read_to_string(&mut answer).expect("it answers");
        let (head, body) = answer.split_once("\r\n\r\n").expect("it speaks HTTP");
        assert!(head.starts_with("HTTP/1.1 2"), "{method} {path}: {answer}");
        serde_json::from_str(body).unwrap_or(Value::Null)
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
