//! The commands that hints name, as the user calls this program.
//!
//! Pure, but for one value: `main` sets it before anything else.
#![warn(clippy::disallowed_methods)]

use std::sync::OnceLock;

use crate::ids::TrialName;

/// How the user calls this program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CalledAs {
    /// `compat`, without Rust.
    Program,
    /// `cargo`, in a checkout.
    Cargo,
}

static CALLED_AS: OnceLock<CalledAs> = OnceLock::new();

/// Sets how the user calls this program. Without it, hints name cargo. The first call counts.
pub fn call_as(called_as: CalledAs) {
    let _ = CALLED_AS.set(called_as);
}

/// The command that runs a trial alone again. `flags` are those of its run that say what was tested.
pub fn run_alone(flags: &str, trial: &TrialName) -> String {
    let gap = if flags.is_empty() { "" } else { " " };
    run(&format!("{flags}{gap}--exact {trial}"))
}

/// The command that runs the matrix with `arguments`: `compat run --list`.
pub fn run(arguments: &str) -> String {
    command(arguments, "compat run", "cargo test --test compat --")
}

/// The command `arguments` of `compat`: `compat show a::b::c`.
pub fn compat(arguments: &str) -> String {
    command(arguments, "compat", "cargo run --")
}

fn command(arguments: &str, of_program: &str, of_cargo: &str) -> String {
    let command = match CALLED_AS.get() {
        Some(CalledAs::Program) => of_program,
        Some(CalledAs::Cargo) | None => of_cargo,
    };
    match arguments {
        "" => command.trim_end_matches(" --").to_owned(),
        _ => format!("{command} {arguments}"),
    }
}
