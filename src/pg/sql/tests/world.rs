//! A catalog and a policy to plan against.

use crate::ids::{FieldId, FieldTag};
use crate::pg::catalog::model::{Catalog, Column, ForeignKey, Relation, RelationKind};
use crate::pg::plan::{Plan, Verdict};
use crate::pg::refusal::Refusal;
use crate::pg::sql::{Planned, Scope, plan};
use crate::policy::model::{
    AfterErasure, Bind, Class, Declared, Field, Placed, Policy, Protect, Table, TableSubject, TokenKind,
    When, WhenValue,
};
use std::sync::Arc;

/// What statements are planned against.
pub(in crate::pg) struct World {
    pub(in crate::pg) policy: Policy,
    pub(in crate::pg) tables: Vec<Table>,
    pub(in crate::pg) catalog: Catalog,
    pub(in crate::pg) search_path: Vec<Arc<str>>,
    pub(in crate::pg) refreshed: bool,
}

/// Fields by name, to read in tests.
pub(in crate::pg) const LAST: FieldId = FieldId(0);
pub(in crate::pg) const BIRTH: FieldId = FieldId(1);
pub(in crate::pg) const EMAIL: FieldId = FieldId(2);
pub(in crate::pg) const REPR: FieldId = FieldId(5);

fn column(name: &str, attnum: i16, spec: &str) -> Column {
    let mut c = Column {
        name: name.into(),
        attnum,
        type_oid: 25,
        typmod: -1,
        not_null: spec.contains('!'),
        generated: spec.contains('g'),
        computed: false,
        defaults: false,
        collation: 0,
    };
    (c.type_oid, c.typmod) = match spec.trim_end_matches(['!', 'g']) {
        "int4" => (23, -1),
        "int8" => (20, -1),
        "bytea" => (17, -1),
        "varchar" => (1043, 154),
        "uuid" => (2950, -1),
        _ => (25, -1),
    };
    c
}

fn relation(name: &str, columns: &[(&str, &str)]) -> Relation {
    Relation {
        oid: 1,
        schema: "public".into(),
        name: name.into(),
        kind: RelationKind::Table,
        definition: None,
        odd: false,
        columns: columns.iter().zip(1..).map(|((n, s), i)| column(n, i, s)).collect(),
        unique: vec![vec!["id".into()]],
        foreign: Vec::new(),
        has_rules: false,
        has_before_triggers: false,
        in_hierarchy: false,
        touches_protected: false,
        writes_protected: false,
        truncates: false,
    }
}

fn relations() -> Vec<Relation> {
    let mut log = relation(
        "admin_log",
        &[
            ("id", "int8!g"),
            ("object_id", "text"),
            ("object_repr", "varchar!"),
            ("content_type_id", "int4"),
            ("note", "text"),
        ],
    );
    log.foreign.push(ForeignKey {
        columns: vec!["content_type_id".into()],
        references: ("public".into(), "content_type".into()),
        referenced: vec!["id".into()],
    });
    let mut types =
        relation("content_type", &[("id", "int4!g"), ("app_label", "varchar!"), ("model", "varchar!")]);
    types.unique.push(vec!["app_label".into(), "model".into()]);
    let mut view = relation("staff_view", &[("id", "int8"), ("last_name", "text")]);
    view.kind = RelationKind::View;
    view.touches_protected = true;
    view.definition = Some("SELECT people.id, people.last_name FROM public.people;".into());
    let mut unseen = relation("unseen_view", &[("id", "int8"), ("mine", "int4")]);
    unseen.kind = RelationKind::View;
    unseen.touches_protected = true;
    unseen.definition = Some(
        "SELECT people.id, 1 FROM public.people WHERE ((people.email)::text = 'a@x.example'::text);".into(),
    );
    let mut ruled = relation("ruled", &[("id", "int8!g"), ("last_name", "text")]);
    ruled.has_rules = true;
    let mut triggered = relation("triggered", &[("id", "int8!g"), ("last_name", "text")]);
    triggered.has_before_triggers = true;
    let mut child = relation("parted", &[("id", "int8!g"), ("last_name", "text")]);
    child.in_hierarchy = true;
    let mut copied = relation("copied", &[("id", "int8!g"), ("title", "text")]);
    copied.writes_protected = true;
    let mut hr = relation("Staff", &[("id", "uuid!"), ("Last Name", "text")]);
    hr.schema = "hr".into();
    vec![
        relation(
            "people",
            &[
                ("id", "int8!g"),
                ("email", "varchar!"),
                ("last_name", "varchar!"),
                ("birth_date", "bytea"),
                ("job", "text"),
                ("badge", "uuid"),
            ],
        ),
        relation(
            "archive",
            &[
                ("id", "int8!"),
                ("email", "text"),
                ("last_name", "text"),
                ("birth_date", "bytea"),
                ("job", "text"),
            ],
        ),
        relation("comments", &[("id", "int8!g"), ("author_id", "int8"), ("body", "text"), ("likes", "int4")]),
        relation(
            "articles",
            &[("id", "int8!g"), ("title", "text"), ("author_id", "int8"), ("comments", "int4")],
        ),
        relation("contacts", &[("id", "int8!g"), ("person_id", "int8"), ("email", "text"), ("kind", "text")]),
        log,
        types,
        view,
        unseen,
        ruled,
        triggered,
        child,
        copied,
        hr,
    ]
}

