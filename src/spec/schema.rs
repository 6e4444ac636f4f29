//! The JSON Schemas of the files, generated from their mirror types, and the faults of form that they find.
//!
//! Every fault of form of a file is found at once, worded for its author, and put where its text stands. Never
//! looks at what a value means: that is for `resolve`.

use crate::text::{closest, listed};
use std::sync::LazyLock;

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{JsonType, ValidationError, Validator};
use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use schemars::{JsonSchema, Schema};
use serde_json::Value;

use super::fault::Fault;
use super::manifest::as_name;
use super::mirror::{CellFile, KINDS, ManifestFile};
use super::yaml::{Node, NodeValue};
use crate::mutant::file::MutantFile;

/// A kind of file that has a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// `manifest.yaml`.
    Manifest,
    /// `cells/<feature>/<provider>.yaml`.
    Cell,
    /// `cells/<feature>/_shared.yaml`.
    Shared,
    /// `mutants/<class>/<name>.yaml`.
    Mutant,
}

impl FileKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Manifest, Self::Cell, Self::Shared, Self::Mutant];

    /// The name of its schema's file below `schema/`.
    pub fn schema_file(self) -> &'static str {
        match self {
            Self::Manifest => "manifest.schema.json",
            Self::Cell => "cell.schema.json",
            Self::Shared => "shared.schema.json",
            Self::Mutant => "mutant.schema.json",
        }
    }

    /// Its schema.
    pub fn schema(self) -> &'static Value {
        &self.compiled().schema
    }

    /// The text of its schema's file.
    pub fn schema_text(self) -> String {
        let mut text = serde_json::to_string_pretty(self.schema()).expect("a JSON value has a text");
        text.push('\n');
        text
    }

    fn compiled(self) -> &'static Compiled {
        static MANIFEST: LazyLock<Compiled> = LazyLock::new(|| Compiled::new(generate::<ManifestFile>()));
        static CELL: LazyLock<Compiled> = LazyLock::new(|| Compiled::new(generate::<CellFile>()));
        static SHARED: LazyLock<Compiled> = LazyLock::new(|| Compiled::new(shared()));
        static MUTANT: LazyLock<Compiled> = LazyLock::new(|| Compiled::new(generate::<MutantFile>()));
        match self {
            Self::Manifest => &MANIFEST,
            Self::Cell => &CELL,
            Self::Shared => &SHARED,
            Self::Mutant => &MUTANT,
        }
    }
}

struct Compiled {
    schema: Value,
    validator: Validator,
}

impl Compiled {
    fn new(schema: Value) -> Self {
        let validator = jsonschema::validator_for(&schema).expect("a generated schema is a valid schema");
        Self { schema, validator }
    }
}

