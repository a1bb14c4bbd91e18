//! Plans that were made, to be found again: by the exact text, or by its shape where only constants differ
//! by which nothing was decided.

use crate::pg::plan::Plan;
use crate::pg::sql::shape::{self, Shape};
use hashbrown::{Equivalent, HashMap};
use parking_lot::Mutex;
use std::ops::Range;
use std::sync::Arc;

/// Plans kept of each kind; all are dropped when the bound is met.
const PLANS: usize = 4096;

/// Plans by text and by shape.
#[derive(Default)]
pub struct Plans {
    texts: Mutex<HashMap<PlanKey, Arc<Plan>>>,
    shapes: Mutex<HashMap<ShapeKey, Arc<Template>>>,
}

/// A text with the parameter types that the client declared and its search path.
#[derive(PartialEq, Eq, Hash, Clone)]
pub struct PlanKey {
    /// The exact text.
    pub text: Box<str>,
    /// OIDs declared in Parse.
    pub declared: Box<[u32]>,
    /// Schemas searched.
    pub search_path: Arc<[Arc<str>]>,
}

/// The same without declared types, borrowed. Hashes as [`PlanKey`] does: field by field.
#[derive(Hash)]
struct TextKey<'a> {
    text: &'a str,
    declared: &'a [u32],
    search_path: &'a [Arc<str>],
}

impl Equivalent<PlanKey> for TextKey<'_> {
    fn equivalent(&self, key: &PlanKey) -> bool {
        *self.text == *key.text && *self.declared == *key.declared && *self.search_path == *key.search_path
    }
}

#[derive(PartialEq, Eq, Hash)]
struct ShapeKey {
    shape: Box<[u8]>,
    search_path: Arc<[Arc<str>]>,
}

#[derive(Hash)]
struct ShapeOf<'a> {
    shape: &'a [u8],
    search_path: &'a [Arc<str>],
}

impl Equivalent<ShapeKey> for ShapeOf<'_> {
    fn equivalent(&self, key: &ShapeKey) -> bool {
        *self.shape == *key.shape && *self.search_path == *key.search_path
    }
}

impl Plans {
    /// The plan of a text.
    pub fn of_key(&self, key: &PlanKey) -> Option<Arc<Plan>> {
        self.texts.lock().get(key).cloned()
    }

    /// The plan of a text without declared types.
    pub fn of_text(&self, text: &str, search_path: &[Arc<str>]) -> Option<Arc<Plan>> {
        self.texts.lock().get(&TextKey { text, declared: &[], search_path }).cloned()
    }

    /// The plan of all texts of this shape.
    pub fn of_shape(&self, shape: &Shape, search_path: &[Arc<str>]) -> Option<Arc<Template>> {
        self.shapes.lock().get(&ShapeOf { shape: shape.key(), search_path }).cloned()
    }

    /// Keeps a plan whose text holds no protected literal.
    pub fn keep(&self, key: PlanKey, plan: &Arc<Plan>) {
        let mut shape = Shape::default();
        if key.declared.is_empty()
            && shape.read(&key.text)
            && let Some(template) = Template::new(&key.text, &shape, plan)
        {
            let key = ShapeKey { shape: shape.key().into(), search_path: key.search_path };
            return insert(&mut self.shapes.lock(), key, Arc::new(template));
        }
        insert(&mut self.texts.lock(), key, Arc::clone(plan));
    }
}

fn insert<K: Eq + std::hash::Hash, V>(plans: &mut HashMap<K, V>, key: K, plan: V) {
    if plans.len() >= PLANS {
        plans.clear();
    }
    plans.insert(key, plan);
}

/// A plan for all texts of a shape: each brings its own constants.
pub struct Template {
    /// Made for the first of them; its `sql` holds that one's constants.
    pub plan: Arc<Plan>,
    /// The text sent upstream, around the constants.
    pieces: Box<[Box<str>]>,
}

