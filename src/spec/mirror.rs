//! The files as they are written: one field a key, nothing decided.
//!
//! The JSON Schemas in `schema/` are generated from these types, so their doc comments are what an author's editor
//! shows. What is right in form and wrong in meaning is for `resolve` to say.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde_json::Value;

use super::expectation::Turn;
use crate::wire::{Operation, Route};
use crate::wire_diff::Direction;

/// A map in the order of its file.
#[derive(Clone, Debug, PartialEq)]
pub struct Ordered<T>(pub Vec<(String, T)>);

impl<T> Default for Ordered<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Ordered<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Entries<T> {
            type Value = Ordered<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Ordered(entries))
            }
        }
        deserializer.deserialize_map(Entries(PhantomData))
    }
}

impl<T: JsonSchema> JsonSchema for Ordered<T> {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        format!("MapOf{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object", "additionalProperties": generator.subschema_for::<T>() })
    }

    fn inline_schema() -> bool {
        true
    }
}

/// The manifest of the matrix: its rows, its columns, its tiers of models, and how the gateway's model aliases are
/// made. The order here is the order of the published table.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "compat-matrix manifest")]
pub struct ManifestFile {
    /// The version of this file's form: always `"1"`, in quotes.
    #[schemars(extend("enum" = ["1"]))]
    pub schema_version: String,
    /// The columns, in order. Each is the file name of a cell (`cells/tool_use/bedrock_invoke.yaml`).
    #[schemars(length(min = 1), extend("examples" = [["anthropic", "bedrock_invoke"]]))]
    pub providers: Vec<String>,
    /// The rows, in order. Each has a folder of its name below `cells/`.
    #[schemars(length(min = 1))]
    pub features: Vec<FeatureEntry>,
    /// The tiers of models. Every cell is tried once on each, and is green only if it passes on all of them.
    #[schemars(length(min = 1))]
    pub tiers: Vec<TierEntry>,
    /// For each provider, how the gateway calls a model there. `{model}` stands for the tier's model; the results
    /// are the `model_name`s of `proxy_config.yaml`.
    #[schemars(extend("examples" = [{"anthropic": "{model}", "vertex_ai": "{model}-vertex-ai"}]))]
    pub aliases: Ordered<String>,
}

/// A row of the matrix.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FeatureEntry {
    /// The feature's name in paths, filters and results: lower case, digits and `_`.
    #[schemars(extend("examples" = ["tool_use"]))]
    pub id: String,
    /// The feature's name for readers of the matrix.
    #[schemars(extend("examples" = ["Tool use"]))]
    pub name: String,
}

/// A tier of models.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TierEntry {
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

/// One cell of the matrix: what is said to Claude Code, what the simulated provider answers, and what must then hold on
/// both sides of the gateway. The feature and the provider come from the file's path. A key that is missing here
/// is taken from `_shared.yaml` of the same folder; a key that is here replaces the shared one whole, except that
/// `expect` and `known_failures` are merged name by name.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(title = "compat-matrix cell")]
pub struct CellFile {
    /// Why the feature cannot exist on this provider, for readers of the matrix. Such a cell has no other key; it
    /// starts nothing.
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
    pub prompts: Option<Vec<PromptEntry>>,
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
    pub replies: Option<Vec<ReplyEntry>>,
    /// Seconds that one trial may take, simulated or live; 120 if not given.
    #[schemars(range(min = 1, max = 900))]
    pub timeout_seconds: Option<u64>,
    /// What must hold, each under a name of your own. Reports, known failures and mutants call an expectation by its
    /// name; one of the same name in `_shared.yaml` is replaced.
    #[schemars(extend("minProperties" = 1, "propertyNames" = {"pattern": "^[a-z][a-z0-9_]*$"}))]
    pub expect: Option<Ordered<ExpectationEntry>>,
    /// Expectations that the pinned gateway or CLI is known to break, by their names in `expect`. They are still judged: one
    /// that starts to hold fails the run until it is removed here.
    pub known_failures: Option<Ordered<KnownFailureEntry>>,
}

/// One user message: its blocks, in order.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct PromptEntry(#[schemars(length(min = 1))] pub Vec<PromptBlockEntry>);

