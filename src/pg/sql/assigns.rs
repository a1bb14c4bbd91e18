//! What the bodies of functions do to protected columns: those of triggers may put a value of their own into one, where it would lie in clear: `NEW.last_name := …`, or
//! `UPDATE people SET last_name = …`. PL/pgSQL is read by its tokens (Postgres documentation, chapters 43.5 and 43.10).

use super::lex::{Kind, Tokens};
use super::{Scope, mention, refuse, statement};
use crate::pg::refusal::Refusal;
use crate::policy::model::Table;
use pg_raw_parse::Node;

/// Words after which a statement of PL/pgSQL begins.
const BEFORE: [&str; 4] = ["begin", "then", "else", "loop"];

/// Words after which a variable gets a value.
const TARGET: [&str; 5] = ["into", "strict", "for", "foreach", "diagnostics"];

/// What may stand in RETURN besides the rows as they are: which of them.
const CHOICE: [&str; 11] =
    ["new", "old", "null", "coalesce", "case", "when", "then", "else", "end", "tg_op", "record"];

/// A function's body, and the tables' columns that it must leave alone.
struct Body<'t> {
    tokens: Tokens<'t>,
    tables: &'t [Table],
    /// Names of the row: NEW, and what is an alias of it.
    rows: Vec<String>,
}

/// Whether the body of a trigger's function changes one of the tables' protected columns in the row that will be written.
pub fn assigns_new(language: &str, body: &str, tables: &[Table]) -> bool {
    if language != "plpgsql" {
        // The row is a variable there, and given back to be taken; its columns are named in texts.
        let lower = body.to_ascii_lowercase();
        let columns = tables.iter().flat_map(|t| &t.columns);
        return lower.contains("modify")
            || columns.into_iter().any(|p| lower.contains(&p.column.to_ascii_lowercase()));
    }
    let body = Body::new(body, tables);
    (0..body.tokens.all().len()).any(|i| body.assigns(i) || body.gives_another_row(i))
}

/// Whether a body sets one of the tables' protected columns by UPDATE, to something else than NULL: by the table's name, or
/// that of a relation which writes one.
pub fn sets_protected(body: &str, tables: &[Table], writes_one: &dyn Fn(&str) -> bool) -> bool {
    let body = Body::new(body, tables);
    let of = |i: usize| {
        body.updated(i).is_none_or(|name| tables.iter().any(|t| *t.name == *name) || writes_one(&name))
    };
    (0..body.tokens.all().len()).any(|i| body.sets(i) && of(i))
}

/// Whether no statement in a body writes, or runs a text that may.
pub fn only_reads(body: &str) -> bool {
    const WRITING: [&str; 8] = ["insert", "update", "delete", "merge", "truncate", "copy", "execute", "call"];
    let tokens = Tokens::new(body);
    !(0..tokens.all().len()).any(|i| {
        // `FOR UPDATE`, `FOR NO KEY UPDATE`, `NEW.update`
        let lock = i > 0
            && (tokens.is_word(i - 1, "for") || tokens.is_word(i - 1, "key") || tokens.is_punct(i - 1, b'.'));
        !lock && WRITING.iter().any(|word| tokens.is_word(i, word))
    })
}

impl<'t> Body<'t> {
    fn new(text: &'t str, tables: &'t [Table]) -> Self {
        let tokens = Tokens::new(text);
        let mut rows = vec!["new".to_owned()];
        for i in 1..tokens.all().len() {
            if tokens.is_word(i, "alias") && tokens.is_word(i + 1, "for") {
                let of = tokens.get(i + 2).and_then(|t| mention::any_name(&tokens, t));
                // By its position (`$1`) a row can't be named: those are arguments.
                if of.is_some_and(|of| rows.contains(&of)) {
                    rows.extend(tokens.get(i - 1).and_then(|t| mention::any_name(&tokens, t)));
                }
            }
        }
        Self { tokens, tables, rows }
    }

    fn name(&self, at: usize) -> Option<String> {
        self.tokens.get(at).and_then(|t| mention::any_name(&self.tokens, t))
    }

    fn operator(&self, at: usize) -> &str {
        let token = self.tokens.get(at).filter(|t| t.kind == Kind::Operator);
        token.map_or("", |t| self.tokens.text(t))
    }

    fn is_word_of(&self, at: usize, words: &[&str]) -> bool {
        words.iter().any(|w| self.tokens.is_word(at, w))
    }

    fn is_protected(&self, name: &str) -> bool {
        self.tables.iter().flat_map(|t| &t.columns).any(|p| *p.column == *name)
    }

