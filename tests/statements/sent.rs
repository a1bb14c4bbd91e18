//! Files of the suite through a real gateway, beside the same on a clear copy, which tells what comes to lie in the
//! protected columns; then everything that the server behind the gateway received and keeps is read.

use super::chosen::{ADDED, Candidate, Chosen, choose, grown, made, stored};
use super::places::{Known, Rewritten, canary, essence, rewrite};
use super::runner::{Answer, Runner};
use super::split::Statement;
use super::suite::{File, file, named, runnable, seed, whole};
use crate::support::finder::Forbidden;
use crate::support::gateway::Setup;
use crate::support::postgres::Options;
use crate::support::{Gateway, Postgres};
use rand::rngs::StdRng;
use rand::seq::{IteratorRandom as _, SliceRandom as _};
use rand::{RngExt as _, SeedableRng as _};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Instant;

/// No statement takes longer, nor waits longer for others.
const SETTINGS: &str = "statement_timeout = '4s'\nlock_timeout = '1s'\nmax_prepared_transactions = 4\n";

/// Such statements end the server, wait, or leave it for other files.
const LEFT_OUT: [&str; 9] = [
    "pg_sleep",
    "pg_terminate_backend",
    "alter system",
    "tablespace",
    "pg_promote",
    "subscription",
    "pg_reload_conf",
    "log_statement",
    "pg_log_backend",
];

/// A direct server, the gateway with its own, and what was learnt.
struct Run {
    clear: Runner,
    through: Runner,
    chosen: Chosen,
    known: Known,
    forbidden: Forbidden,
    rng: StdRng,
    number: u64,
    faults: Vec<String>,
    tally: BTreeMap<String, usize>,
}

impl Run {
    fn count(&mut self, what: &str) {
        *self.tally.entry(what.to_owned()).or_default() += 1;
    }

    fn file(&mut self, file: &File) {
        self.clear.anew();
        self.through.anew();
        self.learn();
        for statement in &file.statements {
            let lower = statement.sql.to_lowercase();
            if LEFT_OUT.iter().any(|w| lower.contains(w)) {
                continue;
            }
            self.number += 1;
            match &statement.data {
                Some(lines) => self.copy(statement, lines),
                None => self.statement(&statement.sql),
            }
        }
    }

    fn statement(&mut self, sql: &str) {
        let sql = &grown(sql, &self.chosen);
        if moves(sql) {
            return self.definition(sql);
        }
        let full = rewrite(sql, &self.chosen, &self.known, Some(self.number));
        let (used, direct) = self.on_the_clear_copy(sql, full);
        for (word, column) in &used.forbidden {
            self.forbidden.add(word, || format!("a value of {column} in: {sql}"));
        }
        if !direct.failed() && !used.open.is_empty() && !sql.trim_start().to_lowercase().starts_with("select")
        {
            self.landed(sql, &used.open);
        }
        let text = stored(&used.sql, &self.chosen);
        let answer = match &used.bound {
            Some((bound, values)) if self.rng.random_bool(0.4) => self.through.extended(bound, values),
            _ if self.rng.random_bool(0.3) => self.through.extended(&text, &[]),
            _ => self.through.query(&text, None),
        };
        self.judge(sql, &answer, &used);
        if defines(sql) && self.clear.status == b'I' {
            self.learn();
        }
    }

    /// What the gateway refused is not done on the clear copy either: values would flow there as they can't here.
    fn definition(&mut self, sql: &str) {
        let used = rewrite(sql, &self.chosen, &self.known, None);
        let answer = self.through.query(&used.sql, None);
        self.judge(sql, &answer, &used);
        if answer.refused().is_none() {
            self.clear.query(&used.sql, None);
            if self.clear.status == b'I' {
                self.learn();
            }
        } else if self.clear.status == b'T' {
            // The transaction has failed on the other side.
            self.clear.query("SELECT refused", None);
        }
    }

