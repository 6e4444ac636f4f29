//! What a project's folders may get wrong, and how little it takes to list its trials.

use std::fs;
use std::path::Path;
use std::time::Instant;

use compat_matrix::document::Diagnostic;
use compat_matrix::files::Project;
use compat_matrix::plan::Planned;
use tempfile::TempDir;

const GOOD: &str = "prompt: Say pong\nreplies:\n  - content: [{ text: pong }]\nexpect:\n  reply:\n    text: { contains: pong }\n";

const PROXY_CONFIG: &str = "model_list:\n  - model_name: model-one-here\n  - model_name: model-two-here\n";

/// A project of the features `first` and `second`, the providers `here` and `there`, and the tiers `one` and `two`; a folder
/// for each feature, and no cell.
fn project() -> TempDir {
    let folder = TempDir::new().expect("a temporary folder");
    let manifest = "schema_version: \"1\"\nproviders: [here, there]\nfeatures:\n  - { id: first, name: First }\n  - { id: second, name: Second }\n\
                    tiers:\n  - { id: one, name: One, model: model-one }\n  - { id: two, name: Two, model: model-two }\n\
                    aliases:\n  here: \"{model}-here\"\n  there: \"{model}-there\"\n";
    write(&folder, "manifest.yaml", manifest);
    write(&folder, "proxy_config.yaml", PROXY_CONFIG);
    fs::create_dir_all(folder.path().join("cells/first")).expect("a folder");
    fs::create_dir_all(folder.path().join("cells/second")).expect("a folder");
    folder
}

fn write(folder: &TempDir, file: &str, text: &str) {
    let path = folder.path().join(file);
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(path, text).expect("a file");
}

fn open(folder: &TempDir) -> Project {
    Project::open(folder.path()).expect("a manifest without faults")
}

fn brief(faults: &[Diagnostic]) -> String {
    let line = |fault: &Diagnostic| {
        let hint = fault.hint.as_deref().unwrap_or_default();
        format!(
            "{}:{} {} | {hint}\n",
            fault.place.file.display(),
            fault.place.line,
            fault.message
        )
    };
    faults.iter().map(line).collect()
}

fn has(faults: &[Diagnostic], wanted: &str) {
    let found = brief(faults);
    assert!(found.contains(wanted), "no `{wanted}` in\n{found}");
}

#[test]
fn a_cell_without_a_file_is_no_trial() {
    let folder = project();
    write(&folder, "cells/second/there.yaml", GOOD);
    write(&folder, "cells/first/here.yaml", GOOD);
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
fn names_that_begin_with_an_underscore_are_left_alone() {
    let folder = project();
    for file in [
        "first/_here.yaml",
        "first/_red.png",
        "_drafts/here.yaml",
        "first/_notes/here.yaml",
        "first/.here.yaml.swp",
    ] {
        write(&folder, &format!("cells/{file}"), "not: [a, cell");
    }
    let project = open(&folder);
    assert_eq!(brief(&project.layout_errors), "");
    assert_eq!(project.trials(), []);
}

#[test]
fn a_folder_that_the_manifest_does_not_know_is_a_fault_and_so_is_the_reverse() {
    let folder = project();
    fs::rename(
        folder.path().join("cells/second"),
        folder.path().join("cells/secnd"),
    )
    .expect("a folder");
    let faults = open(&folder).layout_errors;
    has(
        &faults,
        "cells/second:0 the manifest's feature `second` has no folder | is the folder `secnd` meant to be it?",
    );
    has(
        &faults,
        "cells/secnd:0 the manifest has no feature `secnd` | did you mean `second`? no cell of this folder is run",
    );
}

#[test]
fn files_that_are_no_cells_are_faults() {
    let folder = project();
    write(&folder, "cells/first/hree.yaml", GOOD);
    write(&folder, "cells/first/there.yml", GOOD);
    write(&folder, "cells/first/red.png", "");
    write(&folder, "cells/stray.yaml", GOOD);
    fs::create_dir_all(folder.path().join("cells/first/here.yaml")).expect("a folder");
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
        "cells/first/red.png:0 this is not a cell | a name that begins with `_` is left alone",
    );
    has(
        &faults,
        "cells/first/here.yaml:0 this is a folder, where a file is expected | a cell is one file; a name that begins with `_` is left \
         alone",
    );
    has(
        &faults,
        "cells/stray.yaml:0 a file where only folders of features belong",
    );
}

