//! Declared types as the policy file writes them, and what their values may look like.

use super::model::Declared;
use std::fmt;

/// What may stand in `type = "…"`, for suggestions.
pub(crate) const NAMES: &[&str] = &[
    "text",
    "varchar",
    "integer",
    "bigint",
    "numeric",
    "boolean",
    "date",
    "timestamptz",
    "uuid",
    "jsonb",
    "bytea",
];

impl Declared {
    /// Reads `date`, `varchar(150)`, `numeric(10,2)`… and Postgres's other names for the same types.
    ///
    /// # Errors
    /// A sentence; the word that isn't a type stands in quotes.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim().to_ascii_lowercase();
        let (name, arguments) = match text.split_once('(') {
            None => (text.as_str(), None),
            Some((name, rest)) => {
                let (inner, after) = rest.split_once(')').ok_or("the type lacks a closing parenthesis")?;
                let name = match after.trim() {
                    "" => name.trim(),
                    "with time zone" if name.trim() == "timestamp" => "timestamptz",
                    other => return Err(format!("\"{other}\" after the type is not understood")),
                };
                (name, Some(numbers(inner)?))
            }
        };
        let one = |low: i64, high: i64, what: &str| match arguments.as_deref() {
            None => Ok(None),
            Some([n]) if (low..=high).contains(n) => Ok(Some(*n)),
            _ => Err(format!("{what} is one number from {low} to {high}")),
        };
        let plain = |ty: Self| match arguments {
            None => Ok(ty),
            Some(_) => Err(format!("{ty} takes nothing in parentheses")),
        };
        match name {
            "text" => plain(Self::Text),
            "varchar" | "character varying" => {
                let n = one(1, 10_485_760, "the length of varchar(n)")?;
                Ok(Self::Varchar(n.and_then(|n| u32::try_from(n).ok())))
            }
            "integer" | "int" | "int4" => plain(Self::Integer),
            "bigint" | "int8" => plain(Self::Bigint),
            "numeric" | "decimal" => numeric(arguments.as_deref()),
            "boolean" | "bool" => plain(Self::Boolean),
            "date" => plain(Self::Date),
            "timestamptz" | "timestamp with time zone" => {
                let p = one(0, 6, "the precision of timestamptz(p)")?;
                Ok(Self::Timestamptz(p.and_then(|p| u8::try_from(p).ok())))
            }
            "uuid" => plain(Self::Uuid),
            "jsonb" => plain(Self::Jsonb),
            "bytea" => plain(Self::Bytea),
            "smallint"
            | "int2"
            | "real"
            | "float4"
            | "double precision"
            | "float8"
            | "timestamp"
            | "timestamp without time zone"
            | "time"
            | "timetz"
            | "interval"
            | "json"
            | "char"
            | "character"
            | "bpchar"
            | "citext"
            | "inet"
            | "cidr"
            | "money"
            | "xml" => Err(format!("type \"{name}\" can't be sealed: not in this version")),
            _ => Err(format!("unknown type \"{name}\"")),
        }
    }

    /// Text or varchar: an envelope stands in such a column as text, and the column may keep its type.
    pub fn is_text(self) -> bool {
        matches!(self, Self::Text | Self::Varchar(_))
    }

    /// Whether `text` reads as a value of this type, in ISO forms (for `erased`, which the gateway
    /// must be able to show to any client).
    ///
    /// # Errors
    /// What is expected.
    pub fn check_value(self, text: &str) -> Result<(), String> {
        let fits = match self {
            Self::Text => !text.contains('\0'),
            Self::Varchar(limit) => {
                !text.contains('\0') && limit.is_none_or(|n| text.chars().count() <= n as usize)
            }
            Self::Integer => text.parse::<i32>().is_ok(),
            Self::Bigint => text.parse::<i64>().is_ok(),
            Self::Numeric(limits) => numeric_fits(text, limits),
            Self::Boolean => matches!(text, "true" | "false" | "t" | "f"),
            Self::Date => text.parse::<jiff::civil::Date>().is_ok() && text.len() == 10,
            Self::Timestamptz(_) => text.replacen(' ', "T", 1).parse::<jiff::Timestamp>().is_ok(),
            Self::Uuid => text.len() == 36 && uuid::Uuid::try_parse(text).is_ok(),
            Self::Jsonb => serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok(),
            Self::Bytea => text.strip_prefix("\\x").is_some_and(|digits| hex::decode(digits).is_ok()),
        };
        if fits { Ok(()) } else { Err(format!("does not read as {self}")) }
    }
}

