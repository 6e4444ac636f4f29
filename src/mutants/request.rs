//! What a mutant does to a request.

use bytes::Bytes;
use serde_json::Value;

use super::headers::{self, Headers};
use super::reply::MadeUpReply;
use super::{Mutant, edit};
use crate::wire::Operation;

#[derive(Clone, Debug, PartialEq)]
pub struct PassingRequest {
    pub path: String,
    pub headers: Headers,
    pub body: Bytes,
}

/// What becomes of a request that a mutant has seen.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fate {
    /// Whether it is another request now.
    pub changed: bool,
    /// Milliseconds that it is held back.
    pub delay_ms: u64,
    /// Whether it is sent a second time.
    pub send_twice: bool,
    /// What is answered instead of passing it on.
    pub answer: Option<MadeUpReply>,
}

impl Mutant {
    /// Whether it is about the `turn`-th request (from 1) of this kind, with this body.
    pub fn is_about(&self, operation: Operation, turn: usize, stream: bool, body: Option<&Value>) -> bool {
        let when = &self.when;
        operation == when.operation.unwrap_or(Operation::Messages)
            && when.turn.is_none_or(|wanted| wanted == turn)
            && when.stream.is_none_or(|wanted| wanted == stream)
            && when
                .body
                .as_ref()
                .is_none_or(|path| body.is_some_and(|body| !path.path.query(body).is_empty()))
    }

    /// Changes a request that it is about. A body that is no JSON stays as it is.
    pub fn change_request(&self, request: &mut PassingRequest) -> Fate {
        let change = &self.request;
        let mut changed = headers::apply_all(&change.headers, &mut request.headers);
        if !change.body.is_empty()
            && let Ok(mut body) = serde_json::from_slice::<Value>(&request.body)
            && edit::apply_all(&change.body, &mut body)
        {
            request.body = body.to_string().into();
            changed = true;
        }
        if let Some((find, with)) = &change.path {
            let path = find.replace_all(&request.path, with.as_str()).into_owned();
            changed |= path != request.path;
            request.path = path;
        }
        Fate {
            changed: changed || change.delay_ms > 0 || change.send_twice || change.answer.is_some(),
            delay_ms: change.delay_ms,
            send_twice: change.send_twice,
            answer: change.answer.clone(),
        }
    }
}
