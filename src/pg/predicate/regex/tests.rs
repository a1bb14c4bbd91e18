use super::*;

fn finds(pattern: &str, text: &str) -> Result<bool, Fault> {
    Regex::new(pattern, false, &Ctype::Ascii)?.matches(text)
}

fn state(pattern: &str) -> &'static str {
    Regex::new(pattern, false, &Ctype::Ascii).err().map_or("none", |f| f.sqlstate)
}

#[test]
fn reads_what_postgres_reads() {
    for (pattern, text, is) in [
        ("", "", true),
        ("a|", "b", true),
        ("^du(pont|rand)$", "dupont", true),
        ("^du(pont|rand)$", "dupond", false),
        ("a.c", "a\nc", true),
        ("(?n)a.c", "a\nc", false),
        ("(?n)^b", "a\nb", true),
        ("(?w)a.b$", "a\nb\nc", true),
        ("^b", "a\nb", false),
        ("a{2,3}?$", "aaa", true),
        ("a{", "a{", true),
        ("a{,2}", "a{,2}", true),
        (r"\d+\s\w", "12 x", true),
        (r"[\d-]+$", "1-2", true),
        (r"[\W]", "é", true),
        ("[]a]", "]", true),
        ("[^]a]", "]", false),
        ("[a-]", "-", true),
        ("[--/]", ".", true),
        ("[[:alpha:][.-.]]", "-", true),
        (r"\mtin\M", "le tin pur", true),
        (r"\ytin\y", "martin", false),
        (r"[[:<:]]tin[[:>:]]", "tin", true),
        (r"\u00e9|\x41", "é", true),
        (r"\060", "0", true),
        ("(?x) a b # comment\n c", "abc", true),
        ("a(?#note)b", "ab", true),
        ("***=a.b", "a.b", true),
        ("***=a.b", "axb", false),
        ("***:(?i)A", "a", true),
        ("x{0}y", "y", true),
        (r"a\Z", "a\n", false),
    ] {
        assert_eq!(finds(pattern, text), Ok(is), "{pattern:?} {text:?}");
    }
}

#[test]
fn what_postgres_finds_wrong_is_wrong() {
    for pattern in [
        "(",
        ")",
        "a)",
        "[",
        "[a",
        "[[:alpha:",
        "[[:nope:]]",
        "a**",
        "*a",
        "^*",
        "+",
        "a{1",
        "a{2,1}",
        "a{256}",
        "a{1x}",
        r"\q",
        r"\",
        r"\u12",
        "[b-a]",
        "[a-c-e]",
        "***a",
        "(?",
        "(?P<n>a)",
        "(?z)",
        "[[..]]",
        r"[\y]",
        r"a+*",
    ] {
        assert_eq!(state(pattern), "2201B", "{pattern}");
    }
}

#[test]
fn what_cannot_be_evaluated_is_named() {
    for (pattern, name) in [
        (r"(a)\1", "back references"),
        ("a(?=b)", "lookaround"),
        ("(?<!a)b", "lookaround"),
        ("(?e)a", "embedded option e"),
        ("[[.hyphen.]]", "collating elements"),
    ] {
        let fault = Regex::new(pattern, false, &Ctype::Ascii).err().unwrap();
        assert!(fault.unsupported && fault.message.contains(name), "{pattern} {fault}");
    }
    let large = "(?:(?:a{255}){255}){255}";
    assert!(Regex::new(large, false, &Ctype::Ascii).err().unwrap().unsupported);
}

#[test]
fn case_is_ignored_as_the_locale_has_it() {
    let libc = Ctype::Libc { turkic: false };
    let finds = |pattern: &str, text: &str, ctype: &Ctype| {
        Regex::new(pattern, true, ctype).unwrap().matches(text).unwrap()
    };
    assert!(finds("É", "été", &libc));
    assert!(!finds("É", "été", &Ctype::Ascii));
    assert!(finds("[à-ë]t", "Ét", &libc));
    // One character to one: not the folding that makes a long s an s.
    assert!(!finds("s", "ſ", &libc));
    assert!(finds("[[:upper:]]", "a", &libc));
}

#[test]
fn words_of_letters_that_differ_are_refused_where_they_occur() {
    let regex = Regex::new(r"\yété\y", false, &Ctype::Libc { turkic: false }).unwrap();
    assert_eq!(regex.matches("un été chaud"), Ok(true));
    assert_eq!(regex.matches("étés"), Ok(false));
    assert!(regex.matches("e\u{301}te").unwrap_err().unsupported);
}

#[test]
fn similar_to_becomes_a_regular_expression() {
    for (pattern, is) in [
        ("a%_", "^(?:a.*.)$"),
        ("a.b(c|d)", r"^(?:a\.b(?:c|d))$"),
        (r"a\%", r"^(?:a\%)$"),
        ("[a-z%]_", "^(?:[a-z%].)$"),
    ] {
        assert_eq!(from_similar(pattern, "\\").as_deref(), Ok(is), "{pattern}");
    }
    assert_eq!(from_similar("a!%", "!").as_deref(), Ok(r"^(?:a\%)$"));
    assert_eq!(from_similar("a", "!!").unwrap_err().sqlstate, "22025");
}
