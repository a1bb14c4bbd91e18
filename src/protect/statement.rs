//! One statement's values: which keys they need, what the store must hold first, and what is stored then.

use super::door::{Pseudonym, name};
use super::tally::Event;
use super::unit::{TokenName, Unit, copy};
use super::{Door, Item, Owner, ProtectError, Stored, identifier};
use crate::envelope::{EnvelopeRef, Padding, open, seal};
use crate::ids::{KeyId, Subject};
use crate::keyring::{Fresh, KeyAnswer, KeyringError, Made, TokenEntry};
use crate::keys::{Purpose, UserKey};
use crate::keystore::StoreError;
use crate::keystore::model::{Held, Hold, HolderName};
use crate::policy::model::{Field, Protect};
use crate::pseudonym::{Identifier, Token};
use std::collections::{HashMap, HashSet};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

/// So often a statement starts over when an erasure took a key that it was about to use.
const ATTEMPTS: usize = 4;

/// After so many items the worker's other tasks have their turn.
const PAUSE: usize = 256;

/// What becomes of an item.
enum Step {
    /// The empty string stays.
    Empty,
    /// Sealed under the key of that number.
    Seal(usize),
    /// A token known beforehand, which the key holds already.
    Token(Box<str>),
    /// The token of the hold of that number.
    Hold(usize),
}

/// What a statement needs.
#[derive(Default)]
struct Draft<'a> {
    /// Each with whether it is fresh.
    keys: Vec<(UserKey, bool)>,
    by_owner: HashMap<(Who<'a>, &'a Purpose), usize>,
    fresh: Vec<(Option<u32>, Option<Subject>, Fresh)>,
    holds: Vec<(Option<u32>, Hold)>,
    steps: Vec<Step>,
}

#[derive(PartialEq, Eq, Hash, Clone, Copy)]
enum Who<'a> {
    Subject(&'a Subject),
    Row(u32),
}

impl Who<'_> {
    fn row(self) -> Option<u32> {
        match self {
            Self::Row(row) => Some(row),
            Self::Subject(_) => None,
        }
    }
}