/// A block of a user message: exactly one of `text`, `image`, `document`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
pub struct PromptBlockEntry {
    /// Text.
    #[schemars(length(min = 1))]
    pub text: Option<String>,
    /// An image file in the feature's folder: PNG, JPEG, GIF or WebP. Its name begins with `_`, so that it is never taken for a cell.
    #[schemars(extend("examples" = ["_red.png"]))]
    pub image: Option<String>,
    /// A PDF file in the feature's folder. Its name begins with `_`, so that it is never taken for a cell.
    #[schemars(extend("examples" = ["_letter.pdf"]))]
    pub document: Option<String>,
}

/// The answer to one request: a message (`content`), or an `error`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("minProperties" = 1))]
pub struct ReplyEntry {
    /// The blocks of the assistant's message, in order.
    #[schemars(length(min = 1))]
    pub content: Option<Vec<ReplyBlockEntry>>,
    /// Why the message ends; if not given, `tool_use` when a tool is called, else `end_turn`.
    #[schemars(extend("examples" = ["end_turn", "tool_use", "max_tokens"]))]
    pub stop_reason: Option<String>,
    /// Token counts to report instead of those that the simulator counts.
    pub usage: Option<UsageEntry>,
    /// How the stream is spread in time; if not given, all at once.
    pub pace: Option<PaceEntry>,
    /// A refusal, in the provider's own error shape.
    pub error: Option<ErrorEntry>,
}

/// A block of the assistant's message: exactly one of `text`, `thinking`, `tool_use`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
pub struct ReplyBlockEntry {
    /// Text, streamed word by word. `${tool_result}` stands for the text of the last tool result in the request,
    /// `${image_colour}` for the colour of the last image that the provider decoded.
    #[schemars(length(min = 1), extend("examples" = ["The command printed: ${tool_result}"]))]
    pub text: Option<String>,
    /// A thinking block; the simulator signs it.
    #[schemars(length(min = 1))]
    pub thinking: Option<String>,
    /// A call of a tool; the simulator gives it an id.
    pub tool_use: Option<ToolUseEntry>,
}

/// A call of a tool.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ToolUseEntry {
    /// The tool, one of those that Claude Code offers.
    #[schemars(length(min = 1), extend("examples" = ["Bash"]))]
    pub name: String,
    /// The tool's arguments.
    #[schemars(extend("examples" = [{"command": "echo pong", "description": "Print a word"}]))]
    pub input: serde_json::Map<String, Value>,
}

