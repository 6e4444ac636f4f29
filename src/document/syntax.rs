//! The wording of YAML syntax errors: what the parser reports, in the author's words, and what to do.

/// What the parser says, in an author's words, and what to do.
pub(super) struct SyntaxError {
    pub(super) message: String,
    pub(super) hint: &'static str,
    pub(super) of: Of,
}

/// What a fault of syntax is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Of {
    /// Where lines, brackets and keys begin and end.
    Structure,
    Text,
}

pub(super) fn in_words(info: &str) -> SyntaxError {
    const QUOTE: &str =
        "quote texts that hold `: ` or ` #`, or begin with one of `[ ] { } , & * ! | > % @` or a quote";
    const INDENT: &str =
        "line it up with the keys that it belongs to: entries of one list or map begin in the same column";
    const NO_KEY: &str = "keys of one map begin in the same column: is this line indented too far? Otherwise quote a text that holds `: `";
    let words = |of, message: &str, hint| SyntaxError {
        message: message.to_owned(),
        hint,
        of,
    };
    let structure = |message, hint| words(Of::Structure, message, hint);
    let text = |message, hint| words(Of::Text, message, hint);
    match info {
        "while parsing a block mapping, did not find expected key" => structure(
            "this line is indented like no map above it, or holds more after a value",
            INDENT,
        ),
        "while parsing a block collection, did not find expected '-' indicator" => structure(
            "an entry that begins with `- ` is expected in this column",
            INDENT,
        ),
        "invalid indentation" | "invalid indentation in flow construct" => {
            structure("this line is indented less than its parent", INDENT)
        }
        "mapping values are not allowed in this context" => structure("a `: ` must follow a key", NO_KEY),
        "simple key expect ':'" | "simple key expected" => {
            structure("a `: ` is expected after the key", "write `key: value`")
        }
        "block sequence entries are not allowed in this context" => structure(
            "a list cannot begin here",
            "put the `- ` on a new line, below the key",
        ),
        "while parsing a node, did not find expected node content" => {
            structure("a value is expected here", QUOTE)
        }
        "while parsing node, found unknown anchor" => text(
            "there is no anchor of this name",
            "quote the text if it is meant to begin with `*`",
        ),
        "while scanning a quoted scalar, found unexpected end of stream"
        | "invalid indentation in quoted scalar" => text(
            "a quote is not closed",
            "look for a missing quote on this line and those before",
        ),
        "invalid trailing content after double-quoted scalar"
        | "invalid trailing content after single-quoted scalar" => text(
            "there is text after the closing quote",
            "a quote within single quotes is written twice (`'it''s'`), one within double quotes as `\\\"`",
        ),
        "while parsing a quoted scalar, found unknown escape character" => text(
            "`\\` and this character mean nothing in double quotes",
            "use single quotes: nothing is escaped in them",
        ),
        "found unprintable character" => text(
            "a character that no text may hold",
            "remove it, or write it as an escape within double quotes: `\"\\0\"`",
        ),
        other => match other
            .strip_prefix("unexpected character: `")
            .and_then(|rest| rest.strip_suffix('\''))
        {
            Some(character) => text(&format!("a text cannot begin with `{character}`"), QUOTE),
            None => structure(
                other,
                "look for a missing quote or uneven indentation on this line and the one before",
            ),
        },
    }
}
