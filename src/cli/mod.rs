//! The binary `compat`: arguments and printing, no logic.

pub mod check;
pub mod explain;
pub mod schema;
