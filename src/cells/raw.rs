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
    /// The tiers of models. Every cell runs once on each, and is green only if it passes on all of them.
    #[schemars(length(min = 1))]
    pub tiers: Vec<TierForm>,
    /// For each provider, the gateway's alias of a model. `{model}` is the tier's model. The aliases
    /// must be `model_name`s of `proxy_config.yaml`.
    #[schemars(extend("examples" = [{"anthropic": "{model}", "vertex_ai": "{model}-vertex-ai"}]))]
    pub aliases: IndexMap<String, String>,
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
}

/// One cell of the matrix: the prompts for Claude Code, the replies of the simulated provider, and what must then hold on
/// both sides of the gateway. A cell is merged from up to four files: `cells/_shared.yaml`, then
/// `cells/_providers/<provider>.yaml`, then `cells/<feature>/_shared.yaml`, then `cells/<feature>/<provider>.yaml`. A key of a
/// later file replaces the earlier one whole; `expect` is merged name by name.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "compat-matrix cell")]
pub struct CellForm {
    /// Why the feature cannot exist on this provider, for readers of the matrix. Such a file has no other key. In
    /// `cells/_providers/<provider>.yaml` it is for the whole column, except for features with a file for this provider.
    #[schemars(length(min = 1), extend("examples" = ["LiteLLM's azure provider serves OpenAI models; Claude is not offered through it."]))]
    pub not_applicable: Option<String>,
    /// What the cell shows, in a sentence.
    pub description: Option<String>,
    /// What is said to Claude Code: one user message of text.
    #[schemars(length(min = 1), extend("examples" = ["Reply with the single word: pong"]))]
    pub prompt: Option<String>,
    /// What is said to Claude Code as several user messages, or with images and documents: a list of messages, each a
    /// list of blocks. The next message is sent when the one before is answered.
    #[schemars(length(min = 1), extend("examples" = [[[{"text": "Which colour is this?"}, {"image": "_red.png"}]]]))]
    pub prompts: Option<Vec<PromptForm>>,
    /// Command-line flags for `claude`, one word an entry. The harness sets the model, the formats and the session itself.
    #[schemars(extend("examples" = [["--allowed-tools", "Bash(echo pong)", "--permission-mode", "dontAsk"]]))]
    pub flags: Option<Vec<String>>,
    /// Environment variables for `claude`, their values in quotes. The harness sets addresses, credentials and folders itself.
    #[schemars(extend("examples" = [{"MAX_THINKING_TOKENS": "4096"}]))]
    pub env: Option<BTreeMap<String, String>>,
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

/// A block of a user message: exactly one of `text`, `image`, `document`.
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
    /// How the stream is spread in time; if not given, all at once.
    pub pace: Option<PaceForm>,
    /// A refusal, in the provider's own error shape.
    pub error: Option<ReplyErrorForm>,
}

/// A block of the assistant's message: exactly one of `text`, `thinking`, `tool_use`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
pub struct ReplyBlockForm {
    /// Text, streamed word by word. `${tool_result}` is the text of the last tool result in the request,
    /// `${image_colour}` the colour of the last image that the provider decoded.
    #[schemars(length(min = 1), extend("examples" = ["The command printed: ${tool_result}"]))]
    pub text: Option<String>,
    /// A thinking block; the simulator signs it.
    #[schemars(length(min = 1))]
    pub thinking: Option<String>,
    /// A call of a tool; the simulator gives it an id.
    pub tool_use: Option<ToolUseForm>,
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
