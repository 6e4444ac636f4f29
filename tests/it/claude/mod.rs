//! A `claude` process: its arguments, environment and output, and the reasons to kill it.

mod real;

use compat_matrix::wire::script::PromptBlock;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::Duration;

use compat_matrix::claude::{ClaudeProgress, ClaudeRun, Endpoint, Invocation, is_permanent, run};
use compat_matrix::env::{Environment, Secret};
use compat_matrix::evidence::Killed;
use compat_matrix::ids::ProviderId;
use compat_matrix::process::{ProcessTag, tagged};
use compat_matrix::transcript::{Event, Transcript};
use compat_matrix::wire::client_format::ClientFormat;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::claude::{Reply, Stub, invocation, scenario, sse, text_prompt};
use crate::support::text::{assert_has, assert_lacks};

/// A gateway that is never asked.
const NOWHERE: &str = "http://127.0.0.1:1";

fn scripted(folder: &TempDir, steps: Value) -> Invocation {
    let mut invocation = invocation(folder, NOWHERE);
    let file = scenario(folder.path(), steps).display().to_string();
    invocation
        .variables
        .insert("FAKE_CLAUDE_SCENARIO".to_owned(), file);
    invocation
}

async fn play(steps: Value) -> ClaudeRun {
    let folder = TempDir::new().unwrap();
    let invocation = scripted(&folder, steps);
    let ran = run(&invocation, |_| {}).await.unwrap();
    assert!(tagged(ProcessTag::trial(invocation.run, invocation.key)).is_empty());
    ran
}

/// A run that asks a gateway with these replies.
async fn ask(replies: impl IntoIterator<Item = Reply>) -> (ClaudeRun, Stub) {
    let folder = TempDir::new().unwrap();
    let (stub, base_url) = Stub::start(replies).await;
    let ran = run(&invocation(&folder, &base_url), |_| {}).await.unwrap();
    (ran, stub)
}

#[tokio::test]
async fn output_is_read_as_it_arrives() {
    let folder = TempDir::new().unwrap();
    let (stub, base_url) = Stub::start([Reply::Sse(sse("msg_1", &["Hello ", "world"]))]).await;
    let invocation = invocation(&folder, &base_url);
    let mut progress = Vec::new();
    let ran = run(&invocation, |seen| progress.push(seen)).await.unwrap();
    assert_eq!((ran.exit.code, ran.exit.killed), (Some(0), None), "{ran:?}");
    assert_eq!(ran.transcript.final_text().as_deref(), Some("Hello world"));
    let deltas = |shown| ClaudeProgress::Deltas { stream: 1, shown };
    assert_eq!(
        progress,
        [ClaudeProgress::Requesting, deltas(0), deltas(1), deltas(2)]
    );
    let (_, headers, _) = stub.requests.lock().unwrap()[0].clone();
    assert_eq!(headers["x-claude-code-session-id"], invocation.key.to_string());
    assert_eq!(headers["authorization"], "Bearer sk-of-the-run");
}

#[tokio::test]
async fn several_prompts_share_one_process_and_session() {
    let folder = TempDir::new().unwrap();
    let (stub, base_url) = Stub::start([
        Reply::Sse(sse("msg_1", &["one"])),
        Reply::Sse(sse("msg_2", &["two"])),
        Reply::Sse(sse("msg_3", &["three"])),
    ])
    .await;
    let mut invocation = invocation(&folder, &base_url);
    invocation.prompts = ["first", "second", "third"].map(text_prompt).to_vec();
    let ran = run(&invocation, |_| {}).await.unwrap();
    assert_eq!(ran.exit.code, Some(0), "{ran:?}");
    let texts: Vec<_> = ran
        .transcript
        .results()
        .into_iter()
        .filter_map(|result| result.text)
        .collect();
    assert_eq!(texts, ["one", "two", "three"]);
    assert_eq!(ran.transcript.total_usage().input_tokens, 30);
    let lengths: Vec<usize> = stub
        .bodies()
        .iter()
        .map(|body| body["messages"].as_array().unwrap().len())
        .collect();
    assert_eq!(lengths, [1, 3, 5]);
}

#[tokio::test]
async fn no_prompt_is_sent_after_a_failure() {
    let folder = TempDir::new().unwrap();
    let (stub, base_url) = Stub::start([Reply::Error(400, "no")]).await;
    let mut invocation = invocation(&folder, &base_url);
    invocation.prompts = ["first", "second"].map(text_prompt).to_vec();
    let ran = run(&invocation, |_| {}).await.unwrap();
    assert_eq!((ran.exit.code, ran.exit.killed), (Some(1), None), "{ran:?}");
    assert_eq!((stub.bodies().len(), ran.transcript.results().len()), (1, 1));
}

