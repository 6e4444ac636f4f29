//! The rest of a cell, as far as an expectation depends on it, and the checks that kinds share.

use std::sync::LazyLock;

use indexmap::IndexMap;
use regex::Regex;
use serde_json::Value;

use super::claude_side::arguments_fit;
use super::matcher::{MODEL, Matcher, MatcherForm};
use super::provider_side::Turn;
use crate::document::{Diagnostic, KeyPath, Query, Reader};
use crate::ids::{ProviderId, TierId, TierNames};
use crate::text::{clipped, listed, quotable};
use crate::wire::header_names;
use crate::wire::script::{Prompt, Reply, ReplyBlock, ReplyMessage, Script, Workspace};

/// The message for an expectation that could never fail.
pub(super) const NO_CONDITION: &str = "no condition is given, so this could never fail";

/// The tool by which Claude Code gets an answer in the form of `--json-schema`.
pub const STRUCTURED_OUTPUT: &str = "StructuredOutput";

/// The rest of the cell.
#[derive(Debug)]
pub struct CellContext<'a> {
    pub provider: &'a ProviderId,
    /// The names of the manifest's tiers and sets.
    pub tier_names: &'a TierNames,
    /// The tiers of the manifest, each with its model.
    pub tiers: &'a [(TierId, String)],
    pub prompts: &'a [Prompt],
    pub workspace: &'a Workspace,
    /// Whether the harness sends a direct request.
    pub direct: bool,
    /// Whether the harness asks for a token count.
    pub count_tokens: bool,
    pub script: &'a Script,
    /// Whether `prompts` and `script` are free of errors, so that conclusions can be drawn from them.
    pub whole: bool,
}

/// Checks the values of one expectation against the rest of its cell.
#[derive(Debug)]
pub struct Checker<'a> {
    pub reader: Reader<'a>,
    pub context: &'a CellContext<'a>,
    /// The model that `${model}` stands for.
    pub(super) model: Option<String>,
    /// Whether a text contained `${model}`.
    pub(super) saw_model: bool,
}

impl<'a> Checker<'a> {
    pub fn new(reader: Reader<'a>, context: &'a CellContext<'a>) -> Self {
        Self {
            reader,
            context,
            model: None,
            saw_model: false,
        }
    }

    /// Reports a `query` for a field of an answer in a given form that no answer of the script has.
    pub(super) fn answer_has(&mut self, path: &KeyPath, query: &str, wanted: &MatcherForm) {
        static FIELD: LazyLock<Regex> =
            LazyLock::new(|| Regex::new(r"\.structured_output\.(\w+)").expect("a constant expression"));
        let Some(field) = FIELD
            .captures(query)
            .filter(|_| self.context.whole && wanted.exists != Some(false))
        else {
            return;
        };
        let inputs = self.blocks_before(None).filter_map(|block| match block {
            ReplyBlock::ToolUse { name, input } if name == STRUCTURED_OUTPUT => input.as_object(),
            _ => None,
        });
        let names: Vec<&str> = inputs
            .flat_map(|input| input.keys())
            .map(String::as_str)
            .collect();
        if !names.is_empty() && !names.contains(&&field[1]) {
            let error = self
                .reader
                .at(path, format!("no answer of the script has `{}`", &field[1]));
            let error = error.did_you_mean(&field[1], names.iter().copied());
            self.reader.report(error.allowed(listed(names)));
        }
    }

