//! Values of JSON Schemas: those of a model that answers, and the smallest ones.
//!
//! A `pattern` and a `multipleOf` are not followed, and of `anyOf`, `oneOf` and `allOf` only the first schema.

use std::iter::repeat_n;

use serde_json::{Value, json};

use super::dice::Dice;

/// From this depth on, all that a schema does not require is left out: a schema may contain itself.
const DEEP: usize = 8;

/// The end of a schema that requires itself.
const DEEPEST: usize = 16;

/// The most items and characters that a schema gets, whatever it requires.
const MOST: u64 = 10_000;

/// A text in each format of a structured output:
/// <https://platform.claude.com/docs/en/build-with-claude/structured-outputs>.
const FORMATS: [(&str, &str); 10] = [
    ("date", "2026-01-01"),
    ("date-time", "2026-01-01T00:00:00Z"),
    ("duration", "PT1S"),
    ("email", "name@example.com"),
    ("hostname", "example.com"),
    ("ipv4", "192.0.2.1"),
    ("ipv6", "2001:db8::1"),
    ("time", "00:00:00Z"),
    ("uri", "https://example.com/"),
    ("uuid", "00000000-0000-4000-8000-000000000000"),
];

struct Maker<'a> {
    /// The whole schema, for the references in it.
    root: &'a Value,
    /// The prompt and the dice of a model. Without them, each value is the smallest one.
    model: Option<(&'a str, &'a mut Dice)>,
    /// How many values it may still make: a schema may ask for any number of them.
    left: u64,
}

/// The smallest value of `schema`.
pub(in crate::provider) fn smallest(schema: &Value) -> Value {
    let (root, model, left) = (schema, None, MOST);
    Maker { root, model, left }.value(schema, 0)
}

/// A model's value of `schema`. The one fact that it knows is the largest planet.
pub(super) fn filled(schema: &Value, prompt: &str, dice: &mut Dice) -> Value {
    let (root, model, left) = (schema, Some((prompt, dice)), MOST);
    Maker { root, model, left }.value(schema, 0)
}

impl<'a> Maker<'a> {
    fn value(&mut self, schema: &'a Value, depth: usize) -> Value {
        let reference = schema["$ref"].as_str();
        let target = reference.and_then(|path| self.root.pointer(path.strip_prefix('#')?));
        if depth > DEEPEST || self.left == 0 {
            return Value::Null;
        }
        self.left -= 1;
        if let Some(target) = target {
            return self.value(target, depth + 1);
        }
        if let Some(value) = schema.get("const") {
            return value.clone();
        }
        if let Some(allowed) = schema["enum"].as_array() {
            return self.allowed(allowed);
        }
        let is_object = schema.get("properties").is_some();
        let mut schemas = ["anyOf", "oneOf", "allOf"].iter().map(|key| &schema[*key]);
        if let (Some(options), false) = (schemas.find_map(Value::as_array), is_object) {
            let is_end = |option: &&Value| depth >= DEEP && option["type"] == "null";
            let option = options.iter().find(is_end).or(options.first());
            return option.map_or(Value::Null, |option| self.value(option, depth + 1));
        }
        let kind = match &schema["type"] {
            Value::Array(kinds) => kinds.iter().find(|kind| **kind != "null").or(kinds.first()),
            kind => Some(kind),
        };
        match kind.and_then(Value::as_str) {
            Some("object") => self.object(schema, depth),
            None if is_object => self.object(schema, depth),
            Some("array") => self.array(schema, depth),
            Some("integer" | "number") => self.number(schema),
            Some("boolean") => json!(self.model.is_some()),
            Some("null") => Value::Null,
            _ => self.text(schema),
        }
    }

    fn allowed(&self, allowed: &[Value]) -> Value {
        let asks = self
            .model
            .as_ref()
            .is_some_and(|(prompt, _)| prompt.contains("largest"));
        let true_one = allowed.iter().find(|value| asks && **value == "Jupiter");
        true_one.or(allowed.first()).cloned().unwrap_or_default()
    }

    fn object(&mut self, schema: &'a Value, depth: usize) -> Value {
        let properties = &schema["properties"];
        let required = schema["required"].as_array().into_iter().flatten();
        let names: Vec<&str> = match properties.as_object() {
            Some(properties) if self.model.is_some() && depth < DEEP => {
                properties.keys().map(String::as_str).collect()
            }
            _ => required.filter_map(Value::as_str).collect(),
        };
        let fields = names
            .into_iter()
            .map(|name| (name.to_owned(), self.value(&properties[name], depth + 1)));
        Value::Object(fields.collect())
    }

