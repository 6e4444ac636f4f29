//! `compat ci` on a double of CircleCI.

use serde_json::json;

use super::double::{Double, SHA, World, reply};

const NOT_FOUND: &str = r#"{"message":"Not found"}"#;

/// One pipeline on `main` with one workflow.
pub fn world(status: &str) -> World {
    World::new()
        .pipeline("p1", 7, SHA, "main")
        .workflow("p1", "w1", "build", status)
}

pub async fn exits(
    world: World,
    arguments: &[&str],
    status: i32,
) -> (crate::support::ran::Ran, serde_json::Value) {
    let double = Double::start(world).await;
    let (ran, report) = double.circleci(arguments).await;
    ran.exits(status);
    (ran, report)
}

const STATUS: &[&str] = &["status", "--branch", "main"];
pub const FAILURES: &[&str] = &["failures", "--branch", "main", "--history", "0"];

#[tokio::test]
async fn a_commit_with_passed_jobs_is_green() {
    let (_, report) = exits(world("success").job("w1", 1, "lint", "success"), STATUS, 0).await;
    assert_eq!(report["verdict"], "green");
    assert_eq!(report["commit"]["revision"], SHA);
}

#[tokio::test]
async fn all_pages_of_all_lists_are_read() {
    let mut world = world("failed");
    for number in 1..=5 {
        world = world.job(
            "w1",
            number,
            &format!("job{number}"),
            if number == 5 { "failed" } else { "success" },
        );
    }
    world.page = 2;
    let (_, report) = exits(world, STATUS, 3).await;
    assert_eq!(
        report["commit"]["pipelines"][0]["workflows"][0]["jobs"]
            .as_array()
            .unwrap()
            .len(),
        5
    );
}

#[tokio::test]
async fn a_page_that_cannot_be_read_is_never_green() {
    let mut world = world("success")
        .job("w1", 1, "a", "success")
        .job("w1", 2, "b", "success");
    world.page = 1;
    let world = world.reply(
        "GET /api/v2/workflow/w1/job?page-token=page1",
        [reply(404, NOT_FOUND)],
    );
    let (_, report) = exits(world, STATUS, 1).await;
    let gap = report["commit"]["gaps"][0].as_str().unwrap();
    assert!(gap.contains("the jobs of workflow `build`, page 2"), "{gap}");
}

#[tokio::test]
async fn a_rate_limit_is_waited_for() {
    let ok = json!({"items": [{"id": "j", "name": "lint", "status": "success", "job_number": 1}], "next_page_token": null});
    let limited = reply(429, NOT_FOUND).header("retry-after", "1");
    let world = world("success").reply("GET /api/v2/workflow/w1/job", [limited, reply(200, ok)]);
    exits(world, STATUS, 0).await;
}

#[tokio::test]
async fn a_rate_limit_without_end_is_said() {
    let world = world("success").reply("GET /api/v2/workflow/w1/job", [reply(429, NOT_FOUND)]);
    let (_, report) = exits(world, STATUS, 1).await;
    let gap = report["commit"]["gaps"][0].as_str().unwrap();
    assert!(gap.contains("the rate limit is used up"), "{gap}");
}

