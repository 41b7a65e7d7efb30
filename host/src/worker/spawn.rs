//! Starting processes from one thread that lives as long as the host.
//!
//! A worker is killed when its parent ends, and to the kernel the parent is the *thread* that started it: one of a pool
//! that is given up while the host goes on would take healthy workers with it.

use std::{
    io,
    process::{Child, Command},
    sync::{
        OnceLock,
        mpsc::{Sender, channel},
    },
    thread,
};

use tokio::sync::oneshot;

type Job = (Command, oneshot::Sender<io::Result<Child>>);

/// Starts a process.
pub(super) async fn spawn(command: Command) -> io::Result<Child> {
    static SPAWNER: OnceLock<io::Result<Sender<Job>>> = OnceLock::new();
    let gone = || io::Error::other("the thread that starts workers is gone");
    let spawner = SPAWNER.get_or_init(|| {
        let (sender, jobs) = channel::<Job>();
        let serve = move || {
            for (mut command, answer) in jobs {
                if let Err(Ok(mut child)) = answer.send(command.spawn()) {
                    // Nobody waits for it any more.
                    let _ = child.kill();
                    let _ = child.wait();
                }
            }
        };
        thread::Builder::new().name("spawner".to_owned()).spawn(serve).map(|_| sender)
    });
    let spawner = spawner.as_ref().map_err(|error| io::Error::other(error.to_string()))?;
    let (answer, child) = oneshot::channel();
    spawner.send((command, answer)).map_err(|_| gone())?;
    child.await.map_err(|_| gone())?
}
