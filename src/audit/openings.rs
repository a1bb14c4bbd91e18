//! What was opened, as the log needs it: of each key which fields, and how many values in all. The values of a row, and
//! those of a person who is read again and again, take up one place.

use crate::ids::{FieldId, KeyId};

/// Fields of one place.
const BLOCK: u16 = 64;

/// Values of one key that came one after another.
#[derive(Debug, Clone, Copy)]
struct Run {
    key: KeyId,
    /// Its fields lie in this block of so many,
    block: u16,
    /// a bit for each.
    fields: u64,
}

/// Values that were opened.
#[derive(Debug, Clone, Default)]
pub struct Openings {
    runs: Vec<Run>,
    values: usize,
}

impl Openings {
    /// Another value: its key, and as which field.
    pub fn add(&mut self, key: KeyId, field: FieldId) {
        self.values += 1;
        self.push(Run { key, block: field.0 / BLOCK, fields: 1 << (field.0 % BLOCK) });
    }

    /// All of the others.
    pub(super) fn join(&mut self, others: &Self) {
        self.values += others.values;
        for run in &others.runs {
            self.push(*run);
        }
    }

    fn push(&mut self, run: Run) {
        match self.runs.last_mut() {
            Some(last) if (last.key, last.block) == (run.key, run.block) => last.fields |= run.fields,
            _ => self.runs.push(run),
        }
    }

    /// How many values.
    pub fn values(&self) -> usize {
        self.values
    }

    /// Whether nothing was opened.
    pub fn is_empty(&self) -> bool {
        self.values == 0
    }

    /// Forgets them, and keeps the memory.
    pub fn clear(&mut self) {
        self.runs.clear();
        self.values = 0;
    }

    /// The keys, each as often as it took up a place, with the fields of that place.
    pub(super) fn keys(&self) -> impl Iterator<Item = (KeyId, impl Iterator<Item = FieldId>)> {
        let fields = |run: Run| {
            let own = move |bit: &u16| run.fields >> bit & 1 == 1;
            (0..BLOCK).filter(own).map(move |bit| FieldId(run.block * BLOCK + bit))
        };
        self.runs.iter().map(move |run| (run.key, fields(*run)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn all(openings: &Openings) -> BTreeSet<(u8, u16)> {
        openings.keys().flat_map(|(key, fields)| fields.map(move |field| (key.0[0], field.0))).collect()
    }

    #[test]
    fn a_row_that_is_read_again_takes_up_no_more_room() {
        let mut openings = Openings::default();
        for _ in 0..100 {
            (0..4).for_each(|field| openings.add(KeyId([1; 16]), FieldId(field)));
        }
        assert_eq!((openings.runs.len(), openings.values()), (1, 400));
        assert_eq!(all(&openings), (0..4).map(|field| (1, field)).collect());
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_nothing_added(values: Vec<(u8, u16)>, cut: prop::sample::Index) {
            let cut = cut.index(values.len() + 1);
            let of = |values: &[(u8, u16)]| {
                let mut openings = Openings::default();
                values.iter().for_each(|(key, field)| openings.add(KeyId([*key; 16]), FieldId(*field)));
                openings
            };
            let mut joined = of(&values[..cut]);
            joined.join(&of(&values[cut..]));
            prop_assert_eq!(joined.values(), values.len());
            prop_assert_eq!(all(&joined), values.into_iter().collect());
        }
    }
}
