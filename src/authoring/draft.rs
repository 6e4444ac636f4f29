//! A cell drafted from what a run left behind: the provider's replies, and expectations of what was seen on both sides.
//!
//! What is drafted is what was, not what should be: it ends with a `todo`, so that nobody takes it for judged. Credentials,
//! sessions and folders of the run do not get into it.

use crate::text::listed;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use super::stub::{WRITE_ME, modeline};
use super::yaml_text;
use crate::evidence::Evidence;
use crate::ids::{ProviderId, TierId};
use crate::spec::expectation::KnownFailure;
use crate::spec::resolve::Origin;
use crate::spec::schema::FileKind;
use crate::transcript::{Answer, AnswerBlock};
use crate::wire::exchange::{ProviderExchange, ProviderReply};
use crate::wire::message::{Block, Content, text_of};
use crate::wire::redaction::{of_text as redacted, of_value as redacted_value};
use crate::wire::{Operation, Route};
use crate::wire_diff::{self, Direction, Part};

/// What the cell has already, and a draft need not say or may rest on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// Its feature says what is said to Claude Code.
    pub prompt: bool,
    /// A prompt of it has an image.
    pub image: bool,
    /// A prompt of it has a document.
    pub document: bool,
    pub direct: bool,
    pub count_tokens: bool,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    provider: ProviderId,
    from: String,
    prompts: Vec<String>,
    /// What of the prompt a text cannot say.
    files: Vec<String>,
    replies: Vec<Value>,
    expect: Map<String, Value>,
    /// What the gateway changed in the run and no cell of the provider declares.
    changed: Vec<String>,
}

/// Drafts a cell of `provider` from `evidence`, which was read `from` a folder. What its other cells declare that the gateway
/// changes is `known`, and declared again where it shows.
pub fn draft(
    provider: &ProviderId,
    evidence: &Evidence,
    given: Given,
    known: &[(String, KnownFailure)],
    from: &str,
) -> Draft {
    let asked: Vec<&ProviderExchange> = evidence
        .exchanges
        .iter()
        .filter(|exchange| exchange.turn.is_some())
        .collect();
    let replies = match asked.is_empty() {
        true => evidence
            .transcript
            .messages()
            .iter()
            .map(reply_of_answer)
            .collect(),
        false => replies(&asked),
    };
    let mut expect = Map::new();
    claude_side(evidence, given, &mut expect);
    let changed = provider_side(provider, evidence, &asked, given, known, &mut expect);
    let (prompts, files) = match given.prompt {
        true => (Vec::new(), Vec::new()),
        false => prompt(evidence),
    };
    Draft {
        provider: provider.clone(),
        from: redacted(from),
        prompts,
        files,
        replies,
        expect,
        changed,
    }
}

impl Draft {
    /// Leaves out what the feature's cells share already: the same replies, and what is expected in the same words under any
    /// name.
    pub fn leave_out_shared(&mut self, shared: &[Origin]) {
        let is_shared = |key: &str, value: &Value| {
            shared
                .iter()
                .any(|origin| origin.key.starts_with(key) && origin.value == *value)
        };
        if is_shared("replies", &json!(self.replies)) {
            self.replies.clear();
        }
        self.expect
            .retain(|_, expectation| !is_shared("expect.", expectation));
    }

    /// Leaves the expectation `name` out; whether it was there.
    pub fn leave_out(&mut self, name: &str) -> bool {
        self.expect.shift_remove(name).is_some()
    }

