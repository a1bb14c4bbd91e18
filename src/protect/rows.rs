//! Rows of one statement whose subjects are yet to be told, found by what they hold: a statement may make many.

use super::unit::TokenName;
use crate::ids::KeyId;
use crate::keys::{SubjectSecret, UserKey};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The last statement's.
#[derive(Default)]
pub(super) struct Rows {
    rows: BTreeMap<u32, RowState>,
    by_key: HashMap<KeyId, u32>,
    /// Those that may not be taken yet.
    by_token: HashMap<Box<str>, BTreeSet<u32>>,
}

/// A row whose subject isn't known yet.
#[derive(Default)]
pub(super) struct RowState {
    /// One per purpose.
    pub(super) secrets: Vec<(SubjectSecret, UserKey)>,
    pub(super) tokens: Vec<TokenName>,
    taken: bool,
}

impl Rows {
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(super) fn add_secret(&mut self, row: u32, secret: SubjectSecret, user: UserKey) {
        self.by_key.insert(secret.key_id(), row);
        self.rows.entry(row).or_default().secrets.push((secret, user));
    }

    pub(super) fn add_token(&mut self, row: u32, token: TokenName) {
        self.by_token.entry(token.1.clone()).or_default().insert(row);
        self.rows.entry(row).or_default().tokens.push(token);
    }

    /// The row whose secret has that key.
    pub(super) fn of_key(&self, key: KeyId) -> Option<u32> {
        self.by_key.get(&key).copied().filter(|row| self.rows.contains_key(row))
    }

    /// The first row with a secret whose key is such a one.
    pub(super) fn of_any_key(&self, is: impl Fn(KeyId) -> bool) -> Option<u32> {
        let found = |row: &RowState| row.secrets.iter().any(|(secret, _)| is(secret.key_id()));
        self.rows.iter().find(|(_, row)| found(row)).map(|(number, _)| *number)
    }

    /// Takes that row, so that no token finds it.
    pub(super) fn take(&mut self, row: u32) {
        if let Some(row) = self.rows.get_mut(&row) {
            row.taken = true;
        }
    }

    /// The first row not yet taken that holds this token; takes it.
    pub(super) fn take_of_token(&mut self, token: &str) -> Option<u32> {
        let holding = self.by_token.get_mut(token)?;
        while let Some(number) = holding.pop_first() {
            if let Some(row) = self.rows.get_mut(&number).filter(|row| !row.taken) {
                row.taken = true;
                return Some(number);
            }
        }
        None
    }

    pub(super) fn remove(&mut self, row: u32) -> Option<RowState> {
        self.rows.remove(&row)
    }

    /// All that are left.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = RowState> + use<> {
        std::mem::take(self).rows.into_values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_a_large_statement_are_found_without_looking_through_all() {
        // Looking through them for each takes minutes.
        let mut rows = Rows::default();
        for row in 0..200_000 {
            rows.add_token(row, ("email".into(), format!("token-{row}").into()));
        }
        rows.take(7);
        for row in (0..200_000).rev() {
            let expected = (row != 7).then_some(row);
            assert_eq!(rows.take_of_token(&format!("token-{row}")), expected);
        }
    }
}
