//! From one entry of `expect` to the checked expectation, with every way in which it could not fail, never hold or
//! never be judged.

use crate::document::Query;
use crate::document::written;
use crate::text::listed;
use regex::Regex;
use serde_json::Value;
use serde_json_path::JsonPath;

use super::cell::PromptBlock;
use super::expectation::{Check, CountMatcher, Expectation, KnownFailure, Matcher, RequestCheck, Turn};
use super::manifest::Manifest;
use super::mirror::{
    CountEntry, ExpectationEntry, KnownFailureEntry, MatcherEntry, Ordered, RequestEntry, UnchangedEntry,
    UsageCheckEntry,
};
use super::resolve::{Context, KeyPath, did_you_mean};
use crate::document::Diagnostic;
use crate::document::Node;
use crate::ids::TierId;
use crate::wire::Operation;
use crate::wire::script::{PLACEHOLDERS, Reply, ReplyBlock, ReplyMessage};

/// Resolves the entry `name` of `expect`, which stands at `path` of the merged `node`; `None` if a fault leaves
/// nothing to judge by.
pub(super) fn resolve(
    node: &Node,
    path: &KeyPath,
    name: &str,
    entry: &ExpectationEntry,
    context: &Context<'_>,
    faults: &mut Vec<Diagnostic>,
) -> Option<Expectation> {
    let tiers = entry
        .tiers
        .as_ref()
        .map(|names| tiers(node, path, names, context.manifest, faults));
    let before = faults.len();
    let mut checker = Checker {
        node,
        context,
        faults,
    };
    checker.clause(path, entry.clause.as_deref());
    let check = checker.check(path, entry)?;
    let expectation = (faults.len() == before).then(|| Expectation {
        name: name.to_owned(),
        place: node.key_span_at(&path.0).place(),
        tiers,
        clause: entry.clause.clone(),
        needs_gateway: entry.needs_gateway,
        check,
        known_failure: None,
    })?;
    if let Check::Unchanged { except, .. } = &expectation.check {
        let path = path.then("unchanged").then("except");
        for (what, known) in except {
            is_for_its_tiers(node, &path.then(what), &expectation, known, faults);
        }
    }
    Some(expectation)
}

/// The known failure that stands at `path`.
pub(super) fn known_failure(
    node: &Node,
    path: &KeyPath,
    entry: &KnownFailureEntry,
    manifest: &Manifest,
    faults: &mut Vec<Diagnostic>,
) -> KnownFailure {
    if entry.reason.trim().is_empty() {
        let path = path.then("reason");
        let fault = Diagnostic::at(node.span_at(&path.0), "the text is empty").path(written(&path.0));
        faults.push(fault.hint("say what fails, for readers of the matrix"));
    }
    KnownFailure {
        reason: entry.reason.trim().to_owned(),
        link: entry.link.clone(),
        tiers: entry
            .tiers
            .as_ref()
            .map(|names| tiers(node, path, names, manifest, faults)),
        place: node.key_span_at(&path.0).place(),
    }
}

/// A fault if `known`, which stands at `path`, is for a tier that `expectation` is not for.
pub(super) fn is_for_its_tiers(
    node: &Node,
    path: &KeyPath,
    expectation: &Expectation,
    known: &KnownFailure,
    faults: &mut Vec<Diagnostic>,
) {
    let mut tiers = known.tiers.iter().flatten();
    if let Some(stray) = tiers.find(|tier| !expectation.applies_to(tier)) {
        let message = format!("the expectation `{}` is not for `{stray}`", expectation.name);
        faults.push(
            Diagnostic::at(node.key_span_at(&path.0), message)
                .path(written(&path.then("tiers").0))
                .related(expectation.place.clone(), "the expectation stands here"),
        );
    }
}

