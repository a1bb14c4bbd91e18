//! SELECT: what its columns hold, and the subject as a hidden column.

use super::core::{Planner, Step};
use super::edit::Piece;
use super::from::Side;
use super::grouping::plain_at;
use super::label::column_name;
use super::names::{At, Cte, Env, FieldFlow, Flow, Namespace, RelCol, RelId};
use super::refuse::{self, operator};
use super::{types, when};
use crate::pg::plan::{Output, Shown};
use pg_raw_parse::list::NodeList;
use pg_raw_parse::raw::SetOperation;
use pg_raw_parse::{Node, nodes};

/// What a SELECT gives.
#[derive(Debug, Default)]
pub(super) struct Selected {
    pub(super) cols: Vec<RelCol>,
    /// `*` took columns that aren't known here.
    pub(super) open: bool,
    /// A column may be added to it without changing its rows.
    pub(super) hideable: bool,
    /// The instances in its FROM, where it may.
    pub(super) rels: Vec<RelId>,
}

impl<'s> Planner<'s> {
    /// A SELECT as the whole statement.
    pub(super) fn top_select(&mut self, s: &nodes::SelectStmt) -> Step<()> {
        self.top_columns(s).map(drop)
    }

    /// The same; gives the names of its columns.
    pub(super) fn top_columns(&mut self, s: &nodes::SelectStmt) -> Step<Vec<String>> {
        let selected = self.select(s, &Env::default())?;
        if s.into_clause().is_some() {
            return Ok(Vec::new());
        }
        let from = s.target_list().first().and_then(|t| self.token_at(t.location).ok()).and_then(|at| {
            let depth = self.tokens.get(at)?.depth;
            self.tokens.clause("from", at, self.span.end, depth)
        });
        let hideable = selected.hideable && from.is_some();
        let hidden = self.outputs(&selected.cols, selected.open, hideable)?;
        if let (Some(from), false) = (from, hidden.is_empty()) {
            let end = self.bytes_of(from - 1).end;
            self.edit(end..end, vec![Piece::Text(format!(", {}", hidden.join(", ")))]);
        }
        Ok(selected.cols.into_iter().map(|c| c.name).collect())
    }

    /// Records which result columns hold what; gives the hidden columns to add, as SQL.
    pub(super) fn outputs(&mut self, cols: &[RelCol], open: bool, hideable: bool) -> Step<Vec<String>> {
        if self.explain {
            return Ok(Vec::new());
        }
        let mut hidden = Hidden { first: cols.len(), sql: Vec::new(), oids: Vec::new() };
        let mut outputs = Vec::new();
        for (i, col) in cols.iter().enumerate() {
            let Flow::Field(f) = &col.flow else { continue };
            if open {
                return Err(refuse::refusal(
                    "open-star",
                    "* takes columns whose number is not known, beside protected ones",
                    "Name the columns that you need.",
                )
                .into());
            }
            let mut subject = match f.subject {
                Some(at) => self.shown_column(cols, at, hideable, &mut hidden)?,
                None => None,
            };
            if let (None, Some(beneath), true) = (subject, f.beneath, hideable) {
                subject = self.passed(beneath, f.subject_oid, &mut hidden)?;
            }
            if f.bound && subject.is_none() {
                return Err(refuse::row_binding(&f.label).into());
            }
            let when = match f.when {
                None => None,
                Some(at) => {
                    let at = at.filter(|_| hideable).ok_or_else(|| when::shape(&f.label))?;
                    let sql = self.when_sql(&f.table, at)?;
                    Some(hidden.add(&sql, types::BOOL)?)
                }
            };
            outputs.push(Output {
                column: position(i)?,
                field: f.field,
                stored_oid: f.stored_oid,
                shown: f.shown,
                class: f.class.clone(),
                subject,
                subject_oid: if subject.is_some() { f.subject_oid } else { 0 },
                when,
                not_null: f.not_null,
                token: f.token,
                cast: f.cast,
                origin: f.origin,
                bound: f.bound,
            });
        }
        self.rows.visible = if open { None } else { Some(position(cols.len())?) };
        self.rows.outputs = outputs;
        self.rows.hidden = hidden.oids;
        Ok(hidden.sql)
    }

