//! A transaction whose statements come in one burst, before any of them is answered.

use crate::support::postgres::Options;
use crate::support::{World, eventually, raw, row};

/// What it wrote is on its way still when its end is sent.
#[test]
fn a_block_in_one_burst_keeps_what_it_wrote_whatever_its_client_does_next() {
    let world =
        World::with(&Options { settings: "max_prepared_transactions = 5\n".into(), ..Options::default() });
    let insert = |id: u32| {
        format!("INSERT INTO people (id, email, first_name) VALUES ({id}, 'b{id}@x.example', 'Bea')")
    };
    let run = |sql: &str| {
        [raw::parse("", sql, &[]), raw::bind_text("", "", &[], &[]), raw::execute("", 0), raw::sync()]
            .concat()
    };
    let mut id = 0;
    for end in ["COMMIT", "ROLLBACK", "PREPARE TRANSACTION 'burst'"] {
        for extended in [false, true] {
            for fails in [false, true] {
                id += 1;
                let send = |sql: &str| if extended { run(sql) } else { raw::query(sql) };
                let mut client = world.through();
                client.send(&[send("BEGIN"), send(&insert(id)), send(end)].concat());
                for _ in 0..3 {
                    assert!(
                        client.until_ready().iter().all(|m| m.tag != b'E'),
                        "{end}, extended: {extended}"
                    );
                }
                if fails {
                    client.fails("SELECT nothing");
                }
                drop(client);
                let mut other = world.through();
                if end.starts_with("PREPARE") {
                    other.rows("COMMIT PREPARED 'burst'");
                }
                let kept = if end == "ROLLBACK" { vec![] } else { vec![row(["Bea"])] };
                let sql = format!("SELECT first_name FROM people WHERE id = {id}");
                eventually("the client has gone", || {
                    (other.rows("SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'")[0][0]
                        .as_deref()
                        == Some("1"))
                    .then_some(())
                });
                assert_eq!(other.rows(&sql), kept, "{end}, extended: {extended}, and then an error: {fails}");
                let email = format!("SELECT first_name FROM people WHERE email = 'b{id}@x.example'");
                assert_eq!(
                    other.rows(&email),
                    kept,
                    "{end}, extended: {extended}, and then an error: {fails}"
                );
            }
        }
    }
}
