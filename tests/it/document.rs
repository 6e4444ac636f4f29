//! Diagnostics of YAML documents: of their syntax, and as text, annotations and JSON.

use std::path::Path;

use compat_matrix::cells::Manifest;
use compat_matrix::document::render::{self, Format};
use compat_matrix::report::wrap;
use unicode_width::UnicodeWidthStr;

use crate::support::cell::{GOOD, and, assert_found, brief, diagnostics, found, with};
use crate::support::root;
use crate::support::text::{assert_has, assert_starts};

#[test]
fn mistakes_of_syntax_are_explained() {
    let cases: Vec<(&str, String, &[&str])> = vec![
        (
            "an unclosed quote",
            with("Say pong", "\"Say pong"),
            &["this is not YAML", "a quote is not closed"],
        ),
        (
            "a colon in plain text",
            with("Say pong", "Say: pong"),
            &["cell.yaml 1:12", "this is not YAML"],
        ),
        (
            "a tab",
            and("\tflags: []\n"),
            &["7:2", "a tab in the indentation", "indent by spaces"],
        ),
        (
            "a key twice",
            and("prompt: again\n"),
            &[
                "7:1",
                "the key `prompt` is there twice",
                "the first one is here: 1:1",
            ],
        ),
        (
            "a name twice",
            and("  reply:\n    exit: 0\n"),
            &["7:3", "the key `reply` is there twice", "5:3"],
        ),
        (
            "a second document",
            and("---\nprompt: x\n"),
            &["7:1", "a second document begins here", "remove `---`"],
        ),
        ("a tag", with("Say pong", "!secret pong"), &["1:", "a YAML tag"]),
        (
            "a merge key",
            and("<<: { flags: [] }\n"),
            &["7:1", "merge keys (`<<`) are not supported", "_shared.yaml"],
        ),
        (
            "a key that is a number",
            and("5: x\n"),
            &["7:1", "a key must be a text", "quote it: `\"5\"`"],
        ),
        (
            "a key that is a list",
            and("[a]: x\n"),
            &["7:1", "a list or map as a key"],
        ),
        (
            "yes without quotes",
            with("contains: pong", "contains: yes"),
            &[
                "6:23",
                "`yes` is a boolean to some YAML readers",
                "write `true` for the boolean, or `\"yes\"` for the text",
            ],
        ),
        (
            "an empty file",
            String::new(),
            &["cell.yaml 1:1", "the file is empty"],
        ),
        ("only comments", "# nothing\n".to_owned(), &["the file is empty"]),
        (
            "a list as file",
            "- a\n".to_owned(),
            &["1:1", "expected a map", "found: a list"],
        ),
        (
            "an alias of nothing",
            with("Say pong", "*nowhere"),
            &["1:9", "this is not YAML"],
        ),
        (
            "a key without a space",
            with("contains: pong", "contains:pong"),
            &[
                "unknown key `contains:pong`",
                "a space is missing: `contains: pong`",
            ],
        ),
        (
            "a key without a space on the line before",
            and("  r:\n    request:\n      turn:every\n      stream: true\n"),
            &["9:7", "a space is missing after `turn:`", "write `turn: every`"],
        ),
        (
            "a first key without a space, and an empty line",
            format!("description:The text\n\n{GOOD}"),
            &[
                "1:1",
                "a space is missing after `description:`",
                "write `description: The text`",
            ],
        ),
        (
            "a key without a space before a folded text",
            with("prompt: Say pong", "prompt:>-\n  Say: pong\n  again"),
            &["1:1", "a space is missing after `prompt:`", "write `prompt: >-`"],
        ),
        (
            "a key without a colon",
            with("expect:", "expect"),
            &["4:1", "a `:` is missing after `expect`", "write `expect:`"],
        ),
        (
            "a name without a colon",
            with("  reply:", "  reply"),
            &["5:3", "a `:` is missing after `reply`"],
        ),
        (
            "a later name without a colon",
            and("  ran\n    exit: 0\n"),
            &["7:3", "a `:` is missing after `ran`"],
        ),
        (
            "a text of several lines is no key",
            and("description: |-\n  word\n  Note:this\n bad: x\n"),
            &["10:", "a line that begins in column 2"],
        ),
        (
            "an address is no key",
            and("description: see\n  http://example.com\n  more: x\n"),
            &["9:7", "it continues the text of `description` in line 7"],
        ),
        (
            "a key without a name",
            and(": x\n"),
            &["7:1", "a key must be a text", "write the key before the `:`"],
        ),
        (
            "a quote in a bracket that is not right",
            with("contains: pong", "contains: 'it's'"),
            &["there is text after the closing quote", "(`'it''s'`)"],
        ),
        (
            "a text that begins with a sign",
            with("prompt: Say pong", "prompt: @pong"),
            &["1:9", "a text cannot begin with `@`", "quote texts"],
        ),
        (
            "a number that no reader holds",
            and("timeout_seconds: 99999999999999999999999\n"),
            &["7:18", "is too large", "quote it"],
        ),
    ];
    assert_found(&cases);
}