    /// Whether a statement begins at this token.
    fn begins(&self, at: usize) -> bool {
        let Some(before) = at.checked_sub(1) else { return true };
        self.tokens.is_punct(before, b';')
            || self.operator(before) == ">>"
            || self.is_word_of(before, &BEFORE)
    }

    /// Index of the token that begins the name whose last part is at `at`: `block.new`.
    fn first_part(&self, mut at: usize) -> usize {
        while at >= 2 && self.tokens.is_punct(at - 1, b'.') {
            at -= 2;
        }
        at
    }

    /// Whether NEW, or a protected column of it, stands here and is given a value.
    fn assigns(&self, at: usize) -> bool {
        if !self.name(at).is_some_and(|n| self.rows.contains(&n)) {
            return false;
        }
        let (column, mut after) = match self.tokens.is_punct(at + 1, b'.') {
            true => (self.name(at + 2), at + 3),
            false => (None, at + 1),
        };
        if column.is_some_and(|name| !self.is_protected(&name)) {
            return false;
        }
        while self.tokens.is_punct(after, b'.') {
            after += 2;
        }
        while self.tokens.is_punct(after, b'[') {
            after = self.tokens.closing(after).map_or(usize::MAX - 1, |close| close + 1);
        }
        let first = self.first_part(at);
        self.operator(after) == ":="
            || (self.begins(first) && self.operator(after) == "=")
            || self.is_target(first)
            || self.is_argument_of_call(first)
    }

    /// Whether what begins here is in a list of variables that get values.
    fn is_target(&self, mut at: usize) -> bool {
        while let Some(before) = at.checked_sub(1) {
            if self.is_word_of(before, &TARGET) {
                return !before.checked_sub(1).is_some_and(|i| self.tokens.is_word(i, "alias"));
            }
            let Some(last) = before.checked_sub(1).filter(|_| self.tokens.is_punct(before, b',')) else {
                return false;
            };
            // `GET DIAGNOSTICS a = ROW_COUNT, …`
            let given = last >= 2 && matches!(self.operator(last - 1), "=" | ":=");
            let variable = if given { last - 2 } else { last };
            if self.name(variable).is_none() {
                return false;
            }
            at = self.first_part(variable);
        }
        false
    }

    /// A procedure's parameter may be one that it gives back.
    fn is_argument_of_call(&self, at: usize) -> bool {
        (0..at)
            .rev()
            .take_while(|&i| !self.tokens.is_punct(i, b';'))
            .any(|i| self.tokens.is_word(i, "call") && self.begins(i))
    }

    /// Whether a RETURN stands here that gives another row than NEW or OLD.
    fn gives_another_row(&self, at: usize) -> bool {
        self.tokens.is_word(at, "return")
            && self.begins(at)
            && (at + 1..self.tokens.all().len()).take_while(|&i| !self.tokens.is_punct(i, b';')).any(|i| {
                self.name(i).is_some_and(|n| !self.rows.contains(&n) && !CHOICE.contains(&n.as_str()))
            })
    }

    /// Whether a SET stands here in whose list a protected column is.
    fn sets(&self, at: usize) -> bool {
        if !self.tokens.is_word(at, "set") {
            return false;
        }
        let Some(depth) = self.tokens.get(at).map(|t| t.depth) else { return false };
        let ends = |i: &usize| {
            let outside = self.tokens.get(*i).is_none_or(|t| t.depth < depth);
            outside || self.tokens.is_punct(*i, b';') || self.is_word_of(*i, &["where", "from", "returning"])
        };
        let mut heads = (at + 1..self.tokens.all().len()).take_while(|i| !ends(i)).filter(|&i| {
            // After SET, a comma or the bracket of `(a, b) = …`.
            i == at + 1 || self.tokens.is_punct(i - 1, b',') || self.tokens.is_punct(i - 1, b'(')
        });
        heads.any(|i| {
            self.name(i).is_some_and(|n| self.is_protected(&n))
                && match self.operator(i + 1) {
                    "=" => !self.is_word_of(i + 2, &["null", "default"]) && !self.is_kept(i),
                    _ => self.in_list_set(i, at),
                }
        })
    }

    /// The relation whose columns the SET at this token is about, where it can be told.
    fn updated(&self, set: usize) -> Option<String> {
        let last = |word: &str| {
            (0..set)
                .rev()
                .take_while(|&i| !self.tokens.is_punct(i, b';'))
                .find(|&i| self.tokens.is_word(i, word))
        };
        let update = last("update")?;
        let does = update.checked_sub(1).is_some_and(|i| self.tokens.is_word(i, "do"));
        let mut at = if does { last("into")? } else { update } + 1;
        if self.tokens.is_word(at, "only") {
            at += 1;
        }
        while self.tokens.is_punct(at + 1, b'.') {
            at += 2;
        }
        self.name(at)
    }

