//! Which tables and columns are protected, and how: at random.

use pg_raw_parse::{ConstValue, Node, nodes};
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom as _, SliceRandom as _};
use rand::{RngExt as _, SeedableRng as _};
use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::ops::Range;

/// A type, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    Text,
    Varchar(Option<i32>),
    Integer,
    Bigint,
    Numeric,
    Date,
    Other,
}

impl Type {
    /// By OID and modifier.
    pub fn of(oid: u32, typmod: i32) -> Self {
        match oid {
            25 => Self::Text,
            1043 => Self::Varchar((typmod > 4).then(|| typmod - 4)),
            23 => Self::Integer,
            20 => Self::Bigint,
            1700 if typmod == -1 => Self::Numeric,
            1082 => Self::Date,
            _ => Self::Other,
        }
    }

    /// As the policy declares it; none where nothing that can be recognised fits in.
    fn declared(self) -> Option<String> {
        Some(match self {
            Self::Text => "text".into(),
            Self::Varchar(Some(n)) if n < 30 => return None,
            Self::Varchar(Some(n)) => format!("varchar({n})"),
            Self::Varchar(None) => "varchar".into(),
            Self::Integer => "integer".into(),
            Self::Bigint => "bigint".into(),
            Self::Numeric => "numeric".into(),
            Self::Date => "date".into(),
            Self::Other => return None,
        })
    }

    pub fn is_number(self) -> bool {
        matches!(self, Self::Integer | Self::Bigint | Self::Numeric)
    }

    fn names_people(self) -> bool {
        matches!(self, Self::Text | Self::Varchar(_) | Self::Integer | Self::Bigint)
    }
}

/// A table that may be protected.
#[derive(Debug, Clone)]
pub struct Candidate {
    pub name: String,
    pub columns: Vec<(String, Type)>,
    /// A column may be added to it.
    pub grows: bool,
}

/// The subject of a table that gets one: the database makes its ids.
pub const ADDED: &str = "pv_subject";

/// A protected column.
#[derive(Debug, Clone)]
pub struct Column {
    pub ty: Type,
    /// How it is stored.
    pub stored: &'static str,
}

/// What is protected.
#[derive(Debug, Default)]
pub struct Chosen {
    /// By table, then by column.
    pub tables: HashMap<String, HashMap<String, Column>>,
    /// Tables that get [`ADDED`].
    pub grown: HashSet<String>,
    /// `[fields]`.
    pub fields: String,
    /// `[postgres.tables.…]`.
    pub sections: String,
}

impl Chosen {
    pub fn column(&self, table: &str, column: &str) -> Option<&Column> {
        self.tables.get(table)?.get(column)
    }

    /// Whether a text names one of the tables.
    pub fn names_one(&self, sql: &str) -> bool {
        let lower = sql.to_lowercase();
        let mut words = lower.split(|c: char| !(c.is_alphanumeric() || c == '_'));
        words.any(|w| self.tables.contains_key(w))
    }
}

/// Protects about that part of the candidates.
pub fn choose(candidates: &[Candidate], part: f64, seed: u64) -> Chosen {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut chosen = Chosen { fields: "[fields]\n".into(), ..Chosen::default() };
    let mut count = 0;
    for table in candidates {
        if chosen.tables.contains_key(&table.name) || !plain(&table.name) || !rng.random_bool(part) {
            continue;
        }
        let mut places: Vec<&(String, Type)> =
            table.columns.iter().filter(|(n, t)| plain(n) && t.declared().is_some()).collect();
        let people: Vec<&(String, Type)> =
            table.columns.iter().filter(|(n, t)| plain(n) && t.names_people()).collect();
        let subject = match people.choose(&mut rng) {
            Some(own) if !table.grows || rng.random_bool(0.5) => own.0.clone(),
            _ if table.grows => ADDED.to_owned(),
            _ => continue,
        };
        places.retain(|c| c.0 != subject);
        places.shuffle(&mut rng);
        if rng.random_bool(0.5) {
            let take = rng.random_range(1..=places.len().max(1));
            places.truncate(take);
        }
        if places.is_empty() {
            continue;
        }
        let mut columns = HashMap::new();
        let mut list = Vec::new();
        for (name, ty) in places {
            count += 1;
            let declared = ty.declared().unwrap();
            let text = matches!(ty, Type::Text | Type::Varchar(_));
            let (protect, stored) = match ty {
                Type::Bigint if rng.random_bool(0.3) => {
                    ("protect = \"pseudonym\", kind = \"integer\"", "bigint")
                }
                _ if text && rng.random_bool(0.35) => ("protect = \"pseudonym\"", "text"),
                _ if text => ("protect = \"encrypt\"", "text"),
                _ => ("protect = \"encrypt\"", "bytea"),
            };
            writeln!(chosen.fields, "f{count} = {{ {protect}, type = \"{declared}\" }}").unwrap();
            list.push(format!("{name} = \"f{count}\""));
            columns.insert(name.clone(), Column { ty: *ty, stored });
        }
        if subject == ADDED {
            chosen.grown.insert(table.name.clone());
        }
        let (name, list) = (&table.name, list.join(", "));
        writeln!(
            chosen.sections,
            "[postgres.tables.{name}]\nsubject = \"{subject}\"\nfields = {{ {list} }}\n"
        )
        .unwrap();
        chosen.tables.insert(table.name.clone(), columns);
    }
    chosen
}

fn plain(name: &str) -> bool {
    name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && name.starts_with(|c: char| c.is_ascii_lowercase())
}

