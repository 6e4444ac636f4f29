//! Expectations of what reached the provider, held against the recorded exchanges.

use crate::text::clipped;
use serde_json::Value;

use super::matcher::{Miss, shown};
use super::{Finding, value_tree};
use crate::spec::cell::{Prompt, PromptBlock};
use crate::spec::expectation::{Check, Matcher, Query, RequestCheck, Turn};
use crate::wire::Operation;
use crate::wire::exchange::{Matched, ProviderExchange};
use crate::wire::message::{Content, Message, text_of};

/// What does not hold of a provider-side check; empty when it holds.
pub(super) fn judge(check: &Check, prompts: &[Prompt], exchanges: &[ProviderExchange]) -> Vec<Finding> {
    match check {
        Check::Requests { operation, count } => requests(*operation, *count, exchanges),
        Check::Request(check) => on_each(check.turn, check.operation, exchanges, |exchange| {
            request(check, exchange)
        }),
        Check::ImageArrived { turn } => on_each(*turn, Operation::Messages, exchanges, |exchange| {
            file(FileKind::Image, prompts, exchange)
        }),
        Check::DocumentArrived { turn } => on_each(*turn, Operation::Messages, exchanges, |exchange| {
            file(FileKind::Document, prompts, exchange)
        }),
        Check::ToolResultArrived {
            turn,
            name,
            text,
            is_error,
        } => on_each(*turn, Operation::Messages, exchanges, |exchange| {
            tool_result(name, text.as_ref(), *is_error, exchange, exchanges)
        }),
        Check::ThinkingArrived { turn } => on_each(*turn, Operation::Messages, exchanges, |exchange| {
            thinking(exchange, exchanges)
        }),
        Check::Cache {
            turn,
            breakpoints,
            created_tokens,
            read_tokens,
        } => on_each(*turn, Operation::Messages, exchanges, |exchange| {
            let usage = exchange.reply.usage;
            [
                ("cache breakpoints", *breakpoints, breakpoint_count(exchange)),
                (
                    "tokens written to the cache",
                    *created_tokens,
                    usage.cache_creation_input_tokens,
                ),
                (
                    "tokens read from the cache",
                    *read_tokens,
                    usage.cache_read_input_tokens,
                ),
            ]
            .into_iter()
            .filter_map(|(what, least, found)| at_least(what, least?, found, exchange))
            .collect()
        }),
        _ => Vec::new(),
    }
}

/// Requests that no script and no rule answered: never silently skipped.
pub(super) fn unmatched(exchanges: &[ProviderExchange]) -> Vec<Finding> {
    exchanges
        .iter()
        .filter_map(|exchange| match &exchange.matched {
            Matched::Unmatched { why } => Some(Finding {
                summary: "a request reached the provider that the cell has no reply for".into(),
                expected: "as many requests as the cell's `replies` answer".into(),
                actual: format!("{} {}: {why}", exchange.request.method, exchange.request.path),
                evidence: Some(at(exchange)),
            }),
            _ => None,
        })
        .collect()
}

fn at(exchange: &ProviderExchange) -> (String, usize) {
    ("exchanges.jsonl".into(), exchange.number)
}

/// Judges the requests that `turn` names; that there is none is a finding of its own.
fn on_each(
    turn: Turn,
    operation: Operation,
    exchanges: &[ProviderExchange],
    judge_one: impl Fn(&ProviderExchange) -> Vec<Finding>,
) -> Vec<Finding> {
    let all: Vec<&ProviderExchange> = of_operation(operation, exchanges).collect();
    let named: &[&ProviderExchange] = match turn {
        Turn::Every => &all,
        Turn::Last => &all[all.len().saturating_sub(1)..],
        Turn::Number(n) => all.get(n - 1..n).unwrap_or(&[]),
    };
    if named.is_empty() {
        return vec![Finding {
            summary: match turn {
                Turn::Number(n) => format!("{} {n} never reached the provider", noun(operation)),
                _ => format!("no {} reached the provider", noun(operation)),
            },
            expected: match turn {
                Turn::Number(n) => format!("at least {n} {}s at the provider", noun(operation)),
                _ => format!("a {} at the provider", noun(operation)),
            },
            actual: arrivals(exchanges),
            evidence: None,
        }];
    }
    named.iter().flat_map(|exchange| judge_one(exchange)).collect()
}

