//! Raw policy → [`Policy`], with every problem at once. Pure.

use super::http::Routes;
use super::model::{
    AfterErasure, Bind, Class, Declared, Field, Ids, Placed, Policy, Protect, Table, TableSubject, TokenKind,
};
use super::raw::{At, Problems, RawClass, RawField, RawPolicy, RawTable};
use super::{suggest, types, when};
use crate::ids::{FieldId, FieldTag};
use hashbrown::HashMap;
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// Checks a policy as written. What could be compiled is returned even when there are problems, so
/// that a caller can go on looking for more; it must not be used if any was added.
pub fn compile(raw: &RawPolicy, problems: &mut Problems) -> Policy {
    let mut fields = compile_fields(&raw.fields, problems);
    let declared: Vec<&str> = raw.fields.iter().map(|field| field.name.value.as_str()).collect();
    let mut classes = compile_classes(&raw.classes, problems);
    let mut tables = Tables { fields: &fields, declared: &declared, classes: &mut classes };
    let postgres = raw.postgres.iter().map(|section| tables.section(section, problems)).collect();
    let mut routes = Routes { fields: &mut fields, declared: &declared, classes: &mut classes };
    let http = raw.http.iter().map(|section| routes.section(section, problems)).collect();
    Policy { fields, classes, postgres, http }
}

/// The four bytes by which an envelope names its field (design.md §4).
pub fn field_tag(name: &str) -> FieldTag {
    let hash = Sha256::new().chain_update(b"paravent/v1/field").chain_update(name.as_bytes()).finalize();
    FieldTag([hash[0], hash[1], hash[2], hash[3]])
}

fn compile_fields(raw: &[RawField], problems: &mut Problems) -> Vec<Field> {
    let mut fields: Vec<Field> = Vec::new();
    let mut tags: HashMap<FieldTag, &str> = HashMap::new();
    let mut domains: HashMap<Arc<str>, (TokenKind, bool, Arc<str>)> = HashMap::new();
    for field in raw {
        let At { at, value: name } = &field.name;
        check_word("field", &field.name, problems);
        let tag = field_tag(name);
        if let Some(other) = tags.insert(tag, name) {
            problems.add(
                *at,
                format!("the names \"{name}\" and \"{other}\" share a field tag: rename one of them"),
            );
        }
        let Ok(id) = u16::try_from(fields.len()) else {
            problems.add(*at, "a policy has at most 65535 fields");
            break;
        };
        let Some((protect, ty)) = protection(field, problems) else { continue };
        if let Protect::Pseudonym { domain, kind, normalise } = &protect {
            let (first_kind, first_normalise, first) = domains
                .entry(domain.clone())
                .or_insert_with(|| (*kind, *normalise, Arc::from(name.as_str())));
            if (*first_kind, *first_normalise) != (*kind, *normalise) {
                problems.add(*at, format!(
                    "fields \"{first}\" and \"{name}\" share the domain \"{domain}\", and so must have the same kind and normalise"
                ));
            }
        }
        if let Some(purpose) = &field.purpose {
            check_word("purpose", purpose, problems);
        }
        if let Some(erased) = &field.erased
            && let Err(message) = ty.check_value(&erased.value)
        {
            problems.add(erased.at, format!("field \"{name}\": the erased value {message}"));
        }
        let erased = field.erased.as_ref().map(|e| Arc::from(e.value.as_str()));
        fields.push(Field {
            id: FieldId(id),
            name: Arc::from(name.as_str()),
            tag,
            protect,
            ty,
            purpose: Arc::from(field.purpose.as_ref().map_or("default", |p| p.value.as_str())),
            erased: erased.or_else(|| ty.is_text().then(|| Arc::from(""))),
        });
    }
    fields
}

