//! A secret in every place that takes one, through all that can become of it: it is where it has to be, and nowhere else.

#![allow(clippy::unwrap_used, reason = "in a test, a panic is the message")]

use std::{
    collections::BTreeMap,
    fs,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE},
};
use jackfield_tests::{
    Act, Home, Outcome, Provider, Request, Running, Visitor, http, process, reply, tenants::Signer,
};
use regex::bytes::Regex;
use rustix::process::Signal;
use serde_json::{Value, json};

/// What sets each spelling of a secret apart: an address, a form, a page and JSON all write it as it is.
fn core(name: &str) -> String {
    format!("cnry7Qz{}x", name.replace(' ', ""))
}

/// A secret with this core, which is written otherwise in an address, in a form, in a page and in JSON.
fn canary(name: &str) -> String {
    format!("\"{}+/%41\\&<é", core(name))
}

/// One that may stand in a header.
fn plain(name: &str) -> String {
    format!("{}+/~==", core(name))
}

/// The ways in which a text may be written down: as it is, and as base64 and hex of it, wherever it begins in something longer.
fn spellings(secret: &str) -> Vec<String> {
    let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    let mut all = vec![secret.to_owned(), hex.to_uppercase(), hex];
    for before in 0..3 {
        let shifted = [&vec![b' '; before], secret.as_bytes()].concat();
        // The digits at either end depend on what stands beside it.
        let whole = shifted.len() / 3 * 4;
        let first = if before == 0 { 0 } else { 4 };
        for engine in [&STANDARD, &URL_SAFE] {
            all.push(engine.encode(&shifted)[first..whole].to_owned());
        }
    }
    all
}

/// Secrets by their names, each as what is looked for.
#[derive(Default)]
struct Aviary {
    cores: BTreeMap<String, String>,
    needles: Vec<(String, String)>,
    /// The master keys, as bytes.
    keys: Vec<(String, Vec<u8>)>,
}

impl Aviary {
    fn put(&mut self, name: &str, core: &str) {
        assert!(core.len() > 8, "{name}: {core:?}");
        if self.cores.insert(name.to_owned(), core.to_owned()).is_none() {
            self.needles.extend(spellings(core).into_iter().map(|spelling| (name.to_owned(), spelling)));
        }
    }

    /// What finds whether any of them is in something, at one reading.
    fn any(&self) -> Regex {
        let written = self.needles.iter().map(|(_, spelling)| spelling.as_bytes());
        let all = written.chain(self.keys.iter().map(|(_, key)| &key[..]));
        let quoted = |bytes: &[u8]| bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect::<String>();
        Regex::new(&format!("(?-u){}", all.map(quoted).collect::<Vec<_>>().join("|"))).unwrap()
    }

    /// The secrets that are in something.
    fn found(&self, bytes: &[u8]) -> Vec<&str> {
        let text = String::from_utf8_lossy(bytes);
        let written = self.needles.iter().filter(|(_, spelling)| text.contains(spelling.as_str()));
        let raw = self.keys.iter().filter(|(_, key)| bytes.windows(key.len()).any(|window| window == key));
        let mut found: Vec<&str> =
            written.map(|(name, _)| &**name).chain(raw.map(|(name, _)| &**name)).collect();
        found.dedup();
        found
    }
}

/// A provider that makes tokens with canaries in them, and repeats whatever it was sent wherever it can when it fails. Each
/// time it is asked it also looks at what everybody can see of our processes.
#[derive(Default)]
struct Blabber {
    /// How the next requests fail: at the token endpoint, and elsewhere.
    tokens_fail: Option<&'static str>,
    fails: Option<&'static str>,
    /// Who the account is of.
    who: String,
    /// How many tokens were made, and the one that is good now.
    made: usize,
    good: String,
    home: String,
    server: u32,
    /// Command lines and environments, by what they are of.
    seen: BTreeMap<String, Vec<u8>>,
    /// The token answers.
    given: String,
}

/// What is seen of a process.
fn shown(process: u32) -> Vec<u8> {
    let read = |file: &str| fs::read(format!("/proc/{process}/{file}")).unwrap_or_default();
    [read("cmdline"), read("environ")].concat()
}

