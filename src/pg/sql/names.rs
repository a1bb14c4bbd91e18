//! Names: relations by search path, columns by alias, and what flows from each column.

use super::core::{Planner, Step, Stop};
use super::edit::quote;
use super::outward::{SourceId, names_fit};
use super::{refuse, types};
use crate::ids::FieldId;
use crate::pg::catalog::model::{Relation, RelationKind};
use crate::pg::plan::Shown;
use crate::pg::refusal::Refusal;
use crate::policy::model::{Bind, Field, Protect, Table};
use hashbrown::Equivalent;
use pg_raw_parse::Node;
use pg_raw_parse::list::NodeList;
use pg_raw_parse::nodes;
use std::sync::Arc;

/// A relation instance of the statement, by its number.
pub(super) type RelId = usize;

/// A column of a relation instance.
pub(super) type At = (RelId, usize);

/// What an expression gives.
#[derive(Debug, Clone)]
pub(super) enum Flow {
    /// Nothing protected; the column that it is, when it is one.
    Plain(Option<At>),
    /// A literal NULL.
    Null,
    /// A protected value as stored.
    Field(Box<FieldFlow>),
}

/// A protected value, as stored, and where it comes from.
#[derive(Debug, Clone)]
pub(super) struct FieldFlow {
    pub(super) field: FieldId,
    pub(super) token: bool,
    /// The column itself, when it is one (not once through a set operation or scalar subquery).
    pub(super) at: Option<At>,
    /// Column of the row's subject, when the same relation instance shows it.
    pub(super) subject: Option<At>,
    pub(super) subject_oid: u32,
    /// The subject, as the query that the instance shows may pass it on: the instance, and which offer.
    pub(super) beneath: Option<At>,
    pub(super) class: Arc<str>,
    /// The table's subject has a `when`; its tested column, when the instance shows it.
    pub(super) when: Option<Option<At>>,
    /// Schema and name of the table, to resolve its `when`.
    pub(super) table: (Arc<str>, Arc<str>),
    /// `people.last_name`.
    pub(super) label: Arc<str>,
    pub(super) stored_oid: u32,
    pub(super) shown: Shown,
    pub(super) not_null: bool,
    /// A cast around it changed its type.
    pub(super) cast: bool,
    /// See [`crate::pg::plan::Output::origin`].
    pub(super) origin: Option<(u32, i16)>,
    /// It is shown only where the row tells whose it is.
    pub(super) bound: bool,
}

/// A column of a relation instance.
#[derive(Debug, Clone)]
pub(super) struct RelCol {
    /// Empty where only the server knows it.
    pub(super) name: String,
    pub(super) flow: Flow,
    /// Type OID where known, else 0.
    pub(super) oid: u32,
}

/// A relation instance.
#[derive(Debug)]
pub(super) struct Rel<'s> {
    /// The name by which columns are qualified; empty for none.
    pub(super) alias: String,
    /// Its schema, where it may also be written so.
    pub(super) schema: Option<String>,
    pub(super) cols: Vec<RelCol>,
    /// It has columns that aren't known here.
    pub(super) open: bool,
    /// It stands on the nullable side of an outer join.
    pub(super) nullable: bool,
    pub(super) table: Option<&'s Table>,
    pub(super) relation: Option<Arc<Relation>>,
    /// The query whose rows it shows, if that may pass columns on.
    pub(super) source: Option<SourceId>,
}

impl Rel<'_> {
    /// The column, as SQL, qualified.
    pub(super) fn column_sql(&self, col: usize) -> Option<String> {
        let column = self.cols.get(col)?;
        if self.alias.is_empty()
            || column.name.is_empty()
            || self.cols.iter().filter(|c| c.name == column.name).count() > 1
        {
            return None;
        }
        let name = quote(&column.name);
        Some(match &self.schema {
            Some(schema) => format!("{}.{}.{name}", quote(schema), quote(&self.alias)),
            None => format!("{}.{name}", quote(&self.alias)),
        })
    }
}

