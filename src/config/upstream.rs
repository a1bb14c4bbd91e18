//! The database behind the gateway: `postgres://user[:password]@host:port/db?sslmode=…`.

use std::fmt;
use std::path::{Path, PathBuf};
use zeroize::{Zeroize, ZeroizeOnDrop};

/// The database, and the gateway's own login there (to read the catalog).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// Where it listens.
    pub address: Address,
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
        let (host, port) = split_host(host).unwrap_or_else(|message| {
            errors.push(message);
            (String::new(), 5432)
        });
        let mut found = Self {
            address: Address::Tcp { host, port },
            user,
            password: password.or(in_url),
            database,
            sslmode: SslMode::default(),
            sslrootcert: None,
        };
        for (key, value) in &pairs {
            if let Err(message) = found.set(key, value, base) {
                errors.push(message);
            }
        }
        found.check(&mut errors);
        if errors.is_empty() { Ok(found) } else { Err(errors) }
    }

    fn set(&mut self, key: &str, value: &str, base: &Path) -> Result<(), String> {
        match key {
            "sslmode" => self.sslmode = SslMode::parse(value)?,
            "sslrootcert" if value.is_empty() => return Err("sslrootcert is empty".into()),
            "sslrootcert" => self.sslrootcert = Some(base.join(value)),
            "host" if value.starts_with('/') => {
                let Address::Tcp { host, port } = &self.address else {
                    return Err("host is given twice".into());
                };
                if !host.is_empty() {
                    return Err("the URL has a host and host= a socket directory: keep one".into());
                }
                self.address = Address::Unix { dir: value.into(), port: *port };
            }
            "host" => return Err("host= takes the socket's directory, an absolute path".into()),
            other => {
                let hint = crate::policy::suggest(other, &["sslmode", "sslrootcert", "host"]);
                return Err(format!("unknown URL parameter \"{other}\"{hint}"));
            }
        }
        Ok(())
    }

    fn check(&self, errors: &mut Vec<String>) {
        match &self.address {
            Address::Tcp { host, .. } if host.is_empty() && errors.is_empty() => {
                errors.push("the URL names no host (for a Unix socket: ?host=/directory)".into());
            }
            Address::Unix { .. } if self.sslmode != SslMode::Disable => {
                errors.push("TLS is not spoken on a Unix socket: leave sslmode out".into());
            }
            _ => {}
        }
        if self.sslrootcert.is_none() && matches!(self.sslmode, SslMode::VerifyCa | SslMode::VerifyFull) {
            errors.push("sslmode=verify-ca and verify-full need sslrootcert".into());
        }
        if self.sslrootcert.is_some() && self.sslmode == SslMode::Disable {
            errors.push("sslrootcert without sslmode=verify-full protects nothing: add it".into());
        }
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
    if host.contains(',') {
        return Err("several hosts are not in this version".into());
    }
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