    fn array(&mut self, schema: &'a Value, depth: usize) -> Value {
        let mut count = schema["minItems"].as_u64().unwrap_or_default().min(MOST);
        if let (Some((prompt, dice)), true) = (&mut self.model, depth < DEEP) {
            let least = u64::from(prompt.contains("at least one"));
            let most = schema["maxItems"].as_u64().unwrap_or(MOST);
            count = dice.between(least, 3).min(most).max(count);
        }
        (0..count)
            .map(|_| self.value(&schema["items"], depth + 1))
            .collect()
    }

    fn number(&mut self, schema: &Value) -> Value {
        let bound = |key: &str| schema[key].as_f64();
        let least = bound("minimum").map(f64::ceil);
        let least = least.or(bound("exclusiveMinimum").map(|bound| bound.floor() + 1.0));
        let most = bound("maximum").map(f64::floor);
        let most = most.or(bound("exclusiveMaximum").map(|bound| bound.ceil() - 1.0));
        // The largest, or the fifth from the sun.
        let number: i64 = match &mut self.model {
            None => 0,
            Some((prompt, _)) if prompt.contains("by size") => 1,
            Some((_, dice)) => [5, 1][usize::from(dice.once_in(2))],
        };
        if let (Some(least), Some(most)) = (least, most)
            && least > most
        {
            // No whole number is between them.
            let [low, high] = [["minimum", "exclusiveMinimum"], ["maximum", "exclusiveMaximum"]]
                .map(|keys| keys.into_iter().find_map(bound).unwrap_or_default());
            return json!((low + high) / 2.0);
        }
        let number = number.max(least.map_or(i64::MIN, |least| least as i64));
        json!(number.min(most.map_or(i64::MAX, |most| most as i64)))
    }

    fn text(&mut self, schema: &Value) -> Value {
        let format = FORMATS.iter().find(|(format, _)| schema["format"] == *format);
        let text = match (format, &mut self.model) {
            (Some((_, text)), _) => text,
            (None, Some((_, dice))) => dice.pick(&["Jove", "Ζεύς", "Brihaspati"]),
            (None, None) => "x",
        };
        let length = |key: &str| schema[key].as_u64().map(|length| length.min(MOST) as usize);
        let missing = length("minLength")
            .unwrap_or_default()
            .saturating_sub(text.chars().count());
        let characters = text.chars().chain(repeat_n('x', missing));
        let most = length("maxLength").unwrap_or(usize::MAX);
        characters.take(most).collect::<String>().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_value_has_what_the_schema_requires() {
        let node = json!({"type": "object", "required": ["id", "next"], "properties": {
            "id": {"type": "integer", "exclusiveMinimum": 6}, "next": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/node"}]},
        }});
        let schema = json!({"$ref": "#/$defs/list", "$defs": {"node": node, "list": {
            "type": "object", "additionalProperties": false, "required": ["nodes", "kind", "day", "note", "on"],
            "properties": {
                "nodes": {"type": "array", "items": {"$ref": "#/$defs/node"}, "minItems": 2},
                "kind": {"const": "list"}, "day": {"type": "string", "format": "date"},
                "note": {"type": ["null", "string"], "minLength": 3}, "on": {"type": "boolean"},
                "optional": {"enum": ["a"]},
            },
        }}});
        let node = json!({"id": 7, "next": null});
        assert_eq!(
            smallest(&schema),
            json!({"nodes": [node, node], "kind": "list", "day": "2026-01-01", "note": "xxx", "on": false})
        );
        assert_eq!(smallest(&json!({"type": "object"})), json!({}));
        assert_eq!(smallest(&json!({"type": "number", "maximum": -0.5})), json!(-1));
    }

    #[test]
    fn a_schema_that_contains_itself_ends() {
        let schema = json!({"type": "object", "required": ["next"], "properties": {
            "next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]},
            "all": {"type": "array", "items": {"$ref": "#"}},
        }});
        let filled = filled(&schema, "Give at least one.", &mut Dice::new(1, &""));
        for value in [smallest(&schema), filled] {
            assert!(jsonschema::is_valid(&schema, &value), "{value}");
        }
        let endless = json!({"anyOf": [{"$ref": "#"}]});
        assert_eq!(smallest(&endless), Value::Null);
    }
}
