//! Where the data of a COPY ends: `\.` in every place, read as the server at hand reads it.

use super::copy::load;
use crate::support::{Message, Raw, World};

/// Data of the columns title, first_name and id, whose delimiter is `|`.
const TEXT: &[&str] = &[
    "",
    "\\.",
    "\\.\n",
    "\\.\r\n",
    "\\.\r",
    "x|a|1",
    "x|a|1\n",
    "x|a|1\n\\.",
    "x|a|1\n\\.\n",
    "x|a|1\n\\.\ny|b|2\n",
    "x|a|1\n\\.\nno row at all",
    "x|a|1\n\\.x",
    "x|a|1\n\\.x\n",
    "x|a|1\n\\.x\ny|b|2\n",
    "x|a|1\n\\.|b|2\n",
    "x|a|1\n\\..\n",
    "x|a|1\n\\.\\.\n",
    "x|a|1\n\\.\r",
    "x|a|1\n\\.\r\n",
    "x|a|1\n\\.\r\ny|b|2\n",
    "x|a|1\r\n\\.",
    "x|a|1\r\n\\.\r",
    "x|a|1\r\n\\.\n",
    "x|a|1\r\n\\.\r\n",
    "x|a|1\r\n\\.\rx",
    "x|a|1\r\n\\.x\r\n",
    "x|a|1\r\n\\.\r\ny|b|2\n",
    "x|a|1\r\\.",
    "x|a|1\r\\.\r",
    "x|a|1\r\\.\n",
    "x|a|1\r\\.\r\n",
    "x|a|1\\.",
    "x|a|1\\.\n",
    "x|a|1\\.\r\n",
    "x|a|1\\.\ny|b|2\n",
    "x|a|1\\.y\n",
    "x|a|\\.\n",
    "x|a\\.\n",
    "x|a|1\ny|b|2\\.",
    "x|a|1\ny|b|2\\.\n",
    "x|a|1\ny|b|2\\.\r\n",
    "x|a|1\ny|b|2\\.\nz|c|3\n",
    "x|a|1\ny|b\\.\n",
    "x|a|1\ny|b\\.|2\n",
    "x|a|1\ny\\.\n",
    "x|a|1\n \\.\n",
    "x|a|1\n\n\\.\n",
    "x|a|1\r\ny|b|2\\.\r\n",
    "x|a|1\r\ny|b|2\\.\n",
    "x|a|1\r\ny|b|2\\.\r",
    "x|a|1\ry|b|2\\.\r",
    "x|a|1\ry|b|2\\.\n",
    "\\\\.|a|1\n",
    "x|\\\\.|1\n",
    "x|a|1\n\\\\.\n",
    "x|a|1\\",
    "x|a|1\n\\",
    "x|\\N|1\\.\n",
];

/// The same for what only CSV has.
const CSV: &[&str] = &[
    "x|\"\\.\"|\"1\"\n",
    "x|\"\n\\.\n\"|1\n",
    "x|\"\n\\.\"|1\ny|b|2\n",
    "x|a|1\n\"\\.\"\n",
    "x|a|1\n\"\\.\n",
    "x|a|1\n\"\\.\"|b|2\n",
    "\\.|\\.|1\n\\.|b|2\n",
    "x|\\.|1\n\\.\n3",
];

/// What a client sees of the end, without where in the data it was found.
fn seen(answers: &[Message]) -> Vec<String> {
    let of = |m: &Message| match m.tag {
        // The gateway says of an id that it can't read what it is, not what it held.
        b'E' if m.sqlstate() == "22P02" => m.sqlstate(),
        b'E' => format!("{} {}", m.sqlstate(), m.fields()[&'M']),
        _ => m.line(),
    };
    answers.iter().map(of).collect()
}

fn loads_alike(clear: &mut Raw, through: &mut Raw, options: &str, data: &str) {
    let sql = format!("COPY people (title, first_name, id) FROM STDIN {options}");
    for size in [1, 100] {
        let mut found = Vec::new();
        for client in [&mut *clear, &mut *through] {
            client.rows("DELETE FROM people");
            let answers = load(client, &sql, data.as_bytes(), size);
            let rows = client.rows("SELECT id, first_name, title FROM people ORDER BY id");
            found.push((seen(&answers), rows));
        }
        let (other, direct) = (found.pop(), found.pop());
        assert_eq!(other, direct, "{options} {data:?} in pieces of {size}");
    }
}

#[test]
fn the_marker_of_the_end_is_taken_where_the_server_takes_it() {
    let world = World::new();
    let (mut clear, mut through) = (world.clear(), world.through());
    for client in [&mut clear, &mut through] {
        client.rows("ALTER TABLE people ALTER email DROP NOT NULL");
    }
    for data in TEXT {
        loads_alike(&mut clear, &mut through, "(DELIMITER '|')", data);
    }
    for options in ["(FORMAT csv, DELIMITER '|')", "(FORMAT csv, DELIMITER '|', ESCAPE '\\')"] {
        for data in TEXT.iter().chain(CSV) {
            loads_alike(&mut clear, &mut through, options, data);
        }
    }
    for data in TEXT.iter().filter(|data| data.len() > 10) {
        loads_alike(&mut clear, &mut through, "(FORMAT csv, DELIMITER '|', HEADER)", data);
    }
}
