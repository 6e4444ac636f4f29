//! Text for readers: lists of names, suggestions, and values cut to a length that fits a message.
#![warn(clippy::disallowed_methods)]

use std::fmt::Display;
use std::str::FromStr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// All characters but the unreserved ones (RFC 3986, section 2.3).
pub const RESERVED: AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// `text` as a part of a URL's path or query.
pub fn percent_encoded(text: &str) -> String {
    utf8_percent_encode(text, &RESERVED).to_string()
}

/// `bytes` in hexadecimal digits, in lower case.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The most characters of a value in a message. The evidence has the whole value: a request body of 85 KB is common.
const CLIPPED: usize = 300;

/// The most similar name among `known`, if one is similar to `name`.
pub fn closest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = name.to_lowercase();
    known
        .into_iter()
        .map(|candidate| {
            (
                strsim::jaro_winkler(&wanted, &candidate.to_lowercase()),
                candidate,
            )
        })
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, candidate)| candidate)
}

/// Whether `name` is `known` with at most two letters wrong: a slip, where a name that is only similar may be another thing.
pub fn is_slip_of(name: &str, known: &str) -> bool {
    strsim::damerau_levenshtein(name, known) <= 2
}

/// The name among `known` that `name` is a slip of; `None` if it is one of them. One letter is wrong, or two of eight or more. A name
/// with other digits is another name: a newer version, or another limit.
pub fn slip_of<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let known: Vec<&str> = known.into_iter().collect();
    let digits = |text: &str| -> String { text.chars().filter(char::is_ascii_digit).collect() };
    let most = match name.chars().count() {
        ..4 => return None,
        4..8 => 1,
        _ => 2,
    };
    let is_slip =
        |other: &&str| strsim::damerau_levenshtein(name, other) <= most && digits(name) == digits(other);
    match known.contains(&name) {
        true => None,
        false => known.into_iter().find(is_slip),
    }
}

/// ` (did you mean …?)` with the name among `known` that is similar to `name`; empty if none is.
pub fn suggestion<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    closest(name, known).map_or_else(String::new, |close| format!(" (did you mean `{close}`?)"))
}

/// `did you mean …? ` as the beginning of a hint; empty without a similar name.
pub fn meant(close: Option<&str>) -> String {
    close.map_or_else(String::new, |close| format!("did you mean `{close}`? "))
}

/// `names` in backticks, separated by commas.
pub fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let quoted: Vec<String> = names.into_iter().map(|name| format!("`{name}`")).collect();
    quoted.join(", ")
}