    /// With every constant replaced, else with those alone whose place is known.
    fn on_the_clear_copy(&mut self, sql: &str, full: Rewritten) -> (Rewritten, Answer) {
        if full.open.is_empty() {
            let answer = self.clear.query(&full.sql, None);
            return (full, answer);
        }
        let within = self.clear.status == b'T';
        if within {
            self.clear.query("SAVEPOINT kept_before", None);
        }
        let answer = self.clear.query(&full.sql, None);
        if !answer.failed() {
            return (full, answer);
        }
        if within {
            self.clear.query("ROLLBACK TO kept_before", None);
        }
        let less = rewrite(sql, &self.chosen, &self.known, None);
        let answer = self.clear.query(&less.sql, None);
        (less, answer)
    }

    /// What the gateway refused, the server has not seen, whatever its constants are for.
    fn judge(&mut self, sql: &str, answer: &Answer, used: &Rewritten) {
        let names = self.chosen.names_one(sql);
        match answer.refused().map(str::to_owned) {
            Some(anchor) => {
                self.count(&format!("refused: {anchor}"));
                // Whether the server makes a subject is known once it has run the statement.
                for word in used.open.iter().filter(|_| anchor != "null-subject") {
                    self.forbidden.add(word, || format!("refused: {sql}"));
                }
            }
            None if answer.failed() => {
                self.count(if names { "failed, on protected tables" } else { "failed" });
            }
            None => self.count(if names { "ran, on protected tables" } else { "ran" }),
        }
        if let Some((code, message, _)) = &answer.error
            && code == "XX000"
            && message.contains("paravent")
        {
            self.faults.push(format!("{message}: {sql}"));
        }
    }

    /// Canaries of a statement that the clear copy now holds in a protected column. What it put elsewhere, and another
    /// statement copies there, is the other one's: it must be refused, and here the value was in clear before.
    fn landed(&mut self, sql: &str, open: &[String]) {
        if self.clear.status == b'E' {
            return;
        }
        let tables: Vec<(String, Vec<String>)> = self
            .chosen
            .tables
            .iter()
            .filter_map(|(t, columns)| {
                let known = self.known.get(t)?;
                let columns = columns.keys().filter(|c| known.contains(c));
                Some((t.clone(), columns.cloned().collect()))
            })
            .collect();
        for (table, columns) in tables {
            for column in columns {
                let words = format!(
                    "SELECT DISTINCT m[1] FROM public.{table}, regexp_matches({column}::text, 'kq[a-z2-7]{{9}}', 'g') m"
                );
                for row in self.clear.rows(&words) {
                    let Some(word) = row.into_iter().next().flatten() else { continue };
                    if open.contains(&word) {
                        self.forbidden.add(&word, || format!("came to lie in {table}.{column}, from: {sql}"));
                    }
                }
            }
        }
    }

    fn copy(&mut self, statement: &Statement, lines: &[String]) {
        let lines = self.replaced(&statement.sql, lines);
        let sql = self.listed(&statement.sql);
        self.clear.query(&sql, Some(&lines));
        let answer = self.through.query(&sql, Some(&lines));
        let anchor = answer.refused().map(str::to_owned);
        let what = match anchor {
            Some(anchor) => format!("refused: {anchor}"),
            None if answer.failed() => "failed, COPY".into(),
            None if self.chosen.names_one(&statement.sql) => "ran, COPY into protected tables".into(),
            None => "ran".into(),
        };
        self.count(&what);
    }

    /// With the columns that its data has, where the table got one more.
    fn listed(&self, sql: &str) -> String {
        let Some((table, columns)) = self.copied(sql).filter(|(t, _)| self.chosen.grown.contains(t)) else {
            return sql.to_owned();
        };
        let after = sql.to_lowercase().find(&table).map_or(0, |i| i + table.len());
        if after == 0 || sql[after..].trim_start().starts_with('(') {
            return sql.to_owned();
        }
        format!("{} ({}){}", &sql[..after], columns.join(", "), &sql[after..])
    }

