//! The script of a trial: the prompts for `claude`, and the replies of the simulated provider, turn by turn. The
//! simulator renders a reply for the route of its request.
//!
//! Pure data. `cells` reads it from a cell; `provider` plays it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Usage;

/// One user message.
#[derive(Clone, Debug, PartialEq)]
pub struct Prompt {
    pub blocks: Vec<PromptBlock>,
}

impl Prompt {
    /// Whether Claude Code carries it out without a request, as seen with version 2.1.327.
    pub fn is_local_command(&self) -> bool {
        matches!(&self.blocks[..], [PromptBlock::Text(text)] if text.starts_with("/effort "))
    }
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

/// What Claude Code finds besides its prompts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Workspace {
    /// The files of its working directory: images and documents.
    pub files: Vec<PromptBlock>,
    /// The servers of the Model Context Protocol that it starts, by name, each with its tools.
    pub mcp_servers: BTreeMap<String, Vec<McpTool>>,
}

impl Workspace {
    /// The blocks that the provider may receive: those of `prompts`, and the files.
    pub fn blocks<'a>(&'a self, prompts: &'a [Prompt]) -> impl Iterator<Item = &'a PromptBlock> {
        let of_prompts = prompts.iter().flat_map(|prompt| &prompt.blocks);
        of_prompts.chain(&self.files)
    }
}

/// A tool of a server of the Model Context Protocol.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct McpTool {
    pub name: String,
    pub description: String,
    /// The JSON Schema of its arguments.
    pub input_schema: Value,
    /// The text of its result, with `${title}` for the argument `title`.
    pub result: String,
}

/// The replies of a trial, in the order in which its Messages requests consume them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "A script for the control route `register`")]
pub struct Script {
    /// A request takes the first unused reply that is for it. If there is none, it gets an error and is recorded as unmatched.
    /// If the last reply for it is an error, that is repeated, because gateways and `claude` retry. A request for a single
    /// token (a probe of the model) gets a built-in answer and consumes no reply.
    pub replies: Vec<Reply>,
}

impl Script {
    /// Whether a reply uses lockstep.
    pub fn keeps_step(&self) -> bool {
        self.replies
            .iter()
            .any(|reply| matches!(reply, Reply::Message(message) if message.pace.lockstep))
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "a script has a few replies")]
pub enum Reply {
    Message(ReplyMessage),
    /// An error in the provider's own form.
    Error(ReplyError),
}

impl Reply {
    /// The requests that it is for.
    pub fn asker(&self) -> &Asker {
        match self {
            Self::Message(message) => &message.asker,
            Self::Error(error) => &error.asker,
        }
    }
}

/// The requests that a reply is for; all conditions must hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("minProperties" = 1))]
pub struct Asker {
    /// Whether a subagent asks (true) or the main conversation (false), by the header `x-claude-code-agent-id`.
    pub subagent: Option<bool>,
    /// A part of the name of the requested model, as the provider sees it.
    #[schemars(length(min = 1), extend("examples" = ["haiku"]))]
    pub model: Option<String>,
    /// A tool that the request offers.
    #[schemars(length(min = 1), extend("examples" = ["WebSearch"]))]
    pub has_tool: Option<String>,
    /// A part of the user's last prompt.
    #[schemars(length(min = 1), extend("examples" = ["single word two"]))]
    pub prompt: Option<String>,
}

impl Asker {
    pub fn is_anyone(&self) -> bool {
        *self == Self::default()
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplyMessage {
    /// Its blocks, in order; never empty.
    pub content: Vec<ReplyBlock>,
    /// `end_turn`, `tool_use`, `max_tokens`, …; by default `tool_use` if it calls a tool, else `end_turn`.
    #[serde(default)]
    pub stop_reason: Option<String>,
    #[serde(default)]
    pub details: StopDetails,
    /// Counts to report instead of those the simulator computes.
    #[serde(default)]
    pub usage: Option<Usage>,
    #[serde(default)]
    pub pace: Pace,
    #[serde(default)]
    pub framing: StreamFraming,
    #[serde(default)]
    pub interrupt: Option<Interrupt>,
    #[serde(default)]
    pub split: DeltaSplit,
    /// Further headers, names in lower case.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    #[serde(default)]
    pub asker: Asker,
}

/// How a stream is split into deltas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DeltaSplit {
    /// The words of text or thinking in a delta.
    pub words: usize,
    /// The most deltas of a tool's arguments.
    pub arguments: usize,
}

impl Default for DeltaSplit {
    fn default() -> Self {
        Self {
            words: 1,
            arguments: 4,
        }
    }
}

/// The fields of an answer's end besides `stop_reason`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StopDetails {
    pub stop_sequence: Option<String>,
    pub stop_details: Option<Value>,
    /// With `${call_1}` for the id of the first tool call. The provider sends it only if the request has `safeguards`.
    pub safeguard_results: Option<Value>,
    /// What the provider cleared from the conversation. It says so only if the request has `context_management`.
    pub applied_edits: Option<Value>,
}

