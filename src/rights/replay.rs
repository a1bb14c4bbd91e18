//! Bringing a keystore up to its ledger: before anything is served.

use super::{Entry, LedgerError, Receipt, Rights, RightsError, What};
use crate::ids::{Generation, KeyId};
use crate::keystore::model::{Erase, Found, LedgerHead, NewSweep};
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

impl Rights {
    /// Repeats every destruction that the keystore may not have seen to its end: intents without a done (a crash),
    /// and whatever lies after the entry that the keystore remembers (a restored keystore).
    pub(super) async fn replay(&self) -> Result<(), RightsError> {
        let entries = self.inner.ledger.take_entries();
        let seen = self.inner.keyring.store().ledger_head().await?;
        check(&entries, seen)?;
        let seen = seen.map_or(0, |head| head.sequence);
        let done: HashSet<String> = entries.iter().filter_map(|(entry, _)| finished(&entry.what)).collect();
        let generations = highest(&entries);
        let followed = Followed::of(&entries)?;
        let mut closed = HashSet::new();
        for (entry, head) in entries {
            let (receipt, class, ground, keys, tokens, mark) = match entry.what {
                What::Intent { receipt, class, ground, keys, tokens, mark, .. } => {
                    (receipt, class, ground, keys, tokens, mark)
                }
                What::Standins { keys, tokens } if entry.sequence > seen => {
                    self.fence_again(&keys, tokens, entry.sequence, head).await?;
                    continue;
                }
                What::Rekey { job, keys, .. } => {
                    let keys = read_keys(&keys, entry.sequence)?;
                    let unseen = (entry.sequence > seen).then_some(head);
                    let over = match unseen {
                        Some(head) if !followed.are_erased(&keys) => {
                            self.rekey_again(&job, &keys, head).await?
                        }
                        _ => true,
                    };
                    if over && !done.contains(&job) {
                        closed.insert(job);
                    }
                    continue;
                }
                What::Root { generation, used } => {
                    // One that this keystore does not know of was made by a newer one, which may have used it.
                    self.roots_known(generation, used || entry.sequence > seen);
                    continue;
                }
                What::Standins { .. } | What::Done { .. } => continue,
            };
            if entry.sequence <= seen && done.contains(&receipt) {
                continue;
            }
            let generation = Generation(generations.get(&receipt).copied().unwrap_or(0));
            let highest = self.inner.keyring.active_generation().max(generation);
            let erase = Erase {
                subject: None,
                keys: followed.with_earlier(read_keys(&keys, entry.sequence)?),
                tokens: tokens.into_iter().map(|(domain, token)| (domain.into(), token.into())).collect(),
                mark: mark.map(|mark| read_mark(&mark).ok_or_else(|| damaged(entry.sequence))).transpose()?,
                receipt: receipt.as_str().into(),
                ledger: (entry.sequence > seen).then_some(head),
                // Whatever keystore this is: copies of the one that was erased from hold generations up to that one.
                sweep: Some(NewSweep { highest, subject: None }),
            };
            let erased = self.inner.keyring.erase(erase).await?;
            tracing::info!(target: "audit", %receipt, keys = keys.len(), "an erasure was completed from the ledger");
            if self.inner.keyring.store().receipt(&receipt).await?.is_none() {
                let document = Receipt {
                    keys,
                    tokens_destroyed: erased.destroyed.len(),
                    tokens_living_on: erased.surviving.len(),
                    generation: highest.0,
                    ..self.blank(receipt.clone(), &class, &ground, entry.time)
                };
                let document = self.with_unsettled(document).await?;
                self.inner.receipts.issue(document).await?;
            }
            if !done.contains(&receipt) {
                closed.insert(receipt);
            }
        }
        for receipt in closed {
            self.inner.append(self.inner.now(), What::Done { receipt }).await?;
        }
        Ok(())
    }
}

impl Rights {
    /// A keystore from before the end of a re-keying has the old secrets, and may lack the new ones. What a database of the
    /// same age holds lies under the old ones, so they are not destroyed at once: the re-keying is carried out again. Whether
    /// it is over instead.
    async fn rekey_again(&self, job: &str, keys: &[KeyId], head: LedgerHead) -> Result<bool, RightsError> {
        let store = self.inner.keyring.store();
        let subject = store.secrets(keys).await?.into_iter().find_map(|found| match found {
            Found::Live(row) => row.subject,
            _ => None,
        });
        let begun = match subject {
            Some(subject) => self.inner.keyring.rekey(&subject, job, Some(head)).await?,
            None => None,
        };
        if begun.is_none() {
            store.fence(Vec::new(), Vec::new(), Some(head)).await?;
        }
        Ok(begun.is_none())
    }

