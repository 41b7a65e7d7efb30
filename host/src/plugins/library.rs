//! One library file: what its bytes say. Whether it may be trusted is not asked here.

use std::{
    fmt,
    fs::{File, Metadata},
    io,
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use aws_lc_rs::digest;

use connector_abi::{
    ABI_VERSION, MANIFEST_SECTION, PROBE_SECTION,
    probe::{PanicStrategy, Probe},
};
use connector_protocol::{Error, ErrorKind, Manifest, manifest};
use object::{ReadCache, ReadRef};
use serde::{Deserialize, Serialize};

use super::{
    elf::{Elf, Section},
    trust::{self, Judge},
};

/// How large a library may be, in bytes. A debug build with all its symbols is well below.
pub(super) const MAX_LEN: u64 = 512 * 1024 * 1024;

/// Which file it is, and in which state: what changes when anybody changes it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Identity {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Identity {
    /// The identity of a file.
    #[must_use]
    pub fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// When the file was last changed in any way.
    pub(super) fn changed(&self) -> Option<SystemTime> {
        let (seconds, nanoseconds) = self.changed;
        let since = Duration::new(u64::try_from(seconds).ok()?, u32::try_from(nanoseconds).ok()?);
        SystemTime::UNIX_EPOCH.checked_add(since)
    }
}

/// What a library says of itself, in few words.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Head {
    /// The connector's id.
    pub id: String,
    /// The name people know the provider by.
    pub title: String,
    /// The connector's version.
    pub version: String,
    /// The version of the ABI's crate that it was built with.
    pub abi: String,
    /// The version of `connector-api` that it was built with.
    pub api: String,
    /// How many actions it has.
    pub actions: usize,
    /// How many triggers it has.
    pub triggers: usize,
    /// The SHA-256 of its manifest, in hex.
    pub digest: String,
    /// The SHA-256 of the whole file, in hex.
    pub sha256: String,
    /// The libraries that it needs: none but those of the system.
    pub needed: Vec<String>,
    /// Where the manifest stands in the file: offset and length.
    manifest: (u64, u64),
    /// Whether a worker has found its manifest to be what its code declares.
    pub(super) verified: bool,
}

/// What a library is trusted by, beside its owner and its mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Trust {
    /// By nothing else: nothing is pinned in this home.
    Unpinned,
    /// It is the very file that is pinned.
    Pinned,
    /// It is a build output, and may be another one at any time.
    Dev,
}

impl Trust {
    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unpinned => "unpinned",
            Self::Pinned => "pinned",
            Self::Dev => "dev",
        }
    }
}

/// A library that may be loaded, as far as reading it can tell.
#[derive(Debug)]
pub struct Library {
    /// Where it lies.
    pub path: PathBuf,
    /// The file in the plugins directory by which it is there.
    pub entry: PathBuf,
    /// What it is trusted by.
    pub trust: Trust,
    /// Which file that was when it was read.
    pub identity: Identity,
    /// What it says of itself.
    pub head: Head,
    /// The file itself, if the path is a link to it.
    file: PathBuf,
    manifest: OnceLock<Arc<Manifest>>,
    verified: AtomicBool,
    noted: AtomicBool,
}

/// Why a library cannot be used, as far as its bytes tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfit {
    /// The connector's id, if it could be read.
    pub id: Option<String>,
    /// Why, in one line.
    pub reason: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Unfit {
    pub(super) fn new(reason: impl Into<String>) -> Self {
        Self { id: None, reason: reason.into(), hint: None }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same, of this file.
    pub(super) fn at(self, path: &Path) -> Refusal {
        Refusal { path: path.to_owned(), id: self.id, reason: self.reason, hint: self.hint }
    }
}

/// A file in the plugins directory that is not used, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The file.
    pub path: PathBuf,
    /// The connector's id, if it could be read.
    pub id: Option<String>,
    /// Why, in one line.
    pub reason: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.reason)
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        let hint = refusal
            .hint
            .clone()
            .unwrap_or_else(|| "put a good one in its place: jackfield connector add FILE".to_owned());
        Self::new(ErrorKind::PluginRefused, refusal.to_string()).hint(hint)
    }
}

