//! What every source and every text file must have, and must not have.

use regex::Regex;

use super::{nothing_found, pattern, sources, texts};

/// The longest Rust file, in lines.
const MAX_RUST_LINES: usize = 600;
/// The longest other file that is written by hand, in lines.
const MAX_LINES: usize = 900;

#[test]
fn every_module_begins_with_its_purpose() {
    let found: Vec<String> = sources(&["src", "harness", "tests", "benches"])
        .into_iter()
        .filter(|source| !source.text.starts_with("//! ") && source.path != "src/main.rs")
        .map(|source| source.path)
        .collect();
    nothing_found(&found, "these do not begin with `//!`");
}

#[test]
fn no_source_is_unfinished() {
    // In two pieces, so that this file does not contain them.
    let patterns = [
        (
            concat!(r"#!?\[al", r"low\("),
            "`#[expect(…, reason = …)]` reports when it is not needed any more",
        ),
        (
            concat!(r"\b(to", r"do|unimple", r"mented|d", r"bg)!"),
            "this is not finished",
        ),
        (concat!(r"\bfn te", r"st_"), "a test's name is a sentence"),
        (
            concat!(r"\bTO", r"DO\b|\bFIX", r"ME\b|\bX", r"XX\b"),
            "an issue is the place for this",
        ),
    ];
    for (text, why) in patterns {
        let pattern = pattern(text);
        let found: Vec<String> = sources(&["src", "harness", "tests", "benches"])
            .iter()
            .flat_map(|source| source.lines_with(&pattern))
            .collect();
        nothing_found(&found, why);
    }
}

#[test]
fn no_file_names_a_package_registry_or_a_local_path() {
    let hosts = [
        concat!("registry.", "npm", "js"),
        concat!("registry.", "yarn", "pkg"),
        concat!("npm", "js.", "com"),
        concat!("py", "pi.", "org"),
        concat!("files.python", "hosted"),
        concat!("crates", ".io"),
        concat!("proxy.", "golang"),
    ];
    let hosts = pattern(&hosts.map(regex::escape).join("|"));
    let folders = ["work", "root", "Users"].join("|");
    let places = pattern(&format!(r"(?:^|[^\w.\-/}}])/(?:{folders})/"));
    let texts = texts("");
    let lines_with = |pattern: &Regex| -> Vec<String> {
        texts
            .iter()
            // Cargo writes its own registry's name there.
            .filter(|text| text.path != "Cargo.lock")
            .flat_map(|text| text.lines_with(pattern))
            .collect()
    };
    nothing_found(
        &lines_with(&hosts),
        "the clients' configuration names the registries",
    );
    nothing_found(&lines_with(&places), "this is a path of one machine");
}

#[test]
fn no_file_is_long() {
    let endings = [
        ".rs", ".yaml", ".md", ".mdx", ".ts", ".tsx", ".js", ".mjs", ".sh", ".css",
    ];
    let found: Vec<String> = texts("")
        .into_iter()
        .filter(|text| endings.iter().any(|ending| text.path.ends_with(ending)))
        .filter_map(|text| {
            let most = match text.path.ends_with(".rs") {
                true => MAX_RUST_LINES,
                false => MAX_LINES,
            };
            let lines = text.text.lines().count();
            (lines > most).then(|| format!("{}: {lines} lines, at most {most}", text.path))
        })
        .collect();
    nothing_found(&found, "these files are too long");
}

#[test]
fn the_name_of_a_test_has_at_most_60_characters() {
    let test = pattern(r"(?m)^\s*#\[(?:tokio::)?test[^\]]*\]\n(?:\s*#\[[^\n]*\n)*\s*(?:async )?fn (\w{61,})");
    let mut found = Vec::new();
    for source in sources(&["src", "tests"]) {
        found.extend(
            test.captures_iter(&source.text)
                .map(|name| format!("{}: {}", source.path, &name[1])),
        );
    }
    nothing_found(&found, "shorten these names");
}
