//! Diagnostics of the manifest, and of the aliases in the gateway's configuration.

use compat_matrix::files::Project;
use compat_matrix::plan::Planned;

use crate::support::cell::GOOD;
use crate::support::project::{has, open, summary, two_features};
use crate::support::root;

#[test]
fn trials_without_a_model_in_the_proxy_config_are_broken() {
    let folder = two_features();
    folder.write("cells/first/here.yaml", GOOD);
    folder.write("cells/first/there.yaml", GOOD);
    folder.write(
        "cells/second/there.yaml",
        "not_applicable: no such thing there (https://example.com)\n",
    );
    let project = open(&folder);
    let faults = project.check(&[]);
    assert_eq!(faults.len(), 2, "{}", summary(&faults));
    has(
        &faults,
        "manifest.yaml:11 `proxy_config.yaml` has no model `model-one-there` | did you mean `model-one-here`?",
    );
    has(
        &faults,
        "manifest.yaml:11 `proxy_config.yaml` has no model `model-two-there`",
    );
    let config = project.proxy_config().expect("a configuration without faults");
    let plan = |name: &str| project.plan(Some(&config), &name.parse().expect("a trial's name"));
    assert!(matches!(plan("first::there::one"), Planned::Broken(_)));
    assert!(matches!(plan("first::here::one"), Planned::Run(_)));
    assert!(
        matches!(plan("second::there::one"), Planned::NotApplicable(reason) if reason == "no such thing there (https://example.com)")
    );
}

#[test]
fn all_mistakes_of_a_manifest_are_found_at_once() {
    let folder = two_features();
    let manifest = "schema_version: \"2\"\nproviders: [here]\nfeatures:\n  - { id: first, name: First, colour: red }\n\
                    tiers: []\naliases:\n  here: \"{model}\"\n";
    folder.write("manifest.yaml", manifest);
    let faults = Project::open(folder.root()).expect_err("faults");
    has(&faults, "manifest.yaml:1 the text `2` is not known here");
    has(&faults, "manifest.yaml:4 unknown key `colour`");
    has(&faults, "manifest.yaml:5 the list is empty");
    let manifest = "schema_version: \"1\"\nproviders: [here, here, There]\nfeatures:\n  - { id: first, name: \" \" }\n\
                    tiers:\n  - { id: one, name: One, model: m }\naliases:\n  here: claude\n  ther: \"{model}\"\n";
    folder.write("manifest.yaml", manifest);
    let faults = Project::open(folder.root()).expect_err("faults");
    has(&faults, "manifest.yaml:2 `here` is there twice");
    has(&faults, "manifest.yaml:2 `There` is not a name");
    has(&faults, "manifest.yaml:4 the text is empty");
    has(&faults, "manifest.yaml:8 the alias pattern lacks `{model}`");
    has(&faults, "manifest.yaml:9 `ther` is no provider of this manifest");
}

#[test]
fn every_row_of_this_project_says_what_it_is_about() {
    let manifest = Project::open(root()).expect("this project").manifest;
    for row in &manifest.features {
        for (key, text) in [
            ("category", &row.category),
            ("description", &row.description),
            ("clause", &row.clause),
            ("docs", &row.docs),
        ] {
            assert!(text.is_some(), "the row `{}` has no `{key}`", row.id);
        }
        let description = row.description.as_deref().expect("a description");
        assert!(
            description.ends_with('.') && !description.contains('`'),
            "{description}"
        );
    }
}

#[test]
fn the_texts_of_a_row_are_checked() {
    let folder = two_features();
    let manifest = folder.read("manifest.yaml");
    let with = |texts: &str| {
        folder.write(
            "manifest.yaml",
            &manifest.replace("name: First", &format!("name: First, {texts}")),
        );
        Project::open(folder.root()).expect_err("faults")
    };
    has(&with("category: ''"), "the text is empty");
    has(&with("description: ' '"), "the text is empty");
    has(
        &with("clause: llm-gateway-protocol#request-header"),
        "`llm-gateway-protocol#request-header` is no clause of the gateway contract",
    );
    has(
        &with("docs: docs/cells.md"),
        "`docs/cells.md` is not a web address",
    );
}

