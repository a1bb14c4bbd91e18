//! A million values that stand where they don't belong: another column's, another table's, another person's. Each is
//! read in each shape that the planner lets pass, as the session reads it.

use crate::clear::Clear;
use crate::ids::{FieldId, Subject};
use crate::pg::plan::Plan;
use crate::pg::session::rows::{Opener, RowError, Scratch};
use crate::pg::sql::tests::{World, world};
use crate::pg::value::Settings;
use crate::protect::tests::House;
use crate::protect::{Door, Item, Owner, Stored, armour};
use std::sync::Arc;

const POLICY: &str = r#"
[fields]
last_name  = "encrypt"
birth_date = { protect = "encrypt", type = "date" }
email      = { protect = "pseudonym", kind = "email" }
comment    = "encrypt"

[[postgres]]
[postgres.tables.people]
subject = "id"
fields  = ["email", "last_name", "birth_date"]
bind    = "refuse"
[postgres.tables.archive]
subject = "id"
fields  = ["email", "last_name", "birth_date"]
bind    = "refuse"
[postgres.tables.comments]
subject = "author_id"
fields  = { body = "comment" }
bind    = "refuse"
[postgres.tables.contacts]
subject = "person_id"
fields  = ["email"]
bind    = "refuse"
"#;

/// Every shape in which rows tell whose they are, whether the client selects that or not.
const SHAPES: [&str; 32] = [
    "SELECT last_name, birth_date, email FROM people",
    "SELECT id, email, last_name FROM people WHERE job = 'x' ORDER BY id LIMIT 3",
    "SELECT * FROM people",
    "SELECT p.last_name, c.body, a.email FROM people p JOIN comments c ON c.author_id = p.id LEFT JOIN archive a ON a.id = p.id",
    "SELECT body FROM comments c WHERE EXISTS (SELECT 1 FROM people p WHERE p.id = c.author_id)",
    "SELECT s.last_name FROM (SELECT id, last_name FROM people) s",
    "WITH w AS (SELECT id, email, birth_date FROM archive) SELECT w.birth_date, w.email FROM w",
    "SELECT id, last_name FROM people UNION ALL SELECT id, last_name FROM archive",
    "SELECT DISTINCT id, last_name FROM people",
    "SELECT id, last_name, count(*) FROM people GROUP BY id",
    "SELECT DISTINCT ON (id) last_name, id FROM people",
    "SELECT DISTINCT last_name FROM people",
    "SELECT last_name, rank() OVER (PARTITION BY job ORDER BY id) FROM people",
    "SELECT COALESCE(last_name, NULL), CASE WHEN job = 'x' THEN birth_date END FROM people",
    "SELECT last_name::text, birth_date::text FROM people",
    "SELECT last_name FROM people FOR UPDATE",
    "SELECT l.last_name FROM people p, LATERAL (SELECT a.id, a.last_name FROM archive a WHERE a.id = p.id) l",
    "SELECT last_name FROM staff_view",
    "UPDATE people SET job = 'y' RETURNING last_name, email",
    "DELETE FROM comments RETURNING body",
    "INSERT INTO contacts (person_id, email) VALUES (1, 'a@x.example') RETURNING email",
    "COPY people (email, last_name, birth_date) TO STDOUT",
    "SELECT s.last_name FROM (SELECT last_name FROM people) s",
    "SELECT * FROM (SELECT email AS e FROM people ORDER BY id LIMIT 3) s",
    "SELECT t.* FROM (SELECT s.v FROM (SELECT last_name AS v FROM people) s) t",
    "WITH w AS (SELECT email FROM people) SELECT email FROM w",
    "WITH w(b) AS (SELECT body FROM comments), z AS (SELECT b FROM w) SELECT z.b, w.b FROM z, w",
    "SELECT l.* FROM people p, LATERAL (SELECT c.body FROM comments c WHERE c.author_id = p.id) l",
    "SELECT s.v, p.email FROM people p LEFT JOIN (SELECT birth_date AS v, job FROM archive) s USING (job)",
    "SELECT s.v FROM (SELECT DISTINCT ON (job) last_name AS v FROM people ORDER BY job, id) s",
    "UPDATE people p SET job = 'y' FROM (SELECT body FROM comments) c RETURNING c.body",
    "COPY (WITH w AS (SELECT email FROM people) SELECT * FROM w) TO STDOUT",
];

