//! Processes: whose they are, whether they are there, and telling them to end.

use std::{fs, path::Path};

use rustix::process::{Pid, Signal};

use crate::eventually;

/// Sends a process a signal.
///
/// # Panics
///
/// If it is not there.
pub fn signal(process: u32, signal: Signal) {
    let pid = i32::try_from(process).ok().and_then(Pid::from_raw).expect("a process has a number");
    rustix::process::kill_process(pid, signal).expect("the process is there");
}

/// Stops a process until it is to go on, and waits until all of it stands still.
///
/// # Panics
///
/// If it is not there, or does not stop.
#[track_caller]
pub fn halt(process: u32) {
    signal(process, Signal::STOP);
    let threads = || fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    eventually("standing still", || {
        threads().all(|thread| look(&thread.path()).is_some_and(|(state, _)| state == "T"))
    });
}

/// What the kernel says of a process or a thread: its state and its parent.
fn look(at: &Path) -> Option<(String, u32)> {
    let stat = fs::read_to_string(at.join("stat")).ok()?;
    // The name before it may hold anything but ends with the last parenthesis.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    Some((fields.next()?.to_owned(), fields.next()?.parse().ok()?))
}

/// The parent of a process that is there. One that has ended and is not yet waited for is gone.
fn parent(process: u32) -> Option<u32> {
    let (state, parent) = look(&Path::new("/proc").join(process.to_string()))?;
    (state != "Z" && state != "X").then_some(parent)
}

/// Whether a process is there.
#[must_use]
pub fn is_there(process: u32) -> bool {
    parent(process).is_some()
}

/// The processes that a process has started.
#[must_use]
pub fn children(process: u32) -> Vec<u32> {
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers.filter(|child| parent(*child) == Some(process)).collect()
}

/// The processes of a group that are there.
#[must_use]
pub fn group(leader: u32) -> Vec<u32> {
    let of = |process: &u32| {
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        stat.rsplit_once(')')?.1.split_whitespace().nth(2)?.parse::<u32>().ok()
    };
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers.filter(|process| of(process) == Some(leader) && is_there(*process)).collect()
}

/// How much memory a process has, in bytes.
///
/// # Panics
///
/// If it is not there: what is gone would seem to need little.
#[must_use]
#[track_caller]
pub fn memory(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kilobytes.expect("the process is there") * 1024
}

/// Whether a process has counted for half a second, more than it takes to get ready for anything.
#[must_use]
pub fn is_busy(process: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let counted = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(11)?.parse().ok());
    // In hundredths of a second.
    counted.is_some_and(|counted: u64| counted >= 50)
}
