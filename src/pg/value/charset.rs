//! Client encodings of one byte per character: the LATIN and WIN ones of Postgres (manual, 24.3), to and from
//! UTF-8. The tables are those of `encoding_rs`, less what the server's have not.

use super::ValueError;
use encoding_rs as rs;
use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

/// A client encoding whose bytes below 0x80 are ASCII.
pub struct Charset {
    name: &'static str,
    /// By byte, from 0x80; `None` where the server has no character either.
    above: [Option<char>; 128],
    bytes: HashMap<char, u8>,
}

/// What a `client_encoding` is here.
#[derive(Debug)]
#[allow(clippy::large_enum_variant)] // there is one for a session
pub enum ClientEncoding {
    /// UTF-8, or bytes that are taken as UTF-8 (`SQL_ASCII`).
    Utf8,
    /// Another one, that is converted.
    Charset(Box<Charset>),
}

/// Postgres's names, other spellings of them (`encnames.c`), and the tables.
const KNOWN: &[(&str, &[&str], Table)] = &[
    ("LATIN1", &["iso88591"], Table::Same),
    ("LATIN2", &["iso88592"], Table::Iso(rs::ISO_8859_2)),
    ("LATIN3", &["iso88593"], Table::Iso(rs::ISO_8859_3)),
    ("LATIN4", &["iso88594"], Table::Iso(rs::ISO_8859_4)),
    // ISO 8859-9 is windows-1254 but for the controls.
    ("LATIN5", &["iso88599"], Table::Iso(rs::WINDOWS_1254)),
    ("LATIN6", &["iso885910"], Table::Iso(rs::ISO_8859_10)),
    ("LATIN7", &["iso885913"], Table::Iso(rs::ISO_8859_13)),
    ("LATIN8", &["iso885914"], Table::Iso(rs::ISO_8859_14)),
    ("LATIN9", &["iso885915"], Table::Iso(rs::ISO_8859_15)),
    ("LATIN10", &["iso885916"], Table::Iso(rs::ISO_8859_16)),
    ("WIN1250", &["windows1250"], Table::Win(rs::WINDOWS_1250)),
    ("WIN1251", &["windows1251", "win"], Table::Win(rs::WINDOWS_1251)),
    ("WIN1252", &["windows1252"], Table::Win(rs::WINDOWS_1252)),
    ("WIN1253", &["windows1253"], Table::Win(rs::WINDOWS_1253)),
    ("WIN1254", &["windows1254"], Table::Win(rs::WINDOWS_1254)),
    ("WIN1255", &["windows1255"], Table::Win(rs::WINDOWS_1255)),
    ("WIN1256", &["windows1256"], Table::Win(rs::WINDOWS_1256)),
    ("WIN1257", &["windows1257"], Table::Win(rs::WINDOWS_1257)),
    ("WIN1258", &["windows1258", "tcvn", "tcvn5712", "vscii", "abc"], Table::Win(rs::WINDOWS_1258)),
    ("WIN866", &["windows866", "alt"], Table::Win(rs::IBM866)),
    ("WIN874", &["windows874"], Table::Win(rs::WINDOWS_874)),
];

/// Where the upper half comes from.
#[derive(Clone, Copy)]
enum Table {
    /// The byte is the character.
    Same,
    /// As in the standard; 0x80 to 0x9F are the control characters.
    Iso(&'static rs::Encoding),
    /// As in the code page; what it leaves undefined is no character (the web gives controls there).
    Win(&'static rs::Encoding),
}

impl Table {
    fn character(self, byte: u8) -> Option<char> {
        let of = |encoding: &'static rs::Encoding| {
            let bytes = [byte];
            let text = encoding.decode_without_bom_handling_and_without_replacement(&bytes)?;
            text.chars().next()
        };
        let control = |c: &char| ('\u{80}'..='\u{9f}').contains(c);
        match self {
            Self::Same => Some(char::from(byte)),
            Self::Iso(_) if byte < 0xa0 => Some(char::from(byte)),
            Self::Iso(encoding) => of(encoding),
            // The web's 1255 has HOLAM HASER FOR VAV, Postgres's not.
            Self::Win(encoding) => of(encoding).filter(|c| !control(c) && *c != '\u{5ba}'),
        }
    }
}

impl ClientEncoding {
    /// By a name in any of the spellings that Postgres takes; `None` for one that is not supported here.
    pub fn named(name: &str) -> Option<Self> {
        let plain: String =
            name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
        if matches!(&*plain, "utf8" | "unicode" | "sqlascii") {
            return Some(Self::Utf8);
        }
        let known = KNOWN
            .iter()
            .find(|(name, others, _)| plain.eq_ignore_ascii_case(name) || others.contains(&&*plain))?;
        Some(Self::Charset(Box::new(Charset::new(known.0, known.2))))
    }
}

impl Charset {
    fn new(name: &'static str, table: Table) -> Self {
        let mut above = [None; 128];
        let mut bytes = HashMap::with_capacity(128);
        for (slot, byte) in above.iter_mut().zip(0x80..=0xff_u8) {
            *slot = table.character(byte);
            if let Some(c) = *slot {
                bytes.insert(c, byte);
            }
        }
        Self { name, above, bytes }
    }

