//! `jackfield audit`

use clap::Args;
use jackfield::{Result, store::Audit as Entry};
use serde_json::json;

use super::{
    Everywhere,
    engine::Engine,
    output::{self, Format, Printing},
};

/// Look up who did what, the newest first: of all projects, or of one with --project
#[derive(Args)]
pub(crate) struct Audit {
    /// So many at most
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50)]
    limit: usize,
    #[command(flatten)]
    printing: Printing,
}

impl Audit {
    pub(crate) fn format(&self) -> Format {
        self.printing.output
    }

    pub(crate) fn run(self, everywhere: &Everywhere) -> Result<()> {
        let query = self.printing.query()?;
        let found: Vec<Entry> = Engine::find(everywhere)?.list("/v1/audit?newest=true", self.limit)?;
        let names: Vec<String> = found.iter().map(|one| one.seq.to_string()).collect();
        self.printing.print(query.as_ref(), &json!(found), &names, || {
            let row = |one: &Entry| {
                vec![
                    one.seq.to_string(),
                    one.at.strftime("%Y-%m-%d %H:%M:%S").to_string(),
                    one.project.clone(),
                    one.actor.clone(),
                    one.action.clone(),
                    one.target.clone(),
                    one.detail.clone().unwrap_or_default(),
                ]
            };
            let names = ["NUMBER", "WHEN", "PROJECT", "WHO", "DID", "TO", "MORE"];
            output::rows(&names, found.iter().map(row));
        })
    }
}
