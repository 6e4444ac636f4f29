//! A reply's body on its way: passed on as it comes, changed where a mutant says so, recorded as it goes.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use tokio::time::sleep;

use super::Mutation;
use super::ledger::Recording;
use crate::mutants::{Step, StreamChanger};
use crate::wire::framing::{Decoder, Framing};

/// A reply's body as it comes.
pub(super) type Incoming = Pin<Box<dyn Stream<Item = reqwest::Result<Bytes>> + Send>>;

pub(super) struct Passing {
    incoming: Option<Incoming>,
    steps: VecDeque<Step>,
    change: Option<Change>,
    recording: Option<Recording>,
}

/// What a mutant does to it.
struct Change {
    mutation: Arc<Mutation>,
    events: Option<(Decoder, StreamChanger)>,
    /// What is held back until the body is whole, if it is.
    buffer: Option<Vec<Step>>,
    chunk_bytes: Option<usize>,
}

impl Passing {
    /// A body that is passed on as it comes.
    pub(super) fn new(incoming: Incoming, recording: Option<Recording>) -> Self {
        Self {
            incoming: Some(incoming),
            steps: VecDeque::new(),
            change: None,
            recording,
        }
    }

    /// The same body, under a mutant; `framing` if it is a stream of events.
    pub(super) fn under(mut self, mutation: &Arc<Mutation>, framing: Option<Framing>) -> Self {
        let reply = &mutation.mutant.reply;
        if reply.buffer || reply.chunk_bytes.is_some() {
            mutation.count(1);
        }
        self.change = Some(Change {
            mutation: Arc::clone(mutation),
            events: framing.filter(|_| !reply.events.is_empty()).map(|framing| {
                (
                    Decoder::new(framing),
                    StreamChanger::new(&mutation.mutant, framing),
                )
            }),
            buffer: reply.buffer.then(Vec::new),
            chunk_bytes: reply.chunk_bytes,
        });
        self
    }

    pub(super) fn into_body(self) -> Body {
        Body::from_stream(stream::unfold(self, |mut passing| async move {
            let bytes = passing.next().await?;
            Some((bytes, passing))
        }))
    }

    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        loop {
            match self.steps.pop_front() {
                Some(Step::Send(bytes)) => {
                    let bytes = self.piece(bytes);
                    if let Some(recording) = &mut self.recording {
                        recording.bytes(&bytes);
                    }
                    return Some(Ok(bytes));
                }
                Some(Step::Wait(milliseconds)) => sleep(Duration::from_millis(milliseconds)).await,
                Some(Step::Cut) => {
                    self.incoming = None;
                    self.steps.clear();
                    return Some(Err(io::Error::other("cut off by a mutant")));
                }
                Some(Step::End) => {
                    self.incoming = None;
                    self.steps.clear();
                }
                None => match self.incoming.as_mut()?.next().await {
                    Some(Ok(bytes)) => self.take(bytes),
                    Some(Err(error)) => {
                        self.incoming = None;
                        return Some(Err(io::Error::other(error)));
                    }
                    None => {
                        self.incoming = None;
                        self.end();
                    }
                },
            }
            if self.steps.is_empty() && self.incoming.is_none() {
                if let Some(recording) = &mut self.recording {
                    recording.finish();
                }
                return None;
            }
        }
    }

    /// The first of the pieces that `bytes` is to be sent in; the others are sent next.
    fn piece(&mut self, mut bytes: Bytes) -> Bytes {
        let Some(size) = self.change.as_ref().and_then(|change| change.chunk_bytes) else {
            return bytes;
        };
        if bytes.len() > size {
            let rest = bytes.split_off(size);
            self.steps.push_front(Step::Send(rest));
        }
        bytes
    }

    fn take(&mut self, bytes: Bytes) {
        let Some(change) = &mut self.change else {
            self.steps.push_back(Step::Send(bytes));
            return;
        };
        let steps = match &mut change.events {
            None => vec![Step::Send(bytes)],
            Some((decoder, changer)) => {
                let before = changer.changes();
                let steps = decoder
                    .push(&bytes)
                    .into_iter()
                    .flat_map(|event| changer.push(event))
                    .collect();
                change.mutation.count(changer.changes() - before);
                steps
            }
        };
        match &mut change.buffer {
            Some(buffer) => buffer.extend(steps),
            None => self.steps.extend(steps),
        }
    }

    fn end(&mut self) {
        let Some(change) = &mut self.change else { return };
        self.steps.extend(change.buffer.take().unwrap_or_default());
        if let Some((decoder, mut changer)) = change.events.take() {
            self.steps.extend(changer.finish());
            let rest = decoder.finish();
            if !rest.is_empty() {
                self.steps.push_back(Step::Send(rest));
            }
        }
    }
}
