//! `compat new`: new rows and columns are valid and red, and no file is overwritten.

use compat_matrix::expectation::kinds::TodoCheck;
use std::fs;

use compat_matrix::ids::{CellId, ProviderId, TierId};
use compat_matrix::outcome::{Cause, Verdict};
use compat_matrix::plan::Planned;

use crate::support::evidence::{self, Builder as _};
use crate::support::files::{contents, read};
use crate::support::project::{copy_of_this_project, copy_with_all_rows, open};
use crate::support::root;
use crate::support::text::assert_has;

#[test]
fn a_new_row_is_valid_and_each_of_its_trials_says_write_me() {
    let folder = copy_with_all_rows();
    let output = folder.compat(&["new", "feature", "code_review", "--name", "Code: review"]);
    output.exits(0);
    let before = read(root().join("manifest.yaml"));
    let after = folder.read("manifest.yaml");
    assert_eq!(
        after.replace("  - id: code_review\n    name: 'Code: review'\n", ""),
        before
    );

    let project = open(&folder);
    assert_eq!(project.check(&[]), []);
    let config = project.proxy_config().expect("a configuration");
    let mut trials = 0;
    for name in project.trials() {
        if name.cell.feature.as_str() != "code_review" {
            continue;
        }
        trials += 1;
        match project.plan(Some(&config), &name) {
            Planned::Run(run) => {
                let judgement = evidence::judge(run.test(), &evidence::nothing().live());
                let summaries = judgement
                    .mismatches
                    .iter()
                    .map(|mismatch| mismatch.summary.as_str());
                assert!(
                    summaries.clone().any(|summary| summary.starts_with("write me: ")),
                    "{name}"
                );
            }
            // The gateway has no deployment for this pair.
            Planned::Broken(faults) => {
                assert!(faults[0].message.starts_with("write me: "), "{name}: {faults:#?}")
            }
            // The provider's own file says so for every row.
            Planned::NotApplicable(_) => assert!(name.to_string().ends_with("::bedrock_mantle::sonnet")),
        }
    }
    assert_eq!(trials, 36);
    let notes = folder.compat(&["check", "--format", "json"]);
    notes.exits(0);
    let notes: Vec<serde_json::Value> = serde_json::from_str(&notes.out).expect("JSON");
    assert!(notes.iter().all(|note| note["severity"] == "note"), "{notes:#?}");
    assert_eq!(notes.len(), 1, "{notes:#?}");
}

#[test]
fn a_todo_has_the_cause_harness() {
    use compat_matrix::expectation::Check;
    let test = evidence::test(Check::Todo(TodoCheck("say more".into())));
    let pong = evidence::nothing()
        .answered(evidence::text_message("pong"))
        .ended("pong")
        .reached(evidence::text_exchange());
    let judgement = evidence::judge(&test, &pong);
    let broken: Vec<&str> = judgement
        .judged
        .iter()
        .filter(|judged| judged.verdict == Verdict::Broken)
        .map(|judged| judged.name.as_str())
        .collect();
    assert_eq!(broken.len(), 1, "{:#?}", judgement.judged);
    let diagnosis = compat_matrix::cause::of_trial(&pong, &judgement);
    assert_eq!((diagnosis.cause, diagnosis.rule), (Cause::Harness, "not_written"));
}

#[test]
fn a_new_column_is_valid_and_lists_the_manual_steps() {
    let folder = copy_of_this_project();
    let output = folder.compat(&["new", "provider", "azure_foundry"]);
    output.exits(0);
    let text = output.err;
    assert_has(
        &text,
        "- proxy_config.yaml:37  add a deployment for each of `claude-haiku-4-5-azure-foundry`",
    );
    let project = open(&folder);
    assert_eq!(project.check(&[]), []);
    let alias = project
        .manifest
        .alias(&ProviderId::new("azure_foundry"), &TierId::new("opus"));
    assert_eq!(alias.as_deref(), Some("claude-opus-4-7-azure-foundry"));
    for feature in &project.manifest.features {
        let id = CellId {
            feature: feature.id.clone(),
            provider: ProviderId::new("azure_foundry"),
        };
        assert!(project.cell(&id).is_ok(), "{id}");
    }
}

#[test]
fn a_new_tier_is_an_entry_in_each_of_two_files() {
    let folder = copy_of_this_project();
    for file in ["proxy_config.yaml", "prices.yaml"] {
        fs::copy(root().join(file), folder.path(file)).expect("a copy");
    }
    let arguments = [
        "new",
        "tier",
        "opus_6",
        "--name",
        "Opus 6",
        "--model",
        "claude-opus-6",
    ];
    let output = folder.compat(&arguments);
    output.exits(0);
    assert_has(
        &output.err,
        "check that `bedrock/invoke/us.anthropic.claude-opus-6` is the provider's name of the model",
    );
    let checked = folder.compat(&["check"]);
    checked.exits(0);
    checked.out_has("no price of `claude-opus-6`", 1);
    let project = open(&folder);
    let tier = project
        .manifest
        .tier(&TierId::new("opus_6"))
        .expect("the new tier");
    assert_eq!((tier.name.as_str(), tier.set.as_str()), ("Opus 6", "current"));
    let config = project.proxy_config().expect("a configuration");
    for provider in &project.manifest.providers {
        let alias = project.manifest.alias(provider, &tier.id).expect("an alias");
        let model = config.model(&alias).expect("a deployment");
        assert!(model.ends_with("claude-opus-6"), "{model}");
    }
    let before = contents(folder.root());
    let output = folder.compat(&arguments);
    output.exits(1);
    output.err_has("the tier `opus_6` is in the manifest already");
    assert_eq!(contents(folder.root()), before);
}

#[test]
fn a_refused_command_writes_nothing() {
    let folder = copy_of_this_project();
    fs::create_dir(folder.path("cells/taken")).expect("a folder");
    folder.write("cells/_providers/foundry.yaml", "");
    let before = contents(folder.root());
    let refused = [
        (vec!["new", "feature", "taken", "--name", "x"], "exists already"),
        (
            vec!["new", "feature", "tool_use", "--name", "x"],
            "in the manifest already (`manifest.yaml:",
        ),
        (
            vec!["new", "feature", "Tool-Use 2", "--name", "x"],
            "did you mean `tool_use_2`?",
        ),
        (vec!["new", "feature", "x", "--name", " "], "the name is empty"),
        (
            vec!["new", "feature", "x", "--name", "x", "--after", "visoin"],
            "did you mean `vision`?",
        ),
        (
            vec!["new", "provider", "foundry"],
            "`cells/_providers/foundry.yaml` exists already",
        ),
        (vec!["new", "provider", "azure"], "in the manifest already"),
        (vec!["new", "provider", "x", "--alias", "y"], "lacks `{model}`"),
    ];
    for (arguments, words) in refused {
        let output = folder.compat(&arguments);
        output.exits(1);
        output.err_has(words);
        assert_eq!(contents(folder.root()), before, "{arguments:?}");
    }
}
