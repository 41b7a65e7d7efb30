//! `jackfield connector lock`

use std::sync::Arc;

use clap::Args;
use jackfield::{
    Error, ErrorKind, Result,
    home::Home,
    plugins::{
        Library, Registry, Trust,
        pins::{Pin, Pins},
    },
};

use crate::cli::{
    completion,
    engine::registry,
    output::{say, warn},
};

/// Pin the libraries that are there: from then on no other is used
#[derive(Args)]
#[command(after_help = "\
Which libraries may be used is written to plugins.lock, by version and SHA-256. A library that is not in it, or that differs
from what is in it, is refused. What is already pinned stays pinned unless it is named.")]
pub(crate) struct Lock {
    /// The connectors to pin [default: all that are ready]
    #[arg(value_name = "CONNECTOR", add = completion::pinnable())]
    connectors: Vec<String>,
    /// Pin nothing any more: every good library in the plugins directory is used again
    #[arg(long, conflicts_with = "connectors")]
    off: bool,
}

impl Lock {
    pub(crate) fn run(self, home: &Home) -> Result<()> {
        let file = home.pins();
        if self.off {
            let text = match Pins::remove(home)? {
                true => format!(
                    "removed {}: every good library in {} is used again",
                    file.display(),
                    home.plugins().display()
                ),
                false => format!("there is no {}: nothing is pinned", file.display()),
            };
            say(&text);
            return Ok(());
        }
        let before = Pins::load(home)?;
        let registry = registry(home)?;
        let chosen = self.chosen(&registry)?;
        if chosen.is_empty() && before.is_none() {
            return Err(Error::new(ErrorKind::Usage, "there is no connector to pin")
                .hint("see what is there: jackfield connector list"));
        }
        let mut pins = before.clone().unwrap_or_default();
        let mut said = Vec::new();
        for library in chosen {
            let (id, pin) = (library.id(), Pin::of(library));
            said.push(match pins.0.insert(id.to_owned(), pin.clone()) {
                None => format!("pinned {id} {}", pin.short()),
                Some(old) if old == pin => format!("{id} {} is pinned already", pin.short()),
                Some(old) => format!("pinned {id} {}; it was {}", pin.short(), old.short()),
            });
        }
        pins.save(home)?;
        said.iter().for_each(|line| say(line));
        if before.is_none() {
            say(&format!("wrote {}: from now on no other library is used", file.display()));
        }
        left_out(&registry, &pins);
        Ok(())
    }

    fn chosen<'a>(&self, registry: &'a Registry) -> Result<Vec<&'a Arc<Library>>> {
        if self.connectors.is_empty() {
            return Ok(registry.libraries().filter(|library| library.trust != Trust::Dev).collect());
        }
        let find = |id: &String| {
            if let Some(library) = registry.unpinned().find(|library| library.id() == id) {
                return Ok(library);
            }
            let library = registry.find(id)?;
            if library.trust != Trust::Dev {
                return Ok(library);
            }
            let text = format!("`{id}` is a build output, and will be another file after the next build");
            let hint = format!("pin a copy: jackfield connector add {}", library.path.display());
            Err(Error::new(ErrorKind::Usage, text).hint(hint))
        };
        self.connectors.iter().map(find).collect()
    }
}

/// Says what is there and not used, because it is not what is pinned.
fn left_out(registry: &Registry, pins: &Pins) {
    for library in registry.libraries().chain(registry.unpinned()) {
        let id = library.id();
        if library.trust == Trust::Dev {
            let hint = format!("take it out: jackfield connector remove {id}");
            warn(&format!("{id} is a build output, and not used while plugins.lock is there"), Some(&hint));
        } else if pins.0.get(id) != Some(&Pin::of(library)) {
            let hint = format!("if you mean it: jackfield connector lock {id}");
            warn(&format!("{id} {} is not pinned, and not used", Pin::of(library).short()), Some(&hint));
        }
    }
}
