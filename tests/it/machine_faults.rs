//! Faults of the machine during a run: a gateway that ends, kills, signals, full disks, proxies, changed tools, two runs at once.

use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;
use std::time::Duration;

use compat_matrix::outcome::Cause;
use compat_matrix::provider::Simulator;
use compat_matrix::results::Results;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::files::files_below;
use crate::support::loopback::{Server, ready, status};
use crate::support::ran::Ran;
use crate::support::small_project::{Small, simulator};
use crate::support::text::assert_has;
use crate::support::wait::until;

fn all_are_of_the_harness(small: &Small) -> bool {
    let results = small.results().results;
    results
        .iter()
        .all(|trial| trial.cause == Some(Cause::Harness) && trial.verdict.is_none())
}

fn ask(small: &Small, prompt: &str) {
    let cell = small.read("cells/text/_shared.yaml");
    small.write(
        "cells/text/_shared.yaml",
        &cell.replace("prompt: ping", &format!("prompt: {prompt}")),
    );
}

#[tokio::test]
async fn a_gateway_that_ends_starts_again_and_its_trials_run_again() {
    let small = Small::with_double_of_litellm().await;
    ask(&small, "end the gateway once");
    let ran = small.run(&["text"]).await;
    ran.exits(0);
    ran.err_has("the gateway ended during the run (exit status 3); it is started again");
    ran.err_has("ERROR: the gateway ends, as asked");
    assert_eq!(ran.err.matches("the gateway ended during the run").count(), 1);
    let results = small.results();
    assert!(
        results
            .results
            .iter()
            .all(|trial| !trial.flaky && trial.attempts.len() < 2)
    );
}

#[tokio::test]
async fn a_gateway_that_ends_again_is_no_verdict() {
    let small = Small::with_double_of_litellm().await;
    ask(&small, "end the gateway always");
    let started = std::time::Instant::now();
    let ran = small.run(&["text::anthropic"]).await;
    ran.exits(102);
    assert_has(&ran.out, "ERROR: the gateway ends, as asked");
    assert!(all_are_of_the_harness(&small));
    assert!(
        small
            .results()
            .results
            .iter()
            .all(|trial| trial.verdict.is_none())
    );
    assert!(
        started.elapsed() < Duration::from_secs(30),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test]
async fn a_changed_tool_is_refused_before_it_runs() {
    let small = Small::with_double_of_litellm().await;
    let tools = small.path("cache/litellm");
    let folder = std::fs::read_dir(tools).unwrap().flatten().next().unwrap().path();
    std::fs::create_dir_all(folder.join("lib/site-packages")).unwrap();
    std::fs::write(folder.join("lib/site-packages/evil.pth"), "import os").unwrap();
    let ran = small.run(&["text::anthropic"]).await;
    ran.exits(2);
    ran.err_has("lib/site-packages/evil.pth: not listed");
    ran.err_has("compat toolchain clean");
}

#[tokio::test]
async fn a_killed_claude_is_the_machine_s_fault() {
    let simulator = simulator().await;
    let small = Small::attached(&simulator);
    let cell = small.read("cells/text/anthropic.yaml");
    small.write(
        "cells/text/anthropic.yaml",
        &format!("{cell}env:\n  FAKE_CLAUDE_STEPS: '[{{\"die\": 9}}]'\n"),
    );
    let ran = small.run(&["text::anthropic::haiku"]).await;
    ran.exits(102);
    ran.out_has("something else on this machine ended Claude Code (SIGKILL)", 1);
    assert!(all_are_of_the_harness(&small));
}

#[tokio::test]
async fn a_proxy_changes_nothing_in_a_simulated_run() {
    let proxy = Server::start(|_, _| ready(status(500))).await;
    for address in [proxy.address.as_str(), "http://127.0.0.1:1"] {
        let simulator = simulator().await;
        let mut small = Small::attached(&simulator);
        for name in ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY"] {
            small.set(name, address);
        }
        small.run(&["text::anthropic"]).await.exits(0);
    }
    assert_eq!(proxy.targets(), [""; 0]);
}

