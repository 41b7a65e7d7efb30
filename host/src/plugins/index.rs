//! What was read of library files, kept between two runs.
//!
//! An entry counts for the very file it was read from: the same device and inode, the same size, the same times. It is an
//! aid and nothing more: without it, or with one that cannot be read, the files are read again. It also remembers which
//! libraries a worker has proved. Manifests are not in it, and neither is whether a file may be trusted.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};

use super::library::{Head, Identity, Refusal};

/// The shape of the file. One of another shape is not read.
const FORMAT: u32 = 2;

/// How old a change of a file must be before what was read is kept: a clock that stands still for a moment would hide a
/// second change.
const SETTLED: Duration = Duration::from_secs(2);

/// What was found in a file: what it declares, or why it is not used.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Found {
    Library(Box<Head>),
    Refused(Refusal),
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Entry {
    identity: Identity,
    found: Found,
}

/// What was read, by the name of the file.
#[derive(Debug, Clone, Default)]
pub(super) struct Index {
    /// Where it is kept, if it is.
    path: Option<PathBuf>,
    entries: BTreeMap<String, Entry>,
    changed: bool,
}

/// What the file holds. What one host refuses another may take, so it is for one version alone.
#[derive(Serialize, Deserialize)]
struct Kept<'a> {
    format: u32,
    jackfield: &'a str,
    entries: BTreeMap<String, Entry>,
}

impl Index {
    /// The index that is kept in this file.
    pub(super) fn read(path: Option<PathBuf>) -> Self {
        let bytes = path.as_ref().and_then(|path| fs::read(path).ok()).unwrap_or_default();
        let kept = serde_json::from_slice::<Kept<'_>>(&bytes).ok();
        let kept = kept.filter(|kept| kept.format == FORMAT && kept.jackfield == env!("CARGO_PKG_VERSION"));
        Self { path, entries: kept.map_or_else(BTreeMap::new, |kept| kept.entries), changed: false }
    }

    /// What was found in a file of this name, if it is still the same file.
    pub(super) fn get(&self, name: &str, identity: &Identity) -> Option<&Found> {
        self.entries.get(name).filter(|entry| entry.identity == *identity).map(|entry| &entry.found)
    }

    /// Keeps what was found in a file.
    pub(super) fn put(&mut self, name: &str, identity: Identity, found: Found) {
        let age = identity.changed().and_then(|changed| SystemTime::now().duration_since(changed).ok());
        if age.is_some_and(|age| age >= SETTLED) {
            self.entries.insert(name.to_owned(), Entry { identity, found });
            self.changed = true;
        }
    }

    /// Notes that a worker has found the manifest of this file to be what its code declares.
    pub(super) fn verified(&mut self, name: &str, identity: &Identity) {
        let entry = self.entries.get_mut(name).filter(|entry| entry.identity == *identity);
        if let Some(Entry { found: Found::Library(head), .. }) = entry
            && !head.verified
        {
            head.verified = true;
            self.changed = true;
        }
    }

    /// Forgets files that are no longer there.
    pub(super) fn retain(&mut self, names: &[String]) {
        let count = self.entries.len();
        self.entries.retain(|name, _| names.contains(name));
        self.changed |= self.entries.len() != count;
    }

    /// Writes it down, if anything has changed. That it cannot be written keeps nobody from working.
    pub(super) fn save(&mut self) {
        if let (true, Some(path)) = (std::mem::take(&mut self.changed), &self.path)
            && let Err(error) = self.write(path)
        {
            tracing::debug!("what was read of the libraries is not kept: {error}");
        }
    }

    fn write(&self, path: &Path) -> io::Result<()> {
        let kept =
            Kept { format: FORMAT, jackfield: env!("CARGO_PKG_VERSION"), entries: self.entries.clone() };
        // Several commands may do so at once: each writes a file of its own, and the last one stays.
        let temporary = path.with_extension(format!("json.{}", std::process::id()));
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        let written = file.write_all(&serde_json::to_vec(&kept)?).and_then(|()| fs::rename(&temporary, path));
        if written.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        written
    }
}