/// How a field is protected and the type that clients see.
fn protection(field: &RawField, problems: &mut Problems) -> Option<(Protect, Declared)> {
    let name = &field.name.value;
    let ty = match &field.ty {
        None => None,
        Some(ty) => match Declared::parse(&ty.value) {
            Ok(parsed) => Some(parsed),
            Err(message) => {
                let word = ty.value.split('(').next().unwrap_or_default();
                let hint =
                    if message.starts_with("unknown") { suggest(word, types::NAMES) } else { String::new() };
                return problems.none(ty.at, format!("field \"{name}\": {message}{hint}"));
            }
        },
    };
    let protect = field.protect.as_ref()?;
    match protect.value.as_str() {
        "encrypt" => {
            for (key, at) in [
                ("kind", field.kind.as_ref().map(|v| v.at)),
                ("domain", field.domain.as_ref().map(|v| v.at)),
                ("normalise", field.normalise.as_ref().map(|v| v.at)),
            ] {
                if let Some(at) = at {
                    problems.add(
                        at,
                        format!("field \"{name}\": {key} is for pseudonyms; an encrypted field has none"),
                    );
                }
            }
            Some((Protect::Encrypt, ty.unwrap_or(Declared::Text)))
        }
        "pseudonym" => pseudonym(field, ty, problems),
        "media" | "body" => problems.none(
            protect.at,
            format!("field \"{name}\": protect = \"{}\" is not in this version", protect.value),
        ),
        other => problems.none(
            protect.at,
            format!(
                "field \"{name}\": unknown protection \"{other}\"{}",
                suggest_or(other, &["encrypt", "pseudonym"], "; it is \"encrypt\" or \"pseudonym\"")
            ),
        ),
    }
}

fn pseudonym(field: &RawField, ty: Option<Declared>, problems: &mut Problems) -> Option<(Protect, Declared)> {
    let name = &field.name.value;
    let kind = match &field.kind {
        None => None,
        Some(kind) => Some(match kind.value.as_str() {
            "text" => TokenKind::Text,
            "email" => TokenKind::Email,
            "mailbox" => TokenKind::Mailbox,
            "uuid" => TokenKind::Uuid,
            "integer" => TokenKind::Integer,
            other => {
                let hint = suggest_or(
                    other,
                    &["text", "email", "mailbox", "uuid", "integer"],
                    "; it is text, email, mailbox, uuid or integer",
                );
                return problems.none(kind.at, format!("field \"{name}\": unknown kind \"{other}\"{hint}"));
            }
        }),
    };
    let (kind, ty) = match shape(kind, ty) {
        Ok(pair) => pair,
        Err(message) => {
            let at = field.kind.as_ref().or(field.ty.as_ref()).map_or(field.name.at, |v| v.at);
            return problems.none(at, format!("field \"{name}\": {message}"));
        }
    };
    let normalise = field.normalise.as_ref().is_some_and(|n| n.value);
    if let Some(wish) = field.normalise.as_ref().filter(|n| n.value && !ty.is_text()) {
        problems.add(wish.at, format!("field \"{name}\": only text is normalised, not {ty}"));
    }
    if let Some(domain) = &field.domain {
        check_word("domain", domain, problems);
    }
    let domain = Arc::from(field.domain.as_ref().map_or(name.as_str(), |d| d.value.as_str()));
    Some((Protect::Pseudonym { domain, kind, normalise }, ty))
}

/// A token stands in the identifier's own column, so its shape and the declared type go together.
fn shape(kind: Option<TokenKind>, ty: Option<Declared>) -> Result<(TokenKind, Declared), String> {
    Ok(match (kind, ty) {
        (None, None) => (TokenKind::Text, Declared::Text),
        (Some(kind @ (TokenKind::Text | TokenKind::Email | TokenKind::Mailbox)), None) => {
            (kind, Declared::Text)
        }
        (Some(TokenKind::Uuid), None) | (None | Some(TokenKind::Uuid), Some(Declared::Uuid)) => {
            (TokenKind::Uuid, Declared::Uuid)
        }
        (Some(TokenKind::Integer), None) | (None | Some(TokenKind::Integer), Some(Declared::Bigint)) => {
            (TokenKind::Integer, Declared::Bigint)
        }
        (kind @ (None | Some(TokenKind::Text | TokenKind::Email | TokenKind::Mailbox)), Some(ty))
            if ty.is_text() =>
        {
            (kind.unwrap_or(TokenKind::Text), ty)
        }
        (None | Some(TokenKind::Integer), Some(Declared::Integer)) => {
            return Err("a token of kind integer has 63 bits: the type must be bigint".into());
        }
        (None, Some(ty)) => {
            return Err(format!("no kind of token stands in a column of type {ty}: encrypt the field"));
        }
        (Some(kind), Some(ty)) => {
            let fits = match kind {
                TokenKind::Text | TokenKind::Email | TokenKind::Mailbox => "text or varchar",
                TokenKind::Uuid => "uuid",
                TokenKind::Integer => "bigint",
            };
            return Err(format!("a token of this kind stands in a column of type {fits}, not {ty}"));
        }
    })
}

