//! Expectations of what Claude Code printed, held against its transcript and exit.

use crate::text::clipped;
use serde_json::Value;

use super::matcher::{Miss, refusal_shown};
use super::{Finding, Ruling, value_tree};
use crate::evidence::{Behind, Evidence, Killed};
use crate::spec::cell::Test;
use crate::spec::expectation::{Check, CountMatcher, LIVE_SPREAD_MS, Matcher, Query};
use crate::transcript::{Answer, AnswerBlock, DeltaKind, ErrorSource, Event};
use crate::wire::exchange::ProviderExchange;
use crate::wire::{Operation, Usage};

/// Judges a check of what Claude Code printed.
pub(super) fn judge(check: &Check, evidence: &Evidence) -> Ruling {
    Ruling::Judged(match check {
        Check::Text(matcher) => text(matcher, evidence),
        Check::ToolCall { name, input } => tool_call(name, input, evidence),
        Check::ToolResult { name, text, is_error } => tool_result(name, text.as_ref(), *is_error, evidence),
        Check::Thinking { text } => thinking(text.as_ref(), evidence),
        Check::Stream {
            text_deltas,
            input_deltas,
            incremental,
        } => stream(*text_deltas, *input_deltas, *incremental, evidence),
        Check::Usage { turn, counts } => return usage(*turn, counts, evidence),
        Check::StopReason { turn, value } => stop_reason(*turn, value, evidence),
        Check::Exit(code) => exit(*code, evidence),
        Check::Event { path, value } => event(path, value, evidence),
        Check::Todo(todo) => vec![Finding {
            summary: format!("write me: {todo}"),
            expected: "an expectation that its author has written".into(),
            actual: "a `todo`".into(),
            evidence: None,
        }],
        Check::TokenCount(matcher) => return token_count(matcher, evidence),
        Check::DirectReply { status, body } => direct_reply(*status, body, evidence),
        provider_side => unreachable!("{provider_side:?} is judged on the provider's side"),
    })
}

fn event(query: &Query, matcher: &Matcher, evidence: &Evidence) -> Vec<Finding> {
    let (lines, events): (Vec<usize>, Vec<Value>) = evidence
        .transcript
        .placed()
        .map(|placed| (placed.line, placed.event.clone()))
        .unzip();
    let events = Value::Array(events);
    let first = value_tree::first_index(query, &events).and_then(|index| lines.get(index));
    missed(
        value_tree::check(query, matcher, &events),
        format!(
            "`{}` of the events that Claude Code printed is not as it should be",
            query.text
        ),
        first.copied().map(line_of_transcript),
    )
}

/// What is wrong with the run as a whole: it has to end by itself, with an answer to each prompt.
pub(super) fn run(test: &Test, evidence: &Evidence) -> Vec<Finding> {
    let transcript = &evidence.transcript;
    let finding = |summary: String, actual: String| {
        vec![Finding {
            summary,
            expected: "Claude Code answers and exits with status 0".into(),
            actual,
            evidence: transcript_end(evidence),
        }]
    };
    if let Some(failed) = transcript.results().iter().find(|result| result.is_error) {
        let said = failed.text.clone().unwrap_or_default();
        return finding(
            "Claude Code ended with an error".into(),
            with_gateways_words(&said, evidence),
        );
    }
    match evidence.exit.killed {
        Some(Killed::Deadline) => {
            return finding(
                format!("Claude Code was still running after {} s", test.timeout_seconds),
                last_sign_of_life(evidence),
            );
        }
        Some(Killed::PermanentError) => {
            return finding(
                "Claude Code met an error that no retry can mend".into(),
                last_sign_of_life(evidence),
            );
        }
        None => {}
    }
    let answers = transcript.results().len();
    if evidence.exit.code != Some(0) {
        return finding(ending(evidence), last_sign_of_life(evidence));
    }
    if answers < test.prompts.len() {
        return finding(
            format!("Claude Code answered {answers} of {} prompts", test.prompts.len()),
            last_sign_of_life(evidence),
        );
    }
    Vec::new()
}

/// What Claude Code says of an error, and before it the gateway's own body where the debug log has it: for some
/// statuses Claude Code replaces it by words of its own.
fn with_gateways_words(said: &str, evidence: &Evidence) -> String {
    let errors = evidence.transcript.errors();
    let Some(error) = errors
        .iter()
        .rev()
        .find(|error| error.source != ErrorSource::Result)
    else {
        return clipped(said);
    };
    let status = error
        .status
        .map_or("an error".into(), |status| format!("HTTP {status}"));
    format!(
        "{status} from the gateway: {} — Claude Code says: {}",
        refusal_shown(&error.text),
        clipped(said)
    )
}

