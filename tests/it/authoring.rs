//! New rows, columns and cells: valid from the first moment, red until they are written, and never written over anything.

use compat_matrix::expectation::kinds::TodoCheck;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use compat_matrix::files::Project;
use compat_matrix::ids::{CellId, ProviderId, TierId};
use compat_matrix::outcome::{Cause, Verdict};
use compat_matrix::plan::Planned;
use tempfile::TempDir;

use crate::support::evidence::{self, Builder as _};
use crate::support::project::{copy_folder, proxy_config};
use crate::support::text::assert_has;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// A copy of this project's manifest and cells.
fn project() -> TempDir {
    let folder = TempDir::new().expect("a temporary folder");
    copy_folder(&Path::new(ROOT).join("cells"), &folder.path().join("cells"));
    fs::copy(
        Path::new(ROOT).join("manifest.yaml"),
        folder.path().join("manifest.yaml"),
    )
    .expect("a copy");
    fs::write(folder.path().join("proxy_config.yaml"), proxy_config()).expect("a file");
    folder
}

fn compat(project: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_compat"))
        .args(arguments)
        .current_dir(project)
        .output()
        .expect("the binary `compat`")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Every file of a folder with its text.
fn snapshot(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => files.extend(snapshot(&path)),
            false => files.push((path.display().to_string(), fs::read(&path).expect("a file"))),
        }
    }
    files.sort();
    files
}

#[test]
fn a_new_row_is_valid_and_each_of_its_trials_says_write_me() {
    let folder = project();
    let output = compat(
        folder.path(),
        &["new", "feature", "pdf_input", "--name", "PDF: input"],
    );
    assert!(output.status.success(), "{}", stderr(&output));
    let before = fs::read_to_string(Path::new(ROOT).join("manifest.yaml")).expect("the manifest");
    let after = fs::read_to_string(folder.path().join("manifest.yaml")).expect("the manifest");
    assert_eq!(
        after.replace("  - id: pdf_input\n    name: 'PDF: input'\n", ""),
        before
    );

    let project = Project::open(folder.path()).expect("a project");
    assert_eq!(project.check(&[]), []);
    let config = project.proxy_config().expect("a configuration");
    let mut trials = 0;
    for name in project.trials() {
        if name.cell.feature.as_str() != "pdf_input" {
            continue;
        }
        trials += 1;
        match project.plan(Some(&config), &name) {
            Planned::Run(run) => {
                let judgement =
                    compat_matrix::judge::judge(run.test(), &name.tier, &evidence::nothing().live());
                let told = judgement
                    .mismatches
                    .iter()
                    .map(|mismatch| mismatch.summary.as_str());
                assert!(
                    told.clone().any(|summary| summary.starts_with("write me: ")),
                    "{name}"
                );
            }
            // The gateway has no deployment for it.
            Planned::Broken(faults) => {
                assert!(faults[0].message.starts_with("write me: "), "{name}: {faults:#?}")
            }
            // The provider's own file says so for every row.
            Planned::NotApplicable(_) => assert_eq!(name.cell.provider.as_str(), "azure"),
        }
    }
    assert_eq!(trials, 15);
    let notes = compat(folder.path(), &["check", "--format", "json"]);
    assert!(notes.status.success());
    let notes: Vec<serde_json::Value> = serde_json::from_slice(&notes.stdout).expect("JSON");
    assert!(notes.iter().all(|note| note["severity"] == "note"), "{notes:#?}");
    assert_eq!(notes.len(), 1, "{notes:#?}");
}

#[test]
fn a_todo_has_the_cause_harness_and_is_no_known_failure() {
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

    let folder = project();
    let cell = "prompt: x\nreplies: [{ content: [{ text: x }] }]\nexpect: { later: { todo: x } }\nknown_failures:\n  later: { reason: x, link: 'https://example.org/1' }\n";
    fs::write(folder.path().join("cells/vision/vertex_ai.yaml"), cell).expect("a file");
    let output = compat(folder.path(), &["check", "cells/vision/vertex_ai.yaml"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_has(
        &text,
        "`later` is still to be written, which is no failure of the gateway",
    );
}

#[test]
fn a_new_column_is_valid_and_lists_the_manual_steps() {
    let folder = project();
    let output = compat(folder.path(), &["new", "provider", "azure_foundry"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let text = stderr(&output);
    assert_has(
        &text,
        "- proxy_config.yaml:13  add a deployment for each of `claude-haiku-4-5-azure-foundry`",
    );
    let project = Project::open(folder.path()).expect("a project");
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
fn a_refused_command_writes_nothing() {
    let folder = project();
    fs::create_dir(folder.path().join("cells/taken")).expect("a folder");
    fs::write(folder.path().join("cells/_providers/foundry.yaml"), "").expect("a file");
    let before = snapshot(folder.path());
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
            "`cells/_providers/foundry.yaml` is there already",
        ),
        (vec!["new", "provider", "azure"], "in the manifest already"),
        (vec!["new", "provider", "x", "--alias", "y"], "lacks `{model}`"),
    ];
    for (arguments, words) in refused {
        let output = compat(folder.path(), &arguments);
        assert!(!output.status.success(), "{arguments:?}");
        assert!(
            stderr(&output).contains(words),
            "{arguments:?}: {}",
            stderr(&output)
        );
        assert_eq!(snapshot(folder.path()), before, "{arguments:?}");
    }
}
