//! The trials of a simulator. For each: its script and the position in it, its prompt cache, its exchanges, and the
//! progress of its client.

use std::collections::HashMap;
use std::sync::Arc;

use axum::http::HeaderMap;
use parking_lot::Mutex;
use tokio::sync::watch;
use uuid::Uuid;

use super::cache::PromptCache;
use super::incoming::Incoming;
use super::rules::SentThinking;
use crate::ids::TrialKey;
use crate::ledger::Ledger;
use crate::wire::exchange::ProviderExchange;
use crate::wire::script::{Reply, Script};

#[derive(Default)]
pub(super) struct Trials {
    by_key: Mutex<HashMap<Uuid, Arc<ScriptedTrial>>>,
}

pub(super) struct ScriptedTrial {
    pub(super) ledger: Ledger<ProviderExchange>,
    script: Script,
    progress: Mutex<ScriptProgress>,
    arrived: watch::Sender<bool>,
    shown: watch::Sender<usize>,
    sent: Mutex<usize>,
}

#[derive(Default)]
pub(super) struct ScriptProgress {
    turns: usize,
    /// The number of script replies that were sent.
    replies: usize,
    pub(super) cache: PromptCache,
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

impl Trials {
    pub(super) fn register(&self, key: TrialKey, script: Script) {
        self.by_key
            .lock()
            .insert(key.0, Arc::new(ScriptedTrial::new(script)));
    }

    pub(super) fn get(&self, key: TrialKey) -> Option<Arc<ScriptedTrial>> {
        self.by_key.lock().get(&key.0).cloned()
    }

    pub(super) fn remove(&self, key: TrialKey) -> Option<Arc<ScriptedTrial>> {
        self.by_key.lock().remove(&key.0)
    }

    /// The trial of the first known key in `x-claude-code-session-id`, in the other headers, in the path, or in the body.
    pub(super) fn owner(&self, incoming: &Incoming) -> Option<Arc<ScriptedTrial>> {
        let by_key = self.by_key.lock();
        let known = |bytes: &[u8]| {
            TrialKey::all_in(bytes)
                .find_map(|key| by_key.get(&key.0))
                .cloned()
        };
        session_header(&incoming.headers)
            .and_then(known)
            .or_else(|| {
                incoming
                    .headers
                    .values()
                    .find_map(|value| known(value.as_bytes()))
            })
            .or_else(|| known(incoming.recorded.path.as_bytes()))
            .or_else(|| known(&incoming.bytes))
            // Bedrock's token count has the request in base64 within its body.
            .or_else(|| known(incoming.prompt.as_ref()?.to_string().as_bytes()))
    }
}

fn session_header(headers: &HeaderMap) -> Option<&[u8]> {
    headers
        .get("x-claude-code-session-id")
        .map(|value| value.as_bytes())
}

impl ScriptedTrial {
    fn new(script: Script) -> Self {
        Self {
            ledger: Ledger::default(),
            script,
            progress: Mutex::default(),
            arrived: watch::Sender::new(false),
            shown: watch::Sender::new(0),
            sent: Mutex::new(0),
        }
    }

    /// Runs `work` on the trial's progress, one request at a time.
    pub(super) fn with_progress<T>(&self, work: impl FnOnce(&mut ScriptProgress) -> T) -> T {
        work(&mut self.progress.lock())
    }

    /// The next reply of the script and its position, from 1. A last reply that is an error is repeated, because a provider
    /// that refuses a request also refuses its retries.
    pub(super) fn next_reply(&self, progress: &mut ScriptProgress) -> Result<(usize, &Reply), String> {
        let Some(reply) = self.script.replies.get(progress.replies) else {
            if let Some(last @ Reply::Error(_)) = self.script.replies.last() {
                return Ok((progress.replies, last));
            }
            return Err(match self.script.replies.len() {
                0 => "the trial's script has no replies".to_owned(),
                1 => "the trial's script has one reply, and an earlier request got it".to_owned(),
                count => {
                    format!("the trial's script has {count} replies, and earlier requests got all of them")
                }
            });
        };
        progress.replies += 1;
        Ok((progress.replies, reply))
    }

    pub(super) fn arrive(&self) {
        self.arrived.send_replace(true);
    }

    /// Becomes true when the trial's first request arrives.
    pub(super) fn arrival(&self) -> watch::Receiver<bool> {
        self.arrived.subscribe()
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
