//! The file's text → [`Config`], every problem at once.

use super::section::{Section, kind};
use super::{
    Admin, Audit, ClientAddresses, Config, ConfigError, Keys, Limits, Listen, Root, TlsFiles, policy,
};
use crate::policy::raw::{Problems, RawPolicy};
use crate::policy::{compile, suggest};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use toml::de::{DeTable, DeValue};

const LATER: &[&str] = &[
    "purposes",
    "retention",
    "jobs",
    "console",
    "realms",
    "receipts",
    "guard",
    "realm",
    "domains",
    "breach",
    "consent",
    "functions",
    "roles",
];
/// How long the audit log is kept unless the file says otherwise.
const KEEP: Duration = Duration::from_secs(400 * 86_400);

/// `400d`, or `forever` (none).
fn days(text: &str) -> Option<Option<Duration>> {
    if text == "forever" {
        return Some(None);
    }
    let days: u64 = text.strip_suffix('d')?.parse().ok()?;
    (1..=36_500).contains(&days).then(|| Some(Duration::from_secs(days * 86_400)))
}

/// What the environment supplies.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

pub(super) struct Reader<'e> {
    pub(super) base: PathBuf,
    pub(super) env: Env<'e>,
    pub(super) problems: Problems,
    pub(super) raw: RawPolicy,
}

/// Reads a file's text. `path` is where it came from: messages name it, and paths in it are taken
/// from its directory.
///
/// # Errors
/// Everything that is wrong, in file order.
pub fn parse(path: &Path, text: &str, env: Env<'_>) -> Result<Config, ConfigError> {
    let (document, syntax) = DeTable::parse_recoverable(text);
    let mut problems = Problems::default();
    for error in &syntax {
        problems.add(error.span().map_or(0, |span| span.start), format!("not TOML: {}", error.message()));
    }
    // What a half-read document lacks is not worth telling.
    if !problems.0.is_empty() {
        return Err(ConfigError::of(path, text, problems));
    }
    let base = path.parent().unwrap_or(Path::new("")).to_path_buf();
    let mut reader = Reader { base, env, problems, raw: RawPolicy::default() };
    let config = reader.config(path, document.get_ref());
    match config {
        Some(config) if reader.problems.0.is_empty() => Ok(config),
        _ => Err(ConfigError::of(path, text, reader.problems)),
    }
}

