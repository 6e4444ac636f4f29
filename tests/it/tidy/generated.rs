//! Generated files are fresh.

use std::fs;

use compat_matrix::cells::reference;
use compat_matrix::cli::schema::schemas;

use super::{root, texts};

#[test]
fn generated_files_are_fresh() {
    let generated = schemas()
        .into_iter()
        .map(|(name, text)| (format!("schema/{name}"), text))
        .chain([("docs/cells-reference.md".to_owned(), reference::page())]);
    let mut fresh = Vec::new();
    for (file, text) in generated {
        let written = fs::read_to_string(root().join(&file)).unwrap_or_default();
        assert!(written == text, "`{file}` is stale: run `cargo run -- schema`");
        fresh.push(file);
    }
    for text in texts("schema") {
        assert!(fresh.contains(&text.path), "no type generates `{}`", text.path);
    }
}
