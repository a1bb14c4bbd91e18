//! From a client's value to the field's type: reading what it declared, then the cast that Postgres
//! would make on assignment (`pg_cast`, contexts implicit and assignment).

use super::source::{self, Source};
use super::{Format, Settings, ValueError};
use super::{boolean, bytea, calendar, date_text, float, integer, jsonb, newer, numeric, text, uuid};
use crate::clear::Clear;
use crate::policy::model::Declared;
use zeroize::Zeroizing;

/// A value as sent, and where it goes.
#[derive(Clone, Copy)]
pub(super) struct Input<'a> {
    bytes: &'a [u8],
    format: Format,
    oid: u32,
    source: Source,
    declared: Declared,
    settings: &'a Settings,
}

impl<'a> Input<'a> {
    pub(super) fn new(
        bytes: &'a [u8],
        format: Format,
        oid: u32,
        declared: Declared,
        settings: &'a Settings,
    ) -> Result<Self, ValueError> {
        let source = Source::of(oid, declared)?;
        Ok(Self { bytes, format, oid, source, declared, settings })
    }

    pub(super) fn read(self) -> Result<Clear, ValueError> {
        if self.format == Format::Text || matches!(self.source, Source::Text | Source::Bpchar | Source::Name)
        {
            text::check(self.bytes)?;
        }
        let bytes = match self.declared {
            Declared::Text => self.text()?,
            Declared::Varchar(limit) => text::limited(self.text()?, limit)?,
            Declared::Integer => self.integer(i64::from(i32::MIN), i64::from(i32::MAX), "integer")?,
            Declared::Bigint => self.integer(i64::MIN, i64::MAX, "bigint")?,
            Declared::Numeric(limits) => self.numeric(limits)?,
            Declared::Boolean => self.boolean()?,
            Declared::Date => self.date()?.to_be_bytes().to_vec(),
            Declared::Timestamptz(p) => calendar::round(self.timestamptz()?, p)?.to_be_bytes().to_vec(),
            Declared::Uuid => self.uuid()?,
            Declared::Jsonb => self.jsonb()?,
            Declared::Bytea => self.bytea()?,
        };
        Ok(Clear::new(source::kind(self.declared), bytes))
    }

    fn unsupported<T>(&self) -> Result<T, ValueError> {
        Err(ValueError::Unsupported(self.oid, source::name(self.declared)))
    }

    /// The input's text, when it is in text form: a text type, or any type in text format.
    fn is_text(&self) -> bool {
        self.format == Format::Text || matches!(self.source, Source::Text | Source::Bpchar | Source::Name)
    }

    fn is_text_type(&self) -> bool {
        matches!(self.source, Source::Text | Source::Bpchar | Source::Name)
    }

    /// Any type has an assignment cast to text, by its output function.
    fn text(self) -> Result<Vec<u8>, ValueError> {
        match self.source {
            Source::Text => Ok(self.bytes.to_vec()),
            Source::Bpchar => Ok(text::without_trailing_spaces(self.bytes).to_vec()),
            Source::Name => text::name(self.bytes, self.format).map(<[u8]>::to_vec),
            Source::Json => {
                text::check(self.bytes)?;
                jsonb::canonical(self.bytes).map(drop)?;
                Ok(self.bytes.to_vec())
            }
            _ => self.cast_to_text(),
        }
    }

    fn cast_to_text(self) -> Result<Vec<u8>, ValueError> {
        let Some(natural) = self.source.natural() else { return self.unsupported() };
        let clear = Self { declared: natural, ..self }.read()?;
        let mut out = Vec::with_capacity(64);
        super::encode(clear.kind(), clear.bytes(), natural, Format::Text, true, self.settings, &mut out)?;
        Ok(out)
    }

    fn integer(self, min: i64, max: i64, name: &'static str) -> Result<Vec<u8>, ValueError> {
        let newer = self.newer();
        let text = newer.as_deref().map_or(self.bytes, Vec::as_slice);
        let value = match self.source {
            Source::Int(width) if self.format == Format::Binary => integer::read_binary(self.bytes, width)?,
            Source::Int(width) => integer::parse_width(text, width)?,
            Source::Numeric => numeric::read(text, self.format)?.into_i64(name)?,
            Source::Float4 | Source::Float8 => float::to_i64(self.float()?, name)?,
            _ if self.is_text_type() => integer::parse(text, name)?,
            _ => return self.unsupported(),
        };
        if value < min || value > max {
            return Err(ValueError::Range(name));
        }
        Ok(value.to_be_bytes().to_vec())
    }

