//! The database behind the gateway: `postgres://user[:password]@host:port/db?sslmode=…`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Parameters that a URL may have.
const KEYS: &[&str] = &[
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "sslnegotiation",
    "host",
    "target_session_attrs",
    "load_balance_hosts",
    "connect_timeout",
];

/// The database, and the gateway's own login there (to read the catalog).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// Where it listens; several are tried in this order.
    pub hosts: Vec<Address>,
    /// `target_session_attrs`: which of them a client's session may be on.
    pub target: Target,
    /// `load_balance_hosts=random`: each connection begins with the next one.
    pub balance: bool,
    /// `connect_timeout`: how long one may take to accept a connection. Default 10 s.
    pub connect_timeout: Duration,
    /// The gateway's own login. Clients bring theirs.
    pub user: String,
    /// Its password: `PARAVENT_UPSTREAM_PASSWORD`, else from the URL.
    pub password: Option<Password>,
    /// The database that `check` reads; clients name theirs.
    pub database: String,
    /// TLS towards it, for clients' connections and the gateway's own.
    pub sslmode: SslMode,
    /// PEM file of accepted roots.
    pub sslrootcert: Option<PathBuf>,
    /// `sslcert` and `sslkey`: the gateway's own certificate, PEM files.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// `sslnegotiation=direct`: TLS at once (Postgres 17).
    pub direct: bool,
}

/// Which server a session may be on (libpq's words).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Target {
    /// Any (the default).
    #[default]
    Any,
    /// One that takes writes.
    ReadWrite,
    /// One that takes none.
    ReadOnly,
    /// No standby.
    Primary,
    /// A standby.
    Standby,
    /// A standby, else any.
    PreferStandby,
}

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// Over TCP.
    Tcp {
        /// Host name or address, without brackets.
        host: String,
        /// Port, 5432 unless given.
        port: u16,
    },
    /// A Unix socket `.s.PGSQL.port` in a directory (`?host=/dir`).
    Unix {
        /// The directory.
        dir: PathBuf,
        /// The port in the socket's name.
        port: u16,
    },
}

impl Address {
    /// The socket file of a Unix address, as Postgres names it (`unix_socket_directories`).
    pub fn socket(&self) -> Option<PathBuf> {
        match self {
            Self::Tcp { .. } => None,
            Self::Unix { dir, port } => Some(dir.join(format!(".s.PGSQL.{port}"))),
        }
    }
}

/// As messages name it.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix { dir, port } => write!(f, "{}/.s.PGSQL.{port}", dir.display()),
        }
    }
}

/// TLS towards the server (libpq's words). `prefer` and `allow` are refused: they retry in clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SslMode {
    /// No TLS (the default).
    #[default]
    Disable,
    /// TLS; the certificate is checked only when `sslrootcert` is given, as libpq does.
    Require,
    /// TLS, and a certificate that a root of `sslrootcert` signed.
    VerifyCa,
    /// The same, and the certificate names the host.
    VerifyFull,
}

/// A password: zeroised, never printed, lent only by [`Password::reveal`].
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Password(String);