/// What a level of the statement can name.
#[derive(Debug, Default)]
pub(super) struct Env<'e> {
    pub(super) parent: Option<&'e Env<'e>>,
    pub(super) ns: Namespace,
    /// Common table expressions.
    pub(super) ctes: Vec<Cte>,
}

/// A query of WITH.
#[derive(Debug, Clone)]
pub(super) struct Cte {
    pub(super) name: String,
    /// `None`: not known.
    pub(super) cols: Option<Vec<RelCol>>,
    pub(super) source: Option<SourceId>,
}

/// What a FROM clause brings into view.
#[derive(Debug, Default, Clone)]
pub(super) struct Namespace {
    pub(super) rels: Vec<RelId>,
    /// Columns that `*` gives, in order, and that need no qualifier.
    pub(super) cols: Vec<RelCol>,
    pub(super) open: bool,
    /// Some of them are two that USING has merged.
    pub(super) merged: bool,
}

struct Key<'a>(&'a str, &'a str);

impl std::hash::Hash for Key<'_> {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
        self.1.hash(state);
    }
}

impl Equivalent<(Arc<str>, Arc<str>)> for Key<'_> {
    fn equivalent(&self, key: &(Arc<str>, Arc<str>)) -> bool {
        self.0 == &*key.0 && self.1 == &*key.1
    }
}

/// What a name in FROM, or of a target, is.
pub(super) enum Found<'s> {
    /// A relation of the catalog; with its policy table.
    Relation(Arc<Relation>, Option<&'s Table>),
    /// A relation of the system schemas, columns unknown.
    System,
    /// Unknown; with whether the policy names it.
    Unknown(bool),
}

/// What can't be read of a relation might be what is protected.
pub(super) fn odd(relation: &Relation) -> Refusal {
    refuse::refusal(
        "odd-relation",
        format!("{}, of which the catalog holds something that can't be read", relation.name),
        "See in the catalog (pg_attribute, pg_constraint) what is wrong with it; leave it out of statements on protected tables.",
    )
}

const SYSTEM_COLUMNS: [&str; 7] = ["ctid", "xmin", "xmax", "cmin", "cmax", "tableoid", "oid"];

