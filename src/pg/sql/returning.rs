//! The row as it was and as it is, which RETURNING may name from Postgres 18: OLD and NEW, or as `WITH (OLD AS …)` has it.

use super::core::{Planner, Step};
use super::names::{Env, Namespace, RelId};
use super::refuse;
use pg_raw_parse::nodes;
use pg_raw_parse::raw::ReturningOptionKind;

impl<'s> Planner<'s> {
    /// What RETURNING sees: the statement's own names, and the two of the row. Each is an instance of its own with a
    /// subject of its own, since one side may have none (what is inserted was nobody's before).
    pub(super) fn old_and_new<'e>(
        &mut self,
        clause: Option<&nodes::ReturningClause>,
        rel: RelId,
        env: &Env<'e>,
    ) -> Step<Env<'e>> {
        let mut ns = env.ns.clone();
        if let Some(clause) = clause {
            self.name_rows(clause, rel, &mut ns)?;
        }
        Ok(Env { parent: env.parent, ns, ctes: env.ctes.clone() })
    }

    fn name_rows(&mut self, clause: &nodes::ReturningClause, rel: RelId, ns: &mut Namespace) -> Step<()> {
        let (mut old, mut new) = (None, None);
        for option in clause.options() {
            let name = option.value().unwrap_or_default().to_owned();
            match option.option {
                ReturningOptionKind::RETURNING_OPTION_OLD => old = Some(name),
                _ => new = Some(name),
            }
        }
        if self.scope.server_version < 180_000 {
            if old.is_some() || new.is_some() {
                let what = "RETURNING WITH, which this server does not know";
                return Err(refuse::refusal("version-syntax", what, "Leave WITH out.").into());
            }
            return Ok(());
        }
        let Some(relation) = self.rels[rel].relation.clone() else { return Ok(()) };
        let table = self.rels[rel].table;
        // A relation of the statement that is called so hides the row, unless the row was given a name.
        let taken = |name: &str, ns: &Namespace, rels: &[super::names::Rel<'s>]| {
            ns.rels.iter().any(|&rel| rels[rel].alias == name)
        };
        for (given, usual) in [(old, "old"), (new, "new")] {
            if given.is_none() && taken(usual, ns, &self.rels) {
                continue;
            }
            let instance = self.base(relation.clone(), table)?;
            given.as_deref().unwrap_or(usual).clone_into(&mut self.rels[instance].alias);
            self.rels[instance].nullable = true;
            ns.rels.push(instance);
        }
        Ok(())
    }
}
