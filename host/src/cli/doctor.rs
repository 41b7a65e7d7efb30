//! `jackfield doctor`. It looks for itself, whoever serves the home; only how integrations are is asked of whoever serves it.
//! A server elsewhere is asked for everything.

mod accounts;
mod elsewhere;

use std::{fs, os::unix::fs::PermissionsExt, path::Path, sync::Arc, time::Duration};

use clap::Args;
use jackfield::{
    Error, ErrorKind, Result,
    api::Health,
    config::Config,
    egress,
    home::Home,
    host::fits,
    plugins::{Library, Registry},
    secret_file, server,
    store::{Sqlite, Store, Tally},
    system,
    worker::{Death, Isolation, Running, Supervisor, Terms, Workers},
};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{
    Everywhere,
    engine::registry,
    output::{self, BAD, Format, GOOD, Printing, SOFT, WARY},
    served::Served,
};

/// How much room there should be beside the store, in bytes.
const ROOM: u64 = 100 * 1024 * 1024;

/// How long a server may take to say how it is.
const ANSWER: Duration = Duration::from_secs(3);

/// See whether everything is as it should be
#[derive(Args)]
pub(crate) struct Doctor {
    #[command(flatten)]
    printing: Printing,
}

/// How one thing is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Ok,
    Warn,
    Bad,
}

#[derive(Debug, Serialize)]
struct Finding {
    check: String,
    state: State,
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    /// What else is to be known of it, each under its name.
    #[serde(skip_serializing_if = "Details::is_empty")]
    details: Details,
}

type Details = serde_json::Map<String, Value>;

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn ok(&mut self, check: impl Into<String>, text: impl Into<String>) {
        self.add(check, State::Ok, text.into(), None);
    }

    fn warn(&mut self, check: impl Into<String>, text: impl Into<String>, hint: impl Into<String>) {
        self.add(check, State::Warn, text.into(), Some(hint.into()));
    }

    fn wrong(&mut self, check: impl Into<String>, text: impl Into<String>, hint: impl Into<String>) {
        self.add(check, State::Bad, text.into(), Some(hint.into()));
    }

    fn bad(&mut self, check: impl Into<String>, error: &Error) {
        self.add(check, State::Bad, error.message.clone(), error.hint.clone());
    }

    fn add(&mut self, check: impl Into<String>, state: State, text: String, hint: Option<String>) {
        self.0.push(Finding { check: check.into(), state, text, hint, details: Details::new() });
    }

    /// Says more of the last finding.
    fn details(&mut self, details: Details) {
        if let Some(last) = self.0.last_mut() {
            last.details = details;
        }
    }
}

impl Doctor {
    pub(crate) fn format(&self) -> Format {
        self.printing.output
    }

    pub(crate) fn run(self, everywhere: &Everywhere) -> Result<()> {
        let query = self.printing.query()?;
        let mut findings = Findings::default();
        if everywhere.server.is_some() {
            elsewhere::look(everywhere, &mut findings)?;
        } else {
            let home = everywhere.locate()?;
            match home.must_exist() {
                Err(error) => findings.bad("home", &error),
                Ok(()) => look(everywhere, &home, &mut findings)?,
            }
        }
        let findings = findings.0;
        let names: Vec<String> = findings.iter().map(|finding| finding.check.clone()).collect();
        self.printing.print(query.as_ref(), &json!(findings), &names, || print(&findings))?;
        let bad = findings.iter().filter(|finding| finding.state == State::Bad).count();
        if bad == 0 {
            return Ok(());
        }
        let text = if bad == 1 {
            "one thing is not as it should be".to_owned()
        } else {
            format!("{bad} things are not as they should be")
        };
        Err(Error::new(ErrorKind::Config, text))
    }
}

fn print(findings: &[Finding]) {
    for finding in findings {
        let (style, word) = match finding.state {
            State::Ok => (GOOD, "ok"),
            State::Warn => (WARY, "warn"),
            State::Bad => (BAD, "bad"),
        };
        output::data(&format!(
            "{style}{word:<4}{style:#}  {:<13}  {}",
            output::one_line(&finding.check),
            output::one_line(&finding.text)
        ));
        if let Some(hint) = &finding.hint {
            output::data(&format!("      {:<13}  {GOOD}hint{GOOD:#}: {}", "", output::one_line(hint)));
        }
        for (name, detail) in &finding.details {
            let text = detail.as_str().map_or_else(|| detail.to_string(), output::one_line);
            output::data(&format!("      {:<13}  {SOFT}{name}{SOFT:#}: {text}", ""));
        }
    }
}

