//! The key that signs receipts and audit heads: a PEM file of mode 0600.

use crate::crypto::SigningKey;
use crate::fault::{Exit, Fault, sqlstate};
use std::borrow::Cow;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Why the signing key can't be used. Never holds a byte of it.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// There is no such file.
    #[error("there is no key file {} to sign receipts with", .0.display())]
    Missing(PathBuf),
    /// Reading or writing it failed.
    #[error("the key file {} can't be used: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others than its owner may read or change it.
    #[error("the key file {} has mode {mode:04o}, and others than its owner could use it", path.display())]
    Mode {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It holds something else.
    #[error("the key file {} holds no Ed25519 key in PEM (PKCS#8)", .0.display())]
    Form(PathBuf),
}

impl Fault for KeyFileError {
    fn sqlstate(&self) -> &'static str {
        sqlstate::KEYS_UNAVAILABLE
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Io { .. } => Exit::Failed,
            _ => Exit::Usage,
        }
    }

    fn advice(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Missing(_) => "make one with `paravent keys generate`, or correct `receipt_key` in [keys]",
            Self::Io { .. } => "see that it can be reached, then try again",
            Self::Mode { .. } => {
                "run `chmod 600` on it, and make a new key if it may have been read: whoever has it can forge receipts"
            }
            Self::Form(_) => "put the right file there, from its backup, or make a new one",
        })
    }
}

/// Reads the signing key, if nobody but its owner could have read or written it.
///
/// # Errors
/// [`KeyFileError`].
pub fn open(path: &Path) -> Result<SigningKey, KeyFileError> {
    let io = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => KeyFileError::Missing(path.to_owned()),
        _ => KeyFileError::Io { path: path.to_owned(), source },
    };
    let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(io)?;
    let about = file.metadata().map_err(io)?;
    let mode = about.mode() & 0o7777;
    if !about.is_file() {
        return Err(KeyFileError::Form(path.to_owned()));
    }
    if mode & !0o600 != 0 {
        return Err(KeyFileError::Mode { path: path.to_owned(), mode });
    }
    // Allocated once, so that no copy stays behind.
    let mut text = Zeroizing::new(String::with_capacity(1024));
    file.take(1024).read_to_string(&mut text).map_err(io)?;
    SigningKey::read(&text).ok_or_else(|| KeyFileError::Form(path.to_owned()))
}

/// Makes a new file with a new key: mode 0600, durable when this returns. Never replaces a file:
/// [`KeyFileError::Io`] with `AlreadyExists`.
///
/// # Errors
/// [`KeyFileError`].
pub fn generate(path: &Path) -> Result<SigningKey, KeyFileError> {
    let io = |source| KeyFileError::Io { path: path.to_owned(), source };
    let key = SigningKey::generate().ok_or_else(|| KeyFileError::Form(path.to_owned()))?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(io)?;
    let written = file.write_all(key.to_pem().as_bytes()).and_then(|()| file.sync_all());
    if let Err(error) = written {
        let _ = fs::remove_file(path);
        return Err(io(error));
    }
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(io)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_generated_key_is_its_owners_and_opens_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("receipt.key");
        let made = generate(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(open(&path).unwrap().public(), made.public());
        assert!(matches!(generate(&path), Err(KeyFileError::Io { .. })), "never replaced");
        assert_eq!(open(&path).unwrap().public(), made.public());
    }

    #[test]
    fn refuses_a_file_that_is_missing_public_or_something_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("receipt.key");
        assert!(matches!(open(&path), Err(KeyFileError::Missing(_))));
        let made = generate(&path).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
        assert!(matches!(open(&path), Err(KeyFileError::Mode { mode: 0o640, .. })));
        fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        fs::write(&path, made.public().to_pem()).unwrap();
        assert!(matches!(open(&path), Err(KeyFileError::Form(_))));
        assert!(matches!(open(dir.path()), Err(KeyFileError::Form(_))));
    }
}
