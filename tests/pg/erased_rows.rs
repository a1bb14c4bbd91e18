//! What an erased person's row counts for in aggregates, orders and groups: what a NULL in its place would.

use crate::support::{Message, Raw, World, eventually};

const ROWS: &str = "INSERT INTO people (id, email, first_name, birth_date, age, dept_id) VALUES \
     (1, 'ana@x.example', 'Ana', '1980-01-01', 10, 1), (2, 'bea@x.example', 'Bea', '1985-01-01', 20, 1), \
     (3, 'cleo@x.example', 'Cleo', '1990-01-01', 30, 2), (4, 'dora@x.example', 'Dora', '1995-01-01', 40, 2), \
     (5, 'emil@x.example', 'Emil', '1999-01-01', 50, 3)";

/// What the gateway evaluates: it knows who is erased at once, whatever the column shows of them.
const EXTREMES: &[&str] = &[
    "SELECT min(email) FROM people",
    "SELECT max(email) FROM people",
    "SELECT min(email), max(email), count(*) FROM people",
    "SELECT min(first_name), max(first_name) FROM people",
    "SELECT min(birth_date), max(birth_date) FROM people",
    "SELECT min(age), max(age) FROM people",
    "SELECT min(email) FROM people WHERE id < 3",
    "SELECT max(email) FROM people WHERE id > 3",
    "SELECT min(email) FROM people WHERE id IN (1, 5)",
    "SELECT dept_id, min(email), max(first_name) FROM people GROUP BY dept_id ORDER BY dept_id",
    "SELECT min(p.email) FROM people p JOIN depts d ON d.id = p.dept_id",
    "SELECT min(p.first_name) FROM people p, depts d WHERE d.id = p.dept_id",
    "SELECT min(DISTINCT email) FROM people",
    "SELECT (SELECT min(email) FROM people)",
    "SELECT id FROM people WHERE email = (SELECT min(email) FROM people)",
    "SELECT min(email) FROM people HAVING count(*) > 1",
    "SELECT count(DISTINCT first_name) FROM people",
];

/// The same, where a column can be NULL.
const ORDERS: &[&str] = &[
    "SELECT id, email FROM people ORDER BY email",
    "SELECT id FROM people ORDER BY email DESC NULLS LAST, id",
    "SELECT id, first_name FROM people ORDER BY first_name, id",
    "SELECT id, birth_date FROM people ORDER BY birth_date DESC, id",
    "SELECT id FROM people ORDER BY first_name LIMIT 2",
    "SELECT first_name, count(*) FROM people GROUP BY first_name",
    "SELECT DISTINCT first_name FROM people",
    "SELECT id FROM people WHERE first_name <> 'Bea' ORDER BY id",
    "SELECT id FROM people WHERE email LIKE '%x%' ORDER BY id",
];

/// What the database evaluates: to it the values are gone once they are swept.
const SWEPT: &[&str] = &[
    "SELECT count(email), count(first_name), count(*) FROM people",
    "SELECT count(DISTINCT email) FROM people",
    "SELECT DISTINCT email FROM people",
    "SELECT email, count(*) FROM people GROUP BY email",
    "SELECT id FROM people WHERE email IS NULL ORDER BY id",
    "SELECT id FROM people WHERE first_name IS NOT NULL ORDER BY id",
    "SELECT id FROM people WHERE email <> 'bea@x.example' ORDER BY id",
];

/// Rows of which no order was asked for come in any.
fn lines(sql: &str, messages: &[Message]) -> Vec<String> {
    let mut lines: Vec<String> = messages.iter().map(Message::line).collect();
    if !sql.contains("ORDER BY") {
        lines.sort();
    }
    lines
}

fn alike(clear: &mut Raw, through: &mut Raw, queries: &[&str]) {
    for sql in queries {
        let direct = lines(sql, &clear.query(sql));
        assert_eq!(lines(sql, &through.query(sql)), direct, "{sql}");
    }
}

/// People 1 and 5 are erased; in the clear copy they are NULL.
fn erased(world: &World) -> (Raw, Raw) {
    let (mut clear, mut through) = (world.clear(), world.through());
    clear.rows("ALTER TABLE people ALTER email DROP NOT NULL");
    clear.rows(ROWS);
    through.rows(ROWS);
    for id in [1, 5] {
        world.gateway.admin().erase(id);
        let sql = "UPDATE people SET email = NULL, first_name = NULL, birth_date = NULL, age = NULL";
        clear.rows(&format!("{sql} WHERE id = {id}"));
    }
    (clear, through)
}

#[test]
fn the_least_and_the_greatest_are_of_those_who_are_left() {
    let world = World::new();
    let (mut clear, mut through) = erased(&world);
    alike(&mut clear, &mut through, EXTREMES);
    through.rows("ALTER TABLE people ALTER email DROP NOT NULL");
    alike(&mut clear, &mut through, EXTREMES);
    alike(&mut clear, &mut through, ORDERS);
}

#[test]
fn once_they_are_swept_the_database_counts_them_as_null_too() {
    let world = World::new();
    let mut superuser = Raw::connect_as(world.pg.port(), &[("user", "postgres"), ("database", "app")]);
    superuser.rows("GRANT UPDATE ON people, comments TO paravent");
    superuser.rows("ALTER TABLE people ALTER email DROP NOT NULL");
    let (mut clear, mut through) = erased(&world);
    let mut direct = world.direct();
    eventually("they are swept", || {
        let left = direct.rows("SELECT id FROM people WHERE (email, first_name, birth_date, age) IS NULL");
        (left.len() == 2).then_some(())
    });
    for queries in [EXTREMES, ORDERS, SWEPT] {
        alike(&mut clear, &mut through, queries);
    }
}
