//! From tokens to the fields of a date and time, by the rules of Postgres's `DecodeDateTime`
//! (manual appendix B.1).

use super::calendar;
use super::date_lex::{Token, tokens};
use super::style::{self, Order};
use super::zone::{self, Zone};
use super::{Settings, ValueError};

/// What a date/time text says.
pub(super) enum Moment {
    Infinity,
    NegativeInfinity,
    Fields(Fields),
}

/// A date, and maybe a time and a zone.
pub(super) struct Fields {
    /// Days since 2000-01-01, not yet held to any type's limits.
    pub(super) days: i64,
    /// Microseconds since midnight; up to 24:00:00 and a leap second.
    pub(super) time: i64,
    /// The zone that was given.
    pub(super) zone: Option<Given>,
}

/// A zone within a value.
pub(super) enum Given {
    /// Seconds east of UTC.
    Offset(i64),
    /// The same, by an abbreviation in lower case.
    Abbreviation(i64, String),
    Zone(Zone),
}

const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];
const WEEKDAYS: [&str; 7] = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
const KEYWORDS: [&str; 12] =
    ["t", "am", "pm", "ad", "bc", "epoch", "infinity", "j", "jd", "julian", "at", "on"];
/// The day 2000-01-01 as a Julian day.
const JULIAN: i64 = 2_451_545;

/// The month of that name or abbreviation, from 1.
fn month(word: &str) -> Option<i64> {
    let at = MONTHS.iter().position(|m| word == *m || word == &m[..3]);
    at.or((word == "sept").then_some(8)).map(|m| m as i64 + 1)
}

fn is_weekday(word: &str) -> bool {
    matches!(word, "tues" | "weds" | "thur" | "thurs" | "wedn")
        || WEEKDAYS.iter().any(|d| word == *d || word == &d[..3])
}

/// Words that mean something by themselves: digits after one begin another field.
pub(super) fn is_keyword(word: &str) -> bool {
    KEYWORDS.contains(&word) || month(word).is_some() || is_weekday(word)
}

/// An error of the syntax (22007) or of a field (22008).
#[derive(Clone, Copy)]
enum Bad {
    Format,
    Field,
    Offset,
    Zone,
    /// It hangs on the server's clock.
    Clock,
}

/// Reads a text as `name`, the type in errors.
pub(super) fn read(bytes: &[u8], settings: &Settings, name: &'static str) -> Result<Moment, ValueError> {
    let order = style::read(&settings.date_style).1;
    let text =
        std::str::from_utf8(bytes).map_err(|_| ValueError::Syntax(name, "22007"))?.to_ascii_lowercase();
    let text = zeroize::Zeroizing::new(text);
    let moment = match tokens(&text) {
        // `MAXDATEFIELDS` in Postgres.
        Some(tokens) if tokens == [Token::SignedWord(false, "infinity")] && settings.server >= 17 => {
            Ok(Moment::Infinity)
        }
        Some(tokens) if tokens.len() <= 25 => Decoder::new(order).read(&tokens),
        _ => Err(Bad::Format),
    };
    moment.map_err(|bad| match bad {
        Bad::Format => ValueError::Syntax(name, "22007"),
        Bad::Field => ValueError::DateRange("date/time field value"),
        Bad::Offset => ValueError::Syntax("time zone displacement", "22009"),
        Bad::Zone => ValueError::TimeZone,
        Bad::Clock => ValueError::Clock(name),
    })
}

struct Decoder {
    order: Order,
    year: Option<i64>,
    month: Option<i64>,
    day: Option<i64>,
    two_digits: bool,
    text_month: bool,
    bc: Option<bool>,
    pm: Option<bool>,
    time: Option<[i64; 4]>,
    zone: Option<Given>,
    /// A time, a weekday, `am` or `bc` was read: no date joined by signs may follow.
    beside: bool,
    /// `T` was read: a time must follow.
    time_next: bool,
    /// `J` was read: a Julian day must follow.
    julian_next: bool,
    /// Days since 2000-01-01, told as a Julian day.
    julian: Option<i64>,
    /// The day of the year.
    year_day: Option<i64>,
}

