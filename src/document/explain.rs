//! The wording of errors of form: what the JSON Schema validator reports, in the author's words.

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{JsonType, ValidationError};
use serde_json::Value;

use super::diagnostic::Diagnostic;
use super::form::FormError;
use super::node::{Node, NodeValue};
use super::reader::written;
use crate::text::{as_name, closest, listed};

/// The end of the message about a value that is none of those allowed.
pub(super) const UNKNOWN_VALUE: &str = "is not known here";
/// The message about an expectation without a kind.
pub(super) const NO_KIND: &str = "the expectation does not say what must hold";

fn steps(pointer: &str) -> Vec<String> {
    pointer
        .split('/')
        .skip(1)
        .map(|step| step.replace("~1", "/").replace("~0", "~"))
        .collect()
}

pub(super) fn explain(error: &ValidationError<'_>, root: &Value, node: &Node) -> Vec<FormError> {
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
    let fault = Diagnostic::at(node.span_at(&path), "").path(written(&path));
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
                Some(NodeValue::Map(_)) if !alternatives(schema).is_empty() => kinds(fault, found, schema),
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
            let fault = Diagnostic::at(
                node.key_span_at(&deeper),
                format!("`{name}` is not a name for an expectation"),
            )
            .path(written(&deeper))
            .allowed("a lower-case letter, then lower-case letters, digits and `_`");
            let fault = match as_name(&name) {
                Some(usable) => fault.hint(format!("write `{usable}`")),
                None => fault,
            };
            return vec![FormError {
                path: deeper,
                diagnostic: fault,
            }];
        }
        _ => with_message(fault, error.to_string()),
    };
    vec![FormError {
        path,
        diagnostic: fault,
    }]
}

fn with_message(fault: Diagnostic, message: impl Into<String>) -> Diagnostic {
    Diagnostic {
        message: message.into(),
        ..fault
    }
}

fn describe(found: Option<&Node>) -> String {
    found.map_or_else(|| "nothing".to_owned(), Node::describe)
}

fn unknown_key(node: &Node, path: &[String], key: &str, schema: &Value) -> FormError {
    let mut path = path.to_vec();
    path.push(key.to_owned());
    let known: Vec<&str> = property_names(schema);
    let fault = Diagnostic::at(node.key_span_at(&path), format!("unknown key `{key}`"))
        .path(written(&path))
        .allowed(listed(known.iter().copied()));
    let fault = match key.split_once(':') {
        Some((name, value)) if known.contains(&name) => {
            fault.hint(format!("a space is missing: `{name}: {value}`"))
        }
        _ => fault.did_you_mean(key, known.iter().copied()),
    };
    FormError {
        path,
        diagnostic: fault,
    }
}

fn property_names(schema: &Value) -> Vec<&str> {
    schema["properties"]
        .as_object()
        .map(|properties| properties.keys().map(String::as_str).collect())
        .unwrap_or_default()
}

fn wrong_type(fault: Diagnostic, found: Option<&Node>, kind: &TypeKind, schema: &Value) -> Diagnostic {
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

fn not_one_of(fault: Diagnostic, found: Option<&Node>, options: &Value) -> Diagnostic {
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

/// The keys of which exactly one must be there: `oneOf` over schemas that require a key each.
fn alternatives(schema: &Value) -> Vec<&str> {
    let options = schema["oneOf"].as_array().into_iter().flatten();
    options
        .filter_map(|option| option["required"][0].as_str())
        .collect()
}

fn kinds(fault: Diagnostic, found: Option<&Node>, schema: &Value) -> Diagnostic {
    let kinds = alternatives(schema);
    let entries = found.map(Node::entries).unwrap_or_default();
    let given: Vec<&str> = entries
        .iter()
        .map(|entry| entry.key.as_str())
        .filter(|key| kinds.contains(key))
        .collect();
    let fault = fault.allowed(format!("exactly one of {}", listed(kinds.iter().copied())));
    if given.is_empty() {
        with_message(fault, NO_KIND)
            .hint("an expectation is one of these kinds, and if needed `tiers` and `clause`")
    } else {
        with_message(fault, "the expectation has more than one kind")
            .found(listed(given))
            .hint("make one expectation of each, so that a report can say which one broke")
    }
}

fn size_of_map(fault: Diagnostic, found: Option<&Node>, schema: &Value) -> Diagnostic {
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

fn pattern(fault: Diagnostic, found: Option<&Node>, schema: &Value) -> Diagnostic {
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
