//! The CI configurations: their jobs, credentials and scripts.
//!
//! `ci/check-config` checks them by their schemas, and `ci/check-config --rehearse` runs the steps of the gate.

mod daily;

use std::collections::BTreeSet;
use std::path::Path;

use compat_matrix::document::yaml;
use compat_matrix::files::run_folders;
use serde_json::Value;
use tokio::process::Command;

use crate::support::files::read;
use crate::support::machine::Machine;
use crate::support::ran::Ran;
use crate::support::root;
use crate::support::text::{assert_has, assert_lacks, assert_starts};

const WORKFLOW: &str = ".github/workflows/claude_code_compat_matrix.yml";
const RELEASE: &str = ".github/workflows/release.yml";

fn config(path: &str) -> Value {
    let bytes = std::fs::read(root().join(path)).unwrap();
    yaml::parse(Path::new(path), &bytes).unwrap().to_json()
}

/// The `run` steps of a CircleCI job with those within conditions: name and script.
fn runs(steps: &Value) -> Vec<(String, String)> {
    let mut runs = Vec::new();
    for step in steps.as_array().unwrap() {
        if let Some(run) = step.get("run") {
            let text = |key: &str| run[key].as_str().unwrap_or_default().to_owned();
            runs.push((text("name"), text("command")));
        }
        for condition in ["when", "unless"] {
            if let Some(steps) = step.get(condition).and_then(|body| body.get("steps")) {
                runs.extend(self::runs(steps));
            }
        }
    }
    runs
}

/// A step of a job of the daily workflow, by its name.
fn script(job: &str, name: &str) -> String {
    script_of(WORKFLOW, job, name)
}

fn script_of(workflow: &str, job: &str, name: &str) -> String {
    let workflow = config(workflow);
    let steps = workflow["jobs"][job]["steps"].as_array().unwrap().clone();
    let step = steps.into_iter().find(|step| step["name"] == name).unwrap();
    step["run"].as_str().unwrap().to_owned()
}

#[test]
fn the_gate_resolves_a_version_of_three_days_and_installs_it() {
    let config = config(".circleci/config.yml");
    let job = &config["jobs"]["claude_code_compat_pr_gate"];
    let runs = runs(&job["steps"]);
    let position = |name: &str| runs.iter().position(|(other, _)| other == name).expect(name);
    let resolve = position("Resolve Claude Code CLI version");
    assert!(resolve < position("Install Claude Code CLI"));
    assert!(position("Install Claude Code CLI") < position("Run Claude Code compatibility test suite"));
    assert!(position("Wait for LiteLLM") < position("Run Claude Code compatibility test suite"));
    let (_, script) = &runs[resolve];
    assert_has(script, "compat versions claude-code --min-age 3d");
    assert_has(script, "echo \"Selected");
    for kind in ["store_test_results", "store_artifacts"] {
        assert!(
            job["steps"]
                .as_array()
                .unwrap()
                .iter()
                .any(|step| step.get(kind).is_some()),
            "{kind}"
        );
    }
}

#[tokio::test]
async fn the_gate_runs_a_released_program_only_with_its_digest() {
    let config = config(".circleci/config.yml");
    let script = |job: &str| {
        let runs = runs(&config["jobs"][job]["steps"]);
        let mut scripts = runs
            .into_iter()
            .filter(|(name, _)| name == "Take the program of a release");
        scripts.next().expect("the step").1
    };
    let script_of_gate = script("claude_code_compat_pr_gate");
    assert_eq!(script_of_gate, script("claude_code_compat_pr_gate_matrix"));
    let machine = Machine::new();
    let release = "mkdir -p ../release && echo 'echo compat 9.9.9' > ../release/compat && chmod +x ../release/compat && \
                   tar -czf ../release.tar.gz -C ../release compat && sha256sum ../release.tar.gz | cut -d ' ' -f 1";
    let digest = bash(&machine, release, &[]).await;
    digest.exits(0);
    let (digest, other) = (digest.out.trim(), "0".repeat(64));
    let program = machine.path("home/compat-release/compat");
    let found = "while [ \"$1\" != --output ]; do shift; done; cp ../release.tar.gz \"$2\"";
    let address = "https://releases.example/compat.tar.gz";
    for (archive, sha256, curl, status, said, is_used) in [
        ("", "", found, 0, "this job builds the program", false),
        (address, "", found, 1, "needs compat_sha256", false),
        (
            address,
            digest,
            "exit 22",
            0,
            "cannot be downloaded: this job builds the program",
            false,
        ),
        (
            address,
            &other,
            found,
            1,
            &format!("{address} has the digest {digest}, not that of compat_sha256"),
            false,
        ),
        (address, digest, found, 0, "compat 9.9.9", true),
    ] {
        machine.program("curl", curl);
        let variables = [("COMPAT_ARCHIVE", archive), ("COMPAT_SHA256", sha256)];
        let ran = bash(&machine, &script_of_gate, &variables).await;
        ran.exits(status);
        assert_has(&ran.out, said);
        assert_eq!(program.exists(), is_used, "{said}");
        assert_eq!(machine.path("home/.bash_env").exists(), is_used, "{said}");
    }
}

