//! The guard's command, interrupted at any statement: what is half done works, and another run completes it.

use super::differential::{self, Mode, compare_corpus};
use super::guard::guard;
use crate::support::{Message, Raw, World, eventually, row};

/// The command stops before its n-th statement of DDL, as one that waits for a lock.
const HALT: &str = "CREATE TABLE halt (at integer); INSERT INTO halt VALUES (0); CREATE SEQUENCE steps; \
    CREATE FUNCTION stand_still() RETURNS event_trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN \
    IF nextval('public.steps') = (SELECT at FROM public.halt) THEN PERFORM pg_advisory_xact_lock(7); END IF; END $$; \
    CREATE EVENT TRIGGER stand_still ON ddl_command_start EXECUTE FUNCTION stand_still()";

/// How the command ends.
#[derive(Clone, Copy, PartialEq)]
enum End {
    /// Its connection does.
    Connection,
    /// The server does, and comes back.
    Server,
}

/// Runs the command up to its n-th statement, and ends it there. False when it has fewer.
fn interrupted(world: &World, more: &[&str], n: u32, end: End) -> bool {
    let mut direct = world.direct();
    direct.rows("SELECT pg_advisory_lock(7)");
    direct.rows(&format!("UPDATE halt SET at = {n}; SELECT setval('steps', 1, false)"));
    let (code, text) = std::thread::scope(|scope| {
        let running = scope.spawn(|| guard(&world.gateway.home, world.pg.port(), more));
        let waiting = eventually("it stands still, or is done", || {
            let sql = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";
            let found = direct.rows(sql).pop().map(|mut r| r.remove(0));
            found.or_else(|| running.is_finished().then_some(None))
        });
        match (waiting, end) {
            (None, _) => {}
            (Some(pid), End::Connection) => drop(direct.rows(&format!("SELECT pg_terminate_backend({pid})"))),
            (Some(_), End::Server) => world.pg.crash(),
        }
        running.join().unwrap()
    });
    if code != 0 {
        let told = text.contains("the connection was lost") && text.contains("run this again");
        assert!(code == 1 && told && !text.contains("wrong:"), "{text}");
    }
    code != 0
}

/// How many columns have a domain of the guard's.
fn guarded(client: &mut Raw) -> usize {
    client
        .rows(
            "SELECT 1 FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid JOIN pg_namespace n ON n.oid = t.typnamespace \
             JOIN pg_class c ON c.oid = a.attrelid WHERE n.nspname = 'paravent' AND c.relkind = 'r'",
        )
        .len()
}

/// Writes, reads, finds, changes and shows the types of what is protected, as that person.
fn is_right(world: &World, id: usize) {
    let mut client = world.through();
    let command = |answers: Vec<Message>, expected: &str| {
        assert!(answers.iter().any(|m| m.tag == b'C' && m.command() == expected), "{answers:?}");
    };
    let insert = format!(
        "INSERT INTO people (id, email, first_name, last_name, birth_date, age, salary, profile) \
         VALUES ({id}, 'ana{id}@x.example', 'Ana', 'Lefèvre', '1990-12-31', 7, 12.50, '{{\"a\": 1}}')"
    );
    command(client.query(&insert), "INSERT 0 1");
    command(
        client.query(&format!("INSERT INTO comments (author_id, body) VALUES ({id}, 'Un')")),
        "INSERT 0 1",
    );
    command(
        client.query(&format!("INSERT INTO logins (id, email) VALUES ({id}, 'ana{id}@x.example')")),
        "INSERT 0 1",
    );
    command(client.query(&format!("UPDATE people SET nick = 'an', age = 8 WHERE id = {id}")), "UPDATE 1");
    let seen = client.rows(&format!(
        "SELECT p.email, first_name, last_name, nick, birth_date, age, salary, profile, body FROM people p \
         JOIN logins l ON l.email = p.email JOIN comments ON author_id = p.id WHERE l.email = 'ana{id}@x.example'"
    ));
    let email = format!("ana{id}@x.example");
    let expected = [&email, "Ana", "Lefèvre", "an", "1990-12-31", "8", "12.50", "{\"a\": 1}", "Un"];
    assert_eq!(seen, [row(expected)]);
    let found = client.rows(&format!(
        "SELECT id FROM people WHERE last_name LIKE 'Lef%' AND birth_date < '1991-01-01' AND id = {id} ORDER BY first_name"
    ));
    assert_eq!(found, [row([&id.to_string()])]);
    // What changed behind the gateway's back it knows within seconds.
    let expected = [row(["character varying(150)"]), row(["date"]), row(["numeric(10,2)"])];
    eventually("the declared types are shown", || {
        let types = client.rows(
            "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'people'::regclass \
             AND attname IN ('last_name', 'birth_date', 'salary') ORDER BY attnum",
        );
        (types == expected).then_some(())
    });
    let clear = world.direct().rows(
        "SELECT 1 FROM people, comments WHERE first_name !~ '^pv1[.]' OR last_name !~ '^pv1[.]' OR body !~ '^pv1[.]'",
    );
    assert!(clear.is_empty(), "{clear:?}");
}

