//! `compat publish` from end to end, against a real git server: versions, gateway, harness, matrix, docs repository.

use serde_json::Value;

use crate::support::MATRIX;
use crate::support::files::read;
use crate::support::hub::{Fault, HISTORY_PATH, Hub, MATRIX_PATH, REPOSITORY};
use crate::support::machine::{CLAUDE, Machine, WEBHOOK_CANARY, fail, real_git};
use crate::support::ran::Ran;
use crate::support::registry;
use crate::support::root;
use crate::support::text::{assert_has, assert_lacks};

#[tokio::test]
async fn the_daily_run_publishes_one_file_and_then_nothing() {
    let (hub, registry, machine) = (Hub::start().await, registry::start(CLAUDE).await, Machine::new());

    let ran = Ran::of(&mut machine.publish_all(&hub, &registry)).await;

    ran.exits(0);
    for line in [
        "compat publish: resolve LiteLLM: selected LiteLLM v1.83.0-stable",
        "compat publish: resolve Claude Code: selected @anthropic-ai/claude-code@2.1.327",
        "compat publish: gateway: pulling ghcr.io/berriai/litellm:v1.83.0-stable",
        "compat publish: gateway: pulled ghcr.io/berriai/litellm@sha256:0123; its signature is not verified",
        "compat publish: gateway: LiteLLM v1.83.0-stable answers at http://127.0.0.1:",
        "compat publish: install Claude Code: ",
        "compat publish: run: 90 trials finished",
        "compat publish: build: 30 cells, 0 of them red",
        "compat publish: validate: the matrix may be published",
        "compat publish: done: published as commit ",
    ] {
        ran.err_has(line);
    }
    assert_eq!(hub.changed("main"), [MATRIX_PATH]);
    assert_eq!(
        hub.git(&["log", "-1", "--format=%B", "main"]),
        "Update Claude Code compatibility matrix\n\nlitellm_version: v1.83.0-stable\nclaude_code_version: 2.1.327\n\
         generated_at: 2026-11-21T09:00:00Z"
    );
    assert_eq!(
        hub.git(&["log", "-1", "--format=%an|%cn|%P", "main"]),
        format!(
            "litellm-compat-matrix-bot|litellm-compat-matrix-bot|{}",
            hub.git(&["rev-parse", "main~1"])
        )
    );
    let published: Value = serde_json::from_str(&hub.file("main", MATRIX_PATH)).unwrap();
    assert_eq!(published["litellm_version"], "v1.83.0-stable");
    assert_eq!(
        machine.read("output/compatibility-matrix.json").trim(),
        hub.file("main", MATRIX_PATH)
    );

    machine.results(|results| results["run"]["written_at"] = "2026-11-22T09:00:00Z".into());
    let again = Ran::of(&mut machine.publish_all(&hub, &registry)).await;

    again.exits(0);
    again.err_has("matrix JSON unchanged; skipping push");
    assert_eq!(hub.commits("main"), 2);
}

#[tokio::test]
async fn the_token_is_only_for_the_docs_repository_s_contents() {
    let (hub, machine) = (Hub::start().await, Machine::new());

    let ran = machine.publishes(&hub, &[]).await;

    ran.exits(0);
    let bodies = hub.state().mint_bodies.clone();
    assert_eq!(
        bodies,
        [serde_json::json!({ "repositories": ["litellm-docs"], "permissions": { "contents": "write" } })]
    );
}

#[tokio::test]
async fn a_token_with_more_permissions_is_not_used() {
    let (hub, machine) = (Hub::start().await, Machine::new());
    hub.state().extra_permission = Some("administration");

    let ran = machine.publishes(&hub, &[]).await;

    ran.exits(1);
    ran.err_has("administration: write");
    ran.err_has("it is not used");
    assert_eq!(hub.commits("main"), 1);
}

#[tokio::test]
async fn the_error_for_an_unknown_app_says_what_to_do() {
    let (hub, machine) = (Hub::start().await, Machine::new());
    let mut command = machine.publish_results(&hub);
    machine.write("app-key.pem", &hub.key_of_another_app());

    let ran = Ran::of(&mut command).await;

    ran.exits(1);
    ran.err_has("A JSON web token could not be decoded");
    ran.err_has("is this machine's clock right?");
    let mut command = machine.publish_results(&hub);
    machine.write("app-key.pem", "no key\n");
    let ran = Ran::of(&mut command).await;
    ran.err_has("the App's private key is no RSA key in PEM");
}

