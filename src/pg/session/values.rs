//! From a plan's parameters to what is bound upstream: values read, subjects found, everything
//! protected in one batch.

use super::encoding::{self, Words};
use super::failure::Failure;
use super::hidden::{HiddenError, HiddenParam};
use super::keep::put;
use super::params::{Bound, Client, array_literal, nobody};
use super::whose::Whose;
use super::{Session, subject};
use crate::clear::{Clear, Kind};
use crate::ids::FieldId;
use crate::pg::plan::{Action, Lookup, Param, Plan, Source, SubjectSource, Write};
use crate::pg::value::{self, Format, ValueError};
use crate::pg::wire::bind;
use crate::policy::model::{Declared, Field, Protect};
use crate::protect::{Item, Owner};

/// Rows that an UPDATE's lookup locks before their subjects are counted.
const ROWS: usize = 10_000;

impl From<Failure> for HiddenError {
    fn from(failure: Failure) -> Self {
        Self::Server(failure.response())
    }
}

/// Elements of an array parameter.
pub(super) type Array = Vec<Option<Vec<u8>>>;

/// A value to be protected, and where it goes.
pub(super) struct Work {
    pub(super) param: usize,
    pub(super) field: FieldId,
    /// Row of the statement, or element of an array.
    pub(super) row: usize,
    pub(super) value: Clear,
}

/// The values of a statement's parameters, ready to be bound.
pub(super) struct Ready {
    pub(super) bound: Vec<Bound>,
    /// It runs as [`Plan::keep`] says: rows of the erased stay as they are.
    pub(super) keep: bool,
}

impl Session {
    /// Protects the values of a statement's parameters.
    pub(super) async fn protect_values(
        &mut self,
        plan: &Plan,
        declared: &[u32],
        message: &bind::Bind<'_>,
    ) -> Result<Ready, HiddenError> {
        // Of EXECUTE, the client's values are the arguments that were evaluated.
        let needed = plan.calls.as_ref().map_or(plan.client_params.len(), |c| c.expressions.len());
        if message.values.len() != needed {
            let name = String::from_utf8_lossy(message.statement);
            return Err(Failure::parameters(message.values.len(), &name, needed).into());
        }
        let client = Client { declared, message, charset: self.settings.charset.clone() };
        let mut bound = Vec::with_capacity(plan.params.len());
        for param in &plan.params {
            bound.push(self.without_subject(param, &client).await?);
        }
        if !plan.evaluations.is_empty() {
            Box::pin(self.evaluate(&plan.evaluations, &plan.params, &client, &mut bound)).await?;
        }
        let Some(write) = &plan.write else { return Ok(Ready { bound, keep: false }) };
        let found = match &write.lookup {
            Some(lookup) => self.look_up(plan, write, lookup, &bound, &client).await?,
            None => Vec::new(),
        };
        let whose = self.whose(write, &client, found.as_slice()).await?;
        let mut arrays: Vec<Option<Array>> = Vec::new();
        arrays.resize_with(plan.params.len(), || None);
        let mut work = self.work(plan, write, &client, &whose, &mut bound, &mut arrays)?;
        let kept = self.unchanged(plan, write, &whose, &work).await?;
        if !kept.is_empty() {
            self.keep(plan, &kept, &mut work, &mut bound, &mut arrays)?;
        }
        self.stand_in(plan, &whose, &mut work, &mut bound, &mut arrays).await?;
        self.shield(plan, &whose, &work, &mut bound, &mut arrays).await?;
        for (slot, array) in bound.iter_mut().zip(arrays) {
            if let Some(array) = array {
                *slot = self.bound_text(array_literal(&array))?;
            }
        }
        for (index, param) in plan.params.iter().enumerate() {
            match param.action {
                Action::Subjects => bound[index] = self.bound_text(subject::array(&found))?,
                Action::Kept => bound[index] = self.bound_text(subject::array(&kept.ids(&whose)))?,
                _ => {}
            }
        }
        Ok(Ready { bound, keep: !kept.is_empty() })
    }

