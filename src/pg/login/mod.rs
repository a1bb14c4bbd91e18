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
use super::wire::frame::{self, HEADER};
use super::wire::simple::{read_backend_key, read_parameter_status};
use super::wire::{WireError, error};
use kind::Kind;
use offer::without_plus;

/// Messages during authentication are short.
const AUTH_LIMIT: usize = 256 * 1024;

/// Who asks, by its own words: the server checks the user.
pub(super) struct Who {
    pub database: String,
    pub user: String,
    pub application: String,
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
                (b'R', Ok(frame)) if asked => io.client.output.push(&frame),
                (b'R', Ok(frame)) => {
                    asked = true;
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
        if let Err(ended) = io.turn(Read::Both).await {
            if ended.side == Side::Server {
                return Err(refuse(io.client, Failure::backend_lost()));
            }
            return Err(Refused::Over);
        }
    }
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
