//! `compat ci failures` with the evidence of other runs, `watch` and `rerun`, on a double of CircleCI.

use std::time::{Duration, Instant};

use serde_json::json;

use super::circleci::{FAILURES, exits, world};
use super::double::{Double, SHA, World, reply};

const LOST: (&str, &str) = ("test_a", "AssertionError: assert 'a' == 'b'");
const OVERLOADED: &str = "anthropic.InternalServerError: Error code: 529 - Overloaded";

/// A red commit on a branch, and `runs` of main, newest first: the failed tests of job `unit`; `None` if it passed.
fn with_history(failed: (&str, &str), runs: &[Option<(&str, &str)>]) -> World {
    let mut world = World::new()
        .pipeline("p1", 99, SHA, "fix")
        .workflow("p1", "w1", "build", "failed")
        .job("w1", 1, "unit", "failed")
        .log(1, "FAILED\n")
        .tests(1, &[failed]);
    for (index, run) in runs.iter().enumerate() {
        let (pipeline, workflow, number) = (format!("m{index}"), format!("mw{index}"), 100 + index as u64);
        let revision = format!("{index:040}");
        let status = if run.is_some() { "failed" } else { "success" };
        world = world
            .pipeline(&pipeline, 50 - index as u64, &revision, "main")
            .workflow(&pipeline, &workflow, "build", status)
            .job(&workflow, number, "unit", status);
        if let Some(failed) = run {
            world = world.log(number, "FAILED\n").tests(number, &[*failed]);
        }
    }
    world
}

#[tokio::test]
async fn history_decides_the_evidence_word() {
    let fails = Some(LOST);
    let other = Some(("test_b", "AssertionError: other"));
    for (runs, word, status) in [
        (vec![None, None], "new", 3),
        (vec![other, None], "new", 3),
        (vec![fails, None], "on_main", 4),
        (vec![fails, fails, None], "broken", 4),
        (vec![None, fails, None], "intermittent", 4),
    ] {
        let double = Double::start(with_history(LOST, &runs)).await;
        let (ran, report) = double.circleci(&["failures", "--branch", "fix"]).await;
        ran.exits(status);
        assert_eq!(report["groups"][0]["evidence"], word, "{report:#}");
    }
}

#[tokio::test]
async fn flaky_needs_a_pass_of_the_same_commit() {
    let world = World::new()
        .pipeline("p1", 99, SHA, "fix")
        .workflow("p1", "w0", "build", "canceled")
        .job("w0", 5, "unit", "success")
        .workflow("p1", "w1", "build", "failed")
        .job("w1", 1, "unit", "failed")
        .log(1, "FAILED\n")
        .tests(1, &[LOST])
        .pipeline("m0", 50, "0000000ccccccccccccccccccccccccccccccccc", "main")
        .workflow("m0", "mw0", "build", "success")
        .job("mw0", 100, "unit", "success");
    let double = Double::start(world).await;
    let (_, report) = double.circleci(&["failures", "--branch", "fix"]).await;
    assert_eq!(report["groups"][0]["evidence"], "flaky");
    assert_eq!(
        report["groups"][0]["proof"],
        "passed in another attempt of 9a90490"
    );
}

#[tokio::test]
async fn external_failures_that_move_are_recognized() {
    let runs = [Some(("test_other", OVERLOADED)), None];
    let double = Double::start(with_history(("test_a", OVERLOADED), &runs)).await;
    let (ran, report) = double.circleci(&["failures", "--branch", "fix"]).await;
    ran.exits(4);
    assert_eq!(report["groups"][0]["shuffles"], true);
}

/// LiteLLM's size: 3 workflows, 62 jobs, 9 red; on main ten runs of the same size.
fn large() -> World {
    let mut world = World::new();
    let mut number = 0;
    for run in 0..=10 {
        let (branch, revision) = match run {
            0 => ("fix", SHA.to_owned()),
            run => ("main", format!("{run:040}")),
        };
        let pipeline = format!("p{run}");
        world = world.pipeline(&pipeline, 900 - run, &revision, branch);
        for workflow in 0..3 {
            let id = format!("w{run}-{workflow}");
            world = world.workflow(&pipeline, &id, &format!("flow{workflow}"), "failed");
            for job in 0..21 - u64::from(workflow == 0) {
                number += 1;
                let is_red = job < 3;
                let status = if is_red { "failed" } else { "success" };
                world = world.job(&id, number, &format!("job{workflow}-{job}"), status);
                if is_red {
                    world = world.log(number, "FAILED\n").tests(number, &[LOST]);
                }
            }
        }
    }
    world.page = 100;
    world.delay = Duration::from_millis(20);
    world
}

#[tokio::test]
async fn requests_stay_within_the_budget() {
    for (history, most) in [("0", 40), ("10", 130)] {
        let double = Double::start(large()).await;
        let start = Instant::now();
        let (ran, report) = double
            .circleci(&["failures", "--branch", "fix", "--history", history])
            .await;
        assert_ne!(ran.status, Some(1), "{}", ran.out);
        let requests = double.requests().len();
        assert!(
            requests <= most,
            "{requests} requests with {history} runs of history"
        );
        assert_eq!(report["requests"], requests);
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    }
}

