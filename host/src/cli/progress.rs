//! What is seen on standard error while something takes long: a line that comes when it does, and goes with it.

use std::{
    io::IsTerminal,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jackfield::invoke::{Happening, Watch};

use super::output::{one_line, say};

/// How long something may take before anything is seen of it.
const PATIENCE: Duration = Duration::from_millis(400);

/// How long a wait has to be to be told where there is no terminal.
const LONG: Duration = Duration::from_secs(3);

/// The line of something that is under way.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    what: String,
    begun: Instant,
    shown: Mutex<bool>,
}

impl Progress {
    /// Something begins.
    pub(crate) fn begin(what: &str) -> Arc<Self> {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{spinner} {msg} ({elapsed})").ok();
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
            bar.set_style(style.unwrap_or_else(ProgressStyle::default_spinner));
            bar.set_message(what.to_owned());
            bar
        });
        let progress =
            Arc::new(Self { bar, what: what.to_owned(), begun: Instant::now(), shown: Mutex::new(false) });
        if progress.bar.is_some() {
            let later = Arc::downgrade(&progress);
            std::thread::spawn(move || {
                std::thread::sleep(PATIENCE);
                if let Some(progress) = later.upgrade() {
                    progress.show();
                }
            });
        }
        progress
    }

    fn show(&self) {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(bar), false) = (&self.bar, *shown) {
            bar.set_draw_target(ProgressDrawTarget::stderr());
            bar.enable_steady_tick(Duration::from_millis(100));
            *shown = true;
        }
    }

    /// Hears what happens, and says so.
    pub(crate) fn watch(self: &Arc<Self>) -> Watch {
        let progress = self.clone();
        Arc::new(move |happening| progress.happens(&happening))
    }

    fn happens(&self, happening: &Happening) {
        let text = match happening {
            Happening::Begun { .. } => return,
            Happening::Page { pages, items } => format!("{pages} page(s), {items} item(s)"),
            Happening::Waits { ms, because } => {
                let wait = Duration::from_millis(*ms);
                let text = format!("the provider {because}: waiting {:.0} s", wait.as_secs_f64().ceil());
                if self.bar.is_none() && wait >= LONG {
                    say(&format!("{}: {text}", self.what));
                }
                text
            }
            Happening::Says { message, done, total } => match (done, total) {
                (Some(done), Some(total)) => format!("{message} ({done} of {total})"),
                _ => message.clone(),
            },
        };
        if let Some(bar) = &self.bar {
            bar.set_message(format!("{}: {}", self.what, one_line(&text)));
        }
    }

    /// It is over: nothing is left to be seen of it.
    pub(crate) fn end(&self) {
        // Whoever would show it now comes too late.
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = true;
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        tracing::trace!(ms = self.begun.elapsed().as_millis(), "{} is over", self.what);
    }
}
