//! Days and microseconds since 2000-01-01, in the proleptic Gregorian calendar, and their limits
//! (Postgres's `datatype/timestamp.h`).

use super::{ValueError, fixed};

/// Infinity and -infinity of a date.
pub(super) const DATE_INFINITY: (i32, i32) = (i32::MAX, i32::MIN);
/// Infinity and -infinity of a timestamp.
pub(super) const INFINITY: (i64, i64) = (i64::MAX, i64::MIN);

/// Microseconds in a day.
pub(super) const DAY: i64 = 86_400_000_000;
/// Microseconds in a second.
pub(super) const SECOND: i64 = 1_000_000;
/// Seconds from 1970-01-01 to 2000-01-01.
pub(super) const UNIX: i64 = 946_684_800;

/// The day before 4714-11-24 BC is no date; neither is 5874898-01-01.
const DATES: std::ops::Range<i64> = -2_451_545..2_145_031_949;
/// 4714-11-24 00:00 BC to before 294277-01-01 00:00.
const TIMESTAMPS: std::ops::Range<i64> = -211_813_488_000_000_000..9_223_371_331_200_000_000;

const DATE: ValueError = ValueError::DateRange("date");
const TIMESTAMP: ValueError = ValueError::DateRange("timestamp");

/// Days since 2000-01-01 of a date; year 0 is 1 BC. The month is 1 to 12.
pub(super) fn days(year: i64, month: i64, day: i64) -> i64 {
    // Years begin in March here, so that a leap day is the last of its year.
    let year = if month <= 2 { year - 1 } else { year };
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + of_year - 730_425
}

/// Year (0 is 1 BC), month and day of a day number.
pub(super) fn date(days: i64) -> (i64, i64, i64) {
    let since = days + 730_425;
    let (era, of_era) = (since.div_euclid(146_097), since.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day)
}

/// Days in a month of a year (0 is 1 BC).
pub(super) fn month_length(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// A day number as a date, if it is within the type's limits.
pub(super) fn checked_date(days: i64) -> Result<i32, ValueError> {
    if !DATES.contains(&days) {
        return Err(DATE);
    }
    i32::try_from(days).map_err(|_| DATE)
}

/// A number of microseconds, if it is within the type's limits.
pub(super) fn checked_timestamp(micros: i128) -> Result<i64, ValueError> {
    match i64::try_from(micros) {
        Ok(t) if TIMESTAMPS.contains(&t) => Ok(t),
        _ => Err(TIMESTAMP),
    }
}

/// Binary form of a date.
pub(super) fn read_date(bytes: &[u8]) -> Result<i32, ValueError> {
    let days = i32::from_be_bytes(fixed(bytes, "date")?);
    if days == DATE_INFINITY.0 || days == DATE_INFINITY.1 { Ok(days) } else { checked_date(i64::from(days)) }
}

/// Binary form of a timestamp, with or without time zone.
pub(super) fn read_timestamp(bytes: &[u8]) -> Result<i64, ValueError> {
    let micros = i64::from_be_bytes(fixed(bytes, "timestamp")?);
    if is_infinite(micros) { Ok(micros) } else { checked_timestamp(i128::from(micros)) }
}

/// Whether that is infinity or -infinity.
pub(super) fn is_infinite(micros: i64) -> bool {
    micros == INFINITY.0 || micros == INFINITY.1
}

/// The date on which local microseconds lie.
pub(super) fn day_of(micros: i64) -> Result<i32, ValueError> {
    match micros {
        i64::MAX => Ok(DATE_INFINITY.0),
        i64::MIN => Ok(DATE_INFINITY.1),
        _ => checked_date(micros.div_euclid(DAY)),
    }
}

/// Local microseconds of a date's midnight.
pub(super) fn midnight(days: i32) -> Result<i64, ValueError> {
    match days {
        i32::MAX => Ok(INFINITY.0),
        i32::MIN => Ok(INFINITY.1),
        // Postgres says "date out of range for timestamp".
        _ => checked_timestamp(i128::from(days) * i128::from(DAY)).map_err(|_| DATE),
    }
}

/// Rounds to `precision` digits of a second, half away from 2000-01-01 (`AdjustTimestampForTypmod`).
pub(super) fn round(micros: i64, precision: Option<u8>) -> Result<i64, ValueError> {
    let Some(p @ 0..=5) = precision else { return Ok(micros) };
    if is_infinite(micros) {
        return Ok(micros);
    }
    let scale = 10_i128.pow(6 - u32::from(p));
    let size = (i128::from(micros).abs() + scale / 2) / scale * scale;
    let rounded = if micros < 0 { -size } else { size };
    i64::try_from(rounded).map_err(|_| TIMESTAMP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_days_are_inverse() {
        assert_eq!(days(2000, 1, 1), 0);
        assert_eq!(days(1970, 1, 1), -10_957);
        assert_eq!(days(-4713, 11, 24), -2_451_545);
        assert_eq!(days(5_874_898, 1, 1), 2_145_031_949);
        for d in (-2_451_545..3_000_000).step_by(13).chain([2_145_031_948]) {
            let (y, m, day) = date(d);
            assert_eq!(days(y, m, day), d);
            assert!((1..=month_length(y, m)).contains(&day));
        }
    }
}