#[tokio::test]
async fn a_prompt_follows_an_expected_failure() {
    let folder = TempDir::new().unwrap();
    let replies = [Reply::Error(400, "no"), Reply::Sse(sse("msg_1", &["two"]))];
    let (stub, base_url) = Stub::start(replies).await;
    let mut invocation = invocation(&folder, &base_url);
    invocation.prompts = ["first", "second"].map(text_prompt).to_vec();
    invocation.expects_failures = true;
    let ran = run(&invocation, |_| {}).await.unwrap();
    let failed: Vec<bool> = ran
        .transcript
        .results()
        .iter()
        .map(|result| result.is_error)
        .collect();
    assert_eq!(failed, [true, false], "{ran:?}");
    assert_eq!(stub.bodies().len(), 2);
}

#[test]
fn the_headers_of_a_cell_join_those_of_the_harness() {
    let folder = TempDir::new().unwrap();
    let mut invocation = invocation(&folder, NOWHERE);
    invocation.endpoint = Endpoint::Bedrock {
        base_url: NOWHERE.to_owned(),
        region: "us-east-1".to_owned(),
        token: Secret::new("key"),
    };
    let header = ("ANTHROPIC_CUSTOM_HEADERS".to_owned(), "x-own: 1".to_owned());
    invocation.variables.extend([header]);
    let environment = invocation.environment();
    let headers = &environment[OsStr::new("ANTHROPIC_CUSTOM_HEADERS")];
    assert_eq!(headers, "x-own: 1\nAuthorization: Bearer key");
}

#[test]
fn a_pass_through_gets_the_name_of_the_provider() {
    let named_by_alias = |format: ClientFormat| {
        let providers = [
            "anthropic",
            "bedrock_invoke",
            "vertex_ai",
            "azure",
            "bedrock_mantle",
        ];
        providers.map(|provider| format.has_alias(&ProviderId::new(provider)))
    };
    assert_eq!(named_by_alias(ClientFormat::Messages), [true; 5]);
    assert_eq!(named_by_alias(ClientFormat::Passthrough), [false; 5]);
    let provider = named_by_alias(ClientFormat::Provider);
    assert_eq!(provider, [true, true, false, true, true]);
}

#[test]
fn a_debug_print_contains_no_key() {
    let folder = TempDir::new().unwrap();
    let invocation = invocation(&folder, NOWHERE);
    assert!(!format!("{invocation:?} {:?}", invocation.launch()).contains("sk-of-the-run"));
}

#[tokio::test]
async fn an_image_is_sent_on_standard_input() {
    let folder = TempDir::new().unwrap();
    let (stub, base_url) = Stub::start([Reply::Sse(sse("msg_1", &["red"]))]).await;
    let mut invocation = invocation(&folder, &base_url);
    invocation.prompts[0].blocks.push(PromptBlock::Image {
        file: PathBuf::from("red.png"),
        media_type: "image/png".to_owned(),
        bytes: vec![0x89; 1 << 20],
    });
    let ran = run(&invocation, |_| {}).await.unwrap();
    assert_eq!(ran.exit.code, Some(0), "{ran:?}");
    let body = stub.bodies().remove(0);
    let image = &body["messages"][0]["content"][1];
    assert_eq!(
        (&image["type"], &image["source"]["media_type"]),
        (&json!("image"), &json!("image/png"))
    );
    assert!(image["source"]["data"].as_str().unwrap().starts_with("iYmJ"));
}

#[test]
fn a_workspace_has_its_files_and_servers() {
    let folder = TempDir::new().unwrap();
    let mut invocation = invocation(&folder, NOWHERE);
    let argv = |invocation: &Invocation| format!("{:?}", invocation.argv());
    assert!(!argv(&invocation).contains("mcp"));
    invocation.workspace.files.push(PromptBlock::Document {
        file: PathBuf::from("_letter.pdf"),
        media_type: "application/pdf".to_owned(),
        bytes: b"%PDF-".to_vec(),
    });
    invocation
        .workspace
        .mcp_servers
        .insert("library".to_owned(), Vec::new());
    compat_matrix::claude::prepare(&invocation).unwrap();
    let letter = invocation.working_directory().join("_letter.pdf");
    assert_eq!(std::fs::read(letter).unwrap(), b"%PDF-");
    assert!(argv(&invocation).contains("--strict-mcp-config"));
    let variables = format!("{:?}", invocation.environment());
    assert!(variables.contains("MCP_CONNECTION_NONBLOCKING"));
}

