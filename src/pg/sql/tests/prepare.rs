//! PREPARE and EXECUTE.

use super::world::{BIRTH, EMAIL, LAST, World, world};
use crate::pg::plan::{Action, CallKind, Given, Plan, Prepares, Source, SubjectSource, Verdict};
use crate::pg::refusal::Refusal;
use crate::pg::sql::execute::{Called, execute};
use crate::pg::sql::{Scope, StatementKind};
use std::sync::Arc;

fn prepares(sql: &str) -> (Arc<Plan>, Arc<Prepares>) {
    let plan = world().run(sql);
    let prepares = plan.prepares.clone().unwrap();
    (plan, prepares)
}

#[test]
fn a_prepared_statement_is_planned_as_one_of_its_own() {
    let (plan, made) = prepares(
        "prepare \"P q\" (varchar(9), date) AS UPDATE people SET last_name = $1, birth_date = $2, \
                  job = 'a' WHERE id = $3 AND email = 'x' -- end",
    );
    assert_eq!(
        plan.sql,
        "PREPARE \"P q\" (text, bytea, unknown, text) AS UPDATE people SET last_name = $1, birth_date = $2, \
         job = 'a' WHERE id = $3 AND email = $4"
    );
    assert!(!plan.cacheable && !plan.stays_simple() && plan.params.is_empty());
    assert_eq!((&*made.name, &made.declared[..]), ("P q", &[1043, 1082][..]));
    assert!(made.text.starts_with("UPDATE people") && made.text.ends_with("'x'"));
    let actions: Vec<Action> = made.plan.as_ref().unwrap().params.iter().map(|p| p.action.clone()).collect();
    assert_eq!(
        actions,
        [
            Action::Seal { field: LAST, row: 0 },
            Action::Seal { field: BIRTH, row: 0 },
            Action::Relay,
            Action::Find { field: EMAIL }
        ]
    );
}

#[test]
fn types_that_nothing_protected_needs_stay_as_they_were_written() {
    for (sql, sent) in [
        ("PREPARE a AS SELECT last_name FROM people", "PREPARE \"a\" AS SELECT last_name FROM people"),
        (
            "PREPARE a (pg_catalog.int8, \"My\"[]) AS SELECT email FROM people WHERE id = $1",
            "PREPARE \"a\" (pg_catalog.int8, \"My\"[]) AS SELECT email FROM people WHERE id = $1",
        ),
        (
            "PREPARE a AS SELECT job FROM people WHERE id = $1 AND email = ANY($2)",
            "PREPARE \"a\" (unknown, text[]) AS SELECT job FROM people WHERE id = $1 AND email = ANY($2)",
        ),
        (
            "PREPARE a AS SELECT email FROM people WHERE id = $1",
            "PREPARE \"a\" AS SELECT email FROM people WHERE id = $1",
        ),
    ] {
        let (plan, made) = prepares(sql);
        assert!(plan.sql.starts_with(sent.split(" FROM").next().unwrap()), "{}", plan.sql);
        assert!(plan.sql.ends_with(&made.plan.as_ref().unwrap().sql), "{}", plan.sql);
    }
}

#[test]
fn positions_of_errors_are_those_of_the_clients_text() {
    let sql =
        "SELECT 'é'; PREPARE a (date) AS SELECT last_name, nothing FROM people WHERE email = 'é' OR wrong";
    let planned = world().script(sql, &[]).unwrap();
    // `nothing` is no column: what stands in for the statement fails.
    assert!(matches!(planned[1].verdict, Verdict::NeedsCatalog));
    let sql = sql.replace(", nothing", "").replace("wrong", "id = 1");
    let planned = world().script(&sql, &[]).unwrap();
    let Verdict::Run(plan) = &planned[1].verdict else { panic!("{planned:?}") };
    let place =
        |text: &str, what: &str| u32::try_from(text[..text.find(what).unwrap()].chars().count() + 1).unwrap();
    for what in ["last_name", "WHERE", "OR id"] {
        assert_eq!(plan.splices.original(place(&plan.sql, what)), place(&sql, what), "{what}");
    }
}

