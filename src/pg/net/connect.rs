//! Connections to the server, or to one of several: for clients, for cancel requests, and the gateway's own login.

use super::backends::{Backend, Backends};
use super::host::{Probe, State};
use super::stream::{Plain, Stream};
use super::tls::{self, ALPN};
use crate::config::{Address, Target, Upstream};
use futures_util::future::join_all;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_postgres::SimpleQueryMessage;

/// SSLRequest (Postgres 55.2.11).
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// How to reach the server; made once per listener.
#[derive(Clone)]
pub struct Connector {
    upstream: Arc<Upstream>,
    tls: Option<Arc<ClientConfig>>,
    hosts: Arc<[Host]>,
    /// Where the next connection begins, with `load_balance_hosts`.
    turn: Arc<AtomicUsize>,
    backends: Backends,
}

/// One of the servers.
struct Host {
    address: Address,
    /// As `backends` knows it.
    name: Box<str>,
    probe: Probe,
}

/// A fresh connection, and to which of the servers.
pub struct Reached {
    /// TLS done, nothing else said.
    pub stream: Stream,
    /// Number of the server.
    pub host: usize,
}

/// The gateway's own login on one of the servers. It ends when this is dropped.
pub struct Login {
    client: tokio_postgres::Client,
    host: usize,
    /// Of the kind that was wanted first, where there is a choice.
    first_choice: bool,
}

impl Login {
    pub(super) fn client(&self) -> &tokio_postgres::Client {
        &self.client
    }

    /// Whether it may be kept: where only a second choice was to be had, the first may be back.
    pub fn lasts(&self) -> bool {
        self.first_choice && !self.client.is_closed()
    }
}

impl Connector {
    /// Reads certificates.
    ///
    /// # Errors
    /// As [`tls::client`].
    pub fn new(upstream: Upstream) -> io::Result<Self> {
        let tls = tls::client(&upstream)?;
        let host = |address: &Address| Host {
            address: address.clone(),
            name: format!("{address:?}").into(),
            probe: Probe::default(),
        };
        let hosts = upstream.hosts.iter().map(host).collect();
        let (turn, backends) = (Arc::default(), Backends::default());
        Ok(Self { upstream: Arc::new(upstream), tls, hosts, turn, backends })
    }

    /// The same, whose connections are counted among those.
    #[must_use]
    pub fn counted_by(self, backends: &Backends) -> Self {
        Self { backends: backends.clone(), ..self }
    }

    /// A client's connection to that server is open: the body of its BackendKeyData, and the process in it.
    pub fn register(&self, host: usize, pid: i32, key: &[u8]) -> Option<Backend> {
        self.hosts.get(host).map(|host| self.backends.register_client(&host.name, pid, key))
    }

    /// The processes that serve open connections to that login's server.
    pub fn registered(&self, login: &Login) -> HashSet<i32> {
        self.hosts.get(login.host).map(|host| self.backends.of(&host.name)).unwrap_or_default()
    }

    /// What sessions of clients must be on; [`Target::Any`] where any will do.
    pub fn target(&self) -> Target {
        self.upstream.target
    }

    /// A fresh connection for a client, to the first server that is there and is what `target_session_attrs` asks for.
    ///
    /// # Errors
    /// None can be reached, refuses no TLS, shows a certificate that holds, and is of that kind.
    pub async fn connect(&self) -> io::Result<Reached> {
        let kinds: &[Target] = match self.upstream.target {
            Target::PreferStandby => &[Target::Standby, Target::Any],
            Target::Any => &[Target::Any],
            Target::ReadWrite => &[Target::ReadWrite],
            Target::ReadOnly => &[Target::ReadOnly],
            Target::Primary => &[Target::Primary],
            Target::Standby => &[Target::Standby],
        };
        let mut failed = Vec::new();
        for kind in kinds {
            for host in self.order() {
                match self.reach(host, *kind).await {
                    Ok(stream) => return Ok(Reached { stream, host }),
                    Err(error) => failed.push((host, error)),
                }
            }
        }
        Err(self.told(failed))
    }

    /// The order in which servers are tried.
    fn order(&self) -> impl Iterator<Item = usize> + use<> {
        let count = self.hosts.len();
        let first = if self.upstream.balance { self.turn.fetch_add(1, Ordering::Relaxed) } else { 0 };
        (0..count).map(move |n| (first + n) % count)
    }

    /// One error for all of them.
    fn told(&self, mut failed: Vec<(usize, io::Error)>) -> io::Error {
        if self.hosts.len() == 1
            && let Some((_, only)) = failed.pop()
        {
            return only;
        }
        let each = failed
            .iter()
            .filter_map(|(host, error)| Some(format!("{}: {error}", self.hosts.get(*host)?.address)));
        io::Error::other(each.collect::<Vec<_>>().join("; "))
    }

    /// A connection to that server, if it is of that kind.
    async fn reach(&self, host: usize, kind: Target) -> io::Result<Stream> {
        // Of several, one that takes nobody's log-in is as good as gone, even if it accepts connections.
        if kind != Target::Any || self.hosts.len() > 1 {
            let known = self.hosts.get(host).ok_or(io::ErrorKind::NotFound)?;
            let Upstream { database, connect_timeout, .. } = &*self.upstream;
            let state = known.probe.ask(*connect_timeout, || self.log_in(host, database)).await?;
            if !state.fits(kind) {
                return Err(io::Error::other(state.told()));
            }
        }
        self.open(host).await
    }

