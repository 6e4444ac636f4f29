//! The script of a trial: the prompts for `claude`, and the replies of the simulated provider, turn by turn. The
//! simulator renders a reply for the route of its request.
//!
//! Pure data. `cells` reads it from a cell; `provider` plays it.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Usage;

/// One user message.
#[derive(Clone, Debug, PartialEq)]
pub struct Prompt {
    pub blocks: Vec<PromptBlock>,
}

/// A block of a user message.
#[derive(Clone, Debug, PartialEq)]
pub enum PromptBlock {
    Text(String),
    /// An image file of the cell's folder.
    Image {
        /// The file, below the feature's folder.
        file: PathBuf,
        media_type: String,
        /// Its bytes, read with the cell.
        bytes: Vec<u8>,
    },
    /// A document file (PDF) of the cell's folder.
    Document {
        /// The file, below the feature's folder.
        file: PathBuf,
        media_type: String,
        /// Its bytes, read with the cell.
        bytes: Vec<u8>,
    },
}

/// The replies of a trial, in the order in which its Messages requests consume them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Script {
    /// One reply a request; a request past the last is answered with an error and recorded as unmatched, unless
    /// the last is an error itself, which is then given again: gateways and `claude` retry. A request for a
    /// single token (a probe whether a model is there) gets an answer of its own and takes no reply.
    pub replies: Vec<Reply>,
}

impl Script {
    /// Whether a reply of it waits for what shows at the client.
    pub fn keeps_step(&self) -> bool {
        self.replies
            .iter()
            .any(|reply| matches!(reply, Reply::Message(message) if message.pace.lockstep))
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    Message(ReplyMessage),
    /// A refusal in the provider's own error shape.
    Error(ReplyError),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReplyMessage {
    /// Its blocks, in order; never empty.
    pub content: Vec<ReplyBlock>,
    /// `end_turn`, `tool_use`, `max_tokens`, …; by default `tool_use` when a tool is called, else `end_turn`.
    pub stop_reason: Option<String>,
    /// Counts to report instead of those the simulator computes.
    pub usage: Option<Usage>,
    pub pace: Pace,
}

/// One block of an assistant message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplyBlock {
    /// Text, which may hold [`PLACEHOLDERS`]; streamed word by word.
    Text(String),
    /// A thinking block; the simulator signs it.
    Thinking(String),
    /// A call of one of the request's tools; the simulator gives it an id.
    ToolUse { name: String, input: Value },
}

/// What stands for something that the provider saw in the request, in a reply's text: the text of the last
/// tool result, and the name of the dominant colour of the last image.
pub const PLACEHOLDERS: [&str; 2] = ["${tool_result}", "${image_colour}"];

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReplyError {
    /// The HTTP status, 400 to 599.
    pub status: u16,
    /// The Messages API's error type (`overloaded_error`); by default the one that goes with the status.
    /// Bedrock and Vertex AI translate it to their own.
    pub kind: Option<String>,
    pub message: String,
}

/// How a streamed reply is spread in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pace {
    /// Milliseconds from the request to the first byte.
    pub first_byte_ms: u64,
    /// Milliseconds between two deltas.
    pub between_ms: u64,
    /// Whether each content delta waits until the one before it has been seen at the client (for at most
    /// [`LOCKSTEP_PATIENCE_MS`], once): what tells a gateway that streams from one that buffers, on a
    /// machine of any speed.
    pub lockstep: bool,
}

/// How long, in milliseconds, a lockstep stream waits for a delta to show at the client before it takes the
/// gateway for one that buffers and sends the rest.
pub const LOCKSTEP_PATIENCE_MS: u64 = 10_000;