    pub fn text(&self) -> String {
        let mut out = modeline(FileKind::Cell);
        let _ = writeln!(
            out,
            "# Drafted from {}: what was seen, which need not be what should be.",
            self.from
        );
        out.push_str("# A run does not record `flags` and `env`.\n");
        for file in &self.files {
            let _ = writeln!(
                out,
                "# The prompt had {file}: put the file beside this one and name it in `prompts`."
            );
        }
        match &self.prompts[..] {
            [] => {}
            [prompt] => {
                let _ = write!(out, "prompt:{}", yaml_text::block(&json!(prompt), 0));
            }
            prompts => {
                let messages: Vec<Value> = prompts.iter().map(|text| json!([{ "text": text }])).collect();
                let _ = write!(out, "prompts:{}", yaml_text::block(&messages.into(), 0));
            }
        }
        if !self.replies.is_empty() {
            let _ = write!(out, "\nreplies:{}", yaml_text::block(&json!(self.replies), 0));
        }
        out.push_str("\nexpect:\n");
        for (name, expectation) in &self.expect {
            let _ = write!(out, "  {name}:{}", yaml_text::block(expectation, 2));
        }
        if !self.changed.is_empty() {
            let _ = writeln!(
                out,
                "  # In this run the gateway changed {}: a fault of it, unless `except` has it with a reason and a link.",
                listed(self.changed.iter().map(String::as_str))
            );
        }
        let todo = "hold each line of this draft against what should be, then remove this";
        let _ = write!(
            out,
            "  # Every trial of this cell fails until this is gone.\n  {WRITE_ME}_{}:\n    todo: {}\n",
            self.provider,
            yaml_text::scalar(todo)
        );
        out
    }
}

/// The user's own messages: what `claude` adds stands in `<system-reminder>`s.
fn prompt(evidence: &Evidence) -> (Vec<String>, Vec<String>) {
    let last = evidence
        .exchanges
        .iter()
        .rfind(|exchange| exchange.turn.is_some())
        .and_then(|exchange| exchange.message.as_ref());
    let sent = evidence
        .sent
        .iter()
        .rfind(|passage| passage.turn.is_some())
        .and_then(|passage| crate::wire::messages::read(passage.request.body.json()?, None, &[]));
    let Some(request) = sent.as_ref().or(last) else {
        return (Vec::new(), Vec::new());
    };
    let mut prompts = Vec::new();
    let mut files = Vec::new();
    for message in request.messages.iter().filter(|message| message.role == "user") {
        let is_result = |block: &Block| matches!(block.content, Content::ToolResult { .. });
        if message.content.iter().any(is_result) {
            continue;
        }
        let texts: Vec<&str> = message.content.iter().filter_map(own_text).collect();
        if !texts.is_empty() {
            prompts.push(redacted(&texts.join("\n")));
        }
        files.extend(message.content.iter().filter_map(|block| match &block.content {
            Content::Image { media_type, .. } => Some(format!("an image (`{media_type}`)")),
            Content::Document { media_type, .. } => Some(format!("a document (`{media_type}`)")),
            _ => None,
        }));
    }
    (prompts, files)
}

fn own_text(block: &Block) -> Option<&str> {
    match &block.content {
        Content::Text(text) if !text.trim_start().starts_with("<system-reminder>") => Some(text),
        _ => None,
    }
}

fn replies(asked: &[&ProviderExchange]) -> Vec<Value> {
    let reply = |exchange: &&ProviderExchange| {
        let reply = &exchange.reply;
        match reply.message.as_ref() {
            None => error(reply),
            Some(message) => {
                let blocks = message["content"].as_array().cloned().unwrap_or_default();
                let result = last_result(exchange);
                let content: Vec<Value> = blocks
                    .iter()
                    .filter_map(|block| reply_block(block, result.as_deref()))
                    .collect();
                let mut entry = json!({ "content": content });
                let natural = natural_stop_reason(&content);
                if let Some(reason) = message["stop_reason"]
                    .as_str()
                    .filter(|reason| *reason != natural)
                {
                    entry["stop_reason"] = reason.into();
                }
                if reply.lockstep.is_some() {
                    entry["pace"] = json!({ "lockstep": true });
                }
                entry
            }
        }
    };
    asked.iter().map(reply).collect()
}

fn natural_stop_reason(content: &[Value]) -> &'static str {
    match content.iter().any(|block| block.get("tool_use").is_some()) {
        true => "tool_use",
        false => "end_turn",
    }
}

/// The text of the last tool result that a request brought.
fn last_result(exchange: &ProviderExchange) -> Option<String> {
    let message = exchange.message.as_ref()?;
    let result = message
        .blocks()
        .into_iter()
        .rev()
        .find_map(|block| match &block.content {
            Content::ToolResult { content, .. } => Some(text_of(content)),
            _ => None,
        })?;
    let own = result
        .split("<system-reminder>")
        .next()
        .unwrap_or_default()
        .trim();
    (!own.is_empty()).then(|| own.to_owned())
}