impl Decoder {
    fn new(order: Order) -> Self {
        Self {
            order,
            year: None,
            month: None,
            day: None,
            two_digits: false,
            text_month: false,
            bc: None,
            pm: None,
            time: None,
            zone: None,
            beside: false,
            time_next: false,
            julian_next: false,
            julian: None,
            year_day: None,
        }
    }

    fn read(mut self, tokens: &[Token<'_>]) -> Result<Moment, Bad> {
        match tokens {
            [Token::Word("infinity")] => return Ok(Moment::Infinity),
            [Token::SignedWord(true, "infinity")] => return Ok(Moment::NegativeInfinity),
            [Token::Word("epoch")] => {
                let zone = Some(Given::Offset(0));
                return Ok(Moment::Fields(Fields { days: calendar::days(1970, 1, 1), time: 0, zone }));
            }
            _ => {}
        }
        for token in tokens {
            self.token(*token)?;
        }
        self.finish()
    }

    fn has_date(&self) -> bool {
        self.year.is_some() && self.month.is_some() && self.day.is_some()
    }

    fn has_no_date(&self) -> bool {
        self.year.is_none() && self.month.is_none() && self.day.is_none()
    }

    fn token(&mut self, token: Token<'_>) -> Result<(), Bad> {
        let is_time = std::mem::take(&mut self.time_next);
        if std::mem::take(&mut self.julian_next) {
            return match token {
                Token::Number(text) => self.julian(text),
                _ => Err(Bad::Format),
            };
        }
        match token {
            Token::Time(text) => self.clock(text),
            Token::Number(text) if is_time => self.run_together_time(text),
            _ if is_time => Err(Bad::Format),
            Token::Number(text) => self.number(text),
            Token::Joined(text) if text.starts_with(|c: char| c.is_ascii_digit()) => self.joined(text),
            Token::Joined(text) => self.joined_word(text),
            Token::Offset(text) => {
                let offset = offset(text)?;
                self.set_zone(Given::Offset(offset))
            }
            Token::Word(word) => self.word(word),
            Token::SignedWord(..) => Err(Bad::Format),
        }
    }

    fn word(&mut self, word: &str) -> Result<(), Bad> {
        self.beside |= matches!(word, "am" | "pm" | "bc" | "ad") || is_weekday(word);
        match word {
            "t" if self.has_date() && self.time.is_none() => self.time_next = true,
            "j" | "jd" | "julian" if self.has_no_date() => self.julian_next = true,
            "now" | "today" | "tomorrow" | "yesterday" => return Err(Bad::Clock),
            "am" | "pm" if self.pm.is_none() => self.pm = Some(word == "pm"),
            "bc" | "ad" if self.bc.is_none() => self.bc = Some(word == "bc"),
            "at" | "on" => {}
            _ if is_weekday(word) => {}
            _ => match month(word) {
                Some(m) => self.set_text_month(m)?,
                None => return self.zone_word(word),
            },
        }
        Ok(())
    }

    fn julian(&mut self, text: &str) -> Result<(), Bad> {
        let days = small(text)? - JULIAN;
        let (year, month, day) = calendar::date(days);
        (self.year, self.month, self.day) = (Some(year), Some(month), Some(day));
        self.julian = Some(days);
        Ok(())
    }

    fn set_text_month(&mut self, month: i64) -> Result<(), Bad> {
        if self.text_month {
            return Err(Bad::Format);
        }
        // A number that was taken for the month is the day, then: `10 Feb 1997`.
        if let Some(number) = self.month {
            if self.day.is_some() || !(1..=31).contains(&number) {
                return Err(Bad::Format);
            }
            self.day = Some(number);
        }
        self.text_month = true;
        self.month = Some(month);
        Ok(())
    }

    fn zone_word(&mut self, word: &str) -> Result<(), Bad> {
        match zone::abbreviation(word) {
            Some(offset) => self.set_zone(Given::Abbreviation(offset, word.to_owned())),
            None if is_keyword(word) => Err(Bad::Format),
            None => self.set_zone(Given::Zone(Zone::named(word).map_err(|_| Bad::Format)?)),
        }
    }

    fn set_zone(&mut self, zone: Given) -> Result<(), Bad> {
        if self.zone.is_some() {
            return Err(Bad::Format);
        }
        self.zone = Some(zone);
        Ok(())
    }

    /// `jan-08-1999`, or after a date a zone name such as `europe/paris`.
    fn joined_word(&mut self, text: &str) -> Result<(), Bad> {
        if !self.has_date() {
            return self.joined(text);
        }
        let zone = Zone::named(text).map_err(|_| Bad::Zone)?;
        self.set_zone(Given::Zone(zone))
    }

    /// Date fields joined by `-`, `/` or `.`: a month in letters is settled first.
    fn joined(&mut self, text: &str) -> Result<(), Bad> {
        let only_month = self.text_month && self.day.is_none() && self.year.is_none();
        if self.beside || !(self.has_no_date() || only_month) {
            return Err(Bad::Format);
        }
        let mut fields: Vec<&str> = text.split(['-', '/', '.']).collect();
        if fields.iter().any(|f| f.is_empty()) || fields.len() > 3 {
            return Err(Bad::Format);
        }
        if let Some(at) = fields.iter().position(|f| f.starts_with(|c: char| c.is_ascii_alphabetic())) {
            self.set_text_month(month(fields[at]).ok_or(Bad::Format)?)?;
            fields.remove(at);
        }
        for field in fields {
            if !field.bytes().all(|b| b.is_ascii_digit()) {
                return Err(Bad::Format);
            }
            self.date_number(field)?;
        }
        if self.has_date() { Ok(()) } else { Err(Bad::Format) }
    }

    /// A number by itself: `19990108`, or a year, month or day.
    fn number(&mut self, text: &str) -> Result<(), Bad> {
        if text.contains('.') {
            // A year and its day: `1999.008`.
            return if self.has_no_date() { self.joined(text) } else { Err(Bad::Format) };
        }
        if text.len() >= 6 && (self.has_no_date() || self.time.is_none()) {
            return if self.has_date() { self.run_together_time(text) } else { self.run_together_date(text) };
        }
        self.date_number(text)
    }

    fn run_together_date(&mut self, text: &str) -> Result<(), Bad> {
        if !self.has_no_date() {
            return Err(Bad::Format);
        }
        let (year, rest) = text.split_at(text.len() - 4);
        let (month, day) = rest.split_at(2);
        self.two_digits = year.len() == 2;
        self.year = Some(small(year)?);
        self.month = Some(small(month)?);
        self.day = Some(small(day)?);
        Ok(())
    }

    /// Which field a number is depends on the fields there are, and on the order set (`DecodeNumber`).
    fn date_number(&mut self, text: &str) -> Result<(), Bad> {
        let value = small(text)?;
        let long = text.len() >= 3;
        let slot = match (self.year.is_some(), self.month.is_some(), self.day.is_some()) {
            (false, false, false) if long || self.order == Order::Ymd => Slot::Year,
            (false, false, false) if self.order == Order::Dmy => Slot::Day,
            // Three digits after a year are a day of the year: `2024-032`.
            (true, false, false) if text.len() == 3 && (1..=366).contains(&value) => {
                (self.month, self.day) = (Some(1), Some(1));
                self.year_day = Some(value);
                return Ok(());
            }
            (false, false, false) | (true, false, false) | (false, false, true) => Slot::Month,
            (false, true, false) if self.text_month && (long || self.order == Order::Ymd) => Slot::Year,
            (false, true, false) => Slot::Day,
            (true, true, false) if self.text_month && long && self.two_digits => {
                // `08-jan-1999` in YMD order: what was taken for the year is the day.
                self.day = self.year;
                self.two_digits = false;
                Slot::Year
            }
            (true, true, false) => Slot::Day,
            (false, true, true) => Slot::Year,
            _ => return Err(Bad::Format),
        };
        match slot {
            Slot::Year => {
                self.two_digits = text.len() <= 2;
                self.year = Some(value);
            }
            Slot::Month => self.month = Some(value),
            Slot::Day => self.day = Some(value),
        }
        Ok(())
    }

    /// `hh:mm`, `hh:mm:ss`, `hh:mm:ss.ffffff`.
    fn clock(&mut self, text: &str) -> Result<(), Bad> {
        let (whole, fraction) = match text.split_once('.') {
            Some((whole, digits)) => (whole, Some(digits)),
            None => (text, None),
        };
        let parts: Vec<&str> = whole.split(':').collect();
        let (hour, minute, second) = match (parts.as_slice(), fraction) {
            ([h, m], None) => (small(h)?, small(m)?, 0),
            ([h, m, s], _) => (small(h)?, small(m)?, small(s)?),
            _ => return Err(Bad::Format),
        };
        self.set_time([hour, minute, second, fraction.map_or(Ok(0), micros)?])
    }

    /// `hhmmss`, `hhmmss.ffffff` or `hhmm`.
    fn run_together_time(&mut self, text: &str) -> Result<(), Bad> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let at = |from: usize| small(&whole[from..from + 2]);
        let time = match whole.len() {
            6 => [at(0)?, at(2)?, at(4)?, if fraction.is_empty() { 0 } else { micros(fraction)? }],
            4 if fraction.is_empty() => [at(0)?, at(2)?, 0, 0],
            _ => return Err(Bad::Format),
        };
        self.set_time(time)
    }

