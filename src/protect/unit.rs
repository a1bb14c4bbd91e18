//! Units: what one transaction makes, until its outcome is known.

use super::rows::Rows;
use super::{Door, Mark, ProtectError};
use crate::crypto::random;
use crate::envelope::EnvelopeRef;
use crate::ids::{KeyId, Subject};
use crate::keyring::{Made, Use};
use crate::keys::{Purpose, UserKey};
use crate::keystore::model::UnitId;
use crate::secret::Secret;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// What one transaction wrote: its new secrets and holders are provisional until it commits.
/// Dropped without an outcome (the connection was lost at COMMIT), they wait for recovery.
pub struct Unit {
    pub(super) door: Door,
    pub(super) id: UnitId,
    pub(super) database: Arc<str>,
    /// In the order in which it was made: a [`Mark`] is a position in it.
    pub(super) made: Vec<Made>,
    /// Every token that got a holder: what caches forget with the outcome.
    pub(super) tokens: Vec<TokenName>,
    /// Secrets of this unit that have their subject: it goes on sealing under them.
    pub(super) own: HashMap<(Subject, Purpose), UserKey>,
    /// The last statement's rows whose subjects the database has yet to tell.
    pub(super) rows: Rows,
    /// Erasures that this unit knows of.
    pub(super) erasures: u64,
    /// Something may be in the store.
    pub(super) open: bool,
    /// Keys that it was given may be at work until it ends.
    _use: Use,
}

/// Domain and token.
pub(super) type TokenName = (Arc<str>, Box<str>);

impl Door {
    /// A unit of work for a transaction in `database` (kept with what is provisional, for recovery).
    pub fn unit(&self, database: &str) -> Unit {
        Unit {
            door: self.clone(),
            id: UnitId(random()),
            database: database.into(),
            made: Vec::new(),
            tokens: Vec::new(),
            own: HashMap::new(),
            rows: Rows::default(),
            erasures: self.keyring().erasures(),
            open: false,
            _use: self.keyring().begin_use(),
        }
    }
}

impl Unit {
    /// The row (of [`super::Owner::Returned`], last statement) whose provisional secret sealed this envelope.
    pub fn row_of_envelope(&self, envelope: &[u8]) -> Option<u32> {
        self.rows.of_key(EnvelopeRef::parse(envelope).ok()?.key_id())
    }

    /// The row, as [`Unit::row_of_envelope`] gives it, by what an envelope's first 17 bytes alone decide: these in
    /// hex, or as many characters of its text form.
    pub fn row_of_head(&self, head: &str, hex: bool) -> Option<u32> {
        let same = |key: KeyId| {
            let bytes: Vec<u8> = std::iter::once(0xE1).chain(key.0).collect();
            let form = if hex { hex::encode(&bytes) } else { super::armour::write(&bytes) };
            head.len() >= 26 && form.starts_with(head)
        };
        self.rows.of_any_key(same)
    }

    /// Takes that row, so that no token finds it.
    pub fn take_row(&mut self, number: u32) {
        self.rows.take(number);
    }

    /// A row (last statement) not yet taken that holds this token; takes it. Rows with the same
    /// tokens and no envelope are interchangeable.
    pub fn take_row_of_token(&mut self, token: &str) -> Option<u32> {
        self.rows.take_of_token(token)
    }

    /// Binds the rows that came back to their subjects and destroys what the others had; durable
    /// when this returns. They stay provisional until the unit's outcome.
    ///
    /// # Errors
    /// [`ProtectError::ErasedSubject`] when a row came back for an erased subject whose class refuses new
    /// data, and nothing is bound then: the transaction must be rolled back.
    pub async fn bind(&mut self, rows: &[(u32, Subject)]) -> Result<(), ProtectError> {
        let mut bound = Vec::new();
        let mut users = Vec::new();
        let mut tokens = Vec::new();
        for (number, subject) in rows {
            let Some(row) = self.rows.remove(*number) else { continue };
            let refuse = self.door.refuses(&subject.class);
            for (secret, user) in row.secrets {
                users.push(((subject.clone(), secret.purpose().clone()), user));
                bound.push((secret, subject.clone(), refuse));
            }
            tokens.extend(row.tokens);
        }
        let mut destroyed = Vec::new();
        for row in self.rows.drain() {
            destroyed.extend(row.secrets.iter().map(|(secret, _)| secret.key_id()));
            tokens.extend(row.tokens);
        }
        if bound.is_empty() && destroyed.is_empty() {
            return Ok(());
        }
        let door = self.door.clone();
        door.timed(door.keyring().bind(self.id, &bound, destroyed.clone(), &tokens)).await?;
        let destroyed: HashSet<KeyId> = destroyed.into_iter().collect();
        self.made.retain(|made| !matches!(made, Made::Secret(key) if destroyed.contains(key)));
        for (owner, user) in users {
            self.own.entry(owner).or_insert(user);
        }
        Ok(())
    }

    /// Its number, by which recovery finds it ([`super::Unsettled::unit`]).
    pub fn number(&self) -> [u8; 16] {
        self.id.0
    }

    /// Whether anything provisional waits for this unit's outcome.
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// What was made up to here.
    pub fn mark(&self) -> Mark {
        Mark(u32::try_from(self.made.len()).unwrap_or(u32::MAX))
    }

    /// ROLLBACK TO: what was made since is destroyed (queued).
    pub fn rollback_to(&mut self, mark: Mark) {
        let from = usize::try_from(mark.0).unwrap_or(usize::MAX).min(self.made.len());
        let undone = self.made.split_off(from);
        self.rows.clear();
        if undone.is_empty() {
            return;
        }
        let secrets = undone.iter().filter_map(|made| match made {
            Made::Secret(key) => Some(*key),
            Made::Holder(_) => None,
        });
        let secrets: HashSet<KeyId> = secrets.collect();
        self.own.retain(|_, user| !secrets.contains(&user.id()));
        self.door.keyring().settle(self.id, &undone, self.tokens.clone(), false, false);
    }

    /// The transaction committed: what it made is settled (queued, in order before any later write).
    pub fn commit(self) {
        self.end(true);
    }

    /// The transaction rolled back: what it made is destroyed (queued).
    pub fn rollback(self) {
        self.end(false);
    }

    fn end(mut self, committed: bool) {
        if std::mem::take(&mut self.open) {
            let tokens = std::mem::take(&mut self.tokens);
            self.door.keyring().settle(self.id, &self.made, tokens, committed, true);
        }
    }

    /// Erasures may have destroyed what this unit made: it then goes on with new secrets (or is refused).
    pub(super) async fn recheck(&mut self) -> Result<(), ProtectError> {
        let erasures = self.door.keyring().erasures();
        if erasures == self.erasures {
            return Ok(());
        }
        let keys: Vec<KeyId> = self.own.values().map(UserKey::id).collect();
        let gone = self.door.keyring().gone(&keys).await?;
        self.own.retain(|_, user| !gone.contains(&user.id()));
        self.erasures = erasures;
        Ok(())
    }
}

/// Without an outcome: recovery may look for it.
impl Drop for Unit {
    fn drop(&mut self) {
        if self.open {
            self.door.keyring().abandon(self.id);
        }
    }
}

/// A second copy of a user key, for one statement.
pub(super) fn copy(user: &UserKey) -> UserKey {
    UserKey::from_parts(user.id(), Secret::filled(|own| own.copy_from_slice(user.secret().expose())))
}
