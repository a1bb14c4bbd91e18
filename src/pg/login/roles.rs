//! Who may come in, where SCRAM ends here: a verifier for each role, from a file or from the server's own catalog.

use crate::config::Verifiers;
use crate::pg::net::connect::{Connector, Login, describe};
use crate::scram::{self, Verifier};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::Mutex;
use zeroize::Zeroizing;

/// As the server itself would ask. Superusers may, and whom it was granted to.
const QUERY: &str = "SELECT rolpassword FROM pg_catalog.pg_authid WHERE rolname = $1 AND rolcanlogin";

/// Where verifiers are.
pub(in crate::pg) enum Roles {
    /// In a file.
    File(PathBuf),
    /// In `pg_authid`, which this login reads.
    Server(Connector, Mutex<Option<Arc<Login>>>),
}

impl Roles {
    pub(in crate::pg) fn new(verifiers: &Verifiers, connector: &Connector) -> Self {
        match verifiers {
            Verifiers::File(path) => Self::File(path.clone()),
            Verifiers::Server => Self::Server(connector.clone(), Mutex::default()),
        }
    }

    /// A role's verifier, asked for anew each time: a password that was changed counts at once.
    ///
    /// # Errors
    /// The file or the catalog can't be read; the text names no key.
    pub(super) async fn verifier(&self, role: &str) -> io::Result<Option<Verifier>> {
        match self {
            Self::File(path) => {
                let (path, role) = (path.clone(), role.to_owned());
                let found = tokio::task::spawn_blocking(move || {
                    scram::look_up(&path, &role)
                        .map_err(|error| io::Error::other(format!("{}: {error}", path.display())))
                });
                found.await.map_err(io::Error::other)?
            }
            Self::Server(connector, own) => {
                let client = login(connector, own).await?;
                let row = client.query_opt(QUERY, &[&role]).await;
                let row = row.map_err(|error| io::Error::other(describe(&error)))?;
                let text: Option<Zeroizing<String>> =
                    row.and_then(|row| row.get::<_, Option<String>>(0)).map(Zeroizing::new);
                Ok(text.and_then(|text| Verifier::parse(&text)))
            }
        }
    }
}

/// The gateway's own login, kept for the next one who comes.
async fn login(connector: &Connector, own: &Mutex<Option<Arc<Login>>>) -> io::Result<Arc<Login>> {
    let mut own = own.lock().await;
    if let Some(client) = own.as_ref().filter(|client| client.lasts()) {
        return Ok(Arc::clone(client));
    }
    let database = connector.database().to_owned();
    let client = Arc::new(connector.own_login(&database).await?);
    *own = Some(Arc::clone(&client));
    Ok(client)
}
