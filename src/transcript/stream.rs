//! Whether the streams that `claude` passed on are well formed, as the Messages API defines it
//! (docs.claude.com, "Streaming messages": event types and their order).
#![warn(clippy::disallowed_methods)]

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Placed, Transcript, number, text};

/// A place where a stream is not well formed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamProblem {
    /// The line in `transcript.jsonl`, from 1.
    pub line: usize,
    /// What is wrong, for a reader.
    pub what: String,
}

/// The problems of all streams. Each stream, told by its parent call, is followed on its own.
pub(super) fn problems(transcript: &Transcript) -> Vec<StreamProblem> {
    let mut streams: BTreeMap<Option<String>, Stream> = BTreeMap::new();
    let mut problems = Vec::new();
    let mut last = 0;
    for placed in transcript
        .placed()
        .filter(|placed| text(placed.event, "/type") == Some("stream_event"))
    {
        let parent = text(placed.event, "/parent_tool_use_id").map(str::to_owned);
        last = placed.line;
        streams.entry(parent).or_default().event(placed, &mut problems);
    }
    for stream in streams.values().filter(|stream| stream.open) {
        note(
            &mut problems,
            last,
            format!("the stream of `{}` ends without `message_stop`", stream.id),
        );
    }
    problems
}

#[derive(Default)]
struct Stream {
    id: String,
    open: bool,
    stop_reason: bool,
    blocks: BTreeMap<u64, Block>,
}

struct Block {
    kind: String,
    open: bool,
    input: String,
}

impl Stream {
    fn event(&mut self, placed: Placed<'_>, problems: &mut Vec<StreamProblem>) {
        let event = placed.event.pointer("/event").unwrap_or(&Value::Null);
        let kind = text(event, "/type").unwrap_or("(no type)");
        let line = placed.line;
        match kind {
            "message_start" => {
                if self.open {
                    note(
                        problems,
                        line,
                        "a second `message_start` before `message_stop`".to_owned(),
                    );
                }
                *self = Self {
                    id: text(event, "/message/id").unwrap_or_default().to_owned(),
                    open: true,
                    ..Self::default()
                };
            }
            "ping" | "error" => {}
            _ if !self.open => note(problems, line, format!("`{kind}` outside a message")),
            "content_block_start" => self.block_start(event, line, problems),
            "content_block_delta" => self.block_delta(event, line, problems),
            "content_block_stop" => self.block_stop(event, line, problems),
            "message_delta" => self.message_delta(event, line, problems),
            "message_stop" => self.message_stop(line, problems),
            _ => {}
        }
    }

    fn block_start(&mut self, event: &Value, line: usize, problems: &mut Vec<StreamProblem>) {
        let Some(index) = number(event, "/index") else {
            return note(
                problems,
                line,
                "a `content_block_start` without an index".to_owned(),
            );
        };
        let expected = self.blocks.len() as u64;
        if index != expected {
            note(
                problems,
                line,
                format!("block {index} starts where block {expected} is due"),
            );
        }
        if let Some((open, _)) = self.blocks.iter().find(|(_, block)| block.open) {
            note(
                problems,
                line,
                format!("block {index} starts before block {open} stops"),
            );
        }
        let kind = text(event, "/content_block/type").unwrap_or_default().to_owned();
        self.blocks.insert(
            index,
            Block {
                kind,
                open: true,
                input: String::new(),
            },
        );
    }

    fn block_delta(&mut self, event: &Value, line: usize, problems: &mut Vec<StreamProblem>) {
        let index = number(event, "/index").unwrap_or(0);
        let kind = text(event, "/delta/type").unwrap_or("(no type)");
        let Some(block) = self.blocks.get_mut(&index).filter(|block| block.open) else {
            return note(
                problems,
                line,
                format!("a `{kind}` for block {index}, which is not open"),
            );
        };
        let fits = match kind {
            "text_delta" | "citations_delta" => block.kind == "text",
            "thinking_delta" | "signature_delta" => block.kind == "thinking",
            "input_json_delta" => block.kind.ends_with("tool_use"),
            _ => true,
        };
        if !fits {
            note(problems, line, format!("a `{kind}` in a `{}` block", block.kind));
        }
        block
            .input
            .push_str(text(event, "/delta/partial_json").unwrap_or_default());
    }

    fn block_stop(&mut self, event: &Value, line: usize, problems: &mut Vec<StreamProblem>) {
        let index = number(event, "/index").unwrap_or(0);
        let Some(block) = self.blocks.get_mut(&index).filter(|block| block.open) else {
            return note(problems, line, format!("block {index} stops and is not open"));
        };
        block.open = false;
        if !block.input.is_empty() && serde_json::from_str::<Value>(&block.input).is_err() {
            let what = format!("the arguments of the tool call in block {index} are not JSON");
            note(problems, line, what);
        }
    }

    fn message_delta(&mut self, event: &Value, line: usize, problems: &mut Vec<StreamProblem>) {
        for (index, _) in self.blocks.iter().filter(|(_, block)| block.open) {
            note(
                problems,
                line,
                format!("`message_delta` comes before block {index} stops"),
            );
        }
        self.stop_reason |= text(event, "/delta/stop_reason").is_some();
    }

    fn message_stop(&mut self, line: usize, problems: &mut Vec<StreamProblem>) {
        for (index, _) in self.blocks.iter().filter(|(_, block)| block.open) {
            note(problems, line, format!("block {index} never stops"));
        }
        if !self.stop_reason {
            note(
                problems,
                line,
                "the message ends without a stop reason".to_owned(),
            );
        }
        self.open = false;
    }
}

fn note(problems: &mut Vec<StreamProblem>, line: usize, what: String) {
    problems.push(StreamProblem { line, what });
}
