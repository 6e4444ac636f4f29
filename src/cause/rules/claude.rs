//! Faults of Claude Code, in its own words or by the size of its request.

use super::{CauseRule, LIKELY, NEXT_REFUSED_CLI, PLAUSIBLE, rule};
use crate::outcome::Cause::Cli;

pub(super) const RULES: &[CauseRule] = &[
    rule("cli_history", Cli, LIKELY)
        .says(&[r"due to tool use concurrency issues|in conversation history"])
        .why("Claude Code says that its history of tool calls is inconsistent")
        .next(NEXT_REFUSED_CLI)
        .example("API Error: 400 due to tool use concurrency issues. Run /rewind to recover the conversation."),
    rule("too_long", Cli, PLAUSIBLE)
        .says(&[
            r"exceeds (?:the )?maximum (?:allowed )?tokens",
            r"prompt is too long|input is too long|too long for requested model",
            r"exceed(?:s|ed)? (?:the )?(?:model's )?(?:maximum )?context|maximum context length|ContextWindowExceeded|context window",
            r"request_too_large|request (?:entity )?too large|payload too large|exceeds the maximum (?:allowed )?(?:size|number of bytes)",
            r"exceeded the \d+ output token maximum",
            r"image (?:exceeds|dimensions)|image was too large",
        ])
        .why("Claude Code sent more than the model accepts")
        .next("shorten the cell's prompt or its files; if they are short, report the size of the request to Claude Code's issue tracker")
        .example("API Error: 400 {\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"prompt is too long: 204810 tokens > 200000 maximum\"}}"),
];
