//! How the demo looks: at most 100 columns, colours only on a terminal.

use super::{DemoError, Result};
use console::{Style, measure_text_width, style, truncate_str};
use serde_json::Value;
use tokio_postgres::SimpleQueryRow;

/// Columns of the page.
const WIDTH: usize = 100;
/// Columns of a field's name, and of each side of a comparison.
const NAME: usize = 13;
const SIDE: usize = 40;

/// The title, in a frame.
pub(super) fn title(text: &str) {
    let line = "─".repeat(WIDTH - 2);
    println!("╭{line}╮\n│ {} │\n╰{line}╯", pad(&style(text).bold().to_string(), WIDTH - 4));
}

/// An act's heading.
pub(super) fn act(number: u32, text: &str) {
    let head = format!("{number}. {text} ");
    let rest = WIDTH.saturating_sub(measure_text_width(&head));
    println!("\n{}{}", style(&head).bold().cyan(), style("─".repeat(rest)).dim());
}

/// A sentence or two, wrapped.
pub(super) fn say(text: &str) {
    for line in wrap(text, WIDTH - 2) {
        println!("  {line}");
    }
}

/// A statement as the application sends it.
pub(super) fn sql(text: &str) {
    for line in wrap(text, WIDTH - 4) {
        println!("  {} {}", style("›").dim(), style(line).yellow());
    }
}

/// A promise that was just checked: a tick, or the end of the demo.
pub(super) fn check(holds: bool, what: &str) -> Result<()> {
    if !holds {
        return Err(DemoError::Broken(what.to_owned()));
    }
    let mut lines = wrap(what, WIDTH - 4).into_iter();
    println!("  {} {}", style("✓").green().bold(), lines.next().unwrap_or_default());
    lines.for_each(|line| println!("    {line}"));
    Ok(())
}

/// One row as each side sees it.
pub(super) fn side_by_side(left: (&str, &SimpleQueryRow), right: (&str, &SimpleQueryRow)) {
    let value = |row: &SimpleQueryRow, i| row.try_get(i).ok().flatten().map(str::to_owned);
    let lines = left.1.columns().iter().enumerate();
    let lines = lines.map(|(i, column)| (column.name().to_owned(), value(left.1, i), value(right.1, i)));
    compare(left.0, right.0, lines);
}

/// One JSON object as each side sees it, member by member.
pub(super) fn members(left: (&str, &Value), right: (&str, &Value)) {
    let text = |value: &Value| match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    };
    let lines = left.1.as_object().into_iter().flatten();
    compare(left.0, right.0, lines.map(|(name, value)| (name.clone(), text(value), text(&right.1[name]))));
}

/// Lines of (name, left, right): what differs is coloured.
fn compare(left: &str, right: &str, lines: impl Iterator<Item = (String, Option<String>, Option<String>)>) {
    let (plain, green, magenta) = (Style::new(), Style::new().green(), Style::new().magenta());
    let head = pad(&style(left).underlined().to_string(), SIDE);
    println!("  {} {head}  {}", pad("", NAME), style(right).underlined());
    for (name, clear, stored) in lines {
        let changed = clear != stored;
        println!(
            "  {} {}  {}",
            pad(&style(clip(&name, NAME)).dim().to_string(), NAME),
            pad(&cell(clear.as_deref(), SIDE, if changed { &green } else { &plain }), SIDE),
            cell(stored.as_deref(), SIDE, if changed { &magenta } else { &plain }),
        );
    }
}

/// Rows below their columns' names; the last column takes what is left.
pub(super) fn rows(names: &[&str], rows: &[Vec<Option<String>>]) {
    let mut widths: Vec<usize> = names.iter().map(|n| n.len()).collect();
    for row in rows {
        for (width, value) in widths.iter_mut().zip(row) {
            *width = (*width).max(value.as_deref().map_or(4, measure_text_width)).min(32);
        }
    }
    let used: usize = widths.iter().rev().skip(1).map(|w| w + 2).sum();
    if let Some(last) = widths.last_mut() {
        *last = WIDTH.saturating_sub(used + 4);
    }
    let line = |cells: Vec<String>| println!("    {}", cells.join("  ").trim_end());
    line(names.iter().zip(&widths).map(|(n, w)| pad(&style(n).underlined().to_string(), *w)).collect());
    for row in rows {
        line(row.iter().zip(&widths).map(|(v, w)| pad(&cell(v.as_deref(), *w, &Style::new()), *w)).collect());
    }
    if rows.is_empty() {
        println!("    {}", style("(no rows)").dim());
    }
}

