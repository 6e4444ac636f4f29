//! Runs of the scripts of the daily workflow, with doubles of its programs.

use std::os::unix::fs::symlink;

use tokio::process::Command;

use super::script;
use crate::support::files::{copy_folder, read, write_program};
use crate::support::hub::{APP, HISTORY_PATH, Hub, MATRIX_PATH};
use crate::support::machine::{CLAUDE, Machine, PROVIDER_CANARY, fail};
use crate::support::project::manifest_of_v0;
use crate::support::ran::Ran;
use crate::support::registry;
use crate::support::root;
use crate::support::text::assert_has;

/// A checkout on a runner, in which the scripts of the daily workflow run.
struct Runner {
    machine: Machine,
}

impl Runner {
    fn new() -> Self {
        let machine = Machine::new();
        // The double of `cargo test --test compat` copies the results.
        machine.program(
            "cargo",
            "cp \"$(dirname \"$0\")/../results.json\" \"$COMPAT_RESULTS_PATH\"",
        );
        std::fs::create_dir_all(machine.path("checkout/target/debug")).unwrap();
        // The results are of the first version's matrix.
        std::fs::write(machine.path("checkout/manifest.yaml"), manifest_of_v0()).unwrap();
        for name in ["proxy_config.yaml", "cells", "toolchain", "harness"] {
            symlink(root().join(name), machine.path("checkout").join(name)).unwrap();
        }
        symlink(
            env!("CARGO_BIN_EXE_compat"),
            machine.path("checkout/target/debug/compat"),
        )
        .unwrap();
        Self { machine }
    }

    async fn run(&self, hub: &Hub, script: &str, variables: &[(&str, &str)]) -> Ran {
        let path = |name: &str| self.machine.path(name).to_str().unwrap().to_owned();
        let mut bash = Command::new("bash");
        bash.args(["--noprofile", "--norc", "-eo", "pipefail", "-c", script])
            .current_dir(self.machine.path("checkout"))
            .env_clear()
            .env("PATH", format!("{}:/usr/bin:/bin", path("bin")))
            .env("HOME", path("home"))
            .env("TMPDIR", path("tmp"))
            .env("RUNNER_TEMP", path("tmp"))
            .env("GITHUB_STEP_SUMMARY", path("summary.md"))
            .env("GITHUB_API_URL", hub.api())
            .env("DOCS_REPOSITORY", hub.repository())
            .env("CHANNEL", "stable")
            .env("MAX_COST", "150")
            .env("LIMITS", "any=40 azure=5")
            .envs(variables.iter().copied());
        Ran::of(&mut bash).await
    }
}

#[tokio::test]
async fn the_scripts_of_the_daily_workflow_publish_and_alert() {
    let (hub, registry, runner) = (Hub::start().await, registry::start(CLAUDE).await, Runner::new());
    let machine = &runner.machine;
    let cache = machine.path("cache").to_str().unwrap().to_owned();

    let variables = [
        ("NPM_CONFIG_REGISTRY", registry.address.as_str()),
        ("COMPAT_CACHE_DIR", &cache),
        ("ANTHROPIC_API_KEY", PROVIDER_CANARY),
    ];
    let run = runner
        .run(&hub, &script("run", "Run matrix publisher"), &variables)
        .await;
    run.exits(0);
    run.err_has("skip-publish: not pushing to docs repo");
    run.err_has("pulling ghcr.io/berriai/litellm:v1.83.0-stable");
    assert!(
        machine
            .read("summary.md")
            .contains("### Claude Code compatibility matrix")
    );
    assert!(!machine.seen("cargo").contains(PROVIDER_CANARY));
    assert_has(
        &machine.seen("cargo"),
        "--max-cost\n150\n--limit\nany=40\n--limit\nazure=5\n",
    );
    let compare = script("run", "Compare the recordings with the simulator");
    runner.run(&hub, &compare, &[]).await.exits(0);
    let recorded = root().join("tests/fixtures/cassette-of-anthropic-sdk");
    copy_folder(&recorded, &machine.path("checkout/test-results/publish/cassette"));
    runner.run(&hub, &compare, &[]).await.exits(0);
    assert_has(&machine.read("summary.md"), "## drift: ");
    machine.write("checkout/test-results/publish/cassette/cassette.json", "{");
    runner.run(&hub, &compare, &[]).await.exits(2);
    assert_has(
        &machine.read("summary.md"),
        "the comparison with the simulator failed:\n    error: ",
    );

    let history = root().join("docs/site").join(HISTORY_PATH);
    let beside = machine.path("checkout/test-results/publish/version-history.json");
    std::fs::copy(history, beside).unwrap();

    // The publish job, with the artifact of the run job.
    symlink(machine.path("checkout"), machine.path("checkout/run")).unwrap();
    let key = hub.private_key();
    let webhook = format!("{}/hook/x", hub.address);
    let app = [
        ("APP_ID", APP),
        ("APP_PRIVATE_KEY", key.as_str()),
        ("WEBHOOK", &webhook),
        ("DETAILS_PATH", ""),
    ];
    let mint = script("publish", "Mint docs-repo installation token from GitHub App");
    let ran = runner.run(&hub, &mint, &app).await;
    ran.exits(0);
    ran.err_has("minted a token for BerriAI/litellm-docs, contents: write");
    runner.run(&hub, &mint, &[("APP_ID", "")]).await.exits(0);
    assert_eq!(hub.commits("main"), 1);

    let publish = script("publish", "Publish to the docs repository");
    let ran = runner.run(&hub, &publish, &app).await;
    ran.exits(0);
    assert_eq!(hub.changed("main"), [MATRIX_PATH, HISTORY_PATH]);
    let path = "static/data/compatibility-details.json";
    let with_details: Vec<_> = app.into_iter().chain([("DETAILS_PATH", path)]).collect();
    runner.run(&hub, &publish, &with_details).await.exits(0);
    assert_eq!(hub.changed("main"), [path]);

    machine.results(|results| {
        results["run"]["written_at"] = "2026-11-22T09:00:00Z".into();
        fail(results, 0, "auth");
    });
    runner
        .run(&hub, &script("run", "Run matrix publisher"), &variables)
        .await;
    let ran = runner.run(&hub, &publish, &app).await;
    ran.exits(4);
    assert_eq!(hub.commits("main"), 3);
    assert_eq!(hub.state().messages.len(), 1);

    let alarm = script("alarm", "Send a message to the webhook");
    let ran = runner
        .run(
            &hub,
            &alarm,
            &[("WEBHOOK", &webhook), ("RUN", "https://github.example/runs/1")],
        )
        .await;
    ran.exits(0);
    assert_has(&hub.message(), "https://github.example/runs/1");
}

