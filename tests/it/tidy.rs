//! What the compiler cannot check: who may use what, what every file must say, and that what is generated is fresh.

use compat_matrix::cells::reference;
use std::fs;
use std::path::{Path, PathBuf};

use compat_matrix::cli::schema::schemas;
use compat_matrix::spec_files::Project;
use regex::Regex;

/// Longest file that is written by hand, in lines.
const MOST_LINES: usize = 900;

/// Longer files: tables of data, and what is waiting to be split.
const LONG_FILES: [&str; 1] = [
    // A table: broken files and what is said of them.
    "tests/it/spec_faults.rs",
];

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

/// Every text file of the project below `folder`; what is built or installed is none of it.
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

fn nothing_found(found: &[String], why: &str) {
    assert!(found.is_empty(), "{why}:\n{}", found.join("\n"));
}

/// The modules of the pure core, as `src/lib.rs` lists them.
fn core_modules() -> Vec<String> {
    let lib = fs::read_to_string(root().join("src/lib.rs")).expect("src/lib.rs");
    let (_, core) = lib.split_once("// The pure core.").expect("the core is marked");
    let (core, _) = core.split_once("// The edge.").expect("the edge is marked");
    let modules: Vec<String> = core
        .lines()
        .filter_map(|line| Some(line.strip_prefix("pub mod ")?.strip_suffix(';')?.to_owned()))
        .collect();
    assert!(modules.len() > 5, "{modules:?}");
    modules
}

/// The modules of the edge.
fn edge_modules() -> Vec<String> {
    let lib = fs::read_to_string(root().join("src/lib.rs")).expect("src/lib.rs");
    let (_, edge) = lib.split_once("// The edge.").expect("the edge is marked");
    edge.lines()
        .filter_map(|line| Some(line.strip_prefix("pub mod ")?.strip_suffix(';')?.to_owned()))
        .collect()
}

/// The file in which module `name` begins.
fn module_file(name: &str) -> PathBuf {
    let file = root().join(format!("src/{name}.rs"));
    match file.exists() {
        true => file,
        false => root().join(format!("src/{name}/mod.rs")),
    }
}

#[test]
fn each_thing_is_used_only_where_it_belongs() {
    // What, where it may stand, and where else to go.
    let rules: [(&str, &[&str], &str); 6] = [
        (
            "libtest_mimic",
            &["harness/"],
            "`libtest_mimic` is the harness's alone",
        ),
        (
            r"\bclap\b",
            &[
                "src/cli/",
                "src/plan/selection.rs",
                "src/results/last.rs",
                "src/run/options.rs",
                "harness/",
            ],
            "the command line is `cli`'s, the harness has its own, and filters are groups of flags",
        ),
        (
            r"\be?print(ln)?!|\banstream::std(out|err)\(",
            &["src/cli/", "src/progress.rs", "harness/"],
            "printing is for `cli`, `progress` and the harness",
        ),
        (
            r"\bprocess::Command\b|\bCommand::new\(",
            &["src/process/", "src/process.rs"],
            "processes are started by `process` alone",
        ),
        (
            r"\benv::(var|var_os|vars|vars_os|set_var|remove_var)\b",
            &["src/env.rs"],
            "the environment is read by `env` alone",
        ),
        (
            r"\bprocess::exit\b|\.exit\(\)",
            &[],
            "`main` returns its status, so that sessions end",
        ),
    ];
    for (pattern, allowed, why) in rules {
        let pattern = Regex::new(pattern).expect("a pattern");
        let found: Vec<String> = sources(&["src", "harness"])
            .iter()
            .filter(|source| !source.is_below(allowed))
            .flat_map(|source| source.lines_with(&pattern))
            .collect();
        nothing_found(&found, why);
        let used = sources(&["src", "harness"])
            .iter()
            .any(|source| source.is_below(allowed) && !source.lines_with(&pattern).is_empty());
        assert!(
            used || allowed.is_empty(),
            "`{pattern}` finds nothing where it should"
        );
    }
}

#[test]
fn no_module_uses_one_that_it_must_not_know() {
    let edge = edge_modules();
    let edge: Vec<&str> = edge.iter().map(String::as_str).collect();
    let core = core_modules();
    let mut rules: Vec<(String, Vec<&str>)> =
        core.iter().map(|module| (module.clone(), edge.clone())).collect();
    rules.push((
        "provider".into(),
        vec!["expect", "cause", "gateway", "session", "trial", "results"],
    ));
    rules.push((
        "gateway".into(),
        vec!["expect", "cause", "provider", "claude", "session", "trial"],
    ));
    rules.push((
        "claude".into(),
        vec!["expect", "cause", "provider", "gateway", "session", "trial"],
    ));
    for (module, unknown) in rules {
        let names = unknown.join("|");
        let pattern = Regex::new(&format!(
            r"\b(?:crate|compat_matrix)::(?:{names})\b|^use (?:{names})::"
        ))
        .expect("a pattern");
        let (file, folder) = (format!("src/{module}.rs"), format!("src/{module}/"));
        let found: Vec<String> = sources(&["src"])
            .iter()
            .filter(|source| source.path == file || source.path.starts_with(&folder))
            .flat_map(|source| source.lines_with(&pattern))
            .filter(|line| !line.contains("//"))
            .collect();
        nothing_found(
            &found,
            &format!("`{module}` must know nothing of {}", unknown.join(", ")),
        );
    }
}

