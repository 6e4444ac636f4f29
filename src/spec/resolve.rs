//! From a cell's files to the checked cell: form, merge, then meaning.
//!
//! All faults at once: what has a fault of form is set aside, and the rest is still read for its meaning. Reads
//! no file; attachments come through a function of the caller's.

use crate::document::written;
use crate::text::{closest, listed};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use super::cell::{Cell, CellBody, Prompt, PromptBlock, Test};
use super::expectation::{Expectation, IMPLIED, KnownFailure};
use super::forms;
use super::manifest::Manifest;
use super::mirror::{
    CellFile, ExpectationEntry, KnownFailureEntry, PromptBlockEntry, ReplyBlockEntry, ReplyEntry,
};
use super::owned;
use super::resolve_expectation;
use crate::document::Diagnostic;
use crate::document::form::FormError;
use crate::document::yaml;
use crate::document::{Entry, Node, NodeValue};
use crate::ids::CellId;
use crate::wire::Usage;
use crate::wire::redaction;
use crate::wire::script::{PLACEHOLDERS, Pace, Reply, ReplyBlock, ReplyError, ReplyMessage, Script};

/// Seconds that a trial may take where its cell does not say.
pub const DEFAULT_TIMEOUT_SECONDS: u64 = 120;

/// A feature's `_shared.yaml`, right in form; what it means is seen cell by cell.
#[derive(Clone, Debug)]
pub struct Shared {
    node: Node,
}

impl Shared {
    pub fn parse(file: &Path, bytes: &[u8]) -> Result<Self, Vec<Diagnostic>> {
        let node = yaml::parse(file, bytes)?;
        let form = forms::SHARED
            .check(&node)
            .into_iter()
            .map(|found| not_shareable(found.diagnostic));
        let faults: Vec<Diagnostic> = form.chain(credentials(&node)).collect();
        if faults.is_empty() {
            Ok(Self { node })
        } else {
            Err(faults)
        }
    }
}

fn not_shareable(fault: Diagnostic) -> Diagnostic {
    match fault.path.as_str() {
        "not_applicable" => Diagnostic {
            message: "`not_applicable` cannot be shared".to_owned(),
            ..fault
        }
        .hint("it belongs into the files of the providers that it is true for"),
        _ => fault,
    }
}

/// Texts of a file that look like credentials. The fault does not show them: what is checked is printed and kept.
fn credentials(node: &Node) -> Vec<Diagnostic> {
    match &node.value {
        NodeValue::Text(text) if redaction::is_credential(text) => {
            let fault = Diagnostic::at(&node.span, "this looks like a credential, and cells hold none");
            vec![
                Diagnostic { span: None, ..fault }
                    .hint("remove it, and have it revoked if it ever left this machine: files are shared"),
            ]
        }
        NodeValue::List(items) => items.iter().flat_map(credentials).collect(),
        NodeValue::Map(entries) => entries
            .iter()
            .flat_map(|entry| credentials(&entry.value))
            .collect(),
        _ => Vec::new(),
    }
}

/// Gives the bytes of a file in the feature's folder, or why they cannot be had.
pub type Attachments<'a> = &'a dyn Fn(&Path) -> Result<Vec<u8>, String>;

/// Reads the cell `id` from the bytes of its own `file` and from what its feature shares, if it shares something.
pub fn cell(
    id: &CellId,
    file: &Path,
    bytes: &[u8],
    shared: Option<Result<&Shared, &Vec<Diagnostic>>>,
    manifest: &Manifest,
    attachments: Attachments<'_>,
) -> Result<Cell, Vec<Diagnostic>> {
    let own = yaml::parse(file, bytes)?;
    let form = forms::CELL.check(&own);
    let mut faults: Vec<Diagnostic> = form.iter().map(|found| found.diagnostic.clone()).collect();
    faults.extend(credentials(&own));
    if let Some(reason) = own.get("not_applicable") {
        faults.extend(not_applicable_faults(&own, reason));
        return match &reason.value.value {
            NodeValue::Text(text) if faults.is_empty() => Ok(Cell {
                id: id.clone(),
                body: CellBody::NotApplicable(text.trim().to_owned()),
            }),
            _ => Err(faults),
        };
    }
    let shared = match shared.transpose() {
        Ok(shared) => shared,
        Err(shared_faults) => {
            faults.extend(shared_faults.iter().cloned());
            return Err(faults);
        }
    };
    let Some(mut node) = merged(shared, &own) else {
        return Err(faults);
    };
    let damaged = set_aside(&mut node, &form);
    let mirror = match CellFile::deserialize(node.to_json()) {
        Ok(mirror) => mirror,
        Err(error) => {
            faults.push(Diagnostic::of_file(file, error.to_string()));
            return Err(faults);
        }
    };
    let mut resolver = Resolver {
        id,
        node: &node,
        shared,
        mirror: &mirror,
        manifest,
        attachments,
        damaged,
        faults,
    };
    let test = resolver.test();
    let mut faults = resolver.faults;
    if faults.is_empty() {
        let body = CellBody::Test(Box::new(test));
        return Ok(Cell { id: id.clone(), body });
    }
    faults.sort_by(|one, other| place_order(one).cmp(&place_order(other)));
    Err(faults)
}

