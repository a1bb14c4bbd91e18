//! The places where protected values lie, as an erasure sees them: what a wire offers to the jobs.

use super::{Door, ProtectError};
use crate::crypto::random;
use crate::envelope::{HEADER_LEN, MIN_LEN, VERSION};
use crate::ids::{FieldId, KeyId, Subject};
use crate::pseudonym::Token;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

/// What a call gives.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Domain and token.
pub type DomainToken = (Box<str>, Box<str>);

/// An erasure whose values may still lie somewhere.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Erased {
    /// Whose rows hold nothing that may stay, where that is known and nobody may use the id again: what lies there in
    /// clear goes too.
    pub subject: Option<Subject>,
    /// The subject's class.
    pub class: Box<str>,
    /// Key ids that were destroyed: their envelopes open no more.
    pub keys: Vec<KeyId>,
    /// Tokens that were destroyed.
    pub tokens: Vec<DomainToken>,
    /// Databases that its values were written to, as far as the keystore knows.
    pub databases: Vec<Box<str>>,
}

/// What became of one erasure's values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Swept {
    /// Place (`app public.people.email`) and rows that were overwritten there.
    pub places: Vec<(String, u64)>,
    /// Places that could not be swept, and why.
    pub missed: Vec<(String, String)>,
}

/// What shows whose a lost creation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Evidence {
    /// An envelope under its secret stands in a row of the subject.
    Envelope,
    /// A token held under its secret does. `sole`: under no other that is nobody's. It may stand in a row of somebody else
    /// who has the same identifier.
    Token {
        /// Nothing else could be meant.
        sole: bool,
    },
}

/// What became of a lost creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Adopted {
    /// Its secret is the subject's now, durably.
    Theirs,
    /// The subject was erased after it was made: what the evidence shows is erased. Its secret is destroyed, where the
    /// evidence tells that it is the subject's.
    Erased,
    /// The subject is there, and the evidence doesn't tell whether this secret is theirs.
    Elsewhere,
    /// It is no lost creation, or not of that class.
    No,
}

/// What the door asks of those who keep the ledger.
pub trait Fence: Send + Sync {
    /// Fences key ids and tokens that never named anything: durable, and read as erased, before one is stored anywhere.
    fn fence(&self, keys: Vec<KeyId>, tokens: Vec<DomainToken>) -> Answer<'_, Result<(), String>>;

    /// A secret that is nobody's yet was found to be `subject`'s.
    fn adopt<'a>(
        &'a self,
        key: KeyId,
        subject: &'a Subject,
        evidence: Evidence,
    ) -> Answer<'a, Result<Adopted, String>>;
}

/// A token that is replaced in the rows of those who still hold it, and taken out of all others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replaced {
    /// Pseudonym domain.
    pub domain: Box<str>,
    /// The token that is there.
    pub old: Box<str>,
    /// The token that takes its place.
    pub new: Box<str>,
    /// Who holds it.
    pub holders: Vec<Subject>,
    /// Databases that it was written to, as far as the keystore knows.
    pub databases: Vec<Box<str>>,
}

/// A subject whose values go on under other keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rekeyed {
    /// The job that does it.
    pub job: Box<str>,
    /// The subject's class.
    pub class: Arc<str>,
    /// The keys that are left.
    pub keys: Vec<KeyId>,
    /// Where values were sealed under them, as far as the keystore knows.
    pub databases: Vec<Box<str>>,
    /// Whether everything in this process has ended that may still seal under them.
    pub units_over: bool,
}

/// How far the values of a re-keyed subject are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resealed {
    /// Values that were sealed again now.
    pub rows: u64,
    /// Nothing lies under the keys that are left, nothing can come to, and nobody can still read what did.
    pub over: bool,
    /// Places that can't be gone through unless somebody changes something, and why.
    pub missed: Vec<(String, String)>,
    /// What ends by itself, and is waited for.
    pub waits: Vec<String>,
}

/// Places of one kind.
pub trait Places: Send + Sync + 'static {
    /// Overwrites what is left of erasures; an answer for each, in their order.
    ///
    /// # Errors
    /// The places can't be reached now: try again later.
    fn overwrite<'a>(
        &'a self,
        erased: &'a [Erased],
        fence: &'a dyn Fence,
    ) -> Answer<'a, Result<Vec<Swept>, String>>;

    /// Replaces a token. True once no row has it, and no transaction that may still write it is left: asked again until then.
    ///
    /// # Errors
    /// The places can't be reached, or changed.
    fn replace<'a>(
        &'a self,
        replaced: &'a Replaced,
        fence: &'a dyn Fence,
    ) -> Answer<'a, Result<bool, String>>;

    /// Seals a subject's values again under the keys that took the place of theirs: asked again until it is over. May be
    /// repeated at any time.
    ///
    /// # Errors
    /// The places can't be reached now: try again later.
    fn reseal<'a>(&'a self, rekeyed: &'a Rekeyed) -> Answer<'a, Result<Resealed, String>>;

    /// Places of subjects of that class that nobody here can ever go through, and why: keys have to stay for them.
    fn keeps(&self, class: &str) -> Vec<(String, String)>;

    /// The re-keying is over: what is known of how far it came can go.
    fn forget(&self, job: &str);
}

impl Door {
    /// A key id that names nothing: for envelopes that stand where one was taken away.
    pub fn dead_key() -> KeyId {
        KeyId(random())
    }

    /// An envelope of a field under a dead key, with nothing in it. Another one each time: it may stand in a UNIQUE column.
    ///
    /// # Errors
    /// [`ProtectError::Unavailable`] for a field of another policy.
    pub fn dead_envelope(&self, field: FieldId, key: KeyId) -> Result<Vec<u8>, ProtectError> {
        let mut envelope = vec![VERSION];
        envelope.extend_from_slice(&key.0);
        envelope.extend_from_slice(&self.field(field)?.tag.0);
        envelope.extend_from_slice(&random::<{ MIN_LEN - HEADER_LEN + 12 }>());
        Ok(envelope)
    }

    /// Whether a stored text has the shape of the field's tokens.
    pub fn is_token(&self, field: FieldId, text: &str) -> bool {
        self.pseudonym(field).is_some_and(|pseudonym| Token::parse(pseudonym.kind, text).is_ok())
    }

    /// A token of a domain's shape that was never issued; none for a domain of no field.
    pub fn fresh_token(&self, domain: &str) -> Option<Box<str>> {
        let mut dead = self.policy().fields.iter().filter_map(|field| self.dead_token(field.id).ok());
        dead.find(|(of, _)| **of == *domain).map(|(_, token)| token)
    }

    /// A token of a field's shape that was never issued, with its domain.
    ///
    /// # Errors
    /// [`ProtectError::Identifier`] for a field without tokens.
    pub fn dead_token(&self, field: FieldId) -> Result<DomainToken, ProtectError> {
        let pseudonym = self
            .pseudonym(field)
            .ok_or(ProtectError::Identifier("the field is encrypted, it has no tokens"))?;
        Ok(((&**pseudonym.domain).into(), Token::random(pseudonym.kind).into_boxed_str()))
    }
}
