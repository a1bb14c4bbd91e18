//! From the statement's tree to a predicate whose types and collations are settled, by Postgres's own rules: an
//! unknown constant takes the type of what it stands beside; a column's collation beats the database's, an explicit
//! one beats both, and two columns' different ones are a conflict.

use super::collation::Collation;
use super::expr::{Expr, Function, Items, Operator, Test};
use super::fault::Unsupported;
use super::rules::{Coll, castable, integers, merged, of_type, or_default, result, unify};
use super::types::{Scope, Slot, bare};
use crate::policy::model::Declared;

/// An operand whose type is settled.
#[derive(Debug)]
pub(super) enum Node {
    Column(usize, Declared),
    Slot(usize),
    Call(Function, Vec<Node>, Collation),
    Cast(Box<Node>, Declared),
}

/// A test whose types and collations are settled.
#[derive(Debug)]
pub(super) enum Check {
    And(Vec<Check>),
    Or(Vec<Check>),
    Not(Box<Check>),
    IsNull(Node),
    Is(Box<Check>, Option<bool>),
    Holds(Node),
    Compare(Operator, Node, Node, Collation),
    List { left: Node, operator: Operator, all: bool, items: Vec<Node>, collation: Collation },
    Array { left: Node, operator: Operator, all: bool, slot: usize, collation: Collation },
}

/// An operand and what is known of it.
struct Typed {
    node: Node,
    ty: Declared,
    coll: Coll,
}

/// Deepest nesting that is compiled: the tree is walked by recursion.
const DEPTH: usize = 200;

pub(super) struct Compiler<'a> {
    scope: Scope<'a>,
    slots: Vec<Option<Slot>>,
    depth: usize,
}

impl<'a> Compiler<'a> {
    pub(super) fn new(scope: &Scope<'a>) -> Self {
        Self { scope: *scope, slots: vec![None; scope.slots.len()], depth: 0 }
    }

    /// What each slot is read as; one that nothing reads is text.
    pub(super) fn slots(self) -> Vec<Slot> {
        let unused = Slot { ty: Declared::Text, array: false };
        self.slots.into_iter().map(|slot| slot.unwrap_or(unused)).collect()
    }

    fn deeper<T>(&mut self, go: impl FnOnce(&mut Self) -> Result<T, Unsupported>) -> Result<T, Unsupported> {
        if self.depth == DEPTH {
            return Err(Unsupported::construct("a predicate nested too deeply"));
        }
        self.depth += 1;
        let done = go(self);
        self.depth -= 1;
        done
    }

    pub(super) fn test(&mut self, test: &Test) -> Result<Check, Unsupported> {
        self.deeper(|c| match test {
            Test::And(all) => Ok(Check::And(all.iter().map(|t| c.test(t)).collect::<Result<_, _>>()?)),
            Test::Or(all) => Ok(Check::Or(all.iter().map(|t| c.test(t)).collect::<Result<_, _>>()?)),
            Test::Not(t) => Ok(Check::Not(Box::new(c.test(t)?))),
            Test::Is(t, truth) => Ok(Check::Is(Box::new(c.test(t)?), *truth)),
            Test::IsNull(e) => Ok(Check::IsNull(c.typed(e, None)?.node)),
            Test::Holds(e) => {
                let operand = c.typed(e, Some(Declared::Boolean))?;
                if operand.ty != Declared::Boolean {
                    return Err(Unsupported::types("a condition that is not boolean"));
                }
                Ok(Check::Holds(operand.node))
            }
            Test::Compare(operator, left, right) => c.comparison(*operator, left, right),
            Test::Quantified { left, operator, all, items } => c.quantified(left, *operator, *all, items),
        })
    }

    fn comparison(&mut self, operator: Operator, left: &Expr, right: &Expr) -> Result<Check, Unsupported> {
        let ty = self.common(operator.name(), &[left, right])?;
        let (l, r) = (self.cast_to(left, ty)?, self.cast_to(right, ty)?);
        let collation = self.for_operator(operator, ty, &[&l, &r])?;
        Ok(Check::Compare(operator, l.node, r.node, collation))
    }

