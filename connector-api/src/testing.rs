//! A connector's own tests: that its manifest file is what its types say, and that its fixtures pass.
//!
//! # Fixtures
//!
//! A fixture is one JSON file in `tests/fixtures`, named `<action, trigger or webhook>.<case>.json`: what is called, what the
//! connector must ask the provider, what the provider answers, and what must come out. The provider is played from the
//! file; answers are classified and paths are filled by the same code that the host uses, and inputs and outputs are
//! checked against the manifest's schemas.
//!
//! ```json
//! {
//!   "about": "A topic alone is enough",
//!   "action": "create_meeting",
//!   "input": {"topic": "Demo"},
//!   "exchange": [{
//!     "request": {"method": "POST", "path": "/users/me/meetings", "json": {"topic": "Demo"}},
//!     "answer": {"status": 201, "json": {"id": 92674392836, "topic": "Demo"}}
//!   }],
//!   "output": {"id": "92674392836", "topic": "Demo"}
//! }
//! ```
//!
//! | member | says |
//! | --- | --- |
//! | `action`, `trigger`, or `"auth": "identify"` | what is called |
//! | `webhook` | the webhook whose request is to be proven, where only the connector can do that |
//! | `input` | an action's input |
//! | `delivery` (`event`, `headers`, `query`, `received_at`, `json` or `body`) | what a trigger makes events of, or what is to be proven (there with `method`, `url` and `secrets` too) |
//! | `poll`, `register`, `renew`, `unregister`, `enrich` | the head of that call, without `name` and `context` |
//! | `context` (`auth`, `parameters`, `cursor`, `locale`) | what holds for the call |
//! | `now` | the time at which answers are classified |
//! | `exchange` | the requests in their order, each with the answer it gets |
//! | `request` (`method`, `base`, `path`, `query`, `headers`, `json` or `body`) | must be so; of the headers those named |
//! | `answer` (`status`, `headers`, `json` or `body`), or `fails` (an error of the host) | is played |
//! | `output`, `next`; `events`, `state`, `more`; `registration`; `emit`; `identity`; `proven` | must come out |
//! | `error` | must come out instead: each member given must be so, of `message` and `hint` a part is enough |
//! | `problems` | the input must not pass its schema: JSON pointer and part of the message of each problem |
//!
//! Every action and trigger needs a fixture that goes well and one that does not; so does a webhook whose requests the connector
//! proves, and the second one is what it does not find proven.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fs,
    future::Future,
    path::{Path, PathBuf},
    pin::pin,
    sync::{Arc, Mutex},
    task::{Poll, Waker},
};

use connector_abi::message as frame;
use connector_protocol::{
    Error, ErrorKind, Manifest,
    answers::Seen,
    compat::{breaking_changes, version_says_so},
    manifest::{Source, Verify},
    message::{Context, HttpAnswer, HttpRequest},
    path,
    validate::Validator,
};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{
    Connector,
    connector::Ready,
    context::{Host, HostFuture, Level},
};

/// Whether the files that are compared are to be rewritten instead.
const UPDATE: &str = "JACKFIELD_UPDATE";

