//! Sends a recorded request to a simulator.
//!
//! A recording has no credentials, and its signatures are another provider's. So the request gets the simulator's own.

use anyhow::{Context as _, ensure};
use axum::body::to_bytes;
use axum::http::{HeaderName, HeaderValue, Request};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use uuid::Uuid;

use super::Simulator;
use super::incoming::{Incoming, ReceivedBody};
use super::server::Server;
use crate::clock::now_ms;
use crate::ids::TrialKey;
use crate::wire::Route;
use crate::wire::exchange::{Body, ProviderExchange, RecordedRequest};
use crate::wire::redaction::is_credential_name;
use crate::wire::script::{Reply, Script};
use crate::wire::target::RequestTarget;

/// Headers of a recorded request that say nothing to the simulator: those of its connection, and its trial's key.
const NOT_SENT: [&str; 5] = [
    "host",
    "content-length",
    "transfer-encoding",
    "x-amz-date",
    "x-claude-code-session-id",
];

impl Simulator {
    /// The exchange of a recorded request for `route`. The script of its trial is `reply`.
    pub async fn ask_again(
        &self,
        request: &RecordedRequest,
        route: Route,
        reply: Reply,
    ) -> anyhow::Result<ProviderExchange> {
        let key = TrialKey(Uuid::new_v4());
        self.register(key, Script { replies: vec![reply] });
        let answered = self.server().answer_again(request, route, key).await;
        let mut exchanges = self.take(key);
        answered?;
        ensure!(
            exchanges.len() == 1,
            "the simulator recorded {} exchanges",
            exchanges.len()
        );
        Ok(exchanges.remove(0))
    }
}

impl Server {
    async fn answer_again(
        &self,
        request: &RecordedRequest,
        route: Route,
        key: TrialKey,
    ) -> anyhow::Result<()> {
        let query = request.query.split('&').filter(|pair| {
            let name = pair.split('=').next().unwrap_or_default();
            !name.is_empty() && !is_credential_name(name)
        });
        let query = query.collect::<Vec<_>>().join("&");
        let mut target = self.in_own_project(&request.path);
        if !query.is_empty() {
            target = format!("{target}?{query}");
        }
        let mut fresh = Request::builder()
            .method(request.method.as_str())
            .uri(&target)
            .body(())
            .with_context(|| format!("`{} {target}` is no valid request", request.method))?;
        let kept = |name: &str| !NOT_SENT.contains(&name) && !is_credential_name(name);
        let recorded = request.headers.iter().filter(|(name, _)| kept(name));
        let own = [("x-claude-code-session-id".to_owned(), key.to_string())];
        for (name, value) in recorded.cloned().chain(own).chain(self.own_credential(route)) {
            let pair = (
                HeaderName::from_bytes(name.as_bytes()),
                HeaderValue::from_str(&value),
            );
            if let (Ok(name), Ok(value)) = pair {
                fresh.headers_mut().append(name, value);
            }
        }
        let bytes = match &request.body {
            Body::Json(body) => self.signed_again(request, body).to_string().into_bytes(),
            Body::Text(text) => text.clone().into_bytes(),
            Body::Empty => Vec::new(),
        };
        let (parts, ()) = fresh.into_parts();
        let response = self
            .answer(Incoming::read(&parts, ReceivedBody::Whole(bytes), now_ms()))
            .await;
        // An interrupted stream ends with an error; its record has what was sent.
        let _ = to_bytes(response.into_body(), usize::MAX).await;
        Ok(())
    }

    /// Vertex AI has the project in its paths, and the simulator knows only its own.
    fn in_own_project(&self, path: &str) -> String {
        let parts = path
            .strip_prefix("/v1/projects/")
            .and_then(|rest| rest.split_once('/'));
        match parts {
            Some((_, rest)) => format!("/v1/projects/{}/{rest}", self.credentials.vertex_project),
            None => path.to_owned(),
        }
    }

    fn own_credential(&self, route: Route) -> Option<(String, String)> {
        let bearer = |token: &str| ("authorization".to_owned(), format!("Bearer {token}"));
        Some(match route {
            Route::Anthropic => ("x-api-key".to_owned(), self.credentials.anthropic_api_key.clone()),
            Route::Azure => ("api-key".to_owned(), self.credentials.azure_api_key.clone()),
            Route::BedrockInvoke | Route::BedrockConverse | Route::BedrockMantle => {
                bearer(&self.credentials.bedrock_api_key)
            }
            Route::VertexAi => bearer(&self.access_tokens.mint(now_ms())),
        })
    }

    /// The body with this simulator's signatures of its thinking.
    fn signed_again(&self, request: &RecordedRequest, body: &Value) -> Value {
        let in_path = RequestTarget::of(&request.method, &request.path).model;
        let model = in_path.or_else(|| body["model"].as_str().map(str::to_owned));
        let mut body = body.clone();
        self.sign_blocks(&model.unwrap_or_default(), &mut body);
        // Bedrock's token count has the request in base64.
        if let Some(Value::String(encoded)) = body.pointer_mut("/input/invokeModel/body")
            && let Ok(mut inner) =
                serde_json::from_slice::<Value>(&STANDARD.decode(&*encoded).unwrap_or_default())
        {
            let model = RequestTarget::of(&request.method, &request.path).model;
            self.sign_blocks(&model.unwrap_or_default(), &mut inner);
            *encoded = STANDARD.encode(inner.to_string());
        }
        body
    }

    fn sign_blocks(&self, model: &str, value: &mut Value) {
        match value {
            Value::Array(items) => items.iter_mut().for_each(|item| self.sign_blocks(model, item)),
            Value::Object(fields) => {
                let text = |name: &str| fields.get(name).and_then(Value::as_str);
                match text("type") {
                    Some("thinking") => {
                        if let Some(thinking) = text("thinking") {
                            let signature = self.signer.sign(model, thinking);
                            fields.insert("signature".to_owned(), signature.into());
                        }
                        return;
                    }
                    Some("redacted_thinking") => {
                        let data = self.signer.redact(model, "");
                        fields.insert("data".to_owned(), data.into());
                        return;
                    }
                    _ => {}
                }
                if let Some(Value::Object(reasoning)) = fields.get_mut("reasoningText") {
                    let thinking = reasoning.get("text").and_then(Value::as_str);
                    let signature = self.signer.sign(model, thinking.unwrap_or_default());
                    reasoning.insert("signature".to_owned(), signature.into());
                }
                if fields.contains_key("redactedContent") {
                    let data = self.signer.redact(model, "");
                    fields.insert("redactedContent".to_owned(), json!(data));
                }
                fields
                    .values_mut()
                    .for_each(|value| self.sign_blocks(model, value));
            }
            _ => {}
        }
    }
}