impl Template {
    /// `None` where something was decided by a constant, or more than the text hangs on them.
    fn new(text: &str, shape: &Shape, plan: &Arc<Plan>) -> Option<Self> {
        if !plan.stays_simple() || plan.modifies || plan.free != shape.holes() {
            return None;
        }
        // Before the first constant all texts are the same: so are the positions of all changes there.
        let first = shape.holes().first()?.start;
        let changed = plan.splices.0.last().map_or(0, |s| s.was_at + s.was);
        if usize::try_from(changed).ok()? > text.get(..first)?.chars().count() {
            return None;
        }
        let (text, sql) = (shape::trim(text), plan.sql.trim_end());
        let offset = sql.len().checked_sub(text.len() - first)?;
        if sql.get(offset..)? != text.get(first..)? {
            return None;
        }
        let mut from = 0;
        let mut pieces = Vec::with_capacity(shape.holes().len() + 1);
        for hole in shape.holes() {
            let at = hole.start - first + offset;
            pieces.push(sql.get(from..at)?.into());
            from = hole.end - first + offset;
        }
        pieces.push(sql.get(from..)?.into());
        Some(Self { plan: Arc::clone(plan), pieces: pieces.into() })
    }

    /// What is sent upstream for a text of this shape, piece by piece.
    pub fn sql<'a>(&'a self, text: &'a str, holes: &'a [Range<usize>]) -> impl Iterator<Item = &'a [u8]> {
        let constants = holes.iter().map(|hole| &text[hole.clone()]).chain(std::iter::once(""));
        self.pieces
            .iter()
            .zip(constants)
            .flat_map(|(piece, constant)| [piece.as_bytes(), constant.as_bytes()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pg::sql::tests::{World, world};

    /// What goes upstream for `later`, where the plan of `first` serves it.
    fn serves(world: &World, first: &str, later: &str) -> Option<String> {
        let plans = Plans::default();
        let plan = world.run(first);
        let search_path: Arc<[Arc<str>]> = Arc::from([Arc::from("public")]);
        let key = PlanKey { text: first.into(), declared: [].into(), search_path: search_path.clone() };
        plans.keep(key, &plan);
        let mut shape = Shape::default();
        assert!(shape.read(later), "{later}");
        let template = plans.of_shape(&shape, &search_path)?;
        let sql: Vec<u8> = template.sql(later, shape.holes()).flatten().copied().collect();
        Some(String::from_utf8(sql).unwrap())
    }

    #[test]
    fn a_plan_serves_all_texts_that_differ_in_plain_constants() {
        let world = world();
        for (first, later) in [
            ("SELECT last_name FROM people WHERE id = 7", "SELECT last_name FROM people WHERE id = 1234567"),
            (
                "SELECT last_name FROM people WHERE id IN (1, 2) ;",
                "SELECT last_name FROM people WHERE id IN (30, 4) ",
            ),
            (
                "SELECT p.last_name, é FROM people p, LATERAL (VALUES (id)) x(é) WHERE job LIKE 'a%' ORDER BY id LIMIT 5 OFFSET 10",
                "SELECT p.last_name, é FROM people p, LATERAL (VALUES (id)) x(é) WHERE job LIKE 'it''s' ORDER BY id LIMIT 50 OFFSET 0",
            ),
            (
                "SELECT id, last_name FROM people WHERE job = 'x' AND id BETWEEN 2 AND 9",
                "SELECT id, last_name FROM people WHERE job = '' AND id BETWEEN 20 AND 90",
            ),
        ] {
            let sql = serves(&world, first, later).unwrap_or_else(|| panic!("{first}"));
            assert_eq!(sql, world.run(later).sql.trim_end(), "as if planned for itself");
        }
    }

    #[test]
    fn a_constant_that_decides_makes_a_text_its_own() {
        let world = world();
        for first in [
            // It says which column is sorted by.
            "SELECT id, email FROM people WHERE id = 7 ORDER BY 1",
            // It stands in the result.
            "SELECT 7, last_name FROM people WHERE id = 7",
            // Changes of the text lie behind it.
            "SELECT x.last_name FROM (SELECT 1 AS n) y, people x WHERE y.n = 7",
            "SELECT last_name FROM people WHERE id = '7'::integer",
            "DELETE FROM people WHERE id = 7",
        ] {
            assert_eq!(serves(&world, first, first), None, "{first}");
        }
    }

    #[test]
    fn a_protected_literal_is_kept_nowhere() {
        let world = world();
        assert!(!world.run("SELECT id FROM people WHERE email = 'a@x.example' AND id = 7").cacheable);
    }
}
