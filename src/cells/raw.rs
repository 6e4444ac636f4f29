//! The files as they are written: one field for each key.
//!
//! The JSON Schemas in `schema/` are generated from these types, so their doc comments are the hover texts of an
//! author's editor. The meaning of the values is checked in `resolve`.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::expectation::ExpectationForm;
use crate::wire::script::{Asker, LineEnd};

/// The manifest of the matrix: its rows, its columns, its tiers of models, and how the gateway's model aliases are
/// made. The order here is the order of the published table.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "compat-matrix manifest")]
pub struct ManifestForm {
    /// The version of this file's form: always `"1"`, in quotes.
    #[schemars(extend("enum" = ["1"]))]
    pub schema_version: String,
    /// The columns, in order. Each is the file name of a cell (`cells/tool_use/bedrock_invoke.yaml`).
    #[schemars(length(min = 1), extend("examples" = [["anthropic", "bedrock_invoke"]]))]
    pub providers: Vec<String>,
    /// The rows, in order. Each has a folder of its name below `cells/`.
    #[schemars(length(min = 1))]
    pub features: Vec<FeatureForm>,
    /// The tiers of models. Every cell runs once on each tier of a run, and is green only if it passes on all of them.
    #[schemars(length(min = 1))]
    pub tiers: Vec<TierForm>,
    /// For each provider, the gateway's alias of a model. `{model}` is the tier's model. The aliases
    /// must be `model_name`s of `proxy_config.yaml`.
    #[schemars(extend("examples" = [{"anthropic": "{model}", "vertex_ai": "{model}-vertex-ai"}]))]
    pub aliases: IndexMap<String, String>,
    /// What providers allow in a live run, for each model: `any`, a provider, or a provider and a tier (`anthropic/opus`). The most
    /// exact name counts.
    #[serde(default)]
    #[schemars(extend("examples" = [{"any": {"requests_per_minute": 50}, "anthropic/opus": {"requests_per_minute": 20, "tokens_per_minute": 40000}}]))]
    pub limits: IndexMap<String, LimitForm>,
    /// Parts of the matrix that a run may ask for (`--matrix`), each under a name.
    #[serde(default)]
    pub matrices: IndexMap<String, MatrixForm>,
}

/// What a provider allows for one model in a minute.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitForm {
    /// Requests to the model.
    #[schemars(range(min = 1))]
    pub requests_per_minute: Option<std::num::NonZeroU32>,
    /// Tokens of these requests, estimated from their size.
    #[schemars(range(min = 1))]
    pub tokens_per_minute: Option<std::num::NonZeroU32>,
}

/// A part of the matrix.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MatrixForm {
    /// Its rows.
    #[schemars(length(min = 1))]
    pub features: Vec<String>,
    /// Its columns.
    #[schemars(length(min = 1))]
    pub providers: Vec<String>,
    /// Its set of tiers.
    pub tiers: String,
}

/// A row of the matrix.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FeatureForm {
    /// The feature's name in paths, filters and results: lower case, digits and `_`.
    #[schemars(extend("examples" = ["tool_use"]))]
    pub id: String,
    /// The feature's name for readers of the matrix.
    #[schemars(extend("examples" = ["Tool use"]))]
    pub name: String,
    /// The group of rows that the row belongs to. The page shows the groups in the order of their first rows.
    #[serde(default)]
    #[schemars(extend("examples" = ["Tools"]))]
    pub category: Option<String>,
    /// What works if the row is green, in one plain sentence for a customer.
    #[serde(default)]
    #[schemars(extend("examples" = ["Claude Code runs a command that the model asks for, and the model reads its output."]))]
    pub description: Option<String>,
    /// The clause of the gateway contract that the row rests on.
    #[serde(default)]
    #[schemars(extend("examples" = ["llm-gateway-protocol#feature-pass-through"]))]
    pub clause: Option<String>,
    /// The address of the feature's documentation.
    #[serde(default)]
    #[schemars(extend("examples" = ["https://code.claude.com/docs/en/settings"]))]
    pub docs: Option<String>,
}