#[tokio::test]
async fn logs_are_written_to_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    let world = world("failed")
        .job("w1", 1, "../unit tests", "failed")
        .log(1, "E   assert 1 == 2\n");
    exits(world, &[FAILURES, &["--logs", path]].concat(), 3).await;
    let log = std::fs::read_to_string(folder.path().join(".._unit_tests-1.log")).unwrap();
    assert!(log.starts_with("E   assert 1 == 2"), "{log}");
}

#[tokio::test]
async fn foreign_text_stays_inert() {
    let log = "::set-output name=a::b\nE   AssertionError: <img src=x> | `rm` \u{1b}]0;t\u{7} @team ::set-output name=x::y [a](http://b)\n\
               FAILED t.py::test_<b>\n";
    let double = Double::start(world("failed").job("w1", 1, "unit|<i>", "failed").log(1, log)).await;
    let markdown = double
        .compat(&[FAILURES, &["--provider", "circleci", "--format", "markdown"]].concat())
        .await;
    for raw in ["<img", "<i>", "<b>", "[a](", "@team", "\u{1b}", " `rm`"] {
        assert!(!markdown.out.contains(raw), "{raw} in {}", markdown.out);
    }
    let text = double
        .compat(&[FAILURES, &["--provider", "circleci"]].concat())
        .await;
    assert!(
        !text.out.contains('\u{1b}') && !text.out.contains('\u{7}'),
        "{}",
        text.out
    );
    for out in [&text.out, &markdown.out] {
        assert!(
            !out.lines().any(|line| line.trim_start().starts_with("::")),
            "{out}"
        );
    }
}

#[tokio::test]
async fn json_reports_follow_the_schema() {
    let (_, schema) = compat_matrix::ci::report::schema();
    let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
    let double = Double::start(with_history(LOST, &[Some(LOST), None])).await;
    for arguments in [
        &["status", "--branch", "fix"][..],
        &["failures", "--branch", "fix"],
    ] {
        let (_, report) = double.circleci(arguments).await;
        jsonschema::validate(&schema, &report).unwrap();
    }
}

const RERUN: &[&str] = &["rerun", "w1", "--from-failed", "--provider", "circleci"];

#[tokio::test]
async fn a_rerun_needs_consent_and_is_sent_once() {
    let log = "E   litellm.InternalServerError: AnthropicException - Overloaded\nFAILED t.py::test_a\n";
    let target = "POST /api/v2/workflow/w1/rerun";
    let red = |answer| {
        world("failed")
            .job("w1", 1, "unit", "failed")
            .log(1, log)
            .reply(target, [answer])
    };
    let posts = |double: &Double| {
        double
            .requests()
            .iter()
            .filter(|request| request.starts_with("POST"))
            .count()
    };

    let double = Double::start(red(reply(202, json!({"workflow_id": "w9"})))).await;
    let asked = double.compat(RERUN).await;
    asked.exits(1);
    asked.err_has("add `--yes`");
    assert_eq!(posts(&double), 0);
    let done = double.compat(&[RERUN, &["--yes"]].concat()).await;
    done.exits(0);
    assert_eq!((done.out.trim(), posts(&double)), ("w9", 1));

    let broken = Double::start(red(reply(500, "{}"))).await;
    broken.compat(&[RERUN, &["--yes"]].concat()).await.exits(1);
    assert_eq!(posts(&broken), 1);
}

#[tokio::test]
async fn a_rerun_that_cannot_help_is_refused() {
    let log = "types.py:3: error: Incompatible types  [assignment]\nFound 1 error in 1 file (checked 3 source files)\n";
    let double = Double::start(world("failed").job("w1", 1, "lint", "failed").log(1, log)).await;
    let refused = double.compat(&[RERUN, &["--yes"]].concat()).await;
    refused.exits(1);
    refused.err_has("a rerun cannot help");
    assert!(
        !double
            .requests()
            .iter()
            .any(|request| request.starts_with("POST"))
    );
}

#[tokio::test]
async fn a_watch_ends_with_the_run() {
    let double = Double::start(world("success").job("w1", 1, "lint", "success")).await;
    double.circleci(&["watch", "--branch", "main"]).await.0.exits(0);
    let double = Double::start(world("running").job("w1", 1, "lint", "running")).await;
    double
        .circleci(&["watch", "--branch", "main", "--timeout", "1s"])
        .await
        .0
        .exits(5);
    let red = world("failing")
        .job("w1", 1, "lint", "running")
        .job("w1", 2, "unit", "failed")
        .log(2, "E   assert 1 == 2\n");
    let double = Double::start(red).await;
    double
        .circleci(&["watch", "--branch", "main", "--fail-fast", "--history", "0"])
        .await
        .0
        .exits(3);
}

#[tokio::test]
async fn wrong_arguments_end_with_2() {
    let double = Double::start(World::new()).await;
    double
        .compat(&["status", "--branch", "a", "--sha", SHA])
        .await
        .exits(2);
    double.compat(&["status", "--provider", "jenkins"]).await.exits(2);
    double.compat(&["rerun", "w1"]).await.exits(2);
}
