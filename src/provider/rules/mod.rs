//! The requests that a provider refuses, and its error messages: tables of rules, each with its source.
//!
//! The first broken rule decides the reply, in a provider's order: credentials, the request's form, its content. A rule
//! decides whether the provider would accept the request, never whether a trial passes. Each refusal needs a source: a rule
//! must never refuse a request that the real CLI sends through a correct gateway.

/// A table of rules, each with the name of its function.
macro_rules! rules {
    ($($name:ident,)*) => {
        &[$(Rule { name: stringify!($name), check: $name }),*]
    };
}

mod auth;
mod betas;
mod caching;
mod content;
mod converse;
mod fields;
mod form;
mod keys;
mod models;
mod parameters;
mod size;
mod thinking;
mod tools;

use std::collections::HashMap;

use serde_json::Value;
pub(super) use size::limit as size_limit;

use super::credentials::Credentials;
use super::incoming::Incoming;
use super::oauth::AccessTokens;
use super::signature::Signer;
use crate::wire::error_reply::ErrorReply;
use crate::wire::message::{Block, MessageRequest};
use crate::wire::model::{Generation, HOSTED_ON_AZURE, Refused, canonical_name, find};
use crate::wire::{Operation, Route};

/// The signatures of the thinking blocks that a provider sent before each tool call, by the call's id.
pub(super) type SentThinking = HashMap<String, Vec<String>>;

/// The data that a rule may read.
pub(super) struct Subject<'a> {
    pub(super) incoming: &'a Incoming,
    pub(super) credentials: &'a Credentials,
    pub(super) access_tokens: &'a AccessTokens,
    pub(super) signer: &'a Signer,
    pub(super) sent_thinking: &'a SentThinking,
    pub(super) now_ms: u64,
    /// Models that the table of models lacks, by their names without a date.
    pub(super) tiers: &'a [String],
}

/// A reason to refuse a request.
struct Rule {
    name: &'static str,
    /// The refusal, if the request breaks the rule.
    check: fn(&Subject) -> Option<ErrorReply>,
}

const RULES: [&[Rule]; 14] = [
    size::RULES,
    auth::RULES,
    form::RULES,
    models::RULES,
    form::BODY_RULES,
    betas::RULES,
    fields::RULES,
    keys::RULES,
    converse::RULES,
    content::RULES,
    parameters::RULES,
    caching::RULES,
    tools::RULES,
    thinking::RULES,
];

/// The first rule that a request breaks, and the refusal.
pub(super) fn broken(subject: &Subject) -> Option<(&'static str, ErrorReply)> {
    first_broken(subject, RULES.iter().copied().flatten())
}

/// The first rule about credentials that a request breaks, and the refusal.
pub(super) fn refused_credential(subject: &Subject) -> Option<(&'static str, ErrorReply)> {
    first_broken(subject, auth::RULES)
}

