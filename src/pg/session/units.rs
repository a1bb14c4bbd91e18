//! What open transactions have written, and how each ends: on COMMIT it is settled, on ROLLBACK
//! undone, and where the outcome can't be told it is left to recovery.

use crate::pg::wire::simple::Status;
use crate::protect::{Mark, Unit};
use std::sync::atomic::{AtomicU64, Ordering};

/// Units of work of one transaction, or of several that lie in one pipeline.
#[derive(Default)]
pub(super) struct Units {
    /// With the time when each began: in a pipeline they go and come back in parts, and savepoints lie between them.
    list: Vec<(u64, Unit)>,
    errored: bool,
    rolled_back: bool,
    savepoints: Vec<Savepoint>,
}

struct Savepoint {
    name: String,
    at: u64,
    /// How far the unit that was written to last had come.
    mark: Option<(u64, Mark)>,
}

/// A time: later than any that was given before.
fn now() -> u64 {
    static TIME: AtomicU64 = AtomicU64::new(0);
    TIME.fetch_add(1, Ordering::Relaxed)
}

/// A statement that begins or ends a transaction or a part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Control {
    /// COMMIT or END, also with AND CHAIN.
    Commit,
    /// ROLLBACK or ABORT.
    Rollback,
    /// SAVEPOINT name.
    Savepoint(String),
    /// ROLLBACK TO name.
    RollbackTo(String),
    /// Something that leaves the outcome to another session or moment (PREPARE TRANSACTION).
    Unclear,
}

impl Units {
    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(super) fn take(&mut self) -> Self {
        std::mem::take(self)
    }

    /// An error was reported since these were taken.
    pub(super) fn mark_failed(&mut self) {
        self.errored = true;
    }

    /// A ROLLBACK completed that may have undone them.
    pub(super) fn mark_rolled_back(&mut self) {
        self.rolled_back = true;
    }

    /// Whether the transaction that has just ended undid them. A block that ended without a COMMIT
    /// was rolled back; outside a block all is kept unless there was an error.
    pub(super) fn failed(&self, before: Status) -> bool {
        self.errored || self.rolled_back || before != Status::Idle
    }

    /// A ROLLBACK completed, and there is a transaction still: it may be another one.
    pub(super) fn unclear(&self) -> bool {
        self.rolled_back
    }

    /// Puts back what was taken at a boundary that turned out not to end the transaction.
    pub(super) fn put_back(&mut self, mut earlier: Self) {
        self.errored |= earlier.errored;
        self.rolled_back |= earlier.rolled_back;
        self.list.append(&mut earlier.list);
        self.list.sort_by_key(|(began, _)| *began);
        self.savepoints.append(&mut earlier.savepoints);
        self.savepoints.sort_by_key(|savepoint| savepoint.at);
    }

    /// Adds what was written later.
    pub(super) fn append(&mut self, later: Self) {
        let earlier = self.take();
        *self = later;
        self.put_back(earlier);
    }

    /// The transaction goes on: what was marked is the server's to tell from here.
    pub(super) fn clear_marks(&mut self) {
        self.errored = false;
        self.rolled_back = false;
    }

    /// The unit that the next write belongs to.
    pub(super) fn current(&mut self, make: impl FnOnce() -> Unit) -> &mut Unit {
        if self.list.is_empty() {
            // An error before it was about another transaction, or nothing would be written now.
            self.clear_marks();
            self.list.push((now(), make()));
        }
        let last = self.list.len() - 1;
        &mut self.list[last].1
    }

    pub(super) fn last(&mut self) -> Option<&mut Unit> {
        self.list.last_mut().map(|(_, unit)| unit)
    }

    pub(super) fn commit(&mut self) {
        self.clear_marks();
        self.savepoints.clear();
        self.list.drain(..).for_each(|(_, unit)| unit.commit());
    }

    pub(super) fn rollback(&mut self) {
        self.clear_marks();
        self.savepoints.clear();
        self.list.drain(..).for_each(|(_, unit)| unit.rollback());
    }

    /// Leaves everything to recovery, which looks into the tables.
    pub(super) fn abandon(&mut self) {
        self.clear_marks();
        self.savepoints.clear();
        self.list.clear();
    }

    pub(super) fn savepoint(&mut self, name: String) {
        let mark = self.list.last().map(|(began, unit)| (*began, unit.mark()));
        self.savepoints.push(Savepoint { name, at: now(), mark });
    }