    fn set_time(&mut self, time: [i64; 4]) -> Result<(), Bad> {
        if self.time.is_some() {
            return Err(Bad::Format);
        }
        let [hour, minute, second, micro] = time;
        let beyond_24 = hour > 24 || (hour == 24 && (minute > 0 || second > 0 || micro > 0));
        if beyond_24 || minute > 59 || second > 60 {
            return Err(Bad::Field);
        }
        self.time = Some(time);
        self.beside = true;
        Ok(())
    }

    fn finish(self) -> Result<Moment, Bad> {
        let waits = self.time_next || self.julian_next;
        let (Some(year), Some(month), Some(day), false) = (self.year, self.month, self.day, waits) else {
            return Err(Bad::Format);
        };
        let year = match (self.bc == Some(true), self.two_digits) {
            _ if self.julian.is_some() => year,
            (true, _) if year > 0 => 1 - year,
            (false, true) if year < 70 => year + 2000,
            (false, true) if year < 100 => year + 1900,
            (false, _) if year > 0 => year,
            _ => return Err(Bad::Field),
        };
        if !(1..=12).contains(&month) || !(1..=calendar::month_length(year, month)).contains(&day) {
            return Err(Bad::Field);
        }
        let [hour, minute, second, micro] = self.time.unwrap_or_default();
        let hour = match self.pm {
            None => hour,
            Some(_) if hour > 12 => return Err(Bad::Field),
            Some(pm) => hour % 12 + if pm { 12 } else { 0 },
        };
        let time = ((hour * 60 + minute) * 60 + second) * calendar::SECOND + micro;
        let days = match (self.julian, self.year_day) {
            (Some(days), _) => days,
            (None, Some(day)) => calendar::days(year, 1, 1) + day - 1,
            (None, None) => calendar::days(year, month, day),
        };
        Ok(Moment::Fields(Fields { days, time, zone: self.zone }))
    }
}

