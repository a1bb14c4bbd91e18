//! What the fuzz targets run. An entry point panics when a promise is broken, and only then.

#![allow(clippy::unwrap_used, clippy::panic)]

use paravent::envelope::{self, EnvelopeRef};
use paravent::ids::{FieldId, FieldTag};
use paravent::pg::catalog::model::{Catalog, Column, Relation, RelationKind};
use paravent::pg::plan::Verdict;
use paravent::pg::sql::{Scope, plan};
use paravent::pg::value::{self, Format, Settings};
use paravent::pg::wire::{bind, describe, error, frame, parse_msg, row, simple, startup};
use paravent::policy::model::{
    AfterErasure, Class, Declared, Field, Placed, Policy, Protect, Table, TableSubject, TokenKind,
};
use std::sync::Arc;

/// Every reader of a message's body, and of a frame's header: answers, never a panic.
pub fn wire(data: &[u8]) {
    let _ = frame::header(data, frame::LARGE);
    let _ = startup::read(data);
    let _ = parse_msg::read(data);
    if let Ok(message) = bind::read(data) {
        for i in 0..message.values.len() {
            let _ = (message.value(i), message.formats.at(i), message.results.at(i));
        }
    }
    if let Ok(cells) = row::cells(data) {
        for cell in cells {
            if let Ok(Some(range)) = cell {
                assert!(data.get(range).is_some(), "a cell lies within its row");
            }
        }
    }
    let _ = (describe::read(data), describe::read_params(data));
    let _ = (error::code(data), error::get(data, b'M'));
    let _ = (simple::read_target(data), simple::read_execute(data), simple::read_query(data));
    let _ = (simple::read_parameter_status(data), simple::read_command_complete(data));
    let _ = (simple::read_backend_key(data), simple::read_ready(data));
}

/// The planner: never a panic, and whatever it rewrites parses again.
pub fn statement(data: &[u8]) {
    let Ok(sql) = std::str::from_utf8(data) else { return };
    let (policy, tables, catalog) = world();
    let path = [Arc::from("public")];
    let scope = |refreshed| Scope {
        policy: &policy,
        tables: &tables,
        catalog: &catalog,
        search_path: &path,
        refreshed,
        server_version: 150_018,
    };
    for refreshed in [false, true] {
        let Ok(planned) = plan(sql, &[], &scope(refreshed)) else { continue };
        for statement in planned {
            assert!(sql.get(statement.range.clone()).is_some(), "a statement lies within its text");
            let Verdict::Run(planned) = statement.verdict else { continue };
            let lookup = planned.write.as_ref().and_then(|w| w.lookup.as_ref());
            let keep = planned.keep.as_ref();
            for text in
                [Some(&planned.sql), lookup.map(|l| &l.sql), keep.map(|k| &k.sql)].into_iter().flatten()
            {
                assert!(plan(text, &[], &scope(true)).is_ok(), "a rewritten text parses");
            }
        }
    }
}

/// The reader of envelopes: what parses has the one layout.
pub fn envelope(data: &[u8]) {
    if let Ok(parsed) = EnvelopeRef::parse(data) {
        assert!((envelope::MIN_LEN..=envelope::MAX_LEN).contains(&data.len()));
        assert_eq!(data[0], envelope::VERSION);
        assert_eq!(parsed.key_id().0[..], data[1..17]);
    }
}

/// The text form: what reads is written back as it was.
pub fn armour(data: &[u8]) {
    let mut raw = Vec::new();
    if envelope::dearmour_into(data, &mut raw).is_ok() {
        assert_eq!(envelope::armour(&raw).as_bytes(), data, "there is one text form");
    }
}

