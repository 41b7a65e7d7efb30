//! `jackfield serve`

use clap::Args;
use jackfield::{Error, ErrorKind, Result, api::Health, server::Server};

use super::{
    Everywhere,
    output::{self, say},
    served::Served,
    signals::Stoppable,
};

/// Stay, and do for other commands what they would do themselves
#[derive(Args)]
pub(crate) struct Serve {
    /// Let the one that serves this home finish what it does, and end it
    #[arg(long)]
    drain: bool,
}

impl Serve {
    pub(crate) fn run(self, everywhere: &Everywhere) -> Result<()> {
        let home = everywhere.home()?;
        let failed = |error| Error::new(ErrorKind::Internal, format!("no runtime: {error}"));
        if self.drain {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
            return runtime.block_on(async {
                if jackfield::server::connect(&home).await?.is_none() {
                    say(&format!("nobody serves {}", home.path().display()));
                    return Ok(());
                }
                let health: Health = Served::of(home.clone()).post("/v1/drain").await?;
                say(&format!(
                    "process {} ends when it has finished {}",
                    health.pid,
                    output::count(health.running, "invocation")
                ));
                Ok(())
            });
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(failed)?;
        let done = runtime.block_on(async {
            let server = Server::open(&home).await?;
            let (health, address) = (server.health(), server.address()?);
            let stoppable = Stoppable::begin()?;
            say(&format!(
                "serving {} at http://{address} as process {}, with {}; Ctrl-C ends it",
                home.path().display(),
                health.pid,
                output::count(health.connectors, "connector")
            ));
            let end = async {
                stoppable.stopped().await;
                say("finishing what is under way; once more ends it at once");
            };
            server.serve(end).await
        });
        // What is still dripping does not hold the process up.
        runtime.shutdown_background();
        if done.is_ok() {
            say("ended");
        }
        done
    }
}