    /// Reports that none of the conditions `allowed` is given.
    pub(super) fn no_condition<'n>(&mut self, path: &KeyPath, allowed: impl IntoIterator<Item = &'n str>) {
        let error = self.reader.at(path, NO_CONDITION).allowed(listed(allowed));
        self.reader.report(error);
    }

    /// Reports an error that depends on the cell's `key`, with the place of the key if another file gives it.
    pub(super) fn report_against(&mut self, key: &str, error: Diagnostic) {
        let place = self.reader.node.key_span_at(&[key.to_owned()]).place();
        let error = match place.file == error.place.file {
            true => error,
            false => error.related(place, format!("the `{key}` of a cell")),
        };
        self.reader.report(error);
    }

    /// `text` with the tier's model in place of `${model}`.
    pub(super) fn with_model(&mut self, text: &str) -> String {
        self.saw_model |= text.contains(MODEL);
        text.replace(MODEL, self.model.as_deref().unwrap_or(MODEL))
    }

    /// The regular expression `text` with the tier's model, literally, in place of `${model}`.
    pub(super) fn with_model_in_regex(&mut self, text: &str) -> String {
        self.saw_model |= text.contains(MODEL);
        let model = self
            .model
            .as_deref()
            .map_or_else(|| "model".to_owned(), regex::escape);
        text.replace(MODEL, &model)
    }

    /// Reports the number of a Messages request that the script has no reply for.
    pub(super) fn turn(&mut self, path: &KeyPath, turn: Turn) {
        let replies = self.context.script.replies.len();
        if let Turn::Number(number) = turn
            && number > replies
            && self.context.whole
        {
            let message = format!(
                "there is no request {number}: the script has {}",
                replies_in_words(replies)
            );
            let allowed = format!("{}, `every` or `last`", numbers_to(replies));
            let error = self.reader.at(&path.then("turn"), message);
            self.report_against("replies", error.allowed(allowed));
        }
    }

    /// Reports an answer number that Claude Code does not get.
    pub(super) fn answer_exists(&mut self, path: &KeyPath, turn: Option<usize>) {
        let replies = self.context.script.replies.len();
        let answers = replies.saturating_sub(usize::from(self.context.direct));
        if let Some(turn) = turn
            && turn > answers
            && self.context.whole
        {
            let message = format!("there is no answer {turn}: Claude Code gets {answers}");
            let error = self.reader.at(path, message);
            self.report_against("replies", error.allowed(numbers_to(answers)));
        }
    }

    /// Reports the number of a prompt that the cell does not have.
    pub(super) fn prompt_exists(&mut self, path: &KeyPath, prompt: Option<usize>) {
        let prompts = self.context.prompts.len();
        if let Some(prompt) = prompt
            && !(1..=prompts).contains(&prompt)
            && self.context.whole
        {
            let message = format!("there is no prompt {prompt}: the cell has {prompts}");
            let error = self.reader.at(path, message);
            self.report_against("prompts", error.allowed(numbers_to(prompts)));
        }
    }

    pub(super) fn messages(&self) -> impl Iterator<Item = &'a ReplyMessage> + use<'a> {
        let replies = self.context.script.replies.iter();
        replies.filter_map(|reply| match reply {
            Reply::Message(message) => Some(message),
            Reply::Error(_) => None,
        })
    }

    /// The blocks of the messages sent before request `turn`.
    fn blocks_before(&self, turn: Option<Turn>) -> impl Iterator<Item = &'a ReplyBlock> + use<'a> {
        let bound = match turn {
            Some(Turn::Number(number)) => number - 1,
            _ => usize::MAX,
        };
        self.messages().take(bound).flat_map(|message| &message.content)
    }

    /// Reports a tool that no reply calls, or none before the request `before`.
    pub(super) fn tool_is_called(&mut self, path: &KeyPath, tool: &str, before: Option<Turn>) {
        let calls = self.blocks_before(before).filter_map(|block| match block {
            ReplyBlock::ToolUse { name, .. } => Some(name.as_str()),
            _ => None,
        });
        let called: Vec<&str> = calls.collect();
        if !self.context.whole || called.contains(&tool) {
            return;
        }
        let path = path.then("name");
        let message = format!("no reply calls the tool `{tool}`{}", when(before));
        let diagnostic = self.reader.at(&path, message);
        let diagnostic = match called.is_empty() {
            true => diagnostic.hint(format!(
                "let a reply hold `tool_use: {{ name: {tool}, input: {{ … }} }}`"
            )),
            false => diagnostic
                .allowed(listed(called.iter().copied()))
                .did_you_mean(tool, called),
        };
        self.report_against("replies", diagnostic);
    }

    /// Reports values of `form` that are not in a closed list of texts.
    pub(super) fn closed_list(&mut self, path: &KeyPath, form: &MatcherForm, what: &str, known: &[&str]) {
        let of_list = form.one_of.iter().flatten().enumerate();
        let of_list = of_list.map(|(index, value)| (path.then("one_of").then(index), value));
        let equals = form.equals.iter().map(|value| (path.then("equals"), value));
        for (key, part) in [("contains", &form.contains), ("not_contains", &form.not_contains)] {
            let is_part = |part: &&String| known.iter().any(|name| name.contains(part.as_str()));
            if let Some(part) = part.as_ref().filter(|part| !is_part(part)) {
                let message = format!("no {what} contains `{}`", quotable(part));
                let error = self.reader.at(&path.then(key), message);
                let error = error.allowed(listed(known.iter().copied()));
                self.reader
                    .report(error.did_you_mean(part, known.iter().copied()));
            }
        }
        // The check of the matcher reports a broken pattern.
        let pattern = form.matches.as_ref().and_then(|text| Regex::new(text).ok());
        if let Some(pattern) = pattern.filter(|pattern| !known.iter().any(|name| pattern.is_match(name))) {
            let message = format!("no {what} matches `{}`", quotable(pattern.as_str()));
            let error = self.reader.at(&path.then("matches"), message);
            self.reader.report(error.allowed(listed(known.iter().copied())));
        }
        for (path, value) in equals.chain(of_list) {
            let Some(text) = value.as_str().filter(|text| !known.contains(text)) else {
                continue;
            };
            let error = self
                .reader
                .at(&path, format!("there is no {what} `{}`", quotable(text)));
            let error = error.allowed(listed(known.iter().copied()));
            self.reader
                .report(error.did_you_mean(text, known.iter().copied()));
        }
    }

    /// Reports that no reply has a thinking block, or none before the request `before`.
    pub(super) fn something_thinks(&mut self, path: &KeyPath, before: Option<Turn>) {
        let thinks = self
            .blocks_before(before)
            .any(|block| matches!(block, ReplyBlock::Thinking(_) | ReplyBlock::RedactedThinking(_)));
        if self.context.whole && !thinks {
            let message = format!("no reply holds a thinking block{}", when(before));
            let error = self.reader.at(path, message);
            self.report_against(
                "replies",
                error.hint("add `{ thinking: … }` to a reply's `content`"),
            );
        }
    }

    /// Reports names, below `path`, that are no header's name in lower case.
    pub(super) fn header_names<'n>(&mut self, path: &KeyPath, names: impl Iterator<Item = &'n String>) {
        for name in names {
            let path = path.then(name);
            let is_lower = |byte: u8| !byte.is_ascii_uppercase() && !byte.is_ascii_whitespace();
            let (message, meant) = match name.strip_prefix("$.") {
                Some(header) => (
                    format!("`{name}` is a JSONPath, and headers go by their names"),
                    header,
                ),
                None if name.bytes().all(is_lower) => {
                    self.reader
                        .misspelt(&path, "header", name, header_names::misspelt(name));
                    continue;
                }
                None => (
                    format!("`{name}` is not a header's name in lower case"),
                    name.trim(),
                ),
            };
            let diagnostic = self.reader.at_key(&path, message);
            let hint = format!("write `{}`", meant.to_ascii_lowercase());
            self.reader.report(diagnostic.hint(hint));
        }
    }

    /// Reports the number of a tool's call that the replies before request `before` do not have.
    pub(super) fn call_exists(
        &mut self,
        path: &KeyPath,
        tool: &str,
        call: Option<usize>,
        before: Option<Turn>,
    ) {
        let is_call = |block: &&ReplyBlock| matches!(block, ReplyBlock::ToolUse { name, .. } if name == tool);
        let calls = self.blocks_before(before).filter(is_call).count();
        if let Some(call) = call
            && self.context.whole
            && (1..call).contains(&calls)
        {
            let message = format!("there is no call {call} of `{tool}`{}", when(before));
            let error = self.reader.at(&path.then("call"), message);
            self.report_against("replies", error.allowed(numbers_to(calls)));
        }
    }

    /// Reports arguments that no scripted call of `tool` has. The stream of an interrupted reply may end within a call.
    pub(super) fn arguments_exist(
        &mut self,
        path: &KeyPath,
        tool: &str,
        call: Option<usize>,
        wanted: &[(String, Matcher)],
    ) {
        let is_interrupted =
            |reply: &Reply| matches!(reply, Reply::Message(message) if message.interrupt.is_some());
        if !self.context.whole || self.context.script.replies.iter().any(is_interrupted) {
            return;
        }
        let input = |block: &'a ReplyBlock| match block {
            ReplyBlock::ToolUse { name, input } if name == tool => Some(input),
            _ => None,
        };
        let mut calls: Vec<&Value> = self.blocks_before(None).filter_map(input).collect();
        if let Some(call) = call {
            calls = calls.into_iter().skip(call - 1).take(1).collect();
        }
        if calls.is_empty() || calls.iter().any(|call| arguments_fit(wanted, call)) {
            return;
        }
        let fits = |key: &str, matcher: &Matcher, call: &Value| {
            matcher.check(&Vec::from_iter(call.get(key))).is_ok()
        };
        let wrong = wanted
            .iter()
            .find(|(key, matcher)| !calls.iter().any(|call| fits(key, matcher, call)));
        let error = match wrong {
            None => self
                .reader
                .at(path, format!("no reply calls `{tool}` with all of this")),
            Some((key, _)) => {
                let path = path.then(key);
                let values: Vec<String> = calls
                    .iter()
                    .filter_map(|call| Some(call.get(key)?.to_string()))
                    .collect();
                let keys = calls.iter().filter_map(|call| call.as_object());
                let keys: Vec<&str> = keys.flat_map(|call| call.keys().map(String::as_str)).collect();
                match values.is_empty() {
                    true => self
                        .reader
                        .at_key(&path, format!("no reply calls `{tool}` with `{key}`"))
                        .allowed(listed(keys.iter().copied()))
                        .did_you_mean(key, keys),
                    false => self
                        .reader
                        .at(&path, format!("no reply calls `{tool}` with such a `{key}`"))
                        .hint(format!("the replies have {}", clipped(&values.join(", ")))),
                }
            }
        };
        self.report_against("replies", error);
    }

    /// Matchers by name.
    pub(super) fn named(
        &mut self,
        path: &KeyPath,
        entries: &IndexMap<String, MatcherForm>,
    ) -> Vec<(String, Matcher)> {
        entries
            .iter()
            .map(|(name, form)| (name.clone(), form.resolve(self, &path.then(name))))
            .collect()
    }

    /// Matchers by JSONPath.
    pub(super) fn queries(
        &mut self,
        path: &KeyPath,
        entries: &IndexMap<String, MatcherForm>,
    ) -> Vec<(Query, Matcher)> {
        let mut queries = Vec::new();
        for (text, form) in entries {
            let path = path.then(text);
            let query = self.reader.query_key(&path, text);
            let matcher = form.resolve(self, &path);
            queries.extend(query.map(|query| (query, matcher)));
        }
        queries
    }
}

fn when(before: Option<Turn>) -> &'static str {
    match before {
        Some(_) => " before that request",
        None => "",
    }
}

pub(super) fn replies_in_words(replies: usize) -> String {
    match replies {
        1 => "1 reply".to_owned(),
        replies => format!("{replies} replies"),
    }
}

fn numbers_to(last: usize) -> String {
    match last {
        0 | 1 => last.to_string(),
        last => format!("1 to {last}"),
    }
}
