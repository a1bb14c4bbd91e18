//! The formats of COPY (manual, COPY, "File Formats"): a stream cut into rows, rows into values, and back.
//!
//! A stream comes in pieces of any size; [`Reader`] finds where rows end exactly where the server would, since
//! a row that is cut elsewhere would put a value in another column. Values that nothing is done to keep their
//! bytes. What the server would report as damaged is an error here, before anything of the row goes on.

mod binary;
mod csv;
mod options;
mod reader;
#[cfg(test)]
mod tests;
mod text;

pub use options::{Forced, Header, Options, Style};
pub use reader::{Cut, Reader};

use std::ops::Range;

/// The data is not in the format that the statement names (SQLSTATE 22P04). Never holds a value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CopyError(pub String);

impl From<&str> for CopyError {
    fn from(message: &str) -> Self {
        Self(message.to_owned())
    }
}

/// SQLSTATE of a [`CopyError`]: `bad_copy_file_format`.
pub const BAD_FORMAT: &str = "22P04";

/// A value of a row, as it stands there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// Its bytes in the row: with quotes and escapes, without delimiters; of a binary row without its length.
    pub raw: Range<usize>,
    /// It is NULL as the options have it.
    pub null: bool,
}

impl Options {
    /// The values of a row, as [`Reader`] cut it. `header`: it is the line of names, where nothing is NULL.
    ///
    /// # Errors
    /// The row is damaged.
    pub fn cells(&self, row: &[u8], header: bool, out: &mut Vec<Cell>) -> Result<(), CopyError> {
        out.clear();
        match self.style {
            Style::Text => text::cells(self, row, out),
            Style::Csv => csv::cells(self, row, header, out)?,
            Style::Binary => binary::cells(row, out)?,
        }
        Ok(())
    }

    /// What a value stands for: escapes and quotes resolved. In the text formats its bytes must be UTF-8 by
    /// then, since escapes give bytes of the database's encoding.
    pub fn value(&self, raw: &[u8], out: &mut Vec<u8>) {
        match self.style {
            Style::Text => text::value(raw, out),
            Style::Csv => csv::value(self, raw, out),
            Style::Binary => out.extend_from_slice(raw),
        }
    }

    /// Begins a row of that many values.
    pub fn begin_row(&self, values: u16, out: &mut Vec<u8>) {
        if self.style == Style::Binary {
            out.extend_from_slice(&values.to_be_bytes());
        }
    }

    /// What stands before a value: the delimiter, unless it is the row's first.
    pub fn separate(&self, first: bool, out: &mut Vec<u8>) {
        if self.style != Style::Binary && !first {
            out.push(self.delimiter);
        }
    }

    /// A value as it stood in another row of these options.
    ///
    /// # Errors
    /// It is too long.
    pub fn write_raw(&self, raw: Option<&[u8]>, out: &mut Vec<u8>) -> Result<(), CopyError> {
        match (self.style, raw) {
            (Style::Binary, raw) => binary::write(raw, out)?,
            (_, Some(raw)) => out.extend_from_slice(raw),
            (_, None) => out.extend_from_slice(&self.null),
        }
        Ok(())
    }

    /// A value (`None`: NULL), in the form in which the server writes it. `alone`: the row has no other.
    ///
    /// # Errors
    /// It is too long.
    pub fn write(
        &self,
        value: Option<&[u8]>,
        column: u16,
        alone: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), CopyError> {
        match (self.style, value) {
            (Style::Binary, value) => binary::write(value, out)?,
            (_, None) => out.extend_from_slice(&self.null),
            (Style::Text, Some(value)) => text::write(self, value, out),
            (Style::Csv, Some(value)) => {
                csv::write(self, value, self.force_quote.has(column), alone, out);
            }
        }
        Ok(())
    }

    /// A value that the server must not take for NULL, for it to read.
    ///
    /// # Errors
    /// It is too long, or can't be told from NULL under these options.
    pub fn write_for_server(&self, value: &[u8], out: &mut Vec<u8>) -> Result<(), CopyError> {
        match self.style {
            Style::Binary => binary::write(Some(value), out),
            Style::Csv => {
                csv::write(self, value, true, false, out);
                Ok(())
            }
            Style::Text => {
                let from = out.len();
                text::write(self, value, out);
                if out[from..] == *self.null {
                    return Err("a protected value can't be told from the NULL string of the COPY".into());
                }
                Ok(())
            }
        }
    }
}