#[test]
fn what_can_not_be_protected_is_refused_when_it_is_prepared() {
    let world = world();
    for (sql, anchor) in [
        ("PREPARE a AS SELECT upper(last_name) FROM people", "encrypted-operator"),
        ("PREPARE a AS UPDATE people SET last_name = job", "protected-expression"),
        ("PREPARE a AS UPDATE people SET last_name = $1, job = $1", "mixed-parameter"),
        ("EXECUTE a(touch_people())", "function"),
        ("EXPLAIN EXECUTE a(touch_people())", "function"),
    ] {
        assert_eq!(world.refusal(sql).anchor, anchor, "{sql}");
    }
    for sql in ["PREPARE a AS SELECT 1", "PREPARE a AS SELECT comments FROM articles", "DEALLOCATE people"] {
        assert!(matches!(world.verdict(sql), Verdict::Pass), "{sql}");
    }
}

#[test]
fn tells_what_statements_do_to_the_names() {
    use StatementKind as K;
    let script = "PREPARE \"A\" AS SELECT 1; EXECUTE a; DEALLOCATE PREPARE U&\"\\0061\"; DEALLOCATE ALL; DISCARD ALL; \
                  DISCARD PLANS; EXPLAIN EXECUTE a";
    let kinds: Vec<_> = world().script(script, &[]).unwrap().into_iter().map(|p| p.kind).collect();
    assert_eq!(
        kinds,
        [
            K::Prepare("A".into()),
            K::Execute,
            K::Deallocate(Some("a".into())),
            K::Deallocate(None),
            K::DiscardAll,
            K::Other,
            K::Execute
        ]
    );
}

/// The plan of an EXECUTE of what was prepared.
fn call(world: &World, prepared: &str, sql: &str) -> Result<Plan, Refusal> {
    let made = world.run(prepared).prepares.clone().unwrap();
    let Verdict::Call(call) = world.verdict(sql) else { panic!("{sql} is no EXECUTE") };
    let path = ["public".into()];
    let scope = Scope {
        policy: &world.policy,
        tables: &world.tables,
        catalog: &world.catalog,
        search_path: path[..].into(),
        refreshed: false,
        server_version: 150_018,
    };
    let called = Called { plan: made.plan.as_ref().unwrap(), declared: &made.declared };
    execute(&call, sql, &(0..sql.len()), called, &scope)
}

#[test]
fn arguments_become_constants_of_the_plan() {
    let world = world();
    let prepared = "PREPARE p (int8, text, date) AS INSERT INTO people (id, last_name, birth_date, job, email) \
                    VALUES ($1, $2, $3, $4, 'fixed')";
    let plan = call(&world, prepared, "EXECUTE p(7, E'a\\nb', date '2000-01-01', upper('x'))").unwrap();
    assert_eq!(plan.sql, "EXECUTE \"p\" (NULL, NULL, NULL, NULL, NULL)");
    let calls = plan.calls.as_ref().unwrap();
    assert_eq!((&*calls.name, &calls.expressions[..]), ("p", &[(3, "upper('x')".to_owned())][..]));
    assert!(plan.client_params.is_empty() && !plan.cacheable);
    let literal = |i: usize| match &plan.params[i].source {
        Source::Literal(value) => value.as_ref().map(|v| String::from_utf8_lossy(v.bytes()).into_owned()),
        other => panic!("{other:?}"),
    };
    assert_eq!(literal(0).as_deref(), Some("7"));
    assert_eq!(literal(1).as_deref(), Some("a\nb"));
    assert_eq!(literal(2).as_deref(), Some("2000-01-01"));
    assert!(matches!(plan.params[3].source, Source::Client(0)));
    assert_eq!(literal(4).as_deref(), Some("fixed"));
    let write = plan.write.as_ref().unwrap();
    assert!(matches!(&write.rows[0].subject, SubjectSource::Literal(id) if &**id == "7"));
    // What only the server can tell is asked for first, as the subject too.
    let plan = call(&world, prepared, "EXECUTE p(3 + 4, NULL, NULL, 'x')").unwrap();
    assert_eq!(plan.calls.as_ref().unwrap().expressions, [(0, "3 + 4".to_owned())]);
    assert!(matches!(plan.write.as_ref().unwrap().rows[0].subject, SubjectSource::Client(0)));
    let plan = call(&world, prepared, "EXECUTE p(NULL, NULL, NULL, 1.5)").unwrap();
    assert!(matches!(plan.write.as_ref().unwrap().rows[0].subject, SubjectSource::Nobody));
    assert_eq!(plan.calls.as_ref().unwrap().expressions, [(3, "1.5".to_owned())]);
}