/// Shapes in which a value has left its row.
const UNBOUND: [&str; 13] = [
    "SELECT s.last_name FROM (SELECT last_name FROM people UNION ALL SELECT last_name FROM archive) s",
    "SELECT s.email FROM (SELECT DISTINCT email FROM people) s",
    "WITH w AS (SELECT email FROM people) SELECT a.email FROM w a NATURAL JOIN w b",
    "SELECT last_name FROM bare_view",
    "SELECT last_name FROM people UNION ALL SELECT last_name FROM archive",
    "SELECT email FROM people UNION SELECT email FROM contacts",
    "SELECT DISTINCT email FROM people",
    "SELECT email, count(*) FROM people GROUP BY email",
    "SELECT last_name, count(*) FROM people GROUP BY last_name",
    "SELECT max(last_name) FROM people",
    "SELECT lag(last_name) OVER (ORDER BY id) FROM people",
    "SELECT (SELECT p.last_name FROM people p WHERE p.id = c.author_id) FROM comments c",
    "COPY (SELECT DISTINCT email FROM people) TO STDOUT",
];

fn planned() -> World {
    let mut world = world();
    let mut bare = (*world.catalog.relations[&("public".into(), "staff_view".into())]).clone();
    bare.name = "bare_view".into();
    bare.columns.remove(0);
    bare.definition = Some("SELECT people.last_name FROM public.people;".into());
    world.catalog.relations.insert((bare.schema.clone(), bare.name.clone()), Arc::new(bare));
    world.policy = crate::config::policy_only(POLICY).unwrap();
    world.tables = world.policy.postgres[0].clone();
    world
}

/// A stored value: what it holds, and whose it is.
struct Value {
    field: FieldId,
    person: usize,
    text: Vec<u8>,
    bytes: Vec<u8>,
}

async fn values(door: &Door, people: usize) -> Vec<Value> {
    let mut all = Vec::new();
    for person in 0..people {
        let subject = Subject::new("person", person.to_string());
        let mut unit = door.unit("app");
        let clear = [
            Clear::text(&format!("Nom-{person}")),
            Clear::new(crate::clear::Kind::Date, date(person)),
            Clear::text(&format!("p{person}@people.example")),
            Clear::text(&format!("Mot de {person}")),
        ];
        let items: Vec<Item<'_>> = (0..4_u16)
            .zip(&clear)
            .map(|(field, value)| Item { field: FieldId(field), owner: Owner::Known(&subject), value })
            .collect();
        let stored = unit.protect(&items).await.unwrap();
        unit.commit();
        for (stored, field) in stored.into_iter().zip(0..) {
            let (text, bytes) = match stored {
                Stored::Token(token) => (token.as_bytes().to_vec(), token.as_bytes().to_vec()),
                Stored::Envelope(envelope) => (
                    armour::write(&envelope).into_bytes(),
                    format!("\\x{}", hex::encode(envelope)).into_bytes(),
                ),
            };
            all.push(Value { field: FieldId(field), person, text, bytes });
        }
    }
    all
}

fn settings() -> Settings {
    Settings {
        date_style: "ISO, DMY".into(),
        time_zone: "UTC".into(),
        bytea_escape: false,
        charset: None,
        server: 0,
    }
}

/// A date in its canonical form.
fn date(person: usize) -> Vec<u8> {
    let settings = settings();
    let text = format!("1970-01-{:02}", 1 + person % 28);
    let declared = crate::policy::model::Declared::Date;
    let read =
        crate::pg::value::decode(text.as_bytes(), crate::pg::value::Format::Text, 0, declared, &settings);
    read.unwrap().bytes().to_vec()
}

/// A row with one value in it, and its subject.
fn row(plan: &Plan, output: usize, value: &Value, subject: Option<&str>, body: &mut Vec<u8>) {
    let output = &plan.outputs[output];
    let columns = plan.visible.map_or(0, usize::from) + plan.hidden.len();
    body.clear();
    body.extend(u16::try_from(columns).unwrap().to_be_bytes());
    for column in 0..u16::try_from(columns).unwrap() {
        let cell = if column == output.column {
            Some(if output.stored_oid == 17 { &value.bytes[..] } else { &value.text[..] })
        } else if Some(column) == output.subject {
            subject.map(str::as_bytes)
        } else {
            None
        };
        body.extend(cell.map_or(-1, |c| i32::try_from(c.len()).unwrap()).to_be_bytes());
        body.extend(cell.unwrap_or_default());
    }
}

