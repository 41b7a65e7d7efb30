//! The socket of a home: who holds it, how it is made, how it is found, and who may come in. What is said there is not its
//! business.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Seek, Write},
    os::{
        fd::{AsRawFd, OwnedFd},
        unix::fs::OpenOptionsExt,
    },
    path::{Path, PathBuf},
};

use connector_protocol::{Error, ErrorKind, Result};
use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use tokio::net::{UnixListener, UnixStream};

use super::owners_alone;
use crate::{home::Home, system};

/// That this process serves a home; given up when it is dropped, or when the process ends in whatever way.
pub struct Lock(#[expect(dead_code, reason = "it is held, not read")] File);

impl Lock {
    /// Takes the home, if nobody has it.
    ///
    /// # Errors
    ///
    /// Names the process that has it.
    pub fn take(home: &Home) -> Result<Self> {
        let path = home.lock();
        let failed = system::cannot("write", &path);
        let options =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let mut file = options.map_err(failed)?;
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            let who = match holder(home) {
                None => "another process".to_owned(),
                Some(pid) => format!("process {pid}"),
            };
            let text = format!("{} is served already, by {who}", home.path().display());
            return Err(Error::new(ErrorKind::Config, text)
                .hint("use that one, as all commands do, or end it: jackfield serve --drain"));
        }
        let written = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()));
        written.map_err(failed)?;
        Ok(Self(file))
    }
}

/// The process that has a home, as long as it has it; afterwards, the one that had it last.
#[must_use]
pub fn holder(home: &Home) -> Option<u32> {
    fs::read_to_string(home.lock()).ok()?.trim().parse().ok()
}

/// A path to something in a directory that is short whatever the directory is called: the address of a socket has 108
/// bytes.
struct Short {
    path: PathBuf,
    _directory: OwnedFd,
}

impl Short {
    fn of(path: &Path) -> io::Result<Self> {
        let directory = path.parent().unwrap_or(Path::new("/"));
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(directory, flags, Mode::empty())?;
        let name = path.file_name().unwrap_or_default();
        let path = Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string()).join(name);
        Ok(Self { path, _directory: directory })
    }
}

/// Makes the socket. Whoever holds the home's lock may take the place of one that was left behind.
pub(super) fn listen(home: &Home) -> Result<UnixListener> {
    let path = home.socket();
    let failed = system::cannot("listen at", &path);
    // Under another name until it is its owner's alone.
    let fresh = path.with_extension("new");
    let _ = fs::remove_file(&fresh);
    let short = Short::of(&fresh).map_err(failed)?;
    let listener = UnixListener::bind(&short.path).map_err(failed)?;
    owners_alone(&fresh).and_then(|()| fs::rename(&fresh, &path)).map_err(failed)?;
    Ok(listener)
}

/// A connection to whoever serves this home; `None` if nobody does.
///
/// # Errors
///
/// If somebody does and will not have us, or is not whom we would hand a token to.
pub async fn connect(home: &Home) -> Result<Option<UnixStream>> {
    let path = home.socket();
    if !path.exists() {
        return Ok(None);
    }
    let Ok(short) = Short::of(&path) else { return Ok(None) };
    match UnixStream::connect(&short.path).await {
        Ok(stream) if Peer::of(&stream).is_ourselves() => Ok(Some(stream)),
        Ok(_) => {
            let text = format!("{} is served by another user, who is told nothing", path.display());
            Err(Error::new(ErrorKind::Blocked, text)
                .hint("run it as the home's owner, or take that socket away"))
        }
        // It was left behind by one that is gone.
        Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound) => {
            Ok(None)
        }
        Err(error) => {
            Err(system::cannot("connect to", &path)(error).hint("see whose it is: jackfield doctor"))
        }
    }
}

/// Who is at the other end.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    /// Its user, if the kernel says.
    uid: Option<u32>,
}

impl Peer {
    pub(super) fn of(stream: &UnixStream) -> Self {
        Self { uid: stream.peer_cred().ok().map(|credentials| credentials.uid()) }
    }

    /// Whether it is the user that we are.
    fn is_ourselves(&self) -> bool {
        self.uid == Some(rustix::process::geteuid().as_raw())
    }

    /// Whether it may come in: our own user, or the one who may do everything anyway.
    pub(super) fn is_welcome(&self) -> bool {
        self.is_ourselves() || self.uid == Some(0)
    }
}
