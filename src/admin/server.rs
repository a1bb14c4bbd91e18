//! The admin listener: TCP or a Unix socket, with or without TLS, HTTP/1.1.

use super::api::{Shared, router};
use super::backend::Backend;
use super::guard::Fingerprint;
use super::idempotency::Idempotency;
use super::limit::Limiter;
use super::tokens::TokenFile;
use crate::config::{Admin, Listen, TlsFiles};
use crate::crypto::sha256;
use crate::telemetry::Recorder;
use axum::{Extension, Router};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use parking_lot::RwLock;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// Admin connections at once; further ones wait.
const CONNECTIONS: usize = 128;
/// For a TLS handshake, and for a request's head.
const PATIENCE: Duration = Duration::from_secs(10);

/// What `/readyz` tells. Cheap to clone; clones share one state.
#[derive(Clone, Default)]
pub struct Health(Arc<HealthInner>);

/// Something that may need to be said.
type Warning = Box<dyn Fn() -> Option<String> + Send + Sync>;

#[derive(Default)]
struct HealthInner {
    accepts: AtomicBool,
    policy: RwLock<String>,
    warnings: RwLock<Vec<String>>,
    /// Asked each time: what is a warning now, and may be none later.
    asked: RwLock<Vec<Warning>>,
    roots: RwLock<Option<String>>,
}

impl Health {
    /// Every listener accepts (or none does any more).
    pub fn set_accepts(&self, accepts: bool) {
        self.0.accepts.store(accepts, Ordering::Release);
    }

    /// Names the policy in force, by its hash.
    pub fn set_policy(&self, hash: [u8; 32]) {
        *self.0.policy.write() = hex::encode(hash);
    }

    /// Adds something that an operator should know and that doesn't stop the gateway.
    pub fn warn(&self, warning: impl Into<String>) {
        self.0.warnings.write().push(warning.into());
    }

    /// Asks for a warning each time that somebody looks.
    pub fn ask(&self, warning: impl Fn() -> Option<String> + Send + Sync + 'static) {
        self.0.asked.write().push(Box::new(warning));
    }

    /// Why the root keys can't be reached, or that they can; whether they could not before.
    pub fn set_roots(&self, why: Option<String>) -> bool {
        std::mem::replace(&mut *self.0.roots.write(), why).is_some()
    }

    /// `ok`, or why the root keys can't be reached.
    pub(super) fn roots(&self) -> String {
        self.0.roots.read().clone().unwrap_or_else(|| "ok".to_owned())
    }

    pub(super) fn accepts(&self) -> bool {
        self.0.accepts.load(Ordering::Acquire)
    }

    pub(super) fn policy(&self) -> String {
        self.0.policy.read().clone()
    }

    pub(super) fn warnings(&self) -> Vec<String> {
        let asked = self.0.asked.read().iter().filter_map(|ask| ask()).collect::<Vec<_>>();
        self.0.warnings.read().iter().cloned().chain(asked).collect()
    }
}

enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// A bound admin listener. Connections wait in its backlog until [`Server::serve`].
pub struct Server {
    socket: Socket,
    tls: Option<TlsAcceptor>,
    tokens: TokenFile,
    per_second: u32,
    /// Where it listens, as `listening admin …` prints it.
    pub address: String,
}

/// Binds the listener.
///
/// # Errors
/// An address that can't be bound; certificate files that can't be read; a token file that is there
/// and can't be used.
pub async fn bind(config: &Admin) -> io::Result<Server> {
    let invalid = |message: String| io::Error::new(io::ErrorKind::InvalidInput, message);
    let tls = config.tls.as_ref().map(acceptor).transpose()?;
    let tokens = TokenFile::new(config.tokens.clone());
    if tokens.count().map_err(|error| invalid(error.to_string()))? == 0 {
        tracing::warn!(file = %config.tokens.display(), "no admin token: `paravent admin token` makes one");
    }
    let failed =
        |error: io::Error| io::Error::new(error.kind(), format!("admin: {}: {error}", config.listen));
    let (socket, address) = match &config.listen {
        Listen::Tcp { host, port } => {
            let listener = TcpListener::bind((host.as_str(), *port)).await.map_err(failed)?;
            let address = listener.local_addr()?.to_string();
            (Socket::Tcp(listener), address)
        }
        Listen::Unix(path) => {
            remove_stale(path).await.map_err(failed)?;
            (Socket::Unix(UnixListener::bind(path).map_err(failed)?), config.listen.to_string())
        }
    };
    Ok(Server { socket, tls, tokens, per_second: config.requests_per_second, address })
}

