//! What the planner decides of one statement, once. After this nobody looks at its SQL again.
//!
//! Upstream parameters `1..=client_params.len()` are the client's own, with their numbers kept, so
//! that the server sees gaps and types as the client wrote them; protected literals, and client
//! parameters that are needed in more than one form, follow after them. The session always runs a
//! [`Plan`] through the extended protocol, also when it came as a simple Query.

use super::copy;
use super::evaluation::{Answer, Evaluation};
use super::refusal::Refusal;
use crate::clear::Clear;
use crate::ids::FieldId;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

mod named;
mod splices;

pub use named::{Arg, ArgCast, Call, CallKind, Calls, Given, Prepares};
pub use splices::{Splice, Splices};

/// One statement of a text, decided.
#[derive(Debug)]
pub enum Verdict {
    /// Touches nothing protected: relayed as it is.
    Pass,
    /// Can't be protected.
    Refuse(Refusal),
    /// Runs in the form planned here.
    Run(Arc<Plan>),
    /// Runs a statement that was prepared under a name: the session knows which.
    Call(Box<Call>),
    /// Runs one under a name that stands for nothing: it fails where it would run, and its arguments stay here.
    Missing(Box<str>),
    /// Fails on the server all the same (unknown relation or column): this text, which holds no
    /// value of the statement, makes it say so in its own words.
    Fails(String),
    /// Names a relation that the catalog does not know: refresh the catalog on the client's own
    /// connection and plan again; the second time the planner answers [`Verdict::Fails`].
    NeedsCatalog,
}

/// A protected statement, ready to run.
#[derive(Debug, Default)]
pub struct Plan {
    /// The text sent upstream.
    pub sql: String,
    /// One for each of the client's parameters: what ParameterDescription tells it.
    pub client_params: Vec<ClientParam>,
    /// Upstream parameters in order; at least as many as `client_params`.
    pub params: Vec<Param>,
    /// Whose rows are written, when the statement writes protected values.
    pub write: Option<Write>,
    /// Result columns that hold protected values, by ascending column.
    pub outputs: Vec<Output>,
    /// Number of result columns that the client sees, where the plan knows it (checked against
    /// RowDescription; always known when there are outputs or hidden columns).
    pub visible: Option<u16>,
    /// Hidden result columns after the visible ones: their type OIDs, known from the catalog.
    pub hidden: Vec<u32>,
    /// The client's statement returns no rows: RowDescription becomes NoData, rows are dropped.
    pub swallow_rows: bool,
    /// ORDER BY on a token was seen (counted in the metrics).
    pub sorts_by_token: bool,
    /// It is an INSERT, UPDATE or DELETE, whatever it writes.
    pub modifies: bool,
    /// No protected literal lies in the text, so that the plan may be cached by it.
    pub cacheable: bool,
    /// Constants of the client's text (their bytes, in order) by which nothing was decided: with others in
    /// their place the plan is the same.
    pub free: Vec<Range<usize>>,
    /// Where the text was changed, to turn error positions back.
    pub splices: Splices,
    /// How it runs where it writes an erased person's placeholders back, if it can.
    pub keep: Option<Keep>,
    /// What the session makes of its RowDescription.
    pub described: Described,
    /// It is a COPY.
    pub copy: Option<Box<Copy>>,
    /// It declares a cursor: what its rows hold.
    pub cursor: Option<Arc<Cursor>>,
    /// It is a PREPARE: what it makes.
    pub prepares: Option<Arc<Prepares>>,
    /// It is an EXECUTE: what is bound in its place.
    pub calls: Option<Calls>,
    /// What is sent in place of [`Plan::sql`], where values can't be parameters.
    pub constants: Option<Constants>,
    /// What the gateway evaluates before it runs.
    pub evaluations: Vec<Evaluation>,
}

/// A text with values put in as constants, where a statement takes no parameters. In [`Plan::sql`] NULL stands
/// for each.
#[derive(Debug, Default)]
pub struct Constants {
    /// The text in pieces, each with the value that follows it.
    pub pieces: Vec<(String, Option<u16>)>,
    /// The values, of actions that need no subject.
    pub values: Vec<Param>,
}

/// A cursor on a protected table. Its rows have these columns, whoever fetches how many of them.
#[derive(Debug)]
pub struct Cursor {
    /// As it was declared.
    pub name: Box<str>,
    /// It outlives its transaction.
    pub hold: bool,
    /// See [`Plan::outputs`].
    pub outputs: Vec<Output>,
    /// See [`Plan::visible`].
    pub visible: Option<u16>,
    /// See [`Plan::hidden`].
    pub hidden: Vec<u32>,
}

