//! The commands of `compat`.

mod doctor;
mod help;
mod matrix;
mod provider;
mod status;
