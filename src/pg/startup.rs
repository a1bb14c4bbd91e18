//! From an accepted connection to a session: TLS, the start-up packet, authentication passed through.

use super::net::backends::Backend;
use super::net::connect::Connector;
use super::net::duplex::{Duplex, Leg};
use super::net::stream::{Plain, Stream};
use super::session::{Failure, follow};
use super::value::Settings;
use super::wire::frame::{self, HEADER};
use super::wire::simple::{read_backend_key, read_parameter_status};
use super::wire::startup::{self, Startup};
use super::wire::{WireError, error};
use rustls::ServerConfig;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio_rustls::TlsAcceptor;

/// How long a client may take up to the end of its authentication (as `authentication_timeout`).
pub(super) const LIMIT: Duration = Duration::from_secs(60);
/// First byte of a TLS handshake: TLS without an SSLRequest (Postgres 17).
const TLS_HANDSHAKE: u8 = 0x16;
/// Messages during authentication are short.
const AUTH_LIMIT: usize = 256 * 1024;

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

fn refuse(client: Leg, failure: Failure) -> Refused {
    Refused::Failure(Box::new((client, failure)))
}

/// What the client asked for.
struct Asked {
    packet: Vec<u8>,
    who: Who,
}

/// Who asks, by its own words: the server checks the user.
struct Who {
    database: String,
    user: String,
    application: String,
}

