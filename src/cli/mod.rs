//! The binary `compat`: arguments and printing.

pub mod progress;
pub mod toolchain;
pub mod versions;
