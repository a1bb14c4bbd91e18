//! The items of a FROM clause.

use super::core::{Planner, Step};
use super::expr::kind_name;
use super::label::column_name;
use super::names::{Env, Flow, Namespace, RelCol};
use super::outward::names_fit;
use super::refuse::{self, operator};
use pg_raw_parse::raw::JoinType;
use pg_raw_parse::{Node, nodes};

/// A namespace to which another is added.
pub(super) struct Side(pub(super) Namespace);

impl Side {
    /// Both, side by side.
    pub(super) fn beside(mut self, other: Namespace) -> Namespace {
        self.0.rels.extend(other.rels);
        self.0.cols.extend(other.cols);
        self.0.open |= other.open;
        self.0.merged |= other.merged;
        self.0
    }
}

impl<'s> Planner<'s> {
    /// What one item brings into view; a lateral one sees what stands left of it.
    pub(super) fn item(&mut self, node: Node<'_>, env: &Env<'_>, left: &Namespace) -> Step<Namespace> {
        self.deeper(|p| match node {
            Node::RangeVar(var) => {
                let rel = p.range_var(var, env)?;
                Ok(p.namespace(rel))
            }
            Node::RangeSubselect(sub) => p.subselect(sub, env, left),
            Node::RangeFunction(f) => p.function_item(f, env, left),
            Node::JoinExpr(join) => p.join(join, env, left),
            Node::RangeTableSample(sample) => {
                let ns = p.item(sample.relation(), env, left)?;
                p.plain_list(sample.args(), env, "TABLESAMPLE")?;
                p.plain(sample.repeatable(), env, "TABLESAMPLE")?;
                Ok(ns)
            }
            other => Err(refuse::unknown(&kind_name(other)).into()),
        })
    }

    fn subselect(&mut self, sub: &nodes::RangeSubselect, env: &Env<'_>, left: &Namespace) -> Step<Namespace> {
        let Node::SelectStmt(query) = sub.subquery() else {
            return Err(refuse::unknown("a subquery of that form").into());
        };
        let selected = if sub.lateral {
            let env = Env { parent: Some(env), ns: left.clone(), ctes: Vec::new() };
            self.select(query, &env)?
        } else {
            self.select(query, env)?
        };
        let alias = sub.alias().and_then(|a| a.aliasname()).unwrap_or_default();
        if selected.open && selected.cols.iter().any(|c| matches!(c.flow, Flow::Field(_))) {
            return Err(refuse::unknown("a subquery with * of unknown columns beside protected ones").into());
        }
        let fits = names_fit(sub.alias(), selected.cols.len());
        let source = if fits { self.source(query, &selected) } else { None };
        let rel = self.derived(alias, if selected.open { None } else { Some(selected.cols) });
        self.draws_on(rel, source);
        self.rename(rel, sub.alias())?;
        Ok(self.namespace(rel))
    }

    fn function_item(
        &mut self,
        f: &nodes::RangeFunction,
        env: &Env<'_>,
        left: &Namespace,
    ) -> Step<Namespace> {
        let env = Env { parent: Some(env), ns: left.clone(), ctes: Vec::new() };
        let mut name = String::new();
        for item in f.functions() {
            let Node::NodeList(pair) = item else { return Err(refuse::unknown("a function in FROM").into()) };
            let Some(call) = pair.first() else { continue };
            self.plain(call, &env, "a function in FROM")?;
            // Of several functions the first gives its name.
            if name.is_empty() {
                name = column_name(call, self.scope.server_version);
            }
        }
        let alias = f.alias().and_then(|a| a.aliasname()).unwrap_or(&name);
        let rel = self.derived(alias, None);
        Ok(self.namespace(rel))
    }

