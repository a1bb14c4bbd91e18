//! The query that fetches the rows on which something is evaluated: the relation itself, narrowed by what of the
//! statement's own WHERE the database can evaluate on it alone. More rows than needed are right, fewer are not.

use super::core::{Planner, uses};
use super::edit::{self, Edit, quote};
use super::evaluate::{Draft, Evaluating};
use super::locking::Lock;
use super::names::{Env, Flow, RelId};
use super::value::function_name;
use super::{reading, refuse, types};
use crate::pg::evaluation::{Evaluation, Fetched, Ordered, Tested};
use crate::pg::refusal::Refusal;
use crate::policy::model::Declared;
use pg_raw_parse::raw::{A_Expr_Kind, BoolExprType};
use pg_raw_parse::{Node, nodes};
use std::ops::Range;

impl Planner<'_> {
    /// Notes which conjuncts of a WHERE narrow the candidates of the level's relations.
    pub(super) fn narrow(&mut self, condition: Node<'_>, env: &Env<'_>) {
        let mut rels: Vec<RelId> = env.ns.rels.clone();
        let evaluated = |e: &Evaluating, rel: RelId| {
            e.tests.iter().any(|t| t.rel == rel) || e.orders.iter().any(|o| o.rel == rel)
        };
        // Where a join makes a row of NULLs, a row that is left out would make one more of them.
        rels.retain(|&rel| evaluated(&self.evaluating, rel) && !self.rels[rel].nullable);
        if rels.is_empty() {
            return;
        }
        let mut conjuncts = Vec::new();
        flatten(condition, &mut conjuncts);
        for conjunct in conjuncts {
            let Some(range) = self.extent(conjunct) else { continue };
            let mut within = false;
            for test in &mut self.evaluating.tests {
                test.decides |= test.range == range && rels.contains(&test.rel);
                within |= range.start <= test.range.start && test.range.end <= range.end;
            }
            if within {
                continue;
            }
            for &rel in &rels {
                if self.is_local(conjunct, rel, env) {
                    self.evaluating.narrow.entry(rel).or_default().push(range.clone());
                }
            }
        }
    }

    /// Whether a condition is about one relation only, and says the same of a row each time.
    fn is_local(&mut self, node: Node<'_>, rel: RelId, env: &Env<'_>) -> bool {
        match node {
            Node::ColumnRef(c) => match self.column(c, env) {
                Ok(Flow::Plain(Some(at))) => at.0 == rel,
                Ok(Flow::Field(f)) => f.at.is_some_and(|at| at.0 == rel),
                _ => false,
            },
            Node::A_Const(_) | Node::ParamRef(_) => true,
            Node::TypeCast(cast) => self.is_local(cast.arg(), rel, env),
            Node::NullTest(t) => self.is_local(t.arg(), rel, env),
            Node::BooleanTest(t) => self.is_local(t.arg(), rel, env),
            Node::BoolExpr(b) => b.args().iter().all(|n| self.is_local(n, rel, env)),
            Node::NodeList(list) => list.iter().all(|n| self.is_local(n, rel, env)),
            Node::A_ArrayExpr(a) => a.elements().iter().all(|n| self.is_local(n, rel, env)),
            Node::A_Expr(e) if e.kind != A_Expr_Kind::AEXPR_NULLIF => {
                let left = matches!(e.lexpr(), Node::None) || self.is_local(e.lexpr(), rel, env);
                left && self.is_local(e.rexpr(), rel, env)
            }
            Node::FuncCall(call) => {
                is_folding(call) && call.args().iter().all(|n| self.is_local(n, rel, env))
            }
            _ => false,
        }
    }

    /// What is evaluated, of each relation.
    pub(super) fn evaluations(
        &mut self,
        number: &impl Fn(usize) -> usize,
        params: usize,
    ) -> Result<Vec<Evaluation>, Refusal> {
        let Evaluating { tests, orders, narrow, .. } = std::mem::take(&mut self.evaluating);
        let mut all: Vec<Fetching> = Vec::new();
        let of = |planner: &Self, rel: RelId, all: &mut Vec<Fetching>| {
            if let Some(at) = all.iter().position(|f| f.rel == rel) {
                return Ok(at);
            }
            let conjuncts = narrow.get(&rel).map(Vec::as_slice).unwrap_or_default();
            all.push(Fetching::new(planner, rel, conjuncts, number, params)?);
            Ok::<usize, Refusal>(all.len() - 1)
        };
        for (number, test) in (0..).zip(tests) {
            let at = of(self, test.rel, &mut all)?;
            let Draft { what: predicate, columns, slots, decides, living, .. } = test;
            let columns = all[at].columns(self, &columns, living)?;
            all[at].evaluation.tests.push(Tested { number, predicate, columns, slots, decides });
        }
        for (number, order) in (0..).zip(orders) {
            let at = of(self, order.rel, &mut all)?;
            let Draft { what: order, columns, slots, living, .. } = order;
            let columns = all[at].columns(self, &columns, living)?;
            all[at].evaluation.orders.push(Ordered { number, order, columns, slots });
        }
        Ok(all.into_iter().map(Fetching::finish).collect())
    }
}