/// Token counts of an answer.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("minProperties" = 1))]
pub struct UsageEntry {
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
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("minProperties" = 1))]
pub struct PaceEntry {
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
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ErrorEntry {
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

/// One thing that must hold: exactly one kind (`text`, `tool_call`, `request`, …), and if needed `tiers` and `clause`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(transform = exactly_one_kind)]
pub struct ExpectationEntry {
    /// The tiers it is for; all of them if not given.
    #[schemars(length(min = 1), extend("examples" = [["haiku"]]))]
    pub tiers: Option<Vec<String>>,
    /// The clause of the gateway contract that it rests on.
    #[schemars(extend("examples" = ["llm-gateway-protocol#request-headers"]))]
    pub clause: Option<String>,
    /// Whether it is about what Claude Code says to a gateway alone, and cannot be judged without one
    /// (`--gateway none`), where Claude Code speaks the provider's own protocol.
    pub needs_gateway: bool,
    /// CLI side: the final text that Claude Code printed, of the last prompt.
    #[schemars(extend("examples" = [{"contains": "pong"}]))]
    pub text: Option<MatcherEntry>,
    /// CLI side: Claude Code was asked for a tool, with these arguments.
    #[schemars(extend("examples" = [{"name": "Bash", "input": {"command": {"equals": "echo pong"}}}]))]
    pub tool_call: Option<ToolCallEntry>,
    /// CLI side: Claude Code ran a tool and got a result.
    #[schemars(extend("examples" = [{"name": "Bash", "text": {"contains": "pong"}, "is_error": false}]))]
    pub tool_result: Option<ToolResultEntry>,
    /// CLI side: a thinking block came back; simulated, with the text and the signature that the provider sent.
    #[schemars(extend("examples" = [{}, {"text": {"contains": "step"}}]))]
    pub thinking: Option<ThinkingEntry>,
    /// CLI side: the stream that Claude Code saw.
    #[schemars(extend("examples" = [{"text_deltas": 5, "incremental": true}]))]
    pub stream: Option<StreamEntry>,
    /// CLI side: token counts that Claude Code reports.
    #[schemars(extend("examples" = [{"turn": 2, "counts": {"cache_read_input_tokens": {"min": 1, "as_provider": true}}}]))]
    pub usage: Option<UsageCheckEntry>,
    /// CLI side: why an answer ended.
    #[schemars(extend("examples" = [{"value": {"equals": "end_turn"}}]))]
    pub stop_reason: Option<StopReasonEntry>,
    /// CLI side: the exit status of `claude`.
    #[schemars(range(min = 0, max = 255), extend("examples" = [0]))]
    pub exit: Option<i32>,
    /// CLI side: any event that Claude Code printed (`stream-json`), by a JSONPath into the array of all events.
    #[schemars(extend("examples" = [{"path": "$[?@.type == 'result'].subtype", "value": {"equals": "success"}}]))]
    pub event: Option<EventEntry>,
    /// Gateway's side: its answer to the cell's `direct` request.
    #[schemars(extend("examples" = [{"status": 200, "body": {"$.type": {"equals": "message"}}}]))]
    pub direct_reply: Option<DirectReplyEntry>,
    /// Gateway's side: the number that it answers to the cell's `count_tokens`.
    #[schemars(extend("examples" = [{"min": 1, "as_provider": true}]))]
    pub token_count: Option<CountEntry>,
    /// Provider's side: how many requests reached it. Not judged in a live run.
    #[schemars(extend("examples" = [{"count": 2}]))]
    pub requests: Option<RequestsEntry>,
    /// Provider's side: what a request that reached it must hold. Not judged in a live run.
    #[schemars(extend("examples" = [{"turn": "every", "route": "bedrock_invoke", "stream": true}]))]
    pub request: Option<RequestEntry>,
    /// Provider's side: the images that it decoded are those of the prompt, byte for byte. Not judged in a live run.
    #[schemars(extend("examples" = [{"turn": 1}]))]
    pub image_arrived: Option<TurnOnlyEntry>,
    /// Provider's side: the documents that it received are those of the prompt, byte for byte. Not judged in a live run.
    #[schemars(extend("examples" = [{"turn": 1}]))]
    pub document_arrived: Option<TurnOnlyEntry>,
    /// Provider's side: a tool's result came back, answering the very call that it made. Not judged in a live run.
    #[schemars(extend("examples" = [{"turn": 2, "name": "Bash", "text": {"contains": "pong"}}]))]
    pub tool_result_arrived: Option<ToolResultArrivedEntry>,
    /// Provider's side: the thinking blocks that it sent came back unmodified, at the head of their message. Not judged in a live run.
    #[schemars(extend("examples" = [{"turn": 2}]))]
    pub thinking_arrived: Option<TurnOnlyEntry>,
    /// Provider's side: cache breakpoints (`cache_control`, on Converse `cachePoint`) and what its cache made of them. Not judged in a live run.
    #[schemars(extend("examples" = [{"turn": 2, "breakpoints": 1, "read_tokens": 1}]))]
    pub cache: Option<CacheEntry>,
    /// Both sides: what went into the gateway came out as it was, but for what every gateway may change (`wire-diff.txt` in a
    /// trial's evidence lists both). Not judged in a live run.
    #[schemars(extend("examples" = [{"way": "request"}]))]
    pub unchanged: Option<UnchangedEntry>,
    /// Nothing yet: what is still to be written. It never holds, so that a cell cannot be green before it says what must hold;
    /// `compat new feature` begins every row with one.
    #[schemars(length(min = 1), extend("examples" = ["say what the reply must quote"]))]
    pub todo: Option<String>,
}

/// The keys of an expectation that say what must hold, in the order of the reference.
pub const KINDS: [&str; 20] = [
    "text",
    "tool_call",
    "tool_result",
    "thinking",
    "stream",
    "usage",
    "stop_reason",
    "exit",
    "event",
    "direct_reply",
    "token_count",
    "requests",
    "request",
    "image_arrived",
    "document_arrived",
    "tool_result_arrived",
    "thinking_arrived",
    "cache",
    "unchanged",
    "todo",
];

fn exactly_one_kind(schema: &mut Schema) {
    let required: Vec<Value> = KINDS
        .iter()
        .map(|kind| serde_json::json!({ "required": [kind] }))
        .collect();
    schema.insert("oneOf".to_owned(), required.into());
}

/// What a value must be: all conditions that are given. For a JSONPath that finds several values, one of them must
/// fulfil all of them; `not_contains` must hold for each, and `exists: false` says that there is none.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("minProperties" = 1))]
pub struct MatcherEntry {
    /// Equal to this value: a text, a number, a boolean, a list or a map.
    #[serde(deserialize_with = "any_value")]
    pub equals: Option<Value>,
    /// One of these values.
    #[schemars(length(min = 1))]
    pub one_of: Option<Vec<Value>>,
    /// A text that holds this one (or a value whose JSON text does).
    #[schemars(length(min = 1))]
    pub contains: Option<String>,
    /// A text that does not hold this one (or a value whose JSON text does not).
    #[schemars(length(min = 1))]
    pub not_contains: Option<String>,
    /// A text in which this regular expression finds something (or a value in whose JSON text it does). Syntax: that of the Rust
    /// `regex` crate; `(?i)` for any case.
    #[schemars(length(min = 1), extend("examples" = ["(?i)\\bred\\b"]))]
    pub matches: Option<String>,
    /// `true`: there is such a value. `false`: there is none.
    pub exists: Option<bool>,
    /// A number of at least this.
    pub min: Option<f64>,
    /// A number of at most this.
    pub max: Option<f64>,
}

/// `equals: null` asks for a null, a missing `equals` for nothing.
fn any_value<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// What a token count must be.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("minProperties" = 1))]
pub struct CountEntry {
    /// At least this.
    pub min: Option<u64>,
    /// At most this.
    pub max: Option<u64>,
    /// Exactly what the provider said. Not judged in a live run.
    pub as_provider: Option<bool>,
}

/// A tool and the arguments it is called with.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ToolCallEntry {
    /// The tool.
    #[schemars(length(min = 1))]
    pub name: String,
    /// What its arguments must be, by name.
    #[serde(default)]
    pub input: Ordered<MatcherEntry>,
}

/// A tool and what it answered.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ToolResultEntry {
    /// The tool.
    #[schemars(length(min = 1))]
    pub name: String,
    /// What the result's text must be.
    #[serde(default)]
    pub text: Option<MatcherEntry>,
    /// Whether the result is an error.
    #[serde(default)]
    pub is_error: Option<bool>,
}

