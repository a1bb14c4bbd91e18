//! Where a statement's constants stand, told by the parser and the list of columns alone: the planner is not asked.
//! Constants are replaced by such as are recognised wherever they come to lie.

use super::chosen::{Chosen, Type};
use pg_raw_parse::raw::A_Expr_Kind;
use pg_raw_parse::{ConstValue, Node, nodes, walk};
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::ops::Range;

/// The columns of every table that the database knows, by name.
pub type Known = HashMap<String, Vec<String>>;

/// A constant of the text.
#[derive(Debug, Clone)]
pub struct Place {
    pub range: Range<usize>,
    /// The value that stands there.
    pub value: String,
    pub ty: Type,
    /// `table.column`.
    pub column: String,
}

/// A text with other values in it.
#[derive(Debug, Clone, Default)]
pub struct Rewritten {
    pub sql: String,
    /// What stands for a value of a protected column, with its column. None of it may be seen.
    pub forbidden: Vec<(String, String)>,
    /// What stands for any other constant, where it isn't known what it is for.
    pub open: Vec<String>,
    /// The same text with `$1`, `$2`… for the values of protected columns, and these.
    pub bound: Option<(String, Vec<String>)>,
}

/// Replaces constants; those that stand nowhere in particular only if `all`.
pub fn rewrite(sql: &str, chosen: &Chosen, known: &Known, all: Option<u64>) -> Rewritten {
    let sure = sure(sql, chosen, known);
    let mut edits: Vec<(Range<usize>, String, Option<&Place>)> = Vec::new();
    for place in &sure {
        let number = sql.as_bytes()[place.range.start] != b'\'' && place.ty.is_number();
        let value = canary(place.ty, &place.value);
        let written = if number { value } else { format!("'{}'", value.replace('\'', "''")) };
        edits.push((place.range.clone(), written, Some(place)));
    }
    let mut rewritten = Rewritten::default();
    if let Some(number) = all.filter(|_| chosen.names_one(sql)) {
        for (i, range) in strings(sql).into_iter().enumerate() {
            let inner = &sql[range.start + 1..range.end - 1];
            let taken = sure.iter().any(|p| p.range.start < range.end && range.start < p.range.end);
            if !taken && inner.chars().any(char::is_alphabetic) {
                let word = word(&format!("open {number} {i}"));
                edits.push((range, format!("'{inner} {word}'"), None));
                rewritten.open.push(word);
            }
        }
    }
    edits.sort_by_key(|e| e.0.start);
    rewritten.sql = sql.to_owned();
    let (mut bound, mut values) = (sql.to_owned(), Vec::new());
    for (range, written, place) in edits.into_iter().rev() {
        rewritten.sql.replace_range(range.clone(), &written);
        let Some(place) = place else {
            bound.replace_range(range, &written);
            continue;
        };
        let value = canary(place.ty, &place.value);
        bound.replace_range(range, &format!("${}", sure.len() - values.len()));
        rewritten.forbidden.push((essence(&value), place.column.clone()));
        values.push(value);
    }
    values.reverse();
    rewritten.bound = (!values.is_empty() && takes_parameters(sql)).then_some((bound, values));
    rewritten
}

/// A value of that type by which the value is recognised; the same one for the same value.
pub fn canary(ty: Type, value: &str) -> String {
    let hash = Sha256::digest(value.trim().as_bytes());
    let number = u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]]);
    match ty {
        Type::Integer | Type::Bigint => (1_000_000_000 + number % 1_000_000_000).to_string(),
        Type::Numeric => format!("{}.25", 1_000_000_000 + number % 1_000_000_000),
        Type::Date => {
            format!("{}-{:02}-{:02}", 3000 + number % 6000, 1 + number / 7 % 12, 1 + number / 99 % 28)
        }
        _ if value.len() < 18 => format!("{} {value}", word(value)),
        _ => word(value),
    }
}

/// What of a canary is looked for.
pub fn essence(canary: &str) -> String {
    let first = canary.split(' ').next().unwrap_or_default();
    first.trim_end_matches(".25").to_owned()
}

/// `kq` and nine more: nobody else writes this.
pub fn word(of: &str) -> String {
    let hash = Sha256::digest(of.as_bytes());
    const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let tail: String = hash.iter().take(9).map(|b| char::from(LETTERS[usize::from(b % 32)])).collect();
    format!("kq{tail}")
}

fn takes_parameters(sql: &str) -> bool {
    let lower = sql.trim_start().to_lowercase();
    ["select", "insert", "update", "delete"].iter().any(|w| lower.starts_with(w)) && !sql.contains('$')
}

/// The constants that are surely written to a protected column, or compared with one.
pub fn sure(sql: &str, chosen: &Chosen, known: &Known) -> Vec<Place> {
    if !chosen.names_one(sql) {
        return Vec::new();
    }
    let Ok(parsed) = pg_raw_parse::parse(sql) else { return Vec::new() };
    let mut found = Found { sql, chosen, known, places: Vec::new() };
    let mut statements = parsed.stmts();
    if let (Some(stmt), None) = (statements.next(), statements.next()) {
        found.statement(stmt);
    }
    let mut places = found.places;
    places.sort_by_key(|p| p.range.start);
    places.dedup_by(|a, b| a.range.start < b.range.end);
    places
}

