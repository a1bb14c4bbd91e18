//! From the grammar's nodes to what the gateway evaluates: tests and operands over the columns of one relation
//! and constants. Nothing is changed or refused here: what isn't followed is `None`.

use super::core::Planner;
use super::names::{Env, Flow, RelId};
use super::types;
use super::value::{What, function_name};
use crate::pg::predicate::{Expr, Function, Items, Operator, Test};
use crate::policy::model::Declared;
use pg_raw_parse::raw::{A_Expr_Kind, BoolExprType, BoolTestType, NullTestType};
use pg_raw_parse::{ConstValue, Node, nodes};
use std::sync::Arc;

/// What was read so far.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// The relation that all columns are of.
    pub(super) rel: Option<RelId>,
    /// Its columns, each once: the numbers in [`Expr::Column`] are positions here.
    pub(super) columns: Vec<usize>,
    pub(super) slots: Vec<SlotDraft>,
    /// A protected column: for messages.
    pub(super) label: Option<(Arc<str>, bool)>,
    /// A token is compared for equality, which the database can do.
    pub(super) equates_token: bool,
    /// An erased value is NULL, also where its column shows something in its place.
    pub(super) living: bool,
}

/// A constant.
#[derive(Debug)]
pub(super) struct SlotDraft {
    pub(super) what: What,
    /// The type that it is cast to or written as, or that the client declared.
    pub(super) ty: Option<Declared>,
    /// See [`crate::pg::plan::Param::read_as`].
    pub(super) read_as: u32,
}

