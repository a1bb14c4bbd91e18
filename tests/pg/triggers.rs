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

/// Made behind the gateway's back, so that only the catalog tells of them.
#[test]
fn a_trigger_that_gives_a_protected_column_a_value_in_any_way_closes_the_table() {
    let world = World::new();
    let mut direct = world.direct();
    direct.rows("CREATE PROCEDURE fills(INOUT a varchar) LANGUAGE plpgsql AS $$ BEGIN a := 'canari'; END $$");
    let mut client = world.through();
    for body in [
        "BEGIN \"new\".last_name := 'canari'; RETURN NEW; END",
        "DECLARE r ALIAS FOR new; BEGIN r.last_name := 'canari'; RETURN NEW; END",
        "DECLARE r people; BEGIN r := NEW; r.last_name := 'canari'; RETURN r; END",
        "BEGIN CALL fills(NEW.last_name); RETURN NEW; END",
        "BEGIN RETURN jsonb_populate_record(NEW, '{\"last_name\": \"canari\"}'); END",
        "BEGIN GET DIAGNOSTICS NEW.version = ROW_COUNT; SELECT 1, 'canari' INTO NEW.version, NEW.last_name; RETURN NEW; END",
    ] {
        direct.rows(&format!(
            "CREATE OR REPLACE FUNCTION fill() RETURNS trigger LANGUAGE plpgsql AS $f$ {body} $f$; \
             DROP TRIGGER IF EXISTS fill ON people; \
             CREATE TRIGGER fill BEFORE INSERT ON people FOR EACH ROW EXECUTE FUNCTION fill()"
        ));
        // Any change of the schema through the gateway makes it read the catalog.
        client.rows("CREATE TABLE settled (x int)");
        let sql = "INSERT INTO people (email, last_name) VALUES ('ana@x.example', 'Roux')";
        assert!(client.fails(sql).line().contains("#trigger"), "{body}");
        client.rows("DROP TABLE settled");
    }
    assert!(direct.rows("SELECT id FROM people").is_empty());
    // After the row is stored, what becomes of NEW does not matter; another statement does.
    for (body, closed) in [
        ("BEGIN NEW.last_name := 'x'; RETURN NULL; END", false),
        ("BEGIN UPDATE people SET last_name = 'canari' WHERE id = NEW.id; RETURN NULL; END", true),
    ] {
        direct.rows(&format!(
            "CREATE OR REPLACE FUNCTION fill() RETURNS trigger LANGUAGE plpgsql AS $f$ {body} $f$; \
             DROP TRIGGER IF EXISTS fill ON people; \
             CREATE TRIGGER fill AFTER INSERT ON people FOR EACH ROW EXECUTE FUNCTION fill()"
        ));
        client.rows("CREATE TABLE settled (x int)");
        let answers = client.query("INSERT INTO people (email, last_name) VALUES ('bo@x.example', 'Roux')");
        assert_eq!(answers.iter().any(|m| m.tag == b'E'), closed, "{body}: {answers:?}");
        client.rows("DROP TABLE settled");
    }
    assert!(direct.rows("SELECT id FROM people WHERE last_name LIKE '%canari%'").is_empty());
}
