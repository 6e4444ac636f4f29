//! The output in `docs/ci-failures.md` is that of the commands, on a double of a red pipeline of LiteLLM.

use regex::Regex;
use serde_json::json;

use super::double::{Double, SHA, World, reply};
use crate::support::root;

const RUFF: &str = "#!/bin/bash -eo pipefail\nuv run ruff check litellm/\nlitellm/proxy/utils.py:12:24: F401 [*] `typing.get_args` imported but unused\nFound 1 error.\n";
const DRIFT: &str = "prisma migrate diff --from-migrations ./migrations --to-schema-datamodel ./schema.prisma --exit-code\n[+] Added tables\n  - LiteLLM_ClaudeCodePluginTable\n";
const DEAD: &str = "[gw5] node down: Not properly terminated\nworker 'gw5' crashed while running 'tests/test_litellm/proxy/test_proxy_server.py::test_health'\nFAILED tests/test_litellm/proxy/test_proxy_server.py::test_health\n=== 1 failed, 2411 passed in 602.11s (0:10:02) ===\n";
const EMPTY: &str = "anthropic.BadRequestError: Error code: 400 - {'type': 'error', 'error': {'type': 'invalid_request_error', 'message': 'Your credit balance is too low to access the Anthropic API.'}}";
const ODD: &str = "starting the MCP servers\nserver b ended\n";

/// A red branch of LiteLLM, and three runs of main.
fn world() -> World {
    let mut world = World::new();
    world.project = "BerriAI/litellm".into();
    let red = |world: World, base: u64, workflow: &str, external: (&str, &str)| {
        world
            .job(workflow, base + 1, "mapped_tests_proxy_part1", "failed")
            .log(base + 1, DEAD)
            .job(workflow, base + 2, "llm_translation_testing", "failed")
            .log(base + 2, "FAILED\n")
            .tests(base + 2, &[external])
    };
    world = world
        .pipeline("p9", 81245, SHA, "litellm_plugins")
        .workflow("p9", "w9", "build_and_test", "failed")
        .job("w9", 900, "linting", "failed")
        .log(900, RUFF)
        .job("w9", 910, "proxy_migration", "failed")
        .log(910, DRIFT)
        .job("w9", 920, "mcp_testing", "failed")
        .log(920, ODD)
        .job("w9", 930, "local_testing_part1", "success")
        .job_form(
            "w9",
            json!({"id": "d", "name": "publish", "status": "blocked", "dependencies": ["job-w9-linting"]}),
        );
    world = red(world, 940, "w9", ("test_anthropic_tool_use", EMPTY));
    for (index, test) in ["test_anthropic_cache", "test_anthropic_pdf"]
        .into_iter()
        .enumerate()
    {
        let (pipeline, workflow, base) = (
            format!("m{index}"),
            format!("mw{index}"),
            100 * (index as u64 + 1),
        );
        world = world
            .pipeline(
                &pipeline,
                81240 - index as u64,
                &format!("{}{}", index + 1, &SHA[1..]),
                "main",
            )
            .workflow(&pipeline, &workflow, "build_and_test", "failed");
        for job in ["linting", "proxy_migration", "mcp_testing", "local_testing_part1"] {
            let number = base + 10 + job.len() as u64;
            world = world.job(&workflow, number, job, "success");
        }
        world = red(world, base, &workflow, (test, EMPTY));
    }
    world
}

/// The output of the console block of `docs/ci-failures.md` that begins with `command`.
fn documented(command: &str) -> String {
    let page = std::fs::read_to_string(root().join("docs/ci-failures.md")).unwrap();
    let block = page
        .split("```console\n")
        .find(|block| block.starts_with(&format!("$ {command}\n")));
    let block = block.unwrap_or_else(|| panic!("docs/ci-failures.md has no block for `{command}`"));
    let end = block.find("```").unwrap();
    block[command.len() + 3..end].to_owned()
}

#[tokio::test]
async fn the_documented_output_is_real() {
    let double = Double::start(world().reply("POST /api/v2/workflow/w9/rerun", [reply(500, "{}")])).await;
    let own = Regex::new(r"http://127\.0\.0\.1:\d+").unwrap();
    for (command, errors) in [
        ("status --branch litellm_plugins", false),
        ("failures --branch litellm_plugins --history 3", false),
        ("rerun w9 --from-failed --yes", true),
    ] {
        let mut arguments: Vec<&str> = command.split(' ').collect();
        arguments.extend(["--provider", "circleci"]);
        let ran = double.compat(&arguments).await;
        let out = own.replace_all(
            if errors { &ran.err } else { &ran.out },
            "https://app.circleci.com",
        );
        let shown = documented(&format!("compat ci {command}"));
        assert_eq!(out, shown, "compat ci {command}\n{out}");
    }
}
