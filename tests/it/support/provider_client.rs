//! A client that calls the provider simulator as a gateway does.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use compat_matrix::ids::TrialKey;
use compat_matrix::provider::{Simulator, SimulatorOptions};
use compat_matrix::wire::model::find;
use compat_matrix::wire::script::{Reply, ReplyBlock, ReplyMessage, Script};
use compat_matrix::wire::sigv4::{Authorization, SignedParts};
use compat_matrix::wire::{Route, event_stream, sse};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};
use uuid::Uuid;

pub const MODEL: &str = "claude-haiku-4-5";

/// The name of a model on `route`, as a path has it.
fn spelling(model: &str, route: Route) -> String {
    let listed = find(model).unwrap_or_else(|| panic!("no model {model}"));
    match route {
        Route::BedrockInvoke | Route::BedrockConverse => {
            format!("us.anthropic.{}", listed.bedrock.replace(':', "%3A"))
        }
        Route::VertexAi if !listed.date.is_empty() => format!("{model}@{}", listed.date),
        Route::BedrockMantle => format!("anthropic.{model}"),
        Route::Anthropic | Route::VertexAi | Route::Azure => model.to_owned(),
    }
}

pub const BEDROCK_MODEL: &str = "us.anthropic.claude-haiku-4-5-20251001-v1%3A0";

pub fn new_key() -> TrialKey {
    TrialKey(Uuid::new_v4())
}

pub fn message(content: Vec<ReplyBlock>) -> ReplyMessage {
    ReplyMessage {
        content,
        ..ReplyMessage::default()
    }
}

pub fn text(text: &str) -> Reply {
    Reply::Message(message(vec![ReplyBlock::Text(text.to_owned())]))
}

pub fn script(replies: impl Into<Vec<Reply>>) -> Script {
    Script {
        replies: replies.into(),
    }
}

/// A client that behaves like a gateway.
pub struct Gateway {
    pub simulator: Simulator,
    pub client: Client,
    pub access_token: String,
}

impl Gateway {
    pub async fn start() -> Self {
        Self::on(Simulator::start(SimulatorOptions::default()).await.unwrap()).await
    }

    pub async fn on(simulator: Simulator) -> Self {
        let client = Client::new();
        let reply = exchange_token(&client, &simulator, 0).await;
        let body: Value = reply.json().await.unwrap();
        Self {
            access_token: body["access_token"].as_str().unwrap().to_owned(),
            simulator,
            client,
        }
    }

    /// Registers a new trial with these replies.
    pub fn trial(&self, replies: impl Into<Vec<Reply>>) -> TrialKey {
        let key = new_key();
        self.simulator.register(key, script(replies));
        key
    }

    pub fn post(&self, path: &str, body: &Value) -> RequestBuilder {
        let url = format!("{}{path}", self.simulator.base_url());
        self.client.post(url).json(body)
    }

    pub fn get(&self, path: &str) -> RequestBuilder {
        self.client.get(format!("{}{path}", self.simulator.base_url()))
    }

    /// A request in the form of Anthropic's API.
    pub fn anthropic(&self, path: &str, body: &Value) -> RequestBuilder {
        self.post(path, body)
            .header("x-api-key", &self.simulator.credentials().anthropic_api_key)
            .header("anthropic-version", "2023-06-01")
    }

    pub fn signed(&self, path: &str, body: &Value) -> RequestBuilder {
        self.signed_at(Utc::now(), path, body)
    }

    /// A request that was signed at `time`.
    pub fn signed_at(&self, time: DateTime<Utc>, path: &str, body: &Value) -> RequestBuilder {
        let credentials = self.simulator.credentials();
        let form = format!(
            "AWS4-HMAC-SHA256 Credential={}/{}/{}/bedrock/aws4_request, SignedHeaders=content-type;host;x-amz-date, Signature={}",
            credentials.aws_access_key_id,
            time.format("%Y%m%d"),
            credentials.aws_region,
            "0".repeat(64),
        );
        let authorization = Authorization::parse(&form).unwrap();
        let host = self.simulator.base_url().trim_start_matches("http://");
        let date = time.format("%Y%m%dT%H%M%SZ").to_string();
        let (path_only, query) = path.split_once('?').unwrap_or((path, ""));
        let computed = authorization.compute(
            &credentials.aws_secret_access_key,
            &SignedParts {
                method: "POST",
                path: path_only,
                query,
                headers: vec![
                    ("content-type", b"application/json"),
                    ("host", host.as_bytes()),
                    ("x-amz-date", date.as_bytes()),
                ],
                body: body.to_string().as_bytes(),
            },
        );
        self.post(path, body)
            .header("host", host)
            .header("authorization", authorization.header(&computed.signature))
            .header("x-amz-date", date)
    }

