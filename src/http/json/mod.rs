//! JSON bodies, rewritten by splicing: what is protected is found by its place while the body streams by, and
//! everything else keeps its bytes.
//!
//! One scanner reads requests and answers alike. It is strict (RFC 8259), keeps its place between chunks, and holds
//! back only what is not decided yet: a protected value, and what follows it until the person it is about is known.

pub(super) mod scan;
pub(super) mod splice;
#[cfg(test)]
mod tests;
pub(super) mod text;
pub(super) mod tree;
