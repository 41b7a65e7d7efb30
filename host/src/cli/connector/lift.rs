//! `jackfield connector lift`

use clap::Args;
use jackfield::{Error, ErrorKind, Result, home::Home, worker::Supervisor};

use crate::cli::{completion, engine::registry, output, output::say};

/// Try a connector again that died too often, and the inputs it died of
#[derive(Args)]
pub(crate) struct Lift {
    /// The connector's id
    #[arg(add = completion::connectors())]
    connector: String,
}

impl Lift {
    pub(crate) fn run(self, home: &Home) -> Result<()> {
        let id = &self.connector;
        let supervisor = Supervisor::new(home.deaths());
        let (quarantines, deaths) = supervisor.lift(id)?;
        // It may be gone, and what was held against it still there.
        if quarantines.is_empty() && deaths == 0 {
            registry(home)?.find(id).map_err(|error| match error.kind {
                ErrorKind::Unknown => error,
                _ => Error::new(ErrorKind::Unknown, format!("nothing is held against `{id}`")),
            })?;
            say(&format!("nothing is held against {id}"));
            return Ok(());
        }
        let deaths = output::count(deaths, "death");
        match quarantines.last() {
            Some(quarantine) => {
                say(&format!("{id} is out of quarantine, where it was since {:.0}", quarantine.since));
                say(&format!(
                    "{deaths} of its workers are forgotten; the next five within a minute count again"
                ));
            }
            None => say(&format!("forgotten: {deaths} of its workers, and the inputs they died of")),
        }
        Ok(())
    }
}
