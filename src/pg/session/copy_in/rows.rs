//! The client's stream cut into rows, and rows as the server is to get them.

use super::{CopyIn, Row, Step};
use crate::ids::Subject;
use crate::pg::copy::{CopyError, Cut, Style};
use crate::pg::plan::{CopyField, CopyFrom, CopySubject};
use crate::pg::session::failure::Failure;
use crate::pg::session::whose::Whose;
use crate::pg::session::{encoding, subject, when};
use crate::pg::value::Format;
use crate::protect::{Stored, armour};
use zeroize::Zeroizing;

/// Rows that are protected at once.
const ROWS: usize = 512;

impl CopyIn {
    /// The bytes that a value stands for; text in UTF-8.
    pub(super) fn value(&self, raw: &[u8]) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let mut out = Zeroizing::new(Vec::with_capacity(raw.len()));
        if self.options.style == Style::Binary {
            out.extend_from_slice(raw);
        } else {
            let words = encoding::read(self.charset.as_deref(), raw);
            self.options.value(&words.map_err(|e| Failure::value(&e, "of a COPY"))?, &mut out);
        }
        Ok(out)
    }

    pub(super) fn format(&self) -> Format {
        if self.options.style == Style::Binary { Format::Binary } else { Format::Text }
    }

    /// A value as text, of a column of that type; `None` for NULL.
    fn text(&self, row: &Row, column: u16, oid: u32) -> Result<Option<String>, Failure> {
        let Some(cell) = row.cells.get(usize::from(column)).filter(|c| !c.null) else { return Ok(None) };
        let bytes = self.value(&self.held[row.from..][cell.raw.clone()])?;
        let text = match self.options.style {
            Style::Binary => subject::text_in(self.charset.as_deref(), oid, Format::Binary, &bytes),
            _ => subject::text(oid, Format::Text, &bytes),
        };
        text.map(Some).ok_or_else(|| {
            Failure::new(
                "22P02",
                "subject-id",
                "paravent: the subject's id could not be read",
                "give an id in the form of its column's type",
            )
        })
    }

    /// Whose a row is.
    fn whose(&self, row: &Row, from: &CopyFrom) -> Result<Whose, Failure> {
        if let Some((column, oid, _)) = &from.when {
            let value = match column {
                Some(column) => self.text(row, *column, *oid)?,
                None => None,
            };
            let holds = match (&value, &self.equals) {
                (Some(value), Some(equals)) => when::same(*oid, value, equals).ok_or_else(when::spelling)?,
                _ => false,
            };
            if !holds {
                return Ok(Whose::Unprotected);
            }
        }
        let id = match from.subject {
            CopySubject::Column(column) => self.text(row, column, from.subject_oid)?,
            // Set once it is drawn.
            CopySubject::Drawn => return Ok(Whose::Returned),
            CopySubject::Nobody => None,
        };
        Ok(match id {
            Some(id) => Whose::Known(Subject::new(from.class.clone(), id)),
            None => Whose::Nobody,
        })
    }

    /// The rows that are whole, up to a batch; what is no row goes to `out` as it is.
    pub(super) fn cut(
        &mut self,
        end: bool,
        rows: &mut Vec<Row>,
        out: &mut Vec<u8>,
    ) -> Result<(usize, Step), Failure> {
        let Some((_, from)) = self.copy() else { return Ok((0, Step::Over)) };
        let (columns, drawn) = (from.columns.clone(), from.subject == CopySubject::Drawn);
        let subject = from.subject_column.clone();
        let mut at = 0;
        while rows.len() < ROWS {
            match self.reader.next(&self.options, &self.held[at..], end)? {
                Cut::More => return Ok((at, Step::Over)),
                Cut::End { .. } => {
                    if self.options.style == Style::Binary && self.held.len() > at + 2 {
                        return Err(CopyError::from("received copy data after EOF marker").into());
                    }
                    return Ok((self.held.len(), Step::Over));
                }
                Cut::Head { total } => {
                    out.extend_from_slice(&self.held[at..at + total]);
                    at += total;
                }
                Cut::Names { content, total } => {
                    out.extend_from_slice(&self.held[at..at + content]);
                    if drawn {
                        self.options.separate(false, out);
                        self.options.write_for_server(subject.as_bytes(), out)?;
                    }
                    out.extend_from_slice(&self.held[at + content..at + total]);
                    at += total;
                }
                Cut::Row { content, total } => {
                    let mut cells = Vec::with_capacity(columns.len());
                    self.options.cells(&self.held[at..at + content], false, &mut cells)?;
                    match columns.get(cells.len()) {
                        _ if cells.len() > columns.len() => {
                            return Err(CopyError::from("extra data after last expected column").into());
                        }
                        Some(name) => {
                            return Err(CopyError(format!("missing data for column \"{name}\"")).into());
                        }
                        None => {}
                    }
                    let row = Row { from: at, content, total, cells, whose: Whose::Nobody };
                    let whose = self
                        .run
                        .plan
                        .copy
                        .as_ref()
                        .and_then(|c| c.from.as_ref())
                        .map_or(Ok(Whose::Nobody), |from| self.whose(&row, from))?;
                    rows.push(Row { whose, ..row });
                    at += total;
                }
            }
        }
        Ok((at, Step::Full))
    }

    /// A row as the server is to get it.
    pub(super) fn write(
        &self,
        row: &Row,
        fields: &[CopyField],
        stored: &mut impl Iterator<Item = Stored>,
        id: Option<(&str, u32)>,
        out: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        let bytes = &self.held[row.from..row.from + row.total];
        let options = &self.options;
        let columns = row.cells.len() + usize::from(id.is_some());
        options.begin_row(u16::try_from(columns).unwrap_or(u16::MAX), out);
        let mut fields = fields.iter().peekable();
        for (at, cell) in row.cells.iter().enumerate() {
            options.separate(at == 0, out);
            let field = fields.next_if(|f| usize::from(f.column) == at);
            match field.filter(|_| !cell.null && !matches!(row.whose, Whose::Unprotected)) {
                Some(field) => {
                    let stored =
                        stored.next().ok_or_else(|| Failure::internal("a value was not protected"))?;
                    options.write_for_server(&self.stored(stored, field.stored_oid)?, out)?;
                }
                None => {
                    let plain =
                        (options.style != Style::Binary || !cell.null).then(|| &bytes[cell.raw.clone()]);
                    options.write_raw(plain, out)?;
                }
            }
        }
        if let Some((id, oid)) = id {
            options.separate(row.cells.is_empty(), out);
            let binary = self.options.style == Style::Binary;
            let id = if binary { number(id, oid)? } else { id.as_bytes().to_vec() };
            options.write_for_server(&id, out)?;
        }
        out.extend_from_slice(&bytes[row.content..]);
        Ok(())
    }

    /// What is stored, in the form of its column.
    fn stored(&self, stored: Stored, oid: u32) -> Result<Vec<u8>, Failure> {
        let binary = self.options.style == Style::Binary;
        Ok(match stored {
            Stored::Envelope(envelope) if oid == 17 && binary => envelope,
            Stored::Envelope(envelope) if oid == 17 => format!("\\x{}", hex::encode(envelope)).into_bytes(),
            Stored::Envelope(envelope) => armour::write(&envelope).into_bytes(),
            Stored::Token(token) if binary => number(&token, oid)?,
            Stored::Token(token) => token.into_string().into_bytes(),
        })
    }
}

/// The binary form of a number or UUID that is given as text; texts are their own.
fn number(text: &str, oid: u32) -> Result<Vec<u8>, Failure> {
    let unfit = || Failure::internal("a value does not fit its column");
    Ok(match oid {
        subject::INT2 => text.parse::<i16>().map_err(|_| unfit())?.to_be_bytes().to_vec(),
        subject::INT4 => text.parse::<i32>().map_err(|_| unfit())?.to_be_bytes().to_vec(),
        subject::INT8 => text.parse::<i64>().map_err(|_| unfit())?.to_be_bytes().to_vec(),
        subject::UUID => uuid::Uuid::try_parse(text).map_err(|_| unfit())?.as_bytes().to_vec(),
        _ => text.as_bytes().to_vec(),
    })
}
