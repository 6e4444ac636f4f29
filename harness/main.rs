//! The harness of `cargo test --test compat`: each trial is a test of libtest-mimic.
//!
//! Listing and filtering start nothing. Exit status: 0 if all trials passed or failed only as known; 101 if something new broke
//! or a known finding no longer shows; 102 if trials failed, but none because of gateway, feature or Claude Code; 2 if the
//! project or the session is broken.

mod arguments;
mod trials;

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};
use compat_matrix::env::Environment;
use compat_matrix::progress;
use compat_matrix::run::{self, MatrixRun, SelectedTrials};

use arguments::CommandLine;
use clap::Parser as _;

/// The `compat` that cargo built with this program.
const COMPAT: Option<&str> = option_env!("CARGO_BIN_EXE_compat");

pub fn main() -> ExitCode {
    let hidden = compat_matrix::process::run_hidden_mode_if_asked();
    if let Some(code) = hidden.or_else(compat_matrix::claude::run_hidden_mode_if_asked) {
        return code;
    }
    compat_matrix::process::hide();
    // On an error, clap exits with status 2, as libtest does.
    run(&CommandLine::parse()).unwrap_or_else(|error| {
        anstream::eprintln!("error: {error:#}");
        ExitCode::from(run::BROKEN)
    })
}

fn run(command_line: &CommandLine) -> anyhow::Result<ExitCode> {
    let environment = Environment::from_process();
    let libtest = &command_line.libtest;
    let mimic = libtest.for_selected(run::concurrency(libtest.test_threads, &environment)?);
    let options = &command_line.run;
    let selected = SelectedTrials::new(options, &environment)?;
    if libtest.list {
        if selected.names.is_empty() && !options.bench && !options.ignored {
            anstream::eprintln!("nothing to list: {}", selected.why_nothing(options));
        }
        trials::list(&selected.names, libtest.logfile.as_deref())?;
        return Ok(ExitCode::SUCCESS);
    }
    for note in &selected.notes {
        anstream::eprintln!("{note}");
    }
    // An empty part still needs its results: they are merged with those of the other parts.
    if selected.names.is_empty() && (options.is_whole() || options.last.is_set()) {
        let _ = libtest_mimic::run(&mimic, trials::filtered_out(selected.filtered_out).collect());
        let why = selected.why_nothing(options);
        anstream::eprintln!("nothing to run: {why}; the last results were not changed");
        selected.check_layout()?;
        return Ok(ExitCode::SUCCESS);
    }
    let filtered_out = selected.filtered_out;
    let progress = progress::on_standard_error();
    let paint = libtest.paint();
    let run = MatrixRun::start(options.clone(), paint, COMPAT, environment, selected, progress)?;
    let results = run.results_path().to_owned();
    let results = results.display();
    let run = Arc::new(run);
    let tests = trials::tests(&run, filtered_out);
    let conclusion = trials::until_stdout_closes(|| libtest_mimic::run(&mimic, tests));
    let run = Arc::into_inner(run).context("a trial is still running")?;
    let failed = conclusion
        .as_ref()
        .is_none_or(libtest_mimic::Conclusion::has_failed);
    let end = run.end(failed)?;
    for warning in end.warnings {
        anstream::eprintln!("{warning}");
    }
    if conclusion.is_none() {
        bail!(
            "stdout was closed or its disk is full; results are in `{results}` (`--logfile FILE` writes the output to a file)"
        );
    }
    if let Some(matrix) = end.matrix {
        match libtest.is_for_readers() {
            true => anstream::println!("{matrix}"),
            false => anstream::eprintln!("{matrix}"),
        }
        anstream::eprintln!("results: {results}");
    }
    let status = end.status?;
    if let Some(comparison) = end.comparison {
        anstream::println!("{comparison}");
    }
    Ok(ExitCode::from(status))
}
