//! Every check of an expectation: where it holds, where it does not, and where it cannot be judged.

mod claude_side;
mod exchanges;
mod provider_side;

use base64::Engine as _;
use compat_matrix::cells::Test;
use compat_matrix::evidence::{Evidence, Killed};
use compat_matrix::expectation::kinds::stream::LIVE_SPREAD_MS;
use compat_matrix::expectation::kinds::{BetaCheck, RequestCheck};
use compat_matrix::expectation::{Check, CountMatcher, Matcher, Turn};
use compat_matrix::outcome::Verdict;
use compat_matrix::transcript::Event;
use compat_matrix::wire::exchange::{Body, ProviderExchange};
use compat_matrix::wire::script::{Prompt, PromptBlock};
use compat_matrix::wire::{Operation, Route, Usage};
use serde_json::{Value, json};

use crate::support::evidence::{
    Builder, equals, exchange, gateway_exchange, in_lockstep, judge, message, nothing, pong, probe, query,
    request, scripted_error, stream, test, text_exchange, text_message, verdict_of,
};

const HELD: Verdict = Verdict::Held;
const BROKEN: Verdict = Verdict::Broken;
const NOT_JUDGED: Verdict = Verdict::NotJudged;

/// Judges `evidence` by each check alone, and compares.
fn table(rows: &[(&str, Check, Evidence, Verdict)]) {
    for (what, check, evidence, expected) in rows {
        rules_on(what, &test(check.clone()), evidence, *expected);
    }
}

fn rules_on(what: &str, test: &Test, evidence: &Evidence, expected: Verdict) {
    let judgement = judge(test, evidence);
    let found = verdict_of("check", &judgement);
    assert_eq!(found, Some(expected), "{what}: {judgement:#?}");
    let mismatches = judgement
        .mismatches
        .iter()
        .filter(|mismatch| mismatch.expectation == "check");
    for mismatch in mismatches.clone() {
        let words = [&mismatch.summary, &mismatch.expected, &mismatch.actual];
        assert!(
            words.iter().all(|words| !words.is_empty()),
            "{what}: {mismatch:#?}"
        );
    }
    assert_eq!(mismatches.count() > 0, expected == BROKEN, "{what}");
}

fn tool_call(id: &str, command: &str) -> Value {
    let call = json!({ "type": "tool_use", "id": id, "name": "Bash", "input": { "command": command } });
    message(&format!("msg_{id}"), json!([call]), "tool_use")
}

fn tool_result(id: &str, text: &str, is_error: bool) -> Value {
    json!({ "type": "tool_result", "tool_use_id": id, "content": text, "is_error": is_error })
}

fn thinking_block(text: &str, signature: &str) -> Value {
    json!({ "type": "thinking", "thinking": text, "signature": signature })
}

fn thinking_message(text: &str, signature: &str) -> Value {
    let content = json!([thinking_block(text, signature), { "type": "text", "text": "pong" }]);
    message("msg_1", content, "end_turn")
}
