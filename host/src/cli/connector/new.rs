//! `jackfield connector new`: a crate that is green from its first test.
//!
//! It brings `connector-api` along, so that a connector can be written with this binary and `cargo` alone.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::Args;
use jackfield::{Error, ErrorKind, Result, system};

use crate::cli::output::say;

/// The crate that connectors are written against, as it is in this repository.
macro_rules! api {
    ($($path:literal),+ $(,)?) => {
        &[$(($path, include_str!(concat!("../../../../connector-api/", $path)))),+]
    };
}

const API: &[(&str, &str)] = api![
    "Cargo.toml",
    "README.md",
    "abi/Cargo.toml",
    "abi/README.md",
    "abi/src/lib.rs",
    "abi/src/message.rs",
    "abi/src/probe.rs",
    "protocol/Cargo.toml",
    "protocol/README.md",
    "protocol/src/answers.rs",
    "protocol/src/check.rs",
    "protocol/src/check/setup.rs",
    "protocol/src/check/webhooks.rs",
    "protocol/src/compat.rs",
    "protocol/src/effort.rs",
    "protocol/src/error.rs",
    "protocol/src/json.rs",
    "protocol/src/keywords.rs",
    "protocol/src/lib.rs",
    "protocol/src/manifest.rs",
    "protocol/src/manifest/auth.rs",
    "protocol/src/manifest/operation.rs",
    "protocol/src/manifest/setup.rs",
    "protocol/src/manifest/webhook.rs",
    "protocol/src/message.rs",
    "protocol/src/name.rs",
    "protocol/src/path.rs",
    "protocol/src/sample.rs",
    "protocol/src/schema.rs",
    "protocol/src/template.rs",
    "protocol/src/validate.rs",
    "src/action.rs",
    "src/connector.rs",
    "src/context.rs",
    "src/decode.rs",
    "src/export.rs",
    "src/form.rs",
    "src/guard.rs",
    "src/lib.rs",
    "src/manifest.rs",
    "src/paging.rs",
    "src/refusal.rs",
    "src/rules.rs",
    "src/testing.rs",
    "src/trigger.rs",
    "src/types.rs",
    "tests/acme.json",
];

macro_rules! template {
    ($($path:literal from $file:literal),+ $(,)?) => {
        &[$(($path, include_str!(concat!("../../../templates/connector/", $file)))),+]
    };
}

const TEMPLATE: &[(&str, &str)] = template![
    ".gitignore" from "gitignore.txt",
    "Cargo.toml" from "Cargo.toml.txt",
    "README.md" from "README.md.txt",
    "manifest.json" from "manifest.json.txt",
    "src/get_item.rs" from "src/get_item.rs.txt",
    "src/lib.rs" from "src/lib.rs.txt",
    "src/new_item.rs" from "src/new_item.rs.txt",
    "tests/fixtures/get_item.found.json" from "tests/fixtures/get_item.found.json.txt",
    "tests/fixtures/get_item.missing.json" from "tests/fixtures/get_item.missing.json.txt",
    "tests/fixtures/new_item.down.json" from "tests/fixtures/new_item.down.json.txt",
    "tests/fixtures/new_item.first.json" from "tests/fixtures/new_item.first.json.txt",
];

/// Write the crate of a new connector, green from its first test
#[derive(Args)]
pub(crate) struct New {
    /// The connector's id: lower-case letters, digits and hyphens
    name: String,
    /// Where to write it [default: a directory of that name, here]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl New {
    pub(crate) fn run(self) -> Result<()> {
        let id = self.name;
        let fits = id.starts_with(|c: char| c.is_ascii_lowercase())
            && id.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
            && !id.ends_with('-')
            && id.len() <= 40;
        if !fits {
            let text = format!("`{}` cannot be the id of a connector", id.escape_debug());
            let hint = "use lower-case letters, digits and hyphens, beginning with a letter: jackfield connector new acme";
            return Err(Error::new(ErrorKind::Usage, text).hint(hint));
        }
        let dir = self.dir.unwrap_or_else(|| PathBuf::from(&id));
        if fs::read_dir(&dir).is_ok_and(|mut entries| entries.next().is_some()) {
            let text = format!("{} is there already, and not empty", dir.display());
            return Err(Error::new(ErrorKind::Usage, text).hint("choose another place: --dir DIR"));
        }
        let lib = id.replace('-', "_");
        let title = title(&id);
        let fill = |text: &str| text.replace("{id}", &id).replace("{lib}", &lib).replace("{title}", &title);
        for (path, text) in TEMPLATE {
            write(&dir.join(path), &fill(text))?;
        }
        for (path, text) in API {
            write(&dir.join("vendor/connector-api").join(path), text)?;
        }
        say(&format!("wrote a connector to {}", dir.display()));
        say(&format!("next: cd {} && cargo test", dir.display()));
        Ok(())
    }
}

/// `acme-crm` as `Acme Crm`.
fn title(id: &str) -> String {
    let word = |word: &str| {
        let mut characters = word.chars();
        characters
            .next()
            .map_or_else(String::new, |first| first.to_uppercase().collect::<String>() + characters.as_str())
    };
    id.split('-').map(word).collect::<Vec<_>>().join(" ")
}

fn write(path: &Path, text: &str) -> Result<()> {
    let failed = system::cannot("write", path);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(failed)?;
    }
    fs::write(path, text).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every file of the crate is brought along, or an author's build would miss it.
    #[test]
    fn the_whole_of_connector_api_is_brought_along() {
        fn walk(dir: &Path, root: &Path, found: &mut Vec<String>) {
            for entry in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()) {
                if entry.is_dir() {
                    walk(&entry, root, found);
                } else {
                    found.push(entry.strip_prefix(root).unwrap().display().to_string());
                }
            }
        }
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../connector-api");
        let mut found = Vec::new();
        walk(&root, &root, &mut found);
        // Whether the ABI is still what it was is this repository's business.
        found.retain(|path| !path.starts_with("abi/tests/"));
        found.sort();
        let mut brought: Vec<String> = API.iter().map(|(path, _)| (*path).to_owned()).collect();
        brought.sort();
        assert_eq!(brought, found);
    }

    #[test]
    fn a_name_becomes_a_title() {
        assert_eq!(title("acme"), "Acme");
        assert_eq!(title("acme-crm2"), "Acme Crm2");
    }
}
