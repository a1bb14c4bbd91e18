//! What the database itself would put into a protected column in clear is refused, or what it hangs on is.

use crate::support::{World, row};

const SETS: &str = "CREATE OR REPLACE FUNCTION sets() RETURNS trigger LANGUAGE plpgsql AS \
     $$ BEGIN NEW.first_name := 'in clear'; RETURN NEW; END $$";
const HARMLESS: &str = "CREATE OR REPLACE FUNCTION touched() RETURNS trigger LANGUAGE plpgsql AS \
     $$ BEGIN NEW.version := NEW.version + 1; IF NEW.first_name = OLD.first_name THEN NULL; END IF; RETURN NEW; END $$";

#[test]
fn a_trigger_that_assigns_a_protected_column_is_refused() {
    let world = World::new();
    world.people(&["Ana"]);
    let mut client = world.through();
    client.rows(SETS);
    let trigger = "CREATE TRIGGER t BEFORE UPDATE ON people FOR EACH ROW EXECUTE FUNCTION sets()";
    assert!(client.fails(trigger).line().contains("trigger-assigns"));
    assert!(
        client
            .fails(&format!("{}; {}", SETS.replace("sets()", "more()"), trigger.replace("sets", "more")))
            .line()
            .contains("0A000")
    );
    // On another table it may do what it wants.
    client.rows("CREATE TABLE guests (id integer, first_name text)");
    client.rows("CREATE TRIGGER t BEFORE INSERT ON guests FOR EACH ROW EXECUTE FUNCTION sets()");
    // One that minds its own columns is fine, until it does not.
    client.rows(HARMLESS);
    client.rows("CREATE TRIGGER t BEFORE UPDATE ON people FOR EACH ROW EXECUTE FUNCTION touched()");
    client.rows("UPDATE people SET first_name = 'Anne' WHERE id = 1");
    assert_eq!(client.rows("SELECT first_name, version FROM people"), [row(["Anne", "1"])]);
    assert!(client.fails(&SETS.replace("sets()", "touched()")).line().contains("trigger-assigns"));
    assert_eq!(client.rows("SELECT first_name FROM people"), [row(["Anne"])]);
    // Behind the gateway's back: writes are refused once it is known.
    world.direct().rows(&SETS.replace("sets()", "touched()"));
    crate::support::eventually("the catalog is read again", || {
        let answers = client.query("UPDATE people SET title = 'x', first_name = 'Anna' WHERE id = 1");
        answers.iter().any(|m| m.tag == b'E' && m.line().contains("#trigger")).then_some(())
    });
}

#[test]
fn nothing_in_clear_goes_to_an_unprotected_parent_of_a_protected_table() {
    let world = World::new();
    let mut direct = world.direct();
    direct.rows("CREATE TABLE anybody (id integer, author_id integer, body text, likes integer NOT NULL DEFAULT 0); GRANT ALL ON anybody TO app");
    direct.rows("ALTER TABLE anybody ALTER id SET NOT NULL; ALTER TABLE comments INHERIT anybody");
    let mut client = world.through();
    for sql in [
        "UPDATE anybody SET body = 'clear'",
        "COPY anybody (id, body) FROM STDIN",
        "INSERT INTO comments (author_id, body) VALUES (1, 'Bonjour')",
    ] {
        assert_eq!(client.fails(sql).sqlstate(), "0A000", "{sql}");
    }
}