/// Fails unless the manifest file says what the types say. `file` is relative to `crate_dir`.
///
/// # Panics
///
/// With what differs and what to type.
pub fn manifest_is_current(connector: &Connector, crate_dir: &str, file: &str) {
    let shared = connector.shared_type_names();
    assert!(
        shared.is_empty(),
        "several types are called {}: rename all but one with #[schemars(rename = \"…\")]",
        shared.join(", ")
    );
    let manifest = connector.manifest();
    let problems: Vec<String> =
        manifest.lint().iter().map(|p| format!("  {}: {}", p.path, p.message)).collect();
    assert!(problems.is_empty(), "the manifest of `{}` is not sound:\n{}", manifest.id, problems.join("\n"));
    let unproved = connector.unproved();
    assert!(unproved.is_empty(), "`{}` does not fit together:\n  {}", manifest.id, unproved.join("\n  "));
    for trigger in &manifest.triggers {
        assert!(
            trigger.sample_delivery.is_none() || trigger.sample.is_some(),
            "`{}` makes no event of its own sample of a delivery",
            trigger.name
        );
        if let Some(sample) = &trigger.sample {
            check_schema(&format!("the sample of `{}`", trigger.name), &manifest, &trigger.event, sample)
                .unwrap_or_else(|report| panic!("{report}"));
        }
    }

    let path = Path::new(crate_dir).join(file);
    let derived = manifest.to_bytes();
    if std::env::var_os(UPDATE).is_some_and(|value| value == "1") {
        fs::write(&path, &derived).unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
    } else {
        let committed = fs::read(&path).unwrap_or_default();
        if committed != derived {
            let (committed, derived) =
                (String::from_utf8_lossy(&committed), String::from_utf8_lossy(&derived));
            let line = committed.lines().zip(derived.lines()).take_while(|(a, b)| a == b).count();
            panic!(
                "{file} is not what the types say, from line {}:\n  file:  {}\n  types: {}\nto rewrite it: {UPDATE}=1 cargo test",
                line + 1,
                committed.lines().nth(line).unwrap_or("(ends)"),
                derived.lines().nth(line).unwrap_or("(ends)"),
            );
        }
    }

    let released = path.parent().map(|dir| dir.join("released").join(path.file_name().unwrap_or_default()));
    if let Some(old) = released.and_then(|path| fs::read(path).ok()) {
        let old = Manifest::read(&old).unwrap_or_else(|error| panic!("the released manifest: {error}"));
        let breaks = breaking_changes(&old, &manifest);
        assert!(
            breaks.is_empty() || version_says_so(&old, &manifest),
            "version {} breaks what {} promised, and does not say so:\n  {}\nundo it, or raise the version",
            manifest.version,
            old.version,
            breaks.join("\n  ")
        );
    }
}

/// Runs every fixture in `tests/fixtures` below `crate_dir`.
///
/// # Panics
///
/// With every fixture that does not pass, and every action or trigger that lacks one.
pub fn fixtures_pass(connector: fn() -> Connector, crate_dir: &str) {
    let directory = Path::new(crate_dir).join("tests/fixtures");
    let manifest = connector().manifest();
    let ready = connector().ready();
    let mut reports = Vec::new();
    let mut covered = BTreeSet::new();
    let mut needed: BTreeSet<Needed> = needed(&manifest).into_iter().collect();
    for path in json_files(&directory) {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let text = fs::read(&path).unwrap_or_default();
        match serde_json::from_slice::<Fixture>(&text) {
            Err(error) => reports.push(format!("{name}: not a fixture: {error}")),
            Ok(fixture) => {
                if !fixture.subject().is_some_and(|subject| name.starts_with(&format!("{subject}."))) {
                    reports.push(format!(
                        "{name}: must be named <action, trigger or webhook>.<case>.json after what it calls"
                    ));
                }
                match fixture.run(&manifest, &ready) {
                    Ok(()) => {
                        covered.insert(fixture.covers());
                        needed.extend(fixture.asks_for());
                    }
                    Err(report) => reports.push(format!("{name}: {report}")),
                }
            }
        }
    }
    for needed in needed {
        if !covered.contains(&needed) {
            let (subject, verb, well) = &needed;
            let what = if *well { "goes well" } else { "goes wrong" };
            let verb = if *verb == "run" { String::new() } else { format!(" ({verb})") };
            reports.push(format!(
                "no fixture of `{subject}`{verb} {what}: write tests/fixtures/{subject}.CASE.json"
            ));
        }
    }
    assert!(reports.is_empty(), "something is wrong with the fixtures:\n\n{}\n", reports.join("\n\n"));
}

