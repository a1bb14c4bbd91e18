//! From a start-up packet that the server has to a session that it has begun.

mod ended;
mod kind;
mod offer;
mod roles;

pub(super) use roles::Roles;

use super::net::duplex::{Duplex, Leg, Read, Side};
use super::session::{Failure, follow};
use super::startup::{Entrance, Ready, Refused, refuse};
use super::value::Settings;
use super::wire::error;
use super::wire::frame::{self, HEADER};
use super::wire::simple::{read_backend_key, read_parameter_status};
use kind::Kind;
use offer::{Asks, asks, without_plus};

/// Messages during authentication are short.
const AUTH_LIMIT: usize = 256 * 1024;

/// Who asks, by its own words: the server checks the user.
pub(super) struct Who {
    pub database: String,
    pub user: String,
    pub application: String,
}

/// What is due from the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    /// Nothing yet: the server speaks next.
    Nothing,
    /// An answer of this kind.
    Answer(&'static str),
    /// Nothing any more: the user is in.
    Over,
}

impl Due {
    fn after(request: &[u8]) -> Self {
        match asks(request) {
            Some(Asks::Nothing) => Self::Over,
            Some(Asks::Final(_)) => Self::Nothing,
            Some(Asks::Sasl(_) | Asks::Continue(_)) => Self::Answer("SASL"),
            Some(Asks::Other("gss")) => Self::Answer("GSS"),
            Some(Asks::Other(_)) | None => Self::Answer("password"),
        }
    }
}

/// Until the server is ready: its users are let in by the server itself, to which everything is passed on, or by what is
/// known of them here.
pub(super) async fn authenticate(
    mut io: Duplex,
    who: Who,
    host: usize,
    entrance: &Entrance,
) -> Result<Ready, Refused> {
    let mut asked = false;
    let mut due = Due::Nothing;
    let mut kind = Kind::default();
    let mut backend = None;
    let mut settings = Settings {
        date_style: "ISO, MDY".into(),
        time_zone: "UTC".into(),
        bytea_escape: false,
        charset: None,
        server: 0,
    };
    loop {
        while let Some((tag, frame)) = next_frame(&mut io.server) {
            match (tag, frame) {
                (_, Err(failure)) => return Err(refuse(io.client, failure)),
                (b'R', Ok(frame)) if asked => {
                    due = Due::after(&frame);
                    io.client.output.push(&frame);
                }
                (b'R', Ok(frame)) => {
                    asked = true;
                    due = if entrance.roles.is_some() { Due::Over } else { Due::after(&frame) };
                    io = first(io, frame, &who, entrance).await?;
                }
                (b'S', Ok(frame)) => {
                    let (name, value) = match read_parameter_status(&frame[HEADER..]) {
                        Ok(pair) => pair,
                        Err(e) => return Err(refuse(io.client, Failure::malformed(&e))),
                    };
                    kind.learn(name, value);
                    if let Err(failure) = follow(&mut settings, name, value) {
                        return Err(refuse(io.client, failure));
                    }
                    io.client.output.push(&frame);
                }
                (b'K', Ok(frame)) => {
                    let key = &frame[HEADER..];
                    backend = read_backend_key(key)
                        .ok()
                        .and_then(|(pid, _)| entrance.connector.register(host, pid, key));
                    io.client.output.push(&frame);
                }
                (b'Z', Ok(_)) => {
                    io = kind.check(io, entrance.connector.target()).await?;
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
        let held = loop {
            match (io.client.input.bytes().first().copied(), due) {
                // Passwords and SASL answers.
                (Some(b'p' | b'X'), Due::Nothing | Due::Answer(_)) => {}
                (Some(tag), Due::Answer(what)) => {
                    return Err(refuse(io.client, unexpected(what, tag)));
                }
                // What doesn't wait for ReadyForQuery stays until then.
                (first, _) => break first.is_some() || due == Due::Over,
            }
            match next_frame(&mut io.client) {
                Some((b'p', Ok(frame))) => {
                    due = Due::Nothing;
                    io.server.output.push(&frame);
                }
                Some((_, Ok(_))) => return Err(Refused::Over),
                Some((_, Err(failure))) => return Err(refuse(io.client, failure)),
                None => break false,
            }
        };
        if let Err(ended) = io.turn(if held { Read::Server } else { Read::Both }).await {
            if ended.side == Side::Server {
                return Err(refuse(io.client, Failure::backend_lost()));
            }
            return Err(Refused::Over);
        }
    }
}

/// As Postgres says it.
fn unexpected(what: &str, tag: u8) -> Failure {
    let message = format!("expected {what} response, got message type {tag}");
    Failure { code: "08P01", message, hint: None, anchor: "protocol" }
}

/// What the server asks for first decides who answers it.
async fn first(mut io: Duplex, frame: Vec<u8>, who: &Who, entrance: &Entrance) -> Result<Duplex, Refused> {
    if let Some(roles) = &entrance.roles {
        let own = entrance.tls.as_ref().map(|tls| &*tls.leaf);
        return ended::run(io, &frame, &who.user, roles, own).await;
    }
    let frame = match (io.client.is_tls(), io.server.is_tls()) {
        (true, true) if same_certificate(&io, entrance) => frame,
        (true, true) => return Err(refuse(io.client, both_legs())),
        (false, false) => frame,
        _ => without_plus(&frame),
    };
    io.client.output.push(&frame);
    Ok(io)
}

/// Whether both ends of the connection see one certificate: then what the client binds to is what the server expects.
fn same_certificate(io: &Duplex, entrance: &Entrance) -> bool {
    let own = entrance.tls.as_ref().map(|tls| &*tls.leaf);
    own.is_some() && own == io.server.peer_certificate()
}

fn both_legs() -> Failure {
    Failure::new(
        "0A000",
        "tls-both-legs",
        "paravent: TLS on both legs needs one certificate on both, or verifiers",
        "give the listener the server's certificate, or set verifiers in paravent.toml",
    )
}

/// The next whole message of a leg, taken out of its buffer.
pub(super) fn next_frame(leg: &mut Leg) -> Option<(u8, Result<Vec<u8>, Failure>)> {
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
