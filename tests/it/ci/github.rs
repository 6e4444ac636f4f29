//! `compat ci` on a double of GitHub Actions, and on both services.

use serde_json::json;

use super::double::{Double, SHA, World, reply};

const PASSED: (&str, Option<&str>) = ("completed", Some("success"));
const FAILED: (&str, Option<&str>) = ("completed", Some("failure"));
const STATUS: &[&str] = &["status", "--branch", "main"];
const FAILURES: &[&str] = &["failures", "--branch", "main", "--history", "0"];

fn world(status: (&str, Option<&str>)) -> World {
    World::new()
        .head("main", SHA)
        .run(1, "tests", SHA, "main", status)
}

async fn exits(world: World, arguments: &[&str], status: i32) -> serde_json::Value {
    let double = Double::start(world).await;
    let (ran, report) = double.json("github", arguments).await;
    ran.exits(status);
    report
}

#[tokio::test]
async fn passed_runs_are_green() {
    let report = exits(world(PASSED).run_job(1, 11, "unit", PASSED), STATUS, 0).await;
    assert_eq!(report["verdict"], "green");
}

#[tokio::test]
async fn a_log_is_read_behind_its_redirect_without_a_token() {
    let log = "2026-07-30T10:33:37.0359288Z ##[group]Run pytest\n2026-07-30T10:33:38.0359288Z E   assert 401 == 200\n\
               2026-07-30T10:33:38.0359288Z FAILED t.py::test_a - assert 401 == 200\n\
               2026-07-30T10:33:39.0359288Z ##[error]Process completed with exit code 1.\nPost job cleanup.\n";
    let world = world(FAILED).run_job(1, 11, "unit", FAILED).run_log(11, log);
    let report = exits(world, FAILURES, 3).await;
    assert_eq!(report["groups"][0]["rule"], "own_app_refused");
    assert_eq!(report["groups"][0]["tests"], json!(["t.py::test_a"]));
}

