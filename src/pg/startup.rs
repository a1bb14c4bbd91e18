//! From an accepted connection to one whose server is to let its user in: TLS, the start-up packet.

use super::login::{self, Roles, Who};
use super::net::backends::Backend;
use super::net::connect::Connector;
use super::net::duplex::{Duplex, Leg};
use super::net::stream::{Plain, Stream};
use super::net::tls::{ALPN, ServerTls};
use super::session::Failure;
use super::value::Settings;
use super::wire::WireError;
use super::wire::startup::{self, Startup};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio_rustls::TlsAcceptor;

/// How long a client may take up to the end of its authentication (as `authentication_timeout`).
pub(super) const LIMIT: Duration = Duration::from_secs(60);
/// First byte of a TLS handshake: TLS without an SSLRequest (Postgres 17).
const TLS_HANDSHAKE: u8 = 0x16;

/// What every connection of a listener passes through.
pub(super) struct Entrance {
    /// TLS towards clients.
    pub tls: Option<ServerTls>,
    /// Who may come in, where that is checked here.
    pub roles: Option<Roles>,
    /// The way to the server.
    pub connector: Connector,
}

/// A connection whose start-up is over: the server has said ReadyForQuery (which the client has not
/// been sent yet).
pub(super) struct Ready {
    pub io: Duplex,
    pub database: String,
    /// The user that the server let in, and what the client calls itself.
    pub user: String,
    pub application: String,
    pub settings: Settings,
    /// The server's process for it.
    pub backend: Option<Backend>,
}

/// Why there is no session.
pub(super) enum Refused {
    /// The connection is over; nothing to say (a cancel request, or a client that left).
    Over,
    /// The client is told this.
    Failure(Box<(Leg, Failure)>),
}

impl From<io::Error> for Refused {
    fn from(_: io::Error) -> Self {
        Self::Over
    }
}

pub(super) fn refuse(client: Leg, failure: Failure) -> Refused {
    Refused::Failure(Box::new((client, failure)))
}

/// What the client asked for.
struct Asked {
    packet: Vec<u8>,
    who: Who,
}

/// Brings a connection up to its first ReadyForQuery.
pub(super) async fn start(plain: Plain, entrance: &Entrance) -> Result<Ready, Refused> {
    let Entrance { tls, connector, .. } = entrance;
    let mut client = Leg::new(Stream::Plain(plain));
    let asked = loop {
        client.fill(1).await?;
        if client.input.bytes()[0] == TLS_HANDSHAKE {
            client = encrypt(client, tls.as_ref(), true).await?;
            continue;
        }
        let Some(packet) = read_packet(&mut client).await? else {
            let failure = malformed_startup();
            return Err(refuse(client, failure));
        };
        match startup::read(&packet[4..]) {
            Ok(Startup::Ssl) if tls.is_some() && !client.is_tls() => {
                client.output.push(b"S");
                client.flush().await?;
                client = encrypt(client, tls.as_ref(), false).await?;
            }
            Ok(Startup::Ssl | Startup::GssEnc) => {
                client.output.push(b"N");
                client.flush().await?;
            }
            Ok(Startup::Cancel { .. }) => {
                connector.cancel(&packet[8..], &packet).await;
                return Err(Refused::Over);
            }
            Ok(Startup::Session(session)) => {
                if let Some(failure) = refused_option(&session) {
                    return Err(refuse(client, failure));
                }
                if tls.as_ref().is_some_and(|tls| tls.required) && !client.is_tls() {
                    return Err(refuse(client, no_tls()));
                }
                let text = |name| session.get(name).map(|v| String::from_utf8_lossy(v).into_owned());
                let database = text("database").or_else(|| text("user")).unwrap_or_default();
                let user = text("user").unwrap_or_default();
                let application = text("application_name").unwrap_or_default();
                break Asked { packet, who: Who { database, user, application } };
            }
            Err(WireError::Version(major, minor)) => {
                let failure = Failure::new(
                    "08P01",
                    "protocol",
                    format!("paravent: unsupported protocol version {major}.{minor}"),
                    "connect with protocol 3.0 or 3.2",
                );
                return Err(refuse(client, failure));
            }
            Err(_) => {
                let failure = malformed_startup();
                return Err(refuse(client, failure));
            }
        }
    };
    let (server, host) = match connector.connect().await {
        Ok(reached) => (Leg::new(reached.stream), reached.host),
        Err(error) => {
            tracing::warn!(%error, "the database can't be reached");
            let failure = Failure::new(
                "08006",
                "backend-lost",
                "paravent: the database can't be reached",
                "see the gateway's log, and its upstream in paravent.toml",
            );
            return Err(refuse(client, failure));
        }
    };
    let mut io = Duplex { client, server };
    io.server.output.push(&asked.packet);
    login::authenticate(io, asked.who, host, entrance).await
}

/// Shakes hands; `direct` where nobody asked for it first.
async fn encrypt(leg: Leg, tls: Option<&ServerTls>, direct: bool) -> Result<Leg, Refused> {
    let Some(tls) = tls else {
        tracing::debug!("a client began TLS, and the listener has no certificate");
        return Err(Refused::Over);
    };
    // Bytes that came before the handshake would be bytes of a man in the middle (CVE-2021-23214).
    let early = leg.input.bytes().to_vec();
    if !early.is_empty() && early[0] != TLS_HANDSHAKE {
        return Err(Refused::Over);
    }
    let Stream::Plain(plain) = leg.into_stream() else { return Err(Refused::Over) };
    let plain = super::net::stream::Replay::new(early, plain);
    let stream = TlsAcceptor::from(Arc::clone(&tls.config)).accept(plain).await?;
    // Without the protocol's name, what a browser was made to send could be taken for a client's (as Postgres).
    if direct && stream.get_ref().1.alpn_protocol() != Some(ALPN) {
        tracing::debug!("a client began TLS at once without the protocol's name (ALPN)");
        return Err(Refused::Over);
    }
    Ok(Leg::new(Stream::TlsServer(Box::new(stream))))
}

/// A whole start-up packet, its length included; `None` when its length is no start-up packet's.
async fn read_packet(client: &mut Leg) -> io::Result<Option<Vec<u8>>> {
    client.fill(4).await?;
    let Ok(Some(length)) = startup::length(client.input.bytes()) else { return Ok(None) };
    client.fill(length).await?;
    let packet = client.input.bytes()[..length].to_vec();
    client.input.consume(length);
    Ok(Some(packet))
}

fn malformed_startup() -> Failure {
    Failure::new(
        "08P01",
        "protocol",
        "paravent: invalid length or content of the start-up packet",
        "connect with a Postgres client",
    )
}

fn no_tls() -> Failure {
    Failure::new(
        "28000",
        "tls",
        "paravent: this listener takes TLS connections only",
        "connect with sslmode=require, or offer TLS only (mode = \"offer\")",
    )
}

fn refused_option(session: &startup::Session<'_>) -> Option<Failure> {
    let replication = session.get("replication")?;
    let off = [&b"false"[..], b"off", b"no", b"0"].iter().any(|off| replication.eq_ignore_ascii_case(off));
    (!off).then(|| {
        Failure::new(
            "0A000",
            "replication",
            "paravent: replication connections are refused",
            "a replica holds envelopes only: connect it to the database itself",
        )
    })
}