#[test]
fn a_credential_is_named_and_not_shown() {
    let key = "sk-ant-api03-abcdefghijklmnopqrstuvwxyz";
    let faults = diagnostics(
        None,
        with("Say pong", &format!("\"Say pong to {key}\"")).as_bytes(),
    );
    let found = brief(&faults);
    assert_starts(&found, "cell.yaml 1:9 : this looks like a credential");
    for format in [Format::Text, Format::Json, Format::Github, Format::Gitlab] {
        assert!(!render::render(&faults, format, false).contains(key));
    }
    let shared = format!("description: {key}\n");
    assert!(brief(&diagnostics(Some(&shared), GOOD.as_bytes())).starts_with("_shared.yaml 1:14"));
}

#[test]
fn exploding_anchors_are_refused() {
    let mut text = String::from("a: &a [x, x, x, x, x, x, x, x, x, x]\n");
    for (from, to) in "abcdefghi".chars().zip("bcdefghij".chars()) {
        text.push_str(&format!(
            "{to}: &{to} [{}]\n",
            vec![format!("*{from}"); 10].join(", ")
        ));
    }
    let shown = found(&text);
    assert_has(&shown, "aliases make this file too large");
    assert_has(&shown, "at most 100000 values");
}

#[test]
fn deep_nesting_is_refused() {
    let text = format!("prompt: {}", "[".repeat(5_000));
    let shown = found(&text);
    assert_has(&shown, "nested too deep");
}

#[test]
fn bytes_outside_utf8_have_their_position() {
    let found = brief(&diagnostics(None, b"prompt: Say\nexpect: caf\xe9\n"));
    assert_has(
        &found,
        "cell.yaml 2:12 : the file is not UTF-8 | found: the byte 0xe9",
    );
}

#[test]
fn a_file_in_utf16_is_recognised() {
    let bytes: Vec<u8> = [0xff, 0xfe]
        .into_iter()
        .chain(GOOD.encode_utf16().flat_map(u16::to_le_bytes))
        .collect();
    let found = brief(&diagnostics(None, &bytes));
    assert_eq!(
        found,
        "cell.yaml 0:0 : the file is not UTF-8 | found: the byte order mark of UTF-16 | hint: save the file as UTF-8"
    );
}

#[test]
fn a_file_of_ten_megabytes_is_refused() {
    let found = brief(&diagnostics(None, &vec![b'#'; 10_000_000]));
    assert_has(
        &found,
        "the file is too large | found: 10000000 bytes | allowed: at most 1000000 bytes",
    );
}

#[test]
fn no_bytes_make_the_reader_panic() {
    let seeds: Vec<Vec<u8>> = ["tool_use", "vision", "extended_thinking", "prompt_caching_5m"]
        .iter()
        .map(|feature| std::fs::read(root().join("cells").join(feature).join("_shared.yaml")))
        .collect::<Result<_, _>>()
        .expect("the project's cells");
    // A xorshift generator with a fixed seed: the same mutations in every run.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).expect("below a usize")
    };
    let bits: &[&[u8]] = &[
        b"[", b"]", b"{", b"}", b": ", b"- ", b"&a ", b"*a", b"\t", b"\n", b"'", b"\"", b"!x ", b"\xff",
        b"\0", b"---\n", b"? ", b"| ", b"9e999", b"<<: ",
    ];
    for round in 0..600 {
        let mut bytes = seeds[round % seeds.len()].clone();
        for _ in 0..=random(4) {
            let at = random(bytes.len());
            match random(3) {
                0 => {
                    bytes.truncate(at + 1);
                }
                1 => {
                    let end = (at + random(20)).min(bytes.len());
                    bytes.drain(at..end);
                    if bytes.is_empty() {
                        bytes.push(b'\n');
                    }
                }
                _ => {
                    let bit = bits[random(bits.len())];
                    bytes.splice(at..at, bit.iter().copied());
                }
            }
        }
        for fault in diagnostics(None, &bytes) {
            render::text(&fault, true);
        }
        let _ = Manifest::parse(Path::new("manifest.yaml"), &bytes);
    }
}