impl Planner<'_> {
    /// A test.
    pub(super) fn read_test(&mut self, node: Node<'_>, env: &Env<'_>, r: &mut Reading) -> Option<Test> {
        match node {
            Node::BoolExpr(b) => {
                let tests: Option<Vec<Test>> =
                    b.args().iter().map(|arg| self.read_test(arg, env, r)).collect();
                let mut tests = tests?;
                match b.boolop {
                    BoolExprType::AND_EXPR => Some(Test::And(tests)),
                    BoolExprType::OR_EXPR => Some(Test::Or(tests)),
                    _ => Some(not(tests.pop()?)),
                }
            }
            Node::A_Expr(e) => self.read_comparison(e, env, r),
            Node::NullTest(t) => {
                let test = Test::IsNull(self.read_operand(t.arg(), env, r)?);
                Some(if t.nulltesttype == NullTestType::IS_NULL { test } else { not(test) })
            }
            Node::BooleanTest(t) => {
                let test = Box::new(self.read_test(t.arg(), env, r)?);
                Some(match t.booltesttype {
                    BoolTestType::IS_TRUE => Test::Is(test, Some(true)),
                    BoolTestType::IS_NOT_TRUE => not(Test::Is(test, Some(true))),
                    BoolTestType::IS_FALSE => Test::Is(test, Some(false)),
                    BoolTestType::IS_NOT_FALSE => not(Test::Is(test, Some(false))),
                    BoolTestType::IS_UNKNOWN => Test::Is(test, None),
                    _ => not(Test::Is(test, None)),
                })
            }
            Node::FuncCall(call) if is_starts_with(call) => {
                let [text, part] = [call.args().get(0)?, call.args().get(1)?];
                let text = self.read_operand(text, env, r)?;
                Some(Test::Compare(Operator::StartsWith, text, self.read_operand(part, env, r)?))
            }
            other => self.read_operand(other, env, r).map(Test::Holds),
        }
    }

    fn read_comparison(&mut self, e: &nodes::A_Expr, env: &Env<'_>, r: &mut Reading) -> Option<Test> {
        let names: Vec<&str> = e.name().iter().filter_map(|n| n.as_str()).collect();
        let ([name] | ["pg_catalog", name]) = names.as_slice() else { return None };
        let operator = || Operator::named(name);
        let left = e.lexpr();
        if matches!(left, Node::None | Node::RowExpr(_)) {
            return None;
        }
        let test = match e.kind {
            A_Expr_Kind::AEXPR_OP | A_Expr_Kind::AEXPR_LIKE | A_Expr_Kind::AEXPR_ILIKE => {
                let (left, right) = self.read_pair(left, e.rexpr(), env, r)?;
                Test::Compare(operator()?, left, right)
            }
            A_Expr_Kind::AEXPR_SIMILAR => {
                let (left, right) = self.read_pair(left, e.rexpr(), env, r)?;
                Test::Compare(operator()?, left, right)
            }
            A_Expr_Kind::AEXPR_DISTINCT => {
                let (left, right) = self.read_pair(left, e.rexpr(), env, r)?;
                Test::Compare(Operator::Distinct, left, right)
            }
            A_Expr_Kind::AEXPR_NOT_DISTINCT => {
                let (left, right) = self.read_pair(left, e.rexpr(), env, r)?;
                Test::Compare(Operator::NotDistinct, left, right)
            }
            A_Expr_Kind::AEXPR_IN => {
                let Node::NodeList(list) = e.rexpr() else { return None };
                let left = self.read_operand(left, env, r)?;
                let items: Option<Vec<Expr>> = list.iter().map(|n| self.read_operand(n, env, r)).collect();
                let operator = operator()?;
                let all = operator == Operator::NotEqual;
                Test::Quantified { left, operator, all, items: Items::List(items?) }
            }
            A_Expr_Kind::AEXPR_OP_ANY | A_Expr_Kind::AEXPR_OP_ALL => {
                let left = self.read_operand(left, env, r)?;
                let items = self.read_items(e.rexpr(), env, r)?;
                let all = e.kind == A_Expr_Kind::AEXPR_OP_ALL;
                Test::Quantified { left, operator: operator()?, all, items }
            }
            kind if (A_Expr_Kind::AEXPR_BETWEEN..=A_Expr_Kind::AEXPR_NOT_BETWEEN_SYM).contains(&kind) => {
                let Node::NodeList(list) = e.rexpr() else { return None };
                let item = self.read_operand(left, env, r)?;
                let low = self.read_operand(list.get(0)?, env, r)?;
                let high = self.read_operand(list.get(1)?, env, r)?;
                let symmetric =
                    matches!(kind, A_Expr_Kind::AEXPR_BETWEEN_SYM | A_Expr_Kind::AEXPR_NOT_BETWEEN_SYM);
                let negated =
                    matches!(kind, A_Expr_Kind::AEXPR_NOT_BETWEEN | A_Expr_Kind::AEXPR_NOT_BETWEEN_SYM);
                let within = Test::between(&item, &low, &high, symmetric);
                if negated { not(within) } else { within }
            }
            _ => return None,
        };
        let equates = matches!(
            test,
            Test::Compare(
                Operator::Equal | Operator::NotEqual | Operator::Distinct | Operator::NotDistinct,
                ..
            ) | Test::Quantified { operator: Operator::Equal | Operator::NotEqual, .. }
        );
        r.equates_token |= equates && r.label.as_ref().is_some_and(|(_, token)| *token);
        Some(test)
    }

    fn read_pair(
        &mut self,
        left: Node<'_>,
        right: Node<'_>,
        env: &Env<'_>,
        r: &mut Reading,
    ) -> Option<(Expr, Expr)> {
        Some((self.read_operand(left, env, r)?, self.read_operand(right, env, r)?))
    }

    /// What stands in ANY or ALL.
    fn read_items(&mut self, node: Node<'_>, env: &Env<'_>, r: &mut Reading) -> Option<Items> {
        if let Ok(Some(value)) = self.value(node) {
            let (ty, read_as) = match value.casts.as_slice() {
                [] => (None, 0),
                [cast] if cast.array => {
                    let ty = read_type(cast.to?)?;
                    let text = matches!(ty, Declared::Text | Declared::Varchar(_));
                    (Some(ty), if text { 0 } else { types::array_of(cast.to?.0)? })
                }
                _ => return None,
            };
            let ty = match &value.what {
                What::Param(n) if ty.is_none() => self.declared_element(*n),
                _ => ty,
            };
            return Some(Items::Array(r.slot(SlotDraft { what: value.what, ty, read_as })));
        }
        let (array, _) = self.array_in_casts(node).ok()?;
        let items: Option<Vec<Expr>> =
            array?.elements().iter().map(|n| self.read_operand(n, env, r)).collect();
        items.map(Items::List)
    }

    /// An operand.
    pub(super) fn read_operand(&mut self, node: Node<'_>, env: &Env<'_>, r: &mut Reading) -> Option<Expr> {
        if let Ok(Some(value)) = self.value(node) {
            let written = match node {
                Node::A_Const(c) => match c.val() {
                    Some(ConstValue::Integer(_)) => Some(Declared::Integer),
                    Some(ConstValue::Float(text)) if text.parse::<i64>().is_ok() => Some(Declared::Bigint),
                    Some(ConstValue::Float(_)) => Some(Declared::Numeric(None)),
                    Some(ConstValue::Boolean(_)) => Some(Declared::Boolean),
                    _ => None,
                },
                _ => None,
            };
            return self.read_constant(value, written, r);
        }
        match node {
            Node::ColumnRef(c) => {
                let flow = self.column(c, env).ok()?;
                self.read_column(&flow, r)
            }
            Node::TypeCast(cast) => {
                let inner = self.read_operand(cast.arg(), env, r)?;
                let cast = self.cast(cast, None).ok()?;
                if cast.array {
                    return None;
                }
                Some(Expr::Cast(Box::new(inner), read_type(cast.to?)?))
            }
            Node::CollateClause(c) => {
                let names: Vec<&str> = c.collname().iter().filter_map(|n| n.as_str()).collect();
                let collation = self.scope.catalog.collations.named(&names)?;
                Some(Expr::Collate(Box::new(self.read_operand(c.arg(), env, r)?), collation))
            }
            Node::CoalesceExpr(c) => self.read_call(Function::Coalesce, c.args().iter(), env, r),
            Node::A_Expr(e) if e.kind == A_Expr_Kind::AEXPR_NULLIF => {
                self.read_call(Function::Nullif, [e.lexpr(), e.rexpr()].into_iter(), env, r)
            }
            Node::A_Expr(e) if e.kind == A_Expr_Kind::AEXPR_OP && is_concat(e) => {
                self.read_call(Function::Concat, [e.lexpr(), e.rexpr()].into_iter(), env, r)
            }
            Node::FuncCall(call) => {
                let (name, system) = function_name(call).ok()?;
                let plain = system && is_plain_call(call);
                let function = Function::named(&name, call.args().len()).filter(|_| plain)?;
                self.read_call(function, call.args().iter(), env, r)
            }
            _ => None,
        }
    }

    fn read_call<'n>(
        &mut self,
        function: Function,
        args: impl Iterator<Item = Node<'n>>,
        env: &Env<'_>,
        r: &mut Reading,
    ) -> Option<Expr> {
        let args: Option<Vec<Expr>> = args.map(|arg| self.read_operand(arg, env, r)).collect();
        Some(Expr::Call(function, args?))
    }

    /// A column of the one relation.
    pub(super) fn read_column(&mut self, flow: &Flow, r: &mut Reading) -> Option<Expr> {
        let (rel, column) = match flow {
            Flow::Field(f) => f.at?,
            Flow::Plain(at) => (*at)?,
            Flow::Null => return None,
        };
        if *r.rel.get_or_insert(rel) != rel || !self.is_evaluable(rel) {
            return None;
        }
        match flow {
            Flow::Field(f) => {
                r.label.get_or_insert((f.label.clone(), f.token));
            }
            _ => {
                let relation = self.rels[rel].relation.as_ref()?;
                read_type((relation.columns.get(column)?.type_oid, -1))?;
            }
        }
        let known = r.columns.iter().position(|c| *c == column);
        Some(Expr::Column(known.unwrap_or_else(|| {
            r.columns.push(column);
            r.columns.len() - 1
        })))
    }

    fn read_constant(
        &mut self,
        value: super::value::Value,
        written: Option<Declared>,
        r: &mut Reading,
    ) -> Option<Expr> {
        let mut ty = written;
        let mut read_as = 0;
        let mut limit = None;
        for cast in &value.casts {
            let (oid, typmod) = cast.to.filter(|_| !cast.array)?;
            let to = read_type((oid, -1))?;
            let text = matches!(to, Declared::Text | Declared::Varchar(_));
            if ty.is_some_and(|ty| ty != to) && !text {
                // A cast of another type's value.
                return None;
            }
            if ty.is_some_and(|ty| !matches!(ty, Declared::Text | Declared::Varchar(_))) && text {
                return None;
            }
            if typmod != -1 {
                limit = Some(read_type((oid, typmod))?);
            }
            ty = Some(to);
            read_as = if text { 0 } else { oid };
        }
        if let (What::Param(n), None) = (&value.what, ty) {
            ty = self.declared_type(*n);
        }
        let slot = Expr::Slot(r.slot(SlotDraft { what: value.what, ty, read_as }));
        Some(match limit {
            Some(limit) => Expr::Cast(Box::new(slot), limit),
            None => slot,
        })
    }

    /// The type that the client declared for a parameter.
    fn declared_type(&self, number: u16) -> Option<Declared> {
        let oid = self.declared.get(usize::from(number).checked_sub(1)?)?;
        read_type((*oid, -1))
    }

    fn declared_element(&self, number: u16) -> Option<Declared> {
        let oid = self.declared.get(usize::from(number).checked_sub(1)?)?;
        read_type((crate::pg::value::element_oid(*oid)?, -1))
    }
}

