//! The credentials with which clients call the gateway, searched by value in the requests that reach the provider.

use std::collections::BTreeSet;

use serde_json::Value;

use super::incoming::Incoming;
use super::oauth::form_fields;
use crate::wire::secrets::Secrets;

/// From this length on, a plain credential is searched in the texts of a body too.
const LONG: usize = 8;

#[derive(Default)]
pub(super) struct CallerCredentials {
    values: BTreeSet<String>,
    /// All forms of `values`.
    found: Secrets,
    /// Those that look like ordinary words, which [`Secrets`] ignores.
    plain: BTreeSet<String>,
}

impl CallerCredentials {
    pub(super) fn add(&mut self, credential: String) {
        if Secrets::new([&credential]).are_in(&credential) {
            self.values.insert(credential);
            self.found = Secrets::new(&self.values);
        } else {
            self.plain.insert(credential);
        }
    }

    /// Where one of them is in `incoming`: `header x-key`, `path`, `query`, `body`.
    ///
    /// A credential that looks like an ordinary word, such as `sk-1234` or `test-key`, must be a whole value: of a header, also
    /// after `Bearer`, or of a parameter of the query. With 8 characters or more, a whole text of the body counts too. A shorter
    /// one is not searched in bodies: `any` is also a `tool_choice`.
    pub(super) fn places_in(&self, incoming: &Incoming) -> Vec<String> {
        let is_in = |bytes: &[u8]| self.found.are_in(&String::from_utf8_lossy(bytes));
        let headers = incoming.headers.iter();
        let headers =
            headers.filter(|(_, value)| is_in(value.as_bytes()) || self.is_plain_header(value.as_bytes()));
        let mut places: Vec<String> = headers.map(|(name, _)| format!("header {name}")).collect();
        let is_in_query = || form_fields(&incoming.query).any(|(_, value)| self.plain.contains(&value));
        let is_in_body = || {
            let body = incoming.recorded.body.json();
            body.is_some_and(|body| !self.plain.is_empty() && self.is_plain_text(body))
        };
        let parts = [
            ("path", is_in(incoming.recorded.path.as_bytes())),
            ("query", is_in(incoming.query.as_bytes()) || is_in_query()),
            ("body", is_in(&incoming.bytes) || is_in_body()),
        ];
        let parts = parts.into_iter().filter(|(_, is_there)| *is_there);
        places.extend(parts.map(|(name, _)| name.to_owned()));
        places
    }

    fn is_plain_header(&self, value: &[u8]) -> bool {
        let value = String::from_utf8_lossy(value);
        let (scheme, rest) = value.split_once(' ').unwrap_or_default();
        self.plain.contains(&*value)
            || (scheme.eq_ignore_ascii_case("bearer") && self.plain.contains(rest.trim()))
    }

    /// Whether a text of `value` is a plain credential of some length.
    fn is_plain_text(&self, value: &Value) -> bool {
        match value {
            Value::String(text) => text.chars().count() >= LONG && self.plain.contains(text),
            Value::Array(items) => items.iter().any(|item| self.is_plain_text(item)),
            Value::Object(map) => map.values().any(|value| self.is_plain_text(value)),
            Value::Number(_) | Value::Bool(_) | Value::Null => false,
        }
    }
}
