//! What a provider refuses, and with which words: a table of rules, each with its source.
//!
//! The first rule that a request breaks answers it, in the order in which a provider would look: who asks, then
//! the request's form, then what it asks for. A rule sees the request and judges only whether the provider would
//! take it, never whether a trial passes.

mod auth;
mod form;

use super::credentials::Credentials;
use super::incoming::Incoming;
use super::oauth::AccessTokens;
use super::signature::Signer;
use crate::wire::error_reply::ErrorReply;

/// What a rule may look at.
pub(super) struct Subject<'a> {
    pub(super) incoming: &'a Incoming,
    pub(super) credentials: &'a Credentials,
    pub(super) access_tokens: &'a AccessTokens,
    pub(super) signer: &'a Signer,
    pub(super) now_ms: u64,
}

/// A reason to refuse a request.
pub(super) struct Rule {
    /// What exchanges call it.
    pub(super) name: &'static str,
    /// Where it is written that the provider does so.
    #[expect(dead_code, reason = "for readers of the table")]
    pub(super) source: &'static str,
    /// The refusal, if the request breaks the rule.
    pub(super) check: fn(&Subject) -> Option<ErrorReply>,
}

/// Every rule, in order.
const RULES: [&[Rule]; 2] = [auth::RULES, form::RULES];

/// The first rule that a request breaks, and the refusal.
pub(super) fn broken(subject: &Subject) -> Option<(&'static str, ErrorReply)> {
    RULES
        .iter()
        .copied()
        .flatten()
        .find_map(|rule| (rule.check)(subject).map(|refusal| (rule.name, refusal)))
}
