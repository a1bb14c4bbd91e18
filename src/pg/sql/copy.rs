//! COPY: which columns go in or out, how the data reads, and whose each row is.

use super::core::{Planner, Step, Stop};
use super::edit::{Piece, quote};
use super::lex::{Kind, Tokens};
use super::names::{Env, Flow, RelId};
use super::refuse;
use crate::pg::copy::{Forced, Header, Options, Style};
use crate::pg::plan::{Action, Constants, Copy, CopyField, CopyFrom, CopySubject, Param, Source};
use crate::pg::refusal::Refusal;
use pg_raw_parse::{ConstValue, Node, nodes};
use std::sync::Arc;

impl<'s> Planner<'s> {
    /// COPY.
    pub(super) fn copy(&mut self, c: &nodes::CopyStmt) -> Step<()> {
        match c.relation() {
            Some(var) => self.copy_table(c, var),
            None => self.copy_query(c),
        }
    }

    /// `COPY (SELECT …) TO STDOUT`: as the SELECT itself.
    fn copy_query(&mut self, c: &nodes::CopyStmt) -> Step<()> {
        let Node::SelectStmt(select) = c.query() else {
            let result = self.statement(c.query(), true);
            return if self.touched || result.is_err() {
                Err(copy("COPY of a statement that writes a protected table").into())
            } else {
                Ok(())
            };
        };
        let names = self.top_columns(select)?;
        if !self.touched {
            return Ok(());
        }
        if self.modifies {
            return Err(copy("COPY of a statement that writes a protected table").into());
        }
        if c.filename().is_some() {
            return Err(to_server_file().into());
        }
        let column = |name: &str| names.iter().position(|n| n == name);
        let options = self.copy_options(c, &column)?;
        self.copy = Some(Box::new(Copy { options, from: None }));
        Ok(())
    }

    fn copy_table(&mut self, c: &nodes::CopyStmt, var: &nodes::RangeVar) -> Step<()> {
        let rel = self.range_var(var, &Env::default())?;
        let target = if c.is_from { self.target(rel)? } else { None };
        if let Some(view) = self.rels[rel].relation.as_ref().filter(|r| r.touches_protected) {
            return Err(copy(&format!("COPY of {}, a view on a protected table", view.name)).into());
        }
        if self.rels[rel].table.is_none() {
            return Ok(());
        }
        if c.is_from && !matches!(c.where_clause(), Node::None) {
            return Err(copy("COPY FROM … WHERE into a protected table").into());
        }
        let columns = self.copy_columns(c, rel)?;
        let is_protected = |p: &Self, at: usize| p.field_at(rel, at).is_some();
        if !columns.iter().any(|&at| is_protected(self, at)) {
            // Nothing protected comes or goes.
            self.touched = false;
            return Ok(());
        }
        if c.filename().is_some() {
            return Err(to_server_file().into());
        }
        let names: Vec<Arc<str>> =
            columns.iter().map(|&at| Arc::from(self.rels[rel].cols[at].name.as_str())).collect();
        let options = self.copy_options(c, &|name| names.iter().position(|n| **n == *name))?;
        let from = match target {
            Some(target) => {
                let drawn = self.rels[rel].cols.len() != columns.len()
                    && !columns.contains(&target.subject)
                    && target.relation.columns[target.subject].generated;
                self.check_target(&target, drawn)?;
                self.no_defaults(&target, &columns)?;
                let mut fields = Vec::new();
                for (place, &at) in columns.iter().enumerate() {
                    self.storable(rel, at)?;
                    if let Some(f) = self.field_at(rel, at) {
                        let column = super::select::position(place)?;
                        fields.push(CopyField { column, field: f.field, stored_oid: f.stored_oid });
                    }
                }
                let place = |at: usize| columns.iter().position(|&c| c == at);
                let subject = match place(target.subject) {
                    Some(place) => CopySubject::Column(super::select::position(place)?),
                    None if drawn => CopySubject::Drawn,
                    None => CopySubject::Nobody,
                };
                let when = match target.when {
                    None => None,
                    Some(at) => {
                        let column = &target.relation.columns[at];
                        let place = place(at).map(super::select::position).transpose()?;
                        if place.is_none() && column.generated {
                            return Err(super::insert::when_expression(&target).into());
                        }
                        Some((place, column.type_oid, self.when_test(target.table)?))
                    }
                };
                let extra = (subject == CopySubject::Drawn).then_some(target.subject);
                self.list_columns(var, c, rel, &columns, extra)?;
                self.modifies = true;
                Some(CopyFrom {
                    table: (Arc::clone(&target.relation.schema), Arc::clone(&target.relation.name)),
                    columns: names,
                    fields,
                    subject,
                    subject_column: Arc::clone(&target.table.subject.column),
                    subject_oid: target.subject_oid,
                    class: Arc::clone(&target.table.subject.class),
                    when,
                })
            }
            None => {
                self.copy_out(c, var, rel, &columns)?;
                None
            }
        };
        self.copy = Some(Box::new(Copy { options, from }));
        Ok(())
    }