    pub(super) fn rollback_to(&mut self, name: &str) {
        let Some(at) = self.savepoints.iter().rposition(|s| s.name == name) else {
            // A savepoint that was not seen here: which writes it undid can't be told.
            return self.abandon();
        };
        self.savepoints.truncate(at + 1);
        self.clear_marks();
        let Savepoint { at, mark, .. } = self.savepoints[at];
        let later = self.list.partition_point(|(began, _)| *began < at);
        self.list.drain(later..).for_each(|(_, unit)| unit.rollback());
        if let Some((last, mark)) = mark
            && let Some((_, unit)) = self.list.iter_mut().find(|(began, _)| *began == last)
        {
            unit.rollback_to(mark);
        }
    }
}

impl Control {
    /// Reads the first words of a statement that was not parsed; `None` for all that ends nothing.
    pub(super) fn of(text: &str) -> Option<Self> {
        let text = text.trim_start();
        if !matches!(
            text.as_bytes().first(),
            Some(
                b'c' | b'C'
                    | b'e'
                    | b'E'
                    | b'r'
                    | b'R'
                    | b'a'
                    | b'A'
                    | b's'
                    | b'S'
                    | b'p'
                    | b'P'
                    | b'-'
                    | b'/'
            )
        ) {
            return None;
        }
        let mut words = Words(text);
        let first = words.next()?;
        let mut next = || words.next().map(|w| w.to_ascii_lowercase());
        match first.to_ascii_lowercase().as_str() {
            "commit" | "end" => match next().as_deref() {
                Some("prepared") => None,
                _ => Some(Self::Commit),
            },
            "rollback" | "abort" => {
                let mut word = next();
                if matches!(word.as_deref(), Some("work" | "transaction")) {
                    word = next();
                }
                match word.as_deref() {
                    Some("prepared") => None,
                    Some("to") => match words.next()? {
                        w if w.eq_ignore_ascii_case("savepoint") => {
                            Some(Self::RollbackTo(name(words.next()?)))
                        }
                        w => Some(Self::RollbackTo(name(w))),
                    },
                    _ => Some(Self::Rollback),
                }
            }
            "savepoint" => Some(Self::Savepoint(name(words.next()?))),
            "prepare" => (next().as_deref() == Some("transaction")).then_some(Self::Unclear),
            _ => None,
        }
    }
}

/// Whether a statement that was not parsed changes the schema, by its first word.
pub(super) fn is_ddl(text: &str) -> bool {
    let text = text.trim_start();
    matches!(text.as_bytes().first(), Some(b'c' | b'C' | b'a' | b'A' | b'd' | b'D' | b'-' | b'/'))
        && Words(text)
            .next()
            .is_some_and(|word| ["create", "alter", "drop"].iter().any(|ddl| word.eq_ignore_ascii_case(ddl)))
}

/// An identifier as Postgres folds it.
fn name(word: &str) -> String {
    match word.strip_prefix('"').and_then(|w| w.strip_suffix('"')) {
        Some(quoted) => quoted.replace("\"\"", "\""),
        None => word.to_lowercase(),
    }
}

/// Words and quoted identifiers of a text, comments passed over.
struct Words<'a>(&'a str);

impl<'a> Iterator for Words<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        loop {
            self.0 = self.0.trim_start_matches(|c: char| c.is_whitespace() || c == ';');
            if let Some(rest) = self.0.strip_prefix("--") {
                self.0 = rest.split_once('\n')?.1;
            } else if let Some(rest) = self.0.strip_prefix("/*") {
                self.0 = rest.split_once("*/")?.1;
            } else {
                break;
            }
        }
        let end = if self.0.starts_with('"') {
            self.0[1..].find('"').map_or(self.0.len(), |i| i + 2)
        } else {
            self.0.find(|c: char| c.is_whitespace() || c == ';').unwrap_or(self.0.len())
        };
        let (word, rest) = self.0.split_at(end);
        self.0 = rest;
        (!word.is_empty()).then_some(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_what_ends_a_transaction() {
        use Control::*;
        for (text, expected) in [
            ("COMMIT", Some(Commit)),
            ("  end work;", Some(Commit)),
            ("/* x */ commit and chain", Some(Commit)),
            ("COMMIT PREPARED 'x'", None),
            ("ROLLBACK", Some(Rollback)),
            ("abort;", Some(Rollback)),
            ("ROLLBACK TO SAVEPOINT \"s1_x1\"", Some(RollbackTo("s1_x1".into()))),
            ("rollback work to B;", Some(RollbackTo("b".into()))),
            ("SAVEPOINT \"s1_x1\"", Some(Savepoint("s1_x1".into()))),
            ("PREPARE TRANSACTION 'x'", Some(Unclear)),
            ("PREPARE x AS SELECT 1", None),
            ("SELECT 1", None),
            ("RELEASE SAVEPOINT a", None),
            ("", None),
        ] {
            assert_eq!(Control::of(text), expected, "{text}");
        }
    }
}