    /// A number as older servers spell it.
    fn newer(&self) -> Option<Zeroizing<Vec<u8>>> {
        if self.is_text() { newer::plain(self.bytes, self.settings.server) } else { None }
    }

    fn float(&self) -> Result<f64, ValueError> {
        float::read(self.bytes, self.format, self.source == Source::Float4)
    }

    fn numeric(self, limits: Option<(u16, u16)>) -> Result<Vec<u8>, ValueError> {
        let newer = self.newer();
        let text = newer.as_deref().map_or(self.bytes, Vec::as_slice);
        let value = match self.source {
            Source::Int(_) => {
                let canonical = self.integer(i64::MIN, i64::MAX, "bigint")?;
                let mut text = Vec::with_capacity(20);
                integer::write_text(&canonical, &mut text)?;
                numeric::parse(&text)?
            }
            Source::Float4 | Source::Float8 => {
                float::to_numeric(self.float()?, self.source == Source::Float4)?
            }
            Source::Numeric => numeric::read(text, self.format)?,
            _ if self.is_text_type() => numeric::parse(text)?,
            _ => return self.unsupported(),
        };
        value.limited(limits)?.canonical()
    }

    fn boolean(self) -> Result<Vec<u8>, ValueError> {
        match self.source {
            Source::Bool if self.format == Format::Binary => boolean::read_binary(self.bytes),
            Source::Bool => boolean::parse(self.bytes),
            _ if self.is_text_type() => boolean::parse(self.bytes),
            _ => self.unsupported(),
        }
    }

    /// Days since 2000-01-01.
    fn date(self) -> Result<i32, ValueError> {
        match self.source {
            Source::Timestamp => calendar::day_of(self.timestamp()?),
            Source::Timestamptz => date_text::local_day(self.instant()?, self.settings),
            Source::Date if !self.is_text() => calendar::read_date(self.bytes),
            Source::Date => date_text::read_date(self.bytes, self.settings),
            _ if self.is_text_type() => date_text::read_date(self.bytes, self.settings),
            _ => self.unsupported(),
        }
    }

    /// Microseconds since 2000-01-01 00:00 UTC.
    fn timestamptz(self) -> Result<i64, ValueError> {
        match self.source {
            Source::Timestamp => date_text::instant(self.timestamp()?, self.settings),
            Source::Date => date_text::instant(calendar::midnight(self.date()?)?, self.settings),
            Source::Timestamptz => self.instant(),
            _ if self.is_text_type() => self.instant(),
            _ => self.unsupported(),
        }
    }

    fn instant(self) -> Result<i64, ValueError> {
        if self.is_text() {
            date_text::read_timestamptz(self.bytes, self.settings)
        } else {
            calendar::read_timestamp(self.bytes)
        }
    }

    /// Local microseconds since 2000-01-01 00:00.
    fn timestamp(self) -> Result<i64, ValueError> {
        if self.is_text() {
            date_text::read_timestamp(self.bytes, self.settings)
        } else {
            calendar::read_timestamp(self.bytes)
        }
    }

    fn uuid(self) -> Result<Vec<u8>, ValueError> {
        match self.source {
            Source::Uuid if self.format == Format::Binary => {
                super::fixed::<16>(self.bytes, "uuid").map(|b| b.to_vec())
            }
            Source::Uuid => uuid::parse(self.bytes),
            _ if self.is_text_type() => uuid::parse(self.bytes),
            _ => self.unsupported(),
        }
    }

    fn jsonb(self) -> Result<Vec<u8>, ValueError> {
        let json = match (self.source, self.format) {
            (Source::Jsonb, Format::Binary) => jsonb::unversioned(self.bytes)?,
            (Source::Jsonb | Source::Json, _) => self.bytes,
            _ if self.is_text_type() => self.bytes,
            _ => return self.unsupported(),
        };
        text::check(json)?;
        jsonb::canonical(json)
    }

    fn bytea(self) -> Result<Vec<u8>, ValueError> {
        match self.source {
            Source::Bytea if self.format == Format::Binary => Ok(self.bytes.to_vec()),
            Source::Bytea => bytea::parse(self.bytes),
            _ if self.is_text_type() => bytea::parse(self.bytes),
            _ => self.unsupported(),
        }
    }
}