    /// Positions of the columns that are copied: those of the list, else all but computed ones.
    fn copy_columns(&self, c: &nodes::CopyStmt, rel: RelId) -> Step<Vec<usize>> {
        let r = &self.rels[rel];
        let Some(relation) = &r.relation else { return Ok(Vec::new()) };
        if c.attlist().is_empty() {
            let columns = relation.columns.iter().enumerate();
            return Ok(columns.filter(|(_, c)| !c.computed).map(|(at, _)| at).collect());
        }
        let mut columns = Vec::with_capacity(c.attlist().len());
        for name in c.attlist().iter().filter_map(|n| n.as_str()) {
            let at = r.cols.iter().position(|c| c.name == name).ok_or_else(|| {
                let (schema, table) = (quote(&relation.schema), quote(&relation.name));
                Stop::Unknown(format!(
                    "INSERT INTO {schema}.{table} ({}) SELECT NULL WHERE false",
                    quote(name)
                ))
            })?;
            if columns.contains(&at) {
                return Err(copy("a COPY that names a column twice").into());
            }
            columns.push(at);
        }
        Ok(columns)
    }

    /// COPY TO: with the row's subject, which the client does not see.
    fn copy_out(
        &mut self,
        c: &nodes::CopyStmt,
        var: &nodes::RangeVar,
        rel: RelId,
        columns: &[usize],
    ) -> Step<()> {
        let cols: Vec<_> = columns.iter().map(|&at| self.rels[rel].cols[at].clone()).collect();
        let conditional = cols.iter().any(|c| matches!(&c.flow, Flow::Field(f) if f.when.is_some()));
        let subject = cols.iter().find_map(|c| match &c.flow {
            Flow::Field(f) => f.subject,
            _ => None,
        });
        let hidden = self.outputs(&cols, false, true)?;
        if !conditional {
            let extra = subject.map(|(_, at)| at).filter(|_| !hidden.is_empty());
            return self.list_columns(var, c, rel, columns, extra);
        }
        // The condition is an expression, which only a query can give.
        let (first, last) = self.copy_target(var, c)?;
        if first > 0 && self.tokens.is_word(first - 1, "binary") {
            return Err(refuse::unknown("COPY BINARY").into());
        }
        let relation = self.rels[rel].relation.clone();
        let name = relation.map(|r| format!("{}.{}", quote(&r.schema), quote(&r.name))).unwrap_or_default();
        let mut list: Vec<String> = columns.iter().filter_map(|&at| self.rels[rel].column_sql(at)).collect();
        list.extend(hidden);
        let alias = quote(&self.rels[rel].alias);
        self.rels[rel].schema = None;
        let range = self.bytes_of(first).start..self.bytes_of(last).end;
        let text = format!("(SELECT {} FROM ONLY {name} AS {alias})", list.join(", "));
        self.edit(range, vec![Piece::Text(text)]);
        Ok(())
    }

    /// First and last token of the table's name, with its list of columns.
    fn copy_target(&self, var: &nodes::RangeVar, c: &nodes::CopyStmt) -> Step<(usize, usize)> {
        let first = self.token_at(var.location)?;
        let mut last = first;
        while self.tokens.is_punct(last + 1, b'.') {
            last += 2;
        }
        if !c.attlist().is_empty() {
            let closing = self.tokens.closing(last + 1).filter(|_| self.tokens.is_punct(last + 1, b'('));
            last = closing.ok_or_else(|| refuse::unknown("a COPY's list of columns"))?;
        }
        Ok((first, last))
    }

