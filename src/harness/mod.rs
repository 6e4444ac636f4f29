//! The harness of `cargo test --test compat` and `compat run`: each trial is a test of libtest-mimic.
//!
//! Listing and filtering start nothing. Exit status: 0 if all trials passed or failed only as known; 101 if something new broke
//! or a known finding no longer shows; 102 if trials failed, but none because of gateway, feature or Claude Code; 4 if the filters
//! match no trial; 2 if the project or the session is broken.

mod arguments;
mod trials;

use std::fs::File;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, bail};

pub use arguments::{CommandLine, Libtest};

use crate::env::Environment;
use crate::progress::output::{NotApplicable, Printer};
use crate::progress::{self, ProgressSink};
use crate::report::Paint;
use crate::run::{self, MatrixRun, RunOptions, SelectedTrials};

/// Runs the command line of this process. `compat` is the program that cargo built with the harness; `None` is the one beside
/// this program.
pub fn main(compat: Option<&'static str>) -> ExitCode {
    let hidden = crate::process::run_hidden_mode_if_asked();
    if let Some(code) = hidden.or_else(crate::claude::run_hidden_mode_if_asked) {
        return code;
    }
    crate::process::hide();
    match run::parsed::<CommandLine>(progress::say) {
        Ok(line) => status(&line.run, &line.libtest, compat),
        Err(code) => code,
    }
}

/// Runs the matrix, and prints an error.
pub fn status(options: &RunOptions, libtest: &Libtest, compat: Option<&'static str>) -> ExitCode {
    run_matrix(options, libtest, compat).unwrap_or_else(|error| {
        progress::say(&format!("error: {error:#}"));
        ExitCode::from(run::BROKEN)
    })
}

fn run_matrix(
    options: &RunOptions,
    libtest: &Libtest,
    compat: Option<&'static str>,
) -> anyhow::Result<ExitCode> {
    let environment = Environment::from_process();
    let threads = run::concurrency(libtest.test_threads, &environment)?;
    let selected = SelectedTrials::new(options, &environment)?;
    if libtest.list {
        if selected.names.is_empty() && !options.bench && !options.ignored {
            progress::say(&format!("nothing to list: {}", selected.why_nothing(options)));
        }
        trials::list(&selected.names, libtest.logfile.as_deref())?;
        return Ok(ExitCode::SUCCESS);
    }
    let progress: Arc<dyn ProgressSink> = Arc::from(progress::on_standard_error());
    for note in &selected.notes {
        progress.note(note);
    }
    let not_applicable = Arc::new(NotApplicable::default());
    let log = libtest
        .logfile
        .as_deref()
        .map(|file| File::create(file).with_context(|| format!("cannot write the log file `{file}`")));
    let log = log.transpose()?;
    let is_coloured = log.is_none() && libtest.paint() == Paint::Ansi;
    let printing = Printer {
        progress: Arc::clone(&progress),
        width: progress::columns_of(&std::io::stdout()).filter(|_| log.is_none()),
        log,
        not_applicable: Arc::clone(&not_applicable),
        is_for_readers: libtest.is_for_readers(),
    };
    let printing = printing.start().context("cannot make a pipe")?;
    let mimic = libtest.for_selected(threads, printing.path(), is_coloured);
    if selected.names.is_empty() {
        let is_asked = options.is_whole() && options.last.is_set() && options.last.rerun().is_none();
        let is_mistake = (selected.is_unmatched || (is_asked && !options.ignored)) && !options.bench;
        let none = trials::filtered_out(selected.filtered_out).collect();
        // The message below says more than an error of standard output.
        let _ = (libtest_mimic::run(&mimic, none), printing.end());
        let why = format!("nothing to run: {}", selected.why_nothing(options));
        let label = if is_mistake { "error: " } else { "" };
        progress::say(&format!("{label}{why}; the last results were not changed"));
        selected.check_layout()?;
        return Ok(ExitCode::from(if is_mistake { run::NO_TRIALS } else { 0 }));
    }
    let filtered_out = selected.filtered_out;
    let paint = libtest.paint();
    let run = MatrixRun::start(options.clone(), paint, compat, environment, selected, progress)?;
    let results = run.results_path();
    let run = Arc::new(run);
    let tests = trials::tests(&run, filtered_out, &not_applicable);
    let conclusion = libtest_mimic::run(&mimic, tests);
    let lost = printing.end();
    let run = Arc::into_inner(run).context("a trial is still running")?;
    let end = run.end(conclusion.has_failed())?;
    for warning in end.warnings {
        progress::say(&warning);
    }
    if lost.is_some() {
        let kept = results.map_or_else(String::new, |path| {
            format!("; results are in `{}`", path.display())
        });
        bail!("stdout was closed or its disk is full{kept} (`--logfile FILE` writes the output to a file)");
    }
    if let Some(matrix) = end.matrix {
        match libtest.is_for_readers() {
            true => anstream::println!("{matrix}"),
            false => anstream::eprintln!("{matrix}"),
        }
        match results {
            Some(path) => anstream::eprintln!("results: {}", path.display()),
            None => anstream::eprintln!("no trial was executed, so the last results were not changed"),
        }
    }
    let status = end.status?;
    if let Some(comparison) = end.comparison {
        anstream::println!("{comparison}");
    }
    Ok(ExitCode::from(status))
}