struct Found<'a> {
    sql: &'a str,
    chosen: &'a Chosen,
    known: &'a Known,
    places: Vec<Place>,
}

impl Found<'_> {
    fn statement(&mut self, stmt: Node<'_>) {
        match stmt {
            Node::InsertStmt(s) => {
                self.insert(s);
                if let Some(conflict) = s.on_conflict_clause() {
                    let targets: Vec<_> = conflict.target_list().iter().collect();
                    self.assigned(s.relation(), &targets);
                }
            }
            Node::UpdateStmt(s) => {
                let targets: Vec<_> = s.target_list().iter().collect();
                self.assigned(s.relation(), &targets);
            }
            Node::ExplainStmt(x) => return self.statement(x.query()),
            Node::PrepareStmt(p) => return self.statement(p.query()),
            Node::DeclareCursorStmt(d) => return self.statement(d.query()),
            Node::ViewStmt(v) => return self.statement(v.query()),
            Node::CreateTableAsStmt(c) => return self.statement(c.query()),
            Node::CopyStmt(c) => return self.statement(c.query()),
            Node::SelectStmt(_) | Node::DeleteStmt(_) => {}
            _ => return,
        }
        self.compared(stmt);
    }

    /// The table, when it is one that is protected.
    fn table(&self, relation: Option<&nodes::RangeVar>) -> Option<String> {
        let relation = relation?;
        let name = relation.relname()?;
        let own =
            relation.schemaname().is_none_or(|s| s == "public") && self.chosen.tables.contains_key(name);
        (own && self.known.contains_key(name)).then(|| name.to_owned())
    }

    fn insert(&mut self, s: &nodes::InsertStmt) {
        let Some(table) = self.table(s.relation()) else { return };
        let Node::SelectStmt(select) = s.select_stmt() else { return };
        let listed: Vec<String> = s
            .cols()
            .iter()
            .filter_map(|c| match c {
                Node::ResTarget(t) if t.indirection().is_empty() => Some(t.name()?.to_owned()),
                _ => None,
            })
            .collect();
        let columns = if s.cols().is_empty() { self.known[&table].clone() } else { listed };
        for row in select.values_lists() {
            let Node::NodeList(row) = row else { continue };
            for (cell, column) in row.iter().zip(&columns) {
                self.place(cell, &table, column);
            }
        }
    }

    fn assigned(&mut self, relation: Option<&nodes::RangeVar>, targets: &[&nodes::ResTarget]) {
        let Some(table) = self.table(relation) else { return };
        for target in targets {
            if target.indirection().is_empty() {
                self.place(target.val(), &table, target.name().unwrap_or_default());
            }
        }
    }

    /// `column = constant`, where every relation of the statement is a table that is known, and the column is of a
    /// protected one alone.
    fn compared(&mut self, stmt: Node<'_>) {
        let mut tables: Vec<String> = Vec::new();
        let mut clear = true;
        walk::walk(stmt, |node| match node {
            Node::RangeVar(r) => match r.relname().filter(|n| self.known.contains_key(*n)) {
                Some(name) if r.schemaname().is_none_or(|s| s == "public") => tables.push(name.to_owned()),
                _ => clear = false,
            },
            Node::RangeSubselect(_) | Node::RangeFunction(_) | Node::CommonTableExpr(_) => clear = false,
            _ => {}
        });
        let target = match stmt {
            Node::InsertStmt(s) => s.relation(),
            Node::UpdateStmt(s) => s.relation(),
            Node::DeleteStmt(s) => s.relation(),
            _ => None,
        };
        if let Some(name) = target.and_then(|r| r.relname()) {
            clear &= self.known.contains_key(name);
            tables.push(name.to_owned());
        }
        if !clear {
            return;
        }
        let mut pairs: Vec<(Node<'_>, Node<'_>)> = Vec::new();
        walk::walk(stmt, |node| {
            let Node::A_Expr(e) = node else { return };
            let operator = e.name().iter().filter_map(|n| n.as_str()).next_back().unwrap_or_default();
            let list = match e.rexpr() {
                Node::NodeList(list) => list.iter().collect(),
                other => vec![other],
            };
            let compares = ["=", "<>", "<", ">", "<=", ">=", "~~", "BETWEEN"].contains(&operator);
            if compares && e.kind != A_Expr_Kind::AEXPR_NULLIF {
                pairs.extend(list.iter().map(|r| (e.lexpr(), *r)));
                pairs.extend(list.iter().map(|r| (*r, e.lexpr())));
            }
        });
        for (column, constant) in pairs {
            let Node::ColumnRef(column) = column else { continue };
            let names: Vec<&str> = column.fields().iter().filter_map(|n| n.as_str()).collect();
            let [.., name] = names.as_slice() else { continue };
            let with: Vec<&String> = tables
                .iter()
                .filter(|t| self.known.get(*t).is_some_and(|k| k.iter().any(|c| c == name)))
                .collect();
            let Some(table) = with.first().map(|t| (*t).clone()) else { continue };
            if with.iter().all(|t| self.chosen.column(t, name).is_some()) {
                self.place(constant, &table, name);
            }
        }
    }

    /// A constant in that column.
    fn place(&mut self, node: Node<'_>, table: &str, column: &str) {
        let Some(protected) = self.chosen.column(table, column) else { return };
        let Node::A_Const(constant) = node else { return };
        let Ok(start) = usize::try_from(constant.location) else { return };
        let Some(range) = literal(self.sql, start) else { return };
        let value = match constant.val() {
            Some(ConstValue::Integer(n)) => n.to_string(),
            Some(ConstValue::Float(s) | ConstValue::String(s)) => s.to_owned(),
            _ => return,
        };
        if protected.ty != Type::Other {
            self.places.push(Place { range, value, ty: protected.ty, column: format!("{table}.{column}") });
        }
    }
}