    /// Parameters that need no subject: relayed, or compared.
    pub(super) async fn without_subject(
        &self,
        param: &Param,
        client: &Client<'_>,
    ) -> Result<Bound, HiddenError> {
        let door = &self.shared.door;
        let protect = |e| HiddenError::from(Failure::protect(&e));
        Ok(match &param.action {
            Action::Relay => match &param.source {
                Source::Client(i) => Bound::Client(usize::from(*i)),
                Source::Literal(Some(_)) => client.plain(param)?,
                Source::Literal(None) | Source::Nothing => Bound::Null,
            },
            Action::Find { field } => match self.identifier(param, *field, client)? {
                Some(identifier) if identifier.is_empty() => Bound::Text(Vec::new()),
                Some(identifier) => Bound::Text(
                    door.find(*field, &identifier).await.map_err(protect)?.into_string().into_bytes(),
                ),
                None => Bound::Null,
            },
            Action::FindFolded { field } => match self.identifier(param, *field, client)? {
                Some(identifier) => {
                    let mut tokens: Vec<String> = Vec::new();
                    if identifier.is_empty() {
                        tokens.push(String::new());
                    }
                    let found = door.find_folded(*field, &identifier).await.map_err(protect)?;
                    tokens.extend(found.into_iter().map(String::from));
                    Bound::Text(subject::array(&tokens))
                }
                None => Bound::Null,
            },
            Action::FindEach { field } => match client.elements(param)? {
                Some((elements, oid)) => {
                    let mut tokens = Vec::with_capacity(elements.len());
                    for element in &elements {
                        tokens.push(match element {
                            Some((bytes, format)) => {
                                let identifier = self.read_identifier(*field, bytes, *format, oid)?;
                                let token = match identifier.as_str() {
                                    "" => String::new(),
                                    identifier => {
                                        door.find(*field, identifier).await.map_err(protect)?.into()
                                    }
                                };
                                Some(token.into_bytes())
                            }
                            None => None,
                        });
                    }
                    Bound::Text(array_literal(&tokens))
                }
                None => Bound::Null,
            },
            Action::Null
            | Action::Seal { .. }
            | Action::Hold { .. }
            | Action::ProtectEach { .. }
            | Action::Answer(_)
            | Action::Subjects
            | Action::Kept
            | Action::ProtectPerSubject { .. } => Bound::Null,
        })
    }

    /// The subjects whose rows an UPDATE will write, locked in the client's transaction.
    async fn look_up(
        &mut self,
        plan: &Plan,
        write: &Write,
        lookup: &Lookup,
        bound: &[Bound],
        client: &Client<'_>,
    ) -> Result<Vec<String>, HiddenError> {
        let params = hidden_params(&plan.params, &lookup.uses, bound, client);
        // The lookup needs the statement's implicit transaction to stay open, so that its locks hold.
        self.pipeline = true;
        let limit = usize::try_from(self.shared.limits.subjects_per_statement).unwrap_or(usize::MAX);
        let rows = self.locked(lookup, &params, limit).await?;
        let mut found: Vec<String> = Vec::new();
        let mut seen = hashbrown::HashSet::new();
        for row in rows {
            let Some(Some(id)) = row.into_iter().next() else { return Err(nobody().into()) };
            let id = subject::canonical(write.subject_oid, &id).ok_or_else(nobody)?;
            if seen.insert(id.clone()) {
                found.push(id);
            }
        }
        if found.len() > limit { Err(self.too_many(limit)) } else { Ok(found) }
    }

    /// The rows that a lookup finds, without locking all of a table before it is refused.
    async fn locked(
        &mut self,
        lookup: &Lookup,
        params: &[HiddenParam],
        limit: usize,
    ) -> Result<Vec<Vec<Option<String>>>, HiddenError> {
        let most = limit.saturating_add(1);
        // Where one subject may have many rows, so many of them say nothing yet.
        let bound = if lookup.unique { most } else { most.max(ROWS) };
        let rows = self.hidden(&format!("{} LIMIT {bound}", lookup.sql), params).await?;
        if lookup.unique || rows.len() < bound {
            return Ok(rows);
        }
        let subjects = self.hidden(&format!("{} LIMIT {most}", lookup.distinct), params).await?;
        if subjects.len() > limit {
            return Err(self.too_many(limit));
        }
        self.hidden(&lookup.sql, params).await
    }