/// A tier of models.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TierForm {
    /// The tier's name in filters and results: lower case, digits and `_`.
    #[schemars(extend("examples" = ["haiku"]))]
    pub id: String,
    /// The tier's name for readers of the matrix.
    #[schemars(extend("examples" = ["Haiku 4.5"]))]
    pub name: String,
    /// The tier's model, which goes into every provider's alias.
    #[schemars(extend("examples" = ["claude-haiku-4-5"]))]
    pub model: String,
    /// The set that the tier belongs to. A run takes one set (`--tiers`), by default that of the first tier. Either every
    /// tier has a set or none.
    #[serde(default)]
    #[schemars(extend("examples" = ["v0"]))]
    pub set: Option<String>,
    /// The providers that do not offer the model, each with the reason and its source, for readers of the matrix.
    #[serde(default)]
    pub not_on: IndexMap<String, String>,
}

/// One cell of the matrix: the prompts for Claude Code, the replies of the simulated provider, and what must then hold on
/// both sides of the gateway. A cell is merged from up to four files: `cells/_shared.yaml`, then
/// `cells/_providers/<provider>.yaml`, then `cells/<feature>/_shared.yaml`, then `cells/<feature>/<provider>.yaml`. A key of a
/// later file replaces the earlier one whole; `expect` is merged name by name.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "compat-matrix cell")]
pub struct CellForm {
    /// Why the feature cannot exist on this provider, for readers of the matrix, with its source: an address, or a page of
    /// `docs/`. Such a file has no other key. In `cells/_providers/<provider>.yaml` it is for the whole column, except for
    /// features with a file for this provider.
    #[schemars(length(min = 1), extend("examples" = ["Amazon Bedrock has no web search (https://code.claude.com/docs/en/feature-availability)."]))]
    pub not_applicable: Option<String>,
    /// The tiers, or sets of tiers, that lack the feature, each with the reason and its source, for readers of the matrix.
    /// Their trials do not run.
    #[schemars(extend("minProperties" = 1, "examples" = [{"haiku": "Claude Haiku 4.5 has no effort levels (https://platform.claude.com/docs/en/build-with-claude/effort)."}]))]
    pub not_on: Option<IndexMap<String, String>>,
    /// What the cell shows, in a sentence.
    pub description: Option<String>,
    /// What is said to Claude Code: one user message of text.
    #[schemars(length(min = 1), extend("examples" = ["Reply with the single word: pong"]))]
    pub prompt: Option<String>,
    /// What is said to Claude Code as several user messages, or with images and documents: a list of messages, each a
    /// list of blocks. The next message is sent when the one before is answered.
    #[schemars(length(min = 1), extend("examples" = [[[{"text": "Which colour is this?"}, {"image": "_red.png"}]]]))]
    pub prompts: Option<Vec<PromptForm>>,
    /// Image and PDF files of the feature's folder that Claude Code finds in its working directory, under the same names. Their
    /// names begin with `_`, so that they are not read as cells.
    #[schemars(length(min = 1), extend("examples" = [["_red.png", "_letter.pdf"]]))]
    pub files: Option<Vec<String>>,
    /// Servers of the Model Context Protocol that Claude Code starts, by name, each with its tools. Claude Code calls the tool
    /// `shelf_of` of the server `library` `mcp__library__shelf_of`. It starts no other servers.
    #[schemars(extend("minProperties" = 1, "propertyNames" = {"pattern": "^[a-z][a-z0-9-]*$"}))]
    pub mcp_servers: Option<IndexMap<String, Vec<McpToolForm>>>,
    /// Command-line flags for `claude`, one word an entry. The harness sets the model, the formats and the session itself.
    #[schemars(extend("examples" = [["--allowed-tools", "Bash(echo pong)", "--permission-mode", "dontAsk"]]))]
    pub flags: Option<Vec<String>>,
    /// Environment variables for `claude`, their values in quotes. The harness sets addresses, credentials and folders itself.
    #[schemars(extend("examples" = [{"MAX_THINKING_TOKENS": "4096"}]))]
    pub env: Option<BTreeMap<String, String>>,
    /// Whether Claude Code uses a Claude subscription: a token that the simulator makes. The gateway's own key is then in another
    /// header. Such a cell runs with the provider simulator only.
    pub subscription: Option<bool>,
    /// A request that the harness sends to the gateway itself, once `claude` has ended: the body of `POST /v1/messages`
    /// without `model`, which is the trial's alias. It takes the last of `replies`; `direct_reply` judges the answer.
    #[schemars(extend("examples" = [{"max_tokens": 64, "stream": false, "messages": [{"role": "user", "content": "ping"}]}]))]
    pub direct: Option<serde_json::Map<String, Value>>,
    /// A token count that the harness asks the gateway for, once `claude` has ended: the body of
    /// `POST /v1/messages/count_tokens` without `model`, which is the trial's alias. It takes none of `replies`; `token_count`
    /// judges the answer.
    #[schemars(extend("examples" = [{"messages": [{"role": "user", "content": "ping"}]}]))]
    pub count_tokens: Option<serde_json::Map<String, Value>>,
    /// What the simulated provider answers, one reply a request, in order. Live runs do not use it.
    #[schemars(length(min = 1))]
    pub replies: Option<Vec<ReplyForm>>,
    /// Why only `replies` can show the feature, where no prompt makes a live model or provider do the same. A live run leaves such
    /// trials out, and says so.
    #[schemars(length(min = 1), extend("examples" = ["No prompt makes a provider refuse a request."]))]
    pub needs_script: Option<String>,
    /// The provider's rules that may refuse a request of this cell, each with the reason. Without it, a refusal that no reply
    /// of the cell asks for breaks `refused_requests`, even if Claude Code repairs the request. A report names the rule.
    #[schemars(extend("minProperties" = 1, "propertyNames" = {"pattern": "^[a-z][a-z0-9_]*$"}, "examples" = [{"known_betas": "The row shows that Claude Code repeats the request without the beta."}]))]
    pub refusals: Option<BTreeMap<String, String>>,
    /// Seconds that one trial may take, simulated or live; 120 if not given.
    #[schemars(range(min = 1, max = 900))]
    pub timeout_seconds: Option<u64>,
    /// What must hold, each under a name of your own. Reports, known findings and mutants call an expectation by its
    /// name; one of the same name in an earlier file is replaced.
    #[schemars(extend("minProperties" = 1, "propertyNames" = {"pattern": "^[a-z][a-z0-9_]*$"}))]
    pub expect: Option<IndexMap<String, ExpectationForm>>,
}

