//! The files: `00000001.log`, `00000002.log`… and `heads`, in a directory of mode 0700.

use super::entry::event;
use super::verify::{Walk, files};
use super::{AuditError, Entry, Head, Options, chain};
use crate::clock::rfc3339;
use crate::crypto::SigningKey;
use jiff::Timestamp;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// A head is kept at least so often while there is something new.
const HEAD_EVERY: Duration = Duration::from_secs(60);

/// The log's files, the newest open for writing.
pub(super) struct Segments {
    path: PathBuf,
    options: Options,
    key: Arc<SigningKey>,
    file: File,
    number: u32,
    /// Bytes of the newest file that are durable.
    length: u64,
    sequence: u64,
    hash: [u8; 32],
    unclean: bool,
    /// Sequence and time of the last head kept.
    kept: (u64, Timestamp),
    _lock: File,
}

impl Segments {
    /// Opens the newest file and checks it; takes a line off that a crash cut short.
    pub(super) fn open(options: &Options, key: Arc<SigningKey>) -> Result<Self, AuditError> {
        let path = options.path.clone();
        let io = |source| AuditError::Io { path: path.clone(), source };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(io)?;
        let lock = lock(&path)?;
        let newest = files(&path).map_err(io)?.into_iter().next_back();
        let now = Timestamp::now();
        let options = options.clone();
        let Some((number, name)) = newest else {
            let (file, line, hash) = begin(&path, 1, 1, &chain::NONE, now).map_err(io)?;
            let length = line.len() as u64;
            return Ok(Self {
                path,
                options,
                key,
                file,
                number: 1,
                length,
                sequence: 1,
                hash,
                unclean: false,
                kept: (0, now),
                _lock: lock,
            });
        };
        let mut walk = Walk::of_one(&name);
        let mut last = None;
        while let Some(entry) = walk.next_entry()? {
            last = Some(entry);
        }
        let (sequence, hash, length) = walk.end();
        let file = OpenOptions::new().append(true).open(&name).map_err(io)?;
        if walk.is_cut() {
            file.set_len(length).and_then(|()| file.sync_all()).map_err(io)?;
        }
        let unclean = last.is_none_or(|entry| entry.event != event::STOPPED);
        Ok(Self {
            path,
            options,
            key,
            file,
            number,
            length,
            sequence,
            hash,
            unclean,
            kept: (0, now),
            _lock: lock,
        })
    }

    /// The run before did not stop in order.
    pub(super) fn unclean(&self) -> bool {
        self.unclean
    }

    /// The newest durable entry, without a signature.
    pub(super) fn head(&self) -> Head {
        let (sequence, hash) = (self.sequence, hex::encode(self.hash));
        Head { kind: super::head::TYPE.to_owned(), sequence, hash, ..Head::default() }
    }

    /// Appends entries: durable when this returns, or not there at all.
    pub(super) fn append(&mut self, entries: Vec<Entry>, last: bool) -> io::Result<()> {
        if entries.is_empty() {
            return Ok(());
        }
        let now = Timestamp::now();
        if self.length >= self.options.segment {
            self.rotate(now)?;
        }
        let (mut sequence, mut hash, mut text) = (self.sequence, self.hash, String::new());
        for mut entry in entries {
            sequence += 1;
            (entry.seq, entry.time) = (sequence, rfc3339(now));
            let (line, next) = chain::write(&entry, &hash)?;
            text.push_str(&line);
            hash = next;
        }
        self.write(text.as_bytes())?;
        (self.sequence, self.hash) = (sequence, hash);
        let due = now.duration_since(self.kept.1).unsigned_abs() >= HEAD_EVERY;
        if last || due || self.kept.0 == 0 {
            self.keep_head(now);
        }
        Ok(())
    }

