//! Diagnostics of the manifest, and of the aliases in the gateway's configuration.

use compat_matrix::files::Project;
use compat_matrix::plan::Planned;

use crate::support::cell::GOOD;
use crate::support::project::{has, open, summary, two_features};

#[test]
fn trials_without_a_model_in_the_proxy_config_are_broken() {
    let folder = two_features();
    folder.write("cells/first/here.yaml", GOOD);
    folder.write("cells/first/there.yaml", GOOD);
    folder.write("cells/second/there.yaml", "not_applicable: no such thing there\n");
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
        matches!(plan("second::there::one"), Planned::NotApplicable(reason) if reason == "no such thing there")
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