/// The replies of `compat provider serve --script FILE`, as in a cell.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "compat-matrix script")]
pub struct ScriptForm {
    /// What the simulated provider answers, one reply a request, in order; after the last one, the first again. Token counts and
    /// probes of a model take no reply.
    #[schemars(length(min = 1))]
    pub replies: Vec<ReplyForm>,
}

/// One user message: its blocks, in order.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct PromptForm(#[schemars(length(min = 1))] pub Vec<PromptBlockForm>);

/// A block of a user message: exactly one of its keys.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
pub struct PromptBlockForm {
    /// Text.
    #[schemars(length(min = 1))]
    pub text: Option<String>,
    /// An image file in the feature's folder: PNG, JPEG, GIF or WebP. Its name begins with `_`, so that it is not read as a cell.
    #[schemars(extend("examples" = ["_red.png"]))]
    pub image: Option<String>,
    /// A PDF file in the feature's folder. Its name begins with `_`, so that it is not read as a cell.
    #[schemars(extend("examples" = ["_letter.pdf"]))]
    pub document: Option<String>,
    /// A long text: the same text many times.
    #[schemars(extend("examples" = [{"text": "The heron waits. ", "times": 50_000}]))]
    pub repeat: Option<RepeatForm>,
}

/// A text and how often it is repeated.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RepeatForm {
    /// The text, with the space or line break between two copies.
    #[schemars(length(min = 1))]
    pub text: String,
    /// How often. The whole may have 16 MB.
    #[schemars(range(min = 2, max = 1_000_000))]
    pub times: usize,
}

/// A tool of a server of the Model Context Protocol.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct McpToolForm {
    /// Its name.
    #[schemars(extend("pattern" = "^[a-zA-Z0-9_-]{1,64}$", "examples" = ["shelf_of"]))]
    pub name: String,
    /// What it does, for the model.
    #[schemars(length(min = 1))]
    pub description: String,
    /// The JSON Schema of its arguments; without it, the tool takes none.
    #[schemars(extend("examples" = [{"type": "object", "properties": {"title": {"type": "string"}}, "required": ["title"]}]))]
    pub input_schema: Option<serde_json::Map<String, Value>>,
    /// The text of its result, with `${title}` for the argument `title`.
    #[schemars(length(min = 1), extend("examples" = ["${title} is on shelf 7."]))]
    pub result: String,
}

