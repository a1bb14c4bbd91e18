//! The scanner and splicer against random documents, cut anywhere.

use super::replacements::Replacements;
use super::scan::{Settings, Wrong};
use super::splice::{Layout, Splicer, Stop, Told};
use super::tree::{Leaf, Tree};
use crate::policy::model::Pointer;
use bytes::Bytes;
use proptest::prelude::*;
use std::sync::Arc;

/// A layout of places, each with the subjects that count for it.
fn layout(places: &[(&str, &[u16])], subjects: &[&str]) -> Arc<Layout> {
    let mut tree = Tree::default();
    for (number, (place, _)) in places.iter().enumerate() {
        tree.add(&Pointer::parse(place).unwrap(), Leaf::Place(number as u16));
    }
    let mut depths = Vec::new();
    for (number, subject) in subjects.iter().enumerate() {
        let pointer = Pointer::parse(subject).unwrap();
        depths.push(pointer.stars() as u16);
        tree.add(&pointer, Leaf::Subject(number as u16));
    }
    let slots = places.iter().map(|(_, slots)| slots.to_vec()).collect();
    Arc::new(Layout { tree: Arc::new(tree), slots, depths })
}

fn splicer(layout: &Arc<Layout>, lines: bool) -> Splicer {
    let settings = Settings { depth: 64, lines, exact: true };
    Splicer::new(Arc::clone(layout), vec![9; layout.slots.len()], settings, 1 << 20, false)
}

/// Runs a body through in chunks; replaces each value by `<subject|value>` with quotes turned into dots.
fn run(layout: &Arc<Layout>, chunks: &[&[u8]], lines: bool) -> Result<String, Stop> {
    through(&mut splicer(layout, lines), chunks)
}

fn through(splicer: &mut Splicer, chunks: &[&[u8]]) -> Result<String, Stop> {
    let mut out = Vec::new();
    let mut go = |splicer: &mut Splicer| {
        let mut replacements = Replacements::default();
        for (number, (edit, raw)) in splicer.edits().enumerate() {
            let told = match edit.told {
                Told::Here(id) => String::from_utf8_lossy(splicer.id(id)).into_owned(),
                Told::Nothing => "-".into(),
                Told::Open => panic!("an open edit was released"),
            };
            let raw = String::from_utf8_lossy(raw);
            replacements.put(number, format!("<{told}|{raw}>").replace('"', ".").as_bytes());
        }
        splicer.splice(&replacements, &mut out);
    };
    for chunk in chunks {
        splicer.feed(&Bytes::copy_from_slice(chunk))?;
        go(splicer);
    }
    splicer.finish()?;
    go(splicer);
    Ok(String::from_utf8(out).unwrap())
}

fn all(layout: &Arc<Layout>, body: &str) -> Result<String, Stop> {
    let whole = run(layout, &[body.as_bytes()], false);
    // Cut in two anywhere, and byte for byte, it is the same.
    for at in 0..=body.len() {
        let (a, b) = body.as_bytes().split_at(at);
        assert_eq!(run(layout, &[a, b], false), whole, "cut at {at}: {body}");
    }
    let bytes: Vec<&[u8]> = body.as_bytes().chunks(1).collect();
    assert_eq!(run(layout, &bytes, false), whole, "{body}");
    whole
}

fn wrong(wrong: Wrong) -> Result<String, Stop> {
    Err(Stop::Wrong(wrong))
}

#[test]
fn a_place_is_found_and_everything_else_keeps_its_bytes() {
    let layout = layout(&[("/email", &[]), ("/profile/name", &[])], &[]);
    assert_eq!(
        all(&layout, "\u{feff} {\"a\" : 1.50e+3,\n\t\"email\": \"x\", \"profile\":{\"name\": {\"x\":[1, {}]} , \"z\":null},\"a\":[]}\r\n").unwrap(),
        "\u{feff} {\"a\" : 1.50e+3,\n\t\"email\": <-|.x.>, \"profile\":{\"name\": <-|{.x.:[1, {}]}> , \"z\":null},\"a\":[]}\r\n"
    );
    assert_eq!(all(&layout, "[\"email\", {\"email\": 1}]"), wrong(Wrong::Shape));
    assert_eq!(all(&layout, "\"email\"").unwrap(), "\"email\"");
    assert_eq!(all(&layout, "{\"profile\":\"x{\"}").unwrap(), "{\"profile\":\"x{\"}");
    assert_eq!(all(&layout, "{\"profile\":\"  {x\"}"), wrong(Wrong::Shape));
    assert_eq!(all(&layout, "{\"profile\":null}").unwrap(), "{\"profile\":null}");
    assert_eq!(all(&layout, "").unwrap(), "");
}