impl Reader<'_> {
    fn config(&mut self, path: &Path, document: &DeTable<'_>) -> Option<Config> {
        let mut top = Section::new("the file", 0, document);
        let keys = self.keys(&mut top);
        let audit = self.audit(&mut top);
        let admin = self.admin(&mut top);
        let limits = self.limits(&mut top);
        if let Some((_, table)) = top.table("fields", &mut self.problems) {
            self.raw.fields = policy::fields(table, &mut self.problems);
        }
        if let Some((_, table)) = top.table("classes", &mut self.problems) {
            self.raw.classes = policy::classes(table, &mut self.problems);
        }
        let postgres = self.listeners(&mut top, &limits);
        let http = self.http(&mut top, &limits);
        if self.raw.postgres.is_empty() && self.raw.http.is_empty() && self.problems.0.is_empty() {
            self.problems
                .add(0, "the file needs a [[postgres]] or [[http]] section: there is nothing to listen for");
        }
        top.finish(LATER, &mut self.problems);
        let policy = compile(&self.raw, &mut self.problems);
        Some(Config {
            path: path.to_path_buf(),
            keys: keys?,
            audit: audit?,
            admin,
            postgres,
            http,
            limits,
            policy: Arc::new(policy),
        })
    }

    fn keys(&mut self, top: &mut Section<'_>) -> Option<Keys> {
        let Some(entry) = top.take("keys") else {
            return self.problems.none(0, "the file needs a [keys] section with `root`");
        };
        let DeValue::Table(table) = entry.value.get_ref() else {
            return self
                .problems
                .none(entry.at, format!("[keys] is a table, not {}", kind(entry.value.get_ref())));
        };
        let mut section = Section::new("[keys]", entry.at, table);
        let root = section.required("root", &mut self.problems).and_then(|text| {
            match Root::parse(&text.value, &self.base, self.env) {
                Ok(root) => Some(root),
                Err(message) => self.problems.none(text.at, format!("[keys]: root: {message}")),
            }
        });
        let store = self.file(&mut section, "store", Some("paravent.keystore"), &["postgres", "postgresql"]);
        let ledger =
            self.file(&mut section, "ledger", Some("paravent.ledger"), &["postgres", "postgresql", "s3"]);
        let receipt_key = self.file(&mut section, "receipt_key", Some("receipt.key"), &["pkcs11", "aws-kms"]);
        let cache = section.number("cache", 16..=100_000_000, &mut self.problems).unwrap_or(100_000);
        let lease = section.number("lease_seconds", 1..=3600, &mut self.problems).unwrap_or(30);
        let root_lease = section.number("root_lease_seconds", 10..=31_536_000, &mut self.problems);
        let root_lease = Duration::from_secs(root_lease.unwrap_or(86_400).into());
        let rotate_every = self.rotate_every(&mut section);
        let rotate_pause = section.number("rotate_pause", 0..=100, &mut self.problems).unwrap_or(0);
        let backup = section.string("backup", &mut self.problems);
        let backup = backup.map(|b| self.base.join(b.value.strip_prefix("file:").unwrap_or(&b.value)));
        section.finish(&["rotate", "rotation", "generation"], &mut self.problems);
        let (root, store, ledger, receipt_key) = (root?, store?, ledger?, receipt_key?);
        let files = [root.file(), Some(&store), Some(&ledger), Some(&receipt_key)];
        if files.iter().enumerate().any(|(n, file)| file.is_some() && files[..n].contains(file)) {
            return self
                .problems
                .none(entry.at, "[keys]: root, store, ledger and receipt_key are four different files");
        }
        let (cache, lease) = (cache as usize, Duration::from_secs(lease.into()));
        Some(Keys {
            root,
            root_lease,
            store,
            ledger,
            receipt_key,
            rotate_every,
            rotate_pause,
            backup,
            cache,
            lease,
        })
    }

    /// `"30d"`, `"12h"`, `"90m"`, `"30s"`, or `"never"`.
    fn rotate_every(&mut self, section: &mut Section<'_>) -> Option<Duration> {
        let Some(text) = section.string("rotate_every", &mut self.problems) else {
            return Some(Duration::from_secs(30 * 86_400));
        };
        if text.value == "never" {
            return None;
        }
        let last = text.value.len().saturating_sub(1);
        let (digits, unit) = text.value.split_at_checked(last).unwrap_or_default();
        let unit = match unit {
            "d" => 86_400,
            "h" => 3600,
            "m" => 60,
            "s" => 1,
            _ => 0,
        };
        match digits.parse::<u32>().ok().map(|n| u64::from(n) * unit).filter(|seconds| *seconds > 0) {
            Some(seconds) => Some(Duration::from_secs(seconds)),
            None => self
                .problems
                .none(text.at, "[keys]: rotate_every is \"30d\" or the like (d, h, m, s), or \"never\""),
        }
    }

    /// A `file:…` address; other schemes are refused, those of later versions by name.
    pub(super) fn file(
        &mut self,
        section: &mut Section<'_>,
        key: &'static str,
        default: Option<&str>,
        later: &[&str],
    ) -> Option<PathBuf> {
        let what = section.what.clone();
        let text = match default {
            Some(default) => match section.take(key) {
                None => return Some(self.base.join(default)),
                Some(entry) => match entry.value.get_ref() {
                    DeValue::String(text) => crate::policy::raw::At { at: entry.at, value: text.to_string() },
                    other => {
                        return self
                            .problems
                            .none(entry.at, format!("{what}: {key} is a string, not {}", kind(other)));
                    }
                },
            },
            None => section.required(key, &mut self.problems)?,
        };
        match text.value.split_once(':') {
            Some(("file", path)) if !path.is_empty() => Some(self.base.join(path)),
            Some((scheme, _)) if later.contains(&scheme) => self.problems.none(
                text.at,
                format!("{what}: {key} = \"{scheme}:…\" is not in this version; use \"file:path\""),
            ),
            _ => self.problems.none(text.at, format!("{what}: {key} is \"file:path\"")),
        }
    }

    fn admin(&mut self, top: &mut Section<'_>) -> Option<Admin> {
        let (at, table) = top.table("admin", &mut self.problems)?;
        let mut section = Section::new("[admin]", at, table);
        let listen = self.listen(&mut section);
        let tokens = self.file(&mut section, "tokens", Some("admin.tokens"), &[]);
        let tls = self.tls(&mut section);
        let requests = section.number("requests_per_second", 1..=100_000, &mut self.problems);
        section.finish(&["console", "roles", "oidc"], &mut self.problems);
        let (listen, tokens) = (listen?, tokens?);
        if !listen.1.is_local() && tls.is_none() {
            return self.problems.none(
                listen.0,
                "[admin]: a listener that others can reach needs `tls`; or listen on 127.0.0.1 or a unix: socket",
            );
        }
        let requests_per_second = requests.unwrap_or(50);
        Some(Admin { listen: listen.1, tokens, tls, requests_per_second })
    }

    fn audit(&mut self, top: &mut Section<'_>) -> Option<Audit> {
        let empty = DeTable::new();
        let (at, table) = match top.take("audit").map(|entry| (entry.at, entry.value.get_ref())) {
            None => (0, &empty),
            Some((at, DeValue::Table(table))) => (at, table),
            Some((at, other)) => {
                return self.problems.none(at, format!("[audit] is a table, not {}", kind(other)));
            }
        };
        let mut section = Section::new("[audit]", at, table);
        let path = self.file(&mut section, "path", Some("audit"), &["s3", "syslog", "https"]);
        let keep = match section.string("keep", &mut self.problems) {
            None => Some(Some(KEEP)),
            Some(text) => match days(&text.value) {
                Some(keep) => Some(keep),
                None => self.problems.none(
                    text.at,
                    "[audit]: keep is a number of days from 1 to 36500 as in \"400d\", or \"forever\"",
                ),
            },
        };
        let file_mib = section.number("file_mib", 1..=4096, &mut self.problems).unwrap_or(64);
        let clients = match section.string("clients", &mut self.problems) {
            None => Some(ClientAddresses::Full),
            Some(text) => match text.value.as_str() {
                "full" => Some(ClientAddresses::Full),
                "network" => Some(ClientAddresses::Network),
                "none" => Some(ClientAddresses::None),
                _ => self.problems.none(text.at, "[audit]: clients is \"full\", \"network\" or \"none\""),
            },
        };
        section.finish(&["anchor", "export"], &mut self.problems);
        Some(Audit { path: path?, keep: keep?, file_mib, clients: clients? })
    }

    fn limits(&mut self, top: &mut Section<'_>) -> Limits {
        let mut limits = Limits::default();
        let Some((at, table)) = top.table("limits", &mut self.problems) else { return limits };
        let mut section = Section::new("[limits]", at, table);
        let mut number = |key, range, into: &mut u32| {
            if let Some(n) = section.number(key, range, &mut self.problems) {
                *into = n;
            }
        };
        number("connections", 1..=1_000_000, &mut limits.connections);
        number("subjects_per_statement", 1..=1_000_000, &mut limits.subjects_per_statement);
        number("candidate_rows", 1..=100_000_000, &mut limits.candidate_rows);
        number("message_bytes", 64 << 10..=1 << 30, &mut limits.message_bytes);
        let mut drain = 10;
        number("drain_seconds", 0..=3600, &mut drain);
        limits.drain = Duration::from_secs(drain.into());
        section.finish(&[], &mut self.problems);
        limits
    }

    pub(super) fn listen(&mut self, section: &mut Section<'_>) -> Option<(usize, Listen)> {
        let text = section.required("listen", &mut self.problems)?;
        match Listen::parse(&text.value, &self.base) {
            Ok(listen) => Some((text.at, listen)),
            Err(message) => self.problems.none(text.at, format!("{}: listen: {message}", section.what)),
        }
    }

    pub(super) fn tls(&mut self, section: &mut Section<'_>) -> Option<TlsFiles> {
        let (at, table) = section.table("tls", &mut self.problems)?;
        self.tls_files(Section::new(format!("{}: tls", section.what), at, table))
    }

    pub(super) fn tls_files(&mut self, mut inner: Section<'_>) -> Option<TlsFiles> {
        let cert = inner.required("cert", &mut self.problems);
        let key = inner.required("key", &mut self.problems);
        let client_ca = inner.string("client_ca", &mut self.problems);
        inner.finish(&["acme", "min_version"], &mut self.problems);
        Some(TlsFiles {
            cert: self.base.join(cert?.value),
            key: self.base.join(key?.value),
            client_ca: client_ca.map(|ca| self.base.join(ca.value)),
        })
    }
}

