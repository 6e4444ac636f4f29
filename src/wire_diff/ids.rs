//! The ids by which Claude Code tells answers apart.

use serde_json::Value;

use super::pairing::Pair;
use super::{Difference, Fate, Part};
use crate::transcript::{Answer, AnswerBlock};

/// The id of another answer, if it made Claude Code take both for one: a later request has the words of both in one message.
pub(super) fn repeated_id(pairs: &[Pair], index: usize) -> Option<Difference> {
    let received = |pair: &Pair| Answer::received(pair.passage.reply.as_ref()?);
    let given = |pair: &Pair| {
        pair.last()?.reply.message.as_ref()?["id"]
            .as_str()
            .map(str::to_owned)
    };
    let pair = &pairs[index];
    let id = id_of(pair)?;
    let same = |other: &&Pair| id_of(other) == Some(id) && given(other) != given(pair);
    let earlier: Vec<Answer> = pairs[..index].iter().filter(same).filter_map(received).collect();
    // Nearly always, each answer has its own. Only others are worth a search through the history.
    let answer = received(pair).filter(|_| !earlier.is_empty())?;
    let are_one = |message: &Value| {
        let blocks = message["content"].as_array().map_or(&[][..], Vec::as_slice);
        let of = |answer: &Answer| -> Vec<usize> {
            let is_of = |other: &Value| answer.content.iter().any(|block| is_same(block, other));
            (0..blocks.len()).filter(|at| is_of(&blocks[*at])).collect()
        };
        let own = of(&answer);
        let is_word =
            |block: &&AnswerBlock| matches!(block, AnswerBlock::Text(_) | AnswerBlock::ToolUse { .. });
        let words = answer.content.iter().filter(is_word).count();
        // Answers may have the same words.
        let has_both = |other: &Vec<usize>| {
            let has_alone = |some: &[usize], others: &[usize]| some.iter().any(|at| !others.contains(at));
            has_alone(&own, other) && has_alone(other, &own) || own.len() > words
        };
        message["role"] == "assistant" && earlier.iter().map(of).any(|other| has_both(&other))
    };
    let bodies = pairs[index..]
        .iter()
        .filter_map(|later| later.passage.request.body.json());
    let mut messages = bodies.filter_map(|body| body["messages"].as_array()).flatten();
    messages
        .any(are_one)
        .then(|| Difference::of(Part::Field, "id", given(pair), id).with_fate(Fate::Repeated))
}

/// The id of an answer, from its body or from the start of its stream.
fn id_of<'a>(pair: &Pair<'a>) -> Option<&'a str> {
    let mut events = pair.passage.reply.as_ref()?.events.iter();
    let id = events.find_map(|event| event.data["message"]["id"].as_str().or(event.data["id"].as_str()));
    id.filter(|id| !id.is_empty())
}

/// Whether a block of the history is a text or a call of an answer.
fn is_same(block: &AnswerBlock, other: &Value) -> bool {
    match block {
        AnswerBlock::Text(text) => other["text"] == text.as_str(),
        AnswerBlock::ToolUse { id, .. } => other["type"] == "tool_use" && other["id"] == id.as_str(),
        _ => false,
    }
}
