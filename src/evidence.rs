//! All that a judgement may look at: what one trial left behind.
//!
//! Pure data.
#![warn(clippy::disallowed_methods)]

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::transcript::Transcript;
use crate::wire::exchange::{GatewayExchange, ProviderExchange};

/// What stands behind the gateway in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Behind {
    /// The provider simulator: both sides are judged.
    Simulated,
    /// Real providers: only what Claude Code printed can be judged.
    Live,
}

/// What one attempt at a trial left behind.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    /// What stood behind the gateway.
    pub behind: Behind,
    /// Whether there was a gateway at all.
    pub gateway: bool,
    /// What `claude` printed.
    pub transcript: Transcript,
    /// How `claude` ended.
    pub exit: Exit,
    /// What `claude` printed on standard error, the last 64 KiB.
    pub stderr: String,
    /// What reached the provider; empty in a live run.
    pub exchanges: Vec<ProviderExchange>,
    /// What was sent to the gateway and came back; empty where nothing recorded it.
    pub sent: Vec<GatewayExchange>,
    /// The answer to the cell's direct request, if it has one.
    pub direct: Option<DirectReply>,
    /// The answer to the cell's request for a token count, if it has one.
    pub counted: Option<DirectReply>,
    /// The gateway's log lines of the time of the trial.
    pub gateway_log: Vec<String>,
}

impl Evidence {
    /// Whether the gateway has been seen from both sides: what went in and what came out.
    pub fn has_both_sides(&self) -> bool {
        self.behind == Behind::Simulated && self.gateway && !self.sent.is_empty()
    }
}

/// How `claude` ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// The exit status, if it exited.
    pub code: Option<i32>,
    /// The signal that ended it, if one did.
    pub signal: Option<i32>,
    /// Why the harness ended it, if it did.
    pub killed: Option<Killed>,
    /// Milliseconds from its start to its end.
    pub duration_ms: u64,
}

/// Why the harness ended `claude`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Killed {
    /// The trial's time was up.
    Deadline,
    /// `claude` was about to repeat a request that cannot succeed.
    PermanentError,
}

/// The answer to a request that the harness sent to the gateway itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DirectReply {
    /// The HTTP status; 0 when there was no answer, `body` then being the reason as a string.
    pub status: u16,
    /// The body: JSON, or its text as a JSON string.
    pub body: Value,
}
