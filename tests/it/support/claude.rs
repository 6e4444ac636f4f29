//! The double of `claude`, and what a run of `claude` needs.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use compat_matrix::claude::{Endpoint, Invocation};
use compat_matrix::env::{Environment, Secret};
use compat_matrix::ids::TrialKey;
use compat_matrix::process::RunId;
use compat_matrix::wire::script::{Prompt, PromptBlock};
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

use super::wait::PATIENCE;

/// The double of `claude`.
pub fn fake_claude() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_fake-claude"))
}

/// Writes a scenario for it into `folder`.
pub fn scenario(folder: &Path, steps: Value) -> PathBuf {
    let file = folder.join(format!("{}.json", Uuid::new_v4()));
    std::fs::write(&file, steps.to_string()).unwrap();
    file
}

/// A `claude` that prints its version, and otherwise hangs.
pub fn hanging_claude(folder: &Path, scenario: &Path) -> PathBuf {
    let file = folder.join("claude");
    let script = format!(
        "#!/bin/sh\nFAKE_CLAUDE_SCENARIO='{}' exec '{}' \"$@\"\n",
        scenario.display(),
        fake_claude().display()
    );
    std::fs::write(&file, script).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    file
}

pub fn text_prompt(text: &str) -> Prompt {
    Prompt {
        blocks: vec![PromptBlock::Text(text.to_owned())],
    }
}

pub fn invocation(folder: &TempDir) -> Invocation {
    Invocation {
        program: fake_claude(),
        run: RunId::mint(),
        key: TrialKey(Uuid::new_v4()),
        model: "claude-haiku-4-5".to_owned(),
        prompts: vec![text_prompt("say hello")],
        flags: Vec::new(),
        variables: BTreeMap::new(),
        endpoint: Endpoint::Gateway {
            base_url: "http://127.0.0.1:1".to_owned(),
            token: Secret::new("sk-of-the-run"),
        },
        folder: folder.path().to_owned(),
        inherited: Environment::from_process().inherited(),
        deadline: PATIENCE,
    }
}

/// The events of a streamed reply with these words.
pub fn sse(id: &str, words: &[&str]) -> String {
    let mut events = vec![
        json!({ "type": "message_start", "message": { "id": id, "type": "message", "role": "assistant",
            "model": "claude-haiku-4-5", "content": [], "stop_reason": null, "stop_sequence": null,
            "usage": { "input_tokens": 10, "cache_read_input_tokens": 3, "output_tokens": 1 } } }),
        json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "text", "text": "" } }),
    ];
    events.extend(words.iter().map(|word| {
        json!({ "type": "content_block_delta", "index": 0, "delta": { "type": "text_delta", "text": word } })
    }));
    events.extend([
        json!({ "type": "content_block_stop", "index": 0 }),
        json!({ "type": "message_delta", "delta": { "stop_reason": "end_turn" }, "usage": { "output_tokens": 5 } }),
        json!({ "type": "message_stop" }),
    ]);
    let frame = |event: &Value| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap());
    events.iter().map(frame).collect()
}
