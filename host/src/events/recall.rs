//! The requests that were refused last, across an orderly end of whoever serves. A request that is refused writes nothing: anybody
//! could have the disk written to. So they are written once, at the end, and one that is killed takes its own with it.

use std::{
    collections::VecDeque,
    fs, io,
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::{MutexGuard, PoisonError},
};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::hooks::{Hooks, REMEMBERED, Refused};
use crate::host::Host;

/// A refused request as it is kept.
#[derive(Serialize, Deserialize)]
struct Kept {
    /// Whose it is, which is not shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    project: Option<String>,
    #[serde(flatten)]
    refused: Refused,
}

impl Host {
    /// The last requests that were refused, the newest first: those to integrations of a project and to none.
    pub fn refused(&self, project: &str) -> Vec<Refused> {
        self.recall_refused();
        let may = |one: &&Refused| one.project.as_deref().is_none_or(|its| its == project);
        remembered(&self.events.hooks).iter().rev().filter(may).cloned().collect()
    }

    /// Has those remembered that were refused when the home was served last.
    pub(crate) fn recall_refused(&self) {
        let hooks = &self.events.hooks;
        hooks.recalled.get_or_init(|| {
            let path = self.home.refused();
            let kept = match read(&path) {
                Ok(kept) => kept,
                Err(error) => return tracing::warn!("{} cannot be read: {error}", path.display()),
            };
            let oldest = self.settings().ok().and_then(|settings| {
                let days = SignedDuration::from_hours(24 * i64::from(settings.config.events.keep_days));
                Timestamp::now().checked_sub(days).ok()
            });
            let mut refused = remembered(hooks);
            for Kept { project, refused: one } in kept.into_iter().rev() {
                let is_old = oldest.is_some_and(|oldest| one.at < oldest);
                if !is_old && refused.len() < REMEMBERED {
                    refused.push_front(Refused { project, ..one });
                }
            }
        });
    }

    /// Keeps them for whoever serves next.
    pub(crate) fn keep_refused(&self) {
        let path = self.home.refused();
        let kept: Vec<Kept> = remembered(&self.events.hooks)
            .iter()
            .map(|refused| Kept { project: refused.project.clone(), refused: refused.clone() })
            .collect();
        if let Err(error) = write(&path, &kept) {
            tracing::warn!("{} cannot be written: {error}", path.display());
        }
    }
}

fn remembered(hooks: &Hooks) -> MutexGuard<'_, VecDeque<Refused>> {
    hooks.refused.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read(path: &Path) -> io::Result<Vec<Kept>> {
    match fs::read(path) {
        Ok(text) => Ok(serde_json::from_slice(&text)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Writes them, or takes the file away where there are none.
fn write(path: &Path, kept: &[Kept]) -> io::Result<()> {
    if kept.is_empty() {
        return match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
    }
    let fresh = path.with_extension("json.new");
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
    io::Write::write_all(&mut file, &serde_json::to_vec_pretty(kept)?)?;
    fs::rename(&fresh, path)
}
