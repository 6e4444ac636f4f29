//! Removes credentials from recorded headers, and private values from texts that others may see.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

/// The final words of the names of headers, parameters and settings that hold a credential.
const CREDENTIAL_WORDS: [&str; 17] = [
    "apikey",
    "assertion",
    "auth",
    "authorization",
    "cookie",
    "credential",
    "credentials",
    "jwt",
    "key",
    "passphrase",
    "passwd",
    "password",
    "pwd",
    "secret",
    "sig",
    "signature",
    "token",
];

/// Names that end like a credential's and hold none.
const NO_CREDENTIALS: [&str; 2] = ["idempotency-key", "sec-websocket-key"];

/// Whether a header, a parameter or a setting of this name holds a credential: by its final word.
pub fn is_credential_name(name: &str) -> bool {
    let last = name.rsplit(['-', '_', '.']).next().unwrap_or_default();
    // `sessionToken` ends with `Token`.
    let begins_word =
        |(at, _): &(usize, char)| last[..*at].ends_with(|before: char| before.is_ascii_lowercase());
    let mut capitals = last
        .char_indices()
        .filter(|(_, letter)| letter.is_ascii_uppercase());
    let last_word = capitals.rfind(begins_word).map_or(0, |(at, _)| at);
    let is_word = |word: &str| CREDENTIAL_WORDS.contains(&&*word.to_ascii_lowercase());
    (is_word(last) || is_word(&last[last_word..])) && !NO_CREDENTIALS.contains(&&*name.to_ascii_lowercase())
}

/// `query` with the values of the parameters that hold a credential replaced.
pub fn of_query(query: &str) -> String {
    let pairs = query.split('&').map(|pair| match pair.split_once('=') {
        Some((name, value)) if is_credential_name(name) || is_credential(value) => {
            format!("{name}={}", placeholder(value.len()))
        }
        _ => pair.to_owned(),
    });
    pairs.collect::<Vec<_>>().join("&")
}

/// The beginning of each token of a Claude subscription: <https://github.com/anthropics/claude-code/issues/28091>.
pub const SUBSCRIPTION_PREFIX: &str = "sk-ant-oat01-";

/// The value of header `name` (lower case), or `[redacted, N bytes]` if the name or the form of the value shows that it is a
/// credential. A gateway may forward a credential under any name. The placeholder says that it was a subscription's token,
/// because that tells who pays.
pub fn header_value(name: &str, value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    if !is_credential_name(name) && !is_credential(&text) {
        return text.into_owned();
    }
    let length = value.len();
    match text
        .split_once(' ')
        .map_or(&*text, |(_, token)| token)
        .starts_with(SUBSCRIPTION_PREFIX)
    {
        true => format!("[redacted, {length} bytes, {SUBSCRIPTION_PREFIX}…]"),
        false => placeholder(length),
    }
}

/// `line` without texts in the form of a credential. Matches less than [`of_text`].
pub fn of_log_line(line: &str) -> String {
    credential().replace_all(line, "[redacted]").into_owned()
}

