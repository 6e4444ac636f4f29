//! The harness of `cargo test --test compat` as a program, for the integration tests.

#[path = "../../harness/main.rs"]
mod harness;

fn main() -> std::process::ExitCode {
    harness::main()
}
