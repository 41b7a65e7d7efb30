//! `jackfield connector`

mod add;
mod dev;
mod lift;
mod lock;
mod new;
mod remove;
mod verify;

use std::path::PathBuf;

pub(crate) use self::add::installed;
use clap::Subcommand;
use jackfield::{
    Error, ErrorKind, Result,
    api::{ConnectorLine, ConnectorShown},
    home::Home,
    plugins::{Registry, Trust, dev::entry},
};
use serde_json::{Value, json};

use super::{
    Everywhere, completion,
    engine::Engine,
    output::{self, Format, Printing, say},
};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List the connectors in the plugins directory
    List {
        #[command(flatten)]
        printing: Printing,
    },
    /// Show what a connector is and what it may do
    Show {
        /// The connector's id
        #[arg(add = completion::connectors())]
        connector: String,
        #[command(flatten)]
        printing: Printing,
    },
    /// Check a library and put it into the plugins directory
    Add(add::Add),
    /// Take a connector out of the plugins directory
    Remove(remove::Remove),
    /// Check a library: what it declares, and whether its code declares the same
    Verify(verify::Verify),
    /// Pin the libraries that are there: from then on no other is used
    Lock(lock::Lock),
    /// Try a connector again that died too often, and the inputs it died of
    Lift(lift::Lift),
    /// Use a build output where it lies, instead of a library in the plugins directory
    Dev(dev::Dev),
    /// Write the crate of a new connector, green from its first test
    New(new::New),
}

impl Command {
    pub(crate) fn format(&self) -> Format {
        match self {
            Self::List { printing } | Self::Show { printing, .. } => printing.output,
            Self::Verify(verify) => verify.format(),
            Self::Add(_) | Self::Remove(_) | Self::Lock(_) | Self::Lift(_) | Self::Dev(_) | Self::New(_) => {
                Format::Table
            }
        }
    }

    pub(crate) fn run(self, everywhere: &Everywhere) -> Result<()> {
        match self {
            Self::List { printing } => {
                let mut engine = Engine::find(everywhere)?;
                let lines = engine.connectors()?;
                list(engine.home().ok(), &lines, &printing)
            }
            Self::Show { connector, printing } => {
                show(&Engine::find(everywhere)?.connector(&connector)?, &printing)
            }
            Self::Add(add) => add.run(&everywhere.home()?),
            Self::Remove(remove) => remove.run(everywhere),
            Self::Verify(verify) => verify.run(everywhere),
            Self::Lock(lock) => lock.run(&everywhere.home()?),
            Self::Lift(lift) => lift.run(&everywhere.home()?),
            Self::Dev(dev) => dev.run(&everywhere.home()?),
            Self::New(new) => new.run(),
        }
    }
}

/// Without a home, of a server elsewhere.
fn list(home: Option<&Home>, lines: &[ConnectorLine], printing: &Printing) -> Result<()> {
    let query = printing.query()?;
    let names: Vec<String> = lines.iter().map(|line| line.name.clone()).collect();
    printing.print(query.as_ref(), &json!(lines), &names, || {
        if lines.is_empty() {
            let Some(home) = home else { return say("the server has no connector") };
            say(&format!("there is no connector in {}", home.plugins().display()));
            let which = installed().into_iter().next().unwrap_or_else(|| "FILE".to_owned());
            return say(&format!("add one: jackfield connector add {which}"));
        }
        let number = |number: Option<usize>| number.map_or_else(String::new, |number| number.to_string());
        let row = |line: &ConnectorLine| {
            vec![
                line.name.clone(),
                line.version.clone().unwrap_or_default(),
                line.abi.clone().unwrap_or_default(),
                line.trust.map_or("", Trust::as_str).to_owned(),
                number(line.actions),
                number(line.triggers),
                match line.trust {
                    Some(Trust::Dev) => format!("{}, from {}", line.state, line.path),
                    _ => line.state.clone(),
                },
            ]
        };
        output::rows(
            &["NAME", "VERSION", "ABI", "TRUST", "ACTIONS", "TRIGGERS", "STATE"],
            lines.iter().map(row),
        );
        for line in lines.iter().filter(|line| line.reason.is_some()) {
            let reason = line.reason.as_deref().unwrap_or_default();
            // What is missing has no file to be named by.
            let what = if line.state == "missing" { &line.name } else { &line.path };
            output::warn(&format!("{what}: {reason}"), line.hint.as_deref());
        }
    })
}