impl Reading {
    fn slot(&mut self, slot: SlotDraft) -> usize {
        self.slots.push(slot);
        self.slots.len() - 1
    }
}

fn not(test: Test) -> Test {
    Test::Not(Box::new(test))
}

fn is_concat(e: &nodes::A_Expr) -> bool {
    let names: Vec<&str> = e.name().iter().filter_map(|n| n.as_str()).collect();
    matches!(names.as_slice(), ["||"] | ["pg_catalog", "||"])
}

fn is_starts_with(call: &nodes::FuncCall) -> bool {
    let named = matches!(function_name(call), Ok((name, true)) if name == "starts_with");
    named && is_plain_call(call) && call.args().len() == 2
}

/// A call of a function, and nothing but that.
fn is_plain_call(call: &nodes::FuncCall) -> bool {
    call.over().is_none()
        && matches!(call.agg_filter(), Node::None)
        && call.agg_order().is_empty()
        && !(call.agg_distinct || call.agg_star || call.agg_within_group || call.func_variadic)
}

/// The type of values that are evaluated, where it is one.
pub(super) fn read_type((oid, typmod): (u32, i32)) -> Option<Declared> {
    let length = || u32::try_from(typmod).ok().and_then(|n| n.checked_sub(4));
    Some(match oid {
        types::TEXT => Declared::Text,
        types::VARCHAR => Declared::Varchar(length()),
        types::INT2 | types::INT4 => Declared::Integer,
        types::INT8 => Declared::Bigint,
        types::NUMERIC if typmod == -1 => Declared::Numeric(None),
        types::BOOL => Declared::Boolean,
        types::DATE => Declared::Date,
        types::TIMESTAMPTZ if typmod == -1 => Declared::Timestamptz(None),
        types::UUID => Declared::Uuid,
        types::JSONB => Declared::Jsonb,
        types::BYTEA => Declared::Bytea,
        _ => return None,
    })
}
