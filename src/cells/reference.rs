//! The reference of all keys of a cell, as Markdown, generated from the schema that editors use.

use std::fmt::Write as _;

use serde_json::Value;

use super::forms;
use crate::text::listed;

pub fn page() -> String {
    let schema = forms::CELL.schema();
    let mut out = String::from(
        "<!-- Generated from the doc comments in `src/cells/raw.rs` and `src/expectation/`: change these, then run `compat schema`. -->\n\n\
         # Keys of a cell\n\n",
    );
    let _ = writeln!(
        out,
        "{}\n\n[The guide](cells.md) shows an example.\n",
        text(&schema["description"])
    );
    table(schema, &mut out);
    for (key, property) in properties(schema) {
        section(key, property, &mut out);
    }
    out
}

/// The section of the key `path`, and the sections of its keys.
fn section(path: &str, schema: &Value, out: &mut String) {
    let (path, schema) = innermost(path, schema);
    if !has_structure(schema) {
        return;
    }
    let _ = writeln!(out, "\n## `{path}`\n\n{}\n", text(&schema["description"]));
    table(schema, out);
    for (key, property) in properties(schema) {
        section(&format!("{path}.{key}"), property, out);
    }
}

/// The items of a list or the values of a map of names, with their path.
fn innermost<'a>(path: &str, schema: &'a Value) -> (String, &'a Value) {
    if schema["items"].is_object() {
        return innermost(&format!("{path}[]"), &schema["items"]);
    }
    if schema["additionalProperties"].is_object() {
        return innermost(&format!("{path}.<name>"), &schema["additionalProperties"]);
    }
    (path.to_owned(), schema)
}

fn properties(schema: &Value) -> impl Iterator<Item = (&String, &Value)> {
    schema["properties"].as_object().into_iter().flatten()
}

/// The guide describes matchers.
fn is_matcher(schema: &Value) -> bool {
    schema["properties"]["not_contains"].is_object()
}

fn has_structure(schema: &Value) -> bool {
    properties(schema).next().is_some() && !is_matcher(schema)
}

fn table(schema: &Value, out: &mut String) {
    out.push_str("| key | value | meaning |\n|---|---|---|\n");
    for (key, property) in properties(schema) {
        let required = schema["required"]
            .as_array()
            .is_some_and(|names| names.contains(&Value::from(key.as_str())));
        let needed = if required { " Required." } else { "" };
        let examples = match examples(property) {
            Some(examples) => format!(" Example: {examples}."),
            None => String::new(),
        };
        let described = format!("{}{needed}{examples}", text(&property["description"]));
        let _ = writeln!(
            out,
            "| `{key}` | {} | {} |",
            kind(property),
            described.replace('|', "\\|")
        );
    }
}

fn examples(schema: &Value) -> Option<String> {
    let examples = schema["examples"].as_array()?;
    let written: Vec<String> = examples.iter().map(|example| format!("`{example}`")).collect();
    Some(written.join(", "))
}

/// The allowed values, in words.
fn kind(schema: &Value) -> String {
    if is_matcher(schema) {
        return "a [matcher](cells.md#matchers)".to_owned();
    }
    let constants = schema["oneOf"].as_array().into_iter().flatten();
    let constants = constants.filter_map(|option| option["const"].as_str());
    let options = schema["enum"].as_array().into_iter().flatten();
    let options: Vec<&str> = options.filter_map(Value::as_str).chain(constants).collect();
    if !options.is_empty() {
        return listed(options);
    }
    if schema["items"].is_object() {
        return format!("a list, each {}", kind(&schema["items"]));
    }
    if schema["additionalProperties"].is_object() {
        return format!("a map, each {}", kind(&schema["additionalProperties"]));
    }
    let plain = match schema["type"].as_str() {
        Some("string") => "a text",
        Some("integer") => "a whole number",
        Some("number") => "a number",
        Some("boolean") => "`true` or `false`",
        Some("array") => "a list",
        Some("object") => "a map",
        _ if schema["type"].is_array() => "a number from 1, `every` or `last`",
        _ => "any value",
    };
    match (&schema["minimum"], &schema["maximum"]) {
        _ if schema["type"].is_array() => plain.to_owned(),
        (Value::Null, Value::Null) => plain.to_owned(),
        (least, Value::Null) => format!("{plain} of at least {least}"),
        (Value::Null, most) => format!("{plain} of at most {most}"),
        (least, most) => format!("{plain} from {least} to {most}"),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
