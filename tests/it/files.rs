//! A project's files: diagnostics of its folders, checks of named paths, and the list of its trials.

use std::fs;
use std::path::Path;
use std::time::Instant;

use crate::support::cell::GOOD;
use crate::support::evidence::{gateway_exchange, pong};
use crate::support::files::{Folder, contents};
use crate::support::project::{has, open, summary, two_features};
use crate::support::text::assert_starts;
use compat_matrix::document::Diagnostic;
use compat_matrix::files::evidence_files;
use compat_matrix::plan::Planned;
use compat_matrix::wire::secrets::Secrets;

#[test]
fn a_cell_without_a_file_is_no_trial() {
    let folder = two_features();
    folder.write("cells/second/there.yaml", GOOD);
    folder.write("cells/first/here.yaml", GOOD);
    let names: Vec<String> = open(&folder).trials().iter().map(ToString::to_string).collect();
    assert_eq!(
        names,
        [
            "first::here::one",
            "first::here::two",
            "second::there::one",
            "second::there::two"
        ]
    );
}

#[test]
fn names_that_begin_with_an_underscore_are_ignored() {
    let folder = two_features();
    for file in [
        "first/_here.yaml",
        "first/_red.png",
        "_drafts/here.yaml",
        "first/_notes/here.yaml",
        "first/.here.yaml.swp",
    ] {
        folder.write(&format!("cells/{file}"), "not: [a, cell");
    }
    let project = open(&folder);
    assert_eq!(summary(&project.layout_errors), "");
    assert_eq!(project.trials(), []);
}

#[test]
fn a_misnamed_layer_gets_a_suggestion() {
    let folder = two_features();
    let shared = [
        "cells/_shared.yml",
        "cells/_Shared.yaml",
        "cells/first/_shared.yml",
        "cells/first/_shard.yaml",
        "cells/first/_shared.yaml.orig",
    ];
    for file in shared {
        folder.write(file, GOOD);
    }
    folder.write("cells/_provider/here.yaml", "env: {}\n");
    folder.write("cells/_providers.yaml", "env: {}\n");
    // An attachment with a similar name.
    folder.write("cells/first/_shape.png", "");
    let faults = open(&folder).layout_errors;
    for file in shared {
        has(
            &faults,
            &format!(
                "{file}:0 this is ignored, but its name is almost `_shared.yaml` | did you mean `_shared.yaml`?"
            ),
        );
    }
    for file in ["cells/_provider", "cells/_providers.yaml"] {
        has(
            &faults,
            &format!(
                "{file}:0 this is ignored, but its name is almost `_providers` | did you mean `_providers`?"
            ),
        );
    }
    assert_eq!(faults.len(), 7, "{}", summary(&faults));
    assert_eq!(folder.compat(&["check"]).status, Some(3));
}

#[test]
fn a_provider_without_a_file_gets_a_note() {
    let folder = two_features();
    folder.write("cells/first/_shared.yaml", GOOD);
    folder.write("cells/_providers/here.yaml", "env: {}\n");
    let notes = summary(&open(&folder).notes(&[]));
    assert!(
        notes.contains("cells/_providers/there.yaml:0 the provider `there` has no file"),
        "{notes}"
    );
    assert!(!notes.contains("cells/_providers/here.yaml"), "{notes}");
}

#[test]
fn each_feature_needs_a_folder_and_each_folder_a_feature() {
    let folder = two_features();
    fs::rename(folder.path("cells/second"), folder.path("cells/secnd")).expect("a folder");
    let faults = open(&folder).layout_errors;
    let error = "manifest.yaml:5 the manifest's feature `second` has no folder in `cells` | did you mean `secnd`? else rename the folder\n";
    assert_eq!(summary(&faults), error);
    assert_eq!(faults[0].related[0].0.file, Path::new("cells/secnd"));
    fs::remove_dir(folder.path("cells/secnd")).expect("a folder");
    fs::create_dir(folder.path("cells/other")).expect("a folder");
    let faults = open(&folder).layout_errors;
    has(
        &faults,
        "manifest.yaml:5 the manifest's feature `second` has no folder in `cells` | create `cells/second`",
    );
    has(
        &faults,
        "cells/other:0 the manifest has no feature `other` | add the feature to `manifest.yaml`",
    );
}

#[test]
fn files_that_are_no_cells_get_a_diagnostic() {
    let folder = two_features();
    folder.write("cells/first/hree.yaml", GOOD);
    folder.write("cells/first/there.yml", GOOD);
    folder.write("cells/first/red.png", "");
    folder.write("cells/stray.yaml", GOOD);
    fs::create_dir_all(folder.path("cells/first/here.yaml")).expect("a folder");
    let faults = open(&folder).layout_errors;
    has(
        &faults,
        "cells/first/hree.yaml:0 the manifest has no provider `hree` | did you mean `here.yaml`?",
    );
    has(
        &faults,
        "cells/first/there.yml:0 this is not a cell | did you mean `there.yaml`?",
    );
    has(
        &faults,
        "cells/first/red.png:0 this is not a cell | a name that begins with `_` is ignored",
    );
    has(
        &faults,
        "cells/first/here.yaml:0 this is a folder, where a file is expected | a cell is one file; a name that begins with `_` is ignored",
    );
    has(
        &faults,
        "cells/stray.yaml:0 a file where only folders of features belong",
    );
}