fn reply_block(block: &Value, result: Option<&str>) -> Option<Value> {
    match block["type"].as_str()? {
        "text" => {
            let text = redacted(block["text"].as_str()?);
            let text = match result {
                Some(result) => text.replace(result, "${tool_result}"),
                None => text,
            };
            Some(json!({ "text": text }))
        }
        "thinking" => Some(json!({ "thinking": redacted(block["thinking"].as_str()?) })),
        "tool_use" => {
            Some(json!({ "tool_use": { "name": block["name"], "input": redacted_value(&block["input"]) } }))
        }
        _ => None,
    }
}

fn error(reply: &ProviderReply) -> Value {
    let body = reply.events.first().map_or(&Value::Null, |event| &event.data);
    let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str);
    let message = text("/error/message").or(text("/message")).unwrap_or("an error");
    let mut error = json!({ "status": reply.status.clamp(400, 599), "message": redacted(message) });
    if let Some(kind) = text("/error/type") {
        error["type"] = kind.into();
    }
    json!({ "error": error })
}

/// Of a live run the provider's side is not known: what Claude Code saw stands for it.
fn reply_of_answer(answer: &Answer) -> Value {
    let content: Vec<Value> = answer
        .content
        .iter()
        .filter_map(|block| match block {
            AnswerBlock::Text(text) => Some(json!({ "text": redacted(text) })),
            AnswerBlock::Thinking { thinking, .. } => Some(json!({ "thinking": redacted(thinking) })),
            AnswerBlock::ToolUse { name, input, .. } => {
                Some(json!({ "tool_use": { "name": name, "input": redacted_value(input) } }))
            }
            AnswerBlock::RedactedThinking(_) | AnswerBlock::Other(_) => None,
        })
        .filter(|block| block["thinking"] != "" && block["text"] != "")
        .collect();
    json!({ "content": content })
}

/// The most characters of a text that is expected word for word.
const SHORT: usize = 200;

fn claude_side(evidence: &Evidence, given: Given, expect: &mut Map<String, Value>) {
    let transcript = &evidence.transcript;
    if let Some(text) = transcript.final_text() {
        let line = text
            .lines()
            .map(str::trim)
            .find(|line| !line.is_empty())
            .unwrap_or_default();
        let is_whole = line.chars().count() <= SHORT && !line.is_empty() && redacted(line) == line;
        if is_whole {
            expect.insert("reply".into(), json!({ "text": { "contains": line } }));
        }
    }
    let answers = transcript.messages();
    for (name, input) in calls(&answers) {
        let input: Map<String, Value> = input
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(_, value)| is_telling(value))
            .map(|(key, value)| (key.clone(), json!({ "equals": value })))
            .collect();
        let mut call = json!({ "name": name });
        if !input.is_empty() {
            call["input"] = input.into();
        }
        insert(
            expect,
            &format!("called_{}", name_of(name)),
            json!({ "tool_call": call }),
        );
    }
    for result in transcript.tool_results() {
        let Some(name) = &result.name else { continue };
        let mut entry = json!({ "name": name, "is_error": result.is_error });
        if let Some(text) = telling_line(&result.text) {
            entry["text"] = json!({ "contains": text });
        }
        insert(
            expect,
            &format!("ran_{}", name_of(name)),
            json!({ "tool_result": entry }),
        );
    }
    let thinks = |block: &AnswerBlock| matches!(block, AnswerBlock::Thinking { signature, .. } if !signature.is_empty());
    if answers.iter().flat_map(|answer| &answer.content).any(thinks) {
        expect.insert("thought".into(), json!({ "thinking": {} }));
    }
    if let Some(reason) = answers.last().and_then(|answer| answer.stop_reason.as_deref()) {
        expect.insert(
            "ended".into(),
            json!({ "stop_reason": { "value": { "equals": reason } } }),
        );
    }
    if let Some(code) = evidence.exit.code.filter(|code| *code != 0) {
        expect.insert("exited".into(), json!({ "exit": code }));
    }
    if let Some(direct) = evidence.direct.as_ref().filter(|_| given.direct) {
        let mut reply = json!({ "status": direct.status });
        if let Some(text) = direct.body.pointer("/content/0/text").and_then(Value::as_str) {
            reply["body"] = json!({ "$.content[0].text": { "equals": text } });
        }
        expect.insert("answered_directly".into(), json!({ "direct_reply": reply }));
    }
    if given.count_tokens && evidence.counted.is_some() {
        expect.insert(
            "tokens_counted".into(),
            json!({ "needs_gateway": true, "token_count": { "min": 1, "as_provider": true } }),
        );
    }
}

