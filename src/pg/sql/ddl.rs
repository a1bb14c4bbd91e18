//! Everything but queries: DDL on protected tables, and statements that hide others.

use super::core::{Planner, Step};
use super::names::{Env, FieldFlow, Flow, Found, RelCol};
use super::value::type_of;
use super::{refuse, types};
use crate::pg::refusal::Refusal;
use crate::policy::model::{Declared, Field, Placed, Protect, Table, TokenKind};
use pg_raw_parse::raw::{AlterTableType, ConstrType, ObjectType};
use pg_raw_parse::{ConstValue, Node, nodes};
use std::sync::Arc;

/// Functions that run SQL text, or read a table by its name, given to them.
const RUN_TEXT: [&str; 14] = [
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
];

/// Whether a function runs SQL text that is given to it.
pub(super) fn runs_text(name: &str) -> bool {
    RUN_TEXT.contains(&name) || name.starts_with("dblink") || name.starts_with("crosstab")
}

impl<'s> Planner<'s> {
    /// Whether a literal argument, at any depth of casts, names a protected table.
    pub(super) fn literal_names_protected(&self, f: &nodes::FuncCall) -> bool {
        let literal = |n: Node<'_>| match super::statement::constant(n) {
            Some(text) => self.names.in_text(&text),
            // Text that is put together can't be judged: any string of the statement counts.
            None => self.names.in_strings(self.tokens, &self.span),
        };
        f.args().iter().any(literal)
    }

    fn stop(&mut self, refusal: Refusal) -> Step<()> {
        self.touched = true;
        Err(refusal.into())
    }

    /// A statement that is no query.
    pub(super) fn utility(&mut self, stmt: Node<'_>, mentions: bool) -> Step<()> {
        let hint = "Send the statement itself, with parameters.";
        match stmt {
            Node::CopyStmt(c) => self.copy(c),
            Node::PrepareStmt(p) => self.hides(p.query(), mentions, ("prepare", "PREPARE", hint)),
            Node::DeclareCursorStmt(d) => {
                let hint = "Use a portal of the extended protocol with a row limit.";
                self.hides(d.query(), mentions, ("cursor", "DECLARE CURSOR", hint))
            }
            Node::CreateTableAsStmt(c) => {
                let made = c.into().and_then(|i| i.rel());
                if made.is_some_and(|r| self.policy_table_of(r).is_some()) {
                    let hint = "Create the table with its columns, then insert through the gateway.";
                    let message = "CREATE TABLE AS of a table that the policy protects";
                    return self.stop(refuse::refusal("create-table-as", message, hint));
                }
                let hint = "Create the table, then copy through the application.";
                self.hides(
                    c.query(),
                    mentions,
                    ("create-table-as", "CREATE TABLE AS or a materialised view", hint),
                )
            }
            Node::ViewStmt(v) => {
                let hint = "Query the tables themselves: this version can't follow a view.";
                self.hides(v.query(), mentions, ("view", "CREATE VIEW", hint))
            }
            Node::RuleStmt(_) if mentions => Err(refuse::refusal(
                "rules",
                "CREATE RULE that names a protected table",
                "Use a trigger, or do it in the application.",
            )
            .into()),
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
                Some(r) if self.policy_table_of(r).is_some() => self.stop(renamed(r)),
                _ => Ok(()),
            },
            Node::IndexStmt(i) => self.create_index(i),
            Node::CreatePolicyStmt(p) => self.row_security(p.table(), &[p.qual(), p.with_check()]),
            Node::AlterPolicyStmt(p) => self.row_security(p.table(), &[p.qual(), p.with_check()]),
            Node::CreateSchemaStmt(c) => c.schema_elts().iter().try_for_each(|e| self.utility(e, mentions)),
            Node::CreatePublicationStmt(_) | Node::AlterPublicationStmt(_) if !self.has_where() => Ok(()),
            Node::DropStmt(_)
            | Node::TruncateStmt(_)
            | Node::VacuumStmt(_)
            | Node::LockStmt(_)
            | Node::GrantStmt(_)
            | Node::GrantRoleStmt(_)
            | Node::ReindexStmt(_)
            | Node::ClusterStmt(_)
            | Node::CommentStmt(_)
            | Node::SecLabelStmt(_)
            | Node::AlterOwnerStmt(_)
            | Node::CreateSeqStmt(_)
            | Node::AlterSeqStmt(_)
            | Node::CreateTrigStmt(_)
            | Node::RefreshMatViewStmt(_)
            | Node::TransactionStmt(_)
            | Node::VariableSetStmt(_)
            | Node::VariableShowStmt(_)
            | Node::DiscardStmt(_)
            | Node::FetchStmt(_)
            | Node::ClosePortalStmt(_)
            | Node::ExecuteStmt(_)
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

    fn has_where(&self) -> bool {
        let tokens = self.tokens.all();
        (0..tokens.len()).any(|i| self.span.contains(&tokens[i].start) && self.tokens.is_word(i, "where"))
    }

    /// A statement within another that keeps it: it may touch nothing protected.
    fn hides(
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

    fn copy(&mut self, c: &nodes::CopyStmt) -> Step<()> {
        let refusal = || {
            refuse::refusal(
                "copy",
                "COPY of a protected table",
                "Use INSERT (many rows at once, or UNNEST) and SELECT; COPY comes in a later version.",
            )
        };
        match c.relation() {
            Some(var) => {
                let name = var.relname().unwrap_or_default();
                let protected = match self.find(var.schemaname(), name) {
                    Found::Relation(relation, table) => table.is_some() || relation.touches_protected,
                    Found::System => false,
                    Found::Unknown(policy) => policy,
                };
                if protected { self.stop(refusal()) } else { Ok(()) }
            }
            None => Err(refusal().into()),
        }
    }

    /// The policy table that a name in DDL means.
    fn policy_table_of(&self, var: &nodes::RangeVar) -> Option<&'s Table> {
        if var.relpersistence == b't'.cast_signed() {
            return None;
        }
        let name = var.relname()?;
        let is = |schema: &str| self.scope.tables.iter().find(|t| &*t.schema == schema && &*t.name == name);
        match var.schemaname() {
            Some(schema) => is(schema),
            None => match self.find(None, name) {
                Found::Relation(_, table) => table,
                _ => self.scope.search_path.iter().find_map(|s| is(s)),
            },
        }
    }

    fn placed(table: &'s Table, column: &str) -> Option<&'s Placed> {
        table.columns.iter().find(|p| &*p.column == column)
    }

    fn create_table(&mut self, c: &nodes::CreateStmt) -> Step<()> {
        let Some(table) = c.relation().and_then(|r| self.policy_table_of(r)) else { return Ok(()) };
        if c.partspec().is_some() || c.partbound().is_some() || !c.inh_relations().is_empty() {
            let message = format!("{} is protected, and would be partitioned or inherit", table.name);
            return self.stop(refuse::refusal(
                "hierarchy",
                message,
                "Keep protected columns in a plain table.",
            ));
        }
        for element in c.table_elts() {
            match element {
                Node::ColumnDef(def) => self.column_def(def, table)?,
                Node::Constraint(con) => self.constraint(con, None, table)?,
                _ => {
                    let message = format!("CREATE TABLE {} with LIKE or OF", table.name);
                    return self.stop(refuse::refusal(
                        "ddl-type",
                        message,
                        "List the columns with their types.",
                    ));
                }
            }
        }
        if c.of_typename().is_some() {
            return self.stop(refuse::unknown("CREATE TABLE … OF"));
        }
        Ok(())
    }

    fn column_def(&mut self, def: &nodes::ColumnDef, table: &'s Table) -> Step<()> {
        let name = def.colname().unwrap_or_default();
        let placed = Self::placed(table, name);
        if let Some(placed) = placed {
            self.column_type(def, placed, table)?;
        }
        for constraint in def.constraints() {
            let Node::Constraint(con) = constraint else { return self.stop(refuse::unknown("a constraint")) };
            self.constraint(con, Some(name), table)?;
        }
        Ok(())
    }

    /// The storage that a protected column's type gives must hold what it will.
    fn column_type(&mut self, def: &nodes::ColumnDef, placed: &Placed, table: &Table) -> Step<()> {
        let field = self.field(placed.field)?;
        let Some(ty) = def.type_name() else { return self.stop(refuse::unknown("a column without a type")) };
        let guard = ty.names().first().and_then(|s| s.sval()) == Some("paravent");
        let (name, to) = type_of(ty)?;
        let fits = guard || (ty.array_bounds().is_empty() && to.is_some_and(|(oid, _)| stores(field, oid)));
        if fits { Ok(()) } else { self.stop(ddl_type(table, placed, field, &name)) }
    }

    /// A constraint of a protected table, or of one of its columns.
    fn constraint(&mut self, con: &nodes::Constraint, column: Option<&str>, table: &'s Table) -> Step<()> {
        let env = self.definition(table)?;
        let placed = column.and_then(|c| Self::placed(table, c));
        let label = |c: &str| format!("{}.{c}", table.name);
        match con.contype {
            ConstrType::CONSTR_DEFAULT => match placed {
                Some(p) if !harmless_default(con.raw_expr()) => self.stop(ddl_default(&label(&p.column))),
                _ => Ok(()),
            },
            ConstrType::CONSTR_IDENTITY => match placed {
                Some(p) => self.stop(ddl_default(&label(&p.column))),
                None => Ok(()),
            },
            ConstrType::CONSTR_GENERATED => match placed {
                Some(p) => self.stop(ddl_default(&label(&p.column))),
                None => self.definition_expr(con.raw_expr(), &env, "a generated column"),
            },
            ConstrType::CONSTR_CHECK => self.definition_expr(con.raw_expr(), &env, "a CHECK constraint"),
            ConstrType::CONSTR_EXCLUSION => self.stop(refuse::unknown("an EXCLUDE constraint")),
            ConstrType::CONSTR_PRIMARY | ConstrType::CONSTR_UNIQUE | ConstrType::CONSTR_FOREIGN => {
                let listed = con.keys().iter().chain(con.fk_attrs()).filter_map(|n| n.as_str());
                for name in listed.chain(column) {
                    if let Some(p) = Self::placed(table, name)
                        && self.field(p.field)?.protect == Protect::Encrypt
                    {
                        let what = "UNIQUE, PRIMARY KEY or REFERENCES";
                        return self.stop(refuse::operator(what, false, &label(name)));
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// An environment in which a table's own definition is read: its protected columns, and others unknown.
    fn definition(&mut self, table: &'s Table) -> Step<Env<'static>> {
        let mut cols = Vec::with_capacity(table.columns.len());
        for placed in &table.columns {
            let field = self.field(placed.field)?;
            let (oid, typmod) = types::declared(field.ty);
            cols.push(RelCol {
                name: placed.column.to_string(),
                oid,
                flow: Flow::Field(Box::new(FieldFlow {
                    field: placed.field,
                    token: field.protect != Protect::Encrypt,
                    at: None,
                    subject: None,
                    subject_oid: 0,
                    class: Arc::clone(&table.subject.class),
                    when: None,
                    table: (Arc::clone(&table.schema), Arc::clone(&table.name)),
                    label: format!("{}.{}", table.name, placed.column).into(),
                    stored_oid: oid,
                    shown: types::shown(field, oid, typmod),
                    not_null: false,
                })),
            });
        }
        let rel = self.derived(&table.name, Some(cols));
        self.rels[rel].open = true;
        Ok(Env { parent: None, ns: self.namespace(rel), ctes: Vec::new() })
    }

    /// An expression kept in the schema: nothing may be done to a protected column in it, nor compared.
    fn definition_expr(&mut self, node: Node<'_>, env: &Env<'_>, what: &str) -> Step<()> {
        let (uses, edits) = (self.uses.len(), self.edits.len());
        let result = self.plain(node, env, what);
        if let Err(stop) = result {
            self.touched = true;
            return Err(stop);
        }
        if self.uses.len() > uses || self.edits.len() > edits {
            let hint = "Values of protected columns can be judged only in the application.";
            let message = format!("{what} that compares or casts a protected column");
            return self.stop(refuse::refusal("ddl-check", message, hint));
        }
        Ok(())
    }

    fn alter_table(&mut self, a: &nodes::AlterTableStmt) -> Step<()> {
        let Some(table) = a.relation().and_then(|r| self.policy_table_of(r)) else { return Ok(()) };
        for cmd in a.cmds() {
            let Node::AlterTableCmd(cmd) = cmd else { return self.stop(refuse::unknown("an ALTER TABLE")) };
            let placed = cmd.name().and_then(|n| Self::placed(table, n));
            match (cmd.subtype, cmd.def(), placed) {
                (AlterTableType::AT_AddColumn, Node::ColumnDef(def), _) => self.column_def(def, table)?,
                (AlterTableType::AT_AddConstraint, Node::Constraint(con), _) => {
                    self.constraint(con, None, table)?;
                }
                (AlterTableType::AT_AlterColumnType, Node::ColumnDef(def), Some(placed)) => {
                    self.column_type(def, placed, table)?;
                    let field = self.field(placed.field)?;
                    if !matches!(def.raw_default(), Node::None) || !text_stays(def) {
                        return self.stop(ddl_type(table, placed, field, "another type, or with USING"));
                    }
                }
                (AlterTableType::AT_ColumnDefault, def, Some(placed)) => {
                    if !harmless_default(def) {
                        return self.stop(ddl_default(&format!("{}.{}", table.name, placed.column)));
                    }
                }
                (AlterTableType::AT_AddIdentity | AlterTableType::AT_SetExpression, _, Some(placed)) => {
                    return self.stop(ddl_default(&format!("{}.{}", table.name, placed.column)));
                }
                (AlterTableType::AT_SetExpression, def, None) => {
                    let env = self.definition(table)?;
                    self.definition_expr(def, &env, "a generated column")?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn rename_object(&mut self, r: &nodes::RenameStmt) -> Step<()> {
        let Some(var) = r.relation() else { return Ok(()) };
        let table = self.policy_table_of(var);
        match (r.rename_type, table) {
            (ObjectType::OBJECT_TABLE, Some(_)) => self.stop(renamed(var)),
            (ObjectType::OBJECT_TABLE, None) => {
                let new = r.newname().unwrap_or_default();
                let schema = match self.find(var.schemaname(), var.relname().unwrap_or_default()) {
                    Found::Relation(relation, _) => Some(Arc::clone(&relation.schema)),
                    _ => var.schemaname().map(Arc::from),
                };
                let becomes = |t: &Table| &*t.name == new && schema.as_ref().is_none_or(|s| *s == t.schema);
                if self.scope.tables.iter().any(becomes) { self.stop(renamed(var)) } else { Ok(()) }
            }
            (ObjectType::OBJECT_COLUMN, Some(table)) => {
                let known = |name: Option<&str>| {
                    let Some(name) = name else { return false };
                    let when = table.subject.when.as_ref();
                    Self::placed(table, name).is_some()
                        || *name == *table.subject.column
                        || when.is_some_and(|w| *name == *w.column || *name == *format!("{}_id", w.column))
                };
                if known(r.subname()) || known(r.newname()) { self.stop(renamed(var)) } else { Ok(()) }
            }
            _ => Ok(()),
        }
    }

    fn create_index(&mut self, i: &nodes::IndexStmt) -> Step<()> {
        let Some(table) = i.relation().and_then(|r| self.policy_table_of(r)) else { return Ok(()) };
        let env = self.definition(table)?;
        for element in i.index_params() {
            if let Some(p) = element.name().and_then(|n| Self::placed(table, n))
                && i.unique
                && self.field(p.field)?.protect == Protect::Encrypt
            {
                return self.stop(refuse::operator("UNIQUE", false, &format!("{}.{}", table.name, p.column)));
            }
            self.definition_expr(element.expr(), &env, "an index expression")?;
        }
        if !i.exclude_op_names().is_empty() {
            return self.stop(refuse::unknown("an EXCLUDE constraint"));
        }
        self.definition_expr(i.where_clause(), &env, "an index condition")
    }

    fn row_security(&mut self, var: Option<&nodes::RangeVar>, conditions: &[Node<'_>]) -> Step<()> {
        let Some(table) = var.and_then(|r| self.policy_table_of(r)) else {
            return Err(refuse::unknown("a row security policy").into());
        };
        let env = self.definition(table)?;
        conditions.iter().try_for_each(|c| self.definition_expr(*c, &env, "a row security policy"))?;
        self.touched = false;
        Ok(())
    }
}

/// Whether a column of this type can hold a field's envelopes or tokens.
fn stores(field: &Field, oid: u32) -> bool {
    match &field.protect {
        Protect::Encrypt => {
            oid == types::BYTEA
                || (types::is_text(oid) && matches!(field.ty, Declared::Text | Declared::Varchar(_)))
        }
        Protect::Pseudonym { kind: TokenKind::Uuid, .. } => types::is_text(oid) || oid == types::UUID,
        Protect::Pseudonym { kind: TokenKind::Integer, .. } => types::is_text(oid) || oid == types::INT8,
        Protect::Pseudonym { .. } => types::is_text(oid),
    }
}

/// ALTER TYPE among text types leaves what is stored as it is.
fn text_stays(def: &nodes::ColumnDef) -> bool {
    let ty = def.type_name().and_then(|t| type_of(t).ok()).and_then(|(_, to)| to);
    ty.is_some_and(|(oid, _)| types::is_text(oid))
}

fn harmless_default(node: Node<'_>) -> bool {
    match node {
        Node::None => true,
        Node::A_Const(c) => c.isnull || matches!(c.val(), Some(ConstValue::String(""))),
        Node::TypeCast(t) => harmless_default(t.arg()),
        _ => false,
    }
}

fn ddl_default(label: &str) -> Refusal {
    refuse::refusal(
        "ddl-default",
        format!("a DEFAULT, identity or generation expression on protected column {label}"),
        "The database can't protect a value that it makes; only NULL and '' can be defaults.",
    )
}

fn ddl_type(table: &Table, placed: &Placed, field: &Field, name: &str) -> Refusal {
    let serves = match &field.protect {
        Protect::Encrypt if matches!(field.ty, Declared::Text | Declared::Varchar(_)) => "text",
        Protect::Encrypt => "bytea",
        Protect::Pseudonym { kind: TokenKind::Uuid, .. } => "uuid",
        Protect::Pseudonym { kind: TokenKind::Integer, .. } => "bigint",
        Protect::Pseudonym { .. } => "text",
    };
    refuse::refusal(
        "ddl-type",
        format!(
            "protected column {}.{} as {name} can't hold its field {}",
            table.name, placed.column, field.name
        ),
        format!("Declare it as: {} {serves}", super::edit::quote(&placed.column)),
    )
}

fn renamed(var: &nodes::RangeVar) -> Refusal {
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