impl Unit {
    /// Protects the values of one statement: keys and tokens are durable when this returns.
    /// `Stored` come in the order of `items`.
    ///
    /// # Errors
    /// [`ProtectError`]; nothing of the statement must be sent then.
    pub async fn protect(&mut self, items: &[Item<'_>]) -> Result<Vec<Stored>, ProtectError> {
        self.rows.clear();
        if items.is_empty() {
            return Ok(Vec::new());
        }
        let door = self.door.clone();
        door.lease()?;
        self.recheck().await?;
        let mut attempts = 0;
        loop {
            let draft = self.draft(&door, items).await?;
            match self.settle_draft(&door, draft, items).await {
                // An erasure took a key, or a random token was taken: once more with what is there now.
                Err(Retry::Again) if attempts < ATTEMPTS => attempts += 1,
                Err(Retry::Again) => {
                    return Err(ProtectError::Unavailable("it is too busy with erasures".into()));
                }
                Err(Retry::Failed(e)) => return Err(e),
                Ok(stored) => return Ok(stored),
            }
            self.recheck().await?;
        }
    }

    async fn draft<'a>(&self, door: &'a Door, items: &'a [Item<'_>]) -> Result<Draft<'a>, ProtectError> {
        let mut draft = Draft::default();
        for (number, item) in items.iter().enumerate() {
            pause(number).await;
            let who = match item.owner {
                Owner::Known(subject) => Who::Subject(subject),
                Owner::Returned(row) => Who::Row(row),
            };
            let step = match door.pseudonym(item.field) {
                None => Step::Seal(self.key(door, &mut draft, who, door.purpose(item.field)?).await?),
                Some(pseudonym) => self.identifier(door, &mut draft, who, item, pseudonym).await?,
            };
            draft.steps.push(step);
        }
        Ok(draft)
    }

    /// The key of that owner and purpose: this unit's own, the subject's sealing one, or a fresh one.
    async fn key<'a>(
        &self,
        door: &'a Door,
        draft: &mut Draft<'a>,
        who: Who<'a>,
        purpose: &'a Purpose,
    ) -> Result<usize, ProtectError> {
        if let Some(number) = draft.by_owner.get(&(who, purpose)) {
            return Ok(*number);
        }
        let known = match who {
            Who::Row(_) => None,
            Who::Subject(subject) => match self.own.get(&(subject.clone(), purpose.clone())) {
                Some(own) => Some(copy(own)),
                None => door.keyring().sealing(subject, purpose).await?,
            },
        };
        let number = match known {
            Some(known) => {
                draft.keys.push((known, false));
                draft.keys.len() - 1
            }
            None => fresh(door, draft, who, purpose)?,
        };
        draft.by_owner.insert((who, purpose), number);
        Ok(number)
    }

    async fn identifier<'a>(
        &self,
        door: &'a Door,
        draft: &mut Draft<'a>,
        who: Who<'a>,
        item: &Item<'_>,
        pseudonym: Pseudonym<'a>,
    ) -> Result<Step, ProtectError> {
        let written = identifier::text(item.value)?;
        let Some(exact) = Identifier::read(&written, pseudonym.normalise)? else {
            // It needs no key, but a write about the erased it is.
            return match who {
                Who::Subject(subject) if door.is_erased(subject).await? => Err(ProtectError::ErasedSubject),
                _ => Ok(Step::Empty),
            };
        };
        let purpose = door.purpose(item.field)?;
        let mut number = self.key(door, draft, who, purpose).await?;
        let (key, is_fresh) = (draft.keys[number].0.id(), draft.keys[number].1);
        if let (Who::Subject(subject), false) = (who, is_fresh) {
            match self.holding(door, pseudonym, exact.exact(), subject, key, item).await? {
                Holding::Settled(token) => return Ok(Step::Token(token)),
                // The same identifier, spelled otherwise: the old spelling must come back if this transaction
                // doesn't commit, so the new one gets a secret of its own.
                Holding::OtherSpelling => number = fresh(door, draft, who, purpose)?,
                Holding::No => {}
            }
        }
        let user = &draft.keys[number].0;
        let sealed =
            seal(user, name(door.field(item.field)?)?, item.value.kind(), item.value.bytes(), Padding::None)?;
        let hold = Hold {
            domain: pseudonym.domain.clone(),
            lookups: door.keyring().pairs(pseudonym.domain, exact.exact(), &exact.folded()).await?,
            fresh: Token::random(pseudonym.kind).into_boxed_str(),
            key_id: user.id(),
            sealed,
        };
        draft.holds.push((who.row(), hold));
        Ok(Step::Hold(draft.holds.len() - 1))
    }

    /// Whether the subject holds that identifier already.
    async fn holding(
        &self,
        door: &Door,
        pseudonym: Pseudonym<'_>,
        exact: &str,
        subject: &Subject,
        key: KeyId,
        item: &Item<'_>,
    ) -> Result<Holding, ProtectError> {
        let keyring = door.keyring();
        let Some(token) = keyring.find(pseudonym.domain, exact).await? else { return Ok(Holding::No) };
        let read = |entry: &TokenEntry| match entry {
            TokenEntry::Live { holders, .. } => holders.clone(),
            _ => Vec::new(),
        };
        let holders = match keyring.token(pseudonym.domain, &token, read) {
            Some(holders) => holders,
            None => {
                keyring.load_token(pseudonym.domain, &token).await?;
                keyring.token(pseudonym.domain, &token, read).unwrap_or_default()
            }
        };
        let own = |holder: &&crate::keyring::Holder| holder.subject.as_ref() == Some(subject);
        let Some(latest) = holders.iter().find(own) else { return Ok(Holding::No) };
        if pseudonym.normalise && !self.spelled(door, pseudonym, latest, item).await? {
            return Ok(Holding::OtherSpelling);
        }
        let settled = holders.iter().filter(own).any(|holder| holder.settled && holder.key_id == key);
        Ok(if settled || (pseudonym.normalise && latest.settled) {
            Holding::Settled(token)
        } else {
            Holding::No
        })
    }

    /// Whether the holder's identifier is spelled as the item's value.
    async fn spelled(
        &self,
        door: &Door,
        pseudonym: Pseudonym<'_>,
        holder: &crate::keyring::Holder,
        item: &Item<'_>,
    ) -> Result<bool, ProtectError> {
        if door.keyring().key(holder.key_id, None).is_none() {
            door.keyring().load_keys(&[holder.key_id]).await?;
        }
        let Some(KeyAnswer::Open(secret)) = door.keyring().key(holder.key_id, None) else { return Ok(false) };
        let user = UserKey::from_parts(holder.key_id, secret);
        let Ok(envelope) = EnvelopeRef::parse(&holder.sealed) else { return Ok(false) };
        let Some(name) = door.sealer(pseudonym.domain, envelope.field_tag()) else { return Ok(false) };
        let mut clear = Zeroizing::new(Vec::with_capacity(holder.sealed.len()));
        let kind = open(&user, name, envelope, &mut clear);
        Ok(kind.is_ok_and(|kind| kind == item.value.kind()) && bool::from(clear.ct_eq(item.value.bytes())))
    }

    /// Makes what the draft needs durable, then seals.
    async fn settle_draft(
        &mut self,
        door: &Door,
        draft: Draft<'_>,
        items: &[Item<'_>],
    ) -> Result<Vec<Stored>, Retry> {
        let Draft { keys, fresh, holds, steps, .. } = draft;
        let mut held = Vec::new();
        if !fresh.is_empty() || !holds.is_empty() {
            let secrets = fresh.iter().map(|(.., fresh)| fresh.row.clone()).collect();
            let rows = holds.iter().map(|(_, hold)| hold.clone()).collect();
            self.open = true;
            held = door.timed(door.keyring().write(self.id, &self.database, secrets, rows)).await?;
        }
        self.record(fresh, &holds, &held);
        let mut stored = Vec::with_capacity(items.len());
        for (number, (step, item)) in steps.into_iter().zip(items).enumerate() {
            pause(number).await;
            stored.push(match step {
                Step::Empty => Stored::Token("".into()),
                Step::Token(token) => tokenised(door, token),
                Step::Hold(number) => {
                    let held = held.get(number).ok_or_else(|| lost("a token"))?;
                    tokenised(door, held.token.clone())
                }
                Step::Seal(number) => {
                    let (key, _) = keys.get(number).ok_or_else(|| lost("a key"))?;
                    sealed(door, key, door.field(item.field)?, item)?
                }
            });
        }
        Ok(stored)
    }

    fn record(
        &mut self,
        fresh: Vec<(Option<u32>, Option<Subject>, Fresh)>,
        holds: &[(Option<u32>, Hold)],
        held: &[Held],
    ) {
        let made: HashSet<KeyId> = fresh.iter().map(|(.., fresh)| fresh.row.key_id).collect();
        self.made.extend(fresh.iter().map(|(.., fresh)| Made::Secret(fresh.row.key_id)));
        for (row, subject, fresh) in fresh {
            match (row, subject) {
                (Some(row), _) => self.rows.add_secret(row, fresh.secret, fresh.user),
                (None, Some(subject)) => {
                    let owner = (subject, fresh.secret.purpose().clone());
                    self.own.entry(owner).or_insert(fresh.user);
                }
                (None, None) => {}
            }
        }
        for ((row, hold), held) in holds.iter().zip(held) {
            let token: TokenName = (hold.domain.clone(), held.token.clone());
            if let Some(row) = row {
                self.rows.add_token(*row, token.clone());
            }
            if held.added && !made.contains(&hold.key_id) {
                let (domain, token) = token.clone();
                self.made.push(Made::Holder(HolderName { domain, token, key_id: hold.key_id }));
            }
            self.tokens.push(token);
        }
    }
}