/// A key of a merged cell: what it says, and which file says it.
#[derive(Clone, Debug, PartialEq)]
pub struct Origin {
    /// The key, and for what is merged name by name also the name: `expect.route`.
    pub key: String,
    pub place: crate::document::Place,
    /// Its value, as it is written.
    pub value: Value,
}

/// The keys of a cell, merged from the bytes of its own `file` and from what its feature shares, each with its origin.
pub fn origins(file: &Path, bytes: &[u8], shared: Option<&Shared>) -> Result<Vec<Origin>, Vec<Diagnostic>> {
    let own = yaml::parse(file, bytes)?;
    let shared = shared.filter(|_| own.get("not_applicable").is_none());
    let node = merged(shared, &own).unwrap_or(own);
    let mut origins = Vec::new();
    for entry in node.entries() {
        let by_name = matches!(entry.key.as_str(), "expect" | "known_failures");
        match by_name {
            false => origins.push(origin(entry.key.clone(), entry)),
            true => origins.extend(
                entry
                    .value
                    .entries()
                    .iter()
                    .map(|named| origin(format!("{}.{}", entry.key, named.key), named)),
            ),
        }
    }
    Ok(origins)
}

fn origin(key: String, entry: &Entry) -> Origin {
    Origin {
        key,
        place: entry.key_span.place(),
        value: entry.value.to_json(),
    }
}

fn place_order(fault: &Diagnostic) -> (&Path, usize, usize) {
    (&fault.place.file, fault.place.line, fault.place.column)
}

fn not_applicable_faults(own: &Node, reason: &Entry) -> Vec<Diagnostic> {
    let mut faults: Vec<Diagnostic> = own
        .entries()
        .iter()
        .filter(|entry| entry.key != "not_applicable")
        .map(|entry| {
            Diagnostic::at(
                &entry.key_span,
                format!("`{}` contradicts `not_applicable`", entry.key),
            )
            .path(entry.key.clone())
            .related(
                reason.key_span.place(),
                "the cell is not applicable, so nothing is run",
            )
            .hint("keep one of the two")
        })
        .collect();
    if matches!(&reason.value.value, NodeValue::Text(text) if text.trim().is_empty() && !text.is_empty()) {
        faults.push(Diagnostic::at(&reason.value.span, "the reason is empty").path("not_applicable"));
    }
    faults
}

/// The shared file's tree with the own file's keys in place of its; `None` if the own file is not a map.
fn merged(shared: Option<&Shared>, own: &Node) -> Option<Node> {
    let NodeValue::Map(own_entries) = &own.value else {
        return None;
    };
    let mut entries: Vec<Entry> = shared
        .map(|shared| shared.node.entries().to_vec())
        .unwrap_or_default();
    // A prompt in either form replaces a shared one in the other form.
    for (given, other) in [("prompt", "prompts"), ("prompts", "prompt")] {
        if own.get(given).is_some() {
            entries.retain(|entry| entry.key != other);
        }
    }
    for entry in own_entries {
        let by_name = matches!(entry.key.as_str(), "expect" | "known_failures");
        match entries.iter_mut().find(|known| known.key == entry.key) {
            Some(known) if by_name => merge_by_name(known, entry),
            Some(known) => *known = entry.clone(),
            None => entries.push(entry.clone()),
        }
    }
    Some(Node {
        span: own.span.clone(),
        value: NodeValue::Map(entries),
    })
}

fn merge_by_name(shared: &mut Entry, own: &Entry) {
    let (NodeValue::Map(shared_entries), NodeValue::Map(own_entries)) =
        (&mut shared.value.value, &own.value.value)
    else {
        *shared = own.clone();
        return;
    };
    for entry in own_entries {
        match shared_entries.iter_mut().find(|known| known.key == entry.key) {
            Some(known) => *known = entry.clone(),
            None => shared_entries.push(entry.clone()),
        }
    }
}

/// What was taken out of the tree because its form is wrong: no second fault is to be made of its absence.
#[derive(Debug, Default)]
struct Damaged {
    keys: BTreeSet<String>,
    expectations: BTreeSet<String>,
}

