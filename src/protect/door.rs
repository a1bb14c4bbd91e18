//! The door itself: opening, loading, and what units and lookups share.

use super::adopt::Judged;
use super::places::Fence;
use super::tally::{Event, Tally};
use super::witness::{Peer, Principal, Witness};
use super::{Memo, Missing, OpenFault, Outcome, ProtectError, Row};
use crate::audit::{Audit, Found, stand_in};
use crate::clear::Kind;
use crate::envelope::{EnvelopeRef, FieldName, OpenError, Opener, VERSION};
use crate::ids::{FieldId, KeyId, Subject};
use crate::keyring::{KeyAnswer, Keyring, KeyringError};
use crate::keys::{Purpose, UserKey};
use crate::policy::model::{AfterErasure, Field, Policy, Protect, TokenKind};
use crate::telemetry::AUDIT_EVENTS;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

/// The door. Cheap to clone.
#[derive(Clone)]
pub struct Door {
    pub(super) inner: Arc<Inner>,
    access: Access,
    witness: Option<Arc<Witness>>,
    fence: Option<Arc<dyn Fence>>,
}

/// What for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    /// The application reads: not about restricted subjects.
    Serve,
    /// A subject's right of access is served.
    Rights,
}

pub(super) struct Inner {
    pub(super) keyring: Keyring,
    policy: Arc<Policy>,
    /// By field.
    purposes: Vec<Purpose>,
    pub(super) tally: Tally,
    /// What was found out about lost creations.
    pub(super) judged: Mutex<Judged>,
}

/// A pseudonym field's settings.
#[derive(Clone, Copy)]
pub(super) struct Pseudonym<'a> {
    pub(super) domain: &'a Arc<str>,
    pub(super) kind: TokenKind,
    pub(super) normalise: bool,
}

impl Door {
    /// A door that applies `policy`. The metrics recorder should be installed before.
    ///
    /// # Errors
    /// [`ProtectError::Unavailable`] for a policy with a field name or purpose that no envelope can carry.
    pub fn new(keyring: Keyring, policy: Arc<Policy>) -> Result<Self, ProtectError> {
        let mut purposes = Vec::with_capacity(policy.fields.len());
        for field in &policy.fields {
            name(field)?;
            let purpose = Purpose::new(field.purpose.clone());
            purposes
                .push(purpose.map_err(|e| ProtectError::Unavailable(format!("field {}: {e}", field.name)))?);
        }
        let inner = Inner { keyring, policy, purposes, tally: Tally::new(), judged: Mutex::default() };
        let inner = Arc::new(inner);
        Ok(Self { inner, access: Access::Serve, witness: None, fence: None })
    }

    /// The same door, whose openings are put on record. Those of a wire that doesn't say who opens
    /// ([`Door::witnessed`]) go under `-`.
    pub fn audited(&self, audit: Audit) -> Self {
        let nobody = Principal { user: "-".into(), ..Principal::default() };
        let witness = Witness::new(audit, nobody, self.policy());
        Self { witness: Some(Arc::new(witness)), ..self.clone() }
    }

    /// The same door, which can make stand-ins for values of the erased ([`Door::stand_ins`]).
    pub fn fencing(&self, fence: Arc<dyn Fence>) -> Self {
        Self { fence: Some(fence), ..self.clone() }
    }

    /// What makes stand-ins known, if anything does.
    pub(super) fn fence(&self) -> Option<&dyn Fence> {
        self.fence.as_deref()
    }

    /// The same door for one connection or exchange: what it opens goes on record under its peer.
    pub fn witnessed(&self, peer: &Peer<'_>) -> Self {
        let witness = self.witness.as_ref().map(|witness| Arc::new(witness.of(peer)));
        let Self { inner, access, fence, .. } = self;
        Self { inner: inner.clone(), access: *access, witness, fence: fence.clone() }
    }