impl Blabber {
    fn look(&mut self) {
        let mut look = |what: &str, process: u32| {
            self.seen.entry(what.to_owned()).or_default().extend(shown(process));
        };
        look("server", self.server);
        process::children(self.server).into_iter().for_each(|worker| look("worker", worker));
        let all = fs::read_dir("/proc").unwrap().flatten();
        let numbers = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        for process in numbers.filter(|process| *process != self.server) {
            let seen = shown(process);
            if String::from_utf8_lossy(&seen).contains(&format!("JACKFIELD_HOME={}", self.home)) {
                self.seen.entry("command".to_owned()).or_default().extend(seen);
            }
        }
    }

    fn answer(&mut self, request: &Request) -> Vec<Act> {
        self.look();
        let body = String::from_utf8_lossy(&request.body).into_owned();
        let credential = request.header("authorization").unwrap_or_default();
        let (path, _) = request.target.split_once('?').unwrap_or((&request.target, ""));
        let values: Vec<String> =
            body.split('&').filter_map(|pair| Some(decoded(pair.split_once('=')?.1))).collect();
        let echo = format!("{credential} {body} {} {}", values.join(" "), request.target);
        if path == "/oauth/token" {
            if let Some(how) = self.tokens_fail {
                return fails(how, &echo);
            }
            self.made += 1;
            self.good = plain(&format!("access{}", self.made));
            let tokens = json!({
                "access_token": self.good, "refresh_token": canary(&format!("refresh{}", self.made)),
                "id_token": canary(&format!("identity{}", self.made)), "token_type": "bearer", "expires_in": 3600,
                "scope": "user:read:user meeting:read:list_meetings meeting:write:meeting meeting:read:meeting",
            });
            self.given += &tokens.to_string();
            return reply(200, &[("content-type", "application/json")], tokens.to_string());
        }
        if path == "/oauth/revoke" {
            return self.tokens_fail.map_or_else(|| reply(200, &[], "{}"), |how| fails(how, &echo));
        }
        if let Some(how) = self.fails {
            return fails(how, &echo);
        }
        if path.starts_with("/v2/") && credential != format!("Bearer {}", self.good) {
            return fails("401", &echo);
        }
        let answer = match (request.method.as_str(), path) {
            (_, "/v2/users/me") => {
                json!({"id": self.who, "account_id": "acc", "email": format!("{}@example.com", self.who)})
            }
            ("POST", _) => {
                json!({"id": 1, "topic": "Demo", "start_url": canary("start"), "password": canary("passcode")})
            }
            (_, "/forge/user") => json!({"id": 5, "login": "anna"}),
            (_, "/forge/repos/anna/app/issues") => json!([]),
            (_, "/sensors/sensors") => json!({"ok": true, "sensors": []}),
            _ => json!({"meetings": []}),
        };
        reply(200, &[("content-type", "application/json"), ("set-cookie", "a=b")], answer.to_string())
    }
}

/// An answer that is none of what was asked for, and repeats what was sent in each place that there is.
fn fails(how: &str, echo: &str) -> Vec<Act> {
    let header: String = echo.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').collect();
    let said = json!({
        "code": if how == "401" { 124 } else { 300 }, "message": echo, "reason": echo, "error": "invalid_grant", "error_description": echo,
        "errors": [{"field": echo, "message": echo}], "password": echo, "text": echo,
    });
    let headers = [
        ("content-type", "application/json"),
        ("www-authenticate", &format!("Bearer error=\"{header}\"")),
        ("set-cookie", &format!("echo={header}")),
        ("x-echo", &header),
    ];
    match how {
        "html" => reply(500, &[("content-type", "text/html"), headers[1]], format!("<html>{echo}</html>")),
        "invalid_client" => {
            let mut said = said;
            said["error"] = json!("invalid_client");
            reply(401, &headers, said.to_string())
        }
        "moved" => reply(302, &[("location", &format!("http://127.0.0.1:1/?token={header}"))], ""),
        "another shape" => {
            reply(200, &headers, json!([echo, {"access_token": 5, "error": echo}]).to_string())
        }
        "cut" => {
            vec![Act::Send(format!("HTTP/1.1 200 X\r\ncontent-length: 90000\r\n\r\n{{\"{echo}").into_bytes())]
        }
        status => reply(status.parse().unwrap(), &headers, said.to_string()),
    }
}