/// The end of a reply before its own end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Interrupt {
    /// The content deltas before it.
    #[serde(default)]
    pub after_deltas: usize,
    /// The error in the stream; `None` if the connection is cut.
    pub error: Option<StreamError>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StreamError {
    /// The Messages API's error type (`overloaded_error`).
    pub kind: String,
    pub message: String,
}

/// The bytes of a stream, where several forms mean the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StreamFraming {
    /// The size of the pieces in which the bytes are sent, across the ends of events.
    pub piece_bytes: Option<usize>,
    pub line_end: LineEnd,
    /// A comment before each event.
    pub comments: bool,
    /// The data of an event on several `data:` lines.
    pub split_data: bool,
    /// No space after the colon of a field.
    pub no_space: bool,
    /// An `id:` and a `retry:` line in each event.
    pub ids: bool,
    /// The `data:` lines of an event before its `event:` line.
    pub data_first: bool,
    /// A byte order mark at the start of the stream.
    pub byte_order_mark: bool,
}

/// The end of a line of server-sent events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LineEnd {
    #[default]
    Lf,
    Crlf,
    Cr,
}

impl LineEnd {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lf => "\n",
            Self::Crlf => "\r\n",
            Self::Cr => "\r",
        }
    }
}

/// One block of an assistant message.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ReplyBlock {
    /// Text, which may hold [`PLACEHOLDERS`]; streamed word by word.
    Text(String),
    /// A thinking block; the simulator signs it.
    Thinking(String),
    /// A thinking block whose text the provider encrypts.
    RedactedThinking(String),
    /// A call of one of the request's tools; the simulator gives it an id.
    ToolUse { name: String, input: Value },
    /// Text with citations in the form of the Messages API.
    CitedText { text: String, citations: Vec<Value> },
    /// A call of a tool that the provider itself runs (`web_search`); the simulator gives it an id.
    ServerToolUse { name: String, input: Value },
    /// The result of the last call of such a tool: a block of the Messages API without `tool_use_id`.
    ServerToolResult(Value),
}

/// Placeholders in a reply's text: for the text of the request's last tool result, and for the name of the dominant
/// colour of its last image.
pub const PLACEHOLDERS: [&str; 2] = ["${tool_result}", "${image_colour}"];

/// Every `${…}` in `text`. The last may lack its `}`.
pub fn placeholders_in(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices("${").map(|(start, _)| {
        let rest = &text[start..];
        rest.find('}').map_or(rest, |end| &rest[..=end])
    })
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplyError {
    /// The HTTP status, 400 to 599.
    pub status: u16,
    /// The Messages API's error type (`overloaded_error`); by default the type of the status. Bedrock and Vertex AI use
    /// their own types.
    #[serde(default)]
    pub kind: Option<String>,
    pub message: String,
    /// Further headers, names in lower case.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    #[serde(default)]
    pub asker: Asker,
}

/// The timing of a streamed reply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Pace {
    /// Milliseconds from the request to the first byte.
    pub first_byte_ms: u64,
    /// Milliseconds between two deltas.
    pub between_ms: u64,
    /// Whether each content delta waits until the client has shown the previous one, once for at most
    /// [`LOCKSTEP_PATIENCE_MS`]. This detects a gateway that buffers, whatever the speed of the machine.
    pub lockstep: bool,
    pub silence: Option<Silence>,
}

/// A time without content in a stream.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Silence {
    /// The content deltas before it.
    #[serde(default)]
    pub after_deltas: usize,
    pub ms: u64,
    /// The `ping` events in it; 0 if not given. Bedrock has none (`GET /protocol` of `claude gateway`, *Proxying to Bedrock*).
    #[serde(default)]
    pub pings: usize,
}

/// The milliseconds that a lockstep stream waits until the client shows a delta. Then it sends the rest, and the gateway
/// counts as buffering.
pub const LOCKSTEP_PATIENCE_MS: u64 = 10_000;

#[cfg(test)]
mod tests {
    use serde_json::{from_value, json};

    use super::*;

    #[test]
    fn a_short_script_has_defaults_and_no_unknown_keys() {
        let script = json!({"replies": [
            {"message": {"content": [{"text": "a"}, {"redacted_thinking": "b"}, {"tool_use": {"name": "c", "input": {}}}]}},
            {"error": {"status": 529, "message": "d"}},
        ]});
        let read: Script = from_value(script).unwrap();
        let Reply::Message(message) = &read.replies[0] else {
            panic!("{read:?}")
        };
        assert_eq!(
            (message.content.len(), &message.stop_reason, message.pace),
            (3, &None, Pace::default())
        );
        let unknown = json!({"replies": [{"message": {"content": [], "stop": "end_turn"}}]});
        assert!(
            from_value::<Script>(unknown)
                .unwrap_err()
                .to_string()
                .contains("unknown field `stop`")
        );
    }
}