/// The tiers called `names`, which stand below `tiers` of `path`.
pub(super) fn tiers(
    node: &Node,
    path: &KeyPath,
    names: &[String],
    manifest: &Manifest,
    faults: &mut Vec<Diagnostic>,
) -> Vec<TierId> {
    let known: Vec<&str> = manifest.tiers.iter().map(|tier| tier.id.as_str()).collect();
    let path = path.then("tiers");
    for (index, name) in names.iter().enumerate() {
        let path = path.then(index);
        let span = node.span_at(&path.0);
        if !known.contains(&name.as_str()) {
            let fault = Diagnostic::at(span, format!("the manifest has no tier `{name}`"))
                .path(written(&path.0))
                .allowed(listed(known.iter().copied()));
            faults.push(did_you_mean(fault, name, &known));
        } else if names[..index].contains(name) {
            faults.push(
                Diagnostic::at(span, format!("the tier `{name}` is there twice")).path(written(&path.0)),
            );
        }
    }
    names.iter().map(TierId::new).collect()
}

struct Checker<'a, 'b> {
    node: &'a Node,
    context: &'a Context<'a>,
    faults: &'b mut Vec<Diagnostic>,
}

impl Checker<'_, '_> {
    fn fault(&mut self, path: &KeyPath, message: impl Into<String>) -> &mut Diagnostic {
        let fault = Diagnostic::at(self.node.span_at(&path.0), message).path(written(&path.0));
        self.faults.push(fault);
        self.faults.last_mut().expect("just pushed")
    }

    fn hinted(&mut self, path: &KeyPath, message: impl Into<String>, hint: impl Into<String>) {
        self.fault(path, message).hint = Some(hint.into());
    }

    fn clause(&mut self, path: &KeyPath, clause: Option<&str>) {
        let Some(clause) = clause else { return };
        let (page, section) = clause
            .split_once('#')
            .map_or((clause, None), |(page, section)| (page, Some(section)));
        let known = match page {
            "llm-gateway-protocol" => section.is_none_or(|section| PROTOCOL_SECTIONS.contains(&section)),
            page => page == "llm-gateway-rollout" && section != Some(""),
        };
        if !known {
            let sections: Vec<String> = PROTOCOL_SECTIONS
                .iter()
                .map(|section| format!("llm-gateway-protocol#{section}"))
                .collect();
            let path = path.then("clause");
            let fault = Diagnostic::at(
                self.node.span_at(&path.0),
                format!("`{clause}` is no clause of the gateway contract"),
            )
            .path(written(&path.0))
            .allowed(format!(
                "`llm-gateway-protocol`, {}, `llm-gateway-rollout#…`",
                listed(sections.iter().map(String::as_str))
            ));
            let known: Vec<&str> = ["llm-gateway-protocol", "llm-gateway-rollout"]
                .into_iter()
                .chain(sections.iter().map(String::as_str))
                .collect();
            self.faults.push(did_you_mean(fault, clause, &known));
        }
    }

    fn check(&mut self, path: &KeyPath, entry: &ExpectationEntry) -> Option<Check> {
        if let Some(matcher) = &entry.text {
            return Some(Check::Text(self.matcher(&path.then("text"), matcher)));
        }
        if let Some(call) = &entry.tool_call {
            let path = path.then("tool_call");
            self.tool_is_called(&path, &call.name, None);
            let input = self.named(&path.then("input"), &call.input);
            let name = call.name.clone();
            return Some(Check::ToolCall { name, input });
        }
        if let Some(result) = &entry.tool_result {
            let path = path.then("tool_result");
            self.tool_is_called(&path, &result.name, None);
            return Some(Check::ToolResult {
                name: result.name.clone(),
                text: result
                    .text
                    .as_ref()
                    .map(|text| self.matcher(&path.then("text"), text)),
                is_error: result.is_error,
            });
        }
        if let Some(thinking) = &entry.thinking {
            let path = path.then("thinking");
            self.something_thinks(&path, None);
            let text = thinking
                .text
                .as_ref()
                .map(|text| self.matcher(&path.then("text"), text));
            return Some(Check::Thinking { text });
        }
        if let Some(stream) = &entry.stream {
            return Some(self.stream(&path.then("stream"), stream));
        }
        if let Some(usage) = &entry.usage {
            return Some(self.usage(&path.then("usage"), usage));
        }
        if let Some(stop) = &entry.stop_reason {
            let path = path.then("stop_reason");
            self.answer_exists(&path.then("turn"), stop.turn);
            return Some(Check::StopReason {
                turn: stop.turn,
                value: self.matcher(&path.then("value"), &stop.value),
            });
        }
        if let Some(status) = entry.exit {
            return Some(Check::Exit(status));
        }
        if let Some(event) = &entry.event {
            let path = path.then("event");
            let query = self.query(
                self.node.span_at(&path.then("path").0).clone(),
                &path.then("path"),
                &event.path,
            );
            let value = self.matcher(&path.then("value"), &event.value);
            return Some(Check::Event { path: query?, value });
        }
        if let Some(unchanged) = &entry.unchanged {
            return Some(self.unchanged(&path.then("unchanged"), unchanged));
        }
        if let Some(todo) = &entry.todo {
            if todo.trim().is_empty() {
                self.fault(&path.then("todo"), "the text is empty");
            }
            return Some(Check::Todo(todo.trim().to_owned()));
        }
        if let Some(count) = &entry.token_count {
            let path = path.then("token_count");
            if !self.context.count_tokens && self.context.whole {
                self.hinted(
                    &path,
                    "the cell asks for no token count, so this could never be judged",
                    "add `count_tokens`",
                );
            }
            return Some(Check::TokenCount(self.count(&path, count)));
        }
        if let Some(reply) = &entry.direct_reply {
            let path = path.then("direct_reply");
            if !self.context.direct && self.context.whole {
                self.hinted(
                    &path,
                    "the cell makes no direct request, so this could never be judged",
                    "add `direct`",
                );
            }
            let body = self.queries(&path.then("body"), &reply.body);
            let status = reply.status.unwrap_or(200);
            return Some(Check::DirectReply { status, body });
        }
        self.provider_side(path, entry)
    }

