//! Picking up libraries that come, change or go while Jackfield runs.
//!
//! It watches where libraries lie and waits until it is quiet there, so that nothing is looked at half-written. What is to
//! happen then is the [`host`](crate::host)'s business.

use std::{
    mem::MaybeUninit,
    os::fd::OwnedFd,
    path::Path,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use rustix::fs::inotify::{CreateFlags, Reader, WatchFlags, add_watch, init};
use tokio::{sync::mpsc, time::timeout};

use crate::{host::Host, plugins::Trust, system};

/// How long nothing must have happened before it is looked.
const QUIET: Duration = Duration::from_millis(200);

/// How long that is waited for at most.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often it is looked anyway: file systems of other machines do not tell of changes.
const NOW_AND_THEN: Duration = Duration::from_secs(10);

/// Looks after the libraries of a host for as long as it is driven.
pub(crate) async fn watch(host: &Host) {
    let (sender, mut changes) = mpsc::channel(1);
    let watcher = Watcher::start(sender);
    loop {
        if let Some(watcher) = &watcher {
            watcher.watch(host);
        }
        if let Ok(Some(())) = timeout(NOW_AND_THEN, changes.recv()).await {
            let begun = Instant::now();
            while begun.elapsed() < PATIENCE && timeout(QUIET, changes.recv()).await.is_ok() {}
        }
        if let Err(error) = host.reload().await {
            tracing::warn!("the plugins cannot be looked at: {error}");
        }
    }
}

/// Hears from the kernel that files have changed.
struct Watcher(Arc<OwnedFd>);

impl Watcher {
    fn start(sender: mpsc::Sender<()>) -> Option<Self> {
        let warn = |error: std::io::Error| {
            tracing::warn!("changes of plugins are noticed late: {}", system::words(&error));
        };
        let inotify = Arc::new(init(CreateFlags::CLOEXEC).map_err(|error| warn(error.into())).ok()?);
        let events = inotify.clone();
        // It waits in the kernel, and ends with the process or when nobody listens any more.
        let listen = move || {
            let mut space = [MaybeUninit::uninit(); 4096];
            let mut reader = Reader::new(&events, &mut space);
            loop {
                match reader.next() {
                    Err(rustix::io::Errno::INTR) => {}
                    Err(_) => break,
                    Ok(event) => {
                        let name = event.file_name().map(|name| name.to_bytes());
                        // One that is waited for says all that another one would.
                        if name.is_none_or(concerns)
                            && let Err(mpsc::error::TrySendError::Closed(())) = sender.try_send(())
                        {
                            break;
                        }
                    }
                }
            }
        };
        let started = thread::Builder::new().name("plugins".to_owned()).spawn(listen);
        started.map_err(warn).ok()?;
        Some(Self(inotify))
    }

    /// Watches wherever a library of this host lies, and where it is said which may be used. What is watched already goes on.
    fn watch(&self, host: &Host) {
        self.add(&host.home.plugins());
        self.add(host.home.path());
        for library in host.registry().libraries().filter(|library| library.trust == Trust::Dev) {
            library.path.parent().into_iter().for_each(|directory| self.add(directory));
        }
    }

    fn add(&self, directory: &Path) {
        let flags = WatchFlags::ATTRIB
            | WatchFlags::CREATE
            | WatchFlags::MODIFY
            | WatchFlags::CLOSE_WRITE
            | WatchFlags::MOVE
            | WatchFlags::DELETE
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF
            | WatchFlags::ONLYDIR;
        if let Err(error) = add_watch(&*self.0, directory, flags) {
            tracing::debug!("{} is not watched: {}", directory.display(), system::words(&error.into()));
        }
    }
}

/// Whether a file of this name is a library, names one, or says which may be used.
fn concerns(name: &[u8]) -> bool {
    name.ends_with(b".so") || name.ends_with(b".dev") || name == b"plugins.lock" || name == b"plugins"
}