#[test]
fn a_diagnostic_shows_its_line_with_a_caret() {
    let faults = diagnostics(None, with("contains: pong", "contain: pong").as_bytes());
    let shown = render::render(&faults, Format::Text, false);
    insta::assert_snapshot!(shown, @r"
    error: unknown key `contain`
     --> cell.yaml:6:13  expect.reply.text.contain
      |
    6 |     text: { contain: pong }
      |             ^^^^^^^
      = allowed: `equals`, `one_of`, `contains`, `not_contains`, `matches`, `exists`, `min`, `max`
    hint: did you mean `contains`?
    ");
}

#[test]
fn a_diagnostic_fits_a_narrow_terminal() {
    let long = format!("{{ equals: {:?}, contain: pong }}", "one word ".repeat(30));
    let faults = diagnostics(None, with("{ contains: pong }", &long).as_bytes());
    let early = diagnostics(None, with("contains: pong", "contain: pong").as_bytes());
    for width in 1..100 {
        for faults in [&faults, &early] {
            assert!(!render::within(faults, width).is_empty());
        }
    }
    let shown = wrap::wrapped(&render::within(&faults, 60), 60);
    let shown = anstream::adapter::strip_str(&shown).to_string();
    assert!(shown.lines().all(|line| line.width() <= 60), "{shown}");
    let lines: Vec<&str> = shown.lines().collect();
    let marks = lines.iter().position(|line| line.contains("^^^^^^^")).unwrap();
    let column = |line: &str, part| line[..line.find(part).unwrap()].width();
    assert_eq!(
        column(lines[marks], "^"),
        column(lines[marks - 1], "contain:"),
        "{shown}"
    );
}

#[test]
fn a_caret_stands_below_wide_characters_and_tabs() {
    let shown = |text: &str| render::render(&diagnostics(None, text.as_bytes()), Format::Text, false);
    insta::assert_snapshot!(shown(&with("{ contains: pong }", "{ contains: 漢字, contian: x }")), @r"
    error: unknown key `contian`
     --> cell.yaml:6:27  expect.reply.text.contian
      |
    6 |     text: { contains: 漢字, contian: x }
      |                             ^^^^^^^
      = allowed: `equals`, `one_of`, `contains`, `not_contains`, `matches`, `exists`, `min`, `max`
    hint: did you mean `contains`?
    ");
    insta::assert_snapshot!(shown(&and("\tflags: []\n")), @r"
    error: this is not YAML: a tab where only spaces may be
     --> cell.yaml:7:2
      |
    7 | →flags: []
      |  ^
      = found: a tab in the indentation
    hint: indent by spaces: YAML does not allow tabs
    ");
    let old = GOOD
        .replace("contains: pong", "contian: pong")
        .replace('\n', "\r");
    assert_has(&shown(&old), "6 |     text: { contian: pong }\n");
}

#[test]
fn entries_for_gitlab_have_different_fingerprints() {
    let faults = diagnostics(
        None,
        GOOD.replace("contains: pong", "contains: \"\\q\"").as_bytes(),
    );
    let twice = [&faults[..], &faults[..]].concat();
    let entries: serde_json::Value =
        serde_json::from_str(&render::render(&twice, Format::Gitlab, false)).expect("JSON");
    assert_ne!(entries[0]["fingerprint"], entries[1]["fingerprint"]);
}

#[test]
fn annotations_are_escaped() {
    let faults = diagnostics(None, with("contains: pong", "matches: '%('").as_bytes());
    let github = render::render(&faults, Format::Github, false);
    assert_starts(
        &github,
        "::error file=cell.yaml,line=6,col=24,title=expect.reply.text.matches::not a regular expression",
    );
    assert_has(&github, "%25(");
    assert_eq!(github.lines().count(), 1);
    let gitlab: serde_json::Value =
        serde_json::from_str(&render::render(&faults, Format::Gitlab, false)).expect("JSON");
    assert_eq!(gitlab[0]["location"]["lines"]["begin"], 6);
    let json: serde_json::Value =
        serde_json::from_str(&render::render(&faults, Format::Json, false)).expect("JSON");
    assert_eq!(json[0]["path"], "expect.reply.text.matches");
}

#[test]
fn control_characters_of_a_file_do_not_reach_the_terminal() {
    let faults = diagnostics(None, and("\"a\u{1b}[31m\": x\n").as_bytes());
    let shown = render::render(&faults, Format::Text, false);
    assert!(!shown.contains('\u{1b}'), "{shown:?}");
    // In the message as in the line of the file.
    assert_eq!(shown.matches("a\u{fffd}[31m").count(), 2, "{shown:?}");
}