fn look(everywhere: &Everywhere, home: &Home, findings: &mut Findings) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::new(ErrorKind::Internal, format!("no runtime: {error}")))?;
    modes(home, findings);
    let registry = registry(home);
    let config = Config::load(home).and_then(|config| {
        // What a command would find wrong with it, too.
        registry.as_ref().map_or(Ok(()), |registry| fits(&config, home, registry)).map(|()| config)
    });
    match &config {
        Ok(_) => findings.ok("configuration", home.config().display().to_string()),
        Err(error) => findings.bad("configuration", error),
    }
    let store = Sqlite::open(home.store(), Duration::from_secs(u64::MAX / 1000));
    match &registry {
        Ok(registry) => {
            // Where the configuration is wrong, what it names is not looked for.
            let missing = if config.is_ok() { registry.missing() } else { Vec::new() };
            for refusal in registry.refused().iter().chain(&missing) {
                findings.bad("connector", &Error::from(refusal.clone()));
            }
            if missing.is_empty() && registry.refused().is_empty() && registry.libraries().next().is_none() {
                findings.warn("connector", "there is none", "add one: jackfield connector add FILE");
            }
            let terms =
                config.as_ref().map_or_else(|_| Terms::default(), |config| config.workers.terms(home));
            runtime.block_on(connectors(home, registry, terms, &store, findings));
        }
        Err(error) => findings.bad("connectors", error),
    }
    if let Ok(config) = &config {
        runtime.block_on(integrations(config, findings));
    }
    let stored = runtime.block_on(store.check());
    match &stored {
        Ok(()) => findings.ok("store", home.store().display().to_string()),
        Err(error) => findings.bad("store", error),
    }
    room(home, findings);
    let answers = runtime.block_on(served(home, findings));
    if stored.is_ok() {
        runtime.block_on(accounts::vault(home, &store, findings));
    }
    if let Ok(config) = &config {
        accounts::addresses(config, findings);
        if stored.is_ok() && registry.is_ok() {
            accounts::integrations(everywhere, &runtime, &store, answers, findings);
        }
    }
    Ok(())
}

/// Whether anybody else could look into the home, or put something there.
fn modes(home: &Home, findings: &mut Findings) {
    let open = |path: &Path| fs::metadata(path).ok().map(|metadata| metadata.permissions().mode() & 0o777);
    let path = home.path();
    match open(path) {
        Some(mode) if mode & 0o077 != 0 => findings.warn(
            "home",
            format!("{} is open to others (mode {mode:o})", path.display()),
            format!("close it: chmod 700 {}", path.display()),
        ),
        Some(_) => findings.ok("home", path.display().to_string()),
        None => {
            let error = Error::new(ErrorKind::Config, format!("{} cannot be looked at", path.display()));
            findings.bad("home", &error);
        }
    }
    for missing in home.missing() {
        findings.warn("home", format!("{} is missing", missing.display()), "make it: jackfield init");
    }
}

