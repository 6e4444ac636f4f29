//! Reads and writes the JSON files of the project, with positions in errors.

use std::fmt::{self, Display};
use std::hash::Hash;
use std::marker::PhantomData;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::de::{DeserializeOwned, Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// The version of the layout that this program writes and reads. Written as a text: `"1"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SchemaVersion {
    /// The only one so far.
    #[default]
    #[serde(rename = "1")]
    One,
}

/// Why a text is not a valid file: `line 4, column 25: unknown field …`.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{what}", .position.map_or_else(String::new, |position| format!("{position}: ")))]
pub struct JsonError {
    /// `None` if something is missing.
    pub position: Option<JsonPosition>,
    /// What is wrong; a contradiction begins with its path, `results[3].nodeid: …`.
    pub what: String,
}

impl JsonError {
    /// `file:line:column: what`.
    pub fn in_file(&self, file: impl fmt::Display) -> String {
        let what = &self.what;
        match self.position {
            Some(JsonPosition { line, column }) => format!("{file}:{line}:{column}: {what}"),
            None => format!("{file}: {what}"),
        }
    }
}

/// Shown as `line 4, column 25`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JsonPosition {
    /// The line, from 1.
    pub line: usize,
    /// The column, in characters, from 1.
    pub column: usize,
}

impl fmt::Display for JsonPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

impl From<serde_json::Error> for JsonError {
    fn from(error: serde_json::Error) -> Self {
        let (line, column) = (error.line(), error.column());
        let message = error.to_string();
        let what = message.strip_suffix(&format!(" at line {line} column {column}"));
        // serde_json reports column 0 before it has read anything.
        let column = column.max(1);
        Self {
            position: (line > 0).then_some(JsonPosition { line, column }),
            what: what.unwrap_or(&message).to_owned(),
        }
    }
}

/// A value that contradicts the rest of the file.
#[derive(Debug, PartialEq, Eq)]
pub struct Contradiction {
    /// The path to it, `features[2].providers`.
    pub at: String,
    /// What is wrong.
    pub what: String,
}

impl Contradiction {
    pub fn new(at: impl Into<String>, what: impl Into<String>) -> Self {
        Self {
            at: at.into(),
            what: what.into(),
        }
    }

    /// The error, with the position of the path in `text`.
    pub fn in_text(self, text: &str) -> JsonError {
        JsonError {
            position: position(text, &self.at),
            what: format!("{}: {}", self.at, self.what),
        }
    }
}

#[derive(Deserialize)]
#[serde(expecting = "a JSON object with a `schema_version`")]
struct Header {
    schema_version: Option<serde_json::Value>,
}

/// Reads `text`. Checks the version first, so that the error for another layout does not name unknown fields.
pub fn read<T: DeserializeOwned>(text: &str) -> Result<T, JsonError> {
    // serde also reads a struct from a list.
    if text.trim_start().starts_with('[') {
        return Err(JsonError {
            position: position(text, ""),
            what: "found a list, expected a JSON object with a `schema_version`".into(),
        });
    }
    let header: Header = serde_json::from_str(text)?;
    match header.schema_version {
        Some(serde_json::Value::String(version)) if version == "1" => Ok(serde_json::from_str(text)?),
        Some(other) => Err(other_version(text, &format!("`{other}`"))),
        None => Err(other_version(text, "absent")),
    }
}

fn other_version(text: &str, found: &str) -> JsonError {
    JsonError {
        position: position(text, "schema_version"),
        what: format!(
            "`schema_version` is {found}, and this `compat` reads `\"1\"`: use the release of `compat` that wrote the \
             file, or create it again"
        ),
    }
}

/// The position of the value at `path` (`results[3].nodeid`) in `text`, if there is one.
pub fn position(text: &str, path: &str) -> Option<JsonPosition> {
    // serde keeps no positions of the values that it has read, so the text is walked again.
    let steps = path.split(['.', '[', ']']).filter(|step| !step.is_empty());
    let mut cursor = Cursor { text, at: 0 };
    for step in steps {
        cursor.enter(step)?;
    }
    cursor.skip_blanks();
    let before = &text[..cursor.at];
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    Some(JsonPosition {
        line: before.matches('\n').count() + 1,
        column: before[line_start..].chars().count() + 1,
    })
}

