//! One POST over HTTP/1.1, with TLS or to this machine: for providers that are services. Blocks.

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::{Request, Uri, header};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

const PATIENCE: Duration = Duration::from_secs(20);
const LONGEST: usize = 1 << 20;

/// Why there is no answer.
pub(super) struct HttpError(pub(super) String);

/// A service.
pub struct Endpoint {
    host: String,
    port: u16,
    authority: String,
    tls: Option<Arc<rustls::ClientConfig>>,
}

impl Endpoint {
    /// `https://host[:port]` with the roots in a PEM file, or `http://` to this machine only.
    ///
    /// # Errors
    /// One line.
    pub fn new(url: &str, roots: Option<&Path>) -> Result<Self, String> {
        let expected = || format!("expected https://host, not {url}");
        let uri: Uri = url.parse().map_err(|_| expected())?;
        let (host, authority) = (uri.host().ok_or_else(expected)?, uri.authority().ok_or_else(expected)?);
        let local = matches!(host, "127.0.0.1" | "localhost" | "[::1]");
        let (port, tls) = match (uri.scheme_str(), roots) {
            (Some("https"), Some(roots)) => (443, Some(client(roots)?)),
            (Some("https"), None) => return Err("https needs a file of roots (ca=)".into()),
            (Some("http"), _) if local => (80, None),
            (Some("http"), _) => {
                return Err("clear HTTP would show keys to others on the way: use https://".into());
            }
            _ => return Err(expected()),
        };
        let port = uri.port_u16().unwrap_or(port);
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self { host, port, authority: authority.to_string(), tls })
    }

    /// As the `Host` header names it.
    pub(super) fn authority(&self) -> &str {
        &self.authority
    }

    /// Status and body of the answer.
    pub(super) fn post(&self, headers: &[(&str, &str)], body: &[u8]) -> Result<(u16, Bytes), HttpError> {
        let mut request = Request::post("/").header(header::CONNECTION, "close");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = Bytes::copy_from_slice(body);
        let request = request.body(Full::new(body)).map_err(|e| self.failed(&e))?;
        // A thread of its own: the caller may be on a runtime, which must not be entered twice.
        let asked = std::thread::scope(|scope| scope.spawn(|| self.block_on(request)).join());
        asked.unwrap_or_else(|_| Err(self.failed(&"the request stopped unexpectedly")))
    }

    fn block_on(&self, request: Request<Full<Bytes>>) -> Result<(u16, Bytes), HttpError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|e| self.failed(&e))?;
        runtime.block_on(async {
            let answer = tokio::time::timeout(PATIENCE, self.exchange(request)).await;
            answer.unwrap_or_else(|_| Err(self.failed(&"no answer in 20 s")))
        })
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<(u16, Bytes), HttpError> {
        let stream =
            TcpStream::connect((self.host.as_str(), self.port)).await.map_err(|e| self.failed(&e))?;
        let Some(tls) = &self.tls else { return self.send(stream, request).await };
        let name = ServerName::try_from(self.host.clone()).map_err(|e| self.failed(&e))?;
        let connector = tokio_rustls::TlsConnector::from(tls.clone());
        let stream = connector.connect(name, stream).await.map_err(|e| self.failed(&e))?;
        self.send(stream, request).await
    }

    async fn send<T>(&self, stream: T, request: Request<Full<Bytes>>) -> Result<(u16, Bytes), HttpError>
    where
        T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|e| self.failed(&e))?;
        tokio::spawn(connection);
        let answer = sender.send_request(request).await.map_err(|e| self.failed(&e))?;
        let status = answer.status().as_u16();
        let body = Limited::new(answer.into_body(), LONGEST).collect().await.map_err(|e| self.failed(&e))?;
        Ok((status, body.to_bytes()))
    }

    fn failed(&self, error: &dyn std::fmt::Display) -> HttpError {
        HttpError(format!("{}: {error}", self.authority))
    }
}

fn client(roots: &Path) -> Result<Arc<rustls::ClientConfig>, String> {
    let wrong = |error: &dyn std::fmt::Display| format!("{}: {error}", roots.display());
    let mut store = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(roots).map_err(|e| wrong(&e))? {
        // A system's bundle may hold roots that this library does not take: the others serve.
        let _ = store.add(certificate.map_err(|e| wrong(&e))?);
    }
    if store.is_empty() {
        return Err(wrong(&"holds no certificate"));
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| wrong(&e))?
        .with_root_certificates(store)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
