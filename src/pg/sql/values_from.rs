//! `INSERT … SELECT p0::type, … FROM (VALUES (…), …) AS v (p0, …) ORDER BY …`: rows in an order that the
//! client fixes, as ORMs write them to get generated ids back in that order.

use super::core::{Planner, Step};
use super::edit::Piece;
use super::insert::{Draft, Target, keeps_spelling, row_number};
use super::names::{Env, FieldFlow, Flow, RelCol};
use super::unnest::{form, is_bare};
use super::value::{Cast, What};
use super::{refuse, types};
use pg_raw_parse::list::NodeList;
use pg_raw_parse::{Node, nodes};

/// A column of the SELECT.
struct Item<'n> {
    node: Node<'n>,
    /// The column of VALUES that it is, with the casts around it.
    of: Option<(usize, &'n nodes::ColumnRef, Vec<Cast>)>,
}

impl<'s> Planner<'s> {
    /// The rows of such a SELECT.
    pub(super) fn values_from(
        &mut self,
        select: &nodes::SelectStmt,
        from: &nodes::RangeSubselect,
        target: &Target<'s>,
        columns: &[usize],
        env: &Env<'_>,
    ) -> Step<Draft> {
        let values = values(select, from)?;
        let names = names(from, values);
        let items = self.items(select, from, &names)?;
        if items.len() != columns.len() {
            return Err(form().into());
        }
        // Where each column of VALUES goes.
        let mut goes = vec![usize::MAX; names.len()];
        let mut flows: Vec<Option<Box<FieldFlow>>> = names.iter().map(|_| None).collect();
        for (item, &column) in items.iter().zip(columns) {
            let field = self.field_at(target.rel, column);
            let named = column == target.subject || Some(column) == target.when;
            let Some((of, _, casts)) = &item.of else {
                if named || field.is_some() {
                    return Err(form().into());
                }
                continue;
            };
            let again = items.iter().filter(|i| i.of.as_ref().is_some_and(|o| o.0 == *of)).count() > 1;
            if again && (named || field.is_some()) {
                return Err(form().into());
            }
            let oid = target.relation.columns.get(column).map_or(0, |c| c.type_oid);
            if named && !casts.iter().all(|c| !c.array && keeps_spelling(c, oid)) {
                return Err(form().into());
            }
            goes[*of] = column;
            flows[*of] = field;
        }
        self.outer_columns(select, from, &items, &names, &flows, env)?;
        let mut draft = Draft::default();
        for (number, row) in values.iter().enumerate() {
            let Node::NodeList(row) = row else { return Err(refuse::unknown("a VALUES list").into()) };
            if row.len() != goes.len() {
                return Err(form().into());
            }
            self.typed_subject(row, target, &goes)?;
            self.insert_cells(row, row_number(number)?, target, &goes, env, &mut draft)?;
        }
        Ok(draft)
    }