/// A place in a JSON text, before a value.
struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl Cursor<'_> {
    /// Goes to the value of the key, or to the item with the number, in `step`.
    fn enter(&mut self, step: &str) -> Option<()> {
        if self.takes('{') {
            while self.value::<String>()? != step {
                self.takes(':').then_some(())?;
                self.value::<IgnoredAny>()?;
                self.takes(',').then_some(())?;
            }
            return self.takes(':').then_some(());
        }
        self.takes('[').then_some(())?;
        for _ in 0..step.parse().ok()? {
            self.value::<IgnoredAny>()?;
            self.takes(',').then_some(())?;
        }
        Some(())
    }

    fn value<T: DeserializeOwned>(&mut self) -> Option<T> {
        let mut values = serde_json::Deserializer::from_str(&self.text[self.at..]).into_iter();
        let value = values.next()?.ok()?;
        self.at += values.byte_offset();
        Some(value)
    }

    fn takes(&mut self, sign: char) -> bool {
        self.skip_blanks();
        let found = self.text[self.at..].starts_with(sign);
        if found {
            self.at += sign.len_utf8();
        }
        found
    }

    fn skip_blanks(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start().len();
    }
}

/// For serde's `deserialize_with`: a map without duplicate keys.
pub fn unique_keys<'de, D, K, V>(deserializer: D) -> Result<IndexMap<K, V>, D::Error>
where
    D: Deserializer<'de>,
    K: Deserialize<'de> + Display + Eq + Hash,
    V: Deserialize<'de>,
{
    deserializer.deserialize_map(UniqueKeys(PhantomData))
}

struct UniqueKeys<K, V>(PhantomData<(K, V)>);

impl<'de, K: Deserialize<'de> + Display + Eq + Hash, V: Deserialize<'de>> Visitor<'de> for UniqueKeys<K, V> {
    type Value = IndexMap<K, V>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = IndexMap::new();
        while let Some(key) = map.next_key()? {
            if entries.contains_key(&key) {
                return Err(A::Error::custom(format!("key `{key}` is there twice")));
            }
            entries.insert(key, map.next_value()?);
        }
        Ok(entries)
    }
}

/// Two spaces per level, keys in the order of the type, a final newline.
pub fn write<T: Serialize>(value: &T) -> String {
    let mut text = serde_json::to_string_pretty(value).expect("our types have text keys and finite numbers");
    text.push('\n');
    text
}

/// Times in files: ISO 8601, UTC, ending in `Z`, at most milliseconds.
pub mod timestamp {
    use chrono::{DateTime, SecondsFormat, Utc};
    use serde::{Deserialize, Deserializer, Serializer};

    /// `2026-11-21T09:00:00Z`, or `2026-11-21T09:00:00.120Z` with milliseconds.
    pub fn to_text(time: &DateTime<Utc>) -> String {
        let format = match time.timestamp_subsec_millis() {
            0 => SecondsFormat::Secs,
            _ => SecondsFormat::Millis,
        };
        time.to_rfc3339_opts(format, true)
    }

    /// Reads the form of [`to_text`], with any fraction of a second.
    pub fn from_text(text: &str) -> Result<DateTime<Utc>, String> {
        let time = DateTime::parse_from_rfc3339(text)
            .ok()
            .filter(|_| text.ends_with('Z'));
        time.map(|time| time.with_timezone(&Utc))
            .ok_or_else(|| format!("`{text}` is not a UTC time such as `2026-11-21T09:00:00Z`"))
    }

    /// For serde's `with`.
    pub fn serialize<S: Serializer>(time: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&to_text(time))
    }

    /// For serde's `with`.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<DateTime<Utc>, D::Error> {
        from_text(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }

    /// For schemars' `schema_with`.
    pub fn schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "date-time", "pattern": "Z$" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_leads_to_the_line_and_column_of_its_value() {
        let text = "{\n  \"a [}\\\"\": [1, {\"x\": 2}],\n  \"ü\": {\"list\": [10, 2.5e1, \"drei\"], \"empty\": []}\n}\n";
        let place = |path: &str| position(text, path).map(|place| (place.line, place.column));
        assert_eq!(place(""), Some((1, 1)));
        assert_eq!(place("ü"), Some((3, 8)));
        assert_eq!(place("ü.list[0]"), Some((3, 18)));
        assert_eq!(place("ü.list[2]"), Some((3, 29)));
        assert_eq!(place("ü.list[3]"), None);
        assert_eq!(place("ü.list.x"), None);
        assert_eq!(place("z"), None);
        assert_eq!(
            position("{\"a\": ", "a"),
            Some(JsonPosition { line: 1, column: 7 })
        );
        assert_eq!(position("not json", "a"), None);
    }
}
