//! The key that opened last, kept ready while one batch of rows is opened: the fields of a row mostly
//! have one subject, and so one key.

use super::Row;
use super::door::known;
use crate::envelope::Opener;
use crate::ids::KeyId;

/// Of one batch, under one lease: [`Memo::forget`] ends it. Zeroised when dropped.
#[derive(Default)]
pub struct Memo {
    opener: Option<Opener>,
    /// The row's class and id, for which the cache answered; both empty where they were not known.
    class: String,
    id: String,
    known: bool,
}

impl Memo {
    /// Ends the batch: an erasure that came meanwhile holds from here.
    pub fn forget(&mut self) {
        self.opener = None;
    }

    /// The key, if it is that one and was given for such a row.
    pub(super) fn opener(&self, id: KeyId, row: Row<'_>) -> Option<&Opener> {
        let (class, of) = known(row).unwrap_or_default();
        let same = known(row).is_some() == self.known && self.id == of && self.class == class;
        self.opener.as_ref().filter(|opener| same && opener.id() == id)
    }

    /// Keeps a key that the cache gave for a row.
    pub(super) fn keep(&mut self, opener: Opener, row: Row<'_>) -> &Opener {
        let (class, id) = known(row).unwrap_or_default();
        self.known = known(row).is_some();
        self.class.clear();
        self.class.push_str(class);
        self.id.clear();
        self.id.push_str(id);
        self.opener.insert(opener)
    }
}
