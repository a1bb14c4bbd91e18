//! RowDescription (`T`) and ParameterDescription (`t`), §55.7.

use super::WireError;
use super::frame;
use super::reader::Reader;
use crate::pg::plan::Shown;

const WHAT: &str = "RowDescription";
/// Bytes after a column's name.
const FIXED: usize = 18;

/// A result column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column<'a> {
    /// Name, in the client's encoding.
    pub name: &'a [u8],
    /// OID of the table that it comes from, or 0.
    pub table: u32,
    /// Attribute number in that table, or 0.
    pub attnum: i16,
    /// Type OID.
    pub oid: u32,
    /// `typlen`.
    pub len: i16,
    /// Type modifier.
    pub typmod: i32,
    /// Format code: 0 text, 1 binary; always 0 when a statement is described.
    pub format: i16,
    /// Offset in the body of what follows the name, for [`set_type`].
    pub fixed_at: usize,
}

/// Reads a RowDescription body.
pub fn read(body: &[u8]) -> Result<Vec<Column<'_>>, WireError> {
    let mut r = Reader::new(body, WHAT);
    let count = usize::from(r.u16()?);
    if r.remaining() < count * (FIXED + 1) {
        return Err(WireError::Truncated(WHAT));
    }
    let columns = (0..count).map(|_| column(&mut r)).collect::<Result<_, _>>()?;
    r.end()?;
    Ok(columns)
}

fn column<'a>(r: &mut Reader<'a>) -> Result<Column<'a>, WireError> {
    let name = r.cstr()?;
    let fixed_at = r.position();
    Ok(Column {
        name,
        fixed_at,
        table: r.u32()?,
        attnum: r.i16()?,
        oid: r.u32()?,
        len: r.i16()?,
        typmod: r.i32()?,
        format: r.i16()?,
    })
}

/// Replaces a column's type in place. `fixed_at` comes from [`read`] of the same body.
pub fn set_type(body: &mut [u8], fixed_at: usize, shown: Shown) -> Result<(), WireError> {
    let fixed = body.get_mut(fixed_at..fixed_at + FIXED).ok_or(WireError::Truncated(WHAT))?;
    fixed[6..10].copy_from_slice(&shown.oid.to_be_bytes());
    fixed[10..12].copy_from_slice(&shown.len.to_be_bytes());
    fixed[12..16].copy_from_slice(&shown.typmod.to_be_bytes());
    Ok(())
}

/// Replaces a column's format code in place.
pub fn set_format(body: &mut [u8], fixed_at: usize, format: i16) -> Result<(), WireError> {
    let fixed = body.get_mut(fixed_at..fixed_at + FIXED).ok_or(WireError::Truncated(WHAT))?;
    fixed[16..18].copy_from_slice(&format.to_be_bytes());
    Ok(())
}

/// Appends a RowDescription of these columns (`fixed_at` is not used).
pub fn write(out: &mut Vec<u8>, columns: &[Column<'_>]) -> Result<(), WireError> {
    let count = u16::try_from(columns.len()).map_err(|_| WireError::Malformed(WHAT, "too many columns"))?;
    let begun = frame::begin(out, b'T');
    out.extend_from_slice(&count.to_be_bytes());
    for c in columns {
        frame::cstr(out, c.name);
        out.extend_from_slice(&c.table.to_be_bytes());
        out.extend_from_slice(&c.attnum.to_be_bytes());
        out.extend_from_slice(&c.oid.to_be_bytes());
        out.extend_from_slice(&c.len.to_be_bytes());
        out.extend_from_slice(&c.typmod.to_be_bytes());
        out.extend_from_slice(&c.format.to_be_bytes());
    }
    frame::finish(out, begun)
}

/// Reads a ParameterDescription body: the type OID of each parameter.
pub fn read_params(body: &[u8]) -> Result<Vec<u32>, WireError> {
    let mut r = Reader::new(body, "ParameterDescription");
    let count = usize::from(r.u16()?);
    if r.remaining() < count * 4 {
        return Err(WireError::Truncated("ParameterDescription"));
    }
    let oids = (0..count).map(|_| r.u32()).collect::<Result<_, _>>()?;
    r.end()?;
    Ok(oids)
}

/// Appends a ParameterDescription.
pub fn write_params(out: &mut Vec<u8>, oids: &[u32]) -> Result<(), WireError> {
    let count = u16::try_from(oids.len())
        .map_err(|_| WireError::Malformed("ParameterDescription", "too many parameters"))?;
    let begun = frame::begin(out, b't');
    out.extend_from_slice(&count.to_be_bytes());
    oids.iter().for_each(|oid| out.extend_from_slice(&oid.to_be_bytes()));
    frame::finish(out, begun)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let c = Column {
            name: b"email",
            table: 16_384,
            attnum: 2,
            oid: 17,
            len: -1,
            typmod: -1,
            format: 0,
            fixed_at: 0,
        };
        let mut out = Vec::new();
        write(&mut out, &[c, Column { name: b"", ..c }]).unwrap();
        out.split_off(frame::HEADER)
    }

    #[test]
    fn shows_another_type_in_place() {
        let mut body = sample();
        let at = read(&body).unwrap()[0].fixed_at;
        set_type(&mut body, at, Shown { oid: 1082, len: 4, typmod: 7 }).unwrap();
        set_format(&mut body, at, 1).unwrap();
        let columns = read(&body).unwrap();
        let c = columns[0];
        assert_eq!((c.name, c.table, c.attnum), (&b"email"[..], 16_384, 2));
        assert_eq!((c.oid, c.len, c.typmod, c.format), (1082, 4, 7, 1));
        assert_eq!(columns[1].oid, 17);
    }

    #[test]
    fn parameters_read_as_written() {
        let mut out = Vec::new();
        write_params(&mut out, &[25, 1082]).unwrap();
        assert_eq!(read_params(&out[frame::HEADER..]), Ok(vec![25, 1082]));
    }
}
