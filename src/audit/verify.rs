//! Reading the log, and finding whatever was changed, removed, moved or cut off.

use super::entry::event;
use super::head::TYPE;
use super::{Entry, Head, chain};
use crate::crypto::PublicKey;
use crate::crypto::signed::verify as verify_signed;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

/// Where the log does not hold together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}, line {line}: {why}", path.display())]
pub struct Broken {
    /// The file.
    pub path: PathBuf,
    /// Counted from 1; 0 for the file as a whole.
    pub line: u64,
    /// What is wrong.
    pub why: String,
}

/// The numbered files of a log, in order.
pub(super) fn files(path: &Path) -> io::Result<Vec<(u32, PathBuf)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "log")
            && let Some(number) = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok())
        {
            found.push((number, path));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Goes through entries in order, checking each against the one before.
pub(super) struct Walk {
    files: std::vec::IntoIter<PathBuf>,
    open: Option<(PathBuf, BufReader<File>)>,
    line: u64,
    /// Bytes of whole lines of the file that is open.
    length: u64,
    sequence: u64,
    hash: [u8; 32],
    begun: bool,
    cut: bool,
    text: Vec<u8>,
}

impl Walk {
    fn new(files: Vec<PathBuf>) -> Self {
        Self {
            files: files.into_iter(),
            open: None,
            line: 0,
            length: 0,
            sequence: 0,
            hash: chain::NONE,
            begun: false,
            cut: false,
            text: Vec::new(),
        }
    }

    /// One file, whatever comes before it.
    pub(super) fn of_one(path: &Path) -> Self {
        Self::new(vec![path.to_owned()])
    }

    /// Every file of a directory.
    pub(super) fn of_all(path: &Path) -> Result<Self, Broken> {
        let found = files(path).map_err(|error| broken(path, 0, error.to_string()))?;
        Ok(Self::new(found.into_iter().map(|(_, path)| path).collect()))
    }

    /// Number and hash of the last entry, and the bytes of whole lines of the last file.
    pub(super) fn end(&self) -> (u64, [u8; 32], u64) {
        (self.sequence, self.hash, self.length)
    }

    /// The last line has no end: a crash cut it short.
    pub(super) fn is_cut(&self) -> bool {
        self.cut
    }

    pub(super) fn first(mut self) -> Result<Entry, Broken> {
        let path = self.files.as_slice().first().cloned().unwrap_or_default();
        self.next_entry()?.ok_or_else(|| broken(&path, 0, "it is empty".to_owned()))
    }

    pub(super) fn next_entry(&mut self) -> Result<Option<Entry>, Broken> {
        loop {
            if self.open.is_none() {
                let Some(path) = self.files.next() else { return Ok(None) };
                let file = File::open(&path).map_err(|error| broken(&path, 0, error.to_string()))?;
                self.open = Some((path, BufReader::with_capacity(1 << 16, file)));
                (self.line, self.length) = (0, 0);
            }
            let Some((path, reader)) = &mut self.open else { return Ok(None) };
            self.text.clear();
            let read = reader.read_until(b'\n', &mut self.text);
            let read = read.map_err(|error| broken(path, self.line + 1, error.to_string()))?;
            if read == 0 {
                self.open = None;
                continue;
            }
            self.line += 1;
            let Some(line) = self.text.strip_suffix(b"\n") else {
                if self.files.len() > 0 {
                    return Err(broken(path, self.line, "it has no end".to_owned()));
                }
                (self.cut, self.open) = (true, None);
                continue;
            };
            let wrong = |why: &str| broken(path, self.line, why.to_owned());
            if self.line == 1 && !self.begun {
                // Where old files were deleted, the first one says what was before it.
                self.hash = claimed(line).ok_or_else(|| wrong("it does not begin a file"))?;
            }
            let (entry, hash) = chain::read(line, &self.hash).map_err(wrong)?;
            if (self.line == 1) != (entry.event == event::SEGMENT) {
                return Err(wrong("a file begins with its own entry, and nowhere else"));
            }
            if self.begun && entry.seq != self.sequence + 1 {
                return Err(wrong("entries are missing before it"));
            }
            self.length += read as u64;
            (self.begun, self.sequence, self.hash) = (true, entry.seq, hash);
            return Ok(Some(entry));
        }
    }
}

/// What the first entry of a file says about the one before it.
fn claimed(line: &[u8]) -> Option<[u8; 32]> {
    let json = std::str::from_utf8(line).ok()?.rsplit_once(' ')?.0;
    let entry: Entry = serde_json::from_str(json).ok()?;
    hex::decode(entry.previous?).ok()?.try_into().ok()
}

fn broken(path: &Path, line: u64, why: String) -> Broken {
    Broken { path: path.to_owned(), line, why }
}

/// What the log is checked against.
#[derive(Debug, Clone, Default)]
pub struct Expected {
    /// Heads that were kept elsewhere: number, and hash in hex.
    pub heads: Vec<(u64, String)>,
    /// The key that the log's own heads are signed with.
    pub key: Option<PublicKey>,
}

/// A log that holds together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// The first entry that is there; more than 1 where old files were deleted.
    pub first: u64,
    /// The last one.
    pub last: u64,
    /// Its hash, in hex.
    pub hash: String,
    /// Heads that were found in it.
    pub heads: usize,
    /// A crash cut the last line short; what it would have said is not there.
    pub cut: bool,
}

