//! Members of a Converse request that its own model of the request excludes.

use serde_json::Value;

use super::{Rule, Subject};
use crate::wire::Route;
use crate::wire::error_reply::ErrorReply;
use crate::wire::pointer::list;

pub(super) const RULES: &[Rule] = rules![conversation_start, document_name, converse_members,];

/// The request, if it is one of Converse.
fn prompt<'a>(subject: &Subject<'a>) -> Option<&'a Value> {
    let is_converse = subject.route() == Route::BedrockConverse;
    is_converse.then(|| subject.prompt())?
}

/// No source has the rule for token counts.
///
/// Source: https://github.com/elastic/kibana/pull/246393,
/// https://github.com/quarkiverse/quarkus-langchain4j/issues/1764
fn conversation_start(subject: &Subject) -> Option<ErrorReply> {
    let first = list(prompt(subject)?, "/messages").first()?;
    (first["role"] == "assistant" && !subject.is_count()).then(|| {
        ErrorReply::new(
            400,
            "A conversation must start with a user message. Try again with a conversation that starts with a user message.",
        )
    })
}

const LONGEST_DOCUMENT_NAME: usize = 200;

/// Underscores are accepted. Only the ASCII space is accepted as a blank.
///
/// Source: https://github.com/simonw/llm-bedrock/issues/8, https://github.com/vercel/ai/pull/20366,
/// https://github.com/aws-samples/generative-ai-use-cases/issues/1671;
/// https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_DocumentBlock.html
fn document_name(subject: &Subject) -> Option<ErrorReply> {
    let is_allowed = |letter: char| letter.is_ascii_alphanumeric() || " -()[]_".contains(letter);
    let is_right = |name: &str| {
        let is_run = |pair: &[u8]| pair.iter().all(|letter| *letter == b' ');
        let has_length = (1..=LONGEST_DOCUMENT_NAME).contains(&name.len());
        has_length && name.chars().all(is_allowed) && !name.as_bytes().windows(2).any(is_run)
    };
    let mut blocks = members(prompt(subject)?);
    let is_wrong = blocks.any(|(_, block)| {
        block["document"]["name"]
            .as_str()
            .is_some_and(|name| !is_right(name))
    });
    is_wrong.then(|| {
        ErrorReply::new(
            400,
            "The document file name can only contain alphanumeric characters, whitespace characters, hyphens, parentheses, \
             and square brackets. The name can't contain more than one consecutive whitespace character. Check that the \
             file name conforms to these restrictions and retry your request.",
        )
    })
}

/// The wordings for a list without entries and for a choice that is no object are ours.
///
/// Source: https://github.com/boto/botocore (`data/bedrock-runtime/2023-09-30/service-2.json`: `ToolConfiguration`,
/// `ToolResultStatus`, `CachePointType`); wordings: https://github.com/continuedev/continue/issues/1938 (an enumeration),
/// https://github.com/prism-php/bedrock/pull/46 (a choice)
fn converse_members(subject: &Subject) -> Option<ErrorReply> {
    let prompt = prompt(subject)?;
    let fault = tool_config_fault(&prompt["toolConfig"]).or_else(|| {
        let tools = numbered("toolConfig.tools", list(prompt, "/toolConfig/tools"));
        members(prompt)
            .chain(tools)
            .find_map(|(place, member)| enumeration_fault(&place, member))
    })?;
    Some(ErrorReply::new(
        400,
        format!("1 validation error detected: {fault}"),
    ))
}

fn tool_config_fault(config: &Value) -> Option<String> {
    let fields = config.as_object()?;
    let wrong = |place: &str, constraint: &str| {
        Some(format!(
            "Value at 'toolConfig.{place}' failed to satisfy constraint: Member must {constraint}"
        ))
    };
    if fields.get("tools").is_none_or(Value::is_null) {
        return wrong("tools", "not be null");
    }
    if list(config, "/tools").is_empty() {
        return wrong("tools", "have length greater than or equal to 1");
    }
    let choice = fields.get("toolChoice").filter(|choice| !choice.is_null())?;
    match choice.get("tool").filter(|tool| !tool.is_null()) {
        _ if !choice.is_object() => wrong("toolChoice", "be a structure"),
        Some(tool) if tool["name"].is_null() => wrong("toolChoice.tool.name", "not be null"),
        _ => None,
    }
}

fn enumeration_fault(place: &str, member: &Value) -> Option<String> {
    let enumerations: [(&str, &str, &[&str]); 2] = [
        ("toolResult", "status", &["success", "error"]),
        ("cachePoint", "type", &["default"]),
    ];
    enumerations.into_iter().find_map(|(kind, name, values)| {
        let value = member.get(kind)?.get(name).filter(|value| !value.is_null())?;
        let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        (!values.contains(&shown.as_str())).then(|| {
            format!(
                "Value '{shown}' at '{place}.member.{kind}.{name}' failed to satisfy constraint: Member must satisfy enum \
                 value set: [{}]",
                values.join(", ")
            )
        })
    })
}

/// The entries of the system prompt, the blocks of the conversation and those within tool results, with their paths.
fn members(prompt: &Value) -> impl Iterator<Item = (String, &Value)> {
    let messages = numbered("messages", list(prompt, "/messages"));
    let blocks = messages.flat_map(|(place, message)| {
        let content = list(message, "/content");
        numbered(&format!("{place}.member.content"), content)
    });
    let blocks = blocks.flat_map(|(place, block)| {
        let content = list(block, "/toolResult/content");
        let inner = numbered(&format!("{place}.member.toolResult.content"), content);
        std::iter::once((place, block)).chain(inner)
    });
    numbered("system", list(prompt, "/system")).chain(blocks)
}

/// Each entry of the list at `place`, with AWS's path: the first has the number 1.
fn numbered<'a>(place: &str, entries: &'a [Value]) -> impl Iterator<Item = (String, &'a Value)> + use<'a> {
    let place = place.to_owned();
    let entries = entries.iter().enumerate();
    entries.map(move |(index, entry)| (format!("{place}.{}", index + 1), entry))
}