/// The exchanges of a kind. A Messages request that is no turn is a probe, of which a cell says nothing.
fn of_operation(
    operation: Operation,
    exchanges: &[ProviderExchange],
) -> impl DoubleEndedIterator<Item = &ProviderExchange> + Clone {
    exchanges.iter().filter(move |exchange| {
        exchange.operation == operation && (operation != Operation::Messages || exchange.turn.is_some())
    })
}

fn noun(operation: Operation) -> &'static str {
    match operation {
        Operation::Messages => "Messages request",
        Operation::CountTokens => "count_tokens request",
        Operation::OauthToken => "access token request",
        Operation::Unknown => "request to an unknown path",
    }
}

fn arrivals(exchanges: &[ProviderExchange]) -> String {
    if exchanges.is_empty() {
        return "no request of this trial reached the provider".into();
    }
    let lines: Vec<String> = exchanges
        .iter()
        .map(|exchange| {
            format!(
                "{} {} → {}",
                exchange.request.method, exchange.request.path, exchange.reply.status
            )
        })
        .collect();
    clipped(&format!("{} requests: {}", lines.len(), lines.join(", ")))
}

fn requests(operation: Operation, count: u64, exchanges: &[ProviderExchange]) -> Vec<Finding> {
    let mut counted = of_operation(operation, exchanges);
    let found = counted.clone().count() as u64;
    if found == count {
        return Vec::new();
    }
    vec![Finding {
        summary: format!(
            "the provider received {found} {}s instead of {count}",
            noun(operation)
        ),
        expected: count.to_string(),
        actual: arrivals(exchanges),
        evidence: counted.next_back().map(at),
    }]
}

fn request(check: &RequestCheck, exchange: &ProviderExchange) -> Vec<Finding> {
    let finding = |summary: String, miss: Miss| Finding {
        summary,
        expected: miss.expected,
        actual: miss.actual,
        evidence: Some(at(exchange)),
    };
    let mut findings = Vec::new();
    if let Some(route) = check.route
        && exchange.route != Some(route)
    {
        findings.push(finding(
            "the request reached the provider by another route".into(),
            Miss {
                expected: route.as_str().into(),
                actual: format!(
                    "{} ({})",
                    exchange.route.map_or("no known route", |route| route.as_str()),
                    exchange.request.path
                ),
            },
        ));
    }
    if let Some(stream) = check.stream
        && exchange.reply.stream != stream
    {
        let word = |streamed| {
            if streamed {
                "a streamed reply"
            } else {
                "a reply in one piece"
            }
        };
        findings.push(finding(
            format!("the provider was asked for {}", word(exchange.reply.stream)),
            Miss {
                expected: word(stream).into(),
                actual: format!("{} ({})", word(exchange.reply.stream), exchange.request.path),
            },
        ));
    }
    if let Some(matcher) = &check.model {
        let model = exchange
            .message
            .as_ref()
            .map(|message| Value::from(message.model.as_str()));
        if let Err(miss) = matcher.check(model.as_ref().as_slice()) {
            findings.push(finding("the request is for another model".into(), miss));
        }
    }
    for (name, matcher) in &check.headers {
        let values: Vec<&str> = exchange.request.header(name).collect();
        let joined = Value::String(values.join(","));
        let found: &[&Value] = if values.is_empty() { &[] } else { &[&joined] };
        if let Err(miss) = matcher.check(found) {
            findings.push(finding(
                format!("header `{name}` did not arrive as it should"),
                miss,
            ));
        }
    }
    for (query, matcher) in &check.body {
        if let Err(miss) = check_body(query, matcher, exchange) {
            findings.push(finding(
                format!("`{}` of the request's body is not as it should be", query.text),
                miss,
            ));
        }
    }
    findings
}

fn check_body(query: &Query, matcher: &Matcher, exchange: &ProviderExchange) -> Result<(), Miss> {
    match exchange.request.body.json() {
        Some(body) => value_tree::check(query, matcher, body),
        None => Err(Miss {
            expected: matcher.to_string(),
            actual: "a body that is not JSON".into(),
        }),
    }
}

fn messages(exchange: &ProviderExchange) -> &[Message] {
    exchange
        .message
        .as_ref()
        .map_or(&[], |message| message.messages.as_slice())
}

/// A kind of file that a prompt holds.
#[derive(Clone, Copy)]
enum FileKind {
    Image,
    Document,
}

