//! The harness of `cargo test --test compat`: the cells as trials of libtest-mimic.
//!
//! Listing and filtering read no cell and start nothing; the session starts with the first trial that needs it.
//! Exit status: 0 all good; 101 a trial failed; 102 no trial failed by fault of gateway, feature or CLI, but some
//! could not be judged; 2 the project or the session is broken.

mod arguments;
mod recorder;
mod run;

use std::process::ExitCode;

pub fn main() -> ExitCode {
    if let Some(code) = compat_matrix::process::run_hidden_mode_if_asked() {
        return code;
    }
    match run::run(&arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            anstream::eprintln!("error: {error:#}");
            ExitCode::from(run::BROKEN)
        }
    }
}
