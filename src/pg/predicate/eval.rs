//! Operands, evaluated on a row.

use super::Row;
use super::collation::Collation;
use super::compare::text;
use super::compile::Node;
use super::constant::Constant;
use super::expr::Function;
use super::fault::Fault;
use super::functions::{self as f, Ends};
use super::types::{Slot, fixed, kind, natural, natural_oid};
use super::{compare, like, regex};
use crate::clear::{Clear, Kind};
use crate::pg::value::{self, Format, Settings};
use crate::policy::model::Declared;
use std::borrow::Cow;
use std::ops::Deref;
use std::sync::Arc;

/// An operand with its constants.
pub(super) enum Ready {
    Column(usize, Declared),
    Value(Option<Arc<Clear>>),
    /// A constant operand that can't be computed: an error for the first row that needs it.
    Fails(Fault),
    Call(Function, Vec<Ready>, Collation),
    Cast(Box<Ready>, Declared),
}

/// A value of the row or of a constant, or one that was computed.
pub(super) enum Held<'a> {
    There(&'a Clear),
    Own(Clear),
}

impl Deref for Held<'_> {
    type Target = Clear;

    fn deref(&self) -> &Clear {
        match self {
            Self::There(value) => value,
            Self::Own(value) => value,
        }
    }
}

impl Held<'_> {
    pub(super) fn text(&self) -> Result<&str, Fault> {
        if self.kind() == Kind::Text { text(self.bytes()) } else { Err(Fault::damaged()) }
    }

    fn int(&self) -> Result<i64, Fault> {
        if self.kind() == Kind::Int {
            Ok(i64::from_be_bytes(fixed(self.bytes())?))
        } else {
            Err(Fault::damaged())
        }
    }
}

enum Shared {
    One(Option<Arc<Clear>>),
    Array(Vec<Option<Arc<Clear>>>),
}

/// The constants of one execution.
pub(super) struct Values<'a> {
    constants: Vec<Shared>,
    settings: &'a Settings,
}

impl<'a> Values<'a> {
    pub(super) fn new(
        constants: Vec<Constant>,
        slots: &[Slot],
        settings: &'a Settings,
    ) -> Result<Self, Fault> {
        let other = || Fault::new("XX000", "the constants are not those of the predicate");
        if constants.len() != slots.len() {
            return Err(other());
        }
        let checked = |value: Clear, slot: &Slot| {
            if value.kind() == kind(slot.ty) { Ok(Arc::new(value)) } else { Err(other()) }
        };
        let shared = |(constant, slot): (Constant, &Slot)| match (constant, slot.array) {
            (Constant::Null, _) => Ok(Shared::One(None)),
            (Constant::One(value), false) => Ok(Shared::One(Some(checked(value, slot)?))),
            (Constant::Array(items), true) => {
                let items = items.into_iter().map(|v| v.map(|v| checked(v, slot)).transpose());
                Ok(Shared::Array(items.collect::<Result<_, _>>()?))
            }
            _ => Err(other()),
        };
        let constants = constants.into_iter().zip(slots).map(shared).collect::<Result<_, _>>()?;
        Ok(Self { constants, settings })
    }

    /// The elements of an array; `None` for NULL.
    pub(super) fn array(&self, slot: usize) -> Option<Vec<Ready>> {
        match self.constants.get(slot) {
            Some(Shared::Array(items)) => Some(items.iter().cloned().map(Ready::Value).collect()),
            _ => None,
        }
    }

    /// Puts the constants into an operand; what has no column in it is computed.
    pub(super) fn ready(&self, node: &Node) -> Ready {
        let ready = match node {
            Node::Column(at, ty) => return Ready::Column(*at, *ty),
            Node::Slot(slot) => {
                return match self.constants.get(*slot) {
                    Some(Shared::One(value)) => Ready::Value(value.clone()),
                    _ => Ready::Fails(Fault::damaged()),
                };
            }
            Node::Call(function, operands, collation) => {
                let operands = operands.iter().map(|o| self.ready(o)).collect();
                Ready::Call(*function, operands, collation.clone())
            }
            Node::Cast(operand, ty) => Ready::Cast(Box::new(self.ready(operand)), *ty),
        };
        if !ready.is_constant() {
            return ready;
        }
        match ready.eval(&[], self.settings) {
            Ok(value) => Ready::Value(value.map(Held::shared)),
            Err(fault) => Ready::Fails(fault),
        }
    }
}

