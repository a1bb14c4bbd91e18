//! What touches a protected table without naming it: views by what they read, functions by what their bodies name, and whatever runs
//! such a function (the server knows of what uses what, but not of what the body of a function says).

use super::build::{Row, UNREADABLE};
use super::hierarchy::Hierarchy;
use super::model::{Relation, RelationKind};
use crate::pg::sql::{names_one_of, only_reads, spelt_otherwise};
use crate::policy::model::Table;
use hashbrown::{HashMap, HashSet};
use std::cell::OnceCell;
use std::sync::Arc;

/// An object: the OID of its catalog, and its own.
type Object = (u32, u32);

/// OIDs of the catalogs `pg_proc`, `pg_class` and `pg_type`, the same in every database.
const FUNCTIONS: u32 = 1255;
const RELATIONS: u32 = 1259;
const TYPES: u32 = 1247;

/// A function, procedure or window function that a user wrote.
#[derive(Debug)]
pub(super) struct Function {
    oid: u32,
    /// Lower case.
    pub(super) name: Arc<str>,
    pub(super) language: String,
    /// Whether it is one for triggers.
    pub(super) of_trigger: bool,
    /// `None` where it is kept parsed.
    pub(super) body: Option<String>,
    /// All that its body says, lower case.
    says: String,
    writes: OnceCell<bool>,
}

impl Function {
    /// From a row of [`super::queries::FUNCTIONS`].
    pub(super) fn read(row: &Row) -> Option<Self> {
        let text = |i: usize| row.get(i)?.clone();
        let (body, relations) = (text(3), text(4).unwrap_or_default());
        let mut says = body.clone().unwrap_or_default();
        says.push_str(&spelt_otherwise(&says));
        for more in ["\n", &relations, "\n", &spelt_otherwise(&relations)] {
            says.push_str(more);
        }
        says.make_ascii_lowercase();
        Some(Self {
            oid: text(0)?.parse().ok()?,
            name: text(1)?.to_ascii_lowercase().into(),
            language: text(2)?,
            of_trigger: text(5).as_deref() == Some("true"),
            body,
            says,
            writes: OnceCell::new(),
        })
    }

    pub(super) fn object(&self) -> Object {
        (FUNCTIONS, self.oid)
    }

    /// Its OID; and what its body says, where that can be read.
    pub(super) fn into_says(self) -> (u32, Option<Box<str>>) {
        let readable = !self.is_unreadable();
        (self.oid, readable.then(|| self.says.into()))
    }

    /// Whether its body has this word, in lower case, or may.
    fn says(&self, word: &str) -> bool {
        self.is_unreadable() || self.says.contains(word)
    }

    /// Whether its body has this as a name, or may.
    pub(super) fn names(&self, name: &str) -> bool {
        self.is_unreadable() || names_one_of(&self.says, &[name])
    }

    /// Its body is no text in UTF-8: it may say anything.
    pub(super) fn is_unreadable(&self) -> bool {
        self.body.as_deref() == Some(UNREADABLE)
    }

    fn says_one_of(&self, words: &[String]) -> bool {
        words.iter().any(|word| self.says(word))
    }

    /// Whether its own statements write, or may.
    fn writes(&self) -> bool {
        let sql = matches!(self.language.as_str(), "sql" | "plpgsql");
        let only_reads = || sql && !self.is_unreadable() && self.body.as_deref().is_some_and(only_reads);
        *self.writes.get_or_init(|| !only_reads())
    }
}

/// How an object uses a function or what runs one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// As a trigger that may change the row before it is stored.
    BeforeRow,
    /// In a policy of row security: when rows are chosen.
    Policy,
    /// As a trigger that TRUNCATE runs.
    Truncate,
    /// In any other way.
    Otherwise,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Relation,
    Function,
    Operator,
    Type,
    Other,
}

#[derive(Debug)]
struct Use {
    kind: Kind,
    object: Object,
    name: String,
    how: How,
    on: Object,
}

