//! The wording of errors of form: what the JSON Schema validator reports, in the author's words.

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{JsonType, ValidationError};
use serde_json::Value;

use super::diagnostic::Diagnostic;
use super::form::{FormError, FormErrorKind};
use super::node::{Node, NodeValue};
use super::reader::written;
use crate::text::{as_name, closest, is_slip_of, listed};

const TURNS: &str = "a number from 1, `every` or `last`";

pub(super) fn explain(invalid: &ValidationError<'_>, root: &Value, node: &Node) -> Vec<FormError> {
    let keyword = invalid.schema_path().as_str();
    let schema = keyword.rfind('/').and_then(|end| root.pointer(&keyword[..end]));
    let path = steps(invalid.instance_path().as_str());
    let value = InvalidValue {
        document: node,
        found: node.at(&path),
        schema: schema.unwrap_or(&Value::Null),
        root,
        path,
    };
    match invalid.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            unexpected.iter().map(|key| value.unknown_key(key)).collect()
        }
        ValidationErrorKind::PropertyNames { error } => {
            vec![value.not_a_name(error.instance().as_str().unwrap_or_default())]
        }
        kind => {
            let (kind, diagnostic) = value.explain(invalid, kind);
            let path = value.path;
            vec![FormError {
                path,
                kind,
                diagnostic,
            }]
        }
    }
}

fn steps(pointer: &str) -> Vec<String> {
    pointer
        .split('/')
        .skip(1)
        .map(|step| step.replace("~1", "/").replace("~0", "~"))
        .collect()
}

/// A value that its schema does not allow.
struct InvalidValue<'a> {
    document: &'a Node,
    path: Vec<String>,
    found: Option<&'a Node>,
    schema: &'a Value,
    /// The schema of the file.
    root: &'a Value,
}