/// What must be covered by a fixture: a subject, a verb, and whether it goes well.
type Needed = (String, &'static str, bool);

fn needed(manifest: &Manifest) -> Vec<Needed> {
    let mut needed = Vec::new();
    for action in &manifest.actions {
        needed.extend([true, false].map(|well| (action.name.clone(), "run", well)));
    }
    for trigger in &manifest.triggers {
        let verbs: &[(&str, bool)] = match trigger.source {
            Source::AppWebhook { .. } => &[("on_delivery", true), ("on_delivery", false)],
            Source::RegisteredWebhook { .. } => {
                &[("on_delivery", true), ("on_delivery", false), ("register", true), ("unregister", true)]
            }
            Source::Poll { .. } => &[("poll", true), ("poll", false)],
        };
        needed.extend(verbs.iter().map(|(verb, well)| (trigger.name.clone(), *verb, *well)));
    }
    for webhook in manifest.webhooks.iter().filter(|webhook| matches!(webhook.verify, Verify::Custom {})) {
        needed.extend([true, false].map(|well| (webhook.name.clone(), "verify", well)));
    }
    needed
}

fn json_files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|kind| kind == "json"))
        .collect();
    paths.sort();
    paths
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fixture {
    #[serde(default, rename = "about")]
    _about: String,
    action: Option<String>,
    trigger: Option<String>,
    auth: Option<String>,
    webhook: Option<String>,
    #[serde(default)]
    context: Context,
    #[serde(default)]
    now: Option<Timestamp>,
    input: Option<Value>,
    delivery: Option<FixtureDelivery>,
    poll: Option<Map<String, Value>>,
    register: Option<Map<String, Value>>,
    renew: Option<Map<String, Value>>,
    unregister: Option<Map<String, Value>>,
    enrich: Option<Map<String, Value>>,
    #[serde(default)]
    exchange: Vec<Exchange>,
    output: Option<Value>,
    next: Option<Value>,
    events: Option<Value>,
    state: Option<Value>,
    more: Option<Value>,
    registration: Option<Value>,
    identity: Option<Value>,
    emit: Option<Value>,
    proven: Option<bool>,
    error: Option<Map<String, Value>>,
    problems: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FixtureDelivery {
    method: Option<String>,
    url: Option<String>,
    #[serde(default)]
    secrets: Vec<String>,
    event: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    query: BTreeMap<String, String>,
    received_at: Option<Timestamp>,
    json: Option<Value>,
    body: Option<String>,
}

impl FixtureDelivery {
    fn head(&self) -> Value {
        json!({
            "method": self.method.as_deref().unwrap_or("POST"),
            "headers": self.headers.iter().collect::<Vec<_>>(),
            "query": self.query.iter().collect::<Vec<_>>(),
            "event": self.event,
            "received_at": self.received_at.unwrap_or(Timestamp::UNIX_EPOCH),
        })
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Exchange {
    request: ExpectedRequest,
    answer: Option<PlayedAnswer>,
    fails: Option<Error>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedRequest {
    method: String,
    base: Option<String>,
    path: String,
    #[serde(default)]
    query: BTreeMap<String, String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    json: Option<Value>,
    body: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct PlayedAnswer {
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    json: Option<Value>,
    body: Option<String>,
}

fn bytes(json: &Option<Value>, body: &Option<String>) -> Vec<u8> {
    match (json, body) {
        (Some(json), _) => serde_json::to_vec(json).unwrap_or_default(),
        (None, Some(text)) => text.clone().into_bytes(),
        (None, None) => Vec::new(),
    }
}

impl Fixture {
    fn subject(&self) -> Option<&str> {
        let named = [&self.action, &self.trigger, &self.auth, &self.webhook];
        named.into_iter().flatten().map(String::as_str).next()
    }

    fn verb(&self) -> &'static str {
        if self.action.is_some() {
            return "run";
        }
        if self.auth.is_some() {
            return "identify";
        }
        if self.webhook.is_some() {
            return "verify";
        }
        let given = [
            ("poll", self.poll.is_some()),
            ("register", self.register.is_some()),
            ("renew", self.renew.is_some()),
            ("unregister", self.unregister.is_some()),
            ("enrich", self.enrich.is_some()),
        ];
        given.iter().find(|(_, given)| *given).map_or("on_delivery", |(verb, _)| verb)
    }

    fn covers(&self) -> Needed {
        let well = self.error.is_none() && self.problems.is_none() && self.proven != Some(false);
        (self.subject().unwrap_or_default().to_owned(), self.verb(), well)
    }

    /// What the answer makes the host ask next, so that there has to be a fixture of it: an event that is to be enriched,
    /// a registration that runs out.
    fn asks_for(&self) -> Option<Needed> {
        let subject = self.trigger.clone()?;
        let events = self.events.as_ref().and_then(Value::as_array);
        let enrich = events.into_iter().flatten().any(|emit| emit["enrich"] == json!(true));
        let runs_out = self.registration.as_ref().is_some_and(|hook| !hook["expires_at"].is_null());
        match (enrich, runs_out) {
            (true, _) => Some((subject, "enrich", true)),
            (_, true) => Some((subject, "renew", true)),
            _ => None,
        }
    }

    fn run(&self, manifest: &Manifest, ready: &Ready) -> Result<(), String> {
        if let Some(expected) = &self.problems {
            return self.input_is_refused(manifest, expected);
        }
        let mut context = self.context.clone();
        if context.auth.is_empty() {
            context.auth = manifest.auth.first().map(|auth| auth.name.clone()).unwrap_or_default();
        }
        let stage = Arc::new(Stage {
            manifest: manifest.clone(),
            now: self.now.unwrap_or(Timestamp::UNIX_EPOCH),
            exchange: Mutex::new(self.exchange.iter().cloned().collect()),
            report: Mutex::new(None),
        });
        let host = Box::new(Played(stage.clone()));
        let (mut head, body) = self.call()?;
        if let Some(action) = self.action.as_ref() {
            let declared = manifest.action(action).ok_or_else(|| format!("there is no action `{action}`"))?;
            check_schema("the input", manifest, &declared.input, &head["input"])?;
        }
        head["context"] = serde_json::to_value(&context).map_err(|error| error.to_string())?;
        let head = serde_json::to_vec(&head).map_err(|error| error.to_string())?;
        let verb = self.verb();
        let result = finish(async {
            match (&self.action, &self.trigger) {
                (Some(_), _) => ready.action(verb, &head, host).await,
                (None, Some(_)) => ready.trigger(verb, &head, &body, host).await,
                (None, None) if self.webhook.is_some() => ready.trigger(verb, &head, &body, host).await,
                (None, None) => ready.auth(verb, &head, host).await,
            }
        })?;
        if let Some(report) = stage.report.lock().ok().and_then(|mut report| report.take()) {
            return Err(report);
        }
        self.expect(manifest, result)?;
        let left = stage.exchange.lock().map(|left| left.len()).unwrap_or_default();
        if left > 0 { Err(format!("{left} request(s) of the exchange were never sent")) } else { Ok(()) }
    }

    fn input_is_refused(
        &self,
        manifest: &Manifest,
        expected: &BTreeMap<String, String>,
    ) -> Result<(), String> {
        let action = self.action.as_deref().and_then(|name| manifest.action(name));
        let action = action.ok_or("`problems` needs an action that exists")?;
        let validator = Validator::new(manifest.standalone(&action.input))?;
        let found: BTreeMap<String, String> = validator
            .check(self.input.as_ref().unwrap_or(&Value::Null))
            .into_iter()
            .map(|problem| (problem.path, problem.message))
            .collect();
        let same = found.len() == expected.len()
            && expected
                .iter()
                .all(|(path, part)| found.get(path).is_some_and(|message| message.contains(part)));
        if same { Ok(()) } else { Err(format!("other problems than expected: {found:#?}")) }
    }

    /// The head of the call without its context, and the body.
    fn call(&self) -> Result<(Value, Vec<u8>), String> {
        if let Some(name) = &self.action {
            return Ok((json!({"name": name, "input": self.input.clone().unwrap_or(json!({}))}), Vec::new()));
        }
        if let Some(name) = &self.webhook {
            let delivery =
                self.delivery.as_ref().ok_or("it does not say which `delivery` is to be proven")?;
            let head = json!({
                "name": name,
                "delivery": delivery.head(),
                "url": delivery.url.clone().unwrap_or_default(),
                "secrets": delivery.secrets,
            });
            return Ok((head, bytes(&delivery.json, &delivery.body)));
        }
        let Some(name) = &self.trigger else {
            return Ok((json!({}), Vec::new()));
        };
        let given = [&self.poll, &self.register, &self.renew, &self.unregister, &self.enrich];
        if let Some(members) = given.into_iter().flatten().next() {
            let mut head = members.clone();
            head.insert("name".to_owned(), json!(name));
            if self.enrich.is_none() {
                head.entry("parameters").or_insert_with(|| json!({}));
            }
            return Ok((Value::Object(head), Vec::new()));
        }
        let delivery =
            self.delivery.as_ref().ok_or("it says neither `delivery` nor `poll`, `register` or the like")?;
        Ok((json!({"name": name, "delivery": delivery.head()}), bytes(&delivery.json, &delivery.body)))
    }

    fn expect(&self, manifest: &Manifest, result: Result<Vec<u8>, Error>) -> Result<(), String> {
        let answer: Value = match (result, &self.error) {
            (Err(error), Some(expected)) => return error_is(&error, expected),
            (Err(error), None) => {
                return Err(format!(
                    "it failed: {}",
                    pretty(&serde_json::to_value(error).unwrap_or_default())
                ));
            }
            (Ok(answer), Some(_)) => {
                return Err(format!("it went well: {}", String::from_utf8_lossy(&answer)));
            }
            (Ok(answer), None) => serde_json::from_slice(&answer).map_err(|error| error.to_string())?,
        };
        let mut expected = Map::new();
        expected.extend(self.proven.map(|proven| ("proven".to_owned(), json!(proven))));
        for (member, value) in [
            ("output", &self.output),
            ("next", &self.next),
            ("events", &self.events),
            ("state", &self.state),
            ("more", &self.more),
        ] {
            if let Some(value) = value {
                expected.insert(member.to_owned(), value.clone());
            }
        }
        let whole = [&self.registration, &self.identity, &self.emit].into_iter().flatten().next();
        let expected = whole.cloned().unwrap_or(Value::Object(expected));
        if let Some(difference) = difference("", &expected, &answer) {
            return Err(format!("something else came out, {difference}\nwhole: {}", pretty(&answer)));
        }
        if let Some(action) = self.action.as_deref().and_then(|name| manifest.action(name)) {
            check_schema("the output", manifest, &action.output, &answer["output"])?;
        }
        if let Some(trigger) = self.trigger.as_deref().and_then(|name| manifest.trigger(name)) {
            let completed = answer.get("event").map(|_| &answer);
            for emit in answer["events"].as_array().into_iter().flatten().chain(completed) {
                check_schema("the event", manifest, &trigger.event, &emit["event"])?;
            }
        }
        Ok(())
    }
}

fn check_schema(
    what: &str,
    manifest: &Manifest,
    schema: &Map<String, Value>,
    value: &Value,
) -> Result<(), String> {
    let problems = Validator::new(manifest.standalone(schema))?.check(value);
    if problems.is_empty() {
        return Ok(());
    }
    let list: Vec<String> =
        problems.iter().map(|problem| format!("{} {}", problem.path, problem.message)).collect();
    Err(format!("{what} does not fit its schema: {}", list.join("; ")))
}

/// The first place at which two values differ.
fn difference(at: &str, expected: &Value, found: &Value) -> Option<String> {
    match (expected, found) {
        (Value::Object(a), Value::Object(b)) => {
            let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            names.into_iter().find_map(|name| {
                let value =
                    |members: &Map<String, Value>| members.get(name).cloned().unwrap_or(json!("(absent)"));
                difference(&format!("{at}/{name}"), &value(a), &value(b))
            })
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            a.iter().zip(b).enumerate().find_map(|(i, (a, b))| difference(&format!("{at}/{i}"), a, b))
        }
        _ if expected == found => None,
        _ => Some(format!("at {at}: expected {expected}, found {found}")),
    }
}

fn error_is(error: &Error, expected: &Map<String, Value>) -> Result<(), String> {
    let found = serde_json::to_value(error).map_err(|error| error.to_string())?;
    for (member, value) in expected {
        let same = match (member.as_str(), value.as_str(), found.get(member).and_then(Value::as_str)) {
            ("message" | "hint", Some(part), Some(text)) => text.contains(part),
            _ => found.get(member) == Some(value),
        };
        if !same {
            return Err(format!("another error than expected (`{member}`): {}", pretty(&found)));
        }
    }
    Ok(())
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}

/// The host that a fixture plays.
struct Played(Arc<Stage>);

struct Stage {
    manifest: Manifest,
    now: Timestamp,
    exchange: Mutex<VecDeque<Exchange>>,
    /// What went wrong on stage: told instead of whatever the connector made of it.
    report: Mutex<Option<String>>,
}

impl Host for Played {
    fn call(&self, op: &str, message: Vec<u8>) -> HostFuture<'_> {
        let answer = match op {
            "http" => self.0.http(&message),
            "progress" | "sleep" => Ok(frame::encode(b"{}", &[])),
            other => Err(Error::new(ErrorKind::Unsupported, format!("a fixture does not play `{other}`"))),
        };
        Box::pin(std::future::ready(
            answer.map_err(|error| frame::encode(&serde_json::to_vec(&error).unwrap_or_default(), &[])),
        ))
    }

    fn log(&self, _: Level, _: String) {}
}

impl Stage {
    fn http(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let stop = |report: String| {
            if let Ok(mut place) = self.report.lock() {
                place.get_or_insert(report);
            }
            Error::new(ErrorKind::Internal, "the fixture has ended")
        };
        let (head, body) = frame::decode(message).map_err(|error| stop(error.to_string()))?;
        let request: HttpRequest = serde_json::from_slice(head).map_err(|error| stop(error.to_string()))?;
        let path = path::fill(&request.path, &request.params)?;
        let next = self.exchange.lock().ok().and_then(|mut exchange| exchange.pop_front());
        let Some(exchange) = next else {
            return Err(stop(format!(
                "a request that the exchange does not have: {} {path}",
                request.method
            )));
        };
        exchange.request.check(&self.manifest, &request, &path, body).map_err(stop)?;
        if let Some(error) = exchange.fails {
            return Err(error);
        }
        let answer =
            exchange.answer.ok_or_else(|| stop("an exchange needs `answer` or `fails`".to_owned()))?;
        let body = bytes(&answer.json, &answer.body);
        let value: Option<Value> = connector_protocol::json::read(&body).ok();
        let mut headers: Vec<(String, String)> =
            answer.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect();
        if answer.json.is_some() && !headers.iter().any(|(name, _)| name == "content-type") {
            headers.push(("content-type".to_owned(), "application/json".to_owned()));
        }
        let header = |name: &str| headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone());
        let seen =
            Seen { method: &request.method, status: answer.status, header: &header, body: value.as_ref() };
        let verdict = self.manifest.answers.classify(&seen, self.now);
        let head =
            HttpAnswer { status: answer.status, class: verdict.class, headers, retry_at: verdict.retry_at };
        Ok(frame::encode(&serde_json::to_vec(&head).unwrap_or_default(), &body))
    }
}

impl ExpectedRequest {
    fn check(
        &self,
        manifest: &Manifest,
        request: &HttpRequest,
        path: &str,
        body: &[u8],
    ) -> Result<(), String> {
        let base = |name: &Option<String>| {
            name.clone().or_else(|| manifest.bases.first().map(|base| base.name.clone()))
        };
        if !path.starts_with("https://")
            && base(&request.base).is_none_or(|name| manifest.base(&name).is_none())
        {
            return Err(format!("the request to {path} names a base that the connector does not declare"));
        }
        if let Some(rate) =
            request.rate.as_ref().filter(|rate| !manifest.rates.iter().any(|known| known.name == **rate))
        {
            return Err(format!(
                "the request to {path} is of a rate class that the connector does not declare: {rate}"
            ));
        }
        let sent: Value = json!({
            "method": request.method,
            "base": base(&request.base),
            "path": path,
            "query": request.query.iter().cloned().collect::<BTreeMap<_, _>>(),
        });
        let expected =
            json!({"method": self.method, "base": base(&self.base), "path": self.path, "query": self.query});
        if let Some(difference) = difference("request", &expected, &sent) {
            return Err(format!("another request than expected, {difference}"));
        }
        for (name, value) in &self.headers {
            let sent =
                request.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value);
            if sent != Some(value) {
                return Err(format!("the header `{name}` is {sent:?}, not {value:?}"));
            }
        }
        if let Some(expected) = &self.json {
            let sent: Value = serde_json::from_slice(body).map_err(|_| "the body is not JSON".to_owned())?;
            return match difference("body", expected, &sent) {
                Some(difference) => {
                    Err(format!("another body than expected, {difference}\nwhole: {}", pretty(&sent)))
                }
                None => Ok(()),
            };
        }
        if body != self.body.as_deref().unwrap_or_default().as_bytes() {
            return Err(format!("another body than expected: {}", String::from_utf8_lossy(body)));
        }
        Ok(())
    }
}

/// Runs a future to its end. Everything a fixture plays answers at once, so it never has to wait.
fn finish<T>(future: impl Future<Output = T>) -> Result<T, String> {
    let mut future = pin!(future);
    match future.as_mut().poll(&mut std::task::Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Ok(value),
        Poll::Pending => Err("it waits for something that is not the host".to_owned()),
    }
}