/// The value of a field of a form.
fn decoded(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.bytes());
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next().unwrap_or_default(), rest.next().unwrap_or_default()];
                u8::from_str_radix(&String::from_utf8_lossy(&digits), 16).unwrap_or_default()
            }
            byte => byte,
        });
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The value of a parameter of an address, or of a field of a form.
fn parameter(query: &str, name: &str) -> Option<String> {
    query.split(['?', '&']).find_map(|pair| Some(decoded(pair.strip_prefix(name)?.strip_prefix('=')?)))
}

/// A journey with canaries.
struct Journey {
    home: Home,
    server: Option<Running>,
    provider: Provider,
    blabber: Arc<Mutex<Blabber>>,
    aviary: Aviary,
    url: String,
    /// What was said to whom, of all that has no secret in it by design.
    said: Vec<(String, String)>,
    /// What was handed out by design, once and to whoever it is for.
    handed: String,
}

impl Journey {
    fn begin() -> Self {
        let home = Home::with(&["zoom", "forge", "sensors", "faulty"]);
        let port = home.listens_somewhere();
        let blabber = Arc::new(Mutex::new(Blabber {
            who: "anna".to_owned(),
            home: home.path().display().to_string(),
            ..Blabber::default()
        }));
        let its = blabber.clone();
        let provider = Provider::start(move |request, _| its.lock().unwrap().answer(request));
        let url = provider.url();
        home.configure(&format!(
            "[integrations.zoom.endpoints]\napi = \"{url}/v2\"\noauth = \"{url}/oauth\"\n\
             [integrations.sensors.endpoints]\napi = \"{url}/sensors\"\n\
             [integrations.forge.endpoints]\napi = \"{url}/forge\"\n\
             [integrations.faulty.endpoints]\napi = \"{url}/faulty\"\n[limits]\nretries = 0"
        ));
        let url = format!("http://localhost:{port}");
        let mut journey = Self {
            home,
            server: None,
            provider,
            blabber,
            aviary: Aviary::default(),
            url,
            said: Vec::new(),
            handed: String::new(),
        };
        journey.serve();
        journey
    }

    fn serve(&mut self) {
        let server = self.home.start(&["-vvv", "serve"], "");
        server.says("; Ctrl-C ends it");
        self.blabber.lock().unwrap().server = server.pid();
        self.server = Some(server);
    }

    /// Ends the server: what it has said is looked through with the rest.
    fn end(&mut self) {
        let server = self.server.take().unwrap();
        server.signal(Signal::TERM);
        let Outcome { stdout, stderr, .. } = server.ends();
        assert!(stderr.contains("DEBUG answered"), "{stderr}");
        self.said.push(("the server".to_owned(), stdout + &stderr));
    }

    /// How the provider fails from now on: at the token endpoint, and elsewhere.
    fn fail(&self, tokens: Option<&'static str>, others: Option<&'static str>) {
        let mut blabber = self.blabber.lock().unwrap();
        (blabber.tokens_fail, blabber.fails) = (tokens, others);
    }

    /// Runs a command that says no secret, with this on its standard input: what it did.
    #[track_caller]
    fn run(&mut self, args: &[&str], input: &str) -> Outcome {
        let outcome = self.home.run_with_input(&[&["-vvv"], args].concat(), input);
        self.said.push((args.join(" "), format!("{}{}", outcome.stdout, outcome.stderr)));
        outcome
    }

    /// Asks the server with a token: status and body. What is answered holds no secret.
    #[track_caller]
    fn ask(&mut self, token: &str, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let answer = self.bare(token, method, path, body);
        let head: String = answer.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
        self.said.push((format!("{method} {path}"), head + &answer.body));
        (answer.status, answer.json())
    }

    /// The same, of what goes well.
    #[track_caller]
    fn gets(&mut self, token: &str, method: &str, path: &str, body: &Value) -> Value {
        let (status, answer) = self.ask(token, method, path, body);
        assert_eq!(status, 200, "{method} {path}: {answer}");
        answer
    }

    #[track_caller]
    fn bare(&self, token: &str, method: &str, path: &str, body: &Value) -> jackfield_tests::Answer {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let bearer = format!("Bearer {token}");
        let headers = [
            ("authorization", &*bearer),
            ("content-type", "application/json"),
            ("idempotency-key", &format!("key-{}", NEXT.fetch_add(1, Ordering::Relaxed))),
            ("jackfield-project", "default"),
        ];
        let headers = if method == "POST" { &headers[..] } else { &[headers[0], headers[1], headers[3]] };
        http(method, &format!("{}{path}", self.url), headers, &body.to_string())
    }

