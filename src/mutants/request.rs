//! Applies a mutant to a request.

use bytes::Bytes;
use serde_json::Value;

use super::headers::{self, Headers};
use super::{SideChange, edit};
use crate::wire::Operation;
use crate::wire::encoding;

#[derive(Clone, Debug, PartialEq)]
pub struct PassingRequest {
    pub path: String,
    pub headers: Headers,
    pub body: Bytes,
}

impl SideChange {
    /// Whether it applies to the `turn`-th request (from 1) with this operation, with this body.
    pub fn applies_to(&self, operation: Operation, turn: usize, stream: bool, body: Option<&Value>) -> bool {
        let when = &self.when;
        let finds =
            |query: &crate::document::Query| body.is_some_and(|body| !query.path.query(body).is_empty());
        operation == when.operation.unwrap_or(Operation::Messages)
            && when.turn.is_none_or(|wanted| wanted == turn)
            && when.stream.is_none_or(|wanted| wanted == stream)
            && when.body.as_ref().is_none_or(finds)
    }

    /// Changes a request that it applies to. Returns whether anything changes for the gateway: the request, its time or its
    /// reply. A body that is not JSON stays unchanged.
    pub fn change_request(&self, request: &mut PassingRequest) -> bool {
        let change = &self.request;
        let mut changed = false;
        if !change.body.is_empty()
            && let Ok(mut body) = serde_json::from_slice::<Value>(&request.body)
            && edit::apply_all(&change.body, &mut body)
        {
            request.body = body.to_string().into();
            changed = true;
        }
        if change.compress.is_some() && headers::encode(&mut request.headers) {
            request.body = encoding::gzipped(&request.body).into();
            changed = true;
        }
        changed |= headers::apply_all(&change.headers, &mut request.headers);
        if change.reverse_headers {
            request.headers.reverse();
        }
        if let Some(edit) = &change.path {
            let path = edit.find.0.replace_all(&request.path, &edit.with).into_owned();
            changed |= path != request.path;
            request.path = path;
        }
        changed |= change.reverse_headers || change.title_case_headers;
        changed || change.delay_ms > 0 || change.send_twice || change.answer.is_some()
    }
}
