//! `jackfield connector remove`

use std::fs;

use clap::Args;
use jackfield::{
    Error, ErrorKind, Result,
    config::{Config, Integration},
    home::Home,
    plugins::{Trust, pins::Pins},
    store::Wanted,
    system,
};

use super::file_of;
use crate::cli::{
    Everywhere, completion,
    engine::{Engine, registry},
    output::say,
    prompt,
};

/// Take a connector out of the plugins directory
#[derive(Args)]
pub(crate) struct Remove {
    /// The connector's id, or the name of its file
    #[arg(add = completion::connectors())]
    connector: String,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

impl Remove {
    pub(crate) fn run(self, everywhere: &Everywhere) -> Result<()> {
        let home = everywhere.home()?;
        let registry = registry(&home)?;
        let path = file_of(&registry, &home, &self.connector)?;
        let library = registry.libraries().find(|library| library.entry == path);
        let refused = registry.refused().iter().find(|refusal| refusal.path == path);
        let id = library
            .map(|library| library.id().to_owned())
            .or_else(|| refused.and_then(|refusal| refusal.id.clone()));
        let output = library.filter(|library| library.trust == Trust::Dev).map(|library| &library.path);
        let is_output = path.extension().is_some_and(|extension| extension == "dev");
        // A build output has no pin; one of that name is of the library that it stands for.
        let pins = if is_output { None } else { Pins::load(&home).ok().flatten() };
        let pins = pins.filter(|pins| id.as_ref().is_some_and(|id| pins.0.contains_key(id)));
        if let Some(output) = output {
            say(&format!("the build output stays: {}", output.display()));
        }
        if let Some(id) = &id {
            say_what_stays(everywhere, &home, id);
            if pins.is_some() {
                say("its pin in plugins.lock goes with it");
            }
        }
        if !self.yes {
            if !everywhere.can_ask() {
                let text = format!("removing `{}` has to be confirmed", self.connector);
                let hint =
                    format!("say that you mean it: jackfield connector remove {} --yes", self.connector);
                return Err(Error::new(ErrorKind::Usage, text).hint(hint));
            }
            if !prompt::confirm(&format!("Remove {}?", path.display())) {
                return Err(Error::new(ErrorKind::Cancelled, "cancelled; nothing was removed"));
            }
        }
        fs::remove_file(&path).map_err(system::cannot("remove", &path))?;
        say(&format!("removed {}", path.display()));
        if let (Some(mut pins), Some(id)) = (pins, &id) {
            pins.0.remove(id);
            pins.save(&home)?;
            say(&format!("took {id} out of {}", home.pins().display()));
        }
        Ok(())
    }
}

/// Says what belongs to a connector and is not removed with its library.
fn say_what_stays(everywhere: &Everywhere, home: &Home, id: &str) {
    let config = Config::load(home).unwrap_or_default();
    if let Some(Integration { endpoints, token_file }) = config.integrations.get(id) {
        let mut parts: Vec<String> =
            endpoints.iter().map(|(base, url)| format!("its `{base}` at {url}")).collect();
        parts.extend(token_file.as_ref().map(|file| format!("its token in {}", file.display())));
        let parts = if parts.is_empty() { String::new() } else { format!(": {}", parts.join(", ")) };
        say(&format!("[integrations.{id}] in {} stays{parts}", home.config().display()));
    }
    let wanted = Wanted { connector: Some(id.to_owned()), most: Some(1), ..Wanted::default() };
    // Where nothing was ever run, there is no store to ask.
    let is_recorded = home.store().exists()
        && Engine::find(everywhere)
            .and_then(|mut engine| engine.invocations(wanted))
            .is_ok_and(|found| !found.is_empty());
    if is_recorded {
        say(&format!("what was run of it stays recorded: jackfield invocation list --action {id}"));
    }
}
