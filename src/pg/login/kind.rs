//! Whether a session is on a server of the kind that `target_session_attrs` asks for. Which server is what was asked before
//! the client came; this is the last word, since a server may have changed in between.

use super::next_frame;
use crate::config::Target;
use crate::pg::net::duplex::{Duplex, Read};
use crate::pg::net::host::State;
use crate::pg::session::Failure;
use crate::pg::startup::{Refused, refuse};
use crate::pg::wire::frame::{self, HEADER};
use crate::pg::wire::row::cells;

/// For servers that don't tell of themselves (before Postgres 14).
const QUERY: &[u8] =
    b"SELECT pg_catalog.pg_is_in_recovery()::text, pg_catalog.current_setting('transaction_read_only')";

/// What the server has told of the session.
#[derive(Default)]
pub(super) struct Kind {
    standby: Option<bool>,
    read_only: Option<bool>,
}

impl Kind {
    /// Reads a ParameterStatus.
    pub(super) fn learn(&mut self, name: &[u8], value: &[u8]) {
        match name {
            b"in_hot_standby" => self.standby = Some(value != b"off"),
            b"default_transaction_read_only" => self.read_only = Some(value != b"off"),
            _ => {}
        }
    }

    /// Refuses a session of another kind. The server has just said ReadyForQuery.
    pub(super) async fn check(self, mut io: Duplex, target: Target) -> Result<Duplex, Refused> {
        if matches!(target, Target::Any | Target::PreferStandby) {
            return Ok(io);
        }
        let state = match (self.standby, self.read_only) {
            (Some(standby), Some(read_only)) => State { standby, read_only },
            _ => match ask(&mut io).await {
                Some(state) => state,
                None => return Err(refuse(io.client, Failure::backend_lost())),
            },
        };
        if state.fits(target) {
            return Ok(io);
        }
        let failure = Failure::new(
            "57P03",
            "target-session",
            format!("paravent: the server is not what target_session_attrs asks for: {}", state.told()),
            "connect again: the gateway asks its servers anew",
        );
        Err(refuse(io.client, failure))
    }
}

async fn ask(io: &mut Duplex) -> Option<State> {
    io.server.output.append_with(|out| {
        let begun = frame::begin(out, b'Q');
        frame::cstr(out, QUERY);
        let _ = frame::finish(out, begun);
    });
    let mut state = None;
    loop {
        while let Some((tag, frame)) = next_frame(&mut io.server) {
            match (tag, frame.ok()?) {
                (b'D', frame) => state = read(&frame[HEADER..]),
                (b'Z', _) => return state,
                _ => {}
            }
        }
        io.turn(Read::Server).await.ok()?;
    }
}

fn read(row: &[u8]) -> Option<State> {
    let mut cells = cells(row).ok()?.map(|cell| cell.ok().flatten().and_then(|range| row.get(range)));
    let (recovery, read_only) = (cells.next()??, cells.next()??);
    Some(State { standby: recovery != b"false", read_only: read_only != b"off" })
}
