//! What a cooperative model finds in a request: the last prompt, what was done since, and the facts in the results.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use regex::Regex;
use serde_json::Value;

use crate::provider::colour;
use crate::provider::playback::without_reminders;
use crate::wire::message::{Block, Content, Message, MessageRequest, text_of};

/// A conversation as a model sees it at its end.
pub(super) struct Reading<'a> {
    pub(super) request: &'a MessageRequest,
    /// The last prompt of the user, without Claude Code's reminders.
    pub(super) prompt: String,
    /// The blocks of the last prompt's message.
    prompt_blocks: &'a [Block],
    /// The messages before the last prompt.
    before: &'a [Message],
    /// The tools called since then, in order.
    pub(super) called: Vec<(&'a str, &'a Value)>,
    /// The results since then, in order.
    results: Vec<(&'a str, &'a [Block])>,
}

impl<'a> Reading<'a> {
    pub(super) fn of(request: &'a MessageRequest) -> Self {
        let messages = &request.messages;
        let last = (0..messages.len()).rfind(|index| is_prompt(messages, *index));
        let last = last.unwrap_or_default();
        let prompt_blocks = messages.get(last).map_or(&[][..], |message| &message.content);
        let after = messages.get(last + 1..).unwrap_or_default();
        let blocks = || after.iter().flat_map(|message| &message.content);
        let calls: Vec<(&str, &str, &Value)> = blocks()
            .filter_map(|block| match &block.content {
                Content::ToolUse { id, name, input } => Some((id.as_str(), name.as_str(), input)),
                _ => None,
            })
            .collect();
        let name_of = |id: &str| {
            calls
                .iter()
                .find(|(call, ..)| *call == id)
                .map_or("", |(_, name, _)| name)
        };
        let results = blocks().filter_map(|block| match &block.content {
            Content::ToolResult {
                tool_use_id, content, ..
            } => Some((name_of(tool_use_id), content.as_slice())),
            _ => None,
        });
        Self {
            request,
            prompt: words_of(prompt_blocks),
            prompt_blocks,
            before: messages.get(..last).unwrap_or_default(),
            results: results.collect(),
            called: calls.into_iter().map(|(_, name, input)| (name, input)).collect(),
        }
    }

    pub(super) fn has_called(&self, tool: &str) -> bool {
        self.called.iter().any(|(name, _)| *name == tool)
    }

    pub(super) fn offers(&self, tool: &str) -> bool {
        self.request.tools.iter().any(|offered| offered.name == tool)
    }

    /// Whether Claude Code compacts the conversation.
    pub(super) fn wants_summary(&self) -> bool {
        self.prompt.contains("detailed summary")
    }

    /// What the results since the last prompt say, a phrase each.
    pub(super) fn facts(&self) -> Vec<String> {
        let results = self.results.iter().filter(|(tool, _)| *tool != "ToolSearch");
        let mut facts = Vec::new();
        for (tool, blocks) in results {
            let seen = seen(blocks);
            let text = without_reminders(&text_of(blocks));
            let text = match *tool {
                "Agent" => report_of_agent(&text).unwrap_or(text),
                "WebSearch" => sentence_with(&text, " is ").unwrap_or(text),
                _ => text,
            };
            match seen.is_empty() && !text.is_empty() {
                true => facts.push(text),
                false => facts.extend(seen),
            }
        }
        facts
    }

    /// The colour of an image, or the code word of a document, that the prompt has.
    pub(super) fn seen_in_prompt(&self) -> Option<String> {
        seen(self.prompt_blocks).pop()
    }

    /// The text that `pattern` catches in the whole conversation, the last one.
    pub(super) fn told(&self, pattern: &str) -> Option<String> {
        let pattern = Regex::new(pattern).ok()?;
        let earlier = self.before.iter().filter(|message| message.role == "user");
        let texts = earlier.map(|message| words_of(&message.content));
        let texts: Vec<String> = texts.chain([self.prompt.clone()]).collect();
        texts
            .iter()
            .rev()
            .find_map(|text| Some(pattern.captures(text)?[1].to_owned()))
    }

    /// The names of tools, offered or only listed, that servers of the Model Context Protocol have.
    pub(super) fn server_tools(&self) -> Vec<String> {
        static NAME: LazyLock<Regex> =
            LazyLock::new(|| Regex::new(r"\bmcp__\w+").expect("a constant expression"));
        let offered = self.request.tools.iter().map(|tool| tool.name.clone());
        let mut names: Vec<String> = offered.filter(|name| name.starts_with("mcp__")).collect();
        let messages = self
            .request
            .messages
            .iter()
            .map(|message| text_of(&message.content));
        for text in messages.chain([text_of(&self.request.system)]) {
            names.extend(NAME.find_iter(&text).map(|name| name.as_str().to_owned()));
        }
        names.sort();
        names.dedup();
        names
    }
}

/// Whether a person wrote the message: what follows a call of a tool is its result, and words of Claude Code's own.
fn is_prompt(messages: &[Message], index: usize) -> bool {
    let is_call = |block: &Block| matches!(block.content, Content::ToolUse { .. });
    let earlier = messages[..index].iter();
    let answer = earlier.rev().find(|message| message.role == "assistant");
    messages[index].role == "user"
        && !answer.is_some_and(|answer| answer.content.iter().any(is_call))
        && !words_of(&messages[index].content).is_empty()
}

/// How a gateway marks a system message that it made one of the user, for a model that takes no system message there (seen with
/// LiteLLM 1.106.2). Claude Code sends such messages after the user's own.
const OPERATORS_WORDS: &str = "Operator note (not from the user)";

fn words_of(blocks: &[Block]) -> String {
    let texts = blocks.iter().filter_map(|block| match &block.content {
        Content::Text(text) => Some(without_reminders(text)),
        _ => None,
    });
    // Claude Code says that it loaded a tool (seen with version 2.1.327).
    let texts: Vec<String> = texts
        .take_while(|text| !text.starts_with(OPERATORS_WORDS))
        .filter(|text| !text.is_empty() && text != "Tool loaded.")
        .collect();
    texts.join("\n")
}

/// What the images and documents of `blocks` show.
fn seen(blocks: &[Block]) -> Vec<String> {
    let seen = blocks.iter().filter_map(|block| match &block.content {
        Content::Image { data, .. } => Some(colour::dominant(data)?.to_owned()),
        Content::Document { data, .. } => code_word(data),
        _ => None,
    });
    seen.collect()
}

/// The code word of a PDF document whose text is not compressed.
fn code_word(data: &str) -> Option<String> {
    static TEXT: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"\((?:[^()]*code word[^()]* is |)([\w-]+)[^()]*\) ?Tj").expect("a constant expression")
    });
    let bytes = STANDARD.decode(data).ok()?;
    let text = String::from_utf8_lossy(&bytes);
    Some(TEXT.captures(&text)?[1].to_owned())
}

/// A subagent's report, which Claude Code puts between words of its own (seen with version 2.1.327).
fn report_of_agent(text: &str) -> Option<String> {
    static REPORT: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(?s)The report follows:\n(.*?)\n(?:agentId:|<usage>)").expect("a constant expression")
    });
    Some(REPORT.captures(text)?[1].trim().to_owned())
}

fn sentence_with(text: &str, part: &str) -> Option<String> {
    let mut lines = text.lines().filter(|line| line.contains(part));
    lines.next().map(str::to_owned)
}