/// Brings a connection up to its first ReadyForQuery.
pub(super) async fn start(
    plain: Plain,
    tls: Option<&Arc<ServerConfig>>,
    connector: &Connector,
) -> Result<Ready, Refused> {
    let mut client = Leg::new(Stream::Plain(plain));
    let asked = loop {
        client.fill(1).await?;
        if client.input.bytes()[0] == TLS_HANDSHAKE {
            client = encrypt(client, tls).await?;
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
                client = encrypt(client, tls).await?;
            }
            Ok(Startup::Ssl | Startup::GssEnc) => {
                client.output.push(b"N");
                client.flush().await?;
            }
            Ok(Startup::Cancel { .. }) => {
                cancel(connector, &packet).await;
                return Err(Refused::Over);
            }
            Ok(Startup::Session(session)) => {
                if let Some(failure) = refused_option(&session) {
                    return Err(refuse(client, failure));
                }
                if tls.is_some() && !client.is_tls() {
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
    let server = match connector.connect().await {
        Ok(stream) => Leg::new(stream),
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
    authenticate(io, asked.who, connector).await
}

async fn encrypt(leg: Leg, tls: Option<&Arc<ServerConfig>>) -> Result<Leg, Refused> {
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
    let stream = TlsAcceptor::from(Arc::clone(tls)).accept(plain).await?;
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

/// Passes a cancel request on. The key is the server's own, so it needs no table here.
async fn cancel(connector: &Connector, packet: &[u8]) {
    if let Ok(mut stream) = connector.connect().await
        && stream.write_all(packet).await.is_ok()
        && stream.flush().await.is_ok()
    {
        // The server closes once it has signalled; the client waits for that.
        let mut rest = [0; 16];
        let _ = tokio::io::AsyncReadExt::read(&mut stream, &mut rest).await;
    }
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
        "connect with sslmode=require",
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

/// Passes authentication through until the server is ready.
async fn authenticate(mut io: Duplex, who: Who, connector: &Connector) -> Result<Ready, Refused> {
    let mut backend = None;
    let mut settings = Settings {
        date_style: "ISO, MDY".into(),
        time_zone: "UTC".into(),
        bytea_escape: false,
        charset: None,
    };
    loop {
        while let Some((tag, frame)) = next_frame(&mut io.server) {
            match (tag, frame) {
                (_, Err(failure)) => return Err(refuse(io.client, failure)),
                (b'R', Ok(frame)) => {
                    let strip = io.client.is_tls() != io.server.is_tls();
                    io.client.output.push(&if strip { without_plus(&frame) } else { frame });
                }
                (b'S', Ok(frame)) => {
                    let (name, value) = match read_parameter_status(&frame[HEADER..]) {
                        Ok(pair) => pair,
                        Err(e) => return Err(refuse(io.client, Failure::malformed(&e))),
                    };
                    if let Err(failure) = follow(&mut settings, name, value) {
                        return Err(refuse(io.client, failure));
                    }
                    io.client.output.push(&frame);
                }
                (b'K', Ok(frame)) => {
                    backend = read_backend_key(&frame[HEADER..]).ok().map(|(pid, _)| connector.register(pid));
                    io.client.output.push(&frame);
                }
                (b'Z', Ok(_)) => {
                    let Who { database, user, application } = who;
                    return Ok(Ready { io, database, user, application, settings, backend });
                }
                (b'E', Ok(frame)) => {
                    io.client.output.push(&frame);
                    let _ = error::code(&frame[HEADER..]);
                    io.client.close().await;
                    return Err(Refused::Over);
                }
                (_, Ok(frame)) => io.client.output.push(&frame),
            }
        }
        while let Some((tag, frame)) = next_frame(&mut io.client) {
            match (tag, frame) {
                // Passwords and SASL answers; nothing else may come before ReadyForQuery.
                (b'p', Ok(frame)) => io.server.output.push(&frame),
                (b'X', Ok(_)) => return Err(Refused::Over),
                (_, Err(failure)) => return Err(refuse(io.client, failure)),
                (_, Ok(_)) => {
                    let failure = Failure::malformed(&WireError::Malformed(
                        "start-up",
                        "a message before authentication",
                    ));
                    return Err(refuse(io.client, failure));
                }
            }
        }
        if let Err(ended) = io.turn(super::net::duplex::Read::Both).await {
            if ended.side == super::net::duplex::Side::Server {
                return Err(refuse(io.client, Failure::backend_lost()));
            }
            return Err(Refused::Over);
        }
    }
}

/// The next whole message of a leg, taken out of its buffer.
fn next_frame(leg: &mut Leg) -> Option<(u8, Result<Vec<u8>, Failure>)> {
    let header = match frame::header(leg.input.bytes(), AUTH_LIMIT) {
        Ok(header) => header?,
        Err(e) => return Some((0, Err(Failure::malformed(&e)))),
    };
    if leg.input.len() < header.total() {
        leg.input.reserve(header.total());
        return None;
    }
    let frame = leg.input.bytes()[..header.total()].to_vec();
    leg.input.consume(header.total());
    Some((header.tag, Ok(frame)))
}

/// Takes SCRAM-SHA-256-PLUS out of AuthenticationSASL: where only one leg has TLS there is no channel
/// that both ends see, and a client that bound to ours would be refused.
fn without_plus(frame: &[u8]) -> Vec<u8> {
    const SASL: [u8; 4] = [0, 0, 0, 10];
    const PLUS: &[u8] = b"SCRAM-SHA-256-PLUS";
    let Some(list) = frame[HEADER..].strip_prefix(&SASL) else { return frame.to_vec() };
    let mut out = Vec::with_capacity(frame.len());
    let begun = frame::begin(&mut out, b'R');
    out.extend_from_slice(&SASL);
    for mechanism in list.split(|b| *b == 0).filter(|m| !m.is_empty() && *m != PLUS) {
        frame::cstr(&mut out, mechanism);
    }
    out.push(0);
    if frame::finish(&mut out, begun).is_err() {
        return frame.to_vec();
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_only_plus_out_of_the_offer() {
        let mut offer = vec![b'R', 0, 0, 0, 42, 0, 0, 0, 10];
        offer.extend_from_slice(b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0");
        let mut expected = vec![b'R', 0, 0, 0, 23, 0, 0, 0, 10];
        expected.extend_from_slice(b"SCRAM-SHA-256\0\0");
        assert_eq!(without_plus(&offer), expected);
        let ok = [b'R', 0, 0, 0, 8, 0, 0, 0, 0];
        assert_eq!(without_plus(&ok), ok);
    }
}
