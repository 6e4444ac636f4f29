//! Removes credentials from recorded headers, and private values from texts that others may see.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

const CREDENTIALS: [&str; 8] = [
    "authorization",
    "proxy-authorization",
    "x-api-key",
    "api-key",
    "x-goog-api-key",
    "x-amz-security-token",
    "cookie",
    "set-cookie",
];

/// The value of header `name` (lower case), or `[redacted, N bytes]` if the name or the form of the value shows that it is a
/// credential. A gateway may forward a credential under any name.
pub fn header_value(name: &str, value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    if CREDENTIALS.contains(&name) || is_credential(&text) {
        placeholder(value.len())
    } else {
        text.into_owned()
    }
}

/// `text` with each of `secrets` replaced.
pub fn without(text: &str, secrets: &[String]) -> String {
    secrets
        .iter()
        .filter(|secret| text.contains(secret.as_str()))
        .fold(text.to_owned(), |text, secret| text.replace(secret, "[redacted]"))
}

/// Whether one of `secrets` is in a text of `value`.
fn has_any(value: &Value, secrets: &[String]) -> bool {
    match value {
        Value::String(text) => secrets.iter().any(|secret| text.contains(secret.as_str())),
        Value::Array(items) => items.iter().any(|item| has_any(item, secrets)),
        Value::Object(map) => map.values().any(|value| has_any(value, secrets)),
        _ => false,
    }
}

/// Replaces each of `secrets` in the texts of `value`.
pub fn remove_from_value(value: &mut Value, secrets: &[String]) {
    if !has_any(value, secrets) {
        return;
    }
    match value {
        Value::String(text) => *text = without(text, secrets),
        Value::Array(items) => items.iter_mut().for_each(|item| remove_from_value(item, secrets)),
        Value::Object(map) => map
            .values_mut()
            .for_each(|value| remove_from_value(value, secrets)),
        _ => {}
    }
}

/// Replaces the values of `headers` that contain one of `secrets`.
pub fn remove_from_headers(headers: &mut [(String, String)], secrets: &[String]) {
    for (_, value) in headers {
        if secrets.iter().any(|secret| value.contains(secret.as_str())) {
            *value = placeholder(value.len());
        }
    }
}

/// `line` without texts in the form of a credential. Matches less than [`of_text`].
pub fn of_log_line(line: &str) -> String {
    credential().replace_all(line, "[redacted]").into_owned()
}

/// The placeholder of a secret of `length` bytes.
pub fn placeholder(length: usize) -> String {
    format!("[redacted, {length} bytes]")
}

/// The placeholder of the id of a session or a request.
const NO_SESSION: &str = "00000000-0000-0000-0000-000000000000";

/// `text` without keys, session ids, folders and mail addresses.
pub fn of_text(text: &str) -> String {
    static PRIVATE: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
        [
            (r"(?i)\bbearer\s+[\w.~+/=-]{8,}", "Bearer [redacted]"),
            (r"\bsk-[A-Za-z0-9_-]{8,}", "[redacted]"),
            (r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b", "[redacted]"),
            (r"\bya29\.[\w.-]+", "[redacted]"),
            (r"\beyJ[\w-]{8,}\.[\w-]+\.[\w-]+", "[redacted]"),
            (
                r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?-----END [A-Z ]*PRIVATE KEY-----",
                "[redacted]",
            ),
            (r"[\w.+-]+@[\w-]+\.[\w.-]*\w", "[redacted]"),
            (r"/[\w./-]*/compat-\w{6}/[\w./-]*", "[folder of the run]"),
            (r"(?:/home|/Users|/root)(?:/[\w.-]+)+", "[folder]"),
            (r"(?i)\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", NO_SESSION),
        ]
        .into_iter()
        .map(|(pattern, replacement)| (Regex::new(pattern).expect("a constant expression"), replacement))
        .collect()
    });
    PRIVATE
        .iter()
        .fold(text.to_owned(), |text, (pattern, replacement)| {
            pattern.replace_all(&text, *replacement).into_owned()
        })
}