impl InvalidValue<'_> {
    fn error(&self, message: impl Into<String>) -> Diagnostic {
        Diagnostic::at(self.document.span_at(&self.path), message).path(written(&self.path))
    }

    /// An error at `key` of this map.
    fn key_error(&self, key: &str, message: String) -> (Vec<String>, Diagnostic) {
        let mut path = self.path.clone();
        path.push(key.to_owned());
        let span = self.document.key_span_at(&path);
        let error = Diagnostic::at(span, message).path(written(&path));
        (path, error)
    }

    fn explain(
        &self,
        invalid: &ValidationError<'_>,
        kind: &ValidationErrorKind,
    ) -> (FormErrorKind, Diagnostic) {
        match kind {
            ValidationErrorKind::Type { kind } => self.wrong_type(kind),
            ValidationErrorKind::Required { property } => self.missing(property.as_str().unwrap_or_default()),
            ValidationErrorKind::Enum { options } => {
                let options = options.as_array().into_iter().flatten();
                self.unknown_value(options.filter_map(Value::as_str).collect())
            }
            ValidationErrorKind::OneOfNotValid { .. } | ValidationErrorKind::OneOfMultipleValid { .. } => {
                match self.alternatives() {
                    kinds if kinds.is_empty() || self.entries().is_none() => {
                        self.unknown_value(self.constants())
                    }
                    kinds => self.not_one_kind(&kinds),
                }
            }
            kind => (FormErrorKind::Other, self.explain_limit(invalid, kind)),
        }
    }

    fn explain_limit(&self, invalid: &ValidationError<'_>, kind: &ValidationErrorKind) -> Diagnostic {
        match kind {
            ValidationErrorKind::MinProperties { .. } | ValidationErrorKind::MaxProperties { .. } => {
                self.size_of_map()
            }
            ValidationErrorKind::MinItems { .. } => {
                self.error("the list is empty").allowed("at least one entry")
            }
            ValidationErrorKind::MinLength { .. } => self
                .error("the text is empty")
                .hint("write it, or remove the key"),
            ValidationErrorKind::Minimum { .. } | ValidationErrorKind::Maximum { .. } => self
                .error("the number is out of range")
                .found(self.describe())
                .allowed(self.range()),
            ValidationErrorKind::Pattern { .. } => self.pattern(),
            _ => self.error(invalid.to_string()),
        }
    }

    fn describe(&self) -> String {
        self.found.map_or_else(|| "nothing".to_owned(), Node::describe)
    }

    /// The keys, if the value is a map.
    fn entries(&self) -> Option<Vec<&str>> {
        match &self.found?.value {
            NodeValue::Map(entries) => Some(entries.iter().map(|entry| entry.key.as_str()).collect()),
            _ => None,
        }
    }

    fn is_turn(&self) -> bool {
        self.schema["pattern"] == "^(every|last)$"
    }

    fn unknown_key(&self, key: &str) -> FormError {
        let known = property_names(self.schema);
        let (path, error) = self.key_error(key, format!("unknown key `{key}`"));
        let error = error.allowed(listed(known.iter().copied()));
        let is_slip = |name: &&str| is_slip_of(key, name);
        let diagnostic = match key.split_once(':') {
            Some((name, value)) if known.contains(&name) => {
                error.hint(format!("a space is missing: `{name}: {value}`"))
            }
            _ => match self
                .indented_too_far(key, &path)
                .or_else(|| self.below_empty(key).filter(|_| !known.iter().any(is_slip)))
            {
                Some(hint) => error.hint(hint),
                None => error.did_you_mean(key, known.iter().copied()),
            },
        };
        let meant = closest(key, known).map(str::to_owned);
        FormError {
            path,
            kind: FormErrorKind::UnknownKey { meant },
            diagnostic,
        }
    }

    /// What to do if `key` is meant to belong to the key above it, which has no value.
    fn below_empty(&self, key: &str) -> Option<String> {
        let entries = self.found?.entries();
        let own = entries.iter().position(|entry| entry.key == key)?;
        let (above, own) = (entries[..own].last()?, &entries[own]);
        let (name, line) = (&above.key, above.key_span.start.line);
        let is_empty = above.value.value == NodeValue::Null;
        (is_empty && above.key_span.start.column == own.key_span.start.column).then(|| {
            format!("`{key}` begins in the same column as `{name}` in line {line}, which has no value: indent what belongs to `{name}`")
        })
    }

    /// What to do if `key`, at `path`, is a key of a map around this one.
    fn indented_too_far(&self, key: &str, path: &[String]) -> Option<String> {
        let own = &self.document.key_span_at(path).start;
        let around = (0..self.path.len()).rev().find_map(|length| {
            let around = &self.path[..length];
            let schema = schema_of(self.root, around)?;
            let entry = self.document.at(around)?.entries().first()?;
            property_names(schema).contains(&key).then_some((around, entry))
        });
        let (around, first) = around?;
        let column = first.key_span.start.column;
        // In a map of one line, the columns say nothing.
        (column < own.column && first.key_span.start.line < own.line).then(|| {
            let whose = match around {
                [] => "of the file".to_owned(),
                around => format!("of `{}`", written(around)),
            };
            let inside = written(&self.path);
            format!(
                "it begins in column {}, so it is part of `{inside}`; a key {whose} begins in column {column}",
                own.column
            )
        })
    }

    /// What to do if this value is empty because the key that follows is not indented further.
    fn not_indented(&self) -> Option<String> {
        let (name, around) = self.path.split_last()?;
        let entries = self.document.at(around)?.entries();
        let position = entries.iter().position(|entry| entry.key == *name)?;
        let (entry, next) = (&entries[position], entries.get(position + 1)?);
        let is_meant = property_names(self.schema).contains(&next.key.as_str());
        let is_null = self.found.is_some_and(|found| found.value == NodeValue::Null);
        (is_null && is_meant).then(|| {
            format!(
                "`{}` in line {} begins in the same column as `{name}`, so it is no part of it: indent what belongs to `{name}`",
                next.key, next.key_span.start.line
            )
        })
        .filter(|_| next.key_span.start.column == entry.key_span.start.column)
    }

    fn not_a_name(&self, name: &str) -> FormError {
        let (what, joint) = match self.path.last().map(String::as_str) {
            Some("mcp_servers") => ("a server", "-"),
            Some("refusals") => ("a rule of a provider", "_"),
            _ => ("an expectation", "_"),
        };
        let (path, error) = self.key_error(name, format!("`{name}` is not a name for {what}"));
        let error = error.allowed(format!(
            "a lower-case letter, then lower-case letters, digits and `{joint}`"
        ));
        FormError {
            path,
            kind: FormErrorKind::Name,
            diagnostic: match as_name(name) {
                Some(usable) => error.hint(format!("write `{}`", usable.replace('_', joint))),
                None => error,
            },
        }
    }

    fn missing(&self, name: &str) -> (FormErrorKind, Diagnostic) {
        let error = self.error(format!("`{name}` is missing"));
        let error = match self.schema["properties"][name]["description"].as_str() {
            Some(description) => error.hint(format!("`{name}`: {}", lower_first(description))),
            None => error,
        };
        (FormErrorKind::MissingKey(name.to_owned()), error)
    }

    fn wrong_type(&self, kind: &TypeKind) -> (FormErrorKind, Diagnostic) {
        let wanted: Vec<JsonType> = match kind {
            TypeKind::Single(kind) => vec![*kind],
            TypeKind::Multiple(kinds) => kinds.iter().collect(),
        };
        let words: Vec<&str> = wanted.iter().map(|kind| type_in_words(*kind)).collect();
        let allowed = match self.is_turn() {
            true => TURNS.to_owned(),
            false => words.join(" or "),
        };
        let mut error = self.error(format!("expected {allowed}"));
        error.hint = self
            .not_indented()
            .or_else(|| self.found.and_then(|node| type_hint(node, &wanted, self.schema)));
        let is_quoting = match self.found.map(|node| &node.value) {
            Some(NodeValue::Text(text)) => is_scalar_in_quotes(text, &wanted),
            Some(NodeValue::Bool(_) | NodeValue::Number(_)) => wanted.contains(&JsonType::String),
            _ => false,
        };
        let kind = if is_quoting {
            FormErrorKind::Quotes
        } else {
            FormErrorKind::WrongType
        };
        (kind, error.found(self.describe()).allowed(allowed))
    }

    /// The texts that the schema allows: `oneOf` over constants.
    fn constants(&self) -> Vec<&str> {
        let options = self.schema["oneOf"].as_array().into_iter().flatten();
        let values = options.flat_map(|option| match &option["enum"] {
            Value::Array(several) => several.iter().collect(),
            _ => vec![&option["const"]],
        });
        values.filter_map(Value::as_str).collect()
    }

    fn unknown_value(&self, options: Vec<&str>) -> (FormErrorKind, Diagnostic) {
        let error = self.error(format!("{} is not known here", self.describe()));
        let error = error.allowed(listed(options.iter().copied()));
        let error = match self.found.map(|node| &node.value) {
            Some(NodeValue::Text(text)) => error.did_you_mean(text, options),
            Some(NodeValue::Number(number)) if options.contains(&number.to_string().as_str()) => {
                error.hint(format!("quote it to make it a text: `\"{number}\"`"))
            }
            _ => error,
        };
        (FormErrorKind::UnknownValue, error)
    }

    /// The keys of which exactly one must be there: `oneOf` over schemas that require a key each.
    fn alternatives(&self) -> Vec<&str> {
        let options = self.schema["oneOf"].as_array().into_iter().flatten();
        options
            .filter_map(|option| option["required"][0].as_str())
            .collect()
    }

    fn not_one_kind(&self, kinds: &[&str]) -> (FormErrorKind, Diagnostic) {
        let mut given = self.entries().unwrap_or_default();
        given.retain(|key| kinds.contains(key));
        let allowed = format!("exactly one of {}", listed(kinds.iter().copied()));
        if given.is_empty() {
            let error = self.error("the expectation has no kind").allowed(allowed);
            let hint = "an expectation is one of these kinds, and if needed `tiers` and `clause`";
            return (FormErrorKind::NoKind, error.hint(hint));
        }
        let error = self.error("the expectation has more than one kind");
        let error = error.allowed(allowed).found(listed(given));
        let hint = "make one expectation of each, so that a report can say which one broke";
        (FormErrorKind::Other, error.hint(hint))
    }

    fn size_of_map(&self) -> Diagnostic {
        let names = property_names(self.schema);
        let given = self.entries().unwrap_or_default();
        let exactly_one = self.schema["maxProperties"] == 1;
        let error = self.error(match (given.is_empty(), exactly_one) {
            (true, _) if names.is_empty() => "nothing is expected: the map is empty",
            (true, true) => "the block is empty",
            (true, false) => "no condition is given, so this could never fail",
            (false, _) => "the block is more than one thing",
        });
        if names.is_empty() {
            return error.allowed("at least one entry");
        }
        let number = if exactly_one { "exactly" } else { "at least" };
        let error = error.allowed(format!("{number} one of {}", listed(names)));
        match given.is_empty() {
            true => error,
            false => error.found(listed(given)).hint("make one block of each"),
        }
    }

    fn range(&self) -> String {
        match (&self.schema["minimum"], &self.schema["maximum"]) {
            _ if self.is_turn() => TURNS.to_owned(),
            (Value::Null, most) => format!("at most {most}"),
            (least, Value::Null) => format!("at least {least}"),
            (least, most) => format!("{least} to {most}"),
        }
    }

    fn pattern(&self) -> Diagnostic {
        let allowed = match self.schema["pattern"].as_str() {
            _ if self.is_turn() => TURNS,
            Some("^https?://") => "an address that begins with `https://`",
            Some("^[a-zA-Z0-9_-]{1,64}$") => "1 to 64 letters, digits, `_` or `-`",
            other => other.unwrap_or_default(),
        };
        let error = self.error(format!("expected {allowed}"));
        let error = error.found(self.describe()).allowed(allowed);
        match self.found.map(|node| &node.value) {
            Some(NodeValue::Text(text)) if self.is_turn() => error.did_you_mean(text, ["every", "last"]),
            _ => error,
        }
    }
}