#[tokio::test]
async fn no_child_inherits_a_token_from_a_descriptor() {
    let (hub, machine) = (Hub::start().await, Machine::new());
    hub.state().tokens.push("ghs_canaryTOKEN".to_owned());
    let token = machine.write("token", "ghs_canaryTOKEN\n");
    machine.program(
        "git",
        &format!(
            "if [ -e /proc/$$/fd/3 ]; then echo inherited >>\"$file\"; fi\n{}",
            real_git()
        ),
    );
    let mut shell = tokio::process::Command::new("/bin/sh");
    let publish = machine.publish(&hub);
    let arguments: Vec<_> = publish.as_std().get_args().map(ToOwned::to_owned).collect();
    shell
        .env_clear()
        .envs(
            publish
                .as_std()
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        )
        .arg("-c")
        .arg(format!("exec \"$0\" \"$@\" 3<{token}"))
        .arg(env!("CARGO_BIN_EXE_compat"))
        .args(arguments)
        .arg("--results")
        .arg(machine.path("results.json"))
        .args(["--litellm-version", "v1.83.0-stable", "--token-fd", "3"]);

    let ran = Ran::of(&mut shell).await;

    ran.exits(0);
    assert_eq!(hub.commits("main"), 2);
    assert!(!machine.seen("git").contains("inherited"));
    assert!(!machine.seen("").contains("canaryTOKEN"));
}

#[tokio::test]
async fn skip_publish_mints_a_token_but_pushes_nothing() {
    let (hub, registry, machine) = (Hub::start().await, registry::start(CLAUDE).await, Machine::new());

    let ran = Ran::of(machine.publish_all(&hub, &registry).arg("--skip-publish")).await;

    ran.exits(0);
    ran.err_has("skip-publish: not pushing to docs repo");
    ran.err_has(&format!("minted a token for {REPOSITORY}, contents: write"));
    assert!(!hub.state().calls.iter().any(|call| call.contains(".git/")));
    for name in [
        "compat-results.json",
        "compatibility-matrix.json",
        "versions.json",
    ] {
        assert!(machine.path("output").join(name).is_file(), "{name}");
    }

    // The second half, on another machine, with the versions file of the first.
    let mut second = machine.publish(&hub);
    second
        .arg("--results")
        .arg(machine.path("output/compat-results.json"))
        .args(machine.app(&hub));
    let ran = Ran::of(&mut second).await;
    ran.exits(0);
    assert!(
        hub.file("main", MATRIX_PATH)
            .contains("\"litellm_version\": \"v1.83.0-stable\"")
    );
}

#[tokio::test]
async fn a_dry_run_prints_the_plan_and_pushes_nothing() {
    let (hub, machine) = (Hub::start().await, Machine::new());
    hub.put("main", MATRIX_PATH, MATRIX);
    let before = hub.head("main");
    machine.results(|results| fail(results, 0, "gateway"));

    let ran = machine.publishes(&hub, &["--dry-run"]).await;

    ran.exits(0);
    let plan: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(plan["action"], "commit");
    assert_eq!(plan["base"], before);
    assert_eq!(plan["files"][0]["path"], MATRIX_PATH);
    assert_eq!(plan["diff"]["changes"][0]["kind"], "regression");
    assert!(
        plan["message"]
            .as_str()
            .unwrap()
            .starts_with("Update Claude Code compatibility matrix\n")
    );
    assert_eq!(hub.head("main"), before);

    machine.results(|results| results["run"]["behind"] = "simulated".into());
    let ran = machine.publishes(&hub, &["--dry-run"]).await;
    ran.exits(4);
    let plan: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(plan["action"], "refuse");
    assert_eq!(plan["refusals"][0]["rule"], "simulated");
}

#[tokio::test]
async fn an_unchanged_matrix_is_published_again_after_some_days() {
    let (hub, machine) = (Hub::start().await, Machine::new());
    machine.publishes(&hub, &[]).await;
    machine.results(|results| results["run"]["written_at"] = "2026-11-28T09:00:00Z".into());

    let ran = machine.publishes(&hub, &["--refresh-after", "8d"]).await;
    ran.err_has("matrix JSON unchanged; skipping push");

    let ran = machine.publishes(&hub, &["--refresh-after", "6d"]).await;
    ran.exits(0);
    assert!(hub.file("main", MATRIX_PATH).contains("2026-11-28T09:00:00Z"));
}