fn compile_classes(raw: &[RawClass], problems: &mut Problems) -> Vec<Class> {
    let mut classes: Vec<Class> = Vec::new();
    for class in raw {
        check_word("class", &class.name, problems);
        let after_erasure = match &class.after_erasure {
            None => AfterErasure::Refuse,
            Some(word) => match word.value.as_str() {
                "refuse" => AfterErasure::Refuse,
                "new" => AfterErasure::New,
                other => {
                    let hint = suggest_or(other, &["refuse", "new"], "; it is \"refuse\" or \"new\"");
                    problems.add(word.at, format!("unknown after_erasure \"{other}\"{hint}"));
                    continue;
                }
            },
        };
        let Some(ids) = ids(class, problems) else { continue };
        classes.push(Class { name: Arc::from(class.name.value.as_str()), after_erasure, ids });
    }
    name_class(&mut classes, "person");
    classes
}

fn ids(class: &RawClass, problems: &mut Problems) -> Option<Ids> {
    let Some(word) = &class.ids else { return Some(Ids::Text) };
    match word.value.as_str() {
        "text" => Some(Ids::Text),
        "integer" => Some(Ids::Integer),
        "uuid" => Some(Ids::Uuid),
        other => {
            let known = "; it is \"text\", \"integer\" or \"uuid\"";
            let hint = suggest_or(other, &["text", "integer", "uuid"], known);
            problems.none(word.at, format!("unknown id \"{other}\"{hint}"))
        }
    }
}

/// The class of that name, with the default when no section declares it.
pub(super) fn name_class(classes: &mut Vec<Class>, name: &str) -> Arc<str> {
    if let Some(class) = classes.iter().find(|class| &*class.name == name) {
        return class.name.clone();
    }
    let name: Arc<str> = Arc::from(name);
    classes.push(Class { name: name.clone(), after_erasure: AfterErasure::Refuse, ids: Ids::Text });
    name
}

struct Tables<'a> {
    fields: &'a [Field],
    /// Names of all declared fields, sound or not.
    declared: &'a [&'a str],
    classes: &'a mut Vec<Class>,
}

