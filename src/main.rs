//! The binary `compat`.

use std::process::ExitCode;

fn main() -> ExitCode {
    compat_matrix::cli::main()
}
