//! What the user of Claude Code loses by a change on the wire.

use crate::wire::Direction;
use crate::wire_diff::{
    CUT_MADE_END, CUT_MADE_ERROR, CUT_MADE_WHOLE, Fate, LOST_ANSWER, Part, SECOND_HEADER,
};

/// The loss, in one sentence.
pub fn loses(direction: Direction, part: Part, path: &str, fate: Fate) -> &'static str {
    use Direction::Reply;
    // The field of a name such as `message_start.usage.service_tier`.
    let field = path.rsplit('.').next().unwrap_or(path);
    match (part, fate) {
        (Part::Request, Fate::Repeated) => {
            "The provider answers, and charges, the same request more than once."
        }
        (Part::Request, Fate::Added) => {
            "The provider answers, and charges, a request that Claude Code did not make."
        }
        (Part::Request, Fate::Changed) => "The provider gets the request in another form.",
        (Part::Request, _) => "The provider does not get the request.",
        (Part::Status, _) if path == LOST_ANSWER => {
            "The provider answered, and Claude Code gets an error instead."
        }
        (Part::Status | Part::Error, _) => "Claude Code cannot react to the error that the provider gave.",
        (Part::Event, _) if path == "pings of a silence" => {
            "A proxy may end a long silence, because nothing fills it."
        }
        (Part::Event, _) if path == CUT_MADE_WHOLE => "Claude Code takes half of a reply for the whole one.",
        (Part::Event, _) if path == CUT_MADE_ERROR => {
            "Claude Code does not repeat a request whose reply broke off, as it does after a cut."
        }
        (Part::Event, _) if path == CUT_MADE_END => {
            "Claude Code learns only from the missing end that the reply broke off."
        }
        (Part::Event, _) if path == "the answer" => "Claude Code gets no answer that it can read.",
        (Part::Event, Fate::Dropped) => "A part of the reply is lost.",
        (Part::Event, Fate::Added) => "Claude Code reads an event that the provider did not send.",
        (Part::Event, Fate::Repeated) => "Claude Code gets a part of the reply more than once.",
        (Part::Event, Fate::Merged | Fate::Split) => {
            "The reply appears in other pieces than the model wrote it."
        }
        (Part::Event, _) => "The events of the reply do not arrive as the provider sent them.",
        (Part::Block, _) if direction == Reply => "Claude Code gets another reply than the model gave.",
        (Part::Block, _) if path.starts_with("system") && path.contains("(attribution)") => {
            "Nothing in Claude Code. The provider does not see which version of Claude Code asks."
        }
        (Part::Block, _) if path.starts_with("system") => {
            "The model gets other instructions than Claude Code gave it."
        }
        (Part::Block, _) => "The model reads another conversation than Claude Code sent.",
        (Part::Signature, _) => "The provider refuses the conversation's thinking in a later turn.",
        (Part::Tool, _) => "The model sees other tools than Claude Code offers.",
        (Part::Breakpoint, Fate::Added) => {
            "The provider caches, and charges, what Claude Code did not ask for."
        }
        (Part::Breakpoint | Part::Prefix, _) => {
            "The provider caches less, so requests are slower and cost more."
        }
        (Part::Pace, _) => "The reply appears late or in bursts.",
        (Part::Usage, _) if !is_count(path) => {
            "Claude Code does not learn how the provider worked on the request, such as by which tier or where."
        }
        (Part::Usage, Fate::Added) => "The reply has a count that the provider did not send.",
        (Part::Usage, Fate::Dropped) => "Claude Code does not learn a count, so its totals can be too low.",
        (Part::Usage, _) => "A count is wrong, and so is what Claude Code shows of tokens or cost.",
        (Part::StopReason, _) => "Claude Code does not learn why the reply ended.",
        (Part::Field, _) if field == "model" && direction == Reply => {
            "Claude Code does not learn which model answered."
        }
        (Part::Field, _) if field == "model" => "Another model answers than Claude Code asked for.",
        (Part::Field, Fate::Dropped) if direction == Reply => {
            "Claude Code does not get all that the provider said."
        }
        (Part::Field, Fate::Added) if direction == Reply => {
            "The reply says something that the provider did not say."
        }
        (Part::Field, _) if direction == Reply => "The reply says something else than the provider said.",
        (Part::Field, _) if path == "body" => "The provider cannot read the request.",
        (Part::Field, _) if path == "stream" => {
            "The gateway asks for a stream where Claude Code does not, or the other way round."
        }
        (Part::Field, _) if path.starts_with("count_tokens.") => {
            "The provider counts the tokens of another request than Claude Code's."
        }
        (Part::Field | Part::Query, Fate::Dropped) => {
            "What Claude Code asked for does not reach the provider."
        }
        (Part::Field | Part::Query, Fate::Added) => {
            "The provider works with a setting that Claude Code did not ask for."
        }
        (Part::Field | Part::Query, _) => {
            "The provider works with another setting than Claude Code asked for."
        }
        (Part::Beta, Fate::Dropped) => "A feature that Claude Code turned on stays off.",
        (Part::Beta, _) => "A feature that Claude Code did not ask for is on.",
        (Part::Credential, _) if path == SECOND_HEADER => {
            "The provider gets two credentials, and may refuse the request or use the wrong one."
        }
        (Part::Credential, _) => "The provider, and its logs, get a credential that is not for them.",
        (Part::Place, _) if path == "route" => "The provider cannot read the request as what it is.",
        (Part::Place, _) => {
            "The request is processed or paid for at another place than the gateway's configuration says."
        }
        (Part::Header, _) => header(direction, path, fate),
    }
}