    /// Whether the column at `at` gets what a row has in the same column: `name = NEW.name`.
    fn is_kept(&self, at: usize) -> bool {
        let ends = |i: usize| {
            self.tokens.get(i).is_none_or(|t| matches!(t.kind, Kind::Punct(b',' | b';' | b')')))
                || self.is_word_of(i, &["where", "from", "returning"])
        };
        self.is_word_of(at + 2, &["new", "old", "excluded"])
            && self.tokens.is_punct(at + 3, b'.')
            && self.name(at + 4) == self.name(at)
            && ends(at + 5)
    }

    /// Whether a name stands in a bracket behind SET or a comma that is followed by `=`.
    fn in_list_set(&self, at: usize, set: usize) -> bool {
        let Some(open) = (set + 1..at).rev().find(|&i| self.tokens.is_punct(i, b'(')) else { return false };
        self.tokens.closing(open).is_some_and(|close| close > at && self.operator(close + 1) == "=")
    }
}

/// The name of a function that a statement makes for triggers, where it assigns what is protected.
pub(super) fn made<'n>(stmt: Node<'n>, scope: &Scope<'_>) -> Option<&'n str> {
    let Node::CreateFunctionStmt(f) = stmt else { return None };
    let returns = f.return_type().and_then(|t| t.names().iter().filter_map(|s| s.sval()).next_back());
    let option = |name: &str| f.options().iter().find(|o| o.defname() == Some(name)).map(|o| o.arg());
    let language = option("language").and_then(Node::as_str).unwrap_or_default().to_ascii_lowercase();
    if matches!(language.as_str(), "c" | "internal") {
        return None;
    }
    let writes_one =
        |name: &str| scope.catalog.relations.values().any(|r| r.is_watched() && *r.name == *name);
    let assigns = |body: &str| {
        assigns_new(&language, body, scope.tables) || sets_protected(body, scope.tables, &writes_one)
    };
    let assigns = match option("as").filter(|_| returns == Some("trigger"))? {
        Node::NodeList(list) => list.iter().filter_map(|n| n.as_str()).any(assigns),
        other => statement::constant(other).is_some_and(|body| assigns(&body)),
    };
    f.funcname().iter().filter_map(|n| n.as_str()).next_back().filter(|_| assigns)
}

/// Refuses to put such a function in the place of one that a protected table's trigger calls. Where a trigger is
/// made later, that is refused.
pub(super) fn check(stmt: Node<'_>, scope: &Scope<'_>) -> Result<(), Refusal> {
    let called = |name: &str| scope.catalog.triggered.iter().any(|f| f.eq_ignore_ascii_case(name));
    match made(stmt, scope).filter(|name| called(name)) {
        Some(_) => Err(assigning("a function of a protected table's trigger")),
        None => Ok(()),
    }
}

