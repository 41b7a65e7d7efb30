//! Starting processes from one thread that lives as long as the host.
//!
//! A worker is killed when its parent ends, and to the kernel the parent is the *thread* that started it: one of a pool
//! that is given up while the host goes on would take healthy workers with it.

use std::{
    io,
    os::{
        fd::{AsFd, OwnedFd},
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
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, kill_process_group, pidfd_open, waitid,
};
use tokio::sync::oneshot;

use super::{
    child::{COMMAND, Orders},
    image::{Image, Images},
    mark::{self, Mark},
    send_fd,
    workers::Terms,
};
use crate::{plugins::Library, system};

/// A worker that is being started.
pub(super) type Starting = oneshot::Receiver<Result<Started>>;

/// A worker that has been started and has the library, which it is loading now.
pub(super) struct Started {
    pub(super) child: KillOnDrop,
    /// The process itself, which tells when it ends; an old kernel has no such thing.
    pub(super) pidfd: Option<OwnedFd>,
    pub(super) socket: UnixStream,
    pub(super) mark: Option<Mark>,
    pub(super) image: Arc<Image>,
    pub(super) terms: Arc<Terms>,
}

/// What is to be started.
#[derive(Clone)]
pub(super) struct Job {
    pub(super) program: PathBuf,
    pub(super) library: Arc<Library>,
    pub(super) images: Arc<Images>,
    pub(super) terms: Arc<Terms>,
}

/// Starts a worker, while whoever asked for it does something else.
pub(super) fn start(job: Job) -> Starting {
    type Ordered = (Job, oneshot::Sender<Result<Started>>);
    static SPAWNER: OnceLock<io::Result<Sender<Ordered>>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (sender, jobs) = channel::<Ordered>();
        let serve = move || {
            for (job, answer) in jobs {
                // If nobody waits for it any more, it ends where it is dropped.
                let _ = answer.send(spawn(job));
            }
        };
        thread::Builder::new().name("spawner".to_owned()).spawn(serve).map(|_| sender)
    });
    let (answer, starting) = oneshot::channel();
    match spawner {
        // Should the thread be gone, so is the answer, which says as much.
        Ok(spawner) => drop(spawner.send((job, answer))),
        Err(error) => drop(answer.send(Err(failed(io::Error::other(error.to_string()))))),
    }
    starting
}

fn failed(error: io::Error) -> Error {
    Error::new(ErrorKind::Internal, format!("cannot start a worker: {}", system::words(&error)))
}

fn spawn(job: Job) -> Result<Started> {
    let Job { program, library, images, terms } = job;
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
    let pid = child.0.as_ref().and_then(|child| Pid::from_raw(i32::try_from(child.id()).ok()?));
    let pidfd = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::NONBLOCK).ok());
    // It starts while the library is copied.
    let image = images.of(&library, &terms.copies)?;
    // Where there is no memory file, nobody is blamed.
    let file = mark::file().ok();
    let mark = file.as_ref().map(|file| Mark::of(file, false)).transpose().map_err(failed)?;
    let orders = Orders {
        prove: !library.is_verified(),
        isolation: terms.isolation,
        memory_bytes: terms.memory_bytes,
        cpu_seconds: terms.cpu_seconds,
        needed: library.head.needed.clone(),
        on_disk: image.is_on_disk(),
    };
    let orders = serde_json::to_vec(&orders).map_err(|error| failed(error.into()))?;
    let mut files = vec![image.as_fd()];
    files.extend(file.as_ref().map(AsFd::as_fd));
    send_fd::send(&ours, &files, &orders).map_err(failed)?;
    ours.set_nonblocking(true).map_err(failed)?;
    Ok(Started { child, pidfd, socket: ours, mark, image, terms })
}

/// Whether a process has ended; nothing, if it has been waited for.
pub(super) fn has_ended(child: &Child) -> Option<bool> {
    let pid = Pid::from_raw(i32::try_from(child.id()).ok()?)?;
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    Some(waitid(WaitId::Pid(pid), look).ok()?.is_some())
}

/// Kills a worker, and whatever it may have started, which is in its group: that is there when the worker itself has ended.
/// One that has been waited for is left alone, since its number may be another's.
pub(super) fn kill(child: &mut Child) {
    if has_ended(child).is_none() {
        return;
    }
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(group, Signal::KILL);
    }
    let _ = child.kill();
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
        kill(&mut child);
        child.wait().ok()
    }
}

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            kill(&mut child);
            let _ = child.wait();
        }
    }
}