    fn provider_side(&mut self, path: &KeyPath, entry: &ExpectationEntry) -> Option<Check> {
        if let Some(requests) = &entry.requests {
            let operation = requests.operation.unwrap_or(Operation::Messages);
            self.count_is_possible(&path.then("requests").then("count"), operation, requests.count);
            return Some(Check::Requests {
                operation,
                count: requests.count,
            });
        }
        if let Some(request) = &entry.request {
            return Some(self.request(&path.then("request"), request));
        }
        if let Some(image) = &entry.image_arrived {
            let path = path.then("image_arrived");
            let turn = self.turn(&path, image.turn.0, Operation::Messages);
            let blocks = || self.context.prompts.iter().flat_map(|prompt| &prompt.blocks);
            if self.context.whole && !blocks().any(|block| matches!(block, PromptBlock::Image { .. })) {
                self.hinted(
                    &path,
                    "no prompt has an image, so this could never be judged",
                    "add an `image` block to `prompts`",
                );
            }
            return Some(Check::ImageArrived { turn });
        }
        if let Some(document) = &entry.document_arrived {
            let path = path.then("document_arrived");
            let turn = self.turn(&path, document.turn.0, Operation::Messages);
            let mut blocks = self.context.prompts.iter().flat_map(|prompt| &prompt.blocks);
            let has_document = blocks.any(|block| matches!(block, PromptBlock::Document { .. }));
            if self.context.whole && !has_document {
                self.hinted(
                    &path,
                    "no prompt has a document, so this could never be judged",
                    "add a `document` block to `prompts`",
                );
            }
            return Some(Check::DocumentArrived { turn });
        }
        if let Some(result) = &entry.tool_result_arrived {
            let path = path.then("tool_result_arrived");
            let turn = self.turn(&path, result.turn.0, Operation::Messages);
            self.tool_is_called(&path, &result.name, Some(turn));
            return Some(Check::ToolResultArrived {
                turn,
                name: result.name.clone(),
                text: result
                    .text
                    .as_ref()
                    .map(|text| self.matcher(&path.then("text"), text)),
                is_error: result.is_error.unwrap_or_default(),
            });
        }
        if let Some(thinking) = &entry.thinking_arrived {
            let path = path.then("thinking_arrived");
            let turn = self.turn(&path, thinking.turn.0, Operation::Messages);
            self.something_thinks(&path, Some(turn));
            return Some(Check::ThinkingArrived { turn });
        }
        let cache = entry.cache.as_ref()?;
        let path = path.then("cache");
        let turn = self.turn(&path, cache.turn.0, Operation::Messages);
        if cache.breakpoints.is_none() && cache.created_tokens.is_none() && cache.read_tokens.is_none() {
            self.fault(&path, NO_CONDITION).allowed =
                Some(listed(["breakpoints", "created_tokens", "read_tokens"]));
        }
        if cache.read_tokens.is_some() && turn == Turn::Number(1) {
            self.hinted(
                &path.then("read_tokens"),
                "the first request cannot read from the cache",
                "each trial begins with an empty cache",
            );
        }
        Some(Check::Cache {
            turn,
            breakpoints: cache.breakpoints,
            created_tokens: cache.created_tokens,
            read_tokens: cache.read_tokens,
        })
    }

