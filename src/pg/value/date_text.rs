//! Text forms of date and timestamptz under the session's DateStyle and TimeZone.

use super::calendar::{self, DATE_INFINITY, DAY, INFINITY, SECOND};
use super::date_fields::{self, Fields, Given, Moment};
use super::style::{self, Order, Style};
use super::zone::Zone;
use super::{Settings, ValueError, fixed};
use std::io::Write as _;

/// Reads a date; a time or zone after it is ignored, as `date_in` does.
pub(super) fn read_date(bytes: &[u8], settings: &Settings) -> Result<i32, ValueError> {
    match date_fields::read(bytes, settings, "date")? {
        Moment::Infinity => Ok(DATE_INFINITY.0),
        Moment::NegativeInfinity => Ok(DATE_INFINITY.1),
        Moment::Fields(f) => calendar::checked_date(f.days),
    }
}

/// Reads a timestamp without time zone: local microseconds since 2000-01-01; a zone is ignored.
pub(super) fn read_timestamp(bytes: &[u8], settings: &Settings) -> Result<i64, ValueError> {
    match date_fields::read(bytes, settings, "timestamp")? {
        Moment::Infinity => Ok(INFINITY.0),
        Moment::NegativeInfinity => Ok(INFINITY.1),
        Moment::Fields(f) => calendar::checked_timestamp(local(&f)),
    }
}

/// Reads a timestamptz: microseconds since 2000-01-01 UTC. Without a zone, the session's holds.
pub(super) fn read_timestamptz(bytes: &[u8], settings: &Settings) -> Result<i64, ValueError> {
    let f = match date_fields::read(bytes, settings, "timestamp with time zone")? {
        Moment::Infinity => return Ok(INFINITY.0),
        Moment::NegativeInfinity => return Ok(INFINITY.1),
        Moment::Fields(f) => f,
    };
    let micros = local(&f);
    let seconds = i64::try_from(micros.div_euclid(i128::from(SECOND)))
        .ok()
        .filter(|s| s.abs() < 1 << 50)
        .ok_or(ValueError::DateRange("timestamp"))?;
    let offset = match f.zone {
        Some(Given::Offset(offset)) => offset,
        Some(Given::Abbreviation(offset, word)) => unambiguous(offset, &word, seconds, settings)?,
        Some(Given::Zone(zone)) => zone.offset_of_local(seconds)?,
        None => Zone::named(&settings.time_zone)?.offset_of_local(seconds)?,
    };
    calendar::checked_timestamp(micros - i128::from(offset) * i128::from(SECOND))
}

/// The offset of an abbreviation, unless the session's zone uses it for another one then (`CST` in
/// China): servers before 18 take the fixed meaning, later ones the session's, so it is refused.
fn unambiguous(offset: i64, word: &str, local: i64, settings: &Settings) -> Result<i64, ValueError> {
    let zone = Zone::named(&settings.time_zone)?;
    let (own, abbreviation) = zone.at(local - zone.offset_of_local(local)?)?;
    if own != offset && abbreviation.eq_ignore_ascii_case(word) {
        return Err(ValueError::Syntax("timestamp with time zone", "22007"));
    }
    Ok(offset)
}

fn local(f: &Fields) -> i128 {
    i128::from(f.days) * i128::from(DAY) + i128::from(f.time)
}

/// The instant of local microseconds in the session's time zone.
pub(super) fn instant(local: i64, settings: &Settings) -> Result<i64, ValueError> {
    if calendar::is_infinite(local) {
        return Ok(local);
    }
    let offset = Zone::named(&settings.time_zone)?.offset_of_local(local.div_euclid(SECOND))?;
    calendar::checked_timestamp(i128::from(local) - i128::from(offset) * i128::from(SECOND))
}

/// The date of an instant in the session's time zone.
pub(super) fn local_day(instant: i64, settings: &Settings) -> Result<i32, ValueError> {
    if calendar::is_infinite(instant) {
        return calendar::day_of(instant);
    }
    let offset = Zone::named(&settings.time_zone)?.offset(instant.div_euclid(SECOND))?;
    calendar::checked_date(
        (i128::from(instant) + i128::from(offset * SECOND)).div_euclid(i128::from(DAY)) as i64
    )
}

/// Writes a canonical date.
pub(super) fn write_date(canonical: &[u8], settings: &Settings, out: &mut Vec<u8>) -> Result<(), ValueError> {
    let days = i32::from_be_bytes(fixed(canonical, "date")?);
    if days == DATE_INFINITY.0 || days == DATE_INFINITY.1 {
        write_infinity(days > 0, out);
        return Ok(());
    }
    let (style, order) = style::read(&settings.date_style);
    let (year, month, day) = calendar::date(i64::from(days));
    match style {
        Style::Iso => put(out, format_args!("{:04}-{month:02}-{day:02}", shown(year))),
        _ => write_numeric_date((year, month, day), style, order, out),
    }
    write_era(year, out);
    Ok(())
}

