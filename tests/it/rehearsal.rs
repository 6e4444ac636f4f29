//! A live run, rehearsed with a provider that answers like a model: its mark, its money, what it leaves out.

use compat_matrix::env;
use compat_matrix::evidence::Behind;
use compat_matrix::provider::{LiveOptions, Simulator, SimulatorOptions, Unscripted};
use serde_json::{Value, json};

use crate::support::files::Folder;
use crate::support::root;
use crate::support::small_project::Small;
use crate::support::text::assert_has;

/// A project that is attached, as in a live run, to a simulator that answers like a model.
async fn rehearsal(simulator: &Simulator) -> Small {
    let mut small = Small::attached(simulator);
    small.set(env::COMPAT_PROVIDER_URL, "");
    small.write(
        "prices.yaml",
        "as_of: '2026-11-27'\nsource: https://example.com\nmodels:\n  claude-haiku-4-5: { input: 1, cache_write: 1, \
         cache_read: 1, output: 5 }\n  claude-opus-4-7: { input: 5, cache_write: 6, cache_read: 1, output: 25 }\n",
    );
    small
}

async fn like_a_model() -> Simulator {
    Simulator::start(SimulatorOptions {
        unscripted: Unscripted::AsLive(LiveOptions::default()),
        ..SimulatorOptions::default()
    })
    .await
    .expect("the simulator starts")
}

#[tokio::test]
async fn a_rehearsal_of_a_live_run_is_never_live() {
    let simulator = like_a_model().await;
    let small = rehearsal(&simulator).await;
    let ran = small
        .run(&["text", "--no-preflight", "--limit", "any=6000"])
        .await;
    ran.err_has("rehearsal: a simulator that answers like a model stands behind the gateway");
    ran.err_has("estimate: US$ ");
    ran.err_has("spent: US$ ");
    let run = small.results().run;
    assert!(run.rehearsal);
    assert_eq!(run.behind, Behind::Simulated);
    let spent = run.spent.expect("a live run counts its cost");
    assert_eq!(spent.by_provider.len(), 1, "{spent}");
    assert_has(&small.read("test-results/junit.xml"), "spent_usd.anthropic");
}

#[tokio::test]
async fn a_budget_that_is_too_small_starts_nothing() {
    let simulator = like_a_model().await;
    let small = rehearsal(&simulator).await;
    let ran = small.run(&["text", "--max-cost", "0.01"]).await;
    ran.exits(102);
    ran.err_has("2 trials did not start; `--rerun-failed` goes on");
    let run = small.results().run;
    assert_eq!((run.complete, run.unfinished.len()), (false, 2));
    small
        .run(&["--list", "--rerun-failed"])
        .await
        .out_has("text::anthropic::", 2);
    // The preflight shows that this is a rehearsal too.
    let again = small.run(&["text", "--rerun-failed"]).await;
    assert!(!again.err.contains("`behind` was"), "{}", again.err);
    assert_eq!(small.results().run.unfinished.len(), 0, "{}", again.err);
    assert!(small.results().run.rehearsal);
    for (flags, expected) in [
        (["--max-cost", "0"], "`0` is no sum of US dollars"),
        (["--max-cost", "-5"], "`-5` is no sum of US dollars"),
        (["--header", "CANARYabc"], "a header has the form `NAME: VALUE`"),
        (
            ["--header", "x-a: CANARYé"],
            "the value of `x-a` is empty, or has a character that no header may have",
        ),
        (
            ["--header", "Host: x"],
            "`--header`: `Host` cannot be set: the connection and the body decide its value",
        ),
        (["--limit", "anthropic"], "expected `NAME=REQUESTS`"),
        (["--limit", "azur=5"], "the manifest has no provider `azur`"),
    ] {
        let ran = small.run(&flags).await;
        ran.exits(2);
        ran.err_has(expected);
        assert!(
            !ran.err.contains("CANARY"),
            "a header may be a credential: {}",
            ran.err
        );
    }
    let table = small.read("prices.yaml");
    let without_opus = table.split("  claude-opus").next().expect("a table");
    small.write("prices.yaml", without_opus);
    let checked = small.compat(&["check"]).await;
    checked.exits(0);
    for part in [
        "prices.yaml:3:",
        "there is no price of `claude-opus-4-7`, the model of a tier",
        "allowed: `claude-opus-4-7: { input: …",
    ] {
        checked.out_has(part, 1);
    }
    let unpriced = small.run(&["text", "--no-preflight"]).await;
    unpriced.err_has("; without 1 trial of `claude-opus-4-7`, of which `prices.yaml` has no price");
    let refused = small.run(&["text", "--max-cost", "5"]).await;
    refused.exits(2);
    refused.err_has("`prices.yaml` has no price of `claude-opus-4-7`, so `--max-cost` cannot be kept");
    std::fs::remove_file(small.path("prices.yaml")).unwrap();
    let unpriced = small.run(&["text", "--no-preflight"]).await;
    unpriced.err_has("estimate: none, because there is no `prices.yaml`");
    unpriced.err_has("spent: US$ ");
    let refused = small.run(&["text", "--max-cost", "5"]).await;
    refused.exits(2);
    refused.err_has("`--max-cost` needs the prices of `prices.yaml`, and there is no such file");
    small.write("prices.yaml", "as_of: yesterday\n");
    small.run(&["text"]).await.err_has("prices.yaml:1:");
    let simulated = Small::new().run(&["text", "--max-cost", "5"]).await;
    simulated.exits(2);
    simulated.err_has("`--max-cost` is for a live run");
}