/// Reads what a library's bytes declare. Nothing of it is run, and whatever the bytes are, only so much of them is read.
///
/// # Errors
///
/// Why it cannot be used.
pub fn inspect(bytes: &[u8]) -> Result<Head, Unfit> {
    let (mut head, _) = declared(bytes)?;
    head.sha256 = sha256(bytes);
    Ok(head)
}

/// What a library declares. Its digest is left out: it takes all of the bytes, and is not worth it for what is refused.
pub(crate) fn declared<'data>(data: impl ReadRef<'data>) -> Result<(Head, Manifest), Unfit> {
    let elf = Elf::parse(data)?;
    let rebuild = || format!("rebuild it against connector-api {}", env!("CARGO_PKG_VERSION"));
    let not_ours = || {
        Unfit::new("is not a connector: it has no connector sections")
            .hint("a connector exports itself with `export_connector!`")
    };
    let probe = elf.section(PROBE_SECTION, 4096)?.ok_or_else(not_ours)?;
    let probe = Probe::read(probe.bytes).map_err(|error| Unfit::new(error.to_string()))?;
    if probe.abi != ABI_VERSION {
        let text = format!("is built for ABI {}, this host speaks ABI {ABI_VERSION}", probe.abi);
        return Err(Unfit::new(text).hint(rebuild()));
    }
    if probe.panic != PanicStrategy::Unwind {
        return Err(Unfit::new("is built with `panic = \"abort\"`: one panic would end its worker")
            .hint("build it with `panic = \"unwind\"`, which is the default"));
    }
    let Section { place, bytes } =
        elf.section(MANIFEST_SECTION, manifest::MAX_LEN as u64)?.ok_or_else(not_ours)?;
    let manifest = Manifest::read(bytes).map_err(|unreadable| {
        let mut unfit = Unfit::new(unreadable.message);
        unfit.id = unreadable.id;
        if unreadable.newer { unfit.hint("use a newer Jackfield") } else { unfit }
    })?;
    let needed = elf.needed().map_err(|unfit| Unfit { id: Some(manifest.id.clone()), ..unfit })?;
    let head = Head {
        id: manifest.id.clone(),
        title: manifest.title.clone(),
        version: manifest.version.clone(),
        abi: probe.abi_crate,
        api: probe.api_crate,
        actions: manifest.actions.len(),
        triggers: manifest.triggers.len(),
        digest: sha256(bytes),
        sha256: String::new(),
        needed,
        manifest: place,
        verified: false,
    };
    Ok((head, manifest))
}

impl Library {
    /// Reads a library, wherever it lies and whoever may change it.
    ///
    /// # Errors
    ///
    /// Why it cannot be used.
    pub fn read(path: &Path) -> Result<Self, Refusal> {
        let unreadable = |error| trust::unreadable(&error).at(path);
        let file = path.canonicalize().map_err(unreadable)?;
        let (open, metadata) = trust::open(&file).map_err(|unfit| unfit.at(path))?;
        trust::is_library(&metadata).map_err(|unfit| unfit.at(path))?;
        let cache = ReadCache::new(&open);
        let (mut head, manifest) = declared(&cache).map_err(|unfit| unfit.at(path))?;
        head.sha256 = sha256_of(&open).map_err(unreadable)?;
        // What was read in two goes is one file only if nobody has written in between.
        let identity = Identity::of(&metadata);
        if Identity::of(&open.metadata().map_err(unreadable)?) != identity {
            return Err(Unfit::new("has changed while it was read").hint("run it again").at(path));
        }
        let library = Self::of(path, file, identity, head);
        let _ = library.manifest.set(Arc::new(manifest));
        Ok(library)
    }

