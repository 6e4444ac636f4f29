//! The binary `compat`: arguments and printing.
//!
//! Holds no logic of its own.

pub mod cause;
