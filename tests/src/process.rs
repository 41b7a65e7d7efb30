//! Processes: whose they are, whether they are there, and telling them to end.

use std::fs;

use rustix::process::{Pid, Signal};

/// Sends a process a signal.
///
/// # Panics
///
/// If it is not there.
pub fn signal(process: u32, signal: Signal) {
    let pid = i32::try_from(process).ok().and_then(Pid::from_raw).expect("a process has a number");
    rustix::process::kill_process(pid, signal).expect("the process is there");
}

/// What the kernel says of a process: its state and its parent. One that has ended and is not yet waited for is gone.
fn look(process: u32) -> Option<u32> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name before it may hold anything but ends with the last parenthesis.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    fields.next().filter(|state| *state != "Z" && *state != "X")?;
    fields.next()?.parse().ok()
}

/// Whether a process is there.
#[must_use]
pub fn is_there(process: u32) -> bool {
    look(process).is_some()
}

/// The processes that a process has started.
#[must_use]
pub fn children(process: u32) -> Vec<u32> {
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers.filter(|child| look(*child) == Some(process)).collect()
}
