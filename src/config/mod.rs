//! The configuration file, `paravent.toml`: what the process runs with, and the policy that it applies.

mod error;
mod http;
mod http_upstream;
mod http_wire;
mod listen;
mod policy;
mod postgres;
mod read;
mod root;
mod section;
#[cfg(test)]
mod tests;
mod upstream;

pub use self::http::{HttpListener, Jwt};
pub use error::ConfigError;
pub use http_upstream::{HttpAddress, HttpScheme, HttpUpstream, HttpUpstreamTls};
pub use http_wire::{HttpForwarded, HttpHost, HttpLimits, HttpTimeouts};
pub use listen::Listen;
pub use read::{Env, load, parse, policy_only};
pub use root::{AwsKms, Pkcs11, Root};
pub use upstream::{Address, Password, SslMode, Target, Upstream};

use crate::policy::model::Policy;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The whole file, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where it was read from.
    pub path: PathBuf,
    /// `[keys]`.
    pub keys: Keys,
    /// `[audit]`; its defaults where the file has none.
    pub audit: Audit,
    /// `[admin]`; without it there is no admin listener.
    pub admin: Option<Admin>,
    /// `[[postgres]]`, in file order.
    pub postgres: Vec<PostgresConfig>,
    /// `[[http]]`, in file order. There is at least one section of either.
    pub http: Vec<HttpListener>,
    /// `[limits]`.
    pub limits: Limits,
    /// `[fields]`, `[classes]` and every table, compiled.
    pub policy: Arc<Policy>,
}

/// `[keys]`: where keys live. All are files in this version (`file:path`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    /// `root`: where root keys are.
    pub root: Root,
    /// `store`: the embedded keystore (default `paravent.keystore`).
    pub store: PathBuf,
    /// `ledger`: the record of destructions (default `paravent.ledger`).
    pub ledger: PathBuf,
    /// `receipt_key`: the key that signs receipts (default `receipt.key`).
    pub receipt_key: PathBuf,
    /// `rotate_every`: how old the active generation may get (default 30 days; none for `"never"`).
    pub rotate_every: Option<Duration>,
    /// `rotate_pause`: after each batch of a rotation, so many times as long as the batch took (default 0).
    pub rotate_pause: u32,
    /// `backup`: a folder for the keystore's backups, one of which each rotation makes; none unless given.
    pub backup: Option<PathBuf>,
    /// `cache`: user keys held in memory at once. Default 100000.
    pub cache: usize,
    /// `root_lease_seconds`: how long the generation in memory serves while the root keys are out of reach. Default a day.
    pub root_lease: Duration,
    /// `lease_seconds`: how long keys may be used without the keystore's word. Default 30 s.
    pub lease: Duration,
}

/// `[audit]`: the log of who opened what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audit {
    /// `path`: its directory (default `audit`).
    pub path: PathBuf,
    /// `keep`: files that ended before are deleted (default 400 days; `"forever"` keeps all).
    pub keep: Option<Duration>,
    /// `file_mib`: a file begins anew at this size. Default 64.
    pub file_mib: u32,
    /// `clients`: how much of a client's address is kept: `full` (default), `network` or `none`.
    pub clients: ClientAddresses,
}

/// How much of a client's address the audit log keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAddresses {
    /// All of it.
    Full,
    /// Its network.
    Network,
    /// Nothing.
    None,
}

/// `[admin]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    /// Where the admin API listens.
    pub listen: Listen,
    /// The file of hashed tokens (default `admin.tokens`).
    pub tokens: PathBuf,
    /// TLS; needed unless `listen` is loopback or a socket.
    pub tls: Option<TlsFiles>,
    /// `requests_per_second`: of each principal; twice as many at once. Default 50.
    pub requests_per_second: u32,
}

/// One `[[postgres]]` section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresConfig {
    /// Where clients connect.
    pub listen: Listen,
    /// The database behind it.
    pub upstream: Upstream,
    /// TLS towards clients.
    pub tls: Option<TlsFiles>,
    /// `mode` of `tls`: clients without TLS are refused (`"require"`, the default), or let in (`"offer"`).
    pub tls_required: bool,
    /// `verifiers`: SCRAM ends here, against these.
    pub verifiers: Option<Verifiers>,
    /// Its tables: index into [`crate::policy::model::Policy::postgres`].
    pub tables: usize,
    /// Bounds of every connection.
    pub limits: Limits,
}

/// Where the verifiers of roles are, as `pg_authid` has them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verifiers {
    /// `"file:path"`: lines `role SCRAM-SHA-256$…`, mode 0600.
    File(PathBuf),
    /// `"pg_authid"`: read there by the gateway's own login.
    Server,
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
    /// Rows of one table that are opened to evaluate a condition or an order (`too-many-candidates`). Default 100,000.
    pub candidate_rows: u32,
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
            candidate_rows: 100_000,
            message_bytes: 64 << 20,
            drain: Duration::from_secs(10),
        }
    }
}
