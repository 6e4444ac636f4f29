//! The beta flags that each route's provider accepts.

use std::sync::LazyLock;

use regex::Regex;

use super::Route;
use crate::text::{is_slip_of, slip_of};

/// The flags that Bedrock and Vertex AI accept. They are from the page of the model on Bedrock
/// (<https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-anthropic-claude-messages-request-response.html>)
/// and from LiteLLM's table of betas
/// (<https://github.com/BerriAI/litellm/blob/main/litellm/anthropic_beta_headers_config.json>), or Claude Code sends them.
const COMMON: [&str; 13] = [
    "compact-2026-01-12",
    "computer-use-2025-01-24",
    "computer-use-2025-11-24",
    "context-1m-2025-08-07",
    "context-management-2025-06-27",
    "dangerous-tool-use-2026-09-03",
    "effort-2025-11-24",
    "fine-grained-tool-streaming-2025-05-14",
    "interleaved-thinking-2025-05-14",
    "thinking-binding-controls-2026-08-01",
    "thinking-display-updates-2026-08-18",
    "token-efficient-tools-2025-02-19",
    "tool-search-tool-2025-10-19",
];
const BEDROCK: [&str; 7] = [
    "computer-use-2024-10-22",
    "dev-full-thinking-2025-05-14",
    "mid-conversation-output-config-2026-07-01",
    "mid-conversation-tool-changes-2026-07-01",
    "output-128k-2025-02-19",
    "structured-outputs-2025-11-13",
    "tool-examples-2025-10-29",
];
const VERTEX: [&str; 3] = [
    "inline-tools-2026-09-15",
    "per-turn-control-2026-07-01",
    "web-search-2025-03-05",
];
/// Bedrock's Messages API takes these besides, by LiteLLM's table. Claude Code 2.1.327 sends no other beta there.
const MANTLE: [&str; 4] = [
    "output-128k-2025-02-19",
    "per-turn-control-2026-07-01",
    "tool-examples-2025-10-29",
    "web-search-2025-03-05",
];
/// Claude Code sends these to Anthropic's API only.
const ANTHROPICS_OWN: [&str; 2] = ["fast-mode-2026-02-01", "oauth-2025-04-20"];
/// What Microsoft Foundry lacks of Anthropic's API: the advisor tool, and the field for fast mode, which has models of its own there
/// (<https://platform.claude.com/docs/en/build-with-claude/claude-in-microsoft-foundry>,
/// <https://platform.claude.com/docs/en/build-with-claude/fast-mode>).
const NOT_ON_AZURE: [&str; 2] = ["advisor-tool-", "fast-mode-"];
/// Claude Code sends these to Bedrock and Vertex AI, which accept them, but no page of theirs offers them. They name the
/// client and auto mode, add a count, and tell that a request follows a refused one. They change no answer.
const WITHOUT_EFFECT: [&str; 4] = [
    "afk-mode-2026-01-31",
    "claude-code-20250219",
    "fallback-credit-2026-06-01",
    "thinking-token-count-2026-05-13",
];

/// Whether the provider accepts `beta`. Anthropic's list is not public, so there only the form of a flag counts: a name and
/// a date.
pub fn is_accepted(route: Route, beta: &str) -> bool {
    static FORM: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"^[a-z0-9]+(-[a-z0-9]+)*-\d{4}-?\d{2}-?\d{2}$").expect("a constant expression")
    });
    let own: &[&str] = match route {
        Route::Anthropic => return FORM.is_match(beta),
        Route::Azure => {
            return FORM.is_match(beta) && !NOT_ON_AZURE.iter().any(|start| beta.starts_with(start));
        }
        Route::BedrockMantle => &MANTLE,
        Route::BedrockInvoke | Route::BedrockConverse => &BEDROCK,
        Route::VertexAi => &VERTEX,
    };
    [&COMMON[..], &WITHOUT_EFFECT, own]
        .iter()
        .any(|list| list.contains(&beta))
}

