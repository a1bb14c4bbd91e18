//! Whose rows they are, where a subquery in FROM or a WITH query leaves it out: the subject is passed outward, level by
//! level, as a column of which the client's statement sees nothing. It is added only once an outer level asks for it.

use super::core::{Planner, Step};
use super::edit::{Edit, Piece, quote};
use super::names::{At, Env, Flow, Namespace, RelId};
use super::refuse;
use super::select::{Hidden, Selected};
use pg_raw_parse::nodes;

/// A query in FROM or WITH, by its number.
pub(super) type SourceId = usize;

/// A query in FROM or WITH to which columns may be added.
#[derive(Debug)]
pub(super) struct Source {
    /// Where its select list ends.
    end: usize,
    /// What it could show besides.
    offers: Vec<Offer>,
    /// Which of them tells whose the value in each of its columns is.
    of_column: Vec<Option<usize>>,
    /// Where `*` stands for its columns, and their names.
    stars: Vec<Edit>,
    /// It is named where a column more would show.
    closed: bool,
    /// It has columns more.
    given: bool,
}

/// The subject of some of a query's values.
#[derive(Debug)]
struct Offer {
    /// Its column in the query's own FROM.
    subject: Option<At>,
    /// What is offered there.
    beneath: Option<At>,
    /// Its name, once it is asked for.
    name: Option<String>,
}

