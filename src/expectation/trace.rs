//! Whether an expectation holds on the near side of the gateway.

use serde_json::{Value, json};

use super::claude_side::claude_exchanges;
use super::kinds::Kind;
use super::{Ruling, Scene};
use crate::evidence::Evidence;
use crate::transcript::{Event, TimedEvent, Transcript};
use crate::wire::Usage;
use crate::wire::exchange::ProviderExchange;
use crate::wire_diff::as_sent;

/// Whether `kind` holds for the provider's replies, as if Claude Code had printed them.
pub(super) fn held_as_answered(kind: &impl Kind, scene: &Scene<'_>) -> Option<bool> {
    let exchanges: Vec<&ProviderExchange> = claude_exchanges(scene.evidence).collect();
    let answered = Evidence {
        transcript: as_printed(&exchanges),
        ..scene.evidence.clone()
    };
    holds(kind, scene, &answered)
}

/// Whether `kind` holds for the requests that `claude` sent, as if they had reached the provider.
pub(super) fn held_as_sent(kind: &impl Kind, scene: &Scene<'_>) -> Option<bool> {
    let evidence = scene.evidence;
    let sent = Evidence {
        exchanges: as_sent(&evidence.sent, &evidence.exchanges),
        ..evidence.clone()
    };
    holds(kind, scene, &sent)
}

fn holds(kind: &impl Kind, scene: &Scene<'_>, evidence: &Evidence) -> Option<bool> {
    let scene = Scene {
        evidence,
        ..scene.clone()
    };
    match kind.judge(&scene) {
        Ruling::Judged(deviations) => Some(deviations.is_empty()),
        Ruling::Changed(changes) => Some(changes.is_empty()),
        Ruling::NotJudged => None,
    }
}

/// The transcript that Claude Code would print for the provider's replies.
fn as_printed(exchanges: &[&ProviderExchange]) -> Transcript {
    let messages: Vec<&Value> = exchanges
        .iter()
        .filter_map(|exchange| exchange.reply.message.as_ref())
        .collect();
    let text: String = messages
        .last()
        .and_then(|message| message["content"].as_array())
        .into_iter()
        .flatten()
        .filter_map(|block| block["text"].as_str())
        .collect();
    let usage: Usage = exchanges.iter().map(|exchange| exchange.reply.usage).sum();
    let result =
        json!({"type": "result", "subtype": "success", "is_error": false, "result": text, "usage": usage});
    let answers = messages
        .iter()
        .map(|message| json!({"type": "assistant", "message": message}));
    let event = |event| TimedEvent {
        at_ms: 0,
        event: Event::Json(event),
    };
    Transcript {
        events: answers.chain([result]).map(event).collect(),
    }
}