fn set_aside(node: &mut Node, form: &[FormError]) -> Damaged {
    let mut damaged = Damaged::default();
    for found in form {
        match &found.path[..] {
            [] => {}
            [key, name, ..] if key == "expect" || key == "known_failures" => {
                damaged.keys.insert(key.clone());
                damaged.expectations.insert(name.clone());
                remove(node, &[key, name]);
            }
            // The other variables may have faults of their own.
            [key, name] if key == "env" => remove(node, &[key, name]),
            [key, ..] => {
                damaged.keys.insert(key.clone());
                remove(node, &[key]);
            }
        }
    }
    damaged
}

fn remove(node: &mut Node, path: &[&String]) {
    let NodeValue::Map(entries) = &mut node.value else {
        return;
    };
    match path {
        [key] => entries.retain(|entry| entry.key != **key),
        [key, rest @ ..] => {
            if let Some(entry) = entries.iter_mut().find(|entry| entry.key == **key) {
                remove(&mut entry.value, rest);
            }
        }
        [] => {}
    }
}

/// A path of keys into the merged tree.
#[derive(Clone, Debug, Default)]
pub(super) struct KeyPath(pub(super) Vec<String>);

impl KeyPath {
    pub(super) fn of(key: impl Display) -> Self {
        Self(vec![key.to_string()])
    }

    pub(super) fn then(&self, step: impl Display) -> Self {
        let mut steps = self.0.clone();
        steps.push(step.to_string());
        Self(steps)
    }
}

/// What an expectation must know of the rest of its cell.
pub(super) struct Context<'a> {
    pub(super) id: &'a CellId,
    pub(super) manifest: &'a Manifest,
    pub(super) prompts: &'a [Prompt],
    pub(super) direct: bool,
    pub(super) count_tokens: bool,
    pub(super) script: &'a Script,
    /// Whether `prompts` and `script` are what the author wrote, so that conclusions from them hold.
    pub(super) whole: bool,
}

struct Resolver<'a> {
    id: &'a CellId,
    node: &'a Node,
    shared: Option<&'a Shared>,
    mirror: &'a CellFile,
    manifest: &'a Manifest,
    attachments: Attachments<'a>,
    damaged: Damaged,
    faults: Vec<Diagnostic>,
}

