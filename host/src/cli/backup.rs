//! `jackfield backup` and `jackfield restore`

use std::path::PathBuf;

use clap::Args;
use jackfield::{
    Result,
    server::Lock,
    store::{Restored, restore},
    system,
    vault::Vault,
};
use serde_json::json;

use super::{Everywhere, engine::Engine, output::say, user::sure};

/// Copy everything that is kept into a file, while everything goes on. The keys are not in it
#[derive(Args)]
pub(crate) struct Backup {
    /// The file, which must not be there yet
    file: PathBuf,
}

/// Put a copy in the place of everything that is kept
#[derive(Args)]
pub(crate) struct Restore {
    /// The copy
    file: PathBuf,
    /// Do not ask whether it is meant
    #[arg(long)]
    yes: bool,
}

impl Backup {
    pub(crate) fn run(self, everywhere: &Everywhere) -> Result<()> {
        let mut engine = Engine::find(everywhere)?;
        let file = std::path::absolute(&self.file).map_err(system::cannot("write", &self.file))?;
        let _: serde_json::Value =
            engine.ask("POST", "/v1/backup", Some(&json!({"file": file.display().to_string()})))?;
        say(&format!("everything that is kept is in {}; its secrets are sealed", file.display()));
        if let Ok(home) = engine.home() {
            say(&format!(
                "the keys that open them are not: keep a copy of {} too, and somewhere else",
                home.vault_keys().display()
            ));
        }
        Ok(())
    }
}

impl Restore {
    pub(crate) fn run(self, everywhere: &Everywhere) -> Result<()> {
        let home = everywhere.home()?;
        let question =
            format!("Put {} in the place of everything in {}?", self.file.display(), home.store().display());
        sure(everywhere, self.yes, &question)?;
        // Nobody may serve from what is taken away under them.
        let _lock = Lock::take(&home)?;
        let vault = Vault::at(home.vault_keys());
        let Restored { before } =
            restore(
                &home.store(),
                &self.file,
                |used| {
                    if used.is_empty() { Ok(()) } else { vault.must_fit(used) }
                },
            )?;
        say(&format!("{} is what {} was", home.store().display(), self.file.display()));
        if let Some(before) = before {
            say(&format!("what was there before is in {}", before.display()));
        }
        Ok(())
    }
}
