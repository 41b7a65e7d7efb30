//! Starting processes from one thread that lives as long as the host.
//!
//! A worker is killed when its parent ends, and to the kernel the parent is the *thread* that started it: one of a pool
//! that is given up while the host goes on would take healthy workers with it.

use std::{
    io,
    os::{
        fd::OwnedFd,
        unix::{net::UnixStream, process::CommandExt},
    },
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, OnceLock,
        mpsc::{Sender, channel},
    },
    thread,
    time::Duration,
};

use connector_protocol::{Error, ErrorKind, Result};
use tokio::sync::oneshot;

use super::{child::COMMAND, image::Image, send_fd};
use crate::{plugins::Library, system};

/// A worker that is being started.
pub(super) type Starting = oneshot::Receiver<Result<Started>>;

/// A worker that has been started and has the library, which it is loading now.
pub(super) struct Started {
    pub(super) child: KillOnDrop,
    pub(super) socket: UnixStream,
}

struct Job {
    program: PathBuf,
    library: Arc<Library>,
    answer: oneshot::Sender<Result<Started>>,
}

/// Starts a worker, while whoever asked for it does something else.
pub(super) fn start(program: PathBuf, library: Arc<Library>) -> Starting {
    static SPAWNER: OnceLock<io::Result<Sender<Job>>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (sender, jobs) = channel::<Job>();
        let serve = move || {
            for Job { program, library, answer } in jobs {
                // If nobody waits for it any more, it ends where it is dropped.
                let _ = answer.send(spawn(program, &library));
            }
        };
        thread::Builder::new().name("spawner".to_owned()).spawn(serve).map(|_| sender)
    });
    let (answer, starting) = oneshot::channel();
    match spawner {
        // Should the thread be gone, so is the answer, which says as much.
        Ok(spawner) => drop(spawner.send(Job { program, library, answer })),
        Err(error) => drop(answer.send(Err(failed(io::Error::other(error.to_string()))))),
    }
    starting
}

fn failed(error: io::Error) -> Error {
    Error::new(ErrorKind::Internal, format!("cannot start a worker: {}", system::words(&error)))
}

fn spawn(program: PathBuf, library: &Library) -> Result<Started> {
    let (ours, theirs) = UnixStream::pair().map_err(failed)?;
    let mut command = Command::new(program);
    command
        .arg(COMMAND)
        .env_clear()
        .current_dir("/")
        .stdin(OwnedFd::from(theirs))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        // A Ctrl-C in the terminal is for the host, which stops what has to be stopped.
        .process_group(0);
    let child = KillOnDrop(Some(command.spawn().map_err(failed)?));
    // It starts while the library is copied.
    let image = Image::of(library)?;
    let prove = u8::from(!library.is_verified());
    send_fd::send(&ours, image.as_fd(), prove).map_err(failed)?;
    ours.set_nonblocking(true).map_err(failed)?;
    Ok(Started { child, socket: ours })
}

/// A child that is killed unless it is kept.
pub(super) struct KillOnDrop(Option<Child>);

impl KillOnDrop {
    pub(super) fn get(&mut self) -> Option<&mut Child> {
        self.0.as_mut()
    }

    pub(super) fn keep(mut self) -> Result<Child> {
        self.0.take().ok_or_else(|| Error::new(ErrorKind::Internal, "the worker is gone"))
    }

    /// How it ended, of one whose socket is closed.
    pub(super) fn how_it_ended(mut self) -> Option<ExitStatus> {
        // This does not last.
        let mut child = self.0.take()?;
        thread::sleep(Duration::from_millis(20));
        let _ = child.kill();
        child.wait().ok()
    }
}

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