/// Whether `text` has a credential in it: a provider's key, an access token, a private key. Matches less than [`of_text`],
/// which rather removes too much.
pub fn is_credential(text: &str) -> bool {
    credential().is_match(text)
}

fn credential() -> &'static Regex {
    static CREDENTIAL: LazyLock<Regex> = LazyLock::new(|| {
        let forms = [
            r"(?i:\bbearer\s+)[\w.~+/=-]{20,}",
            r"\bsk-[A-Za-z0-9_-]{20,}",
            r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
            r"\bya29\.[\w.-]{20,}",
            r"\bgh[opsu]_[A-Za-z0-9]{36}\b",
            r"\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]+",
            r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
        ];
        Regex::new(&forms.join("|")).expect("a constant expression")
    });
    &CREDENTIAL
}

/// `value` with [`of_text`] applied to each string.
pub fn of_value(value: &Value) -> Value {
    match value {
        Value::String(text) => of_text(text).into(),
        Value::Array(items) => items.iter().map(of_value).collect(),
        Value::Object(map) => Value::Object(
            map.iter()
                .map(|(key, value)| (key.clone(), of_value(value)))
                .collect(),
        ),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_full_credentials_are_recognized() {
        assert!(is_credential("use sk-ant-api03-abcdefghijklmnopqrst"));
        assert!(is_credential("Authorization: Bearer abcdefghijklmnopqrstuvwxyz"));
        assert!(!is_credential(
            "a sk-learn tutorial, a task-oriented bearer of bad news"
        ));
        assert!(!is_credential(&format!("echo {}", "x".repeat(100))));
    }

    #[test]
    fn a_credential_in_any_header_is_replaced() {
        let jwt = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJhQGIuYyJ9.c2lnbmF0dXJl";
        for value in [
            "sk-ant-api03-abcdefghijklmnopqrst",
            "Bearer abcdefghijklmnopqrstuvwxyz",
            "key=AKIAABCDEFGHIJKLMNOP",
            jwt,
        ] {
            let recorded = header_value("x-upstream-thing", value.as_bytes());
            assert_eq!(recorded, placeholder(value.len()));
            assert!(!of_log_line(&format!("sent {value}")).contains(&value[value.len() - 10..]));
        }
        for value in [
            "claude-code-20250219,oauth-2025-04-20",
            "req_011CSHoEeqs5C35K2UUqR7Fy",
        ] {
            assert_eq!(header_value("x-any", value.as_bytes()), value);
        }
        assert_eq!(header_value("x-api-key", b"short"), placeholder(5));
    }

    #[test]
    fn known_secrets_are_replaced_in_bodies_and_headers() {
        let secrets = ["plain-secret".to_owned()];
        let mut value = serde_json::json!({"a": ["the plain-secret", 1], "b": {"c": "other"}});
        remove_from_value(&mut value, &secrets);
        assert_eq!(
            value,
            serde_json::json!({"a": ["the [redacted]", 1], "b": {"c": "other"}})
        );
        let mut headers = [("x-odd".to_owned(), "is plain-secret".to_owned())];
        remove_from_headers(&mut headers, &secrets);
        assert_eq!(headers[0].1, placeholder(15));
    }

    #[test]
    fn private_values_are_replaced() {
        let text = "sk-abcdefgh12345 Bearer abc.def-ghi123 someone@example.org \
                    /var/compat-jdGpPL/41c2a94e8127/home 41c2a94e-8127-4ead-bce6-781692b801fb /home/x/y AKIAABCDEFGHIJKLMNOP";
        assert_eq!(
            of_text(text),
            "[redacted] Bearer [redacted] [redacted] [folder of the run] 00000000-0000-0000-0000-000000000000 [folder] [redacted]"
        );
        assert_eq!(of_text("echo compat-7f3a > /var/x"), "echo compat-7f3a > /var/x");
    }
}
