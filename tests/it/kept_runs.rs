//! The folders of the kept runs, and reruns that merge into one.

use compat_matrix::env;
use compat_matrix::results::{Results, TrialRecord, TrialResult};

use crate::support::claude::{fake_claude, hanging_claude};
use crate::support::small_project::{Small, simulator};

#[tokio::test]
async fn failed_trials_are_rerun_until_all_pass() {
    let simulator = simulator().await;
    let small = Small::attached(&simulator);
    let whole = small.run(&["--test-threads", "2"]).await;
    whole.exits(101);
    whole.out_has("2 passed; 2 failed; 4 ignored", 1);
    let listed = |arguments: &'static [&str]| {
        let small = &small;
        async move {
            let ran = small.run(&[&["--list"], arguments].concat()).await;
            ran.listed().into_iter().map(str::to_owned).collect::<Vec<_>>()
        }
    };
    let failed = ["words::anthropic::haiku", "words::anthropic::opus"];
    assert_eq!(listed(&["--rerun-failed"]).await, failed);
    assert_eq!(listed(&["--status", "fail", "--tier", "opus"]).await, failed[1..]);
    assert_eq!(
        listed(&["--cause", "assertion", "--cause", "gateway"]).await,
        failed
    );
    assert_eq!(listed(&["--cause", "gateway"]).await, [""; 0]);
    assert_eq!(listed(&["--status", "pass"]).await.len(), 2);
    assert_eq!(
        listed(&["--status", "not_applicable", "--status", "pass"])
            .await
            .len(),
        6
    );

    // After a fix, the failed trials are rerun, and the results of the run contain both.
    let run = small.results().run.name.unwrap();
    small.write(
        "cells/words/_shared.yaml",
        "prompt: ping\nreplies:\n  - content:\n      - text: pong\nexpect:\n  ended:\n    exit: 0\n  \
         reply:\n    tiers: [opus]\n    text: { equals: other }\n",
    );
    let again = small.run(&["--rerun-failed"]).await;
    again.exits(101);
    again.out_has("running 2 tests", 1);
    assert_eq!(small.finished().len(), 8);
    let again = small.run(&["--rerun-failed"]).await;
    again.exits(101);
    again.out_has("running 1 test", 1);
    small.write("cells/words/_shared.yaml", "prompt: ping\nreplies:\n  - content:\n      - text: pong\nexpect:\n  reply:\n    text: { equals: pong }\n",
    );
    // Another run in between: the rerun names its run.
    small.run(&["text::anthropic::opus"]).await.exits(0);
    assert_eq!(small.finished().len(), 1);
    small.run(&[&format!("--rerun-failed={run}")]).await.exits(0);
    let results = small.results();
    assert_eq!(
        (results.run.complete, results.run.name.as_deref()),
        (true, Some(&*run))
    );
    let is_clean = |entry: &TrialRecord| !entry.flaky && !entry.fails_run();
    assert!(results.results.len() == 8 && results.results.iter().all(is_clean));
    // The run lasted as long as its processes ran, not from the first start to the last end.
    let between = (results.run.written_at - results.run.started_at)
        .to_std()
        .unwrap();
    assert!(results.run.ran_ms.is_some() && results.run.duration() < between);
    let nothing = small.run(&["--rerun-failed"]).await;
    nothing.exits(0);
    nothing.err_has("nothing to run");
    let mistake = small.run(&["--status", "fail", "--cause", "auth"]).await;
    mistake.exits(4);
    mistake.err_has("error: nothing to run: no trial in ");
    assert_eq!(small.finished().len(), 8, "the results are unchanged");
    simulator.shutdown().await;
}