/// Writes a canonical timestamptz as the clocks of the session's zone show it.
pub(super) fn write_timestamptz(
    canonical: &[u8],
    settings: &Settings,
    out: &mut Vec<u8>,
) -> Result<(), ValueError> {
    let instant = i64::from_be_bytes(fixed(canonical, "timestamp with time zone")?);
    if calendar::is_infinite(instant) {
        write_infinity(instant > 0, out);
        return Ok(());
    }
    let (style, order) = style::read(&settings.date_style);
    let (offset, abbreviation) = Zone::named(&settings.time_zone)?.at(instant.div_euclid(SECOND))?;
    let local = i128::from(instant) + i128::from(offset) * i128::from(SECOND);
    let days = local.div_euclid(i128::from(DAY)) as i64;
    let time = local.rem_euclid(i128::from(DAY)) as i64;
    let date @ (year, month, day) = calendar::date(days);
    match style {
        Style::Iso => {
            put(out, format_args!("{:04}-{month:02}-{day:02} ", shown(year)));
            write_time(time, out);
            write_offset(offset, out);
        }
        Style::Postgres => {
            write_words(days, month, day, order, out);
            write_time(time, out);
            put(out, format_args!(" {:04}", shown(year)));
        }
        Style::Sql | Style::German => {
            write_numeric_date(date, style, order, out);
            out.push(b' ');
            write_time(time, out);
        }
    }
    if style != Style::Iso {
        // `MAXTZLEN` in Postgres.
        put(out, format_args!(" {abbreviation:.10}"));
    }
    write_era(year, out);
    Ok(())
}

fn put(out: &mut Vec<u8>, args: std::fmt::Arguments<'_>) {
    // Writing to a Vec can't fail.
    let _ = out.write_fmt(args);
}

/// The year as it is printed: 0 is 1 BC.
fn shown(year: i64) -> i64 {
    if year > 0 { year } else { 1 - year }
}

fn write_era(year: i64, out: &mut Vec<u8>) {
    if year <= 0 {
        out.extend_from_slice(b" BC");
    }
}

fn write_infinity(positive: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(if positive { b"infinity" } else { b"-infinity" });
}

fn write_numeric_date((year, month, day): (i64, i64, i64), style: Style, order: Order, out: &mut Vec<u8>) {
    let delimiter = match style {
        Style::Sql => '/',
        Style::German => '.',
        Style::Postgres | Style::Iso => '-',
    };
    let (a, b) = if order == Order::Dmy || style == Style::German { (day, month) } else { (month, day) };
    put(out, format_args!("{a:02}{delimiter}{b:02}{delimiter}{:04}", shown(year)));
}

/// `Mon Feb 10 ` or `Mon 10 Feb `.
fn write_words(days: i64, month: i64, day: i64, order: Order, out: &mut Vec<u8>) {
    const WEEKDAYS: [&str; 7] = ["Sat", "Sun", "Mon", "Tue", "Wed", "Thu", "Fri"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    // 2000-01-01 was a Saturday.
    let weekday = WEEKDAYS[days.rem_euclid(7) as usize];
    let month = MONTHS[(month - 1).clamp(0, 11) as usize];
    match order {
        Order::Dmy => put(out, format_args!("{weekday} {day:02} {month} ")),
        _ => put(out, format_args!("{weekday} {month} {day:02} ")),
    }
}

/// `hh:mm:ss`, and the fraction without zeros at its end.
fn write_time(time: i64, out: &mut Vec<u8>) {
    let (seconds, micros) = (time / SECOND, time % SECOND);
    put(out, format_args!("{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60));
    if micros > 0 {
        put(out, format_args!(".{micros:06}"));
        while out.last() == Some(&b'0') {
            out.pop();
        }
    }
}

/// `+hh`, with minutes and seconds where they aren't zero.
fn write_offset(offset: i64, out: &mut Vec<u8>) {
    let size = offset.abs();
    out.push(if offset < 0 { b'-' } else { b'+' });
    put(out, format_args!("{:02}", size / 3_600));
    if size % 3_600 != 0 {
        put(out, format_args!(":{:02}", size / 60 % 60));
    }
    if size % 60 != 0 {
        put(out, format_args!(":{:02}", size % 60));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, time_zone: &str) -> Result<i64, ValueError> {
        let settings = Settings {
            date_style: "ISO, MDY".into(),
            time_zone: time_zone.into(),
            bytea_escape: false,
            charset: None,
            server: 0,
        };
        read_timestamptz(text.as_bytes(), &settings)
    }

    #[test]
    fn refuses_abbreviations_that_servers_read_differently() {
        let refused = Err(ValueError::Syntax("timestamp with time zone", "22007"));
        assert_eq!(read("2000-01-01 06:00 CST", "UTC"), Ok(12 * 3_600 * SECOND));
        assert_eq!(read("2000-01-01 06:00 CST", "Asia/Shanghai"), refused);
        assert_eq!(read("2000-01-01 06:00 IST", "Asia/Kolkata"), refused);
    }

    #[test]
    fn an_unknown_session_zone_is_an_error() {
        assert_eq!(read("2000-01-01 06:00", "Europe/Atlantis"), Err(ValueError::TimeZone));
        assert_eq!(read("2000-01-01 06:00+00", "Europe/Atlantis"), Ok(6 * 3_600 * SECOND));
    }
}