    /// Names the columns, so that the server's order is the one that was planned, and one more.
    fn list_columns(
        &mut self,
        var: &nodes::RangeVar,
        c: &nodes::CopyStmt,
        rel: RelId,
        columns: &[usize],
        extra: Option<usize>,
    ) -> Step<()> {
        let (_, last) = self.copy_target(var, c)?;
        let cols = &self.rels[rel].cols;
        let name = |at: &usize| cols.get(*at).map(|c| quote(&c.name));
        let end = self.bytes_of(last);
        if c.attlist().is_empty() {
            let list: Vec<String> = columns.iter().chain(extra.iter()).filter_map(name).collect();
            self.edit(end.end..end.end, vec![Piece::Text(format!(" ({})", list.join(", ")))]);
        } else if let Some(name) = extra.as_ref().and_then(name) {
            self.edit(end.start..end.start, vec![Piece::Text(format!(", {name}"))]);
        }
        Ok(())
    }

    /// The options, as `ProcessCopyOptions` reads them.
    fn copy_options(&mut self, c: &nodes::CopyStmt, column: &dyn Fn(&str) -> Option<usize>) -> Step<Options> {
        let mut seen: Vec<&str> = Vec::new();
        let mut style = Style::Text;
        for option in c.options() {
            let name = option.defname().unwrap_or_default();
            if seen.contains(&name) {
                return Err(bad_option(name).into());
            }
            seen.push(name);
            if name == "format" {
                style = match text(option.arg()).as_deref() {
                    Some("text") => Style::Text,
                    Some("csv") => Style::Csv,
                    Some("binary") => Style::Binary,
                    _ => return Err(bad_option(name).into()),
                };
            }
        }
        let mut options = Options::new(style);
        options.dot_ends = self.scope.server_version < 180_000;
        for option in c.options() {
            let name = option.defname().unwrap_or_default();
            self.copy_option(&mut options, name, option.arg(), c.is_from, column)?;
        }
        if !seen.contains(&"escape") {
            options.escape = options.quote;
        }
        let csv_only = seen.iter().any(|n| matches!(*n, "quote" | "escape")) || {
            [&options.force_quote, &options.force_null, &options.force_not_null]
                .iter()
                .any(|f| **f != Forced::None)
        };
        let not_binary =
            seen.iter().any(|n| matches!(*n, "delimiter" | "null")) || options.header != Header::None;
        let special = match style {
            Style::Text => b"\\.abcdefghijklmnopqrstuvwxyz0123456789".contains(&options.delimiter),
            Style::Csv => options.delimiter == options.quote || options.null.contains(&options.quote),
            Style::Binary => false,
        };
        let line_end = |b: &u8| matches!(b, b'\n' | b'\r');
        let unfit = special
            || line_end(&options.delimiter)
            || options.null.iter().any(line_end)
            || options.null.contains(&options.delimiter);
        if (csv_only && style != Style::Csv) || (style == Style::Binary && not_binary) || unfit {
            return Err(bad_option("DELIMITER, NULL, QUOTE and the like").into());
        }
        Ok(options)
    }

    fn copy_option(
        &self,
        options: &mut Options,
        name: &str,
        arg: Node<'_>,
        is_from: bool,
        column: &dyn Fn(&str) -> Option<usize>,
    ) -> Step<()> {
        let bad = || bad_option(name);
        let byte = || match text(arg).as_deref().map(str::as_bytes) {
            Some(&[byte]) if byte.is_ascii() => Ok(byte),
            _ => Err(bad_option(name)),
        };
        match name {
            "format" => {}
            "freeze" => drop(boolean(arg).ok_or_else(bad)?),
            "delimiter" => options.delimiter = byte()?,
            "null" => options.null = text(arg).ok_or_else(bad)?.into_bytes().into(),
            "quote" => options.quote = byte()?,
            "escape" => options.escape = byte()?,
            "header" => {
                options.header = match (boolean(arg), text(arg).as_deref()) {
                    (Some(false), _) => Header::None,
                    (Some(true), _) => Header::Line,
                    (None, Some(word)) if is_from && word.eq_ignore_ascii_case("match") => Header::Match,
                    _ => return Err(bad().into()),
                }
            }
            "force_quote" if !is_from => options.force_quote = forced(arg, column).ok_or_else(bad)?,
            "force_null" if is_from => options.force_null = forced(arg, column).ok_or_else(bad)?,
            "force_not_null" if is_from => options.force_not_null = forced(arg, column).ok_or_else(bad)?,
            "encoding" => {
                let name = text(arg).ok_or_else(bad)?;
                if crate::pg::value::ClientEncoding::named(&name).is_none() {
                    return Err(refuse::refusal(
                        "encoding",
                        "a COPY of a protected table in an ENCODING that can't be followed",
                        "Use UTF8, LATIN1 to 10, WIN125x, WIN866 or WIN874.",
                    )
                    .into());
                }
                options.encoding = Some(name.into());
            }
            _ => return Err(bad().into()),
        }
        Ok(())
    }
}