impl Tables<'_> {
    fn section(&mut self, raw: &[RawTable], problems: &mut Problems) -> Vec<Table> {
        let mut tables: Vec<Table> = Vec::new();
        for table in raw {
            let Some((schema, name)) = table_name(&table.name, problems) else { continue };
            if tables.iter().any(|t| *t.schema == *schema && *t.name == *name) {
                problems.add(table.name.at, format!("table \"{schema}.{name}\" is declared twice"));
                continue;
            }
            if let Some(compiled) = self.table(table, schema, name, problems) {
                tables.push(compiled);
            }
        }
        tables
    }

    fn table(&mut self, raw: &RawTable, schema: &str, name: &str, problems: &mut Problems) -> Option<Table> {
        let columns = self.columns(raw, problems);
        let subject = self.subject(raw, problems)?;
        let protected = |column: &str| raw.columns.iter().find(|(placed, _)| placed.value == column);
        if let Some((column, _)) = protected(&subject.column) {
            problems.add(
                column.at,
                format!(
                    "table \"{name}\": the subject column \"{}\" can't be protected itself",
                    column.value
                ),
            );
        }
        if let Some(when) = &subject.when {
            if let Some((column, _)) = protected(&when.column) {
                problems.add(
                    column.at,
                    format!(
                        "table \"{name}\": \"{}\" decides whose row it is (when), and can't be protected",
                        column.value
                    ),
                );
            }
            for placed in &columns {
                let field = &self.fields[usize::from(placed.field.0)];
                if matches!(field.protect, Protect::Pseudonym { .. }) {
                    problems.add(raw.name.at, format!(
                        "table \"{name}\": column \"{}\" holds the pseudonym \"{}\", which a table with `when` can't: \
                         where the condition is false the value would stay clear, and comparisons would miss it",
                        placed.column, field.name
                    ));
                }
            }
        }
        let bind = bind(raw, name, problems);
        Some(Table { schema: Arc::from(schema), name: Arc::from(name), subject, columns, bind })
    }

    fn columns(&self, raw: &RawTable, problems: &mut Problems) -> Vec<Placed> {
        let table = &raw.name.value;
        let mut columns: Vec<Placed> = Vec::new();
        let mut seen: Vec<&str> = Vec::new();
        for (column, field) in &raw.columns {
            if !check_name("column", column, problems) {
                continue;
            }
            if seen.contains(&column.value.as_str()) {
                problems.add(
                    column.at,
                    format!("table \"{table}\": column \"{}\" is listed twice", column.value),
                );
                continue;
            }
            seen.push(&column.value);
            if let Some(known) = self.fields.iter().find(|known| *known.name == *field.value) {
                columns.push(Placed { column: Arc::from(column.value.as_str()), field: known.id });
            } else if !self.declared.contains(&field.value.as_str()) {
                let hint = suggest(&field.value, self.declared);
                problems.add(
                    field.at,
                    format!("table \"{table}\": no field \"{}\" in [fields]{hint}", field.value),
                );
            }
        }
        columns
    }

    fn subject(&mut self, raw: &RawTable, problems: &mut Problems) -> Option<TableSubject> {
        let subject = raw.subject.as_ref()?;
        let column = &subject.column;
        if column.value.contains("->") {
            return problems
                .none(column.at, "a subject reached through a foreign key (\"->\") is not in this version");
        }
        let named = check_name("subject column", column, problems);
        let class = match &subject.class {
            Some(class) => {
                check_word("class", class, problems);
                name_class(self.classes, &class.value)
            }
            None => name_class(self.classes, "person"),
        };
        let when = match subject.when.as_ref().map(|text| (text.at, when::parse(&text.value))) {
            None => None,
            Some((_, Ok(when))) => Some(when),
            Some((at, Err(message))) => return problems.none(at, format!("when: {message}")),
        };
        named.then(|| TableSubject { column: Arc::from(column.value.as_str()), class, when })
    }
}

fn bind(raw: &RawTable, table: &str, problems: &mut Problems) -> Bind {
    match raw.bind.as_ref().map(|bind| (bind.at, bind.value.as_str())) {
        None | Some((_, "allow")) => Bind::Allow,
        Some((_, "refuse")) => Bind::Refuse,
        Some((at, other)) => {
            let hint = suggest_or(other, &["refuse", "allow"], "; it is \"refuse\" or \"allow\"");
            problems.add(at, format!("table \"{table}\": unknown bind \"{other}\"{hint}"));
            Bind::Allow
        }
    }
}

fn table_name<'a>(name: &'a At<String>, problems: &mut Problems) -> Option<(&'a str, &'a str)> {
    let (schema, table) = name.value.split_once('.').unwrap_or(("public", &name.value));
    if schema.is_empty() || table.is_empty() || table.contains('.') || name.value.contains('\0') {
        return problems
            .none(name.at, format!("\"{}\" is no table name: write people or \"hr.people\"", name.value));
    }
    if schema.starts_with("pg_") || schema == "information_schema" || schema == "paravent" {
        return problems.none(name.at, format!("tables of the schema \"{schema}\" can't be protected"));
    }
    Some((schema, table))
}

/// A name of the catalog: anything that Postgres can hold in 63 bytes.
fn check_name(what: &str, name: &At<String>, problems: &mut Problems) -> bool {
    let good = (1..=63).contains(&name.value.len()) && !name.value.contains('\0');
    if !good {
        problems.add(name.at, format!("\"{}\" is no {what}: a name has 1 to 63 bytes", name.value));
    }
    good
}

/// A name of ours: it goes into key derivation, addresses and metrics.
pub(super) fn check_word(what: &str, word: &At<String>, problems: &mut Problems) {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if !(1..=63).contains(&word.value.len()) || !word.value.chars().all(plain) {
        problems.add(
            word.at,
            format!("\"{}\" is no name for a {what}: use 1 to 63 of a-z, A-Z, 0-9, _, - and .", word.value),
        );
    }
}

fn suggest_or(word: &str, known: &[&str], otherwise: &str) -> String {
    match suggest(word, known) {
        hint if hint.is_empty() => otherwise.to_owned(),
        hint => hint,
    }
}