    /// Whether both are doors of one policy, as it was made ready once.
    pub fn is_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    /// Puts on record what was opened and not released: where that comes to nothing while the door's connection goes on.
    pub fn put_on_record(&self) {
        if let Some(witness) = &self.witness {
            witness.put_on_record();
        }
    }

    pub(super) fn saw(&self, key: KeyId, field: FieldId) {
        if let Some(witness) = &self.witness {
            witness.saw(key, field);
        }
    }

    /// A value in clear stands where a sealed one should: what a wire finds before it comes to open anything.
    pub fn in_clear(&self, field: FieldId) -> OpenFault {
        self.found(OpenFault::InClear, field, None);
        OpenFault::InClear
    }

    /// A value stands in a row that is nobody's, where rows must tell whose they are.
    pub fn nobodys(&self, field: FieldId) -> OpenFault {
        self.found(OpenFault::WrongSubject, field, None);
        OpenFault::WrongSubject
    }

    /// What is stored can't be shown: counted, logged, and on record under whoever asked.
    pub(super) fn found(&self, fault: OpenFault, field: FieldId, key: Option<KeyId>) {
        // Nothing is wrong with what is stored where only the statement doesn't tell whose it is.
        if fault == OpenFault::Shared {
            return;
        }
        let name = self.field(field).map(|field| field.name.clone()).unwrap_or_default();
        tracing::warn!(target: "audit", event = "fault", field = %name, fault = %fault);
        metrics::counter!(AUDIT_EVENTS, "event" => "fault").increment(1);
        if let Some(witness) = &self.witness {
            witness.found(Found { fault: fault.code(), field, key });
        }
    }

    pub(super) fn seen(&self, outcome: Outcome, field: FieldId, key: Option<KeyId>) -> Outcome {
        if let Outcome::Fault(fault) = &outcome {
            self.found(*fault, field, key);
        }
        outcome
    }

    /// What the audit log calls a subject, where anything about it is kept.
    ///
    /// # Errors
    /// [`ProtectError::Unavailable`].
    pub async fn stand_in(&self, subject: &Subject) -> Result<Option<String>, ProtectError> {
        let all = self.timed(self.keyring().stand_ins_of(subject)).await?;
        Ok(all.first().map(|one| stand_in(*one)))
    }

    /// The same door for serving a subject's right of access: what is restricted opens, too.
    pub fn for_rights(&self) -> Self {
        Self { access: Access::Rights, ..self.clone() }
    }

    pub(super) fn serves_rights(&self) -> bool {
        self.access == Access::Rights
    }

    /// The same keys under another policy.
    ///
    /// # Errors
    /// As [`Door::new`].
    pub fn with_policy(&self, policy: Arc<Policy>) -> Result<Self, ProtectError> {
        let door = Self { fence: self.fence.clone(), ..Self::new(self.inner.keyring.clone(), policy)? };
        Ok(match &self.witness {
            Some(witness) => door.audited(witness.audit().clone()),
            None => door,
        })
    }

    /// The policy that this door applies.
    pub fn policy(&self) -> &Arc<Policy> {
        &self.inner.policy
    }

    pub(super) fn keyring(&self) -> &Keyring {
        &self.inner.keyring
    }

    pub(super) fn purpose(&self, field: FieldId) -> Result<&Purpose, ProtectError> {
        self.inner.purposes.get(usize::from(field.0)).ok_or_else(unknown_field)
    }

    pub(super) fn field(&self, field: FieldId) -> Result<&Field, ProtectError> {
        self.inner.policy.fields.get(usize::from(field.0)).ok_or_else(unknown_field)
    }

    /// Whether a write about an erased subject of that class is refused. So it is for a class that the policy
    /// doesn't name.
    pub(super) fn refuses(&self, class: &str) -> bool {
        let class = self.inner.policy.classes.iter().find(|known| &*known.name == class);
        class.is_none_or(|class| class.after_erasure == AfterErasure::Refuse)
    }

