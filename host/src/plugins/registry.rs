//! The plugins directory as a whole: which connectors are there, and which files are not used. It looks again when it is told
//! to; it watches nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use connector_protocol::{Error, ErrorKind, Result, did_you_mean};

use super::{
    dev,
    index::{Found, Index},
    library::{Identity, Library, Refusal, Trust, Unfit},
    pins::Pins,
    trust::Judge,
};
use crate::{config::Config, home::Home, system};

/// The connectors of a home.
#[derive(Debug)]
pub struct Registry {
    home: Home,
    libraries: BTreeMap<String, Arc<Library>>,
    /// Good libraries that are not what is pinned.
    unpinned: BTreeMap<String, Arc<Library>>,
    refused: Vec<Refusal>,
    /// What there was, as it was.
    seen: Seen,
    index: Mutex<Index>,
}

/// What there is before any of it is read.
#[derive(Debug, PartialEq)]
struct Seen {
    files: Vec<(PathBuf, Result<Candidate, Refusal>)>,
    pins: Result<Option<Pins>, Unfit>,
    /// Whether nobody but its owner can put anything into the directory.
    directory_is_trusted: bool,
}

/// A file that may be read.
#[derive(Debug, Clone, PartialEq)]
struct Candidate {
    /// Where it lies, as it is named.
    path: PathBuf,
    /// The file itself, if the path is a link to it.
    file: PathBuf,
    identity: Identity,
    /// The connector that it is a build output of, if it is one.
    dev: Option<String>,
}

impl Registry {
    /// Reads every library in the plugins directory of a home. A file that cannot be used is noted and hinders nothing. What
    /// was read is kept in the home's index.
    ///
    /// # Errors
    ///
    /// If the directory itself cannot be read.
    pub fn scan(home: &Home) -> Result<Self> {
        Ok(Self::read(home.clone(), look(home)?, Index::read(Some(home.index()))))
    }

    /// The same directory as it is now; `None` if nothing in it has changed, nor who could change it.
    ///
    /// # Errors
    ///
    /// If the directory itself cannot be read.
    pub fn again(&self) -> Result<Option<Self>> {
        let seen = look(&self.home)?;
        if seen == self.seen {
            return Ok(None);
        }
        let index = self.index.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // Libraries that are still the same are taken over as they are, with what is known of them.
        let mut registry = Self::read(self.home.clone(), seen, index);
        for (id, library) in &mut registry.libraries {
            if let Some(known) = self.libraries.get(id).filter(|known| is_same(known, library)) {
                *library = known.clone();
            }
        }
        Ok(Some(registry))
    }

    fn read(home: Home, seen: Seen, mut index: Index) -> Self {
        let mut refused = Vec::new();
        let mut names = Vec::new();
        let mut good = Vec::new();
        // What is built counts before what lies in the directory, also where the build has failed.
        let mut built = BTreeMap::new();
        for (entry, candidate) in &seen.files {
            let name = entry.file_name().unwrap_or_default().to_string_lossy().into_owned();
            match candidate {
                Ok(candidate) => {
                    if let Some(id) = &candidate.dev {
                        built.insert(id.clone(), candidate.path.clone());
                    }
                    match candidate.read(entry, &name, &mut index) {
                        Ok(library) => good.push(library),
                        Err(refusal) => refused.push(refusal),
                    }
                }
                Err(refusal) => {
                    if let (true, Some(id)) = (is_dev(entry), &refusal.id) {
                        built.insert(id.clone(), entry.clone());
                    }
                    refused.push(refusal.clone());
                }
            }
            names.push(name);
        }
        index.retain(&names);
        index.save();
        let mut registry = Self {
            home,
            libraries: BTreeMap::new(),
            unpinned: BTreeMap::new(),
            refused,
            seen,
            index: Mutex::new(index),
        };
        for library in registry.of_one_id(good, &built) {
            registry.admit(library);
        }
        registry
    }

