//! What judges a trial: every check as it holds, as it does not, and as it cannot be judged; what is expected of every
//! trial; and whose fault a failure is.

mod claude_side;
mod fault;
mod implied;
mod provider_side;

use base64::Engine as _;
use compat_matrix::cause::of_trial;
use compat_matrix::cells::Test;
use compat_matrix::evidence::{Behind, Evidence, Killed};
use compat_matrix::expectation::kinds::RequestCheck;
use compat_matrix::expectation::kinds::stream::LIVE_SPREAD_MS;
use compat_matrix::expectation::{
    Check, CountMatcher, IMPLIED, Matcher, RUN, TRANSCRIPT, Turn, UNMATCHED, WORKAROUNDS,
};
use compat_matrix::ids::TierId;
use compat_matrix::judge::Evaluation;
use compat_matrix::outcome::{Cause, Verdict};
use compat_matrix::transcript::{Event, Transcript};
use compat_matrix::wire::exchange::{Body, Matched, ProviderExchange};
use compat_matrix::wire::script::{Prompt, PromptBlock};
use compat_matrix::wire::{Operation, Route, Usage};
use serde_json::{Value, json};

use crate::evidence::{
    Builder, equals, exchange, expectation, in_lockstep, known_failure, message, nothing, probe, query,
    refused, request, scripted_error, stream, test, text_exchange, text_message,
};

const HELD: Verdict = Verdict::Held;
const BROKEN: Verdict = Verdict::Broken;
const NOT_JUDGED: Verdict = Verdict::NotJudged;

fn haiku() -> TierId {
    TierId::new("haiku")
}

fn verdict_of(name: &str, judgement: &Evaluation) -> Option<Verdict> {
    let judged = judgement.judged.iter().find(|judged| judged.name == name)?;
    Some(judged.verdict)
}

/// Judges `evidence` by each check alone, and compares.
fn table(rows: &[(&str, Check, Evidence, Verdict)]) {
    for (what, check, evidence, expected) in rows {
        rules_on(what, &test(check.clone()), evidence, *expected);
    }
}

fn rules_on(what: &str, test: &Test, evidence: &Evidence, expected: Verdict) {
    let judgement = compat_matrix::judge::judge(test, &haiku(), evidence);
    let found = verdict_of("check", &judgement);
    assert_eq!(found, Some(expected), "{what}: {judgement:#?}");
    let told = judgement
        .mismatches
        .iter()
        .filter(|mismatch| mismatch.expectation == "check");
    for mismatch in told.clone() {
        let words = [&mismatch.summary, &mismatch.expected, &mismatch.actual];
        assert!(
            words.iter().all(|words| !words.is_empty()),
            "{what}: {mismatch:#?}"
        );
    }
    assert_eq!(told.count() > 0, expected == BROKEN, "{what}");
}

fn pong() -> Evidence {
    nothing()
        .reached(text_exchange())
        .answered(text_message("pong"))
        .ended("pong")
}

fn matches_any() -> Option<Matcher> {
    Some(Matcher {
        exists: Some(true),
        ..Matcher::default()
    })
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