#[test]
fn a_broken_cell_breaks_itself_alone() {
    let folder = project();
    write(&folder, "cells/first/here.yaml", "prompt: [\n");
    write(&folder, "cells/second/here.yaml", GOOD);
    let project = open(&folder);
    let plan = |name: &str| project.plan(None, &name.parse().expect("a trial's name"));
    assert!(matches!(plan("first::here::one"), Planned::Broken(faults) if faults[0].place.line == 2));
    assert!(matches!(plan("second::here::one"), Planned::Run(run) if run.alias == "model-one-here"));
}

#[test]
fn a_broken_shared_file_breaks_its_feature_alone() {
    let folder = project();
    write(&folder, "cells/first/_shared.yaml", "promt: Say pong\n");
    write(&folder, "cells/first/here.yaml", GOOD);
    write(&folder, "cells/first/there.yaml", GOOD);
    write(&folder, "cells/second/here.yaml", GOOD);
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
fn a_cell_that_is_not_applicable_needs_nothing_of_the_shared_file() {
    let folder = project();
    write(&folder, "cells/first/_shared.yaml", "promt: Say pong\n");
    write(
        &folder,
        "cells/first/here.yaml",
        "not_applicable: no such thing here\n",
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
fn a_named_path_is_checked_with_what_it_rests_on_and_nothing_else() {
    let folder = project();
    write(
        &folder,
        "cells/first/_shared.yaml",
        "timeout_seconds: 5\nexpect:\n  more:\n    text: { matches: '(' }\n",
    );
    write(&folder, "cells/first/here.yaml", GOOD);
    write(&folder, "cells/first/there.yaml", GOOD);
    write(&folder, "cells/second/here.yaml", "prompt: [\n");
    let check = |path: &str| brief(&open(&folder).check(&[path.into()]));
    assert!(
        check("cells/first/here.yaml").starts_with("cells/first/_shared.yaml:4 not a regular expression")
    );
    let of_shared = check("cells/first/_shared.yaml");
    assert!(
        of_shared.starts_with("cells/first/_shared.yaml:4 not a regular expression"),
        "{of_shared}"
    );
    assert!(check("cells/second").starts_with("cells/second/here.yaml:2"));
    assert_eq!(check("cells/second").lines().count(), 1);
    assert_eq!(check("manifest.yaml"), "");
    assert_eq!(check(".").lines().count(), 2);
}

#[test]
fn an_alias_that_the_gateway_lacks_breaks_the_trials_that_need_it() {
    let folder = project();
    write(&folder, "cells/first/here.yaml", GOOD);
    write(&folder, "cells/first/there.yaml", GOOD);
    write(
        &folder,
        "cells/second/there.yaml",
        "not_applicable: no such thing there\n",
    );
    let project = open(&folder);
    let faults = project.check(&[]);
    assert_eq!(faults.len(), 2, "{}", brief(&faults));
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
fn faults_of_the_manifest_are_all_found() {
    let folder = project();
    let manifest = "schema_version: \"2\"\nproviders: [here]\nfeatures:\n  - { id: first, name: First, colour: red }\n\
                    tiers: []\naliases:\n  here: \"{model}\"\n";
    write(&folder, "manifest.yaml", manifest);
    let faults = Project::open(folder.path()).expect_err("faults");
    has(&faults, "manifest.yaml:1 the text `2` is not known here");
    has(&faults, "manifest.yaml:4 unknown key `colour`");
    has(&faults, "manifest.yaml:5 the list is empty");
    let manifest = "schema_version: \"1\"\nproviders: [here, here, There]\nfeatures:\n  - { id: first, name: \" \" }\n\
                    tiers:\n  - { id: one, name: One, model: m }\naliases:\n  here: claude\n  ther: \"{model}\"\n";
    write(&folder, "manifest.yaml", manifest);
    let faults = Project::open(folder.path()).expect_err("faults");
    has(&faults, "manifest.yaml:2 `here` is there twice");
    has(&faults, "manifest.yaml:2 `There` is not a name");
    has(&faults, "manifest.yaml:4 the text is empty");
    has(&faults, "manifest.yaml:8 the alias pattern lacks `{model}`");
    has(&faults, "manifest.yaml:9 `ther` is no provider of this manifest");
}

#[test]
fn a_file_of_ten_megabytes_is_not_read() {
    let folder = project();
    write(&folder, "cells/first/here.yaml", &"#".repeat(10_000_000));
    has(
        &open(&folder).check(&[]),
        "cells/first/here.yaml:0 the file is too large",
    );
}

#[test]
fn ten_thousand_cells_are_listed_without_reading_one() {
    // In memory where that is possible: a busy disk takes seconds for as many files.
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() {
        TempDir::new_in(memory)
    } else {
        TempDir::new()
    }
    .expect("a temporary folder");
    let mut manifest = String::from("schema_version: \"1\"\nproviders: [a, b, c, d, e]\nfeatures:\n");
    for number in 0..2_000 {
        manifest.push_str(&format!("  - id: feature_{number}\n    name: Feature {number}\n"));
        let cells = folder.path().join(format!("cells/feature_{number}"));
        fs::create_dir_all(&cells).expect("a folder");
        for provider in ["a", "b", "c", "d", "e"] {
            fs::write(cells.join(format!("{provider}.yaml")), "not: [a, cell").expect("a file");
        }
    }
    manifest.push_str("tiers:\n  - { id: one, name: One, model: m }\naliases:\n");
    for provider in ["a", "b", "c", "d", "e"] {
        manifest.push_str(&format!("  {provider}: \"{{model}}-{provider}\"\n"));
    }
    write(&folder, "manifest.yaml", &manifest);
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
fn a_cell_without_a_file_is_noted_and_is_no_fault() {
    let folder = project();
    write(&folder, "cells/first/here.yaml", GOOD);
    write(&folder, "cells/first/there.yaml", GOOD);
    write(&folder, "cells/second/here.yaml", GOOD);
    let project = open(&folder);
    let notes = brief(&project.notes(&[]));
    assert_eq!(
        notes,
        "cells/second/there.yaml:0 `second::there` has no file, so the matrix shows it as not tested | write what must hold \
         there, or `not_applicable` and why\n"
    );
    assert_eq!(brief(&project.notes(&["cells/first".into()])), "");
    assert!(
        !project
            .check(&[])
            .iter()
            .any(|fault| fault.message.contains("no file"))
    );
}

#[test]
fn what_the_shared_file_lacks_is_told_once_with_the_cells_that_lack_it() {
    let folder = project();
    write(&folder, "cells/first/_shared.yaml", "prompt: Say pong\n");
    let expect = "expect:\n  reply:\n    text: { contains: pong }\n";
    write(&folder, "cells/first/here.yaml", expect);
    write(&folder, "cells/first/there.yaml", expect);
    let faults: Vec<Diagnostic> = open(&folder).check(&["cells/first".into()]);
    let lacking: Vec<&Diagnostic> = faults
        .iter()
        .filter(|fault| fault.message == "the simulated provider has no reply")
        .collect();
    assert_eq!(lacking.len(), 1, "{}", brief(&faults));
    assert_eq!(lacking[0].place.file, Path::new("cells/first/_shared.yaml"));
    let cells: Vec<String> = lacking[0]
        .related
        .iter()
        .map(|(place, _)| place.file.display().to_string())
        .collect();
    assert_eq!(cells, ["cells/first/here.yaml", "cells/first/there.yaml"]);
}

#[test]
fn what_is_no_file_is_said_to_be_none_and_is_not_waited_for() {
    let folder = project();
    let path = |name: &str| folder.path().join("cells/first").join(name);
    nix::unistd::mkfifo(&path("here.yaml"), nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
    std::os::unix::fs::symlink("nowhere.yaml", path("there.yaml")).expect("a link");
    write(&folder, "cells/second/here.yaml", GOOD);
    std::os::unix::fs::symlink("there.yaml", folder.path().join("cells/second/there.yaml")).expect("a link");
    let faults = open(&folder).check(&[]);
    has(
        &faults,
        "cells/first/here.yaml:0 this is neither a file nor a link to one",
    );
    has(
        &faults,
        "cells/first/there.yaml:0 this is a link to a file that is not there",
    );
    has(
        &faults,
        "cells/second/there.yaml:0 cannot be read: it is a link that leads to itself",
    );
}

#[test]
fn a_file_beside_the_cells_that_has_almost_the_name_is_suggested() {
    let folder = project();
    let cell = GOOD.replace(
        "prompt: Say pong",
        "prompts: [[{ text: x }, { image: _read.png }]]",
    );
    write(&folder, "cells/first/here.yaml", &cell);
    write(&folder, "cells/first/_red.png", "");
    has(
        &open(&folder).check(&["cells/first".into()]),
        "`_read.png` cannot be read: there is no such file in the feature's folder (did you mean `_red.png`?)",
    );
}
