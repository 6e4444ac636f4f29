//! The language of docs, comments and messages: plain English, short sentences.

use regex::Regex;

use super::{Text, nothing_found, pattern, texts};

/// The longest sentence in the docs, in words.
const MAX_WORDS: usize = 35;

/// Turns of phrase that a reader has to decode, and plain words for them.
const IDIOMS: [(&str, &str); 14] = [
    (r"\b(?:is|are|was|were|be|been) told\b", "prints, shows, gets"),
    (r"\bput(?:s|ting)? up with\b", "accept"),
    (r"\b(?:has|have|had) come to\b", "the result is"),
    (r"\btaken for\b", "counts as"),
    (r"\bheld to be\b", "is assumed"),
    (r"\bha(?:s|ve|d) had (?:its|their|his) day\b", "stale"),
    (r"\bon (?:no \S+'s|nobody's) behalf\b", "belongs to no"),
    (r"\bas it is\b[^-.\n]{0,60}\brun\b", "no trial matches"),
    (
        r"\b[Ww]ho (?:reads|removes|writes|asks|wants|holds|waits)\b",
        "the reader, the caller",
    ),
    (r"\blets? go of\b", "release"),
    (r"\blast word\b", "final answer"),
    (r"\bmade something (?:else )?of\b", "changed"),
    (r"\bnobody's in particular\b", "generic"),
    (r"\bkept warm\b", "the warm session"),
];

/// The texts that people read, without generated and recorded ones.
fn prose() -> Vec<Text> {
    let mut prose = texts("");
    prose.retain(|text| {
        let is_read = [
            ".rs", ".md", ".mdx", ".yaml", ".yml", ".sh", ".py", ".js", ".mjs", ".ts", ".tsx",
        ]
        .iter()
        .any(|ending| text.path.ends_with(ending));
        is_read
            && !text.is_below(&[
                "tests/it/tidy/",
                "tests/fixtures/",
                "tests/it/snapshots/",
                "schema/",
            ])
    });
    prose
}

/// `text` with single spaces and without the signs of comments, so that a phrase over a line break is found. A line
/// without words ends a phrase. Also returns where each line begins in it.
fn collapsed(text: &str) -> (String, Vec<usize>) {
    let leader = pattern(r"^\s*(?:(?://[/!]?|/\*+|\*|#+|>|--|[-*+]) ?)*");
    let (mut prose, mut starts) = (String::new(), Vec::new());
    for line in text.lines() {
        let words = leader.replace(line, "");
        let words: Vec<&str> = words.trim_end_matches('\\').split_whitespace().collect();
        starts.push(prose.len());
        prose.push_str(&words.join(" "));
        prose.push(if words.is_empty() { '\n' } else { ' ' });
    }
    (prose, starts)
}

/// Where `idiom` is in `text`: the line and the phrase.
fn phrases(text: &str, idiom: &Regex) -> Vec<(usize, String)> {
    let (prose, starts) = collapsed(text);
    idiom
        .find_iter(&prose)
        .map(|found| {
            let line = starts.partition_point(|start| *start <= found.start());
            (line, found.as_str().to_owned())
        })
        .collect()
}

#[test]
fn no_text_uses_an_idiom() {
    let prose = prose();
    for (idiom, plain) in IDIOMS {
        let pattern = pattern(idiom);
        let mut found = Vec::new();
        for text in &prose {
            let phrases = phrases(&text.text, &pattern).into_iter();
            found.extend(phrases.map(|(line, phrase)| format!("{}:{line}: {phrase}", text.path)));
        }
        nothing_found(&found, &format!("write `{plain}`"));
    }
}

#[test]
fn an_idiom_is_found_over_a_line_break() {
    let idiom = pattern(r"\b(?:is|are) told\b");
    for text in [
        "it is  told",
        "/// It is\n    /// told so.",
        "# it is\n# told",
        " * it is\n * told",
        "say(\"it is \\\n    told\")",
    ] {
        let found = phrases(&format!("first\n{text}"), &idiom);
        assert_eq!(found, [(2, "is told".to_owned())], "{text}");
    }
    assert_eq!(phrases("it is\n\ntold", &idiom), []);
}

/// The prose of a Markdown text: without code, tables, headings and links' targets; a list item ends a sentence.
fn sentences(markdown: &str) -> Vec<String> {
    let mut in_code = false;
    let mut text = String::new();
    for line in markdown.lines() {
        let line = line.trim();
        if line.starts_with("```") {
            in_code = !in_code;
            continue;
        }
        if in_code || line.starts_with(['|', '#', '<', '{']) || line.is_empty() {
            text.push_str("\n\n");
            continue;
        }
        if pattern(r"^(?:[-*>]|\d+\.) ").is_match(line) {
            text.push_str("\n\n");
        }
        text.push_str(line);
        text.push(' ');
    }
    let code = pattern(r"`[^`]*`").replace_all(&text, "CODE");
    let plain = pattern(r"\]\([^)]*\)").replace_all(&code, "]");
    pattern(r"[.!?:;](?:\s|$)|\n\n")
        .split(&plain)
        .map(|sentence| sentence.split_whitespace().collect::<Vec<_>>().join(" "))
        .filter(|sentence| !sentence.is_empty())
        .collect()
}

#[test]
fn no_sentence_of_the_docs_is_long() {
    let mut found = Vec::new();
    for text in prose() {
        let markdown = match () {
            () if text.path.ends_with(".md") => text.text.clone(),
            // The docs of modules and items; a line of code ends a sentence.
            () if text.path.ends_with(".rs") => text
                .text
                .lines()
                .map(|line| {
                    let line = line.trim();
                    let doc = line.strip_prefix("///").or_else(|| line.strip_prefix("//!"));
                    doc.map_or_else(|| "\n".to_owned(), |doc| format!("{doc}\n"))
                })
                .collect(),
            () => continue,
        };
        for sentence in sentences(&markdown) {
            let words = sentence.split(' ').count();
            if words > MAX_WORDS {
                found.push(format!("{}: {words} words: {sentence}", text.path));
            }
        }
    }
    nothing_found(&found, &format!("at most {MAX_WORDS} words, one idea a sentence"));
}

#[test]
fn sentences_are_found_in_markdown() {
    let text = "# A heading\n\nOne `a. b` two. Three\nfour: five\n- six\n- seven\n\n```\ncode. code\n```\n| a | b |\n";
    assert_eq!(
        sentences(text),
        ["One CODE two", "Three four", "five", "- six", "- seven"]
    );
}