#[test]
fn arguments_that_can_not_be_protected_are_refused() {
    let world = world();
    let prepared = "PREPARE p AS UPDATE people SET last_name = $1 WHERE email = $2";
    for (sql, anchor) in [
        ("EXECUTE p(upper('x'), 'y')", "protected-expression"),
        ("EXECUTE p('x', current_user)", "protected-expression"),
        ("EXECUTE p('x'::varchar(3), 'y')", "cast"),
        ("EXECUTE p('x', 'y'::date)", "cast"),
        ("EXPLAIN ANALYZE EXECUTE p('x', 'y')", "explain-analyze"),
        ("CREATE TABLE t AS EXECUTE p('x', 'y')", "create-table-as"),
        ("EXPLAIN CREATE TABLE t AS EXECUTE p('x', 'y')", "create-table-as"),
    ] {
        match call(&world, prepared, sql) {
            Err(refusal) => assert_eq!(refusal.anchor, anchor, "{sql}"),
            other => panic!("{sql}: {other:?}"),
        }
    }
}

#[test]
fn arguments_that_the_server_complains_of_are_not_sent() {
    let world = world();
    let prepared =
        "PREPARE p AS SELECT last_name FROM people WHERE email = $1 AND id = $2 AND email <> 'own'";
    for (sql, sent) in [
        ("EXECUTE p('x')", "EXECUTE \"p\" (NULL)"),
        ("EXECUTE p", "EXECUTE \"p\""),
        ("EXECUTE p('x', 'y', 'z')", "EXECUTE \"p\" (NULL, NULL, NULL, NULL)"),
        ("EXECUTE p('x', $7)", "EXECUTE \"p\" ($7, NULL, NULL)"),
        ("EXPLAIN EXECUTE p('x')", "EXPLAIN EXECUTE \"p\" (NULL)"),
    ] {
        let plan = call(&world, prepared, sql).unwrap();
        assert_eq!(plan.sql, sent, "{sql}");
        assert!(plan.calls.is_none() && plan.params.is_empty(), "{sql}");
    }
}

#[test]
fn explained_it_holds_tokens_and_nothing_that_would_be_sealed() {
    let world = world();
    let prepared =
        "PREPARE p AS UPDATE people SET last_name = $1, job = $3 WHERE email = $2 AND email = 'own'";
    let sql = "EXPLAIN (COSTS off) EXECUTE p('x', 'y'::text, f(1, ')')) ";
    let plan = call(&world, prepared, sql).unwrap();
    assert_eq!(plan.sql, "EXPLAIN (COSTS off) EXECUTE p(NULL, NULL, f(1, ')'), NULL, NULL) ");
    let constants = plan.constants.as_ref().unwrap();
    assert_eq!(constants.pieces.iter().map(|p| p.1).collect::<Vec<_>>(), [Some(0), Some(1), None]);
    assert!(constants.values.iter().all(|v| v.action == Action::Find { field: EMAIL }));
    assert!(!plan.stays_simple() && plan.write.is_none());
    let plan =
        call(&world, "PREPARE p AS SELECT id FROM people WHERE email = 'own'", "EXPLAIN EXECUTE p -- x")
            .unwrap();
    assert_eq!(plan.sql, "EXPLAIN EXECUTE p -- x\n(NULL)");
}

#[test]
fn an_argument_is_cut_out_wherever_it_ends() {
    let sql = "EXPLAIN VERBOSE EXECUTE \"a b\" ( 'x' , ROW(1, 2) , ARRAY[1,2] /* , */ , -5, NULL::text, $2 )";
    let Verdict::Call(call) = world().verdict(sql) else { panic!("{sql}") };
    assert_eq!((&*call.name, call.how), ("a b", CallKind::Explain { analyze: false }));
    let texts: Vec<&str> = call.args.iter().map(|a| &sql[a.range.clone()]).collect();
    assert_eq!(texts, ["'x'", "ROW(1, 2)", "ARRAY[1,2]", "-5", "NULL::text", "$2"]);
    assert!(matches!(call.args[0].given, Given::Literal { bare: true, .. }));
    assert!(matches!(call.args[1].given, Given::Expression));
    assert!(matches!(call.args[4].given, Given::Null));
    assert!(matches!(call.args[5].given, Given::Param(2)));
}
