//! The harness of `cargo test --test compat`: the cells as trials of libtest-mimic.
//!
//! Listing and filtering read no cell and start nothing; the session starts with the first trial that needs it.
//! Exit status: 0 all good; 101 a trial failed; 102 no trial failed by fault of gateway, feature or CLI, but some
//! could not be judged; 2 the project or the session is broken.

mod arguments;
mod recorder;
mod run;

use std::io::Write as _;
use std::process::ExitCode;

/// What the process exits with.
pub fn main() -> ExitCode {
    if let Some(code) = compat_matrix::process::run_hidden_mode_if_asked() {
        return code;
    }
    give_up_where_nobody_reads_on();
    match run::run(&arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            anstream::eprintln!("error: {error:#}");
            ExitCode::from(run::BROKEN)
        }
    }
}

/// libtest-mimic panics when what it prints cannot be written. Whoever ran `… | head` has read enough: the run ends as one
/// that is interrupted, and its watchdog takes away what it has started.
fn give_up_where_nobody_reads_on() {
    let told = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if panic
            .payload_as_str()
            .is_some_and(|text| text.contains("BrokenPipe"))
        {
            let _ = writeln!(
                std::io::stderr(),
                "given up: nobody reads what the run prints (`--logfile FILE` has it written)"
            );
            std::process::exit(run::BROKEN.into());
        }
        told(panic);
    }));
}