    /// Those of which there is one alone. Of two libraries with one id neither is used: which one was meant, nobody can tell.
    /// A build output was put there to be meant.
    fn of_one_id(&mut self, good: Vec<Library>, built: &BTreeMap<String, PathBuf>) -> Vec<Library> {
        let mut by_id: BTreeMap<String, Vec<Library>> = BTreeMap::new();
        for library in good {
            by_id.entry(library.id().to_owned()).or_default().push(library);
        }
        let mut single = Vec::new();
        for (id, mut libraries) in by_id {
            if let Some(path) = built.get(&id) {
                let (output, others): (Vec<_>, Vec<_>) =
                    libraries.into_iter().partition(|library| library.trust == Trust::Dev);
                for other in others {
                    let reason = format!(
                        "is the connector `{id}`, and so is the build output at {}, which counts",
                        path.display()
                    );
                    let unfit = Unfit::new(reason)
                        .hint(format!("take the build output out: jackfield connector remove {id}"));
                    self.refused.push(Unfit { id: Some(id.clone()), ..unfit }.at(&other.entry));
                }
                single.extend(output);
            } else if libraries.len() == 1 {
                single.append(&mut libraries);
            } else {
                for (index, library) in libraries.iter().enumerate() {
                    let other = &libraries[usize::from(index == 0)];
                    let reason = format!("is the connector `{id}`, and so is {}", other.entry.display());
                    let unfit = Unfit::new(reason).hint("remove one of the two");
                    self.refused.push(Unfit { id: Some(id.clone()), ..unfit }.at(&library.entry));
                }
            }
        }
        single
    }

    /// Takes a library in, if it is what is pinned, or if nothing has to be.
    fn admit(&mut self, mut library: Library) {
        let id = library.id().to_owned();
        let unfit = match &self.seen.pins {
            Ok(None) => None,
            Ok(Some(_)) if library.trust == Trust::Dev => Some(
                Unfit::new("names a build output, which cannot be pinned, and plugins.lock is in force")
                    .hint(format!("take it out: jackfield connector remove {id}")),
            ),
            Ok(Some(pins)) => {
                library.trust = Trust::Pinned;
                pins.check(&library).err()
            }
            Err(broken) => Some(Unfit {
                reason: format!("is not used: {} {}", self.home.pins().display(), broken.reason),
                ..broken.clone()
            }),
        };
        match unfit {
            None => {
                self.libraries.insert(id, Arc::new(library));
            }
            Some(unfit) => {
                self.refused.push(Unfit { id: Some(id.clone()), ..unfit }.at(&library.entry));
                if library.trust != Trust::Dev {
                    self.unpinned.insert(id, Arc::new(library));
                }
            }
        }
    }

    /// Goes on with a library that was there before, since `new`, which has taken its place, has failed to prove itself.
    pub(crate) fn keep_instead(&mut self, old: &Arc<Library>, new: &Library, why: Error) {
        let reason = why.message.strip_prefix(&format!("{}: ", new.path.display())).unwrap_or(&why.message);
        let unfit = Unfit { id: Some(new.id().to_owned()), reason: reason.to_owned(), hint: why.hint };
        self.refused.push(goes_on(old, unfit.at(&new.entry)));
        self.libraries.insert(old.id().to_owned(), old.clone());
    }

    /// Goes on with a library that was there before, if what lies in its place now cannot be used. One that was taken out,
    /// or that may not be used any more, is not gone on with.
    pub(crate) fn keep(&mut self, old: &Arc<Library>) {
        let may_be_used = match &self.seen.pins {
            Ok(None) => true,
            Ok(Some(pins)) => old.trust != Trust::Dev && pins.check(old).is_ok(),
            Err(_) => false,
        };
        let there = self.seen.files.iter().find(|(entry, _)| *entry == old.entry);
        let is_another = there.is_some_and(|(_, candidate)| {
            candidate.as_ref().map_or(true, |candidate| candidate.identity != old.identity)
        });
        let refusal = self.refused.iter_mut().find(|refusal| refusal.path == old.entry);
        if let Some(refusal) = refusal.filter(|_| may_be_used && is_another && self.seen.directory_is_trusted)
        {
            *refusal = goes_on(old, refusal.clone());
            self.libraries.insert(old.id().to_owned(), old.clone());
        }
    }

