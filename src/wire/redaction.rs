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

/// The value of header `name` (lower case), or `[redacted, N bytes]` if it is a credential.
pub fn header_value(name: &str, value: &[u8]) -> String {
    if CREDENTIALS.contains(&name) {
        placeholder(value.len())
    } else {
        String::from_utf8_lossy(value).into_owned()
    }
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
    CREDENTIAL.is_match(text)
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