#[test]
fn similar_groups_are_a_slip() {
    let folder = two_features();
    std::fs::create_dir(folder.path("cells/third")).expect("a folder");
    let manifest = folder.read("manifest.yaml");
    let manifest = manifest
        .replace("name: First", "name: First, category: Tools")
        .replace(
            "  - { id: second, name: Second }",
            "  - { id: second, name: Second, category: Tool }\n  - { id: third, name: Third, category: Tools }",
        )
        .replace("model: model-one", "model: model-one, set: current")
        .replace("model: model-two", "model: model-two, set: current");
    let with_tier = |set: &str| {
        let tier = format!("  - {{ id: three, name: Three, model: model-three, set: {set} }}\naliases:");
        manifest.replace("aliases:", &tier)
    };
    let manifest = with_tier("curent");
    folder.write("manifest.yaml", &manifest);
    let faults = Project::open(folder.root()).expect_err("faults");
    assert_eq!(faults.len(), 2, "{}", summary(&faults));
    has(
        &faults,
        "manifest.yaml:5 the category `Tool` is named almost like `Tools` | write `Tools`, or choose a less similar name",
    );
    has(
        &faults,
        "manifest.yaml:10 the set `curent` is named almost like `current`",
    );
}

#[test]
fn sets_and_parts_name_what_the_manifest_has() {
    let folder = two_features();
    let manifest = folder.read("manifest.yaml");
    let with = |old: &str, new: &str| {
        assert!(manifest.contains(old), "{old}");
        folder.write("manifest.yaml", &manifest.replace(old, new));
        Project::open(folder.root()).expect_err("faults")
    };
    let one = "model: model-one }";
    has(
        &with(one, "model: model-one, set: v0 }"),
        "manifest.yaml:8 the tier `two` has no `set`, and another tier has one",
    );
    has(
        &with(one, "model: model-one, set: all }"),
        "manifest.yaml:7 a set cannot be called `all`",
    );
    has(
        &with(one, "model: model-one, set: two }"),
        "manifest.yaml:7 a set cannot be called `two`",
    );
    has(
        &with(one, "model: model-one, not_on: { hree: Why. } }"),
        "manifest.yaml:7 the manifest has no provider `hree` | did you mean `here`?",
    );
    has(
        &with(one, "model: model-one, not_on: { here: ' ' } }"),
        "manifest.yaml:7 the reason is empty",
    );
    has(
        &with(one, "model: model-one, not_on: { here: Why. } }"),
        "manifest.yaml:7 the reason names no source",
    );
    let parts = "matrices:\n  small: { features: [frist], providers: [there], tiers: v0 }\naliases:";
    let faults = with("aliases:", parts);
    has(
        &faults,
        "manifest.yaml:10 the manifest has no feature `frist` | did you mean `first`?",
    );
    has(&faults, "manifest.yaml:10 the manifest has no set of tiers `v0`");
}

#[test]
fn a_model_that_a_provider_lacks_is_not_applicable_there() {
    let folder = two_features();
    folder.write("cells/first/here.yaml", GOOD);
    folder.write("cells/first/there.yaml", GOOD);
    let manifest = folder.read("manifest.yaml");
    let one = "model: model-one }";
    let not_there = "model: model-one, not_on: { there: Only the other (https://example.com). } }";
    folder.write("manifest.yaml", &manifest.replace(one, not_there));
    let project = open(&folder);
    let plan = |name: &str| project.plan(None, &name.parse().expect("a trial's name"));
    assert!(
        matches!(plan("first::there::one"), Planned::NotApplicable(reason) if reason == "Only the other (https://example.com).")
    );
    assert!(matches!(plan("first::there::two"), Planned::Run(_)));
    assert!(matches!(plan("first::here::one"), Planned::Run(_)));
}