    fn quantified(
        &mut self,
        left: &Expr,
        operator: Operator,
        all: bool,
        items: &Items,
    ) -> Result<Check, Unsupported> {
        if matches!(operator, Operator::Distinct | Operator::NotDistinct) {
            return Err(Unsupported::construct(format!("{} ANY/ALL", operator.name())));
        }
        match items {
            Items::List(list) => {
                let operands: Vec<&Expr> = std::iter::once(left).chain(list).collect();
                let ty = self.common(operator.name(), &operands)?;
                let l = self.cast_to(left, ty)?;
                let items: Vec<Typed> =
                    list.iter().map(|item| self.cast_to(item, ty)).collect::<Result<_, _>>()?;
                let operands: Vec<&Typed> = std::iter::once(&l).chain(&items).collect();
                let collation = self.for_operator(operator, ty, &operands)?;
                let items = items.into_iter().map(|t| t.node).collect();
                Ok(Check::List { left: l.node, operator, all, items, collation })
            }
            Items::Array(slot) => {
                let declared = self.declared(*slot)?;
                let element = declared.map(bare);
                let ty = match (self.infer(left)?, element) {
                    (Some(l), Some(e)) => unify(operator.name(), l, e)?,
                    (Some(ty), None) | (None, Some(ty)) => ty,
                    (None, None) => Declared::Text,
                };
                // The elements are read as they are, and cast by whoever compares them.
                let own = element.unwrap_or(ty);
                if own != ty && !integers(own, ty) {
                    return Err(Unsupported::construct(format!("{own} = ANY({ty}[])")));
                }
                let l = self.cast_to(left, ty)?;
                self.settle(*slot, Slot { ty: own, array: true })?;
                let collation = self.for_operator(operator, ty, &[&l])?;
                Ok(Check::Array { left: l.node, operator, all, slot: *slot, collation })
            }
        }
    }

    /// The collation that an operator works under, and whether it works at all.
    fn for_operator(
        &self,
        operator: Operator,
        ty: Declared,
        operands: &[&Typed],
    ) -> Result<Collation, Unsupported> {
        use Operator as O;
        let ordering = matches!(operator, O::Less | O::LessEqual | O::Greater | O::GreaterEqual);
        let pattern = !ordering && !matches!(operator, O::Equal | O::NotEqual | O::Distinct | O::NotDistinct);
        if pattern && ty != Declared::Text {
            return Err(match ty {
                Declared::Bytea => Unsupported::construct(format!("{} on bytea", operator.name())),
                _ => Unsupported::types(format!("operator does not exist: {ty} {} {ty}", operator.name())),
            });
        }
        if ty != Declared::Text {
            return Ok(self.scope.default.clone());
        }
        let collation = self.settled(merged(operands.iter().map(|t| t.coll.clone())))?;
        if pattern && !collation.is_deterministic() {
            return Err(Unsupported::construct(format!(
                "{} under the nondeterministic collation \"{}\"",
                operator.name(),
                collation.name()
            )));
        }
        Ok(collation)
    }

    pub(super) fn settled(&self, coll: Coll) -> Result<Collation, Unsupported> {
        match coll {
            Coll::None | Coll::Default => Ok(self.scope.default.clone()),
            Coll::Implicit(c) | Coll::Explicit(c) => Ok(c),
            Coll::Conflict(a, b) | Coll::Mismatch(a, b) => {
                Err(Unsupported::Collation(a.name().into(), b.name().into()))
            }
        }
    }

    /// An operand of an ordering, and the collation that it is ordered by.
    pub(super) fn ordered(&mut self, expr: &Expr) -> Result<(Node, Declared, Collation), Unsupported> {
        let typed = self.typed(expr, None)?;
        let collation = match typed.ty {
            Declared::Text => self.settled(typed.coll)?,
            _ => self.scope.default.clone(),
        };
        Ok((typed.node, typed.ty, collation))
    }

    fn declared(&self, slot: usize) -> Result<Option<Declared>, Unsupported> {
        let declared = self.scope.slots.get(slot).copied();
        declared.ok_or_else(|| Unsupported::construct("a constant that was not declared"))
    }

    fn settle(&mut self, slot: usize, wanted: Slot) -> Result<(), Unsupported> {
        match self.slots.get_mut(slot) {
            Some(own @ None) => *own = Some(wanted),
            Some(Some(own)) if *own == wanted => {}
            _ => return Err(Unsupported::construct("a parameter that is used as two types")),
        }
        Ok(())
    }