    /// A library of which only this much was read.
    pub(super) fn of(path: &Path, file: PathBuf, identity: Identity, head: Head) -> Self {
        Self {
            path: path.to_owned(),
            entry: path.to_owned(),
            trust: Trust::Unpinned,
            identity,
            file,
            manifest: OnceLock::new(),
            verified: AtomicBool::new(head.verified),
            noted: AtomicBool::new(head.verified),
            head,
        }
    }

    /// The connector's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.head.id
    }

    /// What the connector declares.
    ///
    /// # Errors
    ///
    /// If the file is no longer the one that was found.
    pub fn manifest(&self) -> Result<&Arc<Manifest>, Error> {
        if let Some(manifest) = self.manifest.get() {
            return Ok(manifest);
        }
        let bytes = self.manifest_bytes()?;
        // It was checked when it was read the first time, and it is the same.
        let manifest: Manifest = serde_json::from_slice(&bytes).map_err(|_| self.has_changed())?;
        Ok(self.manifest.get_or_init(|| Arc::new(manifest)))
    }

    /// The bytes of the manifest, as they are embedded.
    ///
    /// # Errors
    ///
    /// If the file is no longer the one that was found.
    pub fn manifest_bytes(&self) -> Result<Vec<u8>, Error> {
        let (offset, len) = self.head.manifest;
        let file = self.open()?;
        let mut bytes = vec![0; usize::try_from(len).unwrap_or_default()];
        file.read_exact_at(&mut bytes, offset).map_err(|_| self.has_changed())?;
        if sha256(&bytes) == self.head.digest { Ok(bytes) } else { Err(self.has_changed()) }
    }

    /// The file, as long as it is the one that was found.
    ///
    /// # Errors
    ///
    /// If it is another one by now, or none.
    pub fn open(&self) -> Result<File, Error> {
        let (file, metadata) = trust::open(&self.file).map_err(|_| self.has_changed())?;
        if Identity::of(&metadata) == self.identity { Ok(file) } else { Err(self.has_changed()) }
    }

    /// Why it is trusted, in one line.
    #[must_use]
    pub fn reason_of_trust(&self) -> String {
        let last = match self.trust {
            Trust::Unpinned => "nothing is pinned in this home",
            Trust::Pinned => "it is what plugins.lock has",
            Trust::Dev => "it is used where it was built",
        };
        match self.open().and_then(|file| file.metadata().map_err(|_| self.has_changed())) {
            Ok(metadata) => {
                let owner = Judge::default().user(metadata.uid());
                format!("it belongs to {owner}, has mode {:03o}, and {last}", metadata.mode() & 0o7777)
            }
            Err(_) => format!("it was looked at before another file took its place, and {last}"),
        }
    }

    pub(crate) fn has_changed(&self) -> Error {
        let text = format!("{}: has changed while it was read", self.path.display());
        Error::new(ErrorKind::PluginRefused, text).hint("run it again")
    }

    /// Whether a worker has found its manifest to be what its code declares.
    #[must_use]
    pub fn is_verified(&self) -> bool {
        self.verified.load(Ordering::Relaxed)
    }

    /// The same, said once.
    #[must_use]
    pub fn is_newly_verified(&self) -> bool {
        self.is_verified() && !self.noted.swap(true, Ordering::Relaxed)
    }

    /// Notes that a worker has found its manifest to be what its code declares.
    pub fn set_verified(&self) {
        self.verified.store(true, Ordering::Relaxed);
    }
}

fn sha256(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

/// The digest of a whole file, piece by piece.
fn sha256_of(file: &File) -> io::Result<String> {
    let mut context = digest::Context::new(&digest::SHA256);
    let mut piece = vec![0; 256 * 1024];
    let mut at = 0;
    loop {
        match file.read_at(&mut piece, at)? {
            0 => return Ok(hex(context.finish().as_ref())),
            len => {
                context.update(&piece[..len]);
                at += len as u64;
            }
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