#[test]
fn a_broken_cell_breaks_only_its_own_trials() {
    let folder = two_features();
    folder.write("cells/first/here.yaml", "prompt: [\n");
    folder.write("cells/second/here.yaml", GOOD);
    let project = open(&folder);
    let plan = |name: &str| project.plan(None, &name.parse().expect("a trial's name"));
    assert!(matches!(plan("first::here::one"), Planned::Broken(faults) if faults[0].place.line == 2));
    assert!(matches!(plan("second::here::one"), Planned::Run(run) if run.alias == "model-one-here"));
}

#[test]
fn a_broken_shared_file_breaks_only_its_feature() {
    let folder = two_features();
    folder.write("cells/first/_shared.yaml", "promt: Say pong\n");
    folder.write("cells/first/here.yaml", GOOD);
    folder.write("cells/first/there.yaml", GOOD);
    folder.write("cells/second/here.yaml", GOOD);
    let project = open(&folder);
    let plan = |name: &str| project.plan(None, &name.parse().expect("a trial's name"));
    for name in ["first::here::one", "first::there::two"] {
        let Planned::Broken(faults) = plan(name) else {
            panic!("{name} is not broken")
        };
        has(
            &faults,
            "cells/first/_shared.yaml:1 unknown key `promt` | did you mean `prompt`?",
        );
    }
    assert!(matches!(plan("second::here::one"), Planned::Run(_)));
    assert_eq!(
        project
            .check(&[])
            .iter()
            .filter(|fault| fault.message.contains("promt"))
            .count(),
        1
    );
}

#[test]
fn a_cell_that_is_not_applicable_needs_no_valid_shared_file() {
    let folder = two_features();
    folder.write("cells/first/_shared.yaml", "promt: Say pong\n");
    folder.write(
        "cells/first/here.yaml",
        "not_applicable: no such thing here (https://example.com)\n",
    );
    let project = open(&folder);
    let plan = project.plan(None, &"first::here::one".parse().expect("a trial's name"));
    assert!(matches!(plan, Planned::NotApplicable(_)));
    has(
        &project.check(&[]),
        "cells/first/_shared.yaml:1 unknown key `promt`",
    );
}

#[test]
fn a_named_path_is_checked_with_its_shared_layer_only() {
    let folder = two_features();
    folder.write(
        "cells/first/_shared.yaml",
        "timeout_seconds: 5\nexpect:\n  more:\n    text: { matches: '(' }\n",
    );
    folder.write("cells/first/here.yaml", GOOD);
    folder.write("cells/first/there.yaml", GOOD);
    folder.write("cells/second/here.yaml", "prompt: [\n");
    let check = |path: &str| summary(&open(&folder).check(&[path.into()]));
    assert_starts(
        &check("cells/first/here.yaml"),
        "cells/first/_shared.yaml:4 not a regular expression",
    );
    let of_shared = check("cells/first/_shared.yaml");
    assert_starts(&of_shared, "cells/first/_shared.yaml:4 not a regular expression");
    assert_starts(&check("cells/second"), "cells/second/here.yaml:2");
    assert_eq!(check("cells/second").lines().count(), 1);
    assert_eq!(check("manifest.yaml"), "");
    assert_eq!(check(".").lines().count(), 2);
}

#[test]
fn a_cell_of_ten_megabytes_is_not_read() {
    let folder = two_features();
    folder.write("cells/first/here.yaml", &"#".repeat(10_000_000));
    has(
        &open(&folder).check(&[]),
        "cells/first/here.yaml:0 the file is too large",
    );
}

#[test]
fn ten_thousand_cells_are_listed_without_being_read() {
    // In memory where that is possible: a busy disk takes seconds for as many files.
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() {
        Folder::in_folder(memory)
    } else {
        Folder::new()
    };
    let mut manifest = String::from("schema_version: \"1\"\nproviders: [a, b, c, d, e]\nfeatures:\n");
    for number in 0..2_000 {
        manifest.push_str(&format!("  - id: feature_{number}\n    name: Feature {number}\n"));
        for provider in ["a", "b", "c", "d", "e"] {
            folder.write(
                &format!("cells/feature_{number}/{provider}.yaml"),
                "not: [a, cell",
            );
        }
    }
    manifest.push_str("tiers:\n  - { id: one, name: One, model: m }\naliases:\n");
    for provider in ["a", "b", "c", "d", "e"] {
        manifest.push_str(&format!("  {provider}: \"{{model}}-{provider}\"\n"));
    }
    folder.write("manifest.yaml", &manifest);
    let started = Instant::now();
    let project = open(&folder);
    let trials = project.trials();
    let elapsed = started.elapsed();
    assert_eq!(trials.len(), 10_000);
    assert!(project.layout_errors.is_empty());
    println!("10,000 cells listed in {elapsed:?}");
    // The aim is 100 ms; the bound is wide because tests run beside each other, without optimization.
    assert!(elapsed.as_secs() < 2, "listing took {elapsed:?}");
}

