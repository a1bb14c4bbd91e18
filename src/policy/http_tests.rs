//! Routes as the file writes them: what compiles, and what each mistake is told by.

use crate::config::policy_only;
use crate::policy::hash;
use crate::policy::model::{Policy, Protect, RouteSubject, Segment, Spot};

const FIELDS: &str = "[fields]\nemail = { protect = \"pseudonym\", kind = \"email\" }\nname = \"encrypt\"\nphoto = { protect = \"encrypt\", type = \"bytea\" }\n";

fn compiled(section: &str) -> Policy {
    policy_only(&format!("{FIELDS}[[http]]\n{section}")).unwrap()
}

fn wrong(section: &str) -> String {
    policy_only(&format!("{FIELDS}[[http]]\n{section}")).unwrap_err().to_string()
}

fn route(lines: &str) -> String {
    format!("[[http.routes]]\n{lines}\n")
}

#[test]
fn a_route_is_compiled_with_its_places_and_sources() {
    let policy = compiled(
        "class = \"guest\"\n[[http.routes]]\npath = \"/people/{id}/notes\"\nmethods = [\"PUT\"]\nsubject = [\"json:/id\", \"path:id\"]\n\
         fields = { \"/list/*/email\" = \"email\", \"query:a[b]\" = \"email\", \"header:X-Name\" = \"name\", \"form:/n\" = { field = \"name\", class = \"person\", subject = \"form:user\" } }\n",
    );
    let route = &policy.http[0][0];
    assert_eq!(route.segments[1], Segment::Param("id".into()));
    assert_eq!(route.segments[2], Segment::Literal("notes".into()));
    let sources = |n: usize| &route.places[n].owner.sources;
    // A subject without * is sought from the item; one in a body is for values in it.
    assert!(matches!(&sources(0)[0], RouteSubject::Json(pointer) if pointer.to_string() == "/list/*/id"));
    assert_eq!(sources(0)[1], RouteSubject::Path("id".into()));
    assert!(route.places[1].find && !route.places[0].find, "a query compares");
    assert_eq!(route.places[2].spot, Spot::Header("x-name".into()));
    assert_eq!(*sources(2), [RouteSubject::Path("id".into())]);
    assert_eq!((&*route.places[3].owner.class, &route.places[3].spot), ("person", &Spot::Form("n".into())));
    assert_eq!(&*route.places[0].owner.class, "guest");
}

#[test]
fn a_filter_is_compiled_with_its_operators_and_counts_in_the_hash() {
    let of = |operators: &str, rest: &str| {
        compiled(&route(&format!(
            "path = \"/p\"\n{rest}\nfields = {{ \"query:filter#/**/email\" = {{ field = \"email\", operators = [{operators}] }} }}"
        )))
    };
    let policy = of("\"_eq\"", "parameters = []");
    let route = &policy.http[0][0];
    assert!(
        matches!(&route.places[0].spot, Spot::Filter(name, pointer) if &**name == "filter" && pointer.to_string() == "/**/email")
    );
    assert!(route.places[0].find && *route.places[0].operators == ["_eq".into()]);
    assert_eq!(route.parameters.as_deref(), Some(&[][..]));
    let other = hash(&policy);
    assert_ne!(other, hash(&of("\"_eq\", \"_in\"", "parameters = []")));
    assert_ne!(other, hash(&of("\"_eq\"", "")));
    assert_ne!(other, hash(&of("\"_eq\"", "parameters = []\ngraphql = true")));
}

