//! The guard's names. It is a schema of domains in the database: one for each kind of protected column, named after the
//! type that clients see, so that the database itself says what a column holds.
//!
//! `varchar_150`, `numeric_10_2`, `date`: the declared type. `text_email_token`: a pseudonym of that kind.
//! `text_in_varchar_150`: not in the storage that such a column usually has. The file format of nothing hangs on it, but
//! databases hold these names: they don't change.

use super::model::{Declared, Field, Protect, TokenKind};
use std::fmt;

/// The schema.
pub const SCHEMA: &str = "paravent";
/// The constraint of each domain, by the version of what it accepts.
pub const CONSTRAINT: &str = "sealed_v1";

const KINDS: [TokenKind; 5] =
    [TokenKind::Text, TokenKind::Email, TokenKind::Mailbox, TokenKind::Uuid, TokenKind::Integer];

/// What a protected column is stored as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Storage {
    /// `text`.
    Text,
    /// `varchar` or `varchar(n)`.
    Varchar(Option<u32>),
    /// `bytea`.
    Bytea,
    /// `uuid`.
    Uuid,
    /// `bigint`.
    Bigint,
}

impl Storage {
    /// By the name in `pg_type` and the length of a varchar.
    pub fn new(base: &str, limit: Option<u32>) -> Option<Self> {
        Some(match base {
            "text" => Self::Text,
            "varchar" => Self::Varchar(limit),
            "bytea" => Self::Bytea,
            "uuid" => Self::Uuid,
            "int8" => Self::Bigint,
            _ => return None,
        })
    }

    /// Whether it holds text.
    pub fn is_text(self) -> bool {
        matches!(self, Self::Text | Self::Varchar(_))
    }

    /// Whether a field's values can stand in it.
    pub fn holds(self, field: &Field) -> bool {
        match &field.protect {
            Protect::Encrypt => self == Self::Bytea || (self.is_text() && field.ty.is_text()),
            Protect::Pseudonym { kind: TokenKind::Uuid, .. } => self.is_text() || self == Self::Uuid,
            Protect::Pseudonym { kind: TokenKind::Integer, .. } => self.is_text() || self == Self::Bigint,
            Protect::Pseudonym { .. } => self.is_text(),
        }
    }
}

/// As SQL names it.
impl fmt::Display for Storage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text => f.write_str("text"),
            Self::Varchar(None) => f.write_str("varchar"),
            Self::Varchar(Some(n)) => write!(f, "varchar({n})"),
            Self::Bytea => f.write_str("bytea"),
            Self::Uuid => f.write_str("uuid"),
            Self::Bigint => f.write_str("bigint"),
        }
    }
}

/// What a domain of the guard stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Guarded {
    /// The type that clients see.
    pub ty: Declared,
    /// The shape of the tokens, where it is a pseudonym.
    pub kind: Option<TokenKind>,
    /// What it is stored as.
    pub storage: Storage,
}

impl Guarded {
    /// Of a field in a column of that storage; `None` where it can't stand there.
    pub fn new(field: &Field, storage: Storage) -> Option<Self> {
        let ty = match (field.ty, storage) {
            // A text that declares no length has its column's.
            (Declared::Text | Declared::Varchar(None), Storage::Varchar(n)) => Declared::Varchar(n),
            (ty, _) => ty,
        };
        let kind = match field.protect {
            Protect::Encrypt => None,
            Protect::Pseudonym { kind, .. } => Some(kind),
        };
        storage.holds(field).then_some(Self { ty, kind, storage })
    }

    /// The name of its domain.
    pub fn name(&self) -> String {
        let mut name = word(&self.ty.to_string());
        if let Some(kind) = self.kind {
            name = format!("{name}_{}_token", kind.name());
        }
        if self.storage != usual(self.ty, self.kind) {
            name = format!("{name}_in_{}", word(&self.storage.to_string()));
        }
        name
    }

    /// The type that clients see of a domain of that name.
    pub fn declared(name: &str) -> Option<Declared> {
        let own = name.split_once("_in_").map_or(name, |(own, _)| own);
        let plain = KINDS.iter().find_map(|kind| own.strip_suffix(&format!("_{}_token", kind.name())));
        let mut words = plain.unwrap_or(own).split('_');
        let ty = words.next()?;
        let numbers: Vec<&str> = words.collect();
        let text = if numbers.is_empty() { ty.to_owned() } else { format!("{ty}({})", numbers.join(",")) };
        Declared::parse(&text).ok()
    }