/// Whether a name of the part `usage` is about counts. The others are texts, such as `service_tier` and `inference_geo`.
fn is_count(path: &str) -> bool {
    let is_of_counts = |step: &str| {
        let groups = ["usage", "cache_creation", "server_tool_use", "iterations"];
        groups.contains(&step) || step.ends_with("_tokens") || step.ends_with("_requests")
    };
    let last = path.rsplit('.').next().unwrap_or(path);
    is_of_counts(last.split('[').next().unwrap_or(last))
}

fn header(direction: Direction, name: &str, fate: Fate) -> &'static str {
    match (direction, name, fate) {
        (_, "anthropic-version", _) => {
            "The provider works by another version of its API than Claude Code, or refuses the request."
        }
        (_, "retry-after" | "x-should-retry", Fate::Added) => {
            "The gateway tells Claude Code whether, or when, to repeat a request, where the provider does not."
        }
        (_, "retry-after" | "x-should-retry", _) => {
            "Claude Code does not learn from the provider whether, or when, to repeat the request."
        }
        (_, "content-encoding" | "content-type", _) => "Claude Code cannot read the reply as what it is.",
        (_, name, _) if name.starts_with("anthropic-ratelimit-") => {
            "Claude Code does not know how much of a limit is used."
        }
        (_, name, Fate::Changed | Fate::Added) if name.starts_with("x-claude-code-") => {
            "Another session, agent or kind of request is named than Claude Code's."
        }
        (Direction::Request, _, _) => "The provider does not get the headers that it should.",
        (Direction::Reply, _, _) => "Claude Code does not get the headers that it should.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::Subject;

    #[test]
    fn what_a_change_costs_fits_its_part_and_path() {
        for (change, sentence) in [
            ("request request the request dropped", "does not get the request"),
            (
                "request request a request that Claude Code did not make added",
                "a request that Claude Code did not make",
            ),
            ("request request the request repeated", "more than once"),
            (
                "reply status HTTP status of an answer changed",
                "gets an error instead",
            ),
            (
                "reply error the shape of error 400 changed",
                "cannot react to the error",
            ),
            ("reply event text deltas dropped", "part of the reply is lost"),
            (
                "reply event content_block_stop added",
                "that the provider did not send",
            ),
            ("reply event a cut stream made whole changed", "half of a reply"),
            ("reply event text deltas merged", "in other pieces"),
            (
                "reply block content (text) changed",
                "another reply than the model gave",
            ),
            (
                "request block messages[*] user block * (text) changed",
                "another conversation",
            ),
            ("request block system[*] (text) changed", "other instructions"),
            ("request block system[*] (attribution) dropped", "which version"),
            ("request breakpoint system[*] (text) dropped", "caches less"),
            ("request breakpoint system[*] (text) added", "did not ask for"),
            (
                "reply usage message_start.usage.input_tokens changed",
                "A count is wrong",
            ),
            (
                "reply usage message_delta.usage.cache_creation dropped",
                "does not learn a count",
            ),
            ("reply usage usage dropped", "does not learn a count"),
            (
                "reply usage usage.output_tokens added",
                "a count that the provider did not send",
            ),
            (
                "reply usage message_delta.usage.server_tool_use.web_search_requests changed",
                "A count is wrong",
            ),
            (
                "reply usage message_start.usage.service_tier dropped",
                "by which tier or where",
            ),
            (
                "reply usage usage.inference_geo changed",
                "by which tier or where",
            ),
            ("reply field model changed", "which model answered"),
            ("reply field id dropped", "all that the provider said"),
            ("request field model changed", "Another model answers"),
            ("request field stream changed", "asks for a stream"),
            ("request field thinking dropped", "does not reach the provider"),
            ("request field thinking added", "did not ask for"),
            (
                "request field count_tokens.thinking dropped",
                "counts the tokens of another request",
            ),
            ("request beta x dropped", "stays off"),
            ("request beta x added", "is on"),
            ("request credential a second header added", "two credentials"),
            ("request credential header x-api-key added", "not for them"),
            ("reply header retry-after dropped", "whether, or when, to repeat"),
            (
                "reply header anthropic-ratelimit-unified-status dropped",
                "how much of a limit",
            ),
            ("reply header content-type changed", "cannot read the reply"),
            (
                "request header anthropic-version dropped",
                "another version of its API",
            ),
            (
                "request header x-claude-code-agent-id changed",
                "Another session, agent",
            ),
        ] {
            let Ok(Subject::Change {
                direction,
                part,
                path,
                fate,
            }) = change.parse::<Subject>()
            else {
                panic!("{change} is not a change");
            };
            let found = loses(direction, part, &path, fate);
            assert!(
                found.contains(sentence) && found.ends_with('.'),
                "{change}: {found}"
            );
        }
    }
}
