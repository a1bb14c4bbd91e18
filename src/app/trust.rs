//! A listener that others can reach, in front of a server that lets the gateway's own host in.

use super::AppError;
use crate::config::{PostgresConfig, Upstream};
use crate::pg::net::connect::Connector;

/// Refuses a listener that is not loopback when the server lets the gateway's own login in without a
/// password: then it would let in whoever reaches the gateway. A server that can't be asked now is not
/// held against it.
pub(super) async fn refuse(config: &PostgresConfig) -> Result<(), AppError> {
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