enum Slot {
    Year,
    Month,
    Day,
}

/// A field's digits; a number beyond an i32 is out of range.
fn small(digits: &str) -> Result<i64, Bad> {
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Bad::Format);
    }
    digits.parse::<i32>().map(i64::from).map_err(|_| Bad::Field)
}

/// Digits after the point as microseconds, rounded as Postgres rounds them (through a double).
fn micros(digits: &str) -> Result<i64, Bad> {
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(Bad::Format);
    }
    let fraction: f64 = format!("0.{digits}0").parse().map_err(|_| Bad::Format)?;
    Ok((fraction * 1e6).round_ties_even() as i64)
}

/// `+hh`, `+hh:mm`, `+hh:mm:ss`, `+hhmm`: seconds east of UTC, at most 15:59:59.
fn offset(text: &str) -> Result<i64, Bad> {
    let (negative, digits) = (text.starts_with('-'), &text[1..]);
    let parts: Vec<&str> = digits.split(':').collect();
    let (hours, minutes, seconds) = match parts.as_slice() {
        [run] if run.len() > 2 => (small(run)? / 100, small(run)? % 100, 0),
        [h] => (small(h)?, 0, 0),
        [h, m] => (small(h)?, small(m)?, 0),
        [h, m, s] => (small(h)?, small(m)?, small(s)?),
        _ => return Err(Bad::Format),
    };
    if hours > 15 || minutes > 59 || seconds > 59 {
        return Err(Bad::Offset);
    }
    let offset = (hours * 60 + minutes) * 60 + seconds;
    Ok(if negative { -offset } else { offset })
}
