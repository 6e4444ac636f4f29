//! Limits of size, and names that stand once.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use super::{code_of, nothing_found, pattern, root, sources, texts};

fn lines(path: &str) -> usize {
    let text = fs::read_to_string(root().join(path)).expect("a file");
    text.lines().count()
}

#[test]
fn the_readme_has_at_most_180_lines() {
    assert!(lines("README.md") <= 180, "move details to `docs/`");
}

#[test]
fn the_harness_has_at_most_300_lines() {
    let lines: usize = sources(&["harness", "src/harness"])
        .iter()
        .map(|source| source.text.lines().count())
        .sum();
    assert!(
        lines <= 300,
        "{lines} lines: the harness only connects `run` to libtest-mimic"
    );
}

#[test]
fn the_vision_row_is_one_file_of_at_most_25_lines() {
    let files: Vec<String> = texts("cells/vision").into_iter().map(|text| text.path).collect();
    assert_eq!(files, ["cells/vision/_shared.yaml"]);
    let lines = lines("cells/vision/_shared.yaml");
    assert!(lines <= 25, "{lines} lines: this row shows how short a row is");
}

/// Names of several public types, each with the reason.
const SHARED_NAMES: [(&str, &str); 1] = [("Arguments", "one for each command of the command line")];

#[test]
fn no_two_public_types_have_the_same_name() {
    let item = pattern(r"(?m)^\s*pub (?:struct|enum|union|trait|type) (\w+)");
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for source in sources(&["src"]) {
        for found in item.captures_iter(&code_of(&source.text)) {
            places
                .entry(found[1].to_owned())
                .or_default()
                .push(source.path.clone());
        }
    }
    assert!(places.len() > 100, "{places:?}");
    for (name, reason) in SHARED_NAMES {
        let shared = places.remove(name).unwrap_or_default();
        assert!(
            shared.len() > 1,
            "`{name}` ({reason}) stands once: remove it from the list"
        );
    }
    let found: Vec<String> = places
        .iter()
        .filter(|(_, places)| places.len() > 1)
        .map(|(name, places)| format!("`{name}`: {}", places.join(", ")))
        .collect();
    nothing_found(&found, "one name for one thing");
}

// `cargo fmt` does not see the modules that the macro `kinds!` declares.
#[test]
fn the_kinds_of_expectation_are_formatted() {
    let files = sources(&["src/expectation/kinds"])
        .into_iter()
        .map(|source| source.path);
    let ran = Command::new("rustfmt")
        .current_dir(root())
        .args(["--check", "--edition", "2024"])
        .args(files)
        .output()
        .expect("rustfmt is part of the toolchain");
    let shown = String::from_utf8_lossy(&ran.stdout) + String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{shown}");
}
