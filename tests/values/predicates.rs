//! Predicates and orderings as the server evaluates them: thousands of random values and patterns, under collations
//! of every provider that it has.

#[path = "predicates/database.rs"]
mod database;
#[path = "predicates/functions.rs"]
mod functions;
#[path = "predicates/letters.rs"]
mod letters;
#[path = "predicates/logic.rs"]
mod logic;
#[path = "predicates/orders.rs"]
mod orders;
#[path = "predicates/patterns.rs"]
mod patterns;
#[path = "predicates/texts.rs"]
mod texts;
#[path = "predicates/types.rs"]
mod types;
