//! Rules that the compiler cannot check: which module uses which, the language of the texts, and fresh generated files.

mod cells;
mod generated;
mod layers;
mod limits;
mod sources;
mod style;

use std::fs;
use std::path::Path;

use regex::Regex;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A text file of the project.
struct Text {
    /// Relative to the root, with `/`.
    path: String,
    text: String,
}

impl Text {
    fn is_below(&self, folders: &[&str]) -> bool {
        folders.iter().any(|folder| self.path.starts_with(folder))
    }

    /// The lines in which `pattern` finds something, as `file:line: text`.
    fn lines_with(&self, pattern: &Regex) -> Vec<String> {
        self.text
            .lines()
            .enumerate()
            .filter(|(_, line)| pattern.is_match(line))
            .map(|(index, line)| format!("{}:{}: {}", self.path, index + 1, line.trim()))
            .collect()
    }
}

/// Every text file of the project below `folder`, without built and installed ones.
fn texts(folder: &str) -> Vec<Text> {
    let mut found = Vec::new();
    walk(&root().join(folder), &mut found);
    assert!(!found.is_empty(), "there is nothing in `{folder}`");
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn walk(folder: &Path, found: &mut Vec<Text>) {
    let ignored = [
        "target",
        ".git",
        "node_modules",
        ".docusaurus",
        "build",
        "screenshots",
        "test-results",
    ];
    for entry in fs::read_dir(folder).expect("a folder") {
        let entry = entry.expect("an entry");
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if ignored.contains(&name.as_str()) || name.starts_with("compat-results") {
            continue;
        }
        if entry.file_type().expect("a kind").is_dir() {
            walk(&path, found);
        } else if let Ok(text) = fs::read_to_string(&path) {
            let path = path.strip_prefix(root()).expect("a file of the project");
            found.push(Text {
                path: path.to_string_lossy().replace('\\', "/"),
                text,
            });
        }
    }
}

/// The sources below `folders`.
fn sources(folders: &[&str]) -> Vec<Text> {
    let mut sources: Vec<Text> = folders.iter().flat_map(|folder| texts(folder)).collect();
    sources.retain(|text| text.path.ends_with(".rs"));
    sources
}

/// Rust's tokens that `code_of` removes: comments, strings and characters.
const REMOVED: &str =
    r##"(?s)//[^\n]*|b?r"[^"]*"|b?r#".*?"#|b?"(?:\\.|[^"\\])*"|b?'(?:\\[^\n]{1,9}?|[^'\\])'"##;

/// Rust code without its comments, and with its strings and characters empty.
fn code_of(text: &str) -> String {
    let removed = pattern(REMOVED);
    let (mut code, mut rest) = (String::new(), text);
    loop {
        let found = removed
            .find(rest)
            .map_or(rest.len()..rest.len(), |found| found.range());
        match rest[..found.start].find("/*") {
            Some(start) => {
                code.push_str(&rest[..start]);
                rest = after_block_comment(&rest[start..]);
            }
            None => {
                code.push_str(&rest[..found.start]);
                if found.is_empty() {
                    return code;
                }
                rest = &rest[found.end..];
            }
        }
    }
}

/// The text after the block comment that `text` begins with. Such comments may be nested.
fn after_block_comment(text: &str) -> &str {
    let mut depth = 0;
    for found in pattern(r"/\*|\*/").find_iter(text) {
        depth += if found.as_str() == "/*" { 1 } else { -1 };
        if depth == 0 {
            return &text[found.end()..];
        }
    }
    ""
}

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a pattern")
}

fn nothing_found(found: &[String], why: &str) {
    assert!(found.is_empty(), "{why}:\n{}", found.join("\n"));
}
