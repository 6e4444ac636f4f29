//! The files of a project: its cells, its mutants and the evidence of its trials.

pub mod atomic_write;
pub mod built_in;
pub mod cassette_files;
pub mod evidence_files;
mod gateway_files;
mod layout;
mod merged_errors;
pub mod mutant_files;
pub mod project;
mod reading;
pub mod run_folders;

pub use project::Project;
pub mod private_folder;
