//! Projects in temporary folders, and their diagnostics.

use std::fs;
use std::path::Path;

use compat_matrix::document::Diagnostic;
use compat_matrix::files::Project;
use tempfile::TempDir;

pub const PROXY_CONFIG: &str =
    "model_list:\n  - model_name: model-one-here\n  - model_name: model-two-here\n";

/// A project of the features `first` and `second`, the providers `here` and `there`, and the tiers `one` and `two`; a folder
/// for each feature, and no cell.
pub fn project() -> TempDir {
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

pub fn write(folder: &TempDir, file: &str, text: &str) {
    let path = folder.path().join(file);
    fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    fs::write(path, text).expect("a file");
}

pub fn open(folder: &TempDir) -> Project {
    Project::open(folder.path()).expect("a manifest without faults")
}

pub fn brief(faults: &[Diagnostic]) -> String {
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

pub fn has(faults: &[Diagnostic], wanted: &str) {
    let found = brief(faults);
    assert!(found.contains(wanted), "no `{wanted}` in\n{found}");
}

pub fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        match entry.file_type().expect("a kind").is_dir() {
            true => copy_folder(&entry.path(), &target),
            false => drop(fs::copy(entry.path(), target).expect("a copy")),
        }
    }
}

/// Enough of the gateway's configuration: the aliases that the manifest asks for.
pub fn proxy_config() -> String {
    let mut text = String::from("model_list:\n");
    for ending in ["", "-bedrock-invoke", "-bedrock-converse", "-vertex-ai"] {
        for model in ["claude-haiku-4-5", "claude-sonnet-4-6", "claude-opus-4-7"] {
            text.push_str(&format!("  - model_name: {model}{ending}\n"));
        }
    }
    text
}