/// The statement's text with NULL in the place of its parameters, which COPY can't have; and where each value
/// goes.
pub(super) fn without_parameters(sql: &str, params: &mut Vec<Param>) -> Result<(String, Constants), Refusal> {
    let compared = |p: &Param| match p.action {
        Action::Answer(_) => true,
        Action::Find { .. } | Action::FindEach { .. } | Action::FindFolded { .. } => {
            matches!(p.source, Source::Literal(_))
        }
        _ => false,
    };
    let mut at = 0;
    let mut out = String::new();
    let mut pieces = Vec::new();
    for token in Tokens::new(sql).all() {
        let Kind::Param(n) = token.kind else { continue };
        let index = n.checked_sub(1).filter(|&i| params.get(usize::from(i)).is_some_and(compared));
        let (Some(index), Some(before)) = (index, sql.get(at..token.start)) else {
            return Err(copy("a parameter in COPY, which Postgres does not take there"));
        };
        out.push_str(before);
        out.push_str("NULL");
        pieces.push((before.to_owned(), Some(index)));
        at = token.end;
    }
    let rest = sql.get(at..).unwrap_or_default();
    out.push_str(rest);
    pieces.push((rest.to_owned(), None));
    Ok((out, Constants { pieces, values: std::mem::take(params) }))
}

/// An option's text.
fn text(node: Node<'_>) -> Option<String> {
    match node {
        Node::String(s) => Some(s.sval().unwrap_or_default().to_owned()),
        Node::Integer(i) => Some(i.ival.to_string()),
        Node::A_Const(c) => match c.val()? {
            ConstValue::String(s) => Some(s.to_owned()),
            ConstValue::Integer(i) => Some(i.to_string()),
            _ => None,
        },
        _ => None,
    }
}

/// `defGetBoolean`.
fn boolean(node: Node<'_>) -> Option<bool> {
    if let Node::Boolean(b) = node {
        return Some(b.boolval);
    }
    if matches!(node, Node::None) {
        return Some(true);
    }
    match text(node)?.to_ascii_lowercase().as_str() {
        "true" | "on" | "1" => Some(true),
        "false" | "off" | "0" => Some(false),
        _ => None,
    }
}

/// `*`, or a list of columns.
fn forced(node: Node<'_>, column: &dyn Fn(&str) -> Option<usize>) -> Option<Forced> {
    match node {
        Node::A_Star(_) => Some(Forced::All),
        Node::NodeList(list) => {
            let places = list.iter().map(|n| u16::try_from(column(n.as_str()?)?).ok());
            places.collect::<Option<Vec<u16>>>().map(Forced::Columns)
        }
        _ => None,
    }
}

fn copy(what: &str) -> Refusal {
    refuse::refusal(
        "copy",
        what,
        "COPY a protected table from STDIN or to STDOUT, in text, CSV or binary; else use INSERT and SELECT.",
    )
}

fn bad_option(name: &str) -> Refusal {
    refuse::refusal(
        "copy-option",
        format!("option {name} in a COPY of a protected table, which is not valid or can't be followed"),
        "FORMAT, DELIMITER, NULL, HEADER, QUOTE, ESCAPE, FORCE_QUOTE, FORCE_NULL, FORCE_NOT_NULL, FREEZE and \
         ENCODING are followed.",
    )
}

fn to_server_file() -> Refusal {
    refuse::refusal(
        "copy-file",
        "COPY between a protected table and a file or program of the server",
        "Use COPY … FROM STDIN or TO STDOUT (psql's \\copy), so that values pass through the gateway.",
    )
}
