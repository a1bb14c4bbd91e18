//! Queries of the catalog, as drivers, ORMs and tools send them: they are shown the declared types of protected columns, and
//! none of the guard's objects. A relation of the catalog in FROM becomes a subquery that says so; the rest of the statement stays
//! as it is. Nothing is protected by this: what can't be written anew goes to the server as it came.

use super::core::Planner;
use super::edit::{self, Edit, Piece};
use super::lex::{Kind, Tokens};
use super::masked::{BY_SCHEMA, subquery};
use super::mention::relation_position;
use super::{Scope, StatementKind};
use crate::pg::plan::Plan;
use pg_raw_parse::Node;
use std::ops::Range;
use std::sync::Arc;

/// Columns that every table has, and no subquery.
const SYSTEM: [&str; 6] = ["tableoid", "ctid", "xmin", "cmin", "xmax", "cmax"];

/// Words that may follow a relation in FROM and are no alias.
const FOLLOW: [&str; 23] = [
    "where",
    "group",
    "order",
    "having",
    "limit",
    "offset",
    "fetch",
    "for",
    "union",
    "intersect",
    "except",
    "window",
    "join",
    "inner",
    "left",
    "right",
    "full",
    "cross",
    "natural",
    "on",
    "using",
    "tablesample",
    "returning",
];

impl Planner<'_> {
    /// Writes a query of the catalog anew; whether it is one.
    pub(super) fn mask(&mut self, stmt: Node<'_>) -> bool {
        if !queries(stmt) || self.scope.catalog.mask.watched().is_empty() {
            return false;
        }
        // What a cursor or a COPY was before under that name is looked at each time.
        self.literals |= !matches!(stmt, Node::SelectStmt(_));
        let edits = edits(self.tokens, &self.span, self.scope);
        self.edits.extend(edits);
        !self.edits.is_empty()
    }
}

/// Whether a statement gives rows of a query to the client, now or when it is asked for them.
fn queries(stmt: Node<'_>) -> bool {
    let query = match stmt {
        Node::DeclareCursorStmt(d) => d.query(),
        Node::PrepareStmt(p) => p.query(),
        Node::CopyStmt(c) if !c.is_from => c.query(),
        other => other,
    };
    matches!(query, Node::SelectStmt(s) if s.into_clause().is_none())
}

/// A script that touches nothing protected, with its queries of the catalog written anew, up to where it changes the
/// schema; `None` where it has none.
pub(super) fn script(text: &str, kinds: &[&StatementKind], scope: &Scope<'_>) -> Option<Plan> {
    let steps = |k: &&StatementKind| matches!(k, StatementKind::Savepoint(_) | StatementKind::RollbackTo(_));
    if scope.catalog.mask.watched().is_empty() || kinds.iter().any(steps) {
        return None;
    }
    let parsed = pg_raw_parse::parse(text).ok()?;
    let tokens = Tokens::new(text);
    let mut all = Vec::new();
    for (raw, kind) in parsed.iter().zip(kinds) {
        if matches!(kind, StatementKind::Ddl) {
            break;
        }
        let start = usize::try_from(raw.stmt_location).ok()?;
        let end = match usize::try_from(raw.stmt_len).ok()? {
            0 => text.len(),
            length => start + length,
        };
        if queries(raw.stmt()) {
            all.extend(edits(&tokens, &(start..end), scope));
        }
    }
    let (sql, splices) = edit::apply(text, &(0..text.len()), &all, |_| 0).filter(|_| !all.is_empty())?;
    Some(Plan { sql, splices, ..Plan::default() })
}

/// A reference to a relation of the catalog.
pub(super) struct Reference {
    /// Its tokens.
    first: usize,
    name: usize,
    pub(super) relation: String,
    pub(super) in_information_schema: bool,
}