/// `ci/build-release` makes an archive that the steps of the release and of the gate accept.
#[tokio::test]
async fn the_gate_takes_the_archive_that_a_release_builds() {
    let machine = Machine::new();
    let built = "mkdir -p \"$CARGO_TARGET_DIR/$7/release\" && cd \"$CARGO_TARGET_DIR/$7/release\" && \
                 echo 'echo compat 9.9.9' > compat && chmod +x compat";
    machine.program("cargo", built);
    let target = "x86_64-unknown-linux-musl";
    let build = format!("{}/ci/build-release {target} dist", root().display());
    let folder = machine.path("target").to_str().unwrap().to_owned();
    for (kind, status) in [("dynamically linked", 1), ("static-pie linked", 0)] {
        machine.program("file", &format!("echo 'compat: ELF 64-bit, {kind}, stripped'"));
        let ran = bash(&machine, &build, &[("CARGO_TARGET_DIR", &folder)]).await;
        ran.exits(status);
    }
    bash(
        &machine,
        &script_of(RELEASE, "publish", "Check the checksums"),
        &[],
    )
    .await
    .exits(0);

    let archive = format!("compat-{target}.tar.gz");
    let sha256 = machine.read(&format!("home/dist/{archive}.sha256"));
    machine.program(
        "curl",
        &format!("while [ \"$1\" != --output ]; do shift; done; cp dist/{archive} \"$2\""),
    );
    let config = config(".circleci/config.yml");
    let steps = runs(&config["jobs"]["claude_code_compat_pr_gate"]["steps"]);
    let step = steps
        .iter()
        .find(|(name, _)| name == "Take the program of a release");
    let variables = [
        ("COMPAT_ARCHIVE", "https://releases.example/x.tar.gz"),
        ("COMPAT_SHA256", sha256.split(' ').next().unwrap()),
    ];
    let ran = bash(&machine, &step.unwrap().1, &variables).await;
    ran.exits(0);
    assert_has(&ran.out, "compat 9.9.9");
    assert_has(
        &read(root().join(".circleci/config.yml")),
        &format!("https://…/{archive}"),
    );
}

#[test]
fn a_released_program_has_no_line_tables() {
    let profile = read(root().join("Cargo.toml"));
    let (_, profile) = profile.split_once("\n[profile.release]\n").expect("the profile");
    assert_starts(profile, "debug = false\nstrip = \"debuginfo\"\n");
}

#[tokio::test]
async fn a_release_needs_a_tag_with_the_version_of_the_package() {
    let machine = Machine::new();
    let step = script_of(RELEASE, "build", "The tag is the version of the package");
    let step = format!("cd {} && {step}", root().display());
    let version = format!("v{}", env!("CARGO_PKG_VERSION"));
    bash(&machine, &step, &[("TAG", &version)]).await.exits(0);
    let other = bash(&machine, &step, &[("TAG", "v99.0.0")]).await;
    other.exits(1);
    assert_has(&other.out, "Cargo.toml has another version: version = ");
}

#[test]
fn the_gate_keeps_no_cache_of_a_released_program() {
    let config = config(".circleci/config.yml");
    let steps = config["jobs"]["claude_code_compat_pr_gate"]["steps"].clone();
    let steps = steps.as_array().unwrap();
    assert!(steps.iter().all(|step| step.get("save_cache").is_none()));
    let mut saves = steps.iter().map(|step| &step["when"]).filter(|when| {
        let steps = when["steps"].as_array();
        steps.is_some_and(|steps| steps.iter().any(|step| step.get("save_cache").is_some()))
    });
    let condition = &saves.next().expect("a step that keeps the cache")["condition"];
    assert_eq!(
        condition["equal"],
        serde_json::json!(["", "<< parameters.compat_archive >>"])
    );
    assert!(saves.next().is_none());
}

