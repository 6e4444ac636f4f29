//! The project's own cells.

use std::collections::HashMap;

use compat_matrix::files::Project;

use super::{nothing_found, root, texts};

#[test]
fn every_pair_of_the_manifest_resolves() {
    let project = Project::open(root()).expect("the manifest has no faults");
    let manifest = &project.manifest;
    let cells = project.cells();
    assert_eq!(cells.len(), manifest.features.len() * manifest.providers.len());
    assert_eq!(project.layout_errors, []);
    for cell in cells {
        project
            .cell(&cell)
            .unwrap_or_else(|faults| panic!("{cell}: {faults:#?}"));
    }
}

#[test]
fn no_block_of_six_lines_is_repeated() {
    let mut blocks: HashMap<Vec<String>, String> = HashMap::new();
    let mut found = Vec::new();
    for text in texts("cells") {
        let lines: Vec<String> = text.text.lines().map(str::to_owned).collect();
        for (index, block) in lines.windows(6).enumerate() {
            let place = format!("{}:{}", text.path, index + 1);
            if let Some(first) = blocks.insert(block.to_vec(), place.clone()) {
                found.push(format!("{place} and {first}"));
            }
        }
    }
    nothing_found(
        &found,
        "a layer should hold these lines: `cells/_shared.yaml` or a `_shared.yaml` below it",
    );
}