/// An error as a driver reports it.
pub(super) fn server_error(error: &tokio_postgres::Error) {
    let Some(db) = error.as_db_error() else {
        return println!("    {}", style(clip(&error.to_string(), WIDTH - 4)).red());
    };
    let head = format!("{} {}: {}", db.severity(), db.code().code(), db.message());
    wrap(&head, WIDTH - 4).iter().for_each(|line| println!("    {}", style(line).red()));
    for (name, text) in [("DETAIL", db.detail()), ("HINT", db.hint())] {
        for line in wrap(&text.map(|t| format!("{name}: {t}")).unwrap_or_default(), WIDTH - 4) {
            println!("    {line}");
        }
    }
}

/// A JSON object, one member after the other.
pub(super) fn json(value: &Value) {
    const NAMES: usize = 20;
    for (name, value) in value.as_object().into_iter().flatten() {
        let mut name = clip(name, NAMES);
        for line in texts(value).iter().flat_map(|text| wrap(text, WIDTH - NAMES - 5)) {
            println!("    {} {line}", pad(&style(std::mem::take(&mut name)).dim().to_string(), NAMES));
        }
    }
}

/// A JSON value as a person reads it: a list has one text for each item.
fn texts(value: &Value) -> Vec<String> {
    match value {
        Value::Null => vec!["–".into()],
        Value::String(text) => vec![text.clone()],
        Value::Array(items) => items.iter().flat_map(texts).map(|text| format!("· {text}")).collect(),
        Value::Object(members) => members
            .iter()
            .flat_map(|(name, v)| texts(v).into_iter().map(move |t| format!("{name} {t}")))
            .collect(),
        other => vec![other.to_string()],
    }
}

/// The server's own words for an error, else the driver's.
pub(super) fn words_of(error: &tokio_postgres::Error) -> String {
    let Some(db) = error.as_db_error() else { return error.to_string() };
    let hint = db.hint().map(|h| format!(" ({h})")).unwrap_or_default();
    format!("{} {}{hint}", db.code().code(), db.message())
}

/// `1234567` as `1,234,567`.
pub(super) fn thousands(number: usize) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A value on one line: NULL dimmed, control characters shown as spaces, a long value with its length.
fn cell(value: Option<&str>, width: usize, look: &Style) -> String {
    match value {
        None => style("NULL").dim().to_string(),
        Some("") => style("(empty)").dim().to_string(),
        Some(text) => look.apply_to(clip(text, width)).to_string(),
    }
}

/// Cut to `width` columns, telling how many characters there are in all.
fn clip(text: &str, width: usize) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if measure_text_width(&line) <= width {
        return line;
    }
    let note = format!("… {} chars", thousands(text.chars().count()));
    if width < note.len() + 8 {
        return truncate_str(&line, width, "…").into_owned();
    }
    truncate_str(&line, width, &note).into_owned()
}

fn pad(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(measure_text_width(text))))
}

/// Lines of at most `width` columns, cut at spaces; a longer word is cut where it must.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        let word = if measure_text_width(word) > width { clip(word, width) } else { word.to_owned() };
        match lines.last_mut() {
            Some(line) if measure_text_width(line) + 1 + measure_text_width(&word) <= width => {
                line.push(' ');
                line.push_str(&word);
            }
            _ => lines.push(word),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clips_to_the_width_whatever_the_script() {
        for text in ["é".repeat(200), "👩🏽‍💻".repeat(60), "a\nb".repeat(50), "漢字".repeat(40)] {
            assert!(measure_text_width(&clip(&text, 40)) <= 40);
            assert!(!clip(&text, 40).contains('\n'));
        }
        assert!(clip(&"x".repeat(1_234), 40).ends_with("… 1,234 chars"));
    }

    #[test]
    fn wraps_at_spaces() {
        let lines = wrap("a gateway that stands between an application and its data", 20);
        assert!(lines.len() > 2 && lines.iter().all(|l| measure_text_width(l) <= 20));
        assert_eq!(lines.join(" "), "a gateway that stands between an application and its data");
    }

    #[test]
    fn groups_thousands() {
        assert_eq!([thousands(7), thousands(1_000), thousands(1_234_567)], ["7", "1,000", "1,234,567"]);
    }
}