fn ending(evidence: &Evidence) -> String {
    match (evidence.exit.code, evidence.exit.signal) {
        (Some(code), _) => format!("Claude Code exited with status {code}"),
        (None, Some(signal)) => format!("Claude Code was ended by signal {signal}"),
        (None, None) => "Claude Code ended in no known way".into(),
    }
}

/// The last thing that explains how a run got where it is: retries, standard error, the last line.
fn last_sign_of_life(evidence: &Evidence) -> String {
    let retries = evidence.transcript.api_retries();
    if let Some(retry) = retries.last() {
        let status = retry
            .status
            .map_or("no status".into(), |status| format!("HTTP {status}"));
        let said = format!(
            "{} retries, the last after {status} ({})",
            retries.len(),
            retry.error
        );
        return with_gateways_words(&said, evidence);
    }
    if !evidence.stderr.trim().is_empty() {
        return format!("on standard error: {}", clipped(evidence.stderr.trim()));
    }
    match evidence.transcript.events.last() {
        Some(last) => match &last.event {
            Event::Json(value) => format!("the last event is {}", clipped(&value.to_string())),
            Event::Unparsable(line) => format!("the last line is {:?}", clipped(line)),
        },
        None => "it printed nothing".into(),
    }
}

/// Lines that are not events, and streams that are not whole.
pub(super) fn transcript(evidence: &Evidence) -> Vec<Finding> {
    let transcript = &evidence.transcript;
    let unreadable = transcript.unparsable().map(|(line, text)| Finding {
        summary: "Claude Code printed a line that is not an event".into(),
        expected: "a JSON object a line (`--output-format stream-json`)".into(),
        actual: format!("{:?}", clipped(text)),
        evidence: Some(line_of_transcript(line)),
    });
    // A run that an error or the harness broke off leaves an open stream: that is no second fault.
    let whole = evidence.exit.killed.is_none() && transcript.errors().is_empty();
    let broken_streams = transcript
        .stream_problems()
        .into_iter()
        .filter(|_| whole)
        .map(|problem| Finding {
            summary: "the stream that Claude Code received is not a whole message".into(),
            expected: "message_start, blocks of start, deltas and stop, message_delta, message_stop".into(),
            actual: problem.what,
            evidence: Some(line_of_transcript(problem.line)),
        });
    unreadable.chain(broken_streams).collect()
}

/// What Claude Code got around by asking for less, or by asking again: the answer that followed hides it. A provider's own
/// refusal is the provider's to be asked about again.
pub(super) fn workarounds(evidence: &Evidence) -> Vec<Finding> {
    let less = evidence
        .transcript
        .workarounds()
        .into_iter()
        .map(|(line, text)| Finding {
            summary: "Claude Code had to ask for less than it wanted".into(),
            expected: "every request to be answered as it was first sent".into(),
            actual: with_gateways_words(&text, evidence),
            evidence: Some(line_of_transcript(line)),
        });
    let provider_failed = evidence.behind == Behind::Live
        || evidence
            .exchanges
            .iter()
            .any(|exchange| exchange.reply.status >= 400);
    let again = evidence
        .transcript
        .api_retries()
        .into_iter()
        .filter(|_| !provider_failed)
        .map(|retry| Finding {
            summary: "Claude Code had to ask again, though the provider refused nothing".into(),
            expected: "every request to be answered the first time".into(),
            actual: match retry.status {
                Some(status) => format!("a repetition after HTTP {status} ({})", retry.error),
                None => format!("a repetition after an answer that broke off ({})", retry.error),
            },
            evidence: Some(line_of_transcript(retry.line)),
        });
    less.chain(again).collect()
}

fn line_of_transcript(line: usize) -> (String, usize) {
    ("transcript.jsonl".into(), line)
}

fn transcript_end(evidence: &Evidence) -> Option<(String, usize)> {
    let count = evidence.transcript.events.len();
    (count > 0).then(|| line_of_transcript(count))
}

fn missed(check: Result<(), Miss>, summary: String, evidence: Option<(String, usize)>) -> Vec<Finding> {
    check
        .err()
        .map(|miss| Finding {
            summary,
            expected: miss.expected,
            actual: miss.actual,
            evidence,
        })
        .into_iter()
        .collect()
}

