//! The binary `compat`: arguments and printing. Output goes to standard output, status lines to standard error.
//!
//! One module for each command, without logic that another module needs.

mod bisect;
mod cause;
mod check;
mod ci;
mod compare;
mod completions;
mod doctor;
mod down;
mod drift;
mod evidence;
mod explain;
mod files;
mod gateways;
mod git;
mod history;
mod man;
mod matrix;
mod mutants;
mod new;
mod print;
mod project;
mod provider;
mod publish;
mod report;
mod repro;
mod results;
mod run;
pub mod schema;
mod show;
mod status;
mod toolchain;
mod up;
mod versioned;
mod versions;
mod watch;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

use crate::commands::{self, CalledAs};
use crate::env::{self, Environment};
use crate::progress;

/// A compatibility matrix: which Claude Code features really work through an LLM gateway, on which provider.
///
/// `compat run`, or `cargo test --test compat` in a checkout, runs the matrix. The commands below write cells, explain failures and publish results.
#[derive(Debug, Parser)]
#[command(
    name = "compat",
    version,
    arg_required_else_help = true,
    after_long_help = "Examples:\n  compat new feature pdf_input --name \"PDF input\"        add a feature\n  compat check                                           \
                       show all errors of all files\n  compat explain vision::vertex_ai                       show a cell with all its values\n  \
                       compat show vision::vertex_ai::haiku                   show a recorded trial\n  compat watch vision                                    \
                       run the trials of each saved file"
)]
struct Compat {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Bisect(bisect::Arguments),
    Cause(cause::Arguments),
    Check(check::Arguments),
    Ci(Box<ci::Arguments>),
    Compare(compare::Arguments),
    Completions(completions::Arguments),
    Doctor(doctor::Arguments),
    Down(down::Arguments),
    Drift(drift::Arguments),
    Explain(explain::Arguments),
    Gateways(gateways::Arguments),
    History(history::Arguments),
    Man(man::Arguments),
    Matrix(matrix::Arguments),
    Mutants(mutants::Arguments),
    New(new::Arguments),
    Provider(provider::Arguments),
    Publish(Box<publish::Arguments>),
    Report(report::Arguments),
    Repro(repro::Arguments),
    Results(results::Arguments),
    Run(Box<run::Arguments>),
    Schema(schema::Arguments),
    Show(show::Arguments),
    Status(status::Arguments),
    Toolchain(toolchain::Arguments),
    Up(up::Arguments),
    Versions(versions::Arguments),
    Watch(watch::Arguments),
}

/// The command line, for completions and man pages.
fn command() -> clap::Command {
    Compat::command()
}

/// Runs the command in the process's arguments.
pub fn main() -> ExitCode {
    let hidden = crate::process::run_hidden_mode_if_asked();
    if let Some(code) = hidden.or_else(crate::claude::run_hidden_mode_if_asked) {
        return code;
    }
    crate::process::hide();
    let environment = Environment::from_process();
    commands::call_as(
        match environment.get(env::CARGO_PKG_NAME) == Some("compat-matrix") {
            true => CalledAs::Cargo,
            false => CalledAs::Program,
        },
    );
    let arguments = match crate::run::parsed::<Compat>(progress::say) {
        Ok(arguments) => arguments,
        Err(code) => return code,
    };
    let result = match arguments.command {
        Command::Bisect(arguments) => bisect::run(&arguments),
        Command::Cause(arguments) => cause::run(arguments),
        Command::Check(arguments) => check::run(arguments),
        Command::Ci(arguments) => ci::run(*arguments),
        Command::Compare(arguments) => compare::run(&arguments),
        Command::Completions(arguments) => completions::run(&arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Down(arguments) => down::run(&arguments),
        Command::Drift(arguments) => drift::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Gateways(arguments) => gateways::run(&arguments),
        Command::History(arguments) => history::run(&arguments),
        Command::Man(arguments) => man::run(&arguments),
        Command::Matrix(arguments) => matrix::run(arguments),
        Command::Mutants(arguments) => mutants::run(&arguments),
        Command::New(arguments) => new::run(arguments),
        Command::Provider(arguments) => provider::run(arguments),
        Command::Publish(arguments) => publish::run(*arguments),
        Command::Report(arguments) => report::run(&arguments),
        Command::Repro(arguments) => repro::run(&arguments),
        Command::Results(arguments) => results::run(arguments),
        Command::Run(arguments) => run::run(&arguments),
        Command::Schema(arguments) => schema::run(arguments),
        Command::Show(arguments) => show::run(&arguments),
        Command::Status(arguments) => status::run(&arguments),
        Command::Toolchain(arguments) => toolchain::run(arguments),
        Command::Up(arguments) => up::run(&arguments),
        Command::Versions(arguments) => versions::run(arguments),
        Command::Watch(arguments) => watch::run(&arguments),
    };
    print::status_of_output(result.unwrap_or_else(|error| project::report(&error)))
}
