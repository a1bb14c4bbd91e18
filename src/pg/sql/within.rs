//! Statements that write, in WITH: planned as they would be by themselves. What RETURNING must tell of the rows is
//! no part of the result here, so it leaves by a setting of the transaction's, which is read afterwards.

use super::core::{Planner, Step};
use super::edit::{Piece, quote};
use super::insert::Target;
use super::names::{At, Env, Flow, RelCol};
use super::{refuse, types};
use crate::pg::plan::{Action, SubjectSource, Within, Witness, Write};
use crate::pg::refusal::Refusal;
use pg_raw_parse::{Node, nodes};
use std::ops::Range;
use std::sync::Arc;

/// The setting that rows are told by.
pub const SETTING: &str = "paravent.rows";

/// What a statement in WITH gives to the others.
#[derive(Debug, Default)]
pub(super) struct Inner {
    /// The columns of RETURNING.
    cols: Vec<RelCol>,
    open: bool,
    /// A column was added to RETURNING.
    tells: bool,
}

/// A statement in WITH that writes protected values.
#[derive(Debug)]
pub(super) struct Part {
    write: Write,
    /// Its values.
    uses: Range<usize>,
}

/// Where a statement in WITH stands in the text.
struct Spot {
    name: usize,
    alias_end: usize,
    open: usize,
    close: usize,
}

impl<'s> Planner<'s> {
    /// A statement that writes, in WITH; gives its columns, where they are known.
    pub(super) fn writing_cte(
        &mut self,
        cte: &nodes::CommonTableExpr,
        env: &Env<'_>,
    ) -> Step<Option<Vec<RelCol>>> {
        let spot = self.spot(cte)?;
        let span = self.bytes_of(spot.open).end..self.bytes_of(spot.close).start;
        let outer = (std::mem::replace(&mut self.span, span), std::mem::take(&mut self.rows));
        let uses = self.uses.len();
        let before = self.inner.replace(Inner::default());
        self.modifies = true;
        let off = self.evaluating.off;
        let result = match cte.ctequery() {
            Node::InsertStmt(s) => self.insert(s, env),
            Node::UpdateStmt(s) => self.update(s, env),
            Node::DeleteStmt(s) => self.delete(s, env),
            Node::MergeStmt(s) => self.merge_into(s, env),
            _ => Err(of_that_kind("a statement of that kind in WITH").into()),
        };
        let inner = std::mem::replace(&mut self.inner, before).unwrap_or_default();
        (self.span, self.rows) = outer;
        self.evaluating.off = off;
        result?;
        // What such a statement does where it writes placeholders back can't be told from the others.
        self.keep = None;
        if let Some(write) = self.write.take() {
            self.parts.push(Part { write, uses: uses..self.uses.len() });
        }
        if inner.tells {
            self.rename_inner(cte, &spot, &inner)?;
        }
        let mut cols = inner.cols;
        for (col, name) in cols.iter_mut().zip(cte.aliascolnames()) {
            if let Some(name) = name.as_str() {
                name.clone_into(&mut col.name);
            }
        }
        if inner.open && cols.iter().any(|c| matches!(c.flow, Flow::Field(_))) {
            return Err(refuse::unknown("RETURNING * of unknown columns beside protected ones").into());
        }
        Ok((!inner.open).then_some(cols))
    }

    /// `name (a, b) AS MATERIALIZED ( … )`
    fn spot(&self, cte: &nodes::CommonTableExpr) -> Step<Spot> {
        let lost = || refuse::unknown("a WITH of that form");
        let name = self.token_at(cte.location)?;
        let mut at = name + 1;
        if self.tokens.is_punct(at, b'(') {
            at = self.tokens.closing(at).ok_or_else(lost)? + 1;
        }
        let alias_end = self.bytes_of(at - 1).end;
        if !self.tokens.is_word(at, "as") {
            return Err(lost().into());
        }
        at += 1;
        while self.tokens.is_word(at, "not") || self.tokens.is_word(at, "materialized") {
            at += 1;
        }
        let close = self.tokens.closing(at).filter(|_| self.tokens.is_punct(at, b'(')).ok_or_else(lost)?;
        Ok(Spot { name, alias_end, open: at, close })
    }

    /// RETURNING of a statement in WITH: its columns flow to the others; where rows must tell whose they are, in
    /// one column more.
    pub(super) fn returning_within(
        &mut self,
        cols: Vec<RelCol>,
        open: bool,
        empty: bool,
        target: Option<&Target<'s>>,
        written: &[At],
    ) -> Step<()> {
        let bind = self.write.as_mut().and_then(|w| w.bind.take());
        let tells = bind.is_some();
        if let (Some(bind), Some(target)) = (bind, target) {
            if open {
                return Err(refuse::unknown("RETURNING of that form").into());
            }
            let told = self.told(target, written)?;
            let lead = if empty { " RETURNING " } else { ", " };
            let last = self.tokens.all().iter().rev().find(|t| t.start < self.span.end);
            let end = last.map_or(self.span.end, |t| t.end);
            self.edit(end..end, vec![Piece::Text(format!("{lead}{told}"))]);
            let witnesses = written.iter().map(|at| self.witness(*at)).collect();
            let within = Within {
                class: Arc::clone(&target.table.subject.class),
                oid: target.subject_oid,
                witnesses,
                repeats: bind.repeats,
            };
            if let Some(write) = &mut self.write {
                write.within.push(within);
            }
        }
        self.inner = Some(Inner { cols, open, tells: tells && !empty });
        Ok(())
    }

