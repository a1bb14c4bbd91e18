//! SCRAM ends here: the client proves itself to the gateway, and the key that its proof gives away logs in to the server.
//!
//! The server is asked first, so that salt and count are its own, also for roles that it doesn't know: nobody can tell
//! from what is asked which roles there are. The client is told that it is in only when the server has let it in and has
//! proved that it knows the role.

use super::next_frame;
use super::offer::{Asks, asks, initial_response, message, offer, request};
use super::roles::Roles;
use crate::pg::net::duplex::{Duplex, Read, Side};
use crate::pg::session::Failure;
use crate::pg::startup::{Refused, refuse};
use crate::pg::wire::WireError;
use crate::pg::wire::frame::HEADER;
use crate::scram::{Binding, Challenge, Channel, First, Login, PLAIN, PLUS, Wrong};

const CONTINUE: i32 = 11;
const FINAL: i32 = 12;
const OK: i32 = 0;

/// From the server's first request to AuthenticationOk, which the client is sent.
pub(super) async fn run(
    mut io: Duplex,
    asked: &[u8],
    user: &str,
    roles: &Roles,
    own: Option<&[u8]>,
) -> Result<Duplex, Refused> {
    let failed = match exchange(&mut io, asked, user, roles, own).await {
        Ok(()) => return Ok(io),
        Err(failed) => failed,
    };
    match failed {
        Failed::Over => {
            io.client.close().await;
            Err(Refused::Over)
        }
        Failed::With(failure) => Err(refuse(io.client, failure)),
    }
}

/// Why it did not come to a session.
enum Failed {
    /// Whoever it concerns was told.
    Over,
    /// The client is told this.
    With(Failure),
}

impl From<Failure> for Failed {
    fn from(failure: Failure) -> Self {
        Self::With(failure)
    }
}

async fn exchange(
    io: &mut Duplex,
    asked: &[u8],
    user: &str,
    roles: &Roles,
    own: Option<&[u8]>,
) -> Result<(), Failed> {
    let wrong = |wrong| Failed::With(failure(wrong, user));
    let challenge = ask_server(io, asked).await?;
    let own = if io.client.is_tls() { own.and_then(Binding::of) } else { None };
    let mechanisms = if own.is_some() { &[PLUS, PLAIN][..] } else { &[PLAIN] };
    io.client.output.append_with(|out| offer(out, mechanisms));
    let body = from_client(io).await?;
    let (mechanism, said) = initial_response(&body).ok_or_else(|| wrong(Wrong::Malformed))?;
    let first = First::read(mechanism, said, own.as_ref()).map_err(wrong)?;
    let (answer, challenged) = first.challenge(challenge.salt(), challenge.iterations());
    io.client.output.append_with(|out| request(out, CONTINUE, &answer));
    let body = from_client(io).await?;
    let verifier = roles.verifier(user).await.map_err(|error| {
        tracing::error!(%error, "the verifiers can't be read");
        unreadable()
    })?;
    let verifier = verifier.filter(|verifier| {
        let fits = verifier.is_asked_for(challenge.salt(), challenge.iterations());
        if !fits {
            tracing::warn!(
                role = user,
                "the verifier is not that of the server: the role's password was changed there, or it has none"
            );
        }
        fits
    });
    let proven = challenged.check(&body, verifier).map_err(wrong)?;
    let last = proven.message().to_vec();
    let (answer, answered) = challenge.answer(proven);
    io.server.output.append_with(|out| message(out, b'p', &[&answer]));
    let frame = from_server(io).await?;
    match asks(&frame) {
        Some(Asks::Final(said)) => answered.check(said).map_err(wrong)?,
        _ => return Err(out_of_order()),
    }
    let frame = from_server(io).await?;
    if asks(&frame) != Some(Asks::Nothing) {
        return Err(out_of_order());
    }
    io.client.output.append_with(|out| {
        request(out, FINAL, &last);
        request(out, OK, &[]);
    });
    Ok(())
}