    /// The result column that shows a column: a visible one, else hidden where it may be.
    pub(super) fn shown_column(
        &self,
        cols: &[RelCol],
        at: At,
        hideable: bool,
        hidden: &mut Hidden,
    ) -> Step<Option<u16>> {
        let is = |c: &RelCol| match &c.flow {
            Flow::Plain(Some(a)) => *a == at,
            Flow::Field(f) => f.at == Some(at),
            _ => false,
        };
        if let Some(i) = cols.iter().position(is) {
            return position(i).map(Some);
        }
        let sql = self.rels.get(at.0).filter(|_| hideable).and_then(|r| r.column_sql(at.1));
        let oid = self.rels.get(at.0).and_then(|r| r.cols.get(at.1)).map_or(0, |c| c.oid);
        sql.map(|sql| hidden.add(&sql, oid)).transpose()
    }

    /// A SELECT at any level.
    pub(super) fn select(&mut self, s: &nodes::SelectStmt, outer: &Env<'_>) -> Step<Selected> {
        self.deeper(|p| {
            let env = p.with(s.with_clause(), outer)?;
            if let Some(into) = s.into_clause() {
                into.rel().map_or(Ok(()), |r| p.shadows(r))?;
                if outer.parent.is_some() || p.modifies {
                    return Err(refuse::unknown("SELECT INTO within another statement").into());
                }
            }
            let selected = if s.op != SetOperation::SETOP_NONE {
                p.set_operation(s, &env)?
            } else if !s.values_lists().is_empty() {
                p.values(s, &env)?
            } else {
                p.simple(s, &env)?
            };
            if let Some(into) = s.into_clause() {
                p.made_of(&selected.cols, selected.open, into, "select-into")?;
            }
            p.bound(s.limit_offset(), &env, "OFFSET")?;
            p.bound(s.limit_count(), &env, "LIMIT")?;
            Ok(selected)
        })
    }

    /// LIMIT or OFFSET.
    fn bound(&mut self, node: Node<'_>, env: &Env<'_>, what: &str) -> Step<()> {
        if let (Node::A_Const(_), Ok(Some(value))) = (node, self.value(node)) {
            self.free_constant(&value);
        }
        self.plain(node, env, what)
    }

    /// The level that a WITH clause opens.
    pub(super) fn with<'e>(&mut self, with: Option<&nodes::WithClause>, outer: &'e Env<'e>) -> Step<Env<'e>> {
        let mut env = Env { parent: Some(outer), ..Env::default() };
        let Some(with) = with else { return Ok(env) };
        for cte in with.ctes() {
            let Node::SelectStmt(query) = cte.ctequery() else {
                if outer.parent.is_some() {
                    return Err(
                        super::within::of_that_kind("a statement that writes, in an inner WITH").into()
                    );
                }
                let cols = self.writing_cte(cte, &env)?;
                let name = cte.ctename().unwrap_or_default().to_owned();
                env.ctes.push(Cte { name, cols, source: None });
                continue;
            };
            if cte.search_clause().is_some() || cte.cycle_clause().is_some() {
                return Err(refuse::unknown("SEARCH or CYCLE").into());
            }
            let name = cte.ctename().unwrap_or_default().to_owned();
            let renamed = |mut selected: Selected| {
                for (i, n) in cte.aliascolnames().iter().enumerate() {
                    if let (Some(col), Some(n)) = (selected.cols.get_mut(i), n.as_str()) {
                        n.clone_into(&mut col.name);
                    }
                }
                if selected.open { None } else { Some(selected.cols) }
            };
            if with.recursive && query.op != SetOperation::SETOP_NONE && query.larg().is_some() {
                // The first branch tells the columns; then all is walked, with the name known.
                let (uses, edits) = (self.uses.len(), self.edits.len());
                let inner = self.with(query.with_clause(), &env)?;
                let first = self.branch(query.larg(), &inner)?;
                drop(inner);
                self.uses.truncate(uses);
                self.edits.truncate(edits);
                env.ctes.push(Cte { name: name.clone(), cols: renamed(first), source: None });
                let whole = self.select(query, &env)?;
                env.ctes.pop();
                env.ctes.push(Cte { name, cols: renamed(whole), source: None });
            } else {
                let selected = self.select(query, &env)?;
                // A recursive WITH may name a query before it stands there.
                let passes = !with.recursive && cte.aliascolnames().len() <= selected.cols.len();
                let source = if passes { self.source(query, &selected) } else { None };
                env.ctes.push(Cte { name, cols: renamed(selected), source });
            }
        }
        Ok(env)
    }

    fn branch(&mut self, s: Option<&nodes::SelectStmt>, env: &Env<'_>) -> Step<Selected> {
        let s = s.ok_or_else(|| refuse::unknown("a set operation"))?;
        self.select(s, env)
    }

