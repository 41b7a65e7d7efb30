//! One library file: what its link sections say.

use std::{
    fmt,
    fs::{File, Metadata},
    io::{self, Read},
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
use object::{Architecture, BinaryFormat, Object, ObjectKind, ObjectSection, ReadCache};
use serde::{Deserialize, Serialize};

use crate::system;

/// How large a library may be, in bytes. A debug build with all its symbols is well below.
const MAX_LEN: u64 = 512 * 1024 * 1024;

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
    /// The SHA-256 of the file, in hex.
    pub sha256: String,
    /// Which libraries of the system it needs.
    pub needed: Vec<String>,
    /// Where the manifest stands in the file: offset and length.
    manifest: (u64, u64),
    /// Whether a worker has found its manifest to be what its code declares.
    pub(super) verified: bool,
}

/// A library that may be loaded, as far as reading it can tell.
#[derive(Debug)]
pub struct Library {
    /// Where the file lies.
    pub path: PathBuf,
    /// Which file that was when it was read.
    pub identity: Identity,
    /// What it says of itself.
    pub head: Head,
    manifest: OnceLock<Arc<Manifest>>,
    verified: AtomicBool,
    noted: AtomicBool,
}

/// A file in the plugins directory that is not used, and why.
#[derive(Debug, Clone, Serialize, Deserialize)]
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

impl Refusal {
    pub(super) fn new(path: &Path, reason: impl Into<String>) -> Self {
        Self { path: path.to_owned(), id: None, reason: reason.into(), hint: None }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
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

impl Library {
    /// Reads a library's link sections.
    ///
    /// # Errors
    ///
    /// Why it cannot be used.
    pub fn read(path: &Path) -> Result<Self, Refusal> {
        let refuse = |reason: String| Refusal::new(path, reason);
        let unreadable = |error| refuse(format!("cannot be read: {}", system::words(&error)));
        let rebuild = || format!("rebuild it against connector-api {}", env!("CARGO_PKG_VERSION"));
        // A FIFO would block an open, a directory or a device is no library.
        let kind = std::fs::metadata(path).map_err(unreadable)?;
        if !kind.is_file() {
            return Err(refuse("is not a regular file".to_owned()));
        }
        if kind.len() > MAX_LEN {
            return Err(refuse(format!("has {} bytes; the limit is {MAX_LEN}", kind.len())));
        }
        let file = File::open(path).map_err(unreadable)?;
        let metadata = file.metadata().map_err(unreadable)?;
        let cache = ReadCache::new(file);
        let object = object::File::parse(&cache)
            .map_err(|_| refuse("is not a library, or is cut short".to_owned()))?;
        if object.format() != BinaryFormat::Elf || object.kind() != ObjectKind::Dynamic {
            return Err(refuse(format!(
                "is not a shared ELF library ({:?} {:?})",
                object.format(),
                object.kind()
            )));
        }
        let ours = host_architecture();
        if object.architecture() != ours {
            return Err(refuse(format!(
                "is built for {:?}, this machine is {ours:?}",
                object.architecture()
            ))
            .hint("build it for this machine"));
        }
        type Section = ((u64, u64), Vec<u8>);
        let section = |name: &str, most: u64| -> Result<Option<Section>, Refusal> {
            let Some(section) = object.section_by_name(name) else {
                return Ok(None);
            };
            if section.size() > most {
                return Err(refuse(format!(
                    "its section {name} has {} bytes; the limit is {most}",
                    section.size()
                )));
            }
            let data = section.data().map_err(|_| refuse("is cut short".to_owned()))?;
            let place = section.file_range().unwrap_or_default();
            Ok(Some((place, data.to_vec())))
        };
        let not_ours = || {
            refuse("is not a connector: it has no connector sections".to_owned())
                .hint("a connector exports itself with `export_connector!`")
        };
        let (_, probe) = section(PROBE_SECTION, 4096)?.ok_or_else(not_ours)?;
        let probe = Probe::read(&probe).map_err(|error| refuse(error.to_string()))?;
        if probe.abi != ABI_VERSION {
            return Err(refuse(format!(
                "is built for ABI {}, this host speaks ABI {ABI_VERSION}",
                probe.abi
            ))
            .hint(rebuild()));
        }
        if probe.panic != PanicStrategy::Unwind {
            return Err(refuse(
                "is built with `panic = \"abort\"`: one panic would end its worker".to_owned(),
            )
            .hint("build it with `panic = \"unwind\"`, which is the default"));
        }
        let (place, bytes) = section(MANIFEST_SECTION, manifest::MAX_LEN as u64)?.ok_or_else(not_ours)?;
        let manifest = Manifest::read(&bytes).map_err(|unreadable| {
            let mut refusal = refuse(unreadable.message);
            refusal.id = unreadable.id;
            if unreadable.newer { refusal.hint("use a newer Jackfield") } else { refusal }
        })?;
        let head = Head {
            id: manifest.id.clone(),
            title: manifest.title.clone(),
            version: manifest.version.clone(),
            abi: probe.abi_crate,
            api: probe.api_crate,
            actions: manifest.actions.len(),
            triggers: manifest.triggers.len(),
            digest: sha256(&bytes),
            sha256: sha256_of(File::open(path).map_err(unreadable)?).map_err(unreadable)?,
            needed: Vec::new(),
            manifest: place,
            verified: false,
        };
        let library = Self::of(path, Identity::of(&metadata), head);
        let _ = library.manifest.set(Arc::new(manifest));
        Ok(library)
    }

    /// A library of which only this much was read.
    pub(super) fn of(path: &Path, identity: Identity, head: Head) -> Self {
        let (verified, noted) = (AtomicBool::new(head.verified), AtomicBool::new(head.verified));
        Self { path: path.to_owned(), identity, head, manifest: OnceLock::new(), verified, noted }
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
        let file = File::open(&self.path).map_err(|_| self.has_changed())?;
        let same = file.metadata().is_ok_and(|metadata| Identity::of(&metadata) == self.identity);
        if same { Ok(file) } else { Err(self.has_changed()) }
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
    hex(digest::digest(&digest::SHA256, bytes))
}

fn hex(digest: digest::Digest) -> String {
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The same of a file, which need not fit into memory.
fn sha256_of(mut file: File) -> io::Result<String> {
    let mut context = digest::Context::new(&digest::SHA256);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hex(context.finish())),
            len => context.update(&buffer[..len]),
        }
    }
}

/// The architecture that this host was built for: the only one whose code it can run.
fn host_architecture() -> Architecture {
    match std::env::consts::ARCH {
        "x86_64" => Architecture::X86_64,
        "aarch64" => Architecture::Aarch64,
        _ => Architecture::Unknown,
    }
}
