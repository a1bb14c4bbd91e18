//! Tests of the planner as a whole, on a small world.

mod copy;
mod ddl;
mod django;
mod insert;
mod leaks;
mod select;
mod update;
mod view;
mod world;

pub(in crate::pg) use world::{World, world};
