//! The evidence of one trial: the only input of an evaluation.
//!
//! Pure data.
#![warn(clippy::disallowed_methods)]

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::transcript::{Event, TimedEvent, Transcript};
use crate::wire::client_format::ClientFormat;
use crate::wire::exchange::{GatewayExchange, ProviderExchange};
use crate::wire::secrets::Secrets;
use crate::wire::{Operation, Usage, redaction, reply_id};

/// The names of the files in a trial's evidence folder.
pub mod file {
    /// Always present; any other file only if it has content.
    pub const TRANSCRIPT: &str = "transcript.jsonl";
    pub const PROVIDER_EXCHANGES: &str = "exchanges.jsonl";
    pub const GATEWAY_EXCHANGES: &str = "sent.jsonl";
    pub const WIRE_DIFF_TEXT: &str = "wire-diff.txt";
    pub const WIRE_DIFF_JSON: &str = "wire-diff.json";
    pub const EXIT: &str = "exit.json";
    pub const UNDER_TEST: &str = "under-test.json";
    pub const STDERR: &str = "stderr.txt";
    pub const GATEWAY_LOG: &str = "gateway.log";
    pub const DIRECT_REPLY: &str = "direct.json";
    pub const TOKEN_COUNT: &str = "count_tokens.json";

    /// Requests that fit several trials.
    pub const AMBIGUOUS: &str = "ambiguous.jsonl";

    pub const ALL: [&str; 11] = [
        TRANSCRIPT,
        PROVIDER_EXCHANGES,
        GATEWAY_EXCHANGES,
        AMBIGUOUS,
        WIRE_DIFF_TEXT,
        WIRE_DIFF_JSON,
        EXIT,
        STDERR,
        GATEWAY_LOG,
        DIRECT_REPLY,
        TOKEN_COUNT,
    ];
}

/// The kind of provider behind the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Behind {
    /// The provider simulator: both sides are evaluated.
    Simulated,
    /// Real providers: only Claude Code's output can be evaluated.
    Live,
}

/// The evidence of one attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    pub behind: Behind,
    /// Whether there was a gateway.
    pub gateway: bool,
    /// Whether it already ran: its user configured it. Not recorded.
    pub attached: bool,
    /// Whether Claude Code is another version than the pinned one, for which the cells are written. Not recorded.
    pub other_claude: bool,
    pub transcript: Transcript,
    pub exit: Exit,
    /// The last 64 KiB of `claude`'s standard error.
    pub stderr: String,
    /// Empty in a live run.
    pub exchanges: Vec<ProviderExchange>,
    /// Empty without a relay in front of the gateway.
    pub sent: Vec<GatewayExchange>,
    /// Requests at the provider without a trial's key that fit this trial and another one equally well.
    pub ambiguous: Vec<ProviderExchange>,
    /// The reply to the cell's direct request, if it has one.
    pub direct: Option<DirectReply>,
    /// The reply to the cell's request for a token count, if it has one.
    pub counted: Option<DirectReply>,
    /// The lines that the gateway logged during the trial.
    pub gateway_log: Vec<String>,
}

/// The gateway and the versions of a trial, as far as they are known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnderTest {
    /// The name of its file in `gateways/`.
    pub gateway: Option<String>,
    pub gateway_version: Option<String>,
    pub claude_code_version: Option<String>,
    /// The gateway's configuration, unless it is the usual one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub configuration: Option<String>,
    #[serde(default, skip_serializing_if = "ClientFormat::is_usual")]
    pub client_format: ClientFormat,
}

impl Evidence {
    /// Whether the gateway says that it has no token counts.
    pub fn offers_no_counts(&self) -> bool {
        self.counted
            .as_ref()
            .is_some_and(|reply| Operation::CountTokens.is_not_offered(reply.status))
    }

    /// Whether the provider was the simulator.
    pub fn is_simulated(&self) -> bool {
        self.behind == Behind::Simulated
    }

    /// The tokens of the direct request, as its reply says. A token count costs nothing
    /// (<https://platform.claude.com/docs/en/build-with-claude/token-counting>).
    pub fn direct_usage(&self) -> Usage {
        let usage = self.direct.as_ref().map(|reply| &reply.body["usage"]);
        usage
            .and_then(|usage| Usage::deserialize(usage).ok())
            .unwrap_or_default()
    }

    /// Whether a reply of a live run has an id, or a signature of thinking, that only the simulator makes. A gateway may give each
    /// reply an id of its own, but it must keep signatures. The preflight reads the text of an answer.
    pub fn comes_from_unknown_simulator(&self) -> bool {
        let events = self.transcript.events.iter();
        let events = events.filter_map(|timed| timed.event.json());
        let direct = self.direct.iter().map(|reply| &reply.body);
        !self.is_simulated() && events.chain(direct).any(has_simulated_id)
    }