/// The answer to one request: a message (`content`), or an `error`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("minProperties" = 1))]
pub struct ReplyForm {
    /// The blocks of the assistant's message, in order.
    #[schemars(length(min = 1))]
    pub content: Option<Vec<ReplyBlockForm>>,
    /// Why the message ends; if not given, `tool_use` when a tool is called, else `end_turn`.
    #[schemars(extend("examples" = ["end_turn", "tool_use", "max_tokens"]))]
    pub stop_reason: Option<String>,
    /// Token counts to report instead of those that the simulator counts.
    pub usage: Option<ReplyUsageForm>,
    /// The stop sequence that ended the message, for `stop_reason: stop_sequence`.
    pub stop_sequence: Option<String>,
    /// More about `stop_reason: refusal`, as the Messages API says it. Converse has no place for it.
    #[schemars(extend("examples" = [{"type": "refusal", "category": "cyber", "explanation": "This is not allowed."}]))]
    pub stop_details: Option<serde_json::Map<String, Value>>,
    /// The verdicts of auto mode's safety check, as the Messages API says them; `${call_1}` is the id of the first tool call.
    /// Sent only if the request has `safeguards`, and never on Converse.
    #[schemars(extend("examples" = [[{"type": "dangerous_tool_use", "status": {"type": "available", "tool_uses": {"${call_1}": {"type": "evaluated", "outcome": "not_flagged"}}}}]]))]
    pub safeguard_results: Option<Vec<Value>>,
    /// What the provider cleared from the conversation (`context_management.applied_edits`). Sent only if the request asks for context
    /// management, and never on Converse.
    #[schemars(extend("examples" = [[{"type": "clear_thinking_20251015", "cleared_thinking_turns": 1, "cleared_input_tokens": 12}]]))]
    pub applied_edits: Option<Vec<Value>>,
    /// How the stream is spread in time; if not given, all at once.
    pub pace: Option<PaceForm>,
    /// Other bytes of the stream that mean the same.
    pub framing: Option<FramingForm>,
    /// How the reply ends before its own end.
    pub interrupt: Option<InterruptForm>,
    /// A refusal, in the provider's own error shape.
    pub error: Option<ReplyErrorForm>,
    /// Headers of the reply besides those that the provider always sends: names in lower case, values in quotes.
    #[schemars(extend("examples" = [{"retry-after": "1", "x-should-retry": "true"}, {"anthropic-ratelimit-requests-remaining": "99"}]))]
    pub headers: Option<IndexMap<String, String>>,
    /// The requests that it is for, where requests of several askers race, or where no request may take the reply of another
    /// prompt. A request takes the first unused reply that is for it; a reply without `asker` is for any.
    pub asker: Option<Asker>,
}

/// The end of a reply before its own end: an `error`, or `cut: true`. A reply that is not streamed is then this error, or half
/// of its body.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct InterruptForm {
    /// The number of content deltas before it; 0 if not given.
    #[schemars(range(max = 10_000))]
    pub after_deltas: usize,
    /// An error in the stream: an `error` event, or an exception of Bedrock's event stream.
    pub error: Option<StreamErrorForm>,
    /// Whether the connection is closed without a word.
    pub cut: Option<bool>,
}

/// An error in a stream.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StreamErrorForm {
    /// The error type of the Messages API. Bedrock sends the exception that goes with it.
    #[serde(rename = "type")]
    #[schemars(length(min = 1), extend("examples" = ["overloaded_error"]))]
    pub kind: String,
    /// The message.
    #[schemars(length(min = 1), extend("examples" = ["Overloaded"]))]
    pub message: String,
}

/// Other bytes of a stream that mean the same. All but `piece_bytes` are for server-sent events (Anthropic, Vertex AI).
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("minProperties" = 1))]
pub struct FramingForm {
    /// Send the stream in pieces of this many bytes, whatever the ends of its events.
    #[schemars(range(min = 1, max = 65_536))]
    pub piece_bytes: Option<usize>,
    /// The end of a line.
    pub line_end: LineEnd,
    /// A comment before each event.
    pub comments: bool,
    /// The data of each event on several `data:` lines.
    pub split_data: bool,
    /// No space behind `event:` and `data:`.
    pub no_space: bool,
    /// An `id:` and a `retry:` line in each event.
    pub ids: bool,
    /// The `data:` lines of an event before its `event:` line.
    pub data_first: bool,
    /// A byte order mark at the start of the stream.
    pub byte_order_mark: bool,
}