#[tokio::test]
async fn every_run_is_kept_and_found_by_its_name() {
    let simulator = simulator().await;
    let small = Small::attached(&simulator);
    let mut names = Vec::new();
    for filter in ["text::anthropic::haiku", "words::anthropic::haiku"] {
        small.run(&[filter]).await;
        names.push(small.results().run.name.unwrap());
    }
    let [first, last] = &names[..] else {
        panic!("{names:?}")
    };
    let kept = |run: &str, file: &str| small.read(&format!("target/compat/runs/{run}/{file}"));
    assert_eq!(
        kept(last, "compat-results.json"),
        small.read("compat-results.json")
    );
    assert_eq!(kept(last, "junit.xml"), small.read("test-results/junit.xml"));
    kept(first, "text/anthropic/haiku/transcript.jsonl");

    let listed = small.compat(&["results", "list"]).await;
    listed.exits(0);
    listed.out_has(
        &format!("* {last}\n    simulated, attached of unknown version"),
        1,
    );
    listed.out_has(&format!("  {first}\n"), 1);
    let end = &first[first.len() - 6..];
    small
        .compat(&["results", "show", end])
        .await
        .out_has("✓ 1 pass", 1);
    let trial = "text::anthropic::haiku";
    small.compat(&["show", trial]).await.exits(1);
    let shown = small.compat(&["show", trial, "--run", first]).await;
    shown.out_has(
        &format!("pass  target/compat/runs/{first}/text/anthropic/haiku"),
        1,
    );
    let folder = format!("target/compat/runs/{first}/text/anthropic/haiku");
    small
        .compat(&["show", &folder])
        .await
        .out_has(&format!("{trial}  pass"), 1);
    let built = small
        .compat(&[
            "matrix",
            "build",
            "--results",
            first,
            "--litellm-version",
            "v1",
            "--output",
            "-",
        ])
        .await;
    built.exits(0);
    let merged = small
        .compat(&["results", "merge", "--allow-partial", first, last])
        .await;
    merged.exits(0);
    assert_eq!(Results::parse(&merged.out).unwrap().results.len(), 2);
    for (arguments, expected) in [
        (
            &["show", trial, "--run", "nope"][..],
            "there is no run `nope`: `compat results list` shows",
        ),
        (
            &["show", trial, "--run", last],
            "the run has no trial `text::anthropic::haiku`; did you mean",
        ),
        (
            &["results", "show", "nope"],
            "there is no file `nope`: there is no run `nope`",
        ),
    ] {
        let ran = small.compat(arguments).await;
        ran.exits(1);
        ran.err_has(expected);
    }
    small
        .run(&["--rerun-failed=nope"])
        .await
        .err_has("there is no run `nope`");
    // A program that changes the last results does not change the kept run.
    let file = std::fs::File::options()
        .write(true)
        .truncate(true)
        .open(small.path("compat-results.json"));
    drop(file.unwrap());
    assert!(!kept(last, "compat-results.json").is_empty());
    simulator.shutdown().await;
}

#[tokio::test]
async fn a_rerun_keeps_earlier_results_and_mixes_no_conditions() {
    let simulator = simulator().await;
    let mut small = Small::attached(&simulator);
    small.run(&["anthropic"]).await.exits(101);
    let before = small.results().results;
    small.set(env::COMPAT_CLAUDE, "/no/such/claude");
    small.run(&["--rerun-failed"]).await.exits(2);
    assert_eq!(small.results().results, before, "no trial ran");
    let control = small.run(&["--rerun-failed", "--gateway", "none"]).await;
    control.exits(2);
    let mut direct = Small::new();
    direct.write("compat-results.json", &small.read("compat-results.json"));
    direct.set(env::COMPAT_CLAUDE, fake_claude().to_str().unwrap());
    let refused = direct.run(&["--rerun-failed", "--gateway", "none"]).await;
    refused.exits(2);
    refused.err_has("whose `gateway.kind` was `attached` and is now `none`: run all trials again");
    let results = small.read("compat-results.json");
    small.write(
        "compat-results.json",
        &results.replace("\"claude_code_version\": \"", "\"claude_code_version\": \"0."),
    );
    small.set(env::COMPAT_CLAUDE, fake_claude().to_str().unwrap());
    let refused = small.run(&["--rerun-failed"]).await;
    refused.exits(2);
    refused.err_has("whose `claude_code_version` was `0.");
    assert_eq!(small.results().results, before);
    simulator.shutdown().await;
}

#[tokio::test]
async fn an_interrupted_run_lists_unfinished_trials_to_rerun() {
    let simulator = simulator().await;
    let mut small = Small::attached(&simulator);
    small.set(env::COMPAT_CLAUDE, &hanging_claude(small.root()));
    let mut harness = small.harness(&["text"]).spawn().expect("the harness starts");
    let results = small.path("compat-results.json");
    let unfinished = loop {
        if let Some(read) = std::fs::read_to_string(&results)
            .ok()
            .and_then(|text| Results::parse(&text).ok())
            && read.results.len() == 2
        {
            break read.run.unfinished;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    };
    harness.kill().unwrap();
    harness.wait().unwrap();
    assert_eq!(unfinished.len(), 2, "{unfinished:?}");
    assert!(!small.results().run.complete);
    small.set(env::COMPAT_CLAUDE, fake_claude().to_str().unwrap());
    let again = small.run(&["--rerun-failed"]).await;
    again.exits(0);
    let results = small.results();
    assert_eq!((results.results.len(), results.run.complete), (4, true));
    let is_not_run = |entry: &TrialRecord| matches!(entry.result, TrialResult::NotApplicable { .. });
    let all_pass = small
        .results()
        .results
        .into_iter()
        .all(|entry| is_not_run(&entry) || entry.result == TrialResult::Pass {});
    assert!(all_pass);
    simulator.shutdown().await;
}