fn first_broken<'a>(
    subject: &Subject,
    rules: impl IntoIterator<Item = &'a Rule>,
) -> Option<(&'static str, ErrorReply)> {
    let mut rules = rules.into_iter();
    rules.find_map(|rule| (rule.check)(subject).map(|refusal| (rule.name, refusal)))
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

    /// The prompt as the model sees it, if the request has one.
    fn message(&self) -> Option<&'a MessageRequest> {
        self.incoming.message.as_ref()
    }

    /// The prompt as it arrived, if the request has one.
    fn prompt(&self) -> Option<&'a Value> {
        self.incoming.prompt.as_ref()
    }

    /// The prompt's fields under their names in the model's own API. Converse has a separate object for them.
    fn model_fields(&self) -> Option<&'a Value> {
        let prompt = self.prompt()?;
        match self.route() {
            Route::BedrockConverse => prompt.get("additionalModelRequestFields"),
            _ => Some(prompt),
        }
    }

    fn model(&self) -> &'a str {
        self.message()
            .map_or("", |message| canonical_name(&message.model))
    }

    /// A parameter of the model by its name in the Messages API.
    fn parameter(&self, name: &str) -> Option<&'a Value> {
        let inference = |name| self.prompt()?.get("inferenceConfig")?.get(name);
        match (self.route(), name) {
            (Route::BedrockConverse, "temperature") => inference("temperature"),
            (Route::BedrockConverse, "top_p") => inference("topP"),
            (Route::BedrockConverse, "stop_sequences") => {
                inference("stopSequences").or_else(|| self.model_fields()?.get(name))
            }
            _ => self.model_fields()?.get(name),
        }
    }

    /// Whether the model is of `generation` or later. A model that the table lacks is of none.
    fn is_since(&self, generation: Generation) -> bool {
        find(self.model()).is_some_and(|model| model.generation >= generation)
    }

    /// [`Subject::is_since`], or newer than the table of models, which lacks it.
    fn may_be_since(&self, generation: Generation) -> bool {
        self.is_since(generation) || find(self.model()).is_none()
    }

    fn model_refuses(&self, what: Refused) -> bool {
        find(self.model()).is_some_and(|model| model.refuses.contains(&what))
    }

    /// Whether the request is for a Foundry deployment that runs on Azure's own infrastructure.
    fn is_hosted_on_azure(&self) -> bool {
        self.route() == Route::Azure
            && self
                .message()
                .is_some_and(|message| message.model.ends_with(HOSTED_ON_AZURE))
    }

    fn has_beta(&self, prefix: &str) -> bool {
        match self.message() {
            Some(message) => message.betas.iter().any(|beta| beta.starts_with(prefix)),
            None => {
                let betas = self.incoming.header("anthropic-beta").unwrap_or_default();
                betas.split(',').any(|beta| beta.trim().starts_with(prefix))
            }
        }
    }

    /// A refusal by the model's own API; Converse quotes it.
    fn invalid(&self, message: impl AsRef<str>) -> Option<ErrorReply> {
        let message = message.as_ref();
        Some(match self.route() {
            Route::BedrockConverse => {
                ErrorReply::new(400, format!("The model returned the following errors: {message}"))
            }
            _ => ErrorReply::new(400, message),
        })
    }

    /// A refusal with one message from Converse itself, and another from the model's API on the other routes.
    fn invalid_or(&self, converse: impl AsRef<str>, other: impl AsRef<str>) -> Option<ErrorReply> {
        match self.route() {
            Route::BedrockConverse => Some(ErrorReply::new(400, converse.as_ref())),
            _ => self.invalid(other),
        }
    }

    /// The blocks of the conversation with their paths (`messages.1.content.0`), without the blocks within tool results.
    fn blocks(&self) -> impl Iterator<Item = (String, &'a Block)> {
        let messages = self.message().map_or(&[][..], |message| &message.messages);
        let contents = placed("messages", messages);
        contents.flat_map(|(place, message)| placed(&format!("{place}.content"), &message.content))
    }
}

/// Each item of the list at `place`, with its path.
fn placed<'a, T>(place: &str, items: &'a [T]) -> impl Iterator<Item = (String, &'a T)> + use<'a, T> {
    let place = place.to_owned();
    let items = items.iter().enumerate();
    items.map(move |(index, item)| (format!("{place}.{index}"), item))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::refusal_rules::REFUSAL_RULES;

    #[test]
    fn cells_may_name_each_rule_and_no_other() {
        let mut names: Vec<&str> = RULES.iter().copied().flatten().map(|rule| rule.name).collect();
        names.sort_unstable();
        assert_eq!(names, REFUSAL_RULES);
    }

    #[test]
    fn every_rule_has_a_unique_name_and_a_source() {
        let files = [
            include_str!("auth.rs"),
            include_str!("betas.rs"),
            include_str!("caching.rs"),
            include_str!("content.rs"),
            include_str!("converse.rs"),
            include_str!("fields.rs"),
            include_str!("form.rs"),
            include_str!("keys.rs"),
            include_str!("models.rs"),
            include_str!("parameters.rs"),
            include_str!("size.rs"),
            include_str!("thinking.rs"),
            include_str!("tools.rs"),
        ]
        .concat();
        let rules: Vec<&Rule> = RULES.iter().copied().flatten().collect();
        let mut names: Vec<&str> = rules.iter().map(|rule| rule.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), rules.len());
        for name in names {
            let (before, _) = files.split_once(&format!("fn {name}(subject")).expect(name);
            let docs = before.lines().rev().take_while(|line| line.starts_with("///"));
            assert!(docs.into_iter().any(|line| line.contains("https://")), "{name}");
        }
    }
}
