//! INSERT: whose each row is, and its values in protected columns.

use super::core::{Planner, Step, Stop};
use super::edit::{Piece, quote};
use super::names::{At, Env, FieldFlow, Flow, RelId};
use super::refuse;
use super::select::Hidden;
use super::value::What;
use crate::pg::catalog::model::Relation;
use crate::pg::plan::{Action, Bind, RowSubject, RowWhen, SubjectSource};
use crate::policy::model::Table;
use pg_raw_parse::list::NodeList;
use pg_raw_parse::{Node, nodes};
use std::sync::Arc;

/// The protected table that a statement writes.
#[derive(Debug, Clone)]
pub(super) struct Target<'s> {
    pub(super) rel: RelId,
    pub(super) table: &'s Table,
    pub(super) relation: Arc<Relation>,
    /// Position of the subject column.
    pub(super) subject: usize,
    pub(super) subject_oid: u32,
    /// Position of the column that `when` tests.
    pub(super) when: Option<usize>,
}

impl<'s> Planner<'s> {
    /// A protected target of a write, checked; `None` when the target isn't protected.
    pub(super) fn target(&mut self, rel: RelId) -> Step<Option<Target<'s>>> {
        let r = &self.rels[rel];
        if let Some(view) = r.relation.as_ref().filter(|r| r.touches_protected) {
            return Err(super::view::written(&view.name).into());
        }
        if let Some(relation) = r.relation.clone().filter(|r| r.writes_protected) {
            self.touched = true;
            return Err(writes_on(&relation.name).into());
        }
        let (Some(table), Some(relation)) = (r.table, r.relation.clone()) else { return Ok(None) };
        let lost = || {
            let (schema, name) = (quote(&relation.schema), quote(&relation.name));
            Stop::Unknown(format!("SELECT {} FROM {schema}.{name}", quote(&table.subject.column)))
        };
        let (subject, column) = relation.column(&table.subject.column).ok_or_else(lost)?;
        let subject_oid = column.type_oid;
        let when = match self.when_column(table, &relation) {
            None => None,
            Some(Some(at)) => Some(at),
            Some(None) => return Err(super::when::shape(&relation.name).into()),
        };
        Ok(Some(Target { rel, table, relation: Arc::clone(&relation), subject, subject_oid, when }))
    }

    /// Refuses tables where what is written can't be followed.
    pub(super) fn check_target(&self, target: &Target<'_>, returned: bool) -> Step<()> {
        let (name, r) = (&target.relation.name, &target.relation);
        let refuse = |anchor, what: &str, hint: &str| {
            Err(refuse::refusal(anchor, format!("{name} {what}"), hint).into())
        };
        if r.in_hierarchy {
            return refuse(
                "hierarchy",
                "is part of a hierarchy that is not protected throughout, or is partitioned by a protected column",
                "Name the topmost parent in the policy; partition by columns that are not protected.",
            );
        }
        if r.has_rules {
            return refuse(
                "rules",
                "has rewrite rules, under which rows can't be followed",
                "Drop the rules.",
            );
        }
        if returned && r.has_before_triggers {
            return refuse(
                "before-triggers",
                "has BEFORE ROW triggers, which may redirect a row whose subject the database makes",
                "Give the subject column's value in the statement, or make it an AFTER trigger.",
            );
        }
        Ok(())
    }

    /// INSERT.
    pub(super) fn insert(&mut self, s: &nodes::InsertStmt, outer: &Env<'_>) -> Step<()> {
        let env = self.with(s.with_clause(), outer)?;
        let var = s.relation().ok_or_else(|| refuse::unknown("INSERT without a table"))?;
        let rel = self.range_var(var, &Env::default())?;
        let target = self.target(rel)?;
        let columns = self.insert_columns(s.cols(), rel)?;
        let written = match &target {
            Some(target) => self.insert_rows(s, target, &columns, &env)?,
            None => {
                self.insert_unprotected(s, rel, &env)?;
                Vec::new()
            }
        };
        let env = Env { parent: Some(&env), ns: self.namespace(rel), ctes: Vec::new() };
        self.returning((s.returning_clause(), rel), &env, target.as_ref(), &written)
    }

    /// Positions of the columns that are given.
    pub(super) fn insert_columns(&self, cols: &NodeList, rel: RelId) -> Step<Vec<usize>> {
        let r = &self.rels[rel];
        if cols.is_empty() {
            (0..r.cols.len()).try_for_each(|i| self.storable(rel, i))?;
            return Ok((0..r.cols.len()).collect());
        }
        let mut at = Vec::with_capacity(cols.len());
        for col in cols {
            let Node::ResTarget(target) = col else { return Err(refuse::unknown("a column list").into()) };
            let name = target.name().unwrap_or_default();
            match r.cols.iter().position(|c| c.name == name) {
                Some(i) if !target.indirection().is_empty() && matches!(r.cols[i].flow, Flow::Field(_)) => {
                    return Err(refuse::unknown("a part of a protected column").into());
                }
                Some(i) => {
                    self.storable(rel, i)?;
                    at.push(i);
                }
                None if r.relation.is_none() => at.push(usize::MAX),
                None => {
                    let table =
                        r.relation.as_ref().map(|t| format!("{}.{}", quote(&t.schema), quote(&t.name)));
                    let before = format!("INSERT INTO {} (", table.unwrap_or_default());
                    let text = Stop::Unknown(format!("{before}{}) SELECT NULL WHERE false", quote(name)));
                    return Err(self.missing_at(text, before.len(), target.location));
                }
            }
        }
        Ok(at)
    }

    /// INSERT into a table without protected columns: nothing protected may flow there.
    fn insert_unprotected(&mut self, s: &nodes::InsertStmt, rel: RelId, env: &Env<'_>) -> Step<()> {
        if let Node::SelectStmt(select) = s.select_stmt() {
            let selected = self.select(select, env)?;
            if let Some(f) =
                selected.cols.iter().find_map(|c| if let Flow::Field(f) = &c.flow { Some(f) } else { None })
            {
                return Err(copied(&f.label).into());
            }
        }
        if let Some(conflict) = s.on_conflict_clause() {
            let excluded = self.excluded(rel)?;
            let mut ns = self.namespace(rel);
            ns.rels.push(excluded);
            let env = Env { parent: Some(env), ns, ctes: Vec::new() };
            for set in conflict.target_list() {
                self.plain(set.val(), &env, "an assignment")?;
            }
            self.plain(conflict.where_clause(), &env, "WHERE")?;
        }
        Ok(())
    }

    /// The rows; gives the protected columns that are written.
    fn insert_rows(
        &mut self,
        s: &nodes::InsertStmt,
        target: &Target<'s>,
        columns: &[usize],
        env: &Env<'_>,
    ) -> Step<Vec<At>> {
        let Node::SelectStmt(select) = s.select_stmt() else {
            self.no_defaults(target, &[])?;
            // DEFAULT VALUES
            return self.conflict(s, target, Draft::default(), env);
        };
        if select.values_lists().is_empty() {
            self.no_defaults(target, columns)?;
            let protected = columns.iter().any(|&c| self.field_at(target.rel, c).is_some());
            if !protected {
                self.insert_unprotected_select(select, env)?;
                return self.conflict(s, target, Draft::default(), env);
            }
            let draft = match select.from_clause().first() {
                Some(Node::RangeSubselect(from)) if is_values(from) => {
                    self.values_from(select, from, target, columns, env)?
                }
                Some(Node::RangeFunction(_)) if select.from_clause().len() == 1 => {
                    self.unnest(select, target, columns)?
                }
                _ => self.insert_select(select, target, columns, env)?,
            };
            return self.conflict(s, target, draft, env);
        }
        let mut draft = Draft::default();
        for (number, row) in select.values_lists().iter().enumerate() {
            let Node::NodeList(row) = row else { return Err(refuse::unknown("a VALUES list").into()) };
            self.insert_row(row, row_number(number)?, target, columns, env, &mut draft)?;
        }
        self.plain(select.limit_count(), env, "LIMIT")?;
        if select.with_clause().is_some() || !select.sort_clause().is_empty() {
            return Err(refuse::unknown("INSERT … VALUES with WITH or ORDER BY").into());
        }
        self.conflict(s, target, draft, env)
    }

    fn insert_unprotected_select(&mut self, select: &nodes::SelectStmt, env: &Env<'_>) -> Step<()> {
        let selected = self.select(select, env)?;
        match selected.cols.iter().find_map(|c| if let Flow::Field(f) = &c.flow { Some(f) } else { None }) {
            Some(f) => Err(copied(&f.label).into()),
            None => Ok(()),
        }
    }

    fn insert_row(
        &mut self,
        row: &NodeList,
        number: u16,
        target: &Target<'s>,
        columns: &[usize],
        env: &Env<'_>,
        draft: &mut Draft,
    ) -> Step<()> {
        self.no_more_than(columns, row.len(), target)?;
        self.no_defaults(target, columns.get(..row.len()).unwrap_or(columns))?;
        self.insert_cells(row, number, target, columns, env, draft)
    }

    /// No protected column that is not given gets a default in clear.
    pub(super) fn no_defaults(&self, target: &Target<'_>, given: &[usize]) -> Step<()> {
        let left = (0..target.relation.columns.len()).filter(|at| !given.contains(at));
        left.filter_map(|at| self.field_at(target.rel, at)).try_for_each(|field| self.no_default(&field))
    }

    /// A protected column that is set to its default has none but NULL and the empty text.
    pub(super) fn no_default(&self, field: &FieldFlow) -> Step<()> {
        let Some((rel, at)) = field.at else { return Ok(()) };
        let relation = self.rels.get(rel).and_then(|r| r.relation.as_ref());
        match relation.and_then(|r| r.columns.get(at)) {
            Some(column) if column.defaults => Err(super::schema::ddl_default(&field.label).into()),
            _ => Ok(()),
        }
    }

    /// There are no more values than columns.
    pub(super) fn no_more_than(&self, columns: &[usize], values: usize, target: &Target<'s>) -> Step<()> {
        if values > columns.len() {
            // The catalog is old, or the server will say that there are too many.
            let (schema, name) = (quote(&target.relation.schema), quote(&target.relation.name));
            let cols = &self.rels[target.rel].cols;
            let names: Vec<String> =
                columns.iter().filter_map(|&c| cols.get(c)).map(|c| quote(&c.name)).collect();
            let (names, nulls) = (names.join(", "), vec!["NULL"; values].join(", "));
            return Err(Stop::Unknown(format!(
                "INSERT INTO {schema}.{name} ({names}) SELECT {nulls} WHERE false"
            )));
        }
        Ok(())
    }

    /// A row's values; `columns` tells where each goes (or nowhere that is known).
    pub(super) fn insert_cells(
        &mut self,
        row: &NodeList,
        number: u16,
        target: &Target<'s>,
        columns: &[usize],
        env: &Env<'_>,
        draft: &mut Draft,
    ) -> Step<()> {
        let mut subject = SubjectSource::Returned;
        let mut when = None;
        for (node, &column) in row.iter().zip(columns) {
            if let Some(field) = self.field_at(target.rel, column) {
                if self.assign(node, &field, number)? {
                    draft.wrote((target.rel, column));
                }
                continue;
            }
            if column == target.subject {
                subject = self.constant_source(node, target.subject_oid)?.unwrap_or(SubjectSource::Returned);
            } else if Some(column) == target.when {
                let oid = target.relation.columns[column].type_oid;
                when = Some(self.constant_source(node, oid)?.ok_or_else(|| when_expression(target))?);
            }
            self.plain(node, env, "VALUES")?;
        }
        let when = self.row_when(target, when)?;
        draft.rows.push(self.row_of(target, subject, when));
        Ok(())
    }

    /// The row's `when`, from the value of its tested column (absent: NULL, unless the database makes one).
    pub(super) fn row_when(
        &self,
        target: &Target<'_>,
        value: Option<SubjectSource>,
    ) -> Step<Option<RowWhen>> {
        let Some(column) = target.when else { return Ok(None) };
        let value = match value {
            Some(value) => value,
            None if target.relation.columns[column].generated => return Err(when_expression(target).into()),
            None => SubjectSource::Nobody,
        };
        let oid = target.relation.columns[column].type_oid;
        Ok(Some(RowWhen { value, oid, equals: self.when_test(target.table)? }))
    }

    /// A protected value of a row. Gives whether something is written that needs protection.
    fn assign(&mut self, node: Node<'_>, field: &FieldFlow, row: u16) -> Step<bool> {
        if matches!(node, Node::SetToDefault(_)) {
            self.no_default(field)?;
            return Ok(false);
        }
        let Some(value) = self.value(node)? else { return Err(refuse::expression(&field.label).into()) };
        let null = matches!(value.what, What::Null);
        self.protect(value, &field.place(), write_action(field, row), false, |u| vec![Piece::Use(u)])?;
        Ok(!null)
    }

    /// A constant for a column of that type as a subject's source; `None` for an expression or DEFAULT.
    pub(super) fn constant_source(&mut self, node: Node<'_>, column: u32) -> Step<Option<SubjectSource>> {
        let Some(value) = self.value(node).ok().flatten() else { return Ok(None) };
        if !value.casts.iter().all(|c| !c.array && keeps_spelling(c, column)) {
            return Ok(None);
        }
        Ok(Some(match value.what {
            What::Null => SubjectSource::Nobody,
            What::Literal(text) => SubjectSource::Literal(text.as_str().into()),
            What::Param(n) => SubjectSource::Client(n - 1),
        }))
    }

    /// What is protected at a column of an instance.
    pub(super) fn field_at(&self, rel: RelId, column: usize) -> Option<Box<FieldFlow>> {
        match &self.rels[rel].cols.get(column)?.flow {
            Flow::Field(f) => Some(f.clone()),
            _ => None,
        }
    }

    /// RETURNING of a statement that changes that instance, with what it must show in any case: subject and witnesses of
    /// rows to be bound.
    pub(super) fn returning(
        &mut self,
        (clause, rel): (Option<&nodes::ReturningClause>, RelId),
        env: &Env<'_>,
        target: Option<&Target<'s>>,
        written: &[At],
    ) -> Step<()> {
        let env = &self.old_and_new(clause, rel, env)?;
        let empty = clause.is_none();
        let (cols, open) = match clause {
            Some(clause) => {
                // It shows rows as they are written: nothing can be looked at before.
                self.evaluating.off = true;
                if clause.exprs().iter().any(is_star) {
                    self.close(&env.ns.rels)?;
                }
                let targets = clause.exprs().iter().filter_map(|n| match n {
                    Node::ResTarget(t) => Some(t),
                    _ => None,
                });
                self.targets(targets, env)?
            }
            None => (Vec::new(), false),
        };
        if self.inner.is_some() {
            return self.returning_within(cols, open, empty, target, written);
        }
        let mut hidden =
            Hidden { first: cols.len(), sql: self.outputs(&cols, open, true)?, oids: Vec::new() };
        hidden.oids = std::mem::take(&mut self.rows.hidden);
        let binds = self.write.as_ref().is_some_and(|w| w.bind.is_some());
        if let (Some(target), true) = (target, binds) {
            let lost = || refuse::unknown("RETURNING of that form");
            let subject = self.shown_column(&cols, (target.rel, target.subject), true, &mut hidden)?;
            let repeats = self.write.as_ref().and_then(|w| w.bind.as_ref()).is_some_and(|b| b.repeats);
            let mut bind = Bind { subject: subject.ok_or_else(lost)?, witnesses: Vec::new(), repeats };
            for &at in written {
                bind.witnesses.push(self.shown_column(&cols, at, true, &mut hidden)?.ok_or_else(lost)?);
            }
            if open {
                return Err(lost().into());
            }
            if let Some(write) = &mut self.write {
                write.bind = Some(bind);
            }
            self.rows.visible = Some(super::select::position(cols.len())?);
            self.rows.swallow = empty;
        }
        if empty && hidden.sql.is_empty() && !binds {
            self.rows.visible = None;
        }
        self.rows.hidden = hidden.oids;
        if !hidden.sql.is_empty() {
            let last = self.tokens.all().iter().rev().find(|t| t.start < self.span.end);
            let end = last.map_or(self.span.end, |t| t.end);
            let lead = if empty { " RETURNING " } else { ", " };
            self.edit(end..end, vec![Piece::Text(format!("{lead}{}", hidden.sql.join(", ")))]);
        }
        Ok(())
    }
}

