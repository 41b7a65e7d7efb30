//! `jackfield init`

use std::path::PathBuf;

use clap::Args;
use jackfield::{Error, ErrorKind, Result, home::Home};

use super::{Everywhere, connector, output::say};

/// Make a home directory, or what is missing of it; nothing that is there is changed
#[derive(Args)]
pub(crate) struct Init {
    /// Where [default: $JACKFIELD_HOME, else ~/.jackfield]
    dir: Option<PathBuf>,
}

impl Init {
    pub(crate) fn run(self, everywhere: &Everywhere) -> Result<()> {
        let given = match (self.dir, everywhere.home.clone()) {
            (Some(_), Some(_)) => {
                return Err(Error::new(ErrorKind::Usage, "the home is named twice: as DIR and with --home")
                    .hint("give one of the two"));
            }
            (dir, home) => dir.or(home),
        };
        let flag = given.as_ref().map_or(String::new(), |dir| format!(" --home {}", dir.display()));
        let home = Home::locate(given)?;
        let new = home.create()?;
        let path = home.path().display();
        say(&if new { format!("made a home at {path}") } else { format!("the home at {path} is complete") });
        let installed = connector::installed().join(", ");
        let which = if installed.is_empty() { "FILE" } else { &installed };
        say(&format!("add a connector: jackfield{flag} connector add {which}"));
        Ok(())
    }
}