impl<'s> Planner<'s> {
    /// A field of the policy; `None` never happens with the policy that the tables belong to.
    pub(super) fn field(&self, id: FieldId) -> Step<&'s Field> {
        self.scope
            .policy
            .fields
            .get(usize::from(id.0))
            .ok_or_else(|| refuse::unknown("a field of another policy").into())
    }

    /// Finds a relation as Postgres would, but temporary tables last: they never hide a protected one.
    pub(super) fn find(&self, schema: Option<&str>, name: &str) -> Found<'s> {
        let get = |schema: &str| self.scope.catalog.relations.get(&Key(schema, name)).cloned();
        let policy =
            |schema: &str| self.scope.tables.iter().find(move |t| &*t.schema == schema && &*t.name == name);
        let system = |s: &str| matches!(s, "pg_catalog" | "information_schema" | "pg_toast");
        if let Some(schema) = schema {
            return match get(schema) {
                Some(relation) => Found::Relation(relation, policy(schema)),
                None if system(schema) => Found::System,
                None => Found::Unknown(policy(schema).is_some()),
            };
        }
        let searched = self.scope.search_path.list();
        for schema in searched {
            if let Some(relation) = get(schema) {
                return Found::Relation(relation, policy(schema));
            }
        }
        if searched.iter().any(|s| policy(s).is_some()) {
            return Found::Unknown(true);
        }
        let temporary = self.scope.catalog.relations.values();
        if let Some(r) = temporary.filter(|r| r.schema.starts_with("pg_temp")).find(|r| &*r.name == name) {
            return Found::Relation(Arc::clone(r), None);
        }
        if name.starts_with("pg_") { Found::System } else { Found::Unknown(false) }
    }

    /// The relation that a RangeVar names, as a new instance.
    pub(super) fn range_var(&mut self, var: &nodes::RangeVar, env: &Env<'_>) -> Step<RelId> {
        let name = var.relname().unwrap_or_default();
        let alias = var.alias().and_then(|a| a.aliasname());
        if var.schemaname().is_none()
            && let Some(Cte { cols, source, .. }) = cte(env, name)
        {
            let fits = names_fit(var.alias(), cols.as_ref().map_or(0, Vec::len));
            let rel = self.derived(alias.unwrap_or(name), cols.clone());
            self.draws_on(rel, *source);
            if !fits {
                self.close(&[rel])?;
            }
            return self.rename(rel, var.alias());
        }
        let found = self.find(var.schemaname(), name);
        let rel = match found {
            Found::Relation(relation, table) => {
                if table.is_some()
                    && relation.kind != RelationKind::Table
                    && relation.kind != RelationKind::Foreign
                {
                    self.touched = true;
                    let why = "is named by the policy, which protects tables";
                    return Err(super::view::unseen(name, why).into());
                }
                self.touched |= table.is_some();
                if relation.kind != RelationKind::Table && relation.touches_protected {
                    self.view(&relation)?
                } else {
                    self.base(relation, table)?
                }
            }
            Found::System => self.derived(name, None),
            Found::Unknown(policy) => {
                self.touched |= policy;
                let path = var.schemaname().map(|s| format!("{}.", quote(s))).unwrap_or_default();
                let text = Stop::Unknown(format!("SELECT 1 FROM {path}{}", quote(name)));
                let unknown = self.missing_at(text, "SELECT 1 FROM ".len(), var.location);
                if let Stop::Unknown(text) = &unknown {
                    self.unknown.push(text.clone());
                }
                if policy {
                    return Err(unknown);
                }
                self.derived(name, None)
            }
        };
        let instance = &mut self.rels[rel];
        instance.alias = alias.unwrap_or(name).to_owned();
        instance.schema = if alias.is_none() { var.schemaname().map(str::to_owned) } else { None };
        self.rename(rel, var.alias())
    }

    /// An instance of a base relation.
    pub(super) fn base(&mut self, relation: Arc<Relation>, table: Option<&'s Table>) -> Step<RelId> {
        if relation.odd {
            return Err(odd(&relation).into());
        }
        let id = self.rels.len();
        let mut cols = Vec::with_capacity(relation.columns.len());
        for (i, c) in relation.columns.iter().enumerate() {
            let placed = table.and_then(|t| t.columns.iter().find(|p| p.column == c.name));
            let flow = match (table, placed) {
                (Some(table), Some(placed)) => {
                    let field = self.field(placed.field)?;
                    let subject = relation.column(&table.subject.column);
                    Flow::Field(Box::new(FieldFlow {
                        field: placed.field,
                        token: matches!(field.protect, Protect::Pseudonym { .. }),
                        at: Some((id, i)),
                        subject: subject.map(|(at, _)| (id, at)),
                        subject_oid: subject.map_or(0, |(_, c)| c.type_oid),
                        beneath: None,
                        class: Arc::clone(&table.subject.class),
                        when: self.when_column(table, &relation).map(|at| at.map(|at| (id, at))),
                        table: (Arc::clone(&table.schema), Arc::clone(&table.name)),
                        label: format!("{}.{}", relation.name, c.name).into(),
                        stored_oid: c.type_oid,
                        shown: types::shown(field, c.type_oid, c.typmod),
                        not_null: c.not_null,
                        cast: false,
                        origin: None,
                        bound: table.bind == Bind::Refuse,
                    }))
                }
                _ => Flow::Plain(Some((id, i))),
            };
            cols.push(RelCol { name: c.name.to_string(), flow, oid: c.type_oid });
        }
        self.rels.push(Rel {
            alias: relation.name.to_string(),
            schema: None,
            cols,
            open: false,
            nullable: false,
            table,
            relation: Some(relation),
            source: None,
        });
        Ok(id)
    }

    /// An instance of a subquery, CTE, function or system relation; `None`: columns unknown.
    pub(super) fn derived(&mut self, alias: &str, cols: Option<Vec<RelCol>>) -> RelId {
        let id = self.rels.len();
        let open = cols.is_none();
        let outer = cols.unwrap_or_default();
        let same = |from: Option<At>| {
            let from = from?;
            let is = |c: &RelCol| matches!(c.flow, Flow::Plain(Some(at)) if at == from);
            outer.iter().position(is).map(|at| (id, at))
        };
        let cols = outer
            .iter()
            .enumerate()
            .map(|(i, c)| {
                let flow = match &c.flow {
                    Flow::Field(f) => {
                        let mut f = f.clone();
                        f.at = Some((id, i));
                        f.subject = same(f.subject);
                        f.beneath = None;
                        f.when = f.when.map(same);
                        Flow::Field(f)
                    }
                    Flow::Plain(_) | Flow::Null => Flow::Plain(Some((id, i))),
                };
                RelCol { name: c.name.clone(), flow, oid: c.oid }
            })
            .collect();
        self.rels.push(Rel {
            alias: alias.to_owned(),
            schema: None,
            cols,
            open,
            nullable: false,
            table: None,
            relation: None,
            source: None,
        });
        id
    }

    /// Applies `AS a(b, c)`.
    pub(super) fn rename(&mut self, rel: RelId, alias: Option<&nodes::Alias>) -> Step<RelId> {
        if let Some(alias) = alias {
            for (i, name) in alias.colnames().iter().enumerate() {
                if let (Some(col), Some(name)) = (self.rels[rel].cols.get_mut(i), name.as_str()) {
                    name.clone_into(&mut col.name);
                }
            }
        }
        Ok(rel)
    }

    /// The namespace of one instance.
    pub(super) fn namespace(&self, rel: RelId) -> Namespace {
        let r = &self.rels[rel];
        Namespace { rels: vec![rel], cols: r.cols.clone(), open: r.open, merged: false }
    }

    /// What a column reference gives; `*` is not for here.
    pub(super) fn column(&mut self, node: &nodes::ColumnRef, env: &Env<'_>) -> Step<Flow> {
        let names = strings(node.fields())?;
        let found = match names.as_slice() {
            [col] => self.unqualified(col, env),
            [rel, col] => self.qualified(None, rel, col, env),
            [schema, rel, col] => self.qualified(Some(schema), rel, col, env),
            [_, schema, rel, col] => self.qualified(Some(schema), rel, col, env),
            _ => Err(refuse::unknown("a column reference").into()),
        };
        found.map_err(|stop| self.missing_at(stop, "SELECT ".len(), node.location))
    }

    fn unqualified(&mut self, name: &str, env: &Env<'_>) -> Step<Flow> {
        let mut level = Some(env);
        while let Some(e) = level {
            let mut hits = e.ns.cols.iter().filter(|c| c.name == name);
            if let Some(first) = hits.next() {
                let protected = std::iter::once(first).chain(hits).find(|c| matches!(c.flow, Flow::Field(_)));
                return Ok(protected.unwrap_or(first).flow.clone());
            }
            if SYSTEM_COLUMNS.contains(&name) && !e.ns.rels.is_empty() {
                return Ok(Flow::Plain(None));
            }
            if let Some(&rel) = e.ns.rels.iter().find(|&&r| self.rels[r].alias == name) {
                return self.whole_row(rel);
            }
            let placed =
                |r: &RelId| self.rels[*r].table.is_some_and(|t| t.columns.iter().any(|p| &*p.column == name));
            if e.ns.open && !e.ns.rels.iter().any(placed) {
                return Ok(Flow::Plain(None));
            }
            level = e.parent;
        }
        Err(self.no_column(name, env))
    }

    fn qualified(&mut self, schema: Option<&str>, rel: &str, name: &str, env: &Env<'_>) -> Step<Flow> {
        let Some(id) = self.rel_named(schema, rel, env) else {
            return Err(Stop::Unknown(format!("SELECT {}.{}", quote(rel), quote(name))));
        };
        let r = &self.rels[id];
        if let Some(col) = r.cols.iter().find(|c| c.name == name) {
            return Ok(col.flow.clone());
        }
        if r.open || SYSTEM_COLUMNS.contains(&name) {
            return Ok(Flow::Plain(None));
        }
        Err(match &r.relation {
            Some(base) => {
                let (schema, table, alias) = (quote(&base.schema), quote(&base.name), quote(&r.alias));
                Stop::Unknown(format!("SELECT {alias}.{} FROM {schema}.{table} AS {alias}", quote(name)))
            }
            None => self.no_column(name, env),
        })
    }

    /// Whether a plain name is, or may be, a column's.
    pub(super) fn is_column(&self, name: &str, env: &Env<'_>) -> bool {
        let mut level = Some(env);
        while let Some(e) = level {
            if e.ns.open || e.ns.cols.iter().any(|c| c.name == name) {
                return true;
            }
            level = e.parent;
        }
        false
    }

    /// The instance by the name that qualifies columns.
    pub(super) fn rel_named(&self, schema: Option<&str>, name: &str, env: &Env<'_>) -> Option<RelId> {
        let mut level = Some(env);
        while let Some(e) = level {
            let found = e.ns.rels.iter().copied().find(|&r| {
                let r = &self.rels[r];
                let in_schema = |s: &str| {
                    r.schema.as_deref() == Some(s) || r.relation.as_ref().is_some_and(|x| &*x.schema == s)
                };
                r.alias == name && schema.is_none_or(in_schema)
            });
            if found.is_some() {
                return found;
            }
            level = e.parent;
        }
        None
    }

    /// A whole row as a value.
    pub(super) fn whole_row(&self, rel: RelId) -> Step<Flow> {
        let r = &self.rels[rel];
        if r.cols.iter().any(|c| matches!(c.flow, Flow::Field(_))) {
            return Err(refuse::refusal(
                "whole-row",
                format!("whole-row reference to {}, which holds protected columns", r.alias),
                "Name the columns that you need.",
            )
            .into());
        }
        Ok(Flow::Plain(None))
    }

    /// A text that makes the server complain of the column, on a relation of the statement.
    fn no_column(&self, name: &str, env: &Env<'_>) -> Stop {
        let mut level = Some(env);
        while let Some(e) = level {
            let mut bases = e.ns.rels.iter().filter_map(|&r| self.rels[r].relation.as_ref());
            if let Some(r) = bases.next_back() {
                let (schema, table) = (quote(&r.schema), quote(&r.name));
                return Stop::Unknown(format!("SELECT {} FROM {schema}.{table}", quote(name)));
            }
            level = e.parent;
        }
        Stop::Unknown(format!("SELECT {}", quote(name)))
    }
}

fn cte<'e>(env: &'e Env<'_>, name: &str) -> Option<&'e Cte> {
    let mut level = Some(env);
    while let Some(e) = level {
        if let Some(cte) = e.ctes.iter().rev().find(|cte| cte.name == name) {
            return Some(cte);
        }
        level = e.parent;
    }
    None
}

/// The strings of a list of names.
pub(super) fn strings(list: &NodeList) -> Step<Vec<&str>> {
    list.iter()
        .map(|n| match n {
            Node::String(s) => s.sval().ok_or_else(|| refuse::unknown("an empty name").into()),
            _ => Err(refuse::unknown("a name with subscripts or *").into()),
        })
        .collect()
}