impl Password {
    /// Takes the clear password.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The clear password, for the authentication exchange alone.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl Upstream {
    /// Reads a URL. `password` (from the environment) goes before the URL's own; paths are taken
    /// from `base`.
    ///
    /// # Errors
    /// A sentence for each thing wrong; none holds the password.
    pub fn parse(url: &str, password: Option<Password>, base: &Path) -> Result<Self, Vec<String>> {
        let rest = url
            .strip_prefix("postgres://")
            .or_else(|| url.strip_prefix("postgresql://"))
            .ok_or_else(|| vec!["expected postgres://user@host:port/database".to_owned()])?;
        let mut errors = Vec::new();
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, host) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (user, in_url) = match login.split_once(':') {
            Some((user, password)) => (user, Some(password)),
            None => (login, None),
        };
        let mut decode = |what: &str, text: &str| {
            percent_decode(text).unwrap_or_else(|| {
                errors.push(format!("the {what} has a malformed percent escape"));
                String::new()
            })
        };
        let user = decode("user", user);
        let in_url = in_url.map(|text| Password::new(decode("password", text)));
        let database = match decode("database", database) {
            name if name.is_empty() => user.clone(),
            name => name,
        };
        let pairs: Vec<(String, String)> = query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .map(|pair| {
                let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                (key.to_owned(), decode("parameter", value))
            })
            .collect();
        if user.is_empty() && errors.is_empty() {
            errors.push("the URL names no user (the gateway's own login)".into());
        }
        let mut hosts = Vec::new();
        for host in host.split(',') {
            match split_host(host) {
                Ok((host, port)) => hosts.push(Address::Tcp { host, port }),
                Err(message) => errors.push(message),
            }
        }
        let mut found = Self {
            hosts,
            target: Target::default(),
            balance: false,
            connect_timeout: Duration::from_secs(10),
            user,
            password: password.or(in_url),
            database,
            sslmode: SslMode::default(),
            sslrootcert: None,
            identity: None,
            direct: false,
        };
        let mut own = (None, None);
        for (key, value) in &pairs {
            let set = match key.as_str() {
                "sslcert" | "sslkey" if value.is_empty() => Err(format!("{key} is empty")),
                "sslcert" => {
                    own.0 = Some(base.join(value));
                    Ok(())
                }
                "sslkey" => {
                    own.1 = Some(base.join(value));
                    Ok(())
                }
                _ => found.set(key, value, base),
            };
            errors.extend(set.err());
        }
        match own {
            (Some(cert), Some(key)) => found.identity = Some((cert, key)),
            (None, None) => {}
            _ => errors.push("sslcert and sslkey go together".into()),
        }
        found.check(&mut errors);
        if errors.is_empty() { Ok(found) } else { Err(errors) }
    }

    fn set(&mut self, key: &str, value: &str, base: &Path) -> Result<(), String> {
        match key {
            "sslmode" => self.sslmode = SslMode::parse(value)?,
            "sslrootcert" if value.is_empty() => return Err("sslrootcert is empty".into()),
            "sslrootcert" => self.sslrootcert = Some(base.join(value)),
            "sslnegotiation" => {
                self.direct = match value {
                    "direct" => true,
                    "postgres" => false,
                    _ => return Err("sslnegotiation is postgres or direct".into()),
                }
            }
            "target_session_attrs" => self.target = Target::parse(value)?,
            "load_balance_hosts" => {
                self.balance = match value {
                    "random" => true,
                    "disable" => false,
                    _ => return Err("load_balance_hosts is disable or random".into()),
                }
            }
            "connect_timeout" => {
                let seconds = value.parse().ok().filter(|n| (1..=3600).contains(n));
                self.connect_timeout = Duration::from_secs(
                    seconds.ok_or("connect_timeout is a whole number of seconds from 1 to 3600")?,
                );
            }
            "host" if value.starts_with('/') => {
                let [Address::Tcp { host, port }] = &self.hosts[..] else {
                    return Err("host is given twice".into());
                };
                if !host.is_empty() {
                    return Err("the URL has a host and host= a socket directory: keep one".into());
                }
                self.hosts = vec![Address::Unix { dir: value.into(), port: *port }];
            }
            "host" => return Err("host= takes the socket's directory, an absolute path".into()),
            other => {
                let hint = crate::policy::suggest(other, KEYS);
                return Err(format!("unknown URL parameter \"{other}\"{hint}"));
            }
        }
        Ok(())
    }

    fn check(&self, errors: &mut Vec<String>) {
        let unnamed = |address: &Address| matches!(address, Address::Tcp { host, .. } if host.is_empty());
        if errors.is_empty() && self.hosts.iter().any(unnamed) {
            errors.push("the URL names no host (for a Unix socket: ?host=/directory)".into());
        }
        let socket = self.hosts.iter().any(|address| address.socket().is_some());
        if socket && self.sslmode != SslMode::Disable {
            errors.push("TLS is not spoken on a Unix socket: leave sslmode out".into());
        }
        if self.sslmode == SslMode::Disable && (self.identity.is_some() || self.direct) {
            errors.push("sslcert, sslkey and sslnegotiation need sslmode=require or better".into());
        }
        if self.balance && self.hosts.len() == 1 {
            errors.push("load_balance_hosts needs several hosts".into());
        }
        if self.sslrootcert.is_none() && matches!(self.sslmode, SslMode::VerifyCa | SslMode::VerifyFull) {
            errors.push("sslmode=verify-ca and verify-full need sslrootcert".into());
        }
        if self.sslrootcert.is_some() && self.sslmode == SslMode::Disable {
            errors.push("sslrootcert without sslmode=verify-full protects nothing: add it".into());
        }
    }
}

impl Target {
    fn parse(text: &str) -> Result<Self, String> {
        Ok(match text {
            "any" => Self::Any,
            "read-write" => Self::ReadWrite,
            "read-only" => Self::ReadOnly,
            "primary" => Self::Primary,
            "standby" => Self::Standby,
            "prefer-standby" => Self::PreferStandby,
            other => {
                let known = &["any", "read-write", "read-only", "primary", "standby", "prefer-standby"];
                let hint = crate::policy::suggest(other, known);
                return Err(format!("unknown target_session_attrs \"{other}\"{hint}"));
            }
        })
    }
}

impl SslMode {
    fn parse(text: &str) -> Result<Self, String> {
        Ok(match text {
            "disable" => Self::Disable,
            "require" => Self::Require,
            "verify-ca" => Self::VerifyCa,
            "verify-full" => Self::VerifyFull,
            "prefer" | "allow" => {
                return Err(format!(
                    "sslmode={text} is refused: it falls back to clear without a word; say disable, require, verify-ca or verify-full"
                ));
            }
            other => {
                let hint = crate::policy::suggest(other, &["disable", "require", "verify-ca", "verify-full"]);
                return Err(format!("unknown sslmode \"{other}\"{hint}"));
            }
        })
    }
}

fn split_host(text: &str) -> Result<(String, u16), String> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or("the host lacks a closing bracket")?;
            (
                host,
                if after.is_empty() {
                    None
                } else {
                    Some(after.strip_prefix(':').ok_or("expected [host]:port")?)
                },
            )
        }
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let port = match port {
        None => 5432,
        Some(text) => match text.parse::<u16>() {
            Ok(port) if port > 0 => port,
            _ => return Err("the port is a number from 1 to 65535".into()),
        },
    };
    Ok((host.to_owned(), port))
}

/// RFC 3986 §2.1; `None` when an escape is malformed or the result isn't UTF-8.
fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte == b'%' {
            let (pair, after) = tail.split_at_checked(2)?;
            bytes.push(hex::decode(pair).ok()?[0]);
            rest = after;
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}
