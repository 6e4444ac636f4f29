//! Which module may use which.

use std::collections::BTreeSet;
use std::fs;

use regex::Regex;

use super::{Text, code_of, nothing_found, pattern, root, sources};

/// The modules that `src/lib.rs` lists, in its order, and how many of them belong to the pure core.
fn modules() -> (Vec<String>, usize) {
    let lib = fs::read_to_string(root().join("src/lib.rs")).expect("src/lib.rs");
    let (core, edge) = lib.split_once("// The edge").expect("the edge is marked");
    let names = |text: &str| -> Vec<String> {
        text.lines()
            .filter_map(|line| Some(line.strip_prefix("pub mod ")?.strip_suffix(';')?.to_owned()))
            .collect()
    };
    let (mut core, edge) = (names(core), names(edge));
    let number = core.len();
    assert!(number > 5 && edge.len() > 5, "{core:?} {edge:?}");
    core.extend(edge);
    (core, number)
}

/// The module that a file of `src/` belongs to.
fn module_of(source: &Text) -> &str {
    let path = source.path.strip_prefix("src/").expect("a source");
    path.split('/').next().expect("a name").trim_end_matches(".rs")
}

/// Whether a file of `src/` is the root of one of the crate's modules, so that `super` is the crate there.
fn is_module_root(path: &str) -> bool {
    let path = path.strip_prefix("src/").unwrap_or(path);
    !path.contains('/') || pattern(r"^\w+/mod\.rs$").is_match(path)
}

/// `code` without the bodies of its inline modules, where `super` is the module around them.
fn without_inline_modules(code: &str) -> String {
    let inline = pattern(r"\bmod \w+ \{");
    let mut rest = code;
    let mut outside = String::new();
    while let Some(found) = inline.find(rest) {
        outside.push_str(&rest[..found.start()]);
        let mut depth = 1;
        let end = rest[found.end()..].find(|character| {
            depth += i32::from(character == '{') - i32::from(character == '}');
            depth == 0
        });
        rest = end.map_or("", |end| &rest[found.end() + end..]);
    }
    outside + rest
}

/// The modules of the crate that the text of the file `path` names: `crate::name`, `crate::{name, …}`, the same after
/// `super` where that is the crate, and after a new name of the crate. A `*` stands for all of them.
fn used_modules(path: &str, text: &str) -> BTreeSet<String> {
    let code = code_of(text);
    let mut used = BTreeSet::new();
    let mut roots = vec!["crate".to_owned()];
    let renamed = pattern(r"\b(?:crate|super)(?:::\{?\s*self)?\s+as\s+(\w+)");
    roots.extend(renamed.captures_iter(&code).map(|found| found[1].to_owned()));
    used.extend(used_below(&roots.join("|"), &code));
    if is_module_root(path) {
        used.extend(used_below("super", &without_inline_modules(&code)));
    }
    used
}

/// The names that follow one of `roots` in `code`.
fn used_below(roots: &str, code: &str) -> BTreeSet<String> {
    let single = pattern(&format!(r"\b(?:{roots})\s*::\s*(\w+|\*)"));
    let group = pattern(&format!(r"(?s)\b(?:{roots})\s*::\s*\{{(.*?)\}}\s*;"));
    let mut used: BTreeSet<String> = single
        .captures_iter(code)
        .map(|found| found[1].to_owned())
        .collect();
    for found in group.captures_iter(code) {
        let mut depth = 0;
        let top_level = found[1].split(',').filter(|item| {
            let at_top = depth == 0;
            depth += item.matches('{').count() as i32 - item.matches('}').count() as i32;
            at_top
        });
        used.extend(top_level.filter_map(|item| {
            let name = pattern(r"^\s*(\w+|\*)").captures(item)?;
            Some(name[1].to_owned())
        }));
    }
    used
}

#[test]
fn no_module_uses_a_later_one() {
    let (modules, _) = modules();
    let position = |name: &str| modules.iter().position(|module| module == name);
    let mut found = Vec::new();
    for source in sources(&["src"]) {
        let Some(own) = position(module_of(&source)) else {
            continue;
        };
        for used in used_modules(&source.path, &source.text) {
            if used == "*" {
                found.push(format!("{} uses every module", source.path));
            }
            if position(&used).is_some_and(|used| used > own) {
                found.push(format!("{} uses `{used}`", source.path));
            }
        }
    }
    nothing_found(&found, "`src/lib.rs` lists the used module later");
}

#[test]
fn used_modules_are_found_in_every_kind_of_import() {
    let names = |path: &str, text: &str| used_modules(path, text).into_iter().collect::<Vec<_>>().join(" ");
    let text = "use crate::{cells::{Cell, Test}, text};\nlet x = crate::wire::Usage; // crate::cli\nuse crate::ids::*;";
    assert_eq!(names("src/run/mod.rs", text), "cells ids text wire");
    // `super` is the crate only in the root file of a module, outside of the modules in it.
    let text = "use super::cells::Cell;\nuse super::{text, wire::{a, b}};\nmod tests {\n    use super::ids;\n}\nuse super::run;";
    assert_eq!(names("src/plan/mod.rs", text), "cells run text wire");
    assert_eq!(names("src/text.rs", text), "cells run text wire");
    assert_eq!(names("src/plan/selection.rs", text), "");
    // A string is no comment, and a comment or a string is no code.
    let text = "format!(\"http://x{}\", crate::cells::y());\nr#\"\"//\"#; crate::ids::z('\"', '\\'', b'/');\n\"crate::cli\"; /* crate::run /* */ crate::run */ crate::wire::a::<'a>(\"\\\"//\")";
    assert_eq!(names("src/a/b.rs", text), "cells ids wire");
    for text in [
        "use crate as c;\nc::cells::y();",
        "use crate::{self as c};\nuse c::{cells::y};",
    ] {
        assert!(names("src/a/b.rs", text).contains("cells"), "{text}");
    }
    assert_eq!(names("src/a/b.rs", "use crate::*;"), "*");
}

