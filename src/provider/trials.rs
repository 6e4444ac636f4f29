//! The trials that a simulator plays for, and what it keeps of each: its place in the script, its prompt cache, its
//! exchanges, and how far its client has got.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;

use axum::http::HeaderMap;
use tokio::sync::watch;
use uuid::Uuid;

use super::cache::PromptCache;
use super::incoming::Incoming;
use super::recording::Ledger;
use super::rules::SentThinking;
use crate::ids::TrialKey;
use crate::wire::script::{Reply, Script};

/// Every trial that is registered and not yet taken.
#[derive(Default)]
pub(super) struct Trials {
    by_key: Mutex<HashMap<Uuid, Arc<Trial>>>,
}

pub(super) struct Trial {
    pub(super) ledger: Ledger,
    script: Script,
    progress: Mutex<Progress>,
    arrived: watch::Sender<bool>,
    shown: watch::Sender<usize>,
    sent: Mutex<usize>,
}

/// How far a trial has got.
#[derive(Default)]
pub(super) struct Progress {
    turns: usize,
    /// Replies of the script consumed so far.
    replies: usize,
    /// What the provider has cached for it.
    pub(super) cache: PromptCache,
    /// What thinking the provider has sent to it before tool calls.
    pub(super) sent_thinking: SentThinking,
}

impl Progress {
    /// Counts a Messages request: its number among them, from 1.
    pub(super) fn next_turn(&mut self) -> usize {
        self.turns += 1;
        self.turns
    }
}

impl Trials {
    pub(super) fn register(&self, key: TrialKey, script: Script) {
        self.by_key.lock().insert(key.0, Arc::new(Trial::new(script)));
    }

    pub(super) fn get(&self, key: TrialKey) -> Option<Arc<Trial>> {
        self.by_key.lock().get(&key.0).cloned()
    }

    pub(super) fn remove(&self, key: TrialKey) -> Option<Arc<Trial>> {
        self.by_key.lock().remove(&key.0)
    }

    /// The trial that a request belongs to: by the first known key in `x-claude-code-session-id`, in the other
    /// headers, in the path, or anywhere in what the body says.
    pub(super) fn owner(&self, incoming: &Incoming) -> Option<Arc<Trial>> {
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
            // A body within the body, in base64.
            .or_else(|| known(incoming.prompt.as_ref()?.to_string().as_bytes()))
    }
}

fn session_header(headers: &HeaderMap) -> Option<&[u8]> {
    headers
        .get("x-claude-code-session-id")
        .map(|value| value.as_bytes())
}

impl Trial {
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
    pub(super) fn with_progress<T>(&self, work: impl FnOnce(&mut Progress) -> T) -> T {
        work(&mut self.progress.lock())
    }

    /// The next reply of the script and its place there, from 1. A provider that refuses goes on refusing: a last reply
    /// that is an error is given again.
    pub(super) fn next_reply(&self, progress: &mut Progress) -> Result<(usize, &Reply), String> {
        let Some(reply) = self.script.replies.get(progress.replies) else {
            if let Some(last @ Reply::Error(_)) = self.script.replies.last() {
                return Ok((progress.replies, last));
            }
            return Err(match self.script.replies.len() {
                0 => "the trial's script has no replies".to_owned(),
                1 => "the trial's script has one reply, which an earlier request got".to_owned(),
                count => format!("the trial's script has {count} replies, which earlier requests got"),
            });
        };
        progress.replies += 1;
        Ok((progress.replies, reply))
    }

    pub(super) fn arrive(&self) {
        self.arrived.send_replace(true);
    }

    /// Becomes true with the trial's first request.
    pub(super) fn arrival(&self) -> watch::Receiver<bool> {
        self.arrived.subscribe()
    }

    /// A new stream begins, of which nothing has been seen.
    pub(super) fn begin_stream(&self) -> watch::Receiver<usize> {
        *self.sent.lock() = 0;
        self.shown.send_replace(0);
        self.shown.subscribe()
    }

    pub(super) fn send_delta(&self) {
        *self.sent.lock() += 1;
    }

    /// The client has shown `deltas` content deltas. More than were sent are another stream's.
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