#[tokio::test]
async fn a_version_history_is_published_beside_the_matrix() {
    let (hub, machine) = (Hub::start().await, Machine::new());
    let text = read(root().join("docs/site").join(HISTORY_PATH));
    let given = machine.write("history.json", &text);
    let publish = async |arguments: &[&str]| {
        let ran = machine.publishes(&hub, arguments).await;
        ran.exits(0);
        ran
    };
    publish(&["--version-history", &given]).await;
    assert_eq!(hub.changed("main"), [MATRIX_PATH, HISTORY_PATH]);
    assert_eq!(hub.file("main", HISTORY_PATH), text.trim());
    let again = publish(&["--version-history", &given]).await;
    again.err_has("matrix JSON unchanged; skipping push");

    // A run without a history leaves the published one.
    machine.results(|results| fail(results, 0, "gateway"));
    publish(&[]).await;
    assert_eq!(hub.changed("main"), [MATRIX_PATH]);
    assert_eq!(hub.file("main", HISTORY_PATH), text.trim());

    machine.write("history.json", &text.replace("1.104.2", "1.104.1"));
    publish(&["--version-history", &given]).await;
    assert_eq!(hub.changed("main"), [HISTORY_PATH]);
}

#[tokio::test]
async fn a_broken_version_history_is_refused() {
    let (hub, machine) = (Hub::start().await, Machine::new());
    let whole: Value = serde_json::from_str(&read(root().join("docs/site").join(HISTORY_PATH))).unwrap();
    let broken = |change: fn(&mut Value)| {
        let mut history = whole.clone();
        change(&mut history);
        history.to_string()
    };
    let given = machine.path("history.json").to_str().unwrap().to_owned();
    let arguments = ["--version-history", given.as_str()];
    let missing = machine.publishes(&hub, &arguments).await;
    missing.exits(1);
    missing.err_has("cannot read the version history `");
    for (text, what) in [
        ("{".to_owned(), "EOF while parsing an object at line 1 column 1"),
        (
            broken(|history| history["tool"] = 1.into()),
            "/tool: 1 is not of type \"string\"",
        ),
        (
            broken(|history| history["cells"][2]["signs"] = serde_json::json!(["✓"])),
            "/cells/2/signs: 1 entries, expected 3, one for each version",
        ),
    ] {
        machine.write("history.json", &text);
        let ran = machine.publishes(&hub, &arguments).await;
        ran.exits(4);
        ran.err_has(&format!(
            "refused: `version-history.json` does not follow its schema: {what}"
        ));
    }
    assert_eq!(hub.commits("main"), 1);
}

#[tokio::test]
async fn a_pull_request_without_regressions_gets_auto_merge() {
    let branch = "automation/compatibility-matrix";
    let (hub, machine) = (Hub::start().await, Machine::new());
    hub.put("main", MATRIX_PATH, MATRIX);
    let main = hub.head("main");

    let ran = machine.publishes(&hub, &["--via-pr"]).await;

    ran.exits(0);
    ran.err_has("proposed as https://github.example/pull/7, which merges automatically");
    assert_eq!(hub.head("main"), main);
    assert_eq!(hub.changed(branch), [MATRIX_PATH]);
    assert!(!hub.state().pull_request.as_ref().unwrap()["auto_merge"].is_null());
    assert_eq!(
        hub.state().mint_bodies[0]["permissions"],
        serde_json::json!({ "contents": "write", "pull_requests": "write" })
    );

    // The docs change, and the next day there is a regression.
    hub.put("main", "docs/news.md", "news\n");
    machine.results(|results| {
        results["run"]["written_at"] = "2026-11-22T09:00:00Z".into();
        fail(results, 0, "gateway");
    });
    hub.state().calls.clear();
    let ran = machine.publishes(&hub, &["--via-pr"]).await;

    ran.exits(0);
    ran.err_has("which needs a manual merge");
    let open = hub.state().pull_request.clone().unwrap();
    assert!(open["auto_merge"].is_null());
    assert!(open["body"].as_str().unwrap().contains("1 regression"), "{open}");
    assert_eq!(hub.git(&["diff", "--name-only", "main", branch]), MATRIX_PATH);
    let calls = hub.state().calls.clone();
    let position = |part: &str| calls.iter().position(|call| call.contains(part)).unwrap();
    assert!(
        position("disablePullRequestAutoMerge") < position("POST /BerriAI/litellm-docs.git/git-receive-pack"),
        "a pull request with auto-merge must not get a regression: {calls:?}"
    );
}

