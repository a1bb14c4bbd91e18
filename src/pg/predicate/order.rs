//! Orderings: a sort key for each row, made once. Keys compare as the rows do; rows whose keys are equal are equal
//! (DISTINCT, GROUP BY), and the least and the greatest key are those of `min` and `max`.

use super::Row;
use super::collation::Collation;
use super::compile::{Compiler, Node};
use super::constant::Constant;
use super::eval::{Ready, Values};
use super::expr::Expr;
use super::fault::{Fault, Unsupported};
use super::key;
use super::types::{Scope, Slot};
use crate::pg::value::Settings;
use hashbrown::HashSet;
use std::fmt;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// One item of an ORDER BY.
#[derive(Debug, Clone)]
pub struct Key {
    /// What is ordered.
    pub expr: Expr,
    /// DESC
    pub descending: bool,
    /// NULLS FIRST. Left out, it is what `descending` is.
    pub nulls_first: bool,
}

/// A compiled ordering: no value in it.
#[derive(Debug)]
pub struct Order {
    keys: Vec<(Node, Collation, Direction)>,
    slots: Vec<Slot>,
}

#[derive(Debug, Clone, Copy)]
struct Direction {
    descending: bool,
    nulls_first: bool,
}

impl Order {
    /// Settles types and collations.
    ///
    /// # Errors
    /// What this room does not evaluate, or the server would not run either.
    pub fn compile(keys: &[Key], scope: &Scope<'_>) -> Result<Self, Unsupported> {
        let mut compiler = Compiler::new(scope);
        let compiled = keys
            .iter()
            .map(|k| {
                let (node, _, collation) = compiler.ordered(&k.expr)?;
                Ok((node, collation, Direction { descending: k.descending, nulls_first: k.nulls_first }))
            })
            .collect::<Result<_, Unsupported>>()?;
        Ok(Self { keys: compiled, slots: compiler.slots() })
    }

    /// How each constant is to be decoded.
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// Puts the constants in.
    ///
    /// # Errors
    /// The constants are not those of [`Order::slots`].
    pub fn bind(&self, constants: Vec<Constant>, settings: &Settings) -> Result<BoundOrder, Fault> {
        let values = Values::new(constants, &self.slots, settings)?;
        let keys = self.keys.iter().map(|(node, collation, d)| (values.ready(node), collation.clone(), *d));
        Ok(BoundOrder { keys: keys.collect(), settings: settings.clone() })
    }
}

/// An ordering with its constants.
pub struct BoundOrder {
    keys: Vec<(Ready, Collation, Direction)>,
    settings: Settings,
}

impl fmt::Debug for BoundOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BoundOrder([secret])")
    }
}

/// Where a row stands in its ordering: as good as the clear values, so zeroised and never printed.
#[derive(PartialEq, Eq, PartialOrd, Ord, Hash, Zeroize, ZeroizeOnDrop)]
pub struct SortKey(Vec<u8>);

impl SortKey {
    /// Of an ordering of one item: that it is NULL.
    pub fn is_null(&self) -> bool {
        matches!(self.0.as_slice(), [one] if *one != VALUE)
    }
}

impl fmt::Debug for SortKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SortKey([secret])")
    }
}

const VALUE: u8 = 1;

impl BoundOrder {
    /// The row's key.
    ///
    /// # Errors
    /// What the server would say of such a value.
    pub fn key(&self, row: &Row<'_>) -> Result<SortKey, Fault> {
        let mut key = SortKey(Vec::with_capacity(64 * self.keys.len()));
        for (operand, collation, direction) in &self.keys {
            let Some(value) = operand.eval(row, &self.settings)? else {
                key.0.push(if direction.nulls_first { VALUE - 1 } else { VALUE + 1 });
                continue;
            };
            key.0.push(VALUE);
            let at = key.0.len();
            key::write(value.kind(), value.bytes(), collation, &mut key.0)?;
            if direction.descending {
                key.0[at..].iter_mut().for_each(|b| *b = !*b);
            }
        }
        Ok(key)
    }
}

/// The positions of the rows, in order; rows that are equal stay as they were.
pub fn sorted(keys: &[SortKey]) -> Vec<usize> {
    let mut positions: Vec<usize> = (0..keys.len()).collect();
    positions.sort_unstable_by(|a, b| keys[*a].cmp(&keys[*b]).then(a.cmp(b)));
    positions
}

/// The position of the first row of each that are equal, ascending.
pub fn distinct(keys: &[SortKey]) -> Vec<usize> {
    let mut seen = HashSet::with_capacity(keys.len());
    (0..keys.len()).filter(|at| seen.insert(&keys[*at])).collect()
}