    fn stream(&mut self, path: &KeyPath, entry: &super::mirror::StreamEntry) -> Check {
        let incremental = entry.incremental.unwrap_or(false);
        if !incremental && entry.text_deltas.is_none() && entry.input_deltas.is_none() {
            self.fault(path, NO_CONDITION).allowed =
                Some(listed(["text_deltas", "input_deltas", "incremental: true"]));
        }
        let in_lockstep = self.messages().any(|message| message.pace.lockstep);
        if incremental && self.context.whole && !in_lockstep {
            self.hinted(
                &path.then("incremental"),
                "no reply is sent in lockstep, so this could not be judged in a simulated run",
                "give a reply `pace: { lockstep: true }`",
            );
        }
        Check::Stream {
            text_deltas: entry.text_deltas,
            input_deltas: entry.input_deltas,
            incremental,
        }
    }

    fn unchanged(&mut self, path: &KeyPath, entry: &UnchangedEntry) -> Check {
        let path = path.then("except");
        let mut except = Vec::new();
        for (what, known) in entry.except.iter().flat_map(|except| &except.0) {
            let path = path.then(what);
            let known = known_failure(self.node, &path, known, self.context.manifest, self.faults);
            except.push((what.clone(), known));
        }
        Check::Unchanged {
            way: entry.way,
            except,
        }
    }

    fn usage(&mut self, path: &KeyPath, entry: &UsageCheckEntry) -> Check {
        self.answer_exists(&path.then("turn"), entry.turn);
        let named = [
            ("input_tokens", &entry.counts.input_tokens),
            (
                "cache_creation_input_tokens",
                &entry.counts.cache_creation_input_tokens,
            ),
            ("cache_read_input_tokens", &entry.counts.cache_read_input_tokens),
            ("output_tokens", &entry.counts.output_tokens),
        ];
        let mut counts = Vec::new();
        for (name, count) in named {
            if let Some(count) = count {
                let matcher = self.count(&path.then("counts").then(name), count);
                counts.push((name.to_owned(), matcher));
            }
        }
        Check::Usage {
            turn: entry.turn,
            counts,
        }
    }

    fn count(&mut self, path: &KeyPath, entry: &CountEntry) -> CountMatcher {
        let as_provider = entry.as_provider.unwrap_or(false);
        let nothing_more = !as_provider && entry.max.is_none();
        if nothing_more && entry.min.is_none() {
            self.fault(path, NO_CONDITION).allowed = Some(listed(["min", "max", "as_provider: true"]));
        } else if nothing_more && entry.min == Some(0) {
            self.fault(
                &path.then("min"),
                "a count is never less than 0, so this could never fail",
            );
        }
        if let (Some(least), Some(most)) = (entry.min, entry.max)
            && least > most
        {
            self.fault(
                path,
                format!("no count is both at least {least} and at most {most}"),
            );
        }
        CountMatcher {
            min: entry.min,
            max: entry.max,
            as_provider,
        }
    }