impl Held<'_> {
    fn shared(self) -> Arc<Clear> {
        Arc::new(match self {
            Self::Own(value) => value,
            Self::There(value) => Clear::new(value.kind(), value.bytes().to_vec()),
        })
    }
}

impl Ready {
    fn is_constant(&self) -> bool {
        match self {
            Self::Column(..) => false,
            Self::Value(_) | Self::Fails(_) => true,
            Self::Call(_, operands, _) => operands.iter().all(Self::is_constant),
            Self::Cast(operand, _) => operand.is_constant(),
        }
    }

    /// Its value in that row; NULL is `None`.
    pub(super) fn eval<'r>(&'r self, row: &Row<'r>, settings: &Settings) -> Result<Option<Held<'r>>, Fault> {
        match self {
            Self::Value(value) => Ok(value.as_deref().map(Held::There)),
            Self::Fails(fault) => Err(fault.clone()),
            Self::Column(at, ty) => {
                let cell = row.get(*at).ok_or_else(|| Fault::new("XX000", "a row lacks a column"))?;
                cell.map(|value| column(value, *ty, settings)).transpose()
            }
            Self::Cast(operand, ty) => match operand.eval(row, settings)? {
                Some(value) => Ok(Some(Held::Own(cast(&value, *ty, settings)?))),
                None => Ok(None),
            },
            Self::Call(function, operands, collation) => call(*function, operands, collation, row, settings),
        }
    }
}

/// A value of the row. One that was sealed when the field had another type is read through its text form, as
/// `pg::value` shows it.
fn column<'r>(value: &'r Clear, ty: Declared, settings: &Settings) -> Result<Held<'r>, Fault> {
    let wanted = kind(ty);
    if value.kind() == wanted {
        return Ok(Held::There(value));
    }
    match value.kind() {
        _ if wanted == Kind::Text => cast(value, Declared::Text, settings).map(Held::Own),
        Kind::Text | Kind::Jsonb => {
            Ok(Held::Own(value::decode(value.bytes(), Format::Text, 0, ty, settings)?))
        }
        _ => Err(Fault::damaged()),
    }
}

/// A cast, by the type's own input and output. To varchar(n) it cuts, as an explicit one does.
fn cast(value: &Clear, to: Declared, settings: &Settings) -> Result<Clear, Fault> {
    let from = value.kind();
    let write = |format, as_text| -> Result<Clear, Fault> {
        let mut out = Vec::with_capacity(value.bytes().len() + 64);
        value::encode(from, value.bytes(), natural(from), format, as_text, settings, &mut out)?;
        Ok(Clear::new(Kind::Text, out))
    };
    match to {
        Declared::Text | Declared::Varchar(None) => write(Format::Text, true),
        Declared::Varchar(Some(n)) => {
            let whole = write(Format::Text, true)?;
            Ok(Clear::text(f::left(text(whole.bytes())?, i64::from(n))))
        }
        _ if from == Kind::Text => Ok(value::decode(value.bytes(), Format::Text, 25, to, settings)?),
        _ => {
            let binary = write(Format::Binary, false)?;
            Ok(value::decode(binary.bytes(), Format::Binary, natural_oid(from), to, settings)?)
        }
    }
}

fn owned<'r>(text: Cow<'_, str>) -> Option<Held<'r>> {
    Some(Held::Own(Clear::new(Kind::Text, text.into_owned().into_bytes())))
}

fn number<'r>(n: usize) -> Option<Held<'r>> {
    let n = i64::try_from(n).unwrap_or(i64::MAX);
    Some(Held::Own(Clear::new(Kind::Int, n.to_be_bytes().to_vec())))
}