async fn connectors(home: &Home, registry: &Registry, terms: Terms, store: &Sqlite, findings: &mut Findings) {
    // A library that cannot be loaded here cannot be loaded elsewhere; that is not held against it twice.
    let supervisor = Supervisor::new(home.deaths());
    let workers = Workers::new(terms.clone(), Arc::default());
    let serving: Vec<Running> = match server::connect(home).await {
        Ok(Some(_)) => {
            let asked = timeout(ANSWER, Served::of(home.clone()).get("/v1/workers")).await;
            asked.ok().and_then(Result::ok).unwrap_or_default()
        }
        _ => Vec::new(),
    };
    for library in registry.libraries() {
        let name = format!("{} {}", library.id(), library.head.version);
        let known =
            supervisor.deaths(library.id()).and_then(|deaths| Ok((deaths, supervisor.quarantine(library)?)));
        let (deaths, quarantine) = match known {
            Ok(known) => known,
            Err(error) => {
                findings.bad("connector", &error);
                continue;
            }
        };
        if let Some(quarantine) = quarantine {
            findings.bad("connector", &quarantine.error());
        } else if let Err(error) = workers.prove(library).await {
            findings.bad("connector", &error);
        } else if let Some(last) = deaths.iter().rfind(|death| is_recent(death)) {
            findings.warn(
                "connector",
                format!("{name} loads, and a worker of it died at {:.0}: {}", last.at, last.reason),
                format!(
                    "tell its author; what it was at: jackfield invocation list --action {} --state failed",
                    library.id()
                ),
            );
        } else {
            findings.ok("connector", format!("{name} loads"));
        }
        let own = workers.running().into_iter().find(|worker| worker.sha256 == library.head.sha256);
        let serving = serving.iter().find(|worker| worker.sha256 == library.head.sha256);
        let tally = store.tally(library.id()).await.ok();
        findings.details(about(library, own.as_ref(), serving, &terms, tally, &deaths));
        if let Some(worker) = &own {
            jail(worker, &terms, findings);
        }
    }
}

/// Whether a worker died so lately that somebody should look.
fn is_recent(death: &Death) -> bool {
    death.at > Timestamp::now() - SignedDuration::from_hours(24)
}

/// What a connector is, what it may do, and what is known of it.
fn about(
    library: &Library,
    own: Option<&Running>,
    serving: Option<&Running>,
    terms: &Terms,
    tally: Option<Tally>,
    deaths: &[Death],
) -> Details {
    let mib = |bytes: u64| format!("{}.{} MiB", bytes >> 20, ((bytes & 0xf_ffff) * 10) >> 20);
    let mut details = Details::new();
    let mut say = |name: &str, text: String| drop(details.insert(name.to_owned(), text.into()));
    let size = fs::metadata(&library.path).map_or(0, |metadata| metadata.len());
    let digest = library.head.sha256.get(..12).unwrap_or_default();
    say("file", format!("{}, {}, sha256 {digest}", library.path.display(), mib(size)));
    say("trusted", library.reason_of_trust());
    if let Ok(manifest) = library.manifest() {
        let hosts = manifest.hosts.iter().map(|rule| {
            format!("{}{}", rule.host, if rule.credential { "" } else { " (without the credential)" })
        });
        say("may reach", hosts.collect::<Vec<_>>().join(", "));
        let mut scopes: Vec<&str> = manifest
            .actions
            .iter()
            .flat_map(|action| &action.scopes)
            .chain(manifest.triggers.iter().flat_map(|trigger| &trigger.scopes))
            .flat_map(|scopes| scopes.all.iter().map(String::as_str))
            .collect();
        scopes.sort_unstable();
        scopes.dedup();
        if !scopes.is_empty() {
            say("scopes", scopes.join(", "));
        }
        say("uses", manifest.requires.join(", "));
    }
    if let Some(worker) = own {
        let walls = &worker.walls;
        let landlock = walls.landlock.map(|version| format!("Landlock {version}"));
        let seccomp = walls.seccomp.then(|| "a filter of system calls".to_owned());
        let by: Vec<String> = landlock.into_iter().chain(seccomp).collect();
        say("locked in", if by.is_empty() { "no".to_owned() } else { format!("by {}", by.join(" and ")) });
    }
    if let Some(memory) = serving.or(own).and_then(|worker| worker.memory_bytes) {
        say("memory", format!("{} for itself, at most {}", mib(memory), mib(terms.memory_bytes)));
    }
    if let Some(tally) = tally {
        let now = serving.map_or(0, |worker| worker.running);
        let now = if now == 0 { String::new() } else { format!(", {now} under way") };
        say(
            "calls",
            format!(
                "{}, {} failed{now}",
                output::count(tally.all.try_into().unwrap_or(0), "invocation"),
                tally.failed
            ),
        );
    }
    say(
        "crashes",
        match deaths.last() {
            None => "none".to_owned(),
            Some(last) => {
                let at =
                    last.doing.as_ref().map_or_else(String::new, |doing| format!(" in {}", doing.action));
                format!("{}, the last one at {:.0}{at}: {}", deaths.len(), last.at, last.reason)
            }
        },
    );
    details
}