/// Runs `script` as a step of a job, in the home folder.
async fn bash(machine: &Machine, script: &str, variables: &[(&str, &str)]) -> Ran {
    let path = |name: &str| machine.path(name).to_str().unwrap().to_owned();
    let mut bash = Command::new("bash");
    bash.args(["--noprofile", "--norc", "-eo", "pipefail", "-c", script])
        .current_dir(machine.path("home"))
        .env_clear()
        .env("PATH", format!("{}:/usr/bin:/bin", path("bin")))
        .env("HOME", path("home"))
        .env("TMPDIR", path("tmp"))
        .env("BASH_ENV", path("home/.bash_env"))
        .envs(variables.iter().copied());
    Ran::of(&mut bash).await
}

#[test]
fn the_report_of_the_gate_gets_the_evidence_of_each_container() {
    let config = config(".circleci/config.yml");
    let steps = &config["jobs"]["claude_code_compat_pr_gate"]["steps"];
    let kept = steps
        .as_array()
        .unwrap()
        .iter()
        .find_map(|step| step.get("persist_to_workspace"));
    let expected = serde_json::json!(["shards", run_folders::RUNS]);
    assert_eq!(kept.expect("a step that keeps files")["paths"], expected);
    // A missing folder would fail the job.
    let is_made =
        |(_, script): &(String, String)| script.contains(&format!("$COMPAT_PROJECT/{}", run_folders::RUNS));
    assert!(runs(steps).iter().any(is_made));
}

#[test]
fn only_branches_of_the_repository_get_credentials() {
    let config = config(".circleci/config.yml");
    let jobs = config["workflows"]["claude_code_compat"]["jobs"]
        .as_array()
        .unwrap();
    let mut gates = 0;
    for job in jobs {
        // A job without parameters is only a name.
        let about = job
            .as_object()
            .map_or(&Value::Null, |job| job.values().next().unwrap());
        let is_live = about["providers"] == "live";
        assert_eq!(about.get("context").is_some(), is_live, "{job}");
        let branches = &about["filters"]["branches"]["only"];
        match is_live {
            true => assert_eq!(
                branches,
                &serde_json::json!(["litellm_internal_staging", "/litellm_.*/"])
            ),
            false => assert!(branches.is_null(), "a required check runs on every branch: {job}"),
        }
        gates += usize::from(!is_live);
    }
    assert!(gates >= 2);
}

#[test]
fn the_daily_workflow_has_three_triggers_and_few_rights() {
    let workflow = config(WORKFLOW);
    assert_eq!(workflow["on"]["schedule"][0]["cron"], "0 6 * * *");
    assert_eq!(workflow["on"]["release"]["types"][0], "published");
    assert_eq!(
        workflow["on"]["workflow_dispatch"]["inputs"]["skip_publish"]["type"],
        "boolean"
    );
    assert_eq!(workflow["permissions"], serde_json::json!({ "contents": "read" }));
    assert!(workflow["concurrency"]["group"].is_string());
    let filter = workflow["jobs"]["run"]["if"].as_str().unwrap();
    assert_has(filter, "contains(github.event.release.tag_name, '-stable')");
}

#[test]
fn every_scheduled_live_run_has_a_budget_and_limits() {
    let workflow = config(WORKFLOW);
    assert_eq!(
        workflow["env"]["MAX_COST"],
        "${{ vars.COMPAT_MAX_COST || '350' }}"
    );
    assert_eq!(workflow["env"]["LIMITS"], "${{ vars.COMPAT_LIMITS || 'any=50' }}");
    for path in [
        WORKFLOW,
        ".circleci/config.yml",
        "deploy/systemd/compat-matrix-run.service",
    ] {
        let text = read(root().join(path));
        for flag in ["--max-cost ", "--limit "] {
            assert_has(&text, flag);
        }
    }
}

#[test]
fn the_daily_workflow_passes_what_each_column_needs() {
    // The provider's public address is the default of a base, and a token of a session is for temporary keys.
    let optional = [
        "ANTHROPIC_API_BASE",
        "AWS_BEDROCK_RUNTIME_ENDPOINT",
        "AWS_SESSION_TOKEN",
        "BEDROCK_MANTLE_API_BASE",
        "VERTEXAI_API_BASE",
    ];
    let text = read(root().join("proxy_config.yaml"));
    let named = text.split("os.environ/").skip(1);
    let named: BTreeSet<&str> = named.filter_map(|rest| rest.split_whitespace().next()).collect();
    let workflow = config(WORKFLOW);
    let steps = workflow["jobs"]["run"]["steps"].as_array().unwrap();
    let step = steps.iter().find(|step| step["name"] == "Run matrix publisher");
    let passed = &step.unwrap()["env"];
    for name in named.iter().filter(|name| !optional.contains(name)) {
        let value = passed[*name].as_str().unwrap_or_default();
        assert!(value.starts_with("${{ secrets."), "{name}: {value}");
    }
    for name in optional {
        assert!(named.contains(name), "`proxy_config.yaml` has no {name}");
    }
}

