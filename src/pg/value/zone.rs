//! Time zones: IANA names (from the system's database where there is one, else the one bundled) and
//! POSIX forms (manual appendix B.5), over the whole range of Postgres's timestamps.

use super::ValueError;
use super::calendar::UNIX;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use jiff::{Timestamp, civil};

/// The calendar, and with it the rules of every zone, repeats every 400 years.
const CYCLE: i64 = 146_097 * 86_400;
/// Seconds since 1970 up to which the zone database is asked directly (year 9892); its own limit is 9999.
const HORIZON: i64 = 250_000_000_000;

/// A time zone.
pub(super) struct Zone(TimeZone);

impl Zone {
    /// The zone that a `TimeZone` setting or a value names.
    pub(super) fn named(name: &str) -> Result<Self, ValueError> {
        if matches!(name, "UTC" | "GMT" | "Etc/UTC") {
            return Ok(Self(if name == "GMT" { lookup(name)? } else { TimeZone::UTC }));
        }
        lookup(name).or_else(|_| posix(name)).map(Self)
    }

    /// Offset east of UTC in seconds, and its abbreviation, at an instant (seconds since 2000-01-01 UTC).
    pub(super) fn at(&self, instant: i64) -> Result<(i64, String), ValueError> {
        let info = self.0.to_offset_info(timestamp(instant)?);
        Ok((i64::from(info.offset().seconds()), info.abbreviation().to_owned()))
    }

    /// Offset at an instant.
    pub(super) fn offset(&self, instant: i64) -> Result<i64, ValueError> {
        Ok(i64::from(self.0.to_offset(timestamp(instant)?).seconds()))
    }

    /// Offset of a local time (seconds since 2000-01-01 on the zone's clocks). As Postgres does: a time that
    /// clocks skip is read with the offset before, one that they show twice with the offset after.
    pub(super) fn offset_of_local(&self, local: i64) -> Result<i64, ValueError> {
        let local: civil::DateTime = Offset::UTC.to_datetime(timestamp(local)?);
        let offset = match self.0.to_ambiguous_timestamp(local).offset() {
            AmbiguousOffset::Unambiguous { offset } => offset,
            AmbiguousOffset::Gap { before, .. } => before,
            AmbiguousOffset::Fold { after, .. } => after,
        };
        Ok(i64::from(offset.seconds()))
    }
}

fn timestamp(seconds: i64) -> Result<Timestamp, ValueError> {
    let mut unix = seconds + UNIX;
    if unix > HORIZON {
        unix -= ((unix - HORIZON) / CYCLE + 1) * CYCLE;
    }
    Timestamp::from_second(unix).map_err(|_| ValueError::DateRange("timestamp"))
}

fn lookup(name: &str) -> Result<TimeZone, ValueError> {
    TimeZone::get(name).map_err(|_| ValueError::TimeZone)
}

/// `<+02>-02`, `FOO-3`, `CET-1CEST,M3.5.0,M10.5.0/3`; with a summer name but no rule, the rule is the
/// one of `posixrules` (United States, since 2007).
fn posix(name: &str) -> Result<TimeZone, ValueError> {
    TimeZone::posix(name)
        .or_else(|_| TimeZone::posix(&format!("{name},M3.2.0,M11.1.0")))
        .map_err(|_| ValueError::TimeZone)
}

/// Abbreviations that Postgres reads by default (`timezonesets/Default`), in seconds east of UTC:
/// those in common use whose offset never changed.
const ABBREVIATIONS: &[(&str, i64)] = &[
    ("utc", 0),
    ("gmt", 0),
    ("ut", 0),
    ("uct", 0),
    ("z", 0),
    ("zulu", 0),
    ("wet", 0),
    ("bst", 3_600),
    ("cet", 3_600),
    ("cest", 7_200),
    ("met", 3_600),
    ("mest", 7_200),
    ("mez", 3_600),
    ("eet", 7_200),
    ("eest", 10_800),
    ("sast", 7_200),
    ("nst", -12_600),
    ("ndt", -9_000),
    ("ast", -14_400),
    ("adt", -10_800),
    ("est", -18_000),
    ("edt", -14_400),
    ("cst", -21_600),
    ("cdt", -18_000),
    ("mst", -25_200),
    ("mdt", -21_600),
    ("pst", -28_800),
    ("pdt", -25_200),
    ("akst", -32_400),
    ("akdt", -28_800),
    ("hst", -36_000),
    ("jst", 32_400),
    ("kst", 32_400),
    ("awst", 28_800),
    ("acst", 34_200),
    ("acdt", 37_800),
    ("aest", 36_000),
    ("aedt", 39_600),
    ("nzst", 43_200),
    ("nzdt", 46_800),
];

/// The fixed offset of an abbreviation in lower case.
pub(super) fn abbreviation(word: &str) -> Option<i64> {
    ABBREVIATIONS.iter().find(|(name, _)| *name == word).map(|(_, offset)| *offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_iana_and_posix_zones() {
        let at = |name: &str, t| Zone::named(name).unwrap().at(t).unwrap();
        assert_eq!(at("Europe/Paris", 0), (3_600, "CET".into()));
        assert_eq!(at("europe/paris", 200 * 86_400), (7_200, "CEST".into()));
        assert_eq!(at("<+02>-02", 0), (7_200, "+02".into()));
        assert_eq!(at("FOO+3", 0), (-10_800, "FOO".into()));
        assert!(Zone::named("Europe/Atlantis").is_err());
    }

    #[test]
    fn rules_go_on_after_the_year_9999() {
        let july_200000 = super::super::calendar::days(200_000, 7, 1) * 86_400;
        assert_eq!(Zone::named("Europe/Paris").unwrap().offset(july_200000), Ok(7_200));
    }
}
