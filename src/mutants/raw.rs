//! A mutant's file as it is written: one field a key, nothing decided.
//!
//! `schema/mutant.schema.json` is generated from these types, so their doc comments are what an author's editor shows.
//! What is right in form and wrong in meaning is for `resolve` to say.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::{Position, Replied};
use crate::wire::Operation;

/// A seeded bug of the gateway: what it does to a request or to the reply, and the cells that must go red because of
/// it. Its class is the folder, its name the file.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "compat-matrix mutant")]
pub struct MutantForm {
    /// What the gateway does wrong, in a sentence.
    #[schemars(length(min = 1), extend("examples" = ["The beta header of Claude Code does not reach Vertex AI."]))]
    pub description: String,
    /// Public pages that tell of such a bug.
    #[schemars(length(min = 1), inner(regex(pattern = "^https?://")), extend("examples" = [["https://github.com/BerriAI/litellm/issues/15299"]]))]
    pub sources: Vec<String>,
    /// Between Claude Code and the gateway (`front`: the Messages API, whatever the provider is), or between the gateway
    /// and the provider (`behind`: the provider's own API); `front` if not given.
    #[serde(default)]
    pub position: Option<Position>,
    /// The columns that it is tried in; all that have cells if not given.
    #[serde(default)]
    #[schemars(length(min = 1), extend("examples" = [["bedrock_invoke"]]))]
    pub providers: Option<Vec<String>>,
    /// The tier that it is tried on, where it shows on that one alone; the one that is asked for on the command line if
    /// not given.
    #[serde(default)]
    #[schemars(extend("examples" = ["sonnet"]))]
    pub tier: Option<String>,
    /// Whether `compat mutants --quick` tries it.
    #[serde(default)]
    pub quick: bool,
    /// Which requests, or replies to which requests, it changes; all Messages requests if not given.
    #[serde(default)]
    pub when: WhenForm,
    /// What it does to such a request.
    #[serde(default)]
    pub request: Option<RequestChangeForm>,
    /// What it does to the reply to such a request.
    #[serde(default)]
    pub reply: Option<ReplyChangeForm>,
    /// The expectations that must not hold, each with the cells in which it must not: `feature::provider`, where `*` stands for
    /// all (of the mutant's providers) and `feature` alone for `feature::*`. The name of an implied expectation is allowed too.
    #[schemars(extend("minProperties" = 1, "examples" = [{"result_came_back": ["tool_use"], "run": ["*::bedrock_invoke"]}]))]
    pub killed_by: IndexMap<String, Vec<String>>,
}

/// Which requests: all the conditions that are given hold.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("minProperties" = 1))]
pub struct WhenForm {
    /// The kind; `messages` if not given.
    #[schemars(extend("examples" = ["messages", "count_tokens"]))]
    pub operation: Option<Operation>,
    /// Which of its kind in the trial, from 1.
    #[schemars(range(min = 1))]
    pub turn: Option<usize>,
    /// Whether it asks for a stream.
    pub stream: Option<bool>,
    /// A JSONPath (RFC 9535) that finds something in its body.
    #[schemars(extend("examples" = ["$..source[?@ == 'base64']"]))]
    pub body: Option<String>,
    /// Whether the reply that came was a success or an error: only such a reply is changed.
    pub replied: Option<Replied>,
}

/// What is done to a request.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("minProperties" = 1))]
pub struct RequestChangeForm {
    /// To its headers, in order.
    #[schemars(length(min = 1))]
    pub headers: Option<Vec<HeaderEditForm>>,
    /// To its JSON body, in order.
    #[schemars(length(min = 1))]
    pub body: Option<Vec<EditForm>>,
    /// To its path and query, percent-encoded as they are.
    pub path: Option<ReplaceForm>,
    /// It is held back for so many milliseconds.
    #[schemars(range(min = 1, max = 60_000))]
    pub delay_ms: Option<u64>,
    /// It is sent a second time, whose reply nobody reads.
    pub send_twice: Option<bool>,
    /// It is not passed on, but answered with this.
    pub answer: Option<AnswerForm>,
}

/// What is done to a reply.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("minProperties" = 1))]
pub struct ReplyChangeForm {
    /// It gets another status.
    #[schemars(range(min = 200, max = 599))]
    pub status: Option<u16>,
    /// To its headers, in order.
    #[schemars(length(min = 1))]
    pub headers: Option<Vec<HeaderEditForm>>,
    /// To its JSON body, in order, where it is not streamed.
    #[schemars(length(min = 1))]
    pub body: Option<Vec<EditForm>>,
    /// To the events of its stream, in order.
    #[schemars(length(min = 1))]
    pub events: Option<Vec<EventChangeForm>>,
    /// It is held back for so many milliseconds before it begins.
    #[schemars(range(min = 1, max = 60_000))]
    pub delay_ms: Option<u64>,
    /// It is held back until it is whole.
    pub buffer: Option<bool>,
    /// It comes in pieces of so many bytes, wherever its events begin and end.
    #[schemars(range(min = 1))]
    pub chunk_bytes: Option<usize>,
    /// This is answered instead.
    pub answer: Option<AnswerForm>,
}

/// A reply that no provider sent: with `json` or with `text`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AnswerForm {
    /// The HTTP status.
    #[schemars(range(min = 200, max = 599))]
    pub status: u16,
    /// The body, JSON.
    #[serde(default, deserialize_with = "any_value")]
    #[schemars(extend("examples" = [{"error": {"message": "'NoneType' object is not iterable"}}]))]
    pub json: Option<Value>,
    /// The body, a text.
    #[serde(default)]
    pub text: Option<String>,
}