/// As SQL and the policy file name it.
impl fmt::Display for Declared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text => f.write_str("text"),
            Self::Varchar(None) => f.write_str("varchar"),
            Self::Varchar(Some(n)) => write!(f, "varchar({n})"),
            Self::Integer => f.write_str("integer"),
            Self::Bigint => f.write_str("bigint"),
            Self::Numeric(None) => f.write_str("numeric"),
            Self::Numeric(Some((precision, scale))) => write!(f, "numeric({precision},{scale})"),
            Self::Boolean => f.write_str("boolean"),
            Self::Date => f.write_str("date"),
            Self::Timestamptz(None) => f.write_str("timestamptz"),
            Self::Timestamptz(Some(p)) => write!(f, "timestamptz({p})"),
            Self::Uuid => f.write_str("uuid"),
            Self::Jsonb => f.write_str("jsonb"),
            Self::Bytea => f.write_str("bytea"),
        }
    }
}

fn numbers(text: &str) -> Result<Vec<i64>, String> {
    text.split(',')
        .map(|n| n.trim().parse().map_err(|_| "a type takes whole numbers in its parentheses".to_owned()))
        .collect()
}

fn numeric(arguments: Option<&[i64]>) -> Result<Declared, String> {
    let (precision, scale) = match arguments {
        None => return Ok(Declared::Numeric(None)),
        Some([precision]) => (*precision, 0),
        Some([precision, scale]) => (*precision, *scale),
        Some(_) => return Err("numeric takes a precision and a scale".into()),
    };
    match (u16::try_from(precision), u16::try_from(scale)) {
        (Ok(p @ 1..=1000), Ok(s)) if s <= p => Ok(Declared::Numeric(Some((p, s)))),
        _ => Err(
            "numeric(precision, scale) has a precision from 1 to 1000 and a scale from 0 to the precision"
                .into(),
        ),
    }
}

fn numeric_fits(text: &str, limits: Option<(u16, u16)>) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let significant = whole.trim_start_matches('0').len();
    all_digits(whole)
        && all_digits(fraction)
        && limits.is_none_or(|(p, s)| {
            significant <= usize::from(p - s) && fraction.trim_end_matches('0').len() <= usize::from(s)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_declared_type_reads_back_from_what_it_prints() {
        for text in [
            "text",
            "varchar",
            "varchar(150)",
            "integer",
            "bigint",
            "numeric",
            "numeric(10,2)",
            "boolean",
            "date",
            "timestamptz",
            "timestamptz(3)",
            "uuid",
            "jsonb",
            "bytea",
        ] {
            assert_eq!(Declared::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn postgres_other_names_mean_the_same_types() {
        for (text, is) in [
            ("character varying(20)", "varchar(20)"),
            ("INT", "integer"),
            ("int8", "bigint"),
            ("decimal( 10 , 2 )", "numeric(10,2)"),
            ("numeric(5)", "numeric(5,0)"),
            ("timestamp with time zone", "timestamptz"),
            ("timestamp(3) with time zone", "timestamptz(3)"),
            ("bool", "boolean"),
        ] {
            assert_eq!(Declared::parse(text).unwrap().to_string(), is);
        }
    }

    #[test]
    fn a_type_that_does_not_exist_or_fit_is_refused() {
        for text in [
            "",
            "strng",
            "varchar(0)",
            "varchar(x)",
            "varchar(1",
            "varchar(1,2)",
            "varchar(10485761)",
            "text(3)",
            "numeric(0)",
            "numeric(2,3)",
            "numeric(1001)",
            "numeric(5,-1)",
            "timestamptz(7)",
            "date(1)",
            "date()",
            "smallint",
            "timestamp",
            "json",
            "varchar(3)[]",
        ] {
            assert!(Declared::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_erased_value_must_read_as_its_type() {
        let reads = |ty: &str, value: &str| Declared::parse(ty).unwrap().check_value(value).is_ok();
        for (ty, good, bad) in [
            ("varchar(3)", "été", "étés"),
            ("integer", "-1", "2147483648"),
            ("bigint", "2147483648", "1.0"),
            ("numeric(4,2)", "-12.50", "123.4"),
            ("numeric(4,2)", "0012.500", "1.234"),
            ("boolean", "false", "no"),
            ("date", "1900-01-01", "01/02/1900"),
            ("timestamptz", "2000-01-01 00:00:00+00", "2000-01-01"),
            ("uuid", "00000000-0000-0000-0000-000000000000", "0"),
            ("jsonb", "{}", "{"),
            ("bytea", "\\x00ff", "00ff"),
        ] {
            assert!(reads(ty, good), "{ty} {good}");
            assert!(!reads(ty, bad), "{ty} {bad}");
        }
    }
}
