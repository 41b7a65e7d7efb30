//! `jackfield secret`

use clap::Subcommand;
use jackfield::{Result, connections::rotate::Rotated};
use serde_json::json;

use super::{
    Everywhere,
    engine::Engine,
    output::{self, Format, Printing},
};

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Seal all secrets with another master key, while everything goes on; goes on where one was cut off
    RotateKey {
        #[command(flatten)]
        printing: Printing,
    },
}

impl Command {
    pub(crate) fn format(&self) -> Format {
        match self {
            Self::RotateKey { printing } => printing.output,
        }
    }

    pub(crate) fn run(self, everywhere: &Everywhere) -> Result<()> {
        let Self::RotateKey { printing } = self;
        let query = printing.query()?;
        let done: Rotated = Engine::find(everywhere)?.ask("POST", "/v1/secrets/rotate-key", None::<&()>)?;
        printing.print(query.as_ref(), &json!(done), std::slice::from_ref(&done.key), || {
            output::data(&format!("{}\n", done.key));
            let again = if done.resumed { "went on where it had ended, and " } else { "" };
            let count = usize::try_from(done.resealed).unwrap_or(usize::MAX);
            output::say(&format!("{again}sealed the secrets of {} again", output::count(count, "owner")));
            if !done.damaged.is_empty() {
                let list: Vec<&str> = done.damaged.iter().map(String::as_str).collect();
                output::warn(
                    &format!("the secrets of {} cannot be opened, and stay as they are", list.join(", ")),
                    Some("connect those accounts again, or set those integrations up again; then rotate once more"),
                );
            }
            output::say("keep a copy of keys/vault.keys apart from backups: without it they cannot be read");
            output::say("backups from before need the key from before: keep its copy for as long as you keep them");
        })
    }
}