    /// Writes and syncs; on a failure the file is brought back to what was durable.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let written = self.file.write_all(bytes).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // After a failed fsync the kernel may have dropped the pages: cut off, and written anew later.
            let _ = self.file.set_len(self.length).and_then(|()| self.file.sync_all());
            return Err(error);
        }
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Begins the next file; then deletes what is older than is kept.
    fn rotate(&mut self, now: Timestamp) -> io::Result<()> {
        let (number, sequence) = (self.number + 1, self.sequence + 1);
        let (file, line, hash) = begin(&self.path, number, sequence, &self.hash, now)?;
        (self.file, self.number, self.length) = (file, number, line.len() as u64);
        (self.sequence, self.hash) = (sequence, hash);
        self.keep_head(now);
        if let Err(error) = self.prune(now) {
            tracing::warn!(%error, "old files of the audit log could not be deleted");
        }
        Ok(())
    }

    /// Deletes files that ended before the retention period; says so in the log first.
    fn prune(&mut self, now: Timestamp) -> io::Result<()> {
        let Some(keep) = self.options.keep else { return Ok(()) };
        let oldest = now.checked_sub(keep).map_err(io::Error::other)?;
        let files = files(&self.path)?;
        let ended = |path: &Path| -> io::Result<bool> {
            // A file ends where the next begins: its last change is its last entry.
            Ok(Timestamp::try_from(fs::metadata(path)?.modified()?).map_err(io::Error::other)? < oldest)
        };
        let mut gone = Vec::new();
        for (number, path) in &files {
            if *number == self.number || !ended(path)? {
                break;
            }
            gone.push(path.clone());
        }
        let Some((_, kept)) = files.get(gone.len()).filter(|_| !gone.is_empty()) else { return Ok(()) };
        let first = Walk::of_one(kept).first().map_err(|error| io::Error::other(error.to_string()))?;
        let note = Entry { first: Some(first.seq), previous: first.previous, ..Entry::new(event::PRUNED) };
        self.append(vec![note], true)?;
        for path in gone {
            fs::remove_file(path)?;
        }
        File::open(&self.path)?.sync_all()
    }

    /// Adds a signed head to `heads`. It is a help for later, not part of the log: a failure is told, no more.
    fn keep_head(&mut self, now: Timestamp) {
        if self.sequence == self.kept.0 {
            return;
        }
        let head = Head::new(self.sequence, &self.hash, rfc3339(now), &self.key);
        self.kept = (self.sequence, now);
        let append = || -> io::Result<()> {
            let mut line = serde_json::to_string(&head)?;
            line.push('\n');
            let path = self.path.join("heads");
            let mut file = OpenOptions::new().create(true).append(true).mode(0o600).open(path)?;
            file.write_all(line.as_bytes())?;
            file.sync_data()
        };
        if let Err(error) = append() {
            tracing::warn!(%error, "a head of the audit log could not be kept");
        }
        tracing::info!(target: "audit", sequence = head.sequence, hash = head.hash, "audit head");
    }
}

fn lock(path: &Path) -> Result<File, AuditError> {
    let name = path.join("lock");
    let io = |source| AuditError::Io { path: name.clone(), source };
    let mut options = OpenOptions::new();
    let file = options.create(true).truncate(false).write(true).mode(0o600).open(&name).map_err(io)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(AuditError::Locked(path.to_owned())),
        Err(TryLockError::Error(error)) => Err(io(error)),
    }
}

/// A new file with its first entry, under its name only once it is whole.
fn begin(
    path: &Path,
    number: u32,
    seq: u64,
    before: &[u8; 32],
    now: Timestamp,
) -> io::Result<(File, String, [u8; 32])> {
    let entry = Entry {
        seq,
        time: rfc3339(now),
        number: Some(number),
        previous: Some(hex::encode(before)),
        ..Entry::new(event::SEGMENT)
    };
    let (line, hash) = chain::write(&entry, before)?;
    let draft = path.join("new");
    let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(line.as_bytes())?;
    file.sync_all()?;
    let name = path.join(format!("{number:08}.log"));
    fs::rename(&draft, &name)?;
    File::open(path)?.sync_all()?;
    Ok((OpenOptions::new().append(true).open(name)?, line, hash))
}
