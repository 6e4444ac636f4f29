//! The trials of a simulator. For each: its script and the position in it, its prompt caches, its exchanges, and the
//! progress of its client.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use axum::http::HeaderValue;
use parking_lot::Mutex;
use tokio::sync::watch;

use super::as_live::LiveModel;
use super::cache::PromptCache;
use super::incoming::Incoming;
use super::playback::without_reminders;
use super::rules::SentThinking;
use crate::ledger::{Ledger, TrialMap};
use crate::wire::Route;
use crate::wire::exchange::ProviderExchange;
use crate::wire::message::{Content, MessageRequest};
use crate::wire::script::{Asker, Reply, ReplyMessage, Script};

pub(super) struct ScriptedTrial {
    pub(super) ledger: Ledger<ProviderExchange>,
    script: Script,
    /// Whether the first reply follows the last one.
    repeats: bool,
    /// Answers in place of the script.
    pub(super) model: Option<LiveModel>,
    /// The reply to every request that forces no other one, in place of the script.
    pub(super) default: Option<ReplyMessage>,
    progress: Mutex<ScriptProgress>,
    shown: watch::Sender<usize>,
    sent: Mutex<usize>,
}

#[derive(Default)]
pub(super) struct ScriptProgress {
    turns: usize,
    /// The indexes of the script's replies that were sent.
    used: HashSet<usize>,
    pub(super) caches: HashMap<Route, PromptCache>,
    /// The thinking that the provider sent before each tool call.
    pub(super) sent_thinking: SentThinking,
}

impl ScriptProgress {
    /// Counts a Messages request: its number, from 1.
    pub(super) fn next_turn(&mut self) -> usize {
        self.turns += 1;
        self.turns
    }
}

/// The trial of the first registered key: in `x-claude-code-session-id`, in the other headers, in the path, or in the body.
pub(super) fn owner(trials: &TrialMap<ScriptedTrial>, incoming: &Incoming) -> Option<Arc<ScriptedTrial>> {
    let session = incoming.headers.get("x-claude-code-session-id");
    let headers = session.into_iter().chain(incoming.headers.values());
    let texts = headers
        .map(HeaderValue::as_bytes)
        .chain([incoming.recorded.path.as_bytes(), &incoming.bytes]);
    // Bedrock's token count has the request in base64 within its body.
    trials
        .owner(texts)
        .or_else(|| trials.owner([incoming.prompt.as_ref()?.to_string().as_bytes()]))
}

/// The header of a subagent's requests: <https://code.claude.com/docs/en/llm-gateway-protocol> (request headers).
const AGENT: &str = "x-claude-code-agent-id";

/// Whether the attribution block of the system prompt names a subagent. A gateway may drop the header.
fn is_of_subagent(message: &MessageRequest) -> bool {
    let mut texts = message.system.iter().filter_map(|block| match &block.content {
        Content::Text(text) => Some(text),
        _ => None,
    });
    texts.any(|text| text.starts_with("x-anthropic-billing-header:") && text.contains("cc_is_subagent=true"))
}

/// Whether `incoming`, whose prompt is `prompt`, is a request of `asker`.
fn is_asked_by(incoming: &Incoming, prompt: &str, asker: &Asker) -> bool {
    let message = incoming.message.as_ref();
    let is_subagent = incoming.headers.contains_key(AGENT) || message.is_some_and(is_of_subagent);
    let model = message.map_or("", |message| message.model.as_str());
    let offers = |wanted: &String| {
        message.is_some_and(|message| message.tools.iter().any(|tool| tool.name == *wanted))
    };
    asker.subagent.is_none_or(|wanted| wanted == is_subagent)
        && asker
            .model
            .as_ref()
            .is_none_or(|wanted| model.contains(wanted.as_str()))
        && asker.has_tool.as_ref().is_none_or(offers)
        && asker
            .prompt
            .as_ref()
            .is_none_or(|wanted| prompt.contains(wanted.as_str()))
}

