//! A served home with one connector whose triggers have feeds of their own, an account that is connected by what was typed, a
//! provider that answers what a test says, and an app that is told.

use serde_json::{Value, json};

use crate::{Home, Provider, Running, eventually, hooks::App};

/// The home, and everything around it.
pub struct Fed {
    /// The home.
    pub home: Home,
    /// The provider.
    pub provider: Provider,
    /// The app that events are sent to.
    pub app: App,
    /// The connection.
    pub connection: String,
    /// The integration that it was made with.
    pub integration: String,
    port: u16,
    server: Option<Running>,
}

impl Fed {
    /// Sets it up: a request to the provider fails the first time that it fails, and nobody waits for it.
    ///
    /// # Panics
    ///
    /// If it cannot be set up.
    #[must_use]
    pub fn start(connector: &str, auth: &str, typed: &Value, provider: Provider) -> Self {
        let home = Home::with(&[connector]);
        let port = home.listens_somewhere();
        let app = App::start();
        home.endpoint(connector, "api", &provider.url());
        home.configure("[limits]\nretries = 0\nwait_seconds = 0\n");
        home.configure(&format!("[events]\nprivate_urls = [\"{}\"]\n", app.provider.url()));
        let server = Some(home.serve());
        let mut fed =
            Self { home, provider, app, connection: String::new(), integration: String::new(), port, server };
        let set_up = fed.asked("POST", "/v1/integrations", &json!({"connector": connector, "auth": auth}));
        text(&set_up["id"]).clone_into(&mut fed.integration);
        let typed = json!({"connector": connector, "auth": auth, "user": "u_1", "parameters": typed});
        let connected = fed.asked("POST", "/v1/connections", &typed);
        text(&connected["connection"]["id"]).clone_into(&mut fed.connection);
        fed
    }

    /// Where its pages lie.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://localhost:{}", self.port)
    }

    /// Asks the server as the operator, and is given what was asked for.
    ///
    /// # Panics
    ///
    /// If it is not.
    #[track_caller]
    pub fn asked(&self, method: &str, path: &str, body: &Value) -> Value {
        let (status, answer) = self.home.ask(method, path, body);
        assert_eq!(status, 200, "{method} {path}: {answer}");
        answer
    }

    /// Subscribes the app to a trigger, as the connection: the subscription's id.
    ///
    /// # Panics
    ///
    /// If it cannot be subscribed.
    #[track_caller]
    pub fn subscribe(&self, trigger: &str, parameters: &Value) -> String {
        let wish = json!({
            "trigger": trigger, "connection": self.connection, "parameters": parameters,
            "url": format!("{}/hook", self.app.provider.url()),
        });
        text(&self.asked("POST", "/v1/subscriptions", &wish)["id"]).to_owned()
    }

    /// How the feed of a subscription is.
    #[must_use]
    #[track_caller]
    pub fn feed(&self, subscription: &str) -> Value {
        self.asked("GET", &format!("/v1/subscriptions/{subscription}"), &Value::Null)["feed"].clone()
    }

    /// Waits until the feed of a subscription is so.
    #[track_caller]
    pub fn is(&self, subscription: &str, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        eventually(what, || is_so(&self.feed(subscription)));
        self.feed(subscription)
    }

    /// In how many seconds a feed is seen to next; less than nothing if it is overdue.
    ///
    /// # Panics
    ///
    /// If there is no such feed.
    #[must_use]
    #[track_caller]
    pub fn waits(&self, subscription: &str) -> i64 {
        let sql = "SELECT due / 1000 - unixepoch() FROM feeds WHERE subscription = ?1";
        self.database().query_row(sql, [subscription], |row| row.get(0)).expect("it has a feed that is due")
    }

    /// Lets a feed be seen to at once that would have to wait.
    ///
    /// # Panics
    ///
    /// If there is no such feed.
    #[track_caller]
    pub fn hurry(&self, subscription: &str) {
        let sql = "UPDATE feeds SET due = 0, wait = 0 WHERE subscription = ?1";
        assert_eq!(self.database().execute(sql, [subscription]), Ok(1), "{subscription}");
        // Whoever changes anything has it looked at.
        self.asked("PATCH", &format!("/v1/subscriptions/{subscription}"), &json!({"paused": false}));
    }

    /// The store, beside whoever serves it.
    ///
    /// # Panics
    ///
    /// If it cannot be opened.
    #[must_use]
    pub fn database(&self) -> rusqlite::Connection {
        let file = self.home.path().join("data/jackfield.db");
        let database = rusqlite::Connection::open(file).expect("there is a store");
        database.busy_timeout(std::time::Duration::from_secs(20)).expect("it can wait");
        database
    }

    /// The data of the events that the app was sent, in the order in which they came.
    #[must_use]
    pub fn sent(&self) -> Vec<Value> {
        self.app.events().iter().map(|event| event["data"].clone()).collect()
    }

    /// The events that are kept of this type, the oldest first.
    #[must_use]
    #[track_caller]
    pub fn kept(&self, kind: &str) -> Vec<Value> {
        let list = self.asked("GET", &format!("/v1/events?limit=200&type={kind}"), &Value::Null);
        list["items"].as_array().cloned().unwrap_or_default()
    }

    /// Kills the server.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub fn kill(&mut self) {
        let server = self.server.take().expect("it is served");
        server.signal(rustix::process::Signal::KILL);
        assert_eq!(server.ends().code, -1, "it was killed");
    }

    /// Ends the server as an operator does.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub fn end(&mut self) {
        let server = self.server.take().expect("it is served");
        server.signal(rustix::process::Signal::TERM);
        assert_eq!(server.ends().code, 0);
    }

    /// Serves the home again.
    pub fn serve(&mut self) {
        self.server = Some(self.home.serve());
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
