//! The secrets of a run: a gateway repeats them in every place and form, and no byte that a run writes contains them.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use compat_matrix::env;
use compat_matrix::http;
use compat_matrix::provider::Simulator;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::support::files::files_below;
use crate::support::loopback::serve;
use crate::support::ran::Ran;
use crate::support::small_project::{CONTROL_KEY, Small, simulator};

/// A private key with lines of its own, which no one uses.
const PRIVATE_KEY: &str = "-----BEGIN PRIVATE KEY-----\nTHIS0is1the2first3line4of5the6key\nAnd7this8is9the0second1line2/+=\n-----END \
                           PRIVATE KEY-----\n";
const GATEWAY_KEY: &str = "gateway/key+of'this\"test\\1";
const LITERAL_KEY: &str = "literal-key-of-the-configuration";
const PASSWORD: &str = "password-of-the-proxy-1";
const OTHER_KEY: &str = "some-other-provider-key-9";

/// A gateway that puts texts where no secret belongs.
#[derive(Clone)]
struct Leaky {
    upstream: String,
    upstream_key: String,
    /// Each secret in each form.
    leaks: Vec<String>,
}

impl Leaky {
    async fn answer(State(gateway): State<Self>, request: Request<Body>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        let Ok(mut body) = serde_json::from_slice::<Value>(&body) else {
            return Response::new(Body::from(r#"{"litellm_version":"1.83.0"}"#));
        };
        let leaks = gateway.leaks.join(" ");
        if body["model"] != "claude-haiku-4-5" {
            // Gateways repeat a refused key.
            let error =
                json!({ "type": "authentication_error", "message": format!("invalid x-api-key: {leaks}") });
            let body = json!({ "type": "error", "error": error }).to_string();
            let response = Response::builder().status(StatusCode::UNAUTHORIZED);
            return response.body(Body::from(body)).unwrap();
        }
        let client = http::client();
        let headers = || gateway.headers(&parts.headers);
        for leak in &gateway.leaks {
            let path = utf8_percent_encode(leak, NON_ALPHANUMERIC);
            let url = format!("{}/v1/{path}?redirect={path}&x={leak}", gateway.upstream);
            client.get(url).headers(headers()).send().await.unwrap();
        }
        body["system"] = json!([{ "type": "text", "text": format!("secrets: {leaks}") }]);
        let reply = client
            .post(format!("{}/v1/messages", gateway.upstream))
            .headers(headers())
            .json(&body);
        let reply = reply.send().await.unwrap().text().await.unwrap();
        body["metadata"]["of_the_gateway"] = json!({ (leaks.as_str()): [leaks] });
        let other = client
            .post(format!(
                "{}/v1/messages?key={}",
                gateway.upstream, gateway.upstream_key
            ))
            .headers(headers())
            .json(&body);
        other.send().await.unwrap();
        let leaks = json!(format!("pong {leaks}")).to_string();
        let mut response = Response::new(Body::from(reply.replace("\"pong\"", &leaks)));
        *response.headers_mut() = gateway.headers(&HeaderMap::new());
        response
            .headers_mut()
            .insert("content-type", "text/event-stream".parse().unwrap());
        response
    }

    /// The headers that name the trial, the upstream's key, and the leaks that a header can contain.
    fn headers(&self, of_client: &HeaderMap) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for name in ["x-claude-code-session-id", "anthropic-version"] {
            if let Some(value) = of_client.get(name) {
                headers.insert(name, value.clone());
            }
        }
        headers.insert("x-api-key", self.upstream_key.parse().unwrap());
        let values = self
            .leaks
            .iter()
            .filter(|leak| leak.parse::<HeaderValue>().is_ok());
        let values: Vec<&str> = values.map(String::as_str).collect();
        // A server takes a hundred headers.
        for some in values.chunks(4) {
            headers.append("x-of-the-gateway", some.join(" ").parse().unwrap());
        }
        headers
    }
}

/// The forms in which a program may show `secret`.
fn forms(secret: &str) -> Vec<String> {
    let nested = json!({ "a": json!({ "b": secret }).to_string() }).to_string();
    vec![
        secret.to_owned(),
        nested,
        utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string(),
        STANDARD.encode(secret),
        STANDARD.encode(format!("x{secret}y")),
        STANDARD.encode(format!("xy{secret}z")),
        secret.bytes().map(|byte| format!("{byte:02X}")).collect(),
    ]
}

/// The secrets of a run with `simulator`.
fn secrets(simulator: &Simulator) -> Vec<String> {
    let credentials = simulator.credentials();
    let account: Value = serde_json::from_str(&credentials.vertex_service_account).unwrap();
    let of_account = account["private_key"].as_str().unwrap().lines().nth(3).unwrap();
    let lines = PRIVATE_KEY.lines().filter(|line| !line.starts_with('-'));
    lines
        .chain([
            PRIVATE_KEY,
            GATEWAY_KEY,
            LITERAL_KEY,
            PASSWORD,
            OTHER_KEY,
            CONTROL_KEY,
            of_account,
            &credentials.anthropic_api_key,
            &credentials.azure_api_key,
            &credentials.entra_token,
            &credentials.aws_secret_access_key,
            &credentials.bedrock_api_key,
            &simulator.access_token(),
        ])
        .map(str::to_owned)
        .collect()
}

/// A project whose environment and files contain the secrets, attached to a leaky gateway in front of `simulator`.
async fn leaky_project(simulator: &Simulator, leaks: Vec<String>) -> Small {
    let gateway = Leaky {
        upstream: simulator.base_url().to_owned(),
        upstream_key: simulator.credentials().anthropic_api_key.clone(),
        leaks,
    };
    let address = serve(Router::new().fallback(Leaky::answer).with_state(gateway)).await;
    let mut small = Small::new();
    let address = address.replace("http://", &format!("http://user:{PASSWORD}@"));
    small.set(env::LITELLM_PROXY_BASE_URL, &address);
    small.set(env::LITELLM_PROXY_API_KEY, GATEWAY_KEY);
    small.set(env::COMPAT_PROVIDER_URL, simulator.base_url());
    let outside = tempfile::tempdir().unwrap().keep();
    let file = |name: &str, text: &str| {
        std::fs::write(outside.join(name), text).unwrap();
        outside.join(name).to_str().unwrap().to_owned()
    };
    small.set(
        env::COMPAT_PROVIDER_CONTROL_KEY_FILE,
        &file("control-key", CONTROL_KEY),
    );
    let account = json!({ "type": "service_account", "private_key": PRIVATE_KEY }).to_string();
    small.set(env::VERTEXAI_CREDENTIALS, &file("account.json", &account));
    small.set("SOME_OTHER_PROVIDER_API_KEY", OTHER_KEY);
    let config = small.read("proxy_config.yaml");
    let literal = format!("model: anthropic/claude-haiku-4-5, api_key: {LITERAL_KEY}");
    let config = config.replace("model: anthropic/claude-haiku-4-5", &literal);
    small.write("proxy_config.yaml", &config);
    small
}

#[tokio::test(flavor = "multi_thread")]
async fn no_byte_that_a_run_writes_contains_a_secret() {
    let simulator = simulator().await;
    let secrets = secrets(&simulator);
    let leaks: Vec<String> = secrets.iter().flat_map(|secret| forms(secret)).collect();
    let small = leaky_project(&simulator, leaks.clone()).await;
    let mut ran = vec![("the harness", small.run(&["--record", "recorded"]).await)];
    let trial = "text::anthropic::haiku";
    for arguments in [
        &["show", trial][..],
        &["show", trial, "--raw"],
        &["show", trial, "--json"],
        &["show", trial, "--curl"],
        &["show", trial, "--curl=provider"],
        &["repro", trial, "--all"],
        &["results", "show"],
        &["report", "--output", "-"],
    ] {
        ran.push((arguments[0], small.compat(arguments).await));
    }
    let mut written: Vec<(String, String)> = Vec::new();
    for (name, Ran { out, err, .. }) in ran {
        assert!(!out.is_empty(), "{name}: {err}");
        written.push((name.to_owned(), out + &err));
    }
    for file in files_below(small.root()) {
        if !file.ends_with("proxy_config.yaml") {
            let content = std::fs::read(&file).unwrap();
            written.push((
                file.display().to_string(),
                String::from_utf8_lossy(&content).into_owned(),
            ));
        }
    }
    let has = |name: &str, text: &str| {
        let mut found = written.iter().filter(|(path, _)| path.ends_with(name));
        assert!(
            found.any(|(_, content)| content.contains(text)),
            "{name} lacks `{text}`"
        );
    };
    for name in [
        "exchanges.jsonl",
        "sent.jsonl",
        "transcript.jsonl",
        "recorded/text/anthropic/haiku.jsonl",
        "compat-results.json",
        "junit.xml",
    ] {
        has(name, "[redacted]");
    }
    has("the harness", "invalid x-api-key: [redacted]");
    let mut found = Vec::new();
    for (name, content) in &written {
        let content = content.to_lowercase();
        for leak in &leaks {
            let leak = leak.to_lowercase();
            let middle = &leak[leak.len() / 4..leak.len() * 3 / 4];
            if content.contains(middle) {
                found.push(format!("{name}: {middle}"));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// It asks for the provider's models with the key of its own caller.
#[tokio::test(flavor = "multi_thread")]
async fn the_callers_key_in_a_request_of_no_trial_fails_a_run() {
    const KEY: &str = "sk-1234";
    let simulator = simulator().await;
    let upstream = simulator.base_url().to_owned();
    let upstream_key = simulator.credentials().anthropic_api_key.clone();
    let forward = move |request: Request<Body>| {
        let (upstream, upstream_key) = (upstream.clone(), upstream_key.clone());
        async move {
            let client = http::client();
            let (mut parts, body) = request.into_parts();
            if parts.uri.path() != "/v1/messages" {
                return Response::default();
            }
            let models = client.get(format!("{upstream}/v1/models")).bearer_auth(KEY);
            models.send().await.unwrap();
            for name in ["host", "authorization", "content-length"] {
                parts.headers.remove(name);
            }
            parts.headers.insert("x-api-key", upstream_key.parse().unwrap());
            let body = to_bytes(body, usize::MAX).await.unwrap();
            let sent = client
                .post(format!("{upstream}{}", parts.uri))
                .headers(parts.headers);
            let reply = sent.body(body).send().await.unwrap();
            let response = Response::builder().header("content-type", &reply.headers()["content-type"]);
            response.body(Body::from(reply.bytes().await.unwrap())).unwrap()
        }
    };
    let mut small = Small::attached(&simulator);
    small.set(
        env::LITELLM_PROXY_BASE_URL,
        &serve(Router::new().fallback(forward)).await,
    );
    small.set(env::LITELLM_PROXY_API_KEY, KEY);
    let ran = small.run(&["text"]).await;
    ran.exits(101);
    ran.err_has("error: the gateway passed the caller's key on to the provider, in ");
    ran.err_has(" outside all trials: GET /v1/models → 401 (header authorization)");
    assert!(small.causes().is_empty(), "{}", ran.out);
}