impl FileKind {
    fn word(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Document => "document",
        }
    }

    fn of_prompt(self, block: &PromptBlock) -> Option<(&str, &[u8])> {
        match (self, block) {
            (
                Self::Image,
                PromptBlock::Image {
                    media_type, bytes, ..
                },
            )
            | (
                Self::Document,
                PromptBlock::Document {
                    media_type, bytes, ..
                },
            ) => Some((media_type, bytes)),
            _ => None,
        }
    }

    fn of_request(self, content: &Content) -> Option<(&str, &str)> {
        match (self, content) {
            (Self::Image, Content::Image { media_type, data })
            | (Self::Document, Content::Document { media_type, data }) => Some((media_type, data)),
            _ => None,
        }
    }
}

fn file(kind: FileKind, prompts: &[Prompt], exchange: &ProviderExchange) -> Vec<Finding> {
    use base64::Engine as _;
    let sent = prompts
        .iter()
        .flat_map(|prompt| &prompt.blocks)
        .filter_map(|block| kind.of_prompt(block));
    let arrived: Vec<(&str, Option<Vec<u8>>)> = exchange
        .message
        .iter()
        .flat_map(|message| message.blocks())
        .filter_map(|block| {
            let (media_type, data) = kind.of_request(&block.content)?;
            Some((
                media_type,
                base64::engine::general_purpose::STANDARD.decode(data).ok(),
            ))
        })
        .collect();
    sent.filter(|(media_type, bytes)| {
        !arrived
            .iter()
            .any(|(kind, data)| kind == media_type && data.as_deref() == Some(*bytes))
    })
    .map(|(media_type, bytes)| Finding {
        summary: format!("the provider did not receive the {}", kind.word()),
        expected: format!("an `{media_type}` block of these {} bytes", bytes.len()),
        actual: if arrived.is_empty() {
            format!("no {} block; {}", kind.word(), outline(exchange))
        } else {
            arrived
                .iter()
                .map(|(kind, data)| match data {
                    Some(data) => format!("an `{kind}` block of {} bytes, not the same", data.len()),
                    None => format!("an `{kind}` block whose base64 cannot be decoded"),
                })
                .collect::<Vec<_>>()
                .join(", ")
        },
        evidence: Some(at(exchange)),
    })
    .collect()
}

/// The kinds of block in each message, for a reader who asks what arrived instead.
fn outline(exchange: &ProviderExchange) -> String {
    let outlines: Vec<String> = messages(exchange)
        .iter()
        .map(|message| {
            let kinds: Vec<&str> = message.content.iter().map(|block| block.content.kind()).collect();
            format!("{}: {}", message.role, kinds.join(" + "))
        })
        .collect();
    if outlines.is_empty() {
        "the request could not be read as a Messages request".into()
    } else {
        clipped(&outlines.join("; "))
    }
}

/// The result must answer the id that the provider itself gave the call in its reply.
fn tool_result(
    name: &str,
    text: Option<&Matcher>,
    is_error: bool,
    exchange: &ProviderExchange,
    exchanges: &[ProviderExchange],
) -> Vec<Finding> {
    let calls = calls_before(name, exchange, exchanges);
    let finding = |summary: &str, expected: String, actual: String| {
        vec![Finding {
            summary: summary.into(),
            expected,
            actual,
            evidence: Some(at(exchange)),
        }]
    };
    if calls.is_empty() {
        return finding(
            "there is no tool call that a result could answer",
            format!("a reply before this request that calls `{name}`"),
            "none".into(),
        );
    }
    let results: Vec<(&str, String, bool)> = messages(exchange)
        .iter()
        .flat_map(|message| &message.content)
        .filter_map(|block| match &block.content {
            Content::ToolResult {
                tool_use_id,
                content,
                is_error,
            } => Some((tool_use_id.as_str(), text_of(content), *is_error)),
            _ => None,
        })
        .collect();
    for id in &calls {
        let Some((_, found, failed)) = results.iter().find(|(answered, ..)| answered == id) else {
            let ids: Vec<&str> = results.iter().map(|(id, ..)| *id).collect();
            return finding(
                "the tool's result did not come back to the provider",
                format!("a `tool_result` for `{id}`, the provider's call of `{name}`"),
                if ids.is_empty() {
                    format!("no tool result; {}", outline(exchange))
                } else {
                    format!("results for {}", ids.join(", "))
                },
            );
        };
        if let Some(Err(miss)) = text.map(|matcher| matcher.check_text(found)) {
            return finding(
                "the tool's result came back to the provider changed",
                miss.expected,
                miss.actual,
            );
        }
        if *failed != is_error {
            let kind = |is_error| if is_error { "an error" } else { "no error" };
            return finding(
                "the tool's result came back to the provider as the wrong kind",
                format!("a `tool_result` that is {}", kind(is_error)),
                format!("one that is {}: {:?}", kind(*failed), clipped(found)),
            );
        }
    }
    Vec::new()
}

