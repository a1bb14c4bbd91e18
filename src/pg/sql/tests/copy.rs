//! COPY: the columns that are named, the subject beside them, constants in the place of parameters.

use super::world;
use crate::pg::copy::{Forced, Style};
use crate::pg::plan::{Action, CopySubject, Verdict};

#[test]
fn columns_are_named_and_the_subject_is_added() {
    let world = world();
    for (sql, sent, visible) in [
        (
            "COPY people TO STDOUT",
            "COPY people (\"id\", \"email\", \"last_name\", \"birth_date\", \"job\", \"badge\") TO STDOUT",
            6,
        ),
        (
            "COPY public.people(last_name) TO STDOUT CSV",
            "COPY public.people(last_name, \"id\") TO STDOUT CSV",
            1,
        ),
        ("COPY people (id, last_name) TO STDOUT", "COPY people (id, last_name) TO STDOUT", 2),
        (
            "COPY \"hr\" . \"Staff\" (\"Last Name\") TO STDOUT",
            "COPY \"hr\" . \"Staff\" (\"Last Name\", \"id\") TO STDOUT",
            1,
        ),
        (
            "COPY (SELECT last_name FROM people) TO STDOUT",
            "COPY (SELECT last_name, \"people\".\"id\" AS \"paravent 0\" FROM people) TO STDOUT",
            1,
        ),
    ] {
        let plan = world.run(sql);
        assert_eq!((plan.sql.as_str(), plan.visible), (sent, Some(visible)), "{sql}");
        assert!(plan.copy.as_ref().is_some_and(|c| c.from.is_none()));
    }
}

#[test]
fn a_condition_makes_it_a_query() {
    let plan = world().run("COPY admin_log (object_repr) TO STDOUT (FORMAT csv, FORCE_QUOTE (object_repr))");
    assert_eq!(
        plan.sql,
        "COPY (SELECT \"admin_log\".\"object_repr\", \"admin_log\".\"object_id\" AS \"paravent 0\", \
         (\"admin_log\".\"content_type_id\" = (SELECT \"id\" FROM \"public\".\"content_type\" WHERE \
         \"app_label\" = 'auth' AND \"model\" = 'user')) AS \"paravent 1\" \
         FROM ONLY \"public\".\"admin_log\" AS \"admin_log\") TO STDOUT (FORMAT csv, FORCE_QUOTE (object_repr))"
    );
    assert_eq!(plan.outputs[0].when, Some(2));
}

#[test]
fn rows_that_come_in_know_their_subject() {
    let world = world();
    let from = |sql: &str| {
        let plan = world.run(sql);
        let from = plan
            .copy
            .as_ref()
            .and_then(|c| c.from.as_ref())
            .map(|f| (f.subject, f.fields.iter().map(|f| f.column).collect::<Vec<_>>(), f.columns.len()));
        (plan.sql.clone(), from.unwrap())
    };
    let (_, told) = from("COPY people (last_name, id, email) FROM STDIN");
    assert_eq!(told, (CopySubject::Column(1), vec![0, 2], 3));
    let (sql, told) = from("COPY people (last_name, email) FROM STDIN");
    assert_eq!(sql, "COPY people (last_name, email, \"id\") FROM STDIN");
    assert_eq!(told, (CopySubject::Drawn, vec![0, 1], 2));
    let (_, told) = from("COPY comments (body) FROM STDIN");
    assert_eq!(told, (CopySubject::Nobody, vec![0], 1));
}

#[test]
fn a_copy_of_nothing_protected_passes() {
    let world = world();
    for sql in [
        "COPY people (id, job) TO STDOUT",
        "COPY people (id, job) FROM '/tmp/x'",
        "COPY (SELECT job FROM articles) TO STDOUT",
        "COPY articles FROM STDIN WHERE id > 1",
    ] {
        assert!(matches!(world.verdict(sql), Verdict::Pass), "{sql}");
    }
    // A condition may compare with a protected column, whatever is copied.
    assert_eq!(world.refusal("COPY people (id) FROM STDIN WHERE last_name = 'x'").anchor, "copy");
}

#[test]
fn a_compared_value_is_a_constant_made_later() {
    let plan =
        world().run("COPY (SELECT id FROM people WHERE email = 'a@x.example' AND job = 'b') TO STDOUT");
    assert_eq!(plan.sql, "COPY (SELECT id FROM people WHERE email = NULL AND job = 'b') TO STDOUT");
    let constants = plan.constants.as_ref().unwrap();
    assert!(plan.copy.is_some() && plan.params.is_empty() && !plan.cacheable);
    assert!(matches!(constants.values[0].action, Action::Find { .. }));
    assert_eq!(constants.pieces[0].1, Some(0));
}

#[test]
fn options_of_either_syntax_read_alike() {
    let world = world();
    let options = |sql: &str| world.run(sql).copy.as_ref().unwrap().options.clone();
    let old = options(
        "COPY people (id, email) TO STDOUT WITH DELIMITER AS ';' NULL 'x' CSV HEADER QUOTE '%' FORCE QUOTE email",
    );
    let new = options(
        "COPY people (id, email) TO STDOUT (format csv, delimiter ';', null 'x', header true, quote '%', force_quote (email))",
    );
    assert_eq!(old, new);
    assert_eq!((new.style, new.escape, &new.force_quote), (Style::Csv, b'%', &Forced::Columns(vec![1])));
    assert_eq!(options("COPY BINARY people (id, email) FROM STDIN").style, Style::Binary);
    assert_eq!(options("COPY people (email) FROM STDIN USING DELIMITERS ':'").delimiter, b':');
}
