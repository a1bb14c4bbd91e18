//! A predicate compiled once for each plan, and bound once for each execution: constants are put in, operands of
//! constants alone are computed, patterns are compiled.

use super::Row;
use super::among::Among;
use super::collation::Collation;
use super::compile::{Check, Compiler};
use super::constant::Constant;
use super::eval::{Ready, Values};
use super::expr::{Operator, Test};
use super::fault::{Fault, Unsupported};
use super::types::{Scope, Slot};
use super::{like, regex};
use crate::clear::Clear;
use crate::pg::value::Settings;

/// A compiled predicate: no value in it.
#[derive(Debug)]
pub struct Predicate {
    check: Check,
    slots: Vec<Slot>,
}

impl Predicate {
    /// Settles types and collations.
    ///
    /// # Errors
    /// What this room does not evaluate, or the server would not run either.
    pub fn compile(test: &Test, scope: &Scope<'_>) -> Result<Self, Unsupported> {
        let mut compiler = Compiler::new(scope);
        let check = compiler.test(test)?;
        Ok(Self { check, slots: compiler.slots() })
    }

    /// How each constant is to be decoded.
    pub fn slots(&self) -> &[Slot] {
        &self.slots
    }

    /// Puts the constants in, as many as there are slots. A constant that can't be computed (a pattern that is
    /// none) fails only where a row needs it, as it does on the server.
    ///
    /// # Errors
    /// The constants are not those of [`Predicate::slots`].
    pub fn bind(&self, constants: Vec<Constant>, settings: &Settings) -> Result<Bound, Fault> {
        let values = Values::new(constants, &self.slots, settings)?;
        let check = bind_check(&self.check, &values);
        Ok(Bound { check, settings: settings.clone() })
    }
}

/// A predicate with its constants.
pub struct Bound {
    check: Bind,
    settings: Settings,
}

impl std::fmt::Debug for Bound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Bound([secret])")
    }
}

impl Bound {
    /// Whether the row passes; NULL is `None`, and a WHERE lets it pass no more than false.
    ///
    /// # Errors
    /// What the server would say of such a value, or a pattern that this room can't evaluate.
    pub fn test(&self, row: &Row<'_>) -> Result<Option<bool>, Fault> {
        self.check.test(row, &self.settings)
    }
}

/// A test with its constants.
pub(super) enum Bind {
    And(Vec<Bind>),
    Or(Vec<Bind>),
    Not(Box<Bind>),
    IsNull(Ready),
    Is(Box<Bind>, Option<bool>),
    Holds(Ready),
    Compare(Operator, Ready, Ready, Collation),
    /// A pattern that is the same for every row.
    Match {
        item: Ready,
        pattern: Pattern,
        negated: bool,
    },
    Quantified {
        left: Ready,
        operator: Operator,
        all: bool,
        items: Vec<Ready>,
        collation: Collation,
    },
    /// `= ANY` or `<> ALL` of constants whose equality is that of their bytes.
    Among {
        left: Ready,
        among: Among,
        negated: bool,
    },
    /// ANY or ALL of the patterns.
    Patterns {
        left: Ready,
        all: bool,
        negated: bool,
        patterns: Vec<Pattern>,
    },
    /// NULL, whatever the row.
    Null,
}

/// A compiled pattern.
pub(super) enum Pattern {
    Null,
    Like(like::Pattern),
    /// Both sides in lower case.
    Ilike(like::Pattern, Collation),
    Regex(Box<regex::Regex>),
    Prefix(zeroize::Zeroizing<String>),
    Fails(Fault),
}

fn bind_all(checks: &[Check], values: &Values<'_>) -> Vec<Bind> {
    checks.iter().map(|c| bind_check(c, values)).collect()
}

fn bind_check(check: &Check, values: &Values<'_>) -> Bind {
    match check {
        Check::And(all) => Bind::And(bind_all(all, values)),
        Check::Or(all) => Bind::Or(bind_all(all, values)),
        Check::Not(c) => Bind::Not(Box::new(bind_check(c, values))),
        Check::Is(c, truth) => Bind::Is(Box::new(bind_check(c, values)), *truth),
        Check::IsNull(node) => Bind::IsNull(values.ready(node)),
        Check::Holds(node) => Bind::Holds(values.ready(node)),
        Check::Compare(operator, left, right, collation) => {
            compared(*operator, values.ready(left), values.ready(right), collation)
        }
        Check::List { left, operator, all, items, collation } => {
            let items = items.iter().map(|i| values.ready(i)).collect();
            quantified(values.ready(left), *operator, *all, items, collation)
        }
        Check::Array { left, operator, all, slot, collation } => match values.array(*slot) {
            None => Bind::Null,
            Some(items) => quantified(values.ready(left), *operator, *all, items, collation),
        },
    }
}