/// What uses what.
#[derive(Debug, Default)]
pub(super) struct Uses {
    list: Vec<Use>,
    /// Arguments of triggers whose function can't be read: relation, one argument.
    pub(super) arguments: Vec<(u32, String)>,
    /// Foreign tables, with the name over there.
    remote: Vec<(u32, String)>,
}

impl Uses {
    /// From the rows of [`super::queries::USES`].
    pub(super) fn read(rows: &[Row]) -> Option<Self> {
        let mut read = Self::default();
        for row in rows {
            let text = |i: usize| row.get(i)?.as_deref();
            let number = |i: usize| -> Option<u32> { text(i)?.parse().ok() };
            let (oid, name) = (number(2)?, text(3).unwrap_or_default());
            let kind = match text(0)? {
                "args" => {
                    read.arguments.extend(name.split("\\000").map(|arg| (oid, arg.to_owned())));
                    continue;
                }
                "remote" => {
                    read.remote.push((oid, name.to_owned()));
                    continue;
                }
                "relation" => Kind::Relation,
                "function" => Kind::Function,
                "operator" => Kind::Operator,
                "type" => Kind::Type,
                _ => Kind::Other,
            };
            let how = match text(4) {
                Some("before") => How::BeforeRow,
                Some("policy") => How::Policy,
                Some("truncate") => How::Truncate,
                _ => How::Otherwise,
            };
            let (object, on) = ((number(1)?, oid), (number(5)?, number(6)?));
            read.list.push(Use { kind, object, name: name.to_ascii_lowercase(), how, on });
        }
        Some(read)
    }

    /// The functions that relations run by themselves: relation, how, function.
    pub(super) fn calls(&self) -> impl Iterator<Item = (u32, How, Object)> {
        let direct = |u: &&Use| u.object.0 == RELATIONS && u.on.0 == FUNCTIONS;
        self.list.iter().filter(direct).map(|u| (u.object.1, u.how, u.on))
    }
}

/// Names of what runs something that touches a protected table, lower case.
#[derive(Debug, Default)]
pub(super) struct Touching {
    /// OIDs of functions, sorted.
    pub(super) code: Vec<u32>,
    /// OIDs of types, sorted.
    pub(super) type_oids: Vec<u32>,
    pub(super) functions: Vec<Arc<str>>,
    pub(super) operators: Vec<Arc<str>>,
    pub(super) types: Vec<Arc<str>>,
}

/// What of the code is known to touch something protected, or to write it.
struct Code<'a> {
    functions: &'a [Function],
    uses: &'a [Use],
    touches: Known,
    writes: Known,
}

/// Objects, and the words by which bodies may name them.
#[derive(Default)]
struct Known {
    objects: HashSet<Object>,
    words: Vec<String>,
}

impl Known {
    /// Whether it was not known yet.
    fn learn(&mut self, object: Object, name: &str) -> bool {
        let new = self.objects.insert(object);
        if new && !name.is_empty() && !self.words.iter().any(|w| *w == *name) {
            self.words.push(name.to_owned());
        }
        new
    }
}

impl<'a> Code<'a> {
    /// Follows these words, the names of relations, through all bodies and uses.
    fn follow(&mut self, relations: Vec<String>) {
        for word in relations {
            if !self.touches.words.contains(&word) {
                self.touches.words.push(word);
            }
        }
        loop {
            let mut changed = false;
            for f in self.functions {
                if !self.touches.objects.contains(&f.object()) && f.says_one_of(&self.touches.words) {
                    changed |= self.touches.learn(f.object(), &f.name);
                }
                if self.touches.objects.contains(&f.object())
                    && !self.writes.objects.contains(&f.object())
                    && (f.says_one_of(&self.writes.words) || f.writes())
                {
                    changed |= self.writes.learn(f.object(), &f.name);
                }
            }
            // The values of a type that is a column's are made with the rows of its relation, and with values of the type of these.
            for u in self.uses.iter().filter(|u| u.kind != Kind::Relation || u.on.0 == TYPES) {
                for known in [&mut self.touches, &mut self.writes] {
                    changed |= known.objects.contains(&u.on) && known.learn(u.object, &u.name);
                }
            }
            if !changed {
                return;
            }
        }
    }