/// The refusal of what assigns a protected column inside the database.
pub(super) fn assigning(what: &str) -> Refusal {
    refuse::refusal(
        "trigger-assigns",
        format!("{what} that gives a value to a column which the policy protects"),
        "The database can't protect a value that it makes: do it in the application.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::FieldId;
    use crate::policy::model::{Bind, Placed, TableSubject};

    fn tables() -> Vec<Table> {
        let subject = TableSubject { column: "id".into(), class: "person".into(), when: None };
        let columns = vec![Placed { column: "last_name".into(), field: FieldId(0) }];
        vec![Table { schema: "public".into(), name: "people".into(), subject, columns, bind: Bind::Allow }]
    }

    #[test]
    fn a_value_for_new_is_seen_however_it_is_given() {
        for body in [
            "BEGIN NEW.last_name := 'x'; RETURN NEW; END",
            "BEGIN \"new\".last_name := 'x'; RETURN NEW; END",
            "BEGIN U&\"n\\0065w\".last_name := 'x'; RETURN NEW; END",
            "BEGIN new.\"last_name\" = 'x'; RETURN NEW; END",
            "<<b>> BEGIN NULL; b.new.last_name = 'x'; RETURN NEW; END",
            "BEGIN NEW.last_name[1] := 'x'; RETURN NEW; END",
            "BEGIN NEW := row(1); RETURN NEW; END",
            "BEGIN NEW = jsonb_populate_record(NEW, '{}'); RETURN NEW; END",
            "BEGIN RETURN jsonb_populate_record(NEW, '{\"last_name\": \"x\"}'); END",
            "DECLARE r people; BEGIN r := NEW; r.last_name := 'x'; RETURN r; END",
            "DECLARE r ALIAS FOR new; BEGIN r.last_name := 'x'; RETURN NEW; END",
            "DECLARE r ALIAS FOR new; s ALIAS FOR r; BEGIN s.last_name := 'x'; RETURN NEW; END",
            "BEGIN SELECT 1, 'x' INTO NEW.id, NEW.last_name; RETURN NEW; END",
            "BEGIN SELECT 'x' INTO STRICT NEW.last_name; RETURN NEW; END",
            "BEGIN EXECUTE 'SELECT 1' INTO NEW; RETURN NEW; END",
            "BEGIN FOR NEW.last_name IN SELECT 'x' LOOP NULL; END LOOP; RETURN NEW; END",
            "BEGIN FOREACH NEW.last_name IN ARRAY a LOOP NULL; END LOOP; RETURN NEW; END",
            "BEGIN GET STACKED DIAGNOSTICS a = MESSAGE_TEXT, NEW.last_name = PG_EXCEPTION_DETAIL; RETURN NEW; END",
            "BEGIN CALL fill(1, NEW.last_name); RETURN NEW; END",
            "BEGIN IF a THEN CALL fill(NEW); END IF; RETURN NEW; END",
        ] {
            assert!(assigns_new("plpgsql", body, &tables()), "{body}");
        }
        assert!(assigns_new("plpython3u", "TD['new']['last_' + 'name'] = 1; return \"MODIFY\"", &tables()));
    }

    #[test]
    fn a_trigger_that_minds_its_own_columns_is_left_alone() {
        for body in [
            "BEGIN NEW.seen := now(); RETURN NEW; END",
            "BEGIN IF NEW.last_name = OLD.last_name THEN RETURN NULL; END IF; RETURN NEW; END",
            "BEGIN INSERT INTO log SELECT NEW.id, NEW.last_name; RETURN NEW; END",
            "BEGIN INSERT INTO log (a, b) VALUES (NEW.id, NEW.last_name); RETURN COALESCE(NEW, OLD); END",
            "BEGIN IF TG_OP = 'DELETE' THEN RETURN OLD; END IF; RETURN NEW; END",
            "BEGIN PERFORM pg_notify('x', NEW.id::text); RETURN NEW; END",
            "DECLARE r ALIAS FOR new; BEGIN r.seen := now(); RETURN r; END",
            "BEGIN CALL fill(1); NEW.seen := 2; a := NEW.last_name; RETURN NEW; END",
            "BEGIN SELECT NEW.last_name INTO a; RETURN NEW; END",
        ] {
            assert!(!assigns_new("plpgsql", body, &tables()), "{body}");
        }
    }

    #[test]
    fn an_update_of_a_protected_column_is_seen_unless_nothing_new_comes_in() {
        for body in [
            "UPDATE people SET last_name = 'x'",
            "UPDATE people SET seen = now(), \"last_name\" = upper(last_name) WHERE id = 1",
            "UPDATE people p SET (seen, last_name) = (1, 'x')",
            "UPDATE ONLY public.people SET last_name = 'x'",
            "UPDATE staff SET last_name = 'x'",
            "INSERT INTO people VALUES (1) ON CONFLICT (id) DO UPDATE SET last_name = NEW.title",
        ] {
            assert!(sets_protected(body, &tables(), &|name| name == "staff"), "{body}");
        }
        for body in [
            "UPDATE people SET seen = now() WHERE last_name = 'x'",
            "UPDATE people SET last_name = NULL, seen = 1",
            "UPDATE people SET last_name = NEW.last_name WHERE id = NEW.id",
            "SELECT last_name = 'x' FROM people",
            "INSERT INTO people VALUES (1); UPDATE guests SET last_name = 'x'",
            "INSERT INTO guests VALUES (1) ON CONFLICT (id) DO UPDATE SET last_name = 'x'",
        ] {
            assert!(!sets_protected(body, &tables(), &|name| name == "staff"), "{body}");
        }
    }

    #[test]
    fn what_only_reads_has_no_statement_that_writes() {
        assert!(only_reads("SELECT updated, NEW.update FROM people FOR UPDATE"));
        assert!(only_reads("SELECT 1 FROM people FOR NO KEY UPDATE"));
        for body in
            ["BEGIN UPDATE people SET a = 1; END", "EXECUTE a", "WITH d AS (DELETE FROM people) SELECT 1"]
        {
            assert!(!only_reads(body), "{body}");
        }
    }
}