impl Cursor {
    /// The plan of a FETCH, by its text.
    pub fn fetched(&self, sql: &str) -> Plan {
        Plan {
            sql: sql.to_owned(),
            outputs: self.outputs.clone(),
            visible: self.visible,
            hidden: self.hidden.clone(),
            ..Plan::default()
        }
    }
}

/// A COPY from or to the client. Rows that go out have the plan's columns ([`Plan::outputs`], hidden ones last).
#[derive(Debug)]
pub struct Copy {
    /// How its data reads.
    pub options: copy::Options,
    /// COPY FROM: what is made of its rows.
    pub from: Option<CopyFrom>,
}

/// What is made of the rows of a COPY FROM.
#[derive(Debug)]
pub struct CopyFrom {
    /// Schema and name of the table.
    pub table: (Arc<str>, Arc<str>),
    /// Names of the columns that the client sends, in order.
    pub columns: Vec<Arc<str>>,
    /// Its protected columns, ascending.
    pub fields: Vec<CopyField>,
    /// Whose each row is.
    pub subject: CopySubject,
    /// Name of the subject's column.
    pub subject_column: Arc<str>,
    /// Type OID of the subject's column.
    pub subject_oid: u32,
    /// Class of the subjects.
    pub class: Arc<str>,
    /// Where the table's subject has a `when`: the column that it tests (none: NULL in every row), its type
    /// OID, and what it must equal.
    pub when: Option<(Option<u16>, u32, WhenTest)>,
}

/// A protected column of a COPY FROM.
#[derive(Debug)]
pub struct CopyField {
    /// Its position in a row.
    pub column: u16,
    /// What it holds.
    pub field: FieldId,
    /// Type OID of the column as stored.
    pub stored_oid: u32,
}

/// Where the subject's id is found in a COPY FROM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CopySubject {
    /// In that column of the row.
    Column(u16),
    /// The database makes it: ids are drawn beforehand, and sent as one more column.
    Drawn,
    /// Nowhere: NULL in every row.
    Nobody,
}

/// A RowDescription as the server sent it first, and as the client sees it: mostly it comes again.
#[derive(Debug, Default)]
pub struct Described(OnceLock<Both>);

#[derive(Debug)]
struct Both {
    server: Box<[u8]>,
    client: Box<[u8]>,
}

impl Described {
    /// The client's form of this message, if it came before.
    pub fn shown(&self, server: &[u8]) -> Option<&[u8]> {
        self.0.get().filter(|both| *both.server == *server).map(|both| &*both.client)
    }

    /// Keeps the client's form of the first one.
    pub fn keep(&self, server: &[u8], shown: &[u8]) {
        self.0.get_or_init(|| Both { server: server.into(), client: shown.into() });
    }
}

impl Plan {
    /// Whether it can go upstream as the simple Query that it came as: nothing is bound, nothing that it does
    /// hangs on rows that must be seen first, and it is one statement to any grammar.
    pub fn stays_simple(&self) -> bool {
        self.params.is_empty()
            && self.write.is_none()
            && self.copy.is_none()
            && self.cursor.is_none()
            && self.prepares.is_none()
            && self.constants.is_none()
            && self.evaluations.is_empty()
            && (!self.modifies || self.outputs.is_empty())
            && !self.sql.trim_end().trim_end_matches(';').contains(';')
    }

    /// PREPARE of a statement that touches nothing protected.
    pub fn lets_through(&self) -> bool {
        self.prepares.as_ref().is_some_and(|prepares| prepares.plan.is_none())
    }

    /// The plan of another text that gives the same rows.
    pub fn read_by(&self, sql: impl Into<String>) -> Self {
        Self {
            sql: sql.into(),
            outputs: self.outputs.clone(),
            visible: self.visible,
            hidden: self.hidden.clone(),
            swallow_rows: self.swallow_rows,
            ..Self::default()
        }
    }

    /// Whether another plan of the same text sends, binds and shows the same.
    pub fn runs_like(&self, other: &Self) -> bool {
        let params =
            |plan: &Self| plan.params.iter().map(|p| (p.action.clone(), p.type_oid)).collect::<Vec<_>>();
        self.sql == other.sql
            && self.client_params == other.client_params
            && self.outputs == other.outputs
            && self.hidden == other.hidden
            && self.visible == other.visible
            && self.swallow_rows == other.swallow_rows
            && self.copy.is_none()
            && other.copy.is_none()
            // No value is printed, and the same text has the same.
            && format!("{:?}", self.evaluations) == format!("{:?}", other.evaluations)
            && params(self) == params(other)
    }
}