    /// The type that operands of one operator share.
    fn common(&self, what: &str, operands: &[&Expr]) -> Result<Declared, Unsupported> {
        let mut common: Option<Declared> = None;
        for operand in operands {
            if let Some(ty) = self.infer(operand)? {
                common = Some(common.map_or(Ok(ty), |c| unify(what, c, ty))?);
            }
        }
        Ok(common.unwrap_or(Declared::Text))
    }

    /// The type of an operand, where it isn't an unknown constant.
    fn infer(&self, expr: &Expr) -> Result<Option<Declared>, Unsupported> {
        Ok(match expr {
            Expr::Column(at) => Some(bare(self.column(*at)?.ty)),
            Expr::Slot(slot) => self.declared(*slot)?.map(bare),
            Expr::Collate(e, _) => Some(self.infer(e)?.unwrap_or(Declared::Text)),
            Expr::Cast(_, ty) => Some(bare(*ty)),
            Expr::Call(Function::Coalesce | Function::Nullif, operands) => {
                let mut common: Option<Declared> = None;
                for operand in operands {
                    if let Some(ty) = self.infer(operand)? {
                        common = Some(common.map_or(Ok(ty), |c| unify("COALESCE", c, ty))?);
                    }
                }
                Some(common.unwrap_or(Declared::Text))
            }
            Expr::Call(function, _) => Some(result(*function)),
        })
    }

