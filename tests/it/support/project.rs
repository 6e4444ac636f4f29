//! Projects in temporary folders, and their diagnostics.

use std::fs;

use compat_matrix::document::Diagnostic;
use compat_matrix::files::Project;

use super::files::{Folder, copy_folder};
use super::root;

/// A project of the features `first` and `second`, the providers `here` and `there`, and the tiers `one` and `two`. Each
/// feature has a folder and no cell.
pub fn two_features() -> Folder {
    let folder = Folder::with(&[
        (
            "manifest.yaml",
            "schema_version: \"1\"\nproviders: [here, there]\nfeatures:\n  - { id: first, name: First }\n  - { id: second, name: Second }\n\
             tiers:\n  - { id: one, name: One, model: model-one }\n  - { id: two, name: Two, model: model-two }\n\
             aliases:\n  here: \"{model}-here\"\n  there: \"{model}-there\"\n",
        ),
        (
            "proxy_config.yaml",
            "model_list:\n  - { model_name: model-one-here, litellm_params: { model: anthropic/claude-haiku-4-5 } }\n  - { \
             model_name: model-two-here, litellm_params: { model: anthropic/claude-opus-4-7 } }\n",
        ),
    ]);
    for feature in ["first", "second"] {
        fs::create_dir_all(folder.path("cells").join(feature)).unwrap();
    }
    folder
}

/// A copy of this project's manifest and cells, with a configuration that has the manifest's aliases.
pub fn copy_with_all_rows() -> Folder {
    let mut proxy_config = String::from("model_list:\n");
    let endings = [
        "",
        "-bedrock-invoke",
        "-bedrock-converse",
        "-vertex-ai",
        "-azure",
        "-bedrock-mantle",
    ];
    let models = [
        "claude-haiku-4-5",
        "claude-sonnet-4-6",
        "claude-opus-4-7",
        "claude-haiku-5-5",
        "claude-sonnet-5-5",
        "claude-opus-5-5",
    ];
    for ending in endings {
        for model in models {
            proxy_config.push_str(&format!(
                "  - {{ model_name: {model}{ending}, litellm_params: {{ model: anthropic/{model} }} }}\n"
            ));
        }
    }
    let folder = Folder::with(&[("proxy_config.yaml", &proxy_config)]);
    copy_folder(&root().join("cells"), &folder.path("cells"));
    fs::copy(root().join("manifest.yaml"), folder.path("manifest.yaml")).unwrap();
    folder
}

/// A copy with the six rows of the first version.
pub fn copy_of_this_project() -> Folder {
    let folder = copy_with_all_rows();
    let (manifest, later) = manifest_of_first_rows();
    for row in later {
        fs::remove_dir_all(folder.path(&format!("cells/{row}"))).unwrap();
    }
    fs::write(folder.path("manifest.yaml"), manifest).unwrap();
    folder
}

/// This project's manifest with the six rows of the first version, and the ids of the other rows.
fn manifest_of_first_rows() -> (String, Vec<String>) {
    let text = fs::read_to_string(root().join("manifest.yaml")).expect("the manifest");
    let (head, rest) = text.split_once("features:\n").expect("the rows");
    let (rows, tail) = rest.split_once("\n\n").expect("the end of the rows");
    let mut rows = rows.split("  - id: ").skip(1);
    let first: String = rows
        .by_ref()
        .take(6)
        .map(|row| format!("  - id: {row}"))
        .collect();
    let later = rows.map(|row| row.lines().next().unwrap_or_default().to_owned());
    let manifest = format!("{head}features:\n{}\n\n{tail}", first.trim_end());
    (manifest, later.collect())
}

/// This project's manifest with the rows, columns and tiers of its part `v0` alone.
pub fn manifest_of_v0() -> String {
    let (text, _) = manifest_of_first_rows();
    let (head, rest) = text.split_once("  - id: haiku_5_5").expect("a second set");
    let (_, rest) = rest.split_once("# The gateway's aliases").expect("the aliases");
    let (aliases, _) = rest.split_once("# Parts of the matrix").expect("the parts");
    let is_of_v0 = |line: &&str| !line.contains("bedrock_mantle") && !line.contains("not_on:");
    let lines: Vec<&str> = head
        .lines()
        .chain(aliases.lines().skip(1))
        .filter(is_of_v0)
        .collect();
    lines.join("\n") + "\n"
}

pub fn open(folder: &Folder) -> Project {
    Project::open(folder.root()).expect("a valid manifest")
}

/// A line for each diagnostic: `file:line message | hint`.
pub fn summary(diagnostics: &[Diagnostic]) -> String {
    let line = |diagnostic: &Diagnostic| {
        let hint = diagnostic.hint.as_deref().unwrap_or_default();
        format!(
            "{}:{} {} | {hint}\n",
            diagnostic.place.file.display(),
            diagnostic.place.line,
            diagnostic.message
        )
    };
    diagnostics.iter().map(line).collect()
}

/// Fails unless the summary of `diagnostics` contains `text`.
#[track_caller]
pub fn has(diagnostics: &[Diagnostic], text: &str) {
    super::text::assert_has(&summary(diagnostics), text);
}