    /// A file beside the home, for what is no argument.
    fn file(&self, name: &str, text: &str) -> String {
        let path = self.home.path().parent().unwrap().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    /// Puts what a link, its page and its way to the provider are made of among the canaries, and gives the page at its end.
    #[track_caller]
    fn follow(&mut self, name: &str, token: &str, user: &str) -> String {
        let link = self.bare(token, "POST", "/v1/connect-links", &json!({"connector": "zoom", "user": user}));
        assert_eq!(link.status, 200, "{}", link.body);
        // The address is handed out by design, once.
        self.handed += &link.body;
        let link = link.json()["url"].as_str().unwrap().to_owned();
        self.aviary.put(&format!("connect link {name}"), link.rsplit('/').next().unwrap());
        let mut visitor = Visitor::default();
        let page = visitor.get(&link);
        assert_eq!(page.status, 200, "{}", page.body);
        let host = self.url.trim_start_matches("http://").to_owned();
        let session = visitor.cookie(&host, "jackfield_session").unwrap().to_owned();
        self.aviary.put(&format!("session {name}"), &session);
        self.handed += &session;
        let away = visitor.post(&link, "");
        let away = away.header("location").unwrap_or_else(|| panic!("{}", away.body)).to_owned();
        self.handed += &away;
        let state = parameter(&away, "state").unwrap();
        self.aviary.put(&format!("state {name}"), &state);
        self.aviary.put(&format!("code {name}"), &core(&format!("code{name}")));
        let code: String = url_encoded(&canary(&format!("code{name}")));
        let end = visitor.get(&format!("{}/oauth/callback?code={code}&state={state}", self.url));
        let asked = self.provider.requests();
        let mut forms = asked.iter().filter(|request| request.target == "/oauth/token");
        let form =
            forms.next_back().map(|request| String::from_utf8_lossy(&request.body).into_owned()).unwrap();
        self.aviary.put(&format!("verifier {name}"), &parameter(&form, "code_verifier").unwrap());
        let head: String = end.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
        self.said.push((format!("the last page, {name}"), format!("{head}{}", end.body)));
        // Once more: it is used.
        let again = visitor.get(&format!("{}/oauth/callback?code={code}&state={state}", self.url));
        assert_eq!(again.status, 400, "{}", again.body);
        self.said.push((format!("the last page again, {name}"), again.body));
        self.said.push((format!("the link again, {name}"), visitor.get(&link).body));
        end.body
    }

    /// The master keys, which stand in one directory.
    fn keys(&mut self) {
        let text = fs::read_to_string(self.home.path().join("keys/vault.keys")).unwrap();
        for (id, key) in
            text.lines().filter(|line| line.starts_with("key_")).filter_map(|line| line.split_once(' '))
        {
            let bytes = STANDARD.decode(key.split(' ').next().unwrap()).unwrap();
            let name = format!("master key {id}");
            if self.aviary.keys.iter().all(|(known, _)| *known != name) {
                let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                for spelling in [STANDARD.encode(&bytes), URL_SAFE.encode(&bytes), hex.to_uppercase(), hex] {
                    self.aviary.needles.push((name.clone(), spelling.trim_end_matches('=').to_owned()));
                }
                self.aviary.keys.push((name, bytes));
            }
        }
    }

    /// Nothing of all that is anywhere where somebody may look.
    #[track_caller]
    fn is_kept(&mut self, when: &str) {
        for made in 1..=self.blabber.lock().unwrap().made {
            for kind in ["access", "refresh", "identity"] {
                self.aviary.put(&format!("{kind} {made}"), &core(&format!("{kind}{made}")));
            }
        }
        self.keys();
        let any = self.aviary.any();
        let found = |bytes: &[u8]| if any.is_match(bytes) { self.aviary.found(bytes) } else { Vec::new() };
        let none: Vec<&str> = Vec::new();
        for (what, text) in &self.said {
            assert_eq!(found(text.as_bytes()), none, "{when}: {what} says {text}");
        }
        let files = self.home.files();
        // The libraries are what they were before anything of this.
        for file in files.iter().filter(|file| !file.starts_with("plugins/") && !file.starts_with("keys/")) {
            // A socket has nothing to read.
            let bytes = fs::read(self.home.path().join(file)).unwrap_or_default();
            assert_eq!(found(&bytes), none, "{when}: in {file}");
        }
        for file in ["data/jackfield.db", "data/jackfield.db-wal", "data/jackfield.db-shm", "copy.db"] {
            assert!(files.iter().any(|found| found == file), "{when}: {file} was not looked at: {files:?}");
        }
        let keys = fs::read(self.home.path().join("keys/vault.keys")).unwrap();
        let kept = found(&keys);
        assert!(kept.iter().all(|name| name.starts_with("master key")), "{when}: {kept:?}");
        assert!(!kept.is_empty(), "{when}: no master key was looked for");
        let logs = self.home.logs();
        assert!(
            logs.lines().count() > 5 && logs.lines().all(|line| serde_json::from_str::<Value>(line).is_ok())
        );
        let blabber = self.blabber.lock().unwrap();
        for what in ["server", "worker", "command"] {
            let seen = blabber.seen.get(what).unwrap_or_else(|| panic!("{when}: no {what} was looked at"));
            assert!(!seen.is_empty(), "{when}: nothing was seen of a {what}");
            assert_eq!(found(seen), none, "{when}: a {what} shows {}", String::from_utf8_lossy(seen));
        }
    }

    /// What has come to the provider, as bytes.
    fn arrived(&self) -> Vec<u8> {
        let request = |request: Request| {
            let headers: String =
                request.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
            [request.target.as_bytes(), headers.as_bytes(), &request.body, b"\n"].concat()
        };
        self.provider.requests().into_iter().flat_map(request).collect()
    }
}

fn url_encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// A passcode of a meeting, which may not be long.
const SHORT: &str = "cnQz7pw3x";

/// How a provider fails, and repeats what it was sent.
const FAILS: [&str; 8] = ["400", "403", "404", "500", "html", "moved", "another shape", "cut"];

#[test]
fn fault_102_no_secret_is_anywhere_but_where_it_belongs_whatever_becomes_of_it() {
    let mut journey = Journey::begin();
    for name in ["client", "webhook", "own", "key", "region", "input", "start", "passcode", "given"] {
        journey.aviary.put(name, &core(name));
    }
    journey.aviary.put("short", SHORT);
    let (operator, developer, user) = set_up(&mut journey);
    let connection = connect(&mut journey, &operator, &user);
    let first = journey.blabber.lock().unwrap().made;
    type_in(&mut journey, &operator);
    use_it(&mut journey, &connection, &[&operator, &developer, &user]);
    fall(&mut journey, &operator);

    let copy = journey.home.path().join("copy.db");
    assert_eq!(journey.run(&["backup", copy.to_str().unwrap()], "").code, 0);
    journey.keys();
    assert_eq!(journey.run(&["secret", "rotate-key"], "").code, 0);
    assert_eq!(
        journey
            .ask(
                &developer,
                "POST",
                &format!("/v1/connections/{connection}/actions/get_meetings"),
                &json!({})
            )
            .0,
        200
    );
    look_at_everything(&mut journey, &operator);
    journey.is_kept("while it is served");
    assert!(journey.aviary.keys.len() > 1, "the key was rotated");

    give_up(&mut journey, &operator, &connection);
    look_at_everything(&mut journey, &operator);
    journey.is_kept("when it is given up");
    journey.end();
    journey.is_kept("when it has ended");

    // Each was really there: at the provider, or with whom it is made for.
    let given = journey.blabber.lock().unwrap().given.clone();
    let there = [&journey.arrived()[..], given.as_bytes(), journey.handed.as_bytes()].concat();
    let found = journey.aviary.found(&there);
    let arrived = journey.aviary.found(&journey.arrived()).into_iter().map(str::to_owned).collect::<Vec<_>>();
    for name in journey.aviary.cores.keys() {
        assert!(found.contains(&&**name), "{name} was nowhere");
    }
    let (access, refresh) = (format!("access {first}"), format!("refresh {first}"));
    for name in
        ["client", "own", "key", "region", "short", "given", "code 1", "verifier 1", &access, &refresh]
    {
        assert!(arrived.iter().any(|known| known == name), "{name} was never sent: {arrived:?}");
    }
}

/// Sets everything up by files and standard input, and gives an operator's token, one for development, and one that the app
/// has signed.
fn set_up(journey: &mut Journey) -> (String, String, String) {
    let (client, webhook) =
        (journey.file("client", &canary("client")), journey.file("webhook", &plain("webhook")));
    let scopes = "user:read:user,meeting:read:list_meetings,meeting:write:meeting,meeting:read:meeting";
    let args = ["integration", "add", "zoom", "--client-id", "our-app", "--scopes", scopes];
    let secrets = ["--client-secret-file", &client, "--webhook-secret-file", &webhook];
    let added = journey.run(&[&args[..], &secrets].concat(), "");
    assert_eq!(added.code, 0, "{}", added.stderr);
    // Nothing is sent with it yet: that it is there is all that there is to be seen.
    let shown = journey.run(&["integration", "show", "zoom", "-o", "json"], "").json();
    assert_eq!(shown["has_webhook_secret"], true, "{shown}");
    journey.handed += &plain("webhook");
    assert_eq!(journey.run(&["integration", "add", "forge"], "").code, 0);
    let mut token = |name: &str, more: &[&str]| {
        let made = journey.home.run(&[&["-vvv", "token", "create"], more].concat());
        assert_eq!(made.code, 0, "{}", made.stderr);
        let token = made.stdout.trim().to_owned();
        journey.aviary.put(name, token.splitn(3, '_').nth(2).unwrap());
        journey.handed += &made.stdout;
        journey.said.push((format!("what is said beside {name}"), made.stderr));
        token
    };
    let operator = token("operator's token", &["--all-projects"]);
    let developer = token("development token", &["--user", "u_42"]);
    let signer = Signer::ed();
    let pem = journey.file("app.pem", &signer.pem());
    assert_eq!(journey.run(&["project", "key", "add", &pem], "").code, 0);
    let user = signer.user("u_42");
    journey.aviary.put("signed token", user.rsplit('.').next().unwrap());
    journey.handed += &user;
    (operator, developer, user)
}

/// Connects, after all that may go wrong with it: the id of the connection.
fn connect(journey: &mut Journey, operator: &str, user: &str) -> String {
    for how in FAILS {
        journey.fail(Some(how), None);
        let page = journey.follow(&format!("tokens {how}"), operator, "u_42");
        assert!(!page.contains("Connected"), "{how}: {page}");
    }
    for how in ["403", "404", "another shape"] {
        journey.fail(None, Some(how));
        let page = journey.follow(&format!("identity {how}"), operator, "u_42");
        assert!(!page.contains(">Connected<"), "{how}: {page}");
    }
    journey.fail(None, None);
    let page = journey.follow("1", user, "u_42");
    assert!(page.contains("Connected"), "{page}");
    let (_, found) = journey.ask(user, "GET", "/v1/connections?state=valid", &Value::Null);
    found["items"][0]["id"].as_str().unwrap().to_owned()
}

/// Connects with what is typed, by command and by page, wrongly first.
fn type_in(journey: &mut Journey, operator: &str) {
    let own =
        json!({"account_id": "acc", "client_id": "own-app", "client_secret": canary("own")}).to_string();
    let args = ["connect", "zoom", "--auth", "server_to_server", "--user", "u_44", "--file", "-"];
    for how in FAILS {
        journey.fail(Some(how), None);
        assert_ne!(journey.run(&args, &own).code, 0, "{how}");
    }
    let link = json!({"connector": "zoom", "auth": "server_to_server", "user": "u_44"});
    let link = journey.bare(operator, "POST", "/v1/connect-links", &link);
    let url = link.json()["url"].as_str().unwrap().to_owned();
    journey.aviary.put("connect link of a form", url.rsplit('/').next().unwrap());
    journey.handed += &link.body;
    let mut visitor = Visitor::default();
    // It is where its form is sent to.
    let page = visitor.get(&url).body;
    assert!(page.contains("client_secret"), "{page}");
    let form =
        format!("%2Faccount_id=acc&%2Fclient_id=own-app&%2Fclient_secret={}", url_encoded(&canary("own")));
    let page = visitor.post(&url, &form);
    assert!(page.status == 422 && page.body.contains("own-app"), "{}", page.body);
    let token = url.rsplit('/').next().unwrap();
    journey.said.push(("the form again".to_owned(), page.body.replace(token, "")));
    journey.fail(None, None);
    let page = visitor.post(&url, &form);
    assert!(page.body.contains("Connected"), "{}", page.body);
    journey.said.push(("the end of the form".to_owned(), page.body));
    assert_eq!(journey.run(&args, &own).code, 0);

    let args = ["connect", "forge", "--user", "u_45", "--file", "-"];
    let wrong = json!({"token": plain("key"), "host": 5, "more": plain("key")}).to_string();
    assert_ne!(journey.run(&args, &wrong).code, 0);
    let connected = journey.run(&args, &json!({"token": plain("key")}).to_string());
    assert_eq!(connected.code, 0, "{}", connected.stderr);
}

/// Acts with the connection, by every way and whatever the provider says.
fn use_it(journey: &mut Journey, connection: &str, tokens: &[&str]) {
    let at = format!("/v1/connections/{connection}");
    let (list, make) = (format!("{at}/actions/get_meetings"), format!("{at}/actions/create_meeting"));
    let input = json!({"topic": "Demo", "password": SHORT});
    let issues = [
        "action",
        "invoke",
        "forge.list_issues",
        "--user",
        "u_45",
        "--set",
        "owner=anna",
        "--set",
        "repo=app",
    ];
    // Whose credential stands in an address.
    let token = journey.file("region", &canary("region"));
    let readings =
        ["action", "invoke", "sensors.list_sensors", "--token-file", &token, "--parameter", "region=eu"];
    for token in tokens {
        journey.gets(token, "POST", &list, &json!({}));
        let passed_on = journey.bare(token, "GET", &format!("{at}/proxy/users/me/meetings"), &Value::Null);
        assert_eq!(passed_on.status, 200, "{}", passed_on.body);
    }
    for how in FAILS {
        journey.fail(None, Some(how));
        journey.ask(tokens[0], "POST", &list, &json!({}));
        journey.ask(tokens[0], "POST", &make, &input);
        journey.ask(tokens[0], "POST", &format!("{at}/test"), &json!({}));
        // What the provider says there is for whoever has asked, and goes on as it came; nobody else hears of it.
        let _ = journey.bare(tokens[0], "POST", &format!("{at}/proxy/users/me/meetings"), &input);
        journey.run(&readings, "");
        journey.run(&issues, "");
        journey.fail(None, None);
        journey.gets(tokens[0], "POST", &list, &json!({}));
        for args in [&readings[..], &issues] {
            let run = journey.run(args, "");
            assert_eq!(run.code, 0, "{how}: {}", run.stderr);
        }
    }
    // What it makes is for whoever has asked, and told them once.
    let bearer = format!("Bearer {}", tokens[0]);
    let headers = [
        ("authorization", &*bearer),
        ("content-type", "application/json"),
        ("idempotency-key", "the same"),
        ("jackfield-project", "default"),
    ];
    let make_it = |journey: &Journey| {
        let answer = http("POST", &format!("{}{make}", journey.url), &headers, &input.to_string());
        assert_eq!(answer.status, 200, "{}", answer.body);
        (answer.header("idempotent-replayed").is_some(), answer)
    };
    let (replayed, made) = make_it(journey);
    assert!(!replayed && made.body.contains(&core("start")), "{}", made.body);
    journey.handed += &made.body;
    let before = journey.provider.requests().len();
    let (replayed, again) = make_it(journey);
    assert!(replayed && journey.provider.requests().len() == before, "{}", again.body);
    let (made, shown) = (made.json(), again.json());
    assert_eq!((&made["id"], &made["output"]["topic"]), (&shown["id"], &shown["output"]["topic"]));
    assert_eq!((&shown["output"]["start_url"], &shown["output"]["password"]), (&json!("***"), &json!("***")));
    journey.said.push(("the same once more".to_owned(), again.body));

    // Not accepted any more, in the middle of a call: renewed, and sent once more.
    let asked = |journey: &Journey| journey.blabber.lock().unwrap().made;
    let before = asked(journey);
    let proxied = format!("{at}/proxy/users/me/meetings");
    for (method, path) in [("POST", &list), ("GET", &proxied)] {
        journey.blabber.lock().unwrap().good = "nobody's".to_owned();
        journey.gets(tokens[0], method, path, &json!({}));
    }
    assert_eq!(asked(journey), before + 2);
}

/// Refreshes that fail, up to the one by which the connection is lost; and a connector that falls while it holds a secret.
fn fall(journey: &mut Journey, operator: &str) {
    journey.blabber.lock().unwrap().who = "bert".to_owned();
    let page = journey.follow("2", operator, "u_43");
    assert!(page.contains("Connected"), "{page}");
    let (_, found) = journey.ask(operator, "GET", "/v1/connections?user=u_43", &Value::Null);
    let at = format!("/v1/connections/{}", found["items"][0]["id"].as_str().unwrap());
    for how in ["invalid_client", "html", "400"] {
        let database = rusqlite::Connection::open(journey.home.path().join("data/jackfield.db")).unwrap();
        database.busy_timeout(std::time::Duration::from_secs(20)).unwrap();
        database.execute("UPDATE connections SET retry_at = NULL", []).unwrap();
        journey.fail(Some(how), None);
        let before = journey.provider.requests().len();
        let (status, error) = journey.ask(operator, "POST", &format!("{at}/refresh"), &json!({}));
        assert_ne!(status, 200, "{how}: {error}");
        assert!(journey.provider.requests().len() > before, "{how}: nobody was asked: {error}");
    }
    journey.fail(None, None);
    assert_eq!(journey.ask(operator, "GET", &at, &Value::Null).1["state"], "needs_reauth");

    let token = journey.file("given", &plain("given"));
    for what in ["panic", "say", "log", "not-json", "strange-error", "ask-and-crash"] {
        let input = json!({"what": what, "secret": canary("input"), "head": {"method": "GET", "path": "/x"}});
        journey.handed += &input.to_string();
        let input = journey.file("input.json", &input.to_string());
        let run = journey.run(&["action", "invoke", "faulty.do", "--token-file", &token, "-f", &input], "");
        assert!(run.code >= 0, "{what}");
    }
}

/// Everything that can be asked for, as JSON and as it is shown to people.
fn look_at_everything(journey: &mut Journey, operator: &str) {
    let mut paths: Vec<String> = [
        "/metrics",
        "/v1/health",
        "/v1/workers",
        "/v1/audit?limit=200",
        "/v1/events?limit=200",
        "/v1/invocations?limit=200",
        "/v1/connections?limit=200",
        "/v1/users",
        "/v1/tokens",
        "/v1/integrations",
        "/v1/integrations/zoom/checks",
        "/v1/integrations/zoom/setup",
        "/v1/projects/default/keys",
        "/openapi.json",
        "/readyz",
    ]
    .map(str::to_owned)
    .to_vec();
    let (_, run) = journey.ask(operator, "GET", "/v1/invocations?limit=200", &Value::Null);
    let ids = run["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned());
    let ids: Vec<String> = ids.collect();
    assert!(ids.len() > 20, "{ids:?}");
    paths.extend(ids.iter().map(|id| format!("/v1/invocations/{id}")));
    for path in paths {
        let (status, answer) = journey.ask(operator, "GET", &path, &Value::Null);
        assert_eq!(status, 200, "{path}: {answer}");
    }
    for args in [
        &["connection", "list"][..],
        &["user", "list"],
        &["invocation", "list"],
        &["token", "list"],
        &["integration", "list"],
        &["integration", "show", "zoom", "--setup"],
        &["doctor"],
        &["invocation", "show", &ids[0]],
        &["project", "show", "default"],
        &["connection", "list", "-o", "json"],
        &["invocation", "show", &ids[1], "-o", "json"],
    ] {
        let outcome = journey.run(args, "");
        assert!(outcome.code == 0 || args == ["doctor"], "{args:?}: {}", outcome.stderr);
    }
}

/// Gives everything up, at a provider that fails and at one that does not.
fn give_up(journey: &mut Journey, operator: &str, connection: &str) {
    journey.fail(Some("500"), None);
    let (status, given_up) =
        journey.ask(operator, "POST", &format!("/v1/connections/{connection}/revoke"), &json!({}));
    assert_eq!((status, &given_up["told"]), (200, &json!(false)), "{given_up}");
    journey.fail(None, None);
    for user in ["u_42", "u_43", "u_44", "u_45"] {
        assert_eq!(
            journey.ask(operator, "DELETE", &format!("/v1/users/{user}"), &Value::Null).0,
            200,
            "{user}"
        );
    }
}
