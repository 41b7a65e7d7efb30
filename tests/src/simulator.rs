//! The Zoom simulator, as its users start it.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
};

use serde_json::{Value, json};

use crate::{Home, Outcome, artifact};

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