    fn request(&mut self, path: &KeyPath, entry: &RequestEntry) -> Check {
        let operation = entry.operation.unwrap_or(Operation::Messages);
        let turn = self.turn(path, entry.turn.0, operation);
        let without_condition = entry.route.is_none()
            && entry.stream.is_none()
            && entry.model.is_none()
            && entry.headers.0.is_empty()
            && entry.body.0.is_empty();
        if without_condition && operation == Operation::Messages {
            self.fault(path, NO_CONDITION).allowed =
                Some(listed(["route", "stream", "model", "headers", "body"]));
        }
        let provider = self.context.id.provider.as_str();
        if let Some(route) = entry.route
            && crate::wire::Route::ALL
                .iter()
                .any(|known| known.as_str() == provider)
            && route.as_str() != provider
        {
            // In the words of all providers that share it, so that it is told once.
            let message = format!(
                "only the requests of `{route}`'s cells come by the route `{route}`",
                route = route.as_str()
            );
            let is_own = self.node.span_at(&path.0).source.file == self.node.span.source.file;
            let hint = match is_own {
                true => format!("write `{provider}`"),
                false => "a route belongs into the provider's own file".to_owned(),
            };
            self.hinted(&path.then("route"), message, hint);
        }
        for (name, _) in &entry.headers.0 {
            if let Some(header) = name.strip_prefix("$.") {
                let path = path.then("headers").then(name);
                let span = self.node.key_span_at(&path.0);
                self.faults.push(
                    Diagnostic::at(
                        span,
                        format!("`{name}` is a JSONPath, and headers go by their names"),
                    )
                    .path(written(&path.0))
                    .hint(format!("write `{}`", header.to_ascii_lowercase())),
                );
                continue;
            }
            if name
                .bytes()
                .any(|byte| byte.is_ascii_uppercase() || byte.is_ascii_whitespace())
            {
                let path = path.then("headers").then(name);
                let span = self.node.key_span_at(&path.0);
                self.faults.push(
                    Diagnostic::at(span, format!("`{name}` is not a header's name in lower case"))
                        .path(written(&path.0))
                        .hint(format!("write `{}`", name.trim().to_ascii_lowercase())),
                );
            }
        }
        Check::Request(RequestCheck {
            turn,
            operation,
            route: entry.route,
            stream: entry.stream,
            model: entry
                .model
                .as_ref()
                .map(|entry| self.matcher(&path.then("model"), entry)),
            headers: self.named(&path.then("headers"), &entry.headers),
            body: self.queries(&path.then("body"), &entry.body),
        })
    }

    fn turn(&mut self, path: &KeyPath, turn: Turn, operation: Operation) -> Turn {
        let replies = self.context.script.replies.len();
        if let Turn::Number(number) = turn
            && number > replies
            && operation == Operation::Messages
            && self.context.whole
        {
            self.fault(
                &path.then("turn"),
                format!(
                    "there is no request {number}: the script has {}",
                    counted(replies)
                ),
            )
            .allowed = Some(format!("{}, `every` or `last`", numbers_to(replies)));
        }
        turn
    }

    /// That Claude Code gets an answer `turn`.
    fn answer_exists(&mut self, path: &KeyPath, turn: Option<usize>) {
        let answers = self
            .context
            .script
            .replies
            .len()
            .saturating_sub(usize::from(self.context.direct));
        if let Some(turn) = turn
            && turn > answers
            && self.context.whole
        {
            self.fault(
                path,
                format!("there is no answer {turn}: Claude Code gets {answers}"),
            )
            .allowed = Some(numbers_to(answers));
        }
    }

    fn count_is_possible(&mut self, path: &KeyPath, operation: Operation, count: u64) {
        let replies = &self.context.script.replies;
        let has_error = replies.iter().any(|reply| matches!(reply, Reply::Error(_)));
        if operation == Operation::Messages
            && self.context.whole
            && !has_error
            && count != replies.len() as u64
        {
            let message = format!(
                "the script has {}, so a right run never makes {count} requests",
                counted(replies.len())
            );
            self.hinted(
                path,
                message,
                format!("write {}, or change `replies`", replies.len()),
            );
        }
    }

    fn messages(&self) -> impl Iterator<Item = &ReplyMessage> {
        self.context
            .script
            .replies
            .iter()
            .filter_map(|reply| match reply {
                Reply::Message(message) => Some(message),
                Reply::Error(_) => None,
            })
    }

    /// The messages sent before request `turn`.
    fn messages_before(&self, turn: Option<Turn>) -> impl Iterator<Item = &ReplyMessage> {
        let bound = match turn {
            Some(Turn::Number(number)) => number - 1,
            _ => usize::MAX,
        };
        self.messages().take(bound)
    }