/// Simulated, it must also be what the provider sent, whatever the cell expects of it.
fn text(matcher: &Matcher, evidence: &Evidence) -> Vec<Finding> {
    let text = evidence.transcript.final_text();
    let mut findings = missed(
        matcher.check(text.clone().map(Value::from).as_ref().as_slice()),
        "Claude Code's final text is not as it should be".into(),
        transcript_end(evidence),
    );
    if let (Some(found), Some(sent)) = (text, last_text_sent(evidence))
        && findings.is_empty()
        && !sent.trim().ends_with(found.trim())
    {
        findings.push(Finding {
            summary: "Claude Code's final text is not the one that the provider sent".into(),
            expected: format!("{:?}", clipped(&sent)),
            actual: format!("{:?}", clipped(&found)),
            evidence: transcript_end(evidence),
        });
    }
    findings
}

/// The text of the provider's last answer to `claude`. Claude Code prints the last of its blocks.
fn last_text_sent(evidence: &Evidence) -> Option<String> {
    let last = claude_exchanges(evidence)
        .filter_map(|exchange| exchange.reply.message.as_ref()?["content"].as_array())
        .last()?;
    Some(last.iter().filter_map(|block| block["text"].as_str()).collect())
}

fn tool_call(name: &str, input: &[(String, Matcher)], evidence: &Evidence) -> Vec<Finding> {
    let messages = evidence.transcript.messages();
    let calls: Vec<(&str, &Value)> = messages
        .iter()
        .flat_map(|message| &message.content)
        .filter_map(|block| match block {
            AnswerBlock::ToolUse { name, input, .. } => Some((name.as_str(), input)),
            _ => None,
        })
        .collect();
    let fits = |(called, arguments): &(&str, &Value)| {
        *called == name
            && input.iter().all(|(key, matcher)| {
                let found: Vec<&Value> = arguments.get(key).into_iter().collect();
                matcher.check(&found).is_ok()
            })
    };
    if calls.iter().any(fits) {
        return Vec::new();
    }
    let wanted: Vec<String> = input
        .iter()
        .map(|(key, matcher)| format!("`{key}` {matcher}"))
        .collect();
    let found: Vec<String> = calls
        .iter()
        .map(|(called, arguments)| format!("{called} {arguments}"))
        .collect();
    vec![Finding {
        summary: format!("Claude Code was not asked to run `{name}` as it should"),
        expected: if wanted.is_empty() {
            format!("a call of `{name}`")
        } else {
            format!("a call of `{name}` with {}", wanted.join(" and "))
        },
        actual: if found.is_empty() {
            "no tool call".into()
        } else {
            clipped(&found.join("; "))
        },
        evidence: messages
            .iter()
            .find(|message| {
                message
                    .content
                    .iter()
                    .any(|block| matches!(block, AnswerBlock::ToolUse { .. }))
            })
            .map(|message| line_of_transcript(message.line))
            .or_else(|| transcript_end(evidence)),
    }]
}

fn tool_result(
    name: &str,
    text: Option<&Matcher>,
    is_error: Option<bool>,
    evidence: &Evidence,
) -> Vec<Finding> {
    let results = evidence.transcript.tool_results();
    let fits = results.iter().any(|result| {
        result.name.as_deref() == Some(name)
            && is_error.is_none_or(|wanted| wanted == result.is_error)
            && text.is_none_or(|matcher| matcher.check_text(&result.text).is_ok())
    });
    if fits {
        return Vec::new();
    }
    let mut wanted = vec![format!("a result of `{name}`")];
    match is_error {
        Some(true) => wanted.push("an error".into()),
        Some(false) => wanted.push("no error".into()),
        None => {}
    }
    if let Some(matcher) = text {
        wanted.push(format!("its text: {matcher}"));
    }
    let found: Vec<String> = results
        .iter()
        .map(|result| {
            let kind = if result.is_error { "error" } else { "result" };
            let name = result.name.as_deref().unwrap_or("an unknown tool");
            format!("{kind} of {name}: {:?}", result.text)
        })
        .collect();
    vec![Finding {
        summary: format!("Claude Code did not run `{name}` as it should"),
        expected: wanted.join(", "),
        actual: if found.is_empty() {
            "no tool result".into()
        } else {
            clipped(&found.join("; "))
        },
        evidence: results
            .first()
            .map(|result| line_of_transcript(result.line))
            .or_else(|| transcript_end(evidence)),
    }]
}