    fn witness(&self, (rel, column): At) -> Witness {
        match self.rels[rel].cols.get(column).map(|c| &c.flow) {
            Some(Flow::Field(f)) if !f.token && f.stored_oid == types::BYTEA => Witness::Bytes,
            Some(Flow::Field(f)) if !f.token => Witness::Text,
            _ => Witness::Token,
        }
    }

    /// The expression that tells of a row: which statement's it is, its subject, and its witnesses.
    fn told(&mut self, target: &Target<'_>, written: &[At]) -> Step<String> {
        let lost = || refuse::unknown("RETURNING of that form");
        let number = self.told;
        self.told += 1;
        let subject = self.rels[target.rel].column_sql(target.subject).ok_or_else(lost)?;
        let mut parts = vec![number.to_string(), format!("{subject}::text")];
        for &at in written {
            let column = self.rels[at.0].column_sql(at.1).ok_or_else(lost)?;
            parts.push(match self.witness(at) {
                Witness::Bytes => format!("pg_catalog.encode(pg_catalog.substring({column}, 1, 17), 'hex')"),
                Witness::Text => format!("pg_catalog.left({column}::text, 26)"),
                Witness::Token => format!("{column}::text"),
            });
        }
        let row = format!("pg_catalog.json_build_array({})::text", parts.join(", "));
        let before = format!("pg_catalog.current_setting('{SETTING}', true)");
        let all = format!("pg_catalog.concat({before}, {row}, pg_catalog.chr(10))");
        Ok(format!("pg_catalog.set_config('{SETTING}', {all}, true)"))
    }

    /// The statement gets a name of ours, and the client's name means its columns without the one that was added.
    fn rename_inner(&mut self, cte: &nodes::CommonTableExpr, spot: &Spot, inner: &Inner) -> Step<()> {
        let ours = quote(&format!("paravent {}", self.bytes_of(spot.name).start));
        let columns: Vec<String> = (0..=inner.cols.len()).map(|i| format!("c{i}")).collect();
        let start = self.bytes_of(spot.name).start;
        let named = self.text.get(start..spot.alias_end).unwrap_or_default().to_owned();
        let open = self.bytes_of(spot.open).end;
        self.edit(start..open, vec![Piece::Text(format!("{ours} ({}) AS (", columns.join(", ")))]);
        let shown: Vec<String> =
            inner.cols.iter().zip(&columns).map(|(c, own)| format!("{own} AS {}", quote(&c.name))).collect();
        let end = self.bytes_of(spot.close).end;
        let text = format!(", {named} AS (SELECT {} FROM {ours})", shown.join(", "));
        self.edit(end..end, vec![Piece::Text(text)]);
        if cte.search_clause().is_some() || cte.cycle_clause().is_some() {
            return Err(refuse::unknown("SEARCH or CYCLE").into());
        }
        Ok(())
    }

    /// The statement's writes as one: the rows of each follow those of the one before.
    pub(super) fn combined(&mut self) -> Result<Option<Write>, Refusal> {
        let main = self.write.take();
        let mut parts = std::mem::take(&mut self.parts);
        if parts.is_empty() {
            return Ok(main);
        }
        self.keep = None;
        let Some(main) = main else {
            if parts.len() == 1 {
                return Ok(parts.pop().map(|p| p.write));
            }
            return self.joined(parts, Write::default()).map(Some);
        };
        self.joined(parts, main).map(Some)
    }

    fn joined(&mut self, parts: Vec<Part>, main: Write) -> Result<Write, Refusal> {
        let simple = |w: &Write| {
            let one = |s: &SubjectSource| !matches!(s, SubjectSource::Each(_) | SubjectSource::Found);
            w.rows.iter().all(|row| one(&row.subject))
        };
        if self.lookup.is_some() || !simple(&main) || !parts.iter().all(|p| simple(&p.write)) {
            return Err(of_that_kind(
                "several statements that write protected columns at once, of which one has more than single rows",
            ));
        }
        let main_uses: Vec<usize> =
            (0..self.uses.len()).filter(|u| !parts.iter().any(|p| p.uses.contains(u))).collect();
        let inserts = (main.rows.is_empty() || main.inserts) && parts.iter().all(|p| p.write.inserts);
        let mut joined = Write { rows: Vec::new(), within: Vec::new(), inserts, ..main };
        for Part { write, uses } in parts {
            self.shift(uses, joined.rows.len())?;
            joined.rows.extend(write.rows);
            joined.within.extend(write.within);
        }
        self.shift(main_uses, joined.rows.len())?;
        joined.rows.extend(main.rows);
        Ok(joined)
    }

    fn shift(&mut self, uses: impl IntoIterator<Item = usize>, by: usize) -> Result<(), Refusal> {
        let many = || of_that_kind("more than 65536 rows in one statement");
        for at in uses {
            if let Some(Action::Seal { row, .. } | Action::Hold { row, .. }) =
                self.uses.get_mut(at).map(|u| &mut u.action)
            {
                *row = u16::try_from(usize::from(*row) + by).map_err(|_| many())?;
            }
        }
        Ok(())
    }
}

pub(super) fn of_that_kind(what: &str) -> Refusal {
    refuse::refusal("data-modifying-cte", what, "Send it as a statement of its own.")
}

/// Whether some name of a WITH is in view.
pub(super) fn sees_with(env: &Env<'_>) -> bool {
    let mut level = Some(env);
    while let Some(e) = level {
        if !e.ctes.is_empty() {
            return true;
        }
        level = e.parent;
    }
    false
}
