//! The form of a kind of file: its JSON Schema, generated from the Rust type, and the errors of form it finds.
//!
//! All errors of form of a file are reported at once, worded for its author, each at its text. The meaning of a
//! value is checked elsewhere.

use jsonschema::Validator;
use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use schemars::{JsonSchema, Schema};
use serde_json::Value;

use super::diagnostic::Diagnostic;
use super::explain::{NO_KIND, UNKNOWN_VALUE, explain};
use super::node::Node;

/// The form of a kind of file.
#[derive(Debug)]
pub struct Form {
    schema: Value,
    validator: Validator,
}

impl Form {
    /// The form that `T` deserializes from.
    pub fn of<T: JsonSchema>() -> Self {
        Self::new(generate::<T>())
    }

    /// The same form without the top-level keys `keys`, under another title and description.
    pub fn without(&self, keys: &[&str], title: &str, description: &str) -> Self {
        let mut schema = self.schema.clone();
        schema["title"] = title.into();
        schema["description"] = description.into();
        if let Some(properties) = schema["properties"].as_object_mut() {
            for key in keys {
                properties.shift_remove(*key);
            }
        }
        Self::new(schema)
    }

    fn new(schema: Value) -> Self {
        let validator = jsonschema::validator_for(&schema).expect("a generated schema is a valid schema");
        Self { schema, validator }
    }

    /// The JSON Schema (draft 7, without references).
    pub fn schema(&self) -> &Value {
        &self.schema
    }

    /// The text of the schema's file.
    pub fn schema_text(&self) -> String {
        format!("{:#}\n", self.schema)
    }

    /// Every error of form in `node`.
    pub fn check(&self, node: &Node) -> Vec<FormError> {
        let value = node.to_json();
        let mut errors: Vec<FormError> = self
            .validator
            .iter_errors(&value)
            .flat_map(|error| explain(&error, &self.schema, node))
            .collect();
        drop_misspelt(&mut errors);
        drop_unknown_of_wrong_type(&mut errors);
        errors.sort_by_key(|found| (found.diagnostic.place.line, found.diagnostic.place.column));
        errors
    }

    /// The diagnostics of every error of form in `node`.
    pub fn diagnostics(&self, node: &Node) -> Vec<Diagnostic> {
        self.check(node)
            .into_iter()
            .map(|found| found.diagnostic)
            .collect()
    }
}

fn generate<T: JsonSchema>() -> Value {
    // Draft 7 without references: every editor understands it and shows the hover text at its key.
    let settings = SchemaSettings::draft07()
        .with(|settings| settings.inline_subschemas = true)
        .with_transform(Plain);
    let schema = settings
        .for_deserialize()
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value();
    heading_first(schema)
}

/// Puts `$schema`, `title` and `description` before the other keys.
fn heading_first(schema: Value) -> Value {
    let Value::Object(mut rest) = schema else {
        return schema;
    };
    let mut ordered = serde_json::Map::new();
    for key in ["$schema", "title", "description"] {
        ordered.extend(rest.shift_remove(key).map(|value| (key.to_owned(), value)));
    }
    ordered.extend(rest);
    Value::Object(ordered)
}

/// Takes out what Rust types say and authors need not read: nulls for keys that may be missing, integer formats,
/// defaults, and the line breaks of the source.
#[derive(Clone)]
struct Plain;

impl Transform for Plain {
    fn transform(&mut self, schema: &mut Schema) {
        transform_subschemas(self, schema);
        schema.remove("format");
        schema.remove("default");
        let without_null = match schema.get("type") {
            Some(Value::Array(types)) => {
                let types: Vec<Value> = types.iter().filter(|kind| *kind != "null").cloned().collect();
                Some(if types.len() == 1 {
                    types[0].clone()
                } else {
                    types.into()
                })
            }
            _ => None,
        };
        if let Some(types) = without_null {
            schema.insert("type".to_owned(), types);
        }
        if let Some(description) = schema.get("description").and_then(Value::as_str) {
            let joined = description.split('\n').collect::<Vec<_>>().join(" ");
            schema.insert("description".to_owned(), joined.into());
        }
        unwrap_nullable(schema);
    }
}

/// `anyOf: [X, null]` is `X`, with the description that stands outside.
fn unwrap_nullable(schema: &mut Schema) {
    let Some(Value::Array(options)) = schema.get("anyOf") else {
        return;
    };
    let rest: Vec<Value> = options
        .iter()
        .filter(|option| option["type"] != "null")
        .cloned()
        .collect();
    let [Value::Object(inner)] = &rest[..] else { return };
    schema.remove("anyOf");
    for (key, value) in inner {
        if schema.get(key).is_none() {
            schema.insert(key.clone(), value.clone());
        }
    }
}

/// An error of form.
#[derive(Clone, Debug)]
pub struct FormError {
    /// The path to the value: keys, and list indexes from 0. For an unknown key, the path ends with that key.
    pub path: Vec<String>,
    pub diagnostic: Diagnostic,
}

/// A key that is there misspelt is not missing as well: that would be two faults of one mistake.
fn drop_misspelt(faults: &mut Vec<FormError>) {
    let misspelt: Vec<(Vec<String>, String)> = faults
        .iter()
        .filter(|found| found.diagnostic.message.starts_with("unknown key"))
        .filter_map(|found| {
            let parent = found.path.split_last()?.1.to_vec();
            let meant = found
                .diagnostic
                .hint
                .as_deref()?
                .strip_prefix("did you mean `")?
                .strip_suffix("`?")?;
            Some((parent, format!("`{meant}` is missing")))
        })
        .collect();
    let unknown: Vec<Vec<String>> = faults
        .iter()
        .filter(|found| found.diagnostic.message.starts_with("unknown key"))
        .filter_map(|found| Some(found.path.split_last()?.1.to_vec()))
        .collect();
    faults.retain(|found| !(found.diagnostic.message == NO_KIND && unknown.contains(&found.path)));
    faults.retain(|found| {
        !misspelt
            .iter()
            .any(|(parent, message)| found.path == *parent && found.diagnostic.message == *message)
    });
}

/// A value of the wrong type is none of those that are known, which goes without saying.
fn drop_unknown_of_wrong_type(faults: &mut Vec<FormError>) {
    let wrong: Vec<Vec<String>> = faults
        .iter()
        .filter(|found| found.diagnostic.message.starts_with("expected "))
        .map(|found| found.path.clone())
        .collect();
    faults
        .retain(|found| !(found.diagnostic.message.ends_with(UNKNOWN_VALUE) && wrong.contains(&found.path)));
}
