//! Tests of the planner as a whole, on a small world.

mod copy;
mod ddl;
mod django;
mod evaluate;
mod insert;
mod insert_select;
mod leaks;
mod merge;
mod outward;
mod prepare;
mod select;
mod update;
mod view;
mod within;
mod world;

pub(in crate::pg) use world::{World, world};
