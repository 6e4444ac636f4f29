//! Headers as they may be recorded: without credentials.
//!
//! Pure.

/// Headers whose values are credentials.
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

/// The value of header `name` (lower case) as it may be recorded: `[redacted, N bytes]` if it is a credential.
pub fn header_value(name: &str, value: &[u8]) -> String {
    if CREDENTIALS.contains(&name) {
        placeholder(value.len())
    } else {
        String::from_utf8_lossy(value).into_owned()
    }
}

/// What stands for a secret of `length` bytes.
pub fn placeholder(length: usize) -> String {
    format!("[redacted, {length} bytes]")
}