#[tokio::test]
async fn a_pull_request_is_closed_once_the_docs_have_its_matrix() {
    let (hub, machine) = (Hub::start().await, Machine::new());
    hub.put("main", MATRIX_PATH, &machine.matrix());
    let via_pr = || machine.publishes(&hub, &["--via-pr"]);
    machine.results(|results| {
        results["run"]["written_at"] = "2026-11-22T09:00:00Z".into();
        fail(results, 0, "gateway");
    });
    via_pr().await;
    assert!(hub.state().pull_request.is_some());

    machine.results(|results| results["run"]["written_at"] = "2026-11-23T09:00:00Z".into());
    let ran = via_pr().await;

    ran.exits(0);
    ran.err_has("closed https://github.example/pull/7");
    ran.err_has("matrix JSON unchanged; skipping push");
    assert!(hub.state().pull_request.is_none());
}

#[tokio::test]
async fn without_auto_merge_a_pull_request_needs_a_manual_merge() {
    let (hub, machine) = (Hub::start().await, Machine::new());
    hub.state().fault = Fault::NoAutoMerge;

    let ran = machine.publishes(&hub, &["--via-pr"]).await;

    ran.exits(0);
    ran.err_has("Auto merge is not allowed for this repository");
    ran.err_has("which needs a manual merge");
    assert!(hub.state().pull_request.is_some());
}

#[tokio::test]
async fn a_pull_request_needs_another_branch() {
    let (hub, machine) = (Hub::start().await, Machine::new());
    let ran = machine
        .publishes(&hub, &["--via-pr", "--pr-branch", "main"])
        .await;
    ran.exits(1);
    ran.err_has("`--pr-branch` is the same as `--branch`");
}

#[tokio::test]
async fn a_webhook_gets_only_regressions_fixes_and_failures() {
    let (hub, machine) = (Hub::start().await, Machine::new());
    let address = machine.write("webhook", &format!("{}/hook/{WEBHOOK_CANARY}\n", hub.address));
    let publish = |day: u8| {
        let mut command = machine.publish_results(&hub);
        command.args(["--webhook-file", &address]);
        (command, format!("2026-12-0{day}T09:00:00Z"))
    };

    let (mut command, time) = publish(1);
    machine.results(|results| results["run"]["written_at"] = time.into());
    Ran::of(&mut command).await;
    assert!(
        hub.state().messages.is_empty(),
        "the first matrix needs no message"
    );

    let (mut command, time) = publish(2);
    machine.results(|results| {
        results["run"]["written_at"] = time.into();
        fail(results, 0, "gateway");
    });
    Ran::of(&mut command).await;
    let text = hub.message();
    assert!(
        text.contains(":red_circle: Basic messaging (non-streaming) on anthropic: pass → fail (gateway)")
            || text.contains("on anthropic: pass →"),
        "{text}"
    );

    let (mut command, time) = publish(3);
    machine.results(|results| results["run"]["written_at"] = time.into());
    Ran::of(&mut command).await;
    let text = hub.message();
    assert_has(&text, ":large_green_circle:");

    let (mut command, time) = publish(4);
    machine.results(|results| {
        results["run"]["written_at"] = time.into();
        fail(results, 0, "account");
    });
    let ran = Ran::of(&mut command).await;
    ran.exits(4);
    let text = hub.message();
    assert_has(&text, "the published matrix stays");
    assert_has(&text, "account (1)");
}

/// The signature of an image is checked by its digest, where `cosign` is installed.
#[tokio::test]
async fn an_image_with_a_wrong_signature_is_not_started() {
    let (hub, registry, machine) = (Hub::start().await, registry::start(CLAUDE).await, Machine::new());
    let daily = async |script: &str| {
        machine.program("cosign", script);
        Ran::of(&mut machine.publish_all(&hub, &registry)).await
    };
    let verify = "[ \"$1 $2 $4\" = \"verify --key ghcr.io/berriai/litellm@sha256:0123\" ] || exit 1";
    for (script, said) in [
        (verify, "its signature is LiteLLM's"),
        ("exit 10", "it has no signature"),
    ] {
        let ran = daily(script).await;
        ran.exits(0);
        ran.err_has(said);
    }
    let refused = daily("echo 'no matching signatures' >&2; exit 12").await;
    refused.err_has(
        "the signature of `ghcr.io/berriai/litellm@sha256:0123` is not LiteLLM's: no matching signatures",
    );
    refused.err_lacks("LiteLLM v1.83.0-stable answers");
    assert_eq!(machine.containers(), Vec::<String>::new());
}