/// The user's last text with one of `parts`; empty without. A message also has the prompts before it that got no answer, reminders of
/// Claude Code's own, and what a gateway puts into it.
fn last_prompt(message: &MessageRequest, parts: &[&str]) -> String {
    let of_user = message
        .messages
        .iter()
        .rev()
        .filter(|message| message.role == "user");
    let blocks = of_user.flat_map(|message| message.content.iter().rev());
    let mut texts = blocks.filter_map(|block| match &block.content {
        Content::Text(text) => Some(without_reminders(text)),
        _ => None,
    });
    let has_part = |text: &String| parts.iter().any(|part| text.contains(part));
    texts.find(has_part).unwrap_or_default()
}

impl ScriptedTrial {
    pub(super) fn new(script: Script) -> Self {
        Self {
            ledger: Ledger::default(),
            script,
            repeats: false,
            model: None,
            default: None,
            progress: Mutex::default(),
            shown: watch::Sender::new(0),
            sent: Mutex::new(0),
        }
    }

    /// A script without an end, and without lockstep.
    pub(super) fn repeating(mut script: Script) -> Self {
        for reply in &mut script.replies {
            if let Reply::Message(message) = reply {
                message.pace.lockstep = false;
            }
        }
        Self {
            repeats: true,
            ..Self::new(script)
        }
    }

    /// All requests at a provider that has one reply: they share its prompt cache.
    pub(super) fn of_reply(reply: ReplyMessage) -> Self {
        Self {
            default: Some(reply),
            ..Self::new(Script::default())
        }
    }

    /// All requests at a provider that answers like a model: they share its prompt cache.
    pub(super) fn of_model(model: LiveModel) -> Self {
        Self {
            model: Some(model),
            ..Self::new(Script::default())
        }
    }

    /// Runs `work` on the trial's progress, one request at a time.
    pub(super) fn with_progress<T>(&self, work: impl FnOnce(&mut ScriptProgress) -> T) -> T {
        work(&mut self.progress.lock())
    }

    /// The first unused reply of the script for `incoming`, and its position, from 1. A last reply that is an error is
    /// repeated, because a provider that refuses a request also refuses its retries.
    pub(super) fn next_reply(
        &self,
        progress: &mut ScriptProgress,
        incoming: &Incoming,
    ) -> Result<(usize, &Reply), String> {
        let replies = self.script.replies.iter().enumerate();
        let parts = replies
            .clone()
            .filter_map(|(_, reply)| reply.asker().prompt.as_deref());
        let parts: Vec<&str> = parts.collect();
        let message = incoming.message.as_ref();
        let prompt = message
            .map(|message| last_prompt(message, &parts))
            .unwrap_or_default();
        let own = || {
            replies
                .clone()
                .filter(|(_, reply)| is_asked_by(incoming, &prompt, reply.asker()))
        };
        let next = own().find(|(index, _)| !progress.used.contains(index));
        if let Some((index, reply)) = next {
            progress.used.insert(index);
            return Ok((index + 1, reply));
        }
        if self.repeats
            && let Some((first, reply)) = own().next()
        {
            for (index, _) in own() {
                progress.used.remove(&index);
            }
            progress.used.insert(first);
            return Ok((first + 1, reply));
        }
        if let Some((index, last @ Reply::Error(_))) = own().next_back() {
            return Ok((index + 1, last));
        }
        let count = self.script.replies.len();
        Err(match (count, own().count()) {
            (0, _) => "the trial's script has no replies".to_owned(),
            (_, 0) => "no reply of the trial's script is for this asker".to_owned(),
            (1, _) => "the trial's script has one reply, and an earlier request got it".to_owned(),
            (_, own) if own < count => {
                format!(
                    "the trial's script has {own} replies for this asker, and earlier requests got all of them"
                )
            }
            _ => format!("the trial's script has {count} replies, and earlier requests got all of them"),
        })
    }

    /// A new stream starts: no delta was sent or shown.
    pub(super) fn begin_stream(&self) -> watch::Receiver<usize> {
        *self.sent.lock() = 0;
        self.shown.send_replace(0);
        self.shown.subscribe()
    }

    pub(super) fn send_delta(&self) {
        *self.sent.lock() += 1;
    }

    /// The client has shown `deltas` content deltas. A count above the number of sent deltas is from an earlier stream.
    pub(super) fn show(&self, deltas: usize) {
        if deltas <= *self.sent.lock() {
            self.shown.send_if_modified(|shown| {
                let grows = deltas > *shown;
                *shown = deltas.max(*shown);
                grows
            });
        }
    }
}