#[test]
fn no_path_climbs_two_modules() {
    let climbs = pattern(r"\bsuper::super\b");
    let found: Vec<String> = sources(&["src"])
        .iter()
        .flat_map(|source| source.lines_with(&climbs))
        .collect();
    nothing_found(&found, "write `crate::…`");
}

/// Pairs of neighbours on one floor that must not know each other.
#[test]
fn the_parts_of_a_run_do_not_know_each_other() {
    let rules: [(&str, &[&str]); 3] = [
        (
            "provider",
            &["expectation", "judge", "cause", "gateway", "results"],
        ),
        (
            "gateway",
            &["expectation", "judge", "cause", "provider", "claude"],
        ),
        (
            "claude",
            &["expectation", "judge", "cause", "provider", "gateway"],
        ),
    ];
    let (modules, _) = modules();
    let mut found = Vec::new();
    for (module, unknown) in rules {
        assert!(unknown.iter().all(|name| modules.contains(&(*name).to_owned())));
        for source in sources(&["src"]) {
            let used = used_modules(&source.path, &source.text);
            let known = unknown.iter().filter(|name| used.contains(**name));
            if module_of(&source) == module {
                found.extend(known.map(|name| format!("{} uses `{name}`", source.path)));
            }
        }
    }
    nothing_found(&found, "these modules must not know each other");
}

#[test]
fn only_its_owner_uses_a_shared_resource() {
    // The pattern, the files that may contain it, and the reason.
    let rules: [(&str, &[&str], &str); 7] = [
        (
            r"\breqwest::Client(Builder)?::|\buse reqwest::[^;]*\bClient\b",
            &["src/http.rs"],
            "only `http` creates HTTP clients: write `http::client()`",
        ),
        (
            "libtest_mimic",
            &["src/harness/"],
            "only the harness uses `libtest_mimic`",
        ),
        (
            r"\bclap\b",
            &[
                "src/cli/",
                "src/plan/selection.rs",
                "src/results/last.rs",
                "src/run/options.rs",
                "src/harness/",
            ],
            "only `cli`, the harness and the shared groups of flags parse command lines",
        ),
        (
            r"\be?print(ln)?!|\banstream::std(out|err)\(",
            &["src/cli/", "src/progress/", "src/harness/"],
            "only `cli`, `progress` and the harness print",
        ),
        (
            r"\bprocess::Command\b|\bCommand::new\(",
            &["src/process/"],
            "only `process` starts processes",
        ),
        (
            r"\benv::(var|var_os|vars|vars_os|set_var|remove_var|home_dir|temp_dir)\b",
            &["src/env.rs"],
            "only `env` reads the environment",
        ),
        (
            r"\bprocess::(exit|abort)\b|\.exit\(\)",
            &[],
            "`main` returns its status, so that sessions end",
        ),
    ];
    for (text, allowed, why) in rules {
        let pattern = pattern(text);
        let (inside, outside): (Vec<Text>, Vec<Text>) = sources(&["src", "harness"])
            .into_iter()
            .partition(|source| source.is_below(allowed));
        let found = |sources: Vec<Text>| -> Vec<String> {
            sources
                .iter()
                .flat_map(|source| source.lines_with(&pattern))
                .collect()
        };
        nothing_found(&found(outside), why);
        let is_used = !found(inside).is_empty();
        assert!(
            is_used || allowed.is_empty(),
            "`{pattern}` finds nothing where it should"
        );
    }
}

/// A client of a test too sends its requests past the proxy of the developer's environment.
#[test]
fn tests_create_no_http_client() {
    let pattern = pattern(r"\breqwest::Client(Builder)?::");
    let found: Vec<String> = sources(&["tests"])
        .iter()
        .flat_map(|source| source.lines_with(&pattern))
        .collect();
    nothing_found(&found, "write `http::client()`");
}

#[test]
fn every_module_of_the_core_forbids_effects() {
    let (modules, core) = modules();
    for module in &modules[..core] {
        let file = root().join(format!("src/{module}.rs"));
        let file = match file.exists() {
            true => file,
            false => root().join(format!("src/{module}/mod.rs")),
        };
        let text = fs::read_to_string(file).expect("a module");
        assert!(
            text.contains("#![warn(clippy::disallowed_methods)]"),
            "`{module}` belongs to the core but has no `#![warn(clippy::disallowed_methods)]`"
        );
    }
}

#[test]
fn only_env_names_environment_variables() {
    let text = fs::read_to_string(root().join("src/env.rs")).expect("src/env.rs");
    let constant: Regex = pattern(r#"(?m)^pub const \w+: &str =\s+"(?<name>[A-Z]+_[A-Z0-9_]+)";"#);
    let names: Vec<&str> = constant
        .captures_iter(&text)
        .filter_map(|found| Some(found.name("name")?.as_str()))
        .collect();
    assert!(names.len() > 10, "{names:?}");
    let pattern = pattern(&format!(r#""(?:{})""#, names.join("|")));
    let found: Vec<String> = sources(&["src", "harness"])
        .iter()
        // `cells` is below `env`, so its table of reserved variables cannot use the constants.
        .filter(|source| !source.is_below(&["src/env.rs", "src/cells/reserved.rs"]))
        .flat_map(|source| source.lines_with(&pattern))
        .collect();
    nothing_found(&found, "write `env::NAME`");
}
