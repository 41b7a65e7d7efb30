//! A simulator in this process, and a client that says no more than a test tells it to.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::OnceLock;
use std::time::Duration;

use jiff::{Timestamp, ToSpan, tz::TimeZone};
use reqwest::header::HeaderMap;
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use zoom_simulator::{Config, Simulator};

pub(crate) const HOST: &str = "SampleHost000000000001";
pub(crate) const COLLEAGUE: &str = "SampleColleague0000002";
pub(crate) const BASIC: &str = "SampleBasic00000000003";
pub(crate) const UNLICENSED: &str = "SampleUnlicensed000004";
pub(crate) const ACCOUNT: &str = "SampleAccount000000001";
pub(crate) const REDIRECT: &str = zoom_simulator::DEFAULT_REDIRECT_URI;

/// A simulator that lives as long as this.
pub(crate) struct Sim {
    pub(crate) origin: String,
    /// The ready-made token of the sample host.
    pub(crate) token: String,
    _stop: oneshot::Sender<()>,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Reply {
    /// The body, which has to be JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Zoom's error code.
    pub(crate) fn code(&self) -> i64 {
        self.json()["code"].as_i64().unwrap_or_else(|| panic!("no code: {self:?}"))
    }

    pub(crate) fn message(&self) -> String {
        self.json()["message"].as_str().unwrap_or_else(|| panic!("no message: {self:?}")).to_owned()
    }

    /// The fields that a validation failure names.
    pub(crate) fn fields(&self) -> Vec<String> {
        let body = self.json();
        let errors = body["errors"].as_array().cloned().unwrap_or_default();
        errors.iter().filter_map(|error| Some(error["field"].as_str()?.to_owned())).collect()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    #[track_caller]
    pub(crate) fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        self
    }

    /// An error with this status and code.
    #[track_caller]
    pub(crate) fn expect_error(self, status: u16, code: i64) -> Self {
        let reply = self.expect(status);
        assert_eq!(reply.code(), code, "{reply:?}");
        reply
    }

    /// 204: nothing at all.
    #[track_caller]
    pub(crate) fn expect_done(self) -> Self {
        let reply = self.expect(204);
        assert_eq!(reply.text, "");
        assert_eq!(reply.header("content-type"), None, "{reply:?}");
        assert_eq!(reply.header("content-length"), None, "{reply:?}");
        reply
    }
}

fn client() -> &'static Client {
    static CLIENT: OnceLock<Client> = OnceLock::new();
    CLIENT.get_or_init(|| {
        Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            // Each test has a runtime of its own, and a connection cannot outlive it.
            .pool_max_idle_per_host(0)
            .timeout(Duration::from_secs(10))
            .build()
            .expect("a client can be built")
    })
}

impl Sim {
    /// A simulator with the usual configuration.
    pub(crate) async fn start() -> Self {
        Self::with(Config::default()).await
    }

    /// A simulator with this configuration, on a port of its own.
    pub(crate) async fn with(config: Config) -> Self {
        let listen = "127.0.0.1:0".parse().expect("an address");
        let simulator = Simulator::bind(Config { listen, ..config }).await.expect("a free port");
        let origin = simulator.ready().origin().to_owned();
        let token = simulator.ready().access_token().expect("a token").to_owned();
        let (stop, stopped) = oneshot::channel();
        tokio::spawn(simulator.serve(async {
            let _ = stopped.await;
        }));
        Self { origin, token, _stop: stop }
    }

    fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        client().request(method, format!("{}{path}", self.origin))
    }

    /// Sends a request. The result is that of reading the whole answer.
    pub(crate) async fn send(request: reqwest::RequestBuilder) -> reqwest::Result<Reply> {
        let response = request.send().await?;
        let (status, headers) = (response.status(), response.headers().clone());
        Ok(Reply { status, headers, text: response.text().await? })
    }

    /// Calls the API with a token of one's own.
    pub(crate) async fn call_as(&self, token: &str, method: &str, path: &str, body: Option<Value>) -> Reply {
        let mut request = self.request(method, path).bearer_auth(token);
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        Self::send(request).await.expect("an answer")
    }

    /// Calls the API as the sample host and says how it went, whatever that is.
    pub(crate) async fn try_call(
        &self,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> reqwest::Result<Reply> {
        let mut request = self.request(method, path).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        Self::send(request).await
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.call_as(&self.token, "GET", path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Reply {
        self.call_as(&self.token, "POST", path, Some(body)).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Reply {
        self.call_as(&self.token, "PATCH", path, Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Reply {
        self.call_as(&self.token, "DELETE", path, None).await
    }

    /// Calls without any credentials.
    pub(crate) async fn bare(&self, method: &str, path: &str) -> Reply {
        Self::send(self.request(method, path)).await.expect("an answer")
    }

    /// Creates a meeting of the sample host.
    #[track_caller]
    pub(crate) fn create(&self, body: Value) -> impl Future<Output = Value> {
        let caller = std::panic::Location::caller();
        async move {
            let reply = self.post("/v2/users/me/meetings", body).await;
            assert_eq!(reply.status, StatusCode::CREATED, "{caller}: {reply:?}");
            reply.json()
        }
    }

    /// Uses the control API. `Null` is no body.
    #[track_caller]
    pub(crate) fn control(&self, method: &str, path: &str, body: Value) -> impl Future<Output = Value> {
        let caller = std::panic::Location::caller();
        let mut request = self.request(method, &format!("/_simulator{path}"));
        if !body.is_null() {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        async move {
            let reply = Self::send(request).await.expect("an answer");
            assert!(reply.status.is_success(), "{caller}: {reply:?}");
            if reply.text.is_empty() { Value::Null } else { reply.json() }
        }
    }

    pub(crate) async fn advance(&self, seconds: u32) {
        self.control("POST", "/clock", json!({"advance_seconds": seconds})).await;
    }

    /// Queues a fault.
    pub(crate) async fn fault(&self, fault: Value) -> u64 {
        self.control("POST", "/faults", fault).await["id"].as_u64().expect("an id")
    }

    /// A token for a user, with the app's scopes unless others are given.
    pub(crate) async fn token_for(&self, user: &str, scopes: Option<&[&str]>) -> String {
        let mut wanted = json!({"user": user});
        if let Some(scopes) = scopes {
            wanted["scopes"] = json!(scopes);
        }
        let issued = self.control("POST", "/tokens", wanted).await;
        issued["access_token"].as_str().expect("a token").to_owned()
    }

    /// The last request in the journal.
    pub(crate) async fn last_request(&self) -> Value {
        let journal = self.control("GET", "/journal", Value::Null).await;
        journal["requests"].as_array().and_then(|all| all.last()).expect("a request").clone()
    }

    /// What the simulator explained about the last answer.
    pub(crate) async fn explanation(&self) -> String {
        self.last_request().await["explanation"].as_str().unwrap_or_default().to_owned()
    }

    /// Posts a form with the app's client id and secret.
    pub(crate) async fn form(&self, path: &str, fields: &[(&str, &str)]) -> Reply {
        let secret = zoom_simulator::DEFAULT_CLIENT_SECRET;
        let request = self.request("POST", path).basic_auth(zoom_simulator::DEFAULT_CLIENT_ID, Some(secret));
        Self::send(encode(request, fields)).await.expect("an answer")
    }

    /// Posts a form without credentials.
    pub(crate) async fn bare_form(&self, path: &str, fields: &[(&str, &str)]) -> Reply {
        Self::send(encode(self.request("POST", path), fields)).await.expect("an answer")
    }

    /// Writes bytes to the simulator and reads to the end of the connection.
    pub(crate) async fn raw(&self, bytes: impl Into<Vec<u8>>) -> (Vec<u8>, std::io::Result<()>) {
        let (address, bytes) = (self.origin.replace("http://", ""), bytes.into());
        let exchange = move || {
            let mut stream = TcpStream::connect(address).expect("a connection");
            stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
            stream.write_all(&bytes).expect("the request is written");
            let mut answer = Vec::new();
            let mut buffer = [0; 4096];
            loop {
                match stream.read(&mut buffer) {
                    Ok(0) => return (answer, Ok(())),
                    Ok(count) => answer.extend_from_slice(&buffer[..count]),
                    Err(error) => return (answer, Err(error)),
                }
            }
        };
        tokio::task::spawn_blocking(exchange).await.expect("the exchange ends")
    }

    /// A raw `GET` with the host's token.
    pub(crate) async fn raw_get(&self, path: &str) -> (String, std::io::Result<()>) {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\r\n",
            self.token
        );
        let (answer, end) = self.raw(request).await;
        (String::from_utf8_lossy(&answer).into_owned(), end)
    }
}

fn encode(request: reqwest::RequestBuilder, fields: &[(&str, &str)]) -> reqwest::RequestBuilder {
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    request.header("content-type", "application/x-www-form-urlencoded").body(body)
}

/// The path of a meeting.
pub(crate) fn path_of(meeting: &Value) -> String {
    format!("/v2/meetings/{}", meeting["id"])
}

/// A time so many minutes from now, in the form Zoom takes.
pub(crate) fn minutes_from_now(minutes: i64) -> String {
    let time = Timestamp::now() + minutes.minutes();
    time.to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

pub(crate) const MINUTES_PER_DAY: i64 = 24 * 60;
