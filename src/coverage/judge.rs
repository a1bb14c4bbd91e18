//! A protected table of the policy against the table that the database has. Pure.

use crate::policy::guard;
use crate::policy::model::{Declared, Field, Policy, Protect, Table, TokenKind, WhenValue};
use crate::pseudonym::max_token_len;

/// A table as the catalog describes it.
#[derive(Debug, Clone, Default)]
pub(super) struct LiveTable {
    /// `pg_class.relkind`: `r`, `p`, `v`, `m`, `f`.
    pub(super) kind: char,
    /// Its live columns.
    pub(super) columns: Vec<LiveColumn>,
    /// Foreign keys on the subject column whose action would change it.
    pub(super) cascades: Vec<String>,
    /// It has rewrite rules.
    pub(super) rules: bool,
    /// It has enabled BEFORE ROW triggers.
    pub(super) before_triggers: bool,
    /// It is a partition, or inherits.
    pub(super) hierarchy: bool,
}

/// A column.
#[derive(Debug, Clone, Default)]
pub(super) struct LiveColumn {
    pub(super) name: String,
    /// The base type's name in `pg_type`: `varchar`, `int4`.
    pub(super) base: String,
    /// The type as SQL writes it.
    pub(super) shown: String,
    /// n of varchar(n).
    pub(super) limit: Option<u32>,
    pub(super) not_null: bool,
    /// Its default, unless that is NULL or ''.
    pub(super) default: Option<String>,
}

/// Something found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The policy can't work with the schema as it is.
    pub wrong: bool,
    /// What it is.
    pub text: String,
    /// The statement that serves.
    pub ddl: Option<String>,
}

impl Finding {
    fn wrong(text: impl Into<String>, ddl: Option<String>) -> Self {
        Self { wrong: true, text: text.into(), ddl }
    }

    fn note(text: impl Into<String>) -> Self {
        Self { wrong: false, text: text.into(), ddl: None }
    }
}

/// Everything that there is to say of one table.
pub(super) fn judge(policy: &Policy, table: &Table, live: Option<&LiveTable>) -> Vec<Finding> {
    let name = format!("{}.{}", table.schema, table.name);
    let Some(live) = live else {
        return vec![Finding::note(format!(
            "{name} does not exist yet: protected from the moment it is created"
        ))];
    };
    if !matches!(live.kind, 'r' | 'p') {
        return vec![Finding::wrong(
            format!("{name} is no ordinary table: its statements are refused"),
            None,
        )];
    }
    let mut found = Vec::new();
    subject(table, live, &name, &mut found);
    for placed in &table.columns {
        let at = format!("{name}.{}", placed.column);
        match live.columns.iter().find(|column| *column.name == *placed.column) {
            Some(column) => judge_column(policy.field(placed.field), column, &name, &at, &mut found),
            None => found.push(missing(live, &at, &placed.column)),
        }
    }
    for (is, text) in [
        (live.rules, "has rewrite rules: writes are refused"),
        (live.before_triggers, "has BEFORE triggers: writes whose subject RETURNING must tell are refused"),
        (
            live.hierarchy,
            "is the child or a partition of another table: where the policy does not name that one too, writes are refused",
        ),
    ] {
        if is {
            found.push(Finding::note(format!("{name} {text}")));
        }
    }
    found
}

/// Where the database has the guard: protected columns that are outside it, since they were made or altered later.
pub(super) fn unguarded(seen: &[(&Table, LiveTable)]) -> Vec<Finding> {
    let has = |column: &&LiveColumn| column.shown.starts_with(&format!("{}.", guard::SCHEMA));
    if !seen.iter().any(|(_, live)| live.columns.iter().any(|column| has(&column))) {
        return Vec::new();
    }
    let mut found = Vec::new();
    for (table, live) in seen.iter().filter(|(table, _)| table.subject.when.is_none()) {
        let placed = |column: &&LiveColumn| table.columns.iter().any(|p| *p.column == *column.name);
        for column in live.columns.iter().filter(placed).filter(|column| !has(column)) {
            found.push(Finding::note(format!(
                "{}.{}.{} is not guarded: run `paravent check --guard` again",
                table.schema, table.name, column.name
            )));
        }
    }
    found
}