/// What the client is told of one of its parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientParam {
    /// As the server describes it.
    AsServer,
    /// A protected value: this type OID (unless the client declared one in Parse).
    Type(u32),
}

/// One upstream parameter.
#[derive(Debug)]
pub struct Param {
    /// Where its value comes from.
    pub source: Source,
    /// What is made of it.
    pub action: Action,
    /// Type OID declared in Parse; 0 leaves it to the client's declaration or the server.
    pub type_oid: u32,
    /// The type that a cast reads the client's value as, before it becomes the field's (0: no such cast).
    pub read_as: u32,
    /// Every column that it is written to is NOT NULL: there an erased value reads as its field's placeholder.
    pub not_null: bool,
}

/// How a statement runs where it writes back what an erased person's row shows: that means "unchanged".
/// The same parameters are bound as for [`Plan::sql`].
#[derive(Debug, Clone)]
pub struct Keep {
    /// The text in which protected columns of those rows keep what they hold. UPDATE: where the value is not
    /// NULL, and for a lookup where the subject's element is NULL. Upsert: for the subjects in [`Action::Kept`].
    pub sql: String,
    /// Upsert: locks the rows of the subjects in its one parameter (an array of this type), and gives their
    /// subjects. Where there is no row, nothing can be kept.
    pub rows: Option<(String, u32)>,
}

/// Where a value comes from.
#[derive(Debug)]
pub enum Source {
    /// The client's parameter of that index, from 0.
    Client(u16),
    /// A literal of the text, in the text form that Postgres would read (`None`: NULL).
    Literal(Option<Clear>),
    /// Nothing: the action alone makes it.
    Nothing,
}

/// What becomes of an upstream parameter's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Nothing protected: relayed as sent.
    Relay,
    /// The server must not see it (its protected forms have numbers of their own): NULL.
    Null,
    /// Sealed, as the row's subject.
    Seal {
        /// The field.
        field: FieldId,
        /// The row of [`Write::rows`].
        row: u16,
    },
    /// Tokenised, and the row's subject becomes a holder.
    Hold {
        /// The field.
        field: FieldId,
        /// The row of [`Write::rows`].
        row: u16,
    },
    /// Compared with a token column: its token, or a fresh unissued one.
    Find {
        /// The field.
        field: FieldId,
    },
    /// An array compared by ANY/ALL: the array of tokens.
    FindEach {
        /// The field.
        field: FieldId,
    },
    /// Compared case-folded: the array of all tokens whose identifier folds alike.
    FindFolded {
        /// The field.
        field: FieldId,
    },
    /// An array for UNNEST in INSERT … SELECT: each element sealed or tokenised for its own row.
    /// [`Write::rows`] then has exactly one entry, which stands for every row.
    ProtectEach {
        /// The field.
        field: FieldId,
    },
    /// What came of an evaluation.
    Answer(Answer),
    /// UPDATE by lookup: the array of the subjects that were found, in the text form of their column.
    Subjects,
    /// Upsert: the array of the subjects whose rows stay as they are ([`Keep`]).
    Kept,
    /// UPDATE by lookup: the array of the value protected for each of those subjects, in that order.
    ProtectPerSubject {
        /// The field.
        field: FieldId,
    },
}

/// How a statement writes.
#[derive(Debug, Default)]
pub struct Write {
    /// Class of its subjects.
    pub class: Arc<str>,
    /// It makes new rows.
    pub inserts: bool,
    /// Whose each written row is. INSERT: one per VALUES row. UPDATE: exactly one.
    pub rows: Vec<RowSubject>,
    /// Subjects that the statement doesn't fix: looked up first, on the same connection.
    pub lookup: Option<Lookup>,
    /// The subjects are known only from what RETURNING reports; binds what was made provisionally.
    pub bind: Option<Bind>,
    /// Statements in WITH whose rows tell their subjects by a setting: which, is told by the number of each here.
    pub within: Vec<Within>,
    /// Type OID of the subject column (to read a lookup or RETURNING).
    pub subject_oid: u32,
}