    /// Postgres's name of it.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The text of these bytes.
    ///
    /// # Errors
    /// [`ValueError::NotInUtf8`] for a byte that stands for no character.
    pub fn read<'a>(&self, bytes: &'a [u8]) -> Result<Cow<'a, str>, ValueError> {
        if bytes.is_ascii()
            && let Ok(text) = std::str::from_utf8(bytes)
        {
            return Ok(Cow::Borrowed(text));
        }
        // No character of these tables takes more than three bytes: nothing is moved, and left behind.
        let mut text = String::with_capacity(3 * bytes.len());
        for byte in bytes {
            match self.character(*byte) {
                Some(c) => text.push(c),
                None => {
                    zeroize::Zeroize::zeroize(&mut text);
                    return Err(ValueError::NotInUtf8(self.name));
                }
            }
        }
        Ok(Cow::Owned(text))
    }

    /// The same, with U+FFFD for a byte that stands for no character.
    pub fn read_lossy<'a>(&self, bytes: &'a [u8]) -> Cow<'a, str> {
        match self.read(bytes) {
            Ok(text) => text,
            Err(_) => bytes
                .iter()
                .map(|b| self.character(*b).unwrap_or(char::REPLACEMENT_CHARACTER))
                .collect::<String>()
                .into(),
        }
    }

    fn character(&self, byte: u8) -> Option<char> {
        match byte.checked_sub(0x80) {
            None => Some(char::from(byte)),
            Some(at) => self.above[usize::from(at)],
        }
    }

    fn byte(&self, c: char) -> Option<u8> {
        if c.is_ascii() { u8::try_from(c).ok() } else { self.bytes.get(&c).copied() }
    }

    /// The bytes of a text.
    ///
    /// # Errors
    /// [`ValueError::NotInClient`] for a character that the encoding lacks.
    pub fn write<'a>(&self, text: &'a [u8]) -> Result<Cow<'a, [u8]>, ValueError> {
        if text.is_ascii() {
            return Ok(Cow::Borrowed(text));
        }
        let text = std::str::from_utf8(text).map_err(|_| ValueError::Encoding)?;
        let mut out = Vec::with_capacity(text.len());
        for c in text.chars() {
            match self.byte(c) {
                Some(byte) => out.push(byte),
                None => {
                    zeroize::Zeroize::zeroize(&mut out);
                    return Err(ValueError::NotInClient(self.name));
                }
            }
        }
        Ok(Cow::Owned(out))
    }

    /// Turns what stands from `from` on into this encoding, in its place.
    ///
    /// # Errors
    /// As [`Charset::write`]; then it is cut off.
    pub fn write_from(&self, out: &mut Vec<u8>, from: usize) -> Result<(), ValueError> {
        let written = match self.write(&out[from..]) {
            Ok(Cow::Borrowed(_)) => return Ok(()),
            Ok(Cow::Owned(bytes)) => Ok(zeroize::Zeroizing::new(bytes)),
            Err(e) => Err(e),
        };
        zeroize::Zeroize::zeroize(&mut out[from..]);
        out.truncate(from);
        out.extend_from_slice(&written?);
        Ok(())
    }

    /// A message of ours: what the encoding lacks is written otherwise.
    pub fn spoken(&self, text: &str) -> Vec<u8> {
        let mut out = Vec::with_capacity(text.len());
        for c in text.chars() {
            match (self.byte(c), c) {
                (Some(byte), _) => out.push(byte),
                (None, '…') => out.extend_from_slice(b"..."),
                (None, _) => out.push(b'?'),
            }
        }
        out
    }
}

impl fmt::Debug for Charset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn charset(name: &str) -> Charset {
        match ClientEncoding::named(name) {
            Some(ClientEncoding::Charset(charset)) => *charset,
            other => panic!("{name}: {other:?}"),
        }
    }

    #[test]
    fn names_are_read_as_postgres_spells_them() {
        for (name, own) in
            [("latin1", "LATIN1"), ("ISO_8859_15", "ISO"), ("Windows-1252", "WIN1252"), ("WIN", "WIN1251")]
        {
            assert!(own == "ISO" || charset(name).name() == own, "{name}");
        }
        for name in ["UTF8", "utf-8", "Unicode", "SQL_ASCII"] {
            assert!(matches!(ClientEncoding::named(name), Some(ClientEncoding::Utf8)), "{name}");
        }
        for name in ["SJIS", "EUC_JP", "BIG5", "KOI8R", "ISO_8859_5", "GB18030", "MULE_INTERNAL", "", "latin"]
        {
            assert!(ClientEncoding::named(name).is_none(), "{name}");
        }
    }

    #[test]
    fn every_byte_comes_back() {
        for (name, ..) in KNOWN {
            let charset = charset(name);
            for byte in 1..=255_u8 {
                let bytes = [byte];
                match charset.read(&bytes) {
                    Ok(text) => assert_eq!(charset.write(text.as_bytes()).unwrap()[..], [byte], "{name}"),
                    Err(e) => assert_eq!(e, ValueError::NotInUtf8(name)),
                }
            }
        }
    }

    #[test]
    fn latin1_is_not_windows_1252() {
        assert_eq!(charset("LATIN1").read(b"\x80\xe9").unwrap(), "\u{80}é");
        assert_eq!(charset("WIN1252").read(b"\x80\xe9").unwrap(), "€é");
        assert!(charset("WIN1252").read(b"\x81").is_err());
        assert!(charset("LATIN1").write("€".as_bytes()).is_err());
        assert_eq!(charset("LATIN9").write("€".as_bytes()).unwrap()[..], [0xa4]);
    }

    #[test]
    fn what_is_lacking_leaves_nothing_behind() {
        let latin1 = charset("LATIN1");
        let mut out = b"x".to_vec();
        out.extend_from_slice("prix: €".as_bytes());
        assert_eq!(latin1.write_from(&mut out, 1), Err(ValueError::NotInClient("LATIN1")));
        assert_eq!(out, b"x");
        out.extend_from_slice("été".as_bytes());
        latin1.write_from(&mut out, 1).unwrap();
        assert_eq!(out, b"x\xe9t\xe9");
        assert_eq!(latin1.spoken("é … €"), b"\xe9 ... ?");
    }
}