fn subject(table: &Table, live: &LiveTable, name: &str, found: &mut Vec<Finding>) {
    let has = |wanted: &str| live.columns.iter().any(|column| column.name == wanted);
    let column = &table.subject.column;
    if !has(column) {
        found.push(missing(live, &format!("{name}.{column} (subject)"), column));
    }
    if let Some(when) = &table.subject.when {
        let by_key = matches!(when.equals, WhenValue::NaturalKey(_)) && has(&format!("{}_id", when.column));
        if !has(&when.column) && !by_key {
            found.push(missing(live, &format!("{name}.{} (when)", when.column), &when.column));
        }
    }
    for cascade in &live.cascades {
        found.push(Finding::wrong(
            format!("{name}: the foreign key {cascade} can change the subject {column} of rows sealed for another"),
            Some(format!(
                "ALTER TABLE {name} DROP CONSTRAINT {cascade}; -- and add it again with ON UPDATE NO ACTION, and ON DELETE NO ACTION or CASCADE"
            )),
        ));
    }
}

fn missing(live: &LiveTable, at: &str, column: &str) -> Finding {
    let names: Vec<&str> = live.columns.iter().map(|column| column.name.as_str()).collect();
    Finding::wrong(format!("{at} does not exist{}", crate::policy::suggest(column, &names)), None)
}

fn judge_column(field: &Field, column: &LiveColumn, table: &str, at: &str, found: &mut Vec<Finding>) {
    let alter = |what: &str| Some(format!("ALTER TABLE {table} ALTER COLUMN {} {what};", column.name));
    let text = matches!(column.base.as_str(), "text" | "varchar");
    match &field.protect {
        Protect::Encrypt if field.ty.is_text() => {
            if !text {
                found.push(storage(
                    at,
                    column,
                    "an envelope of text stands in text or varchar",
                    alter("TYPE text"),
                ));
            } else if let Some(limit) = column.limit {
                width(at, limit, alter("TYPE text"), found);
            }
        }
        Protect::Encrypt => {
            if column.base != "bytea" {
                let what = format!("an encrypted {} stands in bytea", field.ty);
                // No cast makes an envelope of a clear value: what is there must go through the gateway.
                found.push(storage(at, column, &what, alter("TYPE bytea USING NULL::bytea")));
            }
        }
        Protect::Pseudonym { kind, .. } => token(at, *kind, column, &alter, found),
    }
    if let Some(default) = &column.default {
        let text = format!("{at} has the default {default}, which the database would write in clear");
        found.push(Finding::wrong(text, alter("DROP DEFAULT")));
    }
    if column.not_null && field.erased.is_none() && field.ty != Declared::Text {
        found.push(Finding::wrong(
            format!(
                "{at} is NOT NULL, and field \"{}\" has no `erased` value to read as after an erasure",
                field.name
            ),
            alter("DROP NOT NULL"),
        ));
    }
}

fn token(
    at: &str,
    kind: TokenKind,
    column: &LiveColumn,
    alter: &dyn Fn(&str) -> Option<String>,
    found: &mut Vec<Finding>,
) {
    let (serves, target) = match kind {
        TokenKind::Text | TokenKind::Email | TokenKind::Mailbox => {
            (matches!(column.base.as_str(), "text" | "varchar"), "text")
        }
        TokenKind::Uuid => (column.base == "uuid", "uuid"),
        TokenKind::Integer => (column.base == "int8", "bigint"),
    };
    if !serves {
        let what = format!("a token of kind {} stands in {target}", kind.name());
        found.push(storage(at, column, &what, alter(&format!("TYPE {target}"))));
        return;
    }
    let longest = max_token_len(kind);
    if column.limit.is_some_and(|limit| (limit as usize) < longest) {
        let text =
            format!("{at} is {}, and a token of kind {} has {longest} characters", column.shown, kind.name());
        found.push(Finding::wrong(text, alter("TYPE text")));
    }
}

fn storage(at: &str, column: &LiveColumn, what: &str, ddl: Option<String>) -> Finding {
    Finding::wrong(format!("{at} is {}; {what}", column.shown), ddl)
}

/// How many bytes a value may have whose armoured envelope fits in so many characters.
fn room(limit: u32) -> u32 {
    // 4 characters of `pv1.`, then base64url without padding of 33 + type byte + value + 16.
    (limit.saturating_sub(4) * 3 / 4).saturating_sub(50)
}