/// The constant that begins there: a string in plain quotes, or a number.
fn literal(sql: &str, start: usize) -> Option<Range<usize>> {
    let text = sql.get(start..)?;
    match text.as_bytes().first()? {
        b'\'' => Some(start..start + quoted(text)?),
        b'0'..=b'9' => {
            let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
            (!text[end..].starts_with(|c: char| c.is_alphanumeric() || c == '_'))
                .then_some(start..start + end)
        }
        _ => None,
    }
}

/// The length of a string in quotes; none where it goes on after them.
fn quoted(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 1;
    loop {
        match bytes.get(at)? {
            b'\'' if bytes.get(at + 1) == Some(&b'\'') => at += 2,
            b'\'' => break,
            _ => at += 1,
        }
    }
    let after = text[at + 1..].trim_start();
    (!after.starts_with('\'')).then_some(at + 1)
}

/// Plain strings of a text, outside of comments, dollars and names.
pub fn strings(sql: &str) -> Vec<Range<usize>> {
    let bytes = sql.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'\'' => {
                let plain = at == 0
                    || !(bytes[at - 1].is_ascii_alphanumeric() || matches!(bytes[at - 1], b'&' | b'_'));
                let Some(length) = quoted(&sql[at..]) else { return found };
                if !plain {
                    return found;
                }
                found.push(at..at + length);
                at += length;
            }
            b'"' => at += 2 + sql[at + 1..].find('"').unwrap_or(sql.len()),
            b'$' | b'\\' => return found,
            _ => at += 1,
        }
    }
    found
}

#[test]
fn constants_are_replaced_where_they_stand_for_a_protected_column() {
    use super::chosen::Column;
    let columns = |list: &[(&str, Type)]| {
        list.iter().map(|(n, ty)| ((*n).to_owned(), Column { ty: *ty, stored: "text" })).collect()
    };
    let tables = HashMap::from([("t".to_owned(), columns(&[("a", Type::Text), ("n", Type::Integer)]))]);
    let chosen = Chosen { tables, ..Chosen::default() };
    let known = Known::from([
        ("t".to_owned(), vec!["id".to_owned(), "a".to_owned(), "n".to_owned()]),
        ("u".to_owned(), vec!["id".to_owned(), "b".to_owned()]),
    ]);
    let (a, n) = (canary(Type::Text, "x"), canary(Type::Integer, "5"));
    for (sql, expected) in [
        (
            "INSERT INTO t VALUES (5, 'x', 5), (6, 'x', NULL)",
            format!("INSERT INTO t VALUES (5, '{a}', {n}), (6, '{a}', NULL)"),
        ),
        ("INSERT INTO t (n, id) VALUES (5, 5)", format!("INSERT INTO t (n, id) VALUES ({n}, 5)")),
        ("UPDATE t SET a = 'x', id = 5 WHERE n = 5", format!("UPDATE t SET a = '{a}', id = 5 WHERE n = {n}")),
        (
            "SELECT 'x' FROM t JOIN u ON t.id = u.id WHERE b = 'x' AND 'x' < t.a AND n IN (5, 5)",
            format!(
                "SELECT 'x' FROM t JOIN u ON t.id = u.id WHERE b = 'x' AND '{a}' < t.a AND n IN ({n}, {n})"
            ),
        ),
        (
            "SELECT 1 FROM (SELECT 'x' AS a) s, t WHERE s.a = 'x'",
            "SELECT 1 FROM (SELECT 'x' AS a) s, t WHERE s.a = 'x'".into(),
        ),
    ] {
        assert_eq!(rewrite(sql, &chosen, &known, None).sql, expected);
    }
    let all = rewrite("SELECT 'x', a FROM t WHERE a = 'x' AND n = 5", &chosen, &known, Some(1));
    assert_eq!((all.open.len(), all.forbidden.len()), (1, 2));
    let open = &all.open[0];
    assert_eq!(all.sql, format!("SELECT 'x {open}', a FROM t WHERE a = '{a}' AND n = {n}"));
    let (bound, values) = all.bound.unwrap();
    assert_eq!(bound, format!("SELECT 'x {open}', a FROM t WHERE a = $1 AND n = $2"));
    assert_eq!(values, [a, n]);
}
