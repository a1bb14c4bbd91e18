//! The service behind an HTTP listener: `http://host:port`, `https://…`, `h2c://…` or `unix:/path`.

use std::path::{Path, PathBuf};

/// The service, and how it is spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpUpstream {
    /// The protocol.
    pub scheme: HttpScheme,
    /// Where it listens.
    pub address: HttpAddress,
    /// `upstream_tls`: files and the expected name; only with `https`.
    pub tls: HttpUpstreamTls,
}

/// How the service is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HttpScheme {
    /// HTTP/1.1 in clear.
    Http,
    /// TLS; HTTP/2 or HTTP/1.1, as the service chooses (ALPN).
    Https,
    /// HTTP/2 in clear, with prior knowledge (RFC 9113 §3.3).
    H2c,
}

/// Where a service listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HttpAddress {
    /// Over TCP.
    Tcp {
        /// Host name or address, without brackets.
        host: String,
        /// Port.
        port: u16,
    },
    /// A Unix socket.
    Unix(PathBuf),
}

/// `upstream_tls = { ca, cert, key, name }`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HttpUpstreamTls {
    /// PEM file of accepted roots; the system's bundle unless given.
    pub ca: Option<PathBuf>,
    /// Client certificate chain, with `key`.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// The name in the service's certificate, unless it is the URL's host.
    pub name: Option<String>,
}

impl HttpUpstream {
    /// Reads a URL; a relative socket path is taken from `base`.
    ///
    /// # Errors
    /// A sentence that says what is expected; it never holds the URL, in which someone may have put a password.
    pub fn parse(text: &str, base: &Path) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:") {
            if path.is_empty() {
                return Err("unix: needs a path, as in \"unix:/run/app/http.sock\"".into());
            }
            let address = HttpAddress::Unix(base.join(path));
            return Ok(Self { scheme: HttpScheme::Http, address, tls: HttpUpstreamTls::default() });
        }
        let expected =
            "expected \"http://host:port\", \"https://host\", \"h2c://host:port\" or \"unix:/path\"";
        let (scheme, rest) = text.split_once("://").ok_or(expected)?;
        let (scheme, default) = match scheme {
            "http" => (HttpScheme::Http, 80),
            "https" => (HttpScheme::Https, 443),
            "h2c" => (HttpScheme::H2c, 80),
            _ => return Err(expected.into()),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains('@') {
            return Err("a user or password in the URL is not sent anywhere: leave it out".into());
        }
        if rest.contains(['/', '?', '#']) {
            return Err(
                "the URL ends after the port: paths reach the service as the client wrote them".into()
            );
        }
        let (host, port) = split(rest, default)?;
        if host.is_empty() {
            return Err("the URL names no host".into());
        }
        Ok(Self { scheme, address: HttpAddress::Tcp { host, port }, tls: HttpUpstreamTls::default() })
    }

    /// The `Host` of requests that are addressed to the service itself (RFC 9110 §7.2).
    pub fn authority(&self) -> String {
        let default = if self.scheme == HttpScheme::Https { 443 } else { 80 };
        match &self.address {
            HttpAddress::Unix(_) => "localhost".into(),
            HttpAddress::Tcp { host, port } => {
                let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
                if *port == default { host } else { format!("{host}:{port}") }
            }
        }
    }
}

fn split(text: &str, default: u16) -> Result<(String, u16), String> {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (host, after) = rest.split_once(']').ok_or("the host lacks a closing bracket")?;
            let port = match after {
                "" => None,
                after => Some(after.strip_prefix(':').ok_or("expected [host]:port")?),
            };
            (host, port)
        }
        None => match text.split_once(':') {
            Some((_, port)) if port.contains(':') => {
                return Err("IPv6 goes in brackets, as in [::1]:80".into());
            }
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        },
    };
    let port = match port {
        None => default,
        Some(text) => match text.parse::<u16>() {
            Ok(port) if port > 0 => port,
            _ => return Err("the port is a number from 1 to 65535".into()),
        },
    };
    Ok((host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<HttpUpstream, String> {
        HttpUpstream::parse(text, Path::new("/etc/paravent"))
    }

    fn tcp(host: &str, port: u16) -> HttpAddress {
        HttpAddress::Tcp { host: host.into(), port }
    }

    #[test]
    fn every_form_is_read() {
        for (text, scheme, address, authority) in [
            ("http://127.0.0.1:9000", HttpScheme::Http, tcp("127.0.0.1", 9000), "127.0.0.1:9000"),
            ("http://app/", HttpScheme::Http, tcp("app", 80), "app"),
            ("https://api.example", HttpScheme::Https, tcp("api.example", 443), "api.example"),
            ("https://[::1]:8443", HttpScheme::Https, tcp("::1", 8443), "[::1]:8443"),
            ("h2c://app:50051", HttpScheme::H2c, tcp("app", 50051), "app:50051"),
            (
                "unix:app.sock",
                HttpScheme::Http,
                HttpAddress::Unix("/etc/paravent/app.sock".into()),
                "localhost",
            ),
        ] {
            let upstream = parse(text).unwrap();
            assert_eq!((upstream.scheme, &upstream.address), (scheme, &address), "{text}");
            assert_eq!(upstream.authority(), authority, "{text}");
        }
    }

    #[test]
    fn other_spellings_are_refused_without_repeating_them() {
        for text in [
            "",
            "app:80",
            "ftp://app",
            "http://",
            "http://:80",
            "http://app:0",
            "http://app:65536",
            "http://::1",
            "http://u:hunter2@app",
            "http://app/path",
            "http://app?x=1",
            "unix:",
            "http://[::1",
        ] {
            let message = parse(text).unwrap_err();
            assert!(!message.contains("hunter2"), "{message}");
        }
    }
}
