//! Everything but queries: DDL on protected tables, and statements that hide others.

use super::core::{Planner, Step};
use super::lex::{Kind, Tokens};
use super::names::{Env, Found};
use super::{Scope, refuse};
use crate::pg::catalog::model::Relation;
use crate::pg::refusal::Refusal;
use crate::policy::model::{Placed, Table};
use pg_raw_parse::{Node, nodes};
use std::ops::Range;
use std::sync::Arc;

/// Options of a cursor (`parsenodes.h`).
const BINARY: i32 = 0x01;
const HOLD: i32 = 0x20;

/// Functions that run SQL text, or read a table by its name, given to them.
pub(super) const RUN_TEXT: [&str; 19] = [
    "schema_to_xml",
    "database_to_xml",
    "query_to_xml",
    "query_to_xmlschema",
    "query_to_xml_and_xmlschema",
    "table_to_xml",
    "table_to_xmlschema",
    "table_to_xml_and_xmlschema",
    "ts_stat",
    "ts_rewrite",
    "xpath_table",
    "connectby",
    "crosstab",
    "cursor_to_xml",
    "crosstabn",
    "dblink",
    "schedule",
    "schedule_in_database",
    "pg_background_launch",
];

/// Whether a plain constant stands here, of a schema in which nothing protected is.
fn is_of_another_schema(tokens: &Tokens<'_>, at: usize, scope: &Scope<'_>) -> bool {
    let text = tokens.get(at).filter(|t| t.kind == Kind::Str).map_or("", |t| tokens.text(t));
    let Some(schema) = text.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')) else { return false };
    let watched = |((of, _), r): (&(Arc<str>, Arc<str>), &Arc<Relation>)| **of == *schema && r.is_watched();
    !schema.contains('\'')
        && scope.tables.iter().all(|t| *t.schema != *schema)
        && !scope.catalog.relations.iter().any(watched)
}

/// Whether a function reads all that a schema has.
fn whole_schema(name: &str) -> bool {
    let reads = |f: &str| name.strip_prefix(f).is_some_and(|rest| matches!(rest, "" | "_and_xmlschema"));
    reads("schema_to_xml") || reads("database_to_xml")
}

/// Whether a function runs SQL text that is given to it.
pub(super) fn runs_text(name: &str) -> bool {
    RUN_TEXT.contains(&name)
        || whole_schema(name)
        || name.starts_with("dblink")
        || name.starts_with("crosstab")
}

/// Refuses functions that run SQL text which is not written in the statement: it could name anything.
pub(super) fn unseen_text(
    tokens: &Tokens<'_>,
    range: &Range<usize>,
    scope: &Scope<'_>,
) -> Result<(), Refusal> {
    for (i, token) in tokens.all().iter().enumerate().filter(|(_, t)| range.contains(&t.start)) {
        let Some(name) = tokens.name(token).filter(|n| runs_text(n) && n != "ts_rewrite") else { continue };
        let (true, Some(close)) = (tokens.is_punct(i + 1, b'('), tokens.closing(i + 1)) else { continue };
        if whole_schema(&name) && !is_of_another_schema(tokens, i + 2, scope) {
            return Err(refuse::refusal(
                "dynamic-sql",
                format!("function {name} reads tables that are not named in the statement"),
                "Ask for each table by table_to_xml or SELECT.",
            ));
        }
        let constant = |part: &Range<usize>| {
            let first = tokens.at(part.start);
            first.is_some_and(|first| {
                let kind = tokens.get(first).map(|t| t.kind);
                let word = ["true", "false", "null"].iter().any(|w| tokens.is_word(first, w));
                let alone = tokens.get(first + 1).is_none_or(|next| next.start >= part.end)
                    || tokens.get(first + 1).is_some_and(|next| tokens.text(next) == "::");
                alone && (word || matches!(kind, Some(Kind::Str | Kind::Number)))
            })
        };
        if !super::prepare::parts(tokens, i + 1, close).iter().all(constant) {
            return Err(refuse::refusal(
                "dynamic-sql",
                format!("function {name} runs SQL text that is not a constant of the statement"),
                "Send the statement itself, so that it can be planned.",
            ));
        }
    }
    Ok(())
}

