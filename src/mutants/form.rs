//! A mutant's file as it is written, one field per key.
//!
//! `schema/mutant.schema.json` is generated from these types, so their doc comments are the hover texts in an author's
//! editor. `resolve` checks the meaning of the values.

use indexmap::IndexMap;
use regex::Regex;
use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::event_form::EventChange;
use crate::document::Query;
use crate::outcome::Cause;
use crate::wire::Operation;

/// A seeded bug of the gateway: its change of a request or of the reply, and the cells that must fail because of it. Or a
/// neutral mutant: a change that every gateway may make, under which no cell may fail. The folder is its class, the file its
/// name.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "compat-matrix mutant")]
pub struct MutantForm {
    /// The bug or the change, in a sentence.
    #[schemars(length(min = 1), extend("examples" = ["The beta header of Claude Code does not reach Vertex AI."]))]
    pub description: String,
    /// Public pages that report such a bug, or allow such a change.
    #[schemars(length(min = 1), inner(regex(pattern = "^https?://")), extend("examples" = [["https://github.com/BerriAI/litellm/issues/15299"]]))]
    pub sources: Vec<String>,
    /// `front` (the default) is between Claude Code and the gateway: the Messages API, whatever the provider. `behind` is
    /// between the gateway and the provider: the provider's own API.
    #[serde(default)]
    pub position: RelayPosition,
    /// The columns to run it in. Default: all that have cells.
    #[serde(default)]
    #[schemars(length(min = 1), extend("examples" = [["bedrock_invoke"]]))]
    pub providers: Option<Vec<String>>,
    /// The tier to run it on, if the bug shows on one tier only. Default: the tier of the command line.
    #[serde(default)]
    #[schemars(extend("examples" = ["sonnet"]))]
    pub tier: Option<String>,
    /// The cause that the reports must name. Default: `gateway`.
    #[serde(default)]
    pub cause: Option<Cause>,
    /// Further texts by which the first line of a report may name the change, if its effect has another name. By default the
    /// line has a word of the change itself: a header, a field, a beta, an event, a kind of block.
    #[serde(default)]
    #[schemars(length(min = 1), inner(length(min = 1)), extend("examples" = [["quota project"]]))]
    pub names: Option<Vec<String>>,
    /// Whether `compat mutants --quick` runs it.
    #[serde(default)]
    pub quick: bool,
    /// The requests that it changes, or whose replies it changes. Default: all Messages requests.
    #[serde(default)]
    pub when: When,
    /// The change of such a request.
    #[serde(default)]
    pub request: Option<RequestChange>,
    /// The change of the reply to such a request.
    #[serde(default)]
    pub reply: Option<ReplyChange>,
    /// Its changes on the other side of the gateway, if it changes both sides.
    #[serde(default)]
    pub other_side: Option<OtherSide>,
    /// `green` makes it a neutral mutant: no cell may fail under it. It has no `killed_by` and no `cause`.
    #[serde(default)]
    pub must_stay: Option<MustStay>,
    /// The rows in which a neutral mutant runs. Default: the features of the manifest's first `matrices` entry.
    #[serde(default)]
    #[schemars(extend("examples" = [["subagents"]]))]
    pub rows: Vec<String>,
    /// The expectations that must fail, each with its cells: `feature::provider`. `*` stands for all of the mutant's providers,
    /// or for the features of the manifest's first `matrices` entry. `feature` alone means `feature::*`. The name of an implied
    /// expectation is allowed too.
    #[serde(default)]
    #[schemars(extend("minProperties" = 1, "examples" = [{"result_came_back": ["tool_use"], "run": ["*::bedrock_invoke"]}]))]
    pub killed_by: IndexMap<String, Vec<String>>,
}

/// What no cell may lose under a neutral mutant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MustStay {
    Green,
}

/// The changes on the side of the gateway that `position` does not name.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("minProperties" = 1))]
pub struct OtherSide {
    /// The requests that it changes there, or whose replies it changes. Default: all Messages requests.
    pub when: When,
    /// The change of such a request.
    pub request: Option<RequestChange>,
    /// The change of the reply to such a request.
    pub reply: Option<ReplyChange>,
}

/// A side of the gateway.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RelayPosition {
    /// Between Claude Code and the gateway: the Messages API, whatever the provider.
    #[default]
    Front,
    /// Between the gateway and the provider: the provider's own API.
    Behind,
}

