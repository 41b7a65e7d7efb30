//! One library file: what its link sections say.

use std::{
    fmt,
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
};

use connector_abi::{
    ABI_VERSION, MANIFEST_SECTION, PROBE_SECTION,
    probe::{PanicStrategy, Probe},
};
use connector_protocol::{Error, ErrorKind, Manifest, manifest};
use object::{Architecture, BinaryFormat, Object, ObjectKind, ObjectSection, ReadCache};

/// How large a library may be, in bytes. A debug build with all its symbols is well below.
const MAX_LEN: u64 = 512 * 1024 * 1024;

/// A library that may be loaded, as far as reading it can tell.
#[derive(Debug, Clone)]
pub struct Library {
    /// Where the file lies.
    pub path: PathBuf,
    /// What it declares.
    pub manifest: Arc<Manifest>,
    /// The bytes of the manifest, as they are embedded.
    pub manifest_bytes: Arc<[u8]>,
    /// How it was built.
    pub probe: Probe,
}

/// A file in the plugins directory that is not used, and why.
#[derive(Debug, Clone)]
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
        let error = Self::new(ErrorKind::PluginRefused, refusal.to_string());
        match refusal.hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
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
        let rebuild = || format!("rebuild it against connector-api {}", env!("CARGO_PKG_VERSION"));
        // A FIFO would block an open, a directory or a device is no library.
        let kind = std::fs::metadata(path).map_err(|error| refuse(format!("cannot be read: {error}")))?;
        if !kind.is_file() {
            return Err(refuse("is not a regular file".to_owned()));
        }
        if kind.len() > MAX_LEN {
            return Err(refuse(format!("has {} bytes; the limit is {MAX_LEN}", kind.len())));
        }
        let file = File::open(path).map_err(|error| refuse(format!("cannot be read: {error}")))?;
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
        let section = |name: &str, most: u64| -> Result<Option<Vec<u8>>, Refusal> {
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
            Ok(Some(data.to_vec()))
        };
        let not_ours = || {
            refuse("is not a connector: it has no connector sections".to_owned())
                .hint("a connector exports itself with `export_connector!`")
        };
        let probe = section(PROBE_SECTION, 4096)?.ok_or_else(not_ours)?;
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
        let manifest_bytes = section(MANIFEST_SECTION, manifest::MAX_LEN as u64)?.ok_or_else(not_ours)?;
        let manifest = Manifest::read(&manifest_bytes).map_err(|unreadable| {
            let mut refusal = refuse(unreadable.message);
            refusal.id = unreadable.id;
            if unreadable.newer { refusal.hint("use a newer Jackfield") } else { refusal }
        })?;
        Ok(Self {
            path: path.to_owned(),
            manifest: Arc::new(manifest),
            manifest_bytes: manifest_bytes.into(),
            probe,
        })
    }

    /// The connector's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.manifest.id
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
