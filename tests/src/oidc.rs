//! An authorization server that nobody here wrote: `oidc-provider`, in `tests/node/oidc.mjs`, and a small API behind it.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use serde_json::{Value, json};

use crate::{
    Home,
    http::{Answer, Visitor, http},
    root, skip_for_tool,
};

/// A running authorization server.
pub struct OidcProvider {
    process: Child,
    /// What it calls itself, as `iss` says it.
    pub issuer: String,
    /// The base of its OAuth endpoints: `/authorize`, `/token`, `/revoke`.
    pub oauth: String,
    /// The base of its API: `GET /me`, `POST /notes`.
    pub api: String,
    /// Where users consent.
    pub authorize: String,
    /// Where tokens come from.
    pub token: String,
    /// Where tokens are given up.
    pub revoke: String,
    /// The id of its one client.
    pub client_id: String,
    /// The secret of its one client.
    pub client_secret: String,
    control: String,
}

/// Whether a fault comes before the server does what it was asked for, or after.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// Nothing was done.
    Before,
    /// It was done, and the answer is lost: the refresh token that was sent is used up.
    After,
}

impl OidcProvider {
    /// Starts one, with what `tests/node/oidc.mjs` takes. `None`, and said so, where what it needs is not installed.
    ///
    /// # Panics
    ///
    /// If it does not start, or if tools may not be missing.
    #[must_use]
    pub fn start(test: &str, args: &Value) -> Option<Self> {
        let node = root().join("tests/node");
        if !node.join("node_modules/oidc-provider").exists() {
            skip_for_tool(test, "oidc-provider is not installed: npm ci --prefix tests/node");
            return None;
        }
        let started = Command::new("node")
            .arg(node.join("oidc.mjs"))
            .arg(args.to_string())
            // It ends when this does, also if the test is killed.
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let Ok(mut process) = started else {
            skip_for_tool(test, "there is no node");
            return None;
        };
        let mut line = String::new();
        let stdout = process.stdout.take().expect("it is piped");
        BufReader::new(stdout).read_line(&mut line).expect("it says that it is ready");
        let ready: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let text = |name: &str| ready[name].as_str().expect("it says where everything is").to_owned();
        Some(Self {
            process,
            issuer: text("issuer"),
            oauth: text("oauth"),
            api: text("api"),
            authorize: text("authorize"),
            token: text("token"),
            revoke: text("revoke"),
            client_id: text("client_id"),
            client_secret: text("client_secret"),
            control: text("control"),
        })
    }

    /// A home whose connector `roster` speaks to this server.
    #[must_use]
    pub fn home(&self) -> Home {
        let home = Home::with(&["roster"]);
        home.configure(&format!(
            "[integrations.roster.endpoints]\napi = \"{}\"\noauth = \"{}\"\n",
            self.api, self.oauth
        ));
        home
    }

    /// What a user's browser does with the address of an authorization request: it is sent on and on, and at last back to the
    /// client. Gives the address at which the client is called, with `code` or `error`, which nobody has called yet.
    ///
    /// # Errors
    ///
    /// What the server answered, if it sends nobody back.
    pub fn consent(&self, authorize: &str) -> Result<String, Answer> {
        Visitor::default().follow(authorize, &self.issuer)
    }

    /// Holds the next answers of the token endpoint back. What was asked for is done before.
    pub fn delay_tokens(&self, times: u32, milliseconds: u64) {
        self.fault(&json!({"times": times, "delay_ms": milliseconds}));
    }

    /// Has the next token requests fail with this answer.
    pub fn fail_tokens(&self, times: u32, when: When, status: u16, content_type: &str, body: &str) {
        let fault = json!({"times": times, "when": name(when), "status": status, "content_type": content_type, "body": body});
        self.fault(&fault);
    }

    /// Cuts the connection of the next token requests instead of an answer.
    pub fn cut_tokens(&self, times: u32, when: When) {
        self.fault(&json!({"times": times, "when": name(when), "cut": true}));
    }

    /// Queues a fault of the token endpoint, as `tests/node/oidc.mjs` knows them.
    pub fn fault(&self, fault: &Value) {
        self.post("faults", fault);
    }

    /// Has the next user say no, with this error.
    pub fn deny(&self, error: &str, description: &str) {
        self.post("deny", &json!({"error": error, "description": description}));
    }

    /// Lets every access token expire at once. Refresh tokens go on.
    pub fn expire(&self) {
        self.post("expire", &json!({}));
    }

    /// Takes every grant back, as a user does in the provider's settings.
    pub fn revoke_grants(&self) {
        self.post("revoke", &json!({}));
    }

    /// Forgets what was seen, and what was to go wrong.
    pub fn forget(&self) {
        self.post("forget", &json!({}));
    }

    /// What was seen: `tokens`, `authorizations`, `api`, each in order, and `revocations`, a number.
    ///
    /// # Panics
    ///
    /// If it does not answer.
    #[must_use]
    pub fn seen(&self) -> Value {
        let answer = http("GET", &format!("{}/seen", self.control), &[], "");
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()
    }

    /// How often the token endpoint was asked for this grant, and got as far as reading it.
    #[must_use]
    pub fn token_requests(&self, grant_type: &str) -> usize {
        self.tokens(|token| token["grant_type"] == grant_type)
    }

    /// How often it gave tokens for this grant, whether the answer arrived or not.
    #[must_use]
    pub fn granted(&self, grant_type: &str) -> usize {
        self.tokens(|token| token["grant_type"] == grant_type && token["status"] == 200)
    }

    fn tokens(&self, which: impl Fn(&Value) -> bool) -> usize {
        let seen = self.seen();
        seen["tokens"].as_array().into_iter().flatten().filter(|token| which(token)).count()
    }

    fn post(&self, what: &str, body: &Value) {
        let url = format!("{}/{what}", self.control);
        let answer = http("POST", &url, &[("content-type", "application/json")], &body.to_string());
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
}

fn name(when: When) -> &'static str {
    match when {
        When::Before => "before",
        When::After => "after",
    }
}

impl Drop for OidcProvider {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