#[test]
fn a_subject_is_sought_from_the_item_or_from_the_root() {
    for (place, subject, found) in [
        ("/phones/*/number", "json:/id", "/phones/*/id"),
        ("/phones/*/number", "json:#/id", "/id"),
        ("/phones/*", "json:/id", "/id"),
        ("/*/phones/*", "json:/id", "/*/id"),
        ("/*/phones/*/number", "json:/*/id", "/*/id"),
        ("/data/email", "json:/data/id", "/data/id"),
    ] {
        let policy = compiled(&route(&format!(
            "path = \"/p\"\nsubject = \"{subject}\"\nfields = {{ \"{place}\" = \"name\" }}"
        )));
        let sources = &policy.http[0][0].places[0].owner.sources;
        assert!(
            matches!(&sources[..], [RouteSubject::Json(pointer)] if pointer.to_string() == found),
            "{place} {subject} {sources:?}"
        );
    }
}

#[test]
fn a_domain_of_its_own_makes_other_tokens_of_the_same_field() {
    let of = |domain: &str| {
        route(&format!(
            "path = \"/c\"\nsubject = \"json:/id\"\ndomain = \"{domain}\"\nfields = {{ \"/email\" = \"email\" }}"
        ))
    };
    let policy = compiled(&of("mailer"));
    let field = policy.field(policy.http[0][0].places[0].field);
    assert!(matches!(&field.protect, Protect::Pseudonym { domain, .. } if &**domain == "mailer/email"));
    assert_eq!(field.tag, policy.fields[0].tag);
    assert_eq!(policy.fields.len(), 4);
    assert_ne!(hash(&policy), hash(&compiled(&of("other"))));
}

