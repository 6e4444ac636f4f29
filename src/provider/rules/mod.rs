//! What a provider refuses, and with which words: tables of rules, each with its source.
//!
//! The first rule that a request breaks answers it, in the order in which a provider would look: who asks, then
//! the request's form, then what it asks for. A rule sees the request and says only whether the provider would
//! take it, never whether a trial passes. What is not sourced is not refused: a rule must never turn away what
//! the real CLI sends through a sane gateway.

mod auth;
mod betas;
mod caching;
mod content;
mod fields;
mod form;
mod models;
mod thinking;
mod tools;

use std::collections::HashMap;

use serde_json::Value;

use super::credentials::Credentials;
use super::incoming::Incoming;
use super::oauth::AccessTokens;
use super::signature::Signer;
use crate::wire::error_reply::ErrorReply;
use crate::wire::message::{Block, MessageRequest};
use crate::wire::model::canonical_name;
use crate::wire::{Operation, Route};

/// The thinking that a provider has sent, as the signatures of the blocks that stood before a tool call, by the
/// call's id.
pub(super) type SentThinking = HashMap<String, Vec<String>>;

/// What a rule may look at.
pub(super) struct Subject<'a> {
    pub(super) incoming: &'a Incoming,
    pub(super) credentials: &'a Credentials,
    pub(super) access_tokens: &'a AccessTokens,
    pub(super) signer: &'a Signer,
    pub(super) sent_thinking: &'a SentThinking,
    pub(super) now_ms: u64,
}

/// A reason to refuse a request.
struct Rule {
    name: &'static str,
    /// Where it is written that the provider does so.
    #[cfg_attr(not(test), expect(dead_code, reason = "for readers of the tables"))]
    source: &'static str,
    /// The refusal, if the request breaks the rule.
    check: fn(&Subject) -> Option<ErrorReply>,
}

const RULES: [&[Rule]; 9] = [
    auth::RULES,
    form::RULES,
    models::RULES,
    betas::RULES,
    fields::RULES,
    content::RULES,
    caching::RULES,
    tools::RULES,
    thinking::RULES,
];

/// The first rule that a request breaks, and the refusal.
pub(super) fn broken(subject: &Subject) -> Option<(&'static str, ErrorReply)> {
    RULES
        .iter()
        .copied()
        .flatten()
        .find_map(|rule| (rule.check)(subject).map(|refusal| (rule.name, refusal)))
}

impl<'a> Subject<'a> {
    fn route(&self) -> Route {
        self.incoming.route()
    }

    fn is_on(&self, routes: &[Route]) -> bool {
        routes.contains(&self.route())
    }

    fn is_count(&self) -> bool {
        self.incoming.target.operation == Operation::CountTokens
    }

    /// The prompt as the model sees it, of requests that have one.
    fn message(&self) -> Option<&'a MessageRequest> {
        self.incoming.message.as_ref()
    }

    /// The prompt as it came, of requests that have one.
    fn prompt(&self) -> Option<&'a Value> {
        self.incoming.prompt.as_ref()
    }

    /// A field of the prompt that the model's own API has; Converse carries those that it does not know apart.
    fn model_field(&self, name: &str) -> Option<&'a Value> {
        let prompt = self.prompt()?;
        let fields = match self.route() {
            Route::BedrockConverse => prompt.get("additionalModelRequestFields")?,
            _ => prompt,
        };
        fields.get(name).filter(|value| !value.is_null())
    }

    fn model(&self) -> &'a str {
        self.message()
            .map_or("", |message| canonical_name(&message.model))
    }

    fn has_beta(&self, prefix: &str) -> bool {
        self.message()
            .is_some_and(|message| message.betas.iter().any(|beta| beta.starts_with(prefix)))
    }

    /// A refusal by the model's API itself, which Converse quotes.
    fn invalid(&self, message: impl AsRef<str>) -> Option<ErrorReply> {
        let message = message.as_ref();
        Some(match self.route() {
            Route::BedrockConverse => {
                ErrorReply::new(400, format!("The model returned the following errors: {message}"))
            }
            _ => ErrorReply::new(400, message),
        })
    }

    /// The blocks of the conversation, not those within tool results: each with its place, `messages.1.content.0`.
    fn blocks(&self) -> impl Iterator<Item = (String, &'a Block)> {
        let messages = self.message().map_or(&[][..], |message| &message.messages);
        messages.iter().enumerate().flat_map(|(index, message)| {
            message
                .content
                .iter()
                .enumerate()
                .map(move |(block_index, block)| (format!("messages.{index}.content.{block_index}"), block))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_has_a_name_of_its_own_and_a_source() {
        let mut names: Vec<&str> = RULES.iter().copied().flatten().map(|rule| rule.name).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(
            RULES
                .iter()
                .copied()
                .flatten()
                .all(|rule| rule.source.starts_with("https://"))
        );
    }
}