    fn set_operation(&mut self, s: &nodes::SelectStmt, env: &Env<'_>) -> Step<Selected> {
        let left = self.branch(s.larg(), env)?;
        let right = self.branch(s.rarg(), env)?;
        let name = match s.op {
            SetOperation::SETOP_UNION if s.all => "UNION ALL",
            SetOperation::SETOP_UNION => "UNION",
            SetOperation::SETOP_INTERSECT => "INTERSECT",
            _ => "EXCEPT",
        };
        let compares = name != "UNION ALL";
        let open = left.open || right.open;
        let plain = |cols: &[RelCol]| cols.iter().map(|c| plain_at(&c.flow)).collect::<Vec<_>>();
        let subjects: Vec<_> = plain(&left.cols).into_iter().zip(plain(&right.cols)).collect();
        let mut shown = Vec::new();
        let mut cols = Vec::with_capacity(left.cols.len());
        for (i, l) in left.cols.into_iter().enumerate() {
            let r = right.cols.get(i).map_or(Flow::Null, |c| c.flow.clone());
            let mut subject = None;
            let flow = match (l.flow, r) {
                (Flow::Field(mut a), Flow::Field(b)) if a.field == b.field && alike(&a, &b) => {
                    a.bound |= b.bound;
                    // Both branches show their rows' subjects in one place: so does the whole.
                    let of = |s: &(Option<At>, Option<At>)| {
                        s.0.is_some() && s.1.is_some() && *s == (a.subject, b.subject)
                    };
                    if (&a.class, a.subject_oid) == (&b.class, b.subject_oid) && !open {
                        subject = subjects.iter().position(of);
                        shown.extend(subject);
                    }
                    if compares && !a.token {
                        return Err(operator(name, false, &a.label).into());
                    }
                    if (a.stored_oid, a.shown) != (b.stored_oid, b.shown) {
                        // Varchar of different lengths, or text and varchar, meet as text.
                        a.stored_oid = types::TEXT;
                        a.shown = Shown { oid: types::TEXT, len: -1, typmod: -1 };
                    }
                    Flow::Field(a)
                }
                (Flow::Field(f), Flow::Null) | (Flow::Null, Flow::Field(f)) if !compares || f.token => {
                    Flow::Field(f)
                }
                (Flow::Field(f), _) | (_, Flow::Field(f)) => {
                    return Err(operator(&format!("{name} with another column"), f.token, &f.label).into());
                }
                _ => Flow::Plain(None),
            };
            let flow = match flow {
                Flow::Field(mut f) => {
                    f.at = None;
                    f.subject = subject.and_then(|i| subjects[i].0);
                    f.beneath = None;
                    f.when = f.when.map(|_| None);
                    f.not_null = false;
                    Flow::Field(f)
                }
                other => other,
            };
            cols.push(RelCol { flow, ..l });
        }
        for i in shown {
            cols[i].flow = Flow::Plain(subjects[i].0);
        }
        let selected = Selected { cols, open, ..Selected::default() };
        self.order_by(s, &selected.cols, env)?;
        Ok(selected)
    }

    fn values(&mut self, s: &nodes::SelectStmt, env: &Env<'_>) -> Step<Selected> {
        let mut width = 0;
        for row in s.values_lists() {
            let Node::NodeList(row) = row else { return Err(refuse::unknown("a VALUES list").into()) };
            width = width.max(row.len());
            self.plain_list(row, env, "VALUES")?;
        }
        let col = |i: usize| RelCol { name: format!("column{}", i + 1), flow: Flow::Plain(None), oid: 0 };
        let selected = Selected { cols: (0..width).map(col).collect(), ..Selected::default() };
        self.order_by(s, &selected.cols, env)?;
        Ok(selected)
    }

    fn simple(&mut self, s: &nodes::SelectStmt, env: &Env<'_>) -> Step<Selected> {
        let ns = self.from(s.from_clause(), env)?;
        self.locked_by(s, &ns);
        let env = Env { parent: Some(env), ns, ctes: Vec::new() };
        self.condition_on(s.where_clause(), &env, "WHERE")?;
        let outer = self.evaluating.grouped.take();
        let groups = self.groups(s, &env);
        let classes = self.classes(s, &env);
        self.evaluating.grouped = groups;
        let classes = std::mem::replace(&mut self.evaluating.classes, classes);
        let selected = self.rows(s, &env);
        self.evaluating.grouped = outer;
        self.evaluating.classes = classes;
        let selected = selected?;
        self.narrow(s.where_clause(), &env);
        Ok(selected)
    }

