//! Whose the rows of a statement are, by its parameters and literals or by what was looked up.

use super::failure::Failure;
use super::hidden::HiddenError;
use super::params::Client;
use super::{Session, subject};
use crate::ids::Subject;
use crate::pg::plan::{RowSubject, SubjectSource, Write};

/// Whose a row of the statement is.
pub(super) enum Whose {
    Known(Subject),
    Returned,
    Nobody,
    /// The statement's condition is true of none.
    NoRow,
    /// Its `when` is false: its values stay clear.
    Unprotected,
}

impl Session {
    /// Whose each row is.
    pub(super) async fn whose(
        &mut self,
        write: &Write,
        client: &Client<'_>,
        found: &[String],
    ) -> Result<Vec<Whose>, HiddenError> {
        if write.lookup.is_some() {
            let known = |id: &String| Whose::Known(Subject::new(write.class.clone(), id.as_str()));
            return Ok(found.iter().map(known).collect());
        }
        let mut whose = Vec::with_capacity(write.rows.len());
        for row in &write.rows {
            if let SubjectSource::Each(source) = &row.subject {
                let ids = client.texts(source, row.oid)?;
                for (i, id) in ids.into_iter().enumerate() {
                    let applies = self.applies(row.when.as_ref(), client, i).await?;
                    whose.push(match (applies, id) {
                        (false, _) => Whose::Unprotected,
                        (true, None) => Whose::Nobody,
                        (true, Some(id)) => known(row, &id)?,
                    });
                }
                continue;
            }
            if row.pinned && pins_null(row, client) {
                whose.push(Whose::NoRow);
                continue;
            }
            let applies = self.applies(row.when.as_ref(), client, 0).await?;
            whose.push(match &row.subject {
                _ if !applies => Whose::Unprotected,
                SubjectSource::Client(i) => match client.text(usize::from(*i), row.oid)? {
                    Some(id) => known(row, &id)?,
                    None => Whose::Nobody,
                },
                SubjectSource::Literal(id) => known(row, id)?,
                SubjectSource::Nobody => Whose::Nobody,
                SubjectSource::Returned | SubjectSource::Found | SubjectSource::Each(_) => Whose::Returned,
            });
        }
        Ok(whose)
    }
}

/// Whether a row's condition compares with NULL, which is true of none.
fn pins_null(row: &RowSubject, client: &Client<'_>) -> bool {
    let tested = row.when.as_ref().map(|when| &when.value);
    std::iter::once(&row.subject).chain(tested).any(|source| match source {
        SubjectSource::Client(i) => client.message.value(usize::from(*i)).is_none(),
        SubjectSource::Nobody => true,
        _ => false,
    })
}

fn known(row: &RowSubject, id: &str) -> Result<Whose, Failure> {
    match subject::canonical(row.oid, id) {
        Some(id) => Ok(Whose::Known(Subject::new(row.class.clone(), id))),
        None => Err(Failure::new(
            "22P02",
            "subject-id",
            "paravent: the subject's id does not read as its column's type",
            "give an id in the form of its type",
        )),
    }
}
