//! The plugins directory as a whole: which connectors are there, and which files are not used.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use connector_protocol::{Error, ErrorKind, Result, did_you_mean};

use super::library::{Library, Refusal};

/// The connectors of a home.
#[derive(Debug, Default)]
pub struct Registry {
    libraries: BTreeMap<String, Library>,
    refused: Vec<Refusal>,
    /// Ids that several good files have, and one of those files each.
    twice: BTreeMap<String, PathBuf>,
}

impl Registry {
    /// Reads every library in the directory. A file that cannot be used is noted and hinders nothing.
    ///
    /// # Errors
    ///
    /// If the directory itself cannot be read.
    pub fn scan(directory: &Path) -> Result<Self> {
        let failed = |error: std::io::Error| {
            Error::new(ErrorKind::Config, format!("cannot read {}: {error}", directory.display()))
        };
        let mut paths = Vec::new();
        for entry in fs::read_dir(directory).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            // What begins with a dot is a file on its way here.
            let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
            if !hidden && path.extension().is_some_and(|extension| extension == "so") {
                paths.push(path);
            }
        }
        paths.sort();
        let mut registry = Self::default();
        for path in paths {
            match Library::read(&path) {
                Ok(library) => registry.add(library),
                Err(refusal) => registry.refused.push(refusal),
            }
        }
        Ok(registry)
    }

    /// Of two libraries with one id neither is used: which one was meant, nobody can tell.
    fn add(&mut self, library: Library) {
        let id = library.id().to_owned();
        let twin = |path: &Path, other: &Path| {
            let mut refusal =
                Refusal::new(path, format!("is the connector `{id}`, and so is {}", other.display()))
                    .hint("remove one of the two");
            refusal.id = Some(id.clone());
            refusal
        };
        if let Some(first) = self.libraries.remove(&id) {
            self.refused.push(twin(&first.path, &library.path));
            self.refused.push(twin(&library.path, &first.path));
            self.twice.insert(id, first.path);
        } else if let Some(first) = self.twice.get(&id) {
            self.refused.push(twin(&library.path, first));
        } else {
            self.libraries.insert(id, library);
        }
    }

    /// The connectors, by id.
    pub fn libraries(&self) -> impl Iterator<Item = &Library> {
        self.libraries.values()
    }

    /// The files that are not used.
    #[must_use]
    pub fn refused(&self) -> &[Refusal] {
        &self.refused
    }

    /// The connector of this id.
    ///
    /// # Errors
    ///
    /// If there is none; where its file was refused, why.
    pub fn find(&self, id: &str) -> Result<&Library> {
        if let Some(library) = self.libraries.get(id) {
            return Ok(library);
        }
        if let Some(refusal) = self.refused.iter().find(|refusal| refusal.id.as_deref() == Some(id)) {
            return Err(refusal.clone().into());
        }
        // A file that says nothing of itself may still be called like it.
        let file = format!("lib{id}.so");
        let named = |refusal: &&Refusal| {
            refusal.id.is_none() && refusal.path.file_name().is_some_and(|name| name == file.as_str())
        };
        if let Some(refusal) = self.refused.iter().find(named) {
            return Err(refusal.clone().into());
        }
        let hint = match did_you_mean(id, self.libraries.keys().map(String::as_str)) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => "see what is there: jackfield connector list".to_owned(),
        };
        Err(Error::new(ErrorKind::Unknown, format!("there is no connector `{}`", id.escape_debug()))
            .hint(hint))
    }
}
