//! The message of a failure, prepared for the rules: one line of plain text, its HTTP status, its error types, and
//! whether it came through a gateway.

use std::str::Chars;
use std::sync::LazyLock;

use regex::Regex;

/// How a failed request had travelled, as far as its message shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageRoute {
    Gateway,
    /// From Claude Code, or another client, straight to the provider.
    Direct,
    Unknown,
}

/// The message of a failure, prepared for the rules.
#[derive(Clone, Debug)]
pub struct ErrorMessage {
    pub(super) text: String,
    pub(super) status: Option<u16>,
    pub(super) route: MessageRoute,
}

impl ErrorMessage {
    /// Reads `text`: undoes the JSON escapes of nested bodies, normalizes quotes and white space, and finds the status
    /// and the route.
    pub fn new(text: &str) -> Self {
        let text = plain(text);
        Self {
            status: status(&text),
            route: route(&text),
            text,
        }
    }

    /// Sets the HTTP status, if it is known.
    pub fn with_status(self, status: Option<u16>) -> Self {
        Self {
            status: status.or(self.status),
            ..self
        }
    }

    /// Adds a known error type: `overloaded_error`, `ThrottlingException`.
    pub fn with_error_type(mut self, error_type: &str) -> Self {
        if !self.text.contains(error_type) {
            self.text = format!("{error_type}: {}", self.text);
        }
        self
    }

    /// Sets the route.
    pub fn with_route(self, route: MessageRoute) -> Self {
        Self { route, ..self }
    }
}

/// The expected depth of error bodies nested as strings.
const NESTING: usize = 4;

/// `text` on one line, without the escapes of nested JSON strings and of XML, without colours and without typographic
/// quotes.
fn plain(text: &str) -> String {
    let mut text = text.to_owned();
    for _ in 0..NESTING {
        if !text.contains('\\') {
            break;
        }
        text = unescaped(&text);
    }
    for (escaped, plain) in ESCAPED {
        if text.contains(escaped) {
            text = text.replace(escaped, plain);
        }
    }
    let text = COLOUR.replace_all(&text, "");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Escapes and typographic quotes, with their plain characters.
const ESCAPED: [(&str, &str); 9] = [
    ("\u{2018}", "'"),
    ("\u{2019}", "'"),
    ("\u{201c}", "\""),
    ("\u{201d}", "\""),
    ("&quot;", "\""),
    ("&#39;", "'"),
    ("&lt;", "<"),
    ("&gt;", ">"),
    ("&amp;", "&"),
];

/// Control sequences of a terminal, with or without the escape character.
static COLOUR: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\x1b\[[0-9;?]*[A-Za-z]|\[(?:\d{1,3};?)+m").expect("the pattern is valid"));

/// `text` with one level of backslash escapes undone.
fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            plain.push(character);
            continue;
        }
        match characters.next() {
            Some('n' | 'r' | 't') => plain.push(' '),
            Some('u') => plain.push(of_code(&mut characters)),
            Some(escaped @ ('"' | '\'' | '\\' | '/')) => plain.push(escaped),
            Some(other) => plain.extend(['\\', other]),
            None => plain.push('\\'),
        }
    }
    plain
}

/// The character of the next four hexadecimal digits; a space if they are invalid.
fn of_code(characters: &mut Chars) -> char {
    let digits: String = characters.as_str().chars().take(4).collect();
    match u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32) {
        Some(character) => {
            characters.nth(3);
            character
        }
        None => ' ',
    }
}

