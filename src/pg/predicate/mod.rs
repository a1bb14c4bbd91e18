//! Predicates and orderings that the database can't evaluate, since what they look at is sealed: evaluated here, on
//! clear values, as Postgres would.
//!
//! The planner makes a [`Test`] of the statement's tree, with its constants as numbered slots, and compiles it once
//! ([`Predicate`]). Each execution binds the constants ([`Bound`]: patterns are compiled, constant operands
//! computed), then every candidate row is tested: true, false, or NULL. Orderings go the same way: [`Order`],
//! [`BoundOrder`], and a [`SortKey`] for each row.
//!
//! No I/O, no keys. Texts are UTF-8, so the database's encoding must be UTF8 (or a text's bytes would be others there).
//! Nothing here prints a value: not in `Debug`, not in an error. What is copied is zeroised when dropped.
//! What differs from a server is listed in `docs/predicates.md`.

mod among;
mod bind;
mod collation;
mod compare;
mod compile;
mod constant;
mod eval;
mod expr;
mod fault;
mod functions;
mod json;
mod key;
mod like;
mod order;
mod regex;
mod rules;
mod test;
mod types;

pub use bind::{Bound, Predicate};
pub use collation::{Collation, CollationRow};
pub use constant::Constant;
pub use expr::{Expr, Function, Items, Operator, Test};
pub use fault::{Fault, Unsupported};
pub use order::{BoundOrder, Key, Order, SortKey, distinct, sorted};
pub use types::{Column, Scope, Slot};

use crate::clear::Clear;

/// The columns of a row, in the order of [`Scope::columns`]: NULL is `None`.
pub type Row<'a> = [Option<&'a Clear>];

#[cfg(test)]
mod tests;
