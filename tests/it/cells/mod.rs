//! Cells: the project's own, the schemas, and diagnostics by subject.

mod at_once;
mod expectations;
mod form;
mod layers;
mod manifest;
mod misspelt;
mod mistakes;
mod proxy_config;
mod replies;
mod reserved;

use std::path::PathBuf;

use compat_matrix::cli::schema::FORMS;
use compat_matrix::document::yaml;
use compat_matrix::files::Project;
use compat_matrix::plan::Planned;

use crate::support::root;

fn project() -> Project {
    Project::open(root()).expect("the manifest is valid")
}

#[test]
fn each_trial_of_the_project_runs_or_says_why_not() {
    let project = project();
    let trials = project.trials();
    assert_eq!(
        trials[0].to_string(),
        "basic_messaging_non_streaming::anthropic::haiku"
    );
    for trial in &trials {
        match project.plan(None, trial) {
            Planned::Run(_) => {}
            Planned::NotApplicable(reason) => {
                assert!(reason.ends_with('.'), "{trial}: {reason}");
            }
            Planned::Broken(faults) => panic!("{trial}: {faults:#?}"),
        }
    }
}

#[test]
fn an_alias_contains_the_model_of_its_tier() {
    let project = project();
    let trial = "vision::bedrock_converse::opus".parse().expect("a trial's name");
    let Planned::Run(run) = project.plan(None, &trial) else {
        panic!("not a test")
    };
    assert_eq!(run.alias, "claude-opus-4-7-bedrock-converse");
}

fn files() -> Vec<(PathBuf, &'static str)> {
    let mut files = vec![(root().join("manifest.yaml"), "manifest.schema.json")];
    let mut folders = vec![root().join("cells")];
    while let Some(folder) = folders.pop() {
        for file in std::fs::read_dir(folder).expect("a folder") {
            let path = file.expect("an entry").path();
            let shared = path.ends_with("_shared.yaml");
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "yaml") {
                let schema = if shared {
                    "shared.schema.json"
                } else {
                    "cell.schema.json"
                };
                files.push((path, schema));
            }
        }
    }
    files
}

#[test]
fn every_file_names_its_schema_and_validates_against_it() {
    let files = files();
    assert!(files.len() > 20, "{files:?}");
    for (path, file) in files {
        let text = std::fs::read_to_string(&path).expect("a file");
        let first = text.lines().next().unwrap_or_default();
        let schema = first
            .strip_prefix("# yaml-language-server: $schema=")
            .unwrap_or_else(|| panic!("{} has no modeline", path.display()));
        let schema = path.parent().expect("a folder").join(schema);
        assert!(schema.ends_with(file), "{}", path.display());
        let schema = std::fs::read_to_string(schema).expect("the schema that the modeline names");
        let schema = serde_json::from_str(&schema).expect("a schema is JSON");
        let value = yaml::parse(&path, text.as_bytes()).expect("YAML").to_json();
        jsonschema::validate(&schema, &value).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }
}

#[test]
fn every_key_of_the_schemas_is_described() {
    fn walk(path: &str, schema: &serde_json::Value) {
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}.{name}");
            assert!(property["description"].is_string(), "{path} has no description");
            walk(&path, property);
        }
        for inner in ["items", "additionalProperties"] {
            if schema[inner].is_object() {
                walk(path, &schema[inner]);
            }
        }
    }
    for (file, form) in FORMS {
        walk(file, form.schema());
    }
}

#[test]
fn every_example_of_the_schemas_is_valid() {
    fn walk(path: &str, schema: &serde_json::Value) {
        let examples = schema["examples"].as_array().cloned().unwrap_or_default();
        if !examples.is_empty() {
            let validator = jsonschema::validator_for(schema).expect("a part of a schema is a schema");
            for example in examples {
                assert!(validator.is_valid(&example), "{path}: {example}");
            }
        }
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            walk(&format!("{path}.{name}"), property);
        }
        for inner in ["items", "additionalProperties"] {
            if schema[inner].is_object() {
                walk(path, &schema[inner]);
            }
        }
    }
    for (file, form) in FORMS {
        walk(file, form.schema());
    }
}