/// A thinking block.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ThinkingEntry {
    /// What its text must be.
    pub text: Option<MatcherEntry>,
}

/// A stream.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("minProperties" = 1))]
pub struct StreamEntry {
    /// Least number of text deltas.
    #[schemars(range(min = 1))]
    pub text_deltas: Option<u64>,
    /// Least number of deltas of a tool's arguments.
    #[schemars(range(min = 1))]
    pub input_deltas: Option<u64>,
    /// The deltas arrive as the provider sends them, not in one burst at the end. Simulated, this needs a reply with
    /// `pace: {lockstep: true}`. Live, it is not judged of `input_deltas` alone: a provider may hold them back itself.
    pub incremental: Option<bool>,
}

/// Token counts.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UsageCheckEntry {
    /// Of which answer, from 1; of the whole run if not given.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub turn: Option<usize>,
    /// What each count must be.
    pub counts: UsageCountsEntry,
}

/// What each token count must be.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("minProperties" = 1))]
pub struct UsageCountsEntry {
    /// Prompt tokens that were neither written to nor read from the cache.
    pub input_tokens: Option<CountEntry>,
    /// Prompt tokens written to the cache.
    pub cache_creation_input_tokens: Option<CountEntry>,
    /// Prompt tokens read from the cache.
    pub cache_read_input_tokens: Option<CountEntry>,
    /// Tokens of the answer.
    pub output_tokens: Option<CountEntry>,
}

/// Why an answer ended.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StopReasonEntry {
    /// Of which answer, from 1; of the last if not given.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub turn: Option<usize>,
    /// What the stop reason must be.
    pub value: MatcherEntry,
}

/// Any event of `claude`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventEntry {
    /// A JSONPath (RFC 9535) into the array of all events.
    #[schemars(extend("examples" = ["$[?@.type == 'result'].subtype"]))]
    pub path: String,
    /// What a value found must be.
    pub value: MatcherEntry,
}

/// The answer to the cell's `direct` request.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DirectReplyEntry {
    /// The HTTP status; 200 if not given.
    #[schemars(range(min = 100, max = 599))]
    pub status: Option<u16>,
    /// What the body must hold, by JSONPath (RFC 9535).
    #[schemars(extend("examples" = [{"$.content[0].text": {"equals": "pong"}}]))]
    pub body: Ordered<MatcherEntry>,
}