    fn too_many(&self, limit: usize) -> HiddenError {
        self.shared.metrics.refused("too-many-subjects");
        let failure = Failure::new(
            "0A000",
            "too-many-subjects",
            format!("paravent: the UPDATE writes protected values of more than {limit} subjects"),
            "narrow its WHERE, or raise limits.subjects_per_statement",
        );
        HiddenError::Server(failure.response())
    }

    /// Collects what is to be protected; what stays clear is bound as it is.
    fn work(
        &self,
        plan: &Plan,
        write: &Write,
        client: &Client<'_>,
        whose: &[Whose],
        bound: &mut [Bound],
        arrays: &mut [Option<Array>],
    ) -> Result<Vec<Work>, HiddenError> {
        let mut work = Vec::new();
        for (index, param) in plan.params.iter().enumerate() {
            match &param.action {
                Action::Seal { field, row } | Action::Hold { field, row } => {
                    let row = usize::from(*row);
                    let clear = self.read(param, *field, client)?;
                    match (clear, whose.get(row)) {
                        (None, _) | (Some(_), Some(Whose::NoRow)) => {}
                        (Some(_), Some(Whose::Unprotected)) => bound[index] = client.plain(param)?,
                        (Some(_), Some(Whose::Nobody) | None) => return Err(nobody().into()),
                        (Some(value), Some(_)) => work.push(Work { param: index, field: *field, row, value }),
                    }
                }
                Action::ProtectPerSubject { field } => {
                    if whose.is_empty() {
                        // Whether the column takes the value is told all the same.
                        self.read(param, *field, client)?;
                    }
                    for row in 0..whose.len() {
                        // NULL is NULL for all; in an array, NULL is the element of those who keep theirs.
                        let Some(value) = self.read(param, *field, client)? else { break };
                        arrays[index].get_or_insert_with(|| vec![None; whose.len()]);
                        work.push(Work { param: index, field: *field, row, value });
                    }
                }
                Action::ProtectEach { field } => {
                    let each =
                        write.rows.first().is_some_and(|r| matches!(r.subject, SubjectSource::Each(_)));
                    let Some((elements, oid)) = client.elements(param)? else { continue };
                    let mut array: Array = vec![None; elements.len()];
                    for (row, element) in elements.iter().enumerate() {
                        let Some((bytes, format)) = element else { continue };
                        match whose.get(if each { row } else { 0 }) {
                            Some(Whose::Unprotected) => {
                                let words = self.binary_words(bytes, *format, oid, false);
                                let bytes = words.map_err(|e| Failure::value(&e, "of an array"))?;
                                array[row] = Some(bytes.to_vec());
                            }
                            Some(Whose::Nobody) | None => return Err(nobody().into()),
                            Some(_) => {
                                let value = self.clear(*field, bytes, *format, oid)?;
                                work.push(Work { param: index, field: *field, row, value });
                            }
                        }
                    }
                    arrays[index] = Some(array);
                }
                _ => {}
            }
        }
        Ok(work)
    }

    /// Protects all values in one batch and binds what is stored for them.
    async fn shield(
        &mut self,
        plan: &Plan,
        whose: &[Whose],
        work: &[Work],
        bound: &mut [Bound],
        arrays: &mut [Option<Array>],
    ) -> Result<(), HiddenError> {
        let items: Vec<Item<'_>> = work
            .iter()
            .map(|w| Item {
                field: w.field,
                owner: match whose.get(w.row).or_else(|| whose.first()) {
                    Some(Whose::Known(subject)) => Owner::Known(subject),
                    _ => Owner::Returned(u32::try_from(w.row).unwrap_or(u32::MAX)),
                },
                value: &w.value,
            })
            .collect();
        let stored = if items.is_empty() {
            Vec::new()
        } else {
            let (door, database) = (self.shared.door.clone(), self.database.name().to_owned());
            let unit = self.units.current(|| door.unit(&database));
            self.writes += 1;
            self.made = Some((self.writes, unit.mark()));
            unit.protect(&items).await.map_err(|e| {
                self.shared.metrics.failed("protect");
                Failure::protect(&e)
            })?
        };
        for (w, stored) in work.iter().zip(stored) {
            put(plan, w, stored, bound, arrays);
        }
        Ok(())
    }

