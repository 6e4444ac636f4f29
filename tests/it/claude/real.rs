//! The behaviour of a real `claude` that `src/claude` relies on.
//!
//! Run it with `COMPAT_CLAUDE=path cargo test --test it claude::real -- --ignored`.

use std::path::PathBuf;
use std::time::Instant;

use compat_matrix::claude::{ClaudeProgress, ClaudeRun, Endpoint, Invocation, run};
use compat_matrix::env::{ClaudeChoice, Environment, Secret};
use compat_matrix::evidence::Killed;
use compat_matrix::ids::TrialKey;
use compat_matrix::process::{ProcessTag, tagged};
use compat_matrix::transcript::AnswerBlock;
use compat_matrix::wire::script::{Prompt, PromptBlock};
use serde_json::json;
use tempfile::TempDir;
use uuid::Uuid;

use crate::support::claude::{self as support, Reply, Stub, frames, sse, text_prompt};
use crate::support::evidence::message_events;
use crate::support::text::assert_has;

/// A run of the real `claude` that asks `base_url`.
fn invocation(folder: &TempDir, base_url: &str) -> Invocation {
    Invocation {
        program: claude(),
        ..support::invocation(folder, base_url)
    }
}

/// A reply that calls the Bash tool.
fn tool_call(command: &str) -> String {
    let message = json!({ "id": "msg_1", "type": "message", "role": "assistant",
        "model": "claude-haiku-4-5", "content": [], "usage": { "input_tokens": 10, "output_tokens": 1 } });
    let block = json!({ "type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {} });
    let input = json!({ "command": command }).to_string();
    let delta = json!({ "type": "input_json_delta", "partial_json": input });
    frames(&message_events(message, block, [delta], "tool_use", 5))
}

/// The binary to measure.
fn claude() -> PathBuf {
    match Environment::from_process().claude() {
        Some(ClaudeChoice::File(file)) => file,
        _ => panic!("name a real `claude` with `COMPAT_CLAUDE`"),
    }
}

async fn play(replies: impl IntoIterator<Item = Reply>) -> (ClaudeRun, Stub) {
    let folder = TempDir::new().unwrap();
    let (stub, base_url) = Stub::start(replies).await;
    let ran = run(&invocation(&folder, &base_url), |_| {}).await.unwrap();
    (ran, stub)
}

#[tokio::test]
#[ignore = "needs a real claude"]
async fn each_delta_shows_before_the_next_is_sent() {
    let folder = TempDir::new().unwrap();
    let words: Vec<String> = (0..50).map(|number| format!("word{number} ")).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (stub, base_url) = Stub::start([Reply::Lockstep(sse("msg_1", &words))]).await;
    let started = Instant::now();
    let mut requesting = None;
    let ran = run(&invocation(&folder, &base_url), |progress| match progress {
        ClaudeProgress::Requesting => requesting = Some(started.elapsed()),
        ClaudeProgress::Limited(_) => {}
        ClaudeProgress::Deltas { shown, .. } => {
            stub.shown.send_replace(shown);
        }
    })
    .await
    .unwrap();
    assert_eq!(ran.exit.code, Some(0), "{ran:?}");
    let answers = ran.transcript.messages();
    assert_eq!((answers.len(), answers[0].deltas.len()), (1, 50));
    assert_eq!(ran.transcript.stream_problems(), []);
    let body = &stub.bodies()[0];
    assert!(
        body["metadata"]["user_id"]
            .as_str()
            .unwrap()
            .contains("session_id")
    );
    println!(
        "requesting after {requesting:?}, whole run {} ms",
        ran.exit.duration_ms
    );
    println!("{:?}", ran.transcript.init().unwrap());
}

#[tokio::test]
#[ignore = "needs a real claude"]
async fn prompts_follow_each_other_in_one_session() {
    let folder = TempDir::new().unwrap();
    let (stub, base_url) =
        Stub::start([Reply::Sse(sse("a", &["one"])), Reply::Sse(sse("b", &["two"]))]).await;
    let mut invocation = invocation(&folder, &base_url);
    let image = PromptBlock::Image {
        file: PathBuf::from("x.png"),
        media_type: "image/png".to_owned(),
        bytes: PNG.to_vec(),
    };
    invocation.prompts = vec![
        Prompt {
            blocks: vec![PromptBlock::Text("look".to_owned()), image],
        },
        text_prompt("and again"),
    ];
    let ran = run(&invocation, |_| {}).await.unwrap();
    assert_eq!(
        (ran.exit.code, ran.transcript.results().len()),
        (Some(0), 2),
        "{ran:?}"
    );
    assert_eq!(ran.transcript.final_text().as_deref(), Some("two"));
    assert_eq!(ran.transcript.total_usage().input_tokens, 20);
    let bodies = stub.bodies();
    assert_eq!(bodies.len(), 2);
    assert_has(&bodies[0].to_string(), r#""media_type":"image/png""#);
}

/// One red pixel.
const PNG: &[u8] = &[
    0x89, b'P', b'N', b'G', 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0, 0x0d, b'I', b'H', b'D', b'R', 0, 0, 0, 1, 0, 0,
    0, 1, 8, 2, 0, 0, 0, 0x90, 0x77, 0x53, 0xde, 0, 0, 0, 0x0c, b'I', b'D', b'A', b'T', 0x78, 0x9c, 0x63,
    0xf8, 0xcf, 0xc0, 0, 0, 3, 1, 1, 0, 0xc9, 0xfe, 0x92, 0xef, 0, 0, 0, 0, b'I', b'E', b'N', b'D', 0xae,
    0x42, 0x60, 0x82,
];

#[tokio::test]
#[ignore = "needs a real claude"]
async fn a_gateway_that_always_answers_500_fails_within_seconds() {
    let (ran, stub) = play([Reply::Error(500, r#"{"error":{"message":"boom upstream"}}"#)]).await;
    assert_eq!((ran.exit.code, ran.exit.killed), (Some(1), None), "{ran:?}");
    assert!(ran.exit.duration_ms < 10_000);
    assert_eq!((stub.bodies().len(), ran.transcript.api_retries().len()), (3, 2));
    let errors = ran.transcript.errors();
    assert_eq!(errors.len(), 4, "{errors:#?}");
    assert!(
        errors
            .iter()
            .all(|error| error.status == Some(500) && error.text.contains("boom upstream"))
    );
}

#[tokio::test]
#[ignore = "needs a real claude"]
async fn a_refused_credential_ends_the_run_at_once() {
    let (ran, stub) = play([Reply::Error(401, r#"{"error":{"message":"no such key"}}"#)]).await;
    assert_eq!(ran.exit.killed, Some(Killed::PermanentError), "{ran:?}");
    assert_eq!(stub.bodies().len(), 1);
    let errors = ran.transcript.errors();
    assert_eq!(errors.len(), 1, "{errors:#?}");
    assert_has(&errors[0].text, "no such key");
}

#[tokio::test]
#[ignore = "needs a real claude"]
async fn an_unannounced_retry_is_in_the_debug_log() {
    let refusal = r#"{"type":"error","error":{"type":"invalid_request_error","message":"unknown beta"}}"#;
    let (ran, stub) = play([Reply::Error(400, refusal), Reply::Sse(sse("a", &["fine"]))]).await;
    assert_eq!(ran.exit.code, Some(0), "{ran:?}");
    assert_eq!(ran.transcript.final_text().as_deref(), Some("fine"));
    assert_eq!(stub.bodies().len(), 2);
    assert_eq!(ran.transcript.errors()[0].status, Some(400));
    assert_eq!(ran.transcript.workarounds().len(), 1, "{ran:?}");
}

#[tokio::test]
#[ignore = "needs a real claude"]
async fn a_broken_stream_is_logged_although_the_run_succeeds() {
    let whole = sse("a", &["one ", "two "]);
    for (cut, retries) in [("event: content_block_stop", 1), ("event: message_delta", 0)] {
        let cut = whole.split(cut).next().unwrap().to_owned();
        let (ran, stub) = play([Reply::Sse(cut), Reply::Sse(sse("b", &["three"]))]).await;
        assert_eq!((ran.exit.code, stub.bodies().len()), (Some(0), 2), "{ran:?}");
        assert_eq!(ran.transcript.api_retries().len(), retries);
        assert_eq!(
            ran.transcript.workarounds().len(),
            1,
            "{}",
            ran.transcript.to_jsonl()
        );
        let problems = ran.transcript.stream_problems();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert_eq!(problems[0].what, "the message ends without a stop reason");
        let complete: Vec<bool> = ran
            .transcript
            .messages()
            .iter()
            .map(|answer| answer.complete)
            .collect();
        assert_eq!(complete, [false, true]);
    }
}

#[tokio::test]
#[ignore = "needs a real claude"]
async fn a_stream_without_events_is_an_error() {
    let (ran, stub) = play([Reply::Error(200, r#"{"type":"message","content":[]}"#)]).await;
    assert_eq!((ran.exit.code, stub.bodies().len()), (Some(1), 1), "{ran:?}");
    assert!(
        ran.transcript
            .final_text()
            .unwrap()
            .contains("without receiving any events")
    );
}

#[tokio::test]
#[ignore = "needs a real claude"]
async fn processes_of_the_bash_tool_die_with_the_run() {
    let folder = TempDir::new().unwrap();
    let command = "(setsid sleep 100 >/dev/null 2>&1 &); env > env.txt; echo pong";
    let (stub, base_url) =
        Stub::start([Reply::Sse(tool_call(command)), Reply::Sse(sse("b", &["done"]))]).await;
    let mut invocation = invocation(&folder, &base_url);
    invocation.flags = ["--permission-mode", "dontAsk", "--allowed-tools", "Bash"]
        .map(str::to_owned)
        .to_vec();
    let ran = run(&invocation, |_| {}).await.unwrap();
    assert_eq!(ran.exit.code, Some(0), "{ran:?}");
    assert!(tagged(ProcessTag::trial(invocation.run, invocation.key)).is_empty());
    let results = ran.transcript.tool_results();
    assert_eq!(
        (results[0].name.as_deref(), results[0].text.as_str()),
        (Some("Bash"), "pong")
    );
    let answers = ran.transcript.messages();
    assert!(
        matches!(&answers[0].content[0], AnswerBlock::ToolUse { input, .. } if input["command"] == command)
    );
    assert_eq!(ran.transcript.total_usage().output_tokens, 10);
    let seen = std::fs::read_to_string(invocation.working_directory().join("env.txt")).unwrap();
    assert_has(&seen, &invocation.key.to_string());
    assert_eq!(stub.bodies().len(), 2);
}

#[tokio::test]
#[ignore = "needs a real claude"]
async fn vertex_and_bedrock_modes_send_the_session_id() {
    let folder = TempDir::new().unwrap();
    let (stub, base_url) = Stub::start([Reply::Sse(sse("a", &["hello"]))]).await;
    let mut invocation = invocation(&folder, &base_url);
    invocation.model = "claude-haiku-4-5@20251001".to_owned();
    invocation.endpoint = Endpoint::Vertex {
        base_url: format!("{base_url}/v1"),
        region: "us-east5".to_owned(),
        project: "p".to_owned(),
        token: Secret::new("minted"),
    };
    let ran = run(&invocation, |_| {}).await.unwrap();
    assert_eq!(ran.exit.code, Some(0), "{ran:?}");
    invocation.model = "us.anthropic.claude-haiku-4-5-20251001-v1:0".to_owned();
    invocation.key = TrialKey(Uuid::new_v4());
    invocation.endpoint = Endpoint::Bedrock {
        base_url,
        region: "us-east-1".to_owned(),
        token: Secret::new("minted"),
    };
    // The stub does not speak the event stream: only the requests count here.
    run(&invocation, |_| {}).await.unwrap();
    let requests = stub.requests.lock().unwrap();
    let paths: Vec<&str> = requests.iter().map(|(path, ..)| path.as_str()).collect();
    assert!(
        paths[0].ends_with("/models/claude-haiku-4-5@20251001:streamRawPredict"),
        "{paths:?}"
    );
    assert_eq!(paths[1], "/inference-profiles");
    assert!(
        paths[2..]
            .iter()
            .all(|path| path.ends_with("/invoke-with-response-stream")),
        "{paths:?}"
    );
    for (path, headers, _) in requests.iter().filter(|(path, ..)| path != "/inference-profiles") {
        assert_eq!(headers["authorization"], "Bearer minted", "{path}");
        assert!(headers.contains_key("x-claude-code-session-id"), "{path}");
    }
}