    fn tool_is_called(&mut self, path: &KeyPath, tool: &str, before: Option<Turn>) {
        let called: Vec<String> = self
            .messages_before(before)
            .flat_map(|message| &message.content)
            .filter_map(|block| match block {
                ReplyBlock::ToolUse { name, .. } => Some(name.clone()),
                _ => None,
            })
            .collect();
        if !self.context.whole || called.iter().any(|name| name == tool) {
            return;
        }
        let names: Vec<&str> = called.iter().map(String::as_str).collect();
        let path = path.then("name");
        let when = if before.is_some() {
            " before that request"
        } else {
            ""
        };
        let mut fault = Diagnostic::at(
            self.node.span_at(&path.0),
            format!("no reply calls the tool `{tool}`{when}"),
        )
        .path(written(&path.0));
        fault = match names.is_empty() {
            true => fault.hint(format!(
                "let a reply hold `tool_use: {{ name: {tool}, input: {{ … }} }}`"
            )),
            false => did_you_mean(fault.allowed(listed(names.iter().copied())), tool, &names),
        };
        self.faults.push(fault);
    }

    fn something_thinks(&mut self, path: &KeyPath, before: Option<Turn>) {
        let thinks = self
            .messages_before(before)
            .flat_map(|message| &message.content)
            .any(|block| matches!(block, ReplyBlock::Thinking(_)));
        if self.context.whole && !thinks {
            let when = if before.is_some() {
                " before that request"
            } else {
                ""
            };
            self.hinted(
                path,
                format!("no reply holds a thinking block{when}"),
                "add `{ thinking: … }` to a reply's `content`",
            );
        }
    }

    fn named(&mut self, path: &KeyPath, entries: &Ordered<MatcherEntry>) -> Vec<(String, Matcher)> {
        entries
            .0
            .iter()
            .map(|(name, entry)| (name.clone(), self.matcher(&path.then(name), entry)))
            .collect()
    }

    fn queries(&mut self, path: &KeyPath, entries: &Ordered<MatcherEntry>) -> Vec<(Query, Matcher)> {
        let mut queries = Vec::new();
        for (text, entry) in &entries.0 {
            let path = path.then(text);
            let span = self.node.key_span_at(&path.0).clone();
            let query = self.query(span, &path, text);
            let matcher = self.matcher(&path, entry);
            queries.extend(query.map(|query| (query, matcher)));
        }
        queries
    }

    fn query(&mut self, span: crate::document::Span, path: &KeyPath, text: &str) -> Option<Query> {
        match JsonPath::parse(text) {
            Ok(parsed) => Some(Query {
                text: text.to_owned(),
                path: parsed,
            }),
            Err(error) => {
                let position = error.position();
                let rest = text.get(position..).unwrap_or_default();
                let (what, hint) = match text.starts_with('$') {
                    true if rest.starts_with('=') && !rest.starts_with("==") => (
                        error.message().to_owned(),
                        "values are compared by `==`".to_owned(),
                    ),
                    true => (
                        error.message().to_owned(),
                        "JSONPath as in RFC 9535: `$.messages[0].content[?@.type == 'text'].text`".to_owned(),
                    ),
                    false => (
                        "it does not begin with `$`".to_owned(),
                        format!("write `$.{}`", text.trim_start_matches(['.', '/'])),
                    ),
                };
                let at = text.get(..position).map_or(0, |before| before.chars().count());
                let marked = span.within(text, at, 1);
                self.faults.push(
                    Diagnostic::at(
                        marked.as_ref().unwrap_or(&span),
                        format!("not a JSONPath: {what}"),
                    )
                    .path(written(&path.0))
                    .found(format!("`{text}`"))
                    .hint(hint),
                );
                None
            }
        }
    }

    fn matcher(&mut self, path: &KeyPath, entry: &MatcherEntry) -> Matcher {
        self.matcher_could_fail_and_hold(path, entry);
        for (key, text) in [
            ("contains", &entry.contains),
            ("not_contains", &entry.not_contains),
            ("matches", &entry.matches),
            (
                "equals",
                &entry.equals.as_ref().and_then(Value::as_str).map(str::to_owned),
            ),
        ] {
            let text = text.as_deref().unwrap_or_default();
            if let Some(placeholder) = PLACEHOLDERS
                .iter()
                .find(|placeholder| text.contains(**placeholder))
            {
                let message = format!("`{placeholder}` stands for something only in a reply's text");
                self.hinted(&path.then(key), message, "write what is expected");
            }
        }
        Matcher {
            equals: entry.equals.clone(),
            one_of: entry.one_of.clone(),
            contains: entry.contains.clone(),
            not_contains: entry.not_contains.clone(),
            matches: entry
                .matches
                .as_ref()
                .and_then(|text| self.regex(&path.then("matches"), text)),
            exists: entry.exists,
            min: entry.min,
            max: entry.max,
        }
    }

