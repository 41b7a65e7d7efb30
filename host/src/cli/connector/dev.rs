//! `jackfield connector dev`

use std::path::PathBuf;

use clap::Args;
use jackfield::{
    Error, ErrorKind, Result,
    home::Home,
    plugins::{self, Trust, dev, pins},
};

use super::{add::absolute, verify};
use crate::cli::{engine::registry, output::say};

/// Use a build output where it lies, instead of a library in the plugins directory
#[derive(Args)]
#[command(after_help = "\
After each build the new library is used. `jackfield connector remove` takes it out again, and leaves the build output.")]
pub(crate) struct Dev {
    /// The library, where it is built, such as target/debug/libacme.so
    #[arg(value_name = "PATH")]
    library: PathBuf,
}

impl Dev {
    pub(crate) fn run(self, home: &Home) -> Result<()> {
        let path = absolute(&self.library)?;
        if pins::Pins::load(home)?.is_some() {
            return Err(pins::in_force("a build output cannot be pinned")
                .hint(format!("pin a copy: jackfield connector add {}", self.library.display())));
        }
        if !path.exists() {
            return Err(Error::new(ErrorKind::Usage, format!("there is no file {}", path.display()))
                .hint("build it first: cargo build"));
        }
        let library = verify::prove(&path, home)?;
        dev::check(&library)?;
        let id = library.id();
        let before = registry(home)?;
        if plugins::close(home)? {
            say(&format!("closed {} to others (mode 700)", home.plugins().display()));
        }
        let entry = dev::write(home, id, &path)?;
        say(&format!("{id} {} is used where it is built: {}", library.head.version, path.display()));
        let aside = before.libraries().find(|there| there.id() == id && there.trust != Trust::Dev);
        if let Some(aside) = aside {
            say(&format!("{} is not used meanwhile", aside.entry.display()));
        }
        say(&format!("wrote {}; take it out again: jackfield connector remove {id}", entry.display()));
        Ok(())
    }
}
