//! The reference of all keys of a cell, as Markdown, from the same schema that editors show.
//!
//! Pure. It says nothing that the schema does not say.

use std::fmt::Write as _;

use serde_json::Value;

use super::forms;

pub fn page() -> String {
    let schema = forms::CELL.schema();
    let mut out = String::from(
        "<!-- Generated from the schema: change `src/spec/mirror.rs`, then run `compat schema`. -->\n\n# Keys of a cell\n\n",
    );
    let _ = writeln!(
        out,
        "{}\n\n[The guide](cells.md) teaches by an example.\n",
        text(&schema["description"])
    );
    table(schema, &mut out);
    for (key, property) in properties(schema) {
        section(key, property, &mut out);
    }
    out
}

/// The value of `path`, and of what is in it.
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

/// What a list or a map of names holds.
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

/// Matchers are the same everywhere: the guide has them in one place.
fn is_matcher(schema: &Value) -> bool {
    schema["properties"]["not_contains"].is_object()
}

fn has_structure(schema: &Value) -> bool {
    properties(schema).next().is_some() && !is_matcher(schema)
}

fn table(schema: &Value, out: &mut String) {
    out.push_str("| key | value | what it is |\n|---|---|---|\n");
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

/// What may stand there, in words.
fn kind(schema: &Value) -> String {
    if is_matcher(schema) {
        return "a [matcher](cells.md#matchers)".to_owned();
    }
    if let Some(options) = schema["enum"].as_array() {
        return options
            .iter()
            .map(|option| format!("`{}`", text(option)))
            .collect::<Vec<_>>()
            .join(", ");
    }
    if let Some(options) = schema["oneOf"]
        .as_array()
        .filter(|options| options.iter().all(|option| option["const"].is_string()))
    {
        return options
            .iter()
            .map(|option| format!("`{}`", text(&option["const"])))
            .collect::<Vec<_>>()
            .join(", ");
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