/// A long statement lets others in: the worker is one thread.
async fn pause(done: usize) {
    if done % PAUSE == PAUSE - 1 {
        tokio::task::yield_now().await;
    }
}

/// What a subject already holds.
enum Holding {
    /// This identifier, for good.
    Settled(Box<str>),
    /// This identifier in another spelling.
    OtherSpelling,
    /// Not this identifier, or not for good.
    No,
}

enum Retry {
    Again,
    Failed(ProtectError),
}

impl From<KeyringError> for Retry {
    fn from(e: KeyringError) -> Self {
        match e {
            KeyringError::Store(StoreError::Gone(_) | StoreError::Taken | StoreError::Stale) => Self::Again,
            other => Self::Failed(other.into()),
        }
    }
}

impl From<ProtectError> for Retry {
    fn from(e: ProtectError) -> Self {
        Self::Failed(e)
    }
}

fn lost(what: &str) -> Retry {
    Retry::Failed(ProtectError::Unavailable(format!("it did not say what became of {what}")))
}

fn fresh<'a>(
    door: &Door,
    draft: &mut Draft<'a>,
    who: Who<'a>,
    purpose: &Purpose,
) -> Result<usize, ProtectError> {
    let subject = match who {
        Who::Subject(subject) => Some(subject),
        Who::Row(_) => None,
    };
    let refuse = subject.is_some_and(|subject| door.refuses(&subject.class));
    let fresh = door.keyring().fresh(purpose, subject, refuse)?;
    draft.keys.push((copy(&fresh.user), true));
    draft.fresh.push((who.row(), subject.cloned(), fresh));
    Ok(draft.keys.len() - 1)
}

fn tokenised(door: &Door, token: Box<str>) -> Stored {
    door.inner.tally.count(Event::Tokenised);
    Stored::Token(token)
}

fn sealed(door: &Door, key: &UserKey, field: &Field, item: &Item<'_>) -> Result<Stored, ProtectError> {
    debug_assert_eq!(field.protect, Protect::Encrypt);
    let envelope = seal(key, name(field)?, item.value.kind(), item.value.bytes(), Padding::None)?;
    door.inner.tally.count(Event::Sealed);
    Ok(Stored::Envelope(envelope))
}