fn show(shown: &ConnectorShown, printing: &Printing) -> Result<()> {
    let query = printing.query()?;
    let manifest = &shown.manifest;
    let value: Value = json!(manifest);
    printing.print(query.as_ref(), &value, std::slice::from_ref(&manifest.id), || {
        let hosts = manifest.hosts.iter().map(|rule| {
            format!("{}{}", rule.host, if rule.credential { "" } else { " (without the credential)" })
        });
        let auth = manifest.auth.iter().map(|auth| format!("{} ({})", auth.name, auth.title));
        let bases = manifest.bases.iter().map(|base| format!("{} {}", base.name, base.urls.join(" or ")));
        let webhooks = manifest.webhooks.iter().map(|webhook| webhook.name.clone());
        let list = |items: Vec<String>| items.join(", ");
        let facts = [
            ("title", manifest.title.clone()),
            ("about", manifest.description.clone()),
            ("version", manifest.version.clone()),
            ("file", shown.path.clone()),
            ("built with", format!("connector-abi {}, connector-api {}", shown.abi, shown.api)),
            ("library", format!("sha256 {}", shown.sha256)),
            ("manifest", format!("sha256 {}", shown.digest)),
            ("trust", format!("{}: {}", shown.trust.as_str(), shown.trusted)),
            ("may reach", list(hosts.collect())),
            ("addresses", list(bases.collect())),
            ("sign-in", list(auth.collect())),
            ("needs", manifest.requires.join(", ")),
            ("webhooks", list(webhooks.collect())),
            ("docs", manifest.docs.clone().unwrap_or_default()),
        ];
        output::data(&output::pairs(facts.into_iter().filter(|(_, value)| !value.is_empty())));
        let names = |pairs: Vec<(&str, &str)>| {
            let width = pairs.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
            pairs.iter().map(|(name, title)| format!("  {name:width$}  {title}\n")).collect::<String>()
        };
        let actions =
            manifest.actions.iter().map(|action| (action.name.as_str(), action.title.as_str())).collect();
        output::data(&format!("\nactions\n{}", names(actions)));
        if !manifest.triggers.is_empty() {
            let triggers = manifest.triggers.iter();
            let triggers = triggers.map(|trigger| (trigger.name.as_str(), trigger.title.as_str())).collect();
            output::data(&format!("\ntriggers\n{}", names(triggers)));
        }
    })
}

/// The file in the plugins directory that stands for a connector, by its id or by its own name; also of one that is refused.
fn file_of(registry: &Registry, home: &Home, name: &str) -> Result<PathBuf> {
    if let Some(library) = registry.libraries().find(|library| library.id() == name) {
        return Ok(library.entry.clone());
    }
    // Where a build output counts, it is the one that is meant.
    let built = entry(home, name);
    if registry.refused().iter().any(|refusal| refusal.path == built) {
        return Ok(built);
    }
    let is_meant = |path: &PathBuf| path.file_name().is_some_and(|file| file == name);
    let refused = registry.refused().iter();
    let mut refused =
        refused.filter(|refusal| refusal.id.as_deref() == Some(name) || is_meant(&refusal.path));
    match (refused.next(), refused.next()) {
        (Some(one), None) => return Ok(one.path.clone()),
        (Some(_), Some(_)) => {
            let text = format!("several files are called `{}`", name.escape_debug());
            let hint = format!("name the file: one of those in {}", home.plugins().display());
            return Err(Error::new(ErrorKind::Usage, text).hint(hint));
        }
        (None, _) => {}
    }
    if let Some(library) = registry.libraries().find(|library| is_meant(&library.entry)) {
        return Ok(library.entry.clone());
    }
    registry.find(name).map(|library| library.entry.clone())
}
