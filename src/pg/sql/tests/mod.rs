//! Tests of the planner as a whole, on a small world.

mod world;

pub(in crate::pg::sql) use world::world;