/// The schema of the value that `path` leads to.
pub(super) fn schema_of<'a>(root: &'a Value, path: &[String]) -> Option<&'a Value> {
    path.iter().try_fold(root, |schema, step| {
        let kinds = [
            &schema["properties"][step],
            &schema["items"],
            &schema["additionalProperties"],
        ];
        kinds.into_iter().find(|kind| kind.is_object())
    })
}

fn property_names(schema: &Value) -> Vec<&str> {
    let properties = schema["properties"].as_object().into_iter();
    properties
        .flat_map(|map| map.keys().map(String::as_str))
        .collect()
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
    let hint = match &node.value {
        NodeValue::Null => "write a value, or remove the key",
        NodeValue::Bool(value) if wants(JsonType::String) => {
            return Some(format!("quote it to make it a text: `\"{value}\"`"));
        }
        NodeValue::Number(number) if wants(JsonType::String) => {
            return Some(format!("quote it to make it a text: `\"{number}\"`"));
        }
        NodeValue::Text(text) if is_scalar_in_quotes(text, wanted) => {
            return Some(format!("write it without quotes: `{text}`"));
        }
        NodeValue::Text(text) if wants(JsonType::Boolean) && matches!(text.as_str(), "yes" | "on") => {
            "write `true`"
        }
        NodeValue::Text(text) if wants(JsonType::Boolean) && matches!(text.as_str(), "no" | "off") => {
            "write `false`"
        }
        NodeValue::List(_) | NodeValue::Map(_) if wants(JsonType::String) => return None,
        NodeValue::Map(_)
            if wants(JsonType::Array) && property_names(&schema["items"]).contains(&"document") =>
        {
            "a message is a list of blocks: `- - text: …`, or `- [{ text: … }]`"
        }
        _ if wants(JsonType::Array) => "write it as a list: `[…]`, or a line with `- ` for each entry",
        NodeValue::List(_) if wants(JsonType::Object) && schema["additionalProperties"].is_object() => {
            "give each entry a name: `name: …`, without `- ` before it"
        }
        _ if wants(JsonType::Object) => return keys_hint(&property_names(schema)),
        _ => return None,
    };
    Some(hint.to_owned())
}

/// Whether `text` is one of the `wanted` scalars without its quotes.
fn is_scalar_in_quotes(text: &str, wanted: &[JsonType]) -> bool {
    let wants_number = wanted.contains(&JsonType::Integer) || wanted.contains(&JsonType::Number);
    (wanted.contains(&JsonType::Boolean) && matches!(text, "true" | "false"))
        || (wants_number && text.parse::<f64>().is_ok())
}

fn keys_hint(names: &[&str]) -> Option<String> {
    match names {
        [] => None,
        names if names.contains(&"equals") => {
            Some("say how to compare it: `{ equals: … }`, `{ contains: … }`, `{ matches: … }`".to_owned())
        }
        names => Some(format!("its keys are {}", listed(names.iter().copied()))),
    }
}

fn lower_first(text: &str) -> String {
    let text = text.strip_suffix('.').unwrap_or(text);
    let mut characters = text.chars();
    let first = characters.next().into_iter().flat_map(char::to_lowercase);
    first.chain(characters).collect()
}
