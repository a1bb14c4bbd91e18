//! What is left to do after an erasure, until its receipt is final.

use crate::ids::{Generation, KeyId};

/// Kept with an erasure, in the same change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSweep {
    /// The highest generation at the fence: the receipt is final once it and all before it are destroyed.
    pub highest: Generation,
    /// The subject, sealed under a generation key; none where it isn't known (a replay from the ledger).
    pub subject: Option<SealedSubject>,
}

/// A subject that was erased and whose places must still be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedSubject {
    /// Whose key sealed it.
    pub generation: Generation,
    /// Sealed bytes.
    pub sealed: Vec<u8>,
}

/// An erasure whose receipt is not final.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SweepRow {
    /// The receipt's id.
    pub receipt: Box<str>,
    /// As in [`NewSweep`].
    pub highest: Generation,
    /// As in [`NewSweep`]; none once the sweep is over, or the receipt is final.
    pub subject: Option<SealedSubject>,
    /// Whether the sweep is over.
    pub swept: bool,
    /// Whether some places refused it: it is tried again.
    pub refused: bool,
    /// Databases that the subject's values were written to.
    pub databases: Vec<Box<str>>,
    /// Key ids that were destroyed.
    pub keys: Vec<KeyId>,
    /// Domain and token of what was destroyed.
    pub tokens: Vec<(Box<str>, Box<str>)>,
    /// Domain and token of what lives on, because another subject holds it too.
    pub shared: Vec<(Box<str>, Box<str>)>,
}

/// A token that takes another's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replacement {
    /// What its holders have from now on.
    pub new: Box<str>,
    /// Databases that the old one was written to.
    pub databases: Vec<Box<str>>,
}
