//! The commands' side of the admin API: one request, one answer.

use super::server::certificates;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::{Method, Request, StatusCode, Uri, header};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use zeroize::Zeroizing;

/// An export or a report may be large; anything larger is no answer of ours.
const LONGEST: usize = 256 << 20;
/// An erasure waits for every replica's lease.
const PATIENCE: Duration = Duration::from_secs(120);

/// Where an admin API listens and how to speak to it.
#[derive(Debug)]
pub struct Client {
    target: Target,
    credentials: Credentials,
    roots: Option<PathBuf>,
}

/// What is shown to the listener: a token, a client certificate, or both (then the token counts).
#[derive(Default)]
pub struct Credentials {
    /// A bearer token.
    pub token: Option<Zeroizing<String>>,
    /// PEM files of a client certificate and of its private key.
    pub certificate: Option<(PathBuf, PathBuf)>,
}

impl From<String> for Credentials {
    fn from(token: String) -> Self {
        Self { token: Some(token.into()), certificate: None }
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[secret]")
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Target {
    Tcp { host: String, port: u16, tls: bool },
    Unix(PathBuf),
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The URL, the token or the CA file can't be used (exit code 2).
    #[error("{0}")]
    Usage(String),
    /// Nobody answers there, or not in HTTP (exit code 1).
    #[error("{0}")]
    Failed(String),
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// JSON, as sent.
    pub body: String,
}

impl Client {
    /// `url` is `http://host:port`, `https://host:port` (with `roots`, a PEM file) or `unix:/path`.
    ///
    /// # Errors
    /// [`ClientError::Usage`]: another URL; clear HTTP to another machine, which would show the token; a certificate
    /// without https.
    pub fn new(
        url: &str,
        credentials: impl Into<Credentials>,
        roots: Option<PathBuf>,
    ) -> Result<Self, ClientError> {
        let credentials = credentials.into();
        let target = Target::parse(url).map_err(ClientError::Usage)?;
        if credentials.certificate.is_some() && !matches!(target, Target::Tcp { tls: true, .. }) {
            return Err(ClientError::Usage(
                "a client certificate is shown to an https:// listener only".into(),
            ));
        }
        if let (Target::Tcp { tls: true, .. }, None) = (&target, &roots) {
            return Err(ClientError::Usage(
                "https needs --ca FILE, the certificate that signed the listener's".into(),
            ));
        }
        Ok(Self { target, credentials, roots })
    }

    /// Sends one request and reads its answer.
    ///
    /// # Errors
    /// [`ClientError`]; never names the path, which holds a subject's id.
    pub async fn send(&self, method: Method, path: &str) -> Result<Answer, ClientError> {
        let answer = async {
            match &self.target {
                Target::Unix(socket) => {
                    let stream = UnixStream::connect(socket).await.map_err(|e| self.failed(&e))?;
                    self.exchange(stream, method, path).await
                }
                Target::Tcp { host, port, tls } => {
                    let stream =
                        TcpStream::connect((host.as_str(), *port)).await.map_err(|e| self.failed(&e))?;
                    match (tls, &self.roots) {
                        (true, Some(roots)) => {
                            let stream = self.encrypt(stream, host, roots).await?;
                            self.exchange(stream, method, path).await
                        }
                        _ => self.exchange(stream, method, path).await,
                    }
                }
            }
        };
        let late = || ClientError::Failed(format!("{}: no answer in {} s", self.target, PATIENCE.as_secs()));
        tokio::time::timeout(PATIENCE, answer).await.map_err(|_| late())?
    }

    async fn encrypt(
        &self,
        stream: TcpStream,
        host: &str,
        roots: &Path,
    ) -> Result<tokio_rustls::client::TlsStream<TcpStream>, ClientError> {
        let usage = |error: &dyn std::fmt::Display| ClientError::Usage(error.to_string());
        let mut store = rustls::RootCertStore::empty();
        for certificate in certificates(roots).map_err(|e| usage(&e))? {
            store.add(certificate).map_err(|e| usage(&e))?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| usage(&e))?
            .with_root_certificates(store);
        let config = match &self.credentials.certificate {
            None => config.with_no_client_auth(),
            Some((certificate, key)) => {
                let named = |e: &dyn std::fmt::Display| ClientError::Usage(format!("{}: {e}", key.display()));
                let private = PrivateKeyDer::from_pem_file(key).map_err(|e| named(&e))?;
                let chain = certificates(certificate).map_err(|e| usage(&e))?;
                config.with_client_auth_cert(chain, private).map_err(|e| named(&e))?
            }
        };
        let name = ServerName::try_from(host.to_owned()).map_err(|e| usage(&e))?;
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        connector.connect(name, stream).await.map_err(|e| self.failed(&e))
    }

    async fn exchange<T>(&self, stream: T, method: Method, path: &str) -> Result<Answer, ClientError>
    where
        T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|e| self.failed(&e))?;
        let driver = tokio::spawn(connection);
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, self.target.host())
            .header(header::CONNECTION, "close");
        if let Some(token) = &self.credentials.token {
            let bearer = Zeroizing::new(format!("Bearer {}", **token));
            let mut authorisation = header::HeaderValue::from_str(&bearer)
                .map_err(|_| ClientError::Usage("the token has characters that no token has".into()))?;
            authorisation.set_sensitive(true);
            request = request.header(header::AUTHORIZATION, authorisation);
        }
        let request = request
            .body(Empty::<Bytes>::new())
            .map_err(|_| ClientError::Usage("the class or the id can't stand in a URL".into()))?;
        let response = sender.send_request(request).await.map_err(|e| self.failed(&e))?;
        let status: StatusCode = response.status();
        let body = Limited::new(response.into_body(), LONGEST)
            .collect()
            .await
            .map_err(|e| self.failed(&io::Error::other(e.to_string())))?
            .to_bytes();
        driver.abort();
        let body = String::from_utf8(body.to_vec()).map_err(|_| self.failed(&"the answer is not UTF-8"))?;
        Ok(Answer { status: status.as_u16(), body })
    }

    fn failed(&self, error: &dyn std::fmt::Display) -> ClientError {
        ClientError::Failed(format!("{}: {error}", self.target))
    }
}