fn generate<T: JsonSchema>() -> Value {
    // Draft 7 and no references: what every editor understands, and what keeps a hover text at its key.
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

/// What says what a schema is comes before what it says.
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

/// A shared file is a cell without `not_applicable`.
fn shared() -> Value {
    let mut schema = generate::<CellFile>();
    schema["title"] = "compat-matrix shared cell".into();
    schema["description"] = "What a feature's cells share: any of the keys of a cell, for all providers of this folder. A key in a provider's own file replaces the one here; `expect` and `known_failures` are merged name by name.".into();
    if let Some(properties) = schema["properties"].as_object_mut() {
        properties.shift_remove("not_applicable");
    }
    schema
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

/// A fault of form and the path to the value that has it.
#[derive(Clone, Debug)]
pub struct FormFault {
    /// Keys, and places in lists from 0; of an unknown key, the path to it.
    pub path: Vec<String>,
    /// The fault.
    pub fault: Fault,
}

/// Every fault of form that `node`, the content of a file of this kind, has.
pub fn check(kind: FileKind, node: &Node) -> Vec<FormFault> {
    let compiled = kind.compiled();
    let value = node.to_json();
    let mut faults: Vec<FormFault> = compiled
        .validator
        .iter_errors(&value)
        .flat_map(|error| explain(&error, &compiled.schema, node))
        .collect();
    drop_misspelt(&mut faults);
    drop_unknown_of_wrong_type(&mut faults);
    faults.sort_by_key(|found| (found.fault.place.line, found.fault.place.column));
    faults
}

/// A key that is there misspelt is not missing as well: that would be two faults of one mistake.
fn drop_misspelt(faults: &mut Vec<FormFault>) {
    let misspelt: Vec<(Vec<String>, String)> = faults
        .iter()
        .filter(|found| found.fault.message.starts_with("unknown key"))
        .filter_map(|found| {
            let parent = found.path.split_last()?.1.to_vec();
            let meant = found
                .fault
                .hint
                .as_deref()?
                .strip_prefix("did you mean `")?
                .strip_suffix("`?")?;
            Some((parent, format!("`{meant}` is missing")))
        })
        .collect();
    let unknown: Vec<Vec<String>> = faults
        .iter()
        .filter(|found| found.fault.message.starts_with("unknown key"))
        .filter_map(|found| Some(found.path.split_last()?.1.to_vec()))
        .collect();
    faults.retain(|found| !(found.fault.message == NO_KIND && unknown.contains(&found.path)));
    faults.retain(|found| {
        !misspelt
            .iter()
            .any(|(parent, message)| found.path == *parent && found.fault.message == *message)
    });
}

/// A value of the wrong type is none of those that are known, which goes without saying.
fn drop_unknown_of_wrong_type(faults: &mut Vec<FormFault>) {
    let wrong: Vec<Vec<String>> = faults
        .iter()
        .filter(|found| found.fault.message.starts_with("expected "))
        .map(|found| found.path.clone())
        .collect();
    faults.retain(|found| !(found.fault.message.ends_with(UNKNOWN_VALUE) && wrong.contains(&found.path)));
}

const UNKNOWN_VALUE: &str = "is not known here";

/// `path` as a reader writes it: `replies[0].content`, `request.body["$.thinking"]`.
pub fn written(path: &[String]) -> String {
    let mut text = String::new();
    for step in path {
        if step.bytes().all(|byte| byte.is_ascii_digit()) {
            text.push_str(&format!("[{step}]"));
        } else if step
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
        {
            if !text.is_empty() {
                text.push('.');
            }
            text.push_str(step);
        } else {
            text.push_str(&format!("[{step:?}]"));
        }
    }
    text
}

fn steps(pointer: &str) -> Vec<String> {
    pointer
        .split('/')
        .skip(1)
        .map(|step| step.replace("~1", "/").replace("~0", "~"))
        .collect()
}

fn explain(error: &ValidationError<'_>, root: &Value, node: &Node) -> Vec<FormFault> {
    let path = steps(error.instance_path().as_str());
    let keyword = error.schema_path().as_str();
    let schema = keyword
        .rfind('/')
        .and_then(|end| root.pointer(&keyword[..end]))
        .unwrap_or(&Value::Null);
    if let ValidationErrorKind::AdditionalProperties { unexpected } = error.kind() {
        return unexpected
            .iter()
            .map(|key| unknown_key(node, &path, key, schema))
            .collect();
    }
    let found = node.at(&path);
    let fault = Fault::at(node.span_at(&path), "").path(written(&path));
    let fault = match error.kind() {
        ValidationErrorKind::Type { kind } => wrong_type(fault, found, kind, schema),
        ValidationErrorKind::Required { property } => {
            let name = property.as_str().unwrap_or_default();
            let fault = with_message(fault, format!("`{name}` is missing"));
            match schema["properties"][name]["description"].as_str() {
                Some(description) => fault.hint(format!("`{name}`: {}", lower_first(description))),
                None => fault,
            }
        }
        ValidationErrorKind::Enum { options } => not_one_of(fault, found, options),
        ValidationErrorKind::OneOfNotValid { .. } | ValidationErrorKind::OneOfMultipleValid { .. } => {
            match found.map(|node| &node.value) {
                Some(NodeValue::Map(_)) => kinds(fault, found),
                _ => not_one_of(fault, found, &constants(schema)),
            }
        }
        ValidationErrorKind::MinProperties { .. } | ValidationErrorKind::MaxProperties { .. } => {
            size_of_map(fault, found, schema)
        }
        ValidationErrorKind::MinItems { .. } => {
            with_message(fault, "the list is empty").allowed("at least one entry")
        }
        ValidationErrorKind::MinLength { .. } => {
            with_message(fault, "the text is empty").hint("write it, or remove the key")
        }
        ValidationErrorKind::Minimum { .. } | ValidationErrorKind::Maximum { .. } => {
            with_message(fault, "the number is out of range")
                .found(describe(found))
                .allowed(range(schema))
        }
        ValidationErrorKind::Pattern { .. } => pattern(fault, found, schema),
        ValidationErrorKind::PropertyNames { error } => {
            let name = error.instance().as_str().unwrap_or_default().to_owned();
            let mut deeper = path.clone();
            deeper.push(name.clone());
            let fault = Fault::at(
                node.key_span_at(&deeper),
                format!("`{name}` is not a name for an expectation"),
            )
            .path(written(&deeper))
            .allowed("a lower-case letter, then lower-case letters, digits and `_`");
            let fault = match as_name(&name) {
                Some(usable) => fault.hint(format!("write `{usable}`")),
                None => fault,
            };
            return vec![FormFault { path: deeper, fault }];
        }
        _ => with_message(fault, error.to_string()),
    };
    vec![FormFault { path, fault }]
}

fn with_message(fault: Fault, message: impl Into<String>) -> Fault {
    Fault {
        message: message.into(),
        ..fault
    }
}

fn describe(found: Option<&Node>) -> String {
    found.map_or_else(|| "nothing".to_owned(), Node::describe)
}

fn unknown_key(node: &Node, path: &[String], key: &str, schema: &Value) -> FormFault {
    let mut path = path.to_vec();
    path.push(key.to_owned());
    let known: Vec<&str> = property_names(schema);
    let fault = Fault::at(node.key_span_at(&path), format!("unknown key `{key}`"))
        .path(written(&path))
        .allowed(listed(known.iter().copied()));
    let fault = match key.split_once(':') {
        Some((name, value)) if known.contains(&name) => {
            fault.hint(format!("a space is missing: `{name}: {value}`"))
        }
        _ => fault.did_you_mean(key, known.iter().copied()),
    };
    FormFault { path, fault }
}

fn property_names(schema: &Value) -> Vec<&str> {
    schema["properties"]
        .as_object()
        .map(|properties| properties.keys().map(String::as_str).collect())
        .unwrap_or_default()
}

fn wrong_type(fault: Fault, found: Option<&Node>, kind: &TypeKind, schema: &Value) -> Fault {
    let wanted: Vec<JsonType> = match kind {
        TypeKind::Single(kind) => vec![*kind],
        TypeKind::Multiple(kinds) => kinds.iter().collect(),
    };
    let words: Vec<&str> = wanted.iter().map(|kind| type_in_words(*kind)).collect();
    let hint = found.and_then(|node| type_hint(node, &wanted, schema));
    let allowed = if is_turn(schema) {
        TURNS.to_owned()
    } else {
        words.join(" or ")
    };
    let fault = with_message(fault, format!("expected {allowed}"))
        .found(describe(found))
        .allowed(allowed);
    match hint {
        Some(hint) => fault.hint(hint),
        None => fault,
    }
}

const TURNS: &str = "a number from 1, `every` or `last`";

fn is_turn(schema: &Value) -> bool {
    schema["pattern"] == "^(every|last)$"
}

fn type_in_words(kind: JsonType) -> &'static str {
    match kind {
        JsonType::Null => "nothing",
        JsonType::Boolean => "`true` or `false`",
        JsonType::Integer => "a whole number",
        JsonType::Number => "a number",
        JsonType::String => "a text",
        JsonType::Array => "a list",
        JsonType::Object => "a map",
    }
}

fn type_hint(node: &Node, wanted: &[JsonType], schema: &Value) -> Option<String> {
    let wants = |kind| wanted.contains(&kind);
    match &node.value {
        NodeValue::Null => Some("write a value, or remove the key".to_owned()),
        NodeValue::Bool(value) if wants(JsonType::String) => {
            Some(format!("quote it to make it a text: `\"{value}\"`"))
        }
        NodeValue::Number(number) if wants(JsonType::String) => {
            Some(format!("quote it to make it a text: `\"{number}\"`"))
        }
        NodeValue::Text(text) if wants(JsonType::Boolean) && matches!(text.as_str(), "true" | "false") => {
            Some(format!("write it without quotes: `{text}`"))
        }
        NodeValue::Text(text) if wants(JsonType::Boolean) && matches!(text.as_str(), "yes" | "on") => {
            Some("write `true`".to_owned())
        }
        NodeValue::Text(text) if wants(JsonType::Boolean) && matches!(text.as_str(), "no" | "off") => {
            Some("write `false`".to_owned())
        }
        NodeValue::Text(text)
            if (wants(JsonType::Integer) || wants(JsonType::Number)) && text.parse::<f64>().is_ok() =>
        {
            Some(format!("write it without quotes: `{text}`"))
        }
        NodeValue::List(_) | NodeValue::Map(_) if wants(JsonType::String) => None,
        NodeValue::Map(_)
            if wants(JsonType::Array) && property_names(&schema["items"]).contains(&"document") =>
        {
            Some("a message is a list of blocks: `- - text: …`, or `- [{ text: … }]`".to_owned())
        }
        _ if wants(JsonType::Array) => {
            Some("write it as a list: `[…]`, or a line with `- ` for each entry".to_owned())
        }
        NodeValue::List(_) if wants(JsonType::Object) && schema["additionalProperties"].is_object() => {
            Some("give each entry a name of its own: `name: …`, without `- ` before it".to_owned())
        }
        _ if wants(JsonType::Object) && property_names(schema).contains(&"equals") => {
            Some("say how to compare it: `{ equals: … }`, `{ contains: … }`, `{ matches: … }`".to_owned())
        }
        _ if wants(JsonType::Object) => match property_names(schema)[..] {
            [] => None,
            ref names => Some(format!("its keys are {}", listed(names.iter().copied()))),
        },
        _ => None,
    }
}

fn constants(schema: &Value) -> Value {
    let options = schema["oneOf"].as_array().into_iter().flatten();
    options
        .flat_map(|option| match (&option["const"], &option["enum"]) {
            (Value::Null, Value::Array(several)) => several.clone(),
            (Value::Null, _) => Vec::new(),
            (constant, _) => vec![constant.clone()],
        })
        .collect()
}

fn not_one_of(fault: Fault, found: Option<&Node>, options: &Value) -> Fault {
    let options: Vec<&str> = options
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let fault = with_message(fault, format!("{} {UNKNOWN_VALUE}", describe(found)))
        .allowed(listed(options.iter().copied()));
    match found.map(|node| &node.value) {
        Some(NodeValue::Text(text)) => fault.did_you_mean(text, options),
        Some(NodeValue::Number(number)) if options.contains(&number.to_string().as_str()) => {
            fault.hint(format!("quote it to make it a text: `\"{number}\"`"))
        }
        _ => fault,
    }
}

const NO_KIND: &str = "the expectation does not say what must hold";

fn kinds(fault: Fault, found: Option<&Node>) -> Fault {
    let entries = found.map(Node::entries).unwrap_or_default();
    let given: Vec<&str> = entries
        .iter()
        .map(|entry| entry.key.as_str())
        .filter(|key| KINDS.contains(key))
        .collect();
    let fault = fault.allowed(format!("exactly one of {}", listed(KINDS)));
    if given.is_empty() {
        with_message(fault, NO_KIND)
            .hint("an expectation is one of these kinds, and if needed `tiers` and `clause`")
    } else {
        with_message(fault, "the expectation has more than one kind")
            .found(listed(given))
            .hint("make one expectation of each, so that a report can say which one broke")
    }
}

fn size_of_map(fault: Fault, found: Option<&Node>, schema: &Value) -> Fault {
    let names = property_names(schema);
    let entries = found.map(Node::entries).unwrap_or_default();
    let exactly_one = schema["maxProperties"] == 1;
    let message = match (entries.is_empty(), exactly_one) {
        (true, _) if names.is_empty() => "nothing is expected: the map is empty",
        (true, true) => "the block is empty",
        (true, false) => "no condition is given, so this could never fail",
        (false, _) => "the block is more than one thing",
    };
    let fault = with_message(fault, message);
    if names.is_empty() {
        return fault.allowed("at least one entry");
    }
    let fault = fault.allowed(format!(
        "{} of {}",
        if exactly_one {
            "exactly one"
        } else {
            "at least one"
        },
        listed(names)
    ));
    if entries.is_empty() {
        fault
    } else {
        fault
            .found(listed(entries.iter().map(|entry| entry.key.as_str())))
            .hint("make one block of each")
    }
}

fn range(schema: &Value) -> String {
    match (&schema["minimum"], &schema["maximum"]) {
        _ if is_turn(schema) => TURNS.to_owned(),
        (Value::Null, most) => format!("at most {most}"),
        (least, Value::Null) => format!("at least {least}"),
        (least, most) => format!("{least} to {most}"),
    }
}

fn pattern(fault: Fault, found: Option<&Node>, schema: &Value) -> Fault {
    let allowed = match schema["pattern"].as_str() {
        _ if is_turn(schema) => TURNS,
        Some("^https?://") => "an address that begins with `https://`",
        other => other.unwrap_or_default(),
    };
    let fault = with_message(fault, format!("expected {allowed}"))
        .found(describe(found))
        .allowed(allowed);
    match found.map(|node| &node.value) {
        Some(NodeValue::Text(text)) if is_turn(schema) => match closest(text, ["every", "last"]) {
            Some(close) => fault.hint(format!("did you mean `{close}`?")),
            None => fault,
        },
        _ => fault,
    }
}

fn lower_first(text: &str) -> String {
    let mut characters = text.chars();
    let first = characters
        .next()
        .map(|first| first.to_lowercase().to_string())
        .unwrap_or_default();
    let rest = characters.as_str();
    format!("{first}{}", rest.strip_suffix('.').unwrap_or(rest))
}