/// One change of headers.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
pub struct HeaderEditForm {
    /// It is left out.
    #[schemars(length(min = 1), extend("examples" = ["anthropic-beta"]))]
    pub drop: Option<String>,
    /// It has this value, whether it was there or not.
    pub set: Option<HeaderValueForm>,
    /// It has another name.
    pub rename: Option<HeaderNameForm>,
    /// What a regular expression finds is left out of its comma-separated list.
    pub drop_entry: Option<HeaderFindForm>,
    /// An entry is added to its comma-separated list.
    pub add_entry: Option<HeaderValueForm>,
}

/// A header and a value.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeaderValueForm {
    /// The header.
    #[schemars(length(min = 1))]
    pub name: String,
    /// The value.
    pub value: String,
}

/// A header and its other name.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeaderNameForm {
    /// The header.
    #[schemars(length(min = 1))]
    pub name: String,
    /// The other name.
    #[schemars(length(min = 1))]
    pub to: String,
}

/// A header and what is found in it.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeaderFindForm {
    /// The header.
    #[schemars(length(min = 1))]
    pub name: String,
    /// A regular expression.
    #[schemars(length(min = 1))]
    pub find: String,
}

/// One change of a JSON value. What is changed is found by JSONPath (RFC 9535).
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("minProperties" = 1, "maxProperties" = 1))]
pub struct EditForm {
    /// What is found is left out.
    #[schemars(extend("examples" = ["$..cache_control"]))]
    pub drop: Option<String>,
    /// What is found is replaced.
    pub set: Option<SetForm>,
    /// Maps or lists that are found get an entry.
    pub add: Option<AddForm>,
    /// What is found stands under another key.
    pub rename: Option<RenameForm>,
    /// Lists that are found are turned round.
    pub reverse: Option<String>,
    /// List entries that are found stand there twice.
    pub duplicate: Option<String>,
    /// What is found is taken out and added to a list.
    #[serde(rename = "move")]
    pub shift: Option<MoveForm>,
    /// In texts that are found, what a regular expression finds is replaced.
    pub replace_text: Option<ReplaceTextForm>,
}

/// A replacement.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetForm {
    /// What is replaced.
    pub path: String,
    /// What stands there instead.
    pub value: Value,
}

/// An addition.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AddForm {
    /// The maps or lists that get it.
    pub to: String,
    /// Its key, in maps.
    #[serde(default)]
    pub key: Option<String>,
    /// The entry.
    pub value: Value,
    /// At the beginning of lists, not at their end.
    #[serde(default)]
    pub first: bool,
}

/// Another key.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RenameForm {
    /// What stands under it.
    pub path: String,
    /// The key.
    #[schemars(length(min = 1))]
    pub to: String,
}

/// Another place.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MoveForm {
    /// What is moved.
    pub from: String,
    /// The list that it is added to.
    pub to: String,
    /// At its beginning, not at its end.
    #[serde(default)]
    pub first: bool,
}

/// Other words.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplaceTextForm {
    /// The texts.
    pub path: String,
    /// A regular expression.
    #[schemars(length(min = 1))]
    pub find: String,
    /// What stands there instead; `$1` for its first group.
    pub with: String,
}

/// Another text.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplaceForm {
    /// A regular expression.
    #[schemars(length(min = 1))]
    pub find: String,
    /// What stands there instead; `$1` for its first group.
    pub with: String,
}

/// Which events of a stream (`name`, `where`, `nth`), and exactly one thing that is done to them.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EventChangeForm {
    /// Their name, the `type` of a Messages API event; any if not given.
    #[schemars(length(min = 1), extend("examples" = ["content_block_delta"]))]
    pub name: Option<String>,
    /// A JSONPath (RFC 9535) that finds something in their data.
    #[serde(rename = "where")]
    #[schemars(extend("examples" = ["$.delta[?@ == 'signature_delta']"]))]
    pub filter: Option<String>,
    /// Which of them, from 1; each if not given.
    #[schemars(range(min = 1))]
    pub nth: Option<usize>,
    /// They are not passed on.
    pub drop: Option<bool>,
    /// They are passed on twice.
    pub duplicate: Option<bool>,
    /// Their data is changed.
    #[schemars(length(min = 1))]
    pub edit: Option<Vec<EditForm>>,
    /// They get another name, and `type`.
    #[schemars(length(min = 1))]
    pub rename: Option<String>,
    /// Each comes in two halves, as if they were events (server-sent events alone).
    pub split: Option<bool>,
    /// Those that follow one another become one, their texts joined.
    pub merge: Option<bool>,
    /// Those that follow one another are held back until another event comes.
    pub hold: Option<bool>,
    /// They change places with the event that follows.
    pub swap_with_next: Option<bool>,
    /// They are passed on at the end of the stream.
    pub move_to_end: Option<bool>,
    /// Another event comes before them.
    pub insert_before: Option<InsertForm>,
    /// Another event comes after them.
    pub insert_after: Option<InsertForm>,
    /// They are held back for so many milliseconds, and all that follows.
    #[schemars(range(min = 1, max = 60_000))]
    pub delay_ms: Option<u64>,
    /// The connection breaks before or after them.
    pub cut: Option<Side>,
    /// The stream ends, properly, before or after them.
    pub end: Option<Side>,
}

/// Before or after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Before.
    Before,
    /// After.
    After,
}

/// An event that no provider sent.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InsertForm {
    /// Its name.
    #[schemars(length(min = 1))]
    pub name: String,
    /// Its data.
    pub data: Value,
}

/// `null` asks for a null, a missing key for nothing.
fn any_value<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}