/// The first three of `names`, and how many more there are: `a, b, c and 180 more`.
pub fn first_names(names: &[impl Display]) -> String {
    const MOST: usize = 3;
    let shown: Vec<String> = names.iter().take(MOST).map(ToString::to_string).collect();
    match names.len().saturating_sub(MOST) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// A number of the command line, from 1.
pub fn number_from_one<T: FromStr>(text: &str) -> Result<T, String> {
    let number = text.parse().ok();
    number.ok_or_else(|| "expected a number from 1".to_owned())
}

/// `word`, quoted for a POSIX shell if necessary.
pub fn shell_word(word: &str) -> String {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "-_./=:@,+".contains(character);
    match !word.is_empty() && word.chars().all(is_plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

/// `1 trial`, `2 trials`, `2 retries`.
pub fn counted(count: usize, noun: &str) -> String {
    match (count, noun.strip_suffix("ry")) {
        (1, _) => format!("1 {noun}"),
        (count, Some(stem)) => format!("{count} {stem}ries"),
        (count, None) => format!("{count} {noun}s"),
    }
}

/// A duration for a reader: `45 s`, `6 min 10 s`, `1 h 5 min`.
pub fn duration_in_words(seconds: u64) -> String {
    match (seconds / 3600, seconds / 60) {
        (_, 0) => format!("{seconds} s"),
        (0, minutes) if minutes < 10 && !seconds.is_multiple_of(60) => {
            format!("{minutes} min {} s", seconds % 60)
        }
        (0, minutes) => format!("{minutes} min"),
        (hours, minutes) => format!("{hours} h {} min", minutes % 60),
    }
}

/// The first `most` characters of `text`, with `…` if there are more.
pub fn truncated(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The first line of `text`, cut where it is too long to quote.
pub fn quotable(text: &str) -> String {
    const MOST: usize = 60;
    let first = text.lines().next().unwrap_or_default();
    match truncated(first, MOST) {
        cut if cut == first && first.len() < text.len() => format!("{cut}…"),
        cut => cut,
    }
}

/// `text` on one line, with single spaces, truncated to `most` characters.
pub fn one_line(text: &str, most: usize) -> String {
    truncated(&text.split_whitespace().collect::<Vec<_>>().join(" "), most)
}

/// The beginning and the end of `text`, with the number of characters between them.
pub fn clipped(text: &str) -> String {
    const HEAD: usize = CLIPPED * 2 / 3;
    const TAIL: usize = CLIPPED / 3;
    let count = text.chars().count();
    if count <= CLIPPED {
        return text.to_owned();
    }
    let head: String = text.chars().take(HEAD).collect();
    let tail: String = text.chars().skip(count - TAIL).collect();
    let between = counted(count - TAIL - HEAD, "more character");
    format!("{head} … ({between}) … {tail}")
}

/// `text` without escape sequences and control characters, except line breaks: recorded output must not control the reader's
/// terminal.
pub fn printable(text: &str) -> String {
    let text = anstream::adapter::strip_str(text).to_string();
    let shown = |character| match character {
        '\n' => '\n',
        '\t' | '\r' => ' ',
        character => visible(character),
    };
    text.chars().map(shown).collect()
}

/// `character`, or a visible one in place of a control character, which could control the reader's terminal, or reorder
/// the text around it.
pub fn visible(character: char) -> char {
    match character {
        '\n' => '↵',
        '\t' => '→',
        character if character.is_control() || is_direction(character) => '\u{fffd}',
        character => character,
    }
}

/// Whether `character` changes the order in which a reader sees its neighbours (Unicode Standard Annex 9, section 2).
fn is_direction(character: char) -> bool {
    matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// `text` as a name, if possible: `Tool Use` becomes `tool_use`.
pub fn as_name(text: &str) -> Option<String> {
    let words: Vec<String> = text
        .split(|character: char| !character.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_ascii_lowercase)
        .collect();
    Some(words.join("_")).filter(|name| is_name(name))
}

/// Whether `name` is valid for a feature, a provider, a tier or an expectation.
pub fn is_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_no_other_name() {
        let known = ["Read", "ENABLE_PROMPT_CACHING_1H"];
        for (name, meant) in [
            ("Reda", Some("Read")),
            ("Red", None),
            ("Read", None),
            ("Rate", None),
            ("ENABLE_PROMT_CACHNG_1H", Some("ENABLE_PROMPT_CACHING_1H")),
            ("ENABLE_PROMPT_CACHING_5M", None),
        ] {
            assert_eq!(slip_of(name, known), meant, "{name}");
        }
    }

    #[test]
    fn many_names_are_cut_to_three() {
        assert_eq!(first_names(&["a", "b", "c"]), "a, b, c");
        assert_eq!(first_names(&["a", "b", "c", "d", "e"]), "a, b, c and 2 more");
    }

    #[test]
    fn a_count_has_the_form_of_its_noun() {
        assert_eq!(counted(1, "retry"), "1 retry");
        assert_eq!(counted(2, "retry"), "2 retries");
        assert_eq!(counted(0, "trial"), "0 trials");
    }

    #[test]
    fn escape_sequences_are_removed() {
        assert_eq!(printable("a\u{1b}[31mb\tc\r\nd\u{7}"), "ab c \nd");
    }

    #[test]
    fn characters_that_reorder_text_are_replaced() {
        for hidden in "\u{61c}\u{200e}\u{200f}\u{202a}\u{202e}\u{2066}\u{2069}".chars() {
            assert_eq!(printable(&format!("a{hidden}b")), "a\u{fffd}b");
        }
    }

    #[test]
    fn cuts_fall_between_characters() {
        assert_eq!(truncated("näh", 2), "nä…");
        assert_eq!(truncated("näh", 3), "näh");
        assert_eq!(one_line("a\n  b c", 3), "a b…");
        let long = "é".repeat(CLIPPED + 1);
        assert!(clipped(&long).contains("(1 more character)"));
    }
}