/// Reads the file.
///
/// # Errors
/// That it can't be read, or everything that is wrong in it.
pub fn load(path: &Path, env: Env<'_>) -> Result<Config, ConfigError> {
    match std::fs::read_to_string(path) {
        Ok(text) => parse(path, &text, env),
        Err(error) => Err(ConfigError::unreadable(path, &error)),
    }
}

/// A policy alone, from the text of a file without `[keys]`, `listen` and `upstream`: for tests of
/// the rooms that take a compiled policy. `[[postgres]]` holds tables only, `[[http]]` routes.
///
/// # Errors
/// As [`parse`].
pub fn policy_only(text: &str) -> Result<crate::policy::model::Policy, ConfigError> {
    let path = Path::new("policy.toml");
    let mut problems = Problems::default();
    let mut raw = RawPolicy::default();
    let (document, syntax) = DeTable::parse_recoverable(text);
    for error in &syntax {
        problems.add(error.span().map_or(0, |span| span.start), format!("not TOML: {}", error.message()));
    }
    for entry in super::section::entries(document.get_ref()) {
        match (entry.key, entry.value.get_ref()) {
            ("fields", DeValue::Table(table)) => raw.fields = policy::fields(table, &mut problems),
            ("classes", DeValue::Table(table)) => raw.classes = policy::classes(table, &mut problems),
            ("postgres", DeValue::Array(sections)) => {
                for section in sections.iter() {
                    let DeValue::Table(table) = section.get_ref() else { continue };
                    let mut section = Section::new("[[postgres]]", section.span().start, table);
                    let tables = section.table("tables", &mut problems);
                    raw.postgres
                        .push(tables.map(|(_, t)| policy::tables(t, &mut problems)).unwrap_or_default());
                    section.finish(&[], &mut problems);
                }
            }
            ("http", DeValue::Array(sections)) => {
                for section in sections.iter() {
                    let DeValue::Table(table) = section.get_ref() else { continue };
                    let mut section = Section::new("[[http]]", section.span().start, table);
                    let places = super::http::places(&mut section, &mut problems);
                    section.take("jwt");
                    raw.http.push(places);
                    section.finish(&[], &mut problems);
                }
            }
            (key, _) => {
                let hint = suggest(key, &["fields", "classes", "postgres", "http"]);
                problems.add(entry.at, format!("unknown section \"{key}\"{hint}"));
            }
        }
    }
    let policy = compile(&raw, &mut problems);
    if problems.0.is_empty() { Ok(policy) } else { Err(ConfigError::of(path, text, problems)) }
}
