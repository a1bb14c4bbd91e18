//! `DateStyle`: how dates are printed, and the order of their fields (manual §8.5.2).

/// How dates are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Iso,
    Sql,
    Postgres,
    German,
}

/// The order in which `1/2/1999` is read (and printed, in some styles).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Mdy,
    Dmy,
    Ymd,
}

/// Style and order of a setting as ParameterStatus reports it: `ISO, MDY`.
pub(super) fn read(setting: &str) -> (Style, Order) {
    let (mut style, mut order) = (Style::Iso, Order::Mdy);
    for word in setting.split(',').map(str::trim) {
        match word.to_ascii_lowercase().as_str() {
            "sql" => style = Style::Sql,
            "german" => style = Style::German,
            w if w.starts_with("postgres") => style = Style::Postgres,
            "dmy" => order = Order::Dmy,
            "ymd" => order = Order::Ymd,
            _ => {}
        }
    }
    (style, order)
}
