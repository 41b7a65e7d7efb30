//! A home that takes Zoom's webhooks: set up at the simulator, with accounts that are connected and an app that is told.

use std::sync::{Arc, Mutex};

use aws_lc_rs::hmac;
use serde_json::{Value, json};

use crate::{Accounts, Act, Answer, At, Provider, Request, Simulator, eventually, http::ask, reply};

/// What the simulator signs with.
pub const SECRET: &str = "a-secret-token-of-zoom";

/// An app that is sent events, and answers as it is told to.
pub struct App {
    /// What it was sent.
    pub provider: Provider,
    answers: Arc<Mutex<Vec<Vec<Act>>>>,
}

impl App {
    /// One that is content with whatever it gets.
    #[must_use]
    pub fn start() -> Self {
        let answers: Arc<Mutex<Vec<Vec<Act>>>> = Arc::default();
        let next = answers.clone();
        let provider = Provider::start(move |_, _| {
            let mut answers = next.lock().expect("no test panics in it");
            if answers.is_empty() { reply(204, &[], "") } else { answers.remove(0) }
        });
        Self { provider, answers }
    }

    /// One that answers as this says; it is given how many requests came before.
    #[must_use]
    pub fn with(answer: impl Fn(usize) -> Vec<Act> + Send + Sync + 'static) -> Self {
        Self { provider: Provider::start(move |_, before| answer(before)), answers: Arc::default() }
    }

    /// Answers the next request like this, in turn.
    ///
    /// # Panics
    ///
    /// Never, unless a test has panicked in its answer.
    pub fn answers(&self, acts: Vec<Act>) {
        self.answers.lock().expect("no test panics in it").push(acts);
    }

    /// The events that it was sent, in the order in which they came.
    #[must_use]
    pub fn events(&self) -> Vec<Value> {
        self.provider.requests().iter().map(Request::json).collect()
    }

    /// The types of those.
    #[must_use]
    pub fn types(&self) -> Vec<String> {
        self.events().iter().map(|event| event["type"].as_str().unwrap_or_default().to_owned()).collect()
    }
}

/// A home that takes Zoom's webhooks.
pub struct Hooks {
    /// The accounts, the home and its server.
    pub accounts: Accounts,
    /// The integration's id.
    pub integration: String,
}

impl Hooks {
    /// Sets it up, with the secret that the simulator signs with. Nothing is subscribed to at the simulator.
    ///
    /// # Panics
    ///
    /// If it cannot be set up.
    #[must_use]
    pub fn zoom() -> Self {
        let accounts = Accounts::zoom(&[]);
        let set = json!({"webhook_secret": SECRET});
        let (status, shown) = accounts.ask("PATCH", "/v1/integrations/zoom", &set);
        assert_eq!(status, 200, "{shown}");
        let integration = shown["id"].as_str().expect("an id").to_owned();
        Self { accounts, integration }
    }

    /// The simulator.
    ///
    /// # Panics
    ///
    /// Never: the accounts are at one.
    #[must_use]
    pub fn simulator(&self) -> &Simulator {
        match &self.accounts.at {
            At::Zoom(simulator) => simulator,
            At::Roster(_) => panic!("it is Zoom's"),
        }
    }

