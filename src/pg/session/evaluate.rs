//! Evaluating in the database's place: candidate rows are fetched in the client's own transaction, opened, held
//! against the statement's tests and put in order; the statement then runs with the keys of the rows found.

use super::Session;
use super::candidates::Opened;
use super::failure::Failure;
use super::hidden::{HiddenError, HiddenParam, RawRows};
use super::params::{Bound, Client, array_literal};
use super::subject::{INT2, INT4, INT8, UUID};
use super::values::hidden_params;
use crate::clear::Clear;
use crate::pg::evaluation::{Answer, Evaluation, Ordered, Tested};
use crate::pg::plan::{Action, Param};
use crate::pg::predicate::{self, BoundOrder, Constant, Fault, Slot, SortKey};
use crate::pg::value::{self, Format};
use crate::policy::model::Declared;
use hashbrown::HashMap;

/// More than this many times `limits.message_bytes` is not held of candidate rows.
const HELD: usize = 4;

/// What came of one evaluation.
#[derive(Default)]
struct Found {
    /// Keys of all candidates.
    keys: Vec<String>,
    /// Of each test, what it gave for each of them.
    tests: Vec<Vec<Option<bool>>>,
    /// Of each order, the rows that matter and where each stands; `None`: it is NULL.
    orders: Vec<Vec<(usize, Option<SortKey>)>>,
}