    pub fn vertex(&self, path: &str, body: &Value) -> RequestBuilder {
        let credentials = self.simulator.credentials();
        let path = format!(
            "/v1/projects/{}/locations/{}/publishers/anthropic/models/{path}",
            credentials.vertex_project, credentials.vertex_location
        );
        self.post(&path, body).bearer_auth(&self.access_token)
    }

    /// A Messages request in the form of `route`, made from `body` in the form of the Messages API.
    pub fn ask(&self, route: Route, stream: bool, body: &Value) -> RequestBuilder {
        self.ask_model(MODEL, route, stream, body)
    }

    /// A Messages request for `model`, by its name without a date.
    pub fn ask_model(&self, model: &str, route: Route, stream: bool, body: &Value) -> RequestBuilder {
        let spelling = spelling(model, route);
        let mut body = body.clone();
        let mut version = |version: &str| {
            body["anthropic_version"]
                .is_null()
                .then(|| body["anthropic_version"] = json!(version));
        };
        match route {
            Route::Anthropic => {
                body["model"] = json!(spelling);
                body["stream"] = json!(stream);
                self.anthropic("/v1/messages", &body)
            }
            Route::BedrockInvoke => {
                version("bedrock-2023-05-31");
                let verb = if stream {
                    "invoke-with-response-stream"
                } else {
                    "invoke"
                };
                self.signed(&format!("/model/{spelling}/{verb}"), &body)
            }
            Route::BedrockConverse => {
                let verb = if stream { "converse-stream" } else { "converse" };
                self.signed(&format!("/model/{spelling}/{verb}"), &to_converse(&body))
            }
            Route::Azure => {
                body["model"] = json!(spelling);
                body["stream"] = json!(stream);
                self.post("/anthropic/v1/messages", &body)
                    .header("api-key", &self.simulator.credentials().azure_api_key)
                    .header("anthropic-version", "2023-06-01")
            }
            Route::BedrockMantle => {
                body["model"] = json!(spelling);
                body["stream"] = json!(stream);
                self.signed("/anthropic/v1/messages", &body)
                    .header("anthropic-version", "2023-06-01")
            }
            Route::VertexAi => {
                version("vertex-2023-10-16");
                let verb = if stream {
                    "streamRawPredict?alt=sse"
                } else {
                    "rawPredict"
                };
                self.vertex(&format!("{spelling}:{verb}"), &body)
            }
        }
    }

    pub async fn send(&self, route: Route, stream: bool, body: &Value) -> Response {
        self.ask(route, stream, body).send().await.unwrap()
    }
}

pub async fn exchange_token(client: &Client, simulator: &Simulator, age: i64) -> Response {
    let account: Value = serde_json::from_str(&simulator.credentials().vertex_service_account).unwrap();
    let now = chrono::Utc::now().timestamp() - age;
    let claims = json!({
        "iss": account["client_email"],
        "aud": account["token_uri"],
        "iat": now,
        "exp": now + 3600,
        "scope": "https://www.googleapis.com/auth/cloud-platform",
    });
    let key = EncodingKey::from_rsa_pem(account["private_key"].as_str().unwrap().as_bytes()).unwrap();
    let assertion = encode(&Header::new(Algorithm::RS256), &claims, &key).unwrap();
    client
        .post(account["token_uri"].as_str().unwrap())
        .header("content-type", "application/x-www-form-urlencoded")
        .body(format!(
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion={assertion}"
        ))
        .send()
        .await
        .unwrap()
}

/// A prompt with a trial's key in its text.
pub fn prompt(key: TrialKey) -> Value {
    json!({
        "max_tokens": 1000,
        "messages": [{"role": "user", "content": [{"type": "text", "text": format!("in /tmp/{key}: hello")}]}],
    })
}