    /// The columns of the SELECT.
    fn items<'n>(
        &self,
        select: &'n nodes::SelectStmt,
        from: &nodes::RangeSubselect,
        names: &[String],
    ) -> Step<Vec<Item<'n>>> {
        let alias = from.alias().and_then(|a| a.aliasname()).unwrap_or_default();
        let mut items = Vec::with_capacity(select.target_list().len());
        for target in select.target_list() {
            let node = target.val();
            let (mut inner, mut casts) = (node, Vec::new());
            while let Node::TypeCast(cast) = inner {
                casts.push(self.cast(cast, None)?);
                inner = cast.arg();
            }
            let of = match inner {
                Node::ColumnRef(column) => {
                    let parts: Vec<&str> = column.fields().iter().filter_map(|n| n.as_str()).collect();
                    let name = match parts.as_slice() {
                        [name] => name,
                        [of, name] if *of == alias => name,
                        _ => return Err(form().into()),
                    };
                    if column.fields().len() != parts.len() {
                        return Err(form().into());
                    }
                    let at = names.iter().position(|n| n == name).ok_or_else(form)?;
                    Some((at, column, casts))
                }
                _ => None,
            };
            items.push(Item { node, of });
        }
        Ok(items)
    }

    /// What stands outside VALUES: protected columns get the type that is stored, all else is as it was.
    fn outer_columns(
        &mut self,
        select: &nodes::SelectStmt,
        from: &nodes::RangeSubselect,
        items: &[Item<'_>],
        names: &[String],
        flows: &[Option<Box<FieldFlow>>],
        env: &Env<'_>,
    ) -> Step<()> {
        let flow = |f: &Option<Box<FieldFlow>>| f.clone().map_or(Flow::Plain(None), Flow::Field);
        let cols = names.iter().zip(flows).map(|(n, f)| RelCol { name: n.clone(), flow: flow(f), oid: 0 });
        let cols = cols.collect();
        let rel = self.derived(from.alias().and_then(|a| a.aliasname()).unwrap_or_default(), Some(cols));
        let env = Env { parent: Some(env), ns: self.namespace(rel), ctes: Vec::new() };
        for item in items {
            match item.of.as_ref().and_then(|(of, column, casts)| Some((flows[*of].as_ref()?, column, casts)))
            {
                Some((field, column, casts)) => {
                    self.check_casts(casts, &field.place(), false)?;
                    let stored = types::sql_name(field.stored_oid).ok_or_else(form)?;
                    for cast in casts {
                        self.edit(cast.type_range.clone(), vec![Piece::Text(stored.to_owned())]);
                    }
                    if casts.is_empty() {
                        let end = self.column_range(column)?.end;
                        self.edit(end..end, vec![Piece::Text(format!("::{stored}"))]);
                    }
                }
                None => self.plain(item.node, &env, "a column of INSERT … SELECT")?,
            }
        }
        for sort in select.sort_clause() {
            self.plain(sort.node(), &env, "ORDER BY")?;
        }
        Ok(())
    }

    /// A parameter in VALUES would be a text to the server, where it is read here as its column's type.
    fn typed_subject(&mut self, row: &NodeList, target: &Target<'_>, goes: &[usize]) -> Step<()> {
        for (node, &column) in row.iter().zip(goes) {
            if (column == target.subject || Some(column) == target.when)
                && let Some(value) = self.value(node)?
                && matches!(value.what, What::Param(_))
                && value.casts.is_empty()
            {
                let oid = target.relation.columns[column].type_oid;
                let kind = types::sql_name(oid).ok_or_else(form)?;
                let end = value.range.end;
                self.edit(end..end, vec![Piece::Text(format!("::{kind}"))]);
            }
        }
        Ok(())
    }
}

/// The rows of VALUES, when the SELECT is nothing but columns of them.
fn values<'n>(select: &nodes::SelectStmt, from: &'n nodes::RangeSubselect) -> Step<&'n NodeList> {
    let Node::SelectStmt(values) = from.subquery() else { return Err(form().into()) };
    let bare = is_bare(select)
        && !from.lateral
        && !values.values_lists().is_empty()
        && values.with_clause().is_none()
        && values.sort_clause().is_empty()
        && matches!(values.limit_count(), Node::None)
        && matches!(values.limit_offset(), Node::None);
    if bare { Ok(values.values_lists()) } else { Err(form().into()) }
}

/// The names of the columns of VALUES.
pub(super) fn names(from: &nodes::RangeSubselect, values: &NodeList) -> Vec<String> {
    let width = match values.first() {
        Some(Node::NodeList(row)) => row.len(),
        _ => 0,
    };
    let mut names: Vec<String> = (1..=width).map(|n| format!("column{n}")).collect();
    if let Some(alias) = from.alias() {
        for (name, given) in names.iter_mut().zip(alias.colnames()) {
            if let Some(given) = given.as_str() {
                given.clone_into(name);
            }
        }
    }
    names
}