    /// Whether this very file lies in the directory.
    pub(crate) fn has_file_of(&self, identity: &Identity) -> bool {
        let mut found = self.seen.files.iter().filter_map(|(_, candidate)| candidate.as_ref().ok());
        found.any(|candidate| candidate.identity == *identity)
    }

    /// Notes that a worker has found a library's manifest to be what its code declares, so that no worker has to again.
    pub fn verified(&self, library: &Library) {
        let name = library.entry.file_name().unwrap_or_default().to_string_lossy();
        let mut index = self.index.lock().unwrap_or_else(PoisonError::into_inner);
        index.verified(&name, &library.identity);
        index.save();
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

    /// The libraries that would be used if they were pinned, by id.
    pub fn unpinned(&self) -> impl Iterator<Item = &Arc<Library>> {
        self.unpinned.values()
    }

    /// The connectors that are set up in the configuration, and of which there is no file.
    #[must_use]
    pub fn missing(&self) -> Vec<Refusal> {
        let configured = Config::load(&self.home).map(|config| config.integrations).unwrap_or_default();
        let ids: BTreeSet<&String> = configured.keys().filter(|id| !self.has_file(id)).collect();
        ids.into_iter().map(|id| self.missing_of(id)).collect()
    }

    fn has_file(&self, id: &str) -> bool {
        self.libraries.contains_key(id) || self.refusal(id).is_some()
    }

    fn missing_of(&self, id: &str) -> Refusal {
        let unfit = Unfit::new(format!(
            "its library is not in {}; what belongs to it stays",
            self.home.plugins().display()
        ));
        Unfit { id: Some(id.to_owned()), ..unfit }
            .hint(format!("put it back: jackfield connector add {id}"))
            .at(&self.home.plugins().join(file_name(id)))
    }

    /// Why the file of this connector is not used, if there is one.
    fn refusal(&self, id: &str) -> Option<&Refusal> {
        let of_id = |refusal: &&Refusal| refusal.id.as_deref() == Some(id);
        // A file that says nothing of itself may still be called like it.
        let file = file_name(id);
        let named = |refusal: &&Refusal| {
            refusal.id.is_none() && refusal.path.file_name().is_some_and(|name| name == file.as_str())
        };
        // Where a build output counts, it is the one to speak of.
        let mut refused = self.refused.iter();
        refused
            .find(|refusal| of_id(refusal) && is_dev(&refusal.path))
            .or_else(|| self.refused.iter().find(of_id))
            .or_else(|| self.refused.iter().find(named))
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
        if let Some(refusal) = self.refusal(id) {
            return Err(refusal.clone().into());
        }
        if Config::load(&self.home).is_ok_and(|config| config.integrations.contains_key(id)) {
            let Refusal { reason, hint, .. } = self.missing_of(id);
            let text = format!("the connector `{}` is missing: {reason}", id.escape_debug());
            return Err(Error { hint, ..Error::new(ErrorKind::ConnectorMissing, text) });
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

impl Candidate {
    /// Reads it, or takes what was read of the very same file before.
    fn read(&self, entry: &Path, name: &str, index: &mut Index) -> Result<Library, Refusal> {
        let found = match index.get(name, &self.identity) {
            Some(found) => found.clone(),
            None => {
                let found = match Library::read(&self.file) {
                    Ok(library) if library.identity != self.identity => {
                        let changed = Unfit::new("has changed while it was read").hint("run it again");
                        return Err(self.refusal(entry, changed.at(&self.path)));
                    }
                    Ok(library) => {
                        let found = Found::Library(Box::new(library.head.clone()));
                        index.put(name, self.identity.clone(), found);
                        return self.used(entry, library);
                    }
                    Err(refusal) => Found::Refused(refusal),
                };
                index.put(name, self.identity.clone(), found.clone());
                found
            }
        };
        match found {
            Found::Library(head) => {
                self.used(entry, Library::of(&self.path, self.file.clone(), self.identity.clone(), *head))
            }
            Found::Refused(refusal) => Err(self.refusal(entry, refusal)),
        }
    }

    fn used(&self, entry: &Path, mut library: Library) -> Result<Library, Refusal> {
        if let Some(id) = &self.dev {
            if library.id() != id {
                let unfit = Unfit::new(format!("is the connector `{}`, not `{id}`", library.id()))
                    .hint(format!("take it out: jackfield connector remove {id}"));
                return Err(self.refusal(entry, unfit.at(&self.path)));
            }
            library.trust = Trust::Dev;
        }
        self.path.clone_into(&mut library.path);
        entry.clone_into(&mut library.entry);
        Ok(library)
    }

    fn refusal(&self, entry: &Path, refusal: Refusal) -> Refusal {
        match &self.dev {
            Some(id) => of_build_output(entry, id, &self.path, refusal),
            None => Refusal { path: entry.to_owned(), ..refusal },
        }
    }
}

/// A refusal of a file in whose place another library goes on.
fn goes_on(old: &Library, refusal: Refusal) -> Refusal {
    let reason = format!("{}; {}, which was there before, goes on", refusal.reason, old.head.version);
    Refusal { reason, ..refusal }
}

/// A refusal of a build output, told of the file that names it.
fn of_build_output(entry: &Path, id: &str, path: &Path, refusal: Refusal) -> Refusal {
    let hint = refusal.hint.unwrap_or_else(|| {
        format!("build it again, with cargo build; or take it out: jackfield connector remove {id}")
    });
    Refusal {
        path: entry.to_owned(),
        id: Some(id.to_owned()),
        reason: format!("its build output {}: {}", path.display(), refusal.reason),
        hint: Some(hint),
    }
}

/// How the file of a connector is called where nobody has decided otherwise.
fn file_name(id: &str) -> String {
    format!("lib{}.so", id.replace('-', "_"))
}

fn is_dev(entry: &Path) -> bool {
    entry.extension().is_some_and(|extension| extension == dev::EXTENSION)
}

fn is_same(one: &Library, other: &Library) -> bool {
    one.path == other.path
        && one.entry == other.entry
        && one.identity == other.identity
        && one.trust == other.trust
}

/// What lies in the plugins directory, in its order, and who could change it.
fn look(home: &Home) -> Result<Seen> {
    let (directory, judge) = (home.plugins(), Judge::default());
    let failed = system::cannot("read", &directory);
    let plugins = judge.plugins(home);
    let mut files = Vec::new();
    for entry in fs::read_dir(&directory).map_err(failed)? {
        let entry = entry.map_err(failed)?.path();
        // What begins with a dot is a file on its way here.
        let hidden = entry.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        let is_library = entry.extension().is_some_and(|extension| extension == "so");
        if hidden || !(is_library || is_dev(&entry)) {
            continue;
        }
        let found = match &plugins {
            Err(unfit) => Err(unfit.clone().at(&entry)),
            Ok(plugins) if is_library => candidate(&judge, plugins, &entry),
            Ok(_) => build_output(&judge, &entry),
        };
        files.push((entry, found));
    }
    files.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(Seen { files, pins: Pins::read(home, &judge), directory_is_trusted: plugins.is_ok() })
}

fn candidate(judge: &Judge, plugins: &Path, entry: &Path) -> Result<Candidate, Refusal> {
    let (file, metadata) = judge.library(entry, plugins).map_err(|unfit| unfit.at(entry))?;
    Ok(Candidate { path: entry.to_owned(), file, identity: Identity::of(&metadata), dev: None })
}

fn build_output(judge: &Judge, entry: &Path) -> Result<Candidate, Refusal> {
    let id = entry.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let path =
        dev::target(judge, entry).map_err(|unfit| Unfit { id: Some(id.clone()), ..unfit }.at(entry))?;
    let (file, metadata) =
        judge.elsewhere(&path).map_err(|unfit| of_build_output(entry, &id, &path, unfit.at(entry)))?;
    Ok(Candidate { path, file, identity: Identity::of(&metadata), dev: Some(id) })
}