/// Begins with the server, and reads which salt and count it asks for.
async fn ask_server(io: &mut Duplex, asked: &[u8]) -> Result<Challenge, Failed> {
    let offered = match asks(asked) {
        Some(Asks::Sasl(offered)) => offered,
        Some(Asks::Nothing) => return Err(other_method("nothing (trust, peer or cert)").into()),
        Some(Asks::Other(method)) => return Err(other_method(method).into()),
        _ => return Err(out_of_order()),
    };
    let offers = |name: &str| offered.contains(&name.as_bytes());
    let mark = io.server.peer_certificate().and_then(Binding::of);
    let channel = match mark {
        Some(mark) if offers(PLUS) => Channel::Bound(mark),
        _ if !offers(PLAIN) => return Err(other_method("another SASL mechanism").into()),
        Some(_) => Channel::NotOffered,
        None => Channel::Unbound,
    };
    let login = Login::new(channel);
    let (name, said) = (login.mechanism(), login.message());
    let length = u32::try_from(said.len()).unwrap_or(u32::MAX).to_be_bytes();
    io.server.output.append_with(|out| message(out, b'p', &[name.as_bytes(), &[0], &length, &said]));
    let frame = from_server(io).await?;
    match asks(&frame) {
        Some(Asks::Continue(said)) => login.challenged(said).map_err(|_| out_of_order()),
        _ => Err(out_of_order()),
    }
}

/// The server's next request. Its error goes to the client and ends the connection, as it would without a gateway.
async fn from_server(io: &mut Duplex) -> Result<Vec<u8>, Failed> {
    loop {
        while let Some((tag, frame)) = next_frame(&mut io.server) {
            let frame = frame?;
            match tag {
                b'R' => return Ok(frame),
                b'E' => {
                    io.client.output.push(&frame);
                    return Err(Failed::Over);
                }
                b'N' => io.client.output.push(&frame),
                _ => return Err(out_of_order()),
            }
        }
        turn(io, Read::Server).await?;
    }
}

/// The body of the client's next answer.
async fn from_client(io: &mut Duplex) -> Result<Vec<u8>, Failed> {
    loop {
        match next_frame(&mut io.client) {
            Some((b'p', Ok(frame))) => return Ok(frame[HEADER..].to_vec()),
            Some((b'X', Ok(_))) => return Err(Failed::Over),
            Some((_, Err(failure))) => return Err(failure.into()),
            Some((_, Ok(_))) => {
                let what = WireError::Malformed("start-up", "a message before authentication");
                return Err(Failure::malformed(&what).into());
            }
            None => turn(io, Read::Both).await?,
        }
    }
}

async fn turn(io: &mut Duplex, read: Read) -> Result<(), Failed> {
    io.turn(read).await.map_err(|ended| match ended.side {
        Side::Server => Failure::backend_lost().into(),
        Side::Client => Failed::Over,
    })
}

/// As Postgres says it.
fn failure(wrong: Wrong, user: &str) -> Failure {
    let (code, message) = match wrong {
        Wrong::Proof => ("28P01", format!("password authentication failed for user \"{user}\"")),
        Wrong::Server => ("08006", format!("paravent: {wrong}")),
        Wrong::Negotiation | Wrong::Binding => ("28000", wrong.to_string()),
        Wrong::Identity | Wrong::Extension => ("0A000", wrong.to_string()),
        Wrong::Malformed | Wrong::Mechanism | Wrong::BindingType => ("08P01", wrong.to_string()),
    };
    Failure { code, message, hint: None, anchor: "verifiers" }
}

fn out_of_order() -> Failed {
    Failure::malformed(&WireError::Malformed("authentication", "not what the server should say here")).into()
}

fn other_method(method: &str) -> Failure {
    Failure::new(
        "0A000",
        "verifiers",
        format!("paravent: the server asks this role for {method}, and verifiers serve SCRAM-SHA-256 alone"),
        "set password_encryption and the role's line in pg_hba.conf to scram-sha-256",
    )
}

fn unreadable() -> Failure {
    Failure::new(
        "58030",
        "verifiers",
        "paravent: the verifiers can't be read",
        "see the gateway's log, and verifiers in paravent.toml",
    )
}
