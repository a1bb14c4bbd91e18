//! What a server received and keeps: its log with every statement and parameter, its dump, its files.

use super::Postgres;
use super::canary::traces;
use aho_corasick::AhoCorasick;
use std::collections::{BTreeSet, HashMap};
use std::path::Path;

/// What must not be seen, each with where it came from.
#[derive(Debug, Default)]
pub struct Forbidden {
    words: HashMap<String, String>,
}

impl Forbidden {
    pub fn add(&mut self, word: &str, why: impl FnOnce() -> String) {
        if !self.words.contains_key(word) {
            self.words.insert(word.to_owned(), why());
        }
    }

    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Ready to search.
    pub fn finder(&self) -> Finder<'_> {
        let (mut patterns, mut of) = (Vec::new(), Vec::new());
        for (word, why) in &self.words {
            let mut known = BTreeSet::new();
            for (encoding, trace) in traces(word.as_bytes()) {
                if trace.len() >= 8 && known.insert(trace.clone()) {
                    patterns.push(trace);
                    of.push((word.as_str(), encoding, why.as_str()));
                }
            }
        }
        Finder { automaton: AhoCorasick::new(&patterns).unwrap(), of }
    }
}

/// Finds any of the words in any encoding.
pub struct Finder<'f> {
    automaton: AhoCorasick,
    of: Vec<(&'f str, &'static str, &'f str)>,
}

impl Finder<'_> {
    /// What of them is there.
    pub fn found(&self, place: &str, bytes: &[u8]) -> Vec<String> {
        let mut found = BTreeSet::new();
        for hit in self.automaton.find_iter(bytes).map(|m| (m.pattern().as_usize(), m.start())) {
            let (word, encoding, why) = self.of[hit.0];
            let line = bytes[..hit.1].iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
            let end = bytes[hit.1..].iter().position(|b| *b == b'\n').map_or(bytes.len(), |i| hit.1 + i);
            let line =
                String::from_utf8_lossy(&bytes[line.max(hit.1.saturating_sub(300))..end.min(hit.1 + 300)]);
            found.insert(format!("{place} holds {word} as {encoding}, {why}\n    {line}"));
        }
        found.into_iter().collect()
    }

    /// In all that a server shows and keeps: log, dump, data files and WAL.
    pub fn anywhere(&self, pg: &Postgres, database: &str) -> Vec<String> {
        let mut found = self.found("the server's log", pg.log().as_bytes());
        found.extend(self.found("the dump", pg.dump(database).as_bytes()));
        for (path, bytes) in files(&pg.data()) {
            found.extend(self.found(&path, &bytes));
        }
        found
    }
}

/// Every file under a folder.
pub fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            all.extend(files(&path));
        } else if let Ok(bytes) = std::fs::read(&path) {
            all.push((path.display().to_string(), bytes));
        }
    }
    all
}
