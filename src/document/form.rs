//! The form of a kind of file: its JSON Schema, generated from the Rust type, and the errors of form it finds.
//!
//! Reports all errors of form of a file at once, in its author's words, each at its text. Does not check the meaning of the
//! values.

use jsonschema::Validator;
use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use schemars::{JsonSchema, Schema};
use serde_json::Value;

use super::diagnostic::Diagnostic;
use super::explain::explain;
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
        drop_consequences(&mut errors);
        errors.sort_by_key(|found| (found.diagnostic.place.line, found.diagnostic.place.column));
        errors
    }

    /// Every error of form in `node`, and what is left to judge without the wrong values: `None` if too little. `removed` says how
    /// many steps of an error's path lead to a value that can be missing without an error that follows.
    pub fn check_and_repair(
        &self,
        node: &Node,
        removed: impl Fn(&FormError) -> Option<usize>,
    ) -> (Vec<Diagnostic>, Option<Node>) {
        let errors = self.check(node);
        let mut rest = node.clone();
        let mut is_usable = true;
        for error in &errors {
            match removed(error) {
                Some(steps) => rest.remove(&error.path[..steps]),
                None => is_usable = false,
            }
        }
        is_usable = is_usable && (errors.is_empty() || self.check(&rest).is_empty());
        let diagnostics = errors.into_iter().map(|found| found.diagnostic);
        (diagnostics.collect(), is_usable.then_some(rest))
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

/// Removes details of the Rust types that authors do not need: nulls for optional keys, integer formats, defaults, and the line
/// breaks of the source.
#[derive(Clone)]
struct Plain;

impl Transform for Plain {
    fn transform(&mut self, schema: &mut Schema) {
        transform_subschemas(self, schema);
        schema.remove("format");
        schema.remove("default");
        if let Some(Value::Array(types)) = schema.get_mut("type") {
            types.retain(|kind| kind != "null");
            if let [only] = &types[..] {
                let only = only.clone();
                schema.insert("type".to_owned(), only);
            }
        }
        if let Some(Value::String(description)) = schema.get_mut("description") {
            *description = description.replace('\n', " ");
        }
        unwrap_nullable(schema);
    }
}

/// Replaces `anyOf: [X, null]` by `X`; its own description stays.
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
    pub kind: FormErrorKind,
    pub diagnostic: Diagnostic,
}

impl FormError {
    /// The length of the path to the entry that contains the error, in one of the maps `keys` of the file.
    pub fn entry_of(&self, keys: &[&str]) -> Option<usize> {
        (self.path.len() > 1 && keys.contains(&self.path[0].as_str())).then_some(2)
    }
}

#[derive(Clone, Debug)]
pub enum FormErrorKind {
    /// A key that the form does not have. `meant` is the most similar one that it has.
    UnknownKey {
        meant: Option<String>,
    },
    MissingKey(String),
    /// An expectation without a kind.
    NoKind,
    WrongType,
    UnknownValue,
    Other,
}

/// Drops errors that follow from another one: a misspelt key is not also missing, and a value of the wrong type is not also
/// unknown.
fn drop_consequences(errors: &mut Vec<FormError>) {
    let mut misspelt: Vec<(Vec<String>, Option<String>)> = Vec::new();
    let mut wrong_type: Vec<Vec<String>> = Vec::new();
    for error in &*errors {
        match &error.kind {
            FormErrorKind::UnknownKey { meant } => {
                let parent = &error.path[..error.path.len() - 1];
                misspelt.push((parent.to_vec(), meant.clone()));
            }
            FormErrorKind::WrongType => wrong_type.push(error.path.clone()),
            _ => {}
        }
    }
    errors.retain(|error| match &error.kind {
        FormErrorKind::MissingKey(name) => !misspelt.contains(&(error.path.clone(), Some(name.clone()))),
        FormErrorKind::NoKind => !misspelt.iter().any(|(parent, _)| *parent == error.path),
        FormErrorKind::UnknownValue => !wrong_type.contains(&error.path),
        _ => true,
    });
}