/// The requests that a mutant changes: all conditions that are given hold.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("minProperties" = 1))]
pub struct When {
    /// The operation. Default: `messages`.
    #[schemars(extend("examples" = ["messages", "count_tokens"]))]
    pub operation: Option<Operation>,
    /// The number of the request among the trial's requests with this operation, from 1.
    #[schemars(range(min = 1))]
    pub turn: Option<usize>,
    /// Whether the request asks for a stream.
    pub stream: Option<bool>,
    /// A JSONPath (RFC 9535) that finds something in the request's body.
    #[schemars(extend("examples" = ["$..source[?@ == 'base64']"]))]
    pub body: Option<Query>,
    /// Change the reply only if it is a success, or only if it is an error.
    pub replied: Option<Replied>,
}

/// A class of replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Replied {
    /// Status below 400.
    Success,
    /// Status 400 and above.
    Error,
}

/// The change of a request.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("minProperties" = 1))]
pub struct RequestChange {
    /// Changes of its headers, in order.
    #[schemars(length(min = 1))]
    pub headers: Vec<HeaderEdit>,
    /// Changes of its JSON body, in order.
    #[schemars(length(min = 1))]
    pub body: Vec<Edit>,
    /// A change of its path and query, in their percent-encoded form.
    pub path: Option<TextEdit>,
    /// Copy the value of a header, such as the caller's key. The copy comes before the other changes.
    pub copy_header: Option<HeaderCopy>,
    /// Reverse the order of its headers.
    pub reverse_headers: bool,
    /// Write the names of its headers in title case, as in `Content-Type`.
    pub title_case_headers: bool,
    /// Compress its body, and say so in `content-encoding`. The changes of its headers come later, so they can make that
    /// header wrong. A body that is compressed already stays as it is.
    pub compress: Option<Compression>,
    /// Keep the AWS signature that the gateway made before the change. By default a changed request is signed again.
    pub keep_signature: bool,
    /// Delay it by this number of milliseconds.
    #[schemars(range(min = 1, max = 60_000))]
    pub delay_ms: u64,
    /// Send it a second time, and discard the second reply.
    pub send_twice: bool,
    /// Answer with this, and do not forward the request.
    pub answer: Option<MadeUpReply>,
}

/// The change of a reply.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("minProperties" = 1))]
pub struct ReplyChange {
    /// Its new status.
    #[schemars(range(min = 200, max = 599))]
    pub status: Option<u16>,
    /// Changes of its headers, in order.
    #[schemars(length(min = 1))]
    pub headers: Vec<HeaderEdit>,
    /// Changes of its JSON body, in order, if it is not a stream.
    #[schemars(length(min = 1))]
    pub body: Vec<Edit>,
    /// Changes of its stream's events, in order.
    #[schemars(length(min = 1))]
    pub events: Vec<EventChange>,
    /// Reverse the order of its headers.
    pub reverse_headers: bool,
    /// Compress its body, and say so in `content-encoding`. The changes of its headers come later, so they can make that
    /// header wrong. A body that is compressed already stays as it is, unless the mutant edits it.
    pub compress: Option<Compression>,
    /// Delay its beginning by this number of milliseconds.
    #[schemars(range(min = 1, max = 60_000))]
    pub delay_ms: u64,
    /// Hold it back until it is complete.
    pub buffer: bool,
    /// Send its body in network pieces of at most this number of bytes, wherever its events end.
    #[schemars(range(min = 1))]
    pub chunk_bytes: Option<usize>,
    /// Answer with this instead.
    pub answer: Option<MadeUpReply>,
}

/// How a body is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    Gzip,
}

/// A reply that no provider sent: with `json` or with `text`.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MadeUpReply {
    /// The HTTP status.
    #[schemars(range(min = 200, max = 599))]
    pub status: u16,
    /// A JSON body.
    #[serde(default, deserialize_with = "any_value")]
    #[schemars(extend("examples" = [{"error": {"message": "'NoneType' object is not iterable"}}]))]
    pub json: Option<Value>,
    /// A text body.
    #[serde(default)]
    pub text: Option<String>,
}

/// `null` asks for a null, a missing key for nothing.
pub(super) fn any_value<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}

/// One change of headers.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
#[schemars(transform = one_key)]
pub enum HeaderEdit {
    /// Remove this header.
    #[schemars(extend("examples" = ["anthropic-beta"]))]
    Drop(HeaderName),
    /// Set a header, or add it.
    Set {
        name: HeaderName,
        /// The value.
        value: String,
    },
    /// Give a header another name.
    Rename { name: HeaderName, to: HeaderName },
    /// Remove the matching entries of a header's comma-separated list.
    DropEntry { name: HeaderName, find: Regexp },
    /// Add an entry to a header's comma-separated list.
    AddEntry {
        name: HeaderName,
        /// The entry.
        value: String,
    },
    /// In a header's value, replace the matches of a regular expression.
    ReplaceText {
        name: HeaderName,
        find: Regexp,
        /// The replacement; `$1` stands for the first group.
        with: String,
    },
}