/// Whether an item of RETURNING is `*`, of all or of one relation.
fn is_star(item: Node<'_>) -> bool {
    matches!(item, Node::ResTarget(t) if matches!(t.val(), Node::ColumnRef(c)
        if c.fields().iter().any(|n| matches!(n, Node::A_Star(_)))))
}

/// Whether an item of FROM is a list of VALUES.
fn is_values(from: &nodes::RangeSubselect) -> bool {
    matches!(from.subquery(), Node::SelectStmt(s) if !s.values_lists().is_empty())
}

/// The number of a row of VALUES.
pub(super) fn row_number(number: usize) -> Step<u16> {
    u16::try_from(number).map_err(|_| {
        refuse::refusal("too-many-rows", "more than 65536 rows in one INSERT", "Write smaller batches.")
            .into()
    })
}

/// The rows of an INSERT as far as they are known.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) rows: Vec<RowSubject>,
    /// Protected columns in which some row has a value.
    pub(super) written: Vec<At>,
    /// What is stored elsewhere is copied to protected columns.
    pub(super) copies: bool,
    /// One of the rows may be inserted several times.
    pub(super) repeats: bool,
}

impl Draft {
    pub(super) fn wrote(&mut self, at: At) {
        if !self.written.contains(&at) {
            self.written.push(at);
        }
    }
}

