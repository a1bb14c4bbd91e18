//! What comes in the place of values.

use std::convert::Infallible;
use std::ops::Range;
use zeroize::Zeroize;

/// Bytes that most small bodies get anew.
const USUAL: usize = 256;

/// What comes in the place of edits: written one after another, in any order.
#[derive(Default)]
pub(in crate::http) struct Replacements {
    bytes: Vec<u8>,
    /// By the edit's number: what of them replaces it. None: its value stays as it is.
    spans: Vec<Option<Range<usize>>>,
}

impl Replacements {
    /// Overwrites what was written, and keeps the memory.
    pub(in crate::http) fn wipe(&mut self) {
        self.bytes.as_mut_slice().zeroize();
        self.bytes.clear();
        self.spans.clear();
    }

    /// How much memory it keeps, about.
    pub(in crate::http) fn size(&self) -> usize {
        self.bytes.capacity() + self.spans.capacity() * size_of::<Option<Range<usize>>>()
    }

    pub(in crate::http) fn clear(&mut self) {
        self.bytes.clear();
        self.spans.clear();
    }

    /// The value of that number stays as it is, unless it is replaced later.
    pub(in crate::http) fn keep(&mut self, number: usize) {
        self.spans.resize(self.spans.len().max(number + 1), None);
    }

    /// The value of that number is replaced by what is written.
    pub(in crate::http) fn replace<E>(
        &mut self,
        number: usize,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.keep(number);
        if self.bytes.is_empty() {
            self.bytes.reserve(USUAL);
        }
        let start = self.bytes.len();
        write(&mut self.bytes)?;
        if let Some(span) = self.spans.get_mut(number) {
            *span = Some(start..self.bytes.len());
        }
        Ok(())
    }

    /// The value of that number is replaced by these bytes.
    pub(in crate::http) fn put(&mut self, number: usize, bytes: &[u8]) {
        self.write(number, |out| out.extend_from_slice(bytes));
    }

    /// As [`Replacements::replace`], by what can always be written.
    pub(in crate::http) fn write(&mut self, number: usize, write: impl FnOnce(&mut Vec<u8>)) {
        let Ok(()) = self.replace(number, |out| {
            write(out);
            Ok::<(), Infallible>(())
        });
    }

    /// What replaces each value, by number; none where it stays.
    pub(super) fn each(&self) -> impl Iterator<Item = Option<&[u8]>> {
        self.spans.iter().map(|span| self.bytes.get(span.clone()?))
    }

    /// How many bytes were written.
    pub(super) fn written(&self) -> usize {
        self.bytes.len()
    }

    /// How many values were told of.
    pub(super) fn count(&self) -> usize {
        self.spans.len()
    }
}
