//! Where rows end in a stream (`CopyReadLineText`, `NextCopyFrom`).

use super::binary;
use super::{CopyError, Options, Style};

/// What stands at the beginning of what has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Nothing whole yet.
    More,
    /// The binary format's head.
    Head {
        /// Its bytes.
        total: usize,
    },
    /// The line of names.
    Names {
        /// Its bytes without the line's end.
        content: usize,
        /// All its bytes.
        total: usize,
    },
    /// A row.
    Row {
        /// Its bytes without the line's end.
        content: usize,
        /// All its bytes.
        total: usize,
    },
    /// The end of the data; nothing after it counts.
    End {
        /// The bytes that say so.
        total: usize,
    },
}

/// How lines end: as the first one does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Newline {
    Lf,
    Cr,
    CrLf,
}

/// Cuts a stream. Its caller holds the bytes, and drops those that were cut.
#[derive(Debug, Default)]
pub struct Reader {
    newline: Option<Newline>,
    /// The head or the line of names is over.
    begun: bool,
    /// The end was met.
    ended: bool,
    /// How far the row was looked at.
    at: usize,
    /// CSV: in quotes there, and just behind an escape.
    in_quote: bool,
    escaped: bool,
}

impl Reader {
    /// What stands at the beginning of `bytes`, which go on where the last cut ended. `end`: no more will come.
    ///
    /// # Errors
    /// The data is damaged.
    pub fn next(&mut self, options: &Options, bytes: &[u8], end: bool) -> Result<Cut, CopyError> {
        if self.ended {
            return Ok(Cut::End { total: bytes.len() });
        }
        let cut = match options.style {
            Style::Binary if !self.begun => binary::head(bytes, end)?,
            Style::Binary => binary::row(bytes, end)?,
            Style::Text | Style::Csv => self.line(options, bytes, end)?,
        };
        let names = !self.begun && options.style != Style::Binary && options.header != super::Header::None;
        Ok(match cut {
            Cut::More => Cut::More,
            Cut::End { .. } => {
                self.ended = true;
                cut
            }
            _ => {
                (self.at, self.in_quote, self.escaped, self.begun) = (0, false, false, true);
                match cut {
                    Cut::Row { content, total } if names => Cut::Names { content, total },
                    cut => cut,
                }
            }
        })
    }

    fn line(&mut self, options: &Options, bytes: &[u8], end: bool) -> Result<Cut, CopyError> {
        let csv = options.style == Style::Csv;
        // Where quote and escape are one, a doubled quote ends and begins.
        let escape = (csv && options.quote != options.escape).then_some(options.escape);
        loop {
            if !csv {
                match memchr::memchr3(b'\n', b'\r', b'\\', &bytes[self.at..]) {
                    Some(found) => self.at += found,
                    None => self.at = bytes.len(),
                }
            }
            let Some(&b) = bytes.get(self.at) else { break };
            let next = bytes.get(self.at + 1).copied();
            if matches!(b, b'\\' | b'\r') && next.is_none() && !end {
                return Ok(Cut::More);
            }
            if csv {
                if self.in_quote && Some(b) == escape {
                    self.escaped = !self.escaped;
                }
                if b == options.quote && !self.escaped {
                    self.in_quote = !self.in_quote;
                }
                if Some(b) != escape {
                    self.escaped = false;
                }
            }
            let open = csv && self.in_quote;
            match b {
                b'\r' | b'\n' if !open => return self.newline(csv, b, next),
                b'\\' if next == Some(b'.') && (self.at == 0 || !csv) => {
                    if let Some(cut) = self.dot(options, bytes, end)? {
                        return Ok(cut);
                    }
                    self.at += 1;
                }
                b'\\' if !csv => self.at = (self.at + 2).min(bytes.len()),
                _ => self.at += 1,
            }
        }
        match (end, bytes.len()) {
            (false, _) => Ok(Cut::More),
            (true, 0) => Ok(Cut::End { total: 0 }),
            (true, total) => Ok(Cut::Row { content: total, total }),
        }
    }

    /// The line ends here, unless it is another kind of end than the first line's.
    fn newline(&mut self, csv: bool, b: u8, next: Option<u8>) -> Result<Cut, CopyError> {
        let damaged = |what: &str| {
            CopyError(format!("{} {what} found in data", if csv { "unquoted" } else { "literal" }))
        };
        let here = match (b, next) {
            (b'\n', _) => Newline::Lf,
            (_, Some(b'\n')) if self.newline != Some(Newline::Cr) => Newline::CrLf,
            _ => Newline::Cr,
        };
        if self.newline.is_some_and(|first| first != here) {
            return Err(damaged(if b == b'\n' { "newline" } else { "carriage return" }));
        }
        self.newline = Some(here);
        let length = if here == Newline::CrLf { 2 } else { 1 };
        Ok(Cut::Row { content: self.at, total: self.at + length })
    }

    /// `\.`, which ends the data. `None`: a value of a CSV line.
    fn dot(&self, options: &Options, bytes: &[u8], end: bool) -> Result<Option<Cut>, CopyError> {
        let csv = options.style == Style::Csv;
        if csv && !options.dot_ends {
            return Ok(None);
        }
        let more = |found: usize| found == bytes.len() && !end;
        let mut after = self.at + 2;
        if more(after) {
            return Ok(Some(Cut::More));
        }
        let mismatch = || CopyError::from("end-of-copy marker does not match previous newline style");
        let corrupt = || match options.dot_ends {
            true => CopyError::from("end-of-copy marker corrupt"),
            false => CopyError::from("end-of-copy marker is not alone on its line"),
        };
        if self.newline == Some(Newline::CrLf) {
            match bytes.get(after) {
                Some(b'\r') => after += 1,
                _ if csv => return Ok(None),
                Some(b'\n') => return Err(mismatch()),
                _ => return Err(corrupt()),
            }
            if more(after) {
                return Ok(Some(Cut::More));
            }
        }
        match (self.newline, bytes.get(after)) {
            (None | Some(Newline::Cr), Some(b'\r')) => {}
            (None | Some(Newline::Lf | Newline::CrLf), Some(b'\n')) => {}
            (_, Some(b'\r' | b'\n')) => return Err(mismatch()),
            _ if csv => return Ok(None),
            // Nothing behind it, not even the line's end, is no end of the data either.
            _ => return Err(corrupt()),
        }
        Ok(Some(match self.at {
            0 => Cut::End { total: after + 1 },
            _ if !options.dot_ends => return Err(corrupt()),
            // What stands before it is a row. Then it is met once more, alone.
            content => Cut::Row { content, total: content },
        }))
    }
}