/// Waits until the newest results have these many finished and unfinished trials.
async fn until_results(small: &Small, finished: usize, unfinished: usize) {
    let has = || {
        let results =
            Results::parse(&std::fs::read_to_string(small.path("compat-results.json")).ok()?).ok()?;
        Some(results.results.len() == finished && results.run.unfinished.len() == unfinished)
    };
    until("the results", || has().unwrap_or_default()).await;
}

/// A project whose feature `words` hangs.
fn hanging_words(simulator: &Simulator) -> Small {
    let small = Small::attached(simulator);
    let cell = small.read("cells/words/anthropic.yaml");
    small.write(
        "cells/words/anthropic.yaml",
        &format!("{cell}env:\n  FAKE_CLAUDE_STEPS: '[\"hang\"]'\n"),
    );
    small
}

#[tokio::test]
async fn two_runs_at_once_keep_their_own_results() {
    let simulator = simulator().await;
    let small = hanging_words(&simulator);
    let mut first = small.harness(&["words"]).spawn().expect("the harness starts");
    until_results(&small, 2, 2).await;
    let second = small.run(&["text::anthropic"]).await;
    second.exits(0);
    second.err_has("another run writes the last results of this project");
    let own = files_below(&small.path("target/compat/runs"));
    let own: Vec<String> = own.iter().map(|file| file.display().to_string()).collect();
    for file in [
        "compat-results.json",
        "junit.xml",
        "text/anthropic/haiku/transcript.jsonl",
    ] {
        assert!(own.iter().any(|path| path.ends_with(file)), "{file} in {own:?}");
    }
    // The first run's results are still its own.
    assert_eq!(small.results().run.unfinished.len(), 2);
    first.kill().unwrap();
    first.wait().unwrap();
    let third = small.run(&["text::anthropic"]).await;
    third.err_lacks("another run");
    assert_eq!(small.finished().len(), 2);
}

#[tokio::test]
async fn a_signal_writes_junit_before_it_ends_the_run() {
    let simulator = simulator().await;
    let small = hanging_words(&simulator);
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        let mut harness = small.harness(&["anthropic"]);
        let run = harness
            .stderr(Stdio::piped())
            .spawn()
            .expect("the harness starts");
        until_results(&small, 2, 2).await;
        kill(Pid::from_raw(run.id() as i32), signal).unwrap();
        let ended = tokio::task::spawn_blocking(move || run.wait_with_output())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(ended.status.signal(), Some(signal as i32));
        let err = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_has(&err, "interrupted: 2 of 4 trials finished, 0 of them failed");
        let (_, run) = err.split_once("in the run `").expect("the run's name");
        let (run, _) = run.split_once('`').expect("the end of the name");
        let command = format!("`cargo test --test compat -- --rerun-failed={run}` runs the other 2");
        assert_has(&err, &command);
        let junit = small.read("test-results/junit.xml");
        for trial in ["text::anthropic::haiku", "text::anthropic::opus"] {
            assert_has(&junit, trial);
        }
        std::fs::remove_file(small.path("compat-results.json")).unwrap();
    }
}

#[tokio::test]
async fn a_full_disk_behind_stdout_is_status_2() {
    let simulator = simulator().await;
    let small = Small::attached(&simulator);
    let full = || std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut harness = small.harness(&["text::anthropic"]);
    harness.stdout(full());
    let ran = Ran::beside(harness).await;
    ran.exits(2);
    ran.err_has("its disk is full; results are in");
    let mut doctor = small.program(env!("CARGO_BIN_EXE_compat"), &["doctor"]);
    doctor.stdout(full());
    let ran = Ran::beside(doctor).await;
    ran.exits(2);
    ran.err_has("writing to standard output: No space left on device");
}
