//! The results that `compat publish` refuses, and its messages.

use compat_matrix::files::Project;
use compat_matrix::findings::KnownFindings;
use compat_matrix::isolation::IsolationLevel;
use compat_matrix::matrix::ManifestView;
use compat_matrix::matrix::builder::Stamp;
use compat_matrix::plan::selection::Axes;
use compat_matrix::publish::gate::{self, GateDecision, GateRules};
use compat_matrix::results::Results;
use serde_json::{Value, json};

use crate::support::MATRIX;
use crate::support::evidence::gateway_file;
use crate::support::files::files_below;
use crate::support::hub::{Hub, MATRIX_PATH};
use crate::support::machine::{Machine, fail, results};
use crate::support::project::{copy_of_this_project, manifest_of_v0};
use crate::support::ran::Ran;
use crate::support::root;
use crate::support::text::{assert_has, assert_lacks};

type Change = fn(&mut Value);

/// Publishes the results after `change`; returns the exit status and the log.
async fn publish(hub: &Hub, arguments: &[&str], change: impl FnOnce(&mut Value)) -> (Option<i32>, String) {
    let machine = Machine::new();
    machine.results(change);
    let ran = machine.publishes(hub, arguments).await;
    (ran.status, ran.err)
}

/// The gate's decision about the results after `change`.
fn decided(change: impl FnOnce(&mut Value)) -> GateDecision {
    decided_at(IsolationLevel::None, 0, &results(change))
}

/// The gate's decision about `results` if it requires the level `isolation`, and `scripted` trials need their own replies.
fn decided_at(isolation: IsolationLevel, scripted: usize, results: &str) -> GateDecision {
    let results = Results::parse(results).unwrap();
    let project = Project::open(root()).unwrap();
    let stamp = Stamp::new(&results, Some("v1.83.0-stable".into()), None, None).unwrap();
    let v0 = Axes {
        matrix: Some("v0".to_owned()),
        ..Axes::default()
    };
    let rules = GateRules {
        stamp: &stamp,
        trials: v0.in_scope(&project.manifest, project.trials()).len(),
        scripted,
        applicable: &project.applicable_trials(),
        known: &KnownFindings::NONE,
        allow_inconclusive: false,
        isolation,
    };
    gate::decide(
        &ManifestView::of_part(&project.manifest, Some("v0")),
        &results,
        rules,
    )
    .unwrap()
}

/// The refusals of the results after `change`.
fn refusals(change: impl FnOnce(&mut Value)) -> Vec<String> {
    decided(change).refusals.iter().map(ToString::to_string).collect()
}

#[test]
fn an_incomplete_or_simulated_run_is_refused() {
    let cases: [(&str, Change); 8] = [
        (
            "Claude Code called the gateway in another API (`--client-format provider`)",
            |results| results["run"]["client_format"] = "provider".into(),
        ),
        ("the run used a provider simulator", |results| {
            results["run"]["behind"] = "simulated".into();
        }),
        (
            "the run selected 89 of the 90 trials that a live run can have",
            |results| {
                results["results"].as_array_mut().unwrap().pop();
                results["run"]["selected"] = 89.into();
            },
        ),
        (
            "the run selected 89 of the 90 trials that a live run can have",
            |results| {
                // The results claim that the project has no more trials.
                results["results"].as_array_mut().unwrap().pop();
                results["run"]["selected"] = 89.into();
                results["run"]["trials"] = 89.into();
            },
        ),
        ("the run is incomplete: 89 of 90 trials finished", |results| {
            results["results"].as_array_mut().unwrap().pop();
            results["run"]["complete"] = false.into();
        }),
        (
            "the session could not start: the gateway did not answer",
            |results| {
                fail(results, 0, "harness");
                results["results"][0]["mismatches"] = json!([{
                    "expectation": "session", "summary": "the session could not be started", "expected": "a gateway",
                    "actual": "the gateway did not answer",
                }]);
            },
        ),
        (
            "the matrix would name LiteLLM v1.83.0-stable, but 1.82.9 ran",
            |results| {
                results["run"]["gateway"]["version"] = "1.82.9".into();
            },
        ),
        ("no cell passed or failed", |results| {
            for entry in results["results"].as_array_mut().unwrap() {
                entry["result"] = json!({ "status": "not_applicable", "reason": "r" });
            }
        }),
    ];
    assert_eq!(refusals(|_| ()), Vec::<String>::new());
    for (why, change) in cases {
        let refusals = refusals(change);
        assert!(
            refusals.iter().any(|refusal| refusal.starts_with(why)),
            "no `{why}` in {refusals:?}"
        );
    }
}