#[test]
fn a_cell_without_a_file_gets_a_note() {
    let folder = two_features();
    for provider in ["here", "there"] {
        folder.write(&format!("cells/_providers/{provider}.yaml"), "env: {}\n");
    }
    folder.write("cells/first/here.yaml", GOOD);
    folder.write("cells/first/there.yaml", GOOD);
    folder.write("cells/second/here.yaml", GOOD);
    folder.write("cells/_shared.yaml", "expect: { own: { unchanged: request } }\n");
    let project = open(&folder);
    let notes = summary(&project.notes(&[]));
    assert_eq!(
        notes,
        "cells/second/_shared.yaml:0 there is no such file, and none of `second::there`, which the matrix shows as not tested | \
         write the file with what all providers share, or a file for each of these cells\n"
    );
    assert_eq!(summary(&project.notes(&["cells/first".into()])), "");
    assert!(
        !project
            .check(&[])
            .iter()
            .any(|fault| fault.message.contains("no file"))
    );
}

#[test]
fn a_gap_in_a_shared_file_is_reported_once_with_its_cells() {
    let folder = two_features();
    folder.write("cells/first/_shared.yaml", "prompt: Say pong\n");
    let expect = "expect:\n  reply:\n    text: { contains: pong }\n";
    folder.write("cells/first/here.yaml", expect);
    folder.write("cells/first/there.yaml", expect);
    let faults: Vec<Diagnostic> = open(&folder).check(&["cells/first".into()]);
    let lacking: Vec<&Diagnostic> = faults
        .iter()
        .filter(|fault| fault.message == "the simulated provider has no reply")
        .collect();
    assert_eq!(lacking.len(), 1, "{}", summary(&faults));
    assert_eq!(lacking[0].place.file, Path::new("cells/first/_shared.yaml"));
    let cells: Vec<String> = lacking[0]
        .related
        .iter()
        .map(|(place, _)| place.file.display().to_string())
        .collect();
    assert_eq!(cells, ["cells/first/here.yaml", "cells/first/there.yaml"]);
}

#[test]
fn a_pipe_or_a_broken_link_is_reported_and_not_read() {
    let folder = two_features();
    let path = |name: &str| folder.path("cells/first").join(name);
    nix::unistd::mkfifo(&path("here.yaml"), nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
    std::os::unix::fs::symlink("nowhere.yaml", path("there.yaml")).expect("a link");
    folder.write("cells/second/here.yaml", GOOD);
    std::os::unix::fs::symlink("there.yaml", folder.path("cells/second/there.yaml")).expect("a link");
    let faults = open(&folder).check(&[]);
    has(
        &faults,
        "cells/first/here.yaml:0 this is neither a file nor a link to one",
    );
    has(
        &faults,
        "cells/first/there.yaml:0 this is a link to a file that does not exist",
    );
    has(
        &faults,
        "cells/second/there.yaml:0 cannot be read: it is a link to itself",
    );
}

#[test]
fn a_missing_attachment_gets_a_suggestion() {
    let folder = two_features();
    let cell = GOOD.replace(
        "prompt: Say pong",
        "prompts: [[{ text: x }, { image: _read.png }]]",
    );
    folder.write("cells/first/here.yaml", &cell);
    folder.write("cells/first/_red.png", "");
    has(
        &open(&folder).check(&["cells/first".into()]),
        "`_read.png` cannot be read: there is no such file in the feature's folder (did you mean `_red.png`?)",
    );
}

#[test]
fn no_file_of_the_evidence_contains_a_credential() {
    let (known, form) = ("key-of-this-run-only", "sk-ant-api03-abcdefghijklmnopqrst");
    let mut evidence = pong();
    let mut sent = gateway_exchange(&evidence.exchanges[0], "application/json");
    let odd = |value: &str| ("x-odd-upstream-thing".to_owned(), value.to_owned());
    sent.request.headers.push(odd(known));
    if let Some(reply) = &mut sent.reply {
        reply.headers.push(odd(known));
    }
    evidence.sent.push(sent);
    let request = &mut evidence.exchanges[0].request;
    request.headers.push(odd(&format!("Key {known}")));
    request.query = format!("key={known}");
    evidence.stderr = format!("sent {form} and {known}");
    evidence.gateway_log = vec![format!("api_key={form} key={known}")];
    evidence.redact(&Secrets::new([known])).unwrap();
    let folder = Folder::new();
    evidence_files::write(&evidence, None, folder.root()).unwrap();
    for (file, content) in contents(folder.root()) {
        let text = String::from_utf8_lossy(&content);
        assert!(
            !text.contains(known) && !text.contains(form),
            "{}\n{text}",
            file.display()
        );
    }
}
