//! `--record`: a cassette of both sides, and one of a live run; no byte of either has a private value.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{Request, Response};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use compat_matrix::drift::{PrivateValues, RecordedSide};
use compat_matrix::evidence::Behind;
use compat_matrix::files::cassette_files;
use compat_matrix::provider::{LiveOptions, Simulator, SimulatorOptions, Unscripted};
use compat_matrix::text::hex;
use compat_matrix::wire::secrets::Secrets;
use compat_matrix::{env, http};
use serde_json::{Value, json};

use super::{traffic, write};
use crate::support::files::{Folder, files_below};
use crate::support::loopback::serve;
use crate::support::small_project::{CONTROL_KEY, Small, simulator};
use crate::support::text::assert_has;

const GATEWAY_KEY: &str = "key-of-the-gateway-77x1";
const PROJECT: &str = "shop-of-canaries";
const ACCOUNT: &str = "123456789012";
const ARN: &str = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/canaryprofile";
const MAIL: &str = "canary.mail@shop.example";
const RESOURCE: &str = "canary-resource";
const DEVICE: &str = "c0ffee17";
const ORGANIZATION: &str = "org-canary-1";

/// The private values, each in a text that shows what it is.
fn canaries() -> Vec<String> {
    vec![
        format!("the key {GATEWAY_KEY}"),
        ARN.to_owned(),
        format!("account {ACCOUNT}"),
        format!("write to {MAIL}"),
        format!("projects/{PROJECT}/locations/us"),
        format!("the project {PROJECT}"),
        format!("https://{RESOURCE}.services.ai.azure.com/anthropic"),
        json!({"device_id": DEVICE, "account_uuid": "9f1c", "organization_id": ORGANIZATION}).to_string(),
        encoded().join(" "),
    ]
}

/// What a gateway may pack: an ARN, an account id, a mail address and a project in base64 and in hexadecimal.
fn encoded() -> Vec<String> {
    let account = json!({"aws_account": ACCOUNT, "project": PROJECT}).to_string();
    let texts = [ARN, ACCOUNT, MAIL, &account];
    let of = |text: &str| {
        [
            STANDARD.encode(text),
            URL_SAFE_NO_PAD.encode(text),
            hex(text.as_bytes()),
        ]
    };
    texts.into_iter().flat_map(of).collect()
}

/// The words that no cassette may have.
const PRIVATE: [&str; 8] = [
    GATEWAY_KEY,
    PROJECT,
    ACCOUNT,
    MAIL,
    RESOURCE,
    DEVICE,
    ORGANIZATION,
    "canaryprofile",
];

/// A gateway that adds the canaries to requests and replies.
#[derive(Clone)]
struct Careless {
    upstream: String,
    key: String,
}

impl Careless {
    async fn answer(State(gateway): State<Self>, request: Request<Body>) -> Response<Body> {
        let (parts, body) = request.into_parts();
        let body = to_bytes(body, usize::MAX).await.expect("a body");
        let Ok(mut body) = serde_json::from_slice::<Value>(&body) else {
            return Response::new(Body::from(r#"{"litellm_version":"1.83.0"}"#));
        };
        let canaries = canaries().join("; ");
        body["system"] = json!([{"type": "text", "text": canaries}]);
        let session = parts.headers.get("x-claude-code-session-id");
        let session = session.map_or("none", |value| value.to_str().expect("a text"));
        let sent = http::client()
            .post(format!(
                "{}/v1/messages?project={PROJECT}&mail={MAIL}",
                gateway.upstream
            ))
            .header("x-api-key", &gateway.key)
            .header("anthropic-version", "2023-06-01")
            .header("x-claude-code-session-id", session)
            .header("x-goog-user-project", PROJECT)
            .json(&body);
        let reply = sent.send().await.expect("a reply");
        let content_type = reply.headers()["content-type"].clone();
        let reply = reply.text().await.expect("a text");
        // The words of a stream, with a canary over several deltas.
        let pieces: Vec<String> = canaries
            .as_bytes()
            .chunks(5)
            .map(|piece| String::from_utf8_lossy(piece).into_owned())
            .collect();
        let delta = |text: &str| {
            let data = json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}});
            format!("event: content_block_delta\ndata: {data}\n\n")
        };
        let added: String = pieces.iter().map(|piece| delta(piece)).collect();
        let stop = "event: content_block_stop";
        let reply = reply.replacen(stop, &format!("{added}{stop}"), 1);
        Response::builder()
            .header("content-type", content_type)
            .header("anthropic-organization-id", ORGANIZATION)
            .header("x-of-the-gateway", canaries)
            .body(Body::from(reply))
            .expect("a response")
    }
}

/// The address of a careless gateway in front of `simulator`.
async fn careless(simulator: &Simulator) -> String {
    let gateway = Careless {
        upstream: simulator.base_url().to_owned(),
        key: simulator.credentials().anthropic_api_key.clone(),
    };
    serve(Router::new().fallback(Careless::answer).with_state(gateway)).await
}