/// At every statement that a run comes to; each run finds what the ones before have left.
fn at_every_statement(world: &World, more: &[&str], ids: &mut std::ops::RangeFrom<usize>) -> Vec<usize> {
    let mut states = Vec::new();
    for n in 1.. {
        let end = if n % 4 == 0 { End::Server } else { End::Connection };
        if !interrupted(world, more, n, end) {
            break;
        }
        states.push(guarded(&mut world.direct()));
        is_right(world, ids.next().unwrap());
    }
    states
}

/// Which of the columns the planner of the server knows values of.
fn analysed(client: &mut Raw) -> Vec<Vec<Option<String>>> {
    client.rows("SELECT tablename || '.' || attname FROM pg_stats WHERE schemaname = 'public' AND tablename = 'people' ORDER BY 1")
}

#[test]
fn a_guard_that_is_interrupted_at_any_statement_leaves_all_right_and_another_run_completes_it() {
    let world = World::new();
    let mut ids = 1..;
    is_right(&world, ids.next().unwrap());
    world.direct().rows(HALT);
    world.direct().rows("ANALYZE people");
    let known = analysed(&mut world.direct());
    let states = at_every_statement(&world, &[], &mut ids);
    assert!(states.is_sorted() && states[0] == 0, "{states:?}");
    assert!(states.iter().filter(|n| (1..15).contains(*n)).count() > 3, "halfway: {states:?}");
    assert_eq!(guarded(&mut world.direct()), 15);
    assert_eq!(analysed(&mut world.direct()), known);
    let states = at_every_statement(&world, &["--remove"], &mut ids);
    assert!(states.iter().rev().is_sorted(), "{states:?}");
    assert!(states.iter().filter(|n| (1..15).contains(*n)).count() > 3, "halfway: {states:?}");
    assert_eq!(world.direct().rows("SELECT 1 FROM pg_namespace WHERE nspname = 'paravent'"), [[]; 0]);
    assert_eq!(analysed(&mut world.direct()), known);
    is_right(&world, ids.next().unwrap());
}

#[test]
fn a_table_that_is_half_guarded_answers_as_a_clear_copy_does() {
    for (more, n) in [(&[][..], 24), (&["--remove"][..], 6)] {
        let world = World::new();
        if !more.is_empty() {
            assert_eq!(guard(&world.gateway.home, world.pg.port(), &[]).0, 0);
        }
        world.direct().rows(HALT);
        assert!(interrupted(&world, more, n, End::Connection));
        let before = guarded(&mut world.direct());
        assert!((2..14).contains(&before), "{before}");
        world.direct().rows("DROP EVENT TRIGGER stand_still");
        compare_corpus(differential::CORPUS, Mode::Extended(1), world.clear(), world.through());
        assert_eq!(guarded(&mut world.direct()), before);
        // Half taken away, and wanted again; or half done, and not wanted after all.
        let other = if more.is_empty() { &["--remove"][..] } else { &[][..] };
        let (code, text) = guard(&world.gateway.home, world.pg.port(), other);
        assert_eq!(code, 0, "{text}");
        assert_eq!(guarded(&mut world.direct()), if more.is_empty() { 0 } else { 15 });
    }
}