#[test]
fn each_mistake_is_told_with_what_would_be_right() {
    let json = "subject = \"json:/id\"\nfields = { \"/name\" = \"name\" }";
    for (lines, told) in [
        (json.to_owned(), "needs `path`"),
        (format!("path = \"people\"\n{json}"), "a path starts with \"/\""),
        (format!("path = \"/a%20b\"\n{json}"), "without escapes"),
        (format!("path = \"/a//b\"\n{json}"), "empty and dot segments"),
        (format!("path = \"/{{*all}}/x\"\n{json}"), "comes last"),
        (format!("path = \"/x{{id}}\"\n{json}"), "a whole segment"),
        (format!("path = \"/p/:id\"\n{json}"), "write {name}"),
        (format!("path = \"/p/*\"\n{json}"), "write {name}"),
        (format!("path = \"/p/<id>\"\n{json}"), "write {name}"),
        (format!("path = \"/p/(.*)\"\n{json}"), "write {name}"),
        (format!("path = \"/p/{{id}}\"\n{json}\n[[http.routes]]\npath = \"/p/{{*rest}}\"\n{json}"), "in one place"),
        (format!("path = \"/p\"\nmethods = [\"get\"]\n{json}"), "did you mean \"GET\"?"),
        ("path = \"/p\"\nsubject = \"json:/id\"".into(), "declares nothing"),
        ("path = \"/p\"\nfields = { \"/name\" = \"name\" }".into(), "names no `subject`"),
        ("path = \"/p\"\nsubject = \"path:id\"\nfields = { \"/name\" = \"name\" }".into(), "no segment {id}"),
        ("path = \"/p\"\nsubject = \"pth:id\"\nfields = { \"/name\" = \"name\" }".into(), "did you mean \"path\"?"),
        ("path = \"/p\"\nsubject = \"jwt:sub\"\nfields = { \"/name\" = \"name\" }".into(), "needs `jwt"),
        ("path = \"/p\"\nsubject = \"json:/id\"\nfields = { \"/name\" = \"nme\" }".into(), "did you mean \"name\"?"),
        ("path = \"/p\"\nsubject = \"json:/id\"\nfields = { \"name\" = \"name\" }".into(), "write \"/name\""),
        ("path = \"/p\"\nsubject = \"json:/id\"\nfields = { \"/a~x\" = \"name\" }".into(), "~0"),
        ("path = \"/p\"\nsubject = \"json:/id\"\nfields = { \"/id\" = \"name\" }".into(), "can't be protected"),
        ("path = \"/p\"\nsubject = \"json:/id\"\nfields = { \"/a\" = \"name\", \"/a/b\" = \"name\" }".into(), "one inside the other"),
        ("path = \"/p\"\nsubject = \"json:/id\"\nfields = { \"/a/0/x\" = \"name\", \"/a/*/y\" = \"name\" }".into(), "by number and by *"),
        ("path = \"/p\"\nsubject = \"json:/*/id\"\nfields = { \"/a/*/x\" = \"name\" }".into(), "stands in other items"),
        ("path = \"/p\"\nsubject = \"response:/id\"\nfields = { \"/*/x\" = \"name\" }".into(), "response:/*/id"),
        ("path = \"/p/{n}\"\nfields = { \"path:n\" = \"name\" }".into(), "declare it \"pseudonym\""),
        ("path = \"/p\"\nfields = { \"/x\" = { field = \"name\", find = true } }".into(), "no two seals are equal"),
        ("path = \"/p\"\nsubject = \"json:/id\"\nfields = { \"header:content-length\" = \"name\" }".into(), "frames the message"),
        ("path = \"/p\"\nsubject = \"json:/id\"\nfields = { \"header:x-name\" = \"name\" }".into(), "names no `subject`"),
        ("path = \"/p/{id}\"\nsubject = \"path:id\"\nbody = \"name\"".into(), "type = \"bytea\""),
        ("path = \"/p/{id}\"\nbody = \"photo\"".into(), "`body` needs a `subject`"),
        ("path = \"/p/{id}\"\nsubject = \"path:id\"\nbody = \"photo\"\nfields = { \"/x\" = \"name\" }".into(), "the whole body"),
        ("path = \"/p\"\nsubject = \"json:/id\"\nfields = { \"/**/name\" = \"name\" }".into(), "compared with (find = true"),
        ("path = \"/p\"\nfields = { \"/**/a/b\" = { field = \"email\", find = true } }".into(), "right before the last member"),
        ("path = \"/p\"\nfields = { \"query:f#/name\" = \"name\" }".into(), "a filter compares"),
        ("path = \"/p\"\nfields = { \"query:f[x]#/name\" = \"email\" }".into(), "own name stands before #"),
        ("path = \"/p\"\nfields = { \"query:f#/**/a\" = \"email\", \"query:f#/b\" = \"email\" }".into(), "lies within it"),
        ("path = \"/p\"\nfields = { \"query:f#/a\" = \"email\", \"query:f\" = \"email\" }".into(), "holds JSON (#) at once"),
        ("path = \"/p\"\nsubject = \"json:/id\"\nfields = { \"/name\" = { field = \"name\", operators = [\"_eq\"] } }".into(), "is not compared with"),
        ("path = \"/p\"\ngraphql = true\nfields = { \"/query\" = { field = \"email\", find = true } }".into(), "one place"),
        (format!("path = \"/p\"\nclas = \"x\"\n{json}"), "did you mean \"class\"?"),
        (format!("path = \"/p\"\ndepth = 0\n{json}"), "from 1 to 10000"),
    ] {
        let message = wrong(&route(&lines));
        assert!(message.contains(told), "{lines}\n{message}");
    }
    let twins = format!(
        "{}{}",
        route(&format!("path = \"/p/{{a}}\"\nmethods = [\"GET\"]\n{json}")),
        route(&format!("path = \"/P/{{b}}\"\n{json}"))
    );
    assert!(wrong(&twins).contains("takes the same requests"));
    assert!(wrong("routes = 7").contains("[[http.routes]]"));
}

#[test]
fn all_mistakes_are_told_at_once() {
    let both = format!(
        "{}{}",
        route("path = \"x\""),
        route("path = \"/y\"\nsubject = \"what:1\"\nfields = { \"/a\" = \"none\" }")
    );
    let message = wrong(&both);
    for told in ["a path starts with", "unknown subject", "no field \"none\""] {
        assert!(message.contains(told), "{told} in {message}");
    }
}