fn edits(tokens: &Tokens<'_>, span: &Range<usize>, scope: &Scope<'_>) -> Vec<Edit> {
    let from = tokens.all().partition_point(|t| t.start < span.start);
    let to = tokens.all().partition_point(|t| t.start < span.end);
    let system: Vec<&str> =
        SYSTEM.into_iter().filter(|name| (from..to).any(|i| tokens.is_word(i, name))).collect();
    let mut edits = Vec::new();
    for i in from..to {
        let Some(reference) = reference(tokens, i, from, to, scope) else { continue };
        let Some(text) = subquery(&reference, &system, scope) else { continue };
        let Reference { first, name, relation, .. } = &reference;
        if tokens.is_punct(name + 1, b'.') {
            // A column by its relation's full name: the subquery has the short one.
            let range = bytes(tokens, *first).start..bytes(tokens, *name).start;
            edits.push(Edit { range, pieces: Vec::new() });
            continue;
        }
        if !in_from(tokens, *first) || groups_by_key(tokens, *name, relation, to) {
            continue;
        }
        let alias = if has_alias(tokens, name + 1) { String::new() } else { format!(" AS {relation}") };
        let range = bytes(tokens, *first).start..bytes(tokens, *name).end;
        edits.push(Edit { range, pieces: vec![Piece::Text(format!("{text}{alias}"))] });
    }
    // Columns alone are nothing to write anew.
    if edits.iter().all(|edit| edit.pieces.is_empty()) { Vec::new() } else { edits }
}

fn bytes(tokens: &Tokens<'_>, index: usize) -> Range<usize> {
    tokens.get(index).map_or(0..0, |t| t.start..t.end)
}

/// What stands at token `i`, if it is the name of a relation of the catalog.
fn reference(tokens: &Tokens<'_>, i: usize, from: usize, to: usize, scope: &Scope<'_>) -> Option<Reference> {
    let relation = tokens.name(tokens.get(i)?)?;
    let named = |at: usize| tokens.get(at).and_then(|t| tokens.name(t));
    let qualified = i >= from + 2 && tokens.is_punct(i - 1, b'.');
    if tokens.is_punct(i + 1, b'(') || tokens.is_punct(i + 1, b'*') {
        return None;
    }
    if qualified {
        if i >= from + 3 && tokens.is_punct(i - 3, b'.') {
            return None;
        }
        let schema = named(i - 2)?;
        let in_information_schema = schema == "information_schema";
        let found = Reference { first: i - 2, name: i, relation, in_information_schema };
        return (in_information_schema || schema == "pg_catalog").then_some(found);
    }
    if (i > from && tokens.is_punct(i - 1, b'.')) || tokens.is_punct(i + 1, b'.') {
        return None;
    }
    let own = relation == "pg_attribute" || BY_SCHEMA.iter().any(|(name, _)| *name == relation);
    // Something else may be called so: a WITH query, or a table that the search path finds first.
    let with = |j: usize| {
        named(j).as_deref() == Some(&*relation)
            && (tokens.is_punct(j + 1, b'(')
                || (tokens.is_word(j + 1, "as")
                    && (tokens.is_punct(j + 2, b'(')
                        || tokens.is_word(j + 2, "materialized")
                        || tokens.is_word(j + 2, "not"))))
    };
    let shadowed = || {
        let there =
            |s: &Arc<str>| scope.catalog.relations.contains_key(&(s.clone(), relation.as_str().into()));
        // The catalog comes first, unless the path names it further on.
        let searched = scope.search_path.list();
        let named = searched.iter().position(|s| &**s == "pg_catalog");
        searched[..named.unwrap_or(0)].iter().any(there)
            || scope.catalog.relations.keys().any(|(s, name)| s.starts_with("pg_temp") && **name == *relation)
    };
    if !own || (from..to).any(with) || shadowed() {
        return None;
    }
    Some(Reference { first: i, name: i, relation, in_information_schema: false })
}

fn in_from(tokens: &Tokens<'_>, first: usize) -> bool {
    let after_other =
        ["only", "table", "into", "update", "on", "using", "references", "exists", "as", "like"];
    let before = |word: &&str| first > 0 && tokens.is_word(first - 1, word);
    relation_position(tokens, first) && !after_other.iter().any(before)
}

