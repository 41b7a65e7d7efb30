//! Accounts that are connected at a provider, by the pages that users see: at the Zoom simulator, or at the authorization
//! server that nobody here wrote. What a test says of one it says of the other, unless it is about what tells them apart.

use std::{
    net::TcpListener,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use rusqlite::Connection as Database;
use serde_json::{Value, json};

use crate::{Answer, Home, OidcProvider, Outcome, Running, Simulator, Visitor, When, http};

/// Who is asked to let the app in.
pub enum At {
    /// Zoom, simulated.
    Zoom(Simulator),
    /// A club, whose authorization server is `oidc-provider`.
    Roster(OidcProvider),
}

/// What goes wrong at a token endpoint, once.
#[derive(Debug, Clone)]
pub enum Fault {
    /// It answers this, and does nothing.
    Answers(u16, &'static str, String),
    /// The same, later.
    AnswersAfter(Duration, u16, &'static str, String),
    /// It does what it was asked for, and the connection breaks off before the answer.
    Loses,
    /// The connection breaks off before anything is done.
    Cuts,
    /// It does what it was asked for, and answers later.
    After(Duration),
}

/// A home with a connector that is set up, a server of it, and the provider.
pub struct Accounts {
    /// The home.
    pub home: Home,
    /// The provider.
    pub at: At,
    server: Option<Running>,
    port: u16,
    /// Faults of the simulator by which nothing was given, whatever was answered.
    made_up: Mutex<Vec<Value>>,
}

/// A port that nobody listens at. It is none of those that the system gives away by itself, so it stays free for whoever asked.
///
/// # Panics
///
/// If there is none.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Tests of other processes begin elsewhere.
    let begin = u16::try_from(std::process::id() % 500).unwrap_or_default() * 40;
    for _ in 0..1000 {
        let port = 10_000 + (begin + NEXT.fetch_add(1, Ordering::Relaxed)) % 20_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("there is no free port");
}

/// A text as it stands in a form.
fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

fn base64(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = text.as_bytes().chunks(3).flat_map(|bytes| {
        let at = |place: usize| u32::from(bytes.get(place).copied().unwrap_or_default());
        let all = at(0) << 16 | at(1) << 8 | at(2);
        (0..4).map(move |digit| match digit <= bytes.len() {
            true => char::from(DIGITS[(all >> (18 - 6 * digit) & 63) as usize]),
            false => '=',
        })
    });
    digits.collect()
}

impl Accounts {
    /// The connector of each provider there is, set up and served.
    #[must_use]
    pub fn everywhere(test: &str) -> Vec<Self> {
        let roster = Self::roster(test, json!({}), &["profile:read", "notes:write"]);
        [Some(Self::zoom(&[])), roster].into_iter().flatten().collect()
    }

    /// Zoom, set up and served; `args` are the simulator's.
    ///
    /// # Panics
    ///
    /// If it cannot be set up.
    #[must_use]
    pub fn zoom(args: &[&str]) -> Self {
        let port = free_port();
        let redirect = format!("http://localhost:{port}/oauth/callback");
        let simulator = Simulator::start(&[&["--redirect-uri", &redirect], args].concat());
        let home = simulator.home();
        Self::begin(home, At::Zoom(simulator), port, json!({}))
    }

    /// The club, set up and served; `args` are those of its authorization server. `None` where that is not installed.
    ///
    /// # Panics
    ///
    /// If it cannot be set up.
    #[must_use]
    pub fn roster(test: &str, mut args: Value, scopes: &[&str]) -> Option<Self> {
        let port = free_port();
        args["redirect_uris"] = json!([format!("http://localhost:{port}/oauth/callback")]);
        let server = OidcProvider::start(test, &args)?;
        let home = server.home();
        Some(Self::begin(home, At::Roster(server), port, json!({"scopes": scopes})))
    }

    fn begin(home: Home, at: At, port: u16, mut set: Value) -> Self {
        home.listens_at(port);
        let server = Some(home.serve());
        let accounts = Self { home, at, server, port, made_up: Mutex::default() };
        set["connector"] = json!(accounts.connector());
        (set["client_id"], set["client_secret"]) = match &accounts.at {
            At::Zoom(simulator) => {
                (simulator.ready["client_id"].clone(), simulator.ready["client_secret"].clone())
            }
            At::Roster(server) => (json!(server.client_id), json!(server.client_secret)),
        };
        let (status, answer) = accounts.ask("POST", "/v1/integrations", &set);
        assert_eq!(status, 200, "{answer}");
        accounts
    }

    /// The connector.
    #[must_use]
    pub fn connector(&self) -> &'static str {
        match self.at {
            At::Zoom(_) => "zoom",
            At::Roster(_) => "roster",
        }
    }

    /// The secret of its client.
    #[must_use]
    pub fn client_secret(&self) -> &str {
        match &self.at {
            At::Zoom(simulator) => simulator.ready["client_secret"].as_str().unwrap_or_default(),
            At::Roster(server) => &server.client_secret,
        }
    }

    /// An action that only reads and takes nothing.
    #[must_use]
    pub fn reads(&self) -> &'static str {
        match self.at {
            At::Zoom(_) => "get_meetings",
            At::Roster(_) => "get_me",
        }
    }

    /// An action that creates something, and what it takes.
    #[must_use]
    pub fn creates(&self) -> (&'static str, Value) {
        match self.at {
            At::Zoom(_) => ("create_meeting", json!({"topic": "Demo"})),
            At::Roster(_) => ("add_note", json!({"text": "cake"})),
        }
    }

    /// A path of the API that whoever is connected may get.
    #[must_use]
    pub fn path(&self) -> &'static str {
        match self.at {
            At::Zoom(_) => "users/me/meetings",
            At::Roster(_) => "me",
        }
    }

    /// Two who have an account there.
    #[must_use]
    pub fn people(&self) -> [&'static str; 2] {
        match self.at {
            At::Zoom(_) => ["host@example.com", "colleague@example.com"],
            At::Roster(_) => ["anna", "bert"],
        }
    }

    /// Where its pages lie.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://localhost:{}", self.port)
    }

    /// Its server.
    ///
    /// # Panics
    ///
    /// If it was ended.
    #[must_use]
    pub fn server(&self) -> &Running {
        self.server.as_ref().expect("it is served")
    }

    /// Ends the server as an operator does, and gives what it said.
    ///
    /// # Panics
    ///
    /// If there is none, or if it does not end.
    pub fn end(&mut self) -> Outcome {
        let server = self.server.take().expect("it is served");
        server.signal(rustix::process::Signal::TERM);
        server.ends()
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

    /// Serves the home again.
    pub fn serve(&mut self) {
        self.server = Some(self.home.serve());
    }

    /// Asks the server as the operator.
    #[must_use]
    #[track_caller]
    pub fn ask(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        self.home.ask(method, path, body)
    }

    /// A link for a user, with more of what a link takes.
    #[must_use]
    #[track_caller]
    pub fn link(&self, user: &str, more: &Value) -> String {
        let mut link = more.clone();
        (link["connector"], link["user"]) = (json!(self.connector()), json!(user));
        let (status, answer) = self.ask("POST", "/v1/connect-links", &link);
        assert_eq!(status, 200, "{answer}");
        let url = answer["url"].as_str().unwrap_or_default().to_owned();
        assert!(url.starts_with(&self.url()), "{answer}");
        url
    }

    /// Looks at a link's page and says yes on it: the provider's address that the user is sent to.
    #[must_use]
    #[track_caller]
    pub fn follow(&self, visitor: &mut Visitor, link: &str) -> String {
        let page = visitor.get(link);
        assert_eq!(page.status, 200, "{}", page.body);
        let sent = visitor.post(link, "");
        assert_eq!(sent.status, 303, "{}", sent.body);
        sent.header("location").unwrap_or_default().to_owned()
    }

    /// Says yes at the provider, as one of its people: the address that the user is sent back to, which nobody has called yet.
    #[must_use]
    #[track_caller]
    pub fn consent(&self, authorize: &str, who: &str) -> String {
        match &self.at {
            At::Zoom(_) => self.decide(authorize, who, "allow"),
            At::Roster(server) => {
                let asked = format!("{authorize}&login_hint={who}");
                server.consent(&asked).unwrap_or_else(|answer| panic!("{}", answer.body))
            }
        }
    }

    /// Has the first of its people let the app in once more, and somebody else exchange the code: at a provider that lets only
    /// the last grant live, whoever had one before has none any more.
    ///
    /// # Panics
    ///
    /// If the provider does not do that.
    #[track_caller]
    pub fn let_in_elsewhere(&self) {
        let At::Zoom(simulator) = &self.at else { panic!("every grant lives there") };
        let text = |name: &str| simulator.ready[name].as_str().unwrap_or_default();
        let redirect = encoded(&format!("{}/oauth/callback", self.url()));
        let (oauth, client) = (text("oauth"), text("client_id"));
        let asked =
            format!("{oauth}/authorize?response_type=code&client_id={client}&redirect_uri={redirect}");
        let back = self.consent(&asked, self.people()[0]);
        let code =
            back.split_once("code=").map_or("", |(_, code)| code.split('&').next().unwrap_or_default());
        let form = format!("grant_type=authorization_code&code={code}&redirect_uri={redirect}");
        let basic = format!("Basic {}", base64(&format!("{client}:{}", text("client_secret"))));
        let headers =
            [("authorization", basic.as_str()), ("content-type", "application/x-www-form-urlencoded")];
        let answer = http("POST", &format!("{oauth}/token"), &headers, &form);
        assert_eq!(answer.status, 200, "{}", answer.body);
    }

    /// Says no at the provider.
    #[must_use]
    #[track_caller]
    pub fn refuse(&self, authorize: &str) -> String {
        match &self.at {
            At::Zoom(_) => self.decide(authorize, self.people()[0], "deny"),
            At::Roster(server) => {
                server.deny("access_denied", "the user said no");
                server.consent(authorize).unwrap_or_else(|answer| panic!("{}", answer.body))
            }
        }
    }

    #[track_caller]
    fn decide(&self, authorize: &str, who: &str, decision: &str) -> String {
        let (place, query) = authorize.split_once('?').unwrap_or((authorize, ""));
        let form = format!("{query}&user={}&decision={decision}", encoded(who));
        let answer = Visitor::default().post(place, &form);
        answer.header("location").unwrap_or_else(|| panic!("{}", answer.body)).to_owned()
    }

    /// Connects an account, and gives the last page that the user sees.
    #[must_use]
    #[track_caller]
    pub fn come_back(&self, link: &str, who: &str) -> Answer {
        let mut visitor = Visitor::default();
        let authorize = self.follow(&mut visitor, link);
        visitor.get(&self.consent(&authorize, who))
    }

    /// Connects an account of a user: the id of the connection.
    #[must_use]
    #[track_caller]
    pub fn connect(&self, user: &str, who: &str) -> String {
        let page = self.come_back(&self.link(user, &json!({})), who);
        assert!(page.status == 200 && page.body.contains("Connected"), "{}", page.body);
        let found = self.connections(user);
        let newest = found.last().unwrap_or_else(|| panic!("{user} has no connection"));
        newest["id"].as_str().unwrap_or_default().to_owned()
    }

    /// The connections of a user, the oldest first.
    #[must_use]
    #[track_caller]
    pub fn connections(&self, user: &str) -> Vec<Value> {
        let (status, answer) = self.ask("GET", &format!("/v1/connections?user={user}"), &Value::Null);
        assert_eq!(status, 200, "{answer}");
        answer["items"].as_array().cloned().unwrap_or_default()
    }

    /// A connection as the operator sees it.
    #[must_use]
    #[track_caller]
    pub fn connection(&self, id: &str) -> Value {
        let (status, answer) = self.ask("GET", &format!("/v1/connections/{id}"), &Value::Null);
        assert_eq!(status, 200, "{answer}");
        answer
    }

    /// How a connection is, and why.
    #[must_use]
    #[track_caller]
    pub fn state(&self, id: &str) -> (String, String) {
        let connection = self.connection(id);
        let text = |name: &str| connection[name].as_str().unwrap_or_default().to_owned();
        (text("state"), text("reason"))
    }

    /// Runs the action that reads, as a connection: status and answer.
    #[must_use]
    #[track_caller]
    pub fn read(&self, id: &str) -> (u16, Value) {
        self.ask("POST", &format!("/v1/connections/{id}/actions/{}", self.reads()), &json!({}))
    }

    /// Sends a request through the proxy, as a connection.
    #[must_use]
    #[track_caller]
    pub fn proxy(&self, id: &str) -> (u16, Value) {
        self.ask("GET", &format!("/v1/connections/{id}/proxy/{}", self.path()), &Value::Null)
    }

    /// How often the token endpoint was asked for this grant.
    #[must_use]
    pub fn asked(&self, grant: &str) -> usize {
        self.tokens(grant, false)
    }

    /// How often the token endpoint gave tokens for this grant, whether the answer arrived or not.
    #[must_use]
    pub fn granted(&self, grant: &str) -> usize {
        self.tokens(grant, true)
    }

    /// How often the token endpoint was asked, for whatever it was.
    #[must_use]
    pub fn token_requests(&self) -> usize {
        match &self.at {
            At::Zoom(simulator) => token_requests(simulator).len(),
            At::Roster(server) => server.seen()["tokens"].as_array().map_or(0, Vec::len),
        }
    }

    fn tokens(&self, grant: &str, only_given: bool) -> usize {
        match &self.at {
            At::Zoom(simulator) => {
                let wanted = format!("grant_type={grant}");
                let made_up = self.made_up.lock().unwrap_or_else(PoisonError::into_inner);
                let is_meant = |request: &&Value| {
                    request["body"].as_str().is_some_and(|body| body.split('&').any(|pair| pair == wanted))
                        && (!only_given || (request["status"] == 200 && !made_up.contains(&request["fault"])))
                };
                token_requests(simulator).iter().filter(is_meant).count()
            }
            At::Roster(server) if only_given => server.granted(grant),
            At::Roster(server) => server.token_requests(grant),
        }
    }

    /// How often a grant was given up.
    #[must_use]
    pub fn revocations(&self) -> usize {
        match &self.at {
            At::Zoom(simulator) => {
                simulator.journal().iter().filter(|request| request["path"] == "/oauth/revoke").count()
            }
            At::Roster(server) => usize::try_from(server.seen()["revocations"].as_u64().unwrap_or_default())
                .unwrap_or(usize::MAX),
        }
    }

    /// Lets every access token end at the provider. Refresh tokens go on.
    pub fn end_tokens(&self) {
        match &self.at {
            At::Zoom(simulator) => {
                simulator.control("POST", "clock", Some(&json!({"advance_seconds": 3700})));
            }
            At::Roster(server) => server.expire(),
        }
    }

    /// Has the next token request go wrong.
    pub fn fault(&self, fault: &Fault) {
        let ms = |time: &Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let path = "/oauth/token";
        match (&self.at, fault) {
            (At::Zoom(simulator), Fault::Answers(..) | Fault::AnswersAfter(..)) => {
                let (wait, status, kind, body) = answer(fault);
                let queued = json!({"path": path, "perform": false, "delay_ms": ms(&wait), "answer": {
                    "kind": "fixed", "status": status, "headers": [["content-type", kind]], "body": body,
                }});
                let id = simulator.control("POST", "faults", Some(&queued))["id"].clone();
                self.made_up.lock().unwrap_or_else(PoisonError::into_inner).push(id);
            }
            (At::Zoom(simulator), Fault::Loses) => {
                simulator.fault(&json!({"path": path, "delivery": {"kind": "reset"}}));
            }
            (At::Zoom(simulator), Fault::Cuts) => {
                simulator.fault(&json!({"path": path, "perform": false, "delivery": {"kind": "reset"}}));
            }
            (At::Zoom(simulator), Fault::After(time)) => {
                simulator.fault(&json!({"path": path, "delay_ms": ms(time)}));
            }
            (At::Roster(server), Fault::Answers(..) | Fault::AnswersAfter(..)) => {
                let (wait, status, kind, body) = answer(fault);
                server.fault(&json!({
                    "when": "before", "delay_ms": ms(&wait), "status": status, "content_type": kind, "body": body,
                }));
            }
            (At::Roster(server), Fault::Loses) => server.cut_tokens(1, When::After),
            (At::Roster(server), Fault::Cuts) => server.cut_tokens(1, When::Before),
            (At::Roster(server), Fault::After(time)) => server.delay_tokens(1, ms(time)),
        }
    }

    /// The store, beside whoever serves it: to look into, and to put into it what a fault would.
    ///
    /// # Panics
    ///
    /// If it cannot be opened.
    #[must_use]
    pub fn database(&self) -> Database {
        let database = Database::open(self.home.path().join("data/jackfield.db")).expect("there is a store");
        database.busy_timeout(Duration::from_secs(20)).expect("it can wait");
        database
    }

    /// Moves the end of a connection's access token, as the host knows it, to so many seconds from now.
    ///
    /// # Panics
    ///
    /// If there is no such connection.
    #[track_caller]
    pub fn ends_in(&self, id: &str, seconds: i64) {
        let sql = "UPDATE connections SET expires = (unixepoch() + ?2) * 1000, refreshed = (unixepoch() - 3600) * 1000
                   WHERE id = ?1";
        assert_eq!(self.database().execute(sql, (id, seconds)), Ok(1), "{id}");
    }

    /// Lets a refresh that has failed be tried again at once.
    ///
    /// # Panics
    ///
    /// If there is no such connection.
    #[track_caller]
    pub fn hurry(&self, id: &str) {
        let sql = "UPDATE connections SET retry_at = NULL WHERE id = ?1";
        assert_eq!(self.database().execute(sql, [id]), Ok(1), "{id}");
    }

    /// What the audit log says of something, the oldest first: the names of what was done.
    #[must_use]
    #[track_caller]
    pub fn audit(&self, of: &str) -> Vec<String> {
        let (status, answer) = self.ask("GET", "/v1/audit?limit=200", &Value::Null);
        assert_eq!(status, 200, "{answer}");
        let lines = answer["items"].as_array().into_iter().flatten();
        let of_it = lines.filter(|line| line.to_string().contains(of));
        of_it.map(|line| line["action"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// What has happened to a connection: the states that it came to, the oldest first.
    #[must_use]
    #[track_caller]
    pub fn came_to(&self, id: &str) -> Vec<String> {
        let (status, answer) = self.ask("GET", "/v1/events?limit=200", &Value::Null);
        assert_eq!(status, 200, "{answer}");
        let events = answer["items"].as_array().into_iter().flatten();
        let of_it = events.filter(|event| event["connection"] == id);
        of_it.map(|event| event["data"]["state"].as_str().unwrap_or_default().to_owned()).collect()
    }
}

fn token_requests(simulator: &Simulator) -> Vec<Value> {
    let mut requests = simulator.journal();
    requests.retain(|request| request["path"] == "/oauth/token");
    requests
}

fn answer(fault: &Fault) -> (Duration, u16, &'static str, String) {
    match fault {
        Fault::Answers(status, kind, body) => (Duration::ZERO, *status, kind, body.clone()),
        Fault::AnswersAfter(wait, status, kind, body) => (*wait, *status, kind, body.clone()),
        Fault::Loses | Fault::Cuts | Fault::After(_) => (Duration::ZERO, 200, "", String::new()),
    }
}
