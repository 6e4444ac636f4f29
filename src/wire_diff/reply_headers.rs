//! The headers of a reply that Claude Code reads.

use serde_json::Value;

use super::{Difference, Fate, Part};
use crate::wire::error_reply::SLOW_DOWN;
use crate::wire::exchange::{GatewayReply, ProviderExchange};
use crate::wire::redaction::SUBSCRIPTION_PREFIX;

/// Claude Code obeys these, also where only the gateway sets them.
const ABOUT_RETRIES: [&str; 2] = ["retry-after", "x-should-retry"];

/// Whether Claude Code reads a reply's header and the contract marks it: the time of the next attempt, and whether there is one
/// (`protocol#errors`). The standing against a limit is needed if Claude Code's own subscription pays. With a key of the gateway
/// it is not the user's, and the contract says to remove it (`protocol#usage-limit-headers`). The others are the gateway's:
/// `request-id` may be its own.
fn is_needed(name: &str, exchange: &ProviderExchange) -> bool {
    let pays_itself = || {
        exchange
            .request
            .header("authorization")
            .any(|value| value.contains(SUBSCRIPTION_PREFIX))
    };
    ABOUT_RETRIES.contains(&name) || (name.starts_with("anthropic-ratelimit-unified-") && pays_itself())
}

pub(super) fn headers(exchange: &ProviderExchange, back: &GatewayReply) -> Vec<Difference> {
    let given = &exchange.reply;
    let is_given = |name: &str| given.headers.iter().any(|(given, _)| given == name);
    let needed = given.headers.iter().filter(|(name, _)| is_needed(name, exchange));
    let changed = needed
        .filter(|(name, value)| back.header(name) != Some(value))
        .map(|(name, value)| Difference::of(Part::Header, name, value.as_str(), back.header(name)));
    // A gateway may know how long an overloaded provider needs.
    let is_free = |name: &str| name == "retry-after" && SLOW_DOWN.contains(&given.status);
    let added = back.headers.iter();
    let added = added.filter(|(name, _)| ABOUT_RETRIES.contains(&name.as_str()) && !is_free(name));
    let added = added
        .filter(|(name, _)| !is_given(name))
        .map(|(name, value)| Difference::of(Part::Header, name, Value::Null, value.as_str()));
    changed.chain(added).collect()
}

/// A client that believes the header cannot read the body, nor an encoded body without a header.
pub(super) fn encoding(back: &GatewayReply) -> Option<Difference> {
    let problem = back.wrong_encoding.as_deref()?;
    let claimed = back.header("content-encoding").map_or_else(
        || "no header names an encoding".to_owned(),
        |claimed| format!("the header `content-encoding` says `{claimed}`"),
    );
    Some(Difference::of(Part::Header, "content-encoding", claimed, problem).with_fate(Fate::Changed))
}