    async fn open(&self, host: usize) -> io::Result<Stream> {
        let address = &self.hosts.get(host).ok_or(io::ErrorKind::NotFound)?.address;
        let opened = timeout(self.upstream.connect_timeout, self.open_address(address));
        opened.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    async fn open_address(&self, address: &Address) -> io::Result<Stream> {
        let mut plain = match address {
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
        if !self.upstream.direct {
            plain.write_all(&SSL_REQUEST).await?;
            let mut answer = [0];
            plain.read_exact(&mut answer).await?;
            if answer[0] != b'S' {
                return Err(io::Error::other("the server does not accept TLS, and sslmode demands it"));
            }
        }
        let host = match address {
            Address::Tcp { host, .. } => host.clone(),
            Address::Unix { .. } => "localhost".into(),
        };
        let name = ServerName::try_from(host).map_err(io::Error::other)?;
        let stream = tokio_rustls::TlsConnector::from(Arc::clone(tls)).connect(name, plain).await?;
        // Who doesn't name the protocol may speak another one.
        if self.upstream.direct && stream.get_ref().1.alpn_protocol() != Some(ALPN) {
            return Err(io::Error::other("the server does not take TLS at once (sslnegotiation=direct)"));
        }
        Ok(Stream::TlsClient(Box::new(stream)))
    }

    /// Passes a CancelRequest on, to the server that gave its key: `key` is BackendKeyData's body. A key of another
    /// gateway's client goes to all of them; who doesn't know it does nothing.
    pub async fn cancel(&self, key: &[u8], packet: &[u8]) {
        let known = self.backends.server_of(key);
        let own = self.hosts.iter().position(|host| known.as_ref() == Some(&host.name));
        let hosts = match own {
            Some(host) => host..host + 1,
            None => 0..self.hosts.len(),
        };
        join_all(hosts.map(|host| self.cancel_at(host, packet))).await;
    }

    async fn cancel_at(&self, host: usize, packet: &[u8]) {
        if let Ok(mut stream) = self.open(host).await
            && stream.write_all(packet).await.is_ok()
            && stream.flush().await.is_ok()
        {
            // The server closes once it has signalled; the client waits for that.
            let mut rest = [0; 16];
            let _ = stream.read(&mut rest).await;
        }
    }

    /// The gateway's own login to `database`, on a server that takes writes where there is one: what is read there is
    /// what is, and not what was a moment ago.
    ///
    /// # Errors
    /// As [`Connector::connect`], or the login is refused.
    pub async fn own_login(&self, database: &str) -> io::Result<Login> {
        let kinds: &[Target] = match self.upstream.target {
            Target::ReadWrite => &[Target::ReadWrite],
            Target::Primary => &[Target::Primary],
            Target::Any if self.hosts.len() == 1 => &[Target::Any],
            _ => &[Target::Primary, Target::Any],
        };
        let mut failed = Vec::new();
        for (n, kind) in kinds.iter().enumerate() {
            for host in 0..self.hosts.len() {
                match self.own_login_at(host, database, *kind).await {
                    Ok(login) => return Ok(Login { first_choice: n == 0, ..login }),
                    Err(error) => failed.push((host, error)),
                }
            }
        }
        Err(self.told(failed))
    }

    async fn own_login_at(&self, host: usize, database: &str, kind: Target) -> io::Result<Login> {
        let login = self.log_in(host, database).await?;
        if kind != Target::Any {
            let state = timeout(self.upstream.connect_timeout, State::of(&login)).await;
            let state = state.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
            if !state.fits(kind) {
                return Err(io::Error::other(state.told()));
            }
        }
        Ok(login)
    }

    async fn log_in(&self, host: usize, database: &str) -> io::Result<Login> {
        let late = || io::Error::from(io::ErrorKind::TimedOut);
        let patience = self.upstream.connect_timeout;
        let stream = self.open(host).await?;
        let mut config = tokio_postgres::Config::new();
        config.user(&self.upstream.user).dbname(database).application_name("paravent");
        config.ssl_mode(tokio_postgres::config::SslMode::Disable);
        if let Some(password) = &self.upstream.password {
            config.password(password.reveal());
        }
        let login = config.connect_raw(stream, tokio_postgres::NoTls);
        let (client, connection) = timeout(patience, login)
            .await
            .map_err(|_| late())?
            .map_err(|e| io::Error::other(describe(&e)))?;
        let (known, backend) = oneshot::channel();
        tokio::spawn(async move {
            if let Err(e) = connection.await {
                tracing::debug!(error = %describe(&e), "the gateway's own connection ended");
            }
            drop(backend);
        });
        let asked = timeout(patience, client.simple_query("SELECT pg_catalog.pg_backend_pid()")).await;
        let answer = asked.map_err(|_| late())?.map_err(|e| io::Error::other(describe(&e)))?;
        let pid = answer.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0)?.parse().ok(),
            _ => None,
        });
        if let (Some(pid), Some(host)) = (pid, self.hosts.get(host)) {
            // Kept by the connection, for as long as it lives.
            let _ = known.send(self.backends.register(&host.name, pid));
        }
        Ok(Login { client, host, first_choice: true })
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