#[test]
fn every_action_is_pinned_and_no_checkout_keeps_credentials() {
    for path in [WORKFLOW, ".github/workflows/ci.yml", RELEASE] {
        let workflow = config(path);
        for (_, job) in workflow["jobs"].as_object().unwrap() {
            for step in job["steps"].as_array().unwrap() {
                let Some(action) = step["uses"].as_str() else {
                    continue;
                };
                let (name, version) = action.split_once('@').unwrap();
                let is_hash = version.len() == 40 && version.chars().all(|digit| digit.is_ascii_hexdigit());
                assert!(is_hash, "{path}: {action}");
                if name == "actions/checkout" {
                    assert_eq!(step["with"]["persist-credentials"], false, "{path}");
                }
                // A release without all its programs is none.
                if name == "actions/upload-artifact" && path != RELEASE {
                    assert_eq!(step["if"], "always()", "{path}");
                }
            }
        }
    }
}

#[test]
fn the_run_job_has_no_docs_credential_and_the_other_no_claude() {
    let workflow = config(WORKFLOW);
    let run = workflow["jobs"]["run"].to_string();
    assert_lacks(&run, "APP_PRIVATE_KEY");
    assert_lacks(&run, "WEBHOOK");
    assert_has(&run, "secrets.ANTHROPIC_API_KEY");
    let publish = workflow["jobs"]["publish"].to_string();
    assert_lacks(&publish, "--gateway");
    assert_lacks(&publish, "secrets.ANTHROPIC_API_KEY");
    assert!(!workflow["env"].to_string().contains("secrets."));
}

#[test]
fn no_script_interpolates_a_value_into_its_text() {
    for job in ["run", "publish", "alarm"] {
        let workflow = config(WORKFLOW);
        for step in workflow["jobs"][job]["steps"].as_array().unwrap() {
            let script = step["run"].as_str().unwrap_or_default();
            assert!(
                !script.contains("${{"),
                "{job}: values reach scripts through the environment"
            );
        }
    }
}

#[test]
fn the_run_unit_cannot_read_the_credentials_of_the_publish_unit() {
    let unit = |name: &str| read(root().join("deploy/systemd").join(name));
    let (run, publish) = (
        unit("compat-matrix-run.service"),
        unit("compat-matrix-publish.service"),
    );
    assert_lacks(&run, "LoadCredential");
    assert_lacks(&run, "app-key");
    assert_has(&publish, "LoadCredential=app-key:");
    assert_has(&publish, "--app-key-file %d/app-key");
    assert!(run.contains("User=compat-matrix\n") && publish.contains("User=compat-matrix-publish\n"));
    for text in [&run, &publish] {
        for setting in [
            "NoNewPrivileges=yes",
            "ProtectSystem=strict",
            "CapabilityBoundingSet=\n",
        ] {
            assert!(text.contains(setting), "{setting}");
        }
    }
    assert!(unit("compat-matrix.timer").contains("OnCalendar=*-*-* 06:00:00 UTC"));
}

/// The filters that the documents give to `cargo test` after `before`: `publish::` of `cargo test --test it -- publish::`.
fn filters(before: &str) -> Vec<String> {
    let mut filters = Vec::new();
    for document in ["docs/qa.md", "docs/ci.md"] {
        let text = read(root().join(document));
        for command in text.split('`').filter_map(|code| code.strip_prefix(before)) {
            filters.extend(command.split_whitespace().map(str::to_owned));
        }
    }
    filters
}

#[test]
fn every_test_that_the_documents_name_exists() {
    let mut this = std::process::Command::new(std::env::current_exe().unwrap());
    let listed = this.arg("--list").output().unwrap();
    let tests = String::from_utf8(listed.stdout).unwrap();
    let filters_of_this = filters("cargo test --test it -- ");
    assert!(filters_of_this.len() > 20, "{filters_of_this:?}");
    for filter in filters_of_this {
        assert!(
            tests.lines().any(|test| test.contains(&filter)),
            "no test is called `{filter}`"
        );
    }
    for filter in filters("cargo test --lib ") {
        let module = root().join("src").join(filter.replace("::", "/"));
        assert!(
            module.is_dir() || module.with_extension("rs").is_file(),
            "no module `{filter}`"
        );
    }
}