    fn join(&mut self, join: &nodes::JoinExpr, env: &Env<'_>, left: &Namespace) -> Step<Namespace> {
        let l = self.item(join.larg(), env, left)?;
        let r = self.item(join.rarg(), env, &Side(left.clone()).beside(l.clone()))?;
        let (nullable_left, nullable_right) = match join.jointype {
            JoinType::JOIN_INNER => (false, false),
            JoinType::JOIN_LEFT => (false, true),
            JoinType::JOIN_RIGHT => (true, false),
            JoinType::JOIN_FULL => (true, true),
            _ => return Err(refuse::unknown("a join of that kind").into()),
        };
        for &rel in l.rels.iter().filter(|_| nullable_left).chain(r.rels.iter().filter(|_| nullable_right)) {
            self.rels[rel].nullable = true;
        }
        if join.join_using_alias().is_some() {
            return Err(refuse::unknown("JOIN USING … AS").into());
        }
        let using: Vec<String> = if join.is_natural {
            if l.open || r.open {
                return Err(refuse::unknown("NATURAL JOIN with unknown columns").into());
            }
            // They would have in common what is added to both.
            self.close(&l.rels)?;
            self.close(&r.rels)?;
            let common = l.cols.iter().filter(|c| r.cols.iter().any(|d| d.name == c.name));
            common.map(|c| c.name.clone()).collect()
        } else {
            join.using_clause().iter().filter_map(|s| s.sval()).map(str::to_owned).collect()
        };
        let ns = self.merge(l, r, &using, join.jointype)?;
        let inner = Env { parent: Some(env), ns: Side(left.clone()).beside(ns.clone()), ctes: Vec::new() };
        self.condition_on(join.quals(), &inner, "a join condition")?;
        match join.alias() {
            Some(alias) => {
                // It shows all columns of what stands in it.
                self.close(&ns.rels)?;
                let cols = if ns.open { None } else { Some(ns.cols) };
                let rel = self.derived(alias.aliasname().unwrap_or_default(), cols);
                self.rename(rel, Some(alias))?;
                Ok(self.namespace(rel))
            }
            None => Ok(ns),
        }
    }

    /// The columns of USING come first and once; the rest of the left, then of the right.
    fn merge(&self, l: Namespace, r: Namespace, using: &[String], kind: JoinType::Type) -> Step<Namespace> {
        let mut merged = Vec::with_capacity(l.cols.len() + r.cols.len());
        for name in using {
            let of = |ns: &Namespace| ns.cols.iter().find(|c| c.name == *name).cloned();
            let unknown = |open: bool| {
                let col = RelCol { name: name.clone(), flow: Flow::Plain(None), oid: 0 };
                open.then_some(col)
                    .ok_or_else(|| super::core::Stop::Unknown(format!("SELECT {}", super::edit::quote(name))))
            };
            let left = of(&l).map_or_else(|| unknown(l.open), Ok)?;
            let right = of(&r).map_or_else(|| unknown(r.open), Ok)?;
            match (&left.flow, &right.flow) {
                (Flow::Field(a), Flow::Field(b)) => {
                    for f in [a, b] {
                        if !f.token || kind == JoinType::JOIN_FULL {
                            return Err(operator("JOIN USING", f.token, &f.label).into());
                        }
                    }
                    self.same_domain(a, b)?;
                }
                (Flow::Field(f), _) | (_, Flow::Field(f)) => return Err(refuse::expression(&f.label).into()),
                _ => {}
            }
            merged.push(match kind {
                JoinType::JOIN_RIGHT => right,
                JoinType::JOIN_FULL => RelCol { flow: Flow::Plain(None), ..left },
                _ => left,
            });
        }
        let merged_any = l.merged || r.merged || !using.is_empty();
        let rest = |c: &RelCol| !using.contains(&c.name);
        merged.extend(l.cols.into_iter().filter(rest));
        merged.extend(r.cols.into_iter().filter(rest));
        let rels = l.rels.into_iter().chain(r.rels).collect();
        Ok(Namespace { rels, cols: merged, open: l.open || r.open, merged: merged_any })
    }
}