fn thinking(text: Option<&Matcher>, evidence: &Evidence) -> Vec<Finding> {
    let messages = evidence.transcript.messages();
    let blocks: Vec<(&str, &str)> = messages
        .iter()
        .flat_map(|message| &message.content)
        .filter_map(|block| match block {
            AnswerBlock::Thinking { thinking, signature } => Some((thinking.as_str(), signature.as_str())),
            _ => None,
        })
        .collect();
    let finding = |expected: String, actual: String| Finding {
        summary: "the thinking did not reach Claude Code as it should".into(),
        expected,
        actual,
        evidence: transcript_end(evidence),
    };
    let shown: Vec<String> = blocks
        .iter()
        .map(|(text, signature)| format!("{:?} signed in {} bytes", clipped(text), signature.len()))
        .collect();
    let found = if shown.is_empty() {
        "no thinking block".into()
    } else {
        clipped(&shown.join("; "))
    };
    let signed: Vec<Value> = blocks
        .iter()
        .filter(|(_, signature)| !signature.is_empty())
        .map(|(text, _)| Value::from(*text))
        .collect();
    if signed.is_empty() {
        return vec![finding("a thinking block with its signature".into(), found)];
    }
    if let Some(Err(miss)) = text.map(|matcher| matcher.check(&signed.iter().collect::<Vec<_>>())) {
        return vec![finding(format!("thinking that {}", miss.expected), found)];
    }
    claude_exchanges(evidence)
        .filter_map(|exchange| exchange.reply.message.as_ref()?["content"].as_array())
        .flatten()
        .filter_map(sent_thinking)
        .filter(|sent| !blocks.contains(sent))
        .map(|(text, signature)| {
            let sent = format!(
                "{:?} signed in {} bytes, as the provider sent it",
                clipped(text),
                signature.len()
            );
            finding(sent, found.clone())
        })
        .collect()
}

fn sent_thinking(block: &Value) -> Option<(&str, &str)> {
    (block["type"] == "thinking").then(|| {
        (
            block["thinking"].as_str().unwrap_or_default(),
            block["signature"].as_str().unwrap_or_default(),
        )
    })
}

fn stream(
    text_deltas: Option<u64>,
    input_deltas: Option<u64>,
    incremental: bool,
    evidence: &Evidence,
) -> Vec<Finding> {
    let messages = evidence.transcript.messages();
    let most = |kind| {
        let counts = messages.iter().map(|message| message.delta_count(kind));
        counts.max().unwrap_or_default() as u64
    };
    let mut findings: Vec<Finding> = [
        ("text", text_deltas, most(DeltaKind::Text)),
        ("tool argument", input_deltas, most(DeltaKind::Input)),
    ]
    .into_iter()
    .filter_map(|(what, least, found)| {
        let least = least.filter(|least| found < *least)?;
        Some(Finding {
            summary: format!("the stream has too few {what} deltas"),
            expected: format!("an answer in at least {least} {what} deltas"),
            actual: format!("at most {found} in an answer"),
            evidence: transcript_end(evidence),
        })
    })
    .collect();
    if incremental {
        findings.extend(match evidence.behind {
            Behind::Simulated => held_back(evidence),
            Behind::Live if text_deltas.is_none() && input_deltas.is_some() => Vec::new(),
            Behind::Live => in_one_burst(&messages, evidence),
        });
    }
    findings
}

/// Simulated: a delta that did not show before the next one was due was held back on the way.
fn held_back(evidence: &Evidence) -> Vec<Finding> {
    let streams: Vec<_> = claude_exchanges(evidence)
        .filter_map(|exchange| Some((exchange, exchange.reply.lockstep?)))
        .collect();
    if streams.is_empty() {
        return vec![Finding {
            summary: "no reply was streamed in lockstep".into(),
            expected: "a streamed reply of which each delta waits for the one before to show".into(),
            actual: "none: did the provider get the request, and as a stream?".into(),
            evidence: None,
        }];
    }
    streams
        .into_iter()
        .filter(|(_, lockstep)| lockstep.is_held_back())
        .map(|(exchange, lockstep)| Finding {
            summary: "the stream was held back on its way to Claude Code".into(),
            expected: format!(
                "each of the first {} deltas to show before the provider sends the next",
                lockstep.deltas.saturating_sub(1)
            ),
            actual: format!("{} showed; then the provider waited in vain", lockstep.seen),
            evidence: Some(("exchanges.jsonl".into(), exchange.number)),
        })
        .collect()
}