impl Target {
    fn parse(url: &str) -> Result<Self, String> {
        if let Some(path) = url.strip_prefix("unix:") {
            return Ok(Self::Unix(path.into()));
        }
        let expected = || "expected http://host:port, https://host:port or unix:/path".to_owned();
        let uri: Uri = url.parse().map_err(|_| expected())?;
        let host = uri.host().ok_or_else(expected)?;
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(expected());
        }
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(expected()),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = uri.port_u16().unwrap_or(7400);
        let local = crate::config::Listen::Tcp { host: host.clone(), port }.is_local();
        if !tls && !local {
            return Err("clear HTTP would show the token to others on the way: use https://".into());
        }
        Ok(Self::Tcp { host, port, tls })
    }

    fn host(&self) -> String {
        match self {
            Self::Tcp { host, port, .. } if host.contains(':') => format!("[{host}]:{port}"),
            Self::Tcp { host, port, .. } => format!("{host}:{port}"),
            Self::Unix(_) => "localhost".into(),
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp { tls: true, .. } => write!(f, "https://{}", self.host()),
            Self::Tcp { .. } => write!(f, "http://{}", self.host()),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// The first certificate of a PEM file, in DER.
///
/// # Errors
/// It can't be read, or holds none.
pub fn certificate(path: &Path) -> io::Result<Vec<u8>> {
    let first = certificates(path)?.into_iter().next();
    first.map(|der| der.as_ref().to_vec()).ok_or_else(|| io::Error::other("holds no certificate"))
}

/// A path segment: everything but RFC 3986's unreserved characters is escaped.
pub fn segment(text: &str) -> String {
    use std::fmt::Write;
    text.bytes().fold(String::new(), |mut out, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_never_sent_in_clear_to_another_machine() {
        for url in ["http://10.0.0.1:7400", "http://db.example", "http://127.0.0.1.example:1"] {
            assert!(Target::parse(url).unwrap_err().contains("https"), "{url}");
        }
        assert!(Target::parse("http://127.0.0.1:7400/").is_ok());
        assert!(Target::parse("http://[::1]:7400").is_ok());
    }

    #[test]
    fn other_urls_are_refused() {
        for url in
            ["", "127.0.0.1:7400", "ftp://127.0.0.1", "http://127.0.0.1:7400/v1", "http://127.0.0.1?x=1"]
        {
            assert!(Target::parse(url).is_err(), "{url}");
        }
    }

    #[test]
    fn an_id_is_escaped_as_a_path_segment() {
        assert_eq!(segment("42"), "42");
        assert_eq!(segment("a/b c?é"), "a%2Fb%20c%3F%C3%A9");
    }
}