fn call<'r>(
    function: Function,
    operands: &'r [Ready],
    collation: &Collation,
    row: &Row<'r>,
    settings: &Settings,
) -> Result<Option<Held<'r>>, Fault> {
    match function {
        Function::Coalesce => {
            for operand in operands {
                if let Some(value) = operand.eval(row, settings)? {
                    return Ok(Some(value));
                }
            }
            return Ok(None);
        }
        Function::ConcatAll => return joined("", operands, row, settings),
        _ => {}
    }
    let Some((first, rest)) = operands.split_first() else { return Err(Fault::damaged()) };
    let Some(first) = first.eval(row, settings)? else { return Ok(None) };
    match function {
        Function::ConcatWs => return joined(first.text()?, rest, row, settings),
        Function::Nullif => {
            let Some(second) = rest.first().map(|r| r.eval(row, settings)).transpose()?.flatten() else {
                return Ok(Some(first));
            };
            let same = compare::equal(first.kind(), first.bytes(), second.bytes(), collation)?;
            return Ok((!same).then_some(first));
        }
        _ => {}
    }
    let mut others = Vec::with_capacity(2);
    for operand in rest {
        let Some(value) = operand.eval(row, settings)? else { return Ok(None) };
        others.push(value);
    }
    strict(function, &first, &others, collation)
}

/// Functions that are NULL where any argument is.
fn strict<'r>(
    function: Function,
    first: &Held<'_>,
    others: &[Held<'_>],
    collation: &Collation,
) -> Result<Option<Held<'r>>, Fault> {
    use Function as F;
    if first.kind() == Kind::Bytes {
        return Ok(number(first.bytes().len()));
    }
    let (text, ctype) = (first.text()?, collation.ctype());
    let other = |at: usize| others.get(at).ok_or_else(Fault::damaged)?.text();
    let int = |at: usize| others.get(at).ok_or_else(Fault::damaged)?.int();
    let trimmed = |ends| -> Result<_, Fault> {
        let set = if others.is_empty() { " " } else { other(0)? };
        Ok(owned(f::trim(text, set, ends).into()))
    };
    Ok(match function {
        F::Upper => owned(ctype.upper(text)),
        F::Lower => owned(ctype.lower(text)),
        F::Initcap => owned(f::initcap(text, ctype).into()),
        F::Btrim => trimmed(Ends::Both)?,
        F::Ltrim => trimmed(Ends::Left)?,
        F::Rtrim => trimmed(Ends::Right)?,
        F::Length => number(text.chars().count()),
        F::OctetLength => number(text.len()),
        F::Left => owned(f::left(text, int(0)?).into()),
        F::Right => owned(f::right(text, int(0)?).into()),
        F::Substr => {
            let length = if others.len() > 1 { Some(int(1)?) } else { None };
            owned(f::substr(text, int(0)?, length)?.into())
        }
        F::Concat => {
            let second = other(0)?;
            let mut out = String::with_capacity(text.len() + second.len());
            out.push_str(text);
            out.push_str(second);
            owned(out.into())
        }
        F::Replace => owned(f::replace(text, other(0)?, other(1)?).into()),
        F::Reverse => owned(text.chars().rev().collect::<String>().into()),
        F::Strpos => number(f::strpos(text, other(0)?)),
        F::LikeEscape => owned(like::with_escape(text, other(0)?)?.into()),
        F::SimilarToEscape => {
            let escape = if others.is_empty() { "\\" } else { other(0)? };
            owned(regex::from_similar(text, escape)?.into())
        }
        F::Coalesce | F::Nullif | F::ConcatAll | F::ConcatWs => return Err(Fault::damaged()),
    })
}

/// Those that are not NULL, one after the other.
fn joined<'r>(
    separator: &str,
    operands: &'r [Ready],
    row: &Row<'r>,
    settings: &Settings,
) -> Result<Option<Held<'r>>, Fault> {
    let mut values = Vec::with_capacity(operands.len());
    for operand in operands {
        values.extend(operand.eval(row, settings)?);
    }
    let length = values.iter().map(|v| v.bytes().len() + separator.len()).sum();
    let mut out = String::with_capacity(length);
    for (i, value) in values.iter().enumerate() {
        if i > 0 {
            out.push_str(separator);
        }
        out.push_str(value.text()?);
    }
    Ok(owned(out.into()))
}
