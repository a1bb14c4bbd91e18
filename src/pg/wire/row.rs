//! DataRow (`D`, §55.7): reading its cells, and writing rows cell by cell into one buffer.

use super::WireError;
use super::frame::{self, Begun};
use super::reader::Reader;
use std::ops::Range;

const WHAT: &str = "DataRow";

/// Iterates over the cells of a DataRow body: ranges into it, `None` for NULL.
/// Ends after the first error; bytes after the last cell are an error.
#[derive(Debug, Clone)]
pub struct Cells<'a> {
    reader: Reader<'a>,
    left: u16,
    done: bool,
}

/// Begins to read a DataRow body.
pub fn cells(body: &[u8]) -> Result<Cells<'_>, WireError> {
    let mut reader = Reader::new(body, WHAT);
    let left = reader.u16()?;
    Ok(Cells { reader, left, done: false })
}

impl Cells<'_> {
    /// Cells not yet read.
    pub fn left(&self) -> u16 {
        self.left
    }

    /// Offset in the body of the next cell's length: from here to a later position, whole cells can be
    /// copied as they are ([`RowWriter::copy`]).
    pub fn position(&self) -> usize {
        self.reader.position()
    }
}

impl Iterator for Cells<'_> {
    type Item = Result<Option<Range<usize>>, WireError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        if self.left == 0 {
            self.done = true;
            return self.reader.end().err().map(Err);
        }
        self.left -= 1;
        let cell = self.reader.value();
        self.done = cell.is_err();
        Some(cell)
    }
}

/// Writes one DataRow at the end of a buffer.
#[derive(Debug)]
#[must_use]
pub struct RowWriter<'o> {
    out: &'o mut Vec<u8>,
    begun: Begun,
    count_at: usize,
    count: u16,
}

impl<'o> RowWriter<'o> {
    /// Begins a row.
    pub fn begin(out: &'o mut Vec<u8>) -> Self {
        let begun = frame::begin(out, b'D');
        let count_at = out.len();
        out.extend_from_slice(&[0; 2]);
        Self { out, begun, count_at, count: 0 }
    }

    fn counted(&mut self, n: u16) -> Result<(), WireError> {
        self.count = self.count.checked_add(n).ok_or(WireError::Malformed(WHAT, "too many cells"))?;
        Ok(())
    }

    /// Appends a cell.
    pub fn cell(&mut self, bytes: &[u8]) -> Result<(), WireError> {
        self.cell_with(|out| {
            out.extend_from_slice(bytes);
            Ok(())
        })
    }

    /// Appends a cell that `write` appends to the buffer; its length is patched afterwards.
    pub fn cell_with<E: From<WireError>>(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.counted(1)?;
        frame::value_with(self.out, write)
    }

    /// Appends a cell that `write` appends to the buffer, or NULL where it says false.
    pub fn cell_or_null<E: From<WireError>>(
        &mut self,
        write: impl FnOnce(&mut Vec<u8>) -> Result<bool, E>,
    ) -> Result<(), E> {
        self.counted(1)?;
        let from = self.out.len();
        let mut some = false;
        frame::value_with(self.out, |out| {
            some = write(out)?;
            Ok::<(), E>(())
        })?;
        if !some {
            self.out.truncate(from);
            self.out.extend_from_slice(&(-1_i32).to_be_bytes());
        }
        Ok(())
    }

    /// Appends a NULL cell.
    pub fn null(&mut self) -> Result<(), WireError> {
        self.counted(1)?;
        self.out.extend_from_slice(&(-1_i32).to_be_bytes());
        Ok(())
    }

    /// Appends `n` cells as they stand in another row: their lengths and bytes.
    pub fn copy(&mut self, raw: &[u8], n: u16) -> Result<(), WireError> {
        self.counted(n)?;
        self.out.extend_from_slice(raw);
        Ok(())
    }

    /// Ends the row: patches its length and number of cells.
    pub fn finish(self) -> Result<(), WireError> {
        if let Some(slot) = self.out.get_mut(self.count_at..self.count_at + 2) {
            slot.copy_from_slice(&self.count.to_be_bytes());
        }
        frame::finish(self.out, self.begun)
    }

    /// Takes out again what was written of the row.
    pub fn abandon(self) {
        frame::abandon(self.out, self.begun);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        let mut out = Vec::new();
        let mut w = RowWriter::begin(&mut out);
        w.cell(b"one").unwrap();
        w.null().unwrap();
        w.cell(b"").unwrap();
        w.finish().unwrap();
        let body = &out[frame::HEADER..];
        let got: Vec<_> = cells(body).unwrap().map(|c| c.unwrap().map(|r| &body[r])).collect();
        assert_eq!(got, [Some(&b"one"[..]), None, Some(&b""[..])]);
        assert_eq!(frame::header(&out, frame::LARGE).unwrap().unwrap().total(), out.len());
    }

    #[test]
    fn copies_runs_of_cells_as_they_are() {
        let mut first = Vec::new();
        let mut w = RowWriter::begin(&mut first);
        w.cell(b"a").unwrap();
        w.null().unwrap();
        w.cell(b"last").unwrap();
        w.finish().unwrap();
        let body = &first[frame::HEADER..];
        let mut it = cells(body).unwrap();
        let from = it.position();
        it.next().unwrap().unwrap();
        it.next().unwrap().unwrap();
        let mut second = Vec::new();
        let mut w = RowWriter::begin(&mut second);
        w.copy(&body[from..it.position()], 2).unwrap();
        w.cell(b"last").unwrap();
        w.finish().unwrap();
        assert_eq!(first, second);
    }

    #[test]
    fn reports_bytes_after_the_last_cell() {
        let got: Vec<_> = cells(b"\0\x01\xff\xff\xff\xff\0").unwrap().collect();
        assert_eq!(got, [Ok(None), Err(WireError::Trailing(WHAT))]);
    }
}