#[tokio::test]
async fn a_budget_ends_a_run_with_a_baseline_too() {
    let simulator = like_a_model().await;
    let small = rehearsal(&simulator).await;
    small.write(
        "matrix.json",
        r#"{"schema_version": "1", "generated_at": "2026-11-21T09:00:00Z", "litellm_version": "v1.83.0-stable",
            "claude_code_version": "2.1.326", "providers": ["anthropic", "azure"], "features": [{"id": "text", "name": "Text",
            "providers": {"anthropic": {"status": "pass"}, "azure": {"status": "not_applicable", "reason": "none"}}}]}"#,
    );
    let flags = ["text", "--max-cost", "0.01", "--baseline", "matrix.json"];
    let ran = small.run(&flags).await;
    ran.exits(102);
    ran.err_has("2 trials did not start");
}

#[tokio::test]
async fn a_live_run_leaves_out_what_needs_a_script() {
    let simulator = like_a_model().await;
    let small = rehearsal(&simulator).await;
    let cell = small.read("cells/text/_shared.yaml");
    let reason = "needs_script: No prompt makes a provider do this.\n";
    small.write("cells/text/_shared.yaml", &format!("{reason}{cell}"));
    let ran = small.run(&["text", "words"]).await;
    ran.err_has("this live run leaves out 2 trials: ");
    let results = small.results();
    assert!(
        results
            .results
            .iter()
            .all(|trial| trial.feature_id.as_str() == "words" || trial.provider.as_str() == "azure")
    );
    let left_out = serde_json::to_value(&results.run.left_out).unwrap();
    let why = "A live run does not test this. No prompt makes a provider do this.";
    assert_eq!(left_out, serde_json::json!({ "text": { "anthropic": why } }));
}

#[tokio::test]
async fn a_rerun_adds_its_cost_to_that_of_the_run() {
    let simulator = like_a_model().await;
    let small = rehearsal(&simulator).await;
    let spent = || small.results().run.spent.expect("a live run counts its cost").usd;
    small.run(&["words", "--no-preflight"]).await.exits(101);
    let first = spent();
    assert!(first > 0.0, "{first}");
    small
        .run(&["words", "--no-preflight", "--rerun-failed"])
        .await
        .exits(101);
    assert!(
        (spent() - 2.0 * first).abs() < first / 2.0,
        "{first} and {}",
        spent()
    );
}

#[test]
fn refusals_of_a_seed_explain_a_red_trial() {
    const SAID: &str = "I would rather not use the tool Bash for this. Tell me if I should go on.";
    let folder = Folder::new();
    let attempt = |cause: &str| json!({"duration_ms": 1, "failure": {"cause": cause}});
    let red = |name: &str, attempts: &[&str]| {
        let attempts: Vec<Value> = attempts.iter().map(|cause| attempt(cause)).collect();
        let last = format!("runs/{name}/attempt-{}", attempts.len());
        json!({"nodeid": name, "result": {"status": "fail"}, "attempts": attempts, "evidence": last})
    };
    let explained = |trials: &[Value], log: &str| {
        let results = json!({"run": {"complete": true}, "results": trials});
        folder.write("results.json", &results.to_string());
        folder.write("serve.log", log);
        let mut command = std::process::Command::new(root().join("ci/explain-refusals"));
        let ran = command
            .args(["results.json", "serve.log"])
            .current_dir(folder.root());
        let ran = ran.output().expect("it runs");
        (
            ran.status.code(),
            String::from_utf8_lossy(&ran.stdout).into_owned(),
        )
    };
    let refused = red("a::anthropic::haiku", &["assertion", "rate_limit", "assertion"]);
    let green = json!({"nodeid": "b::anthropic::haiku", "result": {"status": "pass"}});
    for attempt in ["", "attempt-3/"] {
        folder.write(
            &format!("runs/a::anthropic::haiku/{attempt}transcript.jsonl"),
            SAID,
        );
    }
    let twice = "built-in reply, refuses Bash (declared) (m)\n".repeat(2);
    let (status, said) = explained(&[refused.clone(), green.clone()], &twice);
    assert_eq!(
        said,
        "explained, not failed: a::anthropic::haiku: the provider refused Bash, then Bash (declared)\n"
    );
    assert_eq!(status, Some(0));
    // The second attempt of `c` said something else, and the log declares one refusal only.
    let other = red("c::anthropic::haiku", &["assertion", "assertion"]);
    folder.write("runs/c::anthropic::haiku/transcript.jsonl", SAID);
    folder.write("runs/c::anthropic::haiku/attempt-2/transcript.jsonl", "Done.");
    assert_eq!(explained(&[refused.clone(), other], &twice.repeat(2)).0, Some(1));
    assert_eq!(explained(&[refused], &twice[..twice.len() / 2]).0, Some(1));
    assert_eq!(
        explained(&[green], &twice).0,
        Some(1),
        "the run failed for another reason"
    );
}