pub fn to_converse(body: &Value) -> Value {
    let block = |block: &Value| match block["type"].as_str().unwrap() {
        "text" => json!({"text": block["text"]}),
        "tool_use" => {
            json!({"toolUse": {"toolUseId": block["id"], "name": block["name"], "input": block["input"]}})
        }
        "thinking" => {
            json!({"reasoningContent": {"reasoningText": {"text": block["thinking"], "signature": block["signature"]}}})
        }
        "tool_result" => {
            json!({"toolResult": {"toolUseId": block["tool_use_id"], "content": [{"text": block["content"]}]}})
        }
        "image" => json!({"image": {"format": "png", "source": {"bytes": block["source"]["data"]}}}),
        other => panic!("{other}"),
    };
    let messages: Vec<Value> = body["messages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|message| {
            let content: Vec<Value> = message["content"].as_array().unwrap().iter().map(block).collect();
            json!({"role": message["role"], "content": content})
        })
        .collect();
    let mut converse = json!({"messages": messages, "inferenceConfig": {"maxTokens": body["max_tokens"]}});
    for block in body["system"].as_array().into_iter().flatten() {
        let system = &mut converse["system"];
        if !system.is_array() {
            *system = json!([]);
        }
        let system = system.as_array_mut().unwrap();
        system.push(json!({"text": block["text"]}));
        if let Some(cache) = block["cache_control"].as_object() {
            let mut point = json!({"type": "default"});
            if let Some(ttl) = cache.get("ttl") {
                point["ttl"] = ttl.clone();
            }
            system.push(json!({"cachePoint": point}));
        }
    }
    if let Some(tools) = body["tools"].as_array() {
        converse["toolConfig"]["tools"] = tools
            .iter()
            .map(|tool| json!({"toolSpec": {"name": tool["name"], "inputSchema": {"json": tool["input_schema"]}}}))
            .collect();
    }
    let names = [
        ("temperature", "temperature"),
        ("top_p", "topP"),
        ("stop_sequences", "stopSequences"),
    ];
    for (name, converse_name) in names {
        if let Some(value) = body.get(name) {
            converse["inferenceConfig"][converse_name] = value.clone();
        }
    }
    if let Some(kind) = body["tool_choice"]["type"].as_str() {
        let name = &body["tool_choice"]["name"];
        let choice = if name.is_null() {
            json!({})
        } else {
            json!({"name": name})
        };
        converse["toolConfig"]["toolChoice"] = json!({kind: choice});
    }
    for name in ["output_config", "top_k"] {
        if let Some(value) = body.get(name) {
            converse["additionalModelRequestFields"][name] = value.clone();
        }
    }
    if body["thinking"].is_object() {
        converse["additionalModelRequestFields"]["thinking"] = body["thinking"].clone();
    }
    converse
}

/// The events of a streamed reply, decoded as a client does.
pub async fn read_stream(route: Route, reply: Response) -> Vec<Value> {
    let content_type = reply.headers()["content-type"].to_str().unwrap().to_owned();
    let bytes = reply.bytes().await.unwrap();
    match route {
        Route::Anthropic | Route::VertexAi | Route::Azure | Route::BedrockMantle => {
            assert!(content_type.starts_with("text/event-stream"));
            sse::decode(std::str::from_utf8(&bytes).unwrap())
                .into_iter()
                .map(|(name, data)| {
                    let data: Value = serde_json::from_str(&data).unwrap();
                    assert_eq!(data["type"], name);
                    data
                })
                .collect()
        }
        Route::BedrockInvoke => {
            assert_eq!(content_type, event_stream::CONTENT_TYPE);
            event_stream::decode(&bytes)
                .unwrap()
                .into_iter()
                .map(|(name, payload)| {
                    assert_eq!(name, "chunk");
                    let bytes = STANDARD.decode(payload["bytes"].as_str().unwrap()).unwrap();
                    serde_json::from_slice(&bytes).unwrap()
                })
                .collect()
        }
        Route::BedrockConverse => {
            assert_eq!(content_type, event_stream::CONTENT_TYPE);
            event_stream::decode(&bytes)
                .unwrap()
                .into_iter()
                .map(|(name, mut payload)| {
                    // The padding.
                    payload.as_object_mut().unwrap().shift_remove("p");
                    json!({name: payload})
                })
                .collect()
        }
    }
}

pub fn streamed_text(events: &[Value]) -> String {
    events
        .iter()
        .filter_map(|event| {
            event["delta"]["text"]
                .as_str()
                .or(event["contentBlockDelta"]["delta"]["text"].as_str())
        })
        .collect()
}

pub fn whole_text(route: Route, body: &Value) -> &str {
    let content = match route {
        Route::BedrockConverse => &body["output"]["message"]["content"],
        _ => &body["content"],
    };
    content[0]["text"].as_str().unwrap()
}