    /// Times the keystore.
    pub(super) async fn timed<T>(
        &self,
        work: impl Future<Output = Result<T, KeyringError>>,
    ) -> Result<T, KeyringError> {
        let begun = Instant::now();
        let done = work.await;
        self.inner.tally.seconds.record(begun.elapsed());
        done
    }

    /// Checks the lease before a batch of rows is opened.
    ///
    /// # Errors
    /// [`ProtectError::Unavailable`] when the keystore can't be asked for longer than a lease.
    pub fn begin_batch(&self) -> Result<(), ProtectError> {
        Ok(self.inner.keyring.lease()?)
    }

    /// Checks the lease, and puts on record what was opened: before a batch that was opened is released.
    ///
    /// # Errors
    /// [`ProtectError::Unavailable`] when the keystore can't be asked for longer than a lease, or the audit log is
    /// behind by more than its bound.
    pub fn lease(&self) -> Result<(), ProtectError> {
        self.inner.tally.publish();
        if let Some(witness) = &self.witness {
            witness.release()?;
        }
        Ok(self.inner.keyring.lease()?)
    }

    /// Opens an envelope (raw bytes) that stood in `row`, appending its canonical bytes to `out`.
    pub fn open(&self, field: FieldId, envelope: &[u8], row: Row<'_>, out: &mut Vec<u8>) -> Outcome {
        self.open_next(field, envelope, row, &mut Memo::default(), out)
    }

    /// [`Door::open`] for one of a batch of values, of which neighbours often have one key.
    pub fn open_next(
        &self,
        field: FieldId,
        envelope: &[u8],
        row: Row<'_>,
        memo: &mut Memo,
        out: &mut Vec<u8>,
    ) -> Outcome {
        let Ok(parsed) = EnvelopeRef::parse(envelope) else {
            let sealed_once = envelope.first() == Some(&VERSION);
            let fault = if sealed_once { OpenFault::NotAuthentic } else { OpenFault::InClear };
            return self.seen(Outcome::Fault(fault), field, None);
        };
        let key = parsed.key_id();
        let name = self.field(field).ok().and_then(|field| name(field).ok());
        let outcome = match name.filter(|name| parsed.field_tag() == name.tag()) {
            Some(name) => self.open_as(parsed, name, field, row, memo, out),
            None => Outcome::Fault(OpenFault::WrongField),
        };
        if matches!(outcome, Outcome::Opened(_)) {
            self.inner.tally.count(Event::Opened);
            self.saw(key, field);
        }
        self.seen(outcome, field, Some(key))
    }

    /// Opens an envelope of the field `name`.
    pub(super) fn open_as(
        &self,
        envelope: EnvelopeRef<'_>,
        name: FieldName<'_>,
        field: FieldId,
        row: Row<'_>,
        memo: &mut Memo,
        out: &mut Vec<u8>,
    ) -> Outcome {
        let id = envelope.key_id();
        if let Some(opener) = memo.opener(id, row) {
            self.inner.tally.count(Event::Hit);
            return opened(opener.open(name, envelope, out));
        }
        let key = match self.access {
            Access::Serve => self.inner.keyring.reading_key(id, known(row)),
            Access::Rights => self.inner.keyring.key(id, known(row)),
        };
        let Some(answer) = key else {
            self.inner.tally.count(Event::Miss);
            return Outcome::Missing(Missing::Key(id));
        };
        self.inner.tally.count(Event::Hit);
        match answer {
            KeyAnswer::Erased => Outcome::Erased,
            // Found in a copy from before: erased is erased.
            KeyAnswer::Replaced if self.is_marked(row) => Outcome::Erased,
            KeyAnswer::Replaced => Outcome::Fault(OpenFault::Replaced),
            KeyAnswer::Unknown => Outcome::Fault(OpenFault::NotAuthentic),
            KeyAnswer::Restricted => Outcome::Fault(OpenFault::Restricted),
            KeyAnswer::WrongSubject => Outcome::Fault(OpenFault::WrongSubject),
            KeyAnswer::Unbound => match known(row) {
                Some((class, of)) => Outcome::Missing(Missing::Owner(field, id, Subject::new(class, of))),
                None => Outcome::Fault(OpenFault::WrongSubject),
            },
            KeyAnswer::Open(secret) => {
                let opener = Opener::new(&UserKey::from_parts(id, secret));
                opened(memo.keep(opener, row).open(name, envelope, out))
            }
        }
    }