    /// Removes `secrets` wherever they stand, and texts in the form of a credential from the logs. A gateway may put a
    /// credential into any header, body or log line.
    pub fn redact(&mut self, secrets: &Secrets) -> serde_json::Result<()> {
        for exchange in self.exchanges.iter_mut().chain(&mut self.ambiguous) {
            secrets.remove_from(exchange)?;
        }
        for exchange in &mut self.sent {
            secrets.remove_from(exchange)?;
        }
        for reply in [&mut self.direct, &mut self.counted].into_iter().flatten() {
            secrets.remove_from_json(&mut reply.body);
        }
        for TimedEvent { event, .. } in &mut self.transcript.events {
            match event {
                Event::Json(value) => secrets.remove_from_json(value),
                Event::Unparsable(line) => secrets.remove(line),
            }
        }
        for text in self.gateway_log.iter_mut().chain([&mut self.stderr]) {
            *text = redaction::of_log_line(&secrets.removed(text));
        }
        Ok(())
    }

    /// The number of lines of the file `name` in the evidence folder; 0 if the file does not exist. A JSON file counts as one.
    pub fn lines_of(&self, name: &str) -> usize {
        match name {
            file::TRANSCRIPT => self.transcript.events.len(),
            file::PROVIDER_EXCHANGES => self.exchanges.len(),
            file::GATEWAY_EXCHANGES => self.sent.len(),
            file::AMBIGUOUS => self.ambiguous.len(),
            file::WIRE_DIFF_TEXT | file::WIRE_DIFF_JSON => usize::from(self.has_both_sides()),
            file::EXIT => 1,
            file::STDERR => self.stderr.lines().count(),
            file::GATEWAY_LOG => self.gateway_log.len(),
            file::DIRECT_REPLY => usize::from(self.direct.is_some()),
            file::TOKEN_COUNT => usize::from(self.counted.is_some()),
            _ => 0,
        }
    }

    /// The steps of `advice`, which `; ` separates, without those that name a file without content. The gateway's own log is
    /// named only if there is no `gateway.log`.
    pub fn hint(&self, advice: &str) -> Option<String> {
        let is_empty = |name: &&str| self.lines_of(name) == 0;
        let empty: Vec<String> = file::ALL
            .into_iter()
            .filter(is_empty)
            .map(|name| format!("`{name}`"))
            .collect();
        let is_possible = |step: &&str| !empty.iter().any(|name| step.contains(name));
        let mut steps: Vec<&str> = advice.split("; ").filter(is_possible).collect();
        if steps.iter().any(|step| step.contains(file::GATEWAY_LOG)) {
            steps.retain(|step| !step.starts_with("read the gateway's own log"));
        }
        (!steps.is_empty()).then(|| steps.join("; "))
    }

    /// Whether the exchanges on both sides of the gateway are known.
    pub fn has_both_sides(&self) -> bool {
        self.is_simulated() && self.gateway && !self.sent.is_empty()
    }
}

fn has_simulated_id(value: &Value) -> bool {
    match value {
        Value::Object(fields) => {
            let text = |name: &str| fields.get(name).and_then(Value::as_str);
            let signed = || text("signature").is_some_and(|text| reply_id::tag_of_simulator(text).is_some());
            text("id").is_some_and(|id| reply_id::of_simulator(id).is_some())
                || signed()
                || fields.values().any(has_simulated_id)
        }
        Value::Array(items) => items.iter().any(has_simulated_id),
        _ => false,
    }
}

/// How `claude` ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// The exit status, if it exited.
    pub code: Option<i32>,
    /// The signal that ended it, if one did.
    pub signal: Option<i32>,
    /// Why the harness killed it, if it did.
    pub killed: Option<Killed>,
    pub duration_ms: u64,
}

/// Why the harness killed `claude`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Killed {
    /// The trial reached its time limit.
    Deadline,
    /// `claude` announced a retry of a request that cannot succeed.
    PermanentError,
}

/// The reply to a request that the harness itself sent to the gateway.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DirectReply {
    /// The HTTP status. 0 when there was no reply: `body` is then the reason, as a string.
    pub status: u16,
    /// The body: JSON, or its text as a JSON string.
    pub body: Value,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_of_the_simulator_shows_at_any_depth() {
        let id = |digits: &str| serde_json::json!({ "message": { "content": [{ "id": format!("toolu_01{digits}") }] } });
        assert!(has_simulated_id(&id(&reply_id::digits(uuid::Uuid::from_u128(
            815
        )))));
        assert!(!has_simulated_id(&id("A2cDeF4hIjKlMnOpQrStUv")));
        let thinking = |signature: &str| serde_json::json!({ "content": [{ "type": "thinking", "signature": signature }] });
        assert!(has_simulated_id(&thinking(&reply_id::signature(b"tag"))));
        assert!(!has_simulated_id(&thinking("EqQBCkYIDBgCKkBkX")));
    }
}