    /// The clear value of a parameter; `None` for NULL.
    fn read(&self, param: &Param, field: FieldId, client: &Client<'_>) -> Result<Option<Clear>, Failure> {
        match client.value(param)? {
            Some((bytes, format, oid)) => self.clear(field, &bytes, format, oid).map(Some),
            None => Ok(None),
        }
    }

    /// Reads a value as its field's type; an identifier becomes its text form.
    pub(super) fn clear(
        &self,
        id: FieldId,
        bytes: &[u8],
        format: Format,
        oid: u32,
    ) -> Result<Clear, Failure> {
        let field = self.shared.door.policy().field(id);
        let clear = self
            .binary_words(bytes, format, oid, field_words(field))
            .and_then(|bytes| value::decode(&bytes, format, oid, field.ty, &self.settings))
            .map_err(|e| Failure::value(&e, &field.name))?;
        match field.protect {
            Protect::Encrypt => Ok(clear),
            Protect::Pseudonym { .. } => self.identifier_of(field, clear),
        }
    }

    /// A binary value as [`value::decode`] takes it: text in UTF-8.
    pub(super) fn binary_words<'a>(
        &self,
        bytes: &'a [u8],
        format: Format,
        oid: u32,
        field_words: bool,
    ) -> Result<Words<'a>, ValueError> {
        encoding::read_binary(self.charset(), bytes, format, oid, field_words)
    }

    /// A text for the server, in the client's encoding.
    pub(super) fn bound_text(&self, text: Vec<u8>) -> Result<Bound, Failure> {
        if self.charset().is_none() {
            return Ok(Bound::Text(text));
        }
        Ok(Bound::Text(encoding::write(self.charset(), &text)?.into_owned()))
    }

    fn identifier_of(&self, field: &Field, clear: Clear) -> Result<Clear, Failure> {
        if clear.kind() == Kind::Text {
            return Ok(clear);
        }
        let mut text = Vec::new();
        value::encode(clear.kind(), clear.bytes(), field.ty, Format::Text, false, &self.settings, &mut text)
            .map_err(|e| Failure::value(&e, &field.name))?;
        Ok(Clear::new(Kind::Text, text))
    }

    fn identifier(
        &self,
        param: &Param,
        field: FieldId,
        client: &Client<'_>,
    ) -> Result<Option<String>, Failure> {
        match client.value(param)? {
            Some((bytes, format, oid)) => self.read_identifier(field, &bytes, format, oid).map(Some),
            None => Ok(None),
        }
    }

    /// An identifier to compare with. A varchar's limit is for what is stored, not for this.
    fn read_identifier(
        &self,
        id: FieldId,
        bytes: &[u8],
        format: Format,
        oid: u32,
    ) -> Result<String, Failure> {
        let field = self.shared.door.policy().field(id);
        let ty = match field.ty {
            Declared::Varchar(_) => Declared::Text,
            other => other,
        };
        let clear = self
            .binary_words(bytes, format, oid, field_words(field))
            .and_then(|bytes| value::decode(&bytes, format, oid, ty, &self.settings))
            .map_err(|e| Failure::value(&e, &field.name))?;
        let clear = self.identifier_of(field, clear)?;
        String::from_utf8(clear.bytes().to_vec()).map_err(|_| Failure::not_utf8())
    }
}

/// The parameters of a hidden statement that stands for a part of the client's: those that it uses.
pub(super) fn hidden_params(
    params: &[Param],
    uses: &[bool],
    bound: &[Bound],
    client: &Client<'_>,
) -> Vec<HiddenParam> {
    let of = |(i, param): (usize, &Param)| {
        let used = uses.get(i).copied().unwrap_or(false);
        let declared = client.declared.get(i).copied().unwrap_or(0);
        match (used, bound.get(i)) {
            (true, Some(value)) => HiddenParam {
                oid: if param.type_oid != 0 { param.type_oid } else { declared },
                format: value.format(i, client.message),
                value: value.bytes(client.message).map(<[u8]>::to_vec),
            },
            _ => HiddenParam { oid: 25, format: Format::Text, value: None },
        }
    };
    params.iter().enumerate().map(of).collect()
}

/// Whether a binary value of the field's own type is text.
fn field_words(field: &Field) -> bool {
    matches!(field.ty, Declared::Text | Declared::Varchar(_) | Declared::Jsonb)
}
