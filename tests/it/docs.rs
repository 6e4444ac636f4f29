//! The documents: the commands of `docs/cells.md` run and print the shown output.

use std::path::Path;

use regex::Regex;

use crate::support::files::{Folder, read};
use crate::support::project::{copy_of_this_project, copy_with_all_rows};
use crate::support::root;

fn guide() -> String {
    read(root().join("docs/cells.md"))
}

/// The fenced blocks of a text, with their languages.
fn blocks(text: &str) -> Vec<(&str, String)> {
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let body: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            blocks.push((language, body.join("\n") + "\n"));
        }
    }
    blocks
}

/// The words of a command; a quoted text is one word.
fn words(command: &str) -> Vec<String> {
    let quoted = command.split('"').enumerate();
    quoted
        .flat_map(|(index, part)| match index % 2 {
            0 => part.split_whitespace().map(str::to_owned).collect(),
            _ => vec![part.to_owned()],
        })
        .collect()
}

fn run(project: &Folder, command: &str) -> String {
    let words = words(command);
    assert_eq!(words[0], "compat", "{command}");
    let arguments: Vec<&str> = words[1..].iter().map(String::as_str).collect();
    let ran = project.compat(&arguments);
    ran.out + &ran.err
}

/// The text without the number after `manifest.yaml`, which each new row of this project changes.
fn without_line_of_manifest(text: &str) -> String {
    let line = Regex::new(r"manifest\.yaml:\d+").expect("a pattern");
    line.replace_all(text, "manifest.yaml:N").into_owned()
}

#[test]
fn the_complete_example_of_a_gateway_passes_the_check() {
    let guide = read(root().join("docs/gateways.md"));
    let example = blocks(&guide)
        .into_iter()
        .find(|(_, body)| body.contains("name: Example Gateway"));
    let project = copy_with_all_rows();
    project.write("gateways/example.yaml", &example.expect("the example").1);
    let checked = project.compat(&["check", "gateways"]);
    checked.exits(0);
    checked.err_has("no errors");
}

#[test]
fn every_command_of_the_guide_prints_the_shown_output() {
    let guide = guide();
    let project = copy_of_this_project();
    let mut commands = 0;
    for (language, body) in blocks(&guide) {
        let (first, rest) = body.split_once('\n').expect("a line");
        match language {
            "yaml" => {
                if let Some(file) = first.strip_prefix("# cells/") {
                    drop(project.write(&format!("cells/{file}"), rest));
                }
            }
            "console" => {
                let command = first.strip_prefix("$ ").expect("a command");
                assert_eq!(
                    without_line_of_manifest(&run(&project, command)).trim_end(),
                    without_line_of_manifest(rest).trim_end(),
                    "`{command}` shows something else"
                );
                commands += 1;
            }
            other => panic!("unexpected block in `{other}`"),
        }
    }
    assert_eq!(commands, 6);
}

#[test]
fn the_fragments_of_the_guide_are_valid() {
    use compat_matrix::cells::forms;
    use compat_matrix::document::yaml;
    use compat_matrix::findings;
    let guide = guide();
    let fragments: Vec<String> = blocks(&guide)
        .into_iter()
        .filter(|(language, body)| *language == "yaml" && !body.starts_with('#'))
        .map(|(_, body)| body)
        .collect();
    assert_eq!(fragments.len(), 5);
    for fragment in fragments {
        let node = yaml::parse(Path::new("docs/cells.md"), fragment.as_bytes()).expect("YAML");
        let form = match fragment.starts_with("name:") {
            true => &findings::GATEWAY_FORM,
            false => &forms::SHARED,
        };
        let faults = form.check(&node);
        assert!(faults.is_empty(), "{faults:#?}");
    }
}

/// The names in the first column of the table with the columns `header`.
fn table<'a>(text: &'a str, header: &str) -> Vec<&'a str> {
    let rows = text.lines().skip_while(|line| !line.starts_with(header)).skip(2);
    let rows = rows.take_while(|line| line.starts_with("| `"));
    rows.filter_map(|row| row.split('`').nth(1)).collect()
}

#[test]
fn the_guide_names_every_key() {
    use compat_matrix::cells::forms;
    let guide = guide();
    let schema = forms::CELL.schema();
    let keys = schema["properties"].as_object().expect("properties").keys();
    for name in keys {
        assert!(
            guide.contains(&format!("| `{name}` |")),
            "the guide has no row for `{name}`"
        );
    }
}

// `docs/cells-reference.md` is generated and complete. The guide may leave a kind out.
#[test]
fn the_guide_names_no_kind_that_does_not_exist() {
    use compat_matrix::expectation::kinds::KINDS;
    let guide = guide();
    let kinds = table(&guide, "| kind |");
    assert!(kinds.len() > 10, "{kinds:?}");
    for kind in kinds {
        assert!(KINDS.contains(&kind), "the guide has a row for `{kind}`");
    }
}

#[test]
fn the_replay_runs_each_release_of_its_page() {
    let (page, script) = (
        read(root().join("docs/regressions.md")),
        read(root().join("ci/replay-regressions")),
    );
    let pin = read(root().join("toolchain/litellm.txt"));
    let release = Regex::new(r"\b1\.\d+\.\d+\b").unwrap();
    let rows = page
        .lines()
        .skip_while(|line| !line.starts_with("| regression | "));
    let rows = rows.take_while(|line| line.starts_with('|'));
    let named: Vec<&str> = rows
        .flat_map(|row| release.find_iter(row))
        .map(|found| found.as_str())
        .collect();
    assert!(named.len() > 20, "{named:?}");
    for name in named {
        let is_run = Regex::new(&format!(r"--versions .*\b{}\b", regex::escape(name))).unwrap();
        assert!(
            is_run.is_match(&script) || pin.contains(&format!("litellm=={name} ")),
            "the page names {name}, and the script does not run it"
        );
    }
}
