//! The names of changes, where their list is closed: a known finding can have no other.

use super::broken::{THE_ANSWER, THE_REST};
use super::delay::{OF_ANSWER, OF_DELTAS, OF_END, OF_OTHERS, OF_REQUEST};
use super::{CUT_MADE_END, CUT_MADE_ERROR, CUT_MADE_WHOLE, Fate, LOST_ANSWER, Part};
use crate::wire::Direction;

/// An HTTP status within a name.
pub const STATUS: &str = "STATUS";

const PACE: &[&str] = &[OF_DELTAS, OF_OTHERS, OF_ANSWER, OF_END, "content deltas"];

/// The names of the changes of a part: [`STATUS`] at the end stands for a number, `*` for any text. None if the part never
/// differs in this direction; `None` if the list is open.
pub fn names(direction: Direction, part: Part, fate: Fate) -> Option<&'static [&'static str]> {
    use Direction::{Reply, Request};
    match (direction, part) {
        (Request, Part::Status | Part::Error | Part::Event | Part::Usage | Part::StopReason) => Some(&[]),
        (Request, Part::Pace) => Some(&[OF_REQUEST]),
        (Reply, Part::Request | Part::Tool | Part::Breakpoint | Part::Prefix | Part::Query | Part::Beta) => {
            Some(&[])
        }
        (Reply, Part::Credential | Part::Place) => Some(&[]),
        (Request, Part::Request) => Some(&[
            "the request",
            "the answered request",
            "the token count",
            "a request that Claude Code did not make",
            "this request, or a like one of another trial,",
        ]),
        // The noise rules filter the other headers of a request.
        (Request, Part::Header) if fate != Fate::Dropped => {
            Some(&["anthropic-version", "x-amzn-bedrock-*", "x-claude-code-*"])
        }
        (Request, Part::Header) => Some(&["anthropic-version"]),
        (Reply, Part::Header) => Some(&[
            "retry-after",
            "x-should-retry",
            "anthropic-ratelimit-unified-*",
            "content-encoding",
            "content-type",
        ]),
        (Request, Part::Place) => Some(&["project", "location", "geography", "quota project", "route"]),
        (Reply, Part::Status) => Some(&[LOST_ANSWER, "HTTP status STATUS"]),
        (Reply, Part::Error) => Some(&[
            "the shape of error STATUS",
            "the message of error STATUS",
            "the type of error STATUS",
            "the stream's error",
            "the message of the stream's error",
            "the type of the stream's error",
        ]),
        (Reply, Part::Pace) => Some(PACE),
        // A gateway may add an event of any name.
        (Reply, Part::Event) if fate != Fate::Added => Some(&[
            "message_start",
            "content_block_start",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop",
            "text deltas",
            "thinking deltas",
            "tool argument deltas",
            THE_ANSWER,
            THE_REST,
            CUT_MADE_WHOLE,
            CUT_MADE_ERROR,
            CUT_MADE_END,
            "pings of a silence",
            "order",
        ]),
        _ => None,
    }
}