/// A statement in WITH, the subjects of whose rows the database tells.
#[derive(Debug, Clone)]
pub struct Within {
    /// Class of its subjects.
    pub class: Arc<str>,
    /// Type OID of the subject column.
    pub oid: u32,
    /// What is told of each row, by which its provisional secret is known.
    pub witnesses: Vec<Witness>,
    /// As [`Bind::repeats`].
    pub repeats: bool,
}

/// What tells which provisional secret a row was sealed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Witness {
    /// The head of an envelope's text form.
    Text,
    /// The head of an envelope, in hex.
    Bytes,
    /// A token.
    Token,
}

/// Whose row it is.
#[derive(Debug)]
pub struct RowSubject {
    /// The subject.
    pub subject: SubjectSource,
    /// Its condition, where the table's subject has a `when`: where it is false the row's
    /// protected values stay clear.
    pub when: Option<RowWhen>,
    /// The statement's condition sets the subject, and what `when` tests, equal to these: where one is NULL no row is
    /// written.
    pub pinned: bool,
    /// Class of the subject.
    pub class: Arc<str>,
    /// Type OID of the subject's column.
    pub oid: u32,
}

/// Where a row's subject id comes from.
#[derive(Debug)]
pub enum SubjectSource {
    /// The client's parameter of that index, from 0.
    Client(u16),
    /// A literal, as text.
    Literal(Box<str>),
    /// For UNNEST: one element per row of this array.
    Each(Source),
    /// The database makes it, or ON CONFLICT may land in another person's row: provisional, bound
    /// by [`Write::bind`].
    Returned,
    /// UPDATE: the subjects that [`Write::lookup`] finds.
    Found,
    /// A literal NULL: a row of nobody's; a protected value that is not NULL is refused.
    Nobody,
}

/// A row's `when`, to be evaluated before its values are protected.
#[derive(Debug)]
pub struct RowWhen {
    /// The tested column's value in this row.
    pub value: SubjectSource,
    /// The tested column's type OID, by which values are compared.
    pub oid: u32,
    /// What it must equal.
    pub equals: WhenTest,
}

/// The right side of a `when`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WhenTest {
    /// This text.
    Literal(Arc<str>),
    /// The single value that this query returns (as text), run on the client's connection; no row: false.
    Query(Arc<str>),
}

/// The statement that finds whose rows an UPDATE will write: `SELECT subject … FOR UPDATE`, with the
/// statement's own WHERE. It has the plan's upstream parameters; those not marked are NULL.
#[derive(Debug, Clone)]
pub struct Lookup {
    /// Its text; one result column, the subject.
    pub sql: String,
    /// The same rows' subjects, each once, without locking them.
    pub distinct: String,
    /// No two rows have one subject.
    pub unique: bool,
    /// Which upstream parameters it uses.
    pub uses: Vec<bool>,
}

/// How rows that come back are matched with what was sealed provisionally.
#[derive(Debug, Clone)]
pub struct Bind {
    /// Result column of the subject.
    pub subject: u16,
    /// Result columns of the row's written protected values, by which its provisional secret is
    /// known: an envelope's key id, else the tokens.
    pub witnesses: Vec<u16>,
    /// A row's values may be stored for several: more than one of them can't be bound, and fails.
    pub repeats: bool,
}

/// A result column that holds a protected value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Its position in the upstream row, from 0; always a visible column.
    pub column: u16,
    /// Which field it is.
    pub field: FieldId,
    /// Type OID of the column as stored.
    pub stored_oid: u32,
    /// The type that the client sees (OID, size, typmod): declared, or text where cast to text.
    pub shown: Shown,
    /// Class of the row's subject.
    pub class: Arc<str>,
    /// The result column (visible or hidden) with the row's subject, where the shape allows.
    pub subject: Option<u16>,
    /// Type OID of that column.
    pub subject_oid: u32,
    /// The hidden boolean column that tells whether the row's `when` holds.
    pub when: Option<u16>,
    /// The column can't be NULL: an erased value reads as the field's `erased` text.
    pub not_null: bool,
    /// It is a token: revealed, not opened.
    pub token: bool,
    /// The client's statement casts it: to the client it is no table's column.
    pub cast: bool,
    /// OID and column number of the table that the client's statement shows it from, where the one that is sent
    /// hides that.
    pub origin: Option<(u32, i16)>,
    /// A row that doesn't tell whose it is, is an error (`bind = "refuse"`).
    pub bound: bool,
}

/// A type as RowDescription tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown {
    /// Type OID.
    pub oid: u32,
    /// `typlen`: bytes, or -1.
    pub len: i16,
    /// Type modifier, or -1.
    pub typmod: i32,
}