impl Planner<'_> {
    /// What a query could pass on, if it can be given columns: its rows are as many, and the same, with them.
    pub(super) fn source(&mut self, s: &nodes::SelectStmt, selected: &Selected) -> Option<SourceId> {
        if !selected.hideable || selected.open {
            return None;
        }
        let mut offers: Vec<Offer> = Vec::new();
        let mut of_column = Vec::with_capacity(selected.cols.len());
        for col in &selected.cols {
            let Flow::Field(f) = &col.flow else {
                of_column.push(None);
                continue;
            };
            // Another level's names may be hidden by this one's.
            let here = |at: &At| selected.rels.contains(&at.0) && self.has_own_name(at.0, &selected.rels);
            let (subject, beneath) = (f.subject.filter(here), f.beneath.filter(here));
            if subject.is_none() && beneath.is_none() {
                of_column.push(None);
                continue;
            }
            let known = offers.iter().position(|o| (o.subject, o.beneath) == (subject, beneath));
            of_column.push(known.or(Some(offers.len())));
            if known.is_none() {
                offers.push(Offer { subject, beneath, name: None });
            }
        }
        if offers.is_empty() {
            return None;
        }
        let first = s.target_list().first().and_then(|t| self.token_at(t.location).ok())?;
        let depth = self.tokens.get(first)?.depth;
        let from = self.tokens.clause("from", first, self.span.end, depth)?;
        let end = self.bytes_of(from - 1).end;
        let source = Source { end, offers, of_column, stars: Vec::new(), closed: false, given: false };
        self.sources.push(source);
        Some(self.sources.len() - 1)
    }

    /// An instance shows that query's rows.
    pub(super) fn draws_on(&mut self, rel: RelId, source: Option<SourceId>) {
        let Some(of_column) = source.map(|s| &self.sources[s].of_column) else { return };
        let instance = &mut self.rels[rel];
        instance.source = source;
        for (col, offer) in instance.cols.iter_mut().zip(of_column) {
            if let Flow::Field(f) = &mut col.flow {
                f.beneath = offer.map(|offer| (rel, offer));
            }
        }
    }

    /// Instances stand where columns more of theirs would show.
    pub(super) fn close(&mut self, rels: &[RelId]) -> Step<()> {
        for source in rels.iter().filter_map(|&rel| self.rels[rel].source) {
            let source = &mut self.sources[source];
            if source.given {
                return Err(refuse::unknown("a WITH query that is shown in such different ways").into());
            }
            source.closed = true;
        }
        Ok(())
    }

    /// `*` shows columns of these: of those that may have more, it must name the ones that it means.
    pub(super) fn starred(&mut self, star: &nodes::ColumnRef, shown: &Namespace, env: &Env<'_>) -> Step<()> {
        let sources: Vec<SourceId> = shown.rels.iter().filter_map(|&rel| self.rels[rel].source).collect();
        if sources.is_empty() {
            return Ok(());
        }
        let Some(edit) = self.spelt_out(star, shown, &env.ns.rels) else { return self.close(&shown.rels) };
        for source in sources {
            self.sources[source].stars.push(edit.clone());
            if self.sources[source].given {
                self.edits.push(edit.clone());
            }
        }
        Ok(())
    }

    fn spelt_out(&self, star: &nodes::ColumnRef, shown: &Namespace, beside: &[RelId]) -> Option<Edit> {
        let range = self
            .column_range(star)
            .ok()
            .filter(|range| self.text.get(range.clone()).is_some_and(|t| t.ends_with('*')))?;
        let list: Vec<String> = if shown.merged {
            // What USING has merged has no other name than the one without a relation's.
            let names = || shown.cols.iter().map(|c| &c.name);
            let one = |name: &&String| !name.is_empty() && names().filter(|n| n == name).count() == 1;
            names().map(|n| Some(n).filter(one).map(|n| quote(n))).collect::<Option<_>>()?
        } else {
            let mut list = Vec::with_capacity(shown.cols.len());
            for &rel in &shown.rels {
                list.extend(self.columns_sql(rel, beside)?);
            }
            list
        };
        let open = shown.merged && shown.open;
        (!open && !list.is_empty()).then(|| Edit { range, pieces: vec![Piece::Text(list.join(", "))] })
    }

    /// An instance's columns, as SQL: by name those of which there may be more.
    fn columns_sql(&self, rel: RelId, beside: &[RelId]) -> Option<Vec<String>> {
        let instance = &self.rels[rel];
        if !self.has_own_name(rel, beside) {
            return None;
        }
        if instance.source.is_some() {
            return (0..instance.cols.len()).map(|col| instance.column_sql(col)).collect();
        }
        let name = quote(&instance.alias);
        Some(vec![match &instance.schema {
            Some(schema) => format!("{}.{name}.*", quote(schema)),
            None => format!("{name}.*"),
        }])
    }

    /// Whether the name of an instance means no other one of these.
    fn has_own_name(&self, rel: RelId, rels: &[RelId]) -> bool {
        let name = &self.rels[rel].alias;
        !name.is_empty() && !rels.iter().any(|&other| other != rel && self.rels[other].alias == *name)
    }

    /// The result column with the subject that is offered for a value, where it can be had.
    pub(super) fn passed(&mut self, at: At, oid: u32, hidden: &mut Hidden) -> Step<Option<u16>> {
        self.offered_sql(at).map(|sql| hidden.add(&sql, oid)).transpose()
    }

    /// What is offered, as SQL. It is then a column of the query, and of those beneath.
    fn offered_sql(&mut self, (rel, offer): At) -> Option<String> {
        let instance = &self.rels[rel];
        let source = instance.source.filter(|s| !self.sources[*s].closed)?;
        if instance.alias.is_empty() {
            return None;
        }
        let alias = quote(&instance.alias);
        let Offer { subject, beneath, name } = self.sources[source].offers.get(offer)?;
        let (subject, beneath) = (*subject, *beneath);
        let name = match name {
            Some(name) => name.clone(),
            None => {
                let own = subject.and_then(|at| self.rels[at.0].column_sql(at.1));
                let sql = own.or_else(|| beneath.and_then(|at| self.offered_sql(at)))?;
                self.give(source, offer, &sql)
            }
        };
        Some(format!("{alias}.{name}"))
    }

    /// Adds a column to a query; gives its name.
    fn give(&mut self, source: SourceId, offer: usize, sql: &str) -> String {
        // Not one that the statement has.
        let free = |n: &usize| !self.text.contains(&format!("paravent s{n}"));
        let taken = self.sources.iter().flat_map(|s| &s.offers).filter(|o| o.name.is_some()).count();
        let number = (0..).filter(free).nth(taken).unwrap_or(taken);
        let name = quote(&format!("paravent s{number}"));
        let source = &mut self.sources[source];
        if !std::mem::replace(&mut source.given, true) {
            self.edits.extend(source.stars.iter().cloned());
        }
        if let Some(offer) = source.offers.get_mut(offer) {
            offer.name = Some(name.clone());
        }
        let end = source.end;
        self.edit(end..end, vec![Piece::Text(format!(", {sql} AS {name}"))]);
        name
    }
}

/// Whether `AS a(b, c)` names no more columns than there are. (One that the planner adds must not be named so.)
pub(super) fn names_fit(alias: Option<&nodes::Alias>, columns: usize) -> bool {
    alias.is_none_or(|alias| alias.colnames().len() <= columns)
}
