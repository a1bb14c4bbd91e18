//! What the planner knows of the database: a snapshot, immutable once made.

use super::collations::Collations;
use super::mask::Mask;
use crate::policy::model::Table;
use hashbrown::HashMap;
use std::sync::Arc;

/// One database's relations as of one moment. A refresh makes a new snapshot with a higher version.
#[derive(Debug, Default)]
pub struct Catalog {
    /// Grows with every snapshot of any session (plan cache key).
    pub version: u64,
    /// `server_version_num`, such as 150018.
    pub server_version: u32,
    /// Relations by schema and name: tables, views, materialised views, foreign and partitioned tables.
    pub relations: HashMap<(Arc<str>, Arc<str>), Arc<Relation>>,
    /// Names of functions, procedures and aggregates whose body or dependencies touch a protected table, lower case.
    pub functions: Vec<Arc<str>>,
    /// Operators that run one of these functions, as they are spelt.
    pub operators: Vec<Arc<str>>,
    /// Names of types whose values run one of them when they are made: by a domain's check, by a cast.
    pub types: Vec<Arc<str>>,
    /// OIDs of these types, and of those of rows and arrays that have them, sorted.
    pub type_oids: Vec<u32>,
    /// OIDs of functions and procedures that touch a protected table, sorted.
    pub touching: Vec<u32>,
    /// All functions that have a body, by their OIDs, sorted by these; and what it says, in lower case: `None` of one that can't be read.
    pub bodies: Vec<(u32, Option<Box<str>>)>,
    /// Names of functions that protected tables' triggers and the like call, lower case.
    pub triggered: Vec<Arc<str>>,
    /// Names of functions that give a protected column a value, for a trigger to store it, lower case.
    pub assigning: Vec<Arc<str>>,
    /// The policy's tables, then those that are protected because they descend from one.
    pub tables: Arc<[Table]>,
    /// How many of them are the policy's.
    pub own: usize,
    /// How texts are compared.
    pub collations: Collations,
    /// What queries of the catalog are told.
    pub mask: Mask,
}

impl Catalog {
    /// The functions of which it knows nothing bad, and a newer catalog says that they touch a protected table.
    pub fn woken_in<'n>(&self, newer: &'n Self) -> impl Iterator<Item = u32> + use<'n, '_> {
        let harmless = |oid: &u32| self.bodies.binary_search_by_key(oid, |(oid, _)| *oid).is_ok();
        let new = newer.touching.iter().filter(|oid| self.touching.binary_search(oid).is_err());
        new.copied().filter(harmless)
    }
}

/// A table, view or the like.
#[derive(Debug, Clone)]
pub struct Relation {
    /// `pg_class.oid`.
    pub oid: u32,
    /// Schema name.
    pub schema: Arc<str>,
    /// Relation name.
    pub name: Arc<str>,
    /// What it is.
    pub kind: RelationKind,
    /// A view's query, all names in it qualified; `None` where it is not known.
    pub definition: Option<Arc<str>>,
    /// Something of it in the catalog can't be read: no statement is planned that names it.
    pub odd: bool,
    /// Live columns in `attnum` order.
    pub columns: Vec<Column>,
    /// Unique and primary keys, as column names in index order (no partial or expression indexes).
    pub unique: Vec<Vec<Arc<str>>>,
    /// Foreign keys: (columns here, schema and name there, columns there).
    pub foreign: Vec<ForeignKey>,
    /// It has rewrite rules other than a view's own (RETURNING fails there).
    pub has_rules: bool,
    /// It has enabled BEFORE ROW triggers, which may redirect rows.
    pub has_before_triggers: bool,
    /// It is protected, and part of a hierarchy in which writes can't be followed: one that is not protected throughout,
    /// or partitions by a protected column.
    pub in_hierarchy: bool,
    /// For a view: it depends, at any depth, on a protected table.
    pub touches_protected: bool,
    /// Writing it writes a protected table too, by its triggers, rules or the functions in its definition. Not
    /// told of protected tables themselves.
    pub writes_protected: bool,
    /// A trigger that TRUNCATE runs touches a protected table.
    pub truncates: bool,
}

/// `relkind`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RelationKind {
    /// Ordinary (`r`) or partitioned (`p`) table.
    Table,
    /// View (`v`).
    View,
    /// Materialised view (`m`).
    MaterializedView,
    /// Foreign table (`f`).
    Foreign,
}

/// A column of a relation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Name.
    pub name: Arc<str>,
    /// `attnum`, from 1.
    pub attnum: i16,
    /// Type OID; of the base type where the type is a domain.
    pub type_oid: u32,
    /// `atttypmod`.
    pub typmod: i32,
    /// NOT NULL.
    pub not_null: bool,
    /// Identity, or a default, or a generation expression.
    pub generated: bool,
    /// A generation expression: it is never written, and COPY leaves it out.
    pub computed: bool,
    /// A default that is neither NULL nor empty.
    pub defaults: bool,
    /// OID of its collation; 0 where its type has none.
    pub collation: u32,
}

/// A foreign key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignKey {
    /// Columns of the relation that has it.
    pub columns: Vec<Arc<str>>,
    /// Referenced schema and table.
    pub references: (Arc<str>, Arc<str>),
    /// Referenced columns.
    pub referenced: Vec<Arc<str>>,
}

impl Relation {
    /// Which of these tables it is.
    pub(super) fn among<'t>(&self, tables: &'t [Table]) -> Option<&'t Table> {
        tables.iter().find(|t| t.schema == self.schema && t.name == self.name)
    }

    /// Whether a statement that names it must be looked at.
    pub fn is_watched(&self) -> bool {
        self.touches_protected || self.writes_protected
    }

    /// The column of that name, with its position in `columns`.
    pub fn column(&self, name: &str) -> Option<(usize, &Column)> {
        self.columns.iter().enumerate().find(|(_, c)| &*c.name == name)
    }
}
