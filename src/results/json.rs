//! What the JSON files of the project have in common: how a text is read, with errors that say where, and how
//! one is laid out.
//!
//! Pure.

use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The version of the layout that this program writes and reads. Written as a text: `"1"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SchemaVersion {
    /// The only one so far.
    #[default]
    #[serde(rename = "1")]
    One,
}

/// Why a text is not the file it should be.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// Not JSON, or not of the right shape; the message ends with line and column.
    #[error(transparent)]
    Shape(#[from] serde_json::Error),
    /// Of a layout that this program does not know.
    #[error(
        "`schema_version` is {0}, and this `compat` reads `\"1\"`: use the release of `compat` that wrote the \
         file, or write it anew"
    )]
    Version(String),
}

/// Only what every file begins with.
#[derive(Deserialize)]
#[serde(expecting = "a JSON object with a `schema_version`")]
struct Header {
    schema_version: Option<serde_json::Value>,
}

/// Reads `text`. The version is looked at first, so that a file of another layout is called that and not
/// a file with unknown fields.
///
/// # Errors
/// [`JsonError`], with line and column where the text is at fault.
pub fn read<T: DeserializeOwned>(text: &str) -> Result<T, JsonError> {
    let header: Header = serde_json::from_str(text)?;
    match header.schema_version {
        Some(serde_json::Value::String(version)) if version == "1" => Ok(serde_json::from_str(text)?),
        Some(other) => Err(JsonError::Version(format!("`{other}`"))),
        None => Err(JsonError::Version("absent".into())),
    }
}

/// Lays `value` out: two spaces a level, keys in the order of the type, a final newline.
pub fn write<T: Serialize>(value: &T) -> String {
    let mut text = serde_json::to_string_pretty(value).expect("our types have text keys and finite numbers");
    text.push('\n');
    text
}

/// Points in time as the files write them: ISO 8601, UTC, ending in `Z`, no finer than milliseconds.
pub mod timestamp {
    use chrono::{DateTime, SecondsFormat, Utc};
    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes `2026-11-21T09:00:00Z`, or `2026-11-21T09:00:00.120Z` where there are milliseconds.
    pub fn to_text(time: &DateTime<Utc>) -> String {
        let format = match time.timestamp_subsec_millis() {
            0 => SecondsFormat::Secs,
            _ => SecondsFormat::Millis,
        };
        time.to_rfc3339_opts(format, true)
    }

    /// Reads what [`to_text`] writes, with any fraction of a second.
    ///
    /// # Errors
    /// A message that shows the text, where it is not such a time.
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