/// What is written there flows on to a protected table, inside the database.
pub(super) fn writes_on(name: &str) -> crate::pg::refusal::Refusal {
    refuse::refusal(
        "trigger",
        format!(
            "{name} has a trigger, a rule or a function in its definition that touches a protected table, or is its \
             parent, child or partition"
        ),
        "Do its work from the application, so that values are protected where they go.",
    )
}

/// Whether a cast leaves a constant as it is for a column of that type: `'02'::int` in a text column is `2`.
pub(super) fn keeps_spelling(cast: &super::value::Cast, column: u32) -> bool {
    use super::types::{INT2, INT4, INT8, TEXT, UUID, VARCHAR};
    match (cast.to, column) {
        (Some((INT2 | INT4 | INT8, -1)), INT2 | INT4 | INT8)
        | (Some((TEXT | VARCHAR, -1)), TEXT | VARCHAR) => true,
        (Some((to, -1)), UUID) => to == UUID,
        _ => false,
    }
}

/// Sealed or tokenised, by the field.
pub(super) fn write_action(field: &FieldFlow, row: u16) -> Action {
    if field.token {
        Action::Hold { field: field.field, row }
    } else {
        Action::Seal { field: field.field, row }
    }
}

pub(super) fn when_expression(target: &Target<'_>) -> crate::pg::refusal::Refusal {
    refuse::refusal(
        "when-expression",
        format!(
            "whose rows {} holds depends on a column whose value is not a constant here",
            target.relation.name
        ),
        "Give that column's value as a parameter or a literal.",
    )
}

pub(super) fn copied(label: &str) -> crate::pg::refusal::Refusal {
    refuse::refusal(
        "insert-select",
        format!(
            "protected column {label} is copied inside the database, not to the same field of the same subject"
        ),
        "Copy it together with its subject's column, to the same field's column of a table of the policy; or read it and \
         write it through the application.",
    )
}
