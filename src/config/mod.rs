//! The configuration file, `paravent.toml`: what the process runs with, and the policy that it applies.

mod listen;
mod upstream;

pub use listen::Listen;
pub use upstream::{Address, Password, SslMode, Upstream};

use std::path::PathBuf;
use std::time::Duration;

/// One `[[postgres]]` section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresConfig {
    /// Where clients connect.
    pub listen: Listen,
    /// The database behind it.
    pub upstream: Upstream,
    /// TLS towards clients.
    pub tls: Option<TlsFiles>,
    /// Its tables: index into [`crate::policy::model::Policy::postgres`].
    pub tables: usize,
    /// Bounds of every connection.
    pub limits: Limits,
}

/// A listener's certificate, `tls = { cert = …, key = …, client_ca = … }`: PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificate chain, leaf first.
    pub cert: PathBuf,
    /// Private key (PKCS#8, PKCS#1 or SEC1).
    pub key: PathBuf,
    /// Clients must bring a certificate that one of these roots signed.
    pub client_ca: Option<PathBuf>,
}

/// `[limits]`: bounds that hold for every listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once per listener; further ones are refused with 53300. Default 1000.
    pub connections: u32,
    /// Subjects that one UPDATE or DELETE may touch (`too-many-subjects`). Default 1000.
    pub subjects_per_statement: u32,
    /// Bytes of one statement or one protected row that may be held in memory. Default 64 MiB.
    pub message_bytes: u32,
    /// How long open connections may go on after SIGTERM. Default 10 s.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 1000,
            subjects_per_statement: 1000,
            message_bytes: 64 << 20,
            drain: Duration::from_secs(10),
        }
    }
}

/// `; did you mean "x"?` when one of `known` is close, else nothing.
pub(crate) fn suggest(word: &str, known: &[&str]) -> String {
    known
        .iter()
        .map(|k| (strsim::damerau_levenshtein(word, k), k))
        .filter(|(distance, k)| *distance <= 1 + k.len().max(word.len()) / 4)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, k)| format!("; did you mean \"{k}\"?"))
        .unwrap_or_default()
}