fn calls(answers: &[Answer]) -> impl Iterator<Item = (&str, &Value)> {
    answers
        .iter()
        .flat_map(|answer| &answer.content)
        .filter_map(|block| match block {
            AnswerBlock::ToolUse { name, input, .. } => Some((name.as_str(), input)),
            _ => None,
        })
}

fn is_telling(value: &Value) -> bool {
    match value {
        Value::String(text) => text.chars().count() <= SHORT && redacted(text) == *text,
        Value::Array(_) | Value::Object(_) => false,
        _ => true,
    }
}

fn telling_line(text: &str) -> Option<&str> {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty())?;
    (line.chars().count() <= SHORT && redacted(line) == line && !line.starts_with('<')).then_some(line)
}

/// Gives what the gateway changed and nobody has declared.
fn provider_side(
    provider: &ProviderId,
    evidence: &Evidence,
    asked: &[&ProviderExchange],
    given: Given,
    known: &[(String, KnownFailure)],
    expect: &mut Map<String, Value>,
) -> Vec<String> {
    let mut undeclared = Vec::new();
    if asked.is_empty() {
        return undeclared;
    }
    let route = Route::ALL
        .into_iter()
        .find(|route| route.as_str() == provider.as_str());
    if let Some(route) = route.filter(|route| asked.iter().all(|exchange| exchange.route == Some(*route))) {
        let request = json!({ "turn": "every", "route": route.as_str() });
        expect.insert("route".into(), json!({ "request": request }));
    }
    expect.insert(
        "number_of_requests".into(),
        json!({ "requests": { "count": asked.len() } }),
    );
    for exchange in asked {
        arrivals(exchange, given, expect);
    }
    for (way, name) in [
        (Direction::Request, "request_unchanged"),
        (Direction::Reply, "reply_unchanged"),
    ] {
        if let Some((unchanged, changed)) = unchanged(way, evidence, known) {
            expect.insert(name.into(), unchanged);
            undeclared.extend(changed);
        }
    }
    undeclared
}

/// What a request brought to the provider.
fn arrivals(exchange: &ProviderExchange, given: Given, expect: &mut Map<String, Value>) {
    let (Some(turn), Some(request)) = (exchange.turn, &exchange.message) else {
        return;
    };
    let names: BTreeMap<&str, &str> = request
        .blocks()
        .into_iter()
        .filter_map(|block| match &block.content {
            Content::ToolUse { id, name, .. } => Some((id.as_str(), name.as_str())),
            _ => None,
        })
        .collect();
    for block in request
        .messages
        .last()
        .into_iter()
        .flat_map(|message| &message.content)
    {
        match &block.content {
            Content::ToolResult {
                tool_use_id,
                content,
                is_error,
            } => {
                let Some(name) = names.get(tool_use_id.as_str()) else {
                    continue;
                };
                let mut entry = json!({ "turn": turn, "name": name });
                if *is_error {
                    entry["is_error"] = true.into();
                }
                if let Some(line) = telling_line(&text_of(content)) {
                    entry["text"] = json!({ "contains": line });
                }
                let key = format!("{}_result_came_back", name_of(name));
                insert(expect, &key, json!({ "tool_result_arrived": entry }));
            }
            Content::Document { .. } if given.document => {
                expect
                    .entry("document_arrived")
                    .or_insert_with(|| json!({ "document_arrived": { "turn": turn } }));
            }
            Content::Image { .. } if given.image => {
                expect
                    .entry("image_arrived")
                    .or_insert_with(|| json!({ "image_arrived": { "turn": turn } }));
            }
            _ => {}
        }
    }
    if request.blocks().iter().any(|block| block.content.is_thinking()) {
        expect
            .entry("thinking_came_back")
            .or_insert_with(|| json!({ "thinking_arrived": { "turn": turn } }));
    }
}

