//! What can go wrong with root keys.

use crate::fault::{Exit, Fault, sqlstate};
use crate::ids::Generation;
use std::borrow::Cow;
use std::io;
use std::path::PathBuf;

/// Why a provider refused or failed. Names files and generations, never key bytes.
#[derive(Debug, thiserror::Error)]
pub enum RootError {
    /// There is no file of root keys.
    #[error("there is no root key file {}", .0.display())]
    NoFile(PathBuf),
    /// Reading or writing it failed.
    #[error("the root key file {} can't be used: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others than its owner may read or change it.
    #[error("the root key file {} has mode {mode:04o}, and others than its owner could use it", path.display())]
    Mode {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A directory, a device, a socket.
    #[error("the root key file {} is not a regular file", .0.display())]
    NotAFile(PathBuf),
    /// A line that is no root key.
    #[error("{}:{line}: {problem}", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The published value of `keys.example`.
    #[error("{}:{line}: this is the root key of keys.example, which everybody knows", path.display())]
    Example {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
    },
    /// No root key of that generation.
    #[error("there is no root key for generation {}", .0.0)]
    Missing(Generation),
    /// There is a root key of that generation already.
    #[error("there is a root key for generation {} already", .0.0)]
    Exists(Generation),
    /// The generation was wrapped by another root key.
    #[error("the root key at hand for generation {} is not the one that this keystore was made with", .0.0)]
    WrongRoot(Generation),
    /// The wrapped generation key is damaged.
    #[error("the wrapped key of generation {} is not authentic", .0.0)]
    NotAuthentic(Generation),
    /// Not the stable byte form of a wrapped generation key.
    #[error("a wrapped generation key is malformed")]
    Malformed,
    /// A provider that is not a file can't be reached, or says no.
    #[error("the {provider} provider failed: {reason}")]
    Provider {
        /// [`super::RootProvider::name`].
        provider: &'static str,
        /// What it said.
        reason: String,
    },
}

impl Fault for RootError {
    fn sqlstate(&self) -> &'static str {
        sqlstate::KEYS_UNAVAILABLE
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Io { .. } | Self::NotAuthentic(_) | Self::Malformed | Self::Provider { .. } => Exit::Failed,
            _ => Exit::Usage,
        }
    }

    fn advice(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::NoFile(_) => "make one with `paravent keys generate`, or correct `keys.root`",
            Self::Mode { .. } => "run `chmod 600` on it, and make a new root key if it may have been read",
            Self::NotAFile(_) => "name a regular file in `keys.root`",
            Self::Line { .. } => {
                "a line is: generation, creation time (RFC 3339, UTC), 64 lower-case hex digits"
            }
            Self::Example { .. } => "make a real one with `paravent keys generate`",
            Self::Missing(_) | Self::WrongRoot(_) => {
                "use the root keys that belong to this keystore, from their backup"
            }
            Self::Exists(_) => "nothing to do: it is there",
            Self::NotAuthentic(_) | Self::Malformed => "the keystore is damaged: restore it from its backup",
            Self::Io { .. } | Self::Provider { .. } => "see that it can be reached, then try again",
        })
    }
}
