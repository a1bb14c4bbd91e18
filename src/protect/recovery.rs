//! What lost transactions left: listed for the job that looks in the database, and settled by it.

use super::{Door, ProtectError, Unit};
use crate::ids::{KeyId, Subject};
use crate::keystore::model::UnsettledRow;
use jiff::Timestamp;

/// One key of a transaction whose outcome isn't known: its process died, or its connection was lost at COMMIT.
#[derive(Debug, Clone)]
pub struct Unsettled {
    row: UnsettledRow,
}

impl Unsettled {
    /// The transaction's unit; several keys may share it.
    pub fn unit(&self) -> [u8; 16] {
        self.row.unit.0
    }

    /// The database that the transaction ran in.
    pub fn database(&self) -> &str {
        &self.row.database
    }

    /// Whether it was made for something else than a database ([`Door::outside`]): nobody can look there for what
    /// became of it, so that it stays, provisionally, until its subject is erased.
    pub fn outside(&self) -> bool {
        Door::is_outside(&self.row.database)
    }

    /// When it was made.
    pub fn made_at(&self) -> Timestamp {
        Timestamp::from_millisecond(self.row.made_at).unwrap_or(Timestamp::UNIX_EPOCH)
    }

    /// The secret: if an envelope with it stands in a declared place, the transaction committed.
    pub fn key_id(&self) -> KeyId {
        self.row.key_id
    }

    /// Whose it is. None: no row was bound to it before the transaction could commit, so it did not.
    pub fn subject(&self) -> Option<&Subject> {
        self.row.subject.as_ref()
    }

    /// Pseudonym domain and token of each identifier held under it: where the row has no envelope, a row of
    /// the subject with the token tells that the transaction committed.
    pub fn tokens(&self) -> &[(Box<str>, Box<str>)] {
        &self.row.tokens
    }
}

/// Begins the names of what is no database.
const OUTSIDE: &str = "http:";
/// Then comes the class of whom the answer is to tell the id.
const CREATES: &str = " creates ";
/// At the end: nothing was sealed, there are identifiers only.
const TOKENS: &str = ", tokens only";

/// What the name says under which a creation's secrets are kept: somebody was made whose id the answer was to tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Creation<'a> {
    /// The listener that it went through.
    pub listener: &'a str,
    /// The class of whom it made; none where an earlier version made it, which didn't say.
    pub class: Option<&'a str>,
    /// Nothing was sealed under its secret but identifiers in the keystore.
    pub tokens: bool,
}

impl<'a> Creation<'a> {
    /// Reads the name of a place; none for a database.
    pub fn read(name: &'a str) -> Option<Self> {
        let rest = name.strip_prefix(OUTSIDE)?;
        let Some((listener, class)) = rest.rsplit_once(CREATES) else {
            return Some(Self { listener: rest, class: None, tokens: false });
        };
        let (class, tokens) = class.strip_suffix(TOKENS).map_or((class, false), |class| (class, true));
        Some(Self { listener, class: Some(class), tokens })
    }

    /// Whether it may have made somebody of that class.
    pub fn may_be(&self, class: &str) -> bool {
        self.class.is_none_or(|own| own == class)
    }
}

impl Unit {
    /// From here on it makes people of that class, whose ids the answer is to tell. `tokens`: nothing of theirs is sealed.
    pub fn creates(&mut self, class: &str, tokens: bool) {
        let place = Creation::read(&self.database).map_or(&*self.database, |creation| creation.listener);
        let tokens = if tokens { TOKENS } else { "" };
        self.database = format!("{OUTSIDE}{place}{CREATES}{class}{tokens}").into();
    }
}

impl Door {
    /// The name under which a unit is kept that writes to a service behind `listener`, and to no database.
    pub fn outside(listener: &str) -> String {
        format!("{OUTSIDE}{listener}")
    }

    /// Whether what the keystore calls a database is a service instead.
    pub fn is_outside(name: &str) -> bool {
        name.starts_with(OUTSIDE)
    }

    /// What transactions left without an outcome. Those under way in this process are not listed.
    ///
    /// # Errors
    /// [`ProtectError::Unavailable`].
    pub async fn unsettled(&self) -> Result<Vec<Unsettled>, ProtectError> {
        let rows = self.keyring().unsettled().await?;
        Ok(rows.into_iter().map(|row| Unsettled { row }).collect())
    }

    /// Settles what recovery found out (`true`: it committed). What was never bound to a subject is destroyed in
    /// any case. Durable when it returns.
    ///
    /// # Errors
    /// [`ProtectError::Unavailable`], [`ProtectError::DiskFull`].
    pub async fn settle(&self, found: &[(&Unsettled, bool)]) -> Result<(), ProtectError> {
        for (unsettled, committed) in found {
            self.keyring().recover(&unsettled.row, *committed).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_place_tells_what_was_made_there() {
        let read = |name| Creation::read(name).map(|c| (c.listener, c.class, c.tokens));
        assert_eq!(read("app"), None);
        assert_eq!(read("http:127.0.0.1:80"), Some(("127.0.0.1:80", None, false)));
        assert_eq!(read("http:unix:/a b creates person"), Some(("unix:/a b", Some("person"), false)));
        assert_eq!(read("http:h:1 creates guest, tokens only"), Some(("h:1", Some("guest"), true)));
        assert!(Creation::read("http:h:1").unwrap().may_be("person"));
        assert!(!Creation::read("http:h:1 creates guest").unwrap().may_be("person"));
    }

    #[tokio::test]
    async fn a_unit_says_what_it_makes() {
        let house = crate::protect::tests::House::new().await;
        let mut unit = house.door.unit(&Door::outside("h:1"));
        unit.creates("person", true);
        assert_eq!(&*unit.database, "http:h:1 creates person, tokens only");
        unit.creates("person", false);
        assert_eq!(&*unit.database, "http:h:1 creates person");
    }
}