#[tokio::test]
async fn a_refused_token_is_said() {
    let target = "GET /api/v2/project/gh/acme/shop/pipeline?branch=main";
    let world = World::new().reply(target, [reply(401, r#"{"message":"Unauthorized"}"#)]);
    let (_, report) = exits(world, STATUS, 1).await;
    let gap = report["commit"]["gaps"][0].as_str().unwrap();
    assert!(gap.contains("renew `CIRCLECI_TOKEN`"), "{gap}");
}

#[tokio::test]
async fn a_public_project_needs_no_token() {
    let mut world = world("success").job("w1", 1, "lint", "success");
    world.has_token = false;
    exits(world, STATUS, 0).await;
    let target = "GET /api/v2/project/gh/acme/shop/pipeline?branch=main";
    let mut refused = World::new().reply(target, [reply(404, NOT_FOUND)]);
    refused.has_token = false;
    let (_, report) = exits(refused, STATUS, 1).await;
    let gap = report["commit"]["gaps"][0].as_str().unwrap();
    assert!(gap.contains("needs a token: set `CIRCLECI_TOKEN`"), "{gap}");
}

#[tokio::test]
async fn a_commit_without_a_workflow_is_not_green() {
    let (_, report) = exits(World::new().pipeline("p1", 7, SHA, "main"), STATUS, 1).await;
    assert_eq!(
        report["doubts"][0],
        "pipeline 7 has no workflow: its filters may exclude this commit"
    );
}

#[tokio::test]
async fn a_branch_without_a_pipeline_is_not_green() {
    let target = "GET /api/v2/project/gh/acme/shop/pipeline?branch=main";
    let empty = json!({"items": [], "next_page_token": null});
    let (_, report) = exits(World::new().reply(target, [reply(200, empty)]), STATUS, 1).await;
    let gap = report["commit"]["gaps"][0].as_str().unwrap();
    assert!(
        gap.contains("no pipeline of `gh/acme/shop` for the branch `main`"),
        "{gap}"
    );
}

#[tokio::test]
async fn a_refused_continuation_of_a_green_setup_is_red() {
    let form = json!({
        "id": "p1", "number": 7, "state": "errored", "vcs": {"revision": SHA, "branch": "main"},
        "errors": [{"type": "config", "message": "Error calling job: 'e2e'"}],
    });
    let world = World::new()
        .pipeline_form("main", form)
        .workflow("p1", "w1", "setup", "success")
        .job("w1", 1, "setup", "success");
    let (_, report) = exits(world, FAILURES, 3).await;
    assert_eq!(report["groups"][0]["category"], "config");
    assert_eq!(report["groups"][0]["rule"], "pipeline_config_refused");
}

#[tokio::test]
async fn every_red_status_is_red() {
    for status in ["failed", "timedout", "unauthorized", "terminated-unknown"] {
        exits(world("failed").job("w1", 1, "a", status), STATUS, 3).await;
    }
    exits(
        world("failed").job("w1", 1, "a", "infrastructure_fail"),
        STATUS,
        4,
    )
    .await;
}

#[tokio::test]
async fn an_unknown_status_is_not_green() {
    let (_, report) = exits(world("success").job("w1", 1, "a", "brand_new"), STATUS, 1).await;
    assert_eq!(report["doubts"][0], "job `a` of workflow `build` is `brand_new`");
    exits(world("brand_new").job("w1", 1, "a", "success"), STATUS, 1).await;
    exits(world("canceled").job("w1", 1, "a", "canceled"), STATUS, 1).await;
}

#[tokio::test]
async fn an_approval_is_neither_green_nor_red() {
    let approval = json!({"id": "a", "name": "hold", "type": "approval", "status": "on_hold", "dependencies": ["job-w1-lint"]});
    let world = world("on_hold")
        .job("w1", 1, "lint", "success")
        .job_form("w1", approval);
    let (_, report) = exits(world, STATUS, 5).await;
    let hold = &report["commit"]["pipelines"][0]["workflows"][0]["jobs"][1];
    assert_eq!(
        (&hold["after"][0], &hold["number"]),
        (&json!("lint"), &json!(null))
    );
}

#[tokio::test]
async fn running_jobs_are_not_finished() {
    exits(world("running").job("w1", 1, "lint", "running"), STATUS, 5).await;
    exits(
        world("failing")
            .job("w1", 1, "lint", "running")
            .job("w1", 2, "b", "failed"),
        STATUS,
        3,
    )
    .await;
}

#[tokio::test]
async fn the_newest_workflow_of_a_name_counts() {
    let world = world("failed")
        .job("w1", 1, "lint", "failed")
        .workflow("p1", "w2", "build", "success")
        .job("w2", 2, "lint", "success");
    let (_, report) = exits(world, STATUS, 0).await;
    assert_eq!(report["commit"]["pipelines"][0]["workflows"][0]["attempt"], 2);
}

#[tokio::test]
async fn all_pipelines_of_a_commit_count() {
    let world = World::new()
        .pipeline("p3", 9, SHA, "main")
        .workflow("p3", "w3", "docs", "success")
        .job("w3", 3, "docs", "success")
        .pipeline("p1", 7, SHA, "main")
        .workflow("p1", "w1", "build", "failed")
        .job("w1", 1, "lint", "failed")
        .pipeline("p0", 6, "0000000bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", "main");
    let (_, report) = exits(world, STATUS, 3).await;
    assert_eq!(report["commit"]["pipelines"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_pipeline_without_vcs_is_found() {
    let form = json!({
        "id": "p1", "number": 7, "state": "created", "errors": [],
        "trigger_parameters": {"git": {"branch": "main", "checkout_sha": SHA}},
    });
    let world = World::new()
        .pipeline_form("main", form)
        .workflow("p1", "w1", "build", "success")
        .job("w1", 1, "lint", "success");
    exits(world, &["status", "--sha", "9a90490"], 0).await;
}

#[tokio::test]
async fn a_workflow_is_found_by_its_address() {
    let form = json!({"id": "p1", "number": 7, "vcs": {"revision": SHA, "branch": "main"}});
    let world = world("success")
        .job("w1", 1, "lint", "success")
        .reply("GET /api/v2/pipeline/p1", [reply(200, form)]);
    let url = "https://app.circleci.com/pipelines/github/acme/shop/7/workflows/w1";
    exits(world, &["status", url], 0).await;
}

#[tokio::test]
async fn the_log_of_a_red_job_is_sorted() {
    let log = "E   anthropic.AuthenticationError: Error code: 401 - invalid x-api-key\nFAILED t.py::test_a - anthropic.AuthenticationError\n";
    let (_, report) = exits(
        world("failed").job("w1", 1, "unit", "failed").log(1, log),
        FAILURES,
        3,
    )
    .await;
    let group = &report["groups"][0];
    assert_eq!(
        (&group["category"], &group["evidence"]),
        (&json!("auth"), &json!("no_history"))
    );
    assert_eq!(group["tests"], json!(["t.py::test_a"]));
    assert_eq!(group["rerun_helps"], false);
}

#[tokio::test]
async fn external_failures_end_with_4_or_strictly_with_3() {
    let log = "E   litellm.InternalServerError: AnthropicException - Overloaded\nFAILED t.py::test_a\n";
    let red = || world("failed").job("w1", 1, "unit", "failed").log(1, log);
    exits(red(), FAILURES, 4).await;
    exits(red(), &[FAILURES, &["--strict"]].concat(), 3).await;
}

fn action(index: u64, status: &str, output: Option<&str>) -> serde_json::Value {
    json!({
        "index": index, "step": 3, "name": "Run tests", "status": status, "exit_code": null, "failed": null, "timedout": null,
        "infrastructure_fail": null, "background": false, "has_output": output.is_some(), "truncated": null,
        "output_url": output.map(|path| format!("{{store}}{path}")),
    })
}

#[tokio::test]
async fn a_timeout_with_null_fields_is_read() {
    let world = world("failed")
        .job("w1", 1, "unit", "timedout")
        .tests(1, &[])
        .steps(
            1,
            json!([{"name": "Run tests", "actions": [action(0, "timedout", Some("/out/1"))]}]),
        )
        .store(
            "/out/1",
            reply(200, json!([{"message": "go test ./...\n", "type": "out"}])),
        );
    let (_, report) = exits(world, FAILURES, 3).await;
    assert_eq!(report["groups"][0]["rule"], "no_output_limit");
}

#[tokio::test]
async fn one_red_container_of_six_is_found_in_chunks() {
    let mut actions: Vec<_> = (0..5).map(|index| action(index, "success", None)).collect();
    actions.push(action(5, "failed", Some("/out/5")));
    let chunks = json!([
        {"message": "\u{1b}[31mE   assert 4", "type": "out"},
        {"message": "01 == 200\u{1b}[0m\r\nFAILED t.py::te", "type": "out"},
        {"message": "st_a - assert 401 == 200\n", "type": "err"},
    ]);
    let world = world("failed")
        .job("w1", 1, "unit", "failed")
        .tests(1, &[])
        .steps(1, json!([{"name": "Run tests", "actions": actions}]))
        .store("/out/5", reply(200, chunks));
    let (_, report) = exits(world, FAILURES, 3).await;
    assert_eq!(report["groups"][0]["rule"], "own_app_refused");
    assert_eq!(report["groups"][0]["tests"], json!(["t.py::test_a"]));
}

#[tokio::test]
async fn only_the_last_attempt_of_a_step_counts() {
    let steps = json!([
        {"name": "Run tests", "actions": [action(0, "failed", Some("/out/first"))]},
        {"name": "Run tests", "actions": [action(0, "success", None)]},
        {"name": "Deploy", "actions": [{"index": 0, "name": "Deploy", "status": "failed", "exit_code": 127, "output_url": "{store}/out/2", "has_output": true}]},
        {"name": "Background", "actions": [{"index": 0, "name": "Background", "status": "canceled", "background": true}]},
    ]);
    let world = world("failed")
        .job("w1", 1, "unit", "failed")
        .tests(1, &[])
        .steps(1, steps)
        .store(
            "/out/2",
            reply(200, json!([{"message": "/bin/sh: terraform: not found\n"}])),
        );
    let (_, report) = exits(world, FAILURES, 3).await;
    assert_eq!(report["groups"].as_array().unwrap().len(), 1);
    assert_eq!(report["groups"][0]["category"], "config");
    assert!(
        report["notes"][0]
            .as_str()
            .unwrap()
            .contains("passed when it was repeated")
    );
}

#[tokio::test]
async fn an_expired_log_is_said() {
    let world = world("failed")
        .job("w1", 1, "unit", "failed")
        .tests(1, &[])
        .steps(
            1,
            json!([{"name": "Run tests", "actions": [action(0, "failed", Some("/out/1"))]}]),
        )
        .store("/out/1", reply(403, "<Error><Code>AccessDenied</Code></Error>"));
    let (_, report) = exits(world, FAILURES, 3).await;
    assert_eq!(report["groups"][0]["category"], "unknown");
    let note = report["notes"][0].as_str().unwrap();
    assert!(note.contains("the log has expired or was deleted"), "{note}");
}

#[tokio::test]
async fn an_unauthorized_context_is_auth_whatever_the_log_says() {
    let log = "E   assert 1 == 2\nFAILED t.py::test_a\n";
    let (_, report) = exits(
        world("failed").job("w1", 1, "unit", "unauthorized").log(1, log),
        FAILURES,
        3,
    )
    .await;
    assert_eq!(report["groups"][0]["rule"], "context_refused");
}

#[tokio::test]
async fn an_error_about_a_job_is_not_the_absence_of_a_failure() {
    let world = world("failed")
        .job("w1", 1, "unit", "failed")
        .tests(1, &[])
        .reply(
            "GET /api/v1.1/project/github/acme/shop/1",
            [reply(404, NOT_FOUND)],
        );
    let (_, report) = exits(world, FAILURES, 3).await;
    assert_eq!(report["groups"][0]["category"], "unknown");
    assert!(report["notes"][0].as_str().unwrap().contains("no steps of job 1"));
}