    /// Fetches what was missing into the cache.
    ///
    /// # Errors
    /// [`ProtectError::Unavailable`].
    pub async fn load(&self, missing: &[Missing]) -> Result<(), ProtectError> {
        self.timed(self.fetch(missing)).await?;
        let (mut envelopes, mut tokens) = (Vec::new(), Vec::new());
        for missing in missing {
            match missing {
                Missing::Owner(field, key, subject) => envelopes.push((*field, *key, subject)),
                Missing::Holder(field, token, subject) => tokens.push((*field, &**token, subject)),
                Missing::Key(_) | Missing::Token(..) => {}
            }
        }
        for (field, key, subject) in &envelopes {
            self.adopt(*field, *key, subject).await?;
        }
        // An envelope says exactly which secret is whose: with it, most tokens are told as well.
        let told = |subject: &Subject| envelopes.iter().any(|(.., own)| *own == subject);
        for (field, token, subject) in tokens.into_iter().filter(|(.., subject)| !told(subject)) {
            self.adopt_token(field, token, subject).await?;
        }
        Ok(())
    }

    async fn fetch(&self, missing: &[Missing]) -> Result<(), KeyringError> {
        let keyring = &self.inner.keyring;
        let mut keys: Vec<KeyId> = Vec::new();
        let mut tokens: BTreeMap<&Arc<str>, Vec<&str>> = BTreeMap::new();
        for missing in missing {
            match missing {
                Missing::Key(key) => keys.push(*key),
                Missing::Token(field, token) => {
                    if let Some(pseudonym) = self.pseudonym(*field) {
                        tokens.entry(pseudonym.domain).or_default().push(token);
                    }
                }
                Missing::Owner(..) | Missing::Holder(..) => {}
            }
        }
        for (domain, mut tokens) in tokens {
            tokens.sort_unstable();
            tokens.dedup();
            keys.extend(keyring.load_tokens(domain, tokens).await?);
        }
        keys.sort_unstable();
        keys.dedup();
        if keys.is_empty() { Ok(()) } else { keyring.load_keys(&keys).await }
    }

    pub(super) fn pseudonym(&self, field: FieldId) -> Option<Pseudonym<'_>> {
        match &self.field(field).ok()?.protect {
            Protect::Pseudonym { domain, kind, normalise } => {
                Some(Pseudonym { domain, kind: *kind, normalise: *normalise })
            }
            Protect::Encrypt => None,
        }
    }
}

fn unknown_field() -> ProtectError {
    ProtectError::Unavailable("a field of another policy was asked for".into())
}

fn opened(result: Result<Kind, OpenError>) -> Outcome {
    match result {
        Ok(kind) => Outcome::Opened(kind),
        Err(OpenError::WrongField) => Outcome::Fault(OpenFault::WrongField),
        Err(_) => Outcome::Fault(OpenFault::NotAuthentic),
    }
}

/// The field's name as envelopes take it.
pub(super) fn name(field: &Field) -> Result<FieldName<'_>, ProtectError> {
    FieldName::tagged(&field.name, field.tag)
        .map_err(|e| ProtectError::Unavailable(format!("field {}: {e}", field.name)))
}

/// The row's class and id, if known.
pub(super) fn known(row: Row<'_>) -> Option<(&str, &str)> {
    match row {
        Row::Of { class, id } => Some((class, id)),
        Row::Unknown | Row::Sent => None,
    }
}
