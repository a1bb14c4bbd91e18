//! The policy's hash: names one policy in logs, receipts and `/readyz`.

use super::model::{
    AfterErasure, Bind, Ids, Policy, Protect, Route, RouteOwner, RouteSubject, Spot, TokenKind, WhenValue,
};
use crate::ids::FieldId;
use sha2::{Digest, Sha256};

/// SHA-256 of a canonical form: what the policy means, not how its file was laid out. Two files with
/// other comments, spacing or order of tables and columns have one hash; the order of fields and of
/// `[[postgres]]` sections doesn't count either.
pub fn hash(policy: &Policy) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in canonical(policy) {
        // Length-prefixed, so that no two policies share a form.
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().into()
}

/// One JSON array per fact, sorted.
fn canonical(policy: &Policy) -> Vec<String> {
    let mut facts = vec![serde_json::json!(["paravent/policy", 1]).to_string()];
    for field in &policy.fields {
        let protect = match &field.protect {
            Protect::Encrypt => serde_json::json!(["encrypt"]),
            Protect::Pseudonym { domain, kind, normalise } => {
                serde_json::json!(["pseudonym", &**domain, kind.name(), normalise])
            }
        };
        let erased = field.erased.as_deref();
        let fact = serde_json::json!([
            "field",
            &*field.name,
            protect,
            field.ty.to_string(),
            &*field.purpose,
            erased
        ]);
        facts.push(fact.to_string());
    }
    for class in &policy.classes {
        let after = match class.after_erasure {
            AfterErasure::Refuse => "refuse",
            AfterErasure::New => "new",
        };
        facts.push(serde_json::json!(["class", &*class.name, after]).to_string());
        // Ids of any text say nothing, so that policies from before have the hash that they had.
        let ids = match class.ids {
            Ids::Text => continue,
            Ids::Integer => "integer",
            Ids::Uuid => "uuid",
        };
        facts.push(serde_json::json!(["ids", &*class.name, ids]).to_string());
    }
    for section in &policy.postgres {
        let mut tables: Vec<serde_json::Value> =
            section.iter().map(|table| table_fact(policy, table)).collect();
        tables.sort_by_key(ToString::to_string);
        facts.push(serde_json::json!(["postgres", tables]).to_string());
    }
    for section in &policy.http {
        let mut routes: Vec<String> =
            section.iter().map(|route| route_fact(policy, route).to_string()).collect();
        routes.sort();
        facts.push(serde_json::json!(["http", routes]).to_string());
    }
    facts.sort();
    facts
}

fn route_fact(policy: &Policy, route: &Route) -> serde_json::Value {
    let methods: Vec<&str> = route.methods.iter().map(|method| &**method).collect();
    let mut places: Vec<String> = route
        .places
        .iter()
        .map(|place| {
            let spot = match &place.spot {
                Spot::Json(pointer) => format!("json:{pointer}"),
                Spot::Form(name) => format!("form:{name}"),
                Spot::Query(name) => format!("query:{name}"),
                Spot::Filter(name, pointer) => format!("query:{name}#{pointer}"),
                Spot::Path(name) => format!("path:{name}"),
                Spot::Header(name) => format!("header:{name}"),
            };
            let operators: Vec<&str> = place.operators.iter().map(|operator| &**operator).collect();
            let (field, owner) = (field_fact(policy, place.field), owner_fact(&place.owner));
            serde_json::json!([spot, field, owner, place.find, operators]).to_string()
        })
        .collect();
    places.sort();
    let body = route
        .body
        .as_ref()
        .map(|body| serde_json::json!([field_fact(policy, body.field), owner_fact(&body.owner)]));
    let mut links: Vec<String> = route.links.iter().map(ToString::to_string).collect();
    links.sort();
    let parameters: Option<Vec<&str>> =
        route.parameters.as_ref().map(|names| names.iter().map(|name| &**name).collect());
    serde_json::json!([
        &*route.path,
        methods,
        places,
        body,
        links,
        route.location,
        parameters,
        route.graphql,
        route.depth,
        route.item_bytes
    ])
}

/// A field is told by its name and, where it has one, its domain.
fn field_fact(policy: &Policy, field: FieldId) -> serde_json::Value {
    let field = policy.field(field);
    let domain = match &field.protect {
        Protect::Encrypt => None,
        Protect::Pseudonym { domain, .. } => Some(&**domain),
    };
    serde_json::json!([&*field.name, domain])
}

/// The order of sources counts.
fn owner_fact(owner: &RouteOwner) -> serde_json::Value {
    let sources: Vec<String> = owner
        .sources
        .iter()
        .map(|source| match source {
            RouteSubject::Path(name) => format!("path:{name}"),
            RouteSubject::Header(name) => format!("header:{name}"),
            RouteSubject::Query(name) => format!("query:{name}"),
            RouteSubject::Form(name) => format!("form:{name}"),
            RouteSubject::Jwt(name) => format!("jwt:{name}"),
            RouteSubject::Json(pointer) => format!("json:{pointer}"),
            RouteSubject::Response(pointer) => format!("response:{pointer}"),
            RouteSubject::ResponseLocation => "response:Location".to_owned(),
        })
        .collect();
    serde_json::json!([&*owner.class, sources])
}

fn table_fact(policy: &Policy, table: &super::model::Table) -> serde_json::Value {
    let mut columns: Vec<(&str, &str)> =
        table.columns.iter().map(|c| (&*c.column, &*policy.field(c.field).name)).collect();
    columns.sort_unstable();
    let when = table.subject.when.as_ref().map(|when| match &when.equals {
        WhenValue::Literal(text) => serde_json::json!([&*when.column, "literal", &**text]),
        WhenValue::NaturalKey(parts) => {
            let parts: Vec<&str> = parts.iter().map(|part| &**part).collect();
            serde_json::json!([&*when.column, "key", parts])
        }
    });
    let mut fact = vec![
        serde_json::json!(&*table.schema),
        serde_json::json!(&*table.name),
        serde_json::json!([&*table.subject.column, &*table.subject.class]),
        serde_json::json!(when),
        serde_json::json!(columns),
    ];
    // A policy that doesn't ask for it keeps the hash that it had before there was such a thing.
    if table.bind == Bind::Refuse {
        fact.push(serde_json::json!("bind"));
    }
    serde_json::Value::Array(fact)
}

impl TokenKind {
    /// As the policy file names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Email => "email",
            Self::Mailbox => "mailbox",
            Self::Uuid => "uuid",
            Self::Integer => "integer",
        }
    }
}