    fn matcher_could_fail_and_hold(&mut self, path: &KeyPath, entry: &MatcherEntry) {
        let others = entry.equals.is_some()
            || entry.one_of.is_some()
            || entry.contains.is_some()
            || entry.not_contains.is_some()
            || entry.matches.is_some()
            || entry.min.is_some()
            || entry.max.is_some();
        if entry.exists == Some(false) && others {
            self.hinted(
                &path.then("exists"),
                "what does not exist has no value to compare",
                "keep `exists: false` alone",
            );
        }
        if let (Some(least), Some(most)) = (entry.min, entry.max)
            && least > most
        {
            self.fault(
                path,
                format!("no number is both at least {least} and at most {most}"),
            );
        }
        if let (Some(equals), Some(one_of)) = (&entry.equals, &entry.one_of)
            && !one_of.contains(equals)
        {
            self.fault(path, "`equals` is none of `one_of`, so this could never hold");
        }
        if let (Some(with), Some(without)) = (&entry.contains, &entry.not_contains)
            && with.contains(without.as_str())
        {
            self.fault(
                path,
                "`contains` holds what `not_contains` forbids, so this could never hold",
            );
        }
        if let (Some(Value::String(equals)), Some(with)) = (&entry.equals, &entry.contains)
            && !equals.contains(with.as_str())
        {
            self.fault(
                path,
                "`equals` lacks what `contains` wants, so this could never hold",
            );
        }
    }

    /// `told` is what the crate says of it: the expression, perhaps a line of `^` below what is wrong, and why.
    fn no_regex(&mut self, path: &KeyPath, text: &str, told: &str) {
        let lines: Vec<&str> = told.lines().collect();
        let why = lines.last().unwrap_or(&"").trim_start_matches("error: ");
        let whole = self.node.span_at(&path.0);
        let marked = lines
            .iter()
            .find(|line| line.contains('^') && line.chars().all(|character| matches!(character, ' ' | '^')))
            .and_then(|marks| {
                const INDENT: usize = 4;
                let offset = marks.find('^')?.checked_sub(INDENT)?;
                whole.within(text, offset, marks.matches('^').count())
            });
        let hint = match why.contains("look-around") || why.contains("backreferences") {
            true => "say by `contains` and `not_contains` what such an expression would",
            false => {
                r"what is meant as it stands takes a `\` before it: one of `\ . + * ? ( ) | [ ] { } ^ $`"
            }
        };
        self.faults.push(
            Diagnostic::at(
                marked.as_ref().unwrap_or(whole),
                format!("not a regular expression: {why}"),
            )
            .path(written(&path.0))
            .found(format!("`{text}`"))
            .hint(hint),
        );
    }

    fn regex(&mut self, path: &KeyPath, text: &str) -> Option<Regex> {
        match Regex::new(text) {
            Err(error) => {
                self.no_regex(path, text, &error.to_string());
                None
            }
            // What finds something both in nothing and in a text that no author thought of finds something anywhere.
            Ok(regex) if regex.is_match("") && regex.is_match("\u{10fffd}\u{e000}\n\u{1}") => {
                self.hinted(
                    path,
                    "this regular expression matches every text, so it could never fail",
                    "let it need at least one character",
                );
                None
            }
            Ok(regex) => Some(regex),
        }
    }
}

fn counted(replies: usize) -> String {
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

/// The sections of `code.claude.com/docs/en/llm-gateway-protocol`, by their anchors (2026-11).
const PROTOCOL_SECTIONS: [&str; 5] = [
    "api-formats",
    "request-headers",
    "system-prompt-attribution-block",
    "feature-pass-through",
    "model-discovery",
];

const NO_CONDITION: &str = "no condition is given, so this could never fail";