    /// COPY's text form, with canaries in protected columns.
    fn replaced(&mut self, sql: &str, lines: &[String]) -> Vec<String> {
        let Some((table, columns)) = self.copied(sql) else { return lines.to_vec() };
        if !self.is_chosen_one(&table) {
            return lines.to_vec();
        }
        let protected: HashMap<usize, _> = columns
            .iter()
            .enumerate()
            .filter_map(|(i, c)| Some((i, (c.clone(), self.chosen.column(&table, c)?.ty))))
            .collect();
        let mut replaced = Vec::new();
        for line in lines {
            let mut cells: Vec<String> = line.split('\t').map(str::to_owned).collect();
            for (i, cell) in cells.iter_mut().enumerate() {
                let Some((column, ty)) = protected.get(&i).filter(|_| cell != "\\N") else { continue };
                *cell = canary(*ty, &cell.replace('\\', ""));
                self.forbidden.add(&essence(cell), || format!("copied to {table}.{column}: {sql}"));
            }
            replaced.push(cells.join("\t"));
        }
        replaced
    }

    /// Whether the name means the table that the policy names, and none of another schema on the path.
    fn is_chosen_one(&mut self, table: &str) -> bool {
        let same = format!("SELECT 1 WHERE to_regclass('public.\"{table}\"') = to_regclass('\"{table}\"')");
        !self.clear.rows(&same).is_empty()
    }

    /// Table and columns of a COPY in text form with tabs.
    fn copied(&self, sql: &str) -> Option<(String, Vec<String>)> {
        let parsed = pg_raw_parse::parse(sql).ok()?;
        let pg_raw_parse::Node::CopyStmt(copy) = parsed.stmts().next()? else { return None };
        let table = copy.relation()?.relname()?.to_owned();
        if !copy.options().is_empty() || !self.chosen.tables.contains_key(&table) {
            return None;
        }
        let listed: Vec<String> =
            copy.attlist().iter().filter_map(|n| n.as_str().map(str::to_owned)).collect();
        let mut columns = if listed.is_empty() { self.known.get(&table)?.clone() } else { listed };
        columns.retain(|c| c != ADDED);
        Some((table, columns))
    }

    /// The tables that the clear copy has by now.
    fn learn(&mut self) {
        let rows = self.clear.rows(
            "SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid \
             WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND a.attnum > 0 \
             AND NOT a.attisdropped ORDER BY c.oid, a.attnum",
        );
        self.known.clear();
        for row in rows {
            let mut row = row.into_iter().flatten();
            if let (Some(table), Some(column)) = (row.next(), row.next()) {
                self.known.entry(table).or_default().push(column);
            }
        }
    }
}

/// It changes how values flow. A plain table does not.
fn moves(sql: &str) -> bool {
    let words: Vec<String> = sql.to_lowercase().split_whitespace().map(str::to_owned).collect();
    let first = words.first().map_or("", String::as_str);
    let plain = words.get(1).is_some_and(|w| w == "table")
        && !words.iter().any(|w| matches!(w.as_str(), "inherits" | "partition" | "as" | "of" | "like"))
        && !sql.to_lowercase().contains("inherits");
    matches!(first, "create" | "alter" | "do" | "drop") && !(first == "create" && plain)
}

fn defines(sql: &str) -> bool {
    let lower = sql.trim_start().to_lowercase();
    ["create", "alter", "drop", "rollback", "commit"].iter().any(|w| lower.starts_with(w))
}

