//! The integration tests: one binary, a module a subject. Hermetic: no network but loopback, no account, no fixed port.

mod cause;
mod cells_guide;
mod claude;
mod claude_real;
mod evidence;
mod harness;
mod judge;
mod loopback;
mod matrix;
mod matrix_command;
mod process;
mod provider_client;
mod provider_routes;
mod provider_rules;
mod provider_serve;
mod results;
mod sample_run;
mod spec_cells;
mod spec_faults;
mod spec_files;
mod tidy;
mod toolchain;
mod transcript;
mod versions;
mod wire_diff;