/// The known beta that `beta` is a slip of, in its letters or in the digits of its date.
pub fn misspelt(beta: &str) -> Option<&'static str> {
    let renamed = RENAMED.into_iter().flat_map(|(name, own)| [name, own]);
    let lists: [&[&'static str]; 6] = [
        &COMMON,
        &BEDROCK,
        &VERTEX,
        &MANTLE,
        &WITHOUT_EFFECT,
        &ANTHROPICS_OWN,
    ];
    let known: Vec<&str> = lists.into_iter().flatten().copied().chain(renamed).collect();
    let has_date = beta.bytes().filter(u8::is_ascii_digit).count() >= "20251124".len();
    let of_date = known.iter().find(|other| !has_date && is_slip_of(beta, other));
    slip_of(beta, known.iter().copied()).or(of_date.copied())
}

/// The name of the rule by which a provider refuses a beta.
pub const KNOWN_BETAS: &str = "known_betas";

/// Those of `betas` that the provider does not accept, in backticks.
pub fn unknown_betas(route: Route, betas: &[String]) -> Vec<String> {
    let unknown = betas.iter().filter(|beta| !is_accepted(route, beta));
    unknown.map(|beta| format!("`{beta}`")).collect()
}

/// Whether a request loses something without `beta`: the provider accepts it, and it changes the answer.
pub fn has_effect(route: Route, beta: &str) -> bool {
    let is_anthropics = matches!(route, Route::Anthropic | Route::Azure);
    is_accepted(route, beta) && (is_anthropics || !WITHOUT_EFFECT.contains(&beta))
}

/// The beta of Anthropic's API that `beta` of Bedrock or Vertex AI stands for
/// (<https://platform.claude.com/docs/en/agents-and-tools/tool-use/tool-search-tool>, LiteLLM's table of betas); mostly they
/// are the same.
pub fn name_in_the_api(beta: &str) -> &str {
    let renamed = RENAMED.iter().find(|(_, own)| *own == beta);
    renamed.map_or(beta, |(name, _)| name)
}

const RENAMED: [(&str, &str); 2] = [
    ("advanced-tool-use-2025-11-20", "tool-search-tool-2025-10-19"),
    (
        "per-turn-control-2026-07-01",
        "mid-conversation-output-config-2026-07-01",
    ),
];

/// The name that `route` has for a beta of Anthropic's API that it refuses. Converse searches for no tools
/// (<https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-anthropic-claude-messages-tool-use.html>).
pub fn name_on(route: Route, beta: &str) -> Option<&'static str> {
    let own = RENAMED.iter().find(|(name, _)| *name == beta)?.1;
    let is_offered = route != Route::BedrockConverse && is_accepted(route, own);
    (is_offered && !is_accepted(route, beta)).then_some(own)
}

/// A beta, and the field of a tool that asks for the same
/// (<https://platform.claude.com/docs/en/agents-and-tools/tool-use/fine-grained-tool-streaming>).
pub const FINE_PIECES: (&str, &str) = ("fine-grained-tool-streaming-2025-05-14", "eager_input_streaming");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beta_of_another_date_is_not_misspelt() {
        assert_eq!(misspelt("efort-2025-11-24"), Some("effort-2025-11-24"));
        assert_eq!(misspelt("effort-2025-1124"), Some("effort-2025-11-24"));
        assert_eq!(misspelt("effort-2025-11-24"), None);
        assert_eq!(misspelt("effort-2025-12-24"), None);
    }

    #[test]
    fn each_route_has_its_own_betas() {
        use Route::{Anthropic, Azure, BedrockConverse, BedrockInvoke, BedrockMantle, VertexAi};
        let accepting = |beta: &str| -> Vec<Route> {
            let routes = Route::ALL.into_iter();
            routes.filter(|route| is_accepted(*route, beta)).collect()
        };
        assert_eq!(accepting("interleaved-thinking-2025-05-14"), Route::ALL);
        assert_eq!(accepting("advanced-tool-use-2025-11-20"), [Anthropic, Azure]);
        assert_eq!(
            accepting("web-search-2025-03-05"),
            [Anthropic, VertexAi, Azure, BedrockMantle]
        );
        assert_eq!(accepting("fast-mode-2026-02-01"), [Anthropic]);
        assert_eq!(
            accepting("structured-outputs-2025-11-13"),
            [Anthropic, BedrockInvoke, BedrockConverse, Azure]
        );
        assert_eq!(accepting("no date"), []);
        assert!(has_effect(Anthropic, "claude-code-20250219"));
        assert!(has_effect(Azure, "claude-code-20250219"));
        assert!(!has_effect(VertexAi, "claude-code-20250219"));
    }
}