struct Tally {
    moved: usize,
    at_home: usize,
}

/// Reads every value in every place of a shape, as each person's and as nobody's.
fn read_all(
    door: &Door,
    plan: &Plan,
    values: &[Value],
    people: usize,
    runtime: &tokio::runtime::Handle,
) -> Tally {
    let settings = settings();
    let opener = Opener { door, plan, formats: &[], settings: &settings };
    let (mut scratch, mut missing, mut out, mut body) =
        (Scratch::default(), Vec::new(), Vec::new(), Vec::new());
    let mut tally = Tally { moved: 0, at_home: 0 };
    let ids: Vec<String> = (0..people).map(|p| p.to_string()).collect();
    for (output, of) in plan.outputs.iter().enumerate() {
        assert!(of.subject.is_some(), "{}", plan.sql);
        for (person, id) in ids.iter().map(|id| Some(&**id)).chain([None]).enumerate() {
            for value in values {
                row(plan, output, value, id, &mut body);
                out.clear();
                let result = loop {
                    match opener.row(&body, &mut scratch, &mut missing, &mut out) {
                        Err(RowError::Missing) => {
                            runtime.block_on(door.load(&std::mem::take(&mut missing))).unwrap();
                        }
                        Err(RowError::Failure(failure)) => break Err(failure.code),
                        Ok(()) => break Ok(()),
                    }
                };
                let home = value.field == of.field && id.is_some() && value.person == person;
                match (home, result) {
                    (true, Ok(())) => tally.at_home += 1,
                    (false, Err("XX001")) if out.is_empty() => tally.moved += 1,
                    (_, other) => panic!(
                        "a value of {:?} of {} reads {other:?} as {:?} of {id:?} in {}",
                        value.field, value.person, of.field, plan.sql
                    ),
                }
            }
        }
        scratch.end_batch();
    }
    tally
}

#[test]
fn a_million_moves_across_columns_tables_and_people_are_each_caught() {
    const PEOPLE: usize = 78;
    let world = planned();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let house = runtime.block_on(House::new());
    let policy = Arc::new(crate::config::policy_only(POLICY).unwrap());
    let door = house.door.with_policy(policy).unwrap();
    let values = runtime.block_on(values(&door, PEOPLE));
    runtime.block_on(house.settled());
    let plans: Vec<Arc<Plan>> = SHAPES.iter().map(|sql| world.run(sql)).collect();
    let handle = runtime.handle();
    let tallies: Vec<Tally> = std::thread::scope(|s| {
        let halves = plans.chunks(plans.len().div_ceil(3));
        let running: Vec<_> = halves
            .map(|plans| {
                let (door, values) = (&door, &values);
                s.spawn(move || {
                    plans.iter().map(|p| read_all(door, p, values, PEOPLE, handle)).collect::<Vec<_>>()
                })
            })
            .collect();
        running.into_iter().flat_map(|t| t.join().unwrap()).collect()
    });
    let outputs: usize = plans.iter().map(|p| p.outputs.len()).sum();
    let moved: usize = tallies.iter().map(|t| t.moved).sum();
    assert!(moved >= 1_000_000, "{moved} moves");
    assert_eq!(
        tallies.iter().map(|t| t.at_home).sum::<usize>(),
        outputs * PEOPLE,
        "what stands at home is read"
    );
}

#[test]
fn a_shape_that_loses_the_row_is_refused_where_the_policy_binds_rows() {
    let world = planned();
    for sql in UNBOUND {
        let refusal = world.refusal(sql);
        assert_eq!(refusal.anchor, "row-binding", "{sql}: {}", refusal.message);
    }
    let mut allowed = planned();
    allowed.policy = crate::config::policy_only(&POLICY.replace("\"refuse\"", "\"allow\"")).unwrap();
    allowed.tables = allowed.policy.postgres[0].clone();
    for sql in UNBOUND {
        assert!(allowed.run(sql).outputs.iter().all(|o| o.subject.is_none()), "{sql}");
    }
}