impl<'s> Planner<'s> {
    /// Whether a literal argument, at any depth of casts, names a protected table.
    pub(super) fn literal_names_protected(&self, f: &nodes::FuncCall) -> bool {
        let literal = |n: Node<'_>| match super::statement::constant(n) {
            Some(text) => self.names.in_code(&text),
            // Text that is put together can't be judged: any string of the statement counts.
            None => self.names.in_strings(self.tokens, &self.span),
        };
        f.args().iter().any(literal)
    }

    /// Refuses, certain that something protected is meant.
    pub(super) fn stop(&mut self, refusal: Refusal) -> Step<()> {
        self.touched = true;
        Err(refusal.into())
    }

    /// A statement that is no query.
    pub(super) fn utility(&mut self, stmt: Node<'_>, mentions: bool) -> Step<()> {
        // What the database keeps or decides on later can't be evaluated now.
        self.evaluating.off |= !matches!(stmt, Node::CopyStmt(_) | Node::DeclareCursorStmt(_));
        match stmt {
            Node::CopyStmt(c) => self.copy(c),
            Node::DeclareCursorStmt(d) => self.declare(d),
            Node::CreateTableAsStmt(c) => self.create_table_as(c, mentions),
            Node::ViewStmt(v) => {
                v.view().map_or(Ok(()), |r| self.shadows(r))?;
                self.kept_query(v.query(), "CREATE VIEW")?;
                self.touched = false;
                Ok(())
            }
            Node::RuleStmt(r) => {
                let own = r.relation().is_some_and(|r| self.policy_table_of(r).is_some());
                if own || self.names.may_be_relation(self.tokens, &self.span) {
                    let message = "CREATE RULE that names a protected table";
                    return self.stop(refuse::refusal("rules", message, "Do it in the application."));
                }
                Ok(())
            }
            Node::CreateFunctionStmt(_) => {
                let message = "a function whose definition names a protected table";
                self.stop(refuse::refusal("function", message, "Run its statements from the application."))
            }
            Node::DoStmt(_) => {
                let message = "a DO block that names a protected table";
                self.stop(refuse::refusal("dynamic-sql", message, "Run its statements from the application."))
            }
            Node::CallStmt(c) => match c.funccall() {
                Some(f) => self.expr(Node::FuncCall(f), &Env::default()).map(|_| ()),
                None => Err(refuse::unknown("a CALL").into()),
            },
            Node::CreateStmt(c) => self.create_table(c),
            Node::AlterTableStmt(a) => self.alter_table(a),
            Node::RenameStmt(r) => self.rename_object(r),
            Node::AlterObjectSchemaStmt(a) => match a.relation() {
                Some(r) if self.policy_table_of(r).is_some_and(|t| self.is_own(t)) => self.stop(renamed(r)),
                Some(r)
                    if self
                        .scope
                        .tables
                        .iter()
                        .any(|t| Some(&*t.name) == r.relname() && Some(&*t.schema) == a.newschema()) =>
                {
                    self.stop(renamed(r))
                }
                _ => Ok(()),
            },
            Node::CreateSeqStmt(s) => s.sequence().map_or(Ok(()), |r| self.shadows(r)),
            Node::DefineStmt(_) | Node::CreateCastStmt(_) if mentions => {
                let message = "an operator, aggregate or cast by a function that touches a protected table";
                self.stop(refuse::refusal("function", message, "Run its statements from the application."))
            }
            Node::CreateTrigStmt(t) => self.trigger(t),
            Node::CreateStatsStmt(c)
                if c.exprs().iter().all(|e| matches!(e, Node::StatsElem(s) if s.name().is_some())) =>
            {
                Ok(())
            }
            Node::IndexStmt(i) => self.create_index(i),
            Node::CreatePolicyStmt(p) => self.row_security(p.table(), &[p.qual(), p.with_check()]),
            Node::AlterPolicyStmt(p) => self.row_security(p.table(), &[p.qual(), p.with_check()]),
            Node::CreateSchemaStmt(c) => c.schema_elts().iter().try_for_each(|e| self.utility(e, mentions)),
            Node::CreatePublicationStmt(_) | Node::AlterPublicationStmt(_) if !self.has_where() => Ok(()),
            Node::TruncateStmt(t) => t.relations().iter().try_for_each(|r| self.truncated(r)),
            Node::DropStmt(_)
            | Node::VacuumStmt(_)
            | Node::LockStmt(_)
            | Node::GrantStmt(_)
            | Node::GrantRoleStmt(_)
            | Node::ReindexStmt(_)
            | Node::ClusterStmt(_)
            | Node::CommentStmt(_)
            | Node::SecLabelStmt(_)
            | Node::AlterOwnerStmt(_)
            | Node::AlterSeqStmt(_)
            | Node::RefreshMatViewStmt(_)
            | Node::TransactionStmt(_)
            | Node::VariableSetStmt(_)
            | Node::VariableShowStmt(_)
            | Node::DiscardStmt(_)
            | Node::FetchStmt(_)
            | Node::ClosePortalStmt(_)
            | Node::DeallocateStmt(_)
            | Node::ListenStmt(_)
            | Node::NotifyStmt(_)
            | Node::UnlistenStmt(_)
            | Node::ConstraintsSetStmt(_)
            | Node::CheckPointStmt(_)
            | Node::CreateRoleStmt(_)
            | Node::AlterRoleStmt(_)
            | Node::AlterRoleSetStmt(_)
            | Node::DropRoleStmt(_)
            | Node::CreatedbStmt(_)
            | Node::DropdbStmt(_)
            | Node::CreateEnumStmt(_)
            | Node::AlterEnumStmt(_)
            | Node::CompositeTypeStmt(_)
            | Node::CreateExtensionStmt(_)
            | Node::DropOwnedStmt(_)
            | Node::ReassignOwnedStmt(_)
            | Node::AlterFunctionStmt(_)
            | Node::AlterDefaultPrivilegesStmt(_)
            | Node::LoadStmt(_) => Ok(()),
            other => Err(refuse::unknown(&super::expr::kind_name(other)).into()),
        }
    }

    /// TRUNCATE runs triggers of its own.
    fn truncated(&mut self, table: Node<'_>) -> Step<()> {
        let Node::RangeVar(var) = table else { return Ok(()) };
        let rel = self.range_var(var, &Env::default())?;
        match self.rels[rel].relation.as_ref().filter(|r| r.truncates) {
            Some(relation) => {
                let refusal = super::insert::writes_on(&relation.name);
                self.stop(refusal)
            }
            None => Ok(()),
        }
    }

    /// The table that CREATE TABLE AS makes is none of the policy's, and stands before none.
    pub(super) fn made_by(&mut self, c: &nodes::CreateTableAsStmt) -> Step<()> {
        let made = c.into().and_then(|i| i.rel());
        made.map_or(Ok(()), |r| self.shadows(r))?;
        if made.is_some_and(|r| self.policy_table_of(r).is_some()) {
            let hint = "Create the table with its columns, then insert through the gateway.";
            let message = "CREATE TABLE AS of a table that the policy protects";
            return self.stop(refuse::refusal("create-table-as", message, hint));
        }
        Ok(())
    }

    fn has_where(&self) -> bool {
        let tokens = self.tokens.all();
        (0..tokens.len()).any(|i| self.span.contains(&tokens[i].start) && self.tokens.is_word(i, "where"))
    }

    /// A cursor: its query is planned as it would be by itself, and its rows are opened as they are fetched.
    fn declare(&mut self, d: &nodes::DeclareCursorStmt) -> Step<()> {
        let Node::SelectStmt(select) = d.query() else {
            return Err(refuse::unknown("a cursor of that form").into());
        };
        self.top_select(select)?;
        if self.modifies {
            return Err(refuse::unknown("a cursor of that form").into());
        }
        if !self.touched || self.explain {
            return Ok(());
        }
        if d.options & BINARY != 0 {
            let hint = "Declare it without BINARY; drivers ask for binary values in the protocol.";
            return Err(refuse::refusal("cursor", "a BINARY cursor on a protected table", hint).into());
        }
        self.cursor = Some((d.portalname().unwrap_or_default().into(), d.options & HOLD != 0));
        Ok(())
    }

    /// A statement within another that keeps it: it may touch nothing protected.
    pub(super) fn hides(
        &mut self,
        query: Node<'_>,
        mentions: bool,
        (anchor, what, hint): (&'static str, &str, &str),
    ) -> Step<()> {
        let result = self.statement(query, mentions);
        if self.touched || result.is_err() {
            return Err(refuse::refusal(anchor, format!("{what} over a protected table"), hint).into());
        }
        Ok(())
    }

    /// The policy table that a name in DDL means.
    pub(super) fn policy_table_of(&self, var: &nodes::RangeVar) -> Option<&'s Table> {
        if var.relpersistence == b't'.cast_signed() {
            return None;
        }
        let name = var.relname()?;
        let is = |schema: &str| self.scope.tables.iter().find(|t| &*t.schema == schema && &*t.name == name);
        match var.schemaname() {
            Some(schema) => is(schema),
            None => match self.find(None, name) {
                Found::Relation(_, table) => table,
                _ => self.scope.search_path.list().iter().find_map(|s| is(s)),
            },
        }
    }

    pub(super) fn placed(table: &'s Table, column: &str) -> Option<&'s Placed> {
        table.columns.iter().find(|p| &*p.column == column)
    }
}

pub(super) fn renamed(var: &nodes::RangeVar) -> Refusal {
    refuse::refusal(
        "ddl-rename",
        format!(
            "renaming or moving {}, or a column that the policy names",
            var.relname().unwrap_or_default()
        ),
        "The policy knows tables and columns by name: change the policy together with the schema, with the \
         application stopped, on a direct connection.",
    )
}