    fn column(&self, at: usize) -> Result<&'a super::types::Column, Unsupported> {
        self.scope.columns.get(at).ok_or_else(|| Unsupported::construct("a column that was not declared"))
    }

    /// The operand as a value of that type, by an implicit cast where it has another.
    fn cast_to(&mut self, expr: &Expr, ty: Declared) -> Result<Typed, Unsupported> {
        let typed = self.typed(expr, Some(ty))?;
        if typed.ty == ty || integers(typed.ty, ty) {
            return Ok(typed);
        }
        Ok(Typed { node: Node::Cast(Box::new(typed.node), ty), ty, coll: typed.coll })
    }

    /// An operand; an unknown constant is read as `wanted`, or else as text.
    fn typed(&mut self, expr: &Expr, wanted: Option<Declared>) -> Result<Typed, Unsupported> {
        self.deeper(|c| match expr {
            Expr::Column(at) => {
                let column = c.column(*at)?;
                let ty = bare(column.ty);
                let coll = match (&column.collation, ty) {
                    (_, ty) if ty != Declared::Text => Coll::None,
                    (Some(collation), _) => Coll::Implicit(collation.clone()),
                    (None, _) => Coll::Default,
                };
                Ok(Typed { node: Node::Column(*at, ty), ty, coll })
            }
            Expr::Slot(slot) => {
                let ty = c.declared(*slot)?.map_or(wanted.unwrap_or(Declared::Text), bare);
                c.settle(*slot, Slot { ty, array: false })?;
                Ok(Typed { node: Node::Slot(*slot), ty, coll: of_type(ty) })
            }
            Expr::Collate(e, collation) => {
                let typed = c.typed(e, wanted)?;
                if typed.ty != Declared::Text {
                    return Err(Unsupported::types(format!(
                        "collations are not supported by type {}",
                        typed.ty
                    )));
                }
                Ok(Typed { coll: Coll::Explicit(collation.clone()), ..typed })
            }
            Expr::Cast(e, ty) => c.cast(e, *ty),
            Expr::Call(function, operands) => c.call(*function, operands, wanted),
        })
    }

    fn cast(&mut self, expr: &Expr, ty: Declared) -> Result<Typed, Unsupported> {
        let typed = self.typed(expr, Some(bare(ty)))?;
        let coll = match (&typed.coll, bare(ty)) {
            (Coll::None, to) => of_type(to),
            (_, Declared::Text) => typed.coll,
            _ => Coll::None,
        };
        if typed.ty == ty || (typed.ty, ty) == (Declared::Text, Declared::Varchar(None)) {
            return Ok(Typed { coll, ..typed });
        }
        if !castable(typed.ty, bare(ty)) {
            return Err(Unsupported::construct(format!("a cast from {} to {ty}", typed.ty)));
        }
        Ok(Typed { node: Node::Cast(Box::new(typed.node), ty), ty: bare(ty), coll })
    }

    fn call(
        &mut self,
        function: Function,
        operands: &[Expr],
        wanted: Option<Declared>,
    ) -> Result<Typed, Unsupported> {
        use Function as F;
        let expression = Expr::Call(function, operands.to_vec());
        let ty = match function {
            F::Coalesce | F::Nullif => match self.infer(&expression)? {
                Some(Declared::Text) => {
                    wanted.filter(|_| self.all_unknown(operands)).unwrap_or(Declared::Text)
                }
                other => other.unwrap_or(Declared::Text),
            },
            other => result(other),
        };
        let mut nodes = Vec::with_capacity(operands.len());
        let mut colls = Vec::with_capacity(operands.len());
        for (i, operand) in operands.iter().enumerate() {
            let typed = self.argument(function, i, operand, ty)?;
            colls.push(typed.coll);
            nodes.push(typed.node);
        }
        let coll = merged(colls.into_iter());
        let collation = match function {
            _ if matches!(coll, Coll::Mismatch(..)) => self.settled(coll.clone())?,
            // They work without one.
            F::Concat
            | F::ConcatAll
            | F::ConcatWs
            | F::Coalesce
            | F::Left
            | F::Right
            | F::Substr
            | F::Reverse => self.scope.default.clone(),
            _ => self.settled(coll.clone())?,
        };
        self.check_collation(function, &collation)?;
        let coll = if bare(ty) == Declared::Text { or_default(coll) } else { Coll::None };
        Ok(Typed { node: Node::Call(function, nodes, collation), ty, coll })
    }

    fn all_unknown(&self, operands: &[Expr]) -> bool {
        operands
            .iter()
            .all(|o| matches!(o, Expr::Slot(s) if self.scope.slots.get(*s).is_some_and(Option::is_none)))
    }

    /// An argument of a function, as the function wants it.
    fn argument(
        &mut self,
        function: Function,
        at: usize,
        operand: &Expr,
        ty: Declared,
    ) -> Result<Typed, Unsupported> {
        use Function as F;
        let as_text = |c: &mut Self| {
            let typed = c.typed(operand, Some(Declared::Text))?;
            Ok(match typed.ty {
                Declared::Text => typed,
                _ => Typed {
                    node: Node::Cast(Box::new(typed.node), Declared::Text),
                    ty: Declared::Text,
                    coll: Coll::Default,
                },
            })
        };
        let exactly = |c: &mut Self, wanted: Declared| {
            let typed = c.typed(operand, Some(wanted))?;
            if typed.ty == wanted || integers(typed.ty, wanted) {
                return Ok(typed);
            }
            Err(Unsupported::types(format!("function {function:?} does not take {}", typed.ty)))
        };
        match function {
            F::Coalesce | F::Nullif => self.cast_to(operand, ty),
            F::Concat => {
                let typed = as_text(self)?;
                if self.infer(operand)?.is_some_and(|t| matches!(t, Declared::Bytea | Declared::Jsonb)) {
                    return Err(Unsupported::construct("|| of bytea or jsonb"));
                }
                Ok(typed)
            }
            F::ConcatAll => match self.infer(operand)? {
                Some(Declared::Boolean) => Err(Unsupported::construct("concat of a boolean")),
                _ => as_text(self),
            },
            F::ConcatWs if at > 0 => match self.infer(operand)? {
                Some(Declared::Boolean) => Err(Unsupported::construct("concat_ws of a boolean")),
                _ => as_text(self),
            },
            F::Left | F::Right | F::Substr if at > 0 => exactly(self, Declared::Integer),
            F::Length | F::OctetLength if self.infer(operand)? == Some(Declared::Bytea) => {
                self.typed(operand, None)
            }
            F::Substr | F::Btrim | F::Ltrim | F::Rtrim | F::Strpos | F::Reverse | F::LikeEscape
                if self.infer(operand)? == Some(Declared::Bytea) =>
            {
                Err(Unsupported::construct(format!("function {function:?} of bytea")))
            }
            _ => exactly(self, Declared::Text),
        }
    }

    fn check_collation(&self, function: Function, collation: &Collation) -> Result<(), Unsupported> {
        use super::collation::Ctype;
        let named = |what: &str| {
            Err(Unsupported::construct(format!("{what} under the collation \"{}\"", collation.name())))
        };
        match function {
            Function::Initcap if matches!(collation.ctype(), Ctype::Icu(_) | Ctype::BuiltinFull) => {
                named("initcap")
            }
            Function::Replace | Function::Strpos if !collation.is_deterministic() => {
                named("replace or strpos")
            }
            _ => Ok(()),
        }
    }
}
