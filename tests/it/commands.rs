//! The commands that hints name: those that the user called.

use compat_matrix::env;

use crate::support::ran::Ran;
use crate::support::small_project::{Small, simulator};
use crate::support::text::{assert_has, assert_lacks};

/// Arguments of `compat`, and the hint that it prints. `RUN` is the command that runs the matrix, `COMPAT` that of the program.
const HINTS: [(&[&str], &str); 10] = [
    (&["results", "list"], "`RUN` keeps each run"),
    (&["matrix", "build"], "`RUN` writes them"),
    (
        &["show", "text::anthropic::haiku"],
        "`RUN -- --exact text::anthropic::haiku` records one",
    ),
    (
        &["explain", "words::anthropic::haiku"],
        "  RUN -- --exact words::anthropic::haiku\n",
    ),
    (&["run", "--rerun-failed"], "to select from: `RUN` writes"),
    (&["run", "--trials", "unknown"], "`RUN -- --list`"),
    (
        &["run", "words::anthropic::haiku"],
        "alone with `RUN -- --exact words::anthropic::haiku`\nhint: `COMPAT show words::anthropic::haiku` replays it",
    ),
    // The conditions of the run belong to it.
    (
        &["run", "--gateway-name", "spotless", "words::anthropic::haiku"],
        "alone with `RUN -- --gateway-name spotless --exact words::anthropic::haiku`",
    ),
    (
        &["show", "words::anthropic::haiku"],
        "`RUN -- --gateway-name spotless --exact words::anthropic::haiku` runs it again",
    ),
    (
        &["run", "text::anthropic::haiku"],
        "hint: `COMPAT check` checks all files",
    ),
];

#[tokio::test]
async fn hints_name_the_command_that_the_user_called() {
    let simulator = simulator().await;
    for is_cargo in [true, false] {
        let mut small = Small::attached(&simulator);
        small.set(env::PATH, "/usr/bin:/bin");
        small.write("unknown", "no::such::trial\n");
        let (run, compat) = match is_cargo {
            true => ("cargo test --test compat", "cargo run --"),
            false => ("compat run", "compat"),
        };
        if is_cargo {
            small.set(env::CARGO_PKG_NAME, "compat-matrix");
        }
        for (number, (arguments, hint)) in HINTS.into_iter().enumerate() {
            if number + 1 == HINTS.len() {
                small.write("cells/text/anthropic.yaml", "expect: nothing\n");
            }
            let Ran { out, err, .. } = match arguments {
                ["run", flags @ ..] if is_cargo => small.run(flags).await,
                _ => small.compat(arguments).await,
            };
            let said = format!("{out}\n{err}");
            let hint = hint.replace("COMPAT", compat);
            let hint = match is_cargo {
                true => hint.replace("RUN", run),
                false => hint.replace("RUN -- ", "RUN ").replace("RUN", run),
            };
            assert_has(&said, &hint);
            if !is_cargo {
                assert_lacks(&said, "cargo");
            }
        }
        if !is_cargo {
            small
                .compat(&["report", "--output", "report.html"])
                .await
                .exits(0);
            for file in ["report.html", "test-results/junit.xml", "compat-results.json"] {
                assert_lacks(&small.read(file), "cargo");
            }
        }
    }
    simulator.shutdown().await;
}
