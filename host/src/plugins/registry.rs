//! The plugins directory as a whole: which connectors are there, and which files are not used. It looks again when it is told
//! to; it watches nothing.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use connector_protocol::{Error, ErrorKind, Result, did_you_mean};

use super::{
    index::{Found, Index},
    library::{Identity, Library, Refusal},
};
use crate::system;

/// The connectors of a home.
#[derive(Debug, Default)]
pub struct Registry {
    libraries: BTreeMap<String, Arc<Library>>,
    refused: Vec<Refusal>,
    /// Ids that several good files have, and one of those files each.
    twice: BTreeMap<String, PathBuf>,
    /// The files that there were, as they were.
    files: Vec<(PathBuf, Option<Identity>)>,
    index: Mutex<Index>,
}

impl Registry {
    /// Reads every library in the directory. A file that cannot be used is noted and hinders nothing. What was read is kept
    /// in the file `index`, if there is to be one.
    ///
    /// # Errors
    ///
    /// If the directory itself cannot be read.
    pub fn scan(directory: &Path, index: Option<PathBuf>) -> Result<Self> {
        Self::read(files(directory)?, Index::read(index))
    }

    /// The same directory as it is now; `None` if nothing in it has changed.
    ///
    /// # Errors
    ///
    /// If the directory itself cannot be read.
    pub fn again(&self, directory: &Path) -> Result<Option<Self>> {
        let files = files(directory)?;
        if files == self.files {
            return Ok(None);
        }
        let index = std::mem::take(&mut *self.index.lock().unwrap_or_else(PoisonError::into_inner));
        // Libraries that are still the same are taken over as they are, with what is known of them.
        let mut registry = Self::read(files, index)?;
        for (id, library) in &mut registry.libraries {
            if let Some(known) = self
                .libraries
                .get(id)
                .filter(|known| known.path == library.path && known.identity == library.identity)
            {
                *library = known.clone();
            }
        }
        Ok(Some(registry))
    }

    fn read(files: Vec<(PathBuf, Option<Identity>)>, mut index: Index) -> Result<Self> {
        let mut registry = Self::default();
        let mut names = Vec::new();
        for (path, identity) in &files {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let known =
                identity.as_ref().and_then(|identity| Some((identity, index.get(&name, identity)?.clone())));
            match known {
                Some((identity, Found::Library(head))) => {
                    registry.add(Arc::new(Library::of(path, identity.clone(), *head)));
                }
                Some((_, Found::Refused(refusal))) => {
                    registry.refused.push(Refusal { path: path.clone(), ..refusal });
                }
                None => {
                    let read = Library::read(path);
                    if let Some(identity) = identity {
                        let found = match &read {
                            Ok(library) => Found::Library(Box::new(library.head.clone())),
                            Err(refusal) => Found::Refused(refusal.clone()),
                        };
                        index.put(&name, identity.clone(), found);
                    }
                    match read {
                        Ok(library) => registry.add(Arc::new(library)),
                        Err(refusal) => registry.refused.push(refusal),
                    }
                }
            }
            names.push(name);
        }
        index.retain(&names);
        index.save();
        registry.files = files;
        registry.index = Mutex::new(index);
        Ok(registry)
    }

    /// Notes that a worker has found a library's manifest to be what its code declares, so that no worker has to again.
    pub fn verified(&self, library: &Library) {
        let name = library.path.file_name().unwrap_or_default().to_string_lossy();
        let mut index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        index.verified(&name, &library.identity);
        index.save();
    }

    /// Of two libraries with one id neither is used: which one was meant, nobody can tell.
    fn add(&mut self, library: Arc<Library>) {
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
            self.twice.insert(id, first.path.clone());
        } else if let Some(first) = self.twice.get(&id) {
            self.refused.push(twin(&library.path, first));
        } else {
            self.libraries.insert(id, library);
        }
    }

    /// The connectors, by id.
    pub fn libraries(&self) -> impl Iterator<Item = &Arc<Library>> {
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
    pub fn find(&self, id: &str) -> Result<&Arc<Library>> {
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
            Some(meant) => format!("did you mean `{meant}`? see what is there: jackfield connector list"),
            None if self.libraries.is_empty() => {
                format!("add it: jackfield connector add {}", id.escape_debug())
            }
            None => "see what is there: jackfield connector list".to_owned(),
        };
        Err(Error::new(ErrorKind::Unknown, format!("there is no connector `{}`", id.escape_debug()))
            .hint(hint))
    }
}

/// The library files in a directory, in their order.
fn files(directory: &Path) -> Result<Vec<(PathBuf, Option<Identity>)>> {
    let failed = system::cannot("read", directory);
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        // What begins with a dot is a file on its way here.
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if hidden || path.extension().is_none_or(|extension| extension != "so") {
            continue;
        }
        // What leads nowhere has none, and is told when it is read.
        let identity = fs::metadata(&path).ok().map(|metadata| Identity::of(&metadata));
        files.push((path, identity));
    }
    files.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(files)
}