#[test]
fn every_module_of_the_core_warns_of_the_world() {
    for module in core_modules() {
        let text = fs::read_to_string(module_file(&module)).expect("a module");
        assert!(
            text.contains("#![warn(clippy::disallowed_methods)]"),
            "`{module}` is of the core but lacks `#![warn(clippy::disallowed_methods)]`"
        );
    }
}

#[test]
fn every_module_says_what_it_does() {
    let found: Vec<String> = sources(&["src", "harness", "tests", "benches"])
        .into_iter()
        .filter(|source| !source.text.starts_with("//! ") && source.path != "src/main.rs")
        .map(|source| source.path)
        .collect();
    nothing_found(&found, "these begin without `//!`");
}

#[test]
fn nothing_is_allowed_unfinished_or_left_from_looking_for_a_fault() {
    // In two pieces, so that this file does not hold them.
    let patterns = [
        (
            concat!(r"#!?\[al", r"low\("),
            "`#[expect(…, reason = …)]` goes away when it is not needed any more",
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
    for (pattern, why) in patterns {
        let pattern = Regex::new(pattern).expect("a pattern");
        let found: Vec<String> = sources(&["src", "harness", "tests", "benches"])
            .iter()
            .flat_map(|source| source.lines_with(&pattern))
            .collect();
        nothing_found(&found, why);
    }
}

#[test]
fn the_names_of_environment_variables_stand_in_env_alone() {
    let text = fs::read_to_string(root().join("src/env.rs")).expect("src/env.rs");
    let constant =
        Regex::new(r#"(?m)^pub const \w+: &str =\s+"(?<name>[A-Z]+_[A-Z0-9_]+)";"#).expect("a pattern");
    let names: Vec<&str> = constant
        .captures_iter(&text)
        .filter_map(|found| Some(found.name("name")?.as_str()))
        .collect();
    assert!(names.len() > 10, "{names:?}");
    let pattern = Regex::new(&format!(r#""(?:{})""#, names.join("|"))).expect("a pattern");
    let found: Vec<String> = sources(&["src", "harness"])
        .iter()
        // The core's table of what a cell may not set cannot ask the edge.
        .filter(|source| !source.is_below(&["src/env.rs", "src/cells/reserved.rs"]))
        .flat_map(|source| source.lines_with(&pattern))
        .collect();
    nothing_found(&found, "say `env::NAME`");
}

#[test]
fn no_file_names_a_package_registry_or_a_place_on_one_machine() {
    let hosts = [
        concat!("registry.", "npm", "js"),
        concat!("registry.", "yarn", "pkg"),
        concat!("npm", "js.", "com"),
        concat!("py", "pi.", "org"),
        concat!("files.python", "hosted"),
        concat!("crates", ".io"),
        concat!("proxy.", "golang"),
    ];
    let hosts = Regex::new(&hosts.map(regex::escape).join("|")).expect("a pattern");
    let folders = ["work", "root", "Users"].join("|");
    let places = Regex::new(&format!(r"(?:^|[^\w.\-/}}])/(?:{folders})/")).expect("a pattern");
    let texts = texts("");
    let of = |pattern: &Regex| -> Vec<String> {
        texts
            .iter()
            // Cargo writes its own registry's name there.
            .filter(|text| text.path != "Cargo.lock")
            .flat_map(|text| text.lines_with(pattern))
            .collect()
    };
    nothing_found(
        &of(&hosts),
        "registries come from the configuration of their clients",
    );
    nothing_found(&of(&places), "this is a place on one machine");
}

#[test]
fn no_file_written_by_hand_is_long() {
    let by_hand = [
        ".rs", ".yaml", ".md", ".mdx", ".ts", ".tsx", ".js", ".mjs", ".sh", ".css",
    ];
    let long: Vec<(String, usize)> = texts("")
        .into_iter()
        .map(|text| (text.text.lines().count(), text.path))
        .filter(|(lines, path)| *lines > MOST_LINES && by_hand.iter().any(|ending| path.ends_with(ending)))
        .map(|(lines, path)| (path, lines))
        .collect();
    let found: Vec<String> = long
        .iter()
        .filter(|(path, _)| !LONG_FILES.contains(&path.as_str()))
        .map(|(path, lines)| format!("{path}: {lines} lines"))
        .collect();
    nothing_found(&found, &format!("these have more than {MOST_LINES} lines"));
    for listed in LONG_FILES {
        assert!(
            long.iter().any(|(path, _)| path == listed),
            "`{listed}` is not long any more"
        );
    }
}

#[test]
fn every_pair_of_the_manifest_resolves() {
    let project = Project::open(root()).expect("the manifest has no faults");
    let manifest = &project.manifest;
    let cells = project.cells();
    assert_eq!(cells.len(), manifest.features.len() * manifest.providers.len());
    assert_eq!(project.layout_faults, []);
    for cell in cells {
        project
            .cell(&cell)
            .unwrap_or_else(|faults| panic!("{cell}: {faults:#?}"));
    }
}

#[test]
fn what_is_generated_from_the_types_is_fresh() {
    let generated = schemas()
        .into_iter()
        .map(|(name, text)| (format!("schema/{name}"), text))
        .chain([("docs/cells-reference.md".to_owned(), reference::page())]);
    let mut fresh = Vec::new();
    for (file, text) in generated {
        let written = fs::read_to_string(root().join(&file)).unwrap_or_default();
        assert_eq!(written, text, "`{file}` is not fresh: run `cargo run -- schema`");
        fresh.push(file);
    }
    for text in texts("schema") {
        assert!(fresh.contains(&text.path), "nothing makes `{}`", text.path);
    }
}
