//! The SQL planner: decides, without I/O, what becomes of each statement.
//!
//! A text is parsed by Postgres's own grammar (libpg_query) and walked node by node. Names are
//! resolved against the catalog; what may happen to a protected value is a short list, and anything
//! that isn't on it is refused by name. Texts are rewritten by splicing, never by printing the tree.

use super::catalog::model::Catalog;
use super::plan::{Plan, Verdict};
use super::refusal::Refusal;
use crate::policy::model::{Policy, Table};
use std::ops::Range;

mod assigns;
mod blocks;
mod candidates;
mod classes;
mod compare;
mod conflict;
mod copy;
mod core;
mod ddl;
mod edit;
mod evaluate;
pub mod execute;
mod expr;
mod extent;
mod filter;
mod foreign;
mod from;
mod grouping;
mod inherit;
mod insert;
mod insert_select;
mod keep;
mod label;
mod lex;
mod locking;
mod mask;
mod masked;
mod mention;
mod merge;
mod names;
mod outward;
mod path;
mod prepare;
mod reading;
pub mod refuse;
mod returning;
mod schema;
mod select;
mod settings;
pub mod shape;
mod statement;
mod table_as;
#[cfg(test)]
pub(super) mod tests;
mod types;
mod unnamed;
mod unnest;
mod update;
mod value;
mod values_from;
mod view;
mod when;
mod within;

pub use assigns::{assigns_new, only_reads, sets_protected};
pub use blocks::{prepared_name, wants_block};
pub use filter::{Filter, Names, after_comment};
pub use inherit::protects_alike;
pub use mention::{names_one_of, spelt_otherwise};
pub use path::{Schemas, moves as moves_search_path};
pub use prepare::is_discard_all;
pub use shape::Shape;
pub use statement::{first_of, is_empty};
pub use within::SETTING;

/// What a text is planned against.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// The policy.
    pub policy: &'a Policy,
    /// Its tables in this listener's `[[postgres]]` section.
    pub tables: &'a [Table],
    /// The database's relations.
    pub catalog: &'a Catalog,
    /// Where unqualified names are looked for.
    pub search_path: Schemas<'a>,
    /// The catalog was refreshed for this very text: what it still lacks is not there.
    pub refreshed: bool,
    /// `server_version_num`.
    pub server_version: u32,
}

/// One statement of a text, decided.
#[derive(Debug)]
pub struct Planned {
    /// Its bytes in the text, without the `;`.
    pub range: Range<usize>,
    /// What becomes of it.
    pub verdict: Verdict,
    /// A name or string in it is that of something protected.
    pub mentions: bool,
    /// What it does to transactions and settings.
    pub kind: StatementKind,
    /// It names a relation as something protected is named, without a schema, and means another one: that hangs
    /// on the search path of the moment.
    pub elsewhere: bool,
    /// It gives something protected a name that code in the database says, which was harmless before.
    pub wakes: bool,
}

impl Planned {
    /// A statement that names nothing protected.
    pub fn passed(range: Range<usize>, kind: StatementKind) -> Self {
        Self { range, verdict: Verdict::Pass, mentions: false, kind, elsewhere: false, wakes: false }
    }
}

/// What a statement does to transactions, relations and settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StatementKind {
    /// BEGIN, START TRANSACTION.
    Begin,
    /// COMMIT, END.
    Commit,
    /// ROLLBACK, ABORT.
    Rollback,
    /// PREPARE TRANSACTION.
    PrepareTransaction,
    /// SAVEPOINT.
    Savepoint(Box<str>),
    /// ROLLBACK TO SAVEPOINT.
    RollbackTo(Box<str>),
    /// RELEASE SAVEPOINT.
    Release(Box<str>),
    /// Changes relations or functions: the catalog must be read again.
    Ddl,
    /// Sets `bytea_output`; whether to `escape` (`None`: to its default).
    SetByteaOutput(Option<bool>),
    /// Sets `client_encoding`.
    SetEncoding,
    /// Sets `DateStyle` or `TimeZone`.
    SetDateStyle,
    /// RESET ALL.
    ResetAll,
    /// PREPARE of that name.
    Prepare(Box<str>),
    /// Runs a statement that was prepared.
    Execute,
    /// DEALLOCATE of that name, or of all.
    Deallocate(Option<Box<str>>),
    /// DISCARD ALL.
    DiscardAll,
    /// DECLARE of that cursor.
    Declare(Box<str>),
    /// FETCH from that cursor.
    Fetch(Box<str>),
    /// Anything else.
    Other,
}

/// A string constant for a statement that can't have parameters. Its bytes are ours: tokens and arrays of them.
pub fn constant(value: &[u8]) -> String {
    edit::quote_text(&String::from_utf8_lossy(value))
}

/// A script of several statements that all pass, with the declared types in its queries of the catalog; `None` where it has
/// none of them.
pub fn masked_script(text: &str, script: &[Planned], scope: &Scope<'_>) -> Option<Plan> {
    let kinds: Vec<&StatementKind> = script.iter().map(|planned| &planned.kind).collect();
    mask::script(text, &kinds, scope)
}

/// Plans a text, which may hold several statements.
///
/// `declared` are the parameter types that the client declared in Parse (0: not declared).
///
/// # Errors
/// A text that does not parse and may name something protected is not to be forwarded (42601). One that does
/// not parse and names nothing protected is a single [`Verdict::Pass`]: the server says what is wrong.
pub fn plan(sql: &str, declared: &[u32], scope: &Scope<'_>) -> Result<Vec<Planned>, Refusal> {
    // The parser's bindings panic on trees that they don't expect: that is a refusal too.
    let planned =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| statement::plan(sql, declared, scope)));
    planned.unwrap_or_else(|_| Err(refuse::unknown("a construct that the parser can't show")))
}
