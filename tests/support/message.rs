//! Backend messages, and a form in which two servers' answers can be compared.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// One message from the server.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    pub tag: u8,
    pub body: Vec<u8>,
}

/// A column as RowDescription tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    pub name: String,
    pub table: u32,
    pub attnum: i16,
    pub oid: u32,
    pub len: i16,
    pub typmod: i32,
    pub format: i16,
}

/// Reads a message's body from its start.
struct Cursor<'a>(&'a [u8]);

impl Cursor<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (head, rest) = self.0.split_at(N);
        self.0 = rest;
        head.try_into().unwrap()
    }
    fn i16(&mut self) -> i16 {
        i16::from_be_bytes(self.take())
    }
    fn i32(&mut self) -> i32 {
        i32::from_be_bytes(self.take())
    }
    fn cstr(&mut self) -> String {
        let end = self.0.iter().position(|b| *b == 0).expect("a text ends with a zero byte");
        let text = String::from_utf8_lossy(&self.0[..end]).into_owned();
        self.0 = &self.0[end + 1..];
        text
    }
}

impl Message {
    /// Fields of an ErrorResponse or NoticeResponse.
    pub fn fields(&self) -> BTreeMap<char, String> {
        let mut at = Cursor(&self.body);
        let mut fields = BTreeMap::new();
        while !at.0.is_empty() && at.0[0] != 0 {
            let code = char::from(at.take::<1>()[0]);
            fields.insert(code, at.cstr());
        }
        fields
    }

    /// SQLSTATE of an ErrorResponse.
    pub fn sqlstate(&self) -> String {
        assert_eq!(self.tag, b'E', "an error was expected, not {self:?}");
        self.fields()[&'C'].clone()
    }

    /// Columns of a RowDescription.
    pub fn columns(&self) -> Vec<Described> {
        assert_eq!(self.tag, b'T');
        let mut at = Cursor(&self.body);
        (0..at.i16())
            .map(|_| Described {
                name: at.cstr(),
                table: u32::from_be_bytes(at.take()),
                attnum: at.i16(),
                oid: u32::from_be_bytes(at.take()),
                len: at.i16(),
                typmod: at.i32(),
                format: at.i16(),
            })
            .collect()
    }

    /// Cells of a DataRow.
    pub fn cells(&self) -> Vec<Option<Vec<u8>>> {
        assert_eq!(self.tag, b'D');
        let mut at = Cursor(&self.body);
        (0..at.i16())
            .map(|_| {
                let len = usize::try_from(at.i32()).ok()?;
                let (cell, rest) = at.0.split_at(len);
                at.0 = rest;
                Some(cell.to_vec())
            })
            .collect()
    }

    /// Cells of a DataRow, as text.
    pub fn texts(&self) -> Vec<Option<String>> {
        self.cells().into_iter().map(|c| c.map(|c| String::from_utf8(c).unwrap())).collect()
    }

    /// The text of a CommandComplete.
    pub fn command(&self) -> String {
        assert_eq!(self.tag, b'C', "{self:?}");
        Cursor(&self.body).cstr()
    }

    /// A line that is equal for equal answers of two servers whose table OIDs differ.
    pub fn line(&self) -> String {
        match self.tag {
            b'E' | b'N' => {
                let mut line = if self.tag == b'E' { "Error".to_owned() } else { "Notice".to_owned() };
                for (code, text) in self.fields() {
                    // File, line and routine of the server's source say nothing to an application.
                    if !matches!(code, 'F' | 'L' | 'R' | 'V') {
                        write!(line, " {code}={text:?}").unwrap();
                    }
                }
                line
            }
            b'T' => {
                let mut line = "RowDescription".to_owned();
                for c in self.columns() {
                    let base = c.table != 0;
                    write!(
                        line,
                        " [{} base={base} att={} oid={} len={} mod={} f={}]",
                        c.name, c.attnum, c.oid, c.len, c.typmod, c.format
                    )
                    .unwrap();
                }
                line
            }
            b'D' => {
                let mut line = "DataRow".to_owned();
                for cell in self.cells() {
                    match cell {
                        None => line.push_str(" NULL"),
                        Some(bytes) => write!(line, " {:?}", String::from_utf8_lossy(&bytes)).unwrap(),
                    }
                }
                line
            }
            b'C' => format!("CommandComplete {}", self.command()),
            b'Z' => format!("ReadyForQuery {}", char::from(self.body[0])),
            b'S' => {
                let mut at = Cursor(&self.body);
                format!("ParameterStatus {}={}", at.cstr(), at.cstr())
            }
            b't' => {
                let mut at = Cursor(&self.body);
                let oids: Vec<i32> = (0..at.i16()).map(|_| at.i32()).collect();
                format!("ParameterDescription {oids:?}")
            }
            b'1' => "ParseComplete".to_owned(),
            b'2' => "BindComplete".to_owned(),
            b'3' => "CloseComplete".to_owned(),
            b'n' => "NoData".to_owned(),
            b's' => "PortalSuspended".to_owned(),
            b'I' => "EmptyQueryResponse".to_owned(),
            tag => format!("{} {:?}", char::from(tag), String::from_utf8_lossy(&self.body)),
        }
    }
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.line())
    }
}