fn field(id: u16, name: &str, protect: Protect, ty: Declared) -> Field {
    Field {
        id: FieldId(id),
        name: name.into(),
        tag: FieldTag([0; 4]),
        protect,
        ty,
        purpose: "default".into(),
        erased: None,
    }
}

fn table(name: &str, subject: &str, columns: &[(&str, u16)]) -> Table {
    Table {
        schema: "public".into(),
        name: name.into(),
        subject: TableSubject { column: subject.into(), class: "person".into(), when: None },
        columns: columns.iter().map(|(c, f)| Placed { column: (*c).into(), field: FieldId(*f) }).collect(),
        bind: Bind::Allow,
    }
}

/// The world of these tests.
pub(in crate::pg) fn world() -> World {
    let token = |domain: &str, kind| Protect::Pseudonym { domain: domain.into(), kind, normalise: false };
    let policy = Policy {
        fields: vec![
            field(0, "last_name", Protect::Encrypt, Declared::Text),
            field(1, "birth_date", Protect::Encrypt, Declared::Date),
            field(2, "email", token("email", TokenKind::Email), Declared::Text),
            field(3, "comment", Protect::Encrypt, Declared::Text),
            field(4, "badge", token("badge", TokenKind::Uuid), Declared::Uuid),
            field(5, "repr", Protect::Encrypt, Declared::Text),
        ],
        classes: vec![Class {
            name: "person".into(),
            after_erasure: AfterErasure::Refuse,
            ids: Default::default(),
        }],
        postgres: Vec::new(),
        http: Vec::new(),
    };
    let mut log = table("admin_log", "object_id", &[("object_repr", 5)]);
    log.subject.when = Some(When {
        column: "content_type".into(),
        equals: WhenValue::NaturalKey(vec!["auth".into(), "user".into()]),
    });
    let mut hr = table("Staff", "id", &[("Last Name", 0)]);
    hr.schema = "hr".into();
    let tables = vec![
        table("people", "id", &[("email", 2), ("last_name", 0), ("birth_date", 1), ("badge", 4)]),
        table("archive", "id", &[("email", 2), ("last_name", 0), ("birth_date", 1)]),
        table("comments", "author_id", &[("body", 3)]),
        table("contacts", "person_id", &[("email", 2)]),
        table("ruled", "id", &[("last_name", 0)]),
        table("triggered", "id", &[("last_name", 0)]),
        table("parted", "id", &[("last_name", 0)]),
        table("future", "id", &[("email", 2), ("birth_date", 1), ("last_name", 0)]),
        log,
        hr,
    ];
    let mut catalog = Catalog { version: 1, server_version: 150_018, ..Catalog::default() };
    for r in relations() {
        catalog.relations.insert((r.schema.clone(), r.name.clone()), Arc::new(r));
    }
    catalog.functions.push("touch_people".into());
    catalog.triggered.push("f".into());
    catalog.assigning.push("sets_names".into());
    World { policy, tables, catalog, search_path: vec!["public".into()], refreshed: false }
}

impl World {
    /// Plans a text.
    pub(in crate::pg) fn script(&self, sql: &str, declared: &[u32]) -> Result<Vec<Planned>, Refusal> {
        plan(sql, declared, &self.scope())
    }

    pub(in crate::pg) fn scope(&self) -> Scope<'_> {
        Scope {
            policy: &self.policy,
            tables: &self.tables,
            catalog: &self.catalog,
            search_path: self.search_path[..].into(),
            refreshed: self.refreshed,
            server_version: self.catalog.server_version,
        }
    }

    /// The verdict on a single statement.
    pub(in crate::pg) fn verdict(&self, sql: &str) -> Verdict {
        let mut planned = self.script(sql, &[]).unwrap_or_else(|r| panic!("{sql}: {r:?}"));
        assert_eq!(planned.len(), 1, "{sql}");
        planned.remove(0).verdict
    }

    /// The plan of a single statement that runs.
    pub(in crate::pg) fn run(&self, sql: &str) -> Arc<Plan> {
        match self.verdict(sql) {
            Verdict::Run(plan) => plan,
            other => panic!("{sql}: {other:?}"),
        }
    }

    /// The refusal of a single statement: its anchor and message.
    pub(in crate::pg) fn refusal(&self, sql: &str) -> Refusal {
        match self.verdict(sql) {
            Verdict::Refuse(refusal) => refusal,
            Verdict::Run(plan) => panic!("{sql}: runs as {}", plan.sql),
            other => panic!("{sql}: {other:?}"),
        }
    }
}