/// A block of the assistant's message: exactly one of its keys.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
pub struct ReplyBlockForm {
    /// Text, streamed word by word. `${tool_result}` is the text of the last tool result in the request,
    /// `${image_colour}` the colour of the last image that the provider decoded.
    #[schemars(length(min = 1), extend("examples" = ["The command printed: ${tool_result}"]))]
    pub text: Option<String>,
    /// A long text: the same text many times. Without a space in it, the text is streamed in one piece.
    pub repeat: Option<RepeatForm>,
    /// A thinking block; the simulator signs it. An empty one has a signature only.
    pub thinking: Option<String>,
    /// A call of a tool; the simulator gives it an id.
    pub tool_use: Option<ToolUseForm>,
    /// Thinking that the simulator sends as data which only it can read.
    #[schemars(length(min = 1))]
    pub redacted_thinking: Option<String>,
    /// Text with citations.
    pub cited_text: Option<CitedTextForm>,
    /// A call of a tool that the provider itself runs. Sent only if the request offers the tool.
    pub server_tool_use: Option<ToolUseForm>,
    /// The result of the last `server_tool_use`: a block of the Messages API without `tool_use_id`.
    #[schemars(extend("examples" = [{"type": "web_search_tool_result", "content": [{"type": "web_search_result", "url": "https://example.com", "title": "An example", "encrypted_content": "RW1wdHk="}]}]))]
    pub server_tool_result: Option<serde_json::Map<String, Value>>,
}

/// Text with citations.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CitedTextForm {
    /// The text.
    #[schemars(length(min = 1))]
    pub text: String,
    /// The citations, as the Messages API has them.
    #[schemars(length(min = 1), extend("examples" = [[{"type": "char_location", "cited_text": "It is red.", "document_index": 0, "document_title": "A letter", "start_char_index": 0, "end_char_index": 10}]]))]
    pub citations: Vec<serde_json::Map<String, Value>>,
}

/// A call of a tool.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ToolUseForm {
    /// The tool, one of those that Claude Code offers.
    #[schemars(length(min = 1), extend("examples" = ["Bash"]))]
    pub name: String,
    /// The tool's arguments.
    #[schemars(extend("examples" = [{"command": "echo pong", "description": "Print a word"}]))]
    pub input: serde_json::Map<String, Value>,
}

/// Token counts of an answer.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("minProperties" = 1))]
pub struct ReplyUsageForm {
    /// Prompt tokens that were neither written to nor read from the cache.
    pub input_tokens: Option<u64>,
    /// Prompt tokens written to the cache.
    pub cache_creation_input_tokens: Option<u64>,
    /// Prompt tokens read from the cache.
    pub cache_read_input_tokens: Option<u64>,
    /// Tokens of the answer.
    pub output_tokens: Option<u64>,
}

/// How a streamed reply is spread in time.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("minProperties" = 1))]
pub struct PaceForm {
    /// Milliseconds from the request to the first byte.
    #[schemars(range(max = 60_000))]
    pub first_byte_ms: Option<u64>,
    /// Milliseconds between two deltas.
    #[schemars(range(max = 60_000))]
    pub between_ms: Option<u64>,
    /// Hold each delta back until the one before it has shown at Claude Code: this tells a gateway that streams from
    /// one that buffers, on a machine of any speed.
    pub lockstep: Option<bool>,
    /// A time without content.
    pub silence: Option<SilenceForm>,
}

/// A time without content in a stream.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SilenceForm {
    /// The number of content deltas before it; 0 if not given.
    #[serde(default)]
    pub after_deltas: usize,
    /// Its length in milliseconds.
    #[schemars(range(min = 1, max = 600_000))]
    pub ms: u64,
    /// The number of `ping` events in it, evenly spread; 0 if not given. InvokeModel and Converse send none.
    #[serde(default)]
    #[schemars(range(max = 100))]
    pub pings: usize,
}

/// A provider's error.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplyErrorForm {
    /// The HTTP status.
    #[schemars(range(min = 400, max = 599), extend("examples" = [529]))]
    pub status: u16,
    /// The error type of the Messages API; if not given, the one that goes with the status.
    #[serde(rename = "type", default)]
    #[schemars(extend("examples" = ["overloaded_error"]))]
    pub kind: Option<String>,
    /// The message.
    #[schemars(length(min = 1), extend("examples" = ["Overloaded"]))]
    pub message: String,
}