/// Sets the versions of the run for later steps. A step without them fails before it starts anything.
async fn versions_of_the_run(hub: &Hub, runner: &Runner) -> Vec<(String, String)> {
    let folder = runner.machine.path("checkout/test-results/publish");
    std::fs::create_dir_all(&folder).unwrap();
    let versions = r#"{"litellm_version": "v1.83.3-stable.patch.2", "claude_code_version": "2.1.327"}"#;
    std::fs::write(folder.join("versions.json"), versions).unwrap();
    let file = runner.machine.path("github-env");
    let read_versions = script("run", "Read the versions of the run");
    let variables = [("GITHUB_ENV", file.to_str().unwrap())];
    runner.run(hub, &read_versions, &variables).await.exits(0);
    let lines = read(&file);
    let lines = lines.lines().filter_map(|line| line.split_once('='));
    lines
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

#[tokio::test]
async fn the_simulated_recording_has_the_versions_of_the_live_run() {
    let (hub, runner) = (Hub::start().await, Runner::new());
    runner.machine.program("cargo", "");
    let step = script("run", "Record a simulated run");
    runner.run(&hub, &step, &[]).await.exits(1);
    let variables = versions_of_the_run(&hub, &runner).await;
    let variables: Vec<(&str, &str)> = variables
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect();
    runner.run(&hub, &step, &variables).await.exits(0);
    let line = "test --locked --test compat -- --gateway litellm@1.83.3 --claude 2.1.327 --tiers all --record test-results/simulated";
    assert_has(&runner.machine.seen("cargo"), &line.replace(' ', "\n"));
}

/// A failed history leaves no file, so the published one stays.
#[tokio::test]
async fn the_daily_workflow_keeps_a_whole_version_history() {
    let (hub, runner) = (Hub::start().await, Runner::new());
    let path = |name: &str| runner.machine.path("checkout").join(name);
    let variables = versions_of_the_run(&hub, &runner).await;
    let variables: Vec<(&str, &str)> = variables
        .iter()
        .map(|(name, value)| (&**name, &**value))
        .collect();
    let step = script("run", "Run the last versions");
    runner.run(&hub, &step, &[]).await.exits(1);
    let kept = path("test-results/publish/version-history.json");
    for (status, is_kept) in [(1, false), (0, true), (3, true)] {
        let double =
            format!("echo \"$*\" >> calls\nif [ \"$1\" = history ]; then echo '{{}}'; exit {status}; fi");
        write_program(&path("target/debug/compat"), &double);
        let ran = runner.run(&hub, &step, &variables).await;
        ran.exits(if is_kept { 0 } else { status });
        assert_eq!(kept.exists(), is_kept, "{status}");
    }
    assert_has(
        &read(path("calls")),
        "toolchain update --claude 2.1.327\nhistory --last 5 --until 1.83.3 --tier haiku --format json\n",
    );
}
