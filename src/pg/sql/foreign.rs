//! Foreign keys of tokens: both sides must hold tokens of one domain, or no row would ever have its match (and the
//! server would put the clear side of the pair into its log).

use super::core::{Planner, Step};
use super::refuse;
use crate::policy::model::{Protect, Table};
use pg_raw_parse::raw::ConstrType;
use pg_raw_parse::{Node, nodes};

impl<'s> Planner<'s> {
    /// The foreign keys of a table that is not protected itself.
    pub(super) fn foreign_keys(&mut self, elements: &pg_raw_parse::list::NodeList) -> Step<()> {
        elements.iter().try_for_each(|element| self.foreign_keys_of(element))
    }

    /// Those of one column or constraint.
    pub(super) fn foreign_keys_of(&mut self, element: Node<'_>) -> Step<()> {
        match element {
            Node::ColumnDef(def) => def.constraints().iter().try_for_each(|con| match con {
                Node::Constraint(con) => self.foreign_key(con, def.colname(), None),
                _ => Ok(()),
            }),
            Node::Constraint(con) => self.foreign_key(con, None, None),
            _ => Ok(()),
        }
    }

    /// REFERENCES: of a column, or of those that it lists.
    pub(super) fn foreign_key(
        &mut self,
        con: &nodes::Constraint,
        column: Option<&str>,
        own: Option<&'s Table>,
    ) -> Step<()> {
        if con.contype != ConstrType::CONSTR_FOREIGN {
            return Ok(());
        }
        let there = con.pktable().and_then(|t| self.policy_table_of(t));
        let here: Vec<&str> = con.fk_attrs().iter().filter_map(|n| n.as_str()).chain(column).collect();
        let referenced: Vec<&str> = con.pk_attrs().iter().filter_map(|n| n.as_str()).collect();
        for (i, name) in here.iter().enumerate() {
            let domain = self.domain(own, Some(name))?;
            // Without a list it is the primary key, in which a protected column would be of no use.
            let other = referenced.get(i).copied();
            if domain != self.domain(there, other)? {
                let table = con.pktable().and_then(|t| t.relname()).unwrap_or_default();
                return self.stop(refuse::refusal(
                    "ddl-foreign",
                    format!("a foreign key of {name} on {table}, of which one side holds tokens and the other does not, or of another domain"),
                    "Declare both columns as the same field, or as fields of one domain.",
                ));
            }
        }
        Ok(())
    }

    /// The domain of the tokens in a column.
    fn domain(&self, table: Option<&'s Table>, column: Option<&str>) -> Step<Option<&'s str>> {
        let placed = table.zip(column).and_then(|(t, c)| Self::placed(t, c));
        let Some(placed) = placed else { return Ok(None) };
        Ok(match &self.field(placed.field)?.protect {
            Protect::Pseudonym { domain, .. } => Some(domain),
            Protect::Encrypt => None,
        })
    }
}
