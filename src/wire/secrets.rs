//! The secrets of a run, found in a text in every usual form and replaced.
//!
//! A value counts as a secret if it has at least 8 characters, 5 of them different, and does not look like an ordinary word:
//! shorter than 16 characters, it needs a digit, or letters of both cases. So a key such as `any` or `password` does not
//! remove these words from every text.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use aho_corasick::{AhoCorasick, MatchKind};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::redaction::is_credential_name;
use crate::text::{RESERVED, hex};

/// What replaces a secret.
pub const PLACEHOLDER: &str = "[redacted]";

const SHORTEST: usize = 8;
/// From this length on, a value without a digit counts too.
const LONG: usize = 16;
const DIFFERENT_CHARACTERS: usize = 5;

/// How often a text may be JSON within JSON.
const JSON_DEPTH: usize = 3;

/// The characters that an encoder of URLs leaves as they are: those of RFC 3986, of Python's `quote`, of JavaScript's
/// `encodeURIComponent` and of HTML forms.
const URL_SETS: [AsciiSet; 5] = [
    NON_ALPHANUMERIC.union(AsciiSet::EMPTY),
    RESERVED,
    RESERVED.remove(b'/'),
    RESERVED
        .remove(b'!')
        .remove(b'*')
        .remove(b'\'')
        .remove(b'(')
        .remove(b')'),
    RESERVED.add(b'~').remove(b'*'),
];

/// The secrets of a run, with all their forms. Cheap to clone.
#[derive(Clone, Default)]
pub struct Secrets {
    forms: Option<AhoCorasick>,
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PLACEHOLDER)
    }
}

impl Secrets {
    /// A value may be a secret, a header with a secret, a URL with a password, a private key, or a JSON object with such
    /// values. Ordinary words are ignored.
    pub fn new(values: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let mut parts = BTreeSet::new();
        for value in values {
            add_parts(value.as_ref(), &mut parts);
        }
        parts.retain(|part| is_secret(part));
        let forms: BTreeSet<String> = parts.iter().flat_map(|part| forms(part)).collect();
        if forms.is_empty() {
            return Self::default();
        }
        let forms = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            // The digits of hexadecimal and percent encodings, and the names of headers, have either case.
            .ascii_case_insensitive(true)
            .build(forms)
            .expect("the secrets are far fewer than the automaton's limit");
        Self { forms: Some(forms) }
    }

    pub fn are_in(&self, text: &str) -> bool {
        self.forms.as_ref().is_some_and(|forms| forms.is_match(text))
    }

    /// `text` with each secret replaced by `[redacted]`.
    pub fn removed<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let Some(forms) = self.forms.as_ref().filter(|forms| forms.is_match(text)) else {
            return Cow::Borrowed(text);
        };
        let mut clean = String::with_capacity(text.len());
        forms.replace_all_with(text, &mut clean, |_, _, clean| {
            clean.push_str(PLACEHOLDER);
            true
        });
        Cow::Owned(clean)
    }

    pub fn remove(&self, text: &mut String) {
        if let Cow::Owned(clean) = self.removed(text) {
            *text = clean;
        }
    }

    /// `error`, or its text without the secrets.
    pub fn removed_from_error(&self, error: anyhow::Error) -> anyhow::Error {
        match self.removed(&format!("{error:#}")) {
            Cow::Borrowed(_) => error,
            Cow::Owned(clean) => anyhow::Error::msg(clean),
        }
    }

    /// Removes the secrets from the texts, keys and numbers of `value`.
    pub fn remove_from_json(&self, value: &mut Value) {
        match value {
            Value::String(text) => self.remove(text),
            Value::Array(items) => items.iter_mut().for_each(|item| self.remove_from_json(item)),
            Value::Object(map) => {
                map.values_mut().for_each(|value| self.remove_from_json(value));
                if map.keys().any(|key| self.are_in(key)) {
                    *map = self.with_clean_keys(std::mem::take(map));
                }
            }
            Value::Number(number) if self.are_in(&number.to_string()) => *value = PLACEHOLDER.into(),
            Value::Number(_) | Value::Bool(_) | Value::Null => {}
        }
    }

    /// Two keys must not become one.
    fn with_clean_keys(&self, map: Map<String, Value>) -> Map<String, Value> {
        let mut clean = Map::new();
        for (key, value) in map {
            let mut name = self.removed(&key).into_owned();
            while clean.contains_key(&name) {
                name.push('+');
            }
            clean.insert(name, value);
        }
        clean
    }

    /// Removes the secrets from every text in `value`. Fails if a secret is also a word of its format.
    pub fn remove_from<T: Serialize + DeserializeOwned>(&self, value: &mut T) -> serde_json::Result<()> {
        if self.forms.is_none() || !self.are_in(&serde_json::to_string(value)?) {
            return Ok(());
        }
        let mut json = serde_json::to_value(&*value)?;
        self.remove_from_json(&mut json);
        *value = serde_json::from_value(json)?;
        Ok(())
    }
}