/// A header whose value is copied to another place of the request.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeaderCopy {
    pub name: HeaderName,
    /// Where the copy stands.
    pub to: CopyTarget,
}

/// Where a copy of a header's value stands.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
#[schemars(transform = one_key)]
pub enum CopyTarget {
    /// In another header.
    #[schemars(extend("examples" = ["x-api-key"]))]
    Header(HeaderName),
    /// In this parameter of the query.
    #[schemars(extend("examples" = ["key"]))]
    Query(String),
    /// At the end of the texts of the JSON body that a JSONPath (RFC 9535) finds.
    #[schemars(extend("examples" = ["$.messages[-1].content[-1].text"]))]
    Text(Query),
}

/// The name of a header.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(from = "String")]
#[schemars(with = "String", extend("minLength" = 1))]
pub struct HeaderName(pub(super) String);

impl From<String> for HeaderName {
    fn from(name: String) -> Self {
        Self(name.to_ascii_lowercase())
    }
}

/// A regular expression, in the syntax of Rust's `regex` crate.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(try_from = "String")]
#[schemars(with = "String", extend("minLength" = 1, "x-syntax" = "regular expression"))]
pub struct Regexp(pub Regex);

impl TryFrom<String> for Regexp {
    type Error = regex::Error;

    fn try_from(text: String) -> Result<Self, regex::Error> {
        Regex::new(&text).map(Self)
    }
}

impl PartialEq for Regexp {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

/// One change of a JSON value. A JSONPath (RFC 9535) finds the values to change.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
#[schemars(transform = one_key)]
pub enum Edit {
    /// Remove the values found.
    #[schemars(extend("examples" = ["$..cache_control"]))]
    Drop(Query),
    /// Replace the values found.
    Set {
        path: Query,
        /// The new value.
        value: Value,
    },
    /// Add an entry to the maps or lists found.
    Add {
        /// The maps or lists.
        to: Query,
        /// The entry's key, for maps.
        #[serde(default)]
        key: Option<String>,
        /// The entry.
        value: Value,
        /// Add it at the beginning of a list, not at its end.
        #[serde(default)]
        first: bool,
    },
    /// Put the values found under another key.
    Rename {
        path: Query,
        /// The new key.
        #[schemars(length(min = 1))]
        to: String,
    },
    /// Reverse the lists found.
    Reverse(Query),
    /// Repeat the list entries found.
    Duplicate(Query),
    /// Move the values found to a list.
    Move {
        from: Query,
        /// The list.
        to: Query,
        /// Add them at the beginning of the list, not at its end.
        #[serde(default)]
        first: bool,
    },
    /// In the texts found, replace the matches of a regular expression.
    ReplaceText {
        path: Query,
        find: Regexp,
        /// The replacement; `$1` stands for the first group.
        with: String,
    },
    /// Increase the numbers found.
    Increase {
        path: Query,
        /// The summand; a negative one decreases them.
        by: f64,
    },
    /// Multiply the numbers found. An integer stays one: its product is rounded.
    Scale {
        path: Query,
        /// The factor.
        by: f64,
    },
    /// Bring the texts found into a Unicode normalization form.
    Normalize { path: Query, form: NormalForm },
    /// Change the letters of the texts found.
    ChangeCase { path: Query, to: LetterCase },
}

/// A Unicode normalization form (<https://unicode.org/reports/tr15/>).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NormalForm {
    /// Composed: `é` is one character.
    Nfc,
    /// Decomposed: `é` is a letter and an accent.
    Nfd,
}

/// The case of letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LetterCase {
    Lower,
    Upper,
}

/// A change of a text.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TextEdit {
    pub find: Regexp,
    /// The replacement of each match; `$1` stands for the first group.
    pub with: String,
}

/// Turns the schema of an enum, which is one object per variant, into one object with exactly one key. The errors of form
/// then name the allowed keys.
fn one_key(schema: &mut Schema) {
    let mut properties = serde_json::Map::new();
    for variant in schema
        .remove("oneOf")
        .iter()
        .filter_map(Value::as_array)
        .flatten()
    {
        for (key, value) in variant["properties"].as_object().into_iter().flatten() {
            let mut value = value.clone();
            for keyword in ["description", "examples"] {
                if let Some(text) = variant.get(keyword) {
                    value[keyword] = text.clone();
                }
            }
            properties.insert(key.clone(), value);
        }
    }
    schema.insert("type".to_owned(), "object".into());
    schema.insert("additionalProperties".to_owned(), false.into());
    schema.insert("properties".to_owned(), properties.into());
    schema.insert("minProperties".to_owned(), 1.into());
    schema.insert("maxProperties".to_owned(), 1.into());
}