/// Live: there is no provider to keep step with, only the time that the deltas are spread over.
fn in_one_burst(messages: &[Answer], evidence: &Evidence) -> Vec<Finding> {
    let spread = messages
        .iter()
        .filter_map(|message| {
            let (first, last) = (message.deltas.first()?, message.deltas.last()?);
            // The machine's clock may be set back meanwhile.
            Some(last.at_ms.saturating_sub(first.at_ms))
        })
        .max()
        .unwrap_or_default();
    if spread >= LIVE_SPREAD_MS {
        return Vec::new();
    }
    vec![Finding {
        summary: "the stream came in one burst".into(),
        expected: format!("deltas spread over at least {LIVE_SPREAD_MS} ms"),
        actual: format!("{spread} ms from the first to the last"),
        evidence: transcript_end(evidence),
    }]
}

/// The Messages exchanges that `claude` caused, without probes: all but the last when the harness sent one itself.
pub(super) fn claude_exchanges(evidence: &Evidence) -> impl Iterator<Item = &ProviderExchange> {
    let messages = || {
        evidence
            .exchanges
            .iter()
            .filter(|exchange| exchange.turn.is_some())
    };
    let own = messages()
        .count()
        .saturating_sub(usize::from(evidence.direct.is_some()));
    messages().take(own)
}

fn usage(turn: Option<usize>, counts: &[(String, CountMatcher)], evidence: &Evidence) -> Ruling {
    let judgeable = |matcher: &CountMatcher| {
        evidence.behind == Behind::Simulated || matcher.min.is_some() || matcher.max.is_some()
    };
    if !counts.iter().any(|(_, matcher)| judgeable(matcher)) {
        return Ruling::NotJudged;
    }
    let of_what = turn.map_or("of the run".into(), |turn| format!("of answer {turn}"));
    let Some(reported) = reported_usage(turn, evidence) else {
        return Ruling::Judged(vec![Finding {
            summary: format!("Claude Code reported no usage {of_what}"),
            expected: format!("token counts {of_what}"),
            actual: format!(
                "{} answers in the transcript",
                evidence.transcript.messages().len()
            ),
            evidence: transcript_end(evidence),
        }]);
    };
    let provided = (evidence.behind == Behind::Simulated).then(|| provided_usage(turn, evidence));
    let findings: Vec<Finding> = counts
        .iter()
        .filter_map(|(name, matcher)| {
            let found = count(&reported, name);
            let exact = provided
                .filter(|_| matcher.as_provider)
                .map(|usage| count(&usage, name));
            let holds = within(matcher, found) && exact.is_none_or(|wanted| wanted == found);
            (!holds).then(|| Finding {
                summary: count_summary(name, &of_what, matcher, exact),
                expected: count_expected(matcher, exact),
                actual: found.to_string(),
                evidence: transcript_end(evidence),
            })
        })
        .collect();
    // What nobody could compare did not hold, however good its bounds.
    let compared = provided.is_some() || !counts.iter().any(|(_, matcher)| matcher.as_provider);
    if findings.is_empty() && !compared {
        return Ruling::NotJudged;
    }
    Ruling::Judged(findings)
}

fn within(matcher: &CountMatcher, count: u64) -> bool {
    matcher.min.is_none_or(|least| count >= least) && matcher.max.is_none_or(|most| count <= most)
}

fn count_summary(name: &str, of_what: &str, matcher: &CountMatcher, exact: Option<u64>) -> String {
    match exact.filter(|count| !within(matcher, *count)) {
        Some(count) => {
            format!("`{name}` {of_what} is not as it should be: the provider itself reported {count}")
        }
        None => format!("`{name}` {of_what} is not as it should be"),
    }
}

fn count_expected(matcher: &CountMatcher, exact: Option<u64>) -> String {
    // A number that breaks the bounds cannot be asked for together with them.
    let exact = exact.filter(|count| within(matcher, *count));
    let conditions = [
        matcher.min.map(|least| format!("at least {least}")),
        matcher.max.map(|most| format!("at most {most}")),
        exact.map(|wanted| format!("{wanted}, as the provider reported")),
    ];
    conditions.into_iter().flatten().collect::<Vec<_>>().join(" and ")
}

fn reported_usage(turn: Option<usize>, evidence: &Evidence) -> Option<Usage> {
    match turn {
        None => Some(evidence.transcript.total_usage()),
        Some(turn) => evidence
            .transcript
            .messages()
            .get(turn - 1)
            .and_then(|message| message.usage),
    }
}

