//! Claude Code's own faults, in words of its own or about the size of what it sent.
//!
//! Never looks at anything but the message.
#![warn(clippy::disallowed_methods)]

use super::When::Says;
use super::{LIKELY, NEXT_REFUSED_CLI, PLAUSIBLE, Rule};
use crate::outcome::Cause::Cli;

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "cli_history",
        cause: Cli,
        confidence: LIKELY,
        when: Says(&[r"due to tool use concurrency issues|in conversation history"]),
        unless: &[],
        on: &[],
        why: "Claude Code says that its own history of tool calls does not fit together",
        next: NEXT_REFUSED_CLI,
        example: "API Error: 400 due to tool use concurrency issues. Run /rewind to recover the conversation.",
    },
    Rule {
        name: "too_long",
        cause: Cli,
        confidence: PLAUSIBLE,
        when: Says(&[
            r"exceeds (?:the )?maximum (?:allowed )?tokens",
            r"prompt is too long|input is too long|too long for requested model",
            r"exceed(?:s|ed)? (?:the )?(?:model's )?(?:maximum )?context|maximum context length|ContextWindowExceeded|context window",
            r"request_too_large|request (?:entity )?too large|payload too large|exceeds the maximum (?:allowed )?(?:size|number of bytes)",
            r"exceeded the \d+ output token maximum",
            r"image (?:exceeds|dimensions)|image was too large",
        ]),
        unless: &[],
        on: &[],
        why: "Claude Code sent more than the model takes",
        next: "shorten the cell's prompt or its files; if it is short, report the size of the request to Claude Code's issue tracker",
        example: "API Error: 400 {\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"prompt is too long: 204810 tokens > 200000 maximum\"}}",
    },
];
