//! What becomes of a SELECT's rows after WHERE: groups, windows, DISTINCT, ORDER BY.

use super::core::{Planner, Step};
use super::expr::GROUP_BY;
use super::names::{At, Env, FieldFlow, Flow, RelCol};
use super::refuse::{self, operator};
use super::select::Selected;
use pg_raw_parse::list::NodeList;
use pg_raw_parse::{ConstValue, Node, nodes};

impl Planner<'_> {
    /// By which columns a SELECT's rows are grouped, where they are: those that its clauses name.
    pub(super) fn groups(&mut self, s: &nodes::SelectStmt, env: &Env<'_>) -> Option<Vec<At>> {
        let grouped = !s.group_clause().is_empty() || !matches!(s.having_clause(), Node::None);
        grouped.then(|| self.group_keys(s.group_clause(), &[], env))
    }

    /// What follows FROM and WHERE.
    pub(super) fn rows(&mut self, s: &nodes::SelectStmt, env: &Env<'_>) -> Step<Selected> {
        let (mut cols, open) = self.targets(s.target_list().iter(), env)?;
        let grouping_sets = s.group_clause().iter().any(|n| matches!(n, Node::GroupingSet(_)));
        for col in &mut cols {
            if let Flow::Field(f) = &mut col.flow {
                f.not_null &= !grouping_sets;
            }
        }
        self.group_all(s, &cols, env)?;
        self.condition_on(s.having_clause(), env, "HAVING")?;
        for window in s.window_clause() {
            let Node::WindowDef(w) = window else { return Err(refuse::unknown("a window").into()) };
            self.window(w, env)?;
        }
        let all = s.distinct_clause().first().is_some_and(|n| matches!(n, Node::None));
        let alike = all && self.alike(s, &cols, open)?;
        if !all {
            for on in s.distinct_clause() {
                self.sort_key(on, &cols, env, "DISTINCT ON")?;
            }
        }
        // There is no room for a rank among the columns that are told apart.
        let off = self.evaluating.off;
        self.evaluating.off |= alike;
        let ordered = self.order_by(s, &cols, env);
        self.evaluating.off = off;
        ordered?;
        let grouped = !s.group_clause().is_empty() || !matches!(s.having_clause(), Node::None);
        Ok(Selected { cols, open, hideable: !alike && !grouped, rels: env.ns.rels.clone() })
    }

    /// GROUP BY.
    fn group_all(&mut self, s: &nodes::SelectStmt, cols: &[RelCol], env: &Env<'_>) -> Step<()> {
        let keys = self.group_keys(s.group_clause(), cols, env);
        for group in s.group_clause() {
            if let Node::ColumnRef(c) = group
                && in_view(c, env)
                && let Flow::Field(f) = self.column(c, env)?
                && self.determined(&f, &keys)
            {
                continue;
            }
            if let Node::ColumnRef(c) = group
                && in_view(c, env)
                && let Flow::Field(f) = self.column(c, env)?
                && f.at.is_some_and(|at| self.evaluating.classes.contains(&at))
                && self.ranked(group, None, env)?
            {
                continue;
            }
            self.group(group, cols, env)?;
        }
        Ok(())
    }

    /// SELECT DISTINCT: whether rows are told apart by what is stored. False where ranks do it.
    fn alike(&mut self, s: &nodes::SelectStmt, cols: &[RelCol], open: bool) -> Step<bool> {
        let keys: Vec<At> = cols.iter().filter_map(|c| plain_at(&c.flow)).collect();
        let sealed = |c: &RelCol| match &c.flow {
            Flow::Field(f) if !f.token => Some(f.clone()),
            _ => None,
        };
        let sealed: Vec<Box<FieldFlow>> = cols.iter().filter_map(sealed).collect();
        let lost = sealed.iter().find(|f| !self.determined(f, &keys));
        if !sealed.is_empty()
            && (lost.is_some() || !s.sort_clause().is_empty())
            && self.distinct_rows(s, cols, open)?
        {
            return Ok(false);
        }
        match lost {
            Some(f) => Err(operator("DISTINCT", false, &f.label).into()),
            None => Ok(true),
        }
    }

    /// The plain columns by which rows are grouped, each by itself.
    pub(super) fn group_keys(&mut self, list: &NodeList, cols: &[RelCol], env: &Env<'_>) -> Vec<At> {
        let mut keys = Vec::new();
        for group in list {
            let flow = match group {
                Node::ColumnRef(c) if in_view(c, env) => self.column(c, env).ok(),
                Node::A_Const(c) => match c.val() {
                    Some(ConstValue::Integer(n)) => usize::try_from(n)
                        .ok()
                        .and_then(|n| cols.get(n.checked_sub(1)?))
                        .map(|c| c.flow.clone()),
                    _ => None,
                },
                // Grouping sets leave keys out.
                Node::GroupingSet(_) => return Vec::new(),
                _ => None,
            };
            keys.extend(flow.as_ref().and_then(plain_at));
        }
        keys
    }

    /// Whether a value is one for each row of these columns: they hold a key of its relation, so that
    /// grouping by its ciphertext groups as its clear value would.
    pub(super) fn determined(&self, f: &FieldFlow, keys: &[At]) -> bool {
        let Some((rel, _)) = f.at else { return false };
        let Some(relation) = self.rels[rel].relation.as_ref() else { return false };
        relation.unique.iter().any(|key| {
            key.iter().all(|name| {
                relation.column(name).is_some_and(|(i, c)| c.not_null && keys.contains(&(rel, i)))
            })
        })
    }

    fn group(&mut self, node: Node<'_>, cols: &[RelCol], env: &Env<'_>) -> Step<()> {
        match node {
            Node::GroupingSet(set) => set.content().iter().try_for_each(|n| self.group(n, cols, env)),
            Node::RowExpr(row) => row.args().iter().try_for_each(|n| self.group(n, cols, env)),
            Node::ColumnRef(c) if !in_view(c, env) => self.sort_key(node, cols, env, "GROUP BY").map(|_| ()),
            Node::A_Const(_) => self.sort_key(node, cols, env, "GROUP BY").map(|_| ()),
            other => self.groupable(other, env, "GROUP BY").map(|_| ()),
        }
    }

    pub(super) fn order_by(&mut self, s: &nodes::SelectStmt, cols: &[RelCol], env: &Env<'_>) -> Step<()> {
        for sort in s.sort_clause() {
            if self.sort_key(sort.node(), cols, env, "ORDER BY")? {
                self.sorts_by_token = true;
            }
        }
        Ok(())
    }

    /// A key that may name an output column, or give its number. Gives whether it is a token.
    fn sort_key(&mut self, node: Node<'_>, cols: &[RelCol], env: &Env<'_>, what: &str) -> Step<bool> {
        let output = match node {
            Node::A_Const(c) => match c.val() {
                Some(ConstValue::Integer(n)) => {
                    usize::try_from(n).ok().and_then(|n| cols.get(n.checked_sub(1)?))
                }
                _ => None,
            },
            Node::ColumnRef(c) => match c.fields().first().and_then(Node::as_str) {
                Some(name) if c.fields().len() == 1 => cols.iter().find(|c| c.name == name),
                _ => None,
            },
            _ => None,
        };
        match output.map(|c| &c.flow) {
            Some(flow @ Flow::Field(f)) => {
                if what != GROUP_BY && self.ranked(node, Some(flow), env)? {
                    Ok(false)
                } else if f.token {
                    Ok(true)
                } else {
                    Err(operator(what, false, &f.label).into())
                }
            }
            Some(_) => Ok(false),
            None => self.groupable(node, env, what),
        }
    }
}

/// The column that flows as it is.
pub(super) fn plain_at(flow: &Flow) -> Option<At> {
    match flow {
        Flow::Plain(at) => *at,
        _ => None,
    }
}

/// Whether a plain name is a column of this level (it then goes before output names).
pub(super) fn in_view(c: &nodes::ColumnRef, env: &Env<'_>) -> bool {
    c.fields().len() != 1
        || c.fields().first().and_then(Node::as_str).is_some_and(|n| env.ns.cols.iter().any(|c| c.name == n))
}