fn provided_usage(turn: Option<usize>, evidence: &Evidence) -> Usage {
    let replies = claude_exchanges(evidence)
        .filter(|exchange| exchange.reply.status == 200)
        .map(|exchange| exchange.reply.usage);
    match turn {
        Some(turn) => replies.skip(turn - 1).take(1).sum(),
        None => replies.sum(),
    }
}

fn count(usage: &Usage, name: &str) -> u64 {
    match name {
        "input_tokens" => usage.input_tokens,
        "output_tokens" => usage.output_tokens,
        "cache_creation_input_tokens" => usage.cache_creation_input_tokens,
        "cache_read_input_tokens" => usage.cache_read_input_tokens,
        other => unreachable!("`{other}` is no token count; `spec` lets none through"),
    }
}

fn stop_reason(turn: Option<usize>, matcher: &Matcher, evidence: &Evidence) -> Vec<Finding> {
    let messages = evidence.transcript.messages();
    let message = match turn {
        Some(turn) => messages.get(turn - 1),
        None => messages.last(),
    };
    let found = message
        .and_then(|message| message.stop_reason.clone())
        .map(Value::from);
    missed(
        matcher.check(found.as_ref().as_slice()),
        "the stop reason is not as it should be".into(),
        transcript_end(evidence),
    )
}

fn exit(code: i32, evidence: &Evidence) -> Vec<Finding> {
    if evidence.exit.code == Some(code) && evidence.exit.killed.is_none() {
        return Vec::new();
    }
    vec![Finding {
        summary: ending(evidence),
        expected: format!("exit status {code}"),
        actual: last_sign_of_life(evidence),
        evidence: transcript_end(evidence),
    }]
}

/// What the provider counted is what it answered to the last such request of the trial.
fn token_count(matcher: &CountMatcher, evidence: &Evidence) -> Ruling {
    if evidence.behind == Behind::Live && matcher.min.is_none() && matcher.max.is_none() {
        return Ruling::NotJudged;
    }
    let at = || Some(("count_tokens.json".to_owned(), 1));
    let finding = |summary: &str, expected: String, actual: String, evidence| {
        Ruling::Judged(vec![Finding {
            summary: summary.into(),
            expected,
            actual,
            evidence,
        }])
    };
    let Some(reply) = &evidence.counted else {
        return finding(
            "the tokens were not counted",
            "an answer of status 200".into(),
            "Claude Code's run broke off before it".into(),
            None,
        );
    };
    let Some(found) = reply.body["input_tokens"]
        .as_u64()
        .filter(|_| reply.status == 200)
    else {
        return finding(
            "the gateway did not count the tokens",
            "status 200 and `input_tokens`".into(),
            clipped(&format!("status {}: {}", reply.status, reply.body)),
            at(),
        );
    };
    let counted = evidence
        .exchanges
        .iter()
        .rev()
        .find(|exchange| exchange.operation == Operation::CountTokens && exchange.reply.status == 200)
        .map(|exchange| exchange.reply.usage.input_tokens);
    let wants_providers = matcher.as_provider && evidence.behind == Behind::Simulated;
    let holds = matcher.min.is_none_or(|least| found >= least)
        && matcher.max.is_none_or(|most| found <= most)
        && (!wants_providers || counted == Some(found));
    if holds {
        return Ruling::Judged(Vec::new());
    }
    let expected = match counted {
        None if wants_providers => "the number that the provider counts, and it was not asked".to_owned(),
        _ => count_expected(matcher, counted.filter(|_| wants_providers)),
    };
    finding(
        "the token count is not as it should be",
        expected,
        found.to_string(),
        at(),
    )
}

fn direct_reply(
    status: u16,
    body: &[(crate::spec::expectation::Query, Matcher)],
    evidence: &Evidence,
) -> Vec<Finding> {
    let at = || Some(("direct.json".to_owned(), 1));
    let Some(reply) = &evidence.direct else {
        return vec![Finding {
            summary: "the direct request was not sent".into(),
            expected: format!("an answer of status {status}"),
            actual: "Claude Code's run broke off before it".into(),
            evidence: None,
        }];
    };
    if reply.status != status {
        return vec![Finding {
            summary: "the direct request failed".into(),
            expected: format!("status {status}"),
            actual: clipped(&format!("status {}: {}", reply.status, reply.body)),
            evidence: at(),
        }];
    }
    body.iter()
        .flat_map(|(query, matcher)| {
            missed(
                value_tree::check(query, matcher, &reply.body),
                format!("`{}` of the direct reply is not as it should be", query.text),
                at(),
            )
        })
        .collect()
}
