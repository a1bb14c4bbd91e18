//! A server with the standard tables, its clear copy, and the gateway in front of it.

use super::gateway::Setup;
use super::postgres::Options;
use super::{Gateway, Message, Postgres, Raw, schema};

/// Postgres and the gateway. The gateway goes first.
pub struct World {
    pub gateway: Gateway,
    pub pg: Postgres,
}

impl World {
    pub fn new() -> Self {
        Self::with(&Options::default())
    }

    pub fn with(options: &Options) -> Self {
        let pg = Postgres::with(options);
        make_tables(&pg);
        let gateway = Gateway::start(&pg);
        Self { gateway, pg }
    }

    /// A client of the gateway.
    pub fn through(&self) -> Raw {
        Raw::connect(self.gateway.port(), "app")
    }

    /// What the database really holds, past the gateway.
    pub fn direct(&self) -> Raw {
        Raw::connect_as(self.pg.port(), &[("user", "postgres"), ("database", "app")])
    }

    /// The clear copy.
    pub fn clear(&self) -> Raw {
        Raw::connect(self.pg.port(), "clear")
    }

    /// People 1, 2, 3… with these first names, an e-mail each, and last names.
    pub fn people(&self, names: &[&str]) {
        let mut client = self.through();
        for (name, id) in names.iter().zip(1..) {
            let sql = format!(
                "INSERT INTO people (email, first_name, last_name) \
                 VALUES ('{name}@people.example', '{name}', 'Last-{name}') RETURNING id"
            );
            assert_eq!(client.rows(&sql), [[Some(id.to_string())]]);
        }
    }
}

/// The standard tables: protected in `app`, clear in `clear`, owned by the role `app`.
pub fn make_tables(pg: &Postgres) {
    let protected = schema::PROTECTED.to_owned();
    for (database, sql) in [("app", protected), ("clear", schema::clear())] {
        let answers = Raw::connect(pg.port(), database).query(&sql);
        assert!(answers.iter().all(|m| m.tag != b'E'), "{answers:?}");
    }
}

/// A row of text cells, to compare with.
pub fn row<const N: usize>(cells: [&str; N]) -> Vec<Option<String>> {
    cells.iter().map(|c| (*c != "NULL").then(|| (*c).to_owned())).collect()
}

/// The tags of messages, as one word: `12DDCZ`.
pub fn tags(messages: &[Message]) -> String {
    messages.iter().map(|m| char::from(m.tag)).collect()
}