fn has_alias(tokens: &Tokens<'_>, at: usize) -> bool {
    match tokens.get(at).map(|t| t.kind) {
        Some(Kind::Word) => !FOLLOW.iter().any(|word| tokens.is_word(at, word)),
        Some(Kind::Quoted | Kind::UnicodeQuoted) => true,
        _ => false,
    }
}

/// Whether the query groups by the relation's whole key: then it may select what only a table's key determines.
fn groups_by_key(tokens: &Tokens<'_>, name: usize, relation: &str, to: usize) -> bool {
    let key: &[&str] = match relation {
        "pg_attribute" => &["attrelid", "attnum"],
        "pg_namespace" | "pg_type" | "pg_constraint" => &["oid"],
        _ => return false,
    };
    let Some(depth) = tokens.get(name).map(|t| t.depth) else { return false };
    let inside = |i: &usize| tokens.get(*i).is_some_and(|t| t.depth >= depth);
    let here = |i: usize| tokens.get(i).is_some_and(|t| t.depth == depth);
    let rest = (name..to).take_while(inside);
    let Some(group) =
        rest.clone().find(|&i| here(i) && tokens.is_word(i, "group") && tokens.is_word(i + 1, "by"))
    else {
        return false;
    };
    let ends = |i: usize| {
        here(i) && ["having", "order", "limit", "union", "window"].iter().any(|w| tokens.is_word(i, w))
    };
    let grouped: Vec<usize> = rest.skip_while(|i| *i <= group + 1).take_while(|i| !ends(*i)).collect();
    key.iter().all(|column| grouped.iter().any(|&i| tokens.is_word(i, column)))
}

#[cfg(test)]
mod tests {
    use crate::pg::plan::Verdict;
    use crate::pg::sql::tests::{World, world};

    /// A world that knows the catalog's shapes, and has the guard.
    fn guarded() -> World {
        let mut world = world();
        let mask = &mut world.catalog.mask;
        mask.needed = true;
        mask.attribute = ["attrelid", "attname", "atttypid", "atttypmod", "attnum"].map(Into::into).into();
        mask.columns = vec![("column_name".into(), "name".into()), ("data_type".into(), "text".into())];
        mask.schema = Some(4242);
        world
    }

    fn sent(world: &World, sql: &str) -> String {
        match world.verdict(sql) {
            Verdict::Run(plan) => plan.sql.clone(),
            Verdict::Pass => "as it came".into(),
            other => panic!("{sql}: {other:?}"),
        }
    }

    #[test]
    fn relations_of_the_catalog_become_subqueries_wherever_they_stand_in_from() {
        let world = guarded();
        for (sql, part) in [
            ("SELECT * FROM pg_attribute", "atttypid) AS atttypid"),
            ("SELECT * FROM pg_attribute", ") AS pg_attribute"),
            (
                "SELECT pg_catalog.pg_attribute.attname FROM pg_catalog.pg_attribute",
                "SELECT pg_attribute.attname FROM (SELECT",
            ),
            (
                "SELECT 1 FROM pg_class c JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid",
                ") a ON a.attrelid = c.oid",
            ),
            (
                "SELECT 1 FROM pg_class, \"pg_catalog\".\"pg_attribute\" AS \"A\" WHERE true",
                ") AS \"A\" WHERE true",
            ),
            ("SELECT (SELECT count(*) FROM pg_attribute x WHERE x.attnum = $1)", ") x WHERE x.attnum = $1)"),
            ("WITH w AS (SELECT * FROM pg_attribute) SELECT * FROM w", ") AS pg_attribute) SELECT"),
            (
                "SELECT n.tableoid FROM pg_namespace n",
                "(SELECT tableoid, * FROM pg_catalog.pg_namespace WHERE oid OPERATOR(pg_catalog.<>) 4242) n",
            ),
            ("SELECT * FROM information_schema.columns WHERE table_name = 'people'", "'date'::text"),
            ("SELECT * FROM information_schema.schemata", "IS DISTINCT FROM 'paravent'"),
            ("COPY (SELECT attname FROM pg_attribute) TO STDOUT", ") AS pg_attribute) TO STDOUT"),
            (
                "DECLARE c SCROLL CURSOR FOR SELECT * FROM pg_attribute a",
                "DECLARE c SCROLL CURSOR FOR SELECT * FROM (SELECT",
            ),
            (
                "PREPARE p(regclass) AS SELECT attname FROM pg_attribute WHERE attrelid = $1",
                ") AS pg_attribute WHERE attrelid = $1",
            ),
        ] {
            let sent = sent(&world, sql);
            assert!(sent.contains(part), "{sql}: {sent}");
            pg_raw_parse::parse(&sent).unwrap();
        }
    }