/// The value codecs: what was read is written, and reads as the same again.
pub fn value(data: &[u8]) {
    const TYPES: [Declared; 11] = [
        Declared::Text,
        Declared::Varchar(Some(20)),
        Declared::Integer,
        Declared::Bigint,
        Declared::Numeric(Some((10, 2))),
        Declared::Boolean,
        Declared::Date,
        Declared::Timestamptz(None),
        Declared::Uuid,
        Declared::Jsonb,
        Declared::Bytea,
    ];
    let [kind, format, rest @ ..] = data else { return };
    let declared = TYPES[usize::from(*kind) % TYPES.len()];
    let format = if format % 2 == 0 { Format::Text } else { Format::Binary };
    let settings = Settings {
        date_style: "ISO, MDY".into(),
        time_zone: "Europe/Paris".into(),
        bytea_escape: false,
        charset: None,
    };
    let Ok(clear) = value::decode(rest, format, 0, declared, &settings) else { return };
    for shown in [Format::Text, Format::Binary] {
        let mut out = Vec::new();
        if value::encode(clear.kind(), clear.bytes(), declared, shown, false, &settings, &mut out).is_ok() {
            let again = value::decode(&out, shown, 0, declared, &settings).unwrap();
            assert_eq!((again.kind(), again.bytes()), (clear.kind(), clear.bytes()));
        }
    }
}

fn world() -> (Policy, Vec<Table>, Catalog) {
    let field = |id: u16, name: &str, protect: Protect, ty: Declared| Field {
        id: FieldId(id),
        name: name.into(),
        tag: FieldTag([0; 4]),
        protect,
        ty,
        purpose: "default".into(),
        erased: None,
    };
    let token = Protect::Pseudonym { domain: "email".into(), kind: TokenKind::Email, normalise: false };
    let policy = Policy {
        fields: vec![
            field(0, "last_name", Protect::Encrypt, Declared::Text),
            field(1, "birth_date", Protect::Encrypt, Declared::Date),
            field(2, "email", token, Declared::Text),
        ],
        classes: vec![Class { name: "person".into(), after_erasure: AfterErasure::Refuse }],
        ..Policy::default()
    };
    let placed = |column: &str, id| Placed { column: column.into(), field: FieldId(id) };
    let tables = vec![Table {
        schema: "public".into(),
        name: "people".into(),
        subject: TableSubject { column: "id".into(), class: "person".into(), when: None },
        columns: vec![placed("last_name", 0), placed("birth_date", 1), placed("email", 2)],
    }];
    let column = |name: &str, attnum, type_oid, not_null| Column {
        name: name.into(),
        attnum,
        type_oid,
        typmod: -1,
        not_null,
        generated: name == "id",
        computed: false,
    };
    let people = Relation {
        oid: 1,
        schema: "public".into(),
        name: "people".into(),
        kind: RelationKind::Table,
        definition: None,
        columns: vec![
            column("id", 1, 20, true),
            column("last_name", 2, 25, true),
            column("birth_date", 3, 17, false),
            column("email", 4, 25, true),
            column("job", 5, 25, false),
        ],
        unique: vec![vec!["id".into()]],
        foreign: Vec::new(),
        has_rules: false,
        has_before_triggers: false,
        in_hierarchy: false,
        touches_protected: false,
        writes_protected: false,
    };
    let mut catalog = Catalog { version: 1, server_version: 150_018, ..Catalog::default() };
    catalog.relations.insert(("public".into(), "people".into()), Arc::new(people));
    (policy, tables, catalog)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every entry point on inputs that reach far into it, whole and cut short.
    #[test]
    fn the_entry_points_run() {
        let statements = [
            "SELECT id FROM people WHERE email = 'canary'",
            "UPDATE people SET last_name = 'x', email = $1 WHERE job = 'y' RETURNING *",
            "INSERT INTO people (id, email) VALUES (1, 'a') ON CONFLICT (id) DO UPDATE SET email = EXCLUDED.email",
        ];
        for sql in statements {
            (0..=sql.len()).for_each(|n| statement(&sql.as_bytes()[..n]));
        }
        let bytes: Vec<u8> = (0..=255).cycle().take(600).collect();
        for n in 0..bytes.len() {
            for target in [wire, envelope, armour, value] {
                target(&bytes[n..]);
                target(&bytes[..n]);
            }
        }
        armour(b"pv1.4QAA");
    }
}
