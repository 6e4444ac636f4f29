//! The help of every command: its purpose, each argument, and examples with existing arguments.

use compat_matrix::env;
use tempfile::TempDir;

use crate::support::ran::{Ran, printed};
use crate::support::root;
use crate::support::text::assert_has;

#[test]
fn a_program_without_built_in_cells_says_so() {
    let folder = TempDir::new().unwrap();
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_compat"));
    let command = command.args(["run", "--list"]).current_dir(folder.path());
    let ran = Ran::new(command.env_remove(env::CARGO_MANIFEST_DIR).output().unwrap());
    ran.exits(2);
    ran.err_has("no `manifest.yaml` in ");
    ran.err_has("only a release has them");
}

fn help(path: &[String]) -> String {
    let mut arguments: Vec<&str> = path.iter().map(String::as_str).collect();
    arguments.push("--help");
    printed(".", &arguments)
}

/// The commands that a help text lists.
fn subcommands(help: &str) -> Vec<String> {
    let Some((_, list)) = help.split_once("Commands:\n") else {
        return Vec::new();
    };
    list.lines()
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

/// Every command, the program itself first, with its help.
fn commands() -> Vec<(Vec<String>, String)> {
    let mut found = Vec::new();
    let mut open = vec![Vec::new()];
    while let Some(path) = open.pop() {
        let text = help(&path);
        for name in subcommands(&text) {
            open.push([&path[..], &[name]].concat());
        }
        found.push((path, text));
    }
    assert!(found.len() > 20, "{}", found.len());
    found
}

#[test]
fn every_command_has_examples_and_explains_its_arguments() {
    let mut poor = Vec::new();
    for (path, text) in commands() {
        let name = format!("compat {}", path.join(" "));
        if !text.contains("Examples:") {
            poor.push(format!("`{name}` has no examples"));
        }
        // clap writes an argument's explanation on its line or below.
        let lines: Vec<&str> = text.lines().collect();
        for (index, line) in lines.iter().enumerate() {
            let trimmed = line.trim_start();
            let is_default = trimmed.starts_with("[default")
                || trimmed.starts_with("[possible")
                || trimmed.starts_with("- ");
            // Lines with more indentation are an argument's text.
            let is_argument = !is_default
                && line.len() - trimmed.len() <= 6
                && line.starts_with("  ")
                && (trimmed.starts_with('-') || trimmed.starts_with('<') || trimmed.starts_with('['));
            let in_examples = lines[..index].iter().any(|line| line.starts_with("Examples:"));
            let explained = trimmed.split("  ").count() > 1
                || lines
                    .get(index + 1)
                    .is_some_and(|next| next.starts_with("          ") && !next.trim().is_empty());
            if is_argument && !in_examples && !explained {
                poor.push(format!("`{name}` does not explain `{trimmed}`"));
            }
        }
    }
    assert!(poor.is_empty(), "{}", poor.join("\n"));
}

#[test]
fn every_example_has_an_existing_command_and_flags() {
    let commands = commands();
    let mut wrong = Vec::new();
    for (_, text) in &commands {
        let Some((_, examples)) = text.split_once("Examples:") else {
            continue;
        };
        for example in examples
            .lines()
            .filter_map(|line| line.trim().strip_prefix("compat "))
        {
            let words: Vec<&str> = example
                .split_whitespace()
                .take_while(|word| !matches!(*word, "|" | ">" | "&&" | "<" | ";"))
                .collect();
            let path: Vec<String> = (1..=words.len())
                .map(|length| {
                    words[..length]
                        .iter()
                        .map(|word| (*word).to_owned())
                        .collect::<Vec<String>>()
                })
                .filter(|path| commands.iter().any(|(known, _)| known == path))
                .max_by_key(Vec::len)
                .unwrap_or_default();
            let Some((_, help)) = commands
                .iter()
                .find(|(known, _)| *known == path && !path.is_empty())
            else {
                wrong.push(format!("there is no command in `compat {example}`"));
                continue;
            };
            for flag in words
                .iter()
                .filter(|word| word.starts_with("--") && word.len() > 2)
            {
                let name = flag.split('=').next().unwrap_or(flag);
                if !help.contains(name) {
                    wrong.push(format!(
                        "`compat {}` has no `{name}`: `compat {example}`",
                        path.join(" ")
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn completions_and_man_pages_have_every_command() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let text = printed(".", &["completions", shell]);
        for words in ["explain", "after"] {
            assert!(text.contains(words), "{shell}: no `{words}`");
        }
    }
    let folder = TempDir::new().expect("a temporary folder");
    printed(".", &["man", &folder.path().display().to_string()]);
    for (path, _) in commands() {
        let name = [&["compat".to_owned()], &path[..]].concat().join("-");
        let page = std::fs::read_to_string(folder.path().join(format!("{name}.1")));
        let page = page.unwrap_or_else(|_| panic!("no `{name}.1`"));
        assert!(page.contains(".SH NAME"), "{name}");
    }
}

#[test]
fn the_page_on_red_cells_has_every_cause() {
    use compat_matrix::outcome::Cause;
    let root = root();
    let page = std::fs::read_to_string(root.join("docs/why-red.md")).expect("the page");
    let sections: Vec<&str> = page.split("\n## ").skip(1).collect();
    let names: Vec<String> = sections
        .iter()
        .map(|section| {
            section
                .lines()
                .next()
                .unwrap_or_default()
                .trim_matches('`')
                .to_owned()
        })
        .collect();
    assert_eq!(names, Cause::ALL.map(|cause| cause.as_str().to_owned()));
    for (cause, section) in Cause::ALL.into_iter().zip(sections) {
        for label in ["**What it means.** ", "**What to look at.** ", "**What to do.** "] {
            assert!(section.contains(label), "`{}` lacks {label}", cause.as_str());
        }
        let judged = if cause.is_judged() { "yes" } else { "no" };
        let row = page
            .lines()
            .find(|line| line.starts_with(&format!("| [`{0}`](#{0}) |", cause.as_str())));
        assert!(
            row.is_some_and(|row| row.ends_with(&format!("| {judged} |"))),
            "{row:?}"
        );
    }
    let readme = std::fs::read_to_string(root.join("README.md")).expect("the readme");
    assert_has(&readme, "(docs/why-red.md)");
    // The commands on the page.
    let known: Vec<String> = commands().into_iter().map(|(path, _)| path.join(" ")).collect();
    for named in page.split("`compat ").skip(1) {
        let words: Vec<&str> = named.split(['`', ' ']).collect();
        assert!(
            known.iter().any(|known| *known == words[0]),
            "`compat {}`",
            words[0]
        );
    }
}
