//! Tests, evaluated on a row with three-valued logic.

use super::Row;
use super::bind::{Bind, Pattern, compiled, pattern_kind};
use super::collation::Collation;
use super::compare;
use super::eval::{Held, Ready};
use super::expr::Operator;
use super::fault::Fault;
use crate::pg::value::Settings;

type Truth = Option<bool>;

impl Bind {
    pub(super) fn test(&self, row: &Row<'_>, settings: &Settings) -> Result<Truth, Fault> {
        let eval = |ready| Ready::eval(ready, row, settings);
        match self {
            Self::And(all) => every(all.iter().map(|t| t.test(row, settings))),
            Self::Or(all) => some(all.iter().map(|t| t.test(row, settings))),
            Self::Not(test) => Ok(test.test(row, settings)?.map(|t| !t)),
            Self::Is(test, truth) => Ok(Some(test.test(row, settings)? == *truth)),
            Self::IsNull(operand) => Ok(Some(eval(operand)?.is_none())),
            Self::Holds(operand) => Ok(eval(operand)?.map(|v| v.bytes() == [1])),
            Self::Null => Ok(None),
            Self::Compare(operator, left, right, collation) => {
                let (left, right) = (eval(left)?, eval(right)?);
                compared(*operator, left.as_ref(), right.as_ref(), collation)
            }
            Self::Match { item, pattern, negated } => matched(pattern, *negated, eval(item)?.as_ref()),
            Self::Among { left, among, negated } => {
                let left = eval(left)?;
                Ok(among.has(left.as_deref()).map(|found| found != *negated))
            }
            Self::Patterns { left, all, negated, patterns } => {
                let left = eval(left)?;
                quantified(*all, patterns.iter().map(|p| matched(p, *negated, left.as_ref())))
            }
            Self::Quantified { left, operator, all, items, collation } => {
                let left = eval(left)?;
                let each = items.iter().map(|item| {
                    let item = eval(item)?;
                    compared(*operator, left.as_ref(), item.as_ref(), collation)
                });
                quantified(*all, each)
            }
        }
    }
}

/// True unless one is false or NULL; the rest is not looked at once one is false.
fn every(truths: impl Iterator<Item = Result<Truth, Fault>>) -> Result<Truth, Fault> {
    let mut all = Some(true);
    for truth in truths {
        match truth? {
            Some(false) => return Ok(Some(false)),
            None => all = None,
            Some(true) => {}
        }
    }
    Ok(all)
}

fn some(truths: impl Iterator<Item = Result<Truth, Fault>>) -> Result<Truth, Fault> {
    Ok(every(truths.map(|t| t.map(|t| t.map(|t| !t))))?.map(|t| !t))
}

fn quantified(all: bool, truths: impl Iterator<Item = Result<Truth, Fault>>) -> Result<Truth, Fault> {
    if all { every(truths) } else { some(truths) }
}

/// The server looks at the pattern only when there is a text to match.
fn matched(pattern: &Pattern, negated: bool, item: Option<&Held<'_>>) -> Result<Truth, Fault> {
    let Some(item) = item else { return Ok(None) };
    Ok(pattern.matches(item.text()?)?.map(|m| m != negated))
}

fn compared(
    operator: Operator,
    left: Option<&Held<'_>>,
    right: Option<&Held<'_>>,
    collation: &Collation,
) -> Result<Truth, Fault> {
    use Operator as O;
    let (left, right) = match (left, right) {
        (Some(left), Some(right)) => (left, right),
        (a, b) => {
            let both = a.is_none() && b.is_none();
            return Ok(match operator {
                O::Distinct => Some(!both),
                O::NotDistinct => Some(both),
                _ => None,
            });
        }
    };
    if left.kind() != right.kind() {
        return Err(Fault::damaged());
    }
    let equal = || compare::equal(left.kind(), left.bytes(), right.bytes(), collation);
    let order = || compare::compare(left.kind(), left.bytes(), right.bytes(), collation);
    Ok(Some(match operator {
        O::Equal | O::NotDistinct => equal()?,
        O::NotEqual | O::Distinct => !equal()?,
        O::Less => order()?.is_lt(),
        O::LessEqual => order()?.is_le(),
        O::Greater => order()?.is_gt(),
        O::GreaterEqual => order()?.is_ge(),
        _ => {
            let negated = pattern_kind(operator).is_some_and(|(_, negated)| negated);
            return matched(&compiled(operator, right.text()?, collation), negated, Some(left));
        }
    }))
}
