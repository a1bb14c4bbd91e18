//! The append-only record of destructions, kept apart from the keystore.
//!
//! One line per entry: a JSON object, a space, and its hash in hex. The hash is SHA-256(hash of the entry before ‖
//! JSON bytes), that of the first being preceded by 32 zeros, so that no entry can be changed or taken out without
//! all after it. An entry names key ids, tokens and a keyed mark, never a subject.

use super::LedgerError;
use crate::crypto::sha256;
use crate::keystore::model::LedgerHead;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// What an entry records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "lowercase")]
pub enum What {
    /// These are about to be destroyed.
    Intent {
        /// Of the erasure's receipt.
        receipt: String,
        /// The subject's class.
        class: String,
        /// Why.
        ground: String,
        /// Key ids, in hex.
        keys: Vec<String>,
        /// Domain and token.
        tokens: Vec<(String, String)>,
        /// The mark that the subject leaves, in hex, if its class refuses new data about it.
        mark: Option<String>,
        /// The highest generation of wrapping keys then: the erasure is final once it and all before it are gone.
        #[serde(default)]
        generation: u32,
    },
    /// These never named anything: they stand where a sweep took something away, and read as erased.
    Standins {
        /// Key ids, in hex.
        keys: Vec<String>,
        /// Domain and token.
        tokens: Vec<(String, String)>,
    },
    /// These are about to be destroyed, because others took their place: nothing lies under them any more.
    Rekey {
        /// The job that re-keyed their subject.
        job: String,
        /// Key ids, in hex.
        keys: Vec<String>,
        /// What the subject has instead: whoever destroys one of these erases the subject, in an older keystore too.
        by: Vec<String>,
    },
    /// A rotation is about to make the root key of a generation; or (`used`) a generation lies under it. A root key that was
    /// made and never used wraps nothing, whatever keystore there is.
    Root {
        /// The generation's number.
        generation: u32,
        /// Whether it came into use.
        used: bool,
    },
    /// All intents of this receipt (or job) are carried out.
    Done {
        /// The receipt, or the job of a re-keying.
        receipt: String,
    },
}

/// An entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Counted from 1.
    pub sequence: u64,
    /// RFC 3339, UTC.
    pub time: String,
    /// What it records.
    #[serde(flatten)]
    pub what: What,
}

/// How the ledger writes: so that tests can let a disk fail.
pub trait Disk: Send + Sync {
    /// Writes all of the bytes at that place.
    ///
    /// # Errors
    /// The system's; some of the bytes may be there.
    fn write(&self, file: &mut File, at: u64, bytes: &[u8]) -> std::io::Result<()> {
        file.seek(SeekFrom::Start(at))?;
        file.write_all(bytes)
    }

    /// Makes what was written durable.
    ///
    /// # Errors
    /// The system's: nobody knows what is there.
    fn sync(&self, file: &File) -> std::io::Result<()> {
        file.sync_all()
    }
}

/// The system's own files.
struct Files;

impl Disk for Files {}

/// The ledger's file.
pub struct Ledger {
    path: PathBuf,
    state: Mutex<State>,
    disk: Box<dyn Disk>,
}

struct State {
    file: File,
    length: u64,
    head: LedgerHead,
    /// What was there when it was opened, for the start to compare with the keystore.
    entries: Vec<(Entry, LedgerHead)>,
    stopped: bool,
}

const NONE: LedgerHead = LedgerHead { sequence: 0, hash: [0; 32] };

impl Ledger {
    /// Opens the ledger, or makes it where there is none (mode 0600); checks the whole chain. A last line that was
    /// cut short by a crash was never relied on, and is taken off.
    ///
    /// # Errors
    /// [`LedgerError`].
    pub fn open(path: &Path) -> Result<Self, LedgerError> {
        Self::open_on(path, Box::new(Files))
    }

    /// As [`Ledger::open`], with another way to write.
    ///
    /// # Errors
    /// As there.
    pub fn open_on(path: &Path, disk: Box<dyn Disk>) -> Result<Self, LedgerError> {
        let io = |source| LedgerError::Io { path: path.to_owned(), source };
        let new = !path.exists();
        let mut options = OpenOptions::new();
        let file =
            options.read(true).write(true).create(true).truncate(false).mode(0o600).open(path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(LedgerError::Locked(path.to_owned())),
            Err(TryLockError::Error(e)) => return Err(io(e)),
        }
        if new {
            let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
            file.sync_all().and_then(|()| File::open(folder)?.sync_all()).map_err(io)?;
        }
        let mut state = State { file, length: 0, head: NONE, entries: Vec::new(), stopped: false };
        state.read(path)?;
        Ok(Self { path: path.to_owned(), state: Mutex::new(state), disk })
    }