    /// The address that webhooks go to.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}/webhooks/zoom/{}", self.accounts.url(), self.integration)
    }

    /// Subscribes that address at the simulator, which validates it.
    pub fn subscribe_at_zoom(&self) -> u64 {
        self.simulator().subscribe(&self.url(), SECRET)
    }

    /// Subscribes an app to a trigger. Gives the subscription as it was made.
    ///
    /// # Panics
    ///
    /// If it cannot be subscribed.
    #[track_caller]
    pub fn subscribe(&self, app: &App, trigger: &str, more: &Value) -> Value {
        let url = app.provider.url();
        let path = self.accounts.home.path().join("jackfield.toml");
        let toml = std::fs::read_to_string(&path).expect("the home has a configuration");
        if !toml.contains("private_urls") {
            // Whichever port apps of this test listen at.
            std::fs::write(&path, format!("{toml}\n[events]\nprivate_urls = [\"{url}\"]\n"))
                .expect("it can be written");
        } else if !toml.contains(&url) {
            let more = toml.replace("private_urls = [", &format!("private_urls = [\"{url}\", "));
            std::fs::write(&path, more).expect("it can be written");
        }
        let mut wish = more.clone();
        (wish["trigger"], wish["url"]) = (json!(trigger), json!(format!("{url}/hook")));
        let (status, made) = self.accounts.ask("POST", "/v1/subscriptions", &wish);
        assert_eq!(status, 200, "{made}");
        made
    }

    /// Sends something signed as Zoom signs it, now.
    pub fn send(&self, body: &[u8]) -> Answer {
        self.send_signed(body, SECRET, &now().to_string(), &[])
    }

    /// Sends something signed with this secret at this time.
    pub fn send_signed(&self, body: &[u8], secret: &str, timestamp: &str, more: &[(&str, &str)]) -> Answer {
        deliver(&self.url(), body, secret, timestamp, more).expect("there is an answer")
    }

    /// An event as Zoom sends one when a meeting of somebody's was made.
    #[must_use]
    pub fn created(&self, id: u64, host: &str, more: &Value) -> Value {
        created(id, host, more)
    }

    /// The events of the home, the oldest first.
    #[must_use]
    #[track_caller]
    pub fn events(&self, query: &str) -> Vec<Value> {
        let (status, list) = self.accounts.ask("GET", &format!("/v1/events?limit=200{query}"), &Value::Null);
        assert_eq!(status, 200, "{list}");
        list["items"].as_array().cloned().unwrap_or_default()
    }

    /// The deliveries of the home, the newest first.
    #[must_use]
    #[track_caller]
    pub fn deliveries(&self, query: &str) -> Vec<Value> {
        let (status, list) =
            self.accounts.ask("GET", &format!("/v1/deliveries?limit=200{query}"), &Value::Null);
        assert_eq!(status, 200, "{list}");
        list["items"].as_array().cloned().unwrap_or_default()
    }

    /// Waits until no delivery waits any more.
    #[track_caller]
    pub fn settle(&self) {
        eventually("every delivery is looked into", || self.deliveries("&state=waiting").is_empty());
    }

    /// The provider's id of the user behind a connection.
    #[must_use]
    #[track_caller]
    pub fn person(&self, connection: &str) -> String {
        self.accounts.connection(connection)["account_user"].as_str().expect("it has one").to_owned()
    }
}

/// An event as Zoom sends one when a meeting of somebody's was made.
#[must_use]
pub fn created(id: u64, host: &str, more: &Value) -> Value {
    let mut object = json!({
        "id": id, "uuid": format!("uuid{id}=="), "host_id": host, "topic": "Demo", "type": 2,
        "start_time": "2030-01-31T09:00:00Z", "duration": 45, "timezone": "Europe/Berlin",
    });
    if let (Some(object), Some(more)) = (object.as_object_mut(), more.as_object()) {
        for (name, value) in more {
            object.insert(name.clone(), value.clone());
        }
        object.retain(|_, value| !value.is_null());
    }
    json!({
        "event": "meeting.created", "event_ts": 1_900_000_000_000_u64 + id,
        "payload": {"account_id": "account", "operator": "somebody@example.com", "operator_id": "somebody", "object": object},
    })
}

/// Sends something to a webhook's address, signed with this secret at this time.
///
/// # Errors
///
/// If there is no answer.
pub fn deliver(
    url: &str,
    body: &[u8],
    secret: &str,
    timestamp: &str,
    more: &[(&str, &str)],
) -> Result<Answer, String> {
    let signature = sign(secret, timestamp, body);
    let mut headers = vec![
        ("content-type", "application/json; charset=utf-8"),
        ("x-zm-request-timestamp", timestamp),
        ("x-zm-signature", &signature),
    ];
    headers.retain(|(name, _)| !more.iter().any(|(other, _)| other == name));
    headers.extend(more.iter().filter(|(_, value)| !value.is_empty()));
    ask("POST", url, &headers, body)
}

/// Zoom's signature.
#[must_use]
pub fn sign(secret: &str, timestamp: &str, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let message = [b"v0:", timestamp.as_bytes(), b":", body].concat();
    let tag = hmac::sign(&key, &message);
    format!("v0={}", tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

/// The time in so many seconds, as it stands in JSON.
///
/// # Panics
///
/// Never: there is always memory for a database without tables.
#[must_use]
pub fn timestamp(seconds: i64) -> String {
    let database = rusqlite::Connection::open_in_memory().expect("it needs no file");
    let sql = "SELECT strftime('%Y-%m-%dT%H:%M:%SZ', ?1, 'unixepoch')";
    database.query_row(sql, [now() + seconds], |row| row.get(0)).expect("it is a time")
}

/// The seconds since 1970.
#[must_use]
pub fn now() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    i64::try_from(now.map_or(0, |now| now.as_secs())).unwrap_or(i64::MAX)
}
