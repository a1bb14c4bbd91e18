//! An erasure at a moment when somebody is at work with the same person: each has one answer.

use crate::support::raw::{bind_text, execute, parse, sync};
use crate::support::{World, eventually, row};
use std::thread;

const ONE: &str = "SELECT email, first_name, last_name FROM people WHERE id = 1";

fn gone() -> Vec<Option<String>> {
    row(["", "NULL", "NULL"])
}

#[test]
fn what_an_open_transaction_wrote_about_the_person_is_erased_with_the_rest() {
    let world = World::new();
    world.people(&["Ana", "Bea"]);
    let mut writer = world.through();
    writer.rows("BEGIN");
    writer.rows("UPDATE people SET last_name = 'Neu' WHERE id = 1");
    let receipt = world.gateway.admin().erase(1);
    assert_eq!(receipt["stage"], "live", "an erasure waits for nobody's transaction");
    // In the same transaction: what it wrote is gone, and nothing more may be written.
    assert_eq!(writer.rows(ONE), [gone()]);
    let refused = writer.fails("UPDATE people SET last_name = 'Wieder' WHERE id = 1");
    assert_eq!(refused.sqlstate(), "0A000", "{refused:?}");
    writer.rows("ROLLBACK");
    // And where it commits instead.
    let mut writer = world.through();
    writer.rows("BEGIN");
    writer.rows("UPDATE people SET last_name = 'Neu' WHERE id = 2");
    world.gateway.admin().erase(2);
    writer.rows("COMMIT");
    for id in [1, 2] {
        let sql = format!("SELECT email, first_name, last_name FROM people WHERE id = {id}");
        assert_eq!(world.through().rows(&sql), [gone()], "{id}");
    }
}

#[test]
fn somebody_whose_first_row_is_not_committed_yet_is_erased_too() {
    let world = World::new();
    let mut writer = world.through();
    writer.rows("BEGIN");
    let sql = "INSERT INTO people (email, first_name) VALUES ('ana@people.example', 'Ana') RETURNING id";
    assert_eq!(writer.rows(sql), [row(["1"])]);
    let receipt = world.gateway.admin().erase(1);
    assert_eq!(receipt["keys"].as_array().unwrap().len(), 1, "{receipt}");
    writer.rows("COMMIT");
    assert_eq!(world.through().rows(ONE), [gone()]);
    assert_eq!(world.gateway.admin().state(1).as_deref(), Some("erased"));
}

#[test]
fn an_open_cursor_and_a_suspended_portal_show_nothing_more_of_the_person() {
    let world = World::new();
    world.people(&["Ana", "Bea"]);
    world.through().rows(
        "INSERT INTO comments (author_id, body) VALUES (1, 'eins'), (1, 'zwei'), (1, 'drei'), (2, 'vier')",
    );
    let sql = "SELECT body FROM comments ORDER BY id";
    let mut reader = world.through();
    reader.rows("BEGIN");
    reader.rows(&format!("DECLARE c CURSOR FOR {sql}"));
    assert_eq!(reader.rows("FETCH 1 FROM c"), [row(["eins"])]);
    let mut portal = world.through();
    portal.rows("BEGIN");
    let ask = [parse("s", sql, &[]), bind_text("p", "s", &[], &[0]), execute("p", 1), sync()].concat();
    portal.send(&ask);
    let first: Vec<_> = portal.until_ready().iter().filter(|m| m.tag == b'D').map(|m| m.texts()).collect();
    assert_eq!(first, [row(["eins"])]);
    world.gateway.admin().erase(1);
    assert_eq!(reader.rows("FETCH 1 FROM c"), [row(["NULL"])]);
    portal.send(&[execute("p", 0), sync()].concat());
    let rest: Vec<_> = portal.until_ready().iter().filter(|m| m.tag == b'D').map(|m| m.texts()).collect();
    assert_eq!(rest, [row(["NULL"]), row(["NULL"]), row(["vier"])]);
    assert_eq!(reader.rows("FETCH ALL FROM c"), [row(["NULL"]), row(["vier"])]);
}

/// The export stops at a locked table; whichever it read before, nothing of it is handed out.
#[test]
fn an_export_under_way_hands_nothing_out_once_the_erasure_is_answered() {
    let world = World::new();
    world.people(&["Ana", "Bea"]);
    world.through().rows("INSERT INTO comments (author_id, body) VALUES (1, 'de Ana'), (2, 'de Bea')");
    world.direct().rows("ALTER ROLE paravent BYPASSRLS; GRANT SELECT ON people, comments TO paravent");
    for (id, table) in [(1, "people"), (2, "comments")] {
        let path = format!("/v1/subjects/person/{id}/export");
        assert_eq!(world.gateway.admin().get(&path).status, 200, "it can be read");
        let mut lock = world.direct();
        lock.rows("BEGIN");
        lock.rows(&format!("LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"));
        let admin = world.gateway.admin();
        let export = thread::spawn(move || admin.get(&path));
        let mut watch = world.direct();
        eventually("the export waits for the table", || {
            // The sweep of the erasure before may wait as well.
            let sql = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%LIMIT 100001'";
            (watch.rows(sql) == [row(["1"])]).then_some(())
        });
        assert_eq!(world.gateway.admin().erase(id)["stage"], "live", "an erasure waits for no table");
        lock.rows("ROLLBACK");
        let answer = export.join().unwrap();
        assert_eq!(answer.status, 409, "{table}: {answer:?}");
        assert!(answer.body.contains("admin-erased") && !answer.body.contains("Ana"), "{answer:?}");
    }
}
