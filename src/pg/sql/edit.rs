//! Rewriting by splicing: byte ranges of the client's text are replaced, everything else stays as it is.

use crate::pg::plan::{Splice, Splices};
use std::ops::Range;

/// A piece of new text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// As it is.
    Text(String),
    /// The number of the parameter made for that use, with its dollar.
    Use(usize),
}

/// One change: the bytes in `range` (maybe none) become `pieces`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Edit {
    /// Bytes of the whole text.
    pub(super) range: Range<usize>,
    /// What stands there then.
    pub(super) pieces: Vec<Piece>,
}

/// Applies edits within `span` of `text`; `number` gives the parameter of a use. `None` when edits overlap.
pub(super) fn apply(
    text: &str,
    span: &Range<usize>,
    edits: &[Edit],
    number: impl Fn(usize) -> usize,
) -> Option<(String, Splices)> {
    let mut sorted: Vec<&Edit> =
        edits.iter().filter(|e| span.start <= e.range.start && e.range.end <= span.end).collect();
    sorted.sort_by_key(|e| (e.range.start, e.range.end));
    sorted.dedup();
    let mut out = String::with_capacity(span.len() + 32 * sorted.len());
    let mut splices = Vec::with_capacity(sorted.len() + 1);
    let chars = |s: &str| u32::try_from(s.chars().count()).unwrap_or(u32::MAX);
    let mut was = chars(text.get(..span.start)?);
    if was > 0 {
        splices.push(Splice { at: 0, new: 0, was_at: was, was: 0 });
    }
    let mut now = 0u32;
    let mut at = span.start;
    for edit in sorted {
        if edit.range.start < at {
            return None;
        }
        let kept = text.get(at..edit.range.start)?;
        out.push_str(kept);
        was += chars(kept);
        now += chars(kept);
        let from = out.len();
        for piece in &edit.pieces {
            match piece {
                Piece::Text(t) => out.push_str(t),
                Piece::Use(u) => {
                    out.push('$');
                    out.push_str(&number(*u).to_string());
                }
            }
        }
        let removed = chars(text.get(edit.range.clone())?);
        let added = chars(&out[from..]);
        splices.push(Splice { at: now, new: added, was_at: was, was: removed });
        was += removed;
        now += added;
        at = edit.range.end;
    }
    out.push_str(text.get(at..span.end)?);
    Some((out, Splices(splices)))
}

/// A name, quoted.
pub(super) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A string constant that reads the same whatever `standard_conforming_strings` says.
pub(super) fn quote_text(value: &str) -> String {
    let escape = if value.contains('\\') { "E" } else { "" };
    format!("{escape}'{}'", value.replace('\\', "\\\\").replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_characters_and_turns_positions_back() {
        let text = "SELECT é, 'ü' FROM x";
        let at = text.find('\'').unwrap();
        let edit = Edit { range: at..at + 4, pieces: vec![Piece::Use(0)] };
        let (sql, splices) = apply(text, &(0..text.len()), &[edit.clone(), edit], |_| 1).unwrap();
        assert_eq!(sql, "SELECT é, $1 FROM x");
        let from = u32::try_from(sql.chars().position(|c| c == 'F').unwrap()).unwrap() + 1;
        let was = u32::try_from(text.chars().position(|c| c == 'F').unwrap()).unwrap() + 1;
        assert_eq!(splices.original(from), was);
        assert_eq!(splices.original(1), 1);
    }

    #[test]
    fn maps_the_second_statement_of_a_script() {
        let text = "SELECT 1; SELECT 2";
        let (sql, splices) = apply(text, &(10..18), &[], |_| 0).unwrap();
        assert_eq!(sql, "SELECT 2");
        assert_eq!(splices.original(8), 18);
    }

    #[test]
    fn refuses_overlapping_edits() {
        let edit = |range| Edit { range, pieces: vec![] };
        assert!(apply("abcdef", &(0..6), &[edit(0..3), edit(2..4)], |_| 0).is_none());
    }
}
