//! The integration tests: one binary, hermetic: no network but loopback, no account, no fixed port.
//!
//! A module is named after the module of `src/` or the command that it tests; its first line says more. They are in the
//! reading order of `src/lib.rs`. Modules share code through `support` only.

mod support;

mod commands;
mod document;
mod transcript;
mod wire_diff;
mod expectation;
mod cells;
mod judge;
mod kept_runs;
mod cause;
mod mutants;

mod authoring;
mod replay;
mod results;
mod matrix;
mod tiers;
mod baseline;
mod ci;

mod process;
mod cage;
mod files;
mod claude;
mod provider;
mod relay;
mod gateway;
mod gateway_files;
mod gateways;
mod toolchain;
mod versions;
mod published;
mod histories;
mod bisect;

mod daemon;
mod trial;
mod harness;
mod preflight;
mod client_formats;
mod controls;
mod rehearsal;
mod drift;
mod machine_faults;
mod secrets;
mod publish;
mod cli;

mod ci_config;
mod fuzz;
mod docs;
mod docs_example;
mod tidy;
