//! Connections to the server: for clients, for cancel requests, and the gateway's own login.

use super::backends::{Backend, Backends};
use super::stream::{Plain, Stream};
use super::tls;
use crate::config::{Address, Upstream};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_postgres::SimpleQueryMessage;

/// How long the server may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// SSLRequest (Postgres 55.2.11).
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// How to reach the server; made once per listener.
#[derive(Clone)]
pub struct Connector {
    upstream: Arc<Upstream>,
    tls: Option<Arc<ClientConfig>>,
    /// The server, as `backends` knows it.
    server: Arc<str>,
    backends: Backends,
}

impl Connector {
    /// Reads the root certificates.
    ///
    /// # Errors
    /// As [`tls::client`].
    pub fn new(upstream: Upstream) -> io::Result<Self> {
        let tls = tls::client(upstream.sslmode, upstream.sslrootcert.as_deref())?;
        let server = format!("{:?}", upstream.address).into();
        Ok(Self { upstream: Arc::new(upstream), tls, server, backends: Backends::default() })
    }

    /// The same, whose connections are counted among those.
    #[must_use]
    pub fn counted_by(self, backends: &Backends) -> Self {
        Self { backends: backends.clone(), ..self }
    }

    /// A connection of this server is open, served by that process.
    pub fn register(&self, pid: i32) -> Backend {
        self.backends.register(&self.server, pid)
    }

    /// The processes that serve open connections to this server.
    pub fn registered(&self) -> HashSet<i32> {
        self.backends.of(&self.server)
    }

    /// A fresh connection, TLS done, nothing else said.
    ///
    /// # Errors
    /// The server can't be reached, refuses TLS, or shows a certificate that doesn't hold.
    pub async fn connect(&self) -> io::Result<Stream> {
        timeout(CONNECT, self.open()).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    async fn open(&self) -> io::Result<Stream> {
        let mut plain = match &self.upstream.address {
            Address::Tcp { host, port } => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                stream.set_nodelay(true)?;
                Plain::Tcp(stream)
            }
            Address::Unix { dir, port } => {
                Plain::Unix(UnixStream::connect(dir.join(format!(".s.PGSQL.{port}"))).await?)
            }
        };
        let Some(tls) = &self.tls else { return Ok(Stream::Plain(plain)) };
        plain.write_all(&SSL_REQUEST).await?;
        let mut answer = [0];
        plain.read_exact(&mut answer).await?;
        if answer[0] != b'S' {
            return Err(io::Error::other("the server does not accept TLS, and sslmode demands it"));
        }
        let host = match &self.upstream.address {
            Address::Tcp { host, .. } => host.clone(),
            Address::Unix { .. } => "localhost".into(),
        };
        let name = ServerName::try_from(host).map_err(io::Error::other)?;
        let stream = tokio_rustls::TlsConnector::from(Arc::clone(tls)).connect(name, plain).await?;
        Ok(Stream::TlsClient(Box::new(stream)))
    }

    /// The gateway's own login to `database`. The connection ends when the client is dropped.
    ///
    /// # Errors
    /// As [`Connector::connect`], or the login is refused.
    pub async fn own_login(&self, database: &str) -> io::Result<tokio_postgres::Client> {
        let stream = self.connect().await?;
        let mut config = tokio_postgres::Config::new();
        config.user(&self.upstream.user).dbname(database).application_name("paravent");
        config.ssl_mode(tokio_postgres::config::SslMode::Disable);
        if let Some(password) = &self.upstream.password {
            config.password(password.reveal());
        }
        let login = config.connect_raw(stream, tokio_postgres::NoTls);
        let (client, connection) = timeout(CONNECT, login)
            .await
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
            .map_err(|e| io::Error::other(describe(&e)))?;
        let (known, backend) = oneshot::channel();
        tokio::spawn(async move {
            if let Err(e) = connection.await {
                tracing::debug!(error = %describe(&e), "the gateway's own connection ended");
            }
            drop(backend);
        });
        let asked = timeout(CONNECT, client.simple_query("SELECT pg_catalog.pg_backend_pid()")).await;
        let answer = asked
            .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
            .map_err(|e| io::Error::other(describe(&e)))?;
        let pid = answer.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0)?.parse().ok(),
            _ => None,
        });
        if let Some(pid) = pid {
            // Kept by the connection, for as long as it lives.
            let _ = known.send(self.register(pid));
        }
        Ok(client)
    }

    /// The gateway's own database (what `check` reads).
    pub fn database(&self) -> &str {
        &self.upstream.database
    }

    /// Its user.
    pub fn user(&self) -> &str {
        &self.upstream.user
    }
}

/// An error of the server in one line: its SQLSTATE and message.
pub fn describe(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(db) => format!("{} ({})", db.message(), db.code().code()),
        None => error.to_string(),
    }
}

/// The same for a statement that touches data: what the server says where that can only name things of the
/// schema or the server's state, else its code alone. A message about data may quote it.
pub fn describe_without_data(error: &tokio_postgres::Error) -> String {
    match error.code().map(tokio_postgres::error::SqlState::code) {
        Some(code) if !quotes_no_data(code) => format!("the database refused it ({code})"),
        _ => describe(error),
    }
}

/// Connection, log-in, unknown database, names and rights, resources, intervention, system (appendix A).
fn quotes_no_data(code: &str) -> bool {
    matches!(code.get(..2), Some("08" | "28" | "3D" | "42" | "53" | "57" | "58"))
}
