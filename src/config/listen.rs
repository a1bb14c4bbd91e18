//! Where a listener accepts: `host:port` or `unix:/path`.

use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// A listener's address as the policy file writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// `host:port`; port 0 takes a free one.
    Tcp {
        /// Host name or address, without the brackets of IPv6.
        host: String,
        /// TCP port, 0 to 65535.
        port: u16,
    },
    /// `unix:/path`, relative paths taken from the file's directory. The path is the socket's own,
    /// not its directory.
    Unix(PathBuf),
}

impl Listen {
    /// Reads `host:port`, `[v6]:port` or `unix:/path`.
    ///
    /// # Errors
    /// A sentence saying what is expected.
    pub fn parse(text: &str, base: &Path) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            return match path {
                "" => Err("unix: needs a path, as in \"unix:/run/paravent/.s.PGSQL.6432\"".into()),
                path => Ok(Self::Unix(base.join(path))),
            };
        }
        let expected = "expected \"host:port\" or \"unix:/path\"";
        let (host, port) = text.rsplit_once(':').ok_or(expected)?;
        let port = port.parse().map_err(|_| format!("{expected}: the port is a number from 0 to 65535"))?;
        let host = match host.strip_prefix('[') {
            Some(inner) => inner.strip_suffix(']').ok_or(expected)?,
            None if host.contains(':') => {
                return Err(format!("{expected}: IPv6 goes in brackets, as in [::1]:6432"));
            }
            None => host,
        };
        if host.is_empty() {
            return Err(format!("{expected}: the host is empty (0.0.0.0 listens everywhere)"));
        }
        Ok(Self::Tcp { host: host.to_owned(), port })
    }

    /// Whether only this machine reaches it: a socket file, or a loopback address.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Unix(_) => true,
            Self::Tcp { host, .. } => {
                host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
            }
        }
    }
}

/// The form of the file, with brackets around IPv6; what `listening …` lines print.
impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Listen, String> {
        Listen::parse(text, Path::new("/etc/paravent"))
    }

    #[test]
    fn every_form_is_read_and_printed_as_it_was_written() {
        for text in ["127.0.0.1:6432", "[::1]:0", "db.example:65535", "unix:/run/p/.s.PGSQL.6432"] {
            assert_eq!(parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_relative_socket_is_beside_the_file() {
        assert_eq!(parse("unix:sock").unwrap(), Listen::Unix("/etc/paravent/sock".into()));
    }

    #[test]
    fn other_spellings_are_refused() {
        for text in
            ["", "6432", ":6432", "localhost", "localhost:", "localhost:65536", "::1:6432", "[::1:1", "unix:"]
        {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn only_loopback_and_sockets_are_local() {
        for text in ["127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "localhost:1", "unix:/s"] {
            assert!(parse(text).unwrap().is_local(), "{text}");
        }
        for text in ["0.0.0.0:1", "10.0.0.1:1", "[::]:1", "db.example:1", "localhost.example:1"] {
            assert!(!parse(text).unwrap().is_local(), "{text}");
        }
    }
}
