//! The options of a COPY statement (manual, COPY, "Parameters").

/// Which format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Style {
    /// `text`
    #[default]
    Text,
    /// `csv`
    Csv,
    /// `binary`
    Binary,
}

/// Whether there is a line with the columns' names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Header {
    /// None.
    #[default]
    None,
    /// There is one.
    Line,
    /// The server compares it with the columns (COPY FROM).
    Match,
}

/// Columns that an option names.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Forced {
    /// None of them.
    #[default]
    None,
    /// `*`
    All,
    /// By their positions among the columns that are copied, from 0.
    Columns(Vec<u16>),
}

impl Forced {
    /// Whether it names that column.
    pub fn has(&self, column: u16) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Columns(list) => list.contains(&column),
        }
    }
}

/// How the data of one COPY reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The format.
    pub style: Style,
    /// Between values.
    pub delimiter: u8,
    /// What stands for NULL, in UTF-8 until [`Options::encoded`].
    pub null: Box<[u8]>,
    /// CSV: around values.
    pub quote: u8,
    /// CSV: before a quote within a value.
    pub escape: u8,
    /// A line of names.
    pub header: Header,
    /// CSV, COPY TO: values that are quoted whatever they hold.
    pub force_quote: Forced,
    /// CSV, COPY FROM: the NULL string is a value.
    pub force_not_null: Forced,
    /// CSV, COPY FROM: the NULL string is NULL even in quotes.
    pub force_null: Forced,
    /// `ENCODING`, where it is given.
    pub encoding: Option<Box<str>>,
    /// `\.` as servers before 18 take it: alone on its line it ends the data in CSV too, and in the text format a row may
    /// stand before it.
    pub dot_ends: bool,
}

impl Options {
    /// The defaults of a format.
    pub fn new(style: Style) -> Self {
        Self {
            style,
            delimiter: if style == Style::Csv { b',' } else { b'\t' },
            null: if style == Style::Csv { Box::default() } else { (*b"\\N").into() },
            quote: b'"',
            escape: b'"',
            header: Header::None,
            force_quote: Forced::None,
            force_not_null: Forced::None,
            force_null: Forced::None,
            encoding: None,
            dot_ends: true,
        }
    }

    /// The same with the NULL string in the encoding of the data.
    #[must_use]
    pub fn encoded(&self, null: &[u8]) -> Self {
        Self { null: null.into(), ..self.clone() }
    }
}