#[test]
fn an_escaped_name_is_seen() {
    let layout = layout(&[("/email", &[]), ("/zoë", &[])], &[]);
    let body = r#"{"em\u0061il":"x","zo\u00EB":"y","e":{"email":"z"}}"#;
    assert_eq!(all(&layout, body).unwrap(), r#"{"em\u0061il":<-|.x.>,"zo\u00EB":<-|.y.>,"e":{"email":"z"}}"#);
}

#[test]
fn every_item_has_its_own_subject_before_or_after_its_values() {
    let layout = layout(&[("/*/email", &[0]), ("/*/phones/*/n", &[0])], &["/*/id"]);
    let body = r#"[{"id":1,"email":"a"},{"email":"b","phones":[{"n":5},{"n":6}],"id":"2"},{"email":"c"}]"#;
    assert_eq!(
        all(&layout, body).unwrap(),
        r#"[{"id":1,"email":<1|.a.>},{"email":<.2.|.b.>,"phones":[{"n":<.2.|5>},{"n":<.2.|6>}],"id":"2"},{"email":<-|.c.>}]"#
    );
}

#[test]
fn sources_are_asked_in_their_order() {
    let layout = layout(&[("/items/*/x", &[0, 1])], &["/items/*/id", "/owner"]);
    let body = r#"{"items":[{"x":1},{"x":2,"id":7},{"id":null,"x":3}],"owner":"o"}"#;
    assert_eq!(
        all(&layout, body).unwrap(),
        r#"{"items":[{"x":<.o.|1>},{"x":<7|2>,"id":7},{"id":null,"x":<.o.|3>}],"owner":"o"}"#
    );
}

#[test]
fn an_inner_source_counts_though_an_outer_one_could_have_come() {
    let layout = layout(&[("/phones/*/n", &[0, 1])], &["/owner", "/phones/*/owner"]);
    assert_eq!(
        all(&layout, r#"{"phones":[{"owner":7,"n":1},{"n":2},{"n":3,"owner":8}]}"#).unwrap(),
        r#"{"phones":[{"owner":7,"n":<7|1>},{"n":<-|2>},{"n":<8|3>,"owner":8}]}"#
    );
    assert_eq!(
        all(&layout, r#"{"phones":[{"owner":7,"n":1},{"n":2}],"owner":9}"#).unwrap(),
        r#"{"phones":[{"owner":7,"n":<9|1>},{"n":<9|2>}],"owner":9}"#
    );
}

#[test]
fn what_may_go_on_goes_on() {
    let layout = layout(&[("/*/email", &[0])], &["/*/id"]);
    let mut splicer = splicer(&layout, false);
    splicer.feed(&Bytes::from_static(br#"[{"id":1,"email":"a","big":"0123"#)).unwrap();
    let mut replaced = Replacements::default();
    replaced.put(0, b"!");
    let mut out = Vec::new();
    splicer.splice(&replaced, &mut out);
    assert_eq!(out, br#"[{"id":1,"email":!,"big":"0123"#);
    // A value whose subject isn't told yet is held, and what follows it.
    splicer.feed(&Bytes::from_static(br#"4"},{"email":"b","big":"567"#)).unwrap();
    out.clear();
    splicer.splice(&Replacements::default(), &mut out);
    assert_eq!(out, br#"4"},{"email":"#);
    assert!(splicer.edits().next().is_none());
}

#[test]
fn what_must_be_held_has_a_limit() {
    let layout = layout(&[("/*/email", &[0])], &["/*/id"]);
    let settings = Settings { depth: 64, lines: false, exact: true };
    let mut splicer = Splicer::new(Arc::clone(&layout), vec![9], settings, 1000, false);
    // A large member that nobody protects streams by.
    splicer.feed(&Bytes::from_static(b"[{\"big\":\"")).unwrap();
    for _ in 0..100 {
        splicer.feed(&vec![b'x'; 999].into()).unwrap();
        splicer.splice(&Replacements::default(), &mut Vec::new());
    }
    splicer.feed(&Bytes::from_static(b"\",\"email\":\"")).unwrap();
    splicer.splice(&Replacements::default(), &mut Vec::new());
    splicer.feed(&vec![b'x'; 999].into()).unwrap();
    assert_eq!(splicer.feed(&vec![b'x'; 99].into()), Err(Stop::TooLong));
}

#[test]
fn what_readers_differ_about_is_refused() {
    let layout = layout(&[("/email", &[]), ("/p/name", &[])], &["/id"]);
    for body in [
        r#"{"email":1,"email":2}"#,
        r#"{"email":1,"em\u0061il":2}"#,
        r#"{"p":{},"p":{"name":1}}"#,
        r#"{"p":{"name":1,"name":1}}"#,
        r#"{"id":1,"id":2}"#,
    ] {
        assert_eq!(all(&layout, body), wrong(Wrong::Duplicate), "{body}");
    }
    for body in [r#"{"Email":1}"#, r#"{"P":{}}"#, r#"{"p":{"N\u0061me":1}}"#] {
        assert_eq!(all(&layout, body), wrong(Wrong::Spelling), "{body}");
    }
    for body in [
        r#"{"email\u0000":1}"#,
        r#"{"Email\u0000x":1}"#,
        r#"{"p":{"name\u0000":1}}"#,
        r#"{"__proto__":{"email":1}}"#,
        r#"{"p":{"__prot\u006f__":{"name":1}}}"#,
    ] {
        assert_eq!(all(&layout, body), wrong(Wrong::Spelling), "{body}");
    }
    for body in [r#"{"emai\u0000":1}"#, r#"{"x":{"__proto__":1}}"#, r#"{"proto":1}"#] {
        assert!(all(&layout, body).is_ok(), "{body}");
    }
    let skills = self::layout(&[("/skills", &[])], &[]);
    for body in [r#"{"\u017fkills":1}"#, "{\"s\u{212a}illS\":1}"] {
        assert_eq!(all(&skills, body), wrong(Wrong::Spelling), "{body}");
    }
    assert!(all(&layout, r#"{"x":1,"x":2,"q":{"Email":1}}"#).is_ok());
    let deep = format!("{}1{}", "[".repeat(65), "]".repeat(65));
    let settings = Settings { depth: 64, lines: false, exact: false };
    let mut deeper = Splicer::new(layout, vec![9], settings, 1 << 20, false);
    assert_eq!(deeper.feed(&Bytes::from(deep)), Err(Stop::Wrong(Wrong::Depth)));
}

#[test]
fn what_is_not_json_is_refused() {
    let layout = layout(&[("/email", &[]), ("/*/email", &[])], &[]);
    for body in [
        "{",
        "}",
        "{\"a\"}",
        "{\"a\":}",
        "{a:1}",
        "{\"a\":1,}",
        "[1,]",
        "[,1]",
        "[1 2]",
        "01",
        "1.",
        ".5",
        "-",
        "+1",
        "1e",
        "nul",
        "nulll",
        "truefalse",
        "'a'",
        "\"\u{1}\"",
        "\"a\nb\"",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"a",
        "{}{}",
        "{} x",
        "[}",
        "{]",
        "NaN",
        "Infinity",
        "// c\n1",
        "/**/1",
        "1 // c",
        "\u{feff}\u{feff}{}",
        "{\"a\":1\u{a0}}",
    ] {
        // A text or number is of another shape before its end is seen.
        let told = all(&layout, body);
        assert!(told == wrong(Wrong::Syntax) || told == wrong(Wrong::Shape), "{body}: {told:?}");
    }
    for body in [&b"\"\xff\""[..], b"\"\xc3", b"{\"a\":\"\xed\xa0\x80\"}", b"\xff\xfe{\0}\0", b"\"\xc0\x80\""]
    {
        let told = run(&layout, &[body], false);
        let told_so = told == wrong(Wrong::Syntax) || told == wrong(Wrong::Shape);
        assert!(told_so, "{}: {told:?}", body.escape_ascii());
    }
}

#[test]
fn a_line_is_a_document() {
    let layout = layout(&[("/email", &[0])], &["/id"]);
    let body = "{\"id\":1,\"email\":\"a\"}\n\n{\"email\":\"b\",\"id\":2}\r\n{\"email\":\"c\"}";
    let out = run(&layout, &[body.as_bytes()], true).unwrap();
    assert_eq!(out, "{\"id\":1,\"email\":<1|.a.>}\n\n{\"email\":<2|.b.>,\"id\":2}\r\n{\"email\":<-|.c.>}");
    for wrong_body in ["{}{}", "{\n}", "{} {}\n", "null null"] {
        assert_eq!(run(&layout, &[wrong_body.as_bytes()], true), wrong(Wrong::Syntax), "{wrong_body}");
    }
    assert!(run(&layout, &[b"\nnull\n\ntrue\n"], true).is_ok());
}

/// Random JSON text, spaced at random.
fn json() -> impl Strategy<Value = String> {
    let space = prop_oneof![4 => Just(""), 1 => Just(" "), 1 => Just("\n\t")];
    let string = r#""([a-zé🦊 {}\[\],:]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4}){0,6}""#;
    let number = r"-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,5})?([eE][+-]?[0-9]{1,3})?";
    let name = prop_oneof![string.prop_map(String::from), "\"(email|id|p|name)\"".prop_map(String::from)];
    let leaf =
        prop_oneof![string, number, Just("true".to_owned()), Just("false".into()), Just("null".into())];
    leaf.prop_recursive(5, 40, 5, move |inner| {
        let space = space.clone();
        let spaced = (space.clone(), inner, space.clone()).prop_map(|(a, v, b)| format!("{a}{v}{b}"));
        let member = (space.clone(), name.clone(), space, spaced.clone())
            .prop_map(|(a, n, b, v)| format!("{a}{n}{b}:{v}"));
        prop_oneof![
            prop::collection::vec(spaced, 0..5).prop_map(|items| format!("[{}]", items.join(","))),
            prop::collection::vec(member, 0..5).prop_map(|members| format!("{{{}}}", members.join(","))),
        ]
    })
}

/// An object that may tell an owner, before or after what else it holds.
#[derive(Debug, Clone)]
struct Holder<T> {
    owner: Option<Option<u8>>,
    last: bool,
    inner: T,
}

fn told<T: std::fmt::Debug + Clone>(inner: impl Strategy<Value = T>) -> impl Strategy<Value = Holder<T>> {
    let owner = prop_oneof![Just(None), Just(Some(None)), (0u8..9).prop_map(|id| Some(Some(id)))];
    (owner, any::<bool>(), inner).prop_map(|(owner, last, inner)| Holder { owner, last, inner })
}

/// A document of owners within owners: phones of people of a company.
type Nested = Holder<Vec<Holder<Vec<Holder<()>>>>>;

fn nested() -> impl Strategy<Value = Nested> {
    let phones = prop::collection::vec(told(Just(())), 0..3);
    told(prop::collection::vec(told(phones), 0..3))
}

impl<T> Holder<T> {
    fn id(&self) -> Option<u8> {
        self.owner.flatten()
    }

    fn object(&self, rest: &str) -> String {
        let owner = self.owner.map(|id| id.map_or("null".to_owned(), |id| id.to_string()));
        match owner.map(|owner| format!("\"owner\":{owner}")) {
            None => format!("{{{rest}}}"),
            Some(owner) if self.last => format!("{{{rest},{owner}}}"),
            Some(owner) => format!("{{{owner},{rest}}}"),
        }
    }
}

/// The document, with each phone's number as `value` writes it for the owners around it: outermost first.
fn written(doc: &Nested, value: impl Fn([Option<u8>; 3]) -> String) -> String {
    let phone = |person: &Holder<_>, phone: &Holder<()>| {
        phone.object(&format!("\"n\":{}", value([doc.id(), person.id(), phone.id()])))
    };
    let people = doc.inner.iter().map(|person| {
        let phones: Vec<String> = person.inner.iter().map(|own| phone(person, own)).collect();
        person.object(&format!("\"phones\":[{}]", phones.join(",")))
    });
    let people: Vec<String> = people.collect();
    doc.object(&format!("\"people\":[{}]", people.join(",")))
}

/// Something near JSON.
fn nearly() -> impl Strategy<Value = String> {
    (json(), any::<prop::sample::Index>(), "[\\x00-\\x7f]{0,2}", 0usize..3).prop_map(
        |(text, at, put, cut)| {
            let mut chars: Vec<char> = text.chars().collect();
            let at = at.index(chars.len() + 1);
            let end = (at + cut).min(chars.len());
            chars.splice(at..end, put.chars());
            chars.into_iter().collect()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn with_nothing_declared_every_byte_stays(body in json(), cut in any::<prop::sample::Index>()) {
        let layout = layout(&[("/nowhere/at/all", &[])], &[]);
        let mut lenient = Splicer::new(layout, vec![0], Settings { depth: 64, lines: false, exact: false }, 1 << 20, false);
        let (a, b) = body.as_bytes().split_at(cut.index(body.len() + 1));
        let mut out = Vec::new();
        for part in [a, b] {
            lenient.feed(&Bytes::copy_from_slice(part)).unwrap();
            lenient.splice(&Replacements::default(), &mut out);
        }
        lenient.finish().unwrap();
        lenient.splice(&Replacements::default(), &mut out);
        prop_assert_eq!(String::from_utf8(out).unwrap(), body);
    }

    #[test]
    fn it_takes_what_serde_takes(body in nearly(), cut in any::<prop::sample::Index>()) {
        let theirs = serde_json::from_str::<serde::de::IgnoredAny>(&body).is_ok() || body.is_empty();
        let theirs = theirs || body.trim_matches([' ', '\n', '\t', '\r']).is_empty();
        let nothing = layout(&[("/nowhere", &[])], &[]);
        let much = layout(&[("/email", &[]), ("/*/email", &[0]), ("/p/name", &[]), ("/*/p/*/name", &[0])], &["/*/id"]);
        let deep = layout(&[("/**/name", &[])], &[]);
        for layout in [nothing, much, deep] {
            let (a, b) = body.as_bytes().split_at(cut.index(body.len() + 1));
            let settings = Settings { depth: 64, lines: false, exact: false };
            let mut ours = Splicer::new(Arc::clone(&layout), vec![9; layout.slots.len()], settings, 1 << 20, false);
            let fed = ours.feed(&Bytes::copy_from_slice(a)).and_then(|()| ours.feed(&Bytes::copy_from_slice(b)));
            let taken = fed.and_then(|()| ours.finish());
            // serde knows nothing of what is declared.
            if taken != Err(Stop::Wrong(Wrong::Duplicate)) {
                prop_assert_eq!(taken.is_ok(), theirs, "{:?}", body);
            }
        }
    }

    /// Whatever it read last, and however far it came with that, a splicer that is used again reads as a new one does.
    #[test]
    fn one_that_is_used_again_begins_anew(
        last in nearly(), body in nearly(), cut in any::<prop::sample::Index>(), lines: bool, whole: bool
    ) {
        let layout = layout(&[("/email", &[1]), ("/*/email", &[0, 1]), ("/p/name", &[1]), ("/*/p/*/name", &[0])], &["/*/id", "/id"]);
        let mut again = Splicer::new(Arc::clone(&layout), vec![0; 4], Settings { depth: 3, lines, exact: false }, 40, whole);
        again.watch(0);
        // It breaks off there, fails, or is refused, and may be spliced as far as it came.
        let (a, b) = last.as_bytes().split_at(cut.index(last.len() + 1));
        if again.feed(&Bytes::copy_from_slice(a)).is_ok() {
            let mut kept = Replacements::default();
            if let Some(number) = again.edits().count().checked_sub(1) {
                kept.keep(number);
            }
            again.splice(&kept, &mut Vec::new());
            let _ = again.feed(&Bytes::copy_from_slice(b));
        }
        again.renew([9; 4].into_iter(), Settings { depth: 64, lines: false, exact: true }, 1 << 20, false);
        prop_assert_eq!(through(&mut again, &[body.as_bytes()]), run(&layout, &[body.as_bytes()], false));
        prop_assert!(again.watched().is_empty());
    }

    /// Of sources in any order the first that is there counts, wherever it stands.
    #[test]
    fn the_first_source_that_is_there_counts(
        doc in nested(),
        order in prop::sample::subsequence(vec![0u16, 1, 2], 0..=3).prop_shuffle(),
        cut in any::<prop::sample::Index>(),
    ) {
        let subjects = ["/owner", "/people/*/owner", "/people/*/phones/*/owner"];
        let layout = layout(&[("/people/*/phones/*/n", &order)], &subjects);
        let body = written(&doc, |_| "0".into());
        let expected = written(&doc, |owners| {
            let first = order.iter().find_map(|slot| owners[usize::from(*slot)]);
            format!("<{}|0>", first.map_or("-".to_owned(), |id| id.to_string()))
        });
        let (a, b) = body.as_bytes().split_at(cut.index(body.len() + 1));
        prop_assert_eq!(run(&layout, &[a, b], false), Ok(expected.clone()));
        let bytes: Vec<&[u8]> = body.as_bytes().chunks(1).collect();
        prop_assert_eq!(run(&layout, &bytes, false), Ok(expected));
    }

    /// Every declared value is replaced, wherever the body is cut; nothing else is.
    #[test]
    fn a_cut_changes_nothing(body in json(), cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6)) {
        let layout = layout(&[("/email", &[1]), ("/*/email", &[0, 1]), ("/p/name", &[1]), ("/*/p/*/name", &[0])], &["/*/id", "/id"]);
        let whole = run(&layout, &[body.as_bytes()], false);
        let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
        at.push(0);
        at.push(body.len());
        at.sort_unstable();
        let parts: Vec<&[u8]> = at.windows(2).map(|pair| &body.as_bytes()[pair[0]..pair[1]]).collect();
        prop_assert_eq!(run(&layout, &parts, false), whole);
    }
}

#[test]
fn lines_that_are_held_are_each_looked_through_once() {
    // Looking through all of them at the end of each takes minutes.
    let lines = 120_000;
    for (place, expected) in [(&[0_u16][..], Told::Here(0)), (&[][..], Told::Nothing)] {
        let layout = layout(&[("/n", place)], &["/id"]);
        let settings = Settings { depth: 64, lines: true, exact: true };
        let mut splicer = Splicer::new(Arc::clone(&layout), vec![9], settings, 8 << 20, true);
        splicer.feed(&Bytes::from("{\"n\":1,\"id\":7}\n".repeat(lines))).unwrap();
        splicer.finish().unwrap();
        assert_eq!(splicer.edits().count(), lines);
        assert_eq!(splicer.edits().next().unwrap().0.told, expected);
    }
}

#[test]
fn more_values_than_may_be_held_are_refused() {
    let layout = layout(&[("/*", &[])], &[]);
    let settings = Settings { depth: 64, lines: false, exact: true };
    let body = Bytes::from(format!("[1{}]", ",1".repeat(20_000)));
    let mut held = Splicer::new(Arc::clone(&layout), vec![0], settings, 1 << 20, true);
    assert_eq!(held.feed(&body), Err(Stop::TooMany(16_384)));
    // Those that may go on are none of them.
    let mut streamed = Splicer::new(Arc::clone(&layout), vec![0], settings, 1 << 20, false);
    assert_eq!(streamed.feed(&body), Ok(()));
}

#[test]
fn ids_of_a_long_stream_are_forgotten_while_values_wait() {
    let layout = layout(&[("/*/n", &[0])], &["/*/id"]);
    let mut splicer = splicer(&layout, false);
    let item = |id: usize| format!("\"id\":{id}}},{{\"n\":1,");
    splicer.feed(&Bytes::from("[{\"n\":1,")).unwrap();
    for piece in 0..1000 {
        // Each ends between a value and its id.
        let body: String = (0..20).map(|id| item(piece * 20 + id)).collect();
        splicer.feed(&Bytes::from(body)).unwrap();
        let mut replacements = Replacements::default();
        for (number, (edit, _)) in splicer.edits().enumerate() {
            let Told::Here(id) = edit.told else { panic!("{edit:?}") };
            assert_eq!(splicer.id(id), (piece * 20 + number).to_string().as_bytes());
            replacements.keep(number);
        }
        splicer.splice(&replacements, &mut Vec::new());
    }
    assert!(splicer.ids() < 50, "{} of them", splicer.ids());
}
