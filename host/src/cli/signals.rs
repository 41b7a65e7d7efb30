//! Ctrl-C, and a signal to the same effect: what they do to a command, from the moment when it does something that can be
//! stopped.
//!
//! A thread hears them, because whatever else there is may be at something that gives way to nobody: a query that goes round in
//! circles, a file that somebody else has locked. Commands that stop nothing never ask for it, and end as any program does.

use std::{
    process::exit,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use jackfield::{Error, ErrorKind, Result};
use tokio::{
    runtime::Builder,
    signal::unix::{Signal, SignalKind, signal},
    sync::Notify,
};

/// What a command ends with that was told to a second time, or was told to by Ctrl-C when there was nothing to stop.
const INTERRUPTED: i32 = 130;

/// What it ends with that was told to by SIGTERM when there was nothing to stop.
const TERMINATED: i32 = 143;

/// Something is under way that the next signal stops; any other signal ends the process.
static STOPS: AtomicBool = AtomicBool::new(false);

/// What is under way is to stop.
static STOP: Notify = Notify::const_new();

/// Whether somebody listens already.
static LISTENS: Mutex<bool> = Mutex::new(false);

/// Something that the next signal stops, for as long as this is there.
pub(crate) struct Stoppable(());

impl Stoppable {
    /// Something begins that can be stopped: the first signal counts from now on, not from when it is waited for.
    ///
    /// # Errors
    ///
    /// If signals cannot be listened for. Then nothing should begin that could not be stopped.
    pub(crate) fn begin() -> Result<Self> {
        STOPS.store(true, Ordering::SeqCst);
        let stoppable = Self(());
        listen()?;
        Ok(stoppable)
    }

    /// Until somebody wants it to stop.
    pub(crate) async fn stopped(&self) {
        STOP.notified().await;
    }
}

impl Drop for Stoppable {
    fn drop(&mut self) {
        STOPS.store(false, Ordering::SeqCst);
    }
}

fn listen() -> Result<()> {
    let mut listens = LISTENS.lock().unwrap_or_else(PoisonError::into_inner);
    if *listens {
        return Ok(());
    }
    let failed = |error| Error::new(ErrorKind::Internal, format!("signals cannot be heard: {error}"));
    let runtime = Builder::new_current_thread().enable_io().build().map_err(failed)?;
    let (interrupts, terminations) = {
        let _runtime = runtime.enter();
        (signal(SignalKind::interrupt()).map_err(failed)?, signal(SignalKind::terminate()).map_err(failed)?)
    };
    let hears = move || runtime.block_on(hear(interrupts, terminations));
    thread::Builder::new().name("signals".to_owned()).spawn(hears).map_err(failed)?;
    *listens = true;
    Ok(())
}

async fn hear(mut interrupts: Signal, mut terminations: Signal) {
    let mut has_stopped = false;
    loop {
        let code = tokio::select! {
            _ = interrupts.recv() => INTERRUPTED,
            _ = terminations.recv() => TERMINATED,
        };
        if has_stopped {
            exit(INTERRUPTED);
        }
        if !STOPS.swap(false, Ordering::SeqCst) {
            exit(code);
        }
        has_stopped = true;
        STOP.notify_one();
    }
}