fn compared(operator: Operator, left: Ready, right: Ready, collation: &Collation) -> Bind {
    match (pattern_kind(operator), &right) {
        (Some((_, negated)), Ready::Value(_) | Ready::Fails(_)) => {
            Bind::Match { item: left, pattern: pattern(operator, right, collation), negated }
        }
        _ => Bind::Compare(operator, left, right, collation.clone()),
    }
}

fn quantified(left: Ready, operator: Operator, all: bool, items: Vec<Ready>, collation: &Collation) -> Bind {
    let constant = items.iter().all(|i| matches!(i, Ready::Value(_)));
    if let (Some((_, negated)), true) = (pattern_kind(operator), constant) {
        let patterns = items.into_iter().map(|i| pattern(operator, i, collation)).collect();
        return Bind::Patterns { left, all, negated, patterns };
    }
    let membership = matches!((operator, all), (Operator::Equal, false) | (Operator::NotEqual, true));
    if membership && constant && collation.is_deterministic() {
        match Among::new(items) {
            Ok(among) => return Bind::Among { left, among, negated: all },
            Err(items) => {
                return Bind::Quantified { left, operator, all, items, collation: collation.clone() };
            }
        }
    }
    Bind::Quantified { left, operator, all, items, collation: collation.clone() }
}

/// Whether it matches a pattern, and whether the answer is turned round.
pub(super) fn pattern_kind(operator: Operator) -> Option<(Operator, bool)> {
    use Operator as O;
    Some(match operator {
        O::Like | O::Ilike | O::Match | O::Imatch | O::StartsWith => (operator, false),
        O::NotLike => (O::Like, true),
        O::NotIlike => (O::Ilike, true),
        O::NotMatch => (O::Match, true),
        O::NotImatch => (O::Imatch, true),
        _ => return None,
    })
}

/// Compiles the constant on a pattern's right side.
fn pattern(operator: Operator, right: Ready, collation: &Collation) -> Pattern {
    match right {
        Ready::Value(Some(value)) => match text_of(&value) {
            Ok(text) => compiled(operator, text, collation),
            Err(fault) => Pattern::Fails(fault),
        },
        Ready::Fails(fault) => Pattern::Fails(fault),
        _ => Pattern::Null,
    }
}

fn text_of(value: &Clear) -> Result<&str, Fault> {
    super::compare::text(value.bytes())
}

/// Compiles a pattern that is not NULL.
pub(super) fn compiled(operator: Operator, text: &str, collation: &Collation) -> Pattern {
    let regex = |ignore_case| match regex::Regex::new(text, ignore_case, collation.ctype()) {
        Ok(regex) => Pattern::Regex(Box::new(regex)),
        Err(fault) => Pattern::Fails(fault),
    };
    match pattern_kind(operator) {
        Some((Operator::Like, _)) => Pattern::Like(like::Pattern::new(text)),
        Some((Operator::Ilike, _)) => {
            let lower = zeroize::Zeroizing::new(collation.ctype().lower(text).into_owned());
            Pattern::Ilike(like::Pattern::new(&lower), collation.clone())
        }
        Some((Operator::Match, _)) => regex(false),
        Some((Operator::Imatch, _)) => regex(true),
        _ => Pattern::Prefix(zeroize::Zeroizing::new(text.to_owned())),
    }
}

impl Pattern {
    /// Whether a text that is not NULL matches.
    pub(super) fn matches(&self, text: &str) -> Result<Option<bool>, Fault> {
        Ok(Some(match self {
            Self::Null => return Ok(None),
            Self::Like(pattern) => pattern.matches(text)?,
            Self::Ilike(pattern, collation) => {
                let lower = collation.ctype().lower(text);
                let matches = pattern.matches(&lower);
                if let std::borrow::Cow::Owned(mut lower) = lower {
                    zeroize::Zeroize::zeroize(&mut lower);
                }
                matches?
            }
            Self::Regex(regex) => regex.matches(text)?,
            Self::Prefix(prefix) => text.starts_with(prefix.as_str()),
            Self::Fails(fault) => return Err(fault.clone()),
        }))
    }
}