/// What of a worker's walls is not there.
fn jail(worker: &Running, terms: &Terms, findings: &mut Findings) {
    let connector = &worker.connector;
    if !worker.walls.missing.is_empty() {
        let text = format!("{connector} is not locked in: {}", worker.walls.missing.join("; "));
        let hint = match terms.isolation {
            Isolation::Off => "set `isolation = \"require\"` under [workers] in jackfield.toml",
            _ => "use a kernel that can: Linux 5.13 or newer, with Landlock enabled",
        };
        findings.warn("isolation", text, hint);
    }
    if worker.on_disk {
        let text = format!(
            "{connector} is loaded from a copy on the disk, since this system gives no executable memory files"
        );
        findings.warn("isolation", text, "allow them: sysctl vm.memfd_noexec=0");
    }
}

async fn integrations(config: &Config, findings: &mut Findings) {
    for (id, integration) in &config.integrations {
        if let Some(file) = &integration.token_file {
            match secret_file::read(file) {
                Err(mut error) => {
                    error.hint = Some(format!(
                        "put one there, or change `integrations.{id}.token_file` in jackfield.toml"
                    ));
                    findings.bad("token", &error);
                }
                Ok(_) => {
                    let mode = fs::metadata(file).map_or(0, |metadata| metadata.permissions().mode() & 0o777);
                    if mode & 0o077 == 0 {
                        findings.ok("token", format!("{id}: {}", file.display()));
                    } else {
                        let text = format!("{id}: others can read {} (mode {mode:o})", file.display());
                        findings.warn("token", text, format!("close it: chmod 600 {}", file.display()));
                    }
                }
            }
        }
        for (base, url) in &integration.endpoints {
            match egress::reach(url).await {
                Ok(()) => findings.ok("endpoint", format!("{id}: {base} at {url} can be reached")),
                Err(error) => findings.warn(
                    "endpoint",
                    format!("{id}: {base} at {url} cannot be reached: {}", system::words(&error)),
                    format!("start what listens there, or take [integrations.{id}.endpoints] out of jackfield.toml"),
                ),
            }
        }
    }
}

fn room(home: &Home, findings: &mut Findings) {
    if let Ok(disk) = rustix::fs::statvfs(home.path()) {
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        let text = format!("{} MiB free", free / (1024 * 1024));
        if free < ROOM {
            findings.warn(
                "disk",
                text,
                "make room: what changes something is not run once it cannot be recorded",
            );
        } else {
            findings.ok("disk", text);
        }
    }
}

/// How a server is; `hint` is what to do about one of another version.
fn say_server(health: &Health, hint: &str, findings: &mut Findings) {
    let text = format!("process {}, version {}, {}", health.pid, health.version, health.state);
    if health.version == env!("CARGO_PKG_VERSION") {
        findings.ok("server", text);
    } else {
        findings.warn("server", text, hint);
    }
}

/// Who serves the home; whether something can be asked of them, or of a host in this process.
async fn served(home: &Home, findings: &mut Findings) -> bool {
    const CHECK: &str = "server";
    match server::connect(home).await {
        Ok(None) => {
            findings.ok(CHECK, "nobody serves this home: each command works by itself");
            return true;
        }
        Err(error) => findings.bad(CHECK, &error),
        Ok(Some(_)) => match timeout(ANSWER, Served::of(home.clone()).get::<Health>("/v1/health")).await {
            Err(_) => findings.bad(CHECK, &hangs(home)),
            Ok(Err(error)) => findings.bad(CHECK, &error),
            Ok(Ok(health)) => {
                say_server(
                    &health,
                    "start it again: jackfield serve --drain, then jackfield serve",
                    findings,
                );
                return true;
            }
        },
    }
    false
}

/// That a server is there and says nothing.
fn hangs(home: &Home) -> Error {
    let (who, kill) = match server::holder(home) {
        Some(pid) => (format!("process {pid}"), format!("end it: kill -9 {pid}")),
        None => ("a process".to_owned(), "end it".to_owned()),
    };
    let text = format!("{who} serves this home and does not answer");
    Error::new(ErrorKind::Config, text).hint(format!("{kill}; then start another one: jackfield serve"))
}
