//! The texts of the views that are seen through. To write one, the server locks the view's tables: while another session has
//! locked one of them (a migration that is open), it is not waited for, and the view has no text.

use super::build::Row;
use super::{asked, queries};
use crate::pg::net::connect::describe;
use std::io;
use std::time::Duration;
use tokio_postgres::Client;

/// How long a lock is waited for; and, once one of the views is known to be locked, for each of them.
const PATIENCE: Duration = Duration::from_millis(250);
const EACH: Duration = Duration::from_millis(10);

/// OID, digest of the rules, text: of each view whose text could be read, in the order of their OIDs.
#[derive(Default, PartialEq, Eq)]
pub(super) struct Texts(Vec<Row>);

impl Texts {
    /// Whether these are the texts of all views that have these digests (OID and digest).
    pub(super) fn are_all_of(&self, digests: &[Row]) -> bool {
        self.0.len() == digests.len() && self.0.iter().zip(digests).all(|(text, of)| text.starts_with(of))
    }

    /// The texts of these views: those that are known, if their digests are still so, and the others asked for.
    ///
    /// # Errors
    /// The connection is lost.
    pub(super) async fn read(
        client: &Client,
        views: &[u32],
        known: Option<&Self>,
        digests: &[Row],
    ) -> io::Result<Self> {
        let mut texts: Vec<Row> = known.map(|known| known.0.clone()).unwrap_or_default();
        texts.retain(|text| digests.iter().any(|of| text.starts_with(of)));
        let lacking: Vec<u32> =
            views.iter().copied().filter(|view| !texts.iter().any(|text| oid(text) == Some(*view))).collect();
        if lacking.is_empty() {
            return Ok(Self(texts));
        }
        match some(client, &lacking, PATIENCE).await? {
            Some(read) => texts.extend(read),
            None => {
                for view in lacking {
                    texts.extend(some(client, &[view], EACH).await?.unwrap_or_default());
                }
            }
        }
        texts.retain(|text| text.last().is_some_and(Option::is_some));
        texts.sort_by_key(oid);
        Ok(Self(texts))
    }

    /// The rows: OID, digest, text.
    pub(super) fn rows(&self) -> &[Row] {
        &self.0
    }
}

fn oid(row: &Row) -> Option<u32> {
    row.first()?.as_deref()?.parse().ok()
}

/// The texts of these views, unless one's tables are locked for longer than that, or the server can't show one.
async fn some(client: &Client, views: &[u32], patience: Duration) -> io::Result<Option<Vec<Row>>> {
    match asked(client, &queries::definitions(views, patience)).await {
        Ok(answers) => Ok(Some(answers.concat())),
        Err(error) if error.code().is_some() => Ok(None),
        Err(error) => Err(io::Error::other(describe(&error))),
    }
}
