//! `cargo xtask manifests`: the manifests that the connectors' types declare.
//!
//! Each connector's own test derives its manifest; this runs them all, writes the schemas of manifests, of forms and of
//! their keywords, and compares with what was released.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::Args;
use connector_protocol::{Manifest, compat};

use crate::{
    Result,
    run::{cargo, root, run},
};

/// Write the manifests that the connectors' types declare, and the schema of manifests
#[derive(Args)]
pub(crate) struct Manifests {
    /// Change nothing; fail if a file is not what it should be
    #[arg(long, conflicts_with_all = ["compat", "release"])]
    check: bool,
    /// Change nothing; fail if a manifest breaks what its released one promised and its version does not say so
    #[arg(long, conflicts_with = "release")]
    compat: bool,
    /// Keep the manifests as they are now as the released ones
    #[arg(long)]
    release: bool,
}

impl Manifests {
    pub(crate) fn run(self) -> Result {
        let directory = root().join("manifests");
        if self.compat {
            return compare(&directory);
        }
        if self.release {
            return release(&directory);
        }
        write_schema(&directory.join("connector.schema.json"), self.check)?;
        let mut tests: Vec<Vec<String>> = connectors()?
            .into_iter()
            .map(|name| {
                vec![format!("--package=connector-{name}"), "connector_tests::manifest_is_current".to_owned()]
            })
            .collect();
        let forms = ["--package=jackfield", "--test=forms", "model::the_schemas_are_current"];
        tests.push(forms.map(str::to_owned).into());
        for test in tests {
            let mut command = cargo();
            command.args(["test", "--quiet"]).args(test);
            if !self.check {
                command.env("JACKFIELD_UPDATE", "1");
            }
            run(&mut command).map_err(|error| format!("{error}\nto rewrite it: cargo xtask manifests"))?;
        }
        Ok(())
    }
}

/// The connectors of the workspace: those that are shipped, and those that only the tests have.
fn connectors() -> Result<Vec<String>> {
    let mut names = Vec::new();
    for directory in ["connectors", "tests/connectors"] {
        let entries =
            fs::read_dir(root().join(directory)).map_err(|error| format!("{directory}: {error}"))?;
        let found = entries.flatten().filter(|entry| entry.path().join("Cargo.toml").exists());
        names.extend(found.map(|entry| entry.file_name().to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}

fn write_schema(path: &Path, check: bool) -> Result {
    let schema = schemars::schema_for!(Manifest);
    let text = serde_json::to_string_pretty(&schema).map_err(|error| error.to_string())? + "\n";
    if !check {
        return fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()));
    }
    match fs::read_to_string(path) {
        Ok(committed) if committed == text => Ok(()),
        _ => Err(
            "manifests/connector.schema.json is not what the type says; to rewrite it: cargo xtask manifests"
                .to_owned(),
        ),
    }
}

/// The manifests in a directory, by file name.
fn manifests(directory: &Path) -> Result<Vec<(PathBuf, Manifest)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.ends_with(".json") && !name.ends_with(".schema.json") {
            let bytes = fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            found.push((
                path.clone(),
                Manifest::read(&bytes).map_err(|error| format!("{}: {error}", path.display()))?,
            ));
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(found)
}

fn compare(directory: &Path) -> Result {
    let current = manifests(directory)?;
    let released = manifests(&directory.join("released"))?;
    if released.is_empty() {
        println!("nothing was released yet");
    }
    let mut broken = Vec::new();
    for (path, old) in released {
        let Some((_, new)) = current.iter().find(|(_, manifest)| manifest.id == old.id) else {
            broken.push(format!("{}: the connector `{}` is gone", path.display(), old.id));
            continue;
        };
        let breaks = compat::breaking_changes(&old, new);
        println!("{}: {} against {}: {} breaking change(s)", old.id, new.version, old.version, breaks.len());
        if !breaks.is_empty() && !compat::version_says_so(&old, new) {
            broken.push(format!(
                "{}: version {} does not say that it breaks:\n  {}",
                old.id,
                new.version,
                breaks.join("\n  ")
            ));
        }
    }
    if broken.is_empty() { Ok(()) } else { Err(broken.join("\n")) }
}

fn release(directory: &Path) -> Result {
    let released = directory.join("released");
    fs::create_dir_all(&released).map_err(|error| error.to_string())?;
    for (path, manifest) in manifests(directory)? {
        let target = released.join(path.file_name().unwrap_or_default());
        fs::copy(&path, &target).map_err(|error| format!("{}: {error}", target.display()))?;
        println!("released {} {}", manifest.id, manifest.version);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn manifest() -> Value {
        let bytes = fs::read(root().join("manifests/zoom.json")).unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }

    /// Compares a manifest with the one of today, as if that had been released.
    fn after(change: impl FnOnce(&mut Value)) -> Result {
        let directory = tempfile::tempdir().unwrap();
        let mut changed = manifest();
        change(&mut changed);
        let write =
            |name: &str, value: &Value| fs::write(directory.path().join(name), value.to_string()).unwrap();
        write("zoom.json", &manifest());
        release(directory.path()).unwrap();
        write("zoom.json", &changed);
        compare(directory.path())
    }

    #[test]
    fn what_was_released_stays_true_until_the_version_says_otherwise() {
        assert_eq!(after(|_| {}), Ok(()));
        assert_eq!(after(|new| new["actions"][0]["title"] = json!("Make Meeting")), Ok(()));

        let gone = |new: &mut Value| drop(new["actions"].as_array_mut().unwrap().remove(0));
        let error = after(gone).unwrap_err();
        assert!(error.contains("does not say that it breaks") && error.contains("create_meeting"), "{error}");
        let said = |new: &mut Value| {
            gone(new);
            new["version"] = json!("0.2.0");
        };
        assert_eq!(after(said), Ok(()));

        let error = after(|new| new["id"] = json!("zoomy")).unwrap_err();
        assert!(error.contains("the connector `zoom` is gone"), "{error}");
    }
}