/// That nothing changes but what is known to and did in this run; and what else did.
fn unchanged(
    way: Direction,
    evidence: &Evidence,
    known: &[(String, KnownFailure)],
) -> Option<(Value, Vec<String>)> {
    let diff = wire_diff::of_trial(evidence)?;
    let mut changed: Vec<&str> = diff
        .changes
        .iter()
        .filter(|change| {
            change.direction == way
                && change.operation == Operation::Messages
                && change.what.part != Part::Pace
        })
        .map(|change| change.what.path.as_str())
        .collect();
    changed.sort_unstable();
    changed.dedup();
    let mut except = Map::new();
    let mut undeclared = Vec::new();
    for what in changed {
        match known.iter().find(|(name, _)| name == what) {
            Some((_, known)) => drop(except.insert(what.to_owned(), declared(known))),
            None => undeclared.push(what.to_owned()),
        }
    }
    let way = match way {
        Direction::Request => "request",
        Direction::Reply => "reply",
    };
    let mut unchanged = json!({ "way": way });
    if !except.is_empty() {
        unchanged["except"] = except.into();
    }
    Some((json!({ "unchanged": unchanged }), undeclared))
}

/// A known failure as a cell says it.
fn declared(known: &KnownFailure) -> Value {
    let mut declared = json!({ "reason": known.reason, "link": known.link });
    if let Some(tiers) = &known.tiers {
        declared["tiers"] = tiers.iter().map(TierId::as_str).collect();
    }
    declared
}

/// Puts `expectation` under `name`, or under the first `name_2`, `name_3`, … that is free; one that is there already is not
/// repeated.
fn insert(expect: &mut Map<String, Value>, name: &str, expectation: Value) {
    if expect.values().any(|known| *known == expectation) {
        return;
    }
    let free = (1..)
        .map(|number| match number {
            1 => name.to_owned(),
            number => format!("{name}_{number}"),
        })
        .find(|name| !expect.contains_key(name));
    if let Some(free) = free {
        expect.insert(free, expectation);
    }
}

/// A tool's name as part of an expectation's: `mcp__files__Read` is `mcp_files_read`.
fn name_of(tool: &str) -> String {
    let words: Vec<String> = tool
        .split(|character: char| !character.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_ascii_lowercase)
        .collect();
    match words.is_empty() {
        true => "tool".to_owned(),
        false => words.join("_"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shared_in_the_same_words_is_not_said_again() {
        let origin = |key: &str, value: Value| Origin {
            key: key.to_owned(),
            place: crate::spec::expectation::Place::default(),
            value,
        };
        let mut draft = Draft {
            provider: ProviderId::new("anthropic"),
            from: "a run".into(),
            prompts: Vec::new(),
            files: Vec::new(),
            replies: vec![json!({ "content": [{ "text": "pong" }] })],
            expect: Map::new(),
            changed: Vec::new(),
        };
        draft
            .expect
            .insert("number_of_requests".into(), json!({ "requests": { "count": 1 } }));
        draft
            .expect
            .insert("reply".into(), json!({ "text": { "contains": "pong" } }));
        draft.leave_out_shared(&[
            origin("replies", json!([{ "content": [{ "text": "pong" }] }])),
            origin("expect.once", json!({ "requests": { "count": 1 } })),
            origin("expect.reply", json!({ "text": { "contains": "ping" } })),
        ]);
        assert!(draft.replies.is_empty());
        assert_eq!(draft.expect.keys().collect::<Vec<_>>(), ["reply"]);
    }

    #[test]
    fn tools_have_names_that_expectations_may_have() {
        assert_eq!(name_of("mcp__files__Read"), "mcp_files_read");
        assert_eq!(name_of("…"), "tool");
    }
}
