//! From a locale's name to the rules of the Unicode collation algorithm.

use super::ctype::Ctype;
use icu_collator::options::{AlternateHandling, CaseLevel, CollatorOptions, MaxVariable, Strength};
use icu_collator::{CollatorBorrowed, CollatorPreferences};
use icu_locale_core::Locale;

type Reason = String;

/// What the data here does not hold, where ICU has more.
const WITHOUT_DATA: &[&str] = &["search", "searchjl", "big5han", "gb2312", "unihan", "reformed", "direct"];

/// Whether glibc compares bytes there.
fn is_c(name: &str) -> bool {
    matches!(name, "C" | "POSIX") || is_c_utf8(name)
}

fn is_c_utf8(name: &str) -> bool {
    name.strip_prefix("C.").is_some_and(is_utf8)
}

fn is_utf8(encoding: &str) -> bool {
    matches!(encoding.to_ascii_lowercase().as_str(), "utf8" | "utf-8")
}

/// `fr_FR.UTF-8`: its language and territory.
fn libc_locale(name: &str) -> Result<Locale, Reason> {
    let (name, modifier) = name.split_once('@').map_or((name, None), |(n, m)| (n, Some(m)));
    let (place, encoding) = name.split_once('.').map_or((name, None), |(p, e)| (p, Some(e)));
    if encoding.is_some_and(|e| !is_utf8(e)) {
        return Err("its encoding is not UTF-8".into());
    }
    if !matches!(modifier, None | Some("euro")) {
        return Err("a locale with a modifier".into());
    }
    let unknown = || format!("locale {name} is not known");
    let (language, territory) = place.split_once('_').ok_or_else(unknown)?;
    if language.len() > 3 || territory.len() != 2 {
        return Err(unknown());
    }
    Locale::try_from_str(&format!("{language}-{territory}")).map_err(|_| unknown())
}

/// The order of a locale of the C library; `None` is that of bytes.
pub(super) fn libc_collator(name: &str) -> Result<Option<CollatorBorrowed<'static>>, Reason> {
    if is_c(name) {
        return Ok(None);
    }
    let locale = libc_locale(name)?;
    // glibc passes over spaces, punctuation and other signs, and looks at them only where all else is equal.
    let mut options = CollatorOptions::default();
    options.alternate_handling = Some(AlternateHandling::Shifted);
    options.max_variable = Some(MaxVariable::Symbol);
    options.strength = Some(Strength::Quaternary);
    collator(&locale, options).map(Some)
}

/// What a locale of the C library calls a letter.
pub(super) fn libc_ctype(name: &str) -> Result<Ctype, Reason> {
    if matches!(name, "C" | "POSIX") {
        return Ok(Ctype::Ascii);
    }
    if is_c_utf8(name) {
        return Ok(Ctype::Libc { turkic: false });
    }
    let locale = libc_locale(name)?;
    Ok(Ctype::Libc { turkic: matches!(locale.id.language.as_str(), "tr" | "az" | "crh" | "tt" | "ku") })
}

/// Order and letters of an ICU locale: `fr`, `de-u-co-phonebk`, `und-u-ks-level2`.
pub(super) fn icu(name: &str) -> Result<(Option<CollatorBorrowed<'static>>, Ctype), Reason> {
    if name.contains('@') {
        return Err("a locale of ICU's older form; declare it as a BCP 47 tag".into());
    }
    let tag = match name {
        "" | "root" => "und".to_owned(),
        _ => name.replace('_', "-"),
    };
    let locale = Locale::try_from_str(&tag).map_err(|_| "its locale is no BCP 47 tag".to_owned())?;
    if !locale.id.variants.is_empty() {
        return Err("a locale with a variant".into());
    }
    let options = options(&locale)?;
    let ctype = Ctype::Icu(locale.id.clone());
    Ok((Some(collator(&locale, options)?), ctype))
}

fn collator(locale: &Locale, options: CollatorOptions) -> Result<CollatorBorrowed<'static>, Reason> {
    CollatorBorrowed::try_new(CollatorPreferences::from(locale), options)
        .map_err(|_| "there are no rules for its locale".to_owned())
}