/// Tests and orders with their constants.
struct Ready<'e> {
    tests: Vec<(&'e Tested, predicate::Bound)>,
    orders: Vec<(&'e Ordered, BoundOrder)>,
}

impl Session {
    /// Puts what comes of the evaluations in the place of the parameters that take it.
    pub(super) async fn evaluate(
        &mut self,
        evaluations: &[Evaluation],
        params: &[Param],
        client: &Client<'_>,
        bound: &mut [Bound],
    ) -> Result<(), HiddenError> {
        let mut answers: HashMap<Answer, Bound> = HashMap::new();
        for evaluation in evaluations {
            let ready = self.with_constants(evaluation, client)?;
            let mut found = self.found(evaluation, &ready, params, client, bound).await?;
            self.lock_found(evaluation, &ready, &mut found).await?;
            self.answer_with(evaluation, &ready, &found, &mut answers)?;
        }
        for (slot, param) in bound.iter_mut().zip(params) {
            if let Action::Answer(answer) = param.action {
                *slot = answers.remove(&answer).unwrap_or(Bound::Null);
            }
        }
        Ok(())
    }

    /// Binds the constants.
    fn with_constants<'e>(
        &self,
        evaluation: &'e Evaluation,
        client: &Client<'_>,
    ) -> Result<Ready<'e>, Failure> {
        let mut ready = Ready { tests: Vec::new(), orders: Vec::new() };
        for tested in &evaluation.tests {
            let constants = self.constants(&tested.slots, tested.predicate.slots(), client)?;
            let bound = tested.predicate.bind(constants, &self.settings).map_err(|e| faulty(&e))?;
            ready.tests.push((tested, bound));
        }
        for ordered in &evaluation.orders {
            let constants = self.constants(&ordered.slots, ordered.order.slots(), client)?;
            let bound = ordered.order.bind(constants, &self.settings).map_err(|e| faulty(&e))?;
            ready.orders.push((ordered, bound));
        }
        Ok(ready)
    }

    fn constants(
        &self,
        params: &[Param],
        slots: &[Slot],
        client: &Client<'_>,
    ) -> Result<Vec<Constant>, Failure> {
        let read = |(param, slot): (&Param, &Slot)| {
            if !slot.array {
                let value = client.value(param)?;
                let clear = value.map(|(bytes, format, oid)| self.constant(&bytes, format, oid, slot.ty));
                return Ok(Constant::from(clear.transpose()?));
            }
            let Some((elements, oid)) = client.elements(param)? else { return Ok(Constant::Null) };
            let each = elements.iter().map(|element| match element {
                Some((bytes, format)) => self.constant(bytes, *format, oid, slot.ty).map(Some),
                None => Ok(None),
            });
            each.collect::<Result<Vec<_>, Failure>>().map(Constant::Array)
        };
        params.iter().zip(slots).map(read).collect()
    }

    fn constant(&self, bytes: &[u8], format: Format, oid: u32, ty: Declared) -> Result<Clear, Failure> {
        let words = matches!(ty, Declared::Text | Declared::Varchar(_) | Declared::Jsonb);
        self.binary_words(bytes, format, oid, words)
            .and_then(|bytes| value::decode(&bytes, format, oid, ty, &self.settings))
            .map_err(|e| Failure::value(&e, "that it is compared with"))
    }

    /// Fetches the candidates, and evaluates on each.
    async fn found(
        &mut self,
        evaluation: &Evaluation,
        ready: &Ready<'_>,
        params: &[Param],
        client: &Client<'_>,
        bound: &[Bound],
    ) -> Result<Found, HiddenError> {
        let params = hidden_params(params, &evaluation.uses, bound, client);
        let limit = usize::try_from(self.shared.limits.candidate_rows).unwrap_or(usize::MAX);
        let most = limit.saturating_add(1);
        let rows = self.fetch(&format!("{} LIMIT {most}", evaluation.sql), &params).await?;
        if rows.len() > limit || rows.is_lost() {
            self.shared.metrics.refused("too-many-candidates");
            return Err(too_many(&evaluation.table, limit).into());
        }
        self.evaluated_rows(evaluation, ready, &rows).await
    }

    async fn fetch(&mut self, sql: &str, params: &[HiddenParam]) -> Result<RawRows, HiddenError> {
        let bytes = usize::try_from(self.shared.limits.message_bytes).unwrap_or(usize::MAX);
        self.hidden_rows(sql, params, bytes.saturating_mul(HELD)).await
    }

    async fn evaluated_rows(
        &self,
        evaluation: &Evaluation,
        ready: &Ready<'_>,
        rows: &RawRows,
    ) -> Result<Found, HiddenError> {
        let mut found = Found::default();
        found.tests.resize_with(ready.tests.len(), || Vec::with_capacity(rows.len()));
        found.orders.resize_with(ready.orders.len(), Vec::new);
        self.open_candidates(evaluation, rows, |key, row| {
            let at = found.keys.len();
            found.keys.push(key.to_owned());
            let mut matters = true;
            for ((tested, bound), results) in ready.tests.iter().zip(&mut found.tests) {
                let result = bound.test(&picked(row, &tested.columns)).map_err(|e| faulty(&e))?;
                matters &= !tested.decides || result == Some(true);
                results.push(result);
            }
            for ((ordered, bound), places) in ready.orders.iter().zip(&mut found.orders) {
                if matters {
                    let place = bound.key(&picked(row, &ordered.columns)).map_err(|e| faulty(&e))?;
                    places.push((at, Some(place).filter(|place| !place.is_null())));
                }
            }
            Ok(())
        })
        .await?;
        Ok(found)
    }

    /// Of rows that will be written: locks those that were found, and evaluates again on what they hold by then.
    async fn lock_found(
        &mut self,
        evaluation: &Evaluation,
        ready: &Ready<'_>,
        found: &mut Found,
    ) -> Result<(), HiddenError> {
        let Some((sql, oid)) = &evaluation.again else { return Ok(()) };
        let decides = evaluation.tests.iter().any(|tested| tested.decides);
        let passes = |row: usize| {
            let mut results = evaluation
                .tests
                .iter()
                .zip(&found.tests)
                .map(|(t, r)| (t.decides, r.get(row) == Some(&Some(true))));
            if decides { results.all(|(decides, is)| !decides || is) } else { results.any(|(_, is)| is) }
        };
        let keys: Vec<Option<&str>> = (0..found.keys.len())
            .filter(|row| passes(*row))
            .map(|row| Some(found.keys[row].as_str()))
            .collect();
        if keys.is_empty() {
            return Ok(());
        }
        let array = self.bound_text(array_literal(&keys))?;
        let Bound::Text(value) = array else { return Ok(()) };
        let params = [HiddenParam { oid: *oid, format: Format::Text, value: Some(value) }];
        let rows = self.fetch(sql, &params).await?;
        let again = self.evaluated_rows(evaluation, ready, &rows).await?;
        let at: HashMap<&str, usize> = again.keys.iter().map(String::as_str).zip(0..).collect();
        for (results, new) in found.tests.iter_mut().zip(&again.tests) {
            for (key, result) in found.keys.iter().zip(results) {
                if let Some(&row) = at.get(key.as_str()) {
                    *result = new.get(row).copied().flatten();
                }
            }
        }
        Ok(())
    }

    fn answer_with(
        &self,
        evaluation: &Evaluation,
        ready: &Ready<'_>,
        found: &Found,
        answers: &mut HashMap<Answer, Bound>,
    ) -> Result<(), Failure> {
        for ((tested, bound), results) in ready.tests.iter().zip(&found.tests) {
            let keys = |wanted: Option<bool>| {
                let of = found.keys.iter().zip(results).filter(|(_, r)| **r == wanted);
                let keys: Vec<Option<&str>> = of.map(|(key, _)| Some(key.as_str())).collect();
                self.bound_text(array_literal(&keys))
            };
            answers.insert(Answer::True(tested.number), keys(Some(true))?);
            answers.insert(Answer::Null(tested.number), keys(None)?);
            let absent = vec![None; tested.columns.len()];
            // A row of NULLs fails no pattern; should it, no row was found that is NULL for it.
            let absent = match bound.test(&absent) {
                Ok(Some(true)) => Bound::Text(b"t".to_vec()),
                Ok(Some(false)) => Bound::Text(b"f".to_vec()),
                Ok(None) | Err(_) => Bound::Null,
            };
            answers.insert(Answer::Absent(tested.number), absent);
        }
        for ((ordered, _), places) in ready.orders.iter().zip(&found.orders) {
            let ranks = ranks(places);
            let mut of: Vec<(&str, u32)> =
                places.iter().zip(ranks).map(|((row, _), rank)| (found.keys[*row].as_str(), rank)).collect();
            if !by_value(evaluation.key_oid, &mut of) {
                answers.insert(Answer::RankOf(ordered.number), self.bound_text(json(&of))?);
                continue;
            }
            let keys: Vec<Option<&str>> = of.iter().map(|(key, _)| Some(*key)).collect();
            let ranks: Vec<Option<String>> = of.iter().map(|(_, rank)| Some(rank.to_string())).collect();
            answers.insert(Answer::Keys(ordered.number), Bound::Text(array_literal(&keys)));
            answers.insert(Answer::Ranks(ordered.number), Bound::Text(array_literal(&ranks)));
        }
        Ok(())
    }
}

