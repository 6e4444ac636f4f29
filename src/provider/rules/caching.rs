//! Cache breakpoints: their number and their lifetime.

use super::{Rule, Subject, placed};
use crate::wire::Route;
use crate::wire::error_reply::ErrorReply;
use crate::wire::message::{Block, CacheBreakpoint, Content};
use crate::wire::model::{Generation, find};

pub(super) const RULES: &[Rule] = rules![
    cache_breakpoints,
    cache_ttl,
    cache_ttl_offered,
    cache_ttl_order,
    cached_thinking,
];

const MOST: usize = 4;

/// Every breakpoint with its path, in the order in which a provider reads them.
fn all<'a>(subject: &Subject<'a>) -> Vec<(String, &'a CacheBreakpoint)> {
    let Some(message) = subject.message() else {
        return Vec::new();
    };
    let tools =
        placed("tools", &message.tools).filter_map(|(place, tool)| Some((place, tool.cache.as_ref()?)));
    let system =
        placed("system", &message.system).filter_map(|(place, block)| Some((place, block.cache.as_ref()?)));
    let messages = subject.blocks().flat_map(|(place, block)| within(&place, block));
    tools.chain(system).chain(messages).collect()
}

fn within<'a>(place: &str, block: &'a Block) -> Vec<(String, &'a CacheBreakpoint)> {
    let mut found: Vec<(String, &CacheBreakpoint)> = Vec::new();
    if let Content::ToolResult { content, .. } = &block.content {
        let inner = placed(&format!("{place}.content"), content);
        found.extend(inner.flat_map(|(place, block)| within(&place, block)));
    }
    found.extend(block.cache.as_ref().map(|cache| (place.to_owned(), cache)));
    found
}

/// Source: https://platform.claude.com/docs/en/build-with-claude/prompt-caching (up to 4 breakpoints); wording:
/// https://github.com/continuedev/continue/pull/6937
fn cache_breakpoints(subject: &Subject) -> Option<ErrorReply> {
    let count = all(subject).len();
    if count <= MOST {
        return None;
    }
    subject.invalid(format!(
        "A maximum of {MOST} blocks with cache_control may be provided. Found {count}."
    ))
}

/// Source: https://platform.claude.com/docs/en/build-with-claude/prompt-caching (1-hour cache duration)
fn cache_ttl(subject: &Subject) -> Option<ErrorReply> {
    let (place, _) = all(subject)
        .into_iter()
        .find(|(_, cache)| !matches!(cache.ttl.as_str(), "5m" | "1h"))?;
    subject.invalid_or(
        format!(
            "Value at '{place}.cachePoint.ttl' failed to satisfy constraint: Member must satisfy enum value set: [5m, 1h]"
        ),
        format!("{place}.cache_control.ephemeral.ttl: Input should be '5m' or '1h'"),
    )
}

/// Bedrock has a one-hour cache since the 4.5 models; Anthropic and Vertex AI have it for every model.
///
/// Source: https://github.com/earendil-works/pi/pull/1570 (models of Bedrock without a one-hour cache, and their
/// message), https://github.com/BerriAI/litellm/issues/15880
fn cache_ttl_offered(subject: &Subject) -> Option<ErrorReply> {
    let is_older = find(subject.model()).is_some_and(|model| model.generation < Generation::FourFive);
    if !is_older || !subject.is_on(&[Route::BedrockInvoke, Route::BedrockConverse]) {
        return None;
    }
    let (place, _) = all(subject).into_iter().find(|(_, cache)| cache.ttl == "1h")?;
    subject.invalid(format!(
        "{place}.cache_control.ephemeral.ttl: Extra inputs are not permitted"
    ))
}

/// Source: https://platform.claude.com/docs/en/build-with-claude/prompt-caching (mixing different TTLs); wording:
/// https://github.com/headroomlabs-ai/headroom/issues/2939
fn cache_ttl_order(subject: &Subject) -> Option<ErrorReply> {
    let all = all(subject);
    let first_short = all.iter().position(|(_, cache)| cache.ttl == "5m")?;
    let (place, _) = all[first_short..].iter().find(|(_, cache)| cache.ttl == "1h")?;
    subject.invalid(format!(
        "{place}.cache_control.ttl: a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block. \
         Note that blocks are processed in the following order: `tools`, `system`, `messages`."
    ))
}

/// Source: https://platform.claude.com/docs/en/build-with-claude/prompt-caching (what cannot be cached)
fn cached_thinking(subject: &Subject) -> Option<ErrorReply> {
    let (place, block) = subject
        .blocks()
        .find(|(_, block)| block.content.is_thinking() && block.cache.is_some())?;
    subject.invalid(format!(
        "{place}.{}.cache_control: Extra inputs are not permitted",
        block.content.kind()
    ))
}
