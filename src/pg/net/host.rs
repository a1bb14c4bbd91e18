//! One of the servers behind a listener, and what it is at the moment.

use crate::config::Target;
use crate::pg::net::connect::Login;
use std::io;
use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;
use tokio::time::timeout;
use tokio_postgres::SimpleQueryMessage;

/// What a server is: asked on a session of its own, since a client's session can't be moved once its user is let in.
const QUERY: &str =
    "SELECT pg_catalog.pg_is_in_recovery()::text, pg_catalog.current_setting('transaction_read_only')";

/// What a server, or a session on it, is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// It repeats what another one writes.
    pub standby: bool,
    /// It takes no writes unless it is told to.
    pub read_only: bool,
}

impl State {
    /// Whether a session on it is what was asked for.
    pub fn fits(self, target: Target) -> bool {
        match target {
            Target::Any | Target::PreferStandby => true,
            Target::ReadWrite => !self.standby && !self.read_only,
            Target::ReadOnly => self.standby || self.read_only,
            Target::Primary => !self.standby,
            Target::Standby => self.standby,
        }
    }

    /// In words.
    pub fn told(self) -> &'static str {
        match self {
            Self { standby: true, .. } => "it is a standby",
            Self { read_only: true, .. } => "it is read-only",
            _ => "it is a primary",
        }
    }

    /// What that login's server is.
    ///
    /// # Errors
    /// It doesn't answer.
    pub async fn of(client: &tokio_postgres::Client) -> io::Result<Self> {
        let answer =
            client.simple_query(QUERY).await.map_err(|e| io::Error::other(super::connect::describe(&e)))?;
        let row = answer.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some((row.get(0)?.to_owned(), row.get(1)?.to_owned())),
            _ => None,
        });
        let (recovery, read_only) = row.ok_or(io::ErrorKind::InvalidData)?;
        Ok(Self { standby: recovery != "false", read_only: read_only != "off" })
    }
}

/// The connection on which a server is asked what it is, and what it said last.
#[derive(Default)]
pub(super) struct Probe(Mutex<Asked>);

#[derive(Default)]
struct Asked {
    login: Option<Login>,
    last: Option<(Instant, Result<State, Arc<str>>)>,
}

impl Probe {
    /// What the server is. Who waits while another asks takes that answer, so that a server that is gone costs all of
    /// them one wait.
    ///
    /// # Errors
    /// It can't be asked.
    pub(super) async fn ask<F>(&self, patience: Duration, log_in: impl FnOnce() -> F) -> io::Result<State>
    where
        F: Future<Output = io::Result<Login>>,
    {
        let since = Instant::now();
        let mut asked = self.0.lock().await;
        if let Some((_, last)) = asked.last.as_ref().filter(|(began, _)| *began >= since) {
            return last.clone().map_err(|why| failed(&why));
        }
        let began = Instant::now();
        let kept = asked.login.take().filter(|login| !login.is_closed());
        let answer = async {
            if let Some(login) = kept
                && let Ok(state) = State::of(&login).await
            {
                return Ok((login, state));
            }
            let login = log_in().await?;
            let state = State::of(&login).await?;
            Ok((login, state))
        };
        let answer = timeout(patience, answer).await;
        let answer: io::Result<(Login, State)> =
            answer.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        let state = match answer {
            Ok((login, state)) => {
                asked.login = Some(login);
                Ok(state)
            }
            Err(error) => Err(Arc::from(error.to_string())),
        };
        asked.last = Some((began, state.clone()));
        state.map_err(|why| failed(&why))
    }
}

fn failed(why: &str) -> io::Error {
    io::Error::other(why)
}

impl Deref for Login {
    type Target = tokio_postgres::Client;

    fn deref(&self) -> &tokio_postgres::Client {
        self.client()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_takes_the_servers_that_libpq_takes() {
        let all = [
            State { standby: false, read_only: false },
            State { standby: false, read_only: true },
            State { standby: true, read_only: true },
        ];
        for (target, expected) in [
            (Target::Any, [true, true, true]),
            (Target::ReadWrite, [true, false, false]),
            (Target::ReadOnly, [false, true, true]),
            (Target::Primary, [true, true, false]),
            (Target::Standby, [false, false, true]),
        ] {
            assert_eq!(all.map(|state| state.fits(target)), expected, "{target:?}");
        }
    }
}
