//! Somebody who receives webhooks: keeps what comes, answers as it is told to, and checks signatures by itself.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

pub(crate) const SECRET: &str = "a secret that only this test knows";

/// How long a test waits for what has to come. No test is faster or slower for it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A request, as it came.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Received {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }

    pub(crate) fn event(&self) -> String {
        self.json()["event"].as_str().unwrap_or_default().to_owned()
    }

    /// Whether it is signed with this secret, as Zoom's documentation says.
    pub(crate) fn is_signed_with(&self, secret: &str) -> bool {
        let timestamp = self.header("x-zm-request-timestamp");
        let mut message = format!("v0:{timestamp}:").into_bytes();
        message.extend_from_slice(&self.body);
        !timestamp.is_empty() && self.header("x-zm-signature") == format!("v0={}", mac(secret, &message))
    }
}

fn mac(secret: &str, message: &[u8]) -> String {
    let tag = sign(&Key::new(HMAC_SHA256, secret.as_bytes()), message);
    tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What is answered to events, one after another; afterwards 204.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Behaviour {
    Status(u16),
    /// Nothing, for longer than anybody waits.
    Silence,
}

/// What is answered to validations.
#[derive(Debug, Clone)]
pub(crate) enum Validation {
    /// What is right for this secret.
    Knows(&'static str),
    Says(u16, String),
    Silence,
}

#[derive(Debug)]
struct Shared {
    validation: Mutex<Validation>,
    behaviours: Mutex<VecDeque<Behaviour>>,
    events: Mutex<Vec<Received>>,
    validations: Mutex<Vec<Received>>,
    count: watch::Sender<usize>,
}

/// A receiver on a port of its own.
#[derive(Debug, Clone)]
pub(crate) struct Receiver {
    pub(crate) url: String,
    shared: Arc<Shared>,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/hook?app=1", listener.local_addr().expect("an address"));
        let shared = Arc::new(Shared {
            validation: Mutex::new(Validation::Knows(SECRET)),
            behaviours: Mutex::default(),
            events: Mutex::default(),
            validations: Mutex::default(),
            count: watch::Sender::new(0),
        });
        let router = Router::new().fallback(receive).with_state(shared.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, shared }
    }

    /// What it answers to the next events.
    pub(crate) fn answer(&self, behaviours: &[Behaviour]) {
        self.shared.behaviours.lock().expect("a lock").extend(behaviours);
    }

    pub(crate) fn validate(&self, validation: Validation) {
        *self.shared.validation.lock().expect("a lock") = validation;
    }

    pub(crate) fn validations(&self) -> Vec<Received> {
        self.shared.validations.lock().expect("a lock").clone()
    }

    /// The events so far, in the order in which they came.
    pub(crate) fn events(&self) -> Vec<Received> {
        self.shared.events.lock().expect("a lock").clone()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.events().iter().map(Received::event).collect()
    }

    /// Waits until so many events have come, and answers them.
    pub(crate) async fn wait_for(&self, count: usize) -> Vec<Received> {
        let mut counts = self.shared.count.subscribe();
        let enough = counts.wait_for(|so_far| *so_far >= count);
        if timeout(PATIENCE, enough).await.is_err() {
            panic!("of {count} events only these have come: {:?}", self.names());
        }
        self.events()
    }
}

async fn receive(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Response {
    let received = Received { headers, body };
    let parsed = serde_json::from_slice(&received.body).unwrap_or(Value::Null);
    if parsed["event"] == "endpoint.url_validation" {
        shared.validations.lock().expect("a lock").push(received);
        let validation = shared.validation.lock().expect("a lock").clone();
        let token = parsed["payload"]["plainToken"].as_str().unwrap_or_default();
        return match validation {
            Validation::Knows(secret) => {
                let answer = json!({"plainToken": token, "encryptedToken": mac(secret, token.as_bytes())});
                Body::from(answer.to_string()).into_response()
            }
            Validation::Says(status, text) => {
                let text = text.replace("{token}", token);
                (StatusCode::from_u16(status).expect("a status"), text).into_response()
            }
            Validation::Silence => silence().await,
        };
    }
    shared.events.lock().expect("a lock").push(received);
    shared.count.send_modify(|count| *count += 1);
    let behaviour = shared.behaviours.lock().expect("a lock").pop_front();
    match behaviour.unwrap_or(Behaviour::Status(204)) {
        Behaviour::Status(status) => {
            (StatusCode::from_u16(status).expect("a status"), [("location", "/elsewhere")]).into_response()
        }
        Behaviour::Silence => silence().await,
    }
}

async fn silence() -> Response {
    sleep(PATIENCE * 10).await;
    StatusCode::OK.into_response()
}
