//! `jackfield connector`

mod new;

use clap::Subcommand;
use jackfield::{
    Result,
    home::Home,
    plugins::{Library, Registry},
};
use serde_json::{Value, json};

use super::output::{self, Format};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// List the connectors in the plugins directory
    List {
        /// How to print it
        #[arg(short, long, value_enum, default_value = "table")]
        output: Format,
    },
    /// Show what a connector is and what it may do
    Show {
        /// The connector's id
        connector: String,
        /// How to print it; `json` is the whole manifest
        #[arg(short, long, value_enum, default_value = "table")]
        output: Format,
    },
    /// Write the crate of a new connector, green from its first test
    New(new::New),
}

impl Command {
    pub(crate) fn format(&self) -> Format {
        match self {
            Self::List { output } | Self::Show { output, .. } => *output,
            Self::New(_) => Format::Table,
        }
    }

    pub(crate) fn run(self, home: &dyn Fn() -> Result<Home>) -> Result<()> {
        let registry = || {
            let home = home()?;
            home.must_exist()?;
            Registry::scan(&home.plugins())
        };
        match self {
            Self::List { output } => list(&registry()?, output),
            Self::Show { connector, output } => show(registry()?.find(&connector)?, output),
            Self::New(new) => return new.run(),
        }
        Ok(())
    }
}

fn list(registry: &Registry, format: Format) {
    let ready = registry.libraries().map(|library| {
        let manifest = &library.manifest;
        json!({
            "name": manifest.id, "version": manifest.version, "abi": library.probe.abi_crate,
            "actions": manifest.actions.len(), "triggers": manifest.triggers.len(), "state": "ready",
            "title": manifest.title, "path": library.path,
        })
    });
    let refused = registry.refused().iter().map(|refusal| {
        let name = refusal.id.clone().or_else(|| refusal.path.file_name().map(|name| name.to_string_lossy().into_owned()));
        json!({"name": name, "state": "refused", "reason": refusal.reason, "hint": refusal.hint, "path": refusal.path})
    });
    let items: Vec<Value> = ready.chain(refused).collect();
    let columns = ["name", "version", "abi", "actions", "triggers", "state"];
    let headers = columns.map(str::to_uppercase);
    let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
    output::list(format, &headers, &items, |item| {
        columns.iter().map(|name| output::cell(&item[*name])).collect()
    });
    if format == Format::Table {
        for refusal in registry.refused() {
            output::warn(&refusal.to_string(), refusal.hint.as_deref());
        }
    }
}

fn show(library: &Library, format: Format) {
    let manifest = &*library.manifest;
    match format {
        Format::Json => return output::json(manifest),
        Format::Ndjson => return output::json_line(manifest),
        Format::Name => return output::data(&manifest.id),
        Format::Table => {}
    }
    let hosts: Vec<String> = manifest
        .hosts
        .iter()
        .map(|rule| {
            format!("{}{}", rule.host, if rule.credential { "" } else { " (without the credential)" })
        })
        .collect();
    let auth: Vec<String> =
        manifest.auth.iter().map(|auth| format!("{} ({})", auth.name, auth.title)).collect();
    let bases: Vec<String> =
        manifest.bases.iter().map(|base| format!("{} {}", base.name, base.urls.join(" or "))).collect();
    let webhooks: Vec<&str> = manifest.webhooks.iter().map(|webhook| webhook.name.as_str()).collect();
    let facts = [
        ("title", manifest.title.clone()),
        ("about", manifest.description.clone()),
        ("version", manifest.version.clone()),
        ("file", library.path.display().to_string()),
        (
            "built with",
            format!("connector-abi {}, connector-api {}", library.probe.abi_crate, library.probe.api_crate),
        ),
        ("may reach", hosts.join(", ")),
        ("addresses", bases.join(", ")),
        ("sign-in", auth.join(", ")),
        ("needs", manifest.requires.join(", ")),
        ("webhooks", webhooks.join(", ")),
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
        let triggers =
            manifest.triggers.iter().map(|trigger| (trigger.name.as_str(), trigger.title.as_str())).collect();
        output::data(&format!("\ntriggers\n{}", names(triggers)));
    }
}
