//! Definitions of protected tables: their columns must hold what the policy says, and no expression in the
//! schema may compute with it.

use super::core::{Planner, Step};
use super::ddl::renamed;
use super::edit::Piece;
use super::names::{Env, FieldFlow, Flow, Found, RelCol};
use super::value::type_of;
use super::{Scope, refuse, types};
use crate::pg::refusal::Refusal;
use crate::policy::guard::{self, Guarded, Storage};
use crate::policy::model::{Declared, Field, Placed, Protect, Table, TokenKind};
use pg_raw_parse::raw::{AlterTableType, ConstrType, ObjectType};
use pg_raw_parse::{ConstValue, Node, nodes};
use std::sync::Arc;

impl<'s> Planner<'s> {
    pub(super) fn create_table(&mut self, c: &nodes::CreateStmt) -> Step<()> {
        c.relation().map_or(Ok(()), |r| self.shadows(r))?;
        let own = c.relation().and_then(|r| self.policy_table_of(r));
        let Some(table) = self.descends(c, own)? else { return self.foreign_keys(c.table_elts()) };
        let partition = c.partbound().is_some();
        for element in c.table_elts() {
            match element {
                Node::ColumnDef(def) => self.column_def(def, table)?,
                Node::Constraint(con) => self.constraint(con, None, table)?,
                _ if own.is_none() => {}
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
        if c.of_typename().is_some() && !partition {
            return self.stop(refuse::unknown("CREATE TABLE … OF"));
        }
        Ok(())
    }

    /// A temporary relation under a protected table's name would stand before it.
    pub(super) fn shadows(&mut self, var: &nodes::RangeVar) -> Step<()> {
        if !self.scope.tables.iter().any(|t| Some(&*t.name) == var.relname()) {
            return Ok(());
        }
        let temporary = var.relpersistence == b't'.cast_signed()
            || match var.schemaname() {
                Some(schema) => schema.starts_with("pg_temp"),
                None => self.scope.search_path.list().first().is_some_and(|s| s.starts_with("pg_temp")),
            };
        if !temporary {
            return Ok(());
        }
        self.stop(refuse::refusal(
            "temp-shadow",
            format!(
                "a temporary relation named {}, as a protected table is",
                var.relname().unwrap_or_default()
            ),
            "Give it another name: statements that name the table would mean the temporary one.",
        ))
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
        // A partition has its parent's types.
        let Some(ty) = def.type_name() else { return Ok(()) };
        if ty.names().first().and_then(|s| s.sval()) == Some(guard::SCHEMA) {
            return Ok(());
        }
        let (name, to) = type_of(ty)?;
        let Some((oid, typmod)) = to.filter(|_| ty.array_bounds().is_empty()) else {
            return self.stop(ddl_type(table, placed, field, &name));
        };
        let as_shown = field.protect == Protect::Encrypt && (oid, typmod) == types::declared(field.ty);
        match types::storage(oid, typmod) {
            _ if as_shown && !field.ty.is_text() => self.stored_as(ty, field, Storage::Bytea, table),
            // Sealed values are longer than their length says.
            Some(Storage::Varchar(Some(_))) if as_shown => self.stored_as(ty, field, Storage::Text, table),
            Some(storage) if stores(field, oid) => self.stored_as(ty, field, storage, table),
            _ if stores(field, oid) => Ok(()),
            _ => self.stop(ddl_type(table, placed, field, &name)),
        }
    }

    /// A type as clients see it stands for what it is stored as: the guard's domain, where there is one.
    fn stored_as(
        &mut self,
        ty: &nodes::TypeName,
        field: &Field,
        storage: Storage,
        table: &Table,
    ) -> Step<()> {
        let first = self.token_at(ty.location)?;
        let range =
            self.bytes_of(first).start..self.bytes_of(self.tokens.type_end(first).saturating_sub(1)).end;
        let domain = Guarded::new(field, storage).map(|guarded| guarded.name());
        let guards = &self.scope.catalog.mask.domains;
        let made = |name: &String| guards.iter().any(|(_, domain, _)| **domain == **name);
        let text = match domain.filter(|name| table.subject.when.is_none() && made(name)) {
            Some(name) => format!("{}.{}", guard::SCHEMA, super::edit::quote(&name)),
            None => storage.to_string(),
        };
        let (_, written) = type_of(ty)?;
        if written.and_then(|(oid, typmod)| types::storage(oid, typmod)) != Some(storage)
            || text.contains('.')
        {
            self.edit(range, vec![Piece::Text(text)]);
            self.touched = true;
        }
        Ok(())
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
                self.foreign_key(con, column, Some(table))?;
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
    pub(super) fn definition(&mut self, table: &'s Table) -> Step<Env<'static>> {
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
                    beneath: None,
                    subject_oid: 0,
                    class: Arc::clone(&table.subject.class),
                    when: None,
                    table: (Arc::clone(&table.schema), Arc::clone(&table.name)),
                    label: format!("{}.{}", table.name, placed.column).into(),
                    stored_oid: oid,
                    shown: types::shown(field, oid, typmod),
                    not_null: false,
                    cast: false,
                    origin: None,
                    bound: false,
                })),
            });
        }
        let rel = self.derived(&table.name, Some(cols));
        self.rels[rel].open = true;
        Ok(Env { parent: None, ns: self.namespace(rel), ctes: Vec::new() })
    }

    /// An expression kept in the schema: nothing may be done to a protected column in it, nor compared.
    pub(super) fn definition_expr(&mut self, node: Node<'_>, env: &Env<'_>, what: &str) -> Step<()> {
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

    pub(super) fn alter_table(&mut self, a: &nodes::AlterTableStmt) -> Step<()> {
        self.alter_hierarchy(a)?;
        let Some(table) = a.relation().and_then(|r| self.policy_table_of(r)) else {
            for cmd in a.cmds() {
                if let Node::AlterTableCmd(cmd) = cmd {
                    self.foreign_keys_of(cmd.def())?;
                }
            }
            return Ok(());
        };
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
                (AlterTableType::AT_AlterColumnType, Node::ColumnDef(def), None) => {
                    if cmd.name() == Some(&*table.subject.column) && !subject_stays(def) {
                        return self.stop(subject_type(table));
                    }
                    let env = self.definition(table)?;
                    let conversion = def.raw_default();
                    if matches!(self.expr(conversion, &env), Ok(Flow::Field(_))) {
                        return self.stop(refuse::unknown("a USING that copies a protected column"));
                    }
                    self.definition_expr(conversion, &env, "a column's conversion")?;
                }
                (AlterTableType::AT_ColumnDefault, def, Some(placed)) if !harmless_default(def) => {
                    return self.stop(ddl_default(&format!("{}.{}", table.name, placed.column)));
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

    pub(super) fn rename_object(&mut self, r: &nodes::RenameStmt) -> Step<()> {
        let Some(var) = r.relation() else { return Ok(()) };
        let table = self.policy_table_of(var);
        // Postgres takes ALTER INDEX … RENAME for a table too.
        let relation = matches!(
            r.rename_type,
            ObjectType::OBJECT_TABLE
                | ObjectType::OBJECT_INDEX
                | ObjectType::OBJECT_VIEW
                | ObjectType::OBJECT_MATVIEW
                | ObjectType::OBJECT_SEQUENCE
                | ObjectType::OBJECT_FOREIGN_TABLE
        );
        match (r.rename_type, table) {
            // A partition stays what it is, whatever it is called.
            (_, Some(table)) if relation && !self.is_own(table) => Ok(()),
            (_, Some(_)) if relation => self.stop(renamed(var)),
            (_, None) if relation => {
                let new = r.newname().unwrap_or_default();
                let schema = match self.find(var.schemaname(), var.relname().unwrap_or_default()) {
                    Found::Relation(relation, _) => Some(Arc::clone(&relation.schema)),
                    _ => var.schemaname().map(Arc::from),
                };
                let there = |s: &Arc<str>, t: &Table| *s == t.schema || s.starts_with("pg_temp");
                let becomes = |t: &Table| &*t.name == new && schema.as_ref().is_none_or(|s| there(s, t));
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

    pub(super) fn create_index(&mut self, i: &nodes::IndexStmt) -> Step<()> {
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

    /// A trigger's function can't be seen into (the catalog tells of those that name protected tables); its
    /// condition is an expression kept in the schema.
    pub(super) fn trigger(&mut self, t: &nodes::CreateTrigStmt) -> Step<()> {
        let Some(table) = t.relation().and_then(|r| self.policy_table_of(r)) else { return Ok(()) };
        let function = t.funcname().iter().filter_map(|n| n.as_str()).next_back().unwrap_or_default();
        if self.scope.catalog.assigning.iter().any(|f| f.eq_ignore_ascii_case(function)) {
            return self.stop(super::assigns::assigning("a trigger with a function"));
        }
        if matches!(t.when_clause(), Node::None) {
            return Ok(());
        }
        let mut ns = super::names::Namespace::default();
        for alias in ["old", "new"] {
            let rel = self.definition(table)?.ns.rels;
            rel.iter().for_each(|&r| alias.clone_into(&mut self.rels[r].alias));
            ns.rels.extend(rel);
        }
        let env = Env { parent: None, ns, ctes: Vec::new() };
        self.definition_expr(t.when_clause(), &env, "a trigger's condition")
    }

    pub(super) fn row_security(
        &mut self,
        var: Option<&nodes::RangeVar>,
        conditions: &[Node<'_>],
    ) -> Step<()> {
        let Some(table) = var.and_then(|r| self.policy_table_of(r)) else {
            return Err(refuse::unknown("a row security policy").into());
        };
        let env = self.definition(table)?;
        conditions.iter().try_for_each(|c| self.definition_expr(*c, &env, "a row security policy"))?;
        self.touched = false;
        Ok(())
    }
}

/// ALTER SCHEMA … RENAME of, or to, a schema that holds protected tables: it does not name them.
pub(super) fn renamed_schema(stmt: Node<'_>, scope: &Scope<'_>) -> Result<(), Refusal> {
    let Node::RenameStmt(r) = stmt else { return Ok(()) };
    let names = [r.subname(), r.newname()];
    let holds = |t: &Table| names.contains(&Some(&*t.schema));
    if r.rename_type != ObjectType::OBJECT_SCHEMA || !scope.tables.iter().any(holds) {
        return Ok(());
    }
    Err(refuse::refusal(
        "ddl-rename",
        "renaming a schema that the policy names",
        "The policy knows tables by schema and name: change the policy together with the schema, with the \
         application stopped, on a direct connection.",
    ))
}

impl Planner<'_> {
    /// A write to a protected column whose storage type can't hold what would be sent there.
    pub(super) fn storable(&self, rel: super::names::RelId, column: usize) -> Step<()> {
        let r = &self.rels[rel];
        let Some(Flow::Field(flow)) = r.cols.get(column).map(|c| &c.flow) else { return Ok(()) };
        let field = self.field(flow.field)?;
        let (Some(table), false) = (r.table, stores(field, flow.stored_oid)) else { return Ok(()) };
        let Some(placed) = table.columns.iter().find(|p| p.field == flow.field) else { return Ok(()) };
        Err(ddl_type(table, placed, field, "it is stored").into())
    }
}

/// Whether a column of this type can hold a field's envelopes or tokens.
pub(super) fn stores(field: &Field, oid: u32) -> bool {
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

/// Whether ALTER TYPE of a subject's column spells every id as before.
fn subject_stays(def: &nodes::ColumnDef) -> bool {
    let ty = def.type_name().and_then(|t| type_of(t).ok()).and_then(|(_, to)| to);
    matches!(def.raw_default(), Node::None)
        && ty.is_some_and(|(oid, typmod)| {
            matches!(oid, types::INT2 | types::INT4 | types::INT8 | types::UUID | types::TEXT)
                || (oid == types::VARCHAR && typmod == -1)
        })
}

fn subject_type(table: &Table) -> Refusal {
    let (name, column) = (&table.name, &table.subject.column);
    refuse::refusal(
        "subject-change",
        format!("ALTER TYPE of {name}.{column}, the subject of its rows, to one that may spell it otherwise"),
        "Integers, uuid, text and varchar without length keep it, without USING.",
    )
}

fn harmless_default(mut node: Node<'_>) -> bool {
    while let Node::TypeCast(t) = node {
        node = t.arg();
    }
    match node {
        Node::None => true,
        Node::A_Const(c) => c.isnull || matches!(c.val(), Some(ConstValue::String(""))),
        _ => false,
    }
}

pub(super) fn ddl_default(label: &str) -> Refusal {
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
