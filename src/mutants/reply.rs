//! Applies a mutant to a reply, except to the events of a stream.

use bytes::Bytes;
use serde_json::Value;

use super::form::Replied;
use super::headers::{self, Headers};
use super::{MadeUpReply, ReplyChange, SideChange, edit};
use crate::wire::encoding::ContentDecoder;

impl MadeUpReply {
    pub fn content_type(&self) -> &'static str {
        match self.json {
            Some(_) => "application/json",
            None => "text/plain; charset=utf-8",
        }
    }

    pub fn body(&self) -> Bytes {
        let json = self.json.as_ref().map(Value::to_string);
        json.or_else(|| self.text.clone()).unwrap_or_default().into()
    }
}

#[derive(Clone, Debug, PartialEq)]
pub struct ReplyHead {
    pub status: u16,
    pub headers: Headers,
    /// Whether the body must be compressed with gzip.
    pub compress: bool,
}

impl ReplyHead {
    pub fn new(status: u16, headers: Headers) -> Self {
        Self {
            status,
            headers,
            compress: false,
        }
    }

    /// The content encoding of the body, which its head no longer names: the caller decodes it. `None` if nobody can.
    pub fn take_encoding(&mut self) -> Option<String> {
        let is_readable = |value: &[u8]| {
            let name = std::str::from_utf8(value).ok();
            name.is_some_and(|name| ContentDecoder::new(Some(name)).problem().is_none())
        };
        let mut headers = self.headers.iter();
        let at = headers.position(|(name, value)| name == "content-encoding" && is_readable(value))?;
        String::from_utf8(self.headers.remove(at).1).ok()
    }
}

impl ReplyChange {
    /// Whether it reads the content of a body, which may be compressed.
    pub fn edits_content(&self) -> bool {
        !self.body.is_empty() || !self.events.is_empty()
    }
}

impl SideChange {
    /// Whether it changes a reply of `status` to a request that it applies to.
    pub fn changes_reply(&self, status: u16) -> bool {
        let applies = match self.when.replied {
            None => true,
            Some(Replied::Success) => status < 400,
            Some(Replied::Error) => status >= 400,
        };
        applies && self.reply != ReplyChange::default()
    }

    /// Changes the head of a reply. Returns whether it is different now.
    pub fn change_reply_head(&self, head: &mut ReplyHead) -> bool {
        head.compress = self.reply.compress.is_some() && headers::encode(&mut head.headers);
        let mut changed = headers::apply_all(&self.reply.headers, &mut head.headers);
        if self.reply.reverse_headers {
            head.headers.reverse();
            changed = true;
        }
        changed |= head.compress;
        let status = self.reply.status.unwrap_or(head.status);
        std::mem::replace(&mut head.status, status) != status || changed
    }

    /// The changed body of a reply that is not a stream; `None` if it stays unchanged.
    pub fn change_reply_body(&self, body: &[u8]) -> Option<Bytes> {
        let mut value: Value = serde_json::from_slice(body).ok()?;
        edit::apply_all(&self.reply.body, &mut value).then(|| value.to_string().into())
    }
}