/// `line` without the values that have a credential's name, and without the sign-in of an address.
pub fn of_named_values(line: &str) -> String {
    static NAMED: LazyLock<Regex> = LazyLock::new(|| {
        let pattern =
            r#"([A-Za-z_][\w.-]*)(["']?\s*(=|:)\s*["']?)((?:(?i:bearer|basic|token)\s+)?[^\s"'&,;]+)"#;
        Regex::new(pattern).expect("a constant expression")
    });
    static SIGN_IN: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"([A-Za-z][\w+.-]*://)[^\s/@]+@").expect("a constant expression"));
    let line = SIGN_IN.replace_all(line, "${1}[redacted]@");
    let hidden = |found: &regex::Captures<'_>| {
        let value = &found[4];
        // After a colon, a plain word is rather a message than a value.
        let is_value = &found[3] == "=" || value.len() >= 20 || value.contains(|c: char| c.is_ascii_digit());
        match is_credential_name(&found[1]) && is_value && !value.starts_with(['=', '[', '*']) {
            true => format!("{}{}[redacted]", &found[1], &found[2]),
            false => found[0].to_owned(),
        }
    };
    NAMED.replace_all(&line, hidden).into_owned()
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
            (r"\bya29\.[\w.-]+", "[redacted]"),
            (r"\beyJ[\w-]{8,}\.[\w-]+\.[\w-]+", "[redacted]"),
            // Not `react@19.1.0`: a top-level domain is alphabetic (RFC 3696, section 2).
            (
                r"[\w.+-](?:[\w.+'-]*[\w.+-])?@(?:[\w-]+\.)+[A-Za-z]{2,}\b",
                "[redacted]",
            ),
            (r"/[\w./-]*/compat-\w{6}/[\w./-]*", "[folder of the run]"),
            (r"(?:/home|/Users|/root)(?:/[\w.-]+)+", "[folder]"),
            (r"(?i)\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", NO_SESSION),
        ]
        .into_iter()
        .map(|(pattern, replacement)| (Regex::new(pattern).expect("a constant expression"), replacement))
        .collect()
    });
    let public = PRIVATE
        .iter()
        .fold(text.to_owned(), |text, (pattern, replacement)| {
            pattern.replace_all(&text, *replacement).into_owned()
        });
    of_log_line(&public)
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
            r"\bgh[oprsu]_[A-Za-z0-9]{36}\b",
            // Google, Hugging Face, Groq, npm, PyPI, Slack, GitLab, GitHub, CircleCI.
            r"\bAIza[\w-]{30,}|\b(?:hf|gsk|npm)_[A-Za-z0-9]{20,}|\bpypi-[\w-]{16,}|\bxox[abeprs]-[\w-]{10,}|\bglpat-[\w-]{20,}|\bgithub_pat_\w{20,}|\bCCI[PU]AT_\w{20,}",
            r"\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]+",
            // With its body, whose line breaks may be escaped.
            r"-----BEGIN [A-Z ]*PRIVATE KEY-----(?:[A-Za-z0-9+/=\s]|\\+[nr])*(?:-----END [A-Z ]*PRIVATE KEY-----)?",
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
        let token = "Bearer sk-ant-oat01-abcdefghijklmnopqrst";
        assert_eq!(
            header_value("authorization", token.as_bytes()),
            "[redacted, 40 bytes, sk-ant-oat01-…]"
        );
    }

    #[test]
    fn a_text_for_others_has_no_credential_of_any_form() {
        for value in [
            "AKIAABCDEFGHIJKLMNOP",
            "AIzaSyA1234567890abcdefghijklmnopqrstuv",
            "gsk_abcdefghijklmnopqrstuvwx",
            "npm_abcdefghijklmnopqrstuvwx",
            "pypi-AgEIcHlwaS5vcmcCJDU2",
            "xoxb-1234567890-abc",
            "glpat-abcdefghijklmnopqrst",
            "github_pat_11ABCDEFG0abcdefghijk",
            "sk-short-key",
        ] {
            assert_eq!(of_text(&format!("key {value} end")), "key [redacted] end");
        }
    }

    #[test]
    fn a_credential_is_known_by_its_name() {
        for name in [
            "Authorization",
            "x-goog-api-key",
            "x-amz-security-token",
            "helicone-auth",
            "X-Amz-Signature",
            "private_key",
        ] {
            assert!(is_credential_name(name), "{name}");
        }
        for name in [
            "x-amzn-bedrock-input-token-count",
            "x-litellm-key-spend",
            "max_tokens",
            "monkey",
        ] {
            assert!(!is_credential_name(name), "{name}");
        }
        assert_eq!(
            of_query("beta=true&key=abc&alt=sse&access_token=a"),
            "beta=true&key=[redacted, 3 bytes]&alt=sse&access_token=[redacted, 1 bytes]"
        );
    }

    #[test]
    fn a_value_with_a_credentials_name_is_removed() {
        for (line, clean) in [
            ("a password=hunter2 b", "a password=[redacted] b"),
            ("DB_PASSWORD: 'hunter2'", "DB_PASSWORD: '[redacted]'"),
            (
                "Authorization: Basic dXNlcjpodW50ZXI=",
                "Authorization: [redacted]",
            ),
            ("x?X-Amz-Signature=ab12&y=1", "x?X-Amz-Signature=[redacted]&y=1"),
            (
                "https://user:hunter2@pypi.example/a",
                "https://[redacted]@pypi.example/a",
            ),
            ("x-api-key: invalid", "x-api-key: invalid"),
            ("KeyError: 'A_TOKEN'", "KeyError: 'A_TOKEN'"),
        ] {
            assert_eq!(of_named_values(line), clean);
        }
        assert_eq!(
            of_text("react@19.1.0 a@b.org checkout@v4.99 'a.o'neil@b.org'"),
            "react@19.1.0 [redacted] checkout@v4.99 '[redacted]'"
        );
    }

    #[test]
    fn the_body_of_a_private_key_is_removed() {
        let key = r"x -----BEGIN RSA PRIVATE KEY-----\nMIIEvQ\n+/ab=\n-----END RSA PRIVATE KEY----- y";
        assert_eq!(of_log_line(key), "x [redacted] y");
        assert_eq!(of_log_line(&key.replace(r"\n", "\n")), "x [redacted] y");
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