    /// The columns of a target or RETURNING list; and whether `*` took unknown ones.
    pub(super) fn targets<'n>(
        &mut self,
        list: impl Iterator<Item = &'n nodes::ResTarget>,
        env: &Env<'_>,
    ) -> Step<(Vec<RelCol>, bool)> {
        let mut cols = Vec::new();
        let mut open = false;
        for target in list {
            if let Some(at) = self.items.get_mut(&target.location) {
                *at = Some(cols.len());
                let name = target.name().unwrap_or_default().to_owned();
                cols.push(RelCol { name, flow: Flow::Null, oid: 0 });
                continue;
            }
            if let Node::ColumnRef(c) = target.val()
                && let Some(star) = self.star(c, env)?
            {
                open |= star.open;
                cols.extend(star.cols);
                continue;
            }
            if let Node::A_Indirection(i) = target.val()
                && i.indirection().iter().any(|n| matches!(n, Node::A_Star(_)))
            {
                self.plain(i.arg(), env, "(…).*")?;
                open = true;
                continue;
            }
            let edits = self.edits.len();
            let flow = self.expr(target.val(), env)?;
            let flow = self.shown_class(target, flow);
            let name = target
                .name()
                .map_or_else(|| column_name(target.val(), self.scope.server_version), str::to_owned);
            if target.name().is_none() {
                self.keep_name(target.val(), &name, edits);
            }
            let oid = match &flow {
                Flow::Plain(Some(at)) => self.rels[at.0].cols.get(at.1).map_or(0, |c| c.oid),
                _ => 0,
            };
            cols.push(RelCol { name, flow, oid });
        }
        for col in &mut cols {
            if let Flow::Field(f) = &mut col.flow {
                f.not_null &= f.at.is_some_and(|at| !self.rels[at.0].nullable);
            }
        }
        Ok((cols, open))
    }

    /// The columns of `*` or `t.*`.
    fn star(&mut self, star: &nodes::ColumnRef, env: &Env<'_>) -> Step<Option<Namespace>> {
        let fields = star.fields();
        if !fields.iter().any(|n| matches!(n, Node::A_Star(_))) {
            return Ok(None);
        }
        let names: Vec<&str> = fields.iter().filter_map(|n| n.as_str()).collect();
        let rel = match names.as_slice() {
            [] => {
                self.starred(star, &env.ns, env)?;
                return Ok(Some(env.ns.clone()));
            }
            [rel] => self.rel_named(None, rel, env),
            [.., schema, rel] => self.rel_named(Some(schema), rel, env),
        };
        let rel = rel.ok_or_else(|| refuse::unknown("* of an unknown relation"))?;
        let shown = self.namespace(rel);
        self.starred(star, &shown, env)?;
        Ok(Some(shown))
    }

    /// The columns that a FROM clause brings into view.
    pub(super) fn from(&mut self, list: &NodeList, env: &Env<'_>) -> Step<Namespace> {
        let mut all = Namespace::default();
        for item in list {
            let ns = self.item(item, env, &all)?;
            all = Side(all).beside(ns);
        }
        Ok(all)
    }
}

/// Whether two values of a field are stored in types that a set operation brings together.
fn alike(a: &FieldFlow, b: &FieldFlow) -> bool {
    let text = |f: &FieldFlow| types::is_text(f.stored_oid) && types::is_text(f.shown.oid);
    (a.stored_oid, a.shown) == (b.stored_oid, b.shown) || (text(a) && text(b))
}

/// A result column's position.
pub(super) fn position(i: usize) -> Step<u16> {
    u16::try_from(i).map_err(|_| refuse::unknown("more than 65535 columns").into())
}

/// Hidden columns being gathered.
#[derive(Debug)]
pub(super) struct Hidden {
    pub(super) first: usize,
    pub(super) sql: Vec<String>,
    pub(super) oids: Vec<u32>,
}

impl Hidden {
    /// The result column of this expression, added unless it is there. It gets a name that
    /// ORDER BY can't mean.
    pub(super) fn add(&mut self, expr: &str, oid: u32) -> Step<u16> {
        let known = self.sql.iter().position(|s| s.rsplit_once(" AS ").is_some_and(|(e, _)| e == expr));
        let at = known.unwrap_or_else(|| {
            let name = format!("\"paravent {}\"", self.sql.len());
            self.sql.push(format!("{expr} AS {name}"));
            self.oids.push(oid);
            self.sql.len() - 1
        });
        position(self.first + at)
    }
}