#[test]
fn a_live_run_need_not_have_the_trials_that_need_a_script() {
    let without = |left_out: usize| {
        let results = results(|results| {
            let trials = results["results"].as_array_mut().unwrap();
            trials.truncate(trials.len() - left_out);
            results["run"]["selected"] = trials.len().into();
        });
        let refusals = decided_at(IsolationLevel::None, 3, &results).refusals;
        refusals.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(without(3), Vec::<String>::new());
    let refusals = without(4).concat();
    assert_has(
        &refusals,
        "the run selected 86 of the 87 trials that a live run can have",
    );
}

#[test]
fn red_cells_of_other_causes_are_refused() {
    for cause in ["account", "auth", "config", "rate_limit", "upstream", "harness"] {
        let refusals = refusals(|results| fail(results, 0, cause));
        let why = format!(
            "1 trial failed for reasons other than the gateway: {cause} (1): basic_messaging_non_streaming::anthropic::haiku"
        );
        assert!(
            refusals.iter().any(|refusal| refusal.starts_with(&why)),
            "no `{why}` in {refusals:?}"
        );
    }
    for cause in ["gateway", "assertion", "cli"] {
        let decision = decided(|results| fail(results, 0, cause));
        assert_eq!(decision.refusals, [], "{cause}");
        assert_eq!(decision.candidate.matrix.failures().len(), 1, "{cause}");
    }
}

/// Gives the first trial, on version 1.83.0 of `example`, the finding with this status.
fn found(results: &mut Value, status: &str) {
    results["run"]["gateway"] = json!({ "kind": "attached", "name": "example", "version": "1.83.0" });
    for entry in results["results"].as_array_mut().unwrap() {
        if entry["result"]["status"] == "pass" {
            entry["verdict"] = "clean".into();
        }
    }
    let mut finding = json!({
        "subject": "expectation basic_messaging_non_streaming::reply", "level": "contract", "expectation": "reply",
        "summary": "no reply", "loses": "The answer is empty.", "status": status,
    });
    if status != "new" {
        finding["known"] =
            json!({ "name": "forgotten", "reason": "The gateway forgets.", "link": "https://example.org/1" });
    }
    let trial = &mut results["results"][0];
    trial["verdict"] = "unfaithful".into();
    trial["cause"] = "gateway".into();
    trial["findings"] = json!([finding]);
    // The file lists the findings of all trials, once each.
    let trials: Results = serde_json::from_value(results.clone()).unwrap();
    *results = serde_json::to_value(Results::new(trials.run, trials.results)).unwrap();
}

#[test]
fn a_new_finding_is_published_with_a_note() {
    let decision = decided(|results| found(results, "new"));
    assert_eq!(decision.refusals, []);
    assert_eq!(
        decision.notes,
        [
            "a new finding on anthropic: expectation basic_messaging_non_streaming::reply: The answer is empty.; declare it in \
             `gateways/` with a reason and a link"
        ]
    );
    for status in ["known", "outside_range"] {
        let decision = decided(|results| found(results, status));
        assert_eq!(decision.notes, [""; 0], "{status}");
    }
}

#[tokio::test]
async fn the_log_and_the_summary_name_new_and_stale_findings() {
    let (hub, mut machine) = (Hub::start().await, Machine::new());
    let project = copy_of_this_project();
    let file = "gateways/example.yaml";
    let whole = project.read("manifest.yaml");
    let parts = whole.find("matrices:").expect("the parts");
    project.write("manifest.yaml", &(manifest_of_v0() + &whole[parts..]));
    machine.project = project.root().to_owned();
    for (subject, status, why) in [
        (
            "expectation basic_messaging_non_streaming::reply",
            "new",
            "note: a new finding on anthropic: expectation basic_messaging_non_streaming::reply",
        ),
        (
            "expectation basic_messaging_non_streaming::other",
            "known",
            "note: gateways/example.yaml:3:3: the known finding `forgotten` no longer shows on anthropic (haiku)",
        ),
    ] {
        let declared = gateway_file(subject, "anthropic", "haiku");
        project.write(file, &declared.replace(">=1.2.0, <=1.2.9", "=1.83.0"));
        machine.results(|results| found(results, status));
        let ran = machine.publishes(&hub, &["--dry-run"]).await;
        ran.exits(0);
        ran.err_has(why);
    }
    project.write(file, "name: [");
    let ran = machine.publishes(&hub, &[]).await;
    ran.exits(1);
    ran.err_has("--> gateways/example.yaml:2:1");
    assert_eq!(hub.commits("main"), 1);
}

#[tokio::test]
async fn a_refusal_lists_all_reasons_and_publishes_nothing() {
    let hub = Hub::start().await;
    let (status, log) = publish(&hub, &[], |results| {
        fail(results, 0, "account");
        fail(results, 3, "rate_limit");
        results["run"]["behind"] = "simulated".into();
    })
    .await;
    assert_eq!(status, Some(4), "{log}");
    for why in [
        "validate: refused: the run used a provider simulator",
        "validate: refused: 2 trials failed for reasons other than the gateway: account (1): ",
        "; rate_limit (1): ",
        "or publish them as not tested with `--allow-inconclusive`",
        "done: not published: the published matrix stays",
    ] {
        assert_has(&log, why);
    }
    assert_eq!(hub.commits("main"), 1);
    assert_eq!(hub.state().calls, Vec::<String>::new(), "no request was sent");
}

#[tokio::test]
async fn inconclusive_trials_can_be_published_as_not_tested() {
    let hub = Hub::start().await;
    let path = "static/data/compatibility-details.json";
    let (status, log) = publish(
        &hub,
        &["--allow-inconclusive", "--details-path", path],
        |results| {
            // In the first cell one tier cannot be judged; in the second one cannot, and one failure is the gateway's.
            fail(results, 0, "rate_limit");
            fail(results, 3, "rate_limit");
            fail(results, 4, "gateway");
            results["run"]["spent"] = json!({ "usd": 1.25, "by_provider": { "anthropic": 1.25 } });
        },
    )
    .await;

    assert_eq!(status, Some(0), "{log}");
    assert_has(&log, "not judged, and so published as not tested: 2 trials");
    assert_has(&log, "note: spent: US$ 1.25 in all: anthropic 1.25");
    let matrix: Value = serde_json::from_str(&hub.file("main", MATRIX_PATH)).unwrap();
    let cell = |provider: &str| &matrix["features"][0]["providers"][provider];
    assert_eq!(cell("anthropic"), &json!({ "status": "not_tested" }));
    let details: Value = serde_json::from_str(&hub.file("main", path)).unwrap();
    let tiers = &details["features"]["basic_messaging_non_streaming"]["anthropic"];
    assert_eq!(
        tiers[0]["reason"],
        "The run could not judge this (cause `rate_limit`)."
    );
    let red = matrix.to_string();
    assert_has(&red, "cause: gateway");
    assert_lacks(&red, "rate_limit");

    let (status, log) = publish(&hub, &["--allow-inconclusive"], |results| {
        for index in 0..90 {
            fail(results, index, "account");
        }
    })
    .await;
    assert_eq!(status, Some(4), "{log}");
    assert_has(&log, "no cell passed or failed");
}

#[tokio::test]
async fn a_newer_matrix_or_another_schema_is_not_replaced() {
    let sample = MATRIX;
    for (text, why) in [
        (
            sample.replace("\"schema_version\": \"1\"", "\"schema_version\": \"2\""),
            "has `schema_version` \"2\"",
        ),
        (
            sample.replace("2026-11-21T09:00:00Z", "2026-11-21T09:00:01Z"),
            "run again instead of publishing old results",
        ),
    ] {
        let hub = Hub::start().await;
        hub.put("main", MATRIX_PATH, &text);
        let before = hub.head("main");
        let (status, log) = publish(&hub, &[], |_| ()).await;
        assert_eq!(status, Some(4), "{log}");
        assert_has(&log, why);
        assert_eq!(hub.head("main"), before);
    }
    let hub = Hub::start().await;
    hub.put("main", MATRIX_PATH, "{ by hand, and broken");
    let (status, log) = publish(&hub, &[], |_| ()).await;
    assert_eq!(status, Some(0), "{log}");
    assert_has(&log, "is no matrix");
}

#[tokio::test]
async fn a_pair_without_a_cell_is_published_as_not_tested() {
    let (hub, mut machine) = (Hub::start().await, Machine::new());
    let root = root();
    // A row without a `_shared.yaml`: only providers with a file of their own are tested.
    let shared = "vision/_shared.yaml";
    for path in files_below(&root.join("cells")) {
        let name = path.strip_prefix(root).unwrap();
        let copy = machine.path("project").join(name);
        std::fs::create_dir_all(copy.parent().unwrap()).unwrap();
        match path.ends_with(shared) {
            true => {
                for provider in ["anthropic", "bedrock_invoke", "bedrock_converse", "azure"] {
                    std::fs::copy(&path, copy.with_file_name(format!("{provider}.yaml"))).unwrap();
                }
            }
            false => {
                std::fs::copy(&path, copy).unwrap();
            }
        }
    }
    std::fs::copy(root.join("manifest.yaml"), machine.path("project/manifest.yaml")).unwrap();
    machine.results(|results| {
        let is_there = |entry: &Value| {
            !entry["nodeid"]
                .as_str()
                .unwrap()
                .starts_with("vision::vertex_ai::")
        };
        results["results"].as_array_mut().unwrap().retain(is_there);
        results["run"]["selected"] = 87.into();
        results["run"]["trials"] = 87.into();
    });

    // For the whole project this run is incomplete.
    let ran = machine.publishes(&hub, &[]).await;
    ran.exits(4);

    machine.project = machine.path("project");
    let ran = machine.publishes(&hub, &[]).await;
    ran.exits(0);
    let matrix: Value = serde_json::from_str(&hub.file("main", MATRIX_PATH)).unwrap();
    let vision = matrix["features"]
        .as_array()
        .unwrap()
        .iter()
        .find(|feature| feature["id"] == "vision")
        .unwrap();
    assert_eq!(
        vision["providers"]["vertex_ai"],
        json!({ "status": "not_tested" })
    );
}

#[tokio::test]
async fn results_of_another_schema_are_refused() {
    let hub = Hub::start().await;
    let (status, log) = publish(&hub, &[], |results| results["schema_version"] = "2".into()).await;
    assert_eq!(status, Some(1), "{log}");
    assert_has(&log, "error: results: ");
    assert_has(&log, "schema_version");
    assert_eq!(hub.commits("main"), 1);
}

#[tokio::test]
async fn a_token_is_sent_only_over_tls() {
    let (hub, machine) = (Hub::start().await, Machine::new());
    let mut command = machine.publish_to(&hub, "http://docs.example/o/r.git");
    let ran = Ran::of(command.args(["--results", "x"])).await;
    ran.exits(1);
    ran.err_has("anybody could read the token");
}

#[tokio::test]
async fn an_address_with_a_token_is_refused_and_not_shown() {
    let (hub, machine) = (Hub::start().await, Machine::new());
    let mut command = machine.publish_to(&hub, "https://x:ghs_canary@h/o/r.git");
    let ran = Ran::of(command.args(["--results", "x"])).await;
    ran.exits(1);
    ran.err_has("must not hold credentials");
    ran.err_lacks("canary");
}

#[test]
fn results_of_a_weaker_cage_are_refused() {
    let mut text: Value = serde_json::from_str(&results(|_| {})).unwrap();
    let refused = |text: &Value| {
        let decision = decided_at(IsolationLevel::Full, 0, &text.to_string());
        let refusals = decision.refusals.iter().map(ToString::to_string);
        refusals.collect::<Vec<_>>().join("; ")
    };
    text["run"]["isolation"] = "landlock".into();
    assert_has(
        &refused(&text),
        "`claude` ran at isolation level `landlock`, and `full` is required",
    );
    text["run"].as_object_mut().unwrap().remove("isolation");
    assert_has(&refused(&text), "`claude` ran at isolation level `none`");
    text["run"]["isolation"] = "full".into();
    assert_lacks(&refused(&text), "isolation");
}
