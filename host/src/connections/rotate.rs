//! Putting another master key in the place of the one that secrets are sealed with, while everything goes on.
//!
//! The new key is in the file before anything is sealed with it; from the moment that the store knows it, nothing sealed
//! with the old one is taken any more; and the old one leaves the file when nothing has been sealed with it for a moment. Whoever is killed in
//! between has lost nothing: both keys are there, and the next to rotate goes on where it ended.

use std::{collections::BTreeSet, time::Duration};

use connector_protocol::{Error, ErrorKind, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Connections;
use crate::{
    store::{Audit, DEFAULT_PROJECT, Written},
    vault::Owner,
};

/// How many are sealed again at a time.
const GROUP: u32 = 64;

/// How long a key stays in the file after the last that was sealed with it is sealed anew: whoever had just looked that up,
/// in whatever process, is about to open it.
const LINGER: Duration = Duration::from_secs(1);

/// What came of a rotation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Rotated {
    /// The key that everything is sealed with now.
    pub key: String,
    /// The keys that are needed no more, and are gone.
    pub removed: Vec<String>,
    /// How many owners' secrets were sealed again.
    pub resealed: u64,
    /// Whether it went on where another one had ended.
    pub resumed: bool,
    /// Whose secrets cannot be opened any more: they stay as they are, and so does the key they were sealed with.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub damaged: BTreeSet<String>,
}

impl Connections {
    /// Seals everything with another master key.
    ///
    /// # Errors
    ///
    /// If a key is missing, or if something cannot be written; it can be begun again then, and goes on.
    pub async fn rotate_key(&self, actor: &str) -> Result<Rotated> {
        self.must_open().await?;
        let (_, current) = self.store.keys_in_use().await?;
        let newest = self.vault.current_id()?;
        // One that is in the file already, and not in force or not for everything, was put there by a rotation that came to no end.
        let is_half_done =
            current.as_ref().is_some_and(|current| *current != newest) || self.can_go_on(&newest).await?;
        let resumed = self.vault.ids()?.len() > 1 && is_half_done;
        let key = if resumed { newest } else { self.vault.add_key()? };
        if current.as_ref() != Some(&key) {
            self.store
                .set_key(key.clone(), Audit::new(DEFAULT_PROJECT, actor, "secret.rotate_key", &key))
                .await?;
        }
        let mut resealed = 0;
        let mut damaged = BTreeSet::new();
        loop {
            // Those that are passed over come again and again.
            let most = GROUP.saturating_add(u32::try_from(damaged.len()).unwrap_or(u32::MAX));
            let old = self.store.sealed_otherwise(key.clone(), most).await?;
            if old.iter().all(|seen| damaged.contains(&seen.id)) {
                break;
            }
            for seen in old {
                let owner = Owner { project: &seen.project, id: &seen.id };
                let envelope = match self.vault.reseal(owner, &seen.envelope) {
                    Ok(Some(envelope)) => envelope,
                    // It has said so itself; or its row says that it is sealed with another key than it does.
                    Ok(None) | Err(_) => {
                        damaged.insert(seen.id);
                        continue;
                    }
                };
                match self.store.reseal(seen, envelope).await? {
                    Written::Yes => resealed += 1,
                    // Changed meanwhile: with the new key, or it is found again.
                    Written::Stale => {}
                    Written::OldKey => {
                        return Err(Error::new(
                            ErrorKind::Conflict,
                            "somebody else rotates the key in this moment",
                        )
                        .hint("look again when they are done: jackfield secret rotate-key"));
                    }
                }
            }
        }
        tokio::time::sleep(LINGER).await;
        let (used, _) = self.store.keys_in_use().await?;
        let mut removed = Vec::new();
        for id in self.vault.ids()?.into_iter().filter(|id| *id != key && !used.contains(id)) {
            self.vault.remove_key(&id, &used)?;
            removed.push(id);
        }
        tracing::info!(key, resealed, "the master key was rotated");
        Ok(Rotated { key, removed, resealed, resumed, damaged })
    }

    /// Whether anything that is sealed by another key than this one could be sealed by it.
    async fn can_go_on(&self, key: &str) -> Result<bool> {
        let old = self.store.sealed_otherwise(key.to_owned(), GROUP).await?;
        Ok(old.iter().any(|seen| {
            let owner = Owner { project: &seen.project, id: &seen.id };
            self.vault.reseal(owner, &seen.envelope).is_ok_and(|sealed| sealed.is_some())
        }))
    }

    /// Takes the step of a rotation that somebody else has begun and may not have come to: the store learns which key is the
    /// newest.
    pub(crate) async fn catch_up(&self) -> Result<()> {
        self.must_open().await?;
        let (_, current) = self.store.keys_in_use().await?;
        let (ids, newest) = (self.vault.ids()?, self.vault.current_id()?);
        let place = |key: &str| ids.iter().position(|id| id == key);
        let is_behind = current.as_deref().is_some_and(|current| place(current) < place(&newest));
        if is_behind {
            let audit = Audit::new(DEFAULT_PROJECT, "jackfield", "secret.rotate_key", &newest);
            self.store.set_key(newest, audit).await?;
        }
        Ok(())
    }
}