/// Whether `value` is no ordinary word.
fn is_secret(value: &str) -> bool {
    let is_long = value.chars().count() >= LONG;
    let has = |wanted: fn(&char) -> bool| value.chars().any(|character| wanted(&character));
    let both_cases = has(|c| c.is_lowercase()) && has(|c| c.is_uppercase());
    value.chars().count() >= SHORTEST
        && value.chars().collect::<BTreeSet<_>>().len() >= DIFFERENT_CHARACTERS
        && (is_long || has(|c| c.is_ascii_digit()) || both_cases)
}

/// Adds the secrets in `value`.
fn add_parts(value: &str, parts: &mut BTreeSet<String>) {
    let value = value.trim();
    if let Ok(json @ Value::Object(_)) = serde_json::from_str(value) {
        return add_named_parts(&json, parts);
    }
    if let Some((scheme, rest)) = value.split_once(' ')
        && ["bearer", "basic"].contains(&scheme.to_ascii_lowercase().as_str())
    {
        parts.insert(rest.trim().to_owned());
    }
    // A log may have any line of a private key.
    let lines = value
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with("-----"));
    parts.extend(lines.map(str::to_owned));
}

/// Adds the texts of `value` whose key names a credential.
fn add_named_parts(value: &Value, parts: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                match value {
                    Value::String(text) if is_credential_name(key) => add_parts(text, parts),
                    _ => add_named_parts(value, parts),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| add_named_parts(item, parts)),
        _ => {}
    }
}

/// The forms in which a text may contain `secret`.
pub fn forms(secret: &str) -> BTreeSet<String> {
    let mut forms = BTreeSet::from([secret.to_owned()]);
    let mut escaped = secret.to_owned();
    for _ in 0..JSON_DEPTH {
        escaped = json_escaped(&escaped);
        forms.insert(escaped.clone());
    }
    // PHP escapes slashes; Go escapes the signs of HTML; Python escapes everything outside of ASCII.
    forms.insert(json_escaped(secret).replace('/', r"\/"));
    let go = json_escaped(secret)
        .replace('<', r"\u003c")
        .replace('>', r"\u003e");
    forms.insert(go.replace('&', r"\u0026"));
    forms.insert(ascii_escaped(&json_escaped(secret)));
    for text in [secret, &json_escaped(secret)] {
        forms.extend(base64_forms(text.as_bytes()));
    }
    for set in &URL_SETS {
        let once = utf8_percent_encode(secret, set).to_string();
        forms.insert(once.replace("%20", "+"));
        forms.insert(utf8_percent_encode(&once, set).to_string());
        forms.insert(once);
    }
    forms.insert(hex(secret.as_bytes()));
    forms
}

fn json_escaped(text: &str) -> String {
    let quoted = Value::from(text).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

fn ascii_escaped(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        match character.is_ascii() {
            true => escaped.push(character),
            false => {
                let units = &mut [0; 2];
                let units = character.encode_utf16(units).iter();
                escaped.extend(units.map(|unit| format!(r"\u{unit:04x}")));
            }
        }
    }
    escaped
}

