//! Members of a Converse request that its own model of the request excludes.

use serde_json::Value;

use super::{Rule, Subject};
use crate::wire::Route;
use crate::wire::converse::LONGEST_NAME;
use crate::wire::error_reply::ErrorReply;
use crate::wire::pointer::list;

pub(super) const RULES: &[Rule] = rules![
    conversation_start,
    alternating_roles,
    document_name,
    converse_members,
];

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

/// No source has the rule for token counts.
///
/// Source: https://github.com/langchain-ai/langchain-aws/issues/130, https://github.com/Portkey-AI/gateway/issues/748,
/// https://github.com/microsoft/semantic-kernel/issues/10281
fn alternating_roles(subject: &Subject) -> Option<ErrorReply> {
    let messages = list(prompt(subject)?, "/messages");
    let is_turn = |message: &Value| matches!(message["role"].as_str(), Some("user" | "assistant"));
    let is_repeated = |pair: &[Value]| is_turn(&pair[0]) && pair[0]["role"] == pair[1]["role"];
    (messages.windows(2).any(is_repeated) && !subject.is_count()).then(|| {
        ErrorReply::new(
            400,
            "A conversation must alternate between user and assistant roles. Make sure the conversation alternates between \
             user and assistant roles and try again.",
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
    let mut members = members(prompt(subject)?);
    members.find_map(|(place, member)| match member.get("document")?.as_object()?.get("name") {
        None | Some(Value::Null) => invalid(format!(
            "Value null at '{place}.document.name' failed to satisfy constraint: Member must not be null"
        )),
        Some(Value::String(name)) if !is_right(name) => Some(ErrorReply::new(
            400,
            "The document file name can only contain alphanumeric characters, whitespace characters, hyphens, parentheses, \
             and square brackets. The name can't contain more than one consecutive whitespace character. Check that the \
             file name conforms to these restrictions and retry your request.",
        )),
        _ => None,
    })
}

/// A refusal by AWS's own model of the request.
fn invalid(fault: String) -> Option<ErrorReply> {
    Some(ErrorReply::new(
        400,
        format!("1 validation error detected: {fault}"),
    ))
}

/// The texts with a form: their key, the members that have it, the letters besides those of ASCII and digits (none: any), and
/// the greatest length.
const TEXTS: [(&str, &[&str], &str, usize); 3] = [
    ("name", &["toolSpec", "toolUse", "tool"], "_-", LONGEST_NAME),
    ("toolUseId", &["toolUse", "toolResult"], "_.:-", 64),
    ("description", &["toolSpec"], "", usize::MAX),
];

/// A refusal of the first text of `key` without its form.
pub(super) fn text_refusal(subject: &Subject, key: &str) -> Option<ErrorReply> {
    let (_, kinds, letters, longest) = TEXTS.into_iter().find(|(known, ..)| *known == key)?;
    let is_allowed = |letter: char| letter.is_ascii_alphanumeric() || letters.contains(letter);
    let fault = |text: &str| {
        Some(match text {
            "" => "have length greater than or equal to 1".to_owned(),
            _ if !letters.is_empty() && !text.chars().all(is_allowed) => {
                format!("satisfy regular expression pattern: [a-zA-Z0-9{letters}]+")
            }
            _ if text.len() > longest => format!("have length less than or equal to {longest}"),
            _ => return None,
        })
    };
    members(prompt(subject)?).find_map(|(place, member)| {
        let mut texts = kinds
            .iter()
            .filter_map(|kind| Some((kind, member.get(kind)?.get(key)?.as_str()?)));
        let (kind, text) = texts.next()?;
        let constraint = fault(text)?;
        invalid(format!(
            "Value '{text}' at '{place}.{kind}.{key}' failed to satisfy constraint: Member must {constraint}"
        ))
    })
}

/// The wordings for a list without entries, for a choice that is no object and for a number that is none are ours.
///
/// Source: https://github.com/boto/botocore (`data/bedrock-runtime/2023-09-30/service-2.json`: `ToolConfiguration`,
/// `ToolResultStatus`, `CachePointType`, `InferenceConfiguration`, `ToolSpecification`); wordings:
/// https://github.com/continuedev/continue/issues/1938 (an enumeration), https://github.com/prism-php/bedrock/pull/46 (a choice);
/// https://github.com/anomalyco/opencode/pull/48582 (an empty description)
fn converse_members(subject: &Subject) -> Option<ErrorReply> {
    let prompt = prompt(subject)?;
    let in_members = || members(prompt).find_map(|(place, member)| enumeration_fault(&place, member));
    let fault = tool_config_fault(&prompt["toolConfig"])
        .or_else(|| max_tokens_fault(&prompt["inferenceConfig"]["maxTokens"]).filter(|_| !subject.is_count()))
        .or_else(in_members);
    match fault {
        Some(fault) => invalid(fault),
        None => text_refusal(subject, "description"),
    }
}

fn max_tokens_fault(count: &Value) -> Option<String> {
    let constraint = match count.as_f64() {
        _ if count.is_null() => return None,
        Some(number) if number < 1.0 => "have value greater than or equal to 1",
        Some(number) if number.fract() == 0.0 => return None,
        _ => "be an integer",
    };
    Some(format!(
        "Value '{}' at 'inferenceConfig.maxTokens' failed to satisfy constraint: Member must {constraint}",
        shown(count)
    ))
}

/// A value as AWS quotes it.
fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
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
        let shown = shown(value);
        (!values.contains(&shown.as_str())).then(|| {
            format!(
                "Value '{shown}' at '{place}.{kind}.{name}' failed to satisfy constraint: Member must satisfy enum \
                 value set: [{}]",
                values.join(", ")
            )
        })
    })
}

/// The entries of the system prompt, the blocks of the conversation, those within tool results, the tools and the choice of a
/// tool, with their paths.
fn members(prompt: &Value) -> impl Iterator<Item = (String, &Value)> {
    let messages = numbered("messages", list(prompt, "/messages"));
    let blocks = messages.flat_map(|(place, message)| {
        let content = list(message, "/content");
        numbered(&format!("{place}.content"), content)
    });
    let blocks = blocks.flat_map(|(place, block)| {
        let content = list(block, "/toolResult/content");
        let inner = numbered(&format!("{place}.toolResult.content"), content);
        std::iter::once((place, block)).chain(inner)
    });
    let tools = numbered("toolConfig.tools", list(prompt, "/toolConfig/tools"));
    let choice = prompt.pointer("/toolConfig/toolChoice").into_iter();
    let choice = choice.map(|choice| ("toolConfig.toolChoice".to_owned(), choice));
    let system = numbered("system", list(prompt, "/system"));
    system.chain(blocks).chain(tools).chain(choice)
}

/// Each entry of the list at `place`, with AWS's path: the first has the number 1.
fn numbered<'a>(place: &str, entries: &'a [Value]) -> impl Iterator<Item = (String, &'a Value)> + use<'a> {
    let place = place.to_owned();
    let entries = entries.iter().enumerate();
    entries.map(move |(index, entry)| (format!("{place}.{}.member", index + 1), entry))
}
