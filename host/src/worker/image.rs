//! A library's bytes, kept where nobody can change them any more: in a sealed memory file. That is what is hashed and what
//! workers load, so that overwriting the file in the plugins directory disturbs nothing that runs, and that what was looked
//! at is what is loaded.
//!
//! Where the system gives no executable memory file, it is a copy on the disk that has no name and cannot be written.

use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io::{self, Read, Seek},
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
        unix::fs::OpenOptionsExt,
    },
    path::Path,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use aws_lc_rs::digest;
use connector_protocol::{Error, ErrorKind, Result};
use rustix::{
    fs::{MemfdFlags, OFlags, SealFlags, fcntl_add_seals, memfd_create},
    io::Errno,
};

use crate::{plugins::Library, system};

/// How often a file that is busy is tried again, and after what time.
const BUSY: u32 = 20;
const PAUSE: Duration = Duration::from_millis(10);

/// The unchangeable bytes of a library.
#[derive(Debug)]
pub(super) struct Image {
    file: OwnedFd,
    on_disk: bool,
}

/// The images that there are, by what is in them: one for all workers of a library.
#[derive(Debug, Default)]
pub(super) struct Images(Mutex<HashMap<String, Weak<Image>>>);

impl Images {
    /// The image of a library, which is made if there is none. `copies` is where it lies, should it have to lie on a disk.
    pub(super) fn of(&self, library: &Library, copies: &Path) -> Result<Arc<Image>> {
        let digest = &library.head.sha256;
        let mut images = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(image) = images.get(digest).and_then(Weak::upgrade) {
            return Ok(image);
        }
        images.retain(|_, image| image.strong_count() > 0);
        let image = Arc::new(Image::of(library, copies)?);
        images.insert(digest.clone(), Arc::downgrade(&image));
        Ok(image)
    }
}

impl Image {
    fn of(library: &Library, copies: &Path) -> Result<Self> {
        let failed = |what: &str, error: io::Error| {
            Error::new(
                ErrorKind::PluginRefused,
                format!("{}: {what}: {}", library.path.display(), system::words(&error)),
            )
        };
        let mut file = library.open()?;
        let image = match in_memory(&mut file) {
            Ok(image) => image,
            Err(why) => {
                tracing::debug!("no memory file: {}", system::words(&why));
                file.rewind().map_err(|error| failed("cannot be read", error))?;
                on_disk(&mut file, copies).map_err(|error| failed("cannot be copied", error))?
            }
        };
        let found = image.digest().map_err(|error| failed("cannot be read again", error))?;
        if found != library.head.sha256 {
            return Err(library.has_changed());
        }
        Ok(image)
    }

    /// The SHA-256 of what will be loaded, in hex.
    fn digest(&self) -> io::Result<String> {
        // A position of its own, which nobody else moves.
        let mut file = File::open(format!("/proc/self/fd/{}", self.file.as_raw_fd()))?;
        let mut context = digest::Context::new(&digest::SHA256);
        let mut buffer = vec![0; 256 * 1024];
        loop {
            match file.read(&mut buffer)? {
                0 => break,
                len => context.update(&buffer[..len]),
            }
        }
        Ok(context.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect())
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Whether it lies on a disk, because the system gives no executable memory file.
    pub(super) fn is_on_disk(&self) -> bool {
        self.on_disk
    }
}

fn in_memory(file: &mut File) -> io::Result<Image> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // A kernel before 6.3 does not know the flag, and does not ask for it either.
    let memory = match memfd_create("connector", flags | MemfdFlags::EXEC) {
        Err(Errno::INVAL) => memfd_create("connector", flags)?,
        made => made?,
    };
    let mut copy = File::from(memory);
    io::copy(file, &mut copy)?;
    seal(&copy, SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE)?;
    Ok(Image { file: copy.into(), on_disk: false })
}

fn on_disk(file: &mut File, copies: &Path) -> io::Result<Image> {
    let unnamed = i32::try_from((OFlags::TMPFILE | OFlags::EXCL).bits()).unwrap_or_default();
    let mut copy =
        OpenOptions::new().read(true).write(true).mode(0o400).custom_flags(unnamed).open(copies)?;
    io::copy(file, &mut copy)?;
    // With the one that could write it closed, nobody can any more: it has no name to be opened by.
    let file = File::open(format!("/proc/self/fd/{}", copy.as_raw_fd()))?.into();
    Ok(Image { file, on_disk: true })
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