/// Removes a socket that nobody listens on any more (a kill left it), and nothing else.
async fn remove_stale(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::FileTypeExt;
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|m| m.file_type().is_socket());
    if is_socket && tokio::net::UnixStream::connect(path).await.is_err() {
        std::fs::remove_file(path)?;
    }
    Ok(())
}

impl Server {
    /// Answers requests until `shutdown` turns true; then lets open ones end.
    pub async fn serve(
        self,
        backend: Arc<dyn Backend>,
        health: Health,
        metrics: Recorder,
        mut shutdown: watch::Receiver<bool>,
    ) {
        let (tokens, limiter) = (self.tokens.clone(), Limiter::new(self.per_second));
        let idempotency = Idempotency::default();
        let app = router(Arc::new(Shared { backend, tokens, limiter, idempotency, health, metrics }));
        let permits = Arc::new(Semaphore::new(CONNECTIONS));
        let mut open = JoinSet::new();
        loop {
            let Ok(permit) = permits.clone().acquire_owned().await else { break };
            let stream = tokio::select! {
                _ = shutdown.wait_for(|stop| *stop) => break,
                stream = self.accept() => stream,
            };
            let stream = match stream {
                Ok(stream) => stream,
                Err(error) => {
                    tracing::warn!(%error, "admin: a connection could not be accepted");
                    // Out of file descriptors: one closes before another opens.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            let (app, tls, stop) = (app.clone(), self.tls.clone(), shutdown.clone());
            open.spawn(async move {
                connection(stream, tls, app, stop).await;
                drop(permit);
            });
            while open.try_join_next().is_some() {}
        }
        while open.join_next().await.is_some() {}
    }

    async fn accept(&self) -> io::Result<Box<dyn Stream>> {
        Ok(match &self.socket {
            Socket::Tcp(listener) => Box::new(listener.accept().await?.0),
            Socket::Unix(listener) => Box::new(listener.accept().await?.0),
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let (Socket::Unix(_), Some(path)) = (&self.socket, self.address.strip_prefix("unix:")) {
            let _ = std::fs::remove_file(path);
        }
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

async fn connection(
    stream: Box<dyn Stream>,
    tls: Option<TlsAcceptor>,
    app: Router,
    shutdown: watch::Receiver<bool>,
) {
    let Some(tls) = tls else {
        return requests(stream, app.layer(Extension(Fingerprint(None))), shutdown).await;
    };
    match tokio::time::timeout(PATIENCE, tls.accept(stream)).await {
        Ok(Ok(stream)) => {
            let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
            let fingerprint = Fingerprint(shown.map(|der| sha256(&[der.as_ref()])));
            requests(stream, app.layer(Extension(fingerprint)), shutdown).await;
        }
        Ok(Err(error)) => tracing::debug!(%error, "admin: TLS failed"),
        Err(_) => tracing::debug!("admin: TLS took too long"),
    }
}

async fn requests(stream: impl Stream + 'static, app: Router, mut shutdown: watch::Receiver<bool>) {
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_buf_size(64 * 1024)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(app));
    let mut connection = std::pin::pin!(connection);
    let stopped = async { shutdown.wait_for(|stop| *stop).await.map(drop) };
    let early = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        _ = stopped => None,
    };
    let ended = match early {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "admin: a connection ended early");
    }
}

fn acceptor(files: &TlsFiles) -> io::Result<TlsAcceptor> {
    let invalid = |path: &Path, error: &dyn std::fmt::Display| {
        io::Error::new(io::ErrorKind::InvalidInput, format!("{}: {error}", path.display()))
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| invalid(&files.cert, &error))?;
    let builder = match &files.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = rustls::RootCertStore::empty();
            for certificate in certificates(path)? {
                roots.add(certificate).map_err(|error| invalid(path, &error))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .build()
                .map_err(|error| invalid(path, &error))?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| invalid(&files.key, &error))?;
    let mut config = builder
        .with_single_cert(certificates(&files.cert)?, key)
        .map_err(|error| invalid(&files.cert, &error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// The certificates of a PEM file; at least one.
pub(super) fn certificates(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let invalid = |error: &dyn std::fmt::Display| {
        io::Error::new(io::ErrorKind::InvalidInput, format!("{}: {error}", path.display()))
    };
    let found: Vec<_> = CertificateDer::pem_file_iter(path)
        .map_err(|error| invalid(&error))?
        .collect::<Result<_, _>>()
        .map_err(|error| invalid(&error))?;
    if found.is_empty() { Err(invalid(&"holds no certificate")) } else { Ok(found) }
}