#[tokio::test]
async fn a_file_that_cannot_be_cleaned_is_deleted() {
    let mut cassette = traffic(3).await;
    cassette.recordings.truncate(1);
    cassette.recordings[0].recording.request.query = format!("project={PROJECT}");
    cassette.head.models.insert("opus".into(), ARN.into());
    let folder = Folder::new();
    write(&cassette, folder.root());
    folder.write(
        "a_first/all/haiku.jsonl",
        &format!("{{\"trial\": \"{PROJECT}\"\n"),
    );
    let deleted = cassette_files::clean(
        folder.root(),
        &PrivateValues::new([PROJECT]),
        &Secrets::new([GATEWAY_KEY]),
    );
    let deleted = deleted.expect("the others are clean");
    assert_eq!(deleted.len(), 1, "{deleted:?}");
    assert_has(&deleted[0], "a_first/all/haiku.jsonl`, which cannot be cleaned: ");
    let files = files_below(folder.root());
    assert_eq!(files.len(), 2, "the head and the other file");
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a text");
        assert!(!text.contains(PROJECT) && !text.contains(ACCOUNT), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_cassette_has_a_private_value() {
    let simulator = simulator().await;
    let like_a_model = SimulatorOptions {
        unscripted: Unscripted::AsLive(LiveOptions::default()),
        ..SimulatorOptions::default()
    };
    let like_a_model = Simulator::start(like_a_model).await.expect("it starts");
    let mut small = Small::new();
    small.write(
        "prices.yaml",
        "as_of: '2026-11-27'\nsource: https://example.com\nmodels:\n  claude-haiku-4-5: { input: 1, cache_write: 1, \
         cache_read: 1, output: 5 }\n  claude-opus-4-7: { input: 5, cache_write: 6, cache_read: 1, output: 25 }\n",
    );
    small.write(
        "proxy_config.yaml",
        &format!(
            "model_list:\n  - {{ model_name: claude-haiku-4-5, litellm_params: {{ model: anthropic/claude-haiku-4-5 }} }}\n  \
             - {{ model_name: claude-opus-4-7, litellm_params: {{ model: 'bedrock/{ARN}' }} }}\n"
        ),
    );
    small.set(env::LITELLM_PROXY_BASE_URL, &careless(&simulator).await);
    small.set(env::LITELLM_PROXY_API_KEY, GATEWAY_KEY);
    small.set(env::VERTEXAI_PROJECT, PROJECT);
    small.set(
        env::AZURE_AI_API_BASE,
        &format!("https://{RESOURCE}.services.ai.azure.com"),
    );
    small.set(env::COMPAT_PROVIDER_URL, simulator.base_url());
    small.set(env::COMPAT_PROVIDER_CONTROL_KEY, CONTROL_KEY);
    small.run(&["text", "--record", "both"]).await;
    // Without a simulator's control routes, the run is live.
    small.set(env::LITELLM_PROXY_BASE_URL, &careless(&like_a_model).await);
    small.set(env::COMPAT_PROVIDER_URL, "");
    let live = small.run(&["text", "--tier", "haiku", "--record", "live"]).await;
    let both = cassette_files::read(&small.path("both")).expect("a cassette");
    assert_eq!(both.head.models["claude-opus-4-7"], "arn-redacted");
    assert_eq!(both.head.sides, [RecordedSide::Client, RecordedSide::Provider]);
    let of_side = |side| {
        let recordings = both.recordings.iter();
        recordings
            .filter(move |placed| placed.recording.side == side)
            .count()
    };
    assert!(of_side(RecordedSide::Client) > 0 && of_side(RecordedSide::Provider) > 0);
    let alone =
        cassette_files::read(&small.path("live")).unwrap_or_else(|error| panic!("{error:#}: {}", live.err));
    assert_eq!(alone.head.sides, [RecordedSide::Client]);
    assert_eq!(alone.head.behind, Behind::Live);
    assert!(
        alone
            .head
            .missing
            .is_some_and(|why| why.starts_with("a live run sees only"))
    );
    assert!(
        alone
            .recordings
            .iter()
            .all(|placed| placed.recording.reply.is_some())
    );
    let mut found = Vec::new();
    let encoded = encoded();
    let words = || PRIVATE.into_iter().chain(encoded.iter().map(String::as_str));
    for folder in ["both", "live"] {
        for file in files_below(&small.path(folder)) {
            let text = std::fs::read_to_string(&file).expect("a text");
            for word in words() {
                if text.contains(word) {
                    found.push(format!("{}: {word}", file.display()));
                }
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
    let text = std::fs::read_to_string(small.path("live/text/anthropic/haiku.jsonl")).expect("a file");
    for word in [
        "arn-redacted",
        "resource-redacted",
        "project-redacted",
        "[redacted]",
    ] {
        assert!(text.contains(word), "the canaries were there: {word}");
    }
    // A live run adds to no cassette of a simulated one.
    let refused = small.run(&["text", "--tier", "haiku", "--record", "both"]).await;
    refused.exits(2);
    refused.err_has(
        "the cassette `both`, whose `behind` is `simulated`, and that of this run is `live`: name another",
    );
    // A run adds to a cassette, and to no other folder.
    small.write("other/notes.txt", "mine");
    let refused = small.run(&["text", "--record", "other"]).await;
    refused.exits(2);
    refused.err_has("`other` has files and is no cassette");
}