/// The ids of the calls of `name` in the replies to earlier requests.
fn calls_before(name: &str, exchange: &ProviderExchange, exchanges: &[ProviderExchange]) -> Vec<String> {
    replies_before(exchange, exchanges)
        .filter(|block| block["type"] == "tool_use" && block["name"] == name)
        .filter_map(|block| block["id"].as_str().map(str::to_owned))
        .collect()
}

/// The content blocks that the provider sent before `exchange`.
fn replies_before<'a>(
    exchange: &ProviderExchange,
    exchanges: &'a [ProviderExchange],
) -> impl Iterator<Item = &'a Value> {
    let number = exchange.number;
    exchanges
        .iter()
        .filter(move |earlier| earlier.number < number)
        .filter_map(|earlier| earlier.reply.message.as_ref()?["content"].as_array())
        .flatten()
}

fn thinking(exchange: &ProviderExchange, exchanges: &[ProviderExchange]) -> Vec<Finding> {
    let sent: Vec<(&str, &str)> = replies_before(exchange, exchanges)
        .filter(|block| block["type"] == "thinking")
        .map(|block| {
            (
                block["thinking"].as_str().unwrap_or_default(),
                block["signature"].as_str().unwrap_or_default(),
            )
        })
        .collect();
    let finding = |summary: &str, expected: String, actual: String| Finding {
        summary: summary.into(),
        expected,
        actual,
        evidence: Some(at(exchange)),
    };
    if sent.is_empty() {
        return vec![finding(
            "the provider sent no thinking block that could come back",
            "a reply before this request with a thinking block".into(),
            "none".into(),
        )];
    }
    let assistant: Vec<&Message> = messages(exchange)
        .iter()
        .filter(|message| message.role == "assistant")
        .collect();
    let returned: Vec<(&str, &str)> = assistant
        .iter()
        .flat_map(|message| &message.content)
        .filter_map(|block| match &block.content {
            Content::Thinking { thinking, signature } => Some((thinking.as_str(), signature.as_str())),
            _ => None,
        })
        .collect();
    let mut findings: Vec<Finding> = sent
        .iter()
        .filter(|block| !returned.contains(block))
        .map(|(thinking, signature)| {
            let actual = match returned
                .iter()
                .find(|(text, sign)| text == thinking || sign == signature)
            {
                None => format!("no such thinking block; {}", outline(exchange)),
                Some((text, sign)) if text != thinking => {
                    format!(
                        "thinking {:?} with that signature: text changed (signature {} bytes)",
                        clipped(text),
                        sign.len()
                    )
                }
                Some((_, sign)) => format!("that text with another signature ({} bytes)", sign.len()),
            };
            finding(
                "the thinking block did not come back to the provider as it was sent",
                format!(
                    "thinking {:?} with its signature of {} bytes",
                    clipped(thinking),
                    signature.len()
                ),
                actual,
            )
        })
        .collect();
    let displaced = assistant.iter().any(|message| {
        let thinks = |index: usize| {
            message
                .content
                .get(index)
                .is_some_and(|block| block.content.is_thinking())
        };
        !thinks(0) && (1..message.content.len()).any(thinks)
    });
    if displaced {
        findings.push(finding(
            "the thinking block came back in another place",
            "thinking at the head of its message".into(),
            outline(exchange),
        ));
    }
    findings
}

fn breakpoint_count(exchange: &ProviderExchange) -> u64 {
    let Some(message) = &exchange.message else {
        return 0;
    };
    let blocks = message.system.iter().chain(message.blocks());
    let marked_blocks = blocks.filter(|block| block.cache.is_some()).count();
    let marked_tools = message.tools.iter().filter(|tool| tool.cache.is_some()).count();
    (marked_blocks + marked_tools) as u64
}

fn at_least(what: &str, least: u64, found: u64, exchange: &ProviderExchange) -> Option<Finding> {
    (found < least).then(|| Finding {
        summary: format!("too few {what} at the provider"),
        expected: format!("at least {least} {what}"),
        actual: format!(
            "{found}; usage of the reply: {}",
            shown(&serde_json::to_value(exchange.reply.usage).unwrap_or_default())
        ),
        evidence: Some(at(exchange)),
    })
}
