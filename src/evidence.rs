//! The evidence of one trial, which is all that its judgement uses.
#![warn(clippy::disallowed_methods)]

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::transcript::Transcript;
use crate::wire::exchange::Exchange;
use crate::wire::passage::Passage;

/// What stands behind the gateway in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Behind {
    /// The provider simulator: both sides are judged.
    Simulated,
    /// Real providers: only what Claude Code printed can be judged.
    Live,
}

/// The evidence of one attempt at a trial.
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
    /// The last 64 KiB of standard error of `claude`.
    pub stderr: String,
    /// The provider's side; empty in a live run.
    pub exchanges: Vec<Exchange>,
    /// The side of Claude Code; empty if it was not recorded.
    pub sent: Vec<Passage>,
    /// The answer to the cell's direct request, if it has one.
    pub direct: Option<DirectReply>,
    /// The answer to the cell's request for a token count, if it has one.
    pub counted: Option<DirectReply>,
    /// The gateway's log lines during the trial.
    pub gateway_log: Vec<String>,
}

impl Evidence {
    /// Whether the provider simulator stood behind the gateway.
    pub fn is_simulated(&self) -> bool {
        self.behind == Behind::Simulated
    }

    /// Whether the gateway has been seen from both sides: what went in and what came out.
    pub fn has_both_sides(&self) -> bool {
        self.is_simulated() && self.gateway && !self.sent.is_empty()
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
    /// The trial timed out.
    Deadline,
    /// `claude` was about to retry a request that cannot succeed.
    PermanentError,
}

/// The answer to a request that the harness sent to the gateway.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DirectReply {
    /// The HTTP status; 0 without an answer, with the reason as a string in `body`.
    pub status: u16,
    /// The body: JSON, or its text as a JSON string.
    pub body: Value,
}
