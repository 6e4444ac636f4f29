//! The program of `cargo test --test compat`.

use std::process::ExitCode;

/// The `compat` that cargo built with this program.
const COMPAT: Option<&str> = option_env!("CARGO_BIN_EXE_compat");

pub fn main() -> ExitCode {
    compat_matrix::harness::main(COMPAT)
}