/// The first HTTP status in the message, in one of the forms that programs print.
fn status(text: &str) -> Option<u16> {
    static STATUS: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(
            r#"(?xi)
              \b api_status= (?<api>\d{3}) \b
            | \b API\ Error:?\ \(? (?<cli>\d{3}) \b
            | \b (?:error\ code|status_code|status\ code|http_status|status|code)["']? \s* [:=]?\ * ["']? (?<named>[45]\d\d) \b
            | \b HTTP (?:/[\d.]+)? \s+ (?<http>[45]\d\d) \b
            | \b (?:exception|error|status|returned|response)["']? \W{0,4} (?<after>[45]\d\d) \b
            | \( (?<braced>[45]\d\d) \)
            | \b (?<address>[45]\d\d) \ https?://
            | ^ \D{0,40}? \b (?<first>[45]\d\d) (?: :\  | \ (?-i:[A-Z{\[(<"]) | $)
            | \b (?<reason>[45]\d\d) \  (?:bad\ request|unauthorized|forbidden|not\ found|payment\ required
              |method\ not\ allowed|too\ many\ requests|internal\ server\ error|bad\ gateway|service\ unavailable
              |gateway\ time-?out|overloaded|status\ code|\{)
            "#,
        )
        .expect("the pattern is valid")
    });
    let found = STATUS.captures(text)?;
    found.iter().skip(1).flatten().next()?.as_str().parse().ok()
}

/// Whether the message shows that a gateway handled it.
fn route(text: &str) -> MessageRoute {
    static GATEWAY: LazyLock<Regex> = LazyLock::new(|| {
        // LiteLLM's class names and the tail it appends to errors; the error shape of its proxy (the status and `None`
        // as strings); bodies of the OpenAI shape and nested bodies, which claude's own providers do not send; the
        // prefix of trials, which always use a gateway.
        Regex::new(
            r#"(?xi)
              litellm | model\ group | model_group=
            | \b\w+ (?:Exception|Error) (?:\ \w+Error)? \ -\ 
            | "(?:type|param)":\ ?"None" | "code":\ ?"\d{3}"
            | "error":\ ?\{\ ?"message" | "type":\ ?"<nil>" | \(request\ id:\ \w+\)
            | ["']message["']:\ ?["'] [^"'{]{0,60} \{\ ?["']
            | upstream\ (?:provider|error) | from\ provider | inference\ gateway | \[[\w-]+/[\w.@:-]+\]
            | "detail":\ ?\[ | claude\ CLI\ (?:failed|timed\ out)
            "#,
        )
        .expect("the pattern is valid")
    });
    static DIRECT: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r#"(?i)API Error|stream error: |^\W*Error: [45]\d\d |["']request_id["']: ?["']req_|/login\b|anthropic\.\w+Error|botocore|An error occurred \("#)
            .expect("the pattern is valid")
    });
    if GATEWAY.is_match(text) {
        MessageRoute::Gateway
    } else if DIRECT.is_match(text) {
        MessageRoute::Direct
    } else {
        MessageRoute::Unknown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_json_and_typographic_quotes_become_plain_text() {
        assert_eq!(
            plain("{\\\"message\\\":\\\"it isn\u{2019}t\\\\n  here\\\"}\n"),
            "{\"message\":\"it isn't here\"}"
        );
    }

    #[test]
    fn colours_xml_entities_and_unicode_escapes_become_plain_text() {
        assert_eq!(plain("\u{1b}[31mAPI Error\u{1b}[0m: 429"), "API Error: 429");
        assert_eq!(
            plain("\\u001b[1m&lt;failure message=&quot;\\u003c\\u00\\u003e&quot;/&gt;"),
            "<failure message=\"< 00>\"/>"
        );
    }

    #[test]
    fn a_status_is_found_in_every_printed_form() {
        for (text, expected) in [
            ("API Error: 529 Overloaded", Some(529)),
            ("API Error (429 Too many tokens) · Retrying", Some(429)),
            ("[m] claude CLI failed: exit=1; api_status=404; text=x", Some(404)),
            ("Error code: 401 - {'error': 1}", Some(401)),
            ("{\"error\":{\"message\":\"x\",\"code\":\"403\"}}", Some(403)),
            ("502 Bedrock streaming failed", Some(502)),
            ("Error: 500: AzureException", Some(500)),
            ("request failed with status code 503", Some(503)),
            ("unexpected status 404 Not Found", Some(404)),
            ("HTTP/1.1 504 Gateway Timeout", Some(504)),
            ("claude CLI timed out after 120.0s", None),
            ("a message of 429 words", None),
        ] {
            assert_eq!(status(text), expected, "{text}");
        }
    }

    #[test]
    fn a_gateway_is_recognized_by_its_error_shapes() {
        assert_eq!(
            route("API Error: 400 litellm.BadRequestError: x"),
            MessageRoute::Gateway
        );
        assert_eq!(route("BedrockException - {}"), MessageRoute::Gateway);
        assert_eq!(
            route("{\"error\":{\"message\":\"x\",\"param\":\"None\"}}"),
            MessageRoute::Gateway
        );
        assert_eq!(
            route("[a] claude CLI failed: exit=1; text=API Error: 400 x"),
            MessageRoute::Gateway
        );
        assert_eq!(
            route("API Error: 400 {\"error\":{\"message\":\"x\"}}"),
            MessageRoute::Gateway
        );
        assert_eq!(
            route("API Error: 400 {\"type\":\"error\",\"error\":{\"type\":\"t\",\"message\":\"x\"}}"),
            MessageRoute::Direct
        );
        assert_eq!(route("API Error: 400 x"), MessageRoute::Direct);
        assert_eq!(route("x: Extra inputs are not permitted"), MessageRoute::Unknown);
    }
}
