//! Applies a mutant to a request.

use bytes::Bytes;
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use serde_json::Value;

use super::form::{CopyTarget, HeaderCopy};
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
        let mut changed = change
            .copy_header
            .as_ref()
            .is_some_and(|copy| copy.apply(request));
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

impl HeaderCopy {
    /// Applies it. Returns whether anything changed: a request without the header stays as it is.
    fn apply(&self, request: &mut PassingRequest) -> bool {
        let mut headers = request.headers.iter();
        let Some((_, value)) = headers.find(|(name, _)| *name == self.name.0) else {
            return false;
        };
        let value = value.clone();
        match &self.to {
            CopyTarget::Header(name) => request.headers.push((name.0.clone(), value)),
            CopyTarget::Query(name) => {
                let separator = if request.path.contains('?') { '&' } else { '?' };
                let value = percent_encode(&value, NON_ALPHANUMERIC);
                request.path.push_str(&format!("{separator}{name}={value}"));
            }
            CopyTarget::Text(path) => {
                let value = String::from_utf8_lossy(&value);
                let Ok(mut body) = serde_json::from_slice::<Value>(&request.body) else {
                    return false;
                };
                if !edit::append(&mut body, path, &value) {
                    return false;
                }
                request.body = body.to_string().into();
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_value_of_a_header_is_copied() {
        let copied = |name: &str, to: Value| {
            let copy: HeaderCopy = serde_json::from_value(json!({"name": name, "to": to})).unwrap();
            let mut request = PassingRequest {
                path: "/v1/messages?beta=true".to_owned(),
                headers: vec![("authorization".to_owned(), b"Bearer sk-1".to_vec())],
                body: json!({"system": [{"text": "a"}]}).to_string().into(),
            };
            copy.apply(&mut request).then_some(request)
        };
        let changed = |to: Value| copied("Authorization", to).unwrap();
        let headers = changed(json!({"header": "X-Key"})).headers;
        assert_eq!(headers[1], ("x-key".to_owned(), b"Bearer sk-1".to_vec()));
        let path = changed(json!({"query": "key"})).path;
        assert_eq!(path, "/v1/messages?beta=true&key=Bearer%20sk%2D1");
        let body = changed(json!({"text": "$.system[0].text"})).body;
        assert_eq!(body, json!({"system": [{"text": "aBearer sk-1"}]}).to_string());
        assert_eq!(copied("authorization", json!({"text": "$.nothing"})), None);
        assert_eq!(copied("x-api-key", json!({"query": "key"})), None);
    }
}
