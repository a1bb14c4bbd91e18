//! What the database can't evaluate: it goes out of the text, with its constants, and the keys of the rows for
//! which it holds come in its place.

use super::core::{Origin, Planner, Step, Stop, Use};
use super::edit::Piece;
use super::names::{At, Env, Flow, RelId};
use super::reading::{Reading, SlotDraft};
use super::value::What;
use super::{refuse, types};
use crate::clear::Clear;
use crate::pg::catalog::model::RelationKind;
use crate::pg::evaluation::Answer;
use crate::pg::plan::{Action, Param, Source};
use crate::pg::predicate::{self, Column, Expr, Order, Predicate, Slot, Unsupported};
use crate::pg::refusal::Refusal;
use pg_raw_parse::raw::BoolExprType;
use pg_raw_parse::{Node, nodes};
use std::collections::BTreeMap;
use std::ops::Range;

/// What is evaluated of the statement, until its text is known.
#[derive(Debug, Default)]
pub(super) struct Evaluating {
    pub(super) tests: Vec<Draft<Predicate>>,
    pub(super) orders: Vec<Draft<Order>>,
    /// Of each relation, the conjuncts that the database evaluates and that are about it alone.
    pub(super) narrow: BTreeMap<RelId, Vec<Range<usize>>>,
    /// Nothing is evaluated here: the rows are only being written, or the query is kept.
    pub(super) off: bool,
    /// Of the expression at hand only matters whether it is true.
    pub(super) truth: bool,
    /// The rows at hand are groups, by these columns.
    pub(super) grouped: Option<Vec<At>>,
    /// And by the values of these.
    pub(super) classes: Vec<At>,
    /// What ranks rows by one column; see [`Reading::living`].
    pub(super) ranks: Vec<((At, bool), Vec<Piece>)>,
}

/// A test or an order.
#[derive(Debug)]
pub(super) struct Draft<T> {
    pub(super) rel: RelId,
    /// What it stood in place of.
    pub(super) range: Range<usize>,
    pub(super) what: T,
    /// Columns of the relation.
    pub(super) columns: Vec<usize>,
    pub(super) slots: Vec<Param>,
    /// It is a conjunct of WHERE.
    pub(super) decides: bool,
    /// See [`Reading::living`].
    pub(super) living: bool,
}

/// A state of planning to which an attempt goes back.
pub(super) struct Mark {
    edits: usize,
    uses: usize,
    tests: usize,
    orders: usize,
    ranks: usize,
    literals: bool,
    plain: std::collections::BTreeSet<u16>,
    free: BTreeMap<usize, usize>,
}