#[tokio::test]
async fn an_expired_log_is_said() {
    let world = world(FAILED).run_job(1, 11, "unit", FAILED).reply(
        "GET /repos/acme/shop/actions/jobs/11/logs",
        [reply(410, r#"{"message":"Server Error"}"#)],
    );
    let report = exits(world, FAILURES, 3).await;
    assert_eq!(report["groups"][0]["category"], "unknown");
    assert!(
        report["notes"][0]
            .as_str()
            .unwrap()
            .contains("no log of job `unit`")
    );
}

#[tokio::test]
async fn skipped_jobs_alone_are_not_green() {
    let skipped = ("completed", Some("skipped"));
    exits(world(skipped).run_job(1, 11, "unit", skipped), STATUS, 1).await;
    let some = world(PASSED)
        .run_job(1, 11, "unit", PASSED)
        .run_job(1, 12, "docs", skipped);
    exits(some, STATUS, 0).await;
}

#[tokio::test]
async fn running_and_waiting_runs_are_not_finished() {
    for status in [
        ("in_progress", None),
        ("queued", None),
        ("waiting", None),
        ("completed", Some("action_required")),
    ] {
        exits(world(status).run_job(1, 11, "unit", status), STATUS, 5).await;
    }
}

#[tokio::test]
async fn other_conclusions_are_not_green() {
    for conclusion in ["cancelled", "stale", "brand_new"] {
        let status = ("completed", Some(conclusion));
        exits(world(status).run_job(1, 11, "unit", status), STATUS, 1).await;
    }
    let timed_out = ("completed", Some("timed_out"));
    exits(world(timed_out).run_job(1, 11, "unit", timed_out), STATUS, 3).await;
}

#[tokio::test]
async fn a_refused_workflow_file_is_config() {
    let report = exits(world(("completed", Some("startup_failure"))), FAILURES, 3).await;
    assert_eq!(report["groups"][0]["category"], "config");
}

#[tokio::test]
async fn no_run_is_not_green() {
    let runs = "/repos/acme/shop/actions/runs";
    let target = format!("GET {runs}?head_sha={SHA}&per_page=100&page=1");
    let none = json!({"total_count": 0, "workflow_runs": []});
    let world = World::new().head("main", SHA).reply(&target, [reply(200, none)]);
    let report = exits(world, STATUS, 1).await;
    assert!(
        report["commit"]["gaps"][0]
            .as_str()
            .unwrap()
            .contains("has no run")
    );
}

#[tokio::test]
async fn an_earlier_attempt_that_passed_proves_flakiness() {
    let form = json!({
        "id": 1, "name": "tests", "workflow_id": 3, "head_branch": "main", "head_sha": SHA, "event": "push",
        "status": "completed", "conclusion": "failure", "run_attempt": 2, "run_number": 5, "html_url": "",
    });
    let world = World::new()
        .head("main", SHA)
        .run_form(form)
        .run_job(1, 21, "unit", FAILED)
        .run_log(21, "E   assert 1 == 2\nFAILED t.py::test_a\n##[error]Process completed with exit code 1.\n")
        .attempt_job("1/attempts/1/jobs?", 11, "unit", PASSED)
        .reply(
            "GET /repos/acme/shop/actions/runs/1/attempts/1/jobs?&per_page=100&page=1",
            [reply(200, json!({"total_count": 1, "jobs": [{"id": 11, "name": "unit", "status": "completed", "conclusion": "success"}]}))],
        );
    let report = exits(world, &["failures", "--branch", "main", "--history", "1"], 3).await;
    assert_eq!(report["groups"][0]["evidence"], "flaky");
}

#[tokio::test]
async fn the_history_of_main_is_compared_by_logs() {
    let log = "E   AssertionError: lost\nFAILED t.py::test_a - AssertionError: lost\n##[error]Process completed with exit code 1.\n";
    let old = "0000000ddddddddddddddddddddddddddddddddd";
    let world = World::new()
        .head("fix", SHA)
        .run(2, "tests", SHA, "fix", FAILED)
        .run_job(2, 21, "unit", FAILED)
        .run_log(21, log)
        .run(1, "tests", old, "main", FAILED)
        .run_job(1, 11, "unit", FAILED)
        .run_log(11, log);
    let report = exits(world, &["failures", "--branch", "fix"], 4).await;
    assert_eq!(report["groups"][0]["evidence"], "on_main");
}

#[tokio::test]
async fn a_refused_page_is_not_green() {
    let target = "GET /repos/acme/shop/actions/runs/1/jobs?filter=latest&per_page=100&page=1";
    let world = world(PASSED).reply(target, [reply(403, r#"{"message":"API rate limit exceeded"}"#)]);
    let report = exits(world, STATUS, 1).await;
    assert!(
        report["commit"]["gaps"][0]
            .as_str()
            .unwrap()
            .contains("a rate limit is used up")
    );
}

#[tokio::test]
async fn one_call_says_all_about_a_commit_with_both_services() {
    let world = world(PASSED)
        .run_job(1, 11, "unit", PASSED)
        .pipeline("p1", 7, SHA, "main")
        .workflow("p1", "w1", "build", "failed")
        .job("w1", 1, "lint", "failed");
    let double = Double::start(world).await;
    let (ran, report) = double.json("all", STATUS).await;
    ran.exits(3);
    assert_eq!(report["commit"]["pipelines"].as_array().unwrap().len(), 2);

    let only_github = self::world(PASSED).run_job(1, 11, "unit", PASSED).reply(
        "GET /api/v2/project/gh/acme/shop/pipeline?branch=main",
        [reply(200, json!({"items": [], "next_page_token": null}))],
    );
    let double = Double::start(only_github).await;
    let (ran, report) = double.json("all", STATUS).await;
    ran.exits(1);
    assert!(
        report["commit"]["gaps"][0]
            .as_str()
            .unwrap()
            .contains("CircleCI has no pipeline")
    );
}

#[tokio::test]
async fn a_rerun_starts_the_failed_jobs() {
    let log = "E   litellm.InternalServerError: AnthropicException - Overloaded\n##[error]Process completed with exit code 1.\n";
    let world = world(FAILED)
        .run_job(1, 11, "unit", FAILED)
        .run_log(11, log)
        .reply(
            "POST /repos/acme/shop/actions/runs/1/rerun-failed-jobs",
            [reply(201, "")],
        );
    let double = Double::start(world).await;
    let ran = double
        .compat(&["rerun", "1", "--from-failed", "--provider", "github", "--yes"])
        .await;
    ran.exits(0);
}