impl Resolver<'_> {
    fn test(&mut self) -> Test {
        let before = self.faults.len();
        let prompts = self.prompts();
        let script = self.script();
        let direct = self.direct();
        let count_tokens = self.count_tokens();
        let broken_input = ["prompt", "prompts", "replies", "direct"]
            .iter()
            .any(|key| self.damaged.keys.contains(*key));
        let whole = self.faults.len() == before && !broken_input;
        if whole {
            self.balance(&prompts, &script, direct.is_some());
        }
        let context = Context {
            id: self.id,
            manifest: self.manifest,
            prompts: &prompts,
            direct: direct.is_some(),
            count_tokens: count_tokens.is_some(),
            script: &script,
            whole,
        };
        let expectations = self.expectations(&context);
        Test {
            implied_known_failures: self.implied_known_failures(),
            flags: self.flags(),
            env: self.env(),
            timeout_seconds: self.mirror.timeout_seconds.unwrap_or(DEFAULT_TIMEOUT_SECONDS),
            prompts,
            direct,
            count_tokens,
            script,
            expectations,
        }
    }

    fn at(&self, path: &KeyPath, message: impl Into<String>) -> Diagnostic {
        Diagnostic::at(self.node.span_at(&path.0), message).path(written(&path.0))
    }

    /// A fault of something that neither of the cell's files has. What a feature's cells share is where it is looked for, so
    /// that it is told once of all the cells that lack it.
    fn missing(&self, message: &str) -> Diagnostic {
        match self.shared {
            None => Diagnostic::at(&self.node.span, message),
            Some(shared) => Diagnostic::at(&shared.node.span, message)
                .related(self.node.span.place(), "a cell that lacks it"),
        }
    }

    fn prompts(&mut self) -> Vec<Prompt> {
        match (&self.mirror.prompt, &self.mirror.prompts) {
            (Some(_), Some(_)) => {
                let first = self.node.key_span_at(&KeyPath::of("prompt").0).place();
                let fault = Diagnostic::at(
                    self.node.key_span_at(&KeyPath::of("prompts").0),
                    "`prompt` and `prompts` contradict each other",
                )
                .path("prompts")
                .related(first, "`prompt` stands here")
                .hint("keep `prompt` for one message of text, `prompts` for anything else");
                self.faults.push(fault);
                Vec::new()
            }
            (None, None) => {
                if !self.damaged.keys.contains("prompt") && !self.damaged.keys.contains("prompts") {
                    let fault = self.missing("the cell says nothing to Claude Code").allowed(
                        "`prompt` (a text) or `prompts`, in `_shared.yaml` or in the provider's own file",
                    );
                    self.faults.push(fault);
                }
                Vec::new()
            }
            (Some(text), None) => {
                self.filled(&KeyPath::of("prompt"), text);
                vec![Prompt {
                    blocks: vec![PromptBlock::Text(text.clone())],
                }]
            }
            (None, Some(prompts)) => {
                let path = KeyPath::of("prompts");
                prompts
                    .iter()
                    .enumerate()
                    .map(|(index, prompt)| self.prompt(&path.then(index), &prompt.0))
                    .collect()
            }
        }
    }

    fn prompt(&mut self, path: &KeyPath, entries: &[PromptBlockEntry]) -> Prompt {
        let blocks = entries
            .iter()
            .enumerate()
            .filter_map(|(index, entry)| self.prompt_block(&path.then(index), entry))
            .collect();
        Prompt { blocks }
    }

    fn prompt_block(&mut self, path: &KeyPath, entry: &PromptBlockEntry) -> Option<PromptBlock> {
        if let Some(text) = &entry.text {
            self.filled(&path.then("text"), text);
            return Some(PromptBlock::Text(text.clone()));
        }
        if let Some(file) = &entry.image {
            let (file, media_type, bytes) = self.attachment(&path.then("image"), file, &IMAGES)?;
            return Some(PromptBlock::Image {
                file,
                media_type,
                bytes,
            });
        }
        let file = entry.document.as_ref()?;
        let (file, media_type, bytes) = self.attachment(&path.then("document"), file, &DOCUMENTS)?;
        Some(PromptBlock::Document {
            file,
            media_type,
            bytes,
        })
    }

    fn attachment(
        &mut self,
        path: &KeyPath,
        name: &str,
        kinds: &[MediaKind],
    ) -> Option<(PathBuf, String, Vec<u8>)> {
        let file = PathBuf::from(name);
        let plain = file
            .components()
            .all(|component| matches!(component, Component::Normal(_)));
        if !plain || !name.starts_with('_') {
            let fault = self
                .at(
                    path,
                    format!("`{name}` is not a file of the feature's folder whose name begins with `_`"),
                )
                .hint("files beside the cells begin with `_`, so that they are never taken for cells");
            self.faults.push(fault);
            return None;
        }
        let ending = file
            .extension()
            .and_then(|ending| ending.to_str())
            .unwrap_or_default()
            .to_ascii_lowercase();
        let Some(kind) = kinds.iter().find(|kind| kind.endings.contains(&ending.as_str())) else {
            let endings: Vec<&str> = kinds
                .iter()
                .flat_map(|kind| kind.endings.iter().copied())
                .collect();
            let fault = self
                .at(
                    path,
                    format!("`{name}` has an ending of no kind that may stand here"),
                )
                .allowed(listed(endings));
            self.faults.push(fault);
            return None;
        };
        match (self.attachments)(&file) {
            Err(reason) => {
                let fault = self.at(path, format!("`{name}` cannot be read: {reason}"));
                self.faults.push(fault);
                None
            }
            Ok(bytes) if !(kind.is)(&bytes) => {
                let fault = self.at(
                    path,
                    format!("`{name}` does not hold `{}`, as its ending says", kind.media_type),
                );
                self.faults.push(fault);
                None
            }
            Ok(bytes) => Some((file, kind.media_type.to_owned(), bytes)),
        }
    }

    fn filled(&mut self, path: &KeyPath, text: &str) {
        if text.trim().is_empty() {
            let fault = self
                .at(path, "the text is empty")
                .hint("providers refuse empty text");
            self.faults.push(fault);
        }
    }

    fn direct(&mut self) -> Option<Value> {
        let body = self.mirror.direct.clone()?;
        let path = KeyPath::of("direct");
        if body.get("stream") == Some(&Value::Bool(true)) {
            let fault = self
                .at(&path.then("stream"), "a direct request is answered in one piece")
                .hint("what is streamed is judged on what Claude Code shows: use `prompt`");
            self.faults.push(fault);
        }
        Some(self.body(&path, body, "POST /v1/messages"))
    }

    fn count_tokens(&mut self) -> Option<Value> {
        let body = self.mirror.count_tokens.clone()?;
        let path = KeyPath::of("count_tokens");
        Some(self.body(&path, body, "POST /v1/messages/count_tokens"))
    }

    /// The body of a request that the harness itself sends.
    fn body(&mut self, path: &KeyPath, body: serde_json::Map<String, Value>, of: &str) -> Value {
        if body.contains_key("model") {
            let path = path.then("model");
            let fault = Diagnostic::at(self.node.key_span_at(&path.0), "the model is the trial's alias")
                .path(written(&path.0))
                .hint("remove it");
            self.faults.push(fault);
        }
        let messages = body.get("messages").and_then(Value::as_array);
        if messages.is_none_or(Vec::is_empty) {
            let fault = self
                .at(path, "the request has no `messages`")
                .hint(format!("it is the body of `{of}`"));
            self.faults.push(fault);
        }
        Value::Object(body)
    }

    /// Whether a prompt is meant to have an image, whether or not it can be read.
    fn has_image(&self) -> bool {
        let blocks = self.mirror.prompts.iter().flatten().flat_map(|prompt| &prompt.0);
        let is_damaged = ["prompt", "prompts"]
            .iter()
            .any(|key| self.damaged.keys.contains(*key));
        is_damaged || blocks.into_iter().any(|block| block.image.is_some())
    }

    fn script(&mut self) -> Script {
        let Some(entries) = &self.mirror.replies else {
            if !self.damaged.keys.contains("replies") {
                let fault = self
                    .missing("the simulated provider has nothing to answer")
                    .allowed("`replies`, in `_shared.yaml` or in the provider's own file");
                self.faults.push(fault);
            }
            return Script::default();
        };
        let path = KeyPath::of("replies");
        let has_image = self.has_image();
        let mut tool_called = false;
        let mut replies = Vec::new();
        for (index, entry) in entries.iter().enumerate() {
            let path = path.then(index);
            replies.extend(self.reply(&path, entry, has_image, tool_called));
            tool_called |= entry
                .content
                .iter()
                .flatten()
                .any(|block| block.tool_use.is_some());
        }
        Script { replies }
    }

    fn reply(
        &mut self,
        path: &KeyPath,
        entry: &ReplyEntry,
        has_image: bool,
        tool_called: bool,
    ) -> Option<Reply> {
        match (&entry.content, &entry.error) {
            (Some(content), None) => {
                let content = content
                    .iter()
                    .enumerate()
                    .filter_map(|(index, block)| {
                        self.reply_block(&path.then("content").then(index), block, has_image, tool_called)
                    })
                    .collect();
                Some(Reply::Message(ReplyMessage {
                    content,
                    stop_reason: entry.stop_reason.clone(),
                    usage: entry.usage.as_ref().map(|usage| Usage {
                        input_tokens: usage.input_tokens.unwrap_or(0),
                        cache_creation_input_tokens: usage.cache_creation_input_tokens.unwrap_or(0),
                        cache_read_input_tokens: usage.cache_read_input_tokens.unwrap_or(0),
                        output_tokens: usage.output_tokens.unwrap_or(0),
                    }),
                    pace: entry.pace.as_ref().map_or_else(Pace::default, |pace| Pace {
                        first_byte_ms: pace.first_byte_ms.unwrap_or(0),
                        between_ms: pace.between_ms.unwrap_or(0),
                        lockstep: pace.lockstep.unwrap_or(false),
                    }),
                }))
            }
            (None, Some(error)) => {
                for (key, given) in [
                    ("stop_reason", entry.stop_reason.is_some()),
                    ("usage", entry.usage.is_some()),
                    ("pace", entry.pace.is_some()),
                ] {
                    if given {
                        let fault = self
                            .at(&path.then(key), format!("an error has no `{key}`"))
                            .hint("remove it, or answer with `content`");
                        self.faults.push(fault);
                    }
                }
                Some(Reply::Error(ReplyError {
                    status: error.status,
                    kind: error.kind.clone(),
                    message: error.message.clone(),
                }))
            }
            (None, None) => {
                let fault = self
                    .at(path, "the reply is neither a message nor an error")
                    .allowed("`content` or `error`");
                self.faults.push(fault);
                None
            }
            (Some(_), Some(_)) => {
                let fault = self
                    .at(&path.then("error"), "`error` and `content` contradict each other")
                    .hint("make two replies of them");
                self.faults.push(fault);
                None
            }
        }
    }

    fn reply_block(
        &mut self,
        path: &KeyPath,
        block: &ReplyBlockEntry,
        has_image: bool,
        tool_called: bool,
    ) -> Option<ReplyBlock> {
        if let Some(text) = &block.text {
            let path = path.then("text");
            self.filled(&path, text);
            self.placeholders(&path, text, has_image, tool_called);
            return Some(ReplyBlock::Text(text.clone()));
        }
        if let Some(thinking) = &block.thinking {
            let path = path.then("thinking");
            self.filled(&path, thinking);
            if thinking.contains("${") {
                let fault = self
                    .at(&path, "a thinking block takes no placeholders")
                    .hint("put them into a `text` block");
                self.faults.push(fault);
            }
            return Some(ReplyBlock::Thinking(thinking.clone()));
        }
        block.tool_use.as_ref().map(|call| ReplyBlock::ToolUse {
            name: call.name.clone(),
            input: Value::Object(call.input.clone()),
        })
    }

    fn placeholders(&mut self, path: &KeyPath, text: &str, has_image: bool, tool_called: bool) {
        for (start, _) in text.match_indices("${") {
            let name = match text[start..].find('}') {
                Some(end) => &text[start..=start + end],
                None => &text[start..],
            };
            let fault = match name {
                "${tool_result}" if tool_called => continue,
                "${image_colour}" if has_image => continue,
                "${tool_result}" => self
                    .at(
                        path,
                        "`${tool_result}` has nothing to stand for: no reply before this one calls a tool",
                    )
                    .hint("let an earlier reply hold a `tool_use` block"),
                "${image_colour}" => self
                    .at(
                        path,
                        "`${image_colour}` has nothing to stand for: no prompt has an image",
                    )
                    .hint("add an `image` block to `prompts`"),
                _ => self
                    .at(
                        path,
                        format!("unknown placeholder `{}`", crate::document::node::shortened(name)),
                    )
                    .allowed(listed(PLACEHOLDERS))
                    .did_you_mean(name, PLACEHOLDERS),
            };
            self.faults.push(fault);
        }
    }

    /// Every prompt and the direct request take a last reply each; the replies before it call tools.
    fn balance(&mut self, prompts: &[Prompt], script: &Script, direct: bool) {
        let flags = self.mirror.flags.clone().unwrap_or_default();
        let ends: Option<Vec<End>> = script
            .replies
            .iter()
            .map(|reply| match reply {
                Reply::Message(message) if message.stop_reason.is_none() => Some(End::of(message, &flags)),
                _ => None,
            })
            .collect();
        let Some(ends) = ends else { return };
        let wanted = prompts.len() + usize::from(direct);
        let path = KeyPath::of("replies");
        let last_words: Vec<usize> = (0..ends.len())
            .filter(|index| ends[*index] == End::LastWord)
            .collect();
        let possible = ends.iter().filter(|end| **end != End::ToolCall).count();
        let numbers = |fault: Diagnostic| {
            fault
                .found(match last_words.len() {
                    0 => "no reply that calls no tool".to_owned(),
                    1 => "1 reply that calls no tool".to_owned(),
                    several => format!("{several} replies that call no tool"),
                })
                .allowed(format!(
                    "{wanted}: one for each prompt{}",
                    if direct { " and one for `direct`" } else { "" }
                ))
        };
        if possible < wanted {
            let what = match (last_words.len() + 1 == wanted, direct, wanted) {
                (true, true, _) => "`direct` has no reply".to_owned(),
                (.., 1) => "the prompt gets no last word: every reply calls a tool".to_owned(),
                _ => format!(
                    "{wanted} requests want a last word, which {} of the replies have",
                    last_words.len()
                ),
            };
            let fault = numbers(self.at(&path, what))
                .hint("add a reply without `tool_use` for the request that brings a tool's result");
            self.faults.push(fault);
        } else if last_words.len() > wanted {
            let fault = numbers(self.at(
                &path.then(last_words[wanted - 1] + 1),
                "nothing asks for this reply",
            ));
            self.faults.push(fault);
        } else if ends.last() == Some(&End::ToolCall) {
            let fault = self
                .at(
                    &path.then(script.replies.len() - 1),
                    "the last reply calls a tool and nothing answers its result",
                )
                .hint("add a reply for the request that brings the tool's result");
            self.faults.push(fault);
        }
    }

    fn flags(&mut self) -> Vec<String> {
        let flags = self.mirror.flags.clone().unwrap_or_default();
        for found in owned::flag_faults(&flags) {
            let path = KeyPath::of("flags").then(found.index);
            let mut fault = self.at(&path, found.message).hint(found.hint);
            fault.allowed = found.allowed;
            self.faults.push(fault);
        }
        flags
    }

    fn env(&mut self) -> BTreeMap<String, String> {
        let env = self.mirror.env.clone().unwrap_or_default();
        for name in env.keys() {
            let path = KeyPath::of("env").then(name);
            let span = self.node.key_span_at(&path.0);
            let usable = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
                && name
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
            let fault = if usable {
                owned::variable_refusal(name).map(|reason| {
                    Diagnostic::at(span, format!("a cell may not set `{name}`: {reason}")).hint("remove it")
                })
            } else {
                Some(
                    Diagnostic::at(span, format!("`{name}` is not a name of a variable"))
                        .allowed("letters, digits and `_`, no digit first"),
                )
            };
            self.faults
                .extend(fault.map(|fault| fault.path(written(&path.0))));
        }
        env
    }

    fn expectations(&mut self, context: &Context<'_>) -> Vec<Expectation> {
        let path = KeyPath::of("expect");
        let Some(entries) = &self.mirror.expect else {
            if !self.damaged.keys.contains("expect") {
                let fault = self
                    .missing("the cell expects nothing, so it could never fail")
                    .allowed("`expect`, in `_shared.yaml` or in the provider's own file");
                self.faults.push(fault);
            }
            return Vec::new();
        };
        let mut expectations = Vec::new();
        for (name, entry) in &entries.0 {
            expectations.extend(resolve_expectation::resolve(
                self.node,
                &path.then(name),
                name,
                entry,
                context,
                &mut self.faults,
            ));
        }
        self.known_failures(&mut expectations);
        if !self.damaged.keys.contains("expect") && expectations.len() == entries.0.len() {
            self.every_tier_is_judged(&expectations);
            self.direct_is_judged(&expectations);
        }
        expectations
    }

    fn known_failures(&mut self, expectations: &mut [Expectation]) {
        let Some(entries) = &self.mirror.known_failures else {
            return;
        };
        let names: Vec<String> = self
            .mirror
            .expect
            .iter()
            .flat_map(|expect| &expect.0)
            .map(|(name, _)| name.clone())
            .collect();
        for (name, entry) in &entries.0 {
            let path = KeyPath::of("known_failures").then(name);
            let span = self.node.key_span_at(&path.0).clone();
            if IMPLIED.contains(&name.as_str()) {
                continue;
            }
            if !names.contains(name) {
                if !self.damaged.expectations.contains(name) {
                    self.faults.push(
                        Diagnostic::at(&span, format!("the known failure `{name}` names no expectation"))
                            .path(written(&path.0))
                            .allowed(listed(names.iter().map(String::as_str).chain(IMPLIED)))
                            .did_you_mean(name, names.iter().map(String::as_str).chain(IMPLIED)),
                    );
                }
                continue;
            }
            let known = self.known_failure(name, entry);
            let is_todo = |(named, entry): &(String, ExpectationEntry)| named == name && entry.todo.is_some();
            if self
                .mirror
                .expect
                .iter()
                .flat_map(|expect| &expect.0)
                .any(is_todo)
            {
                self.faults.push(
                    Diagnostic::at(
                        &span,
                        format!("`{name}` is still to be written, which is no failure of the gateway"),
                    )
                    .path(written(&path.0))
                    .hint("write the expectation, or remove the known failure"),
                );
            }
            let Some(expectation) = expectations
                .iter_mut()
                .find(|expectation| expectation.name == *name)
            else {
                continue;
            };
            resolve_expectation::is_for_its_tiers(self.node, &path, expectation, &known, &mut self.faults);
            expectation.known_failure = Some(known);
        }
    }

    /// Known failures of what no cell writes down, because every trial must fulfil it.
    fn implied_known_failures(&mut self) -> Vec<(String, KnownFailure)> {
        let entries = self.mirror.known_failures.iter().flat_map(|entries| &entries.0);
        entries
            .filter(|(name, _)| IMPLIED.contains(&name.as_str()))
            .map(|(name, entry)| (name.clone(), self.known_failure(name, entry)))
            .collect()
    }

    fn known_failure(&mut self, name: &str, entry: &KnownFailureEntry) -> KnownFailure {
        let path = KeyPath::of("known_failures").then(name);
        resolve_expectation::known_failure(self.node, &path, entry, self.manifest, &mut self.faults)
    }

    fn every_tier_is_judged(&mut self, expectations: &[Expectation]) {
        let mut unexpected = Vec::new();
        let mut unjudged = Vec::new();
        for tier in self.manifest.tiers.iter().map(|tier| &tier.id) {
            let mut here = expectations
                .iter()
                .filter(|expectation| expectation.applies_to(tier))
                .peekable();
            if here.peek().is_none() {
                unexpected.push(tier.as_str());
            } else if here.all(|expectation| expectation.check.is_provider_side()) {
                unjudged.push(tier.as_str());
            }
        }
        let number = |tiers: &[&str]| if tiers.len() == 1 { "tier" } else { "tiers" };
        if !unexpected.is_empty() {
            let fault = self.of_expect(&format!(
                "nothing is expected on the {} {}, so it could never fail",
                number(&unexpected),
                listed(unexpected.iter().copied())
            ));
            self.faults.push(fault);
        }
        if !unjudged.is_empty() {
            let fault = self
                .of_expect(&format!(
                    "nothing could be judged in a live run of the {} {}",
                    number(&unjudged),
                    listed(unjudged.iter().copied())
                ))
                .found("only expectations of what reached the provider")
                .hint("add one of what Claude Code printed, such as `text`");
            self.faults.push(fault);
        }
    }

    /// A fault of all that is expected: in the shared file, unless it expects nothing.
    fn of_expect(&self, message: &str) -> Diagnostic {
        let path = KeyPath::of("expect");
        let is_shared = self
            .shared
            .is_some_and(|shared| shared.node.get("expect").is_some());
        match self.shared {
            Some(_) if !is_shared => self.missing(message).path("expect"),
            _ => self.at(&path, message),
        }
    }

    fn direct_is_judged(&mut self, expectations: &[Expectation]) {
        use super::expectation::Check;
        let is_judged =
            |is_it: fn(&Check) -> bool| expectations.iter().any(|expectation| is_it(&expectation.check));
        let direct = is_judged(|check| matches!(check, Check::DirectReply { .. }));
        let counted = is_judged(|check| matches!(check, Check::TokenCount(_)));
        for (key, is_there, judged, kind) in [
            ("direct", self.mirror.direct.is_some(), direct, "direct_reply"),
            (
                "count_tokens",
                self.mirror.count_tokens.is_some(),
                counted,
                "token_count",
            ),
        ] {
            if is_there && !judged {
                let fault = Diagnostic::at(
                    self.node.key_span_at(&KeyPath::of(key).0),
                    format!("nothing judges the answer to `{key}`"),
                )
                .path(key)
                .hint(format!("add a `{kind}` expectation"));
                self.faults.push(fault);
            }
        }
    }
}

