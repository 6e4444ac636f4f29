//! The binary `compat`: arguments and printing, a module a command.

pub mod provider;