#[tokio::test]
async fn a_permanent_error_ends_the_run_at_once() {
    let (ran, stub) = ask([Reply::Error(403, r#"{"error":{"message":"no"}}"#)]).await;
    assert_eq!(ran.exit.killed, Some(Killed::PermanentError), "{ran:?}");
    assert_eq!(ran.transcript.api_retries()[0].status, Some(403));
    assert!(stub.bodies().len() <= 2);
}

#[tokio::test]
async fn a_transient_error_is_retried_and_recorded() {
    let (ran, stub) = ask([Reply::Error(529, "{}"), Reply::Sse(sse("msg_1", &["fine"]))]).await;
    assert_eq!((ran.exit.code, ran.exit.killed), (Some(0), None), "{ran:?}");
    assert_eq!(ran.transcript.api_retries().len(), 1);
    assert_eq!(stub.bodies().len(), 2);
}

#[tokio::test]
async fn a_failing_gateway_ends_the_run_with_its_message() {
    let (ran, stub) = ask([Reply::Error(500, "boom upstream")]).await;
    assert_eq!((ran.exit.code, ran.exit.killed), (Some(1), None), "{ran:?}");
    let errors = ran.transcript.errors();
    assert_eq!(errors[0].status, Some(500));
    assert_has(&errors[0].text, "boom upstream");
    assert_eq!(stub.bodies().len(), 3);
}

#[tokio::test]
async fn a_wait_past_the_deadline_ends_the_run() {
    let retry = json!({ "type": "system", "subtype": "api_retry", "attempt": 1, "error_status": 429,
        "error": "rate_limit", "retry_delay_ms": 3_600_000.5 });
    let ran = play(json!([{ "print": retry.to_string() }, "hang"])).await;
    assert_eq!(ran.exit.killed, Some(Killed::Deadline));
    assert!(ran.exit.duration_ms < 20_000);
}

#[tokio::test]
async fn the_deadline_kills_claude_and_its_children() {
    let folder = TempDir::new().unwrap();
    let steps = json!(["ignore_sigterm", "spawn_escapee", { "print": "not json" }, "hang"]);
    // The deadline includes the start of the program, which is slow on a busy machine, so longer ones follow.
    for deadline in [300, 3000, 20_000] {
        let mut invocation = scripted(&folder, steps.clone());
        invocation.deadline = Duration::from_millis(deadline);
        let ran = run(&invocation, |_| {}).await.unwrap();
        assert_eq!(
            (ran.exit.code, ran.exit.signal, ran.exit.killed),
            (None, Some(9), Some(Killed::Deadline))
        );
        assert!(tagged(ProcessTag::trial(invocation.run, invocation.key)).is_empty());
        if !ran.transcript.events.is_empty() {
            return;
        }
    }
    panic!("no deadline was long enough to start the child");
}

#[tokio::test]
async fn a_run_ends_although_a_child_keeps_the_output_open() {
    let ran = play(json!(["spawn_escapee", { "print": "{\"type\":\"result\",\"result\":\"done\"}" }])).await;
    assert_eq!((ran.exit.code, ran.exit.killed), (Some(0), None));
    assert_eq!(ran.transcript.final_text().as_deref(), Some("done"));
}

#[tokio::test]
async fn an_overlong_line_and_invalid_utf8_are_evidence() {
    let steps =
        json!(["print_invalid_utf8", { "print_long": 20_000_000 }, { "print": "{\"type\":\"later\"}" }]);
    let ran = play(steps).await;
    let events: Vec<&Event> = ran.transcript.events.iter().map(|timed| &timed.event).collect();
    let [
        Event::Unparsable(invalid),
        Event::Unparsable(long),
        Event::Json(later),
    ] = events[..]
    else {
        panic!("{} events", events.len());
    };
    assert_has(invalid, "broken \u{fffd}");
    assert!(long.starts_with("[a line of 20000000 bytes, cut] xxx") && long.len() < 5000);
    assert_eq!(later["type"], "later");
}

#[tokio::test]
async fn a_crash_has_a_signal_and_a_refusal_has_a_status() {
    let crashed = play(json!([{ "print_error": "last words" }, { "die": 6 }])).await;
    assert_eq!(
        (crashed.exit.code, crashed.exit.signal, crashed.exit.killed),
        (None, Some(6), None)
    );
    assert_eq!(crashed.stderr, "last words\n");
    let refused = play(json!([{ "exit": 42 }])).await;
    assert_eq!((refused.exit.code, refused.exit.signal), (Some(42), None));
    assert_eq!(refused.transcript, Transcript::default());
}

#[tokio::test]
async fn claude_gets_no_foreign_credential_or_variable() {
    let folder = TempDir::new().unwrap();
    let dump = folder.path().join("dump");
    let mut invocation = scripted(&folder, json!([{ "dump": dump }]));
    let secret = |name| (name, "sk-secret");
    invocation.inherited = [
        secret("ANTHROPIC_API_KEY"),
        secret("AWS_SECRET_ACCESS_KEY"),
        secret("LITELLM_PROXY_API_KEY"),
        secret("GITHUB_TOKEN"),
        secret("NPM_CONFIG__AUTH"),
        ("PATH", "/usr/bin:/bin"),
        ("HOME", "/home/somebody"),
    ]
    .into_iter()
    .collect::<Environment>()
    .inherited();
    run(&invocation, |_| {}).await.unwrap();
    let text = std::fs::read_to_string(dump).unwrap();
    assert_lacks(&text, "sk-secret");
    assert_lacks(&text, "/home/somebody");
    let dump: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(dump["environment"]["ANTHROPIC_AUTH_TOKEN"], "sk-of-the-run");
    assert!(
        dump["directory"]
            .as_str()
            .unwrap()
            .ends_with(&invocation.key.to_string())
    );
}

#[tokio::test]
async fn debug_log_errors_are_added_to_the_transcript() {
    let folder = TempDir::new().unwrap();
    let invocation = scripted(
        &folder,
        json!([{ "print": "{\"type\":\"result\",\"is_error\":true}" }]),
    );
    let log = "2026-11-21T09:09:32.967Z [ERROR] API error (attempt 1/3): 401 401 {\"error\":\"the gateway's words\"}\n\
               2026-11-21T09:09:33.000Z [WARN] [thinking] HTTP 400 that no earlier recovery took; sending the \
               request again without the x beta\n";
    std::fs::write(invocation.debug_log(), log).unwrap();
    let ran = run(&invocation, |_| {}).await.unwrap();
    let error = &ran.transcript.errors()[0];
    assert_eq!(
        (error.status, error.text.as_str()),
        (Some(401), r#"{"error":"the gateway's words"}"#)
    );
    assert_eq!(ran.transcript.workarounds().len(), 1);
    assert_eq!(ran.transcript.events.len(), 3);
}

#[test]
fn a_single_text_is_the_last_argument() {
    let folder = TempDir::new().unwrap();
    let mut invocation = invocation(&folder, NOWHERE);
    invocation.flags = vec!["--allowed-tools".to_owned(), "Bash(echo pong)".to_owned()];
    let argv: Vec<String> = invocation
        .argv()
        .into_iter()
        .map(|argument| argument.into_string().unwrap())
        .collect();
    assert_eq!(
        argv[argv.len() - 4..],
        ["--allowed-tools", "Bash(echo pong)", "--", "say hello"]
    );
    assert!(
        argv.windows(2)
            .any(|pair| pair == ["--session-id".to_owned(), invocation.key.to_string()])
    );
    assert!(invocation.stdin_messages().is_empty());
    invocation.prompts.push(text_prompt("and now"));
    assert!(!invocation.argv().contains(&"--".into()));
    assert_eq!(invocation.stdin_messages().len(), 2);
}

#[test]
fn bedrock_and_vertex_modes_use_no_gateway() {
    let folder = TempDir::new().unwrap();
    let mut invocation = invocation(&folder, NOWHERE);
    let base_url = NOWHERE.to_owned();
    let token = Secret::new("minted");
    invocation.endpoint = Endpoint::Bedrock {
        base_url: base_url.clone(),
        region: "us-east-1".to_owned(),
        token: token.clone(),
    };
    let bedrock = invocation.environment();
    invocation.endpoint = Endpoint::Mantle {
        base_url: base_url.clone(),
        region: "us-east-1".to_owned(),
        token: token.clone(),
    };
    let mantle = invocation.environment();
    invocation.endpoint = Endpoint::Foundry {
        base_url: base_url.clone(),
        key: token.clone(),
    };
    let foundry = invocation.environment();
    assert_eq!(foundry[OsStr::new("CLAUDE_CODE_USE_FOUNDRY")], "1");
    assert_eq!(foundry[OsStr::new("ANTHROPIC_FOUNDRY_API_KEY")], "minted");
    invocation.endpoint = Endpoint::Vertex {
        base_url,
        region: "us-east5".to_owned(),
        project: "p".to_owned(),
        token,
    };
    let vertex = invocation.environment();
    for (environment, switch) in [
        (bedrock, "CLAUDE_CODE_USE_BEDROCK"),
        (vertex, "CLAUDE_CODE_USE_VERTEX"),
        (mantle, "CLAUDE_CODE_USE_MANTLE"),
    ] {
        assert_eq!(environment[OsStr::new(switch)], "1");
        assert_eq!(
            environment[OsStr::new("ANTHROPIC_CUSTOM_HEADERS")],
            "Authorization: Bearer minted"
        );
        assert!(!environment.contains_key(OsStr::new("ANTHROPIC_AUTH_TOKEN")));
        assert!(!environment.contains_key(OsStr::new("ANTHROPIC_BASE_URL")));
    }
}

#[test]
fn transient_statuses_are_not_permanent() {
    assert!([400, 401, 403, 404, 413, 422].into_iter().all(is_permanent));
    assert!(
        ![408, 409, 425, 429, 500, 502, 503, 504, 529, 200]
            .into_iter()
            .any(is_permanent)
    );
}
