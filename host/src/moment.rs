//! For how long what was looked at is taken to be as it was: so short that nobody can tell, and long enough that a thousand
//! requests do not have the system look a thousand times.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// A moment.
pub(crate) const MOMENT: Duration = Duration::from_millis(1);

/// When something was looked at, by whichever thread.
pub(crate) struct Looked {
    begun: Instant,
    /// In nanoseconds from then; zero if it never was.
    at: AtomicU64,
}

impl Looked {
    pub(crate) fn never() -> Self {
        Self { begun: Instant::now(), at: AtomicU64::new(0) }
    }

    /// Whether that was a moment ago.
    pub(crate) fn just_now(&self) -> bool {
        let at = self.at.load(Ordering::Acquire);
        at > 0 && self.begun.elapsed().saturating_sub(Duration::from_nanos(at)) < MOMENT
    }

    /// Notes that it was as of a time before the look.
    pub(crate) fn note(&self, before: Instant) {
        let at = before.saturating_duration_since(self.begun).as_nanos();
        self.at.store(u64::try_from(at).unwrap_or(u64::MAX), Ordering::Release);
    }
}