/// Whether Claude Code asks again after a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// It does not: no tool was called.
    LastWord,
    /// It may not, because of a flag of the cell.
    Perhaps,
    ToolCall,
}

impl End {
    /// With `--json-schema` a right call of `StructuredOutput` ends the run, with `--max-turns` any call may (both seen with
    /// Claude Code 2.1.327).
    fn of(message: &ReplyMessage, flags: &[String]) -> Self {
        let has = |name: &str| {
            flags
                .iter()
                .any(|flag| flag.split('=').next().is_some_and(|flag| flag == name))
        };
        let called: Vec<&str> = message
            .content
            .iter()
            .filter_map(|block| match block {
                ReplyBlock::ToolUse { name, .. } => Some(name.as_str()),
                _ => None,
            })
            .collect();
        match called[..] {
            [] => Self::LastWord,
            _ if has("--max-turns") => Self::Perhaps,
            _ if has("--json-schema") && called.contains(&"StructuredOutput") => Self::Perhaps,
            _ => Self::ToolCall,
        }
    }
}

struct MediaKind {
    endings: &'static [&'static str],
    media_type: &'static str,
    is: fn(&[u8]) -> bool,
}

const IMAGES: [MediaKind; 4] = [
    MediaKind {
        endings: &["png"],
        media_type: "image/png",
        is: |bytes| image::guess_format(bytes).ok() == Some(image::ImageFormat::Png),
    },
    MediaKind {
        endings: &["jpg", "jpeg"],
        media_type: "image/jpeg",
        is: |bytes| image::guess_format(bytes).ok() == Some(image::ImageFormat::Jpeg),
    },
    MediaKind {
        endings: &["gif"],
        media_type: "image/gif",
        is: |bytes| image::guess_format(bytes).ok() == Some(image::ImageFormat::Gif),
    },
    MediaKind {
        endings: &["webp"],
        media_type: "image/webp",
        is: |bytes| image::guess_format(bytes).ok() == Some(image::ImageFormat::WebP),
    },
];

const DOCUMENTS: [MediaKind; 1] = [MediaKind {
    endings: &["pdf"],
    media_type: "application/pdf",
    is: |bytes| bytes.starts_with(b"%PDF-"),
}];

/// The one of `names` that `name` was probably meant to be, as a hint.
pub(super) fn did_you_mean(fault: Diagnostic, name: &str, names: &[&str]) -> Diagnostic {
    match closest(name, names.iter().copied()) {
        Some(close) => fault.hint(format!("did you mean `{close}`?")),
        None => fault,
    }
}
