//! `jackfield doctor`. It looks for itself, whoever serves the home.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, time::Duration};

use clap::Args;
use jackfield::{
    Error, ErrorKind, Result,
    api::Health,
    config::Config,
    egress,
    home::Home,
    host::fits,
    plugins::Registry,
    secret_file, server,
    store::{Sqlite, Store},
    system,
    worker::Workers,
};
use serde::Serialize;
use serde_json::json;
use tokio::time::timeout;

use super::{
    Everywhere,
    engine::registry,
    output::{self, BAD, Format, GOOD, Printing, WARY},
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
    check: &'static str,
    state: State,
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn ok(&mut self, check: &'static str, text: impl Into<String>) {
        self.0.push(Finding { check, state: State::Ok, text: text.into(), hint: None });
    }

    fn warn(&mut self, check: &'static str, text: impl Into<String>, hint: impl Into<String>) {
        self.0.push(Finding { check, state: State::Warn, text: text.into(), hint: Some(hint.into()) });
    }

    fn bad(&mut self, check: &'static str, error: &Error) {
        self.0.push(Finding {
            check,
            state: State::Bad,
            text: error.message.clone(),
            hint: error.hint.clone(),
        });
    }
}

impl Doctor {
    pub(crate) fn format(&self) -> Format {
        self.printing.output
    }

    pub(crate) fn run(self, everywhere: &Everywhere) -> Result<()> {
        let query = self.printing.query()?;
        let mut findings = Findings::default();
        let home = everywhere.locate()?;
        match home.must_exist() {
            Err(error) => findings.bad("home", &error),
            Ok(()) => look(&home, &mut findings)?,
        }
        let findings = findings.0;
        let names: Vec<String> = findings.iter().map(|finding| finding.check.to_owned()).collect();
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
            finding.check,
            output::one_line(&finding.text)
        ));
        if let Some(hint) = &finding.hint {
            output::data(&format!("      {:<13}  {GOOD}hint{GOOD:#}: {}", "", output::one_line(hint)));
        }
    }
}

fn look(home: &Home, findings: &mut Findings) -> Result<()> {
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
    match &registry {
        Ok(registry) => runtime.block_on(connectors(registry, findings)),
        Err(error) => findings.bad("connectors", error),
    }
    if let Ok(config) = &config {
        runtime.block_on(integrations(config, findings));
    }
    match runtime.block_on(Sqlite::open(home.store(), Duration::from_secs(u64::MAX / 1000)).check()) {
        Ok(()) => findings.ok("store", home.store().display().to_string()),
        Err(error) => findings.bad("store", &error),
    }
    room(home, findings);
    runtime.block_on(served(home, findings));
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

async fn connectors(registry: &Registry, findings: &mut Findings) {
    for refusal in registry.refused() {
        findings.bad("connector", &Error::from(refusal.clone()));
    }
    let workers = Workers::default();
    let mut some = false;
    for library in registry.libraries() {
        some = true;
        let name = format!("{} {}", library.id(), library.head.version);
        match workers.prove(library).await {
            Ok(()) => findings.ok("connector", format!("{name} loads")),
            Err(error) => findings.bad("connector", &error),
        }
    }
    if !some && registry.refused().is_empty() {
        findings.warn("connector", "there is none", "add one: jackfield connector add FILE");
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

async fn served(home: &Home, findings: &mut Findings) {
    match server::connect(home).await {
        Ok(None) => findings.ok("server", "nobody serves this home: each command works by itself"),
        Err(error) => findings.bad("server", &error),
        Ok(Some(_)) => match timeout(ANSWER, Served::of(home.clone()).get::<Health>("/v1/health")).await {
            Err(_) => findings.bad("server", &hangs(home)),
            Ok(Err(error)) => findings.bad("server", &error),
            Ok(Ok(health)) => {
                let text = format!("process {}, version {}, {}", health.pid, health.version, health.state);
                if health.version == env!("CARGO_PKG_VERSION") {
                    findings.ok("server", text);
                } else {
                    let hint = "start it again: jackfield serve --drain, then jackfield serve";
                    findings.warn("server", text, hint);
                }
            }
        },
    }
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
