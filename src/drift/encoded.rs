//! Cleans what a text has in base64 or in hexadecimal.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use regex::{Captures, Regex};

use crate::text::hex;

/// What stands for data with a private value in it.
pub(super) const PLACEHOLDER: &str = "redacted";

/// `text` without the private values that it has in base64 or in hexadecimal. Data with a private value in it, such as an image with
/// the name of its author, is replaced as a whole. Compressed data is not searched.
pub(super) fn cleaned(text: String, clean: &dyn Fn(&str) -> String) -> String {
    type Codec = (Regex, fn(&str) -> Option<Vec<u8>>, fn(&str) -> String);
    // An account id in base64 has 16 characters.
    static CODECS: LazyLock<[Codec; 4]> = LazyLock::new(|| {
        let run = |pattern| Regex::new(pattern).expect("a constant expression");
        [
            // Wrapped: a line break may be escaped, in JSON within a text also more than once.
            (
                run(r"[A-Za-z0-9+/]{16,}(?:\s*(?:\\+r)?(?:\n|\\+n)[ \t]*[A-Za-z0-9+/]+)+={0,2}"),
                |run| {
                    static BREAK: LazyLock<Regex> =
                        LazyLock::new(|| Regex::new(r"\s+|\\+[rn]").expect("a constant expression"));
                    from_base64(&BREAK.replace_all(run, ""))
                },
                |clean| STANDARD.encode(clean),
            ),
            (run(r"[A-Za-z0-9+/]{16,}={0,2}"), from_base64, |clean| {
                STANDARD.encode(clean)
            }),
            (
                run(r"[A-Za-z0-9_-]{16,}"),
                |run| URL_SAFE_NO_PAD.decode(run).ok(),
                |clean| URL_SAFE_NO_PAD.encode(clean),
            ),
            (run("[0-9A-Fa-f]{24,}"), from_hex, |clean| hex(clean.as_bytes())),
        ]
    });
    CODECS.iter().fold(text, |text, (run, decode, encode)| {
        let cleaned = run.replace_all(&text, |found: &Captures<'_>| {
            let decoded = decode(&found[0]).unwrap_or_default();
            // What is no UTF-8 becomes a character that no private value has.
            let inner = String::from_utf8_lossy(&decoded);
            let is_text =
                !inner.contains(|c: char| c == '\u{fffd}' || (c.is_control() && !c.is_whitespace()));
            match clean(&inner) {
                clean if clean == inner => found[0].to_owned(),
                clean if is_text => encode(&clean),
                _ => PLACEHOLDER.to_owned(),
            }
        });
        cleaned.into_owned()
    })
}

fn from_base64(run: &str) -> Option<Vec<u8>> {
    let run = run.trim_end_matches('=');
    // The first word after wrapped data may belong to the run. Groups of four always decode.
    let whole = &run[..run.len() / 4 * 4];
    let decoded = STANDARD_NO_PAD.decode(run);
    decoded.or_else(|_| STANDARD_NO_PAD.decode(whole)).ok()
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let bytes = text.as_bytes().chunks_exact(2);
    bytes
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok())
        .collect()
}