impl Planner<'_> {
    /// The state now.
    pub(super) fn mark(&self) -> Mark {
        Mark {
            edits: self.edits.len(),
            uses: self.uses.len(),
            tests: self.evaluating.tests.len(),
            orders: self.evaluating.orders.len(),
            ranks: self.evaluating.ranks.len(),
            literals: self.literals,
            plain: self.plain.clone(),
            free: self.free.clone(),
        }
    }

    /// Undoes what was noted since.
    pub(super) fn back_to(&mut self, mark: Mark) {
        self.edits.truncate(mark.edits);
        self.uses.truncate(mark.uses);
        self.evaluating.tests.truncate(mark.tests);
        self.evaluating.orders.truncate(mark.orders);
        self.evaluating.ranks.truncate(mark.ranks);
        self.literals = mark.literals;
        self.plain = mark.plain;
        self.free = mark.free;
    }

    /// An operator: the database evaluates it, or the gateway does.
    pub(super) fn compared(&mut self, e: &nodes::A_Expr, env: &Env<'_>, truth: bool) -> Step<()> {
        let mark = self.mark();
        match self.a_expr(e, env) {
            Err(Stop::Refuse(refusal)) if is_evaluable(&refusal) => {
                self.back_to(mark);
                match self.evaluated(Node::A_Expr(e), env, truth)? {
                    true => Ok(()),
                    false => Err(refusal.into()),
                }
            }
            done => done,
        }
    }

    /// AND, OR, NOT. An OR of tests of one relation that all must be evaluated here is evaluated as one.
    pub(super) fn boolean(&mut self, b: &nodes::BoolExpr, env: &Env<'_>, truth: bool) -> Step<()> {
        if b.boolop == BoolExprType::OR_EXPR
            && !self.evaluating.off
            && b.args().iter().all(|arg| self.is_for_us(arg, env))
            && self.evaluated(Node::BoolExpr(b), env, truth)?
        {
            return Ok(());
        }
        for arg in b.args() {
            self.evaluating.truth = truth && b.boolop != BoolExprType::NOT_EXPR;
            self.plain(arg, env, "a boolean operator")?;
        }
        Ok(())
    }

    /// Whether an operand of OR is a test that the database could not evaluate.
    fn is_for_us(&mut self, node: Node<'_>, env: &Env<'_>) -> bool {
        let Node::A_Expr(_) = node else { return false };
        let mut r = Reading::default();
        self.read_test(node, env, &mut r).is_some() && r.label.is_some() && !r.equates_token
    }

    /// Puts keys in the place of a test, where it can be read. False where it can't.
    pub(super) fn evaluated(&mut self, node: Node<'_>, env: &Env<'_>, truth: bool) -> Step<bool> {
        if self.evaluating.off {
            return Ok(false);
        }
        let mut r = Reading::default();
        let Some(test) = self.read_test(node, env, &mut r) else { return Ok(false) };
        let (Some(rel), Some((label, token)), Some(range)) = (r.rel, r.label.clone(), self.extent(node))
        else {
            return Ok(false);
        };
        let key = self.key_of(rel, &label)?;
        let compiled = self.compile(&r, |scope| Predicate::compile(&test, scope));
        let predicate = compiled.map_err(|e| unsupported(&e, &label, token))?;
        let typed = predicate.slots().to_vec();
        let slots = self.slot_params(r.slots, &typed)?;
        let number = u16::try_from(self.evaluating.tests.len()).map_err(|_| refuse::too_deep())?;
        let pieces = self.test_pieces(rel, key, number, truth)?;
        self.edit(range.clone(), pieces);
        self.evaluating.tests.push(Draft {
            rel,
            range,
            what: predicate,
            columns: r.columns,
            living: r.living,
            slots,
            decides: false,
        });
        Ok(true)
    }

    /// `t.id = ANY(keys)`, or its three values.
    fn test_pieces(&mut self, rel: RelId, key: usize, test: u16, truth: bool) -> Step<Vec<Piece>> {
        let (sql, kind, oid) = self.key_sql(rel, key)?;
        let nullable = self.rels[rel].nullable;
        let (lead, ends) = match (truth, nullable) {
            (true, false) => return Ok(any("(", &sql, self.answer(Answer::True(test), oid), kind, ")")),
            (true, true) => ("ELSE ", " END)"),
            (false, _) => ("WHEN ", " THEN true WHEN "),
        };
        let mut pieces = vec![Piece::Text("(CASE ".into())];
        if nullable {
            pieces.push(Piece::Text(format!("WHEN {sql} IS NULL THEN ")));
            pieces.push(Piece::Use(self.answer(Answer::Absent(test), types::BOOL)));
            pieces.push(Piece::Text("::boolean ".into()));
        }
        pieces.extend(any(lead, &sql, self.answer(Answer::True(test), oid), kind, ends));
        if !truth {
            let null = self.answer(Answer::Null(test), oid);
            pieces.extend(any("", &sql, null, kind, " THEN NULL ELSE false END)"));
        }
        Ok(pieces)
    }

    /// Puts ranks in the place of a sort key, where they can be told. `column`: what the key stands for, where it
    /// names an output column.
    pub(super) fn ranked(&mut self, node: Node<'_>, column: Option<&Flow>, env: &Env<'_>) -> Step<bool> {
        let Some(range) = self.extent(node).filter(|_| !self.evaluating.off) else { return Ok(false) };
        let own = match (node, column) {
            (_, Some(flow)) => Some(flow.clone()),
            (Node::ColumnRef(c), None) => self.column(c, env).ok(),
            _ => None,
        };
        let pieces = match own {
            Some(flow) => self.rank_of_column(&flow)?,
            None => {
                let mut r = Reading::default();
                match self.read_operand(node, env, &mut r) {
                    Some(expr) => self.rank_of(expr, r)?,
                    None => None,
                }
            }
        };
        let Some(pieces) = pieces else { return Ok(false) };
        self.edit(range, pieces);
        Ok(true)
    }

    /// What ranks the rows by a column; the same for each that asks.
    pub(super) fn rank_of_column(&mut self, flow: &Flow) -> Step<Option<Vec<Piece>>> {
        self.ranks_by(flow, false)
    }

    /// The same, where those of the erased have none, whatever they show.
    pub(super) fn rank_of_living(&mut self, flow: &Flow) -> Step<Option<Vec<Piece>>> {
        self.ranks_by(flow, true)
    }

    fn ranks_by(&mut self, flow: &Flow, living: bool) -> Step<Option<Vec<Piece>>> {
        let at = match flow {
            Flow::Field(f) => f.at,
            _ => None,
        };
        let Some(at) = at.filter(|_| !self.evaluating.off) else { return Ok(None) };
        // In a column that can be NULL they show nothing anyway.
        let stored = self.rels[at.0].relation.as_ref().and_then(|r| r.columns.get(at.1));
        let by = (at, living && stored.is_some_and(|column| column.not_null));
        if let Some((_, pieces)) = self.evaluating.ranks.iter().find(|(known, _)| *known == by) {
            return Ok(Some(pieces.clone()));
        }
        let mut r = Reading { living: by.1, ..Reading::default() };
        let Some(expr) = self.read_column(flow, &mut r) else { return Ok(None) };
        let pieces = self.rank_of(expr, r)?;
        self.evaluating.ranks.extend(pieces.clone().map(|pieces| (by, pieces)));
        Ok(pieces)
    }

    fn rank_of(&mut self, expr: Expr, r: Reading) -> Step<Option<Vec<Piece>>> {
        let (Some(rel), Some((label, token))) = (r.rel, r.label.clone()) else { return Ok(None) };
        // Tokens have an order of their own, if a meaningless one.
        let lost = |stop: Stop| if token { Ok(None) } else { Err(stop) };
        let key = match self.key_of(rel, &label) {
            Err(_) if self.is_class(rel, &r.columns) => self.key(rel),
            Err(stop) => return lost(stop),
            Ok(key) => Some(key),
        };
        let Some(key) = key else { return Ok(None) };
        let compiled = self.compile(&r, |scope| {
            Order::compile(&[predicate::Key { expr, descending: false, nulls_first: false }], scope)
        });
        let order = match compiled {
            Ok(order) => order,
            Err(e) => return lost(unsupported(&e, &label, token)),
        };
        let typed = order.slots().to_vec();
        let slots = self.slot_params(r.slots, &typed)?;
        let number = u16::try_from(self.evaluating.orders.len()).map_err(|_| refuse::too_deep())?;
        let pieces = self.rank_pieces(rel, key, number)?;
        let (columns, range, living) = (r.columns, 0..0, r.living);
        self.evaluating.orders.push(Draft {
            rel,
            range,
            what: order,
            columns,
            slots,
            decides: false,
            living,
        });
        Ok(Some(pieces))
    }

    /// Whether rows are grouped by the value of that column.
    fn is_class(&self, rel: RelId, columns: &[usize]) -> bool {
        matches!(columns, [one] if self.evaluating.classes.contains(&(rel, *one)))
    }

    /// The rank of a row: found by halving among the keys, where their type has one length; else by their text.
    fn rank_pieces(&mut self, rel: RelId, key: usize, order: u16) -> Step<Vec<Piece>> {
        let (sql, kind, oid) = self.key_sql(rel, key)?;
        Ok(if is_short(oid) {
            vec![
                Piece::Text("NULLIF((".into()),
                Piece::Use(self.answer(Answer::Ranks(order), INT4S)),
                Piece::Text(format!("::integer[])[pg_catalog.width_bucket({sql}, ")),
                Piece::Use(self.answer(Answer::Keys(order), oid)),
                Piece::Text(format!("::{kind}[])], 0)")),
            ]
        } else {
            vec![
                Piece::Text("((".into()),
                Piece::Use(self.answer(Answer::RankOf(order), types::JSONB)),
                Piece::Text(format!("::jsonb ->> {sql}::text)::integer)")),
            ]
        })
    }

    fn answer(&mut self, answer: Answer, oid: u32) -> usize {
        self.use_value(Use {
            origin: Origin::Nothing,
            action: Action::Answer(answer),
            oid,
            client_oid: 0,
            read_as: 0,
            not_null: false,
        })
    }

    /// The key in SQL, the name of its type, and the OID of the array over it.
    fn key_sql(&self, rel: RelId, key: usize) -> Step<(String, &'static str, u32)> {
        let lost = || refuse::unknown("a key of that type");
        let oid = self.rels[rel].relation.as_ref().and_then(|r| r.columns.get(key)).map_or(0, |c| c.type_oid);
        let sql = self.rels[rel].column_sql(key).ok_or_else(lost)?;
        let sql = if oid == types::VARCHAR { format!("{sql}::text") } else { sql };
        let kind = types::sql_name(oid).ok_or_else(lost)?;
        Ok((sql, kind, types::array_of(types::parameter_oid(oid)).ok_or_else(lost)?))
    }

    /// Whether rows of this relation can be looked at: a declared table itself, under a name of its own.
    pub(super) fn is_evaluable(&self, rel: RelId) -> bool {
        let rel = &self.rels[rel];
        let Some(relation) = &rel.relation else { return false };
        let named = rel.cols.iter().zip(&relation.columns).all(|(c, column)| c.name == *column.name);
        rel.table.is_some() && relation.kind == RelationKind::Table && named && !rel.alias.is_empty()
    }

    /// The column by which rows of a relation are told apart.
    pub(super) fn key(&self, rel: RelId) -> Option<usize> {
        let (relation, table) = (self.rels[rel].relation.as_ref()?, self.rels[rel].table?);
        let single = relation.unique.iter().filter_map(|key| match key.as_slice() {
            [one] if table.columns.iter().all(|placed| placed.column != *one) => relation.column(one),
            _ => None,
        });
        // The same row may be in several tables of a hierarchy.
        single
            .filter(|(_, c)| !relation.in_hierarchy && c.not_null && types::sql_name(c.type_oid).is_some())
            .min_by_key(|(_, c)| !is_short(types::array_of(c.type_oid).unwrap_or(0)))
            .map(|(i, _)| i)
    }

    fn key_of(&self, rel: RelId, label: &str) -> Step<usize> {
        let key = self.key(rel).ok_or_else(|| refuse::no_key(label))?;
        match &self.evaluating.grouped {
            Some(groups) if !groups.contains(&(rel, key)) => Err(refuse::grouped(label).into()),
            _ => Ok(key),
        }
    }

    fn compile<T>(
        &self,
        r: &Reading,
        compile: impl FnOnce(&predicate::Scope<'_>) -> Result<T, Unsupported>,
    ) -> Result<T, Unsupported> {
        let collations = &self.scope.catalog.collations;
        let slots: Vec<_> = r.slots.iter().map(|s| s.ty).collect();
        let mut columns = Vec::with_capacity(r.columns.len());
        for &column in &r.columns {
            let Some((rel, relation)) = r.rel.and_then(|rel| Some((rel, self.rels[rel].relation.as_ref()?)))
            else {
                continue;
            };
            let stored = &relation.columns[column];
            let ty = match &self.rels[rel].cols[column].flow {
                Flow::Field(f) => self.field(f.field).ok().map(|field| field.ty),
                _ => super::reading::read_type((stored.type_oid, -1)),
            };
            let collation = collations.of(stored.collation)?;
            columns.push(Column { ty: ty.unwrap_or(crate::policy::model::Declared::Text), collation });
        }
        compile(&predicate::Scope {
            columns: &columns,
            slots: &slots,
            default: collations.of_database()?,
            server_version: self.scope.server_version,
        })
    }

    /// The constants, with what the client is told of those that are its parameters.
    fn slot_params(&mut self, slots: Vec<SlotDraft>, typed: &[Slot]) -> Step<Vec<Param>> {
        let mut constants = Vec::with_capacity(slots.len());
        for (i, slot) in slots.into_iter().enumerate() {
            let source = match slot.what {
                What::Null => Source::Literal(None),
                What::Literal(text) => {
                    self.literals = true;
                    Source::Literal(Some(Clear::text(&text)))
                }
                What::Param(n) => {
                    let typed = typed.get(i).ok_or_else(|| refuse::unknown("a constant of that form"))?;
                    let (oid, _) = types::declared(typed.ty);
                    let client_oid = if typed.array { types::array_of(oid).unwrap_or(0) } else { oid };
                    self.use_value(Use {
                        origin: Origin::Param(n),
                        action: Action::Null,
                        oid: types::TEXT,
                        client_oid,
                        read_as: 0,
                        not_null: false,
                    });
                    Source::Client(n - 1)
                }
            };
            constants.push(Param {
                source,
                action: Action::Null,
                type_oid: 0,
                read_as: slot.read_as,
                not_null: false,
            });
        }
        Ok(constants)
    }
}

/// `integer[]`
const INT4S: u32 = 1007;

/// Whether the elements of an array of this type have one length.
fn is_short(array: u32) -> bool {
    [types::INT2, types::INT4, types::INT8, types::UUID].iter().any(|t| types::array_of(*t) == Some(array))
}

fn any(lead: &str, key: &str, keys: usize, kind: &str, end: &str) -> Vec<Piece> {
    vec![
        Piece::Text(format!("{lead}{key} = ANY(")),
        Piece::Use(keys),
        Piece::Text(format!("::{kind}[]){end}")),
    ]
}

/// Whether it was refused for what the gateway may evaluate itself.
pub(super) fn is_evaluable(refusal: &Refusal) -> bool {
    matches!(refusal.anchor, "encrypted-operator" | "token-operator" | "protected-expression" | "cast")
}

fn unsupported(error: &Unsupported, label: &str, token: bool) -> Stop {
    Stop::Refuse(refuse::not_evaluated(error.sqlstate(), &error.to_string(), label, token))
}