    /// Appends an entry: on disk when this returns. Blocks.
    ///
    /// # Errors
    /// [`LedgerError::Io`] when it could not be written: then it is not there. [`LedgerError::Stopped`] when not
    /// even that could be made sure of.
    pub fn append(&self, time: String, what: What) -> Result<LedgerHead, LedgerError> {
        let mut state = self.state.lock();
        if state.stopped {
            return Err(LedgerError::Stopped(self.path.clone()));
        }
        let entry = Entry { sequence: state.head.sequence + 1, time, what };
        let io = |source| LedgerError::Io { path: self.path.clone(), source };
        let json = serde_json::to_string(&entry).map_err(|e| io(e.into()))?;
        let hash = sha256(&[&state.head.hash, json.as_bytes()]);
        let line = format!("{json} {}\n", hex::encode(hash));
        let length = state.length;
        let written = self.disk.write(&mut state.file, length, line.as_bytes());
        if let Err(e) = written.and_then(|()| self.disk.sync(&state.file)) {
            // After a failed fsync the kernel may have dropped the pages: nothing later can be believed.
            state.stopped = true;
            let _ = state.file.set_len(length).and_then(|()| state.file.sync_all());
            return Err(io(e));
        }
        state.length += line.len() as u64;
        state.head = LedgerHead { sequence: entry.sequence, hash };
        Ok(state.head)
    }

    /// The last entry.
    pub fn head(&self) -> LedgerHead {
        self.state.lock().head
    }

    /// Takes what was there when the ledger was opened.
    pub(super) fn take_entries(&self) -> Vec<(Entry, LedgerHead)> {
        std::mem::take(&mut self.state.lock().entries)
    }
}

impl State {
    fn read(&mut self, path: &Path) -> Result<(), LedgerError> {
        let io = |source| LedgerError::Io { path: path.to_owned(), source };
        let mut bytes = Vec::new();
        self.file.read_to_end(&mut bytes).map_err(io)?;
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let Some(line) = line.strip_suffix(b"\n") else { break };
            let damaged = || LedgerError::Damaged { path: path.to_owned(), entry: self.head.sequence + 1 };
            let (entry, hash) = parse(line, &self.head).ok_or_else(damaged)?;
            self.head = LedgerHead { sequence: entry.sequence, hash };
            self.length += line.len() as u64 + 1;
            self.entries.push((entry, self.head));
        }
        if self.length < bytes.len() as u64 {
            self.file.set_len(self.length).and_then(|()| self.file.sync_all()).map_err(io)?;
        }
        Ok(())
    }
}

/// Reads an entry that follows `before`.
fn parse(line: &[u8], before: &LedgerHead) -> Option<(Entry, [u8; 32])> {
    let line = std::str::from_utf8(line).ok()?;
    let (json, hash) = line.rsplit_once(' ')?;
    let mut found = [0; 32];
    hex::decode_to_slice(hash, &mut found).ok()?;
    let entry: Entry = serde_json::from_str(json).ok()?;
    let fits = entry.sequence == before.sequence + 1 && found == sha256(&[&before.hash, json.as_bytes()]);
    fits.then_some((entry, found))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn done(name: &str) -> What {
        What::Done { receipt: name.into() }
    }

    fn opened(path: &Path) -> Vec<String> {
        let entries = Ledger::open(path).unwrap().take_entries();
        let name = |(entry, _): (Entry, LedgerHead)| match entry.what {
            What::Done { receipt } | What::Intent { receipt, .. } => receipt,
            What::Rekey { job, .. } => job,
            What::Root { .. } | What::Standins { .. } => "another".into(),
        };
        entries.into_iter().map(name).collect()
    }

    #[test]
    fn gives_back_what_was_appended_and_goes_on_from_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger");
        let ledger = Ledger::open(&path).unwrap();
        ledger.append("t".into(), done("a")).unwrap();
        drop(ledger);
        let ledger = Ledger::open(&path).unwrap();
        assert_eq!(ledger.append("t".into(), done("b")).unwrap().sequence, 2);
        drop(ledger);
        assert_eq!(opened(&path), ["a", "b"]);
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_line_cut_short_at_any_byte_is_taken_off_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger");
        let ledger = Ledger::open(&path).unwrap();
        ledger.append("t".into(), done("a")).unwrap();
        drop(ledger);
        let whole = std::fs::read(&path).unwrap();
        let ledger = Ledger::open(&path).unwrap();
        ledger.append("t".into(), done("b")).unwrap();
        drop(ledger);
        let both = std::fs::read(&path).unwrap();
        for length in whole.len()..both.len() {
            std::fs::write(&path, &both[..length]).unwrap();
            assert_eq!(opened(&path), ["a"], "{length} bytes");
            assert_eq!(std::fs::read(&path).unwrap(), whole);
        }
    }

    #[test]
    fn refuses_an_entry_that_was_changed_or_taken_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger");
        let ledger = Ledger::open(&path).unwrap();
        for name in ["a", "b", "c"] {
            ledger.append("t".into(), done(name)).unwrap();
        }
        drop(ledger);
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        let changed = text.replacen("\"b\"", "\"x\"", 1);
        for bad in [changed, [lines[0], lines[2]].concat(), [lines[1], lines[2]].concat()] {
            std::fs::write(&path, bad).unwrap();
            assert!(matches!(Ledger::open(&path), Err(LedgerError::Damaged { .. })));
        }
    }

    #[test]
    fn only_one_may_have_it_open() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger");
        let _first = Ledger::open(&path).unwrap();
        assert!(matches!(Ledger::open(&path), Err(LedgerError::Locked(_))));
    }
}