/// A number of requests.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RequestsEntry {
    /// Of which kind; `messages` if not given.
    #[serde(default)]
    #[schemars(extend("examples" = ["messages", "count_tokens"]))]
    pub operation: Option<Operation>,
    /// How many, exactly.
    pub count: u64,
}

/// A request at the provider.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RequestEntry {
    /// Which request of the trial: a number from 1, `every` or `last`.
    pub turn: TurnEntry,
    /// The kind of request; `messages` if not given.
    #[serde(default)]
    pub operation: Option<Operation>,
    /// The route it came by.
    #[serde(default)]
    pub route: Option<Route>,
    /// Whether it asks for a stream.
    #[serde(default)]
    pub stream: Option<bool>,
    /// What the model must be, as the provider received it: in the body, or on Bedrock and Vertex AI in the path.
    #[serde(default)]
    #[schemars(extend("examples" = [{"contains": "claude-haiku-4-5"}]))]
    pub model: Option<MatcherEntry>,
    /// What its headers must be, by name in lower case. A header that was sent twice counts as its values joined by `,`.
    #[serde(default)]
    #[schemars(extend("examples" = [{"anthropic-version": {"equals": "2023-06-01"}}]))]
    pub headers: Ordered<MatcherEntry>,
    /// What its body must hold as the provider received it, by JSONPath (RFC 9535).
    #[serde(default)]
    #[schemars(extend("examples" = [{"$.max_tokens": {"min": 1}, "$.tools[?@.name == 'Bash']": {"exists": true}}]))]
    pub body: Ordered<MatcherEntry>,
}

/// Which request.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TurnOnlyEntry {
    /// Which request of the trial: a number from 1, `every` or `last`.
    pub turn: TurnEntry,
}

/// A tool's result at the provider.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ToolResultArrivedEntry {
    /// Which request of the trial: a number from 1, `every` or `last`.
    pub turn: TurnEntry,
    /// The tool.
    #[schemars(length(min = 1))]
    pub name: String,
    /// What the result's text must be.
    #[serde(default)]
    pub text: Option<MatcherEntry>,
    /// Whether the result is an error; false if not given.
    #[serde(default)]
    pub is_error: Option<bool>,
}

/// Caching at the provider.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CacheEntry {
    /// Which request of the trial: a number from 1, `every` or `last`.
    pub turn: TurnEntry,
    /// Least number of breakpoints.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub breakpoints: Option<u64>,
    /// Least number of tokens written.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub created_tokens: Option<u64>,
    /// Least number of tokens read.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub read_tokens: Option<u64>,
}

/// A way through the gateway, and what is known to change on it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UnchangedEntry {
    /// `request`: from Claude Code to the provider. `reply`: from the provider to Claude Code, but for when it comes.
    pub way: Direction,
    /// What the pinned gateway is known to change, by the name that `wire-diff.txt` has for it: a header, a beta, a field or
    /// a block. Shown as a known failure, and a fault of the trial once it comes out unchanged.
    #[serde(default)]
    #[schemars(extend("minProperties" = 1, "propertyNames" = {"minLength": 1}))]
    pub except: Option<Ordered<KnownFailureEntry>>,
}

/// A declared fault of the pinned gateway or CLI.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KnownFailureEntry {
    /// What fails, for readers.
    #[schemars(length(min = 1))]
    pub reason: String,
    /// A public page that says so.
    #[schemars(extend("pattern" = "^https?://", "examples" = ["https://github.com/BerriAI/litellm/issues/1"]))]
    pub link: String,
    /// The tiers it fails on; all of them if not given.
    #[serde(default)]
    #[schemars(length(min = 1))]
    pub tiers: Option<Vec<String>>,
}

/// Which request: a number from 1, `every` or `last`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TurnEntry(pub Turn);

impl<'de> Deserialize<'de> for TurnEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let number = value.as_u64().and_then(|number| usize::try_from(number).ok());
        match (value.as_str(), number) {
            (Some("every"), _) => Ok(Self(Turn::Every)),
            (Some("last"), _) => Ok(Self(Turn::Last)),
            (None, Some(number @ 1..)) => Ok(Self(Turn::Number(number))),
            _ => Err(D::Error::custom("expected a number from 1, `every` or `last`")),
        }
    }
}

impl JsonSchema for TurnEntry {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Turn".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": ["integer", "string"],
            "minimum": 1,
            "pattern": "^(every|last)$",
            "examples": [1, "every", "last"],
        })
    }

    fn inline_schema() -> bool {
        true
    }
}