    /// The relations whose TRUNCATE runs it.
    fn truncating(&self) -> impl Iterator<Item = u32> {
        let runs = |u: &&Use| u.how == How::Truncate && self.touches.objects.contains(&u.on);
        self.uses.iter().filter(runs).map(|u| u.object.1)
    }

    /// The relations that run it. A policy that only reads the protected table to choose rows writes nothing.
    fn relations(&self) -> impl Iterator<Item = u32> {
        let runs = |u: &&Use| match u.how {
            How::Policy => self.writes.objects.contains(&u.on),
            _ => self.touches.objects.contains(&u.on),
        };
        self.uses.iter().filter(|u| u.kind == Kind::Relation).filter(runs).map(|u| u.object.1)
    }

    fn names(&self) -> Touching {
        let of = |class: u32| {
            let objects = self.touches.objects.iter().filter(|(of, _)| *of == class);
            let mut oids: Vec<u32> = objects.map(|(_, oid)| *oid).collect();
            oids.sort_unstable();
            oids
        };
        let mut names = Touching { code: of(FUNCTIONS), type_oids: of(TYPES), ..Touching::default() };
        for f in self.functions.iter().filter(|f| self.touches.objects.contains(&f.object())) {
            names.functions.push(Arc::clone(&f.name));
        }
        for u in self.uses.iter().filter(|u| self.touches.objects.contains(&u.object)) {
            match u.kind {
                Kind::Function => names.functions.push(u.name.as_str().into()),
                Kind::Operator => names.operators.push(u.name.as_str().into()),
                Kind::Type => names.types.push(u.name.as_str().into()),
                Kind::Relation | Kind::Other => {}
            }
        }
        for list in [&mut names.functions, &mut names.operators, &mut names.types] {
            list.sort_unstable();
            list.dedup();
        }
        names
    }
}

/// Marks, at any depth, what depends on a protected table and what writes one; gives the names of what else touches
/// one. Views by what they read, tables by their rules, both by the code that they run.
pub(super) fn mark(
    relations: &mut HashMap<u32, Relation>,
    views: &[(u32, u32)],
    (functions, uses): (&[Function], &Uses),
    (tables, hierarchy): (&[Table], &Hierarchy),
) -> Touching {
    let own = relations.values().filter(|r| r.among(tables).is_some());
    let protected: HashSet<u32> = own.map(|r| r.oid).collect();
    for oid in hierarchy.unprotected_ancestors(&protected) {
        if let Some(ancestor) = relations.get_mut(&oid) {
            ancestor.writes_protected = true;
        }
    }
    let mut code = Code { functions, uses: &uses.list, touches: Known::default(), writes: Known::default() };
    loop {
        let watched = relations.values().filter(|r| r.is_watched()).map(|r| r.name.to_ascii_lowercase());
        let own = tables.iter().map(|t| t.name.to_ascii_lowercase());
        code.follow(own.chain(watched).collect());
        let mut changed = false;
        let mut set = |relations: &mut HashMap<u32, Relation>, oid: u32, reads: bool| {
            let Some(r) = relations.get_mut(&oid).filter(|_| !protected.contains(&oid)) else { return };
            let view = matches!(r.kind, RelationKind::View | RelationKind::MaterializedView);
            let mark = if reads && view { &mut r.touches_protected } else { &mut r.writes_protected };
            changed |= !*mark;
            *mark = true;
        };
        for &(oid, on) in views {
            let base = relations.get(&on);
            if protected.contains(&on) || base.is_some_and(|r| r.touches_protected) {
                set(relations, oid, true);
            } else if base.is_some_and(|r| r.writes_protected) {
                set(relations, oid, false);
            }
        }
        for oid in code.relations() {
            set(relations, oid, true);
        }
        for (oid, name) in &uses.remote {
            if code.touches.words.iter().any(|w| w.eq_ignore_ascii_case(name)) {
                set(relations, *oid, true);
            }
        }
        if !changed {
            for oid in code.truncating() {
                if let Some(relation) = relations.get_mut(&oid) {
                    relation.truncates = true;
                }
            }
            return code.names();
        }
    }
}
