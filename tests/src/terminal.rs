//! A terminal with somebody at it: a pseudo-terminal, the screen that its user sees, and keys.

use std::{
    fs::File,
    io::{Read, Write},
    num::NonZero,
    os::fd::OwnedFd,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use rustix::{
    fs::{Mode, OFlags},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{Winsize, tcsetwinsize},
};

use crate::{eventually, picture};

/// How long to wait for something to appear before a test gives up.
const PATIENCE: Duration = Duration::from_secs(20);

/// A program in a terminal.
pub struct Terminal {
    keys: File,
    screen: Arc<Mutex<vt100::Parser>>,
    written: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
    child: Child,
}

impl Terminal {
    /// Starts a command in a terminal of this size.
    ///
    /// # Panics
    ///
    /// If there are no pseudo-terminals.
    #[must_use]
    pub fn start(mut command: Command, columns: u16, rows: u16) -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)
            .expect("there are pseudo-terminals");
        grantpt(&ours).and_then(|()| unlockpt(&ours)).expect("it is ours");
        let name = ptsname(&ours, Vec::new()).expect("it has a name");
        // What another test starts in this moment must not get it too: it would never be closed.
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let theirs = rustix::fs::open(&name, flags, Mode::empty()).expect("it opens");
        let size = Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&theirs, size).expect("it has a size");
        let side = |fd: &OwnedFd| Stdio::from(fd.try_clone().expect("it can be shared"));
        command
            .stdin(side(&theirs))
            .stdout(side(&theirs))
            .stderr(side(&theirs))
            .env("TERM", "xterm-256color");
        let child = command.spawn().expect("the binary runs");
        drop((command, theirs));
        let keys = File::from(ours);
        let screen =
            Arc::new(Mutex::new(vt100::Parser::new(at_least_one(rows), at_least_one(columns), 10_000)));
        let written: Arc<Mutex<Vec<u8>>> = Arc::default();
        let writes = written.clone();
        let (mut reader, seen) = (keys.try_clone().expect("it can be shared"), screen.clone());
        let mut answers = keys.try_clone().expect("it can be shared");
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(len @ 1..) = reader.read(&mut buffer) {
                writes.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&buffer[..len]);
                let mut screen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                screen.process(&buffer[..len]);
                // A terminal answers when it is asked where its cursor is.
                if buffer[..len].windows(4).any(|bytes| bytes == b"\x1b[6n") {
                    let (row, column) = screen.screen().cursor_position();
                    let _ = answers.write_all(format!("\x1b[{};{}R", row + 1, column + 1).as_bytes());
                }
            }
        });
        Self { keys, screen, written, reader: Some(reader), child }
    }

    /// What is on the screen now.
    #[must_use]
    pub fn screen(&self) -> String {
        let screen = self.screen.lock().unwrap_or_else(PoisonError::into_inner);
        let text = screen.screen().contents();
        text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n").trim_end().to_owned()
    }

    /// The screen with its colours, as escape sequences.
    #[must_use]
    pub fn formatted(&self) -> String {
        self.screen.lock().unwrap_or_else(PoisonError::into_inner).screen().contents_formatted()
    }

    /// A picture of the screen, as SVG, under this title.
    #[must_use]
    pub fn picture(&self, title: &str) -> String {
        let screen = self.screen.lock().unwrap_or_else(PoisonError::into_inner);
        picture::of(screen.screen(), title)
    }

    /// Waits for the end, and gives a picture of what is left on the screen.
    ///
    /// # Panics
    ///
    /// If it does not end.
    #[must_use]
    pub fn drawn(mut self, title: &str) -> String {
        self.waits();
        self.picture(title)
    }

    /// Everything that was written so far, seen or not any more.
    #[must_use]
    pub fn written(&self) -> String {
        let written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&written).into_owned()
    }

    /// Waits until this is on the screen.
    ///
    /// # Panics
    ///
    /// If it does not appear.
    #[track_caller]
    pub fn sees(&self, text: &str) {
        let begun = Instant::now();
        while !self.screen().contains(text) {
            assert!(begun.elapsed() < PATIENCE, "{text:?} does not appear:\n{}", self.screen());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Types something.
    ///
    /// # Panics
    ///
    /// If nobody listens any more.
    pub fn types(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("it is typed");
    }

    /// Waits for a question, and answers it: the keys, and Enter.
    #[track_caller]
    pub fn answers(&mut self, question: &str, keys: &str) {
        self.sees(question);
        self.types(keys);
        // What is typed is seen before it is sent off, as it would be by somebody who types.
        std::thread::sleep(Duration::from_millis(60));
        self.types("\r");
    }

    /// Sends the program a signal.
    ///
    /// # Panics
    ///
    /// If it is gone.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw);
        rustix::process::kill_process(pid.expect("it has a number"), signal).expect("it is there");
    }

    /// The number of the program's process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the end, and gives the exit code and what is left on the screen.
    ///
    /// # Panics
    ///
    /// If it does not end.
    #[must_use]
    #[track_caller]
    pub fn ends(mut self) -> (i32, String) {
        (self.waits(), self.screen())
    }

    /// Waits for the end, and gives the exit code.
    ///
    /// # Panics
    ///
    /// If it does not end.
    #[track_caller]
    pub fn waits(&mut self) -> i32 {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("it is ours to wait for") {
                self.drains();
                return status.code().unwrap_or(-1);
            }
            assert!(begun.elapsed() < PATIENCE, "it does not end:\n{}", self.screen());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until everything that was written has been seen.
    fn drains(&mut self) {
        if let Some(reader) = self.reader.take() {
            // When nobody has the other side any more, the reader comes to an end.
            eventually("the end of what is written", || reader.is_finished());
        }
    }
}

fn at_least_one(number: u16) -> NonZero<u16> {
    NonZero::new(number).unwrap_or(NonZero::<u16>::MIN)
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
