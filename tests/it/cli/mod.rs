//! The commands of `compat`.

mod help;
mod matrix;
mod provider;
mod status;