    /// What its constraint accepts, of that expression: envelopes or tokens, and the empty text, which is nobody's.
    /// It names nothing that a search path could move, and reads alike whatever the collation and the settings are.
    pub fn check(&self, of: &str) -> String {
        match (self.kind, self.storage) {
            (Some(TokenKind::Integer), Storage::Bigint) => format!("{of} OPERATOR(pg_catalog.>) 0"),
            (Some(kind), Storage::Uuid) => matches(&format!("{of}::pg_catalog.text"), pattern(kind), ""),
            (Some(kind), _) => matches(of, pattern(kind), "|"),
            (None, Storage::Bytea) => format!(
                "pg_catalog.octet_length({of}) OPERATOR(pg_catalog.=) 0 OR (pg_catalog.octet_length({of}) OPERATOR(pg_catalog.>=) {SMALLEST} \
                 AND pg_catalog.substr({of}, 1, 1) OPERATOR(pg_catalog.=) pg_catalog.decode('e1', 'hex'))"
            ),
            (None, _) => matches(of, ENVELOPE, "|"),
        }
    }
}

/// `varchar(150)` as `varchar_150`.
fn word(ty: &str) -> String {
    ty.trim_end_matches(')').replace(['(', ','], "_")
}

fn usual(ty: Declared, kind: Option<TokenKind>) -> Storage {
    match kind {
        Some(TokenKind::Uuid) => Storage::Uuid,
        Some(TokenKind::Integer) => Storage::Bigint,
        Some(_) => Storage::Text,
        None if ty.is_text() => Storage::Text,
        None => Storage::Bytea,
    }
}

/// An envelope of nothing: head, type byte, tag.
const SMALLEST: usize = 33 + 1 + 16;

/// `pv1.` and base64url without padding of at least so many bytes, of which the first is 0xE1; what the last character
/// holds beyond them is zero.
const ENVELOPE: &str = "pv1[.]4[Q-Za-f][A-Za-z0-9_-]{2}([A-Za-z0-9_-]{4}){15,}\
     ([A-Za-z0-9_-]{4}([A-Za-z0-9_-][AQgw])?|[A-Za-z0-9_-]{2}[AEIMQUYcgkosw048])";

fn pattern(kind: TokenKind) -> &'static str {
    match kind {
        TokenKind::Text => "psn_[a-z2-7]{26}",
        TokenKind::Email => "psn_[a-z2-7]{26}@p[.]invalid",
        TokenKind::Mailbox => "psn_[a-z2-7]{26}@p[.]example[.]com",
        TokenKind::Uuid => "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}",
        TokenKind::Integer => "[1-9][0-9]{0,18}",
    }
}

/// `or`: `|` where the empty text is accepted too.
fn matches(of: &str, pattern: &str, or: &str) -> String {
    format!("{of} COLLATE pg_catalog.\"C\" OPERATOR(pg_catalog.~) '^({pattern}{or})$'")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guarded(ty: &str, kind: Option<TokenKind>, storage: Storage) -> Guarded {
        Guarded { ty: Declared::parse(ty).unwrap(), kind, storage }
    }

    #[test]
    fn a_domain_is_named_after_what_clients_see_and_tells_it_again() {
        for (of, name) in [
            (guarded("text", None, Storage::Text), "text"),
            (guarded("varchar(150)", None, Storage::Text), "varchar_150"),
            (guarded("varchar(150)", None, Storage::Varchar(Some(255))), "varchar_150_in_varchar_255"),
            (guarded("varchar", None, Storage::Varchar(None)), "varchar_in_varchar"),
            (guarded("text", None, Storage::Bytea), "text_in_bytea"),
            (guarded("date", None, Storage::Bytea), "date"),
            (guarded("numeric(10,2)", None, Storage::Bytea), "numeric_10_2"),
            (guarded("numeric", None, Storage::Bytea), "numeric"),
            (guarded("timestamptz(3)", None, Storage::Bytea), "timestamptz_3"),
            (guarded("text", Some(TokenKind::Email), Storage::Text), "text_email_token"),
            (
                guarded("varchar(254)", Some(TokenKind::Mailbox), Storage::Varchar(Some(254))),
                "varchar_254_mailbox_token_in_varchar_254",
            ),
            (guarded("uuid", Some(TokenKind::Uuid), Storage::Uuid), "uuid_uuid_token"),
            (guarded("bigint", Some(TokenKind::Integer), Storage::Bigint), "bigint_integer_token"),
            (guarded("bigint", Some(TokenKind::Integer), Storage::Text), "bigint_integer_token_in_text"),
        ] {
            assert_eq!(of.name(), name);
            assert_eq!(Guarded::declared(name), Some(of.ty), "{name}");
        }
        let longest =
            guarded("varchar(10485760)", Some(TokenKind::Mailbox), Storage::Varchar(Some(10_485_760)));
        assert!(longest.name().len() < 64);
        for other in ["", "person", "date_", "text_3", "varchar_x"] {
            assert_eq!(Guarded::declared(other), None, "{other}");
        }
    }
}
