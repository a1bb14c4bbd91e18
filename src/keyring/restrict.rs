//! What keeps keys from being used: restricted subjects, root keys out of reach. And what the audit log calls a subject.

use super::entry::KeyEntry;
use super::{Keyring, KeyringError};
use crate::ids::{KeyId, Subject};
use crate::keys::StandIn;
use crate::keystore::model::Found;
use crate::keystore::rotation::Passed;
use std::collections::{HashMap, HashSet};

impl Keyring {
    /// Restricts a subject, or releases it: durable, and no cache knows otherwise, when this returns. False where
    /// nothing of it is known.
    ///
    /// # Errors
    /// [`KeyringError::Store`].
    pub async fn restrict(&self, subject: &Subject, on: bool) -> Result<bool, KeyringError> {
        let inner = &self.inner;
        if !inner.store.restrict(subject, on).await? {
            return Ok(false);
        }
        {
            let mut restricted = inner.restricted.write();
            if on {
                restricted.insert(subject.clone());
            } else {
                restricted.remove(subject);
            }
        }
        // A load that did not know yet fills nothing after this.
        for key in inner.store.footprint(subject).await?.keys {
            inner.caches.keys.purge(&key);
        }
        Ok(true)
    }

    /// Whether the subject is restricted.
    pub fn is_restricted(&self, subject: &Subject) -> bool {
        let restricted = self.inner.restricted.read();
        !restricted.is_empty() && restricted.contains(subject)
    }

    /// Opens nothing any more, for that reason; or goes on. For when the root keys' provider can't be asked for longer
    /// than the generation in memory may serve without it.
    pub fn suspend(&self, why: Option<String>) {
        *self.inner.suspended.write() = why;
    }

    /// Forgets the restriction of a subject that was erased.
    pub fn forget_restriction(&self, subject: &Subject) {
        self.inner.restricted.write().remove(subject);
    }

    /// What the audit log calls the subjects of these keys; none of those that are erased.
    ///
    /// # Errors
    /// [`KeyringError`].
    pub async fn stand_ins(&self, keys: &[KeyId]) -> Result<HashMap<KeyId, StandIn>, KeyringError> {
        let mut found = HashMap::with_capacity(keys.len());
        let mut asked: HashSet<KeyId> = HashSet::new();
        for key in keys {
            let known = self.inner.caches.keys.get(key, |entry| match entry {
                KeyEntry::Live(live) => Some(live.stand_in),
                KeyEntry::Fenced | KeyEntry::Replaced | KeyEntry::Unknown => None,
            });
            match known {
                Some(Some(stand_in)) => drop(found.insert(*key, stand_in)),
                Some(None) => {}
                None => drop(asked.insert(*key)),
            }
        }
        let asked: Vec<KeyId> = asked.into_iter().collect();
        for (key, row) in asked.iter().zip(self.inner.store.secrets(&asked).await?) {
            if let Found::Live(row) = row {
                found.insert(*key, self.unwrap(&row)?.stand_in());
            }
        }
        Ok(found)
    }

    /// Whom these stand-ins name, of all who are not erased; `write` gives a stand-in's form. Reads every secret.
    ///
    /// # Errors
    /// [`KeyringError`].
    pub async fn subjects_of(
        &self,
        wanted: &HashSet<String>,
        write: impl Fn(StandIn) -> String,
    ) -> Result<HashMap<String, Subject>, KeyringError> {
        let mut found = HashMap::new();
        let mut after = 0;
        while found.len() < wanted.len() {
            let passed = self.inner.store.every_secret(after, 1000).await?;
            let Some(last) = passed.last() else { break };
            after = last.place;
            for Passed { row, .. } in passed {
                let name = write(self.unwrap(&row)?.stand_in());
                if let (true, Some(subject)) = (wanted.contains(&name), row.subject) {
                    found.insert(name, subject);
                }
            }
        }
        Ok(found)
    }

    /// What the audit log calls a subject: one for each of its secrets.
    ///
    /// # Errors
    /// [`KeyringError`].
    pub async fn stand_ins_of(&self, subject: &Subject) -> Result<Vec<StandIn>, KeyringError> {
        let keys = self.inner.store.footprint(subject).await?.keys;
        let found = self.stand_ins(&keys).await?;
        Ok(keys.iter().filter_map(|key| found.get(key).copied()).collect())
    }
}
