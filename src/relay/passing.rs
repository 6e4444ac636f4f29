//! The body of a reply: it is forwarded as it arrives, recorded, and changed by a mutant.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use tokio::task::yield_now;
use tokio::time::sleep;

use super::recorder::ReplyRecorder;
use super::{RequestPermit, SideMutation};
use crate::mutants::{Step, StreamChanger};
use crate::wire::encoding::GzipEncoder;
use crate::wire::framing::{Decoder, Framing};

pub(super) type ReceivedBody = Pin<Box<dyn Stream<Item = reqwest::Result<Bytes>> + Send>>;

pub(super) struct PassingBody {
    incoming: Option<ReceivedBody>,
    steps: VecDeque<Step>,
    change: Option<BodyChange>,
    recorder: Option<ReplyRecorder>,
    /// Dropped at the end of the body.
    permit: Option<Box<dyn RequestPermit>>,
}
struct BodyChange {
    mutation: SideMutation,
    events: Option<(Decoder, StreamChanger)>,
    /// The steps that are held back until the body is complete, if the mutant buffers.
    buffer: Option<Vec<Step>>,
    encoder: Option<GzipEncoder>,
    chunk_bytes: Option<usize>,
}

async fn next_of(incoming: &mut Option<ReceivedBody>) -> Option<reqwest::Result<Bytes>> {
    incoming.as_mut()?.next().await
}

impl PassingBody {
    /// A body that is forwarded unchanged.
    pub(super) fn new(incoming: ReceivedBody, recorder: Option<ReplyRecorder>) -> Self {
        Self {
            incoming: Some(incoming),
            steps: VecDeque::new(),
            change: None,
            recorder,
            permit: None,
        }
    }

    pub(super) fn with(mut self, permit: Option<Box<dyn RequestPermit>>) -> Self {
        self.permit = permit;
        self
    }

    /// Applies a mutant to the body. `framing` is set for a stream of events.
    pub(super) fn under(mut self, mutation: &SideMutation, framing: Option<Framing>, compress: bool) -> Self {
        let reply = &mutation.change.reply;
        if reply.buffer || reply.chunk_bytes.is_some() {
            mutation.count(1);
        }
        self.change = Some(BodyChange {
            mutation: mutation.clone(),
            events: framing.filter(|_| !reply.events.is_empty()).map(|framing| {
                (
                    Decoder::new(framing),
                    StreamChanger::new(&mutation.change, framing),
                )
            }),
            buffer: reply.buffer.then(Vec::new),
            encoder: compress.then(GzipEncoder::default),
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
                    let bytes = self.piece(bytes).await;
                    // The record has the changed bytes, because Claude Code receives these.
                    if let Some(recorder) = &mut self.recorder {
                        recorder.bytes(&bytes);
                    }
                    return Some(Ok(bytes));
                }
                Some(Step::Wait(milliseconds)) => sleep(Duration::from_millis(milliseconds)).await,
                // Without `finish`, the reply is recorded as cut off.
                Some(Step::Cut) => {
                    self.incoming = None;
                    self.recorder = None;
                    self.steps.clear();
                    return Some(Err(io::Error::other("cut off by a mutant")));
                }
                Some(Step::End) => {
                    self.incoming = None;
                    self.steps.clear();
                }
                None => match next_of(&mut self.incoming).await {
                    Some(Ok(bytes)) => self.take(bytes),
                    Some(Err(error)) => {
                        self.incoming = None;
                        self.recorder = None;
                        return Some(Err(io::Error::other(error)));
                    }
                    None if self.incoming.take().is_some() => self.end(),
                    None => {}
                },
            }
            if self.steps.is_empty() && self.incoming.is_none() {
                if let Some(recorder) = &mut self.recorder {
                    recorder.finish();
                }
                return None;
            }
        }
    }

    /// The first piece of `bytes`, if a mutant sends it in pieces. The others are queued.
    async fn piece(&mut self, mut bytes: Bytes) -> Bytes {
        let Some(size) = self.change.as_ref().and_then(|change| change.chunk_bytes) else {
            return bytes;
        };
        // The server writes what it has to the network while it waits.
        yield_now().await;
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
            None => self.queue(steps),
        }
    }

    /// Sends steps, with their bytes compressed if the mutant compresses.
    fn queue(&mut self, steps: Vec<Step>) {
        let mut encoder = self.change.as_mut().and_then(|change| change.encoder.as_mut());
        self.steps
            .extend(steps.into_iter().map(|step| match (step, &mut encoder) {
                (Step::Send(bytes), Some(encoder)) => Step::Send(encoder.push(&bytes).into()),
                (step, _) => step,
            }));
    }

    fn end(&mut self) {
        let Some(change) = &mut self.change else { return };
        let mut steps = change.buffer.take().unwrap_or_default();
        if let Some((decoder, mut changer)) = change.events.take() {
            steps.extend(changer.finish());
            let rest = decoder.finish();
            if !rest.is_empty() {
                steps.push(Step::Send(rest));
            }
        }
        self.queue(steps);
        if let Some(encoder) = self.change.as_mut().and_then(|change| change.encoder.take()) {
            self.steps.push_back(Step::Send(encoder.finish().into()));
        }
    }
}