/// Checks a log: every entry, every file, its beginning, and every head that is known.
///
/// # Errors
/// The first thing that is wrong.
pub fn verify(path: &Path, expected: &Expected) -> Result<Verified, Broken> {
    let mut heads = own_heads(path, expected.key.as_ref())?;
    heads.extend(expected.heads.iter().map(|(n, hash)| (*n, hash.clone(), "the head given".to_owned())));
    let mut wanted: HashMap<u64, Vec<(String, String)>> = HashMap::new();
    for (n, hash, from) in &heads {
        wanted.entry(*n).or_default().push((hash.to_lowercase(), from.clone()));
    }
    let mut walk = Walk::of_all(path)?;
    let (mut first, mut start, mut pruned) = (None, None, None);
    while let Some(entry) = walk.next_entry()? {
        let (sequence, hash, _) = walk.end();
        if first.is_none() {
            (first, start) = (Some(sequence), entry.previous.clone());
        }
        if entry.event == event::PRUNED {
            pruned = entry.first.zip(entry.previous);
        }
        for (expected, from) in wanted.remove(&sequence).unwrap_or_default() {
            if expected != hex::encode(hash) {
                return Err(broken(path, 0, format!("entry {sequence} is not the one that {from} names")));
            }
        }
    }
    let (last, hash, _) = walk.end();
    let first = first.ok_or_else(|| broken(path, 0, "there is no entry".to_owned()))?;
    begins_rightly(path, first, start.as_deref(), pruned.as_ref())?;
    for (sequence, names) in wanted {
        let from = names.first().map_or("a head", |(_, from)| from.as_str());
        if sequence > last {
            let why = format!("it ends at entry {last}, and {from} names entry {sequence}: it was cut off");
            return Err(broken(path, 0, why));
        }
        // Before the first entry that is kept: the retention period took it.
    }
    Ok(Verified { first, last, hash: hex::encode(hash), heads: heads.len(), cut: walk.is_cut() })
}

/// A log begins at its beginning, or where it says itself that older files were deleted up to.
fn begins_rightly(
    path: &Path,
    first: u64,
    previous: Option<&str>,
    pruned: Option<&(u64, String)>,
) -> Result<(), Broken> {
    let none = hex::encode(chain::NONE);
    let sound = match pruned {
        _ if first == 1 => previous == Some(&none),
        // A crash may have left some of the files that were to be deleted.
        Some((kept, hash)) => first < *kept || (first == *kept && previous == Some(hash)),
        None => false,
    };
    if sound {
        return Ok(());
    }
    Err(broken(
        path,
        0,
        format!("it begins at entry {first}, and nothing in it says that the entries before were deleted"),
    ))
}

/// Heads of the log's own file, with where each comes from.
fn own_heads(path: &Path, key: Option<&PublicKey>) -> Result<Vec<(u64, String, String)>, Broken> {
    let name = path.join("heads");
    let text = match std::fs::read_to_string(&name) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(broken(&name, 0, error.to_string())),
    };
    let mut heads = Vec::new();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    for (line, n) in whole.lines().zip(1..) {
        let head: Head = match key {
            Some(key) => {
                verify_signed(key, line.as_bytes()).map_err(|error| broken(&name, n, error.to_string()))?
            }
            None => serde_json::from_str(line).map_err(|_| broken(&name, n, "it is no head".to_owned()))?,
        };
        if head.kind != TYPE {
            return Err(broken(&name, n, "it is no head".to_owned()));
        }
        heads.push((head.sequence, head.hash, format!("line {n} of `heads`")));
    }
    Ok(heads)
}