/// An evaluation whose query is being put together.
struct Fetching {
    rel: RelId,
    evaluation: Evaluation,
    select: Vec<String>,
    from: String,
    rest: String,
    /// The type of the key, the OID of the array over it, and how its rows are locked, where they are.
    again: Option<(&'static str, u32, Lock)>,
    known: Vec<(usize, bool)>,
}

impl Fetching {
    fn new(
        planner: &Planner<'_>,
        rel: RelId,
        conjuncts: &[Range<usize>],
        number: &impl Fn(usize) -> usize,
        params: usize,
    ) -> Result<Self, Refusal> {
        let lost = || refuse::unknown("a relation that is evaluated");
        let instance = &planner.rels[rel];
        let (Some(relation), Some(table)) = (&instance.relation, instance.table) else { return Err(lost()) };
        let key = planner.key(rel).ok_or_else(lost)?;
        let field = instance.cols.iter().find_map(|c| match &c.flow {
            Flow::Field(f) => Some(f),
            _ => None,
        });
        let field = field.ok_or_else(lost)?;
        let mut select = vec![instance.column_sql(key).ok_or_else(lost)?];
        let subject = field.subject.and_then(|at| instance.column_sql(at.1));
        select.push(subject.ok_or_else(lost)?);
        let when = match field.when {
            None => false,
            Some(at) => {
                let at = at.ok_or_else(lost)?;
                select.push(planner.when_sql(&field.table, at).map_err(|_| lost())?);
                true
            }
        };
        let alias = if *instance.alias == *relation.name || instance.schema.is_some() {
            String::new()
        } else {
            format!(" AS {}", quote(&instance.alias))
        };
        let from = format!(" FROM {}.{}{alias}", quote(&relation.schema), quote(&relation.name));
        let mut rest = String::new();
        for (i, range) in conjuncts.iter().enumerate() {
            let within =
                |e: &&Edit| range.start <= e.range.start && e.range.end <= range.end && !e.range.is_empty();
            let edits: Vec<Edit> = planner.edits.iter().filter(within).cloned().collect();
            let clash = || refuse::unknown("a construct whose parts overlap");
            let (text, _) = edit::apply(planner.text, range, &edits, number).ok_or_else(clash)?;
            // The line break ends a comment at its end.
            rest.push_str(if i == 0 { " WHERE (" } else { " AND (" });
            rest.push_str(&text);
            rest.push_str("\n)");
        }
        let uses = uses(&rest, params);
        let key_oid = relation.columns[key].type_oid;
        Ok(Self {
            rel,
            evaluation: Evaluation {
                sql: String::new(),
                uses,
                table: table.name.clone(),
                key_oid,
                class: table.subject.class.clone(),
                subject_oid: field.subject_oid,
                when,
                bound: field.bound,
                columns: Vec::new(),
                tests: Vec::new(),
                orders: Vec::new(),
                again: None,
            },
            select,
            from,
            rest,
            again: planner.locks.iter().find(|(of, _)| *of == rel && !planner.explain).and_then(
                |(_, lock)| {
                    Some((types::sql_name(key_oid)?, types::array_of(types::parameter_oid(key_oid))?, *lock))
                },
            ),
            known: Vec::new(),
        })
    }

    /// The positions of these columns of the relation. `living`: see [`Reading`](super::reading::Reading).
    fn columns(
        &mut self,
        planner: &Planner<'_>,
        columns: &[usize],
        living: bool,
    ) -> Result<Vec<usize>, Refusal> {
        let mut positions = Vec::with_capacity(columns.len());
        for &column in columns {
            if let Some(at) = self.known.iter().position(|k| *k == (column, living)) {
                positions.push(at);
                continue;
            }
            let lost = || refuse::unknown("a column that is evaluated");
            let instance = &planner.rels[self.rel];
            let stored = instance.relation.as_ref().and_then(|r| r.columns.get(column)).ok_or_else(lost)?;
            let mut fetched = Fetched {
                ty: reading::read_type((stored.type_oid, -1)).unwrap_or(Declared::Text),
                field: None,
                token: false,
                stored_oid: stored.type_oid,
                not_null: false,
            };
            if let Flow::Field(f) = &instance.cols[column].flow {
                let field = planner.scope.policy.fields.get(usize::from(f.field.0)).ok_or_else(lost)?;
                fetched.ty = field.ty;
                fetched.field = Some(f.field);
                fetched.token = f.token;
                fetched.not_null = stored.not_null && !instance.nullable && !living;
            }
            self.select.push(instance.column_sql(column).ok_or_else(lost)?);
            self.known.push((column, living));
            self.evaluation.columns.push(fetched);
            positions.push(self.known.len() - 1);
        }
        Ok(positions)
    }

    fn finish(mut self) -> Evaluation {
        let select = self.select.join(", ");
        self.evaluation.sql = format!("SELECT {select}{}{}", self.from, self.rest);
        if let Some((kind, oid, lock)) = self.again.filter(|_| !self.evaluation.tests.is_empty()) {
            let key = self.select.first().map_or("", String::as_str);
            let lock = lock.sql();
            let sql = format!("SELECT {select}{} WHERE {key} = ANY($1::{kind}[]){lock}", self.from);
            self.evaluation.again = Some((sql, oid));
        }
        self.evaluation
    }
}

/// The conditions that all must hold.
fn flatten<'n>(node: Node<'n>, out: &mut Vec<Node<'n>>) {
    match node {
        Node::BoolExpr(b) if b.boolop == BoolExprType::AND_EXPR => {
            b.args().iter().for_each(|arg| flatten(arg, out));
        }
        Node::None => {}
        other => out.push(other),
    }
}

/// `upper` or `lower`: they say the same of a value each time.
fn is_folding(call: &nodes::FuncCall) -> bool {
    let folds = matches!(function_name(call), Ok((name, true)) if matches!(name.as_str(), "upper" | "lower"));
    folds && call.over().is_none() && call.args().len() == 1
}
