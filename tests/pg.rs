//! The Postgres gateway from outside: a real server, the built program, real protocol.

#![allow(unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "support/mod.rs"]
mod support;

#[path = "pg/broken_messages.rs"]
mod broken_messages;
#[path = "pg/bursts.rs"]
mod bursts;
#[path = "pg/copy.rs"]
mod copy;
#[path = "pg/copy_ends.rs"]
mod copy_ends;
#[path = "pg/copy_passed.rs"]
mod copy_passed;
#[path = "pg/corpus_canary.rs"]
mod corpus_canary;
#[path = "pg/cursors.rs"]
mod cursors;
#[path = "pg/differential.rs"]
mod differential;
#[path = "pg/encodings.rs"]
mod encodings;
#[path = "pg/erased_rows.rs"]
mod erased_rows;
#[path = "pg/errors.rs"]
mod errors;
#[path = "pg/first_in_pipeline.rs"]
mod first_in_pipeline;
#[path = "pg/generated_ids.rs"]
mod generated_ids;
#[path = "pg/guard.rs"]
mod guard;
#[path = "pg/guard_halfway.rs"]
mod guard_halfway;
#[path = "pg/hidden_columns.rs"]
mod hidden_columns;
#[path = "pg/inputs.rs"]
mod inputs;
#[path = "pg/introspection.rs"]
mod introspection;
#[path = "pg/late_tables.rs"]
mod late_tables;
#[path = "pg/moved.rs"]
mod moved;
#[path = "pg/names.rs"]
mod names;
#[path = "pg/odd.rs"]
mod odd;
#[path = "pg/opening.rs"]
mod opening;
#[path = "pg/order.rs"]
mod order;
#[path = "pg/own_questions.rs"]
mod own_questions;
#[path = "pg/partitions.rs"]
mod partitions;
#[path = "pg/pipelines.rs"]
mod pipelines;
#[path = "pg/placeholders.rs"]
mod placeholders;
#[path = "pg/predicates.rs"]
mod predicates;
#[path = "pg/prepared.rs"]
mod prepared;
#[path = "pg/private_catalog.rs"]
mod private_catalog;
#[path = "pg/random_pipelines.rs"]
mod random_pipelines;
#[path = "pg/refusals.rs"]
mod refusals;
#[path = "pg/script_blocks.rs"]
mod script_blocks;
#[path = "pg/session.rs"]
mod session;
#[path = "pg/stored_bytes.rs"]
mod stored_bytes;
#[path = "pg/subqueries.rs"]
mod subqueries;
#[path = "pg/taken_names.rs"]
mod taken_names;
#[path = "pg/torn.rs"]
mod torn;
#[path = "pg/triggers.rs"]
mod triggers;
#[path = "pg/trust.rs"]
mod trust;
#[path = "pg/two_phase.rs"]
mod two_phase;
#[path = "pg/unnamed.rs"]
mod unnamed;
#[path = "pg/views.rs"]
mod views;
#[path = "pg/woken.rs"]
mod woken;
#[path = "pg/words.rs"]
mod words;
#[path = "pg/writes.rs"]
mod writes;