/// The part of the base64 of a longer text that `bytes` alone decide, for each of the three places of its first byte. A
/// character of base64 stands for 6 bits, so the characters at both ends also stand for the bytes beside them.
fn base64_forms(bytes: &[u8]) -> impl Iterator<Item = String> {
    (0..3).flat_map(|offset| {
        let shifted = [&[0; 2][..offset], bytes].concat();
        let (start, end) = ((offset * 8).div_ceil(6), shifted.len() * 8 / 6);
        [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD].map(|engine| engine.encode(&shifted)[start..end].to_owned())
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SECRET: &str = "s3cret/\"+~é\\ value&<x>";

    #[track_caller]
    fn assert_removed(text: &str) {
        let clean = Secrets::new([SECRET]).removed(text).into_owned();
        assert!(clean.contains(PLACEHOLDER), "{text} became {clean}");
    }

    #[test]
    fn every_form_of_a_secret_is_found() {
        let json = json!({ "a": SECRET }).to_string();
        let nested = json!({ "b": json }).to_string();
        let in_a_list = json!([nested]).to_string();
        for text in [SECRET.to_ascii_uppercase(), json.clone(), nested, in_a_list] {
            assert_removed(&text);
        }
        for set in &URL_SETS {
            assert_removed(&format!("/path?x={}&y", utf8_percent_encode(SECRET, set)));
        }
        for before in ["", "a", "ab", "user:"] {
            for after in ["", "!", "!!"] {
                let text = format!("{before}{SECRET}{after}");
                assert_removed(&STANDARD_NO_PAD.encode(&text));
                assert_removed(&URL_SAFE_NO_PAD.encode(&text));
            }
            assert_removed(&STANDARD_NO_PAD.encode(format!("{before}{json}")));
        }
        // Python's `json.dumps`, Go's `json.Marshal`, PHP's `json_encode`.
        assert_removed(r#""s3cret/\"+~\u00e9\\ value&<x>""#);
        assert_removed(r#""s3cret/\"+~é\\ value\u0026\u003cx\u003e""#);
        assert_removed(r#""s3cret\/\"+~é\\ value&<x>""#);
    }

    #[test]
    fn ordinary_words_are_no_secrets() {
        for word in [
            "any",
            "password",
            "bedrock",
            "aaaaaaaaaaaaaaaaaaaa",
            "placeholder",
            "",
        ] {
            assert_eq!(Secrets::new([word]).removed(word), word);
        }
        for secret in ["hunter2hunter", "correct-horse-battery", "AbcdefGhij", "sk-12345"] {
            assert_eq!(Secrets::new([secret]).removed(secret), PLACEHOLDER);
        }
    }

    #[test]
    fn secrets_inside_a_value_are_found() {
        let key = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqh1\nkiG9w0BAQEFAASCBK2\n-----END PRIVATE KEY-----\n";
        let account = json!({ "type": "service_account", "project_id": "project-12", "private_key": key });
        let secrets = Secrets::new([account.to_string(), "Bearer token-of-test-1".to_owned()]);
        for text in [
            "MIIEvQIBADANBgkqh1",
            "line: kiG9w0BAQEFAASCBK2",
            "x=token-of-test-1",
        ] {
            assert!(secrets.are_in(text), "{text}");
        }
        let whole = json!({ "key": key }).to_string();
        assert_eq!(secrets.removed(&whole).matches(PLACEHOLDER).count(), 2, "{whole}");
        assert!(!secrets.are_in("service_account of project-12"));
    }

    #[test]
    fn keys_and_texts_of_json_are_cleaned() {
        let secrets = Secrets::new(["plain-secret-7", "1234509876"]);
        let mut value = json!({"the plain-secret-7": ["a plain-secret-7", 1], "the PLAIN-secret-7": 1_234_509_876, "b": {"c": true}});
        secrets.remove_from_json(&mut value);
        assert_eq!(
            value,
            json!({"the [redacted]": ["a [redacted]", 1], "the [redacted]+": "[redacted]", "b": {"c": true}})
        );
    }

    #[test]
    fn a_secret_within_a_typed_value_is_removed() {
        let secrets = Secrets::new(["plain-secret-7"]);
        let mut pair = ("a plain-secret-7".to_owned(), 7);
        secrets.remove_from(&mut pair).unwrap();
        assert_eq!(pair, ("a [redacted]".to_owned(), 7));
        assert_eq!(format!("{secrets:?}"), PLACEHOLDER);
    }
}