fn width(at: &str, limit: u32, ddl: Option<String>, found: &mut Vec<Finding>) {
    match room(limit) {
        0 => {
            found.push(Finding::wrong(format!("{at} is varchar({limit}), too narrow for any envelope"), ddl));
        }
        bytes => found.push(Finding {
            wrong: false,
            text: format!(
                "{at} is varchar({limit}): values of up to {bytes} bytes fit, longer ones are refused (22001)"
            ),
            ddl,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: &str = r#"
[fields]
name = "encrypt"
birth = { protect = "encrypt", type = "date" }
email = { protect = "pseudonym", kind = "email" }
badge = { protect = "pseudonym", kind = "uuid" }
[[postgres]]
[postgres.tables.people]
subject = "id"
fields = ["name", "birth", "email", "badge"]
"#;

    fn column(name: &str, base: &str, limit: Option<u32>) -> LiveColumn {
        LiveColumn {
            name: name.into(),
            base: base.into(),
            shown: base.into(),
            limit,
            ..LiveColumn::default()
        }
    }

    fn good() -> LiveTable {
        let columns = vec![
            column("id", "int8", None),
            column("name", "text", None),
            column("birth", "bytea", None),
            column("email", "varchar", Some(254)),
            column("badge", "uuid", None),
        ];
        LiveTable { kind: 'r', columns, ..LiveTable::default() }
    }

    fn found(change: impl FnOnce(&mut LiveTable)) -> Vec<Finding> {
        let policy = crate::config::policy_only(POLICY).unwrap();
        let mut live = good();
        change(&mut live);
        judge(&policy, &policy.postgres[0][0], Some(&live))
    }

    fn only(change: impl FnOnce(&mut LiveTable)) -> Finding {
        let mut all = found(change);
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }

    #[test]
    fn a_schema_that_serves_gives_nothing_to_say() {
        assert_eq!(found(|_| {}), []);
    }

    #[test]
    fn a_table_that_does_not_exist_yet_is_no_error() {
        let policy = crate::config::policy_only(POLICY).unwrap();
        let all = judge(&policy, &policy.postgres[0][0], None);
        assert!(!all[0].wrong && all[0].text.contains("does not exist yet"));
    }

    #[test]
    fn a_missing_column_is_wrong_and_a_near_name_is_offered() {
        let one = only(|live| live.columns[1].name = "nam".into());
        assert!(one.wrong && one.text.contains("did you mean \"nam\"?"), "{one:?}");
        assert!(only(|live| live.columns[0].name = "key".into()).text.contains("public.people.id (subject)"));
    }

    #[test]
    fn a_type_that_does_not_serve_is_wrong_with_the_ddl_that_does() {
        let one = only(|live| live.columns[2] = column("birth", "date", None));
        assert_eq!(
            one.ddl.as_deref(),
            Some("ALTER TABLE public.people ALTER COLUMN birth TYPE bytea USING NULL::bytea;")
        );
        assert!(one.wrong);
        let one = only(|live| live.columns[4] = column("badge", "text", None));
        assert_eq!(one.ddl.as_deref(), Some("ALTER TABLE public.people ALTER COLUMN badge TYPE uuid;"));
    }

    #[test]
    fn a_narrow_column_is_told_and_one_too_narrow_for_anything_is_wrong() {
        let one = only(|live| live.columns[1] = column("name", "varchar", Some(150)));
        assert!(!one.wrong && one.text.contains("up to 59 bytes"), "{one:?}");
        assert!(only(|live| live.columns[1] = column("name", "varchar", Some(71))).wrong);
        let one = only(|live| live.columns[3] = column("email", "varchar", Some(30)));
        assert!(one.wrong && one.text.contains("token of kind email"), "{one:?}");
    }

    #[test]
    fn the_room_in_a_column_is_exact() {
        for limit in 72..400 {
            let bytes = room(limit) as usize;
            let armoured = |n: usize| 4 + ((n + 50) * 4).div_ceil(3);
            assert!(bytes == 0 || armoured(bytes) <= limit as usize, "{limit}");
            assert!(armoured(bytes + 1) > limit as usize, "{limit}");
        }
    }

    #[test]
    fn what_would_be_written_in_clear_or_cannot_read_as_erased_is_wrong() {
        assert!(only(|live| live.columns[1].default = Some("'x'::text".into())).text.contains("in clear"));
        let one = only(|live| live.columns[2].not_null = true);
        assert!(one.wrong && one.text.contains("no `erased` value"), "{one:?}");
        assert_eq!(found(|live| live.columns[1].not_null = true), [], "text reads as ''");
    }

    #[test]
    fn a_cascade_that_changes_a_subject_is_wrong() {
        let one = only(|live| live.cascades.push("people_id_fkey".into()));
        assert!(one.wrong && one.ddl.unwrap().contains("DROP CONSTRAINT people_id_fkey"));
    }

    #[test]
    fn rules_triggers_and_hierarchies_are_told() {
        let all = found(|live| (live.rules, live.before_triggers, live.hierarchy) = (true, true, true));
        assert_eq!(all.len(), 3);
        assert!(all.iter().all(|finding| !finding.wrong));
    }

    #[test]
    fn a_view_in_the_place_of_a_table_is_wrong() {
        assert!(only(|live| live.kind = 'v').wrong);
    }
}
