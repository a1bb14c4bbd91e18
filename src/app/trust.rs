//! What a listener's way of letting clients in demands of the server behind it, looked at before it listens. A server that
//! can't be asked now is not held against it: each connection is judged again.

use super::AppError;
use crate::config::{PostgresConfig, SslMode, Upstream, Verifiers};
use crate::net::tls::certificates;
use crate::pg::net::connect::Connector;
use crate::scram;

/// Refuses a listener that would let in whom it must not, or could let in nobody.
pub(super) async fn refuse(config: &PostgresConfig) -> Result<(), AppError> {
    match &config.verifiers {
        // The server is asked for SCRAM by each client: whom it lets in without is refused.
        Some(Verifiers::Server) => Ok(()),
        Some(Verifiers::File(path)) => scram::look_up(path, "").map(drop).map_err(|error| {
            AppError::usage(format!("postgres {}: verifiers: {}: {error}", config.listen, path.display()))
        }),
        None => {
            both_legs(config).await?;
            trusted(config).await
        }
    }
}

/// Refuses TLS on both legs with two certificates: a client binds its SCRAM proof to the one that it sees, or says that
/// the server offered no binding; the server sees another, or knows that it did offer it.
async fn both_legs(config: &PostgresConfig) -> Result<(), AppError> {
    let Some(files) = &config.tls else { return Ok(()) };
    if config.upstream.sslmode == SslMode::Disable {
        return Ok(());
    }
    let upstream = |error| AppError::listener("upstream", &error);
    let own = certificates(&files.cert).map_err(|error| AppError::listener("tls", &error))?;
    let connector = Connector::new(config.upstream.clone()).map_err(upstream)?;
    let Ok(reached) = connector.connect().await else { return Ok(()) };
    if reached.stream.peer_certificate() == own.first().map(|certificate| &**certificate) {
        return Ok(());
    }
    Err(AppError::usage(format!(
        "postgres {}: TLS on both legs with two certificates (docs/errors.md#tls-both-legs): a client binds its SCRAM proof \
         to the listener's, the server expects its own; give the listener the server's certificate, or set `verifiers`, \
         so that SCRAM ends here",
        config.listen
    )))
}

/// Refuses a listener that is not loopback when the server lets the gateway's own login in without a password: then it
/// would let in whoever reaches the gateway.
async fn trusted(config: &PostgresConfig) -> Result<(), AppError> {
    if config.listen.is_local() {
        return Ok(());
    }
    let nobody = Upstream { password: None, ..config.upstream.clone() };
    let connector = Connector::new(nobody).map_err(|error| AppError::listener("upstream", &error))?;
    let database = connector.database().to_owned();
    if connector.own_login(&database).await.is_err() {
        return Ok(());
    }
    Err(AppError::usage(format!(
        "postgres {}: others can reach this listener, and the server lets \"{}\" in without a password from here, so that it \
         would let them in, too (docs/errors.md#upstream-trust); ask for scram-sha-256 in its pg_hba.conf, or listen on 127.0.0.1",
        config.listen, config.upstream.user
    )))
}
