//! Partitions and children of protected tables: made, attached, detached. They are protected as their parent is,
//! for as long as they have it.

use super::core::{Planner, Step};
use super::names::Flow;
use super::refuse;
use crate::pg::refusal::Refusal;
use crate::policy::model::Table;
use pg_raw_parse::raw::AlterTableType;
use pg_raw_parse::{Node, nodes};

impl<'s> Planner<'s> {
    /// The table whose protection a new table has: its own by the policy, or its parents'.
    pub(super) fn descends(
        &mut self,
        c: &nodes::CreateStmt,
        own: Option<&'s Table>,
    ) -> Step<Option<&'s Table>> {
        let mut table = own;
        let mut bare = false;
        for parent in c.inh_relations() {
            let Node::RangeVar(parent) = parent else { continue };
            match (self.policy_table_of(parent), table) {
                (Some(of), Some(with)) if !protects_alike(of, with) => {
                    return self.stop(split(&with.name)).map(|()| None);
                }
                (Some(of), None) if bare => return self.stop(split(&of.name)).map(|()| None),
                (Some(of), _) => table = Some(of),
                (None, Some(with)) => return self.stop(split(&with.name)).map(|()| None),
                (None, None) => bare = true,
            }
        }
        let Some(table) = table else { return Ok(None) };
        if let Some(spec) = c.partspec() {
            let env = self.definition(table)?;
            for key in spec.part_params() {
                let named = key.name().is_some_and(|n| Self::placed(table, n).is_some());
                let flows = !named && matches!(self.expr(key.expr(), &env), Ok(Flow::Field(_)));
                if named || flows {
                    return self.stop(by_value(table)).map(|()| None);
                }
                self.definition_expr(key.expr(), &env, "a partition key")?;
            }
        }
        Ok(Some(table))
    }

    /// ATTACH, DETACH, INHERIT, NO INHERIT.
    pub(super) fn alter_hierarchy(&mut self, a: &nodes::AlterTableStmt) -> Step<()> {
        let Some(altered) = a.relation() else { return Ok(()) };
        for cmd in a.cmds() {
            let Node::AlterTableCmd(cmd) = cmd else { continue };
            let (child, parent) = match (cmd.subtype, cmd.def()) {
                (AlterTableType::AT_AddInherit | AlterTableType::AT_DropInherit, Node::RangeVar(parent)) => {
                    (altered, parent)
                }
                (
                    AlterTableType::AT_AttachPartition | AlterTableType::AT_DetachPartition,
                    Node::PartitionCmd(p),
                ) => match p.name() {
                    Some(child) => (child, altered),
                    None => continue,
                },
                _ => continue,
            };
            let leaves =
                matches!(cmd.subtype, AlterTableType::AT_DropInherit | AlterTableType::AT_DetachPartition);
            let (child, parent) = (self.policy_table_of(child), self.policy_table_of(parent));
            match (child, parent) {
                (Some(child), Some(_)) if leaves && !self.is_own(child) => {
                    return self.stop(leaves_bare(child));
                }
                (Some(_), _) | (None, None) if leaves => {}
                (Some(child), Some(parent)) if protects_alike(child, parent) => {}
                (None, Some(_)) if leaves => {}
                (None, Some(table)) => return self.stop(joins_bare(table)),
                (Some(table), _) => return self.stop(split(&table.name)),
                (None, None) => {}
            }
        }
        Ok(())
    }

    /// Whether the policy names the table itself; else it is protected for its parent's sake.
    pub(super) fn is_own(&self, table: &Table) -> bool {
        let catalog = self.scope.catalog;
        let derived = catalog.tables.get(catalog.own..).unwrap_or_default();
        !derived.iter().any(|t| t.schema == table.schema && t.name == table.name)
    }
}

/// Whether two tables protect the same columns, as the same fields of the same subject.
pub fn protects_alike(a: &Table, b: &Table) -> bool {
    let places = |t: &Table| {
        let mut places: Vec<_> = t.columns.iter().map(|p| (p.column.clone(), p.field)).collect();
        places.sort();
        places
    };
    a.subject == b.subject && places(a) == places(b)
}

fn split(table: &str) -> Refusal {
    refuse::refusal(
        "hierarchy",
        format!("{table} is protected otherwise than its parent would be"),
        "Name the parent in the policy, and protect the same columns of both; children need not be named.",
    )
}

fn by_value(table: &Table) -> Refusal {
    refuse::refusal(
        "hierarchy",
        format!("{} would be partitioned by a protected column, whose stored value says nothing", table.name),
        "Partition by a column that is not protected.",
    )
}

fn joins_bare(parent: &Table) -> Refusal {
    refuse::refusal(
        "hierarchy",
        format!(
            "a table that is not protected would become a child of {}: what it holds lies in clear",
            parent.name
        ),
        "CREATE TABLE … PARTITION OF makes one that is protected at once; or name the table in the policy, with the \
         parent's fields and subject.",
    )
}

fn leaves_bare(child: &Table) -> Refusal {
    refuse::refusal(
        "hierarchy",
        format!("{} is protected as a child or partition, and would not be by itself", child.name),
        "Name it in the policy first, with its parent's fields and subject; or DROP it.",
    )
}
