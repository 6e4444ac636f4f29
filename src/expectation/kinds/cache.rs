//! `cache`: cache breakpoints at the provider, and the tokens that its cache wrote and read.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{JudgedSide, Kind};
use crate::document::KeyPath;
use crate::expectation::matcher::shown;
use crate::expectation::provider_side::{Turn, at, on_each_message};
use crate::expectation::{Checker, Deviation, Interest, Ruling, Scene, trace};
use crate::wire::exchange::ProviderExchange;
use crate::wire_diff::Part;

/// Provider's side: cache breakpoints (`cache_control`, on Converse `cachePoint`), and the tokens that its cache wrote
/// and read. Not judged in a live run.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields)]
#[schemars(extend("examples" = [{"turn": 2, "breakpoints": 1, "read_tokens": 1}]))]
pub struct CacheCheck {
    pub turn: Turn,
    /// Least number of breakpoints.
    #[schemars(range(min = 1))]
    pub breakpoints: Option<u64>,
    /// Least number of tokens written.
    #[schemars(range(min = 1))]
    pub created_tokens: Option<u64>,
    /// Least number of tokens read.
    #[schemars(range(min = 1))]
    pub read_tokens: Option<u64>,
}

impl Kind for CacheCheck {
    type Form = Self;
    const SIDE: JudgedSide = JudgedSide::Provider;
    const LOSES: &str = "The provider caches less, so requests are slower and cost more.";

    fn resolve(form: &Self, checker: &mut Checker<'_>, path: &KeyPath) -> Option<Self> {
        checker.turn(path, form.turn);
        if form.breakpoints.is_none() && form.created_tokens.is_none() && form.read_tokens.is_none() {
            checker.no_condition(path, ["breakpoints", "created_tokens", "read_tokens"]);
        }
        if form.read_tokens.is_some() && form.turn == Turn::Number(1) {
            checker.reader.hinted(
                &path.then("read_tokens"),
                "the first request cannot read from the cache",
                "each trial begins with an empty cache",
            );
        }
        Some(form.clone())
    }

    fn judge(&self, scene: &Scene<'_>) -> Ruling {
        on_each_message(self.turn, scene, |exchange| {
            let usage = exchange.reply.usage;
            let (created, read) = (usage.cache_creation_input_tokens, usage.cache_read_input_tokens);
            let breakpoints = breakpoint_count(exchange);
            [
                ("cache breakpoints", self.breakpoints, breakpoints),
                ("tokens written to the cache", self.created_tokens, created),
                ("tokens read from the cache", self.read_tokens, read),
            ]
            .into_iter()
            .filter_map(|(what, least, found)| at_least(what, least?, found, exchange))
            .collect()
        })
    }

    fn interests(&self) -> Vec<Interest> {
        let parts = &[Part::Prefix, Part::Breakpoint, Part::Block, Part::Tool];
        vec![Interest::request(parts, self.turn.number())]
    }

    fn held_before(&self, scene: &Scene<'_>) -> Option<bool> {
        // The tokens of a request that did not arrive are not known.
        self.breakpoints?;
        let sent = Self {
            created_tokens: None,
            read_tokens: None,
            ..self.clone()
        };
        trace::held_as_sent(&sent, scene)
    }
}

fn breakpoint_count(exchange: &ProviderExchange) -> u64 {
    let Some(message) = &exchange.message else {
        return 0;
    };
    let blocks = message.system.iter().chain(message.blocks());
    let marked_blocks = blocks.filter(|block| block.cache.is_some()).count();
    let marked_tools = message.tools.iter().filter(|tool| tool.cache.is_some()).count();
    (marked_blocks + marked_tools) as u64
}

fn at_least(what: &str, least: u64, found: u64, exchange: &ProviderExchange) -> Option<Deviation> {
    (found < least).then(|| Deviation {
        summary: format!("too few {what} at the provider"),
        expected: format!("at least {least} {what}"),
        actual: format!(
            "{found}; usage of the reply: {}",
            shown(&serde_json::to_value(exchange.reply.usage).unwrap_or_default())
        ),
        evidence: Some(at(exchange)),
    })
}