/// The settings that stand in the tag (UTS 35, part 5, "Collation Settings"). `co`, `kf` and `kn` are read by
/// [`CollatorPreferences`].
fn options(locale: &Locale) -> Result<CollatorOptions, Reason> {
    let mut options = CollatorOptions::default();
    for (key, value) in locale.extensions.unicode.keywords.iter() {
        let value = value.to_string();
        let other = || Err(format!("setting {key}-{value}"));
        match key.as_str() {
            "kf" | "kn" => {}
            "co" if WITHOUT_DATA.contains(&value.as_str()) => return other(),
            "co" => {}
            "ks" => {
                options.strength = Some(match value.as_str() {
                    "level1" | "primary" => Strength::Primary,
                    "level2" | "secondary" => Strength::Secondary,
                    "level3" | "tertiary" => Strength::Tertiary,
                    "level4" | "quaternary" | "quarternary" => Strength::Quaternary,
                    "identic" | "identical" => Strength::Identical,
                    _ => return other(),
                });
            }
            "ka" => {
                options.alternate_handling = Some(match value.as_str() {
                    "noignore" => AlternateHandling::NonIgnorable,
                    "shifted" => AlternateHandling::Shifted,
                    _ => return other(),
                });
            }
            "kc" => {
                options.case_level = Some(match value.as_str() {
                    "" | "true" | "yes" => CaseLevel::On,
                    "false" | "no" => CaseLevel::Off,
                    _ => return other(),
                });
            }
            "kv" => {
                options.max_variable = Some(match value.as_str() {
                    "space" => MaxVariable::Space,
                    "punct" => MaxVariable::Punctuation,
                    "symbol" => MaxVariable::Symbol,
                    "currency" => MaxVariable::Currency,
                    _ => return other(),
                });
            }
            // Whether texts are normalised first: here they always are.
            "kk" => {}
            // Others change the order in a way that is not known here (kb, kr), or not at all.
            "kb" | "kr" | "kh" | "vt" | "va" => return other(),
            _ => {}
        }
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn byte_order_is_that_of_c_and_its_utf8_form() {
        for name in ["C", "POSIX", "C.UTF-8", "C.utf8"] {
            assert!(libc_collator(name).unwrap().is_none(), "{name}");
        }
        assert!(libc_collator("fr_FR.utf8").unwrap().is_some());
        assert!(libc_collator("fr_FR").unwrap().is_some());
    }

    #[test]
    fn what_is_not_known_is_named() {
        for name in ["fr_FR.ISO-8859-1", "sr_RS@latin", "french", "C.ISO-8859-1", "x_y"] {
            assert!(libc_collator(name).is_err(), "{name}");
        }
        for name in [
            "de@collation=phonebook",
            "en-US-posix",
            "und-u-kr-digit",
            "fr-u-kb-true",
            "ko-u-co-search",
            "not a tag",
        ] {
            assert!(icu(name).is_err(), "{name}");
        }
    }

    #[test]
    fn settings_of_the_tag_are_kept() {
        let compare = |tag: &str, a: &str, b: &str| icu(tag).unwrap().0.unwrap().compare(a, b);
        use std::cmp::Ordering::{Equal, Greater, Less};
        assert_eq!(compare("und", "é", "E"), Greater);
        assert_eq!(compare("und-u-ks-level2", "e", "E"), Equal);
        assert_eq!(compare("und-u-ks-level1", "é", "E"), Equal);
        assert_eq!(compare("und-u-ks-level1-kc-true", "e", "E"), Less);
        assert_eq!(compare("und-u-kn-true", "a10", "a9"), Greater);
        assert_eq!(compare("und-u-kf-upper", "a", "A"), Greater);
        assert_eq!(compare("de-u-co-phonebk", "ä", "ad"), Greater);
        assert_eq!(compare("de", "ä", "ad"), Less);
        assert_eq!(compare("sv", "z", "å"), Less);
        assert_eq!(compare("fr", "z", "å"), Greater);
    }
}