    #[test]
    fn what_is_no_query_of_the_catalog_goes_as_it_came() {
        let world = guarded();
        for sql in [
            "WITH pg_attribute AS (SELECT 1) SELECT * FROM pg_attribute",
            "SELECT * FROM mine.pg_attribute",
            "TABLE pg_attribute",
            "SELECT pg_attribute FROM articles",
            "SELECT 'pg_attribute'::regclass",
            "CREATE VIEW v AS SELECT * FROM pg_attribute",
            "CREATE TABLE t AS SELECT * FROM pg_attribute",
            "SELECT a.attname FROM pg_attribute a GROUP BY a.attrelid, a.attnum",
            "SELECT * FROM information_schema.tables",
            "SELECT 1; SELECT * FROM pg_attribute",
            "PREPARE p AS INSERT INTO articles SELECT attname FROM pg_attribute",
            "COPY pg_attribute TO STDOUT",
            "EXPLAIN SELECT * FROM pg_attribute",
            "LOCK TABLE pg_attribute",
        ] {
            let planned = world.script(sql, &[]).unwrap();
            assert!(planned.iter().all(|p| matches!(p.verdict, Verdict::Pass)), "{sql}");
        }
    }

    /// The catalog is searched first, unless the path names it further on; a temporary table stands before all.
    #[test]
    fn a_table_that_is_called_as_a_relation_of_the_catalog_is_what_the_search_path_finds() {
        let mut world = guarded();
        let masked = |world: &World| sent(world, "SELECT * FROM pg_attribute") != "as it came";
        let relation = world.catalog.relations[&("public".into(), "articles".into())].clone();
        world.catalog.relations.insert(("public".into(), "pg_attribute".into()), relation.clone());
        for (path, is_masked) in [
            (&["public"][..], true),
            (&["pg_catalog", "public"], true),
            (&["public", "pg_catalog"], false),
            (&["other", "pg_catalog"], true),
            (&[], true),
        ] {
            world.search_path = path.iter().map(|s| (*s).into()).collect();
            assert_eq!(masked(&world), is_masked, "{path:?}");
        }
        assert!(sent(&world, "SELECT * FROM public.pg_attribute") == "as it came");
        world.catalog.relations.insert(("pg_temp_3".into(), "pg_attribute".into()), relation);
        assert!(!masked(&world));
    }

    #[test]
    fn scripts_are_written_anew_up_to_where_they_change_the_schema() {
        let world = guarded();
        let masked = |sql: &str| {
            let planned = world.script(sql, &[]).unwrap();
            crate::pg::sql::masked_script(sql, &planned, &world.scope()).map(|plan| plan.sql)
        };
        let sent = masked(
            "SELECT 1; SELECT attname FROM pg_attribute; CREATE TABLE t (); SELECT 2 FROM pg_attribute; ",
        );
        let sent = sent.unwrap();
        assert!(sent.starts_with("SELECT 1; SELECT attname FROM (SELECT a.attrelid"), "{sent}");
        assert!(
            sent.ends_with(") AS pg_attribute; CREATE TABLE t (); SELECT 2 FROM pg_attribute; "),
            "{sent}"
        );
        for sql in ["SELECT 1; SELECT 2", "SAVEPOINT a; SELECT 1 FROM pg_attribute"] {
            assert!(masked(sql).is_none(), "{sql}");
        }
    }

    #[test]
    fn without_protected_tables_nothing_is_looked_at() {
        let mut world = guarded();
        world.catalog.mask = crate::pg::catalog::mask::Mask::default();
        assert_eq!(sent(&world, "SELECT * FROM pg_attribute"), "as it came");
    }
}
