//! What a mutant does to a reply, but for the events of a stream.

use bytes::Bytes;
use serde_json::Value;

use super::headers::{self, Headers};
use super::{Mutant, Replied, edit};

/// A reply that no provider sent.
#[derive(Clone, Debug, PartialEq)]
pub struct MadeUpReply {
    pub status: u16,
    pub content_type: String,
    pub body: Bytes,
}

/// The head of a reply on its way.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplyHead {
    pub status: u16,
    pub headers: Headers,
}

impl Mutant {
    /// Whether it changes a reply of `status` to a request that it is about.
    pub fn changes_reply(&self, status: u16) -> bool {
        let change = &self.reply;
        let is_there = change.status.is_some()
            || change.answer.is_some()
            || change.buffer
            || change.delay_ms > 0
            || change.chunk_bytes.is_some()
            || !change.headers.is_empty()
            || !change.body.is_empty()
            || !change.events.is_empty();
        is_there
            && match self.when.replied {
                None => true,
                Some(Replied::Success) => status < 400,
                Some(Replied::Error) => status >= 400,
            }
    }

    /// Changes the head of a reply; whether it is another one now.
    pub fn change_reply_head(&self, head: &mut ReplyHead) -> bool {
        let changed = headers::apply_all(&self.reply.headers, &mut head.headers);
        match self.reply.status {
            Some(status) if status != head.status => {
                head.status = status;
                true
            }
            _ => changed,
        }
    }

    /// Changes the body of a reply that is not streamed; `None` if it stays as it is.
    pub fn change_reply_body(&self, body: &[u8]) -> Option<Bytes> {
        let mut value: Value = serde_json::from_slice(body).ok()?;
        edit::apply_all(&self.reply.body, &mut value).then(|| value.to_string().into())
    }
}
