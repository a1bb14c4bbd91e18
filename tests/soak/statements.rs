//! The statements of the soak: each has a direct form, and the form that goes through the gateway (the same, but for what
//! is refused there).

use rand::RngExt as _;
use rand::rngs::StdRng;

/// People of each client: its own, so that clients don't wait for one another and each knows what it will see.
pub const PEOPLE: u32 = 12;

/// A statement with its parameters, as text.
#[derive(Clone)]
pub struct Statement {
    pub direct: String,
    pub through: String,
    pub values: Vec<Option<String>>,
}

/// What a client's statements are made from.
pub struct Source {
    number: u64,
    pub random: StdRng,
}

impl Source {
    pub fn new(number: u64, random: StdRng) -> Self {
        Self { number, random }
    }

    fn person(&mut self) -> u32 {
        self.random.random_range(0..PEOPLE)
    }

    fn id(&self, person: u32) -> String {
        (self.number * 100 + u64::from(person) + 1).to_string()
    }

    fn email(&self, person: u32) -> String {
        format!("c{}p{person}.canari@x.example", self.number)
    }

    fn name(&mut self) -> Option<String> {
        let n = self.random.random_range(0..50);
        (n > 4).then(|| format!("Prénom-Canari d'{n} {}", "é".repeat(n)))
    }

    fn date(&mut self) -> Option<String> {
        let day = self.random.random_range(1..29);
        (day > 2).then(|| format!("19{:02}-0{}-{day:02}", 10 + day, day % 9 + 1))
    }

    /// One that works, as far as it depends on itself.
    pub fn statement(&mut self) -> Statement {
        let (person, other) = (self.person(), self.person());
        let (id, email) = (Some(self.id(person)), Some(self.email(person)));
        match self.random.random_range(0..14) {
            0 | 1 => both(
                "INSERT INTO people (id, email, first_name, birth_date) VALUES ($1, $2, $3, $4) \
                 ON CONFLICT (id) DO UPDATE SET first_name = EXCLUDED.first_name, birth_date = EXCLUDED.birth_date RETURNING id, first_name",
                vec![id, email, self.name(), self.date()],
            ),
            2 => both(
                "SELECT id, email, first_name, birth_date, profile FROM people WHERE id BETWEEN $1 AND $2 ORDER BY id",
                self.range().map(Some).to_vec(),
            ),
            3 => both("SELECT id, first_name FROM people WHERE email = $1", vec![email]),
            4 => both(
                "UPDATE people SET first_name = $1, birth_date = $2, version = version + 1 WHERE id = $3 RETURNING first_name, birth_date, version",
                vec![self.name(), self.date(), id],
            ),
            // Short: an envelope of 150 characters holds no more than 59 bytes.
            5 => both("UPDATE people SET last_name = $1 WHERE email = $2", vec![self.date(), email]),
            6 => both("DELETE FROM people WHERE id = $1 RETURNING email", vec![id]),
            7 => both(
                "INSERT INTO comments (author_id, body) VALUES ($1, $2) RETURNING body",
                vec![id, self.name()],
            ),
            8 => both("SELECT body FROM comments WHERE author_id = $1 ORDER BY id", vec![id]),
            9 => both("DELETE FROM comments WHERE author_id = $1", vec![id]),
            // Taken more often than not, by id or by address.
            10 => both("INSERT INTO people (id, email) VALUES ($1, $2)", vec![id, Some(self.email(other))]),
            11 => both(
                "SELECT p.first_name, c.body FROM people p LEFT JOIN comments c ON c.author_id = p.id WHERE p.id = $1 ORDER BY c.id",
                vec![id],
            ),
            12 => both("SELECT name FROM depts WHERE id < $1 ORDER BY id", vec![Some("3".to_owned())]),
            _ => both(
                "UPDATE people SET profile = $1 WHERE id = $2 RETURNING profile",
                vec![Some(format!("{{\"note\": \"canari {person}\"}}")), id],
            ),
        }
    }

    /// One that fails; maybe one that the gateway refuses.
    pub fn error(&mut self, refusals: bool) -> Statement {
        let person = self.person();
        let id = Some(self.id(person));
        match self.random.random_range(0..if refusals { 4 } else { 3 }) {
            0 => both("SELECT first_name, 1 / (id - $1) FROM people WHERE id = $1", vec![id]),
            1 => both(
                "INSERT INTO comments (author_id, body) VALUES ($1, $2)",
                vec![Some("-1".to_owned()), self.name()],
            ),
            2 => both("INSERT INTO people (id, first_name) VALUES ($1, $2)", vec![id, self.name()]),
            // Refused there; an error at the same point here.
            _ => Statement {
                direct: "SELECT no_such_column FROM people WHERE id = $1".to_owned(),
                through: "SELECT p::text FROM people p WHERE id = $1".to_owned(),
                values: vec![id],
            },
        }
    }

    /// Its first and last id.
    pub fn range(&self) -> [String; 2] {
        [self.id(0), self.id(PEOPLE)]
    }

    /// Removes what this client has.
    pub fn clean(&self) -> [String; 2] {
        let range = self.range().join(" AND ");
        let range = format!("BETWEEN {range}");
        [
            format!("DELETE FROM comments WHERE author_id {range}"),
            format!("DELETE FROM people WHERE id {range}"),
        ]
    }

    /// A row in COPY's text form.
    pub fn copied(&mut self) -> String {
        let person = self.person();
        let name = self.name().unwrap_or_else(|| "\\N".to_owned());
        format!("{}\t{name}\n", self.id(person))
    }
}

fn both(sql: &str, values: Vec<Option<String>>) -> Statement {
    Statement { direct: sql.to_owned(), through: sql.to_owned(), values }
}

impl Statement {
    /// With its values put into the text.
    pub fn plain(&self, through: bool) -> String {
        let mut sql = self.sql(through).to_owned();
        for (n, value) in self.values.iter().enumerate().rev() {
            let value = value.as_ref().map_or("NULL".to_owned(), |v| format!("'{}'", v.replace('\'', "''")));
            sql = sql.replace(&format!("${}", n + 1), &value);
        }
        sql
    }

    pub fn sql(&self, through: bool) -> &str {
        if through { &self.through } else { &self.direct }
    }

    pub fn given(&self) -> Vec<Option<&str>> {
        self.values.iter().map(Option::as_deref).collect()
    }
}
