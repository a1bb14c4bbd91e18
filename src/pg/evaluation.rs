//! What the gateway evaluates of a statement in the database's place, since it is about sealed values: tests of
//! rows, and their order. A part of the [`super::plan::Plan`], made with it.
//!
//! For each relation of the statement there is one [`Evaluation`]: its query fetches the candidate rows on the
//! client's own connection and in its transaction, and parameters of the statement take what came of them
//! ([`super::plan::Action::Answer`]).

use super::plan::Param;
use super::predicate::{Order, Predicate};
use crate::ids::FieldId;
use crate::policy::model::Declared;
use std::sync::Arc;

/// Rows of one relation that are held against tests, or put in order.
#[derive(Debug)]
pub struct Evaluation {
    /// Fetches the candidates: the key, what tells whose the row is, then [`Evaluation::columns`]. A LIMIT is put
    /// after it.
    pub sql: String,
    /// Which upstream parameters it uses.
    pub uses: Vec<bool>,
    /// The relation, for messages.
    pub table: Arc<str>,
    /// Type OID of the key, its first column.
    pub key_oid: u32,
    /// Class of the rows' subjects.
    pub class: Arc<str>,
    /// Type OID of the subject, its second column.
    pub subject_oid: u32,
    /// Its third column tells whether the row's `when` holds.
    pub when: bool,
    /// A row without a subject that holds something is an error (`bind = "refuse"`).
    pub bound: bool,
    /// The columns that are read, in its order.
    pub columns: Vec<Fetched>,
    /// What rows are held against.
    pub tests: Vec<Tested>,
    /// By what they are ordered.
    pub orders: Vec<Ordered>,
    /// The statement writes rows of this relation: this locks those whose keys are in its one parameter (an array
    /// of that type), and fetches them once more.
    pub again: Option<(String, u32)>,
}

/// A column that an evaluation reads.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// Its type, as clients see it.
    pub ty: Declared,
    /// What is protected in it; `None`: it stands in clear.
    pub field: Option<FieldId>,
    /// It holds tokens.
    pub token: bool,
    /// Type OID of the column as stored.
    pub stored_oid: u32,
    /// An erased value reads as its field's placeholder.
    pub not_null: bool,
}

/// A test, and its constants.
#[derive(Debug)]
pub struct Tested {
    /// Its number in [`Answer`].
    pub number: u16,
    /// What is tested.
    pub predicate: Predicate,
    /// Its columns, by their position in [`Evaluation::columns`].
    pub columns: Vec<usize>,
    /// Its constants, in the order of its slots.
    pub slots: Vec<Param>,
    /// Rows that do not pass it are in no result: they need no order.
    pub decides: bool,
}

/// An order of rows: each has a rank, and equal ones the same.
#[derive(Debug)]
pub struct Ordered {
    /// Its number in [`Answer`].
    pub number: u16,
    /// By what.
    pub order: Order,
    /// Its columns, by their position in [`Evaluation::columns`].
    pub columns: Vec<usize>,
    /// Its constants, in the order of its slots.
    pub slots: Vec<Param>,
}

/// What a parameter takes of an evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Answer {
    /// The keys of the rows for which that test is true.
    True(u16),
    /// Those for which it is NULL.
    Null(u16),
    /// What it is where the relation has no row, in an outer join.
    Absent(u16),
    /// The keys of the rows in that order, ascending.
    Keys(u16),
    /// Their ranks from 1, in the order of their keys; 0 for NULL.
    Ranks(u16),
    /// Ranks by key, as a JSON object.
    RankOf(u16),
}
