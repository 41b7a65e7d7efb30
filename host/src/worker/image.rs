//! A library's bytes, kept where nobody can change them any more: in a sealed memory file. That is what workers load, so
//! that overwriting the file in the plugins directory disturbs nothing that runs.

use std::{
    fs::File,
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Duration,
};

use connector_protocol::{Error, ErrorKind, Result};
use rustix::{
    fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create},
    io::Errno,
};

use crate::{plugins::Library, system};

/// How often a file that is busy is tried again, and after what time.
const BUSY: u32 = 20;
const PAUSE: Duration = Duration::from_millis(10);

/// The sealed bytes of a library.
#[derive(Debug)]
pub(super) struct Image(OwnedFd);

impl Image {
    /// Copies the file, which has to be the one that was read.
    pub(super) fn of(library: &Library) -> Result<Self> {
        let failed = |what: &str, error: io::Error| {
            Error::new(
                ErrorKind::PluginRefused,
                format!("{}: {what}: {}", library.path.display(), system::words(&error)),
            )
        };
        let mut file = library.open()?;
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        // An older kernel does not know the flag, and does not ask for it either.
        let memory = memfd_create("connector", flags | MemfdFlags::EXEC)
            .or_else(|_| memfd_create("connector", flags))
            .map_err(|error| failed("this system gives no executable memory file", error.into()))?;
        let mut copy = File::from(memory);
        io::copy(&mut file, &mut copy).map_err(|error| failed("cannot be copied", error))?;
        let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
        seal(&copy, seals).map_err(|error| failed("cannot be sealed", error.into()))?;
        Ok(Self(copy.into()))
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Seals a file. While the kernel itself still holds a page of what has just been written, it says that the file is busy.
fn seal(file: &File, seals: SealFlags) -> rustix::io::Result<()> {
    for _ in 0..BUSY {
        match fcntl_add_seals(file, seals) {
            Err(Errno::BUSY) => std::thread::sleep(PAUSE),
            done => return done,
        }
    }
    fcntl_add_seals(file, seals)
}
