//! Sets of tiers, named parts of the matrix, and the trials of a live run.

use compat_matrix::env;
use compat_matrix::files::Project;
use compat_matrix::ids::TierId;
use compat_matrix::matrix::Details;
use compat_matrix::matrix::builder::{Stamp, build};
use compat_matrix::outcome::Outcome;
use compat_matrix::plan::selection::Axes;
use compat_matrix::results::{Results, StatusWord};

use crate::support::root;
use crate::support::sample_run::{manifest, run, time, trial};
use crate::support::small_project::Small;

#[test]
fn a_run_takes_one_set_of_tiers_or_a_named_part() {
    let project = Project::open(root()).expect("a valid manifest");
    let count = |axes: Axes| {
        axes.check(&project.manifest).expect("known names");
        axes.in_scope(&project.manifest, project.trials()).len()
    };
    let set = |name: &str| Axes {
        set: Some(name.to_owned()),
        ..Axes::default()
    };
    let cells = project.cells().len();
    assert_eq!(count(Axes::default()), 3 * cells);
    assert_eq!(count(set("v0")), 3 * cells);
    assert_eq!(count(set("current")), 3 * cells);
    assert_eq!(count(set("all")), 6 * cells);
    let part = Axes {
        matrix: Some("v0".to_owned()),
        ..Axes::default()
    };
    assert_eq!(count(part), 90);
    let tier = Axes {
        tiers: vec!["haiku_5_5".to_owned()],
        ..Axes::default()
    };
    assert!(
        tier.in_scope(&project.manifest, project.trials())
            .iter()
            .any(|name| tier.select(name))
    );
    let error = set("next").check(&project.manifest).unwrap_err().to_string();
    assert_eq!(
        error,
        "there is no set of tiers `next`: expected one of `v0`, `current`, `all`"
    );
}

#[test]
fn a_set_of_tiers_without_a_result_was_not_run() {
    let mut view = manifest();
    view.features.retain(|(id, _)| id.as_str() == "vision");
    view.providers.retain(|id| id.as_str() == "anthropic");
    let stamp = Stamp {
        generated_at: time("2026-11-21T09:00:00Z"),
        litellm_version: "v1.106.0".into(),
        claude_code_version: "2.1.326".into(),
    };
    view.tiers.push(TierId::new("opus_6"));
    view.sets = ["v0", "v0", "v0", "next"].map(str::to_owned).to_vec();
    view.tier_names = ["Haiku", "Sonnet", "Opus", "Opus 6"].map(str::to_owned).to_vec();
    let statuses = |results: &Results| {
        let matrix = build(&view, results, &stamp).unwrap();
        let details = Details::build(&view, results, &stamp).unwrap();
        let names = details
            .tiers
            .iter()
            .map(|tier| tier.id.to_string())
            .collect::<Vec<_>>();
        (matrix.features[0].providers[0].word(), names.join(" "))
    };
    let passed = |tiers: &[&str]| {
        let records = tiers
            .iter()
            .map(|tier| trial(&format!("vision::anthropic::{tier}"), Outcome::Pass));
        let records: Vec<_> = records.collect();
        Results::new(run(records.len()), records)
    };
    let v0 = ["haiku", "sonnet", "opus"];
    assert_eq!(
        statuses(&passed(&v0)),
        (StatusWord::Pass, "haiku sonnet opus".to_owned())
    );
    assert_eq!(
        statuses(&passed(&["opus_6"])),
        (StatusWord::Pass, "opus_6".to_owned())
    );
    let all = "haiku sonnet opus opus_6".to_owned();
    assert_eq!(
        statuses(&passed(&["haiku", "opus_6"])),
        (StatusWord::NotTested, all)
    );
}

#[tokio::test]
async fn a_list_of_trials_of_several_sets_counts_them_all() {
    let mut small = Small::new();
    let manifest = small.read("manifest.yaml");
    let manifest = manifest.replacen("    name: Opus\n", "    name: Opus\n    set: next\n", 1);
    small.write(
        "manifest.yaml",
        &manifest.replacen("    name: Haiku\n", "    name: Haiku\n    set: v0\n", 1),
    );
    let list = async |more: &[&str]| {
        let ran = small
            .run(&[&["--list", "--format", "terse"], more].concat())
            .await;
        ran.listed()
            .into_iter()
            .map(|name| format!("{name}\n"))
            .collect::<String>()
    };
    // Without a name, `--exact` changes nothing, as in libtest.
    let first = list(&[]).await;
    assert_eq!(first.lines().count(), 4);
    assert_eq!(list(&["--exact"]).await, first);
    let all = list(&["--tiers", "all"]).await;
    small.write("first.txt", &first);
    small.write("all.txt", &all);
    let exact: Vec<&str> = std::iter::once("--exact").chain(all.lines()).collect();
    small.set(env::LITELLM_PROXY_BASE_URL, "http://127.0.0.1:1");
    for (arguments, selected, trials) in [
        (&["--trials", "first.txt"][..], 4, 4),
        (&["--trials", "all.txt"], 8, 8),
        (&["--trials", "all.txt", "--shard", "1/2"], 4, 8),
        // Filters come first: each part has trials of the tier.
        (&["--tier", "haiku", "--shard", "1/2"], 2, 8),
        (&["--tier", "haiku", "--shard", "2/2"], 2, 8),
        (&exact, 8, 8),
    ] {
        small.run(arguments).await;
        let run = small.results().run;
        assert_eq!((run.selected, run.trials), (selected, trials), "{arguments:?}");
    }
}

#[tokio::test]
async fn a_live_run_leaves_out_trials_with_a_subscription() {
    let mut small = Small::new();
    small.write(
        "cells/text/anthropic.yaml",
        "subscription: true\nexpect:\n  asked_once:\n    requests: { count: 1 }\n",
    );
    let list = ["--list", "--format", "terse", "--provider", "anthropic"];
    assert_eq!(small.run(&list).await.listed().len(), 4);
    small.set(env::LITELLM_PROXY_BASE_URL, "http://127.0.0.1:9");
    let live = small.run(&list).await;
    let expected = ["words::anthropic::haiku", "words::anthropic::opus"];
    assert_eq!(live.listed(), expected.into());
    // With the simulator behind the gateway, they run.
    small.set(env::COMPAT_PROVIDER_URL, "http://127.0.0.1:9");
    assert_eq!(small.run(&list).await.listed().len(), 4);
}