/// The table that a statement makes, if it lists its columns.
pub fn made(sql: &str) -> Option<Candidate> {
    let parsed = pg_raw_parse::parse(sql).ok()?;
    let Node::CreateStmt(create) = parsed.stmts().next()? else { return None };
    let relation = create.relation()?;
    let temporary = relation.relpersistence == b't'.cast_signed();
    if temporary || relation.schemaname().is_some_and(|s| s != "public") {
        return None;
    }
    let columns = definitions(create).map(|d| (d.colname().unwrap_or_default().to_owned(), type_of(d)));
    let alone = create.inh_relations().is_empty()
        && create.partbound().is_none()
        && create.partspec().is_none()
        && create.of_typename().is_none();
    let columns: Vec<(String, Type)> = columns.collect();
    let grows = alone && !columns.is_empty();
    Some(Candidate { name: relation.relname()?.to_owned(), columns, grows })
}

fn definitions(create: &nodes::CreateStmt) -> impl Iterator<Item = &nodes::ColumnDef> {
    create.table_elts().iter().filter_map(|e| match e {
        Node::ColumnDef(def) => Some(def),
        _ => None,
    })
}

fn type_of(def: &nodes::ColumnDef) -> Type {
    let Some(ty) = def.type_name().filter(|t| t.array_bounds().is_empty()) else { return Type::Other };
    let typmod = ty.typmods().iter().next().and_then(|n| match n {
        Node::A_Const(c) => match c.val() {
            Some(ConstValue::Integer(n)) => Some(n),
            _ => None,
        },
        _ => None,
    });
    match ty.names().iter().filter_map(|n| n.sval()).next_back() {
        Some("text") => Type::Text,
        Some("varchar") => Type::Varchar(typmod),
        Some("int4") => Type::Integer,
        Some("int8") => Type::Bigint,
        Some("numeric") if typmod.is_none() => Type::Numeric,
        Some("date") => Type::Date,
        _ => Type::Other,
    }
}

/// The same statement, with the subject that its table gets.
pub fn grown(sql: &str, chosen: &Chosen) -> String {
    let Some(table) = chosen.names_one(sql).then(|| made(sql)).flatten() else { return sql.to_owned() };
    let open = sql.find('(').filter(|_| table.grows && chosen.grown.contains(&table.name));
    let mut depth = 0;
    let close = sql.char_indices().skip_while(|(i, _)| Some(*i) != open).find(|(_, c)| {
        depth += i32::from(*c == '(') - i32::from(*c == ')');
        depth == 0
    });
    let Some((close, _)) = close else { return sql.to_owned() };
    format!("{}, {ADDED} integer GENERATED BY DEFAULT AS IDENTITY{}", &sql[..close], &sql[close..])
}

/// The same statement, with the storage types that the gateway asks for.
pub fn stored(sql: &str, chosen: &Chosen) -> String {
    if !chosen.names_one(sql) {
        return sql.to_owned();
    }
    let Ok(parsed) = pg_raw_parse::parse(sql) else { return sql.to_owned() };
    let Some(Node::CreateStmt(create)) = parsed.stmts().next() else { return sql.to_owned() };
    let name = create.relation().and_then(|r| r.relname()).unwrap_or_default();
    let Some(columns) = chosen.tables.get(name) else { return sql.to_owned() };
    let mut edits: Vec<(Range<usize>, &str)> = Vec::new();
    for def in definitions(create) {
        let Some(column) = columns.get(def.colname().unwrap_or_default()) else { continue };
        let Some(at) = def.type_name().and_then(|t| usize::try_from(t.location).ok()) else { continue };
        if type_of(def) == column.ty {
            edits.push((at..at + type_length(&sql[at..]), column.stored));
        }
    }
    let mut sql = sql.to_owned();
    for (range, text) in edits.into_iter().rev() {
        sql.replace_range(range, text);
    }
    sql
}

/// A type's text: a word or two, and what stands in brackets after it.
fn type_length(text: &str) -> usize {
    let word = |t: &str| t.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '.')).unwrap_or(t.len());
    let mut length = word(text);
    let rest = &text[length..];
    let spaces = rest.len() - rest.trim_start().len();
    if rest.trim_start().to_lowercase().starts_with("varying") {
        length += spaces + 7;
    }
    let rest = &text[length..];
    let spaces = rest.len() - rest.trim_start().len();
    if rest.trim_start().starts_with('(') {
        length += spaces + rest.trim_start().find(')').map_or(0, |i| i + 1);
    }
    length
}

#[test]
fn a_table_is_made_with_the_storage_that_its_protection_asks_for() {
    let sql = "CREATE TABLE t (a int4 NOT NULL, b character varying (40), c date, d integer)";
    let made = made(sql).unwrap();
    assert_eq!(made.columns[1].1, Type::Varchar(Some(40)));
    let column = |ty, stored| Column { ty, stored };
    let columns = HashMap::from([
        ("b".to_owned(), column(Type::Varchar(Some(40)), "text")),
        ("c".to_owned(), column(Type::Date, "bytea")),
    ]);
    let tables = HashMap::from([("t".to_owned(), columns)]);
    let chosen = Chosen { tables, grown: HashSet::from(["t".to_owned()]), ..Chosen::default() };
    assert_eq!(
        grown("CREATE TABLE t (a varchar(4), b int) WITH (x=1)", &chosen),
        "CREATE TABLE t (a varchar(4), b int, pv_subject integer GENERATED BY DEFAULT AS IDENTITY) WITH (x=1)"
    );
    assert_eq!(stored(sql, &chosen), "CREATE TABLE t (a int4 NOT NULL, b text, c bytea, d integer)");
}