/// Runs files in one world; gives what was wrong.
fn run(names: &[String], seed: u64) -> (BTreeMap<String, usize>, usize, Vec<String>) {
    let files: Vec<File> =
        std::iter::once("test_setup").chain(names.iter().map(String::as_str)).map(file).collect();
    let mut candidates: Vec<Candidate> = Vec::new();
    let mut names = HashSet::new();
    for statement in files.iter().flat_map(|f| &f.statements) {
        candidates.extend(made(&statement.sql).filter(|c| names.insert(c.name.clone())));
    }
    let chosen = choose(&candidates, 0.8, seed);
    let clear = Postgres::with(&Options { settings: SETTINGS.into(), ..Options::default() });
    let pg = Postgres::with(&Options { settings: SETTINGS.into(), log_all: true, ..Options::default() });
    let gateway = Gateway::with(Setup {
        upstream: format!("postgres://postgres@127.0.0.1:{}/app", pg.port()),
        fields: chosen.fields.clone(),
        tables: chosen.sections.clone(),
        log: "info".into(),
        ..Setup::new(&pg)
    });
    let mut run = Run {
        clear: Runner::new(clear.port()),
        through: Runner::new(gateway.port()),
        chosen,
        known: Known::new(),
        forbidden: Forbidden::default(),
        rng: StdRng::seed_from_u64(seed),
        number: 0,
        faults: Vec::new(),
        tally: BTreeMap::new(),
    };
    for file in &files {
        let begun = Instant::now();
        run.file(file);
        println!("{}: {} statements in {:?}", file.name, file.statements.len(), begun.elapsed());
    }
    run.count("connections lost");
    run.tally.insert("connections lost".into(), run.through.lost);
    drop(run.through);
    let mut direct = Runner::new(pg.port());
    // What is left of these holds locks, for which the dump would wait.
    for gid in direct.rows("SELECT quote_literal(gid) FROM pg_prepared_xacts").into_iter().flatten().flatten()
    {
        direct.query(&format!("ROLLBACK PREPARED {gid}"), None);
    }
    direct.query("CHECKPOINT", None);
    let mut faults = run.faults;
    faults.extend(run.forbidden.finder().anywhere(&pg, "app"));
    if let Ok(kept) = std::env::var("PARAVENT_KEEP_LOG") {
        std::fs::write(kept, pg.log()).unwrap();
    }
    let said = gateway.log();
    if memchr::memmem::find(&said, b"panicked").is_some() {
        faults.push("the gateway panicked".into());
    }
    faults.extend(run.forbidden.finder().found("the gateway's log", &said));
    (run.tally, run.forbidden.len(), faults)
}

#[test]
fn no_value_of_a_protected_column_reaches_the_server_in_files_of_the_suite() {
    let seed = seed();
    let mut rng = StdRng::seed_from_u64(seed);
    let mut names = runnable();
    names.shuffle(&mut rng);
    // Of the sample, some files write much, and the others are any.
    let groups: Vec<Vec<String>> = if let Some(named) = named() {
        vec![named]
    } else if whole() {
        names.chunks(16).map(<[String]>::to_vec).collect()
    } else {
        // Much more is written by this one.
        const MOST: &str = "insert_conflict";
        const WRITING: [&str; 9] = [
            "insert",
            "delete",
            "returning",
            "copy2",
            "select_into",
            "rowtypes",
            "portals",
            "prepare",
            "matview",
        ];
        let mut some: Vec<String> = vec![MOST.to_owned()];
        some.extend(WRITING.iter().sample(&mut rng, 1).into_iter().map(|s| (*s).to_owned()));
        some.extend(names.into_iter().filter(|n| *n != MOST && file(n).statements.len() < 250).take(2));
        vec![some]
    };
    let (mut all, mut looked_for, mut faults) = (BTreeMap::new(), 0, Vec::new());
    for (group, number) in groups.iter().zip(0..) {
        println!("{group:?}");
        let (tally, forbidden, wrong) = run(group, seed + number);
        looked_for += forbidden;
        faults.extend(wrong);
        for (what, n) in tally {
            *all.entry(what).or_insert(0) += n;
        }
    }
    println!("{looked_for} values looked for; {all:#?}");
    let shown: Vec<String> = faults.iter().take(12).cloned().collect();
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), shown.join("\n\n"));
    assert!(looked_for > 20 && all.contains_key("ran, on protected tables"), "{all:?}");
}
