//! Root keys in a file of mode 0600, a line each (`line` has the format).
//!
//! The file is read anew for each operation, which are rare, so that no root key stays in memory.

use super::line::{self, Problem, RootKey};
use super::{RootError, RootInfo, RootProvider, RootWrapped};
use crate::crypto::random_secret;
use crate::ids::Generation;
use crate::keys::GenerationKey;
use jiff::Timestamp;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// The largest file that is read: some ten thousand root keys.
const MAX_FILE: u64 = 1 << 20;

/// The `file:` provider.
#[derive(Debug)]
pub struct FileRoots {
    path: PathBuf,
}

impl FileRoots {
    /// Opens the file once and reads it whole, so that whatever is wrong with it shows at start.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, RootError> {
        let roots = Self { path: path.into() };
        roots.read()?;
        Ok(roots)
    }

    /// Makes a new file with the root key of generation 1: mode 0600, durable when this returns, whole or
    /// not at all. Never replaces a file: [`RootError::Io`] with `AlreadyExists`.
    pub fn generate(path: impl Into<PathBuf>) -> Result<Self, RootError> {
        let roots = Self { path: path.into() };
        let text = fresh_line(Generation(1));
        roots.io(roots.locked(|| {
            let temporary = roots.write_temporary(text.as_bytes())?;
            // A link fails where the name is taken; a rename would replace it.
            let linked = fs::hard_link(&temporary, &roots.path);
            fs::remove_file(&temporary)?;
            linked
        }))?;
        Ok(roots)
    }

    fn io<T>(&self, result: io::Result<T>) -> Result<T, RootError> {
        result.map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => RootError::NoFile(self.path.clone()),
            _ => RootError::Io { path: self.path.clone(), source },
        })
    }

    /// The file's text, if nobody but its owner could have read or written it.
    fn text(&self) -> Result<Zeroizing<String>, RootError> {
        // Not blocking: a FIFO of that name must not hold the start up.
        let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        let mut file = self.io(OpenOptions::new().read(true).custom_flags(flags).open(&self.path))?;
        let about = self.io(file.metadata())?;
        if !about.is_file() {
            return Err(RootError::NotAFile(self.path.clone()));
        }
        let mode = about.mode() & 0o7777;
        if mode & !0o600 != 0 {
            return Err(RootError::Mode { path: self.path.clone(), mode });
        }
        if about.size() > MAX_FILE {
            return self.io(Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 1 MiB")));
        }
        // One byte more than it has, so that reading it never grows (and so copies) the text.
        let mut text = Zeroizing::new(String::with_capacity(usize::try_from(about.size()).unwrap_or(0) + 1));
        self.io(Read::by_ref(&mut file).take(about.size()).read_to_string(&mut text))?;
        Ok(text)
    }

    fn read(&self) -> Result<Vec<RootKey>, RootError> {
        line::read(&self.text()?).map_err(|(line, problem)| match problem {
            Problem::Syntax(problem) => RootError::Line { path: self.path.clone(), line, problem },
            Problem::Example => RootError::Example { path: self.path.clone(), line },
        })
    }

    fn key(&self, generation: Generation) -> Result<RootKey, RootError> {
        let mut keys = self.read()?.into_iter();
        keys.find(|key| key.info.generation == generation).ok_or(RootError::Missing(generation))
    }

    /// The directory that holds the file.
    fn directory(&self) -> &Path {
        self.path.parent().filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }

    /// Runs a change while no other process makes one, then makes the directory durable.
    fn locked<T, E: From<io::Error>>(&self, change: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let directory = File::open(self.directory())?;
        directory.lock()?;
        let done = change()?;
        directory.sync_all()?;
        Ok(done)
    }

    /// Writes a durable file beside the real one, of mode 0600 from its first byte.
    fn write_temporary(&self, text: &[u8]) -> io::Result<PathBuf> {
        let mut name = self.path.file_name().unwrap_or_default().to_os_string();
        name.push(format!(".{}.new", hex::encode(crate::crypto::random::<8>())));
        let path = self.directory().join(name);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        let written = file.write_all(text).and_then(|()| file.sync_all());
        if written.is_err() {
            let _ = fs::remove_file(&path);
        }
        written.map(|()| path)
    }

    /// Replaces the file's text, whole or not at all.
    fn replace(&self, text: &[u8]) -> Result<(), RootError> {
        let temporary = self.io(self.write_temporary(text))?;
        let renamed = fs::rename(&temporary, &self.path);
        if renamed.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        self.io(renamed)
    }
}

/// So that [`FileRoots::locked`] serves changes that fail in either way.
struct Change(RootError);

impl From<io::Error> for Change {
    fn from(source: io::Error) -> Self {
        Self(RootError::Io { path: PathBuf::new(), source })
    }
}

impl FileRoots {
    fn change(&self, change: impl FnOnce() -> Result<(), RootError>) -> Result<(), RootError> {
        self.locked(|| change().map_err(Change)).map_err(|Change(error)| match error {
            RootError::Io { path, source } if path.as_os_str().is_empty() => {
                RootError::Io { path: self.path.clone(), source }
            }
            other => other,
        })
    }
}

fn fresh_line(generation: Generation) -> Zeroizing<String> {
    line::write(&RootInfo { generation, created: Timestamp::now() }, &random_secret())
}

impl RootProvider for FileRoots {
    fn name(&self) -> &'static str {
        "file"
    }

    fn list(&self) -> Result<Vec<RootInfo>, RootError> {
        Ok(self.read()?.into_iter().map(|key| key.info).collect())
    }

    fn create(&self, generation: Generation) -> Result<(), RootError> {
        if generation.0 == 0 {
            return Err(RootError::Missing(generation));
        }
        self.change(|| {
            if self.read()?.iter().any(|key| key.info.generation == generation) {
                return Err(RootError::Exists(generation));
            }
            let (old, line) = (self.text()?, fresh_line(generation));
            let mut text = Zeroizing::new(String::with_capacity(old.len() + 1 + line.len()));
            text.push_str(&old);
            if !old.is_empty() && !old.ends_with('\n') {
                text.push('\n');
            }
            text.push_str(&line);
            self.replace(text.as_bytes())
        })
    }

    fn wrap(&self, key: &GenerationKey) -> Result<RootWrapped, RootError> {
        RootWrapped::seal(&self.key(key.number())?.key, key)
    }

    fn unwrap(&self, generation: Generation, wrapped: &RootWrapped) -> Result<GenerationKey, RootError> {
        wrapped.open(&self.key(generation)?.key, generation)
    }

    /// Drops the line and overwrites the old file. What a file system or a disk kept of it can't be known:
    /// see [`RootProvider::destruction_is_proven`].
    fn destroy(&self, generation: Generation) -> Result<(), RootError> {
        self.change(|| {
            self.key(generation)?;
            let number = generation.0.to_string();
            let old = self.text()?;
            let mut text = Zeroizing::new(String::with_capacity(old.len() + 1));
            for line in old.lines().filter(|line| line.split(' ').next() != Some(&number)) {
                text.push_str(line);
                text.push('\n');
            }
            let mut open = self.io(OpenOptions::new().write(true).open(&self.path))?;
            self.replace(text.as_bytes())?;
            self.io(open.write_all(&vec![b'0'; old.len()]).and_then(|()| open.sync_all()))
        })
    }

    fn destruction_is_proven(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests;
