//! JSON as Claude Code reads it: a `\u` escape may name half of a character.
//!
//! A gateway may cut a text between the two halves (surrogates) of a character. JavaScript reads each half and joins them
//! with the text. A Rust string has no halves, so a half becomes a private character (U+10D800 to U+10DFFF) until [`joined`].

use serde_json::{Result, Value};

/// The halves of a character are U+D800 to U+DFFF; their private characters are this much higher.
const PRIVATE: u32 = 0x10_0000;

/// Parses `text`, in which half a character is allowed.
pub fn parse(text: &str) -> Result<Value> {
    serde_json::from_str(text).or_else(|error| match with_private_halves(text) {
        Some(text) => serde_json::from_str(&text),
        None => Err(error),
    })
}

/// `text` with each lone `\uD83D` replaced; `None` if there is none.
fn with_private_halves(text: &str) -> Option<String> {
    let mut changed = String::with_capacity(text.len());
    let mut found = false;
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        changed.push_str(before);
        let length = match (half(escape), escape.get(6..).and_then(half)) {
            (Some(0xD800..0xDC00), Some(0xDC00..)) => {
                changed.push_str(&escape[..12]);
                12
            }
            (Some(lone), _) => {
                found = true;
                changed.extend(char::from_u32(PRIVATE + lone));
                6
            }
            (None, _) => {
                let length = escape.char_indices().nth(2).map_or(escape.len(), |(at, _)| at);
                changed.push_str(&escape[..length]);
                length
            }
        };
        rest = &escape[length..];
    }
    changed.push_str(rest);
    found.then_some(changed)
}

/// The half of a character whose escape (`\ud83d`) `text` begins with.
fn half(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    u32::from_str_radix(digits, 16)
        .ok()
        .filter(|unit| (0xD800..0xE000).contains(unit))
}

/// `text` with its private halves joined to characters. A half that stays alone becomes U+FFFD.
pub fn joined(text: &str) -> String {
    let is_private = |character: char| (PRIVATE + 0xD800..PRIVATE + 0xE000).contains(&u32::from(character));
    if !text.contains(is_private) {
        return text.to_owned();
    }
    let mut units = Vec::with_capacity(text.len());
    for character in text.chars() {
        match is_private(character) {
            true => units.extend(u16::try_from(u32::from(character) - PRIVATE)),
            false => units.extend_from_slice(character.encode_utf16(&mut [0; 2])),
        }
    }
    String::from_utf16_lossy(&units)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_halves_of_a_character_are_joined() {
        let half = |text: &str| parse(text).unwrap().as_str().unwrap().to_owned();
        let (high, low) = (half(r#""a \ud83d""#), half(r#""\uDE00 b""#));
        assert_eq!(joined(&format!("{high}{low}")), "a 😀 b");
        assert_eq!(joined(&high), "a \u{fffd}");
        assert_eq!(joined(&format!("{low}{high}")), "\u{fffd} ba \u{fffd}");
    }

    #[test]
    fn other_json_is_parsed_as_ever() {
        for text in [r#""\ud83d\ude00 \\ud83d \" \\""#, r#"{"a":[1,"ż"]}"#] {
            assert_eq!(parse(text).unwrap(), serde_json::from_str::<Value>(text).unwrap());
        }
        let mixed = parse(r#""\ud83d\ude00\\\ud83d""#).unwrap();
        assert_eq!(joined(mixed.as_str().unwrap()), "😀\\\u{fffd}");
        assert!(parse(r#"{"a": "\ud83d"#).is_err());
        assert!(parse(r#""\u12"#).is_err());
    }
}
