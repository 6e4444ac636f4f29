//! The harness as a program, so that the integration tests can run what `cargo test --test compat` runs.

#[path = "../../harness/main.rs"]
mod harness;

fn main() -> std::process::ExitCode {
    harness::main()
}