    /// Fences stand-ins that the keystore has not seen.
    async fn fence_again(
        &self,
        keys: &[String],
        tokens: Vec<(String, String)>,
        sequence: u64,
        head: LedgerHead,
    ) -> Result<(), RightsError> {
        let tokens = tokens.into_iter().map(|(domain, token)| (domain.into(), token.into())).collect();
        let store = self.inner.keyring.store();
        Ok(store.fence(read_keys(keys, sequence)?, tokens, Some(head)).await?)
    }
}

/// Which key took the place of which, over all re-keyings; and which subjects were erased under a later one. An intent names
/// what the subject had by then: a keystore from before a re-keying has what came before that.
#[derive(Default)]
struct Followed {
    /// What was left, for each that took its place.
    before: HashMap<KeyId, Vec<KeyId>>,
    erased: HashSet<KeyId>,
}

impl Followed {
    fn of(entries: &[(Entry, LedgerHead)]) -> Result<Self, RightsError> {
        let mut followed = Self::default();
        let mut erased = Vec::new();
        for (entry, _) in entries {
            match &entry.what {
                What::Rekey { keys, by, .. } => {
                    let keys = read_keys(keys, entry.sequence)?;
                    for new in read_keys(by, entry.sequence)? {
                        followed.before.entry(new).or_default().extend(&keys);
                    }
                }
                What::Intent { keys, .. } => erased.extend(read_keys(keys, entry.sequence)?),
                What::Standins { .. } | What::Done { .. } | What::Root { .. } => {}
            }
        }
        followed.erased = followed.with_earlier(erased).into_iter().collect();
        Ok(followed)
    }

    /// These keys, and all that they and theirs took the place of.
    fn with_earlier(&self, keys: Vec<KeyId>) -> Vec<KeyId> {
        let mut all = keys;
        let mut known: HashSet<KeyId> = all.iter().copied().collect();
        let mut next = 0;
        while let Some(key) = all.get(next).copied() {
            next += 1;
            for before in self.before.get(&key).into_iter().flatten() {
                if known.insert(*before) {
                    all.push(*before);
                }
            }
        }
        all
    }

    fn are_erased(&self, keys: &[KeyId]) -> bool {
        keys.iter().any(|key| self.erased.contains(key))
    }
}

/// The highest generation that any intent of a receipt names.
fn highest(entries: &[(Entry, LedgerHead)]) -> HashMap<String, u32> {
    let mut highest = HashMap::new();
    for (entry, _) in entries {
        if let What::Intent { receipt, generation, .. } = &entry.what {
            let known = highest.entry(receipt.clone()).or_insert(0);
            *known = (*known).max(*generation);
        }
    }
    highest
}

fn finished(what: &What) -> Option<String> {
    match what {
        What::Done { receipt } => Some(receipt.clone()),
        What::Intent { .. } | What::Standins { .. } | What::Rekey { .. } | What::Root { .. } => None,
    }
}

/// The keystore's last entry must be in the ledger, unchanged.
fn check(entries: &[(Entry, LedgerHead)], seen: Option<LedgerHead>) -> Result<(), RightsError> {
    let Some(seen) = seen else { return Ok(()) };
    if entries.iter().any(|(_, head)| *head == seen) {
        return Ok(());
    }
    Err(RightsError::Behind { found: entries.len() as u64, seen: seen.sequence })
}

fn read_keys(keys: &[String], entry: u64) -> Result<Vec<KeyId>, RightsError> {
    keys.iter().map(|key| read_key(key)).collect::<Option<_>>().ok_or_else(|| damaged(entry))
}

fn read_key(text: &str) -> Option<KeyId> {
    let mut key = [0; 16];
    hex::decode_to_slice(text, &mut key).ok()?;
    Some(KeyId(key))
}

fn read_mark(text: &str) -> Option<[u8; 32]> {
    let mut mark = [0; 32];
    hex::decode_to_slice(text, &mut mark).ok()?;
    Some(mark)
}

fn damaged(entry: u64) -> RightsError {
    LedgerError::Damaged { path: PathBuf::from("of this keystore"), entry }.into()
}
