//! How long the stages of one command take, for whoever wonders where the time goes. It does not know what the stages are.

use std::{
    sync::{Mutex, OnceLock, PoisonError},
    time::{Duration, Instant},
};

static BEGUN: OnceLock<Instant> = OnceLock::new();
static STAGES: Mutex<Vec<(&str, Instant)>> = Mutex::new(Vec::new());

/// The program begins.
pub fn begin() {
    let _ = BEGUN.set(Instant::now());
}

/// How many stages are noted: enough for one command, and no burden on a server.
const MOST: usize = 64;

/// A stage is over: everything since the one before belongs to it. Without a beginning, nothing is noted.
pub fn stage(name: &'static str) {
    if BEGUN.get().is_some() {
        let mut stages = STAGES.lock().unwrap_or_else(PoisonError::into_inner);
        if stages.len() < MOST {
            stages.push((name, Instant::now()));
        }
    }
}

/// The stages so far, and how long each took; one that came several times, together.
#[must_use]
pub fn stages() -> Vec<(&'static str, Duration)> {
    let stages = STAGES.lock().unwrap_or_else(PoisonError::into_inner);
    let mut before = BEGUN.get().copied();
    let mut told: Vec<(&str, Duration)> = Vec::new();
    for (name, at) in stages.iter() {
        let took = before.map_or(Duration::ZERO, |before| at.duration_since(before));
        match told.iter_mut().find(|(known, _)| known == name) {
            Some((_, sum)) => *sum += took,
            None => told.push((*name, took)),
        }
        before = Some(*at);
    }
    told
}