#[tokio::test]
async fn the_budget_and_the_limits_reach_the_run() {
    let (hub, registry, machine) = (Hub::start().await, registry::start(CLAUDE).await, Machine::new());
    machine.program("harness", "echo \"harness: $*\"; exit 2");
    let publish = async |flags: &[&str]| Ran::of(machine.publish_all(&hub, &registry).args(flags)).await;
    let flags = [
        "--max-cost",
        "12.50",
        "--limit",
        "any=50",
        "--limit",
        "azure=5/900",
    ];
    let limited = publish(&flags).await;
    limited.err_has("--max-cost 12.5 --limit any=50 --limit azure=5/900");
    let free = publish(&[]).await;
    free.err_has("harness: ");
    free.err_lacks("--max-cost");
    for (wrong, expected) in [
        (["--max-cost", "-5"], "`-5` is no sum of US dollars"),
        (["--limit", "any"], "expected `NAME=REQUESTS`"),
    ] {
        let refused = publish(&wrong).await;
        refused.exits(2);
        refused.err_has(expected);
        refused.err_lacks("harness: ");
    }
}

/// Each setting that no other test sets, at another value than its default.
#[tokio::test]
async fn every_setting_of_the_daily_run_has_its_effect() {
    let (hub, registry, machine) = (Hub::start().await, registry::start(CLAUDE).await, Machine::new());
    hub.put("next", "README.md", "the next docs\n");
    let history = read(root().join("docs/site").join(HISTORY_PATH));
    let history = machine.write("history.json", &history);
    let settings = [
        ["--pattern", "v1.9.*-stable"],
        ["--litellm-repository", "BerriAI/litellm-fork"],
        ["--claude-code-version", registry::VERSION],
        ["--image", "example.org/litellm:{tag}-slim"],
        ["--require-isolation", "process"],
        ["--branch", "next"],
        ["--path", "data/matrix.json"],
        ["--details-path", "data/details.json"],
        ["--version-history", &history],
        ["--version-history-path", "data/history.json"],
        ["--author", "Another Bot <bot@example.org>"],
        ["--installation-id", "77"],
    ];
    machine.results(|results| {
        results["run"]["gateway"]["version"] = "1.9.5".into();
        results["run"]["isolation"] = "process".into();
    });
    let mut command = machine.publish_all(&hub, &registry);

    let ran = Ran::of(command.args(settings.concat()).arg("--record")).await;

    ran.exits(0);
    for line in [
        "resolve LiteLLM: selected LiteLLM v1.9.5-stable",
        "resolve Claude Code: @anthropic-ai/claude-code 2.1.327, as given",
        "pulling example.org/litellm:v1.9.5-stable-slim",
    ] {
        ran.err_has(line);
    }
    let arguments = machine.arguments("harness");
    assert_has(&arguments, "--require-isolation\nprocess\n");
    assert_has(&arguments, "--record\n");
    assert_eq!(
        hub.changed("next"),
        ["data/details.json", "data/history.json", "data/matrix.json"]
    );
    assert_eq!((hub.commits("next"), hub.commits("main")), (2, 1));
    let author = hub.git(&["log", "-1", "--format=%an <%ae>", "next"]);
    assert_eq!(author, "Another Bot <bot@example.org>");
    let calls = hub.state().calls.join("\n");
    assert_has(&calls, "/repos/BerriAI/litellm-fork/releases");
    assert_lacks(&calls, "/installation\n");

    // The App asks for the installation of this repository, which the hub does not have.
    machine.results(|results| results["run"]["gateway"]["version"] = "1.84.0".into());
    let other = ["--repository", "BerriAI/other", "--channel", "final"];
    let refused = Ran::of(machine.publish_all(&hub, &registry).args(other)).await;
    refused.exits(1);
    refused.err_has("selected LiteLLM v1.84.0");
    assert_has(&hub.state().calls.join("\n"), "/repos/BerriAI/other/installation");
}

/// Claude Code of the last three days runs in the whole cage only.
#[tokio::test]
async fn a_young_claude_code_demands_the_full_isolation_level() {
    let (hub, machine) = (Hub::start().await, Machine::new());
    let demanded = async |published: chrono::DateTime<chrono::Utc>| {
        let registry = registry::start_published(CLAUDE, published).await;
        machine.program("harness", "echo \"harness: $*\"; exit 2");
        Ran::of(&mut machine.publish_all(&hub, &registry)).await
    };
    let now = chrono::Utc::now();
    let young = demanded(now - chrono::TimeDelta::hours(71)).await;
    young.err_has("is 2 d 23 h old, younger than 3 d: it runs only at isolation level `full`");
    young.err_has("--require-isolation full");
    let old = demanded(now - chrono::TimeDelta::hours(73)).await;
    old.err_lacks("younger than");
    old.err_has("--require-isolation none");
}