/// A row as a predicate's columns have it.
fn picked<'r>(row: &'r Opened, columns: &[usize]) -> Vec<Option<&'r Clear>> {
    columns.iter().map(|at| row.get(*at).and_then(Option::as_ref)).collect()
}

/// Equal rows have one rank; NULL has 0.
fn ranks(places: &[(usize, Option<SortKey>)]) -> Vec<u32> {
    let mut order: Vec<usize> = (0..places.len()).collect();
    order.sort_unstable_by(|a, b| places[*a].1.cmp(&places[*b].1));
    let mut ranks = vec![0; places.len()];
    let mut last: Option<&SortKey> = None;
    let mut rank = 0;
    for at in order {
        let Some(key) = &places[at].1 else { continue };
        rank += u32::from(last != Some(key));
        last = Some(key);
        ranks[at] = rank;
    }
    ranks
}

/// Puts keys in the order of their type, where its values have one length; false for any other type.
fn by_value(oid: u32, keys: &mut [(&str, u32)]) -> bool {
    match oid {
        INT2 | INT4 | INT8 => keys.sort_unstable_by_key(|(key, _)| key.parse::<i64>().unwrap_or(i64::MAX)),
        // Its text form has the order of its bytes.
        UUID => keys.sort_unstable(),
        _ => return false,
    }
    true
}

/// `{"key": rank}`, without those of NULL.
fn json(ranks: &[(&str, u32)]) -> Vec<u8> {
    let known = ranks.iter().filter(|(_, rank)| *rank > 0);
    let object: serde_json::Map<String, serde_json::Value> =
        known.map(|(key, rank)| ((*key).to_owned(), (*rank).into())).collect();
    serde_json::Value::Object(object).to_string().into_bytes()
}

/// What the server would say of a value or pattern, or what isn't evaluated.
fn faulty(fault: &Fault) -> Failure {
    if fault.unsupported {
        return Failure::new(
            "0A000",
            "predicate",
            format!("paravent: {}", fault.message),
            "write it with comparisons, LIKE or a simpler pattern, or evaluate it in the application",
        );
    }
    Failure::new(
        fault.sqlstate,
        "predicate",
        fault.message.clone(),
        "the gateway evaluates this condition, since it is about a protected column",
    )
}

fn too_many(table: &str, limit: usize) -> Failure {
    Failure::new(
        "54000",
        "too-many-candidates",
        format!(
            "paravent: a condition or an order on protected columns of {table} would open more than {limit} rows"
        ),
        "narrow the WHERE by other columns, or raise limits.candidate_rows",
    )
}
